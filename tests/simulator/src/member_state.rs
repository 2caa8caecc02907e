//! What a Member stores, table by table as `edge/src/member_store.rs` has it in SQL.

use crate::defect::Defect;
use crate::disk::{Fault, Stored};
use crate::due::{Due, Item};
use counterfoil_core::audit::{Entry, NOTHING_BEFORE};
use counterfoil_core::calendar::{Calendar, Day, DayCounts};
use counterfoil_core::checkout::{Hold, Order};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{ATTEMPTS_PER_DAY, DAY_MS, DELIVERY_LOST_MS};
use counterfoil_core::protocol::member::{Attempts, Decision, Known};
use counterfoil_core::protocol::report::{Record as Reported, ReportRow, Settled, month_of};
use counterfoil_core::protocol::{Intent, Wish};
use counterfoil_core::quote::{Quote, QuoteState, displaced};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::{Changes, RewardRecord};
use counterfoil_core::time::{Instant, Utc};
use counterfoil_core::wallet::booster;
use counterfoil_core::wire::{Event, LedgerRow, Redemption, RedemptionStatus, RewardState, RewardValue, Wallet};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How long a commit leaves reporting to the request that made it, before the alarm does.
const REPORT_AFTER_MS: i64 = 5_000;

const NEGATIVE: Fault = Fault("a counter would be negative");

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) fp: Fingerprint,
    pub(crate) decided: bool,
    /// Absent for a gift.
    pub(crate) campaign: Option<u16>,
    pub(crate) seq: u32,
    /// The shard that keeps its use.
    pub(crate) shard: u32,
    /// The campaign's local day that its use is charged to.
    pub(crate) day: Day,
    /// The use belongs to it.
    pub(crate) consumed: bool,
    /// Whose promo codes it has.
    pub(crate) pool: Option<usize>,
    /// What points have bought with it.
    pub(crate) bought: Option<String>,
    pub(crate) decided_at: Instant,
    pub(crate) doc: Rc<Redemption>,
}

impl Record {
    /// Decided for, whatever became of it since.
    pub(crate) fn accepted(&self) -> bool {
        self.decided && self.doc.refusal.is_none()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) intent: Rc<Intent>,
    pub(crate) opened_at: Instant,
    pub(crate) tries: u32,
}

/// A use that is to be given back, or promo codes that go to quarantine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Undo {
    /// 0 for a pool.
    pub(crate) campaign: u16,
    pub(crate) shard: u32,
    pub(crate) seq: u32,
    pub(crate) tries: u32,
}

/// A link of the audit chain.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) entry: Entry,
    pub(crate) hash: String,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemberState {
    pub(crate) redemptions: BTreeMap<Rid, Record>,
    pub(crate) open: BTreeMap<Rid, Open>,
    /// By campaign and its local day.
    pub(crate) campaign_days: BTreeMap<(u16, Day), u64>,
    pub(crate) attempts: Vec<Instant>,
    pub(crate) wallet: Wallet,
    pub(crate) ledger: Vec<Rc<LedgerRow>>,
    pub(crate) rewards: BTreeMap<(Rid, u8), Rc<RewardRecord>>,
    /// By redemption, and by pool where it is not the shard that must hear.
    pub(crate) undo: BTreeMap<(Rid, Option<usize>), Undo>,
    pub(crate) quotes: BTreeMap<Rid, Quote>,
    pub(crate) orders: BTreeMap<String, Order>,
    /// With their numbers.
    pub(crate) holds: BTreeMap<Rid, (u64, Hold)>,
    /// Keys of holds, and what was held under them.
    pub(crate) kept: BTreeMap<String, Rid>,
    /// Keys of adjustments, and how each was answered.
    pub(crate) once: BTreeMap<String, Option<Refusal>>,
    pub(crate) chain: Vec<Rc<Link>>,
    pub(crate) outbox: BTreeMap<(String, u64), Rc<ReportRow>>,
    pub(crate) events: Vec<Rc<Event>>,
    pub(crate) due: Due,
    /// An erasure has begun and is not done.
    pub(crate) erasing: bool,
    /// Erased, and nobody has come back since.
    pub(crate) gone: bool,
    pub(crate) erased_at: Option<Instant>,
    pub(crate) erasures: u32,
    /// What was theirs before they were erased.
    pub(crate) buried: BTreeSet<Rid>,
    /// Offers that went with them: their keys stay.
    pub(crate) quotes_forgotten: BTreeSet<Rid>,
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
        self.days(campaign).iter().map(|(_, uses)| uses).sum()
    }

    pub(crate) fn days(&self, campaign: u16) -> DayCounts {
        let of = self.campaign_days.range((campaign, Day(i32::MIN))..=(campaign, Day(i32::MAX)));
        of.map(|((_, day), uses)| (*day, *uses)).collect()
    }

    /// As a decision reads them.
    pub(crate) fn counted_days(&self, campaign: u16, defect: Option<Defect>) -> DayCounts {
        let later = i32::from(defect == Some(Defect::WindowShort));
        self.days(campaign).into_iter().map(|(day, uses)| (Day(day.0 - later), uses)).collect()
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
            has_grant: !self.rewards.is_empty(),
            bar: None,
        }
    }

    pub(crate) fn add_attempt(&mut self, now: Instant) {
        self.attempts.retain(|at| *at > now.plus_ms(-DAY_MS));
        self.attempts.push(now);
    }

    /// Writes a redemption; a decided one is never overwritten. Answers whether it was written.
    fn put_redemption(
        &mut self,
        intent: &Intent,
        doc: Redemption,
        decided: bool,
        (consumed, pool): (bool, Option<usize>),
        overwrite: bool,
    ) -> bool {
        let written = match self.redemptions.get(&intent.rid) {
            None => true,
            Some(record) => overwrite || (!record.decided && record.fp == intent.fp),
        };
        if written {
            let campaign = intent.code().map(|code| code.campaign);
            let (fp, seq) = (intent.fp, intent.code().map_or(0, |code| code.facts.seq));
            let bought = match &intent.wish {
                Wish::Points(purchase) if consumed => Some(purchase.reward.reward_id.clone()),
                Wish::Points(_) | Wish::Code(_) | Wish::Gift(_) => None,
            };
            let (pool, decided_at) = (pool.filter(|_| consumed), doc.updated_at);
            let doc = Rc::new(doc);
            let day = Day::default();
            let shard = intent.code().map_or(0, |code| code.shard);
            let record = Record { fp, decided, campaign, seq, shard, day, consumed, pool, bought, decided_at, doc };
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
        if !self.put_redemption(intent, redemption, false, (false, None), false) {
            return Err(Fault("a decided redemption cannot be opened"));
        }
        Ok(self.add_events([("redemption.updated", None)], at))
    }

    /// Writes everything a decision says.
    pub(crate) fn apply(
        &mut self,
        intent: &Intent,
        mut decision: Decision,
        (pool, settled): (Option<usize>, Vec<Settled>),
        pid: &str,
        now: Instant,
        defect: Option<Defect>,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        let overwrite = defect == Some(Defect::DecidedOverwritten);
        let consumed = decision.consumes.is_some();
        if let Some(redemption) = decision.changes.redemption.clone()
            && !self.put_redemption(intent, redemption, true, (consumed, pool), overwrite)
        {
            return Err(Fault("a redemption was decided twice"));
        }
        self.open.remove(&intent.rid);
        if decision.attempt {
            self.add_attempt(now);
        }
        let give_back = std::mem::take(&mut decision.changes.give_back);
        if let Some(code) = intent.code() {
            if let Some(day) = decision.consumes {
                let counted = if defect == Some(Defect::CountedByCode) { 0 } else { code.campaign };
                *self.campaign_days.entry((counted, day)).or_default() += 1;
                if let Some(record) = self.redemptions.get_mut(&intent.rid) {
                    record.day = day;
                }
            }
            if give_back {
                // Nothing was decided for, so nothing was counted; but a participant may have prepared it.
                let undo = Undo { campaign: code.campaign, shard: code.shard, seq: code.facts.seq, tries: 0 };
                self.add_undo(&intent.rid, None, undo, now);
            }
        }
        if let Some(quote) = &decision.quote_confirmed {
            self.confirm_quote(quote, defect)?;
        }
        if let (Some(hold), Some(checkout)) = (&decision.hold, intent.checkout()) {
            self.add_hold(hold, &checkout.total(), now, defect);
        }
        self.write_effects(decision.changes, pid, settled, now, defect)
    }

    /// Writes the changes to a decided redemption.
    pub(crate) fn write(
        &mut self,
        rid: &Rid,
        changes: Changes,
        pid: &str,
        now: Instant,
        defect: Option<Defect>,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        self.write_settling(rid, changes, vec![], pid, now, defect)
    }

    /// As [`MemberState::write`], with what participants are told.
    pub(crate) fn write_settling(
        &mut self,
        rid: &Rid,
        changes: Changes,
        settled: Vec<Settled>,
        pid: &str,
        now: Instant,
        defect: Option<Defect>,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        let (mut undo, mut pool) = (None, None);
        let record = self.redemptions.get_mut(rid).filter(|record| record.decided);
        if let Some(record) = record {
            if let Some(redemption) = &changes.redemption {
                record.doc = Rc::new(redemption.clone());
            }
            if changes.give_back && (record.consumed || defect == Some(Defect::UseReturnedTwice)) {
                record.consumed = false;
                let of = |campaign| Undo { campaign, shard: record.shard, seq: record.seq, tries: 0 };
                undo = record.campaign.map(|campaign| (record.day, of(campaign)));
            }
            pool = record.pool.filter(|_| changes.quarantine && defect != Some(Defect::PoolUndoForgotten));
        } else if changes.redemption.is_some() {
            return Err(Fault("a redemption is missing"));
        }
        if let Some((day, undo)) = undo {
            if defect != Some(Defect::CounterKept) {
                let now_day = Calendar::at(now, &Utc).today();
                let other = defect == Some(Defect::DayNow);
                let uses = self.campaign_days.entry((undo.campaign, if other { now_day } else { day })).or_default();
                *uses = if other { uses.saturating_sub(1) } else { uses.checked_sub(1).ok_or(NEGATIVE)? };
            }
            if defect != Some(Defect::UseNotGivenBack) {
                self.add_undo(rid, None, undo, now);
            }
        }
        if pool.is_some() {
            self.add_undo(rid, pool, Undo { campaign: 0, shard: 0, seq: 0, tries: 0 }, now);
        }
        self.write_effects(changes, pid, settled, now, defect)
    }

    /// A gift: decided in one commit, by nobody but its Member.
    pub(crate) fn give(
        &mut self,
        rid: &Rid,
        fp: Fingerprint,
        changes: Changes,
        pid: &str,
        now: Instant,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        if self.redemptions.contains_key(rid) {
            return Err(Fault("a redemption was decided twice"));
        }
        let doc = Rc::new(changes.redemption.clone().ok_or(Fault("a gift without a redemption"))?);
        let record = Record {
            fp,
            decided: true,
            campaign: None,
            seq: 0,
            shard: 0,
            day: Day::default(),
            consumed: true,
            pool: None,
            bought: None,
            decided_at: now,
            doc,
        };
        self.redemptions.insert(*rid, record);
        self.write_effects(changes, pid, vec![], now, None)
    }

    fn add_undo(&mut self, rid: &Rid, pool: Option<usize>, undo: Undo, now: Instant) {
        self.undo.entry((*rid, pool)).or_insert(undo);
        self.due.plan(Item::Undo(*rid), now, now);
    }

    pub(crate) fn undos(&self, rid: &Rid) -> Vec<(Option<usize>, Undo)> {
        self.undo.range((*rid, None)..=(*rid, Some(usize::MAX))).map(|((_, pool), undo)| (*pool, *undo)).collect()
    }

    /// Writes an offer in place of an earlier one of the same reward.
    pub(crate) fn add_quote(&mut self, quote: Quote, now: Instant, defect: Option<Defect>) {
        let same = |known: &&mut Quote| known.reward.reward_id == quote.reward.reward_id;
        let open = |known: &&mut Quote| known.state == QuoteState::Open && defect != Some(Defect::OfferKept);
        for earlier in self.quotes.values_mut().filter(same).filter(open) {
            earlier.state = displaced(earlier, now);
        }
        self.quotes.insert(quote.rid, quote);
    }

    fn confirm_quote(&mut self, rid: &Rid, defect: Option<Defect>) -> Result<(), Fault> {
        if defect == Some(Defect::OfferFromMemory) {
            self.quotes.entry(*rid).and_modify(|quote| quote.state = QuoteState::Confirmed);
            return Ok(());
        }
        if defect == Some(Defect::OfferUnmarked) {
            return Ok(());
        }
        let quote = self.quotes.get_mut(rid).filter(|quote| quote.state == QuoteState::Open);
        quote.ok_or(Fault("a quote was confirmed twice"))?.state = QuoteState::Confirmed;
        Ok(())
    }

    /// When points last bought this reward; what was taken back since does not count.
    pub(crate) fn last_bought_at(&self, reward_id: &str) -> Option<Instant> {
        let bought = self.redemptions.values().filter(|record| record.bought.as_deref() == Some(reward_id));
        let kept = bought
            .filter(|record| !matches!(record.doc.status, RedemptionStatus::Reversed | RedemptionStatus::Cancelled));
        kept.map(|record| record.decided_at).max()
    }

    /// The rows by which a redemption was paid for.
    pub(crate) fn paid(&self, redemption: &Redemption) -> Vec<LedgerRow> {
        if redemption.points_spent.is_none() {
            return vec![];
        }
        let lines = redemption.ledger.iter().map(|line| &line.ledger_id);
        lines.filter_map(|id| self.ledger.iter().find(|row| row.ledger_id == *id)).map(|row| (**row).clone()).collect()
    }

    /// Rewards, ledger, wallet, feed and audit.
    pub(crate) fn write_effects(
        &mut self,
        changes: Changes,
        pid: &str,
        settled: Vec<Settled>,
        now: Instant,
        defect: Option<Defect>,
    ) -> Result<Vec<Rc<Event>>, Fault> {
        for mut record in changes.rewards {
            if defect == Some(Defect::NoticeForgotten) {
                record.delivery.notice = None;
            }
            let key = (record.rid, record.index);
            // What a clock that was ahead has written is looked at now.
            let ahead = record.reward.moves.last().is_some_and(|step| step.at > now.plus_ms(DELIVERY_LOST_MS));
            let due_at = record.due_at().map(|at| if ahead { at.min(now) } else { at });
            self.rewards.insert(key, Rc::new(record));
            match due_at {
                Some(_) if defect == Some(Defect::DeliveryUnplanned) => {}
                Some(at) => self.due.plan(Item::Reward(key.0, key.1), at, now),
                None => self.due.done(Item::Reward(key.0, key.1)),
            }
        }
        if let Some(wallet) = changes.wallet {
            // Boosters are the rewards that run.
            self.wallet = Wallet { boosters: vec![], ..wallet };
        }
        for row in changes.ledger {
            // UNIQUE (id): a row that is written twice fails the whole commit.
            if self.ledger.iter().any(|known| known.ledger_id == row.ledger_id) {
                return Err(Fault("a ledger row was written twice"));
            }
            // UNIQUE: what was taken is returned once, whoever writes it.
            let returned = |known: &Rc<LedgerRow>| known.kind == row.kind && known.reverses == row.reverses;
            let again = row.reverses.is_some() && row.kind == "reversal" && self.ledger.iter().any(returned);
            if again && defect != Some(Defect::ReturnedTwice) {
                return Err(Fault("a ledger row was returned twice"));
            }
            self.ledger.push(Rc::new(row));
        }
        if let Some(draft) = changes.audit.filter(|_| defect != Some(Defect::AuditSkipped)) {
            let (n, prev, at) = match self.chain.last() {
                Some(last) => (last.entry.n + 1, last.hash.clone(), now.max(last.entry.at)),
                None => (1, NOTHING_BEFORE.to_owned(), now),
            };
            let prev = if defect == Some(Defect::ChainUnlinked) { NOTHING_BEFORE.to_owned() } else { prev };
            let entry = Entry::chain(&prev, &format!("member/{pid}"), n, at, &draft);
            let hash = entry.hash();
            let link = Rc::new(Link { entry: entry.clone(), hash: hash.clone() });
            self.chain.push(link);
            let record = changes.redemption.map(|redemption| Reported {
                redemption,
                pid: pid.to_owned(),
                tester: false,
                seq: None,
            });
            self.add_report(
                ReportRow {
                    n,
                    entry: Some(entry),
                    hash,
                    tester: false,
                    record,
                    events: vec![],
                    settled,
                    took: None,
                    claim: None,
                },
                at,
                now,
            );
        }
        Ok(self.add_events(changes.events.into_iter().map(|(kind, data)| (kind, Some(data))), now))
    }

    fn add_report(&mut self, mut row: ReportRow, at: Instant, now: Instant) {
        let (n, month) = (row.n, month_of(at));
        let begun = row.record.as_ref().map(|record| month_of(record.redemption.created_at));
        if let Some(begun) = begun.filter(|begun| *begun != month) {
            let record = row.record.take();
            let elsewhere = ReportRow {
                n,
                entry: None,
                hash: String::new(),
                tester: false,
                record,
                events: vec![],
                settled: vec![],
                took: None,
                claim: None,
            };
            self.outbox.insert((begun, n), Rc::new(elsewhere));
        }
        self.outbox.insert((month, n), Rc::new(row));
        if !self.due.is_planned(Item::Report) {
            self.due.plan(Item::Report, now.plus_ms(REPORT_AFTER_MS), now);
        }
    }

    /// What the member has, with the boosters that run.
    pub(crate) fn wallet_at(&self, now: Instant, defect: Option<Defect>) -> Wallet {
        let mut wallet = self.wallet.clone();
        let for_ever = defect == Some(Defect::BoosterForEver);
        let runs = |state| state == RewardState::Granted || (for_ever && state == RewardState::Complete);
        let running = self.rewards.values().filter(|held| runs(held.state()));
        wallet.boosters = running.filter_map(|held| booster(&held.reward)).collect();
        if for_ever {
            wallet.boosters.iter_mut().for_each(|booster| booster.runs_until = booster.runs_until.plus_ms(DAY_MS));
        }
        wallet.boosters.retain(|booster| booster.runs_until > now);
        wallet.boosters.sort_by_key(|booster| booster.runs_until);
        if defect == Some(Defect::BoosterTwice) {
            for booster in &mut wallet.boosters {
                booster.multiplier_permille = booster.multiplier_permille.pow(2) / 1_000;
            }
        }
        wallet
    }

    /// The rewards of a redemption, by index.
    pub(crate) fn held(&self, rid: &Rid) -> Vec<RewardRecord> {
        self.rewards.range((*rid, 0)..=(*rid, u8::MAX)).map(|(_, record)| (**record).clone()).collect()
    }

    /// Features that applied rewards of other redemptions give.
    pub(crate) fn features_elsewhere(&self, rid: &Rid) -> Vec<String> {
        let others = self.rewards.values().filter(|record| record.rid != *rid && record.applied.is_some());
        others
            .filter_map(|record| match &record.reward.value {
                RewardValue::Feature { key } => Some(key.clone()),
                RewardValue::Credit { .. }
                | RewardValue::Amount { .. }
                | RewardValue::Percent { .. }
                | RewardValue::Booster { .. }
                | RewardValue::Reference { .. } => None,
            })
            .collect()
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
