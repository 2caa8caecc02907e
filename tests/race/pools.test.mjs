// Simultaneous purchases of promo codes over HTTP against the edge: exactly as many as there are codes or points for.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { expectStatus, until } from "../http/client.mjs";
import { startEdge } from "../http/env.mjs";
import { assertVerified } from "../http/rewards.mjs";
import { assertRedemption, openShop } from "../http/shop.mjs";
import { assertReplays, memberWith, poolForSale, poolNow } from "../http/trade.mjs";
import { PRICE, handedOutWrong, outcomesOf, poolScenarios, purchases } from "./pool-scenarios.mjs";
import { AT_ONCE } from "./scenarios.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 30);
assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, "ROUNDS is a whole number");

// On memory where the system has some to give: the races are about order, not about a disk's speed.
const folder = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "counterfoil-race-"));
const running = { edge: undefined };

before(async () => {
  running.edge = await startEdge({ persist: folder });
});
after(async () => {
  await running.edge?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs `work` on each of these, so many at a time, and answers in their order. */
async function each(list, atOnce, work) {
  const answers = [];
  for (let from = 0; from < list.length; from += atOnce) answers.push(...(await Promise.all(list.slice(from, from + atOnce).map(work))));
  return answers;
}

const numbered = (count) => Array.from({ length: count }, (_, place) => place);

/** A merchant with buyers who have all the points they need. */
async function edgeArena(buyers, points) {
  const shop = openShop(running.edge);
  return {
    shop,
    url: shop.url,
    buyers: await each(numbered(buyers), 32, () => memberWith(shop, points)),
    newcomer: (purse) => memberWith(shop, purse),
    async shelf(count) {
      const { pool_id, codes, reward_id } = await poolForSale(shop, count, PRICE);
      return { pool_id, codes, reward: reward_id };
    },
    // What was prepared and then not paid for comes back as soon as the pool has heard of it.
    stock: ({ pool_id }, { used }) => until(() => poolNow(shop, pool_id), (pool) => used === undefined || pool.used === used, 20_000),
    async settled(buyer, id) {
      const { body } = await until(() => buyer.get(`/v1/redemptions/${id}`), (answer) => ["granted", "refused", "grant_failed"].includes(answer.body.status), 60_000);
      assertRedemption(body);
      return body;
    },
    async purse(buyer) {
      const { wallet, rows } = await assertReplays(buyer);
      const own = rows.filter(({ asset }) => asset === "points");
      return { points: wallet.points, rows: own.length, sum: own.reduce((sum, { amount }) => sum + amount, 0) };
    },
  };
}

for (const [name, run] of Object.entries(poolScenarios)) {
  describe(name, () => {
    test(`${ROUNDS} rounds`, { timeout: 120_000 + ROUNDS * 15_000 }, async () => {
      const arena = await edgeArena(AT_ONCE, 1000 * PRICE);
      for (let round = 1; round <= ROUNDS; round += 1) {
        // A purse lasts for a hundred rounds of five units at most.
        if (round % 100 === 0) arena.buyers = await each(arena.buyers, 32, () => memberWith(arena.shop, 1000 * PRICE));
        assert.deepEqual(await run(arena), [], `round ${round} of ${ROUNDS}`);
      }
    });
  });
}

test("1,000 simultaneous buyers of a pool of 997", { timeout: 300_000 }, async () => {
  const arena = await edgeArena(1000, 3 * PRICE);
  const { shop } = arena;
  const shelf = await arena.shelf(997);
  const fired = await purchases(arena, arena.buyers.map((buyer) => ({ buyer, reward: shelf.reward })));
  assert.deepEqual(outcomesOf(fired), { granted: 997, insufficient_codes: 3 });
  assert.deepEqual(await handedOutWrong(arena, shelf, fired), []);
  assert.deepEqual(fired.flatMap(({ promos }) => promos).sort(), [...shelf.codes].sort(), "every code of the pool is somebody's");
  for (const { answer } of fired.filter(({ outcome }) => outcome === "insufficient_codes")) {
    if (answer.status === 202) continue;
    assert.equal(expectStatus(answer, 409).detail, "Only 0 code(s) available, you requested 1");
  }
  const purses = await each(arena.buyers, 16, (buyer) => arena.purse(buyer));
  const paid = new Map(fired.map(({ buyer, outcome }) => [buyer, outcome === "granted" ? PRICE : 0]));
  purses.forEach(({ points, sum, rows }, at) => {
    const price = paid.get(arena.buyers[at]);
    assert.deepEqual([points, sum, rows], [3 * PRICE - price, 3 * PRICE - price, price === 0 ? 1 : 2]);
  });
  assert.equal(purses.reduce((all, { points }) => all + points, 0), 1000 * 3 * PRICE - 997 * PRICE, "balanced to the point");
  const { free, used, quarantined } = await poolNow(shop, shelf.pool_id);
  assert.deepEqual([free, used, quarantined], [0, 997, 0]);
  await assertVerified(shop, { pool_id: shelf.pool_id });
  await each(arena.buyers.slice(0, 20), 10, (buyer) => assertVerified(shop, { member_id: buyer.sub }));
});
