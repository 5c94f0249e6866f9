// What the browser looks at: the real program with simulated devices, and a
// real mosquitto as the cloud, both on free ports of this machine.
import { spawn, execFileSync } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";

export const tokens = { admin: "a-token-that-may-act", viewer: "a-token-that-may-look" };

const freePort = () => new Promise(done => {
  const s = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = s.address();
    s.close(() => done(port));
  });
});

export const wait = ms => new Promise(done => setTimeout(done, ms));

// until waits for f to be true, and fails with what after so many seconds.
export async function until(what, seconds, f) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const got = await f().catch(() => null);
    if (got) return got;
    if (Date.now() > end) throw new Error(`${what}: not within ${seconds} s`);
    await wait(100);
  }
}

export class World {
  processes = new Set();

  async start(binary, { port = 0 } = {}) {
    this.binary = binary;
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), "page-"));
    [this.http, this.mqtt, this.upstream] = [port || (await freePort()), await freePort(), await freePort()];
    this.base = `http://127.0.0.1:${this.http}/`;
    execFileSync(binary, ["passwd", "-c", "-b", path.join(this.dir, "users"), "alice", "correct horse"], { stdio: "ignore" });
    fs.writeFileSync(path.join(this.dir, "dunlin.yaml"), `node: barn-1
data_dir: data
mqtt: {listeners: [{bind: "127.0.0.1:${this.mqtt}", anonymous: true}], limits: {connections: 600, connect_rate: 0/s}}
auth:
  users_file: users
  admins: [alice]
buses: [{id: i2c9, type: i2c, path: /dev/i2c-9}]
devices:
  - name: greenhouse
    driver: sim
    interval: 500ms
    entities:
      temperature: {signal: random_walk, min: 18, max: 26, period: 5s, unit_of_measurement: °C, filters: [{round: 1}]}
      humidity: {signal: sine, min: 40, max: 75, period: 2m, unit_of_measurement: "%", filters: [{round: 0}]}
      door: {signal: binary, period: 15s}
  - name: tank
    driver: sim
    interval: 500ms
    entities:
      level: {signal: sine, min: 5, max: 95, period: 90s, unit_of_measurement: "%", filters: [{round: 1}]}
  - {name: meter, driver: sim, interval: 250ms, entities: {power: {signal: random_walk, min: 200, max: 2600, unit_of_measurement: W, filters: [{round: 0}]}}}
  - {name: cellar, driver: bme280, bus: i2c9, address: 0x76, interval: 1s}
  - {name: ${"ünverträglich".repeat(4)}, driver: sim, entities: {${"außentemperatur".repeat(3)}: {unit_of_measurement: °C}, 湿度: {unit_of_measurement: "%"}}}
bridges:
  cloud:
    servers: ["mqtt://127.0.0.1:${this.upstream}"]
    client_id: "{node}"
    out: [{from: "dunlin/{node}/#", to: "sites/{node}/#", qos: 1}]
history: {step: 1s}
http:
  bind: "127.0.0.1:${this.http}"
  tokens:
    - {name: admin, token: ${tokens.admin}, role: admin}
    - {name: viewer, token: ${tokens.viewer}, role: viewer}
`);
    await this.startUpstream();
    this.gateway = this.run(binary, ["run", "-c", path.join(this.dir, "dunlin.yaml")], "gateway.log");
    await until("the gateway serves", 20, () => fetch(this.base + "readyz").then(r => r.ok));
    return this;
  }

  run(command, args, log) {
    const out = fs.openSync(path.join(this.dir, log), "a");
    const p = spawn(command, args, { stdio: ["ignore", out, out], cwd: this.dir });
    fs.closeSync(out);
    this.processes.add(p);
    p.ended = new Promise(done => p.on("exit", () => (this.processes.delete(p), done())));
    return p;
  }

  async startUpstream() {
    const conf = path.join(this.dir, "mosquitto.conf");
    fs.writeFileSync(conf, `listener ${this.upstream} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n`);
    this.mosquitto = this.run("mosquitto", ["-c", conf], "mosquitto.log");
    await until("mosquitto listens", 10, () => new Promise((done, fail) => {
      const s = net.connect(this.upstream, "127.0.0.1", () => (s.destroy(), done(true))).on("error", fail);
    }));
  }

  async stopUpstream() {
    this.mosquitto.kill();
    await this.mosquitto.ended;
  }

  // proxy is a network to the gateway that can go silent, as one that a phone
  // has left: what is open then stays open and says nothing.
  async proxy() {
    const pairs = new Set();
    const server = net.createServer(near => {
      const far = net.connect(this.http, "127.0.0.1"), pair = [near, far];
      pairs.add(pair);
      near.pipe(far).pipe(near);
      for (const s of pair) s.on("error", () => {}).on("close", () => (pairs.delete(pair), pair.forEach(s => s.destroy())));
    });
    await new Promise(done => server.listen(0, "127.0.0.1", done));
    return {
      base: `http://127.0.0.1:${server.address().port}/`,
      silence: () => pairs.forEach(([near, far]) => (near.unpipe(far), far.unpipe(near))),
      close: () => (server.close(), pairs.forEach(p => p.forEach(s => s.destroy()))),
    };
  }

  // hours is the gateway with a stream in which a second takes 5 ms; told is
  // how many seconds each reader has had.
  async hours() {
    const whole = (await this.api("GET", "status")).doc, told = [];
    const server = http.createServer((ask, answer) => {
      if (!ask.url.startsWith("/api/v1/events")) {
        const on = http.request(new URL(ask.url, this.base), { method: ask.method, headers: { ...ask.headers, host: new URL(this.base).host } }, a => (answer.writeHead(a.statusCode, a.headers), a.pipe(answer)));
        return void ask.pipe(on.on("error", () => answer.destroy()));
      }
      const reader = told.push(0) - 1;
      const say = (name, doc) => answer.write(`event: ${name}\ndata: ${JSON.stringify(doc)}\n\n`);
      answer.writeHead(200, { "Content-Type": "text/event-stream" });
      say("status", whole);
      const timer = setInterval(() => {
        if (answer.writableLength > 1 << 16) return;
        const n = ++told[reader], { broker, devices, bridges } = whole;
        say("changes", {
          ...whole, uptime: whole.uptime + n, broker: { ...broker, published: broker.published + 50 * n, sent: broker.sent + n }, attention: n % 60 ? null : [`bridge cloud has dropped ${n} messages`],
          devices: [{ ...devices[n % devices.length], age: 0.1, ok: n }], bridges: bridges.map(b => ({ ...b, waiting: n % 100, acked: b.acked + n, state: n % 50 < 10 ? "down" : "up" })),
        });
      }, 5);
      answer.on("close", () => clearInterval(timer));
    });
    await new Promise(done => server.listen(0, "127.0.0.1", done));
    return { base: `http://127.0.0.1:${server.address().port}/`, told, close: () => (server.close(), server.closeAllConnections()) };
  }

  async api(method, target, { token = tokens.admin, body, headers = {} } = {}) {
    const r = await fetch(this.base + "api/v1/" + target, { method, body, headers: { ...(token && { Authorization: "Bearer " + token }), ...headers } });
    return { status: r.status, type: r.headers.get("content-type"), doc: r.status === 204 ? null : await r.json() };
  }

  // log is the end of what the gateway said.
  log() {
    const file = path.join(this.dir, "gateway.log");
    return fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").slice(-30).join("\n") : "";
  }

  rss() {
    return 1024 * Number(fs.readFileSync(`/proc/${this.gateway.pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)[1]);
  }

  async stop() {
    for (const p of this.processes) p.kill();
    await Promise.all([...this.processes].map(p => Promise.race([p.ended, wait(5000).then(() => p.kill("SIGKILL"))])));
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

// raw sends a request whose headers fetch would not let through.
export const raw = (base, method, target, headers) => new Promise((done, fail) => {
  const r = http.request(new URL("api/v1/" + target, base), { method, headers }, a => (a.resume(), done(a.statusCode)));
  r.on("error", fail).end();
});
