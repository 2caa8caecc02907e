//! What holding, using and letting go write beside the hold itself: balances, ledger rows, redemptions, rewards.
//!
//! Credit leaves the wallet when it is held, so nothing else can spend it; what the order does not take comes back. A
//! code's reward, and a discount that rests, are only given when the order is placed.

use super::{Hold, Source};
use crate::audit::Draft;
use crate::ids::Mref;
use crate::reward::life::{Gift, conclude, give};
use crate::reward::recovery::follow;
use crate::reward::work::Work;
use crate::reward::{Actor, By, Changes, Refused, View};
use crate::time::Instant;
use crate::wallet::{BalanceOverflow, Cause, Entry, Names, Note, ValueSpent, return_held, spend};
use crate::wire::{Credit, LedgerLine, Redemption, RedemptionStatus, RewardDefinition, RewardState, Wallet};
use serde_json::json;

/// What the wallet's side of a hold reads.
#[derive(Clone, Copy, Debug)]
pub struct Purse<'a> {
    /// Whose.
    pub mref: Mref,
    /// What the member has.
    pub wallet: &'a Wallet,
    /// Number of the next ledger row.
    pub next_ledger_row: u64,
    /// Who acts.
    pub actor: &'a Actor,
    /// Names public ids.
    pub names: Names<'a>,
    /// When.
    pub at: Instant,
}

impl Purse<'_> {
    /// One row, the wallet after it, and what is told of both.
    fn changes(&self, wallet: Wallet, entry: Entry, kind: &str, note: Note<'_>) -> Changes {
        let cause = Cause { kind, mref: self.mref, rid: None, by: &self.actor.shown, note, at: self.at };
        let row = cause.row(entry, self.next_ledger_row, &self.names);
        let told = serde_json::to_value(&wallet).ok().map(|told| ("wallet.updated", told));
        Changes { ledger: vec![row], wallet: Some(wallet), events: told.into_iter().collect(), ..Changes::default() }
    }

    /// Credit comes back out of a hold.
    fn returned(&self, hold: &Hold, money: &Credit, ledger_id: &str) -> Result<Changes, BalanceOverflow> {
        let mut wallet = self.wallet.clone();
        let entry = return_held(&mut wallet, money)?;
        let note = Note { reverses: Some(ledger_id), order: Some(&hold.order), ..Note::default() };
        Ok(self.changes(wallet, entry, "release", note))
    }

    fn draft(&self, action: &str, hold: &Hold) -> Draft {
        let data = json!({ "order": hold.order, "applied_minor": hold.applied_minor });
        Draft::new(self.actor.audited.clone(), action).subject(self.names.hold(&hold.rid)).data(data)
    }

    /// The entry of a hold that changes nothing but itself.
    #[must_use]
    pub fn noted(&self, hold: &Hold) -> Changes {
        let action = format!("hold.{}", hold.state.name());
        Changes { audit: Some(self.draft(&action, hold)), ..Changes::default() }
    }
}

/// Takes credit out of the wallet for an order. Answers the row that says so.
///
/// # Errors
/// There is not so much; nothing is held.
pub fn take_credit(purse: &Purse<'_>, order: &str, money: &Credit) -> Result<(Changes, String), ValueSpent> {
    let mut wallet = purse.wallet.clone();
    let entry = spend(&mut wallet, "credit", Some(&money.currency), money.amount_minor)?;
    let note = Note { order: Some(order), ..Note::default() };
    let changes = purse.changes(wallet, entry, "hold", note);
    let ledger_id = changes.ledger.first().map(|row| row.ledger_id.clone()).unwrap_or_default();
    Ok((changes, ledger_id))
}

/// The order takes what it needs of held credit; what is left over comes back.
///
/// # Errors
/// The balance would leave the integers that clients keep exactly; nothing is used.
pub fn use_credit(purse: &Purse<'_>, hold: &Hold, held: &Credit, ledger_id: &str) -> Result<Changes, BalanceOverflow> {
    let amount_minor = held.amount_minor.saturating_sub(hold.applied_minor);
    let mut changes = if amount_minor > 0 {
        let left = Credit { currency: held.currency.clone(), amount_minor };
        purse.returned(hold, &left, ledger_id)?
    } else {
        Changes::default()
    };
    changes.audit = Some(purse.draft("hold.used", hold));
    Ok(changes)
}

/// Held credit comes back to the wallet.
///
/// # Errors
/// As [`use_credit`].
pub fn let_go_credit(
    purse: &Purse<'_>,
    hold: &Hold,
    held: &Credit,
    ledger_id: &str,
) -> Result<Changes, BalanceOverflow> {
    let mut changes = purse.returned(hold, held, ledger_id)?;
    changes.audit = purse.noted(hold).audit;
    Ok(changes)
}

/// The order is placed with a code: its redemption is redeemed and granted in one commit. Of credit, the wallet gets the
/// whole value, and the order takes what it needs.
///
/// # Errors
/// As [`use_credit`].
pub fn use_code(
    view: &View<'_>,
    hold: &Hold,
    (reward, quantity): (&RewardDefinition, u32),
    actor: &Actor,
    names: &Names<'_>,
    at: Instant,
) -> Result<Changes, BalanceOverflow> {
    let mut work = Work::on(view, *names, at);
    work.row_kind = "redemption";
    // Whatever the definition leaves to the player otherwise, the order uses it now.
    let given = RewardDefinition { player_should_claim: false, automatic_activation: true, ..reward.clone() };
    let gift = Gift { definition: &given, quantity, source: None, reference: None };
    give(&mut work, &gift, actor)?;
    for row in &mut work.ledger {
        row.order = Some(hold.order.clone());
        row.promo_code.clone_from(&reward.promo_code);
    }
    let line = |row: &crate::wire::LedgerRow| LedgerLine {
        ledger_id: row.ledger_id.clone(),
        number: row.number.clone(),
        quantity,
        promo_code: row.promo_code.clone(),
    };
    let receipts = work.ledger.iter().map(line).collect();
    if let super::Worth::Credit(money) = &hold.worth
        && hold.applied_minor > 0
    {
        let note = Note { order: Some(&hold.order), ..Note::default() };
        let asset = ("credit", Some(money.currency.as_str()));
        // It was put in a moment ago, in this very commit.
        work.spend(asset, hold.applied_minor, "order", actor, note).map_err(|_| BalanceOverflow)?;
    }
    let redeemed = Redemption {
        status: RedemptionStatus::Redeemed,
        ledger: receipts,
        rewards: work.rewards.iter().map(|record| record.reward.id.clone()).collect(),
        order: Some(hold.order.clone()),
        ..view.redemption.clone()
    };
    let redemption = Redemption { updated_at: at, ..follow(&redeemed, &work.rewards, at) };
    let action = format!("redemption.{}", redemption.status.name());
    Ok(work.finish(Some(view.redemption), redemption, about(hold, &action, actor, view)))
}

/// The order is placed with a discount that rested: it is given now.
///
/// # Errors
/// It rests no more.
pub fn use_reward(
    view: &View<'_>,
    index: usize,
    hold: &Hold,
    actor: &Actor,
    names: &Names<'_>,
    at: Instant,
) -> Result<Changes, Refused> {
    may_hold_reward(view, index, at)?;
    let mut work = Work::on(view, *names, at);
    work.go(index, RewardState::InProgress, By::System, actor, None)?;
    work.go(index, RewardState::Granted, By::Mechanic, &Actor::system(), None)?;
    let quantity = work.touch(index).map(|record| {
        record.reward.attempts = 1;
        record.reward.quantity
    });
    let note = Note { quantity, order: Some(&hold.order), ..Note::default() };
    work.row(Entry::without_balance(), "order", actor, note);
    Ok(conclude(view, work, index, actor, None))
}

/// Whether a discount rests, so that an order can hold or use it.
///
/// # Errors
/// Where it stands instead.
pub fn may_hold_reward(view: &View<'_>, index: usize, at: Instant) -> Result<(), Refused> {
    let Some(record) = view.rewards.get(index) else {
        return Err(Refused::illegal(RewardState::Deleted, By::Member));
    };
    if record.reward.valid_until.is_some_and(|until| until <= at) && record.state() == RewardState::PendingActivation {
        return Err(Refused::illegal(RewardState::Expired, By::Member));
    }
    if record.state() == RewardState::PendingActivation {
        return Ok(());
    }
    Err(Refused::illegal(record.state(), By::Member))
}

/// A held code is let go: its redemption is cancelled, its use given back.
#[must_use]
pub fn let_go_code(view: &View<'_>, hold: &Hold, actor: &Actor, names: &Names<'_>, at: Instant) -> Changes {
    let work = Work::on(view, *names, at);
    let redemption = Redemption { status: RedemptionStatus::Cancelled, updated_at: at, ..view.redemption.clone() };
    let mut changes = work.finish(Some(view.redemption), redemption, about(hold, "redemption.cancelled", actor, view));
    changes.give_back = view.consumed;
    changes
}

/// A held code goes to another order, or is held anew.
#[must_use]
pub fn move_code(view: &View<'_>, hold: &Hold, actor: &Actor, names: &Names<'_>, at: Instant) -> Changes {
    let work = Work::on(view, *names, at);
    let redemption = Redemption { order: Some(hold.order.clone()), updated_at: at, ..view.redemption.clone() };
    work.finish(Some(view.redemption), redemption, about(hold, "redemption.held", actor, view))
}

fn about(hold: &Hold, action: &str, actor: &Actor, view: &View<'_>) -> Draft {
    let data = json!({ "hold": hold.state, "order": hold.order, "applied_minor": hold.applied_minor });
    Draft::new(actor.audited.clone(), action).subject(view.redemption.redemption_id.clone()).data(data)
}

impl Hold {
    /// Held credit of the wallet, and the row that took it.
    #[must_use]
    pub const fn wallet_credit(&self) -> Option<(&Credit, &str)> {
        match (&self.source, &self.worth) {
            (Source::Wallet { ledger_id }, super::Worth::Credit(money)) => Some((money, ledger_id.as_str())),
            (Source::Wallet { .. } | Source::Code { .. } | Source::Reward { .. }, _) => None,
        }
    }
}
