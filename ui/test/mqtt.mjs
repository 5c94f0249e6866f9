// As much MQTT 3.1.1 as makes clients and messages in large numbers.
import net from "node:net";

const text = s => {
  const b = Buffer.from(s);
  return Buffer.concat([Buffer.from([b.length >> 8, b.length & 255]), b]);
};

const packet = (first, ...parts) => {
  const body = Buffer.concat(parts), length = [];
  let n = body.length;
  do {
    length.push((n & 127) | (n > 127 ? 128 : 0));
    n >>= 7;
  } while (n);
  return Buffer.concat([Buffer.from([first, ...length]), body]);
};

// connect makes a client and waits until it is let in.
export const connect = (port, id, { clean = true } = {}) => new Promise((done, fail) => {
  const s = net.connect(port, "127.0.0.1", () => s.write(packet(0x10, text("MQTT"), Buffer.from([4, clean ? 2 : 0, 0, 0]), text(id))));
  s.closed_ = new Promise(end => s.on("close", end));
  s.on("error", fail).once("close", () => fail(new Error(id + " is not let in"))).once("data", () => done(s));
});

export const subscribe = (s, filter) => s.write(packet(0x82, Buffer.from([0, 1]), text(filter), Buffer.from([0])));

export const publish = (s, topic, payload, retain = false) => s.write(packet(retain ? 0x31 : 0x30, text(topic), Buffer.from(payload)));
