// Races for the promo codes of a pool and the points of a wallet, and what must be true after each. As in scenarios.mjs a
// scenario answers the list of violations, so that the same code condemns a careless endpoint and clears the edge.
import { randomUUID } from "node:crypto";
import { AT_ONCE } from "./scenarios.mjs";
import { volley } from "./volley.mjs";

/** What one unit costs in every scenario. */
export const PRICE = 10;

const request = ({ buyer, reward, quantity = 1, key = randomUUID() }) => ({
  method: "POST",
  path: "/v1/redemptions",
  headers: { Authorization: `Bearer ${buyer.token}`, "Idempotency-Key": key },
  body: { reward_id: reward, quantity },
});

/**
 * Fires all at one moment and waits for what is undecided; answers `[{buyer, quantity, id, outcome, promos}]` where outcome
 * is `granted` or a refusal's code.
 */
export async function purchases(arena, shots) {
  const answers = await volley(arena.url, shots.map(request));
  return Promise.all(
    shots.map(async (shot, at) => {
      const { status, body, text } = answers[at];
      const fired = { quantity: 1, ...shot, answer: answers[at], promos: [] };
      if (status !== 201 && status !== 202) return { ...fired, outcome: body?.code ?? `${status} ${text}` };
      const settled = await arena.settled(shot.buyer, body.redemption_id);
      const promos = (settled.ledger ?? []).map(({ promo_code }) => promo_code);
      return { ...fired, id: body.redemption_id, promos, outcome: settled.status === "refused" ? settled.refusal.code : settled.status };
    }),
  );
}

/** How often each outcome came. */
export function outcomesOf(fired) {
  const counts = {};
  for (const { outcome } of fired) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** Violations in what was handed out: as many codes as units, from the shelf, none to two purchases; the stock agrees. */
export async function handedOutWrong(arena, shelf, fired) {
  const wrong = [];
  const granted = distinct(fired.filter(({ outcome }) => outcome === "granted"));
  for (const { quantity, promos } of granted) if (promos.length !== quantity) wrong.push(`${promos.length} codes for ${quantity} units`);
  const promos = granted.flatMap((one) => one.promos);
  if (new Set(promos).size !== promos.length) wrong.push(`a promo code twice among ${promos.length} handed out`);
  const stocked = new Set(shelf.codes);
  if (promos.some((code) => !stocked.has(code))) wrong.push("a promo code that is not of the pool");
  const { free, used } = await arena.stock(shelf, { used: promos.length });
  if (used !== promos.length) wrong.push(`${used} counted as used, ${promos.length} handed out`);
  if (free + used !== shelf.codes.length) wrong.push(`${free} free and ${used} used of ${shelf.codes.length}`);
  return wrong;
}

/** One of each redemption: a replay is no second purchase. */
const distinct = (fired) => [...new Map(fired.map((one) => [one.id, one])).values()];

/** Runs `fire` and adds the violations in what the buyers paid. */
async function withPayments(arena, buyers, fire) {
  const before = await Promise.all(buyers.map((buyer) => arena.purse(buyer)));
  const fired = await fire();
  const after = await Promise.all(buyers.map((buyer) => arena.purse(buyer)));
  const wrong = [];
  buyers.forEach((buyer, at) => {
    const units = distinct(fired.filter((one) => one.buyer === buyer && one.outcome === "granted")).reduce((sum, { quantity }) => sum + quantity, 0);
    const paid = before[at].points - after[at].points;
    if (paid !== units * PRICE) wrong.push(`${paid} paid for ${units} units`);
    if (after[at].rows - before[at].rows !== units) wrong.push(`${after[at].rows - before[at].rows} ledger rows for ${units} units`);
    if (after[at].points < 0) wrong.push(`a balance of ${after[at].points}`);
    if (after[at].points !== after[at].sum) wrong.push(`a balance of ${after[at].points} over rows of ${after[at].sum}`);
  });
  return { fired, wrong };
}

function outcomesWrong(fired, expected) {
  const sorted = (counts) => JSON.stringify(Object.entries(counts).sort());
  const counts = outcomesOf(fired);
  return sorted(counts) === sorted(expected) ? [] : [`outcomes ${JSON.stringify(counts)}, not ${JSON.stringify(expected)}`];
}

/** The scenarios by name: each takes an arena and answers what was violated. */
export const poolScenarios = {
  "a pool of 40, 64 buyers": async (arena) => {
    const shelf = await arena.shelf(40);
    const { fired, wrong } = await withPayments(arena, arena.buyers, () => purchases(arena, arena.buyers.map((buyer) => ({ buyer, reward: shelf.reward }))));
    return [...wrong, ...outcomesWrong(fired, { granted: 40, insufficient_codes: AT_ONCE - 40 }), ...(await handedOutWrong(arena, shelf, fired))];
  },

  "a pool of 100, 64 buyers of one to five": async (arena) => {
    const shelf = await arena.shelf(100);
    const shots = arena.buyers.map((buyer, at) => ({ buyer, reward: shelf.reward, quantity: 1 + (at % 5) }));
    const { fired, wrong } = await withPayments(arena, arena.buyers, () => purchases(arena, shots));
    wrong.push(...(await handedOutWrong(arena, shelf, fired)));
    const { free } = await arena.stock(shelf, {});
    for (const { outcome, quantity } of fired) {
      if (outcome === "insufficient_codes" && quantity <= free) wrong.push(`${quantity} refused though ${free} are left`);
      if (!["granted", "insufficient_codes"].includes(outcome)) wrong.push(`outcome ${outcome}`);
    }
    return wrong;
  },

  "points for ten, one buyer, 64 at once": async (arena) => {
    const shelf = await arena.shelf(AT_ONCE);
    const buyer = await arena.newcomer(10 * PRICE);
    const { fired, wrong } = await withPayments(arena, [buyer], () => purchases(arena, Array.from({ length: AT_ONCE }, () => ({ buyer, reward: shelf.reward }))));
    return [...wrong, ...outcomesWrong(fired, { granted: 10, insufficient_points: AT_ONCE - 10 }), ...(await handedOutWrong(arena, shelf, fired))];
  },

  "one purchase of three under one key, 64 times": async (arena) => {
    const shelf = await arena.shelf(AT_ONCE);
    const [buyer] = arena.buyers;
    const key = randomUUID();
    const shots = Array.from({ length: AT_ONCE }, () => ({ buyer, reward: shelf.reward, quantity: 3, key }));
    const { fired, wrong } = await withPayments(arena, [buyer], () => purchases(arena, shots));
    if (new Set(fired.map(({ id }) => id)).size !== 1) wrong.push("more than one redemption under one key");
    return [...wrong, ...outcomesWrong(fired, { granted: AT_ONCE }), ...(await handedOutWrong(arena, shelf, fired))];
  },
};
