// The audit log as somebody outside sees it: every administrator's change and refused attempt is an entry, the export is
// verified by the companion alone, and whatever is done to it is named by line. Besides: what endpoints are told.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { counterfoil } from "../vectors/cli.mjs";
import { assertChained, canonical, exported, sha256 } from "./audit-chain.mjs";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, startEdge } from "./env.mjs";
import { fulfillerOf, grants, says } from "./fulfiller-double.mjs";
import { assertVerified, auditOf, audited, withFulfillers } from "./rewards.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
const LAG_MS = 15_000;
const SEAL_MS = 75_000;

const verify = (lines, ...flags) => counterfoil(["audit", "verify", "-", ...flags], `${lines.join("\n")}\n`);

/** A shop in which something of every kind has happened. */
async function busyShop() {
  const shop = openShop(edge);
  const { reward_id } = await shop.reward({ name: "Fünf € 😀" });
  const { campaign, codes } = await shop.withCodes(4, { reward_id, kind: "unique" });
  const [ann, bob] = [shop.member(), shop.member()];
  for (const code of codes.slice(0, 3)) await redeemed(ann, code);
  expectProblem(await redeem(bob, codes[0]), 409, "already_redeemed");
  await shop.change(campaign, { name: "Näher" });
  await audited(shop, { action: "campaign.changed" }, { action: "redemption.refused" });
  return { shop, campaign, reward_id, ann, bob, codes };
}

describe("an export", () => {
  const closing = [];
  let busy;
  let lines;
  let endpoint;
  after(() => Promise.all(closing.map((close) => close())));
  before(async () => {
    busy = await busyShop();
    endpoint = await fulfillerOf({ after: (close) => closing.push(close) }, busy.shop, [says(200)], ["audit.seal"]);
    // Sealed by the minute, and something comes after the seal.
    await until(() => exported(busy.shop), (all) => all.some((line) => line.startsWith('{"kind":"seal"')), SEAL_MS);
    await busy.shop.move(busy.campaign, "pause");
    await audited(busy.shop, { action: "campaign.paused" });
    lines = await exported(busy.shop);
  });

  test("is what the format says, by a second implementation", async () => {
    const { header, entries, seals } = assertChained(lines);
    assert.match(header.recorder, new RegExp(`^${busy.shop.merchant}/\\d{4}-\\d\\d/0$`));
    assert.ok(seals.length >= 1 && entries.length >= 9, `${entries.length} entries, ${seals.length} seals`);
  });

  test("is verified offline, with an anchor or without", () => {
    const seal = JSON.parse(lines.find((line) => line.startsWith('{"kind":"seal"'))).hash;
    for (const flags of [[], ["--anchor", seal]]) {
      const { status, stdout, stderr } = verify(lines, ...flags);
      assert.deepEqual([status, stderr], [0, ""], stdout);
      assert.match(stdout, /is as it was written/);
      assert.match(stdout, new RegExp(`entries: +${lines.filter((line) => line.startsWith('{"kind":"entry"')).length}\n`));
    }
    const { status, stdout } = verify(lines, "--anchor", "0".repeat(64));
    assert.equal(status, 1);
    assert.match(stdout, /without a seal of the hash 0{64}/);
  });

  test("has an anchor elsewhere: the first seal of a day goes out", async () => {
    const [event] = await endpoint.fulfiller.deliveries(1, { ms: LAG_MS });
    const { hash, ...seal } = event.body.data;
    assert.deepEqual([event.body.type, seal.n, hash], ["audit.seal", 1, sha256(canonical(seal))]);
    assert.equal(verify(lines, "--anchor", hash).status, 0);
    endpoint.fulfiller.assertProper();
  });

  test("names by line what was done to it", () => {
    const place = (start) => lines.findIndex((line) => line.startsWith(start));
    const minted = lines.findIndex((line) => line.includes("campaign.minted"));
    const seal = place('{"kind":"seal"');
    const bend = (index, from, to) => {
      assert.ok(lines[index].includes(from), lines[index]);
      return lines.with(index, lines[index].replace(from, to));
    };
    const rehashed = (index, from, to) => {
      const { kind, hash, ...content } = JSON.parse(lines[index].replace(from, to));
      const text = canonical(content);
      return lines.with(index, `{"kind":"${kind}",${text.slice(1, -1)},"hash":"${sha256(text)}"}`);
    };
    for (const [what, bent, expected] of [
      ["changed", bend(minted, '"count":4', '"count":5'), new RegExp(`^line ${minted + 1}: changed`)],
      ["changed with a fresh hash", rehashed(minted, '"count":4', '"count":5'), /does not follow the entry in line|root does not fit/],
      ["dropped", lines.toSpliced(minted, 1), /leaves a gap: number \d+ is missing/],
      ["doubled", lines.toSpliced(minted, 0, lines[minted]), new RegExp(`^line ${minted + 2}: .*repeated or out of order`)],
      ["moved", lines.toSpliced(minted, 1).toSpliced(seal + 1, 0, lines[minted]), /repeated or out of order/],
      ["a seal changed", bend(seal, '"entries":', '"entries":1'), new RegExp(`^line ${seal + 1}: changed`)],
      ["cut short", lines.slice(0, -1), /the file ends with/],
      ["a field added twice", bend(minted, '"count":4', '"count":9,"count":4'), new RegExp(`^line ${minted + 1}: changed`)],
    ]) {
      const { status, stdout } = verify(bent);
      assert.equal(status, 1, what);
      assert.match(stdout, expected, what);
    }
  });

  test("is of a month that there was", async () => {
    const { shop } = busy;
    const month = JSON.parse(lines[0]).recorder.split("/")[1];
    assert.ok((await exported(shop, `?month=${month}`)).length >= lines.length);
    for (const bad of ["2026-13", "2026", "november", ""]) expectProblem(await shop.admin.get(`/v1/audit/export?month=${bad}`), 400, "invalid_request");
    expectProblem(await shop.admin.get("/v1/audit/export?month=1999-01"), 404, "not_found");
    const empty = await exported(openShop(edge));
    assert.equal(empty.length, 1);
    assert.equal(verify(empty).status, 0);
  });
});

describe("entries", () => {
  test("tell who changed what, and what was refused", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward();
    const eve = shop.as("admin", "eve");
    const { campaign } = await shop.campaign({ reward_id });
    expectProblem(await eve.post(`/v1/campaigns/${campaign}/batches`, { count: 0 }), 400, "invalid_request");
    await shop.move(campaign, "end");
    expectProblem(await eve.post(`/v1/campaigns/${campaign}/activate`), 409, "illegal_move");
    expectProblem(await eve.patch(`/v1/reward-definitions/${reward_id}`, { name: "Six" }, { headers: { "if-match": '"7"' } }), 412, "version_mismatch");
    expectStatus(await shop.admin.patch(`/v1/reward-definitions/${reward_id}`, { name: "Six" }, { headers: { "if-match": '"1"' } }), 200);
    expectProblem(await eve.post("/v1/reward-definitions", { reward_id, name: "Again", type: "xp", value: { amount: 1 } }), 409, "already_exists");
    const admin = "admin:admin-1";
    await audited(
      shop,
      { object: "merchant", action: "definition.created", actor: admin, subject: reward_id },
      { object: "merchant", action: "definition.changed", actor: admin, subject: reward_id },
      { object: `campaign/${campaign}`, action: "campaign.created", actor: admin, subject: String(campaign) },
      { object: `campaign/${campaign}`, action: "campaign.activated", actor: admin },
      { object: `campaign/${campaign}`, action: "campaign.ended", actor: admin },
      { object: `campaign/${campaign}`, action: "campaign.changed", actor: "system" },
      { object: `campaign/${campaign}`, action: "attempt.refused", actor: "admin:eve" },
      { object: "merchant", action: "attempt.refused", actor: "admin:eve", subject: reward_id },
    );
    // Reports lag, and each object reports by itself.
    const refusals = async () => (await auditOf(shop)).filter(({ action }) => action === "attempt.refused").map(({ data }) => data.code);
    const refused = await until(refusals, (told) => told.length >= 4);
    assert.deepEqual(refused.sort(), ["already_exists", "illegal_move", "invalid_request", "version_mismatch"]);
    // A replay and a move already made change nothing, and so leave no entry.
    const before = (await auditOf(shop)).length;
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/end`), 200);
    expectProblem(await shop.admin.post("/v1/campaigns/65000/end"), 404, "not_found");
    assert.equal((await auditOf(shop)).length, before);
  });

  test("are found by object, action, subject and time, page by page", async () => {
    const { shop, campaign, reward_id } = await busyShop();
    const all = await auditOf(shop);
    const ids = (items) => items.map(({ object, n }) => `${object} ${n}`);
    const found = async (query) => ids((await shop.admin.get(`/v1/audit?limit=200&${query}`)).body.items);
    for (const [query, fits] of [
      [`object=campaign/${campaign}`, ({ object }) => object === `campaign/${campaign}`],
      ["action=redemption.granted", ({ action }) => action === "redemption.granted"],
      [`subject=${reward_id}`, ({ subject }) => subject === reward_id],
      [`from=${all[2].at}`, ({ at }) => at >= all[2].at],
      [`to=${all[2].at}`, ({ at }) => at < all[2].at],
      ["object=nobody", () => false],
    ]) {
      assert.deepEqual(await found(query), ids(all.filter(fits)), query);
    }
    let [cursor, paged] = ["", []];
    do {
      const { body } = await shop.admin.get(`/v1/audit?limit=4${cursor}`);
      paged = [...paged, ...body.items];
      cursor = body.next_cursor && `&cursor=${encodeURIComponent(body.next_cursor)}`;
    } while (cursor);
    assert.deepEqual(ids(paged), ids(all));
    for (const query of ["from=now", "to=x", "limit=0", "cursor=5", "cursor=2026-11.x"]) expectProblem(await shop.admin.get(`/v1/audit?${query}`), 400, "invalid_request");
  });
});

describe("events to endpoints", () => {
  test("come signed, once, with the member's own id; those nobody asked for do not", async (t) => {
    const shop = openShop(edge);
    const { fulfiller } = await fulfillerOf(t, shop, [says(204)], ["redemption.granted"]);
    const ann = shop.member();
    const { code } = await shop.withCodes();
    const redemption = await redeemed(ann, code);
    const [event] = await fulfiller.deliveries(1, { ms: LAG_MS });
    assert.equal(event.body.type, "redemption.granted");
    assert.deepEqual(event.body.data, { ...redemption, member_id: ann.sub });
    assert.equal(new Date(event.body.timestamp).toISOString(), redemption.updated_at);
    await until(async () => (await shop.admin.get("/v1/stats")).body, ({ deliveries }) => deliveries.delivered === 1, LAG_MS);
    assert.equal(fulfiller.received.length, 1);
    fulfiller.assertProper();
  });

  test("are told to every endpoint that asked, also to one that was made a moment ago", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { codes } = await shop.withCodes(2);
    await redeemed(ann, codes[0]);
    await audited(shop, { action: "redemption.granted" });
    const all = await fulfillerOf(t, shop, [says(200)], ["*"]);
    const rewards = await fulfillerOf(t, shop, [says(200)], ["reward.*"]);
    const { redemption_id, rewards: [reward] } = await redeemed(ann, codes[1]);
    const told = async ({ fulfiller }, count) => (await fulfiller.deliveries(count, { ms: LAG_MS })).map(({ body }) => [body.type, body.data.redemption_id, body.data.id]);
    const granted = ["reward.granted", redemption_id, reward];
    assert.deepEqual((await told(all, 2)).sort(), [["redemption.granted", redemption_id, undefined], granted].sort());
    assert.deepEqual(await told(rewards, 1), [granted]);
  });

  test("are tried again after five seconds with the same id, and kept for the endpoint's list", async (t) => {
    const shop = openShop(edge);
    const { fulfiller, endpoint_id } = await fulfillerOf(t, shop, [says(500), grants()], ["redemption.granted"]);
    await redeemed(shop.member(), (await shop.withCodes()).code);
    await fulfiller.deliveries(1, { ms: LAG_MS });
    const list = () => shop.admin.get(`/v1/webhooks/${endpoint_id}/deliveries`);
    const { body } = await until(list, (answer) => answer.body.items.length === 1, LAG_MS);
    assert.deepEqual([body.items[0].state, body.items[0].attempts, body.items[0].last_error], ["waiting", 1, "HTTP 500"]);
    const [first, second] = await fulfiller.deliveries(2, { ms: LAG_MS });
    assert.deepEqual([second.id, second.text], [first.id, first.text]);
    assert.ok(second.at - first.at > 4_000 && second.at - first.at < 9_000, `${second.at - first.at} ms`);
    await until(list, (answer) => answer.body.items[0].state === "delivered", LAG_MS);
    fulfiller.assertProper();
  });

  test("wait for an endpoint that is gone until it is tested, and come then", async (t) => {
    const shop = openShop(edge);
    const { fulfiller, endpoint_id } = await fulfillerOf(t, shop, [says(410)], ["redemption.granted"]);
    const ann = shop.member();
    const { codes } = await shop.withCodes(2);
    const first = await redeemed(ann, codes[0]);
    await until(() => shop.admin.get(`/v1/webhooks/${endpoint_id}`), ({ body }) => body.disabled, LAG_MS);
    const second = await redeemed(ann, codes[1]);
    await audited(shop, { action: "webhook.disabled" }, { action: "redemption.granted", subject: second.redemption_id });
    assert.equal(fulfiller.received.length, 1);
    fulfiller.behave(says(200));
    expectStatus(await shop.admin.post(`/v1/webhooks/${endpoint_id}/test`), 200);
    const granted = await until(async () => fulfiller.received.filter(({ body }) => body.type === "redemption.granted").slice(1), (all) => all.length === 2, LAG_MS);
    assert.deepEqual(granted.map(({ body }) => body.data.redemption_id).sort(), [first.redemption_id, second.redemption_id].sort());
  });
});

test("what was committed is recorded after a restart, whenever it came", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "counterfoil-audit-"));
  let running;
  t.after(async () => {
    await running?.dispose();
    rmSync(folder, { recursive: true, force: true });
  });
  const restart = async (merchant) => {
    await running?.dispose();
    running = await startEdge({ persist: folder });
    return openShop({ url: running.url.toString().replace(/\/$/, "") }, merchant);
  };
  let shop = await restart();
  const ann = shop.member();
  const { campaign, codes } = await shop.withCodes(6);
  const made = [];
  for (const code of codes) {
    const member = shop.member({}, ann.sub);
    made.push(expectStatus(await redeem(member, code), 201).redemption_id);
    // Its report may be anywhere on its way.
    if (made.length % 2 === 0) shop = await restart(shop.merchant);
  }
  await audited(shop, ...made.map((subject) => ({ action: "redemption.granted", subject })));
  const lines = await exported(shop);
  assert.deepEqual([verify(lines).status, lines.filter((line) => line.includes("redemption.granted")).length], [0, 6]);
  for (const subject of [{ member_id: ann.sub }, { campaign }]) await assertVerified(shop, subject);
});

test("members' redemptions of all kinds are listed for administrators; testers on request only", async () => {
  const shop = openShop(edge);
  const [ann, tess] = [shop.member(), shop.member()];
  expectStatus(await shop.admin.put(`/v1/members/${tess.sub}`, { tester: true }), 200);
  const { campaign, codes } = await shop.withCodes(3);
  const made = [await redeemed(ann, codes[0]), await redeemed(tess, codes[1]), await redeemed(ann, codes[2])];
  const list = async (query) => (await shop.admin.get(`/v1/redemptions?all=1${query}`)).body.items;
  await until(() => list("&testers=1"), (items) => items.length === 3, LAG_MS);
  const [first, tester, last] = made.map(({ redemption_id }) => redemption_id);
  const ids = async (query) => (await list(query)).map(({ redemption_id }) => redemption_id);
  assert.deepEqual(await ids(""), [last, first]);
  assert.deepEqual(await ids("&testers=1"), [last, tester, first]);
  assert.deepEqual((await list("&testers=1")).map((item) => item.tester), [undefined, true, undefined]);
  assert.deepEqual(await ids(`&campaign=${campaign}&status=granted`), [last, first]);
  for (const query of ["&status=refused", "&status=grant_failed", "&campaign=1"]) assert.deepEqual(await ids(query), []);
  const [one] = await list("&limit=1");
  const { member, ...redemption } = one;
  assert.match(member, /^[0-9a-f]{32}$/);
  assert.deepEqual(redemption, made[2]);
  assert.deepEqual(await ids(`&from=${made[2].created_at}`), [last]);
  assert.deepEqual(await ids(`&to=${made[2].created_at}`), [first]);
});
