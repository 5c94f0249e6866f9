// The state of the gateway, each second, while somebody looks: one stream of
// server-sent events, the whole first, then what is different. It closes with
// the page or when the tab is hidden.
import { useEffect, useState } from "preact/hooks";

const kept = 900; // seconds of points
const span = 5; // seconds that a rate is averaged over
const patience = 30; // seconds without a word until the gateway is asked anew

const live = { status: null, rates: null, samples: [], link: "connecting", paused: false };
const readers = new Set();
let source = null;
let timer = 0; // looks after the stream, or opens it again
let denied = null; // is told that the login has ended; null: nobody looks

const tell = () => readers.forEach(f => f({}));

function take(status) {
  const t = Date.now() / 1000;
  const sum = (list, key) => list.reduce((n, x) => n + x[key], 0);
  const s = {
    t, up: status.uptime, received: status.broker.published, sent: status.broker.sent,
    accepted: sum(status.bridges, "accepted"), acked: sum(status.bridges, "acked"), readings: sum(status.devices, "ok"),
    waiting: Object.fromEntries(status.bridges.map(b => [b.name, b.waiting])),
    bridges: Object.fromEntries(status.bridges.map(({ name, state, paused, attempts, since, acked, accepted }) => [name, { state, paused, attempts, since, acked, accepted }])),
    clients: status.broker.clients, memory: status.memory, written: status.store.written,
  };
  const list = live.samples;
  const last = list[list.length - 1];
  if (last && (s.up < last.up || t < last.t || t - last.t > 2 * patience)) list.length = 0; // it has started anew, or nobody looked
  list.push(s);
  if (list.length > kept) list.shift();
  live.status = status;
  live.rates = rates(list.length - 1);
  s.rates = live.rates;
  live.link = "live";
  tell();
}

// rates are a second's, up to the sample at i.
function rates(i) {
  const list = live.samples, now = list[i];
  const before = list[Math.max(0, i - span)];
  const dt = now.up - before.up;
  const per = key => (dt > 0 ? Math.max(0, now[key] - before[key]) / dt : null);
  const bridge = {};
  for (const name in now.bridges) {
    const b = now.bridges[name], a = before.bridges[name];
    bridge[name] = { acked: dt > 0 && a ? Math.max(0, b.acked - a.acked) / dt : null, accepted: dt > 0 && a ? Math.max(0, b.accepted - a.accepted) / dt : null };
  }
  return { received: per("received"), sent: per("sent"), accepted: per("accepted"), acked: per("acked"), readings: per("readings"), bridge };
}

// aged are rows that are as they were, but for those that changed: their ages
// have grown.
function aged(rows, changed, passed, ages) {
  const anew = new Map(changed.map(x => [x.name, x]));
  return rows.map(x => anew.get(x.name) || { ...x, ...Object.fromEntries(ages.map(k => [k, x[k] > 0 ? x[k] + passed : x[k]])) });
}

function change(news) {
  const old = live.status, passed = news.uptime - old.uptime;
  take({
    ...news, attention: news.attention || old.attention, devices: aged(old.devices, news.devices, passed, ["age"]),
    bridges: aged(old.bridges, news.bridges, passed, ["since", "last_ack", "oldest", "ack_age"]),
  });
}

function open() {
  if (source || !denied || live.paused || document.hidden) return;
  source = new EventSource("api/v1/events?changes=true");
  for (const [name, f] of [["status", take], ["changes", change]]) source.addEventListener(name, e => (watch(), f(JSON.parse(e.data))));
  watch();
  source.onerror = () => {
    lost();
    if (source && source.readyState === EventSource.CLOSED) {
      close();
      timer = setTimeout(open, 3000);
      denied(); // the login has ended, or the gateway is another one
    }
  };
}

// watch gives up a stream that says nothing, as one of a network that a phone
// has left.
function watch() {
  clearTimeout(timer);
  timer = setTimeout(() => (lost(), close(), open()), patience * 1000);
}

function lost() {
  live.link = "lost";
  tell();
}

function close() {
  clearTimeout(timer);
  if (source) source.close();
  source = null;
}

document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));

export function start(onDenied) {
  denied = onDenied;
  open();
}

export function stop() {
  close();
  denied = null;
  live.status = live.rates = null;
  live.samples.length = 0;
  live.link = "connecting";
}

export function pause(on) {
  live.paused = on;
  on ? close() : open();
  tell();
}

// useLive returns the state, and renders anew when it changes.
export function useLive() {
  const [, set] = useState();
  useEffect(() => {
    readers.add(set);
    return () => readers.delete(set);
  }, []);
  return live;
}
