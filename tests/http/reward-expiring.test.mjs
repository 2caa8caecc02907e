// What endpoints are told about rewards that wait for their member and will not wait for ever.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { fulfillerOf, says } from "./fulfiller-double.mjs";
import { define, give, inState, move, rewardOf, withFulfillers } from "./rewards.mjs";
import { openShop, redeemed } from "./shop.mjs";
import { set } from "./till.mjs";

const edge = edgeForThisFile(withFulfillers);
const DAY_S = 86_400;
const MS = 20_000;
const WAITING = { player_should_claim: true, automatic_activation: false };
const RESTING = { player_should_claim: false, automatic_activation: false };

async function listening(t, settings) {
  const shop = openShop(edge);
  if (settings) await set(shop, settings);
  return { shop, ann: shop.member(), ...(await fulfillerOf(t, shop, [says(200)], ["reward.expiring", "reward.declined", "reward.expired"])) };
}

const about = (fulfiller, id, type = "reward.expiring") => fulfiller.received.filter(({ body }) => body.type === type && body.data.id === id);
const heard = (fulfiller, id, type, count = 1) =>
  until(
    async () => about(fulfiller, id, type),
    (all) => all.length >= count,
    MS,
  );

/** Waits until something was told after all that the given rewards had to tell: another reward of the same member's is declined. */
async function afterAll({ shop, ann, fulfiller }) {
  const last = await give(shop, ann, "xp", RESTING);
  expectStatus(await move(ann, last.id, "decline"), 200);
  await heard(fulfiller, last.id, "reward.declined");
}

describe("a reward that waits", { concurrency: true }, () => {
  const rows = [
    ["unclaimed, three days", WAITING, 3, undefined, 1],
    ["pending, three days", RESTING, 3, undefined, 1],
    ["unclaimed, an hour", WAITING, 1 / 24, undefined, 1],
    ["unclaimed, thirty days", WAITING, 30, undefined, 0],
    ["unclaimed, thirty days, a month of notice", WAITING, 30, 31, 1],
    ["unclaimed, three days, no notice", WAITING, 3, 0, 0],
    ["unclaimed, three days, two of notice", WAITING, 3, 2, 0],
    ["unclaimed, for ever", WAITING, undefined, undefined, 0],
    ["granted at once", {}, 3, undefined, 0],
  ];
  for (const [name, flags, days, notify, told] of rows) {
    test(`${name}: ${told === 1 ? "told once" : "not told"}`, async (t) => {
      const open = await listening(t, notify === undefined ? undefined : { notify_days_before: notify });
      const { shop, ann, fulfiller } = open;
      const reward = await give(shop, ann, "xp", { ...flags, ...(days && { valid_for_s: Math.round(days * DAY_S) }) });
      if (told === 1) {
        const [{ body, id }] = await heard(fulfiller, reward.id);
        assert.deepEqual([body.type, body.data.id, body.data.member_id, body.data.valid_until], ["reward.expiring", reward.id, ann.sub, reward.valid_until]);
        assert.notEqual(id, reward.id, "an event has an id of its own");
      }
      await afterAll(open);
      assert.equal(about(fulfiller, reward.id).length, told);
      assert.deepEqual((await rewardOf(ann, reward.id)).moves, reward.moves, "a notice moves nothing");
      fulfiller.assertProper();
    });
  }

  test("is told of once, though it is claimed and goes on waiting", async (t) => {
    const open = await listening(t);
    const { shop, ann, fulfiller } = open;
    const { id } = await give(shop, ann, "level_booster", { ...WAITING, valid_for_s: DAY_S });
    await heard(fulfiller, id);
    expectStatus(await move(ann, id, "claim"), 200);
    await afterAll(open);
    assert.equal(about(fulfiller, id).length, 1);
  });

  test("from a code, by the end of its own", async (t) => {
    const { shop, ann, fulfiller } = await listening(t);
    const reward_id = await define(shop, "xp", { ...WAITING, valid_for_s: 2 * DAY_S });
    const { rewards: [id] } = await redeemed(ann, (await shop.withCodes(1, { reward_id })).code);
    await heard(fulfiller, id);
  });

  test("and then expires, with a notice first", async (t) => {
    const { shop, ann, fulfiller } = await listening(t);
    const { id } = await give(shop, ann, "xp", { ...WAITING, valid_for_s: 2 });
    await inState(ann, id, "expired");
    await heard(fulfiller, id, "reward.expired");
    assert.ok(about(fulfiller, id).length <= 1);
  });

  test("is in the endpoint's list, and sent again under its id", async (t) => {
    const { shop, ann, fulfiller, endpoint_id } = await listening(t);
    const { id } = await give(shop, ann, "xp", { ...WAITING, valid_for_s: DAY_S });
    const [event] = await heard(fulfiller, id);
    const path = `/v1/webhooks/${endpoint_id}/deliveries`;
    const [item] = await until(() => everyItem(shop.admin, path), (all) => all.some(({ state }) => state === "delivered"), MS);
    expectStatus(await shop.admin.post(`${path}/${item.delivery_id}/resend`), 200, 202);
    const [, again] = await fulfiller.deliveries(2, { id: event.id, ms: MS });
    assert.deepEqual([again.id, again.body], [event.id, event.body]);
  });
});
