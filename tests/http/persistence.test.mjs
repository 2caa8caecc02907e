// What was acknowledged is there after a restart with the same data, and a wrong secret is noticed before a customer is.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, send, until } from "./client.mjs";
import { forge } from "./code.mjs";
import { startEdge, testVars, unique } from "./env.mjs";
import { historyOf, ledgerOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";
import { openFeed } from "./socket.mjs";

let folder;
let running;
before(() => (folder = mkdtempSync(path.join(tmpdir(), "counterfoil-persist-"))));
after(async () => {
  await running?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

/** Stops what runs and starts again on the same data. */
async function restart(vars) {
  await running?.dispose();
  running = undefined;
  running = await startEdge({ persist: folder, vars });
  return { url: running.url.toString().replace(/\/$/, "") };
}

const feedOf = async (client) => expectStatus(await client.get("/v1/events?since=0"), 200).events;

describe("a restart", () => {
  test("loses nothing that was acknowledged", async () => {
    const edge = await restart();
    const shop = openShop(edge);
    const personal = await shop.withCodes(4, { limits: { per_member: 3, total: 3 } });
    const shared = await shop.withCodes(1, { kind: "shared" });
    const paused = await shop.withCodes(1);
    await shop.move(paused.campaign, "pause");
    const [ann, bob] = [shop.member(), shop.member()];
    const key = unique("k-");
    const first = await redeem(ann, personal.codes[0], { key });
    await redeemed(ann, personal.codes[1]);
    await redeemed(bob, shared.code);
    const refusedKey = unique("k-");
    expectProblem(await redeem(ann, paused.code, { key: refusedKey }), 409, "campaign_not_active");
    const guesser = shop.member({}, "guesser");
    for (let seq = 0; seq < 10; seq += 1) await redeem(guesser, forge(shop.keys(personal.campaign), seq));
    const see = async (admin, member, other) => ({
      wallets: [await walletOf(member), await walletOf(other)],
      ledgers: [await ledgerOf(member), await ledgerOf(other)],
      histories: [await historyOf(member), await historyOf(other)],
      feed: await feedOf(member),
      campaigns: await everyItem(admin, "/v1/campaigns"),
      rewards: await everyItem(admin, "/v1/reward-definitions"),
      batches: await everyItem(admin, `/v1/campaigns/${personal.campaign}/batches`),
    });
    // The campaign hears of wrong tags a moment later.
    await until(() => shop.admin.get(`/v1/campaigns/${personal.campaign}`), ({ body }) => body.failed_tags === 10);
    const earlier = await see(shop.admin, ann, bob);

    const again = openShop(await restart(), shop.merchant);
    const [sameAnn, sameBob] = [again.member({}, ann.sub), again.member({}, bob.sub)];
    assert.deepEqual(await see(again.admin, sameAnn, sameBob), earlier);

    const replay = await redeem(sameAnn, personal.codes[0], { key });
    assert.deepEqual([replay.status, replay.headers["idempotent-replayed"], replay.body.redemption_id], [201, "true", first.body.redemption_id]);
    expectProblem(await redeem(sameAnn, personal.codes[1], { key }), 422, "idempotency_key_reused");
    expectProblem(await redeem(sameAnn, paused.code, { key: refusedKey }), 409, "campaign_not_active");
    expectProblem(await redeem(sameBob, personal.codes[0]), 409, "already_redeemed");
    expectProblem(await redeem(sameBob, shared.code), 409, "already_redeemed_by_you");
    expectProblem(await redeem(again.member({}, "guesser"), personal.codes[2]), 429, "too_many_attempts");
    const feed = await openFeed(running.url, sameAnn.token, `?since=${earlier.feed.at(-1).seq}`);
    await redeemed(sameAnn, personal.codes[2]);
    assert.equal((await feed.nextEvent()).seq, earlier.feed.at(-1).seq + 1, "replays are no events");
    feed.drop();
    expectProblem(await redeem(again.member(), personal.codes[3]), 409, "campaign_limit_reached");
    const [next] = await again.codes(personal.campaign);
    assert.ok(next.seq >= earlier.batches[0].to_seq, "numbers go on where they were");
  });

  test("finds a redemption that was accepted and answered at once, and finishes it", async () => {
    const shop = openShop(await restart());
    const { codes } = await shop.withCodes(8);
    const ann = shop.member();
    const accepted = await Promise.all(codes.map((code) => redeem(ann, code, { headers: { prefer: "respond-async" } })));
    const ids = accepted.map((answer) => expectStatus(answer, 202).redemption_id);
    const again = openShop(await restart(), shop.merchant).member({}, ann.sub);
    const feed = await openFeed(running.url, again.token, "?since=0");
    const waiting = new Set(ids);
    await feed.eventsUntil(({ type, data }) => {
      if (type === "redemption.updated" && data.status === "granted") waiting.delete(data.redemption_id);
      return waiting.size === 0;
    }, 30_000);
    feed.close();
    assert.deepEqual((await walletOf(again)).credit, [{ currency: "EUR", amount_minor: 4000 }]);
  });
});

describe("secrets", () => {
  test("another root than at first use refuses to serve, and calls no honest code unknown", async () => {
    const shop = openShop(await restart());
    const { codes } = await shop.withCodes(2);
    await redeemed(shop.member(), codes[0]);
    const changed = openShop(await restart({ ROOT_0: "77".repeat(32) }), shop.merchant);
    expectStatus(await redeem(changed.member(), codes[1]), 500, 503);
    expectStatus(await changed.admin.get("/v1/campaigns"), 500, 503);
    const right = openShop(await restart(), shop.merchant);
    await redeemed(right.member(), codes[1]);
  });

  test("a revoked epoch recalls its codes", async () => {
    const shop = openShop(await restart());
    const { codes, campaign } = await shop.withCodes(2);
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    const revoked = openShop(await restart({ REVOKED_EPOCHS: "0" }), shop.merchant);
    const again = revoked.member({}, ann.sub);
    expectProblem(await redeem(again, codes[1]), 410, "code_recalled");
    expectProblem(await redeem(again, codes[0]), 410, "code_recalled");
    assert.equal((await historyOf(again)).filter(({ status }) => status === "granted").length, 1);
    const minting = await revoked.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1, format: "jsonl" });
    if (minting.status === 201) assert.equal((await redeem(again, JSON.parse(minting.text).code)).status, 201, "what is minted now is worth something");
    else assert.ok(minting.status < 500, minting.text);
  });

  const unusable = [
    ["equal roots", { ROOT_1: testVars.ROOT_0 }],
    ["a short root", { ROOT_0: "00".repeat(31) }],
    ["a root that is not hexadecimal", { ROOT_0: "zz".repeat(32) }],
    ["a short key for ids", { ID_KEY: "1d".repeat(16) }],
    ["a short token secret", { JWT_SECRET: "short" }],
    ["a short token for metrics", { METRICS_TOKEN: "one less than thirty-two chars." }],
    ["an environment with a capital", { ENVIRONMENT: "Dev" }],
  ];
  for (const [name, vars] of unusable) {
    test(`${name}: nothing is served, and no secret is told`, async () => {
      const own = await startEdge({ vars });
      try {
        const shop = openShop({ url: own.url.toString().replace(/\/$/, "") });
        const answer = await send(shop.url, { path: "/v1/wallet", headers: { authorization: `Bearer ${shop.member().token}` } });
        assert.ok([500, 503].includes(answer.status), `${answer.status} ${answer.text}`);
        for (const secret of Object.values({ ...testVars, ...vars }).filter((text) => text.length >= 16)) assert.ok(!answer.text.includes(secret));
      } finally {
        await own.dispose();
      }
    });
  }
});
