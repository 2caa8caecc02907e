// Shoppers at random, all at once: purchases, codes, gifts, reversals, replays, while pools are refilled and quarantine is
// released. In the end every promo code is with one redemption, in quarantine or free, and every ledger balances.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { everyItem, expectStatus, until } from "../http/client.mjs";
import { startEdge, unique } from "../http/env.mjs";
import { assertVerified, gift } from "../http/rewards.mjs";
import { historyOf, openShop, redeem } from "../http/shop.mjs";
import { assertReplays, buy, earn, forSale, memberWith, openPool, poolNow, promoCodes, stock } from "../http/trade.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 30);
assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, "ROUNDS is a whole number");
const SHOPPERS = 10;
const STEPS = 12;
const SETTLED = ["granted", "refused", "reversed", "cancelled"];

const folder = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "counterfoil-race-"));
let running;
before(async () => (running = await startEdge({ persist: folder })));
after(async () => {
  await running?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const oneOf = (list) => list[randomInt(list.length)];

/** A shop with two small pools, three rewards of them, one without, and unique codes that pay with a pool. */
async function openForBusiness() {
  const shop = openShop(running);
  const pools = [await openPool(shop, 25), await openPool(shop, 40)];
  const stocked = new Map(pools.map(({ pool_id, codes }) => [pool_id, new Set(codes)]));
  const [one, other] = pools.map(({ pool_id }) => pool_id);
  const rewards = [
    await forSale(shop, 3, { pool_id: one }),
    await forSale(shop, 5, { pool_id: other }),
    await forSale(shop, 2, { pool_id: other, type: "credit", value: { currency: "EUR", amount_minor: 100 } }),
    await forSale(shop, 4),
  ];
  const { campaign, codes } = await shop.withCodes(20, { reward_id: rewards[0], quantity: 2 });
  const shoppers = await Promise.all(Array.from({ length: SHOPPERS }, () => memberWith(shop, 60)));
  return { shop, stocked, pools: [one, other], rewards, campaign, codes, shoppers };
}

/** What a shopper does next; each answer is legal, none is a failure of the server. */
function stepsOf({ shop, rewards, codes }, shopper, sent) {
  const purchase = async (options) => {
    const [reward, key, quantity] = [oneOf(rewards), unique("k-"), 1 + randomInt(5)];
    sent.push({ reward, key, quantity });
    expectStatus(await buy(shopper, reward, { key, quantity, ...options }), 201, 202, 409);
  };
  return [
    () => purchase({}),
    () => purchase({}),
    () => purchase({ headers: { prefer: "respond-async" } }),
    async () => expectStatus(await redeem(shopper, oneOf(codes)), 201, 202, 409),
    async () => expectStatus(await gift(shop, shopper, { reward_id: rewards[1] }), 201, 202, 409),
    () => earn(shop, shopper, 1 + randomInt(20)),
    async () => {
      if (sent.length === 0) return;
      const { reward, key, quantity } = oneOf(sent);
      expectStatus(await buy(shopper, reward, { key, quantity }), 201, 202, 409);
    },
    async () => {
      const mine = (await historyOf(shopper)).filter(({ status }) => status === "granted");
      if (mine.length === 0) return;
      const { redemption_id } = oneOf(mine);
      const answers = await Promise.all([1, 2].map(() => shop.admin.post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "returned" }, { key: unique("k-") })));
      for (const answer of answers) expectStatus(answer, 200, 409);
    },
  ];
}

/** The shop's own work meanwhile, until the shoppers are gone: refilling, and releasing what was returned. */
async function keepShop({ shop, pools, stocked }, open) {
  while (open()) {
    const pool_id = oneOf(pools);
    if (randomInt(2) === 0) {
      const more = promoCodes(1 + randomInt(4));
      await stock(shop, pool_id, more);
      for (const code of more) stocked.get(pool_id).add(code);
    } else {
      expectStatus(await shop.admin.post(`/v1/pools/${pool_id}/quarantine/release`, { all: true, reason: "returned unseen" }), 200);
    }
  }
}

test(`${ROUNDS} rounds of ${SHOPPERS} shoppers`, { timeout: 120_000 + ROUNDS * 30_000 }, async () => {
  for (let round = 1; round <= ROUNDS; round += 1) {
    const business = await openForBusiness();
    const { shop, stocked, shoppers, campaign } = business;
    let going = true;
    const keeping = keepShop(business, () => going);
    const shopping = shoppers.map(async (shopper) => {
      const steps = stepsOf(business, shopper, []);
      for (let step = 0; step < STEPS; step += 1) await oneOf(steps)();
    });
    try {
      await Promise.all(shopping);
    } finally {
      going = false;
      await keeping;
    }

    const histories = await Promise.all(
      shoppers.map((shopper) =>
        until(
          () => historyOf(shopper),
          (all) => all.every(({ status }) => SETTLED.includes(status)),
          30_000,
        ),
      ),
    );
    const promosIn = (wanted) => histories.flat().filter(({ status }) => wanted.includes(status)).flatMap(({ ledger }) => ledger.flatMap(({ promo_code }) => promo_code ?? []));
    const kept = promosIn(["granted"]);
    assert.equal(new Set(kept).size, kept.length, `round ${round}: a promo code is with two redemptions`);
    const returned = new Set(promosIn(["reversed"]));
    for (const [pool_id, codes] of stocked) {
      const used = kept.filter((code) => codes.has(code));
      const pool = await until(
        () => poolNow(shop, pool_id),
        (now) => now.used === used.length,
        30_000,
      );
      assert.equal(pool.free + pool.used + pool.quarantined, codes.size, `round ${round}: ${JSON.stringify(pool)}`);
      const quarantine = await everyItem(shop.admin, `/v1/pools/${pool_id}/quarantine`, 200);
      assert.equal(quarantine.length, pool.quarantined);
      for (const { code } of quarantine) assert.ok(returned.has(code) && !used.includes(code), `round ${round}: ${code} lies in quarantine`);
      await assertVerified(shop, { pool_id });
    }
    assert.equal(kept.filter((code) => ![...stocked.values()].some((codes) => codes.has(code))).length, 0, "every code is of a pool");
    for (const shopper of shoppers) {
      await assertReplays(shopper);
      await assertVerified(shop, { member_id: shopper.sub });
    }
    await assertVerified(shop, { campaign });
  }
});
