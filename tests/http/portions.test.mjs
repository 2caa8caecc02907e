// Campaigns spread over several shards: limits and budgets go out in portions and are exact all the same, the last use is
// usable, a use that comes back is anybody's, and a change is in force everywhere.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { held, hold, letGo, liveHoldsOf } from "./checkout.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, define, redeemedAgain, withFulfillers } from "./rewards.mjs";
import { FIVE_SHARDS, WORTH, assertTally, attempt, attempts, calmZone, campaignNow, crowd, instant, limitsOf, memberLimitsOf, money, preview, tally, waysBack } from "./rules.mjs";
import { creditOf, historyOf, openShop, redeem, redeemed } from "./shop.mjs";

const logged = [];
const edge = edgeForThisFile({ ...withFulfillers, log: (line) => logged.push(line) });

/** A campaign over five shards, and a text for each of `count` tries: codes of its own, or the one of all. */
async function spread(shop, count, { kind = "unique", ...fields }) {
  const opened = await shop.withCodes(kind === "shared" ? 1 : count, { expected_rate: FIVE_SHARDS, time_zone: calmZone(), kind, ...fields });
  return { ...opened, texts: kind === "shared" ? Array(count).fill(opened.code) : opened.codes };
}

const countIs = (shop, campaign, count) => until(() => campaignNow(shop, campaign), ({ redeemed: now }) => now === count, 15_000);
const worthOf = async (members) => (await Promise.all(members.map((one) => creditOf(one)))).reduce((sum, one) => sum + one, 0);

describe("exactly so many, at once", () => {
  for (const kind of ["unique", "shared"]) {
    for (const [count, tries] of [[1, 30], [7, 40], [100, 140]]) {
      for (const [at, [name, limits, refusal]] of limitsOf(count).entries()) {
        // The large ones once each, by turns.
        if (count === 100 && (kind === "shared") !== (at === 1)) continue;
        test(`${kind}: ${name} of ${count}, ${tries} members`, async () => {
          const shop = openShop(edge);
          const { campaign, texts } = await spread(shop, tries, { kind, limits });
          const members = crowd(shop, tries);
          assertTally(await attempts(members, texts), count, refusal);
          assert.equal(await worthOf(members), count * WORTH);
          expectProblem(await redeem(shop.member(), kind === "shared" ? texts[0] : await shop.code(campaign)), 409, refusal);
          await countIs(shop, campaign, count);
          await assertVerified(shop, { campaign });
        });
      }
    }
  }

  test("several limits: the least of them, whichever it is", async () => {
    const shop = openShop(edge);
    const rows = [
      [{ total: 4, budget: money(9 * WORTH), windows: [{ per: "day", total: 7 }] }, 4, "campaign_limit_reached"],
      [{ total: 9, budget: money(9 * WORTH), windows: [{ per: "day", total: 7 }, { per: "month", total: 3 }] }, 3, "campaign_limit_reached"],
      [{ total: 9, budget: money(5 * WORTH + 499), windows: [{ per: "week", total: 8 }] }, 5, "budget_exhausted"],
    ];
    for (const [limits, count, refusal] of rows) {
      const { campaign, texts } = await spread(shop, 25, { limits });
      assertTally(await attempts(crowd(shop, 25), texts), count, refusal);
      await assertVerified(shop, { campaign });
    }
  });

  for (const [name, limits, refusal] of memberLimitsOf(3)) {
    test(`${name} of three, codes of every shard`, async () => {
      const shop = openShop(edge);
      const { codes } = await spread(shop, 20, { limits: { total: 10, ...limits } });
      const ann = shop.member();
      assertTally(await attempts(codes.map(() => ann), codes), 3, refusal);
      assert.equal(await creditOf(ann), 3 * WORTH);
    });
  }

  test("one code, twenty members, five shards: one", async () => {
    const shop = openShop(edge);
    const { code } = await spread(shop, 1, {});
    assertTally(await attempts(crowd(shop, 20), code), 1, "already_redeemed");
  });

  test("a budget of uneven amounts is never overdrawn, and used while anything fits", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "credit", { value: money(7) });
    const { campaign, texts } = await spread(shop, 60, { reward_id, quantity: 3, limits: { budget: money(1000) } });
    // 47 × 21 are 987; 13 are left, and nobody can have them.
    const members = crowd(shop, 60);
    assertTally(await attempts(members, texts), 47, "budget_exhausted");
    assert.equal(await worthOf(members), 987);
    await assertVerified(shop, { campaign });
  });
});

describe("one after another", () => {
  test("the last use is usable, whichever shard has it", async () => {
    for (const kind of ["unique", "shared"]) {
      for (const [name, limits, refusal] of [...limitsOf(1), ...limitsOf(4)]) {
        const shop = openShop(edge);
        const count = limits.total ?? limits.windows?.[0].total ?? Math.floor(limits.budget.amount_minor / WORTH);
        const { campaign, texts } = await spread(shop, count + 3, { kind, limits });
        for (const text of texts.slice(0, count)) await redeemed(shop.member(), text);
        for (const text of texts.slice(count)) assert.equal(await attempt(shop.member(), text), refusal, name);
        assert.equal((await countIs(shop, campaign, count)).status, "active");
      }
    }
  });

  test("a total of thirty in waves of nine: three waves whole and a third of one", async () => {
    const shop = openShop(edge);
    const { campaign, texts } = await spread(shop, 45, { limits: { total: 30 } });
    const waves = [];
    for (let at = 0; at < 45; at += 9) waves.push(tally(await attempts(crowd(shop, 9), texts.slice(at, at + 9))).granted ?? 0);
    assert.deepEqual(waves, [9, 9, 9, 3, 0]);
    await assertVerified(shop, { campaign });
  });
});

describe("a use that comes back is anybody's", () => {
  for (const way of waysBack) {
    for (const [name, limits, refusal] of limitsOf(1)) {
      test(`${way.name}: ${name} of one, another shard's`, async (t) => {
        const shop = openShop(edge);
        const { reward_id, fulfiller } = await way.open(t, shop);
        // One code of each of five consecutive numbers is in each shard, however numbers are spread over them.
        const { campaign, codes } = await spread(shop, 7, { reward_id, limits });
        const ann = shop.member();
        let code = codes[0];
        for (const next of codes.slice(1, 4)) {
          const giveBack = await way.use(shop, ann, code);
          expectProblem(await redeem(shop.member(), next), 409, refusal);
          assert.equal((await preview(shop.member(), next)).body.refusal?.code, refusal);
          await giveBack();
          code = next;
          if (fulfiller) fulfiller.behave((exchange) => exchange.answer(200, '{"outcome":"failed"}', { "content-type": "application/json" }));
          await countIs(shop, campaign, 0);
        }
        fulfiller?.behave((exchange) => exchange.answer(200, '{"outcome":"granted"}', { "content-type": "application/json" }));
        await redeemedAgain(shop.member(), code);
        expectProblem(await redeem(shop.member(), codes[5]), 409, refusal);
        await countIs(shop, campaign, 1);
        await assertVerified(shop, { campaign });
      });
    }
  }

  test("ten held of ten, all let go at once, ten others get them", async () => {
    const shop = openShop(edge);
    for (const limits of [{ total: 10 }, { budget: money(10 * WORTH) }, { windows: [{ per: "month", total: 10 }] }]) {
      const reward_id = await define(shop, "credit");
      const { campaign, codes } = await spread(shop, 40, { reward_id, limits });
      const members = crowd(shop, 10);
      const holds = await Promise.all(members.map((one, at) => held(one, unique("o-"), { code: codes[at] })));
      assert.ok((await hold(shop.member(), "o", { code: codes[39] })).status === 409);
      await Promise.all(members.map(async (one, at) => expectStatus(await letGo(one, holds[at]), 204)));
      const winners = crowd(shop, 10);
      await Promise.all(winners.map((one, at) => redeemedAgain(one, codes[10 + at])));
      assert.ok((await redeem(shop.member(), codes[38])).status === 409);
      assert.equal(await worthOf(winners), 10 * WORTH);
      await countIs(shop, campaign, 10);
      await assertVerified(shop, { campaign });
    }
  });

  test("holds taken and let go by all at once never let in one too many", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await spread(shop, 24, { limits: { total: 3 } });
    const members = crowd(shop, 24);
    await Promise.all(
      members.map(async (one, at) => {
        for (let times = 0; times < 3; times += 1) {
          const answer = await hold(one, `o-${times}`, { code: codes[at] });
          // What was not decided in time may be held later, and is let go then.
          if (expectStatus(answer, 201, 202, 409) && answer.status === 202) await until(() => historyOf(one), (rows) => rows.every(({ status }) => !["redeeming", "redeem_failed"].includes(status)), 30_000);
          for (const mine of await liveHoldsOf(one, `o-${times}`)) expectStatus(await letGo(one, mine), 204);
        }
      }),
    );
    await countIs(shop, campaign, 0);
    await Promise.all(codes.slice(0, 3).map((code) => redeemedAgain(shop.member(), code)));
    for (const code of codes.slice(3, 8)) assert.equal(await attempt(shop.member(), code), "campaign_limit_reached");
    await assertVerified(shop, { campaign });
  });
});

describe("changes of a limit", () => {
  test("lowered below what is used: nobody; raised: so many more; taken away: all", async () => {
    const shop = openShop(edge);
    const rows = [
      [(count) => ({ total: count }), "campaign_limit_reached"],
      [(count) => ({ budget: money(count * WORTH + 3) }), "budget_exhausted"],
      [(count) => ({ windows: [{ per: "week", total: count }] }), "campaign_limit_reached"],
    ];
    for (const [limits, refusal] of rows) {
      const { campaign, texts } = await spread(shop, 80, { limits: limits(40) });
      const left = [...texts];
      const wave = async (count) => attempts(crowd(shop, count), left.splice(0, count));
      assert.deepEqual(tally(await wave(12)), { granted: 12 });
      await shop.change(campaign, { limits: limits(5) });
      assert.deepEqual(tally(await wave(6)), { [refusal]: 6 });
      await shop.change(campaign, { limits: limits(15) });
      assertTally(await wave(10), 3, refusal);
      await shop.change(campaign, { limits: limits(15) });
      assert.deepEqual(tally(await wave(4)), { [refusal]: 4 });
      await shop.change(campaign, { limits: limits(20) });
      assertTally(await wave(12), 5, refusal);
      const none = Object.fromEntries(Object.keys(limits(1)).map((name) => [name, null]));
      await shop.change(campaign, { limits: none });
      assert.deepEqual(tally(await wave(8)), { granted: 8 });
      await shop.change(campaign, { limits: limits(30) });
      assertTally(await wave(10), 2, refusal);
      await countIs(shop, campaign, 30);
      await assertVerified(shop, { campaign });
    }
  });

  test("lowered while many try: never more than the higher, none once the lower is in force and used up", async () => {
    const shop = openShop(edge);
    const { campaign, texts } = await spread(shop, 90, { limits: { total: 50 } });
    const trying = attempts(crowd(shop, 60), texts.slice(0, 60));
    await shop.change(campaign, { limits: { total: 5 } });
    const granted = tally(await trying).granted ?? 0;
    assert.ok(granted <= 50, `${granted}`);
    const after = tally(await attempts(crowd(shop, 20), texts.slice(60, 80)));
    assert.equal((after.granted ?? 0) + granted, Math.max(granted, 5));
    await assertVerified(shop, { campaign });
  });
});

test("limits changed and uses given back, over and over: each is what the last change says", async () => {
  const shop = openShop(edge);
  const reward_id = await define(shop, "credit");
  const none = { total: null, budget: null, windows: null };
  const cycle = [{ total: 1 }, { total: 4 }, { budget: money(2 * WORTH) }, { windows: [{ per: "month", total: 2 }] }, { windows: [{ per: "day", total: 3 }, { per: "month", total: 5 }] }, { total: 3 }, {}];
  const { campaign, codes } = await spread(shop, 160, { reward_id });
  const left = [...codes];
  const room = ({ total, budget, windows = [] }) => Math.min(6, total ?? 6, budget ? Math.floor(budget.amount_minor / WORTH) : 6, ...windows.map((one) => one.total));
  for (const limits of [...cycle, ...cycle].reverse()) {
    await shop.change(campaign, { limits: { ...none, ...limits } });
    const members = crowd(shop, 6);
    const answers = await Promise.all(members.map((one) => hold(one, "o", { code: left.pop() })));
    const holds = members.map((one, at) => [one, answers[at]]).filter(([, { status }]) => status === 201);
    assert.equal(holds.length, room(limits), `${JSON.stringify(limits)}: ${answers.map(({ status }) => status)}`);
    await countIs(shop, campaign, holds.length);
    for (const [one, { body }] of holds) expectStatus(await letGo(one, body), 204);
    await countIs(shop, campaign, 0);
  }
  await assertVerified(shop, { campaign });
});

describe("in force everywhere", () => {
  test("pause, activation, end and every rule decide the very next redemption of each shard", async () => {
    const shop = openShop(edge);
    const { campaign, texts } = await spread(shop, 120, { limits: { total: 1000 } });
    const left = [...texts];
    const all = async (outcome, count = 15) => assert.deepEqual(tally(await attempts(crowd(shop, count), left.splice(0, count), { currency: "EUR" })), { [outcome]: count });
    await all("granted");
    await shop.move(campaign, "pause");
    await all("campaign_not_active");
    await shop.move(campaign, "activate");
    await all("granted");
    await shop.change(campaign, { currencies: ["USD"] });
    await all("currency_not_allowed");
    await shop.change(campaign, { currencies: null, starts_at: instant(3_600_000) });
    await all("campaign_not_started");
    await shop.change(campaign, { starts_at: null, eligibility: { tiers: ["gold"] } });
    await all("not_eligible");
    await shop.change(campaign, { eligibility: null });
    await all("granted");
    await shop.move(campaign, "end");
    await all("campaign_ended");
    await countIs(shop, campaign, 45);
  });

  test("a pause while many redeem: once it is in force nobody is let in", async () => {
    const shop = openShop(edge);
    const { campaign, texts } = await spread(shop, 80, {});
    const trying = attempts(crowd(shop, 50), texts.slice(0, 50));
    await shop.move(campaign, "pause");
    assert.deepEqual(tally(await attempts(crowd(shop, 30), texts.slice(50))), { campaign_not_active: 30 });
    const { granted = 0, campaign_not_active: refused = 0 } = tally(await trying);
    assert.equal(granted + refused, 50);
    await countIs(shop, campaign, granted);
  });

  test("one shard or five hundred: a campaign is what it says", async () => {
    const shop = openShop(edge);
    for (const expected_rate of [1, 200, 201, 5000, 100_000]) {
      const { campaign, codes } = await shop.withCodes(8, { expected_rate, limits: { total: 5 } });
      assertTally(await attempts(crowd(shop, 8), codes), 5, "campaign_limit_reached");
      await assertVerified(shop, { campaign });
    }
  });
});

test("the server had no fault of its own in all this", () => {
  assert.deepEqual(logged.filter((line) => /"event":"internal_error"|panicked/.test(line)), []);
});
