// Quotes at a till: the price that is named, how long and for whom it holds, and what makes it void.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { openShop } from "./shop.mjs";
import { assertQuote, cancelQuote, confirm, confirmed, movingNothing, quote, quoted, record, redefine, sold, tillOf } from "./till.mjs";
import { assertStock, bought, earn, forSale, memberWith, pointsOf, poolForSale } from "./trade.mjs";

const edge = edgeForThisFile();
const JUST_MS = 10_000;
const HOLDS_MS = 120_000;

/** A shop with a till, a reward for 100 points and a member who has so many. */
async function queue(points, fields) {
  const shop = openShop(edge);
  return { shop, till: tillOf(shop), coffee: await forSale(shop, 100, { name: "A coffee", ...fields }), ann: await memberWith(shop, points) };
}

describe("a quote", () => {
  test("names the reward, its cost and what is left, and moves nothing", async () => {
    const { till, coffee, ann } = await queue(250);
    await movingNothing(ann, async () => {
      const answer = await quote(till, ann, coffee);
      const body = expectStatus(answer, 201);
      assertQuote(body);
      assert.ok(answer.headers.location?.endsWith(`/v1/till/quotes/${body.quote_id}`), answer.headers.location);
      assert.deepEqual([body.reward_name, body.points_cost, body.points_after], ["A coffee", 100, 150]);
      const left = Date.parse(body.expires_at) - Date.now();
      assert.ok(left > HOLDS_MS - 10_000 && left <= HOLDS_MS, `it holds for 2 minutes: ${left}`);
    });
  });

  test("of several costs several times as much", async () => {
    const { till, coffee, ann } = await queue(10_000);
    for (const quantity of [1, 2, 100]) {
      const body = await quoted(till, ann, coffee, { quantity });
      assert.deepEqual([body.points_cost, body.points_after], [100 * quantity, 10_000 - 100 * quantity]);
    }
  });

  test("of the last points leaves none", async () => {
    const { till, coffee, ann } = await queue(100);
    assert.equal((await quoted(till, ann, coffee)).points_after, 0);
  });

  test("by this member's price", async () => {
    const { till, shop, coffee, ann } = await queue(100, { prices: [{ tier: "gold", points_cost: 60 }] });
    assert.equal((await quoted(till, ann, coffee)).points_cost, 100);
    await record(shop, ann, { tier: "gold" });
    assert.equal((await quoted(till, ann, coffee)).points_cost, 60);
  });

  test("under a key is asked for once: again the same quote, and another wish is refused", async () => {
    const { till, coffee, ann } = await queue(250);
    const key = unique("k-");
    const wish = { member_id: ann.sub, reward_id: coffee };
    const first = await till.post("/v1/till/quotes", wish, { key });
    expectStatus(first, 201);
    const again = await till.post("/v1/till/quotes", wish, { key });
    assert.deepEqual([again.status, again.headers["idempotent-replayed"], again.body.quote_id], [201, "true", first.body.quote_id]);
    expectProblem(await till.post("/v1/till/quotes", { ...wish, quantity: 2 }, { key }), 422, "idempotency_key_reused");
    await confirmed(till, first.body.quote_id);
  });

  test("holds no points: two quotes of one balance, and the second confirmation is short", async () => {
    const { shop, till, coffee, ann } = await queue(150);
    const cake = await forSale(shop, 100);
    const [first, second] = [await quoted(till, ann, coffee), await quoted(till, ann, cake)];
    await confirmed(till, first.quote_id);
    expectProblem(await confirm(till, second.quote_id), 409, "insufficient_points", { points_needed: 50 });
    assert.equal(await pointsOf(ann), 50);
  });
});

describe("a price", () => {
  test("is pinned by its quote, when it rises, falls or goes", async () => {
    const { shop, till, ann } = await queue(1000);
    for (const points_cost of [150, 20, null]) {
      const reward = await forSale(shop, 100);
      const { quote_id } = await quoted(till, ann, reward);
      await redefine(shop, reward, { points_cost });
      const { points_spent, ledger } = await confirmed(till, quote_id);
      assert.deepEqual([points_spent, ledger.length], [100, 1], String(points_cost));
    }
    assert.equal(await pointsOf(ann), 700);
  });

  test("is pinned when the member's attributes change", async () => {
    const { shop, till, coffee, ann } = await queue(200, { prices: [{ tier: "gold", points_cost: 60 }] });
    const { quote_id } = await quoted(till, ann, coffee);
    await record(shop, ann, { tier: "gold" });
    assert.equal((await confirmed(till, quote_id)).points_spent, 100);
  });

  test("is of the reward as it was quoted", async () => {
    const shop = openShop(edge);
    const till = tillOf(shop);
    const ann = await memberWith(shop, 100);
    const xp = await forSale(shop, 100, { type: "xp", value: { amount: 30 } });
    const { quote_id } = await quoted(till, ann, xp);
    await redefine(shop, xp, { value: { amount: 99 } });
    await confirmed(till, quote_id);
    assert.equal((await ann.get("/v1/wallet")).body.xp, 30);
  });
});

describe("a balance that is short", () => {
  test("is told with what is missing and a quote, which without a manager only says so again", async () => {
    const { till, coffee, ann } = await queue(30);
    await movingNothing(ann, async () => {
      const { quote_id } = expectProblem(await quote(till, ann, coffee), 409, "insufficient_points", { points_needed: 70 });
      assert.match(quote_id, /^qu_/);
      expectProblem(await confirm(till, quote_id), 409, "insufficient_points", { points_needed: 70 });
    });
  });

  test("by one point, by all of it, and for several", async () => {
    const { shop, till, coffee } = await queue(0);
    for (const [points, quantity, points_needed] of [[99, 1, 1], [0, 1, 100], [250, 3, 50], [9999, 100, 1]]) {
      const ann = await memberWith(shop, points);
      const { quote_id } = expectProblem(await quote(till, ann, coffee, { quantity }), 409, "insufficient_points", { points_needed });
      assert.ok(quote_id);
    }
  });

  test("only at the confirmation: the quote says so, stays open, and is good once there is enough", async () => {
    const { shop, till, coffee, ann } = await queue(100);
    const { quote_id } = await quoted(till, ann, coffee);
    await bought(ann, await forSale(shop, 60));
    const key = unique("k-");
    const short = expectProblem(await confirm(till, quote_id, {}, { key }), 409, "insufficient_points", { points_needed: 60, quote_id });
    assert.equal(await pointsOf(ann), 40);
    await earn(shop, ann, 60);
    const again = expectProblem(await confirm(till, quote_id, {}, { key }), 409, "insufficient_points");
    assert.equal(again.points_needed, short.points_needed, "a key keeps its answer");
    assert.equal((await confirmed(till, quote_id)).points_spent, 100);
    assert.equal(await pointsOf(ann), 0);
  });
});

describe("a quote is void", () => {
  test("when a newer one of the same member and reward replaces it", async () => {
    const { till, coffee, ann } = await queue(500);
    const [first, second] = [await quoted(till, ann, coffee), await quoted(till, ann, coffee, { quantity: 2 })];
    await movingNothing(ann, async () => expectProblem(await confirm(till, first.quote_id), 410, "quote_expired", { reason: "replaced" }));
    assert.equal((await confirmed(till, second.quote_id)).points_spent, 200);
  });

  test("when another till's replaces it", async () => {
    const { shop, till, coffee, ann } = await queue(500);
    const first = await quoted(till, ann, coffee);
    const other = tillOf(shop);
    const second = await quoted(other, ann, coffee);
    expectProblem(await confirm(till, first.quote_id), 410, "quote_expired", { reason: "replaced" });
    await confirmed(other, second.quote_id);
    assert.equal(await pointsOf(ann), 400);
  });

  test("not by a quote of another reward, or of another member", async () => {
    const { shop, till, coffee, ann } = await queue(500);
    const bob = await memberWith(shop, 500);
    const cake = await forSale(shop, 100);
    const quotes = [await quoted(till, ann, coffee), await quoted(till, ann, cake), await quoted(till, bob, coffee)];
    for (const { quote_id } of quotes) await confirmed(till, quote_id);
    assert.deepEqual([await pointsOf(ann), await pointsOf(bob)], [300, 400]);
  });

  test("when it was cancelled, which again is 204 and changes nothing", async () => {
    const { till, coffee, ann } = await queue(500);
    const { quote_id } = await quoted(till, ann, coffee);
    await movingNothing(ann, async () => {
      expectStatus(await cancelQuote(till, quote_id), 204);
      expectStatus(await cancelQuote(till, quote_id), 204);
      expectProblem(await confirm(till, quote_id), 410, "quote_expired", { reason: "cancelled" });
    });
    await sold(till, ann, coffee);
  });

  test("when it was confirmed, whatever the key; and then it cannot be cancelled", async () => {
    const { till, coffee, ann } = await queue(500);
    const { quote_id } = await quoted(till, ann, coffee);
    await confirmed(till, quote_id);
    await movingNothing(ann, async () => {
      expectProblem(await confirm(till, quote_id), 410, "quote_expired", { reason: "confirmed" });
      expectProblem(await cancelQuote(till, quote_id), 409, "illegal_move");
    });
  });
});

describe("a quote of other staff", () => {
  test("is not found, to confirm or to cancel; a manager and an administrator may", async () => {
    const { shop, till, coffee, ann } = await queue(500);
    const other = tillOf(shop);
    for (const role of ["manager", "admin"]) {
      const caller = tillOf(shop, role);
      const { quote_id } = await quoted(till, ann, coffee, { again: true });
      await movingNothing(ann, async () => {
        expectProblem(await confirm(other, quote_id), 404, "not_found");
        expectProblem(await cancelQuote(other, quote_id), 404, "not_found");
      });
      const { by } = await confirmed(caller, quote_id);
      assert.equal(by, `${role}:${caller.sub}`);
      const next = await quoted(till, ann, coffee, { again: true });
      expectStatus(await cancelQuote(caller, next.quote_id), 204);
      expectProblem(await confirm(till, next.quote_id), 410, "quote_expired", { reason: "cancelled" });
    }
  });

  test("of another merchant, or of nobody, is not found", async () => {
    const { till, coffee, ann } = await queue(500);
    const { quote_id } = await quoted(till, ann, coffee);
    const stranger = openShop(edge);
    for (const role of ["staff", "manager", "admin"]) {
      const caller = stranger.as(role, till.sub);
      for (const id of [quote_id, `${quote_id}x`, "qu_nothing", "nothing", "%00", "a".repeat(2000)]) {
        expectProblem(await confirm(caller, id), 404, "not_found");
        expectProblem(await cancelQuote(caller, id), 404, "not_found");
      }
    }
    const last = quote_id.at(-3);
    expectProblem(await confirm(till, `${quote_id.slice(0, -3)}${last === "a" ? "b" : "a"}${quote_id.slice(-2)}`), 404, "not_found");
    await confirmed(till, quote_id);
  });
});

describe("the same reward within moments", () => {
  test("is just_redeemed: at another till, at the same till, and not when the member says again", async () => {
    const { shop, till, coffee, ann } = await queue(500);
    await sold(till, ann, coffee);
    for (const caller of [till, tillOf(shop), tillOf(shop, "manager")]) expectProblem(await quote(caller, ann, coffee), 409, "just_redeemed");
    expectProblem(await quote(till, ann, coffee, { again: false }), 409, "just_redeemed");
    assert.equal(await pointsOf(ann), 400);
    await sold(till, ann, coffee, { again: true });
    assert.equal(await pointsOf(ann), 300);
  });

  test("is noticed at the confirmation too", async () => {
    const { till, coffee, ann } = await queue(500);
    const careless = await quoted(till, ann, coffee);
    await bought(ann, coffee);
    await movingNothing(ann, async () => expectProblem(await confirm(till, careless.quote_id), 409, "just_redeemed"));
    const { quote_id } = await quoted(till, ann, coffee, { again: true });
    await confirmed(till, quote_id);
    assert.equal(await pointsOf(ann), 300);
  });

  test("is no matter for another reward or another member", async () => {
    const { shop, till, coffee, ann } = await queue(500);
    await sold(till, ann, coffee);
    await sold(till, ann, await forSale(shop, 100));
    await sold(till, await memberWith(shop, 100), coffee);
  });

  test("is over after ten seconds", { timeout: 30_000 }, async () => {
    const { till, coffee, ann } = await queue(500);
    const { created_at } = await sold(till, ann, coffee);
    const answer = await until(() => quote(till, ann, coffee), ({ status }) => status !== 409, 15_000);
    assertQuote(expectStatus(answer, 201));
    assert.ok(Date.now() - Date.parse(created_at) >= JUST_MS - 500, "not before");
    await confirmed(till, answer.body.quote_id);
  });
});

describe("a quote is refused", () => {
  test("for what the member is not eligible for, and for what has no price", async () => {
    const { shop, till, ann } = await queue(500);
    const gold = await forSale(shop, 100, { eligibility: { tiers: ["gold"] } });
    expectProblem(await quote(till, ann, gold), 403, "not_eligible", { unmet: ["tier"] });
    const { reward_id } = await shop.reward();
    expectProblem(await quote(till, ann, reward_id), 409, "reward_not_for_sale");
    const silver = await forSale(shop, undefined, { prices: [{ tier: "silver", points_cost: 1 }] });
    expectProblem(await quote(till, ann, silver), 409, "reward_not_for_sale");
    expectProblem(await quote(till, ann, "nothing"), 404, "not_found");
  });

  const bad = [
    ["quantity 0", { quantity: 0 }, "quantity"],
    ["quantity 101", { quantity: 101 }, "quantity"],
    ["quantity -1", { quantity: -1 }, "quantity"],
    ["quantity 1.5", { quantity: 1.5 }, "quantity"],
    ["quantity in text", { quantity: "5" }, "quantity"],
    ["quantity null", { quantity: null }, "quantity"],
    ["no member", { member_id: undefined }, "member_id"],
    ["an empty member", { member_id: "" }, "member_id"],
    ["a numeric member", { member_id: 7 }, "member_id"],
    ["no reward", { reward_id: undefined }, "reward_id"],
    ["a numeric reward", { reward_id: 7 }, "reward_id"],
    ["again in text", { again: "yes" }, "again"],
    ["an unknown field", { discount: 1 }, "discount"],
  ];
  test("when it is malformed", async () => {
    const { till, coffee, ann } = await queue(500);
    const { quote_id } = await quoted(till, ann, coffee);
    for (const [name, change, path] of bad) {
      const { errors } = expectProblem(await till.post("/v1/till/quotes", { member_id: ann.sub, reward_id: coffee, ...change }), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.includes(path)), `${name}: ${JSON.stringify(errors)}`);
    }
    assert.equal((await confirmed(till, quote_id)).points_spent, 100, "and replaces nothing");
  });

  test("when its cost is beyond all numbers; and no answer has a number that JSON cannot carry", async () => {
    const { shop, till, ann } = await queue(100);
    const dear = await forSale(shop, Number.MAX_SAFE_INTEGER);
    const { quote_id } = expectProblem(await quote(till, ann, dear), 409, "insufficient_points", { points_needed: Number.MAX_SAFE_INTEGER - 100 });
    assert.ok(quote_id);
    for (const answer of [await quote(till, ann, dear, { quantity: 2 }), await quote(tillOf(shop, "manager"), ann, dear, { quantity: 100 })]) {
      const { errors } = expectProblem(answer, 400, "invalid_request");
      assert.ok(errors.some(({ path }) => path === "quantity"), JSON.stringify(errors));
    }
  });

  test("when the pool is short, at the confirmation; the quote stays open", async () => {
    const { shop, till, ann } = await queue(500);
    const { pool_id, reward_id } = await poolForSale(shop, 2, 10);
    const { quote_id } = await quoted(till, ann, reward_id, { quantity: 3 });
    await movingNothing(ann, async () => {
      const answer = await confirm(till, quote_id);
      expectProblem(answer, 409, "insufficient_codes", { available: 2, requested: 3, detail: "Only 2 code(s) available, you requested 3" });
    });
    await assertStock(shop, pool_id, { free: 2, used: 0 });
    await shop.admin.post(`/v1/pools/${pool_id}/codes`, `${unique("X-")}\n`, { headers: { "content-type": "text/plain" } });
    const { ledger } = await confirmed(till, quote_id);
    assert.equal(new Set(ledger.map(({ promo_code }) => promo_code)).size, 3);
    await assertStock(shop, pool_id, { free: 0, used: 3 });
  });
});
