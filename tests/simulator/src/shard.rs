//! A CodeShard's shell, line by line as `edge/src/shard.rs` runs it: the decisions are core's own.

use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage};
use crate::due::{Item, Net};
use crate::message::{Party, Reply, Request};
use crate::shard_state::ShardState;
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::INQUIRE_AFTER_MS;
use counterfoil_core::protocol::shard::{PendingStep, PrepareStep, ShardView, Undo, prepare, settle, undo};
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

type Waiting = (Rc<Intent>, oneshot::Sender<Result<PrepareAnswer, Fault>>);

/// See the module. All of its own fields are volatile.
pub(crate) struct Shard {
    world: Rc<World>,
    number: usize,
    storage: Storage<ShardState>,
    /// As the storage has them.
    rules: RefCell<Option<Rc<Rules>>>,
    pulled_at: Cell<Option<Instant>>,
    waiting: RefCell<Vec<Waiting>>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
    last_group: Cell<Instant>,
    scheduled: Cell<bool>,
}

impl Shard {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<ShardState>>) -> Self {
        Self {
            world: Rc::clone(world),
            number,
            storage: Storage::new(disk, world, Party::Shard(number)),
            rules: RefCell::new(disk.read().rules.clone()),
            pulled_at: Cell::new(None),
            waiting: RefCell::default(),
            settled: RefCell::default(),
            last_group: Cell::new(Instant(0)),
            scheduled: Cell::new(false),
        }
    }

    fn now(&self) -> Instant {
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
                self.enqueue(intent).await.map(Reply::Prepared)
            }
            Request::Recognise { facts } => {
                self.know(&facts).await?;
                Ok(Reply::Recognised(recognised(self.rules().as_deref(), &facts)))
            }
            Request::Preview { facts, rid } => {
                self.know(&facts).await?;
                let settled = self.settled.take();
                if !settled.is_empty() {
                    let _ = self.flush(&settled);
                }
                let names = self.world.names();
                let (state, rules) = (self.storage.read()?, self.rules());
                let Some(rules) = rules.filter(|rules| recognised(Some(rules), &facts)) else {
                    return Ok(Reply::Previewed(Some(Refusal::CodeNotRecognised)));
                };
                let usage = state.usage(&facts, &rid, Some(&rules), self.world.defect);
                let verdicts =
                    evaluate(&rules, &Calendar::at(facts.at, &Utc), &facts, None, &usage, |rid| names.redemption(rid));
                Ok(Reply::Previewed(verdicts.into_iter().find_map(|(_, refusal)| refusal)))
            }
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
                let twice = self.world.has(Defect::UndoNotIdempotent);
                self.storage.step(Step::UseBack, |state| {
                    let Undo { drop_use, drop_pending } =
                        undo(state.uses.contains(&(seq, rid)), state.is_pending_for(seq, &rid));
                    if drop_use || twice {
                        state.uses.remove(&(seq, rid));
                        state.held.remove(&(seq, rid));
                        state.total = state.total.saturating_sub(1);
                    }
                    state.undone.insert(rid);
                    if drop_pending {
                        state.held.remove(&(seq, rid));
                        state.pending.retain(|(known, _), pending| *known != rid || pending.seq != seq);
                    }
                })?;
                Ok(Reply::Done)
            }
            Request::Rules(rules) => self.adopt(rules).map(Reply::Version),
            Request::Read => Ok(Reply::Done),
            Request::Redeem(_)
            | Request::Inquire { .. }
            | Request::Pull { .. }
            | Request::Administer(_)
            | Request::Report(_)
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

    fn rules(&self) -> Option<Rc<Rules>> {
        self.rules.borrow().clone()
    }

    /// Takes newer rules; never goes back. Answers the version that counts.
    fn adopt(&self, rules: Rc<Rules>) -> Result<u32, Fault> {
        let known = self.rules.borrow().as_ref().map_or(0, |rules| rules.version);
        if rules.version > known || self.world.has(Defect::RulesGoBack) {
            let version = rules.version;
            self.storage.transaction(Step::Adopt, |state| {
                state.rules = Some(Rc::clone(&rules));
                Ok(())
            })?;
            *self.rules.borrow_mut() = Some(rules);
            return Ok(version);
        }
        Ok(known)
    }

    /// Pulls the rules when there are none yet, or when this code is not known.
    async fn know(&self, facts: &Facts) -> Result<(), Fault> {
        let recent = self.pulled_at.get().is_some_and(|at| at.plus_ms(PULL_AGAIN_MS) > self.now());
        if recognised(self.rules().as_deref(), facts) || recent {
            return Ok(());
        }
        let asked = self.world.call(Party::Campaign(self.number), Step::Pull, Request::Pull { shard: 0 });
        let pulled = asked.await.unwrap_or(Err(Fault("the connection broke")))?;
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
    async fn enqueue(self: &Rc<Self>, intent: Rc<Intent>) -> Result<PrepareAnswer, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((intent, sender));
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
        for (intent, sender) in group {
            let answer = self.prepare(&intent, in_company);
            let _ = sender.send(answer);
        }
    }

    fn flush(&self, settled: &[(Rid, Fingerprint)]) -> Result<(), Fault> {
        self.storage.transaction(Step::Flush, |state| {
            settled.iter().try_for_each(|(rid, fp)| self.close(state, rid, fp, Fate::Committed))
        })
    }

    fn prepare(&self, intent: &Rc<Intent>, in_company: bool) -> Result<PrepareAnswer, Fault> {
        let now = self.now();
        let names = self.world.names();
        let twice = self.world.has(Defect::PrepareTwice);
        let step = {
            let state = self.storage.read()?;
            let cached = self.rules();
            let rules = cached.as_deref();
            let facts = &intent.code().ok_or(Fault("an intent about no code"))?.facts;
            let pending = state.pending.get(&(intent.rid, intent.fp));
            let calendar = Calendar::at(facts.at, &Utc);
            let view = ShardView {
                rules,
                calendar: &calendar,
                shard: 0,
                pending: pending.filter(|_| !twice).map(|pending| pending.prepared.clone()),
                other_pending: !self.world.has(Defect::OtherPendingIgnored)
                    && state.other_pending(&intent.rid, &intent.fp),
                used_by_rid: !twice && state.uses.contains(&(facts.seq, intent.rid)),
                usage: state.usage(facts, &intent.rid, rules, self.world.defect),
            };
            let now = if self.world.has(Defect::DeadlineIgnored) { Instant(0) } else { now };
            prepare(&view, intent, now, |rid| names.redemption(rid))
        };
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
                let ask_at = now.plus_ms(INQUIRE_AFTER_MS);
                state.consume(intent, &prepared, ask_at, twice)?;
                let behind = self.world.has(Defect::InquiryBehind);
                let later = state.due.next().is_none_or(|next| next > ask_at && !behind);
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
            PendingStep::GiveBack => state.give_back(rid, fp)?,
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
        if net != Net::Never {
            let now = self.now();
            self.storage.write(|state| state.due.rearm(now))?;
        }
        Ok(())
    }
}
