// What a till remembers of a redemption: enough for a receipt, and to take it back.

import type { Quote, Redemption } from "../wire.js";

/** One confirmed redemption, as a receipt shows it. Plain JSON, so that it can be kept over a reload. */
export interface Sale {
  redemption: Redemption;
  /** Whose it is. */
  member: { member_id: string; name?: string | undefined };
  /** What was given. */
  reward_name: string;
  quantity: number;
  /** What it costs; `redemption.points_spent` may be less, where a manager let some go. */
  points_cost: number;
  /** The balance when it was looked up after the redemption; absent where that was not possible. */
  points_after?: number | undefined;
  /** It was taken back. */
  reversed: boolean;
}

/** The receipt's facts from what the calls answered. */
export function saleOf(redemption: Redemption, quote: Quote, { member_id, name }: Sale["member"]): Sale {
  const { points_spent = 0, goodwill_points } = redemption;
  return {
    redemption,
    member: name === undefined ? { member_id } : { member_id, name },
    reward_name: quote.reward_name,
    quantity: redemption.quantity,
    // The balance may have been another when a shortage was told.
    points_cost: goodwill_points === undefined ? quote.points_cost : points_spent + goodwill_points,
    reversed: redemption.status === "reversed",
  };
}
