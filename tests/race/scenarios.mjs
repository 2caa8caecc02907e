// The races, and what must be true after each. A scenario answers the list of violations, so that the same code condemns an
// endpoint that reads, waits and then writes (naive.test.mjs) and clears the edge (redemptions.test.mjs).
import { randomUUID } from "node:crypto";
import { volley } from "./volley.mjs";

/** How many run at once. */
export const AT_ONCE = 64;
/** What one grant is worth in every scenario. */
export const WORTH = 500;

const request = (member, code, key = randomUUID()) => ({
  method: "POST",
  path: "/v1/redemptions",
  headers: { Authorization: `Bearer ${member.token}`, "Idempotency-Key": key },
  body: { code },
});

/** Fires, waits for undecided answers, and answers `[{member, key, answer, outcome}]` where outcome is granted or a refusal. */
async function race(arena, shots) {
  const answers = await volley(arena.url, shots.map(({ member, code, key }) => request(member, code, key)));
  return Promise.all(shots.map(async (shot, at) => ({ ...shot, answer: answers[at], ...(await outcomeOf(arena, shot.member, answers[at])) })));
}

async function outcomeOf(arena, member, { status, body, text }) {
  if (status === 201 || status === 202) {
    const { redemption_id } = body;
    const settled = await arena.settled(member, redemption_id);
    return { outcome: settled.status === "refused" ? settled.refusal.code : settled.status, id: redemption_id };
  }
  return { outcome: body?.code ?? `${status} ${text}` };
}

const count = (list) => {
  const counts = {};
  for (const one of list) counts[one] = (counts[one] ?? 0) + 1;
  return JSON.stringify(counts);
};

const refused = [409, 202];
const statusOf = { granted: [201, 202], already_redeemed: refused, already_redeemed_by_you: refused, member_limit_reached: refused, campaign_limit_reached: refused };

/** Violations in answers: so many granted, all others refused by this code, each with its status. */
function answersWrong(fired, winners, refusal) {
  const wrong = [];
  const outcomes = fired.map(({ outcome }) => outcome);
  const granted = outcomes.filter((outcome) => outcome === "granted").length;
  if (granted !== winners) wrong.push(`${granted} granted by the answers, not ${winners}: ${count(outcomes)}`);
  if (outcomes.some((outcome) => outcome !== "granted" && outcome !== refusal)) wrong.push(`others than ${refusal}: ${count(outcomes)}`);
  for (const { outcome, answer } of fired) {
    if (statusOf[outcome] && !statusOf[outcome].includes(answer.status)) wrong.push(`${outcome} with status ${answer.status}`);
    if (answer.status >= 400 && !/problem\+json/.test(answer.headers["content-type"])) wrong.push(`a refusal as ${answer.headers["content-type"]}`);
  }
  return wrong;
}

/** Runs `fire` and adds the violations in wallets and ledgers: who gained, and by how many rows. */
async function withWallets(arena, members, fire) {
  const before = await Promise.all(members.map((member) => arena.holdings(member)));
  const fired = await fire();
  const after = await Promise.all(members.map((member) => arena.holdings(member)));
  const wrong = [];
  members.forEach((member, at) => {
    const ids = fired.filter((one) => one.member === member && one.outcome === "granted").map(({ id }) => id);
    const grants = new Set(ids).size;
    const gained = after[at].credit - before[at].credit;
    const rows = after[at].rows - before[at].rows;
    if (gained !== grants * WORTH) wrong.push(`a wallet gained ${gained} for ${grants} grants`);
    if (rows !== grants) wrong.push(`a ledger gained ${rows} rows for ${grants} grants`);
    if (after[at].sum !== after[at].credit) wrong.push(`a balance of ${after[at].credit} over rows of ${after[at].sum}`);
  });
  const gainedInAll = after.reduce((sum, { credit }, at) => sum + credit - before[at].credit, 0);
  return { fired, wrong, gainedInAll };
}

/** The scenarios by name: each takes an arena and answers what was violated. */
export const scenarios = {
  "one unique code, 64 members": async (arena) => {
    const code = await arena.uniqueCode();
    const { fired, wrong, gainedInAll } = await withWallets(arena, arena.members, () => race(arena, arena.members.map((member) => ({ member, code }))));
    if (gainedInAll !== WORTH) wrong.push(`${gainedInAll} gained in all`);
    return [...answersWrong(fired, 1, "already_redeemed"), ...wrong];
  },

  "one unique code, one member, one key": async (arena) => {
    const code = await arena.uniqueCode();
    const [member] = arena.members;
    const key = randomUUID();
    const { fired, wrong, gainedInAll } = await withWallets(arena, [member], () => race(arena, Array.from({ length: AT_ONCE }, () => ({ member, code, key }))));
    if (gainedInAll !== WORTH) wrong.push(`${gainedInAll} gained in all`);
    const ids = new Set(fired.map(({ id }) => id));
    if (ids.size !== 1) wrong.push(`${ids.size} redemptions under one key`);
    if (fired.some(({ answer }) => ![201, 202].includes(answer.status))) wrong.push(`a replay that is no success: ${count(fired.map(({ answer }) => answer.status))}`);
    if (fired.every(({ answer }) => answer.headers["idempotent-replayed"] === "true")) wrong.push("every answer calls itself a replay");
    return wrong;
  },

  "one unique code, one member, 64 keys": async (arena) => {
    const code = await arena.uniqueCode();
    const [, member] = arena.members;
    const { fired, wrong, gainedInAll } = await withWallets(arena, [member], () => race(arena, Array.from({ length: AT_ONCE }, () => ({ member, code }))));
    if (gainedInAll !== WORTH) wrong.push(`${gainedInAll} gained in all`);
    const winner = fired.find(({ outcome }) => outcome === "granted");
    for (const { answer } of fired) {
      if (answer.body?.code === "already_redeemed_by_you" && answer.body.earlier_redemption_id !== winner?.id) wrong.push("an earlier redemption that is not the winner's");
    }
    return [...answersWrong(fired, 1, "already_redeemed_by_you"), ...wrong];
  },

  "a shared campaign with total 10, 64 members": async (arena) => {
    const code = await arena.sharedCode(10);
    const { fired, wrong, gainedInAll } = await withWallets(arena, arena.members, () => race(arena, arena.members.map((member) => ({ member, code }))));
    if (gainedInAll !== 10 * WORTH) wrong.push(`${gainedInAll} gained in all`);
    return [...answersWrong(fired, 10, "campaign_limit_reached"), ...wrong];
  },

  // A lock on each code would pass all of the above and neither of these: the limit is wider than one code.
  "64 codes of a campaign with total 10, 64 members": async (arena) => {
    const codes = await arena.codes(AT_ONCE, { total: 10 });
    const { fired, wrong, gainedInAll } = await withWallets(arena, arena.members, () => race(arena, arena.members.map((member, at) => ({ member, code: codes[at] }))));
    if (gainedInAll !== 10 * WORTH) wrong.push(`${gainedInAll} gained in all`);
    return [...answersWrong(fired, 10, "campaign_limit_reached"), ...wrong];
  },

  "64 codes of a campaign with per_member 3, one member": async (arena) => {
    const [, , member] = arena.members;
    const codes = await arena.codes(AT_ONCE, { per_member: 3 });
    const { fired, wrong, gainedInAll } = await withWallets(arena, [member], () => race(arena, codes.map((code) => ({ member, code }))));
    if (gainedInAll !== 3 * WORTH) wrong.push(`${gainedInAll} gained in all`);
    return [...answersWrong(fired, 3, "member_limit_reached"), ...wrong];
  },
};
