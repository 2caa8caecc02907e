// Steps at a till that several suites take: settings, phones, quotes and their confirmation, reversals.
import assert from "node:assert/strict";
import { expectStatus } from "./client.mjs";
import { unique } from "./env.mjs";
import { INSTANT, assertRedemption, ledgerOf, walletOf } from "./shop.mjs";

/** Somebody at a till. */
export const tillOf = (shop, role = "staff") => shop.as(role, unique(`${role}-`));

/** The path of a member for staff. */
export const memberPath = (member) => `/v1/members/${encodeURIComponent(member.sub)}`;

/** Sets fields of a member's record; answers the resource. */
export const record = async (shop, member, fields) => expectStatus(await shop.admin.put(memberPath(member), fields), 200);

/** Changes a reward definition at its present version. */
export async function redefine(shop, reward_id, fields) {
  const path = `/v1/reward-definitions/${reward_id}`;
  const { headers } = await shop.admin.get(path);
  return expectStatus(await shop.admin.patch(path, fields, { headers: { "if-match": headers.etag } }), 200);
}

/** Changes the merchant's settings at their present version. */
export async function set(shop, fields) {
  const { headers } = await shop.admin.get("/v1/settings");
  return expectStatus(await shop.admin.patch("/v1/settings", fields, { headers: { "if-match": headers.etag } }), 200);
}

/** Asks a till's price for a reward; answers the response. */
export const quote = (caller, member, reward_id, fields = {}) => caller.post("/v1/till/quotes", { member_id: member.sub, reward_id, ...fields });

/** A quote that can be paid. */
export async function quoted(caller, member, reward_id, fields) {
  const answer = await quote(caller, member, reward_id, fields);
  const body = expectStatus(answer, 201);
  assertQuote(body);
  return body;
}

/** Asserts the shape of a quote. */
export function assertQuote(body) {
  const says = JSON.stringify(body);
  assert.match(body.quote_id, /^qu_[A-Za-z0-9_.~-]{16,256}$/, says);
  assert.equal(typeof body.reward_name, "string", says);
  for (const name of ["points_cost", "points_after"]) assert.ok(Number.isSafeInteger(body[name]) && body[name] >= 0, `${name} of ${says}`);
  assert.match(body.expires_at, INSTANT, says);
}

/** Confirms a quote under a fresh key unless one is given; answers the response. */
export const confirm = (caller, quote_id, body = {}, { key = unique("k-"), headers } = {}) =>
  caller.post(`/v1/till/quotes/${quote_id}/confirm`, body, { key, headers });

/** Confirms a quote and answers the redemption, granted. */
export async function confirmed(caller, quote_id, body) {
  const redemption = expectStatus(await confirm(caller, quote_id, body), 201);
  assertRedemption(redemption);
  assert.equal(redemption.status, "granted", JSON.stringify(redemption));
  return redemption;
}

/** Quote and confirmation in one: a reward handed over the counter. */
export async function sold(caller, member, reward_id, fields) {
  const { quote_id } = await quoted(caller, member, reward_id, fields);
  return confirmed(caller, quote_id);
}

export const cancelQuote = (caller, quote_id) => caller.delete(`/v1/till/quotes/${quote_id}`);

/** Takes a redemption back, under a fresh key unless one is given; answers the response. */
export const reverse = (caller, redemption_id, fields = {}, { key = unique("k-") } = {}) =>
  caller.post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "a slip of the finger", ...fields }, { key });

/** Takes a redemption back, and answers it. */
export async function reversed(caller, redemption_id, fields) {
  const redemption = expectStatus(await reverse(caller, redemption_id, fields), 200);
  assertRedemption(redemption);
  assert.equal(redemption.status, "reversed", JSON.stringify(redemption));
  return redemption;
}

/** Finds a member by phone; answers the response. */
export const lookup = (caller, phone) => caller.post("/v1/till/lookup", { phone });

/** Wallet and ledger together, to see that nothing moved. */
export const holdingsOf = async (member) => ({ wallet: await walletOf(member), rows: await ledgerOf(member) });

/** Runs `act` and asserts that the member's wallet and ledger are what they were. */
export async function movingNothing(member, act) {
  const before = await holdingsOf(member);
  const result = await act();
  assert.deepEqual(await holdingsOf(member), before, "nothing moved");
  return result;
}
