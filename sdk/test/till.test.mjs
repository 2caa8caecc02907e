// The till: what it asks, and confirming and taking back exactly once.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { fixJitter, LOST, pageStorage, pass, settle, SILENT, stopClock, until } from "./support.mjs";
import { CONFIRM, CounterfoilError, member, PHONE, problem, QUOTE, sold, till } from "./till-world.mjs";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const answers = (...list) => {
  let index = 0;
  return () => list[Math.min(index++, list.length - 1)];
};

/** Watches a promise without waiting for it. */
function watch(promise) {
  const seen = { state: "pending" };
  promise.then(
    (value) => Object.assign(seen, { state: "resolved", value }),
    (error) => Object.assign(seen, { state: "rejected", error }),
  );
  return seen;
}

describe("calls of a till", () => {
  it("look a member up, quote, cancel and read a ledger", async () => {
    const { server, till: one } = till();
    server.routes["GET /v1/members/ann%2Fb/ledger"] = () => ({ json: { items: [] } });
    assert.equal((await one.lookup(PHONE)).points, 120);
    assert.deepEqual(await one.quote({ memberId: "ann", rewardId: "coffee" }), QUOTE);
    await one.quote({ memberId: "ann", rewardId: "coffee", quantity: 3, again: true });
    assert.equal(await one.cancel("qu_1"), undefined);
    await one.ledger("ann/b", { limit: 5 });
    assert.deepEqual(server.requests.map(({ method, path, body, query }) => [method, path, body ?? query]), [
      ["POST", "/v1/till/lookup", { phone: PHONE }],
      ["POST", "/v1/till/quotes", { member_id: "ann", reward_id: "coffee" }],
      ["POST", "/v1/till/quotes", { member_id: "ann", reward_id: "coffee", quantity: 3, again: true }],
      ["DELETE", "/v1/till/quotes/qu_1", {}],
      ["GET", "/v1/members/ann%2Fb/ledger", { limit: "5" }],
    ]);
    assert.ok(server.requests.every(({ key }) => key === undefined), "nothing here is done, so nothing needs a key");
  });

  it("reject with the edge's own word, as one class of errors", async () => {
    const { server, till: one } = till();
    server.routes["POST /v1/till/lookup"] = () => problem(404, "member_not_found");
    server.routes["POST /v1/till/quotes"] = () => problem(409, "insufficient_points", { points_needed: 20, quote_id: "qu_2" });
    const error = await one.lookup(PHONE).catch((thrown) => thrown);
    assert.ok(error instanceof CounterfoilError);
    assert.deepEqual([error.code, error.isRefusal], ["member_not_found", true]);
    const short = await one.quote({ memberId: "ann", rewardId: "mug" }).catch((thrown) => thrown);
    assert.deepEqual([short.code, short.problem.points_needed, short.problem.quote_id], ["insufficient_points", 20, "qu_2"]);
  });

  it("need an address and a token", async () => {
    const { createTill } = await import("../dist/till.js");
    for (const options of [undefined, {}, { baseUrl: "https://edge.test" }, { baseUrl: "ftp://edge", token: "t" }]) {
      assert.throws(() => createTill(options), { name: "CounterfoilError", code: "invalid_argument" });
    }
  });
});

describe("confirm", () => {
  it("keeps the key before the first request, sends it, and drops it after the answer", async () => {
    const { server, storage, till: one } = till();
    let kept;
    server.routes[CONFIRM] = ({ key }) => {
      kept = [...storage.entries.values()].some((value) => value.includes(key));
      return { status: 201, json: sold() };
    };
    assert.equal((await one.confirm(QUOTE)).points_spent, 80);
    const [request] = server.requests;
    assert.equal(kept, true);
    assert.match(request.key, UUID);
    assert.deepEqual(request.body, {});
    assert.equal(storage.length, 0);
  });

  it("sends a manager's override with its reason, under a key of its own", async () => {
    const { server, storage, till: one } = till();
    server.routes[CONFIRM] = answers(LOST, { status: 201, json: sold() });
    const left = new AbortController();
    const seen = watch(one.confirm(QUOTE, { signal: left.signal, onRetry: () => left.abort() }));
    await settle();
    assert.equal(seen.error.code, "aborted");
    const manager = till({ server, storage, sub: "mia", role: "manager" }).till;
    server.routes[CONFIRM] = () => ({ status: 201, json: sold({ goodwill_points: 20 }) });
    assert.equal((await manager.confirm(QUOTE, { override: { reason: "a regular" } })).goodwill_points, 20);
    const [first, second] = server.to("POST");
    assert.deepEqual(second.body, { override: { reason: "a regular" } });
    assert.notEqual(first.key, second.key);
    assert.equal((await one.pending()).length, 1, "the other one's is still theirs");
    assert.equal((await manager.pending()).length, 0);
  });

  it("uses the same key through lost answers, 5xx and 202, and tells of each", async (t) => {
    stopClock(t);
    const { server, till: one } = till();
    server.routes[CONFIRM] = answers(
      LOST,
      problem(503, "overloaded", {}, { "retry-after": "2" }),
      { status: 502, text: "<h1>Bad gateway</h1>" },
      SILENT,
      problem(409, "idempotency_key_in_use"),
      { status: 202, json: sold({ status: "redeeming" }) },
      { status: 201, json: sold() },
    );
    const told = [];
    const seen = watch(one.confirm(QUOTE, { onRetry: ({ code }) => told.push(code) }));
    await until("confirmed", () => seen.state !== "pending");
    assert.equal(seen.state, "resolved", String(seen.error));
    assert.equal(new Set(server.requests.map(({ key }) => key)).size, 1);
    assert.deepEqual(told, ["network_error", "overloaded", "unexpected_answer", "timeout", "idempotency_key_in_use"]);
    assert.deepEqual(await one.pending(), []);
  });

  it("continues after a reload, with the key, the quote and whose it was", async (t) => {
    stopClock(t);
    const { server, storage, till: one } = till();
    server.routes[CONFIRM] = () => SILENT;
    void watch(one.confirm(QUOTE, { member: { member_id: "ann", name: "Ann" } }));
    await settle();
    const after = till({ storage });
    const [intent] = await after.till.pending();
    assert.deepEqual(intent.confirm, { quote: QUOTE, member: { member_id: "ann", name: "Ann" } });
    assert.equal((await after.till.resume(intent)).status, "granted");
    assert.equal(after.server.requests[0].key, server.requests[0].key);
    assert.deepEqual(after.server.requests[0].body, {});
    assert.deepEqual(await after.till.pending(), []);
  });

  it("is over with a refusal, and stays with a token that has ended", async () => {
    const { server, till: one } = till();
    for (const [status, code, kept] of [
      [410, "quote_expired", 0],
      [409, "insufficient_points", 0],
      [409, "insufficient_codes", 0],
      [409, "just_redeemed", 0],
      [403, "forbidden", 0],
      [404, "not_found", 0],
      [401, "invalid_token", 1],
    ]) {
      server.routes[CONFIRM] = () => problem(status, code);
      await assert.rejects(one.confirm(QUOTE), { code });
      assert.equal((await one.pending()).length, kept, code);
    }
    server.routes[CONFIRM] = () => ({ status: 200, json: sold({ status: "refused", refusal: { code: "insufficient_codes", available: 0, requested: 1 } }) });
    await assert.rejects(one.confirm(QUOTE), (error) => error.code === "insufficient_codes" && error.problem.requested === 1 && error.isRefusal);
  });

  it("is not shared between members of staff at one till", async () => {
    const storage = pageStorage();
    const { server, till: tom } = till({ storage });
    server.routes[CONFIRM] = () => problem(401, "invalid_token");
    await assert.rejects(tom.confirm(QUOTE));
    assert.equal((await till({ storage, sub: "tina" }).till.pending()).length, 0);
    assert.equal((await till({ storage }).till.pending()).length, 1);
  });
});

describe("reverse", () => {
  const REVERSE = "POST /v1/redemptions/r%3A1/reversal";

  it("takes back once, with its reason", async (t) => {
    stopClock(t);
    const { server, till: one } = till();
    server.routes[REVERSE] = answers(LOST, { status: 200, json: sold({ status: "reversed" }) });
    const seen = watch(one.reverse("r:1", { reason: "wrong reward" }));
    await until("reversed", () => seen.state !== "pending");
    assert.equal(seen.value.status, "reversed");
    const [first, second] = server.requests;
    assert.deepEqual(first.body, { reason: "wrong reward" });
    assert.equal(first.key, second.key);
    server.routes[REVERSE] = () => problem(409, "already_reversed");
    await assert.rejects(one.reverse("r:1", { reason: "wrong reward", giveBack: true }), { code: "already_reversed" });
    assert.deepEqual(server.requests[2].body, { reason: "wrong reward", give_back: true });
    assert.notEqual(server.requests[2].key, first.key);
  });
});

describe("watch", () => {
  const healthz = "/healthz";

  it("says whether the edge can be reached, from its own questions", async (t) => {
    stopClock(t);
    const { server, till: one } = till();
    const said = [];
    const stop = one.watch((reachable) => said.push(reachable));
    assert.deepEqual(said, [true]);
    await pass(9_900);
    assert.equal(server.to("GET", healthz).length, 1);
    server.routes["GET /healthz"] = () => LOST;
    await pass(200);
    assert.deepEqual(said, [true, false]);
    await pass(4_200);
    assert.equal(server.to("GET", healthz).length, 4, "asked more often while it is away");
    server.routes["GET /healthz"] = () => ({ json: { ok: true } });
    await pass(2_000);
    assert.deepEqual(said, [true, false, true]);
    server.routes["GET /healthz"] = () => SILENT;
    await pass(14_200);
    assert.deepEqual(said, [true, false, true, false], "no answer is an answer");
    stop();
    const asked = server.requests.length;
    await pass(60_000);
    assert.equal(server.requests.length, asked);
    assert.equal(said.length, 4);
  });

  it("learns from every request, and tells a portal's page from the edge", async (t) => {
    stopClock(t);
    fixJitter(t, 0.5);
    const { server, till: one } = till();
    const said = [];
    t.after(one.watch((reachable) => said.push(reachable)));
    await settle();
    server.routes["POST /v1/till/lookup"] = answers(LOST, { json: member(120) });
    await assert.rejects(one.lookup(PHONE), { code: "network_error", retryable: true });
    assert.deepEqual(said, [true, false]);
    await one.lookup(PHONE);
    assert.deepEqual(said, [true, false, true]);
    server.routes["GET /healthz"] = () => ({ status: 511, text: "<h1>Sign in to this network</h1>" });
    await pass(10_100);
    assert.deepEqual(said, [true, false, true, false]);
  });
});
