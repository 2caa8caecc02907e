// Aliases: memorable words that stand for a shared campaign's one code. Reading, limits, who learns what, taking over,
// and throttling.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { committed, held } from "./checkout.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, define } from "./rewards.mjs";
import { FIVE_SHARDS, HOUR, WORTH, assertTally, attempts, calmZone, campaignNow, crowd, instant, money, patch, preview } from "./rules.mjs";
import { creditOf, historyOf, openShop, redeem, redeemed } from "./shop.mjs";
import { set } from "./till.mjs";

const edge = edgeForThisFile();
const shared = (shop, aliases, fields = {}, options) => shop.campaign({ kind: "shared", aliases, ...fields }, options);
/** A word that nobody else uses: the reading rules leave it as it is. */
const word = () => unique("W").toUpperCase();
const unknown = (answer) => expectProblem(answer, 404, "code_not_recognised");
const namesAliases = (answer) => {
  const { errors } = expectProblem(answer, 400, "invalid_request");
  assert.ok(errors.some(({ path }) => path.startsWith("aliases")), JSON.stringify(errors));
};

describe("an alias", () => {
  test("redeems a shared campaign without a code minted, once for each member", async () => {
    const shop = openShop(edge);
    const { campaign } = await shared(shop, ["WELCOME10"]);
    const ann = shop.member();
    const redemption = await redeemed(ann, "WELCOME10");
    assert.deepEqual([redemption.campaign, redemption.kind], [campaign, "code"]);
    expectProblem(await redeem(ann, "WELCOME10"), 409, "already_redeemed_by_you", { earlier_redemption_id: redemption.redemption_id });
    await redeemed(shop.member(), "WELCOME10");
    const body = await campaignNow(shop, campaign);
    assert.deepEqual([body.redeemed, body.alias_public, body.aliases], [2, true, ["WELCOME10"]]);
    assert.equal(await creditOf(ann), WORTH);
    await assertVerified(shop, { campaign });
  });

  test("is read as a code is", async () => {
    const shop = openShop(edge);
    await shared(shop, ["WELCOME10", "BBB", "SUMMER-FUN.2027"]);
    const readings = {
      WELCOME10: ["welcome10", "WelcomeIO", "WE1C0ME1O", "we-lc ome_1.0", " Welcome\u00ad10 ", "\uff37\uff25\uff2c\uff23\uff2f\uff2d\uff25\uff11\uff10", "W\u2013ELC\u200bOME10"],
      BBB: ["bbb", "B-B-B"],
      "SUMMER-FUN.2027": ["summerfun2027", "Summer Fun 2027", "SUMMERFUN2O27"],
    };
    for (const texts of Object.values(readings)) for (const text of texts) await redeemed(shop.member(), text);
    for (const text of ["WELC0ME1", "WELCOME100", "WELKOME10", "BB8", "SUMMERFVN2027", "\u212aELVIN"]) {
      const answer = await redeem(shop.member(), text);
      assert.ok(["code_not_recognised", "malformed_code"].includes(answer.body.code), `${text}: ${answer.text}`);
    }
    for (const text of ["BB", "WELCOME1?", "WELCOME10!"]) {
      const answer = await redeem(shop.member(), text);
      assert.ok([404, 422].includes(answer.status), `${text}: ${answer.text}`);
    }
  });

  test("has three to fourteen symbols", async () => {
    const shop = openShop(edge);
    const words = ["ABC", "ABCDEFGHJKMNPQ", "123", "UUU"];
    await shared(shop, words);
    for (const text of words) await redeemed(shop.member(), text);
    const { reward_id } = await shop.reward();
    for (const aliases of [["AB"], ["ABCDEFGHJKMNPQR"], [""], ["   "], ["A-B"], ["WHAT?"], ["A\u00c4B"], ["A\nB\tC!"], [7], "ABCD", [], ["OK1", null], Array.from({ length: 21 }, word)]) {
      namesAliases(await shop.admin.post("/v1/campaigns", { name: "A", profile: "S20", kind: "shared", reward_id, aliases }));
    }
    expectStatus(await shop.admin.post("/v1/campaigns", { name: "A", profile: "S20", kind: "shared", reward_id, aliases: Array.from({ length: 20 }, word) }), 201);
  });

  test("is the campaign's one code: what is used by one is used by the other", async () => {
    const shop = openShop(edge);
    const [first, second] = [word(), word()];
    const { campaign } = await shared(shop, [first, second], { limits: { total: 3 } });
    const code = await shop.code(campaign);
    const [ann, bob, eve, dan] = crowd(shop, 4);
    await redeemed(ann, first);
    for (const text of [code, second, first]) expectProblem(await redeem(ann, text), 409, "already_redeemed_by_you");
    await redeemed(bob, code);
    expectProblem(await redeem(bob, second), 409, "already_redeemed_by_you");
    await redeemed(eve, second);
    for (const text of [code, first, second]) expectProblem(await redeem(dan, text), 409, "campaign_limit_reached");
    assert.equal((await campaignNow(shop, campaign)).redeemed, 3);
    await assertVerified(shop, { campaign });
  });

  test("at once by alias and by code: one for each member, and so many in all", async () => {
    for (const expected_rate of [undefined, FIVE_SHARDS]) {
      const shop = openShop(edge);
      const [first, second] = [word(), word()];
      const { campaign } = await shared(shop, [first, second], { limits: { total: 5 }, expected_rate });
      const code = await shop.code(campaign);
      const ann = shop.member();
      assertTally(await attempts([ann, ann, ann, ann], [first, second, code, first]), 1, "already_redeemed_by_you");
      assertTally(await attempts(crowd(shop, 15), Array.from({ length: 15 }, (_, at) => [first, second, code][at % 3])), 4, "campaign_limit_reached");
      await assertVerified(shop, { campaign });
    }
  });

  test("keeps limits of one member wider than one", async () => {
    const shop = openShop(edge);
    const alias = word();
    const { campaign } = await shared(shop, [alias], { time_zone: calmZone(), limits: { per_member: 3, windows: [{ per: "month", per_member: 2 }], budget: money(5 * WORTH) } });
    const code = await shop.code(campaign);
    const [ann, bob] = crowd(shop, 2);
    await redeemed(ann, alias);
    await redeemed(ann, code);
    expectProblem(await redeem(ann, alias), 409, "member_limit_reached");
    await shop.change(campaign, { limits: { windows: null } });
    await redeemed(ann, alias);
    expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you");
    await redeemed(bob, alias);
    await redeemed(bob, alias);
    expectProblem(await redeem(bob, code), 409, "budget_exhausted");
  });

  test("works in every way in: path, preview, checkout, a shop's server", async () => {
    const shop = openShop(edge);
    const alias = word();
    const { campaign } = await shared(shop, [alias], { reward_id: await define(shop, "discount"), name: "Spring" });
    const [ann, bob, eve, dan] = crowd(shop, 4);
    const dry = expectStatus(await preview(ann, alias.toLowerCase()), 200);
    assert.deepEqual([dry.would, dry.campaign.name, dry.reward.type], ["redeem", "Spring", "discount"]);
    expectStatus(await ann.post(`/v1/codes/${alias}/redemptions`, {}, { key: unique("k-") }), 201);
    expectStatus(await redeem(shop.service, alias, { member_id: bob.sub }), 201);
    assert.equal((await held(eve, "o", { code: alias })).applied_minor, 1000);
    await committed(shop, eve, "o");
    await redeemed(dan, alias);
    assert.equal((await campaignNow(shop, campaign)).redeemed, 4);
    assert.equal((await preview(ann, alias)).body.refusal.code, "already_redeemed_by_you");
  });

  test("under one key is one redemption, and another text under it another command", async () => {
    const shop = openShop(edge);
    const [first, second] = [word(), word()];
    await shared(shop, [first]);
    await shared(shop, [second]);
    const ann = shop.member();
    const key = unique("k-");
    const { redemption_id } = expectStatus(await redeem(ann, first, { key }), 201);
    const again = await redeem(ann, first, { key });
    assert.deepEqual([expectStatus(again, 201).redemption_id, again.headers["idempotent-replayed"]], [redemption_id, "true"]);
    expectProblem(await redeem(ann, second, { key }), 422, "idempotency_key_reused");
  });

  test("is refused by every rule, as its code is", async () => {
    const shop = openShop(edge);
    const alias = word();
    const { campaign } = await shared(shop, [alias], {}, { draft: true });
    const ann = shop.member();
    const refused = async (status, code) => expectProblem(await redeem(ann, alias), status, code);
    await refused(409, "campaign_not_active");
    await shop.move(campaign, "activate");
    await shop.change(campaign, { starts_at: instant(HOUR) });
    await refused(409, "campaign_not_started");
    await shop.change(campaign, { starts_at: null, ends_at: instant(-HOUR) });
    await refused(410, "campaign_ended");
    await shop.change(campaign, { ends_at: null, methods: ["api"] });
    await refused(403, "redemption_method_not_allowed");
    await shop.change(campaign, { methods: null, currencies: ["EUR"] });
    await refused(403, "currency_not_allowed");
    await shop.change(campaign, { currencies: null, eligibility: { tiers: ["gold"] } });
    await refused(403, "not_eligible");
    await shop.change(campaign, { eligibility: null });
    await shop.move(campaign, "pause");
    await refused(409, "campaign_not_active");
    await shop.move(campaign, "activate");
    await redeemed(ann, alias);
    await shop.move(campaign, "end");
    await refused(410, "campaign_ended");
  });
});

describe("an alias that is not public", () => {
  test("says of 4 to 11 that there is no such code, in the same words, and leaves no history", async () => {
    const shop = openShop(edge);
    const alias = word();
    const { campaign } = await shared(shop, [alias], { alias_public: false, limits: { total: 2 } }, { draft: true });
    const code = await shop.code(campaign);
    const used = shop.member();
    const states = [
      [{}, 409, "campaign_not_active"],
      [{ starts_at: instant(HOUR) }, 409, "campaign_not_started"],
      [{ starts_at: null, ends_at: instant(-HOUR) }, 410, "campaign_ended"],
      [{ ends_at: null, methods: ["api"] }, 403, "redemption_method_not_allowed"],
      [{ methods: null, currencies: ["EUR"] }, 403, "currency_not_allowed"],
      [{ currencies: null, eligibility: { tiers: ["gold"] } }, 403, "not_eligible"],
    ];
    for (const [at, [fields, status, name]] of states.entries()) {
      if (at === 1) await shop.move(campaign, "activate");
      if (at > 0) await shop.change(campaign, fields);
      const ann = shop.member();
      assert.deepEqual(unknown(await redeem(ann, alias)), unknown(await redeem(shop.member(), word())), name);
      assert.deepEqual(unknown(await preview(ann, alias)), unknown(await preview(shop.member(), word())), name);
      assert.deepEqual(await historyOf(ann), [], name);
      // Who holds the code itself still learns why.
      expectProblem(await redeem(shop.member(), code), status, name);
    }
    await shop.change(campaign, { eligibility: null });
    await redeemed(used, alias);
    unknown(await redeem(used, alias));
    expectProblem(await redeem(used, code), 409, "already_redeemed_by_you");
    await redeemed(shop.member(), alias);
    // 12 and up are told.
    expectProblem(await redeem(shop.member(), alias), 409, "campaign_limit_reached");
    await shop.change(campaign, { alias_public: true });
    expectProblem(await redeem(used, alias), 409, "already_redeemed_by_you");
  });
});

describe("which words a campaign has", () => {
  test("changes with its rules: taken away it is a miss, and it comes back", async () => {
    const shop = openShop(edge);
    const [first, second, third] = [word(), word(), word()];
    const { campaign } = await shared(shop, [first, second]);
    await shop.change(campaign, { aliases: [second, third] });
    unknown(await redeem(shop.member(), first));
    for (const text of [second, third]) await redeemed(shop.member(), text);
    await shop.change(campaign, { aliases: null });
    for (const text of [first, second, third]) unknown(await redeem(shop.member(), text));
    assert.deepEqual((await campaignNow(shop, campaign)).aliases ?? [], []);
    await shop.change(campaign, { aliases: [first] });
    await redeemed(shop.member(), first);
    const code = await shop.code(campaign);
    await shop.change(campaign, { aliases: null });
    await redeemed(shop.member(), code);
  });

  test("one word, one campaign: 409 for the second, and nothing of it is made", async () => {
    const shop = openShop(edge);
    const [taken, free] = ["SUMMER2027", word()];
    const first = await shared(shop, [taken]);
    const { reward_id } = await shop.reward();
    const count = async () => (await everyItem(shop.admin, "/v1/campaigns")).length;
    const before = await count();
    for (const text of [taken, "summer 2O27", "SUMMER-2027"]) {
      expectProblem(await shop.admin.post("/v1/campaigns", { name: "B", profile: "S20", kind: "shared", reward_id, aliases: [free, text] }), 409, "already_exists");
    }
    assert.equal(await count(), before);
    const other = await shared(shop, [free]);
    const resource = await campaignNow(shop, other.campaign);
    expectProblem(await patch(shop, other.campaign, { aliases: [word(), taken] }), 409, "already_exists");
    assert.deepEqual(await campaignNow(shop, other.campaign), resource);
    for (const [text, campaign] of [[taken, first.campaign], [free, other.campaign]]) assert.equal((await redeemed(shop.member(), text)).campaign, campaign);
    namesAliases(await patch(shop, other.campaign, { aliases: [free, free] }));
    namesAliases(await patch(shop, other.campaign, { aliases: ["HELLO", "HE110"] }));
  });

  test("given up by one it can be another's", async () => {
    const shop = openShop(edge);
    const text = word();
    const first = await shared(shop, [text]);
    const second = await shared(shop, [word()]);
    await shop.change(first.campaign, { aliases: null });
    await shop.change(second.campaign, { aliases: [text] });
    assert.equal((await redeemed(shop.member(), text)).campaign, second.campaign);
    expectProblem(await patch(shop, first.campaign, { aliases: [text] }), 409, "already_exists");
  });

  test("an ended campaign's can be taken over", async () => {
    const shop = openShop(edge);
    const text = word();
    const first = await shared(shop, [text]);
    const ann = shop.member();
    await redeemed(ann, text);
    await shop.move(first.campaign, "end");
    expectProblem(await redeem(shop.member(), text), 410, "campaign_ended");
    const second = await shared(shop, [text]);
    assert.equal((await redeemed(ann, text)).campaign, second.campaign);
    expectProblem(await shop.admin.post("/v1/campaigns", { name: "C", profile: "S20", kind: "shared", reward_id: second.reward_id, aliases: [text] }), 409, "already_exists");
  });

  test("one that is over by the clock only keeps its words", async () => {
    const shop = openShop(edge);
    const text = word();
    const { campaign, reward_id } = await shared(shop, [text], { ends_on: "2020-01-01" });
    const answer = await shop.admin.post("/v1/campaigns", { name: "C", profile: "S20", kind: "shared", reward_id, aliases: [text] });
    expectProblem(answer, 409, "already_exists");
    await shop.change(campaign, { ends_on: null });
    assert.equal((await redeemed(shop.member(), text)).campaign, campaign);
  });

  test("of eight that want it at once one gets it", async () => {
    const shop = openShop(edge);
    const text = word();
    const { reward_id } = await shop.reward();
    const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => shop.admin.post("/v1/campaigns", { name: `C${at}`, profile: "S20", kind: "shared", reward_id, aliases: [text] })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, ...Array(7).fill(409)]);
    for (const answer of answers.filter(({ status }) => status === 409)) expectProblem(answer, 409, "already_exists");
    const { campaign } = answers.find(({ status }) => status === 201).body;
    await shop.move(campaign, "activate");
    assert.equal((await redeemed(shop.member(), text)).campaign, campaign);
  });

  test("merchants have their own", async () => {
    const [one, other, third] = [openShop(edge), openShop(edge), openShop(edge)];
    const text = word();
    const made = await Promise.all([one, other].map((shop) => shared(shop, [text])));
    for (const [at, shop] of [one, other].entries()) assert.equal((await redeemed(shop.member(), text)).campaign, made[at].campaign);
    unknown(await redeem(third.member(), text));
    await one.move(made[0].campaign, "pause");
    await redeemed(other.member(), text);
  });

  test("only shared campaigns have any", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    namesAliases(await shop.admin.post("/v1/campaigns", { name: "U", profile: "S20", kind: "unique", reward_id, aliases: [word()] }));
    const unlike = await shop.campaign({ reward_id }, { draft: true });
    namesAliases(await patch(shop, unlike.campaign, { aliases: [word()] }));
    const text = word();
    const { campaign } = await shared(shop, [text], {}, { draft: true });
    expectProblem(await patch(shop, campaign, { kind: "unique" }), 400, "invalid_request");
    await shop.change(campaign, { kind: "unique", aliases: null });
    await shared(shop, [text]);
  });
});

describe("misses", () => {
  test("are counted for each account, apart from codes, and throttled", async () => {
    const shop = openShop(edge);
    await set(shop, { alias_attempts_per_day: 3 });
    const text = word();
    await shared(shop, [text]);
    const { codes } = await shop.withCodes(2);
    const ann = shop.member();
    for (let times = 0; times < 3; times += 1) unknown(await redeem(ann, word()));
    for (const guess of [word(), text]) expectProblem(await redeem(ann, guess), 429, "too_many_attempts");
    expectProblem(await preview(ann, text), 429, "too_many_attempts");
    await redeemed(shop.member(), text);
    // A code is something else than a word, and who was granted one is no stranger.
    await redeemed(ann, codes[0]);
    await redeemed(ann, text);
    unknown(await redeem(ann, word()));
  });

  test("of aliases that are there are none, whatever the rules say", async () => {
    const shop = openShop(edge);
    await set(shop, { alias_attempts_per_day: 2 });
    const text = word();
    const { campaign } = await shared(shop, [text], { currencies: ["EUR"] });
    const ann = shop.member();
    for (let times = 0; times < 4; times += 1) expectProblem(await redeem(ann, text), 403, "currency_not_allowed");
    await redeemed(ann, text, { currency: "EUR" });
    assert.equal((await campaignNow(shop, campaign)).redeemed, 1);
  });

  test("of members with an earlier grant are never too many", async () => {
    const shop = openShop(edge);
    await set(shop, { alias_attempts_per_day: 1 });
    const { code } = await shop.withCodes();
    const ann = shop.member();
    await redeemed(ann, code);
    for (let times = 0; times < 5; times += 1) unknown(await redeem(ann, word()));
  });
});
