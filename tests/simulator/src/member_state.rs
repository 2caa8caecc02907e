//! What a Member stores, table by table as `edge/src/member_store.rs` has it in SQL.

use crate::defect::Defect;
use crate::disk::{Fault, Stored};
use crate::due::Due;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{ATTEMPTS_PER_DAY, DAY_MS};
use counterfoil_core::protocol::Intent;
use counterfoil_core::protocol::member::{Attempts, Decision, Known};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Event, LedgerRow, Redemption, RedemptionStatus, Reward, Wallet};
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) fp: Fingerprint,
    pub(crate) decided: bool,
    pub(crate) campaign: u16,
    pub(crate) doc: Rc<Redemption>,
}

impl Record {
    pub(crate) fn granted(&self) -> bool {
        self.decided && self.doc.status == RedemptionStatus::Granted
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) intent: Rc<Intent>,
    pub(crate) opened_at: Instant,
    pub(crate) tries: u32,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberState {
    pub(crate) redemptions: BTreeMap<Rid, Record>,
    pub(crate) open: BTreeMap<Rid, Open>,
    pub(crate) campaign_uses: BTreeMap<u16, u64>,
    pub(crate) attempts: Vec<Instant>,
    pub(crate) wallet: Wallet,
    pub(crate) ledger: Vec<Rc<LedgerRow>>,
    pub(crate) rewards: Vec<Rc<Reward>>,
    pub(crate) events: Vec<Rc<Event>>,
    pub(crate) due: Due,
    /// Only for [`Defect::FeedFromMemory`]: the last number as the running object remembers it.
    pub(crate) remembered: Option<u64>,
}

impl Stored for MemberState {
    fn due(&self) -> &Due {
        &self.due
    }

    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

impl MemberState {
    pub(crate) fn known(&self, rid: &Rid) -> Known {
        match self.redemptions.get(rid) {
            None => Known::Absent,
            Some(record) if record.decided => Known::Decided(record.fp),
            Some(record) => Known::Open(record.fp),
        }
    }

    pub(crate) fn redemption(&self, rid: &Rid) -> Option<Rc<Redemption>> {
        self.redemptions.get(rid).map(|record| Rc::clone(&record.doc))
    }

    pub(crate) fn uses(&self, campaign: u16) -> u64 {
        self.campaign_uses.get(&campaign).copied().unwrap_or(0)
    }

    pub(crate) fn next_ledger_row(&self) -> u64 {
        count(self.ledger.len()) + 1
    }

    pub(crate) fn attempts(&self, now: Instant) -> Attempts {
        let since = now.plus_ms(-DAY_MS);
        let mut latest: Vec<Instant> = self.attempts.iter().copied().filter(|at| *at > since).collect();
        latest.sort_unstable_by(|a, b| b.cmp(a));
        latest.truncate(usize::try_from(ATTEMPTS_PER_DAY).unwrap_or(usize::MAX));
        Attempts {
            in_window: u32::try_from(latest.len()).unwrap_or(u32::MAX),
            earliest: latest.last().copied(),
            allowed: ATTEMPTS_PER_DAY,
            has_grant: self.redemptions.values().any(Record::granted),
        }
    }

    pub(crate) fn add_attempt(&mut self, now: Instant) {
        self.attempts.retain(|at| *at > now.plus_ms(-DAY_MS));
        self.attempts.push(now);
    }

    /// Writes a redemption; a decided one is never overwritten. Answers whether it was written.
    fn put_redemption(&mut self, intent: &Intent, doc: Redemption, decided: bool, overwrite: bool) -> bool {
        let written = match self.redemptions.get(&intent.rid) {
            None => true,
            Some(record) => overwrite || (!record.decided && record.fp == intent.fp),
        };
        if written {
            let record = Record { fp: intent.fp, decided, campaign: intent.campaign, doc: Rc::new(doc) };
            self.redemptions.insert(intent.rid, record);
        }
        written
    }

    /// Keeps an accepted redemption: the row that drives it, its record, its event.
    pub(crate) fn open(
        &mut self,
        intent: &Rc<Intent>,
        redemption: Redemption,
        tries: u32,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        let opened_at = redemption.created_at;
        let open = self.open.entry(intent.rid).or_insert(Open { intent: Rc::clone(intent), opened_at, tries });
        (open.intent, open.tries) = (Rc::clone(intent), tries);
        let at = redemption.updated_at;
        // The simulator compares records, so an event of an undecided one needs no data of its own.
        if !self.put_redemption(intent, redemption, false, false) {
            return Err(Fault("a decided redemption cannot be opened"));
        }
        Ok(self.add_events([("redemption.updated", None)], at))
    }

    /// Writes everything a decision says.
    pub(crate) fn apply(
        &mut self,
        intent: &Intent,
        decision: Decision,
        now: Instant,
        defect: Option<Defect>,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        let overwrite = defect == Some(Defect::DecidedOverwritten);
        if let Some(redemption) = decision.redemption
            && !self.put_redemption(intent, redemption, true, overwrite)
        {
            return Err(Fault("a redemption was decided twice"));
        }
        self.open.remove(&intent.rid);
        if decision.attempt {
            self.add_attempt(now);
        }
        if let Some(wallet) = decision.wallet {
            self.wallet = wallet;
        }
        if let Some(uses) = decision.member_uses {
            self.campaign_uses.insert(intent.campaign, uses);
        }
        for row in decision.ledger {
            // UNIQUE (id): a second row of one redemption fails the whole commit.
            if !overwrite && self.ledger.iter().any(|known| known.ledger_id == row.ledger_id) {
                return Err(Fault("a ledger row was written twice"));
            }
            self.ledger.push(Rc::new(row));
        }
        for reward in decision.rewards {
            if !overwrite && self.rewards.iter().any(|known| known.id == reward.id) {
                return Err(Fault("a reward was written twice"));
            }
            self.rewards.push(Rc::new(reward));
        }
        Ok(self.add_events(decision.events.into_iter().map(|(kind, data)| (kind, Some(data))), now))
    }

    fn add_events(
        &mut self,
        events: impl IntoIterator<Item = (&'static str, Option<Json>)>,
        at: Instant,
    ) -> Vec<Rc<Event>> {
        let from = self.events.len();
        for (kind, data) in events {
            let seq = self.remembered.unwrap_or_else(|| self.events.last().map_or(0, |event| event.seq)) + 1;
            self.remembered = self.remembered.map(|_| seq);
            let event = Event { seq, at, kind: kind.to_owned(), data: data.unwrap_or_default() };
            self.events.push(Rc::new(event));
        }
        self.events.iter().skip(from).map(Rc::clone).collect()
    }
}

type Json = serde_json::Value;

/// A length as the protocol counts.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
