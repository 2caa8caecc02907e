// What a till sees of a member: the live balance, the rewards that can be paid for, and the next one with what is missing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { give } from "./rewards.mjs";
import { openShop, redeemed } from "./shop.mjs";
import { lookup, record, redefine, sold, tillOf } from "./till.mjs";
import { adjust, catalogueOf, earn, forSale } from "./trade.mjs";

const edge = edgeForThisFile();
const PHONE = "+4915155500001";

/** A member with a phone and so many points, and what a till sees of her. */
async function regular(shop, points, fields = {}) {
  const ann = shop.member();
  await record(shop, ann, { phone: PHONE, ...fields });
  if (points > 0) await earn(shop, ann, points);
  return { ann, till: tillOf(shop) };
}

const seen = async (till) => {
  const body = expectStatus(await lookup(till, PHONE), 200);
  assert.deepEqual(Object.keys(body).filter((name) => !["member_id", "name", "points", "rewards", "next_reward"].includes(name)), [], JSON.stringify(body));
  assert.ok(Number.isSafeInteger(body.points) && Array.isArray(body.rewards), JSON.stringify(body));
  return body;
};
/** The next reward and what is missing; its name and cost may stand beside them. */
const nextOf = ({ next_reward }) => {
  if (next_reward === undefined) return undefined;
  const { reward_id, points_needed, ...rest } = next_reward;
  assert.deepEqual(Object.keys(rest).filter((name) => !["name", "points_cost"].includes(name)), [], JSON.stringify(next_reward));
  return { reward_id, points_needed };
};
const ids = ({ rewards }) => rewards.map(({ reward_id }) => reward_id).sort();

describe("a lookup at the till", () => {
  test("of a member with nothing, in a shop that sells nothing", async () => {
    const shop = openShop(edge);
    const { ann, till } = await regular(shop, 0);
    assert.deepEqual(await seen(till), { member_id: ann.sub, points: 0, rewards: [] });
  });

  test("shows what can be paid, to the point, and the next reward with what is missing", async () => {
    const shop = openShop(edge);
    const { ann, till } = await regular(shop, 0, { name: "Ann Example" });
    const [tea, coffee, cake] = [await forSale(shop, 50), await forSale(shop, 100), await forSale(shop, 250)];
    const see = async (points) => {
      const body = await seen(till);
      assert.deepEqual([body.member_id, body.name, body.points], [ann.sub, "Ann Example", points]);
      return [ids(body), nextOf(body)];
    };
    assert.deepEqual(await see(0), [[], { reward_id: tea, points_needed: 50 }]);
    await earn(shop, ann, 49);
    assert.deepEqual(await see(49), [[], { reward_id: tea, points_needed: 1 }]);
    await earn(shop, ann, 1);
    assert.deepEqual(await see(50), [[tea], { reward_id: coffee, points_needed: 50 }]);
    await earn(shop, ann, 60);
    assert.deepEqual(await see(110), [[tea, coffee].sort(), { reward_id: cake, points_needed: 140 }]);
    await earn(shop, ann, 140);
    assert.deepEqual(await see(250), [[tea, coffee, cake].sort(), undefined]);
  });

  test("shows the balance of this moment, whatever changed it", async () => {
    const shop = openShop(edge);
    const { ann, till } = await regular(shop, 300);
    const coffee = await forSale(shop, 100);
    await sold(till, ann, coffee);
    assert.equal((await seen(till)).points, 200);
    await give(shop, ann, "points");
    assert.equal((await seen(till)).points, 450);
    const { reward_id } = await shop.reward({ type: "points", value: { amount: 7 } });
    await redeemed(ann, (await shop.withCodes(1, { reward_id })).code);
    assert.equal((await seen(till)).points, 457);
    expectStatus(await adjust(shop, ann, { amount: -400 }), 201);
    const short = await seen(till);
    assert.deepEqual([short.points, short.rewards, nextOf(short)], [57, [], { reward_id: coffee, points_needed: 43 }]);
  });

  test("shows prices as this member pays them, and the catalogue agrees", async () => {
    const shop = openShop(edge);
    const { ann, till } = await regular(shop, 100, { tier: "gold", persona: "runner", tags: ["early"] });
    const coffee = await forSale(shop, 200, { prices: [{ tier: "gold", points_cost: 90 }, { tier: "silver", points_cost: 10 }] });
    const members = await forSale(shop, undefined, { prices: [{ tag: "early", points_cost: 100 }] });
    await forSale(shop, undefined, { prices: [{ tier: "silver", points_cost: 1 }] });
    const body = await seen(till);
    assert.deepEqual(ids(body), [coffee, members].sort());
    assert.equal(body.rewards.find(({ reward_id }) => reward_id === coffee).points_cost, 90);
    assert.equal(body.next_reward, undefined, "what no price is for is not for sale to her");
    const items = await catalogueOf(shop.service, `?member_id=${ann.sub}`);
    assert.deepEqual(items.filter(({ affordable, eligible }) => affordable && eligible).map(({ reward_id }) => reward_id).sort(), ids(body));
  });

  test("leaves out what the member is not eligible for, also as the next reward", async () => {
    const shop = openShop(edge);
    const { ann, till } = await regular(shop, 100);
    await forSale(shop, 40, { eligibility: { tiers: ["gold"] } });
    await forSale(shop, 120, { eligibility: { tags_any: ["vip"] } });
    const open = await forSale(shop, 150);
    const before = await seen(till);
    assert.deepEqual([before.rewards, nextOf(before)], [[], { reward_id: open, points_needed: 50 }]);
    await record(shop, ann, { tier: "gold" });
    assert.equal((await seen(till)).rewards.length, 1);
  });

  test("follows a change of price, and a reward that is for sale no more", async () => {
    const shop = openShop(edge);
    const { till } = await regular(shop, 100);
    const coffee = await forSale(shop, 100);
    assert.deepEqual(ids(await seen(till)), [coffee]);
    await redefine(shop, coffee, { points_cost: 101 });
    assert.deepEqual(nextOf(await seen(till)), { reward_id: coffee, points_needed: 1 });
    await redefine(shop, coffee, { points_cost: null });
    const { rewards, next_reward } = await seen(till);
    assert.deepEqual([rewards, next_reward], [[], undefined]);
  });

  test("shows a reward that costs nothing to everybody", async () => {
    const shop = openShop(edge);
    const { till } = await regular(shop, 0);
    const water = await forSale(shop, 0);
    assert.deepEqual(ids(await seen(till)), [water]);
  });

  test("is staff's alone", async () => {
    const shop = openShop(edge);
    const { ann } = await regular(shop, 0);
    for (const caller of [ann, shop.service]) expectProblem(await lookup(caller, PHONE), 403, "forbidden");
  });
});
