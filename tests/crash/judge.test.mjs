// Every rule of the judge can fail: one member's books are right, then one thing in them is made wrong, and the verdict names it.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { judgeAudit } from "./audit.mjs";
import { Account, Book, canonical } from "./book.mjs";
import { Fulfilment } from "./fulfilment.mjs";
import { judgeAccount, judgeFigures, judgeWhole } from "./judge.mjs";

const at = "2026-01-02T03:04:05.678Z";
const move = (from, to) => ({ ...(from && { from }), to, at, actor: "system" });

/** A member with one redemption of credit and one that a fulfiller applied, all of it told and all of it true. */
function world() {
  const redemption = (id, campaign) => ({ redemption_id: id, status: "granted", kind: "code", campaign, quantity: 1, ledger: [{ ledger_id: `le-${id}` }], rewards: [`rw-${id}`], attempts: 1, created_at: at });
  const reward = (id, state = "granted") => ({ id: `rw-${id}`, state, attempts: 1, moves: [move(undefined, "pending_activation"), move("pending_activation", "in_progress"), move("in_progress", "granted")] });
  const state = {
    history: [redemption("a", 1), redemption("b", 2)],
    rows: [
      { ledger_id: "le-a", asset: "credit", currency: "EUR", amount: 500, balance_after: 500, redemption_id: "a" },
      { ledger_id: "le-b", asset: "reward", amount: 0, balance_after: 0, redemption_id: "b" },
    ],
    wallet: { points: 0, xp: 0, tokens: 0, credit: [{ currency: "EUR", amount_minor: 500 }], features: [], boosters: [] },
    rewards: [reward("a"), reward("b")],
    events: [1, 2].map((seq) => ({ seq, at, type: "redemption.updated", data: redemption(seq === 1 ? "a" : "b", seq) })),
    redeemed: { 1: 1, 2: 1 },
    audit: [],
    applied: new Map([["rw-b", 1]]),
    deliveries: [{ id: "rw-b", body: { type: "reward.fulfil", data: { id: "rw-b", attempt: 1 } } }],
  };
  state.audit = chain(state.history.map(({ redemption_id }) => ({ action: "redemption.granted", subject: redemption_id })));
  const book = new Book();
  book.features = { rewards: true };
  book.campaigns.set(1, { limits: { per_member: 1, total: 2 }, worth: { asset: "credit", amount: 500 }, exact: true });
  book.campaigns.set(2, { limits: {}, delivered: true });
  const account = new Account(book, callerOf(state));
  for (const one of state.history) account.hearRedemption(one);
  for (const row of state.rows) account.hearRow(row);
  for (const one of state.rewards) account.hearReward(one);
  for (const event of state.events) account.hearEvent(event);
  const intents = ["a", "b"].map((id) => Object.assign(book.intend(account, `code-${id}`, `key-${id}`, "distinct"), { id, campaign: 1 }));
  return { book, account, state: structuredClone(state), intents };
}

function chain(entries) {
  let prev = "0".repeat(64);
  return entries.map((fields, index) => {
    const entry = { object: "member/1", n: index + 1, at, actor: "system", ...fields, prev };
    prev = createHash("sha256").update(canonical(entry)).digest("hex");
    return { kind: "entry", ...entry, hash: prev };
  });
}

/** Answers as a server would that stores this state. */
function callerOf(state) {
  const lists = { "/v1/redemptions": "history", "/v1/ledger": "rows", "/v1/rewards": "rewards" };
  return {
    sub: "member-1",
    every: async (path) => state[lists[path]],
    get: async (path) => {
      const [, since] = /events\?since=(\d+)/.exec(path) ?? [];
      if (since !== undefined) return { status: 200, body: { events: state.events.filter(({ seq }) => seq > Number(since)) } };
      const [, campaign] = /campaigns\/(\d+)/.exec(path) ?? [];
      if (campaign !== undefined) return { status: 200, body: { redeemed: state.redeemed[campaign] } };
      if (path === "/v1/audit/export") return { status: 200, text: state.audit.map((line) => JSON.stringify(line)).join("\n") };
      return { status: 200, body: state.wallet };
    },
  };
}

/** All verdicts on a world in which `spoil` has made something wrong. */
async function verdictsOn(spoil) {
  const { book, account, state, intents } = world();
  spoil(state, { book, account, intents });
  account.caller = callerOf(state);
  const standing = await judgeAccount(account);
  const standings = [[account, standing]];
  judgeWhole(book, standings);
  await judgeFigures(book, { admin: account.caller }, standings, 50);
  await judgeAudit({ admin: account.caller, book }, standings, 50);
  const fulfilment = new Fulfilment({ book });
  fulfilment.fulfiller = { faults: [], received: state.deliveries, applied: state.applied };
  fulfilment.judgeDeliveries();
  fulfilment.judgeEffects(standings);
  return book.violations;
}

test("cleared: books that are right", async () => assert.deepEqual(await verdictsOn(() => {}), []));

const wrongs = [
  ["a redemption is gone", /lost: redemption a/, ({ history }) => history.splice(0, 1)],
  ["a redemption stands twice", /stands twice in the history/, ({ history }) => history.push(history[0])],
  ["a redemption went back", /redemption a was granted and is granting/, ({ history }) => (history[0].status = "granting")],
  ["a redemption is another's", /redemption a was .* and is/, ({ history }) => (history[0].campaign = 2)],
  ["a redemption forgot its attempts", /forgot attempts/, ({ history }) => (history[0].attempts = 0)],
  ["a redemption lost its row", /lost ledger row le-a/, ({ history }) => (history[0].ledger = [])],
  ["a redemption lost its reward", /lost reward rw-a/, ({ history }) => (history[0].rewards = [])],
  ["a redemption has two rewards", /has 2 rewards/, ({ history }) => history[0].rewards.push("rw-c")],
  ["nobody asked for a redemption", /belongs to no key/, ({ history }) => history.push({ ...history[1], redemption_id: "c" })],
  ["a redemption is never decided", /is still redeeming/, ({ history }, { account }) => (account.redemptions.delete("b"), (history[1].status = "redeeming"))],
  ["a ledger row is gone", /lost: ledger row/, ({ rows }) => rows.splice(1, 1)],
  ["a ledger row changed", /ledger row le-a was/, ({ rows }) => (rows[0].balance_after = 501)],
  ["a ledger row stands twice", /stands twice in the ledger/, ({ rows }) => rows.push(rows[0])],
  ["a balance is no sum", /a balance of 1000 over rows of 500/, ({ wallet }) => (wallet.credit[0].amount_minor = 1000)],
  ["a balance is below zero", /below zero/, ({ rows }) => (rows[0].balance_after = -1)],
  ["an effect is missing", /applied 0 credit instead of 500/, ({ rows }) => (rows[0].asset = "points")],
  ["an effect came twice", /applied 1000 credit instead of 500/, ({ rows }) => rows.push({ ...rows[0], ledger_id: "le-x" })],
  ["a row belongs to nothing", /is no redemption of theirs/, ({ rows }) => (rows[1].redemption_id = "z")],
  ["a reward is gone", /lost: reward rw-a/, ({ rewards }) => rewards.splice(0, 1)],
  ["a reward went back", /reward rw-b was granted and is in_progress/, ({ rewards }) => (rewards[1].state = "in_progress", rewards[1].moves.pop())],
  ["a reward's log was rewritten", /move 0 was/, ({ rewards }) => (rewards[0].moves[0].actor = "admin:x")],
  ["a reward made an illegal move", /an illegal move/, ({ rewards }) => rewards[0].moves.push(move("granted", "in_progress"), move("in_progress", "granted"))],
  ["the feed has a gap", /event 2 follows 0/, ({ events }) => events.splice(0, 1)],
  ["the feed lost its end", /event 2 was told, but the feed ends at 1/, ({ events }) => events.pop()],
  ["the feed says something else", /event 1 was/, ({ events }) => (events[0].data.quantity = 2)],
  ["the feed's last word is not the truth", /last word on a is granting/, ({ events, history }, { account }) => events.push({ seq: 3, at, type: "redemption.updated", data: { ...history[0], status: "granting" } }) && account.redemptions.get("a").statuses.clear()],
  ["a code was granted twice", /was granted 2 times/, (_, { intents }) => (intents[1].code = intents[0].code)],
  ["a code was asked for and went to nobody", /nobody has it/, (_, { book, account }) => (book.intend(account, "code-c", "key-c", "contested").refusal = "already_redeemed")],
  ["a member has more than a limit", /2 uses by member-1, 1 allowed/, ({ history }) => history.push({ ...history[0], redemption_id: "c" })],
  ["a campaign has more than its total", /3 uses of 2/, ({ history }) => history.push({ ...history[0], redemption_id: "c" }, { ...history[0], redemption_id: "d" })],
  ["a campaign calls itself full too early", /called itself full at 1 of 2/, (_, { intents }) => (intents[0].refusal = "campaign_limit_reached")],
  ["a campaign counts wrongly", /counts 2 redeemed, its members hold 1/, ({ redeemed }) => (redeemed[1] = 2)],
  ["a granted reward was never applied", /was never applied/, ({ applied }) => applied.clear()],
  ["an effect that was never granted", /was applied and is not granted/, ({ applied }) => applied.set("rw-z", 1)],
  ["one attempt left twice", /attempt 1 after attempt 1/, ({ deliveries }) => deliveries.push(deliveries[0])],
  ["one reward was delivered as two things", /was delivered as/, ({ deliveries }) => deliveries.push({ id: "rw-b", body: { type: "reward.fulfil", data: { id: "rw-b", attempt: 2, value: 9 } } })],
  ["a decision is not in the audit log", /not in the audit log/, (state) => state.audit.pop()],
  ["an audit entry was changed", /has another hash/, ({ audit }) => (audit[0].actor = "admin:x")],
  ["an audit entry is gone", /does not continue the chain/, (state) => (state.audit = state.audit.slice(1))],
  ["something was granted twice by the audit log", /was granted twice/, (state) => (state.audit = chain([...state.history, state.history[0]].map(({ redemption_id }) => ({ action: "redemption.granted", subject: redemption_id }))))],
];
for (const [name, verdict, spoil] of wrongs) {
  test(`convicted: ${name}`, async () => {
    const verdicts = await verdictsOn(spoil);
    assert.ok(verdicts.some((text) => verdict.test(text)), `${verdict} is not among ${JSON.stringify(verdicts, undefined, 2)}`);
  });
}
