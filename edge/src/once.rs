//! Idempotency of administrators' calls: the answer is kept with its key, in the commit of its effect.

use crate::calls::Once;
use crate::platform::{Fault, SyncStorage};
use crate::sql::{first, run};
use counterfoil_core::ids::Fingerprint;
use counterfoil_core::limits::ANSWERS_KEPT_MS;
use counterfoil_core::time::Instant;

/// Part of the schema of every object that takes such calls.
pub(crate) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS once (
        scope TEXT PRIMARY KEY, fp BLOB NOT NULL, answer TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // What is too old is found without reading thirty days of keys.
    "CREATE INDEX IF NOT EXISTS once_at ON once (at)",
];

/// What is known of a key.
pub(crate) enum Seen {
    /// Nothing: go on.
    New,
    /// This command was answered so.
    Same(String),
    /// Another command was.
    Other,
}

/// Looks a key up.
pub(crate) fn seen(storage: &SyncStorage, once: Option<&Once>, now: Instant) -> Result<Seen, Fault> {
    let Some(once) = once else { return Ok(Seen::New) };
    let oldest = now.plus_ms(-ANSWERS_KEPT_MS);
    let statement = "SELECT fp, answer FROM once WHERE scope = ? AND at > ?";
    let Some(row) = first(storage, statement, &[(&once.scope).into(), oldest.0.into()])? else { return Ok(Seen::New) };
    if Fingerprint::from_bytes(&row.blob(0)) == Some(once.fp) { Ok(Seen::Same(row.text(1)?)) } else { Ok(Seen::Other) }
}

/// Keeps an answer. Run inside the transaction of the effect.
pub(crate) fn keep(storage: &SyncStorage, once: Option<&Once>, answer: &str, now: Instant) -> Result<(), Fault> {
    let Some(once) = once else { return Ok(()) };
    let oldest = now.plus_ms(-ANSWERS_KEPT_MS);
    run(storage, "DELETE FROM once WHERE scope IN (SELECT scope FROM once WHERE at <= ? LIMIT 8)", &[oldest.0.into()])?;
    let statement = "INSERT INTO once VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (scope) DO UPDATE SET fp = ?2, answer = ?3, at = ?4";
    let values = [(&once.scope).into(), once.fp.as_bytes().as_slice().into(), answer.into(), now.0.into()];
    run(storage, statement, &values).map(drop)
}
