// Boosters and mini-games: what runs for a time, what it multiplies, and how it ends by itself.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { accepts, callBack, fulfillerOf, grants } from "./fulfiller-double.mjs";
import { feedOf, give, inState, move, pathOf, redemptionOf, remove, rewardOf, withFulfillers } from "./rewards.mjs";
import { assertBalanced, creditOf, openShop, walletOf } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);

/** Gives a booster and lets its owner start it; answers the running reward. */
async function started(shop, client, type, multiplier_permille, changes = {}) {
  const { id } = await give(shop, client, type, { value: { multiplier_permille }, ...changes });
  for (const verb of ["claim", "activate"]) expectStatus(await move(client, id, verb), 200);
  return inState(client, id, "granted");
}

/** What a gift of this type and amount adds to the balance of the same name. */
async function gained(shop, client, type, amount) {
  const before = (await walletOf(client))[type];
  await give(shop, client, type, { value: { amount } });
  return (await walletOf(client))[type] - before;
}

describe("boosters", { concurrency: true }, () => {
  test("level multiplies xp, token multiplies tokens and points, credit never", async () => {
    const shop = openShop(edge);
    const rows = [
      ["level_booster", { xp: 30, tokens: 10, points: 10 }],
      ["token_booster", { xp: 10, tokens: 30, points: 30 }],
    ];
    for (const [type, expected] of rows) {
      const ann = shop.member();
      await give(shop, ann, "xp", { value: { amount: 1 } });
      await started(shop, ann, type, 3000);
      for (const [asset, amount] of Object.entries(expected)) assert.equal(await gained(shop, ann, asset, 10), amount, `${type} and ${asset}`);
      await give(shop, ann, "credit");
      assert.equal(await creditOf(ann), 500, type);
      assert.equal((await assertBalanced(ann)).wallet.xp, 1 + expected.xp, "what was there before stays as it was");
    }
  });

  test("results are floored, at every edge of the multiplier", async () => {
    const shop = openShop(edge);
    for (const [multiplier, amount, expected] of [[1500, 3, 4], [1001, 1, 1], [1001, 999, 999], [1001, 1000, 1001], [1999, 1, 1], [100_000, 7, 700]]) {
      const ann = shop.member();
      await started(shop, ann, "level_booster", multiplier);
      assert.equal(await gained(shop, ann, "xp", amount), expected, `${amount} by ${multiplier}`);
    }
  });

  test("of several the highest counts, not the product", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await started(shop, ann, "level_booster", 2000);
    assert.equal(await gained(shop, ann, "xp", 10), 20);
    await started(shop, ann, "level_booster", 5000);
    assert.equal(await gained(shop, ann, "xp", 10), 50);
    await started(shop, ann, "level_booster", 3000);
    assert.equal(await gained(shop, ann, "xp", 10), 50);
    assert.equal((await walletOf(ann)).boosters.length, 3);
  });

  test("nothing runs before its activation", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "level_booster");
    expectStatus(await move(ann, id, "claim"), 200);
    assert.deepEqual((await walletOf(ann)).boosters, []);
    assert.equal(await gained(shop, ann, "xp", 10), 10);
  });

  test("it is listed in the wallet while it runs, ends by itself as complete, and multiplies no more", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const running = await started(shop, ann, "level_booster", 2500, { duration_s: 3 });
    const lasts = Date.parse(running.runs_until) - Date.parse(running.moves.at(-1).at);
    assert.ok(Math.abs(lasts - 3000) <= 1000, `runs for its duration: ${lasts} ms`);
    const { boosters } = await walletOf(ann);
    assert.equal(boosters.length, 1);
    assert.deepEqual([boosters[0].type, boosters[0].multiplier_permille, boosters[0].runs_until], ["level_booster", 2500, running.runs_until]);
    assert.equal(await gained(shop, ann, "xp", 10), 25);
    const complete = await inState(ann, running.id, "complete");
    assert.deepEqual([complete.moves.at(-1).from, complete.moves.at(-1).actor], ["granted", "system"]);
    assert.ok(Date.parse(complete.moves.at(-1).at) >= Date.parse(running.runs_until), "not before its time");
    assert.deepEqual((await walletOf(ann)).boosters, []);
    assert.equal(await gained(shop, ann, "xp", 10), 10);
    const events = await feedOf(ann);
    assert.equal(events.filter(({ type, data }) => type === "reward.updated" && data.state === "complete").length, 1);
    assert.ok(events.some(({ type, data }) => type === "wallet.updated" && data.boosters.length === 1));
    assert.deepEqual(events.findLast(({ type }) => type === "wallet.updated").data.boosters, []);
    assert.equal((await redemptionOf(ann, complete.redemption_id)).status, "granted");
  });

  test("what it has multiplied is taken back as it was given; a deleted booster multiplies no more", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const booster = await started(shop, ann, "token_booster", 2000);
    const boosted = await give(shop, ann, "points", { value: { amount: 10 } });
    assert.equal((await walletOf(ann)).points, 20);
    expectStatus(await remove(shop, ann, booster.id), 204);
    assert.deepEqual((await walletOf(ann)).boosters, []);
    expectStatus(await remove(shop, ann, boosted.id), 204);
    const { wallet } = await assertBalanced(ann);
    assert.equal(wallet.points, 0);
    assert.equal(await gained(shop, ann, "points", 10), 10);
  });

  test("the mission fulfiller is told, and it runs from its success", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller, mechanic } = await fulfillerOf(t, shop, [grants()]);
    const running = await started(shop, ann, "mission_booster", 3000, { mechanic });
    assert.ok(Date.parse(running.runs_until) > Date.now(), JSON.stringify(running));
    assert.deepEqual(fulfiller.received.map(({ body }) => [body.data.type, body.data.value]), [["mission_booster", { multiplier_permille: 3000 }]]);
    assert.equal(await gained(shop, ann, "xp", 10), 10, "missions are not the wallet's");
    fulfiller.assertProper();
  });
});

describe("mini-games", { concurrency: true }, () => {
  /** A game that its owner has begun to play. */
  async function playing(t, changes) {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller, mechanic, secret } = await fulfillerOf(t, shop, [accepts]);
    const { id } = await give(shop, ann, "mini_game", { mechanic, ...changes });
    for (const verb of ["claim", "activate"]) expectStatus(await move(ann, id, verb), 200);
    await fulfiller.deliveries(1);
    const reward = await inState(ann, id, "in_progress");
    assert.equal((await redemptionOf(ann, reward.redemption_id)).status, "granted", "a game being played rests");
    return { shop, ann, fulfiller, secret, reward };
  }

  test("played in time: granted", async (t) => {
    const { ann, secret, reward, fulfiller } = await playing(t, { valid_for_s: 600 });
    expectStatus(await callBack(edge.url, reward.id, { outcome: "granted", data: { prize: "a hat" } }, { secret }), 200);
    const granted = await inState(ann, reward.id, "granted");
    assert.deepEqual(granted.fulfilment.data, { prize: "a hat" });
    fulfiller.assertProper();
  });

  test("left unplayed: bounced by the clock, and a prize that comes later is a conflict", async (t) => {
    const { ann, secret, reward } = await playing(t, { valid_for_s: 2 });
    const bounced = await inState(ann, reward.id, "bounced");
    assert.deepEqual(pathOf(bounced), ["unclaimed", "pending_activation", "in_progress", "bounced"]);
    assert.ok(Date.parse(bounced.moves.at(-1).at) >= Date.parse(reward.valid_until));
    assert.equal(bounced.moves.at(-1).actor, "system");
    expectProblem(await callBack(edge.url, reward.id, { outcome: "granted" }, { secret }), 409, "illegal_move", { state: "bounced" });
    assert.equal((await rewardOf(ann, reward.id)).state, "bounced");
    for (const verb of ["activate", "decline"]) expectStatus(await move(ann, reward.id, verb), 200, 409);
    assert.equal((await redemptionOf(ann, reward.redemption_id)).status, "granted");
  });
});
