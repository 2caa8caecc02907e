//! Driving a redemption to its decision: steps 2 to 6 of the protocol, and step 8 from the alarm.
//!
//! Each redemption runs in a task of its own, so that a client that goes away stops nothing; the request that
//! started it, its twins and the alarm all wait for the same task.

use crate::answer::{Answer, OUTCOME_HEADER};
use crate::calls::{BuyCall, Objects, PrepareReply, Recognised, RedeemCall, ShardOp, campaign_name};
use crate::due;
use crate::member::{Inner, Who, attempts_allowed};
use crate::member_store::{Arrival, Arriving, MemberStore, Standing};
use crate::platform::{Fault, now, random_u32};
use crate::pool_calls::{PoolOp, pool_name};
use crate::reward_store::Told;
use counterfoil_core::checkout::Book;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DECISION_WAIT_MS, INTEGER_MAX, INTENT_DEADLINE_MS};
use counterfoil_core::price::unit_cost;
use counterfoil_core::protocol::member::{
    Answers, DecideStep, Known, MemberView, Receipt, Settlement, decide, inquire, open, pool_needed, receive,
};
use counterfoil_core::protocol::pool::PoolAnswer;
use counterfoil_core::protocol::report::{Participant, Settled, Took};
use counterfoil_core::protocol::{
    CodeWish, Fate, Intent, MESSAGE_VERSION, PrepareAnswer, Prepared, Purchase, Wish, backoff_ms,
};
use counterfoil_core::quote::Quote;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::Facts;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{InvalidRequest, ProtocolError, Redemption, RedemptionStatus, Wallet};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
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
    Recorded {
        /// Something of it may be due at a fulfiller.
        tries: bool,
    },
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
    /// When the call that is being taken up came in at the Worker, for figures.
    pub(crate) arrived: Cell<Option<counterfoil_core::time::Instant>>,
}

impl Inner {
    /// Step 2: a request arrives.
    pub(crate) async fn redeem(self: &Rc<Self>, call: RedeemCall, instance: &str) -> Result<Answer, Fault> {
        let (kind, allowed) = attempts_allowed(call.alias);
        let campaign = call.code.as_ref().map_or(0, |code| code.campaign);
        let arrival = self.store().arrival(&Arriving { rid: &call.rid, campaign, kind, allowed }, now())?;
        match receive(arrival.known, &call.fp, &arrival.attempts, call.code.is_some(), now()) {
            Receipt::Replay => return self.replay(&call.rid, call.respond_async, instance).await,
            Receipt::KeyReused => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Receipt::TooManyAttempts { retry_after_s } => {
                return Answer::refusal(&Refusal::TooManyAttempts { retry_after_s }, instance);
            }
            Receipt::Unrecognised => {
                return self.unrecognised(kind, call.actor.as_deref(), instance);
            }
            Receipt::Proceed => {}
        }
        match self.intent(&call, arrival) {
            Some(intent) => self.begin(intent, call.respond_async, instance).await,
            None => Answer::refusal(&Refusal::CodeNotRecognised, instance),
        }
    }

    /// A purchase with points arrives.
    pub(crate) async fn buy(self: &Rc<Self>, call: BuyCall, instance: &str) -> Result<Answer, Fault> {
        let BuyCall { rid, fp, reward, quantity, actor, respond_async } = call;
        if let Some(answer) = self.seen(&rid, &fp, respond_async, instance).await? {
            return Ok(answer);
        }
        let attributes = self.store().attributes()?;
        let roles = self.store().profile()?.roles.unwrap_or_default();
        let unit_cost = unit_cost(&reward, &attributes);
        let wish = Wish::Points(Purchase { reward, quantity, at: now(), attributes, roles, unit_cost, quote: None });
        self.begin(self.wishing(rid, fp, wish, actor), respond_async, instance).await
    }

    /// An intent about no code.
    pub(crate) fn wishing(&self, rid: Rid, fp: Fingerprint, wish: Wish, actor: Option<String>) -> Intent {
        let deadline = now().plus_ms(INTENT_DEADLINE_MS);
        Intent { v: MESSAGE_VERSION, rid, fp, wish, order: None, actor, arrived: self.drive.arrived.take(), deadline }
    }

    /// The answer to a key that was used before, where it was.
    pub(crate) async fn seen(
        self: &Rc<Self>,
        rid: &Rid,
        fp: &Fingerprint,
        respond_async: bool,
        instance: &str,
    ) -> Result<Option<Answer>, Fault> {
        match self.store().known(rid)? {
            Known::Absent => Ok(None),
            Known::Open(first) | Known::Decided(first) if first == *fp => {
                self.replay(rid, respond_async, instance).await.map(Some)
            }
            Known::Open(_) | Known::Decided(_) => {
                Answer::error(&ProtocolError::IdempotencyKeyReused, instance).map(Some)
            }
        }
    }

    /// Starts what was not seen before, or joins its twin, and waits for the decision.
    pub(crate) async fn begin(
        self: &Rc<Self>,
        intent: Intent,
        respond_async: bool,
        instance: &str,
    ) -> Result<Answer, Fault> {
        match self.running(&intent.rid) {
            Some(fp) if fp != intent.fp => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Some(_) => {
                let waiter = self.join(&intent.rid);
                return self.await_end(&intent.rid, waiter, instance, true).await;
            }
            None => {}
        }
        if respond_async {
            return self.accept(intent, instance).await;
        }
        let rid = intent.rid;
        let waiter = self.start(intent);
        self.await_end(&rid, waiter, instance, false).await
    }

    fn intent(&self, call: &RedeemCall, arrival: Arrival) -> Option<Intent> {
        let code = call.code.as_ref()?;
        let facts = Facts {
            at: now(),
            seq: code.seq,
            epoch: code.epoch,
            profile: code.profile,
            epoch_revoked: code.epoch_revoked,
            method: call.method,
            currency: call.currency.clone(),
            attributes: arrival.attributes,
            roles: arrival.profile.roles.unwrap_or_default(),
            member_uses: arrival.member_uses,
        };
        let wish = Wish::Code(CodeWish { campaign: code.campaign, facts, checkout: call.checkout.clone() });
        let mut intent = self.wishing(call.rid, call.fp, wish, call.actor.clone());
        intent.order.clone_from(&call.order);
        Some(intent)
    }

    /// `Prefer: respond-async`: the row that drives it is durable before the 202 leaves. A code that is not
    /// known is refused at once even then, so the shard is asked first; when it cannot be reached, accepting
    /// is safe.
    async fn accept(self: &Rc<Self>, intent: Intent, instance: &str) -> Result<Answer, Fault> {
        if let Some(CodeWish { campaign, facts, .. }) = intent.code() {
            let op = ShardOp::Recognise { facts: facts.clone() };
            let asked: Result<Recognised, Fault> = self.ask_shard(*campaign, &op).await;
            if matches!(asked, Ok(Recognised { recognised: false })) {
                return self.unrecognised("code", intent.actor.as_deref(), instance);
            }
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
    pub(crate) async fn replay(
        self: &Rc<Self>,
        rid: &Rid,
        respond_async: bool,
        instance: &str,
    ) -> Result<Answer, Fault> {
        let undecided = matches!(self.store().known(rid)?, Known::Open(_));
        if undecided && !respond_async {
            if !self.drive.runs.borrow().contains_key(rid) {
                self.drive_again(rid)?;
            }
            let waiter = self.join(rid);
            return self.await_end(rid, waiter, instance, true).await;
        }
        self.current(rid, instance, true)
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
            Ended::Recorded { .. } => self.current(rid, instance, replayed),
            Ended::Kept => {
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
                Answer::invalid(InvalidRequest::one("body", reason), instance)
            }
            Ended::Failed(fault) => Ok(Answer::fault(&fault, instance)),
        }
    }

    /// The redemption as it stands: 201 once decided, the problem when refused, 202 before.
    fn current(&self, rid: &Rid, instance: &str, replayed: bool) -> Result<Answer, Fault> {
        let stored = self.store().redemption_text(rid)?;
        let (status, doc) = stored.ok_or_else(|| Fault::new("a redemption is missing"))?;
        let answer = if status == RedemptionStatus::Refused.name() {
            let redemption: Redemption = counterfoil_core::json::read(&doc)?;
            let refusal = redemption.refusal.ok_or_else(|| Fault::new("a refusal is missing"))?;
            Answer::refusal(&refusal, instance)?
        } else {
            let undecided = RedemptionStatus::ALL.iter().any(|one| one.name() == status && !one.is_decided());
            let config = self.config()?;
            let merchant = self.merchant()?;
            let id = Names { key: &config.id_key, merchant: &merchant }.redemption(rid);
            // As it is stored: nothing is parsed only to be written again.
            Answer::json_text(if undecided { 202 } else { 201 }, doc)
                .header("Location", format!("/v1/redemptions/{id}"))
                .header(OUTCOME_HEADER, status)
        };
        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
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
            let (ended, aborted) = inner.run(&intent).await;
            let tries = matches!(ended, Ended::Recorded { tries: true });
            let run = inner.drive.runs.borrow_mut().remove(&rid);
            for waiter in run.into_iter().flat_map(|run| run.waiters) {
                // A waiter that is gone loses nothing: the record is there.
                let _ = waiter.send(ended.clone());
            }
            if tries {
                inner.start_tries(&rid);
            }
            inner.abort(&intent, &aborted).await;
            inner.report().await;
        });
        receiver
    }

    /// Steps 3 to 5 for one redemption, one at a time for each campaign. Answers whom to tell that it is given back.
    async fn run(self: &Rc<Self>, intent: &Intent) -> (Ended, Vec<Participant>) {
        let mut intent = intent.clone();
        let turn = self.take_turn(intent.campaign()).await;
        for late in 0..LATE_MAX {
            // Read anew after each wait: what a participant asked about meanwhile may have been decided.
            if let Wish::Code(code) = &mut intent.wish
                && (turn.waited || late > 0 || code.facts.at != now())
            {
                match self.store().campaign_uses(code.campaign) {
                    Ok(uses) => code.facts.member_uses = uses,
                    Err(fault) => return (Ended::Failed(fault), vec![]),
                }
            }
            intent.deadline = now().plus_ms(INTENT_DEADLINE_MS);
            let asked = match self.ask_participants(&intent).await {
                Ok(asked) => asked,
                Err(fault) => return (self.fail(&intent, &fault, UNREACHED), vec![]),
            };
            match self.conclude(&intent, &asked) {
                Ok((Some(Ended::Overflow), _)) if matches!(self.store().known(&intent.rid), Ok(Known::Open(_))) => {
                    // A 2xx has named it: it waits until something of the balance is spent.
                    return (self.fail(&intent, &Fault::new("a balance would overflow"), OVERFLOW), vec![]);
                }
                Ok((Some(ended), Settlement::Abort)) => return (ended, asked.prepared(&intent)),
                Ok((Some(ended), Settlement::None | Settlement::Settle)) => return (ended, vec![]),
                Ok((None, _)) => {}
                // Nothing is durable, so nothing is told: an abort that comes late would take the use of the next
                // try away. The participants ask.
                Err(fault) => return (Ended::Failed(fault), vec![]),
            }
        }
        (self.fail(&intent, &Fault::new("a participant found the intent too late"), UNREACHED), vec![])
    }

    /// Steps 3 and 4: the code's own shard first, then the pool, each only where it has a say.
    async fn ask_participants(self: &Rc<Self>, intent: &Intent) -> Result<Asked, Fault> {
        let mut asked = Asked::default();
        if intent.code().is_some() {
            let op = ShardOp::Prepare { intent: intent.clone() };
            let answer: PrepareReply = self.ask_shard(intent.campaign(), &op).await?;
            asked.shard = Some(answer);
        }
        if let Some((pool_id, quantity)) = self.pool_needed(intent, asked.shard.as_ref())? {
            let op = PoolOp::Prepare { intent: intent.clone(), quantity };
            let answer: PoolAnswer = self.ask_pool(&pool_id, &op).await?;
            asked.pool = Some((pool_id, answer));
        }
        Ok(asked)
    }

    fn pool_needed(
        self: &Rc<Self>,
        intent: &Intent,
        shard: Option<&PrepareAnswer>,
    ) -> Result<Option<(String, u32)>, Fault> {
        let pooled = match (&intent.wish, shard) {
            (Wish::Points(purchase), _) => purchase.reward.pool_id.is_some(),
            (Wish::Gift(gift), _) => gift.reward.pool_id.is_some(),
            (Wish::Code(_), Some(PrepareAnswer::Prepared(prepared))) => prepared.reward.pool_id.is_some(),
            (Wish::Code(_), Some(PrepareAnswer::Refused { .. } | PrepareAnswer::Late) | None) => false,
        };
        if !pooled {
            return Ok(None);
        }
        let who = self.who()?;
        let at = now();
        let (store, wallet) = (self.store(), self.store().wallet(at)?);
        let read = Read::of(&store, intent)?;
        let view = self.view(&store, intent, &who, &wallet, &read)?;
        Ok(pool_needed(&view, intent, shard, at).map(|(pool_id, quantity)| (pool_id.to_owned(), quantity)))
    }

    /// Step 5: decides and writes in one transaction. `None` asks the participants again.
    fn conclude(self: &Rc<Self>, intent: &Intent, asked: &Asked) -> Result<(Option<Ended>, Settlement), Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let at = now();
        let (ended, settlement, events) = self.storage.transaction(|| {
            let store = self.store();
            let wallet = store.wallet(at)?;
            let read = Read::of(&store, intent)?;
            let view = self.view(&store, intent, &who, &wallet, &read)?;
            let answers = Answers { shard: asked.shard.as_ref(), pool: asked.pool.as_ref().map(|(_, answer)| answer) };
            let Ok(step) = decide(&view, intent, answers, &names, at) else {
                // As with a failure: nothing is durable, so nothing is told.
                return Ok((Some(Ended::Overflow), Settlement::None, vec![]));
            };
            Ok(match step {
                DecideStep::Commit(decision) => {
                    let settled = match decision.settlement {
                        Settlement::Settle => asked.settled(intent),
                        Settlement::None | Settlement::Abort => vec![],
                    };
                    let pool_id = asked.pool.as_ref().map(|(pool_id, _)| pool_id.as_str());
                    let took = Took::deciding(intent.arrived, view.opened_at, at);
                    let told = Told { took, ..who.told(settled) };
                    let events = store.apply(intent, &decision, pool_id, told, at)?;
                    if view.opened_at.is_some() {
                        store.close_open(&intent.rid)?;
                        due::done(&self.storage, &open_item(&intent.rid))?;
                    }
                    let tries = decision.changes.rewards.iter().any(|record| record.mechanic.endpoint().is_some());
                    let ended = match (&decision.changes.redemption, &decision.refusal) {
                        (None, Some(refusal)) => Ended::Refused(refusal.clone()),
                        (_, _) => Ended::Recorded { tries },
                    };
                    (Some(ended), decision.settlement, events)
                }
                DecideStep::Replay => (Some(Ended::Recorded { tries: true }), Settlement::Settle, vec![]),
                DecideStep::Abort => (Some(Ended::Recorded { tries: true }), Settlement::Abort, vec![]),
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
        read: &'a Read,
    ) -> Result<MemberView<'a>, Fault> {
        let Standing { known, consumed, member_uses, next_ledger_row, opened_at } =
            store.standing(&intent.rid, intent.campaign())?;
        Ok(MemberView {
            known,
            consumed,
            member_uses,
            wallet,
            next_ledger_row,
            opened_at,
            quote: read.quote.as_ref(),
            last_bought_at: read.last_bought_at,
            book: read.book.as_ref(),
            member_id: &who.member_id,
            pid: &who.pid,
        })
    }

    /// It cannot be decided now: kept, and tried again by the alarm. `shown` is what its holder reads.
    fn fail(self: &Rc<Self>, intent: &Intent, fault: &Fault, shown: &str) -> Ended {
        fault.log("prepare_failed");
        // Somebody else has ended it meanwhile: an operator, or a participant that asked.
        if matches!(self.store().known(&intent.rid), Ok(Known::Decided(_))) {
            return Ended::Recorded { tries: false };
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
            let told = Told { took: Took::accepting(intent.arrived, at), ..who.told(vec![]) };
            self.store().open(intent, &redemption, tries, told)
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

    /// Step 7: a shard asks. What this Member has never heard of is decided here and now, by the promise; where a pool
    /// has a say too, it is driven on from the start.
    pub(crate) fn fate(self: &Rc<Self>, intent: &Intent, prepared: &Prepared) -> Result<Fate, Fault> {
        if let Some(fate) = self.known_fate(intent)? {
            return Ok(fate);
        }
        let asked = Asked { shard: Some(PrepareAnswer::Prepared(prepared.clone())), pool: None };
        if self.pool_needed(intent, asked.shard.as_ref())?.is_some() {
            drop(self.start(intent.clone()));
            return Ok(Fate::Running);
        }
        let (_, settlement) = self.conclude(intent, &asked)?;
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
        if let Some(fate) = self.known_fate(intent)? {
            return Ok(fate);
        }
        drop(self.start(intent.clone()));
        Ok(Fate::Running)
    }

    fn known_fate(&self, intent: &Intent) -> Result<Option<Fate>, Fault> {
        let store = self.store();
        let (known, consumed) = (store.known(&intent.rid)?, store.consumed(&intent.rid)?);
        let held_until = store.held_until(&intent.rid)?;
        let running = self.drive.runs.borrow().contains_key(&intent.rid);
        Ok(inquire(known, consumed, held_until, running, &intent.fp).ok())
    }

    /// Step 6: what was decided against is given back at once; what was decided for, the Recorder tells in bulk. When a
    /// message is lost, the participant's alarm asks.
    pub(crate) async fn abort(&self, intent: &Intent, participants: &[Participant]) {
        let (rid, fp, fate) = (intent.rid, intent.fp, Fate::Aborted);
        for participant in participants {
            let told: Result<serde_json::Value, Fault> = match participant {
                Participant::Shard { campaign, .. } => {
                    self.ask_shard(*campaign, &ShardOp::Settle { rid, fp, fate }).await
                }
                Participant::Pool { pool_id } => self.ask_pool(pool_id, &PoolOp::Settle { rid, fp, fate }).await,
            };
            if let Err(fault) = told {
                fault.log("settle_failed");
            }
        }
    }

    /// Asks a pool, with a bound on the wait.
    pub(crate) async fn ask_pool<T: serde::de::DeserializeOwned>(
        &self,
        pool_id: &str,
        op: &PoolOp,
    ) -> Result<T, Fault> {
        let name = pool_name(self.merchant()?.as_str(), pool_id);
        let objects = Objects(&self.env);
        let asking = pin!(objects.pool(&name, op));
        match select(asking, pin!(Delay::from(PARTICIPANT_WAIT))).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(Fault::new("the pool did not answer in time")),
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
        let waited = waiting.is_some();
        if let Some(turn) = waiting {
            // The sender goes only when its turn is handed over.
            let _ = turn.await;
        }
        Turn { inner: Rc::clone(self), campaign, waited }
    }
}

/// What participants have answered to an intent.
#[derive(Default)]
pub(crate) struct Asked {
    shard: Option<PrepareAnswer>,
    /// Which, and what.
    pool: Option<(String, PoolAnswer)>,
}

impl Asked {
    /// Those that keep something for it.
    fn prepared(&self, intent: &Intent) -> Vec<Participant> {
        let shard = matches!(self.shard, Some(PrepareAnswer::Prepared(_)))
            .then(|| Participant::Shard { campaign: intent.campaign(), shard: 0 });
        let pool = match &self.pool {
            Some((pool_id, PoolAnswer::Prepared { .. })) => Some(Participant::Pool { pool_id: pool_id.clone() }),
            Some((_, PoolAnswer::Refused { .. } | PoolAnswer::Late)) | None => None,
        };
        shard.into_iter().chain(pool).collect()
    }

    fn settled(&self, intent: &Intent) -> Vec<Settled> {
        let settled = |participant| Settled { participant, rid: intent.rid, fp: intent.fp };
        self.prepared(intent).into_iter().map(settled).collect()
    }
}

/// What a decision about a purchase reads beside the wallet.
#[derive(Default)]
pub(crate) struct Read {
    quote: Option<Quote>,
    last_bought_at: Option<counterfoil_core::time::Instant>,
    book: Option<Book>,
}

impl Read {
    pub(crate) fn of(store: &MemberStore<'_>, intent: &Intent) -> Result<Self, Fault> {
        if let Some(CodeWish { campaign, facts, checkout: Some(checkout) }) = intent.code() {
            let held = store.hold_of_code(*campaign, facts.seq)?.filter(|hold| hold.rid != intent.rid);
            let twin_until = held.map(|hold| hold.expires_at);
            let book = Book { twin_until, ..store.book(&checkout.order)? };
            return Ok(Self { book: Some(book), ..Self::default() });
        }
        let Wish::Points(Purchase { reward, quote: Some(terms), .. }) = &intent.wish else { return Ok(Self::default()) };
        let (quote, last_bought_at) = (store.quote(&terms.quote)?, store.last_bought_at(&reward.reward_id)?);
        Ok(Self { quote, last_bought_at, book: None })
    }
}

/// The right to redeem in one campaign.
struct Turn {
    inner: Rc<Inner>,
    campaign: u16,
    /// Others went before.
    waited: bool,
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
