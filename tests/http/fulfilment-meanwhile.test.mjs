// Fulfilment takes its time, and the world goes on: campaigns end, definitions change, answers cross each other, operators
// delete. What was sold is what is delivered, once.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { accepts, callBack, closedGate, fails, fulfillerOf, grants, says, waitsFor } from "./fulfiller-double.mjs";
import { assertVerified, define, give, inState, inStatus, move, moveFor, operate, pathOf, redemptionOf, remove, rewardOf, withFulfillers } from "./rewards.mjs";
import { openShop, redeem } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);

/** A member who redeemed a code for a bonus. */
async function sold(t, script, changes = {}, sub) {
  const shop = openShop(edge);
  const ann = shop.member({}, sub);
  const endpoint = await fulfillerOf(t, shop, script);
  const bought = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic: endpoint.mechanic, ...changes }) });
  const { redemption_id, rewards } = expectStatus(await redeem(ann, bought.code), 201);
  return { ...endpoint, ...bought, shop, ann, id: rewards[0], redemption_id };
}

describe("meanwhile", { concurrency: true }, () => {
  describe("between two tries", { concurrency: true }, () => {
    const rows = [
      ["the campaign is paused", ({ shop, campaign }) => shop.move(campaign, "pause")],
      ["the campaign ends", ({ shop, campaign }) => shop.move(campaign, "end")],
      [
        "the definition changes",
        async ({ shop, reward_id }) => expectStatus(await shop.admin.patch(`/v1/reward-definitions/${reward_id}`, { name: "Less", value: { reference: "less" }, attempts_max: 1 }, { headers: { "if-match": '"1"' } }), 200, 202),
      ],
      ["the member's attributes change", async ({ shop, ann }) => expectStatus(await shop.admin.put(`/v1/members/${ann.sub}`, { tier: "none", roles: [] }), 200)],
      ["the secret is rotated", async ({ shop, endpoint_id, fulfiller }) => fulfiller.secrets.push(expectStatus(await shop.admin.post(`/v1/webhooks/${endpoint_id}/rotate`), 200).secret)],
    ];
    for (const [name, change] of rows) {
      test(`${name}: what was sold is delivered all the same`, async (t) => {
        const here = await sold(t, [says(500), grants()]);
        await inState(here.ann, here.id, "failed");
        await change(here);
        const granted = await inState(here.ann, here.id, "granted");
        assert.deepEqual([granted.value, granted.attempts_max], [{ reference: "bonus-7" }, 10]);
        const [first, second] = here.fulfiller.received.map(({ body }) => body.data);
        assert.deepEqual({ ...second, attempt: 1 }, first);
        here.fulfiller.assertProper();
      });
    }

    test("the endpoint is deleted, once no definition names it: what waited fails, says so, and an operator can end it", async (t) => {
      const { shop, ann, id, redemption_id, endpoint_id, fulfiller, reward_id } = await sold(t, [fails()]);
      await inState(ann, id, "failed");
      const path = `/v1/webhooks/${endpoint_id}`;
      expectProblem(await shop.admin.delete(path), 409, "illegal_move");
      expectStatus(await shop.admin.get(path), 200);
      const other = await fulfillerOf(t, shop);
      expectStatus(await shop.admin.patch(`/v1/reward-definitions/${reward_id}`, { mechanic: other.mechanic }, { headers: { "if-match": '"1"' } }), 200, 202);
      expectStatus(await shop.admin.delete(path), 204);
      expectStatus(await operate(shop.admin, redemption_id, "retry"), 200);
      const failed = await inState(ann, id, "failed");
      assert.equal(typeof failed.last_error, "string");
      assert.equal(fulfiller.received.length, 1);
      assert.equal(other.fulfiller.received.length, 0, "its reward was sold with the mechanic of its time");
      expectStatus(await operate(shop.admin, redemption_id, "resolve", { as: "cancelled", reason: "no fulfiller any more" }), 200);
      await assertVerified(shop, { member_id: ann.sub });
    });

    test("the failed reward is deleted: nothing is tried any more, and the redemption rests", async (t) => {
      const { shop, ann, id, redemption_id, fulfiller } = await sold(t, [fails()]);
      await inState(ann, id, "failed");
      expectStatus(await remove(shop, ann, id, "a duplicate"), 204);
      const redemption = await redemptionOf(ann, redemption_id);
      assert.equal(redemption.next_attempt_at, undefined, JSON.stringify(redemption));
      assert.ok(["granted", "cancelled", "reversed"].includes(redemption.status), redemption.status);
      assert.equal(fulfiller.of(id).length, 1);
      await assertVerified(shop, { member_id: ann.sub });
    });
  });

  describe("answers that cross", { concurrency: true }, () => {
    test("the callback is quicker than the answer to the delivery, whatever that says", async (t) => {
      for (const late of [grants(), accepts, fails(), says(500)]) {
        const gate = closedGate();
        const { fulfiller, ann, id, redemption_id, secret } = await sold(t, [waitsFor(gate, late)]);
        await fulfiller.deliveries(1);
        expectStatus(await callBack(edge.url, id, { outcome: "granted" }, { secret }), 200);
        const granted = await rewardOf(ann, id);
        assert.equal(granted.state, "granted");
        gate.open();
        // What comes later has been taken in once another delivery to the same endpoint has come and gone.
        const other = await sold(t, [grants()]);
        await inState(other.ann, other.id, "granted");
        assert.deepEqual((await rewardOf(ann, id)).moves, granted.moves);
        assert.equal((await redemptionOf(ann, redemption_id)).status, "granted");
        assert.equal(fulfiller.received.length, 1);
      }
    });

    test("an operator's retry while the answer is under way is no second delivery", async (t) => {
      const gate = closedGate();
      const { fulfiller, shop, ann, id, redemption_id } = await sold(t, [waitsFor(gate, grants())]);
      await fulfiller.deliveries(1);
      const answer = await operate(shop.admin, redemption_id, "retry");
      expectStatus(answer, 200, 409);
      expectStatus(await moveFor(shop, ann, id, "retry"), 409);
      gate.open();
      await inState(ann, id, "granted");
      assert.equal(fulfiller.received.length, 1);
    });

    test("claim and decline, activation and deletion at one time: one of the two, and the books agree", async () => {
      const shop = openShop(edge);
      for (let round = 0; round < 6; round += 1) {
        const ann = shop.member();
        const { id } = await give(shop, ann, "xp", { player_should_claim: true, automatic_activation: true });
        await Promise.all([move(ann, id, "claim"), move(ann, id, "decline"), remove(shop, ann, id), moveFor(shop, ann, id, "claim")]);
        const reward = await rewardOf(ann, id);
        const { xp } = expectStatus(await ann.get("/v1/wallet"), 200);
        assert.equal(xp, reward.state === "granted" ? 30 : 0, JSON.stringify(pathOf(reward)));
        await assertVerified(shop, { member_id: ann.sub });
      }
    });
  });

  describe("a reward whose redemption is over", () => {
    test("fails and recovers by itself; the redemption stays granted", async (t) => {
      const shop = openShop(edge);
      const ann = shop.member();
      const { mechanic, fulfiller } = await fulfillerOf(t, shop, [says(500), says(500), grants()]);
      const { id, redemption_id } = await give(shop, ann, "mission_booster", { mechanic });
      for (const verb of ["claim", "activate"]) expectStatus(await move(ann, id, verb), 200);
      const failed = await inState(ann, id, "failed");
      assert.ok(Date.parse(failed.next_attempt_at) > Date.now() - 1000);
      assert.equal((await redemptionOf(ann, redemption_id)).status, "granted");
      await inState(ann, id, "failed", 10_000, ({ attempts }) => attempts === 2);
      expectStatus(await moveFor(shop, ann, id, "retry", { reason: "hurry" }), 200);
      await inState(ann, id, "granted");
      assert.equal((await inStatus(ann, redemption_id, "granted")).next_attempt_at, undefined);
      assert.equal(fulfiller.applied.get(id), 1);
    });
  });

  test("a member whose id is any text is told to the fulfiller as it is, and the signature holds", async (t) => {
    const sub = "\u00e4\u{1f600} \"quoted\" \\ /";
    const { ann, id, fulfiller } = await sold(t, [grants()], {}, sub);
    await inState(ann, id, "granted");
    assert.equal(fulfiller.received[0].body.data.member_id, sub);
    fulfiller.assertProper();
  });
});
