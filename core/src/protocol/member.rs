//! Decisions of a Member: whether a request is new, and what a redemption does.
//!
//! Per rid: absent → [open] → decided, final. An open row is written only when a 2xx must leave before the
//! decision (respond-async, two seconds gone, participant unreachable).

pub use super::grant::gift;

use super::grant::{Promo, grant, promo_codes};
use super::pool::PoolAnswer;
use super::purchase::{self, Payment};
use super::{CodeWish, Fate, GiftWish, Intent, PrepareAnswer, Prepared, Purchase, Wish};
use crate::audit::Draft;
use crate::calendar::Day;
use crate::checkout::{Book, Hold, hold};
use crate::ids::{Fingerprint, Rid};
use crate::limits::DAY_MS;
use crate::quote::Quote;
use crate::refusal::Refusal;
use crate::reward::life::Gift;
use crate::reward::work::Work;
use crate::reward::{Actor, Changes};
use crate::rules::member_window_full;
use crate::time::Instant;
use crate::wallet::{BalanceOverflow, Names};
use crate::wire::{Redemption, RedemptionKind, RedemptionStatus, RewardDefinition, Wallet};
use serde::{Deserialize, Serialize};

/// What a Member knows of a rid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Absent,
    /// Accepted, not decided, with this command.
    Open(Fingerprint),
    /// Decided, with this command.
    Decided(Fingerprint),
}

/// What a Member does with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// Answer with the redemption as it stands now.
    Replay,
    /// The key belongs to another command.
    KeyReused,
    /// Refuse before the tag is looked at.
    TooManyAttempts {
        /// Seconds until a try is looked at again.
        retry_after_s: u32,
    },
    /// Refuse before the tag is looked at, unless a challenge is passed.
    Challenge,
    /// Wrong tag: count the attempt in a commit of its own.
    Unrecognised,
    /// Ask the participants.
    Proceed,
}

/// Wrong codes of this account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Within the last day.
    pub in_window: u32,
    /// The earliest of the last [`Attempts::allowed`] of them.
    pub earliest: Option<Instant>,
    /// How many a day may have.
    pub allowed: u32,
    /// A member with an earlier grant is never locked out.
    pub has_grant: bool,
    /// What holds for accounts without one just now.
    pub bar: Option<Bar>,
}

/// What keeps accounts without an earlier grant out, whatever they have done themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Somebody guesses this campaign's codes: a challenge must be passed.
    Challenge,
    /// Too many wrong codes, of the campaign or from this address.
    Wait {
        /// Seconds until a try is looked at again.
        retry_after_s: u32,
    },
}

/// Step 2: idempotency before business rules, attempts before the tag.
#[must_use]
pub fn receive(known: Known, fp: &Fingerprint, attempts: &Attempts, tag_fits: bool, now: Instant) -> Receipt {
    match known {
        Known::Decided(first) | Known::Open(first) if first == *fp => return Receipt::Replay,
        Known::Decided(_) | Known::Open(_) => return Receipt::KeyReused,
        Known::Absent => {}
    }
    match barred(attempts, now) {
        Some(Bar::Wait { retry_after_s }) => return Receipt::TooManyAttempts { retry_after_s },
        Some(Bar::Challenge) => return Receipt::Challenge,
        None => {}
    }
    if tag_fits { Receipt::Proceed } else { Receipt::Unrecognised }
}

/// What keeps this account from trying; `None` when it may.
#[must_use]
pub fn barred(attempts: &Attempts, now: Instant) -> Option<Bar> {
    if attempts.has_grant {
        return None;
    }
    if attempts.in_window < attempts.allowed {
        return attempts.bar;
    }
    let free_at = attempts.earliest.map_or(now, |earliest| earliest.plus_ms(DAY_MS));
    let wait_s = (free_at.0 - now.0).max(0) / 1_000 + 1;
    Some(Bar::Wait { retry_after_s: u32::try_from(wait_s).unwrap_or(u32::MAX) })
}

/// What a Member reads before it decides.
#[derive(Clone, Debug)]
pub struct MemberView<'a> {
    /// What it knows of the rid.
    pub known: Known,
    /// Whether it was decided for, and its use has not been given back.
    pub consumed: bool,
    /// Its redemptions of this campaign so far.
    pub member_uses: u64,
    /// Those of the last days, by the campaign's local day.
    pub member_days: &'a [(Day, u64)],
    /// What it has.
    pub wallet: &'a Wallet,
    /// Number of the next ledger row.
    pub next_ledger_row: u64,
    /// When an open redemption was accepted.
    pub opened_at: Option<Instant>,
    /// The till's offer that the intent confirms, where it confirms one.
    pub quote: Option<&'a Quote>,
    /// When points last bought the reward that the intent buys.
    pub last_bought_at: Option<Instant>,
    /// The order that the intent's code is kept for, where it is kept for one and the Member knows it.
    pub book: Option<&'a Book>,
    /// The member's own id.
    pub member_id: &'a str,
    /// The member's random name in audit and reports.
    pub pid: &'a str,
}

/// What the participant is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Nothing was prepared.
    None,
    /// The use stays.
    Settle,
    /// Give the use back.
    Abort,
}

/// What the participants have answered so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers<'a> {
    /// The campaign's shard, for a code.
    pub shard: Option<&'a PrepareAnswer>,
    /// The pool, where the reward comes with promo codes.
    pub pool: Option<&'a PoolAnswer>,
}

/// Everything that the deciding commit writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Redemption, rewards, ledger, wallet, events, audit; the redemption is absent where no record is left.
    pub changes: Changes,
    /// The use belongs to this redemption, charged to this local day of its campaign (none of any, where it has none).
    pub consumes: Option<Day>,
    /// Count a wrong code.
    pub attempt: bool,
    /// The answer where it is a refusal.
    pub refusal: Option<Refusal>,
    /// What the participants are told.
    pub settlement: Settlement,
    /// The till's offer is confirmed with it.
    pub quote_confirmed: Option<Rid>,
    /// Kept for a checkout with it.
    pub hold: Option<Box<Hold>>,
}

/// What to do with a participant's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum DecideStep {
    /// Write this in one transaction, then answer.
    Commit(Box<Decision>),
    /// Decided before, for this command: answer as it stands. Tell the participant the use stays.
    Replay,
    /// Decided before for another command, or against: give back whatever was prepared.
    Abort,
    /// Ask the participant again with a fresh deadline.
    Retry,
}

/// Whose promo codes a redemption needs before it can be decided for, once its rules have passed; `None` where it
/// needs none. A pool is asked last: what is refused anyway takes no codes.
#[must_use]
pub fn pool_needed<'a>(
    view: &MemberView<'_>,
    intent: &'a Intent,
    shard: Option<&'a PrepareAnswer>,
    now: Instant,
) -> Option<(&'a str, u32)> {
    let (reward, quantity) = match (&intent.wish, shard) {
        (Wish::Code(_), Some(PrepareAnswer::Prepared(prepared))) => (&prepared.reward, prepared.quantity),
        (
            Wish::Code(_),
            Some(PrepareAnswer::Refused { .. } | PrepareAnswer::Late | PrepareAnswer::Elsewhere { .. }) | None,
        ) => {
            return None;
        }
        (Wish::Points(purchase), _) => {
            may_buy(view, purchase, None, now).ok()?;
            (&purchase.reward, purchase.quantity)
        }
        (Wish::Gift(gift), _) => (&gift.reward, 1),
    };
    // A code that is kept for a checkout gives a discount or credit only; its promo codes would be none.
    reward.pool_id.as_deref().filter(|_| intent.checkout().is_none()).map(|pool_id| (pool_id, quantity))
}

/// Whether a purchase may be made now.
fn may_buy(
    view: &MemberView<'_>,
    purchase: &Purchase,
    names: Option<&Names<'_>>,
    now: Instant,
) -> Result<Payment, Refusal> {
    if let Some(terms) = &purchase.quote {
        crate::quote::confirm_check(view.quote, view.last_bought_at, purchase.at, now)?;
        let quote_id = names.map(|names| names.quote(&terms.quote));
        return purchase::check(purchase, view.wallet.points, quote_id);
    }
    purchase::check(purchase, view.wallet.points, None)
}

/// Step 5. The first decision on a rid is final.
///
/// # Errors
/// [`BalanceOverflow`]: nothing is decided, so the participants are told nothing until they ask.
pub fn decide(
    view: &MemberView<'_>,
    intent: &Intent,
    answers: Answers<'_>,
    names: &Names<'_>,
    now: Instant,
) -> Result<DecideStep, BalanceOverflow> {
    match view.known {
        Known::Decided(fp) if fp == intent.fp && view.consumed => return Ok(DecideStep::Replay),
        Known::Decided(_) => return Ok(DecideStep::Abort),
        Known::Open(fp) if fp != intent.fp => return Ok(DecideStep::Abort),
        Known::Open(_) | Known::Absent => {}
    }
    let decision = match &intent.wish {
        Wish::Code(code) => decide_code(view, intent, code, answers, names, now)?,
        Wish::Points(purchase) => decide_purchase(view, intent, purchase, answers, names, now)?,
        Wish::Gift(gift) => decide_gift(view, intent, gift, answers, names, now)?,
    };
    Ok(decision.map_or(DecideStep::Retry, |decision| DecideStep::Commit(Box::new(decision))))
}

/// `None`: ask the participants again, with a fresh deadline.
type Decided = Result<Option<Decision>, BalanceOverflow>;

fn decide_code(
    view: &MemberView<'_>,
    intent: &Intent,
    code: &CodeWish,
    answers: Answers<'_>,
    names: &Names<'_>,
    now: Instant,
) -> Decided {
    let prepared = match answers.shard {
        Some(PrepareAnswer::Prepared(prepared)) => prepared,
        Some(PrepareAnswer::Refused { refusal, reward_id, batch_id, reference }) => {
            let (reward_id, batch_id, reference) = (reward_id.clone(), batch_id.clone(), reference.clone());
            let why = Why { refusal: refusal.clone(), reward_id, batch_id, reference };
            return Ok(Some(refuse(view, intent, why, Settlement::None, names, now)));
        }
        Some(PrepareAnswer::Late | PrepareAnswer::Elsewhere { .. }) | None => return Ok(None),
    };
    let why = |refusal| Why::promised(refusal, prepared);
    // The limit whose scope is the member is held by the Member, in this very transaction.
    if prepared.per_member.is_some_and(|limit| view.member_uses >= limit) {
        let refused = why(Refusal::MemberLimitReached { window_ends_at: None });
        return Ok(Some(refuse(view, intent, refused, Settlement::Abort, names, now)));
    }
    if let Some(refusal) = member_window_full(&prepared.member_windows, view.member_days) {
        return Ok(Some(refuse(view, intent, why(refusal), Settlement::Abort, names, now)));
    }
    if let Some(checkout) = &code.checkout {
        return Ok(Some(hold(view, intent, prepared, checkout, names, now)));
    }
    let quantity = prepared.quantity;
    match promo_codes(&prepared.reward, quantity, answers.pool) {
        Promo::Unknown => Ok(None),
        Promo::Short(refusal) => Ok(Some(refuse(view, intent, why(refusal), Settlement::Abort, names, now))),
        Promo::Codes(codes) => {
            let gift = Gift { definition: &prepared.reward, quantity, source: None, reference: None };
            grant(view, intent, &gift, (codes, None, Some(prepared)), names, now).map(Some)
        }
    }
}

fn decide_purchase(
    view: &MemberView<'_>,
    intent: &Intent,
    purchase: &Purchase,
    answers: Answers<'_>,
    names: &Names<'_>,
    now: Instant,
) -> Decided {
    let Purchase { reward, quantity, .. } = purchase;
    let why = |refusal| Why::wished(refusal, reward);
    let payment = match may_buy(view, purchase, Some(names), now) {
        Ok(payment) => payment,
        Err(refusal) => {
            let settlement = if answers.pool.is_some() { Settlement::Abort } else { Settlement::None };
            return Ok(Some(refuse(view, intent, why(refusal), settlement, names, now)));
        }
    };
    match promo_codes(reward, *quantity, answers.pool) {
        Promo::Unknown => Ok(None),
        Promo::Short(refusal) => Ok(Some(refuse(view, intent, why(refusal), Settlement::None, names, now))),
        Promo::Codes(codes) => {
            let gift = Gift { definition: reward, quantity: *quantity, source: None, reference: None };
            let decision = grant(view, intent, &gift, (codes, Some((payment, purchase)), None), names, now)?;
            Ok(Some(decision))
        }
    }
}

fn decide_gift(
    view: &MemberView<'_>,
    intent: &Intent,
    wish: &GiftWish,
    answers: Answers<'_>,
    names: &Names<'_>,
    now: Instant,
) -> Decided {
    let GiftWish { reward, source, reference, .. } = wish;
    match promo_codes(reward, 1, answers.pool) {
        Promo::Unknown => Ok(None),
        Promo::Short(refusal) => {
            Ok(Some(refuse(view, intent, Why::wished(refusal, reward), Settlement::None, names, now)))
        }
        Promo::Codes(codes) => {
            let (source, reference) = (Some(*source), reference.as_deref());
            let gift = Gift { definition: reward, quantity: 1, source, reference };
            grant(view, intent, &gift, (codes, None, None), names, now).map(Some)
        }
    }
}

/// The redemption of an intent before anything is known.
pub(crate) fn blank(
    intent: &Intent,
    status: RedemptionStatus,
    names: &Names<'_>,
    created_at: Instant,
    now: Instant,
) -> Redemption {
    let (kind, reward_id, quantity, reason) = match &intent.wish {
        Wish::Code(_) => (RedemptionKind::Code, None, 1, None),
        Wish::Points(Purchase { reward, quantity, quote, .. }) => {
            let reason = quote.as_ref().and_then(|terms| terms.override_reason.clone());
            (RedemptionKind::Points, Some(reward.reward_id.clone()), *quantity, reason)
        }
        Wish::Gift(gift) => (RedemptionKind::Gift, Some(gift.reward.reward_id.clone()), 1, Some(gift.reason.clone())),
    };
    Redemption {
        redemption_id: names.redemption(&intent.rid),
        status,
        kind,
        campaign: intent.code().map(|code| code.campaign),
        reward_id,
        quantity,
        points_spent: None,
        goodwill_points: None,
        ledger: vec![],
        rewards: vec![],
        refusal: None,
        attempts: 1,
        attempts_max: 10,
        next_attempt_at: None,
        last_error: None,
        created_at,
        updated_at: now,
        by: intent.actor.clone(),
        reason,
        order: intent.order.clone(),
        batch_id: None,
        reference: None,
    }
}

/// An accepted redemption that a 2xx may name before it is decided. `tries` and `next_attempt_at` tell how
/// the server drives it on; after a failed try it is `redeem_failed` until the next.
#[must_use]
pub fn open(
    intent: &Intent,
    tries: u32,
    last_error: Option<&str>,
    next_attempt_at: Option<Instant>,
    names: &Names<'_>,
    created_at: Instant,
    now: Instant,
) -> Redemption {
    let status = if last_error.is_some() { RedemptionStatus::RedeemFailed } else { RedemptionStatus::Redeeming };
    Redemption {
        attempts: tries,
        next_attempt_at,
        last_error: last_error.map(str::to_owned),
        ..blank(intent, status, names, created_at, now)
    }
}

/// Why a redemption is refused, and what it was about.
pub(crate) struct Why {
    refusal: Refusal,
    /// What would have been given, where it is known.
    reward_id: Option<String>,
    /// The batch of the code, and whatever that is found by.
    batch_id: Option<String>,
    reference: Option<String>,
}

impl Why {
    /// A shard had promised it.
    pub(crate) fn promised(refusal: Refusal, prepared: &Prepared) -> Self {
        let Prepared { reward, batch_id, reference, .. } = prepared;
        Self { batch_id: batch_id.clone(), reference: reference.clone(), ..Self::wished(refusal, reward) }
    }

    /// It was wished for by the reward's name.
    fn wished(refusal: Refusal, reward: &RewardDefinition) -> Self {
        Self { refusal, reward_id: Some(reward.reward_id.clone()), batch_id: None, reference: None }
    }
}

pub(crate) fn refuse(
    view: &MemberView<'_>,
    intent: &Intent,
    Why { refusal, reward_id, batch_id, reference }: Why,
    settlement: Settlement,
    names: &Names<'_>,
    now: Instant,
) -> Decision {
    let opened = view.opened_at.is_some();
    // What a 2xx has named must end in a record, even where a plain answer would leave none; and so must what a
    // participant keeps something for: without one the same key could be decided anew while an abort is on its way.
    let changes = if refusal.leaves_record() || opened || settlement == Settlement::Abort {
        let redemption = Redemption {
            refusal: Some(refusal.clone()),
            reward_id,
            batch_id,
            reference,
            ..blank(intent, RedemptionStatus::Refused, names, view.opened_at.unwrap_or(now), now)
        };
        let work = Work::deciding(view.wallet, view.next_ledger_row, intent.rid, *names, now);
        let draft = draft(view, intent, "redemption.refused", names);
        work.finish(None, redemption, draft)
    } else {
        Changes::default()
    };
    Decision {
        changes,
        consumes: None,
        attempt: refusal == Refusal::CodeNotRecognised,
        refusal: Some(refusal),
        settlement,
        quote_confirmed: None,
        hold: None,
    }
}

pub(crate) fn draft(view: &MemberView<'_>, intent: &Intent, action: &str, names: &Names<'_>) -> Draft {
    let actor = Actor::of(intent.actor.as_deref(), view.member_id, view.pid);
    Draft::new(actor.audited, action).subject(names.redemption(&intent.rid))
}

/// An operator ends a redemption that could not be decided: nothing was given, and whatever a participant has
/// prepared for it is given back.
#[must_use]
pub fn cancel_open(
    view: &MemberView<'_>,
    intent: &Intent,
    (actor, reason): (&Actor, &str),
    names: &Names<'_>,
    now: Instant,
) -> Decision {
    let redemption = Redemption {
        reason: Some(reason.to_owned()),
        ..blank(intent, RedemptionStatus::Cancelled, names, view.opened_at.unwrap_or(now), now)
    };
    let work = Work::deciding(view.wallet, view.next_ledger_row, intent.rid, *names, now);
    let mut draft = Draft::new(actor.audited.clone(), "redemption.cancelled").subject(redemption.redemption_id.clone());
    draft.reason = Some(reason.to_owned());
    let mut changes = work.finish(None, redemption, draft);
    // The shard may have prepared it: it is told until it has heard. A pool that has asks by itself.
    changes.give_back = true;
    Decision {
        changes,
        consumes: None,
        attempt: false,
        refusal: None,
        settlement: Settlement::Abort,
        quote_confirmed: None,
        hold: None,
    }
}

/// Step 7: what became of a prepared intent. `Err` hands it to [`decide`] with the participant's promise: the
/// Member has never heard of it, because the request died on the way back. `held_until`: it was decided, and is kept
/// for a checkout.
///
/// # Errors
/// The intent has to be decided now.
pub fn inquire(
    known: Known,
    consumed: bool,
    held_until: Option<Instant>,
    rid_running: bool,
    fp: &Fingerprint,
) -> Result<Fate, Undecided> {
    match (known, held_until) {
        (Known::Decided(first), Some(until)) if first == *fp && consumed => Ok(Fate::Held { until }),
        (Known::Decided(first), _) if first == *fp && consumed => Ok(Fate::Committed),
        (Known::Decided(_), _) => Ok(Fate::Aborted),
        (Known::Open(first), _) if first != *fp => Ok(Fate::Aborted),
        (Known::Open(_) | Known::Absent, _) if rid_running => Ok(Fate::Running),
        (Known::Open(_) | Known::Absent, _) => Err(Undecided),
    }
}

/// See [`inquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided;

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
