// Judging a shop's trade at rest: what was paid, what was returned, which promo codes are whose. Purchases, reversals, corrections
// and checkouts are each in the ledger once, and the pool agrees with its customers.
import { until } from "../http/client.mjs";
import { holdsUse } from "./order.mjs";

const settledWithinMs = 30_000;
const sumOf = (rows) => rows.reduce((sum, { amount }) => sum + amount, 0);

/** `standings` is a list of `[account, standing]`; answers where every promo code went. */
export function judgeTrade(trade, book, standings) {
  const codes = { held: [], returned: [] };
  for (const [account, standing] of standings) {
    judgePurchases(account, standing, codes);
    judgeAdjustments(trade, account, standing);
    judgeCheckouts(trade, account, standing);
    judgeCodeEvents(account, standing);
  }
  const all = [...codes.held, ...codes.returned];
  const seen = new Set();
  for (const code of all) {
    if (seen.has(code)) book.wrong(`promo code ${code} was handed out twice`);
    if (!trade.stock.has(code)) book.wrong(`promo code ${code} is of no upload`);
    seen.add(code);
  }
  for (const { id, account, answered } of trade.reversals) {
    const standing = standings.find(([one]) => one === account)?.[1];
    const status = standing?.history.find(({ redemption_id }) => redemption_id === id)?.status;
    if (answered && status !== "reversed") book.wrong(`the reversal of ${id} was acknowledged, and it is ${status}`);
  }
  return codes;
}

/** What was bought with points: paid once while it stands, not at all when it was taken back. */
function judgePurchases(account, { history, rows }, codes) {
  for (const resource of history.filter(({ kind }) => kind === "points")) {
    const { redemption_id: id, status, points_spent = 0, quantity, ledger } = resource;
    const own = rows.filter(({ redemption_id, asset }) => redemption_id === id && asset === "points");
    const paid = -sumOf(own);
    const due = holdsUse(status) ? points_spent : 0;
    if (paid !== due) account.wrong(`purchase ${id} is ${status} and cost ${paid} points instead of ${due}`);
    const promos = ledger.flatMap(({ promo_code }) => promo_code ?? []);
    if (promos.length > 0 && promos.length !== quantity) account.wrong(`purchase ${id} of ${quantity} has ${promos.length} promo codes`);
    if (status === "reversed") {
      codes.returned.push(...promos);
      const back = new Set(own.flatMap(({ reverses }) => reverses ?? []));
      for (const { ledger_id } of ledger) if (!back.has(ledger_id)) account.wrong(`purchase ${id} is reversed, but row ${ledger_id} has no match`);
    } else {
      codes.held.push(...promos);
    }
  }
}

/** Every correction that was ordered is in the ledger once, and no other. */
function judgeAdjustments(trade, account, { rows }) {
  const ordered = trade.adjustments.filter((one) => one.account === account);
  const written = rows.filter(({ kind }) => kind === "adjustment");
  const known = new Set(ordered.map(({ ledger_id }) => ledger_id));
  for (const { ledger_id } of written) if (!known.has(ledger_id)) account.wrong(`adjustment ${ledger_id} was never ordered`);
  if (written.length !== ordered.length) account.wrong(`${written.length} adjustments, ${ordered.length} ordered`);
}

/** An order that was committed cost what its holds applied; one that was released cost nothing. */
function judgeCheckouts(trade, account, { rows }) {
  for (const { order, hold, ended, ending } of trade.checkouts.filter((one) => one.account === account)) {
    const own = rows.filter((row) => row.order === order && ["hold", "release", "order"].includes(row.kind));
    const due = ending === "commit" && ended !== undefined ? ended.applied_minor : 0;
    if (hold !== undefined && ended === undefined) account.wrong(`order ${order} was never ended`);
    if (-sumOf(own) !== due) account.wrong(`order ${order} (${ending}) cost ${-sumOf(own)} instead of ${due}`);
  }
  const known = new Set(trade.checkouts.map(({ order }) => order));
  for (const { order, ledger_id } of rows) if (order !== undefined && !known.has(order)) account.wrong(`row ${ledger_id} is of order ${order}, which nobody placed`);
}

/** Each promo code was told once on the live feed, with the ledger row that it belongs to. */
function judgeCodeEvents(account, { rows }) {
  const told = [...account.events.values()].map((text) => JSON.parse(text)).filter(({ type }) => type === "pool.assigned");
  const counts = new Map();
  for (const { data } of told) counts.set(data.promo_code, (counts.get(data.promo_code) ?? 0) + 1);
  const rowOf = new Map(rows.filter(({ promo_code, kind }) => promo_code !== undefined && kind === "redemption").map((row) => [row.promo_code, row.ledger_id]));
  for (const [code, row] of rowOf) {
    if (counts.get(code) !== 1) account.wrong(`promo code ${code} was told ${counts.get(code) ?? 0} times`);
    if (!told.some(({ data }) => data.promo_code === code && data.ledger_id === row)) account.wrong(`promo code ${code} was told with another row than ${row}`);
  }
  for (const code of counts.keys()) if (!rowOf.has(code)) account.wrong(`promo code ${code} was told and is in no ledger`);
}

/** The pool has what its customers have not: free, used and in quarantine make the stock. */
export async function judgePool(stage, codes, withinMs = settledWithinMs) {
  const { pool_id, stock } = stage.trade;
  const due = { free: stock.size - codes.held.length - codes.returned.length, used: codes.held.length, quarantined: codes.returned.length };
  let now;
  const fits = (pool) => Object.entries(due).every(([name, count]) => pool[name] === count);
  await until(async () => (now = (await stage.admin.get(`/v1/pools/${pool_id}`)).body), fits, withinMs).catch(() => {
    const { free, used, quarantined } = now;
    stage.book.wrong(`the pool has ${JSON.stringify({ free, used, quarantined })}, its customers leave ${JSON.stringify(due)}`);
  });
  const { status, body, text } = await stage.admin.post("/v1/verify", { pool_id });
  if (status !== 200 || !body.ok || body.violations.length > 0) stage.book.wrong(`the server's own check of the pool answered ${status} ${text}`);
}
