//! A Recorder's events to webhook endpoints: who is told, and when it is tried again.
//!
//! An event waits until it is known which endpoints subscribe to it; from then on each of them has a delivery of its
//! own. A try is counted before it begins. The Merchant keeps what did not succeed at once for its administrators, and
//! says when an endpoint answers again.

use crate::calls::{Identity, MemberCall, MemberOp};
use crate::config::Config;
use crate::due;
use crate::endpoint_calls::{EndpointOp, EndpointState, Subscriptions, TryOutcome, TryResult, Waiter};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json, within};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::recorder::Inner;
use crate::sql::{first, query, run};
use crate::webhooks::{Sent, send};
use counterfoil_core::ids::Mref;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::DELIVERY_LOST_MS;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::protocol::report::{Outgoing, Record};
use counterfoil_core::time::Instant;
use counterfoil_core::webhook::schedule::{delay_ms, retry_after_s};
use counterfoil_core::wire::wants_event;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Due-item that sends what is due.
pub(crate) const DELIVER_ITEM: &str = "deliver";
/// How long it is remembered who subscribes to what.
const SUBSCRIPTIONS_KEPT_MS: i64 = 5_000;
/// Most tries of one delivery.
const TRIES_MAX: u32 = 10;
/// Sent at the same time.
const AT_ONCE: usize = 6;
/// Deliveries looked at before the list is read again.
const DUE_MAX: u32 = 48;
/// Events distributed in one transaction.
const EVENTS_MAX: u32 = 100;
/// Longest wait for the Merchant or a Member.
const OTHERS_WAIT: Duration = Duration::from_secs(8);
/// The alarm looks at what is due this much later than whoever made it due.
const ALARM_AFTER_MS: i64 = 1_000;
/// Without a sign of life for so long, the task that delivers was lost.
const LOST_AFTER_MS: i64 = 2 * DELIVERY_LOST_MS;

const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS events (n INTEGER PRIMARY KEY, doc TEXT NOT NULL) STRICT",
    // `begun_at` is there while a try is under way; `next_at` without it while another waits for its time; neither
    // while the endpoint is disabled, or once it is over.
    "CREATE TABLE IF NOT EXISTS deliveries (
        n INTEGER PRIMARY KEY, endpoint_id TEXT NOT NULL, id TEXT NOT NULL, doc TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
        attempts INTEGER NOT NULL DEFAULT 0, begun_at INTEGER, next_at INTEGER, error TEXT, UNIQUE (endpoint_id, id)
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (next_at) WHERE next_at IS NOT NULL",
];

/// What is remembered of deliveries, in memory only.
#[derive(Default)]
pub(crate) struct Deliverer {
    subscriptions: RefCell<Option<(Instant, Rc<Vec<EndpointState>>)>>,
    /// Grows when subscriptions change while they are being asked for.
    changes: Cell<u32>,
    busy_since: Cell<Option<Instant>>,
    failures: Cell<u32>,
    /// After a failure nothing is begun before this, whatever is due.
    not_before: Cell<Option<Instant>>,
}

/// One due delivery.
struct Due {
    n: u64,
    endpoint_id: String,
    event: Outgoing,
    attempts: u32,
    /// A try was begun and never heard of again.
    lost: bool,
}

impl Deliverer {
    pub(crate) fn create(storage: &SyncStorage) -> Result<(), Fault> {
        SCHEMA.iter().try_for_each(|statement| run(storage, statement, &[]).map(drop))
    }

    /// What is remembered of subscriptions no longer counts.
    pub(crate) fn forget(&self) {
        self.changes.set(self.changes.get().wrapping_add(1));
        self.not_before.set(None);
        *self.subscriptions.borrow_mut() = None;
    }

    fn known(&self) -> Option<Rc<Vec<EndpointState>>> {
        let subscriptions = self.subscriptions.borrow();
        let (at, endpoints) = subscriptions.as_ref()?;
        (at.plus_ms(SUBSCRIPTIONS_KEPT_MS) > now()).then(|| Rc::clone(endpoints))
    }

    /// Keeps events for their endpoints. Run inside the transaction that records them.
    pub(crate) fn tell(
        &self,
        storage: &SyncStorage,
        events: &[Outgoing],
        record: Option<&Record>,
    ) -> Result<(), Fault> {
        if events.is_empty() {
            return Ok(());
        }
        let known = self.known();
        let mut waits = false;
        for event in events {
            match &known {
                Some(endpoints) => {
                    // Most events are nobody's, and cost nothing then.
                    if endpoints.iter().any(|endpoint| wants_event(&endpoint.events, &event.kind)) {
                        distribute(storage, endpoints, &whole(event, record)?)?;
                        waits = true;
                    }
                }
                None => {
                    let doc = serde_json::to_string(&whole(event, record)?)?;
                    run(storage, "INSERT INTO events (doc) VALUES (?)", &[(&doc).into()])?;
                    waits = true;
                }
            }
        }
        if waits { replan(storage) } else { Ok(()) }
    }
}

/// An event with its data, which a report leaves out where it is the very redemption that it tells anyway.
fn whole(event: &Outgoing, record: Option<&Record>) -> Result<Outgoing, Fault> {
    let data = match record {
        Some(record) if event.data.is_null() => serde_json::to_value(&record.redemption)?,
        Some(_) | None => event.data.clone(),
    };
    Ok(Outgoing { data, ..event.clone() })
}

/// A delivery for each endpoint that wants it.
fn distribute(storage: &SyncStorage, endpoints: &[EndpointState], event: &Outgoing) -> Result<(), Fault> {
    for endpoint in endpoints.iter().filter(|endpoint| wants_event(&endpoint.events, &event.kind)) {
        let statement = "INSERT INTO deliveries (endpoint_id, id, doc, next_at) VALUES (?, ?, ?, ?)
            ON CONFLICT DO NOTHING";
        let doc = serde_json::to_string(event)?;
        let values = [(&endpoint.endpoint_id).into(), (&event.id).into(), (&doc).into(), now().0.into()];
        run(storage, statement, &values)?;
    }
    Ok(())
}

/// When there is something to do next.
fn next(storage: &SyncStorage) -> Result<Option<Instant>, Fault> {
    if run(storage, "SELECT 1 FROM events LIMIT 1", &[])? {
        return Ok(Some(now()));
    }
    let row = first(storage, "SELECT min(next_at) FROM deliveries WHERE next_at IS NOT NULL", &[])?;
    Ok(row.filter(|row| !row.is_null(0)).map(|row| Instant(row.integer(0))))
}

/// What waits implies an alarm.
fn replan(storage: &SyncStorage) -> Result<(), Fault> {
    match next(storage)? {
        // Whoever made something due sends it at once; the alarm is for what is not sent then.
        Some(at) => due::plan(storage, DELIVER_ITEM, at.max(now().plus_ms(ALARM_AFTER_MS))),
        None => due::done(storage, DELIVER_ITEM),
    }
}

impl Inner {
    /// The alarm's turn. While the task runs, it is looked at again later, should it get lost.
    pub(crate) fn deliver_again(&self) -> Result<(), Fault> {
        match next(&self.storage)? {
            Some(_) => due::plan(&self.storage, DELIVER_ITEM, now().plus_ms(LOST_AFTER_MS)),
            None => due::done(&self.storage, DELIVER_ITEM),
        }
    }

    /// An endpoint answers again: what waits for it is due now.
    pub(crate) fn hurry(self: &Rc<Self>, endpoint_id: &str) -> Result<(), Fault> {
        self.deliverer.forget();
        self.storage.transaction(|| {
            let statement = "UPDATE deliveries SET next_at = ?2
                WHERE endpoint_id = ?1 AND state = 'waiting' AND begun_at IS NULL";
            run(&self.storage, statement, &[endpoint_id.into(), now().0.into()])?;
            replan(&self.storage)
        })?;
        self.start_delivering();
        Ok(())
    }

    /// Sends an event to an endpoint once more, under the id it has. Tries go on being counted, so that one which
    /// used them all up gets this one.
    pub(crate) fn resend(self: &Rc<Self>, endpoint_id: &str, delivery_id: &str) -> Result<(), Fault> {
        self.storage.transaction(|| {
            let statement = "UPDATE deliveries SET state = 'waiting', next_at = ?3
                WHERE endpoint_id = ?1 AND id = ?2 AND begun_at IS NULL";
            run(&self.storage, statement, &[endpoint_id.into(), delivery_id.into(), now().0.into()])?;
            replan(&self.storage)
        })?;
        self.start_delivering();
        Ok(())
    }

    /// Delivers what is due in a task of its own, one in each instance.
    pub(crate) fn start_delivering(self: &Rc<Self>) {
        let busy = self.deliverer.busy_since.get().is_some_and(|since| since.plus_ms(LOST_AFTER_MS) > now());
        let paused = self.deliverer.not_before.get().is_some_and(|at| at > now());
        let due = matches!(next(&self.storage), Ok(Some(at)) if at <= now());
        if busy || paused || !due {
            return;
        }
        self.deliverer.busy_since.set(Some(now()));
        let inner = Rc::clone(self);
        self.state.wait_until(async move {
            let delivered = inner.deliver().await;
            inner.deliverer.busy_since.set(None);
            let planned = match delivered {
                Ok(()) => {
                    inner.deliverer.failures.set(0);
                    replan(&inner.storage)
                }
                Err(fault) => {
                    fault.log("delivery_failed");
                    let failures = inner.deliverer.failures.get().saturating_add(1);
                    inner.deliverer.failures.set(failures);
                    let again = now().plus_ms(backoff_ms(failures, random_u32()));
                    inner.deliverer.not_before.set(Some(again));
                    due::plan(&inner.storage, DELIVER_ITEM, again)
                }
            };
            if let Err(fault) = planned {
                fault.log("delivery_failed");
            }
        });
    }

    async fn deliver(&self) -> Result<(), Fault> {
        loop {
            self.deliverer.busy_since.set(Some(now()));
            self.distribute_waiting().await?;
            let due = self.due()?;
            if due.is_empty() {
                return Ok(());
            }
            let tries = stream::iter(due.into_iter().map(|due| self.attempt(due)));
            let mut tries = pin!(tries.buffer_unordered(AT_ONCE));
            while let Some(tried) = tries.next().await {
                self.deliverer.busy_since.set(Some(now()));
                tried?;
            }
        }
    }

    /// Gives events that came while subscriptions were not known to their endpoints.
    async fn distribute_waiting(&self) -> Result<(), Fault> {
        while run(&self.storage, "SELECT 1 FROM events LIMIT 1", &[])? {
            let endpoints = match self.deliverer.known() {
                Some(endpoints) => endpoints,
                None => self.ask_subscriptions().await?,
            };
            self.storage.transaction(|| {
                let statement = "SELECT n, doc FROM events ORDER BY n LIMIT ?";
                for row in query(&self.storage, statement, &[EVENTS_MAX.into()])? {
                    match row.json(1) {
                        Ok(event) => distribute(&self.storage, &endpoints, &event)?,
                        // One that cannot be read must not keep the others.
                        Err(fault) => fault.log("event_unreadable"),
                    }
                    run(&self.storage, "DELETE FROM events WHERE n = ?", &[row.count(0).into()])?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    async fn ask_subscriptions(&self) -> Result<Rc<Vec<EndpointState>>, Fault> {
        let (merchant, _) = self.merchant_and_month()?;
        let changes = self.deliverer.changes.get();
        let asked_at = now();
        let (objects, op) = (Objects(&self.env), MerchantOp::Endpoint(EndpointOp::Subscriptions));
        let asking = async { read_json::<Subscriptions>(objects.merchant(&merchant, &op).await?).await };
        let Subscriptions { endpoints } = within(OTHERS_WAIT, "the merchant", asking).await?;
        let endpoints = Rc::new(endpoints);
        if self.deliverer.changes.get() == changes {
            *self.deliverer.subscriptions.borrow_mut() = Some((asked_at, Rc::clone(&endpoints)));
        }
        Ok(endpoints)
    }

    fn due(&self) -> Result<Vec<Due>, Fault> {
        // An endpoint that is being tried again may be dead, and each try at a dead one takes its whole time-out: two of
        // a round are its share, so that it cannot keep the others waiting.
        let statement = "SELECT n, endpoint_id, doc, attempts, begun_at FROM (
                SELECT *, row_number() OVER (PARTITION BY endpoint_id ORDER BY next_at) AS place,
                    max(attempts) OVER (PARTITION BY endpoint_id) AS tried
                FROM deliveries WHERE next_at IS NOT NULL AND next_at <= ?)
            WHERE tried = 0 OR place <= 2 ORDER BY place, next_at LIMIT ?";
        let rows = query(&self.storage, statement, &[now().0.into(), DUE_MAX.into()])?;
        let mut due = vec![];
        for row in rows {
            let n = row.count(0);
            match row.json(2) {
                Ok(event) => {
                    let (endpoint_id, attempts, lost) = (row.text(1)?, row.number(3), !row.is_null(4));
                    due.push(Due { n, endpoint_id, event, attempts, lost });
                }
                Err(fault) => {
                    // As above.
                    fault.log("event_unreadable");
                    let statement = "UPDATE deliveries SET state = 'failed', next_at = NULL WHERE n = ?";
                    run(&self.storage, statement, &[n.into()])?;
                }
            }
        }
        Ok(due)
    }

    /// One delivery: asked for its endpoint, sent, and what became of it written down. Only what is wrong here is a
    /// fault.
    async fn attempt(&self, due: Due) -> Result<(), Fault> {
        let (merchant, _) = self.merchant_and_month()?;
        let waiter = Waiter::Recorder(self.name()?);
        if due.lost && due.attempts >= TRIES_MAX {
            // That was its last.
            return self.keep(&due, due.attempts, "failed", None, Some("no answer in time"));
        }
        let changes = self.deliverer.changes.get();
        let (endpoint, body) = match self.prepare(&merchant, &waiter, &due).await {
            Ok(Some((endpoint, body))) if !endpoint.disabled => (endpoint, body),
            // Its Merchant says when it answers again, and may have said so by now.
            Ok(Some(_)) => {
                let next_at = (self.deliverer.changes.get() != changes).then(now);
                return self.keep(&due, due.attempts, "waiting", next_at, None);
            }
            Ok(None) => return self.keep(&due, due.attempts, "failed", None, Some("the endpoint was deleted")),
            Err(fault) => {
                fault.log("delivery_failed");
                let again = now().plus_ms(backoff_ms(due.attempts + 1, random_u32()));
                return self.keep(&due, due.attempts, "waiting", Some(again), None);
            }
        };
        let attempts = due.attempts + 1;
        let statement = "UPDATE deliveries SET attempts = ?2, begun_at = ?3, next_at = ?4 WHERE n = ?1";
        let lost_at = now().plus_ms(DELIVERY_LOST_MS);
        run(&self.storage, statement, &[due.n.into(), attempts.into(), now().0.into(), lost_at.0.into()])?;
        let config = Config::of(&self.env)?;
        let sent = send(&config, &endpoint.url, &endpoint.secrets(), &due.event.id, &body).await;
        self.conclude(&merchant, waiter, &due, attempts, &endpoint, &sent).await
    }

    /// The endpoint as it is now, and the message. The member's own id is put in here: it is stored nowhere else.
    async fn prepare(
        &self,
        merchant: &str,
        waiter: &Waiter,
        due: &Due,
    ) -> Result<Option<(EndpointState, String)>, Fault> {
        let objects = Objects(&self.env);
        let asking = async {
            let endpoint = objects.endpoint_for(merchant, &due.endpoint_id, Some(waiter.clone())).await?;
            let mut data = due.event.data.clone();
            if let (Some(mref), Some(fields)) = (&due.event.mref, data.as_object_mut())
                && let Some(member_id) = self.member_id(merchant, mref, due.event.at).await?
            {
                // So do the moves of a reward, which say no more than that it was the member.
                let moves = fields.get_mut("moves").and_then(Value::as_array_mut).into_iter().flatten();
                for actor in moves.filter_map(|step| step.get_mut("actor")).filter(|actor| *actor == "member") {
                    *actor = format!("member:{member_id}").into();
                }
                fields.insert("member_id".to_owned(), member_id.into());
            }
            let Outgoing { kind, at, .. } = &due.event;
            let body = serde_json::json!({ "type": kind, "timestamp": at, "data": data }).to_string();
            Ok(endpoint.map(|endpoint| (endpoint, body)))
        };
        within(OTHERS_WAIT, "the merchant or the member", asking).await
    }

    async fn member_id(&self, merchant: &str, mref: &Mref, at: Instant) -> Result<Option<String>, Fault> {
        let merchant = MerchantId::new(merchant).map_err(|error| Fault::new(error.to_string()))?;
        let call = MemberCall::without_id("identity".to_owned(), MemberOp::Identity { at });
        let answer: Identity = read_json(Objects(&self.env).member(&merchant, mref, &call).await?).await?;
        Ok(answer.member_id)
    }

    async fn conclude(
        &self,
        merchant: &str,
        waiter: Waiter,
        due: &Due,
        attempts: u32,
        endpoint: &EndpointState,
        sent: &Sent,
    ) -> Result<(), Fault> {
        let error = sent.error();
        let (outcome, state, next_at) = match sent {
            Sent::Answered { status: 200..=299, .. } => (TryOutcome::Ok, "delivered", None),
            Sent::Answered { status: 410, .. } => (TryOutcome::Gone, "waiting", None),
            Sent::Answered { .. } | Sent::Unknown { .. } | Sent::Refused { .. } if attempts >= TRIES_MAX => {
                (TryOutcome::Failed, "failed", None)
            }
            Sent::Answered { retry_after, .. } => {
                let asked_s = retry_after.as_deref().and_then(|field| retry_after_s(field, now()));
                let next_at = now().plus_ms(delay_ms(attempts, asked_s, random_u32()));
                (TryOutcome::Failed, "waiting", Some(next_at))
            }
            Sent::Unknown { .. } | Sent::Refused { .. } => {
                (TryOutcome::Failed, "waiting", Some(now().plus_ms(delay_ms(attempts, None, random_u32()))))
            }
        };
        // Without a next try it waits only once the Merchant knows whom to wake: it is told before that is written.
        if outcome != TryOutcome::Gone {
            self.keep(due, attempts, state, next_at, error.as_deref())?;
        }
        if outcome == TryOutcome::Ok && !endpoint.waiting {
            return Ok(());
        }
        let result = TryResult {
            endpoint_id: due.endpoint_id.clone(),
            waiter,
            outcome,
            version: endpoint.version,
            delivery_id: due.event.id.clone(),
            kind: due.event.kind.clone(),
            attempts,
            next_attempt_at: next_at,
            waits: state == "waiting",
            error: error.clone(),
        };
        let objects = Objects(&self.env);
        let told = within(OTHERS_WAIT, "the merchant", objects.endpoint_result(merchant, result)).await;
        let heard = told.is_ok();
        if let Err(fault) = told {
            // It learns of the next try.
            fault.log("delivery_untold");
        }
        if outcome == TryOutcome::Gone {
            let next_at = (!heard).then(|| now().plus_ms(delay_ms(attempts, None, random_u32())));
            self.keep(due, attempts, state, next_at, error.as_deref())?;
        }
        Ok(())
    }

    /// Writes down where a delivery stands.
    fn keep(
        &self,
        due: &Due,
        attempts: u32,
        state: &'static str,
        next_at: Option<Instant>,
        error: Option<&str>,
    ) -> Result<(), Fault> {
        let statement = "UPDATE deliveries SET attempts = ?2, state = ?3, begun_at = NULL, next_at = ?4, error = ?5
            WHERE n = ?1";
        let values = [due.n.into(), attempts.into(), state.into(), next_at.map(|at| at.0).into(), error.into()];
        run(&self.storage, statement, &values).map(drop)
    }
}
