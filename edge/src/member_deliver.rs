//! A Member's side of fulfilment: tries at external fulfillers, news of cancellations, and uses given back.

use crate::calls::{Place, ShardOp};
use crate::due;
use crate::endpoint_calls::{EndpointState, TryOutcome, TryResult, Waiter};
use crate::member::Inner;
use crate::objects::{Objects, within};
use crate::platform::{Fault, now, random_u32};
use crate::pool_calls::PoolOp;
use crate::reward_store::reward_item;
use crate::webhooks::{Sent, send};
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::reward::life::{Wake, announce, wake};
use counterfoil_core::reward::{RewardRecord, delivery};
use counterfoil_core::webhook::Outcome;
use counterfoil_core::wire::RewardState;
use futures_util::future::LocalBoxFuture;
use std::rc::Rc;
use std::time::Duration;

/// A due reward that has nothing to do yet is looked at again after this.
const LOOK_AGAIN_MS: i64 = 5_000;

/// Longest wait for the Merchant.
const MERCHANT_WAIT: Duration = Duration::from_secs(8);
/// Tries that one commit starts by itself.
const TRIES_AT_ONCE: usize = 6;

/// A try that is under way in this instance; over when it is dropped, however that comes.
struct Trying {
    inner: Rc<Inner>,
    key: (Rid, u8),
}

impl Trying {
    /// `None` where one is under way already.
    fn begin(inner: &Rc<Inner>, at: Place) -> Option<Self> {
        let key = (at.rid, at.index);
        inner.trying.borrow_mut().insert(key).then(|| Self { inner: Rc::clone(inner), key })
    }
}

impl Drop for Trying {
    fn drop(&mut self) {
        self.inner.trying.borrow_mut().remove(&self.key);
    }
}

/// What a try found out about its endpoint.
enum Found {
    Endpoint(Box<EndpointState>),
    Disabled,
    Unreachable,
}

impl Inner {
    /// Starts the tries that a commit has made due, in tasks of their own: nobody waits for the alarm.
    pub(crate) fn start_tries(self: &Rc<Self>, rid: &Rid) {
        let due: Vec<Place> = match self.store().held(rid) {
            // No more than the alarm would start: it takes up the rest.
            Ok(held) => held.iter().filter(|record| is_due(record)).take(TRIES_AT_ONCE).map(place).collect(),
            // The alarm finds them.
            Err(_) => return,
        };
        for at in due {
            let inner = Rc::clone(self);
            self.state.wait_until(async move {
                if let Err(fault) = inner.attempt(at).await {
                    inner.log_about(&at.rid, "fulfilment_failed", &fault);
                }
            });
        }
    }

    /// The alarm's turn for one reward: what the clock says is written at once; what leaves the object is handed back.
    pub(crate) fn wake_reward<'a>(
        self: &'a Rc<Self>,
        at: Place,
    ) -> Result<Option<LocalBoxFuture<'a, Result<(), Fault>>>, Fault> {
        let trying = self.trying.borrow().contains(&(at.rid, at.index));
        let index = usize::from(at.index);
        let notice_ms = self.store().notice_ms()?;
        let woken = self.change(&at.rid, |view, names, now| {
            if let Some(changes) = announce(view, index, notice_ms, names, now) {
                return (Some(changes), None);
            }
            match wake(view, index, trying, names, now) {
                Wake::Commit(changes) => (Some(*changes), None),
                Wake::Nothing => (None, Some(Wake::Nothing)),
                Wake::Try => (None, Some(Wake::Try)),
                Wake::Notice => (None, Some(Wake::Notice)),
            }
        })?;
        match woken {
            None => due::done(&self.storage, &reward_item(&at.rid, at.index)).map(|()| None),
            Some(Some(Wake::Try)) => Ok(Some(Box::pin(self.attempt(at)))),
            Some(Some(Wake::Notice)) => Ok(Some(Box::pin(self.give_notice(at)))),
            Some(Some(Wake::Nothing)) => {
                let held = self.store().held(&at.rid)?;
                let next = held.get(index).and_then(|record| record.next_at(notice_ms));
                match next {
                    Some(next) => {
                        let next = next.max(now().plus_ms(LOOK_AGAIN_MS));
                        due::plan(&self.storage, &reward_item(&at.rid, at.index), next)?;
                    }
                    None => due::done(&self.storage, &reward_item(&at.rid, at.index))?,
                }
                Ok(None)
            }
            Some(Some(Wake::Commit(_)) | None) => Ok(None),
        }
    }

    /// One try: counted in a commit, sent, and its end committed. A crash anywhere leaves a due-item behind.
    async fn attempt(self: &Rc<Self>, at: Place) -> Result<(), Fault> {
        let Some(trying) = Trying::begin(self, at) else {
            // The one under way may be lost: whoever finds it still due looks again.
            let again = now().plus_ms(LOOK_AGAIN_MS);
            return due::plan(&self.storage, &reward_item(&at.rid, at.index), again);
        };
        let index = usize::from(at.index);
        let begun = self.change(&at.rid, |view, names, now| {
            let changes = delivery::begin(view, index, names, now);
            let record = changes.as_ref().and_then(|changes| changes.rewards.first().cloned());
            (changes, record)
        })?;
        let Some(Some(record)) = begun else { return Ok(()) };
        let attempt = record.reward.attempts;
        let hurries = self.hurries.get();
        let endpoint = match self.look_up(&record).await? {
            Found::Endpoint(endpoint) => endpoint,
            Found::Disabled if self.hurries.get() != hurries => {
                return self.end(at, attempt, &Outcome::not_sent("the endpoint was disabled until just now"));
            }
            Found::Disabled => {
                self.change(&at.rid, |view, names, now| (delivery::disabled(view, index, names, now).changes, ()))?;
                return Ok(());
            }
            Found::Unreachable => {
                self.change(&at.rid, |view, names, now| {
                    (delivery::unsent(view, index, random_u32(), names, now).changes, ())
                })?;
                return Ok(());
            }
        };
        let body = delivery::fulfil_body(&record.reward, &self.who()?.member_id, now());
        let sent = self.deliver(&endpoint, &record.reward.id, &serde_json::to_string(&body)?).await?;
        let outcome = sent.outcome();
        let told = ("reward.fulfil", record.reward.id.clone());
        if matches!(outcome, Outcome::Gone) {
            // It waits without a next try only once the Merchant knows whom to wake; until then it is tried on.
            let heard = self.tell_merchant(&endpoint, &at, TryOutcome::Gone, told, sent.error()).await;
            let waits = heard.is_ok() && self.hurries.get() == hurries;
            let outcome = if waits { Outcome::Gone } else { Outcome::not_sent("HTTP 410") };
            return self.end(at, attempt, &outcome);
        }
        self.end(at, attempt, &outcome)?;
        drop(trying);
        let kind = match outcome {
            // An answer is an answer: the endpoint works, whatever it said of the reward.
            Outcome::Granted { .. } | Outcome::Failed { .. } | Outcome::Later => TryOutcome::Ok,
            Outcome::Retry { .. } | Outcome::Gone => TryOutcome::Failed,
        };
        self.tell_merchant(&endpoint, &at, kind, told, sent.error()).await
    }

    fn end(self: &Rc<Self>, at: Place, attempt: u32, outcome: &Outcome) -> Result<(), Fault> {
        let index = usize::from(at.index);
        self.change(&at.rid, |view, names, now| {
            (delivery::ended(view, index, attempt, outcome, random_u32(), names, now).changes, ())
        })
        .map(drop)
    }

    async fn look_up(&self, record: &RewardRecord) -> Result<Found, Fault> {
        let Some(endpoint_id) = record.mechanic.endpoint() else { return Ok(Found::Disabled) };
        let merchant = self.merchant()?;
        let waiter = Waiter::Member(record.rid.mref());
        let objects = Objects(&self.env);
        let asking = objects.endpoint_for(merchant.as_str(), endpoint_id, Some(waiter));
        match within(MERCHANT_WAIT, "the merchant", asking).await {
            Ok(Some(endpoint)) if !endpoint.disabled => Ok(Found::Endpoint(Box::new(endpoint))),
            // One that does not exist any more is as good as disabled: an operator decides.
            Ok(_) => Ok(Found::Disabled),
            Err(fault) => {
                fault.log("endpoint_lookup_failed");
                Ok(Found::Unreachable)
            }
        }
    }

    async fn deliver(&self, endpoint: &EndpointState, id: &str, body: &str) -> Result<Sent, Fault> {
        let config = self.config()?;
        Ok(send(&config, &endpoint.url, &endpoint.secrets(), id, body).await)
    }

    /// Lets the Merchant know how its endpoint does: it disables one that is gone, and wakes whoever waits for one that
    /// works again.
    async fn tell_merchant(
        &self,
        endpoint: &EndpointState,
        at: &Place,
        outcome: TryOutcome,
        (kind, delivery_id): (&str, String),
        error: Option<String>,
    ) -> Result<(), Fault> {
        if outcome == TryOutcome::Ok && !endpoint.waiting {
            return Ok(());
        }
        let held = self.store().held(&at.rid)?;
        let record = held.get(usize::from(at.index));
        let failed = record.is_some_and(|record| {
            let goes_on = record.reward.next_attempt_at.is_some() || record.delivery.parked;
            record.state() == RewardState::Failed && goes_on
        });
        let waits = failed || outcome == TryOutcome::Gone;
        let result = TryResult {
            endpoint_id: endpoint.endpoint_id.clone(),
            waiter: Waiter::Member(at.rid.mref()),
            outcome,
            version: endpoint.version,
            delivery_id,
            kind: kind.to_owned(),
            attempts: record.map_or(0, |record| record.reward.attempts),
            next_attempt_at: record.and_then(|record| record.reward.next_attempt_at),
            waits,
            error,
        };
        let merchant = self.merchant()?;
        let objects = Objects(&self.env);
        within(MERCHANT_WAIT, "the merchant", objects.endpoint_result(merchant.as_str(), result)).await
    }

    /// Tells a fulfiller that a reward it was asked for is not to be given.
    async fn give_notice(self: &Rc<Self>, at: Place) -> Result<(), Fault> {
        let index = usize::from(at.index);
        let held = self.store().held(&at.rid)?;
        let Some(record) = held.get(index) else { return Ok(()) };
        let heard = match self.look_up(record).await? {
            Found::Endpoint(endpoint) => {
                let body = delivery::cancelled_body(&record.reward, &self.who()?.member_id, now());
                let id = delivery::cancelled_id(&record.reward);
                self.deliver(&endpoint, &id, &serde_json::to_string(&body)?).await?.delivered()
            }
            Found::Disabled | Found::Unreachable => false,
        };
        self.change(&at.rid, |view, names, now| (delivery::noticed(view, index, heard, random_u32(), names, now), ()))
            .map(drop)
    }

    /// Tells the participant that a use is given back, until it has heard.
    pub(crate) async fn give_back(self: &Rc<Self>, rid: &Rid) -> Result<(), Fault> {
        let waiting = self.store().undo(rid)?;
        if waiting.is_empty() {
            return self.storage.transaction(|| self.store().undone(rid, ""));
        }
        for undo in waiting {
            let told: Result<(), Fault> = if undo.pool.is_empty() {
                let op = ShardOp::Undo { rid: *rid, seq: undo.seq };
                self.ask_keeper::<serde_json::Value>((undo.campaign, undo.shard), &op).await.map(drop)
            } else {
                self.ask_pool::<serde_json::Value>(&undo.pool, &PoolOp::Undo { rid: *rid }).await.map(drop)
            };
            match told {
                Ok(()) => self.storage.transaction(|| self.store().undone(rid, &undo.pool))?,
                Err(fault) => {
                    self.log_about(rid, "undo_failed", &fault);
                    let again = now().plus_ms(backoff_ms(undo.tries, random_u32()));
                    self.storage.transaction(|| self.store().undo_again(rid, &undo.pool, again))?;
                }
            }
        }
        Ok(())
    }
}

fn place(record: &RewardRecord) -> Place {
    Place { rid: record.rid, index: record.index }
}

/// Whether a try is due at once.
fn is_due(record: &RewardRecord) -> bool {
    let under_way = record.delivery.begun_at.is_some() || record.delivery.answer_by.is_some();
    let due = match record.state() {
        RewardState::InProgress => true,
        RewardState::Failed => record.reward.next_attempt_at.is_some_and(|at| at <= now()),
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
