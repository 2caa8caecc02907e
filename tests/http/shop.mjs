// One merchant of its own for each test, with the steps that most tests begin with.
import assert from "node:assert/strict";
import { everyItem, expectStatus, until } from "./client.mjs";
import * as format from "./code.mjs";
import { clientOf, testVars, unique } from "./env.mjs";

/** Names of a redemption's life, as far as a wallet reward goes. */
export const CONSUMED = ["redeemed", "granting", "granted"];

/** A merchant that nobody used before, and callers in each role. */
export function openShop(edge, merchant = unique("t-")) {
  return new Shop(edge, merchant);
}

class Shop {
  constructor(edge, merchant) {
    this.url = edge.url;
    this.merchant = merchant;
    this.admin = this.as("admin", "admin-1");
    this.service = this.as("service", "shop-server");
  }

  as(role, sub = unique("u-"), claims = {}) {
    const client = clientOf(this.url, { sub, role, merchant: this.merchant, ...claims });
    client.sub = sub;
    return client;
  }

  member(claims = {}, sub = unique("u-")) {
    const client = clientOf(this.url, { sub, merchant: this.merchant, ...claims });
    client.sub = sub;
    return client;
  }

  /** A reward definition; credit of 5.00 EUR unless told. */
  async reward(fields = {}) {
    const body = { name: "Five euros", type: "credit", value: { currency: "EUR", amount_minor: 500 }, ...fields };
    return expectStatus(await this.admin.post("/v1/reward-definitions", body), 201);
  }

  /** A campaign, active unless `draft`. Unique codes of credit unless told. */
  async campaign(fields = {}, { draft = false } = {}) {
    const reward_id = fields.reward_id ?? (await this.reward()).reward_id;
    const body = { name: "Welcome", profile: "S20", kind: "unique", ...fields, reward_id };
    const made = expectStatus(await this.admin.post("/v1/campaigns", body), 201);
    if (!draft) await this.move(made.campaign, "activate");
    return made;
  }

  /** `activate`, `pause` or `end`, in force when it answers. */
  async move(campaign, verb) {
    const answer = await this.admin.post(`/v1/campaigns/${campaign}/${verb}`);
    expectStatus(answer, 200, 202);
    return this.inForce(campaign);
  }

  /** Changes a campaign at its present version; in force when it answers. */
  async change(campaign, fields) {
    const { headers } = await this.admin.get(`/v1/campaigns/${campaign}`);
    const answer = await this.admin.patch(`/v1/campaigns/${campaign}`, fields, { headers: { "if-match": headers.etag } });
    expectStatus(answer, 200, 202);
    return this.inForce(campaign);
  }

  async inForce(campaign) {
    const answer = await until(() => this.admin.get(`/v1/campaigns/${campaign}`), ({ body }) => body.in_force === true);
    return answer.body;
  }

  /** Issues codes by stream: `[{seq, code}]`. */
  async codes(campaign, count = 1, fields = {}) {
    const answer = await this.admin.post(`/v1/campaigns/${campaign}/batches`, { count, format: "jsonl", ...fields });
    expectStatus(answer, 201);
    const rows = answer.text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    assert.equal(rows.length, count);
    return rows;
  }

  /** Issues one code and answers its text. */
  async code(campaign, fields) {
    return (await this.codes(campaign, 1, fields))[0].code;
  }

  /** An active campaign and codes of it. */
  async withCodes(count = 1, fields = {}) {
    const { campaign, reward_id } = await this.campaign(fields);
    const codes = (await this.codes(campaign, count)).map(({ code }) => code);
    return { campaign, reward_id, codes, code: codes[0] };
  }

  /** This merchant's keys of a campaign, by the second implementation of the format. */
  keys(campaign, { profile = format.S20, epoch = 0, merchant = this.merchant, root = testVars[`ROOT_${epoch}`] } = {}) {
    return format.campaignKeys({ root, environment: testVars.ENVIRONMENT, merchant, profile, epoch, campaign });
  }
}

/** Redeems with a fresh key unless one is given. */
export function redeem(client, code, { key = unique("k-"), headers, ...fields } = {}) {
  return client.post("/v1/redemptions", { code, ...fields }, { key, headers });
}

/** Redeems and answers the redemption once it is granted. */
export async function redeemed(client, code, options) {
  const answer = await redeem(client, code, options);
  expectStatus(answer, 201);
  assertRedemption(answer.body);
  assert.ok(CONSUMED.includes(answer.body.status), answer.text);
  return granted(client, answer.body.redemption_id);
}

/** The redemption once it is granted. */
export async function granted(client, id) {
  const answer = await until(() => client.get(`/v1/redemptions/${id}`), ({ body }) => !["redeeming", "redeemed", "granting"].includes(body.status));
  assert.equal(answer.body.status, "granted", answer.text);
  return answer.body;
}

export const walletOf = async (client, query = "") => expectStatus(await client.get(`/v1/wallet${query}`), 200);
export const creditOf = async (client, currency = "EUR") => (await walletOf(client)).credit.find((one) => one.currency === currency)?.amount_minor ?? 0;
export const historyOf = (client) => everyItem(client, "/v1/redemptions", 200);
export const ledgerOf = (client) => everyItem(client, "/v1/ledger", 200);

export const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

/** Asserts the shape of a redemption. */
export function assertRedemption(body) {
  const says = JSON.stringify(body);
  const known = ["redemption_id", "status", "kind", "campaign", "reward_id", "quantity", "points_spent", "goodwill_points", "ledger", "rewards", "refusal", "attempts", "attempts_max", "next_attempt_at", "last_error", "created_at", "updated_at", "by", "reason", "order", "batch_id", "reference"];
  assert.deepEqual(Object.keys(body).filter((name) => !known.includes(name)), [], says);
  assert.equal(typeof body.redemption_id, "string", says);
  assert.match(body.redemption_id, /^[A-Za-z0-9_.~-]{16,256}$/, says);
  assert.ok(["code", "points", "gift"].includes(body.kind), says);
  assert.equal(Number.isInteger(body.campaign), body.kind === "code", says);
  if (!["redeeming", "refused"].includes(body.status)) assert.equal(typeof body.reward_id, "string", says);
  for (const name of ["quantity", "attempts", "attempts_max"]) assert.ok(Number.isSafeInteger(body[name]), `${name} of ${says}`);
  for (const name of ["created_at", "updated_at"]) assert.match(body[name], INSTANT, says);
  assert.ok(Array.isArray(body.ledger) && Array.isArray(body.rewards), says);
  if (body.status === "granted") {
    assert.ok(body.rewards.length >= 1, says);
    assert.equal(body.refusal, undefined, says);
    // One row of the whole quantity, or from a pool one row for each promo code.
    assert.ok(body.ledger.length === 1 || body.ledger.length === body.quantity, says);
    for (const row of body.ledger) {
      assert.deepEqual(Object.keys(row).filter((name) => !["ledger_id", "number", "quantity", "promo_code"].includes(name)), [], says);
      assert.equal(typeof row.ledger_id, "string", says);
      assert.ok(row.number !== undefined, says);
      assert.equal(row.quantity, body.quantity / body.ledger.length, says);
      if (row.promo_code !== undefined || body.ledger.length > 1) assert.equal(typeof row.promo_code, "string", says);
    }
    if (body.kind === "points") assert.ok(Number.isSafeInteger(body.points_spent) && body.points_spent >= 0, says);
  }
  if (body.status === "held") assert.deepEqual([body.rewards, body.ledger, body.refusal], [[], [], undefined], says);
  if (body.status === "refused") {
    assert.equal(typeof body.refusal.code, "string", says);
    assert.deepEqual(body.rewards, [], says);
    assert.deepEqual(body.ledger, [], says);
  }
}

/** Asserts that every balance is the sum of its ledger rows, and that rows and balances agree one by one. */
export async function assertBalanced(client) {
  const [wallet, rows] = [await walletOf(client), await ledgerOf(client)];
  const sums = new Map();
  for (const row of rows) {
    for (const name of ["ledger_id", "asset", "kind", "by"]) assert.equal(typeof row[name], "string", JSON.stringify(row));
    assert.match(row.at, INSTANT);
    assert.ok(Number.isSafeInteger(row.amount) && Number.isSafeInteger(row.balance_after), JSON.stringify(row));
    assert.ok(row.balance_after >= 0, JSON.stringify(row));
    const asset = row.asset === "credit" ? `credit ${row.currency}` : row.asset;
    sums.set(asset, (sums.get(asset) ?? 0) + row.amount);
  }
  for (const asset of ["points", "xp", "tokens"]) assert.equal(wallet[asset], sums.get(asset) ?? 0, asset);
  for (const { currency, amount_minor } of wallet.credit) assert.equal(amount_minor, sums.get(`credit ${currency}`), currency);
  const currencies = [...sums.keys()].filter((asset) => asset.startsWith("credit ") && sums.get(asset) !== 0);
  for (const asset of currencies) assert.ok(wallet.credit.some(({ currency }) => asset === `credit ${currency}`), asset);
  return { wallet, rows };
}
