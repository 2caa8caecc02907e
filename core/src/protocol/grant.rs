//! Giving: what a redemption that is decided for writes. Its receipts, its rewards, and what they do to the wallet.

use super::member::{Decision, MemberView, Settlement, blank, draft};
use super::pool::PoolAnswer;
use super::purchase::Payment;
use super::{Intent, Prepared, Purchase};
use crate::audit::Draft;
use crate::ids::Rid;
use crate::refusal::Refusal;
use crate::reward::life::{Gift, give};
use crate::reward::recovery::follow;
use crate::reward::work::Work;
use crate::reward::{Actor, Changes};
use crate::time::Instant;
use crate::wallet::{BalanceOverflow, Entry, Names, Note};
use crate::wire::{LedgerLine, LedgerRow, Redemption, RedemptionKind, RedemptionStatus, RewardDefinition};

/// The promo codes that come with a reward.
pub(super) enum Promo<'a> {
    /// One for each receipt row; none where the reward comes with none.
    Codes(Vec<&'a str>),
    /// The pool has not so many.
    Short(Refusal),
    /// The pool has not answered.
    Unknown,
}

pub(super) fn promo_codes<'a>(reward: &'a RewardDefinition, quantity: u32, pool: Option<&'a PoolAnswer>) -> Promo<'a> {
    match (&reward.pool_id, pool) {
        (None, _) => Promo::Codes(reward.promo_code.as_deref().into_iter().collect()),
        // A pool that gives fewer than it was asked for has answered something else.
        (Some(_), Some(PoolAnswer::Prepared { codes })) if u32::try_from(codes.len()) == Ok(quantity) => {
            Promo::Codes(codes.iter().map(String::as_str).collect())
        }
        (Some(_), Some(PoolAnswer::Refused { available })) => {
            Promo::Short(Refusal::InsufficientCodes { available: *available, requested: quantity })
        }
        (Some(_), Some(PoolAnswer::Prepared { .. } | PoolAnswer::Late) | None) => Promo::Unknown,
    }
}

/// Decides for a redemption: what is paid, what is given, and the receipts of both.
///
/// # Errors
/// [`BalanceOverflow`]: nothing is given.
pub(super) fn grant(
    view: &MemberView<'_>,
    intent: &Intent,
    gift: &Gift<'_>,
    (codes, payment, prepared): (Vec<&str>, Option<(Payment, &Purchase)>, Option<&Prepared>),
    names: &Names<'_>,
    now: Instant,
) -> Result<Decision, BalanceOverflow> {
    let day = prepared.map(|prepared| prepared.day).unwrap_or_default();
    let actor = Actor::of(intent.actor.as_deref(), view.member_id, view.pid);
    let mut work = Work::deciding(view.wallet, view.next_ledger_row, intent.rid, *names, now);
    let mut before = blank(intent, RedemptionStatus::Redeemed, names, view.opened_at.unwrap_or(now), now);
    if let Some(prepared) = prepared {
        before.batch_id.clone_from(&prepared.batch_id);
        before.reference.clone_from(&prepared.reference);
    }
    if let Some((payment, _)) = payment {
        before.points_spent = Some(payment.taken);
        before.goodwill_points = Some(payment.goodwill).filter(|points| *points > 0);
    }
    let receipts = write_receipts(&mut work, gift, &codes, payment, &actor, names)?;
    give(&mut work, gift, &actor)?;
    let redemption = given(before, &work, gift, receipts, now);
    let action = format!("redemption.{}", redemption.status.name());
    let mut draft = draft(view, intent, &action, names);
    draft.reason.clone_from(&redemption.reason);
    let changes = work.finish(None, redemption, draft);
    Ok(Decision {
        changes,
        consumes: Some(day),
        attempt: false,
        refusal: None,
        settlement: Settlement::Settle,
        quote_confirmed: payment.and_then(|(_, purchase)| purchase.quote.as_ref()).map(|terms| terms.quote),
        hold: None,
    })
}

/// The receipt of what was paid and of the promo codes: one row of the whole quantity, or with a pool one for each code.
/// Answers how many; none where the reward's own row is the receipt.
fn write_receipts(
    work: &mut Work<'_>,
    gift: &Gift<'_>,
    codes: &[&str],
    payment: Option<(Payment, &Purchase)>,
    actor: &Actor,
    names: &Names<'_>,
) -> Result<usize, BalanceOverflow> {
    let pooled = gift.definition.pool_id.is_some();
    if payment.is_none() && codes.is_empty() {
        return Ok(0);
    }
    let (count, each) = if pooled { (gift.quantity, 1) } else { (1, gift.quantity) };
    let reason = payment.and_then(|(_, purchase)| purchase.quote.as_ref()?.override_reason.as_deref());
    let amounts: Vec<Option<u64>> = match payment {
        Some((payment, _)) if pooled => payment.rows(count).map(Some).collect(),
        Some((payment, _)) => vec![Some(payment.taken)],
        None => (0..count).map(|_| None).collect(),
    };
    let redemption_id = names.redemption(&work.rid);
    for (index, amount) in amounts.into_iter().enumerate() {
        let promo_code = codes.get(index).copied();
        let note = Note { quantity: Some(each), reason, promo_code, ..Note::default() };
        let ledger_id = match amount {
            // The balance was looked at a moment ago, in this very commit.
            Some(points) => {
                work.spend(("points", None), points, "redemption", actor, note).map_err(|_| BalanceOverflow)?
            }
            None => work.row(Entry::without_balance(), "redemption", actor, note),
        };
        if let Some(promo_code) = promo_code.filter(|_| pooled) {
            let assigned = serde_json::json!({
                "redemption_id": redemption_id, "ledger_id": ledger_id, "promo_code": promo_code,
            });
            work.tell("pool.assigned", assigned);
        }
    }
    // What the reward gives beside it is no receipt of the redemption.
    work.row_kind = "reward";
    Ok(work.ledger.len())
}

/// A redemption with what it has given. Its receipts are the first rows of the ledger; without any, all of them.
fn given(before: Redemption, work: &Work<'_>, gift: &Gift<'_>, receipts: usize, now: Instant) -> Redemption {
    let line = |row: &LedgerRow| LedgerLine {
        ledger_id: row.ledger_id.clone(),
        number: row.number.clone(),
        quantity: row.quantity.unwrap_or(1),
        promo_code: row.promo_code.clone(),
    };
    let receipts = if receipts == 0 { work.ledger.len() } else { receipts };
    let redemption = Redemption {
        reward_id: Some(gift.definition.reward_id.clone()),
        quantity: gift.quantity,
        ledger: work.ledger.iter().take(receipts).map(line).collect(),
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
    let codes: Vec<&str> = gift.definition.promo_code.as_deref().into_iter().collect();
    let receipts = write_receipts(&mut work, gift, &codes, None, actor, names)?;
    give(&mut work, gift, actor)?;
    let before = Redemption {
        redemption_id: names.redemption(&rid),
        status: RedemptionStatus::Redeemed,
        kind: RedemptionKind::Gift,
        campaign: None,
        reward_id: None,
        quantity: gift.quantity,
        points_spent: None,
        goodwill_points: None,
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
        batch_id: None,
        reference: None,
    };
    let redemption = given(before, &work, gift, receipts, now);
    let mut draft = Draft::new(actor.audited.clone(), format!("redemption.{}", redemption.status.name()))
        .subject(redemption.redemption_id.clone());
    draft.reason = Some(reason.to_owned());
    Ok(work.finish(None, redemption, draft))
}
