// The page in a real browser against the real program:
//   node browser.mjs PROGRAM
// SHOTS=dir keeps pictures of every page; ONLY=pages,journeys,... runs a part.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { World, raw, tokens, until, wait } from "./gateway.mjs";
import { connect, publish, subscribe } from "./mqtt.mjs";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const only = (process.env.ONLY || "").split(",").filter(Boolean);

let world, browser;
const errors = [];

// open makes a window of its own, logged in unless password is null.
async function open({ width = 1280, scheme = "light", user = "alice", password = "correct horse", ahead = 0, base = world.base } = {}) {
  const context = await browser.newContext({ viewport: { width, height: width < 600 ? 844 : 900 }, colorScheme: scheme, reducedMotion: "reduce", hasTouch: width < 600 });
  if (ahead) await context.addInitScript(s => { const now = Date.now; Date.now = () => now() + s * 1000; }, ahead);
  const page = await context.newPage();
  page.on("console", m => m.type() === "error" && !/Failed to load resource/.test(m.text()) && errors.push(`${page.url()}: ${m.text()}`));
  page.on("pageerror", e => errors.push(`${page.url()}: ${e}`));
  page.on("request", r => r.url().startsWith(base) || r.url().startsWith("data:") || errors.push(`asks elsewhere: ${r.url()}`));
  if (password !== null) {
    const r = await fetch(world.base + "api/v1/login", { method: "POST", body: JSON.stringify({ user, password }) });
    assert.equal(r.status, 200, "log in as " + (user || "a token"));
    const [name, value] = r.headers.get("set-cookie").split(";")[0].split("=");
    await context.addCookies([{ name, value, url: world.base, httpOnly: true, sameSite: "Strict" }]);
  }
  return page;
}

const show = async (page, at) => {
  await page.goto(world.base + "#/" + at);
  await page.waitForSelector("main .card, main .path");
};

// looks are the faults of a page that a program can see.
async function look(page, name) {
  const over = await page.evaluate(() => (scrollTo(0, 0), document.documentElement.scrollWidth - innerWidth)); // at its top nothing is below the header
  assert.ok(over <= 0, `${name}: ${over} px too wide`);
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(found.violations.map(v => `${v.id}: ${v.nodes.map(n => n.target + " " + n.failureSummary).join("; ")}`), [], name);
  return found.passes.length;
}

const places = {
  overview: ".path", clients: "table", "clients/visitor": ".facts", "topics": "[role=treeitem]", "topics/site%2Froom": "pre", "topics/dunlin%2F%23": ".log",
  devices: ".device", "devices/greenhouse": ".plot canvas", "devices/cellar": ".why", bridges: ".plot canvas", "bridges/cloud": ".facts", logs: ".log", config: "table",
};

async function pages() {
  const visitor = await connect(world.mqtt, "visitor");
  publish(visitor, "site/room", JSON.stringify({ temperature: 21.5, open: false, note: "<img src=x onerror=alert(1)>" }), true);
  let count = 0, passes = 0;
  for (const scheme of ["light", "dark"]) for (const width of [1280, 390]) {
    const page = await open({ width, scheme });
    const shot = async at => process.env.SHOTS && page.screenshot({ path: path.join(process.env.SHOTS, `${at.replace(/\W+/g, "-")}-${scheme}-${width}.png`), fullPage: true });
    for (const at in places) {
      await show(page, at);
      await page.waitForSelector("main " + places[at]);
      await wait(150);
      passes += await look(page, `${at} ${scheme} ${width}`);
      await shot(at);
      count++;
    }
    const out = await open({ width, scheme, password: null });
    await out.goto(world.base);
    await out.waitForSelector("form.login");
    passes += await look(out, `login ${scheme} ${width}`);
    count++;
    if (process.env.SHOTS) await out.screenshot({ path: path.join(process.env.SHOTS, `login-${scheme}-${width}.png`) });
    await out.context().close();
    await page.context().close();
  }
  visitor.destroy();
  const narrow = await open({ width: 320 });
  for (const at of Object.keys(places)) {
    await show(narrow, at);
    const over = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${at} at 320 px: ${over} px too wide`);
  }
  await narrow.context().close();
  return `${count} pages, ${passes} checks of axe-core passed, 0 violated, nothing too wide, also at 320 px`;
}

const number = async (page, selector) => Number((await page.textContent(selector)).replace(/[^\d.]/g, ""));

async function journeys() {
  const page = await open({ password: null });
  await page.goto(world.base);
  await page.fill("input[autocomplete=username]", "alice");
  await page.fill("input[type=password]", "wrong horse");
  await page.click("text=Log in");
  await page.waitForSelector("[role=alert]:has-text('wrong')");
  await page.fill("input[type=password]", "correct horse");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".path");
  assert.equal(await page.evaluate(() => document.cookie), "", "scripts must not see the login");

  // A client appears, its messages too, and it is shown the door.
  const visitor = await connect(world.mqtt, "esp-17");
  subscribe(visitor, "cmd/#");
  const feed = setInterval(() => publish(visitor, "site/lamp", JSON.stringify({ watts: Math.round(Math.random() * 90), on: true }), true), 100);
  await until("the rate of messages rises", 15, async () => (await number(page, ".tile:first-child b")) > 15);
  await show(page, "topics/site%2Flamp");
  await page.waitForSelector(".plot canvas");
  await page.click("button:has-text('Diff')");
  await page.waitForSelector("pre .add");
  await show(page, "clients");
  await page.selectOption("label:has-text('First') select", "busy");
  await page.waitForSelector("tbody tr:first-child :text-is('esp-17')");
  assert.equal(await page.locator("tbody :text-is('api')").count(), 0, "the gateway's own clients are among the others");
  await page.check("label:has-text('own too') input");
  await page.waitForSelector("tbody :text-is('api')");
  await show(page, "clients/esp-17");
  await page.waitForSelector("[aria-label='Last events'] >> text=subscribed");
  await page.click("button:has-text('Trace for 5 min')");
  await page.waitForSelector("[aria-label=Trace] >> text=site/lamp");
  await page.click("button:has-text('Disconnect')");
  await page.click("button:has-text('Really disconnect?')");
  await Promise.race([visitor.closed_, wait(10_000).then(() => assert.fail("esp-17 is still connected"))]);
  clearInterval(feed);
  const sleeper = await connect(world.mqtt, "old-phone", { clean: false });
  sleeper.destroy();
  await show(page, "clients/old-phone");
  await page.click("button:has-text('Drop session')");
  await page.click("button:has-text('Really drop all that waits?')");
  await until("the session is gone", 10, async () => !(await world.api("GET", "clients/old-phone")).doc.protocol);

  // A retained message is written and cleared by the page.
  await show(page, "topics/site%2Fnote");
  const card = name => page.locator(".card", { has: page.locator(`h2:text-is("${name}")`) });
  await card("Publish").locator("textarea").fill("hello");
  await card("Publish").locator("input[type=checkbox]").check();
  await card("Publish").locator("button:has-text('Publish')").click();
  await page.waitForSelector("pre.value:has-text('hello')");
  assert.equal((await world.api("GET", "topic?topic=site/note")).doc.payload, "hello");
  await card("Clear retained").locator("button:has-text('Find')").click();
  await card("Clear retained").locator("button:has-text('Clear 1')").click();
  await card("Clear retained").locator("button:has-text('Really clear?')").click();
  await page.waitForSelector("text=1 cleared");
  assert.equal((await world.api("GET", "topic?topic=site/note")).status, 404);

  // The configuration: what a reload would change, and a text with a mistake.
  await show(page, "config");
  assert.ok(!(await page.content()).includes(tokens.admin), "the configuration shows a token");
  await page.click("button:has-text('What would change?')");
  await page.waitForSelector("text=Nothing is different");
  await page.fill("textarea", "nod: barn\n");
  await page.click("button:has-text('Check')");
  await page.waitForSelector("pre:has-text('did you mean node?')");
  await show(page, "devices/greenhouse");
  const device = async () => (await world.api("GET", "status")).doc.devices.find(d => d.name === "greenhouse");
  const good = (await device()).ok;
  await page.click("button:has-text('Read now')");
  await until("greenhouse is read", 10, async () => (await device()).ok > good);
  await page.click("button:has-text('Pause reading')");
  await page.click("button:has-text('Really pause?')");
  await page.waitForSelector("main .pill:has-text('Paused')");
  assert.equal((await device()).reason, "paused");
  await page.click("button:has-text('Go on reading')");
  await page.waitForSelector("button:has-text('Read now')");
  await until("greenhouse is back", 10, async () => (await device()).state === "online");
  await page.click("button:has-text('Look for hardware')");
  await page.waitForSelector("[aria-label='Configuration of what is new'] >> text=devices:");
  await look(page, "hardware that was found");
  await show(page, "bridges/cloud");
  await page.click("button:has-text('Test')");
  await page.waitForSelector("[aria-label='Steps of the test'] .pill.ok");
  const connects = async () => (await world.api("GET", "bridges/cloud")).doc.connects;
  const links = await connects();
  await page.click("button:has-text('Reconnect')");
  await until("the bridge has connected anew", 10, async () => (await connects()) > links);
  await page.click("button:has-text('Pause sending')");
  await page.click("button:has-text('Really send nothing?')");
  await page.waitForSelector(".pill:has-text('Paused')");
  await until("something waits", 10, async () => (await world.api("GET", "status")).doc.bridges[0].waiting > 5);
  await page.click("button:has-text('What waits')");
  await page.waitForSelector("[aria-label=Messages] >> text=dunlin/barn-1/");
  await page.click("button:has-text('Go on sending')");
  await page.waitForSelector(".pill:has-text('Link up')");
  await show(page, "logs");
  await page.waitForSelector(".log >> text=dunlin starts");
  await page.context().close();
  return "log in, rate, plot, diff, events, trace, disconnect, publish, clear, reload plan, check, device read now, pause, hardware, bridge test, reconnect, pause, log";
}

async function outage() {
  const page = await open();
  await show(page, "overview");
  await page.waitForSelector("[data-test=link]:has-text('Link up')", { timeout: 20_000 });
  let began = Date.now();
  await world.stopUpstream();
  await page.waitForSelector("[data-test=link]:has-text('Link down')", { timeout: 5000 });
  const seen = Date.now() - began;
  await page.waitForSelector(".wire.cut");
  const first = await until("the spool grows", 10, async () => number(page, "[data-test=waiting]"));
  await until("the spool grows on", 10, async () => (await number(page, "[data-test=waiting]")) > first + 20);
  if (process.env.SHOTS) for (const [width, scheme] of [[1280, "light"], [1280, "dark"], [390, "light"]]) {
    const p = await open({ width, scheme });
    await show(p, "overview");
    await wait(6000);
    await p.screenshot({ path: path.join(process.env.SHOTS, `outage-${scheme}-${width}.png`), fullPage: true });
    await p.context().close();
  }
  // A clock that is wrong here or there does not tear a plot apart.
  const ahead = await open({ ahead: 5 * 3600 });
  await show(ahead, "bridges");
  await ahead.locator(".plot button:text-is('Table')").first().click();
  await until("the history is in the table", 20, () => ahead.locator(".plot tbody tr").count().then(n => n > 10));
  const hours = await ahead.evaluate(() => [...document.querySelectorAll(".plot tbody td:first-child")].map(td => (new Date(Date.now()).getHours() - parseInt(td.textContent) + 24) % 24));
  assert.ok(hours.every(h => h < 2), `times of a plot are ${Math.max(...hours)} hours old`);
  await ahead.context().close();
  // What the page shows is what the API says: between two answers of it.
  await until("the page's number lies between two of the API", 10, async () => {
    const waiting = async () => (await world.api("GET", "status")).doc.bridges[0].waiting;
    const before = await waiting();
    await wait(1100);
    const shown = await number(page, "[data-test=waiting]");
    return shown >= before && shown <= (await waiting());
  });
  assert.equal(await number(page, "nav a[href='#/bridges'] .badge"), 1);
  began = Date.now();
  await world.startUpstream();
  await page.waitForSelector("[data-test=link]:has-text('Link up')", { timeout: 60_000 });
  await until("the spool drains", 60, async () => (await number(page, "[data-test=waiting]")) === 0);
  const drained = Date.now() - began;
  const b = (await world.api("GET", "status")).doc.bridges[0];
  assert.equal(b.dropped, 0);
  assert.ok(b.waiting < 20, `the page shows 0, the API ${b.waiting}`);
  await page.context().close();
  return `"Link down" after ${seen} ms, drained ${drained} ms after the server came back, 0 dropped`;
}

async function viewer() {
  const page = await open({ user: "", password: tokens.viewer });
  for (const at of Object.keys(places).filter(p => p !== "clients/visitor")) {
    await show(page, at);
    await wait(200);
    for (const action of ["Disconnect", "Drop session", "Publish", "Find", "Clear", "Reload", "Check", "Trace for 5 min", "Test", "Pause sending", "What waits", "Read now", "Pause reading", "Reconnect", "Look for hardware"]) {
      assert.equal(await page.locator(`main button:text-is("${action}")`).count(), 0, `${at} offers ${action} to a viewer`);
    }
  }
  await page.context().close();
  const { doc } = await world.api("GET", "openapi.json", { token: null });
  let refused = 0;
  for (const [p, methods] of Object.entries(doc.paths)) for (const [method, o] of Object.entries(methods)) {
    if (o["x-role"] !== "admin") continue;
    const got = await world.api(method.toUpperCase(), p.replace("/api/v1/", "").replace(/\{\w+\}/g, "x"), { token: tokens.viewer });
    assert.equal(got.status, 403, `${method} ${p}`);
    assert.equal(got.type, "application/problem+json");
    refused++;
  }
  assert.equal(await raw(world.base, "POST", "publish", { Authorization: "Bearer " + tokens.admin, Origin: "http://elsewhere.example", "Content-Length": 0 }), 403, "a POST from another site");
  assert.equal(await raw(world.base, "GET", "status", { Authorization: "Bearer " + tokens.admin, Host: "elsewhere.example" }), 403, "another name of this machine");
  return `no action on any page, ${refused} routes answer 403`;
}

// Every control can be reached and used with the keyboard.
async function keyboard() {
  const visitor = await connect(world.mqtt, "visitor"), page = await open();
  for (const at of Object.keys(places).filter(p => p !== "clients/visitor")) {
    await show(page, at);
    await page.waitForSelector("main " + places[at]);
    await page.evaluate(() => document.activeElement.blur());
    const wanted = await page.evaluate(() => [...document.querySelectorAll("main a[href], main button:not(:disabled), main input, main select, main textarea")].filter(e => e.offsetParent).map((e, i) => (e.dataset.reach = "r" + i)).length);
    const seen = new Set();
    for (let i = 0; i < wanted + 60; i++) {
      await page.keyboard.press("Tab");
      const id = await page.evaluate(() => document.activeElement.dataset.reach || (document.activeElement === document.body ? "end" : ""));
      if (id === "end" && i > 0) break;
      if (id) seen.add(id);
    }
    // Pages that live may have replaced a few: what is there now must be reached.
    const missed = await page.evaluate(seen => [...document.querySelectorAll("main [data-reach]")].filter(e => e.offsetParent && !e.disabled && !seen.includes(e.dataset.reach)).map(e => e.outerHTML), [...seen]);
    assert.deepEqual(missed, [], `${at}: not reached by Tab`);
  }
  await show(page, "topics");
  await page.focus("[role=treeitem]");
  for (const key of ["ArrowRight", "ArrowDown", "ArrowRight", "ArrowDown"]) {
    await page.keyboard.press(key);
    await wait(300);
  }
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-level")), "3", "arrow keys go down the tree");
  visitor.destroy();
  await page.context().close();
  return "every control of every page is reached by Tab, the tree by arrow keys";
}

async function scale() {
  const clients = [];
  for (let i = 0; i < 500; i++) clients.push(await connect(world.mqtt, `load-${String(i).padStart(3, "0")}`));
  for (let i = 0; i < 10_000; i++) publish(clients[i % 500], `load/${i % 100}/${i}`, `{"n":${i}}`, true);
  await until("10,000 topics are there", 30, async () => (await world.api("GET", "status")).doc.broker.retained > 10_000);
  const rss = async () => {
    const all = [];
    for (let i = 0; i < 20; i++) all.push(world.rss()), await wait(200);
    return all.sort((a, b) => a - b)[10];
  };
  await wait(3000);
  const before = await rss();
  const page = await open();
  await page.addInitScript(() => {
    new MutationObserver((_, o) => {
      if (document.querySelector(".tiles svg path")) (window.shownAt ??= performance.now()), o.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  let paint = Infinity, heap = 0;
  for (const at of ["overview", "overview", "overview"]) {
    await page.goto("about:blank");
    await page.goto(world.base + "#/" + at);
    await page.waitForFunction(() => window.shownAt);
    const t = await page.evaluate(() => ({ numbers: window.shownAt, paint: performance.getEntriesByType("paint").find(e => e.name === "first-contentful-paint")?.startTime }));
    paint = Math.min(paint, Math.max(t.numbers, t.paint || 0));
  }
  const opened = await rss();
  for (const at of ["clients", "topics", "topics/load%2F%23"]) {
    await show(page, at);
    await page.waitForSelector("main " + (places[at] || ".log"));
    await wait(500);
    heap = Math.max(heap, await page.evaluate(() => performance.memory.usedJSHeapSize));
  }
  await show(page, "topics");
  await page.click("[role=treeitem]:has-text('load') .twist");
  await page.waitForSelector("[role=treeitem][aria-level='2']");
  assert.equal(await page.locator("[role=treeitem]").count() < 150, true, "a level comes in parts");
  await page.context().close();
  clients.forEach(c => c.destroy());
  assert.ok(paint < 1000, `first paint after ${paint} ms`);
  assert.ok(opened - before <= 3_000_000, `${opened - before} bytes more with the page open`);
  assert.ok(heap < 50e6, `${heap} bytes in the browser`);
  return `numbers on the page after ${Math.round(paint)} ms, gateway ${before} -> ${opened} bytes (${opened - before > 0 ? "+" : ""}${opened - before}), ${Math.round(heap / 1e5) / 10} MB in the browser`;
}

// A network that went silent, a phone that slept, a login that ended: the page
// has one stream or none, and finds back.
async function network() {
  const proxy = await world.proxy(), page = await open({ base: proxy.base });
  let streams = 0;
  page.on("request", r => r.url().includes("/events") && streams++);
  await page.clock.install();
  await page.goto(proxy.base);
  // Of a pool of connections that went silent each is tried for 30 s.
  const live = () => until("the page is live", 200, async () => {
    if (await page.waitForSelector("header .dot.live", { timeout: 5000 }).catch(() => null)) return true;
    await page.clock.fastForward(31_000);
  });
  await live();
  const before = streams;
  proxy.silence();
  await until("the page asks anew", 30, async () => {
    await page.clock.fastForward(31_000);
    return streams > before;
  });
  await live();
  const hide = hidden => page.evaluate(h => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => h });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  proxy.silence();
  const slept = streams;
  await page.clock.fastForward(3_600_000);
  assert.equal(streams, slept, "a page that nobody sees asks");
  await hide(false);
  await until("a page that is seen again asks", 30, async () => streams > slept);
  await live();
  await page.click("button:has-text('Log out')");
  await page.waitForSelector("form.login");
  const left = streams;
  for (const hidden of [true, false]) await hide(hidden);
  await page.clock.runFor(20_000);
  assert.equal(streams, left, "who is not logged in asks for the stream");
  await page.context().close();
  proxy.close();
  return "asks anew after 30 s without a word, after sleep at once, not without a login";
}

// An hour of two tabs: a stream each, and no more memory than in its beginning.
async function hour() {
  const hours = await world.hours(), figures = [];
  const tabs = await Promise.all(["overview", "bridges"].map(async at => {
    const page = await open({ base: hours.base });
    await page.goto(hours.base + "#/" + at);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable");
    return { page, figures: async () => {
      await devtools.send("HeapProfiler.collectGarbage");
      return Object.fromEntries((await devtools.send("Performance.getMetrics")).metrics.map(m => [m.name, m.value]));
    } };
  }));
  for (const seconds of [1200, 3600]) {
    await until(`${seconds} s of the stream`, 500, async () => hours.told.length === 2 && Math.min(...hours.told) >= seconds);
    figures.push(await Promise.all(tabs.map(t => t.figures())));
  }
  assert.equal(hours.told.length, 2, "a stream each");
  const said = tabs.map((_, i) => {
    const [a, b] = figures.map(f => f[i]);
    assert.ok(b.JSHeapUsedSize - a.JSHeapUsedSize < 2e6, `heap ${a.JSHeapUsedSize} -> ${b.JSHeapUsedSize}`);
    assert.ok(b.Nodes - a.Nodes < 500 && b.JSEventListeners - a.JSEventListeners < 100, `nodes ${a.Nodes} -> ${b.Nodes}, listeners ${a.JSEventListeners} -> ${b.JSEventListeners}`);
    return `${(a.JSHeapUsedSize / 1e6).toFixed(1)} -> ${(b.JSHeapUsedSize / 1e6).toFixed(1)} MB, ${a.Nodes} -> ${b.Nodes} nodes`;
  });
  for (const t of tabs) await t.page.context().close();
  hours.close();
  return "after 20 and 60 minutes: " + said.join("; ");
}

const began = Date.now();
try {
  if (process.env.SHOTS) fs.mkdirSync(process.env.SHOTS, { recursive: true });
  world = new World();
  await world.start(path.resolve(process.argv[2]));
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: flags });
  for (const part of [pages, journeys, outage, viewer, keyboard, network, hour, scale]) {
    if (only.length && !only.includes(part.name)) continue;
    const start = Date.now();
    const said = await part();
    assert.deepEqual(errors, [], part.name + ": errors in the browser");
    console.log(`ok  ${part.name.padEnd(9)} ${((Date.now() - start) / 1000).toFixed(1).padStart(5)} s  ${said}`);
  }
  console.log(`browser: all in ${Math.round((Date.now() - began) / 1000)} s`);
} catch (e) {
  console.error("FAILED", e);
  console.error(world.log());
  process.exitCode = 1;
} finally {
  await browser?.close();
  await world?.stop();
}
