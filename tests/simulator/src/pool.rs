//! A Pool's shell, as `edge/src/pool.rs` runs it: the decisions are core's own.

use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage};
use crate::due::{Item, Net};
use crate::member_state::count;
use crate::message::{Party, Reply, Request, Stocking};
use crate::pool_state::PoolState;
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{BACKOFF_MAX_MS, INQUIRE_AFTER_MS};
use counterfoil_core::protocol::pool::{
    Alert, PendingStep, PoolAnswer, PoolView, PrepareStep, alert, prepare, settle, undo,
};
use counterfoil_core::protocol::{Fate, Intent, backoff_ms};
use counterfoil_core::time::Instant;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;

const GROUP_WAIT_MS: i64 = 4;
const GROUP_ITEMS_MAX: usize = 64;
const MEMBER_WAIT_MS: i64 = 8_000;
/// Below this many free codes the merchant is told.
pub(crate) const ALERT_BELOW: u64 = 2;

type Waiting = (Rc<Intent>, u32, oneshot::Sender<Result<PoolAnswer, Fault>>);

/// See the module. All of its own fields are volatile.
pub(crate) struct Pool {
    world: Rc<World>,
    number: usize,
    storage: Storage<PoolState>,
    waiting: RefCell<Vec<Waiting>>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
    last_group: Cell<Instant>,
    scheduled: Cell<bool>,
}

impl Pool {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<PoolState>>) -> Self {
        Self {
            world: Rc::clone(world),
            number,
            storage: Storage::new(disk, world, Party::Pool(number)),
            waiting: RefCell::default(),
            settled: RefCell::default(),
            last_group: Cell::new(Instant(0)),
            scheduled: Cell::new(false),
        }
    }

    fn now(&self) -> Instant {
        self.world.clock(Party::Pool(self.number))
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.storage.read()?.due.needs_healing(now, self.world.defect) {
            self.storage.write(|state| state.due.heal(now))?;
        }
        match request {
            Request::Take { intent, quantity } => self.enqueue(intent, quantity).await.map(Reply::Taken),
            Request::Settle { rid, fp, fate } => {
                match fate {
                    Fate::Committed => self.settled.borrow_mut().push((rid, fp)),
                    Fate::Aborted => {
                        let close = |state: &mut PoolState| self.close(state, &rid, &fp, fate);
                        self.storage.transaction(Step::PoolGiveBack, close)?;
                    }
                    Fate::Running | Fate::Held { .. } => {}
                }
                Ok(Reply::Done)
            }
            // The pending rows go with the next group: one commit less for each redemption.
            Request::Settled { items } => {
                self.settled.borrow_mut().extend(items.iter().copied());
                Ok(Reply::Done)
            }
            Request::Undo { rid, .. } => {
                self.storage.transaction(Step::Quarantine, |state| self.undo(state, &rid))?;
                Ok(Reply::Done)
            }
            Request::Stock(stocking) => {
                self.storage.transaction(Step::Stocked, |state| {
                    match &stocking {
                        Stocking::Add(codes) => state.add(codes, self.world.defect),
                        Stocking::Release => state.release(),
                    }
                    self.watch(state, false);
                    Ok(())
                })?;
                Ok(Reply::Done)
            }
            Request::Read => Ok(Reply::Done),
            Request::Redeem(_)
            | Request::Inquire { .. }
            | Request::InquirePool { .. }
            | Request::Recognise { .. }
            | Request::Prepare { .. }
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
            | Request::Till(_)
            | Request::Checkout(_)
            | Request::Preview { .. } => Err(Fault("not asked of a pool")),
        }
    }

    /// Tells, once for each crossing, that few codes are left.
    fn watch(&self, state: &mut PoolState, asked: bool) {
        let told = state.counters.told && !self.world.has(Defect::AlertRepeats);
        match alert(state.counters.free, ALERT_BELOW, told, asked) {
            Alert::Unchanged => {}
            Alert::Rearm => state.counters.told = false,
            Alert::Raise => {
                state.counters.told = true;
                state.counters.lows += 1;
            }
        }
    }

    /// Joins the group under way, or commits at once when idle.
    async fn enqueue(self: &Rc<Self>, intent: Rc<Intent>, quantity: u32) -> Result<PoolAnswer, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((intent, quantity, sender));
        let full = self.waiting.borrow().len() >= GROUP_ITEMS_MAX;
        let idle = !self.scheduled.get() && self.last_group.get().plus_ms(GROUP_WAIT_MS) <= self.now();
        if idle || full {
            self.commit_group();
        } else if !self.scheduled.replace(true) {
            let pool = Rc::clone(self);
            self.world.spawn(Party::Pool(self.number), async move {
                pool.world.delay(GROUP_WAIT_MS).await;
                pool.scheduled.set(false);
                pool.commit_group();
            });
        }
        receiver.await.unwrap_or(Err(Fault("the group was lost")))
    }

    /// One turn: settles what was decided, then each waiting intent in its own transaction.
    fn commit_group(&self) {
        self.last_group.set(self.now());
        self.close_settled();
        let group = self.waiting.take();
        let in_company = group.len() > 1;
        for (intent, quantity, sender) in group {
            let answer = self.prepare(&intent, quantity, in_company);
            let _ = sender.send(answer);
        }
    }

    /// When it fails the rows stay pending, and the alarm asks the Members.
    fn close_settled(&self) {
        let settled = self.settled.take();
        if !settled.is_empty() {
            let _ = self.storage.transaction(Step::PoolFlush, |state| {
                settled.iter().try_for_each(|(rid, fp)| self.close(state, rid, fp, Fate::Committed))
            });
        }
    }

    fn prepare(&self, intent: &Rc<Intent>, quantity: u32, in_company: bool) -> Result<PoolAnswer, Fault> {
        let (now, defect) = (self.now(), self.world.defect);
        let step = {
            let state = self.storage.read()?;
            let mut view = PoolView {
                pending: state.pending.contains_key(&(intent.rid, intent.fp)),
                other_pending: state.pending.keys().any(|(rid, fp)| *rid == intent.rid && *fp != intent.fp),
                buried: state.undone.contains(&intent.rid) && !self.world.has(Defect::PoolUnburied),
                codes: state.codes_of(&intent.rid),
                free: state.counters.free,
            };
            match defect {
                Some(Defect::TakeTwice) => (view.pending, view.codes) = (false, vec![]),
                Some(Defect::TakeOtherIgnored) => view.other_pending = false,
                Some(Defect::PoolPartly) if view.free > 0 => view.free = view.free.max(u64::from(quantity)),
                Some(_) | None => {}
            }
            let deadline = if defect == Some(Defect::TakeLate) { now } else { intent.deadline };
            prepare(&view, deadline, quantity, now)
        };
        match step {
            PrepareStep::Answer(answer) => Ok(answer),
            PrepareStep::Short { available } => self.storage.transaction(Step::Taken, |state| {
                self.watch(state, true);
                Ok(PoolAnswer::Refused { available })
            }),
            PrepareStep::Take => self.storage.transaction(Step::Taken, |state| {
                // One item of a group fails; the others must not notice.
                if in_company && self.world.strikes(Step::Taken, Kind::ItemFails) {
                    return Err(Fault("this item cannot be written"));
                }
                let ask_at = now.plus_ms(INQUIRE_AFTER_MS);
                let codes = state.take(intent, quantity, ask_at, defect)?;
                let later = state.due.next().is_none_or(|next| next > ask_at);
                if later && !self.world.has(Defect::PoolNotArmed) {
                    state.due.plan(Item::Pending, ask_at, now);
                }
                self.watch(state, true);
                Ok(PoolAnswer::Prepared { codes })
            }),
        }
    }

    /// Ends a pending row by the Member's word.
    fn close(&self, state: &mut PoolState, rid: &Rid, fp: &Fingerprint, fate: Fate) -> Result<(), Fault> {
        let pending = state.pending.contains_key(&(*rid, *fp));
        let undoes = self.world.has(Defect::PoolAbortUndoes) && fate == Fate::Aborted;
        match settle(pending || undoes, fate) {
            PendingStep::Commit => state.commit(rid, fp),
            PendingStep::GiveBack => {
                state.give_back(rid, fp)?;
                self.watch(state, false);
            }
            PendingStep::Keep => {}
        }
        Ok(())
    }

    /// A decided redemption is given back. Repeats find nothing and are acknowledged again.
    fn undo(&self, state: &mut PoolState, rid: &Rid) -> Result<(), Fault> {
        state.undone.insert(*rid);
        let step = undo(count(state.numbers(rid).len()), state.is_pending(rid));
        if step.drop_pending {
            state.pending.retain(|(known, _), _| known != rid);
        }
        if step.quarantine {
            state.quarantine(rid, self.world.defect)?;
        }
        Ok(())
    }

    /// The alarm: asks the Members of intents that have waited too long what became of them.
    pub(crate) async fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        let (now, defect) = (self.now(), self.world.defect);
        let items = self.storage.transaction(Step::PoolAlarm, |state| Ok(state.due.take(now, defect)))?;
        if items.contains(&Item::Pending) {
            let asked = self.inquire().await;
            self.world.survive(Party::Pool(self.number), &self.storage, Item::Pending, asked);
        }
        if Net::of(defect) != Net::Never {
            let now = self.now();
            self.storage.write(|state| state.due.rearm(now))?;
        }
        Ok(())
    }

    async fn inquire(&self) -> Result<(), Fault> {
        self.close_settled();
        let overdue = self.storage.read()?.overdue(self.now());
        for pending in overdue {
            let (rid, fp) = (pending.intent.rid, pending.intent.fp);
            let Some(member) = self.world.member_of(&rid) else {
                continue;
            };
            let request = Request::InquirePool { intent: pending.intent };
            let asked = self.world.call(Party::Member(member), Step::PoolInquire, request);
            let answer = match select(asked, pin!(self.world.delay(MEMBER_WAIT_MS))).await {
                Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
                Either::Right(_) => Err(Fault("the member did not answer in time")),
            };
            let silence = if self.world.has(Defect::PoolSilenceIsNo) { Fate::Aborted } else { Fate::Running };
            let fate = match answer {
                Ok(Reply::Fate(fate)) => fate,
                Ok(_) | Err(_) => silence,
            };
            let again = self.now().plus_ms(backoff_ms(pending.tries, self.world.random_u32()));
            let closed = self.storage.transaction(Step::PoolFate, |state| {
                self.close(state, &rid, &fp, fate)?;
                state.ask_again(&rid, &fp, again);
                Ok(())
            });
            if closed.is_err() {
                self.storage.write(|state| state.ask_again(&rid, &fp, again))?;
            }
        }
        let (next, now) = (self.storage.read()?.next_inquiry(), self.now());
        self.storage.write(|state| match next {
            Some(at) => state.due.plan(Item::Pending, at.min(now.plus_ms(BACKOFF_MAX_MS)), now),
            None => state.due.done(Item::Pending),
        })
    }
}
