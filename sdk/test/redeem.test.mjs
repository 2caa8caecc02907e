// Redeeming exactly once: one key per intent, kept over failures and reloads until the final answer.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CounterfoilError, createClient } from "../dist/node.js";
import {
  event,
  FakeServer,
  fakeSockets,
  fixJitter,
  LOST,
  pageStorage,
  pass,
  problem,
  redemption,
  settle,
  SILENT,
  stopClock,
  tokenFor,
  until,
} from "./support.mjs";

const CODE = "0000-PMHX-FT5V-PPXF-4FNQ";
const POST = "POST /v1/redemptions";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** A page: a client over a storage that outlives it. */
function page({ server = new FakeServer(), storage = pageStorage(), token = tokenFor("anna"), ...more } = {}) {
  return { server, storage, client: createClient({ baseUrl: "https://edge.test", token, storage, fetch: server.fetch, ...more }) };
}

/** Watches a promise without waiting for it. */
function watch(promise) {
  const seen = { state: "pending" };
  promise.then(
    (value) => Object.assign(seen, { state: "resolved", value }),
    (error) => Object.assign(seen, { state: "rejected", error }),
  );
  return seen;
}

const answers = (...list) => {
  let index = 0;
  return () => list[Math.min(index++, list.length - 1)];
};

describe("redeem", () => {
  it("keeps the key before the first request, sends it, and drops it after the answer", async () => {
    const { server, storage, client } = page();
    let keptWhenSent;
    server.routes[POST] = ({ key }) => {
      keptWhenSent = [...storage.entries.values()].some((value) => value.includes(key));
      return { status: 201, json: redemption("granted") };
    };
    const result = await client.redeem({ code: CODE, currency: "EUR", order: "o-1" });
    assert.equal(result.status, "granted");
    assert.equal(keptWhenSent, true);
    const [request] = server.requests;
    assert.match(request.key, UUID);
    assert.deepEqual(request.body, { code: CODE, currency: "EUR", order: "o-1" });
    assert.deepEqual(await client.pending(), []);
    assert.equal(storage.length, 0);
  });

  it("uses the same key through broken connections, 5xx, strange pages and time-outs", async (t) => {
    stopClock(t);
    const { server, client } = page();
    server.routes[POST] = answers(
      LOST,
      problem(500, "internal_error"),
      problem(503, "overloaded"),
      { status: 502, text: "<h1>Bad gateway</h1>" },
      { status: 200, text: "<h1>Please sign in to the airport's network</h1>" },
      SILENT,
      problem(429, "rate_limited"),
      problem(409, "idempotency_key_in_use"),
      { status: 201, json: redemption("redeemed") },
    );
    const seen = watch(client.redeem({ code: CODE }));
    await until("redeemed", () => seen.state !== "pending", 300_000);
    assert.equal(seen.state, "resolved", String(seen.error));
    assert.equal(server.requests.length, 9);
    assert.equal(new Set(server.requests.map(({ key }) => key)).size, 1);
    assert.deepEqual(await client.pending(), []);
  });

  it("gives a try fifteen seconds", async (t) => {
    stopClock(t);
    fixJitter(t, 0);
    const { server, client } = page();
    server.routes[POST] = answers(SILENT, { status: 201, json: redemption("redeemed") });
    const seen = watch(client.redeem({ code: CODE }));
    await pass(14_900);
    assert.equal(server.requests.length, 1);
    await pass(300);
    assert.equal(server.requests.length, 2);
    assert.equal(server.requests[0].signal.aborted, true);
    assert.equal(seen.state, "resolved");
  });

  it("waits at least as long as Retry-After says", async (t) => {
    stopClock(t);
    fixJitter(t, 0);
    const { server, client } = page();
    server.routes[POST] = answers(problem(503, "overloaded", {}, { "retry-after": "7" }), { status: 201, json: redemption("redeemed") });
    const seen = watch(client.redeem({ code: CODE }));
    await pass(6_900);
    assert.equal(server.requests.length, 1);
    await pass(200);
    assert.equal(seen.state, "resolved");
  });

  it("backs off with a growing ceiling and full jitter", async (t) => {
    stopClock(t);
    fixJitter(t, 0.999);
    const { server, client } = page();
    const at = [];
    server.routes[POST] = () => (at.push(Date.now()), LOST);
    const abort = new AbortController();
    const seen = watch(client.redeem({ code: CODE }, { signal: abort.signal }));
    await until("eight tries", () => at.length >= 9, 600_000);
    const pauses = at.slice(1).map((time, index) => time - at[index]);
    const ceilings = [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000];
    pauses.forEach((pause, index) => assert.ok(Math.abs(pause - ceilings[index]) <= 60, `${pauses}`));
    abort.abort();
    await settle();
    assert.equal(seen.error.code, "aborted");
  });

  it("continues with the same key after a reload in mid-request", async (t) => {
    stopClock(t);
    const { server, storage, client } = page();
    server.routes[POST] = () => SILENT;
    void watch(client.redeem({ code: CODE, order: "o-1" }));
    await settle();
    const key = server.requests[0].key;

    // The page is gone; another one begins over the same storage.
    const after = page({ storage });
    const [intent] = await after.client.pending();
    assert.equal(intent.key, key);
    assert.equal(intent.code, CODE);
    after.server.routes[POST] = () => ({ status: 201, json: redemption("granted") });
    const resumed = await after.client.resume();
    assert.deepEqual(resumed.map(({ status }) => status), ["granted"]);
    assert.equal(after.server.requests[0].key, key);
    assert.deepEqual(after.server.requests[0].body, { code: CODE, order: "o-1" });
    assert.deepEqual(await after.client.pending(), []);
  });

  it("continues the kept intent when the same code is redeemed again, however it is written", async () => {
    const { server, storage, client } = page();
    const abort = new AbortController();
    server.routes[POST] = () => (abort.abort(), SILENT);
    const first = watch(client.redeem({ code: CODE }, { signal: abort.signal }));
    await settle();
    assert.equal(first.error.code, "aborted");

    const again = page({ storage });
    again.server.routes[POST] = () => ({ status: 201, json: redemption("redeemed") });
    await again.client.redeem({ code: " oooo pmhx–ft5v.PPXF_4fnq " });
    assert.equal(again.server.requests[0].key, server.requests[0].key);

    // After the final answer the same code is a new intent.
    await again.client.redeem({ code: CODE });
    assert.notEqual(again.server.requests[1].key, server.requests[0].key);
  });

  it("makes another intent for another order", async () => {
    const { server, client } = page();
    server.routes[POST] = () => ({ status: 201, json: redemption("held") });
    await Promise.all([client.redeem({ code: CODE, order: "a" }), client.redeem({ code: CODE, order: "b" })]);
    assert.equal(new Set(server.requests.map(({ key }) => key)).size, 2);
  });

  it("shares one request between calls in one page, and one key between tabs", async () => {
    const storage = pageStorage();
    const server = new FakeServer();
    const open = [];
    server.routes[POST] = () => new Promise((resolve) => open.push(resolve));
    const done = { status: 201, json: redemption("redeemed", { redemption_id: "one" }) };
    const one = page({ server, storage });
    const calls = [one.client.redeem({ code: CODE }), one.client.redeem({ code: CODE })];
    await settle();
    assert.equal(server.requests.length, 1);
    const two = page({ server, storage });
    const other = two.client.redeem({ code: CODE });
    await settle();
    assert.equal(server.requests.length, 2);
    assert.equal(server.requests[0].key, server.requests[1].key);
    open[1](done);
    assert.equal((await other).redemption_id, "one");
    assert.deepEqual(await two.client.pending(), []);
    // The first tab's answer is still out; the other tab's dropping the intent does not disturb it.
    open[0](done);
    assert.deepEqual((await Promise.all(calls)).map(({ redemption_id }) => redemption_id), ["one", "one"]);
    assert.equal(storage.length, 0);
  });

  it("takes turns with other tabs while it looks for a kept key", async (t) => {
    const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
    let release;
    const others = new Promise((resolve) => (release = resolve));
    const locked = [];
    const request = (name, callback) => (locked.push(name), others.then(callback));
    Object.defineProperty(globalThis, "navigator", { configurable: true, value: { locks: { request } } });
    t.after(() => (before ? Object.defineProperty(globalThis, "navigator", before) : delete globalThis.navigator));
    const { server, storage, client } = page();
    server.routes[POST] = () => ({ status: 201, json: redemption("redeemed") });
    const result = client.redeem({ code: CODE });
    await settle();
    assert.deepEqual([locked.length, storage.length, server.requests.length], [1, 0, 0]);
    release();
    await result;
    assert.equal(server.requests.length, 1);
  });

  it("stops for one caller without stopping for the other", async () => {
    const { server, client } = page();
    let answer;
    server.routes[POST] = () => new Promise((resolve) => (answer = resolve));
    const abort = new AbortController();
    const leaving = watch(client.redeem({ code: CODE }, { signal: abort.signal }));
    const staying = watch(client.redeem({ code: CODE }));
    await settle();
    abort.abort();
    await settle();
    assert.equal(leaving.error.code, "aborted");
    assert.equal(server.requests[0].signal.aborted, false);
    answer({ status: 201, json: redemption("redeemed") });
    await settle();
    assert.equal(staying.state, "resolved");
  });

  it("keeps the intent when it is cancelled", async () => {
    const { server, client } = page();
    server.routes[POST] = () => SILENT;
    const abort = new AbortController();
    const seen = watch(client.redeem({ code: CODE }, { signal: abort.signal }));
    await settle();
    abort.abort(new Error("left the page"));
    await settle();
    assert.equal(seen.error.code, "aborted");
    assert.equal(seen.error.cause.message, "left the page");
    assert.equal(server.requests[0].signal.aborted, true);
    assert.equal((await client.pending()).length, 1);
  });

  it("does nothing at all when cancelled before it begins", async () => {
    const { server, client } = page();
    await assert.rejects(client.redeem({ code: CODE }, { signal: AbortSignal.abort() }), { code: "aborted" });
    assert.equal(server.requests.length, 0);
    assert.deepEqual(await client.pending(), []);
  });
});

describe("refusals and errors", () => {
  for (const [status, code] of [[422, "malformed_code"], [404, "code_not_recognised"], [410, "code_recalled"], [409, "already_redeemed"], [403, "not_eligible"], [409, "insufficient_codes"], [422, "idempotency_key_reused"], [400, "invalid_request"], [429, "too_many_attempts"]]) {
    it(`${code} ends the intent`, async () => {
      const { server, client } = page();
      server.routes[POST] = () => problem(status, code, { detail: "In words.", held_until: "2026-05-01T12:15:00Z" });
      await assert.rejects(client.redeem({ code: CODE }), (error) => {
        assert.ok(error instanceof CounterfoilError && error instanceof Error);
        assert.equal(error.name, "CounterfoilError");
        assert.equal(error.code, code);
        assert.equal(error.status, status);
        assert.equal(error.message, "In words.");
        assert.equal(error.problem.held_until, "2026-05-01T12:15:00Z");
        assert.equal(error.retryable, status === 429);
        assert.equal(error.isRefusal, !/^i/.test(code) || code === "insufficient_codes");
        return true;
      });
      assert.equal(server.requests.length, 1);
      assert.deepEqual(await client.pending(), []);
    });
  }

  it("keeps the intent on too_many_attempts when an earlier try may have succeeded", async (t) => {
    stopClock(t);
    const { server, client } = page();
    server.routes[POST] = answers(LOST, problem(429, "too_many_attempts", {}, { "retry-after": "3600" }));
    const seen = watch(client.redeem({ code: CODE }));
    await until("rejected", () => seen.state !== "pending");
    assert.equal(seen.error.code, "too_many_attempts");
    assert.equal(seen.error.retryAfterMs, 3_600_000);
    const [intent] = await client.pending();
    assert.equal(intent.key, server.requests[0].key);
    assert.equal(intent.uncertain, true);
  });

  it("asks for a new token once when the server no longer takes the old", async () => {
    const tokens = [tokenFor("anna", "acme", { n: 1 }), tokenFor("anna", "acme", { n: 1 }), tokenFor("anna", "acme", { n: 2 })];
    let asked = 0;
    const { server, client } = page({ token: async () => tokens[Math.min(asked++, 2)] });
    server.routes[POST] = ({ token }) => (token === tokens[2] ? { status: 201, json: redemption("redeemed") } : problem(401, "invalid_token"));
    await client.redeem({ code: CODE });
    assert.deepEqual(server.requests.map(({ token }) => token), [tokens[0], tokens[2]]);
    assert.equal(server.requests[0].key, server.requests[1].key);
  });

  it("keeps the intent when there is no good token, so that signing in continues it", async () => {
    const { server, client } = page();
    server.routes[POST] = () => problem(401, "invalid_token");
    await assert.rejects(client.redeem({ code: CODE }), { code: "invalid_token", retryable: true, isRefusal: false });
    assert.equal((await client.pending()).length, 1);
  });

  it("keeps the intent when a page that is not the API answers 404", async () => {
    const { server, client } = page();
    server.routes[POST] = () => ({ status: 404, text: "<h1>Not here</h1>" });
    await assert.rejects(client.redeem({ code: CODE }), { code: "unexpected_answer", status: 404 });
    assert.equal((await client.pending()).length, 1);
  });

  it("refuses an empty code and a wrong address without a request", async () => {
    const { server, client } = page();
    for (const code of ["", "  ", undefined, 7]) await assert.rejects(client.redeem({ code }), { code: "invalid_argument" });
    await assert.rejects(client.redeem(), { code: "invalid_argument" });
    assert.equal(server.requests.length, 0);
    for (const baseUrl of ["", "nowhere", "ftp://edge.test"]) {
      assert.throws(() => createClient({ baseUrl, token: "t" }), { name: "CounterfoilError", code: "invalid_argument" });
    }
    assert.throws(() => createClient({ baseUrl: "https://edge.test" }), { code: "invalid_argument" });
  });

  it("tells why the token could not be had", async () => {
    const { client } = page({ token: () => Promise.reject(new Error("signed out")) });
    await assert.rejects(client.redeem({ code: CODE }), (error) => error.code === "invalid_token" && error.cause.message === "signed out");
  });
});

describe("202", () => {
  it("asks for the redemption until it is decided, and tells each state", async (t) => {
    stopClock(t);
    const { server, storage, client } = page();
    const open = redemption("redeeming", { redemption_id: "r 1" });
    server.routes[POST] = () => ({ status: 202, json: open });
    server.routes.GET = answers({ json: open }, { json: { ...open, status: "redeem_failed" } }, LOST, { json: { ...open, status: "granting" } });
    const states = [];
    const seen = watch(client.redeem({ code: CODE }, { onUpdate: ({ status }) => states.push(status) }));
    await settle();
    assert.match([...storage.entries.values()].join(), /"redemption_id":"r 1"/);
    await until("decided", () => seen.state !== "pending");
    assert.equal(seen.value.status, "granting");
    assert.deepEqual(states, ["redeeming", "redeeming", "redeem_failed", "granting"]);
    assert.equal(server.to("POST").length, 1);
    assert.ok(server.to("GET").every(({ path }) => path === "/v1/redemptions/r%201"));
    assert.deepEqual(await client.pending(), []);
  });

  it("rejects with the refusal when it is decided so", async (t) => {
    stopClock(t);
    const { server, client } = page();
    const open = redemption("redeeming");
    server.routes[POST] = () => ({ status: 202, json: open });
    server.routes.GET = () => ({ json: { ...open, status: "refused", refusal: { code: "code_held", held_until: "later" } } });
    const seen = watch(client.redeem({ code: CODE }));
    await until("refused", () => seen.state !== "pending");
    assert.equal(seen.error.code, "code_held");
    assert.equal(seen.error.problem.held_until, "later");
    assert.equal(seen.error.isRefusal, true);
    assert.deepEqual(await client.pending(), []);
  });

  it("goes on with the id after a reload, and with the key when the id is not known", async (t) => {
    stopClock(t);
    const { server, storage, client } = page();
    const open = redemption("redeeming");
    server.routes[POST] = () => ({ status: 202, json: open });
    server.routes.GET = () => SILENT;
    void watch(client.redeem({ code: CODE }));
    await settle();

    const after = page({ storage });
    after.server.routes.GET = () => problem(404, "not_found");
    after.server.routes[POST] = () => ({ status: 201, json: { ...open, status: "redeemed" } });
    const seen = watch(after.client.resume());
    await until("resumed", () => seen.state !== "pending");
    assert.deepEqual(after.server.requests.map(({ method }) => method), ["GET", "POST"]);
    assert.equal(after.server.requests[1].key, server.requests[0].key);
    assert.equal(seen.value[0].status, "redeemed");
  });

  it("is woken by the live feed", async (t) => {
    stopClock(t);
    fixJitter(t, 0.999);
    const sockets = fakeSockets();
    const { server, client } = page({ WebSocket: sockets.FakeWebSocket });
    const open = redemption("redeeming");
    server.routes["GET /v1/events"] = () => ({ json: { events: [], next_since: 4 } });
    server.routes[POST] = () => ({ status: 202, json: open });
    server.routes.GET = () => ({ json: { ...open, status: "granted" } });
    t.after(client.subscribe(() => {}));
    await settle();
    sockets.last().accept();
    const seen = watch(client.redeem({ code: CODE }));
    await settle();
    assert.equal(seen.state, "pending");
    sockets.last().deliver(event(5, "redemption.updated", { ...open, redemption_id: "another" }));
    await settle();
    assert.equal(seen.state, "pending");
    sockets.last().deliver(event(6, "redemption.updated", { ...open, status: "granted" }));
    await settle();
    assert.equal(seen.state, "resolved");
  });
});

describe("kept intents", () => {
  it("belong to one member of one deployment", async () => {
    const storage = pageStorage();
    const { server, client } = page({ storage });
    server.routes[POST] = () => problem(401, "invalid_token");
    await assert.rejects(client.redeem({ code: CODE }));
    const others = [
      page({ storage, token: tokenFor("bert") }).client,
      page({ storage, token: tokenFor("anna", "other") }).client,
      page({ storage, baseUrl: "https://elsewhere.test" }).client,
    ];
    for (const other of others) assert.deepEqual(await other.pending(), []);
    assert.equal((await page({ storage, token: async () => tokenFor("anna") }).client.pending()).length, 1);
  });

  it("are all continued; those refused are told and dropped", async () => {
    const storage = pageStorage();
    const before = page({ storage });
    before.server.routes[POST] = () => problem(401, "invalid_token");
    for (const code of ["first", "second", "third"]) await assert.rejects(before.client.redeem({ code }));

    const { server, client } = page({ storage });
    server.routes[POST] = ({ body }) =>
      body.code === "second" ? problem(409, "already_redeemed") : { status: 201, json: redemption("redeemed", { reason: body.code }) };
    const errors = [];
    const resumed = await client.resume({ onError: (error, intent) => errors.push([error.code, intent.code]) });
    assert.deepEqual(resumed.map(({ reason }) => reason), ["first", "third"]);
    assert.deepEqual(errors, [["already_redeemed", "second"]]);
    assert.deepEqual(await client.pending(), []);
  });

  it("survive as long as the page when the storage is full", async () => {
    const storage = { ...pageStorage(), setItem: () => { throw new DOMException("full", "QuotaExceededError"); } };
    const { server, client } = page({ storage });
    server.routes[POST] = answers(problem(401, "invalid_token"), { status: 201, json: redemption("redeemed") });
    await assert.rejects(client.redeem({ code: CODE }));
    assert.equal((await client.pending()).length, 1);
    await client.redeem({ code: CODE });
    assert.equal(server.requests[0].key, server.requests[1].key);
    assert.deepEqual(await client.pending(), []);
  });

  it("ignore what is not theirs in the storage", async () => {
    const storage = pageStorage();
    const { server, client } = page({ storage });
    server.routes[POST] = () => problem(401, "invalid_token");
    await assert.rejects(client.redeem({ code: CODE }));
    const [name] = storage.entries.keys();
    storage.setItem(`${name}x`, "not json");
    storage.setItem(`${name}y`, "{}");
    storage.setItem("another app", "1");
    assert.equal((await client.pending()).length, 1);
  });
});

describe("an application's callback that throws", () => {
  it("is reported and breaks nothing", async (t) => {
    const reported = t.mock.method(console, "error", () => {});
    const { server, client } = page();
    server.routes[POST] = () => ({ status: 201, json: redemption("redeemed") });
    const result = await client.redeem({ code: CODE }, { onUpdate: () => { throw new Error("mine"); } });
    assert.equal(result.status, "redeemed");
    assert.equal(reported.mock.calls[0].arguments[0].message, "mine");
  });
});
