// Every place where an id fits, given another merchant's: 404, or the named 400 where the id is a field of a body. Nothing of
// either merchant changes. The same for another member's ids within one merchant.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Client, everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { callBack } from "./fulfiller-double.mjs";
import { auditOf, rewardsOf, withFulfillers } from "./rewards.mjs";
import { historyOf, ledgerOf, walletOf } from "./shop.mjs";
import { upload } from "./trade.mjs";
import { quieted, wholeMember } from "./whole-member.mjs";

const edge = edgeForThisFile(withFulfillers);
const closing = [];
const suite = { after: (close) => closing.push(close) };
let theirs;
let ours;

/** A merchant with one of everything that has an id, and what those ids are. */
async function merchantOf() {
  const whole = await wholeMember(suite, edge);
  const { shop, inFlight, unclaimed, codeHold, listener, vouchers, quote, limited } = whole;
  const { campaign } = limited;
  // Nothing may go on by itself while two states are compared.
  await quieted(whole);
  const [batch] = await everyItem(shop.admin, `/v1/campaigns/${campaign}/batches`);
  const recall = expectStatus(await shop.admin.post(`/v1/campaigns/${campaign}/recalls`, { from_seq: 0, to_seq: 1, reason: "lost" }), 201, 202);
  const [delivery] = await until(() => everyItem(shop.admin, `/v1/webhooks/${listener.endpoint_id}/deliveries`), (all) => all.length > 0, 20_000);
  const key = expectStatus(await shop.admin.post("/v1/api-keys", { name: "Shop", scopes: ["redeem", "orders", "read"] }), 201);
  return {
    ...whole,
    campaign,
    batch_id: batch.batch_id,
    recall_id: recall.recall_id,
    redemption_id: inFlight.redemption_id,
    reward: unclaimed.id,
    hold: codeHold,
    quote_id: quote.quote_id,
    pool_id: vouchers.pool_id,
    definition: vouchers.reward_id,
    endpoint_id: listener.endpoint_id,
    delivery_id: delivery.delivery_id,
    key,
    service: new Client(edge.url, key.key),
    sub: whole.ann.sub,
    code: limited.codes[1],
  };
}

/** All that could have been changed, as its own people see it. */
async function stateOf({ shop, ann, bob, campaigns, pools }) {
  const list = (path) => everyItem(shop.admin, path, 200);
  return {
    members: await Promise.all([ann, bob].map(async (one) => [await walletOf(one), await ledgerOf(one), await historyOf(one), await rewardsOf(one)])),
    campaigns: (await list("/v1/campaigns")).map(({ refused, failed_tags, breaker, redeemed, ...rest }) => rest),
    batches: await Promise.all(campaigns.map((campaign) => list(`/v1/campaigns/${campaign}/batches`))),
    recalls: await Promise.all(campaigns.map((campaign) => list(`/v1/campaigns/${campaign}/recalls`))),
    pools: await Promise.all(pools.map(async (id) => (({ free, used, quarantined, name }) => ({ free, used, quarantined, name }))((await shop.admin.get(`/v1/pools/${id}`)).body))),
    definitions: await list("/v1/reward-definitions"),
    endpoints: await list("/v1/webhooks"),
    keys: (await list("/v1/api-keys")).map(({ key_id, name }) => [key_id, name]),
    settings: (await shop.admin.get("/v1/settings")).body,
  };
}

const GONE = [404, "not_found"];
/** A field of a body that names what is not there. */
const named = (path) => [400, "invalid_request", path];

/** `[what, call(id's owner, caller's merchant), expected, expected…]`: any of the expected answers will do. */
const ROWS = [
  // campaigns
  ["read a campaign", ({ campaign }, { shop }) => shop.admin.get(`/v1/campaigns/${campaign}`), GONE],
  ["change a campaign", ({ campaign }, { shop }) => shop.admin.patch(`/v1/campaigns/${campaign}`, { name: "Mine" }, { headers: { "if-match": '"1"' } }), GONE],
  ...["activate", "pause", "end"].map((verb) => [`${verb} a campaign`, ({ campaign }, { shop }) => shop.admin.post(`/v1/campaigns/${campaign}/${verb}`), GONE]),
  ["mint", ({ campaign }, { shop }) => shop.admin.post(`/v1/campaigns/${campaign}/batches`, { count: 1 }), GONE],
  ["list batches", ({ campaign }, { shop }) => shop.admin.get(`/v1/campaigns/${campaign}/batches`), GONE],
  ["recall a campaign", ({ campaign }, { shop }) => shop.admin.post(`/v1/campaigns/${campaign}/recalls`, { all: true, reason: "mine" }), GONE],
  ["list recalls", ({ campaign }, { shop }) => shop.admin.get(`/v1/campaigns/${campaign}/recalls`), GONE],
  ["read a recall under the owner's campaign", ({ campaign, recall_id }, { shop }) => shop.admin.get(`/v1/campaigns/${campaign}/recalls/${recall_id}`), GONE],
  ["read a recall that there is not", (_, { shop, campaign, recall_id }) => shop.admin.get(`/v1/campaigns/${campaign}/recalls/${recall_id}x`), GONE],
  ["recall a batch under one's own campaign", ({ batch_id }, { shop, campaign }) => shop.admin.post(`/v1/campaigns/${campaign}/recalls`, { batch_id, reason: "mine" }), GONE, named("batch_id")],
  ["export print keys", ({ campaign }, { shop }) => shop.admin.post(`/v1/campaigns/${campaign}/print-key`, { reason: "mine" }), GONE],
  ["reset a breaker", ({ campaign }, { shop }) => shop.admin.post(`/v1/campaigns/${campaign}/breaker/reset`, { reason: "mine" }), GONE],
  ["verify a campaign", ({ campaign }, { shop }) => shop.admin.post("/v1/verify", { campaign }), GONE],
  ["verify a pool", ({ pool_id }, { shop }) => shop.admin.post("/v1/verify", { pool_id }), GONE],
  // definitions
  ["read a definition", ({ definition }, { shop }) => shop.admin.get(`/v1/reward-definitions/${definition}`), GONE],
  ["change a definition", ({ definition }, { shop }) => shop.admin.patch(`/v1/reward-definitions/${definition}`, { name: "Mine" }, { headers: { "if-match": '"1"' } }), GONE],
  ["a campaign for a definition", ({ definition }, { shop }) => shop.admin.post("/v1/campaigns", { name: "M", profile: "S20", kind: "unique", reward_id: definition }), named("reward_id")],
  ["a definition for a pool", ({ pool_id }, { shop }) => shop.admin.post("/v1/reward-definitions", { name: "M", type: "external", value: { reference: "r" }, pool_id }), named("pool_id")],
  ["a definition for an endpoint", ({ endpoint_id }, { shop }) => shop.admin.post("/v1/reward-definitions", { name: "M", type: "bonus", value: { reference: "r" }, mechanic: { kind: "webhook", endpoint_id } }), named("mechanic")],
  ["give a definition", ({ definition }, { shop, sub }) => shop.admin.post(`/v1/members/${sub}/rewards`, { reward_id: definition, reason: "r" }, { key: unique("k-") }), named("reward_id")],
  ["buy a definition", ({ definition }, { ann }) => ann.post("/v1/redemptions", { reward_id: definition }, { key: unique("k-") }), GONE, named("reward_id"), [409, "reward_not_for_sale"]],
  ["a till's offer of a definition", ({ definition }, { till, sub }) => till.post("/v1/till/quotes", { member_id: sub, reward_id: definition }), GONE, named("reward_id")],
  ["explain a definition", ({ definition }, { shop, sub }) => shop.admin.post("/v1/explain", { reward_id: definition, member_id: sub }), GONE, named("reward_id")],
  // codes
  ["redeem a code", ({ code }, { bob }) => bob.post("/v1/redemptions", { code }, { key: unique("k-") }), [404, "code_not_recognised"]],
  ["hold a code", ({ code }, { bob }) => bob.post("/v1/orders/mine/holds", { code, total: { currency: "EUR", amount_minor: 100 } }), [404, "code_not_recognised"]],
  // redemptions
  ["read a redemption", ({ redemption_id }, { ann }) => ann.get(`/v1/redemptions/${redemption_id}`), GONE],
  ["read a redemption as an administrator", ({ redemption_id }, { shop }) => shop.admin.get(`/v1/redemptions/${redemption_id}`), GONE],
  ["read a redemption as a service", ({ redemption_id, sub }, { shop }) => shop.service.get(`/v1/redemptions/${redemption_id}?member_id=${sub}`), GONE],
  ["take a redemption back", ({ redemption_id }, { shop }) => shop.as("manager").post(`/v1/redemptions/${redemption_id}/reversal`, { reason: "mine" }, { key: unique("k-") }), GONE],
  ["retry a redemption", ({ redemption_id }, { shop }) => shop.admin.post(`/v1/redemptions/${redemption_id}/retry`), GONE],
  ["resolve a redemption", ({ redemption_id }, { shop }) => shop.admin.post(`/v1/redemptions/${redemption_id}/resolve`, { as: "cancelled", reason: "mine", unknown_outcome: true }), GONE],
  ["reset a redemption", ({ redemption_id }, { shop }) => shop.admin.post(`/v1/redemptions/${redemption_id}/reset`, { reason: "mine" }), GONE],
  // rewards
  ["read a reward", ({ reward }, { ann }) => ann.get(`/v1/rewards/${reward}`), GONE],
  ...["claim", "activate", "decline"].map((verb) => [`${verb} a reward`, ({ reward }, { ann }) => ann.post(`/v1/rewards/${reward}/${verb}`), GONE]),
  ...["claim", "activate", "retry"].map((verb) => [`${verb} a reward for one's own member`, ({ reward }, { shop, sub }) => shop.admin.post(`/v1/members/${sub}/rewards/${reward}/${verb}`, { reason: "mine" }), GONE]),
  ["delete a reward", ({ reward }, { shop, sub }) => shop.admin.delete(`/v1/members/${sub}/rewards/${reward}?reason=mine`), GONE],
  ["note on a reward", ({ reward }, { shop, sub }) => shop.admin.patch(`/v1/members/${sub}/rewards/${reward}/fulfilment`, { note: "mine" }), GONE],
  ["complete a reward with one's own secret", ({ inFlight }, { slow }) => callBack(edge.url, inFlight.rewards[0], { outcome: "granted" }, { secret: slow.secret }), GONE, [401, "invalid_token"]],
  ["hold a reward", ({ reward }, { ann }) => ann.post("/v1/orders/mine/holds", { reward, total: { currency: "EUR", amount_minor: 100 } }), GONE, named("reward")],
  // pools
  ["read a pool", ({ pool_id }, { shop }) => shop.admin.get(`/v1/pools/${pool_id}`), GONE],
  ["change a pool", ({ pool_id }, { shop }) => shop.admin.patch(`/v1/pools/${pool_id}`, { name: "Mine" }, { headers: { "if-match": '"1"' } }), GONE],
  ["fill a pool", ({ pool_id }, { shop }) => upload(shop, pool_id, "MINE-1\n"), GONE],
  ["read a quarantine", ({ pool_id }, { shop }) => shop.admin.get(`/v1/pools/${pool_id}/quarantine`), GONE],
  ["release a quarantine", ({ pool_id }, { shop }) => shop.admin.post(`/v1/pools/${pool_id}/quarantine/release`, { all: true, reason: "mine" }), GONE],
  // tills and checkouts
  ["confirm an offer", ({ quote_id }, { till }) => till.post(`/v1/till/quotes/${quote_id}/confirm`, {}, { key: unique("k-") }), GONE],
  ["confirm an offer as a manager", ({ quote_id }, { shop }) => shop.as("manager").post(`/v1/till/quotes/${quote_id}/confirm`, {}, { key: unique("k-") }), GONE],
  ["cancel an offer", ({ quote_id }, { till }) => till.delete(`/v1/till/quotes/${quote_id}`), GONE],
  ["find a number", ({ bobsPhone }, { till }) => till.post("/v1/till/lookup", { phone: bobsPhone }), [404, "member_not_found"]],
  ["read a hold", ({ hold: { order, hold_id } }, { ann }) => ann.get(`/v1/orders/${order}/holds/${hold_id}`), GONE],
  ["let go of a hold", ({ hold: { order, hold_id } }, { ann }) => ann.delete(`/v1/orders/${order}/holds/${hold_id}`), GONE],
  ["let go of a hold as a service", ({ hold: { order, hold_id }, sub }, { shop }) => shop.service.delete(`/v1/orders/${order}/holds/${hold_id}?member_id=${sub}`), GONE],
  ["commit an order", ({ hold: { order }, sub }, { shop }) => shop.service.post(`/v1/orders/${order}/commit`, { member_id: sub }), GONE],
  // endpoints
  ["read an endpoint", ({ endpoint_id }, { shop }) => shop.admin.get(`/v1/webhooks/${endpoint_id}`), GONE],
  ...["rotate", "test"].map((verb) => [`${verb} an endpoint`, ({ endpoint_id }, { shop }) => shop.admin.post(`/v1/webhooks/${endpoint_id}/${verb}`), GONE]),
  ["delete an endpoint", ({ endpoint_id }, { shop }) => shop.admin.delete(`/v1/webhooks/${endpoint_id}`), GONE, [204]],
  ["list deliveries", ({ endpoint_id }, { shop }) => shop.admin.get(`/v1/webhooks/${endpoint_id}/deliveries`), GONE],
  ["send a delivery again", ({ endpoint_id, delivery_id }, { shop }) => shop.admin.post(`/v1/webhooks/${endpoint_id}/deliveries/${delivery_id}/resend`), GONE],
  ["send a delivery again from one's own endpoint", ({ delivery_id }, { shop, slow }) => shop.admin.post(`/v1/webhooks/${slow.endpoint_id}/deliveries/${delivery_id}/resend`), GONE],
  // keys
  ["read a service key", ({ key: { key_id } }, { shop }) => shop.admin.get(`/v1/api-keys/${key_id}`), GONE],
  ["revoke a service key", ({ key: { key_id } }, { shop }) => shop.admin.delete(`/v1/api-keys/${key_id}`), GONE, [204]],
  ["read a redemption with one's own service key", ({ redemption_id, sub }, { service }) => service.get(`/v1/redemptions/${redemption_id}?member_id=${sub}`), GONE],
  ["redeem a code with one's own service key", ({ code, sub }, { service }) => service.post("/v1/redemptions", { code, member_id: sub }, { key: unique("k-") }), [404, "code_not_recognised"]],
  ["commit an order with one's own service key", ({ hold: { order }, sub }, { service }) => service.post(`/v1/orders/${order}/commit`, { member_id: sub }), GONE],
];

function assertAnswer(answer, expected) {
  const found = expected.find(([status, code]) => answer.status === status && (code === undefined || answer.body.code === code));
  assert.ok(found, `expected ${JSON.stringify(expected)}; ${answer.method} ${answer.path} answered ${answer.status} ${answer.text.slice(0, 400)}`);
  const [status, code, path] = found;
  if (code === undefined) return;
  const { errors } = expectProblem(answer, status, code);
  if (path) assert.ok(errors.some((error) => error.path.startsWith(path)), answer.text);
}

describe("another merchant's ids", () => {
  let before_;
  before(async () => {
    [theirs, ours] = [await merchantOf(), await merchantOf()];
    // Campaigns are numbers, which two merchants may share: these do not.
    assert.ok(theirs.campaigns.every((one) => !ours.campaigns.includes(one)) || theirs.campaign !== ours.campaign);
    before_ = [await stateOf(theirs), await stateOf(ours)];
  });
  after(() => Promise.all(closing.map((close) => close())));

  for (const [what, call, ...expected] of ROWS) {
    test(`${what}: ${expected.map(([status, code, path]) => `${status}${code ? ` ${code}` : ""}${path ? ` of ${path}` : ""}`).join(" or ")}`, async () => assertAnswer(await call(theirs, ours), expected));
  }

  test("of a member are a member of one's own: same sub, nothing in common", async () => {
    const { shop } = ours;
    const { sub, shop: other, name } = theirs;
    for (const part of ["wallet", "rewards", "redemptions", "ledger", "export"]) {
      const answer = await shop.admin.get(`/v1/members/${sub}/${part}`);
      expectStatus(answer, 200, 404);
      for (const secret of [name, theirs.redemption_id, other.merchant]) assert.ok(!answer.text.includes(secret), `${secret} in ${part}`);
    }
    assert.deepEqual(await everyItem(shop.admin, `/v1/members?phone=${encodeURIComponent(theirs.bobsPhone)}`), []);
    expectStatus(await shop.admin.delete(`/v1/members/${sub}?reason=mine`), 204, 404);
  });

  test("find nothing as filters", async () => {
    const { shop } = ours;
    for (const query of [`member_id=${theirs.sub}`, `batch_id=${theirs.batch_id}`, `order=order-of-nobody`, `code=${theirs.code}`, `phone=${encodeURIComponent(theirs.bobsPhone)}`, `staff=${theirs.till.sub}`]) {
      const answer = await shop.admin.get(`/v1/redemptions?all=1&${query}`);
      if (answer.status !== 400) assert.deepEqual(expectStatus(answer, 200).items, [], query);
    }
    for (const { object, subject } of [{ object: `campaign/${theirs.campaign}` }, { subject: theirs.redemption_id }]) {
      assert.deepEqual(await everyItem(shop.admin, `/v1/audit?${object ? `object=${object}` : `subject=${subject}`}`), []);
    }
  });

  test("as codes are inspected and explained as strangers", async () => {
    const { shop, bob } = ours;
    const body = expectStatus(await shop.admin.post("/v1/codes/inspect", { code: theirs.code }), 200);
    assert.deepEqual([body.authentic, body.seq, body.batch], [false, undefined, undefined]);
    const { refusal, campaign } = expectStatus(await shop.admin.post("/v1/explain", { code: theirs.code, member_id: bob.sub }), 200);
    assert.deepEqual([refusal.code, campaign], ["code_not_recognised", undefined]);
  });

  test("changed nothing, on either side", async () => {
    assert.deepEqual(await stateOf(theirs), before_[0]);
    const { members: [, bobNow], ...now } = await stateOf(ours);
    const { members: [, bobThen], ...then } = before_[1];
    assert.deepEqual([now, bobNow], [then, bobThen]);
    assert.ok(!JSON.stringify(await auditOf(theirs.shop)).includes(ours.shop.merchant));
    const { text } = await theirs.service.get(`/v1/redemptions?member_id=${theirs.sub}`);
    assert.ok(text.includes(theirs.redemption_id), "a key that somebody else wanted to revoke is still good");
  });
});

describe("another member's ids, within one merchant", () => {
  const rows = ROWS.filter(([what]) => /^(read a redemption|read a reward|claim a reward|activate a reward|decline a reward|hold a reward|read a hold|let go of a hold)$/.test(what));
  for (const [what, call, ...expected] of rows) {
    test(`${what}: 404`, async () => {
      const { shop, bob } = theirs;
      assertAnswer(await call(theirs, { ...theirs, ann: bob, shop }), expected);
    });
  }

  test("with a member of one's own in the path: 404", async () => {
    const { shop, bob, reward, redemption_id, sub } = theirs;
    for (const verb of ["claim", "activate", "retry"]) expectProblem(await shop.admin.post(`/v1/members/${bob.sub}/rewards/${reward}/${verb}`), ...GONE);
    expectProblem(await shop.admin.delete(`/v1/members/${bob.sub}/rewards/${reward}?reason=mine`), ...GONE);
    expectProblem(await shop.service.get(`/v1/redemptions/${redemption_id}?member_id=${bob.sub}`), ...GONE);
    expectProblem(await shop.service.post(`/v1/orders/${theirs.hold.order}/commit`, { member_id: bob.sub }), ...GONE);
    assert.equal(expectStatus(await shop.service.get(`/v1/redemptions/${redemption_id}?member_id=${sub}`), 200).redemption_id, redemption_id);
  });
});
