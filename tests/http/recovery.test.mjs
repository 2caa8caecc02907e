// A redemption whose Member died between the shard's promise and its own commit: the server finishes it by itself.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { startEdge, unique } from "./env.mjs";
import { assertBalanced, creditOf, openShop, redeem, redeemed } from "./shop.mjs";

let folder;
let running;
before(() => (folder = mkdtempSync(path.join(tmpdir(), "counterfoil-recovery-"))));
after(async () => {
  await running?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

async function start() {
  running = await startEdge({ persist: folder });
  return { url: running.url.toString().replace(/\/$/, "") };
}

/** Takes from every Member what it ever wrote: to them the promise of the shard is all there is. */
function forgetMembers() {
  const members = readdirSync(folder).filter((name) => name.endsWith("Member"));
  assert.equal(members.length, 1, "one folder of Members");
  const objects = readdirSync(path.join(folder, members[0])).filter((name) => /^[0-9a-f]{64}\.sqlite/.test(name));
  assert.ok(objects.length > 0, "a Member has written something");
  for (const name of objects) rmSync(path.join(folder, members[0], name));
}

test("the shard's alarm finishes what its Member never heard of, once, and the key replays it", async () => {
  const shop = openShop(await start());
  const { codes, campaign } = await shop.withCodes(2);
  const ann = shop.member();
  const [key, merchant] = [unique("k-"), shop.merchant];
  const { redemption_id } = await redeemed(ann, codes[0], { key });
  await running.dispose();
  forgetMembers();

  const again = openShop(await start(), merchant);
  const [sameAnn, bob] = [again.member({}, ann.sub), again.member()];
  assert.equal(await creditOf(sameAnn), 0, "nothing is left of it at the Member");
  // The use is taken all the while: nobody else can have it.
  expectProblem(await redeem(bob, codes[0]), 409, "already_redeemed");
  // The alarm comes ten seconds after the promise; the live feed tells when.
  const { events } = expectStatus(await sameAnn.get("/v1/events?since=0&wait=25"), 200);
  const told = events.find((event) => event.type === "redemption.updated");
  assert.equal(told?.data.redemption_id, redemption_id);
  assert.equal(told.data.status, "granted");
  const { wallet } = await assertBalanced(sameAnn);
  assert.deepEqual(wallet.credit, [{ currency: "EUR", amount_minor: 500 }]);
  const replay = await redeem(sameAnn, codes[0], { key });
  assert.equal(replay.headers["idempotent-replayed"], "true");
  assert.equal(expectStatus(replay, 201).redemption_id, redemption_id);
  assert.equal(await creditOf(sameAnn), 500);
  const resource = expectStatus(await again.admin.get(`/v1/campaigns/${campaign}`), 200);
  assert.equal(resource.redeemed, 1);
});
