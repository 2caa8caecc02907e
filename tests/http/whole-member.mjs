// A member about whom there is something of everything: what is done, what is running, what waits for them, and what is theirs
// alone. The suites of export and erasure look at the same one.
import assert from "node:assert/strict";
import { expectProblem, expectStatus } from "./client.mjs";
import { creditCodes, discountCodes, held } from "./checkout.mjs";
import { unique } from "./env.mjs";
import { accepts, fulfillerOf, says } from "./fulfiller-double.mjs";
import { define, give, inState, inStatus, move, operate } from "./rewards.mjs";
import { openShop, redeem, redeemed } from "./shop.mjs";
import { quoted, record, sold, tillOf } from "./till.mjs";
import { bought, buy, earn, forSale, fund, poolForSale, promosOf } from "./trade.mjs";

/** Ends what would be tried again by itself, so that two looks at the member are the same. */
export const quieted = async ({ shop, failed }) =>
  expectStatus(await operate(shop.admin, failed.redemption_id, "resolve", { as: "cancelled", reason: "sold out", unknown_outcome: true }), 200);

let last = 0;
export const number = () => `+4915${String(30_000_000 + (last += 1)).padStart(9, "0")}`;

export const WAITING = { player_should_claim: true, automatic_activation: false, valid_for_s: 86_400 };

/** `{shop, ann, bob, …}`: everything that was done, by name. */
export async function wholeMember(t, edge) {
  const shop = openShop(edge);
  const [ann, bob] = [shop.member({}, unique("ann-")), shop.member({}, unique("bob-"))];
  const [phone, bobsPhone] = [number(), number()];
  const [name, bobsName] = [`Ann ${unique("Erasable")}`, `Bob ${unique("Example")}`];
  await record(shop, ann, { phone, name, tier: "gold", persona: "parent", tags: ["vip"], roles: ["wholesale"] });
  await record(shop, bob, { phone: bobsPhone, name: bobsName });
  const listener = await fulfillerOf(t, shop, [says(200)], ["redemption.*", "reward.*"]);
  const slow = await fulfillerOf(t, shop, [accepts]);
  const broken = await fulfillerOf(t, shop, [says(500)]);

  const unique1 = await shop.withCodes(3);
  const granted = await redeemed(ann, unique1.codes[0], { order: "order-of-ann" });
  await redeemed(bob, unique1.codes[1]);
  expectProblem(await redeem(ann, unique1.codes[1]), 409, "already_redeemed");
  const shared = await shop.campaign({ kind: "shared", reward_id: await define(shop, "tokens") });
  const sharedCode = await shop.code(shared.campaign);
  await redeemed(ann, sharedCode);
  const limited = await shop.withCodes(2, { limits: { per_member: 1 } });
  const key = unique("k-");
  expectStatus(await redeem(ann, limited.codes[0], { key }), 201);
  await earn(shop, ann, 1000);
  await earn(shop, bob, 100);
  await fund(shop, ann, 300);
  await give(shop, ann, "xp");
  await give(shop, ann, "feature");
  const unclaimed = await give(shop, ann, "xp", WAITING);
  const pending = await give(shop, ann, "token_booster");
  const running = await give(shop, ann, "level_booster");
  for (const verb of ["claim", "activate"]) await move(ann, running.id, verb).then((answer) => expectStatus(answer, 200, 409));

  const vouchers = await poolForSale(shop, 4, 10);
  const voucher = await bought(ann, vouchers.reward_id, { quantity: 2 });
  const inFlightPool = await poolForSale(shop, 4, 10, { type: "bonus", mechanic: slow.mechanic });
  const inFlight = expectStatus(await buy(ann, inFlightPool.reward_id), 201);
  const slowDelivery = (await slow.fulfiller.deliveries(1))[0];
  await inState(ann, inFlight.rewards[0], "in_progress");
  const failing = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic: broken.mechanic }) });
  const failed = expectStatus(await redeem(ann, failing.code), 201);
  await inStatus(ann, failed.redemption_id, "grant_failed");
  const discount = await discountCodes(shop, { percent: 10 });
  const codeHold = await held(ann, "cart-1", { code: discount.code });
  const creditHold = await held(ann, "cart-2", { credit_minor: 100 });
  const stored = await creditCodes(shop, 700);
  const till = tillOf(shop);
  const coffee = await forSale(shop, 10);
  await sold(till, ann, coffee);
  const quote = await quoted(till, ann, await forSale(shop, 20));
  const campaigns = [unique1, shared, limited, failing, discount, stored].map(({ campaign }) => campaign);
  const pools = [vouchers.pool_id, inFlightPool.pool_id];
  assert.equal(promosOf(voucher).length, 2);
  return {
    shop, ann, bob, phone, bobsPhone, name, bobsName, listener, slow, slowDelivery, broken, codes: unique1.codes, granted, sharedCode, limited, key, unclaimed, pending, running,
    voucher, vouchers, inFlight, inFlightPool, failed, discount, codeHold, creditHold, stored, till, coffee, quote, campaigns, pools,
  };
}
