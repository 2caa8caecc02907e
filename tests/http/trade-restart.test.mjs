// Points, promo codes and holds over a restart, and what is finished by alarms when a Member forgot what was promised to it.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { committed, creditCodes, discountCodes, held, hold, holdsOf, liveHoldsOf } from "./checkout.mjs";
import { startEdge, unique } from "./env.mjs";
import { assertVerified, feedOf } from "./rewards.mjs";
import { creditOf, historyOf, ledgerOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";
import { assertDistinct, assertReplays, assertStock, bought, buy, catalogueOf, fund, memberWith, openPool, pointsOf, poolForSale, poolNow, promoCodes, promosOf, settledAs, stockBecomes, upload } from "./trade.mjs";

// An alarm of a participant asks ten seconds after a promise, and may have to ask again.
const ALARM_MS = 45_000;

let folder;
let running;
before(() => (folder = mkdtempSync(path.join(tmpdir(), "counterfoil-trade-"))));
after(async () => {
  await running?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Stops what runs, lets `meanwhile` happen, and opens the same shop again on the same data. */
async function restart(merchant, meanwhile = () => {}) {
  await running?.dispose();
  running = undefined;
  meanwhile();
  running = await startEdge({ persist: folder });
  return openShop({ url: running.url.toString().replace(/\/$/, "") }, merchant);
}

/** Takes from every Member what it ever wrote: what a pool or a shard promised is all there is then. */
function forgetMembers() {
  const members = readdirSync(folder).filter((name) => name.endsWith("Member"));
  assert.equal(members.length, 1, "one folder of Members");
  const objects = readdirSync(path.join(folder, members[0])).filter((name) => /^[0-9a-f]{64}\.sqlite/.test(name));
  assert.ok(objects.length > 0, "a Member has written something");
  for (const name of objects) rmSync(path.join(folder, members[0], name));
}

test("a restart loses no point, promo code, quarantine or hold", async () => {
  const shop = await restart();
  const ann = await memberWith(shop, 500, { tier: "gold" });
  await fund(shop, ann, 1000);
  const { pool_id, reward_id } = await poolForSale(shop, 10, 100, { prices: [{ tier: "gold", points_cost: 10 }] });
  const discount = await discountCodes(shop, { percent: 10 });
  const key = unique("k-");
  const first = await bought(ann, reward_id, { key, quantity: 3 });
  const reversed = await bought(ann, reward_id, { quantity: 2 });
  expectStatus(await shop.admin.post(`/v1/redemptions/${reversed.redemption_id}/reversal`, { reason: "r" }, { key: unique("k-") }), 200);
  await stockBecomes(shop, pool_id, { quarantined: 2 });
  await held(ann, "o", { code: discount.code });
  await held(ann, "o", { credit_minor: 300 });
  const see = async (admin, client) => ({
    wallet: await walletOf(client),
    ledger: await ledgerOf(client),
    history: await historyOf(client),
    feed: await feedOf(client),
    catalogue: await catalogueOf(client),
    holds: await holdsOf(client, "o"),
    pools: (await everyItem(admin, "/v1/pools")).map(({ runs_out_at, ...rest }) => rest),
    quarantine: await everyItem(admin, `/v1/pools/${pool_id}/quarantine`),
  });
  const earlier = await see(shop.admin, ann);

  const again = await restart(shop.merchant);
  const sameAnn = again.member({ tier: "gold" }, ann.sub);
  assert.deepEqual(await see(again.admin, sameAnn), earlier);
  const replay = await buy(sameAnn, reward_id, { key, quantity: 3 });
  assert.deepEqual([expectStatus(replay, 201), replay.headers["idempotent-replayed"]], [first, "true"]);
  expectProblem(await buy(sameAnn, reward_id, { key }), 422, "idempotency_key_reused");
  expectProblem(await hold(again.member(), "p", { code: discount.code }), 409, "code_held");
  const { applied_minor } = await committed(again, sameAnn, "o");
  assert.deepEqual([applied_minor, await creditOf(sameAnn)], [1300, 700]);
  const next = await bought(sameAnn, reward_id, { quantity: 5 });
  assertDistinct([...promosOf(first), ...promosOf(reversed), ...promosOf(next)], [...promosOf(first), ...promosOf(reversed), ...promosOf(next)]);
  await assertStock(again, pool_id, { free: 0, used: 8, quarantined: 2 });
  await assertReplays(sameAnn);
  for (const subject of [{ pool_id }, { member_id: ann.sub }, { campaign: discount.campaign }]) await assertVerified(again, subject);
});

test("purchases that were accepted at once are finished after a restart, each once", async () => {
  const shop = await restart();
  const ann = await memberWith(shop, 1000);
  const { pool_id, codes, reward_id } = await poolForSale(shop, 30, 10);
  const keys = Array.from({ length: 8 }, () => unique("k-"));
  const accepted = await Promise.all(keys.map((key) => buy(ann, reward_id, { key, quantity: 3, headers: { prefer: "respond-async" } })));
  const ids = accepted.map((answer) => expectStatus(answer, 202).redemption_id);

  const again = await restart(shop.merchant);
  const sameAnn = again.member({}, ann.sub);
  const settled = await Promise.all(
    ids.map(async (id) => (await until(() => sameAnn.get(`/v1/redemptions/${id}`), ({ body }) => body.status === "granted", ALARM_MS)).body),
  );
  assert.equal(assertDistinct(settled.flatMap(promosOf), codes).length, 24);
  for (const [at, key] of keys.entries()) assert.equal(expectStatus(await buy(sameAnn, reward_id, { key, quantity: 3 }), 201).redemption_id, ids[at]);
  assert.equal(await pointsOf(sameAnn), 1000 - 240);
  await stockBecomes(again, pool_id, { free: 6, used: 24 });
  const assigned = (await feedOf(sameAnn)).filter(({ type }) => type === "pool.assigned");
  assert.equal(assigned.length, 24, "told once each");
  await assertReplays(sameAnn);
  await assertVerified(again, { pool_id });
});

test("an upload that was cut off is sent again under its key, and every code is there once", async () => {
  const shop = await restart();
  const { pool_id } = await openPool(shop);
  const codes = promoCodes(120_000);
  const key = unique("k-");
  const cutOff = upload(shop, pool_id, codes.join("\n"), { key }).then(
    ({ status }) => status,
    () => "cut off",
  );
  await until(() => poolNow(shop, pool_id), ({ free }) => free > 0);
  const again = await restart(shop.merchant);
  assert.equal(await cutOff, "cut off");
  const { free } = await poolNow(again, pool_id);
  assert.ok(free > 0 && free < codes.length, `${free} of them were taken`);
  const body = expectStatus(await upload(again, pool_id, codes.join("\n"), { key }), 200);
  assert.deepEqual([body.added + body.duplicates, body.refused_total, body.free], [codes.length, 0, codes.length]);
  await assertStock(again, pool_id, { free: codes.length, used: 0 });
  await assertVerified(again, { pool_id });
});

test("a code and its pool: alarms finish what the Member never heard of, with the promo codes that were promised", async () => {
  const shop = await restart();
  const ann = shop.member();
  const { pool_id, reward_id } = await poolForSale(shop, 10, undefined);
  const { campaign, codes } = await shop.withCodes(2, { reward_id, quantity: 2 });
  const key = unique("k-");
  const first = await redeemed(ann, codes[0], { key });

  const again = await restart(shop.merchant, forgetMembers);
  const [sameAnn, bob] = [again.member({}, ann.sub), again.member()];
  assert.deepEqual(await ledgerOf(sameAnn), [], "nothing is left of it at the Member");
  expectProblem(await redeem(bob, codes[0]), 409, "already_redeemed");
  await assertStock(again, pool_id, { free: 8, used: 2 });
  const granted = (await until(() => sameAnn.get(`/v1/redemptions/${first.redemption_id}`), ({ body }) => body.status === "granted", ALARM_MS)).body;
  assert.deepEqual(promosOf(granted), promosOf(first));
  const replay = await redeem(sameAnn, codes[0], { key });
  assert.equal(expectStatus(replay, 201).redemption_id, first.redemption_id);
  const other = await redeemed(bob, codes[1]);
  assertDistinct([...promosOf(granted), ...promosOf(other)], [...promosOf(granted), ...promosOf(other)]);
  await assertStock(again, pool_id, { free: 6, used: 4 });
  assert.equal((await again.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed, 2);
  await assertReplays(sameAnn);
  for (const subject of [{ pool_id }, { campaign }, { member_id: ann.sub }]) await assertVerified(again, subject);
});

test("points: a Member without them decides no, and the pool has its codes again", async () => {
  const shop = await restart();
  const ann = await memberWith(shop, 100);
  const { pool_id, codes, reward_id } = await poolForSale(shop, 5, 10);
  const key = unique("k-");
  await bought(ann, reward_id, { key, quantity: 4 });

  const again = await restart(shop.merchant, forgetMembers);
  const sameAnn = again.member({}, ann.sub);
  assert.equal(await pointsOf(sameAnn), 0);
  const pool = await until(() => poolNow(again, pool_id), ({ free }) => free === 5, ALARM_MS);
  assert.equal(pool.used, 0);
  assert.deepEqual(await ledgerOf(sameAnn), []);
  expectProblem(await buy(sameAnn, reward_id, { key, quantity: 4 }), 409, "insufficient_points");
  const bob = await memberWith(again, 50);
  assertDistinct(promosOf(await bought(bob, reward_id, { quantity: 5 })), codes);
  await assertVerified(again, { pool_id });
});

test("a hold that the Member never heard of is not kept for ever: it comes to life or the code is free", async () => {
  const shop = await restart();
  const ann = shop.member();
  const { campaign, code } = await creditCodes(shop, 500);
  await held(ann, "o", { code });

  const again = await restart(shop.merchant, forgetMembers);
  const [sameAnn, bob] = [again.member({}, ann.sub), again.member()];
  // Either is whole: held for Ann's order with a redemption to show for it, or anybody's again.
  const outcome = await until(
    async () => {
      const live = await liveHoldsOf(sameAnn, "o");
      if (live.length > 0) return { live };
      const answer = await redeem(bob, code);
      return answer.status === 201 ? { free: answer.body } : {};
    },
    ({ live, free }) => live !== undefined || free !== undefined,
    ALARM_MS,
  );
  if (outcome.live) {
    await committed(again, sameAnn, "o");
    assert.equal(await creditOf(sameAnn), 0);
    await assertReplays(sameAnn);
    expectProblem(await redeem(bob, code), 409, "already_redeemed");
  } else {
    await settledAs(bob, outcome.free.redemption_id, "granted");
  }
  await assertVerified(again, { campaign });
});
