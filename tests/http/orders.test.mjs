// The shop's server ends a checkout: commit takes what is held for good, release gives it back; credit in the wallet,
// totals that change, and rewards that were redeemed before they were used.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { commit, committed, creditCodes, discountCodes, eur, held, hold, holdOf, holdsOf, letGo, liveHoldsOf, release } from "./checkout.mjs";
import { assertVerified, audited, feedOf, give, inState, move, passed, pathOf, redeemedAgain, redemptionOf, remove, rewardOf, rewardsOf } from "./rewards.mjs";
import { assertRedemption, creditOf, ledgerOf, openShop, redeem, redeemed } from "./shop.mjs";
import { amountsOf, assertReplays, assertStock, bought, forSale, fund, memberWith, openPool, promosOf } from "./trade.mjs";

const edge = edgeForThisFile();
const usd = (amount_minor) => ({ currency: "USD", amount_minor });
const rowsOf = async (client, kind) => (await ledgerOf(client)).filter((row) => row.kind === kind);

describe("a commit", () => {
  test("uses the discount: redemption and reward granted, with a receipt; repeating answers the same", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { code, campaign, reward_id } = await discountCodes(shop, { percent: 10 });
    const mine = await held(ann, "o", { code });
    const body = await committed(shop, ann, "o");
    assert.deepEqual([body.applied_minor, body.remaining_minor], [1000, 9000]);
    if (body.total) assert.deepEqual(body.total, eur(10_000));
    assert.deepEqual(body.holds.map(({ hold_id, state, applied_minor }) => [hold_id, state, applied_minor]), [[mine.hold_id, "used", 1000]]);
    const redemption = await redemptionOf(ann, mine.redemption_id);
    assertRedemption(redemption);
    assert.deepEqual([redemption.status, redemption.reward_id, redemption.order, redemption.rewards.length], ["granted", reward_id, "o", 1]);
    assert.deepEqual(pathOf(await rewardOf(ann, redemption.rewards[0])), ["pending_activation", "in_progress", "granted"]);
    const { rows } = await assertReplays(ann);
    assert.deepEqual(rows.map(({ asset, amount, quantity, redemption_id }) => [asset, amount, quantity, redemption_id]), [["reward", 0, 1, mine.redemption_id]]);
    for (let times = 0; times < 2; times += 1) assert.deepEqual(await committed(shop, ann, "o"), body);
    assert.equal((await ledgerOf(ann)).length, 1);
    expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you", { earlier_redemption_id: mine.redemption_id });
    expectProblem(await hold(bob, "p", { code }), 409, "already_redeemed");
    const told = (await feedOf(ann)).filter(({ type, data }) => type === "redemption.updated" && data.redemption_id === mine.redemption_id);
    assert.deepEqual([told[0].data.status, told.at(-1).data.status], ["held", "granted"]);
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed, 1);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
    await audited(shop, { action: "redemption.granted" });
  });

  test("of a credit code puts its whole value into the wallet and takes what was applied", async () => {
    const shop = openShop(edge);
    for (const [total, applied] of [[300, 300], [500, 500], [800, 500]]) {
      const ann = shop.member();
      const { code } = await creditCodes(shop, 500);
      const mine = await held(ann, "o", { code, total: eur(total) });
      assert.deepEqual([mine.applied_minor, mine.remaining_minor, await creditOf(ann)], [applied, total - applied, 0]);
      const body = await committed(shop, ann, "o");
      assert.deepEqual([body.applied_minor, body.remaining_minor], [applied, total - applied]);
      const { rows } = await assertReplays(ann);
      assert.equal(await creditOf(ann), 500 - applied);
      const [spent] = rows.filter(({ kind }) => kind === "order");
      assert.deepEqual([spent.amount, spent.currency, spent.order], [-applied, "EUR", "o"]);
      assert.deepEqual(await amountsOf(ann, "credit"), [-applied, 500]);
      const redemption = await redemptionOf(ann, mine.redemption_id);
      assertRedemption(redemption);
      assert.equal(redemption.status, "granted");
      assert.equal((await rewardOf(ann, redemption.rewards[0])).state, "granted");
      await assertVerified(shop, { member_id: ann.sub });
    }
  });

  test("at a lower total takes less, and what is left over of credit returns", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const mine = await held(ann, "o", { credit_minor: 800, total: eur(900) });
    assert.deepEqual([mine.redemption_id, mine.applied_minor, mine.remaining_minor, await creditOf(ann)], [undefined, 800, 100, 200]);
    const body = await committed(shop, ann, "o", { total: eur(300) });
    assert.deepEqual([body.total, body.applied_minor, body.remaining_minor], [eur(300), 300, 0]);
    const { rows } = await assertReplays(ann);
    const [back, taken] = rows;
    assert.deepEqual([taken.kind, taken.amount, taken.order], ["hold", -800, "o"]);
    assert.deepEqual([back.kind, back.amount, back.reverses], ["release", 500, taken.ledger_id]);
    assert.equal(await creditOf(ann), 700);
  });

  test("at another total counts the discount anew, first, and then the credit", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const { code } = await discountCodes(shop, { percent: 50 });
    await held(ann, "o", { credit_minor: 1000, total: eur(1000) });
    const discount = await held(ann, "o", { code, total: eur(1000) });
    assert.deepEqual([discount.applied_minor, discount.remaining_minor], [500, 0]);
    assert.deepEqual((await liveHoldsOf(ann, "o")).map(({ applied_minor }) => applied_minor).sort(), [500, 500]);
    const body = await committed(shop, ann, "o", { total: eur(1600) });
    assert.deepEqual([body.applied_minor, body.remaining_minor], [1600, 0]);
    assert.deepEqual(Object.fromEntries(body.holds.map((one) => [one.hold_id === discount.hold_id ? "discount" : "credit", one.applied_minor])), { discount: 800, credit: 800 });
    assert.equal(await creditOf(ann), 200);
    await assertReplays(ann);
  });

  test("of nothing, of another's order, of another currency", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { code } = await discountCodes(shop, { percent: 10 });
    expectProblem(await commit(shop, ann, "o"), 404, "not_found");
    const mine = await held(ann, "o", { code });
    expectProblem(await commit(shop, bob, "o"), 404, "not_found");
    expectProblem(await commit(shop, ann, "p"), 404, "not_found");
    expectProblem(await commit(shop, ann, "o", {}, { by: openShop(edge).service }), 404, "not_found");
    const { errors } = expectProblem(await commit(shop, ann, "o", { total: usd(500) }), 400, "invalid_request");
    assert.ok(errors.some(({ path }) => path === "total.currency"), JSON.stringify(errors));
    assert.equal((await holdOf(ann, mine)).state, "held");
  });

  test("and a release are for the shop's server alone", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await discountCodes(shop, { percent: 10 });
    const mine = await held(ann, "o", { code });
    for (const end of [commit, release]) {
      for (const by of [ann, shop.as("staff"), shop.as("manager"), shop.admin]) expectProblem(await end(shop, ann, "o", {}, { by }), 403, "forbidden");
      for (const fields of [{ member_id: undefined }, { member_id: 7 }, { member_id: "" }, { surprise: 1 }]) expectProblem(await end(shop, ann, "o", fields), 400, "invalid_request");
    }
    for (const total of [5, eur(-1), eur(1.5), { currency: "EUR" }, null]) expectProblem(await commit(shop, ann, "o", { total }), 400, "invalid_request");
    assert.equal((await holdOf(ann, mine)).state, "held");
  });

  test("takes all that is held for the order and nothing of another order", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const { code } = await discountCodes(shop, { currency: "EUR", amount_minor: 150 });
    const gone = await held(ann, "o", { credit_minor: 50, total: eur(1000) });
    await held(ann, "o", { credit_minor: 200, total: eur(1000) });
    await held(ann, "o", { credit_minor: 300, total: eur(1000) });
    await held(ann, "o", { code, total: eur(1000) });
    const other = await held(ann, "p", { credit_minor: 100, total: eur(1000) });
    expectStatus(await letGo(ann, gone), 204);
    const body = await committed(shop, ann, "o");
    assert.deepEqual([body.applied_minor, body.remaining_minor], [650, 350]);
    assert.equal(body.holds.filter(({ state }) => state === "used").length, 3);
    assert.equal((await holdOf(ann, other)).state, "held");
    assert.equal(await creditOf(ann), 1000 - 500 - 100);
    await assertReplays(ann);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("eight at once are one; commit and release at once are one of both", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    await fund(shop, ann, 5000);
    const { codes, campaign } = await discountCodes(shop, { percent: 10 }, { count: 8 });
    await held(ann, "o", { code: codes[0] });
    await held(ann, "o", { credit_minor: 100 });
    const twins = await Promise.all(Array.from({ length: 8 }, () => commit(shop, ann, "o")));
    for (const answer of twins) assert.deepEqual(expectStatus(answer, 200), twins[0].body);
    assert.equal(await creditOf(ann), 4900);
    for (const [at, code] of codes.slice(1).entries()) {
      const order = `race-${at}`;
      const discount = await held(ann, order, { code });
      const credit = await held(ann, order, { credit_minor: 100 });
      const before = await creditOf(ann);
      const ends = at % 2 === 0 ? [commit, release] : [release, commit];
      const answers = await Promise.all(ends.map((end) => end(shop, ann, order)));
      const first = answers.findIndex(({ status }) => status === 200);
      assert.ok(first >= 0, answers.map(({ text }) => text).join());
      const states = [await holdOf(ann, discount), await holdOf(ann, credit)].map((one) => one?.state ?? "released");
      assert.equal(states[0], states[1], "both or neither");
      const { status } = await redemptionOf(ann, discount.redemption_id);
      assert.deepEqual([status, await creditOf(ann)], states[0] === "used" ? ["granted", before] : ["cancelled", before + 100]);
      if (states[0] === "used") expectProblem(await redeem(bob, code), 409, "already_redeemed");
      else await redeemedAgain(bob, code);
    }
    await assertReplays(ann);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });
});

describe("a release", () => {
  test("gives uses and credit back, row by row, and again is the same", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    await fund(shop, ann, 1000);
    const { code, campaign } = await discountCodes(shop, { percent: 10 }, { limits: { total: 1 } });
    const discount = await held(ann, "o", { code });
    await held(ann, "o", { credit_minor: 300 });
    await held(ann, "o", { credit_minor: 200 });
    assert.equal(await creditOf(ann), 500);
    const body = expectStatus(await release(shop, ann, "o"), 200);
    assert.deepEqual(body.holds.map(({ state }) => state), ["released", "released", "released"]);
    assert.deepEqual(expectStatus(await release(shop, ann, "o"), 200).holds.map(({ state }) => state), ["released", "released", "released"]);
    assert.equal(await creditOf(ann), 1000);
    assert.deepEqual(await liveHoldsOf(ann, "o"), []);
    assert.equal((await redemptionOf(ann, discount.redemption_id)).status, "cancelled");
    const [takes, backs] = [await rowsOf(ann, "hold"), await rowsOf(ann, "release")];
    assert.deepEqual(backs.map(({ reverses }) => reverses).sort(), takes.map(({ ledger_id }) => ledger_id).sort());
    for (const back of backs) assert.equal(back.amount, -takes.find(({ ledger_id }) => ledger_id === back.reverses).amount);
    await assertReplays(ann);
    expectProblem(await commit(shop, ann, "o"), 404, "not_found");
    await redeemedAgain(bob, code);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("of nothing is not found; after a commit it undoes nothing", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 500);
    expectProblem(await release(shop, ann, "o"), 404, "not_found");
    const { code } = await discountCodes(shop, { percent: 10 });
    const discount = await held(ann, "o", { code });
    await held(ann, "o", { credit_minor: 300 });
    await committed(shop, ann, "o");
    const answer = await release(shop, ann, "o");
    if (answer.status >= 400) expectStatus(answer, 404, 409);
    assert.equal(await creditOf(ann), 200);
    assert.equal((await redemptionOf(ann, discount.redemption_id)).status, "granted");
    assert.deepEqual((await holdsOf(ann, "o")).map(({ state }) => state), ["used", "used"]);
    await assertReplays(ann);
  });

  test("by the member of one credit leaves the order's others", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const first = await held(ann, "o", { credit_minor: 300, total: eur(400) });
    const second = await held(ann, "o", { credit_minor: 300, total: eur(400) });
    assert.deepEqual([second.applied_minor, second.remaining_minor], [100, 0]);
    expectStatus(await letGo(ann, first), 204);
    assert.equal(await creditOf(ann), 700);
    const [left, ...others] = await liveHoldsOf(ann, "o");
    assert.deepEqual([left.hold_id, left.applied_minor, left.remaining_minor, others], [second.hold_id, 300, 100, []]);
    await committed(shop, ann, "o");
    assert.equal(await creditOf(ann), 700);
    await assertReplays(ann);
  });
});

describe("an order", () => {
  test("has at most one discount and any credits, counted in their order", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    await fund(shop, ann, 10_000);
    const { codes } = await discountCodes(shop, { percent: 20 }, { count: 2 });
    const fromCode = await creditCodes(shop, 500);
    await held(ann, "o", { code: codes[0], total: eur(1000) });
    expectProblem(await hold(ann, "o", { code: codes[1], total: eur(1000) }), 409, "already_exists");
    await redeemedAgain(bob, codes[1]);
    const second = await held(ann, "o", { code: fromCode.code, total: eur(1000) });
    const third = await held(ann, "o", { credit_minor: 700, total: eur(1000) });
    assert.deepEqual([second.applied_minor, second.remaining_minor, third.applied_minor, third.remaining_minor], [500, 300, 300, 0]);
    const live = await liveHoldsOf(ann, "o");
    assert.deepEqual(live.map(({ remaining_minor }) => remaining_minor), [0, 0, 0], "what the order still costs");
    const body = await committed(shop, ann, "o");
    assert.deepEqual([body.applied_minor, body.remaining_minor], [1000, 0]);
    assert.equal(await creditOf(ann), 10_000 - 300);
    await assertReplays(ann);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("has the total that was given last", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const { code } = await discountCodes(shop, { percent: 10 });
    const first = await held(ann, "o", { code, total: eur(1000) });
    const second = await held(ann, "o", { credit_minor: 100, total: eur(5000) });
    assert.deepEqual([second.applied_minor, second.remaining_minor], [100, 4400]);
    const again = await holdOf(ann, first);
    assert.deepEqual([again.applied_minor, again.remaining_minor], [500, 4400]);
  });

  test("has one currency, that of its first hold, for as long as it lives", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    await fund(shop, ann, 1000, "USD");
    const first = await held(ann, "o", { credit_minor: 100, total: eur(500) });
    const { errors } = expectProblem(await hold(ann, "o", { credit_minor: 100, total: usd(500) }), 400, "invalid_request");
    assert.ok(errors.some(({ path }) => path === "total.currency"), JSON.stringify(errors));
    assert.deepEqual([await creditOf(ann), await creditOf(ann, "USD")], [900, 1000]);
    expectStatus(await letGo(ann, first), 204);
    await held(ann, "o", { credit_minor: 100, total: usd(500) });
    assert.deepEqual([await creditOf(ann), await creditOf(ann, "USD")], [1000, 900]);
    await assertReplays(ann);
  });

  test("of nothing needs nothing", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await discountCodes(shop, { percent: 10 });
    const answer = await hold(ann, "o", { code, total: eur(0) });
    if (answer.status !== 201) return expectProblem(answer, 400, "invalid_request");
    return assert.deepEqual([answer.body.applied_minor, answer.body.remaining_minor], [0, 0]);
  });
});

describe("a discount that was redeemed before", () => {
  async function resting(shop, client, value = { percent: 10 }) {
    const { code, campaign } = await discountCodes(shop, value);
    const { rewards } = await redeemed(client, code);
    assert.equal((await rewardOf(client, rewards[0])).state, "pending_activation");
    return { id: rewards[0], campaign, code };
  }

  test("is held by its id, committed as granted, and then used up", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id, campaign } = await resting(shop, ann);
    const mine = await held(ann, "o", { reward: id });
    assert.deepEqual([mine.applied_minor, mine.remaining_minor], [1000, 9000]);
    const body = await committed(shop, ann, "o");
    assert.equal(body.applied_minor, 1000);
    assert.deepEqual(pathOf(await rewardOf(ann, id)), ["pending_activation", "in_progress", "granted"]);
    expectProblem(await hold(ann, "p", { reward: id }), 409, "illegal_move", { state: "granted" });
    await assertReplays(ann);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("rests again when it is let go, is moved to another order, and is one discount like others", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id, code } = await resting(shop, ann, { currency: "EUR", amount_minor: 700 });
    const first = await held(ann, "order-1", { reward: id });
    await held(ann, "order-2", { reward: id });
    assert.deepEqual([(await liveHoldsOf(ann, "order-1")).length, (await liveHoldsOf(ann, "order-2")).length], [0, 1]);
    const other = await discountCodes(shop, { percent: 5 });
    expectProblem(await hold(ann, "order-2", { code: other.code }), 409, "already_exists");
    expectStatus(await release(shop, ann, "order-2"), 200);
    assert.deepEqual(await liveHoldsOf(ann, first.order), []);
    assert.equal((await rewardOf(ann, id)).state, "pending_activation");
    expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you");
    await held(ann, "order-3", { reward: id });
    assert.equal((await committed(shop, ann, "order-3")).applied_minor, 700);
    assert.equal((await rewardsOf(ann)).length, 1);
  });

  test("bought with points or given by hand serves as well, in the quantity that was bought", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const several = await bought(ann, await forSale(shop, 20, { type: "discount", value: { percent: 15 } }), { quantity: 3 });
    assert.deepEqual([several.status, several.rewards.length], ["granted", 1]);
    assert.equal((await held(ann, "three", { reward: several.rewards[0] })).applied_minor, 4500);
    assert.equal((await committed(shop, ann, "three")).applied_minor, 4500);
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 40);
    const { id } = await give(shop, ann, "discount");
    assert.equal((await held(ann, "o", { reward: id })).applied_minor, 1000);
    assert.equal((await committed(shop, ann, "o")).applied_minor, 1000);
    assert.equal((await rewardOf(ann, id)).state, "granted");
  });

  test("not another's, not one that there is not, not one that is no discount or is declined, not in another currency", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { id } = await resting(shop, ann, { currency: "USD", amount_minor: 5 });
    expectProblem(await hold(bob, "o", { reward: id }), 404, "not_found");
    expectProblem(await hold(ann, "o", { reward: `${id.slice(0, -2)}zz` }), 404, "not_found");
    expectProblem(await hold(ann, "o", { reward: id }), 403, "currency_not_allowed");
    const { id: shirt } = await give(shop, ann, "manual");
    expectProblem(await hold(ann, "o", { reward: shirt }), 403, "redemption_method_not_allowed");
    expectStatus(await move(ann, id, "decline"), 200);
    expectProblem(await hold(ann, "o", { reward: id, total: usd(100) }), 409, "illegal_move", { state: "declined" });
    assert.deepEqual(await holdsOf(ann, "o"), []);
  });

  test("whose code has a pool is redeemed first, and held then: promo codes are assigned for good, not for a quarter of an hour", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { pool_id, codes: promos } = await openPool(shop, 2);
    const { reward_id } = await shop.reward({ name: "Ten off", type: "discount", value: { percent: 10 }, pool_id });
    const { code } = await shop.withCodes(1, { reward_id });
    expectProblem(await hold(ann, "o", { code }), 403, "redemption_method_not_allowed");
    await assertStock(shop, pool_id, { free: 2, used: 0 });
    const plain = await redeemedAgain(ann, code);
    assert.ok(promos.includes(promosOf(plain)[0]));
    assert.equal((await held(ann, "o", { reward: plain.rewards[0] })).applied_minor, 1000);
    expectStatus(await release(shop, ann, "o"), 200);
    await assertStock(shop, pool_id, { free: 1, used: 1 });
    await held(ann, "p", { reward: plain.rewards[0] });
    await committed(shop, ann, "p");
    await assertStock(shop, pool_id, { free: 1, used: 1 });
    for (const subject of [{ pool_id }, { member_id: ann.sub }]) await assertVerified(shop, subject);
  });

  test("taken away while it is held, it is either kept for the order or nothing of the order is committed", async () => {
    const ways = {
      declined: (shop, client, { id }) => move(client, id, "decline"),
      deleted: (shop, client, { id }) => remove(shop, client, id),
      reversed: (shop, client, { redemption_id }) => shop.admin.post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "r" }, { key: unique("k-") }),
    };
    for (const [name, way] of Object.entries(ways)) {
      const shop = openShop(edge);
      const ann = shop.member();
      await fund(shop, ann, 500);
      const reward = await give(shop, ann, "discount");
      await held(ann, "o", { reward: reward.id });
      await held(ann, "o", { credit_minor: 200 });
      const taken = await way(shop, ann, reward);
      const answer = await commit(shop, ann, "o");
      if (taken.status < 300) {
        expectStatus(answer, 200, 404, 409, 410);
        if (answer.status === 200) assert.equal(answer.body.applied_minor, 200, "the credit alone");
        assert.notEqual((await rewardOf(ann, reward.id)).state, "granted", name);
      } else {
        expectProblem(taken, 409, "illegal_move");
        assert.equal(expectStatus(answer, 200).applied_minor, 1200);
        assert.equal((await rewardOf(ann, reward.id)).state, "granted");
      }
      assert.equal(await creditOf(ann), 300, name);
      await assertReplays(ann);
      await assertVerified(shop, { member_id: ann.sub });
    }
  });

  test("whose own time ends is held no longer than that: the clock ends the hold, and nothing is committed", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 500);
    const { id, valid_until } = await give(shop, ann, "discount", { valid_for_s: 2 });
    const mine = expectStatus(await hold(ann, "o", { reward: id }), 201);
    assert.ok(Date.parse(mine.expires_at) <= Date.parse(valid_until), JSON.stringify(mine));
    await passed(valid_until);
    const answer = await commit(shop, ann, "o");
    if (answer.status === 410) expectProblem(answer, 410, "hold_expired");
    else expectProblem(answer, 404, "not_found");
    const over = await until(() => holdOf(ann, mine), ({ state }) => state !== "held", 20_000);
    // The clock ends reward and hold in the same moment; the reward's end may be what lets the hold go.
    assert.ok(["expired", "released"].includes(over.state), over.state);
    await inState(ann, id, "expired");
    expectProblem(await hold(ann, "o", { reward: id }), 409, "illegal_move", { state: "expired" });
    assert.deepEqual([await creditOf(ann), await liveHoldsOf(ann, "o")], [500, []]);
    await assertReplays(ann);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("a code held and never committed can still be redeemed plainly once let go", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await creditCodes(shop, 500);
    const mine = await held(ann, unique("o-"), { code });
    expectStatus(await letGo(ann, mine), 204);
    await redeemedAgain(ann, code);
    assert.equal(await creditOf(ann), 500);
    await assertReplays(ann);
  });
});
