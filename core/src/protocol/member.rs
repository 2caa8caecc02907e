//! Decisions of a Member: whether a request is new, and what a redemption does.
//!
//! Per rid: absent → [open] → decided, final. An open row is written only when a 2xx must leave before the
//! decision (respond-async, two seconds gone, participant unreachable).

use super::{Fate, Intent, PrepareAnswer, Prepared};
use crate::audit::Draft;
use crate::ids::Fingerprint;
use crate::ids::Rid;
use crate::limits::{DAY_MS, INTEGER_MAX};
use crate::refusal::Refusal;
use crate::reward::life::{Gift, give};
use crate::reward::recovery::follow;
use crate::reward::work::Work;
use crate::reward::{Actor, Changes};
use crate::time::Instant;
use crate::wallet::{BalanceOverflow, Names};
use crate::wire::{LedgerLine, LedgerRow, Redemption, RedemptionKind, RedemptionStatus, Wallet};

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
    /// Wrong tag: count the attempt in a commit of its own.
    Unrecognised,
    /// Ask the participants.
    Proceed,
}

/// Wrong codes of this account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Within the last day.
    pub in_window: u32,
    /// The earliest of the last [`Attempts::allowed`] of them.
    pub earliest: Option<Instant>,
    /// How many a day may have.
    pub allowed: u32,
    /// A member with an earlier grant is never locked out.
    pub has_grant: bool,
}

/// Step 2: idempotency before business rules, attempts before the tag.
#[must_use]
pub fn receive(known: Known, fp: &Fingerprint, attempts: &Attempts, tag_fits: bool, now: Instant) -> Receipt {
    match known {
        Known::Decided(first) | Known::Open(first) if first == *fp => return Receipt::Replay,
        Known::Decided(_) | Known::Open(_) => return Receipt::KeyReused,
        Known::Absent => {}
    }
    if let Some(retry_after_s) = locked_out(attempts, now) {
        return Receipt::TooManyAttempts { retry_after_s };
    }
    if tag_fits { Receipt::Proceed } else { Receipt::Unrecognised }
}

/// Seconds until this account may try again; `None` when it may now.
#[must_use]
pub fn locked_out(attempts: &Attempts, now: Instant) -> Option<u32> {
    if attempts.has_grant || attempts.in_window < attempts.allowed {
        return None;
    }
    let free_at = attempts.earliest.map_or(now, |earliest| earliest.plus_ms(DAY_MS));
    let wait_s = (free_at.0 - now.0).max(0) / 1_000 + 1;
    Some(u32::try_from(wait_s).unwrap_or(u32::MAX))
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
    /// What it has.
    pub wallet: &'a Wallet,
    /// Number of the next ledger row.
    pub next_ledger_row: u64,
    /// When an open redemption was accepted.
    pub opened_at: Option<Instant>,
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

/// Everything that the deciding commit writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Redemption, rewards, ledger, wallet, events, audit; the redemption is absent where no record is left.
    pub changes: Changes,
    /// Redemptions of the campaign after it, where that changed: the use belongs to this redemption.
    pub member_uses: Option<u64>,
    /// Count a wrong code.
    pub attempt: bool,
    /// The answer where it is a refusal.
    pub refusal: Option<Refusal>,
    /// What the participant is told.
    pub settlement: Settlement,
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

/// Step 5. The first decision on a rid is final.
///
/// # Errors
/// [`BalanceOverflow`]: nothing is decided, so the participant is told nothing until it asks.
pub fn decide(
    view: &MemberView<'_>,
    intent: &Intent,
    answer: &PrepareAnswer,
    names: &Names<'_>,
    now: Instant,
) -> Result<DecideStep, BalanceOverflow> {
    match view.known {
        Known::Decided(fp) if fp == intent.fp && view.consumed => return Ok(DecideStep::Replay),
        Known::Decided(_) => return Ok(DecideStep::Abort),
        Known::Open(fp) if fp != intent.fp => return Ok(DecideStep::Abort),
        Known::Open(_) | Known::Absent => {}
    }
    let decision = match answer {
        PrepareAnswer::Late => return Ok(DecideStep::Retry),
        PrepareAnswer::Refused { refusal, reward_id } => {
            refuse(view, intent, (refusal.clone(), reward_id.clone()), Settlement::None, names, now)
        }
        PrepareAnswer::Prepared(prepared) => {
            // The limit whose scope is the member is held by the Member, in this very transaction.
            if prepared.per_member.is_some_and(|limit| view.member_uses >= limit) {
                let reward_id = Some(prepared.reward.reward_id.clone());
                refuse(view, intent, (Refusal::MemberLimitReached, reward_id), Settlement::Abort, names, now)
            } else {
                grant(view, intent, prepared, names, now)?
            }
        }
    };
    Ok(DecideStep::Commit(Box::new(decision)))
}

/// The redemption of an intent before anything is known.
fn blank(
    intent: &Intent,
    status: RedemptionStatus,
    names: &Names<'_>,
    created_at: Instant,
    now: Instant,
) -> Redemption {
    Redemption {
        redemption_id: names.redemption(&intent.rid),
        status,
        kind: RedemptionKind::Code,
        campaign: Some(intent.campaign),
        reward_id: None,
        quantity: 1,
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
        reason: None,
        order: intent.order.clone(),
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

fn refuse(
    view: &MemberView<'_>,
    intent: &Intent,
    (refusal, reward_id): (Refusal, Option<String>),
    settlement: Settlement,
    names: &Names<'_>,
    now: Instant,
) -> Decision {
    let opened = view.opened_at.is_some();
    // What a 2xx has named must end in a record, even where a plain answer would leave none.
    let changes = if refusal.leaves_record() || opened {
        let redemption = Redemption {
            refusal: Some(refusal.clone()),
            reward_id,
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
        member_uses: None,
        attempt: refusal == Refusal::CodeNotRecognised,
        refusal: Some(refusal),
        settlement,
    }
}

fn draft(view: &MemberView<'_>, intent: &Intent, action: &str, names: &Names<'_>) -> Draft {
    let actor = Actor::of(intent.actor.as_deref(), view.member_id, view.pid);
    Draft::new(actor.audited, action).subject(names.redemption(&intent.rid))
}

fn grant(
    view: &MemberView<'_>,
    intent: &Intent,
    prepared: &Prepared,
    names: &Names<'_>,
    now: Instant,
) -> Result<Decision, BalanceOverflow> {
    let Prepared { reward, quantity, .. } = prepared;
    let gift = Gift { definition: reward, quantity: *quantity, source: None, reference: None };
    let actor = Actor::of(intent.actor.as_deref(), view.member_id, view.pid);
    let mut work = Work::deciding(view.wallet, view.next_ledger_row, intent.rid, *names, now);
    give(&mut work, &gift, &actor)?;
    let before = blank(intent, RedemptionStatus::Redeemed, names, view.opened_at.unwrap_or(now), now);
    let redemption = given(before, &work, &gift, now);
    let action = format!("redemption.{}", redemption.status.name());
    let changes = work.finish(None, redemption, draft(view, intent, &action, names));
    Ok(Decision {
        changes,
        member_uses: Some(view.member_uses.saturating_add(1).min(INTEGER_MAX)),
        attempt: false,
        refusal: None,
        settlement: Settlement::Settle,
    })
}

/// A redemption with what it has given.
fn given(before: Redemption, work: &Work<'_>, gift: &Gift<'_>, now: Instant) -> Redemption {
    let line = |row: &LedgerRow| LedgerLine {
        ledger_id: row.ledger_id.clone(),
        number: row.number.clone(),
        quantity: row.quantity,
    };
    let redemption = Redemption {
        reward_id: Some(gift.definition.reward_id.clone()),
        quantity: gift.quantity,
        ledger: work.ledger.iter().map(line).collect(),
        rewards: work.rewards.iter().map(|record| record.reward.id.clone()).collect(),
        attempts_max: gift.definition.attempts_max,
        ..before
    };
    follow(&redemption, &work.rewards, now)
}

/// A gift by hand, or by a service for a mission or a tournament: no participant has a say, so this commit is all.
///
/// # Errors
/// [`BalanceOverflow`]: nothing is given.
pub fn gift(
    view: &MemberView<'_>,
    rid: Rid,
    gift: &Gift<'_>,
    (actor, reason): (&Actor, &str),
    names: &Names<'_>,
    now: Instant,
) -> Result<Changes, BalanceOverflow> {
    let mut work = Work::deciding(view.wallet, view.next_ledger_row, rid, *names, now);
    give(&mut work, gift, actor)?;
    let before = Redemption {
        redemption_id: names.redemption(&rid),
        status: RedemptionStatus::Redeemed,
        kind: RedemptionKind::Gift,
        campaign: None,
        reward_id: None,
        quantity: gift.quantity,
        ledger: vec![],
        rewards: vec![],
        refusal: None,
        attempts: 1,
        attempts_max: gift.definition.attempts_max,
        next_attempt_at: None,
        last_error: None,
        created_at: now,
        updated_at: now,
        by: Some(actor.shown.clone()),
        reason: Some(reason.to_owned()),
        order: None,
    };
    let redemption = given(before, &work, gift, now);
    let mut draft = Draft::new(actor.audited.clone(), format!("redemption.{}", redemption.status.name()))
        .subject(redemption.redemption_id.clone());
    draft.reason = Some(reason.to_owned());
    Ok(work.finish(None, redemption, draft))
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
    // The participant may have prepared it: it is told until it has heard.
    changes.give_back = true;
    Decision { changes, member_uses: None, attempt: false, refusal: None, settlement: Settlement::Abort }
}

/// Step 7: what became of a prepared intent. `Err` hands it to [`decide`] with the participant's promise: the
/// Member has never heard of it, because the request died on the way back.
///
/// # Errors
/// The intent has to be decided now.
pub fn inquire(known: Known, consumed: bool, rid_running: bool, fp: &Fingerprint) -> Result<Fate, Undecided> {
    match known {
        Known::Decided(first) if first == *fp && consumed => Ok(Fate::Committed),
        Known::Decided(_) => Ok(Fate::Aborted),
        Known::Open(first) if first != *fp => Ok(Fate::Aborted),
        Known::Open(_) | Known::Absent if rid_running => Ok(Fate::Running),
        Known::Open(_) | Known::Absent => Err(Undecided),
    }
}

/// See [`inquire`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdKey;
    use crate::keys::MerchantId;
    use crate::wire::{Mechanic, Method, RewardDefinition, RewardType, RewardValue};

    #[test]
    fn a_second_promise_is_settled_as_the_first_was_decided() {
        let key = IdKey::new(vec![7; 32]).unwrap();
        let merchant = MerchantId::new("acme").unwrap();
        let names = Names { key: &key, merchant: &merchant };
        let now = Instant(1_800_000_000_000);
        let (mine, other) = (Fingerprint::of(&[b"mine"]), Fingerprint::of(&[b"other"]));
        let intent = Intent {
            v: super::super::MESSAGE_VERSION,
            rid: Rid::derive(&key.mref(&merchant, "ann"), "member", "ann", "POST /v1/redemptions", "key"),
            fp: mine,
            campaign: 1,
            facts: crate::rules::Facts {
                at: now,
                seq: 0,
                epoch: 0,
                profile: crate::code::Profile::S20,
                epoch_revoked: false,
                method: Method::Frontend,
                currency: None,
                attributes: crate::token::Attributes::default(),
                roles: vec![],
                member_uses: 0,
            },
            order: None,
            actor: None,
            deadline: now,
        };
        let reward = RewardDefinition {
            reward_id: "welcome".to_owned(),
            name: "Welcome".to_owned(),
            kind: RewardType::Points,
            value: RewardValue::Amount { amount: 1 },
            player_should_claim: false,
            automatic_activation: true,
            valid_for_s: None,
            duration_s: None,
            attempts_max: 10,
            fulfilment_timeout_s: 86_400,
            mechanic: Mechanic::Wallet {},
            version: 1,
        };
        let answer = PrepareAnswer::Prepared(Prepared { reward, quantity: 1, per_member: None });
        let wallet = Wallet::default();
        for (known, consumed, step) in [
            (Known::Decided(mine), true, DecideStep::Replay),
            (Known::Decided(mine), false, DecideStep::Abort),
            (Known::Decided(other), true, DecideStep::Abort),
            (Known::Decided(other), false, DecideStep::Abort),
            (Known::Open(other), false, DecideStep::Abort),
        ] {
            let view = MemberView {
                known,
                consumed,
                member_uses: 0,
                wallet: &wallet,
                next_ledger_row: 1,
                opened_at: None,
                member_id: "ann",
                pid: "p1",
            };
            assert_eq!(decide(&view, &intent, &answer, &names, now), Ok(step), "{known:?}, consumed: {consumed}");
        }
    }
}
