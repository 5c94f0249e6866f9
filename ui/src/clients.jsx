// Clients: sessions, one of them in detail, and what an admin may do to them.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ask, query } from "./api.js";
import { age, clock, num, plural, rate, size } from "./format.js";
import { Act, Card, Empty, Failure, Pill, useAsk } from "./parts.jsx";

export function Clients({ name, admin }) {
  const [q, setQ] = useState(""), [state, setState] = useState(""), [limit, setLimit] = useState(50);
  const [own, setOwn] = useState(false), [busy, setBusy] = useState(false);
  const [doc, err] = useAsk("clients" + query({ q, state, local: own ? "" : "false", limit: busy ? 1000 : limit }), 3);
  const rates = useRates(doc), sum = c => rates[c.id][0] + rates[c.id][1];
  const list = doc && (busy ? [...doc.clients].sort((a, b) => sum(b) - sum(a)).slice(0, limit) : doc.clients);
  return (
    <>
      {name && <One name={name} admin={admin} />}
      <Card title="Clients" note={doc && num(doc.total)}>
        <div class="bar">
          <label>Find <input type="search" value={q} placeholder="client or user" onInput={e => setQ(e.target.value)} /></label>
          <label>State <select value={state} onChange={e => setState(e.target.value)}><option value="">all</option><option>connected</option><option>offline</option></select></label>
          <label>First <select value={busy ? "busy" : ""} onChange={e => setBusy(!!e.target.value)}><option value="">by name</option><option value="busy">the busiest</option></select></label>
          <label class="check"><input type="checkbox" checked={own} onChange={e => setOwn(e.target.checked)} /> the gateway's own too</label>
        </div>
        <Failure err={err} />
        {list && (list.length ? <Table list={list} rates={rates} /> : <Empty title="Nobody here"><p>{q || state ? "No client is like that." : "Connect one: "}{!q && !state && <code>mosquitto_sub -h {location.hostname} -t '#' -v</code>}</p></Empty>)}
        {list && doc.total > list.length && (limit < 1000
          ? <p class="more"><button type="button" onClick={() => setLimit(Math.min(1000, limit * 4))}>Show more</button> {num(list.length)} of {num(doc.total)}</p>
          : <p class="more">The first {num(list.length)} of {num(doc.total)} are shown: narrow the search.</p>)}
      </Card>
    </>
  );
}

// useRates are the messages a second of each client since the list before, or
// since it connected.
function useRates(doc) {
  const last = useRef({ at: 0, counts: {}, rates: {} });
  return useMemo(() => {
    const { at, counts: old, rates: known } = last.current, now = performance.now() / 1000, counts = {}, rates = {};
    if (!doc) return known;
    for (const c of doc.clients) {
      const n = (counts[c.id] = [c.received, c.sent]), o = old[c.id], same = o && c.since > now - at && o[0] <= n[0] && o[1] <= n[1];
      rates[c.id] = same && now - at < 1 ? known[c.id] : n.map((v, i) => same ? (v - o[i]) / (now - at) : v / Math.max(c.since, 1));
    }
    last.current = { at: now, counts, rates };
    return rates;
  }, [doc]);
}

const state = c => (c.connected ? <Pill k="ok">{age(c.since)}</Pill> : <Pill k="idle">offline {age(c.since)}</Pill>);

const Table = ({ list, rates }) => (
  <div class="scroll" tabIndex={0} role="region" aria-label="Clients">
    <table><thead><tr><th>Client</th><th class="hide-s">User</th><th class="hide-s">Address</th><th class="hide-s">MQTT</th><th class="n hide-s">Subscriptions</th><th class="n">In /s</th><th class="n">Out /s</th><th class="n">Waiting</th><th class="n hide-s">Dropped</th><th>State</th></tr></thead>
      <tbody>{list.map(c => (
        <tr key={c.id}>
          <td class="name"><a href={"#/clients/" + encodeURIComponent(c.id)}>{c.id}</a></td>
          <td class="hide-s">{c.user || <span class="mut">–</span>}</td>
          <td class="hide-s">{c.local ? <span class="mut">this gateway</span> : c.remote || "–"}</td>
          <td class="hide-s">{c.protocol}</td>
          <td class="n hide-s">{num(c.subscriptions)}</td>{rates[c.id].map((r, i) => <td class="n" key={i}>{rate(r)}</td>)}<td class="n">{num(c.waiting)}</td><td class="n hide-s">{num(c.dropped)}</td>
          <td>{state(c)}</td>
        </tr>
      ))}</tbody></table>
  </div>
);

const kinds = { refused: "e", denied: "e", skipped: "w", end: "mut", message: "mut", delivered: "mut" };

function Actions({ connected, kept, path, again, name }) {
  const [traced, setTraced] = useState(null);
  return (
    <>
      <p class="acts">
        {connected && <Act label="Disconnect" sure="Really disconnect?" run={() => ask("DELETE", path).then(again)} />}
        {kept && <Act label="Drop session" sure="Really drop all that waits?" run={() => ask("DELETE", path + "?session=true").then(again)} />}
        <button type="button" aria-pressed={!!traced} onClick={() => setTraced(traced ? null : name)}>{traced ? "End the trace" : "Trace for 5 min"}</button>
      </p>
      {traced && <Trace name={name} />}
    </>
  );
}

// Trace shows what a client does, as it does it; never a payload.
function Trace({ name }) {
  const [list, setList] = useState([]), [over, setOver] = useState(false);
  useEffect(() => {
    const source = new EventSource("api/v1/trace" + query({ client: name }));
    source.addEventListener("trace", e => {
      const all = JSON.parse(e.data);
      if (all.some(l => l.what === "end")) (source.close(), setOver(true));
      if (all.length) setList(old => [...all.reverse(), ...old].slice(0, 300));
    });
    return () => source.close();
  }, [name]);
  return (
    <>
      <h3>Trace {over ? "(over)" : "(running)"}</h3>
      {!list.length && <p class="mut">Nothing yet.</p>}
      {list.length > 0 && <div class="log short scroll" tabIndex={0} role="region" aria-label="Trace">{list.map((l, i) => (
        <div key={list.length - i}><time>{clock(l.time * 1000)}</time> <span class={"lv8 " + (kinds[l.what] || "")}>{l.what}</span> {l.what === "message" ? <><a href={"#/topics/" + encodeURIComponent(l.topic)}>{l.topic}</a> {size(l.size)}, QoS {l.qos}{l.retain && ", retained"}</> : l.text}</div>
      ))}</div>}
    </>
  );
}

function One({ name, admin }) {
  const path = "clients/" + encodeURIComponent(name);
  const [c, err, again] = useAsk(path, 2);
  if (err && !c) return <Card title={name} action={<a href="#/clients">Close</a>}><Failure err={err} /></Card>;
  if (!c) return null;
  const facts = !c.protocol ? [["State", "has no session"]] : [
    ["User", c.user || "nobody in particular"], ["Address", c.local ? "this gateway" : c.remote || "–"], ["Listener", c.listener || "–"], ["MQTT", c.protocol],
    ["Keep alive", c.keep_alive ? age(c.keep_alive) : "off"], ["Session", c.session_expiry < 0 ? "kept for ever" : c.session_expiry ? "kept " + age(c.session_expiry) : "ends with the connection"],
    ["Clean start", c.clean_start ? "yes" : "no"], ["Subscriptions", num(c.subscriptions)], ["Received from it", num(c.received)], ["Sent to it", num(c.sent)],
    ["Waiting", plural(c.waiting, "message") + (c.waiting ? ", " + size(c.waiting_bytes) : "")], ["In flight", num(c.in_flight)], ["Dropped", num(c.dropped)], ["Last end", c.last_end || "–"],
  ];
  return (
    <Card title={<span class="name">{c.id}</span>} note={c.protocol && state(c)} action={<a href="#/clients">Close</a>} aria-label={"Client " + c.id}>
      <Failure err={err} />
      <dl class="facts">{facts.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
      {c.events && <>
        <h3>Last events</h3>
        <div class="log short scroll" tabIndex={0} role="region" aria-label="Last events">{[...c.events].reverse().map((e, i) => <div key={i}><time dateTime={e.time}>{clock(e.time)}</time> <span class={"lv8 " + (kinds[e.what] || "")}>{e.what}</span> {e.text}{e.count > 1 && <span class="mut"> × {num(e.count)}</span>}</div>)}</div>
      </>}
      {admin && !c.local && <Actions name={name} connected={c.connected} kept={!!c.protocol} path={path} again={again} />}
    </Card>
  );
}
