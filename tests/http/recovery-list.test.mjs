// What operators look at: redemptions of all members by state, statistics, the audit log, and the server's own check of its
// invariants. Reports lag by seconds, so every reading waits for what it expects.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { fails, fulfillerOf, grants, says } from "./fulfiller-double.mjs";
import { assertVerified, auditOf, define, give, inStatus, operate, remove, withFulfillers } from "./rewards.mjs";
import { assertRedemption, openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
const LAG_MS = 15_000;
const ids = (items) => items.map(({ redemption_id }) => redemption_id);
const listed = (shop, query = "", limit) => everyItem(shop.admin, `/v1/redemptions?all=1${query}`, limit);

/** The list once it has exactly these redemptions, in any order. */
const lists = (shop, query, expected) =>
  until(
    () => listed(shop, query),
    (items) => JSON.stringify(ids(items).sort()) === JSON.stringify([...expected].sort()),
    LAG_MS,
  );

/** A shop with redemptions in several states, by several members. */
async function busyShop(suite) {
  const shop = openShop(edge);
  const [ann, bob, tess] = [shop.member(), shop.member(), shop.member()];
  expectStatus(await shop.admin.put(`/v1/members/${tess.sub}`, { tester: true }), 200);
  const { mechanic, fulfiller } = await fulfillerOf(suite, shop, [says(500)]);
  const failing = await shop.withCodes(3, { reward_id: await define(shop, "bonus", { mechanic, attempts_max: 1 }) });
  const plain = await shop.withCodes(4);
  const made = { granted: [], failed: [], cancelled: [], refused: [], tester: [] };
  for (const [member, code] of [[ann, plain.codes[0]], [bob, plain.codes[1]], [ann, plain.codes[2]]]) made.granted.push((await redeemed(member, code)).redemption_id);
  for (const [member, code] of [[ann, failing.codes[0]], [bob, failing.codes[1]]]) {
    const { redemption_id } = expectStatus(await redeem(member, code), 201);
    await inStatus(member, redemption_id, "grant_failed");
    made.failed.push(redemption_id);
  }
  fulfiller.behave(fails());
  const { redemption_id } = expectStatus(await redeem(ann, failing.codes[2]), 201);
  await inStatus(ann, redemption_id, "grant_failed");
  expectStatus(await operate(shop.admin, redemption_id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
  made.cancelled.push(redemption_id);
  expectProblem(await redeem(bob, plain.codes[0]), 409, "already_redeemed");
  made.refused.push((await everyItem(bob, "/v1/redemptions?status=refused"))[0].redemption_id);
  made.tester.push((await redeemed(tess, plain.codes[3])).redemption_id);
  return { shop, ann, bob, tess, failing, plain, made, fulfiller };
}

describe("redemptions of all members", () => {
  const closing = [];
  let busy;
  before(async () => (busy = await busyShop({ after: (close) => closing.push(close) })));
  after(() => Promise.all(closing.map((close) => close())));

  test("are listed by state, as their members read them", async () => {
    const { shop, ann, bob, made } = busy;
    for (const [status, expected] of [["grant_failed", made.failed], ["granted", made.granted], ["cancelled", made.cancelled], ["refused", made.refused], ["held", []]]) {
      const items = await lists(shop, `&status=${status}`, expected);
      for (const item of items) {
        const own = await shop.admin.get(`/v1/redemptions/${item.redemption_id}`);
        assert.equal(expectStatus(own, 200).status, item.status);
        assert.deepEqual([own.body.attempts, own.body.last_error, own.body.created_at, own.body.reward_id], [item.attempts, item.last_error, item.created_at, item.reward_id]);
      }
    }
    const all = [...made.failed, ...made.granted, ...made.cancelled, ...made.refused];
    const items = await lists(shop, "", all);
    assert.ok(items.every(({ redemption_id }) => redemption_id !== made.tester[0]), "testers apart");
    const text = JSON.stringify(items);
    for (const { sub } of [ann, bob]) assert.ok(!text.includes(sub), "no raw member id leaves the reports");
  });

  test("page by page, newest first, with nothing twice", async () => {
    const { shop, made } = busy;
    const whole = await lists(shop, "", [...made.failed, ...made.granted, ...made.cancelled, ...made.refused]);
    const times = whole.map(({ created_at }) => Date.parse(created_at));
    assert.deepEqual(times, [...times].sort((a, b) => b - a));
    for (const limit of [1, 2, 3, 7, 200]) assert.deepEqual(ids(await listed(shop, "", limit)), ids(whole), `by ${limit}`);
  });

  test("since an instant, and with a status", async () => {
    const { shop, made } = busy;
    const whole = await lists(shop, "", [...made.failed, ...made.granted, ...made.cancelled, ...made.refused]);
    const at = whole[3].created_at;
    assert.deepEqual(ids(await listed(shop, `&since=${at}`)), ids(whole.filter(({ created_at }) => created_at >= at)));
    assert.deepEqual(await listed(shop, "&since=2100-01-01T00:00:00Z"), []);
    assert.deepEqual(ids(await listed(shop, `&status=granted&since=${at}`)), ids(whole.filter((one) => one.created_at >= at && one.status === "granted")));
    for (const query of ["status=happy", "status=", "since=yesterday", "since=2026-02-30T00:00:00Z", "cursor=nonsense", "limit=0", "limit=201"]) expectProblem(await shop.admin.get(`/v1/redemptions?all=1&${query}`), 400, "invalid_request");
  });

  test("for administrators of that merchant alone", async () => {
    const { shop, ann } = busy;
    for (const caller of [ann, shop.service]) expectProblem(await caller.get("/v1/redemptions?all=1"), 403, "forbidden");
    assert.deepEqual(await listed(openShop(edge)), []);
  });

  test("a repaired one moves from one list to the other", async () => {
    const { shop, made, fulfiller, ann } = busy;
    fulfiller.behave(grants());
    const [first, ...rest] = made.failed;
    expectStatus(await operate(shop.admin, first, "retry", { reason: "they are back" }), 200);
    await inStatus(ann, first, "granted");
    await lists(shop, "&status=grant_failed", rest);
    await lists(shop, "&status=granted", [...made.granted, first]);
  });
});

describe("statistics", () => {
  /** Every number in a document, by its path. */
  function numbers(value, path = "", found = {}) {
    if (typeof value === "number") found[path] = value;
    if (value && typeof value === "object") for (const [name, inner] of Object.entries(value)) numbers(inner, `${path}/${name}`, found);
    return found;
  }
  const stats = async (shop) => expectStatus(await shop.admin.get("/v1/stats"), 200);
  const changed = (before, after) => Object.keys({ ...before, ...after }).filter((path) => (before[path] ?? 0) !== (after[path] ?? 0));

  test("count what was granted; testers are not among the figures of production", async () => {
    const shop = openShop(edge);
    const [ann, tess] = [shop.member(), shop.member()];
    expectStatus(await shop.admin.put(`/v1/members/${tess.sub}`, { tester: true }), 200);
    const { codes } = await shop.withCodes(4);
    for (const code of codes.slice(0, 3)) await redeemed(ann, code);
    const threes = await until(() => stats(shop), (body) => Object.entries(numbers(body)).some(([path, value]) => /granted/.test(path) && value === 3), LAG_MS);
    await redeemed(tess, codes[3]);
    const test = await until(() => stats(shop), (body) => changed(numbers(threes), numbers(body)).length > 0, LAG_MS);
    const moved = changed(numbers(threes), numbers(test));
    assert.ok(moved.every((path) => !/granted/.test(path) || /tester/.test(path)), `only figures of testers move: ${moved}`);
  });

  test("for administrators, of their own merchant", async () => {
    const shop = openShop(edge);
    for (const caller of [shop.member(), shop.as("staff"), shop.service]) expectProblem(await caller.get("/v1/stats"), 403, "forbidden");
    // The bounds of a histogram are no figures.
    const figures = Object.entries(numbers(await stats(shop))).filter(([path]) => !path.endsWith("/le"));
    assert.deepEqual(figures.filter(([, value]) => value !== 0), []);
  });
});

describe("the audit log", () => {
  test("has a line for each decision, chained object by object, without a raw member id", async () => {
    const shop = openShop(edge);
    const ann = shop.member({}, "ann-whose-name-is-hers");
    const { codes } = await shop.withCodes(2);
    for (const code of codes) await redeemed(ann, code);
    await remove(shop, ann, (await give(shop, ann, "xp")).id, "given by mistake");
    const lines = await until(() => auditOf(shop), (all) => all.filter(({ action }) => action === "redemption.granted").length >= 3 && all.some(({ reason }) => reason === "given by mistake"), LAG_MS);
    assert.ok(!JSON.stringify(lines).includes(ann.sub), "a member is its pid");
    const objects = new Map();
    for (const line of lines) objects.set(line.object, [...(objects.get(line.object) ?? []), line]);
    assert.ok([...objects.keys()].some((name) => name.startsWith("member/")), [...objects.keys()].join());
    for (const [name, chain] of objects) {
      chain.sort((a, b) => a.n - b.n);
      assert.deepEqual(chain.map(({ n }) => n), chain.map((_, place) => place + 1), `${name} has no gap`);
      chain.forEach(({ prev, hash }, place) => {
        assert.match(hash, /^[0-9a-f]{64}$/);
        assert.equal(prev, place === 0 ? "0".repeat(64) : chain[place - 1].hash, `${name} line ${place + 1}`);
      });
    }
  });

  test("is exported as JSON lines, and read by administrators alone", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await give(shop, ann, "xp");
    await until(() => auditOf(shop), (all) => all.some(({ action }) => action === "redemption.granted"), LAG_MS);
    const listed = await auditOf(shop);
    const answer = await shop.admin.get("/v1/audit/export");
    expectStatus(answer, 200);
    const lines = answer.text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    assert.equal(lines[0].kind, "export");
    assert.ok(lines.slice(1).every(({ kind }) => ["entry", "seal"].includes(kind)));
    const entries = lines.filter(({ kind }) => kind === "entry");
    const key = ({ object, n }) => `${object} ${n}`;
    const known = new Set(entries.map(key));
    assert.ok(listed.every((line) => known.has(key(line))), "everything listed is exported");
    for (const path of ["/v1/audit", "/v1/audit/export"]) {
      for (const caller of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await caller.get(path), 403, "forbidden");
    }
    assert.deepEqual(await auditOf(openShop(edge)), []);
  });
});

describe("the server's own check", () => {
  test("is well after redemptions, refusals, gifts, deletions and cancellations", async (t) => {
    const { shop, ann, bob, tess, plain, failing } = await busyShop(t);
    for (const { sub } of [ann, bob, tess]) await assertVerified(shop, { member_id: sub });
    for (const { campaign } of [plain, failing]) await assertVerified(shop, { campaign });
  });

  test("names what is wrong with a question, and answers administrators alone", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    for (const body of [{}, { member_id: 7 }, { campaign: "x" }, { campaign: 0 }, { surprise: 1 }]) expectProblem(await shop.admin.post("/v1/verify", body), 400, "invalid_request");
    expectProblem(await shop.admin.post("/v1/verify", { campaign: 61234 }), 404, "not_found");
    for (const caller of [ann, shop.as("staff"), shop.service]) expectProblem(await caller.post("/v1/verify", { member_id: ann.sub }), 403, "forbidden");
    const redemption = await redeemed(ann, (await shop.withCodes()).code);
    assertRedemption(redemption);
    await assertVerified(shop, { member_id: ann.sub });
  });
});
