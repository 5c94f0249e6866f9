// The state of the gateway, each second, while somebody looks: one stream of
// server-sent events. It closes with the page or when the tab is hidden.
import { useEffect, useState } from "preact/hooks";

const kept = 900; // seconds of points
const span = 5; // seconds that a rate is averaged over

const live = { status: null, rates: null, samples: [], link: "connecting", paused: false };
const readers = new Set();
let source = null;
let denied = () => {};

const tell = () => readers.forEach(f => f({}));

function take(status) {
  const t = Date.now() / 1000;
  const sum = (list, key) => list.reduce((n, x) => n + x[key], 0);
  const s = {
    t, received: status.broker.published, sent: status.broker.sent,
    accepted: sum(status.bridges, "accepted"), acked: sum(status.bridges, "acked"), readings: sum(status.devices, "ok"),
    waiting: Object.fromEntries(status.bridges.map(b => [b.name, b.waiting])),
    bridges: Object.fromEntries(status.bridges.map(b => [b.name, b])),
    clients: status.broker.clients, memory: status.memory, written: status.store.written,
  };
  const list = live.samples;
  if (list.length && s.received < list[list.length - 1].received) list.length = 0; // it has started anew
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
  const dt = now.t - before.t;
  const per = key => (dt > 0 ? Math.max(0, now[key] - before[key]) / dt : null);
  const bridge = {};
  for (const name in now.bridges) {
    const b = now.bridges[name], a = before.bridges[name];
    bridge[name] = { acked: dt > 0 && a ? Math.max(0, b.acked - a.acked) / dt : null, accepted: dt > 0 && a ? Math.max(0, b.accepted - a.accepted) / dt : null };
  }
  return { received: per("received"), sent: per("sent"), accepted: per("accepted"), acked: per("acked"), readings: per("readings"), bridge };
}

function open() {
  if (source || live.paused || document.hidden) return;
  source = new EventSource("api/v1/events");
  source.addEventListener("status", e => take(JSON.parse(e.data)));
  source.onerror = () => {
    live.link = "lost";
    tell();
    if (source && source.readyState === EventSource.CLOSED) {
      close();
      denied(); // the login has ended, or the gateway is another one
      setTimeout(open, 3000);
    }
  };
}

function close() {
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
