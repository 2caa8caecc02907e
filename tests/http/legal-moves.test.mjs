// The table of legal moves, driven over HTTP: every state, every call of a member and of an administrator, and what the
// table says must come of it.
import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { expectProblem, expectStatus } from "./client.mjs";
import { edgeForThisFile } from "./env.mjs";
import { accepts, callBack, fulfillerOf, grants, says, silence } from "./fulfiller-double.mjs";
import { LOGGED, PAIRS, STATES, legalMoves } from "./reward-table.mjs";
import { give, inState, move, moveFor, pathOf, remove, rewardOf, withFulfillers } from "./rewards.mjs";
import { openShop } from "./shop.mjs";

const edge = edgeForThisFile(withFulfillers);
const seen = new Set();

/** Notes the pairs of a reward's log. */
function note(reward) {
  for (const { from, to } of reward.moves) seen.add(`${from ?? "–"} → ${to}`);
  return reward;
}

const step = async (client, id, ...verbs) => {
  for (const verb of verbs) expectStatus(await move(client, id, verb), 200);
};
const waiting = { player_should_claim: true, automatic_activation: false };
const resting = { player_should_claim: false, automatic_activation: false };
/** A reward of a fulfiller that answers so, activated by its owner. */
const sent = async (t, shop, ann, script, type = "bonus", changes = {}) => {
  const { mechanic } = await fulfillerOf(t, shop, script);
  const { id } = await give(shop, ann, type, { mechanic, attempts_max: 1, ...waiting, ...changes });
  await step(ann, id, "claim", "activate");
  return id;
};

/** How to bring a reward into each state: answers its id; each was claimed and activated by its owner where it got so far. */
const REACH = {
  unclaimed: async (t, shop, ann) => (await give(shop, ann, "xp", waiting)).id,
  pending_activation: async (t, shop, ann) => (await give(shop, ann, "xp", resting)).id,
  in_progress: async (t, shop, ann) => sent(t, shop, ann, [silence]),
  granted: async (t, shop, ann) => {
    const { id } = await give(shop, ann, "xp", waiting);
    await step(ann, id, "claim", "activate");
    return id;
  },
  complete: async (t, shop, ann) => {
    const { id } = await give(shop, ann, "level_booster", { duration_s: 1 });
    await step(ann, id, "claim", "activate");
    return id;
  },
  expired: async (t, shop, ann) => (await give(shop, ann, "xp", { ...waiting, valid_for_s: 1 })).id,
  failed: async (t, shop, ann) => sent(t, shop, ann, [says(500)]),
  declined: async (t, shop, ann) => {
    const { id } = await give(shop, ann, "xp", waiting);
    await step(ann, id, "decline");
    return id;
  },
  deleted: async (t, shop, ann) => {
    const { id } = await give(shop, ann, "xp", waiting);
    expectStatus(await remove(shop, ann, id), 204);
    return id;
  },
  bounced: async (t, shop, ann) => sent(t, shop, ann, [accepts], "mini_game", { valid_for_s: 1 }),
};

/** A call, where it leads, and from which state alone it leads there. */
const CALLS = [
  { caller: "member", verb: "claim", from: "unclaimed", to: "pending_activation", ask: (shop, ann, id) => move(ann, id, "claim") },
  { caller: "member", verb: "activate", from: "pending_activation", to: "in_progress", ask: (shop, ann, id) => move(ann, id, "activate") },
  { caller: "member", verb: "decline", to: "declined", ask: (shop, ann, id) => move(ann, id, "decline") },
  { caller: "administrator", verb: "claim", from: "unclaimed", to: "pending_activation", ask: (shop, ann, id) => moveFor(shop, ann, id, "claim", { reason: "asked by mail" }) },
  { caller: "administrator", verb: "activate", from: "pending_activation", to: "in_progress", ask: (shop, ann, id) => moveFor(shop, ann, id, "activate", { reason: "asked by mail" }) },
  { caller: "administrator", verb: "retry", from: "failed", to: "in_progress", ask: (shop, ann, id) => moveFor(shop, ann, id, "retry", { reason: "the fulfiller is back" }) },
  { caller: "administrator", verb: "delete", to: "deleted", ask: (shop, ann, id) => remove(shop, ann, id) },
];

/** What the table makes of a call: a move, a repeat of one already made, or a refusal. */
function verdict({ verb, from, to, caller }, reward) {
  const legal = legalMoves(caller, reward.state);
  if ((from === undefined || from === reward.state) && legal.includes(to)) return { moves: true };
  const made = { claim: ["unclaimed", "pending_activation"], activate: ["pending_activation", "in_progress"], decline: [undefined, "declined"], delete: [undefined, "deleted"] }[verb];
  const repeated = made && reward.moves.some((one) => one.to === made[1] && (made[0] === undefined || one.from === made[0]));
  // A move made long ago, on a reward that has meanwhile ended otherwise, is a repeat by the letter and illegal by sense:
  // either answer moves nothing, which is what counts.
  return { repeat: repeated ?? false, ended: ["expired", "bounced", "deleted", "declined"].includes(reward.state) && verb !== "delete" && verb !== "decline", legal };
}

test("the table is read whole", () => {
  assert.deepEqual([PAIRS.length, LOGGED.length], [19, 18]);
  for (const { from, to } of PAIRS) assert.ok((from === undefined || STATES.includes(from)) && STATES.includes(to), `${from} → ${to}`);
  assert.deepEqual(legalMoves("member", "unclaimed"), ["declined", "pending_activation"]);
  assert.deepEqual(legalMoves("member", "granted"), []);
  assert.deepEqual(legalMoves("administrator", "failed"), ["deleted", "in_progress"]);
  assert.deepEqual(legalMoves("administrator", "in_progress"), []);
});

describe("every state and every call", { concurrency: 12 }, () => {
  for (const state of STATES) {
    for (const call of CALLS) {
      test(`${state}: ${call.caller} asks to ${call.verb}`, async (t) => {
        const shop = openShop(edge);
        const ann = shop.member();
        const id = await REACH[state](t, shop, ann);
        const before = note(await inState(ann, id, state));
        const feed = expectStatus(await ann.get("/v1/events?since=0"), 200).next_since;
        const expected = verdict(call, before);
        const answer = await call.ask(shop, ann, id);
        const reward = note(await rewardOf(ann, id));
        if (expected.moves) {
          expectStatus(answer, call.verb === "delete" ? 204 : 200);
          const made = reward.moves[before.moves.length];
          assert.deepEqual([made.from, made.to], [state, call.to]);
          assert.match(made.actor, call.caller === "member" ? /^member:/ : /^admin:admin-1$/);
          if (call.caller === "administrator") assert.equal(typeof made.reason, "string", "an administrator's reason is kept");
          return;
        }
        if (expected.repeat && answer.status < 400) expectStatus(answer, call.verb === "delete" ? 204 : 200);
        else if (expected.repeat && !expected.ended) assert.fail(`a repeat answers 200: ${answer.status} ${answer.text}`);
        else {
          expectProblem(answer, 409, "illegal_move", { state });
          assert.deepEqual([...answer.body.legal_moves].sort(), expected.legal);
        }
        assert.deepEqual(reward.moves, before.moves, "nothing moved");
        assert.equal((await ann.get(`/v1/events?since=${feed}`)).body.events.length, 0, "nothing was told");
      });
    }
  }
});

describe("pairs that no call makes", { concurrency: true }, () => {
  test("pending_activation → expired", async () => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { id } = await give(shop, ann, "xp", { ...resting, valid_for_s: 1 });
    note(await inState(ann, id, "expired"));
  });

  test("complete, granted, pending_activation and failed → deleted", async (t) => {
    for (const state of ["complete", "granted", "pending_activation", "failed"]) {
      const shop = openShop(edge);
      const ann = shop.member();
      const id = await REACH[state](t, shop, ann);
      await inState(ann, id, state);
      expectStatus(await remove(shop, ann, id), 204);
      expectStatus(await remove(shop, ann, id), 204);
      note(await inState(ann, id, "deleted"));
    }
  });

  test("failed → in_progress → failed by the server, and → granted by a late success as two moves", async (t) => {
    const shop = openShop(edge);
    const ann = shop.member();
    const { fulfiller, mechanic, secret } = await fulfillerOf(t, shop, [says(500), says(500), grants()]);
    const { id } = await give(shop, ann, "bonus", { mechanic });
    await inState(ann, id, "failed");
    await fulfiller.deliveries(2);
    const failed = note(await inState(ann, id, "failed", 5000, ({ attempts }) => attempts === 2));
    assert.deepEqual(pathOf(failed).slice(-3), ["failed", "in_progress", "failed"]);
    expectStatus(await callBack(edge.url, id, { outcome: "granted" }, { secret }), 200);
    const granted = note(await rewardOf(ann, id));
    const last = granted.moves.slice(-2);
    assert.deepEqual(last.map(({ from, to }) => [from, to]), [["failed", "in_progress"], ["in_progress", "granted"]]);
    assert.equal(last[0].at, last[1].at, "in one commit");
    assert.equal(fulfiller.received.length, 2);
  });
});

after(() => assert.deepEqual(LOGGED.filter((pair) => !seen.has(pair)), [], "every pair of the table was seen"));
