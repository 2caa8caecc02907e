//! Tables of a merchant's endpoints, and the waking of those who wait for one.

use crate::calls::PageQuery;
use crate::due;
use crate::endpoint_calls::{EndpointState, TryOutcome, TryResult, Waiter};
use crate::merchant::cut;
use crate::platform::{Fault, SyncStorage, random_u32};
use crate::sql::{Row, first, query, run};
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::time::Instant;
use counterfoil_core::webhook::schedule::delay_ms;
use counterfoil_core::wire::{DeliveryResource, DeliveryState, EndpointResource, NewEndpoint};

/// Due-item that wakes those whose endpoint answers again.
pub(crate) const WAKE_ITEM: &str = "wake";
/// How long the secret before a rotation stays good.
const ROTATED_SECRET_MS: i64 = DAY_MS;
/// Secrets of one endpoint; the oldest goes when it was rotated more often within a day.
const SECRETS_MAX: u32 = 10;
/// Deliveries kept for each endpoint.
const DELIVERIES_KEPT: u32 = 1_000;
/// Waiters woken in one turn.
const WOKEN_PER_TURN: u32 = 6;

/// Part of the Merchant's schema.
pub(crate) const SCHEMA: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS endpoints (
        n INTEGER PRIMARY KEY, endpoint_id TEXT NOT NULL UNIQUE, url TEXT NOT NULL, events TEXT NOT NULL,
        created_at INTEGER NOT NULL, disabled_at INTEGER, version INTEGER NOT NULL DEFAULT 1, deleted_at INTEGER
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS endpoint_secrets (
        n INTEGER PRIMARY KEY AUTOINCREMENT, endpoint_id TEXT NOT NULL, secret TEXT NOT NULL, expires_at INTEGER
    ) STRICT",
    // Who has deliveries waiting. `armed`: something failed since they were last woken. `wake_at`: they are to be
    // woken then. `told`: how often they were woken, and something failed again.
    "CREATE TABLE IF NOT EXISTS endpoint_waiters (
        endpoint_id TEXT NOT NULL, waiter TEXT NOT NULL, armed INTEGER NOT NULL, serial INTEGER NOT NULL,
        wake_at INTEGER, tries INTEGER NOT NULL DEFAULT 0, told INTEGER NOT NULL DEFAULT 0, told_at INTEGER,
        PRIMARY KEY (endpoint_id, waiter)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS endpoint_deliveries (
        n INTEGER PRIMARY KEY, endpoint_id TEXT NOT NULL, delivery_id TEXT NOT NULL, waiter TEXT,
        waiting INTEGER NOT NULL, doc TEXT NOT NULL, message TEXT, UNIQUE (endpoint_id, delivery_id)
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS endpoint_deliveries_waiting ON endpoint_deliveries (endpoint_id, waiter) WHERE waiting = 1",
    "CREATE TABLE IF NOT EXISTS callbacks_seen (
        endpoint_id TEXT NOT NULL, webhook_id TEXT NOT NULL, target TEXT NOT NULL, at INTEGER NOT NULL,
        PRIMARY KEY (endpoint_id, webhook_id)
    ) STRICT, WITHOUT ROWID",
];

/// A stored endpoint.
pub(crate) struct Endpoint {
    pub(crate) endpoint_id: String,
    url: String,
    events: Vec<String>,
    created_at: Instant,
    pub(crate) disabled_at: Option<Instant>,
    pub(crate) version: u32,
}

/// A waiter to be woken.
pub(crate) struct Wake {
    pub(crate) endpoint_id: String,
    pub(crate) waiter: Waiter,
    serial: i64,
    tries: u32,
}

/// Statements over the tables.
pub(crate) struct Store<'a>(pub(crate) &'a SyncStorage);

fn read_endpoint(row: &Row) -> Result<Endpoint, Fault> {
    Ok(Endpoint {
        endpoint_id: row.text(1)?,
        url: row.text(2)?,
        events: row.json(3)?,
        created_at: Instant(row.integer(4)),
        disabled_at: (!row.is_null(5)).then(|| Instant(row.integer(5))),
        version: row.number(6),
    })
}

impl Store<'_> {
    /// An endpoint that is not deleted.
    pub(crate) fn endpoint(&self, endpoint_id: &str) -> Result<Option<Endpoint>, Fault> {
        let statement = "SELECT n, endpoint_id, url, events, created_at, disabled_at, version FROM endpoints
            WHERE endpoint_id = ? AND deleted_at IS NULL";
        first(self.0, statement, &[endpoint_id.into()])?.as_ref().map(read_endpoint).transpose()
    }

    pub(crate) fn was_deleted(&self, endpoint_id: &str) -> Result<bool, Fault> {
        run(self.0, "SELECT 1 FROM endpoints WHERE endpoint_id = ?", &[endpoint_id.into()])
    }

    pub(crate) fn named_by_definition(&self, endpoint_id: &str) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM definitions WHERE doc ->> '$.mechanic.endpoint_id' = ? LIMIT 1";
        run(self.0, statement, &[endpoint_id.into()])
    }

    pub(crate) fn insert(&self, endpoint_id: &str, new: &NewEndpoint, now: Instant) -> Result<(), Fault> {
        let statement = "INSERT INTO endpoints (endpoint_id, url, events, created_at) VALUES (?, ?, ?, ?)";
        let events = serde_json::to_string(new.events.as_deref().unwrap_or_default())?;
        run(self.0, statement, &[endpoint_id.into(), (&new.url).into(), (&events).into(), now.0.into()]).map(drop)
    }

    /// Keeps the row, so that deleting it again is told from deleting what never was; nothing secret stays.
    pub(crate) fn delete(&self, endpoint_id: &str, now: Instant) -> Result<(), Fault> {
        let statement = "UPDATE endpoints SET deleted_at = ?2, url = '', events = '[]' WHERE endpoint_id = ?1";
        run(self.0, statement, &[endpoint_id.into(), now.0.into()])?;
        for statement in [
            "DELETE FROM endpoint_secrets WHERE endpoint_id = ?",
            "DELETE FROM endpoint_deliveries WHERE endpoint_id = ?",
            "DELETE FROM callbacks_seen WHERE endpoint_id = ?",
        ] {
            run(self.0, statement, &[endpoint_id.into()])?;
        }
        Ok(())
    }

    pub(crate) fn disable(&self, endpoint_id: &str, now: Instant) -> Result<(), Fault> {
        let statement = "UPDATE endpoints SET disabled_at = ?2 WHERE endpoint_id = ?1";
        run(self.0, statement, &[endpoint_id.into(), now.0.into()])?;
        let statement = "UPDATE endpoint_waiters SET wake_at = NULL WHERE endpoint_id = ?";
        run(self.0, statement, &[endpoint_id.into()]).map(drop)
    }

    pub(crate) fn enable(&self, endpoint_id: &str) -> Result<(), Fault> {
        let statement = "UPDATE endpoints SET disabled_at = NULL, version = version + 1 WHERE endpoint_id = ?";
        run(self.0, statement, &[endpoint_id.into()]).map(drop)
    }

    pub(crate) fn list(
        &self,
        page: &PageQuery,
        now: Instant,
    ) -> Result<(Vec<EndpointResource>, Option<String>), Fault> {
        let statement = "SELECT n, endpoint_id, url, events, created_at, disabled_at, version FROM endpoints
            WHERE deleted_at IS NULL AND (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(self.0, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let items = rows.iter().map(|row| self.resource(&read_endpoint(row)?, None, now)).collect::<Result<_, _>>()?;
        Ok((items, next_cursor))
    }

    /// Endpoints that are told of any event.
    pub(crate) fn subscribed(&self) -> Result<Vec<Endpoint>, Fault> {
        let statement = "SELECT n, endpoint_id, url, events, created_at, disabled_at, version FROM endpoints
            WHERE deleted_at IS NULL AND events <> '[]' ORDER BY n";
        query(self.0, statement, &[])?.iter().map(read_endpoint).collect()
    }

    pub(crate) fn resource(
        &self,
        endpoint: &Endpoint,
        secret: Option<&str>,
        now: Instant,
    ) -> Result<EndpointResource, Fault> {
        Ok(EndpointResource {
            endpoint_id: endpoint.endpoint_id.clone(),
            url: endpoint.url.clone(),
            events: endpoint.events.clone(),
            disabled: endpoint.disabled_at.is_some(),
            disabled_at: endpoint.disabled_at,
            created_at: endpoint.created_at,
            secret: secret.map(str::to_owned),
            secrets: u32::try_from(self.secrets(&endpoint.endpoint_id, now)?.len()).unwrap_or(u32::MAX),
        })
    }

    /// What those who deliver need of it. A success is of interest where anybody waits to be woken, or a delivery of
    /// whoever asks is listed as waiting.
    pub(crate) fn state(
        &self,
        endpoint: &Endpoint,
        waiter: Option<&Waiter>,
        now: Instant,
    ) -> Result<EndpointState, Fault> {
        let id = &endpoint.endpoint_id;
        let armed = "SELECT 1 FROM endpoint_waiters WHERE endpoint_id = ? AND armed = 1 AND wake_at IS NULL LIMIT 1";
        let mut waiting = run(self.0, armed, &[id.into()])?;
        if let Some(waiter) = waiter.filter(|_| !waiting) {
            let listed =
                "SELECT 1 FROM endpoint_deliveries WHERE endpoint_id = ? AND waiter = ? AND waiting = 1 LIMIT 1";
            waiting = run(self.0, listed, &[id.into(), (&serde_json::to_string(waiter)?).into()])?;
        }
        Ok(EndpointState::new(
            id.clone(),
            endpoint.url.clone(),
            endpoint.events.clone(),
            self.secrets(id, now)?,
            endpoint.disabled_at.is_some(),
            waiting,
            endpoint.version,
        ))
    }

    /// Secrets that are good, the newest first.
    pub(crate) fn secrets(&self, endpoint_id: &str, now: Instant) -> Result<Vec<String>, Fault> {
        let statement = "SELECT secret FROM endpoint_secrets
            WHERE endpoint_id = ? AND (expires_at IS NULL OR expires_at > ?) ORDER BY n DESC LIMIT ?";
        let rows = query(self.0, statement, &[endpoint_id.into(), now.0.into(), SECRETS_MAX.into()])?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Adds the newest secret; those before it end after a day. Answers its number, which no other secret will have.
    pub(crate) fn add_secret(&self, endpoint_id: &str, secret: &str, now: Instant) -> Result<String, Fault> {
        let expired = "DELETE FROM endpoint_secrets WHERE endpoint_id = ? AND expires_at <= ?";
        run(self.0, expired, &[endpoint_id.into(), now.0.into()])?;
        let ending = "UPDATE endpoint_secrets SET expires_at = ?2 WHERE endpoint_id = ?1 AND expires_at IS NULL";
        run(self.0, ending, &[endpoint_id.into(), now.plus_ms(ROTATED_SECRET_MS).0.into()])?;
        let statement = "INSERT INTO endpoint_secrets (endpoint_id, secret) VALUES (?, ?) RETURNING n";
        let row = first(self.0, statement, &[endpoint_id.into(), secret.into()])?;
        row.map(|row| row.count(0).to_string()).ok_or_else(|| Fault::new("a secret was not kept"))
    }

    /// An endpoint by a number of one of its secrets, with that secret.
    pub(crate) fn made_with(&self, secret_n: &str) -> Result<Option<(Endpoint, String)>, Fault> {
        let statement = "SELECT endpoint_id, secret FROM endpoint_secrets WHERE n = ?";
        let secret_n: u64 = secret_n.parse().unwrap_or_default();
        let Some(row) = first(self.0, statement, &[secret_n.into()])? else { return Ok(None) };
        let secret = row.text(1)?;
        Ok(self.endpoint(&row.text(0)?)?.map(|endpoint| (endpoint, secret)))
    }

    /// Remembers a callback; answers the reward that its `webhook-id` was first used for.
    pub(crate) fn see_callback(
        &self,
        endpoint_id: &str,
        webhook_id: &str,
        target: &str,
        now: Instant,
        oldest: Instant,
    ) -> Result<String, Fault> {
        let statement = "DELETE FROM callbacks_seen WHERE at <= ?";
        run(self.0, statement, &[oldest.0.into()])?;
        // Shown again, it stays as long again: its own time is what ends it.
        let statement = "INSERT INTO callbacks_seen VALUES (?, ?, ?, ?)
            ON CONFLICT (endpoint_id, webhook_id) DO UPDATE SET at = excluded.at RETURNING target";
        let values = [endpoint_id.into(), webhook_id.into(), target.into(), now.0.into()];
        first(self.0, statement, &values)?.map_or_else(|| Ok(target.to_owned()), |row| row.text(0))
    }
}

/// What is known of deliveries.
impl Store<'_> {
    pub(crate) fn keep_try(&self, result: &TryResult, now: Instant) -> Result<(), Fault> {
        let delivered = result.outcome == TryOutcome::Ok;
        let state = match (delivered, result.waits) {
            (true, _) => DeliveryState::Delivered,
            (false, true) => DeliveryState::Waiting,
            (false, false) => DeliveryState::Failed,
        };
        let delivery = DeliveryResource {
            delivery_id: result.delivery_id.clone(),
            kind: result.kind.clone(),
            state,
            attempts: result.attempts,
            next_attempt_at: result.next_attempt_at.filter(|_| state == DeliveryState::Waiting),
            last_error: result.error.clone().filter(|_| !delivered),
            updated_at: now,
        };
        let waiter = serde_json::to_string(&result.waiter)?;
        self.keep(&result.endpoint_id, &delivery, Some(&waiter), None)
    }

    /// Keeps a test with its message: nobody else has it.
    pub(crate) fn keep_test(&self, endpoint_id: &str, delivery: &DeliveryResource, message: &str) -> Result<(), Fault> {
        self.keep(endpoint_id, delivery, None, Some(message))
    }

    fn keep(
        &self,
        endpoint_id: &str,
        delivery: &DeliveryResource,
        waiter: Option<&str>,
        message: Option<&str>,
    ) -> Result<(), Fault> {
        let statement = "INSERT INTO endpoint_deliveries (endpoint_id, delivery_id, waiter, waiting, doc, message)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)
            ON CONFLICT (endpoint_id, delivery_id) DO UPDATE SET waiter = ?3, waiting = ?4, doc = ?5";
        let waiting = u32::from(delivery.state == DeliveryState::Waiting);
        let doc = serde_json::to_string(delivery)?;
        let id = &delivery.delivery_id;
        let values = [endpoint_id.into(), id.into(), waiter.into(), waiting.into(), (&doc).into(), message.into()];
        run(self.0, statement, &values)?;
        let statement = "DELETE FROM endpoint_deliveries WHERE n IN (
            SELECT n FROM endpoint_deliveries WHERE endpoint_id = ? ORDER BY n DESC LIMIT -1 OFFSET ?)";
        run(self.0, statement, &[endpoint_id.into(), DELIVERIES_KEPT.into()]).map(drop)
    }

    /// A delivery is tried again by hand.
    pub(crate) fn again(&self, endpoint_id: &str, delivery: &DeliveryResource) -> Result<(), Fault> {
        let statement = "UPDATE endpoint_deliveries SET waiting = 1, doc = ?3
            WHERE endpoint_id = ?1 AND delivery_id = ?2";
        let doc = serde_json::to_string(delivery)?;
        run(self.0, statement, &[endpoint_id.into(), (&delivery.delivery_id).into(), (&doc).into()]).map(drop)
    }

    /// The message of a test.
    pub(crate) fn test_message(&self, endpoint_id: &str, delivery_id: &str) -> Result<Option<String>, Fault> {
        let statement = "SELECT message FROM endpoint_deliveries
            WHERE endpoint_id = ? AND delivery_id = ? AND message IS NOT NULL";
        first(self.0, statement, &[endpoint_id.into(), delivery_id.into()])?.map(|row| row.text(0)).transpose()
    }

    pub(crate) fn deliveries(
        &self,
        endpoint_id: &str,
        page: &PageQuery,
    ) -> Result<(Vec<DeliveryResource>, Option<String>), Fault> {
        let statement = "SELECT n, doc FROM endpoint_deliveries
            WHERE endpoint_id = ?1 AND (?2 IS NULL OR n < ?2) ORDER BY n DESC LIMIT ?3";
        let values = [endpoint_id.into(), page.before.into(), (page.limit + 1).into()];
        let mut rows = query(self.0, statement, &values)?;
        let next_cursor = cut(&mut rows, page.limit);
        Ok((rows.iter().map(|row| row.json(1)).collect::<Result<_, _>>()?, next_cursor))
    }

    /// A delivery, with whoever keeps its message.
    pub(crate) fn delivery(
        &self,
        endpoint_id: &str,
        delivery_id: &str,
    ) -> Result<Option<(DeliveryResource, Option<Waiter>)>, Fault> {
        let statement = "SELECT doc, waiter FROM endpoint_deliveries WHERE endpoint_id = ? AND delivery_id = ?";
        let row = first(self.0, statement, &[endpoint_id.into(), delivery_id.into()])?;
        row.map(|row| {
            let waiter = if row.is_null(1) { None } else { Some(row.json(1)?) };
            Ok((row.json(0)?, waiter))
        })
        .transpose()
    }
}

/// Those who wait for an endpoint.
impl Store<'_> {
    /// Something of this waiter waits. The serial tells it from what waited when it was last woken.
    pub(crate) fn wait(&self, endpoint_id: &str, waiter: &Waiter, now: Instant) -> Result<(), Fault> {
        // Who was woken long ago and has had no failure since starts anew when it fails again.
        let statement = "DELETE FROM endpoint_waiters WHERE endpoint_id = ? AND armed = 0 AND told_at <= ?";
        run(self.0, statement, &[endpoint_id.into(), now.plus_ms(-DAY_MS).0.into()])?;
        let statement = "INSERT INTO endpoint_waiters (endpoint_id, waiter, armed, serial) VALUES (?, ?, 1, 1)
            ON CONFLICT (endpoint_id, waiter) DO UPDATE SET armed = 1, serial = serial + 1";
        let waiter = serde_json::to_string(waiter)?;
        run(self.0, statement, &[endpoint_id.into(), (&waiter).into()]).map(drop)
    }

    /// A success pulls forward what waits. One whose deliveries keep failing all the same is woken at growing
    /// distances, or a busy endpoint would use up all tries of a delivery that it never takes.
    pub(crate) fn pull_forward(&self, endpoint_id: &str, now: Instant) -> Result<(), Fault> {
        let statement = "SELECT waiter, told, told_at FROM endpoint_waiters
            WHERE endpoint_id = ? AND armed = 1 AND wake_at IS NULL";
        for row in query(self.0, statement, &[endpoint_id.into()])? {
            let told = row.number(1);
            let wake_at = match told {
                0 => now,
                told => now.max(Instant(row.integer(2)).plus_ms(delay_ms(told, None, random_u32()))),
            };
            let statement = "UPDATE endpoint_waiters SET wake_at = ?3 WHERE endpoint_id = ?1 AND waiter = ?2";
            run(self.0, statement, &[endpoint_id.into(), (&row.text(0)?).into(), wake_at.0.into()])?;
        }
        self.plan_waking()
    }

    /// Wakes everybody who waits for an endpoint, now and from the beginning.
    pub(crate) fn wake_all(&self, endpoint_id: &str, now: Instant) -> Result<(), Fault> {
        let statement = "UPDATE endpoint_waiters SET wake_at = ?2, tries = 0, told = 0
            WHERE endpoint_id = ?1 AND armed = 1";
        run(self.0, statement, &[endpoint_id.into(), now.0.into()])?;
        self.plan_waking()
    }

    pub(crate) fn wake_one(&self, endpoint_id: &str, waiter: &Waiter, now: Instant) -> Result<(), Fault> {
        let statement = "UPDATE endpoint_waiters SET wake_at = ?3, tries = 0 WHERE endpoint_id = ?1 AND waiter = ?2";
        let waiter = serde_json::to_string(waiter)?;
        run(self.0, statement, &[endpoint_id.into(), (&waiter).into(), now.0.into()])?;
        self.plan_waking()
    }

    /// Plans the due-item for whoever is to be woken next.
    pub(crate) fn plan_waking(&self) -> Result<(), Fault> {
        let row = first(self.0, "SELECT min(wake_at) FROM endpoint_waiters", &[])?;
        match row.filter(|row| !row.is_null(0)) {
            Some(row) => due::plan(self.0, WAKE_ITEM, Instant(row.integer(0))),
            None => due::done(self.0, WAKE_ITEM),
        }
    }

    /// Those who are to be woken now, a turn's worth.
    pub(crate) fn to_wake(&self, now: Instant) -> Result<Vec<Wake>, Fault> {
        let statement = "SELECT endpoint_id, waiter, serial, tries FROM endpoint_waiters
            WHERE wake_at <= ? ORDER BY wake_at LIMIT ?";
        let rows = query(self.0, statement, &[now.0.into(), WOKEN_PER_TURN.into()])?;
        rows.iter()
            .map(|row| {
                let (endpoint_id, waiter) = (row.text(0)?, row.json(1)?);
                Ok(Wake { endpoint_id, waiter, serial: row.integer(2), tries: row.number(3) })
            })
            .collect()
    }

    /// One was woken and has answered. What failed since it was called still waits.
    pub(crate) fn woken(&self, wake: &Wake, now: Instant) -> Result<(), Fault> {
        let statement = "UPDATE endpoint_waiters
            SET wake_at = NULL, tries = 0, told = told + 1, told_at = ?4, armed = (serial <> ?3)
            WHERE endpoint_id = ?1 AND waiter = ?2";
        let waiter = serde_json::to_string(&wake.waiter)?;
        run(self.0, statement, &[(&wake.endpoint_id).into(), (&waiter).into(), wake.serial.into(), now.0.into()])
            .map(drop)
    }

    /// One did not answer: it is called again, for as long as it takes.
    pub(crate) fn not_woken(&self, wake: &Wake, now: Instant) -> Result<(), Fault> {
        let statement = "UPDATE endpoint_waiters SET wake_at = ?3, tries = tries + 1
            WHERE endpoint_id = ?1 AND waiter = ?2 AND wake_at IS NOT NULL";
        let waiter = serde_json::to_string(&wake.waiter)?;
        let again = now.plus_ms(backoff_ms(wake.tries, random_u32()));
        run(self.0, statement, &[(&wake.endpoint_id).into(), (&waiter).into(), again.0.into()]).map(drop)
    }
}
