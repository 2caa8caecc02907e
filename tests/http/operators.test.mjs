// Operators repair what fulfilment left behind: retry, resolve, reset. Each with a reason, each in the audit log, and
// nothing by half.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { accepts, breaks, callBack, closedGate, fails, fulfillerOf, grants, says, waitsFor } from "./fulfiller-double.mjs";
import { assertVerified, audited, define, feedOf, give, inState, inStatus, move, operate, pathOf, redeemedAgain, redemptionOf, rewardOf, withFulfillers } from "./rewards.mjs";
import { assertBalanced, assertRedemption, creditOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);

/** A redeemed code whose fulfiller gives these answers; every try is the last unless `changes` say otherwise. */
async function soldTo(t, script, { changes = {}, fields = {}, status = "grant_failed" } = {}) {
  const shop = openShop(edge);
  const ann = shop.member();
  const endpoint = await fulfillerOf(t, shop, script);
  const bought = await shop.withCodes(2, { reward_id: await define(shop, "bonus", { mechanic: endpoint.mechanic, attempts_max: 1, ...changes }), ...fields });
  const key = unique("k-");
  const made = expectStatus(await redeem(ann, bought.code, { key }), 201);
  const redemption = await inStatus(ann, made.redemption_id, status);
  return { ...endpoint, ...bought, shop, ann, key, id: redemption.redemption_id, reward: redemption.rewards[0] };
}

const isProblem = (answer, state, extras = {}) => {
  const body = expectProblem(answer, 409, "illegal_move", { state, ...extras });
  assert.ok(Array.isArray(body.legal_moves) && body.legal_moves.every((one) => typeof one === "string"), answer.text);
};

describe("retry", () => {
  test("tries again at once, with the reason in the log", async (t) => {
    const { shop, ann, id, reward, fulfiller } = await soldTo(t, [says(500), grants()]);
    const body = expectStatus(await operate(shop.admin, id, "retry", { reason: "the fulfiller is back" }), 200);
    assertRedemption(body);
    assert.ok(["granting", "granted"].includes(body.status), body.status);
    await inStatus(ann, id, "granted");
    const { moves, attempts } = await rewardOf(ann, reward);
    assert.equal(attempts, 2);
    assert.deepEqual([moves[3].from, moves[3].to, moves[3].actor, moves[3].reason], ["failed", "in_progress", "admin:admin-1", "the fulfiller is back"]);
    assert.deepEqual(fulfiller.received.map((one) => one.id), [reward, reward]);
    await audited(shop, { actor: "admin:admin-1", reason: "the fulfiller is back" });
  });

  test("needs no reason, and two at once are one try", async (t) => {
    const gate = closedGate();
    const { shop, ann, id, fulfiller } = await soldTo(t, [says(500), waitsFor(gate, grants())]);
    const answers = await Promise.all([1, 2, 3, 4].map(() => operate(shop.admin, id, "retry")));
    assert.ok(answers.some(({ status }) => status === 200));
    for (const answer of answers.filter(({ status }) => status !== 200)) isProblem(answer, "granting");
    gate.open();
    await inStatus(ann, id, "granted");
    assert.equal(fulfiller.received.length, 2);
  });

  test("for one reward, by the member it belongs to", async (t) => {
    const { shop, ann, id, reward } = await soldTo(t, [says(500), grants()]);
    const path = `/v1/members/${ann.sub}/rewards/${reward}/retry`;
    expectProblem(await shop.admin.post(`/v1/members/${shop.member().sub}/rewards/${reward}/retry`), 404, "not_found");
    assert.equal(expectStatus(await shop.admin.post(path, { reason: "once more" }), 200).id, reward);
    await inStatus(ann, id, "granted");
    expectProblem(await shop.admin.post(path, { reason: "and again" }), 409, "illegal_move", { state: "granted", legal_moves: ["deleted"] });
  });
});

describe("resolve as granted", () => {
  test("ends it without the fulfiller and without the wallet", async (t) => {
    const { shop, ann, id, reward, fulfiller, code } = await soldTo(t, [says(500)]);
    const body = expectStatus(await operate(shop.admin, id, "resolve", { as: "granted", reason: "sent by post" }), 200);
    assertRedemption(body);
    assert.equal(body.status, "granted");
    assert.deepEqual(body, await redemptionOf(ann, id));
    const granted = await rewardOf(ann, reward);
    assert.deepEqual([granted.state, granted.next_attempt_at], ["granted", undefined]);
    assert.deepEqual([granted.moves.at(-1).actor, granted.moves.at(-1).reason], ["admin:admin-1", "sent by post"]);
    assert.equal(fulfiller.received.length, 1);
    assert.deepEqual((await assertBalanced(ann)).wallet, { points: 0, xp: 0, tokens: 0, credit: [], features: [], boosters: [] });
    expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you");
    await audited(shop, { actor: "admin:admin-1", reason: "sent by post" });
    const last = (await feedOf(ann)).findLast(({ type, data }) => type === "redemption.updated" && data.redemption_id === id);
    assert.deepEqual(last.data, body, "the member is told");
  });

  test("the fulfiller's own success afterwards is no second one", async (t) => {
    const { shop, ann, id, reward, secret } = await soldTo(t, [says(500)]);
    expectStatus(await operate(shop.admin, id, "resolve", { as: "granted", reason: "by hand" }), 200);
    expectStatus(await callBack(edge.url, reward, { outcome: "granted" }, { secret }), 200);
    assert.equal(pathOf(await rewardOf(ann, reward)).filter((state) => state === "granted").length, 1);
  });
});

describe("resolve as cancelled", () => {
  test("gives the use back: the code is redeemable again, by anyone, under a new key", async (t) => {
    const { shop, ann, id, reward, code, key, campaign, fulfiller } = await soldTo(t, [fails(), grants()], { fields: { limits: { total: 1 } } });
    expectProblem(await redeem(shop.member(), code), 409, "already_redeemed");
    const body = expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
    assertRedemption(body);
    assert.deepEqual([body.status, body.next_attempt_at], ["cancelled", undefined]);
    const deleted = await rewardOf(ann, reward);
    assert.deepEqual([deleted.state, deleted.moves.at(-1).actor, deleted.moves.at(-1).reason], ["deleted", "admin:admin-1", "sold out"]);
    const [cancelled] = await fulfiller.deliveries(1, { id: `${reward}_cancelled` });
    assert.deepEqual([cancelled.body.type, cancelled.body.data.id], ["reward.cancelled", reward]);
    fulfiller.assertProper();
    const replay = await redeem(ann, code, { key });
    assert.deepEqual([expectStatus(replay, 201).status, replay.headers["idempotent-replayed"]], ["cancelled", "true"]);
    fulfiller.behave(grants());
    await redeemedAgain(shop.member(), code);
    assert.equal((await shop.admin.get(`/v1/campaigns/${campaign}`)).body.redeemed, 1, "counted once in all");
    assert.equal((await redemptionOf(ann, id)).status, "cancelled");
    await audited(shop, { action: "redemption.cancelled", actor: "admin:admin-1", reason: "sold out" });
    await assertVerified(shop, { member_id: ann.sub });
    await assertVerified(shop, { campaign });
  });

  test("frees the member's own limit", async (t) => {
    for (const fields of [{ kind: "shared" }, { limits: { per_member: 1 } }]) {
      const { shop, ann, id, codes, fulfiller } = await soldTo(t, [says(400), grants()], { fields });
      const again = fields.kind ? codes[0] : codes[1];
      expectProblem(await redeem(ann, again), 409, fields.kind ? "already_redeemed_by_you" : "member_limit_reached");
      expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "try again" }), 200);
      fulfiller.behave(grants());
      await redeemedAgain(ann, again);
      assert.equal((await redeem(ann, again)).status, 409, "once, as before");
      await assertVerified(shop, { member_id: ann.sub });
    }
  });

  test("leaves the rest of the wallet alone", async (t) => {
    const { shop, ann, id } = await soldTo(t, [fails()]);
    await give(shop, ann, "credit");
    expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
    assert.equal(await creditOf(ann), 500);
    await assertBalanced(ann);
  });
});

describe("an outcome that is unknown", () => {
  const rows = [
    ["after a 500", [says(500)], "grant_failed"],
    ["after a broken connection", [breaks], "grant_failed"],
    ["after an unreadable 200", [says(200, { text: "OK" })], "grant_failed"],
    ["while accepted and not completed", [accepts], "granting"],
  ];
  for (const [name, script, status] of rows) {
    test(`${name}: cancelled only when the operator says that they know`, async (t) => {
      const { shop, ann, id, reward, secret } = await soldTo(t, script, { status });
      const before = await rewardOf(ann, reward);
      for (const unknown_outcome of [undefined, false]) {
        isProblem(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "sold out", unknown_outcome }), status, { unknown_outcome: true });
      }
      assert.deepEqual(await rewardOf(ann, reward), before, "nothing changed");
      expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "they promised", unknown_outcome: true }), 200);
      // The fulfiller did give it after all: too late, noted, and not applied.
      expectProblem(await callBack(edge.url, reward, { outcome: "granted" }, { secret }), 409, "illegal_move", { state: "deleted" });
      const late = await rewardOf(ann, reward);
      assert.deepEqual([late.state, typeof late.last_error], ["deleted", "string"]);
      assert.equal((await redemptionOf(ann, id)).status, "cancelled");
      await audited(shop, { action: "redemption.cancelled", reason: "they promised" }, { action: "fulfilment.conflict" }, { action: "attempt.refused", actor: "admin:admin-1" });
      await assertVerified(shop, { member_id: ann.sub });
    });
  }

  test("a delivery in flight that succeeds after the cancellation changes nothing", async (t) => {
    const gate = closedGate();
    const { shop, ann, id, reward, fulfiller } = await soldTo(t, [waitsFor(gate, grants()), grants()], { status: "granting" });
    await fulfiller.deliveries(1);
    isProblem(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "stop" }), "granting", { unknown_outcome: true });
    expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "stop", unknown_outcome: true }), 200);
    gate.open();
    await audited(shop, { action: "fulfilment.conflict" });
    assert.equal((await rewardOf(ann, reward)).state, "deleted");
    assert.equal((await redemptionOf(ann, id)).status, "cancelled");
    await fulfiller.deliveries(1, { id: `${reward}_cancelled` });
  });

  for (const [name, script] of [["an explicit failure", [fails()]], ["a 404", [says(404)]], ["a 429", [says(429)]]]) {
    test(`${name} is known: cancelled without more words`, async (t) => {
      const { shop, id } = await soldTo(t, script);
      assert.equal(expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "sold out" }), 200).status, "cancelled");
    });
  }
});

describe("reset", () => {
  test("of what was cancelled: the member may redeem again", async (t) => {
    const { shop, ann, id, code, fulfiller } = await soldTo(t, [fails(), grants()]);
    isProblem(await operate(shop.admin, id, "reset", { reason: "too early" }), "grant_failed");
    expectStatus(await operate(shop.admin, id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
    expectStatus(await operate(shop.admin, id, "reset", { reason: "let them try" }), 200);
    fulfiller.behave(grants());
    await redeemedAgain(ann, code);
    await audited(shop, { actor: "admin:admin-1", reason: "let them try" });
  });

  test("of what was granted: for testers only, and the value is taken back", async () => {
    const shop = openShop(edge);
    const [ann, tess] = [shop.member(), shop.member()];
    const { code, campaign } = await shop.withCodes(1, { kind: "shared" });
    expectStatus(await shop.admin.put(`/v1/members/${tess.sub}`, { tester: true }), 200);
    const granted = await redeemed(ann, code);
    isProblem(await operate(shop.admin, granted.redemption_id, "reset", { reason: "no" }), "granted");
    assert.equal(await creditOf(ann), 500);
    for (let times = 0; times < 3; times += 1) {
      const { redemption_id, rewards } = await redeemedAgain(tess, code);
      expectProblem(await redeem(tess, code), 409, "already_redeemed_by_you");
      const body = expectStatus(await operate(shop.admin, redemption_id, "reset", { reason: "next round" }), 200);
      assert.equal(body.status, "reversed");
      assert.equal((await rewardOf(tess, rewards[0])).state, "deleted");
      const { wallet, rows } = await assertBalanced(tess);
      assert.deepEqual(wallet.credit.filter(({ amount_minor }) => amount_minor !== 0), []);
      const given = rows.find((row) => row.amount === 500 && row.redemption_id === redemption_id);
      const back = rows.find((row) => row.reverses === given.ledger_id);
      assert.deepEqual([back.amount, back.by, back.reason], [-500, "admin:admin-1", "next round"]);
    }
    await assertVerified(shop, { member_id: tess.sub });
    await assertVerified(shop, { campaign });
  });

  test("of a tester's in any state, with a fulfiller", async (t) => {
    for (const [script, status] of [[[says(404)], "grant_failed"], [[grants()], "granted"]]) {
      const { shop, ann, id, code, fulfiller } = await soldTo(t, script, { status });
      expectStatus(await shop.admin.put(`/v1/members/${ann.sub}`, { tester: true }), 200);
      expectStatus(await operate(shop.admin, id, "reset", { reason: "next round" }), 200);
      fulfiller.behave(grants());
      await redeemedAgain(ann, code);
    }
  });
});

describe("what is not legal changes nothing", () => {
  test("by state", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await shop.withCodes();
    const { redemption_id } = await redeemed(ann, code);
    const before = [await redemptionOf(ann, redemption_id), await walletOf(ann)];
    for (const [verb, body] of [["retry", {}], ["resolve", { as: "granted", reason: "r" }], ["resolve", { as: "cancelled", reason: "r" }], ["resolve", { as: "cancelled", reason: "r", unknown_outcome: true }], ["reset", { reason: "r" }]]) {
      isProblem(await operate(shop.admin, redemption_id, verb, body), "granted");
    }
    assert.deepEqual([await redemptionOf(ann, redemption_id), await walletOf(ann)], before);
    const cancelled = await soldTo(t, [fails()]);
    expectStatus(await operate(cancelled.shop.admin, cancelled.id, "resolve", { as: "cancelled", reason: "r" }), 200);
    for (const [verb, body] of [["retry", {}], ["resolve", { as: "granted", reason: "r" }]]) isProblem(await operate(cancelled.shop.admin, cancelled.id, verb, body), "cancelled");
    const refused = await redeem(ann, code, { headers: { prefer: "respond-async" } });
    const id = expectStatus(refused, 202).redemption_id;
    await inStatus(ann, id, "refused");
    for (const [verb, body] of [["retry", {}], ["resolve", { as: "granted", reason: "r" }], ["resolve", { as: "cancelled", reason: "r" }], ["reset", { reason: "r" }]]) isProblem(await operate(shop.admin, id, verb, body), "refused");
    await audited(shop, { action: "attempt.refused", actor: "admin:admin-1" });
  });

  test("by body", async (t) => {
    const { shop, ann, id } = await soldTo(t, [fails()]);
    const before = await redemptionOf(ann, id);
    const rows = [
      ["resolve", {}, "as"],
      ["resolve", { as: "granted" }, "reason"],
      ["resolve", { as: "cancelled" }, "reason"],
      ["resolve", { as: "cancelled", reason: "" }, "reason"],
      ["resolve", { as: "cancelled", reason: 7 }, "reason"],
      ["resolve", { as: "failed", reason: "r" }, "as"],
      ["resolve", { as: "reversed", reason: "r" }, "as"],
      ["resolve", { as: "cancelled", reason: "r", unknown_outcome: "yes" }, "unknown_outcome"],
      ["resolve", { as: "cancelled", reason: "r", surprise: 1 }, "surprise"],
      ["reset", {}, "reason"],
      ["reset", { reason: "" }, "reason"],
      ["reset", { reason: "r", as: "granted" }, "as"],
      ["retry", { reason: 7 }, "reason"],
      ["retry", { when: "now" }, "when"],
      ["retry", { reason: "x".repeat(20_000) }, "reason"],
    ];
    for (const [verb, body, path] of rows) {
      const { errors } = expectProblem(await operate(shop.admin, id, verb, body), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.includes(path)), `${verb} ${JSON.stringify(body).slice(0, 80)} names ${path}: ${JSON.stringify(errors)}`);
    }
    assert.deepEqual(await redemptionOf(ann, id), before);
  });

  test("by role, by merchant, and of what there is not", async (t) => {
    const { shop, ann, id, reward } = await soldTo(t, [fails()]);
    const before = await redemptionOf(ann, id);
    for (const [verb, body] of [["retry", {}], ["resolve", { as: "cancelled", reason: "r" }], ["reset", { reason: "r" }]]) {
      for (const caller of [ann, shop.member(), shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await operate(caller, id, verb, body), 403, "forbidden");
      expectProblem(await operate(openShop(edge).admin, id, verb, body), 404, "not_found");
      for (const wrong of [reward, `${id}x`, "rd_nothing"]) expectProblem(await operate(shop.admin, wrong, verb, body), 404, "not_found");
    }
    assert.deepEqual(await redemptionOf(ann, id), before);
    assert.equal((await inState(ann, reward, "failed")).attempts, 1);
    expectStatus(await move(ann, reward, "decline"), 409);
  });
});
