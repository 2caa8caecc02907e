//! A Member's runs: steps 3 to 8 of one redemption, one at a time for each campaign.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::{Item, Net};
use crate::member::{Ended, Member, Run, place};
use crate::member_reward::Outside;
use crate::member_state::MemberState;
use crate::message::{Out, Party, Reply, Request};
use crate::step::Step;
use counterfoil_core::calendar::DayCounts;
use counterfoil_core::checkout::Book;
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::INTENT_DEADLINE_MS;
use counterfoil_core::protocol::member::{
    Answers, DecideStep, Known, MemberView, Settlement, decide, inquire, open, pool_needed,
};
use counterfoil_core::protocol::pool::PoolAnswer;
use counterfoil_core::protocol::report::{Participant, Settled};
use counterfoil_core::protocol::{CodeWish, Fate, Intent, PrepareAnswer, Prepared, Purchase, Wish, backoff_ms};
use counterfoil_core::quote::Quote;
use counterfoil_core::reward::erasure::ERASED;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Event, Wallet};
use futures_channel::oneshot;
use futures_util::future::{Either, join_all, select};
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;

const PARTICIPANT_WAIT_MS: i64 = 8_000;
const LATE_MAX: u32 = 3;
/// Shards that are asked before one says that it keeps a code's uses: each knows which one does.
const HOPS_MAX: u32 = 3;
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
            let (ended, aborted) = member.run(&intent).await;
            let decided = matches!(ended, Ended::Recorded);
            let run = member.runs.borrow_mut().remove(&rid);
            for waiter in run.into_iter().flat_map(|run| run.waiters) {
                let _ = waiter.send(ended.clone());
            }
            if decided {
                member.start_tries(&rid);
            }
            member.abort(&intent, &aborted).await;
            member.report().await;
        });
        receiver
    }

    /// Steps 3 to 5 for one redemption, one at a time for each campaign. Answers whom to tell that it is given back.
    pub(crate) async fn run(self: &Rc<Self>, intent: &Intent) -> (Ended, Vec<Participant>) {
        let mut intent = intent.clone();
        let _turn = self.take_turn((intent.campaign(), None)).await;
        for _ in 0..LATE_MAX {
            match self.storage.read().map(|state| {
                let (campaign, defect) = (intent.campaign(), self.world.defect);
                (state.uses(campaign), state.counted_days(campaign, defect))
            }) {
                Ok(_) if self.world.has(Defect::LimitReadEarly) => {}
                Ok((uses, days)) => {
                    if let Wish::Code(code) = &mut intent.wish {
                        (code.facts.member_uses, code.facts.member_days) = (uses, days);
                    }
                }
                Err(fault) => return (Ended::Failed(fault), vec![]),
            }
            intent.deadline = self.now().plus_ms(INTENT_DEADLINE_MS);
            let asked = match self.ask_participants(&mut intent).await {
                Ok(asked) => asked,
                Err(_) => return (self.fail(&intent, UNREACHED), vec![]),
            };
            match self.conclude(&intent, &asked) {
                Ok((Some(Ended::Overflow), settlement)) => {
                    let open = matches!(self.known(&intent.rid), Ok(Known::Open(_)));
                    let driven = open && !self.world.has(Defect::OverflowForgotten);
                    let ended = if driven { self.fail(&intent, OVERFLOW) } else { Ended::Overflow };
                    let abort = settlement == Settlement::Abort;
                    return (ended, if abort { asked.prepared(&intent) } else { vec![] });
                }
                Ok((Some(ended), Settlement::Abort)) => {
                    return (ended, asked.prepared(&intent));
                }
                Ok((Some(ended), Settlement::None | Settlement::Settle)) => return (ended, vec![]),
                Ok((None, _)) => {}
                Err(fault) => {
                    let aborted = if self.aborts_undecided() { asked.prepared(&intent) } else { vec![] };
                    return (Ended::Failed(fault), aborted);
                }
            }
        }
        (self.fail(&intent, UNREACHED), vec![])
    }

    /// Steps 3 and 4: the code's own shard first, then the pool, each only where it has a say.
    async fn ask_participants(self: &Rc<Self>, intent: &mut Intent) -> Result<Asked, Fault> {
        let mut asked = Asked::default();
        let mut next = None;
        for _ in 0..HOPS_MAX {
            let Some(CodeWish { campaign, shard, .. }) = intent.code() else { break };
            let request = Request::Prepare { intent: Rc::new(intent.clone()) };
            let keeper = (*campaign, next.unwrap_or(*shard));
            let Reply::Prepared(answer) = self.ask_shard(keeper, Step::Prepare, request).await? else {
                return Err(Fault("a promise was expected"));
            };
            match (&answer, &mut intent.wish) {
                (PrepareAnswer::Elsewhere { shard }, Wish::Code(_)) if self.world.has(Defect::HopForgotten) => {
                    next = Some(*shard);
                }
                (PrepareAnswer::Elsewhere { shard }, Wish::Code(code)) => {
                    code.shard = *shard;
                    let mut runs = self.runs.borrow_mut();
                    if let Some(Wish::Code(code)) = runs.get_mut(&intent.rid).map(|run| &mut run.intent.wish) {
                        code.shard = *shard;
                    }
                }
                (_, _) => {
                    asked.shard = Some(answer);
                    break;
                }
            }
        }
        if let Some((pool, quantity)) = self.pool_needed(intent, asked.shard.as_ref())? {
            asked.remember(&*self.storage.read()?, intent);
            let request = Request::Take { intent: Rc::new(intent.clone()), quantity };
            let Reply::Taken(answer) = self.ask(Party::Pool(pool), Step::Take, request).await? else {
                return Err(Fault("promo codes were expected"));
            };
            asked.pool = Some((pool, answer));
        }
        Ok(asked)
    }

    fn pool_needed(
        self: &Rc<Self>,
        intent: &Intent,
        shard: Option<&PrepareAnswer>,
    ) -> Result<Option<(usize, u32)>, Fault> {
        let at = self.now();
        let state = self.storage.read()?;
        let (wallet, read) = (state.wallet_at(at, self.world.defect), Read::of(&state, intent, self.world.defect));
        let (pid, member_id) = (self.pid(), self.member_id());
        let view = self.view(&state, intent, (&wallet, &read), (&member_id, &pid));
        Ok(pool_needed(&view, intent, shard, at).map(|(pool_id, quantity)| (pool_place(pool_id), quantity)))
    }

    /// What a decision about this intent reads.
    pub(crate) fn view<'a>(
        &self,
        state: &MemberState,
        intent: &Intent,
        (wallet, read): (&'a Wallet, &'a Read),
        (member_id, pid): (&'a str, &'a str),
    ) -> MemberView<'a> {
        let overwrite = self.world.has(Defect::DecidedOverwritten);
        MemberView {
            known: if overwrite { Known::Absent } else { state.known(&intent.rid) },
            member_uses: state.uses(intent.campaign()),
            member_days: &read.days,
            wallet,
            next_ledger_row: state.next_ledger_row(),
            consumed: state.redemptions.get(&intent.rid).is_some_and(|record| record.consumed),
            opened_at: state.open.get(&intent.rid).map(|open| open.opened_at),
            quote: read.quote.as_ref(),
            last_bought_at: read.last_bought_at,
            book: read.book.as_ref(),
            member_id,
            pid,
        }
    }

    /// Step 5: decides and writes in one transaction. `None` asks the participants again.
    pub(crate) fn conclude(
        self: &Rc<Self>,
        intent: &Intent,
        asked: &Asked,
    ) -> Result<(Option<Ended>, Settlement), Fault> {
        let at = self.now();
        let mut shard = asked.shard.clone();
        if self.world.has(Defect::LimitReadEarly)
            && let Some(PrepareAnswer::Prepared(prepared)) = &mut shard
        {
            prepared.per_member = None;
        }
        let (pid, member_id) = (self.pid(), self.member_id());
        let (ended, settlement, events) = self.storage.transaction(Step::Decide, |state| {
            let answers = Answers { shard: shard.as_ref(), pool: asked.pool.as_ref().map(|(_, answer)| answer) };
            let mut wallet = state.wallet_at(at, self.world.defect);
            let read = if self.world.has(Defect::OfferFromMemory) {
                asked.read.clone().unwrap_or_else(|| Read::of(state, intent, self.world.defect))
            } else {
                Read::of(state, intent, self.world.defect)
            };
            let points = wallet.points;
            if self.world.has(Defect::BalanceUnread) {
                wallet.points = asked.points.unwrap_or(points);
            }
            let view = self.view(state, intent, (&wallet, &read), (&member_id, &pid));
            let Ok(step) = decide(&view, intent, answers, &self.world.names(), at) else {
                let abort = self.aborts_undecided();
                let settlement = if abort { Settlement::Abort } else { Settlement::None };
                return Ok((Some(Ended::Overflow), settlement, vec![]));
            };
            Ok(match step {
                DecideStep::Commit(decision) => {
                    let settlement = decision.settlement;
                    let settled = match settlement {
                        Settlement::Settle => asked.settled(intent),
                        Settlement::None | Settlement::Abort => vec![],
                    };
                    let ended = match (&decision.changes.redemption, &decision.refusal) {
                        (None, Some(refusal)) => Ended::Refused(refusal.clone()),
                        (_, _) => Ended::Recorded,
                    };
                    self.remember_feed(state);
                    let pool = asked.pool.as_ref().map(|(pool, _)| *pool);
                    let events = state.apply(intent, *decision, (pool, settled), &pid, at, self.world.defect)?;
                    self.last_event.set(state.remembered);
                    state.open.remove(&intent.rid);
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
        self.world.has(Defect::AbortUndecided)
            || self.world.has(Defect::AbortUndoesSettled)
            || self.world.has(Defect::PoolAbortUndoes)
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
        // Somebody else has ended it meanwhile: an operator, or a participant that asked.
        if matches!(self.known(&intent.rid), Ok(Known::Decided(_))) {
            return Ended::Recorded;
        }
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

    /// Step 7: a shard asks. What this Member has never heard of is decided here and now, by the promise; where a pool
    /// has a say too, it is driven on from the start.
    pub(crate) fn fate(self: &Rc<Self>, intent: &Intent, prepared: &Prepared) -> Result<Fate, Fault> {
        if let Some(fate) = self.known_fate(intent)? {
            return Ok(fate);
        }
        if let Some(fate) = self.fate_when_gone(intent)? {
            return Ok(fate);
        }
        let asked = Asked { shard: Some(PrepareAnswer::Prepared(prepared.clone())), ..Asked::default() };
        if self.pool_needed(intent, asked.shard.as_ref())?.is_some() {
            drop(self.start(intent.clone()));
            return Ok(Fate::Running);
        }
        let (ended, settlement) = self.conclude(intent, &asked)?;
        if matches!(ended, Some(Ended::Overflow)) {
            if matches!(self.known(&intent.rid)?, Known::Open(_)) {
                if !self.world.has(Defect::OverflowForgotten) {
                    drop(self.fail(intent, OVERFLOW));
                }
                return Ok(Fate::Running);
            }
            self.cancel_intent(Step::Decide, intent, OVERFLOW)?;
            return Ok(Fate::Aborted);
        }
        self.start_tries(&intent.rid);
        self.start_report();
        Ok(match settlement {
            // Asked again it hears how long it is kept for its checkout.
            Settlement::None if intent.checkout().is_some() => self.known_fate(intent)?.unwrap_or(Fate::Aborted),
            Settlement::Settle => Fate::Committed,
            Settlement::Abort | Settlement::None => Fate::Aborted,
        })
    }

    /// Step 7: a pool asks. The intent is driven on from the start, whose answers the participants know.
    pub(crate) fn pool_fate(self: &Rc<Self>, intent: &Intent) -> Result<Fate, Fault> {
        // What it has handed out may have been seen: whatever became of it since, it is never free again. Where it
        // was taken back, an undo has it go to quarantine.
        let record = self.storage.read()?.redemptions.get(&intent.rid).cloned();
        let handed_out = record.is_some_and(|record| record.fp == intent.fp && record.pool.is_some());
        if handed_out && !self.world.has(Defect::PoolShownFreed) {
            return Ok(Fate::Committed);
        }
        if let Some(fate) = self.known_fate(intent)? {
            return Ok(fate);
        }
        if let Some(fate) = self.fate_when_gone(intent)? {
            return Ok(fate);
        }
        if self.world.has(Defect::PoolForgets) {
            return Ok(Fate::Aborted);
        }
        // What its rules refuse now leaves no record, and would not ask the pool again: it hears at once.
        let absent = self.known(&intent.rid)? == Known::Absent && intent.code().is_none();
        if absent && self.pool_needed(intent, None)?.is_none() && !self.world.has(Defect::PoolAsksInVain) {
            return Ok(Fate::Aborted);
        }
        drop(self.start(intent.clone()));
        Ok(Fate::Running)
    }

    /// Nothing becomes theirs who were erased and have not come back; and that word is kept, for they may come back with
    /// the same key.
    fn fate_when_gone(self: &Rc<Self>, intent: &Intent) -> Result<Option<Fate>, Fault> {
        if !self.storage.read()?.gone || self.world.has(Defect::GrantedToErased) {
            return Ok(None);
        }
        self.cancel_intent(Step::Decide, intent, ERASED)?;
        let at = self.now();
        self.storage.step(Step::Erased, |state| state.seal(at))?;
        self.world.dismiss(self.number);
        Ok(Some(Fate::Aborted))
    }

    fn known_fate(self: &Rc<Self>, intent: &Intent) -> Result<Option<Fate>, Fault> {
        let overwrite = self.world.has(Defect::DecidedOverwritten);
        let known = if overwrite { Known::Absent } else { self.known(&intent.rid)? };
        let consumed = self.storage.read()?.redemptions.get(&intent.rid).is_some_and(|record| record.consumed);
        let running = self.is_running(&intent.rid);
        if self.world.has(Defect::RunningIsNo) && running && !matches!(known, Known::Decided(_)) {
            return Ok(Some(Fate::Aborted));
        }
        let held_until = self.storage.read()?.held_until(&intent.rid);
        if self.world.has(Defect::HeldIsSettled) && held_until.is_some() {
            return Ok(Some(Fate::Committed));
        }
        if self.world.has(Defect::HeldIsNo) && held_until.is_some() {
            return Ok(Some(Fate::Aborted));
        }
        Ok(inquire(known, consumed, held_until, running, &intent.fp).ok())
    }

    /// Step 6: what was decided against is given back at once; the rest the Recorder tells in bulk. When a message
    /// is lost, the participant's alarm asks.
    pub(crate) async fn abort(&self, intent: &Intent, participants: &[Participant]) {
        for participant in participants {
            let request = Request::Settle { rid: intent.rid, fp: intent.fp, fate: Fate::Aborted };
            let _ = match participant {
                Participant::Shard { campaign, shard } => {
                    self.ask_shard((*campaign, *shard), Step::Abort, request).await
                }
                Participant::Pool { pool_id } => {
                    self.ask(Party::Pool(pool_place(pool_id)), Step::PoolAbort, request).await
                }
            };
        }
    }

    /// Asks a shard of a campaign, with a bound on the wait.
    pub(crate) async fn ask_shard(
        &self,
        (campaign, shard): (u16, u32),
        step: Step,
        request: Request,
    ) -> Result<Reply, Fault> {
        self.ask(Party::Shard(self.world.shard_at(place(campaign), shard)), step, request).await
    }

    /// Asks the shard that keeps a code's uses: the one that is said to, else the one that this names instead.
    pub(crate) async fn ask_keeper(
        &self,
        (campaign, mut shard): (u16, u32),
        step: Step,
        request: Request,
    ) -> Result<Reply, Fault> {
        for _ in 0..HOPS_MAX {
            let answer = self.ask_shard((campaign, shard), step, request.clone()).await?;
            let Reply::Elsewhere(other) = answer else { return Ok(answer) };
            shard = other;
        }
        Err(Fault("no shard keeps this code"))
    }

    /// Asks a participant, with a bound on the wait.
    pub(crate) async fn ask(&self, to: Party, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.world.call(to, step, request);
        match select(asking, pin!(self.world.delay(PARTICIPANT_WAIT_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("the participant did not answer in time")),
        }
    }

    /// Waits for this campaign's turn; the turn ends when the guard is dropped.
    pub(crate) async fn take_turn(self: &Rc<Self>, campaign: (u16, Option<u32>)) -> Turn {
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
            Item::Hold(rid) => {
                let member = Rc::clone(self);
                outside.push((item, Box::pin(async move { member.expire_hold(&rid).await })));
            }
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
            Item::Erase => {
                let member = Rc::clone(self);
                outside.push((item, Box::pin(async move { member.go_on_erasing().await })));
            }
            Item::Pending | Item::Push | Item::Wake | Item::Returns | Item::Campaigns => {
                self.storage.write(|state| state.due.done(item))?;
            }
        }
        Ok(())
    }
}

/// What participants have answered to an intent.
#[derive(Default)]
pub(crate) struct Asked {
    shard: Option<PrepareAnswer>,
    /// Which, and what.
    pool: Option<(usize, PoolAnswer)>,
    /// For [`Defect::OfferFromMemory`] and [`Defect::BalanceUnread`]: as it was before they were asked.
    read: Option<Read>,
    points: Option<u64>,
}

impl Asked {
    fn remember(&mut self, state: &MemberState, intent: &Intent) {
        (self.read, self.points) = (Some(Read::of(state, intent, None)), Some(state.wallet.points));
    }

    /// Those that keep something for it.
    fn prepared(&self, intent: &Intent) -> Vec<Participant> {
        let shard = matches!(self.shard, Some(PrepareAnswer::Prepared(_))).then(|| keeper(intent));
        let pool = match &self.pool {
            Some((pool, PoolAnswer::Prepared { .. })) => Some(Participant::Pool { pool_id: pool_name(*pool) }),
            Some((_, PoolAnswer::Refused { .. } | PoolAnswer::Late)) | None => None,
        };
        shard.into_iter().chain(pool).collect()
    }

    fn settled(&self, intent: &Intent) -> Vec<Settled> {
        let settled = |participant| Settled { participant, rid: intent.rid, fp: intent.fp };
        self.prepared(intent).into_iter().map(settled).collect()
    }
}

/// What a decision reads beside the wallet.
#[derive(Clone, Default)]
pub(crate) struct Read {
    quote: Option<Quote>,
    last_bought_at: Option<Instant>,
    book: Option<Book>,
    /// Redemptions of the campaign by its local day.
    days: DayCounts,
}

impl Read {
    pub(crate) fn of(state: &MemberState, intent: &Intent, defect: Option<Defect>) -> Self {
        if let Some(CodeWish { campaign, facts, checkout: Some(checkout), .. }) = intent.code() {
            let held = state.hold_of_code(*campaign, facts.seq).filter(|hold| hold.rid != intent.rid);
            let twin_until = held.map(|hold| hold.expires_at);
            let book = Book { twin_until, ..state.book(&checkout.order) };
            return Self { book: Some(book), days: state.counted_days(intent.campaign(), defect), ..Self::default() };
        }
        let Wish::Points(Purchase { reward, quote: Some(terms), .. }) = &intent.wish else {
            return Self { days: state.counted_days(intent.campaign(), defect), ..Self::default() };
        };
        let quote = state.quotes.get(&terms.quote).cloned();
        Self { quote, last_bought_at: state.last_bought_at(&reward.reward_id), book: None, days: vec![] }
    }
}

/// A pool's number is its place in the world, from 0.
pub(crate) fn pool_place(pool_id: &str) -> usize {
    pool_id.strip_prefix("pool-").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX)
}

pub(crate) fn pool_name(pool: usize) -> String {
    format!("pool-{pool}")
}

/// Who keeps the use of an intent's code.
fn keeper(intent: &Intent) -> Participant {
    let shard = intent.code().map_or(0, |code| code.shard);
    Participant::Shard { campaign: intent.campaign(), shard }
}

/// The right to redeem in one campaign, or to hold one code.
pub(crate) struct Turn {
    member: Rc<Member>,
    campaign: (u16, Option<u32>),
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
