//! Every bound in one place. A number that a client can meet is documented in the HTTP API.

/// Largest integer that JSON clients keep exactly: 2⁵³ − 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// Most bytes in a request body (uploads have their own).
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Most characters in an idempotency key, an order, a name of a member.
pub const KEY_CHARS_MAX: usize = 255;
/// Most characters in a name shown to people.
pub const NAME_CHARS_MAX: usize = 200;
/// Most entries in a list of attributes (tags, tiers, currencies …).
pub const LIST_ENTRIES_MAX: usize = 100;
/// Most characters in one attribute.
pub const ATTRIBUTE_CHARS_MAX: usize = 64;
/// Most rows in one page of a list.
pub const PAGE_ROWS_MAX: u32 = 200;
/// Rows in a page when the client does not say.
pub const PAGE_ROWS_DEFAULT: u32 = 50;
/// Most events in one answer of the long poll.
pub const EVENTS_PER_ANSWER: u32 = 500;
/// Events kept on a member's feed.
pub const EVENTS_KEPT: u64 = 10_000;
/// How long events are kept.
pub const EVENTS_KEPT_MS: i64 = 90 * DAY_MS;
/// Longest wait of a long poll, in seconds.
pub const POLL_WAIT_MAX_S: u32 = 25;
/// Wrong codes an account may enter in a day.
pub const ATTEMPTS_PER_DAY: u32 = 10;
/// Unknown aliases an account may enter in a day.
pub const ALIAS_ATTEMPTS_PER_DAY: u32 = 30;
/// Most of either that a merchant may allow.
pub const ATTEMPTS_PER_DAY_MAX: u32 = 1_000;
/// Longest notice of an end, in days.
pub const NOTIFY_DAYS_MAX: u32 = 365;
/// A day.
pub const DAY_MS: i64 = 86_400_000;
/// How long a participant accepts a new intent after it was written.
pub const INTENT_DEADLINE_MS: i64 = 10_000;
/// Age at which a participant asks the Member what became of an intent.
pub const INQUIRE_AFTER_MS: i64 = 10_000;
/// Longest pause between two tries of the same thing inside the protocol.
pub const BACKOFF_MAX_MS: i64 = 60_000;
/// How long a client waits for the decision before a 202.
pub const DECISION_WAIT_MS: i64 = 2_000;
/// Most times one code of a unique campaign may be used.
pub const USES_PER_CODE_MAX: u64 = 10_000;
/// Most units of a reward in one redemption.
pub const QUANTITY_MAX: u32 = 100;
/// Seqs a mint reserves beyond what was asked: a share of the count, and a constant (code-format.md "Minting").
pub const MINT_SPARE_DIVISOR: u64 = 25;
/// See [`MINT_SPARE_DIVISOR`].
pub const MINT_SPARE: u64 = 64;
/// Refusals are kept for their idempotency key this long.
pub const REFUSALS_KEPT_MS: i64 = 40 * DAY_MS;
/// Answers of administrators' calls are kept for their idempotency key this long.
pub const ANSWERS_KEPT_MS: i64 = 30 * DAY_MS;
/// Most tries of an external fulfiller that a definition may ask for.
pub const ATTEMPTS_MAX_MOST: u32 = 50;
/// Longest validity, duration or wait in a reward definition: ten years, in seconds.
pub const LIFETIME_MAX_S: u32 = 315_360_000;
/// Most bytes of a fulfiller's data.
pub const FULFILMENT_DATA_BYTES_MAX: usize = 16 * 1024;
/// Most characters in a reason or a note.
pub const NOTE_CHARS_MAX: usize = 500;
/// Most moves kept with a reward; the middle ones go first, the audit log keeps all.
pub const MOVES_KEPT: usize = 100;
/// Longest wait for a fulfiller's answer.
pub const DELIVERY_WAIT_MS: i64 = 20_000;
/// When a try whose end was never heard of counts as broken off.
pub const DELIVERY_LOST_MS: i64 = 30_000;
/// Most characters in a promo code.
pub const PROMO_CODE_CHARS_MAX: usize = 128;
/// How long a till's offer holds.
pub const QUOTE_MS: i64 = 120_000;
/// Within this time a second redemption of the same reward by the same member is taken for a slip.
pub const JUST_REDEEMED_MS: i64 = 10_000;
/// How long a checkout may keep a discount or credit.
pub const HOLD_MS: i64 = 15 * 60_000;
/// Most holds of one order.
pub const HOLDS_PER_ORDER_MAX: usize = 20;
/// Most bytes of an upload of promo codes.
pub const UPLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most promo codes of an upload that are committed at once …
pub const UPLOAD_SLICE_CODES: usize = 2_000;
/// … and about as many bytes.
pub const UPLOAD_SLICE_BYTES: usize = 512 * 1024;
/// Most refused lines that an upload's answer names.
pub const UPLOAD_REFUSED_SHOWN: usize = 1_000;
/// Most promo codes that one call releases from quarantine by name.
pub const RELEASE_CODES_MAX: usize = 1_000;
/// Most aliases of a campaign.
pub const ALIASES_MAX: usize = 20;
/// Most redemptions in a second that a campaign may be laid out for.
pub const EXPECTED_RATE_MAX: u32 = 100_000;
/// Redemptions in a second that one shard is given: a fifth of what an object is good for in groups.
pub const SHARD_RATE: u32 = 200;
/// Most that a shard is given of a limit at once.
pub const PORTION_MAX: u64 = 1_000_000;
/// How far a signed message's time may be from the present, either side, in seconds.
pub const WEBHOOK_TOLERANCE_S: i64 = 300;

const _: () = {
    assert!(DELIVERY_LOST_MS > DELIVERY_WAIT_MS, "a try must be over before it is taken for lost");
    assert!(INQUIRE_AFTER_MS >= INTENT_DEADLINE_MS, "an intent must be dead before its fate is asked");
    assert!(PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX);
    assert!(DECISION_WAIT_MS < INTENT_DEADLINE_MS);
};
