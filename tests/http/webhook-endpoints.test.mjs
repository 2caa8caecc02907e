// Webhook endpoints: their life as resources, the events that they ask for, and addresses that are never called.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { fulfillerOf, grants, says, startFulfiller } from "./fulfiller-double.mjs";
import { audited, define, give, inState, move, operate, redemptionOf, withFulfillers } from "./rewards.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
const guarded = edgeForThisFile({ vars: {} });
const FIELDS = ["created_at", "disabled", "disabled_at", "endpoint_id", "events", "secret", "secrets", "url"];
const SECRET = /^whsec_[A-Za-z0-9+/]{43}=$/;
const HOOK = "https://hooks.example.com/counterfoil";

function assertEndpoint(body, { secret = false } = {}) {
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !FIELDS.includes(name)), [], says);
  assert.equal("secret" in body, secret, `a secret is shown once; ${says}`);
  if (secret) assert.match(body.secret, SECRET);
  assert.deepEqual([typeof body.endpoint_id, typeof body.url, typeof body.disabled], ["string", "string", "boolean"], says);
  assert.ok(Array.isArray(body.events), says);
}

describe("an endpoint", () => {
  test("is made with its secret shown once, read, listed and deleted", async () => {
    const shop = openShop(edge);
    const made = [];
    for (const events of [[], ["redemption.granted"], ["redemption.*", "reward.failed"], ["*"]]) {
      const answer = await shop.admin.post("/v1/webhooks", { url: `${HOOK}/${made.length}`, events });
      const body = expectStatus(answer, 201);
      assertEndpoint(body, { secret: true });
      assert.deepEqual([body.url, body.events, body.disabled], [`${HOOK}/${made.length}`, events, false]);
      assert.ok(answer.headers.location.endsWith(`/v1/webhooks/${body.endpoint_id}`));
      assert.match(answer.headers["cache-control"] ?? "", /no-store/);
      const { secret, ...rest } = body;
      const read = expectStatus(await shop.admin.get(`/v1/webhooks/${body.endpoint_id}`), 200);
      assert.deepEqual(read, rest);
      made.push(rest);
    }
    const byId = (one, other) => (one.endpoint_id < other.endpoint_id ? -1 : 1);
    assert.deepEqual((await everyItem(shop.admin, "/v1/webhooks", 3)).sort(byId), [...made].sort(byId));
    assert.equal(new Set(made.map(({ endpoint_id }) => endpoint_id)).size, 4);
    const gone = `/v1/webhooks/${made[0].endpoint_id}`;
    for (let times = 0; times < 2; times += 1) expectStatus(await shop.admin.delete(gone), 204);
    expectProblem(await shop.admin.get(gone), 404, "not_found");
    for (const verb of ["rotate", "test"]) expectProblem(await shop.admin.post(`${gone}/${verb}`), 404, "not_found");
    assert.equal((await everyItem(shop.admin, "/v1/webhooks")).length, 3);
    await audited(shop, { action: "webhook.created", actor: "admin:admin-1" }, { action: "webhook.deleted", actor: "admin:admin-1" });
  });

  test("is one for a key that is repeated", async () => {
    const shop = openShop(edge);
    const answers = [];
    for (let times = 0; times < 2; times += 1) answers.push(await shop.admin.post("/v1/webhooks", { url: HOOK, events: [] }, { key: "k-1" }));
    assert.equal(expectStatus(answers[1], 201).endpoint_id, expectStatus(answers[0], 201).endpoint_id);
    assert.equal((await everyItem(shop.admin, "/v1/webhooks")).length, 1);
  });

  test("rotates its secret; what is sent next is signed with both", async (t) => {
    const shop = openShop(edge);
    const { fulfiller, endpoint_id, secret } = await fulfillerOf(t, shop);
    const body = expectStatus(await shop.admin.post(`/v1/webhooks/${endpoint_id}/rotate`), 200);
    assertEndpoint(body, { secret: true });
    assert.notEqual(body.secret, secret);
    fulfiller.secrets.push(body.secret);
    assertEndpoint(expectStatus(await shop.admin.get(`/v1/webhooks/${endpoint_id}`), 200));
    expectStatus(await shop.admin.post(`/v1/webhooks/${endpoint_id}/test`), 200);
    const [delivery] = await fulfiller.deliveries(1);
    assert.deepEqual(delivery.signedBy, [true, true]);
    await audited(shop, { action: "webhook.rotated", actor: "admin:admin-1" });
  });

  test("can be tested, and says what came of it", async (t) => {
    const shop = openShop(edge);
    const { fulfiller, endpoint_id } = await fulfillerOf(t, shop, [says(500), grants()]);
    const test = () => shop.admin.post(`/v1/webhooks/${endpoint_id}/test`);
    assert.equal(expectStatus(await test(), 200).delivered, false);
    assert.equal(expectStatus(await test(), 200).delivered, true);
    const [first, second] = await fulfiller.deliveries(2);
    assert.notEqual(first.id, second.id, "each test is a message of its own");
    fulfiller.assertProper();
  });

  test("lists what was sent, and sends it again under the id it had", async (t) => {
    const shop = openShop(edge);
    const { fulfiller, endpoint_id } = await fulfillerOf(t, shop, [grants()], ["redemption.granted"]);
    const path = `/v1/webhooks/${endpoint_id}/deliveries`;
    const ann = shop.member();
    const { codes } = await shop.withCodes(2);
    for (const code of codes) await redeemed(ann, code);
    const sent = (await fulfiller.deliveries(2, { ms: 20_000 })).map(({ id }) => id);
    const items = await until(() => everyItem(shop.admin, path, 1), (all) => all.length >= 2);
    const text = JSON.stringify(items);
    for (const id of sent) assert.ok(text.includes(id), `${id} in ${text}`);
    assert.ok(!text.includes("whsec_"));
    expectStatus(await shop.admin.post(`${path}/${items[0].delivery_id}/resend`), 200, 202);
    const again = await fulfiller.deliveries(3);
    assert.ok(sent.includes(again[2].id));
    assert.deepEqual(again[2].body, again.find(({ id }) => id === again[2].id).body);
    expectProblem(await shop.admin.post(`${path}/nothing/resend`), 404, "not_found");
    fulfiller.assertProper();
  });

  test("belongs to administrators of its merchant", async (t) => {
    const shop = openShop(edge);
    const { endpoint_id } = await fulfillerOf(t, shop);
    const calls = [["POST", ""], ["GET", ""], ["GET", `/${endpoint_id}`], ["DELETE", `/${endpoint_id}`], ["POST", `/${endpoint_id}/rotate`], ["POST", `/${endpoint_id}/test`], ["GET", `/${endpoint_id}/deliveries`], ["POST", `/${endpoint_id}/deliveries/x/resend`]];
    for (const [method, path] of calls) {
      for (const caller of [shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await caller.request(method, `/v1/webhooks${path}`), 403, "forbidden");
      if (path !== "" && method !== "DELETE") expectProblem(await openShop(edge).admin.request(method, `/v1/webhooks${path}`), 404, "not_found");
    }
    await openShop(edge).admin.delete(`/v1/webhooks/${endpoint_id}`);
    expectStatus(await shop.admin.get(`/v1/webhooks/${endpoint_id}`), 200);
  });
});

describe("events", { concurrency: true }, () => {
  /** The bodies of what arrived, once one of this type is about this thing. */
  const heard = (fulfiller, type, about) =>
    until(
      async () => fulfiller.received,
      (all) => all.some(({ body }) => body.type === type && JSON.stringify(body.data).includes(about)),
      20_000,
    );

  test("that were asked for arrive, signed, with the member they are about; others do not", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller } = await fulfillerOf(t, shop, [grants()], ["redemption.granted"]);
    const all = await fulfillerOf(t, shop, [grants()], ["*"]);
    const { code } = await shop.withCodes();
    const { redemption_id } = await redeemed(ann, code);
    const { body, id } = (await heard(fulfiller, "redemption.granted", redemption_id)).at(-1);
    assert.equal(body.data.member_id, ann.sub);
    assert.deepEqual(Object.keys(body).sort(), ["data", "timestamp", "type"]);
    assert.ok(id.length > 0 && id !== redemption_id);
    const manual = await give(shop, ann, "manual");
    expectStatus(await move(ann, manual.id, "decline"), 200);
    await heard(all.fulfiller, "reward.declined", manual.id);
    await heard(all.fulfiller, "redemption.granted", redemption_id);
    await heard(fulfiller, "redemption.granted", manual.redemption_id);
    assert.deepEqual([...new Set(fulfiller.received.map((one) => one.body.type))], ["redemption.granted"]);
    const groups = new Set(all.fulfiller.received.map((one) => one.body.type.split(".")[0]));
    assert.ok(groups.has("redemption") && groups.has("reward"), [...groups].join());
    for (const double of [fulfiller, all.fulfiller]) double.assertProper();
  });

  test("of a group: failures, cancellations", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller: listener } = await fulfillerOf(t, shop, [grants()], ["redemption.*", "reward.failed"]);
    const { mechanic } = await fulfillerOf(t, shop, [says(404)]);
    const { code } = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic, attempts_max: 1 }) });
    const { redemption_id, rewards } = expectStatus(await redeem(ann, code), 201);
    await inState(ann, rewards[0], "failed");
    await heard(listener, "reward.failed", rewards[0]);
    await heard(listener, "redemption.grant_failed", redemption_id);
    expectStatus(await operate(shop.admin, redemption_id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
    const events = await heard(listener, "redemption.cancelled", redemption_id);
    assert.equal((await redemptionOf(ann, redemption_id)).status, "cancelled");
    assert.ok(events.every(({ body }) => body.type.startsWith("redemption.") || body.type === "reward.failed"));
    assert.equal(new Set(events.map(({ id }) => id)).size, events.length, "each event has an id of its own");
    listener.assertProper();
  });

  test("come again under the same id until they are taken", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const listener = await startFulfiller(t, says(500), grants());
    const { secret } = expectStatus(await shop.admin.post("/v1/webhooks", { url: listener.url, events: ["redemption.granted"] }), 201);
    listener.secrets.push(secret);
    await redeemed(ann, (await shop.withCodes()).code);
    const [first, second] = await listener.deliveries(2, { ms: 20_000 });
    assert.equal(second.id, first.id);
    assert.deepEqual(second.body, first.body);
    listener.assertProper();
  });
});

describe("malformed endpoints", () => {
  const rows = [
    ["no address", { url: undefined }, "url"],
    ["an empty address", { url: "" }, "url"],
    ["a numeric address", { url: 7 }, "url"],
    ["no address at all", { url: "nonsense" }, "url"],
    ["a path alone", { url: "/hook" }, "url"],
    ["another scheme", { url: "ftp://hooks.example.com/" }, "url"],
    ["a file", { url: "file:///etc/passwd" }, "url"],
    ["JavaScript", { url: "javascript:alert(1)" }, "url"],
    ["credentials", { url: "https://ann:secret@hooks.example.com/" }, "url"],
    ["a user", { url: "https://ann@hooks.example.com/" }, "url"],
    ["a fragment", { url: "https://hooks.example.com/#here" }, "url"],
    ["no host", { url: "https:///hook" }, "url"],
    ["a blank inside", { url: "https://hooks.example.com/a b\n" }, "url"],
    ["a very long address", { url: `https://hooks.example.com/${"x".repeat(9000)}` }, "url"],
    ["events that are no list", { url: HOOK, events: "*" }, "events"],
    ["an event that there is not", { url: HOOK, events: ["redemption.lost"] }, "events"],
    ["a group that there is not", { url: HOOK, events: ["campaigns.*"] }, "events"],
    ["a numeric event", { url: HOOK, events: [7] }, "events"],
    ["an empty event", { url: HOOK, events: [""] }, "events"],
    ["a secret of its own", { url: HOOK, secret: "whsec_AAAA" }, "secret"],
    ["an unknown field", { url: HOOK, surprise: 1 }, "surprise"],
  ];
  for (const [name, body, path] of rows) {
    test(`${name}`, async () => {
      const shop = openShop(edge);
      const { errors } = expectProblem(await shop.admin.post("/v1/webhooks", { events: [], ...body }), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.includes(path)), JSON.stringify(errors));
      assert.deepEqual(await everyItem(shop.admin, "/v1/webhooks"), []);
    });
  }
});

describe("addresses that a deployment never calls", () => {
  const hosts = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "10.0.0.8", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[64:ff9b::7f00:1]",
    "localhost", "LOCALHOST", "localhost.", "api.localhost", "printer.local", "db.internal", "intranet", "127.0.0.1.", "\uff11\uff12\uff17.0.0.1",
  ];
  for (const host of hosts) {
    test(host, async () => {
      const { errors } = expectProblem(await openShop(guarded).admin.post("/v1/webhooks", { url: `https://${host}/hook`, events: [] }), 400, "invalid_request");
      assert.ok(errors.some(({ path }) => path === "url"), JSON.stringify(errors));
    });
  }

  test("nor anything without TLS; the public network with it is fine", async () => {
    const { admin } = openShop(guarded);
    expectProblem(await admin.post("/v1/webhooks", { url: "http://hooks.example.com/", events: [] }), 400, "invalid_request");
    for (const url of [HOOK, "https://hooks.example.com:8443/x?y=z", "https://8.8.8.8/hook", "https://172.32.0.1/", "https://[2606:4700::1111]/"]) expectStatus(await admin.post("/v1/webhooks", { url, events: [] }), 201);
  });
});
