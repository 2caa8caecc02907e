//! A Member's rewards: what the clock, the fulfiller and its callbacks do to them. The decisions are core's own.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::member::Member;
use crate::member_state::MemberState;
use crate::message::{Http, Party, Reply, Request, TryOutcome, Webhook};
use crate::scenario::ENDPOINT;
use crate::step::Step;
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::DELIVERY_WAIT_MS;
use counterfoil_core::reward::delivery::{begin, callback, cancelled_id, disabled, ended, hurry, noticed, unsent};
use counterfoil_core::reward::life::{Verdict, Wake, wake};
use counterfoil_core::reward::{Changes, RewardRecord, View};
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use counterfoil_core::webhook::Outcome;
use counterfoil_core::webhook::outcome::classify;
use counterfoil_core::wire::{LedgerRow, Redemption, RewardState, Wallet};
use futures_util::future::{Either, LocalBoxFuture, select};
use std::pin::pin;
use std::rc::Rc;

/// Longest wait for the Merchant.
const MERCHANT_WAIT_MS: i64 = 8_000;
/// A due-item that found nothing to do is looked at again after this.
const LOOK_AGAIN_MS: i64 = 5_000;

/// What an alarm does outside its object.
pub(crate) type Outside = LocalBoxFuture<'static, Result<(), Fault>>;

/// What a reward's view borrows from.
pub(crate) struct Held {
    pub(crate) redemption: Rc<Redemption>,
    pub(crate) rewards: Vec<RewardRecord>,
    wallet: Wallet,
    next_ledger_row: u64,
    paid: Vec<LedgerRow>,
    features_elsewhere: Vec<String>,
    pub(crate) consumed: bool,
    rid: Rid,
    member_id: String,
    pid: String,
}

impl Held {
    pub(crate) fn view(&self) -> View<'_> {
        View {
            redemption: &self.redemption,
            rid: self.rid,
            rewards: &self.rewards,
            wallet: &self.wallet,
            next_ledger_row: self.next_ledger_row,
            paid: &self.paid,
            features_elsewhere: &self.features_elsewhere,
            consumed: self.consumed,
            member_id: &self.member_id,
            pid: &self.pid,
        }
    }
}

impl Member {
    pub(crate) fn pid(&self) -> String {
        format!("p{}", self.number)
    }

    pub(crate) fn member_id(&self) -> String {
        format!("member-{}", self.number)
    }

    /// What a decision about a decided redemption reads.
    pub(crate) fn held(&self, state: &MemberState, rid: &Rid, at: Instant) -> Option<Held> {
        let record = state.redemptions.get(rid).filter(|record| record.decided)?;
        Some(Held {
            redemption: Rc::clone(&record.doc),
            rewards: state.held(rid),
            wallet: state.wallet_at(at, self.world.defect),
            next_ledger_row: state.next_ledger_row(),
            paid: if self.world.has(Defect::PaymentForgotten) { vec![] } else { state.paid(&record.doc) },
            features_elsewhere: state.features_elsewhere(rid),
            consumed: record.consumed || self.world.has(Defect::UseReturnedTwice),
            rid: *rid,
            member_id: self.member_id(),
            pid: self.pid(),
        })
    }

    /// Decides about one redemption and writes it in one transaction. `None` where there is no such redemption.
    pub(crate) fn change<T>(
        self: &Rc<Self>,
        step: Step,
        rid: &Rid,
        decide: impl FnOnce(&View<'_>, &Names<'_>, Instant) -> (Option<Changes>, T),
    ) -> Result<Option<T>, Fault> {
        let at = self.now();
        let (changes, answer) = {
            let state = self.storage.read()?;
            let Some(held) = self.held(&state, rid, at) else {
                return Ok(None);
            };
            decide(&held.view(), &self.world.names(), at)
        };
        let Some(changes) = changes else {
            return Ok(Some(answer));
        };
        let events = self.storage.transaction(step, |state| {
            self.remember_feed(state);
            let events = state.write(rid, changes, &self.pid(), at, self.world.defect)?;
            self.last_event.set(state.remembered);
            Ok(events)
        })?;
        self.publish(events);
        self.start_tries(rid);
        self.start_report();
        Ok(Some(answer))
    }

    /// The alarm's turn for one reward: what the clock says is written at once; what leaves the object is handed
    /// back.
    pub(crate) fn wake_reward(self: &Rc<Self>, rid: Rid, index: u8) -> Result<Option<Outside>, Fault> {
        let trying = self.trying.borrow().contains(&(rid, index));
        let item = Item::Reward(rid, index);
        let woken = self.change(Step::Clock, &rid, |view, names, at| {
            match wake(view, usize::from(index), trying, names, at) {
                Wake::Commit(changes) => (Some(*changes), None),
                Wake::Nothing => (None, Some(Wake::Nothing)),
                Wake::Try => (None, Some(Wake::Try)),
                Wake::Notice => (None, Some(Wake::Notice)),
            }
        })?;
        let member = Rc::clone(self);
        match woken {
            None => self.storage.write(|state| state.due.done(item)).map(|()| None),
            // What is under way ends by itself, and is looked at again.
            Some(Some(Wake::Try | Wake::Notice | Wake::Nothing))
                if trying && !self.world.has(Defect::TryingForgotten) =>
            {
                let now = self.now();
                self.storage.write(|state| state.due.plan(item, now.plus_ms(LOOK_AGAIN_MS), now)).map(|()| None)
            }
            Some(Some(Wake::Try)) => Ok(Some(Box::pin(async move { member.attempt(rid, index).await }))),
            Some(Some(Wake::Notice)) => Ok(Some(Box::pin(async move { member.give_notice(rid, index).await }))),
            Some(Some(Wake::Nothing)) => {
                let due_at = self.storage.read()?.rewards.get(&(rid, index)).and_then(|record| record.due_at());
                let now = self.now();
                self.storage.write(|state| match due_at {
                    Some(due) => state.due.plan(item, due.max(now.plus_ms(LOOK_AGAIN_MS)), now),
                    None => state.due.done(item),
                })?;
                Ok(None)
            }
            Some(Some(Wake::Commit(_)) | None) => Ok(None),
        }
    }

    /// Starts the tries that a commit has made due: nobody waits for the alarm.
    pub(crate) fn start_tries(self: &Rc<Self>, rid: &Rid) {
        let now = self.now();
        // Where it cannot be read the alarm finds them.
        let Ok(held) = self.storage.read().map(|state| state.held(rid)) else {
            return;
        };
        for record in held.into_iter().filter(|record| is_due(record, now)) {
            let (member, rid) = (Rc::clone(self), *rid);
            self.world.spawn(Party::Member(self.number), async move {
                let _ = member.attempt(rid, record.index).await;
            });
        }
    }

    /// One try: counted in a commit, sent, and its end committed. A crash anywhere leaves a due-item behind.
    async fn attempt(self: &Rc<Self>, rid: Rid, index: u8) -> Result<(), Fault> {
        if !self.trying.borrow_mut().insert((rid, index)) {
            return Ok(());
        }
        let done = self.attempt_once(&rid, index).await;
        self.trying.borrow_mut().remove(&(rid, index));
        done
    }

    async fn attempt_once(self: &Rc<Self>, rid: &Rid, index: u8) -> Result<(), Fault> {
        let place = usize::from(index);
        let begun = self.change(Step::BeginTry, rid, |view, names, at| {
            let changes = begin(view, place, names, at);
            let record = changes.as_ref().and_then(|changes| changes.rewards.first().cloned());
            (changes, record)
        })?;
        let Some(Some(record)) = begun else {
            return Ok(());
        };
        let attempt = record.reward.attempts;
        if index == 0 {
            self.begun.borrow_mut().insert((*rid, index), record.clone());
        }
        let hurries = self.hurries.get();
        let (version, waiting) = match self.look_up().await {
            // Enabled again before it was committed that this waits: nobody will wake it a second time.
            Some((true, _, _)) if self.was_hurried(hurries) => {
                let outcome = Outcome::not_sent("the endpoint was disabled until just now");
                return self.end(rid, index, attempt, &outcome);
            }
            Some((true, _, _)) => {
                self.change(Step::EndTry, rid, |view, names, at| (disabled(view, place, names, at).changes, ()))?;
                return Ok(());
            }
            Some((false, version, waiting)) => (version, waiting),
            None => {
                let random = self.world.random_u32();
                let unsent = |view: &View<'_>, names: &Names<'_>, at| unsent(view, place, random, names, at).changes;
                self.change(Step::EndTry, rid, |view, names, at| (unsent(view, names, at), ()))?;
                return Ok(());
            }
        };
        let mut id = record.reward.id.clone();
        if self.world.has(Defect::WebhookIdPerTry) {
            id = format!("{id}_{attempt}");
        }
        let reward = record.reward.id.clone();
        let webhook = Webhook { id, reward, member: self.number, cancelled: false, attempt };
        let mut outcome = self.deliver(webhook).await;
        if outcome == Outcome::Gone && !self.world.has(Defect::GoneUntold) {
            // Only what the Merchant has heard of may wait for it without a next try of its own.
            let heard = self.tell_merchant(TryOutcome::Gone, version, true).await;
            if heard && !self.was_hurried(hurries) {
                return self.end(rid, index, attempt, &outcome);
            }
            outcome = Outcome::not_sent("the endpoint answered 410");
            return self.end(rid, index, attempt, &outcome);
        }
        self.end(rid, index, attempt, &outcome)?;
        let told = match outcome {
            Outcome::Gone => TryOutcome::Gone,
            Outcome::Granted { .. } | Outcome::Failed { .. } | Outcome::Later => TryOutcome::Ok,
            Outcome::Retry { .. } => TryOutcome::Failed,
        };
        if told == TryOutcome::Ok && !waiting {
            return Ok(());
        }
        let waits = self.storage.read()?.rewards.get(&(*rid, index)).is_some_and(|r| r.state() == RewardState::Failed);
        self.tell_merchant(told, version, waits).await;
        Ok(())
    }

    fn end(self: &Rc<Self>, rid: &Rid, index: u8, attempt: u32, outcome: &Outcome) -> Result<(), Fault> {
        let place = usize::from(index);
        let random = self.world.random_u32();
        let begun = self.begun.borrow_mut().remove(&(*rid, index));
        self.change(Step::EndTry, rid, |view, names, at| {
            let older = begun.filter(|_| self.world.has(Defect::OlderTryOverwrites));
            let rewards = older.map_or_else(|| view.rewards.to_vec(), |record| vec![record]);
            let view = &View { rewards: &rewards, ..view.clone() };
            let verdict = ended(view, place, attempt, outcome, random, names, at);
            (self.verdict(verdict, view, place, outcome), ())
        })
        .map(drop)
    }

    /// What is written of a verdict. [`Defect::LateSuccessApplied`]: what was cancelled is granted after all.
    fn verdict(&self, verdict: Verdict, view: &View<'_>, place: usize, outcome: &Outcome) -> Option<Changes> {
        let cancelled = view.rewards.get(place).filter(|record| record.state() == RewardState::Deleted);
        if let (Some(record), Outcome::Granted { .. }) = (cancelled, outcome)
            && self.world.has(Defect::LateSuccessApplied)
            && let Some(mut changes) = verdict.changes.clone()
        {
            let mut record = record.clone();
            record.reward.state = RewardState::Granted;
            changes.rewards = vec![record];
            return Some(changes);
        }
        verdict.changes
    }

    /// Whether the endpoint is disabled, in which version, and whether the Merchant wants to hear of a success.
    async fn look_up(&self) -> Option<(bool, u32, bool)> {
        let request = Request::EndpointFor { member: self.number };
        match self.ask_merchant(Step::EndpointFor, request).await {
            Ok(Reply::Endpoint { disabled, version, waiting }) => Some((disabled, version, waiting)),
            Ok(_) | Err(_) => None,
        }
    }

    async fn ask_merchant(&self, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.world.call(Party::Merchant, step, request);
        match select(asking, pin!(self.world.delay(MERCHANT_WAIT_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("the merchant did not answer in time")),
        }
    }

    /// Answers whether it has heard.
    async fn tell_merchant(&self, outcome: TryOutcome, version: u32, waits: bool) -> bool {
        let request = Request::EndpointResult { member: self.number, outcome, version, waits };
        self.ask_merchant(Step::EndpointResult, request).await.is_ok()
    }

    fn was_hurried(&self, before: u32) -> bool {
        self.hurries.get() != before && !self.world.has(Defect::HurryMissed)
    }

    /// A signed webhook, and what its answer means.
    async fn deliver(&self, webhook: Webhook) -> Outcome {
        let unknown = |error: &str| Outcome::Retry { error: error.to_owned(), unknown: true, retry_after_s: None };
        let sending = self.world.call(Party::Fulfiller, Step::Fulfil, Request::Webhook(Rc::new(webhook)));
        match select(sending, pin!(self.world.delay(DELIVERY_WAIT_MS))).await {
            Either::Left((Ok(Ok(Reply::Http(Http { status, retry_after, body }))), _)) => {
                classify(status, retry_after, body, self.now())
            }
            Either::Left((_, _)) => unknown("the connection failed or broke off"),
            Either::Right(_) => unknown("no answer in time"),
        }
    }

    /// Tells the fulfiller that a reward was cancelled.
    async fn give_notice(self: &Rc<Self>, rid: Rid, index: u8) -> Result<(), Fault> {
        let record = self.storage.read()?.rewards.get(&(rid, index)).cloned();
        let Some(record) = record else { return Ok(()) };
        let heard = match self.look_up().await {
            Some((false, _, _)) => {
                let webhook = Webhook {
                    id: cancelled_id(&record.reward),
                    reward: record.reward.id.clone(),
                    member: self.number,
                    cancelled: true,
                    attempt: record.reward.attempts,
                };
                let sending = self.world.call(Party::Fulfiller, Step::Cancelled, Request::Webhook(Rc::new(webhook)));
                matches!(
                    select(sending, pin!(self.world.delay(DELIVERY_WAIT_MS))).await,
                    Either::Left((Ok(Ok(Reply::Http(Http { status: 200..=299, .. }))), _))
                )
            }
            Some((true, _, _)) | None => false,
        };
        let random = self.world.random_u32();
        let place = usize::from(index);
        self.change(Step::Noticed, &rid, |view, names, at| (noticed(view, place, heard, random, names, at), ()))
            .map(drop)
    }

    /// A fulfiller's late answer. Answers whether it was refused as illegal.
    pub(crate) fn callback(self: &Rc<Self>, id: &str, webhook_id: &str, outcome: &Outcome) -> Result<bool, Fault> {
        let Some((_, rid, index)) = self.world.id_key.read_reward(id) else {
            return Err(Fault("unknown reward"));
        };
        let place = usize::from(index);
        let random = self.world.random_u32();
        let mut refused = false;
        self.change(Step::CallbackWritten, &rid, |view, names, at| {
            let verdict = callback(view, place, (webhook_id, outcome), random, names, at);
            refused = verdict.refused.is_some();
            (self.verdict(verdict, view, place, outcome), ())
        })?;
        Ok(refused)
    }

    /// The endpoint works again: what waits for it is tried now.
    pub(crate) fn hurry(self: &Rc<Self>) -> Result<(), Fault> {
        self.hurries.set(self.hurries.get() + 1);
        let waiting: Vec<(Rid, u8)> = {
            let state = self.storage.read()?;
            let failed = state.rewards.iter().filter(|(_, record)| record.state() == RewardState::Failed);
            failed.map(|(key, _)| *key).collect()
        };
        for (rid, index) in waiting {
            self.change(Step::Hurried, &rid, |view, names, at| {
                (hurry(view, usize::from(index), ENDPOINT, names, at), ())
            })?;
        }
        Ok(())
    }
}

/// Whether a try is due at once.
fn is_due(record: &RewardRecord, now: Instant) -> bool {
    let under_way = record.delivery.begun_at.is_some() || record.delivery.answer_by.is_some();
    let due = match record.state() {
        RewardState::InProgress => true,
        RewardState::Failed => record.reward.next_attempt_at.is_some_and(|at| at <= now),
        RewardState::Unclaimed
        | RewardState::PendingActivation
        | RewardState::Granted
        | RewardState::Complete
        | RewardState::Expired
        | RewardState::Declined
        | RewardState::Deleted
        | RewardState::Bounced => false,
    };
    due && record.mechanic.endpoint().is_some() && !under_way
}
