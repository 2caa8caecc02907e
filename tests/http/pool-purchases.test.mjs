// Rewards with a pool: each unit gets a promo code of its own, all or none, whoever pays: points, a code, or nobody (a gift).
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { fulfillerOf, grants } from "./fulfiller-double.mjs";
import { assertReward, assertVerified, feedOf, gift, redeemedAgain, redemptionOf, rewardOf, rewardsOf, withFulfillers } from "./rewards.mjs";
import { assertRedemption, historyOf, ledgerOf, openShop, redeem, redeemed } from "./shop.mjs";
import { openFeed } from "./socket.mjs";
import { assertDistinct, assertReplays, assertStock, bought, buy, earn, memberWith, openPool, pointsOf, poolForSale, promoCodes, promosOf, settledAs, stock, stockBecomes, upload } from "./trade.mjs";

const edge = edgeForThisFile(withFulfillers);
const replayed = (answer) => answer.headers["idempotent-replayed"];
const atOnce = { prefer: "respond-async" };

/** The refusal that a pool gives: its sentence is a promise too. */
function expectShort(answer, available, requested) {
  const body = expectProblem(answer, 409, "insufficient_codes", { available, requested });
  assert.equal(body.detail, `Only ${available} code(s) available, you requested ${requested}`);
}

describe("bought with points", () => {
  test("N rows with a promo code each, N times the price, one reward of N", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 20, 30);
    const ann = await memberWith(shop, 1000);
    const redemption = expectStatus(await buy(ann, reward_id, { quantity: 5 }), 201);
    assertRedemption(redemption);
    const granted = await settledAs(ann, redemption.redemption_id, "granted");
    assert.deepEqual([granted.quantity, granted.points_spent, granted.ledger.length, granted.rewards.length], [5, 150, 5, 1]);
    assertDistinct(promosOf(granted), codes);
    const { rows, wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 850);
    const own = rows.filter((row) => row.redemption_id === granted.redemption_id);
    assert.equal(own.length, 5);
    for (const row of own) assert.deepEqual([row.asset, row.kind, row.amount, row.quantity], ["points", "redemption", -30, 1]);
    const shown = new Map(own.map((row) => [row.ledger_id, row]));
    for (const one of granted.ledger) {
      const { number, quantity, promo_code } = shown.get(one.ledger_id);
      assert.deepEqual(one, { ledger_id: one.ledger_id, number, quantity, promo_code });
    }
    const reward = await rewardOf(ann, granted.rewards[0]);
    assert.deepEqual([reward.quantity, reward.state], [5, "granted"]);
    await assertStock(shop, pool_id, { free: 15, used: 5 });
    await assertVerified(shop, { pool_id });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("one and a hundred; the last code of the pool is sold", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 101, 1);
    const ann = await memberWith(shop, 200);
    const handedOut = [...promosOf(await bought(ann, reward_id, { quantity: 100 })), ...promosOf(await bought(ann, reward_id))];
    assert.equal(assertDistinct(handedOut, codes).length, 101);
    await assertStock(shop, pool_id, { free: 0, used: 101 });
    expectShort(await buy(ann, reward_id), 0, 1);
    assert.equal(await pointsOf(ann), 99);
    await assertReplays(ann);
  });

  test("not enough codes: the exact sentence, and nothing is taken", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 7, 10);
    const ann = await memberWith(shop, 1000);
    const key = unique("k-");
    const answer = await buy(ann, reward_id, { quantity: 10, key });
    assert.equal(answer.body.detail, "Only 7 code(s) available, you requested 10");
    expectShort(answer, 7, 10);
    assert.deepEqual([await pointsOf(ann), (await ledgerOf(ann)).length, await rewardsOf(ann)], [1000, 1, []]);
    await assertStock(shop, pool_id, { free: 7, used: 0 });
    const [row] = await historyOf(ann);
    assertRedemption(row);
    assert.deepEqual([row.status, row.kind, row.refusal.code, row.refusal.available, row.refusal.requested], ["refused", "points", "insufficient_codes", 7, 10]);
    const refilled = promoCodes(3);
    await stock(shop, pool_id, refilled);
    const kept = await buy(ann, reward_id, { quantity: 10, key });
    expectShort(kept, 7, 10);
    assert.equal(replayed(kept), "true");
    await bought(ann, reward_id, { quantity: 10 });
    await assertStock(shop, pool_id, { free: 0, used: 10 });
    assert.equal(await pointsOf(ann), 900);
    await assertVerified(shop, { pool_id });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("refusals before the pool touch no code: not eligible, not for sale, too few points, in that order", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 1, 10, { eligibility: { tiers: ["gold"] } });
    const free = await poolForSale(shop, 0, undefined);
    const ann = shop.member();
    expectProblem(await buy(ann, reward_id, { quantity: 2 }), 403, "not_eligible", { unmet: ["tier"] });
    expectProblem(await buy(ann, free.reward_id, { quantity: 2 }), 409, "reward_not_for_sale");
    const gold = shop.member({ tier: "gold" });
    expectProblem(await buy(gold, reward_id, { quantity: 2 }), 409, "insufficient_points", { points_needed: 20 });
    await earn(shop, gold, 20);
    expectShort(await buy(gold, reward_id, { quantity: 2 }), 1, 2);
    await assertStock(shop, pool_id, { free: 1, used: 0 });
    await bought(gold, reward_id);
  });

  test("repeating a key repeats the promo codes, never takes more; twins are one", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 50, 1);
    const ann = await memberWith(shop, 100);
    const key = unique("k-");
    const first = await bought(ann, reward_id, { key, quantity: 3 });
    const again = await buy(ann, reward_id, { key, quantity: 3 });
    assert.deepEqual([expectStatus(again, 201), replayed(again)], [first, "true"]);
    expectProblem(await buy(ann, reward_id, { key, quantity: 4 }), 422, "idempotency_key_reused");
    const twins = await Promise.all(Array.from({ length: 10 }, () => buy(ann, reward_id, { key: `twin-${key}`, quantity: 4 })));
    assert.equal(new Set(twins.map((answer) => expectStatus(answer, 201, 202).redemption_id)).size, 1);
    await settledAs(ann, twins[0].body.redemption_id, "granted");
    await assertStock(shop, pool_id, { free: 43, used: 7 });
    assert.equal(await pointsOf(ann), 93);
    assert.deepEqual(await redemptionOf(ann, first.redemption_id), first);
  });

  test("one member at once with points for ten of fifty: ten, and no code is lost", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 50, 10);
    const ann = await memberWith(shop, 100);
    const answers = await Promise.all(Array.from({ length: 30 }, () => buy(ann, reward_id)));
    const settled = [];
    for (const answer of answers) {
      if (answer.status === 409) expectProblem(answer, 409, "insufficient_points", { points_needed: 10 });
      else settled.push(expectStatus(answer, 201, 202).redemption_id);
    }
    const granted = (await Promise.all(settled.map(async (id) => redemptionOf(ann, id)))).filter(({ status }) => status !== "refused");
    assert.equal(granted.length, 10);
    const finished = await Promise.all(granted.map(({ redemption_id }) => settledAs(ann, redemption_id, "granted")));
    assertDistinct(finished.flatMap(promosOf), codes);
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 0);
    // What was prepared for the others goes back as soon as the pool has heard.
    await stockBecomes(shop, pool_id, { free: 40, used: 10 });
    await assertVerified(shop, { pool_id });
  });

  test("a wallet's reward with a pool is applied as well, in a row of its own", async () => {
    const shop = openShop(edge);
    const { reward_id } = await poolForSale(shop, 5, 10, { type: "xp", value: { amount: 4 } });
    const ann = await memberWith(shop, 100);
    const redemption = await bought(ann, reward_id, { quantity: 2 });
    const { wallet, rows } = await assertReplays(ann);
    assert.deepEqual([wallet.points, wallet.xp], [80, 8]);
    const own = rows.filter((row) => row.redemption_id === redemption.redemption_id);
    assert.equal(own.filter(({ kind, promo_code }) => kind === "redemption" && promo_code).length, 2);
    assert.deepEqual(own.filter(({ kind }) => kind !== "redemption").map(({ kind, asset, amount }) => [kind, asset, amount]), [["reward", "xp", 8]]);
  });

  test("with a fulfiller the codes are assigned before it is asked", async (t) => {
    const shop = openShop(edge);
    const { mechanic, fulfiller } = await fulfillerOf(t, shop, [grants()]);
    const { reward_id, codes, pool_id } = await poolForSale(shop, 5, 10, { type: "bonus", mechanic });
    const ann = await memberWith(shop, 100);
    const redemption = await bought(ann, reward_id, { quantity: 2 });
    assertDistinct(promosOf(redemption), codes);
    assert.equal(fulfiller.received.length, 1);
    await assertStock(shop, pool_id, { free: 3, used: 2 });
  });

  test("a service buys for a member; the codes are that member's", async () => {
    const shop = openShop(edge);
    const { reward_id, codes } = await poolForSale(shop, 5, 10);
    const ann = await memberWith(shop, 100);
    const made = expectStatus(await buy(shop.service, reward_id, { member_id: ann.sub, quantity: 2 }), 201);
    const own = await settledAs(ann, made.redemption_id, "granted");
    assertDistinct(promosOf(own), codes);
    expectProblem(await shop.member().get(`/v1/redemptions/${made.redemption_id}`), 404, "not_found");
  });

  test("two rewards of one pool share its stock", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 3, 10);
    const other = (await shop.reward({ name: "Two for one", type: "external", value: {}, points_cost: 15, pool_id })).reward_id;
    const ann = await memberWith(shop, 100);
    const handedOut = [...promosOf(await bought(ann, reward_id, { quantity: 2 })), ...promosOf(await bought(ann, other))];
    assertDistinct(handedOut, codes);
    expectShort(await buy(ann, other), 0, 1);
    expectShort(await buy(ann, reward_id), 0, 1);
  });
});

test("a reward that is moved to another pool takes from that one from then on; without one it has no promo codes", async () => {
  const shop = openShop(edge);
  const { reward_id, codes } = await poolForSale(shop, 3, 1);
  const other = await openPool(shop, 3);
  const ann = await memberWith(shop, 10);
  const change = async (fields) => {
    const { etag } = (await shop.admin.get(`/v1/reward-definitions/${reward_id}`)).headers;
    expectStatus(await shop.admin.patch(`/v1/reward-definitions/${reward_id}`, fields, { headers: { "if-match": etag } }), 200);
  };
  assertDistinct(promosOf(await bought(ann, reward_id, { quantity: 2 })), codes);
  await change({ pool_id: other.pool_id });
  assertDistinct(promosOf(await bought(ann, reward_id, { quantity: 2 })), other.codes);
  await change({ pool_id: null });
  const plain = await bought(ann, reward_id, { quantity: 2 });
  assert.deepEqual(promosOf(plain), [undefined]);
  await change({ promo_code: "SAME-FOR-ALL" });
  assert.deepEqual(promosOf(await bought(ann, reward_id, { quantity: 2 })), ["SAME-FOR-ALL"]);
  await assertStock(shop, other.pool_id, { free: 1, used: 2 });
});

describe("live", () => {
  test("accepted at once, then one pool.assigned for each code, in the order of the rows, and the redemption granted", async () => {
    const shop = openShop(edge);
    const { reward_id, codes } = await poolForSale(shop, 10, 5);
    const ann = await memberWith(shop, 100);
    const feed = await openFeed(edge.url, ann.token);
    const answer = await buy(ann, reward_id, { quantity: 4, headers: atOnce });
    const { redemption_id, status } = expectStatus(answer, 202);
    assert.deepEqual([status, answer.headers["preference-applied"]], ["redeeming", "respond-async"]);
    const assigned = [];
    let granted;
    const events = await feed.eventsUntil(({ type, data }) => {
      if (type === "pool.assigned") assigned.push(data);
      if (type === "redemption.updated" && data.redemption_id === redemption_id && data.status === "granted") granted = data;
      return assigned.length === 4 && granted !== undefined;
    });
    feed.close();
    assertDistinct(assigned.map(({ promo_code }) => promo_code), codes);
    assert.deepEqual(assigned, granted.ledger.map(({ ledger_id, promo_code }) => ({ redemption_id, ledger_id, promo_code })));
    const seqs = events.map(({ seq }) => seq);
    assert.deepEqual(seqs, Array.from(seqs, (_, place) => seqs[0] + place));
    assert.deepEqual(await redemptionOf(ann, redemption_id), granted);
  });

  test("a feed that is resumed anywhere misses no promo code and repeats none", async () => {
    const shop = openShop(edge);
    const { reward_id } = await poolForSale(shop, 40, 1);
    const ann = await memberWith(shop, 100);
    const seen = [];
    for (let times = 0; times < 4; times += 1) {
      const feed = await openFeed(edge.url, ann.token, `?since=${seen.at(-1)?.seq ?? 0}`);
      const { redemption_id } = await bought(ann, reward_id, { quantity: 5 });
      // The line breaks in the middle of the five.
      let [own, wanted] = [0, times % 2 === 0 ? 3 : 5];
      seen.push(...(await feed.eventsUntil(({ type, data }) => type === "pool.assigned" && data.redemption_id === redemption_id && (own += 1) === wanted)));
      feed.drop();
    }
    const rest = await openFeed(edge.url, ann.token, `?since=${seen.at(-1).seq}`);
    const whole = await feedOf(ann);
    if (seen.length < whole.length) seen.push(...(await rest.eventsUntil(({ seq }) => seq === whole.length)));
    rest.close();
    assert.deepEqual(seen, whole);
    const assigned = whole.filter(({ type }) => type === "pool.assigned");
    assert.deepEqual(assigned.map(({ data }) => data.promo_code).sort(), (await ledgerOf(ann)).flatMap(({ promo_code }) => promo_code ?? []).sort());
    assert.equal(assigned.length, 20);
    for (let since = 0; since < whole.length; since += 7) assert.deepEqual((await ann.get(`/v1/events?since=${since}`)).body.events, whole.slice(since));
  });

  test("a hundred codes are a hundred events; a refusal is none; a replay is none", async () => {
    const shop = openShop(edge);
    const { reward_id } = await poolForSale(shop, 100, 1);
    const ann = await memberWith(shop, 300);
    const key = unique("k-");
    await bought(ann, reward_id, { quantity: 100, key });
    await buy(ann, reward_id, { quantity: 100, key });
    expectShort(await buy(ann, reward_id), 0, 1);
    const assigned = (await feedOf(ann)).filter(({ type }) => type === "pool.assigned");
    assert.equal(new Set(assigned.map(({ data }) => data.promo_code)).size, 100);
    assert.equal(assigned.length, 100);
  });

  test("a shortage that comes later is the redemption's state", async () => {
    const shop = openShop(edge);
    const { reward_id } = await poolForSale(shop, 1, 1);
    const ann = await memberWith(shop, 10);
    const { redemption_id } = expectStatus(await buy(ann, reward_id, { quantity: 2, headers: atOnce }), 202);
    const { refusal } = await settledAs(ann, redemption_id, "refused");
    assert.deepEqual([refusal.code, refusal.available, refusal.requested], ["insufficient_codes", 1, 2]);
    assert.equal(await pointsOf(ann), 10);
    await bought(ann, reward_id);
  });
});

describe("a code that pays with a pool", () => {
  test("gives its quantity in promo codes, in rows that move no balance", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 10, undefined);
    const issued = await shop.withCodes(2, { reward_id, quantity: 3 });
    const ann = shop.member();
    const redemption = await redeemed(ann, issued.codes[0]);
    assert.deepEqual([redemption.kind, redemption.campaign, redemption.quantity, redemption.points_spent, redemption.ledger.length], ["code", issued.campaign, 3, undefined, 3]);
    assertDistinct(promosOf(redemption), codes);
    const { rows } = await assertReplays(ann);
    assert.deepEqual(rows.map(({ asset, amount, quantity, kind }) => [asset, amount, quantity, kind]), Array.from({ length: 3 }, () => ["reward", 0, 1, "redemption"]));
    assert.deepEqual(rows.map(({ promo_code }) => promo_code).sort(), promosOf(redemption).sort());
    const assigned = (await feedOf(ann)).filter(({ type }) => type === "pool.assigned").map(({ data }) => data);
    assert.deepEqual(assigned, redemption.ledger.map(({ ledger_id, promo_code }) => ({ redemption_id: redemption.redemption_id, ledger_id, promo_code })));
    expectProblem(await redeem(ann, issued.codes[0]), 409, "already_redeemed_by_you", { earlier_redemption_id: redemption.redemption_id });
    expectProblem(await redeem(shop.member(), issued.codes[0]), 409, "already_redeemed");
    await assertStock(shop, pool_id, { free: 7, used: 3 });
    for (const subject of [{ pool_id }, { campaign: issued.campaign }, { member_id: ann.sub }]) await assertVerified(shop, subject);
  });

  test("one of quantity 1 is one row with its code", async () => {
    const shop = openShop(edge);
    const { codes, reward_id } = await poolForSale(shop, 1, undefined);
    const { code } = await shop.withCodes(1, { reward_id });
    const redemption = await redeemed(shop.member(), code);
    assert.deepEqual(promosOf(redemption), codes);
  });

  test("a shortage gives the code's use back: same member, other member, shared, limited", async () => {
    const shop = openShop(edge);
    const rows = [
      ["unique", { limits: { total: 1, per_member: 1 } }],
      ["unique", { limits: { uses_per_code: 1 } }],
      ["shared", { limits: { total: 1 } }],
      ["shared", {}],
    ];
    for (const [kind, fields] of rows) {
      const { pool_id, reward_id } = await poolForSale(shop, 1, undefined);
      const { campaign, code } = await shop.withCodes(1, { kind, reward_id, quantity: 2, ...fields });
      const [ann, bob] = [shop.member(), shop.member()];
      const key = unique("k-");
      for (const member of [ann, ann, bob]) expectShort(await redeem(member, code), 1, 2);
      expectShort(await redeem(ann, code, { key }), 1, 2);
      assert.deepEqual([await ledgerOf(ann), await rewardsOf(ann)], [[], []]);
      await assertStock(shop, pool_id, { free: 1, used: 0 });
      assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed, 0, "the use is no use");
      await stock(shop, pool_id, promoCodes(1));
      const kept = await redeem(ann, code, { key });
      expectShort(kept, 1, 2);
      assert.equal(replayed(kept), "true");
      const granted = await redeemedAgain(bob, code);
      assert.equal(promosOf(granted).length, 2);
      await assertStock(shop, pool_id, { free: 0, used: 2 });
      for (const subject of [{ pool_id }, { campaign }, { member_id: ann.sub }, { member_id: bob.sub }]) await assertVerified(shop, subject);
    }
  });

  test("the rules of the campaign come before the pool", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 0, undefined);
    const { campaign, codes } = await shop.withCodes(2, { reward_id, eligibility: { tiers: ["gold"] } });
    expectProblem(await redeem(shop.member(), codes[0]), 403, "not_eligible");
    await shop.move(campaign, "pause");
    expectProblem(await redeem(shop.member({ tier: "gold" }), codes[0]), 409, "campaign_not_active");
    await shop.move(campaign, "activate");
    const gold = shop.member({ tier: "gold" });
    expectShort(await redeem(gold, codes[0]), 0, 1);
    await stock(shop, pool_id, promoCodes(1));
    await redeemed(gold, codes[0]);
    expectProblem(await redeem(gold, codes[0]), 409, "already_redeemed_by_you");
    expectShort(await redeem(gold, codes[1]), 0, 1);
  });

  test("asked to answer at once: 202, then codes or the shortage", async () => {
    const shop = openShop(edge);
    const { reward_id } = await poolForSale(shop, 1, undefined);
    const { codes } = await shop.withCodes(2, { reward_id });
    const ann = shop.member();
    const one = expectStatus(await redeem(ann, codes[0], { headers: atOnce }), 202);
    assert.equal(promosOf(await settledAs(ann, one.redemption_id, "granted")).length, 1);
    const other = expectStatus(await redeem(ann, codes[1], { headers: atOnce }), 202);
    assert.equal((await settledAs(ann, other.redemption_id, "refused")).refusal.code, "insufficient_codes");
  });

  test("a shared code, thirty members at once, a pool of twenty: twenty, and the others may come again", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 20, undefined);
    const { code, campaign } = await shop.withCodes(1, { kind: "shared", reward_id });
    const members = Array.from({ length: 30 }, () => shop.member());
    const answers = await Promise.all(members.map((member) => redeem(member, code)));
    const outcomes = await Promise.all(
      answers.map(async (answer, place) => {
        if (answer.status === 409) return { short: expectProblem(answer, 409, "insufficient_codes", { available: 0, requested: 1 }), member: members[place] };
        return { granted: await settledAs(members[place], expectStatus(answer, 201, 202).redemption_id, "granted") };
      }),
    );
    const granted = outcomes.flatMap(({ granted: one }) => one ?? []);
    assert.equal(granted.length, 20);
    assertDistinct(granted.flatMap(promosOf), codes);
    await stock(shop, pool_id, promoCodes(10));
    for (const { member } of outcomes.filter(({ short }) => short)) await redeemedAgain(member, code);
    await assertStock(shop, pool_id, { free: 0, used: 30 });
    for (const subject of [{ pool_id }, { campaign }]) await assertVerified(shop, subject);
  });
});

describe("a gift from a pool", () => {
  test("brings its promo code, once for each key", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 2, undefined);
    const ann = shop.member();
    const key = unique("k-");
    const reward = expectStatus(await gift(shop, ann, { reward_id }, { key }), 201);
    assertReward(reward);
    const redemption = await settledAs(ann, reward.redemption_id, "granted");
    assert.deepEqual([redemption.kind, redemption.quantity, redemption.ledger.length], ["gift", 1, 1]);
    assertDistinct(promosOf(redemption), codes);
    const { rows } = await assertReplays(ann);
    assert.deepEqual(rows.map(({ asset, amount, quantity, promo_code }) => [asset, amount, quantity, promo_code]), [["reward", 0, 1, promosOf(redemption)[0]]]);
    const again = await gift(shop, ann, { reward_id }, { key });
    assert.deepEqual([expectStatus(again, 201).id, replayed(again)], [reward.id, "true"]);
    expectProblem(await gift(shop, ann, { reward_id, reason: "another" }, { key }), 422, "idempotency_key_reused");
    assert.deepEqual((await feedOf(ann)).filter(({ type }) => type === "pool.assigned").map(({ data }) => data.promo_code), promosOf(redemption));
    await assertStock(shop, pool_id, { free: 1, used: 1 });
    await assertVerified(shop, { pool_id });
  });

  test("from an empty pool is refused and gives nothing; refilled, a new key gives", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 0, undefined);
    const ann = shop.member();
    expectShort(await gift(shop, ann, { reward_id }), 0, 1);
    assert.deepEqual([await rewardsOf(ann), await ledgerOf(ann)], [[], []]);
    expectStatus(await upload(shop, pool_id, "LAST-ONE\n"), 200);
    const reward = expectStatus(await gift(shop, ann, { reward_id }, { by: shop.service }), 201);
    assert.deepEqual(promosOf(await redemptionOf(ann, reward.redemption_id)), ["LAST-ONE"]);
  });

  test("twins are one gift; gifts at once never share a code", async () => {
    const shop = openShop(edge);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 10, undefined);
    const ann = shop.member();
    const key = unique("k-");
    const twins = await Promise.all(Array.from({ length: 6 }, () => gift(shop, ann, { reward_id }, { key })));
    assert.equal(new Set(twins.map(({ body }) => body.id ?? body.redemption_id)).size, 1);
    const rewards = await Promise.all(Array.from({ length: 12 }, () => gift(shop, shop.member(), { reward_id })));
    assert.deepEqual(rewards.map(({ status }) => status).sort(), [...Array.from({ length: 9 }, () => 201), ...Array.from({ length: 3 }, () => 409)]);
    await assertStock(shop, pool_id, { free: 0, used: codes.length });
    await assertVerified(shop, { pool_id });
  });

  test("two pools and their members keep apart", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop, 5);
    const { reward_id, codes } = await poolForSale(shop, 5, 1);
    const ann = await memberWith(shop, 5);
    assertDistinct(promosOf(await bought(ann, reward_id, { quantity: 5 })), codes);
    await assertStock(shop, pool_id, { free: 5, used: 0 });
  });
});
