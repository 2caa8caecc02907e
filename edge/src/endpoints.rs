//! A merchant's webhook endpoints: what its administrators do with them, and what those who deliver ask and tell.
//!
//! Deliveries themselves stay with whoever has something to deliver (Members with rewards to fulfil, Recorders with
//! events). The Merchant knows who of them waits for an endpoint, so that a success, or an endpoint that was enabled
//! again, pulls everything forward that waits for it.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::Once;
use crate::endpoint_calls::{
    CallbackCheck, EndpointFor, EndpointOp, Keeper, Subscriptions, TryOutcome, TryResult, Waiter,
};
use crate::endpoints_store::{Endpoint, Store, Wake};
use crate::objects::{Objects, within};
use crate::once::{self, Seen};
use crate::platform::{Fault, SyncStorage, now, random};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::time::Instant;
use counterfoil_core::webhook::{SECRET_BYTES, Secret, Signed, verify};
use counterfoil_core::wire::{DeliveryResource, DeliveryState, NewEndpoint, Page, ProtocolError};
use futures_util::future::join_all;
use serde_json::json;
use std::cell::Cell;
use std::time::Duration;
use worker::Env;

/// Name of the Merchant's own audit chain.
const CHAIN: &str = "merchant";
pub(crate) const INSTANCE_ENDPOINTS: &str = "/v1/webhooks";
pub(crate) const INSTANCE_ENDPOINT: &str = "/v1/webhooks/{endpoint_id}";
const INSTANCE_ROTATE: &str = "/v1/webhooks/{endpoint_id}/rotate";
const INSTANCE_TEST: &str = "/v1/webhooks/{endpoint_id}/test";
const INSTANCE_DELIVERIES: &str = "/v1/webhooks/{endpoint_id}/deliveries";
const INSTANCE_RESEND: &str = "/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend";
/// Type of a test's message.
pub(crate) const TEST_TYPE: &str = "webhook.test";
/// A signature is good for five minutes either side, so a message can be shown again for ten.
const CALLBACK_SEEN_MS: i64 = 601_000;
/// Refused callbacks that are written down in a minute; whoever sends more is known by then.
const REFUSALS_PER_MINUTE: u32 = 100;
const MINUTE_MS: i64 = 60_000;
/// Successes that a merchant's endpoints list in a second. All of them would make this one object as busy as all
/// Members together.
const LISTED_PER_SECOND: u32 = 10;
/// Longest wait for a waiter.
const WAITER_WAIT: Duration = Duration::from_secs(8);

/// An answer, or why there is none; a fault is a failure to decide.
type Decided = Result<Result<Answer, ProtocolError>, Fault>;

/// What a Merchant remembers about its endpoints besides what it stores.
#[derive(Default)]
pub(crate) struct Endpoints {
    /// Refused callbacks that are written down: anybody who knows a reward's id can send them.
    refusals: Allowance,
    /// Deliveries that are listed although they succeeded at once.
    listed: Allowance,
}

impl Endpoints {
    /// Answers one call, in one transaction. A command of an administrator that is refused leaves an audit entry,
    /// unless it was about nothing that there is.
    pub(crate) fn answer(&self, storage: &SyncStorage, op: EndpointOp) -> Result<Answer, Fault> {
        let store = Store(storage);
        let command = |by: &str, subject: Option<&str>, instance: &'static str, decided: Decided| match decided? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error != ProtocolError::NotFound {
                    note(&store, &audit_log::refused(by, subject.map(str::to_owned), instance, &error))?;
                }
                Answer::error(&error, instance)
            }
        };
        storage.transaction(|| match op {
            EndpointOp::Create { new, allow_private, by, once } => {
                command(&by, None, INSTANCE_ENDPOINTS, create(&store, &new, allow_private, &by, once.as_ref()))
            }
            EndpointOp::Delete { endpoint_id, by } => {
                command(&by, Some(&endpoint_id), INSTANCE_ENDPOINT, delete(&store, &endpoint_id, &by))
            }
            EndpointOp::Rotate { endpoint_id, by, once } => {
                let rotated = rotate(&store, &endpoint_id, &by, once.as_ref());
                command(&by, Some(&endpoint_id), INSTANCE_ROTATE, rotated)
            }
            EndpointOp::Resend { endpoint_id, delivery_id, by } => {
                command(&by, Some(&delivery_id), INSTANCE_RESEND, resend(&store, &endpoint_id, &delivery_id))
            }
            EndpointOp::Tested { endpoint_id, delivery_id, message, error, by } => {
                let decided = tested(&store, &endpoint_id, &delivery_id, &message, error, &by);
                command(&by, Some(&endpoint_id), INSTANCE_TEST, decided)
            }
            EndpointOp::Keeper { endpoint_id, delivery_id } => {
                let recorder = match store.delivery(&endpoint_id, &delivery_id)? {
                    Some((_, Some(Waiter::Recorder(name)))) => Some(name),
                    Some((_, Some(Waiter::Member(_)) | None)) | None => None,
                };
                Answer::json(200, &Keeper { test: store.test_message(&endpoint_id, &delivery_id)?, recorder })
            }
            EndpointOp::List(page) => {
                let (items, next_cursor) = store.list(&page, now())?;
                Answer::json(200, &Page { items, next_cursor })
            }
            EndpointOp::Read { endpoint_id } => match store.endpoint(&endpoint_id)? {
                Some(endpoint) => Answer::json(200, &store.resource(&endpoint, None, now())?),
                None => Answer::error(&ProtocolError::NotFound, INSTANCE_ENDPOINT),
            },
            EndpointOp::Deliveries { endpoint_id, page } => {
                if store.endpoint(&endpoint_id)?.is_none() {
                    return Answer::error(&ProtocolError::NotFound, INSTANCE_DELIVERIES);
                }
                let (items, next_cursor) = store.deliveries(&endpoint_id, &page)?;
                Answer::json(200, &Page { items, next_cursor })
            }
            EndpointOp::For { endpoint_id, waiter } => self.state_for(&store, &endpoint_id, waiter.as_ref()),
            EndpointOp::Result(result) => conclude(&store, &result),
            EndpointOp::Subscriptions => {
                let endpoints = store.subscribed()?;
                let endpoints =
                    endpoints.iter().map(|endpoint| store.state(endpoint, None, now())).collect::<Result<_, _>>()?;
                Answer::json(200, &Subscriptions { endpoints })
            }
            EndpointOp::VerifyCallback { endpoint_id, target, signed, body } => {
                let refused = check_callback(&store, &endpoint_id, &target, &signed, &body)?;
                if let Some(reason) = refused.filter(|_| self.refusals.allows(now(), REFUSALS_PER_MINUTE, MINUTE_MS)) {
                    let draft = Draft::new(format!("fulfiller:{endpoint_id}"), "callback.refused");
                    note(&store, &draft.subject(target).data(json!({ "reason": reason })))?;
                }
                Answer::json(200, &CallbackCheck { refused: refused.map(str::to_owned) })
            }
        })
    }

    fn state_for(&self, store: &Store<'_>, endpoint_id: &str, waiter: Option<&Waiter>) -> Result<Answer, Fault> {
        let Some(endpoint) = store.endpoint(endpoint_id)? else {
            return Answer::json(200, &EndpointFor { endpoint: None });
        };
        if let Some(waiter) = waiter.filter(|_| endpoint.disabled_at.is_some()) {
            store.wait(endpoint_id, waiter, now())?;
        }
        let mut state = store.state(&endpoint, waiter, now())?;
        state.waiting |= waiter.is_some() && self.listed.allows(now(), LISTED_PER_SECOND, 1_000);
        Answer::json(200, &EndpointFor { endpoint: Some(state) })
    }
}

/// At most so many of something in a span of time. In memory only: forgetting it lets a few more pass.
#[derive(Default)]
struct Allowance(Cell<(i64, u32)>);

impl Allowance {
    fn allows(&self, now: Instant, most: u32, span_ms: i64) -> bool {
        let span = now.0.div_euclid(span_ms);
        let (counted, count) = self.0.get();
        let count = if counted == span { count } else { 0 };
        self.0.set((span, count.saturating_add(1)));
        count < most
    }
}

/// Tells those whose endpoint answers again, a few at a time; those who cannot be reached are told later. The due-item
/// is planned again, or done, in the commit that writes down who has answered.
pub(crate) async fn wake(storage: &SyncStorage, env: &Env, merchant: &str) -> Result<(), Fault> {
    let store = Store(storage);
    let wakes = store.to_wake(now())?;
    let objects = Objects(env);
    let answered = join_all(wakes.iter().map(|wake| call(&objects, merchant, wake))).await;
    storage.transaction(|| {
        for (wake, answered) in wakes.iter().zip(answered) {
            if answered { store.woken(wake, now())? } else { store.not_woken(wake, now())? }
        }
        store.plan_waking()
    })
}

/// Whether a waiter has answered that it knows.
async fn call(objects: &Objects<'_>, merchant: &str, wake: &Wake) -> bool {
    let endpoint_id = wake.endpoint_id.clone();
    let calling = async {
        match &wake.waiter {
            Waiter::Member(mref) => objects.hurry_member(merchant, mref, endpoint_id).await,
            Waiter::Recorder(name) => objects.hurry_recorder(name, endpoint_id).await,
        }
    };
    match within(WAITER_WAIT, "a waiter", calling).await {
        Ok(status) if (200..300).contains(&status) => true,
        Ok(status) => {
            Fault::new(format!("a waiter answered {status}")).log("not_woken");
            false
        }
        Err(fault) => {
            fault.log("not_woken");
            false
        }
    }
}

fn note(store: &Store<'_>, draft: &Draft) -> Result<(), Fault> {
    audit_log::append(store.0, (CHAIN, false), draft, None, vec![], vec![], now())
}

fn new_secret() -> Result<Secret, Fault> {
    Secret::new(random::<SECRET_BYTES>().to_vec()).map_err(|error| Fault::new(error.to_string()))
}

fn create(store: &Store<'_>, new: &NewEndpoint, allow_private: bool, by: &str, once: Option<&Once>) -> Decided {
    match once::seen(store.0, once, now())? {
        Seen::Same(secret_n) => {
            let Some((endpoint, secret)) = store.made_with(&secret_n)? else { return Ok(Err(ProtocolError::NotFound)) };
            let answer = created(store, &endpoint, &secret)?;
            return Ok(Ok(answer.header("Idempotent-Replayed", "true")));
        }
        Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
        Seen::New => {}
    }
    if let Err(invalid) = new.validate(allow_private) {
        return Ok(Err(ProtocolError::InvalidRequest(invalid)));
    }
    let endpoint_id = format!("ep_{}", hex::encode(&random::<12>()));
    store.insert(&endpoint_id, new, now())?;
    let secret = new_secret()?.reveal();
    let secret_n = store.add_secret(&endpoint_id, &secret, now())?;
    once::keep(store.0, once, &secret_n, now())?;
    let draft = Draft::new(by, "webhook.created").subject(&endpoint_id);
    note(store, &draft.data(json!({ "host": host_of(&new.url), "events": new.events })))?;
    let endpoint = store.endpoint(&endpoint_id)?.ok_or_else(|| Fault::new("an endpoint is missing"))?;
    created(store, &endpoint, &secret).map(Ok)
}

/// The host of a target: paths of webhooks are often secrets, and the audit log is for ever.
fn host_of(url: &str) -> &str {
    url.split('/').nth(2).and_then(|authority| authority.split('?').next()).unwrap_or_default()
}

fn created(store: &Store<'_>, endpoint: &Endpoint, secret: &str) -> Result<Answer, Fault> {
    let location = format!("{INSTANCE_ENDPOINTS}/{}", endpoint.endpoint_id);
    Ok(Answer::json(201, &store.resource(endpoint, Some(secret), now())?)?.header("Location", location))
}

/// The former secret stays good for a day, so that receivers can change theirs without losing a message.
fn rotate(store: &Store<'_>, endpoint_id: &str, by: &str, once: Option<&Once>) -> Decided {
    let Some(endpoint) = store.endpoint(endpoint_id)? else { return Ok(Err(ProtocolError::NotFound)) };
    match once::seen(store.0, once, now())? {
        Seen::Same(secret_n) => {
            let secret = store.made_with(&secret_n)?.map(|(_, secret)| secret);
            let resource = store.resource(&endpoint, secret.as_deref(), now())?;
            return Ok(Ok(Answer::json(200, &resource)?.header("Idempotent-Replayed", "true")));
        }
        Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
        Seen::New => {}
    }
    let secret = new_secret()?.reveal();
    let secret_n = store.add_secret(endpoint_id, &secret, now())?;
    once::keep(store.0, once, &secret_n, now())?;
    note(store, &Draft::new(by, "webhook.rotated").subject(endpoint_id))?;
    Answer::json(200, &store.resource(&endpoint, Some(&secret), now())?).map(Ok)
}

fn illegal(state: &str, legal_moves: &[&str]) -> ProtocolError {
    let legal_moves = legal_moves.iter().map(|name| (*name).to_owned()).collect();
    ProtocolError::IllegalMove { state: state.to_owned(), legal_moves, unknown_outcome: false }
}

/// What waits for a deleted endpoint is told, so that it ends instead of waiting for ever. An endpoint that a
/// reward definition names stays: rewards of it could never be given.
fn delete(store: &Store<'_>, endpoint_id: &str, by: &str) -> Decided {
    if store.endpoint(endpoint_id)?.is_none() {
        let known = store.was_deleted(endpoint_id)?;
        return Ok(if known { Ok(Answer::empty(204)) } else { Err(ProtocolError::NotFound) });
    }
    if store.named_by_definition(endpoint_id)? {
        return Ok(Err(illegal("in_use", &["rotate", "test"])));
    }
    store.delete(endpoint_id, now())?;
    store.wake_all(endpoint_id, now())?;
    note(store, &Draft::new(by, "webhook.deleted").subject(endpoint_id))?;
    Ok(Ok(Answer::empty(204)))
}

fn resend(store: &Store<'_>, endpoint_id: &str, delivery_id: &str) -> Decided {
    let Some(endpoint) = store.endpoint(endpoint_id)? else { return Ok(Err(ProtocolError::NotFound)) };
    let Some((delivery, waiter)) = store.delivery(endpoint_id, delivery_id)? else {
        return Ok(Err(ProtocolError::NotFound));
    };
    if endpoint.disabled_at.is_some() {
        return Ok(Err(illegal("disabled", &["test"])));
    }
    match (delivery.state, waiter) {
        (_, Some(Waiter::Recorder(_))) => {
            let delivery = DeliveryResource { state: DeliveryState::Waiting, next_attempt_at: Some(now()), ..delivery };
            store.again(endpoint_id, &delivery)?;
            Answer::json(200, &delivery).map(Ok)
        }
        (DeliveryState::Waiting, Some(waiter @ Waiter::Member(_))) => {
            store.wait(endpoint_id, &waiter, now())?;
            store.wake_one(endpoint_id, &waiter, now())?;
            Answer::json(200, &delivery).map(Ok)
        }
        // A reward is retried where it lies: `POST /v1/members/{id}/rewards/{rid}/retry`.
        (DeliveryState::Failed | DeliveryState::Waiting, _) => Ok(Err(illegal("failed", &[]))),
        (DeliveryState::Delivered, _) => Ok(Err(illegal("delivered", &[]))),
    }
}

/// A test was sent. An endpoint that answers again is enabled, and everything that waits for it is tried.
fn tested(
    store: &Store<'_>,
    endpoint_id: &str,
    delivery_id: &str,
    message: &str,
    error: Option<String>,
    by: &str,
) -> Decided {
    let Some(endpoint) = store.endpoint(endpoint_id)? else { return Ok(Err(ProtocolError::NotFound)) };
    let delivered = error.is_none();
    let tries = store.delivery(endpoint_id, delivery_id)?.map_or(0, |(delivery, _)| delivery.attempts);
    let delivery = DeliveryResource {
        delivery_id: delivery_id.to_owned(),
        kind: TEST_TYPE.to_owned(),
        state: if delivered { DeliveryState::Delivered } else { DeliveryState::Failed },
        attempts: tries.saturating_add(1),
        next_attempt_at: None,
        last_error: error,
        updated_at: now(),
    };
    store.keep_test(endpoint_id, &delivery, message)?;
    if delivered {
        if endpoint.disabled_at.is_some() {
            store.enable(endpoint_id)?;
            note(store, &Draft::new(by, "webhook.enabled").subject(endpoint_id))?;
        }
        store.wake_all(endpoint_id, now())?;
    }
    Answer::json(200, &delivery).map(Ok)
}

/// A try has ended.
fn conclude(store: &Store<'_>, result: &TryResult) -> Result<Answer, Fault> {
    // Deleted in the meantime: whoever tries next is told.
    let Some(endpoint) = store.endpoint(&result.endpoint_id)? else { return Ok(Answer::empty(204)) };
    let id = &result.endpoint_id;
    store.keep_try(result, now())?;
    match result.outcome {
        TryOutcome::Ok if endpoint.disabled_at.is_none() => store.pull_forward(id, now())?,
        // A try from before it answered 410: only a test enables it.
        TryOutcome::Ok => {}
        TryOutcome::Failed => {
            if result.waits {
                store.wait(id, &result.waiter, now())?;
            }
        }
        TryOutcome::Gone => {
            store.wait(id, &result.waiter, now())?;
            if endpoint.version != result.version {
                // It was enabled while this try was under way.
                store.wake_one(id, &result.waiter, now())?;
            } else if endpoint.disabled_at.is_none() {
                store.disable(id, now())?;
                let draft = Draft::new("system", "webhook.disabled").subject(id);
                note(store, &draft.reason(Some("the endpoint answered 410")))?;
            }
        }
    }
    Ok(Answer::empty(204))
}

/// Whether a callback is the fulfiller's own; if not, why.
fn check_callback(
    store: &Store<'_>,
    endpoint_id: &str,
    target: &str,
    signed: &Signed,
    body: &str,
) -> Result<Option<&'static str>, Fault> {
    let secrets = store.secrets(endpoint_id, now())?;
    let secrets: Vec<Secret> = secrets.iter().filter_map(|text| Secret::parse(text).ok()).collect();
    if let Err(error) = verify(&secrets, signed, body, now()) {
        return Ok(Some(error.name()));
    }
    // The address is not signed: without this, what was said of one reward could be said again of another.
    let oldest: Instant = now().plus_ms(-CALLBACK_SEEN_MS);
    let first_target = store.see_callback(endpoint_id, &signed.id, target, now(), oldest)?;
    Ok((first_target != target).then_some("webhook_id_of_another_reward"))
}
