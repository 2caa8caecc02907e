// Key epochs of a merchant: which one mints, rotation, and revocation everywhere; each merchant for itself.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { check, forge, mint } from "./code.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertKeys, checkValue, keysAt, keysNow, revoke, revoked, rotate, rotated, withRoots } from "./key-roots.mjs";
import { assertVerified, audited, redemptionOf } from "./rewards.mjs";
import { FIVE_SHARDS, WORTH, attempts, campaignNow, crowd, preview, tally } from "./rules.mjs";
import { INSTANT, creditOf, openShop, redeem, redeemed } from "./shop.mjs";
import { reversed } from "./till.mjs";

// Epoch 4 has no root, so that what comes after 3 is not simply the next number.
const edge = edgeForThisFile(withRoots(0, 1, 2, 3, 5));
const gone = async (client, code) => expectProblem(await redeem(client, code), 410, "code_recalled");
const noMint = async (shop, campaign, state) => expectProblem(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1 }), 409, "illegal_move", { state });

describe("a merchant's keys", () => {
  test("are the epochs that have a root, minting the first", async () => {
    const shop = openShop(edge);
    const { minting_epoch, states, epochs } = await keysNow(shop);
    assert.deepEqual([minting_epoch, states], [0, { 0: "minting", 1: "active", 2: "active", 3: "active", 5: "active" }]);
    assert.deepEqual(epochs.map(({ epoch }) => epoch), [0, 1, 2, 3, 5]);
    assert.equal(epochs[1].check_value, checkValue(1));
  });

  test("are an administrator's to see and to change", async () => {
    const shop = openShop(edge);
    for (const caller of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) {
      expectProblem(await caller.get("/v1/keys"), 403, "forbidden");
      expectProblem(await caller.post("/v1/keys/rotate", {}), 403, "forbidden");
      expectProblem(await caller.post("/v1/keys/0/revoke", { reason: "r" }), 403, "forbidden");
    }
    assert.equal((await keysNow(shop)).minting_epoch, 0);
  });
});

describe("a rotation", () => {
  test("decides the very next mint; codes of before go on", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(4);
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    for (const epoch of [1, 2, 3, 5]) {
      const answer = await rotate(shop, { reason: "spring cleaning" });
      const { minting_epoch, states } = assertKeys(expectStatus(answer, 202));
      assert.deepEqual([minting_epoch, states[epoch], states[0]], [epoch, "minting", "active"]);
      const [{ seq, code }] = await shop.codes(campaign, 1);
      assert.equal(code, mint(keysAt(shop, campaign, epoch), seq).code);
      await redeemed(ann, code);
      if (codes[epoch]) await redeemed(ann, codes[epoch]);
    }
    await audited(shop, { actor: "admin:admin-1", reason: "spring cleaning" });
    await assertVerified(shop, { campaign });
  });

  test("goes where it is told, back too", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const ann = shop.member();
    for (const epoch of [5, 0, 3, 1]) {
      assert.equal((await rotated(shop, { epoch })).minting_epoch, epoch);
      const code = await shop.code(campaign);
      assert.equal(check(code).epoch, epoch);
      await redeemed(ann, code);
    }
  });

  test("reaches every campaign of the merchant, and no other merchant's", async () => {
    const [shop, stranger] = [openShop(edge), openShop(edge)];
    const campaigns = [await shop.campaign(), await shop.campaign({ expected_rate: FIVE_SHARDS }), await shop.campaign({}, { draft: true })];
    const theirs = await stranger.campaign();
    await rotated(shop, { epoch: 2 });
    for (const { campaign } of campaigns) assert.equal(check(await shop.code(campaign)).epoch, 2);
    assert.equal(check(await stranger.code(theirs.campaign)).epoch, 0);
    assert.equal((await keysNow(stranger)).minting_epoch, 0);
  });

  test("of a batch that is repeated changes nothing: the same key, the same codes", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const key = unique("k-");
    const ask = () => shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 4 }, { key });
    const first = await ask();
    await rotated(shop);
    const again = await ask();
    assert.deepEqual([again.status, again.text], [201, first.text]);
  });

  test("under one key is one", async () => {
    const shop = openShop(edge);
    const key = unique("k-");
    assert.equal(expectStatus(await rotate(shop, {}, { key }), 202).minting_epoch, 1);
    assert.equal(expectStatus(await rotate(shop, {}, { key }), 202).minting_epoch, 1);
    assert.equal((await keysNow(shop)).minting_epoch, 1);
    expectProblem(await rotate(shop, { epoch: 3 }, { key }), 422, "idempotency_key_reused");
  });

  test("to an epoch that has no root, or is none, is refused", async () => {
    const shop = openShop(edge);
    for (const [body, path] of [[{ epoch: 4 }, "epoch"], [{ epoch: 7 }, "epoch"], [{ epoch: 8 }, "epoch"], [{ epoch: -1 }, "epoch"], [{ epoch: 1.5 }, "epoch"], [{ epoch: "1" }, "epoch"], [{ reason: 7 }, "reason"], [{ reason: "x".repeat(5000) }, "reason"], [{ surprise: 1 }, "surprise"]]) {
      const { errors } = expectProblem(await rotate(shop, body), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path === path), JSON.stringify(errors));
    }
    assert.equal((await keysNow(shop)).minting_epoch, 0);
  });

  test("with no root left is refused, and the present epoch goes on", async () => {
    const shop = openShop(edge);
    await rotated(shop, { epoch: 5 });
    for (const epoch of [0, 1, 2, 3]) await revoked(shop, epoch);
    expectProblem(await rotate(shop), 409, "illegal_move", { state: "no_next_root" });
    const { campaign } = await shop.campaign();
    assert.equal(check(await shop.code(campaign)).epoch, 5);
  });
});

describe("a revocation", () => {
  test("recalls every code of the epoch in every campaign, and says when that is so", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const made = [];
    for (const fields of [{}, { expected_rate: FIVE_SHARDS }, { kind: "shared" }, { profile: "S25" }]) {
      const { campaign } = await shop.campaign(fields);
      made.push({ campaign, old: (await shop.codes(campaign, 4)).map(({ code }) => code), shared: fields.kind === "shared" });
    }
    const first = await redeemed(ann, made[0].old[0]);
    await rotated(shop);
    for (const one of made) one.young = await shop.code(one.campaign);
    const { states, epochs } = await revoked(shop, 0);
    assert.deepEqual([states[0], states[1]], ["revoked", "minting"]);
    assert.match(epochs[0].revoked_at, INSTANT);
    assert.deepEqual([epochs[0].campaigns, epochs[0].campaigns_done], [4, 4]);
    for (const { old } of made) {
      for (const code of old) await gone(ann, code);
      await gone(shop.member(), old[0]);
      assert.equal((await preview(ann, old[1])).body.refusal.code, "code_recalled");
    }
    for (const { young } of made) await redeemed(ann, young);
    // What was redeemed is untouched, and can be taken back.
    assert.equal((await redemptionOf(ann, first.redemption_id)).status, "granted");
    await reversed(shop.as("manager"), first.redemption_id, { give_back: true });
    await gone(ann, made[0].old[0]);
    assert.equal(await creditOf(ann), 4 * WORTH);
    await audited(shop, { actor: "admin:admin-1", reason: "the root leaked" });
    for (const { campaign } of made) await assertVerified(shop, { campaign });
  });

  test("reaches campaigns that are made later, and offline batches of before", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const range = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 4, offline: true }), 201);
    await rotated(shop);
    await revoked(shop, 0);
    await gone(shop.member(), mint(keysAt(shop, campaign, 0), range.from_seq).code);
    const later = await shop.withCodes(1);
    assert.equal(check(later.code).epoch, 1);
    await redeemed(shop.member(), later.code);
  });

  test("holds at once: forty members with old codes, none gets through", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(40, { expected_rate: FIVE_SHARDS });
    assert.deepEqual(tally(await attempts(crowd(shop, 10), codes.slice(0, 10))), { granted: 10 });
    await rotated(shop);
    await revoked(shop, 0);
    assert.deepEqual(tally(await attempts(crowd(shop, 40), codes)), { code_recalled: 40 });
    assert.equal((await campaignNow(shop, campaign)).redeemed, 10);
  });

  test("of the minting epoch is legal: nothing is minted until another is chosen", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2);
    await redeemed(shop.member(), codes[0]);
    const { minting_epoch, states } = await revoked(shop, 0);
    assert.deepEqual([minting_epoch, states[0]], [undefined, "revoked"]);
    await gone(shop.member(), codes[1]);
    await noMint(shop, campaign, "no_minting_epoch");
    expectProblem(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1, offline: true }), 409, "illegal_move", { state: "no_minting_epoch" });
    expectProblem(await shop.admin.post(`/v1/campaigns/${campaign}/print-key`, { reason: "r" }), 409, "illegal_move");
    assert.equal((await rotated(shop)).minting_epoch, 1);
    const code = await shop.code(campaign);
    assert.equal(check(code).epoch, 1);
    await redeemed(shop.member(), code);
  });

  test("again is nothing more; a revoked epoch never mints again", async () => {
    const shop = openShop(edge);
    await rotated(shop);
    const first = await revoked(shop, 0);
    const again = assertKeys(expectStatus(await revoke(shop, 0, { reason: "to be sure" }), 202));
    assert.deepEqual([again.states, again.epochs[0].revoked_at], [first.states, first.epochs[0].revoked_at]);
    const answer = await rotate(shop, { epoch: 0 });
    expectStatus(answer, 400, 409);
    if (answer.body.code === "invalid_request") assert.ok(answer.body.errors.some(({ path }) => path === "epoch"));
    else assert.equal(answer.body.code, "illegal_move");
    assert.equal((await keysNow(shop)).minting_epoch, 1);
  });

  test("of an epoch that mints next skips it", async () => {
    const shop = openShop(edge);
    await revoked(shop, 1);
    await revoked(shop, 2);
    assert.equal((await rotated(shop)).minting_epoch, 3);
  });

  test("is each merchant's own", async () => {
    const [shop, stranger] = [openShop(edge), openShop(edge)];
    const [ours, theirs] = [await shop.withCodes(1), await stranger.withCodes(1)];
    await rotated(shop);
    await revoked(shop, 0);
    await gone(shop.member(), ours.code);
    await redeemed(stranger.member(), theirs.code);
    assert.equal((await keysNow(stranger)).states[0], "minting");
  });

  test("without a reason, of an epoch that there is not, is refused", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1);
    for (const [body, path] of [[{}, "reason"], [{ reason: "" }, "reason"], [{ reason: " " }, "reason"], [{ reason: 7 }, "reason"], [{ reason: "r", epoch: 0 }, "epoch"]]) {
      const { errors } = expectProblem(await revoke(shop, 0, body), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path === path), JSON.stringify(errors));
    }
    for (const epoch of [4, 8, -1, "x", "0x", "00", 1e9]) expectProblem(await revoke(shop, epoch), 404, "not_found");
    assert.deepEqual((await keysNow(shop)).states[0], "minting");
    await redeemed(shop.member(), code);
  });
});

describe("codes of an epoch", () => {
  test("that the campaign never minted in are not recognised, however authentic", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2);
    const { seq } = { seq: 0, ...(await shop.codes(campaign, 1))[0] };
    for (const epoch of [1, 3, 4, 5, 6, 7]) expectProblem(await redeem(shop.member(), mint(keysAt(shop, campaign, epoch), seq).code), 404, "code_not_recognised");
    await rotated(shop);
    const [young] = await shop.codes(campaign, 1);
    // The numbers of an epoch's batches belong to it alone.
    expectProblem(await redeem(shop.member(), mint(keysAt(shop, campaign, 0), young.seq).code), 404, "code_not_recognised");
    expectProblem(await redeem(shop.member(), mint(keysAt(shop, campaign, 1), seq).code), 404, "code_not_recognised");
    await redeemed(shop.member(), young.code);
    await redeemed(shop.member(), codes[0]);
  });

  test("that is revoked: a forged one is still a forged one", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes(1);
    await rotated(shop);
    await revoked(shop, 0);
    expectProblem(await redeem(shop.member(), forge(keysAt(shop, campaign, 0), 0)), 404, "code_not_recognised");
    await gone(shop.member(), code);
  });

  test("an alias is not signed, and outlives the epoch of its campaign's code", async () => {
    const shop = openShop(edge);
    const alias = unique("W").toUpperCase();
    const { campaign } = await shop.campaign({ kind: "shared", aliases: [alias] });
    const code = await shop.code(campaign);
    await rotated(shop);
    await revoked(shop, 0);
    await gone(shop.member(), code);
    await redeemed(shop.member(), alias);
  });

  test("a least epoch is one campaign's own way to let old codes go", async () => {
    const shop = openShop(edge);
    const [first, second] = [await shop.withCodes(2), await shop.withCodes(2)];
    await rotated(shop);
    const young = await shop.code(first.campaign);
    await shop.change(first.campaign, { min_epoch: 1 });
    await gone(shop.member(), first.code);
    await redeemed(shop.member(), young);
    await redeemed(shop.member(), second.code);
    await shop.change(first.campaign, { min_epoch: 2 });
    await gone(shop.member(), young);
    await until(() => campaignNow(shop, first.campaign), ({ redeemed: count }) => count === 1);
  });
});
