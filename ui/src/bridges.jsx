// Bridges: links to other servers, and what waits for them.
import { age, num, plural, rate, size } from "./format.js";
import { useLive } from "./live.js";
import { outages } from "./overview.jsx";
import { Card, Empty, Pill, Plot, useHistory } from "./parts.jsx";
import { bridge as words } from "./words.js";

export function Bridges({ name }) {
  const live = useLive(), s = live.status;
  const past = useHistory(s && s.bridges.length ? "bridge/" : "", 3600, 360);
  if (!s) return null;
  if (!s.bridges.length) return <Recipes />;
  const list = [...s.bridges].sort((a, b) => (b.name === name) - (a.name === name));
  return list.map(b => <One key={b.name} b={b} live={live} past={past} />);
}

function One({ b, live, past }) {
  const [kind, word] = words(b), rates = live.rates.bridge[b.name] || {};
  const begins = live.samples.length ? live.samples[0].t : Infinity;
  const t = [], waiting = [], values = past.series["bridge/" + b.name] || [];
  past.times.forEach((at, i) => at < begins && (t.push(at), waiting.push(values[i] ?? null)));
  live.samples.forEach(s => (t.push(s.t), waiting.push(s.waiting[b.name] ?? null)));
  const drains = rates.acked - rates.accepted;
  const facts = [
    ["Server", b.server || "–"], [kind === "bad" ? "Down for" : "For", age(b.since)], ["Round trip", b.rtt ? num(b.rtt * 1000, 1) + " ms" : "–"], ["Last acknowledged", b.last_ack < 0 ? "never" : age(b.last_ack) + " ago"],
    ["Waiting", plural(b.waiting, "message") + (b.waiting ? ", " + size(b.bytes) : "")], ["Oldest", b.waiting ? age(b.oldest) : "–"],
    ["Drained", rate(rates.acked) + " /s" + (b.waiting && drains > 1 ? `, empty in ${age(b.waiting / drains)}` : "")], ["In flight", num(b.in_flight)],
    ["Sent", num(b.acked)], ["Received", num(b.received)], ["Dropped", num(b.dropped)], ["Refused upstream", num(b.dead)], ["Connected", plural(b.connects, "time") + ` in ${plural(b.attempts, "attempt")}`],
  ];
  return (
    <Card title={b.name} action={<Pill k={kind}>{word}</Pill>} class={kind === "bad" ? "bad" : ""} aria-label={"Bridge " + b.name}>
      {kind === "bad" && <p class="why">{b.reason || "trying again"}{b.waiting ? ". What waits is kept, and sent when the link is back." : ""}</p>}
      <div class="split">
        <dl class="facts">{facts.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
        <Plot height={170} data={[t, waiting]} cols={[["messages waiting, last hour", "--s3", true]]} zero down={outages(live.samples, b.name)} label={`${num(b.waiting)} messages wait for ${b.name}`} />
      </div>
    </Card>
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
