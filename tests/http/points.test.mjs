// Buying rewards with points: taken once, one ledger row of the whole quantity, and a key with one outcome.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { fulfillerOf, grants, says } from "./fulfiller-double.mjs";
import { assertVerified, audited, feedOf, inState, inStatus, operate, redemptionOf, rewardOf, rewardsOf, withFulfillers } from "./rewards.mjs";
import { assertRedemption, creditOf, historyOf, ledgerOf, openShop, walletOf } from "./shop.mjs";
import { openFeed } from "./socket.mjs";
import { amountsOf, assertReplays, bought, buy, earn, forSale, memberWith, pointsOf, settledAs } from "./trade.mjs";

const edge = edgeForThisFile(withFulfillers);
const replayed = (answer) => answer.headers["idempotent-replayed"];
const atOnce = { prefer: "respond-async" };

describe("a reward is bought", () => {
  test("201 with the redemption, and the points are gone", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const reward_id = await forSale(shop, 250, { name: "A coffee" });
    const answer = await buy(ann, reward_id);
    const body = expectStatus(answer, 201);
    assertRedemption(body);
    const { redemption_id } = body;
    assert.deepEqual([body.kind, body.campaign, body.reward_id, body.quantity, body.points_spent, body.goodwill_points], ["points", undefined, reward_id, 1, 250, undefined]);
    assert.ok(answer.headers.location.endsWith(`/v1/redemptions/${redemption_id}`), answer.headers.location);
    assert.equal(replayed(answer), undefined);
    assert.ok(Math.abs(Date.parse(body.created_at) - Date.now()) < 60_000, body.created_at);
    const granted = await settledAs(ann, redemption_id, "granted");
    const { rows, wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 750);
    const [row, earned, ...others] = rows;
    assert.deepEqual([row.asset, row.kind, row.amount, row.quantity, row.balance_after, row.redemption_id, row.by], ["points", "redemption", -250, 1, 750, redemption_id, `member:${ann.sub}`]);
    assert.deepEqual([earned.amount, earned.kind, others], [1000, "adjustment", []]);
    assert.deepEqual(granted.ledger, [{ ledger_id: row.ledger_id, number: row.number, quantity: 1 }]);
    const reward = await rewardOf(ann, granted.rewards[0]);
    assert.deepEqual([reward.reward_id, reward.name, reward.state, reward.quantity, reward.redemption_id], [reward_id, "A coffee", "granted", 1, redemption_id]);
    assert.deepEqual((await historyOf(ann)).map((one) => one.redemption_id), [redemption_id]);
    await assertVerified(shop, { member_id: ann.sub });
    await audited(shop, { action: "redemption.granted" });
  });

  test("one row and one reward of quantity N", async () => {
    const shop = openShop(edge);
    const reward_id = await forSale(shop, 7);
    for (const quantity of [1, 2, 10, 99, 100]) {
      const ann = await memberWith(shop, 1000);
      const redemption = await bought(ann, reward_id, { quantity });
      assert.deepEqual([redemption.quantity, redemption.points_spent, redemption.ledger.length, redemption.rewards.length], [quantity, 7 * quantity, 1, 1]);
      const { rows } = await assertReplays(ann);
      assert.deepEqual([rows[0].amount, rows[0].quantity, rows.length], [-7 * quantity, quantity, 2]);
      assert.equal((await rewardOf(ann, redemption.rewards[0])).quantity, quantity);
    }
  });

  test("the last point is spent, and a reward for nothing needs none", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 300);
    await bought(ann, await forSale(shop, 100), { quantity: 3 });
    assert.equal(await pointsOf(ann), 0);
    const free = await bought(ann, await forSale(shop, 0), { quantity: 2 });
    assert.deepEqual([free.points_spent, free.quantity], [0, 2]);
    const { wallet, rows } = await assertReplays(ann);
    assert.deepEqual([wallet.points, rows[0].quantity, rows.length], [0, 2, 3]);
  });

  test("a static promo code stands on the ledger row and in the redemption", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10, { promo_code: "SUMMER-2026" });
    const redemption = await bought(ann, reward_id, { quantity: 3 });
    const [row] = await ledgerOf(ann);
    assert.deepEqual([row.promo_code, row.quantity, row.amount], ["SUMMER-2026", 3, -30]);
    assert.deepEqual(redemption.ledger, [{ ledger_id: row.ledger_id, number: row.number, quantity: 3, promo_code: "SUMMER-2026" }]);
  });

  test("what the wallet applies comes in the same commit, in a row of its own", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const rows = [
      ["credit", { currency: "EUR", amount_minor: 500 }, (wallet) => wallet.credit, [{ currency: "EUR", amount_minor: 1500 }]],
      ["xp", { amount: 30 }, (wallet) => wallet.xp, 90],
      ["tokens", { amount: 7 }, (wallet) => wallet.tokens, 21],
      ["feature", { key: "dark-mode" }, (wallet) => wallet.features, ["dark-mode"]],
    ];
    for (const [type, value, read, expected] of rows) {
      const redemption = expectStatus(await buy(ann, await forSale(shop, 10, { type, value }), { quantity: 3 }), 201);
      assert.equal(redemption.status, "granted", "the wallet needs no second step");
      const { wallet, rows: ledger } = await assertReplays(ann);
      assert.deepEqual(read(wallet), expected, type);
      const own = ledger.filter(({ redemption_id }) => redemption_id === redemption.redemption_id);
      const paid = own.filter(({ kind }) => kind === "redemption");
      assert.deepEqual(paid.map(({ asset, amount, quantity }) => [asset, amount, quantity]), [["points", -30, 3]], type);
      assert.deepEqual(redemption.ledger.map(({ ledger_id }) => ledger_id), paid.map(({ ledger_id }) => ledger_id), type);
      assert.ok(own.filter((row) => row !== paid[0]).every(({ kind }) => kind === "reward"), JSON.stringify(own));
    }
    assert.equal(await pointsOf(ann), 1000 - 4 * 30);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("points bought with points are both in the ledger", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    await bought(ann, await forSale(shop, 60, { type: "points", value: { amount: 25 } }), { quantity: 1 });
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 65);
    assert.deepEqual((await amountsOf(ann)).sort((a, b) => a - b), [-60, 25, 100]);
  });

  test("boosters are one reward for each", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const redemption = await bought(ann, await forSale(shop, 10, { type: "level_booster", value: { multiplier_permille: 2000 }, duration_s: 60 }), { quantity: 3 });
    assert.equal(redemption.rewards.length, 3);
    const rewards = await rewardsOf(ann);
    assert.deepEqual(rewards.map(({ quantity, state }) => [quantity, state]), Array.from({ length: 3 }, () => [1, "unclaimed"]));
    const { rows } = await assertReplays(ann);
    assert.deepEqual([rows[0].amount, rows[0].quantity, rows.length], [-30, 3, 2]);
  });

  test("by a service for the member it names, with their balance", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 50);
    const reward_id = await forSale(shop, 20);
    const redemption = expectStatus(await buy(shop.service, reward_id, { member_id: ann.sub, quantity: 2 }), 201);
    const own = await settledAs(ann, redemption.redemption_id, "granted");
    assert.deepEqual([own.points_spent, await pointsOf(ann)], [40, 10]);
    assert.equal((await ledgerOf(ann))[0].by, "service:shop-server");
    expectProblem(await buy(shop.service, reward_id, { quantity: 1 }), 400, "invalid_request");
    expectStatus(await buy(ann, reward_id, { member_id: "someone-else" }), 400, 403);
    for (const role of ["staff", "manager", "admin"]) expectProblem(await buy(shop.as(role), reward_id), 403, "forbidden");
  });

  test("a fulfiller's reward is paid once however often it is tried, and cancelling it gives the points back", async (t) => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 500);
    const { mechanic, fulfiller } = await fulfillerOf(t, shop, [says(500), grants()]);
    const reward_id = await forSale(shop, 100, { type: "bonus", mechanic, attempts_max: 1 });
    const { redemption_id, rewards } = expectStatus(await buy(ann, reward_id, { quantity: 2 }), 201);
    await inStatus(ann, redemption_id, "grant_failed");
    assert.equal(await pointsOf(ann), 300);
    expectStatus(await operate(shop.admin, redemption_id, "retry", { reason: "it is back" }), 200);
    await inState(ann, rewards[0], "granted");
    assert.deepEqual([await pointsOf(ann), fulfiller.received[0].body.data.quantity], [300, 2]);

    fulfiller.behave(says(404));
    const failing = expectStatus(await buy(ann, reward_id), 201);
    await inStatus(ann, failing.redemption_id, "grant_failed");
    assert.equal(await pointsOf(ann), 200);
    fulfiller.behave(grants());
    const cancelled = expectStatus(await operate(shop.admin, failing.redemption_id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
    assertRedemption(cancelled);
    assert.equal(cancelled.status, "cancelled");
    const { rows, wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 300);
    const paid = rows.find((row) => row.redemption_id === failing.redemption_id && row.kind === "redemption");
    assert.deepEqual([rows[0].amount, rows[0].reverses, rows[0].reason], [100, paid.ledger_id, "sold out"]);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("what became of the definition later changes nothing that was bought", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10, { type: "credit", value: { currency: "EUR", amount_minor: 100 } });
    const first = await bought(ann, reward_id);
    const at = `/v1/reward-definitions/${reward_id}`;
    const { etag } = (await shop.admin.get(at)).headers;
    const patched = expectStatus(await shop.admin.patch(at, { points_cost: 30, value: { amount_minor: 400 } }, { headers: { "if-match": etag } }), 200);
    assert.deepEqual([patched.points_cost, patched.version], [30, 2]);
    assert.deepEqual(await redemptionOf(ann, first.redemption_id), first);
    const second = await bought(ann, reward_id);
    assert.deepEqual([second.points_spent, await creditOf(ann), await pointsOf(ann)], [30, 500, 60]);
    const now = (await shop.admin.get(at)).headers.etag;
    assert.equal("points_cost" in expectStatus(await shop.admin.patch(at, { points_cost: null }, { headers: { "if-match": now } }), 200), false);
    expectProblem(await buy(ann, reward_id), 409, "reward_not_for_sale");
  });
});

describe("operators", () => {
  test("find purchases among all redemptions, by status", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 15);
    const reward_id = await forSale(shop, 10);
    const { redemption_id } = await bought(ann, reward_id);
    expectProblem(await buy(ann, reward_id), 409, "insufficient_points");
    for (const status of ["granted", "refused"]) {
      const [one] = await until(() => everyItem(shop.admin, `/v1/redemptions?all=1&status=${status}`), (items) => items.length > 0, 15_000);
      assert.deepEqual([one.kind, one.reward_id, one.status], ["points", reward_id, status]);
      if (status === "granted") assert.equal(one.redemption_id, redemption_id);
    }
    assert.deepEqual((await everyItem(ann, "/v1/redemptions?status=granted")).map((one) => one.redemption_id), [redemption_id]);
  });

  test("neither retry, resolve nor reset what is granted", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 15);
    const { redemption_id } = await bought(ann, await forSale(shop, 10));
    for (const [verb, body] of [["retry", {}], ["resolve", { as: "cancelled", reason: "r" }], ["reset", { reason: "r" }]]) {
      expectProblem(await operate(shop.admin, redemption_id, verb, body), 409, "illegal_move", { state: "granted" });
    }
    assert.equal(await pointsOf(ann), 5);
  });
});

describe("a key has one outcome", () => {
  test("repeating answers the same redemption and takes nothing more", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10);
    const key = unique("k-");
    const first = expectStatus(await buy(ann, reward_id, { key, quantity: 2 }), 201);
    for (let times = 0; times < 3; times += 1) {
      const again = await buy(ann, reward_id, { key, quantity: 2 });
      assert.deepEqual([expectStatus(again, 201).redemption_id, replayed(again)], [first.redemption_id, "true"]);
    }
    assert.deepEqual([await pointsOf(ann), (await historyOf(ann)).length], [80, 1]);
  });

  test("one is the quantity where none is said", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10);
    const key = unique("k-");
    const first = expectStatus(await buy(ann, reward_id, { key }), 201);
    const again = await buy(ann, reward_id, { key, quantity: 1 });
    assert.deepEqual([expectStatus(again, 201).redemption_id, replayed(again)], [first.redemption_id, "true"]);
  });

  test("another command under the key is refused", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const [reward_id, other] = [await forSale(shop, 10), await forSale(shop, 5)];
    const { code } = await shop.withCodes();
    const key = unique("k-");
    await bought(ann, reward_id, { key });
    for (const answer of [await buy(ann, reward_id, { key, quantity: 2 }), await buy(ann, other, { key }), await ann.post("/v1/redemptions", { code }, { key })]) expectProblem(answer, 422, "idempotency_key_reused");
    assert.deepEqual([await pointsOf(ann), await creditOf(ann)], [90, 0]);
    expectProblem(await ann.post("/v1/redemptions", { reward_id }), 400, "idempotency_key_required");
  });

  test("a refusal is kept under its key; a new key asks again", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 5);
    const reward_id = await forSale(shop, 10);
    const key = unique("k-");
    expectProblem(await buy(ann, reward_id, { key }), 409, "insufficient_points", { points_needed: 5 });
    await earn(shop, ann, 100);
    const again = await buy(ann, reward_id, { key });
    expectProblem(again, 409, "insufficient_points", { points_needed: 5 });
    assert.equal(replayed(again), "true");
    expectProblem(await buy(ann, reward_id, { key, quantity: 2 }), 422, "idempotency_key_reused");
    assert.equal(await pointsOf(ann), 105);
    await bought(ann, reward_id);
  });

  test("what was no request does not use the key up", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10);
    const key = unique("k-");
    expectProblem(await buy(ann, reward_id, { key, quantity: 0 }), 400, "invalid_request");
    expectProblem(await buy(ann, unique("no-"), { key }), 404, "not_found");
    const answer = await buy(ann, reward_id, { key });
    expectStatus(answer, 201);
    assert.equal(replayed(answer), undefined);
  });

  test("twins in flight are one purchase; others at once spend no more than there is", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 30);
    const key = unique("k-");
    const twins = await Promise.all(Array.from({ length: 8 }, () => buy(ann, reward_id, { key })));
    for (const answer of twins) expectStatus(answer, 201, 202);
    assert.equal(new Set(twins.map(({ body }) => body.redemption_id)).size, 1);
    await settledAs(ann, twins[0].body.redemption_id, "granted");
    assert.equal(await pointsOf(ann), 70);
    const rivals = await Promise.all(Array.from({ length: 12 }, () => buy(ann, reward_id)));
    const decided = await Promise.all(
      rivals.map(async (answer) => {
        if (answer.status !== 202) return answer.body.code ?? answer.body.status;
        const { status, refusal } = (await until(() => ann.get(`/v1/redemptions/${answer.body.redemption_id}`), ({ body }) => body.status !== "redeeming")).body;
        return refusal?.code ?? status;
      }),
    );
    assert.deepEqual(decided.sort(), [...Array.from({ length: 2 }, () => "granted"), ...Array.from({ length: 10 }, () => "insufficient_points")]);
    const { wallet } = await assertReplays(ann);
    assert.equal(wallet.points, 10);
  });
});

describe("asked to answer at once", () => {
  test("202 while it goes on; the result arrives live and stays", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10);
    const feed = await openFeed(edge.url, ann.token);
    const key = unique("k-");
    const answer = await buy(ann, reward_id, { key, quantity: 4, headers: atOnce });
    const accepted = expectStatus(answer, 202);
    assert.deepEqual([accepted.status, answer.headers["preference-applied"]], ["redeeming", "respond-async"]);
    const ofThis = ({ type, data }) => type === "redemption.updated" && data.redemption_id === accepted.redemption_id && data.status === "granted";
    const told = (await feed.eventsUntil(ofThis)).at(-1).data;
    assertRedemption(told);
    assert.deepEqual([told.quantity, told.points_spent], [4, 40]);
    assert.deepEqual(await settledAs(ann, accepted.redemption_id, "granted"), told);
    feed.close();
    const again = await buy(ann, reward_id, { key, quantity: 4 });
    assert.deepEqual([expectStatus(again, 201).redemption_id, replayed(again)], [accepted.redemption_id, "true"]);
    assert.equal(await pointsOf(ann), 60);
    const wallets = (await feedOf(ann)).filter(({ type }) => type === "wallet.updated");
    assert.equal(wallets.at(-1).data.points, 60);
  });

  test("a later refusal is the redemption's state, and is told live", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 3);
    const reward_id = await forSale(shop, 10);
    const { redemption_id } = expectStatus(await buy(ann, reward_id, { quantity: 2, headers: atOnce }), 202);
    const refused = await settledAs(ann, redemption_id, "refused");
    assert.deepEqual([refused.refusal.code, refused.refusal.points_needed], ["insufficient_points", 17]);
    assert.ok((await feedOf(ann)).some(({ type, data }) => type === "redemption.updated" && data.redemption_id === redemption_id && data.status === "refused"));
    assert.equal(await pointsOf(ann), 3);
  });

  test("what is malformed or unknown is refused at once all the same", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 10);
    expectProblem(await buy(ann, reward_id, { quantity: 101, headers: atOnce }), 400, "invalid_request");
    expectProblem(await buy(ann, unique("no-"), { headers: atOnce }), 404, "not_found");
    expectProblem(await ann.post("/v1/redemptions", { reward_id }, { headers: atOnce }), 400, "idempotency_key_required");
    assert.deepEqual(await historyOf(ann), []);
  });
});

describe("malformed purchases change nothing", () => {
  const quantities = [0, 101, 1.5, "5", null, -1, 1e21, true, [1], {}, "", 2 ** 53];
  test(`quantity ${quantities.map((one) => JSON.stringify(one)).join(", ")}`, async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 10_000);
    const reward_id = await forSale(shop, 1);
    for (const quantity of quantities) {
      const { errors } = expectProblem(await buy(ann, reward_id, { quantity }), 400, "invalid_request");
      assert.ok(errors.some(({ path }) => path === "quantity"), JSON.stringify(errors));
    }
    assert.deepEqual([await pointsOf(ann), await historyOf(ann)], [10_000, []]);
  });

  test("NaN and a number that is none are broken bodies", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 1);
    for (const text of ["NaN", "01", "+1", "1.", "0x2", "2e", "1 2"]) {
      const answer = await ann.post("/v1/redemptions", `{"reward_id":"${reward_id}","quantity":${text}}`, { key: unique("k-"), headers: { "content-type": "application/json" } });
      expectProblem(answer, 400, "invalid_request");
    }
    assert.equal(await pointsOf(ann), 100);
  });

  test("other fields", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const reward_id = await forSale(shop, 1);
    const { code } = await shop.withCodes();
    const rows = [
      [{ reward_id: 7 }, "reward_id"],
      [{ reward_id: null }, "reward_id"],
      [{ reward_id: [reward_id] }, "reward_id"],
      [{ reward_id, code }, "reward_id"],
      [{ reward_id, points_cost: 0 }, "points_cost"],
      [{ reward_id, unit_cost: 0 }, "unit_cost"],
      [{ reward_id, kind: "gift" }, "kind"],
      [{ reward_id, surprise: 1 }, "surprise"],
    ];
    for (const [body, path] of rows) {
      const { errors } = expectProblem(await ann.post("/v1/redemptions", body, { key: unique("k-") }), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.includes(path)), `${JSON.stringify(body)}: ${JSON.stringify(errors)}`);
    }
    assert.deepEqual([await pointsOf(ann), await historyOf(ann)], [100, []]);
  });
});

describe("refusals", () => {
  test("an unknown reward, and another merchant's, are not found; nothing is recorded", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const foreign = await forSale(openShop(edge), 1);
    for (const reward_id of [unique("no-"), foreign, "a/b", "x".repeat(300)]) {
      const answer = await buy(ann, reward_id);
      expectStatus(answer, 404, 400);
      if (answer.status === 404) assert.equal(answer.body.code, "not_found");
    }
    expectProblem(await buy(ann, foreign), 404, "not_found");
    assert.deepEqual([await pointsOf(ann), await historyOf(ann)], [100, []]);
  });

  test("reward_not_for_sale without a price, and it is in the history", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const { reward_id } = await shop.reward();
    expectProblem(await buy(ann, reward_id), 409, "reward_not_for_sale");
    const [row, ...others] = await historyOf(ann);
    assertRedemption(row);
    assert.deepEqual([row.status, row.kind, row.refusal.code, others], ["refused", "points", "reward_not_for_sale", []]);
    assert.deepEqual([await pointsOf(ann), await creditOf(ann)], [100, 0]);
  });

  test("insufficient_points says what is missing, for the whole quantity", async () => {
    const shop = openShop(edge);
    const reward_id = await forSale(shop, 40);
    for (const [points, quantity, points_needed] of [[0, 1, 40], [39, 1, 1], [40, 2, 40], [3999, 100, 1], [79, 2, 1]]) {
      const ann = await memberWith(shop, points);
      const answer = await buy(ann, reward_id, { quantity });
      const body = expectProblem(answer, 409, "insufficient_points", { points_needed });
      assert.equal(body.quote_id, undefined, "quotes are a till's");
      const { wallet } = await assertReplays(ann);
      assert.equal(wallet.points, points, "nothing is taken, not even a part");
      assert.deepEqual(await rewardsOf(ann), []);
    }
  });

  test("a cost beyond what a number can hold is never affordable", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 1000);
    const reward_id = await forSale(shop, 2 ** 53 - 1);
    const { errors } = expectProblem(await buy(ann, reward_id, { quantity: 100 }), 400, "invalid_request");
    assert.ok(errors.some(({ path }) => path === "quantity"), JSON.stringify(errors));
    expectProblem(await buy(ann, reward_id), 409, "insufficient_points", { points_needed: 2 ** 53 - 1 - 1000 });
    assert.equal(await pointsOf(ann), 1000);
  });

  test("not_eligible names what is unmet, by the member's stored attributes", async () => {
    const shop = openShop(edge);
    const rows = [
      [{ tiers: ["gold", "silver"] }, ["tier"], { tier: "gold" }],
      [{ personas: ["runner"] }, ["persona"], { persona: "runner" }],
      [{ tags_any: ["early", "press"] }, ["tag"], { tags: ["x", "press"] }],
      [{ tags_none: ["blocked"] }, ["tag"], { tags: [] }, { tags: ["blocked"] }],
      [{ tiers: ["gold"], personas: ["runner"], tags_any: ["vip"] }, ["tier", "persona", "tag"], { tier: "gold", persona: "runner", tags: ["vip"] }],
    ];
    for (const [eligibility, unmet, good, bad = {}] of rows) {
      const reward_id = await forSale(shop, 10, { eligibility });
      const sub = unique("u-");
      await earn(shop, { sub }, 100);
      expectProblem(await buy(shop.member(bad, sub), reward_id), 403, "not_eligible", { unmet });
      const ann = shop.member(good, sub);
      await bought(ann, reward_id);
      assert.equal(await pointsOf(ann), 90);
    }
  });

  test("roles are those that an administrator stored", async () => {
    const shop = openShop(edge);
    const reward_id = await forSale(shop, 10, { eligibility: { roles: ["vip"] } });
    const ann = await memberWith(shop, 100);
    expectProblem(await buy(ann, reward_id), 403, "not_eligible", { unmet: ["role"] });
    expectStatus(await shop.admin.put(`/v1/members/${ann.sub}`, { roles: ["vip"] }), 200);
    await bought(ann, reward_id);
  });

  test("in the published order: not_eligible, reward_not_for_sale, insufficient_points", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const eligibility = { tiers: ["gold"] };
    expectProblem(await buy(ann, await forSale(shop, undefined, { eligibility })), 403, "not_eligible");
    expectProblem(await buy(ann, await forSale(shop, 10, { eligibility })), 403, "not_eligible");
    expectProblem(await buy(ann, await forSale(shop, undefined)), 409, "reward_not_for_sale");
    expectProblem(await buy(ann, await forSale(shop, 10)), 409, "insufficient_points");
    await walletOf(ann);
    assert.deepEqual((await historyOf(ann)).map(({ refusal }) => refusal.code), ["insufficient_points", "reward_not_for_sale", "not_eligible", "not_eligible"]);
  });
});
