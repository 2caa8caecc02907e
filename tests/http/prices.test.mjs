// What a reward costs whom: prices on definitions, price rules over tier, persona and tag, and the catalogue.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { everyItem, expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { define } from "./rewards.mjs";
import { openShop, walletOf } from "./shop.mjs";
import { assertReplays, bought, buy, catalogueOf, earn, forSale, memberWith, openPool, pointsOf, poolForSale } from "./trade.mjs";

const edge = edgeForThisFile();
const MOST = 2 ** 53 - 1;
const byId = (one, other) => (one.reward_id < other.reward_id ? -1 : 1);

describe("prices on a definition", () => {
  test("are read back as they were given", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(shop);
    const rows = [
      {},
      { points_cost: 0 },
      { points_cost: MOST },
      { prices: [{ tier: "gold", points_cost: 80 }] },
      { points_cost: 100, prices: [{ tier: "gold", persona: "runner", tag: "vip", points_cost: 0 }, { persona: "runner", points_cost: 90 }, { tag: "vip", points_cost: 95 }] },
      { points_cost: 5, prices: Array.from({ length: 100 }, (_, place) => ({ tag: `t${place}`, points_cost: place })) },
      { points_cost: 5, pool_id },
      { points_cost: 5, promo_code: "x".repeat(128) },
      { points_cost: 5, promo_code: "!#$~" },
      { points_cost: 5, eligibility: { tiers: ["gold"], personas: ["runner"], tags_any: ["a"], tags_none: ["b"], roles: ["vip"] } },
    ];
    for (const fields of rows) {
      const reward_id = await define(shop, "external", fields);
      const body = expectStatus(await shop.admin.get(`/v1/reward-definitions/${reward_id}`), 200);
      for (const name of ["points_cost", "prices", "pool_id", "promo_code", "eligibility"]) assert.deepEqual(body[name], fields[name], name);
    }
  });

  const price = (entry) => ["prices", { prices: [entry] }];
  const wrong = [
    ...[-1, 1.5, "5", null, MOST + 1, true, [5]].map((points_cost) => ["points_cost", { points_cost }]),
    ["prices", { prices: [] }],
    ["prices", { prices: {} }],
    ["prices", { prices: null }],
    ["prices", { prices: Array.from({ length: 101 }, (_, place) => ({ tag: `t${place}`, points_cost: 1 })) }],
    price({ points_cost: 5 }),
    price({ tier: "gold" }),
    price({ tier: "", points_cost: 5 }),
    price({ tier: 7, points_cost: 5 }),
    price({ tier: ["gold"], points_cost: 5 }),
    price({ tag: null, points_cost: 5 }),
    price({ tags: ["vip"], points_cost: 5 }),
    price({ role: "vip", points_cost: 5 }),
    price({ tier: "gold", points_cost: -1 }),
    price({ tier: "gold", points_cost: 1.5 }),
    price({ tier: "gold", points_cost: "5" }),
    price({ tier: "gold", points_cost: MOST + 1 }),
    price(7),
    ["pool_id", { pool_id: "no-such-pool" }],
    ["pool_id", { pool_id: 7 }],
    ["pool_id", { pool_id: "" }],
    ...["", " ", "a b\n", "x".repeat(129), 7, "tab\there", "\u0000"].map((promo_code) => ["promo_code", { promo_code }]),
    ["eligibility", { eligibility: { tiers: "gold" } }],
    ["eligibility", { eligibility: { tiers: [""] } }],
    ["eligibility", { eligibility: { surprise: ["x"] } }],
    ["eligibility", { eligibility: 7 }],
  ];
  for (const [path, change] of wrong) {
    test(`malformed: ${JSON.stringify(change).slice(0, 80)}`, async () => {
      const shop = openShop(edge);
      const { errors } = expectProblem(await shop.admin.post("/v1/reward-definitions", { name: "Bad", type: "external", value: {}, points_cost: 5, ...change }), 400, "invalid_request");
      assert.ok(errors.some((error) => error.path.startsWith(path)), JSON.stringify(errors));
      assert.deepEqual(await everyItem(shop.admin, "/v1/reward-definitions"), []);
    });
  }

  test("a pool of another merchant is none, and a pool excludes a static code", async () => {
    const shop = openShop(edge);
    const { pool_id } = await openPool(openShop(edge), [], { pool_id: "theirs" });
    const define = (fields) => shop.admin.post("/v1/reward-definitions", { name: "Bad", type: "external", value: {}, ...fields });
    const foreign = expectProblem(await define({ pool_id }), 400, "invalid_request");
    assert.ok(foreign.errors.some(({ path }) => path === "pool_id"), JSON.stringify(foreign.errors));
    const own = await openPool(shop);
    expectProblem(await define({ pool_id: own.pool_id, promo_code: "X" }), 400, "invalid_request");
    const { reward_id } = expectStatus(await define({ pool_id: own.pool_id }), 201);
    const { etag } = (await shop.admin.get(`/v1/reward-definitions/${reward_id}`)).headers;
    for (const patch of [{ promo_code: "X" }, { pool_id: "nothing" }, { prices: [{ points_cost: 1 }] }, { points_cost: -1 }]) {
      expectProblem(await shop.admin.patch(`/v1/reward-definitions/${reward_id}`, patch, { headers: { "if-match": etag } }), 400, "invalid_request");
    }
    expectStatus(await shop.admin.patch(`/v1/reward-definitions/${reward_id}`, { promo_code: "X", pool_id: null }, { headers: { "if-match": etag } }), 200);
  });
});

describe("the price for a member", () => {
  const gold = { tier: "gold" };
  const runner = { persona: "runner" };
  const whole = { tier: "gold", persona: "runner", tags: ["vip", "early"] };
  // [name, points_cost, prices, the member's attributes, what one costs (undefined: not for sale)]
  const rows = [
    ["the plain one where no rule matches", 100, [{ ...gold, points_cost: 80 }], { tier: "silver" }, 100],
    ["the plain one without attributes", 100, [{ ...gold, points_cost: 80 }], {}, 100],
    ["a tier's", 100, [{ ...gold, points_cost: 80 }], gold, 80],
    ["a persona's", 100, [{ ...runner, points_cost: 70 }], runner, 70],
    ["a tag's, one of several", 100, [{ tag: "early", points_cost: 60 }], whole, 60],
    ["a rule's, though it is dearer than the plain one", 100, [{ ...gold, points_cost: 130 }], gold, 130],
    ["nothing, where a rule says so", 100, [{ ...gold, points_cost: 0 }], gold, 0],
    ["that of two fields before that of one, though dearer", 100, [{ ...gold, points_cost: 50 }, { ...gold, ...runner, points_cost: 90 }], whole, 90],
    ["that of three fields before all others", 100, [{ ...gold, ...runner, points_cost: 10 }, { ...gold, ...runner, tag: "vip", points_cost: 95 }, { tag: "early", points_cost: 5 }], whole, 95],
    ["the lowest on a tie of one field", 100, [{ ...gold, points_cost: 80 }, { ...runner, points_cost: 75 }, { tag: "vip", points_cost: 85 }], whole, 75],
    ["the lowest on a tie of one field, whatever the order", 100, [{ ...runner, points_cost: 75 }, { tag: "vip", points_cost: 85 }, { ...gold, points_cost: 80 }], whole, 75],
    ["the lowest on a tie of two fields", 100, [{ ...gold, tag: "vip", points_cost: 66 }, { ...gold, ...runner, points_cost: 67 }, { ...runner, tag: "early", points_cost: 65 }], whole, 65],
    ["the lowest of two tags", 100, [{ tag: "vip", points_cost: 30 }, { tag: "early", points_cost: 20 }], whole, 20],
    ["the lower of two equal rules", 100, [{ ...gold, points_cost: 30 }, { ...gold, points_cost: 20 }], gold, 20],
    ["not that of a rule of which only one part matches", 100, [{ ...gold, ...runner, points_cost: 1 }, { ...gold, tag: "vip", points_cost: 2 }], { ...gold, tags: ["early"] }, 100],
    ["a smaller rule's, where the larger one fails", 100, [{ ...gold, ...runner, points_cost: 1 }, { ...gold, points_cost: 40 }], gold, 40],
    ["exact in its spelling", 100, [{ tier: "Gold", points_cost: 1 }, { tag: "VIP", points_cost: 2 }], whole, 100],
    ["a tier that is a persona's name is no persona", 100, [{ persona: "gold", points_cost: 1 }, { tag: "gold", points_cost: 2 }], gold, 100],
    ["rules alone: a match sells", undefined, [{ ...gold, points_cost: 40 }], gold, 40],
    ["rules alone: no match, not for sale", undefined, [{ ...gold, points_cost: 40 }], { tier: "silver" }, undefined],
  ];
  for (const [name, points_cost, prices, claims, cost] of rows) {
    test(name, async () => {
      const shop = openShop(edge);
      const reward_id = await forSale(shop, points_cost, { prices });
      const ann = await memberWith(shop, 1000, claims);
      const offer = (await catalogueOf(ann)).find((item) => item.reward_id === reward_id);
      assert.equal(offer?.points_cost, cost, "the catalogue's");
      if (cost === undefined) {
        expectProblem(await buy(ann, reward_id), 409, "reward_not_for_sale");
        return;
      }
      const { points_spent } = await bought(ann, reward_id, { quantity: 3 });
      assert.equal(points_spent, 3 * cost);
      const { wallet } = await assertReplays(ann);
      assert.equal(wallet.points, 1000 - 3 * cost);
    });
  }

  test("follows the member's newest token, and what an administrator stored for a service's purchase", async () => {
    const shop = openShop(edge);
    const reward_id = await forSale(shop, 100, { prices: [{ tier: "gold", points_cost: 10 }, { tag: "vip", points_cost: 20 }] });
    const ann = await memberWith(shop, 1000);
    const as = (claims) => shop.member(claims, ann.sub);
    assert.equal((await bought(as({ tier: "gold" }), reward_id)).points_spent, 10);
    assert.equal((await bought(as({ tier: "silver" }), reward_id)).points_spent, 100);
    assert.equal((await bought(as({ tier: "silver", tags: ["vip"] }), reward_id)).points_spent, 20);
    const bob = await memberWith(shop, 1000);
    assert.equal(expectStatus(await buy(shop.service, reward_id, { member_id: bob.sub }), 201).points_spent, 100);
    expectStatus(await shop.admin.put(`/v1/members/${bob.sub}`, { tier: "gold" }), 200);
    assert.equal(expectStatus(await buy(shop.service, reward_id, { member_id: bob.sub }), 201).points_spent, 10);
    assert.equal(await pointsOf(bob), 1000 - 110);
  });

  test("decides how many points are missing", async () => {
    const shop = openShop(edge);
    const reward_id = await forSale(shop, 100, { prices: [{ tier: "gold", points_cost: 40 }] });
    const ann = await memberWith(shop, 50, { tier: "gold" });
    expectProblem(await buy(ann, reward_id, { quantity: 2 }), 409, "insufficient_points", { points_needed: 30 });
    expectProblem(await buy(await memberWith(shop, 50), reward_id, { quantity: 2 }), 409, "insufficient_points", { points_needed: 150 });
  });
});

describe("the catalogue", () => {
  test("has what points can buy, with cost, affordability and what is missing, for this member", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 100, { tier: "gold" });
    const cheap = await forSale(shop, 30, { name: "Coffee" });
    const exact = await forSale(shop, 100, { name: "Cake", type: "credit", value: { currency: "EUR", amount_minor: 300 } });
    const dear = await forSale(shop, 140, { name: "Cup" });
    const lowered = await forSale(shop, 500, { name: "Jar", prices: [{ tier: "gold", points_cost: 101 }] });
    const forGold = await forSale(shop, undefined, { name: "Key", prices: [{ tier: "gold", points_cost: 1 }] });
    const forSilver = await forSale(shop, undefined, { name: "Pin", prices: [{ tier: "silver", points_cost: 1 }] });
    const shut = await forSale(shop, 10, { name: "Hat", eligibility: { personas: ["runner"], tags_any: ["vip"] } });
    await define(shop, "external");
    const external = { type: "external", value: { reference: "voucher-7" } };
    const expected = [
      { reward_id: cheap, name: "Coffee", ...external, points_cost: 30, affordable: true, eligible: true },
      { reward_id: exact, name: "Cake", type: "credit", value: { currency: "EUR", amount_minor: 300 }, points_cost: 100, affordable: true, eligible: true },
      { reward_id: dear, name: "Cup", ...external, points_cost: 140, affordable: false, points_needed: 40, eligible: true },
      { reward_id: lowered, name: "Jar", ...external, points_cost: 101, affordable: false, points_needed: 1, eligible: true },
      { reward_id: forGold, name: "Key", ...external, points_cost: 1, affordable: true, eligible: true },
      { reward_id: shut, name: "Hat", ...external, points_cost: 10, affordable: true, eligible: false, unmet: ["persona", "tag"] },
    ];
    const items = await everyItem(ann, "/v1/catalogue", 200);
    assert.deepEqual([...items].sort(byId), [...expected].sort(byId));
    assert.ok(!items.some(({ reward_id }) => reward_id === forSilver));
    assert.deepEqual(expectStatus(await shop.service.get(`/v1/catalogue?member_id=${ann.sub}`), 200).items, items);
    const bob = shop.member();
    const his = await catalogueOf(bob);
    assert.deepEqual(his.find(({ reward_id }) => reward_id === lowered), { reward_id: lowered, name: "Jar", ...external, points_cost: 500, affordable: false, points_needed: 500, eligible: true });
    assert.ok(!his.some(({ reward_id }) => reward_id === forGold));
  });

  test("tells what a purchase would say, as the balance changes", async () => {
    const shop = openShop(edge);
    const ann = await memberWith(shop, 90);
    const reward_id = await forSale(shop, 60);
    const offer = async () => (await catalogueOf(ann))[0];
    assert.deepEqual([(await offer()).affordable, (await offer()).points_needed], [true, undefined]);
    await bought(ann, reward_id);
    const { affordable, points_needed } = await offer();
    assert.deepEqual([affordable, points_needed], [false, 30]);
    expectProblem(await buy(ann, reward_id), 409, "insufficient_points", { points_needed });
    await earn(shop, ann, points_needed);
    assert.equal((await offer()).affordable, true);
    await bought(ann, reward_id);
    assert.equal(await pointsOf(ann), 0);
  });

  test("is empty in a shop that sells nothing for points, and another merchant's is another", async () => {
    const shop = openShop(edge);
    await poolForSale(openShop(edge), 1, 10);
    await define(shop, "xp");
    assert.deepEqual(expectStatus(await shop.member().get("/v1/catalogue"), 200), { items: [] });
  });

  test("comes in pages where it is long, each reward once", async () => {
    const shop = openShop(edge);
    const made = [];
    for (let place = 0; place < 25; place += 1) made.push(await forSale(shop, place));
    const ann = shop.member();
    for (const limit of [1, 7, 25, 200]) {
      const items = await everyItem(ann, "/v1/catalogue", limit);
      assert.deepEqual(items.map(({ reward_id }) => reward_id).sort(), [...made].sort(), `pages of ${limit}`);
    }
    for (const query of ["limit=0", "limit=201", "limit=x", "cursor=nonsense"]) expectProblem(await ann.get(`/v1/catalogue?${query}`), 400, "invalid_request");
  });

  test("is for members, and for a service that names one", async () => {
    const shop = openShop(edge);
    expectProblem(await shop.service.get("/v1/catalogue"), 400, "invalid_request");
    for (const role of ["staff", "manager", "admin"]) expectProblem(await shop.as(role).get("/v1/catalogue"), 403, "forbidden");
    const ann = shop.member();
    assert.deepEqual(await catalogueOf(ann), []);
    await walletOf(ann);
    assert.deepEqual(await catalogueOf(shop.service, `?member_id=${encodeURIComponent(unique("u-"))}`), []);
  });
});
