//! A Member's shell, line by line as `edge/src/member_drive.rs` runs it: the decisions are core's own.

use crate::defect::Defect;
use crate::disk::{Disk, Fault};
use crate::due::{Item, Net};
use crate::fault::Step;
use crate::member_state::{MemberState, Record};
use crate::message::{Answer, Out, Party, RedeemCall, Reply, Request};
use crate::world::World;
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DECISION_WAIT_MS, INTENT_DEADLINE_MS};
use counterfoil_core::protocol::member::{
    DecideStep, Known, MemberView, Receipt, Settlement, decide, inquire, open, receive,
};
use counterfoil_core::protocol::{Fate, Intent, MESSAGE_VERSION, PrepareAnswer, Prepared, backoff_ms};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::Facts;
use counterfoil_core::token::Attributes;
use counterfoil_core::wire::{Event, Method};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;

const PARTICIPANT_WAIT_MS: i64 = 8_000;
const LATE_MAX: u32 = 3;
/// Why a redemption is tried again.
const UNREACHED: &str = "a participant could not be reached";
/// As [`UNREACHED`]: until something of the balance is spent.
pub(crate) const OVERFLOW: &str = "the balance would exceed what clients keep exactly";

/// How a run ended, for those who wait for it.
#[derive(Clone, Debug)]
enum Ended {
    Recorded,
    Refused(Refusal),
    Kept,
    Overflow,
    Failed(Fault),
}

struct Run {
    intent: Intent,
    waiters: Vec<oneshot::Sender<Ended>>,
}

/// See the module. All of its own fields are volatile.
pub(crate) struct Member {
    world: Rc<World>,
    number: usize,
    disk: Rc<Disk<MemberState>>,
    runs: RefCell<BTreeMap<Rid, Run>>,
    queues: RefCell<BTreeMap<u16, VecDeque<oneshot::Sender<()>>>>,
    /// For [`Defect::FeedFromMemory`].
    last_event: Cell<Option<u64>>,
}

impl Member {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<MemberState>>) -> Self {
        Self {
            world: Rc::clone(world),
            number,
            disk: Rc::clone(disk),
            runs: RefCell::default(),
            queues: RefCell::default(),
            last_event: Cell::new(None),
        }
    }

    fn now(&self) -> counterfoil_core::time::Instant {
        self.world.now()
    }

    fn known(&self, rid: &Rid) -> Known {
        self.disk.read().known(rid)
    }

    fn is_running(&self, rid: &Rid) -> bool {
        self.runs.borrow().contains_key(rid)
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.disk.read().due.clone().heal(now) {
            self.disk.write(|state| state.due.heal(now));
        }
        match request {
            Request::Redeem(call) => {
                Ok(Reply::Answer(self.redeem(&call).await.unwrap_or_else(Answer::Failed)))
            }
            Request::Inquire { intent, prepared } => self.fate(&intent, &prepared).map(Reply::Fate),
            Request::Read => Ok(Reply::Done),
            Request::Recognise { .. }
            | Request::Prepare { .. }
            | Request::Settle { .. }
            | Request::Rules(_)
            | Request::Pull { .. }
            | Request::Administer(_) => Err(Fault("not asked of a member")),
        }
    }

    /// Step 2: a request arrives.
    async fn redeem(self: &Rc<Self>, call: &RedeemCall) -> Result<Answer, Fault> {
        let now = self.now();
        let attempts = self.disk.read().attempts(now);
        let mut known = self.known(&call.rid);
        if self.world.has(Defect::FingerprintIgnored) {
            known = match known {
                Known::Absent => Known::Absent,
                Known::Open(_) => Known::Open(call.fp),
                Known::Decided(_) => Known::Decided(call.fp),
            };
        }
        match receive(known, &call.fp, &attempts, call.code.is_some(), now) {
            Receipt::Replay => return self.replay(call).await,
            Receipt::KeyReused => return Ok(Answer::KeyReused),
            Receipt::TooManyAttempts { retry_after_s } => {
                return Ok(Answer::Refused(Refusal::TooManyAttempts { retry_after_s }));
            }
            Receipt::Unrecognised => {
                self.add_attempt()?;
                return Ok(Answer::Refused(Refusal::CodeNotRecognised));
            }
            Receipt::Proceed => {}
        }
        let running: Option<Fingerprint> = self.runs.borrow().get(&call.rid).map(|run| run.intent.fp);
        match running {
            Some(fp) if fp != call.fp => return Ok(Answer::KeyReused),
            Some(_) => {
                let waiter = self.join(&call.rid);
                return self.await_end(&call.rid, waiter).await;
            }
            None => {}
        }
        let Some(intent) = self.intent(call) else { return Ok(Answer::Refused(Refusal::CodeNotRecognised)) };
        if call.respond_async {
            return self.accept(intent).await;
        }
        let rid = intent.rid;
        let waiter = self.start(intent);
        self.await_end(&rid, waiter).await
    }

    fn add_attempt(&self) -> Result<(), Fault> {
        let now = self.now();
        self.disk.transaction(&self.world, Step::Attempt, |state| {
            state.add_attempt(now);
            Ok(())
        })
    }

    fn intent(&self, call: &RedeemCall) -> Option<Intent> {
        let (campaign, seq) = call.code?;
        let now = self.now();
        Some(Intent {
            v: MESSAGE_VERSION,
            rid: call.rid,
            fp: call.fp,
            campaign,
            facts: Facts {
                at: now,
                seq,
                epoch: 0,
                profile: Profile::S20,
                epoch_revoked: false,
                method: Method::Frontend,
                currency: None,
                attributes: Attributes::default(),
                roles: vec![],
                member_uses: self.disk.read().uses(campaign),
            },
            order: call.order.clone(),
            actor: "member".to_owned(),
            own: true,
            deadline: now.plus_ms(INTENT_DEADLINE_MS),
        })
    }

    /// `Prefer: respond-async`.
    async fn accept(self: &Rc<Self>, intent: Intent) -> Result<Answer, Fault> {
        let request = Request::Recognise { facts: intent.facts.clone() };
        let asked = self.ask_shard(intent.campaign, Step::Recognise, request).await;
        if matches!(asked, Ok(Reply::Recognised(false))) {
            self.add_attempt()?;
            return Ok(Answer::Refused(Refusal::CodeNotRecognised));
        }
        let rid = intent.rid;
        // Another request with this key may have come in while the shard was asked.
        let blind = self.world.has(Defect::AcceptBlind);
        let known = self.known(&rid);
        let running = self.runs.borrow().get(&rid).map(|run| run.intent.fp);
        let taken = match known {
            Known::Absent => running,
            Known::Open(fp) | Known::Decided(fp) => Some(fp),
        };
        if !blind && taken.is_some_and(|fp| fp != intent.fp) {
            return Ok(Answer::KeyReused);
        }
        if known == Known::Absent {
            if self.world.has(Defect::AcceptUnwritten) {
                drop(self.start(intent));
                return Ok(Answer::Accepted);
            }
            self.keep(&intent, 0, None)?;
        }
        let answer = self.current(&rid)?;
        if running.is_none() && (blind || !matches!(known, Known::Decided(_))) {
            drop(self.start(intent));
        }
        Ok(answer)
    }

    /// The same key again.
    async fn replay(self: &Rc<Self>, call: &RedeemCall) -> Result<Answer, Fault> {
        let undecided = matches!(self.known(&call.rid), Known::Open(_));
        if undecided && !call.respond_async {
            if !self.is_running(&call.rid) {
                self.drive_again(&call.rid)?;
            }
            let waiter = self.join(&call.rid);
            return self.await_end(&call.rid, waiter).await;
        }
        self.current(&call.rid)
    }

    /// Waits for a run's end, at most two seconds; then the redemption is kept and a 202 names it.
    async fn await_end(self: &Rc<Self>, rid: &Rid, waiter: oneshot::Receiver<Ended>) -> Result<Answer, Fault> {
        let ended = match select(waiter, pin!(self.world.delay(DECISION_WAIT_MS))).await {
            Either::Left((ended, _)) => ended.unwrap_or(Ended::Kept),
            Either::Right(_) => Ended::Kept,
        };
        match ended {
            Ended::Recorded | Ended::Kept => {
                if self.known(rid) == Known::Absent {
                    let intent = self.runs.borrow().get(rid).map(|run| run.intent.clone());
                    self.keep(&intent.ok_or(Fault("a run ended without a record"))?, 0, None)?;
                }
                self.current(rid)
            }
            Ended::Refused(refusal) => Ok(Answer::Refused(refusal)),
            Ended::Overflow => Ok(Answer::Overflow),
            Ended::Failed(fault) => Ok(Answer::Failed(fault)),
        }
    }

    /// The redemption as it stands.
    fn current(&self, rid: &Rid) -> Result<Answer, Fault> {
        let redemption = self.disk.read().redemption(rid).ok_or(Fault("a redemption is missing"))?;
        Ok(match (&redemption.refusal, redemption.status) {
            (Some(refusal), _) => Answer::Refused(refusal.clone()),
            (None, status) if !status.is_decided() => Answer::Accepted,
            (None, _) => Answer::Created(redemption),
        })
    }

    fn join(&self, rid: &Rid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        if let Some(run) = self.runs.borrow_mut().get_mut(rid) {
            run.waiters.push(sender);
        }
        receiver
    }

    /// Starts a run in a task of its own.
    fn start(self: &Rc<Self>, intent: Intent) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let rid = intent.rid;
        self.runs.borrow_mut().insert(rid, Run { intent: intent.clone(), waiters: vec![sender] });
        let member = Rc::clone(self);
        self.world.spawn(Party::Member(self.number), async move {
            let (ended, settlement) = member.run(&intent).await;
            let run = member.runs.borrow_mut().remove(&rid);
            for waiter in run.into_iter().flat_map(|run| run.waiters) {
                let _ = waiter.send(ended.clone());
            }
            member.settle(&intent, settlement).await;
        });
        receiver
    }

    /// Steps 3 to 5 for one redemption, one at a time for each campaign.
    async fn run(self: &Rc<Self>, intent: &Intent) -> (Ended, Settlement) {
        let mut intent = intent.clone();
        let _turn = self.take_turn(intent.campaign).await;
        if !self.world.has(Defect::LimitReadEarly) {
            intent.facts.member_uses = self.disk.read().uses(intent.campaign);
        }
        for _ in 0..LATE_MAX {
            intent.deadline = self.now().plus_ms(INTENT_DEADLINE_MS);
            let request = Request::Prepare { intent: Rc::new(intent.clone()) };
            let answer = match self.ask_shard(intent.campaign, Step::Prepare, request).await {
                Ok(Reply::Prepared(answer)) => answer,
                Ok(_) => return (self.fail(&intent, UNREACHED), Settlement::None),
                Err(_) => return (self.fail(&intent, UNREACHED), Settlement::None),
            };
            match self.conclude(&intent, &answer) {
                Ok((Some(Ended::Overflow), settlement)) => {
                    let open = matches!(self.known(&intent.rid), Known::Open(_));
                    let driven = open && !self.world.has(Defect::OverflowForgotten);
                    let ended = if driven { self.fail(&intent, OVERFLOW) } else { Ended::Overflow };
                    return (ended, settlement);
                }
                Ok((Some(ended), settlement)) => return (ended, settlement),
                Ok((None, _)) => {}
                Err(fault) => {
                    let abort = matches!(answer, PrepareAnswer::Prepared(_)) && self.aborts_undecided();
                    let settlement = if abort { Settlement::Abort } else { Settlement::None };
                    return (Ended::Failed(fault), settlement);
                }
            }
        }
        (self.fail(&intent, UNREACHED), Settlement::None)
    }

    /// Step 5: decides and writes in one transaction. `None` asks the participant again.
    fn conclude(&self, intent: &Intent, answer: &PrepareAnswer) -> Result<(Option<Ended>, Settlement), Fault> {
        let at = self.now();
        let mut answer = answer.clone();
        if self.world.has(Defect::LimitReadEarly)
            && let PrepareAnswer::Prepared(prepared) = &mut answer
        {
            prepared.per_member = None;
        }
        let (ended, settlement, events) = self.disk.transaction(&self.world, Step::Decide, |state| {
            let overwrite = self.world.has(Defect::DecidedOverwritten);
            let wallet = state.wallet.clone();
            let view = MemberView {
                known: if overwrite { Known::Absent } else { state.known(&intent.rid) },
                member_uses: state.uses(intent.campaign),
                wallet: &wallet,
                next_ledger_row: state.next_ledger_row(),
                granted: state.redemptions.get(&intent.rid).is_some_and(Record::granted),
                opened_at: state.open.get(&intent.rid).map(|open| open.opened_at),
            };
            let Ok(step) = decide(&view, intent, &answer, &self.world.names(), at) else {
                let abort = self.aborts_undecided();
                let settlement = if abort { Settlement::Abort } else { Settlement::None };
                return Ok((Some(Ended::Overflow), settlement, vec![]));
            };
            Ok(match step {
                DecideStep::Commit(decision) => {
                    let settlement = decision.settlement;
                    let ended = match (&decision.redemption, &decision.refusal) {
                        (None, Some(refusal)) => Ended::Refused(refusal.clone()),
                        (_, _) => Ended::Recorded,
                    };
                    self.remember_feed(state);
                    let events = state.apply(intent, *decision, at, self.world.defect)?;
                    self.last_event.set(state.remembered);
                    state.due.done(Item::Open(intent.rid));
                    (Some(ended), settlement, events)
                }
                DecideStep::Replay => (Some(Ended::Recorded), Settlement::Settle, vec![]),
                DecideStep::Abort => (Some(Ended::Recorded), Settlement::Abort, vec![]),
                DecideStep::Retry => (None, Settlement::None, vec![]),
            })
        })?;
        self.publish(events);
        Ok((ended, settlement))
    }

    fn aborts_undecided(&self) -> bool {
        self.world.has(Defect::AbortUndecided) || self.world.has(Defect::AbortUndoesSettled)
    }

    fn remember_feed(&self, state: &mut MemberState) {
        if self.world.has(Defect::FeedFromMemory) {
            let stored = state.events.last().map_or(0, |event| event.seq);
            state.remembered = Some(self.last_event.get().unwrap_or(stored));
        }
    }

    fn publish(&self, events: Vec<Rc<Event>>) {
        if !events.is_empty() {
            self.world.send(Out::Frames { member: self.number, events });
        }
    }

    /// A participant could not be reached: kept, and tried again by the alarm.
    fn fail(&self, intent: &Intent, error: &str) -> Ended {
        let tries = self.disk.read().open.get(&intent.rid).map_or(0, |open| open.tries) + 1;
        match self.keep(intent, tries, Some(error)) {
            Ok(()) => Ended::Kept,
            Err(fault) => Ended::Failed(fault),
        }
    }

    /// Makes an undecided redemption durable, with the alarm that drives it.
    fn keep(&self, intent: &Intent, tries: u32, last_error: Option<&str>) -> Result<(), Fault> {
        let at = self.now();
        let next = at.plus_ms(backoff_ms(tries, self.world.random_u32()));
        let events = self.disk.transaction(&self.world, Step::Open, |state| {
            let created_at = state.open.get(&intent.rid).map_or(at, |open| open.opened_at);
            let names = self.world.names();
            let redemption = open(intent, tries.max(1), last_error, Some(next), &names, created_at, at);
            state.due.plan(Item::Open(intent.rid), next);
            self.remember_feed(state);
            let events = state.open(&Rc::new(intent.clone()), redemption, tries)?;
            self.last_event.set(state.remembered);
            Ok(events)
        })?;
        self.publish(events);
        Ok(())
    }

    /// Step 8: the alarm, or a replay, drives an accepted redemption on.
    fn drive_again(self: &Rc<Self>, rid: &Rid) -> Result<(), Fault> {
        let now = self.now();
        if self.is_running(rid) {
            let again = now.plus_ms(INTENT_DEADLINE_MS);
            self.disk.step(Step::Redrive, |state| state.due.plan(Item::Open(*rid), again));
            return Ok(());
        }
        let opened = self.disk.read().open.get(rid).cloned();
        match opened {
            Some(open) => {
                let again = now.plus_ms(INTENT_DEADLINE_MS * 2);
                self.disk.transaction(&self.world, Step::Redrive, |state| {
                    state.due.plan(Item::Open(*rid), again);
                    if self.world.has(Defect::OpenDroppedEarly) {
                        state.open.remove(rid);
                        state.redemptions.remove(rid);
                        state.due.done(Item::Open(*rid));
                    }
                    Ok(())
                })?;
                drop(self.start((*open.intent).clone()));
            }
            None => self.disk.write(|state| state.due.done(Item::Open(*rid))),
        }
        Ok(())
    }

    /// Step 7: a participant asks.
    fn fate(&self, intent: &Intent, prepared: &Prepared) -> Result<Fate, Fault> {
        let overwrite = self.world.has(Defect::DecidedOverwritten);
        let known = if overwrite { Known::Absent } else { self.known(&intent.rid) };
        let granted = self.disk.read().redemption(&intent.rid).is_some_and(|doc| doc.refusal.is_none());
        let running = self.is_running(&intent.rid);
        if self.world.has(Defect::RunningIsNo) && running && !matches!(known, Known::Decided(_)) {
            return Ok(Fate::Aborted);
        }
        if let Ok(fate) = inquire(known, granted, running, &intent.fp) {
            return Ok(fate);
        }
        let (_, settlement) = self.conclude(intent, &PrepareAnswer::Prepared(prepared.clone()))?;
        Ok(match settlement {
            Settlement::Settle => Fate::Committed,
            Settlement::Abort | Settlement::None => Fate::Aborted,
        })
    }

    /// Step 6: tells the participant. When the message is lost, its alarm asks.
    async fn settle(&self, intent: &Intent, settlement: Settlement) {
        let (step, fate) = match settlement {
            Settlement::None => return,
            Settlement::Settle => (Step::Settle, Fate::Committed),
            Settlement::Abort => (Step::Abort, Fate::Aborted),
        };
        let request = Request::Settle { rid: intent.rid, fp: intent.fp, fate };
        let _ = self.ask_shard(intent.campaign, step, request).await;
    }

    /// Asks the campaign's shard, with a bound on the wait.
    async fn ask_shard(&self, campaign: u16, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.world.call(Party::Shard(place(campaign)), step, request);
        match select(asking, pin!(self.world.delay(PARTICIPANT_WAIT_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("the participant did not answer in time")),
        }
    }

    /// Waits for this campaign's turn; the turn ends when the guard is dropped.
    async fn take_turn(self: &Rc<Self>, campaign: u16) -> Turn {
        let waiting = {
            let mut queues = self.queues.borrow_mut();
            match queues.get_mut(&campaign) {
                Some(queue) => {
                    let (sender, receiver) = oneshot::channel();
                    queue.push_back(sender);
                    Some(receiver)
                }
                None => {
                    queues.insert(campaign, VecDeque::new());
                    None
                }
            }
        };
        if let Some(turn) = waiting {
            let _ = turn.await;
        }
        Turn { member: Rc::clone(self), campaign }
    }

    /// The alarm: drives what was accepted.
    pub(crate) fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        let now = self.now();
        let net = Net::of(self.world.defect);
        let items = self.disk.transaction(&self.world, Step::MemberAlarm, |state| Ok(state.due.take(now, net)))?;
        for item in items {
            match item {
                Item::Open(rid) => self.drive_again(&rid)?,
                Item::Pending | Item::Push => self.disk.write(|state| state.due.done(item)),
            }
        }
        if net != Net::Never {
            self.disk.write(|state| state.due.rearm(now));
        }
        Ok(())
    }
}

/// A campaign's number is its place in the world, from 1.
pub(crate) fn place(campaign: u16) -> usize {
    usize::from(campaign).saturating_sub(1)
}

/// The right to redeem in one campaign.
struct Turn {
    member: Rc<Member>,
    campaign: u16,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.member.queues.borrow_mut();
        loop {
            match queues.get_mut(&self.campaign).and_then(VecDeque::pop_front) {
                Some(next) => {
                    if next.send(()).is_ok() {
                        return;
                    }
                }
                None => {
                    queues.remove(&self.campaign);
                    return;
                }
            }
        }
    }
}
