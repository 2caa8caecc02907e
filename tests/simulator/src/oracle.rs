//! The invariants, checked on what is durable after every commit, on every answer, and at the end.

use crate::due::{Due, Item};
use crate::member::place;
use crate::member_state::{MemberState, Record, count};
use crate::message::{Answer, Asked, CheckoutCall, Declined, Order, Party, RedeemCall, Request, Wanted, Wish};
use crate::oracle_erased::erased;
use crate::oracle_holds::{holds, kept_uses};
use crate::oracle_keys::KnownKeys;
use crate::oracle_limits::Limits;
use crate::oracle_reward::{endpoint, recorder, rewards};
use crate::outcome::Violation;
use crate::pool_state::PoolState;
use crate::scenario::{ISSUED_FIRST, Scenario, What};
use crate::shard_state::ShardState;
use crate::world::{World, homes};
use counterfoil_core::calendar::Day;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::INQUIRE_AFTER_MS;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Redemption, RedemptionStatus, RewardState};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The safety net of an alarm is this far ahead.
pub(crate) const NET_MS: i64 = 30_000;

/// One command that some client gives under a key.
pub(crate) struct Command {
    pub(crate) name: String,
    campaign: u16,
    seq: Option<u32>,
    /// Requests for it that left, and those of them that were told a final no without a record.
    pub(crate) asked: u32,
    pub(crate) told_no: u32,
    /// The till's offer that it confirms, and whether a manager does.
    pub(crate) quote: Option<Rid>,
    pub(crate) overridden: bool,
    /// When it was first asked for, and which version of the campaign's rules was in force by then.
    pub(crate) first_asked: Option<Instant>,
    pub(crate) floor: u32,
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
    pub(crate) commands: BTreeMap<(Rid, Fingerprint), Command>,
    promises: BTreeMap<Rid, Promise>,
    members: Vec<Rc<MemberState>>,
    shards: Vec<Rc<ShardState>>,
    pub(crate) limits: Limits,
    pub(crate) keys: KnownKeys,
    pub(crate) pools: BTreeMap<usize, Rc<PoolState>>,
    /// Promo codes that somebody may have seen, and whose they are.
    pub(crate) shown: BTreeMap<(usize, String), Rid>,
    /// When something was last planned by anybody.
    pub(crate) last_planned: Option<Instant>,
    /// Highest limit for one member so far, by campaign; none for no limit.
    per_member: BTreeMap<u16, Option<u64>>,
    /// Redemptions that an operator wants cancelled though nobody knows what became of a try.
    unguarded: BTreeSet<Rid>,
}

pub(crate) type Checked = Result<(), Violation>;

pub(crate) fn ensure(holds: bool, invariant: &'static str, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(Violation::new(invariant, what())) }
}

impl Oracle {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let mut oracle = Self::default();
        let probes = scenario.probes.iter().map(|(_, redeem)| What::Redeem(redeem.clone()));
        let probes: Vec<What> = probes.collect();
        for what in scenario.actions.iter().map(|action| &action.what).chain(&probes) {
            if let What::Checkout { call, .. } = what
                && let CheckoutCall::Hold { order, rid, fp, wanted: Wanted::Code(code), .. } = &**call
            {
                let (campaign, seq) = (code.campaign, Some(code.seq));
                let name = format!("hold of c{campaign}#{} for {order}", code.seq);
                // Its refusals leave no promise: the hold is what counts.
                let command = Command {
                    name,
                    campaign,
                    seq,
                    asked: 1,
                    told_no: 0,
                    quote: None,
                    overridden: false,
                    first_asked: Some(Instant(0)),
                    floor: 0,
                };
                oracle.commands.entry((*rid, *fp)).or_insert(command);
            }
            let What::Redeem(redeem) = what else {
                continue;
            };
            let whose = [("", &redeem.call), (" (other body)", &redeem.other), (" (rival)", &redeem.rival.1)];
            let till = redeem.till.iter().map(|till| (" (other till)", till));
            for (mark, call) in whose.into_iter().chain(till) {
                let RedeemCall { rid, fp, code, asked, .. } = &**call;
                let (quote, overridden) = match asked {
                    Asked::Confirm { quote, override_reason, .. } => (Some(*quote), override_reason.is_some()),
                    Asked::Code | Asked::Buy { .. } | Asked::Gift { .. } => (None, false),
                };
                let (campaign, seq) = code.map_or((0, None), |code| (code.campaign, Some(code.seq)));
                let name = format!("{}{mark}", redeem.name);
                let command = Command {
                    name,
                    campaign,
                    seq,
                    asked: 0,
                    told_no: 0,
                    quote,
                    overridden,
                    first_asked: None,
                    floor: 0,
                };
                oracle.commands.entry((*rid, *fp)).or_insert(command);
            }
        }
        oracle.members = scenario.mrefs.iter().map(|_| Rc::default()).collect();
        let shards: Vec<u32> = scenario.campaigns.iter().map(|rules| rules.shards).collect();
        oracle.shards = homes(&shards).iter().map(|_| Rc::default()).collect();
        oracle.per_member = scenario.campaigns.iter().map(|rules| (rules.campaign, rules.per_member)).collect();
        oracle
    }

    pub(crate) fn name(&self, rid: &Rid, fp: &Fingerprint) -> String {
        self.commands.get(&(*rid, *fp)).map_or_else(|| "?".to_owned(), |command| command.name.clone())
    }

    // What clients see.

    pub(crate) fn asked(&mut self, call: &RedeemCall, now: Instant) {
        if let Some(command) = self.commands.get_mut(&(call.rid, call.fp)) {
            command.asked += 1;
            if command.first_asked.is_none() {
                command.first_asked = Some(now);
                command.floor = self.limits.floor(place(command.campaign));
            }
        }
    }

    /// A request that the network doubles is one more that may be answered otherwise. So is a doubled intent:
    /// its second copy may be taken when the first was refused without a record, as when its code was minted
    /// between the two; the Member then hears of it by the inquiry, and the grant is late.
    pub(crate) fn duplicated(&mut self, request: &Request) {
        let key = match request {
            Request::Redeem(call) => (call.rid, call.fp),
            Request::Prepare { intent } | Request::Take { intent, .. } => (intent.rid, intent.fp),
            Request::Inquire { .. }
            | Request::Recognise { .. }
            | Request::Settle { .. }
            | Request::Settled { .. }
            | Request::Undo { .. }
            | Request::Rules(_)
            | Request::Keys(_)
            | Request::Revoked(_)
            | Request::Erase
            | Request::Pull { .. }
            | Request::Ask { .. }
            | Request::Returned { .. }
            | Request::HandBack { .. }
            | Request::Administer(_)
            | Request::Report(_)
            | Request::EndpointFor { .. }
            | Request::EndpointResult { .. }
            | Request::EndpointTested
            | Request::Hurry
            | Request::Webhook(_)
            | Request::Callback { .. }
            | Request::Operate(_)
            | Request::InquirePool { .. }
            | Request::Stock(_)
            | Request::Till(_)
            | Request::Checkout(_)
            | Request::Preview { .. }
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
                let genuine = call.code.is_some_and(|code| code.seq < ISSUED_FIRST && code.alias.is_none());
                return ensure(!genuine || *refusal != Refusal::CodeNotRecognised, "recognised", || {
                    format!("{name}: a code that was always issued is not recognised")
                });
            }
            // An overflow is a failure to answer, not a refusal: when some of the balance was spent before its
            // participant asks, it is decided for after all.
            Answer::Overflow => return Ok(()),
            Answer::KeyReused => {
                told_no(self);
                let mut others = self.commands.iter().filter(|((rid, fp), _)| *rid == call.rid && *fp != call.fp);
                let others = others.any(|(_, other)| other.asked > 0);
                return ensure(others, "I5", || format!("{name}: 422, but its key names no other command"));
            }
            Answer::NotFound => {
                told_no(self);
                return Ok(());
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
            let same = record.decided && same_decision(&record.doc, doc);
            ensure(same, "I4", || format!("{name}: answered with a decision that is not durable"))?;
        }
        let promise = self.promises.entry(call.rid).or_insert(Promise { fp: call.fp, decided: None });
        if let (Some(first), Some(now)) = (&promise.decided, &decided) {
            ensure(same_decision(first, now), "I5", || format!("{name}: two answers that differ"))?;
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
            Party::Pool(n) => self.pool(world, n),
            Party::Recorder(n) => recorder(world, n),
            Party::Merchant => endpoint(world).and_then(|()| self.keys(world)),
            Party::Fulfiller | Party::Outside(_) => Ok(()),
        };
        if let Err(violation) = checked {
            world.violated(violation);
        }
    }

    fn member(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.members.get(n).map(|disk| disk.safe()) else {
            return Ok(());
        };
        let Some(before) = self.members.get_mut(n).map(|known| std::mem::replace(known, Rc::clone(&now))) else {
            return Ok(());
        };
        for (rid, record) in before.redemptions.iter().filter(|(_, record)| record.decided) {
            let kept = now.redemptions.get(rid).filter(|kept| kept.decided && same_decision(&kept.doc, &record.doc));
            let legal = kept.is_some_and(|kept| follows(record.doc.status, kept.doc.status));
            ensure(legal, "I4", || format!("{}: a decided redemption changed", self.name(rid, &record.fp)))?;
        }
        for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.consumed) {
            if !before.redemptions.get(rid).is_some_and(|known| known.consumed) {
                self.check_use(world, rid, record)?;
            }
        }
        for (rid, promise) in self.promises.iter().filter(|(rid, _)| world.member_of(rid) == Some(n)) {
            let record = now.redemptions.get(rid);
            let kept = record.is_some_and(|record| {
                record.fp == promise.fp
                    && promise.decided.as_ref().is_none_or(|doc| record.decided && same_decision(&record.doc, doc))
            });
            ensure(kept, "I4", || format!("{}: what was acknowledged is gone", self.name(rid, &promise.fp)))?;
        }
        let ending = now.erasing || now.erasures != before.erasures;
        if !ending {
            self.cancelled(n, &before, &now)?;
        }
        erased(world, n, &now)?;
        rewards(world, n, &before, &now)?;
        self.sold(world, n, &before, &now)?;
        holds(world, n, &before, &now)?;
        self.effects(n, &before, &now)?;
        self.windows(world, n, &before, &now)?;
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

    /// I3: uses that belong to a redemption are counted, each once, and within the limit.
    fn effects(&self, n: usize, before: &MemberState, now: &MemberState) -> Checked {
        let mut days: BTreeMap<(u16, Day), u64> = now.campaign_days.keys().map(|key| (*key, 0)).collect();
        for record in now.redemptions.values().filter(|record| record.consumed) {
            if let Some(campaign) = record.campaign {
                *days.entry((campaign, record.day)).or_default() += 1;
            }
        }
        let same = days.iter().all(|(key, uses)| now.campaign_days.get(key).copied().unwrap_or_default() == *uses);
        ensure(same, "I3", || format!("M{n} counts other days than its redemptions were charged to"))?;
        let mut used: BTreeMap<u16, u64> = now.campaign_days.keys().map(|(campaign, _)| (*campaign, 0)).collect();
        for record in now.redemptions.values().filter(|record| record.consumed) {
            if let Some(campaign) = record.campaign {
                *used.entry(campaign).or_default() += 1;
            }
        }
        for (campaign, uses) in &used {
            ensure(now.uses(*campaign) == *uses, "I3", || {
                format!("M{n} counts {} uses of campaign {campaign}, {uses} are its redemptions'", now.uses(*campaign))
            })?;
            let limit = self.per_member.get(campaign).copied().flatten();
            let more = *uses > before.uses(*campaign);
            ensure(!more || limit.is_none_or(|limit| *uses <= limit), "I3", || {
                format!("M{n} has {uses} redemptions of campaign {campaign}, {limit:?} are allowed")
            })?;
        }
        Ok(())
    }

    /// Whatever was decided for has its use in the shard, from before the decision until it is given back.
    pub(crate) fn check_use(&self, world: &World, rid: &Rid, record: &Record) -> Checked {
        if record.campaign.is_none() {
            return Ok(());
        }
        let Some(command) = self.commands.get(&(*rid, record.fp)) else {
            return Err(Violation::new("I7", "something was granted that nobody asked for".to_owned()));
        };
        let at = world.shard_at(place(command.campaign), record.shard);
        let shard = world.shards.get(at).map(|disk| disk.safe());
        let charge = command.seq.and_then(|seq| shard.and_then(|shard| shard.charges.get(&(seq, *rid)).cloned()));
        let used = charge.is_some_and(|charge| charge.day == record.day);
        ensure(used, "I1", || format!("{}: decided for without its use in the shard that it names", command.name))
    }

    /// An order leaves.
    pub(crate) fn ordered(&mut self, order: &Order) {
        if matches!(order.wish, Wish::ResolveCancelled { unknown_outcome: true } | Wish::Reset { tester: true }) {
            self.unguarded.insert(order.rid);
        }
    }

    /// What was cancelled without that word had no try whose outcome is unknown.
    fn cancelled(&self, n: usize, before: &MemberState, now: &MemberState) -> Checked {
        for (rid, record) in now.redemptions.iter().filter(|(rid, _)| !self.unguarded.contains(rid)) {
            let known = before.redemptions.get(rid).map(|known| known.doc.status);
            if record.doc.status != RedemptionStatus::Cancelled || known == Some(RedemptionStatus::Cancelled) {
                continue;
            }
            let mut held = before.held(rid).into_iter();
            let unknown = held.any(|held| {
                matches!(held.state(), RewardState::InProgress | RewardState::Failed) && held.outcome_unknown()
            });
            ensure(!unknown, "guard", || {
                format!("M{n}: {} was cancelled while a try was under way", self.name(rid, &record.fp))
            })?;
        }
        Ok(())
    }

    /// An operator or a player was told that something is done.
    pub(crate) fn operated(
        &mut self,
        world: &World,
        member: usize,
        order: &Order,
        answer: &Result<(), Declined>,
    ) -> Checked {
        let Some(state) = world.members.get(member).map(|disk| disk.safe()) else {
            return Ok(());
        };
        if answer.is_err() {
            return Ok(());
        }
        let record = state.redemptions.get(&order.rid);
        let status = record.map(|record| record.doc.status);
        let held = state.rewards.get(&(order.rid, order.index)).map(|held| held.state());
        let rests = [Some(RewardState::Unclaimed), Some(RewardState::PendingActivation)];
        let kept = match order.wish {
            Wish::ResolveCancelled { .. } => status == Some(RedemptionStatus::Cancelled),
            Wish::ResolveGranted => matches!(status, Some(RedemptionStatus::Granted | RedemptionStatus::Reversed)),
            Wish::Reset { .. } => matches!(status, Some(RedemptionStatus::Cancelled | RedemptionStatus::Reversed)),
            Wish::Delete => held == Some(RewardState::Deleted),
            Wish::Reverse { .. } => status == Some(RedemptionStatus::Reversed),
            Wish::Decline => held == Some(RewardState::Declined),
            Wish::Claim | Wish::ClaimFor => held != Some(RewardState::Unclaimed),
            Wish::Activate | Wish::ActivateFor => !rests.contains(&held),
            Wish::Give => record.is_some_and(|record| record.decided),
            Wish::Retry | Wish::RetryReward => true,
        };
        ensure(kept, "I4", || format!("M{member}: {:?} was answered and is not durable", order.wish))
    }

    fn shard(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.shards.get(n).map(|disk| disk.safe()) else {
            return Ok(());
        };
        let Some(before) = self.shards.get_mut(n).map(|known| std::mem::replace(known, Rc::clone(&now))) else {
            return Ok(());
        };
        let clock = world.clock(Party::Shard(n));
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
            let late = now.pending.iter().find(|((known, _), _)| known == rid);
            ensure(late.is_none_or(|(_, pending)| pending.intent.deadline >= clock), "deadline", || {
                format!("P{n} takes a use for an intent that is past its deadline")
            })?;
        }
        for (seq, rid) in before.uses.difference(&now.uses) {
            let member = world.member_of(rid).and_then(|member| world.members.get(member)).map(|disk| disk.safe());
            let record = member.as_ref().and_then(|member| member.redemptions.get(rid));
            let Some(record) = record.filter(|record| record.consumed) else {
                continue;
            };
            // The same key may have prepared another code before its Member crashed: that use is not this one's.
            let other = self
                .commands
                .get(&(*rid, record.fp))
                .is_none_or(|command| command.seq != Some(*seq) || place(command.campaign) != world.home(n).0);
            ensure(other, "I1", || {
                format!("P{n} gives a use back that belongs to a redemption: {}", self.name(rid, &record.fp))
            })?;
        }
        kept_uses(world, n, &now)?;
        self.portions_spent(world, n, (&before, &now))?;
        for ((rid, fp), pending) in &now.pending {
            let name = || format!("{} is pending", self.name(rid, fp));
            ensure(now.uses.contains(&(pending.seq, *rid)), "I1", || format!("{} without its use", name()))?;
            armed(world, Party::Shard(n), &now.due, Item::Pending, Some(pending.ask_at), name)?;
        }
        Ok(())
    }

    fn campaign(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.campaigns.get(n).map(|disk| disk.safe()) else {
            return Ok(());
        };
        let highest = self.per_member.entry(now.rules.campaign).or_default();
        *highest = highest.zip(now.rules.per_member).map(|(highest, limit)| highest.max(limit));
        self.portions_given(world, n, &now)?;
        if now.behind(now.rules.version).is_empty() {
            return Ok(());
        }
        armed(world, Party::Campaign(n), &now.due, Item::Push, None, || "a shard lacks rules".to_owned())
    }
}

/// What stays of a decision for ever.
fn same_decision(one: &Redemption, other: &Redemption) -> bool {
    let Redemption { redemption_id, refusal, rewards, ledger, quantity, campaign, created_at, .. } = one;
    // What is kept for an order gives nothing before the order is placed.
    let held = one.status == RedemptionStatus::Held || other.status == RedemptionStatus::Held;
    (redemption_id, refusal) == (&other.redemption_id, &other.refusal)
        && (held || (rewards, ledger) == (&other.rewards, &other.ledger))
        && (quantity, campaign, created_at) == (&other.quantity, &other.campaign, &other.created_at)
}

/// Whether a decided redemption may go from one status to another.
fn follows(from: RedemptionStatus, to: RedemptionStatus) -> bool {
    use RedemptionStatus::{Cancelled, GrantFailed, Granted, Granting, Redeemed, Reversed};
    from == to
        || match from {
            Redeemed | Granting | GrantFailed => {
                matches!(to, Granting | GrantFailed | Granted | Cancelled | Reversed)
            }
            Granted => to == Reversed,
            RedemptionStatus::Held => matches!(to, Redeemed | Granting | GrantFailed | Granted | Cancelled),
            RedemptionStatus::Redeeming
            | RedemptionStatus::RedeemFailed
            | RedemptionStatus::Refused
            | Cancelled
            | Reversed => false,
        }
}

/// I9: numbers from 1 without gaps, and what was said is never said otherwise.
fn feed(n: usize, before: &MemberState, now: &MemberState) -> Checked {
    let first = now.events.first().map_or(1, |event| event.seq);
    let last = before.events.last().map_or(0, |event| event.seq);
    if now.erasures != before.erasures {
        // Nothing but the last number is left.
        return ensure(now.events.len() <= 1 && (last == 0 || first >= last), "I9", || {
            format!("M{n} was erased, and their feed has {} events", now.events.len())
        });
    }
    ensure(now.erasures > 0 || first == 1, "I9", || format!("M{n}'s feed has lost its beginning"))?;
    let numbered = (first..).zip(&now.events).all(|(seq, event)| event.seq == seq);
    ensure(numbered, "I9", || format!("M{n}'s feed has a gap or a repeat"))?;
    let kept = before.events.len() <= now.events.len()
        && before.events.iter().zip(&now.events).all(|(before, now)| Rc::ptr_eq(before, now));
    ensure(kept, "I9", || format!("M{n}'s feed changed"))
}

/// What fails to run at all, time and again, is parked for an operator.
pub(crate) fn is_parked(world: &World, party: Party, due: &Due, item: Item) -> bool {
    world.may_be_parked(party, item) && due.items.get(&item).is_some_and(|planned| planned.parked)
}

/// I8: what must be driven on is planned, in time, and the alarm is set.
pub(crate) fn armed(
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
    if planned.parked {
        return ensure(world.may_be_parked(party, item), "parked", || {
            format!("{party}: {} and its item is parked, though it has not failed", what())
        });
    }
    if world.excused(party) {
        return Ok(());
    }
    // What was parked and is planned again for a new row starts anew.
    let clock = world.clock(party);
    // A clock that was ahead by less than an event heals counts from where it was.
    let ahead_ms = (planned.planned_at.0 - clock.0).max(0);
    let by = by.map(|by| by.max(clock.plus_ms(INQUIRE_AFTER_MS)).plus_ms(ahead_ms));
    // What a clock that was ahead has planned is healed by the next event.
    let ahead = planned.planned_at > clock.plus_ms(NET_MS);
    ensure(ahead || by.is_none_or(|by| planned.at <= by), "I8", || {
        format!("{party}: {} and its inquiry is planned too late", what())
    })?;
    let latest = planned.at.max(clock.plus_ms(NET_MS));
    ensure(due.alarm.is_some_and(|alarm| alarm <= latest), "I8", || {
        format!("{party}: {} and the alarm is not set in time", what())
    })
}
