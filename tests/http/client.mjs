// A small HTTP client written from the API's description alone. It sends exactly what it is told (no header of its own but
// Host and the length), and holds every answer against what the description promises of all answers.
import assert from "node:assert/strict";
import http from "node:http";

// With OPENAPI_CHECK every answer is held against the OpenAPI document as well.
const { wrongAnswer } = process.env.OPENAPI_CHECK ? await import("../openapi/conformance.mjs") : { wrongAnswer: () => undefined };

// A connection for each request: what a server does with a connection after an error is a subject of its own
// (protocol.test.mjs), and must not decide how other tests end.
const agent = new http.Agent({ keepAlive: false, maxSockets: 256 });

/**
 * Sends one request; `body` is JSON unless it is a string or a Buffer, which go as they are. With `sentBytes` only so much of it
 * leaves, for answers that must come before the rest: a server may end the connection behind them.
 */
export function send(base, { method = "GET", path, headers = {}, body, chunked = false, sentBytes, onResponseHeaders }) {
  const { hostname, port } = new URL(base);
  const raw = body === undefined || typeof body === "string" || Buffer.isBuffer(body);
  const payload = body === undefined ? undefined : Buffer.from(raw ? body : JSON.stringify(body));
  const all = { ...(payload && !raw ? { "content-type": "application/json" } : {}), ...headers };
  if (payload && !chunked) all["content-length"] = payload.length;
  if (!payload && method !== "GET" && method !== "HEAD") all["content-length"] = 0;
  for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const request = http.request({ hostname, port, path, method, headers: all, agent });
    request.on("error", reject);
    request.on("response", (response) => {
      onResponseHeaders?.(response, request);
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        resolve({ method, path, sent: body, status: response.statusCode, headers: response.headers, text, ms: performance.now() - started });
        if (sentBytes !== undefined) request.destroy();
      });
    });
    if (sentBytes === undefined) request.end(payload);
    else request.write(payload.subarray(0, sentBytes));
  });
}

const JSON_TYPE = /^application\/(problem\+)?json(;\s*charset=utf-8)?$/i;

/** Adds `body` to an answer in JSON, and refuses an answer that breaks what all answers must keep. */
export function understood(answer) {
  const says = `${answer.method} ${answer.path} answered ${answer.status}: ${answer.text.slice(0, 500)}`;
  const type = answer.headers["content-type"];
  const problem = /problem\+json/i.test(type ?? "");
  if (type && JSON_TYPE.test(type)) {
    answer.body = JSON.parse(answer.text);
    assertNothingNull(answer.body, says);
  }
  if (answer.status >= 400) {
    assert.ok(problem, `an error must be application/problem+json; ${says}`);
    const { body } = answer;
    for (const name of ["type", "title", "detail", "instance", "code"]) assert.equal(typeof body[name], "string", `${name}; ${says}`);
    assert.equal(body.status, answer.status, says);
    assert.match(body.code, /^[a-z][a-z0-9_]*$/, says);
    assert.doesNotMatch(answer.text, /panicked|\.rs:\d|at \w+ \(|stack/i, `no insides; ${says}`);
  } else {
    assert.ok(!problem, says);
  }
  if (answer.status === 401) assert.match(answer.headers["www-authenticate"] ?? "", /^Bearer\b/i, says);
  if (answer.status === 405) assert.match(answer.headers.allow ?? "", /[A-Z]/, says);
  if (answer.status === 429 || answer.status === 503) assert.match(answer.headers["retry-after"] ?? "", /^[1-9]\d*$/, says);
  if (answer.status === 204) assert.equal(answer.text, "", says);
  const wrong = wrongAnswer(answer);
  assert.equal(wrong, undefined, `not as the OpenAPI document says: ${wrong}; ${says}`);
  return answer;
}

function assertNothingNull(value, says) {
  assert.notEqual(value, null, `nothing is null; ${says}`);
  if (typeof value === "number" && Number.isInteger(value)) assert.ok(Number.isSafeInteger(value), says);
  if (typeof value === "object") for (const inner of Object.values(value)) assertNothingNull(inner, says);
}

/** One caller: a base address and, mostly, a token. */
export class Client {
  constructor(base, token) {
    this.base = base;
    this.token = token;
  }

  async request(method, path, { body, headers = {}, key, ...rest } = {}) {
    const own = {};
    if (this.token !== undefined) own.authorization = `Bearer ${this.token}`;
    if (key !== undefined) own["idempotency-key"] = key;
    return understood(await send(this.base, { method, path, body, headers: { ...own, ...headers }, ...rest }));
  }

  get(path, options) {
    return this.request("GET", path, options);
  }

  post(path, body, options) {
    return this.request("POST", path, { body, ...options });
  }

  patch(path, body, options) {
    return this.request("PATCH", path, { body, ...options });
  }

  put(path, body, options) {
    return this.request("PUT", path, { body, ...options });
  }

  delete(path, options) {
    return this.request("DELETE", path, options);
  }
}

/** Asserts the status and answers the body. */
export function expectStatus(answer, ...statuses) {
  assert.ok(statuses.includes(answer.status), `expected ${statuses.join(" or ")}; ${answer.method} ${answer.path} answered ${answer.status}: ${answer.text.slice(0, 500)}`);
  return answer.body;
}

/** Asserts a problem of this status and code with these extras, and answers its body. */
export function expectProblem(answer, status, code, extras = {}) {
  expectStatus(answer, status);
  assert.equal(answer.body.code, code, `${answer.method} ${answer.path}: ${answer.text.slice(0, 500)}`);
  for (const [name, value] of Object.entries(extras)) assert.deepEqual(answer.body[name], value, `${name} of ${answer.text.slice(0, 500)}`);
  if (code === "invalid_request") {
    assert.ok(Array.isArray(answer.body.errors) && answer.body.errors.length > 0, `invalid_request names what is wrong: ${answer.text}`);
    for (const { path, reason } of answer.body.errors) assert.deepEqual([typeof path, typeof reason], ["string", "string"], answer.text);
  }
  return answer.body;
}

/** Every item of a list, page by page; asserts that no page is longer than asked and none repeats. */
export async function everyItem(client, path, limit) {
  const items = [];
  let cursor;
  do {
    const query = [limit && `limit=${limit}`, cursor && `cursor=${encodeURIComponent(cursor)}`].filter(Boolean).join("&");
    const page = expectStatus(await client.get(query ? `${path}${path.includes("?") ? "&" : "?"}${query}` : path), 200);
    assert.deepEqual(Object.keys(page).filter((name) => !["items", "next_cursor"].includes(name)), []);
    assert.ok(page.items.length <= (limit ?? 200));
    assert.ok(page.items.length > 0 || page.next_cursor === undefined, "an empty page is the last");
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return items;
}

/** Asks again until `settled` is true of the answer, without a fixed pause; fails after `ms`. */
export async function until(ask, settled, ms = 5000) {
  const end = performance.now() + ms;
  for (;;) {
    const answer = await ask();
    if (settled(answer)) return answer;
    assert.ok(performance.now() < end, `not settled after ${ms} ms: ${JSON.stringify(answer).slice(0, 500)}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}
