// Every rule about trade can fail: one member's books are right, then one thing in them is made wrong, and the verdict names it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { judgePool, judgeTrade } from "./judge-trading.mjs";

/** A member who bought two promo codes, returned one more, earned once, and paid one order with credit. */
function world() {
  const account = { sub: "member-1", wrong: (text) => book.wrong(`member-1: ${text}`), events: new Map() };
  const book = { violations: [], wrong: (text) => book.violations.push(text) };
  const purchase = (id, status, codes) => ({ redemption_id: id, kind: "points", status, points_spent: 5 * codes.length, quantity: codes.length, ledger: codes.map((promo_code) => ({ ledger_id: `le-${promo_code}`, quantity: 1, promo_code })) });
  const paid = (redemption_id, promo_code) => ({ ledger_id: `le-${promo_code}`, asset: "points", amount: -5, kind: "redemption", redemption_id, promo_code });
  const standing = {
    history: [purchase("a", "granted", ["P-1", "P-2"]), purchase("b", "reversed", ["P-3"])],
    rows: [
      paid("a", "P-1"),
      paid("a", "P-2"),
      paid("b", "P-3"),
      { ledger_id: "le-back", asset: "points", amount: 5, kind: "reversal", redemption_id: "b", reverses: "le-P-3" },
      { ledger_id: "le-adj", asset: "points", amount: 100, kind: "adjustment" },
      { ledger_id: "le-hold", asset: "credit", amount: -40, kind: "hold", order: "o-1" },
    ],
  };
  ["P-1", "P-2", "P-3"].forEach((promo_code, at) => account.events.set(at + 1, JSON.stringify({ seq: at + 1, type: "pool.assigned", data: { promo_code, ledger_id: `le-${promo_code}`, redemption_id: at < 2 ? "a" : "b" } })));
  const trade = {
    pool_id: "vouchers",
    stock: new Set(["P-1", "P-2", "P-3", "P-4"]),
    adjustments: [{ account, ledger_id: "le-adj" }],
    reversals: [{ account, id: "b", answered: true }],
    checkouts: [{ account, order: "o-1", ending: "commit", hold: { hold_id: "ho" }, ended: { applied_minor: 40 } }],
  };
  const pool = { free: 1, used: 2, quarantined: 1 };
  return { account, book, standing, trade, pool, verified: { ok: true, violations: [] } };
}

async function verdictsOn(spoil) {
  const it = world();
  spoil(it);
  const codes = judgeTrade(it.trade, it.book, [[it.account, it.standing]]);
  const admin = { get: async () => ({ body: it.pool }), post: async () => ({ status: 200, body: it.verified, text: JSON.stringify(it.verified) }) };
  await judgePool({ trade: it.trade, book: it.book, admin }, codes, 30);
  return it.book.violations;
}

test("cleared: books that are right", async () => assert.deepEqual(await verdictsOn(() => {}), []));

const wrongs = [
  ["a promo code was handed out twice", /promo code P-1 was handed out twice/, ({ standing }) => (standing.history[1].ledger[0].promo_code = "P-1")],
  ["a promo code came from nowhere", /P-9 is of no upload/, ({ standing }) => (standing.history[0].ledger[0].promo_code = "P-9")],
  ["a purchase was never paid", /cost 5 points instead of 10/, ({ standing }) => standing.rows.shift()],
  ["a purchase was paid twice", /cost 15 points instead of 10/, ({ standing }) => standing.rows.push({ ...standing.rows[0], ledger_id: "le-x" })],
  ["a reversal returned nothing", /reversed and cost 5 points instead of 0/, ({ standing }) => standing.rows.splice(3, 1)],
  ["a reversal returned twice", /reversed and cost -5 points/, ({ standing }) => standing.rows.push({ ...standing.rows[3], ledger_id: "le-x" })],
  ["a reversal names no row", /has no match/, ({ standing }) => delete standing.rows[3].reverses],
  ["a reversal was acknowledged and is gone", /was acknowledged, and it is granted/, ({ standing }) => (standing.history[1].status = "granted")],
  ["a promo code of several is missing", /of 2 has 1 promo codes/, ({ standing }) => standing.history[0].ledger.pop()],
  ["an adjustment is missing", /0 adjustments, 1 ordered/, ({ standing }) => standing.rows.splice(4, 1)],
  ["an adjustment came twice", /2 adjustments, 1 ordered/, ({ standing }) => standing.rows.push({ ...standing.rows[4] })],
  ["an adjustment was never ordered", /never ordered/, ({ trade }) => (trade.adjustments = [])],
  ["an order cost too little", /cost 0 instead of 40/, ({ standing }) => standing.rows.splice(5, 1)],
  ["an order was paid twice", /cost 80 instead of 40/, ({ standing }) => standing.rows.push({ ...standing.rows[5], ledger_id: "le-x" })],
  ["a released order cost something", /\(release\) cost 40 instead of 0/, ({ trade }) => Object.assign(trade.checkouts[0], { ending: "release" })],
  ["an order was never ended", /never ended/, ({ trade }) => delete trade.checkouts[0].ended],
  ["nobody placed an order", /nobody placed/, ({ standing }) => (standing.rows[5].order = "o-9")],
  ["a promo code was not told", /P-2 was told 0 times/, ({ account }) => account.events.delete(2)],
  ["a promo code was told twice", /P-2 was told 2 times/, ({ account }) => account.events.set(9, account.events.get(2))],
  ["a promo code was told and taken", /told and is in no ledger/, ({ account }) => account.events.set(9, JSON.stringify({ type: "pool.assigned", data: { promo_code: "P-4", ledger_id: "x" } }))],
  ["a promo code was told of another row", /another row than/, ({ account }) => account.events.set(2, account.events.get(2).replace("le-P-2", "le-P-1"))],
  ["the pool lost a code", /the pool has/, ({ pool }) => (pool.free = 0)],
  ["the pool gave a returned code back at once", /the pool has/, ({ pool }) => Object.assign(pool, { free: 2, quarantined: 0 })],
  ["the server's own check finds something", /own check of the pool/, ({ verified }) => Object.assign(verified, { ok: false, violations: [{ invariant: "I2" }] })],
];
for (const [name, verdict, spoil] of wrongs) {
  test(`convicted: ${name}`, async () => {
    const verdicts = await verdictsOn(spoil);
    assert.ok(verdicts.some((text) => verdict.test(text)), `${verdict} is not among ${JSON.stringify(verdicts, undefined, 2)}`);
  });
}
