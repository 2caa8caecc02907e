// A restart in the middle of a shop's day: quotes, phones, settings, stock, sales and holds are as they were, and go on.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { startEdge, unique } from "./env.mjs";
import { creditOf, openShop, redeem } from "./shop.mjs";
import { cancelQuote, confirm, confirmed, holdingsOf, lookup, quoted, record, reverse, reversed, set, sold } from "./till.mjs";
import { assertReplays, assertStock, forSale, memberWith, pointsOf, poolForSale, stockBecomes } from "./trade.mjs";

let folder;
let running;
before(() => (folder = mkdtempSync(path.join(tmpdir(), "counterfoil-till-"))));
after(async () => {
  await running?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Stops what runs and starts again on the same data. */
async function restart() {
  await running?.dispose();
  running = undefined;
  running = await startEdge({ persist: folder });
  return { url: running.url.toString().replace(/\/$/, "") };
}

test("a restart loses nothing of a till's day", { timeout: 120_000 }, async () => {
  const shop = openShop(await restart());
  const [till, manager] = ["staff", "manager"].map((role) => shop.as(role, `${role}-1`));
  const ann = await memberWith(shop, 1000);
  await set(shop, { country: "DE", reversal_window_s: 600 });
  await record(shop, ann, { phone: "0151 00001111", name: "Ann Example" });
  const [coffee, cake, tea] = [await forSale(shop, 100), await forSale(shop, 50), await forSale(shop, 10)];
  const pooled = await poolForSale(shop, 5, 20);
  const sale = await sold(till, ann, pooled.reward_id, { quantity: 2 });
  const open = await quoted(till, ann, coffee);
  const cancelled = await quoted(till, ann, cake);
  expectStatus(await cancelQuote(till, cancelled.quote_id), 204);
  const key = unique("k-");
  const done = await quoted(till, ann, tea);
  const first = expectStatus(await confirm(till, done.quote_id, {}, { key }), 201);
  const { code } = await shop.withCodes();
  const total = { currency: "EUR", amount_minor: 500 };
  const hold = expectStatus(await ann.post("/v1/orders/o-1/holds", { code, total }, { key: unique("k-") }), 201);
  const earlier = await holdingsOf(ann);
  const settings = await shop.admin.get("/v1/settings");

  const again = openShop(await restart(), shop.merchant);
  const [sameTill, sameManager] = ["staff", "manager"].map((role) => again.as(role, `${role}-1`));
  const sameAnn = again.member({}, ann.sub);
  assert.deepEqual(await holdingsOf(sameAnn), earlier);
  const now = await again.admin.get("/v1/settings");
  assert.deepEqual([now.body, now.headers.etag], [settings.body, settings.headers.etag]);
  const found = expectStatus(await lookup(sameTill, "(0151) 00001111"), 200);
  assert.deepEqual([found.member_id, found.name, found.points], [ann.sub, "Ann Example", 1000 - 40 - 10]);
  await assertStock(again, pooled.pool_id, { free: 3, used: 2 });

  const replay = await confirm(sameTill, done.quote_id, {}, { key });
  assert.deepEqual([replay.status, replay.headers["idempotent-replayed"], replay.body.redemption_id], [201, "true", first.redemption_id]);
  expectProblem(await confirm(sameTill, done.quote_id), 410, "quote_expired", { reason: "confirmed" });
  expectProblem(await confirm(sameTill, cancelled.quote_id), 410, "quote_expired", { reason: "cancelled" });
  expectProblem(await confirm(again.as("staff", "staff-2"), open.quote_id), 404, "not_found");
  assert.equal((await confirmed(sameTill, open.quote_id)).points_spent, 100);

  expectProblem(await redeem(again.member(), code), 409, "code_held");
  const paid = expectStatus(await again.service.post("/v1/orders/o-1/commit", { member_id: ann.sub }), 200);
  assert.deepEqual(paid.holds.map(({ hold_id, state }) => [hold_id, state]), [[hold.hold_id, "used"]]);
  assert.equal(await creditOf(sameAnn), 0);

  await reversed(sameTill, sale.redemption_id);
  expectProblem(await reverse(sameManager, sale.redemption_id), 409, "already_reversed");
  await stockBecomes(again, pooled.pool_id, { free: 3, used: 0, quarantined: 2 });
  assert.equal(await pointsOf(sameAnn), 1000 - 10 - 100);
  await assertReplays(sameAnn);
});
