// Requests that arrive together: every connection is open and has sent all of its request but the last byte, then all last
// bytes leave in one turn. Over plain sockets, because an HTTP client would spread them out.
import assert from "node:assert/strict";
import net from "node:net";

/** Sends `[{method, path, headers, body}]` at one moment and answers `[{status, headers, text, body}]` in the same order. */
export async function volley(base, requests) {
  const { hostname, port } = new URL(base);
  const shots = await Promise.all(requests.map((request) => load(hostname, Number(port), request)));
  const answers = shots.map(({ socket }) => answerOn(socket));
  for (const { socket, last } of shots) socket.write(last);
  return Promise.all(answers);
}

function load(hostname, port, { method, path, headers = {}, body }) {
  const payload = Buffer.from(JSON.stringify(body ?? {}));
  const head = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${hostname}:${port}`,
    "Content-Type: application/json",
    `Content-Length: ${payload.length}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ].join("\r\n");
  const whole = Buffer.concat([Buffer.from(`${head}\r\n\r\n`), payload]);
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostname, port, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.write(whole.subarray(0, -1), (error) => {
        if (error) return reject(error);
        socket.off("error", reject);
        return resolve({ socket, last: whole.subarray(-1) });
      });
    });
  });
}

function answerOn(socket) {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const ended = (atEnd) => {
      const answer = parse(received, atEnd);
      if (!answer) return false;
      socket.destroy();
      resolve(answer);
      return true;
    };
    socket.on("data", (part) => {
      received = Buffer.concat([received, part]);
      ended(false);
    });
    socket.on("error", reject);
    socket.on("end", () => ended(true) || reject(new Error(`the connection ended in the middle of an answer: ${received}`)));
  });
}

function parse(received, atEnd) {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [first, ...lines] = received.subarray(0, end).toString("latin1").split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const rest = received.subarray(end + 4);
  let content;
  if (/chunked/i.test(headers["transfer-encoding"] ?? "")) content = unchunk(rest);
  else if (headers["content-length"] !== undefined) content = rest.length >= Number(headers["content-length"]) ? rest : undefined;
  else content = atEnd ? rest : undefined;
  if (content === undefined) return undefined;
  const text = content.toString("utf8");
  return { status: Number(first.split(" ")[1]), headers, text, body: /json/.test(headers["content-type"] ?? "") ? JSON.parse(text) : undefined };
}

function unchunk(rest) {
  const parts = [];
  for (let at = 0; ; ) {
    const line = rest.indexOf("\r\n", at);
    if (line < 0) return undefined;
    const length = Number.parseInt(rest.subarray(at, line).toString("latin1"), 16);
    assert.ok(Number.isInteger(length), "a chunk has a length");
    if (rest.length < line + 2 + length + 2) return undefined;
    if (length === 0) return Buffer.concat(parts);
    parts.push(rest.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}
