// A fulfiller's late completion: who may say it, what is believed, and what a forged, stale or repeated one comes to.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { expectProblem, expectStatus, send, understood, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { accepts, callBack, fails, fulfillerOf, grants, says, signatureOf } from "./fulfiller-double.mjs";
import { auditOf, audited, define, give, inState, pathOf, redemptionOf, rewardOf, withFulfillers } from "./rewards.mjs";
import { openShop, redeem } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
const GRANTED = { outcome: "granted" };

/** A reward that its fulfiller accepted and has not completed. */
async function pending(t, script = [accepts]) {
  const shop = openShop(edge);
  const ann = shop.member();
  const endpoint = await fulfillerOf(t, shop, script);
  const bought = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic: endpoint.mechanic, attempts_max: 1 }) });
  const { redemption_id, rewards } = expectStatus(await redeem(ann, bought.code), 201);
  await endpoint.fulfiller.deliveries(1);
  await until(() => rewardOf(ann, rewards[0]), ({ state }) => ["in_progress", "failed", "granted"].includes(state));
  return { ...endpoint, shop, ann, id: rewards[0], redemption_id };
}

const now = () => Math.floor(Date.now() / 1000);

describe("callbacks that are refused", () => {
  let here;
  let there;
  const closing = [];
  before(async () => {
    const suite = { after: (close) => closing.push(close) };
    here = await pending(suite);
    there = await pending(suite);
  });
  after(() => Promise.all(closing.map((close) => close())));

  // What is wrong, and how to call: of the reward `here`, signed with its own endpoint's secret unless told.
  const unsigned = (headers) => () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, headers });
  const rows = [
    ["another secret", () => callBack(edge.url, here.id, GRANTED, { secret: `whsec_${Buffer.alloc(32, 7).toString("base64")}` })],
    ["another merchant's endpoint's secret", () => callBack(edge.url, here.id, GRANTED, { secret: there.secret })],
    ["a signature of another body", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, signed: '{"outcome":"failed"}' })],
    ["a signature of another id", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, headers: { "webhook-id": "other" } })],
    ["a signature of another time", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, headers: { "webhook-timestamp": String(now() - 7) } })],
    ["a time six minutes ago", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, seconds: now() - 360 })],
    ["a time six minutes ahead", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, seconds: now() + 360 })],
    ["a time of 1970", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, seconds: 0 })],
    ["a time in words", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, seconds: "now" })],
    ["a time in milliseconds", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, seconds: Date.now() })],
    ["a time with a fraction", () => callBack(edge.url, here.id, GRANTED, { secret: here.secret, seconds: `${now()}.5` })],
    ["no signature", unsigned({ "webhook-signature": undefined })],
    ["no time", unsigned({ "webhook-timestamp": undefined })],
    ["no id", unsigned({ "webhook-id": undefined })],
    ["an empty signature", unsigned({ "webhook-signature": "" })],
    ["a version alone", unsigned({ "webhook-signature": "v1," })],
    ["a signature of version 2", () => unsigned({ "webhook-signature": signatureOf(here.secret, here.id, now(), JSON.stringify(GRANTED)).replace("v1,", "v2,") })()],
    ["a signature in hex", unsigned({ "webhook-signature": `v1,${"ab".repeat(32)}` })],
    ["a signature cut short", () => unsigned({ "webhook-signature": signatureOf(here.secret, here.id, now(), JSON.stringify(GRANTED)).slice(0, 20) })()],
    ["a bearer token instead", () => here.shop.admin.post(`/v1/fulfilments/${here.id}`, GRANTED)],
    ["an owner's token instead", () => here.ann.post(`/v1/fulfilments/${here.id}`, GRANTED)],
    ["nothing at all", async () => understood(await send(edge.url, { method: "POST", path: `/v1/fulfilments/${here.id}`, body: GRANTED }))],
  ];
  for (const [name, call] of rows) test(`${name}: 401`, async () => void expectProblem(await call(), 401, "invalid_token"));

  const bodies = [
    ["nothing", ""],
    ["an empty object", {}],
    ["an outcome that there is not", { outcome: "perhaps" }],
    ["an outcome in upper case", { outcome: "GRANTED" }],
    ["a numeric outcome", { outcome: 1 }],
    ["an unknown field", { outcome: "granted", surprise: 1 }],
    ["a numeric error", { outcome: "failed", error: 7 }],
    ["a list", [GRANTED]],
    ["broken JSON", '{"outcome":'],
  ];
  for (const [name, body] of bodies) {
    test(`a body of ${name}: 400`, async () => void expectProblem(await callBack(edge.url, here.id, body, { secret: here.secret, id: unique("m-") }), 400, "invalid_request"));
  }

  test("rewards that there are not: 404", async () => {
    const last = here.id.at(-3);
    const changed = `${here.id.slice(0, -3)}${last === "a" ? "b" : "a"}${here.id.slice(-2)}`;
    for (const id of [changed, here.redemption_id, "rw_nothing", "x", "%00"]) expectProblem(await callBack(edge.url, id, GRANTED, { secret: here.secret }), 404, "not_found");
  });

  test("one message for two rewards is a replay", async () => {
    const other = await give(here.shop, here.ann, "bonus", { mechanic: here.mechanic });
    await here.fulfiller.deliveries(1, { id: other.id });
    await inState(here.ann, other.id, "in_progress");
    const id = unique("msg-");
    expectStatus(await callBack(edge.url, other.id, GRANTED, { secret: here.secret, id }), 200);
    expectProblem(await callBack(edge.url, here.id, GRANTED, { secret: here.secret, id }), 401, "invalid_token");
  });

  test("nothing was moved by any of them, and the log has them", async () => {
    for (const { ann, id, redemption_id } of [here, there]) {
      assert.deepEqual(pathOf(await rewardOf(ann, id)), ["pending_activation", "in_progress"]);
      assert.equal((await redemptionOf(ann, redemption_id)).status, "granting");
    }
    await audited(here.shop, { action: "callback.refused" });
    const lines = await until(() => auditOf(here.shop), (all) => all.filter(({ action }) => action === "callback.refused").length >= 5);
    for (const line of lines.filter(({ action }) => action === "callback.refused")) assert.doesNotMatch(JSON.stringify(line), /whsec_/);
  });

  test("and the right one is still believed", async () => {
    expectStatus(await callBack(edge.url, here.id, { ...GRANTED, data: { at: "last" } }, { secret: here.secret }), 200);
    assert.equal((await rewardOf(here.ann, here.id)).state, "granted");
  });
});

describe("callbacks that are believed", () => {
  test("a repeat of the same outcome answers 200 and moves nothing", async (t) => {
    const { ann, id, secret } = await pending(t);
    for (let times = 0; times < 3; times += 1) assert.deepEqual(expectStatus(await callBack(edge.url, id, GRANTED, { secret }), 200), { id, state: "granted" });
    expectStatus(await callBack(edge.url, id, GRANTED, { secret, id: unique("m-") }), 200);
    assert.deepEqual(pathOf(await rewardOf(ann, id)), ["pending_activation", "in_progress", "granted"]);
  });

  test("eight at once are one", async (t) => {
    const { ann, id, secret } = await pending(t);
    for (const answer of await Promise.all(Array.from({ length: 8 }, () => callBack(edge.url, id, GRANTED, { secret })))) expectStatus(answer, 200);
    assert.deepEqual(pathOf(await rewardOf(ann, id)), ["pending_activation", "in_progress", "granted"]);
  });

  for (const [name, script] of [["a 500", [says(500)]], ["an explicit failure", [fails()]]]) {
    test(`a success after ${name} is a late success, two moves at one time`, async (t) => {
      const { ann, id, secret, redemption_id } = await pending(t, script);
      await inState(ann, id, "failed");
      expectStatus(await callBack(edge.url, id, GRANTED, { secret }), 200);
      const granted = await rewardOf(ann, id);
      assert.deepEqual(pathOf(granted), ["pending_activation", "in_progress", "failed", "in_progress", "granted"]);
      assert.equal(granted.moves[3].at, granted.moves[4].at);
      assert.equal((await redemptionOf(ann, redemption_id)).status, "granted");
    });
  }

  test("a failure after the success moves nothing", async (t) => {
    const { ann, id, secret } = await pending(t, [grants()]);
    const granted = await inState(ann, id, "granted");
    const answer = await callBack(edge.url, id, { outcome: "failed", error: "sorry" }, { secret });
    if (answer.status !== 200) expectProblem(answer, 409, "illegal_move", { state: "granted" });
    assert.deepEqual((await rewardOf(ann, id)).moves, granted.moves);
  });

  test("up to five minutes old", async (t) => {
    const { id, secret } = await pending(t);
    expectStatus(await callBack(edge.url, id, GRANTED, { secret, seconds: now() - 290 }), 200);
  });

  test("one good signature among others", async (t) => {
    const { id, secret } = await pending(t);
    const text = JSON.stringify(GRANTED);
    const good = signatureOf(secret, id, now(), text);
    const headers = { "webhook-signature": `v1a,xxxx v1,AAAA ${good} v2,BBBB` };
    expectStatus(await callBack(edge.url, id, text, { secret, headers }), 200);
  });

  test("after a rotation, with the old secret and with the new; deliveries carry both", async (t) => {
    const { shop, ann, id, secret, endpoint_id, fulfiller, mechanic } = await pending(t);
    const rotated = expectStatus(await shop.admin.post(`/v1/webhooks/${endpoint_id}/rotate`), 200);
    assert.notEqual(rotated.secret, secret);
    fulfiller.secrets.push(rotated.secret);
    const other = await give(shop, ann, "bonus", { mechanic });
    const [delivery] = await fulfiller.deliveries(1, { id: other.id });
    assert.deepEqual([delivery.signatures.length, delivery.signedBy], [2, [true, true]]);
    await inState(ann, other.id, "in_progress");
    expectStatus(await callBack(edge.url, id, GRANTED, { secret }), 200);
    expectStatus(await callBack(edge.url, other.id, GRANTED, { secret: rotated.secret }), 200);
    fulfiller.assertProper();
  });
});
