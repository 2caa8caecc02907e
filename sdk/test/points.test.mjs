// Buying with points, and the catalogue.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CounterfoilError, createClient } from "../dist/node.js";
import { catalogue } from "../dist/points.js";
import { FakeServer, pageStorage, problem, redemption, tokenFor } from "./support.mjs";

const POST = "POST /v1/redemptions";
const page = (server = new FakeServer(), storage = pageStorage()) => ({
  server,
  storage,
  client: createClient({ baseUrl: "https://edge.test", token: tokenFor("anna"), storage, fetch: server.fetch }),
});
const bought = () => ({ status: 201, json: redemption("granted", { kind: "points", points_spent: 200 }) });

describe("redeem with a reward", () => {
  it("sends reward and quantity under a kept key, and nothing else", async () => {
    const { server, storage, client } = page();
    let kept;
    server.routes[POST] = ({ key }) => ((kept = [...storage.entries.values()].some((value) => value.includes(key))), bought());
    const { points_spent } = await client.redeem({ rewardId: "mug", quantity: 2, colour: "red" });
    assert.equal(points_spent, 200);
    assert.deepEqual(server.requests[0].body, { reward_id: "mug", quantity: 2 });
    assert.equal(kept, true);
    assert.equal(storage.length, 0);
  });

  it("continues the same purchase with its key, and tells others apart", async () => {
    const { server, storage, client } = page();
    server.routes[POST] = () => problem(401, "invalid_token");
    for (const request of [{ rewardId: "mug" }, { rewardId: "mug", quantity: 2 }, { rewardId: "cup" }, { code: "mug" }, { rewardId: "mug" }]) {
      await assert.rejects(client.redeem(request), { code: "invalid_token" });
    }
    const keys = server.requests.map(({ key }) => key);
    assert.equal(new Set(keys).size, 4);
    assert.equal(keys[0], keys[4]);
    assert.deepEqual((await client.pending()).map(({ reward_id, quantity, code }) => [reward_id, quantity, code]), [
      ["mug", undefined, undefined],
      ["mug", 2, undefined],
      ["cup", undefined, undefined],
      [undefined, undefined, "mug"],
    ]);
    const after = page(undefined, storage);
    after.server.routes[POST] = bought;
    assert.equal((await after.client.resume()).length, 4);
    assert.deepEqual(after.server.requests.map(({ key }) => key).sort(), [...new Set(keys)].sort());
    assert.deepEqual(after.server.requests.find(({ body }) => body.quantity).body, { reward_id: "mug", quantity: 2 });
  });

  it("gives refusals their codes and extras", async () => {
    const { server, client } = page();
    server.routes[POST] = () => problem(409, "insufficient_points", { points_needed: 30 });
    await assert.rejects(client.redeem({ rewardId: "mug" }), (error) => error instanceof CounterfoilError && error.isRefusal && error.problem.points_needed === 30);
    assert.deepEqual(await client.pending(), []);
  });

  it("needs a code or a reward", async () => {
    const { client } = page();
    for (const request of [undefined, {}, { quantity: 2 }, { rewardId: " " }, { rewardId: 7 }, { code: "" }]) {
      await assert.rejects(client.redeem(request), { code: "invalid_argument" });
    }
  });
});

describe("the catalogue", () => {
  it("is read to its end", async () => {
    const { server, client } = page();
    const item = (reward_id) => ({ reward_id, name: reward_id, type: "external", value: {}, points_cost: 5, affordable: true, eligible: true });
    server.routes["GET /v1/catalogue"] = ({ query }) =>
      query.cursor ? { json: { items: [item("b")] } } : { json: { items: [item("a")], next_cursor: "next" } };
    assert.deepEqual((await catalogue(client)).map(({ reward_id }) => reward_id), ["a", "b"]);
    assert.deepEqual(server.requests.map(({ query }) => query), [{ limit: "200" }, { cursor: "next", limit: "200" }]);
  });
});
