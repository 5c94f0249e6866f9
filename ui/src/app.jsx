// The page: who is there, which part is shown, and the frame around it.
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ask, get } from "./api.js";
import { Bridges } from "./bridges.jsx";
import { Clients } from "./clients.jsx";
import { Config } from "./config.jsx";
import { Devices } from "./devices.jsx";
import { Logs } from "./logs.jsx";
import { pause, start, stop, useLive } from "./live.js";
import { Overview } from "./overview.jsx";
import { Failure } from "./parts.jsx";
import { Topics } from "./topics.jsx";
import { bridge, device } from "./words.js";

const pages = { overview: Overview, clients: Clients, topics: Topics, devices: Devices, bridges: Bridges, logs: Logs, config: Config };

function where() {
  const [, page, name] = location.hash.match(/^#\/(\w+)(?:\/(.*))?$/) || [];
  let decoded = "";
  try {
    decoded = name ? decodeURIComponent(name) : "";
  } catch {
    // a broken address names nothing
  }
  return pages[page] ? { page, name: decoded } : { page: "overview", name: "" };
}

const Bird = () => <svg viewBox="0 0 24 24" fill="currentColor" aria-hidden="true"><path d="M2 11c3-1 5-3 8-5 2.5-1.6 6-1.3 8 1l4 1-3.4 1.4C18 13 15 16 10.5 16H10l1 5H9.4l-1.6-5.4C5.5 14.8 3.6 13.2 2 11z" /></svg>;

function App() {
  const [who, setWho] = useState();
  const check = () => get("session").then(setWho, () => setTimeout(check, 3000));
  useEffect(() => void check(), []);
  if (!who) return <main class="center"><p class="mut">Connecting …</p></main>;
  return who.role === "open" ? <Login done={setWho} /> : <Frame who={who} check={check} />;
}

function Login({ done }) {
  const [user, setUser] = useState(""), [password, setPassword] = useState(""), [err, setErr] = useState(), [busy, setBusy] = useState(false);
  const submit = e => {
    e.preventDefault();
    setBusy(true);
    ask("POST", "login", { user, password }).then(done, setErr).finally(() => setBusy(false));
  };
  return (
    <main class="center">
      <form class="card login" onSubmit={submit}>
        <h1 class="brand"><Bird />dunlin</h1>
        <label class="block">User <input autocomplete="username" autocapitalize="none" spellcheck={false} value={user} onInput={e => setUser(e.target.value)} autofocus /></label>
        <label class="block">Password or token <input type="password" autocomplete="current-password" value={password} onInput={e => setPassword(e.target.value)} required /></label>
        <button type="submit" class="main" disabled={busy}>Log in</button>
        <Failure err={err} />
        <p class="mut small">Users are those of the MQTT server ('dunlin passwd'); admins are in auth.admins. A token of http.tokens needs no user.</p>
      </form>
    </main>
  );
}

function Frame({ who, check }) {
  const live = useLive(), s = live.status;
  const [at, setAt] = useState(where());
  const main = useRef(), first = useRef(true);
  useEffect(() => {
    start(check);
    const moved = () => {
      setAt(old => {
        const next = where();
        if (next.page !== old.page) scrollTo(0, 0);
        return next;
      });
    };
    addEventListener("hashchange", moved);
    return () => {
      stop();
      removeEventListener("hashchange", moved);
    };
  }, []);
  const title = at.page[0].toUpperCase() + at.page.slice(1);
  useEffect(() => {
    document.title = `${at.name || title}${s ? " · " + s.node : ""} · dunlin`;
  }, [at.page, at.name, s && s.node]);
  useEffect(() => {
    document.querySelector("nav [aria-current]").scrollIntoView({ block: "nearest", inline: "nearest" });
    if (first.current) first.current = false;
    else main.current.focus({ preventScroll: true }); // tells screen readers of the new page
  }, [at.page]);
  const badges = s ? { bridges: s.bridges.filter(b => bridge(b)[0] === "bad").length, devices: s.devices.filter(d => device(d)[0] === "bad").length } : {};
  const Page = pages[at.page], admin = who.role === "admin";
  return (
    <>
      <a class="skip" href="#main" onClick={e => (e.preventDefault(), main.current.focus())}>Skip to content</a>
      <header>
        <div class="brand"><Bird />dunlin <small>{s && s.node}</small></div>
        <nav aria-label="Main">{Object.keys(pages).map(p => (
          <a key={p} href={"#/" + p} aria-current={p === at.page ? "page" : undefined}>{p[0].toUpperCase() + p.slice(1)}{badges[p] > 0 && <span class="badge">{badges[p]}<span class="away"> {badges[p] === 1 ? "problem" : "problems"}</span></span>}</a>
        ))}</nav>
        <div class="live">
          <span class={"dot " + (live.paused ? "off" : live.link)} aria-hidden="true" />{live.paused ? "Paused" : live.link === "live" ? "Live" : live.link === "lost" ? "Lost" : "…"}
          <button type="button" onClick={() => pause(!live.paused)} aria-pressed={live.paused}>{live.paused ? "Go on" : "Pause"}</button>
          <Who who={who} out={() => ask("POST", "logout").then(check, check)} />
        </div>
      </header>
      <main id="main" tabIndex={-1} ref={main}>
        <h1 class="away">{title}</h1>
        {live.link === "lost" && <p class="failure c12" role="alert"><b>The gateway does not answer.</b> The page tries again; what it shows is what it last knew.</p>}
        {s ? <Page name={at.name} admin={admin} node={s.node} base={s.base} /> : <p class="mut c12">Asking the gateway …</p>}
      </main>
      <footer>{s && <>dunlin {s.version} · {who.user}{admin ? "" : ", may look"}</>}</footer>
    </>
  );
}

const Who = ({ who, out }) => (who.login ? <button type="button" onClick={out}>Log out</button> : null);

render(<App />, document.body);
