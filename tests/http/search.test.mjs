// The history of all members, searched: each filter alone, all pairs of filters, page by page, and what is no filter.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus, until } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { withFulfillers } from "./rewards.mjs";
import { openShop, redeemed } from "./shop.mjs";
import { LAG_MS, busyShop, idsOf, listed, nobody } from "./search.mjs";

const edge = edgeForThisFile(withFulfillers);
const closing = [];
let busy;
after(() => Promise.all(closing.map((close) => close())));

const part = (name, value) => `${name}=${encodeURIComponent(value)}`;

/** Filters by name: what to ask, and which facts it must keep. `to` is exclusive, `from` and `since` are not. */
function filters() {
  const { ann, bob, phones, facts, first, till, batches, mailed, loose } = busy;
  const middle = facts[Math.floor(facts.length / 2)].at;
  const equal = (name, value) => ({ query: part(name, value), keep: (fact) => fact[name] === value });
  return {
    "member_id": equal("member_id", ann.sub),
    "phone": equal("phone", phones.bob),
    "campaign": equal("campaign", first.campaign),
    "status": equal("status", "granted"),
    "batch_id": equal("batch_id", batches[0].batch_id),
    "reference": equal("reference", "mail-7"),
    "staff": equal("staff", till.sub),
    "code": { query: part("code", loose[0].code.toLowerCase().replaceAll("-", "")), keep: ({ code }) => code === loose[0].code },
    "a word": { query: part("code", "spring-2026"), keep: ({ code }) => code === "SPRING2026" },
    "order": equal("order", facts.find(({ code }) => code === mailed[1].code).order),
    "another order": equal("order", "cart-1"),
    "from": { query: part("from", middle), keep: ({ at }) => at >= middle },
    "to": { query: part("to", middle), keep: ({ at }) => at < middle },
    "since": { query: part("since", middle), keep: ({ at }) => at >= middle },
    "testers": { query: "testers=1", keep: () => true, testers: true },
    "another member": equal("member_id", bob.sub),
    "refused ones": equal("status", "refused"),
  };
}

/** The ids that must be found: newest first, testers only where asked for. */
function expected(...parts) {
  const testers = parts.some((one) => one.testers);
  return busy.facts.filter((fact) => (testers || !fact.tester) && parts.every(({ keep }) => keep(fact))).map(({ id }) => id);
}

const sorted = (ids) => [...ids].sort();

describe("the history of all members", () => {
  before(async () => (busy = await busyShop({ after: (close) => closing.push(close) }, edge)));

  test("each filter alone", async () => {
    for (const [name, one] of Object.entries(filters())) {
      const items = await listed(busy.shop, one.query);
      assert.deepEqual(sorted(idsOf(items)), sorted(expected(one)), `${name}: ${one.query}`);
      const times = items.map(({ created_at }) => Date.parse(created_at));
      assert.deepEqual(times, [...times].sort((a, b) => b - a), `${name}, newest first`);
    }
    assert.ok(Object.values(filters()).every((one) => expected(one).length > 0), "every filter finds something");
  });

  test("all pairs of filters", async () => {
    const all = Object.entries(filters());
    let found = 0;
    for (const [at, [name, one]] of all.entries()) {
      for (const [other, two] of all.slice(at + 1)) {
        // One name twice is no pair of filters.
        if (one.query.split("=")[0] === two.query.split("=")[0]) continue;
        const items = await listed(busy.shop, `${one.query}&${two.query}`);
        assert.deepEqual(sorted(idsOf(items)), sorted(expected(one, two)), `${name} and ${other}`);
        found += items.length;
      }
    }
    assert.ok(found > 100, `${found}`);
  });

  test("page by page, without gap or repeat, filtered or not", async () => {
    const { query } = filters().member_id;
    for (const asked of ["", query, `${query}&status=granted`, "testers=1", filters().reference.query]) {
      const whole = idsOf(await listed(busy.shop, asked));
      for (const limit of [1, 2, 3, whole.length, 200]) assert.deepEqual(idsOf(await listed(busy.shop, asked, limit)), whole, `${asked} by ${limit}`);
    }
  });

  test("each item is the redemption as its member reads it, and where its code comes from", async () => {
    const items = await listed(busy.shop, "testers=1");
    for (const { id, redemption, batch_id, reference, order, tester } of busy.facts) {
      const { member, tester: shown, ...item } = items.find((one) => one.redemption_id === id);
      assert.match(member, /^[0-9a-f]{32}$/, "a member is its pid");
      assert.deepEqual(item, redemption);
      assert.deepEqual([item.order, shown ?? false], [order, tester]);
      if (redemption.status === "granted" && redemption.kind === "code") assert.deepEqual([item.batch_id, item.reference], [batch_id, reference], id);
    }
    const text = JSON.stringify(items);
    for (const secret of [busy.ann.sub, busy.bob.sub, busy.phones.ann, "Ann Example", ...busy.mailed.map(({ code }) => code)]) assert.ok(!text.includes(secret), secret);
  });

  test("nothing is found by what there is not", async () => {
    const { shop } = busy;
    const other = openShop(edge);
    const theirs = await other.withCodes(1);
    for (const query of [part("member_id", nobody()), "phone=%2B4915112345679", "reference=mail-8", "reference=MAIL-7", "reference=mail%25", "order=cart", "order=cart_1", "staff=nobody", part("code", theirs.code), "code=NOSUCHWORD", "from=2100-01-01T00:00:00Z", "to=2000-01-01T00:00:00Z"]) {
      assert.deepEqual(await listed(shop, query), [], query);
    }
  });

  test("what arrives meanwhile is not mixed into a list that is being read", async () => {
    const { shop, mailed, facts } = busy;
    const page = expectStatus(await shop.admin.get("/v1/redemptions?all=1&limit=4"), 200);
    const member = shop.member();
    const { redemption_id } = await redeemed(member, mailed[7].code);
    await until(() => listed(shop), (items) => idsOf(items).includes(redemption_id), LAG_MS);
    const seen = idsOf(page.items);
    for (let cursor = page.next_cursor; cursor !== undefined; ) {
      const next = expectStatus(await shop.admin.get(`/v1/redemptions?all=1&limit=4&cursor=${encodeURIComponent(cursor)}`), 200);
      seen.push(...idsOf(next.items));
      cursor = next.next_cursor;
    }
    assert.deepEqual(sorted(seen), sorted(facts.filter(({ tester }) => !tester).map(({ id }) => id)));
    const redemption = expectStatus(await member.get(`/v1/redemptions/${redemption_id}`), 200);
    facts.push({ member_id: member.sub, code: mailed[7].code, batch_id: busy.batches[0].batch_id, reference: "mail-7", redemption, id: redemption_id, campaign: redemption.campaign, status: "granted", at: redemption.created_at, tester: false });
  });

  test("a number that changed hands finds whom it belongs to now", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const phone = "+4915112345673";
    const { codes } = await shop.withCodes(2);
    const made = [await redeemed(ann, codes[0]), await redeemed(bob, codes[1])];
    const put = (member, fields) => shop.admin.put(`/v1/members/${member.sub}`, fields);
    expectStatus(await put(ann, { phone }), 200);
    await until(() => listed(shop), (items) => items.length === 2, LAG_MS);
    assert.deepEqual(idsOf(await listed(shop, part("phone", phone))), [made[0].redemption_id]);
    expectStatus(await put(ann, { phone: null }), 200);
    await until(() => put(bob, { phone }), ({ status }) => status === 200, LAG_MS);
    assert.deepEqual(idsOf(await listed(shop, part("phone", phone))), [made[1].redemption_id]);
  });
});

describe("who may ask, and for what", () => {
  test("administrators of that merchant alone", async () => {
    const { shop, ann } = busy;
    for (const caller of [ann, shop.service, shop.as("staff"), shop.as("manager")]) {
      for (const query of ["", "&status=granted", `&member_id=${ann.sub}`]) expectProblem(await caller.get(`/v1/redemptions?all=1${query}`), 403, "forbidden");
    }
    const other = openShop(edge);
    for (const [name, { query }] of Object.entries(filters())) {
      const answer = await other.admin.get(`/v1/redemptions?all=1&${query}`);
      // A campaign, a batch or a member of somebody else may as well be named as not there.
      if (answer.status === 200) assert.deepEqual(answer.body.items, [], name);
      else expectProblem(answer, answer.status === 404 ? 404 : 400, answer.status === 404 ? "not_found" : "invalid_request");
    }
  });

  test("a cursor is good only for the question it came with", async () => {
    const { shop, ann } = busy;
    const { next_cursor } = expectStatus(await shop.admin.get("/v1/redemptions?all=1&limit=2"), 200);
    const at = encodeURIComponent(next_cursor);
    for (const query of [`cursor=${at}x`, `cursor=${at.slice(0, -2)}`, "cursor=nonsense", "cursor=", `cursor=${at}&status=granted`, `cursor=${at}&${part("member_id", ann.sub)}`]) {
      expectProblem(await shop.admin.get(`/v1/redemptions?all=1&${query}`), 400, "invalid_request");
    }
    expectProblem(await openShop(edge).admin.get(`/v1/redemptions?all=1&cursor=${at}`), 400, "invalid_request");
    expectProblem(await ann.get(`/v1/redemptions?cursor=${at}`), 400, "invalid_request");
    const { next_cursor: own } = expectStatus(await ann.get("/v1/redemptions?limit=1"), 200);
    expectProblem(await shop.admin.get(`/v1/redemptions?all=1&cursor=${encodeURIComponent(own)}`), 400, "invalid_request");
    assert.equal((await everyItem(shop.admin, "/v1/redemptions?all=1", 2)).length, expected().length);
  });

  const bad = [
    "limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "limit=1.5", "status=happy", "status=", "campaign=x", "campaign=0", "campaign=65536", "from=yesterday", "to=2026-02-30T00:00:00Z", "since=1",
    "phone=hello", "phone=", "member_id=", "code=a*b", "code=", "order=", "reference=", "staff=", "batch_id=", "testers=perhaps", "all=2",
  ];
  for (const query of bad) {
    test(`${query} is no question`, async () => {
      const [name] = query.split("=");
      const answer = await busy.shop.admin.get(`/v1/redemptions?${name === "all" ? "" : "all=1&"}${query}`);
      if (name === "code" && answer.status === 422) return void expectProblem(answer, 422, "malformed_code");
      const { errors } = expectProblem(answer, 400, "invalid_request");
      assert.ok(errors.some(({ path }) => path.includes(name)), JSON.stringify(errors));
    });
  }
});
