// Rewards: the calls, and the server's clock that their times are counted by.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createClient } from "../dist/node.js";
import { event, FakeServer, fakeSockets, fixJitter, LOST, pass, problem, reward, settle, SILENT, stopClock, tokenFor, until } from "./support.mjs";

const CLAIM = "POST /v1/rewards/w%2F1/claim";

function setting(options = {}) {
  const server = new FakeServer();
  const sockets = fakeSockets();
  const client = createClient({ baseUrl: "https://edge.test", token: tokenFor("anna"), fetch: server.fetch, WebSocket: sockets.FakeWebSocket, ...options });
  return { server, sockets, client };
}

/** How a call ends, without anybody left to complain of it. */
const ending = (call) => call.then((value) => value.state ?? value, (error) => error.code);

describe("rewards", () => {
  it("are listed by state and page", async () => {
    const { server, client } = setting();
    const page = { items: [reward("unclaimed")], next_cursor: "c2" };
    server.routes["GET /v1/rewards"] = () => ({ json: page });
    assert.deepEqual(await client.rewards.list({ state: "unclaimed", cursor: "c1", limit: 20 }), page);
    assert.deepEqual(await client.rewards.list(), page);
    assert.deepEqual(server.requests.map(({ query }) => query), [{ state: "unclaimed", cursor: "c1", limit: "20" }, {}]);
  });

  for (const verb of ["claim", "activate", "decline"]) {
    it(`${verb} asks for it, by id alone`, async () => {
      const { server, client } = setting();
      const answered = reward("pending_activation", { id: "w/1" });
      server.routes.POST = () => ({ json: answered });
      assert.deepEqual(await client.rewards[verb]("w/1"), answered);
      const [{ path, body, headers }] = server.requests;
      assert.deepEqual([path, body, headers["content-type"]], [`/v1/rewards/w%2F1/${verb}`, undefined, undefined]);
    });
  }

  it("say which moves are legal when the one asked for is not", async () => {
    const { server, client } = setting();
    server.routes[CLAIM] = () => problem(409, "illegal_move", { state: "expired", legal_moves: [] });
    await assert.rejects(client.rewards.claim("w/1"), (error) => {
      assert.deepEqual([error.name, error.code, error.isRefusal, error.retryable], ["CounterfoilError", "illegal_move", true, false]);
      assert.deepEqual([error.problem.state, error.problem.legal_moves], ["expired", []]);
      return true;
    });
    assert.equal(server.requests.length, 1);
  });

  it("are asked for again when no answer came: a move made already changes nothing", async (t) => {
    stopClock(t);
    fixJitter(t, 0.999);
    const { server, client } = setting();
    const answers = [LOST, SILENT, problem(503, "overloaded", {}, { "retry-after": "2" }), { json: reward("pending_activation") }];
    server.routes[CLAIM] = () => answers.shift();
    const claimed = ending(client.rewards.claim("w/1"));
    await settle();
    assert.equal(server.requests.length, 1);
    await until("the second try", () => server.requests.length === 2, 1_000);
    await pass(15_000);
    await until("the third try", () => server.requests.length === 3, 2_000);
    await pass(1_900);
    assert.equal(server.requests.length, 3, "not before the server wants it");
    await until("the fourth try", () => server.requests.length === 4, 5_000);
    assert.equal(await claimed, "pending_activation");
  });

  it("are given up after a few tries, and at once where waiting would be long", async (t) => {
    stopClock(t);
    const { server, client } = setting();
    server.routes[CLAIM] = () => LOST;
    const lost = ending(client.rewards.claim("w/1"));
    await until("four tries", () => server.requests.length === 4);
    await settle();
    assert.equal(await lost, "network_error");
    for (const answer of [problem(429, "rate_limited", {}, { "retry-after": "60" }), problem(401, "invalid_token"), problem(403, "forbidden")]) {
      server.requests.length = 0;
      server.routes[CLAIM] = () => answer;
      assert.equal(await ending(client.rewards.claim("w/1")), answer.json.code);
      // A refused token may be renewed once.
      assert.ok(server.requests.length <= 2);
    }
  });

  it("stop when their signal says so, between tries as well", async (t) => {
    stopClock(t);
    const { server, client } = setting();
    server.routes[CLAIM] = () => LOST;
    const abort = new AbortController();
    const claimed = ending(client.rewards.claim("w/1", { signal: abort.signal }));
    await settle();
    abort.abort();
    assert.equal(await claimed, "aborted");
    assert.equal(server.requests.length, 1);
  });
});

describe("the server's time", () => {
  const at = (ms) => new Date(ms).toUTCString();

  function asking(t, skewMs) {
    stopClock(t);
    const one = setting();
    one.server.routes.GET = () => ({ json: { items: [] }, headers: { date: at(Date.now() + skewMs) } });
    return one;
  }

  it("is the device's where the two agree within what a Date can say", async (t) => {
    const { client } = asking(t, 0);
    for (let asked = 0; asked < 5; asked++) {
      await pass(350);
      await client.wallet();
      assert.equal(client.now(), Date.now());
    }
  });

  for (const [what, skewMs] of [["behind", 3_600_000], ["ahead", -3_600_000]]) {
    it(`is known within a second by a device whose clock is ${what}`, async (t) => {
      const { client } = asking(t, skewMs);
      for (let asked = 0; asked < 8; asked++) {
        await client.wallet();
        const off = client.now() - (Date.now() + skewMs);
        assert.ok(Math.abs(off) <= 1_000, `${off} ms off`);
        await pass(370, 10);
      }
      const off = client.now() - (Date.now() + skewMs);
      assert.ok(Math.abs(off) <= 300, `nearer with every answer: ${off} ms off`);
    });
  }

  it("is never before what a live event says, where no Date may be read", async (t) => {
    stopClock(t);
    const { server, sockets, client } = setting();
    server.routes["GET /v1/events"] = () => ({ json: { events: [], next_since: 1 } });
    t.after(client.subscribe(() => {}));
    await settle();
    const later = new Date(Date.now() + 90_000).toISOString();
    sockets.last().accept().deliver({ ...event(2), at: later });
    assert.equal(client.now(), Date.parse(later));
    sockets.last().deliver({ ...event(3), at: "2026-01-01T00:00:00Z" });
    assert.equal(client.now(), Date.parse(later), "an old event says nothing");
    await pass(1_000);
    assert.equal(client.now(), Date.parse(later) + 1_000);
  });
});
