// Balances end at 2^53 - 1, the last integer that every JSON reader can carry. What would go beyond is refused as malformed,
// changes nothing, leaves nothing half done behind, and is not made good later by somebody's clock.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { assertVerified } from "./rewards.mjs";
import { creditOf, historyOf, openShop, redeem } from "./shop.mjs";
import { confirm, confirmed, movingNothing, quoted, reverse, reversed, sold, tillOf } from "./till.mjs";
import { adjust, assertReplays, assertStock, buy, forSale, fund, memberWith, pointsOf, poolForSale, poolNow } from "./trade.mjs";

const edge = edgeForThisFile();
const MAX = Number.MAX_SAFE_INTEGER;
const BEYOND = { type: "credit", value: { currency: "EUR", amount_minor: MAX } };
/** A participant asks what became of its promise after ten seconds, and is answered. */
const SETTLED_MS = 90_000;

describe("a balance that would go beyond all numbers", () => {
  test("by an adjustment", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, MAX);
    await movingNothing(ann, async () => expectProblem(await adjust(shop, ann, { amount: 1 }), 400, "invalid_request"));
    expectStatus(await adjust(shop, ann, { amount: -MAX }), 201);
    assert.equal(await pointsOf(ann), 0);
    await assertReplays(ann);
  });

  test("by a purchase, online and at the till", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    await fund(shop, ann, 1);
    const reward = await forSale(shop, 10, BEYOND);
    const till = tillOf(shop);
    const { quote_id } = await quoted(till, ann, reward);
    await movingNothing(ann, async () => {
      expectProblem(await buy(ann, reward), 400, "invalid_request");
      expectProblem(await confirm(till, quote_id), 400, "invalid_request");
    });
    expectStatus(await adjust(shop, ann, { asset: "credit", amount_minor: -1, currency: "EUR", amount: undefined }), 201);
    await confirmed(till, quote_id);
    assert.equal(await creditOf(ann), MAX);
  });

  test("by points that a reversal returns", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    const till = tillOf(shop);
    const { redemption_id } = await sold(till, ann, await forSale(shop, 100));
    expectStatus(await adjust(shop, ann, { amount: MAX - 50 }), 201);
    await movingNothing(ann, async () => expectProblem(await reverse(till, redemption_id), 400, "invalid_request"));
    expectStatus(await adjust(shop, ann, { amount: -50 }), 201);
    await reversed(till, redemption_id);
    assert.equal(await pointsOf(ann), MAX);
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("by credit that an order gives back: it was counted while it was held", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await fund(shop, ann, 1000);
    const total = { currency: "EUR", amount_minor: 1000 };
    expectStatus(await ann.post("/v1/orders/o-1/holds", { credit_minor: 1000, total }, { key: "hold-1" }), 201);
    const all = { asset: "credit", amount_minor: MAX, currency: "EUR", amount: undefined };
    expectProblem(await adjust(shop, ann, all), 400, "invalid_request");
    expectStatus(await shop.service.post("/v1/orders/o-1/release", { member_id: ann.sub }), 200);
    assert.equal(await creditOf(ann), 1000);
    await assertReplays(ann);
  });

  test("with promo codes: they are free again, and nothing is granted when there is room", { timeout: 2 * SETTLED_MS }, async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100);
    await fund(shop, ann, 1);
    const { pool_id, reward_id } = await poolForSale(shop, 5, 10, BEYOND);
    await movingNothing(ann, async () => expectProblem(await buy(ann, reward_id), 400, "invalid_request"));
    await until(() => poolNow(shop, pool_id), ({ free }) => free === 5, SETTLED_MS);
    expectStatus(await adjust(shop, ann, { asset: "credit", amount_minor: -1, currency: "EUR", amount: undefined }), 201);
    await assertStock(shop, pool_id, { free: 5, used: 0 });
    assert.deepEqual(await historyOf(ann), []);
    await assertVerified(shop, { pool_id });
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("with a code: its use is given back, and it is not redeemed behind anybody's back", { timeout: 2 * SETTLED_MS }, async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    await fund(shop, ann, 1);
    const { reward_id } = await shop.reward(BEYOND);
    const { code, campaign } = await shop.withCodes(1, { reward_id });
    await movingNothing(ann, async () => expectProblem(await redeem(ann, code), 400, "invalid_request"));
    const answer = await until(() => redeem(bob, code), ({ status }) => status !== 409, SETTLED_MS);
    expectStatus(answer, 201);
    expectStatus(await adjust(shop, ann, { asset: "credit", amount_minor: -1, currency: "EUR", amount: undefined }), 201);
    assert.deepEqual([await creditOf(ann), await creditOf(bob)], [0, MAX]);
    assert.deepEqual((await historyOf(ann)).filter(({ status }) => status !== "refused"), []);
    await assertVerified(shop, { campaign });
  });
});
