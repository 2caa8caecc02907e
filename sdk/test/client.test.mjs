// Reading calls, and what every request has in common.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { createClient } from "../dist/node.js";
import { FakeServer, LOST, pass, problem, redemption, settle, SILENT, stopClock, tokenFor } from "./support.mjs";

function setting(options = {}) {
  const server = new FakeServer();
  server.routes.GET = server.routes.POST = () => ({ json: { items: [] } });
  return { server, client: createClient({ baseUrl: "https://edge.test/api/", token: tokenFor("anna"), fetch: server.fetch, ...options }) };
}

describe("the client", () => {
  for (const [name, call, method, path, query, body] of [
    ["wallet", (client) => client.wallet(), "GET", "/api/v1/wallet", {}],
    ["ledger", (client) => client.ledger({ cursor: "a b", limit: 5 }), "GET", "/api/v1/ledger", { cursor: "a b", limit: "5" }],
    ["redemptions", (client) => client.redemptions({ status: "granted", campaign: 7, from: undefined }), "GET", "/api/v1/redemptions", { status: "granted", campaign: "7" }],
    ["rewards.list", (client) => client.rewards.list({ state: "unclaimed" }), "GET", "/api/v1/rewards", { state: "unclaimed" }],
    ["redemption", (client) => client.redemption("r/1?"), "GET", "/api/v1/redemptions/r%2F1%3F", {}],
    ["preview", (client) => client.preview({ code: "X", currency: "EUR" }), "POST", "/api/v1/codes/preview", {}, { code: "X", currency: "EUR" }],
  ]) {
    it(`${name} asks for ${path}`, async () => {
      const { server, client } = setting();
      assert.deepEqual(await call(client), { items: [] });
      const [request] = server.requests;
      assert.deepEqual([request.method, request.path, request.query, request.body], [method, path, query, body]);
      assert.equal(request.headers.authorization, `Bearer ${tokenFor("anna")}`);
      assert.equal(request.headers["content-type"], body && "application/json");
      assert.equal(request.key, undefined);
    });

    it(`${name} rejects with a CounterfoilError, and can be cancelled`, async (t) => {
      const { server, client } = setting();
      server.routes.GET = server.routes.POST = () => problem(403, "forbidden", { detail: "No." }, { "retry-after": "Fri, 01 May 2026 12:00:10 GMT" });
      stopClock(t);
      await assert.rejects(call(client), (error) => {
        assert.deepEqual([error.name, error.code, error.status, error.message, error.retryable, error.retryAfterMs], ["CounterfoilError", "forbidden", 403, "No.", false, 10_000]);
        return true;
      });
      server.routes.GET = server.routes.POST = () => LOST;
      await assert.rejects(call(client), (error) => error.code === "network_error" && error.retryable && error.cause instanceof TypeError);
      server.routes.GET = server.routes.POST = () => SILENT;
      const slow = call(client).catch((error) => error);
      await pass(15_100);
      assert.equal((await slow).code, "timeout");
    });
  }

  it("tells the token function which token was refused, until it gives another", async () => {
    const told = [];
    let held = "t1";
    const token = (refused) => {
      told.push(refused);
      if (refused === "t2") held = "t3";
      return held;
    };
    const { server, client } = setting({ token });
    server.routes.GET = ({ token: sent }) => (sent === "t1" ? problem(401, "invalid_token") : { json: {} });
    await assert.rejects(client.wallet(), { code: "invalid_token" });
    held = "t2";
    await client.wallet();
    await client.wallet();
    assert.deepEqual(told, [undefined, "t1", "t1", undefined]);
    server.routes.GET = ({ token: sent }) => (sent === "t2" ? problem(401, "invalid_token") : { json: {} });
    await client.wallet();
    assert.deepEqual(server.requests.map(({ token: sent }) => sent), ["t1", "t1", "t2", "t2", "t2", "t3"]);
  });

  it("stops a read when its signal says so", async () => {
    const { server, client } = setting();
    server.routes.GET = () => SILENT;
    for (const call of [client.wallet, (options) => client.ledger({}, options), (options) => client.redemptions({}, options), (options) => client.redemption("r", options)]) {
      const abort = new AbortController();
      const answer = call({ signal: abort.signal }).catch((error) => error);
      await settle();
      abort.abort("gone");
      const error = await answer;
      assert.deepEqual([error.code, error.cause], ["aborted", "gone"]);
    }
  });

  it("takes an address relative to the page", async (t) => {
    globalThis.location = { href: "https://shop.test/checkout/" };
    t.after(() => delete globalThis.location);
    const { server, client } = setting({ baseUrl: "/codes" });
    await client.wallet();
    assert.equal(server.requests[0].path, "/codes/v1/wallet");
  });

  it("uses the fetch that is there when it is needed", async (t) => {
    const { server, client } = setting({ fetch: undefined });
    t.mock.method(globalThis, "fetch", server.fetch);
    server.routes.GET = () => ({ json: redemption("granted", { redemption_id: "r1" }) });
    assert.equal((await client.redemption("r1")).status, "granted");
  });

  it("takes an answer that is not the API's for none", async () => {
    const { server, client } = setting();
    for (const answer of [{ status: 200, text: "<html>" }, { status: 200, text: "7" }, { status: 500, json: { message: "?" } }, { status: 301, text: "" }]) {
      server.routes.GET = () => answer;
      await assert.rejects(client.wallet(), { code: "unexpected_answer", status: answer.status, retryable: true, problem: undefined });
    }
  });
});
