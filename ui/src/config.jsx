// Config: what is carried out, what a reload would change, and a check of a
// text before it is put in place.
import { useState } from "preact/hooks";
import { ask } from "./api.js";
import { num } from "./format.js";
import { Act, Card, Empty, Failure, Pill, useAsk } from "./parts.jsx";

export function Config({ admin }) {
  const [doc, err, again] = useAsk("config");
  const [q, setQ] = useState(""), [set, setSet] = useState(true);
  const list = doc && doc.settings.filter(s => (!set || s.origin) && (s.path + " " + s.value).toLowerCase().includes(q.toLowerCase()));
  return (
    <>
      {admin && <Reload again={again} file={doc && doc.file} />}
      {admin && <Check />}
      <Card title="Settings" note={doc && (doc.file || "no file: defaults")}>
        <div class="bar">
          <label>Find <input type="search" value={q} placeholder="key or value" onInput={e => setQ(e.target.value)} /></label>
          <label class="check"><input type="checkbox" checked={set} onChange={e => setSet(e.target.checked)} /> only what the file sets</label>
          {list && <span class="mut">{num(list.length)} of {num(doc.settings.length)}</span>}
        </div>
        <Failure err={err} />
        {list && !list.length && <Empty title="Nothing here"><p>{set ? "The file sets nothing like that; untick the box to see the defaults." : "No setting is like that."}</p></Empty>}
        {list && list.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label="Settings">
            <table class="mono"><thead><tr><th>Key</th><th>Value</th><th class="hide-s">Place</th></tr></thead>
              <tbody>{list.map(s => <tr key={s.path}><td>{s.path}</td><td>{s.value}</td><td class="hide-s mut">{s.origin ? s.origin.replace(/^.*\//, "") : "default"}</td></tr>)}</tbody></table>
          </div>
        )}
      </Card>
    </>
  );
}

const signs = c => (c.old ? (c.new ? "~" : "−") : "+");

function Reload({ again, file }) {
  const [plan, setPlan] = useState(), [err, setErr] = useState();
  const run = dry => ask("POST", "reload" + (dry ? "?dry_run=true" : "")).then(p => (setPlan(p), setErr(), again()), e => (setPlan(), setErr(e)));
  return (
    <Card w={6} title="Reload" note={file}>
      <p>Carries out the file as it is now: all of it or, with a mistake in it, nothing.</p>
      <p class="acts"><Act label="What would change?" run={() => run(true)} /> <Act label="Reload" sure="Really reload?" run={() => run(false)} /></p>
      {err && <div role="alert"><p class="failure"><b>{err.message}</b></p>{err.detail && <pre tabIndex={0} role="region" aria-label="Mistakes">{err.detail}</pre>}</div>}
      {plan && <div aria-live="polite">
        {plan.changes.length === 0 ? <p><Pill k="ok">{plan.applied ? "Reloaded: nothing was different" : "Nothing is different"}</Pill></p> : <>
          <p><Pill k="ok">{plan.applied ? "Reloaded" : "This would change"}</Pill></p>
          <ul class="plain mono">{plan.changes.map(c => <li key={c.path}><b>{signs(c)}</b> {c.path} {c.old && <del>{c.old}</del>} {c.new && <ins>{c.new}</ins>} <span class="mut">{c.effect}</span></li>)}</ul>
        </>}
      </div>}
    </Card>
  );
}

function Check() {
  const [text, setText] = useState(""), [doc, setDoc] = useState();
  return (
    <Card w={6} title="Check a text">
      <label class="block">Configuration <textarea rows={5} spellcheck={false} value={text} placeholder="Paste a configuration: it is checked, and goes nowhere." onInput={e => (setText(e.target.value), setDoc())} /></label>
      <p class="acts"><Act label="Check" run={() => ask("POST", "config/check", text).then(setDoc)} />{doc && <Pill k={doc.valid ? "ok" : "bad"}>{doc.valid ? "Valid" : "Mistakes"}</Pill>}</p>
      {doc && doc.text && <pre tabIndex={0} role="region" aria-label="Findings">{doc.text}</pre>}
    </Card>
  );
}
