//! The due-table behind each object's one alarm.
//!
//! The platform drops an alarm after six failures and tells no retry count, so: the alarm's first act is to
//! re-arm itself; an item's crash count is committed before the item is touched; an item that fails five times
//! to run at all is parked, so that it cannot stop the rest.

use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::sql::{first, query, run};
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::time::Instant;
use std::cell::Cell;

/// Items of one turn.
const ITEMS_MAX: u32 = 50;
/// The alarm's own safety net.
const REARM_MS: i64 = 30_000;
/// How long a parked item rests.
const PARKED_MS: i64 = 3_600_000;
/// Pause between two looks for a lost alarm.
const HEAL_AGAIN_MS: i64 = 1_000;
/// Failures to run at all before an item is parked.
const CRASHES_MAX: u32 = 5;

/// Part of every object's schema that has an alarm.
pub(crate) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS due (
    id TEXT PRIMARY KEY, at INTEGER NOT NULL, crashes INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    parked INTEGER NOT NULL DEFAULT 0, planned_at INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID";

/// Plans an item, or moves it; arms the alarm when it is earlier than what is armed, or due already: moved on again and
/// again, an item whose alarm was lost would never be overdue enough to be healed.
pub(crate) fn plan(storage: &SyncStorage, id: &str, at: Instant) -> Result<(), Fault> {
    let earlier = next(storage)?;
    let now = now();
    run(
        storage,
        "INSERT INTO due (id, at, planned_at) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
         SET at = excluded.at, planned_at = excluded.planned_at, crashes = 0, failures = 0, parked = 0",
        &[id.into(), at.0.into(), now.0.into()],
    )?;
    if at <= now || earlier.is_none_or(|earlier| at < earlier) { storage.arm(at) } else { Ok(()) }
}

/// Forgets an item.
pub(crate) fn done(storage: &SyncStorage, id: &str) -> Result<(), Fault> {
    run(storage, "DELETE FROM due WHERE id = ?", &[id.into()]).map(drop)
}

/// When an item is planned.
pub(crate) fn at(storage: &SyncStorage, id: &str) -> Result<Option<Instant>, Fault> {
    let row = first(storage, "SELECT at FROM due WHERE id = ?", &[id.into()])?;
    Ok(row.map(|row| Instant(row.integer(0))))
}

/// When the next item is due.
pub(crate) fn next(storage: &SyncStorage) -> Result<Option<Instant>, Fault> {
    let row = first(storage, "SELECT min(at) FROM due", &[])?;
    Ok(row.filter(|row| !row.is_null(0)).map(|row| Instant(row.integer(0))))
}

/// First act of an alarm: arms the safety net where something is due, counts a crash against each item that is taken,
/// parks those that keep crashing, and answers the rest. An item that then runs is planned again or done, which
/// clears its count. What has crashed before is taken alone, so that it takes no other item down with it.
pub(crate) fn take(storage: &SyncStorage) -> Result<Vec<String>, Fault> {
    storage.transaction(|| {
        let now = now();
        let suspect = "SELECT id, at FROM due WHERE at <= ? AND crashes > 0 ORDER BY at LIMIT 1";
        let suspect = first(storage, suspect, &[now.0.into()])?;
        // One that has waited long enough for its turn goes first.
        let waited = suspect.as_ref().is_some_and(|row| row.integer(1) + REARM_MS <= now.0);
        let mut rows = vec![];
        if !waited {
            rows = query(
                storage,
                "UPDATE due SET crashes = 1 WHERE id IN (
                    SELECT id FROM due WHERE at <= ?1 AND crashes = 0 ORDER BY at LIMIT ?2)
                 RETURNING id, parked",
                &[now.0.into(), ITEMS_MAX.into()],
            )?;
        }
        if let Some(suspect) = suspect.filter(|_| rows.is_empty()) {
            rows = query(
                storage,
                // One that keeps crashing is parked: told, and tried alone every hour, for what was wrong may be mended.
                "UPDATE due SET crashes = crashes + 1, parked = (crashes >= ?2),
                    at = CASE WHEN crashes >= ?2 THEN ?3 ELSE at END
                 WHERE id = ?1 RETURNING id, (crashes = ?2 + 1)",
                &[(&suspect.text(0)?).into(), CRASHES_MAX.into(), now.plus_ms(PARKED_MS).0.into()],
            )?;
        }
        // With nothing due it would wake this object every thirty seconds for ever.
        if !rows.is_empty() {
            storage.arm(now.plus_ms(REARM_MS))?;
        }
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            let id = row.text(0)?;
            if row.integer(1) == 0 {
                items.push(id);
            } else {
                worker::console_error!("{{\"event\":\"parked\",\"item\":\"{id}\"}}");
            }
        }
        Ok(items)
    })
}

/// An item that failed, but did not crash, stays planned with a growing pause; the others are not its business.
pub(crate) fn survive(storage: &SyncStorage, item: &str, done: Result<(), Fault>) {
    let Err(fault) = done else { return };
    Fault::new(format!("{item}: {}", fault.message)).log("alarm_item_failed");
    let again = || {
        let failures = first(storage, "SELECT failures FROM due WHERE id = ?", &[item.into()])?;
        let pause = backoff_ms(failures.map_or(0, |row| row.number(0)), random_u32());
        // Planned again by itself, it has no count of crashes any more.
        let statement = "UPDATE due SET at = ?, planned_at = ?, crashes = 0, failures = failures + 1, parked = 0
            WHERE id = ? AND crashes > 0";
        let now = now();
        run(storage, statement, &[now.plus_ms(pause).0.into(), now.0.into(), item.into()]).map(drop)
    };
    if let Err(fault) = again() {
        // The safety net is armed.
        fault.log("alarm_item_failed");
    }
}

/// Last act of an alarm: arms it for whatever is due next. Without anything due the net may fire once more.
pub(crate) fn rearm(storage: &SyncStorage) -> Result<(), Fault> {
    match next(storage)? {
        Some(at) => storage.arm(at.max(now().plus_ms(100))),
        None => Ok(()),
    }
}

/// When an instance last looked whether its alarm was lost.
#[derive(Default)]
pub(crate) struct Healed(Cell<Option<Instant>>);

/// Every event heals a lost alarm: arms it when something is overdue, or was planned by a clock that was ahead, which
/// would keep it waiting for as long.
///
/// Looked at once a second at most: what is overdue is so for far longer, and a read before each message would cost as much
/// as many a message.
pub(crate) fn heal(storage: &SyncStorage, healed: &Healed) -> Result<(), Fault> {
    let now = now();
    // A clock that was put back must not keep it from looking.
    if healed.0.get().is_some_and(|last| last <= now && now < last.plus_ms(HEAL_AGAIN_MS)) {
        return Ok(());
    }
    healed.0.set(Some(now));
    let row = first(storage, "SELECT min(at), max(planned_at) FROM due", &[])?;
    let Some(row) = row.filter(|row| !row.is_null(0)) else { return Ok(()) };
    let overdue = row.integer(0) + REARM_MS < now.0;
    let ahead = row.integer(1) > now.0 + REARM_MS;
    if ahead {
        run(storage, "UPDATE due SET at = ?1, planned_at = ?1 WHERE planned_at > ?1", &[now.0.into()])?;
    }
    if overdue || ahead { storage.arm(now) } else { Ok(()) }
}
