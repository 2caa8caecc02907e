//! Driving a redemption to its decision: steps 2 to 6 of the protocol, and step 8 from the alarm.
//!
//! Each redemption runs in a task of its own, so that a client that goes away stops nothing; the request that
//! started it, its twins and the alarm all wait for the same task.

use crate::answer::Answer;
use crate::calls::{Objects, PrepareReply, Recognised, RedeemCall, ShardOp, campaign_name};
use crate::due;
use crate::member::{Inner, Who};
use crate::member_store::MemberStore;
use crate::platform::{Fault, now, random_u32};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DECISION_WAIT_MS, INTEGER_MAX, INTENT_DEADLINE_MS};
use counterfoil_core::protocol::member::{
    DecideStep, Known, MemberView, Receipt, Settlement, decide, inquire, open, receive,
};
use counterfoil_core::protocol::report::Settled;
use counterfoil_core::protocol::{Fate, Intent, MESSAGE_VERSION, PrepareAnswer, Prepared, backoff_ms};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{InvalidRequest, ProtocolError, Redemption, Wallet};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

/// Prefix of due-items that drive an accepted redemption.
pub(crate) const OPEN_ITEM: &str = "open";
/// Longest wait for a participant's answer; it is asked again later.
const PARTICIPANT_WAIT: Duration = Duration::from_secs(8);
/// Why a redemption is tried again, as its holder reads it.
const UNREACHED: &str = "a participant could not be reached";
/// As [`UNREACHED`].
const OVERFLOW: &str = "the balance would exceed 9007199254740991";
/// Fresh deadlines in one run.
const LATE_MAX: u32 = 3;

/// How a run ended, for those who wait for it.
#[derive(Clone, Debug)]
enum Ended {
    /// There is a record: read it.
    Recorded,
    /// Refused without a record.
    Refused(Refusal),
    /// Not decided: a participant could not be reached. It is kept and driven on.
    Kept,
    /// A balance would leave the integers that clients keep exactly: nothing was done.
    Overflow,
    /// Something is wrong here.
    Failed(Fault),
}

pub(crate) struct Run {
    intent: Intent,
    waiters: Vec<oneshot::Sender<Ended>>,
}

/// Runs under way, in memory only: everything durable is in the store.
#[derive(Default)]
pub(crate) struct Drive {
    pub(crate) runs: RefCell<HashMap<Rid, Run>>,
    /// One redemption at a time for each campaign: the others queue, so that limits are read after the one
    /// before has been decided.
    queues: RefCell<HashMap<u16, VecDeque<oneshot::Sender<()>>>>,
}

impl Inner {
    /// Step 2: a request arrives.
    pub(crate) async fn redeem(self: &Rc<Self>, call: RedeemCall, instance: &str) -> Result<Answer, Fault> {
        let (kind, attempts) = self.attempts(call.alias)?;
        let known = self.store().known(&call.rid)?;
        match receive(known, &call.fp, &attempts, call.code.is_some(), now()) {
            Receipt::Replay => return self.replay(&call, instance).await,
            Receipt::KeyReused => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Receipt::TooManyAttempts { retry_after_s } => {
                return Answer::refusal(&Refusal::TooManyAttempts { retry_after_s }, instance);
            }
            Receipt::Unrecognised => {
                self.store().add_attempt(kind, now())?;
                return Answer::refusal(&Refusal::CodeNotRecognised, instance);
            }
            Receipt::Proceed => {}
        }
        match self.running(&call.rid) {
            Some(fp) if fp != call.fp => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Some(_) => {
                let waiter = self.join(&call.rid);
                return self.await_end(&call.rid, waiter, instance, true).await;
            }
            None => {}
        }
        let Some(intent) = self.intent(&call)? else {
            return Answer::refusal(&Refusal::CodeNotRecognised, instance);
        };
        if call.respond_async {
            return self.accept(intent, kind, instance).await;
        }
        let rid = intent.rid;
        let waiter = self.start(intent);
        self.await_end(&rid, waiter, instance, false).await
    }

    fn intent(&self, call: &RedeemCall) -> Result<Option<Intent>, Fault> {
        let Some(code) = &call.code else { return Ok(None) };
        Ok(Some(Intent {
            v: MESSAGE_VERSION,
            rid: call.rid,
            fp: call.fp,
            campaign: code.campaign,
            facts: self.facts(code, call.method, call.currency.clone())?,
            order: call.order.clone(),
            actor: call.actor.clone(),
            deadline: now().plus_ms(INTENT_DEADLINE_MS),
        }))
    }

    /// `Prefer: respond-async`: the row that drives it is durable before the 202 leaves. A code that is not
    /// known is refused at once even then, so the shard is asked first; when it cannot be reached, accepting
    /// is safe.
    async fn accept(self: &Rc<Self>, intent: Intent, kind: &'static str, instance: &str) -> Result<Answer, Fault> {
        let op = ShardOp::Recognise { facts: intent.facts.clone() };
        let asked: Result<Recognised, Fault> = self.ask_shard(intent.campaign, &op).await;
        if matches!(asked, Ok(Recognised { recognised: false })) {
            self.store().add_attempt(kind, now())?;
            return Answer::refusal(&Refusal::CodeNotRecognised, instance);
        }
        // Another request with this key may have come in while the shard was asked.
        let rid = intent.rid;
        let known = self.store().known(&rid)?;
        let running = self.running(&rid);
        let taken = match known {
            Known::Absent => running,
            Known::Open(fp) | Known::Decided(fp) => Some(fp),
        };
        if taken.is_some_and(|fp| fp != intent.fp) {
            return Answer::error(&ProtocolError::IdempotencyKeyReused, instance);
        }
        if known == Known::Absent {
            self.keep(&intent, 0, None)?;
        }
        let answer = self.current(&rid, instance, false)?.header("Preference-Applied", "respond-async");
        if running.is_none() && !matches!(known, Known::Decided(_)) {
            drop(self.start(intent));
        }
        Ok(answer)
    }

    /// The same key again: as it stands now. A twin of an undecided one waits a moment for the decision.
    async fn replay(self: &Rc<Self>, call: &RedeemCall, instance: &str) -> Result<Answer, Fault> {
        let undecided = matches!(self.store().known(&call.rid)?, Known::Open(_));
        if undecided && !call.respond_async {
            if !self.drive.runs.borrow().contains_key(&call.rid) {
                self.drive_again(&call.rid)?;
            }
            let waiter = self.join(&call.rid);
            return self.await_end(&call.rid, waiter, instance, true).await;
        }
        self.current(&call.rid, instance, true)
    }

    /// Waits for a run's end, at most two seconds; then the redemption is kept and a 202 names it.
    async fn await_end(
        self: &Rc<Self>,
        rid: &Rid,
        waiter: oneshot::Receiver<Ended>,
        instance: &str,
        replayed: bool,
    ) -> Result<Answer, Fault> {
        let wait = Duration::from_millis(u64::try_from(DECISION_WAIT_MS).unwrap_or(2_000));
        let ended = match select(waiter, pin!(Delay::from(wait))).await {
            Either::Left((ended, _)) => ended.unwrap_or(Ended::Kept),
            Either::Right(_) => Ended::Kept,
        };
        match ended {
            Ended::Recorded | Ended::Kept => {
                if self.store().known(rid)? == Known::Absent {
                    // Two seconds are gone: what the 202 names must be durable first.
                    let intent = self.drive.runs.borrow().get(rid).map(|run| run.intent.clone());
                    self.keep(&intent.ok_or_else(|| Fault::new("a run ended without a record"))?, 0, None)?;
                }
                self.current(rid, instance, replayed)
            }
            Ended::Refused(refusal) => Answer::refusal(&refusal, instance),
            Ended::Overflow => {
                let reason = format!("the balance would exceed {INTEGER_MAX}");
                Answer::invalid(InvalidRequest::one("code", reason), instance)
            }
            Ended::Failed(fault) => Ok(Answer::fault(&fault, instance)),
        }
    }

    /// The redemption as it stands: 201 once decided, the problem when refused, 202 before.
    fn current(&self, rid: &Rid, instance: &str, replayed: bool) -> Result<Answer, Fault> {
        let redemption = self.store().redemption(rid)?.ok_or_else(|| Fault::new("a redemption is missing"))?;
        let answer = match (&redemption.refusal, redemption.status) {
            (Some(refusal), _) => Answer::refusal(refusal, instance)?,
            (None, status) if !status.is_decided() => self.located(Answer::json(202, &redemption)?, &redemption),
            (None, _) => self.located(Answer::json(201, &redemption)?, &redemption),
        };
        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
    }

    fn located(&self, answer: Answer, redemption: &Redemption) -> Answer {
        answer.header("Location", format!("/v1/redemptions/{}", redemption.redemption_id))
    }

    /// The command of this redemption that is under way.
    fn running(&self, rid: &Rid) -> Option<Fingerprint> {
        self.drive.runs.borrow().get(rid).map(|run| run.intent.fp)
    }

    fn join(&self, rid: &Rid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        if let Some(run) = self.drive.runs.borrow_mut().get_mut(rid) {
            run.waiters.push(sender);
        }
        receiver
    }

    /// Starts a run in a task of its own.
    fn start(self: &Rc<Self>, intent: Intent) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let rid = intent.rid;
        let run = Run { intent: intent.clone(), waiters: vec![sender] };
        self.drive.runs.borrow_mut().insert(rid, run);
        let inner = Rc::clone(self);
        self.state.wait_until(async move {
            let (ended, settlement) = inner.run(&intent).await;
            let decided = matches!(ended, Ended::Recorded);
            let run = inner.drive.runs.borrow_mut().remove(&rid);
            for waiter in run.into_iter().flat_map(|run| run.waiters) {
                // A waiter that is gone loses nothing: the record is there.
                let _ = waiter.send(ended.clone());
            }
            if decided {
                inner.start_tries(&rid);
            }
            inner.settle(&intent, settlement).await;
            inner.report().await;
        });
        receiver
    }

    /// Steps 3 to 5 for one redemption, one at a time for each campaign.
    async fn run(self: &Rc<Self>, intent: &Intent) -> (Ended, Settlement) {
        let mut intent = intent.clone();
        let _turn = self.take_turn(intent.campaign).await;
        for _ in 0..LATE_MAX {
            // Read anew each time: what a participant asked about meanwhile may have been decided.
            match self.store().campaign_uses(intent.campaign) {
                Ok(uses) => intent.facts.member_uses = uses,
                Err(fault) => return (Ended::Failed(fault), Settlement::None),
            }
            intent.deadline = now().plus_ms(INTENT_DEADLINE_MS);
            let op = ShardOp::Prepare { intent: intent.clone() };
            let answer: PrepareReply = match self.ask_shard(intent.campaign, &op).await {
                Ok(answer) => answer,
                Err(fault) => return (self.fail(&intent, &fault, UNREACHED), Settlement::None),
            };
            match self.conclude(&intent, &answer) {
                Ok((Some(Ended::Overflow), settlement))
                    if matches!(self.store().known(&intent.rid), Ok(Known::Open(_))) =>
                {
                    // A 2xx has named it: it waits until something of the balance is spent.
                    return (self.fail(&intent, &Fault::new("a balance would overflow"), OVERFLOW), settlement);
                }
                Ok((Some(ended), settlement)) => return (ended, settlement),
                Ok((None, _)) => {}
                // Nothing is durable, so nothing is told: an abort that comes late would take the use of the next
                // try away. The participant asks.
                Err(fault) => return (Ended::Failed(fault), Settlement::None),
            }
        }
        (self.fail(&intent, &Fault::new("the participant found the intent too late"), UNREACHED), Settlement::None)
    }

    /// Step 5: decides and writes in one transaction. `None` asks the participant again.
    fn conclude(
        self: &Rc<Self>,
        intent: &Intent,
        answer: &PrepareAnswer,
    ) -> Result<(Option<Ended>, Settlement), Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let at = now();
        let (ended, settlement, events) = self.storage.transaction(|| {
            let store = self.store();
            let wallet = store.wallet(at)?;
            let view = self.view(&store, intent, &who, &wallet)?;
            let Ok(step) = decide(&view, intent, answer, &names, at) else {
                // As with a failure: nothing is durable, so nothing is told.
                return Ok((Some(Ended::Overflow), Settlement::None, vec![]));
            };
            Ok(match step {
                DecideStep::Commit(decision) => {
                    let settled = (decision.settlement == Settlement::Settle).then_some(Settled {
                        campaign: intent.campaign,
                        shard: 0,
                        rid: intent.rid,
                        fp: intent.fp,
                    });
                    let events = store.apply(intent, &decision, who.told(settled), at)?;
                    due::done(&self.storage, &open_item(&intent.rid))?;
                    let ended = match (&decision.changes.redemption, &decision.refusal) {
                        (None, Some(refusal)) => Ended::Refused(refusal.clone()),
                        (_, _) => Ended::Recorded,
                    };
                    (Some(ended), decision.settlement, events)
                }
                DecideStep::Replay => (Some(Ended::Recorded), Settlement::Settle, vec![]),
                DecideStep::Abort => (Some(Ended::Recorded), Settlement::Abort, vec![]),
                DecideStep::Retry => (None, Settlement::None, vec![]),
            })
        })?;
        self.publish(&events);
        Ok((ended, settlement))
    }

    /// What a decision about this intent reads.
    pub(crate) fn view<'a>(
        &self,
        store: &MemberStore<'_>,
        intent: &Intent,
        who: &'a Who,
        wallet: &'a Wallet,
    ) -> Result<MemberView<'a>, Fault> {
        Ok(MemberView {
            known: store.known(&intent.rid)?,
            consumed: store.consumed(&intent.rid)?,
            member_uses: store.campaign_uses(intent.campaign)?,
            wallet,
            next_ledger_row: store.next_ledger_row()?,
            opened_at: store.opened(&intent.rid)?.map(|open| open.opened_at),
            member_id: &who.member_id,
            pid: &who.pid,
        })
    }

    /// It cannot be decided now: kept, and tried again by the alarm. `shown` is what its holder reads.
    fn fail(self: &Rc<Self>, intent: &Intent, fault: &Fault, shown: &str) -> Ended {
        fault.log("prepare_failed");
        // Somebody else has ended it meanwhile: an operator, or a participant that asked.
        if matches!(self.store().known(&intent.rid), Ok(Known::Decided(_))) {
            return Ended::Recorded;
        }
        let tries = self.store().opened(&intent.rid).ok().flatten().map_or(0, |open| open.tries) + 1;
        match self.keep(intent, tries, Some(shown)) {
            Ok(()) => Ended::Kept,
            Err(fault) => Ended::Failed(fault),
        }
    }

    /// Makes an undecided redemption durable, with the alarm that drives it.
    fn keep(&self, intent: &Intent, tries: u32, last_error: Option<&str>) -> Result<(), Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let at = now();
        let next = at.plus_ms(backoff_ms(tries, random_u32()));
        let events = self.storage.transaction(|| {
            let created_at = self.store().opened(&intent.rid)?.map_or(at, |open| open.opened_at);
            let redemption = open(intent, tries.max(1), last_error, Some(next), &names, created_at, at);
            due::plan(&self.storage, &open_item(&intent.rid), next)?;
            self.store().open(intent, &redemption, tries, who.told(None))
        })?;
        self.publish(&events);
        Ok(())
    }

    /// Step 8: the alarm, or a replay, drives an accepted redemption on.
    pub(crate) fn drive_again(self: &Rc<Self>, rid: &Rid) -> Result<(), Fault> {
        if self.drive.runs.borrow().contains_key(rid) {
            // It is under way; look again should it get lost.
            return due::plan(&self.storage, &open_item(rid), now().plus_ms(INTENT_DEADLINE_MS));
        }
        match self.store().opened(rid)? {
            Some(open) => {
                due::plan(&self.storage, &open_item(rid), now().plus_ms(INTENT_DEADLINE_MS * 2))?;
                drop(self.start(open.intent));
                Ok(())
            }
            None => due::done(&self.storage, &open_item(rid)),
        }
    }

    /// Step 7: a participant asks. What this Member has never heard of is decided here and now, by the promise.
    pub(crate) fn fate(self: &Rc<Self>, intent: &Intent, prepared: &Prepared) -> Result<Fate, Fault> {
        let known = self.store().known(&intent.rid)?;
        let consumed = self.store().consumed(&intent.rid)?;
        let running = self.drive.runs.borrow().contains_key(&intent.rid);
        if let Ok(fate) = inquire(known, consumed, running, &intent.fp) {
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

    /// Step 6: what was decided against is given back at once; what was decided for, the Recorder tells in bulk. When a
    /// message is lost, the participant's alarm asks.
    pub(crate) async fn settle(&self, intent: &Intent, settlement: Settlement) {
        let fate = match settlement {
            Settlement::None | Settlement::Settle => return,
            Settlement::Abort => Fate::Aborted,
        };
        let op = ShardOp::Settle { rid: intent.rid, fp: intent.fp, fate };
        let told: Result<serde_json::Value, Fault> = self.ask_shard(intent.campaign, &op).await;
        if let Err(fault) = told {
            fault.log("settle_failed");
        }
    }

    /// Asks the campaign's shard, with a bound on the wait.
    pub(crate) async fn ask_shard<T: serde::de::DeserializeOwned>(
        &self,
        campaign: u16,
        op: &ShardOp,
    ) -> Result<T, Fault> {
        let campaign = campaign_name(self.merchant()?.as_str(), campaign);
        let objects = Objects(&self.env);
        let asking = pin!(objects.shard(&campaign, 0, op));
        match select(asking, pin!(Delay::from(PARTICIPANT_WAIT))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Fault::new("the participant did not answer in time")),
        }
    }

    /// Waits for this campaign's turn; the turn ends when the guard is dropped.
    async fn take_turn(self: &Rc<Self>, campaign: u16) -> Turn {
        let waiting = {
            let mut queues = self.drive.queues.borrow_mut();
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
            // The sender goes only when its turn is handed over.
            let _ = turn.await;
        }
        Turn { inner: Rc::clone(self), campaign }
    }
}

/// The right to redeem in one campaign.
struct Turn {
    inner: Rc<Inner>,
    campaign: u16,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = self.inner.drive.queues.borrow_mut();
        loop {
            match queues.get_mut(&self.campaign).and_then(VecDeque::pop_front) {
                // One that has gone away passes the turn on.
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

pub(crate) fn open_item(rid: &Rid) -> String {
    format!("{OPEN_ITEM}:{}", rid.to_hex())
}
