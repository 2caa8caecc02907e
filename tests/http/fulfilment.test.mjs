// Delivery to an external fulfiller: what is sent, what each answer means, when it is tried again, and that a customer gets
// a reward once however often it is delivered.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { accepts, breaks, callBack, closedGate, drips, fails, fulfillerOf, grants, grantsAndBreaks, says, signatureOf, silence, slowly, startFulfiller, waitsFor } from "./fulfiller-double.mjs";
import { assertVerified, define, feedOf, give, inState, inStatus, operate, pathOf, redemptionOf, rewardOf, withFulfillers } from "./rewards.mjs";
import { assertRedemption, openShop, redeem, walletOf } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
/** The published pauses after the first, second … try, in seconds. */
const SCHEDULE = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

/** A member who redeems a code for a bonus of a fulfiller with this script. */
async function bonusOf(t, script, { closed, ...changes } = {}) {
  const shop = openShop(edge);
  const ann = shop.member();
  const endpoint = await fulfillerOf(t, shop, script);
  if (closed) await endpoint.fulfiller.close();
  const bought = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic: endpoint.mechanic, ...changes }) });
  const redemption = expectStatus(await redeem(ann, bought.code), 201);
  assertRedemption(redemption);
  return { ...endpoint, ...bought, shop, ann, redemption, id: redemption.rewards[0], redemption_id: redemption.redemption_id };
}

const seconds = (instant, from) => (Date.parse(instant) - from) / 1000;

test("the double signs as the published vectors do", () => {
  const vectors = [
    ["whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", 1731705121, '{"event_type":"ping","data":{"success":true}}', "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="],
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}', "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="],
  ];
  for (const [secret, id, at, text, signature] of vectors) assert.equal(signatureOf(secret, id, at, text), signature);
});

// Most of these wait for the server's own clock: together they take as long as the longest.
describe("fulfilment", { concurrency: true }, () => {
  describe("a delivery", { concurrency: true }, () => {
    test("carries the reward, signed, and the answer is kept with it", async (t) => {
      const { fulfiller, ann, id, reward_id, redemption_id, shop } = await bonusOf(t, [grants({ receipt: "r-1", lines: [1, "two"] })]);
      const reward = await inState(ann, id, "granted");
      const [delivery] = fulfiller.received;
      fulfiller.assertProper();
      assert.equal(delivery.id, id);
      assert.match(delivery.headers["content-type"], /^application\/json/);
      assert.equal(delivery.headers.authorization, undefined);
      assert.deepEqual(Object.keys(delivery.body).sort(), ["data", "timestamp", "type"]);
      assert.equal(delivery.body.type, "reward.fulfil");
      assert.ok(Math.abs(Date.parse(delivery.body.timestamp) - delivery.at) < 5000, delivery.body.timestamp);
      assert.deepEqual(delivery.body.data, { id, reward_id, type: "bonus", value: { reference: "bonus-7" }, quantity: 1, member_id: ann.sub, redemption_id, attempt: 1 });
      assert.deepEqual(reward.fulfilment.data, { receipt: "r-1", lines: [1, "two"] });
      assert.ok(Math.abs(Date.parse(reward.fulfilment.answered_at) - Date.now()) < 10_000);
      assert.deepEqual([reward.attempts, reward.attempts_max, reward.last_error, reward.next_attempt_at], [1, 10, undefined, undefined]);
      assert.equal((await inStatus(ann, redemption_id, "granted")).attempts, 1);
      await assertVerified(shop, { member_id: ann.sub });
    });

    test("is answered before anybody waits for it: 201 with granting, then granted", async (t) => {
      const gate = closedGate();
      const { fulfiller, ann, id, redemption, redemption_id } = await bonusOf(t, [waitsFor(gate, grants())]);
      assert.ok(["redeemed", "granting"].includes(redemption.status), redemption.status);
      await fulfiller.deliveries(1);
      await inStatus(ann, redemption_id, "granting");
      const flying = await rewardOf(ann, id);
      assert.deepEqual([flying.state, flying.attempts], ["in_progress", 1]);
      gate.open();
      await inStatus(ann, redemption_id, "granted");
      const statuses = (await feedOf(ann)).filter(({ type }) => type === "redemption.updated").map(({ data }) => data.status);
      assert.deepEqual([statuses.includes("granting"), statuses.at(-1)], [true, "granted"]);
    });
  });

  describe("answers that are no success", { concurrency: true }, () => {
    const rows = [
      ["500", says(500)],
      ["503 in HTML", says(503, { headers: { "content-type": "text/html" }, text: "<h1>gone fishing</h1>" })],
      ["400", says(400, { text: '{"outcome":"granted"}' })],
      ["404", says(404)],
      ["a redirect", says(307, { headers: { location: "/elsewhere" } })],
      ["200 without a body", says(200)],
      ["200 with text", says(200, { text: "OK" })],
      ["200 with an empty object", says(200, { text: "{}", headers: { "content-type": "application/json" } })],
      ["200 with an outcome that there is not", says(200, { text: '{"outcome":"perhaps"}', headers: { "content-type": "application/json" } })],
      ["204", says(204)],
      ["200 with megabytes", says(200, { text: "x".repeat(5_000_000) })],
      ["a connection that breaks", breaks],
      ["an explicit failure", fails({ why: "sold out" }), { fulfilment: { why: "sold out" } }],
    ];
    for (const [name, behaviour, { fulfilment } = {}] of rows) {
      test(`${name}: failed, shown, and tried again by the server itself`, async (t) => {
        const { fulfiller, ann, id, redemption_id, shop } = await bonusOf(t, [behaviour, grants()]);
        const failed = await inState(ann, id, "failed");
        const ended = Date.parse(failed.moves.at(-1).at);
        assert.deepEqual([failed.attempts, failed.attempts_max, typeof failed.last_error], [1, 10, "string"]);
        if (fulfilment) assert.deepEqual(failed.fulfilment.data, fulfilment);
        const pause = seconds(failed.next_attempt_at, ended);
        assert.ok(pause > 3 && pause <= 5, `5 s after the try at most: ${pause}`);
        const between = await redemptionOf(ann, redemption_id);
        assert.deepEqual([between.status, between.attempts, between.attempts_max, between.next_attempt_at, between.last_error], ["grant_failed", 1, 10, failed.next_attempt_at, failed.last_error]);
        const granted = await inState(ann, id, "granted");
        assert.deepEqual(pathOf(granted), ["pending_activation", "in_progress", "failed", "in_progress", "granted"]);
        assert.deepEqual([granted.attempts, granted.next_attempt_at], [2, undefined]);
        const after = await inStatus(ann, redemption_id, "granted");
        assert.deepEqual([after.attempts, after.next_attempt_at], [2, undefined]);
        assert.deepEqual(fulfiller.received.map((one) => [one.id, one.body.data.attempt, one.path]), [[id, 1, "/hook"], [id, 2, "/hook"]]);
        fulfiller.assertProper();
        await assertVerified(shop, { member_id: ann.sub });
      });
    }

    test("applied, then the answer is lost: the same id comes again and is applied once", async (t) => {
      const { fulfiller, ann, id } = await bonusOf(t, [grantsAndBreaks, grants()]);
      await inState(ann, id, "granted");
      assert.deepEqual(fulfiller.received.map((one) => one.id), [id, id]);
      assert.deepEqual([...fulfiller.applied], [[id, 1]]);
    });

    for (const [name, behaviour] of [["never comes", silence], ["begins and never ends", drips]]) {
      test(`an answer that ${name}: failed after its time-out, then tried again`, async (t) => {
        const { fulfiller, ann, id } = await bonusOf(t, [behaviour, grants()]);
        await fulfiller.deliveries(1);
        const failed = await inState(ann, id, "failed", 25_000);
        const waited = seconds(failed.moves.at(-1).at, fulfiller.received[0].at);
        assert.ok(waited > 18 && waited < 23, `20 s: ${waited}`);
        await inState(ann, id, "granted");
      });
    }

    test("nobody listens: failed, and granted once somebody does", async (t) => {
      const { fulfiller, ann, id } = await bonusOf(t, [grants()], { closed: true });
      const failed = await inState(ann, id, "failed");
      assert.deepEqual([failed.attempts, typeof failed.last_error], [1, "string"]);
      await fulfiller.listen();
      await inState(ann, id, "granted");
      assert.equal(fulfiller.received.length, 1);
    });

    test("a slow answer is an answer", async (t) => {
      const { fulfiller, ann, id } = await bonusOf(t, [slowly(6000, grants())]);
      await inState(ann, id, "granted");
      assert.equal(fulfiller.received.length, 1);
    });

    test("a redirect is not followed, wherever it leads", async (t) => {
      const target = await startFulfiller(t);
      const { ann, id, redemption_id, shop } = await bonusOf(t, [...[301, 302, 303, 307, 308].map((status) => says(status, { headers: { location: target.url } })), grants()], { attempts_max: 20 });
      for (let attempts = 1; attempts <= 5; attempts += 1) {
        await inState(ann, id, "failed", 10_000, (reward) => reward.attempts === attempts);
        expectStatus(await operate(shop.admin, redemption_id, "retry"), 200);
      }
      await inState(ann, id, "granted");
      assert.equal(target.received.length, 0);
    });
  });

  describe("the schedule", { concurrency: true }, () => {
    test("no try is announced later than published, and after the last there is none", async (t) => {
      const { fulfiller, ann, id, redemption_id, shop } = await bonusOf(t, [says(500)]);
      for (const [place, pause] of [...SCHEDULE, undefined].entries()) {
        const failed = await inState(ann, id, "failed", 10_000, ({ attempts }) => attempts === place + 1);
        const { at } = fulfiller.received[place];
        const redemption = await inStatus(ann, redemption_id, "grant_failed");
        assert.equal(redemption.next_attempt_at, failed.next_attempt_at);
        if (pause === undefined) {
          assert.deepEqual([failed.next_attempt_at, failed.attempts, failed.attempts_max], [undefined, 10, 10]);
          break;
        }
        const ahead = seconds(failed.next_attempt_at, at);
        assert.ok(ahead > pause * 0.5 && ahead <= pause + 1, `after try ${place + 1}: ${ahead} s, published ${pause}`);
        expectStatus(await operate(shop.admin, redemption_id, "retry", { reason: "hurry" }), 200);
      }
      assert.deepEqual(fulfiller.received.map(({ body }) => body.data.attempt), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      assert.equal(new Set(fulfiller.received.map((one) => one.id)).size, 1, "one id for ever");
      fulfiller.behave(grants());
      expectStatus(await operate(shop.admin, redemption_id, "retry", { reason: "once more" }), 200);
      await inStatus(ann, redemption_id, "granted");
    });

    test("attempts_max of the definition ends it", async (t) => {
      const { fulfiller, ann, id, redemption_id, shop } = await bonusOf(t, [says(500)], { attempts_max: 2 });
      const failed = await inState(ann, id, "failed", 10_000, ({ attempts }) => attempts === 2);
      assert.deepEqual([failed.attempts_max, failed.next_attempt_at], [2, undefined]);
      const redemption = await inStatus(ann, redemption_id, "grant_failed");
      assert.deepEqual([redemption.attempts, redemption.attempts_max, redemption.next_attempt_at], [2, 2, undefined]);
      assert.equal(fulfiller.received.length, 2);
      await assertVerified(shop, { member_id: ann.sub });
    });

    const waits = [
      ["429 with seconds", () => says(429, { headers: { "retry-after": "60" } }), 60, 66],
      ["503 with seconds", () => says(503, { headers: { "retry-after": "120" } }), 120, 132],
      ["429 with a date", () => (exchange) => says(429, { headers: { "retry-after": new Date(Date.now() + 90_000).toUTCString() } })(exchange), 85, 100],
      ["429 with a year", () => says(429, { headers: { "retry-after": "31536000" } }), 4, 86_401],
      ["429 with nonsense", () => says(429, { headers: { "retry-after": "soon" } }), 4, 6],
      ["429 without", () => says(429), 4, 6],
    ];
    for (const [name, behaviour, least, most] of waits) {
      test(`${name}: not before ${least} s, not after ${most} s`, async (t) => {
        const { fulfiller, ann, id } = await bonusOf(t, [behaviour()]);
        const failed = await inState(ann, id, "failed");
        const ahead = seconds(failed.next_attempt_at, fulfiller.received[0].at);
        assert.ok(ahead >= least - 0.5 && ahead <= most, `${ahead} s`);
      });
    }

    test("a success pulls what waits at the endpoint forward, for other members too", async (t) => {
      const { fulfiller, mechanic, ann, id, redemption_id, shop } = await bonusOf(t, [says(500)]);
      await inState(ann, id, "failed");
      expectStatus(await operate(shop.admin, redemption_id, "retry"), 200);
      const failed = await inState(ann, id, "failed", 10_000, ({ attempts }) => attempts === 2);
      assert.ok(seconds(failed.next_attempt_at, Date.now()) > 120, "it would wait for minutes");
      fulfiller.behave(grants());
      const bob = shop.member();
      const other = await give(shop, bob, "bonus", { mechanic });
      await inState(bob, other.id, "granted");
      await inState(ann, id, "granted");
      assert.deepEqual([...fulfiller.applied].sort(), [[id, 1], [other.id, 1]].sort());
    });
  });

  describe("410", () => {
    test("disables the endpoint until a test succeeds, which pulls forward what waited", async (t) => {
      const { fulfiller, mechanic, endpoint_id, ann, id, shop } = await bonusOf(t, [says(410)]);
      const failed = await inState(ann, id, "failed");
      assert.equal(failed.next_attempt_at, undefined);
      const endpoint = async () => expectStatus(await shop.admin.get(`/v1/webhooks/${endpoint_id}`), 200);
      const disabled = await until(endpoint, (body) => body.disabled);
      assert.match(disabled.disabled_at, /Z$/);
      const bob = shop.member();
      const waiting = await give(shop, bob, "bonus", { mechanic });
      await until(() => rewardOf(bob, waiting.id), ({ state }) => state === "failed" || state === "in_progress");
      await shop.admin.post(`/v1/webhooks/${endpoint_id}/test`);
      assert.equal((await endpoint()).disabled, true, "a test that fails enables nothing");
      assert.deepEqual(fulfiller.received.filter(({ body }) => body.type === "reward.fulfil").map((one) => one.id), [id], "nothing is sent while it is disabled");
      fulfiller.behave(grants());
      expectStatus(await shop.admin.post(`/v1/webhooks/${endpoint_id}/test`), 200);
      assert.equal((await endpoint()).disabled, false);
      await inState(ann, id, "granted");
      await inState(bob, waiting.id, "granted");
      assert.equal(fulfiller.applied.get(id), 1);
      assert.equal(fulfiller.applied.get(waiting.id), 1);
      await inStatus(bob, waiting.redemption_id, "granted");
    });
  });

  describe("accepted now, completed later", { concurrency: true }, () => {
    test("202, then a signed callback", async (t) => {
      const { fulfiller, ann, id, redemption_id, secret, shop } = await bonusOf(t, [accepts]);
      await fulfiller.deliveries(1);
      const pending = await inState(ann, id, "in_progress");
      assert.equal(pending.next_attempt_at, undefined);
      assert.equal((await redemptionOf(ann, redemption_id)).status, "granting");
      assert.deepEqual(expectStatus(await callBack(edge.url, id, { outcome: "granted", data: { ref: 7 } }, { secret }), 200), { id, state: "granted" });
      const granted = await rewardOf(ann, id);
      assert.deepEqual([granted.state, granted.fulfilment.data], ["granted", { ref: 7 }]);
      assert.equal((await redemptionOf(ann, redemption_id)).status, "granted");
      assert.deepEqual(await walletOf(ann), { points: 0, xp: 0, tokens: 0, credit: [], features: [], boosters: [] });
      await assertVerified(shop, { member_id: ann.sub });
    });

    test("202, then a callback that says failed: tried again on the schedule", async (t) => {
      const { fulfiller, ann, id, redemption_id, secret } = await bonusOf(t, [accepts, grants()]);
      await inState(ann, id, "in_progress", 5000, ({ attempts }) => attempts === 1 && fulfiller.received.length === 1);
      expectStatus(await callBack(edge.url, id, { outcome: "failed", error: "out of stock" }, { secret }), 200);
      const failed = await rewardOf(ann, id);
      assert.equal(failed.state, "failed");
      assert.match(failed.last_error, /out of stock/);
      assert.ok(seconds(failed.next_attempt_at, Date.now()) <= 5.5);
      assert.equal((await redemptionOf(ann, redemption_id)).status, "grant_failed");
      await inState(ann, id, "granted");
      assert.deepEqual(fulfiller.received.map(({ body }) => body.data.attempt), [1, 2]);
    });

    test("202, then nothing until the time is over: failed, and tried again", async (t) => {
      const { fulfiller, ann, id, redemption_id } = await bonusOf(t, [accepts, grants()], { fulfilment_timeout_s: 1 });
      await inState(ann, id, "in_progress");
      const failed = await inState(ann, id, "failed");
      assert.equal(failed.attempts, 1);
      assert.equal(typeof failed.last_error, "string");
      assert.ok(seconds(failed.moves.at(-1).at, fulfiller.received[0].at) >= 0.9, "not before its time");
      assert.equal((await redemptionOf(ann, redemption_id)).status, "grant_failed");
      await inState(ann, id, "granted");
      assert.deepEqual([...fulfiller.applied], [[id, 1]]);
    });
  });

  test("the next try of one reward does not hold up the member's other redemptions", async (t) => {
    const { ann, shop, fulfiller } = await bonusOf(t, [silence]);
    await fulfiller.deliveries(1);
    const started = Date.now();
    const other = await give(shop, ann, "xp");
    assert.equal(other.state, "granted");
    assert.ok(Date.now() - started < 5000, "while a delivery is under way");
  });
});
