// Issuing codes: streams, ranges to be minted offline, and what their codes are then worth.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { PROFILES, S16, S20, mint } from "./code.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { INSTANT, creditOf, openShop, redeem, redeemed } from "./shop.mjs";
import { endOfDay } from "./zones.mjs";

const edge = edgeForThisFile();
const batchOf = (shop, campaign, body, options) => shop.admin.post(`/v1/campaigns/${campaign}/batches`, body, options);
const batchesOf = (shop, campaign) => everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`);

function assertBatch(batch) {
  const known = ["batch_id", "label", "from_seq", "to_seq", "count", "epoch", "expires_at", "reference", "created_at", "by", "recalled", "delivered", "offline", "word_list"];
  assert.deepEqual(Object.keys(batch).filter((name) => !known.includes(name)), [], JSON.stringify(batch));
  for (const name of ["from_seq", "to_seq", "count", "epoch"]) assert.ok(Number.isSafeInteger(batch[name]), JSON.stringify(batch));
  assert.ok(batch.to_seq - batch.from_seq >= batch.count, JSON.stringify(batch));
  assert.equal(typeof batch.batch_id, "string");
  assert.match(batch.created_at, INSTANT);
  assert.match(batch.by, /^(admin|service):/);
  assert.equal(typeof batch.recalled, "boolean", JSON.stringify(batch));
}

describe("a stream", () => {
  test("of CSV: header, one row a code, and what the second implementation mints", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const answer = await batchOf(shop, campaign, { count: 50, format: "csv", label: "Spring mailing", reference: "mail-7" });
    expectStatus(answer, 201);
    assert.match(answer.headers["content-type"], /^text\/csv\b/);
    const [header, ...lines] = answer.text.trimEnd().split(/\r?\n/);
    assert.equal(header, "seq,code");
    assert.equal(lines.length, 50);
    const keys = shop.keys(campaign);
    for (const line of lines) {
      const [seq, code] = line.split(",");
      assert.equal(code, mint(keys, Number(seq)).code);
    }
    const [batch, ...others] = await batchesOf(shop, campaign);
    assertBatch(batch);
    assert.equal(others.length, 0);
    assert.deepEqual([batch.count, batch.label, batch.reference, batch.epoch, batch.by, batch.recalled], [50, "Spring mailing", "mail-7", 0, "admin:admin-1", false]);
    assert.equal(answer.headers["counterfoil-batch"], batch.batch_id);
    assert.equal(Number(answer.headers["counterfoil-remaining"]), 2 ** 24 - batch.to_seq);
    assert.match(answer.headers["counterfoil-odds"], /\S/);
    assert.match(answer.headers["cache-control"] ?? "", /no-store/);
  });

  test("of JSON lines, for each profile", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "k" } });
    for (const profile of Object.values(PROFILES)) {
      const { campaign } = await shop.campaign({ profile: profile.name, reward_id });
      const answer = await batchOf(shop, campaign, { count: 20, format: "jsonl" });
      expectStatus(answer, 201);
      assert.match(answer.headers["content-type"], /^application\/x-ndjson\b/);
      const rows = answer.text.trimEnd().split("\n").map((line) => JSON.parse(line));
      const keys = shop.keys(campaign, { profile });
      assert.equal(rows.length, 20);
      for (const row of rows) assert.deepEqual(row, { seq: row.seq, code: mint(keys, row.seq).code });
    }
  });

  test("batches follow each other without sharing a number, and each code is its own", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const codes = new Set();
    for (const count of [1, 30, 2, 7]) for (const { code } of await shop.codes(campaign, count)) codes.add(code);
    assert.equal(codes.size, 40);
    const batches = (await batchesOf(shop, campaign)).sort((a, b) => a.from_seq - b.from_seq);
    batches.forEach(assertBatch);
    assert.equal(batches[0].from_seq, 0);
    batches.slice(1).forEach((batch, at) => assert.ok(batch.from_seq >= batches[at].to_seq));
    for (const limit of [1, 3]) assert.equal((await everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`, limit)).length, 4);
  });

  test("batches at once share no number either", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const all = await Promise.all(Array.from({ length: 12 }, () => shop.codes(campaign, 5)));
    assert.equal(new Set(all.flat().map(({ code }) => code)).size, 60);
    assert.equal((await batchesOf(shop, campaign)).length, 12);
  });

  test("the same key brings the same codes again, and no second batch", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const key = unique("k-");
    const first = await batchOf(shop, campaign, { count: 9, format: "csv" }, { key });
    const again = await batchOf(shop, campaign, { count: 9, format: "csv" }, { key });
    expectStatus(again, 201);
    assert.equal(again.text, first.text);
    assert.equal(again.headers["counterfoil-batch"], first.headers["counterfoil-batch"]);
    assert.equal(again.headers["idempotent-replayed"], "true");
    expectProblem(await batchOf(shop, campaign, { count: 10, format: "csv" }, { key }), 422, "idempotency_key_reused");
    assert.equal((await batchesOf(shop, campaign)).length, 1);
    const other = await shop.campaign();
    const elsewhere = await batchOf(shop, other.campaign, { count: 9, format: "csv" }, { key });
    expectStatus(elsewhere, 201);
    assert.notEqual(elsewhere.text, first.text);
  });

  test("fifty thousand codes", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    const rows = await shop.codes(campaign, 50_000);
    const keys = shop.keys(campaign);
    assert.equal(new Set(rows.map(({ code }) => code)).size, 50_000);
    for (let at = 0; at < rows.length; at += 997) assert.equal(rows[at].code, mint(keys, rows[at].seq).code);
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.issued, 50_000);
  });

  test("as many as asked for, in a campaign whose own symbols nearly spell a word", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "k" } });
    // Codes of S16 campaign 1 begin with 800, so that every fourth would go on to a word and may not be minted.
    const { campaign } = await shop.campaign({ campaign: 1, profile: "S16", reward_id });
    const rows = await shop.codes(campaign, 2000);
    assert.equal(new Set(rows.map(({ code }) => code)).size, 2000);
    await redeemed(shop.member(), rows.at(-1).code);
  });

  test("a service may ask for codes", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const answer = await shop.service.post(`/v1/campaigns/${campaign}/batches`, { count: 1, format: "jsonl" });
    expectStatus(answer, 201);
    await redeemed(shop.member(), JSON.parse(answer.text).code);
    assert.equal((await batchesOf(shop, campaign))[0].by, "service:shop-server");
  });
});

describe("a range for offline minting", () => {
  test("answers the range alone, and exactly its codes redeem", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const answer = await batchOf(shop, campaign, { count: 100, offline: true, label: "Printer" });
    const batch = expectStatus(answer, 201);
    assertBatch(batch);
    assert.deepEqual([batch.count, batch.label], [100, "Printer"]);
    assert.doesNotMatch(answer.text, /\w{4}-\w{4}-\w{4}/, "no code in it");
    assert.deepEqual(await batchesOf(shop, campaign), [batch]);
    const keys = shop.keys(campaign, { epoch: batch.epoch });
    const ann = shop.member();
    for (const seq of [batch.from_seq, batch.from_seq + 1, batch.to_seq - 1]) await redeemed(ann, mint(keys, seq).code);
    assert.equal(await creditOf(ann), 1500);
    expectProblem(await redeem(shop.member(), mint(keys, batch.to_seq).code), 404, "code_not_recognised");
  });

  test("comes between streams without touching them", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const [before] = await shop.codes(campaign);
    const batch = expectStatus(await batchOf(shop, campaign, { count: 10, offline: true }), 201);
    const [after] = await shop.codes(campaign);
    assert.ok(before.seq < batch.from_seq && after.seq >= batch.to_seq);
    const ann = shop.member();
    for (const code of [before.code, mint(shop.keys(campaign), batch.from_seq).code, after.code]) await redeemed(ann, code);
  });

  test("the same key brings the same range", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const key = unique("k-");
    const first = await batchOf(shop, campaign, { count: 10, offline: true }, { key });
    assert.deepEqual((await batchOf(shop, campaign, { count: 10, offline: true }, { key })).body, first.body);
    assert.equal((await batchesOf(shop, campaign)).length, 1);
  });

  test("the serial space is the limit, told before anything is reserved", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "k" } });
    const { campaign } = await shop.campaign({ profile: "S16", reward_id });
    const most = Math.floor(((2 ** S16.serial - 64) * 25) / 26) - 1;
    expectStatus(await batchOf(shop, campaign, { count: 2 ** S16.serial, offline: true }), 400, 409);
    expectStatus(await batchOf(shop, campaign, { count: 10, offline: true }), 201);
    expectStatus(await batchOf(shop, campaign, { count: most, offline: true }), 400, 409);
    const batch = expectStatus(await batchOf(shop, campaign, { count: 900_000, offline: true }), 201);
    assert.ok(batch.to_seq <= 2 ** S16.serial);
    const keys = shop.keys(campaign, { profile: S16 });
    await redeemed(shop.member(), mint(keys, batch.from_seq + 899_999).code);
    assert.equal((await batchesOf(shop, campaign)).length, 2);
  });
});

describe("the end of a batch", () => {
  test("expires_on is the last day in the campaign's zone", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({ time_zone: "Australia/Sydney" });
    for (const expires_on of ["2026-04-05", "2026-10-04", "2099-12-31"]) {
      const batch = expectStatus(await batchOf(shop, campaign, { count: 1, offline: true, expires_on }), 201);
      assert.equal(Date.parse(batch.expires_at), endOfDay("Australia/Sydney", expires_on));
    }
  });

  test("expires_at is an instant, and is looked at when the code is used", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const expires_at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toISOString();
    const batch = expectStatus(await batchOf(shop, campaign, { count: 5, offline: true, expires_at }), 201);
    assert.equal(Date.parse(batch.expires_at), Date.parse(expires_at));
    const keys = shop.keys(campaign);
    const ann = shop.member();
    await redeemed(ann, mint(keys, batch.from_seq).code);
    const code = mint(keys, batch.from_seq + 1).code;
    let body;
    do ({ body } = await ann.post("/v1/codes/preview", { code }));
    while (body.would === "redeem");
    assert.ok(Date.now() >= Date.parse(expires_at));
    assert.equal(body.refusal.code, "code_expired");
    expectProblem(await redeem(ann, code), 410, "code_expired");
  });

  test("a code of another batch is not touched by it", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const [old] = await shop.codes(campaign, 1, { expires_on: "2020-01-01" });
    const [young] = await shop.codes(campaign, 1);
    assert.equal(mint(shop.keys(campaign, { profile: S20 }), young.seq).code, young.code);
    expectProblem(await redeem(shop.member(), old.code), 410, "code_expired");
    await redeemed(shop.member(), young.code);
  });
});

test("codes of a draft redeem once it is active, and no earlier", async () => {
  const shop = openShop(edge);
  const { campaign } = await shop.campaign({}, { draft: true });
  const code = await shop.code(campaign);
  const ann = shop.member();
  expectProblem(await redeem(ann, code), 409, "campaign_not_active");
  await shop.move(campaign, "activate");
  await redeemed(ann, code);
});
