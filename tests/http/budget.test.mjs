// A campaign's budget of money: exact to the last unit, for credit and for discounts of money, held or redeemed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { committed, eur, held, hold, letGo } from "./checkout.mjs";
import { edgeForThisFile } from "./env.mjs";
import { assertVerified, define, redeemedAgain } from "./rewards.mjs";
import { WORTH, assertTally, attempts, campaignNow, crowd, money, patch, preview } from "./rules.mjs";
import { creditOf, ledgerOf, openShop, redeem, redeemed } from "./shop.mjs";
import { redefine, reversed } from "./till.mjs";

const edge = edgeForThisFile();
const MOST = Number.MAX_SAFE_INTEGER;

describe("a budget", () => {
  // [budget, face value, quantity, how many get it]
  const rows = [
    [1, 1, 1, 1],
    [499, 500, 1, 0],
    [500, 500, 1, 1],
    [999, 500, 1, 1],
    [1000, 500, 1, 2],
    [1001, 500, 1, 2],
    [1499, 500, 3, 0],
    [1500, 500, 3, 1],
    [3000, 500, 3, 2],
    [2999, 500, 3, 1],
    [7, 2, 1, 3],
    [MOST, 2 ** 52, 1, 1],
    [MOST, MOST, 1, 1],
    [MOST, 3_002_399_751_580_330, 3, 1],
  ];
  for (const [amount, value, quantity, fit] of rows) {
    test(`of ${amount} with ${quantity} × ${value} a redemption lets in ${fit}`, async () => {
      const shop = openShop(edge);
      const reward_id = await define(shop, "credit", { value: money(value) });
      const { campaign, codes } = await shop.withCodes(fit + 1, { reward_id, quantity, limits: { budget: money(amount) } });
      for (const code of codes.slice(0, fit)) {
        const ann = shop.member();
        await redeemed(ann, code);
        assert.equal(await creditOf(ann), value * quantity);
      }
      const eve = shop.member();
      const dry = expectStatus(await preview(eve, codes[fit]), 200);
      assert.deepEqual([dry.would, dry.refusal.code], ["refuse", "budget_exhausted"]);
      expectProblem(await redeem(eve, codes[fit]), 409, "budget_exhausted");
      assert.deepEqual([await creditOf(eve), await ledgerOf(eve)], [0, []]);
      assert.equal((await campaignNow(shop, campaign)).redeemed, fit);
      await assertVerified(shop, { campaign });
    });
  }

  test("in another currency than the euro is the same", async () => {
    const shop = openShop(edge);
    for (const currency of ["JPY", "USD", "KWD"]) {
      const reward_id = await define(shop, "credit", { value: money(100, currency) });
      const { codes } = await shop.withCodes(2, { reward_id, limits: { budget: money(199, currency) } });
      await redeemed(shop.member(), codes[0]);
      expectProblem(await redeem(shop.member(), codes[1]), 409, "budget_exhausted");
    }
  });

  test("counts discounts of money at their face value, whatever the order's total", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "discount", { value: money(300) });
    const { campaign, codes } = await shop.withCodes(4, { reward_id, limits: { budget: money(900) } });
    const [ann, bob, eve] = crowd(shop, 3);
    assert.equal((await held(ann, "o", { code: codes[0], total: eur(100) })).applied_minor, 100);
    await redeemed(bob, codes[1]);
    await held(eve, "o", { code: codes[2] });
    expectProblem(await redeem(shop.member(), codes[3]), 409, "budget_exhausted");
    await committed(shop, ann, "o");
    expectProblem(await redeem(shop.member(), codes[3]), 409, "budget_exhausted");
    await assertVerified(shop, { campaign });
  });

  test("is exact at once: thirty members, enough for ten and a bit", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(30, { limits: { budget: money(10 * WORTH + 499) } });
    const members = crowd(shop, 30);
    assertTally(await attempts(members, codes), 10, "budget_exhausted");
    const credit = await Promise.all(members.map((one) => creditOf(one)));
    assert.equal(credit.reduce((sum, one) => sum + one), 10 * WORTH);
    await assertVerified(shop, { campaign });
  });

  test("comes after every other limit", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(3, { limits: { per_member: 1, total: 1, budget: money(WORTH) } });
    const [ann, bob] = [shop.member(), shop.member()];
    await redeemed(ann, codes[0]);
    expectProblem(await redeem(ann, codes[1]), 409, "member_limit_reached");
    expectProblem(await redeem(bob, codes[1]), 409, "campaign_limit_reached");
    await shop.change(campaign, { limits: { total: 2 } });
    expectProblem(await redeem(bob, codes[1]), 409, "budget_exhausted");
    await shop.change(campaign, { limits: { budget: money(2 * WORTH) } });
    await redeemed(bob, codes[1]);
  });

  test("is charged by refused tries not at all", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { currencies: ["EUR"], limits: { budget: money(WORTH) } });
    const ann = shop.member();
    for (let times = 0; times < 3; times += 1) expectProblem(await redeem(ann, code), 403, "currency_not_allowed");
    await redeemed(ann, code, { currency: "EUR" });
  });

  test("is charged what the reward is worth at that time", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "credit");
    const { campaign, codes } = await shop.withCodes(4, { reward_id, limits: { budget: money(1100) } });
    const [ann, bob] = [shop.member(), shop.member()];
    const first = await redeemed(ann, codes[0]);
    await redefine(shop, reward_id, { value: { amount_minor: 600 } });
    // The campaign hears of the reward's new version in its own time.
    await until(() => preview(bob, codes[1]), ({ body }) => body.reward.value.amount_minor === 600);
    await redeemed(bob, codes[1]);
    assert.equal(await creditOf(bob), 600);
    expectProblem(await redeem(shop.member(), codes[2]), 409, "budget_exhausted");
    await reversed(shop.as("manager"), first.redemption_id, { give_back: true });
    // 500 came back, and one costs 600 by now.
    await until(() => campaignNow(shop, campaign), ({ redeemed: count }) => count === 1);
    expectProblem(await redeem(shop.member(), codes[2]), 409, "budget_exhausted");
    await shop.change(campaign, { limits: { budget: money(1200) } });
    await redeemed(shop.member(), codes[2]);
    expectProblem(await redeem(shop.member(), codes[3]), 409, "budget_exhausted");
    await assertVerified(shop, { campaign });
  });
});

describe("a hold against a budget", () => {
  test("charges it until it is let go, and is moved without being charged twice", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "credit");
    const { campaign, codes } = await shop.withCodes(3, { reward_id, limits: { budget: money(WORTH) } });
    const [ann, bob] = [shop.member(), shop.member()];
    await held(ann, "o", { code: codes[0] });
    const moved = await held(ann, "p", { code: codes[0] });
    expectProblem(await hold(bob, "o", { code: codes[1] }), 409, "budget_exhausted");
    expectProblem(await redeem(bob, codes[1]), 409, "budget_exhausted");
    expectStatus(await letGo(ann, moved), 204);
    await redeemedAgain(bob, codes[1]);
    expectProblem(await hold(ann, "p", { code: codes[0] }), 409, "budget_exhausted");
    await assertVerified(shop, { campaign });
  });

  test("of twelve at once, enough for five", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "discount", { value: money(200) });
    const { campaign, codes } = await shop.withCodes(12, { reward_id, limits: { budget: money(1100) } });
    const answers = await Promise.all(crowd(shop, 12).map((one, at) => hold(one, "o", { code: codes[at] })));
    assert.equal(answers.filter(({ status }) => status === 201).length, 5);
    for (const answer of answers.filter(({ status }) => status !== 201)) expectProblem(answer, 409, "budget_exhausted");
    await assertVerified(shop, { campaign });
  });
});

describe("a change of the budget", () => {
  test("raised lets the next in, lowered shuts them out, taken away lets all in", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(6, { limits: { budget: money(WORTH) } });
    await redeemed(shop.member(), codes[0]);
    const steps = [
      [money(2 * WORTH - 1), false],
      [money(2 * WORTH), true],
      [money(1), false],
      [money(2 * WORTH + 1), false],
      [null, true],
      // What was used without a budget counts once there is one.
      [money(3 * WORTH), false],
      [money(4 * WORTH), true],
    ];
    let next = 1;
    for (const [budget, fits] of steps) {
      await shop.change(campaign, { limits: { budget } });
      if (fits) await redeemed(shop.member(), codes[next++]);
      else expectProblem(await redeem(shop.member(), codes[next]), 409, "budget_exhausted");
    }
    assert.equal((await campaignNow(shop, campaign)).redeemed, 4);
    await assertVerified(shop, { campaign });
  });

  test("to another currency than the reward's is refused", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes(1, { limits: { budget: money(WORTH) } });
    const before = await campaignNow(shop, campaign);
    const { errors } = expectProblem(await patch(shop, campaign, { limits: { budget: { currency: "USD" } } }), 400, "invalid_request");
    assert.ok(errors.some(({ path }) => path.startsWith("limits.budget")), JSON.stringify(errors));
    assert.deepEqual(await campaignNow(shop, campaign), before);
  });
});
