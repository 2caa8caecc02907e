// Who may call what, cell by cell: every operation as every role, of the merchant that owns what the path names and of another.
// The table is written from the description of the API, and held against the edge's own list of operations.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { Client, everyItem, expectProblem, expectStatus } from "./client.mjs";
import { eur } from "./checkout.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { openShop, redeemed } from "./shop.mjs";
import { define } from "./rewards.mjs";
import { forSale, memberWith, openPool, promoCodes } from "./trade.mjs";

const ROLES = ["member", "staff", "manager", "admin", "service"];
const TILL = "staff manager admin";
/** Whose quote it is: another of the staff does not see it. */
const TILL_1 = "till-1";

// Method, path, roles, and the scope that an API key needs where `service` is one of them.
const TABLE = `
  POST   /v1/redemptions                                  member service                      redeem
  POST   /v1/codes/{code}/redemptions                     member service                      redeem
  POST   /v1/codes/preview                                member service                      redeem
  GET    /v1/redemptions                                  member service                      read
  GET    /v1/redemptions?all=1                            admin                               -
  GET    /v1/redemptions/{redemption}                     member ${TILL} service              read
  GET    /v1/wallet                                       member service                      read
  GET    /v1/ledger                                       member service                      read
  GET    /v1/rewards                                      member service                      read
  GET    /v1/rewards/{reward}                             member ${TILL} service              read
  POST   /v1/rewards/{reward}/claim                       member service                      rewards
  POST   /v1/rewards/{reward}/activate                    member service                      rewards
  POST   /v1/rewards/{reward}/decline                     member service                      rewards
  GET    /v1/catalogue                                    member service                      read
  GET    /v1/events                                       member service                      read
  POST   /v1/orders/{order}/holds                         member service                      orders
  GET    /v1/orders/{order}/holds                         member service                      read
  GET    /v1/orders/{order}/holds/{hold}                  member service                      read
  DELETE /v1/orders/{order}/holds/{hold}                  member service                      orders
  POST   /v1/orders/{order}/commit                        service                             orders
  POST   /v1/orders/{order}/release                       service                             orders
  POST   /v1/till/lookup                                  ${TILL}                             -
  POST   /v1/till/quotes                                  ${TILL}                             -
  GET    /v1/till/quotes/{quote}                          ${TILL}                             -
  DELETE /v1/till/quotes/{quote}                          ${TILL}                             -
  POST   /v1/till/quotes/{quote}/confirm                  ${TILL}                             -
  POST   /v1/redemptions/{redemption}/reversal            ${TILL}                             -
  POST   /v1/members/{member}/adjustments                 manager admin service               adjust
  GET    /v1/settings                                     admin                               -
  PATCH  /v1/settings                                     admin                               -
  POST   /v1/reward-definitions                           admin                               -
  GET    /v1/reward-definitions                           admin                               -
  GET    /v1/reward-definitions/{definition}              admin                               -
  PATCH  /v1/reward-definitions/{definition}              admin                               -
  POST   /v1/campaigns                                    admin                               -
  GET    /v1/campaigns                                    admin                               -
  GET    /v1/campaigns/{campaign}                         admin                               -
  PATCH  /v1/campaigns/{campaign}                         admin                               -
  POST   /v1/campaigns/{campaign}/activate                admin                               -
  POST   /v1/campaigns/{campaign}/pause                   admin                               -
  POST   /v1/campaigns/{campaign}/end                     admin                               -
  POST   /v1/campaigns/{campaign}/batches                 admin service                       mint
  GET    /v1/campaigns/{campaign}/batches                 admin service                       read
  GET    /v1/campaigns/{campaign}/batches/{batch}         admin service                       read
  POST   /v1/campaigns/{campaign}/recalls                 admin                               -
  GET    /v1/campaigns/{campaign}/recalls                 admin                               -
  GET    /v1/campaigns/{campaign}/recalls/{recall}        admin                               -
  POST   /v1/campaigns/{campaign}/print-key               admin                               -
  POST   /v1/campaigns/{campaign}/breaker/reset           admin                               -
  POST   /v1/codes/inspect                                admin                               -
  POST   /v1/explain                                      admin                               -
  GET    /v1/keys                                         admin                               -
  POST   /v1/keys/rotate                                  admin                               -
  POST   /v1/keys/{epoch}/revoke                          admin                               -
  POST   /v1/pools                                        admin                               -
  GET    /v1/pools                                        admin                               -
  GET    /v1/pools/{pool}                                 admin                               -
  PATCH  /v1/pools/{pool}                                 admin                               -
  POST   /v1/pools/{pool}/codes                           admin                               -
  GET    /v1/pools/{pool}/quarantine                      admin                               -
  POST   /v1/pools/{pool}/quarantine/release              admin                               -
  GET    /v1/members                                      admin                               -
  PUT    /v1/members/{member}                             admin                               -
  DELETE /v1/members/{member}                             admin                               -
  GET    /v1/members/{member}/wallet                      admin                               -
  GET    /v1/members/{member}/ledger                      admin                               -
  GET    /v1/members/{member}/redemptions                 admin                               -
  GET    /v1/members/{member}/export                      admin                               -
  GET    /v1/members/{member}/rewards                     admin                               -
  POST   /v1/members/{member}/rewards                     admin service                       rewards
  DELETE /v1/members/{member}/rewards/{reward}            admin                               -
  POST   /v1/members/{member}/rewards/{reward}/claim      admin                               -
  POST   /v1/members/{member}/rewards/{reward}/activate   admin                               -
  POST   /v1/members/{member}/rewards/{reward}/retry      admin                               -
  PATCH  /v1/members/{member}/rewards/{reward}/fulfilment admin                               -
  GET    /v1/redemptions/export                           admin                               -
  POST   /v1/redemptions/{redemption}/retry               admin                               -
  POST   /v1/redemptions/{redemption}/resolve             admin                               -
  POST   /v1/redemptions/{redemption}/reset               admin                               -
  POST   /v1/webhooks                                     admin                               -
  GET    /v1/webhooks                                     admin                               -
  GET    /v1/webhooks/{endpoint}                          admin                               -
  DELETE /v1/webhooks/{endpoint}                          admin                               -
  POST   /v1/webhooks/{endpoint}/rotate                   admin                               -
  POST   /v1/webhooks/{endpoint}/test                     admin                               -
  GET    /v1/webhooks/{endpoint}/deliveries               admin                               -
  POST   /v1/webhooks/{endpoint}/deliveries/{delivery}/resend admin                           -
  POST   /v1/api-keys                                     admin                               -
  GET    /v1/api-keys                                     admin                               -
  GET    /v1/api-keys/{key}                               admin                               -
  DELETE /v1/api-keys/{key}                               admin                               -
  GET    /v1/audit                                        admin                               -
  GET    /v1/audit/export                                 admin                               -
  POST   /v1/verify                                       admin                               -
  GET    /v1/stats                                        admin                               -
`;

/** What asks for no bearer token, or for another one. */
const WITHOUT_ROLES = ["POST /v1/fulfilments/{}", "GET /metrics", "GET /healthz", "GET /openapi.json", "GET /docs"];

const OPERATIONS = TABLE.trim()
  .split("\n")
  .map((line) => {
    const [method, path, ...words] = line.trim().split(/\s+/);
    const scope = words.pop();
    return { method, path, roles: words, scope: scope === "-" ? undefined : scope };
  });

const bare = (path) => path.split("?")[0].replace(/\{[^}]*\}/g, "{}");

const edge = edgeForThisFile();

/** A merchant with one of everything; every name that people gave it contains `mark`. */
async function furnish() {
  const mark = unique("mark-");
  const shop = openShop(edge);
  const a = { shop, mark, member: await memberWith(shop, 1000) };
  expectStatus(await shop.admin.put(`/v1/members/${a.member.sub}`, { name: mark }), 200);
  a.definition = (await shop.reward({ name: mark })).reward_id;
  a.campaign = (await shop.campaign({ name: mark, reward_id: a.definition })).campaign;
  const codes = (await shop.codes(a.campaign, 3, { label: mark })).map(({ code }) => code);
  a.code = codes[2];
  a.batch = (await everyItem(shop.admin, `/v1/campaigns/${a.campaign}/batches`))[0].batch_id;
  a.redemption = (await redeemed(a.member, codes[0])).redemption_id;
  a.sale = await forSale(shop, 100, { name: mark });
  const discount = await define(shop, "discount", { name: mark });
  a.reward = expectStatus(await shop.admin.post(`/v1/members/${a.member.sub}/rewards`, { reward_id: discount, reason: mark }, { key: unique("k-") }), 201).id;
  a.quote = expectStatus(await shop.as("staff", TILL_1).post("/v1/till/quotes", { member_id: a.member.sub, reward_id: a.sale }), 201).quote_id;
  a.order = unique("order-");
  expectStatus(await shop.service.post(`/v1/members/${a.member.sub}/adjustments`, { asset: "credit", amount_minor: 500, currency: "EUR", reason: mark }, { key: unique("k-") }), 201);
  a.hold = expectStatus(await a.member.post(`/v1/orders/${a.order}/holds`, { credit_minor: 100, total: eur(1000) }), 201).hold_id;
  a.pool = (await openPool(shop, 3, { name: mark })).pool_id;
  a.endpoint = expectStatus(await shop.admin.post("/v1/webhooks", { url: `https://hooks.example/${mark}`, events: [] }), 201).endpoint_id;
  a.delivery = "none";
  a.key = expectStatus(await shop.admin.post("/v1/api-keys", { name: mark, scopes: ["read"] }), 201).key_id;
  a.recall = expectStatus(await shop.admin.post(`/v1/campaigns/${a.campaign}/recalls`, { from_seq: 1, to_seq: 2, reason: mark }), 200, 201, 202).recall_id;
  // There is no such epoch, so that trying never revokes one that other tests mint with.
  a.epoch = 7;
  return a;
}

const pathOf = (operation, a) => operation.path.replace(/\{(\w+)\}/g, (_, name) => {
  const value = name === "member" ? a.member.sub : a[name];
  assert.notEqual(value, undefined, name);
  return encodeURIComponent(value);
});

/** A body that would be taken, so that the ids alone decide. */
function goodBody({ method, path }, a) {
  const member_id = a.member.sub;
  const reason = "to see whether it may";
  const bodies = {
    "/v1/redemptions": { code: a.code },
    "/v1/codes/{code}/redemptions": {},
    "/v1/codes/preview": { code: a.code },
    "/v1/codes/inspect": { code: a.code },
    "/v1/explain": { code: a.code, member_id },
    "/v1/orders/{order}/holds": { credit_minor: 1, total: eur(1000) },
    "/v1/orders/{order}/commit": { member_id },
    "/v1/orders/{order}/release": { member_id },
    "/v1/till/lookup": { phone: "+4915100000000" },
    "/v1/till/quotes": { member_id, reward_id: a.sale },
    "/v1/till/quotes/{quote}/confirm": {},
    "/v1/members/{member}/adjustments": { asset: "points", amount: 1, reason },
    "/v1/members/{member}/rewards": { reward_id: a.definition, reason },
    "/v1/members/{member}/rewards/{reward}/fulfilment": { note: "mine" },
    "/v1/members/{member}": { tier: "gold" },
    "/v1/settings": { reversal_window_s: 901 },
    "/v1/reward-definitions": { name: "Mine", type: "points", value: { amount: 1 } },
    "/v1/reward-definitions/{definition}": { name: "Mine" },
    "/v1/campaigns": { name: "Mine", profile: "S20", kind: "unique", reward_id: a.definition },
    "/v1/campaigns/{campaign}": { name: "Mine" },
    "/v1/campaigns/{campaign}/batches": { count: 1 },
    "/v1/campaigns/{campaign}/recalls": { all: true, reason },
    "/v1/pools": { name: "Mine" },
    "/v1/pools/{pool}": { name: "Mine" },
    "/v1/pools/{pool}/codes": promoCodes(1).join(),
    "/v1/pools/{pool}/quarantine/release": { all: true, reason },
    "/v1/redemptions/{redemption}/resolve": { as: "cancelled", reason },
    "/v1/webhooks": { url: "https://hooks.example/mine", events: [] },
    "/v1/api-keys": { name: "Mine", scopes: ["read"] },
    "/v1/verify": {},
  };
  if (method === "GET" || method === "DELETE") return undefined;
  const plain = /\/(claim|activate|decline|pause|end|rotate|test|resend)$/.test(path);
  const withReason = /\/(reversal|retry|reset|print-key|revoke)$/.test(path) || /members.*\/(claim|activate)$/.test(path);
  return bodies[path] ?? (withReason ? { reason } : plain ? {} : assert.fail(`no body for ${path}`));
}

/** Sends an operation; a service names the member it acts for wherever that is asked for. */
function ask(operation, client, a, { role, body }) {
  let path = pathOf(operation, a);
  const acts = role === "service" && operation.roles.includes("member");
  let sent = body;
  if (acts && (operation.method === "GET" || operation.method === "DELETE")) path += `${path.includes("?") ? "&" : "?"}member_id=${encodeURIComponent(a.member.sub)}`;
  else if (acts && typeof body === "object") sent = { ...body, member_id: a.member.sub };
  const headers = { "if-match": operation.method === "PATCH" ? '"1"' : undefined, ...(typeof body === "string" && { "content-type": "text/plain" }) };
  return client.request(operation.method, path, { body: sent, key: operation.method === "POST" ? unique("k-") : undefined, headers });
}

const nameOf = ({ method, path }) => `${method} ${path}`;

test("the table has every operation that the edge knows, and the edge every operation of the table", () => {
  const source = readFileSync(new URL("../../core/src/access.rs", import.meta.url), "utf8");
  const known = [...source.matchAll(/\bop\(\s*"([A-Z]+)",\s*"([^"]+)"/g)].map(([, method, path]) => `${method} ${bare(path)}`);
  assert.ok(known.length > 80, "the list was found");
  const listed = [...new Set(OPERATIONS.map(({ method, path }) => `${method} ${bare(path)}`)), ...WITHOUT_ROLES];
  assert.deepEqual(known.sort(), listed.sort());
});

describe("one's own merchant", () => {
  let a;
  before(async () => {
    a = await furnish();
  });

  for (const operation of OPERATIONS) {
    test(nameOf(operation), async () => {
      // Something that no body has, so that whoever may is told what is wrong with it, and nothing is done.
      const body = ["GET", "DELETE"].includes(operation.method) ? undefined : { "no such field": 1 };
      const harmless = operation.method === "DELETE" ? { ...a, hold: "none", quote: "none", reward: "none", endpoint: "none", key: "none", member: { sub: unique("nobody-") } } : a;
      for (const role of ROLES) {
        const client = a.shop.as(role, { member: a.member.sub, staff: TILL_1 }[role] ?? unique(`${role}-`));
        const answer = await ask(operation, client, harmless, { role, body });
        const says = `${role}: ${nameOf(operation)} answered ${answer.status} ${answer.text.slice(0, 300)}`;
        if (!operation.roles.includes(role)) {
          assert.deepEqual([answer.status, answer.body?.code], [403, "forbidden"], says);
        } else {
          assert.notEqual(answer.body?.code, "forbidden", says);
          assert.ok(![401, 403, 405, 429].includes(answer.status) && answer.status < 500, says);
          if (operation.method === "GET" && operation.path !== "/v1/members") assert.equal(answer.status, 200, says);
        }
      }
      // Without a token nobody may.
      expectProblem(await ask(operation, new Client(edge.url), harmless, { body }), 401, "invalid_token");
    });
  }
});

describe("another merchant", () => {
  let a;
  let b;
  before(async () => {
    [a, b] = [await furnish(), openShop(edge)];
  });

  // Nothing in these paths is a merchant's: what is asked for is always the caller's own.
  const OWN = new Set(["/v1/members/{member}", "/v1/keys/{epoch}/revoke"]);
  const isOwn = ({ path }) => !path.includes("{") || OWN.has(path) || /^\/v1\/members\/\{member\}\/(wallet|ledger|redemptions|rewards|export|adjustments)$/.test(path) || /^\/v1\/orders\/\{order\}\/(holds|commit|release)$/.test(path);

  /** All that the first merchant can see of itself. */
  const everything = async () => {
    const paths = ["/v1/reward-definitions", "/v1/campaigns", "/v1/pools", "/v1/webhooks", "/v1/api-keys", `/v1/campaigns/${a.campaign}/batches`, `/v1/campaigns/${a.campaign}/recalls`, "/v1/settings"];
    const member = ["wallet", "ledger", "redemptions", "rewards"].map((part) => `/v1/members/${a.member.sub}/${part}`);
    return Promise.all([...paths, ...member].map(async (path) => [path, expectStatus(await a.shop.admin.get(path), 200)]));
  };

  for (const operation of OPERATIONS) {
    test(nameOf(operation), async () => {
      const before = await everything();
      for (const role of ROLES) {
        const client = b.as(role, role === "member" ? a.member.sub : unique(`${role}-`));
        const answer = await ask(operation, client, a, { role, body: goodBody(operation, a) });
        const says = `${role}: ${nameOf(operation)} answered ${answer.status} ${answer.text.slice(0, 300)}`;
        if (!operation.roles.includes(role)) assert.deepEqual([answer.status, answer.body?.code], [403, "forbidden"], says);
        else if (operation.path.includes("{code}")) assert.deepEqual([answer.status, answer.body?.code], [404, "code_not_recognised"], says);
        else if (!isOwn(operation)) assert.deepEqual([answer.status, answer.body?.code], [404, "not_found"], says);
        else assert.ok(![401, 403, 405].includes(answer.status) && answer.status < 500, says);
        assert.ok(!answer.text.includes(a.mark), `nothing of another merchant is told; ${says}`);
      }
      assert.deepEqual(await everything(), before, `${nameOf(operation)} changed nothing of another merchant`);
    });
  }
});

describe("methods", () => {
  test("that a path does not have are refused before any token is looked at, with a list of those it has", async () => {
    const paths = new Set(OPERATIONS.map(({ path }) => path.split("?")[0]));
    const nothing = new Proxy({ member: { sub: "nobody" } }, { get: (known, name) => known[name] ?? (["campaign", "epoch"].includes(name) ? 7 : "none") });
    for (const path of paths) {
      const listed = new Set(OPERATIONS.filter((one) => one.path.split("?")[0] === path).map(({ method }) => method));
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"].filter((one) => !listed.has(one))) {
        const answer = await new Client(edge.url).request(method, pathOf({ path }, nothing));
        expectProblem(answer, 405, "http_method_not_allowed");
        assert.deepEqual(answer.headers.allow.split(", ").sort(), [...listed, "OPTIONS"].sort(), path);
      }
    }
  });
});

describe("API keys", () => {
  test("each scope opens what the table says, and all of them together no more", async () => {
    const a = await furnish();
    const scopes = ["redeem", "orders", "rewards", "adjust", "mint", "read"];
    const keyOf = async (list) => new Client(edge.url, expectStatus(await a.shop.admin.post("/v1/api-keys", { name: list.join(), scopes: list }), 201).key);
    const clients = [[scopes, await keyOf(scopes)], ...(await Promise.all(scopes.map(async (scope) => [[scope], await keyOf([scope])])))];
    for (const operation of OPERATIONS) {
      const body = ["GET", "DELETE"].includes(operation.method) ? undefined : { "no such field": 1 };
      const harmless = operation.method === "DELETE" ? { ...a, hold: "none" } : a;
      for (const [list, client] of clients) {
        const answer = await ask(operation, client, harmless, { role: "service", body });
        const says = `${list}: ${nameOf(operation)} answered ${answer.status} ${answer.text.slice(0, 300)}`;
        if (operation.scope !== undefined && list.includes(operation.scope)) assert.ok(![401, 403, 405].includes(answer.status) && answer.status < 500, says);
        else assert.deepEqual([answer.status, answer.body?.code], [403, "forbidden"], says);
      }
    }
  });

  test("a scope is there for a service alone", () => {
    for (const operation of OPERATIONS) assert.equal(operation.roles.includes("service"), operation.scope !== undefined, nameOf(operation));
  });
});

describe("without a bearer's role", () => {
  let a;
  before(async () => {
    a = await furnish();
  });

  test("a fulfiller's report counts by its signature, never by a token", async () => {
    for (const role of ROLES) {
      const answer = await a.shop.as(role).post(`/v1/fulfilments/${a.reward}`, { outcome: "granted" });
      assert.ok([401, 404].includes(answer.status), `${role}: ${answer.status} ${answer.text}`);
    }
  });

  test("metrics are no merchant's", async () => {
    for (const role of ROLES) expectProblem(await a.shop.as(role).get("/metrics"), 404, "not_found");
  });

  test("health is anybody's", async () => {
    expectStatus(await new Client(edge.url).get("/healthz"), 200);
  });
});
