// The example fulfiller, alone and as the edge's real counterpart: what a shop's server is to copy from it must hold. Its
// signatures are checked by the library of Standard Webhooks, so each pair here is two implementations.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createFulfiller } from "../../examples/fulfiller/src/fulfiller.mjs";
import { isGenuine, signedHeaders } from "../../examples/fulfiller/src/signatures.mjs";
import { expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { signatureOf } from "./fulfiller-double.mjs";
import { define, inState, rewardOf, withFulfillers } from "./rewards.mjs";
import { openShop, redeem } from "./shop.mjs";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const now = () => Math.floor(Date.now() / 1000);

let folder;
before(() => (folder = mkdtempSync(join(tmpdir(), "counterfoil-fulfiller-"))));
after(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = () => join(folder, `${(files += 1)}.jsonl`);

/** A fulfiller that counts what it applies; it goes away with the test. */
async function started(t, options = {}) {
  const given = [];
  const apply = (reward) => {
    given.push(reward.id);
    return { voucher: `V-${given.length}` };
  };
  const fulfiller = createFulfiller({ secrets: [SECRET], file: newFile(), apply, ...options });
  const url = await fulfiller.listen();
  t.after(() => fulfiller.close());
  return { fulfiller, url, given };
}

/** Sends a message as Counterfoil would; every part can be replaced. */
async function deliver(url, body, { id = body.data?.id ?? "m-1", secret = SECRET, seconds = now(), headers = {} } = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const signature = signatureOf(secret, id, seconds, text);
  const all = { "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(seconds), "webhook-signature": signature, ...headers };
  const answer = await fetch(url, { method: "POST", headers: all, body: text });
  const said = await answer.text();
  return { status: answer.status, body: said === "" ? undefined : JSON.parse(said) };
}

/** Waits until a fulfiller has accepted a reward. */
const accepted = (fulfiller, id) => until(async () => ({ state: fulfiller.stateOf(id) }), ({ state }) => state === "accepted");

const fulfil = (id) => ({ type: "reward.fulfil", timestamp: new Date().toISOString(), data: { id, value: {}, quantity: 1, attempt: 1 } });
const cancelled = (id) => ({ ...fulfil(id), type: "reward.cancelled" });
const granted = (voucher) => ({ status: 200, body: { outcome: "granted", data: { voucher } } });

describe("signatures", () => {
  test("are those of the published vector", () => {
    // https://github.com/standard-webhooks/standard-webhooks, "sign function works" of its libraries.
    const signature = signatureOf(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}');
    assert.equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  test("of this fulfiller and of Counterfoil's tests are the same", () => {
    const headers = signedHeaders(SECRET, "m-1", "body");
    assert.equal(headers["webhook-signature"], signatureOf(SECRET, "m-1", headers["webhook-timestamp"], "body"));
    assert.ok(isGenuine([OTHER, SECRET], headers, "body"));
    assert.ok(!isGenuine([OTHER], headers, "body"));
    assert.ok(!isGenuine([SECRET], headers, "body "));
  });

  const rows = [
    ["another secret", { secret: OTHER }],
    ["a time six minutes ago", { seconds: now() - 360 }],
    ["a time six minutes ahead", { seconds: now() + 360 }],
    ["no signature", { headers: { "webhook-signature": "" } }],
    ["a signature of another id", { headers: { "webhook-id": "rw_other" } }],
  ];
  for (const [name, wrong] of rows) {
    test(`${name}: refused, nothing given`, async (t) => {
      const { url, given, fulfiller } = await started(t);
      assert.deepEqual(await deliver(url, fulfil("rw_1"), wrong), { status: 401, body: undefined });
      assert.deepEqual([given, fulfiller.deliveries], [[], []]);
    });
  }

  test("by either secret of a rotation are good", async (t) => {
    const { url } = await started(t, { secrets: [OTHER, SECRET] });
    for (const secret of [OTHER, SECRET]) assert.deepEqual(await deliver(url, fulfil("rw_1"), { secret }), granted("V-1"));
  });

  test("do not make a message that is none one", async (t) => {
    const { url, given } = await started(t);
    for (const text of ["", "[]", "null", '{"type":"reward.fulfil"}', '{"type":"reward.fulfil","data":{}}', "{"]) assert.equal((await deliver(url, text)).status, 400, text);
    assert.equal((await deliver(url, "x".repeat(70_000))).status, 413);
    assert.equal((await fetch(url)).status, 405);
    assert.deepEqual(given, []);
  });
});

describe("a reward is given once", () => {
  test("however often it is asked for, at once or later", async (t) => {
    const { url, given } = await started(t);
    const answers = await Promise.all(Array.from({ length: 8 }, () => deliver(url, fulfil("rw_1"))));
    for (const answer of [...answers, await deliver(url, fulfil("rw_1"))]) assert.deepEqual(answer, granted("V-1"));
    assert.deepEqual(await deliver(url, fulfil("rw_2")), granted("V-2"));
    assert.deepEqual(given, ["rw_1", "rw_2"]);
  });

  test("after a restart, and after a crash in the middle of a line", async (t) => {
    const file = newFile();
    const one = await started(t, { file });
    await deliver(one.url, fulfil("rw_1"));
    await deliver(one.url, fulfil("rw_2"));
    await one.fulfiller.close();
    truncateSync(file, readFileSync(file).length - 5);
    const two = await started(t, { file });
    assert.deepEqual(await deliver(two.url, fulfil("rw_1")), granted("V-1"));
    assert.deepEqual([two.given, two.fulfiller.stateOf("rw_2")], [[], undefined]);
    await deliver(two.url, fulfil("rw_2"));
    assert.deepEqual(two.given, ["rw_2"]);
  });

  test("again where it could not be given, and never once it was cancelled", async (t) => {
    let stock = 0;
    const { url } = await started(t, {
      apply: () => {
        if (stock === 0) throw new Error("out of stock");
        return { left: (stock -= 1) };
      },
    });
    assert.deepEqual(await deliver(url, fulfil("rw_1")), { status: 200, body: { outcome: "failed", error: "out of stock" } });
    stock = 1;
    assert.equal((await deliver(url, fulfil("rw_1"))).body.outcome, "granted");
    assert.equal((await deliver(url, cancelled("rw_2"), { id: "rw_2_cancelled" })).status, 200);
    assert.equal((await deliver(url, fulfil("rw_2"))).body.outcome, "failed");
  });

  test("events and tests are taken and give nothing", async (t) => {
    const { url, given } = await started(t);
    for (const type of ["webhook.test", "redemption.granted"]) assert.equal((await deliver(url, { type, data: {} })).status, 200);
    assert.deepEqual(given, []);
  });
});

describe("with the edge", () => {
  const edge = edgeForThisFile(withFulfillers);

  /** A fulfiller that is an endpoint of a shop of its own, and a member who redeems a code for a reward of it. */
  async function shopWith(t, options, definition = {}) {
    const secrets = [];
    const { fulfiller, url, given } = await started(t, { secrets, counterfoil: edge.url, ...options });
    const shop = openShop(edge);
    const { endpoint_id, secret } = expectStatus(await shop.admin.post("/v1/webhooks", { url, events: [] }), 201);
    secrets.push(secret);
    const mechanic = { kind: "webhook", endpoint_id };
    const { code } = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic, ...definition }) });
    const ann = shop.member();
    const { rewards } = expectStatus(await redeem(ann, code), 201);
    return { fulfiller, given, shop, ann, id: rewards[0], endpoint_id, secrets };
  }

  test("a reward is asked for, given and reported", async (t) => {
    const { ann, id, given, fulfiller } = await shopWith(t);
    const reward = await inState(ann, id, "granted");
    assert.deepEqual(reward.fulfilment.data, { voucher: "V-1" });
    assert.deepEqual([given, fulfiller.deliveries.map((one) => one.id)], [[id], [id]]);
  });

  for (const [name, wrong] of [["the connection breaks", "break"], ["the answer is a 500", { status: 500 }]]) {
    test(`given, and then ${name}: asked again, given once`, async (t) => {
      let first = true;
      const fault = () => {
        const answer = first ? { after: wrong } : undefined;
        first = false;
        return answer;
      };
      const { ann, id, given, fulfiller } = await shopWith(t, { fault });
      await inState(ann, id, "granted", 15_000);
      assert.deepEqual([given, fulfiller.deliveries.map((one) => one.id)], [[id], [id, id]]);
    });
  }

  test("accepted, and completed later by a signed callback", async (t) => {
    const { ann, id, given, fulfiller } = await shopWith(t, { takesLong: () => true });
    await accepted(fulfiller, id);
    assert.deepEqual(given, []);
    assert.equal((await rewardOf(ann, id)).state, "in_progress");
    assert.equal(await fulfiller.complete(id), 200);
    const reward = await rewardOf(ann, id);
    assert.deepEqual([reward.state, reward.fulfilment.data, given], ["granted", { voucher: "V-1" }, [id]]);
    assert.equal(await fulfiller.complete(id), 200, "said again");
    assert.deepEqual(given, [id]);
  });

  test("accepted, ended and started again: still completed", async (t) => {
    const file = newFile();
    const { ann, id, fulfiller, secrets } = await shopWith(t, { takesLong: () => true, file });
    await accepted(fulfiller, id);
    await fulfiller.close();
    const again = await started(t, { secrets, file, counterfoil: edge.url });
    await inState(ann, id, "granted");
    assert.deepEqual(again.given, [id]);
  });

  test("gone, and enabled by a test: what waited is given", async (t) => {
    let gone = true;
    const { ann, id, given, shop, endpoint_id } = await shopWith(t, { fault: () => (gone ? { instead: { status: 410 } } : undefined) });
    const path = `/v1/webhooks/${endpoint_id}`;
    await until(() => shop.admin.get(path), ({ body }) => body.disabled);
    const waiting = await inState(ann, id, "failed");
    assert.equal(waiting.next_attempt_at, undefined, "nothing is tried until then");
    assert.deepEqual(expectStatus(await shop.admin.post(`${path}/test`), 200), { delivered: false, status: 410, error: "HTTP 410" });
    assert.equal(expectStatus(await shop.admin.get(path), 200).disabled, true);
    gone = false;
    assert.deepEqual(expectStatus(await shop.admin.post(`${path}/test`), 200), { delivered: true, status: 200 });
    assert.equal(expectStatus(await shop.admin.get(path), 200).disabled, false);
    await inState(ann, id, "granted");
    assert.deepEqual(given, [id]);
  });

  test("a success pulls forward what waits at the same endpoint", async (t) => {
    let down = true;
    const { ann, id, shop, endpoint_id, fulfiller } = await shopWith(t, { fault: () => (down ? { instead: { status: 429, headers: { "retry-after": "3600" } } } : undefined) });
    const waiting = await inState(ann, id, "failed");
    assert.ok(Date.parse(waiting.next_attempt_at) > Date.now() + 3_500_000, "an hour, as was asked");
    down = false;
    const bob = shop.member();
    const { code } = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic: { kind: "webhook", endpoint_id } }) });
    const { rewards } = expectStatus(await redeem(bob, code), 201);
    await inState(bob, rewards[0], "granted");
    await inState(ann, id, "granted");
    const items = await until(
      async () => expectStatus(await shop.admin.get(`/v1/webhooks/${endpoint_id}/deliveries`), 200).items,
      (all) => all.find((one) => one.delivery_id === id)?.state === "delivered",
    );
    assert.deepEqual(items.map(({ delivery_id, type, attempts }) => [delivery_id, type, attempts]), [[rewards[0], "reward.fulfil", 1], [id, "reward.fulfil", 2]]);
    assert.equal(fulfiller.deliveries.length, 3);
  });

  test("an endpoint that a definition names is not deleted; one that there is not is not named", async (t) => {
    const { shop, endpoint_id, ann, id } = await shopWith(t);
    await inState(ann, id, "granted");
    const kept = await shop.admin.delete(`/v1/webhooks/${endpoint_id}`);
    assert.equal(expectStatus(kept, 409).code, "illegal_move");
    assert.equal(kept.body.state, "in_use");
    const body = { name: "A bonus", type: "bonus", value: { reference: "x" }, mechanic: { kind: "webhook", endpoint_id: "ep_none" } };
    assert.deepEqual(expectStatus(await shop.admin.post("/v1/reward-definitions", body), 400).errors.map(({ path }) => path), ["mechanic.endpoint_id"]);
  });
});
