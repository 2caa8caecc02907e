// Holding a discount or credit for one checkout: what is applied, what is kept from others meanwhile, and how it is let go.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { committed, creditCodes, discountCodes, eur, held, hold, holdOf, holdsOf, letGo, liveHoldsOf, release } from "./checkout.mjs";
import { assertVerified, define, feedOf, redeemedAgain, redemptionOf, rewardsOf } from "./rewards.mjs";
import { INSTANT, assertRedemption, creditOf, historyOf, ledgerOf, openShop, redeem, redeemed } from "./shop.mjs";
import { adjust, assertReplays, fund } from "./trade.mjs";

const edge = edgeForThisFile();
const preview = (client, code) => client.post("/v1/codes/preview", { code });

describe("a discount code is held", () => {
  test("201 with what it takes off the total, for fifteen minutes; nothing is given yet", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code, campaign } = await discountCodes(shop, { percent: 10 });
    const answer = await hold(ann, "order-1", { code });
    const body = expectStatus(answer, 201);
    assert.ok(answer.headers.location.endsWith(`/v1/orders/order-1/holds/${body.hold_id}`), answer.headers.location);
    assert.deepEqual(expectStatus(await ann.get(`/v1/orders/order-1/holds/${body.hold_id}`), 200), body);
    expectProblem(await shop.member().get(`/v1/orders/order-1/holds/${body.hold_id}`), 404, "not_found");
    assert.deepEqual([body.order, body.applied_minor, body.remaining_minor, body.state], ["order-1", 1000, 9000, "held"]);
    assert.deepEqual(await holdsOf(ann, "order-1"), [body]);
    const redemption = await redemptionOf(ann, body.redemption_id);
    assertRedemption(redemption);
    assert.deepEqual([redemption.status, redemption.kind, redemption.campaign, redemption.order], ["held", "code", campaign, "order-1"]);
    assert.deepEqual([await rewardsOf(ann), await ledgerOf(ann)], [[], []]);
    assert.deepEqual((await historyOf(ann)).map(({ status }) => status), ["held"]);
    const told = (await feedOf(ann)).filter(({ type, data }) => type === "redemption.updated" && data.redemption_id === body.redemption_id);
    assert.equal(told.at(-1).data.status, "held");
    await assertVerified(shop, { member_id: ann.sub });
    await assertVerified(shop, { campaign });
  });

  // [value, quantity of the campaign, total, applied]
  const rows = [
    [{ percent: 10 }, 1, 10_000, 1000],
    [{ percent: 15 }, 1, 333, 49],
    [{ percent: 1 }, 1, 99, 0],
    [{ percent: 33 }, 1, 100, 33],
    [{ percent: 100 }, 1, 777, 777],
    [{ percent: 40 }, 2, 1000, 800],
    [{ percent: 40 }, 3, 1000, 1000],
    [{ percent: 50 }, 1, 2 ** 53 - 1, 4_503_599_627_370_495],
    [{ currency: "EUR", amount_minor: 500 }, 1, 10_000, 500],
    [{ currency: "EUR", amount_minor: 500 }, 1, 500, 500],
    [{ currency: "EUR", amount_minor: 500 }, 1, 499, 499],
    [{ currency: "EUR", amount_minor: 500 }, 3, 10_000, 1500],
  ];
  for (const [value, quantity, total, applied] of rows) {
    test(`${JSON.stringify(value)} times ${quantity} off ${total} is ${applied}`, async () => {
      const shop = openShop(edge);
      const { code } = await discountCodes(shop, value, { quantity });
      const body = await held(shop.member(), "o", { code, total: eur(total) });
      assert.deepEqual([body.applied_minor, body.remaining_minor], [applied, total - applied]);
    });
  }

  test("an order's number is any text, and belongs to its member", async () => {
    const shop = openShop(edge);
    const { codes } = await discountCodes(shop, { percent: 10 }, { count: 6 });
    for (const [at, order] of ["a/b?c#d", "\u00e4 \u{1f600}", "100%", "x".repeat(100)].entries()) {
      const ann = shop.member();
      const mine = await held(ann, order, { code: codes[at] });
      assert.deepEqual((await holdsOf(ann, order)).map(({ hold_id }) => hold_id), [mine.hold_id], order);
    }
    const [ann, bob] = [shop.member(), shop.member()];
    const [one, other] = [await held(ann, "same", { code: codes[4] }), await held(bob, "same", { code: codes[5] })];
    assert.deepEqual((await holdsOf(ann, "same")).map(({ hold_id }) => hold_id), [one.hold_id]);
    assert.deepEqual((await holdsOf(bob, "same")).map(({ hold_id }) => hold_id), [other.hold_id]);
    expectProblem(await letGo(bob, one), 404, "not_found");
    assert.equal((await holdOf(ann, one)).state, "held");
    assert.deepEqual(await holdsOf(shop.member(), "same"), []);
  });

  test("by a service for the member it names", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await discountCodes(shop, { percent: 10 });
    const body = expectStatus(await hold(shop.service, "o", { code, member_id: ann.sub }), 201);
    assert.deepEqual(await holdsOf(ann, "o"), [body]);
    assert.deepEqual(expectStatus(await shop.service.get(`/v1/orders/o/holds?member_id=${ann.sub}`), 200).items, [body]);
    expectProblem(await hold(shop.service, "o", { code }), 400, "invalid_request");
    for (const role of ["staff", "manager", "admin"]) expectProblem(await hold(shop.as(role), "o", { code }), 403, "forbidden");
  });

  test("under a key it is one hold", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { codes, campaign } = await discountCodes(shop, { percent: 10 }, { count: 2 });
    const key = unique("k-");
    const first = await held(ann, "o", { code: codes[0] }, { key });
    const again = await hold(ann, "o", { code: codes[0] }, { key });
    assert.equal(expectStatus(again, 201).hold_id, first.hold_id);
    assert.equal(again.headers["idempotent-replayed"], "true");
    expectProblem(await hold(ann, "o", { code: codes[1] }, { key }), 422, "idempotency_key_reused");
    expectProblem(await hold(ann, "o", { code: codes[0], total: eur(5) }, { key }), 422, "idempotency_key_reused");
    assert.equal((await holdsOf(ann, "o")).length, 1);
    const credit = shop.member();
    await fund(shop, credit, 1000);
    const twins = await Promise.all(Array.from({ length: 6 }, () => hold(credit, "o", { credit_minor: 300 }, { key })));
    assert.equal(new Set(twins.map((answer) => expectStatus(answer, 201).hold_id)).size, 1);
    assert.equal(await creditOf(credit), 700);
    await assertVerified(shop, { campaign });
  });
});

describe("while it is held", () => {
  test("others are told that it is held, and until when; not that it is used", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { code } = await discountCodes(shop, { percent: 10 });
    const { expires_at } = await held(ann, "o", { code });
    for (const answer of [await hold(bob, "p", { code }), await redeem(bob, code)]) {
      const { held_until } = expectProblem(answer, 409, "code_held");
      assert.match(held_until, INSTANT);
      assert.equal(Date.parse(held_until), Date.parse(expires_at));
    }
    const dry = expectStatus(await preview(bob, code), 200);
    assert.deepEqual([dry.would, dry.refusal.code], ["refuse", "code_held"]);
    assert.deepEqual([await holdsOf(bob, "p"), await ledgerOf(bob)], [[], []]);
  });

  test("its own member cannot redeem it besides", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code, campaign } = await creditCodes(shop, 500);
    await held(ann, "o", { code });
    expectProblem(await redeem(ann, code), 409, "code_held");
    assert.equal(await creditOf(ann), 0);
    assert.equal((await liveHoldsOf(ann, "o")).length, 1);
    await assertVerified(shop, { campaign });
  });

  test("a code of two uses, one used and one held, is held; then used", async () => {
    const shop = openShop(edge);
    const { code } = await discountCodes(shop, { percent: 10 }, { limits: { uses_per_code: 2 } });
    const [ann, bob, eve] = [shop.member(), shop.member(), shop.member()];
    await redeemed(ann, code);
    await held(bob, "o", { code });
    expectProblem(await hold(eve, "p", { code }), 409, "code_held");
    await committed(shop, bob, "o");
    expectProblem(await hold(eve, "p", { code }), 409, "already_redeemed");
    expectProblem(await hold(bob, "p", { code }), 409, "already_redeemed_by_you");
  });

  test("a shared code is held by each for themselves, and limits count what is held", async () => {
    const shop = openShop(edge);
    const [ann, bob, eve] = [shop.member(), shop.member(), shop.member()];
    const { code, campaign } = await discountCodes(shop, { percent: 10 }, { kind: "shared", limits: { total: 2 } });
    const first = await held(ann, "o", { code });
    await held(bob, "o", { code });
    expectProblem(await hold(eve, "o", { code }), 409, "campaign_limit_reached");
    expectStatus(await letGo(ann, first), 204);
    const answer = await redeemedOrHeldAgain(() => hold(eve, "o", { code }));
    assert.equal(answer.applied_minor, 1000);
    expectProblem(await hold(ann, "o", { code }), 409, "campaign_limit_reached");
    await assertVerified(shop, { campaign });
  });

  test("a limit of one for each member counts it too", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { codes, campaign } = await discountCodes(shop, { percent: 10 }, { count: 2, limits: { per_member: 1 } });
    const first = await held(ann, "o", { code: codes[0] });
    expectProblem(await hold(ann, "p", { code: codes[1] }), 409, "member_limit_reached");
    expectProblem(await redeem(ann, codes[1]), 409, "member_limit_reached");
    expectStatus(await letGo(ann, first), 204);
    await redeemedAgain(ann, codes[1]);
    await assertVerified(shop, { campaign });
  });
});

/** Asks again until what was given back has reached the campaign; answers the hold. */
async function redeemedOrHeldAgain(ask) {
  let answer = await ask();
  for (const end = Date.now() + 10_000; answer.status === 409 && Date.now() < end; ) answer = await ask();
  return expectStatus(answer, 201);
}

describe("the same member, the same code", () => {
  test("for another order: it is moved, with one use in all", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code, campaign } = await discountCodes(shop, { percent: 10 }, { limits: { total: 1, per_member: 1 } });
    const first = await held(ann, "order-1", { code });
    const second = await held(ann, "order-2", { code, total: eur(5000) });
    assert.ok(Date.parse(second.expires_at) >= Date.parse(first.expires_at), "held anew");
    assert.deepEqual([second.order, second.applied_minor], ["order-2", 500]);
    assert.deepEqual([await liveHoldsOf(ann, "order-1"), (await liveHoldsOf(ann, "order-2")).length], [[], 1]);
    expectProblem(await shop.service.post("/v1/orders/order-1/commit", { member_id: ann.sub }), 404, "not_found");
    const { applied_minor, remaining_minor } = await committed(shop, ann, "order-2");
    assert.deepEqual([applied_minor, remaining_minor], [500, 4500]);
    assert.equal((await redemptionOf(ann, second.redemption_id)).status, "granted");
    assert.equal((await historyOf(ann)).filter(({ status }) => status === "granted").length, 1);
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed, 1);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("for the same order: it is held anew, at the newest total", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code, campaign } = await discountCodes(shop, { percent: 10 });
    const first = await held(ann, "o", { code });
    const second = expectStatus(await hold(ann, "o", { code, total: eur(2000) }), 200, 201);
    assert.ok(Date.parse(second.expires_at) >= Date.parse(first.expires_at));
    const live = await liveHoldsOf(ann, "o");
    assert.deepEqual([live.length, live[0].applied_minor, live[0].remaining_minor], [1, 200, 1800]);
    await assertVerified(shop, { campaign });
  });

  test("to an order that has its discount already: not moved", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { codes } = await discountCodes(shop, { percent: 10 }, { count: 2 });
    const [first, second] = [await held(ann, "order-1", { code: codes[0] }), await held(ann, "order-2", { code: codes[1] })];
    expectProblem(await hold(ann, "order-2", { code: codes[0] }), 409, "already_exists");
    assert.deepEqual([(await holdOf(ann, first)).state, (await holdOf(ann, second)).state], ["held", "held"]);
  });

  test("for eight orders at once it is held for one", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code, campaign } = await discountCodes(shop, { percent: 10 });
    const orders = Array.from({ length: 8 }, (_, place) => `order-${place}`);
    const answers = await Promise.all(orders.map((order) => hold(ann, order, { code })));
    for (const answer of answers) if (answer.status !== 201) expectStatus(answer, 202, 409);
    const live = (await Promise.all(orders.map((order) => liveHoldsOf(ann, order)))).flat();
    assert.equal(live.length, 1);
    await committed(shop, ann, live[0].order);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });
});

describe("let go by its member", () => {
  test("the use is given back, to anyone, and again is nothing", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { code, campaign } = await discountCodes(shop, { percent: 10 }, { limits: { total: 1 } });
    const mine = await held(ann, "o", { code });
    for (let times = 0; times < 2; times += 1) expectStatus(await letGo(ann, mine), 204);
    assert.equal((await holdOf(ann, mine))?.state ?? "released", "released");
    assert.equal((await redemptionOf(ann, mine.redemption_id)).status, "cancelled");
    assert.deepEqual(await ledgerOf(ann), []);
    await redeemedOrHeldAgain(() => hold(bob, "p", { code }));
    await committed(shop, bob, "p");
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed, 1);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("not once it is used, not another's, not under another order", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { code } = await discountCodes(shop, { percent: 10 });
    const mine = await held(ann, "o", { code });
    expectProblem(await letGo(bob, mine), 404, "not_found");
    expectProblem(await letGo(openShop(edge).member({}, ann.sub), mine), 404, "not_found");
    expectProblem(await letGo(ann, { ...mine, hold_id: `${mine.hold_id}x` }), 404, "not_found");
    expectProblem(await letGo(ann, { ...mine, hold_id: mine.redemption_id }), 404, "not_found");
    await committed(shop, ann, "o");
    expectProblem(await letGo(ann, mine), 409, "illegal_move");
    assert.equal((await holdOf(ann, mine)).state, "used");
  });
});

describe("an operator", () => {
  test("finds what is held among the redemptions, and takes it away whole or not at all", async () => {
    const ways = [
      ["retry", {}],
      ["reset", { reason: "r" }],
      ["resolve", { as: "granted", reason: "r" }],
      ["resolve", { as: "cancelled", reason: "r" }],
      ["reversal", { reason: "r" }],
    ];
    const shop = openShop(edge);
    const { codes, campaign } = await discountCodes(shop, { percent: 10 }, { count: ways.length });
    for (const [at, [verb, body]] of ways.entries()) {
      const ann = shop.member();
      const { redemption_id } = await held(ann, "o", { code: codes[at] });
      const listed = await everyItem(ann, "/v1/redemptions?status=held", 200);
      assert.deepEqual(listed.map((one) => one.redemption_id), [redemption_id]);
      const answer = await shop.admin.post(`/v1/redemptions/${redemption_id}/${verb}`, body, { key: unique("k-") });
      if (answer.status === 409) {
        expectProblem(answer, 409, "illegal_move", { state: "held" });
        assert.equal((await committed(shop, ann, "o")).applied_minor, 1000);
        assert.equal((await redemptionOf(ann, redemption_id)).status, "granted");
      } else {
        assert.equal(expectStatus(answer, 200).status, "cancelled", verb);
        assert.deepEqual(await liveHoldsOf(ann, "o"), []);
        expectProblem(await shop.service.post("/v1/orders/o/commit", { member_id: ann.sub }), 404, "not_found");
        await redeemedAgain(shop.member(), codes[at]);
      }
      await assertVerified(shop, { member_id: ann.sub });
    }
    await assertVerified(shop, { campaign });
  });
});

describe("at once", () => {
  test("one code, twelve members: one holds it", async () => {
    const shop = openShop(edge);
    const { code, campaign } = await discountCodes(shop, { percent: 10 });
    const answers = await Promise.all(Array.from({ length: 12 }, () => hold(shop.member(), "o", { code })));
    assert.equal(answers.filter(({ status }) => status === 201).length, 1);
    for (const answer of answers.filter(({ status }) => status !== 201)) expectProblem(answer, 409, "code_held");
    await assertVerified(shop, { campaign });
  });

  test("credit for ten orders, enough for five", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 500);
    const answers = await Promise.all(Array.from({ length: 10 }, (_, place) => hold(ann, `o-${place}`, { credit_minor: 100 })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array.from({ length: 5 }, () => 201), ...Array.from({ length: 5 }, () => 409)]);
    for (const answer of answers.filter(({ status }) => status === 409)) expectProblem(answer, 409, "value_spent", { short_by: 100 });
    const { rows } = await assertReplays(ann);
    assert.deepEqual([await creditOf(ann), rows.filter(({ kind }) => kind === "hold").length], [0, 5]);
  });
});

describe("refused, and nothing is held", () => {
  test("what is no discount and no credit is not for a checkout", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    for (const type of ["xp", "points", "tokens", "feature", "manual", "external"]) {
      const { code } = await shop.withCodes(1, { reward_id: await define(shop, type) });
      expectProblem(await hold(ann, "o", { code }), 403, "redemption_method_not_allowed");
      await redeemedAgain(ann, code);
    }
    assert.deepEqual(await holdsOf(ann, "o"), []);
  });

  test("money of another currency than the total's, and a campaign of another currency", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const dollars = await discountCodes(shop, { currency: "USD", amount_minor: 500 });
    const credit = await creditCodes(shop, 500, { currency: "USD" });
    const only = await discountCodes(shop, { percent: 10 }, { currencies: ["USD"] });
    for (const { code } of [dollars, credit, only]) expectProblem(await hold(ann, unique("o-"), { code }), 403, "currency_not_allowed");
    for (const { code } of [dollars, credit, only]) await held(ann, unique("o-"), { code, total: { currency: "USD", amount_minor: 10_000 } });
  });

  test("by every rule of the campaign", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code, campaign } = await discountCodes(shop, { percent: 10 }, { eligibility: { tiers: ["gold"] } });
    expectProblem(await hold(ann, "o", { code }), 403, "not_eligible", { unmet: ["tier"] });
    await shop.move(campaign, "pause");
    expectProblem(await hold(ann, "o", { code }), 409, "campaign_not_active");
    expectProblem(await hold(ann, "o", { code: `${code.slice(0, -1)}*` }), 422, "malformed_code");
    expectProblem(await hold(ann, "o", { code: "WELCOME10" }), 404, "code_not_recognised");
    expectProblem(await hold(openShop(edge).member(), "o", { code }), 404, "code_not_recognised");
    assert.deepEqual(await holdsOf(ann, "o"), []);
    await shop.move(campaign, "activate");
    await held(shop.member({ tier: "gold" }, ann.sub), "o", { code });
  });

  test("a used code, by you and by another", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { code } = await creditCodes(shop, 500);
    const { redemption_id } = await redeemed(ann, code);
    expectProblem(await hold(ann, "o", { code }), 409, "already_redeemed_by_you", { earlier_redemption_id: redemption_id });
    expectProblem(await hold(bob, "o", { code }), 409, "already_redeemed");
  });

  test("more credit than there is, or of another currency", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    expectProblem(await hold(ann, "o", { credit_minor: 5 }), 409, "value_spent", { short_by: 5 });
    await fund(shop, ann, 300);
    expectProblem(await hold(ann, "o", { credit_minor: 301 }), 409, "value_spent", { short_by: 1 });
    expectProblem(await hold(ann, "o", { credit_minor: 100, total: { currency: "USD", amount_minor: 500 } }), 409, "value_spent", { short_by: 100 });
    assert.deepEqual([await creditOf(ann), await holdsOf(ann, "o"), (await ledgerOf(ann)).length], [300, [], 1]);
    await held(ann, "o", { credit_minor: 300 });
    expectProblem(await hold(ann, "p", { credit_minor: 1 }), 409, "value_spent", { short_by: 1 });
    expectProblem(await adjust(shop, ann, { asset: "credit", amount_minor: -1, currency: "EUR" }), 409, "value_spent", { short_by: 1 });
  });

  const rows = [
    ["nothing to hold", { code: undefined }, undefined],
    ["a code and credit", { credit_minor: 5 }, undefined],
    ["a code and a reward", { reward: "abcdefghijklmnopqrstuvwxyz" }, undefined],
    ["no total", { total: undefined }, "total"],
    ["a total that is a number", { total: 100 }, "total"],
    ["a total without a currency", { total: { amount_minor: 100 } }, "total"],
    ["a total without an amount", { total: { currency: "EUR" } }, "total"],
    ["a total below zero", { total: eur(-1) }, "total"],
    ["a total of a half", { total: eur(0.5) }, "total"],
    ["a total in a text", { total: eur("100") }, "total"],
    ["a total beyond the largest", { total: eur(2 ** 53) }, "total"],
    ["a total in euro", { total: { currency: "euro", amount_minor: 100 } }, "total"],
    ["a total with a field too many", { total: { ...eur(100), tax: 5 } }, "total"],
    ["a numeric code", { code: 7 }, "code"],
    ["a quantity", { quantity: 2 }, "quantity"],
    ["an order in the body", { order: "o" }, "order"],
    ["an unknown field", { surprise: 1 }, "surprise"],
    ...[0, -5, 1.5, "5", 2 ** 53, null, true].map((credit_minor) => [`credit of ${JSON.stringify(credit_minor)}`, { code: undefined, credit_minor }, "credit_minor"]),
    ["a numeric reward", { code: undefined, reward: 7 }, "reward"],
  ];
  test(`malformed: ${rows.length} of them`, async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const { code } = await discountCodes(shop, { percent: 10 });
    for (const [name, change, path] of rows) {
      const { errors } = expectProblem(await hold(ann, "o", { code, ...change }), 400, "invalid_request");
      if (path) assert.ok(errors.some((error) => error.path.startsWith(path)), `${name}: ${JSON.stringify(errors)}`);
    }
    expectProblem(await hold(ann, "x".repeat(5000), { code }), 400, "invalid_request");
    expectStatus(await hold(ann, "o", { code, member_id: "someone-else" }), 400, 403);
    assert.deepEqual([await holdsOf(ann, "o"), await creditOf(ann), await historyOf(ann)], [[], 1000, []]);
    await held(shop.member(), "o", { code });
  });

  test("a released order holds nothing any more", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await discountCodes(shop, { percent: 10 });
    await held(ann, "o", { code });
    expectStatus(await release(shop, ann, "o"), 200);
    assert.deepEqual(await liveHoldsOf(ann, "o"), []);
  });
});
