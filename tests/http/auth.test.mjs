// Who may call what: tokens that must be refused, roles, merchants and members apart.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Client, expectProblem, expectStatus } from "./client.mjs";
import { clientOf, edgeForThisFile, signToken, unique, unsignedToken } from "./env.mjs";
import { historyOf, openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile();
const seconds = () => Math.floor(Date.now() / 1000);
const member = (claims = {}) => ({ sub: "ann", merchant: "acme", ...claims });

const part = (token, at, change) => token.split(".").map((text, place) => (place === at ? change(text) : text)).join(".");
const flipped = (text) => (text[0] === "A" ? "B" : "A") + text.slice(1);

const BAD_TOKENS = [
  ["none at all", undefined],
  ["an empty one", ""],
  ["not a JWT", "hello"],
  ["two parts", signToken(member()).split(".").slice(0, 2).join(".")],
  ["four parts", `${signToken(member())}.AAAA`],
  ["another secret", signToken(member(), { secret: "another secret of at least thirty-two bytes" })],
  ["a changed signature", part(signToken(member()), 2, flipped)],
  ["a shortened signature", part(signToken(member()), 2, (text) => text.slice(0, 20))],
  ["an empty signature", part(signToken(member()), 2, () => "")],
  ["changed claims", part(signToken(member()), 1, (text) => Buffer.from(Buffer.from(text, "base64url").toString().replace("ann", "bob")).toString("base64url"))],
  ["alg none", unsignedToken(member())],
  ["alg none with a signature", signToken(member(), { header: { alg: "none" } })],
  ["alg None", signToken(member(), { header: { alg: "None", typ: "JWT" } })],
  ["alg HS512", signToken(member(), { header: { alg: "HS512", typ: "JWT" }, hash: "sha512" })],
  ["alg RS256 over an HMAC", signToken(member(), { header: { alg: "RS256", typ: "JWT" } })],
  ["no alg", signToken(member(), { header: { typ: "JWT" } })],
  ["a critical extension it does not know", signToken(member(), { header: { alg: "HS256", crit: ["b64"], b64: false } })],
  ["a header that is not JSON", part(signToken(member()), 0, () => "bm90LWpzb24")],
  ["claims that are a list", signToken([])],
  // Clocks may differ by 60 s.
  ["expired", signToken(member({ exp: seconds() - 61 }))],
  ["no expiry", signToken(member({ exp: undefined }))],
  ["an expiry in text", signToken(member({ exp: String(seconds() + 600) }))],
  ["no sub", signToken(member({ sub: undefined }))],
  ["an empty sub", signToken(member({ sub: "" }))],
  ["a numeric sub", signToken(member({ sub: 7 }))],
  ["no merchant", signToken(member({ merchant: undefined }))],
  ["an empty merchant", signToken(member({ merchant: "" }))],
  ["a merchant in upper case", signToken(member({ merchant: "Acme" }))],
  ["a merchant that begins with a hyphen", signToken(member({ merchant: "-acme" }))],
  ["a merchant of 33", signToken(member({ merchant: "m".repeat(33) }))],
  ["a merchant with a zero byte", signToken(member({ merchant: "ac\0me" }))],
  ["an unknown role", signToken(member({ role: "root" }))],
  ["a role in upper case", signToken(member({ role: "ADMIN" }))],
  ["a numeric role", signToken(member({ role: 1 }))],
  ["tags that are no list", signToken(member({ tags: "vip" }))],
  ["a tag that is no text", signToken(member({ tags: [1] }))],
  ["a numeric tier", signToken(member({ tier: 3 }))],
];

describe("tokens that are refused", () => {
  for (const [name, token] of BAD_TOKENS) {
    test(name, async () => {
      expectProblem(await new Client(edge.url, token).get("/v1/wallet"), 401, "invalid_token");
    });
  }

  test("a good token under another scheme, or in the query", async () => {
    const good = signToken(member());
    expectProblem(await new Client(edge.url).get("/v1/wallet", { headers: { authorization: `Basic ${good}` } }), 401, "invalid_token");
    expectProblem(await new Client(edge.url).get("/v1/wallet", { headers: { authorization: good } }), 401, "invalid_token");
    expectProblem(await new Client(edge.url).get(`/v1/wallet?token=${good}&access_token=${good}`), 401, "invalid_token");
  });

  test("every call but the health check asks for one", async () => {
    const calls = [
      ["POST", "/v1/redemptions"],
      ["POST", "/v1/codes/0000-0000-0000-0000-0000/redemptions"],
      ["POST", "/v1/codes/preview"],
      ["GET", "/v1/redemptions"],
      ["GET", "/v1/redemptions/abc"],
      ["GET", "/v1/wallet"],
      ["GET", "/v1/ledger"],
      ["GET", "/v1/events"],
      ["GET", "/v1/reward-definitions"],
      ["POST", "/v1/reward-definitions"],
      ["GET", "/v1/campaigns"],
      ["POST", "/v1/campaigns"],
      ["PATCH", "/v1/campaigns/1"],
      ["POST", "/v1/campaigns/1/activate"],
      ["POST", "/v1/campaigns/1/batches"],
      ["GET", "/v1/rewards"],
      ["POST", "/v1/rewards/abc/claim"],
      ["POST", "/v1/redemptions/abc/resolve"],
      ["GET", "/v1/redemptions?all=1"],
      ["PUT", "/v1/members/ann"],
      ["POST", "/v1/members/ann/rewards"],
      ["DELETE", "/v1/members/ann/rewards/abc"],
      ["GET", "/v1/members/ann/ledger"],
      ["POST", "/v1/members/ann/adjustments"],
      ["GET", "/v1/catalogue"],
      ["GET", "/v1/pools"],
      ["POST", "/v1/pools"],
      ["GET", "/v1/pools/abc"],
      ["PATCH", "/v1/pools/abc"],
      ["POST", "/v1/pools/abc/codes"],
      ["GET", "/v1/pools/abc/quarantine"],
      ["POST", "/v1/pools/abc/quarantine/release"],
      ["GET", "/v1/orders/abc/holds"],
      ["POST", "/v1/orders/abc/holds"],
      ["GET", "/v1/orders/abc/holds/abc"],
      ["DELETE", "/v1/orders/abc/holds/abc"],
      ["POST", "/v1/orders/abc/commit"],
      ["POST", "/v1/orders/abc/release"],
      ["GET", "/v1/webhooks"],
      ["POST", "/v1/webhooks"],
      ["GET", "/v1/audit"],
      ["GET", "/v1/audit/export"],
      ["GET", "/v1/stats"],
      ["POST", "/v1/verify"],
    ];
    for (const [method, path] of calls) expectProblem(await new Client(edge.url).request(method, path, { key: "k" }), 401, "invalid_token");
    expectStatus(await new Client(edge.url).get("/healthz"), 200);
  });
});

describe("tokens that are accepted", () => {
  test("the scheme's name in any case, and claims that are not known", async () => {
    const token = signToken(member({ iat: seconds(), jti: "x", name: "Ann", tier: "gold", persona: "p", tags: ["a"] }));
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      expectStatus(await new Client(edge.url).get("/v1/wallet", { headers: { authorization: `${scheme} ${token}` } }), 200);
    }
  });

  test("a merchant of 32, beginning with a digit", async () => {
    expectStatus(await clientOf(edge.url, member({ merchant: `0${"m-".repeat(15)}9` })).get("/v1/wallet"), 200);
  });

  test("a sub of any text", async () => {
    for (const sub of ["a/b?c#d", "\u00e4\u{1f600}", "x".repeat(200)]) {
      expectStatus(await clientOf(edge.url, member({ sub })).get("/v1/wallet"), 200);
    }
  });
});

describe("roles", () => {
  test("a member may not administer", async () => {
    const shop = openShop(edge);
    const { campaign, reward_id } = await shop.campaign();
    for (const role of ["member", "staff", "manager"]) {
      const caller = shop.as(role);
      for (const [method, path] of [
        ["POST", "/v1/reward-definitions"],
        ["GET", "/v1/reward-definitions"],
        ["GET", `/v1/reward-definitions/${reward_id}`],
        ["PATCH", `/v1/reward-definitions/${reward_id}`],
        ["POST", "/v1/campaigns"],
        ["GET", "/v1/campaigns"],
        ["GET", `/v1/campaigns/${campaign}`],
        ["PATCH", `/v1/campaigns/${campaign}`],
        ["POST", `/v1/campaigns/${campaign}/activate`],
        ["POST", `/v1/campaigns/${campaign}/pause`],
        ["POST", `/v1/campaigns/${campaign}/end`],
        ["POST", `/v1/campaigns/${campaign}/batches`],
        ["GET", `/v1/campaigns/${campaign}/batches`],
      ]) {
        const body = method === "GET" ? undefined : {};
        expectProblem(await caller.request(method, path, { body }), 403, "forbidden");
      }
    }
  });

  test("a service may mint and do nothing else of an administrator's", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign();
    expectStatus(await shop.service.post(`/v1/campaigns/${campaign}/batches`, { count: 1 }), 201);
    expectProblem(await shop.service.post(`/v1/campaigns/${campaign}/pause`), 403, "forbidden");
    expectProblem(await shop.service.post("/v1/reward-definitions", {}), 403, "forbidden");
    expectProblem(await shop.service.get("/v1/campaigns"), 403, "forbidden");
  });

  test("staff, managers and administrators are no members", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    for (const role of ["staff", "manager", "admin"]) {
      const caller = shop.as(role);
      for (const path of ["/v1/wallet", "/v1/ledger", "/v1/rewards", "/v1/events"]) expectProblem(await caller.get(path), 403, "forbidden");
      expectProblem(await redeem(caller, code), 403, "forbidden");
      expectProblem(await caller.post("/v1/codes/preview", { code }), 403, "forbidden");
    }
    await redeemed(shop.member(), code);
  });

  test("a service names the member it acts for", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    expectProblem(await redeem(shop.service, code), 400, "invalid_request");
    for (const path of ["/v1/wallet", "/v1/ledger", "/v1/rewards", "/v1/redemptions", "/v1/events"]) expectProblem(await shop.service.get(path), 400, "invalid_request");
    const member_id = unique("u-");
    await redeem(shop.service, code, { member_id });
    const [own] = await historyOf(shop.member({}, member_id));
    assert.equal(own.by, "service:shop-server", JSON.stringify(own));
    expectStatus(await shop.service.get(`/v1/wallet?member_id=${member_id}`), 200);
  });
});

describe("merchants and members apart", () => {
  test("another member's redemption is not found", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    const { redemption_id } = await redeemed(ann, code);
    expectProblem(await shop.member().get(`/v1/redemptions/${redemption_id}`), 404, "not_found");
    expectStatus(await ann.get(`/v1/redemptions/${redemption_id}`), 200);
  });

  test("the same sub at another merchant is another member, and sees nothing", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    const { code } = await one.withCodes();
    const sub = unique("u-");
    const { redemption_id } = await redeemed(one.member({}, sub), code);
    const stranger = other.member({}, sub);
    expectProblem(await stranger.get(`/v1/redemptions/${redemption_id}`), 404, "not_found");
    assert.deepEqual(await historyOf(stranger), []);
    assert.deepEqual((await stranger.get("/v1/wallet")).body.credit, []);
  });

  test("another merchant's campaigns and rewards are not found", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    const { campaign, reward_id } = await one.campaign();
    const headers = { "if-match": '"1"' };
    expectProblem(await other.admin.get(`/v1/campaigns/${campaign}`), 404, "not_found");
    expectProblem(await other.admin.patch(`/v1/campaigns/${campaign}`, { name: "Mine" }, { headers }), 404, "not_found");
    for (const verb of ["activate", "pause", "end"]) expectProblem(await other.admin.post(`/v1/campaigns/${campaign}/${verb}`), 404, "not_found");
    expectProblem(await other.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1 }), 404, "not_found");
    expectProblem(await other.admin.get(`/v1/campaigns/${campaign}/batches`), 404, "not_found");
    expectProblem(await other.admin.get(`/v1/reward-definitions/${reward_id}`), 404, "not_found");
    assert.deepEqual((await other.admin.get("/v1/campaigns")).body.items, []);
    assert.deepEqual((await other.admin.get("/v1/reward-definitions")).body.items, []);
    assert.equal((await one.admin.get(`/v1/campaigns/${campaign}`)).body.status, "active");
  });

  test("the same campaign number serves two merchants, each with its own codes", async () => {
    const [one, other] = [openShop(edge), openShop(edge)];
    const [first, second] = [await one.withCodes(1, { campaign: 7 }), await other.withCodes(1, { campaign: 7 })];
    expectProblem(await redeem(other.member(), first.code), 404, "code_not_recognised");
    await redeemed(one.member(), first.code);
    await redeemed(other.member(), second.code);
  });
});

describe("issuer, audience and the development token", () => {
  const strict = edgeForThisFile({ vars: { JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "counterfoil" } });
  const development = edgeForThisFile({ build: "dev" });

  test("both are checked when configured", async () => {
    const good = member({ iss: "https://issuer.example", aud: "counterfoil" });
    expectStatus(await clientOf(strict.url, good).get("/v1/wallet"), 200);
    expectStatus(await clientOf(strict.url, { ...good, aud: ["other", "counterfoil"] }).get("/v1/wallet"), 200);
    for (const change of [{ iss: undefined }, { iss: "https://issuer.example/" }, { aud: undefined }, { aud: "other" }, { aud: [] }, { aud: ["other"] }]) {
      expectProblem(await clientOf(strict.url, { ...good, ...change }).get("/v1/wallet"), 401, "invalid_token");
    }
  });

  test("the release build has no development token", async () => {
    for (const client of [new Client(edge.url), clientOf(edge.url, member({ role: "admin" }))]) {
      expectProblem(await client.post("/dev/token", { sub: "ann" }), 404, "not_found");
    }
  });

  test("the development build signs for any merchant and role", async () => {
    const anyone = new Client(development.url);
    const merchant = unique("t-");
    const { token } = expectStatus(await anyone.post("/dev/token", { sub: "ann", merchant }), 200);
    const { exp, ...claims } = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
    assert.equal(claims.sub, "ann");
    assert.ok(Math.abs(exp - seconds() - 86400) < 60, `lasts a day: ${exp}`);
    expectStatus(await new Client(development.url, token).get("/v1/wallet"), 200);
    expectProblem(await new Client(development.url, token).get("/v1/campaigns"), 403, "forbidden");
    const admin = expectStatus(await anyone.post("/dev/token", { sub: "boss", merchant, role: "admin", tags: ["a"] }), 200).token;
    expectStatus(await new Client(development.url, admin).get("/v1/campaigns"), 200);
    for (const body of [{}, { sub: 7 }, { sub: "ann", role: "root" }, { sub: "ann", merchant: "Not Good" }, { sub: "ann", surprise: 1 }]) {
      expectProblem(await anyone.post("/dev/token", body), 400, "invalid_request");
    }
  });
});
