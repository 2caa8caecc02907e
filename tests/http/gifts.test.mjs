// What an administrator does with a member by hand: give, claim and activate for them, delete, note; and testers.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { fulfillerOf, grants } from "./fulfiller-double.mjs";
import { assertReward, assertVerified, audited, define, gift, give, inState, moveFor, pathOf, redemptionOf, remove, rewardOf, rewardsOf, withFulfillers } from "./rewards.mjs";
import { assertBalanced, assertRedemption, historyOf, ledgerOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);

describe("giving by hand", () => {
  test("201 with the reward, a redemption of kind gift, and a line in the log", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const reward_id = await define(shop, "credit");
    const answer = await gift(shop, ann, { reward_id, reason: "a late parcel", source: "campaign", reference: "ticket-9" });
    const reward = expectStatus(answer, 201);
    assertReward(reward);
    assert.ok(answer.headers.location.endsWith(`/v1/rewards/${reward.id}`), answer.headers.location);
    assert.deepEqual([reward.state, reward.source, reward.reference, reward.reward_id], ["granted", "campaign", "ticket-9", reward_id]);
    const redemption = await redemptionOf(ann, reward.redemption_id);
    assertRedemption(redemption);
    assert.deepEqual([redemption.kind, redemption.campaign, redemption.status, redemption.by, redemption.reason, redemption.rewards], ["gift", undefined, "granted", "admin:admin-1", "a late parcel", [reward.id]]);
    const { wallet, rows } = await assertBalanced(ann);
    assert.deepEqual(wallet.credit, [{ currency: "EUR", amount_minor: 500 }]);
    assert.deepEqual(rows.map(({ amount, redemption_id }) => [amount, redemption_id]), [[500, redemption.redemption_id]]);
    assert.deepEqual((await historyOf(ann)).map((one) => one.redemption_id), [redemption.redemption_id]);
    await audited(shop, { actor: "admin:admin-1", reason: "a late parcel" });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("once for each key, by an administrator and by a service", async () => {
    const shop = openShop(edge);
    const reward_id = await define(shop, "xp");
    for (const [by, actor] of [[shop.admin, "admin:admin-1"], [shop.service, "service:shop-server"]]) {
      const ann = shop.member();
      const key = unique("k-");
      const first = expectStatus(await gift(shop, ann, { reward_id }, { by, key }), 201);
      assert.equal((await redemptionOf(ann, first.redemption_id)).by, actor);
      const again = await gift(shop, ann, { reward_id }, { by, key });
      assert.deepEqual([again.status, again.headers["idempotent-replayed"], again.body.id], [201, "true", first.id]);
      expectProblem(await gift(shop, ann, { reward_id, reason: "another" }, { by, key }), 422, "idempotency_key_reused");
      expectProblem(await gift(shop, ann, { reward_id }, { by, key: undefined }), 400, "idempotency_key_required");
      const twins = await Promise.all([1, 2, 3, 4].map(() => gift(shop, ann, { reward_id }, { by, key: `twin-${key}` })));
      assert.equal(new Set(twins.map(({ body }) => body.id ?? body.redemption_id)).size, 1);
      assert.equal((await walletOf(ann)).xp, 60);
      const bob = shop.member();
      assert.notEqual(expectStatus(await gift(shop, bob, { reward_id }, { by, key }), 201).id, first.id, "a key is of one target");
    }
  });

  test("to a member whose id is any text", async () => {
    const shop = openShop(edge);
    for (const sub of ["a/b?c#d", "\u00e4\u{1f600} x", "100%", "x".repeat(200)]) {
      const ann = shop.member({}, sub);
      await give(shop, ann, "xp");
      assert.equal((await walletOf(ann)).xp, 30, sub);
    }
  });

  const bad = [
    ["no reward", { reward_id: undefined }, 400],
    ["a reward that there is not", { reward_id: "nothing" }, 400],
    ["no reason", { reason: undefined }, 400],
    ["an empty reason", { reason: "" }, 400],
    ["a numeric reason", { reason: 7 }, 400],
    ["an unknown source", { source: "luck" }, 400],
    ["a numeric reference", { reference: 7 }, 400],
    ["a quantity", { quantity: 2 }, 400],
  ];
  test("malformed, or by the wrong caller: nothing is given", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const reward_id = await define(shop, "xp");
    for (const [name, change, status] of bad) {
      const { errors } = expectProblem(await gift(shop, ann, { reward_id, ...change }), status, "invalid_request");
      assert.ok(errors.some(({ path }) => path.includes(Object.keys(change)[0])), `${name}: ${JSON.stringify(errors)}`);
    }
    for (const role of ["member", "staff", "manager"]) expectProblem(await gift(shop, ann, { reward_id }, { by: shop.as(role) }), 403, "forbidden");
    expectProblem(await gift(shop, ann, { reward_id }, { by: ann }), 403, "forbidden");
    expectProblem(await gift(shop, ann, { reward_id }, { by: openShop(edge).admin }), 400, "invalid_request");
    assert.deepEqual([await rewardsOf(ann), await ledgerOf(ann)], [[], []]);
  });
});

describe("for a member", () => {
  test("claim and activate, with actor and reason in the reward's log and in the audit log", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "xp", { player_should_claim: true, automatic_activation: false });
    const claimed = expectStatus(await moveFor(shop, ann, id, "claim", { reason: "asked by phone" }), 200);
    assert.deepEqual([claimed.state, claimed.moves.at(-1).actor, claimed.moves.at(-1).reason], ["pending_activation", "admin:admin-1", "asked by phone"]);
    const active = expectStatus(await moveFor(shop, ann, id, "activate"), 200);
    assert.equal(active.state, "granted");
    assert.equal((await walletOf(ann)).xp, 30);
    await audited(shop, { actor: "admin:admin-1", reason: "asked by phone" });
  });

  test("a manual reward is given and activated by an administrator", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "manual");
    expectStatus(await moveFor(shop, ann, id, "activate", { reason: "handed over" }), 200);
    assert.deepEqual(pathOf(await rewardOf(ann, id)), ["pending_activation", "in_progress", "granted"]);
    await assertBalanced(ann);
  });

  test("not another member's, not by another role, not with more than a reason", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { id } = await give(shop, ann, "manual");
    for (const verb of ["claim", "activate", "retry"]) {
      expectProblem(await moveFor(shop, bob, id, verb), 404, "not_found");
      expectProblem(await moveFor({ admin: openShop(edge).admin }, ann, id, verb), 404, "not_found");
      for (const admin of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await moveFor({ admin }, ann, id, verb), 403, "forbidden");
      expectProblem(await moveFor(shop, ann, id, verb, { reason: 7 }), 400, "invalid_request");
      expectProblem(await moveFor(shop, ann, id, verb, { surprise: 1 }), 400, "invalid_request");
    }
    assert.equal((await rewardOf(ann, id)).state, "pending_activation");
  });
});

describe("deletion", () => {
  const rows = [
    ["xp", { value: { amount: 30 } }, "xp"],
    ["points", { value: { amount: 250 } }, "points"],
    ["tokens", { value: { amount: 7 } }, "tokens"],
    ["credit", { value: { currency: "CHF", amount_minor: 900 } }, "credit"],
    ["feature", { value: { key: "beta" } }, undefined],
  ];
  for (const [type, changes, asset] of rows) {
    test(`of ${type} takes back what was applied, with a row that says which`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      await give(shop, ann, "xp", { value: { amount: 1 } });
      const before = await walletOf(ann);
      const { id, redemption_id } = await give(shop, ann, type, changes);
      expectStatus(await remove(shop, ann, id, "given by mistake"), 204);
      const deleted = await rewardOf(ann, id);
      assert.deepEqual([deleted.state, deleted.moves.at(-1).actor, deleted.moves.at(-1).reason], ["deleted", "admin:admin-1", "given by mistake"]);
      const { wallet, rows: ledger } = await assertBalanced(ann);
      assert.deepEqual({ ...wallet, credit: wallet.credit.filter(({ amount_minor }) => amount_minor !== 0) }, before);
      if (asset) {
        const [back, given] = ledger.filter((row) => row.asset === asset && row.redemption_id === redemption_id);
        assert.deepEqual([back.amount, back.reverses, back.reason, back.by], [-given.amount, given.ledger_id, "given by mistake", "admin:admin-1"]);
      }
      expectStatus(await remove(shop, ann, id, "again"), 204);
      assert.equal((await ledgerOf(ann)).length, ledger.length, "again takes nothing");
      await audited(shop, { actor: "admin:admin-1", reason: "given by mistake" });
      await assertVerified(shop, { member_id: ann.sub });
    });
  }

  test("of a feature that was given twice leaves the other", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const [one, other] = [await give(shop, ann, "feature"), await give(shop, ann, "feature")];
    expectStatus(await remove(shop, ann, one.id), 204);
    assert.deepEqual((await walletOf(ann)).features, ["beta"]);
    expectStatus(await remove(shop, ann, other.id), 204);
    assert.deepEqual((await walletOf(ann)).features, []);
  });

  test("needs a reason, an administrator, and that member's reward; the reason may be in the body", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const { id } = await give(shop, ann, "xp");
    const path = `/v1/members/${ann.sub}/rewards/${id}`;
    for (const answer of [await shop.admin.delete(path), await shop.admin.delete(`${path}?reason=`), await shop.admin.delete(path, { body: { reason: "" } })]) expectProblem(answer, 400, "invalid_request");
    for (const admin of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await remove({ admin }, ann, id), 403, "forbidden");
    expectProblem(await remove(shop, bob, id), 404, "not_found");
    expectProblem(await remove(openShop(edge), ann, id), 404, "not_found");
    assert.equal((await walletOf(ann)).xp, 30);
    expectStatus(await shop.admin.delete(path, { body: { reason: "in the body" } }), 204);
    assert.equal((await rewardOf(ann, id)).moves.at(-1).reason, "in the body");
  });
});

describe("a note on the fulfilment", () => {
  test("data and note are merged, kept, and seen by the member", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { mechanic } = await fulfillerOf(t, shop, [grants({ parcel: "A1" })]);
    const { id } = await give(shop, ann, "bonus", { mechanic });
    await inState(ann, id, "granted");
    const patch = (body) => shop.admin.patch(`/v1/members/${ann.sub}/rewards/${id}/fulfilment`, body);
    const noted = expectStatus(await patch({ note: "left at the door" }), 200);
    assert.deepEqual([noted.fulfilment.data, noted.fulfilment.note], [{ parcel: "A1" }, "left at the door"]);
    const merged = expectStatus(await patch({ data: { parcel: "B2", weight: 3 }, note: null }), 200);
    assert.deepEqual([merged.fulfilment.data, merged.fulfilment.note], [{ parcel: "B2", weight: 3 }, undefined]);
    assert.deepEqual(await rewardOf(ann, id), merged);
    for (const body of [{ note: 7 }, { surprise: 1 }, { answered_at: "2026-01-01T00:00:00Z" }, { state: "failed" }]) expectProblem(await patch(body), 400, "invalid_request");
    for (const caller of [ann, shop.as("staff"), shop.service]) expectProblem(await caller.patch(`/v1/members/${ann.sub}/rewards/${id}/fulfilment`, { note: "x" }), 403, "forbidden");
    expectProblem(await shop.admin.patch(`/v1/members/${ann.sub}/rewards/${id}x/fulfilment`, { note: "x" }), 404, "not_found");
    assert.deepEqual(await rewardOf(ann, id), merged);
  });
});

describe("a member's record", () => {
  test("attributes and the tester's mark are set, and decide", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const body = { name: "Ann Example", tester: true, tier: "gold", persona: "runner", tags: ["early"], roles: ["vip"] };
    // `member` is what stands for the member in reports and in the audit log.
    const { member, ...own } = expectStatus(await shop.admin.put(`/v1/members/${ann.sub}`, body), 200);
    assert.deepEqual(own, { member_id: ann.sub, ...body });
    const { code } = await shop.withCodes(1, { eligibility: { roles: ["vip"] } });
    expectProblem(await redeem(shop.member(), code), 403, "not_eligible", { unmet: ["role"] });
    await redeemed(ann, code);
    for (const wrong of [{ tester: "yes" }, { name: 7 }, { tags: "early" }, { tags: [7] }, { roles: [""] }, { tier: "" }, { surprise: 1 }]) expectProblem(await shop.admin.put(`/v1/members/${ann.sub}`, wrong), 400, "invalid_request");
    for (const caller of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await caller.put(`/v1/members/${ann.sub}`, { tester: false }), 403, "forbidden");
    const lines = await audited(shop, { action: "member.changed", actor: "admin:admin-1", object: `member/${member}` });
    assert.ok(!JSON.stringify(lines).includes("Ann Example"), "no personal data in the log");
  });

  test("wallet, rewards, redemptions and ledger read as the member reads them", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await shop.withCodes();
    const { redemption_id } = await redeemed(ann, code);
    for (const path of ["wallet", "rewards", "redemptions", "ledger"]) {
      const own = expectStatus(await ann.get(`/v1/${path}`), 200);
      assert.deepEqual(expectStatus(await shop.admin.get(`/v1/members/${ann.sub}/${path}`), 200), own, path);
      for (const caller of [ann, shop.service]) expectProblem(await caller.get(`/v1/members/${ann.sub}/${path}`), 403, "forbidden");
    }
    assert.deepEqual(expectStatus(await shop.admin.get(`/v1/redemptions/${redemption_id}`), 200), await redemptionOf(ann, redemption_id));
    expectProblem(await openShop(edge).admin.get(`/v1/redemptions/${redemption_id}`), 404, "not_found");
    assert.deepEqual(await everyItem(openShop(edge).admin, `/v1/members/${ann.sub}/redemptions`), [], "another merchant's member of that name has none");
  });
});
