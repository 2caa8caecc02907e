//! Driving a redemption to its decision: steps 2 to 6 of the protocol, and step 8 from the alarm.
//!
//! Each redemption runs in a task of its own, so that a client that goes away stops nothing; the request that
//! started it, its twins and the alarm all wait for the same task.

use crate::answer::{Answer, OUTCOME_HEADER};
use crate::calls::{BuyCall, Guard, Recognised, RedeemCall, ShardOp};
use crate::due;
use crate::member::{Inner, Who};
use crate::member_participants::{Asked, Read};
use crate::member_store::{Arrival, Arriving, Standing};
use crate::platform::{Fault, now, random_u32};
use crate::reward_store::Told;
use crate::turns::Turns;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DECISION_WAIT_MS, INTEGER_MAX, INTENT_DEADLINE_MS};
use counterfoil_core::price::{total_cost, unit_cost};
use counterfoil_core::protocol::member::{
    Answers, Bar, DecideStep, Known, MemberView, Receipt, Settlement, cancel_open, decide, open, receive,
};
use counterfoil_core::protocol::report::{Participant, Took};
use counterfoil_core::protocol::{CodeWish, Intent, MESSAGE_VERSION, Purchase, Wish, backoff_ms};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::Actor;
use counterfoil_core::rules::Facts;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{Event, InvalidRequest, ProtocolError, Redemption, RedemptionStatus, Wallet};
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

/// Prefix of due-items that drive an accepted redemption.
pub(crate) const OPEN_ITEM: &str = "open";
/// Why a redemption is tried again, as its holder reads it.
const UNREACHED: &str = "a participant could not be reached";
/// As [`UNREACHED`].
pub(crate) const OVERFLOW: &str = "the balance would exceed 9007199254740991";
/// No balance will ever cover it, and no client keeps such a figure exactly.
pub(crate) const TOO_DEAR: &str = "so many would cost more than 9007199254740991 points";
/// Fresh deadlines in one run.
const LATE_MAX: u32 = 3;

/// How a run ended, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
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
    /// Decided without a record; only participants have still to hear of it.
    ended: Option<Ended>,
}

/// Runs under way, in memory only: everything durable is in the store.
#[derive(Default)]
pub(crate) struct Drive {
    pub(crate) runs: RefCell<HashMap<Rid, Run>>,
    /// One redemption at a time for each campaign: the others queue, so that limits are read after the one
    /// before has been decided.
    turns: Turns<TurnOf>,
    /// When the call that is being taken up came in at the Worker, for figures.
    pub(crate) arrived: Cell<Option<counterfoil_core::time::Instant>>,
}

impl Drive {
    /// What is under way.
    pub(crate) fn intents(&self) -> Vec<Intent> {
        self.runs.borrow().values().map(|run| run.intent.clone()).collect()
    }
}

impl Inner {
    /// Step 2: a request arrives.
    pub(crate) async fn redeem(self: &Rc<Self>, call: RedeemCall, instance: &str) -> Result<Answer, Fault> {
        let RedeemCall { guard, alias, .. } = &call;
        let campaign = call.code.as_ref().map_or(0, |code| code.campaign);
        let arrival = self.store().arrival(&Arriving { rid: &call.rid, campaign, guard, alias: *alias }, now())?;
        match receive(arrival.known, &call.fp, &arrival.attempts, call.code.is_some(), now()) {
            Receipt::Replay => return self.replay(&call.rid, call.respond_async, instance).await,
            Receipt::KeyReused => return Answer::error(&ProtocolError::IdempotencyKeyReused, instance),
            Receipt::TooManyAttempts { retry_after_s } => {
                let bar = Bar::Wait { retry_after_s };
                return Self::kept_out(bar, &arrival.attempts, (guard, *alias), instance);
            }
            Receipt::Challenge => {
                return Self::kept_out(Bar::Challenge, &arrival.attempts, (guard, *alias), instance);
            }
            Receipt::Unrecognised => {
                let (counted, before) = ((*alias, call.claim), &arrival.attempts);
                return self.unrecognised(counted, before, call.actor.as_deref(), instance);
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
        if unit_cost.is_some_and(|unit| total_cost(unit, quantity).is_none()) {
            return Answer::invalid(InvalidRequest::one("quantity", TOO_DEAR), instance);
        }
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
        let waiter = self.start(intent, None);
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
            member_days: arrival.member_days,
            alias: code.alias.clone(),
        };
        let (campaign, shard) = (code.campaign, code.shard);
        let wish = Wish::Code(CodeWish { campaign, shard, facts, checkout: call.checkout.clone() });
        let mut intent = self.wishing(call.rid, call.fp, wish, call.actor.clone());
        intent.order.clone_from(&call.order);
        Some(intent)
    }

    /// `Prefer: respond-async`: the row that drives it is durable before the 202 leaves. A code that is not
    /// known is refused at once even then, so the shard is asked first; when it cannot be reached, accepting
    /// is safe.
    async fn accept(self: &Rc<Self>, mut intent: Intent, instance: &str) -> Result<Answer, Fault> {
        if let Wish::Code(code) = &mut intent.wish {
            let op = ShardOp::Recognise { facts: code.facts.clone(), mref: intent.rid.mref() };
            if let Ok((shard, answer)) = self.ask_keeper::<Recognised>((code.campaign, code.shard), &op).await {
                if !answer.recognised {
                    let counted = (intent.is_by_alias(), None);
                    let before = self.store().attempts(&Guard::usual(), counted.0, now())?;
                    return self.unrecognised(counted, &before, intent.actor.as_deref(), instance);
                }
                code.shard = shard;
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
            drop(self.start(intent, None));
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

    /// Ends what is not decided, with a record of it. Answers the events of the member's feed.
    pub(crate) fn cancel(&self, intent: &Intent, why: (&Actor, &str)) -> Result<Vec<Event>, Fault> {
        let (config, merchant, who) = (self.config()?, self.merchant()?, self.who()?);
        let names = Names { key: &config.id_key, merchant: &merchant };
        let at = now();
        self.storage.transaction(|| {
            let store = self.store();
            let (wallet, read) = (store.wallet(at)?, Read::of(&store, intent)?);
            let decision = cancel_open(&view(&who, &wallet, &read), intent, why, &names, at);
            let events = store.apply(intent, &decision, None, who.told(vec![]), at)?;
            store.close_open(&intent.rid)?;
            due::done(&self.storage, &open_item(&intent.rid))?;
            Ok(events)
        })
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
            // Two seconds are gone. What is decided is not kept, however long a participant takes to hear of it.
            Either::Right(_) => {
                self.drive.runs.borrow().get(rid).and_then(|run| run.ended.clone()).unwrap_or(Ended::Kept)
            }
        };
        match ended {
            Ended::Recorded { .. } => self.current(rid, instance, replayed),
            Ended::Kept => {
                if self.store().known(rid)? == Known::Absent {
                    // Two seconds are gone: what the 202 names must be durable first.
                    let intent = self.drive.runs.borrow().get(rid).map(|run| run.intent.clone());
                    // A run that failed (its fault is logged) decided nothing: the same key begins it again.
                    self.keep(&intent.ok_or_else(|| Fault::late("a run ended without a record"))?, 0, None)?;
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
    pub(crate) fn is_running(&self, rid: &Rid) -> bool {
        self.drive.runs.borrow().contains_key(rid)
    }

    fn running(&self, rid: &Rid) -> Option<Fingerprint> {
        self.drive.runs.borrow().get(rid).map(|run| run.intent.fp)
    }

    /// What is kept of a run when two seconds are gone knows its shard.
    pub(crate) fn note_keeper(&self, rid: &Rid, shard: u32) {
        if let Some(Wish::Code(code)) = self.drive.runs.borrow_mut().get_mut(rid).map(|run| &mut run.intent.wish) {
            code.shard = shard;
        }
    }

    fn join(&self, rid: &Rid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        if let Some(run) = self.drive.runs.borrow_mut().get_mut(rid) {
            run.waiters.push(sender);
        }
        receiver
    }

    /// Starts a run in a task of its own.
    ///
    /// `asked_by`: a participant whose question started it, and which keeps something for it whatever this run asks.
    pub(crate) fn start(self: &Rc<Self>, intent: Intent, asked_by: Option<Participant>) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        let rid = intent.rid;
        let run = Run { intent: intent.clone(), waiters: vec![sender], ended: None };
        self.drive.runs.borrow_mut().insert(rid, run);
        let inner = Rc::clone(self);
        self.state.wait_until(async move {
            let (ended, mut aborted) = inner.run(&intent).await;
            let tries = matches!(ended, Ended::Recorded { tries: true });
            // Without a record the same key may come again as soon as it was answered: nothing of this try may be on
            // its way then.
            let unrecorded = matches!(ended, Ended::Refused(_) | Ended::Overflow);
            if unrecorded {
                aborted.extend(asked_by.filter(|participant| !aborted.contains(participant)));
                if let Some(run) = inner.drive.runs.borrow_mut().get_mut(&rid) {
                    run.ended = Some(ended.clone());
                }
                inner.abort(&intent, &aborted).await;
            }
            let run = inner.drive.runs.borrow_mut().remove(&rid);
            for waiter in run.into_iter().flat_map(|run| run.waiters) {
                // A waiter that is gone loses nothing: the record is there.
                let _ = waiter.send(ended.clone());
            }
            if tries {
                inner.start_tries(&rid);
            }
            if !unrecorded {
                inner.abort(&intent, &aborted).await;
            }
            inner.report().await;
        });
        receiver
    }

    /// Steps 3 to 5 for one redemption, one at a time for each campaign. Answers whom to tell that it is given back.
    async fn run(self: &Rc<Self>, intent: &Intent) -> (Ended, Vec<Participant>) {
        let mut intent = intent.clone();
        let turn = match turn_of(&intent) {
            Some(key) => Some(self.drive.turns.take(key).await),
            None => None,
        };
        let waited = turn.as_ref().is_some_and(|turn| turn.waited);
        for late in 0..LATE_MAX {
            // Read anew after each wait: what a participant asked about meanwhile may have been decided.
            if let Wish::Code(code) = &mut intent.wish
                && (waited || late > 0 || code.facts.at != now())
            {
                match self.store().campaign_uses(code.campaign, code.facts.at) {
                    Ok(counted) => (code.facts.member_uses, code.facts.member_days) = counted,
                    Err(fault) => return (Ended::Failed(fault), vec![]),
                }
            }
            intent.deadline = now().plus_ms(INTENT_DEADLINE_MS);
            let asked = match self.ask_participants(&mut intent).await {
                Ok(asked) => asked,
                Err(fault) => return (self.fail(&intent, &fault, UNREACHED), vec![]),
            };
            match self.conclude(&intent, &asked) {
                Ok((Some(Ended::Overflow), _)) if matches!(self.store().known(&intent.rid), Ok(Known::Open(_))) => {
                    // A 2xx has named it: it waits until something of the balance is spent.
                    return (self.wait_for_balance(&intent), vec![]);
                }
                Ok((Some(ended), Settlement::Abort)) => {
                    // Promo codes that were shown are taken back by an undo, which puts them into quarantine.
                    let shown = self.store().has_promo_codes(&intent.rid, &intent.fp).unwrap_or(true);
                    let mut participants = asked.prepared(&intent);
                    participants.retain(|participant| !(shown && matches!(participant, Participant::Pool { .. })));
                    return (ended, participants);
                }
                // Nothing is durable: what was prepared for it is given back, before anybody is answered.
                Ok((Some(Ended::Overflow), _)) => return (Ended::Overflow, asked.prepared(&intent)),
                Ok((Some(ended), Settlement::None | Settlement::Settle)) => return (ended, vec![]),
                Ok((None, _)) => {}
                // Nothing is durable, so nothing is told: an abort that comes late would take the use of the next
                // try away. The participants ask.
                Err(fault) => return (Ended::Failed(fault), vec![]),
            }
        }
        (self.fail(&intent, &Fault::new("a participant found the intent too late"), UNREACHED), vec![])
    }

    /// Step 5: decides and writes in one transaction. `None` asks the participants again.
    pub(crate) fn conclude(
        self: &Rc<Self>,
        intent: &Intent,
        asked: &Asked,
    ) -> Result<(Option<Ended>, Settlement), Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let who = self.who()?;
        let at = now();
        let (ended, settlement, events) = self.storage.transaction(|| {
            let store = self.store();
            let wallet = store.wallet(at)?;
            let read = Read::of(&store, intent)?;
            let view = view(&who, &wallet, &read);
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

    /// What it gives would overflow a balance: it waits until something of that is spent, or an operator ends it.
    pub(crate) fn wait_for_balance(self: &Rc<Self>, intent: &Intent) -> Ended {
        self.fail(intent, &Fault::new("a balance would overflow"), OVERFLOW)
    }

    /// It cannot be decided now: kept, and tried again by the alarm. `shown` is what its holder reads.
    fn fail(self: &Rc<Self>, intent: &Intent, fault: &Fault, shown: &str) -> Ended {
        self.log_about(&intent.rid, "prepare_failed", fault);
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
                drop(self.start(open.intent, None));
                Ok(())
            }
            None => due::done(&self.storage, &open_item(rid)),
        }
    }
}

/// What a decision about an intent reads.
pub(crate) fn view<'a>(who: &'a Who, wallet: &'a Wallet, read: &'a Read) -> MemberView<'a> {
    let Standing { known, consumed, member_uses, member_days, next_ledger_row, opened_at } = &read.standing;
    MemberView {
        known: *known,
        consumed: *consumed,
        member_uses: *member_uses,
        member_days,
        wallet,
        next_ledger_row: *next_ledger_row,
        opened_at: *opened_at,
        quote: read.quote.as_ref(),
        last_bought_at: read.last_bought_at,
        book: read.book.as_ref(),
        member_id: &who.member_id,
        pid: &who.pid,
    }
}

/// Who goes one at a time.
#[derive(Clone, PartialEq, Eq, Hash)]
enum TurnOf {
    /// Limits of a campaign are read after the one before has been decided.
    Campaign(u16),
    /// A pool is asked for what the balance still covers: many at once would each look at the whole of it, and take
    /// codes from others until they are refused.
    Pool(String),
}

/// What an intent waits for. Points without a pool are looked at in the deciding transaction alone, and a pool out of
/// reach must not hold up the till.
fn turn_of(intent: &Intent) -> Option<TurnOf> {
    match &intent.wish {
        Wish::Code(code) => Some(TurnOf::Campaign(code.campaign)),
        Wish::Points(purchase) => purchase.reward.pool_id.clone().map(TurnOf::Pool),
        Wish::Gift(gift) => gift.reward.pool_id.clone().map(TurnOf::Pool),
    }
}

pub(crate) fn open_item(rid: &Rid) -> String {
    format!("{OPEN_ITEM}:{}", rid.to_hex())
}
