// Administration of campaigns and reward definitions: resources, versions, moves, dates in a time zone.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { openPool } from "./trade.mjs";
import { dateIn, endOfDay, hourIn, plusDays, startOfDay } from "./zones.mjs";

const edge = edgeForThisFile();
const patchAt = (shop, campaign, fields, version) => shop.admin.patch(`/v1/campaigns/${campaign}`, fields, { headers: { "if-match": version } });
const creditReward = { name: "Credit", type: "credit", value: { currency: "EUR", amount_minor: 100 } };

describe("reward definitions", () => {
  test("are created with their defaults, read, and listed", async () => {
    const shop = openShop(edge);
    const rows = [
      { name: "Credit", type: "credit", value: { currency: "EUR", amount_minor: 100 } },
      { name: "Points", type: "points", value: { amount: 50 } },
      { name: "Beta", type: "feature", value: { key: "beta" }, mechanic: { kind: "wallet" } },
    ];
    const made = [];
    for (const row of rows) {
      const answer = await shop.admin.post("/v1/reward-definitions", row);
      const body = expectStatus(answer, 201);
      assert.deepEqual([body.name, body.type, body.value, body.mechanic], [row.name, row.type, row.value, { kind: "wallet" }]);
      assert.deepEqual([body.player_should_claim, body.automatic_activation, body.attempts_max, body.version], [false, true, 10, 1]);
      assert.ok(answer.headers.location.endsWith(`/v1/reward-definitions/${body.reward_id}`));
      const read = await shop.admin.get(`/v1/reward-definitions/${body.reward_id}`);
      assert.deepEqual(read.body, body);
      assert.equal(read.headers.etag, '"1"');
      made.push(body);
    }
    const listed = await everyItem(shop.admin, "/v1/reward-definitions", 2);
    const byId = (one, other) => (one.reward_id < other.reward_id ? -1 : 1);
    assert.deepEqual(listed.sort(byId), made.sort(byId));
  });

  test("may be given an id, once", async () => {
    const shop = openShop(edge);
    expectStatus(await shop.admin.post("/v1/reward-definitions", { ...creditReward, reward_id: "welcome-5" }), 201);
    assert.equal((await shop.admin.get("/v1/reward-definitions/welcome-5")).body.reward_id, "welcome-5");
    expectProblem(await shop.admin.post("/v1/reward-definitions", { ...creditReward, reward_id: "welcome-5" }), 409, "already_exists");
    expectStatus(await openShop(edge).admin.post("/v1/reward-definitions", { ...creditReward, reward_id: "welcome-5" }), 201);
  });

  test("are changed by merge patch at their version; a code is worth what its reward is then", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    const { codes } = await shop.withCodes(2, { reward_id });
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    const at = `/v1/reward-definitions/${reward_id}`;
    expectProblem(await shop.admin.patch(at, { name: "Six" }), 428, "precondition_required");
    expectProblem(await shop.admin.patch(at, { name: "Six" }, { headers: { "if-match": '"9"' } }), 412, "version_mismatch");
    const answer = await shop.admin.patch(at, { name: "Six", value: { amount_minor: 600 } }, { headers: { "if-match": '"1"' } });
    const body = expectStatus(answer, 200, 202);
    assert.deepEqual([body.name, body.value, body.version], ["Six", { currency: "EUR", amount_minor: 600 }, 2]);
    await until(() => shop.admin.get(at), ({ body: now }) => now.in_force !== false);
    await redeemed(ann, codes[1]);
    const { body: wallet } = await ann.get("/v1/wallet");
    assert.deepEqual(wallet.credit, [{ currency: "EUR", amount_minor: 1100 }]);
  });
});

describe("campaigns", () => {
  test("are created as drafts with their defaults, read, and listed", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    const answer = await shop.admin.post("/v1/campaigns", { name: "Welcome", profile: "S20", kind: "unique", reward_id });
    const body = expectStatus(answer, 201);
    assert.deepEqual([body.name, body.profile, body.kind, body.reward_id], ["Welcome", "S20", "unique", reward_id]);
    assert.deepEqual([body.quantity, body.time_zone, body.status, body.version, body.issued, body.redeemed], [1, "UTC", "draft", 1, 0, 0]);
    for (const name of ["starts_at", "starts_on", "ends_at", "ends_on", "eligibility", "currencies", "methods"]) assert.equal(body[name], undefined, name);
    assert.ok(Number.isInteger(body.campaign) && body.campaign >= 1 && body.campaign <= 65535);
    assert.ok(answer.headers.location.endsWith(`/v1/campaigns/${body.campaign}`));
    const read = await shop.admin.get(`/v1/campaigns/${body.campaign}`);
    assert.deepEqual(read.body, body);
    assert.equal(read.headers.etag, '"1"');
    const more = [];
    for (const name of ["B", "C", "D"]) more.push((await shop.campaign({ name, reward_id }, { draft: true })).campaign);
    for (const limit of [1, 2, 3, 200]) {
      const listed = await everyItem(shop.admin, "/v1/campaigns", limit);
      assert.deepEqual(listed.map(({ campaign }) => campaign).sort(), [body.campaign, ...more].sort());
    }
  });

  test("keep every field as it was given", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    const fields = {
      campaign: 4096,
      name: "Gr\u00fc\u00dfe \u{1f381}",
      profile: "S25",
      kind: "unique",
      quantity: 2,
      time_zone: "Asia/Kathmandu",
      limits: { uses_per_code: 100, per_member: 3, total: 1000 },
      eligibility: { roles: ["a"], tiers: ["gold", "silver"], personas: ["p"], tags_any: ["x"], tags_none: ["y"] },
      currencies: ["EUR", "USD"],
      methods: ["api", "frontend", "email"],
      min_epoch: 0,
    };
    const body = expectStatus(await shop.admin.post("/v1/campaigns", { ...fields, reward_id }), 201);
    for (const [name, value] of Object.entries(fields)) assert.deepEqual(body[name], value, name);
  });

  test("take the number given, once; numbers of their own are spread over the range", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "k" } });
    const base = { name: "N", kind: "unique", reward_id };
    for (const [profile, campaign] of [["S20", 1], ["S20", 65535], ["S16", 4095], ["S25", 2]]) {
      assert.equal(expectStatus(await shop.admin.post("/v1/campaigns", { ...base, profile, campaign }), 201).campaign, campaign);
    }
    expectProblem(await shop.admin.post("/v1/campaigns", { ...base, profile: "S20", campaign: 4095 }), 409, "already_exists");
    expectProblem(await shop.admin.post("/v1/campaigns", { ...base, profile: "S16", campaign: 1 }), 409, "already_exists");
    const own = [];
    for (let times = 0; times < 6; times += 1) own.push(expectStatus(await shop.admin.post("/v1/campaigns", { ...base, profile: "S16" }), 201).campaign);
    assert.ok(own.every((campaign) => campaign >= 1 && campaign < 4095), own.join());
    assert.equal(new Set(own).size, 6);
    assert.ok(Math.max(...own) > 16, `assigned at random: ${own}`);
  });

  test("repeating a creation under its key answers the first", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    const body = { name: "Once", profile: "S20", kind: "unique", reward_id };
    const key = unique("k-");
    const first = expectStatus(await shop.admin.post("/v1/campaigns", body, { key }), 201);
    const again = await shop.admin.post("/v1/campaigns", body, { key });
    assert.equal(expectStatus(again, 201).campaign, first.campaign);
    assert.equal(again.headers["idempotent-replayed"], "true");
    expectProblem(await shop.admin.post("/v1/campaigns", { ...body, name: "Twice" }, { key }), 422, "idempotency_key_reused");
    assert.equal((await everyItem(shop.admin, "/v1/campaigns")).length, 1);
    const definitionKey = unique("k-");
    const definition = expectStatus(await shop.admin.post("/v1/reward-definitions", creditReward, { key: definitionKey }), 201);
    assert.equal(expectStatus(await shop.admin.post("/v1/reward-definitions", creditReward, { key: definitionKey }), 201).reward_id, definition.reward_id);
  });

  test("S16 is too weak for what has a value", async () => {
    const shop = openShop(edge);
    for (const [reward, status] of [[{}, 400], [{ type: "points", value: { amount: 5 } }, 400], [{ type: "feature", value: { key: "k" } }, 201]]) {
      const { reward_id } = await shop.reward(reward);
      const answer = await shop.admin.post("/v1/campaigns", { name: "Weak", profile: "S16", kind: "unique", reward_id });
      if (status === 201) expectStatus(answer, 201);
      else expectProblem(answer, 400, "invalid_request");
    }
  });

  test("what a S16 campaign gives cannot come to hand out promo codes", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop, 1);
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "k" } });
    const { campaign } = await shop.campaign({ profile: "S16", reward_id });
    const at = `/v1/reward-definitions/${reward_id}`;
    const change = () => shop.admin.patch(at, { pool_id }, { headers: { "if-match": '"1"' } });
    const { errors } = expectProblem(await change(), 400, "invalid_request");
    assert.deepEqual(errors.map(({ path }) => path), ["pool_id"]);
    await shop.move(campaign, "end");
    assert.equal(expectStatus(await change(), 200).pool_id, pool_id);
  });

  test("count what was issued and redeemed", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(5);
    await redeemed(shop.member(), codes[0]);
    await redeemed(shop.member(), codes[1]);
    const { body } = await shop.admin.get(`/v1/campaigns/${campaign}`);
    assert.equal(body.issued, 5);
    assert.equal(body.redeemed, 2);
  });
});

describe("a change", () => {
  test("needs the version it starts from", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    expectProblem(await shop.admin.patch(`/v1/campaigns/${campaign}`, { name: "X" }), 428, "precondition_required");
    for (const version of ['"2"', '"0"', '"x"', 'W/"1"']) expectProblem(await patchAt(shop, campaign, { name: "X" }, version), 412, "version_mismatch");
    const answer = await patchAt(shop, campaign, { name: "X" }, '"1"');
    assert.deepEqual([expectStatus(answer, 200).name, answer.body.version, answer.headers.etag], ["X", 2, '"2"']);
    expectProblem(await patchAt(shop, campaign, { name: "Y" }, '"1"'), 412, "version_mismatch");
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.name, "X");
  });

  test("of two at the same version one is made", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const answers = await Promise.all(Array.from({ length: 8 }, (_, at) => patchAt(shop, campaign, { name: `N${at}` }, '"1"')));
    assert.equal(answers.filter(({ status }) => status === 200).length, 1);
    for (const answer of answers.filter(({ status }) => status !== 200)) expectProblem(answer, 412, "version_mismatch");
  });

  test("merges: what is left out stays, null removes, lists are replaced", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ limits: { per_member: 2, total: 9 }, currencies: ["EUR", "USD"], eligibility: { tiers: ["gold"], tags_any: ["a"] }, ends_on: "2099-12-31" }, { draft: true });
    const one = await shop.change(campaign, { limits: { total: null }, currencies: ["CHF"], eligibility: { tiers: null } });
    assert.deepEqual([one.limits, one.currencies, one.eligibility, one.ends_on], [{ per_member: 2 }, ["CHF"], { tags_any: ["a"] }, "2099-12-31"]);
    const other = await shop.change(campaign, { limits: { total: 4 }, currencies: null, eligibility: null, ends_on: null });
    assert.deepEqual([other.limits, other.currencies, other.ends_on, other.ends_at], [{ per_member: 2, total: 4 }, undefined, undefined, undefined]);
    assert.deepEqual(other.eligibility ?? {}, {});
  });

  test("is taken as application/merge-patch+json too", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const answer = await shop.admin.patch(`/v1/campaigns/${campaign}`, '{"name":"X"}', { headers: { "if-match": '"1"', "content-type": "application/merge-patch+json" } });
    assert.equal(expectStatus(answer, 200).name, "X");
  });

  test("is in force for the next redemption once it says so", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(6);
    for (const code of codes) {
      await shop.change(campaign, { currencies: ["USD"] });
      expectProblem(await redeem(shop.member(), code), 403, "currency_not_allowed");
      await shop.change(campaign, { currencies: null });
      await redeemed(shop.member(), code);
    }
  });

  test("profile, kind and reward are frozen by the first mint, and free before", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const other = await shop.reward({ type: "points", value: { amount: 1 } });
    const free = await shop.change(campaign, { profile: "S25", kind: "shared", reward_id: other.reward_id });
    assert.deepEqual([free.profile, free.kind, free.reward_id], ["S25", "shared", other.reward_id]);
    const code = await shop.code(campaign);
    assert.equal(code.length, 29);
    for (const fields of [{ profile: "S20" }, { kind: "unique" }, { reward_id: (await shop.reward()).reward_id }]) {
      const answer = await patchAt(shop, campaign, fields, (await shop.admin.get(`/v1/campaigns/${campaign}`)).headers.etag);
      expectStatus(answer, 400, 409);
    }
    const { body } = await shop.admin.get(`/v1/campaigns/${campaign}`);
    assert.deepEqual([body.profile, body.kind, body.reward_id], ["S25", "shared", other.reward_id]);
  });

  test("that breaks a rule changes nothing", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ starts_on: "2030-01-01", ends_on: "2030-01-31" }, { draft: true });
    for (const fields of [{ ends_on: "2029-12-31" }, { starts_on: "2030-02-01" }, { starts_at: "2030-01-01T00:00:00Z" }, { name: null }, { kind: null }, { time_zone: "Mars/Base" }, { status: "ended" }, { version: 9 }, { campaign: 5 }, { limits: { per_member: 0 } }, { surprise: 1 }]) {
      expectProblem(await patchAt(shop, campaign, fields, '"1"'), 400, "invalid_request");
    }
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.version, 1);
  });
});

describe("moves", () => {
  test("draft, active, paused, active, ended; ended is final", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    for (const [verb, status] of [["activate", "active"], ["pause", "paused"], ["activate", "active"], ["end", "ended"]]) {
      const answer = await shop.admin.post(`/v1/campaigns/${campaign}/${verb}`);
      assert.deepEqual([expectStatus(answer, 200, 202).status, answer.body.campaign], [status, campaign]);
      assert.equal((await shop.inForce(campaign)).status, status);
    }
    for (const verb of ["activate", "pause"]) expectProblem(await shop.admin.post(`/v1/campaigns/${campaign}/${verb}`), 409, "illegal_move", { state: "ended", legal_moves: [] });
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/end`), 200, 409);
    const { etag } = (await shop.admin.get(`/v1/campaigns/${campaign}`)).headers;
    expectStatus(await patchAt(shop, campaign, { name: "Back" }, etag), 409);
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1 }), 409, 410);
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.status, "ended");
  });

  test("a draft cannot be paused, but ended", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const { legal_moves } = expectProblem(await shop.admin.post(`/v1/campaigns/${campaign}/pause`), 409, "illegal_move", { state: "draft" });
    // By the names of the calls, or of the states that they lead to.
    assert.match([...legal_moves].sort().join(), /^activ(ate|e),end(ed)?$/);
    assert.equal((await shop.move(campaign, "end")).status, "ended");
  });

  test("a campaign whose time is over says so by its codes, not by its status", async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes(1, { ends_on: "2020-01-01" });
    expectProblem(await redeem(shop.member(), code), 410, "campaign_ended");
    await shop.change(campaign, { ends_on: "2099-01-01" });
    await redeemed(shop.member(), code);
  });
});

describe("dates are days of the campaign's own time zone, the last inclusive", () => {
  const rows = [
    ["UTC", "2026-01-01", "2026-01-31"],
    ["Europe/Berlin", "2026-03-29", "2026-03-29"],
    ["Europe/Berlin", "2026-10-25", "2026-10-25"],
    ["Europe/London", "2026-03-28", "2026-10-24"],
    ["America/New_York", "2026-03-08", "2026-11-01"],
    ["America/Santiago", "2026-09-06", "2026-09-06"],
    ["America/Havana", "2026-11-01", "2026-11-01"],
    ["Africa/Cairo", "2026-04-24", "2026-10-29"],
    ["Asia/Kolkata", "2026-02-28", "2026-02-28"],
    ["Asia/Kathmandu", "2028-02-29", "2028-02-29"],
    ["Australia/Lord_Howe", "2026-04-05", "2026-10-04"],
    ["Pacific/Apia", "2026-01-01", "2026-12-31"],
    ["Pacific/Kiritimati", "2026-06-30", "2026-06-30"],
    ["America/Sao_Paulo", "2018-11-04", "2018-11-04"],
  ];
  for (const [time_zone, starts_on, ends_on] of rows) {
    test(`${time_zone}, ${starts_on} to ${ends_on}`, async () => {
      const shop = openShop(edge);
      const { reward_id } = await shop.reward();
      const body = expectStatus(await shop.admin.post("/v1/campaigns", { name: "D", profile: "S20", kind: "unique", reward_id, time_zone, starts_on, ends_on }), 201);
      assert.deepEqual([body.starts_on, body.ends_on, body.time_zone], [starts_on, ends_on, time_zone]);
      assert.match(body.starts_at, /Z$/);
      assert.equal(new Date(body.starts_at).toISOString(), new Date(startOfDay(time_zone, starts_on)).toISOString());
      assert.equal(new Date(body.ends_at).toISOString(), new Date(endOfDay(time_zone, ends_on)).toISOString());
    });
  }

  test("today is in, yesterday is over, tomorrow has not begun, in zones on both sides of the date line", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    // Only zones where it is not about to be another day while the test runs.
    const zones = ["Pacific/Pago_Pago", "America/Los_Angeles", "UTC", "Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati"].filter((zone) => hourIn(zone, Date.now()) < 23);
    assert.ok(zones.length >= 4);
    for (const time_zone of zones) {
      const today = dateIn(time_zone, Date.now());
      const start = (fields) => shop.withCodes(1, { reward_id, time_zone, ...fields });
      await redeemed(shop.member(), (await start({ starts_on: today, ends_on: today })).code);
      expectProblem(await redeem(shop.member(), (await start({ ends_on: plusDays(today, -1) })).code), 410, "campaign_ended");
      expectProblem(await redeem(shop.member(), (await start({ starts_on: plusDays(today, 1) })).code), 409, "campaign_not_started");
    }
  });

  test("a change of the zone moves the days", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ time_zone: "UTC", ends_on: "2030-06-30" }, { draft: true });
    const moved = await shop.change(campaign, { time_zone: "Asia/Tokyo" });
    assert.equal(moved.ends_on, "2030-06-30");
    assert.equal(Date.parse(moved.ends_at), endOfDay("Asia/Tokyo", "2030-06-30"));
  });

  test("instants are kept as they are given, the end exclusive", async () => {
    const shop = openShop(edge);
    const [starts_at, ends_at] = ["2026-01-01T08:30:00Z", "2026-01-02T08:30:00Z"];
    const { campaign } = await shop.campaign({ time_zone: "Asia/Tokyo", starts_at, ends_at }, { draft: true });
    const { body } = await shop.admin.get(`/v1/campaigns/${campaign}`);
    assert.deepEqual([Date.parse(body.starts_at), Date.parse(body.ends_at)], [Date.parse(starts_at), Date.parse(ends_at)]);
    assert.deepEqual([body.starts_on, body.ends_on], [undefined, undefined]);
  });

  test("an end within seconds is kept to the second", async () => {
    const shop = openShop(edge);
    const ends_at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 2000).toISOString();
    const { codes } = await shop.withCodes(2, { ends_at });
    await redeemed(shop.member(), codes[0]);
    const ann = shop.member();
    for (;;) {
      const asked = Date.now();
      const { body } = await ann.post("/v1/codes/preview", { code: codes[1] });
      if (asked >= Date.parse(ends_at)) assert.equal(body.would, "refuse", "not a moment after the end");
      if (body.would === "refuse") break;
    }
    assert.ok(Date.now() >= Date.parse(ends_at), "not a moment before it");
    expectProblem(await redeem(ann, codes[1]), 410, "campaign_ended");
  });
});
