// Every way a code can be refused, and every way an answer can fail to arrive, in words for a customer.

import type { CounterfoilError, Refusal } from "@counterfoil/sdk";

import { count, lastMoment, moment, waitFor } from "./format";

export interface Explanation {
  title: string;
  text: string;
}

/** The refusal's code with its extras, as an error, a preview or a history entry brings them. */
export interface Reason {
  code: string;
  [extra: string]: unknown;
}

type Explain = (reason: Reason) => Explanation;

const say =
  (title: string, text: string): Explain =>
  () => ({ title, text });

const given = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);

const UNMET: Record<string, string> = {
  role: "members with another role",
  tier: "members of another level",
  persona: "other customers",
  tag: "members who were invited to it",
};

/** Where a reward stands that somebody wanted to move from elsewhere. */
const MOVED_ON: Record<string, string> = {
  unclaimed: "It has to be claimed first.",
  pending_activation: "It cannot be used here: it waits for its time.",
  in_progress: "It is being delivered already.",
  granted: "You have it already.",
  complete: "It has been used up.",
  expired: "Its time is over.",
  failed: "It is being delivered; that takes longer than it should.",
  declined: "It was declined.",
  deleted: "The shop has taken it back.",
  bounced: "Its time to be played is over.",
};

// The compiler sees to it that none of the SDK's refusals is missing; some come with later servers.
const REFUSALS = {
  malformed_code: say("That is not a complete code", "Please compare it with yours, symbol by symbol."),
  too_many_attempts: ({ retry_after_s }) => ({
    title: "Too many tries",
    text: `To keep everybody's gift cards safe, codes are not checked for your account for a while. Please try again ${
      typeof retry_after_s === "number" ? waitFor(retry_after_s) : "later"
    }.`,
  }),
  code_not_recognised: say(
    "We do not know this code",
    "It has no typing error that we can see, but it is not one of ours. Is it for another shop?",
  ),
  code_recalled: say("This code was withdrawn", "Its issuer called it back. Whoever gave it to you can tell you more."),
  campaign_not_active: say("Not available at the moment", "This offer is paused. Please try again later; your code is still unused."),
  campaign_not_started: ({ starts_at }) => ({
    title: "Not valid yet",
    text: given(starts_at) ? `You can redeem it from ${moment(given(starts_at) ?? "")}.` : "This offer has not begun.",
  }),
  campaign_ended: ({ ends_at }) => ({
    title: "This offer has ended",
    text: given(ends_at) ? `It could be redeemed until ${lastMoment(given(ends_at) ?? "")}.` : "It was closed by its issuer.",
  }),
  code_expired: ({ expires_at }) => ({
    title: "This code has expired",
    text: given(expires_at) ? `It was valid until ${lastMoment(given(expires_at) ?? "")}.` : "Its time is over.",
  }),
  redemption_method_not_allowed: say("Not redeemable on this page", "This code works only where its offer says, in an e-mail for example."),
  currency_not_allowed: say("Not for this currency", "This offer is for orders in another currency."),
  not_eligible: ({ unmet }) => {
    const groups = (Array.isArray(unmet) ? unmet : []).map((one) => UNMET[String(one)]).filter(Boolean);
    return { title: "Not for this account", text: `This offer is for ${groups.join(" and ") || "other customers"}.` };
  },
  already_redeemed_by_you: say("You have redeemed this code already", "What it was worth is in your account."),
  already_redeemed: say("This code has been used", "Somebody has redeemed it. If it was sold to you as new, please ask where you bought it."),
  code_held: ({ held_until }) => ({
    title: "Kept for an open order",
    text: `This code is part of an order that is being placed${given(held_until) ? `. It is free again at ${moment(given(held_until) ?? "")} unless the order goes through` : ""}.`,
  }),
  member_limit_reached: ({ window_ends_at }) => ({
    title: "You have had your share",
    text: given(window_ends_at)
      ? `You can redeem this offer again from ${moment(given(window_ends_at) ?? "")}.`
      : "Each customer can redeem this offer only so many times.",
  }),
  campaign_limit_reached: ({ window_ends_at }) => ({
    title: "All gone",
    text: given(window_ends_at)
      ? `There is more from ${moment(given(window_ends_at) ?? "")} on.`
      : "As many people as this offer was made for have redeemed it.",
  }),
  budget_exhausted: say("All gone", "What was set aside for this offer has been given out."),
  reward_not_for_sale: say("Not for points", "This reward cannot be bought with points."),
  insufficient_points: ({ points_needed }) => ({
    title: "Not enough points",
    text: typeof points_needed === "number" ? `You need ${count(points_needed)} more.` : "You need some more.",
  }),
  insufficient_codes: ({ available, requested }) => ({
    title: "Not enough left",
    text:
      typeof available === "number" && typeof requested === "number"
        ? `Only ${count(available)} of the ${count(requested)} you asked for are left. Nothing was taken.`
        : "There are fewer left than you asked for. Nothing was taken.",
  }),
  challenge_required: say("Please show that you are a person", "Somebody is guessing codes, so new accounts are asked once."),
  just_redeemed: say("Redeemed a moment ago", "You have got the same reward just now. Please look at your rewards."),
  quote_expired: say("The offer has run out", "Nothing was taken. Please ask for a new one."),
  hold_expired: say("The order took too long", "What was kept for it is free again. Please try once more."),
  value_spent: say("It has been used", "Part of what it was worth is spent already."),
  already_exists: say("One discount for an order", "This order has a discount already."),
  illegal_move: ({ state }) => ({ title: "It has changed meanwhile", text: MOVED_ON[String(state)] ?? "That is not possible any more." }),
} satisfies Record<Refusal["code"], Explain> & Record<string, Explain>;

const FAILURES: Record<string, Explain> = {
  network_error: say("No connection", "The shop could not be reached. Please check your connection and try again."),
  timeout: say("No answer", "The shop took too long to answer. Please try again."),
  overloaded: say("The shop is busy", "Please try again in a moment."),
  rate_limited: say("A little too fast", "Please try again in a moment."),
  invalid_token: say("Please sign in again", "Your session has ended, or the shop could not be reached to renew it."),
  forbidden: say("Not allowed", "This account may not redeem codes."),
};

const UNKNOWN_FAILURE = say("Something went wrong", "This is our fault, not your code's. Please try again.");

/** What a reason means; a code that is not known here is explained by the server's own sentence. */
export function explain(reason: Reason): Explanation {
  const known = (REFUSALS as Record<string, Explain>)[reason.code];
  if (known) return known(reason);
  return { title: given(reason["title"]) ?? "Not redeemed", text: given(reason["detail"]) ?? "This code was refused." };
}

export function explainError(error: CounterfoilError): Explanation {
  const reason: Reason = { ...error.problem, code: error.code };
  if (error.isRefusal) return explain(reason);
  return (FAILURES[error.code] ?? UNKNOWN_FAILURE)(reason);
}
