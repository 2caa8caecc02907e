// Recalls: a range, a batch, everything so far, or an epoch by one rule. What was redeemed before stays redeemed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { mint } from "./code.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified, auditOf, audited, redemptionOf } from "./rewards.mjs";
import { FIVE_SHARDS, HOUR, WORTH, attempts, campaignNow, crowd, instant, patch, preview, tally } from "./rules.mjs";
import { INSTANT, creditOf, openShop, redeem, redeemed } from "./shop.mjs";
import { reversed } from "./till.mjs";

const edge = edgeForThisFile();
const path = (campaign) => `/v1/campaigns/${campaign}/recalls`;
const recall = (shop, campaign, body, options) => shop.admin.post(path(campaign), { reason: "stolen from the van", ...body }, options);
const batchesOf = (shop, campaign) => everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`);
const gone = async (client, code) => expectProblem(await redeem(client, code), 410, "code_recalled");
const FIELDS = ["recall_id", "from_seq", "to_seq", "batch_id", "all", "reason", "at", "by", "in_force"];

/** Recalls, and answers the recall once it is in force everywhere. */
async function recalled(shop, campaign, body, options) {
  const answer = await recall(shop, campaign, body, options);
  const made = expectStatus(answer, 201);
  assert.deepEqual(Object.keys(made).filter((name) => !FIELDS.includes(name)), [], answer.text);
  assert.match(made.at, INSTANT);
  assert.deepEqual([made.reason, made.by], ["stolen from the van", "admin:admin-1"]);
  assert.ok(answer.headers.location.endsWith(`${path(campaign)}/${made.recall_id}`), answer.headers.location);
  const { body: now } = await until(() => shop.admin.get(`${path(campaign)}/${made.recall_id}`), (read) => expectStatus(read, 200).in_force === true);
  assert.deepEqual({ ...made, in_force: true }, now);
  return now;
}

/** A streamed batch: its record and `[{seq, code}]`. */
async function batch(shop, campaign, count, fields) {
  const rows = await shop.codes(campaign, count, fields);
  const record = (await batchesOf(shop, campaign)).find((one) => one.from_seq <= rows[0].seq && rows[0].seq < one.to_seq);
  return { ...record, rows };
}

describe("a recall", () => {
  test("of a range takes exactly the codes in it, its end exclusive", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const rows = await shop.codes(campaign, 8);
    const [from, to] = [rows[2], rows[5]];
    const made = await recalled(shop, campaign, { from_seq: from.seq, to_seq: to.seq });
    assert.deepEqual([made.from_seq, made.to_seq, made.batch_id, made.all], [from.seq, to.seq, undefined, undefined]);
    const ann = shop.member();
    for (const [at, { code }] of rows.entries()) {
      if (at >= 2 && at < 5) {
        await gone(ann, code);
        assert.equal((await preview(ann, code)).body.refusal.code, "code_recalled");
      } else await redeemed(ann, code);
    }
    assert.equal(await creditOf(ann), 5 * WORTH);
    assert.deepEqual(await everyItem(shop.admin, path(campaign)), [made]);
    await audited(shop, { actor: "admin:admin-1", reason: "stolen from the van", object: `campaign/${campaign}` });
    await assertVerified(shop, { campaign });
  });

  test("of a batch takes that batch, streamed or offline, and no other", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const [first, second] = [await batch(shop, campaign, 3), await batch(shop, campaign, 3)];
    const offline = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 5, offline: true }), 201);
    const third = await batch(shop, campaign, 3);
    const made = await recalled(shop, campaign, { batch_id: second.batch_id });
    assert.deepEqual([made.batch_id, made.from_seq, made.to_seq], [second.batch_id, second.from_seq, second.to_seq]);
    await recalled(shop, campaign, { batch_id: offline.batch_id });
    const ann = shop.member();
    for (const { code } of second.rows) await gone(ann, code);
    await gone(ann, mint(shop.keys(campaign), offline.from_seq).code);
    for (const { code } of [...first.rows, ...third.rows]) await redeemed(ann, code);
    const flags = Object.fromEntries((await batchesOf(shop, campaign)).map(({ batch_id, recalled: flag }) => [batch_id, flag]));
    assert.deepEqual(flags, { [first.batch_id]: false, [second.batch_id]: true, [offline.batch_id]: true, [third.batch_id]: false });
  });

  test("of everything takes what was minted so far, and aliases; what is minted later is good", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const before = [...(await shop.codes(campaign, 3)), ...(await shop.codes(campaign, 2))];
    const made = await recalled(shop, campaign, { all: true });
    assert.equal(made.all, true);
    const ann = shop.member();
    for (const { code } of before) await gone(ann, code);
    assert.ok((await batchesOf(shop, campaign)).every((one) => one.recalled === true));
    for (const { code } of await shop.codes(campaign, 3)) await redeemed(ann, code);
    assert.deepEqual((await batchesOf(shop, campaign)).map((one) => one.recalled).sort(), [false, true, true]);
    assert.equal((await campaignNow(shop, campaign)).status, "active");
  });

  test("of a shared campaign takes its one code and its aliases", async () => {
    const shop = openShop(edge);
    for (const alias_public of [true, false]) {
      const alias = unique("W").toUpperCase();
      const { campaign } = await shop.campaign({ kind: "shared", aliases: [alias], alias_public });
      const code = await shop.code(campaign);
      const ann = shop.member();
      await redeemed(ann, alias);
      await recalled(shop, campaign, { all: true });
      const bob = shop.member();
      await gone(bob, code);
      if (alias_public) await gone(bob, alias);
      else expectProblem(await redeem(bob, alias), 404, "code_not_recognised");
      assert.equal(await creditOf(ann), WORTH);
    }
  });

  test("of an alias that no code was minted for", async () => {
    const shop = openShop(edge);
    const alias = unique("W").toUpperCase();
    const { campaign } = await shop.campaign({ kind: "shared", aliases: [alias] });
    await redeemed(shop.member(), alias);
    await recalled(shop, campaign, { all: true });
    await gone(shop.member(), alias);
  });

  test("of an epoch is the campaign's least epoch, and is taken back with it", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(3);
    const ann = shop.member();
    const first = await redeemed(ann, codes[0]);
    await shop.change(campaign, { min_epoch: 1 });
    for (const code of codes) await gone(ann, code);
    assert.equal((await redemptionOf(ann, first.redemption_id)).status, "granted");
    await shop.change(campaign, { min_epoch: 0 });
    await redeemed(ann, codes[1]);
    await shop.change(campaign, { min_epoch: 7 });
    await gone(ann, codes[2]);
    await shop.change(campaign, { min_epoch: null });
    await redeemed(ann, codes[2]);
  });

  test("leaves what was redeemed: history, credit, and the way back", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(3);
    const ann = shop.member();
    const [first, second] = [await redeemed(ann, codes[0]), await redeemed(ann, codes[1])];
    await recalled(shop, campaign, { all: true });
    assert.deepEqual(await redemptionOf(ann, first.redemption_id), first);
    assert.equal(await creditOf(ann), 2 * WORTH);
    // Who redeemed it is told of the recall too: it comes first.
    for (const code of codes) await gone(ann, code);
    await reversed(shop.as("manager"), second.redemption_id, { give_back: true });
    assert.equal(await creditOf(ann), WORTH);
    await gone(shop.member(), codes[1]);
    await until(() => campaignNow(shop, campaign), ({ redeemed: count }) => count === 1);
    await assertVerified(shop, { campaign });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("comes before every other refusal", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(2, { limits: { total: 1 } });
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    await recalled(shop, campaign, { all: true });
    await shop.change(campaign, { methods: ["api"], currencies: ["USD"], eligibility: { tiers: ["gold"] } });
    for (const fields of [{}, { starts_at: instant(HOUR) }, { starts_at: null, ends_at: instant(-HOUR) }]) {
      await shop.change(campaign, fields);
      for (const code of codes) await gone(ann, code);
    }
    await shop.move(campaign, "pause");
    for (const code of codes) await gone(ann, code);
    await shop.move(campaign, "end");
    for (const code of codes) await gone(ann, code);
  });
});

describe("several recalls", () => {
  test("may overlap, repeat and lie within each other; a batch is recalled once all of it is", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    const { batch_id, from_seq, to_seq, rows } = await batch(shop, campaign, 6);
    const flag = async () => (await batchesOf(shop, campaign)).find((one) => one.batch_id === batch_id).recalled;
    const middle = rows[3].seq;
    await recalled(shop, campaign, { from_seq: from_seq + 1, to_seq: middle });
    assert.equal(await flag(), false);
    await recalled(shop, campaign, { from_seq: from_seq + 1, to_seq: middle });
    await recalled(shop, campaign, { from_seq: middle - 1, to_seq });
    assert.equal(await flag(), false, "the first one is left");
    await redeemed(shop.member(), rows[0].code);
    await recalled(shop, campaign, { from_seq, to_seq: from_seq + 1 });
    assert.equal(await flag(), true);
    for (const { code } of rows) await gone(shop.member(), code);
    await recalled(shop, campaign, { batch_id });
    await recalled(shop, campaign, { all: true });
    const list = await everyItem(shop.admin, path(campaign), 2);
    assert.equal(list.length, 6);
    assert.equal(new Set(list.map(({ recall_id }) => recall_id)).size, 6);
  });

  test("under one key are one; under it another is refused", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes(3);
    const key = unique("k-");
    const first = expectStatus(await recall(shop, campaign, { from_seq: 0, to_seq: 1 }, { key }), 201);
    const again = await recall(shop, campaign, { from_seq: 0, to_seq: 1 }, { key });
    assert.deepEqual([expectStatus(again, 201).recall_id, again.headers["idempotent-replayed"]], [first.recall_id, "true"]);
    expectProblem(await recall(shop, campaign, { from_seq: 0, to_seq: 2 }, { key }), 422, "idempotency_key_reused");
    assert.equal((await everyItem(shop.admin, path(campaign))).length, 1);
  });

  test("at once are all made", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(6);
    const [{ from_seq }] = await batchesOf(shop, campaign);
    await Promise.all(Array.from({ length: 4 }, (_, at) => recalled(shop, campaign, { from_seq: from_seq + at, to_seq: from_seq + at + 2 })));
    assert.equal((await everyItem(shop.admin, path(campaign))).length, 4);
    await gone(shop.member(), codes[0]);
  });

  test("reach every shard: no code is redeemed once one is in force", async () => {
    const shop = openShop(edge);
    const { campaign, codes } = await shop.withCodes(40, { expected_rate: FIVE_SHARDS });
    assert.deepEqual(tally(await attempts(crowd(shop, 20), codes.slice(0, 20))), { granted: 20 });
    await recalled(shop, campaign, { all: true });
    assert.deepEqual(tally(await attempts(crowd(shop, 40), codes)), { code_recalled: 40 });
    await assertVerified(shop, { campaign });
  });
});

describe("refused, and nothing is recalled", () => {
  // [body, path of the error]
  const rows = [
    [{}, undefined],
    [{ reason: undefined, all: true }, "reason"],
    [{ reason: "", all: true }, "reason"],
    [{ reason: " ", all: true }, "reason"],
    [{ reason: 7, all: true }, "reason"],
    [{ reason: "x".repeat(5000), all: true }, "reason"],
    [{ all: false }, undefined],
    [{ all: "yes" }, "all"],
    [{ all: true, from_seq: 0, to_seq: 1 }, undefined],
    [{ all: true, batch_id: "ba_x" }, undefined],
    [{ batch_id: "ba_x", from_seq: 0, to_seq: 1 }, undefined],
    [{ from_seq: 0 }, "to_seq"],
    [{ to_seq: 1 }, "from_seq"],
    [{ from_seq: 1, to_seq: 1 }, "to_seq"],
    [{ from_seq: 2, to_seq: 1 }, "to_seq"],
    [{ from_seq: -1, to_seq: 1 }, "from_seq"],
    [{ from_seq: 0.5, to_seq: 1 }, "from_seq"],
    [{ from_seq: "0", to_seq: 1 }, "from_seq"],
    [{ from_seq: 0, to_seq: 2 ** 53 }, "to_seq"],
    [{ batch_id: 7 }, "batch_id"],
    [{ batch_id: "" }, "batch_id"],
    [{ all: true, surprise: 1 }, "surprise"],
    [{ all: true, epoch: 0 }, "epoch"],
  ];
  test(`${rows.length} malformed bodies, each named`, async () => {
    const shop = openShop(edge);
    const { campaign, code } = await shop.withCodes(1);
    const before = await campaignNow(shop, campaign);
    for (const [body, name] of rows) {
      const says = JSON.stringify(body).slice(0, 80);
      const answer = await recall(shop, campaign, body);
      assert.equal(answer.status, 400, `${says}: ${answer.text}`);
      const { errors } = expectProblem(answer, 400, "invalid_request");
      if (name) assert.ok(errors.some((error) => error.path === name), `${says}: ${JSON.stringify(errors)}`);
    }
    assert.deepEqual(await everyItem(shop.admin, path(campaign)), []);
    assert.deepEqual(await campaignNow(shop, campaign), before);
    assert.ok((await batchesOf(shop, campaign)).every((one) => !one.recalled));
    await redeemed(shop.member(), code);
    await patch(shop, campaign, { name: "A line in the log" });
    await audited(shop, { action: "campaign.changed" });
    assert.deepEqual((await auditOf(shop)).filter(({ action, reason }) => /recall/.test(action) || reason === "stolen from the van"), []);
  });

  test("a batch of another campaign or merchant, and campaigns and recalls that are not there", async () => {
    const [shop, stranger] = [openShop(edge), openShop(edge)];
    const { campaign, code } = await shop.withCodes(1);
    const other = await shop.withCodes(1);
    const foreign = await stranger.withCodes(1);
    const ids = [(await batchesOf(shop, other.campaign))[0].batch_id, (await batchesOf(stranger, foreign.campaign))[0].batch_id, "ba_000000000000000000000000", "nothing"];
    for (const batch_id of ids) {
      const answer = await recall(shop, campaign, { batch_id });
      if (answer.status === 404) expectProblem(answer, 404, "not_found");
      else assert.ok(expectProblem(answer, 400, "invalid_request").errors.some((error) => error.path === "batch_id"));
    }
    assert.deepEqual(await everyItem(shop.admin, path(campaign)), []);
    for (const text of [code, other.code]) await redeemed(shop.member(), text);
    await redeemed(stranger.member(), foreign.code);
    const made = await recalled(shop, campaign, { all: true });
    for (const [caller, at] of [[stranger, path(campaign)], [shop, path(other.campaign)]]) {
      expectProblem(await caller.admin.get(`${at}/${made.recall_id}`), 404, "not_found");
    }
    for (const at of [`${path(campaign)}/nothing`, `${path(campaign)}/${made.recall_id}x`]) expectProblem(await shop.admin.get(at), 404, "not_found");
    expectProblem(await recall(stranger, campaign, { all: true }), 404, "not_found");
    expectProblem(await stranger.admin.get(path(campaign)), 404, "not_found");
    const list = await shop.admin.get(`${path(campaign)}?cursor=nonsense`);
    expectProblem(list, 400, "invalid_request");
  });

  test("by anybody but an administrator", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.withCodes(1);
    for (const caller of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) {
      expectProblem(await caller.post(path(campaign), { all: true, reason: "r" }), 403, "forbidden");
      expectProblem(await caller.get(path(campaign)), 403, "forbidden");
    }
  });
});
