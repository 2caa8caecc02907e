//! A Member's shell, line by line as `edge/src/member_drive.rs` runs it: the decisions are core's own.

use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage};
use crate::member_state::MemberState;
use crate::message::{Answer, Asked, Party, ReadCode, RedeemCall, Reply, Request, TillCall, Wish as Wanted};
use crate::step::Step;
use crate::world::World;
use counterfoil_core::alias::Alias;
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DECISION_WAIT_MS, INTENT_DEADLINE_MS, WEBHOOK_TOLERANCE_S};
use counterfoil_core::protocol::member::{Known, Receipt, receive};
use counterfoil_core::protocol::{CodeWish, Intent, MESSAGE_VERSION, Wish};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::RewardRecord;
use counterfoil_core::rules::Facts;
use counterfoil_core::time::Instant;
use counterfoil_core::token::Attributes;
use counterfoil_core::wire::Method;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::rc::Rc;

/// How a run ended, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Recorded,
    Refused(Refusal),
    Kept,
    Overflow,
    Failed(Fault),
}

type Queue = VecDeque<oneshot::Sender<()>>;

pub(crate) struct Run {
    pub(crate) intent: Intent,
    pub(crate) waiters: Vec<oneshot::Sender<Ended>>,
}

/// See the module. All of its own fields are volatile.
pub(crate) struct Member {
    pub(crate) world: Rc<World>,
    pub(crate) number: usize,
    pub(crate) storage: Storage<MemberState>,
    pub(crate) runs: RefCell<BTreeMap<Rid, Run>>,
    /// Those who wait for a campaign, or to hold one of its codes.
    pub(crate) queues: RefCell<BTreeMap<(u16, Option<u32>), Queue>>,
    /// Tries at the fulfiller that are under way in this instance.
    pub(crate) trying: RefCell<BTreeSet<(Rid, u8)>>,
    /// For [`Defect::OlderTryOverwrites`]: rewards as they were when their try began.
    pub(crate) begun: RefCell<BTreeMap<(Rid, u8), RewardRecord>>,
    /// How often the endpoint was heard to work again in this instance.
    pub(crate) hurries: Cell<u32>,
    /// Requests under way by which somebody is there.
    pub(crate) guests: Cell<u32>,
    /// When the report under way last sent something.
    pub(crate) busy_since: Cell<Option<Instant>>,
    pub(crate) report_failures: Cell<u32>,
    /// For [`Defect::FeedFromMemory`].
    pub(crate) last_event: Cell<Option<u64>>,
}

impl Member {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<MemberState>>) -> Self {
        Self {
            world: Rc::clone(world),
            number,
            storage: Storage::new(disk, world, Party::Member(number)),
            runs: RefCell::default(),
            queues: RefCell::default(),
            trying: RefCell::default(),
            begun: RefCell::default(),
            hurries: Cell::new(0),
            guests: Cell::new(0),
            busy_since: Cell::new(None),
            report_failures: Cell::new(0),
            last_event: Cell::new(None),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.world.clock(Party::Member(self.number))
    }

    pub(crate) fn known(&self, rid: &Rid) -> Result<Known, Fault> {
        Ok(self.storage.read()?.known(rid))
    }

    pub(crate) fn is_running(&self, rid: &Rid) -> bool {
        self.runs.borrow().contains_key(rid)
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.storage.read()?.due.needs_healing(now, self.world.defect) {
            self.storage.write(|state| state.due.heal(now))?;
        }
        let _guest = if makes_known(&request) { Some(self.let_in()?) } else { None };
        match request {
            Request::Redeem(call) => Ok(Reply::Answer(self.redeem(&call).await.unwrap_or_else(Answer::Failed))),
            Request::Inquire { intent, prepared } => self.fate(&intent, &prepared).map(Reply::Fate),
            Request::InquirePool { intent } => self.pool_fate(&intent).map(Reply::Fate),
            Request::Checkout(call) => self.checkout(&call).await.map(Reply::Checkout),
            Request::Till(call) => self.till(&call).map(Reply::Till),
            Request::Operate(order) => self.operate(&order).map(Reply::Operated),
            // Checked outside the Member, by another clock.
            Request::Callback { signed_at, .. }
                if signed_at.plus_ms(WEBHOOK_TOLERANCE_S * 1_000) < self.world.now() =>
            {
                Err(Fault("the signature is too old"))
            }
            Request::Callback { id, webhook_id, outcome, .. } => {
                self.callback(&id, &webhook_id, &outcome).map(Reply::Heard)
            }
            Request::Erase => self.erase().await.map(|()| Reply::Done),
            Request::Hurry => self.hurry().map(|()| Reply::Done),
            Request::Read => Ok(Reply::Done),
            Request::Recognise { .. }
            | Request::Prepare { .. }
            | Request::Settle { .. }
            | Request::Settled { .. }
            | Request::Undo { .. }
            | Request::Rules(_)
            | Request::Keys(_)
            | Request::Revoked(_)
            | Request::Pull { .. }
            | Request::Ask { .. }
            | Request::Returned { .. }
            | Request::HandBack { .. }
            | Request::Administer(_)
            | Request::Report(_)
            | Request::EndpointFor { .. }
            | Request::EndpointResult { .. }
            | Request::EndpointTested
            | Request::Take { .. }
            | Request::Stock(_)
            | Request::Preview { .. }
            | Request::Webhook(_) => Err(Fault("not asked of a member")),
        }
    }

    /// Somebody comes, or comes back; nobody does while they are being erased.
    fn let_in(self: &Rc<Self>) -> Result<Guest, Fault> {
        let (erasing, gone) = {
            let state = self.storage.read()?;
            (state.erasing, state.gone)
        };
        if erasing && !self.world.has(Defect::ErasedWhileBusy) {
            return Err(Fault("the member is being erased"));
        }
        if gone {
            self.storage.write(|state| state.gone = false)?;
        }
        self.guests.set(self.guests.get() + 1);
        Ok(Guest(Rc::clone(self)))
    }

    /// Step 2: a request arrives.
    pub(crate) async fn redeem(self: &Rc<Self>, call: &RedeemCall) -> Result<Answer, Fault> {
        if !matches!(call.asked, Asked::Code) {
            return self.wish(call).await;
        }
        let now = self.now();
        if self.world.has(Defect::KeyPruned) {
            let known = self.storage.read()?.redemption(&call.rid);
            if known.is_some_and(|doc| doc.refusal.is_some() && doc.updated_at.plus_ms(60_000) < now) {
                self.storage.write(|state| drop(state.redemptions.remove(&call.rid)))?;
            }
        }
        let attempts = self.storage.read()?.attempts(now);
        let mut known = self.known(&call.rid)?;
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
            Receipt::Challenge => return Ok(Answer::Refused(Refusal::ChallengeRequired)),
            Receipt::Unrecognised => {
                self.add_attempt()?;
                return Ok(Answer::Refused(Refusal::CodeNotRecognised));
            }
            Receipt::Proceed => {}
        }
        match self.intent(call)? {
            Some(intent) => self.begin(intent, call.respond_async).await,
            None => Ok(Answer::Refused(Refusal::CodeNotRecognised)),
        }
    }

    /// What comes through no code: points, a till's offer, a gift with a pool's promo codes.
    async fn wish(self: &Rc<Self>, call: &RedeemCall) -> Result<Answer, Fault> {
        match self.known(&call.rid)? {
            Known::Absent => {}
            Known::Open(fp) | Known::Decided(fp) if fp == call.fp || self.world.has(Defect::FingerprintIgnored) => {
                return self.replay(call).await;
            }
            Known::Open(_) | Known::Decided(_) => return Ok(Answer::KeyReused),
        }
        match self.wished(call)? {
            Ok(intent) => self.begin(intent, call.respond_async).await,
            Err(answer) => Ok(answer),
        }
    }

    /// Starts what was not seen before, or joins its twin, and waits for the decision.
    async fn begin(self: &Rc<Self>, intent: Intent, respond_async: bool) -> Result<Answer, Fault> {
        let rid = intent.rid;
        let running: Option<Fingerprint> = self.runs.borrow().get(&rid).map(|run| run.intent.fp);
        match running {
            Some(fp) if fp != intent.fp => return Ok(Answer::KeyReused),
            Some(_) => {
                let waiter = self.join(&rid);
                return self.await_end(&rid, waiter).await;
            }
            None => {}
        }
        if respond_async {
            return self.accept(intent).await;
        }
        let waiter = self.start(intent);
        self.await_end(&rid, waiter).await
    }

    fn add_attempt(&self) -> Result<(), Fault> {
        let now = self.now();
        self.storage.transaction(Step::Attempt, |state| {
            state.add_attempt(now);
            Ok(())
        })
    }

    fn intent(&self, call: &RedeemCall) -> Result<Option<Intent>, Fault> {
        let Some(code) = call.code else {
            return Ok(None);
        };
        let ReadCode { campaign, shard, .. } = code;
        let now = self.now();
        let currency = call.checkout.as_ref().map(|checkout| checkout.currency.clone());
        let facts = self.facts(code, currency)?;
        Ok(Some(Intent {
            v: MESSAGE_VERSION,
            rid: call.rid,
            fp: call.fp,
            wish: Wish::Code(CodeWish { campaign, shard, facts, checkout: call.checkout.clone() }),
            order: call.order.clone(),
            actor: None,
            arrived: None,
            deadline: now.plus_ms(INTENT_DEADLINE_MS),
        }))
    }

    pub(crate) fn facts(&self, code: ReadCode, currency: Option<String>) -> Result<Facts, Fault> {
        let (state, at) = (self.storage.read()?, self.now());
        Ok(Facts {
            at,
            seq: code.seq,
            epoch: code.epoch,
            profile: Profile::S20,
            epoch_revoked: code.epoch_revoked,
            method: Method::Frontend,
            currency,
            attributes: Attributes::default(),
            roles: vec![],
            member_uses: state.uses(code.campaign),
            member_days: state.counted_days(code.campaign, self.world.defect),
            alias: code.alias.and_then(Alias::read),
        })
    }

    /// `Prefer: respond-async`.
    async fn accept(self: &Rc<Self>, intent: Intent) -> Result<Answer, Fault> {
        if let Some(CodeWish { campaign, shard, facts, .. }) = intent.code() {
            let request = Request::Recognise { facts: facts.clone(), mref: intent.rid.mref() };
            let asked = self.ask_keeper((*campaign, *shard), Step::Recognise, request).await;
            if matches!(asked, Ok(Reply::Recognised(false))) {
                self.add_attempt()?;
                return Ok(Answer::Refused(Refusal::CodeNotRecognised));
            }
        }
        let rid = intent.rid;
        // Another request with this key may have come in while the shard was asked.
        let blind = self.world.has(Defect::AcceptBlind);
        let known = self.known(&rid)?;
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
        let undecided = matches!(self.known(&call.rid)?, Known::Open(_));
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
                if self.known(rid)? == Known::Absent {
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
        let redemption = self.storage.read()?.redemption(rid).ok_or(Fault("a redemption is missing"))?;
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
}

/// A request by which somebody is there, as long as it is under way.
struct Guest(Rc<Member>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.guests.set(self.0.guests.get().saturating_sub(1));
    }
}

/// Whether somebody who was erased comes back by it.
fn makes_known(request: &Request) -> bool {
    let offered = |call: &TillCall| !matches!(call, TillCall::CancelOffer { .. });
    matches!(request, Request::Redeem(_) | Request::Checkout(_))
        || matches!(request, Request::Till(call) if offered(call))
        || matches!(request, Request::Operate(order) if order.wish == Wanted::Give)
}

/// A campaign's number is its place in the world, from 1.
pub(crate) fn place(campaign: u16) -> usize {
    usize::from(campaign).saturating_sub(1)
}
