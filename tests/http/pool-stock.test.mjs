// A pool's health: how fast it empties and when it will be empty, the alert below its threshold, and what lies in quarantine.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { fulfillerOf, grants, says } from "./fulfiller-double.mjs";
import { assertVerified, audited, inStatus, operate, redeemedAgain, withFulfillers } from "./rewards.mjs";
import { INSTANT, assertRedemption, openShop, redeem, redeemed } from "./shop.mjs";
import { assertDistinct, assertPool, assertReplays, assertStock, bought, buy, memberWith, openPool, pointsOf, poolForSale, poolNow, promoCodes, promosOf, stock, stockBecomes } from "./trade.mjs";

const edge = edgeForThisFile(withFulfillers);
const DAY_MS = 86_400_000;
const LAG_MS = 15_000;

/** A pool's entry in the shop's figures, once it is as wanted (reports lag by seconds). */
async function figuresOf(shop, pool_id, wanted = () => true) {
  const entry = await until(
    async () => expectStatus(await shop.admin.get("/v1/stats"), 200).pools.find((one) => one.pool_id === pool_id) ?? {},
    (one) => one.pool_id !== undefined && wanted(one),
    LAG_MS,
  );
  const { low, shortages, ...pool } = entry;
  assertPool(pool);
  assert.deepEqual([typeof low, Number.isSafeInteger(shortages)], ["boolean", true], JSON.stringify(entry));
  return entry;
}

/** Everything in a pool's quarantine, page by page. */
const quarantineOf = (shop, pool_id, limit = 200) => everyItem(shop.admin, `/v1/pools/${pool_id}/quarantine`, limit);
const release = (shop, pool_id, body, options) => shop.admin.post(`/v1/pools/${pool_id}/quarantine/release`, body, options);

/** A pool whose reward was bought by Ann and reversed at once: its codes lie in quarantine. */
async function withQuarantine(quantity, stocked = quantity) {
  const shop = openShop(edge);
  const opened = await poolForSale(shop, stocked, 10);
  const ann = await memberWith(shop, 10 * quantity);
  const redemption = await bought(ann, opened.reward_id, { quantity });
  const answer = await shop.admin.post(`/v1/redemptions/${redemption.redemption_id}/reversal`, { reason: "printed wrongly" }, { key: unique("k-") });
  assert.equal(expectStatus(answer, 200).status, "reversed");
  await stockBecomes(shop, opened.pool_id, { quarantined: quantity, used: 0 });
  return { shop, ann, redemption, ...opened, promos: promosOf(redemption) };
}

describe("depletion", () => {
  test("nothing taken: none a day and no end; taken: as many a day, and the end by that rate", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 100, 1);
    const before = await poolNow(shop, pool_id);
    assert.deepEqual([before.depletion_per_day, before.runs_out_at], [0, undefined]);
    await bought(await memberWith(shop, 100), reward_id, { quantity: 20 });
    const pool = await poolNow(shop, pool_id);
    // All of it was taken within the last day, which counts as one.
    assert.equal(pool.depletion_per_day, 20);
    const days = (Date.parse(pool.runs_out_at) - Date.now()) / DAY_MS;
    assert.ok(Math.abs(days - 80 / 20) < 0.05, `${days} days`);
    await bought(await memberWith(shop, 100), reward_id, { quantity: 60 });
    const later = await poolNow(shop, pool_id);
    assert.equal(later.depletion_per_day, 80);
    assert.ok(Math.abs((Date.parse(later.runs_out_at) - Date.now()) / DAY_MS - 20 / 80) < 0.05, later.runs_out_at);
    await stock(shop, pool_id, promoCodes(140));
    const refilled = await poolNow(shop, pool_id);
    assert.equal(refilled.depletion_per_day, 80);
    assert.ok(Math.abs((Date.parse(refilled.runs_out_at) - Date.now()) / DAY_MS - 160 / 80) < 0.05, refilled.runs_out_at);
  });

  test("a shortage takes nothing", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 5, 1);
    expectProblem(await buy(await memberWith(shop, 100), reward_id, { quantity: 6 }), 409, "insufficient_codes");
    assert.deepEqual([(await poolNow(shop, pool_id)).depletion_per_day, (await poolNow(shop, pool_id)).free], [0, 5]);
  });
});

describe("below the threshold", () => {
  test("the shop's figures say so, and count shortages", async () => {
    const shop = openShop(edge);
    assert.deepEqual(expectStatus(await shop.admin.get("/v1/stats"), 200).pools, []);
    const { pool_id, reward_id } = await poolForSale(shop, 10, 1, { pool: { alert_below: 4, name: "Cinema" } });
    const ann = await memberWith(shop, 100);
    const full = await figuresOf(shop, pool_id);
    assert.deepEqual([full.name, full.free, full.low, full.shortages], ["Cinema", 10, false, 0]);
    await bought(ann, reward_id, { quantity: 6 });
    assert.equal((await figuresOf(shop, pool_id, ({ free }) => free === 4)).low, false, "at the threshold it is not below it");
    await bought(ann, reward_id);
    assert.equal((await figuresOf(shop, pool_id, ({ free }) => free === 3)).low, true);
    expectProblem(await buy(ann, reward_id, { quantity: 5 }), 409, "insufficient_codes", { available: 3, requested: 5 });
    expectProblem(await buy(ann, reward_id, { quantity: 4 }), 409, "insufficient_codes", { available: 3, requested: 4 });
    assert.equal((await figuresOf(shop, pool_id, ({ shortages }) => shortages === 2)).shortages, 2);
    await stock(shop, pool_id, promoCodes(1));
    assert.equal((await figuresOf(shop, pool_id, ({ free }) => free === 4)).low, false);
    const { low, shortages, ...pool } = await figuresOf(shop, pool_id);
    assert.deepEqual({ ...pool, runs_out_at: "" }, { ...(await poolNow(shop, pool_id)), runs_out_at: "" });
  });

  test("pool.low goes out once for each time the stock falls below, with the pool", async (t) => {
    const shop = openShop(edge);
    const { fulfiller } = await fulfillerOf(t, shop, [grants()], ["pool.low"]);
    const { pool_id, reward_id } = await poolForSale(shop, 5, 1, { pool: { alert_below: 4 } });
    const ann = await memberWith(shop, 100);
    await bought(ann, reward_id);
    await bought(ann, reward_id);
    const [first] = await fulfiller.deliveries(1, { ms: 20_000 });
    assert.deepEqual(Object.keys(first.body).sort(), ["data", "timestamp", "type"]);
    assert.equal(first.body.type, "pool.low");
    assertPool(first.body.data);
    assert.deepEqual([first.body.data.pool_id, first.body.data.free, first.body.data.used, first.body.data.alert_below], [pool_id, 3, 2, 4]);
    // Deeper below it is no news; only at the threshold again is it armed again.
    await bought(ann, reward_id);
    await stock(shop, pool_id, promoCodes(1));
    await bought(ann, reward_id);
    await stock(shop, pool_id, promoCodes(2));
    assert.equal((await poolNow(shop, pool_id)).free, 4);
    await bought(ann, reward_id, { quantity: 4 });
    const [, second] = await fulfiller.deliveries(2, { ms: 20_000 });
    assert.deepEqual([second.body.data.pool_id, second.body.data.free], [pool_id, 0]);
    assert.notEqual(second.id, first.id);
    await audited(shop, { action: "pool.low", object: `pool/${pool_id}` });
    // A third would have been on its way before this one, which comes of another pool.
    const other = await poolForSale(shop, 1, 1, { pool: { alert_below: 1 } });
    await bought(ann, other.reward_id);
    const all = await fulfiller.deliveries(3, { ms: 20_000 });
    assert.deepEqual(all.map(({ body }) => body.data.pool_id), [pool_id, pool_id, other.pool_id]);
    fulfiller.assertProper();
  });

  test("thirty buyers at once who cross the threshold are one alert", async (t) => {
    const shop = openShop(edge);
    const { fulfiller } = await fulfillerOf(t, shop, [grants()], ["pool.low"]);
    const { pool_id, reward_id } = await poolForSale(shop, 60, 1);
    const buyers = await Promise.all(Array.from({ length: 30 }, () => memberWith(shop, 1)));
    await Promise.all(buyers.map((buyer) => bought(buyer, reward_id)));
    await assertStock(shop, pool_id, { free: 30, used: 30 });
    await fulfiller.deliveries(1, { ms: 20_000 });
    const other = await poolForSale(shop, 1, 1, { pool: { alert_below: 1 } });
    await bought(await memberWith(shop, 1), other.reward_id);
    const all = await fulfiller.deliveries(2, { ms: 20_000 });
    assert.deepEqual(all.map(({ body }) => body.data.pool_id), [pool_id, other.pool_id]);
  });

  test("fifty is the threshold where none is said; zero never alerts", async (t) => {
    const shop = openShop(edge);
    const { fulfiller } = await fulfillerOf(t, shop, [grants()], ["pool.*"]);
    const silent = await poolForSale(shop, 2, 1, { pool: { alert_below: 0 } });
    const usual = await poolForSale(shop, 51, 1);
    const ann = await memberWith(shop, 100);
    await bought(ann, silent.reward_id, { quantity: 2 });
    await bought(ann, usual.reward_id);
    assert.equal((await figuresOf(shop, usual.pool_id, ({ free }) => free === 50)).low, false);
    await bought(ann, usual.reward_id);
    const [delivery] = await fulfiller.deliveries(1, { ms: 20_000 });
    assert.deepEqual([delivery.body.data.pool_id, delivery.body.data.free], [usual.pool_id, 49]);
    assert.equal((await figuresOf(shop, silent.pool_id, ({ free }) => free === 0)).low, false);
    assert.equal(fulfiller.received.length, 1);
  });
});

describe("quarantine", () => {
  test("a reversal puts promo codes there, named by their redemption, and nobody gets them", async () => {
    const { shop, ann, pool_id, redemption, promos, reward_id } = await withQuarantine(3);
    const items = await quarantineOf(shop, pool_id);
    assert.deepEqual(items.map(({ code }) => code).sort(), [...promos].sort());
    for (const item of items) {
      assert.deepEqual(Object.keys(item).sort(), ["at", "code", "redemption_id"]);
      assert.equal(item.redemption_id, redemption.redemption_id);
      assert.match(item.at, INSTANT);
    }
    assert.deepEqual((await quarantineOf(shop, pool_id, 1)).map(({ code }) => code), items.map(({ code }) => code));
    await assertStock(shop, pool_id, { free: 0, used: 0, quarantined: 3 });
    assert.equal(await pointsOf(ann), 30, "the points are back");
    expectProblem(await buy(ann, reward_id), 409, "insufficient_codes", { available: 0, requested: 1 });
    const again = expectStatus(await shop.admin.post(`/v1/pools/${pool_id}/codes`, promos.join("\n"), { headers: { "content-type": "text/plain" } }), 200);
    assert.deepEqual([again.added, again.duplicates], [0, 3], "an upload does not release them");
    await assertReplays(ann);
    await assertVerified(shop, { pool_id });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("a cancellation does so too, for points and for a code", async (t) => {
    const shop = openShop(edge);
    const { mechanic } = await fulfillerOf(t, shop, [says(404)]);
    const { pool_id, reward_id } = await poolForSale(shop, 10, 10, { type: "bonus", mechanic, attempts_max: 1 });
    const ann = await memberWith(shop, 100);
    const { campaign, code } = await shop.withCodes(1, { reward_id, quantity: 2 });
    const made = [expectStatus(await buy(ann, reward_id, { quantity: 3 }), 201), expectStatus(await redeem(ann, code), 201)];
    const promos = [];
    for (const { redemption_id } of made) {
      promos.push(...promosOf(await inStatus(ann, redemption_id, "grant_failed")));
      const cancelled = expectStatus(await operate(shop.admin, redemption_id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
      assertRedemption(cancelled);
      assert.equal(cancelled.status, "cancelled");
    }
    const pool = await stockBecomes(shop, pool_id, { quarantined: 5 });
    assert.deepEqual([pool.free, pool.used], [5, 0]);
    const items = await quarantineOf(shop, pool_id);
    assert.deepEqual(items.map((item) => item.code).sort(), promos.sort());
    assert.deepEqual(new Set(items.map(({ redemption_id }) => redemption_id)), new Set(made.map(({ redemption_id }) => redemption_id)));
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 100);
    for (const subject of [{ pool_id }, { campaign }, { member_id: ann.sub }]) await assertVerified(shop, subject);
  });

  test("a tester's reset does so too, and gives the points back", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id } = await poolForSale(shop, 4, 10);
    const ann = await memberWith(shop, 100);
    expectStatus(await shop.admin.put(`/v1/members/${ann.sub}`, { tester: true }), 200);
    const { code, campaign } = await shop.withCodes(1, { reward_id });
    const made = [await bought(ann, reward_id, { quantity: 2 }), await redeemed(ann, code)];
    for (const { redemption_id } of made) expectStatus(await operate(shop.admin, redemption_id, "reset", { reason: "tried" }), 200);
    await stockBecomes(shop, pool_id, { free: 1, used: 0, quarantined: 3 });
    assert.deepEqual((await quarantineOf(shop, pool_id)).map((item) => item.code).sort(), made.flatMap(promosOf).sort());
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 100);
    const again = await redeemedAgain(ann, code);
    assert.equal(promosOf(again).length, 1);
    for (const subject of [{ pool_id }, { campaign }, { member_id: ann.sub }]) await assertVerified(shop, subject);
  });

  test("an operator releases some by name, with a reason in the log; they are handed out again", async () => {
    const { shop, pool_id, promos, reward_id } = await withQuarantine(4);
    const [one, two, ...rest] = promos;
    const pool = expectStatus(await release(shop, pool_id, { codes: [one, two], reason: "never left the shop" }), 200);
    assertPool(pool);
    assert.deepEqual([pool.free, pool.used, pool.quarantined], [2, 0, 2]);
    assert.deepEqual({ ...pool, runs_out_at: "" }, { ...(await poolNow(shop, pool_id)), runs_out_at: "" });
    assert.deepEqual((await quarantineOf(shop, pool_id)).map(({ code }) => code).sort(), [...rest].sort());
    await audited(shop, { actor: "admin:admin-1", reason: "never left the shop", object: `pool/${pool_id}` });
    const bob = await memberWith(shop, 100);
    assert.deepEqual(promosOf(await bought(bob, reward_id, { quantity: 2 })).sort(), [one, two].sort());
    expectProblem(await buy(bob, reward_id), 409, "insufficient_codes", { available: 0, requested: 1 });
    await assertVerified(shop, { pool_id });
  });

  test("or all of them", async () => {
    const { shop, pool_id, promos, reward_id } = await withQuarantine(5, 6);
    const pool = expectStatus(await release(shop, pool_id, { all: true, reason: "checked" }), 200);
    assert.deepEqual([pool.free, pool.quarantined], [6, 0]);
    assert.deepEqual(await quarantineOf(shop, pool_id), []);
    const handedOut = promosOf(await bought(await memberWith(shop, 100), reward_id, { quantity: 6 }));
    assert.deepEqual(promos.filter((code) => !assertDistinct(handedOut, handedOut).includes(code)), []);
    assert.deepEqual(expectStatus(await release(shop, pool_id, { all: true, reason: "again" }), 200).free, 0, "what is used stays used");
    await assertVerified(shop, { pool_id });
  });

  test("releases that are none change nothing", async () => {
    const { shop, pool_id, promos } = await withQuarantine(2);
    const rows = [
      [{}, undefined],
      [{ reason: "r" }, undefined],
      [{ all: true }, "reason"],
      [{ all: true, reason: "" }, "reason"],
      [{ all: true, reason: 7 }, "reason"],
      [{ all: false, reason: "r" }, undefined],
      [{ all: "yes", reason: "r" }, "all"],
      [{ codes: promos, all: true, reason: "r" }, undefined],
      [{ codes: promos[0], reason: "r" }, "codes"],
      [{ codes: [], reason: "r" }, "codes"],
      [{ codes: [7], reason: "r" }, "codes"],
      [{ codes: promos, reason: "r", surprise: 1 }, "surprise"],
    ];
    for (const [body, path] of rows) {
      const { errors } = expectProblem(await release(shop, pool_id, body), 400, "invalid_request");
      if (path) assert.ok(errors.some((error) => error.path.startsWith(path)), `${JSON.stringify(body)}: ${JSON.stringify(errors)}`);
    }
    expectProblem(await release(shop, unique("no-"), { all: true, reason: "r" }), 404, "not_found");
    await assertStock(shop, pool_id, { free: 0, used: 0, quarantined: 2 });
  });

  test("releasing does not free what is in use, nor make what never was", async () => {
    const shop = openShop(edge);
    const { pool_id, reward_id, codes } = await poolForSale(shop, 3, 1);
    const [used] = promosOf(await bought(await memberWith(shop, 5), reward_id));
    const answer = await release(shop, pool_id, { codes: [used, codes.find((code) => code !== used), "NEVER-WAS"], reason: "r" });
    expectStatus(answer, 200, 400, 404, 409);
    await assertStock(shop, pool_id, { free: 2, used: 1 });
    await assertVerified(shop, { pool_id });
  });

  test("releasing brings a pool back over its threshold", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop, 0, { alert_below: 2 });
    await stock(shop, pool_id, promoCodes(3));
    assert.equal((await figuresOf(shop, pool_id, ({ free }) => free === 3)).low, false);
    const { reward_id } = await shop.reward({ name: "Voucher", type: "external", value: {}, points_cost: 1, pool_id });
    const ann = await memberWith(shop, 10);
    const { redemption_id } = await bought(ann, reward_id, { quantity: 2 });
    assert.equal((await figuresOf(shop, pool_id, ({ free }) => free === 1)).low, true);
    expectStatus(await shop.admin.post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "r" }, { key: unique("k-") }), 200);
    await stockBecomes(shop, pool_id, { quarantined: 2 });
    assert.equal((await figuresOf(shop, pool_id, ({ quarantined }) => quarantined === 2)).low, true, "quarantine is no stock");
    expectStatus(await release(shop, pool_id, { all: true, reason: "r" }), 200);
    assert.equal((await figuresOf(shop, pool_id, ({ free }) => free === 3)).low, false);
  });
});

describe("verification", () => {
  test("of a pool names one subject, and a pool that there is", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop, 3);
    await assertVerified(shop, { pool_id });
    for (const body of [{ pool_id: 7 }, { pool_id: "" }, { pool_id, campaign: 1 }]) expectProblem(await shop.admin.post("/v1/verify", body), 400, "invalid_request");
    expectProblem(await shop.admin.post("/v1/verify", { pool_id: unique("no-") }), 404, "not_found");
    expectProblem(await openShop(edge).admin.post("/v1/verify", { pool_id }), 404, "not_found");
  });
});
