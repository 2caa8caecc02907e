// The shapes of the HTTP API, from the types of core::wire. Written by `npm run generate`: do not edit.

/**
 * One member's request to turn a code into rewards: the claim record.
 */
export type Redemption = { 
/**
 * Opaque; also the event id.
 */
redemption_id: string, 
/**
 * Where it stands.
 */
status: RedemptionStatus, 
/**
 * What was redeemed.
 */
kind: RedemptionKind, 
/**
 * Campaign number.
 */
campaign?: number, 
/**
 * Reward definition; known once decided.
 */
reward_id?: string, 
/**
 * Units.
 */
quantity: number, 
/**
 * Points that were taken for it.
 */
points_spent?: number, 
/**
 * Points that a manager let go, with the reason beside.
 */
goodwill_points?: number, 
/**
 * Ledger rows it made.
 */
ledger: Array<RedemptionLedgerRow>, 
/**
 * Rewards it made.
 */
rewards: Array<string>, 
/**
 * Why not, when refused.
 */
refusal?: Refusal, 
/**
 * Tries so far to reach a decision or a grant.
 */
attempts: number, 
/**
 * Most tries.
 */
attempts_max: number, 
/**
 * When the server tries again by itself.
 */
next_attempt_at?: string, 
/**
 * What went wrong last.
 */
last_error?: string, 
/**
 * When the request came.
 */
created_at: string, 
/**
 * When it last moved.
 */
updated_at: string, 
/**
 * Actor, when not the member.
 */
by?: string, 
/**
 * Why, where somebody who acted on it said.
 */
reason?: string, 
/**
 * Order given with the request.
 */
order?: string, 
/**
 * Batch of the code.
 */
batch_id?: string, 
/**
 * Whatever that batch is found by.
 */
reference?: string, };

/**
 * Where a redemption stands.
 */
export type RedemptionStatus = "redeeming" | "redeem_failed" | "refused" | "held" | "redeemed" | "granting" | "grant_failed" | "granted" | "cancelled" | "reversed";

/**
 * What was turned into rewards.
 */
export type RedemptionKind = "code" | "points" | "gift";

/**
 * A redemption's ledger row in short.
 */
export type RedemptionLedgerRow = { 
/**
 * Opaque.
 */
ledger_id: string, 
/**
 * Short and readable, for receipts.
 */
number: string, 
/**
 * Units.
 */
quantity: number, 
/**
 * What the holder shows elsewhere, where the reward comes with promo codes.
 */
promo_code?: string, };

/**
 * Why a redemption is not made; the last ones, why an action of staff or of a shop is not. The order of the variants is
 * the order of precedence; names never change.
 */
export type Refusal = { "code": "malformed_code", 
/**
 * Symbol position from 0, where there is one.
 */
position?: number, 
/**
 * Stable name of what is wrong.
 */
reason: string, } | { "code": "too_many_attempts", 
/**
 * Seconds until the next try is looked at.
 */
retry_after_s: number, } | { "code": "code_not_recognised" } | { "code": "code_recalled" } | { "code": "campaign_not_active" } | { "code": "campaign_not_started", 
/**
 * First instant.
 */
starts_at: string, } | { "code": "campaign_ended", 
/**
 * First instant after the end, where the clock ended it.
 */
ends_at?: string, } | { "code": "code_expired", 
/**
 * First instant after the end.
 */
expires_at: string, } | { "code": "redemption_method_not_allowed" } | { "code": "currency_not_allowed" } | { "code": "not_eligible", 
/**
 * Which of role, tier, persona, tag did not fit.
 */
unmet: Array<string>, } | { "code": "already_redeemed_by_you", 
/**
 * The redemption that used it.
 */
earlier_redemption_id: string, } | { "code": "already_redeemed" } | { "code": "code_held", 
/**
 * When the hold ends.
 */
held_until: string, } | { "code": "member_limit_reached", 
/**
 * When the window ends whose limit was reached, where it was one of those.
 */
window_ends_at?: string, } | { "code": "campaign_limit_reached", 
/**
 * When the window ends whose limit was reached, where it was one of those.
 */
window_ends_at?: string, } | { "code": "budget_exhausted" } | { "code": "reward_not_for_sale" } | { "code": "insufficient_points", 
/**
 * How many are missing.
 */
points_needed: number, 
/**
 * At the till: the offer that only a manager's override confirms.
 */
quote_id?: string, } | { "code": "insufficient_codes", 
/**
 * Free promo codes.
 */
available: number, 
/**
 * Units asked for.
 */
requested: number, } | { "code": "quote_expired", 
/**
 * `time`, `replaced`, `confirmed` or `cancelled`.
 */
reason: string, } | { "code": "just_redeemed" } | { "code": "hold_expired" } | { "code": "value_spent", 
/**
 * How much is missing.
 */
short_by: number, } | { "code": "already_exists", 
/**
 * What the order has.
 */
what: string, } | { "code": "challenge_required" };

/**
 * Answer of `POST /v1/codes/preview`; nothing was consumed.
 */
export type Preview = { 
/**
 * What redeeming would do now.
 */
would: Verdict, 
/**
 * Why not.
 */
refusal?: Refusal, 
/**
 * What it gives.
 */
reward: PreviewReward, 
/**
 * Which campaign.
 */
campaign: PreviewCampaign, 
/**
 * Every rule in order of precedence.
 */
rules: Array<PreviewRule>, };

/**
 * The reward that a code would give.
 */
export type PreviewReward = { 
/**
 * Shown to people.
 */
name: string, 
/**
 * Type.
 */
type: RewardType, 
/**
 * Value by type.
 */
value: RewardValue, };

/**
 * The campaign a code belongs to.
 */
export type PreviewCampaign = { 
/**
 * Shown to people.
 */
name: string, 
/**
 * First instant after its end.
 */
ends_at?: string, };

/**
 * One rule of a preview.
 */
export type PreviewRule = { 
/**
 * Code of the refusal that it would give.
 */
rule: string, 
/**
 * Whether it passes.
 */
passed: boolean, 
/**
 * Why not.
 */
detail?: string, };

/**
 * What a redemption would do.
 */
export type Verdict = "redeem" | "refuse";

/**
 * What a member has.
 */
export type Wallet = { 
/**
 * Points.
 */
points: number, 
/**
 * Experience.
 */
xp: number, 
/**
 * Tokens.
 */
tokens: number, 
/**
 * One entry per currency.
 */
credit: Array<Money>, 
/**
 * Keys of unlocked features, ascending.
 */
features: Array<string>, 
/**
 * Running boosters, the first to end first.
 */
boosters: Array<Booster>, };

/**
 * Credit in one currency.
 */
export type Money = { 
/**
 * ISO 4217.
 */
currency: string, 
/**
 * Minor units.
 */
amount_minor: number, };

/**
 * A running booster.
 */
export type Booster = { 
/**
 * The reward's id.
 */
id: string, 
/**
 * Its definition.
 */
reward_id: string, 
/**
 * Shown to people.
 */
name: string, 
/**
 * What it multiplies.
 */
type: RewardType, 
/**
 * Thousandths.
 */
multiplier_permille: number, 
/**
 * First instant at which it runs no more.
 */
runs_until: string, };

/**
 * An append-only ledger row; a balance is their sum.
 */
export type LedgerRow = { 
/**
 * Opaque.
 */
ledger_id: string, 
/**
 * Short and readable, for receipts.
 */
number: string, 
/**
 * When.
 */
at: string, 
/**
 * `points`, `xp`, `tokens`, `credit`, `feature`, or `reward` for what no balance shows.
 */
asset: string, 
/**
 * Of credit.
 */
currency?: string, 
/**
 * Key of a feature.
 */
feature?: string, 
/**
 * Change, in minor units for credit; negative where something is taken.
 */
amount: number, 
/**
 * Balance after it.
 */
balance_after: number, 
/**
 * Why it was written: `redemption`, `reward` (applied later), `reversal`, `end` (its time is over), `adjustment`,
 * `hold` (kept for an order), `release` (given back from one), `order` (used for one).
 */
kind: string, 
/**
 * The redemption that made it.
 */
redemption_id?: string, 
/**
 * Units, where it counts any.
 */
quantity?: number, 
/**
 * What the holder shows elsewhere.
 */
promo_code?: string, 
/**
 * The shop's order.
 */
order?: string, 
/**
 * Actor.
 */
by: string, 
/**
 * Why, where somebody said.
 */
reason?: string, 
/**
 * The row that it takes back.
 */
reverses?: string, };

/**
 * One given thing.
 */
export type Reward = { 
/**
 * Opaque.
 */
id: string, 
/**
 * Definition.
 */
reward_id: string, 
/**
 * Shown to people.
 */
name: string, 
/**
 * Type.
 */
type: RewardType, 
/**
 * Value by type.
 */
value: RewardValue, 
/**
 * Units.
 */
quantity: number, 
/**
 * Where it stands.
 */
state: RewardState, 
/**
 * The redemption that made it.
 */
redemption_id?: string, 
/**
 * Where it comes from, where no code gave it.
 */
source?: RewardSource, 
/**
 * The giver's own reference.
 */
reference?: string, 
/**
 * First instant at which it is too late to claim, activate or play it.
 */
valid_until?: string, 
/**
 * How long it runs once granted.
 */
duration_s?: number, 
/**
 * First instant at which it runs no more.
 */
runs_until?: string, 
/**
 * Tries so far to apply it.
 */
attempts: number, 
/**
 * Most tries.
 */
attempts_max: number, 
/**
 * When the server tries again by itself.
 */
next_attempt_at?: string, 
/**
 * What went wrong last.
 */
last_error?: string, 
/**
 * The fulfiller's answer.
 */
fulfilment?: Fulfilment, 
/**
 * Its life so far.
 */
moves: Array<RewardMove>, };

/**
 * What kind of thing is given.
 */
export type RewardType = "xp" | "tokens" | "points" | "credit" | "feature" | "discount" | "bonus" | "external" | "mission_booster" | "token_booster" | "level_booster" | "mini_game" | "manual";

/**
 * Value by type: credit `{currency, amount_minor}`; points, xp, tokens `{amount}`; feature `{key}`; discount
 * `{percent}` or `{currency, amount_minor}`; boosters `{multiplier_permille}`; mini_game, bonus, external,
 * manual `{reference?}`.
 */
export type RewardValue = { 
/**
 * Three capital letters.
 */
currency: string, 
/**
 * Minor units, from 1.
 */
amount_minor: number, } | { 
/**
 * Its key.
 */
key: string, } | { 
/**
 * From 1.
 */
amount: number, } | { 
/**
 * 1 to 100.
 */
percent: number, } | { 
/**
 * 1001 to 100000 thousandths.
 */
multiplier_permille: number, } | { 
/**
 * Its name there.
 */
reference?: string, };

/**
 * Where a reward stands in its life.
 */
export type RewardState = "unclaimed" | "pending_activation" | "in_progress" | "granted" | "complete" | "expired" | "failed" | "declined" | "deleted" | "bounced";

/**
 * One move of a reward.
 */
export type RewardMove = { 
/**
 * Absent for the first.
 */
from?: RewardState, 
/**
 * Where to.
 */
to: RewardState, 
/**
 * When.
 */
at: string, 
/**
 * Who.
 */
actor: string, 
/**
 * Why, where somebody said.
 */
reason?: string, };

/**
 * Where a reward comes from that no code gave.
 */
export type RewardSource = "mission" | "tournament" | "campaign" | "shop" | "admin";

/**
 * What the fulfiller said, and what support wrote to it.
 */
export type Fulfilment = { 
/**
 * The fulfiller's own data.
 */
data?: Record<string, unknown>, 
/**
 * A note of support.
 */
note?: string, 
/**
 * When it answered last.
 */
answered_at?: string, };

/**
 * A reward that points can buy, as one member sees it.
 */
export type CatalogueItem = { 
/**
 * Definition.
 */
reward_id: string, 
/**
 * Shown to people.
 */
name: string, 
/**
 * Type.
 */
type: RewardType, 
/**
 * Value by type.
 */
value: RewardValue, 
/**
 * Points for one unit, for this member.
 */
points_cost: number, 
/**
 * Whether the balance covers one unit.
 */
affordable: boolean, 
/**
 * What is missing for one unit, where it is not affordable.
 */
points_needed?: number, 
/**
 * Whether the reward is for this member.
 */
eligible: boolean, 
/**
 * Which of role, tier, persona, tag do not fit, where it is not.
 */
unmet?: Array<string>, };

/**
 * A discount or credit kept for one order.
 */
export type Hold = { 
/**
 * Opaque.
 */
hold_id: string, 
/**
 * The shop's order.
 */
order: string, 
/**
 * The redemption of its code, or the one that gave its discount.
 */
redemption_id?: string, 
/**
 * The resting discount that it holds, where it was none of a code.
 */
reward?: string, 
/**
 * What it takes off the order, in minor units of the order's currency.
 */
applied_minor: number, 
/**
 * What the order still costs after all that is held for it.
 */
remaining_minor: number, 
/**
 * When it ends by itself.
 */
expires_at: string, 
/**
 * Where it stands.
 */
state: HoldState, };

/**
 * Where a hold stands.
 */
export type HoldState = "held" | "used" | "released" | "expired";

/**
 * An order with what is, or was, held for it.
 */
export type OrderHolds = { 
/**
 * The shop's order.
 */
order: string, 
/**
 * In the order in which they were made.
 */
holds: Array<Hold>, 
/**
 * What it costs without them.
 */
total?: Money, 
/**
 * What they take off it together.
 */
applied_minor: number, 
/**
 * What it still costs.
 */
remaining_minor: number, };

/**
 * Answer of `POST /v1/till/lookup`.
 */
export type TillMember = { 
/**
 * The merchant's own id of them.
 */
member_id: string, 
/**
 * Shown to staff.
 */
name?: string, 
/**
 * The balance as it is now.
 */
points: number, 
/**
 * What it buys, the dearest first; only rewards that are for this member.
 */
rewards: Array<CatalogueItem>, 
/**
 * The nearest that it does not buy yet.
 */
next_reward?: NextReward, };

/**
 * The cheapest reward for a member that their points do not buy yet.
 */
export type NextReward = { 
/**
 * Definition.
 */
reward_id: string, 
/**
 * Shown to people.
 */
name: string, 
/**
 * Points for one unit.
 */
points_cost: number, 
/**
 * How many are missing.
 */
points_needed: number, };

/**
 * A till's offer. It holds no points, but keeps its price.
 */
export type Quote = { 
/**
 * Opaque.
 */
quote_id: string, 
/**
 * Definition.
 */
reward_id: string, 
/**
 * Shown to people.
 */
reward_name: string, 
/**
 * Units.
 */
quantity: number, 
/**
 * Points for all of them.
 */
points_cost: number, 
/**
 * Points that would be left, as the balance stands now.
 */
points_after: number, 
/**
 * First instant at which it is too late.
 */
expires_at: string, 
/**
 * Where it stands.
 */
state: QuoteState, };

/**
 * Where a till's offer stands.
 */
export type QuoteState = "open" | "replaced" | "expired" | "confirmed" | "cancelled";

/**
 * One numbered message on a member's feed.
 */
export type FeedEvent = { 
/**
 * From 1, without gaps.
 */
seq: number, 
/**
 * When it was decided.
 */
at: string, 
/**
 * `redemption.updated`, `reward.updated`, `wallet.updated`, `pool.assigned` or `notice`.
 */
type: string, 
/**
 * The whole resource as it stood then.
 */
data: unknown, };

/**
 * An answer of the long poll.
 */
export type EventPage = { 
/**
 * At most 500, ascending.
 */
events: Array<FeedEvent>, 
/**
 * Give this as `since` next time.
 */
next_since: number, };

/**
 * Sent instead of events when `since` is older than what is kept, or ahead of the feed.
 */
export type FeedReset = { 
/**
 * Always true.
 */
reset: true, 
/**
 * Continue from here.
 */
since: number, 
/**
 * As it stands.
 */
wallet: Wallet, 
/**
 * The latest.
 */
rewards: Array<Reward>, 
/**
 * The latest.
 */
redemptions: Array<Redemption>, };

/**
 * One page of a list.
 */
export type Page<T> = { 
/**
 * Rows.
 */
items: Array<T>, 
/**
 * Give this as `cursor` for the next page; absent on the last.
 */
next_cursor?: string, };

/**
 * One complaint about a request.
 */
export type PathReason = { 
/**
 * Where: `limits.total`, `header Idempotency-Key`, `query since`; `body` for the whole.
 */
path: string, 
/**
 * What was expected.
 */
reason: string, };

/**
 * RFC 9457, with the stable `code` of the refusal or error and its named extras.
 */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  code: string;
  errors?: PathReason[];
  [extra: string]: unknown;
}
