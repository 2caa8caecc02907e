//! What a Pool stores, table by table as `edge/src/pool_store.rs` has it in SQL.

use crate::defect::Defect;
use crate::disk::{Fault, Stored};
use crate::due::Due;
use crate::member_state::count;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::BACKOFF_MAX_MS;
use counterfoil_core::protocol::Intent;
use counterfoil_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const INQUIRIES_MAX: usize = 6;

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) intent: Rc<Intent>,
    pub(crate) ask_at: Instant,
    pub(crate) tries: u32,
}

/// Codes of each kind, counted in the commit that changes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) free: u64,
    pub(crate) used: u64,
    pub(crate) quarantined: u64,
    /// Number of the first code that nobody ever had.
    pub(crate) next: usize,
    /// Whether the present crossing of the threshold was told.
    pub(crate) told: bool,
    pub(crate) lows: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolState {
    /// In the order of their numbers, from 0.
    pub(crate) codes: Vec<String>,
    pub(crate) taken: BTreeMap<usize, Rid>,
    /// Free codes before `counters.next`.
    pub(crate) returned: BTreeSet<usize>,
    pub(crate) quarantine: BTreeMap<usize, Rid>,
    pub(crate) counters: Counters,
    pub(crate) pending: BTreeMap<(Rid, Fingerprint), Pending>,
    /// Redemptions that were given back.
    pub(crate) undone: BTreeSet<Rid>,
    pub(crate) due: Due,
}

impl Stored for PoolState {
    fn due(&self) -> &Due {
        &self.due
    }

    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

impl PoolState {
    pub(crate) fn is_pending(&self, rid: &Rid) -> bool {
        self.pending.keys().any(|(known, _)| known == rid)
    }

    /// Numbers of the codes that a redemption has.
    pub(crate) fn numbers(&self, rid: &Rid) -> Vec<usize> {
        self.taken.iter().filter(|(_, owner)| *owner == rid).map(|(n, _)| *n).collect()
    }

    pub(crate) fn codes_of(&self, rid: &Rid) -> Vec<String> {
        self.numbers(rid).into_iter().filter_map(|n| self.codes.get(n).cloned()).collect()
    }

    /// Takes codes for a redemption: those that came back first, then fresh ones.
    pub(crate) fn take(
        &mut self,
        intent: &Rc<Intent>,
        quantity: u32,
        ask_at: Instant,
        defect: Option<Defect>,
    ) -> Result<Vec<String>, Fault> {
        let wanted = usize::try_from(quantity).unwrap_or(0);
        let mut numbers: Vec<usize> = self.returned.iter().copied().take(wanted).collect();
        if defect != Some(Defect::ReturnedKept) {
            self.returned.retain(|n| !numbers.contains(n));
        }
        let from = self.counters.next;
        let until = from + (wanted - numbers.len());
        if until > self.codes.len() {
            if defect != Some(Defect::PoolPartly) {
                return Err(Fault("a pool counts more free codes than it has"));
            }
            numbers.extend(from..self.codes.len());
            self.counters.next = self.codes.len();
        } else {
            numbers.extend(from..until);
            self.counters.next = until;
        }
        for n in &numbers {
            // PRIMARY KEY (n): one code never belongs to two.
            if self.taken.insert(*n, intent.rid).is_some() {
                return Err(Fault("a promo code was taken twice"));
            }
        }
        let taken = count(numbers.len());
        self.counters.free = self.counters.free.checked_sub(taken).ok_or(Fault("free would be negative"))?;
        self.counters.used += taken;
        let pending = Pending { intent: Rc::clone(intent), ask_at, tries: 0 };
        self.pending.insert((intent.rid, intent.fp), pending);
        Ok(numbers.into_iter().filter_map(|n| self.codes.get(n).cloned()).collect())
    }

    /// Drops a pending row; its codes stay.
    pub(crate) fn commit(&mut self, rid: &Rid, fp: &Fingerprint) {
        self.pending.remove(&(*rid, *fp));
    }

    /// Drops a pending row, and its codes are free again.
    pub(crate) fn give_back(&mut self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        self.commit(rid, fp);
        let numbers = self.numbers(rid);
        for n in &numbers {
            self.taken.remove(n);
            self.returned.insert(*n);
        }
        let back = count(numbers.len());
        self.counters.free += back;
        self.counters.used = self.counters.used.checked_sub(back).ok_or(Fault("used would be negative"))?;
        Ok(())
    }

    /// Moves the codes of a redemption to quarantine, or by mistake back to the free ones.
    pub(crate) fn quarantine(&mut self, rid: &Rid, defect: Option<Defect>) -> Result<(), Fault> {
        let numbers = self.numbers(rid);
        let moved = count(numbers.len());
        for n in numbers {
            self.taken.remove(&n);
            if defect == Some(Defect::QuarantineSkipped) {
                self.returned.insert(n);
            } else {
                self.quarantine.insert(n, *rid);
            }
        }
        self.counters.used = self.counters.used.checked_sub(moved).ok_or(Fault("used would be negative"))?;
        match defect {
            Some(Defect::QuarantineSkipped) => self.counters.free += moved,
            Some(Defect::QuarantineUncounted) => {}
            Some(_) | None => self.counters.quarantined += moved,
        }
        Ok(())
    }

    /// Adds codes that are not there yet.
    pub(crate) fn add(&mut self, codes: &[String], defect: Option<Defect>) {
        for code in codes {
            if defect == Some(Defect::DuplicateAdded) || !self.codes.contains(code) {
                self.codes.push(code.clone());
                self.counters.free += 1;
            } else if defect == Some(Defect::DuplicateCounted) {
                self.counters.free += 1;
            }
        }
    }

    /// An operator says that what is in quarantine can be handed out again.
    pub(crate) fn release(&mut self) {
        self.returned.extend(self.quarantine.keys());
        self.counters.free += std::mem::take(&mut self.counters.quarantined);
        self.quarantine.clear();
    }

    /// Intents that have waited too long, the longest first.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<Pending> {
        let waits = now..=now.plus_ms(BACKOFF_MAX_MS);
        let overdue = |pending: &&Pending| pending.ask_at == now || !waits.contains(&pending.ask_at);
        let mut overdue: Vec<&Pending> = self.pending.values().filter(overdue).collect();
        overdue.sort_by_key(|pending| pending.ask_at);
        overdue.into_iter().take(INQUIRIES_MAX).cloned().collect()
    }

    pub(crate) fn ask_again(&mut self, rid: &Rid, fp: &Fingerprint, at: Instant) {
        if let Some(pending) = self.pending.get_mut(&(*rid, *fp)) {
            pending.ask_at = at;
            pending.tries += 1;
        }
    }

    pub(crate) fn next_inquiry(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.ask_at).min()
    }
}
