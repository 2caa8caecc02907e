// The kill test must be able to fail: a service that acknowledges too early, commits in two steps, or keeps in memory what
// belongs in storage is convicted by the same rounds that clear the edge; without its mistake it is cleared.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { runKills } from "./rounds.mjs";
import { Stage } from "./stage.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const modules = ["hasty-worker.js", "hasty-trade.js"].map((name) => fileURLToPath(new URL(name, import.meta.url)));
const program = { modules, objects: { SHOP: "Shop" } };

async function withShop(defect, use, features = {}) {
  const stage = new Stage(program, { seed: SEED, vars: { DEFECT: defect }, features });
  try {
    await use(stage);
  } finally {
    await stage.dispose();
  }
}

const defects = {
  // Lost, or, where its key came again first, made anew under another id.
  "answers come before the write": /lost: redemption|: two redemptions/,
  "one redemption is two commits": /and applied 0 (credit|points) instead of/,
  "keys live in memory": /granted, then refused with 409 already_redeemed_by_you/,
  "the feed's numbers live in memory": /event \d+ was told, but the feed ends at|event 1 was/,
};
for (const [defect, verdict] of Object.entries(defects)) {
  test(`convicted: ${defect}, SEED=${SEED}`, { timeout: 120_000 }, () => withShop(defect, (stage) => assert.rejects(runKills(stage, 20), verdict)));
}

test(`cleared: the same service without a mistake, SEED=${SEED}`, { timeout: 120_000 }, () => withShop("", (stage) => runKills(stage, 6)));

const tradeDefects = {
  // The same stock after each start: who bought before the kill and who bought after it share a promo code, or somebody has it twice.
  "the pool lives in memory": /was told \d+ times|handed out twice|the pool has/,
  "a purchase is two commits": /two redemptions|no redemption of theirs|the pool has/,
  "a reversal is two commits": /is reversed and cost/,
  "adjustments are not known by their key": /wrote ledger rows|adjustments, \d+ ordered/,
};
for (const [defect, verdict] of Object.entries(tradeDefects)) {
  test(`convicted at the counter: ${defect}, SEED=${SEED}`, { timeout: 180_000 }, () => withShop(defect, (stage) => assert.rejects(runKills(stage, 12), verdict), { trade: true }));
}

test(`cleared: a counter without a mistake, SEED=${SEED}`, { timeout: 180_000 }, () => withShop("", (stage) => runKills(stage, 6), { trade: true }));
