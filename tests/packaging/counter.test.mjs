// The npm package's points, checkout and till against the real edge: what the unit tests pretend, once for real.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { CounterfoilError, createClient } from "@counterfoil/sdk";
import { checkout } from "@counterfoil/sdk/checkout";
import { catalogue } from "@counterfoil/sdk/points";
import { createTill, saleOf } from "@counterfoil/sdk/till";
import { WebSocket } from "ws";

import { until } from "../http/client.mjs";
import { edgeForThisFile, signToken, unique } from "../http/env.mjs";
import { define } from "../http/rewards.mjs";
import { openShop } from "../http/shop.mjs";
import { record, tillOf } from "../http/till.mjs";
import { earn, forSale, fund } from "../http/trade.mjs";

const edge = edgeForThisFile();
const PHONE = "+4915155500001";

/** A shop with one member, and her own client. */
function setting() {
  const shop = openShop(edge);
  const ann = shop.member();
  const options = (more = {}) => ({ baseUrl: edge.url, token: signToken({ sub: ann.sub, merchant: shop.merchant }), WebSocket, ...more });
  return { shop, ann, options, client: createClient(options()) };
}

/** Acts on every request and loses the answers of these, so often. */
function losing(times, pattern) {
  let left = times;
  return async (input, init) => {
    const answer = await fetch(input, init);
    if (left <= 0 || !pattern.test(String(input)) || init.method !== "POST") return answer;
    left -= 1;
    throw new TypeError("the connection broke");
  };
}

describe("points", () => {
  it("are spent once although answers are lost, and the catalogue follows", async () => {
    const { shop, ann, options } = setting();
    const [mug, bag] = [await forSale(shop, 40), await forSale(shop, 500)];
    await earn(shop, ann, 100);
    const client = createClient(options({ fetch: losing(2, /redemptions$/) }));
    const before = await catalogue(client);
    assert.deepEqual(
      before.map(({ reward_id, affordable, points_needed }) => [reward_id, affordable, points_needed]).sort(),
      [[mug, true, undefined], [bag, false, 400]].sort(),
    );
    const redemption = await client.redeem({ rewardId: mug, quantity: 2 });
    assert.deepEqual([redemption.kind, redemption.quantity, redemption.points_spent], ["points", 2, 80]);
    assert.equal((await client.wallet()).points, 20);
    assert.ok((await catalogue(client)).every(({ affordable }) => !affordable));
    await assert.rejects(client.redeem({ rewardId: mug }), (error) => error.code === "insufficient_points" && error.problem.points_needed === 20);
    assert.deepEqual(await client.pending(), []);
  });
});

describe("a checkout", () => {
  it("holds credit once although the answer is lost, a discount beside it, and gives both back", async () => {
    const { shop, ann, options } = setting();
    await fund(shop, ann, 1000);
    const discount = await define(shop, "discount", { value: { percent: 10 } });
    const { code } = await shop.withCodes(1, { reward_id: discount });
    const client = createClient(options({ fetch: losing(1, /holds$/) }));
    const order = checkout(client, unique("o-"));
    const total = { currency: "EUR", amount_minor: 2000 };
    const credit = await order.hold({ creditMinor: 600, total });
    assert.deepEqual([credit.state, credit.applied_minor, credit.remaining_minor], ["held", 600, 1400]);
    const reduced = await order.hold({ code, total });
    assert.deepEqual([reduced.state, reduced.applied_minor, reduced.remaining_minor], ["held", 200, 1200]);
    assert.equal((await order.holds()).length, 2);
    assert.deepEqual((await client.wallet()).credit, [{ currency: "EUR", amount_minor: 400 }]);
    await assert.rejects(order.hold({ creditMinor: 401, total }), (error) => error instanceof CounterfoilError && error.code === "value_spent");
    await order.release(credit.hold_id);
    await order.release(credit.hold_id);
    assert.deepEqual((await client.wallet()).credit, [{ currency: "EUR", amount_minor: 1000 }]);
  });
});

describe("a till", () => {
  const at = (shop, role, more = {}) => createTill({ baseUrl: edge.url, token: tillOf(shop, role).token, ...more });

  it("looks up, quotes, confirms once although answers are lost, and takes back", async () => {
    const { shop, ann } = setting();
    const coffee = await forSale(shop, 80, { name: "Coffee" });
    await record(shop, ann, { phone: PHONE, name: "Ann" });
    await earn(shop, ann, 100);
    const till = at(shop, "staff", { fetch: losing(2, /(confirm|reversal)$/) });
    const member = await till.lookup(PHONE);
    assert.deepEqual([member.name, member.points, member.rewards.map(({ reward_id }) => reward_id)], ["Ann", 100, [coffee]]);
    const quote = await till.quote({ memberId: member.member_id, rewardId: coffee });
    assert.deepEqual([quote.points_cost, quote.points_after], [80, 20]);
    const lost = [];
    const redemption = await till.confirm(quote, { onRetry: ({ code }) => lost.push(code) });
    assert.deepEqual(lost, ["network_error", "network_error"]);
    assert.equal(saleOf(redemption, quote, member).reward_name, "Coffee");
    assert.equal((await till.lookup(PHONE)).points, 20);
    await assert.rejects(till.confirm(quote), { code: "quote_expired" });
    assert.equal((await till.reverse(redemption.redemption_id, { reason: "wrong one" })).status, "reversed");
    await assert.rejects(till.reverse(redemption.redemption_id, { reason: "again" }), { code: "already_reversed" });
    assert.equal((await till.lookup(PHONE)).points, 100);
    assert.deepEqual(await till.pending(), []);
    const rows = (await at(shop, "admin").ledger(ann.sub)).items;
    assert.deepEqual(rows.map(({ amount }) => amount), [80, -80, 100]);
  });

  it("cancels, and lets a manager, and nobody else, let points go", async () => {
    const { shop, ann } = setting();
    const [coffee, mug] = [await forSale(shop, 80), await forSale(shop, 300)];
    await record(shop, ann, { phone: PHONE });
    await earn(shop, ann, 100);
    const till = at(shop, "staff");
    const unwanted = await till.quote({ memberId: ann.sub, rewardId: coffee });
    await till.cancel(unwanted.quote_id);
    await till.cancel(unwanted.quote_id);
    await assert.rejects(till.confirm(unwanted), (error) => error.code === "quote_expired" && error.problem.reason === "cancelled");
    const short = await till.quote({ memberId: ann.sub, rewardId: mug }).catch((error) => error);
    assert.deepEqual([short.code, short.problem.points_needed], ["insufficient_points", 200]);
    const quote = { quote_id: short.problem.quote_id, reward_name: "Mug", points_cost: 300 };
    const override = { reason: "a regular" };
    await assert.rejects(till.confirm(quote, { override }), { code: "forbidden" });
    const { points_spent, goodwill_points, reason } = await at(shop, "manager").confirm(quote, { override });
    assert.deepEqual([points_spent, goodwill_points, reason], [100, 200, "a regular"]);
    await assert.rejects(till.lookup("+4915155599999"), { code: "member_not_found" });
  });

  it("knows whether the edge is there", async (t) => {
    const { shop } = setting();
    const said = [];
    let broken = false;
    const fetchNow = (...args) => (broken ? Promise.reject(new TypeError("the connection broke")) : fetch(...args));
    const till = at(shop, "staff", { fetch: fetchNow });
    t.after(till.watch((reachable) => said.push(reachable)));
    broken = true;
    await assert.rejects(till.lookup(PHONE), { code: "network_error" });
    assert.equal(said.at(-1), false);
    broken = false;
    await until(() => said.at(-1), Boolean, 10_000);
  });
});
