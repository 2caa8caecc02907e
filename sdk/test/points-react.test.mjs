// The catalogue in React: what is for sale, and buying it once.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { act, hook, turn, WALLET, world } from "./react-world.mjs";
import { event, problem, redemption, settle } from "./support.mjs";

const { useCatalogue } = await import("../dist/points-react.js");
const item = (reward_id, points_cost, points) => ({ reward_id, name: reward_id, type: "external", value: {}, points_cost, affordable: points >= points_cost, eligible: true });

/** A member with these points looks at what there is. */
async function shop(points = 10) {
  let balance = points;
  world.server.routes["GET /v1/catalogue"] = () => ({ json: { items: [item("mug", 10, balance), item("bag", 30, balance)] } });
  const probe = await hook(useCatalogue);
  return { probe, earn: (to) => (balance = to) };
}
const affordable = ({ value }) => value.items.filter((one) => one.affordable).map(({ reward_id }) => reward_id);

describe("useCatalogue", () => {
  it("reads what is for sale, and again when the points change", async () => {
    const { probe, earn } = await shop();
    assert.deepEqual([affordable(probe), probe.value.loading, probe.value.error], [["mug"], false, null]);
    earn(40);
    await act(async () => (world.sockets.last().accept().deliver(event(2, "wallet.updated", { ...WALLET, points: 40 })), await settle()));
    await turn();
    assert.deepEqual(affordable(probe), ["mug", "bag"]);
  });

  it("buys once, however often the button is pressed meanwhile", async () => {
    const { probe } = await shop();
    let answer;
    world.server.routes["POST /v1/redemptions"] = () => new Promise((resolve) => (answer = resolve));
    let bought;
    await act(async () => {
      void probe.value.buy("mug", 2).then((redemption) => (bought = redemption));
      assert.equal(await probe.value.buy("mug", 2), null);
      await settle();
    });
    assert.deepEqual(probe.value.buying, { mug: true });
    await act(async () => (answer({ status: 201, json: redemption("granted", { kind: "points" }) }), await settle()));
    assert.equal(bought.status, "granted");
    assert.deepEqual([probe.value.buying, probe.value.refused], [{}, {}]);
    const sent = world.server.to("POST", "/v1/redemptions");
    assert.deepEqual(sent.map(({ body }) => body), [{ reward_id: "mug", quantity: 2 }]);
  });

  it("continues a purchase that a reload interrupted, with its key", async () => {
    world.server.routes["POST /v1/redemptions"] = () => problem(401, "invalid_token");
    await world.client.redeem({ rewardId: "mug", quantity: 3 }).catch(() => {});
    world.server.routes["POST /v1/redemptions"] = () => ({ status: 201, json: redemption("granted", { kind: "points" }) });
    await shop();
    await turn();
    const sent = world.server.to("POST", "/v1/redemptions");
    assert.deepEqual(sent.map(({ body }) => body.quantity), [3, 3]);
    assert.equal(sent[0].key, sent[1].key);
    assert.deepEqual(await world.client.pending(), []);
  });

  it("says why a purchase was not made, and looks again", async () => {
    const { probe, earn } = await shop();
    earn(0);
    world.server.routes["POST /v1/redemptions"] = () => problem(409, "insufficient_points", { points_needed: 10 });
    await act(async () => (assert.equal(await probe.value.buy("mug"), null), await settle()));
    await turn();
    assert.deepEqual([probe.value.refused.mug.code, probe.value.refused.mug.problem.points_needed], ["insufficient_points", 10]);
    assert.deepEqual(affordable(probe), []);
  });

  it("tells an error, and recovers", async () => {
    const { probe } = await shop();
    world.server.routes["GET /v1/catalogue"] = () => problem(503, "overloaded");
    await act(async () => (probe.value.refresh(), await settle()));
    assert.deepEqual([probe.value.error.code, affordable(probe)], ["overloaded", ["mug"]], "what was read stays");
    world.server.routes["GET /v1/catalogue"] = () => ({ json: { items: [] } });
    await act(async () => (probe.value.refresh(), await settle()));
    assert.deepEqual([probe.value.error, probe.value.items], [null, []]);
  });
});
