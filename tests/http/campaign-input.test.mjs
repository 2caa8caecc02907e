// Every rule of a campaign out of range, rules that contradict each other, ids of others in every place an id fits: a named
// error each time, at creation and at a change alike, and nothing is changed by any of them.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { auditOf, audited, define } from "./rewards.mjs";
import { campaignNow, money, patch } from "./rules.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { openPool } from "./trade.mjs";

const edge = edgeForThisFile();
const MOST = Number.MAX_SAFE_INTEGER;
const inShort = (value) => JSON.stringify(value).replace(/(.)\1{40,}/g, "$1\u2026").slice(0, 110);

const limits = (fields) => ({ limits: fields });
const windows = (...list) => limits({ windows: list });
const budget = (value) => limits({ budget: value });
const numbers = [0, -1, 1.5, "5", true, [], {}, MOST + 1, 1e300];

/** `[path of the error, fields]`: wrong in a campaign of S20 and credit in euro, shared or not. */
const wrong = [
  // Whole numbers, each in its range.
  ...["total", "per_member", "uses_per_code"].flatMap((name) => numbers.map((value) => [`limits.${name}`, limits({ [name]: value })])),
  ...[0, -1, 1.5, "5", MOST].map((quantity) => ["quantity", { quantity }]),
  ...[-1, 8, 1.5, "0", 2 ** 32].map((min_epoch) => ["min_epoch", { min_epoch }]),
  ...[0, -1, 1.5, "200", true, 100_001, MOST + 1].map((expected_rate) => ["expected_rate", { expected_rate }]),
  // Windows.
  ...["day", {}, 7, { per: "day", total: 1 }].map((value) => ["limits.windows", limits({ windows: value })]),
  ...[7, "day", [], null].map((one) => ["limits.windows", windows(one)]),
  ["limits.windows", windows({ per: "day" })],
  ["limits.windows", windows({ total: 5 })],
  ...["hour", "year", "Day", "", 1].map((per) => ["limits.windows", windows({ per, total: 5 })]),
  ...["total", "per_member"].flatMap((name) => numbers.map((value) => ["limits.windows", windows({ per: "day", [name]: value })])),
  ["limits.windows", windows({ per: "day", total: 5, surprise: 1 })],
  ["limits.windows", windows({ per: "day", total: 5 }, { per: "day", total: 6 })],
  ["limits.windows", windows({ per: "week", per_member: 1 }, { per: "day", total: 6 }, { per: "week", total: 6 })],
  ["limits.windows", windows(...["day", "week", "month", "day"].map((per) => ({ per, total: 5 })))],
  // Budget.
  ...[5, "5", [], true].map((value) => ["limits.budget", budget(value)]),
  ["limits.budget", budget({ currency: "EUR" })],
  ["limits.budget", budget({ amount_minor: 5 })],
  ["limits.budget", budget({})],
  ...["eur", "EURO", "", 978].map((currency) => ["limits.budget", budget({ currency, amount_minor: 5 })]),
  ["limits.budget", budget(money(5, "USD"))],
  ...numbers.map((amount_minor) => ["limits.budget", budget({ currency: "EUR", amount_minor })]),
  ["limits.budget", budget({ ...money(5), per: "day" })],
  ["limits", limits({ per_day: 5 })],
  ["limits", { limits: "none" }],
  // Eligibility.
  ...["roles", "tiers", "personas", "tags_any", "tags_none"].flatMap((name) =>
    [7, "gold", {}, [7], [""], [null], [["gold"]], ["x".repeat(5000)]].map((value) => [`eligibility.${name}`, { eligibility: { [name]: value } }]),
  ),
  ["eligibility.tags_none", { eligibility: { tags_any: ["vip", "press"], tags_none: ["blocked", "press"] } }],
  ["eligibility", { eligibility: { countries: ["DE"] } }],
  ["eligibility", { eligibility: "gold" }],
  // Currencies, methods.
  ...["EUR", 7, {}, [7], ["eur"], ["EURO"], [""], [null]].map((currencies) => ["currencies", { currencies }]),
  ...["api", 7, {}, [7], ["sms"], ["API"], [""], [null]].map((methods) => ["methods", { methods }]),
  // Time.
  ...["Mars/Base", "", "europe", "UTC+1", "Europe/Berlin ", 1, []].map((time_zone) => ["time_zone", { time_zone }]),
  ...["starts", "ends"].flatMap((edgeOfIt) => [
    ...["2026-02-29", "2026-00-10", "26-01-01", "2026-01-01T00:00:00Z", "", 20260101].map((value) => [`${edgeOfIt}_on`, { [`${edgeOfIt}_on`]: value }]),
    ...["2026-01-01", "2026-01-01T00:00:00", "2026-01-01T24:00:01Z", "now", "", 1_767_225_600].map((value) => [`${edgeOfIt}_at`, { [`${edgeOfIt}_at`]: value }]),
    [edgeOfIt, { [`${edgeOfIt}_on`]: "2030-06-15", [`${edgeOfIt}_at`]: "2030-06-15T00:00:00Z" }],
  ]),
  ["ends", { starts_on: "2030-01-02", ends_on: "2030-01-01" }],
  ["ends", { starts_at: "2030-01-01T00:00:00Z", ends_at: "2030-01-01T00:00:00Z" }],
  ["ends", { starts_at: "2030-01-01T00:00:01Z", ends_at: "2030-01-01T00:00:00Z" }],
  ["ends", { starts_at: "2030-01-02T00:00:00Z", ends_on: "2030-01-01" }],
  ["ends", { starts_on: "2030-01-01", ends_at: "2030-01-01T00:00:00Z" }],
  // In Tokyo the second has begun where in Greenwich it is the first.
  ["ends", { time_zone: "Asia/Tokyo", starts_at: "2030-01-01T15:00:00Z", ends_on: "2030-01-01" }],
  // Names, and what nobody may set.
  ...["", " ", 7, [], "x".repeat(5000)].map((name) => ["name", { name }]),
  ...["nothing", "", 7, {}].map((reward_id) => ["reward_id", { reward_id }]),
  ...["S21", "s20", 20].map((profile) => ["profile", { profile }]),
  ...["both", "", 1].map((kind) => ["kind", { kind }]),
  ...["no", 1, []].map((alias_public) => ["alias_public", { alias_public }]),
  ...[7, "WORD", {}, ["AB"], ["MUCHTOOLONGWORD"], ["A?B"], ["\u00c4\u00d6\u00dc"], [7], [null], ["A1B", "a-1-b"]].map((aliases) => ["aliases", { aliases }]),
  ...["status", "version", "issued", "redeemed", "refused", "failed_tags", "breaker", "in_force", "surprise"].map((name) => [name, { [name]: name === "status" ? "active" : 1 }]),
];

const named = (errors, path) => errors.some((error) => error.path === path || error.path.startsWith(`${path}.`) || error.path.startsWith(`${path}[`) || (["starts", "ends"].includes(path) && error.path.startsWith(`${path}_`)));

const still = ({ refused, failed_tags, ...rest }) => rest;

describe(`${wrong.length} ways to get a rule wrong`, () => {
  let shop;
  let stage;
  before(async () => {
    shop = openShop(edge);
    const { reward_id } = await shop.reward();
    stage = {
      reward_id,
      unique: (await shop.campaign({ reward_id, limits: { total: 5 } }, { draft: true })).campaign,
      shared: (await shop.campaign({ reward_id, kind: "shared", aliases: [unique("W")] }, { draft: true })).campaign,
    };
  });

  test("at creation: named, and no campaign is made", async () => {
    const count = (await everyItem(shop.admin, "/v1/campaigns")).length;
    for (const [path, fields] of wrong) {
      const kind = path.startsWith("alias") ? "shared" : "unique";
      const answer = await shop.admin.post("/v1/campaigns", { name: "Wrong", profile: "S20", kind, reward_id: stage.reward_id, ...fields });
      const says = `${inShort(fields)}: ${answer.status} ${answer.text.slice(0, 300)}`;
      assert.deepEqual([answer.status, answer.body.code], [400, "invalid_request"], says);
      assert.ok(named(answer.body.errors, path), `${path} is named; ${says}`);
    }
    assert.equal((await everyItem(shop.admin, "/v1/campaigns")).length, count);
  });

  test("at a change: named, and neither version, rules nor audit log move", async () => {
    const before = await Promise.all([stage.unique, stage.shared].map((campaign) => campaignNow(shop, campaign)));
    for (const [path, fields] of wrong) {
      const kind = path.startsWith("alias") ? "shared" : "unique";
      const answer = await patch(shop, stage[kind], fields);
      const says = `${inShort(fields)}: ${answer.status} ${answer.text.slice(0, 300)}`;
      assert.deepEqual([answer.status, answer.body.code], [400, "invalid_request"], says);
      assert.ok(named(answer.body.errors, path), `${path} is named; ${says}`);
    }
    const after = await Promise.all([stage.unique, stage.shared].map((campaign) => campaignNow(shop, campaign)));
    assert.deepEqual(after.map(still), before.map(still));
    await shop.change(stage.unique, { name: "The only change" });
    await audited(shop, { action: "campaign.changed", object: `campaign/${stage.unique}` });
    const lines = (await auditOf(shop)).filter(({ object, action }) => object === `campaign/${stage.unique}` && action === "campaign.changed");
    assert.equal(lines.length, 1);
  });

  test("what must be there cannot be taken away", async () => {
    const before = await campaignNow(shop, stage.unique);
    for (const name of ["name", "kind", "reward_id", "campaign"]) {
      const { errors } = expectProblem(await patch(shop, stage.unique, { [name]: null }), 400, "invalid_request");
      assert.ok(named(errors, name), `${name}: ${JSON.stringify(errors)}`);
    }
    for (const body of ["[]", "7", '"x"', "null", "", "{"]) {
      const { headers } = await shop.admin.get(`/v1/campaigns/${stage.unique}`);
      const answer = await shop.admin.patch(`/v1/campaigns/${stage.unique}`, body, { headers: { "if-match": headers.etag, "content-type": "application/json" } });
      if (body !== "" || answer.status !== 200) expectStatus(answer, 400);
    }
    assert.equal((await campaignNow(shop, stage.unique)).name, before.name);
  });
});

describe("rules that contradict the campaign", () => {
  const rows = [
    // [what, reward by type, fields, path]
    ["S16 with number 5000", "feature", { profile: "S16", campaign: 5000 }, "campaign"],
    ["S16 with number 4096", "feature", { profile: "S16", campaign: 4096 }, "campaign"],
    ["number 0", "feature", { campaign: 0 }, "campaign"],
    ["number 65536", "feature", { campaign: 65_536 }, "campaign"],
    ["S16 of credit", "credit", { profile: "S16" }, "profile"],
    ["S16 of points", "points", { profile: "S16" }, "profile"],
    ["S16 of an external reward", "external", { profile: "S16" }, "profile"],
    ["S16 of a reward with a pool", "pool", { profile: "S16" }, "profile"],
    ["a budget with xp", "xp", { limits: { budget: money(100) } }, "limits.budget"],
    ["a budget with points", "points", { limits: { budget: money(100) } }, "limits.budget"],
    ["a budget with tokens", "tokens", { limits: { budget: money(100) } }, "limits.budget"],
    ["a budget with a feature", "feature", { limits: { budget: money(100) } }, "limits.budget"],
    ["a budget with a percentage", "discount", { limits: { budget: money(100) } }, "limits.budget"],
    ["a budget with a manual reward", "manual", { limits: { budget: money(100) } }, "limits.budget"],
    ["a budget of another currency", "credit", { limits: { budget: money(100, "CHF") } }, "limits.budget"],
    ["aliases of unique codes", "credit", { aliases: ["ABCD"] }, "aliases"],
    ["a rate with uses per code of a shared code", "credit", { kind: "shared", expected_rate: 1000, limits: { uses_per_code: 5 } }, undefined],
  ];
  test(`${rows.length} of them, at creation and by a change`, async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop, 3);
    const rewards = { pool: await define(shop, "feature", { pool_id }) };
    for (const [what, type, fields, path] of rows) {
      rewards[type] ??= await define(shop, type);
      const base = { name: "Good", profile: "S20", kind: "unique", reward_id: rewards[type] };
      const { errors } = expectProblem(await shop.admin.post("/v1/campaigns", { ...base, ...fields }), 400, "invalid_request");
      if (path) assert.ok(named(errors, path), `${what}: ${JSON.stringify(errors)}`);
      if (fields.campaign !== undefined) continue;
      const { campaign } = expectStatus(await shop.admin.post("/v1/campaigns", base), 201);
      const before = await campaignNow(shop, campaign);
      const changed = expectProblem(await patch(shop, campaign, fields), 400, "invalid_request");
      if (path) assert.ok(named(changed.errors, path), `${what} by a change: ${JSON.stringify(changed.errors)}`);
      assert.deepEqual(await campaignNow(shop, campaign), before, what);
    }
  });

  test("a number of S20 that S16 does not have stays S20's", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ campaign: 5000, reward_id: await define(shop, "feature") }, { draft: true });
    expectProblem(await patch(shop, campaign, { profile: "S16" }), 400, "invalid_request");
    assert.equal((await campaignNow(shop, campaign)).profile, "S20");
  });

  test("a number, and a word, are given once", async () => {
    const shop = openShop(edge);
    const text = unique("W");
    const { campaign, reward_id } = await shop.campaign({ campaign: 4711, kind: "shared", aliases: [text] }, { draft: true });
    const again = { name: "Again", profile: "S20", kind: "shared", reward_id };
    for (const fields of [{ campaign }, { aliases: [text] }, { campaign, aliases: [unique("W")] }, { campaign: 4712, aliases: [text] }]) {
      expectProblem(await shop.admin.post("/v1/campaigns", { ...again, ...fields }), 409, "already_exists");
    }
    assert.equal((await everyItem(shop.admin, "/v1/campaigns")).length, 1);
    expectStatus(await shop.admin.post("/v1/campaigns", { ...again, campaign: 4712 }), 201);
    const answers = await Promise.all(Array.from({ length: 6 }, () => shop.admin.post("/v1/campaigns", { ...again, campaign: 4713 })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409, 409, 409]);
  });

  test("the largest and the smallest of everything are taken", async () => {
    const shop = openShop(edge);
    const all = { per_member: MOST, total: MOST, windows: ["day", "week", "month"].map((per) => ({ per, per_member: MOST, total: MOST })), budget: money(MOST) };
    const least = { per_member: 1, total: 1, windows: [{ per: "day", per_member: 1 }, { per: "week", total: 1 }], budget: money(1) };
    for (const fields of [{ limits: { ...all, uses_per_code: 1 }, expected_rate: 100_000, campaign: 65_535, quantity: 100 }, { limits: least, expected_rate: 1, campaign: 1, quantity: 1, min_epoch: 7 }]) {
      const { reward_id } = await shop.reward();
      const body = expectStatus(await shop.admin.post("/v1/campaigns", { name: "N", profile: "S20", kind: "unique", reward_id, ...fields }), 201);
      for (const [name, value] of Object.entries(fields)) assert.deepEqual(body[name], value, name);
    }
    const { codes } = await shop.withCodes(2, { limits: all, expected_rate: 1000 });
    const ann = shop.member();
    for (const code of codes) await redeemed(ann, code);
  });
});

describe("a foreign merchant's ids", () => {
  test("are not there, in every place an id fits, and stay as they were", async () => {
    const [shop, stranger] = [openShop(edge), openShop(edge)];
    const theirs = await stranger.withCodes(2, { campaign: 777, limits: { total: 5 } });
    const theirBatch = (await everyItem(stranger.admin, "/v1/campaigns/777/batches"))[0].batch_id;
    const recall = expectStatus(await stranger.admin.post("/v1/campaigns/777/recalls", { from_seq: 0, to_seq: 1, reason: "r" }), 201);
    const ours = await shop.withCodes(1);
    const before = still(await campaignNow(stranger, 777));
    const at = "/v1/campaigns/777";
    const match = { headers: { "if-match": `"${before.version}"` } };
    const calls = [
      ["GET", at],
      ["PATCH", at, { name: "Mine" }, match],
      ["POST", `${at}/activate`],
      ["POST", `${at}/pause`],
      ["POST", `${at}/end`],
      ["POST", `${at}/batches`, { count: 1 }],
      ["POST", `${at}/batches`, { count: 1, offline: true }],
      ["GET", `${at}/batches`],
      ["POST", `${at}/recalls`, { all: true, reason: "r" }],
      ["GET", `${at}/recalls`],
      ["GET", `${at}/recalls/${recall.recall_id}`],
      ["GET", `/v1/campaigns/${ours.campaign}/recalls/${recall.recall_id}`],
      ["POST", `${at}/print-key`, { reason: "r" }],
      ["POST", `${at}/breaker/reset`, { reason: "r" }],
      ["GET", `/v1/reward-definitions/${theirs.reward_id}`],
      ["PATCH", `/v1/reward-definitions/${theirs.reward_id}`, { name: "Mine" }, { headers: { "if-match": '"1"' } }],
    ];
    for (const [method, path, body, options] of calls) {
      const answer = await shop.admin.request(method, path, { body, ...options });
      assert.equal(answer.status, 404, `${method} ${path}: ${answer.text.slice(0, 200)}`);
      expectProblem(answer, 404, "not_found");
    }
    const asReward = await shop.admin.post("/v1/campaigns", { name: "C", profile: "S20", kind: "unique", reward_id: theirs.reward_id });
    assert.ok(named(expectProblem(asReward, 400, "invalid_request").errors, "reward_id"));
    assert.ok(named(expectProblem(await patch(shop, ours.campaign, { reward_id: theirs.reward_id }), 400, "invalid_request").errors, "reward_id"));
    expectStatus(await shop.admin.post(`/v1/campaigns/${ours.campaign}/recalls`, { batch_id: theirBatch, reason: "r" }), 400, 404);
    expectProblem(await redeem(shop.member(), theirs.codes[1]), 404, "code_not_recognised");
    // The same number is another campaign here.
    const twin = await shop.campaign({ campaign: 777, reward_id: ours.reward_id });
    expectProblem(await redeem(shop.member(), theirs.codes[1]), 404, "code_not_recognised");
    await shop.move(twin.campaign, "end");
    assert.deepEqual(still(await campaignNow(stranger, 777)), before);
    await redeemed(stranger.member(), theirs.codes[1]);
    await redeemed(shop.member(), ours.code);
  });

  test("campaigns that are not there, and numbers that are none", async () => {
    const shop = openShop(edge);
    for (const id of [0, 65_536, 1e9, "x", "1.5", "-1", "01", "%31x"]) {
      for (const [method, path, body] of [["GET", ""], ["POST", "/activate"], ["POST", "/batches", { count: 1 }], ["POST", "/recalls", { all: true, reason: "r" }]]) {
        expectStatus(await shop.admin.request(method, `/v1/campaigns/${id}${path}`, { body }), 404);
      }
    }
  });
});
