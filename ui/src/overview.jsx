// Overview: where the data flows, and where it stops.
import { useEffect, useState } from "preact/hooks";
import { get, query } from "./api.js";
import { age, bytes, num, plural, rate, size, value } from "./format.js";
import { useLive } from "./live.js";
import { Line } from "./logs.jsx";
import { Card, Empty, Pill, Plot, Spark, useHistory } from "./parts.jsx";
import { bridge as bridgeWords, device as deviceWords } from "./words.js";

const minutes = 15;

// joined puts what the page has seen since it opened behind the history.
function joined(past, samples, name, of) {
  const t = [], v = [], values = past.series[name] || [];
  const begins = samples.length ? samples[0].t : Infinity, from = Date.now() / 1000 - minutes * 60;
  past.times.forEach((at, i) => at < begins && at >= from && (t.push(at), v.push(values[i] ?? null)));
  samples.forEach(s => of(s) != null && (t.push(s.t), v.push(of(s))));
  return [t, v];
}

export function Overview({ node }) {
  const live = useLive(), s = live.status;
  const past = useHistory("published,sent,clients,memory,written,bridge/", minutes * 60, 200);
  if (!s) return null;
  const bridges = [...s.bridges].sort((a, b) => (bridgeWords(b)[0] === "bad") - (bridgeWords(a)[0] === "bad") || b.waiting - a.waiting);
  return (
    <>
      <Path s={s} rates={live.rates} bridge={bridges[0]} />
      <Tiles s={s} live={live} past={past} />
      <Attention list={s.attention} />
      <Traffic live={live} past={past} />
      {bridges[0] ? <Spool live={live} past={past} bridge={bridges[0]} /> : <NoBridge />}
      <Devices list={s.devices} />
      <Events w={s.devices.length ? 5 : 12} turn={Math.floor(s.uptime / 3)} />
      <Hello s={s} node={node} />
    </>
  );
}

function Path({ s, rates, bridge }) {
  const good = s.devices.filter(d => d.state === "online").length, bad = s.devices.filter(d => deviceWords(d)[0] === "bad");
  const [kind, words] = bridge ? bridgeWords(bridge) : ["idle", "No bridge"];
  const own = bridge && rates.bridge[bridge.name];
  const others = s.bridges.length - 1, cut = s.bridges.filter(b => b !== bridge && bridgeWords(b)[0] === "bad").length;
  return (
    <section class="c12 path" aria-label="Where the data flows">
      <a class={"stop " + (bad.length ? "warn" : "")} href="#/devices">
        <b>Sensors</b><strong>{s.devices.length ? `${good} of ${s.devices.length} good` : "None yet"}</strong>
        <em>{bad.length ? `${bad[0].name} ${bad[0].state}${bad.length > 1 ? ` and ${bad.length - 1} more` : ""}` : s.devices.length ? "all report" : "devices: in the configuration"}</em>
      </a>
      <Wire text={rate(rates.readings) + " readings/s"} idle={!rates.readings} />
      <a class={"stop " + (s.store.mode === "degraded" ? "bad" : "")} href="#/clients">
        <b>Broker</b><strong>{plural(s.broker.clients, "client")}</strong>
        <em>{rate(rates.received)} published · {rate(rates.sent)} out /s</em>
      </a>
      {bridge ? <>
        <Wire text={rate(own && own.accepted) + " msg/s"} idle={!own || !own.accepted} />
        <a class={"stop " + (bridge.waiting && kind === "bad" ? "warn" : "")} href={"#/bridges/" + encodeURIComponent(bridge.name)}>
          <b>Spool “{bridge.name}”</b><strong data-test="waiting">{num(bridge.waiting)} waiting</strong>
          <em>{bridge.waiting ? `${size(bridge.bytes)} · oldest ${age(bridge.oldest)}` : "empty"}{bridge.dropped ? ` · ${num(bridge.dropped)} dropped` : ""}</em>
        </a>
        <Wire text={rate(own && own.acked) + " msg/s"} cut={kind === "bad"} idle={!own || !own.acked} />
        <a class={"stop " + (kind === "ok" || kind === "idle" ? "" : kind)} href={"#/bridges/" + encodeURIComponent(bridge.name)}>
          <b>{bridge.server || "Upstream"}</b><strong data-test="link">{words}{kind === "bad" || kind === "ok" ? " " + age(bridge.since) : ""}</strong>
          <em>{kind === "bad" ? bridge.reason || "trying again" : bridge.rtt ? num(bridge.rtt * 1000) + " ms" : "connected"}{others > 0 ? ` · ${plural(others, "other bridge")}${cut ? `, ${cut} down` : ""}` : ""}</em>
        </a>
      </> : <>
        <Wire text="no bridge" idle />
        <a class="stop wide" href="#/bridges"><b>Cloud</b><strong>No bridge</strong><em>messages stay on this machine</em></a>
      </>}
    </section>
  );
}

const Wire = ({ text, cut, idle }) => <div class={"wire" + (cut ? " cut" : idle ? " still" : "")}><span>{cut ? "broken" : text}</span><i /></div>;

function Tiles({ s, live, past }) {
  const recent = live.samples.slice(-300);
  const line = (name, of) => joined(past, recent, name, of)[1].slice(-300);
  const first = recent[0], last = recent[recent.length - 1];
  const waiting = s.bridges.reduce((n, b) => n + b.waiting, 0);
  const [memory, memoryUnit] = bytes(s.memory), [written, writtenUnit] = bytes(s.store.written);
  const tiles = [
    ["Published", rate(live.rates.received), "/s", line("published", x => x.rates && x.rates.received)],
    ["Sent to clients", rate(live.rates.sent), "/s", line("sent", x => x.rates && x.rates.sent)],
    ["Clients", num(s.broker.clients), plural(s.broker.sessions, "session"), line("clients", x => x.clients)],
    ["Waiting in spools", num(waiting), s.bridges.length ? "" : "no bridge", recent.map(x => Object.values(x.waiting).reduce((a, b) => a + b, 0))],
    ["Memory", memory, memoryUnit, line("memory", x => x.memory)],
    ["Written to disk", written, s.store.mode === "memory" ? "nothing is kept" : writtenUnit, first && last ? line("written", x => x.written) : []],
  ];
  return (
    <section class="c12 tiles" aria-label="Key figures">
      {tiles.map(([name, v, unit, points]) => <div class="tile" key={name}><span>{name}</span><b>{v}<small>{unit}</small></b><Spark v={points} label={name} /></div>)}
    </section>
  );
}

const Attention = ({ list }) => (
  <div class="c12" aria-live="polite">
    {list.length > 0 && (
      <Card title="Needs attention" note={list.length} class="attention">
        <ul class="todo">{list.map(text => {
          const what = text.split(" ")[0], page = { bridge: "bridges", device: "devices" }[what];
          const bad = / is down|disk/.test(text);
          return <li key={text}><Pill k={bad ? "bad" : "warn"}>{page ? what : "gateway"}</Pill><p>{text}</p>{page && <a href={`#/${page}/${encodeURIComponent(text.split(" ")[1])}`}>Look</a>}</li>;
        })}</ul>
      </Card>
    )}
  </div>
);

function Traffic({ live, past }) {
  const [t, received] = joined(past, live.samples, "published", x => x.rates && x.rates.received);
  const [, sent] = joined(past, live.samples, "sent", x => x.rates && x.rates.sent);
  return (
    <Card w={7} title="Messages per second" note="last 15 minutes">
      <Plot data={[t, received, sent]} cols={[["published", "--s1", true], ["to clients", "--s2"]]} zero label={`Messages per second: now ${rate(live.rates.received)} published, ${rate(live.rates.sent)} sent to clients`} />
    </Card>
  );
}

function Spool({ live, past, bridge }) {
  const name = bridge.name;
  const [t, waiting] = joined(past, live.samples, "bridge/" + name, x => x.waiting[name]);
  return (
    <Card w={5} title={`Waiting for “${name}”`} note={bridge.waiting ? "oldest " + age(bridge.oldest) : "nothing waits"} action={<a href={"#/bridges/" + encodeURIComponent(name)}>Bridge</a>}>
      <Plot data={[t, waiting]} cols={[["messages in spool", "--s3", true]]} zero down={outages(live.samples, name)} label={`${num(bridge.waiting)} messages wait for ${name}`} />
    </Card>
  );
}

// outages are the spans in which a link was down: those that the page saw, the
// first one from its beginning.
export function outages(samples, name) {
  const out = [];
  let from = null;
  for (const s of samples) {
    const down = s.bridges[name] && bridgeWords(s.bridges[name])[0] === "bad";
    if (down && from == null) from = s.t - s.bridges[name].since;
    if (!down && from != null) (out.push([from, s.t]), (from = null));
  }
  if (from != null) out.push([from, Infinity].map((x, i) => (i ? samples[samples.length - 1].t : x)));
  return out;
}

const NoBridge = () => (
  <Card w={5} title="Upstream">
    <Empty title="No bridge yet"><p>A bridge hands messages to another MQTT server and keeps them while the link is down:</p><pre>{`bridges:
  cloud:
    servers: ["mqtts://broker.example"]
    out: [{from: "sensors/#"}]`}</pre></Empty>
  </Card>
);

function Devices({ list }) {
  const past = useHistory(list.length ? "device/" : "", 3600, 60);
  if (!list.length) return null;
  const shown = [...list].sort((a, b) => (deviceWords(b)[0] === "bad") - (deviceWords(a)[0] === "bad")).slice(0, 8);
  return (
    <Card w={7} title="Sensors" note={list.length} class="sensors" action={<a href="#/devices">All devices</a>}>
      <table><thead><tr><th>Sensor</th><th>Reading</th><th class="hide-s">Last hour</th><th class="hide-s">Age</th><th>State</th></tr></thead>
        <tbody>{shown.map(d => {
          const [kind, words] = deviceWords(d), first = d.values.find(v => past.series[`device/${d.name}/${v.entity}`]);
          return (
            <tr key={d.name}>
              <td><a href={"#/devices/" + encodeURIComponent(d.name)}>{d.name}</a><br /><small class="mut">{d.driver}</small></td>
              <td>{d.values.slice(0, 4).map(value).join(" · ") || "–"}</td>
              <td class="hide-s">{first && <Spark v={past.series[`device/${d.name}/${first.entity}`]} label={`${d.name} ${first.entity}, last hour`} />}</td>
              <td class="hide-s">{age(d.age)}</td>
              <td><Pill k={kind}>{words}</Pill></td>
            </tr>
          );
        })}</tbody></table>
    </Card>
  );
}

// Events are the last lines of the log, asked for again at each turn.
function Events({ w, turn }) {
  const [list, setList] = useState([]);
  useEffect(() => {
    let ended = false;
    get("logs" + query({ level: "info", limit: 6 })).then(doc => ended || setList(doc.lines.reverse()), () => {}); // the header tells when nobody answers
    return () => (ended = true);
  }, [turn]);
  return (
    <Card w={w} title="Latest events" note="newest first" action={<a href="#/logs">Logs</a>}>
      <div class="log latest">{list.map(l => <Line l={l} key={l.id} />)}</div>
    </Card>
  );
}

const Hello = ({ s }) => s.broker.clients > 0 || s.devices.length > 0 ? null : (
  <Card title="No clients yet"><p>Connect one to <code>mqtt://{location.hostname}:1883</code>, for example:</p><pre>mosquitto_pub -h {location.hostname} -t hello -m world</pre></Card>
);
