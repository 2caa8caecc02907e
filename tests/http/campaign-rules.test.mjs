// Rules of a campaign: which refusal comes first when several apply, each kind of eligibility, days of its own time zone,
// uses that come back, and changes at their version.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { held } from "./checkout.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, audited, define, redeemedAgain, withFulfillers } from "./rewards.mjs";
import { HOUR, WORTH, assertTally, attempts, calmZone, campaignNow, crowd, instant, limitsOf, memberLimitsOf, money, patch, preview, waysBack } from "./rules.mjs";
import { creditOf, ledgerOf, openShop, redeem, redeemed } from "./shop.mjs";
import { record } from "./till.mjs";
import { endOfDay, startOfDay } from "./zones.mjs";

const edge = edgeForThisFile(withFulfillers);

// ---- precedence --------------------------------------------------------------------------------------------------------

/** No rule at all: a change to this and to the fields of some rules leaves exactly those. */
const NO_RULES = { min_epoch: null, starts_at: null, ends_at: null, methods: null, currencies: null, eligibility: null, limits: { per_member: null, total: null, budget: null, windows: null } };

/**
 * Each way to be refused: by fields of the campaign, by the state of the code (`own`, `bobs` or `held`), by the end of its batch,
 * or by the campaign's status. Those of one number are never paired, nor are those that exclude each other.
 */
const REFUSALS = [
  { no: 4, code: "code_recalled", status: 410, fields: { min_epoch: 1 } },
  { no: 5, code: "campaign_not_active", status: 409, paused: true },
  { no: 6, code: "campaign_not_started", status: 409, fields: { starts_at: instant(HOUR) } },
  { no: 7, code: "campaign_ended", status: 410, fields: { ends_at: instant(-HOUR) }, never: ["campaign_not_started"] },
  { no: 7, code: "code_expired", status: 410, batch: "ended" },
  { no: 8, code: "redemption_method_not_allowed", status: 403, fields: { methods: ["api", "email"] } },
  { no: 9, code: "currency_not_allowed", status: 403, fields: { currencies: ["USD"] } },
  { no: 10, code: "not_eligible", status: 403, fields: { eligibility: { tiers: ["gold"] } } },
  { no: 11, code: "already_redeemed_by_you", status: 409, state: "own" },
  { no: 12, code: "already_redeemed", status: 409, state: "bobs" },
  { no: 13, code: "code_held", status: 409, state: "held" },
  { no: 14, code: "member_limit_reached", status: 409, fields: { limits: { per_member: 1 } } },
  { no: 14, code: "member_limit_reached", status: 409, fields: { limits: { windows: [{ per: "month", per_member: 1 }] } } },
  { no: 15, code: "campaign_limit_reached", status: 409, fields: { limits: { total: 1 } } },
  { no: 15, code: "campaign_limit_reached", status: 409, fields: { limits: { windows: [{ per: "month", total: 1 }] } } },
  // Six uses are charged by then, and there is not enough left for a seventh.
  { no: 16, code: "budget_exhausted", status: 409, fields: { limits: { budget: money(7 * WORTH - 1) } } },
];

const conflict = (one, other) =>
  one.no === other.no ||
  (one.state !== undefined && other.state !== undefined) ||
  Boolean(one.never?.includes(other.code) || other.never?.includes(one.code)) ||
  // A list of windows is replaced as a whole.
  Boolean(one.fields?.limits?.windows && other.fields?.limits?.windows);

const rulesOf = (...refusals) =>
  refusals.reduce((all, { fields = {} }) => ({ ...all, ...fields, limits: { ...all.limits, ...fields.limits } }), NO_RULES);

test("of any two refusals that apply the earlier is given, and the other without it", async () => {
  const shop = openShop(edge);
  const [ann, bob] = [shop.member(), shop.member()];
  const { campaign, codes } = await shop.withCodes(4, { time_zone: calmZone() });
  const ends = instant(6000);
  const states = ["own", "bobs", "held", "fresh"];
  const byState = (list) => Object.fromEntries(states.map((state, at) => [state, list[at]]));
  const batches = { lasting: byState(codes), ended: byState((await shop.codes(campaign, 4, { expires_at: ends })).map(({ code }) => code)) };
  for (const [name, batch] of Object.entries(batches)) {
    await redeemed(ann, batch.own);
    await redeemed(bob, batch.bobs);
    await held(bob, `order-${name}`, { code: batch.held });
  }
  await until(() => preview(ann, batches.ended.fresh), ({ body }) => body.refusal?.code === "code_expired", 10_000);
  let paused = false;
  const refused = async (expected, ...refusals) => {
    if (refusals.some((one) => one.paused) !== paused) {
      await shop.move(campaign, paused ? "activate" : "pause");
      paused = !paused;
    }
    await shop.change(campaign, rulesOf(...refusals));
    const code = batches[refusals.find((one) => one.batch)?.batch ?? "lasting"][refusals.find((one) => one.state)?.state ?? "fresh"];
    const says = `${expected.code} of ${refusals.map((one) => one.code).join(" and ")}`;
    const answer = await redeem(ann, code, { currency: "EUR" });
    assert.deepEqual([answer.status, answer.body.code], [expected.status, expected.code], says);
    if (refusals.length === 1) assert.equal((await preview(ann, code, { currency: "EUR" })).body.refusal.code, expected.code, `the preview says ${says}`);
  };
  // Those of a pause at the end, so that it is paused once.
  const pairs = REFUSALS.flatMap((one, at) => REFUSALS.slice(at + 1).filter((other) => !conflict(one, other)).map((other) => [one, other]));
  assert.ok(pairs.length > 90, `${pairs.length} pairs`);
  const [awake, asleep] = [pairs.filter((pair) => !pair.some((one) => one.paused)), pairs.filter((pair) => pair.some((one) => one.paused))];
  for (const one of REFUSALS.filter(({ paused: asleepAlone }) => !asleepAlone)) await refused(one, one);
  for (const [one, other] of [...awake, ...asleep]) await refused(one, one, other);
  await shop.move(campaign, "activate");
  await shop.change(campaign, NO_RULES);
  assert.deepEqual([await creditOf(ann), await creditOf(bob)], [2 * WORTH, 2 * WORTH]);
  await redeemed(ann, batches.lasting.fresh);
  await assertVerified(shop, { campaign });
  await assertVerified(shop, { member_id: ann.sub });
});

// ---- who, with what, how -----------------------------------------------------------------------------------------------

describe("eligibility", () => {
  const everything = { roles: ["wholesale"], tiers: ["gold"], personas: ["parent"], tags_any: ["vip"], tags_none: ["blocked"] };
  const rows = [
    // [eligibility, attributes of the token, stored roles, unmet]
    [{ tiers: ["gold", "silver"] }, { tier: "silver" }, [], []],
    [{ tiers: ["gold", "silver"] }, { tier: "bronze" }, [], ["tier"]],
    [{ tiers: ["gold", "silver"] }, { tier: "Gold" }, [], ["tier"]],
    [{ tiers: ["gold"] }, {}, [], ["tier"]],
    [{ tiers: ["gold"] }, { tags: ["gold"], persona: "gold" }, ["gold"], ["tier"]],
    [{ personas: ["parent", "student"] }, { persona: "student" }, [], []],
    [{ personas: ["parent", "student"] }, { persona: "parents" }, [], ["persona"]],
    [{ personas: ["parent"] }, {}, [], ["persona"]],
    [{ tags_any: ["vip", "press"] }, { tags: ["x", "press"] }, [], []],
    [{ tags_any: ["vip", "press"] }, { tags: ["x"] }, [], ["tag"]],
    [{ tags_any: ["vip"] }, {}, [], ["tag"]],
    [{ tags_none: ["blocked", "staff"] }, {}, [], []],
    [{ tags_none: ["blocked", "staff"] }, { tags: ["new"] }, [], []],
    [{ tags_none: ["blocked", "staff"] }, { tags: ["new", "staff"] }, [], ["tag"]],
    [{ tags_any: ["vip"], tags_none: ["blocked"] }, { tags: ["vip", "blocked"] }, [], ["tag"]],
    [{ tags_any: ["vip"], tags_none: ["blocked"] }, { tags: ["blocked"] }, [], ["tag"]],
    [{ tags_any: ["vip"], tags_none: ["blocked"] }, { tags: ["vip"] }, [], []],
    [{ roles: ["wholesale", "partner"] }, {}, ["partner", "other"], []],
    [{ roles: ["wholesale"] }, {}, ["retail"], ["role"]],
    [{ roles: ["wholesale"] }, {}, [], ["role"]],
    [{ roles: ["member"] }, {}, [], ["role"]],
    [everything, { tier: "gold", persona: "parent", tags: ["vip"] }, ["wholesale"], []],
    [everything, {}, [], ["role", "tier", "persona", "tag"]],
    [everything, { tier: "gold", tags: ["vip", "blocked"] }, ["wholesale"], ["persona", "tag"]],
    [everything, { tier: "iron", persona: "parent", tags: ["vip"] }, ["wholesale"], ["tier"]],
  ];
  test(`${rows.length} rows of rule and member`, async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(rows.length);
    for (const [at, [eligibility, claims, roles, unmet]] of rows.entries()) {
      await shop.change(campaign, { eligibility: { roles: null, tiers: null, personas: null, tags_any: null, tags_none: null, ...eligibility } });
      const ann = shop.member(claims);
      if (roles.length > 0) await record(shop, ann, { roles });
      const says = `row ${at}`;
      const { body } = await preview(ann, codes[at]);
      assert.deepEqual([body.would, body.refusal?.unmet], unmet.length ? ["refuse", unmet] : ["redeem", undefined], says);
      if (unmet.length) expectProblem(await redeem(ann, codes[at]), 403, "not_eligible", { unmet });
      else await redeemed(ann, codes[at]);
    }
  });

  test("is the stored member's where a shop's server redeems", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2, { eligibility: { tiers: ["gold"], roles: ["partner"] } });
    const ann = shop.member();
    const byShop = () => redeem(shop.service, codes[0], { member_id: ann.sub });
    expectProblem(await byShop(), 403, "not_eligible", { unmet: ["role", "tier"] });
    await record(shop, ann, { tier: "gold", roles: ["partner"] });
    expectStatus(await byShop(), 201);
    await record(shop, ann, { roles: [] });
    expectProblem(await redeem(shop.service, codes[1], { member_id: ann.sub }), 403, "not_eligible", { unmet: ["role"] });
  });
});

test("currencies: every list against every currency given", async () => {
  const shop = openShop(edge);
  const rows = [
    [null, undefined, true],
    [null, "USD", true],
    [["EUR"], undefined, false],
    [["EUR"], "EUR", true],
    [["EUR"], "USD", false],
    [["USD", "CHF", "EUR"], "CHF", true],
    [["USD", "CHF"], "EUR", false],
  ];
  const { campaign, codes } = await shop.withCodes(rows.length);
  for (const [at, [currencies, currency, allowed]] of rows.entries()) {
    await shop.change(campaign, { currencies });
    const ann = shop.member();
    if (allowed) await redeemed(ann, codes[at], { currency });
    else expectProblem(await redeem(ann, codes[at], { currency }), 403, "currency_not_allowed");
  }
});

test("methods: every list against every way in", async () => {
  const shop = openShop(edge);
  const ways = ["api", "frontend", "email"];
  const lists = [1, 2, 3, 4, 5, 6, 7].map((bits) => ways.filter((_, at) => bits & (1 << at)));
  const { campaign, codes } = await shop.withCodes(lists.length * ways.length);
  for (const methods of lists) {
    await shop.change(campaign, { methods });
    for (const way of ways) {
      const ann = shop.member(way === "email" ? { via: "email" } : {});
      const code = codes.pop();
      const answer = way === "api" ? await redeem(shop.service, code, { member_id: ann.sub }) : await redeem(ann, code);
      if (methods.includes(way)) expectStatus(answer, 201);
      else expectProblem(answer, 403, "redemption_method_not_allowed");
    }
  }
});

test("quantity: a redemption of three is one use, one row and three times the value", async () => {
  const shop = openShop(edge);
  const { codes } = await shop.withCodes(3, { quantity: 3, limits: { total: 2, per_member: 1, windows: [{ per: "month", total: 2 }], budget: money(6 * WORTH) } });
  const [ann, bob] = [shop.member(), shop.member()];
  for (const [at, member] of [ann, bob].entries()) assert.equal((await redeemed(member, codes[at])).quantity, 3);
  expectProblem(await redeem(shop.member(), codes[2]), 409, "campaign_limit_reached");
  const [row, ...others] = await ledgerOf(ann);
  assert.deepEqual([row.quantity, row.amount, others.length, await creditOf(bob)], [3, 3 * WORTH, 0, 3 * WORTH]);
});

// ---- days --------------------------------------------------------------------------------------------------------------

describe("the exact instants of local days", () => {
  // Days on which clocks change (at midnight too), offsets of quarters of hours, both sides of the date line, leap days.
  const days = [
    ["Europe/Berlin", "2026-03-29"],
    ["Europe/Berlin", "2026-10-25"],
    ["Europe/Dublin", "2027-10-31"],
    ["America/New_York", "2027-03-14"],
    ["America/New_York", "2027-11-07"],
    ["America/St_Johns", "2026-11-01"],
    ["America/Havana", "2026-03-08"],
    ["America/Santiago", "2026-09-06"],
    ["America/Sao_Paulo", "2018-11-04"],
    ["America/Asuncion", "2023-10-01"],
    ["Africa/Cairo", "2026-04-24"],
    ["Asia/Beirut", "2026-03-29"],
    ["Asia/Tehran", "2022-03-22"],
    ["Asia/Kathmandu", "2028-02-29"],
    ["Asia/Kolkata", "2026-12-31"],
    ["Asia/Pyongyang", "2018-05-05"],
    ["Australia/Lord_Howe", "2026-10-04"],
    ["Australia/Lord_Howe", "2027-04-04"],
    ["Australia/Eucla", "2026-06-30"],
    ["Pacific/Chatham", "2026-09-27"],
    ["Pacific/Apia", "2011-12-31"],
    ["Pacific/Kiritimati", "2027-01-01"],
    ["Pacific/Pago_Pago", "2026-12-31"],
    ["Antarctica/Troll", "2026-03-29"],
    ["Etc/GMT+12", "2026-12-31"],
  ];
  test(`${days.length} days as first, as last, as both, and as a batch's last`, async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    const iso = (ms) => new Date(ms).toISOString();
    const read = (text) => new Date(text).toISOString();
    for (const [time_zone, day] of days) {
      const says = `${day} in ${time_zone}`;
      const { campaign } = await shop.campaign({ reward_id, time_zone, starts_on: day, ends_on: day }, { draft: true });
      const body = await campaignNow(shop, campaign);
      assert.deepEqual([body.starts_on, body.ends_on], [day, day], says);
      assert.deepEqual([read(body.starts_at), read(body.ends_at)], [iso(startOfDay(time_zone, day)), iso(endOfDay(time_zone, day))], says);
      const batch = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1, offline: true, expires_on: day }), 201);
      assert.equal(read(batch.expires_at), iso(endOfDay(time_zone, day)), says);
    }
  });

  test("a preview tells the end as the campaign does", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes(1, { time_zone: "Pacific/Chatham", ends_on: "2099-09-27" });
    const { body } = await preview(shop.member(), code);
    assert.equal(Date.parse(body.campaign.ends_at), endOfDay("Pacific/Chatham", "2099-09-27"));
    assert.equal((await campaignNow(shop, campaign)).ends_at, body.campaign.ends_at);
  });
});

// ---- counting ----------------------------------------------------------------------------------------------------------

describe("a limit holds for many at once", () => {
  for (const [name, limits, refusal] of limitsOf(7)) {
    test(`${name} of seven, twenty members`, async () => {
      const shop = openShop(edge);
      const { campaign, codes } = await shop.withCodes(20, { limits, time_zone: calmZone() });
      const members = crowd(shop, 20);
      assertTally(await attempts(members, codes), 7, refusal);
      assert.equal((await campaignNow(shop, campaign)).redeemed, 7);
      assert.equal((await Promise.all(members.map((one) => creditOf(one)))).reduce((sum, one) => sum + one), 7 * WORTH);
      await assertVerified(shop, { campaign });
    });
  }

  for (const [name, limits, refusal] of memberLimitsOf(3)) {
    test(`${name} of three, ten codes`, async () => {
      const shop = openShop(edge);
      const { codes } = await shop.withCodes(10, { limits, time_zone: calmZone() });
      const ann = shop.member();
      assertTally(await attempts(codes.map(() => ann), codes), 3, refusal);
      assert.equal(await creditOf(ann), 3 * WORTH);
    });
  }

  test("three uses of a code, twelve members", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { limits: { uses_per_code: 3 } });
    assertTally(await attempts(crowd(shop, 12), code), 3, "already_redeemed");
  });
});

describe("a use that comes back frees every limit it was charged to", () => {
  for (const way of waysBack) {
    for (const [name, limits, refusal] of [...limitsOf(1), ...memberLimitsOf(1)]) {
      test(`${way.name}: ${name} of one`, async (t) => {
        const shop = openShop(edge);
        const { reward_id, fulfiller } = await way.open(t, shop);
        const { campaign, codes } = await shop.withCodes(3, { reward_id, limits, time_zone: calmZone() });
        const ann = shop.member();
        const next = refusal === "member_limit_reached" ? ann : shop.member();
        const giveBack = await way.use(shop, ann, codes[0]);
        expectProblem(await redeem(next, codes[1]), 409, refusal);
        await giveBack();
        fulfiller?.behave((exchange) => exchange.answer(200, '{"outcome":"granted"}', { "content-type": "application/json" }));
        await redeemedAgain(next, codes[1]);
        expectProblem(await redeem(next, codes[2]), 409, refusal);
        await until(() => campaignNow(shop, campaign), ({ redeemed: count }) => count === 1);
        await assertVerified(shop, { campaign });
        await assertVerified(shop, { member_id: ann.sub });
      });
    }
  }

  test("what is reversed without giving back stays charged", async () => {
    const shop = openShop(edge);
    const manager = shop.as("manager");
    for (const [, limits, refusal] of [...limitsOf(1), ...memberLimitsOf(1)]) {
      const { codes } = await shop.withCodes(2, { limits, time_zone: calmZone() });
      const ann = shop.member();
      const { redemption_id } = await redeemed(ann, codes[0]);
      expectStatus(await manager.post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "a slip" }, { key: unique("k-") }), 200);
      expectProblem(await redeem(ann, codes[1]), 409, refusal);
    }
  });
});

// ---- the resource --------------------------------------------------------------------------------------------------------

describe("a campaign's resource", () => {
  const KNOWN = [
    ...["campaign", "name", "profile", "kind", "reward_id", "quantity", "time_zone", "starts_on", "starts_at", "ends_on", "ends_at", "limits"],
    ...["eligibility", "currencies", "methods", "min_epoch", "aliases", "alias_public", "expected_rate", "status", "version", "in_force"],
    ...["issued", "redeemed", "refused", "failed_tags", "breaker"],
  ];
  test("has the fields of the contract and no others, with the breaker's steps of its profile", async () => {
    const shop = openShop(edge);
    for (const [profile, steps] of [["S16", [2 ** 8, 2 ** 10, 2 ** 14]], ["S20", [2 ** 10, 2 ** 16, 2 ** 20]], ["S25", [2 ** 10, 2 ** 16, 2 ** 20]]]) {
      const { campaign } = await shop.campaign({ profile, reward_id: await define(shop, "feature") });
      const body = await campaignNow(shop, campaign);
      assert.deepEqual(Object.keys(body).filter((name) => !KNOWN.includes(name)), [], JSON.stringify(body));
      assert.deepEqual([body.refused, body.failed_tags, body.in_force], [{}, 0, true]);
      const { state, failed_tags, alarm_at, challenge_at, refuse_at, ...others } = body.breaker;
      assert.deepEqual([state, failed_tags, alarm_at, challenge_at, refuse_at, others], ["closed", 0, ...steps, {}]);
    }
  });

  test("counts refusals by their code, in its own time", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(3, { limits: { total: 1 } });
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    expectProblem(await redeem(ann, codes[0]), 409, "already_redeemed_by_you");
    for (const code of codes.slice(1)) expectProblem(await redeem(ann, code), 409, "campaign_limit_reached");
    const body = await until(() => campaignNow(shop, campaign), ({ refused = {} }) => refused.campaign_limit_reached === 2 && refused.already_redeemed_by_you === 1, 15_000);
    assert.deepEqual([body.refused, body.redeemed], [{ campaign_limit_reached: 2, already_redeemed_by_you: 1 }, 1]);
  });
});

// ---- changes -----------------------------------------------------------------------------------------------------------

describe("changes", () => {
  test("pause, end and activation decide the very next redemption", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(12);
    for (const code of codes.slice(0, 10)) {
      const paused = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/pause`), 200);
      assert.deepEqual([paused.status, paused.in_force], ["paused", true]);
      expectProblem(await redeem(shop.member(), code), 409, "campaign_not_active");
      const active = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/activate`), 200);
      assert.deepEqual([active.status, active.in_force], ["active", true]);
      await redeemed(shop.member(), code);
    }
    const ended = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/end`), 200);
    assert.deepEqual([ended.status, ended.in_force], ["ended", true]);
    expectProblem(await redeem(shop.member(), codes[10]), 410, "campaign_ended");
    await audited(shop, { action: "campaign.paused" }, { action: "campaign.activated" }, { action: "campaign.ended" });
  });

  test("every change is a version; the ETag is the version; what is minted, redeemed or recalled is none", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const at = `/v1/campaigns/${campaign}`;
    let version = 1;
    const steps = [
      () => patch(shop, campaign, { name: "B" }),
      () => patch(shop, campaign, { limits: { windows: [{ per: "week", total: 9 }] } }),
      () => patch(shop, campaign, { limits: { budget: money(10_000) } }),
      () => shop.admin.post(`${at}/activate`),
      () => shop.admin.post(`${at}/pause`),
      () => patch(shop, campaign, { expected_rate: null, limits: null }),
    ];
    for (const step of steps) {
      const answer = await step();
      const body = expectStatus(answer, 200, 202);
      assert.ok(body.version > version, `${body.version} after ${version}`);
      const read = await shop.admin.get(at);
      assert.deepEqual([read.body.version, read.headers.etag], [body.version, `"${body.version}"`]);
      if (answer.headers.etag) assert.equal(answer.headers.etag, read.headers.etag);
      version = body.version;
    }
    await shop.move(campaign, "activate");
    const before = await campaignNow(shop, campaign);
    await redeemed(shop.member(), await shop.code(campaign));
    expectStatus(await shop.admin.post(`${at}/recalls`, { all: true, reason: "lost" }), 201);
    const answer = await shop.admin.patch(at, { name: "C" }, { headers: { "if-match": `"${before.version}"` } });
    assert.equal(expectStatus(answer, 200, 202).version, before.version + 1, "neither a mint nor a redemption nor a recall is a change of the campaign");
  });

  test("need the present version: 428 without one, 412 with any other", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ limits: { total: 5 } });
    const before = await campaignNow(shop, campaign);
    const fields = { limits: { budget: money(5000) } };
    expectProblem(await shop.admin.patch(`/v1/campaigns/${campaign}`, fields), 428, "precondition_required");
    for (const version of [before.version - 1, before.version + 1]) {
      expectProblem(await shop.admin.patch(`/v1/campaigns/${campaign}`, fields, { headers: { "if-match": `"${version}"` } }), 412, "version_mismatch");
    }
    assert.deepEqual(await campaignNow(shop, campaign), before);
  });

  test("merge: null takes one limit away and leaves the others, a list of windows is replaced", async () => {
    const shop = openShop(edge);
    const windows = [{ per: "day", per_member: 1 }, { per: "month", total: 100, per_member: 3 }];
    const { campaign } = await shop.campaign({ limits: { total: 5, windows, budget: money(5000) }, expected_rate: 400 }, { draft: true });
    assert.deepEqual((await campaignNow(shop, campaign)).limits.windows, windows);
    const rows = [
      [{ limits: { budget: null } }, { total: 5, windows }],
      [{ limits: { windows: [{ per: "week", total: 7 }] } }, { total: 5, windows: [{ per: "week", total: 7 }] }],
      [{ limits: { budget: money(1) } }, { total: 5, windows: [{ per: "week", total: 7 }], budget: money(1) }],
      [{ limits: { budget: { amount_minor: 2 } } }, { total: 5, windows: [{ per: "week", total: 7 }], budget: money(2) }],
      [{ limits: { windows: null, total: null } }, { budget: money(2) }],
    ];
    for (const [change, limits] of rows) {
      const body = await shop.change(campaign, change);
      assert.deepEqual(Object.fromEntries(Object.entries(body.limits).filter(([name]) => !["uses_per_code", "per_member"].includes(name))), limits);
      assert.equal(body.expected_rate, 400);
    }
    assert.equal((await shop.change(campaign, { expected_rate: 1 })).expected_rate, 1);
    assert.equal((await shop.change(campaign, { expected_rate: null })).expected_rate, undefined);
  });

  test("the expected rate freezes at the first activation, and at the first mint", async () => {
    const shop = openShop(edge);
    const frozen = {
      activated: (campaign) => shop.move(campaign, "activate"),
      minted: (campaign) => shop.codes(campaign, 1),
      "minted offline": async (campaign) => expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1, offline: true }), 201),
    };
    for (const expected_rate of [undefined, 1000]) {
      for (const [name, freeze] of Object.entries(frozen)) {
        const { campaign } = await shop.campaign({ expected_rate }, { draft: true });
        await freeze(campaign);
        const before = await campaignNow(shop, campaign);
        for (const rate of [200, 100_000, null].filter((one) => one !== (expected_rate ?? null))) {
          const { errors } = expectProblem(await patch(shop, campaign, { expected_rate: rate }), 400, "invalid_request");
          assert.ok(errors.some(({ path }) => path === "expected_rate"), `${name}: ${JSON.stringify(errors)}`);
        }
        assert.deepEqual(await campaignNow(shop, campaign), before, name);
        await shop.change(campaign, { name: "Renamed", limits: { total: 3 }, time_zone: "Asia/Tokyo" });
      }
    }
  });

  test("a budget must fit the reward, whichever of the two is changed", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ reward_id: await define(shop, "xp") }, { draft: true });
    const { errors } = expectProblem(await patch(shop, campaign, { limits: { budget: money(5) } }), 400, "invalid_request");
    assert.ok(errors.some(({ path }) => path.startsWith("limits.budget")), JSON.stringify(errors));
    const credit = await define(shop, "credit");
    const changed = await shop.change(campaign, { reward_id: credit, limits: { budget: money(5) } });
    assert.deepEqual(changed.limits.budget, money(5));
    const back = await patch(shop, campaign, { reward_id: await define(shop, "xp") });
    expectProblem(back, 400, "invalid_request");
  });
});
