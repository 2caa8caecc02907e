// Every list: pages that fit together, limits that are refused, and cursors that are good only where they were given.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { hold } from "./checkout.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { fulfillerOf, says } from "./fulfiller-double.mjs";
import { auditOf, define, give, withFulfillers } from "./rewards.mjs";
import { openShop, redeemed } from "./shop.mjs";
import { reversed } from "./till.mjs";
import { bought, earn, fund, openPool, poolForSale } from "./trade.mjs";

const edge = edgeForThisFile(withFulfillers);
const closing = [];
const MS = 20_000;
let shops;

/** A merchant with at least three items in every list: `{shop, ann, lists}` of `[name, caller, path, identity]`. */
async function fullMerchant() {
  const shop = openShop(edge);
  const ann = shop.member();
  const { endpoint_id } = await fulfillerOf({ after: (close) => closing.push(close) }, shop, [says(200)], ["redemption.granted"]);
  for (let times = 0; times < 2; times += 1) expectStatus(await shop.admin.post("/v1/webhooks", { url: `https://hooks.example.com/${times}`, events: [] }), 201);
  const { campaign, codes } = await shop.withCodes(4);
  for (let times = 0; times < 2; times += 1) await shop.codes(campaign, 1);
  for (let times = 0; times < 2; times += 1) await shop.campaign({}, { draft: true });
  for (const code of codes.slice(0, 3)) await redeemed(ann, code);
  for (let at = 0; at < 3; at += 1) expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/recalls`, { from_seq: at, to_seq: at + 1, reason: "lost" }), 201, 202);
  for (let at = 0; at < 3; at += 1) expectStatus(await shop.admin.post("/v1/api-keys", { name: `Key ${at}`, scopes: ["read"] }), 201);
  for (let times = 0; times < 3; times += 1) await give(shop, ann, "xp");
  const { pool_id, reward_id } = await poolForSale(shop, 5, 1);
  for (let times = 0; times < 2; times += 1) await openPool(shop);
  await earn(shop, ann, 100);
  await fund(shop, ann, 1000);
  await reversed(shop.as("manager"), (await bought(ann, reward_id, { quantity: 3 })).redemption_id);
  for (let at = 0; at < 3; at += 1) expectStatus(await hold(ann, "cart", { credit_minor: 10 + at, total: { currency: "EUR", amount_minor: 10_000 } }, { key: unique("k-") }), 201);
  await define(shop, "xp");
  const at = `/v1/members/${ann.sub}`;
  const lists = [
    ["campaigns", shop.admin, "/v1/campaigns", "campaign"],
    ["batches", shop.admin, `/v1/campaigns/${campaign}/batches`, "batch_id"],
    ["recalls", shop.admin, `/v1/campaigns/${campaign}/recalls`, "recall_id"],
    ["definitions", shop.admin, "/v1/reward-definitions", "reward_id"],
    ["pools", shop.admin, "/v1/pools", "pool_id"],
    ["a quarantine", shop.admin, `/v1/pools/${pool_id}/quarantine`, "code"],
    ["endpoints", shop.admin, "/v1/webhooks", "endpoint_id"],
    ["deliveries", shop.admin, `/v1/webhooks/${endpoint_id}/deliveries`, "delivery_id"],
    ["service keys", shop.admin, "/v1/api-keys", "key_id"],
    ["the audit log", shop.admin, "/v1/audit", "hash"],
    ["redemptions of all", shop.admin, "/v1/redemptions?all=1", "redemption_id"],
    ["redemptions", ann, "/v1/redemptions", "redemption_id"],
    ["a member's redemptions", shop.admin, `${at}/redemptions`, "redemption_id"],
    ["the ledger", ann, "/v1/ledger", "ledger_id"],
    ["a member's ledger", shop.admin, `${at}/ledger`, "ledger_id"],
    ["rewards", ann, "/v1/rewards", "id"],
    ["a member's rewards", shop.admin, `${at}/rewards`, "id"],
    ["holds", ann, "/v1/orders/cart/holds", "hold_id"],
  ];
  for (const [name, caller, path] of lists) await until(() => everyItem(caller, path, 200), (items) => items.length >= 3 || name === "holds", MS);
  // Reports lag: what is still on its way would change a list while it is compared.
  let counted = -1;
  await until(async () => (await auditOf(shop)).length, (now) => [now === counted, (counted = now)][0], MS);
  return { shop, ann, lists };
}

after(() => Promise.all(closing.map((close) => close())));

const NAMES = ["campaigns", "batches", "recalls", "definitions", "pools", "a quarantine", "endpoints", "deliveries", "service keys", "the audit log", "redemptions of all", "redemptions", "a member's redemptions", "the ledger", "a member's ledger", "rewards", "a member's rewards", "holds"];
const listOf = (name, merchant = shops[0]) => merchant.lists.find(([one]) => one === name);
const asked = (caller, path, query) => caller.get(`${path}${path.includes("?") ? "&" : "?"}${query}`);
const cursors = new Map();
/** The cursor after a list's first item; asked for once. */
async function firstCursor([, caller, path]) {
  if (!cursors.has(caller)) cursors.set(caller, new Map());
  const known = cursors.get(caller);
  if (!known.has(path)) known.set(path, expectStatus(await asked(caller, path, "limit=1"), 200).next_cursor);
  return known.get(path);
}

// Lists of the same things for two callers: whether a cursor of one is good for the other is nobody's promise.
const TWINS = [["redemptions", "a member's redemptions"], ["the ledger", "a member's ledger"], ["rewards", "a member's rewards"]];
const twins = (one, other) => TWINS.some((pair) => pair.includes(one) && pair.includes(other));

describe("each list", () => {
  before(async () => (shops = [await fullMerchant(), await fullMerchant()]));

  for (const name of NAMES) {
    test(`${name}: page by page is the whole, with nothing twice`, async () => {
      const [, caller, path, id] = listOf(name);
      const whole = (await everyItem(caller, path, 200)).map((item) => item[id]);
      assert.equal(new Set(whole).size, whole.length);
      for (const limit of [1, 2, 3, whole.length]) assert.deepEqual((await everyItem(caller, path, limit)).map((item) => item[id]), whole, `by ${limit}`);
    });

    test(`${name}: a limit is 1 to 200`, async () => {
      const [, caller, path] = listOf(name);
      for (const limit of ["0", "201", "-1", "1.5", "x", "", "999999999999999999999", "1e2", "%20"]) {
        const { errors } = expectProblem(await asked(caller, path, `limit=${limit}`), 400, "invalid_request");
        assert.ok(errors.some((error) => error.path.endsWith("limit")), JSON.stringify(errors));
      }
      for (const limit of [1, 200]) expectStatus(await asked(caller, path, `limit=${limit}`), 200);
    });

    test(`${name}: a cursor is what it was given, and belongs here`, async () => {
      const [, caller, path] = listOf(name);
      const own = await firstCursor(listOf(name));
      const nonsense = ["", "x", "0", "-1", "null", "%00", "%F0%9F%98%80", "A".repeat(5000), "eyJhIjoxfQ", "../../x"];
      if (own !== undefined) nonsense.push(`${encodeURIComponent(own)}A`, encodeURIComponent(own.slice(0, -1)), encodeURIComponent(own.slice(1)));
      for (const cursor of nonsense) {
        const { errors } = expectProblem(await asked(caller, path, `cursor=${cursor}`), 400, "invalid_request");
        assert.ok(errors.some((error) => error.path.endsWith("cursor")), `${cursor.slice(0, 50)}: ${JSON.stringify(errors)}`);
      }
      for (const other of NAMES.filter((one) => one !== name && !twins(one, name))) {
        const cursor = await firstCursor(listOf(other));
        if (cursor !== undefined) expectProblem(await asked(caller, path, `cursor=${encodeURIComponent(cursor)}`), 400, "invalid_request");
      }
    });

    test(`${name}: another merchant's cursor shows nothing of theirs`, async () => {
      const [, caller, path, id] = listOf(name);
      const theirs = listOf(name, shops[1]);
      const cursor = await firstCursor(theirs);
      if (cursor === undefined) return;
      const answer = await asked(caller, path, `cursor=${encodeURIComponent(cursor)}`);
      if (answer.status !== 200) return void expectProblem(answer, 400, "invalid_request");
      const own = new Set((await everyItem(caller, path, 200)).map((item) => item[id]));
      for (const item of answer.body.items) assert.ok(own.has(item[id]), JSON.stringify(item));
    });
  }

  test("no list was forgotten here", () => assert.deepEqual(shops[0].lists.map(([name]) => name), NAMES));
});
