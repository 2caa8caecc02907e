// The legal moves of a reward, as the domain's description prints them, read into data by the suites. Nothing here comes
// from the implementation: this text is what it is held against.

export const TEXT = `
| from | to | by |
|---|---|---|
| – | unclaimed | system, when \`player_should_claim\` |
| – | pending_activation | system, otherwise |
| unclaimed | pending_activation | member or administrator claims |
| unclaimed, pending_activation | declined | member |
| unclaimed, pending_activation | expired | clock; checked again at claim and activation |
| pending_activation | in_progress | member or administrator activates, or system when \`automatic_activation\` |
| in_progress | granted | mechanic reports success |
| in_progress | failed | mechanic reports an error, or time-out |
| in_progress | bounced | a mini-game left unplayed until its time is over |
| failed | in_progress | server retry or operator |
| failed | granted | a late success from the fulfiller (recorded as two moves, one commit) |
| granted | complete | clock, when a booster or timed reward ends |
| unclaimed, pending_activation, failed, granted, complete | deleted | administrator with reason, or reversal; value applied is taken back in the ledger |
`;

export const STATES = ["unclaimed", "pending_activation", "in_progress", "granted", "complete", "expired", "failed", "declined", "deleted", "bounced"];

/** The table's lines: `{from, to, by}`, one for each pair; the first state of a reward comes from nowhere. */
export const PAIRS = TEXT.trim()
  .split("\n")
  .slice(2)
  .flatMap((line) => {
    const [from, to, by] = line.split("|").slice(1, -1).map((cell) => cell.trim());
    return from.split(/,\s*/).map((one) => ({ from: one === "–" ? undefined : one, to, by }));
  });

/** The one pair that is two moves in the log. */
const LATE_SUCCESS = /late success/;

/** Pairs as they stand in a reward's log. */
export const LOGGED = PAIRS.filter(({ by }) => !LATE_SUCCESS.test(by)).map(({ from, to }) => `${from ?? "–"} → ${to}`);

const asks = { member: /\bmember\b/, administrator: /\badministrator\b|\boperator\b/ };

/** Where a caller may move a reward from a state, sorted. */
export const legalMoves = (caller, state) => PAIRS.filter(({ from, by }) => from === state && asks[caller].test(by)).map(({ to }) => to).sort();
