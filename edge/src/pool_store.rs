//! SQL of a Pool. Every call costs the same in a pool of a thousand codes as in one of a million: codes are handed out
//! in the order of their numbers from `stock.next` on, those that came back first, and what there is of each kind is
//! counted in the commit that changes it.

use crate::due;
use crate::platform::{Fault, SyncStorage};
use crate::pool::PENDING_ITEM;
use crate::sql::{self, Row, first, query, run};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{BACKOFF_MAX_MS, DAY_MS};
use counterfoil_core::protocol::Intent;
use counterfoil_core::protocol::pool::DEPLETION_MS;
use counterfoil_core::time::Instant;
use counterfoil_core::verify::PoolFacts;
use counterfoil_core::wire::Stock;

/// Inquiries of one alarm turn.
const INQUIRIES_MAX: u32 = 6;
/// Width of the counters of depletion.
const HOUR_MS: i64 = 3_600_000;

pub(crate) struct PoolStore<'a>(pub(crate) &'a SyncStorage);

/// A pending intent whose fate must be asked.
pub(crate) struct Overdue {
    pub(crate) intent: Intent,
    pub(crate) tries: u32,
}

/// Where a code is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    Used,
    Quarantined(u64),
}

/// What a pool counts.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counters {
    pub(crate) stock: Stock,
    pub(crate) shortages: u64,
    /// How often it was told that codes run low.
    pub(crate) lows: u64,
    /// Whether the present crossing was told.
    pub(crate) told: bool,
    next: u64,
}

/// What decides about an intent.
pub(crate) struct Look {
    pub(crate) counters: Counters,
    pub(crate) buried: bool,
    /// Whether its redemption has codes here; what is pending always has.
    pub(crate) has_codes: bool,
    /// Whether any codes came back and wait before `next`.
    returned: bool,
}

fn blob(rid: &Rid) -> crate::sql::Value<'_> {
    rid.as_bytes().as_slice().into()
}

impl PoolStore<'_> {
    pub(crate) fn create(&self) -> Result<(), Fault> {
        for statement in [
            due::SCHEMA,
            crate::once::SCHEMA[0],
            crate::once::SCHEMA[1],
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS stock (
                one INTEGER PRIMARY KEY CHECK (one = 1), free INTEGER NOT NULL CHECK (free >= 0),
                used INTEGER NOT NULL CHECK (used >= 0), quarantined INTEGER NOT NULL CHECK (quarantined >= 0),
                shortages INTEGER NOT NULL, lows INTEGER NOT NULL, told INTEGER NOT NULL CHECK (told IN (0, 1)),
                next INTEGER NOT NULL
            ) STRICT",
            "INSERT INTO stock VALUES (1, 0, 0, 0, 0, 0, 0, 1) ON CONFLICT DO NOTHING",
            "CREATE TABLE IF NOT EXISTS codes (n INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE) STRICT",
            // Its key makes it impossible that a code belongs to two redemptions.
            "CREATE TABLE IF NOT EXISTS taken (
                n INTEGER PRIMARY KEY, rid BLOB NOT NULL CHECK (length(rid) = 26), at INTEGER NOT NULL
            ) STRICT",
            "CREATE INDEX IF NOT EXISTS taken_by_rid ON taken (rid)",
            // Free codes before `stock.next`.
            "CREATE TABLE IF NOT EXISTS returned (n INTEGER PRIMARY KEY) STRICT",
            "CREATE TABLE IF NOT EXISTS quarantine (
                n INTEGER PRIMARY KEY, rid BLOB NOT NULL, at INTEGER NOT NULL
            ) STRICT",
            "CREATE TABLE IF NOT EXISTS pending (
                rid BLOB NOT NULL, fp BLOB NOT NULL, intent TEXT NOT NULL, ask_at INTEGER NOT NULL,
                tries INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rid, fp)
            ) STRICT, WITHOUT ROWID",
            // Redemptions that were given back: a delayed message must not take codes for them again.
            "CREATE TABLE IF NOT EXISTS undone (
                n INTEGER PRIMARY KEY, rid BLOB NOT NULL UNIQUE, at INTEGER NOT NULL
            ) STRICT",
            "CREATE TABLE IF NOT EXISTS hours (
                hour INTEGER PRIMARY KEY, taken INTEGER NOT NULL CHECK (taken >= 0), first_at INTEGER NOT NULL
            ) STRICT",
        ]
        .into_iter()
        .chain(crate::audit_log::SCHEMA)
        {
            run(self.0, statement, &[])?;
        }
        Ok(())
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        sql::meta(self.0, key)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        sql::set_meta(self.0, key, value)
    }

    pub(crate) fn counters(&self) -> Result<Counters, Fault> {
        let row = first(self.0, "SELECT free, used, quarantined, shortages, lows, told, next FROM stock", &[])?;
        row.map(|row| counters(&row)).ok_or_else(|| Fault::new("a pool without counters"))
    }

    /// What decides about an intent, at once: each call to the platform costs more than what it looks up.
    pub(crate) fn look(&self, rid: &Rid) -> Result<Look, Fault> {
        let statement = "SELECT free, used, quarantined, shortages, lows, told, next,
            EXISTS (SELECT 1 FROM undone WHERE rid = ?1), EXISTS (SELECT 1 FROM taken WHERE rid = ?1),
            EXISTS (SELECT 1 FROM returned) FROM stock";
        let row = first(self.0, statement, &[blob(rid)])?.ok_or_else(|| Fault::new("a pool without counters"))?;
        let flag = |column| row.integer(column) == 1;
        Ok(Look { counters: counters(&row), buried: flag(7), has_codes: flag(8), returned: flag(9) })
    }

    /// Commands under which this redemption is pending.
    pub(crate) fn pending(&self, rid: &Rid) -> Result<Vec<Fingerprint>, Fault> {
        let rows = query(self.0, "SELECT fp FROM pending WHERE rid = ?", &[blob(rid)])?;
        Ok(rows.iter().filter_map(|row| Fingerprint::from_bytes(&row.blob(0))).collect())
    }

    /// Codes that this redemption has, in order.
    pub(crate) fn codes(&self, rid: &Rid) -> Result<Vec<String>, Fault> {
        let statement = "SELECT c.code FROM taken t JOIN codes c ON c.n = t.n WHERE t.rid = ? ORDER BY t.n";
        query(self.0, statement, &[blob(rid)])?.iter().map(|row| row.text(0)).collect()
    }

    /// Takes codes for a redemption: their rows, the pending row, the counters.
    pub(crate) fn take(
        &self,
        intent: &Intent,
        quantity: u32,
        look: &Look,
        now: Instant,
        ask_at: Instant,
    ) -> Result<Vec<String>, Fault> {
        let rid = &intent.rid;
        let statement = "SELECT r.n, c.code FROM returned r JOIN codes c ON c.n = r.n ORDER BY r.n LIMIT ?";
        let returned = if look.returned { query(self.0, statement, &[quantity.into()])? } else { vec![] };
        let wanted = u64::from(quantity);
        let missing = wanted.saturating_sub(length(&returned));
        let mut codes: Vec<String> = returned.iter().map(|row| row.text(1)).collect::<Result<_, _>>()?;
        if let Some(last) = returned.last().map(|row| row.count(0)) {
            let statement = "INSERT INTO taken SELECT n, ?, ? FROM returned WHERE n <= ?";
            run(self.0, statement, &[blob(rid), now.0.into(), last.into()])?;
            run(self.0, "DELETE FROM returned WHERE n <= ?", &[last.into()])?;
        }
        let mut next = look.counters.next;
        if missing > 0 {
            let statement = "SELECT n, code FROM codes WHERE n >= ? ORDER BY n LIMIT ?";
            let fresh = query(self.0, statement, &[next.into(), missing.into()])?;
            let last = fresh.last().filter(|_| length(&fresh) == missing).map(|row| row.count(0));
            let last = last.ok_or_else(|| Fault::new("a pool counts more free codes than it has"))?;
            let statement = "INSERT INTO taken SELECT n, ?, ? FROM codes WHERE n BETWEEN ? AND ?";
            run(self.0, statement, &[blob(rid), now.0.into(), next.into(), last.into()])?;
            for row in &fresh {
                codes.push(row.text(1)?);
            }
            next = last + 1;
        }
        let statement = "UPDATE stock SET free = free - ?1, used = used + ?1, next = ?2";
        run(self.0, statement, &[wanted.into(), next.into()])?;
        self.count_taken(wanted, now)?;
        let doc = serde_json::to_string(intent)?;
        run(
            self.0,
            "INSERT INTO pending (rid, fp, intent, ask_at) VALUES (?, ?, ?, ?)",
            &[blob(rid), intent.fp.as_bytes().as_slice().into(), (&doc).into(), ask_at.0.into()],
        )?;
        Ok(codes)
    }

    fn count_taken(&self, taken: u64, now: Instant) -> Result<(), Fault> {
        let hour = now.0.div_euclid(HOUR_MS);
        let statement = "INSERT INTO hours VALUES (?1, ?2, ?3)
            ON CONFLICT (hour) DO UPDATE SET taken = taken + ?2 RETURNING taken";
        let counted = first(self.0, statement, &[hour.into(), taken.into(), now.0.into()])?;
        if counted.is_some_and(|row| row.count(0) == taken) {
            // A new hour: those that no figure needs any more go.
            run(self.0, "DELETE FROM hours WHERE hour < ?", &[(hour - DEPLETION_MS / HOUR_MS).into()])?;
        }
        Ok(())
    }

    /// Codes that were taken in the last seven days, and when the first of them was.
    pub(crate) fn taken(&self, now: Instant) -> Result<(u64, Option<Instant>), Fault> {
        let after = (now.0 - DEPLETION_MS).div_euclid(HOUR_MS);
        let statement = "SELECT sum(taken), min(first_at) FROM hours WHERE hour > ? AND taken > 0";
        let row = first(self.0, statement, &[after.into()])?;
        Ok(row.map_or((0, None), |row| (row.count(0), (!row.is_null(1)).then(|| Instant(row.integer(1))))))
    }

    pub(crate) fn count_shortage(&self) -> Result<(), Fault> {
        run(self.0, "UPDATE stock SET shortages = shortages + 1", &[]).map(drop)
    }

    /// The present crossing was told, and how often one was; or the next will be.
    pub(crate) fn set_told(&self, told: bool) -> Result<(), Fault> {
        let statement = "UPDATE stock SET told = ?1, lows = lows + ?1";
        run(self.0, statement, &[u32::from(told).into()]).map(drop)
    }

    /// Drops a pending row; its codes stay with the redemption.
    pub(crate) fn commit(&self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        let statement = "DELETE FROM pending WHERE rid = ? AND fp = ?";
        run(self.0, statement, &[blob(rid), fp.as_bytes().as_slice().into()]).map(drop)
    }

    /// The same for all of these at once: a group of redemptions is settled by one statement.
    pub(crate) fn commit_all(&self, settled: &[(Rid, Fingerprint)]) -> Result<(), Fault> {
        let pairs: Vec<[String; 2]> = settled.iter().map(|(rid, fp)| [rid.to_hex(), fp.to_hex()]).collect();
        let statement = "DELETE FROM pending WHERE (rid, fp) IN (
            SELECT unhex(value ->> 0), unhex(value ->> 1) FROM json_each(?))";
        run(self.0, statement, &[(&serde_json::to_string(&pairs)?).into()]).map(drop)
    }

    /// Drops a pending row, and its codes are free again.
    pub(crate) fn give_back(&self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        self.commit(rid, fp)?;
        run(self.0, "INSERT INTO returned SELECT n FROM taken WHERE rid = ?", &[blob(rid)])?;
        let dropped = query(self.0, "DELETE FROM taken WHERE rid = ? RETURNING at", &[blob(rid)])?;
        let Some(at) = dropped.first().map(|row| row.integer(0)) else { return Ok(()) };
        let count = length(&dropped);
        run(self.0, "UPDATE stock SET free = free + ?1, used = used - ?1", &[count.into()])?;
        // What nobody got is no depletion.
        let statement = "UPDATE hours SET taken = max(taken - ?, 0) WHERE hour = ?";
        run(self.0, statement, &[count.into(), at.div_euclid(HOUR_MS).into()]).map(drop)
    }

    /// Moves the codes of a redemption to quarantine.
    pub(crate) fn quarantine(&self, rid: &Rid, now: Instant) -> Result<u64, Fault> {
        let statement = "INSERT INTO quarantine SELECT n, rid, ? FROM taken WHERE rid = ?";
        run(self.0, statement, &[now.0.into(), blob(rid)])?;
        let moved = length(&query(self.0, "DELETE FROM taken WHERE rid = ? RETURNING n", &[blob(rid)])?);
        run(self.0, "UPDATE stock SET used = used - ?1, quarantined = quarantined + ?1", &[moved.into()])?;
        Ok(moved)
    }

    /// Drops the pending rows of a redemption.
    pub(crate) fn drop_pending(&self, rid: &Rid) -> Result<(), Fault> {
        run(self.0, "DELETE FROM pending WHERE rid = ?", &[blob(rid)]).map(drop)
    }

    /// Remembers for a while that a redemption was given back.
    pub(crate) fn bury(&self, rid: &Rid, now: Instant) -> Result<(), Fault> {
        let old = "DELETE FROM undone WHERE n IN (SELECT n FROM undone ORDER BY n LIMIT 8) AND at < ?";
        run(self.0, old, &[now.plus_ms(-DAY_MS).0.into()])?;
        let statement = "INSERT INTO undone (rid, at) VALUES (?, ?) ON CONFLICT DO NOTHING";
        run(self.0, statement, &[blob(rid), now.0.into()]).map(drop)
    }

    /// Adds codes that are not there yet; answers how many these were.
    pub(crate) fn add(&self, codes: &[String]) -> Result<u64, Fault> {
        let last = || {
            let row = first(self.0, "SELECT coalesce(max(n), 0) FROM codes", &[])?;
            Ok::<_, Fault>(row.map_or(0, |row| row.count(0)))
        };
        let before = last()?;
        // One statement for all of them; numbers are handed out to those alone that are new.
        let statement = "INSERT INTO codes (code) SELECT value FROM json_each(?) WHERE true ORDER BY key
            ON CONFLICT (code) DO NOTHING";
        run(self.0, statement, &[(&serde_json::to_string(codes)?).into()])?;
        let added = last()? - before;
        run(self.0, "UPDATE stock SET free = free + ?", &[added.into()])?;
        Ok(added)
    }

    /// Where a code is; `None` where it is not of this pool.
    pub(crate) fn place(&self, code: &str) -> Result<Option<Place>, Fault> {
        let statement = "SELECT c.n, t.n IS NOT NULL, q.n IS NOT NULL FROM codes c
            LEFT JOIN taken t ON t.n = c.n LEFT JOIN quarantine q ON q.n = c.n WHERE c.code = ?";
        let row = first(self.0, statement, &[code.into()])?;
        Ok(row.map(|row| match (row.integer(1), row.integer(2)) {
            (0, 0) => Place::Free,
            (0, _) => Place::Quarantined(row.count(0)),
            (_, _) => Place::Used,
        }))
    }

    /// A code in quarantine can be handed out again.
    pub(crate) fn release(&self, n: u64) -> Result<(), Fault> {
        if run(self.0, "DELETE FROM quarantine WHERE n = ? RETURNING n", &[n.into()])? {
            run(self.0, "INSERT INTO returned VALUES (?)", &[n.into()])?;
            run(self.0, "UPDATE stock SET quarantined = quarantined - 1, free = free + 1", &[])?;
        }
        Ok(())
    }

    /// All of them; answers how many these were.
    pub(crate) fn release_all(&self) -> Result<u64, Fault> {
        let released = self.counters()?.stock.quarantined;
        run(self.0, "INSERT INTO returned SELECT n FROM quarantine", &[])?;
        run(self.0, "DELETE FROM quarantine", &[])?;
        run(self.0, "UPDATE stock SET free = free + quarantined, quarantined = 0", &[])?;
        Ok(released)
    }

    /// A page of the quarantine, by the numbers of its codes.
    pub(crate) fn quarantined(&self, before: Option<u64>, limit: u32) -> Result<Vec<Row>, Fault> {
        let statement = "SELECT q.n, c.code, q.rid, q.at FROM quarantine q JOIN codes c ON c.n = q.n
            WHERE (?1 IS NULL OR q.n < ?1) ORDER BY q.n DESC LIMIT ?2";
        query(self.0, statement, &[before.into(), limit.into()])
    }

    /// Intents that have waited too long, the longest first.
    pub(crate) fn overdue(&self, now: Instant) -> Result<Vec<Overdue>, Fault> {
        let statement = "SELECT intent, tries, rid, fp FROM pending
            WHERE ask_at <= ?1 OR ask_at > ?2 ORDER BY ask_at LIMIT ?3";
        // No pause is longer than the longest: what seems to be was planned by a clock that was ahead.
        let longest = now.plus_ms(BACKOFF_MAX_MS);
        let mut overdue = vec![];
        for row in query(self.0, statement, &[now.0.into(), longest.0.into(), INQUIRIES_MAX.into()])? {
            match row.json(0) {
                Ok(intent) => overdue.push(Overdue { intent, tries: row.number(1) }),
                // One that cannot be read waits; the others are asked about all the same.
                Err(fault) => {
                    fault.log("pending_unreadable");
                    let (rid, fp) = (row.blob(2), row.blob(3));
                    let values = [longest.0.into(), rid.as_slice().into(), fp.as_slice().into()];
                    run(self.0, "UPDATE pending SET ask_at = ? WHERE rid = ? AND fp = ?", &values)?;
                }
            }
        }
        Ok(overdue)
    }

    pub(crate) fn ask_again(&self, rid: &Rid, fp: &Fingerprint, at: Instant) -> Result<(), Fault> {
        let statement = "UPDATE pending SET ask_at = ?, tries = tries + 1 WHERE rid = ? AND fp = ?";
        run(self.0, statement, &[at.0.into(), blob(rid), fp.as_bytes().as_slice().into()]).map(drop)
    }

    pub(crate) fn next_inquiry(&self) -> Result<Option<Instant>, Fault> {
        let row = first(self.0, "SELECT min(ask_at) FROM pending", &[])?;
        Ok(row.filter(|row| !row.is_null(0)).map(|row| Instant(row.integer(0))))
    }

    /// What is stored here, for `POST /v1/verify`, which alone reads all of it.
    pub(crate) fn facts(&self) -> Result<PoolFacts, Fault> {
        let Counters { stock, next, .. } = self.counters()?;
        let count =
            |statement: &'static str| Ok::<_, Fault>(first(self.0, statement, &[])?.map_or(0, |row| row.count(0)));
        let fresh = first(self.0, "SELECT count(*) FROM codes WHERE n >= ?", &[next.into()])?;
        let misplaced = "SELECT count(*) FROM (
            SELECT n FROM (SELECT n FROM taken UNION ALL SELECT n FROM quarantine UNION ALL SELECT n FROM returned)
            GROUP BY n HAVING count(*) > 1 OR n >= ?1 OR n NOT IN (SELECT n FROM codes))";
        let misplaced = first(self.0, misplaced, &[next.into()])?;
        Ok(PoolFacts {
            codes: count("SELECT count(*) FROM codes")?,
            counted: (stock.free, stock.used, stock.quarantined),
            free: fresh.map_or(0, |row| row.count(0)) + count("SELECT count(*) FROM returned")?,
            used: count("SELECT count(*) FROM taken")?,
            quarantined: count("SELECT count(*) FROM quarantine")?,
            misplaced: misplaced.map_or(0, |row| row.count(0)),
            pending: count("SELECT count(*) FROM pending")?,
            pending_without_codes: count(
                "SELECT count(*) FROM pending p WHERE NOT EXISTS (SELECT 1 FROM taken t WHERE t.rid = p.rid)",
            )?,
            alarm: due::at(self.0, PENDING_ITEM)?.is_some(),
        })
    }
}

/// Of a row that begins with the columns of `stock`.
fn counters(row: &Row) -> Counters {
    Counters {
        stock: Stock { free: row.count(0), used: row.count(1), quarantined: row.count(2) },
        shortages: row.count(3),
        lows: row.count(4),
        told: row.integer(5) == 1,
        next: row.count(6),
    }
}

fn length(rows: &[Row]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}
