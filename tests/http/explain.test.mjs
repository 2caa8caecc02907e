// "Why not?": every rule for any code, member and instant, in agreement with what a redemption then answers, and without effect.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { HOUR, OF_CODES, OF_POINTS, SITUATIONS, ask, explained, failedOf, instant, really } from "./explain.mjs";
import { preview, wrongTags } from "./guard.mjs";
import { audited } from "./rewards.mjs";
import { creditOf, historyOf, ledgerOf, openShop, redeem, redeemed } from "./shop.mjs";
import { record, set } from "./till.mjs";
import { adjust, forSale, memberWith } from "./trade.mjs";
import { endOfDay, plusDays, startOfDay } from "./zones.mjs";

const edge = edgeForThisFile();
const DAY = 24 * HOUR;

describe("an explanation agrees with what is then answered", { concurrency: 4 }, () => {
  const lists = new Set();
  for (const [what, code, make] of SITUATIONS) {
    test(`${what}: ${code ?? "redeemed"}`, async () => {
      const asked = await make(edge);
      const { shop, member, fields, reward_id } = asked;
      const body = await explained(shop, { member_id: member.sub, ...(reward_id ? { reward_id } : { code: asked.code }), ...fields });
      assert.equal(body.refusal?.code, code, JSON.stringify(body));
      if (code !== "malformed_code") {
        const names = body.rules.map(({ rule }) => rule);
        for (const rule of reward_id ? OF_POINTS : OF_CODES) assert.ok(names.includes(rule), `${rule} in ${names}`);
        if (!reward_id) lists.add(names.join());
      }
      const answer = await really(asked);
      if (code === undefined) {
        expectStatus(answer, 201);
      } else {
        assert.equal(answer.body.code, code, answer.text);
        const { code: name, ...extras } = body.refusal;
        for (const [key, value] of Object.entries(extras)) assert.deepEqual(value, answer.body[key], `${key} of ${name}: ${JSON.stringify(body.refusal)} and ${answer.text}`);
        for (const key of ["unmet", "earlier_redemption_id", "held_until", "window_ends_at", "points_needed", "available", "requested", "position", "reason"]) assert.deepEqual(extras[key], answer.body[key], `${key} of ${answer.text}`);
      }
      // A campaign is told of a code that is one of its own, and of no other.
      if (code !== "too_many_attempts") assert.equal(body.campaign !== undefined, !reward_id && !["malformed_code", "code_not_recognised"].includes(code), JSON.stringify(body));
    });
  }

  after(() => assert.equal(lists.size, 1, `the same rules for every code: ${[...lists].join("\n")}`));
});

test("every rule that fails is listed, not only the first", async () => {
  const shop = openShop(edge);
  const { code, campaign } = await shop.withCodes(1, { methods: ["api"], currencies: ["USD"], eligibility: { tiers: ["gold"] }, starts_at: instant(Date.now() + HOUR) });
  const ann = shop.member();
  const fields = { code, member_id: ann.sub, method: "frontend", currency: "EUR" };
  const wrong = ["campaign_not_started", "redemption_method_not_allowed", "currency_not_allowed", "not_eligible"];
  const body = await explained(shop, fields);
  assert.deepEqual(failedOf(body), wrong);
  assert.deepEqual([body.campaign.campaign, body.campaign.name, body.reward.name], [campaign, "Welcome", "Five euros"]);
  const better = { method: "api", currency: "USD", as: { tier: "gold" }, at: instant(Date.now() + 2 * HOUR) };
  for (const [place, [name, value]] of Object.entries([["at", better.at], ["method", "api"], ["currency", "USD"], ["as", better.as]])) {
    fields[name] = value;
    assert.deepEqual(failedOf(await explained(shop, fields)), wrong.slice(Number(place) + 1), name);
  }
});

describe("at any instant", () => {
  const zones = [["UTC", "2031-06-01", "2031-06-30"], ["America/New_York", "2031-03-08", "2031-03-09"], ["Australia/Sydney", "2031-04-05", "2031-04-06"], ["Asia/Kathmandu", "2031-12-31", "2031-12-31"]];
  for (const [time_zone, starts_on, ends_on] of zones) {
    test(`${starts_on} to ${ends_on} in ${time_zone}, the last day inclusive`, async () => {
      const shop = openShop(edge);
      const { code } = await shop.withCodes(1, { time_zone, starts_on, ends_on });
      const [start, end] = [startOfDay(time_zone, starts_on), endOfDay(time_zone, ends_on)];
      for (const [at, expected] of [[start - 1000, "campaign_not_started"], [start, undefined], [end - 1000, undefined], [end, "campaign_ended"], [end + 400 * DAY, "campaign_ended"]]) {
        const body = await explained(shop, { code, member_id: "ann", at: instant(at) });
        assert.equal(body.refusal?.code, expected, instant(at));
        assert.equal(Date.parse(body.at), at);
      }
    });
  }

  test("the end of a batch counts as well", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const expires_on = "2031-02-28";
    const code = await shop.code(campaign, { expires_on });
    const end = endOfDay("UTC", expires_on);
    for (const [at, expected] of [[end - 1000, undefined], [end, "code_expired"]]) assert.equal((await explained(shop, { code, member_id: "ann", at: instant(at) })).refusal?.code, expected);
  });

  test("a window that is full today is open tomorrow", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(2, { limits: { windows: [{ per: "day", per_member: 1 }, { per: "month", total: 5 }] } });
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    const today = new Date().toISOString().slice(0, 10);
    const fields = { code: codes[1], member_id: ann.sub };
    const full = await explained(shop, fields);
    assert.equal(full.refusal.code, "member_limit_reached");
    assert.equal(Date.parse(full.refusal.window_ends_at), endOfDay("UTC", today));
    const tomorrow = await explained(shop, { ...fields, at: full.refusal.window_ends_at });
    assert.deepEqual([tomorrow.would, tomorrow.refusal], ["redeem", undefined]);
    assert.equal((await explained(shop, { ...fields, at: `${plusDays(today, -1)}T12:00:00Z` })).would, "redeem");
  });

  test("with an offset or a fraction is the same instant", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { starts_at: "2031-01-01T00:00:00Z" });
    for (const [at, expected] of [["2031-01-01T01:00:00+01:00", undefined], ["2030-12-31T23:59:59.999Z", "campaign_not_started"], ["2031-01-01T00:00:00+00:01", "campaign_not_started"]]) {
      assert.equal((await explained(shop, { code, member_id: "ann", at })).refusal?.code, expected, at);
    }
  });
});

describe("as somebody else would be", () => {
  test("each attribute is taken instead of the member's own, and is not kept", async () => {
    const shop = openShop(edge);
    const rows = [
      [{ tiers: ["gold"] }, { tier: "gold" }, { tier: "silver" }],
      [{ personas: ["parent"] }, { persona: "parent" }, { persona: "child" }],
      [{ tags_any: ["vip"] }, { tags: ["new", "vip"] }, { tags: [] }],
      [{ roles: ["w"] }, { roles: ["w"] }, { roles: ["x"] }],
      [{ tags_none: ["blocked"] }, { tags: [] }, { tags: ["blocked"] }],
    ];
    for (const [eligibility, good, bad] of rows) {
      const { code } = await shop.withCodes(1, { eligibility });
      const [ann, bob] = [shop.member(), shop.member()];
      await record(shop, ann, good);
      await record(shop, bob, bad);
      const would = async (member, as) => (await explained(shop, { code, member_id: member.sub, ...(as && { as }) })).would;
      assert.deepEqual([await would(ann), await would(bob), await would(ann, bad), await would(bob, good), await would(ann), await would(bob)], ["redeem", "refuse", "refuse", "redeem", "redeem", "refuse"], JSON.stringify(eligibility));
      expectProblem(await redeem(bob, code), 403, "not_eligible");
      await redeemed(ann, code);
    }
  });

  test("a price by tier is that tier's", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 60);
    const reward_id = await forSale(shop, 100, { prices: [{ tier: "gold", points_cost: 50 }] });
    const fields = { reward_id, member_id: ann.sub };
    const short = await explained(shop, fields);
    assert.deepEqual([short.refusal.code, short.refusal.points_needed], ["insufficient_points", 40]);
    assert.equal((await explained(shop, { ...fields, as: { tier: "gold" } })).would, "redeem");
    assert.equal((await explained(shop, { ...fields, quantity: 2, as: { tier: "gold" } })).refusal.points_needed, 40);
  });

  test("the member's own attributes are shown, as they were used", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    await record(shop, ann, { tier: "gold", tags: ["vip"], name: "Ann Example" });
    const { member } = await explained(shop, { code, member_id: ann.sub });
    assert.match(JSON.stringify(member), /"gold"/);
    assert.match(JSON.stringify(member), /"vip"/);
    const as = (await explained(shop, { code, member_id: ann.sub, as: { tier: "bronze" } })).member;
    assert.match(JSON.stringify(as), /"bronze"/);
    assert.doesNotMatch(JSON.stringify(as), /"gold"/);
  });
});

describe("without effect", () => {
  test("consumes nothing, counts no attempt, holds nothing, and leaves no line", async () => {
    const shop = openShop(edge);
    await set(shop, { attempts_per_day: 2 });
    const { code, campaign } = await shop.withCodes(1, { limits: { total: 1, per_member: 1, windows: [{ per: "day", total: 1 }], budget: { currency: "EUR", amount_minor: 500 } } });
    const ann = shop.member();
    const wrong = wrongTags(shop, campaign, 5);
    for (let times = 0; times < 4; times += 1) {
      for (const text of [code, ...wrong, "NOSUCHWORD", "a*b"]) await explained(shop, { code: text, member_id: ann.sub });
    }
    assert.deepEqual([await historyOf(ann), await ledgerOf(ann), await creditOf(ann)], [[], [], 0]);
    expectProblem(await redeem(ann, wrong[0]), 404, "code_not_recognised");
    const { failed_tags, redeemed: count } = expectStatus(await shop.admin.get(`/v1/campaigns/${campaign}`), 200);
    assert.ok(failed_tags <= 1, `an explanation is no guess: ${failed_tags}`);
    assert.equal(count, 0);
    expectProblem(await redeem(ann, wrong[1]), 404, "code_not_recognised");
    expectProblem(await redeem(ann, code), 429, "too_many_attempts");
    await redeemed(shop.member(), code);
    const lines = await audited(shop, { action: "redemption.granted" }, { action: "code.unrecognised" });
    assert.deepEqual(lines.filter(({ action }) => /expla/.test(action)), []);
  });

  test("of a purchase, takes no points and no promo code", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 100);
    for (let times = 0; times < 3; times += 1) assert.equal((await explained(shop, { reward_id, member_id: ann.sub })).would, "redeem");
    expectStatus(await redeem(ann, undefined, { reward_id }), 201);
    assert.equal((await explained(shop, { reward_id, member_id: ann.sub })).refusal.points_needed, 100);
    expectStatus(await adjust(shop, ann, { amount: 100 }), 201);
    assert.equal((await explained(shop, { reward_id, member_id: ann.sub })).would, "redeem");
  });

  test("a preview lists the same rules for the member who asks", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes(1, { currencies: ["USD"], limits: { per_member: 1 } });
    const ann = shop.member();
    for (const currency of [undefined, "EUR", "USD"]) {
      const own = expectStatus(await preview(ann, code, { currency }), 200);
      const { rules, would, refusal } = await explained(shop, { code, member_id: ann.sub, method: "frontend", ...(currency && { currency }) });
      const told = new Map(rules.map(({ rule, passed }) => [rule, passed]));
      for (const { rule, passed } of own.rules) assert.equal(told.get(rule), passed, rule);
      assert.deepEqual([own.would, own.refusal?.code], [would, refusal?.code]);
    }
  });
});

describe("bad questions", () => {
  const rows = [
    ["nothing to explain", { code: undefined }, undefined],
    ["a code and a reward", { reward_id: "r" }, undefined],
    ["no member", { member_id: undefined }, "member_id"],
    ["an empty member", { member_id: "" }, "member_id"],
    ["a numeric member", { member_id: 7 }, "member_id"],
    ["a numeric code", { code: 7 }, "code"],
    ["a quantity of a code", { quantity: 2 }, "quantity"],
    ["a quantity of none", { code: undefined, reward_id: "r", quantity: 0 }, "quantity"],
    ["a quantity of 101", { code: undefined, reward_id: "r", quantity: 101 }, "quantity"],
    ["a currency in lower case", { currency: "eur" }, "currency"],
    ["a method that there is not", { method: "drone" }, "method"],
    ["an instant without a zone", { at: "2031-01-01T00:00:00" }, "at"],
    ["a day that there is not", { at: "2031-02-30T00:00:00Z" }, "at"],
    ["a numeric instant", { at: 1_900_000_000 }, "at"],
    ["a numeric tier", { as: { tier: 7 } }, "as"],
    ["tags that are no list", { as: { tags: "vip" } }, "as"],
    ["an unknown attribute", { as: { colour: "red" } }, "as"],
    ["attributes that are a list", { as: [] }, "as"],
    ["an unknown field", { surprise: 1 }, "surprise"],
  ];
  test(`${rows.length} of them, and the wrong callers`, async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    for (const [name, change, path] of rows) {
      const { errors } = expectProblem(await ask(shop, { code, member_id: ann.sub, ...change }), 400, "invalid_request");
      if (path) assert.ok(errors.some((error) => error.path.startsWith(path)), `${name}: ${JSON.stringify(errors)}`);
    }
    expectProblem(await ask(shop, { reward_id: "nothing", member_id: ann.sub }), 404, "not_found");
    for (const by of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await ask(shop, { code, member_id: ann.sub }, by), 403, "forbidden");
  });

  test("a member nobody has seen yet is one with nothing", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    assert.equal((await explained(shop, { code, member_id: "nobody-yet" })).would, "redeem");
  });
});
