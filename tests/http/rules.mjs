// Steps that the suites of campaign rules share: what became of a try, tries at once, windows by the runtime's own calendar,
// limits that let a known number in, and the ways in which a use comes back.
import assert from "node:assert/strict";
import { expectStatus, until } from "./client.mjs";
import { committed, held, letGo, release } from "./checkout.mjs";
import { unique } from "./env.mjs";
import { fails, fulfillerOf, grants } from "./fulfiller-double.mjs";
import { define, inStatus, operate } from "./rewards.mjs";
import { CONSUMED, redeem, redeemed } from "./shop.mjs";
import { reversed } from "./till.mjs";
import { dateIn, endOfDay, plusDays, startOfDay } from "./zones.mjs";

export const HOUR = 3_600_000;
/** What one use of a campaign is worth in these suites, in cents. */
export const WORTH = 500;
/** The expected rate that spreads a campaign over five shards. */
export const FIVE_SHARDS = 1000;

/** An instant so many milliseconds from now, in whole seconds. */
export const instant = (offset) => new Date(Math.floor((Date.now() + offset) / 1000) * 1000).toISOString().replace(".000", "");

export const money = (amount_minor, currency = "EUR") => ({ currency, amount_minor });

/** A campaign as it stands. */
export const campaignNow = async (shop, campaign) => expectStatus(await shop.admin.get(`/v1/campaigns/${campaign}`), 200);

/** A change at the campaign's present version; answers the response. */
export async function patch(shop, campaign, fields) {
  const { headers } = await shop.admin.get(`/v1/campaigns/${campaign}`);
  return shop.admin.patch(`/v1/campaigns/${campaign}`, fields, { headers: { "if-match": headers.etag } });
}

export const preview = (client, code, fields = {}) => client.post("/v1/codes/preview", { code, ...fields });

/** So many members nobody knows yet. */
export const crowd = (shop, count, claims) => Array.from({ length: count }, () => shop.member(claims));

// ---- tries -----------------------------------------------------------------------------------------------------------

/** What became of a redemption's answer, waited for where it was not decided yet: `granted`, or the refusal's code. */
export async function outcomeOf(client, answer, query = "") {
  if (answer.status >= 400) return answer.body.code;
  expectStatus(answer, 201, 202);
  if (CONSUMED.includes(answer.body.status)) return "granted";
  const { redemption_id } = answer.body;
  const settled = await until(
    () => client.get(`/v1/redemptions/${redemption_id}${query}`),
    ({ body }) => !["redeeming", "redeem_failed"].includes(body.status),
    30_000,
  );
  const { status, refusal } = expectStatus(settled, 200);
  return status === "refused" ? refusal.code : CONSUMED.includes(status) ? "granted" : status;
}

/** One try and what became of it. */
export const attempt = async (client, code, options) => outcomeOf(client, await redeem(client, code, options));

/** Each client tries at once, with the code of its place or with the one code; answers the outcomes in their order. */
export const attempts = (clients, codes, options) =>
  Promise.all(clients.map((client, at) => attempt(client, Array.isArray(codes) ? codes[at] : codes, options)));

/** How often each outcome is there. */
export function tally(outcomes) {
  const counts = {};
  for (const one of outcomes) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}

/** Asserts that exactly so many were granted and all others refused with this code. */
export function assertTally(outcomes, winners, refusal) {
  const expected = { granted: winners, [refusal]: outcomes.length - winners };
  for (const [name, count] of Object.entries(expected)) if (count === 0) delete expected[name];
  assert.deepEqual(tally(outcomes), expected);
}

// ---- windows ---------------------------------------------------------------------------------------------------------

/** The first day after the window that a date lies in. */
function dayAfter(per, date) {
  if (per === "day") return plusDays(date, 1);
  const at = new Date(`${date}T00:00:00Z`);
  if (per === "week") return plusDays(date, 7 - ((at.getUTCDay() + 6) % 7));
  return new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + 1, 1)).toISOString().slice(0, 10);
}

/** The end (exclusive) of the window around an instant, in milliseconds. */
export const windowEnd = (zone, per, ms = Date.now()) => startOfDay(zone, dayAfter(per, dateIn(zone, ms)));

const ZONES = [
  "UTC",
  "Pacific/Kiritimati",
  "Pacific/Pago_Pago",
  "Asia/Kathmandu",
  "Australia/Lord_Howe",
  "America/New_York",
  "America/St_Johns",
  "Pacific/Chatham",
  "Europe/Berlin",
];
const calm = (zone) => endOfDay(zone, dateIn(zone, Date.now())) - Date.now() > HOUR / 6;

/** Zones where no day ends while a test runs. */
export const calmZones = () => ZONES.filter(calm);
/** One of them. */
export const calmZone = () => calmZones()[0];

// ---- limits that let a known number in ---------------------------------------------------------------------------------

/** Limits of a campaign that are full after so many uses of WORTH, each with the refusal of the next: `[name, limits, code]`. */
export const limitsOf = (count) => [
  ["a total", { total: count }, "campaign_limit_reached"],
  ["a total of the day", { windows: [{ per: "day", total: count }] }, "campaign_limit_reached"],
  ["a budget", { budget: money(count * WORTH + WORTH - 1) }, "budget_exhausted"],
];

/** Limits of one member that are full after so many uses. */
export const memberLimitsOf = (count) => [
  ["a member's limit", { per_member: count }, "member_limit_reached"],
  ["a member's limit of the week", { windows: [{ per: "week", per_member: count }] }, "member_limit_reached"],
];

// ---- ways back ---------------------------------------------------------------------------------------------------------

/**
 * Ways in which a use comes back. `open` makes the reward of a campaign; `use` uses a code and answers what gives the use back.
 */
export const waysBack = [
  {
    name: "a hold let go",
    open: async (t, shop) => ({ reward_id: await define(shop, "credit") }),
    use: async (shop, client, code) => {
      const mine = await held(client, unique("o-"), { code });
      return async () => expectStatus(await letGo(client, mine), 204);
    },
  },
  {
    name: "an order released",
    open: async (t, shop) => ({ reward_id: await define(shop, "discount", { value: money(WORTH) }) }),
    use: async (shop, client, code) => {
      const order = unique("o-");
      await held(client, order, { code });
      return async () => expectStatus(await release(shop, client, order), 200);
    },
  },
  {
    name: "an order's discount reversed",
    open: async (t, shop) => ({ reward_id: await define(shop, "discount", { value: money(WORTH) }) }),
    use: async (shop, client, code) => {
      const order = unique("o-");
      const { redemption_id } = await held(client, order, { code });
      await committed(shop, client, order);
      return () => reversed(shop.as("manager"), redemption_id, { give_back: true });
    },
  },
  {
    name: "a reversal that gives back",
    open: async (t, shop) => ({ reward_id: await define(shop, "credit") }),
    use: async (shop, client, code) => {
      const { redemption_id } = await redeemed(client, code);
      return () => reversed(shop.as("manager"), redemption_id, { give_back: true });
    },
  },
  {
    name: "a cancellation by an operator",
    open: async (t, shop) => {
      const { fulfiller, mechanic } = await fulfillerOf(t, shop, [fails(), grants()]);
      return { reward_id: await define(shop, "credit", { mechanic, attempts_max: 1 }), fulfiller };
    },
    use: async (shop, client, code) => {
      const { redemption_id } = expectStatus(await redeem(client, code), 201);
      await inStatus(client, redemption_id, "grant_failed");
      return async () => expectStatus(await operate(shop.admin, redemption_id, "resolve", { as: "cancelled", reason: "sold out" }), 200);
    },
  },
];
