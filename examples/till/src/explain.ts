// Why something was not done, in words for somebody with a customer in front of them.

import type { CounterfoilError } from "@counterfoil/sdk";

import { points } from "./format";

/** What is said, and what helps. */
export interface Explanation {
  title: string;
  text: string;
  /** `again`: one more of the same is meant. `anew`: offer it once more. `manager`: somebody else may. */
  help?: "again" | "anew" | "manager";
}

type Explain = (extras: Record<string, unknown>) => Explanation;

const say =
  (title: string, text: string, help?: Explanation["help"]): Explain =>
  () => ({ title, text, ...(help && { help }) });

const amount = (value: unknown): string => (typeof value === "number" ? points(value) : "some points");

const EXPLANATIONS: Record<string, Explain> = {
  member_not_found: say("Nobody has this number", "Please compare it with the customer, or ask which number they joined with."),
  insufficient_points: ({ points_needed }) => ({
    title: "Not enough points any more",
    text: `${amount(points_needed)} are missing. Nothing was taken; the balance below is as it is now.`,
  }),
  insufficient_codes: ({ detail }) => ({
    title: "Out of stock",
    text: `${typeof detail === "string" ? `${detail}. ` : ""}Nothing was taken. Please offer something else.`,
  }),
  quote_expired: ({ reason }) => ({
    title: reason === "confirmed" ? "Given already" : "The offer has run out",
    text: EXPIRED[String(reason)] ?? "Nothing was taken.",
    ...(reason === "confirmed" ? {} : { help: "anew" as const }),
  }),
  just_redeemed: say(
    "The same reward was given a moment ago",
    "Somebody, perhaps at another till, gave it to this customer within the last seconds. Nothing more was taken.",
    "again",
  ),
  not_eligible: say("Not for this customer", "The reward is meant for other members. Nothing was taken."),
  reward_not_for_sale: say("Not for points any more", "This reward cannot be bought with points now. Nothing was taken."),
  reversal_window_over: say("Too late for you to take it back", "A manager can still do it.", "manager"),
  already_reversed: say("Taken back already", "The points are back. There is nothing left to do."),
  value_spent: say("It has been used", "Part of it is spent already, so that it cannot be taken back."),
  illegal_move: say("Not now", "It is still being delivered, or has moved on. Please look again in a moment."),
  forbidden: say("Only a manager may do that", "Please call one.", "manager"),
  network_error: say("No connection", "The shop's server could not be reached. Nothing was changed."),
  timeout: say("No answer in time", "The shop's server did not answer. Please try again."),
  invalid_token: say("Please sign in again", "The sign-in has ended or was refused. Nothing was changed."),
  rate_limited: say("A little slower, please", "There were too many questions at once. Please try again in a moment."),
};

const EXPIRED: Record<string, string> = {
  time: "Two minutes have passed. Nothing was taken.",
  replaced: "A newer offer of the same reward took its place. Nothing was taken by this one.",
  confirmed: "This offer was confirmed before. It is given once.",
  cancelled: "It was withdrawn. Nothing was taken.",
};

/** In words; what is not known here is said as the server says it. */
export function explain(error: CounterfoilError): Explanation {
  const known = EXPLANATIONS[error.code];
  if (known) return known({ ...error.problem });
  return { title: "That did not work", text: error.problem?.detail ?? error.message };
}
