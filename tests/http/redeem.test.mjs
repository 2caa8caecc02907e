// Redeeming: the use is consumed once, the reward is given once, and a key has one outcome.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { CONSUMED, assertBalanced, assertRedemption, creditOf, granted, historyOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile();
const replayed = (answer) => answer.headers["idempotent-replayed"];
const path = (code) => `/v1/codes/${encodeURIComponent(code)}/redemptions`;

describe("a code is redeemed", () => {
  test("answers 201 with the redemption, and the credit is there", async () => {
    const shop = openShop(edge);
    const { code, campaign, reward_id } = await shop.withCodes();
    const ann = shop.member();
    const answer = await redeem(ann, code, { order: "order-7" });
    expectStatus(answer, 201);
    assertRedemption(answer.body);
    const { redemption_id, ...rest } = answer.body;
    assert.ok(CONSUMED.includes(rest.status));
    assert.deepEqual([rest.campaign, rest.reward_id, rest.quantity, rest.order], [campaign, reward_id, 1, "order-7"]);
    assert.ok(Math.abs(Date.parse(rest.created_at) - Date.now()) < 60_000, rest.created_at);
    assert.equal(replayed(answer), undefined);
    assert.ok(answer.headers.location.endsWith(`/v1/redemptions/${redemption_id}`), answer.headers.location);
    const later = await granted(ann, redemption_id);
    assert.deepEqual((await ann.get(`/v1/redemptions/${redemption_id}`)).body, later);
    assert.equal(await creditOf(ann), 500);
    const { rows } = await assertBalanced(ann);
    assert.equal(rows.length, 1);
    assert.deepEqual([rows[0].amount, rows[0].balance_after, rows[0].asset, rows[0].currency, rows[0].redemption_id], [500, 500, "credit", "EUR", redemption_id]);
    assert.deepEqual(later.ledger.map(({ ledger_id }) => ledger_id), [rows[0].ledger_id]);
  });

  test("points and features", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const points = await shop.reward({ name: "Points", type: "points", value: { amount: 250 } });
    const feature = await shop.reward({ name: "Dark mode", type: "feature", value: { key: "dark-mode" } });
    const { codes } = await shop.withCodes(2, { reward_id: points.reward_id });
    for (const code of codes) await redeemed(ann, code);
    const { code } = await shop.withCodes(1, { reward_id: feature.reward_id });
    await redeemed(ann, code);
    const { wallet, rows } = await assertBalanced(ann);
    assert.equal(wallet.points, 500);
    assert.deepEqual(wallet.features, ["dark-mode"]);
    assert.equal(rows.length, 3);
  });

  test("text is read leniently: case, spacing, look-alikes, full width", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(5);
    const wide = [...codes[4]].map((symbol) => String.fromCodePoint(symbol.codePointAt(0) + 0xfee0)).join("");
    const typed = [codes[0].toLowerCase(), codes[1].replaceAll("-", ""), ` ${codes[2].replaceAll("-", " \u2014 ")}\t`, codes[3].replaceAll("0", "o").replaceAll("1", "l"), wide];
    const ann = shop.member();
    for (const text of typed) await redeemed(ann, text);
    assert.equal(await creditOf(ann), 2500);
  });

  test("each profile", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "beta" } });
    for (const [profile, pattern] of [["S16", /^\w{4}(-\w{4}){3}$/], ["S20", /^\w{4}(-\w{4}){4}$/], ["S25", /^\w{5}(-\w{5}){4}$/]]) {
      const { code } = await shop.withCodes(1, { profile, reward_id });
      assert.match(code, pattern);
      await redeemed(ann, code);
    }
  });

  test("a campaign's quantity multiplies the reward in one ledger row", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { quantity: 3 });
    const ann = shop.member();
    const redemption = await redeemed(ann, code);
    assert.equal(redemption.quantity, 3);
    const { rows } = await assertBalanced(ann);
    assert.deepEqual(rows.map(({ amount, quantity }) => [amount, quantity]), [[1500, 3]]);
  });

  test("in the path, with and without a body, never to be stored", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(3);
    const ann = shop.member();
    const first = await ann.post(path(codes[0]), { order: "o-1" }, { key: unique("k-") });
    expectStatus(first, 201);
    assertRedemption(first.body);
    assert.equal(first.body.order, "o-1");
    assert.match(first.headers["cache-control"] ?? "", /no-store/);
    expectStatus(await ann.post(path(codes[1].replaceAll("-", "").toLowerCase()), undefined, { key: unique("k-") }), 201);
    expectStatus(await ann.post(path(codes[2]), "", { key: unique("k-") }), 201);
    await until(() => creditOf(ann), (credit) => credit === 1500);
    expectProblem(await ann.post(path(codes[0])), 400, "idempotency_key_required");
    const key = unique("k-");
    const replay = [await ann.post(path("0000 0000"), {}, { key }), await ann.post(path(codes[0]), {}, { key })];
    expectStatus(replay[0], 404, 422);
    expectProblem(replay[1], 409, "already_redeemed_by_you", { earlier_redemption_id: first.body.redemption_id });
  });

  test("by a service for a member, whose stored attributes decide", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2, { eligibility: { tiers: ["gold"] } });
    const gold = shop.member({ tier: "gold" });
    expectProblem(await redeem(shop.service, codes[0], { member_id: gold.sub }), 403, "not_eligible");
    await walletOf(gold);
    const answer = await redeem(shop.service, codes[0], { member_id: gold.sub });
    expectStatus(answer, 201);
    const own = await granted(gold, answer.body.redemption_id);
    assert.equal(own.campaign, campaign);
    assert.equal((await shop.service.get(`/v1/redemptions/${own.redemption_id}?member_id=${gold.sub}`)).body.redemption_id, own.redemption_id);
    assert.equal(await creditOf(gold), 500);
  });

  test("shared: one code, each member once by default", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { kind: "shared" });
    const [ann, bob] = [shop.member(), shop.member()];
    await redeemed(ann, code);
    await redeemed(bob, code);
    expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you");
    assert.equal(await creditOf(ann), 500);
  });

  test("unique with several uses per code: each use counts, the last one is accepted", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { limits: { uses_per_code: 2 } });
    await redeemed(shop.member(), code);
    await redeemed(shop.member(), code);
    expectProblem(await redeem(shop.member(), code), 409, "already_redeemed");
  });
});

describe("a key has one outcome", () => {
  test("repeating answers the same redemption with 201, marked as replayed, and gives nothing more", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const key = unique("k-");
    const first = await redeem(ann, code, { key });
    expectStatus(first, 201);
    for (const text of [code, code.toLowerCase(), code.replaceAll("-", "")]) {
      const again = await redeem(ann, text, { key });
      expectStatus(again, 201);
      assert.equal(replayed(again), "true");
      assert.equal(again.body.redemption_id, first.body.redemption_id);
    }
    const granting = await granted(ann, first.body.redemption_id);
    assert.deepEqual((await redeem(ann, code, { key })).body, granting, "the redemption as it stands now");
    assert.equal(await creditOf(ann), 500);
    assert.equal((await historyOf(ann)).length, 1);
  });

  test("another command under the key is refused", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2);
    const ann = shop.member();
    const key = unique("k-");
    await redeem(ann, codes[0], { key });
    expectProblem(await redeem(ann, codes[1], { key }), 422, "idempotency_key_reused");
    expectProblem(await redeem(ann, codes[0], { key, order: "o-1" }), 422, "idempotency_key_reused");
    expectProblem(await redeem(ann, codes[0], { key, currency: "EUR" }), 422, "idempotency_key_reused");
    assert.equal(await creditOf(ann), 500);
    await redeemed(shop.member(), codes[1]);
  });

  test("the order of fields and blanks in the body are no difference", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const key = unique("k-");
    const headers = { "content-type": "application/json" };
    expectStatus(await ann.post("/v1/redemptions", `{"code":"${code}","order":"o","currency":"EUR"}`, { key, headers }), 201);
    const again = await ann.post("/v1/redemptions", `{ "currency":"EUR",\n "order":"o", "code":"${code}" }`, { key, headers });
    expectStatus(again, 201);
    assert.equal(replayed(again), "true");
  });

  test("keys of two members, and of two roles, do not meet", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(3);
    const [ann, bob] = [shop.member(), shop.member()];
    const key = unique("k-");
    await redeemed(ann, codes[0], { key });
    await redeemed(bob, codes[1], { key });
    const asService = await redeem(shop.as("service", ann.sub), codes[2], { key, member_id: ann.sub });
    expectStatus(asService, 201);
    assert.equal(replayed(asService), undefined);
  });

  test("a refusal from campaign rules on is kept under its key; with a new key the rules are asked again", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    await shop.move(campaign, "pause");
    const ann = shop.member();
    const key = unique("k-");
    expectProblem(await redeem(ann, code, { key }), 409, "campaign_not_active");
    await shop.move(campaign, "activate");
    const again = await redeem(ann, code, { key });
    expectProblem(again, 409, "campaign_not_active");
    assert.equal(replayed(again), "true");
    expectProblem(await redeem(ann, code, { key, order: "other" }), 422, "idempotency_key_reused");
    await redeemed(ann, code);
    assert.equal(await creditOf(ann), 500);
  });

  test("malformed and unrecognised codes do not use the key up", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const key = unique("k-");
    expectProblem(await redeem(ann, `${code.slice(0, -1)}*`, { key }), 422, "malformed_code");
    expectProblem(await redeem(ann, "WELCOME10", { key }), 404, "code_not_recognised");
    expectProblem(await redeem(ann, code, { key, currency: "euro" }), 400, "invalid_request");
    const answer = await redeem(ann, code, { key });
    expectStatus(answer, 201);
    assert.equal(replayed(answer), undefined);
  });

  test("the longest key, and every visible character", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2);
    const visible = Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at)).join("");
    const ann = shop.member();
    for (const [at, key] of [visible, "k".repeat(255)].entries()) {
      const first = await redeem(ann, codes[at], { key });
      expectStatus(first, 201);
      assert.equal((await redeem(ann, codes[at], { key })).body.redemption_id, first.body.redemption_id);
    }
  });

  test("twins in flight are one redemption", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const key = unique("k-");
    const answers = await Promise.all(Array.from({ length: 8 }, () => redeem(ann, code, { key })));
    for (const answer of answers) expectStatus(answer, 201, 202);
    assert.equal(new Set(answers.map(({ body }) => body.redemption_id)).size, 1);
    assert.equal(answers.filter((answer) => answer.status === 201 && replayed(answer) === undefined).length, 1);
    await granted(ann, answers[0].body.redemption_id);
    assert.equal(await creditOf(ann), 500);
  });
});

describe("asked to answer at once", () => {
  const headers = { prefer: "respond-async" };

  test("202 while it goes on, then the same resource granted", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const key = unique("k-");
    const answer = await redeem(ann, code, { key, headers });
    expectStatus(answer, 202);
    assert.equal(answer.body.status, "redeeming");
    assert.equal(answer.headers["preference-applied"], "respond-async");
    await granted(ann, answer.body.redemption_id);
    assert.equal(await creditOf(ann), 500);
    const again = await redeem(ann, code, { key });
    expectStatus(again, 201);
    assert.equal(again.body.redemption_id, answer.body.redemption_id);
    assert.equal(replayed(again), "true");
  });

  test("a later refusal is the redemption's state", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    await redeemed(shop.member(), code);
    const ann = shop.member();
    const { redemption_id } = expectStatus(await redeem(ann, code, { headers }), 202);
    const { body } = await until(() => ann.get(`/v1/redemptions/${redemption_id}`), (answer) => answer.body.status !== "redeeming");
    assert.equal(body.status, "refused");
    assert.equal(body.refusal.code, "already_redeemed");
    assertRedemption(body);
  });

  test("what nobody may hold back is refused at once all the same", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    expectProblem(await redeem(ann, "0000-0000-0000-0000-0000", { headers }), 422, "malformed_code");
    expectProblem(await redeem(ann, "WELCOME10", { headers }), 404, "code_not_recognised");
    expectProblem(await ann.post("/v1/redemptions", {}, { key: unique("k-"), headers }), 400, "invalid_request");
    assert.deepEqual(await historyOf(ann), []);
  });
});
