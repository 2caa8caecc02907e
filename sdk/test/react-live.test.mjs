// The React layer's live hooks: wallet, lists and rewards that follow the feed.

import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { act, hook, sdk, show, turn, WALLET, world } from "./react-world.mjs";
import { event, problem, redemption, reward, settle } from "./support.mjs";

describe("live hooks", () => {
  const both = () => ({ wallet: sdk.useWallet(), list: sdk.useRedemptions() });

  it("read at once, again when the feed has begun, and follow it", async () => {
    const probe = await hook(both);
    assert.deepEqual([probe.value.wallet.wallet, probe.value.wallet.loading], [WALLET, false]);
    const old = redemption("granted", { created_at: "2026-04-01T00:00:00Z" });
    world.server.routes["GET /v1/wallet"] = () => ({ json: { ...WALLET, points: 11 } });
    world.server.routes["GET /v1/redemptions"] = () => ({ json: { items: [old] } });
    await act(async () => (world.sockets.last().accept(), await settle()));
    assert.equal(probe.value.wallet.wallet.points, 11);
    assert.deepEqual(probe.value.list.redemptions, [old]);
    const fresh = redemption("granting", { created_at: "2026-05-02T00:00:00Z" });
    await act(async () => world.sockets.last().deliver(event(2, "wallet.updated", { ...WALLET, points: 12 }), event(3, "redemption.updated", fresh)));
    assert.equal(probe.value.wallet.wallet.points, 12);
    assert.deepEqual(probe.value.list.redemptions, [fresh, old]);
    const later = { ...fresh, status: "granted", updated_at: "2026-05-02T00:00:01Z" };
    await act(async () => world.sockets.last().deliver(event(4, "redemption.updated", later)));
    assert.deepEqual(probe.value.list.redemptions, [later, old]);
    await act(async () => (probe.value.list.refresh(), await settle()));
    assert.deepEqual(probe.value.list.redemptions, [later, old]);
    assert.equal(world.sockets.opened.filter(({ closed }) => !closed).length, 1, "one connection for all hooks");
  });

  it("never let a slow reading undo what an event brought", async () => {
    const waiting = [];
    world.server.routes["GET /v1/wallet"] = () => new Promise((resolve) => waiting.push(resolve));
    const probe = await hook(both);
    await act(async () => (world.sockets.last().accept(), await settle()));
    await act(async () => world.sockets.last().deliver(event(2, "wallet.updated", { ...WALLET, points: 99 })));
    for (const resolve of waiting) resolve({ json: WALLET });
    await turn();
    assert.equal(probe.value.wallet.wallet.points, 99);
  });

  it("keep the later of two versions, whichever arrives last", async () => {
    const early = redemption("granting", { updated_at: "2026-05-01T12:00:00Z" });
    const late = { ...early, status: "granted", updated_at: "2026-05-01T12:00:01Z" };
    let answer;
    world.server.routes["GET /v1/redemptions"] = () => new Promise((resolve) => (answer = resolve));
    const probe = await hook(both);
    await act(async () => (world.sockets.last().accept(), await settle()));
    await act(async () => world.sockets.last().deliver(event(2, "redemption.updated", late)));
    answer({ json: { items: [early] } });
    await turn();
    assert.deepEqual(probe.value.list.redemptions, [late]);
  });

  it("take the latest of two readings that overtake each other", async () => {
    const waiting = [];
    const probe = await hook(both);
    world.server.routes["GET /v1/wallet"] = () => new Promise((resolve) => waiting.push(resolve));
    await act(async () => (probe.value.wallet.refresh(), await settle(), probe.value.wallet.refresh(), await settle()));
    waiting[1]({ json: { ...WALLET, points: 2 } });
    await turn();
    waiting[0]({ json: { ...WALLET, points: 1 } });
    await turn();
    assert.equal(probe.value.wallet.wallet.points, 2);
  });

  it("take over a reset", async () => {
    const probe = await hook(both);
    const one = redemption("granted");
    await act(async () => {
      world.sockets.last().accept().deliver({ reset: true, since: 50, wallet: { ...WALLET, points: 50 }, rewards: [], redemptions: [one] });
    });
    assert.equal(probe.value.wallet.wallet.points, 50);
    assert.deepEqual(probe.value.list.redemptions, [one]);
  });

  it("tell an error and recover", async () => {
    world.server.routes["GET /v1/wallet"] = () => problem(503, "overloaded");
    const probe = await hook(both);
    assert.deepEqual([probe.value.wallet.error.code, probe.value.wallet.wallet, probe.value.wallet.loading], ["overloaded", null, false]);
    world.server.routes["GET /v1/wallet"] = () => ({ json: WALLET });
    await act(async () => (probe.value.wallet.refresh(), await settle()));
    assert.deepEqual([probe.value.wallet.error, probe.value.wallet.wallet], [null, WALLET]);
  });

  it("let go of the connection when unmounted", async () => {
    await hook(both);
    const socket = world.sockets.last().accept();
    await show(null);
    assert.equal(socket.closed, true);
  });

  it("useEvents calls the latest listener, without subscribing again", async () => {
    const calls = [];
    let round = 0;
    const probe = await hook(() => {
      const now = ++round;
      return sdk.useEvents(({ seq }) => calls.push([now, seq]));
    });
    await act(async () => (world.sockets.last().accept(), await settle()));
    assert.equal(probe.value, "live");
    const opened = world.sockets.opened.length;
    await act(async () => world.sockets.last().deliver(event(2)));
    assert.deepEqual(calls, [[round, 2]]);
    assert.equal(world.sockets.opened.length, opened);
  });
});

describe("lists that page", () => {
  const old = (n) => redemption("granted", { redemption_id: `old${n}`, created_at: `2026-01-0${9 - n}T00:00:00Z` });
  const ids = (probe) => probe.value.redemptions.map(({ redemption_id }) => redemption_id);

  /** Pages of two, by a cursor that is the number of the first. */
  const pages = ({ query: { cursor = "0" } }) => {
    const first = Number(cursor);
    return { json: { items: [old(first), old(first + 1)], ...(first < 4 ? { next_cursor: String(first + 2) } : {}) } };
  };

  it("read on when asked, to the end, while events go on", async () => {
    world.server.routes["GET /v1/redemptions"] = pages;
    const probe = await hook(() => sdk.useRedemptions());
    assert.deepEqual([ids(probe), probe.value.hasMore], [["old0", "old1"], true]);
    await act(async () => (probe.value.loadMore(), probe.value.loadMore(), await settle()));
    assert.deepEqual(ids(probe), ["old0", "old1", "old2", "old3"]);
    await act(async () => (world.sockets.last().accept(), await settle()));
    assert.deepEqual([ids(probe).length, probe.value.hasMore], [4, true], "the first page read again ends nothing");
    await act(async () => world.sockets.last().deliver(event(2, "redemption.updated", redemption("granted", { redemption_id: "new" }))));
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual(ids(probe), ["new", "old0", "old1", "old2", "old3", "old4", "old5"]);
    assert.deepEqual([probe.value.hasMore, probe.value.loading], [false, false]);
    const asked = world.server.requests.length;
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.equal(world.server.requests.length, asked);
  });

  it("keep what they have when a page cannot be read, and can try again", async () => {
    world.server.routes["GET /v1/redemptions"] = pages;
    const probe = await hook(() => sdk.useRedemptions());
    world.server.routes["GET /v1/redemptions"] = () => problem(503, "overloaded");
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual([probe.value.error.code, ids(probe), probe.value.hasMore, probe.value.loading], ["overloaded", ["old0", "old1"], true, false]);
    world.server.routes["GET /v1/redemptions"] = pages;
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual([probe.value.error, ids(probe).length], [null, 4]);
  });

  it("begin anew after a reset", async () => {
    world.server.routes["GET /v1/redemptions"] = pages;
    const probe = await hook(() => sdk.useRedemptions());
    await act(async () => (probe.value.loadMore(), await settle()));
    await act(async () => {
      world.sockets.last().accept().deliver({ reset: true, since: 50, wallet: WALLET, rewards: [], redemptions: [old(0)] });
      await settle();
    });
    assert.deepEqual([ids(probe), probe.value.hasMore], [["old0", "old1"], true]);
    await act(async () => (probe.value.loadMore(), await settle()));
    assert.deepEqual(ids(probe).length, 4);
  });
});

describe("useRewards", () => {
  const states = (probe) => probe.value.rewards.map(({ id, state }) => [id, state]);
  const unclaimed = reward("unclaimed", { id: "w" });
  const claimed = reward("pending_activation", { id: "w", via: ["unclaimed"] });
  const running = reward("granted", { id: "w", via: ["unclaimed", "pending_activation", "in_progress"], runs_until: "2026-05-01T14:00:00Z" });

  /** The hook with one unclaimed reward, and the server's next answer in hand. */
  async function holding() {
    world.server.routes["GET /v1/rewards"] = () => ({ json: { items: [unclaimed] } });
    let answer;
    world.server.routes.POST = () => new Promise((resolve) => (answer = resolve));
    const probe = await hook(() => sdk.useRewards());
    await act(async () => (world.sockets.last().accept(), await settle()));
    return { probe, answer: (json) => act(async () => (answer(json), await settle())) };
  }

  it("shows at once that a move is asked for, and the new state only when the server says so", async () => {
    const { probe, answer } = await holding();
    assert.deepEqual(states(probe), [["w", "unclaimed"]]);
    let moved;
    await act(async () => (void (moved = probe.value.claim("w")), await settle()));
    assert.deepEqual([states(probe), probe.value.pending], [[["w", "unclaimed"]], { w: "claim" }]);
    assert.equal(await probe.value.claim("w"), false, "asked for once");
    await answer({ json: claimed });
    assert.equal(await moved, true);
    assert.deepEqual([states(probe), probe.value.pending, probe.value.errors], [[["w", "pending_activation"]], {}, {}]);
    assert.deepEqual(world.server.to("POST").map(({ path }) => path), ["/v1/rewards/w/claim"]);
  });

  it("follows the feed, and lets no answer that comes late undo it", async () => {
    const { probe, answer } = await holding();
    await act(async () => (void probe.value.claim("w"), await settle()));
    await act(async () => world.sockets.last().deliver(event(2, "reward.updated", claimed), event(3, "reward.updated", running)));
    await answer({ json: claimed });
    assert.deepEqual(states(probe), [["w", "granted"]]);
    assert.equal(probe.value.rewards[0].runs_until, running.runs_until);
    await act(async () => (probe.value.refresh(), await settle()));
    assert.deepEqual(states(probe), [["w", "granted"]]);
  });

  it("keeps why a move was not made, reads what is true, and forgets it at the next try", async () => {
    const { probe, answer } = await holding();
    await act(async () => (void probe.value.activate("w"), await settle()));
    world.server.routes["GET /v1/rewards"] = () => ({ json: { items: [claimed] } });
    await answer(problem(409, "illegal_move", { state: "unclaimed", legal_moves: ["pending_activation", "declined"] }));
    assert.deepEqual([probe.value.errors.w.code, probe.value.errors.w.problem.state, probe.value.pending], ["illegal_move", "unclaimed", {}]);
    assert.deepEqual(states(probe), [["w", "pending_activation"]]);
    assert.equal(probe.value.error, null, "the list itself has been read");
    await act(async () => (void probe.value.decline("w"), await settle()));
    assert.deepEqual([probe.value.errors, probe.value.pending], [{}, { w: "decline" }]);
    await answer({ json: reward("declined", { id: "w", via: ["unclaimed", "pending_activation"] }) });
    assert.deepEqual(states(probe), [["w", "declined"]]);
  });

  it("takes over a reset", async () => {
    const { probe } = await holding();
    world.server.routes["GET /v1/rewards"] = () => ({ json: { items: [running] } });
    await act(async () => {
      world.sockets.last().deliver({ reset: true, since: 50, wallet: WALLET, rewards: [running], redemptions: [] });
      await settle();
    });
    assert.deepEqual(states(probe), [["w", "granted"]]);
  });

  it("does nothing without a client, and is one set of functions with it", async () => {
    const probe = await hook(() => sdk.useRewards(), null);
    assert.deepEqual([probe.value.rewards, probe.value.loading, await probe.value.claim("w")], [[], true, false]);
    const held = await holding();
    const { claim, loadMore } = held.probe.value;
    await act(async () => world.sockets.last().deliver(event(2, "reward.updated", claimed)));
    assert.deepEqual([held.probe.value.claim, held.probe.value.loadMore], [claim, loadMore]);
  });
});
