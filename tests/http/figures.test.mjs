// The figures of a merchant: how many were bought at once, what was refused and short, what pools have left, how long it took;
// in /v1/stats for administrators and in /metrics for a scraper with the deployment's own token.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, expectProblem, expectStatus, send, understood, until } from "./client.mjs";
import { forge } from "./code.mjs";
import { edgeForThisFile, signToken, unique } from "./env.mjs";
import { fails, fulfillerOf } from "./fulfiller-double.mjs";
import { readMetrics, samplesWith } from "./prometheus.mjs";
import { inStatus } from "./rewards.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { quoted, record, reversed, sold, tillOf } from "./till.mjs";
import { bought, buy, forSale, memberWith, openPool, poolForSale, stockBecomes } from "./trade.mjs";

const METRICS_TOKEN = "a token that only the scraper of these tests knows";
const edge = edgeForThisFile({ vars: { METRICS_TOKEN, ALLOW_PRIVATE_TARGETS: "1" } });
const LAG_MS = 15_000;

const stats = async (shop) => expectStatus(await shop.admin.get("/v1/stats"), 200);
/** The figures once they say so: reports lag by seconds. */
const statsWhere = (shop, settled) => until(() => stats(shop), settled, LAG_MS);

function assertHistogram({ buckets, count, sum_ms }) {
  const says = JSON.stringify({ buckets, count, sum_ms });
  assert.ok(Number.isInteger(count) && Number.isFinite(sum_ms) && sum_ms >= 0, says);
  assert.ok(buckets.length > 1, says);
  const bounds = buckets.map(({ le }) => (le === "+Inf" ? Infinity : le));
  assert.ok(bounds.every((bound, at) => typeof bound === "number" && (at === 0 || bound > bounds[at - 1])), says);
  const counts = buckets.map((one) => one.count);
  assert.ok(counts.every((one, at) => Number.isInteger(one) && (at === 0 || one >= counts[at - 1])), `counts are cumulative; ${says}`);
  assert.ok(counts.at(-1) <= count, says);
  if (bounds.at(-1) === Infinity) assert.equal(counts.at(-1), count, says);
}

describe("/v1/stats", () => {
  test("of a merchant without redemptions is all zero", async () => {
    const { quantities, share_of_one, share_of_more, shortages, unrecognised, grants_failed, pools, acceptance_ms, processing_ms } = await stats(openShop(edge));
    assert.deepEqual([quantities, share_of_one, share_of_more, shortages, unrecognised, grants_failed, pools], [{}, 0, 0, 0, 0, 0, []]);
    for (const histogram of [acceptance_ms, processing_ms]) {
      assertHistogram(histogram);
      assert.deepEqual([histogram.count, histogram.sum_ms], [0, 0]);
    }
  });

  test("counts how many were bought at once, and the shares of one and of more", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 10_000);
    const coffee = await forSale(shop, 10);
    for (const quantity of [1, 1, 1, 1, 1, 3, 3, 10]) await bought(ann, coffee, { quantity });
    const body = await statsWhere(shop, ({ redemptions }) => redemptions.granted === 8);
    assert.deepEqual(body.quantities, { 1: 5, 3: 2, 10: 1 });
    assert.deepEqual([body.share_of_one, body.share_of_more], [5 / 8, 3 / 8]);
  });

  test("counts refusals by code and shortages of promo codes", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const { reward_id } = await poolForSale(shop, 2, 10);
    for (let round = 0; round < 3; round += 1) expectProblem(await buy(ann, reward_id, { quantity: 3 }), 409, "insufficient_codes", { available: 2, requested: 3 });
    expectProblem(await buy(ann, await forSale(shop, 101)), 409, "insufficient_points");
    const body = await statsWhere(shop, ({ refusals }) => refusals.insufficient_codes === 3 && refusals.insufficient_points === 1);
    assert.equal(body.shortages, 3);
    assert.equal(body.redemptions.refused, 4);
  });

  test("counts wrong codes and failed grants", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { mechanic } = await fulfillerOf(t, shop, [fails()]);
    const { reward_id } = await shop.reward({ type: "bonus", value: { reference: "b" }, mechanic });
    const { campaign, code } = await shop.withCodes(1, { reward_id });
    for (let seq = 0; seq < 4; seq += 1) expectProblem(await redeem(ann, forge(shop.keys(campaign), seq)), 404, "code_not_recognised");
    const { redemption_id } = expectStatus(await redeem(ann, code), 201);
    await inStatus(ann, redemption_id, "grant_failed");
    const body = await statsWhere(shop, ({ unrecognised, grants_failed }) => unrecognised === 4 && grants_failed >= 1);
    assert.equal(body.grants_failed, 1);
  });

  test("shows every pool's stock, and whether it is low", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const { pool_id, reward_id } = await poolForSale(shop, 10, 10, { pool: { name: "Cinema", alert_below: 8 } });
    const spare = await openPool(shop, 60, { name: "Theatre" });
    const find = (body, id) => body.pools.find((pool) => pool.pool_id === id);
    const full = await stats(shop);
    assert.deepEqual([find(full, pool_id).free, find(full, pool_id).low, find(full, spare.pool_id).low], [10, false, false]);
    const till = tillOf(shop);
    const { redemption_id } = await sold(till, ann, reward_id, { quantity: 3 });
    await reversed(till, redemption_id);
    await stockBecomes(shop, pool_id, { free: 7, used: 0, quarantined: 3 });
    const body = await statsWhere(shop, (now) => find(now, pool_id).free === 7 && find(now, pool_id).quarantined === 3);
    const { name, used, alert_below, low } = find(body, pool_id);
    assert.deepEqual([name, used, alert_below, low], ["Cinema", 0, 8, true]);
  });

  test("times every decision", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const coffee = await forSale(shop, 10);
    for (let round = 0; round < 6; round += 1) await bought(ann, coffee);
    const { codes } = await shop.withCodes(2);
    for (const code of codes) await redeemed(ann, code);
    const body = await statsWhere(shop, ({ redemptions }) => redemptions.granted === 8);
    for (const histogram of [body.acceptance_ms, body.processing_ms]) {
      assertHistogram(histogram);
      assert.equal(histogram.count, 8);
      assert.ok(histogram.sum_ms <= 8 * 10_000, JSON.stringify(histogram));
    }
    assert.ok(body.processing_ms.sum_ms >= body.acceptance_ms.sum_ms || body.acceptance_ms.sum_ms < 8 * 2000, "accepted no later than decided, or within 2 s");
  });

  test("keeps testers apart from production", async () => {
    const shop = openShop(edge);
    const [ann, tess] = [await memberWith(shop, 1000), await memberWith(shop, 1000)];
    await record(shop, tess, { tester: true });
    const coffee = await forSale(shop, 10);
    await bought(ann, coffee, { quantity: 2 });
    for (let round = 0; round < 3; round += 1) await bought(tess, coffee, { quantity: 5 });
    const body = await statsWhere(shop, ({ redemptions, testers }) => redemptions.granted === 1 && testers.redemptions.granted === 3);
    assert.deepEqual([body.quantities, body.testers.quantities], [{ 2: 1 }, { 5: 3 }]);
    assert.deepEqual([body.share_of_more, body.testers.share_of_more], [1, 1]);
  });
});

const scrape = (token) => send(edge.url, { path: "/metrics", headers: token === undefined ? {} : { authorization: `Bearer ${token}` } });

/** The document, strictly read. */
async function metrics() {
  const answer = await scrape(METRICS_TOKEN);
  assert.equal(answer.status, 200, answer.text);
  assert.match(answer.headers["content-type"], /^text\/plain; version=0\.0\.4(; charset=utf-8)?$/i);
  const families = readMetrics(answer.text);
  for (const name of families.keys()) assert.match(name, /^counterfoil_[a-z0-9_]+$/);
  return { text: answer.text, families };
}

describe("/metrics", () => {
  test("asks for the deployment's own token, and for no other", async () => {
    const shop = openShop(edge);
    await memberWith(shop, 1);
    for (const token of [undefined, "", "x", METRICS_TOKEN.slice(0, -1), `${METRICS_TOKEN}x`, METRICS_TOKEN.toUpperCase(), shop.admin.token, shop.service.token, signToken({ sub: METRICS_TOKEN, role: "admin", merchant: shop.merchant })]) {
      expectProblem(understood(await scrape(token)), 401, "invalid_token");
    }
    assert.equal((await scrape(METRICS_TOKEN)).status, 200);
    expectProblem(await new Client(edge.url, METRICS_TOKEN).get("/v1/stats"), 401, "invalid_token");
  });

  test("is text in Prometheus' format, over all merchants, and agrees with /v1/stats", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    for (const [shop, count] of [[one, 3], [other, 2]]) {
      const ann = await memberWith(shop, 1000);
      const { reward_id } = await poolForSale(shop, 7, 10);
      for (let round = 0; round < count; round += 1) await bought(ann, reward_id, { quantity: 2 });
      expectProblem(await buy(ann, reward_id, { quantity: 50 }), 409, "insufficient_codes");
      await redeemed(ann, (await shop.withCodes()).code);
      await statsWhere(shop, ({ redemptions }) => redemptions.granted === count + 1 && redemptions.refused === 1);
    }
    const { families } = await metrics();
    for (const [shop, count] of [[one, 3], [other, 2]]) {
      const { pools, processing_ms } = await stats(shop);
      const own = samplesWith(families, { merchant: shop.merchant });
      const has = (what, fits) => assert.ok(own.some(fits), `${what} of ${shop.merchant} among ${JSON.stringify(own)}`);
      has("quantity 2", ({ name, labels, value }) => /quantit/.test(name) && Object.values(labels).includes("2") && value === count);
      has("granted redemptions", ({ labels, value }) => Object.values(labels).includes("granted") && value === count + 1);
      has("the refusal", ({ labels, value }) => Object.values(labels).includes("insufficient_codes") && value === 1);
      has("the pool's stock", ({ name, labels, value }) => /pool/.test(name) && labels.pool === pools[0].pool_id && value === 7 - 2 * count);
      has("processing times", ({ name, value }) => /processing.*_count$/.test(name) && value === processing_ms.count);
      has("acceptance times", ({ name }) => /acceptance.*_count$/.test(name));
      has("shortages", ({ name, value }) => /shortage/.test(name) && value === 1);
      has("wrong codes", ({ name, value }) => /unrecognised/.test(name) && value === 0);
      has("failed grants", ({ name, value }) => /grants_failed/.test(name) && value === 0);
    }
  });

  test("tells of nobody: no member, phone, code or token", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000, {});
    await record(shop, ann, { phone: "+4915166600001", name: "Ann Example" });
    const { reward_id, codes } = await poolForSale(shop, 7, 10);
    const till = tillOf(shop);
    const { quote_id } = await quoted(till, ann, reward_id);
    await bought(ann, reward_id, { quantity: 2 });
    const { code } = await shop.withCodes();
    await redeemed(ann, code);
    await statsWhere(shop, ({ redemptions }) => redemptions.granted === 2);
    const { text } = await metrics();
    for (const secret of [ann.sub, "15166600001", "Ann Example", code, code.replaceAll("-", ""), ...codes, ann.token, shop.admin.token, METRICS_TOKEN, quote_id, till.sub]) assert.ok(!text.includes(secret), secret);
  });

  test("counts up and never down", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const coffee = await forSale(shop, 10);
    await bought(ann, coffee);
    await statsWhere(shop, ({ redemptions }) => redemptions.granted === 1);
    const before = (await metrics()).families;
    await bought(ann, coffee, { quantity: 4 });
    await redeem(ann, unique("X"));
    await statsWhere(shop, ({ redemptions }) => redemptions.granted === 2);
    const after = (await metrics()).families;
    for (const [name, { type, samples }] of before) {
      if (type !== "counter" && type !== "histogram") continue;
      for (const { name: full, labels, value } of samples) {
        const now = after.get(name).samples.find((sample) => sample.name === full && JSON.stringify(sample.labels) === JSON.stringify(labels));
        assert.ok(now?.value >= value, `${full}${JSON.stringify(labels)} was ${value} and is ${now?.value}`);
      }
    }
  });
});

describe("a deployment without a token for metrics", () => {
  const plain = edgeForThisFile({ vars: {} });
  test("has none", async () => {
    const shop = openShop(plain);
    for (const token of [undefined, METRICS_TOKEN, shop.admin.token]) {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      expectProblem(understood(await send(plain.url, { path: "/metrics", headers })), 404, "not_found");
    }
  });
});

describe("a deployment whose token for metrics is too short to be one", () => {
  const weak = edgeForThisFile({ vars: { METRICS_TOKEN: "short" } });
  test("tells nobody any figure", async () => {
    const answer = await send(weak.url, { path: "/metrics", headers: { authorization: "Bearer short" } });
    assert.ok([401, 404, 500, 503].includes(answer.status), `${answer.status} ${answer.text}`);
    assert.ok(!answer.text.includes("counterfoil_"));
  });
});
