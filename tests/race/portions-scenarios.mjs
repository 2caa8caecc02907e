// Races for limits that are spread over several shards, and what must be true after each. A scenario answers the list of
// violations.
import { randomUUID } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { volley } from "./volley.mjs";

/** What one grant is worth in every scenario. */
export const WORTH = 500;

const request = (member, code) => ({
  method: "POST",
  path: "/v1/redemptions",
  headers: { Authorization: `Bearer ${member.token}`, "Idempotency-Key": randomUUID() },
  body: { code },
});

async function outcomeOf(arena, member, { status, body, text }) {
  if (status === 201) return "granted";
  if (status === 202) {
    const settled = await arena.settled(member, body.redemption_id);
    return settled.status === "refused" ? settled.refusal.code : "granted";
  }
  return body?.code ?? `${status} ${text}`;
}

/** What a busy edge turned away with its word for "again, same key" is sent again, as a client does. */
async function answered(arena, requests) {
  const answers = await volley(arena.url, requests);
  for (let turn = 0; turn < 20; turn += 1) {
    const busy = answers.flatMap(({ status, body }, at) => (status === 503 && body?.code === "overloaded" ? [at] : []));
    if (busy.length === 0) break;
    await setTimeout(Math.max(...busy.map((at) => Number(answers[at].headers["retry-after"]))) * 1000);
    const again = await volley(arena.url, busy.map((at) => requests[at]));
    busy.forEach((at, place) => { answers[at] = again[place]; });
  }
  return answers;
}

/** All try at once, each with the code of its place; `inFlight` says how many are on their way at a time. */
export async function race(arena, members, codes, inFlight = members.length) {
  const outcomes = [];
  for (let at = 0; at < members.length; at += inFlight) {
    const group = members.slice(at, at + inFlight);
    const answers = await answered(arena, group.map((member, place) => request(member, codes[at + place])));
    outcomes.push(...(await Promise.all(group.map((member, place) => outcomeOf(arena, member, answers[place])))));
  }
  return outcomes;
}

const counted = (outcomes) => {
  const counts = {};
  for (const one of outcomes) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
};

/** Violations: so many were granted and all others refused with this code, and the campaign says the same of itself. */
export async function wrongs(arena, campaign, outcomes, winners, refusal) {
  const wrong = [];
  const { granted = 0, [refusal]: refused = 0, ...others } = counted(outcomes);
  if (granted !== winners) wrong.push(`${granted} granted, not ${winners}`);
  if (Object.keys(others).length > 0) wrong.push(`others than ${refusal}: ${JSON.stringify(others)}`);
  if (granted + refused !== outcomes.length) wrong.push(`${refused} refused of ${outcomes.length}`);
  wrong.push(...(await arena.inspect(campaign, winners)));
  return wrong;
}

const TRIES = 48;

const simple = (limits, winners, refusal, kind = "unique") => async (arena) => {
  const { campaign, codes } = await arena.campaign(TRIES, { kind, limits });
  return wrongs(arena, campaign, await race(arena, arena.members(TRIES), codes), winners, refusal);
};

/** The scenarios by name: each takes an arena and answers what was violated. */
export const scenarios = {
  "a total of 10 over five shards, 48 members": simple({ total: 10 }, 10, "campaign_limit_reached"),
  "a total of 1 over five shards, 48 members": simple({ total: 1 }, 1, "campaign_limit_reached"),
  "a shared code's total of 10 over five shards, 48 members": simple({ total: 10 }, 10, "campaign_limit_reached", "shared"),
  "a budget for 10 and a bit over five shards, 48 members": simple({ budget: { currency: "EUR", amount_minor: 10 * WORTH + 499 } }, 10, "budget_exhausted"),
  "a month's total of 10 over five shards, 48 members": simple({ windows: [{ per: "month", total: 10 }] }, 10, "campaign_limit_reached"),

  "uses given back while others try: never one too many, and all usable in the end": async (arena) => {
    const wrong = [];
    const { campaign, codes } = await arena.campaign(TRIES, { limits: { total: 8 } });
    const holders = arena.members(8);
    const holds = await arena.hold(holders, codes.slice(0, 8));
    const tryers = arena.members(24);
    const [outcomes] = await Promise.all([race(arena, tryers, codes.slice(8, 32)), arena.letGo(holders, holds)]);
    const { granted = 0 } = counted(outcomes);
    if (granted > 8) wrong.push(`${granted} granted of 8`);
    // What is left is usable by the next, once what was given back has arrived.
    const rest = arena.members(8 - granted);
    await arena.eventually(rest, codes.slice(32));
    const late = counted(await race(arena, arena.members(4), codes.slice(44)));
    if (late.campaign_limit_reached !== 4) wrong.push(`one too many: ${JSON.stringify(late)}`);
    return [...wrong, ...(await arena.inspect(campaign, 8))];
  },

  "a limit raised from 4 to 9 while 48 try, then tried again": async (arena) => {
    const { campaign, codes } = await arena.campaign(TRIES + 20, { limits: { total: 4 } });
    const [outcomes] = await Promise.all([race(arena, arena.members(TRIES), codes), arena.change(campaign, { limits: { total: 9 } })]);
    const again = await race(arena, arena.members(20), codes.slice(TRIES));
    return wrongs(arena, campaign, [...outcomes, ...again], 9, "campaign_limit_reached");
  },
};
