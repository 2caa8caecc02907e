// All that is known about one member, in one document, for that member: complete, and nothing about anybody else.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { holdsOf } from "./checkout.mjs";
import { edgeForThisFile, testVars, unique } from "./env.mjs";
import { inParallel } from "./guard.mjs";
import { auditOf, rewardsOf, withFulfillers } from "./rewards.mjs";
import { historyOf, ledgerOf, openShop, walletOf } from "./shop.mjs";
import { record } from "./till.mjs";
import { adjust } from "./trade.mjs";
import { quieted, wholeMember } from "./whole-member.mjs";

const edge = edgeForThisFile(withFulfillers);
const exportOf = (shop, sub, by = shop.admin) => by.get(`/v1/members/${encodeURIComponent(sub)}/export`);
const closing = [];
let whole;
let document;
after(() => Promise.all(closing.map((close) => close())));

const byId = (name) => (one, other) => (one[name] < other[name] ? -1 : 1);
const same = (actual, expected, name) => assert.deepEqual([...actual].sort(byId(name)), [...expected].sort(byId(name)));

describe("a member's export", () => {
  before(async () => {
    whole = await wholeMember({ after: (close) => closing.push(close) }, edge);
    await quieted(whole);
    document = expectStatus(await exportOf(whole.shop, whole.ann.sub), 200);
  });

  test("has the parts it should have", () => {
    assert.deepEqual(Object.keys(document).filter((name) => name !== "events").sort(), ["audit", "holds", "ledger", "member", "redemptions", "rewards", "wallet"]);
  });

  test("has their record as it is kept", async () => {
    const { shop, ann, phone, name } = whole;
    const [listed] = await everyItem(shop.admin, `/v1/members?phone=${encodeURIComponent(phone)}`);
    for (const [field, value] of Object.entries(listed)) assert.deepEqual(document.member[field], value, field);
    assert.deepEqual([document.member.member_id, document.member.phone, document.member.name], [ann.sub, phone, name]);
  });

  test("has everything that they can read themselves", async () => {
    const { ann } = whole;
    assert.deepEqual(document.wallet, await walletOf(ann));
    same(document.ledger, await ledgerOf(ann), "ledger_id");
    same(document.redemptions, await historyOf(ann), "redemption_id");
    same(document.rewards, await rewardsOf(ann), "id");
    same(document.holds, [...(await holdsOf(ann, "cart-1")), ...(await holdsOf(ann, "cart-2"))], "hold_id");
  });

  test("has every line that the audit log has about them", async () => {
    const { shop, granted } = whole;
    const text = JSON.stringify(document.audit);
    assert.ok(text.includes(granted.redemption_id));
    const own = await until(async () => (await auditOf(shop)).filter(({ object }) => object === document.audit.at(-1).object), (lines) => lines.length >= document.audit.length);
    const hashes = new Set(document.audit.map(({ hash }) => hash));
    for (const { hash, action } of own.filter(({ n }) => n <= Math.max(...document.audit.map((line) => line.n)))) assert.ok(hashes.has(hash), action);
  });

  test("has no secret, and nothing of another member", async () => {
    const { shop, ann, bob, bobsPhone, bobsName, listener, slow, broken, codes } = whole;
    const text = JSON.stringify(document);
    const secrets = [bob.sub, bobsPhone, bobsName, ann.token, shop.admin.token, ...[listener, slow, broken].map(({ secret }) => secret), "whsec_", testVars.ROOT_0, testVars.ID_KEY, testVars.JWT_SECRET, ...codes];
    for (const secret of secrets) assert.ok(!text.includes(secret), secret);
    assert.doesNotMatch(text, /"salts?"/);
  });

  test("may not be stored on its way", async () => {
    const answer = await exportOf(whole.shop, whole.ann.sub);
    assert.match(answer.headers["cache-control"] ?? "", /no-store/);
  });

  test("is for administrators of that merchant alone", async () => {
    const { shop, ann, name, phone } = whole;
    for (const by of [ann, shop.as("staff"), shop.as("manager"), shop.service]) expectProblem(await exportOf(shop, ann.sub, by), 403, "forbidden");
    const answer = await exportOf(openShop(edge), ann.sub);
    if (answer.status !== 200) expectProblem(answer, 404, answer.body.code === "member_not_found" ? "member_not_found" : "not_found");
    for (const secret of [name, phone, whole.granted.redemption_id]) assert.ok(!answer.text.includes(secret));
  });

  test("is complete however much there is", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    await record(shop, ann, { name: "Ann Example" });
    const answers = await inParallel(Array.from({ length: 230 }), () => adjust(shop, ann, { amount: 1 }, { key: unique("k-") }), 16);
    for (const answer of answers) expectStatus(answer, 201);
    const { ledger, wallet } = expectStatus(await exportOf(shop, ann.sub), 200);
    assert.deepEqual([ledger.length, wallet.points, new Set(ledger.map(({ ledger_id }) => ledger_id)).size], [230, 230, 230]);
  });

  test("of a member whose id is any text", async () => {
    const shop = openShop(edge);
    for (const sub of ["a/b?c#d", "\u00e4\u{1f600} x", "100%"]) {
      const ann = shop.member({}, sub);
      await record(shop, ann, { name: "Ann Example" });
      assert.equal(expectStatus(await exportOf(shop, sub), 200).member.member_id, sub);
    }
  });
});
