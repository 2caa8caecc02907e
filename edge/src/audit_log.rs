//! An object's audit chain and its outbox: what it did, in the commit that did it, and what its merchant's Recorder
//! has not acknowledged yet.
//!
//! A row waits in the outbox until the Recorder has it, and while one waits a due-item is planned: a report that is
//! lost, or an object that dies before it reports, delays it only.

use crate::due;
use crate::objects::{Objects, within};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::sql::{first, query, run};
use counterfoil_core::audit::{Draft, Entry, NOTHING_BEFORE};
use counterfoil_core::breaker::Claim;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::protocol::report::{Outgoing, Record, ReportRow, Settled, Took, month_of};
use counterfoil_core::time::Instant;
use counterfoil_core::verify::{ChainCheck, Report};
use counterfoil_core::wire::ProtocolError;
use std::cell::Cell;
use std::time::Duration;
use worker::Env;

/// Due-item that reports what the outbox holds.
pub(crate) const REPORT_ITEM: &str = "report";
/// How long a commit leaves reporting to the request that made it, before the alarm does.
const REPORT_AFTER_MS: i64 = 5_000;
/// Most rows of one message …
const ROWS_MAX: u32 = 64;
/// … and about as many bytes: rows carry whole resources.
const MESSAGE_BYTES: usize = 256 * 1024;
/// Longest wait for a Recorder; it is told again later.
const RECORDER_WAIT: Duration = Duration::from_secs(8);
/// Entries read at once when a chain is checked.
const VERIFIED_AT_ONCE: u32 = 500;
/// A report that has not come back for so long was dropped together with its request.
const LOST_AFTER_MS: i64 = 20_000;

/// Part of the schema of every object that keeps a chain.
pub(crate) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS audit (
        n INTEGER PRIMARY KEY, at INTEGER NOT NULL, entry TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS outbox (
        n INTEGER NOT NULL, month TEXT NOT NULL, doc TEXT NOT NULL, PRIMARY KEY (n, month)
    ) STRICT, WITHOUT ROWID",
];

/// Adds to the chain of `object`, and to the outbox. Run inside the transaction of what is told.
pub(crate) fn append(
    storage: &SyncStorage,
    (object, tester): (&str, bool),
    draft: &Draft,
    record: Option<Record>,
    events: Vec<Outgoing>,
    settled: Vec<Settled>,
    now: Instant,
) -> Result<(), Fault> {
    add(storage, (object, tester), draft, record, events, (settled, None, None), now)
}

/// The entry of a wrong code. The campaign key that it names is told beside it.
pub(crate) fn append_claimed(
    storage: &SyncStorage,
    (object, tester): (&str, bool),
    draft: &Draft,
    claim: Option<Claim>,
    now: Instant,
) -> Result<(), Fault> {
    add(storage, (object, tester), draft, None, vec![], (vec![], None, claim), now)
}

/// The same, where something has taken its time.
pub(crate) fn append_timed(
    storage: &SyncStorage,
    (object, tester): (&str, bool),
    draft: &Draft,
    record: Option<Record>,
    events: Vec<Outgoing>,
    (settled, took): (Vec<Settled>, Option<Took>),
    now: Instant,
) -> Result<(), Fault> {
    add(storage, (object, tester), draft, record, events, (settled, took, None), now)
}

fn add(
    storage: &SyncStorage,
    (object, tester): (&str, bool),
    draft: &Draft,
    record: Option<Record>,
    events: Vec<Outgoing>,
    (settled, took, claim): (Vec<Settled>, Option<Took>, Option<Claim>),
    now: Instant,
) -> Result<(), Fault> {
    // The last entry, and whether a report is planned already.
    let statement = "SELECT n, hash, at, (SELECT 1 FROM due WHERE id = 'report' AND parked = 0)
        FROM audit ORDER BY n DESC LIMIT 1";
    let last = first(storage, statement, &[])?;
    let planned = last.as_ref().is_some_and(|row| row.integer(3) == 1);
    let (n, prev, at) = match last {
        // A clock that was put back must not send an entry to a month before that of the entry before it.
        Some(row) => (row.count(0) + 1, row.text(1)?, now.max(Instant(row.integer(2)))),
        None => (1, NOTHING_BEFORE.to_owned(), now),
    };
    let entry = Entry::chain(&prev, object, n, at, draft);
    let (text, hash) = (entry.canonical(), entry.hash());
    let values = [n.into(), at.0.into(), (&text).into(), (&hash).into()];
    run(storage, "INSERT INTO audit VALUES (?, ?, ?, ?)", &values)?;
    let month = month_of(at);
    let begun = record.as_ref().map(|record| month_of(record.redemption.created_at));
    if let Some(begun) = begun.filter(|begun| *begun != month) {
        // Lists find a redemption in the month in which it began.
        let record = record.clone();
        put(
            storage,
            &begun,
            &ReportRow {
                n,
                entry: None,
                hash: String::new(),
                tester,
                record,
                events: vec![],
                settled: vec![],
                took: None,
                claim: None,
            },
        )?;
    }
    put(storage, &month, &ReportRow { n, entry: Some(entry), hash, tester, record, events, settled, took, claim })?;
    if planned { Ok(()) } else { due::plan(storage, REPORT_ITEM, now.plus_ms(REPORT_AFTER_MS)) }
}

/// The entry of a command that was refused: nothing else changed.
pub(crate) fn refused(by: &str, subject: Option<String>, instance: &str, error: &ProtocolError) -> Draft {
    let data = serde_json::json!({ "call": instance, "code": error.code() });
    Draft { subject, ..Draft::new(by, "attempt.refused").data(data) }
}

fn put(storage: &SyncStorage, month: &str, row: &ReportRow) -> Result<(), Fault> {
    let doc = serde_json::to_string(row)?;
    run(storage, "INSERT INTO outbox VALUES (?, ?, ?)", &[row.n.into(), month.into(), (&doc).into()]).map(drop)
}

/// Reports under way in this instance.
#[derive(Default)]
pub(crate) struct AuditLog {
    /// When the one under way last sent something.
    busy_since: Cell<Option<Instant>>,
    /// Failures in a row.
    failures: Cell<u32>,
}

impl AuditLog {
    /// Sends what the outbox holds, one message after the other, until it is empty or a Recorder does not answer.
    /// `source` is the name of the chain. Whoever calls while this goes on may leave: it will see the new rows.
    pub(crate) async fn report(
        &self,
        storage: &SyncStorage,
        env: &Env,
        merchant: &str,
        source: &str,
    ) -> Result<(), Fault> {
        if self.busy_since.get().is_some_and(|since| since.plus_ms(LOST_AFTER_MS) > now()) {
            return Ok(());
        }
        let sent = self.send_all(storage, env, merchant, source).await;
        self.busy_since.set(None);
        match sent {
            Ok(()) => {
                self.failures.set(0);
                // The due-item stays until its alarm: removing it and planning it again would cost each commit of
                // a busy object two writes.
                Ok(())
            }
            Err(fault) => {
                self.failures.set(self.failures.get().saturating_add(1));
                fault.log("report_failed");
                due::plan(storage, REPORT_ITEM, now().plus_ms(backoff_ms(self.failures.get(), random_u32())))
            }
        }
    }

    /// The alarm's turn: reports, and forgets the item once nothing waits.
    pub(crate) async fn ring(
        &self,
        storage: &SyncStorage,
        env: &Env,
        merchant: &str,
        source: &str,
    ) -> Result<(), Fault> {
        // Looked at again, should the report under way have been lost, or this one get lost.
        due::plan(storage, REPORT_ITEM, now().plus_ms(LOST_AFTER_MS))?;
        self.report(storage, env, merchant, source).await?;
        if run(storage, "SELECT 1 FROM outbox LIMIT 1", &[])? { Ok(()) } else { due::done(storage, REPORT_ITEM) }
    }

    async fn send_all(&self, storage: &SyncStorage, env: &Env, merchant: &str, source: &str) -> Result<(), Fault> {
        let mut failed = None;
        // Months after which to look: one Recorder that is out of reach must not keep the others waiting.
        let mut after = String::new();
        loop {
            let statement = "SELECT month FROM outbox WHERE month > ? ORDER BY month LIMIT 1";
            let Some(row) = first(storage, statement, &[(&after).into()])? else { break };
            let month = row.text(0)?;
            match self.send(storage, env, &format!("{merchant}/{month}/0"), source, &month).await {
                Ok(()) => {}
                Err(fault) => {
                    failed = Some(fault);
                    after = month;
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// One message, with the oldest rows of a month.
    async fn send(
        &self,
        storage: &SyncStorage,
        env: &Env,
        recorder: &str,
        source: &str,
        month: &str,
    ) -> Result<(), Fault> {
        let statement = "SELECT n, doc FROM outbox WHERE month = ? ORDER BY n LIMIT ?";
        let mut last = 0;
        let mut rows = String::new();
        for row in query(storage, statement, &[month.into(), ROWS_MAX.into()])? {
            let doc = row.text(1)?;
            if !rows.is_empty() {
                if rows.len() + doc.len() > MESSAGE_BYTES {
                    break;
                }
                rows.push(',');
            }
            rows.push_str(&doc);
            last = row.count(0);
        }
        self.busy_since.set(Some(now()));
        let objects = Objects(env);
        within(RECORDER_WAIT, "the recorder", objects.report(recorder, source, &rows)).await?;
        run(storage, "DELETE FROM outbox WHERE month = ? AND n <= ?", &[month.into(), last.into()]).map(drop)
    }
}

/// Checks a chain and its outbox for `POST /v1/verify`.
pub(crate) fn verify(storage: &SyncStorage, object: &str, report: &mut Report) -> Result<(), Fault> {
    let mut chain = ChainCheck::of(object);
    let mut after = 0;
    loop {
        let statement = "SELECT n, entry, hash FROM audit WHERE n > ? ORDER BY n LIMIT ?";
        let rows = query(storage, statement, &[after.into(), VERIFIED_AT_ONCE.into()])?;
        let Some(last) = rows.last() else { break };
        after = last.count(0);
        for row in &rows {
            chain.add(row.count(0), &row.text(1)?, &row.text(2)?);
        }
    }
    let waiting = first(storage, "SELECT count(*) FROM outbox", &[])?.map_or(0, |row| row.count(0));
    let alarm = run(storage, "SELECT 1 FROM due WHERE id = ? AND parked = 0", &[REPORT_ITEM.into()])?;
    chain.finish(waiting, alarm, report);
    Ok(())
}

/// Lets the alarm report at once what waits: for objects that change seldom and report in no task of their own.
pub(crate) fn hurry(storage: &SyncStorage) -> Result<(), Fault> {
    if !run(storage, "SELECT 1 FROM outbox LIMIT 1", &[])? {
        return Ok(());
    }
    // One that has failed keeps its pause: a Recorder out of reach is not asked again by every call.
    let waits = "SELECT 1 FROM due WHERE id = ? AND at > ?";
    if run(storage, waits, &[REPORT_ITEM.into(), now().plus_ms(REPORT_AFTER_MS).0.into()])? {
        Ok(())
    } else {
        due::plan(storage, REPORT_ITEM, now())
    }
}
