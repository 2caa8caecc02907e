//! A member is erased: what is under way ends, what they have is forfeited by ledger rows, and rows that must stay say no
//! more who they were. What they have used stays used, so that limits are not reset.

use super::machine::By;
use super::record::{Actor, Notice, RewardRecord};
use super::work::{Changes, Refused, View, Work};
use crate::audit::Draft;
use crate::ids::Mref;
use crate::time::Instant;
use crate::wallet::{Cause, Entry, Names, Note, ValueSpent, spend};
use crate::wire::{LedgerRow, RedemptionStatus, RewardState, Wallet};

/// How rows name a member who was erased.
pub const ERASED: &str = "erased";

/// The answer to whoever wants something of what was theirs: it ended with them.
#[must_use]
pub fn over() -> Refused {
    Refused::IllegalMove { state: ERASED.to_owned(), legal_moves: vec![], unknown_outcome: false }
}

/// Ends what is unfinished of a redemption and its rewards; `None` where nothing is. Nothing is taken out of the wallet here:
/// what is in it is forfeited afterwards.
#[must_use]
pub fn end(
    view: &View<'_>,
    (actor, reason): (&Actor, Option<&str>),
    names: &Names<'_>,
    at: Instant,
) -> Option<Changes> {
    let mut work = Work::on(view, *names, at);
    let mut ended = false;
    for (index, record) in view.rewards.iter().enumerate() {
        ended |= is_unfinished(record) && end_one(&mut work, index, actor, reason);
    }
    let mut redemption = view.redemption.clone();
    let unfinished = matches!(
        redemption.status,
        RedemptionStatus::Redeemed | RedemptionStatus::Granting | RedemptionStatus::GrantFailed
    );
    if !ended && !unfinished {
        return None;
    }
    if unfinished {
        redemption.status = RedemptionStatus::Cancelled;
        redemption.next_attempt_at = None;
        redemption.updated_at = at;
    }
    let draft = Draft::new(actor.audited.clone(), "redemption.ended").subject(redemption.redemption_id.clone());
    let mut changes = work.finish(Some(view.redemption), redemption, draft.reason(reason));
    changes.quarantine = unfinished;
    Some(changes)
}

/// Whether something may still become of it, or is running.
fn is_unfinished(record: &RewardRecord) -> bool {
    match record.state() {
        RewardState::Unclaimed | RewardState::PendingActivation | RewardState::InProgress | RewardState::Failed => true,
        RewardState::Granted => record.reward.runs_until.is_some(),
        RewardState::Complete
        | RewardState::Expired
        | RewardState::Declined
        | RewardState::Deleted
        | RewardState::Bounced => false,
    }
}

fn end_one(work: &mut Work<'_>, index: usize, actor: &Actor, reason: Option<&str>) -> bool {
    if work.state(index) == Some(RewardState::InProgress)
        && work.go(index, RewardState::Failed, By::Operator, actor, reason).is_err()
    {
        return false;
    }
    if work.go(index, RewardState::Deleted, By::Administrator, actor, reason).is_err() {
        return false;
    }
    work.stop_running(index);
    let at = work.at;
    if let Some(record) = work.touch(index) {
        record.rest();
        // A fulfiller that may have heard of it is told that it is over.
        if record.delivery.sent {
            record.delivery.notice = Some(Notice { tries: 0, next_at: at });
        }
    }
    true
}

/// Forfeits everything that is in a wallet, each balance by a row of its own.
///
/// # Errors
/// [`ValueSpent`]: the wallet holds less than it says, which is a defect elsewhere.
pub fn forfeit(
    (wallet, next_ledger_row): (&Wallet, u64),
    mref: Mref,
    (actor, reason): (&Actor, Option<&str>),
    names: &Names<'_>,
    at: Instant,
) -> Result<Changes, ValueSpent> {
    let mut after = wallet.clone();
    let mut entries = vec![];
    for (asset, amount) in [("points", wallet.points), ("xp", wallet.xp), ("tokens", wallet.tokens)] {
        if amount > 0 {
            entries.push(spend(&mut after, asset, None, amount)?);
        }
    }
    for credit in wallet.credit.iter().filter(|credit| credit.amount_minor > 0) {
        entries.push(spend(&mut after, "credit", Some(&credit.currency), credit.amount_minor)?);
    }
    for key in core::mem::take(&mut after.features) {
        let (asset, feature) = ("feature".to_owned(), Some(key));
        entries.push(Entry { asset, currency: None, feature, amount: -1, balance_after: 0 });
    }
    after.boosters.clear();
    let rows = entries.into_iter().zip(next_ledger_row..).map(|(entry, number)| {
        let note = Note { reason, ..Note::default() };
        Cause { kind: "forfeit", mref, rid: None, by: &actor.shown, note, at }.row(entry, number, names)
    });
    let ledger: Vec<LedgerRow> = rows.collect();
    let told = |row: &LedgerRow| {
        let asset =
            row.currency.as_ref().map_or_else(|| row.asset.clone(), |currency| format!("{} {currency}", row.asset));
        serde_json::json!({ "asset": asset, "amount": row.amount })
    };
    let draft = Draft::new(actor.audited.clone(), "member.erased").reason(reason);
    let draft = draft.data(serde_json::json!({ "forfeited": ledger.iter().map(told).collect::<Vec<_>>() }));
    Ok(Changes {
        ledger,
        wallet_before: Some(wallet.clone()),
        wallet: Some(after),
        audit: Some(draft),
        ..Changes::default()
    })
}

/// A reward without a word about who had it.
#[must_use]
pub fn anonymous(mut record: RewardRecord) -> RewardRecord {
    // What it gave was forfeited: nothing of it can be taken back any more.
    record.applied = None;
    record.reward.fulfilment = None;
    record.reward.last_error = None;
    record.reward.reference = None;
    for step in &mut record.reward.moves {
        step.reason = None;
        if step.actor.starts_with("member:") {
            step.actor = format!("member:{ERASED}");
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdKey;
    use crate::keys::MerchantId;
    use crate::wire::Credit;

    #[test]
    fn everything_is_forfeited_by_rows() {
        let key = IdKey::new(vec![7; 32]).unwrap();
        let merchant = MerchantId::new("acme").unwrap();
        let names = Names { key: &key, merchant: &merchant };
        let credit = |currency: &str, amount_minor| Credit { currency: currency.to_owned(), amount_minor };
        let wallet = Wallet {
            points: 70,
            xp: 0,
            tokens: 3,
            credit: vec![credit("EUR", 250), credit("USD", 0)],
            features: vec!["dark".to_owned(), "vip".to_owned()],
            ..Wallet::default()
        };
        let actor = Actor::named("admin:al");
        let mref = key.mref(&merchant, "ann");
        let changes = forfeit((&wallet, 9), mref, (&actor, Some("asked")), &names, Instant(5)).unwrap();
        let rows: Vec<_> = changes
            .ledger
            .iter()
            .map(|row| (row.asset.as_str(), row.currency.as_deref(), row.amount, row.balance_after))
            .collect();
        assert_eq!(
            rows,
            [
                ("points", None, -70, 0),
                ("tokens", None, -3, 0),
                ("credit", Some("EUR"), -250, 0),
                ("feature", None, -1, 0),
                ("feature", None, -1, 0),
            ]
        );
        let after = changes.wallet.unwrap();
        assert_eq!((after.points, after.tokens, after.features.len()), (0, 0, 0));
        assert!(after.credit.iter().all(|credit| credit.amount_minor == 0));
        assert!(changes.audit.unwrap().data.unwrap()["forfeited"].as_array().unwrap().len() == 5);
        let again = forfeit((&after, 14), mref, (&actor, None), &names, Instant(6)).unwrap();
        assert!(again.ledger.is_empty());
    }
}
