// Devices: what each reads, how it is, and how its values went.
import { useState } from "preact/hooks";
import { ask } from "./api.js";
import { age, num, value } from "./format.js";
import { useLive } from "./live.js";
import { Act, Card, Copy, Empty, Failure, Pill, Plot, Spark, useHistory } from "./parts.jsx";
import { device as words } from "./words.js";

export function Devices({ name, admin }) {
  const live = useLive(), list = live.status && live.status.devices;
  const past = useHistory(list && list.length ? "device/" : "", 3600, 60);
  if (!list) return null;
  const one = name && list.find(d => d.name === name);
  return (
    <>
      {name && (one ? <One d={one} key={name} admin={admin} /> : <Card title={name} action={<a href="#/devices">Close</a>}><Failure err={new Error("there is no device of this name")} /></Card>)}
      {!list.length && <Card title="Devices"><Empty title="No devices yet"><p>{admin ? "Look below for what is wired" : <>Find what is wired with <code>dunlin scan</code></>}, or begin with a pretended one:</p><pre>{`devices:
  - name: room
    driver: sim
    entities: {temperature: {signal: sine, min: 18, max: 24}}`}</pre></Empty></Card>}
      {list.map(d => <Tile d={d} key={d.name} past={past} />)}
      {admin && <Scan />}
    </>
  );
}

// Scan looks for what could be read too, and gives the lines to configure it.
function Scan() {
  const [doc, setDoc] = useState();
  const rows = doc && doc.items;
  return (
    <Card title="Hardware">
      <p class="acts"><Act label="Look for hardware" run={() => ask("POST", "scan").then(setDoc)} /></p>
      {doc && <div aria-live="polite">
        {!rows.length && <p class="mut">Nothing was found.</p>}
        {rows.length > 0 && <div class="scroll short" tabIndex={0} role="region" aria-label="Hardware found"><table>
          <thead><tr><th>Where</th><th>What</th><th>Driver</th><th class="hide-s">Note</th></tr></thead>
          <tbody>{rows.map(i => <tr key={i.where}><td>{i.where}</td><td>{i.what || "–"}</td><td>{i.driver || "–"}</td><td class="hide-s mut">{i.used_by ? "used by " + i.used_by : i.note || "new"}</td></tr>)}</tbody>
        </table></div>}
        <h3>To be added to the configuration, then Config, Reload <Copy text={doc.yaml} /></h3>
        <pre tabIndex={0} role="region" aria-label="Configuration of what is new">{doc.yaml}</pre>
        <h3>Not touched</h3>
        <ul class="small mut">{doc.skipped.map(s => <li key={s}>{s}</li>)}</ul>
      </div>}
    </Card>
  );
}

function Tile({ d, past }) {
  const [kind, word] = words(d);
  return (
    <Card w={4} class={"device " + (kind === "bad" ? "bad" : "")} title={<a href={"#/devices/" + encodeURIComponent(d.name)}>{d.name}</a>} note={d.driver} action={<Pill k={kind}>{word}</Pill>}>
      {d.values.slice(0, 6).map(v => {
        const points = past.series[`device/${d.name}/${v.entity}`];
        return <div class="reading" key={v.entity}><span>{v.entity}</span><b>{value(v)}</b>{points ? <Spark v={points} label={`${d.name} ${v.entity}, last hour`} /> : <i />}</div>;
      })}
      {d.values.length > 6 && <p class="mut small">and {d.values.length - 6} more</p>}
      {kind === "bad" && <p class="why">{d.error || d.reason}</p>}
      <p class="mut small">{d.age < 0 ? "never read" : "read " + age(d.age) + " ago"}{d.failed > 0 && ` · ${num(d.failed)} failed`}</p>
    </Card>
  );
}

const spans = [[900, "15 min"], [3600, "1 h"], [86400, "24 h"]];

function One({ d, admin }) {
  const [span, setSpan] = useState(3600);
  const past = useHistory(`device/${d.name}/`, span, 360);
  const [kind, word] = words(d);
  const put = what => () => ask("POST", `devices/${encodeURIComponent(d.name)}/${what}`);
  return (
    <Card title={d.name} note={d.driver} action={<a href="#/devices">Close</a>}>
      <dl class="facts">
        <div><dt>State</dt><dd><Pill k={kind}>{word}</Pill></dd></div>
        <div><dt>Last reading</dt><dd>{d.age < 0 ? "never" : age(d.age) + " ago"}</dd></div>
        <div><dt>Readings</dt><dd>{num(d.ok)} good, {num(d.failed)} failed</dd></div>
        {d.reason && <div><dt>Reason</dt><dd>{d.reason}</dd></div>}
        {d.error && <div class="long"><dt>Last error</dt><dd>{d.error}</dd></div>}
      </dl>
      {admin && <p class="acts">
        {d.reason === "paused" ? <Act label="Go on reading" kind="main" run={put("resume")} /> : <><Act label="Read now" run={put("read")} /><Act label="Pause reading" sure="Really pause? It goes offline" run={put("pause")} /></>}
      </p>}
      <div class="bar" role="group" aria-label="Time shown">{spans.map(([s, text]) => <button type="button" key={s} aria-pressed={s === span} onClick={() => setSpan(s)}>{text}</button>)}</div>
      <div class="plots">
        {d.values.map((v, i) => {
          const points = past.series[`device/${d.name}/${v.entity}`];
          return (
            <div key={v.entity}>
              <h3>{v.entity} <b>{value(v)}</b></h3>
              {points && <Plot height={130} data={[past.times, points]} cols={[[v.unit || v.entity, "--s" + (1 + (i % 2)), true, typeof v.value === "boolean"]]} label={`${v.entity}: now ${value(v)}`} />}
            </div>
          );
        })}
      </div>
      {past.ready && !past.times.length && <p class="mut small">Plots begin with the first samples of the history (history.step).</p>}
    </Card>
  );
}
