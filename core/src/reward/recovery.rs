//! What operators do about a redemption, and how a redemption follows its rewards.

use super::life::{Verdict, conclude};
use super::machine::By;
use super::record::{Actor, Notice};
use super::work::{Changes, Refused, View, Work};
use crate::audit::Draft;
use crate::time::Instant;
use crate::wallet::{Names, Note};
use crate::wire::{Redemption, RedemptionStatus, Resolution, RewardState};

/// The redemption as its rewards make it. Once granted it stays so: what later becomes of a reward changes the
/// reward only.
#[must_use]
pub fn follow(redemption: &Redemption, rewards: &[super::RewardRecord], at: Instant) -> Redemption {
    let mut after = redemption.clone();
    match redemption.status {
        RedemptionStatus::Redeemed | RedemptionStatus::Granting | RedemptionStatus::GrantFailed => {}
        RedemptionStatus::Redeeming
        | RedemptionStatus::RedeemFailed
        | RedemptionStatus::Refused
        | RedemptionStatus::Held
        | RedemptionStatus::Granted
        | RedemptionStatus::Cancelled
        | RedemptionStatus::Reversed => return after,
    }
    let failed = || rewards.iter().filter(|record| record.state() == RewardState::Failed);
    let under_way = rewards.iter().any(|record| record.state() == RewardState::InProgress && !record.is_played());
    let gone = !rewards.is_empty() && rewards.iter().all(|record| record.state() == RewardState::Deleted);
    after.status = if gone {
        // An administrator took the last of it back: nothing was given, and a reset frees the use.
        RedemptionStatus::Reversed
    } else if failed().next().is_some() {
        RedemptionStatus::GrantFailed
    } else if under_way {
        RedemptionStatus::Granting
    } else {
        RedemptionStatus::Granted
    };
    after.attempts = rewards.iter().map(|record| record.reward.attempts).max().unwrap_or(0).max(1);
    after.next_attempt_at = failed().filter_map(|record| record.reward.next_attempt_at).min();
    after.last_error = failed().find_map(|record| record.reward.last_error.clone());
    if after != *redemption {
        after.updated_at = at;
    }
    after
}

/// Whether the server, or a fulfiller, has still to finish it.
const fn unfinished(status: RedemptionStatus) -> bool {
    matches!(status, RedemptionStatus::Redeemed | RedemptionStatus::Granting | RedemptionStatus::GrantFailed)
}

/// What an operator may do in a status.
#[must_use]
pub const fn operator_moves(status: RedemptionStatus, tester: bool) -> &'static [&'static str] {
    match status {
        RedemptionStatus::Redeeming | RedemptionStatus::RedeemFailed if tester => &["retry", "cancelled", "reset"],
        RedemptionStatus::Redeeming | RedemptionStatus::RedeemFailed => &["retry", "cancelled"],
        RedemptionStatus::GrantFailed if tester => &["retry", "granted", "cancelled", "reset"],
        RedemptionStatus::GrantFailed => &["retry", "granted", "cancelled"],
        RedemptionStatus::Granting | RedemptionStatus::Redeemed if tester => &["granted", "cancelled", "reset"],
        RedemptionStatus::Granting | RedemptionStatus::Redeemed => &["granted", "cancelled"],
        RedemptionStatus::Cancelled | RedemptionStatus::Reversed => &["reset"],
        RedemptionStatus::Granted if tester => &["reversed", "reset"],
        RedemptionStatus::Granted => &["reversed"],
        RedemptionStatus::Refused | RedemptionStatus::Held => &[],
    }
}

fn refuse(view: &View<'_>, tester: bool) -> Verdict {
    let status = view.redemption.status;
    let refused = Refused::illegal_status(status, operator_moves(status, tester));
    Verdict { changes: None, refused: Some(refused) }
}

fn draft(actor: &Actor, action: &str, view: &View<'_>, reason: Option<&str>) -> Draft {
    let mut draft = Draft::new(actor.audited.clone(), action).subject(view.redemption.redemption_id.clone());
    draft.reason = reason.map(str::to_owned);
    draft
}

/// Tries every failed reward of a redemption again at once.
#[must_use]
pub fn retry(view: &View<'_>, actor: &Actor, reason: Option<&str>, names: &Names<'_>, at: Instant) -> Verdict {
    if view.redemption.status != RedemptionStatus::GrantFailed {
        return refuse(view, false);
    }
    let mut work = Work::on(view, *names, at);
    for index in 0..view.rewards.len() {
        if work.state(index) == Some(RewardState::Failed)
            && let Err(refused) = again(&mut work, index, actor, reason)
        {
            return Verdict { changes: None, refused: Some(refused) };
        }
    }
    let redemption = follow(view.redemption, &work.rewards, at);
    let changes = work.finish(Some(view.redemption), redemption, draft(actor, "redemption.retried", view, reason));
    Verdict { changes: Some(changes), refused: None }
}

/// Tries one failed reward again at once, whatever its redemption says.
#[must_use]
pub fn retry_reward(
    view: &View<'_>,
    index: usize,
    actor: &Actor,
    reason: Option<&str>,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let mut work = Work::on(view, *names, at);
    let done = again(&mut work, index, actor, reason);
    Verdict::of(done.map(|()| conclude(view, work, index, actor, reason)))
}

fn again(work: &mut Work<'_>, index: usize, actor: &Actor, reason: Option<&str>) -> Result<(), Refused> {
    let state = work.state(index);
    if state != Some(RewardState::Failed) {
        return Err(Refused::illegal(state.unwrap_or(RewardState::Failed), By::Administrator));
    }
    work.go(index, RewardState::InProgress, By::Administrator, actor, reason)?;
    if let Some(record) = work.touch(index) {
        record.rest();
    }
    Ok(())
}

/// An operator says how a redemption ended that was decided for but not finished.
#[must_use]
pub fn resolve(
    view: &View<'_>,
    resolution: Resolution,
    unknown_outcome: bool,
    (actor, reason): (&Actor, &str),
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    if !unfinished(view.redemption.status) {
        return refuse(view, false);
    }
    match resolution {
        Resolution::Granted => Verdict::of(resolve_granted(view, actor, reason, names, at)),
        Resolution::Cancelled => {
            let unknown = view.rewards.iter().any(|record| {
                matches!(record.state(), RewardState::InProgress | RewardState::Failed) && record.outcome_unknown()
            });
            if unknown && !unknown_outcome {
                let state = view.redemption.status.name().to_owned();
                // As it stands, only waiting, trying again or granting is safe.
                let legal_moves = operator_moves(view.redemption.status, false)
                    .iter()
                    .filter(|name| **name != "cancelled")
                    .map(|name| (*name).to_owned())
                    .collect();
                let refused = Refused::IllegalMove { state, legal_moves, unknown_outcome: true };
                return Verdict { changes: None, refused: Some(refused) };
            }
            Verdict::of(take_all_back(view, RedemptionStatus::Cancelled, actor, Some(reason), names, at))
        }
    }
}

fn resolve_granted(
    view: &View<'_>,
    actor: &Actor,
    reason: &str,
    names: &Names<'_>,
    at: Instant,
) -> Result<Changes, Refused> {
    let mut work = Work::on(view, *names, at);
    for (index, record) in view.rewards.iter().enumerate() {
        let state = record.state();
        if record.is_played() || !matches!(state, RewardState::InProgress | RewardState::Failed) {
            continue;
        }
        if state == RewardState::Failed {
            work.go(index, RewardState::InProgress, By::Operator, actor, Some(reason))?;
        }
        work.go(index, RewardState::Granted, By::Operator, actor, Some(reason))?;
        work.apply(index, actor)?;
        if let Some(record) = work.touch(index) {
            record.succeed();
        }
    }
    let mut redemption = follow(view.redemption, &work.rewards, at);
    redemption.reason = Some(reason.to_owned());
    redemption.updated_at = at;
    Ok(work.finish(Some(view.redemption), redemption, draft(actor, "redemption.granted", view, Some(reason))))
}

/// Takes every reward back, returns what was paid, and ends the redemption; its use is given back, its promo codes go to
/// quarantine.
fn take_all_back(
    view: &View<'_>,
    status: RedemptionStatus,
    actor: &Actor,
    reason: Option<&str>,
    names: &Names<'_>,
    at: Instant,
) -> Result<Changes, Refused> {
    let mut work = Work::on(view, *names, at);
    refund(&mut work, view, actor, reason)?;
    for index in 0..view.rewards.len() {
        take_one_back(&mut work, index, actor, reason)?;
    }
    let mut redemption = view.redemption.clone();
    redemption.status = status;
    redemption.next_attempt_at = None;
    redemption.reason = reason.map(str::to_owned);
    redemption.updated_at = at;
    let action = format!("redemption.{}", status.name());
    let mut changes = work.finish(Some(view.redemption), redemption, draft(actor, &action, view, reason));
    (changes.give_back, changes.quarantine) = (view.consumed, true);
    Ok(changes)
}

/// Returns what was paid, row by row. Before anything is taken back: whoever bought points with points has both.
fn refund(work: &mut Work<'_>, view: &View<'_>, actor: &Actor, reason: Option<&str>) -> Result<(), Refused> {
    for paid in view.paid {
        let note = Note { quantity: paid.quantity, reason, reverses: Some(&paid.ledger_id), ..Note::default() };
        let (what, amount) = ((paid.asset.as_str(), paid.currency.as_deref()), paid.amount.unsigned_abs());
        work.put_back(what, amount, "reversal", actor, note)?;
    }
    Ok(())
}

/// Deletes one reward wherever it stands; what has ended without effect stays as it is.
fn take_one_back(work: &mut Work<'_>, index: usize, actor: &Actor, reason: Option<&str>) -> Result<(), Refused> {
    let Some(state) = work.state(index) else { return Ok(()) };
    match state {
        RewardState::Expired | RewardState::Declined | RewardState::Deleted | RewardState::Bounced => return Ok(()),
        RewardState::InProgress => work.go(index, RewardState::Failed, By::Operator, actor, reason)?,
        RewardState::Unclaimed
        | RewardState::PendingActivation
        | RewardState::Failed
        | RewardState::Granted
        | RewardState::Complete => {}
    }
    work.go(index, RewardState::Deleted, By::Operator, actor, reason)?;
    work.unapply(index, "reversal", actor, reason)?;
    let at = work.at;
    if let Some(record) = work.touch(index) {
        record.rest();
        if record.delivery.sent {
            record.delivery.notice = Some(Notice { tries: 0, next_at: at });
        }
    }
    Ok(())
}

/// An administrator takes one reward back.
#[must_use]
pub fn delete(view: &View<'_>, index: usize, actor: &Actor, reason: &str, names: &Names<'_>, at: Instant) -> Verdict {
    let Some(record) = view.rewards.get(index) else { return Verdict::nothing() };
    if record.state() == RewardState::Deleted {
        return Verdict::nothing();
    }
    if !super::machine::is_legal(Some(record.state()), RewardState::Deleted, By::Administrator) {
        return Verdict { changes: None, refused: Some(Refused::illegal(record.state(), By::Administrator)) };
    }
    let mut work = Work::on(view, *names, at);
    Verdict::of(delete_one(&mut work, view, index, actor, reason).map(|reversed| {
        let mut changes = conclude(view, work, index, actor, Some(reason));
        changes.quarantine = reversed;
        changes
    }))
}

/// Answers whether nothing is left of a redemption that was not finished: then what was paid is returned too.
fn delete_one(
    work: &mut Work<'_>,
    view: &View<'_>,
    index: usize,
    actor: &Actor,
    reason: &str,
) -> Result<bool, Refused> {
    take_one_back(work, index, actor, Some(reason))?;
    let reversed = view.redemption.status != RedemptionStatus::Reversed
        && follow(view.redemption, &work.rewards, work.at).status == RedemptionStatus::Reversed;
    if reversed {
        refund(work, view, actor, Some(reason))?;
    }
    Ok(reversed)
}

/// Takes a granted redemption back: rewards deleted with their value, what was paid returned, promo codes to quarantine.
/// The use of a code is given back only where that is said. Staff reverse their own, `staff_window_s` seconds long;
/// without it anybody's, at any time.
#[must_use]
pub fn reverse(
    view: &View<'_>,
    give_back: bool,
    staff_window_s: Option<u32>,
    (actor, reason): (&Actor, &str),
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let redemption = view.redemption;
    let refused = |refused| Verdict { changes: None, refused: Some(refused) };
    if staff_window_s.is_some() && redemption.by.as_ref() != Some(&actor.shown) {
        return refused(Refused::NotOwn);
    }
    match redemption.status {
        RedemptionStatus::Granted => {}
        RedemptionStatus::Reversed => return refused(Refused::AlreadyReversed),
        RedemptionStatus::Redeeming
        | RedemptionStatus::RedeemFailed
        | RedemptionStatus::Refused
        | RedemptionStatus::Held
        | RedemptionStatus::Redeemed
        | RedemptionStatus::Granting
        | RedemptionStatus::GrantFailed
        | RedemptionStatus::Cancelled => return refuse(view, false),
    }
    let ends_at = staff_window_s.map(|seconds| redemption.created_at.plus_ms(i64::from(seconds) * 1_000));
    if ends_at.is_some_and(|ends_at| ends_at <= at) {
        return refused(Refused::ReversalWindowOver);
    }
    Verdict::of(take_all_back(view, RedemptionStatus::Reversed, actor, Some(reason), names, at).map(|mut changes| {
        changes.give_back &= give_back;
        changes
    }))
}

/// The member may redeem again: from cancelled or reversed, and for testers from anywhere.
#[must_use]
pub fn reset(
    view: &View<'_>,
    tester: bool,
    (actor, reason): (&Actor, &str),
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    match view.redemption.status {
        RedemptionStatus::Cancelled | RedemptionStatus::Reversed => {
            let work = Work::on(view, *names, at);
            let mut redemption = view.redemption.clone();
            redemption.reason = Some(reason.to_owned());
            redemption.updated_at = at;
            let entry = draft(actor, "redemption.reset", view, Some(reason));
            let mut changes = work.finish(Some(view.redemption), redemption, entry);
            changes.give_back = view.consumed;
            Verdict { changes: Some(changes), refused: None }
        }
        RedemptionStatus::Redeemed
        | RedemptionStatus::Granting
        | RedemptionStatus::GrantFailed
        | RedemptionStatus::Granted
            if tester =>
        {
            let mut done = take_all_back(view, RedemptionStatus::Reversed, actor, Some(reason), names, at);
            if let Ok(Changes { audit: Some(entry), .. }) = &mut done {
                entry.action = "redemption.reset".to_owned();
            }
            Verdict::of(done)
        }
        RedemptionStatus::Refused
        | RedemptionStatus::Redeeming
        | RedemptionStatus::RedeemFailed
        | RedemptionStatus::Held
        | RedemptionStatus::Redeemed
        | RedemptionStatus::Granting
        | RedemptionStatus::GrantFailed
        | RedemptionStatus::Granted => refuse(view, tester),
    }
}

/// Support's own words and data beside the fulfiller's answer.
#[must_use]
pub fn note(
    view: &View<'_>,
    index: usize,
    data: Option<serde_json::Map<String, serde_json::Value>>,
    note: Option<String>,
    actor: &Actor,
    names: &Names<'_>,
    at: Instant,
) -> Option<Changes> {
    let before = view.rewards.get(index)?;
    let mut work = Work::on(view, *names, at);
    let record = work.touch(index)?;
    let fulfilment = record.reward.fulfilment.get_or_insert_with(crate::wire::Fulfilment::default);
    (fulfilment.data, fulfilment.note) = (data, note);
    if record.reward.fulfilment == before.reward.fulfilment {
        return None;
    }
    let entry = Draft::new(actor.audited.clone(), "fulfilment.changed").subject(before.reward.id.clone());
    Some(work.finish(Some(view.redemption), view.redemption.clone(), entry))
}
