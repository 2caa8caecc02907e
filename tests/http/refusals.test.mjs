// Every refusal that a campaign's rules can give, alone and in the order of precedence when several apply at once.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertBalanced, creditOf, historyOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile();
const HOUR = 3_600_000;
const instant = (offset) => new Date(Math.floor((Date.now() + offset) / 1000) * 1000).toISOString().replace(".000", "");

describe("each refusal alone", () => {
  const rows = [
    ["campaign_not_started", 409, { starts_at: instant(HOUR) }],
    ["campaign_ended", 410, { ends_at: instant(-HOUR) }],
    ["redemption_method_not_allowed", 403, { methods: ["api"] }],
    ["redemption_method_not_allowed", 403, { methods: ["email"] }],
    ["currency_not_allowed", 403, { currencies: ["USD"] }, { currency: "EUR" }],
    ["currency_not_allowed", 403, { currencies: ["EUR"] }],
    ["not_eligible", 403, { eligibility: { tiers: ["gold"] } }, {}, { unmet: ["tier"] }],
    ["not_eligible", 403, { eligibility: { personas: ["parent"] } }, {}, { unmet: ["persona"] }],
    ["not_eligible", 403, { eligibility: { tags_any: ["vip"] } }, {}, { unmet: ["tag"] }],
    ["not_eligible", 403, { eligibility: { roles: ["wholesale"] } }, {}, { unmet: ["role"] }],
    ["not_eligible", 403, { eligibility: { roles: ["w"], tiers: ["gold"], personas: ["parent"], tags_any: ["vip"] } }, {}, { unmet: ["role", "tier", "persona", "tag"] }],
  ];
  for (const [code, status, fields, options = {}, extras = {}] of rows) {
    test(`${code} for ${JSON.stringify(fields)} with ${JSON.stringify(options)}`, async () => {
      const shop = openShop(edge);
      const issued = await shop.withCodes(1, fields);
      const ann = shop.member();
      expectProblem(await redeem(ann, issued.code, options), status, code, extras);
      assert.equal(await creditOf(ann), 0);
      const [row, ...others] = await historyOf(ann);
      assert.deepEqual([row.status, row.refusal.code, row.campaign, others.length], ["refused", code, issued.campaign, 0]);
    });
  }

  test("campaign_not_active in a draft and when paused; active again it redeems", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const code = await shop.code(campaign);
    const ann = shop.member();
    expectProblem(await redeem(ann, code), 409, "campaign_not_active");
    await shop.move(campaign, "activate");
    await shop.move(campaign, "pause");
    expectProblem(await redeem(ann, code), 409, "campaign_not_active");
    await shop.move(campaign, "activate");
    await redeemed(ann, code);
  });

  test("campaign_ended once an administrator ends it", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    await shop.move(campaign, "end");
    expectProblem(await redeem(shop.member(), code), 410, "campaign_ended");
  });

  test("code_expired at the end of a batch, while its campaign goes on", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(1);
    const expired = await shop.code(campaign, { expires_at: instant(-HOUR) });
    const lasting = await shop.code(campaign, { expires_at: instant(HOUR) });
    const ann = shop.member();
    expectProblem(await redeem(ann, expired), 410, "code_expired");
    await redeemed(ann, lasting);
    await redeemed(ann, codes[0]);
  });

  test("code_recalled for an epoch below the campaign's least", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes();
    await shop.change(campaign, { min_epoch: 1 });
    expectProblem(await redeem(shop.member(), code), 410, "code_recalled");
  });

  test("a tag that shuts out", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { eligibility: { tags_none: ["blocked"] } });
    expectProblem(await redeem(shop.member({ tags: ["new", "blocked"] }), code), 403, "not_eligible", { unmet: ["tag"] });
    await redeemed(shop.member({ tags: ["new"] }), code);
  });

  test("attributes of the member's newest token decide", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2, { eligibility: { tiers: ["gold", "silver"], personas: ["parent"], tags_any: ["vip", "press"] } });
    const sub = unique("u-");
    const whole = { tier: "silver", persona: "parent", tags: ["press"] };
    await redeemed(shop.member(whole, sub), codes[0]);
    expectProblem(await redeem(shop.member({ ...whole, tier: "bronze" }, sub), codes[1]), 403, "not_eligible", { unmet: ["tier"] });
    await redeemed(shop.member(whole, sub), codes[1]);
  });

  test("methods are derived from the caller", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const byMail = shop.member({ via: "email" }, ann.sub);
    const { codes: api } = await shop.withCodes(1, { methods: ["api"] });
    expectProblem(await redeem(ann, api[0]), 403, "redemption_method_not_allowed");
    expectProblem(await redeem(byMail, api[0]), 403, "redemption_method_not_allowed");
    expectStatus(await redeem(shop.service, api[0], { member_id: ann.sub }), 201);
    const { codes: email } = await shop.withCodes(1, { methods: ["email"] });
    expectProblem(await redeem(shop.service, email[0], { member_id: ann.sub }), 403, "redemption_method_not_allowed");
    await redeemed(byMail, email[0]);
  });

  test("already_redeemed_by_you names the earlier redemption; already_redeemed names nothing of another's", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const [ann, bob] = [shop.member(), shop.member()];
    const { redemption_id } = await redeemed(ann, code);
    expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you", { earlier_redemption_id: redemption_id });
    const body = expectProblem(await redeem(bob, code), 409, "already_redeemed");
    assert.doesNotMatch(JSON.stringify(body), new RegExp(`${redemption_id}|${ann.sub}`));
    assert.equal(await creditOf(ann), 500);
    assert.equal(await creditOf(bob), 0);
  });

  test("member_limit_reached: a limit of one works, and so does a limit of two", async () => {
    const shop = openShop(edge);
    for (const per_member of [1, 2]) {
      const { codes } = await shop.withCodes(per_member + 1, { limits: { per_member } });
      const ann = shop.member();
      for (const code of codes.slice(0, per_member)) await redeemed(ann, code);
      expectProblem(await redeem(ann, codes[per_member]), 409, "member_limit_reached");
      await redeemed(shop.member(), codes[per_member]);
      assert.equal(await creditOf(ann), 500 * per_member);
    }
  });

  test("campaign_limit_reached: the last of N is accepted, the next is not", async () => {
    const shop = openShop(edge);
    for (const total of [1, 3]) {
      const { codes } = await shop.withCodes(total + 1, { limits: { total } });
      for (const code of codes.slice(0, total)) await redeemed(shop.member(), code);
      expectProblem(await redeem(shop.member(), codes[total]), 409, "campaign_limit_reached");
    }
  });

  test("a refused attempt uses up no limit", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { limits: { per_member: 1, total: 1 }, currencies: ["EUR"] });
    const ann = shop.member();
    for (let times = 0; times < 3; times += 1) expectProblem(await redeem(ann, code), 403, "currency_not_allowed");
    await redeemed(ann, code, { currency: "EUR" });
  });

  test("raising a limit lets the next one in", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2, { limits: { total: 1 } });
    await redeemed(shop.member(), codes[0]);
    const ann = shop.member();
    expectProblem(await redeem(ann, codes[1]), 409, "campaign_limit_reached");
    await shop.change(campaign, { limits: { total: 2 } });
    await redeemed(ann, codes[1]);
  });
});

test("when several rules fail the first in the published order is given, one after another", async () => {
  const shop = openShop(edge);
  const { campaign, codes } = await shop.withCodes(4);
  const [used, usedByBob, fresh, other] = codes;
  const [ann, bob, eve] = [shop.member(), shop.member(), shop.member()];
  await redeemed(ann, used);
  await redeemed(bob, usedByBob);
  await shop.move(campaign, "pause");
  await shop.change(campaign, {
    min_epoch: 1,
    starts_at: instant(HOUR),
    methods: ["api"],
    currencies: ["USD"],
    eligibility: { tiers: ["gold"] },
    limits: { uses_per_code: 1, per_member: 1, total: 2 },
  });
  // The codes differ in what would be refused last, so that all of them agree as long as an earlier rule fails.
  const all = async (status, name, options) => {
    for (const code of codes) expectProblem(await redeem(ann, code, options), status, name);
  };
  await all(410, "code_recalled");
  await shop.change(campaign, { min_epoch: null });
  await all(409, "campaign_not_active");
  await shop.move(campaign, "activate");
  await all(409, "campaign_not_started");
  await shop.change(campaign, { starts_at: null, ends_at: instant(-HOUR) });
  await all(410, "campaign_ended");
  await shop.change(campaign, { ends_at: null });
  await all(403, "redemption_method_not_allowed");
  await shop.change(campaign, { methods: null });
  await all(403, "currency_not_allowed");
  await all(403, "currency_not_allowed", { currency: "EUR" });
  await all(403, "not_eligible", { currency: "USD" });
  await shop.change(campaign, { eligibility: null, currencies: null });
  expectProblem(await redeem(ann, used), 409, "already_redeemed_by_you");
  expectProblem(await redeem(ann, usedByBob), 409, "already_redeemed");
  expectProblem(await redeem(ann, fresh), 409, "member_limit_reached");
  expectProblem(await redeem(eve, usedByBob), 409, "already_redeemed");
  expectProblem(await redeem(eve, fresh), 409, "campaign_limit_reached");
  await shop.change(campaign, { limits: { total: 3 } });
  await redeemed(eve, fresh);
  expectProblem(await redeem(bob, other), 409, "member_limit_reached");
  for (const member of [ann, bob, eve]) {
    const { rows } = await assertBalanced(member);
    assert.equal(rows.length, 1);
  }
});

test("an expired batch in a campaign with nothing else wrong comes after activity and before methods", async () => {
  const shop = openShop(edge);
  const { campaign } = await shop.campaign({ methods: ["api"], currencies: ["USD"] });
  const code = await shop.code(campaign, { expires_at: instant(-HOUR) });
  const ann = shop.member();
  expectProblem(await redeem(ann, code), 410, "code_expired");
  await shop.move(campaign, "pause");
  expectProblem(await redeem(ann, code), 409, "campaign_not_active");
});

describe("a preview", () => {
  const preview = (client, code, fields = {}) => client.post("/v1/codes/preview", { code, ...fields });

  test("says that it would redeem, what is given, and consumes nothing", async () => {
    const shop = openShop(edge);
    const ends_at = instant(HOUR);
    const { code } = await shop.withCodes(1, { name: "Spring", ends_at, limits: { total: 1, per_member: 1 } });
    const ann = shop.member();
    for (let times = 0; times < 3; times += 1) {
      const body = expectStatus(await preview(ann, code), 200);
      assert.equal(body.would, "redeem");
      assert.equal(body.refusal, undefined);
      assert.deepEqual(body.reward, { name: "Five euros", type: "credit", value: { currency: "EUR", amount_minor: 500 } });
      assert.deepEqual([body.campaign.name, Date.parse(body.campaign.ends_at)], ["Spring", Date.parse(ends_at)]);
      assert.ok(body.rules.length > 0 && body.rules.every(({ rule, passed }) => typeof rule === "string" && passed === true), JSON.stringify(body));
    }
    assert.deepEqual(await historyOf(ann), []);
    assert.deepEqual((await walletOf(ann)).credit, []);
    await redeemed(ann, code);
  });

  test("says that it would refuse, with every rule that fails", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2, { currencies: ["USD"], eligibility: { tiers: ["gold"] }, methods: ["api"] });
    const ann = shop.member();
    const first = expectStatus(await preview(ann, codes[0]), 200);
    assert.equal(first.would, "refuse");
    assert.equal(first.refusal.code, "redemption_method_not_allowed");
    assert.ok(first.rules.filter(({ passed }) => !passed).length >= 3, `all that fail are listed: ${JSON.stringify(first.rules)}`);
    assert.ok(first.rules.some(({ passed }) => passed), JSON.stringify(first.rules));
    await shop.change(campaign, { methods: null });
    assert.equal((await preview(ann, codes[0])).body.refusal.code, "currency_not_allowed");
    const second = (await preview(ann, codes[0], { currency: "USD" })).body;
    assert.deepEqual([second.refusal.code, second.refusal.unmet], ["not_eligible", ["tier"]]);
    assert.deepEqual(await historyOf(ann), []);
  });

  test("knows what is used up, by whom and in all", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(3, { limits: { per_member: 1, total: 2 } });
    const [ann, bob] = [shop.member(), shop.member()];
    const { redemption_id } = await redeemed(ann, codes[0]);
    assert.deepEqual((({ code, earlier_redemption_id }) => [code, earlier_redemption_id])((await preview(ann, codes[0])).body.refusal), ["already_redeemed_by_you", redemption_id]);
    assert.equal((await preview(bob, codes[0])).body.refusal.code, "already_redeemed");
    assert.equal((await preview(ann, codes[1])).body.refusal.code, "member_limit_reached");
    await redeemed(bob, codes[1]);
    assert.equal((await preview(shop.member(), codes[2])).body.refusal.code, "campaign_limit_reached");
  });

  test("a malformed and an unrecognised code are problems", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    expectProblem(await preview(shop.member(), `${code.slice(0, -1)}?`), 422, "malformed_code");
    expectProblem(await preview(shop.member(), "WELCOME10"), 404, "code_not_recognised");
  });

  test("by a service, for the member it names", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    await redeemed(ann, code);
    expectProblem(await preview(shop.service, code), 400, "invalid_request");
    assert.equal((await preview(shop.service, code, { member_id: ann.sub })).body.refusal.code, "already_redeemed_by_you");
    assert.equal((await preview(shop.service, code, { member_id: unique("u-") })).body.refusal.code, "already_redeemed");
  });
});
