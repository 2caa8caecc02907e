//! The invariants, checked on what is durable after every commit, on every answer, and at the end.

use crate::campaign_state::CampaignState;
use crate::due::{Due, Item};
use crate::member::place;
use crate::member_run::OVERFLOW;
use crate::member_state::{MemberState, count};
use crate::message::{Answer, Party, RedeemCall, Reply, Request};
use crate::outcome::Violation;
use crate::scenario::{ISSUED_FIRST, Scenario, What};
use crate::shard_state::ShardState;
use crate::world::World;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{BACKOFF_MAX_MS, INQUIRE_AFTER_MS};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Redemption, RedemptionStatus};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The safety net of an alarm is this far ahead.
const NET_MS: i64 = 30_000;

/// One command that some client gives under a key.
struct Command {
    name: String,
    campaign: u16,
    seq: Option<u32>,
    /// Requests for it that left, and those of them that were told a final no without a record.
    asked: u32,
    told_no: u32,
}

/// What somebody was told.
struct Promise {
    fp: Fingerprint,
    /// As it was decided; absent while only its acceptance was told.
    decided: Option<Rc<Redemption>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Oracle {
    commands: BTreeMap<(Rid, Fingerprint), Command>,
    promises: BTreeMap<Rid, Promise>,
    members: Vec<Rc<MemberState>>,
    shards: Vec<Rc<ShardState>>,
    /// When something was last planned by anybody.
    last_planned: Option<Instant>,
    /// Highest limit for one member so far, by campaign; none for no limit.
    per_member: BTreeMap<u16, Option<u64>>,
}

type Checked = Result<(), Violation>;

fn ensure(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation::new(invariant, what())) }
}

impl Oracle {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut oracle = Self::default();
        for action in &scenario.actions {
            let What::Redeem(redeem) = &action.what else { continue };
            let RedeemCall { rid, fp, code, .. } = &*redeem.call;
            let (campaign, seq) = code.map_or((0, None), |(campaign, seq)| (campaign, Some(seq)));
            let name = redeem.name.clone();
            oracle.commands.insert((*rid, *fp), Command { name, campaign, seq, asked: 0, told_no: 0 });
        }
        oracle.members = scenario.mrefs.iter().map(|_| Rc::default()).collect();
        oracle.shards = scenario.campaigns.iter().map(|_| Rc::default()).collect();
        oracle.per_member = scenario.campaigns.iter().map(|rules| (rules.campaign, rules.per_member)).collect();
        oracle
    }

    fn name(&self, rid: &Rid, fp: &Fingerprint) -> String {
        self.commands.get(&(*rid, *fp)).map_or_else(|| "?".to_owned(), |command| command.name.clone())
    }

    // What clients see.

    pub(crate) fn asked(&mut self, call: &RedeemCall) {
        if let Some(command) = self.commands.get_mut(&(call.rid, call.fp)) {
            command.asked += 1;
        }
    }

    /// A request that the network doubles is one more that may be answered otherwise. So is a doubled intent:
    /// its second copy may be taken when the first was refused without a record, as when its code was minted
    /// between the two; the Member then hears of it by the inquiry, and the grant is late.
    pub(crate) fn duplicated(&mut self, request: &Request) {
        let key = match request {
            Request::Redeem(call) => (call.rid, call.fp),
            Request::Prepare { intent } => (intent.rid, intent.fp),
            Request::Inquire { .. }
            | Request::Recognise { .. }
            | Request::Settle { .. }
            | Request::Rules(_)
            | Request::Pull { .. }
            | Request::Administer(_)
            | Request::Read => return,
        };
        if let Some(command) = self.commands.get_mut(&key) {
            command.asked += 1;
        }
    }

    /// A member was told something: it must be durable by now, and stay so.
    pub(crate) fn answered(&mut self, world: &World, member: usize, call: &RedeemCall, answer: &Answer) -> Checked {
        let name = self.name(&call.rid, &call.fp);
        let state = world.members.get(member).map(|disk| disk.safe()).unwrap_or_default();
        let record = state.redemptions.get(&call.rid);
        let told_no = |oracle: &mut Self| {
            if let Some(command) = oracle.commands.get_mut(&(call.rid, call.fp)) {
                command.told_no += 1;
            }
        };
        let decided = match answer {
            Answer::Created(doc) => Some(Rc::clone(doc)),
            Answer::Accepted => None,
            Answer::Refused(refusal) if refusal.leaves_record() => {
                let doc = record.map(|record| Rc::clone(&record.doc));
                let same = doc.as_ref().is_some_and(|doc| doc.refusal.as_ref() == Some(refusal));
                ensure(same, "I4", || format!("{name}: refused with {} which is not recorded", refusal.code()))?;
                doc
            }
            Answer::Refused(refusal) => {
                told_no(self);
                let genuine = call.code.is_some_and(|(_, seq)| seq < ISSUED_FIRST);
                return ensure(!genuine || *refusal != Refusal::CodeNotRecognised, "recognised", || {
                    format!("{name}: a code that was always issued is not recognised")
                });
            }
            Answer::Overflow => {
                told_no(self);
                return Ok(());
            }
            Answer::KeyReused => {
                told_no(self);
                let others = self.commands.keys().any(|(rid, fp)| *rid == call.rid && *fp != call.fp);
                return ensure(others, "I5", || format!("{name}: 422, but its key names no other command"));
            }
            Answer::Failed(_) => return Ok(()),
        };
        let Some(record) = record else {
            return Err(Violation::new("I4", format!("{name}: answered 2xx without a durable record")));
        };
        ensure(record.fp == call.fp, "I5", || {
            format!("{name}: answered with the outcome of {}", self.name(&call.rid, &record.fp))
        })?;
        if let Some(doc) = &decided {
            let same = record.decided && record.doc == *doc;
            ensure(same, "I4", || format!("{name}: answered with a decision that is not durable"))?;
        }
        let promise = self.promises.entry(call.rid).or_insert(Promise { fp: call.fp, decided: None });
        if let (Some(first), Some(now)) = (&promise.decided, &decided) {
            ensure(first == now, "I5", || format!("{name}: two answers that differ"))?;
        }
        promise.decided = promise.decided.take().or(decided);
        Ok(())
    }

    // What is durable.

    /// An object has committed, or its alarm has ended.
    pub(crate) fn committed(&mut self, world: &World, party: Party) {
        if !world.nothing_due() {
            self.last_planned = Some(world.now());
        }
        let checked = match party {
            Party::Member(n) => self.member(world, n),
            Party::Shard(n) => self.shard(world, n),
            Party::Campaign(n) => self.campaign(world, n),
            Party::Outside(_) => Ok(()),
        };
        if let Err(violation) = checked {
            world.violated(violation);
        }
    }

    fn member(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.members.get(n).map(|disk| disk.safe()) else { return Ok(()) };
        let Some(before) = self.members.get_mut(n).map(|known| std::mem::replace(known, Rc::clone(&now))) else {
            return Ok(());
        };
        for (rid, record) in before.redemptions.iter().filter(|(_, record)| record.decided) {
            let kept = now.redemptions.get(rid).is_some_and(|kept| kept.decided && kept.doc == record.doc);
            ensure(kept, "I4", || format!("{}: a decided redemption changed", self.name(rid, &record.fp)))?;
        }
        for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.granted()) {
            if !before.redemptions.get(rid).is_some_and(|known| known.granted()) {
                self.check_use(world, rid, &record.fp)?;
            }
        }
        for (rid, promise) in self.promises.iter().filter(|(rid, _)| world.member_of(rid) == Some(n)) {
            let record = now.redemptions.get(rid);
            let kept = record.is_some_and(|record| {
                record.fp == promise.fp
                    && promise.decided.as_ref().is_none_or(|doc| record.decided && record.doc == *doc)
            });
            ensure(kept, "I4", || format!("{}: what was acknowledged is gone", self.name(rid, &promise.fp)))?;
        }
        self.effects(n, &now)?;
        feed(n, &before, &now)?;
        for (rid, record) in &now.redemptions {
            let open = now.open.contains_key(rid);
            ensure(open != record.decided, "I8", || {
                format!("{}: decided and open rows disagree", self.name(rid, &record.fp))
            })?;
        }
        for rid in now.open.keys() {
            let fp = now.redemptions.get(rid).map(|record| record.fp);
            let name = fp.map_or_else(|| "?".to_owned(), |fp| self.name(rid, &fp));
            armed(world, Party::Member(n), &now.due, Item::Open(*rid), None, || format!("{name} is open"))?;
        }
        Ok(())
    }

    /// I3, I7, I10, I11: what was granted has one effect each, what was not has none.
    fn effects(&self, n: usize, now: &MemberState) -> Checked {
        let mut granted: BTreeMap<u16, u64> = BTreeMap::new();
        for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.granted()) {
            *granted.entry(record.campaign).or_default() += 1;
            let rows = now.ledger.iter().filter(|row| row.redemption_id.as_ref() == Some(&record.doc.redemption_id));
            let rewards = now.rewards.iter().filter(|reward| reward.redemption_id == record.doc.redemption_id);
            let (rows, rewards) = (rows.count(), rewards.count());
            ensure(rows == 1 && rewards == 1, "I7", || {
                format!("{}: granted with {rows} ledger rows and {rewards} rewards", self.name(rid, &record.fp))
            })?;
        }
        let all: u64 = granted.values().sum();
        ensure(count(now.ledger.len()) == all && count(now.rewards.len()) == all, "I11", || {
            format!("M{n} has effects of what was not granted")
        })?;
        for (campaign, uses) in &granted {
            ensure(now.uses(*campaign) == *uses, "I3", || {
                format!("M{n} counts {} uses of campaign {campaign}, {uses} are granted", now.uses(*campaign))
            })?;
            let limit = self.per_member.get(campaign).copied().flatten();
            ensure(limit.is_none_or(|limit| *uses <= limit), "I3", || {
                format!("M{n} has {uses} redemptions of campaign {campaign}, {limit:?} are allowed")
            })?;
        }
        let sum = |asset: &str| now.ledger.iter().filter(|row| row.asset == asset).map(|row| row.amount).sum::<u64>();
        let credit: u64 = now.wallet.credit.iter().map(|credit| credit.amount_minor).sum();
        let features = count(now.wallet.features.len());
        let sums = [(sum("points"), now.wallet.points), (sum("credit"), credit), (sum("feature"), features)];
        ensure(sums.iter().all(|(rows, balance)| rows == balance), "I10", || {
            format!("M{n}'s balances are not the sums of the ledger: {sums:?}")
        })
    }

    /// Whatever is granted has its use in the shard, from before the grant and for ever.
    fn check_use(&self, world: &World, rid: &Rid, fp: &Fingerprint) -> Checked {
        let Some(command) = self.commands.get(&(*rid, *fp)) else {
            return Err(Violation::new("I7", "something was granted that nobody asked for".to_owned()));
        };
        let shard = world.shards.get(place(command.campaign)).map(|disk| disk.safe());
        let used = command.seq.is_some_and(|seq| shard.is_some_and(|shard| shard.uses.contains(&(seq, *rid))));
        ensure(used, "I1", || format!("{}: granted without its use in the shard", command.name))
    }

    fn shard(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.shards.get(n).map(|disk| disk.safe()) else { return Ok(()) };
        let Some(before) = self.shards.get_mut(n).map(|known| std::mem::replace(known, Rc::clone(&now))) else {
            return Ok(());
        };
        ensure(now.version() >= before.version(), "rules", || format!("P{n} went back to older rules"))?;
        ensure(now.total == count(now.uses.len()), "I3", || {
            format!("P{n} counts {} uses and has {} use rows", now.total, now.uses.len())
        })?;
        for (seq, rid) in now.uses.difference(&before.uses) {
            let Some(rules) = &now.rules else { continue };
            let used = count(now.uses_of(*seq).count());
            ensure(rules.uses_per_code.is_none_or(|limit| used <= limit), "I1", || {
                format!("P{n} has {used} uses of code {seq}, {:?} are allowed", rules.uses_per_code)
            })?;
            ensure(rules.total.is_none_or(|limit| now.total <= limit), "I3", || {
                format!("P{n} has {} uses in all, {:?} are allowed", now.total, rules.total)
            })?;
            let late = now.pending.iter().find(|((known, _), _)| known == rid);
            ensure(late.is_none_or(|(_, pending)| pending.intent.deadline >= world.now()), "deadline", || {
                format!("P{n} takes a use for an intent that is past its deadline")
            })?;
        }
        for (seq, rid) in before.uses.difference(&now.uses) {
            let member = world.member_of(rid).and_then(|member| world.members.get(member)).map(|disk| disk.safe());
            let record = member.as_ref().and_then(|member| member.redemptions.get(rid));
            let Some(record) = record.filter(|record| record.granted()) else { continue };
            // The same key may have prepared another code before its Member crashed: that use is not this one's.
            let other = self
                .commands
                .get(&(*rid, record.fp))
                .is_none_or(|command| command.seq != Some(*seq) || place(command.campaign) != n);
            ensure(other, "I1", || {
                format!("P{n} gives the use of a granted redemption back: {}", self.name(rid, &record.fp))
            })?;
        }
        for ((rid, fp), pending) in &now.pending {
            let name = || format!("{} is pending", self.name(rid, fp));
            ensure(now.uses.contains(&(pending.seq, *rid)), "I1", || format!("{} without its use", name()))?;
            armed(world, Party::Shard(n), &now.due, Item::Pending, Some(pending.ask_at), name)?;
        }
        Ok(())
    }

    fn campaign(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.campaigns.get(n).map(|disk| disk.safe()) else { return Ok(()) };
        let highest = self.per_member.entry(now.rules.campaign).or_default();
        *highest = highest.zip(now.rules.per_member).map(|(highest, limit)| highest.max(limit));
        if now.behind(now.rules.version).is_empty() {
            return Ok(());
        }
        armed(world, Party::Campaign(n), &now.due, Item::Push, None, || "a shard lacks rules".to_owned())
    }

    // The end.

    /// I6, I11: after faults have stopped, nothing is left half done.
    pub(crate) fn check_end(&self, world: &World) -> Checked {
        for (n, disk) in world.members.iter().enumerate() {
            let state = disk.safe();
            let rests = |rid: &Rid| {
                let shard = state.open.get(rid).and_then(|open| world.shards.get(place(open.intent.campaign)));
                let at = state.open.get(rid).map_or(0, |open| place(open.intent.campaign));
                is_parked(world, Party::Member(n), &state.due, Item::Open(*rid))
                    || shard.is_some_and(|shard| is_parked(world, Party::Shard(at), &shard.safe().due, Item::Pending))
                    || waits_for_balance(world, &state, rid)
            };
            if let Some(rid) = state.open.keys().find(|rid| !rests(rid)) {
                let fp = state.redemptions.get(rid).map(|record| record.fp);
                let name = fp.map_or_else(|| "?".to_owned(), |fp| self.name(rid, &fp));
                return Err(Violation::new("I6", format!("M{n}: {name} is still open")));
            }
            for (rid, record) in state.redemptions.iter().filter(|(_, record)| record.granted()) {
                self.check_use(world, rid, &record.fp)?;
                let command = self.commands.get(&(*rid, record.fp));
                ensure(command.is_some_and(|command| command.told_no < command.asked), "I11", || {
                    format!("{}: granted, though every request for it was refused", self.name(rid, &record.fp))
                })?;
            }
        }
        for (n, disk) in world.shards.iter().enumerate() {
            let state = disk.safe();
            if is_parked(world, Party::Shard(n), &state.due, Item::Pending) {
                continue;
            }
            let waits = |rid: &Rid| {
                let member = world.member_of(rid).and_then(|member| world.members.get(member));
                member.is_some_and(|member| waits_for_balance(world, &member.safe(), rid))
            };
            if let Some((rid, fp)) = state.pending.keys().find(|(rid, _)| !waits(rid)) {
                return Err(Violation::new("I6", format!("P{n}: {} is still pending", self.name(rid, fp))));
            }
            for (_, rid) in &state.uses {
                let member = world.member_of(rid).and_then(|member| world.members.get(member)).map(|disk| disk.safe());
                let granted = member.is_some_and(|member| member.redemptions.get(rid).is_some_and(|r| r.granted()));
                let held = state.pending.keys().any(|(known, _)| known == rid);
                ensure(granted || held, "I11", || format!("P{n} has a use without a grant"))?;
            }
        }
        let resting = self.last_planned.is_some_and(|at| at.plus_ms(2 * NET_MS + 5_000) < world.now());
        ensure(!resting || world.nothing_armed(), "rest", || {
            "nothing is due, and an object's alarm still wakes it".to_owned()
        })?;
        for (n, (campaign, shard)) in world.campaigns.iter().zip(&world.shards).enumerate() {
            let (campaign, shard): (Rc<CampaignState>, Rc<ShardState>) = (campaign.safe(), shard.safe());
            if is_parked(world, Party::Campaign(n), &campaign.due, Item::Push) {
                continue;
            }
            let works_by = shard.rules.as_ref().map(|rules| rules.version);
            ensure(works_by.is_none_or(|version| version == campaign.rules.version), "rules", || {
                format!("C{n} has version {}, its shard works by {works_by:?}", campaign.rules.version)
            })?;
        }
        Ok(())
    }

    // Words for the trace.

    pub(crate) fn describe(&self, request: &Request) -> String {
        match request {
            Request::Redeem(call) => {
                let how = if call.respond_async { ", respond-async" } else { "" };
                format!("redeem {}{how}", self.name(&call.rid, &call.fp))
            }
            Request::Inquire { intent, .. } => format!("what became of {}", self.name(&intent.rid, &intent.fp)),
            Request::Recognise { facts } => format!("is #{} known", facts.seq),
            Request::Prepare { intent } => format!("prepare {}", self.name(&intent.rid, &intent.fp)),
            Request::Settle { rid, fp, fate } => format!("settle {} {fate:?}", self.name(rid, fp)),
            Request::Rules(rules) => format!("rules version {}", rules.version),
            Request::Pull { .. } => "pull the rules".to_owned(),
            Request::Administer(change) => format!("{change:?}"),
            Request::Read => "read".to_owned(),
        }
    }

    pub(crate) fn describe_reply(&self, reply: &Result<Reply, crate::disk::Fault>) -> String {
        match reply {
            Err(fault) => format!("500 {}", fault.0),
            Ok(Reply::Answer(answer)) => match answer {
                Answer::Created(_) => "201".to_owned(),
                Answer::Accepted => "202".to_owned(),
                Answer::Refused(refusal) => format!("refused: {}", refusal.code()),
                Answer::KeyReused => "422 key reused".to_owned(),
                Answer::Overflow => "400 the balance would overflow".to_owned(),
                Answer::Failed(fault) => format!("500 {}", fault.0),
            },
            Ok(Reply::Fate(fate)) => format!("{fate:?}"),
            Ok(Reply::Recognised(known)) => format!("recognised: {known}"),
            Ok(Reply::Prepared(answer)) => match answer {
                counterfoil_core::protocol::PrepareAnswer::Prepared(_) => "prepared".to_owned(),
                counterfoil_core::protocol::PrepareAnswer::Refused { refusal, .. } => format!("no: {}", refusal.code()),
                counterfoil_core::protocol::PrepareAnswer::Late => "late".to_owned(),
            },
            Ok(Reply::Version(version)) => format!("works by version {version}"),
            Ok(Reply::Pulled(rules)) => format!("rules version {:?}", rules.as_ref().map(|rules| rules.version)),
            Ok(Reply::Administered { version, in_force }) => format!("version {version}, in force: {in_force}"),
            Ok(Reply::Done) => "done".to_owned(),
        }
    }
}

/// I9: numbers from 1 without gaps, and what was said is never said otherwise.
fn feed(n: usize, before: &MemberState, now: &MemberState) -> Checked {
    let numbered = (1..).zip(&now.events).all(|(seq, event)| event.seq == seq);
    ensure(numbered, "I9", || format!("M{n}'s feed has a gap or a repeat"))?;
    let kept = before.events.len() <= now.events.len()
        && before.events.iter().zip(&now.events).all(|(before, now)| Rc::ptr_eq(before, now));
    ensure(kept, "I9", || format!("M{n}'s feed changed"))
}

/// An accepted redemption that overflows is tried again until some of the balance is spent, by the schedule.
fn waits_for_balance(world: &World, state: &MemberState, rid: &Rid) -> bool {
    state.redemption(rid).is_some_and(|doc| {
        let next = doc.next_attempt_at.is_some_and(|next| next <= world.now().plus_ms(BACKOFF_MAX_MS));
        doc.last_error.as_deref() == Some(OVERFLOW) && next
    })
}

/// What fails to run at all, time and again, is parked for an operator.
fn is_parked(world: &World, party: Party, due: &Due, item: Item) -> bool {
    world.troubled(party) && due.items.get(&item).is_some_and(|planned| planned.parked)
}

/// I8: what must be driven on is planned, in time, and the alarm is set.
fn armed(
    world: &World,
    party: Party,
    due: &Due,
    item: Item,
    by: Option<Instant>,
    what: impl Fn() -> String,
) -> Checked {
    let Some(planned) = due.items.get(&item) else {
        return Err(Violation::new("I8", format!("{party}: {} and nothing is planned", what())));
    };
    if planned.parked || world.excused(party) {
        return Ok(());
    }
    // What was parked and is planned again for a new row starts anew.
    let by = by.map(|by| by.max(world.now().plus_ms(INQUIRE_AFTER_MS)));
    ensure(by.is_none_or(|by| planned.at <= by), "I8", || {
        format!("{party}: {} and its inquiry is planned too late", what())
    })?;
    let latest = planned.at.max(world.now().plus_ms(NET_MS));
    ensure(due.alarm.is_some_and(|alarm| alarm <= latest), "I8", || {
        format!("{party}: {} and the alarm is not set in time", what())
    })
}

/// How many were granted, and how many refused with a record.
pub(crate) fn tally(world: &World) -> (u64, u64) {
    let states = world.members.iter().map(|disk| disk.safe());
    states.fold((0, 0), |(granted, refused), state| {
        let of = |status| count(state.redemptions.values().filter(|record| record.doc.status == status).count());
        (granted + of(RedemptionStatus::Granted), refused + of(RedemptionStatus::Refused))
    })
}
