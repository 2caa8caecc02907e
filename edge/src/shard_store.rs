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

    /// The promise already given to this very command.
    pub(crate) fn pending(&self, rid: &Rid, fp: &Fingerprint) -> Result<Option<Prepared>, Fault> {
        let statement = "SELECT prepared FROM pending WHERE rid = ? AND fp = ?";
        let row = first(self.0, statement, &[rid.as_bytes().as_slice().into(), fp.as_bytes().as_slice().into()])?;
        row.map(|row| row.json(0)).transpose()
    }

    /// Whether this redemption is pending under another command.
    pub(crate) fn other_pending(&self, rid: &Rid, fp: &Fingerprint) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM pending WHERE rid = ? AND fp <> ? LIMIT 1";
        run(self.0, statement, &[rid.as_bytes().as_slice().into(), fp.as_bytes().as_slice().into()])
    }

    pub(crate) fn uses(&self, seq: u32, rid: &Rid) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM uses WHERE seq = ? AND rid = ?";
        run(self.0, statement, &[seq.into(), rid.as_bytes().as_slice().into()])
    }

    /// Uses that decide; those of a code only as far as its own limit.
    pub(crate) fn usage(&self, facts: &Facts, mref: &Mref, rules: Option<&Rules>) -> Result<Usage, Fault> {
        let seq = facts.seq;
        let of_code = match rules.and_then(|rules| rules.uses_per_code) {
            Some(uses) => {
                let statement = "SELECT count(*) FROM (SELECT 1 FROM uses WHERE seq = ? LIMIT ?)";
                first(self.0, statement, &[seq.into(), uses.into()])?.map_or(0, |row| row.count(0))
            }
            None => 0,
        };
        let (lower, upper) = member_range(mref);
        let statement = "SELECT count(*), min(rid) FROM uses WHERE seq = ? AND rid >= ? AND rid < ?";
        let bounds = [seq.into(), lower.as_slice().into(), upper.as_slice().into()];
        let mine = first(self.0, statement, &bounds)?;
        Ok(Usage {
            of_code,
            mine: mine.as_ref().and_then(|row| Rid::from_bytes(&row.blob(1))),
            mine_count: mine.as_ref().map_or(0, |row| row.count(0)),
            of_campaign: self.total()?,
        })
    }

    /// Takes a use: use row, pending row, counter.
    pub(crate) fn consume(&self, intent: &Intent, prepared: &Prepared, ask_at: Instant) -> Result<(), Fault> {
        let (rid, fp, seq) = (intent.rid.as_bytes().as_slice(), intent.fp.as_bytes().as_slice(), intent.facts.seq);
        run(self.0, "INSERT INTO uses VALUES (?, ?)", &[seq.into(), rid.into()])?;
        run(self.0, "UPDATE total SET used = used + 1", &[])?;
        let (intent, prepared) = (serde_json::to_string(intent)?, serde_json::to_string(prepared)?);
        run(
            self.0,
            "INSERT INTO pending (rid, fp, seq, intent, prepared, ask_at) VALUES (?, ?, ?, ?, ?, ?)",
            &[rid.into(), fp.into(), seq.into(), (&intent).into(), (&prepared).into(), ask_at.0.into()],
        )
        .map(drop)
    }

    /// Drops a pending row; its use stays.
    pub(crate) fn commit(&self, rid: &Rid, fp: &Fingerprint) -> Result<(), Fault> {
        let statement = "DELETE FROM pending WHERE rid = ? AND fp = ?";
        run(self.0, statement, &[rid.as_bytes().as_slice().into(), fp.as_bytes().as_slice().into()]).map(drop)
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
        Ok(())
    }

    /// Remembers for a while that a redemption's use was given back.
    pub(crate) fn bury(&self, rid: &Rid, now: Instant) -> Result<(), Fault> {
        let old = "DELETE FROM undone WHERE rid IN (SELECT rid FROM undone WHERE at < ? LIMIT 8)";
        run(self.0, old, &[now.plus_ms(-DAY_MS).0.into()])?;
        let statement = "INSERT INTO undone VALUES (?, ?) ON CONFLICT DO NOTHING";
        run(self.0, statement, &[rid.as_bytes().as_slice().into(), now.0.into()]).map(drop)
    }

    /// Whether a redemption's use was given back.
    pub(crate) fn is_buried(&self, rid: &Rid) -> Result<bool, Fault> {
        run(self.0, "SELECT 1 FROM undone WHERE rid = ?", &[rid.as_bytes().as_slice().into()])
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
        let statement = "SELECT intent, prepared, tries, rid, fp FROM pending
            WHERE ask_at <= ?1 OR ask_at > ?2 ORDER BY ask_at LIMIT ?3";
        // No pause is longer than the longest: what seems to be was planned by a clock that was ahead.
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

    pub(crate) fn next_inquiry(&self) -> Result<Option<Instant>, Fault> {
        let row = first(self.0, "SELECT min(ask_at) FROM pending", &[])?;
        Ok(row.filter(|row| !row.is_null(0)).map(|row| Instant(row.integer(0))))
    }

    /// What is stored here, for `POST /v1/verify`.
    pub(crate) fn facts(&self, uses_per_code: Option<u64>) -> Result<ShardFacts, Fault> {
        let count = |statement: &str| Ok::<_, Fault>(first(self.0, statement, &[])?.map_or(0, |row| row.count(0)));
        let statement = "SELECT seq, count(*) FROM uses GROUP BY seq HAVING count(*) > ? LIMIT 100";
        let overused = match uses_per_code {
            Some(limit) => query(self.0, statement, &[limit.into()])?,
            None => vec![],
        };
        let orphans = "SELECT count(*) FROM pending
            WHERE NOT EXISTS (SELECT 1 FROM uses WHERE uses.seq = pending.seq AND uses.rid = pending.rid)";
        Ok(ShardFacts {
            counted: self.total()?,
            uses: count("SELECT count(*) FROM uses")?,
            uses_per_code,
            total: None,
            overused: overused.iter().map(|row| (row.number(0), row.count(1))).collect(),
            pending: count("SELECT count(*) FROM pending")?,
            pending_without_use: count(orphans)?,
            alarm: due::next(self.0)?.is_some(),
        })
    }
}
