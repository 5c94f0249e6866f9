// Pieces that pages are made of.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { get, query } from "./api.js";
import { num } from "./format.js";

const marks = { ok: "✓", warn: "!", bad: "✕", idle: "–" };

export const Pill = ({ k, children }) => <span class={"pill " + k}><span aria-hidden="true">{marks[k]}</span> {children}</span>;

export const Card = ({ w = 12, title, note, action, class: more = "", children, ...rest }) => (
  <section class={`card c${w} ${more}`} {...rest}>
    {title && <h2>{title} {note && <span>{note}</span>}{action}</h2>}
    {children}
  </section>
);

export const Empty = ({ title, children }) => <div class="empty"><b>{title}</b>{children}</div>;

// Spark is a small plot without axes; null is a gap.
export function Spark({ v = [], label }) {
  const known = v.filter(x => x != null);
  if (known.length < 2) return <svg viewBox="0 0 100 26" aria-hidden="true" />;
  const low = Math.min(...known), height = Math.max(...known) - low || 1;
  let d = "", pen = "M";
  v.forEach((y, i) => {
    if (y == null) return void (pen = "M");
    d += `${pen}${((i / (v.length - 1)) * 100).toFixed(1)} ${(23 - ((y - low) / height) * 20).toFixed(1)}`;
    pen = "L";
  });
  return <svg viewBox="0 0 100 26" preserveAspectRatio="none" role="img" aria-label={`${label}: ${num(known[0], 1)} to ${num(known[known.length - 1], 1)}`}><path d={d} /></svg>;
}

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const short = v => (Math.abs(v) >= 1e6 ? num(v / 1e6, 1) + "M" : Math.abs(v) >= 1e4 ? num(v / 1e3, 1) + "k" : num(v, 3));

// Plot draws series over time. data is [times, ...values]; cols names each and
// its color; down are [from, to] spans to shade. A table shows the same.
export function Plot({ data, cols, height = 190, zero, down = [], label }) {
  const el = useRef(), plot = useRef(), spans = useRef(down);
  const [table, setTable] = useState(false);
  const dark = useDark();
  spans.current = down;
  useEffect(() => {
    if (table) return;
    const axis = { stroke: color("--mut"), grid: { stroke: color("--grid"), width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 46 };
    const fill = color("--badbg"), stepped = cols[0][3];
    const range = (u, low, high) => {
      if (low == null) return [0, 1];
      if (stepped) return [-0.1, 1.1];
      if (zero) return [0, Math.max(high * 1.1, 1)];
      const room = (high - low) * 0.1 || Math.abs(high) * 0.05 || 1;
      return [low - room, high + room];
    };
    plot.current = new uPlot({
      width: el.current.clientWidth || 300, height, legend: { show: false }, cursor: { y: false, drag: { x: false } },
      scales: { y: { range } },
      axes: [{ ...axis, size: 28, space: 64, values: (u, v) => v.map(t => new Date(t * 1000).toLocaleTimeString("en-GB").slice(0, v[v.length - 1] - v[0] < 300 ? 8 : 5)) }, { ...axis, values: (u, v) => v.map(y => !stepped ? short(y) : y === 0 ? "off" : y === 1 ? "on" : "") }],
      series: [{}, ...cols.map(c => ({ stroke: color(c[1]), width: 1.6, fill: c[2] && color(c[1]) + "22", points: { show: false }, paths: c[3] && uPlot.paths.stepped({ align: 1 }) }))],
      hooks: {
        drawClear: [u => spans.current.forEach(([a, b]) => {
          const x = Math.max(u.bbox.left, u.valToPos(a, "x", true)), end = Math.min(u.bbox.left + u.bbox.width, u.valToPos(b, "x", true));
          if (end <= x) return;
          u.ctx.fillStyle = fill;
          u.ctx.fillRect(x, u.bbox.top, end - x, u.bbox.height);
        })],
      },
    }, data, el.current);
    const watch = new ResizeObserver(() => el.current && plot.current.setSize({ width: el.current.clientWidth, height }));
    watch.observe(el.current);
    return () => {
      watch.disconnect();
      plot.current.destroy();
    };
  }, [table, dark, cols.map(String).join()]);
  useEffect(() => {
    if (!table && plot.current) plot.current.setData(data);
  });
  return (
    <div class="plot">
      <p class="legend">
        {cols.map(c => <span key={c[0]}><i class={"k" + c[1]} />{c[0]}</span>)}
        {down.length > 0 && <span><i class="kdown" />link down</span>}
        <button type="button" class="quiet" aria-pressed={table} onClick={() => setTable(!table)}>{table ? "Plot" : "Table"}</button>
      </p>
      {table ? <Numbers data={data} cols={cols} label={label} /> : <div ref={el} role="img" aria-label={label} style={{ height: height + "px" }} />}
    </div>
  );
}

function Numbers({ data, cols, label }) {
  const rows = data[0].map((t, i) => i).slice(-60).reverse();
  return (
    <div class="scroll short" tabIndex={0} role="region" aria-label={label}>
      <table><thead><tr><th>Time</th>{cols.map(c => <th class="n" key={c[0]}>{c[0]}</th>)}</tr></thead>
        <tbody>{rows.map(i => <tr key={i}><td>{new Date(data[0][i] * 1000).toLocaleTimeString("en-GB")}</td>{cols.map((c, k) => <td class="n" key={c[0]}>{num(data[k + 1][i], 3)}</td>)}</tr>)}</tbody></table>
    </div>
  );
}

function useDark() {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const [dark, set] = useState(media.matches);
  useEffect(() => {
    const f = e => set(e.matches);
    media.addEventListener("change", f);
    return () => media.removeEventListener("change", f);
  }, []);
  return dark;
}

// useAsk asks for a document: now, when path changes, and each `every` seconds
// while the tab is shown. It returns [document, error, again].
export function useAsk(path, every = 0) {
  const [state, set] = useState({});
  const turn = useRef(0);
  const load = () => {
    const mine = ++turn.current;
    if (!path) return Promise.resolve();
    return get(path).then(doc => mine === turn.current && set({ path, doc }), err => mine === turn.current && set(s => ({ path, doc: s.path === path ? s.doc : undefined, err })));
  };
  useEffect(() => {
    load();
    if (!every) return () => turn.current++;
    const timer = setInterval(() => document.hidden || load(), every * 1000);
    return () => {
      turn.current++;
      clearInterval(timer);
    };
  }, [path, every]);
  const own = state.path === path;
  return [own ? state.doc : undefined, own ? state.err : undefined, load];
}

// useHistory returns {times, series: {name: values}, step} of names with one of
// the prefixes.
export function useHistory(series, span, points = 300) {
  const [doc] = useAsk(series && "history" + query({ series, span, points }), 10);
  // A gateway that does not know the time, or a phone that does not, has its
  // history beside what the page sees, not years away.
  const end = useMemo(() => doc && (Math.abs(Date.now() / 1000 - doc.end) > 30 + doc.step ? Date.now() / 1000 : doc.end), [doc]);
  if (!doc) return { times: [], series: {} };
  const out = { times: [], series: {}, step: doc.step, ready: true };
  const n = doc.series.length ? doc.series[0].values.length : 0;
  for (let i = 0; i < n; i++) out.times.push(end - (n - 1 - i) * doc.step);
  doc.series.forEach(s => (out.series[s.name] = s.values));
  return out;
}

// Failure shows an error of the API.
export const Failure = ({ err }) => err ? <p class="failure" role="alert"><b>{err.message}</b>{err.detail && <span> {err.detail}</span>}</p> : null;

// Act is a button that asks twice before it does what cannot be undone.
export function Act({ label, sure, run, kind = "" }) {
  const [state, set] = useState("");
  const [err, setErr] = useState();
  const go = () => {
    if (sure && state !== "sure") {
      set("sure");
      return;
    }
    set("busy");
    setErr();
    Promise.resolve().then(run).catch(setErr).finally(() => set(""));
  };
  return (
    <span class="act">
      <button type="button" class={kind + (state === "sure" ? " danger" : "")} disabled={state === "busy"} onClick={go} onBlur={() => state === "sure" && set("")}>{state === "sure" ? sure : label}</button>
      <Failure err={err} />
    </span>
  );
}

export const Copy = ({ text, label = "Copy" }) => {
  const [done, set] = useState(false);
  if (!navigator.clipboard) return null; // browsers keep it for https and this machine
  return <button type="button" class="quiet" onClick={() => navigator.clipboard.writeText(text).then(() => set(true))}>{done ? "Copied" : label}</button>;
};
