// Adjustments: what a shop's server or a manager earns, spends and corrects for a member, never below zero.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, audited, feedOf, give, inState, move, remove } from "./rewards.mjs";
import { INSTANT, creditOf, ledgerOf, openShop, walletOf } from "./shop.mjs";
import { adjust, assertReplays, bought, earn, forSale, fund, memberWith, pointsOf } from "./trade.mjs";

const edge = edgeForThisFile();
const MOST = 2 ** 53 - 1;
const replayed = (answer) => answer.headers["idempotent-replayed"];
const balanceOf = async (client, asset) => (asset === "credit" ? creditOf(client) : (await walletOf(client))[asset]);
const amountOf = (asset, amount) => (asset === "credit" ? { asset, amount_minor: amount, currency: "EUR" } : { asset, amount });

describe("an adjustment", () => {
  for (const asset of ["points", "xp", "tokens", "credit"]) {
    test(`of ${asset}: earned, spent in part, spent to nothing, and never further`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      const earned = await adjust(shop, ann, { ...amountOf(asset, 100), reason: "a good deed", order: "order-7" });
      const row = expectStatus(earned, 201);
      assert.match(row.at, INSTANT);
      assert.deepEqual([row.asset, row.currency, row.amount, row.balance_after, row.kind], [asset, asset === "credit" ? "EUR" : undefined, 100, 100, "adjustment"]);
      assert.deepEqual([row.by, row.reason, row.order, row.quantity, row.redemption_id], ["service:shop-server", "a good deed", "order-7", undefined, undefined]);
      assert.ok(earned.headers.location.endsWith(`/v1/members/${ann.sub}/ledger`), earned.headers.location);
      assert.equal(expectStatus(await adjust(shop, ann, amountOf(asset, -40)), 201).balance_after, 60);
      const short = asset === "points" ? ["insufficient_points", { points_needed: 1 }] : ["value_spent", { short_by: 1 }];
      expectProblem(await adjust(shop, ann, amountOf(asset, -61)), 409, ...short);
      assert.equal(await balanceOf(ann, asset), 60);
      assert.equal(expectStatus(await adjust(shop, ann, amountOf(asset, -60)), 201).balance_after, 0);
      expectProblem(await adjust(shop, ann, amountOf(asset, -1)), 409, ...short);
      const { rows } = await assertReplays(ann);
      assert.deepEqual(rows.map(({ amount }) => amount), [-60, -40, 100]);
      assert.deepEqual(rows.at(-1), row, "the ledger has what was answered");
      await assertVerified(shop, { member_id: ann.sub });
    });
  }

  test("by a manager and an administrator too, each under their own name", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    for (const by of [shop.as("manager", "manager-2"), shop.admin, shop.service]) await adjust(shop, ann, { amount: 5 }, { by });
    assert.deepEqual((await ledgerOf(ann)).map(({ by }) => by), ["service:shop-server", "admin:admin-1", "manager:manager-2"]);
    for (const by of [shop.as("staff"), ann, shop.member()]) expectProblem(await adjust(shop, ann, { amount: 5 }, { by }), 403, "forbidden");
    assert.equal(await pointsOf(ann), 15);
    await audited(shop, { actor: "manager:manager-2", reason: "a parcel sent back" }, { actor: "admin:admin-1", reason: "a parcel sent back" }, { actor: "service:shop-server", reason: "a parcel sent back" });
  });

  test("once for each key", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const key = unique("k-");
    const first = expectStatus(await adjust(shop, ann, { amount: 5 }, { key }), 201);
    const again = await adjust(shop, ann, { amount: 5 }, { key });
    assert.deepEqual([expectStatus(again, 201), replayed(again)], [first, "true"]);
    for (const change of [{ amount: 6 }, { amount: 5, reason: "another" }, { amount: 5, asset: "xp" }, { amount: 5, order: "o" }]) expectProblem(await adjust(shop, ann, change, { key }), 422, "idempotency_key_reused");
    expectProblem(await adjust(shop, ann, { amount: 5 }, { key: undefined }), 400, "idempotency_key_required");
    assert.equal(await pointsOf(ann), 5);
    const twins = await Promise.all(Array.from({ length: 8 }, () => adjust(shop, ann, { amount: 7 }, { key: `twin-${key}` })));
    assert.equal(new Set(twins.map((answer) => expectStatus(answer, 201).ledger_id)).size, 1);
    const bob = shop.member();
    await adjust(shop, bob, { amount: 5 }, { key });
    await adjust(shop, ann, { amount: 5 }, { key, by: shop.admin });
    assert.deepEqual([await pointsOf(ann), await pointsOf(bob)], [17, 5], "a key is of one caller and one target");
  });

  test("many at once are all counted, and spending at once stops at zero", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await Promise.all(Array.from({ length: 20 }, () => earn(shop, ann, 5)));
    assert.equal(await pointsOf(ann), 100);
    const answers = await Promise.all(Array.from({ length: 20 }, () => adjust(shop, ann, { amount: -30 })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array.from({ length: 3 }, () => 201), ...Array.from({ length: 17 }, () => 409)]);
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 10);
  });

  test("currencies do not mix", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 500, "EUR");
    await fund(shop, ann, 300, "CHF");
    expectProblem(await adjust(shop, ann, { asset: "credit", amount_minor: -301, currency: "CHF" }), 409, "value_spent", { short_by: 1 });
    expectProblem(await adjust(shop, ann, { asset: "credit", amount_minor: -1, currency: "USD" }), 409, "value_spent", { short_by: 1 });
    await fund(shop, ann, -300, "CHF");
    const { wallet } = await assertReplays(ann);
    assert.deepEqual(wallet.credit.filter(({ amount_minor }) => amount_minor !== 0), [{ currency: "EUR", amount_minor: 500 }]);
  });

  test("is told on the member's feed, and read by an administrator as by the member", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await earn(shop, ann, 42);
    const told = (await feedOf(ann)).findLast(({ type }) => type === "wallet.updated");
    assert.deepEqual(told.data, await walletOf(ann));
    assert.deepEqual(expectStatus(await shop.admin.get(`/v1/members/${ann.sub}/ledger`), 200), expectStatus(await ann.get("/v1/ledger"), 200));
  });

  test("of a member whose id is any text, and of one merchant's member alone", async () => {
    const shop = openShop(edge);
    for (const sub of ["a/b?c#d", "\u00e4\u{1f600} x", "100%", "x".repeat(200)]) {
      const ann = shop.member({}, sub);
      await earn(shop, ann, 3);
      assert.equal(await pointsOf(ann), 3, sub);
      assert.equal(await pointsOf(openShop(edge).member({}, sub)), 0, sub);
    }
  });

  test("to the largest balance, and not beyond it", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await earn(shop, ann, MOST);
    expectProblem(await adjust(shop, ann, { amount: 1 }), 400, "invalid_request");
    await earn(shop, ann, -MOST);
    assert.equal(await pointsOf(ann), 0);
    await assertReplays(ann);
  });
});

describe("running boosters", () => {
  async function started(shop, client, type, multiplier_permille) {
    const { id } = await give(shop, client, type, { value: { multiplier_permille } });
    for (const verb of ["claim", "activate"]) expectStatus(await move(client, id, verb), 200);
    return inState(client, id, "granted");
  }

  test("multiply what is earned: level xp, token tokens and points, credit never; floored", async () => {
    const shop = openShop(edge);
    const rows = [
      ["level_booster", 1500, { xp: 10, tokens: 7, points: 7, credit: 7 }],
      ["token_booster", 1500, { xp: 7, tokens: 10, points: 10, credit: 7 }],
      ["level_booster", 3999, { xp: 27 }],
      ["token_booster", 1001, { points: 7 }],
    ];
    for (const [type, multiplier, expected] of rows) {
      const ann = shop.member();
      await started(shop, ann, type, multiplier);
      for (const [asset, amount] of Object.entries(expected)) {
        const row = expectStatus(await adjust(shop, ann, amountOf(asset, 7)), 201);
        assert.deepEqual([row.amount, row.balance_after, await balanceOf(ann, asset)], [amount, amount, amount], `${type} ${multiplier} and ${asset}`);
      }
    }
  });

  test("do not multiply what is spent or corrected downwards, nor what a purchase costs", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await started(shop, ann, "token_booster", 3000);
    await earn(shop, ann, 10);
    assert.equal(await pointsOf(ann), 30);
    assert.equal((await earn(shop, ann, -5)).amount, -5);
    await bought(ann, await forSale(shop, 20));
    assert.equal(await pointsOf(ann), 5);
    await assertReplays(ann);
  });

  test("the highest counts, and a deleted one no more; a repeated key keeps what it gave", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const key = unique("k-");
    await started(shop, ann, "token_booster", 2000);
    const high = await started(shop, ann, "token_booster", 5000);
    assert.equal(expectStatus(await adjust(shop, ann, { amount: 10 }, { key }), 201).amount, 50);
    expectStatus(await remove(shop, ann, high.id), 204);
    assert.equal((await earn(shop, ann, 10)).amount, 20);
    assert.equal(expectStatus(await adjust(shop, ann, { amount: 10 }, { key }), 201).amount, 50);
    assert.equal(await pointsOf(ann), 70);
  });
});

describe("malformed adjustments change nothing", () => {
  const credit = { asset: "credit", amount: undefined };
  const rows = [
    ["no asset", { asset: undefined }, "asset"],
    ["an unknown asset", { asset: "gold" }, "asset"],
    ["an asset in capitals", { asset: "Points" }, "asset"],
    ["a feature", { asset: "feature" }, "asset"],
    ["a reward", { asset: "reward" }, "asset"],
    ["no amount", { amount: undefined }, "amount"],
    ["zero", { amount: 0 }, "amount"],
    ["half a point", { amount: 1.5 }, "amount"],
    ["a text", { amount: "5" }, "amount"],
    ["null", { amount: null }, "amount"],
    ["beyond the largest", { amount: MOST + 1 }, "amount"],
    ["beyond the smallest", { amount: -MOST - 1 }, "amount"],
    ["points in money", { amount: undefined, amount_minor: 5, currency: "EUR" }, "amount"],
    ["points with a currency", { currency: "EUR" }, "currency"],
    ["both amounts", { amount_minor: 5 }, "amount_minor"],
    ["credit without a currency", { ...credit, amount_minor: 5 }, "currency"],
    ["credit without an amount", { ...credit, currency: "EUR" }, "amount_minor"],
    ["credit in points", { asset: "credit", currency: "EUR" }, "amount"],
    ["credit of zero", { ...credit, amount_minor: 0, currency: "EUR" }, "amount_minor"],
    ["credit of a half", { ...credit, amount_minor: 0.5, currency: "EUR" }, "amount_minor"],
    ["credit in euro", { ...credit, amount_minor: 5, currency: "euro" }, "currency"],
    ["credit in lower case", { ...credit, amount_minor: 5, currency: "eur" }, "currency"],
    ["no reason", { reason: undefined }, "reason"],
    ["an empty reason", { reason: "" }, "reason"],
    ["a blank reason", { reason: "  " }, "reason"],
    ["a numeric reason", { reason: 7 }, "reason"],
    ["a numeric order", { order: 7 }, "order"],
    ["an empty order", { order: "" }, "order"],
    ["a kind", { kind: "redemption" }, "kind"],
    ["an unknown field", { surprise: 1 }, "surprise"],
  ];
  test(`${rows.length} of them`, async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 10);
    const before = [await walletOf(ann), await ledgerOf(ann), await feedOf(ann)];
    for (const [name, change, path] of rows) {
      const { errors } = expectProblem(await adjust(shop, ann, { amount: 5, ...change }), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.startsWith(path)), `${name}: ${JSON.stringify(errors)}`);
    }
    assert.deepEqual([await walletOf(ann), await ledgerOf(ann), await feedOf(ann)], before);
  });
});
