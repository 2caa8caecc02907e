// A reward's life as its owner sees it: types and flags, claim, activation, decline, expiry, quantity, and who sees what.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile, unique } from "./env.mjs";
import { fulfillerOf } from "./fulfiller-double.mjs";
import { KINDS, assertReward, assertVerified, define, feedOf, give, inState, move, passed, pathOf, redemptionOf, rewardOf, rewardsOf, withFulfillers } from "./rewards.mjs";
import { assertBalanced, creditOf, ledgerOf, openShop, redeem, redeemed, walletOf } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
const EMPTY = { points: 0, xp: 0, tokens: 0, credit: [], features: [], boosters: [] };
const NEEDS_FULFILLER = ["bonus", "mini_game", "mission_booster"];
const BOOSTERS = ["level_booster", "token_booster", "mission_booster"];
/** `player_should_claim`, `automatic_activation`, as they are when a definition says nothing. */
const DEFAULTS = {
  ...Object.fromEntries(["xp", "tokens", "points", "credit", "feature", "bonus", "external"].map((type) => [type, [false, true]])),
  ...Object.fromEntries([...BOOSTERS, "mini_game"].map((type) => [type, [true, false]])),
  manual: [false, false],
  discount: [false, false],
};

describe("definitions", () => {
  for (const [type, fields] of Object.entries(KINDS)) {
    test(`${type}: defaults, and what it reads back`, async (t) => {
      const shop = openShop(edge);
      const mechanic = NEEDS_FULFILLER.includes(type) ? (await fulfillerOf(t, shop)).mechanic : { kind: "wallet" };
      const body = await shop.reward({ name: type, ...fields, mechanic });
      assert.deepEqual([body.type, body.value, body.mechanic, body.duration_s, body.valid_for_s], [type, fields.value, mechanic, fields.duration_s, fields.valid_for_s]);
      assert.deepEqual([body.player_should_claim, body.automatic_activation], DEFAULTS[type]);
      assert.deepEqual([body.attempts_max, body.fulfilment_timeout_s, body.version], [10, 86400, 1]);
      assert.deepEqual((await shop.admin.get(`/v1/reward-definitions/${body.reward_id}`)).body, body);
    });
  }

  test("what only a fulfiller can apply is refused without one", async () => {
    const shop = openShop(edge);
    for (const type of NEEDS_FULFILLER) {
      for (const mechanic of [undefined, { kind: "wallet" }]) {
        const { errors } = expectProblem(await shop.admin.post("/v1/reward-definitions", { name: type, ...KINDS[type], mechanic }), 400, "invalid_request");
        assert.ok(errors.some(({ path }) => path.includes("mechanic")), JSON.stringify(errors));
      }
    }
  });

  test("another merchant's endpoint is no mechanic", async (t) => {
    const { mechanic } = await fulfillerOf(t, openShop(edge));
    expectProblem(await openShop(edge).admin.post("/v1/reward-definitions", { name: "bonus", ...KINDS.bonus, mechanic }), 400, "invalid_request");
  });
});

describe("each type, given", () => {
  const rows = [
    ["xp", "granted", { xp: 30 }],
    ["tokens", "granted", { tokens: 7 }],
    ["points", "granted", { points: 250 }],
    ["credit", "granted", { credit: [{ currency: "EUR", amount_minor: 500 }] }],
    ["feature", "granted", { features: ["beta"] }],
    ["external", "granted", {}],
    ["manual", "pending_activation", {}],
    ["discount", "pending_activation", {}],
    ["level_booster", "unclaimed", {}],
    ["token_booster", "unclaimed", {}],
    ["bonus", "granted", {}],
    ["mission_booster", "unclaimed", {}],
    ["mini_game", "unclaimed", {}],
  ];
  for (const [type, state, wallet] of rows) {
    test(`${type}: ${state}`, async (t) => {
      const shop = openShop(edge);
      const ann = shop.member();
      const { fulfiller, mechanic } = NEEDS_FULFILLER.includes(type) ? await fulfillerOf(t, shop) : {};
      const { reward_id, code, campaign } = await shop.withCodes(1, { reward_id: await define(shop, type, { mechanic }) });
      const redemption = await redeemed(ann, code);
      assert.deepEqual([redemption.campaign, redemption.reward_id, redemption.rewards.length], [campaign, reward_id, 1]);
      const reward = await inState(ann, redemption.rewards[0], state);
      assert.deepEqual([reward.type, reward.value, reward.quantity, reward.redemption_id], [type, KINDS[type].value, 1, redemption.redemption_id]);
      assert.deepEqual((await assertBalanced(ann)).wallet, { ...EMPTY, ...wallet });
      assert.equal((await rewardsOf(ann)).length, 1);
      assert.equal(fulfiller?.received.length ?? 0, state === "granted" && mechanic ? 1 : 0);
      await assertVerified(shop, { member_id: ann.sub });
    });
  }

  test("a wallet's type with a fulfiller is applied there, and not by the wallet", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller, mechanic } = await fulfillerOf(t, shop);
    const { id } = await give(shop, ann, "xp", { mechanic });
    const reward = await inState(ann, id, "granted");
    assert.deepEqual(pathOf(reward), ["pending_activation", "in_progress", "granted"]);
    assert.deepEqual((await assertBalanced(ann)).wallet, EMPTY);
    assert.deepEqual([...fulfiller.applied], [[id, 1]]);
  });
});

describe("flags", () => {
  // player_should_claim, automatic_activation → what happens with no call, and the calls that grant.
  const rows = [
    [false, true, ["pending_activation", "in_progress", "granted"], []],
    [false, false, ["pending_activation"], ["activate"]],
    [true, false, ["unclaimed"], ["claim", "activate"]],
    [true, true, ["unclaimed"], ["claim"]],
  ];
  for (const [player_should_claim, automatic_activation, first, calls] of rows) {
    test(`claim ${player_should_claim}, automatic ${automatic_activation}`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      const given = await give(shop, ann, "xp", { player_should_claim, automatic_activation });
      assert.deepEqual(pathOf(given), first);
      for (const verb of calls) {
        assert.equal((await walletOf(ann)).xp, 0, `nothing before ${verb}`);
        const answer = await move(ann, given.id, verb);
        assertReward(expectStatus(answer, 200));
        assert.deepEqual(answer.body, await rewardOf(ann, given.id), "the whole resource");
        const own = answer.body.moves.slice(first.length).filter(({ actor }) => actor !== "system");
        assert.ok(own.length > 0 && own.every(({ actor }) => actor.startsWith("member:")), answer.text);
      }
      const reward = await rewardOf(ann, given.id);
      assert.equal(reward.state, "granted");
      assert.equal(reward.moves[0].actor === "system" || reward.moves[0].actor.startsWith("admin:"), true);
      const { wallet, rows: ledger } = await assertBalanced(ann);
      assert.equal(wallet.xp, 30);
      assert.deepEqual(ledger.filter(({ asset }) => asset === "xp").map(({ amount }) => amount), [30]);
      assert.equal((await redemptionOf(ann, reward.redemption_id)).status, "granted");
    });
  }

  test("repeats of a claim, an activation and a decline answer 200 and move nothing", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "xp", { player_should_claim: true, automatic_activation: false });
    for (const verb of ["claim", "activate"]) {
      const made = expectStatus(await move(ann, id, verb), 200);
      const feed = await feedOf(ann);
      for (let times = 0; times < 3; times += 1) assert.deepEqual(expectStatus(await move(ann, id, verb), 200), made);
      assert.deepEqual(await feedOf(ann), feed, "nothing happened");
    }
    expectStatus(await move(ann, id, "claim"), 200);
    assert.equal((await walletOf(ann)).xp, 30);
    const other = await give(shop, ann, "manual");
    const declined = expectStatus(await move(ann, other.id, "decline"), 200);
    assert.deepEqual(expectStatus(await move(ann, other.id, "decline"), 200), declined);
    const { rows } = await assertBalanced(ann);
    assert.equal(rows.filter(({ asset }) => asset === "xp").length, 1);
  });

  test("claims at the same time are one claim, activations one activation", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "xp", { player_should_claim: true, automatic_activation: false });
    for (const verb of ["claim", "activate"]) {
      for (const answer of await Promise.all(Array.from({ length: 8 }, () => move(ann, id, verb)))) expectStatus(answer, 200);
    }
    assert.deepEqual(pathOf(await rewardOf(ann, id)), ["unclaimed", "pending_activation", "in_progress", "granted"]);
    assert.equal((await walletOf(ann)).xp, 30);
  });

  for (const [name, flags] of [["unclaimed", { player_should_claim: true }], ["pending activation", { player_should_claim: false, automatic_activation: false }]]) {
    test(`declined while ${name}: nothing is given, and the use is not given back`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      const { code } = await shop.withCodes(1, { reward_id: await define(shop, "credit", flags) });
      const redemption = await redeemed(ann, code);
      const reward = expectStatus(await move(ann, redemption.rewards[0], "decline"), 200);
      assert.equal(reward.state, "declined");
      expectProblem(await move(ann, reward.id, "activate"), 409, "illegal_move", { state: "declined", legal_moves: [] });
      assert.equal((await redemptionOf(ann, redemption.redemption_id)).status, "granted");
      expectProblem(await redeem(ann, code), 409, "already_redeemed_by_you");
      assert.equal(await creditOf(ann), 0);
      await assertBalanced(ann);
    });
  }

  test("a manual reward is activated by an administrator, not by its owner", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "manual");
    expectProblem(await move(ann, id, "activate"), 409, "illegal_move", { state: "pending_activation", legal_moves: ["declined"] });
    assert.equal((await rewardOf(ann, id)).state, "pending_activation");
  });

  test("a discount is not activated by hand", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "discount");
    const { legal_moves } = expectProblem(await move(ann, id, "activate"), 409, "illegal_move", { state: "pending_activation" });
    assert.ok(!legal_moves.includes("in_progress"), JSON.stringify(legal_moves));
    assert.equal((await rewardOf(ann, id)).state, "pending_activation");
  });
});

describe("expiry", { concurrency: true }, () => {
  for (const [state, flags] of [["unclaimed", { player_should_claim: true }], ["pending_activation", { player_should_claim: false, automatic_activation: false }]]) {
    test(`${state}: by the clock alone`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      const given = await give(shop, ann, "xp", { ...flags, valid_for_s: 1 });
      assert.equal(given.state, state);
      const late = Date.parse(given.valid_until) - Date.now();
      assert.ok(late > -1000 && late <= 1000, `valid for a second: ${given.valid_until}`);
      const reward = await inState(ann, given.id, "expired");
      assert.deepEqual([reward.moves.at(-1).from, reward.moves.at(-1).actor], [state, "system"]);
      assert.ok(Date.parse(reward.moves.at(-1).at) >= Date.parse(given.valid_until), "not before its time");
      const events = (await feedOf(ann)).filter(({ type, data }) => type === "reward.updated" && data.state === "expired");
      assert.equal(events.length, 1, "and its owner was told");
      assert.equal((await redemptionOf(ann, reward.redemption_id)).status, "granted", "the redemption rests");
      assert.deepEqual(await walletOf(ann), EMPTY);
    });

    test(`${state}: at the very move that comes too late`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      const given = await give(shop, ann, "xp", { ...flags, valid_for_s: 1 });
      await passed(given.valid_until);
      const verb = state === "unclaimed" ? "claim" : "activate";
      expectProblem(await move(ann, given.id, verb), 409, "illegal_move", { state: "expired", legal_moves: [] });
      assert.equal((await rewardOf(ann, given.id)).state, "expired");
      assert.deepEqual(await walletOf(ann), EMPTY);
    });
  }

  test("what was activated in time does not expire", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const given = await give(shop, ann, "xp", { valid_for_s: 1 });
    const witness = await give(shop, ann, "xp", { player_should_claim: true, valid_for_s: 1 });
    await inState(ann, witness.id, "expired");
    assert.equal((await rewardOf(ann, given.id)).state, "granted");
    assert.equal((await walletOf(ann)).xp, 30);
  });
});

describe("who sees and moves what", () => {
  test("a member their own only; a service the member's it names", async () => {
    const shop = openShop(edge);
    const [ann, bob] = [shop.member(), shop.member()];
    const flags = { player_should_claim: true, automatic_activation: false };
    const { id, redemption_id } = await give(shop, ann, "xp", flags);
    await rewardOf(bob, (await give(shop, bob, "xp", flags)).id);
    const stranger = openShop(edge).member({}, ann.sub);
    for (const other of [bob, stranger]) {
      expectProblem(await other.get(`/v1/rewards/${id}`), 404, "not_found");
      for (const verb of ["claim", "activate", "decline"]) expectProblem(await move(other, id, verb), 404, "not_found");
      assert.ok((await rewardsOf(other)).every((one) => one.id !== id));
    }
    for (const wrong of [redemption_id, `${id}x`, "rw_nothing", "x"]) {
      expectProblem(await ann.get(`/v1/rewards/${wrong}`), 404, "not_found");
      expectProblem(await move(ann, wrong, "claim"), 404, "not_found");
    }
    expectProblem(await move(shop.service, id, "claim"), 400, "invalid_request");
    expectProblem(await move(shop.service, id, "claim", { member_id: bob.sub }), 404, "not_found");
    assert.deepEqual(pathOf(await rewardOf(ann, id)), ["unclaimed"]);
    const claimed = expectStatus(await move(shop.service, id, "claim", { member_id: ann.sub }), 200);
    assert.deepEqual([claimed.state, claimed.moves.at(-1).actor], ["pending_activation", "service:shop-server"]);
    expectStatus(await move(shop.service, id, "activate", { member_id: ann.sub }), 200);
    assert.equal((await walletOf(ann)).xp, 30);
    assert.deepEqual((await shop.service.get(`/v1/rewards?member_id=${ann.sub}`)).body.items, await rewardsOf(ann));
    for (const role of ["staff", "manager", "admin"]) expectProblem(await move(shop.as(role), id, "claim"), 403, "forbidden");
  });

  test("the list has every reward once, by pages, as each reads by itself", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    for (const type of ["xp", "credit", "manual", "level_booster", "discount"]) await give(shop, ann, type);
    const whole = await rewardsOf(ann);
    assert.equal(whole.length, 5);
    for (const one of whole) assert.deepEqual(await rewardOf(ann, one.id), one);
    const first = expectStatus(await ann.get("/v1/rewards?limit=2"), 200);
    assert.equal(first.items.length, 2);
    const rest = expectStatus(await ann.get(`/v1/rewards?cursor=${encodeURIComponent(first.next_cursor)}`), 200);
    assert.deepEqual([...first.items, ...rest.items], whole);
  });

  test("every move is told on the feed, with the wallet when it changed, without a gap", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { code } = await shop.withCodes(1, { reward_id: await define(shop, "xp", { player_should_claim: true, automatic_activation: false }) });
    const { redemption_id, rewards } = await redeemed(ann, code);
    for (const verb of ["claim", "activate"]) expectStatus(await move(ann, rewards[0], verb), 200);
    const events = await feedOf(ann);
    const states = events.filter(({ type }) => type === "reward.updated").map(({ data }) => data.state);
    assert.deepEqual([states[0], states.includes("pending_activation"), states.at(-1)], ["unclaimed", true, "granted"]);
    events.filter(({ type }) => type === "reward.updated").forEach(({ data }) => assertReward(data));
    assert.deepEqual(events.findLast(({ type }) => type === "reward.updated").data, await rewardOf(ann, rewards[0]));
    assert.deepEqual(events.findLast(({ type }) => type === "wallet.updated").data, await walletOf(ann));
    assert.deepEqual(events.findLast(({ type }) => type === "redemption.updated").data, await redemptionOf(ann, redemption_id));
  });
});

describe("quantity", () => {
  const rows = [
    ["xp", 3, 1, { xp: 90 }],
    ["credit", 100, 1, { credit: [{ currency: "EUR", amount_minor: 50_000 }] }],
    ["external", 4, 1, {}],
    ["level_booster", 3, 3, {}],
    ["token_booster", 2, 2, {}],
  ];
  for (const [type, quantity, rewards, wallet] of rows) {
    test(`${quantity} of ${type}: ${rewards} reward(s), one ledger row`, async () => {
      const shop = openShop(edge);
      const ann = shop.member();
      const { code } = await shop.withCodes(1, { reward_id: await define(shop, type), quantity });
      const redemption = await redeemed(ann, code);
      assert.equal(redemption.quantity, quantity);
      const given = await rewardsOf(ann);
      assert.deepEqual(given.map((one) => one.id).sort(), [...redemption.rewards].sort());
      assert.deepEqual(given.map((one) => one.quantity), Array.from({ length: rewards }, () => quantity / rewards));
      const rowsOfIt = (await ledgerOf(ann)).filter((row) => row.redemption_id === redemption.redemption_id);
      assert.deepEqual(rowsOfIt.map((row) => row.quantity), [quantity]);
      assert.deepEqual((await assertBalanced(ann)).wallet, { ...EMPTY, ...wallet });
    });
  }

  test("a fulfiller hears the quantity once; of mini-games it hears each", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller, mechanic } = await fulfillerOf(t, shop);
    const { code } = await shop.withCodes(1, { reward_id: await define(shop, "bonus", { mechanic }), quantity: 3 });
    await redeemed(ann, code);
    assert.deepEqual(fulfiller.received.map(({ body }) => body.data.quantity), [3]);
    const games = await shop.withCodes(1, { reward_id: await define(shop, "mini_game", { mechanic }), quantity: 2 });
    const { rewards } = await redeemed(ann, games.code, { key: unique("k-") });
    assert.equal(rewards.length, 2);
    for (const id of rewards) for (const verb of ["claim", "activate"]) expectStatus(await move(ann, id, verb), 200);
    for (const id of rewards) await inState(ann, id, "granted");
    assert.deepEqual(fulfiller.received.slice(1).map(({ id, body }) => [id, body.data.quantity]).sort(), rewards.map((id) => [id, 1]).sort());
    fulfiller.assertProper();
  });
});
