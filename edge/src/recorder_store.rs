//! SQL of a Recorder: entries in the order of recording, the head of every chain, seals, one row for each redemption,
//! counters.

use crate::due;
use crate::platform::{Fault, SyncStorage};
use crate::recorder_calls::{
    Counted, CountedTime, Entries, EntriesQuery, ExportBounds, ExportPage, ExportPlace, MonthFigures,
};
use crate::recorder_search::INDEXES;
use crate::sql::{self, Row, first, query, run};
use counterfoil_core::audit::{Entry, NOTHING_BEFORE, Seal, Tree, export_line, leaf};
use counterfoil_core::hex;
use counterfoil_core::protocol::recorder::{Change, Listed, Timing};
use counterfoil_core::protocol::report::{Record, ReportRow};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{AuditRow, Counts, ListedRedemption, RedemptionStatus};
use std::fmt::Write;

/// Entries of one page of an export.
const EXPORT_ENTRIES: u32 = 500;
/// Heads read at once for a seal.
const HEADS_PAGE: u32 = 5_000;

const TABLES: [&str; 8] = [
    due::SCHEMA,
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS entries (
        id INTEGER PRIMARY KEY, object TEXT NOT NULL, at INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        action TEXT NOT NULL, subject TEXT, entry TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS heads (
        object TEXT PRIMARY KEY, n INTEGER NOT NULL, hash TEXT NOT NULL
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seals (
        n INTEGER PRIMARY KEY, entries INTEGER NOT NULL, at INTEGER NOT NULL, seal TEXT NOT NULL, hash TEXT NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS history (
        created_at INTEGER NOT NULL, id TEXT NOT NULL, n INTEGER NOT NULL, status TEXT NOT NULL,
        campaign INTEGER NOT NULL, refusal TEXT, tester INTEGER NOT NULL CHECK (tester IN (0, 1)),
        updated_at INTEGER NOT NULL, doc TEXT NOT NULL, seq INTEGER, shop_order TEXT, reference TEXT,
        PRIMARY KEY (created_at, id)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS counters (
        figure TEXT NOT NULL, campaign INTEGER NOT NULL, key TEXT NOT NULL, tester INTEGER NOT NULL,
        count INTEGER NOT NULL, PRIMARY KEY (figure, campaign, key, tester)
    ) STRICT, WITHOUT ROWID",
    // Times by class, whose bound is `class`; 0 for the last, which has none.
    "CREATE TABLE IF NOT EXISTS times (
        timed TEXT NOT NULL, class INTEGER NOT NULL, tester INTEGER NOT NULL, count INTEGER NOT NULL,
        sum_ms INTEGER NOT NULL, PRIMARY KEY (timed, class, tester)
    ) STRICT, WITHOUT ROWID",
];

pub(crate) struct RecorderStore<'a>(pub(crate) &'a SyncStorage);

impl RecorderStore<'_> {
    pub(crate) fn create(&self) -> Result<(), Fault> {
        TABLES.iter().chain(&INDEXES).try_for_each(|statement| run(self.0, statement, &[]).map(drop))
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        sql::meta(self.0, key)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        sql::set_meta(self.0, key, value)
    }

    /// Number of the last entry of a chain.
    pub(crate) fn head(&self, object: &str) -> Result<u64, Fault> {
        let row = first(self.0, "SELECT n FROM heads WHERE object = ?", &[object.into()])?;
        Ok(row.map_or(0, |row| row.count(0)))
    }

    pub(crate) fn add_entry(&self, entry: &Entry, hash: &str, now: Instant) -> Result<(), Fault> {
        let text = entry.canonical();
        run(
            self.0,
            "INSERT INTO entries (object, at, recorded_at, action, subject, entry, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
            &[
                (&entry.object).into(),
                entry.at.0.into(),
                now.0.into(),
                (&entry.action).into(),
                entry.subject.as_deref().into(),
                (&text).into(),
                hash.into(),
            ],
        )
        .map(drop)
    }

    pub(crate) fn set_head(&self, object: &str, n: u64, hash: &str) -> Result<(), Fault> {
        let statement = "INSERT INTO heads VALUES (?, ?, ?)
            ON CONFLICT (object) DO UPDATE SET n = excluded.n, hash = excluded.hash";
        run(self.0, statement, &[object.into(), n.into(), hash.into()]).map(drop)
    }

    /// A redemption as it is listed, with the number of the row that told it.
    pub(crate) fn listed(&self, record: &Record) -> Result<Option<(u64, Listed)>, Fault> {
        let statement = "SELECT n, status, campaign, refusal, tester FROM history WHERE created_at = ? AND id = ?";
        let values = [record.redemption.created_at.0.into(), (&record.redemption.redemption_id).into()];
        let Some(row) = first(self.0, statement, &values)? else { return Ok(None) };
        let name = row.text(1)?;
        let status = RedemptionStatus::ALL.into_iter().find(|status| status.name() == name);
        let listed = Listed {
            status: status.ok_or_else(|| Fault::new("a listed status is not known"))?,
            campaign: u16::try_from(row.number(2)).unwrap_or_default(),
            refusal: if row.is_null(3) { None } else { Some(row.text(3)?) },
            tester: row.integer(4) == 1,
        };
        Ok(Some((row.count(0), listed)))
    }

    pub(crate) fn list(&self, row: &ReportRow, record: &Record, listed: &Listed) -> Result<(), Fault> {
        let Record { redemption, pid, tester, seq } = record.clone();
        let doc = serde_json::to_string(&ListedRedemption { redemption, member: pid, tester })?;
        let redemption = &record.redemption;
        run(
            self.0,
            "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL) ON CONFLICT (created_at, id) DO UPDATE SET
             n = excluded.n, status = excluded.status, refusal = excluded.refusal,
             tester = excluded.tester, updated_at = excluded.updated_at, doc = excluded.doc",
            &[
                redemption.created_at.0.into(),
                (&redemption.redemption_id).into(),
                row.n.into(),
                redemption.status.name().into(),
                u32::from(listed.campaign).into(),
                listed.refusal.as_deref().into(),
                u32::from(listed.tester).into(),
                redemption.updated_at.0.into(),
                (&doc).into(),
                // Its campaign, its code and its order are known from its first row on.
                seq.into(),
                redemption.order.as_deref().into(),
            ],
        )?;
        let Some(reference) = redemption.reference.as_deref() else { return Ok(()) };
        // Known once it is decided; written once, because each time would write an index entry too.
        let statement = "UPDATE history SET reference = ?1 WHERE created_at = ?2 AND id = ?3 AND reference IS NOT ?1";
        let values = [reference.into(), redemption.created_at.0.into(), (&redemption.redemption_id).into()];
        run(self.0, statement, &values).map(drop)
    }

    /// Counts everything of a report at once.
    pub(crate) fn count(&self, changes: &[Change]) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let row = |change: &Change| {
            let Change { figure, campaign, key, tester, by } = change;
            serde_json::json!([figure.name(), campaign, key, u32::from(*tester), by])
        };
        let rows = serde_json::to_string(&changes.iter().map(row).collect::<Vec<_>>())?;
        // `WHERE true` tells SQLite that what follows belongs to the INSERT.
        let statement = "INSERT INTO counters
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true
            ON CONFLICT (figure, campaign, key, tester) DO UPDATE SET count = count + excluded.count";
        run(self.0, statement, &[(&rows).into()]).map(drop)
    }

    pub(crate) fn count_times(&self, timings: &[Timing], tester: bool) -> Result<(), Fault> {
        if timings.is_empty() {
            return Ok(());
        }
        let row = |timing: &Timing| {
            let Timing { timed, class, ms } = *timing;
            serde_json::json!([timed.name(), class, u32::from(tester), ms])
        };
        let rows = serde_json::to_string(&timings.iter().map(row).collect::<Vec<_>>())?;
        let statement = "INSERT INTO times
            SELECT value ->> 0, value ->> 1, value ->> 2, 1, value ->> 3 FROM json_each(?) WHERE true
            ON CONFLICT (timed, class, tester) DO UPDATE SET count = count + 1, sum_ms = sum_ms + excluded.sum_ms";
        run(self.0, statement, &[(&rows).into()]).map(drop)
    }

    /// Entries so far. They are never deleted, so the last one's number is their count.
    pub(crate) fn entries_count(&self) -> Result<u64, Fault> {
        Ok(first(self.0, "SELECT coalesce(max(id), 0) FROM entries", &[])?.map_or(0, |row| row.count(0)))
    }

    /// Seals what was recorded since the last seal. Answers the new one, its hash, and when the one before was made.
    pub(crate) fn seal(&self, recorder: &str, now: Instant) -> Result<Option<(Seal, String, Option<Instant>)>, Fault> {
        let last = first(self.0, "SELECT n, entries, at, hash FROM seals ORDER BY n DESC LIMIT 1", &[])?;
        let entries = self.entries_count()?;
        if last.as_ref().map_or(0, |last| last.count(1)) == entries {
            return Ok(None);
        }
        let seal = Seal {
            recorder: recorder.to_owned(),
            n: last.as_ref().map_or(0, |last| last.count(0)) + 1,
            at: now,
            entries,
            root: hex::encode(&self.root()?),
            prev: last.as_ref().map_or_else(|| Ok(NOTHING_BEFORE.to_owned()), |last| last.text(3))?,
        };
        let (text, hash) = (seal.canonical(), seal.hash());
        let values = [seal.n.into(), entries.into(), now.0.into(), (&text).into(), (&hash).into()];
        run(self.0, "INSERT INTO seals VALUES (?, ?, ?, ?, ?)", &values)?;
        Ok(Some((seal, hash, last.map(|last| Instant(last.integer(2))))))
    }

    /// The last seal, and its hash.
    pub(crate) fn last_seal(&self) -> Result<Option<(Seal, String)>, Fault> {
        let row = first(self.0, "SELECT seal, hash FROM seals ORDER BY n DESC LIMIT 1", &[])?;
        row.map(|row| Ok((row.json(0)?, row.text(1)?))).transpose()
    }

    fn root(&self) -> Result<[u8; 32], Fault> {
        let mut tree = Tree::default();
        let mut after = String::new();
        loop {
            let statement = "SELECT object, n, hash FROM heads WHERE object > ? ORDER BY object LIMIT ?";
            let rows = query(self.0, statement, &[(&after).into(), HEADS_PAGE.into()])?;
            let Some(last) = rows.last() else { return Ok(tree.root()) };
            after = last.text(0)?;
            for row in &rows {
                tree.add(leaf(&row.text(0)?, row.count(1), &row.text(2)?));
            }
        }
    }

    pub(crate) fn entries(&self, asked: &EntriesQuery) -> Result<Entries, Fault> {
        let rows = query(
            self.0,
            "SELECT id, entry, hash FROM entries WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR object = ?2)
             AND (?3 IS NULL OR action = ?3) AND (?4 IS NULL OR subject = ?4) AND (?5 IS NULL OR at >= ?5)
             AND (?6 IS NULL OR at < ?6) ORDER BY id DESC LIMIT ?7",
            &[
                asked.before.into(),
                asked.object.as_deref().into(),
                asked.action.as_deref().into(),
                asked.subject.as_deref().into(),
                asked.from.map(|at| at.0).into(),
                asked.to.map(|at| at.0).into(),
                asked.limit.into(),
            ],
        )?;
        let entry = |row: &Row| Ok((row.count(0), AuditRow { entry: row.json(1)?, hash: row.text(2)? }));
        Ok(Entries { items: rows.iter().map(entry).collect::<Result<_, Fault>>()? })
    }

    pub(crate) fn export_bounds(&self) -> Result<ExportBounds, Fault> {
        let seals = first(self.0, "SELECT coalesce(max(n), 0) FROM seals", &[])?.map_or(0, |row| row.count(0));
        Ok(ExportBounds { entries: self.entries_count()?, seals })
    }

    /// The next lines: each seal follows the entries that it counts.
    pub(crate) fn export(&self, after: ExportPlace, bounds: ExportBounds) -> Result<ExportPage, Fault> {
        let statement = "SELECT id, entry, hash FROM entries WHERE id > ? AND id <= ? ORDER BY id LIMIT ?";
        let entries = query(self.0, statement, &[after.entry.into(), bounds.entries.into(), EXPORT_ENTRIES.into()])?;
        let last = entries.last().map_or(after.entry, |row| row.count(0));
        let statement = "SELECT n, entries, seal, hash FROM seals WHERE n > ? AND n <= ? AND entries <= ? ORDER BY n";
        let seals = query(self.0, statement, &[after.seal.into(), bounds.seals.into(), last.into()])?;
        let mut seals = seals.iter().peekable();
        let (mut text, mut place) = (String::new(), after);
        let mut line = |kind: &str, content: &str, hash: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{}", export_line(kind, content, hash));
        };
        for row in &entries {
            while let Some(seal) = seals.next_if(|seal| seal.count(1) < row.count(0)) {
                line("seal", &seal.text(2)?, &seal.text(3)?);
                place.seal = seal.count(0);
            }
            line("entry", &row.text(1)?, &row.text(2)?);
            place.entry = row.count(0);
        }
        for seal in seals {
            line("seal", &seal.text(2)?, &seal.text(3)?);
            place.seal = seal.count(0);
        }
        let done = place == ExportPlace { entry: bounds.entries, seal: bounds.seals };
        Ok(ExportPage { text, place, done })
    }

    pub(crate) fn figures(&self) -> Result<MonthFigures, Fault> {
        let counter = |row: &Row| {
            Ok(Counted {
                figure: row.text(0)?,
                campaign: u16::try_from(row.number(1)).unwrap_or_default(),
                key: row.text(2)?,
                tester: row.integer(3) == 1,
                count: row.integer(4),
            })
        };
        let statement = "SELECT figure, campaign, key, tester, count FROM counters WHERE count <> 0";
        let counted = query(self.0, statement, &[])?.iter().map(counter).collect::<Result<_, Fault>>()?;
        let time = |row: &Row| {
            Ok(CountedTime {
                timed: row.text(0)?,
                class: row.count(1),
                tester: row.integer(2) == 1,
                count: row.count(3),
                sum_ms: row.count(4),
            })
        };
        let statement = "SELECT timed, class, tester, count, sum_ms FROM times";
        let times = query(self.0, statement, &[])?.iter().map(time).collect::<Result<_, Fault>>()?;
        let rows = query(self.0, "SELECT state, count(*) FROM deliveries GROUP BY state", &[])?;
        let mut deliveries = Counts::new();
        for row in rows {
            deliveries.insert(row.text(0)?, row.count(1));
        }
        let last = first(self.0, "SELECT recorded_at, recorded_at - at FROM entries ORDER BY id DESC LIMIT 1", &[])?;
        let last = last.map(|row| (Instant(row.integer(0)), row.count(1)));
        Ok(MonthFigures { counted, times, deliveries, last })
    }
}
