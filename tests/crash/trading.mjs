// What shops do while the server dies: points earned, rewards bought online and at tills, promo codes refilled, sales reversed,
// credit held for an order and paid. Whatever has a key is repeated until it is answered.
import { expectStatus } from "../http/client.mjs";
import { inGroups, sendIntent, together } from "./sending.mjs";

/** What the shop sells. `pooled` rewards hand out a promo code for each unit. */
export const forSale = Object.freeze({
  coffee: { cost: 10, fields: { type: "external", value: { reference: "coffee" } } },
  voucher: { cost: 5, fields: { type: "external", value: { reference: "voucher" } }, pooled: true },
});

const pathOf = (account) => `/v1/members/${encodeURIComponent(account.sub)}`;

/** Rewards for sale, a pool with its first promo codes, and a campaign whose codes are held for orders. */
export async function openCounter(stage) {
  const pool = expectStatus(await stage.admin.post("/v1/pools", { pool_id: "vouchers", name: "Vouchers", alert_below: 0 }), 201);
  stage.trade = {
    pool_id: pool.pool_id,
    /** Everything that was ever sent to the pool. */
    stock: new Set(),
    uploads: [],
    adjustments: [],
    reversals: [],
    checkouts: [],
    tills: ["till-1", "till-2"].map((sub) => stage.person(sub, "staff")),
    manager: stage.person("manager-1", "manager"),
    service: stage.person("shop-server", "service"),
  };
  for (const [reward_id, { cost, fields, pooled }] of Object.entries(forSale)) {
    await stage.shop.reward({ reward_id, name: reward_id, ...fields, points_cost: cost, ...(pooled && { pool_id: pool.pool_id }) });
  }
  const held = await stage.shop.campaign({ reward_id: stage.rewards.credit });
  stage.campaigns.held = held.campaign;
  stage.book.campaigns.set(held.campaign, { limits: {} });
  await sendUpload(stage, upload(stage, 60));
}

/** Points and credit for a new cohort, so that there is something to spend from the first moment. */
export async function endow(stage, { points = 300 } = {}) {
  for (const account of stage.cohort) {
    for (const fields of [{ asset: "points", amount: points }, { asset: "credit", amount_minor: 2000, currency: "EUR" }]) {
      await sendAdjustment(stage, adjustment(stage, account, `endow-${account.sub}-${fields.asset}-${points}`, fields));
    }
  }
}

// ---- people ----------------------------------------------------------------------------------------------------------

/** Buys online with points, one or several, sometimes twice at once under one key. */
export function buyer(stage, random) {
  return async () => {
    const account = random.pick(stage.cohort);
    const reward_id = random.pick(Object.keys(forSale));
    const quantity = random.percent(60) ? 1 : random.between(2, 5);
    const key = random.key("y");
    const intent = stage.book.intend(account, key, key, "bought", { body: { reward_id, quantity }, other: { reward_id, quantity: quantity + 1 } });
    const async = random.percent(20);
    if (random.percent(15)) await together([sendIntent(intent, { async }), sendIntent(intent)]);
    else await sendIntent(intent, { async });
  };
}

/** Stands at a till: asks a price, confirms it, sometimes from two tills with a key each. */
export function clerk(stage, random) {
  return async () => {
    const account = random.pick(stage.cohort);
    const reward_id = random.pick(Object.keys(forSale));
    const caller = random.pick(stage.trade.tills);
    const { status, body, text } = await caller.post("/v1/till/quotes", { member_id: account.sub, reward_id, quantity: random.between(1, 3), again: true });
    if (status === 409 && body.code === "insufficient_points") return;
    if (status !== 201) return void stage.book.wrong(`a quote for ${account.sub} answered ${status} ${text}`);
    // Goodwill is a manager's: to staff it is forbidden, whatever the key.
    const other = (by) => (by === stage.trade.manager ? { override: { reason: "another" } } : undefined);
    const confirm = (by) => stage.book.intend(account, body.quote_id, random.key("q"), "quoted", { caller: by, path: `/v1/till/quotes/${body.quote_id}/confirm`, body: {}, other: other(by) });
    const intents = random.percent(25) ? [confirm(caller), confirm(stage.trade.manager)] : [confirm(caller)];
    await together(intents.map((intent) => sendIntent(intent)));
  };
}

/** Takes sales back that were granted. */
export function reverser(stage, random) {
  return async () => {
    const taken = new Set(stage.trade.reversals.map(({ id }) => id));
    const open = stage.book.intents.filter(({ purpose, id, account }) => ["bought", "quoted"].includes(purpose) && id !== undefined && !taken.has(id) && account.redemptions.get(id)?.statuses.has("granted"));
    // Most of what is sold stays sold.
    if (open.length === 0 || random.percent(60)) return void (await stage.admin.get("/healthz"));
    const { account, id } = random.pick(open);
    const reversal = { account, id, key: random.key("v"), answered: false };
    stage.trade.reversals.push(reversal);
    await sendReversal(stage, reversal);
  };
}

/** Earns and spends, and brings new promo codes now and then. */
export function supplier(stage, random) {
  return async () => {
    if (random.percent(15)) return void (await sendUpload(stage, upload(stage, random.between(5, 40), random)));
    const account = random.pick(stage.cohort);
    await sendAdjustment(stage, adjustment(stage, account, random.key("e"), { asset: "points", amount: random.between(1, 40) }));
  };
}

/** Holds credit or a code for an order; the shop's server commits or releases it. */
export function shopper(stage, random) {
  return async () => {
    const account = random.pick(stage.cohort);
    const code = random.percent(40) ? stage.codes.held.pop()?.code : undefined;
    const key = random.key("o");
    const what = code === undefined ? { credit_minor: random.between(1, 300) } : { code };
    const checkout = { account, order: key, key, body: { ...what, total: { currency: "EUR", amount_minor: 400 } }, ending: random.pick(["commit", "release"]) };
    stage.trade.checkouts.push(checkout);
    await sendHold(stage, checkout);
    if (checkout.hold !== undefined && random.percent(80)) await sendEnding(stage, checkout);
  };
}

// ---- sending, and sending again --------------------------------------------------------------------------------------

function adjustment(stage, account, key, fields) {
  const one = { account, key, body: { reason: "a visit", ...fields } };
  stage.trade.adjustments.push(one);
  return one;
}

async function sendAdjustment(stage, one) {
  const { account, key, body } = one;
  const answer = await stage.trade.service.post(`${pathOf(account)}/adjustments`, body, { key });
  if (answer.status === 503) return;
  if (answer.status !== 201) return void stage.book.wrong(`adjusting ${account.sub} answered ${answer.status} ${answer.text}`);
  const { ledger_id } = answer.body;
  if (one.ledger_id !== undefined && one.ledger_id !== ledger_id) account.wrong(`key ${key} wrote ledger rows ${one.ledger_id} and ${ledger_id}`);
  one.ledger_id = ledger_id;
  account.hearRow(answer.body);
}

function upload(stage, count, random) {
  const number = stage.trade.uploads.length;
  const codes = Array.from({ length: count }, (_, at) => `PROMO-${number}-${at}`);
  const one = { key: `upload-${number}-${random?.key("u") ?? "first"}`, codes, answered: false };
  stage.trade.uploads.push(one);
  codes.forEach((code) => stage.trade.stock.add(code));
  return one;
}

async function sendUpload(stage, one) {
  const { key, codes } = one;
  const { status, body, text } = await stage.admin.post(`/v1/pools/${stage.trade.pool_id}/codes`, codes.join("\n"), { key, headers: { "content-type": "text/plain" } });
  if (status === 503) return;
  if (status !== 200) return void stage.book.wrong(`an upload answered ${status} ${text}`);
  if (body.added + body.duplicates !== codes.length) stage.book.wrong(`an upload of ${codes.length} counted ${text}`);
  one.answered = true;
}

async function sendReversal(stage, one) {
  const { account, id, key } = one;
  const { status, body, text } = await stage.trade.manager.post(`/v1/redemptions/${id}/reversal`, { reason: "a kill test" }, { key });
  if (status === 503) return;
  if (status !== 200) return void stage.book.wrong(`reversing ${id} answered ${status} ${text}`);
  if (body.status !== "reversed") account.wrong(`reversed, ${id} is ${body.status}`);
  account.hearRedemption(body);
  one.answered = true;
}

async function sendHold(stage, checkout) {
  const { account, order, key, body } = checkout;
  const answer = await account.caller.post(`/v1/orders/${order}/holds`, body, { key });
  if (answer.status === 503) return;
  // Credit that was spent meanwhile cannot be held; a code is this order's alone.
  if (answer.status === 409 && answer.body.code === "value_spent" && body.code === undefined) checkout.refused = true;
  else if (answer.status !== 201) return void stage.book.wrong(`a hold of ${account.sub} answered ${answer.status} ${answer.text}`);
  else {
    if (checkout.hold !== undefined && checkout.hold.hold_id !== answer.body.hold_id) account.wrong(`key ${key} made holds ${checkout.hold.hold_id} and ${answer.body.hold_id}`);
    checkout.hold = answer.body;
    if (answer.body.redemption_id !== undefined) stage.book.otherIds.add(answer.body.redemption_id);
  }
}

async function sendEnding(stage, checkout) {
  const { account, order, ending } = checkout;
  const { status, body, text } = await stage.trade.service.post(`/v1/orders/${order}/${ending}`, { member_id: account.sub });
  if (status === 503) return;
  if (status !== 200) return void stage.book.wrong(`${ending} of ${order} answered ${status} ${text}`);
  const expected = ending === "commit" ? "used" : "released";
  for (const { state } of body.holds) if (state !== expected) account.wrong(`after ${ending} a hold of ${order} is ${state}`);
  checkout.ended = body;
}

/** After a restart or at rest: repeats whatever was not answered, and ends the orders that are still open. */
export async function repeatTrade(stage) {
  const { adjustments, uploads, reversals, checkouts } = stage.trade;
  await inGroups(adjustments.filter(({ ledger_id }) => ledger_id === undefined), 16, (one) => sendAdjustment(stage, one));
  await inGroups(uploads.filter(({ answered }) => !answered), 4, (one) => sendUpload(stage, one));
  await inGroups(reversals.filter(({ answered }) => !answered), 16, (one) => sendReversal(stage, one));
  await inGroups(checkouts.filter(({ hold, refused }) => hold === undefined && !refused), 16, (one) => sendHold(stage, one));
  await inGroups(checkouts.filter(({ hold, ended }) => hold !== undefined && ended === undefined), 16, (one) => sendEnding(stage, one));
}

/** A few things that were answered are asked for again: the answer is the same, the effect was once. */
export async function replayTrade(stage, random) {
  const { adjustments, reversals, checkouts } = stage.trade;
  const some = (list, fits) => random.sample(list.filter(fits), 5);
  for (const one of some(adjustments, ({ ledger_id }) => ledger_id !== undefined)) await sendAdjustment(stage, one);
  for (const one of some(reversals, ({ answered }) => answered)) await sendReversal(stage, one);
  for (const one of some(checkouts, ({ ended }) => ended !== undefined)) await sendEnding(stage, one);
}
