// A WebSocket client in the open (RFC 6455, as much as a live feed needs), so that the suites choose every header, see the
// close code, and can drop the connection without a goodbye.
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import net from "node:net";

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** Opens a socket. Answers `{refused: {status, headers, text}}` when the server does not upgrade, else `{socket}`. */
export function openSocket(base, path, { protocols = [], headers = {} } = {}) {
  const { hostname, port } = new URL(base);
  const key = randomBytes(16).toString("base64");
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${key}`,
    ...(protocols.length > 0 ? [`Sec-WebSocket-Protocol: ${protocols.join(", ")}`] : []),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return new Promise((resolve, reject) => {
    const connection = net.connect(Number(port), hostname, () => connection.write(`${lines.join("\r\n")}\r\n\r\n`));
    let received = Buffer.alloc(0);
    const give = (outcome) => {
      connection.off("data", onData);
      connection.off("end", onEnd);
      resolve(outcome);
    };
    const onEnd = () => {
      const [head, ...rest] = received.toString("utf8").split("\r\n\r\n");
      give({ refused: { ...headOf(head), text: rest.join("\r\n\r\n") } });
    };
    const onData = (part) => {
      received = Buffer.concat([received, part]);
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = headOf(received.subarray(0, end).toString("latin1"));
      if (head.status === 101) {
        const expected = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
        assert.equal(head.headers["sec-websocket-accept"], expected);
        give({ socket: new Socket(connection, head, received.subarray(end + 4)) });
        return;
      }
      const length = Number(head.headers["content-length"]);
      if (Number.isFinite(length) && received.length < end + 4 + length) return;
      connection.end();
      give({ refused: { ...head, text: received.subarray(end + 4).toString("utf8") } });
    };
    connection.on("data", onData);
    connection.on("end", onEnd);
    connection.on("error", reject);
  });
}

function headOf(text) {
  const [first, ...lines] = text.split("\r\n");
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  return { status: Number(first.split(" ")[1]), headers };
}

/** Opens the live feed with a token as its subprotocol. */
export async function openFeed(base, token, query = "") {
  const { socket, refused } = await openSocket(base, `/v1/events${query}`, { protocols: ["counterfoil.v1", `bearer.${token}`] });
  assert.ok(socket, `the feed was refused: ${JSON.stringify(refused)}`);
  assert.equal(socket.protocol, "counterfoil.v1");
  return socket;
}

class Socket {
  constructor(connection, head, first) {
    this.connection = connection;
    this.protocol = head.headers["sec-websocket-protocol"];
    this.headers = head.headers;
    this.texts = [];
    this.waiting = [];
    this.closed = undefined;
    this.buffer = first;
    this.fragments = [];
    connection.on("data", (part) => {
      this.buffer = Buffer.concat([this.buffer, part]);
      this.readFrames();
    });
    connection.on("close", () => this.end({ code: 1006, reason: "" }));
    connection.on("error", () => this.end({ code: 1006, reason: "" }));
    this.readFrames();
  }

  readFrames() {
    for (;;) {
      if (this.buffer.length < 2) return;
      const [first, second] = this.buffer;
      assert.equal(second & 128, 0, "a server does not mask its frames");
      let length = second & 127;
      let offset = 2;
      if (length === 126) {
        if (this.buffer.length < 4) return;
        length = this.buffer.readUInt16BE(2);
        offset = 4;
      } else if (length === 127) {
        if (this.buffer.length < 10) return;
        length = Number(this.buffer.readBigUInt64BE(2));
        offset = 10;
      }
      if (this.buffer.length < offset + length) return;
      const payload = this.buffer.subarray(offset, offset + length);
      this.buffer = this.buffer.subarray(offset + length);
      this.frame(first & 15, (first & 128) !== 0, payload);
    }
  }

  frame(opcode, final, payload) {
    if (opcode === PING) return this.sendFrame(PONG, payload);
    if (opcode === PONG) return undefined;
    if (opcode === CLOSE) {
      const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.end({ code, reason: payload.subarray(2).toString("utf8") });
      this.sendFrame(CLOSE, payload.subarray(0, 2));
      return this.connection.end();
    }
    this.fragments.push(payload);
    if (!final) return undefined;
    const text = Buffer.concat(this.fragments).toString("utf8");
    this.fragments = [];
    const reader = this.waiting.findIndex(({ forClose }) => !forClose);
    if (reader >= 0) this.waiting.splice(reader, 1)[0].resolve(text);
    else this.texts.push(text);
    return undefined;
  }

  end(how) {
    this.closed ??= how;
    for (const { resolve, reject, forClose } of this.waiting.splice(0)) {
      if (forClose) resolve(this.closed);
      else reject(new Error(`the socket closed with ${this.closed.code} ${this.closed.reason}`));
    }
  }

  sendFrame(opcode, payload = Buffer.alloc(0)) {
    if (this.connection.destroyed || !this.connection.writable) return;
    const mask = randomBytes(4);
    const masked = Buffer.from(payload.map((byte, at) => byte ^ mask[at & 3]));
    const length = payload.length < 126 ? Buffer.from([128 | payload.length]) : Buffer.from([254, payload.length >> 8, payload.length & 255]);
    this.connection.write(Buffer.concat([Buffer.from([128 | opcode]), length, mask, masked]));
  }

  send(text) {
    this.sendFrame(TEXT, Buffer.from(text));
  }

  /** The next text message. */
  next(ms = 5000) {
    if (this.texts.length > 0) return Promise.resolve(this.texts.shift());
    if (this.closed) return Promise.reject(new Error(`the socket closed with ${this.closed.code} ${this.closed.reason}`));
    return this.wait(ms, { forClose: false }, "a message");
  }

  /** Waits for the end of the connection: `{code, reason}`. */
  ending(ms = 5000) {
    return this.closed ? Promise.resolve(this.closed) : this.wait(ms, { forClose: true }, "the close");
  }

  wait(ms, entry, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
      const settle = (then) => (value) => {
        clearTimeout(timer);
        then(value);
      };
      this.waiting.push({ ...entry, resolve: settle(resolve), reject: settle(reject) });
    });
  }

  /** The next message as JSON, an event or a reset. */
  async nextEvent(ms) {
    return JSON.parse(await this.next(ms));
  }

  /** Events until one for which `found` is true; answers all of them. */
  async eventsUntil(found, ms = 5000) {
    const events = [];
    const end = performance.now() + ms;
    for (;;) {
      events.push(await this.nextEvent(Math.max(1, end - performance.now())));
      if (found(events.at(-1))) return events;
    }
  }

  close(code = 1000) {
    this.sendFrame(CLOSE, Buffer.from([code >> 8, code & 255]));
    this.connection.end();
  }

  /** Gone without a goodbye. */
  drop() {
    this.connection.destroy();
  }
}
