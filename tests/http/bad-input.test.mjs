// Every malformed request gets its named error and changes nothing. The rows are in bad-input-rows.mjs and
// bad-input-admin-rows.mjs.
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { Client, everyItem } from "./client.mjs";
import { S20, S25, assemble, canonical, check } from "./code.mjs";
import { adminTable } from "./bad-input-admin-rows.mjs";
import { memberTable } from "./bad-input-rows.mjs";
import { edgeForThisFile } from "./env.mjs";
import { give, rewardsOf } from "./rewards.mjs";
import { historyOf, ledgerOf, openShop, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile();
const table = [...memberTable, ...adminTable];
const ctx = {};
let shop;
let callers;
let untouched;

/** Everything that a malformed request might have changed. */
async function state() {
  // Counters of attempts are meant to move; they are no state that anybody redeems against.
  const still = ({ refused, failed_tags, breaker, ...rest }) => rest;
  const campaigns = await everyItem(shop.admin, "/v1/campaigns");
  return {
    wallets: await Promise.all([callers.member, callers.guesser].map((one) => walletOf(one))),
    ledgers: await Promise.all([callers.member, callers.guesser].map(ledgerOf)),
    histories: await Promise.all([callers.member, callers.guesser].map(historyOf)),
    given: await Promise.all([callers.member, callers.guesser].map(rewardsOf)),
    endpoints: await everyItem(shop.admin, "/v1/webhooks"),
    feed: (await callers.member.get("/v1/events?since=0")).body,
    campaigns: campaigns.map(still),
    rewards: await everyItem(shop.admin, "/v1/reward-definitions"),
    batches: await Promise.all(campaigns.map(({ campaign }) => everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`))),
  };
}

/** Well signed or not, texts that have the right parity and still are no codes. */
function wrongTexts({ code, keys }) {
  const { values, serial, tag } = check(code);
  const fields = { profile: S20, epoch: 0, campaign: keys.campaign, serial, tag };
  const at = values.findIndex((value, place) => value !== values[place + 1]);
  const swap = [...values];
  [swap[at], swap[at + 1]] = [values[at + 1], values[at]];
  return {
    swap: canonical(swap),
    kind3: canonical(assemble({ ...fields, kind: 3 })),
    kind1: canonical(assemble({ ...fields, kind: 1 })),
    campaign0: canonical(assemble({ ...fields, campaign: 0 })),
    reserved: canonical(assemble({ ...fields, profile: S25, reserved: 1 })),
  };
}

async function openForBusiness() {
  shop = openShop(edge);
  callers = { member: shop.member(), guesser: shop.member(), staff: shop.as("staff"), service: shop.service, admin: shop.admin };
  const { campaign, reward_id, codes } = await shop.withCodes(2);
  const redemption = await redeemed(callers.member, codes[0]);
  const { redemption_id } = redemption;
  const last = redemption_id.at(-3);
  Object.assign(ctx, {
    merchant: shop.merchant,
    code: codes[1],
    campaign,
    reward_id,
    redemption_id,
    changedId: `${redemption_id.slice(0, -3)}${last === "a" ? "b" : "a"}${redemption_id.slice(-2)}`,
    keys: shop.keys(campaign),
    feature_id: (await shop.reward({ type: "feature", value: { key: "k" } })).reward_id,
    member_id: callers.member.sub,
    chest: (await give(shop, callers.member, "xp", { player_should_claim: true, automatic_activation: false })).id,
    untouched: (await shop.campaign({}, { draft: true })).campaign,
  });
  ctx.wrong = wrongTexts(ctx);
  untouched = await state();
}

const list = (value) => (Array.isArray(value) ? value : [value]);

function assertRefused(answer, { status, code, extras }) {
  const says = `answered ${answer.status} ${answer.text.slice(0, 400)}`;
  assert.ok(list(status).includes(answer.status), `expected ${status} ${code}; ${says}`);
  if (code) assert.ok(list(code).includes(answer.body.code), `expected ${code}; ${says}`);
  const { path, reason, ...others } = extras;
  if (path) assert.ok(answer.body.errors.some((error) => error.path.includes(path)), `${path} is named; ${says}`);
  if (answer.body.code === "invalid_request") {
    assert.ok(answer.body.errors.length > 0 && answer.body.errors.every((error) => typeof error.path === "string" && error.reason.length > 0), says);
  }
  if (reason) assert.match(answer.body.reason, /^[a-z][a-z_]*$/, says);
  if (answer.body.position !== undefined) assert.ok(Number.isInteger(answer.body.position) && answer.body.position >= 0, says);
  for (const [name, value] of Object.entries(others)) assert.deepEqual(answer.body[name], value, `${name}; ${says}`);
}

describe(`${table.length} malformed requests`, () => {
  before(openForBusiness);
  for (const one of table) {
    test(one.name, async () => {
      const { as, token, method = "GET", path, ...rest } = one.request(ctx);
      const caller = token ? new Client(edge.url, token) : callers[as];
      assertRefused(await caller.request(method, path, rest), one);
    });
  }
  test("nothing was changed by any of them", async () => assert.deepEqual(await state(), untouched));
});

test("there are at least 150, each with its own name", () => {
  assert.ok(table.length >= 150);
  assert.equal(new Set(table.map(({ name }) => name)).size, table.length);
});
