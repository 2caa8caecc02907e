//! SQL of a CodeShard. A redeemed code costs one row of about 45 bytes; an unredeemed one costs nothing.

use crate::due;
use crate::platform::{Fault, SyncStorage};
use crate::sql::{first, query, run};
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::{BACKOFF_MAX_MS, DAY_MS};
use counterfoil_core::protocol::{Intent, Prepared};
use counterfoil_core::rules::{Facts, Rules, Usage};
use counterfoil_core::time::Instant;
use counterfoil_core::verify::ShardFacts;

/// Inquiries of one alarm turn.
const INQUIRIES_MAX: u32 = 6;

pub(crate) struct ShardStore<'a>(pub(crate) &'a SyncStorage);

/// See [`ShardStore::look`].
pub(crate) struct Look {
    /// Its use was given back before.
    pub(crate) buried: bool,
    /// The promise already given to this very command.
    pub(crate) pending: Option<Prepared>,
    /// Pending under another command.
    pub(crate) other_pending: bool,
    pub(crate) used_by_rid: bool,
    pub(crate) usage: Usage,
}

/// A pending intent whose fate must be asked.
pub(crate) struct Overdue {
    pub(crate) intent: Intent,
    pub(crate) prepared: Prepared,
    pub(crate) tries: u32,
}

/// A member's redemptions lie side by side: their ids begin with the member's.
fn member_range(mref: &Mref) -> (Vec<u8>, Vec<u8>) {
    let mut upper = mref.as_bytes().to_vec();
    upper.extend([0xff; 11]);
    (mref.as_bytes().to_vec(), upper)
}

impl ShardStore<'_> {
    pub(crate) fn create(&self) -> Result<(), Fault> {
        for statement in [
            due::SCHEMA,
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS total (one INTEGER PRIMARY KEY CHECK (one = 1), used INTEGER NOT NULL CHECK (used >= 0)) STRICT",
            "INSERT INTO total VALUES (1, 0) ON CONFLICT DO NOTHING",
            // Redemptions whose use was given back: a delayed message must not take it again.
            "CREATE TABLE IF NOT EXISTS undone (rid BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            // rid begins with the member, so one range of the key answers \"this code, this member\".
            "CREATE TABLE IF NOT EXISTS uses (
                seq INTEGER NOT NULL CHECK (seq BETWEEN 0 AND 16777215), rid BLOB NOT NULL CHECK (length(rid) = 26),
                PRIMARY KEY (seq, rid)
            ) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS pending (
                rid BLOB NOT NULL, fp BLOB NOT NULL, seq INTEGER NOT NULL, intent TEXT NOT NULL, prepared TEXT NOT NULL,
                ask_at INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rid, fp)
            ) STRICT, WITHOUT ROWID",
            // Uses that a checkout may still give back. Each is pending too, until the Member's word ends it.
            "CREATE TABLE IF NOT EXISTS held (
                seq INTEGER NOT NULL, rid BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (seq, rid)
            ) STRICT, WITHOUT ROWID",
        ] {
            run(self.0, statement, &[])?;
        }
        Ok(())
    }

    fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        first(self.0, "SELECT value FROM meta WHERE key = ?", &[key.into()])?.map(|row| row.text(0)).transpose()
    }

    fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        let statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        run(self.0, statement, &[key.into(), value.into()]).map(drop)
    }

    pub(crate) fn name(&self) -> Result<Option<String>, Fault> {
        self.meta("name")
    }

    pub(crate) fn set_name(&self, name: &str) -> Result<(), Fault> {
        self.set_meta("name", name)
    }

    pub(crate) fn rules(&self) -> Result<Option<Rules>, Fault> {
        Ok(self.meta("rules")?.map(|text| counterfoil_core::json::read(&text)).transpose()?)
    }

    pub(crate) fn set_rules(&self, rules: &Rules) -> Result<(), Fault> {
        self.set_meta("rules", &serde_json::to_string(rules)?)
    }

    pub(crate) fn total(&self) -> Result<u64, Fault> {
        Ok(first(self.0, "SELECT used FROM total", &[])?.map_or(0, |row| row.count(0)))
    }

    /// Whether this very command is pending.
    pub(crate) fn is_pending(&self, rid: &Rid, fp: &Fingerprint) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM pending WHERE rid = ? AND fp = ?";
        run(self.0, statement, &[rid.as_bytes().as_slice().into(), fp.as_bytes().as_slice().into()])
    }

    /// Drops the pending rows of what was decided for; the uses stay, and are held no more. All at once: a group of
    /// redemptions is settled by two statements.
    pub(crate) fn commit_all(&self, settled: &[(Rid, Fingerprint)]) -> Result<(), Fault> {
        let pairs: Vec<[String; 2]> = settled.iter().map(|(rid, fp)| [rid.to_hex(), fp.to_hex()]).collect();
        let pairs = serde_json::to_string(&pairs)?;
        let held = "DELETE FROM held WHERE (seq, rid) IN (
            SELECT p.seq, p.rid FROM json_each(?) j, pending p
            WHERE p.rid = unhex(j.value ->> 0) AND p.fp = unhex(j.value ->> 1))";
        run(self.0, held, &[(&pairs).into()])?;
        let pending = "DELETE FROM pending WHERE (rid, fp) IN (
            SELECT unhex(value ->> 0), unhex(value ->> 1) FROM json_each(?))";
        run(self.0, pending, &[(&pairs).into()]).map(drop)
    }

    pub(crate) fn uses(&self, seq: u32, rid: &Rid) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM uses WHERE seq = ? AND rid = ?";
        run(self.0, statement, &[seq.into(), rid.as_bytes().as_slice().into()])
    }

    /// What decides about an intent, at once: each call to the platform costs more than what it looks up. Uses of a code
    /// count only as far as its own limit.
    pub(crate) fn look(
        &self,
        (rid, fp): (&[u8], &[u8]),
        facts: &Facts,
        mref: &Mref,
        rules: Option<&Rules>,
    ) -> Result<Look, Fault> {
        let (lower, upper) = member_range(mref);
        let limit = rules.and_then(|rules| rules.uses_per_code).unwrap_or(0);
        let statement = "SELECT
            EXISTS (SELECT 1 FROM undone WHERE rid = ?1),
            (SELECT prepared FROM pending WHERE rid = ?1 AND fp = ?2),
            EXISTS (SELECT 1 FROM pending WHERE rid = ?1 AND fp <> ?2),
            EXISTS (SELECT 1 FROM uses WHERE seq = ?3 AND rid = ?1),
            h.held, h.held_until, (SELECT min(until) FROM held WHERE seq = ?3 AND rid >= ?4 AND rid < ?5),
            (SELECT count(*) FROM (SELECT 1 FROM uses WHERE seq = ?3 LIMIT 2 * ?6)),
            m.mine_count, m.mine, (SELECT used FROM total)
            FROM
            -- Only a code with a limit of its own can be used up by holds, and by few: a shared one may have any number
            -- of them.
            (SELECT count(*) AS held, min(until) AS held_until FROM
                (SELECT until FROM held WHERE seq = ?3 LIMIT 2 * ?6)) h,
            (SELECT count(*) AS mine_count,
                min(CASE WHEN NOT EXISTS (SELECT 1 FROM held WHERE held.seq = u.seq AND held.rid = u.rid) THEN rid END) AS mine
                FROM uses u WHERE seq = ?3 AND rid >= ?4 AND rid < ?5) m";
        let values =
            [rid.into(), fp.into(), facts.seq.into(), lower.as_slice().into(), upper.as_slice().into(), limit.into()];
        let row = first(self.0, statement, &values)?.ok_or_else(|| Fault::new("an aggregate without a row"))?;
        let instant = |column| (!row.is_null(column)).then(|| Instant(row.integer(column)));
        Ok(Look {
            buried: row.integer(0) == 1,
            pending: if row.is_null(1) { None } else { Some(row.json(1)?) },
            other_pending: row.integer(2) == 1,
            used_by_rid: row.integer(3) == 1,
            usage: Usage {
                held: row.count(4),
                held_until: instant(5),
                mine_held_until: instant(6),
                of_code: row.count(7),
                mine_count: row.count(8),
                mine: Rid::from_bytes(&row.blob(9)),
                of_campaign: row.count(10),
            },
        })
    }

    /// Takes a use: use row, pending row, counter; held where it is for a checkout.
    pub(crate) fn consume(&self, intent: &Intent, prepared: &Prepared, ask_at: Instant) -> Result<(), Fault> {
        let seq = intent.code().ok_or_else(|| Fault::new("a use of no code"))?.facts.seq;
        let (rid, fp) = (intent.rid.as_bytes().as_slice(), intent.fp.as_bytes().as_slice());
        run(self.0, "INSERT INTO uses VALUES (?, ?)", &[seq.into(), rid.into()])?;
        run(self.0, "UPDATE total SET used = used + 1", &[])?;
        if let Some(checkout) = intent.checkout() {
            let values = [seq.into(), rid.into(), checkout.until.0.into()];
            run(self.0, "INSERT INTO held VALUES (?, ?, ?)", &values)?;
        }
        let (intent, prepared) = (serde_json::to_string(intent)?, serde_json::to_string(prepared)?);
        run(
            self.0,
            "INSERT INTO pending (rid, fp, seq, intent, prepared, ask_at) VALUES (?, ?, ?, ?, ?, ?)",
            &[rid.into(), fp.into(), seq.into(), (&intent).into(), (&prepared).into(), ask_at.0.into()],
        )
        .map(drop)
    }

    /// Drops a pending row; its use stays, and is held no more.
    pub(crate) fn commit(&self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        let (rid, fp) = (rid.as_bytes().as_slice(), fp.as_bytes().as_slice());
        let statement = "DELETE FROM pending WHERE rid = ? AND fp = ? RETURNING seq";
        if let Some(row) = first(self.0, statement, &[rid.into(), fp.into()])? {
            run(self.0, "DELETE FROM held WHERE seq = ? AND rid = ?", &[row.number(0).into(), rid.into()])?;
        }
        Ok(())
    }

    /// A pending use is kept for a checkout until then; the Member is asked when that is over.
    pub(crate) fn hold(&self, rid: &Rid, fp: &Fingerprint, until: Instant, ask_at: Instant) -> Result<(), Fault> {
        let (rid, fp) = (rid.as_bytes().as_slice(), fp.as_bytes().as_slice());
        let statement = "UPDATE pending SET ask_at = ?, tries = 0 WHERE rid = ? AND fp = ? RETURNING seq";
        if let Some(row) = first(self.0, statement, &[ask_at.0.into(), rid.into(), fp.into()])? {
            let statement = "INSERT INTO held VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET until = excluded.until";
            run(self.0, statement, &[row.number(0).into(), rid.into(), until.0.into()])?;
        }
        Ok(())
    }

    /// Drops a pending row and its use.
    pub(crate) fn give_back(&self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        let (rid, fp) = (rid.as_bytes().as_slice(), fp.as_bytes().as_slice());
        let dropped =
            first(self.0, "DELETE FROM pending WHERE rid = ? AND fp = ? RETURNING seq", &[rid.into(), fp.into()])?;
        let Some(seq) = dropped.map(|row| row.number(0)) else { return Ok(()) };
        self.drop_use_of(seq, rid)
    }

    /// Drops a use, counted once.
    pub(crate) fn drop_use(&self, seq: u32, rid: &Rid) -> Result<(), Fault> {
        self.drop_use_of(seq, rid.as_bytes().as_slice())
    }

    fn drop_use_of(&self, seq: u32, rid: &[u8]) -> Result<(), Fault> {
        if run(self.0, "DELETE FROM uses WHERE seq = ? AND rid = ? RETURNING seq", &[seq.into(), rid.into()])? {
            run(self.0, "UPDATE total SET used = used - 1", &[])?;
        }
        run(self.0, "DELETE FROM held WHERE seq = ? AND rid = ?", &[seq.into(), rid.into()]).map(drop)
    }

    /// Remembers for a while that a redemption's use was given back.
    pub(crate) fn bury(&self, rid: &Rid, now: Instant) -> Result<(), Fault> {
        let old = "DELETE FROM undone WHERE rid IN (SELECT rid FROM undone WHERE at < ? LIMIT 8)";
        run(self.0, old, &[now.plus_ms(-DAY_MS).0.into()])?;
        let statement = "INSERT INTO undone VALUES (?, ?) ON CONFLICT DO NOTHING";
        run(self.0, statement, &[rid.as_bytes().as_slice().into(), now.0.into()]).map(drop)
    }

    /// Uses that are pending for a redemption, under whatever command.
    pub(crate) fn pending_seqs(&self, rid: &Rid) -> Result<Vec<u32>, Fault> {
        let rows = query(self.0, "SELECT seq FROM pending WHERE rid = ?", &[rid.as_bytes().as_slice().into()])?;
        Ok(rows.iter().map(|row| row.number(0)).collect())
    }

    /// Drops the pending rows of a redemption.
    pub(crate) fn drop_pending(&self, rid: &Rid) -> Result<(), Fault> {
        run(self.0, "DELETE FROM pending WHERE rid = ?", &[rid.as_bytes().as_slice().into()]).map(drop)
    }

    /// Intents that have waited too long, the longest first.
    pub(crate) fn overdue(&self, now: Instant) -> Result<Vec<Overdue>, Fault> {
        let statement = "SELECT intent, prepared, tries, rid, fp FROM pending p
            WHERE ask_at <= ?1 OR (ask_at > ?2 AND NOT EXISTS (SELECT 1 FROM held h WHERE h.seq = p.seq AND h.rid = p.rid))
            ORDER BY ask_at LIMIT ?3";
        // No pause is longer than the longest, but for a checkout: what seems to be was planned by a clock that was ahead.
        let longest = now.plus_ms(BACKOFF_MAX_MS);
        let mut overdue = vec![];
        for row in query(self.0, statement, &[now.0.into(), longest.0.into(), INQUIRIES_MAX.into()])? {
            match (row.json(0), row.json(1)) {
                (Ok(intent), Ok(prepared)) => overdue.push(Overdue { intent, prepared, tries: row.number(2) }),
                // One that cannot be read waits; the others are asked about all the same.
                (Err(fault), _) | (_, Err(fault)) => {
                    fault.log("pending_unreadable");
                    let (rid, fp) = (row.blob(3), row.blob(4));
                    let values = [now.plus_ms(BACKOFF_MAX_MS).0.into(), rid.as_slice().into(), fp.as_slice().into()];
                    run(self.0, "UPDATE pending SET ask_at = ? WHERE rid = ? AND fp = ?", &values)?;
                }
            }
        }
        Ok(overdue)
    }

    /// Has a member's pending intents asked about at once.
    pub(crate) fn ask_now(&self, mref: &Mref, now: Instant) -> Result<(), Fault> {
        let (lower, upper) = member_range(mref);
        let statement = "UPDATE pending SET ask_at = min(ask_at, ?1) WHERE rid >= ?2 AND rid < ?3";
        run(self.0, statement, &[now.0.into(), lower.as_slice().into(), upper.as_slice().into()]).map(drop)
    }

    pub(crate) fn ask_again(&self, rid: &Rid, fp: &Fingerprint, at: Instant) -> Result<(), Fault> {
        let statement = "UPDATE pending SET ask_at = ?, tries = tries + 1 WHERE rid = ? AND fp = ?";
        let values = [at.0.into(), rid.as_bytes().as_slice().into(), fp.as_bytes().as_slice().into()];
        run(self.0, statement, &values).map(drop)
    }

    /// When a Member is asked next: after the longest pause at the latest, but for what a checkout keeps.
    pub(crate) fn next_inquiry(&self, now: Instant) -> Result<Option<Instant>, Fault> {
        let statement = "SELECT min(CASE
                WHEN EXISTS (SELECT 1 FROM held h WHERE h.seq = p.seq AND h.rid = p.rid) THEN ask_at
                ELSE min(ask_at, ?) END)
            FROM pending p";
        let row = first(self.0, statement, &[now.plus_ms(BACKOFF_MAX_MS).0.into()])?;
        Ok(row.filter(|row| !row.is_null(0)).map(|row| Instant(row.integer(0))))
    }

    /// What is stored here, for `POST /v1/verify`.
    pub(crate) fn facts(&self, uses_per_code: Option<u64>) -> Result<ShardFacts, Fault> {
        let count =
            |statement: &'static str| Ok::<_, Fault>(first(self.0, statement, &[])?.map_or(0, |row| row.count(0)));
        let statement = "SELECT seq, count(*) FROM uses GROUP BY seq HAVING count(*) > ? LIMIT 100";
        let overused = match uses_per_code {
            Some(limit) => query(self.0, statement, &[limit.into()])?,
            None => vec![],
        };
        let orphans = "SELECT count(*) FROM pending
            WHERE NOT EXISTS (SELECT 1 FROM uses WHERE uses.seq = pending.seq AND uses.rid = pending.rid)";
        let forgotten = "SELECT count(*) FROM held
            WHERE NOT EXISTS (SELECT 1 FROM pending WHERE pending.seq = held.seq AND pending.rid = held.rid)";
        Ok(ShardFacts {
            counted: self.total()?,
            uses: count("SELECT count(*) FROM uses")?,
            uses_per_code,
            total: None,
            overused: overused.iter().map(|row| (row.number(0), row.count(1))).collect(),
            pending: count("SELECT count(*) FROM pending")?,
            pending_without_use: count(orphans)?,
            held_without_pending: count(forgotten)?,
            alarm: due::next(self.0)?.is_some(),
        })
    }
}
