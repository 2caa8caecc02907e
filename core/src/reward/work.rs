//! The changes of one commit, collected while a decision is made.

use super::machine::{By, is_legal, legal_moves};
use super::record::{Actor, Applied, RewardRecord};
use crate::audit::Draft;
use crate::ids::Rid;
use crate::limits::MOVES_KEPT;
use crate::time::Instant;
use crate::wallet::{
    BalanceOverflow, Cause, Entry, Names, Note, ValueSpent, apply, booster, put_back, spend, take_back,
};
use crate::wire::{LedgerRow, Redemption, RedemptionStatus, Reward, RewardMove, RewardState, Wallet};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a Member reads before it changes a redemption's rewards.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The redemption, decided for.
    pub redemption: &'a Redemption,
    /// Its internal name.
    pub rid: Rid,
    /// All rewards of it, by index.
    pub rewards: &'a [RewardRecord],
    /// What the member has, with running boosters.
    pub wallet: &'a Wallet,
    /// Number of the next ledger row.
    pub next_ledger_row: u64,
    /// The rows by which it was paid for, where it was.
    pub paid: &'a [LedgerRow],
    /// Features that applied rewards of other redemptions give.
    pub features_elsewhere: &'a [String],
    /// Whether the use still belongs to it.
    pub consumed: bool,
    /// The member's own id.
    pub member_id: &'a str,
    /// The member's random name.
    pub pid: &'a str,
}

/// Everything that one commit of the Member writes about a redemption and its rewards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The redemption after it, where it changed.
    pub redemption: Option<Redemption>,
    /// Rewards that changed or are new, as they stand after it.
    pub rewards: Vec<RewardRecord>,
    /// New ledger rows.
    pub ledger: Vec<LedgerRow>,
    /// The wallet after it, where it changed.
    pub wallet: Option<Wallet>,
    /// The wallet before it, where it changed: what is written is the difference.
    pub wallet_before: Option<Wallet>,
    /// The use is given back: the member's counter goes down, and the participant is told until it has heard.
    pub give_back: bool,
    /// Its promo codes go to quarantine; the pool is told until it has heard.
    pub quarantine: bool,
    /// Feed events: type and data.
    pub events: Vec<(&'static str, Value)>,
    /// The audit entry.
    pub audit: Option<Draft>,
    /// What the merchant's endpoints are told: type and data.
    pub outgoing: Vec<(String, Value)>,
}

/// Why a move or command is not made; nothing changes but what the clock changed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The state does not allow it.
    IllegalMove {
        /// Where it stands.
        state: String,
        /// What this caller may do instead.
        legal_moves: Vec<String>,
        /// It would be allowed with `unknown_outcome: true`.
        unknown_outcome: bool,
    },
    /// What was given has been spent.
    ValueSpent {
        /// How much is missing.
        short_by: u64,
    },
    /// A balance would leave the integers that clients keep exactly.
    Overflow,
    /// It was taken back before.
    AlreadyReversed,
    /// The time in which staff may take it back is over.
    ReversalWindowOver,
    /// Staff take back only what they have given.
    NotOwn,
}

impl From<BalanceOverflow> for Refused {
    fn from(_: BalanceOverflow) -> Self {
        Self::Overflow
    }
}

impl From<ValueSpent> for Refused {
    fn from(spent: ValueSpent) -> Self {
        Self::ValueSpent { short_by: spent.short_by }
    }
}

impl Refused {
    /// A reward's state does not allow it.
    #[must_use]
    pub fn illegal(from: RewardState, by: By) -> Self {
        let legal_moves = legal_moves(from, by).into_iter().map(|state| state.name().to_owned()).collect();
        Self::IllegalMove { state: from.name().to_owned(), legal_moves, unknown_outcome: false }
    }

    /// The same without one move, which this kind of reward never makes so.
    #[must_use]
    pub fn without(mut self, state: RewardState) -> Self {
        if let Self::IllegalMove { legal_moves, .. } = &mut self {
            legal_moves.retain(|name| name != state.name());
        }
        self
    }

    /// A redemption's status does not allow it.
    #[must_use]
    pub fn illegal_status(status: RedemptionStatus, legal: &[&str]) -> Self {
        let legal_moves = legal.iter().map(|name| (*name).to_owned()).collect();
        Self::IllegalMove { state: status.name().to_owned(), legal_moves, unknown_outcome: false }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Work<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) at: Instant,
    pub(crate) rid: Rid,
    /// Kind of the ledger rows that apply a value.
    pub(crate) row_kind: &'static str,
    pub(crate) rewards: Vec<RewardRecord>,
    touched: BTreeSet<usize>,
    moved: BTreeSet<usize>,
    before: &'a Wallet,
    wallet: Wallet,
    wallet_changed: bool,
    features_elsewhere: Vec<String>,
    next_row: u64,
    pub(crate) ledger: Vec<LedgerRow>,
    moves: Vec<Value>,
    told: Vec<(&'static str, Value)>,
}

impl<'a> Work<'a> {
    /// For a redemption that is being decided.
    #[must_use]
    pub fn deciding(wallet: &'a Wallet, next_row: u64, rid: Rid, names: Names<'a>, at: Instant) -> Self {
        Self {
            names,
            at,
            rid,
            row_kind: "redemption",
            rewards: vec![],
            touched: BTreeSet::new(),
            moved: BTreeSet::new(),
            before: wallet,
            wallet: wallet.clone(),
            wallet_changed: false,
            features_elsewhere: vec![],
            next_row,
            ledger: vec![],
            moves: vec![],
            told: vec![],
        }
    }

    /// For a redemption that was decided before.
    #[must_use]
    pub fn on(view: &View<'a>, names: Names<'a>, at: Instant) -> Self {
        let mut work = Self::deciding(view.wallet, view.next_ledger_row, view.rid, names, at);
        work.row_kind = "reward";
        work.rewards = view.rewards.to_vec();
        work.features_elsewhere = view.features_elsewhere.to_vec();
        work
    }

    pub(crate) fn push(&mut self, record: RewardRecord) -> usize {
        self.rewards.push(record);
        self.rewards.len() - 1
    }

    /// A reward to change; counted as changed.
    pub(crate) fn touch(&mut self, index: usize) -> Option<&mut RewardRecord> {
        self.touched.insert(index);
        self.rewards.get_mut(index)
    }

    /// Where a reward stands.
    pub(crate) fn state(&self, index: usize) -> Option<RewardState> {
        let record = self.rewards.get(index)?;
        (!record.reward.moves.is_empty()).then(|| record.state())
    }

    /// Moves a reward, logged; refused where the table does not have it.
    pub(crate) fn go(
        &mut self,
        index: usize,
        to: RewardState,
        by: By,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<(), Refused> {
        let from = self.state(index);
        if !is_legal(from, to, by) {
            return Err(Refused::illegal(from.unwrap_or(to), by));
        }
        let at = self.at;
        let Some(record) = self.touch(index) else { return Err(Refused::illegal(to, by)) };
        record.reward.state = to;
        let reason = reason.map(str::to_owned);
        record.reward.moves.push(RewardMove { from, to, at, actor: actor.shown.clone(), reason });
        // Endless retries of an endless operator must not grow a row without bound; the audit log keeps all.
        if record.reward.moves.len() > MOVES_KEPT {
            record.reward.moves.remove(MOVES_KEPT / 2);
        }
        let id = record.reward.id.clone();
        let mut logged = json!({ "reward": id, "to": to });
        if let (Some(from), Some(logged)) = (from, logged.as_object_mut()) {
            logged.insert("from".to_owned(), json!(from));
        }
        self.moves.push(logged);
        self.moved.insert(index);
        Ok(())
    }

    /// Writes a ledger row.
    pub(crate) fn row(&mut self, entry: Entry, kind: &str, actor: &Actor, note: Note<'_>) -> String {
        let rid = self.rid;
        let cause = Cause { kind, mref: rid.mref(), rid: Some(&rid), by: &actor.shown, note, at: self.at };
        let row = cause.row(entry, self.next_row, &self.names);
        self.next_row += 1;
        let id = row.ledger_id.clone();
        self.ledger.push(row);
        id
    }

    /// Takes what is there out of the wallet, with its row.
    pub(crate) fn spend(
        &mut self,
        (asset, currency): (&str, Option<&str>),
        amount: u64,
        kind: &str,
        actor: &Actor,
        note: Note<'_>,
    ) -> Result<String, ValueSpent> {
        let entry = spend(&mut self.wallet, asset, currency, amount)?;
        self.wallet_changed = true;
        Ok(self.row(entry, kind, actor, note))
    }

    /// Puts back into the wallet what was taken out, with its row.
    pub(crate) fn put_back(
        &mut self,
        (asset, currency): (&str, Option<&str>),
        amount: u64,
        kind: &str,
        actor: &Actor,
        note: Note<'_>,
    ) -> Result<String, BalanceOverflow> {
        let entry = put_back(&mut self.wallet, asset, currency, amount)?;
        self.wallet_changed = true;
        Ok(self.row(entry, kind, actor, note))
    }

    /// Tells the member's feed.
    pub(crate) fn tell(&mut self, kind: &'static str, data: Value) {
        self.told.push((kind, data));
    }

    /// Applies a reward's value to the wallet, and lets boosters run.
    pub(crate) fn apply(&mut self, index: usize, actor: &Actor) -> Result<(), BalanceOverflow> {
        let Some(record) = self.rewards.get(index).cloned() else { return Ok(()) };
        if record.mechanic.endpoint().is_none()
            && let Some(entry) = apply(&mut self.wallet, &record.reward, self.at)?
        {
            self.wallet_changed = true;
            let note = Note { quantity: Some(record.reward.quantity), ..Note::default() };
            let ledger_id = self.row(entry.clone(), self.row_kind, actor, note);
            if let Some(record) = self.touch(index) {
                record.applied = Some(Applied { ledger_id, entry });
            }
        }
        let runs_until = record.reward.duration_s.map(|seconds| self.at.plus_ms(i64::from(seconds) * 1_000));
        if let Some(record) = self.touch(index) {
            record.reward.runs_until = runs_until;
            if let Some(booster) = booster(&record.reward) {
                self.wallet.boosters.push(booster);
                self.wallet.order_boosters();
                self.wallet_changed = true;
            }
        }
        Ok(())
    }

    /// Takes back what [`Work::apply`] gave.
    pub(crate) fn unapply(
        &mut self,
        index: usize,
        kind: &str,
        actor: &Actor,
        reason: Option<&str>,
    ) -> Result<(), ValueSpent> {
        let Some(record) = self.rewards.get(index).cloned() else { return Ok(()) };
        if let Some(applied) = &record.applied {
            let elsewhere = applied.entry.feature.as_ref().is_some_and(|key| self.features_elsewhere.contains(key));
            let entry = take_back(&mut self.wallet, &applied.entry, elsewhere)?;
            self.wallet_changed = true;
            let reverses = Some(applied.ledger_id.as_str());
            let note = Note { quantity: Some(record.reward.quantity), reason, reverses, ..Note::default() };
            self.row(entry, kind, actor, note);
            if let Some(record) = self.touch(index) {
                record.applied = None;
            }
        }
        self.stop_running(index);
        Ok(())
    }

    /// A booster runs no more.
    pub(crate) fn stop_running(&mut self, index: usize) {
        let Some(record) = self.rewards.get(index) else { return };
        let Some(over) = booster(&record.reward) else { return };
        self.wallet.boosters.retain(|booster| booster.id != over.id);
        // Whoever reads the wallet may have left it out by the clock already; whoever follows the feed has not.
        self.wallet_changed = true;
    }

    /// Everything that is written. `redemption` is how it stands after, `before` how it stood; `draft` is the
    /// audit entry, to which the moves are added. One entry for each commit: what happened together is told together.
    pub(crate) fn finish(self, before: Option<&Redemption>, redemption: Redemption, draft: Draft) -> Changes {
        let changed = before != Some(&redemption);
        let status_changed = before.is_none_or(|before| before.status != redemption.status);
        let mut events = vec![];
        let mut outgoing: Vec<(String, Value)> = vec![];
        let mut push = |kind: &'static str, data: serde_json::Result<Value>| {
            if let Ok(data) = data {
                events.push((kind, data));
            }
        };
        if changed {
            push("redemption.updated", serde_json::to_value(&redemption));
        }
        if status_changed {
            let kind = format!("redemption.{}", redemption.status.name());
            outgoing.extend(serde_json::to_value(&redemption).ok().map(|data| (kind, data)));
        }
        let mut data = json!({ "redemption": redemption.redemption_id, "status": redemption.status });
        if let Some(data) = data.as_object_mut() {
            if let Some(campaign) = redemption.campaign {
                data.insert("campaign".to_owned(), campaign.into());
            }
            if let Some(refusal) = &redemption.refusal {
                data.insert("refusal".to_owned(), refusal.code().into());
            }
            if !self.moves.is_empty() {
                data.insert("moves".to_owned(), self.moves.into());
            }
            if let Some(Value::Object(more)) = draft.data {
                data.extend(more);
            }
        }
        for index in &self.moved {
            let Some(record) = self.rewards.get(*index) else { continue };
            let kind = format!("reward.{}", record.reward.state.name());
            let told = without_member_ids(&record.reward);
            outgoing.extend(serde_json::to_value(&told).ok().map(|data| (kind, data)));
        }
        let rewards: Vec<RewardRecord> =
            self.touched.iter().filter_map(|index| self.rewards.get(*index).cloned()).collect();
        for record in &rewards {
            push("reward.updated", serde_json::to_value(&record.reward));
        }
        if self.wallet_changed {
            push("wallet.updated", serde_json::to_value(&self.wallet));
        }
        events.extend(self.told);
        Changes {
            redemption: changed.then_some(redemption),
            rewards,
            ledger: self.ledger,
            wallet_before: self.wallet_changed.then(|| self.before.clone()),
            wallet: self.wallet_changed.then_some(self.wallet),
            give_back: false,
            quarantine: false,
            events,
            audit: Some(Draft { data: Some(data), ..draft }),
            outgoing,
        }
    }
}

/// A reward as it may be kept outside its Member: who the member is, is put in when it is sent.
pub(crate) fn without_member_ids(reward: &Reward) -> Reward {
    let mut told = reward.clone();
    for step in &mut told.moves {
        if step.actor.starts_with("member:") {
            step.actor = "member".to_owned();
        }
    }
    told
}
