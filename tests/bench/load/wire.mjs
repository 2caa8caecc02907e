// HTTP for the load: one request at a time on a connection that is kept, with as little work for each as Node allows, because
// whatever the load takes of the machine is missing to what is measured.
import net from "node:net";

/** The bytes of a request. */
export function requestBytes(host, { method = "POST", path, headers = {}, body = "" }) {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = Buffer.byteLength(body);
  const kind = length > 0 ? "content-type: application/json\r\n" : "";
  return `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("")}${kind}content-length: ${length}\r\n\r\n${body}`;
}

// A server closes a connection on which nothing is asked for a few seconds, and what is written meanwhile is lost.
const REST_MS_MAX = 2_000;

/** A connection that is kept while it is used, and opened again after a rest. */
export class Line {
  constructor(url) {
    const { hostname, port, host } = new URL(url);
    this.host = host;
    this.usedAt = 0;
    this.address = { host: hostname, port: Number(port), noDelay: true };
  }

  /** Sends a request and answers `{status, text}`. */
  ask(request) {
    return this.send(requestBytes(this.host, request));
  }

  /** Sends a request's bytes. */
  send(bytes) {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject, bytes };
      const now = performance.now();
      if (now - this.usedAt > REST_MS_MAX) this.close();
      this.usedAt = now;
      this.socket ??= this.connect();
      this.socket.write(bytes);
    });
  }

  connect() {
    const socket = net.connect(this.address);
    this.received = "";
    this.answers = 0;
    // Bytes as characters, so that lengths in bytes are lengths of text.
    socket.setEncoding("latin1");
    socket.on("data", (part) => this.receive(part));
    const end = (error) => {
      if (this.socket !== socket) return;
      this.socket = undefined;
      this.fail(error);
    };
    socket.on("end", () => end(new Error("the connection was closed")));
    socket.on("close", () => end(new Error("the connection was closed")));
    socket.on("error", end);
    return socket;
  }

  receive(part) {
    this.received = this.received === "" ? part : this.received + part;
    const head = this.received.indexOf("\r\n\r\n");
    if (head < 0) return;
    const start = head + 4;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.received)?.[1];
    const body = length === undefined ? dechunked(this.received, start) : whole(this.received, start, Number(length));
    if (body === undefined) return;
    const status = Number(this.received.slice(9, 12));
    this.received = "";
    this.answers += 1;
    const { resolve } = this.waiting;
    this.waiting = undefined;
    resolve({ status, text: body });
  }

  /**
   * The connection has ended. What was asked on one that was kept, and of whose answer nothing came, is asked once more, as HTTP
   * has it: the server may have closed it just then.
   */
  fail(error) {
    const { waiting } = this;
    if (waiting === undefined) return;
    if (this.answers > 0 && this.received === "") {
      this.socket = this.connect();
      this.socket.write(waiting.bytes);
      return;
    }
    this.waiting = undefined;
    waiting.reject(error);
  }

  close() {
    const { socket } = this;
    this.socket = undefined;
    socket?.destroy();
  }
}

const whole = (text, start, length) => (text.length < start + length ? undefined : text.slice(start, start + length));

/** A chunked body; undefined while it is incomplete. */
function dechunked(text, start) {
  const parts = [];
  for (let at = start; ; ) {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const size = Number.parseInt(text.slice(at, end), 16);
    if (text.length < end + 2 + size + 2) return undefined;
    if (size === 0) return parts.join("");
    parts.push(text.slice(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

/** Several connections. */
export const openLines = (url, count) => Array.from({ length: count }, () => new Line(url));

/**
 * Each connection asks again as soon as it is answered, until the time is over. `next()` gives `{bytes, expect, says}`: a request,
 * the status that answers it and what its answer must say; another answer ends the run, for what is refused quickly would count
 * as quick. One that says `counts: false` belongs to the load and is not what is counted. `done` is called with the answer's text.
 * Answers how many were answered, in how many milliseconds, and how long each took.
 */
export async function closedLoop(lines, next, { ms = Infinity, count = Infinity, latencies = false }) {
  const started = performance.now();
  const took = latencies ? [] : undefined;
  let asked = 0;
  let answered = 0;
  await Promise.all(
    lines.map(async (line) => {
      while (asked < count && performance.now() - started < ms) {
        asked += 1;
        const { bytes, expect, says, counts = true, done } = next();
        const from = performance.now();
        const { status, text } = await line.send(bytes);
        if (status !== expect || (says && !says.test(text))) throw new Error(`expected ${expect}, got ${status}: ${text.slice(0, 300)}`);
        done?.(text);
        if (!counts) continue;
        took?.push(performance.now() - from);
        answered += 1;
      }
    }),
  );
  return { answered, ms: performance.now() - started, took };
}

/**
 * Sends at a fixed rate whatever the answers do, so that a server that falls behind is seen to. `send(at)` is called with each
 * request's place and answers a promise. `took` is measured from when each was due, not from when it was sent.
 */
export async function openLoop(send, { perSecond, ms }) {
  const total = Math.round((perSecond * ms) / 1000);
  const started = performance.now();
  const all = [];
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - started) * perSecond) / 1000) + 1);
    for (; sent < due; sent += 1) {
      const dueAt = started + (sent * 1000) / perSecond;
      all.push(send(sent, dueAt));
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(all);
  return { sent: total, ms: performance.now() - started };
}
