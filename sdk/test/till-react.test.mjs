// The till's hook: one customer after the other, from phone number to receipt.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { act, h, root, turn } from "./react-world.mjs";
import { LOST, SILENT, stopClock, until } from "./support.mjs";
import { CONFIRM, member, PHONE, problem, sold, till } from "./till-world.mjs";

const { StrictMode } = await import("react");
const { useReachable, useTill } = await import("../dist/till-react.js");
const COFFEE = { reward_id: "coffee", name: "Coffee" };
const MUG = { reward_id: "mug", name: "Mug" };
const SHORT = problem(409, "insufficient_points", { points_needed: 180, quote_id: "qu_2" });

/** A till on a page, in the words of its state. */
async function page(options = {}, hookOptions) {
  const world = till(options);
  const seen = {};
  const Probe = () => {
    Object.assign(seen, { till: useTill(world.till, hookOptions), reachable: useReachable(world.till) });
    return null;
  };
  await act(async () => root.render(h(StrictMode, null, h(Probe))));
  await turn();
  return {
    ...world,
    seen,
    get now() {
      return seen.till;
    },
    /** Does something and waits until nothing is under way that needs no time. */
    async act(what) {
      await act(async () => void what(seen.till));
      await turn();
      return seen.till;
    },
    posts: (path) => world.server.to("POST", path),
  };
}

describe("a customer", () => {
  it("is looked up, offered a reward, and given it; the balance is read anew", async () => {
    const one = await page();
    assert.deepEqual([one.now.step, one.now.member, one.seen.reachable], ["idle", null, true]);
    let state = await one.act(({ lookup }) => lookup(PHONE));
    assert.deepEqual([state.step, state.member.points, state.phone, state.busy], ["member", 120, PHONE, null]);
    state = await one.act(({ choose }) => choose(COFFEE));
    assert.deepEqual([state.step, state.quote.points_cost, state.choice], ["quoted", 80, { ...COFFEE, quantity: 1 }]);
    one.server.routes["POST /v1/till/lookup"] = () => ({ json: member(41) });
    state = await one.act(({ confirm }) => confirm());
    assert.equal(state.step, "done");
    assert.deepEqual([state.sale.reward_name, state.sale.points_cost, state.sale.points_after, state.sale.member], ["Coffee", 80, 41, { member_id: "ann", name: "Ann" }]);
    assert.equal(state.member.points, 41, "what another till took meanwhile is seen");
    state = await one.act(({ finish }) => finish());
    assert.deepEqual([state.step, state.member, state.quote, state.sale.reward_name], ["idle", null, null, "Coffee"]);
  });

  it("is not found, and the next one is", async () => {
    const one = await page({ routes: { "POST /v1/till/lookup": () => problem(404, "member_not_found") } });
    assert.equal((await one.act(({ lookup }) => lookup(PHONE))).error.code, "member_not_found");
    one.server.routes["POST /v1/till/lookup"] = () => ({ json: member(7) });
    const state = await one.act(({ lookup }) => lookup(PHONE));
    assert.deepEqual([state.step, state.error], ["member", null]);
  });

  it("changes the quantity, and their mind: the quote is withdrawn and nothing is confirmed", async () => {
    const one = await page();
    await one.act(({ lookup }) => lookup(PHONE));
    await one.act(({ choose }) => choose(COFFEE));
    let state = await one.act(({ choose }) => choose({ ...COFFEE, quantity: 2 }));
    assert.deepEqual([state.quote.points_cost, state.choice.quantity], [160, 2]);
    state = await one.act(({ back }) => back());
    assert.deepEqual([state.step, state.quote, state.member.points], ["member", null, 120]);
    assert.equal(one.server.to("DELETE").length, 1);
    assert.equal(one.posts("/v1/till/quotes/qu_1/confirm").length, 0);
  });

  it("who leaves while a quote is asked for leaves none behind", async () => {
    const one = await page();
    await one.act(({ lookup }) => lookup(PHONE));
    let answer;
    one.server.routes["POST /v1/till/quotes"] = () => new Promise((resolve) => (answer = resolve));
    await one.act(({ choose }) => choose(COFFEE));
    assert.equal(one.now.busy, "quoting");
    await one.act(({ finish }) => finish());
    await one.act(() => answer({ status: 201, json: { quote_id: "qu_1" } }));
    assert.equal(one.now.step, "idle");
    assert.equal(one.server.to("DELETE", "/v1/till/quotes/qu_1").length, 1);
  });

  it("whose quote ran out, or whose points another till took, is back with the balance as it is", async () => {
    const one = await page();
    for (const [status, code] of [[410, "quote_expired"], [409, "insufficient_points"], [409, "just_redeemed"]]) {
      one.server.routes["POST /v1/till/lookup"] = () => ({ json: member(120) });
      await one.act(({ lookup }) => lookup(PHONE));
      await one.act(({ choose }) => choose(COFFEE));
      one.server.routes[CONFIRM] = () => problem(status, code);
      one.server.routes["POST /v1/till/lookup"] = () => ({ json: member(40) });
      const state = await one.act(({ confirm }) => confirm());
      assert.deepEqual([state.step, state.error.code, state.member.points, state.quote], ["member", code, 40, null]);
    }
    await one.act(({ choose }) => choose(COFFEE, { again: true }));
    assert.equal(one.posts("/v1/till/quotes").at(-1).body.again, true);
  });
});

describe("a shortage", () => {
  /** At the point where a manager is called. */
  async function short() {
    const one = await page({ routes: { "POST /v1/till/quotes": () => SHORT } });
    await one.act(({ lookup }) => lookup(PHONE));
    const state = await one.act(({ choose }) => choose(MUG));
    assert.deepEqual([state.step, state.shortage], ["short", { points_needed: 180, quote_id: "qu_2" }]);
    return one;
  }
  const OVERRIDE = "POST /v1/till/quotes/qu_2/confirm";

  it("is let go by a manager, with that one's own token and a reason", async () => {
    const one = await short();
    const manager = till({ server: one.server, storage: one.storage, token: "mias" }).till;
    one.server.routes[OVERRIDE] = () => ({ status: 201, json: sold({ points_spent: 120, goodwill_points: 180, by: "manager:mia" }) });
    const state = await one.act(({ override }) => override(manager, "a regular"));
    const request = one.posts("/v1/till/quotes/qu_2/confirm")[0];
    assert.deepEqual([request.token, request.body], ["mias", { override: { reason: "a regular" } }]);
    assert.deepEqual([state.step, state.sale.reward_name, state.sale.points_cost, state.sale.redemption.goodwill_points], ["done", "Mug", 300, 180]);
  });

  it("stays when the one who signs in is no manager", async () => {
    const one = await short();
    one.server.routes[OVERRIDE] = () => problem(403, "forbidden");
    const state = await one.act(({ override }) => override(one.till, "please"));
    assert.deepEqual([state.step, state.error.code, state.shortage.quote_id], ["short", "forbidden", "qu_2"]);
    const left = await one.act(({ back }) => back());
    assert.deepEqual([left.step, left.shortage], ["member", null]);
  });
});

describe("a lost line", () => {
  it("while confirming: says that nobody knows, goes on, and confirms once", async (t) => {
    stopClock(t);
    const one = await page();
    await one.act(({ lookup }) => lookup(PHONE));
    await one.act(({ choose }) => choose(COFFEE));
    one.server.routes[CONFIRM] = () => LOST;
    let state = await one.act(({ confirm }) => confirm());
    assert.deepEqual([state.step, state.uncertain, state.busy], ["confirming", true, "confirming"]);
    assert.equal(one.seen.reachable, false);
    state = await one.act((now) => (now.finish(), now.back(), void now.lookup("+4915100000000")));
    assert.equal(state.step, "confirming", "what has been sent cannot be left");
    one.server.routes[CONFIRM] = () => ({ status: 201, json: sold() });
    const confirmed = () => one.storage.length === 0;
    await act(() => until("confirmed", confirmed));
    await turn();
    assert.equal(one.now.step, "done");
    assert.equal(one.now.uncertain, false);
    assert.equal(new Set(one.posts("/v1/till/quotes/qu_1/confirm").map(({ key }) => key)).size, 1);
  });

  it("and a sign-in that ends meanwhile: still not known, and asked again with the same key", async (t) => {
    stopClock(t);
    const one = await page();
    await one.act(({ lookup }) => lookup(PHONE));
    await one.act(({ choose }) => choose(COFFEE));
    let tries = 0;
    one.server.routes[CONFIRM] = () => (tries++ === 0 ? LOST : problem(401, "invalid_token"));
    await one.act(({ confirm }) => confirm());
    await act(() => until("refused", () => tries > 1));
    await turn();
    assert.deepEqual([one.now.step, one.now.uncertain, one.now.busy, one.now.error.code], ["confirming", true, null, "invalid_token"]);
    one.server.routes[CONFIRM] = () => ({ status: 201, json: sold() });
    const state = await one.act(({ confirm }) => confirm());
    assert.deepEqual([state.step, state.error], ["done", null]);
    assert.equal(new Set(one.posts("/v1/till/quotes/qu_1/confirm").map(({ key }) => key)).size, 1);
  });

  /** A till whose page goes in the middle of a confirmation. */
  async function leftConfirming() {
    const before = till();
    before.server.routes[CONFIRM] = () => SILENT;
    const quote = await before.till.quote({ memberId: "ann", rewardId: "coffee" });
    const gone = new AbortController();
    const confirmed = before.till.confirm(quote, { member: { member_id: "ann", name: "Ann" }, signal: gone.signal });
    await turn();
    gone.abort();
    await assert.rejects(confirmed, { code: "aborted" });
    return before;
  }

  it("and a reload: what was asked for is seen to its end", async () => {
    const before = await leftConfirming();
    const one = await page({ storage: before.storage });
    await turn();
    assert.deepEqual([one.now.step, one.now.sale.reward_name, one.now.sale.member.name], ["done", "Coffee", "Ann"]);
    assert.equal(one.posts()[0].key, before.server.to("POST").at(-1).key);
    assert.equal(one.storage.length, 0);
  });

  it("and a reload, after which the edge refuses: says so", async () => {
    const before = await leftConfirming();
    const one = await page({ storage: before.storage, routes: { [CONFIRM]: () => problem(410, "quote_expired", { reason: "time" }) } });
    await turn();
    assert.deepEqual([one.now.step, one.now.error.code, one.now.busy], ["idle", "quote_expired", null]);
  });
});

describe("the last redemption", () => {
  const sale = { redemption: sold({ redemption_id: "r7" }), member: { member_id: "ann", name: "Ann" }, reward_name: "Coffee", quantity: 1, points_cost: 80, reversed: false };
  const REVERSE = "POST /v1/redemptions/r7/reversal";

  it("is taken back once, also after a reload and with nobody looked up", async () => {
    const one = await page({ routes: { [REVERSE]: () => ({ json: { ...sale.redemption, status: "reversed" } }) } }, { initialSale: sale });
    let state = await one.act(({ undo }) => undo("wrong reward"));
    assert.deepEqual([state.sale.reversed, state.sale.redemption.status, state.busy], [true, "reversed", null]);
    state = await one.act(({ undo }) => undo("wrong reward"));
    assert.equal(one.posts("/v1/redemptions/r7/reversal").length, 1);
    assert.deepEqual(one.posts("/v1/redemptions/r7/reversal")[0].body, { reason: "wrong reward" });
  });

  it("of the member on the page brings the points back there", async () => {
    const one = await page({ routes: { [REVERSE]: () => ({ json: { ...sale.redemption, status: "reversed" } }) } }, { initialSale: sale });
    await one.act(({ lookup }) => lookup(PHONE));
    one.server.routes["POST /v1/till/lookup"] = () => ({ json: member(200) });
    const state = await one.act(({ undo }) => undo("wrong reward"));
    assert.deepEqual([state.member.points, state.sale.points_after], [200, 200]);
  });

  it("that staff may not take back any more is taken back by a manager", async () => {
    const one = await page({ routes: { [REVERSE]: () => problem(403, "reversal_window_over") } }, { initialSale: sale });
    let state = await one.act(({ undo }) => undo("wrong reward"));
    assert.deepEqual([state.error.code, state.sale.reversed], ["reversal_window_over", false]);
    const manager = till({ server: one.server, storage: one.storage, token: "mias" }).till;
    one.server.routes[REVERSE] = ({ token }) => (token === "mias" ? { json: { ...sale.redemption, status: "reversed" } } : problem(403, "forbidden"));
    state = await one.act(({ undo }) => undo("wrong reward", manager));
    assert.deepEqual([state.error, state.sale.reversed], [null, true]);
  });

  it("that somebody else took back already is known to be", async () => {
    const one = await page({ routes: { [REVERSE]: () => problem(409, "already_reversed") } }, { initialSale: sale });
    const state = await one.act(({ undo }) => undo("wrong reward"));
    assert.deepEqual([state.error.code, state.sale.reversed], ["already_reversed", true]);
  });
});
