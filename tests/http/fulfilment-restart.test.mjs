// The edge goes away in the middle of fulfilment: when it is back, it finishes by itself, and nobody gets a reward twice.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { expectStatus } from "./client.mjs";
import { startEdge } from "./env.mjs";
import { accepts, callBack, fulfillerOf, grants, grantsAndBreaks, says, silence } from "./fulfiller-double.mjs";
import { assertVerified, define, give, inState, inStatus, pathOf, rewardOf, withFulfillers } from "./rewards.mjs";
import { openShop, redeem } from "./shop.mjs";

let folder;
let running;
before(() => (folder = mkdtempSync(path.join(tmpdir(), "counterfoil-fulfilment-"))));
after(async () => {
  await running?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function start(options = withFulfillers) {
  await running?.dispose();
  running = await startEdge({ persist: folder, ...options });
  return { url: running.url.toString().replace(/\/$/, "") };
}

/** By this time everything that was accepted is finished, or says when it will be. */
const RECOVERS_WITHIN_MS = 60_000;

test("what was under way when the edge died is finished by the next one", async (t) => {
  const shop = openShop(await start());
  // What each fulfiller does before the restart: the first answer is given to a dying edge.
  const scripts = { failed: [says(500), grants()], broken: [grantsAndBreaks, grants()], flying: [silence, grants()], accepted: [accepts], expiring: [accepts, grants()] };
  const rows = [];
  for (const [name, script] of Object.entries(scripts)) {
    const endpoint = await fulfillerOf(t, shop, script);
    const ann = shop.member();
    const changes = name === "expiring" ? { fulfilment_timeout_s: 3 } : {};
    const { code } = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic: endpoint.mechanic, ...changes }) });
    const { redemption_id, rewards } = expectStatus(await redeem(ann, code), 201);
    rows.push({ ...endpoint, name, sub: ann.sub, redemption_id, id: rewards[0] });
  }
  const game = shop.member();
  const chest = await give(shop, game, "xp", { player_should_claim: true, valid_for_s: 3 });
  for (const { fulfiller } of rows) await fulfiller.deliveries(1);
  await running.dispose();

  const again = openShop(await start(), shop.merchant);
  const waiting = rows.find(({ name }) => name === "accepted");
  expectStatus(await callBack(again.url, waiting.id, { outcome: "granted" }, { secret: waiting.secret }), 200);
  await Promise.all(
    rows.map(async ({ name, sub, redemption_id, id, fulfiller }) => {
      const ann = again.member({}, sub);
      await inStatus(ann, redemption_id, "granted", RECOVERS_WITHIN_MS);
      const reward = await rewardOf(ann, id);
      assert.equal(reward.state, "granted", name);
      assert.deepEqual(pathOf(reward).filter((state) => state === "granted").length, 1, name);
      assert.deepEqual([...new Set(fulfiller.received.map((one) => one.id))], [id], `${name}: one id, before and after`);
      assert.equal(fulfiller.applied.get(id) ?? 0, name === "accepted" ? 0 : 1, name);
      fulfiller.assertProper();
      await assertVerified(again, { member_id: sub });
    }),
  );
  await inState(again.member({}, game.sub), chest.id, "expired", RECOVERS_WITHIN_MS);
});

test("an address that was allowed once is not called when the deployment allows it no longer", async (t) => {
  const shop = openShop(await start());
  const { mechanic, fulfiller } = await fulfillerOf(t, shop, [grants()]);
  const { code } = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic }) });
  const guarded = openShop(await start({}), shop.merchant);
  const ann = guarded.member();
  const { redemption_id, rewards } = expectStatus(await redeem(ann, code), 201);
  const failed = await inState(ann, rewards[0], "failed");
  assert.equal(typeof failed.last_error, "string");
  await inStatus(ann, redemption_id, "grant_failed");
  assert.equal(fulfiller.received.length, 0);
});
