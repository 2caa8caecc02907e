// API keys of a merchant's own servers: made, limited, used, taken back; and that nothing kept by the edge could be used as one.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Client, everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, signToken, startEdge, unique } from "./env.mjs";
import { INSTANT, historyOf, openShop, redeem, redeemed } from "./shop.mjs";
import { openFeed, openSocket } from "./socket.mjs";
import { catalogueOf, memberWith } from "./trade.mjs";

const edge = edgeForThisFile();
const PATH = "/v1/api-keys";
const SCOPES = ["redeem", "orders", "rewards", "adjust", "mint", "read"];
const FIELDS = ["key_id", "name", "scopes", "key", "created_at", "by", "expires_at"];

const create = (shop, fields = {}, options) => shop.admin.post(PATH, { name: "Shop server", scopes: SCOPES, ...fields }, options);
const keyOf = async (shop, fields) => expectStatus(await create(shop, fields), 201);
const withKey = (shop, { key }) => new Client(shop.url, key);
const member_id = () => unique("u-");

function assertKey(body) {
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !FIELDS.includes(name)), [], says);
  for (const name of ["key_id", "name", "by"]) assert.equal(typeof body[name], "string", says);
  assert.match(body.created_at, INSTANT, says);
  assert.ok(Array.isArray(body.scopes) && body.scopes.length > 0, says);
  if (body.expires_at !== undefined) assert.match(body.expires_at, INSTANT, says);
}

describe("making and taking back", () => {
  test("a key is shown once", async () => {
    const shop = openShop(edge);
    const answer = await create(shop, { scopes: ["read", "mint"], expires_at: "2099-01-01T00:00:00Z" });
    const made = expectStatus(answer, 201);
    assertKey(made);
    assert.match(made.key, /^cfk_[A-Za-z0-9_-]{80,}$/);
    assert.deepEqual([made.name, made.scopes, made.by], ["Shop server", ["read", "mint"], "admin:admin-1"]);
    assert.equal(Date.parse(made.expires_at), Date.parse("2099-01-01T00:00:00Z"));
    assert.equal(answer.headers.location, `${PATH}/${made.key_id}`);
    assert.match(answer.headers["cache-control"], /no-store/);
    const { key, ...rest } = made;
    assert.deepEqual(expectStatus(await shop.admin.get(answer.headers.location), 200), rest);
    assert.deepEqual(expectStatus(await shop.admin.get(PATH), 200).items, [rest]);
    expectStatus(await new Client(edge.url, key).get(`/v1/wallet?member_id=${member_id()}`), 200);
  });

  test("no two keys are alike, and lists go page by page, the newest first", async () => {
    const shop = openShop(edge);
    const made = [];
    for (let n = 0; n < 5; n += 1) made.push(await keyOf(shop, { name: `Server ${n}` }));
    assert.equal(new Set(made.flatMap(({ key_id, key }) => [key_id, key])).size, 10);
    const listed = await everyItem(shop.admin, PATH, 2);
    assert.deepEqual(listed.map(({ key_id }) => key_id), made.map(({ key_id }) => key_id).reverse());
    listed.forEach(assertKey);
  });

  test("a key that is deleted is good for nothing from then on", async () => {
    const shop = openShop(edge);
    const [kept, made] = [await keyOf(shop), await keyOf(shop)];
    const client = withKey(shop, made);
    const wallet = `/v1/wallet?member_id=${member_id()}`;
    expectStatus(await client.get(wallet), 200);
    // While calls with it go on, its deletion counts for every call that begins after its answer.
    const busy = Array.from({ length: 8 }, () => client.get(wallet));
    const deleted = await shop.admin.delete(`${PATH}/${made.key_id}`);
    expectStatus(deleted, 204);
    await Promise.all(busy);
    for (let n = 0; n < 3; n += 1) expectProblem(await client.get(wallet), 401, "invalid_token");
    expectStatus(await shop.admin.delete(`${PATH}/${made.key_id}`), 204);
    expectProblem(await shop.admin.get(`${PATH}/${made.key_id}`), 404, "not_found");
    assert.deepEqual((await everyItem(shop.admin, PATH)).map(({ key_id }) => key_id), [kept.key_id]);
    expectStatus(await withKey(shop, kept).get(wallet), 200);
    expectProblem(await client.get(wallet), 401, "invalid_token");
  });

  test("a key ends when it was to end", async () => {
    const shop = openShop(edge);
    const expires_at = new Date(Date.now() + 2000).toISOString();
    const made = await keyOf(shop, { expires_at });
    const path = `/v1/wallet?member_id=${member_id()}`;
    const last = await until(() => withKey(shop, made).get(path), ({ status }) => status !== 200, 10_000);
    expectProblem(last, 401, "invalid_token");
    assert.ok(Date.now() >= Date.parse(expires_at), "and not before");
  });

  test("repeated under one idempotency key it is one key, which is not shown again", async () => {
    const shop = openShop(edge);
    const key = unique("k-");
    const made = expectStatus(await create(shop, {}, { key }), 201);
    const again = await create(shop, {}, { key });
    const { key: secret, ...rest } = made;
    assert.deepEqual(expectStatus(again, 201), rest);
    assert.equal(again.headers["idempotent-replayed"], "true");
    assert.ok(!again.text.includes(secret));
    expectProblem(await create(shop, { scopes: ["read"] }, { key }), 422, "idempotency_key_reused");
    assert.equal((await everyItem(shop.admin, PATH)).length, 1);
    expectStatus(await shop.admin.delete(`${PATH}/${made.key_id}`), 204);
    assert.deepEqual(expectStatus(await create(shop, {}, { key }), 201), rest, "what was done then, and nothing new");
    assert.deepEqual(await everyItem(shop.admin, PATH), []);
    expectProblem(await withKey(shop, made).get("/v1/wallet?member_id=ann"), 401, "invalid_token");
  });

  test("bad input: named, and nothing made", async () => {
    const shop = openShop(edge);
    const rows = [
      [{ name: undefined }, "name"],
      [{ name: "" }, "name"],
      [{ name: " " }, "name"],
      [{ name: "x".repeat(201) }, "name"],
      [{ name: "a\u0000b" }, "name"],
      [{ name: 7 }, "name"],
      [{ scopes: undefined }, "scopes"],
      [{ scopes: [] }, "scopes"],
      [{ scopes: "read" }, "scopes"],
      [{ scopes: ["read", "everything"] }, "scopes[1]"],
      [{ scopes: ["READ"] }, "scopes[0]"],
      [{ scopes: [null] }, "scopes[0]"],
      [{ scopes: ["read", "mint", "read"] }, "scopes[2]"],
      [{ scopes: Array(500).fill("read") }, "scopes[1]"],
      [{ expires_at: "2001-01-01T00:00:00Z" }, "expires_at"],
      [{ expires_at: new Date().toISOString() }, "expires_at"],
      [{ expires_at: "tomorrow" }, "expires_at"],
      [{ expires_at: 4e9 }, "expires_at"],
      [{ key: "cfk_mine" }, "key"],
      [{ key_id: "key_mine" }, "key_id"],
      [{ role: "admin" }, "role"],
      [{ merchant: "other" }, "merchant"],
    ];
    for (const [fields, path] of rows) {
      const { errors } = expectProblem(await create(shop, fields), 400, "invalid_request");
      assert.equal(errors[0].path, path, JSON.stringify(fields));
    }
    for (const path of ["x", "key_", "key_000000000000000000000000", "%00"]) {
      expectProblem(await shop.admin.get(`${PATH}/${path}`), 404, "not_found");
      expectProblem(await shop.admin.delete(`${PATH}/${path}`), 404, "not_found");
    }
    assert.deepEqual(await everyItem(shop.admin, PATH), []);
  });
});

describe("what a key may do", () => {
  // One call of each scope, as a service makes it, and the answer where the key may.
  const calls = (shop, { campaign, code, reward_id }, id) => ({
    redeem: [
      () => ["POST", "/v1/redemptions", { code, member_id: id }],
      () => ["POST", `/v1/codes/${code}/redemptions`, { member_id: id }],
      () => ["POST", "/v1/codes/preview", { code, member_id: id }],
    ],
    orders: [
      () => ["POST", "/v1/orders/o-1/holds", { credit_minor: 1, total: { currency: "EUR", amount_minor: 100 }, member_id: id }],
      () => ["DELETE", `/v1/orders/o-1/holds/none?member_id=${id}`],
      () => ["POST", "/v1/orders/o-1/commit", { member_id: id }],
      () => ["POST", "/v1/orders/o-2/release", { member_id: id }],
    ],
    rewards: [
      () => ["POST", `/v1/members/${id}/rewards`, { reward_id, reason: "for being here" }],
      () => ["POST", "/v1/rewards/none/claim", { member_id: id }],
      () => ["POST", "/v1/rewards/none/activate", { member_id: id }],
      () => ["POST", "/v1/rewards/none/decline", { member_id: id }],
    ],
    adjust: [() => ["POST", `/v1/members/${id}/adjustments`, { asset: "points", amount: 5, reason: "a parcel" }]],
    mint: [() => ["POST", `/v1/campaigns/${campaign}/batches`, { count: 1 }]],
    read: [
      () => ["GET", `/v1/redemptions?member_id=${id}`],
      () => ["GET", `/v1/redemptions/none?member_id=${id}`],
      () => ["GET", `/v1/wallet?member_id=${id}`],
      () => ["GET", `/v1/ledger?member_id=${id}`],
      () => ["GET", `/v1/catalogue?member_id=${id}`],
      () => ["GET", `/v1/rewards?member_id=${id}`],
      () => ["GET", `/v1/rewards/none?member_id=${id}`],
      () => ["GET", `/v1/events?member_id=${id}`],
      () => ["GET", `/v1/orders/o-1/holds?member_id=${id}`],
      () => ["GET", `/v1/orders/o-1/holds/none?member_id=${id}`],
      () => ["GET", `/v1/campaigns/${campaign}/batches`],
      () => ["GET", `/v1/campaigns/${campaign}/batches/none`],
    ],
  });

  test("each scope opens its own calls, and no other", async () => {
    const shop = openShop(edge);
    const made = await shop.withCodes(1, { kind: "shared", limits: { per_member: 100 } });
    const listed = calls(shop, made, member_id());
    for (const scope of SCOPES) {
      const [only, allBut] = [withKey(shop, await keyOf(shop, { scopes: [scope] })), withKey(shop, await keyOf(shop, { scopes: SCOPES.filter((one) => one !== scope) }))];
      for (const [kind, some] of Object.entries(listed)) {
        for (const one of some) {
          const [method, path, body] = one();
          const says = `${scope}: ${method} ${path}`;
          const [mine, others] = [await only.request(method, path, { body, key: unique("k-") }), await allBut.request(method, path, { body, key: unique("k-") })];
          for (const [answer, allowed] of [[mine, kind === scope], [others, kind !== scope]]) {
            if (allowed) assert.ok([200, 201, 202, 204, 404, 409].includes(answer.status) && answer.body?.code !== "forbidden", `${says}: ${answer.status} ${answer.text}`);
            else assert.equal(expectProblem(answer, 403, "forbidden").instance.includes("none"), false, says);
          }
        }
      }
    }
  });

  test("no key does what is not a service's", async () => {
    const shop = openShop(edge);
    const client = withKey(shop, await keyOf(shop));
    const { campaign } = await shop.campaign();
    for (const [method, path] of [
      ["GET", "/v1/campaigns"],
      ["POST", `/v1/campaigns/${campaign}/end`],
      ["GET", PATH],
      ["POST", PATH],
      ["DELETE", `${PATH}/none`],
      ["GET", "/v1/redemptions?all=1"],
      ["GET", "/v1/members/ann/wallet"],
      ["POST", "/v1/till/lookup"],
      ["GET", "/v1/audit"],
      ["GET", "/v1/settings"],
    ]) {
      expectProblem(await client.request(method, path, { body: method === "POST" ? {} : undefined }), 403, "forbidden");
    }
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.status, "active");
  });

  test("it acts for the members of its own merchant, under its own name", async () => {
    const [shop, other] = [openShop(edge), openShop(edge)];
    const made = await keyOf(shop);
    const client = withKey(shop, made);
    const { code, campaign } = await shop.withCodes(1, { methods: ["api"] });
    const ann = shop.member();
    expectProblem(await redeem(ann, code), 403, "redemption_method_not_allowed");
    expectStatus(await redeem(client, code, { member_id: ann.sub }), 201);
    const [latest] = await historyOf(ann);
    assert.equal(latest.by, `service:${made.key_id}`);
    expectProblem(await redeem(client, code), 400, "invalid_request");
    // The same names at another merchant are others.
    const theirs = await other.withCodes(1);
    expectProblem(await redeem(client, theirs.code, { member_id: ann.sub }), 404, "code_not_recognised");
    if (theirs.campaign !== campaign) expectProblem(await client.post(`/v1/campaigns/${theirs.campaign}/batches`, { count: 1 }), 404, "not_found");
    expectProblem(await other.admin.get(`${PATH}/${made.key_id}`), 404, "not_found");
    expectProblem(await other.admin.delete(`${PATH}/${made.key_id}`), 404, "not_found");
    assert.deepEqual(await everyItem(other.admin, PATH), []);
    expectStatus(await client.get(`/v1/wallet?member_id=${ann.sub}`), 200);
  });

  test("idempotency keys are each API key's own", async () => {
    const shop = openShop(edge);
    const [one, two] = [withKey(shop, await keyOf(shop)), withKey(shop, await keyOf(shop))];
    const ann = await memberWith(shop, 0);
    const key = unique("k-");
    const earn = (client) => client.post(`/v1/members/${ann.sub}/adjustments`, { asset: "points", amount: 5, reason: "a parcel" }, { key });
    expectStatus(await earn(one), 201);
    assert.equal((await earn(one)).headers["idempotent-replayed"], "true");
    expectStatus(await earn(two), 201);
    assert.equal((await ann.get("/v1/wallet")).body.points, 10);
    assert.deepEqual(await catalogueOf(ann), []);
  });

  test("it opens the live feed, as a header and as a subprotocol", async () => {
    const shop = openShop(edge);
    const [made, blind] = [await keyOf(shop, { scopes: ["read"] }), await keyOf(shop, { scopes: ["redeem"] })];
    const ann = shop.member();
    const feed = await openFeed(edge.url, made.key, `?member_id=${ann.sub}`);
    const { code } = await shop.withCodes();
    await redeemed(ann, code);
    assert.ok(await feed.nextEvent());
    feed.close();
    const { refused } = await openSocket(edge.url, `/v1/events?member_id=${ann.sub}`, { protocols: ["counterfoil.v1", `bearer.${blind.key}`] });
    assert.equal(refused.status, 403);
    expectStatus(await shop.admin.delete(`${PATH}/${made.key_id}`), 204);
    const { refused: late } = await openSocket(edge.url, `/v1/events?member_id=${ann.sub}`, { protocols: ["counterfoil.v1", `bearer.${made.key}`] });
    assert.equal(late.status, 401);
  });
});

describe("forgeries and leaks", () => {
  const refusedAs = async (client) => expectProblem(await client.get("/v1/wallet?member_id=ann"), 401, "invalid_token");

  test("a key that was changed anywhere is nobody's", async () => {
    const shop = openShop(edge);
    const { key, key_id } = await keyOf(shop);
    const bytes = Buffer.from(key.slice(4), "base64url");
    const spelled = (some) => `cfk_${some.toString("base64url")}`;
    const bent = Array.from(bytes, (_, at) => spelled(Buffer.from(bytes.map((byte, place) => (place === at ? byte ^ 16 : byte)))));
    const other = Buffer.from(shop.merchant.replace(/.$/, (last) => (last === "0" ? "1" : "0")));
    const foreign = Buffer.concat([bytes.subarray(0, bytes.length - other.length), other]);
    for (const text of [...bent, spelled(foreign), spelled(bytes.subarray(1)), spelled(bytes.subarray(0, -1)), `${key}A`, `${key}=`, key.slice(4), key.toUpperCase(), key.replace("cfk_", "CFK_"), "cfk_", "cfk_AAAA", `cfk_${"A".repeat(9000)}`, key_id, `cfk_${key_id}`]) {
      await refusedAs(new Client(edge.url, text));
    }
    expectStatus(await new Client(edge.url, key).get("/v1/wallet?member_id=ann"), 200);
  });

  test("it is a bearer's value and nothing else", async () => {
    const shop = openShop(edge);
    const { key, key_id } = await keyOf(shop);
    const anyone = new Client(edge.url);
    for (const authorization of [`Basic ${key}`, key, `Bearer`, `Token ${key}`]) expectProblem(await anyone.get("/v1/wallet?member_id=ann", { headers: { authorization } }), 401, "invalid_token");
    expectProblem(await anyone.get(`/v1/wallet?member_id=ann&access_token=${key}`), 401, "invalid_token");
    expectProblem(await anyone.get("/v1/wallet?member_id=ann", { headers: { "x-api-key": key } }), 401, "invalid_token");
    // Nor is it the secret of a token.
    for (const secret of [key, key.slice(4), key_id]) await refusedAs(new Client(edge.url, signToken({ sub: key_id, role: "service", merchant: shop.merchant }, { secret })));
  });

  test("neither the audit log nor the log tells it", async () => {
    const lines = [];
    const own = await startEdge({ log: (line) => lines.push(line) });
    try {
      const shop = openShop({ url: own.url.toString().replace(/\/$/, "") });
      const made = await keyOf(shop, { name: "Back office" });
      expectStatus(await withKey(shop, made).get("/v1/wallet?member_id=ann"), 200);
      expectStatus(await shop.admin.delete(`${PATH}/${made.key_id}`), 204);
      await refusedAs(withKey(shop, made));
      const entries = await until(
        async () => (await everyItem(shop.admin, "/v1/audit", 200)).filter(({ action }) => action?.startsWith("api_key.")),
        (found) => found.length === 2,
        15_000,
      );
      assert.deepEqual(entries.map(({ action }) => action).sort(), ["api_key.created", "api_key.deleted"]);
      for (const { actor, subject } of entries) assert.deepEqual([actor, subject], ["admin:admin-1", made.key_id]);
      assert.deepEqual(entries.find(({ action }) => action === "api_key.created").data.scopes, SCOPES);
      const told = `${(await shop.admin.get("/v1/audit/export")).text}\n${lines.join("\n")}`;
      assert.ok(told.includes(made.key_id));
      for (const secret of secretsIn(made.key)) assert.ok(!told.includes(secret), secret);
    } finally {
      await own.dispose();
    }
  });

  test("nothing that is stored could be used as one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "counterfoil-keys-"));
    try {
      const own = await startEdge({ persist: folder });
      const shop = openShop({ url: own.url.toString().replace(/\/$/, "") });
      const made = expectStatus(await create(shop, {}, { key: unique("k-") }), 201);
      expectStatus(await withKey(shop, made).get("/v1/wallet?member_id=ann"), 200);
      await own.dispose();
      const stored = filesIn(folder).map((file) => readFileSync(file).toString("latin1"));
      const secret = Buffer.from(made.key.slice(4), "base64url").subarray(12, 44);
      const hash = createHash("sha256").update(secret).digest("hex");
      assert.ok(stored.some((text) => text.includes(made.key_id) && text.includes(hash)), "its hash is");
      for (const text of [...secretsIn(made.key), secret.toString("latin1")]) assert.ok(!stored.some((file) => file.includes(text)));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  /** Spellings of a key's secret. */
  function secretsIn(key) {
    const bytes = Buffer.from(key.slice(4), "base64url");
    const secret = bytes.subarray(12, 44);
    return [key, key.slice(4), key.slice(24, 60), ...["hex", "base64", "base64url"].map((spelling) => secret.toString(spelling))];
  }

  function filesIn(folder) {
    return readdirSync(folder).flatMap((name) => {
      const path = join(folder, name);
      return statSync(path).isDirectory() ? filesIn(path) : [path];
    });
  }
});
