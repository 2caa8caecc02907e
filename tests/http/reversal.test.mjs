// Reversals: every row of a redemption gets its match, what was given is taken back, and nothing happens by half.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { closedGate, fails, fulfillerOf, grants, says, waitsFor } from "./fulfiller-double.mjs";
import { assertVerified, audited, feedOf, give, inStatus, operate, redeemedAgain, redemptionOf, remove, rewardOf, withFulfillers } from "./rewards.mjs";
import { assertRedemption, creditOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";
import { confirm, holdingsOf, movingNothing, quoted, record, reverse, reversed, set, sold, tillOf } from "./till.mjs";
import { adjust, assertReplays, assertStock, bought, buy, earn, forSale, fund, memberWith, pointsOf, poolForSale, poolNow, promosOf, stockBecomes } from "./trade.mjs";

const edge = edgeForThisFile(withFulfillers);

async function queue(points, fields) {
  const shop = openShop(edge);
  return { shop, till: tillOf(shop), manager: tillOf(shop, "manager"), coffee: await forSale(shop, 100, fields), ann: await memberWith(shop, points) };
}

const earnXp = async (shop, member, amount) => expectStatus(await adjust(shop, member, { asset: "xp", amount }), 201);

describe("a reversal", () => {
  test("at the till that sold it: the points are back, with a row that names the other and why", async () => {
    const { shop, till, coffee, ann } = await queue(250);
    const sale = await sold(till, ann, coffee);
    const before = await holdingsOf(ann);
    const redemption = await reversed(till, sale.redemption_id, { reason: "wrong flavour" });
    assert.deepEqual([redemption.redemption_id, redemption.points_spent, redemption.by], [sale.redemption_id, 100, `staff:${till.sub}`]);
    const { wallet, rows } = await assertReplays(ann);
    assert.equal(wallet.points, 250);
    const [row, ...earlier] = rows;
    assert.deepEqual(earlier, before.rows, "what was written stays as it was");
    assert.deepEqual([row.asset, row.amount, row.kind, row.reverses, row.redemption_id, row.reason, row.by], ["points", 100, "reversal", sale.ledger[0].ledger_id, sale.redemption_id, "wrong flavour", `staff:${till.sub}`]);
    const reward = await rewardOf(ann, sale.rewards[0]);
    assert.deepEqual([reward.state, reward.moves.at(-1).actor, reward.moves.at(-1).reason], ["deleted", `staff:${till.sub}`, "wrong flavour"]);
    assert.deepEqual(await redemptionOf(ann, sale.redemption_id), redemption);
    await audited(shop, { actor: `staff:${till.sub}`, subject: sale.redemption_id, reason: "wrong flavour" });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("of several returns all of it", async () => {
    const { till, coffee, ann } = await queue(1000);
    const { redemption_id } = await sold(till, ann, coffee, { quantity: 7 });
    await reversed(till, redemption_id);
    assert.equal((await assertReplays(ann)).wallet.points, 1000);
  });

  const values = [
    ["credit", { value: { currency: "CHF", amount_minor: 900 } }],
    ["xp", { value: { amount: 30 } }],
    ["tokens", { value: { amount: 7 } }],
    ["points", { value: { amount: 40 } }],
    ["feature", { value: { key: "beta" } }],
    ["discount", { value: { percent: 10 } }],
    ["manual", { value: { reference: "a signed shirt" } }],
    ["level_booster", { value: { multiplier_permille: 2000 }, duration_s: 600 }],
  ];
  for (const [type, fields] of values) {
    test(`of ${type} leaves the wallet as it was before the sale`, async () => {
      const { shop, till, ann } = await queue(250);
      const before = await walletOf(ann);
      const { redemption_id, rewards } = await sold(till, ann, await forSale(shop, 100, { type, ...fields }));
      await reversed(till, redemption_id);
      const { wallet } = await assertReplays(ann);
      assert.deepEqual({ ...wallet, credit: wallet.credit.filter(({ amount_minor }) => amount_minor !== 0) }, before);
      for (const id of rewards) assert.equal((await rewardOf(ann, id)).state, "deleted");
      await assertVerified(shop, { member_id: ann.sub });
    });
  }

  test("of a running booster ends it: what is earned later is single again", async () => {
    const { shop, till, ann } = await queue(250);
    const { redemption_id, rewards } = await sold(till, ann, await forSale(shop, 100, { type: "token_booster", value: { multiplier_permille: 3000 }, duration_s: 600, player_should_claim: false, automatic_activation: true }));
    assert.equal((await walletOf(ann)).boosters.length, 1);
    await earn(shop, ann, 10);
    assert.equal(await pointsOf(ann), 150 + 30);
    await reversed(till, redemption_id);
    assert.deepEqual((await walletOf(ann)).boosters, []);
    await earn(shop, ann, 10);
    assert.equal(await pointsOf(ann), 250 + 30 + 10, "what was earned while it ran stays");
    assert.equal((await rewardOf(ann, rewards[0])).state, "deleted");
  });

  test("of a feature that the member has from elsewhere too leaves it", async () => {
    const { shop, till, ann } = await queue(250);
    await give(shop, ann, "feature");
    const { redemption_id } = await sold(till, ann, await forSale(shop, 100, { type: "feature", value: { key: "beta" } }));
    await reversed(till, redemption_id);
    assert.deepEqual((await walletOf(ann)).features, ["beta"]);
  });

  test("of a discount that is held for an order lets the hold go, and the order is paid without it", async () => {
    const { shop, till, ann } = await queue(250);
    await fund(shop, ann, 1000);
    const { redemption_id, rewards } = await sold(till, ann, await forSale(shop, 100, { type: "discount", value: { percent: 10 } }));
    const total = { currency: "EUR", amount_minor: 1000 };
    const hold = async (what) => expectStatus(await ann.post("/v1/orders/o-1/holds", { ...what, total }, { key: unique("k-") }), 201);
    const discount = await hold({ reward: rewards[0] });
    const credit = await hold({ credit_minor: 900 });
    assert.deepEqual([discount.applied_minor, credit.applied_minor, credit.remaining_minor], [100, 900, 0]);
    await reversed(till, redemption_id);
    const { items } = expectStatus(await ann.get("/v1/orders/o-1/holds"), 200);
    assert.deepEqual(items.map(({ hold_id, state }) => [hold_id, state]).sort(), [[discount.hold_id, "released"], [credit.hold_id, "held"]].sort());
    assert.equal(items.find(({ hold_id }) => hold_id === credit.hold_id).remaining_minor, 100);
    const paid = expectStatus(await shop.service.post("/v1/orders/o-1/commit", { member_id: ann.sub }), 200);
    assert.deepEqual([paid.applied_minor, paid.remaining_minor], [900, 100]);
    assert.equal(await creditOf(ann), 100);
    await assertReplays(ann);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("of promo codes puts them into quarantine, where nobody buys them, until they are released", async () => {
    const { shop, till, ann } = await queue(1000);
    const { pool_id, reward_id } = await poolForSale(shop, 5, 100);
    const sale = await sold(till, ann, reward_id, { quantity: 3 });
    await reversed(till, sale.redemption_id);
    await stockBecomes(shop, pool_id, { free: 2, used: 0, quarantined: 3 });
    const { wallet, rows } = await assertReplays(ann);
    assert.equal(wallet.points, 1000);
    assert.deepEqual(rows.slice(0, 3).map(({ reverses }) => reverses).sort(), sale.ledger.map(({ ledger_id }) => ledger_id).sort());
    const { items } = expectStatus(await shop.admin.get(`/v1/pools/${pool_id}/quarantine`), 200);
    assert.deepEqual(items.map(({ code }) => code).sort(), promosOf(sale).sort());
    assert.ok(items.every(({ redemption_id }) => redemption_id === sale.redemption_id));
    expectProblem(await buy(ann, reward_id, { quantity: 3 }), 409, "insufficient_codes", { available: 2, requested: 3 });
    expectStatus(await shop.admin.post(`/v1/pools/${pool_id}/quarantine/release`, { all: true, reason: "never handed out" }), 200);
    await assertStock(shop, pool_id, { free: 5, used: 0 });
    assert.equal((await bought(ann, reward_id, { quantity: 5 })).ledger.length, 5);
    await assertVerified(shop, { pool_id });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("of what was declined, or deleted before, returns the points and takes no value twice", async () => {
    const { shop, till, ann } = await queue(300);
    const declined = await sold(till, ann, await forSale(shop, 100, { type: "manual", value: { reference: "a signed shirt" } }));
    expectStatus(await ann.post(`/v1/rewards/${declined.rewards[0]}/decline`, {}), 200);
    await reversed(till, declined.redemption_id);
    assert.equal((await rewardOf(ann, declined.rewards[0])).state, "declined");
    const deleted = await sold(till, ann, await forSale(shop, 100, { type: "xp", value: { amount: 30 } }));
    await earnXp(shop, ann, 30);
    expectStatus(await remove(shop, ann, deleted.rewards[0]), 204);
    await reversed(till, deleted.redemption_id);
    const { wallet } = await assertReplays(ann);
    assert.deepEqual([wallet.points, wallet.xp], [300, 30]);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("of boosters by the unit ends those that run and leaves those that were declined", async () => {
    const { shop, till, ann } = await queue(300);
    const { redemption_id, rewards } = await sold(till, ann, await forSale(shop, 100, { type: "token_booster", value: { multiplier_permille: 2000 }, duration_s: 600 }), { quantity: 3 });
    assert.equal(rewards.length, 3);
    for (const verb of ["claim", "activate"]) expectStatus(await ann.post(`/v1/rewards/${rewards[0]}/${verb}`, {}), 200);
    expectStatus(await ann.post(`/v1/rewards/${rewards[1]}/decline`, {}), 200);
    await reversed(till, redemption_id);
    const states = await Promise.all(rewards.map(async (id) => (await rewardOf(ann, id)).state));
    assert.deepEqual(states, ["deleted", "declined", "deleted"]);
    const { wallet } = await assertReplays(ann);
    assert.deepEqual([wallet.points, wallet.boosters], [300, []]);
  });

  test("of a gift takes it back and returns nothing", async () => {
    const { shop, manager, ann } = await queue(50);
    const { redemption_id } = await give(shop, ann, "credit");
    await reversed(manager, redemption_id);
    assert.deepEqual([await creditOf(ann), await pointsOf(ann)], [0, 50]);
    await assertReplays(ann);
  });

  test("is told on the live feed and to the endpoints that listen", async (t) => {
    const { shop, till, coffee, ann } = await queue(250);
    const { fulfiller } = await fulfillerOf(t, shop, [says(200)], ["redemption.reversed"]);
    const { redemption_id, rewards } = await sold(till, ann, coffee);
    const { length } = await feedOf(ann);
    const redemption = await reversed(till, redemption_id);
    const events = (await feedOf(ann)).slice(length);
    assert.deepEqual(events.find(({ type }) => type === "redemption.updated").data, redemption);
    assert.deepEqual(events.filter(({ type }) => type === "reward.updated").map(({ data }) => [data.id, data.state]), [[rewards[0], "deleted"]]);
    assert.equal(events.find(({ type }) => type === "wallet.updated").data.points, 250);
    const [{ body }] = await fulfiller.deliveries(1, { ms: 30_000 });
    assert.deepEqual([body.type, body.data.redemption_id, body.data.status], ["redemption.reversed", redemption_id, "reversed"]);
    fulfiller.assertProper();
  });

  test("of a tester's purchase is part of a reset", async () => {
    const { shop, ann } = await queue(250);
    await record(shop, ann, { tester: true });
    const { pool_id, reward_id } = await poolForSale(shop, 3, 100);
    const { redemption_id } = await bought(ann, reward_id, { quantity: 2 });
    expectStatus(await operate(shop.admin, redemption_id, "reset", { reason: "the next test" }), 200);
    assert.equal((await assertReplays(ann)).wallet.points, 250);
    await stockBecomes(shop, pool_id, { free: 1, used: 0, quarantined: 2 });
    expectStatus(await operate(shop.admin, redemption_id, "reset", { reason: "again" }), 200, 409);
    assert.equal((await assertReplays(ann)).wallet.points, 250);
  });

  test("of what a member bought online is a manager's", async () => {
    const { till, manager, coffee, ann } = await queue(250);
    const { redemption_id } = await bought(ann, coffee);
    await movingNothing(ann, async () => expectProblem(await reverse(till, redemption_id), 403, "forbidden"));
    await reversed(manager, redemption_id);
    assert.equal(await pointsOf(ann), 250);
  });
});

describe("a code's use", () => {
  test("stays used by a reversal, and comes back where that is asked for", async () => {
    const { shop, manager, ann } = await queue(0);
    const { campaign, codes } = await shop.withCodes(2);
    const first = await redeemed(ann, codes[0]);
    await reversed(manager, first.redemption_id);
    assert.equal(await creditOf(ann), 0);
    expectProblem(await redeem(ann, codes[0]), 409, "already_redeemed_by_you");
    expectProblem(await redeem(shop.member(), codes[0]), 409, "already_redeemed");
    const second = await redeemed(ann, codes[1]);
    await reversed(manager, second.redemption_id, { give_back: true });
    assert.notEqual((await redeemedAgain(ann, codes[1])).redemption_id, second.redemption_id);
    assert.equal(await creditOf(ann), 500);
    await assertReplays(ann);
    await assertVerified(shop, { member_id: ann.sub });
    await assertVerified(shop, { campaign });
  });

  test("of a shared campaign counts against its limits until it is given back", async () => {
    const { shop, manager, ann } = await queue(0);
    const { code } = await shop.withCodes(1, { kind: "shared", limits: { total: 1 } });
    const bob = shop.member();
    const { redemption_id } = await redeemed(ann, code);
    await reversed(manager, redemption_id, { give_back: false });
    expectProblem(await redeem(bob, code), 409, "campaign_limit_reached");
    const other = await shop.withCodes(1, { kind: "shared", limits: { total: 1 } });
    const again = await redeemed(ann, other.code);
    await reversed(manager, again.redemption_id, { give_back: true });
    await redeemedAgain(bob, other.code);
  });
});

describe("who may reverse, and when", () => {
  test("staff their own sales only, managers and administrators all, others none", async () => {
    const { shop, till, coffee, ann } = await queue(1000);
    const { redemption_id } = await sold(till, ann, coffee);
    await movingNothing(ann, async () => {
      expectProblem(await reverse(tillOf(shop), redemption_id), 403, "forbidden");
      for (const caller of [ann, shop.service]) expectProblem(await reverse(caller, redemption_id), 403, "forbidden");
      const stranger = openShop(edge);
      for (const role of ["staff", "manager", "admin"]) expectProblem(await reverse(stranger.as(role, till.sub), redemption_id), 404, "not_found");
      expectProblem(await reverse(till, `${redemption_id}x`), 404, "not_found");
    });
    await reversed(till, redemption_id);
    for (const role of ["manager", "admin"]) await reversed(tillOf(shop, role), (await sold(till, ann, coffee, { again: true })).redemption_id);
    assert.equal(await pointsOf(ann), 1000);
  });

  test("staff not the sale of a manager who goes by the same name", async () => {
    const { shop, coffee, ann } = await queue(1000);
    const [staff, manager] = ["staff", "manager"].map((role) => shop.as(role, "alex"));
    const { redemption_id } = await sold(manager, ann, coffee);
    expectProblem(await reverse(staff, redemption_id), 403, "forbidden");
    const { quote_id } = await quoted(manager, ann, coffee, { again: true });
    expectProblem(await confirm(staff, quote_id), 404, "not_found");
  });

  test("staff not the sale that a manager confirmed for them", async () => {
    const { till, manager, coffee, ann } = await queue(1000);
    const { quote_id } = await quoted(till, ann, coffee);
    const { redemption_id } = expectStatus(await confirm(manager, quote_id), 201);
    expectProblem(await reverse(till, redemption_id), 403, "forbidden");
  });

  test("staff within the merchant's window; after it a manager", async () => {
    const { shop, till, manager, coffee, ann } = await queue(1000);
    await set(shop, { reversal_window_s: 1 });
    const { redemption_id, created_at } = await sold(till, ann, coffee);
    await until(async () => Date.now(), (now) => now > Date.parse(created_at) + 1200);
    await movingNothing(ann, async () => expectProblem(await reverse(till, redemption_id), 403, "reversal_window_over"));
    await set(shop, { reversal_window_s: 900 });
    const next = await sold(till, ann, await forSale(shop, 100));
    await reversed(till, next.redemption_id);
    await set(shop, { reversal_window_s: 1 });
    await reversed(manager, redemption_id);
    assert.equal(await pointsOf(ann), 1000);
  });
});

describe("a reversal is made once", () => {
  test("its key answers again what is; another key is told so", async () => {
    const { till, manager, coffee, ann } = await queue(250);
    const { redemption_id } = await sold(till, ann, coffee);
    const key = unique("k-");
    const first = await reverse(till, redemption_id, {}, { key });
    assertRedemption(expectStatus(first, 200));
    await movingNothing(ann, async () => {
      const again = await reverse(till, redemption_id, {}, { key });
      assert.deepEqual([again.status, again.headers["idempotent-replayed"], again.body], [200, "true", first.body]);
      expectProblem(await reverse(till, redemption_id, { reason: "another" }, { key }), 422, "idempotency_key_reused");
      for (const caller of [till, manager]) expectProblem(await reverse(caller, redemption_id), 409, "already_reversed");
    });
  });

  test("of sixteen at once one is made", async () => {
    const { manager, till, coffee, ann } = await queue(250);
    const { redemption_id } = await sold(till, ann, coffee);
    const answers = await Promise.all(Array.from({ length: 16 }, (_, at) => reverse(at % 2 ? till : manager, redemption_id)));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1, answers.map(({ status }) => status).join());
    for (const answer of answers.filter(({ status }) => status !== 200)) expectProblem(answer, 409, "already_reversed");
    assert.equal((await assertReplays(ann)).wallet.points, 250);
  });

  test("and the reward can be sold again", async () => {
    const { till, coffee, ann } = await queue(100);
    for (let round = 0; round < 3; round += 1) {
      const { redemption_id } = await sold(till, ann, coffee, { again: true });
      await reversed(till, redemption_id);
    }
    const { wallet, rows } = await assertReplays(ann);
    assert.deepEqual([wallet.points, rows.length], [100, 7]);
  });
});

describe("value that is spent", () => {
  const spendable = [
    ["credit", { type: "credit", value: { currency: "EUR", amount_minor: 500 } }, { asset: "credit", amount_minor: -200, currency: "EUR", amount: undefined }, 200],
    ["xp", { type: "xp", value: { amount: 30 } }, { asset: "xp", amount: -1 }, 1],
    ["tokens", { type: "tokens", value: { amount: 7 } }, { asset: "tokens", amount: -7 }, 7],
  ];
  for (const [name, fields, spending, short_by] of spendable) {
    test(`of ${name} is not taken back: value_spent says by how much, and nothing changes`, async () => {
      const { shop, till, manager, ann } = await queue(250);
      const { redemption_id, rewards } = await sold(till, ann, await forSale(shop, 100, fields));
      expectStatus(await adjust(shop, ann, spending), 201);
      const key = unique("k-");
      await movingNothing(ann, async () => {
        expectProblem(await reverse(till, redemption_id, {}, { key }), 409, "value_spent", { short_by });
        expectProblem(await reverse(manager, redemption_id), 409, "value_spent", { short_by });
      });
      assert.equal((await redemptionOf(ann, redemption_id)).status, "granted");
      assert.notEqual((await rewardOf(ann, rewards[0])).state, "deleted");
      expectStatus(await adjust(shop, ann, { ...spending, ...(spending.amount ? { amount: -spending.amount } : { amount_minor: 200 }) }), 201);
      await reversed(manager, redemption_id);
      assert.equal((await assertReplays(ann)).wallet.points, 250);
    });
  }

  test("of points that were won with points is short by what the price does not return", async () => {
    const { shop, till, ann } = await queue(100);
    const { redemption_id } = await sold(till, ann, await forSale(shop, 100, { type: "points", value: { amount: 400 } }));
    expectStatus(await adjust(shop, ann, { amount: -400 }), 201);
    const { wallet, rows } = await holdingsOf(ann);
    const answer = await reverse(till, redemption_id);
    expectProblem(answer, 409, "value_spent");
    assert.ok([300, 400].includes(answer.body.short_by), answer.text);
    assert.deepEqual(await holdingsOf(ann), { wallet, rows });
  });
});

describe("from other states", () => {
  test("of what is still being granted it is an illegal move, which names the legal ones", async (t) => {
    const { shop, till, manager, ann } = await queue(250);
    const gate = closedGate();
    const { mechanic } = await fulfillerOf(t, shop, [waitsFor(gate, grants())]);
    const bonus = await forSale(shop, 100, { type: "bonus", value: { reference: "b" }, mechanic });
    const { quote_id } = await quoted(till, ann, bonus);
    const { redemption_id } = expectStatus(await confirm(till, quote_id), 201);
    await inStatus(ann, redemption_id, "granting");
    for (const caller of [till, manager]) {
      const { state, legal_moves } = expectProblem(await reverse(caller, redemption_id), 409, "illegal_move");
      assert.equal(state, "granting");
      assert.ok(Array.isArray(legal_moves), JSON.stringify(legal_moves));
    }
    gate.open();
    await inStatus(ann, redemption_id, "granted");
    await reversed(till, redemption_id);
    assert.equal(await pointsOf(ann), 250);
  });

  test("of a refusal it is an illegal move", async () => {
    const { manager, coffee, ann } = await queue(0);
    expectProblem(await buy(ann, coffee), 409, "insufficient_points", { points_needed: 100 });
    const { items } = expectStatus(await ann.get("/v1/redemptions?status=refused"), 200);
    assert.equal(items.length, 1);
    expectProblem(await reverse(manager, items[0].redemption_id), 409, "illegal_move", { state: "refused" });
  });
});

describe("cancelling what was paid with points", () => {
  test("returns points and puts promo codes into quarantine", async (t) => {
    const { shop, till, ann } = await queue(1000);
    const { mechanic } = await fulfillerOf(t, shop, [fails()]);
    const { pool_id, reward_id } = await poolForSale(shop, 4, 100, { type: "bonus", value: { reference: "b" }, mechanic });
    const { quote_id } = await quoted(till, ann, reward_id, { quantity: 2 });
    const { redemption_id } = expectStatus(await confirm(till, quote_id), 201);
    await inStatus(ann, redemption_id, "grant_failed");
    expectStatus(await shop.admin.post(`/v1/redemptions/${redemption_id}/resolve`, { as: "cancelled", reason: "cannot be given" }), 200);
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 1000);
    await stockBecomes(shop, pool_id, { free: 2, used: 0, quarantined: 2 });
    await assertVerified(shop, { member_id: ann.sub });
    await assertVerified(shop, { pool_id });
    assert.equal((await poolNow(shop, pool_id)).quarantined, 2);
  });
});

describe("malformed", () => {
  const bad = [
    ["no reason", {}, "reason"],
    ["an empty reason", { reason: "" }, "reason"],
    ["a numeric reason", { reason: 7 }, "reason"],
    ["give_back in text", { reason: "x", give_back: "yes" }, "give_back"],
    ["an unknown field", { reason: "x", amount: 5 }, "amount"],
  ];
  test("or without a key: nothing changes", async () => {
    const { till, coffee, ann } = await queue(250);
    const { redemption_id } = await sold(till, ann, coffee);
    const path = `/v1/redemptions/${redemption_id}/reversal`;
    await movingNothing(ann, async () => {
      expectProblem(await till.post(path, { reason: "x" }), 400, "idempotency_key_required");
      for (const [name, body, named] of bad) {
        const { errors } = expectProblem(await till.post(path, body, { key: unique("k-") }), 400, "invalid_request");
        assert.ok(errors.some((error) => error.path.includes(named)), `${name}: ${JSON.stringify(errors)}`);
      }
    });
    await reversed(till, redemption_id);
  });
});
