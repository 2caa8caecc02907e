// Everything that is asked wrongly of points, pools, tills and checkouts gets its named error, and when all of it has been
// tried nothing has changed: not a balance, a row, a promo code or a setting.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { historyOf, ledgerOf, openShop, redeemed, walletOf } from "./shop.mjs";
import { quoted, record, sold } from "./till.mjs";
import { adjust, forSale, fund, memberWith, openPool } from "./trade.mjs";

const edge = edgeForThisFile();
const MIB = 1024 * 1024;
const ctx = {};
let untouched;

/** All that a malformed request might have changed. */
async function state() {
  const { shop, ann, bob } = ctx;
  const pools = await everyItem(shop.admin, "/v1/pools");
  return {
    wallets: await Promise.all([ann, bob].map((one) => walletOf(one))),
    ledgers: await Promise.all([ann, bob].map(ledgerOf)),
    // What is refused by a rule is history; what is malformed is not.
    histories: (await Promise.all([ann, bob].map(historyOf))).map((all) => all.filter(({ status }) => status !== "refused")),
    rewards: await Promise.all([ann, bob].map((one) => everyItem(one, "/v1/rewards"))),
    pools,
    quarantine: await Promise.all(pools.map(({ pool_id }) => everyItem(shop.admin, `/v1/pools/${pool_id}/quarantine`))),
    definitions: await everyItem(shop.admin, "/v1/reward-definitions"),
    settings: expectStatus(await shop.admin.get("/v1/settings"), 200),
    phones: await everyItem(shop.admin, "/v1/members?phone=%2B4915188800001"),
    holds: expectStatus(await ann.get("/v1/orders/o-1/holds"), 200),
  };
}

async function openForBusiness() {
  const shop = openShop(edge);
  const [ann, bob] = [await memberWith(shop, 1000), await memberWith(shop, 50)];
  const [till, other, manager] = ["staff", "staff", "manager"].map((role) => shop.as(role));
  const { pool_id } = await openPool(shop, ["A-1", "A-2", "A-3"]);
  const coffee = await forSale(shop, 100);
  const unpriced = (await shop.reward()).reward_id;
  await record(shop, ann, { phone: "+4915188800001" });
  await fund(shop, ann, 500);
  const done = await sold(till, ann, coffee);
  const spent = await sold(till, ann, await forSale(shop, 100, { type: "xp", value: { amount: 30 } }));
  expectStatus(await adjust(shop, ann, { asset: "xp", amount: -5 }), 201);
  const back = await sold(till, ann, await forSale(shop, 10));
  expectStatus(await manager.post(`/v1/redemptions/${back.redemption_id}/reversal`, { reason: "x" }, { key: unique("k-") }), 200);
  const { quote_id } = await quoted(till, ann, await forSale(shop, 10));
  const bobs = await shop.withCodes(2);
  await redeemed(bob, bobs.codes[0]);
  const held = await shop.withCodes(1);
  expectStatus(await ann.post("/v1/orders/o-1/holds", { code: held.code, total: { currency: "EUR", amount_minor: 5000 } }, { key: unique("k-") }), 201);
  Object.assign(ctx, { shop, ann, bob, till, other, manager, pool_id, coffee, unpriced, done, spent, back, quote_id, used: bobs.codes[0], held: held.code, pooled: await forSale(shop, 10, { pool_id }) });
  untouched = await state();
}

const total = { currency: "EUR", amount_minor: 5000 };
const post = (as, path, body, options = {}) => () => ctx[as].post(typeof path === "function" ? path() : path, typeof body === "function" ? body() : body, { key: unique("k-"), ...options });
const member = (path, who = "ann") => () => `/v1/members/${ctx[who].sub}/${path}`;
const upload = (body, headers = { "content-type": "text/plain" }, options = {}) => () => ctx.shop.admin.post(`/v1/pools/${ctx.pool_id}/codes`, body, { headers, ...options });
const invalid = (path) => [400, "invalid_request", path];

const QUANTITIES = [["0", 0], ["101", 101], ["1.5", 1.5], ["\"5\"", "5"], ["null", null], ["-1", -1], ["true", true], ["[1]", [1]], ["1e400", undefined]];

const table = [
  ...QUANTITIES.flatMap(([name, quantity]) => [
    [`buy quantity ${name}`, () => ctx.ann.post("/v1/redemptions", name === "1e400" ? `{"reward_id":"${ctx.coffee}","quantity":1e400}` : { reward_id: ctx.coffee, quantity }, { key: unique("k-"), headers: { "content-type": "application/json" } }), 400, "invalid_request", name === "1e400" ? undefined : "quantity"],
  ]),
  ["buy an unknown reward", post("ann", "/v1/redemptions", { reward_id: "nothing" }), 404, "not_found"],
  ["buy a numeric reward", post("ann", "/v1/redemptions", { reward_id: 7 }), ...invalid("reward_id")],
  ["buy neither a reward nor a code", post("ann", "/v1/redemptions", { quantity: 2 }), ...invalid()],
  ["buy without a key", () => ctx.ann.post("/v1/redemptions", { reward_id: ctx.coffee }), 400, "idempotency_key_required"],
  ["buy what has no price", post("ann", "/v1/redemptions", () => ({ reward_id: ctx.unpriced })), 409, "reward_not_for_sale"],
  ["buy by a service for nobody", () => ctx.shop.service.post("/v1/redemptions", { reward_id: ctx.coffee }, { key: unique("k-") }), ...invalid("member_id")],
  ["buy what costs more than there is", post("bob", "/v1/redemptions", () => ({ reward_id: ctx.coffee })), 409, "insufficient_points"],
  ["buy more promo codes than there are", post("ann", "/v1/redemptions", () => ({ reward_id: ctx.pooled, quantity: 4 })), 409, "insufficient_codes"],
  ...[["nothing", 0], ["half a point", 0.5], ["points in text", "5"], ["null", null], ["more than all numbers", 2 ** 53]].map(([name, amount]) => [`adjust by ${name}`, post("manager", member("adjustments"), { asset: "points", amount, reason: "x" }), ...invalid("amount")]),
  ["adjust an unknown asset", post("manager", member("adjustments"), { asset: "gold", amount: 1, reason: "x" }), ...invalid("asset")],
  ["adjust without a reason", post("manager", member("adjustments"), { asset: "points", amount: 1 }), ...invalid("reason")],
  ["adjust credit without a currency", post("manager", member("adjustments"), { asset: "credit", amount_minor: 1, reason: "x" }), ...invalid("currency")],
  ["adjust without a key", () => ctx.manager.post(`/v1/members/${ctx.ann.sub}/adjustments`, { asset: "points", amount: 1, reason: "x" }), 400, "idempotency_key_required"],
  ["adjust below zero", post("manager", member("adjustments", "bob"), { asset: "points", amount: -51, reason: "x" }), 409, "insufficient_points"],
  ["adjust credit below zero", post("manager", member("adjustments", "bob"), { asset: "credit", amount_minor: -501, currency: "EUR", reason: "x" }), 409, "value_spent"],
  ["upload 17 MiB", upload(Buffer.alloc(17 * MIB, "A"), undefined, { sentBytes: 1000 }), 413, "too_large"],
  ["upload binary", upload(Buffer.from([0, 1, 2, 255, 254, 10])), ...invalid()],
  ["upload text with a zero byte", upload("B-1\nB\0-2\n"), ...invalid()],
  ["upload what is not UTF-8", upload(Buffer.from([0x42, 0x2d, 0x31, 0x0a, 0xff, 0xfe, 0x0a])), ...invalid()],
  ["upload JSON", upload('["B-1"]', { "content-type": "application/json" }), 415, "unsupported_media_type"],
  ["upload a picture", upload("B-1", { "content-type": "image/png" }), 415, "unsupported_media_type"],
  ["upload to a pool that there is not", () => ctx.shop.admin.post("/v1/pools/nothing/codes", "B-1", { headers: { "content-type": "text/plain" } }), 404, "not_found"],
  ["a pool without a name", () => ctx.shop.admin.post("/v1/pools", {}), ...invalid("name")],
  ["a pool with a negative alert", () => ctx.shop.admin.post("/v1/pools", { name: "x", alert_below: -1 }), ...invalid("alert_below")],
  ["a reward of a pool that there is not", () => ctx.shop.admin.post("/v1/reward-definitions", { name: "x", type: "external", value: { reference: "x" }, points_cost: 1, pool_id: "nothing" }), ...invalid("pool_id")],
  ["a reward at a negative price", () => ctx.shop.admin.post("/v1/reward-definitions", { name: "x", type: "external", value: { reference: "x" }, points_cost: -1 }), ...invalid("points_cost")],
  ["a price for everybody in the list", () => ctx.shop.admin.post("/v1/reward-definitions", { name: "x", type: "external", value: { reference: "x" }, prices: [{ points_cost: 1 }] }), ...invalid("prices")],
  ["release from quarantine without a reason", () => ctx.shop.admin.post(`/v1/pools/${ctx.pool_id}/quarantine/release`, { all: true }), ...invalid("reason")],
  ["give a phone that is nonsense", () => ctx.shop.admin.put(`/v1/members/${ctx.ann.sub}`, { phone: "call me" }), ...invalid("phone")],
  ["give a phone that is another's", () => ctx.shop.admin.put(`/v1/members/${ctx.bob.sub}`, { phone: "+4915188800001" }), 409, "phone_in_use"],
  ["look up nonsense", post("till", "/v1/till/lookup", { phone: "12" }), ...invalid("phone")],
  ["look up nobody", post("till", "/v1/till/lookup", { phone: "+4915188809999" }), 404, "member_not_found"],
  ["confirm without a key", () => ctx.till.post(`/v1/till/quotes/${ctx.quote_id}/confirm`, {}), 400, "idempotency_key_required"],
  ["confirm another till's quote", post("other", () => `/v1/till/quotes/${ctx.quote_id}/confirm`, {}), 404, "not_found"],
  ["cancel another till's quote", () => ctx.other.delete(`/v1/till/quotes/${ctx.quote_id}`), 404, "not_found"],
  ["override by staff", post("till", () => `/v1/till/quotes/${ctx.quote_id}/confirm`, { override: { reason: "x" } }), 403, "forbidden"],
  ["override without a reason", post("manager", () => `/v1/till/quotes/${ctx.quote_id}/confirm`, { override: {} }), ...invalid("reason")],
  ["confirm a quote that there is not", post("till", "/v1/till/quotes/qu_nothing/confirm", {}), 404, "not_found"],
  ["reverse what is reversed", post("manager", () => `/v1/redemptions/${ctx.back.redemption_id}/reversal`, { reason: "x" }), 409, "already_reversed"],
  ["reverse what is spent", post("manager", () => `/v1/redemptions/${ctx.spent.redemption_id}/reversal`, { reason: "x" }), 409, "value_spent"],
  ["reverse another till's sale", post("other", () => `/v1/redemptions/${ctx.done.redemption_id}/reversal`, { reason: "x" }), 403, "forbidden"],
  ["reverse without a reason", post("manager", () => `/v1/redemptions/${ctx.done.redemption_id}/reversal`, {}), ...invalid("reason")],
  ["reverse without a key", () => ctx.manager.post(`/v1/redemptions/${ctx.done.redemption_id}/reversal`, { reason: "x" }), 400, "idempotency_key_required"],
  ["reverse nothing", post("manager", "/v1/redemptions/nothing/reversal", { reason: "x" }), 404, "not_found"],
  ["hold a code that somebody holds", post("bob", "/v1/orders/o-2/holds", () => ({ code: ctx.held, total })), 409, "code_held"],
  ["redeem a code that somebody holds", post("bob", "/v1/redemptions", () => ({ code: ctx.held })), 409, "code_held"],
  ["hold a code that is used", post("ann", "/v1/orders/o-2/holds", () => ({ code: ctx.used, total })), 409, "already_redeemed"],
  ["hold more credit than there is", post("bob", "/v1/orders/o-2/holds", { credit_minor: 501, total }), 409, "value_spent"],
  ["hold nothing", post("ann", "/v1/orders/o-2/holds", { total }), ...invalid()],
  ["hold a code and credit at once", post("ann", "/v1/orders/o-2/holds", () => ({ code: ctx.held, credit_minor: 1, total })), ...invalid()],
  ["hold without a total", post("ann", "/v1/orders/o-2/holds", { credit_minor: 1 }), ...invalid("total")],
  ["hold half a cent", post("ann", "/v1/orders/o-2/holds", { credit_minor: 0.5, total }), ...invalid("credit_minor")],
  ["hold no cent", post("ann", "/v1/orders/o-2/holds", { credit_minor: 0, total }), ...invalid("credit_minor")],
  ["hold against a negative total", post("ann", "/v1/orders/o-2/holds", { credit_minor: 1, total: { currency: "EUR", amount_minor: -1 } }), ...invalid("total")],
  ["commit an order that nothing is held for", () => ctx.shop.service.post("/v1/orders/o-3/commit", { member_id: ctx.ann.sub }), 404, "not_found"],
  ["commit for nobody", () => ctx.shop.service.post("/v1/orders/o-1/commit", {}), ...invalid("member_id")],
  ["commit another member's order", () => ctx.shop.service.post("/v1/orders/o-1/commit", { member_id: ctx.bob.sub }), 404, "not_found"],
  ["commit by the member", post("ann", "/v1/orders/o-1/commit", () => ({ member_id: ctx.ann.sub })), 403, "forbidden"],
  ["release another's hold", () => ctx.bob.delete("/v1/orders/o-1/holds/ho_nothing"), 404, "not_found"],
];

describe("malformed, forbidden or impossible", () => {
  before(openForBusiness);

  describe(`${table.length} requests that must not be`, () => {
    for (const [name, act, status, code, path] of table) {
      test(name, async () => {
        const body = expectProblem(await act(), status, code);
        if (path) assert.ok(body.errors.some((error) => error.path.includes(path)), JSON.stringify(body.errors));
        if (code === "insufficient_codes") assert.equal(body.detail, "Only 3 code(s) available, you requested 4");
        if (code === "insufficient_points") assert.ok(body.points_needed > 0, JSON.stringify(body));
        if (code === "value_spent") assert.ok(body.short_by > 0, JSON.stringify(body));
        if (code === "code_held") assert.ok(Date.parse(body.held_until) > Date.now(), JSON.stringify(body));
      });
    }

    test("changed nothing", async () => assert.deepEqual(await state(), untouched));
  });

  describe("an upload with some bad lines", () => {
    test("takes the good ones once, and names the others by line", async () => {
      const { shop } = ctx;
      const { pool_id } = await openPool(shop, ["C-1", "C-2"]);
      const text = ["C-3", "", "C-1", "C-4", "C-4", "   ", "C\u0001-5", "x".repeat(129), "C-6"].join("\n");
      const body = expectStatus(await shop.admin.post(`/v1/pools/${pool_id}/codes`, text, { headers: { "content-type": "text/plain" } }), 200);
      assert.deepEqual([body.added, body.duplicates, body.free], [3, 2, 5]);
      assert.deepEqual(body.refused.map(({ line }) => line), [2, 6, 7, 8]);
      assert.equal(body.refused_total, 4);
      for (const { reason } of body.refused) assert.ok(typeof reason === "string" && reason.length > 0);
      const again = expectStatus(await shop.admin.post(`/v1/pools/${pool_id}/codes`, text, { headers: { "content-type": "text/plain" } }), 200);
      assert.deepEqual([again.added, again.duplicates, again.free], [0, 5, 5]);
    });
  });
});
