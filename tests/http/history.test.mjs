// What a member can read of their own: redemptions page by page and filtered, wallet, ledger.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { assertBalanced, assertRedemption, historyOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile();
const ids = (items) => items.map(({ redemption_id }) => redemption_id);

/** A member with seven redemptions of two campaigns and two refusals. */
async function busyMember(shop) {
  const first = await shop.withCodes(5);
  const second = await shop.withCodes(3, { reward_id: (await shop.reward({ type: "points", value: { amount: 10 } })).reward_id });
  const closed = await shop.withCodes(1, { currencies: ["USD"] });
  const ann = shop.member();
  const made = [];
  for (const code of [...first.codes, ...second.codes.slice(0, 2)]) made.push((await redeemed(ann, code)).redemption_id);
  expectProblem(await redeem(ann, closed.code), 403, "currency_not_allowed");
  expectProblem(await redeem(ann, first.code), 409, "already_redeemed_by_you");
  return { ann, made, first, second, closed };
}

describe("history", () => {
  test("pages fit together, in one order, with nothing twice and nothing missing", async () => {
    const shop = openShop(edge);
    const { ann, made } = await busyMember(shop);
    const whole = await historyOf(ann);
    assert.equal(whole.length, 9);
    whole.forEach(assertRedemption);
    assert.deepEqual(ids(whole.filter(({ status }) => status === "granted")).sort(), [...made].sort());
    for (const limit of [1, 2, 4, 8, 9, 10, 200]) assert.deepEqual(ids(await everyItem(ann, "/v1/redemptions", limit)), ids(whole), `by ${limit}`);
    assert.deepEqual(ids(await everyItem(ann, "/v1/redemptions")), ids(whole));
    const times = whole.map(({ created_at }) => Date.parse(created_at));
    assert.deepEqual(times, [...times].sort((a, b) => b - a), "newest first");
    for (const one of whole) assert.deepEqual((await ann.get(`/v1/redemptions/${one.redemption_id}`)).body, one);
  });

  test("a refused redemption says what it was about", async () => {
    const shop = openShop(edge);
    const { ann, closed } = await busyMember(shop);
    const refusals = (await historyOf(ann)).filter(({ status }) => status === "refused");
    assert.deepEqual(refusals.map(({ refusal }) => refusal.code), ["already_redeemed_by_you", "currency_not_allowed"]);
    assert.deepEqual([refusals[1].campaign, refusals[1].reward_id, refusals[1].quantity], [closed.campaign, closed.reward_id, 1]);
  });

  test("a page that is turned while new redemptions arrive repeats nothing", async () => {
    const shop = openShop(edge);
    const { ann, made, second } = await busyMember(shop);
    const page = expectStatus(await ann.get("/v1/redemptions?limit=4"), 200);
    await redeemed(ann, second.codes[2]);
    const rest = [];
    for (let cursor = page.next_cursor; cursor !== undefined; ) {
      const next = expectStatus(await ann.get(`/v1/redemptions?limit=4&cursor=${encodeURIComponent(cursor)}`), 200);
      rest.push(...next.items);
      cursor = next.next_cursor;
    }
    assert.equal(new Set([...ids(page.items), ...ids(rest)]).size, page.items.length + rest.length);
    for (const id of made) assert.ok([...ids(page.items), ...ids(rest)].includes(id), id);
  });

  test("filters by status, campaign and time, alone and together", async () => {
    const shop = openShop(edge);
    const { ann, first, second, closed } = await busyMember(shop);
    const whole = await historyOf(ann);
    const asked = async (query) => ids(await everyItem(ann, `/v1/redemptions?${query}`, 3));
    const expected = (keep) => ids(whole.filter(keep));
    assert.deepEqual(await asked("status=granted"), expected(({ status }) => status === "granted"));
    assert.deepEqual(await asked("status=refused"), expected(({ status }) => status === "refused"));
    assert.deepEqual(await asked("status=held"), []);
    assert.deepEqual(await asked(`campaign=${second.campaign}`), expected(({ campaign }) => campaign === second.campaign));
    assert.deepEqual(await asked(`campaign=${first.campaign}&status=granted`), expected((one) => one.campaign === first.campaign && one.status === "granted"));
    assert.equal((await asked(`campaign=${closed.campaign}&status=granted`)).length, 0);
    const at = whole[4].created_at;
    assert.deepEqual(await asked(`from=${at}`), expected(({ created_at }) => created_at >= at), "from is inclusive");
    assert.deepEqual(await asked(`to=${at}`), expected(({ created_at }) => created_at < at), "to is exclusive");
    assert.deepEqual(await asked("from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z"), []);
  });

  test("by a service, of the member it names only", async () => {
    const shop = openShop(edge);
    const { ann } = await busyMember(shop);
    const own = await historyOf(ann);
    assert.deepEqual(ids(await everyItem(shop.service, `/v1/redemptions?member_id=${ann.sub}`, 2)), ids(own));
    assert.deepEqual(await everyItem(shop.service, `/v1/redemptions?member_id=${unique("u-")}`), []);
    expectProblem(await shop.service.get(`/v1/redemptions/${own[0].redemption_id}?member_id=${unique("u-")}`), 404, "not_found");
  });

  test("a cursor is good only where it was given", async () => {
    const shop = openShop(edge);
    const { ann } = await busyMember(shop);
    const { next_cursor } = (await ann.get("/v1/redemptions?limit=2")).body;
    for (const cursor of [`${next_cursor}x`, "nonsense", ""]) {
      expectProblem(await ann.get(`/v1/redemptions?cursor=${cursor}`), 400, "invalid_request");
    }
    const bob = shop.member();
    const answer = await bob.get(`/v1/redemptions?cursor=${encodeURIComponent(next_cursor)}`);
    expectStatus(answer, 200, 400);
    if (answer.status === 200) assert.deepEqual(answer.body.items, []);
  });
});

describe("wallet and ledger", () => {
  test("a new member has an empty wallet, history and ledger", async () => {
    const ann = openShop(edge).member();
    assert.deepEqual(await walletOf(ann), { points: 0, xp: 0, tokens: 0, credit: [], features: [], boosters: [] });
    assert.deepEqual((await ann.get("/v1/ledger")).body, { items: [] });
    assert.deepEqual((await ann.get("/v1/redemptions")).body, { items: [] });
  });

  test("each currency has its own balance, and every balance is the sum of its rows", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    for (const [currency, amount_minor] of [["EUR", 1], ["JPY", 9_007_199_254_740_991], ["EUR", 199], ["CHF", 5]]) {
      const { reward_id } = await shop.reward({ value: { currency, amount_minor } });
      await redeemed(ann, (await shop.withCodes(1, { reward_id })).code);
    }
    const { wallet, rows } = await assertBalanced(ann);
    assert.deepEqual(Object.fromEntries(wallet.credit.map(({ currency, amount_minor }) => [currency, amount_minor])), { EUR: 200, JPY: 9_007_199_254_740_991, CHF: 5 });
    assert.equal(rows.length, 4);
  });

  test("balance_after follows the rows one by one, and numbers are short and different", async () => {
    const shop = openShop(edge);
    const { codes } = await shop.withCodes(4);
    const ann = shop.member();
    for (const code of codes) await redeemed(ann, code);
    const { rows } = await assertBalanced(ann);
    assert.deepEqual(rows.map(({ balance_after }) => balance_after).sort((a, b) => a - b), [500, 1000, 1500, 2000]);
    assert.equal(new Set(rows.map(({ number }) => number)).size, 4);
    assert.equal(new Set(rows.map(({ ledger_id }) => ledger_id)).size, 4);
    for (const { number } of rows) assert.ok(String(number).length <= 16, `short enough for a receipt: ${number}`);
    for (const limit of [1, 2, 3]) {
      assert.deepEqual((await everyItem(ann, "/v1/ledger", limit)).map(({ ledger_id }) => ledger_id), rows.map(({ ledger_id }) => ledger_id));
    }
    assert.ok(Date.parse(rows[0].at) >= Date.parse(rows[3].at), "newest first");
  });

  test("a balance that would not be exact any more is not reached", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward({ value: { currency: "EUR", amount_minor: 9_007_199_254_740_991 } });
    const { codes } = await shop.withCodes(2, { reward_id });
    const ann = shop.member();
    await redeemed(ann, codes[0]);
    const answer = await redeem(ann, codes[1]);
    assert.ok(answer.status < 500, answer.text);
    const { wallet } = await assertBalanced(ann);
    assert.deepEqual(wallet.credit, [{ currency: "EUR", amount_minor: 9_007_199_254_740_991 }]);
  });

  test("a feature that was given twice is there once", async () => {
    const shop = openShop(edge);
    const { reward_id } = await shop.reward({ type: "feature", value: { key: "beta" } });
    const { codes } = await shop.withCodes(2, { reward_id });
    const ann = shop.member();
    for (const code of codes) await redeemed(ann, code);
    assert.deepEqual((await walletOf(ann)).features, ["beta"]);
  });

  test("a service reads the wallet and ledger of the member it names", async () => {
    const shop = openShop(edge);
    const { code } = await shop.withCodes();
    const ann = shop.member();
    await redeemed(ann, code);
    assert.deepEqual(await walletOf(shop.service, `?member_id=${ann.sub}`), await walletOf(ann));
    assert.equal((await shop.service.get(`/v1/ledger?member_id=${ann.sub}`)).body.items.length, 1);
  });
});
