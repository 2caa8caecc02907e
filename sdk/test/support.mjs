// A pretended world for the client: a clock that only moves when told, a server of functions, sockets in hand.

import assert from "node:assert/strict";
import { mock } from "node:test";

/** Stops the clock; every timer of the client then waits for `pass` or `until`. */
export function stopClock(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-05-01T12:00:00Z") });
  t.after(() => mock.timers.reset());
}

/** Lets everything that needs no time happen. */
export async function settle() {
  for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Lets time pass, in steps, so that what one timer starts can set the next. */
export async function pass(ms, stepMs = 100) {
  await settle();
  for (let passed = 0; passed < ms; passed += stepMs) {
    mock.timers.tick(Math.min(stepMs, ms - passed));
    await settle();
  }
}

/** Lets time pass until something is true; fails when it has not become true by then. */
export async function until(what, condition, maxMs = 120_000, stepMs = 50) {
  await settle();
  for (let passed = 0; !condition(); passed += stepMs) {
    assert.ok(passed < maxMs, `not within ${maxMs} ms: ${what}`);
    mock.timers.tick(stepMs);
    await settle();
  }
}

/** Makes the jitter a fixed part of its ceiling. */
export function fixJitter(t, part) {
  const random = mock.method(Math, "random", () => part);
  t.after(() => random.mock.restore());
}

/** A token as the client reads it; nobody here verifies it. */
export function tokenFor(sub, merchant = "acme", extra = {}) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${encode({ alg: "HS256" })}.${encode({ sub, merchant, exp: 4_000_000_000, ...extra })}.c2ln`;
}

export const LOST = Symbol("the connection breaks");
export const SILENT = Symbol("no answer ever comes");

/** A `fetch` answered by functions: `routes["POST /v1/redemptions"] = (request) => answer`. */
export class FakeServer {
  requests = [];
  routes = {};

  fetch = async (address, { method = "GET", headers = {}, body, signal }) => {
    const url = new URL(address);
    const request = {
      method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      headers,
      key: headers["idempotency-key"],
      token: headers.authorization?.replace("Bearer ", ""),
      body: body === undefined ? undefined : JSON.parse(body),
      signal,
    };
    this.requests.push(request);
    const route = this.routes[`${method} ${url.pathname}`] ?? this.routes[method];
    assert.ok(route, `unexpected request ${method} ${url.pathname}`);
    const answer = await Promise.race([route(request), aborted(signal)]);
    if (answer === LOST) throw new TypeError("fetch failed");
    if (answer === SILENT) return aborted(signal);
    const { status = 200, headers: answered = {}, json, text = JSON.stringify(json) } = answer;
    return { status, ok: status >= 200 && status < 300, headers: new Headers(answered), text: async () => text };
  };

  to(method, path) {
    return this.requests.filter((request) => request.method === method && (!path || request.path === path));
  }
}

function aborted(signal) {
  return new Promise((_, reject) => {
    const fail = () => reject(new DOMException("This operation was aborted", "AbortError"));
    if (signal.aborted) fail();
    else signal.addEventListener("abort", fail);
  });
}

export const problem = (status, code, extra = {}, headers = {}) => ({
  status,
  headers,
  json: { type: `urn:counterfoil:${code}`, title: code, status, code, ...extra },
});

let redemptions = 0;

export const redemption = (status, extra = {}) => ({
  redemption_id: `r${++redemptions}`,
  status,
  kind: "code",
  campaign: 1,
  reward_id: "credit-5",
  quantity: 1,
  ledger: [],
  rewards: [],
  attempts: 0,
  attempts_max: 10,
  created_at: "2026-05-01T12:00:00Z",
  updated_at: "2026-05-01T12:00:00Z",
  ...extra,
});

let rewards = 0;

/** A reward that came to stand where it does by these moves, one second each. */
export const reward = (state, { via = [], ...extra } = {}) => ({
  id: `w${++rewards}`,
  reward_id: "double-points",
  name: "Double points",
  type: "token_booster",
  value: { multiplier_permille: 2000 },
  quantity: 1,
  state,
  redemption_id: "r1",
  attempts: 0,
  attempts_max: 10,
  moves: [...via, state].map((to, index, all) => ({
    ...(index > 0 ? { from: all[index - 1] } : {}),
    to,
    at: `2026-05-01T12:00:0${index}Z`,
    actor: "system",
  })),
  ...extra,
});

/** A class of sockets whose other end is held by the test. */
export function fakeSockets() {
  const opened = [];
  class FakeWebSocket {
    protocol = "";
    onopen = null;
    onmessage = null;
    onclose = null;
    onerror = null;
    sent = [];
    closed = false;
    answersPings = true;

    constructor(url, protocols) {
      this.url = new URL(url);
      this.protocols = protocols;
      this.since = this.url.searchParams.get("since");
      this.token = protocols[1].replace(/^bearer\./, "");
      opened.push(this);
    }
    send(data) {
      this.sent.push(data);
      if (data === "ping" && this.answersPings) queueMicrotask(() => this.onmessage?.({ data: "pong" }));
    }
    close() {
      this.closed = true;
    }

    // The other end.
    accept({ answersPings = true, protocol = "counterfoil.v1" } = {}) {
      this.answersPings = answersPings;
      this.protocol = protocol;
      this.onopen?.({});
      return this;
    }
    deliver(...frames) {
      for (const frame of frames) this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
      return this;
    }
    drop(code = 1006) {
      this.closed = true;
      this.onclose?.({ code });
    }
  }
  return { FakeWebSocket, opened, last: () => opened.at(-1) };
}

export const event = (seq, type = "notice", data = { kind: "test", seq }) => ({ seq, at: "2026-05-01T12:00:00Z", type, data });

/** Storage with the interface of `localStorage`, shared by what pretends to be tabs and reloads. */
export function pageStorage() {
  const entries = new Map();
  return {
    entries,
    get length() {
      return entries.size;
    },
    key: (index) => [...entries.keys()][index] ?? null,
    getItem: (name) => entries.get(name) ?? null,
    setItem: (name, value) => void entries.set(name, String(value)),
    removeItem: (name) => void entries.delete(name),
  };
}
