//! What a CodeShard stores, table by table as `edge/src/shard_store.rs` has it in SQL.

use crate::defect::Defect;
use crate::disk::{Fault, Stored};
use crate::due::Due;
use crate::member_state::count;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::BACKOFF_MAX_MS;
use counterfoil_core::protocol::portion::Meter;
use counterfoil_core::protocol::{Intent, Prepared};
use counterfoil_core::rules::{Facts, Rules, Usage};
use counterfoil_core::time::Instant;
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

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardState {
    pub(crate) rules: Option<Rc<Rules>>,
    pub(crate) uses: BTreeSet<(u32, Rid)>,
    pub(crate) total: u64,
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

    pub(crate) fn usage(&self, facts: &Facts, rid: &Rid, rules: Option<&Rules>, defect: Option<Defect>) -> Usage {
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
            left: rules
                .and_then(|rules| rules.total)
                .filter(|_| defect != Some(Defect::TotalIgnored))
                .map(|total| (Meter::Total, total.saturating_sub(self.total)))
                .into_iter()
                .collect(),
        }
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
        self.total += 1;
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
    pub(crate) fn give_back(&mut self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        let Some(pending) = self.pending.remove(&(*rid, *fp)) else {
            return Ok(());
        };
        self.held.remove(&(pending.seq, *rid));
        if self.uses.remove(&(pending.seq, *rid)) {
            self.total = self.total.checked_sub(1).ok_or(Fault("the total would be negative"))?;
        }
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
