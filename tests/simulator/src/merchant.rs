//! A Merchant's shell, as far as fulfilment goes: whether the endpoint may be sent to, and who waits for it, as
//! `edge/src/endpoints.rs` runs it; and its keys ([`crate::merchant_keys`]).

use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage, Stored};
use crate::due::{Due, Item, Net};
use crate::merchant_keys::Keys;
use crate::message::{Party, Reply, Request, TryOutcome};
use crate::step::Step;
use crate::world::World;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::time::Instant;
use counterfoil_core::webhook::schedule::delay_ms;
use futures_util::future::{Either, join_all, select};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;

const WOKEN_PER_TURN: usize = 6;
const MEMBER_WAIT_MS: i64 = 8_000;

/// Something of a Member waits for the endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiter {
    pub(crate) armed: bool,
    /// Tells what waits now from what waited when it was last woken.
    serial: u32,
    pub(crate) wake_at: Option<Instant>,
    tries: u32,
    told: u32,
    told_at: Instant,
}

/// What a Merchant stores of its one endpoint.
#[derive(Clone, Debug, Default)]
pub(crate) struct MerchantState {
    pub(crate) disabled: bool,
    /// Grows whenever the endpoint is enabled again; 0 stands for no endpoint in messages.
    pub(crate) version: u32,
    pub(crate) waiters: BTreeMap<usize, Waiter>,
    pub(crate) keys: Keys,
    pub(crate) due: Due,
}

impl Stored for MerchantState {
    fn due(&self) -> &Due {
        &self.due
    }

    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

impl MerchantState {
    pub(crate) fn new() -> Self {
        Self { version: 1, ..Self::default() }
    }

    fn wait(&mut self, member: usize, now: Instant) {
        if self.waiters.get(&member).is_some_and(|waiter| !waiter.armed && waiter.told_at <= now.plus_ms(-DAY_MS)) {
            self.waiters.remove(&member);
        }
        let waiter = self.waiters.entry(member).or_default();
        waiter.armed = true;
        waiter.serial += 1;
    }

    /// A success pulls forward what waits, the more seldom the more often it was in vain.
    fn pull_forward(&mut self, random: u32, now: Instant) {
        for waiter in self.waiters.values_mut().filter(|waiter| waiter.armed && waiter.wake_at.is_none()) {
            waiter.wake_at = Some(match waiter.told {
                0 => now,
                told => now.max(waiter.told_at.plus_ms(delay_ms(told, None, random))),
            });
        }
        self.plan_waking(now);
    }

    fn wake_all(&mut self, now: Instant) {
        for waiter in self.waiters.values_mut().filter(|waiter| waiter.armed) {
            (waiter.wake_at, waiter.tries, waiter.told) = (Some(now), 0, 0);
        }
        self.plan_waking(now);
    }

    fn wake_one(&mut self, member: usize, now: Instant) {
        if let Some(waiter) = self.waiters.get_mut(&member) {
            (waiter.wake_at, waiter.tries) = (Some(now), 0);
        }
        self.plan_waking(now);
    }

    fn plan_waking(&mut self, now: Instant) {
        match self.waiters.values().filter_map(|waiter| waiter.wake_at).min() {
            Some(at) => self.due.plan(Item::Wake, at, now),
            None => self.due.done(Item::Wake),
        }
    }
}

/// See the module.
pub(crate) struct Merchant {
    pub(crate) world: Rc<World>,
    pub(crate) storage: Storage<MerchantState>,
}

impl Merchant {
    pub(crate) fn new(world: &Rc<World>, disk: &Rc<Disk<MerchantState>>) -> Self {
        Self { world: Rc::clone(world), storage: Storage::new(disk, world, Party::Merchant) }
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.clock(Party::Merchant)
    }

    pub(crate) fn answer(&self, request: &Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.storage.read()?.due.needs_healing(now, self.world.defect) {
            self.storage.write(|state| state.due.heal(now))?;
        }
        match request {
            Request::EndpointFor { member } => self.state_for(*member),
            Request::EndpointResult { member, outcome, version, waits } => {
                let random = self.world.random_u32();
                self.storage.step(Step::Endpoint, |state| {
                    conclude(state, *member, (*outcome, *version, *waits), random, now);
                })?;
                Ok(Reply::Done)
            }
            Request::EndpointTested => {
                self.storage.step(Step::Endpoint, |state| {
                    state.version += u32::from(std::mem::take(&mut state.disabled));
                    state.wake_all(now);
                })?;
                Ok(Reply::Done)
            }
            Request::Keys(call) => self.keys(call),
            Request::Read => Ok(Reply::Done),
            Request::Redeem(_)
            | Request::Inquire { .. }
            | Request::Recognise { .. }
            | Request::Prepare { .. }
            | Request::Settle { .. }
            | Request::Settled { .. }
            | Request::Undo { .. }
            | Request::Rules(_)
            | Request::Revoked(_)
            | Request::Erase
            | Request::Pull { .. }
            | Request::Ask { .. }
            | Request::Returned { .. }
            | Request::HandBack { .. }
            | Request::Administer(_)
            | Request::Report(_)
            | Request::Hurry
            | Request::Webhook(_)
            | Request::Callback { .. }
            | Request::Operate(_)
            | Request::Take { .. }
            | Request::InquirePool { .. }
            | Request::Stock(_)
            | Request::Till(_)
            | Request::Checkout(_)
            | Request::Preview { .. } => Err(Fault("not asked of a merchant")),
        }
    }

    /// Where the endpoint is disabled, who asks is woken once it works again.
    fn state_for(&self, member: usize) -> Result<Reply, Fault> {
        let now = self.now();
        if self.storage.read()?.disabled {
            self.storage.step(Step::Endpoint, |state| state.wait(member, now))?;
        }
        let state = self.storage.read()?;
        let waiting = state.waiters.values().any(|waiter| waiter.armed);
        Ok(Reply::Endpoint { disabled: state.disabled, waiting, version: state.version })
    }

    /// The alarm wakes those whose time has come.
    pub(crate) async fn ring(&self) -> Result<(), Fault> {
        let (now, defect) = (self.now(), self.world.defect);
        let items = self.storage.transaction(Step::MerchantAlarm, |state| Ok(state.due.take(now, defect)))?;
        for item in items {
            let done = if item == Item::Campaigns { self.tell_campaigns().await } else { self.wake(now).await };
            self.world.survive(Party::Merchant, &self.storage, item, done);
        }
        if Net::of(defect) != Net::Never {
            let now = self.now();
            self.storage.write(|state| state.due.rearm(now))?;
        }
        Ok(())
    }

    /// Tells those whose endpoint answers again, a few at a time; who does not answer is told later.
    async fn wake(&self, now: Instant) -> Result<(), Fault> {
        let wakes: Vec<(usize, Waiter)> = {
            let state = self.storage.read()?;
            let due = state.waiters.iter().filter(|(_, waiter)| waiter.wake_at.is_some_and(|at| at <= now));
            due.take(WOKEN_PER_TURN).map(|(member, waiter)| (*member, *waiter)).collect()
        };
        let calls = wakes.iter().map(|(member, _)| self.call(*member));
        let answered = join_all(calls).await;
        let (now, unheard) = (self.now(), self.world.has(Defect::WokenUnheard));
        let pauses: Vec<i64> =
            wakes.iter().map(|(_, waiter)| backoff_ms(waiter.tries, self.world.random_u32())).collect();
        self.storage.step(Step::Woken, |state| {
            for (((member, waiter), heard), pause) in wakes.iter().zip(answered).zip(pauses) {
                let Some(known) = state.waiters.get_mut(member) else {
                    continue;
                };
                if heard || unheard {
                    // Whoever wanted it woken since it was called wants it still.
                    let since = known.wake_at != waiter.wake_at;
                    known.wake_at = known.wake_at.filter(|_| since);
                    known.armed = known.serial != waiter.serial;
                    (known.tries, known.told, known.told_at) = (0, known.told + 1, now);
                } else if known.wake_at.is_some() {
                    known.wake_at = Some(now.plus_ms(pause));
                    known.tries += 1;
                }
            }
            state.plan_waking(now);
        })
    }

    async fn call(&self, member: usize) -> bool {
        let asking = self.world.call(Party::Member(member), Step::Hurry, Request::Hurry);
        matches!(select(asking, pin!(self.world.delay(MEMBER_WAIT_MS))).await, Either::Left((Ok(Ok(Reply::Done)), _)))
    }
}

/// A try has ended.
fn conclude(
    state: &mut MerchantState,
    member: usize,
    (outcome, version, waits): (TryOutcome, u32, bool),
    random: u32,
    now: Instant,
) {
    match outcome {
        TryOutcome::Ok => {
            if !state.disabled {
                state.pull_forward(random, now);
            }
        }
        TryOutcome::Failed => {
            if waits {
                state.wait(member, now);
            }
        }
        TryOutcome::Gone => {
            state.wait(member, now);
            if state.version == version {
                state.disabled = true;
                for waiter in state.waiters.values_mut() {
                    waiter.wake_at = None;
                }
                state.plan_waking(now);
            } else {
                state.wake_one(member, now);
            }
        }
    }
}
