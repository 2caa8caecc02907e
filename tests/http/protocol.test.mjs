// What is true of every call: methods, media types, sizes, CORS, health, and bodies in odd but legal forms.
import assert from "node:assert/strict";
import net from "node:net";
import { describe, test } from "node:test";
import { Client, expectProblem, expectStatus, send } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile();

test("health is open to all and says ok", async () => {
  const answer = await new Client(edge.url).get("/healthz");
  expectStatus(answer, 200);
  assert.ok(answer.ms < 5000);
});

describe("405 with what is allowed", () => {
  const rows = [
    ["/v1/redemptions", ["GET", "POST"], ["PUT", "DELETE", "PATCH"]],
    ["/v1/codes/preview", ["POST"], ["GET", "PUT", "DELETE"]],
    ["/v1/codes/0000-0000-0000-0000-0000/redemptions", ["POST"], ["GET", "DELETE"]],
    ["/v1/wallet", ["GET"], ["POST", "PUT", "DELETE"]],
    ["/v1/ledger", ["GET"], ["POST", "DELETE"]],
    ["/v1/events", ["GET"], ["POST", "DELETE"]],
    ["/v1/reward-definitions", ["GET", "POST"], ["PUT", "DELETE", "PATCH"]],
    ["/v1/reward-definitions/abc", ["GET", "PATCH"], ["POST", "PUT", "DELETE"]],
    ["/v1/campaigns", ["GET", "POST"], ["PUT", "DELETE", "PATCH"]],
    ["/v1/campaigns/1", ["GET", "PATCH"], ["POST", "PUT", "DELETE"]],
    ["/v1/campaigns/1/activate", ["POST"], ["GET", "PATCH", "DELETE"]],
    ["/v1/campaigns/1/pause", ["POST"], ["GET", "DELETE"]],
    ["/v1/campaigns/1/end", ["POST"], ["GET", "DELETE"]],
    ["/v1/campaigns/1/batches", ["GET", "POST"], ["PUT", "DELETE"]],
    ["/v1/rewards", ["GET"], ["POST", "PUT", "DELETE"]],
    ["/v1/rewards/abc", ["GET"], ["POST", "PATCH", "DELETE"]],
    ["/v1/rewards/abc/claim", ["POST"], ["GET", "DELETE"]],
    ["/v1/rewards/abc/activate", ["POST"], ["GET", "DELETE"]],
    ["/v1/rewards/abc/decline", ["POST"], ["GET", "DELETE"]],
    ["/v1/redemptions/abc/retry", ["POST"], ["GET", "DELETE"]],
    ["/v1/redemptions/abc/resolve", ["POST"], ["GET", "DELETE"]],
    ["/v1/redemptions/abc/reset", ["POST"], ["GET", "DELETE"]],
    ["/v1/members/ann/wallet", ["GET"], ["POST", "DELETE"]],
    ["/v1/members/ann/rewards", ["GET", "POST"], ["PUT", "DELETE"]],
    ["/v1/members/ann/rewards/abc/claim", ["POST"], ["GET", "DELETE"]],
    ["/v1/members/ann/adjustments", ["POST"], ["GET", "DELETE"]],
    ["/v1/catalogue", ["GET"], ["POST", "DELETE"]],
    ["/v1/pools", ["GET", "POST"], ["PUT", "DELETE", "PATCH"]],
    ["/v1/pools/abc", ["GET", "PATCH"], ["POST", "DELETE"]],
    ["/v1/pools/abc/codes", ["POST"], ["GET", "DELETE"]],
    ["/v1/pools/abc/quarantine", ["GET"], ["POST", "DELETE"]],
    ["/v1/pools/abc/quarantine/release", ["POST"], ["GET", "DELETE"]],
    ["/v1/orders/abc/holds", ["GET", "POST"], ["PUT", "DELETE"]],
    ["/v1/orders/abc/holds/abc", ["DELETE", "GET"], ["POST", "PUT"]],
    ["/v1/orders/abc/commit", ["POST"], ["GET", "DELETE"]],
    ["/v1/orders/abc/release", ["POST"], ["GET", "DELETE"]],
    ["/v1/members/ann/rewards/abc/fulfilment", ["PATCH"], ["GET", "POST"]],
    ["/v1/webhooks", ["GET", "POST"], ["PUT", "DELETE", "PATCH"]],
    ["/v1/webhooks/abc", ["DELETE", "GET"], ["POST", "PUT"]],
    ["/v1/webhooks/abc/rotate", ["POST"], ["GET", "DELETE"]],
    ["/v1/webhooks/abc/test", ["POST"], ["GET", "DELETE"]],
    ["/v1/fulfilments/abc", ["POST"], ["GET", "PUT", "DELETE"]],
    ["/v1/audit", ["GET"], ["POST", "DELETE"]],
    ["/v1/audit/export", ["GET"], ["POST", "DELETE"]],
    ["/v1/stats", ["GET"], ["POST", "DELETE"]],
    ["/v1/verify", ["POST"], ["GET", "DELETE"]],
    ["/healthz", ["GET"], ["POST", "DELETE"]],
  ];
  for (const [path, allowed, refused] of rows) {
    test(path, async () => {
      const { admin } = openShop(edge);
      for (const method of refused) {
        const answer = await admin.request(method, path, { body: {}, key: "k" });
        expectProblem(answer, 405, "http_method_not_allowed");
        const listed = answer.headers.allow.split(/\s*,\s*/).filter((name) => !["HEAD", "OPTIONS"].includes(name));
        assert.deepEqual(listed.sort(), allowed, answer.headers.allow);
      }
    });
  }
});

test("what does not exist is 404", async () => {
  const { admin, member } = { admin: openShop(edge).admin, member: openShop(edge).member() };
  for (const path of ["/", "/v1", "/v1/", "/v2/wallet", "/v1/wallets", "/v1/wallet/", "/V1/wallet", "/v1/campaigns/1/destroy", "/v1/campaigns/1/activate/now", "/dev/token", "/v1/../v1/walleT", "/favicon.ico", "/.env", "/v1/%77allet%00"]) {
    for (const client of [admin, member]) expectProblem(await client.get(path), 404, "not_found");
  }
});

describe("bodies", () => {
  const json = { "content-type": "application/json" };

  test("over 64 KiB are refused, with a length and in chunks", async () => {
    const { admin } = openShop(edge);
    const name = "x".repeat(66_000);
    expectProblem(await admin.post("/v1/campaigns", { name }), 413, "too_large");
    expectProblem(await admin.post("/v1/campaigns", { name }, { chunked: true }), 413, "too_large");
    const ann = openShop(edge).member();
    expectProblem(await redeem(ann, name), 413, "too_large");
    expectProblem(await ann.post("/v1/codes/preview", { code: name }), 413, "too_large");
    expectProblem(await admin.post("/v1/campaigns/1/activate", { name }), 413, "too_large");
  });

  test("of exactly 64 KiB are read", async () => {
    const ann = openShop(edge).member();
    const body = JSON.stringify({ code: "0000" });
    const padded = body + " ".repeat(65_536 - body.length);
    expectProblem(await ann.post("/v1/codes/preview", padded, { headers: json }), 404, "code_not_recognised");
    expectProblem(await ann.post("/v1/codes/preview", `${padded} `, { headers: json }), 413, "too_large");
  });

  test("of another media type are refused", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/jsonp", "multipart/form-data; boundary=x", "application/json-patch+json"]) {
      expectProblem(await ann.post("/v1/redemptions", JSON.stringify({ code }), { key: unique("k-"), headers: { "content-type": type } }), 415, "unsupported_media_type");
    }
    for (const type of ["application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"]) {
      const answer = await ann.post("/v1/codes/preview", JSON.stringify({ code }), { headers: { "content-type": type } });
      expectStatus(answer, 200);
    }
  });

  test("an empty body is an empty object", async () => {
    const shop = openShop(edge);
    const { campaign } = await shop.campaign({}, { draft: true });
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/activate`), 200, 202);
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/pause`, "", { headers: json }), 200, 202);
    expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/activate`, {}), 200, 202);
    expectProblem(await shop.admin.post(`/v1/campaigns/${campaign}/pause`, { surprise: 1 }), 400, "invalid_request");
    const { errors } = expectProblem(await shop.member().post("/v1/redemptions", undefined, { key: "k" }), 400, "invalid_request");
    assert.match(errors[0].path, /code/);
  });

  test("in escapes and with a blank around are read as what they mean", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const escaped = [...code].map((symbol) => `\\u${symbol.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
    const answer = await shop.member().post("/v1/redemptions", ` \r\n{"\\u0063ode":"${escaped}"}\t`, { key: unique("k-"), headers: json });
    expectStatus(answer, 201);
  });

  test("in chunks are read whole", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    expectStatus(await shop.member().post("/v1/redemptions", { code }, { key: unique("k-"), chunked: true }), 201);
  });
});

describe("a connection", () => {
  /** Two requests on one connection, the second sent once the first is answered: the statuses that came back. */
  function twoOnOne(first, second) {
    const { hostname, port } = new URL(edge.url);
    return new Promise((resolve, reject) => {
      const socket = net.connect(Number(port), hostname, () => socket.write(first));
      let text = "";
      const statuses = () => [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
      socket.on("data", (part) => {
        const before = statuses().length;
        text += part;
        if (before === 0 && statuses().length === 1) socket.write(second);
        if (statuses().length === 2) socket.end();
      });
      socket.on("close", () => resolve({ statuses: statuses(), text }));
      socket.on("error", (error) => (statuses().length > 0 ? resolve({ statuses: statuses(), text }) : reject(error)));
    });
  }

  const raw = (method, path, token, body) =>
    [`${method} ${path} HTTP/1.1`, "Host: edge", `Authorization: Bearer ${token}`, "Content-Type: application/json", `Content-Length: ${body.length}`, "", body].join("\r\n");

  test("goes on after an error, or is announced to end", async () => {
    const shop = openShop(edge);
    const good = raw("GET", "/v1/wallet", shop.member().token, "");
    for (const [what, first, status] of [
      ["a bad token", raw("POST", "/v1/redemptions", "nonsense", '{"code":"0000"}'), 401],
      ["a wrong role", raw("POST", "/v1/campaigns", shop.member().token, "{}"), 403],
      ["an unknown path", raw("POST", "/v1/nothing", shop.member().token, "{}"), 404],
      ["a wrong method", raw("DELETE", "/v1/wallet", shop.member().token, "{}"), 405],
      ["a missing key", raw("POST", "/v1/redemptions", shop.member().token, '{"code":"0000"}'), 400],
    ]) {
      const { statuses, text } = await twoOnOne(first, good);
      assert.equal(statuses[0], status, `${what}: ${text}`);
      if (!/^connection: close/im.test(text)) assert.deepEqual(statuses, [status, 200], `${what}: ${text}`);
    }
  });
});

describe("CORS", () => {
  const preflight = (origin, path = "/v1/redemptions", method = "POST") =>
    send(edge.url, { method: "OPTIONS", path, headers: { origin, "access-control-request-method": method, "access-control-request-headers": "authorization,content-type,idempotency-key,prefer,if-match" } });

  test("a page of the allow-list may call", async () => {
    for (const origin of ["https://shop.example", "http://127.0.0.1:5173", "http://127.0.0.1:65535"]) {
      const answer = await preflight(origin);
      assert.ok([200, 204].includes(answer.status), `${answer.status} ${answer.text}`);
      assert.equal(answer.headers["access-control-allow-origin"], origin);
      const allowed = answer.headers["access-control-allow-headers"].toLowerCase().split(/\s*,\s*/);
      for (const name of ["authorization", "content-type", "idempotency-key", "prefer", "if-match"]) assert.ok(allowed.includes(name), name);
      assert.match(answer.headers["access-control-allow-methods"], /POST/);
      assert.match(answer.headers.vary ?? "", /origin/i);
      const patch = await preflight(origin, "/v1/campaigns/1", "PATCH");
      assert.match(patch.headers["access-control-allow-methods"], /PATCH/);
    }
  });

  test("any other page may not", async () => {
    for (const origin of ["https://evil.example", "https://shop.example.evil.example", "http://shop.example", "https://shop.example:8443", "http://127.0.0.1.evil.example:80", "http://127.0.0.1:80.evil.example", "http://127.0.0.1:", "null", "https://SHOP.example.org"]) {
      const answer = await preflight(origin);
      assert.equal(answer.headers["access-control-allow-origin"], undefined, origin);
      assert.ok(answer.status < 500, origin);
    }
  });

  test("answers and problems alike carry the permission, and expose what a page must read", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const headers = { origin: "https://shop.example" };
    const answers = [await ann.get("/v1/wallet", { headers }), await ann.get("/v1/nothing", { headers }), await new Client(edge.url).get("/v1/wallet", { headers }), await redeem(ann, "0000-0000-0000-0000-0000", { headers })];
    assert.deepEqual(answers.map(({ status }) => status), [200, 404, 401, 422]);
    for (const answer of answers) {
      assert.equal(answer.headers["access-control-allow-origin"], "https://shop.example");
      assert.match(answer.headers.vary ?? "", /origin/i);
      const exposed = (answer.headers["access-control-expose-headers"] ?? "").toLowerCase();
      for (const name of ["location", "etag", "retry-after", "idempotent-replayed"]) assert.ok(exposed.includes(name), `${name} in ${exposed}`);
    }
    assert.equal((await ann.get("/v1/wallet")).headers["access-control-allow-origin"], undefined);
    assert.equal((await ann.get("/v1/wallet", { headers: { origin: "https://evil.example" } })).headers["access-control-allow-origin"], undefined);
  });
});

test("what is created answers 201 with its Location, and is there", async () => {
  const shop = openShop(edge);
  const { code, campaign, reward_id } = await shop.withCodes();
  const ann = shop.member();
  const rows = [
    ["a redemption", ann, await redeem(ann, code)],
    ["a reward definition", shop.admin, await shop.admin.post("/v1/reward-definitions", { name: "N", type: "points", value: { amount: 1 } })],
    ["a campaign", shop.admin, await shop.admin.post("/v1/campaigns", { name: "N", profile: "S20", kind: "unique", reward_id })],
    ["an offline batch", shop.admin, await shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1, offline: true })],
  ];
  for (const [what, client, answer] of rows) {
    expectStatus(answer, 201);
    assert.ok(answer.headers.location, `${what} has a Location`);
    expectStatus(await client.get(new URL(answer.headers.location, edge.url).pathname), 200);
  }
});

test("answers about members are not to be stored by anyone on the way", async () => {
  const shop = openShop(edge);
  const { code } = await shop.withCodes();
  const ann = shop.member();
  const { redemption_id } = await redeemed(ann, code);
  for (const path of ["/v1/wallet", "/v1/ledger", "/v1/redemptions", `/v1/redemptions/${redemption_id}`]) {
    assert.match((await ann.get(path)).headers["cache-control"] ?? "", /no-store|private/, path);
  }
});

test("HEAD is answered like GET, without a body", async () => {
  const ann = openShop(edge).member();
  const answer = await send(edge.url, { method: "HEAD", path: "/v1/wallet", headers: { authorization: `Bearer ${ann.token}` } });
  assert.ok([200, 405].includes(answer.status), String(answer.status));
  assert.equal(answer.text, "");
});
