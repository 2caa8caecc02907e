// Steps that the suites of points, pools and checkouts share: earning, buying, stocking a pool, and what holds of a ledger.
import assert from "node:assert/strict";
import { expectStatus, until } from "./client.mjs";
import { unique } from "./env.mjs";
import { define } from "./rewards.mjs";
import { INSTANT, assertBalanced, assertRedemption, ledgerOf } from "./shop.mjs";

const at = (client) => `/v1/members/${encodeURIComponent(client.sub)}`;

// ---- points ----------------------------------------------------------------------------------------------------------

/** An adjustment under a fresh key unless one is given; answers the response. */
export const adjust = (shop, client, fields, { by = shop.service, ...options } = {}) =>
  by.post(`${at(client)}/adjustments`, { asset: "points", reason: "a parcel sent back", ...fields }, { key: unique("k-"), ...options });

/** Earns (or, below zero, spends) and answers the ledger row. */
export const earn = async (shop, client, amount, fields = {}) => expectStatus(await adjust(shop, client, { amount, ...fields }), 201);

/** Credit in the wallet. */
export const fund = async (shop, client, amount_minor, currency = "EUR") =>
  expectStatus(await adjust(shop, client, { asset: "credit", amount_minor, currency }), 201);

/** A member of the shop with so many points. */
export async function memberWith(shop, points, claims) {
  const client = shop.member(claims);
  if (points > 0) await earn(shop, client, points);
  return client;
}

/** A reward for so many points, a voucher given by reference unless told; answers its id. */
export const forSale = (shop, points_cost, { type = "external", ...changes } = {}) => define(shop, type, { points_cost, ...changes });

/** Buys with a fresh key unless one is given; answers the response. */
export const buy = (client, reward_id, { key = unique("k-"), headers, ...fields } = {}) => client.post("/v1/redemptions", { reward_id, ...fields }, { key, headers });

/** Buys and answers the redemption once it is granted. */
export async function bought(client, reward_id, options) {
  const answer = await buy(client, reward_id, options);
  assertRedemption(expectStatus(answer, 201));
  return settledAs(client, answer.body.redemption_id, "granted");
}

/** The redemption once it is decided, which must be so. */
export async function settledAs(client, id, status, query = "") {
  const answer = await until(() => client.get(`/v1/redemptions/${id}${query}`), ({ body }) => !["redeeming", "redeemed", "granting"].includes(body.status), 10_000);
  assertRedemption(expectStatus(answer, 200));
  assert.equal(answer.body.status, status, answer.text);
  return answer.body;
}

export const pointsOf = async (client) => expectStatus(await client.get("/v1/wallet"), 200).points;
export const catalogueOf = async (client, query = "") => expectStatus(await client.get(`/v1/catalogue${query}`), 200).items;

const ROW = ["ledger_id", "number", "at", "asset", "currency", "feature", "amount", "balance_after", "kind", "redemption_id", "quantity", "promo_code", "by", "reason", "reverses", "order"];
const KINDS_OF_ROWS = ["redemption", "reward", "reversal", "end", "adjustment", "hold", "release", "order"];

/**
 * Asserts that a member's ledger replays to its balances row by row, that no row or receipt number is there twice, and that
 * what is reversed is reversed once; answers `{wallet, rows}` with the newest row first.
 */
export async function assertReplays(client) {
  const { wallet, rows } = await assertBalanced(client);
  const balances = new Map();
  for (const row of [...rows].reverse()) {
    const says = JSON.stringify(row);
    assert.deepEqual(Object.keys(row).filter((name) => !ROW.includes(name)), [], says);
    assert.ok(KINDS_OF_ROWS.includes(row.kind), says);
    assert.match(row.at, INSTANT, says);
    const asset = `${row.asset} ${row.currency ?? row.feature ?? ""}`;
    const balance = (balances.get(asset) ?? 0) + row.amount;
    assert.equal(row.balance_after, balance, `the balance after each row; ${says}`);
    balances.set(asset, balance);
  }
  for (const name of ["ledger_id", "number"]) assert.equal(new Set(rows.map((row) => row[name])).size, rows.length, `${name} of ${JSON.stringify(rows)}`);
  const reversed = rows.flatMap(({ reverses }) => reverses ?? []);
  assert.equal(new Set(reversed).size, reversed.length, "no row is reversed twice");
  for (const id of reversed) assert.ok(rows.some(({ ledger_id }) => ledger_id === id), `${id} is reversed and is there`);
  return { wallet, rows };
}

/** Amounts of one asset's rows, newest first. */
export const amountsOf = async (client, asset = "points") => (await ledgerOf(client)).filter((row) => row.asset === asset).map(({ amount }) => amount);

// ---- pools -----------------------------------------------------------------------------------------------------------

/** So many promo codes that no other pool has. */
export function promoCodes(count, prefix = unique("P-")) {
  return Array.from({ length: count }, (_, place) => `${prefix}-${String(place + 1).padStart(6, "0")}`);
}

/** Sends a text of promo codes; answers the response. */
export const upload = (shop, pool_id, text, { type = "text/plain", by = shop.admin, headers, ...options } = {}) =>
  by.request("POST", `/v1/pools/${pool_id}/codes`, { body: Buffer.isBuffer(text) ? text : Buffer.from(text), headers: { "content-type": type ?? undefined, ...headers }, ...options });

/** Uploads promo codes one a line, all of which must be new. */
export async function stock(shop, pool_id, codes) {
  const body = expectStatus(await upload(shop, pool_id, `${codes.join("\n")}\n`), 200);
  assert.deepEqual([body.added, body.duplicates, body.refused, body.refused_total], [codes.length, 0, [], 0]);
  return body;
}

/** A pool with these promo codes (or so many): `{pool_id, codes}`. */
export async function openPool(shop, codes = [], fields = {}) {
  const made = expectStatus(await shop.admin.post("/v1/pools", { name: "Cinema vouchers", ...fields }), 201);
  const list = typeof codes === "number" ? promoCodes(codes) : codes;
  if (list.length > 0) await stock(shop, made.pool_id, list);
  return { pool_id: made.pool_id, codes: list };
}

/** A pool and a reward of it for so many points: `{pool_id, codes, reward_id}`. */
export async function poolForSale(shop, codes, points_cost, { pool = {}, ...changes } = {}) {
  const opened = await openPool(shop, codes, pool);
  return { ...opened, reward_id: await forSale(shop, points_cost, { pool_id: opened.pool_id, ...changes }) };
}

const POOL = ["pool_id", "name", "free", "used", "quarantined", "alert_below", "depletion_per_day", "runs_out_at"];

export function assertPool(body) {
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !POOL.includes(name)), [], says);
  for (const name of ["pool_id", "name"]) assert.equal(typeof body[name], "string", says);
  for (const name of ["free", "used", "quarantined", "alert_below"]) assert.ok(Number.isSafeInteger(body[name]) && body[name] >= 0, `${name} of ${says}`);
  assert.ok(Number.isFinite(body.depletion_per_day) && body.depletion_per_day >= 0, says);
  if (body.runs_out_at !== undefined) assert.match(body.runs_out_at, INSTANT, says);
}

export async function poolNow(shop, pool_id) {
  const body = expectStatus(await shop.admin.get(`/v1/pools/${pool_id}`), 200);
  assertPool(body);
  return body;
}

/** Asserts how much is free, used and in quarantine. */
export async function assertStock(shop, pool_id, expected) {
  const { free, used, quarantined } = await poolNow(shop, pool_id);
  assert.deepEqual({ free, used, quarantined }, { quarantined: 0, ...expected });
}

/** Waits until so much is free, used and in quarantine; answers the pool. */
export const stockBecomes = (shop, pool_id, expected) =>
  until(
    () => poolNow(shop, pool_id),
    (pool) => Object.entries(expected).every(([name, count]) => pool[name] === count),
    15_000,
  );

/** The promo codes of a redemption, in the order of its ledger rows. */
export const promosOf = ({ ledger }) => ledger.map(({ promo_code }) => promo_code);

/** Asserts that each code is one of the pool's and there once; answers them. */
export function assertDistinct(handedOut, codes) {
  assert.equal(new Set(handedOut).size, handedOut.length, "no promo code twice");
  const all = new Set(codes);
  assert.deepEqual(handedOut.filter((code) => !all.has(code)), [], "every promo code is from the pool");
  return handedOut;
}

