// Who may call what of points, pools, tills and checkouts: every call by every role, cell by cell.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Client, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, signToken, unique } from "./env.mjs";
import { openShop } from "./shop.mjs";
import { confirm, lookup, quote, quoted, record, sold } from "./till.mjs";
import { forSale, memberWith, openPool } from "./trade.mjs";

const edge = edgeForThisFile();
const ROLES = ["member", "staff", "manager", "admin", "service"];
const TILL = ["staff", "manager", "admin"];
const ADMIN = ["admin"];
const SHOPPER = ["member", "service"];

/** `[method, path, who may, body?]`; the body is good, so that only the caller decides. */
const CALLS = [
  ["GET", "/v1/settings", ADMIN],
  ["PATCH", "/v1/settings", ADMIN, () => ({ country: "DE" }), { "if-match": '"0"' }],
  ["POST", "/v1/till/lookup", TILL, () => ({ phone: "+4915112345678" })],
  ["POST", "/v1/till/quotes", TILL, (ctx) => ({ member_id: ctx.ann.sub, reward_id: ctx.coffee })],
  ["POST", "/v1/till/quotes/qu_nothing/confirm", TILL, () => ({})],
  ["DELETE", "/v1/till/quotes/qu_nothing", TILL],
  ["POST", "/v1/redemptions/nothing/reversal", TILL, () => ({ reason: "x" })],
  ["POST", (ctx) => `/v1/members/${ctx.ann.sub}/adjustments`, ["service", "manager", "admin"], () => ({ asset: "points", amount: 1, reason: "x" })],
  ["GET", "/v1/members?phone=%2B4915112345678", ADMIN],
  ["PUT", (ctx) => `/v1/members/${ctx.ann.sub}`, ADMIN, () => ({ phone: null })],
  ["GET", "/v1/pools", ADMIN],
  ["POST", "/v1/pools", ADMIN, () => ({ name: "Vouchers" })],
  ["GET", (ctx) => `/v1/pools/${ctx.pool_id}`, ADMIN],
  ["PATCH", (ctx) => `/v1/pools/${ctx.pool_id}`, ADMIN, () => ({ name: "Tickets" }), { "if-match": '"0"' }],
  ["POST", (ctx) => `/v1/pools/${ctx.pool_id}/codes`, ADMIN, () => unique("V-"), { "content-type": "text/plain" }],
  ["GET", (ctx) => `/v1/pools/${ctx.pool_id}/quarantine`, ADMIN],
  ["POST", (ctx) => `/v1/pools/${ctx.pool_id}/quarantine/release`, ADMIN, () => ({ all: true, reason: "x" })],
  ["GET", (ctx) => `/v1/catalogue?member_id=${ctx.ann.sub}`, ["service"]],
  ["GET", "/v1/catalogue", ["member"]],
  ["POST", "/v1/redemptions", SHOPPER, (ctx, role) => ({ reward_id: ctx.coffee, ...(role === "service" && { member_id: ctx.ann.sub }) })],
  ["POST", "/v1/orders/o-1/holds", SHOPPER, (ctx, role) => ({ credit_minor: 1, total: { currency: "EUR", amount_minor: 100 }, ...(role === "service" && { member_id: ctx.ann.sub }) })],
  ["GET", (ctx, role) => `/v1/orders/o-1/holds${role === "service" ? `?member_id=${ctx.ann.sub}` : ""}`, SHOPPER],
  ["DELETE", (ctx, role) => `/v1/orders/o-1/holds/ho_nothing${role === "service" ? `?member_id=${ctx.ann.sub}` : ""}`, SHOPPER],
  ["POST", "/v1/orders/o-1/commit", ["service"], (ctx) => ({ member_id: ctx.ann.sub })],
  ["POST", "/v1/orders/o-1/release", ["service"], (ctx) => ({ member_id: ctx.ann.sub })],
];

const ctx = {};
const pathOf = (path, role) => (typeof path === "function" ? path(ctx, role) : path);
const nameOf = (path) => (typeof path === "function" ? path({ ann: { sub: "{id}" }, pool_id: "{id}" }, "member") : path);

describe("roles", () => {
  before(async () => {
    const shop = openShop(edge);
    Object.assign(ctx, { shop, ann: await memberWith(shop, 100_000), coffee: await forSale(shop, 100), pool_id: (await openPool(shop, 3)).pool_id });
  });

  for (const [method, path, may, body, headers = {}] of CALLS) {
    describe(`${method} ${nameOf(path)}`, () => {
      for (const role of ROLES) {
        const allowed = may.includes(role);
        test(`${allowed ? "is open to" : "is closed to"} ${role}`, async () => {
          const options = { body: body?.(ctx, role), headers, key: method === "POST" ? unique("k-") : undefined };
          const answer = await ctx.shop.as(role).request(method, pathOf(path, role), options);
          // A catalogue is a member's own, or one that a service names: the other's way of asking is malformed, not forbidden.
          const crossed = !allowed && method === "GET" && /catalogue/.test(nameOf(path)) && SHOPPER.includes(role);
          if (crossed) expectStatus(answer, 400, 403);
          else if (allowed) assert.ok(![401, 403].includes(answer.status) && answer.status < 500, `${answer.status} ${answer.text}`);
          else expectProblem(answer, 403, "forbidden");
        });
      }

      test("is closed to nobody in particular, and to a token that ended", async () => {
        const seconds = Math.floor(Date.now() / 1000);
        for (const token of [undefined, signToken({ sub: "x", role: may[0], merchant: ctx.shop.merchant, exp: seconds - 3600 })]) {
          expectProblem(await new Client(edge.url, token).request(method, pathOf(path, may[0]), { body: body?.(ctx, may[0]), headers }), 401, "invalid_token");
        }
      });
    });
  }

  describe("other methods", () => {
    const rows = [
      ["/v1/settings", ["GET", "PATCH"], ["POST", "DELETE"]],
      ["/v1/till/lookup", ["POST"], ["GET"]],
      ["/v1/till/quotes", ["POST"], ["GET", "PUT"]],
      ["/v1/till/quotes/qu_x", ["DELETE"], ["POST"]],
      ["/v1/till/quotes/qu_x/confirm", ["POST"], ["GET", "DELETE"]],
      ["/v1/redemptions/x/reversal", ["POST"], ["GET", "DELETE"]],
    ];
    for (const [path, allowed, others] of rows) {
      test(`of ${path} are 405 with the ones there are`, async () => {
        for (const method of others) {
          const answer = await ctx.shop.admin.request(method, path, { body: method === "GET" ? undefined : {} });
          expectProblem(answer, 405, "http_method_not_allowed");
          for (const one of allowed) assert.ok(answer.headers.allow.includes(one), answer.headers.allow);
        }
      });
    }
  });

  describe("staff of one merchant", () => {
    test("see and move nothing of another's", async () => {
      const stranger = openShop(edge);
      const phone = "+4915177700001";
      await record(ctx.shop, ctx.ann, { phone });
      for (const role of TILL) {
        const caller = stranger.as(role);
        expectProblem(await lookup(caller, phone), 404, "member_not_found");
        expectProblem(await quote(caller, ctx.ann, ctx.coffee), 404, "not_found");
        const { quote_id } = await quoted(ctx.shop.as("staff", caller.sub), ctx.ann, ctx.coffee, { again: true });
        expectProblem(await confirm(caller, quote_id), 404, "not_found");
      }
      const till = ctx.shop.as("staff");
      const { redemption_id } = await sold(till, ctx.ann, ctx.coffee, { again: true });
      expectProblem(await stranger.as("manager").post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "x" }, { key: unique("k-") }), 404, "not_found");
    });
  });
});
