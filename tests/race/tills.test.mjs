// Several tills at one moment against the edge: one reward, one reversal, and never more spent than there was.
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { everyItem, expectStatus } from "../http/client.mjs";
import { startEdge } from "../http/env.mjs";
import { assertVerified } from "../http/rewards.mjs";
import { openShop } from "../http/shop.mjs";
import { forSale, memberWith, poolForSale, stockBecomes } from "../http/trade.mjs";
import { COST, TILLS, WORTH, scenarios } from "./till-scenarios.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 30);
assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, "ROUNDS is a whole number");

// On memory where the system has some to give: the races are about order, not about a disk's speed.
const folder = mkdtempSync(path.join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "counterfoil-tills-"));
const running = { edge: undefined };

before(async () => {
  running.edge = await startEdge({ persist: folder });
});
after(async () => {
  await running.edge?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** A merchant with as many tills as ever take part; a member and rewards of its own for each race. */
function edgeArena() {
  const shop = openShop(running.edge);
  const members = [];
  const rewards = [];
  let credit;
  let pooled;
  return {
    shop,
    service: shop.service,
    members,
    url: shop.url,
    staff: Array.from({ length: Math.max(...TILLS) }, () => shop.as("staff")),
    async member(points) {
      rewards.given = 0;
      members.push(await memberWith(shop, points));
      return members.at(-1);
    },
    // A new member has bought none of them, so that each race may use the same ones.
    async reward() {
      const at = rewards.given++;
      rewards[at] ??= forSale(shop, COST);
      return rewards[at];
    },
    /** Promo codes enough for every till of every round, should all of them take one. */
    pooledReward: async () => (await (pooled ??= poolForSale(shop, ROUNDS * Math.max(...TILLS), COST))).reward_id,
    /** What was not sold is free again, and nothing is in between. */
    async assertStock() {
      if (pooled === undefined) return;
      const { pool_id, codes } = await pooled;
      await stockBecomes(shop, pool_id, { free: codes.length - ROUNDS, used: ROUNDS, quarantined: 0 });
      await assertVerified(shop, { pool_id });
    },
    creditReward: () => (credit ??= forSale(shop, COST, { type: "credit", value: { currency: "EUR", amount_minor: WORTH } })),
    async holdings(member) {
      const [wallet, rows, given] = await Promise.all([member.get("/v1/wallet"), everyItem(member, "/v1/ledger"), everyItem(member, "/v1/rewards")]);
      return {
        points: expectStatus(wallet, 200).points,
        credit: wallet.body.credit.reduce((all, { amount_minor }) => all + amount_minor, 0),
        sum: rows.filter(({ asset }) => asset === "points").reduce((all, { amount }) => all + amount, 0),
        rewards: given.filter(({ state }) => state !== "deleted").length,
      };
    },
  };
}

for (const [name, run] of Object.entries(scenarios)) {
  describe(name, () => {
    test(`${ROUNDS} rounds, by ${TILLS.join(", ")} tills in turn`, { timeout: 60_000 + ROUNDS * 10_000 }, async () => {
      const arena = edgeArena();
      for (let round = 1; round <= ROUNDS; round += 1) {
        const tills = TILLS[round % TILLS.length];
        assert.deepEqual(await run(arena, tills), [], `round ${round} of ${ROUNDS}, ${tills} tills`);
      }
      await arena.assertStock();
      for (const { sub } of arena.members) await assertVerified(arena.shop, { member_id: sub });
    });
  });
}
