// Situations in which a code or a purchase is asked for, each with what must be answered: the suite explains first and redeems
// then. Every row makes its own shop and answers what to ask: `{shop, member, code | reward_id, fields}`.
import assert from "node:assert/strict";
import { expectStatus } from "./client.mjs";
import { hold } from "./checkout.mjs";
import { forge, mint } from "./code.mjs";
import { unique } from "./env.mjs";
import { miss, wrongTags } from "./guard.mjs";
import { define } from "./rewards.mjs";
import { INSTANT, openShop, redeem, redeemed } from "./shop.mjs";
import { record, set } from "./till.mjs";
import { forSale, memberWith, openPool } from "./trade.mjs";

export const HOUR = 3_600_000;
export const instant = (ms) => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000", "");
const later = (offset) => instant(Date.now() + offset);

/** The rules by the names of their refusals, in order of precedence. */
export const ORDER = [
  "malformed_code", "too_many_attempts", "code_not_recognised", "code_recalled", "campaign_not_active", "campaign_not_started", "campaign_ended", "code_expired",
  "redemption_method_not_allowed", "currency_not_allowed", "not_eligible", "already_redeemed_by_you", "already_redeemed", "code_held", "member_limit_reached",
  "campaign_limit_reached", "budget_exhausted", "reward_not_for_sale", "insufficient_points", "insufficient_codes",
];
/** What is asked of every code. */
export const OF_CODES = ORDER.slice(ORDER.indexOf("code_not_recognised"), ORDER.indexOf("budget_exhausted") + 1);
export const OF_POINTS = ["not_eligible", "reward_not_for_sale", "insufficient_points"];

export const ask = (shop, fields, by = shop.admin) => by.post("/v1/explain", fields);

/** Explains, and asserts what holds of every explanation. */
export async function explained(shop, fields) {
  const body = expectStatus(await ask(shop, fields), 200);
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !["at", "would", "refusal", "campaign", "reward", "member", "rules"].includes(name)), [], says);
  assert.match(body.at, INSTANT, says);
  assert.equal(body.member.member_id, fields.member_id, says);
  for (const one of body.rules) {
    assert.deepEqual(Object.keys(one).filter((name) => !["rule", "passed", "detail"].includes(name)), [], says);
    assert.deepEqual([typeof one.rule, typeof one.passed], ["string", "boolean"], says);
    if (one.detail !== undefined) assert.ok(typeof one.detail === "string" && one.detail.length > 0, says);
  }
  const names = body.rules.map(({ rule }) => rule);
  assert.deepEqual(names, ORDER.filter((name) => names.includes(name)), `each published rule at most once, in order of precedence; ${says}`);
  const failed = body.rules.filter(({ passed }) => !passed);
  for (const { detail, rule } of failed) assert.equal(typeof detail, "string", `${rule} says why; ${says}`);
  assert.equal(body.would, failed.length === 0 ? "redeem" : "refuse", says);
  assert.equal(body.refusal?.code, failed[0]?.rule, `the first that fails is the refusal; ${says}`);
  return body;
}

export const failedOf = ({ rules }) => rules.filter(({ passed }) => !passed).map(({ rule }) => rule);

/** An active campaign with a code, and a member. */
const ofCampaign = (fields, { change, as = {}, asked = {} } = {}) => async (edge) => {
  const shop = openShop(edge);
  const opened = await shop.withCodes(1, fields);
  const member = shop.member();
  if (Object.keys(as).length > 0) await record(shop, member, as);
  if (change) await change(shop, opened, member);
  return { shop, member, code: opened.code, fields: asked };
};

/** A shared campaign of a word, and a member. */
const ofWord = (fields, change) => async (edge) => {
  const shop = openShop(edge);
  const { campaign } = await shop.campaign({ kind: "shared", aliases: ["SPRING2026"], ...fields });
  const member = shop.member();
  if (change) await change(shop, campaign, member);
  return { shop, member, code: "spring-2026", fields: {} };
};

const ofPurchase = (points, make, fields = {}) => async (edge) => {
  const shop = openShop(edge);
  const member = await memberWith(shop, points);
  return { shop, member, reward_id: await make(shop), fields };
};

const recall = async (shop, campaign, body) => {
  expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/recalls`, { reason: "printed wrong", ...body }), 201, 202);
  await shop.inForce(campaign);
};

/** `[what, refusal or undefined, make]`. */
export const SITUATIONS = [
  ["a good code", undefined, ofCampaign({})],
  ["a malformed code", "malformed_code", async (edge) => {
    const asked = await ofCampaign({})(edge);
    return { ...asked, code: asked.code.replace(/.$/, (last) => (last === "Z" ? "Y" : "Z")) };
  }],
  ["an account that guessed too often", "too_many_attempts", ofCampaign({}, { change: async (shop, { campaign }, member) => {
    await set(shop, { attempts_per_day: 1 });
    await miss(member, wrongTags(shop, campaign, 1));
  } })],
  ["a wrong tag", "code_not_recognised", async (edge) => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes(1);
    return { shop, member: shop.member(), code: forge(shop.keys(campaign), 0), fields: {} };
  }],
  ["a code that was never issued", "code_not_recognised", async (edge) => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes(1);
    return { shop, member: shop.member(), code: mint(shop.keys(campaign), 2 ** 24 - 1).code, fields: {} };
  }],
  ["a word that there is not", "code_not_recognised", async (edge) => {
    const shop = openShop(edge);
    return { shop, member: shop.member(), code: "NOSUCHWORD", fields: {} };
  }],
  ["another merchant's code", "code_not_recognised", async (edge) => {
    const other = await openShop(edge).withCodes(1);
    const shop = openShop(edge);
    return { shop, member: shop.member(), code: other.code, fields: {} };
  }],
  ["a recalled code", "code_recalled", ofCampaign({}, { change: (shop, { campaign }) => recall(shop, campaign, { all: true }) })],
  ["an epoch below the least", "code_recalled", ofCampaign({}, { change: (shop, { campaign }) => shop.change(campaign, { min_epoch: 1 }) })],
  ["a paused campaign", "campaign_not_active", ofCampaign({}, { change: (shop, { campaign }) => shop.move(campaign, "pause") })],
  ["a campaign of tomorrow", "campaign_not_started", ofCampaign({ starts_at: later(24 * HOUR) })],
  ["a campaign of yesterday", "campaign_ended", ofCampaign({ ends_at: later(-24 * HOUR) })],
  ["a campaign that was ended", "campaign_ended", ofCampaign({}, { change: (shop, { campaign }) => shop.move(campaign, "end") })],
  ["a batch that is over", "code_expired", async (edge) => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    return { shop, member: shop.member(), code: await shop.code(campaign, { expires_at: later(-HOUR) }), fields: {} };
  }],
  ["a campaign for shops' servers alone", "redemption_method_not_allowed", ofCampaign({ methods: ["api"] }, { asked: { method: "frontend" } })],
  ["a campaign for pages alone", undefined, ofCampaign({ methods: ["frontend"] }, { asked: { method: "frontend" } })],
  ["another currency", "currency_not_allowed", ofCampaign({ currencies: ["USD"] }, { asked: { currency: "EUR" } })],
  ["no currency where one is asked for", "currency_not_allowed", ofCampaign({ currencies: ["USD"] })],
  ["the right currency", undefined, ofCampaign({ currencies: ["USD"] }, { asked: { currency: "USD" } })],
  ["another tier", "not_eligible", ofCampaign({ eligibility: { tiers: ["gold"] } }, { as: { tier: "silver" } })],
  ["the right tier", undefined, ofCampaign({ eligibility: { tiers: ["gold"] } }, { as: { tier: "gold" } })],
  ["nothing that is asked for", "not_eligible", ofCampaign({ eligibility: { roles: ["w"], tiers: ["gold"], personas: ["parent"], tags_any: ["vip"] } })],
  ["a tag that shuts out", "not_eligible", ofCampaign({ eligibility: { tags_none: ["blocked"] } }, { as: { tags: ["blocked", "vip"] } })],
  ["the right role", undefined, ofCampaign({ eligibility: { roles: ["w"] } }, { as: { roles: ["w"] } })],
  ["a code that the member used", "already_redeemed_by_you", ofCampaign({}, { change: (shop, { code }, member) => redeemed(member, code) })],
  ["a code that another used", "already_redeemed", ofCampaign({}, { change: (shop, { code }) => redeemed(shop.member(), code) })],
  ["a code that another's order holds", "code_held", ofCampaign({}, { change: async (shop, { code }) => expectStatus(await hold(shop.member(), "o", { code }), 201) })],
  ["a member who had all", "member_limit_reached", ofCampaign({ limits: { per_member: 1 } }, { change: async (shop, { campaign }, member) => redeemed(member, await shop.code(campaign)) })],
  ["a member who had all of today", "member_limit_reached", ofCampaign({ limits: { windows: [{ per: "day", per_member: 1 }] } }, { change: async (shop, { campaign }, member) => redeemed(member, await shop.code(campaign)) })],
  ["a campaign that gave all", "campaign_limit_reached", ofCampaign({ limits: { total: 1 } }, { change: async (shop, { campaign }) => redeemed(shop.member(), await shop.code(campaign)) })],
  ["a campaign that gave all of this week", "campaign_limit_reached", ofCampaign({ limits: { windows: [{ per: "week", total: 1 }] } }, { change: async (shop, { campaign }) => redeemed(shop.member(), await shop.code(campaign)) })],
  ["a budget that is spent", "budget_exhausted", ofCampaign({ limits: { budget: { currency: "EUR", amount_minor: 999 } } }, { change: async (shop, { campaign }) => redeemed(shop.member(), await shop.code(campaign)) })],
  ["a campaign of several shards that gave all", "campaign_limit_reached", ofCampaign({ expected_rate: 1000, limits: { total: 4 } }, { change: async (shop, { campaign }) => {
    for (const { code } of await shop.codes(campaign, 4)) await redeemed(shop.member(), code);
  } })],
  ["a campaign of several shards with one use left", undefined, ofCampaign({ expected_rate: 1000, limits: { total: 4, budget: { currency: "EUR", amount_minor: 2000 } } }, { change: async (shop, { campaign }) => {
    for (const { code } of await shop.codes(campaign, 3)) await redeemed(shop.member(), code);
  } })],
  ["a good word of several shards", undefined, ofWord({ expected_rate: 1000 }, (shop) => redeemed(shop.member(), "SPRING2026"))],
  ["a good word", undefined, ofWord({})],
  ["a word that the member used", "already_redeemed_by_you", ofWord({}, (shop, campaign, member) => redeemed(member, "SPRING2026"))],
  ["a word of a paused campaign", "campaign_not_active", ofWord({}, (shop, campaign) => shop.move(campaign, "pause"))],
  ["several things wrong at once", "campaign_not_active", ofCampaign({ starts_at: later(HOUR), currencies: ["USD"], eligibility: { tiers: ["gold"] } }, { change: (shop, { campaign }) => shop.move(campaign, "pause") })],
  ["points enough", undefined, ofPurchase(100, (shop) => forSale(shop, 100))],
  ["too few points", "insufficient_points", ofPurchase(30, (shop) => forSale(shop, 100))],
  ["too few points for so many", "insufficient_points", ofPurchase(250, (shop) => forSale(shop, 100), { quantity: 3 })],
  ["a reward without a price", "reward_not_for_sale", ofPurchase(100, (shop) => define(shop, "external"))],
  ["a reward for others", "not_eligible", ofPurchase(100, (shop) => forSale(shop, 100, { eligibility: { tiers: ["gold"] } }))],
  ["a pool with too little", "insufficient_codes", ofPurchase(500, async (shop) => forSale(shop, 100, { pool_id: (await openPool(shop, 2)).pool_id }), { quantity: 3 })],
];

/** Really asks for it: what was explained must come out. */
export function really({ member, code, reward_id, fields: { method, ...fields } }) {
  return redeem(member, code, { ...fields, ...(reward_id && { reward_id, code: undefined }), key: unique("k-") });
}

