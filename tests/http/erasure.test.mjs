// Erasing a member: what ran ends, what they had is forfeited by rows, whatever names them is gone, and what limited them stays.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertChained, exported } from "./audit-chain.mjs";
import { commit } from "./checkout.mjs";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { callBack, says } from "./fulfiller-double.mjs";
import { miss, wrongTags } from "./guard.mjs";
import { assertVerified, auditOf, audited, give, move, operate, remove, rewardsOf, withFulfillers } from "./rewards.mjs";
import { LAG_MS, listed } from "./search.mjs";
import { assertBalanced, historyOf, ledgerOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";
import { confirm, lookup, record, reverse, set, tillOf } from "./till.mjs";
import { bought, earn, forSale, fund, poolNow, stockBecomes } from "./trade.mjs";
import { number, wholeMember } from "./whole-member.mjs";

const edge = edgeForThisFile(withFulfillers);
const REASON = "asked for by letter";
const pathOf = (sub) => `/v1/members/${encodeURIComponent(sub)}`;
const erase = (shop, sub, { by = shop.admin, reason = REASON } = {}) => by.delete(`${pathOf(sub)}?reason=${encodeURIComponent(reason)}`);
const RUNNING = ["redeeming", "redeem_failed", "held", "redeemed", "granting", "grant_failed"];

/** Asserts that the ledger that is left sums to the balances, which are nothing. */
async function assertForfeited(client) {
  const { points, xp, tokens, credit, features, boosters } = await walletOf(client);
  assert.deepEqual({ points, xp, tokens, credit: credit.filter(({ amount_minor }) => amount_minor !== 0), features, boosters }, { points: 0, xp: 0, tokens: 0, credit: [], features: [], boosters: [] });
  const rows = await ledgerOf(client);
  const sums = new Map();
  for (const { asset, currency = "", amount, balance_after, feature = "" } of [...rows].reverse()) {
    const name = `${asset} ${currency}${feature}`;
    sums.set(name, (sums.get(name) ?? 0) + amount);
    assert.equal(balance_after, sums.get(name), JSON.stringify(rows));
  }
  for (const [name, sum] of sums) assert.equal(sum, 0, `${name} of ${JSON.stringify(rows)}`);
  return rows;
}

describe("a member about whom there is something of everything", () => {
  const closing = [];
  let whole;
  let rowsBefore;
  const assertSound = async ({ shop, ann, bob, campaigns, pools }) => {
    const subjects = [{ member_id: ann.sub }, { member_id: bob.sub }, ...campaigns.map((campaign) => ({ campaign })), ...pools.map((pool_id) => ({ pool_id }))];
    for (const subject of subjects) await until(() => shop.admin.post("/v1/verify", subject), ({ body }) => body.ok === true, LAG_MS);
  };
  before(async () => {
    whole = await wholeMember({ after: (close) => closing.push(close) }, edge);
    const { shop, ann } = whole;
    await assertSound(whole);
    rowsBefore = await ledgerOf(ann);
    await audited(shop, { action: "redemption.granted", subject: whole.granted.redemption_id });
    for (let times = 0; times < 2; times += 1) expectStatus(await erase(shop, ann.sub), 204);
  });
  after(() => Promise.all(closing.map((close) => close())));

  test("has nothing left, by one row for each thing they had, once", async () => {
    const { ann } = whole;
    const rows = await assertForfeited(ann);
    const old = new Set(rowsBefore.map(({ ledger_id }) => ledger_id));
    const added = rows.filter(({ ledger_id }) => !old.has(ledger_id));
    assert.equal(rows.length - added.length, rowsBefore.length, "no row is ever taken out of a ledger");
    const forfeits = added.filter(({ amount }) => amount < 0).map(({ asset, currency }) => `${asset} ${currency ?? ""}`);
    for (const asset of ["points ", "xp ", "credit EUR"]) assert.equal(forfeits.filter((one) => one === asset).length, 1, `${asset}: ${JSON.stringify(added)}`);
  });

  test("has nothing running: deliveries, holds, open rewards and offers are over", async () => {
    const { shop, ann, inFlight, failed, codeHold, creditHold, unclaimed, pending, quote, till, slow } = whole;
    await until(() => historyOf(ann), (items) => items.every(({ status }) => !RUNNING.includes(status)), LAG_MS);
    for (const { redemption_id } of [inFlight, failed, codeHold]) {
      const answer = await shop.admin.get(`/v1/redemptions/${redemption_id}`);
      if (answer.status === 200) assert.ok(!RUNNING.includes(answer.body.status), answer.text);
      else expectProblem(answer, 404, "not_found");
    }
    await until(() => listed(shop), (items) => items.filter(({ redemption_id }) => [inFlight, failed, codeHold].some((one) => one.redemption_id === redemption_id)).every(({ status }) => !RUNNING.includes(status)), LAG_MS);
    for (const { order } of [codeHold, creditHold]) assert.equal((await commit(shop, ann, order)).status, 404, order);
    for (const [id, verb] of [[unclaimed.id, "claim"], [pending.id, "activate"], [pending.id, "claim"]]) expectStatus(await move(ann, id, verb), 404, 409, 410);
    for (const { state } of await rewardsOf(ann)) assert.ok(!["unclaimed", "pending_activation", "in_progress", "failed"].includes(state), state);
    expectStatus(await confirm(till, quote.quote_id), 404, 409, 410);
    // What the fulfiller says later changes nothing.
    const late = await callBack(edge.url, inFlight.rewards[0], { outcome: "granted" }, { secret: slow.secret });
    assert.ok([200, 404, 409].includes(late.status), late.text);
    await assertForfeited(ann);
  });

  test("leaves promo codes that nobody got in quarantine, and those that were given used", async () => {
    const { shop, inFlightPool, vouchers } = whole;
    await stockBecomes(shop, inFlightPool.pool_id, { free: 3, used: 0, quarantined: 1 });
    const { free, used, quarantined } = await poolNow(shop, vouchers.pool_id);
    assert.deepEqual([free, used + quarantined], [2, 2]);
  });

  test("lets go of a code that an order held: another redeems it", async () => {
    const { shop, bob, discount } = whole;
    const answer = await until(() => redeem(bob, discount.code), ({ status }) => status !== 409, LAG_MS);
    expectStatus(answer, 201);
    await assertVerified(shop, { campaign: discount.campaign });
  });

  test("lets go of their number: another has it, and a till finds that one", async () => {
    const { shop, bob, phone } = whole;
    const given = await until(() => shop.admin.put(pathOf(bob.sub), { phone }), ({ status }) => status !== 409, LAG_MS);
    assert.equal(expectStatus(given, 200).phone, phone);
    assert.equal(expectStatus(await lookup(tillOf(shop), phone), 200).member_id, bob.sub);
    assert.deepEqual((await everyItem(shop.admin, `/v1/members?phone=${encodeURIComponent(phone)}`)).map(({ member_id }) => member_id), [bob.sub]);
  });

  test("is named nowhere any more", async () => {
    const { shop, ann, name, listener, slow, broken } = whole;
    const places = ["/v1/audit?limit=200", "/v1/audit/export", "/v1/redemptions?all=1&limit=200&testers=1", "/v1/redemptions/export?format=csv&testers=1", "/v1/redemptions/export?format=jsonl&testers=1", "/v1/stats"];
    for (const { endpoint_id } of [listener, slow, broken]) places.push(`/v1/webhooks/${endpoint_id}/deliveries?limit=200`);
    for (const place of places) {
      const { text, status } = await shop.admin.get(place);
      assert.equal(status, 200, place);
      for (const secret of [name, ann.sub]) assert.ok(!text.includes(secret), `${secret} in ${place}`);
    }
    const answer = await shop.admin.get(`${pathOf(ann.sub)}/export`);
    expectStatus(answer, 200, 404);
    for (const secret of [name, whole.phone, '"gold"', '"parent"', '"vip"', '"wholesale"']) assert.ok(!answer.text.includes(secret), `${secret} in ${answer.text.slice(0, 300)}`);
  });

  test("is named by no delivery that is sent again", async () => {
    const { shop, ann, name, listener } = whole;
    const path = `/v1/webhooks/${listener.endpoint_id}/deliveries`;
    const items = await everyItem(shop.admin, path, 200);
    assert.ok(items.length > 5);
    listener.fulfiller.behave(says(200));
    const before = listener.fulfiller.received.length;
    let sent = 0;
    for (const { delivery_id } of items) {
      const answer = await shop.admin.post(`${path}/${delivery_id}/resend`);
      // A message about a member who is gone may be gone with them.
      if (answer.status < 300) sent += 1;
      else expectStatus(answer, 404, 409, 410);
    }
    const received = (await listener.fulfiller.deliveries(before + sent, { ms: LAG_MS })).slice(before);
    for (const { text } of received) for (const secret of [name, ann.sub]) assert.ok(!text.includes(secret), `${secret} in ${text.slice(0, 300)}`);
    listener.fulfiller.assertProper();
  });

  test("coming back with the same sub finds every limit where it was", async () => {
    const { shop, ann, codes, sharedCode, limited, key } = whole;
    const again = shop.member({}, ann.sub);
    for (const code of [codes[0], sharedCode, limited.codes[0]]) {
      const { code: refusal } = expectStatus(await redeem(again, code), 409);
      assert.ok(["already_redeemed_by_you", "already_redeemed", "member_limit_reached"].includes(refusal), refusal);
    }
    expectProblem(await redeem(again, limited.codes[1]), 409, "member_limit_reached");
    // The old key is still the old redemption's, whatever may be told of it now.
    const replayed = await redeem(again, limited.codes[0], { key });
    if (replayed.status < 300) assert.equal(replayed.headers["idempotent-replayed"], "true", replayed.text);
    await assertForfeited(again);
  });

  test("leaves a log that is whole, with a line that says by whom and why", async () => {
    const { shop, bob } = whole;
    const lines = await audited(shop, { actor: "admin:admin-1", reason: REASON, action: /eras/ });
    assert.equal(lines.filter(({ action }) => /eras/.test(action)).length, 1, "erased once");
    const { entries } = assertChained(await exported(shop));
    assert.ok(entries.length > 40, `${entries.length}`);
    assert.ok(!JSON.stringify(entries).includes(bob.sub));
  });

  test("and everything still sums up", async () => {
    await assertSound(whole);
    await assertBalanced(whole.bob);
  });
});

describe("erasing", () => {
  test("at once with redemptions: each is done or undone, and nothing is left over", async () => {
    const shop = openShop(edge);
    for (let round = 0; round < 4; round += 1) {
      const ann = shop.member();
      const { codes, campaign } = await shop.withCodes(10);
      const calls = codes.map((code, at) => redeem(ann, code, at % 2 === 0 ? { headers: { prefer: "respond-async" } } : {}));
      calls.splice(5, 0, erase(shop, ann.sub));
      const answers = await Promise.all(calls);
      expectStatus(answers[5], 204);
      // Whatever came after the erasing is a new beginning; it is erased as well.
      await until(() => historyOf(ann), (items) => items.every(({ status }) => !RUNNING.includes(status)), LAG_MS);
      expectStatus(await erase(shop, ann.sub), 204);
      await assertForfeited(ann);
      await until(() => shop.admin.post("/v1/verify", { campaign }), ({ body }) => body.ok === true, LAG_MS);
      await assertVerified(shop, { member_id: ann.sub });
    }
  });

  test("six times at once is once", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await earn(shop, ann, 50);
    await fund(shop, ann, 70);
    for (const answer of await Promise.all(Array.from({ length: 6 }, () => erase(shop, ann.sub)))) expectStatus(answer, 204);
    const rows = await assertForfeited(ann);
    assert.deepEqual(rows.map(({ amount }) => amount).sort((a, b) => a - b), [-70, -50, 50, 70]);
    const { length } = (await audited(shop, { action: /eras/ })).filter(({ action }) => /eras/.test(action));
    assert.equal(length, 1);
  });

  test("ends for good what was theirs: nobody takes it back into their wallet", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await earn(shop, ann, 100);
    const { redemption_id } = await bought(ann, await forSale(shop, 40));
    const { code } = await shop.withCodes();
    const used = await redeemed(ann, code);
    const [reward] = used.rewards;
    const { id: resting } = await give(shop, ann, "feature", { player_should_claim: true });
    expectStatus(await erase(shop, ann.sub), 204);
    const calls = [
      reverse(shop.as("manager"), redemption_id, { reason: "brought back", give_back: true }),
      reverse(shop.admin, used.redemption_id, { reason: "brought back", give_back: true }),
      operate(shop.admin, used.redemption_id, "retry", { reason: "try" }),
      operate(shop.admin, used.redemption_id, "reset", { reason: "try" }),
      operate(shop.admin, used.redemption_id, "resolve", { reason: "try", as: "cancelled", unknown_outcome: true }),
      remove(shop, ann, reward),
    ];
    for (const answer of await Promise.all(calls)) expectProblem(answer, 409, "illegal_move", { state: "erased", legal_moves: [] });
    // What is deleted is deleted, and what is not there is not there.
    for (let times = 0; times < 2; times += 1) expectStatus(await remove(shop, ann, resting), 204);
    await assertForfeited(ann);
    await assertVerified(shop, { member_id: ann.sub });
    // Coming back changes nothing about it.
    await earn(shop, ann, 5);
    expectProblem(await reverse(shop.admin, redemption_id, { reason: "brought back" }), 409, "illegal_move", { state: "erased" });
    assert.equal((await walletOf(ann)).points, 5);
  });

  test("does not give attempts back", async () => {
    const shop = openShop(edge);
    await set(shop, { attempts_per_day: 2 });
    const { code, campaign } = await shop.withCodes();
    const ann = shop.member();
    await miss(ann, wrongTags(shop, campaign, 2));
    expectProblem(await redeem(ann, code), 429, "too_many_attempts");
    expectStatus(await erase(shop, ann.sub), 204);
    expectProblem(await redeem(ann, code), 429, "too_many_attempts");
  });

  test("leaves who comes back as a new customer in everything else", async () => {
    const shop = openShop(edge);
    const ann = shop.member({ tier: "gold" });
    const phone = number();
    await record(shop, ann, { phone, name: "Ann Example" });
    const { codes } = await shop.withCodes(2, { eligibility: { tiers: ["gold"] } });
    await redeemed(ann, codes[0]);
    expectStatus(await erase(shop, ann.sub), 204);
    const again = shop.member({}, ann.sub);
    expectProblem(await redeem(again, codes[1]), 403, "not_eligible");
    await redeemed(shop.member({ tier: "gold" }, ann.sub), codes[1]);
    assert.deepEqual((await walletOf(again)).credit, [{ currency: "EUR", amount_minor: 500 }]);
    const free = await until(() => shop.admin.put(pathOf(ann.sub), { phone }), ({ status }) => status !== 409, LAG_MS);
    assert.equal(expectStatus(free, 200).name, undefined, "the name does not come back");
    await assertVerified(shop, { member_id: ann.sub });
  });

  test("takes the reason in the body as well", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await give(shop, ann, "xp");
    expectStatus(await shop.admin.delete(pathOf(ann.sub), { body: { reason: "by e-mail" } }), 204);
    await audited(shop, { reason: "by e-mail" });
  });

  test("is for administrators of that merchant alone", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await earn(shop, ann, 50);
    for (const by of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await erase(shop, ann.sub, { by }), 403, "forbidden");
    expectStatus(await erase(openShop(edge), ann.sub), 204, 404);
    assert.equal((await walletOf(ann)).points, 50);
    await assertVerified(shop, { member_id: ann.sub });
    assert.equal((await auditOf(shop)).filter(({ action }) => /eras/.test(action)).length, 0);
  });
});
