// What may come after what: a state that was acknowledged may have gone on by the time it is looked at again, but only along
// the moves of the published tables. Written from the description, not from the code under test.

const redemptionMoves = {
  redeeming: ["redeemed", "granting", "granted", "grant_failed", "refused", "held", "redeem_failed", "cancelled"],
  redeem_failed: ["redeeming", "cancelled"],
  held: ["redeemed", "cancelled"],
  redeemed: ["granting", "granted", "grant_failed"],
  granting: ["granted", "grant_failed", "cancelled"],
  grant_failed: ["granting", "granted", "cancelled"],
  granted: ["reversed"],
  refused: [],
  cancelled: [],
  reversed: [],
};

const rewardMoves = {
  unclaimed: ["pending_activation", "declined", "expired", "deleted"],
  pending_activation: ["in_progress", "declined", "expired", "deleted"],
  in_progress: ["granted", "failed", "bounced"],
  failed: ["in_progress", "granted", "deleted"],
  granted: ["complete", "deleted"],
  complete: ["deleted"],
  declined: [],
  expired: [],
  bounced: [],
  deleted: [],
};

function closure(moves) {
  return Object.fromEntries(
    Object.keys(moves).map((from) => {
      const reached = new Set([from]);
      for (const state of reached) for (const to of moves[state]) reached.add(to);
      return [from, reached];
    }),
  );
}

const redemptionLater = closure(redemptionMoves);
const rewardLater = closure(rewardMoves);

/** Whether a redemption that was seen in one state may be in another later. */
export const redemptionMayBecome = (from, to) => redemptionLater[from]?.has(to) === true;
/** The same for a reward. */
export const rewardMayBecome = (from, to) => rewardLater[from]?.has(to) === true;
/** Whether one step of a reward's log is in the table; a first entry has no `from`. */
export const rewardMoveIsLegal = ({ from, to }) => (from === undefined ? ["unclaimed", "pending_activation"].includes(to) : rewardMoves[from]?.includes(to) === true);

/** States in which a redemption holds its use of the code. */
export const holdsUse = (status) => ["redeemed", "granting", "granted", "grant_failed"].includes(status);
/** States in which nothing has been decided yet. */
export const isUndecided = (status) => ["redeeming", "redeem_failed", "held"].includes(status);
/** States that no server moves on by itself. */
export const isFinal = (status) => ["granted", "refused", "cancelled", "reversed"].includes(status);
