// Topics: the tree of what is retained, one topic or filter as it goes, and
// publishing.
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, get, query } from "./api.js";
import { clock, num, plural, size } from "./format.js";
import { Act, Card, Copy, Empty, Failure, Pill, Plot, useAsk, useHistory } from "./parts.jsx";

const page = 100; // rows of a level at a time
const last = 50; // messages that are listed
const points = 600; // of a plot

const go = topic => (location.hash = "#/topics/" + encodeURIComponent(topic));

export function Topics({ name, admin, base }) {
  const [text, setText] = useState(name || "");
  useEffect(() => setText(name || ""), [name]);
  return (
    <>
      <Card w={5} title="Topics" note="what is retained, level by level" class="treecard">
        <form class="bar" onSubmit={e => (e.preventDefault(), text && go(text))}>
          <label class="grow">Topic or filter <input type="search" value={text} placeholder="sensors/#" spellcheck={false} onInput={e => setText(e.target.value)} /></label>
          <button type="submit">Watch</button>
        </form>
        <Tree selected={name} />
      </Card>
      <div class="c7 stack">
        {name ? /[+#]/.test(name) ? <Tail filter={name} key={name} /> : <One topic={name} key={name} admin={admin} base={base} /> : <Card title="Watch"><Empty title="Choose a topic"><p>Or write a filter such as <code>sensors/#</code> to see messages as they come, retained or not.</p></Empty></Card>}
        {admin && <Publish topic={name && !/[+#]/.test(name) ? name : ""} />}
        {admin && <Clear filter={name || ""} key={"clear " + name} />}
      </div>
    </>
  );
}

// Tree loads a level when it is opened. Rows are a flat list with levels, as
// the pattern of a tree asks for; arrow keys move through it.
function Tree({ selected }) {
  const [levels, setLevels] = useState({}), [open, setOpen] = useState({}), [err, setErr] = useState(), [at, setAt] = useState("");
  const el = useRef();
  const load = (prefix, cursor) => get("topics" + query({ prefix, cursor, limit: page })).then(doc => {
    setErr();
    setLevels(l => ({ ...l, [prefix]: { rows: cursor ? [...l[prefix].rows, ...doc.topics] : doc.topics, cursor: doc.cursor } }));
  }, setErr);
  useEffect(() => void load(""), []);
  const rows = [];
  const walk = (prefix, depth) => {
    const level = levels[prefix];
    if (!level) return;
    level.rows.forEach(t => {
      rows.push({ ...t, depth, name: prefix ? t.topic.slice(prefix.length + 1) : t.topic });
      if (open[t.topic]) walk(t.topic, depth + 1);
    });
    if (level.cursor) rows.push({ topic: prefix + "\0more", depth, more: true, prefix, cursor: level.cursor, name: "more …", below: 0 });
  };
  walk("", 1);
  const toggle = (t, on) => {
    setOpen(o => ({ ...o, [t.topic]: on }));
    if (on) load(t.topic);
  };
  const choose = t => (t.more ? load(t.prefix, t.cursor) : t.retained ? go(t.topic) : toggle(t, !open[t.topic]));
  const key = (e, t, i) => {
    const to = n => {
      const row = rows[Math.max(0, Math.min(rows.length - 1, n))];
      setAt(row.topic);
      el.current.children[rows.indexOf(row)].focus();
    };
    const keys = {
      ArrowDown: () => to(i + 1), ArrowUp: () => to(i - 1), Home: () => to(0), End: () => to(rows.length - 1),
      ArrowRight: () => (t.below && !open[t.topic] ? toggle(t, true) : t.below && to(i + 1)),
      ArrowLeft: () => (open[t.topic] ? toggle(t, false) : to(rows.findLastIndex((r, k) => k < i && r.depth < t.depth))),
      Enter: () => choose(t), " ": () => choose(t),
    };
    if (!keys[e.key]) return;
    e.preventDefault();
    keys[e.key]();
  };
  const again = () => ["", ...Object.keys(open).filter(k => open[k])].forEach(p => load(p));
  const focus = rows.some(r => r.topic === at) ? at : rows.length ? rows[0].topic : "";
  return (
    <>
      <Failure err={err} />
      {levels[""] && !rows.length && <Empty title="Nothing is retained yet"><p>Publish with the retain flag to see it here: <code>mosquitto_pub -r -t hello -m world</code></p></Empty>}
      <div role="tree" aria-label="Retained topics" class="tree" ref={el}>
        {rows.map((t, i) => (
          <div role="treeitem" key={t.topic} tabIndex={t.topic === focus ? 0 : -1} aria-level={t.depth} aria-expanded={t.below ? !!open[t.topic] : undefined} aria-selected={t.topic === selected}
            style={{ paddingLeft: t.depth * 16 - 8 + "px" }} onKeyDown={e => key(e, t, i)} onFocus={() => setAt(t.topic)} onClick={() => choose(t)}>
            <i class={"twist" + (t.below ? "" : " none")} aria-hidden="true" onClick={e => t.below && (e.stopPropagation(), toggle(t, !open[t.topic]))}>{t.below ? (open[t.topic] ? "▾" : "▸") : t.more ? "" : "·"}</i>
            <span class="level">{t.name === "" ? "(empty)" : t.name}</span>
            {t.below > 0 && <span class="mut small">{num(t.below)}</span>}
            {t.retained && <span class="val">{t.payload == null && t.size ? size(t.size) : t.payload}</span>}
          </div>
        ))}
      </div>
      {rows.length > 0 && <p class="acts"><button type="button" class="quiet" onClick={again}>Refresh</button></p>}
    </>
  );
}

// useWatch streams messages of a filter while the tab is shown.
function useWatch(filter, take) {
  const [err, setErr] = useState("");
  const on = useRef(take);
  on.current = take;
  useEffect(() => {
    let source;
    const open = () => {
      if (document.hidden || source) return;
      source = new EventSource("api/v1/watch" + query({ filter }));
      source.addEventListener("messages", e => on.current(JSON.parse(e.data)));
      source.onopen = () => setErr("");
      source.onerror = () => setErr(source && source.readyState === EventSource.CLOSED ? "the gateway refuses to watch this" : "the stream is broken: trying again");
    };
    const close = () => source && (source.close(), (source = null));
    const shown = () => (document.hidden ? close() : open());
    open();
    document.addEventListener("visibilitychange", shown);
    return () => {
      close();
      document.removeEventListener("visibilitychange", shown);
    };
  }, [filter]);
  return err;
}

// Tail lists messages of a filter as they come.
function Tail({ filter }) {
  const [list, setList] = useState([]), [paused, setPaused] = useState(false), [skipped, setSkipped] = useState(0);
  const err = useWatch(filter, doc => {
    if (paused) return;
    setSkipped(n => n + doc.skipped);
    setList(l => [...doc.messages.map((m, i) => ({ ...m, key: m.time + " " + m.topic })).reverse(), ...l].slice(0, 200));
  });
  return (
    <Card title={<span class="name">{filter}</span>} note={plural(list.length, "message")} action={<button type="button" class="quiet" aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? "Go on" : "Pause"}</button>}>
      {err && <Failure err={new Error(err)} />}
      {skipped > 0 && <p class="mut small">{num(skipped)} more came too fast to be shown: the newest of each topic is.</p>}
      {!list.length && !err && <Empty title="Waiting for messages" />}
      {list.length > 0 && <div class="log scroll" tabIndex={0} role="region" aria-label={"Messages of " + filter}>{list.map(m => <div key={m.key}><time>{clock(m.time * 1000)}</time> <a href={"#/topics/" + encodeURIComponent(m.topic)}>{m.topic}</a> {text(m)}{m.retain && <span class="mut"> retained</span>}</div>)}</div>}
    </Card>
  );
}

const raw = m => (m.payload_b64 ? Uint8Array.from(atob(m.payload_b64), c => c.charCodeAt(0)) : new TextEncoder().encode(m.payload || ""));
const text = m => (m.payload != null ? m.payload : m.payload_b64 ? `${num(m.size)} bytes that are no text` : "");
const hex = m => [...raw(m).slice(0, 4096)].map(b => b.toString(16).padStart(2, "0")).join(" ").replace(/(.{47}) /g, "$1\n");

function parsed(m) {
  try {
    return JSON.parse(m.payload);
  } catch {
    return undefined;
  }
}

// numbers are the numeric fields of a payload: of a number itself "", of JSON
// the path to each.
function numbers(m) {
  const out = {}, v = parsed(m);
  const walk = (v, path) => {
    if (typeof v === "number") out[path] = v;
    else if (typeof v === "boolean") out[path] = +v;
    else if (v && typeof v === "object" && path.split(".").length < 5) for (const k in v) walk(v[k], path ? path + "." + k : k);
  };
  walk(v, "");
  return out;
}

const pretty = m => {
  const v = parsed(m);
  return v && typeof v === "object" ? JSON.stringify(v, null, 2) : text(m);
};

// diff marks the lines of b that a does not have, and the other way round:
// the longest common subsequence of short texts.
export function diff(a, b) {
  a = a.split("\n").slice(0, 200);
  b = b.split("\n").slice(0, 200);
  const best = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) best[i][j] = a[i] === b[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const out = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) out.push([" ", a[i++]]), j++;
    else if (i < a.length && (j >= b.length || best[i + 1][j] >= best[i][j + 1])) out.push(["−", a[i++]]);
    else out.push(["+", b[j++]]);
  }
  return out;
}

function One({ topic, base }) {
  const [list, setList] = useState([]), [form, setForm] = useState("pretty"), [skipped, setSkipped] = useState(0), series = useRef({});
  const [kept, missing, again] = useAsk("topic" + query({ topic }));
  const err = useWatch(topic, doc => {
    setSkipped(n => n + doc.skipped);
    doc.messages.forEach(m => {
      const got = numbers(m);
      for (const k in got) {
        const s = (series.current[k] ||= [[], []]);
        s[0].push(m.time);
        s[1].push(got[k]);
        if (s[0].length > points) s.forEach(x => x.shift());
      }
    });
    setList(l => [...[...doc.messages].reverse(), ...l].slice(0, last));
    if (!kept && missing) again();
  });
  const m = list[0] || kept, before = list[1];
  return (
    <Card title={<span class="name">{topic}</span>} note={m && <>QoS {m.qos}{m.retain ? (m.size ? ", retained" : ", cleared") : ""}</>} action={<Copy text={topic} label="Copy topic" />}>
      {err && <Failure err={new Error(err)} />}
      {!m && missing && <Empty title="Nothing is retained here"><p>What is published from now on is shown.</p></Empty>}
      {m && <>
        <div class="bar" role="group" aria-label="Form of the value">
          {["pretty", "text", "hex", "diff"].map(f => <button type="button" key={f} aria-pressed={f === form} disabled={f === "diff" && !before} onClick={() => setForm(f)}>{cap(f)}</button>)}
          <Copy text={text(m)} label="Copy value" />
        </div>
        {form === "diff" && before
          ? <pre tabIndex={0} role="region" aria-label="Difference to the message before">{diff(pretty(before), pretty(m)).map(([sign, line], i) => <div key={i} class={sign === "+" ? "add" : sign === "−" ? "gone" : ""}>{sign} {line}</div>)}</pre>
          : <pre class="value" tabIndex={0} role="region" aria-label="Value">{form === "hex" ? hex(m) : form === "text" ? text(m) : pretty(m)}</pre>}
        <p class="mut small">{size(m.size)}{m.truncated && ", of which the first part is shown"}{m.publisher && <> · from <a href={"#/clients/" + encodeURIComponent(m.publisher)}>{m.publisher}</a></>}{m.time && " · " + clock(m.time * 1000)}</p>
        {m.properties && <dl class="facts">{m.properties.map(([k, v], i) => <div key={i}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>}
        <Plots live={series.current} topic={topic} base={base} />
        {list.length > 1 && <>
          <h3>The last {plural(list.length, "message")} <span class="mut">since this page opened{skipped > 0 && `; ${num(skipped)} came too fast to be shown`}</span></h3>
          <div class="scroll short" tabIndex={0} role="region" aria-label="Last messages"><table class="mono"><tbody>{list.map((x, i) => <tr key={i}><td class="mut">{clock(x.time * 1000)}</td><td>{text(x).slice(0, 120)}</td></tr>)}</tbody></table></div>
        </>}
      </>}
    </Card>
  );
}

const cap = s => s[0].toUpperCase() + s.slice(1);

// Plots shows the numbers of a topic: of a device's entity from the history on,
// otherwise since the page opened.
function Plots({ live, topic, base }) {
  const own = base && topic.startsWith(base + "/") ? topic.slice(base.length + 1).split("/") : [];
  const name = own.length === 2 ? `device/${own[0]}/${own[1]}` : "";
  const past = useHistory(name, 3600, 360);
  return Object.keys(live).slice(0, 6).map((k, i) => {
    let [t, v] = live[k];
    if (k === "" && past.series[name]) {
      const n = past.times.filter(x => x < t[0]).length;
      t = [...past.times.slice(0, n), ...t];
      v = [...past.series[name].slice(0, n), ...v];
    }
    if (t.length < 2) return null;
    return <Plot key={k} height={130} data={[t, v]} cols={[[k || "value", "--s" + (1 + (i % 2)), true]]} label={`${k || "value"}: now ${num(v[v.length - 1], 3)}`} />;
  });
}

function Publish({ topic }) {
  const [to, setTo] = useState(topic), [payload, setPayload] = useState(""), [qos, setQos] = useState(0), [retain, setRetain] = useState(false), [done, setDone] = useState("");
  useEffect(() => topic && setTo(topic), [topic]);
  const send = () => ask("POST", "publish", { topic: to, payload, qos, retain }).then(() => setDone(`published at ${clock(Date.now())}`));
  return (
    <Card title="Publish">
      <div class="bar"><label class="grow">Topic <input value={to} spellcheck={false} onInput={e => (setTo(e.target.value), setDone(""))} /></label></div>
      <label class="block">Payload <textarea rows={2} spellcheck={false} value={payload} onInput={e => (setPayload(e.target.value), setDone(""))} /></label>
      <div class="bar acts">
        <label>QoS <select value={qos} onChange={e => setQos(+e.target.value)}><option>0</option><option>1</option><option>2</option></select></label>
        <label class="check"><input type="checkbox" checked={retain} onChange={e => setRetain(e.target.checked)} /> retain</label>
        <Act label="Publish" kind="main" run={send} />
        <span role="status">{done && <Pill k="ok">{done}</Pill>}</span>
      </div>
    </Card>
  );
}

function Clear({ filter: given }) {
  const [filter, setFilter] = useState(given), [plan, setPlan] = useState(), [done, setDone] = useState();
  const path = dry => "retained" + query({ filter, dry_run: dry && "true" });
  return (
    <Card title="Clear retained">
      <div class="bar"><label class="grow">Topic or filter <input value={filter} spellcheck={false} onInput={e => (setFilter(e.target.value), setPlan(), setDone())} /></label><Act label="Find" run={() => ask("DELETE", path(true)).then(p => (setPlan(p), setDone()))} /></div>
      {plan && (plan.count === 0 ? <p class="mut">Nothing is retained there.</p> : <>
        <p>{plural(plan.count, "message")} would be cleared{plan.count > plan.topics.length && `, the first ${plan.topics.length} are`}:</p>
        <ul class="plain mono scroll short" tabIndex={0} role="region" aria-label="Topics to clear">{plan.topics.map(t => <li key={t}>{t}</li>)}</ul>
        <p class="acts"><Act label={`Clear ${num(plan.count)}`} sure="Really clear?" kind="danger" run={() => ask("DELETE", path(false)).then(p => (setPlan(), setDone(p)))} /></p>
      </>)}
      <span role="status">{done && <Pill k="ok">{num(done.count)} cleared</Pill>}</span>
    </Card>
  );
}
