// Steps of a reward's life that several suites take: definitions by type, gifts, moves, and what holds of every reward.
import assert from "node:assert/strict";
import { everyItem, expectStatus, until } from "./client.mjs";
import { unique } from "./env.mjs";
import { LOGGED, STATES } from "./reward-table.mjs";
import { INSTANT, redeem } from "./shop.mjs";

/** Settings of an edge that may call a fulfiller on this machine. */
export const withFulfillers = Object.freeze({ vars: { ALLOW_PRIVATE_TARGETS: "1" } });

/** Fields of a good definition by type. Those that only a fulfiller can apply need a `mechanic` besides. */
export const KINDS = Object.freeze({
  xp: { type: "xp", value: { amount: 30 } },
  tokens: { type: "tokens", value: { amount: 7 } },
  points: { type: "points", value: { amount: 250 } },
  credit: { type: "credit", value: { currency: "EUR", amount_minor: 500 } },
  feature: { type: "feature", value: { key: "beta" } },
  discount: { type: "discount", value: { percent: 10 } },
  bonus: { type: "bonus", value: { reference: "bonus-7" } },
  external: { type: "external", value: { reference: "voucher-7" } },
  manual: { type: "manual", value: { reference: "a signed shirt" } },
  level_booster: { type: "level_booster", value: { multiplier_permille: 2000 }, duration_s: 600 },
  token_booster: { type: "token_booster", value: { multiplier_permille: 1500 }, duration_s: 600 },
  mission_booster: { type: "mission_booster", value: { multiplier_permille: 3000 }, duration_s: 600 },
  mini_game: { type: "mini_game", value: { reference: "wheel" }, valid_for_s: 600 },
});

/** A definition of this type, with these changes; answers its id. */
export async function define(shop, type, changes = {}) {
  const { reward_id } = await shop.reward({ name: `A ${type}`, ...KINDS[type], ...changes });
  return reward_id;
}

const at = (client) => `/v1/members/${encodeURIComponent(client.sub)}`;

/** Gives by hand, under a fresh key unless one is given; answers the response. */
export const gift = (shop, client, fields, { by = shop.admin, ...options } = {}) =>
  by.post(`${at(client)}/rewards`, { reason: "for being here", ...fields }, { key: unique("k-"), ...options });

/** Defines and gives by hand; answers the reward. */
export async function give(shop, client, type, changes = {}) {
  const reward = expectStatus(await gift(shop, client, { reward_id: await define(shop, type, changes) }), 201);
  assertReward(reward);
  return reward;
}

export const rewardOf = async (client, id) => {
  const reward = expectStatus(await client.get(`/v1/rewards/${id}`), 200);
  assertReward(reward);
  return reward;
};
export const rewardsOf = (client) => everyItem(client, "/v1/rewards", 200);
export const redemptionOf = async (client, id) => expectStatus(await client.get(`/v1/redemptions/${id}`), 200);

/** The reward once it is in this state (and `also`). */
export const inState = (client, id, state, ms = 10_000, also = () => true) =>
  until(
    () => rewardOf(client, id),
    (reward) => reward.state === state && also(reward),
    ms,
  );

/** The redemption once it has this status (and `also`). */
export const inStatus = (client, id, status, ms = 10_000, also = () => true) =>
  until(
    () => redemptionOf(client, id),
    (redemption) => redemption.status === status && also(redemption),
    ms,
  );

/** A member's own `claim`, `activate` or `decline`. */
export const move = (client, id, verb, body) => client.post(`/v1/rewards/${id}/${verb}`, body);

/** An administrator's `claim`, `activate` or `retry` for a member. */
export const moveFor = (shop, client, id, verb, body) => shop.admin.post(`${at(client)}/rewards/${id}/${verb}`, body);

/** An administrator's deletion. */
export const remove = (shop, client, id, reason = "given by mistake") =>
  shop.admin.delete(`${at(client)}/rewards/${id}${reason === undefined ? "" : `?reason=${encodeURIComponent(reason)}`}`);

/** Waits until the clock has passed an instant: only where the clock itself is the subject. */
export const passed = (instant) =>
  until(
    async () => Date.now(),
    (now) => now > Date.parse(instant) + 5,
    10_000,
  );

const FIELDS = ["id", "reward_id", "name", "type", "value", "quantity", "state", "redemption_id", "source", "reference", "valid_until", "duration_s", "runs_until", "attempts", "attempts_max", "next_attempt_at", "last_error", "fulfilment", "moves"];
const ACTOR = /^(system|(member|staff|manager|admin|service|fulfiller):.+)$/;

/** Asserts the shape of a reward, and that its log is a walk through the table of legal moves that ends where it stands. */
export function assertReward(body) {
  const says = JSON.stringify(body);
  assert.deepEqual(Object.keys(body).filter((name) => !FIELDS.includes(name)), [], says);
  for (const name of ["id", "reward_id", "name", "type"]) assert.equal(typeof body[name], "string", `${name} of ${says}`);
  for (const name of ["quantity", "attempts", "attempts_max"]) assert.ok(Number.isSafeInteger(body[name]), `${name} of ${says}`);
  for (const name of ["valid_until", "runs_until", "next_attempt_at"]) if (body[name] !== undefined) assert.match(body[name], INSTANT, says);
  assert.ok(body.value !== undefined && STATES.includes(body.state), says);
  if (body.last_error !== undefined) assert.ok(typeof body.last_error === "string" && body.last_error.length > 0, says);
  if (body.next_attempt_at !== undefined) assert.equal(body.state, "failed", `only what failed waits for a next try; ${says}`);
  assert.ok(body.moves.length > 0, says);
  let state;
  for (const one of body.moves) {
    assert.deepEqual(Object.keys(one).filter((name) => !["from", "to", "at", "actor", "reason"].includes(name)), [], says);
    assert.equal(one.from, state, `each move begins where the last one ended; ${says}`);
    assert.ok(LOGGED.includes(`${one.from ?? "–"} → ${one.to}`), `${one.from} → ${one.to} is not in the table; ${says}`);
    assert.match(one.at, INSTANT, says);
    assert.match(one.actor, ACTOR, says);
    state = one.to;
  }
  assert.equal(state, body.state, says);
  const times = body.moves.map((one) => Date.parse(one.at));
  assert.deepEqual(times, [...times].sort((a, b) => a - b), says);
}

/** The states a reward went through. */
export const pathOf = (reward) => reward.moves.map(({ to }) => to);

/** A member's whole feed; asserts that it has no gap. */
export async function feedOf(client) {
  const events = [];
  for (;;) {
    const page = expectStatus(await client.get(`/v1/events?since=${events.length}`), 200);
    if (page.events.length === 0) return events;
    events.push(...page.events);
    events.forEach(({ seq }, place) => assert.equal(seq, place + 1, "no gap and no repeat"));
  }
}

/** The recovery of one redemption by an operator: `retry`, `resolve`, `reset`. */
export const operate = (caller, id, verb, body = {}) => caller.post(`/v1/redemptions/${id}/${verb}`, body);

/** Redeems a code whose use was given back, as soon as that has reached the campaign; answers the granted redemption. */
export async function redeemedAgain(client, code) {
  const answer = await until(
    () => redeem(client, code),
    ({ status }) => status !== 409,
  );
  return inStatus(client, expectStatus(answer, 201).redemption_id, "granted");
}

/** Invariants of a live member or campaign, as the server itself checks them. */
export async function assertVerified(shop, subject) {
  assert.deepEqual(expectStatus(await shop.admin.post("/v1/verify", subject), 200), { ok: true, violations: [] });
}

/** Every line of the shop's audit log that there is by now. */
export const auditOf = (shop) => everyItem(shop.admin, "/v1/audit", 200);

/** Waits until the audit log has a line for each of these; a line fits when every field given is equal. */
export async function audited(shop, ...expected) {
  const fits = (line, want) => Object.entries(want).every(([name, value]) => (value instanceof RegExp ? value.test(line[name]) : line[name] === value));
  const missing = (lines) => expected.filter((want) => !lines.some((line) => fits(line, want)));
  let last = [];
  const lines = await until(
    async () => (last = await auditOf(shop)),
    (now) => missing(now).length === 0,
    15_000,
  ).catch((error) => {
    assert.fail(`not in the audit log: ${JSON.stringify(missing(last))}\nwhich has ${JSON.stringify(last.map(({ action, actor, reason }) => [action, actor, reason]))}\n${error.message.slice(0, 80)}`);
  });
  return lines;
}
