//! A CodeShard's shell, line by line as `edge/src/shard.rs` runs it: the decisions are core's own.

use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage};
use crate::due::{Item, Net};
use crate::message::{Party, Reply, Request};
use crate::shard_portions::{CAMPAIGN_WAIT_MS, Portions, is_open};
use crate::shard_state::ShardState;
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::{DAY_MS, INQUIRE_AFTER_MS};
use counterfoil_core::protocol::portion::{Meter, Need};
use counterfoil_core::protocol::shard::{PendingStep, PrepareStep, ShardView, prepare, settle, undo};
use counterfoil_core::protocol::{Fate, Intent, PrepareAnswer, backoff_ms};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::{Facts, Rules, evaluate, recognised};
use counterfoil_core::time::{Instant, Utc};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

const GROUP_WAIT_MS: i64 = 4;
const GROUP_ITEMS_MAX: usize = 64;
const PULL_AGAIN_MS: i64 = 1_000;
const MEMBER_WAIT_MS: i64 = 8_000;
/// How long after a hold's end its Member is asked, which has an alarm of its own for it.
const HOLD_GRACE_MS: i64 = 5_000;

/// An intent on its way into a group.
pub(crate) struct Attempt {
    pub(crate) intent: Rc<Intent>,
    /// Limits of the campaign of which nothing is left anywhere, as the Campaign has said for this very attempt.
    pub(crate) exhausted: Vec<Meter>,
}

/// What became of an intent in a group.
#[allow(clippy::large_enum_variant, reason = "few at a time")]
pub(crate) enum Outcome {
    Answer(PrepareAnswer),
    /// This shard's portions do not cover it: others were faster.
    Short,
}

type Waiting = (Attempt, oneshot::Sender<Result<Outcome, Fault>>);

/// See the module. All of its own fields are volatile.
pub(crate) struct Shard {
    pub(crate) world: Rc<World>,
    /// Its place in the world.
    number: usize,
    /// The place of its campaign, and which of its shards it is.
    pub(crate) campaign: usize,
    pub(crate) own: u32,
    pub(crate) storage: Storage<ShardState>,
    /// As the storage has them.
    rules: RefCell<Option<Rc<Rules>>>,
    pulled_at: Cell<Option<Instant>>,
    waiting: RefCell<Vec<Waiting>>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
    last_group: Cell<Instant>,
    scheduled: Cell<bool>,
    pub(crate) portions: Portions,
}

impl Shard {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<ShardState>>) -> Self {
        let (campaign, own) = world.home(number);
        Self {
            world: Rc::clone(world),
            number,
            campaign,
            own,
            storage: Storage::new(disk, world, Party::Shard(number)),
            rules: RefCell::new(disk.read().rules.clone()),
            pulled_at: Cell::new(None),
            waiting: RefCell::default(),
            settled: RefCell::default(),
            last_group: Cell::new(Instant(0)),
            scheduled: Cell::new(false),
            portions: Portions::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.clock(Party::Shard(self.number))
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.storage.read()?.due.needs_healing(now, self.world.defect) {
            self.storage.write(|state| state.due.heal(now))?;
        }
        match request {
            Request::Prepare { intent } => {
                let Some(code) = intent.code() else { return Err(Fault("no code")) };
                self.know(&code.facts).await?;
                self.take_in(intent).await.map(Reply::Prepared)
            }
            Request::Recognise { facts, mref } => {
                self.know(&facts).await?;
                if let Some(shard) = self.elsewhere(facts.seq, &mref) {
                    return Ok(Reply::Elsewhere(shard));
                }
                Ok(Reply::Recognised(recognised(self.rules().as_deref(), &facts)))
            }
            Request::Preview { facts, rid } => self.preview(&facts, &rid).await,
            Request::HandBack { meter, given, heard, version } => self.hand_back(meter, (given, heard), version).await,
            Request::Settle { rid, fp, fate } => {
                match fate {
                    // The pending row goes with the next group: one commit less for each redemption.
                    Fate::Committed => self.settled.borrow_mut().push((rid, fp)),
                    Fate::Aborted | Fate::Held { .. } => {
                        let close = |state: &mut ShardState| self.close(state, &rid, &fp, fate);
                        self.storage.transaction(Step::GiveBack, close)?;
                        if !matches!(fate, Fate::Aborted) {
                            self.plan_inquiry()?;
                        }
                    }
                    Fate::Running => {}
                }
                Ok(Reply::Done)
            }
            // The pending rows go with the next group: one commit less for each redemption.
            Request::Settled { items } => {
                self.settled.borrow_mut().extend(items.iter().copied());
                Ok(Reply::Done)
            }
            Request::Undo { rid, seq } => {
                if self.rules().is_none() {
                    self.pull().await?;
                }
                self.storage.transaction(Step::UseBack, |state| self.undo(state, &rid, seq))
            }
            Request::Rules(rules) => self.adopt(rules).map(Reply::Version),
            Request::Read => Ok(Reply::Done),
            Request::Redeem(_)
            | Request::Inquire { .. }
            | Request::Pull { .. }
            | Request::Administer(_)
            | Request::Ask { .. }
            | Request::Returned { .. }
            | Request::Report(_)
            | Request::Keys(_)
            | Request::Revoked(_)
            | Request::Erase
            | Request::EndpointFor { .. }
            | Request::EndpointResult { .. }
            | Request::EndpointTested
            | Request::Hurry
            | Request::Webhook(_)
            | Request::Callback { .. }
            | Request::Operate(_)
            | Request::Take { .. }
            | Request::InquirePool { .. }
            | Request::Stock(_)
            | Request::Till(_)
            | Request::Checkout(_) => Err(Fault("not asked of a shard")),
        }
    }

    pub(crate) fn rules(&self) -> Option<Rc<Rules>> {
        self.rules.borrow().clone()
    }

    /// Takes newer rules; never goes back. Answers the version that counts.
    fn adopt(&self, rules: Rc<Rules>) -> Result<u32, Fault> {
        let old = self.rules();
        let known = old.as_ref().map_or(0, |rules| rules.version);
        if rules.version > known || self.world.has(Defect::RulesGoBack) {
            let (version, now) = (rules.version, self.now());
            self.storage.transaction(Step::Adopt, |state| {
                state.rules = Some(Rc::clone(&rules));
                if rules.shards > 1 {
                    state.adapt_portions(old.as_deref(), &rules, now, self.world.defect);
                }
                Ok(())
            })?;
            *self.rules.borrow_mut() = Some(rules);
            self.portions.forget_said();
            return Ok(version);
        }
        Ok(known)
    }

    /// The shard that keeps a code's uses, where it is not this one.
    fn elsewhere(&self, seq: u32, mref: &Mref) -> Option<u32> {
        self.rules().map(|rules| rules.shard_of(seq, mref)).filter(|shard| *shard != self.own)
    }

    /// What its rules say of a code now, and nothing is done.
    async fn preview(&self, facts: &Facts, rid: &Rid) -> Result<Reply, Fault> {
        self.know(facts).await?;
        if let Some(shard) = self.elsewhere(facts.seq, &rid.mref()) {
            return Ok(Reply::Elsewhere(shard));
        }
        let settled = self.settled.take();
        if !settled.is_empty() {
            let _ = self.flush(&settled);
        }
        let names = self.world.names();
        let (state, rules) = (self.storage.read()?, self.rules());
        let Some(rules) = rules.filter(|rules| recognised(Some(rules), facts)) else {
            return Ok(Reply::Previewed(Some(Refusal::CodeNotRecognised)));
        };
        let calendar = Calendar::at(facts.at, &Utc);
        // What other shards have left is asked of nobody here: a preview promises nothing.
        let left = (rules.shards > 1).then(Vec::new);
        let usage = state.usage((facts, rid), (Some(&rules), &calendar), left, self.world.defect);
        let verdicts = evaluate(&rules, &calendar, facts, None, &usage, |rid| names.redemption(rid));
        Ok(Reply::Previewed(verdicts.into_iter().find_map(|(_, refusal)| refusal)))
    }

    /// A decided use is given back. Repeats find nothing and are acknowledged again.
    fn undo(&self, state: &mut ShardState, rid: &Rid, seq: u32) -> Result<Reply, Fault> {
        let (now, defect) = (self.now(), self.world.defect);
        let twice = self.world.has(Defect::UndoNotIdempotent);
        let pending: Vec<u32> =
            state.pending.iter().filter(|((known, _), _)| known == rid).map(|(_, pending)| pending.seq).collect();
        let step = undo(state.uses.contains(&(seq, *rid)), !pending.is_empty());
        if !step.drop_use
            && !step.drop_pending
            && let Some(shard) = self.elsewhere(seq, &rid.mref())
        {
            return Ok(Reply::Elsewhere(shard));
        }
        state.undone.insert(*rid);
        if step.drop_pending {
            // Prepared for another command under the same key, it may be another code's use.
            for pending_seq in pending {
                state.drop_use(pending_seq, rid, now, defect)?;
            }
            state.pending.retain(|(known, _), _| known != rid);
        }
        if step.drop_use {
            state.drop_use(seq, rid, now, defect)?;
        } else if twice {
            state.total = state.total.saturating_sub(1);
        }
        Ok(Reply::Done)
    }

    /// Pulls the rules when there are none yet, or when this code is not known.
    async fn know(&self, facts: &Facts) -> Result<(), Fault> {
        let recent = self.pulled_at.get().is_some_and(|at| at.plus_ms(PULL_AGAIN_MS) > self.now());
        if recognised(self.rules().as_deref(), facts) || recent {
            return Ok(());
        }
        self.pull().await
    }

    /// Asks the Campaign for its rules.
    pub(crate) async fn pull(&self) -> Result<(), Fault> {
        let asked = self.world.call(Party::Campaign(self.campaign), Step::Pull, Request::Pull { shard: self.own });
        let bound_ms = if self.world.has(Defect::PullUnbounded) { 10 * DAY_MS } else { CAMPAIGN_WAIT_MS };
        let pulled = match select(asked, pin!(self.world.delay(bound_ms))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("the campaign did not answer in time")),
        }?;
        let Reply::Pulled(rules) = pulled else {
            return Err(Fault("the rules were expected"));
        };
        if self.world.has(Defect::PulledTooSoon) {
            self.pulled_at.set(Some(self.now()));
        }
        if let Some(rules) = rules {
            self.adopt(rules)?;
        }
        self.pulled_at.set(Some(self.now()));
        Ok(())
    }

    /// Joins the group under way, or commits at once when idle.
    pub(crate) async fn enqueue(self: &Rc<Self>, attempt: Attempt) -> Result<Outcome, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((attempt, sender));
        let full = self.waiting.borrow().len() >= GROUP_ITEMS_MAX;
        let idle = !self.scheduled.get() && self.last_group.get().plus_ms(GROUP_WAIT_MS) <= self.now();
        if idle || full {
            self.commit_group();
        } else if !self.scheduled.replace(true) {
            let shard = Rc::clone(self);
            self.world.spawn(Party::Shard(self.number), async move {
                shard.world.delay(GROUP_WAIT_MS).await;
                shard.scheduled.set(false);
                shard.commit_group();
            });
        }
        receiver.await.unwrap_or(Err(Fault("the group was lost")))
    }

    /// One turn: settles what was decided, then each waiting intent in its own transaction.
    fn commit_group(&self) {
        self.last_group.set(self.now());
        let settled = self.settled.take();
        if !settled.is_empty() {
            // When it fails the rows stay pending; the alarm asks the Members again.
            let _ = self.flush(&settled);
        }
        let group = self.waiting.take();
        let in_company = group.len() > 1;
        for (attempt, sender) in group {
            let _ = sender.send(self.prepare(&attempt, in_company));
        }
    }

    fn flush(&self, settled: &[(Rid, Fingerprint)]) -> Result<(), Fault> {
        self.storage.transaction(Step::Flush, |state| {
            settled.iter().try_for_each(|(rid, fp)| self.close(state, rid, fp, Fate::Committed))
        })
    }

    fn prepare(&self, attempt: &Attempt, in_company: bool) -> Result<Outcome, Fault> {
        let Attempt { intent, exhausted } = attempt;
        let Some(rules) = self.rules().filter(|rules| rules.shards > 1) else {
            let step = self.decide(intent, None)?;
            return self.carry_out(intent, step, &[], in_company).map(Outcome::Answer);
        };
        let code = intent.code().ok_or(Fault("an intent about no code"))?;
        let needs = rules.needs(&Calendar::at(code.facts.at, &Utc));
        let (mut used_up, mut short, mut open) = (vec![], false, false);
        for need in &needs {
            let now = self.now();
            let free = self.storage.write(|state| state.portion(&need.meter, &rules, now, self.world.defect).free())?;
            if free < need.amount && exhausted.contains(&need.meter) {
                used_up.push((need.meter, free));
            } else {
                short |= free < need.amount;
                open |= free < need.amount && is_open(need, exhausted);
            }
        }
        // Of two limits the first refuses: one that is undecided is asked about, whatever the later ones say.
        let step = self.decide(intent, Some(if open { vec![] } else { used_up }))?;
        if short && matches!(step, PrepareStep::Consume(_)) {
            return Ok(Outcome::Short);
        }
        self.carry_out(intent, step, &needs, in_company).map(Outcome::Answer)
    }

    /// What this shard does with an intent, and nothing is done yet.
    pub(crate) fn decide(&self, intent: &Intent, left: Option<Vec<(Meter, u64)>>) -> Result<PrepareStep, Fault> {
        let names = self.world.names();
        let twice = self.world.has(Defect::PrepareTwice);
        let state = self.storage.read()?;
        let cached = self.rules();
        let believed = self.world.believed(cached.as_deref(), intent);
        let rules = believed.as_ref().or(cached.as_deref());
        let facts = &intent.code().ok_or(Fault("an intent about no code"))?.facts;
        let pending = state.pending.get(&(intent.rid, intent.fp));
        let calendar = Calendar::at(facts.at, &Utc);
        let keeper = rules.map_or(self.own, |rules| rules.shard_of(facts.seq, &intent.rid.mref()));
        let view = ShardView {
            rules,
            calendar: &calendar,
            shard: if self.world.has(Defect::KeeperUnchecked) { keeper } else { self.own },
            pending: pending.filter(|_| !twice).map(|pending| pending.prepared.clone()),
            other_pending: !self.world.has(Defect::OtherPendingIgnored) && state.other_pending(&intent.rid, &intent.fp),
            used_by_rid: !twice && state.uses.contains(&(facts.seq, intent.rid)),
            usage: state.usage((facts, &intent.rid), (rules, &calendar), left, self.world.defect),
        };
        let now = if self.world.has(Defect::DeadlineIgnored) { Instant(0) } else { self.now() };
        Ok(prepare(&view, intent, now, |rid| names.redemption(rid)))
    }

    fn carry_out(
        &self,
        intent: &Rc<Intent>,
        step: PrepareStep,
        needs: &[Need],
        in_company: bool,
    ) -> Result<PrepareAnswer, Fault> {
        let (now, twice) = (self.now(), self.world.has(Defect::PrepareTwice));
        match step {
            PrepareStep::Answer(answer) => Ok(answer),
            PrepareStep::AskFirst => self.storage.transaction(Step::Consume, |state| {
                state.ask_now(&intent.rid.mref(), now);
                state.due.plan(Item::Pending, now, now);
                Ok(PrepareAnswer::Late)
            }),
            PrepareStep::Consume(prepared) => self.storage.transaction(Step::Consume, |state| {
                // One item of a group fails; the others must not notice.
                if in_company && self.world.strikes(Step::Consume, Kind::ItemFails) {
                    return Err(Fault("this item cannot be written"));
                }
                for need in needs {
                    state.spend(need)?;
                }
                let ask_at = now.plus_ms(INQUIRE_AFTER_MS);
                state.consume(intent, &prepared, ask_at, twice)?;
                let behind = self.world.has(Defect::InquiryBehind);
                let next = state.due.items.get(&Item::Pending).map(|planned| planned.at);
                let next = if self.world.has(Defect::PendingCrowdedOut) { state.due.next() } else { next };
                let later = next.is_none_or(|next| next > ask_at && !behind);
                if later && !self.world.has(Defect::AlarmNotArmed) {
                    state.due.plan(Item::Pending, ask_at, now);
                }
                Ok(PrepareAnswer::Prepared(prepared))
            }),
        }
    }

    /// Ends a pending row by the Member's word.
    fn close(&self, state: &mut ShardState, rid: &Rid, fp: &Fingerprint, fate: Fate) -> Result<(), Fault> {
        let pending = state.pending.contains_key(&(*rid, *fp));
        match settle(pending, fate) {
            PendingStep::Commit => state.commit(rid, fp),
            PendingStep::GiveBack => state.give_back(rid, fp, self.now(), self.world.defect)?,
            PendingStep::Hold { .. } if self.world.has(Defect::HeldUntold) => {}
            PendingStep::Hold { until } => {
                // The Member ends it by its own alarm; this one is for what gets lost.
                let now = self.now();
                state.hold(rid, fp, until, until.max(now).plus_ms(HOLD_GRACE_MS));
            }
            PendingStep::Keep => {
                if fate == Fate::Aborted && self.world.has(Defect::AbortUndoesSettled) {
                    let used = state.uses.iter().find(|(_, used)| used == rid).copied();
                    if used.is_some_and(|used| state.uses.remove(&used)) {
                        state.total = state.total.saturating_sub(1);
                    }
                }
            }
        }
        Ok(())
    }

    fn plan_inquiry(&self) -> Result<(), Fault> {
        let now = self.now();
        let next = self.storage.read()?.next_inquiry(now);
        self.storage.write(|state| match next {
            Some(at) => state.due.plan(Item::Pending, at, now),
            None => state.due.done(Item::Pending),
        })
    }

    /// The alarm: asks the Members of intents that have waited too long what became of them.
    pub(crate) async fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        let now = self.now();
        let net = Net::of(self.world.defect);
        let items = self.storage.transaction(Step::ShardAlarm, |state| Ok(state.due.take(now, self.world.defect)))?;
        if items.contains(&Item::Pending) {
            let settled = self.settled.take();
            if !settled.is_empty() {
                // When it fails the Members are asked.
                let _ = self.flush(&settled);
            }
            let overdue = self.storage.read()?.overdue(now);
            for pending in overdue {
                let (rid, fp) = (pending.intent.rid, pending.intent.fp);
                let Some(member) = self.world.member_of(&rid) else {
                    continue;
                };
                let request = Request::Inquire { intent: pending.intent, prepared: pending.prepared };
                let asked = self.world.call(Party::Member(member), Step::Inquire, request);
                let bound_ms = if self.world.has(Defect::InquiryUnbounded) { 3_600_000 } else { MEMBER_WAIT_MS };
                let answer = match select(asked, pin!(self.world.delay(bound_ms))).await {
                    Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
                    Either::Right(_) => Err(Fault("the member did not answer in time")),
                };
                let silence = if self.world.has(Defect::SilenceIsNo) { Fate::Aborted } else { Fate::Running };
                let fate = match answer {
                    Ok(Reply::Fate(fate)) => fate,
                    Ok(_) | Err(_) => silence,
                };
                let again = self.now().plus_ms(backoff_ms(pending.tries, self.world.random_u32()));
                let closed = self.storage.transaction(Step::Fate, |state| {
                    self.close(state, &rid, &fp, fate)?;
                    if !matches!(fate, Fate::Held { .. }) {
                        state.ask_again(&rid, &fp, again);
                    }
                    Ok(())
                });
                if self.world.has(Defect::InquiryStops) {
                    closed?;
                } else if closed.is_err() {
                    self.storage.write(|state| state.ask_again(&rid, &fp, again))?;
                }
            }
            self.plan_inquiry()?;
        }
        if items.contains(&Item::Returns) {
            let done = self.return_surplus().await;
            self.world.survive(Party::Shard(self.number), &self.storage, Item::Returns, done);
        }
        if net != Net::Never {
            let now = self.now();
            self.storage.write(|state| state.due.rearm(now))?;
        }
        Ok(())
    }
}
