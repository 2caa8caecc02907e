// Steps of a checkout that the suites of holds share.
import assert from "node:assert/strict";
import { everyItem, expectStatus } from "./client.mjs";
import { define } from "./rewards.mjs";
import { INSTANT } from "./shop.mjs";

export const eur = (amount_minor) => ({ currency: "EUR", amount_minor });
export const HOLD_MS = 15 * 60_000;

const at = (order) => `/v1/orders/${encodeURIComponent(order)}`;

/** Asks for a hold against an order of 100.00 EUR unless told; answers the response. */
export const hold = (client, order, fields, { key, headers } = {}) => client.post(`${at(order)}/holds`, { total: eur(10_000), ...fields }, { key, headers });

// `reward` is there where a resting reward is held instead of a code.
const FIELDS = ["hold_id", "order", "redemption_id", "reward", "applied_minor", "remaining_minor", "expires_at", "state"];

export function assertHold(body) {
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !FIELDS.includes(name)), [], says);
  for (const name of ["hold_id", "order"]) assert.equal(typeof body[name], "string", says);
  for (const name of ["applied_minor", "remaining_minor"]) assert.ok(Number.isSafeInteger(body[name]) && body[name] >= 0, `${name} of ${says}`);
  assert.match(body.expires_at, INSTANT, says);
  assert.ok(["held", "used", "released", "expired"].includes(body.state), says);
}

/** Holds and answers the hold, which lasts fifteen minutes. */
export async function held(client, order, fields, options) {
  const answer = await hold(client, order, fields, options);
  const body = expectStatus(answer, 201);
  assertHold(body);
  assert.deepEqual([body.order, body.state], [order, "held"], answer.text);
  assert.ok(Math.abs(Date.parse(body.expires_at) - Date.now() - HOLD_MS) < 30_000, body.expires_at);
  return body;
}

/** All holds of an order, and those of them that live. */
export async function holdsOf(client, order) {
  const items = await everyItem(client, `${at(order)}/holds`);
  items.forEach(assertHold);
  return items;
}
export const liveHoldsOf = async (client, order) => (await holdsOf(client, order)).filter(({ state }) => state === "held");

/** One hold of an order by its id. */
export const holdOf = async (client, { order, hold_id }) => (await holdsOf(client, order)).find((one) => one.hold_id === hold_id);

export const letGo = (client, { order, hold_id }) => client.delete(`${at(order)}/holds/${hold_id}`);

/** What only the shop's server may do with an order. */
export const commit = (shop, client, order, fields = {}, { by = shop.service, ...options } = {}) => by.post(`${at(order)}/commit`, { member_id: client.sub, ...fields }, options);
export const release = (shop, client, order, fields = {}, { by = shop.service, ...options } = {}) => by.post(`${at(order)}/release`, { member_id: client.sub, ...fields }, options);

/** Commits and answers what was applied; the shape is the same for a release. */
export async function committed(shop, client, order, fields) {
  const body = expectStatus(await commit(shop, client, order, fields), 200);
  assert.deepEqual(Object.keys(body).filter((name) => !["order", "holds", "total", "applied_minor", "remaining_minor"].includes(name)), [], JSON.stringify(body));
  assert.equal(body.order, order);
  body.holds.forEach(assertHold);
  return body;
}

/** An active campaign of a discount and codes of it: `{campaign, reward_id, codes, code}`. */
export async function discountCodes(shop, value, { count = 1, ...fields } = {}) {
  return shop.withCodes(count, { reward_id: await define(shop, "discount", { value }), ...fields });
}

/** An active campaign of credit and codes of it. */
export async function creditCodes(shop, amount_minor, { count = 1, currency = "EUR", ...fields } = {}) {
  return shop.withCodes(count, { reward_id: await define(shop, "credit", { value: { currency, amount_minor } }), ...fields });
}
