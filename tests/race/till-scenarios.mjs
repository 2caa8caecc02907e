// Two tills and more at the same moment, and what must be true after each race. A scenario answers the list of violations, so
// that the same code condemns a till that reads, waits and then writes (till-naive.test.mjs) and clears the edge
// (tills.test.mjs).
import { randomUUID } from "node:crypto";
import { volley } from "./volley.mjs";

/** How many tills take part, one race after the other. */
export const TILLS = [2, 3, 4, 8, 16];
/** What every reward of the races costs. */
export const COST = 100;
/** What the reward of credit is worth. */
export const WORTH = 500;

const bearer = ({ token }) => ({ Authorization: `Bearer ${token}` });
const confirmation = (till, quote, key = randomUUID()) => ({
  method: "POST",
  path: `/v1/till/quotes/${quote}/confirm`,
  headers: { ...bearer(till), "Idempotency-Key": key },
});
const asking = (till, member, reward) => ({ method: "POST", path: "/v1/till/quotes", headers: bearer(till), body: { member_id: member.sub, reward_id: reward } });
const reversal = (till, redemption, key = randomUUID()) => ({
  method: "POST",
  path: `/v1/redemptions/${redemption}/reversal`,
  headers: { ...bearer(till), "Idempotency-Key": key },
  body: { reason: "a race" },
});
const spending = (service, member, amount_minor) => ({
  method: "POST",
  path: `/v1/members/${member.sub}/adjustments`,
  headers: { ...bearer(service), "Idempotency-Key": randomUUID() },
  body: { asset: "credit", amount_minor: -amount_minor, currency: "EUR", reason: "a race" },
});
const purchase = (member, reward) => ({ method: "POST", path: "/v1/redemptions", headers: { ...bearer(member), "Idempotency-Key": randomUUID() }, body: { reward_id: reward } });

const outcomeOf = ({ status, body, text }) => (status < 300 ? "done" : (body?.code ?? `${status} ${text}`));
const tally = (answers) => {
  const counts = {};
  for (const answer of answers) counts[outcomeOf(answer)] = (counts[outcomeOf(answer)] ?? 0) + 1;
  return JSON.stringify(counts);
};

/** Violations in answers: so many done (as different redemptions), all others refused by one of these codes. */
function answersWrong(answers, winners, refusals) {
  const wrong = [];
  const done = answers.filter((answer) => outcomeOf(answer) === "done");
  if (done.length !== winners) wrong.push(`${done.length} done by the answers, not ${winners}: ${tally(answers)}`);
  const others = answers.filter((answer) => !["done", ...refusals].includes(outcomeOf(answer)));
  if (others.length > 0) wrong.push(`others than ${refusals.join(" or ")}: ${tally(answers)}`);
  return wrong;
}

/** Runs `fire` and adds what is wrong with the member's holdings afterwards: `{sales, spent}` must have happened, no more. */
async function withHoldings(arena, member, expected, fire) {
  const before = await arena.holdings(member);
  const wrong = await fire();
  const after = await arena.holdings(member);
  const sales = after.rewards - before.rewards;
  const spent = before.points - after.points;
  if (sales !== expected.sales) wrong.push(`${sales} rewards gained, not ${expected.sales}`);
  if (spent !== expected.sales * COST) wrong.push(`${spent} points spent for ${expected.sales} rewards`);
  if (after.points < 0) wrong.push(`a balance of ${after.points}`);
  if (after.sum !== after.points) wrong.push(`a balance of ${after.points} over rows of ${after.sum}`);
  return wrong;
}

async function quoted(arena, till, member, reward) {
  const [{ status, body, text }] = await volley(arena.url, [asking(till, member, reward)]);
  if (status !== 201) throw new Error(`a quote answered ${status} ${text}`);
  return body.quote_id;
}

/** The races by name: each takes an arena and how many tills, and answers what was violated. */
export const scenarios = {
  "one quote, confirmed by all under a key each": async (arena, tills) => {
    const [member, reward] = [await arena.member(10 * COST), await arena.reward()];
    return withHoldings(arena, member, { sales: 1 }, async () => {
      const quote = await quoted(arena, arena.staff[0], member, reward);
      const answers = await volley(arena.url, Array.from({ length: tills }, () => confirmation(arena.staff[0], quote)));
      return answersWrong(answers, 1, ["quote_expired"]);
    });
  },

  "one quote of a promo code, confirmed by all under a key each": async (arena, tills) => {
    const [member, reward] = [await arena.member(10 * COST), await arena.pooledReward()];
    return withHoldings(arena, member, { sales: 1 }, async () => {
      const quote = await quoted(arena, arena.staff[0], member, reward);
      const answers = await volley(arena.url, Array.from({ length: tills }, () => confirmation(arena.staff[0], quote)));
      return answersWrong(answers, 1, ["quote_expired"]);
    });
  },

  "one quote, confirmed by all under one key": async (arena, tills) => {
    const [member, reward, key] = [await arena.member(10 * COST), await arena.reward(), randomUUID()];
    return withHoldings(arena, member, { sales: 1 }, async () => {
      const quote = await quoted(arena, arena.staff[0], member, reward);
      const answers = await volley(arena.url, Array.from({ length: tills }, () => confirmation(arena.staff[0], quote, key)));
      const ids = new Set(answers.map(({ body }) => body?.redemption_id));
      const wrong = answersWrong(answers, tills, []);
      if (ids.size !== 1) wrong.push(`${ids.size} redemptions under one key`);
      return wrong;
    });
  },

  "the same reward quoted and confirmed by every till": async (arena, tills) => {
    const [member, reward] = [await arena.member(100 * COST), await arena.reward()];
    return withHoldings(arena, member, { sales: 1 }, async () => {
      const staff = arena.staff.slice(0, tills);
      const quotes = await volley(arena.url, staff.map((till) => asking(till, member, reward)));
      const wrong = answersWrong(quotes, tills, []);
      if (wrong.length > 0) return wrong;
      const answers = await volley(arena.url, staff.map((till, at) => confirmation(till, quotes[at].body.quote_id)));
      // One quote is open, the others are replaced; what comes after the sale is told that it was just made.
      return answersWrong(answers, 1, ["quote_expired", "just_redeemed"]);
    });
  },

  "a balance for one, a reward at every till": async (arena, tills) => {
    const member = await arena.member(COST);
    const rewards = await Promise.all(Array.from({ length: tills }, () => arena.reward()));
    return withHoldings(arena, member, { sales: 1 }, async () => {
      const quotes = await Promise.all(rewards.map((reward, at) => quoted(arena, arena.staff[at], member, reward)));
      const answers = await volley(arena.url, quotes.map((quote, at) => confirmation(arena.staff[at], quote)));
      return answersWrong(answers, 1, ["insufficient_points"]);
    });
  },

  "a balance for half of the tills, and the member buys too": async (arena, tills) => {
    const half = Math.ceil(tills / 2);
    const member = await arena.member(half * COST);
    const rewards = await Promise.all(Array.from({ length: tills }, () => arena.reward()));
    return withHoldings(arena, member, { sales: half }, async () => {
      const quotes = await Promise.all(rewards.slice(1).map((reward, at) => quoted(arena, arena.staff[at], member, reward)));
      const shots = [purchase(member, rewards[0]), ...quotes.map((quote, at) => confirmation(arena.staff[at], quote))];
      return answersWrong(await volley(arena.url, shots), half, ["insufficient_points"]);
    });
  },

  "one sale, reversed by all": async (arena, tills) => {
    const [member, reward] = [await arena.member(10 * COST), await arena.reward()];
    return withHoldings(arena, member, { sales: 0 }, async () => {
      const quote = await quoted(arena, arena.staff[0], member, reward);
      const [sale] = await volley(arena.url, [confirmation(arena.staff[0], quote)]);
      if (sale.status !== 201) return [`a sale answered ${sale.status} ${sale.text}`];
      const answers = await volley(arena.url, Array.from({ length: tills }, () => reversal(arena.staff[0], sale.body.redemption_id)));
      return answersWrong(answers, 1, ["already_reversed"]);
    });
  },

  "a sale of credit, reversed by some while others spend it": async (arena, tills) => {
    const [member, reward] = [await arena.member(10 * COST), await arena.creditReward()];
    const quote = await quoted(arena, arena.staff[0], member, reward);
    const [sale] = await volley(arena.url, [confirmation(arena.staff[0], quote)]);
    if (sale.status !== 201) return [`a sale answered ${sale.status} ${sale.text}`];
    const before = await arena.holdings(member);
    const shots = Array.from({ length: tills }, (_, at) => (at % 2 ? reversal(arena.staff[0], sale.body.redemption_id) : spending(arena.service, member, WORTH)));
    const answers = await volley(arena.url, shots);
    const wrong = answersWrong(answers, 1, ["already_reversed", "value_spent"]);
    const after = await arena.holdings(member);
    const reversals = answers.filter((answer, at) => at % 2 && outcomeOf(answer) === "done").length;
    if (after.credit !== 0) wrong.push(`a credit of ${after.credit} after it was ${reversals ? "taken back" : "spent"}`);
    if (after.points - before.points !== reversals * COST) wrong.push(`${after.points - before.points} points returned by ${reversals} reversals`);
    return wrong;
  },
};
