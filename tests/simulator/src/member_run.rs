//! A Member's runs: steps 3 to 8 of one redemption, one at a time for each campaign.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::{Item, Net};
use crate::member::{Ended, Member, Run, place};
use crate::member_reward::Outside;
use crate::member_state::MemberState;
use crate::message::{Out, Party, Reply, Request};
use crate::step::Step;
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::INTENT_DEADLINE_MS;
use counterfoil_core::protocol::member::{Answers, DecideStep, Known, MemberView, Settlement, decide, inquire, open};
use counterfoil_core::protocol::{Fate, Intent, PrepareAnswer, Prepared, Wish, backoff_ms};
use counterfoil_core::wire::Event;
use futures_channel::oneshot;
use futures_util::future::{Either, join_all, select};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

const PARTICIPANT_WAIT_MS: i64 = 8_000;
const LATE_MAX: u32 = 3;
/// Tries at fulfillers in one turn of the alarm.
const TRIES_PER_TURN: u32 = 6;
/// Why a redemption is tried again.
const UNREACHED: &str = "a participant could not be reached";
/// As [`UNREACHED`]: until something of the balance is spent.
pub(crate) const OVERFLOW: &str = "the balance would exceed what clients keep exactly";

impl Member {
    /// Starts a run in a task of its own.
    pub(crate) fn start(self: &Rc<Self>, intent: Intent) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let rid = intent.rid;
        self.runs.borrow_mut().insert(rid, Run { intent: intent.clone(), waiters: vec![sender] });
        let member = Rc::clone(self);
        self.world.spawn(Party::Member(self.number), async move {
            let (ended, settlement) = member.run(&intent).await;
            let decided = matches!(ended, Ended::Recorded);
            let run = member.runs.borrow_mut().remove(&rid);
            for waiter in run.into_iter().flat_map(|run| run.waiters) {
                let _ = waiter.send(ended.clone());
            }
            if decided {
                member.start_tries(&rid);
            }
            member.settle(&intent, settlement).await;
            member.report().await;
        });
        receiver
    }

    /// Steps 3 to 5 for one redemption, one at a time for each campaign.
    pub(crate) async fn run(self: &Rc<Self>, intent: &Intent) -> (Ended, Settlement) {
        let mut intent = intent.clone();
        let _turn = self.take_turn(intent.campaign()).await;
        for _ in 0..LATE_MAX {
            match self.storage.read().map(|state| state.uses(intent.campaign())) {
                Ok(_) if self.world.has(Defect::LimitReadEarly) => {}
                Ok(uses) => {
                    if let Wish::Code(code) = &mut intent.wish {
                        code.facts.member_uses = uses;
                    }
                }
                Err(fault) => return (Ended::Failed(fault), Settlement::None),
            }
            intent.deadline = self.now().plus_ms(INTENT_DEADLINE_MS);
            let request = Request::Prepare { intent: Rc::new(intent.clone()) };
            let answer = match self.ask_shard(intent.campaign(), Step::Prepare, request).await {
                Ok(Reply::Prepared(answer)) => answer,
                Ok(_) => return (self.fail(&intent, UNREACHED), Settlement::None),
                Err(_) => return (self.fail(&intent, UNREACHED), Settlement::None),
            };
            match self.conclude(&intent, &answer) {
                Ok((Some(Ended::Overflow), settlement)) => {
                    let open = matches!(self.known(&intent.rid), Ok(Known::Open(_)));
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
    pub(crate) fn conclude(
        self: &Rc<Self>,
        intent: &Intent,
        answer: &PrepareAnswer,
    ) -> Result<(Option<Ended>, Settlement), Fault> {
        let at = self.now();
        let mut answer = answer.clone();
        if self.world.has(Defect::LimitReadEarly)
            && let PrepareAnswer::Prepared(prepared) = &mut answer
        {
            prepared.per_member = None;
        }
        let (pid, member_id) = (self.pid(), self.member_id());
        let (ended, settlement, events) = self.storage.transaction(Step::Decide, |state| {
            let overwrite = self.world.has(Defect::DecidedOverwritten);
            let answers = Answers { shard: Some(&answer), pool: None };
            let wallet = state.wallet_at(at, self.world.defect);
            let view = MemberView {
                known: if overwrite { Known::Absent } else { state.known(&intent.rid) },
                member_uses: state.uses(intent.campaign()),
                wallet: &wallet,
                next_ledger_row: state.next_ledger_row(),
                consumed: state.redemptions.get(&intent.rid).is_some_and(|record| record.consumed),
                opened_at: state.open.get(&intent.rid).map(|open| open.opened_at),
                quote: None,
                last_bought_at: None,
                book: None,
                member_id: &member_id,
                pid: &pid,
            };
            let Ok(step) = decide(&view, intent, answers, &self.world.names(), at) else {
                let abort = self.aborts_undecided();
                let settlement = if abort { Settlement::Abort } else { Settlement::None };
                return Ok((Some(Ended::Overflow), settlement, vec![]));
            };
            Ok(match step {
                DecideStep::Commit(decision) => {
                    let settlement = decision.settlement;
                    let ended = match (&decision.changes.redemption, &decision.refusal) {
                        (None, Some(refusal)) => Ended::Refused(refusal.clone()),
                        (_, _) => Ended::Recorded,
                    };
                    self.remember_feed(state);
                    let events = state.apply(intent, *decision, &pid, at, self.world.defect)?;
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

    pub(crate) fn aborts_undecided(&self) -> bool {
        self.world.has(Defect::AbortUndecided) || self.world.has(Defect::AbortUndoesSettled)
    }

    pub(crate) fn remember_feed(&self, state: &mut MemberState) {
        if self.world.has(Defect::FeedFromMemory) {
            let stored = state.events.last().map_or(0, |event| event.seq);
            state.remembered = Some(self.last_event.get().unwrap_or(stored));
        }
    }

    pub(crate) fn publish(&self, events: Vec<Rc<Event>>) {
        if !events.is_empty() {
            self.world.send(Out::Frames { member: self.number, events });
        }
    }

    /// A participant could not be reached: kept, and tried again by the alarm.
    pub(crate) fn fail(&self, intent: &Intent, error: &str) -> Ended {
        let opened = self.storage.read().ok().and_then(|state| state.open.get(&intent.rid).map(|open| open.tries));
        let tries = opened.unwrap_or(0) + 1;
        match self.keep(intent, tries, Some(error)) {
            Ok(()) => Ended::Kept,
            Err(fault) => Ended::Failed(fault),
        }
    }

    /// Makes an undecided redemption durable, with the alarm that drives it.
    pub(crate) fn keep(&self, intent: &Intent, tries: u32, last_error: Option<&str>) -> Result<(), Fault> {
        let at = self.now();
        let next = at.plus_ms(backoff_ms(tries, self.world.random_u32()));
        let events = self.storage.transaction(Step::Open, |state| {
            let created_at = state.open.get(&intent.rid).map_or(at, |open| open.opened_at);
            let names = self.world.names();
            let redemption = open(intent, tries.max(1), last_error, Some(next), &names, created_at, at);
            state.due.plan(Item::Open(intent.rid), next, at);
            self.remember_feed(state);
            let events = state.open(&Rc::new(intent.clone()), redemption, tries)?;
            self.last_event.set(state.remembered);
            Ok(events)
        })?;
        self.publish(events);
        Ok(())
    }

    /// Step 8: the alarm, or a replay, drives an accepted redemption on.
    pub(crate) fn drive_again(self: &Rc<Self>, rid: &Rid) -> Result<(), Fault> {
        let now = self.now();
        if self.is_running(rid) {
            let again = now.plus_ms(INTENT_DEADLINE_MS);
            return self.storage.step(Step::Redrive, |state| state.due.plan(Item::Open(*rid), again, now));
        }
        let opened = self.storage.read()?.open.get(rid).cloned();
        match opened {
            Some(open) => {
                let again = now.plus_ms(INTENT_DEADLINE_MS * 2);
                self.storage.transaction(Step::Redrive, |state| {
                    state.due.plan(Item::Open(*rid), again, now);
                    if self.world.has(Defect::OpenDroppedEarly) {
                        state.open.remove(rid);
                        state.redemptions.remove(rid);
                        state.due.done(Item::Open(*rid));
                    }
                    Ok(())
                })?;
                drop(self.start((*open.intent).clone()));
            }
            None => self.storage.write(|state| state.due.done(Item::Open(*rid)))?,
        }
        Ok(())
    }

    /// Step 7: a participant asks.
    pub(crate) fn fate(self: &Rc<Self>, intent: &Intent, prepared: &Prepared) -> Result<Fate, Fault> {
        let overwrite = self.world.has(Defect::DecidedOverwritten);
        let known = if overwrite { Known::Absent } else { self.known(&intent.rid)? };
        let consumed = self.storage.read()?.redemptions.get(&intent.rid).is_some_and(|record| record.consumed);
        let running = self.is_running(&intent.rid);
        if self.world.has(Defect::RunningIsNo) && running && !matches!(known, Known::Decided(_)) {
            return Ok(Fate::Aborted);
        }
        if let Ok(fate) = inquire(known, consumed, None, running, &intent.fp) {
            return Ok(fate);
        }
        let (_, settlement) = self.conclude(intent, &PrepareAnswer::Prepared(prepared.clone()))?;
        self.start_tries(&intent.rid);
        self.start_report();
        Ok(match settlement {
            Settlement::Settle => Fate::Committed,
            Settlement::Abort | Settlement::None => Fate::Aborted,
        })
    }

    /// Step 6: what was decided against is given back at once; the rest the Recorder tells in bulk. When a message
    /// is lost, the participant's alarm asks.
    pub(crate) async fn settle(&self, intent: &Intent, settlement: Settlement) {
        if settlement == Settlement::Abort {
            let request = Request::Settle { rid: intent.rid, fp: intent.fp, fate: Fate::Aborted };
            let _ = self.ask_shard(intent.campaign(), Step::Abort, request).await;
        }
    }

    /// Asks the campaign's shard, with a bound on the wait.
    pub(crate) async fn ask_shard(&self, campaign: u16, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.world.call(Party::Shard(place(campaign)), step, request);
        match select(asking, pin!(self.world.delay(PARTICIPANT_WAIT_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("the participant did not answer in time")),
        }
    }

    /// Waits for this campaign's turn; the turn ends when the guard is dropped.
    pub(crate) async fn take_turn(self: &Rc<Self>, campaign: u16) -> Turn {
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

    /// The alarm: drives what was accepted, looks after rewards, and repeats what was not heard.
    pub(crate) async fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        let (party, now) = (Party::Member(self.number), self.now());
        let defect = self.world.defect;
        let items = self.storage.transaction(Step::MemberAlarm, |state| Ok(state.due.take(now, defect)))?;
        let mut tries = 0;
        let mut outside: Vec<(Item, Outside)> = vec![];
        for item in items {
            let begun = self.begin_item(item, &mut tries, &mut outside);
            if begun.is_err() && self.world.has(Defect::PoisonSpreads) {
                return begun;
            }
            self.world.survive(party, &self.storage, item, begun);
        }
        let ends = outside.into_iter().map(|(item, work)| async move {
            self.world.survive(party, &self.storage, item, work.await);
        });
        drop(join_all(ends).await);
        if Net::of(defect) != Net::Never {
            let now = self.now();
            self.storage.write(|state| state.due.rearm(now))?;
        }
        Ok(())
    }

    fn begin_item(
        self: &Rc<Self>,
        item: Item,
        tries: &mut u32,
        outside: &mut Vec<(Item, Outside)>,
    ) -> Result<(), Fault> {
        match item {
            Item::Open(rid) => self.drive_again(&rid)?,
            Item::Undo(rid) => outside.push((item, Box::pin(Rc::clone(self).give_back(rid)))),
            Item::Reward(rid, index) if *tries < TRIES_PER_TURN => {
                if let Some(work) = self.wake_reward(rid, index)? {
                    *tries += 1;
                    outside.push((item, work));
                }
            }
            Item::Reward(..) => {
                let now = self.now();
                self.storage.write(|state| state.due.plan(item, now, now))?;
            }
            Item::Report => outside.push((item, Box::pin(Rc::clone(self).ring_report()))),
            Item::Pending | Item::Push | Item::Wake => self.storage.write(|state| state.due.done(item))?,
        }
        Ok(())
    }
}

/// The right to redeem in one campaign.
pub(crate) struct Turn {
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
