// Clients: sessions, one of them in detail, and what an admin may do to them.
import { useState } from "preact/hooks";
import { ask, query } from "./api.js";
import { age, num, plural, size } from "./format.js";
import { Act, Card, Empty, Failure, Pill, useAsk } from "./parts.jsx";

export function Clients({ name, admin }) {
  const [q, setQ] = useState(""), [state, setState] = useState(""), [limit, setLimit] = useState(50);
  const [doc, err] = useAsk("clients" + query({ q, state, limit }), 3);
  return (
    <>
      {name && <One name={name} admin={admin} />}
      <Card title="Clients" note={doc && num(doc.total)}>
        <div class="bar">
          <label>Find <input type="search" value={q} placeholder="client or user" onInput={e => setQ(e.target.value)} /></label>
          <label>State <select value={state} onChange={e => setState(e.target.value)}><option value="">all</option><option>connected</option><option>offline</option></select></label>
        </div>
        <Failure err={err} />
        {doc && (doc.clients.length ? <Table list={doc.clients} /> : <Empty title="Nobody here"><p>{q || state ? "No client is like that." : "Connect one: "}{!q && !state && <code>mosquitto_sub -h {location.hostname} -t '#' -v</code>}</p></Empty>)}
        {doc && doc.total > doc.clients.length && (limit < 1000
          ? <p class="more"><button type="button" onClick={() => setLimit(Math.min(1000, limit * 4))}>Show more</button> {num(doc.clients.length)} of {num(doc.total)}</p>
          : <p class="more">The first {num(doc.clients.length)} of {num(doc.total)} are shown: narrow the search.</p>)}
      </Card>
    </>
  );
}

const state = c => (c.connected ? <Pill k="ok">{age(c.since)}</Pill> : <Pill k="idle">offline {age(c.since)}</Pill>);

const Table = ({ list }) => (
  <div class="scroll" tabIndex={0} role="region" aria-label="Clients">
    <table><thead><tr><th>Client</th><th class="hide-s">User</th><th class="hide-s">Address</th><th class="hide-s">MQTT</th><th class="n hide-s">Subscriptions</th><th class="n">In</th><th class="n">Out</th><th class="n">Waiting</th><th class="n hide-s">Dropped</th><th>State</th></tr></thead>
      <tbody>{list.map(c => (
        <tr key={c.id}>
          <td class="name"><a href={"#/clients/" + encodeURIComponent(c.id)}>{c.id}</a></td>
          <td class="hide-s">{c.user || <span class="mut">–</span>}</td>
          <td class="hide-s">{c.local ? <span class="mut">this gateway</span> : c.remote || "–"}</td>
          <td class="hide-s">{c.protocol}</td>
          <td class="n hide-s">{num(c.subscriptions)}</td><td class="n">{num(c.received)}</td><td class="n">{num(c.sent)}</td><td class="n">{num(c.waiting)}</td><td class="n hide-s">{num(c.dropped)}</td>
          <td>{state(c)}</td>
        </tr>
      ))}</tbody></table>
  </div>
);

function One({ name, admin }) {
  const path = "clients/" + encodeURIComponent(name);
  const [c, err, again] = useAsk(path, 2);
  if (err && !c) return <Card title={name} action={<a href="#/clients">Close</a>}><Failure err={err} /></Card>;
  if (!c) return null;
  const facts = [
    ["User", c.user || "nobody in particular"], ["Address", c.local ? "this gateway" : c.remote || "–"], ["Listener", c.listener || "–"], ["MQTT", c.protocol],
    ["Keep alive", c.keep_alive ? age(c.keep_alive) : "off"], ["Session", c.session_expiry < 0 ? "kept for ever" : c.session_expiry ? "kept " + age(c.session_expiry) : "ends with the connection"],
    ["Clean start", c.clean_start ? "yes" : "no"], ["Subscriptions", num(c.subscriptions)], ["Received from it", num(c.received)], ["Sent to it", num(c.sent)],
    ["Waiting", plural(c.waiting, "message") + (c.waiting ? ", " + size(c.waiting_bytes) : "")], ["In flight", num(c.in_flight)], ["Dropped", num(c.dropped)], ["Last end", c.last_end || "–"],
  ];
  return (
    <Card title={<span class="name">{c.id}</span>} note={state(c)} action={<a href="#/clients">Close</a>} aria-label={"Client " + c.id}>
      <Failure err={err} />
      <dl class="facts">{facts.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>
      {admin && !c.local && <p class="acts">{c.connected && <Act label="Disconnect" sure="Really disconnect?" run={() => ask("DELETE", path).then(again)} />}</p>}
    </Card>
  );
}
