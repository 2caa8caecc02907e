// A day of a shop: a queue at several tills, an online shop beside them, an office that corrects and refills. Hundreds of seeded
// operations against a model that knows only the description; at the end every wallet, every ledger, every promo code and the
// day's figures must be the model's to the unit.
//
//   SEED=7 node --test tests/http/shop-day.test.mjs
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { chance } from "../crash/random.mjs";
import { expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertVerified } from "./rewards.mjs";
import { granted, historyOf, openShop, redeem, walletOf } from "./shop.mjs";
import { ASSORTMENT, Books, together } from "./shop-day-model.mjs";
import { cancelQuote, confirm, lookup, quote, record, reverse } from "./till.mjs";
import { adjust, assertDistinct, assertReplays, buy, openPool, poolNow, promoCodes, stock, stockBecomes } from "./trade.mjs";

const SEED = process.env.SEED ?? String(Date.now() % 1_000_000_007);
const MEMBERS = 8;
const OPERATIONS = 80;
const CODE_WORTH = 200;
const LAG_MS = 20_000;
/** A sale of the same reward within this time is certainly "just redeemed". */
const SURELY_JUST_MS = 5_000;

const edge = edgeForThisFile();
const day = { handed: [], done: {} };

async function openForBusiness() {
  const shop = openShop(edge);
  const { pool_id, codes } = await openPool(shop, 8, { alert_below: 4 });
  const ids = {};
  for (const [name, { fields, pooled }] of Object.entries(ASSORTMENT)) {
    ids[name] = (await shop.reward({ name, ...fields, ...(pooled && { pool_id }) })).reward_id;
  }
  const { reward_id } = await shop.reward({ value: { currency: "EUR", amount_minor: CODE_WORTH } });
  const campaign = await shop.withCodes(MEMBERS * OPERATIONS, { reward_id });
  Object.assign(day, {
    shop,
    pool_id,
    stock: codes,
    ids,
    campaign: campaign.campaign,
    codes: campaign.codes,
    staff: Array.from({ length: 4 }, (_, at) => shop.as("staff", `staff-${at}`)),
    managers: Array.from({ length: 2 }, (_, at) => shop.as("manager", `manager-${at}`)),
  });
}

/** One customer, with books of her own. */
async function customer(at) {
  const tier = at % 2 === 0 ? "gold" : "plain";
  const member = day.shop.member({ tier }, `customer-${at}-${unique("")}`);
  const phone = `+49151000${String(at).padStart(5, "0")}`;
  await record(day.shop, member, { phone, tier, name: `Customer ${at}` });
  return { member, phone, books: new Books(tier) };
}

const count = (what) => (day.done[what] = (day.done[what] ?? 0) + 1);

/** Sees what a till shows, and holds it against the books. */
async function look(one, random) {
  const { points, rewards, next_reward } = expectStatus(await lookup(random.pick(day.staff), one.phone), 200);
  const { books } = one;
  assert.equal(points, books.balances.points);
  const affordable = Object.keys(ASSORTMENT).filter((name) => books.price(name) <= points);
  assert.deepEqual(rewards.map(({ reward_id }) => reward_id).sort(), affordable.map((name) => day.ids[name]).sort());
  const dearer = Object.keys(ASSORTMENT).map((name) => books.price(name)).filter((cost) => cost > points);
  assert.equal(next_reward?.points_needed, dearer.length > 0 ? Math.min(...dearer) - points : undefined);
}

/** Whether a quote without `again` is refused, allowed, or depends on the very second. */
function justRedeemed({ books }, name) {
  const at = books.bought.get(name);
  return at === undefined ? false : Date.now() - at < SURELY_JUST_MS ? true : undefined;
}

/**
 * Takes what a pool answered into the books; a shortage is true only if there were fewer than asked. `by` is whoever sold it, and
 * nobody where the member bought it.
 */
function settlePurchase({ member, books }, answer, { name, quantity, by, paid }) {
  if (answer.status === 409 && answer.body.code === "insufficient_codes") {
    assert.ok(ASSORTMENT[name].pooled, answer.text);
    assert.ok(answer.body.available < quantity && answer.body.requested === quantity, answer.text);
    assert.equal(answer.body.detail, `Only ${answer.body.available} code(s) available, you requested ${quantity}`);
    books.refuse("insufficient_codes");
    return undefined;
  }
  const redemption = expectStatus(answer, 201);
  assert.equal(redemption.points_spent, paid, `of ${member.sub}: ${answer.text}`);
  assert.equal(redemption.by, by);
  books.sell(redemption.redemption_id, name, quantity, by, paid);
  if (ASSORTMENT[name].pooled) day.handed.push(...redemption.ledger.map(({ promo_code }) => promo_code));
  return redemption;
}

/** A sale at a till, with all that may happen between the price and the yes. */
async function sell(one, random) {
  const { member, books } = one;
  const till = random.pick(day.staff);
  const name = random.percent(30) ? "voucher" : random.pick(Object.keys(ASSORTMENT));
  const quantity = random.percent(70) ? 1 : random.between(2, 4);
  if (name === "booster" && quantity > 1) return;
  const cost = books.price(name) * quantity;
  const just = justRedeemed(one, name);
  if (just === true && random.percent(30)) {
    expectProblem(await quote(till, member, day.ids[name], { quantity }), 409, "just_redeemed");
    return void count("just redeemed");
  }
  const again = just !== false || random.percent(20);
  const offer = await quote(till, member, day.ids[name], { quantity, ...(again && { again }) });
  if (cost > books.balances.points) {
    const { quote_id } = expectProblem(offer, 409, "insufficient_points", { points_needed: cost - books.balances.points });
    return void (await shortSale(one, random, { till, name, quantity, cost, quote_id }));
  }
  const { quote_id, points_cost, points_after } = expectStatus(offer, 201);
  assert.deepEqual([points_cost, points_after], [cost, books.balances.points - cost]);
  if (random.percent(10)) {
    expectStatus(await cancelQuote(till, quote_id), 204);
    expectProblem(await confirm(till, quote_id), 410, "quote_expired", { reason: "cancelled" });
    return void count("cancelled");
  }
  if (random.percent(10)) {
    const second = expectStatus(await quote(till, member, day.ids[name], { again: true }), 201);
    expectProblem(await confirm(till, quote_id), 410, "quote_expired", { reason: "replaced" });
    expectStatus(await cancelQuote(till, second.quote_id), 204);
    return void count("replaced");
  }
  const other = random.pick(day.staff.filter((staff) => staff !== till));
  if (random.percent(10)) expectProblem(await confirm(other, quote_id), 404, "not_found");
  const key = unique("k-");
  const answer = await confirm(till, quote_id, {}, { key });
  const redemption = settlePurchase(one, answer, { name, quantity, by: `staff:${till.sub}`, paid: cost });
  if (redemption === undefined) return void count("short of promo codes");
  if (random.percent(20)) {
    const replay = await confirm(till, quote_id, {}, { key });
    assert.deepEqual([replay.status, replay.headers["idempotent-replayed"], replay.body.redemption_id], [201, "true", redemption.redemption_id]);
    expectProblem(await confirm(till, quote_id), 410, "quote_expired", { reason: "confirmed" });
  }
  count("sold");
}

/** Not enough points: the till is told so again, and now and then a manager is generous. */
async function shortSale(one, random, { till, name, quantity, cost, quote_id }) {
  const { books } = one;
  if (random.percent(50)) {
    expectProblem(await confirm(till, quote_id), 409, "insufficient_points", { points_needed: cost - books.balances.points });
    books.refuse("insufficient_points");
  }
  if (random.percent(20)) expectProblem(await confirm(till, quote_id, { override: { reason: "please" } }), 403, "forbidden");
  if (!random.percent(40)) return void count("short");
  const manager = random.pick(day.managers);
  const paid = books.balances.points;
  const answer = await confirm(manager, quote_id, { override: { reason: "goodwill of the day" } });
  const redemption = settlePurchase(one, answer, { name, quantity, by: `manager:${manager.sub}`, paid });
  if (redemption === undefined) return void count("short of promo codes");
  assert.equal(redemption.goodwill_points, cost - paid);
  count("overridden");
}

async function buyOnline(one, random) {
  const { member, books } = one;
  const name = random.percent(40) ? "voucher" : random.pick(Object.keys(ASSORTMENT).filter((each) => each !== "booster"));
  const quantity = random.percent(50) ? 1 : random.between(2, 6);
  const paid = books.price(name) * quantity;
  const async = random.percent(25);
  const answer = await buy(member, day.ids[name], { quantity, ...(async && { headers: { prefer: "respond-async" } }) });
  if (answer.status === 202) {
    const { body } = await until(() => member.get(`/v1/redemptions/${answer.body.redemption_id}`), ({ body: now }) => ["granted", "refused"].includes(now.status), LAG_MS);
    if (body.status === "refused") {
      assert.ok(body.refusal.code === (paid > books.balances.points ? "insufficient_points" : "insufficient_codes"), JSON.stringify(body));
      return void books.refuse(body.refusal.code);
    }
    return void settlePurchase(one, { status: 201, body, text: JSON.stringify(body) }, { name, quantity, by: undefined, paid });
  }
  if (paid > books.balances.points) {
    expectProblem(answer, 409, "insufficient_points", { points_needed: paid - books.balances.points });
    books.refuse("insufficient_points");
    return void count("short online");
  }
  settlePurchase(one, answer, { name, quantity, by: undefined, paid });
  return void count("bought online");
}

async function redeemCode(one) {
  const { member, books } = one;
  const code = day.codes.pop();
  const { redemption_id } = expectStatus(await redeem(member, code), 201);
  await granted(member, redemption_id);
  books.redeem(redemption_id, code, CODE_WORTH);
  count("redeemed");
}

/** Takes a sale back: by whoever made it, by a manager, or by somebody who may not. */
async function takeBack(one, random) {
  const { books, member } = one;
  const sales = [...books.sales].filter(([, { state }]) => state === "granted");
  if (sales.length === 0) return;
  const [id, sale] = random.pick(sales);
  const seller = day.staff.find(({ sub }) => sale.by === `staff:${sub}`);
  const stranger = day.staff.find((staff) => staff !== seller);
  if (random.percent(20)) {
    expectProblem(await reverse(stranger, id), 403, "forbidden");
    return void count("reversal forbidden");
  }
  const caller = seller ?? random.pick(day.managers);
  const give_back = sale.code !== undefined && random.percent(50);
  const key = unique("k-");
  const fields = give_back ? { give_back } : {};
  const answer = await reverse(caller, id, fields, { key });
  const short_by = books.missing(id);
  if (short_by > 0) {
    expectProblem(answer, 409, "value_spent", { short_by });
    return void count("value spent");
  }
  assert.equal(expectStatus(answer, 200).status, "reversed");
  books.reverse(id);
  if (random.percent(30)) {
    expectStatus(await reverse(caller, id, fields, { key }), 200);
    expectProblem(await reverse(random.pick(day.managers), id), 409, "already_reversed");
  }
  if (give_back) {
    const again = await until(() => redeem(member, sale.code), ({ status, body }) => {
      if (status === 409) books.refuse(body.code);
      return status !== 409;
    }, LAG_MS);
    books.redeem(expectStatus(again, 201).redemption_id, sale.code, CODE_WORTH);
  }
  count("reversed");
}

async function earnPoints(one, random) {
  const { member, books } = one;
  const asset = random.pick(["points", "points", "points", "tokens", "xp"]);
  const amount = random.between(1, 600);
  const due = asset === "xp" ? amount : books.boosted(amount);
  const row = expectStatus(await adjust(day.shop, member, { asset, amount }), 201);
  assert.deepEqual([row.asset, row.amount, row.kind, row.balance_after], [asset, due, "adjustment", books.balances[asset] + due]);
  books.adjust(asset, due);
  count("earned");
}

/** Takes something out of a balance, sometimes more than there is. */
async function correct(one, random) {
  const { member, books } = one;
  const asset = random.pick(["points", "xp", "tokens", "credit"]);
  const amount = random.between(1, 400);
  const by = asset === "credit" ? day.shop.service : random.pick(day.managers);
  const fields = asset === "credit" ? { asset, amount_minor: -amount, currency: "EUR", amount: undefined } : { asset, amount: -amount };
  const answer = await adjust(day.shop, member, { ...fields, reason: "a correction" }, { by });
  const short = amount - books.balances[asset];
  if (short > 0) {
    if (asset === "points") expectProblem(answer, 409, "insufficient_points", { points_needed: short });
    else expectProblem(answer, 409, "value_spent", { short_by: short });
    return void count("not corrected");
  }
  assert.equal(expectStatus(answer, 201).balance_after, books.balances[asset] - amount);
  books.adjust(asset, -amount);
  return void count("corrected");
}

/** Pays an order with credit at the checkout, or thinks better of it. */
async function checkOut(one, random) {
  const { member, books } = one;
  const credit = books.balances.credit;
  if (credit === 0) return;
  const order = unique("o-");
  const held = random.between(1, credit);
  const total = { currency: "EUR", amount_minor: held + random.below(500) };
  const hold = expectStatus(await member.post(`/v1/orders/${order}/holds`, { credit_minor: held, total }, { key: unique("k-") }), 201);
  assert.deepEqual([hold.state, hold.applied_minor, hold.remaining_minor], ["held", held, total.amount_minor - held]);
  if (held < credit && random.percent(30)) {
    expectProblem(await adjust(day.shop, member, { asset: "credit", amount_minor: -(credit - held + 1), currency: "EUR", amount: undefined }), 409, "value_spent", { short_by: 1 });
  }
  const commit = random.percent(60);
  const answer = await day.shop.service.post(`/v1/orders/${order}/${commit ? "commit" : "release"}`, { member_id: member.sub });
  expectStatus(answer, 200);
  if (commit) books.adjust("credit", -held);
  count(commit ? "checked out" : "released");
}

/** Somebody in the office looks at the stock while the queue is being served. */
async function refill(one, random) {
  const { free } = await poolNow(day.shop, day.pool_id);
  if (free >= 4) return;
  const fresh = promoCodes(random.between(1, 12));
  await stock(day.shop, day.pool_id, fresh);
  day.stock.push(...fresh);
  count("refilled");
}

const DEEDS = [
  [20, earnPoints],
  [26, sell],
  [14, buyOnline],
  [10, look],
  [10, takeBack],
  [6, redeemCode],
  [7, correct],
  [7, checkOut],
  [4, refill],
];

function deed(random) {
  let at = random.below(DEEDS.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, act] of DEEDS) {
    if (at < weight) return act;
    at -= weight;
  }
  throw new Error("the weights add up");
}

describe(`a day of a shop, SEED=${SEED}`, () => {
  const served = [];
  before(openForBusiness);

  test(`${MEMBERS} customers, ${MEMBERS * OPERATIONS} operations: everybody is told what is true`, { timeout: 300_000 }, async (t) => {
    for (let at = 0; at < MEMBERS; at += 1) served.push(await customer(at));
    const queues = served.map(async (one, at) => {
      const random = chance(SEED, "customer", at);
      for (let number = 0; number < OPERATIONS; number += 1) {
        const act = deed(random);
        try {
          await act(one, random);
        } catch (error) {
          error.message = `SEED=${SEED}, operation ${number} (${act.name}) of customer ${at}: ${error.message}`;
          throw error;
        }
      }
    });
    const results = await Promise.allSettled(queues);
    for (const { status, reason } of results) if (status === "rejected") throw reason;
    t.diagnostic(JSON.stringify(day.done));
  });

  test("every wallet is the model's, and every ledger replays to it", async () => {
    for (const { member, books } of served) {
      const { wallet } = await assertReplays(member);
      const credit = wallet.credit.find(({ currency }) => currency === "EUR")?.amount_minor ?? 0;
      assert.deepEqual({ points: wallet.points, xp: wallet.xp, tokens: wallet.tokens, credit }, books.balances, member.sub);
      assert.deepEqual(wallet.features, books.features, member.sub);
      assert.equal(wallet.boosters.length, books.boosters, member.sub);
      assert.deepEqual(wallet, await walletOf(member));
    }
  });

  test("every history is the model's", async () => {
    for (const { member, books } of served) {
      const history = await historyOf(member);
      const counts = {};
      for (const { status } of history) counts[status] = (counts[status] ?? 0) + 1;
      assert.deepEqual(counts, together([books.statuses]), member.sub);
      for (const [id, { by, paid, state }] of books.sales) {
        const one = history.find(({ redemption_id }) => redemption_id === id);
        assert.deepEqual([one.status, one.by, one.points_spent ?? 0], [state, by, paid], id);
      }
    }
  });

  test("every promo code was handed out once, and the pool adds up", async () => {
    assertDistinct(day.handed, day.stock);
    const quarantined = served.flatMap(({ books }) => [...books.sales.values()]).filter(({ name, state }) => name === "voucher" && state === "reversed").reduce((sum, { quantity }) => sum + quantity, 0);
    const used = day.handed.length - quarantined;
    await stockBecomes(day.shop, day.pool_id, { free: day.stock.length - day.handed.length, used, quarantined });
  });

  test("the server's own check finds nothing", async () => {
    for (const { member } of served) await assertVerified(day.shop, { member_id: member.sub });
    await assertVerified(day.shop, { pool_id: day.pool_id });
    await assertVerified(day.shop, { campaign: day.campaign });
  });

  test("the day's figures add up", async () => {
    const all = (pick) => together(served.map(({ books }) => pick(books)));
    const expected = { quantities: all(({ quantities }) => quantities), refusals: all(({ refused }) => refused), redemptions: all(({ statuses }) => statuses) };
    const sum = (counts) => Object.values(counts).reduce((total, one) => total + one, 0);
    const nonZero = (counts) => together([counts]);
    let body;
    await until(
      async () => (body = expectStatus(await day.shop.admin.get("/v1/stats"), 200)),
      ({ redemptions, quantities }) => sum(redemptions) === sum(expected.redemptions) && sum(quantities) === sum(expected.quantities),
      LAG_MS,
    ).catch(() => undefined);
    assert.deepEqual({ quantities: nonZero(body.quantities), refusals: nonZero(body.refusals), redemptions: nonZero(body.redemptions) }, expected);
    assert.equal(body.shortages, expected.refusals.insufficient_codes ?? 0);
    const share = expected.quantities[1] / sum(expected.quantities);
    assert.ok(Math.abs(body.share_of_one - share) <= 0.0001 && Math.abs(body.share_of_more - (1 - share)) <= 0.0001, `${body.share_of_one} and ${body.share_of_more} for ${share}`);
    const [pool] = body.pools;
    assert.equal(pool.free, day.stock.length - day.handed.length);
  });
});
