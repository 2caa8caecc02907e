// Confirming a quote: points against a reward in one commit, once for each quote, with a row that prints as a receipt; and a
// manager's goodwill where points are missing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, audited, feedOf, pathOf, rewardOf } from "./rewards.mjs";
import { assertRedemption, granted, historyOf, openShop, walletOf } from "./shop.mjs";
import { confirm, confirmed, movingNothing, quote, quoted, reverse, reversed, sold, tillOf } from "./till.mjs";
import { adjust, assertDistinct, assertReplays, assertStock, forSale, memberWith, pointsOf, poolForSale, promosOf } from "./trade.mjs";

const edge = edgeForThisFile();

async function queue(points, fields) {
  const shop = openShop(edge);
  return { shop, till: tillOf(shop), coffee: await forSale(shop, 100, fields), ann: await memberWith(shop, points) };
}

describe("a confirmation", () => {
  test("takes the points, gives the reward, and names member, reward, points, staff and time", async () => {
    const { shop, till, coffee, ann } = await queue(250);
    const { quote_id } = await quoted(till, ann, coffee);
    const answer = await confirm(till, quote_id);
    const redemption = expectStatus(answer, 201);
    assertRedemption(redemption);
    assert.ok(answer.headers.location.endsWith(`/v1/redemptions/${redemption.redemption_id}`), answer.headers.location);
    const { kind, status, reward_id, quantity, points_spent, goodwill_points, by, ledger, rewards } = redemption;
    assert.deepEqual([kind, status, reward_id, quantity, points_spent, goodwill_points ?? 0, by], ["points", "granted", coffee, 1, 100, 0, `staff:${till.sub}`]);
    const { rows } = await assertReplays(ann);
    const [row] = rows;
    assert.deepEqual([row.asset, row.amount, row.balance_after, row.kind, row.quantity, row.by], ["points", -100, 150, "redemption", 1, `staff:${till.sub}`]);
    assert.deepEqual([row.redemption_id, row.ledger_id, row.number], [redemption.redemption_id, ledger[0].ledger_id, ledger[0].number]);
    assert.ok(row.number.length <= 16 && /^[0-9A-Z-]+$/.test(row.number), `a number for a receipt: ${row.number}`);
    const reward = await rewardOf(ann, rewards[0]);
    assert.deepEqual(pathOf(reward), ["pending_activation", "in_progress", "granted"]);
    assert.deepEqual(await historyOf(ann), [await granted(ann, redemption.redemption_id)]);
    await audited(shop, { actor: `staff:${till.sub}`, action: "redemption.granted", subject: redemption.redemption_id });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("reaches the member's live feed, with the balance", async () => {
    const { till, coffee, ann } = await queue(250);
    const { redemption_id } = await sold(till, ann, coffee);
    const events = await feedOf(ann);
    assert.ok(events.some(({ type, data }) => type === "redemption.updated" && data.redemption_id === redemption_id && data.status === "granted"));
    assert.equal(events.filter(({ type }) => type === "wallet.updated").at(-1).data.points, 150);
  });

  test("of several is one row of that quantity", async () => {
    const { till, coffee, ann } = await queue(1000);
    const { quantity, points_spent, ledger } = await sold(till, ann, coffee, { quantity: 7 });
    assert.deepEqual([quantity, points_spent, ledger.map((row) => row.quantity)], [7, 700, [7]]);
    const { rows } = await assertReplays(ann);
    assert.deepEqual([rows[0].amount, rows[0].quantity], [-700, 7]);
  });

  test("from a pool is one row for each promo code", async () => {
    const { shop, till, ann } = await queue(1000);
    const { pool_id, codes, reward_id } = await poolForSale(shop, 10, 100);
    const redemption = await sold(till, ann, reward_id, { quantity: 4 });
    assertDistinct(promosOf(redemption), codes);
    assert.equal(promosOf(redemption).length, 4);
    const { rows } = await assertReplays(ann);
    assert.deepEqual(rows.slice(0, 4).map(({ amount, quantity, by }) => [amount, quantity, by]), Array(4).fill([-100, 1, `staff:${till.sub}`]));
    assert.deepEqual(rows.slice(0, 4).map(({ promo_code }) => promo_code).sort(), promosOf(redemption).sort());
    await assertStock(shop, pool_id, { free: 6, used: 4 });
    await assertVerified(shop, { pool_id });
  });

  const values = [
    ["credit", { value: { currency: "EUR", amount_minor: 500 } }, (wallet) => wallet.credit[0].amount_minor === 500],
    ["xp", { value: { amount: 30 } }, (wallet) => wallet.xp === 30],
    ["tokens", { value: { amount: 7 } }, (wallet) => wallet.tokens === 7],
    ["feature", { value: { key: "beta" } }, (wallet) => wallet.features.includes("beta")],
    ["points", { value: { amount: 250 } }, (wallet) => wallet.points === 150 + 250],
  ];
  for (const [type, fields, fits] of values) {
    test(`of ${type} pays and gains in one commit`, async () => {
      const { shop, till, ann } = await queue(250);
      const { redemption_id } = await sold(till, ann, await forSale(shop, 100, { type, ...fields }));
      const wallet = await walletOf(ann);
      assert.ok(fits(wallet), JSON.stringify(wallet));
      const { rows } = await assertReplays(ann);
      const own = rows.filter((row) => row.redemption_id === redemption_id);
      assert.deepEqual(own.filter(({ kind }) => kind === "redemption").map(({ asset, amount }) => [asset, amount]), [["points", -100]]);
      await assertVerified(shop, { member_id: ann.sub });
    });
  }

  test("accepted at once where that is asked for, and finished", async () => {
    const { till, coffee, ann } = await queue(250);
    const { quote_id } = await quoted(till, ann, coffee);
    const answer = await confirm(till, quote_id, {}, { headers: { prefer: "respond-async" } });
    const { redemption_id } = expectStatus(answer, 202);
    assert.equal(answer.headers["preference-applied"], "respond-async");
    assert.equal((await granted(ann, redemption_id)).points_spent, 100);
    assert.equal(await pointsOf(ann), 150);
  });
});

describe("a confirmation repeated", () => {
  test("under its key is the same redemption", async () => {
    const { till, coffee, ann } = await queue(250);
    const { quote_id } = await quoted(till, ann, coffee);
    const key = unique("k-");
    const first = await confirm(till, quote_id, {}, { key });
    expectStatus(first, 201);
    assert.equal(first.headers["idempotent-replayed"], undefined);
    for (const body of [{}, undefined]) {
      const again = await till.post(`/v1/till/quotes/${quote_id}/confirm`, body, { key });
      assert.deepEqual([again.status, again.headers["idempotent-replayed"], again.body], [201, "true", first.body]);
    }
    assert.equal(await pointsOf(ann), 150);
    assert.equal((await historyOf(ann)).length, 1);
  });

  test("under its key with another command is refused", async () => {
    const { shop, coffee, ann } = await queue(250);
    const manager = tillOf(shop, "manager");
    const { quote_id } = await quoted(manager, ann, coffee);
    const key = unique("k-");
    expectStatus(await confirm(manager, quote_id, {}, { key }), 201);
    expectProblem(await confirm(manager, quote_id, { override: { reason: "a good customer" } }, { key }), 422, "idempotency_key_reused");
    assert.equal(await pointsOf(ann), 150);
  });

  test("by sixteen at once under one key is one redemption", async () => {
    const { till, coffee, ann } = await queue(2500);
    const { quote_id } = await quoted(till, ann, coffee);
    const key = unique("k-");
    const answers = await Promise.all(Array.from({ length: 16 }, () => confirm(till, quote_id, {}, { key })));
    for (const answer of answers) expectStatus(answer, 201, 202);
    assert.equal(new Set(answers.map(({ body }) => body.redemption_id)).size, 1);
    assert.equal(await pointsOf(ann), 2400);
  });

  test("a key is of one quote: used for another it is another redemption", async () => {
    const { shop, till, coffee, ann } = await queue(250);
    const cake = await forSale(shop, 100);
    const key = unique("k-");
    const ids = new Set();
    for (const reward of [coffee, cake]) {
      const { quote_id } = await quoted(till, ann, reward);
      ids.add(expectStatus(await confirm(till, quote_id, {}, { key }), 201).redemption_id);
    }
    assert.equal(ids.size, 2);
  });

  const bad = [
    ["an unknown field", { quantity: 2 }, "quantity"],
    ["an override without a reason", { override: {} }, "override"],
    ["an override with an empty reason", { override: { reason: "" } }, "reason"],
    ["an override with a numeric reason", { override: { reason: 7 } }, "reason"],
    ["an override that is true", { override: true }, "override"],
    ["an override that is null", { override: null }, "override"],
    ["an override of more than a reason", { override: { reason: "x", points: 5 } }, "points"],
  ];
  test("malformed, or without a key: nothing happens, and the quote stays open", async () => {
    const { shop, coffee, ann } = await queue(250);
    const manager = tillOf(shop, "manager");
    const { quote_id } = await quoted(manager, ann, coffee);
    await movingNothing(ann, async () => {
      expectProblem(await manager.post(`/v1/till/quotes/${quote_id}/confirm`, {}), 400, "idempotency_key_required");
      for (const [name, body, path] of bad) {
        const { errors } = expectProblem(await confirm(manager, quote_id, body), 400, "invalid_request");
        assert.ok(errors.some((error) => error.path.includes(path)), `${name}: ${JSON.stringify(errors)}`);
      }
    });
    await confirmed(manager, quote_id);
  });
});

describe("a manager's goodwill", () => {
  test("takes what there is; the rest is recorded with name and reason, in redemption, ledger and audit log", async () => {
    const { shop, till, coffee, ann } = await queue(30);
    const { quote_id } = expectProblem(await quote(till, ann, coffee), 409, "insufficient_points");
    const manager = tillOf(shop, "manager");
    const redemption = await confirmed(manager, quote_id, { override: { reason: "spilled the first one" } });
    const { points_spent, goodwill_points, by, reason, status } = redemption;
    assert.deepEqual([status, points_spent, goodwill_points, by, reason], ["granted", 30, 70, `manager:${manager.sub}`, "spilled the first one"]);
    const { wallet, rows } = await assertReplays(ann);
    assert.equal(wallet.points, 0);
    assert.deepEqual([rows[0].amount, rows[0].balance_after, rows[0].reason, rows[0].by], [-30, 0, "spilled the first one", `manager:${manager.sub}`]);
    assert.deepEqual(await granted(ann, redemption.redemption_id), redemption);
    await audited(shop, { actor: `manager:${manager.sub}`, subject: redemption.redemption_id, reason: "spilled the first one" });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("of a member who has nothing takes nothing", async () => {
    const { shop, coffee, ann } = await queue(0);
    const admin = tillOf(shop, "admin");
    const { quote_id } = expectProblem(await quote(admin, ann, coffee, { quantity: 3 }), 409, "insufficient_points", { points_needed: 300 });
    const { points_spent, goodwill_points, ledger } = await confirmed(admin, quote_id, { override: { reason: "a birthday" } });
    assert.deepEqual([points_spent, goodwill_points, ledger.length], [0, 300, 1]);
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 0);
  });

  test("takes the whole cost of a member who has enough by then", async () => {
    const { shop, coffee, ann } = await queue(30);
    const manager = tillOf(shop, "manager");
    const { quote_id } = expectProblem(await quote(manager, ann, coffee), 409, "insufficient_points");
    expectStatus(await adjust(shop, ann, { amount: 500 }), 201);
    const { points_spent, goodwill_points } = await confirmed(manager, quote_id, { override: { reason: "to be sure" } });
    assert.deepEqual([points_spent, goodwill_points ?? 0], [100, 0]);
    assert.equal(await pointsOf(ann), 430);
  });

  test("from a pool spreads what was paid over the rows", async () => {
    const { shop, ann } = await queue(250);
    const { codes, reward_id } = await poolForSale(shop, 5, 100);
    const manager = tillOf(shop, "manager");
    const { quote_id } = expectProblem(await quote(manager, ann, reward_id, { quantity: 4 }), 409, "insufficient_points", { points_needed: 150 });
    const redemption = await confirmed(manager, quote_id, { override: { reason: "a school class" } });
    assertDistinct(promosOf(redemption), codes);
    assert.deepEqual([redemption.points_spent, redemption.goodwill_points], [250, 150]);
    const { wallet, rows } = await assertReplays(ann);
    const own = rows.filter(({ redemption_id, kind }) => redemption_id === redemption.redemption_id && kind === "redemption");
    assert.deepEqual([wallet.points, own.length, own.reduce((sum, { amount }) => sum + amount, 0)], [0, 4, -250]);
    assert.ok(own.every(({ amount }) => amount <= 0 && amount >= -100));
  });

  test("does not make promo codes", async () => {
    const { shop, ann } = await queue(0);
    const { reward_id } = await poolForSale(shop, 1, 100);
    const manager = tillOf(shop, "manager");
    const { quote_id } = expectProblem(await quote(manager, ann, reward_id, { quantity: 2 }), 409, "insufficient_points");
    await movingNothing(ann, async () => expectProblem(await confirm(manager, quote_id, { override: { reason: "please" } }), 409, "insufficient_codes", { available: 1, requested: 2 }));
  });

  test("is not for staff, also of their own quote; nothing changes, and the quote is as good as before", async () => {
    const { shop, till, coffee, ann } = await queue(30);
    const { quote_id } = expectProblem(await quote(till, ann, coffee), 409, "insufficient_points");
    await movingNothing(ann, async () => expectProblem(await confirm(till, quote_id, { override: { reason: "let me" } }), 403, "forbidden"));
    assert.equal((await confirmed(tillOf(shop, "manager"), quote_id, { override: { reason: "let them" } })).goodwill_points, 70);
  });

  test("is reversed by what was paid, not by what it cost", async () => {
    const { shop, ann } = await queue(30);
    const xp = await forSale(shop, 100, { type: "xp", value: { amount: 5 } });
    const manager = tillOf(shop, "manager");
    const { quote_id } = expectProblem(await quote(manager, ann, xp), 409, "insufficient_points");
    const { redemption_id } = await confirmed(manager, quote_id, { override: { reason: "a good customer" } });
    await reversed(manager, redemption_id);
    const { wallet } = await assertReplays(ann);
    assert.deepEqual([wallet.points, wallet.xp], [30, 0]);
    expectProblem(await reverse(manager, redemption_id), 409, "already_reversed");
  });
});
