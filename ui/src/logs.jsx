// Logs: the newest lines, as they come.
import { useEffect, useRef, useState } from "preact/hooks";
import { get, query } from "./api.js";
import { clock } from "./format.js";
import { Card, Copy, Empty, Failure } from "./parts.jsx";

const shown = 500;
const kinds = { DEBUG: "mut", INFO: "", WARN: "w", ERROR: "e" };

export const Line = ({ l }) => <div><time dateTime={l.time}>{clock(l.time)}</time> <span class={"lv " + kinds[l.level]}>{l.level}</span> <span class="mut">{l.part}</span> {l.text}</div>;

export function Logs() {
  const [level, setLevel] = useState(""), [part, setPart] = useState(""), [q, setQ] = useState(""), [paused, setPaused] = useState(false);
  const [list, setList] = useState(null), [err, setErr] = useState();
  const parts = useRef(new Set());
  useEffect(() => {
    let last = 0, ended = false, timer;
    const load = async () => {
      try {
        if (!document.hidden && (!paused || !last)) {
          const doc = await get("logs" + query({ level, part, q, after: last || "", limit: shown }));
          if (ended) return;
          doc.lines.forEach(l => parts.current.add(l.part));
          if (doc.lines.length || !last) {
            const all = !last;
            last = doc.lines.length ? doc.lines[doc.lines.length - 1].id : last;
            setList(old => (all || !old ? doc.lines : [...old, ...doc.lines].slice(-shown)));
          }
          setErr();
        }
      } catch (e) {
        if (!ended) setErr(e);
      }
      if (!ended) timer = setTimeout(load, 2000);
    };
    load();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [level, part, q, paused]);
  const text = () => (list || []).map(l => [l.time, l.level, l.part, l.text].join(" ")).join("\n");
  return (
    <Card title="Logs" note={list && `the newest ${list.length}, newest first`} action={list && list.length > 0 && <Copy text={text()} />}>
      <div class="bar">
        <label>Level <select value={level} onChange={e => setLevel(e.target.value)}><option value="">all</option><option value="info">info and above</option><option value="warn">warnings and errors</option><option value="error">errors</option></select></label>
        <label>Part <select value={part} onChange={e => setPart(e.target.value)}><option value="">all</option>{[...parts.current].filter(Boolean).sort().map(p => <option key={p}>{p}</option>)}</select></label>
        <label>Find <input type="search" value={q} onInput={e => setQ(e.target.value)} /></label>
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>{paused ? "Go on" : "Pause"}</button>
      </div>
      <Failure err={err} />
      {list && !list.length && <Empty title="No lines"><p>The gateway keeps the newest 1,000 lines in memory; none of them is like that.</p></Empty>}
      {list && list.length > 0 && (
        <div class="log scroll" tabIndex={0} role="region" aria-label="Lines of the log">
          {[...list].reverse().map(l => <Line l={l} key={l.id} />)}
        </div>
      )}
    </Card>
  );
}
