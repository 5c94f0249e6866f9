// Bridges: links to other servers, and what waits for them.
import { useState } from "preact/hooks";
import { ask, get } from "./api.js";
import { age, clock, num, plural, rate, size } from "./format.js";
import { useLive } from "./live.js";
import { outages } from "./overview.jsx";
import { Act, Card, Pill, Plot, useHistory } from "./parts.jsx";
import { bridge as words } from "./words.js";

export function Bridges({ name, admin }) {
  const live = useLive(), s = live.status;
  const past = useHistory(s && s.bridges.length ? "bridge/" : "", 3600, 360);
  if (!s) return null;
  if (!s.bridges.length) return <Recipes />;
  const list = [...s.bridges].sort((a, b) => (b.name === name) - (a.name === name));
  return list.map(b => <One key={b.name} admin={admin} b={b} live={live} past={past} />);
}

function One({ b, live, past, admin }) {
  const [kind, word] = words(b), rates = live.rates.bridge[b.name] || {};
  const begins = live.samples.length ? live.samples[0].t : Infinity;
  const t = [], waiting = [], values = past.series["bridge/" + b.name] || [];
  past.times.forEach((at, i) => at < begins && (t.push(at), waiting.push(values[i] ?? null)));
  live.samples.forEach(s => (t.push(s.t), waiting.push(s.waiting[b.name] ?? null)));
  const drains = rates.acked - rates.accepted;
  const reasons = d => (b.dropped ? ": " + Object.keys(d || {}).filter(k => d[k]).map(k => `${num(d[k])} ${k.replaceAll("_", " ")}`).join(", ") : "");
  const facts = [
    ["Server", b.server || "–"], [kind === "bad" ? "Down for" : "For", age(b.since)], ["Round trip", b.rtt ? num(b.rtt * 1000, 1) + " ms" : "–"], ["Last acknowledged", b.last_ack < 0 ? "never" : age(b.last_ack) + " ago"],
    ["Waiting", plural(b.waiting, "message") + (b.waiting ? ", " + size(b.bytes) : "")], ["Oldest", b.waiting ? age(b.oldest) : "–"],
    ["Drained", rate(rates.acked) + " /s" + (b.waiting && drains > 1 ? `, empty in ${age(b.waiting / drains)}` : "")], ["In flight", num(b.in_flight)],
    ["Sent", num(b.acked)], ["Received", num(b.received)], ["Dropped", num(b.dropped) + reasons(b.drops)], ["Refused upstream", num(b.dead)], ["Connected", plural(b.connects, "time") + ` in ${plural(b.attempts, "attempt")}`],
  ];
  return (
    <Card title={b.name} action={<Pill k={kind}>{word}</Pill>} class={kind === "bad" ? "bad" : ""} aria-label={"Bridge " + b.name}>
      {kind === "bad" && <p class="why">{b.reason || "trying again"}{b.waiting ? ". What waits is kept, and sent when the link is back." : ""}</p>}
      <div class="split">
        <dl class="facts">{facts.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
        <Plot height={170} data={[t, waiting]} cols={[["messages waiting, last hour", "--s3", true]]} zero down={outages(live.samples, b.name)} label={`${num(b.waiting)} messages wait for ${b.name}`} />
      </div>
      {admin && <Actions b={b} />}
    </Card>
  );
}

function Actions({ b }) {
  const path = "bridges/" + encodeURIComponent(b.name);
  const [probe, setProbe] = useState(), [list, setList] = useState();
  const show = what => get(`${path}/${what}?limit=50`).then(doc => setList({ what, doc }));
  const put = (method, target) => () => ask(method, `${path}/${target}`).then(() => list && show(list.what));
  return (
    <>
      <p class="acts">
        <Act label="Test" run={() => ask("POST", path + "/test").then(setProbe)} />
        <Act label="Reconnect" run={() => ask("POST", path + "/reconnect")} />
        {b.paused ? <Act label="Go on sending" kind="main" run={put("POST", "resume")} /> : <Act label="Pause sending" sure="Really send nothing?" run={put("POST", "pause")} />}
        <Act label="What waits" run={() => show("spool")} />
        {b.dead_kept > 0 && <Act label="Refused upstream" run={() => show("dead")} />}
      </p>
      {probe && <ul class="plain" aria-label="Steps of the test">{probe.steps.map((s, i) => <li key={i}><Pill k={s.error ? "bad" : "ok"}>{s.name}</Pill> {s.error || s.detail}</li>)}</ul>}
      {list && <Letters {...list} put={put} close={() => setList()} />}
    </>
  );
}

// Letters are messages that wait, or were given up.
function Letters({ what, doc, put, close }) {
  const dead = what === "dead", all = doc.letters;
  return (
    <>
      <h3>{dead ? "Refused upstream" : "What waits, in the order of sending"} <button type="button" class="quiet" onClick={close}>Close</button></h3>
      {!all.length && <p class="mut">Nothing.</p>}
      {all.length > 0 && <div class="scroll short" tabIndex={0} role="region" aria-label="Messages"><table class="mono">
        <thead><tr><th>Since</th><th>Topic</th><th class="n">Bytes</th><th class="n hide-s">QoS</th><th class="hide-s">{dead ? "Reason" : "Payload"}</th>{dead && <th>Again</th>}</tr></thead>
        <tbody>{all.map(m => <tr key={m.seq}><td>{clock(m.time)}</td><td>{m.topic}</td><td class="n">{num(m.size)}</td><td class="n hide-s">{m.qos}</td><td class="hide-s">{dead ? m.reason : m.payload}</td>{dead && <td><Act label="Send" run={put("POST", "dead/requeue?seq=" + m.seq)} /></td>}</tr>)}</tbody>
      </table></div>}
      {doc.cursor && <p class="mut small">The first {num(all.length)} of {num(doc.total)} are shown: 'dunlin bridge' exports all.</p>}
      {dead && all.length > 0 && <p class="acts"><Act label="Delete all" sure="Really delete all?" run={put("DELETE", "dead")} /></p>}
    </>
  );
}

const recipes = [
  ["Another mosquitto", `bridges:
  office:
    servers: ["mqtts://mosquitto.example.org:8883"]
    username: barn-1
    password: "\${OFFICE_PASSWORD}"
    out: [{from: "sensors/#", qos: 1}]`],
  ["AWS IoT Core", `bridges:
  cloud:
    servers: ["mqtts://abc123-ats.iot.eu-west-1.amazonaws.com:8883"]
    client_id: "{node}"
    tls: {cert: aws.pem, key: aws.key}
    out: [{from: "sensors/#", to: "sites/{node}/#", qos: 1}]`],
  ["HiveMQ Cloud", `bridges:
  cloud:
    servers: ["mqtts://abc123.s1.eu.hivemq.cloud:8883"]
    username: barn-1
    password: "\${HIVEMQ_PASSWORD}"
    out: [{from: "sensors/#", qos: 1}]`],
];

const Recipes = () => <>{recipes.map(([name, text]) => <Card w={4} key={name} title={name}><pre tabIndex={0} role="region" aria-label={"Configuration for " + name}>{text}</pre></Card>)}</>;
