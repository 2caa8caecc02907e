//! What a CodeShard stores, table by table as `edge/src/shard_store.rs` has it in SQL.

use crate::defect::Defect;
use crate::disk::{Fault, Stored};
use crate::due::Due;
use crate::member_state::count;
use crate::portion_store::Kept;
use counterfoil_core::calendar::{Calendar, Day};
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::BACKOFF_MAX_MS;
use counterfoil_core::protocol::portion::Meter;
use counterfoil_core::protocol::{Intent, Prepared};
use counterfoil_core::rules::{Facts, Rules, Usage};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::money;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const INQUIRIES_MAX: usize = 6;

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) seq: u32,
    pub(crate) intent: Rc<Intent>,
    pub(crate) prepared: Prepared,
    pub(crate) ask_at: Instant,
    pub(crate) tries: u32,
}

/// What a use is charged to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    pub(crate) day: Day,
    /// Empty where what was given is no money.
    pub(crate) currency: String,
    pub(crate) amount: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardState {
    pub(crate) rules: Option<Rc<Rules>>,
    pub(crate) uses: BTreeSet<(u32, Rid)>,
    pub(crate) total: u64,
    /// What each use is charged to.
    pub(crate) charges: BTreeMap<(u32, Rid), Charge>,
    /// Uses by the campaign's local day.
    pub(crate) days: BTreeMap<Day, u64>,
    /// What was given, by currency.
    pub(crate) charged: BTreeMap<String, u64>,
    /// Where several shards share the campaign's limits.
    pub(crate) portions: BTreeMap<Meter, Kept>,
    /// Uses that a checkout may still give back, and until when. Each is pending too.
    pub(crate) held: BTreeMap<(u32, Rid), Instant>,
    pub(crate) pending: BTreeMap<(Rid, Fingerprint), Pending>,
    /// Redemptions that were given back: nothing of theirs that is still on its way may take a use again.
    pub(crate) undone: BTreeSet<Rid>,
    pub(crate) due: Due,
}

impl Stored for ShardState {
    fn due(&self) -> &Due {
        &self.due
    }

    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

impl ShardState {
    pub(crate) fn version(&self) -> u32 {
        self.rules.as_ref().map_or(0, |rules| rules.version)
    }

    pub(crate) fn other_pending(&self, rid: &Rid, fp: &Fingerprint) -> bool {
        self.undone.contains(rid) || self.pending.keys().any(|(known, other)| known == rid && other != fp)
    }

    /// Uses of one code, the prepared ones included.
    pub(crate) fn uses_of(&self, seq: u32) -> impl Iterator<Item = &Rid> {
        self.uses.iter().filter(move |(used, _)| *used == seq).map(|(_, rid)| rid)
    }

    fn is_pending(&self, rid: &Rid) -> bool {
        self.pending.keys().any(|(known, _)| known == rid)
    }

    pub(crate) fn is_pending_for(&self, seq: u32, rid: &Rid) -> bool {
        self.pending.iter().any(|((known, _), pending)| known == rid && pending.seq == seq)
    }

    /// `left`: of the campaign's limits; counted here, where this is its only shard.
    pub(crate) fn usage(
        &self,
        (facts, rid): (&Facts, &Rid),
        (rules, calendar): (Option<&Rules>, &Calendar),
        left: Option<Vec<(Meter, u64)>>,
        defect: Option<Defect>,
    ) -> Usage {
        let seq = facts.seq;
        let committed_only = defect == Some(Defect::PreparedNotCounted);
        let of_seq = || self.held.iter().filter(move |((of, _), _)| *of == seq);
        let held = count(of_seq().count());
        let held_free = defect == Some(Defect::HeldNotCounted);
        let of_code = match rules.and_then(|rules| rules.uses_per_code) {
            Some(uses) => {
                let used = self.uses_of(seq).filter(|rid| !(committed_only && self.is_pending(rid))).count();
                count(used).min(uses + if held_free { 0 } else { held })
            }
            None => 0,
        };
        let of_code = if held_free { of_code.saturating_sub(held) } else { of_code };
        let mine = || self.uses_of(seq).filter(|used| used.mref() == rid.mref());
        let until_of_mine = of_seq().filter(|((_, holder), _)| holder.mref() == rid.mref());
        Usage {
            held,
            held_until: of_seq().map(|(_, until)| *until).min(),
            mine_held_until: until_of_mine.map(|(_, until)| *until).min(),
            of_code,
            mine: mine().find(|used| !self.held.contains_key(&(seq, **used))).copied(),
            mine_count: count(mine().count()),
            left: left.unwrap_or_else(|| self.left(rules, calendar, defect)),
        }
    }

    fn left(&self, rules: Option<&Rules>, calendar: &Calendar, defect: Option<Defect>) -> Vec<(Meter, u64)> {
        let needs = rules.map(|rules| rules.needs(calendar)).unwrap_or_default();
        let budget = rules.and_then(|rules| rules.budget.as_ref());
        let ignored = |meter: &Meter| match meter {
            Meter::Total => defect == Some(Defect::TotalIgnored),
            Meter::Window(..) => defect == Some(Defect::WindowIgnored),
            Meter::Budget => defect == Some(Defect::BudgetIgnored),
        };
        let kept = needs.iter().filter(|need| !ignored(&need.meter));
        kept.map(|need| (need.meter, need.limit.saturating_sub(self.taken(&need.meter, budget)))).collect()
    }

    /// Takes a use: use row, pending row, counter.
    pub(crate) fn consume(
        &mut self,
        intent: &Rc<Intent>,
        prepared: &Prepared,
        ask_at: Instant,
        twice: bool,
    ) -> Result<(), Fault> {
        let seq = intent.code().ok_or(Fault("a use of no code"))?.facts.seq;
        if !self.uses.insert((seq, intent.rid)) && !twice {
            return Err(Fault("a use was taken twice"));
        }
        let (currency, amount) = money(&prepared.reward).unwrap_or_default();
        let amount = amount.saturating_mul(u64::from(prepared.quantity));
        let charge = Charge { day: prepared.day, currency: currency.to_owned(), amount };
        self.total += 1;
        *self.days.entry(charge.day).or_default() += 1;
        *self.charged.entry(charge.currency.clone()).or_default() += amount;
        self.charges.insert((seq, intent.rid), charge);
        if let Some(checkout) = intent.checkout() {
            self.held.insert((seq, intent.rid), checkout.until);
        }
        let (intent, prepared) = (Rc::clone(intent), prepared.clone());
        let key = (intent.rid, intent.fp);
        if self.pending.insert(key, Pending { seq, intent, prepared, ask_at, tries: 0 }).is_some() && !twice {
            return Err(Fault("an intent is pending twice"));
        }
        Ok(())
    }

    /// Drops a pending row; its use stays, and is held no more.
    pub(crate) fn commit(&mut self, rid: &Rid, fp: &Fingerprint) {
        if let Some(pending) = self.pending.remove(&(*rid, *fp)) {
            self.held.remove(&(pending.seq, *rid));
        }
    }

    /// A pending use is kept for a checkout until then; the Member is asked when that is over.
    pub(crate) fn hold(&mut self, rid: &Rid, fp: &Fingerprint, until: Instant, ask_at: Instant) {
        if let Some(pending) = self.pending.get_mut(&(*rid, *fp)) {
            (pending.ask_at, pending.tries) = (ask_at, 0);
            self.held.insert((pending.seq, *rid), until);
        }
    }

    /// Drops a pending row and its use.
    pub(crate) fn give_back(
        &mut self,
        rid: &Rid,
        fp: &Fingerprint,
        now: Instant,
        defect: Option<Defect>,
    ) -> Result<(), Fault> {
        let Some(pending) = self.pending.remove(&(*rid, *fp)) else {
            return Ok(());
        };
        self.drop_use(pending.seq, rid, now, defect)
    }

    /// Drops a use, counted once: given back to the day and the money that it was charged to.
    pub(crate) fn drop_use(&mut self, seq: u32, rid: &Rid, now: Instant, defect: Option<Defect>) -> Result<(), Fault> {
        self.held.remove(&(seq, *rid));
        if !self.uses.remove(&(seq, *rid)) {
            return Ok(());
        }
        let charge = self.charges.remove(&(seq, *rid)).unwrap_or_default();
        let today = Calendar::at(now, &counterfoil_core::time::Utc).today();
        self.uncount(&charge, today, defect)?;
        self.refund(&charge, now, defect);
        Ok(())
    }

    /// Intents that have waited too long, the longest first. No pause is longer than the longest: what seems to
    /// be was planned by a clock that was ahead.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<Pending> {
        let waits = now..=now.plus_ms(BACKOFF_MAX_MS);
        let held = |pending: &Pending| self.held.contains_key(&(pending.seq, pending.intent.rid));
        let overdue = |pending: &&Pending| {
            let ahead = pending.ask_at > *waits.end() && !held(pending);
            pending.ask_at <= now || ahead
        };
        let mut overdue: Vec<&Pending> = self.pending.values().filter(overdue).collect();
        overdue.sort_by_key(|pending| pending.ask_at);
        overdue.into_iter().take(INQUIRIES_MAX).cloned().collect()
    }

    /// Has a member's pending intents asked about at once.
    pub(crate) fn ask_now(&mut self, mref: &Mref, now: Instant) {
        for (_, pending) in self.pending.iter_mut().filter(|((rid, _), _)| rid.mref() == *mref) {
            pending.ask_at = pending.ask_at.min(now);
        }
    }

    pub(crate) fn ask_again(&mut self, rid: &Rid, fp: &Fingerprint, at: Instant) {
        if let Some(pending) = self.pending.get_mut(&(*rid, *fp)) {
            pending.ask_at = at;
            pending.tries += 1;
        }
    }

    /// When a Member is asked next: after the longest pause at the latest, but for what a checkout keeps.
    pub(crate) fn next_inquiry(&self, now: Instant) -> Option<Instant> {
        let longest = now.plus_ms(BACKOFF_MAX_MS);
        let asked = |pending: &Pending| {
            let held = self.held.contains_key(&(pending.seq, pending.intent.rid));
            if held { pending.ask_at } else { pending.ask_at.min(longest) }
        };
        self.pending.values().map(asked).min()
    }
}
