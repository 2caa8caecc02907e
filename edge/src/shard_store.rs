//! SQL of a CodeShard. A redeemed code costs one row of about 50 bytes; an unredeemed one costs nothing.

use crate::due;
use crate::platform::{Fault, SyncStorage};
use crate::shard_portions::{PORTIONS_SCHEMA, limit_of};
use crate::sql::{self, first, query, run};
use counterfoil_core::calendar::Calendar;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::{BACKOFF_MAX_MS, DAY_MS};
use counterfoil_core::protocol::portion::{Meter, Need};
use counterfoil_core::protocol::{Intent, Prepared};
use counterfoil_core::rules::{Facts, Rules, Usage};
use counterfoil_core::time::Instant;
use counterfoil_core::verify::{LimitFacts, PortionFacts, ShardFacts};
use counterfoil_core::wire::{Budget, WindowKind, money};

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
            // Uses in all, by the currency of what was given (empty where it is no money), with what was given of it.
            "CREATE TABLE IF NOT EXISTS totals (
                currency TEXT PRIMARY KEY, used INTEGER NOT NULL CHECK (used >= 0), charged INTEGER NOT NULL CHECK (charged >= 0)
            ) STRICT, WITHOUT ROWID",
            // Uses by the campaign's local day: a limit within a window may be set later.
            "CREATE TABLE IF NOT EXISTS days (day INTEGER PRIMARY KEY, used INTEGER NOT NULL CHECK (used >= 0)) STRICT",
            // Redemptions whose use was given back: a delayed message must not take it again.
            "CREATE TABLE IF NOT EXISTS undone (rid BLOB PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            // rid begins with the member, so one range of the key answers \"this code, this member\".
            "CREATE TABLE IF NOT EXISTS uses (
                seq INTEGER NOT NULL CHECK (seq BETWEEN 0 AND 16777215), rid BLOB NOT NULL CHECK (length(rid) = 26),
                day INTEGER NOT NULL, currency TEXT NOT NULL, charge INTEGER NOT NULL CHECK (charge >= 0),
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
            PORTIONS_SCHEMA,
        ] {
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
        Ok(first(self.0, "SELECT sum(used) FROM totals", &[])?.map_or(0, |row| row.count(0)))
    }

    /// What redemptions have of a limit.
    pub(crate) fn taken(&self, meter: &Meter, budget: Option<&Budget>) -> Result<u64, Fault> {
        let row = match meter {
            Meter::Total => return self.total(),
            Meter::Window(kind, first_day) => {
                let values = [i64::from(first_day.0).into(), i64::from(first_day.last_of(*kind).0).into()];
                first(self.0, "SELECT sum(used) FROM days WHERE day BETWEEN ? AND ?", &values)?
            }
            Meter::Budget => {
                let currency = budget.map_or("", |budget| budget.currency.as_str());
                first(self.0, "SELECT charged FROM totals WHERE currency = ?", &[currency.into()])?
            }
        };
        Ok(row.map_or(0, |row| row.count(0)))
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
    /// count only as far as its own limit. What is left of the campaign's limits is said by this shard's own counters,
    /// where a `calendar` is given: they are all there are where there is one shard.
    pub(crate) fn look(
        &self,
        (rid, fp): (&[u8], &[u8]),
        facts: &Facts,
        mref: &Mref,
        rules: Option<&Rules>,
        calendar: Option<&Calendar>,
    ) -> Result<Look, Fault> {
        let (lower, upper) = member_range(mref);
        let limit = rules.and_then(|rules| rules.uses_per_code).unwrap_or(0);
        let limited = rules.zip(calendar);
        let needs = limited.map(|(rules, calendar)| rules.needs(calendar)).unwrap_or_default();
        // What has no limit is not summed up.
        let window = |sort: WindowKind| {
            let found = needs.iter().find_map(|need| match need.meter {
                Meter::Window(kind, first) if kind == sort => Some((first.0, first.last_of(kind).0)),
                Meter::Window(..) | Meter::Total | Meter::Budget => None,
            });
            found.map_or((1, 0), |(first, last)| (i64::from(first), i64::from(last)))
        };
        let (day, week, month) = (window(WindowKind::Day), window(WindowKind::Week), window(WindowKind::Month));
        let currency = rules.and_then(|rules| rules.budget.as_ref()).map_or("", |budget| budget.currency.as_str());
        let statement = "SELECT
            EXISTS (SELECT 1 FROM undone WHERE rid = ?1),
            (SELECT prepared FROM pending WHERE rid = ?1 AND fp = ?2),
            EXISTS (SELECT 1 FROM pending WHERE rid = ?1 AND fp <> ?2),
            EXISTS (SELECT 1 FROM uses WHERE seq = ?3 AND rid = ?1),
            h.held, h.held_until, (SELECT min(until) FROM held WHERE seq = ?3 AND rid >= ?4 AND rid < ?5),
            (SELECT count(*) FROM (SELECT 1 FROM uses WHERE seq = ?3 LIMIT 2 * ?6)),
            m.mine_count, m.mine,
            (SELECT sum(used) FROM totals), (SELECT charged FROM totals WHERE currency = ?7),
            (SELECT used FROM days WHERE day BETWEEN ?8 AND ?9),
            (SELECT sum(used) FROM days WHERE day BETWEEN ?10 AND ?11),
            (SELECT sum(used) FROM days WHERE day BETWEEN ?12 AND ?13)
            FROM
            -- Only a code with a limit of its own can be used up by holds, and by few: a shared one may have any number
            -- of them.
            (SELECT count(*) AS held, min(until) AS held_until FROM
                (SELECT until FROM held WHERE seq = ?3 LIMIT 2 * ?6)) h,
            (SELECT count(*) AS mine_count,
                min(CASE WHEN NOT EXISTS (SELECT 1 FROM held WHERE held.seq = u.seq AND held.rid = u.rid) THEN rid END) AS mine
                FROM uses u WHERE seq = ?3 AND rid >= ?4 AND rid < ?5) m";
        let values = [
            rid.into(),
            fp.into(),
            facts.seq.into(),
            lower.as_slice().into(),
            upper.as_slice().into(),
            limit.into(),
            currency.into(),
            day.0.into(),
            day.1.into(),
            week.0.into(),
            week.1.into(),
            month.0.into(),
            month.1.into(),
        ];
        let row = first(self.0, statement, &values)?.ok_or_else(|| Fault::new("an aggregate without a row"))?;
        let instant = |column| (!row.is_null(column)).then(|| Instant(row.integer(column)));
        let taken = |meter: &Meter| match meter {
            Meter::Total => row.count(10),
            Meter::Budget => row.count(11),
            Meter::Window(WindowKind::Day, _) => row.count(12),
            Meter::Window(WindowKind::Week, _) => row.count(13),
            Meter::Window(WindowKind::Month, _) => row.count(14),
        };
        let left = |need: &Need| (need.meter, need.limit.saturating_sub(taken(&need.meter)));
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
                left: needs.iter().map(left).collect(),
            },
        })
    }

    /// Takes a use: use row, pending row, counter; held where it is for a checkout.
    pub(crate) fn consume(&self, intent: &Intent, prepared: &Prepared, ask_at: Instant) -> Result<(), Fault> {
        let seq = intent.code().ok_or_else(|| Fault::new("a use of no code"))?.facts.seq;
        let (rid, fp) = (intent.rid.as_bytes().as_slice(), intent.fp.as_bytes().as_slice());
        let day = i64::from(prepared.day.0);
        let (currency, amount) = money(&prepared.reward).unwrap_or_default();
        let charge = amount.saturating_mul(u64::from(prepared.quantity));
        let values = [seq.into(), rid.into(), day.into(), currency.into(), charge.into()];
        run(self.0, "INSERT INTO uses VALUES (?, ?, ?, ?, ?)", &values)?;
        let statement = "INSERT INTO totals VALUES (?, 1, ?) ON CONFLICT (currency) DO UPDATE
            SET used = used + 1, charged = charged + excluded.charged";
        run(self.0, statement, &[currency.into(), charge.into()])?;
        let statement = "INSERT INTO days VALUES (?, 1) ON CONFLICT (day) DO UPDATE SET used = used + 1";
        run(self.0, statement, &[day.into()])?;
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

    /// Drops a use, counted once: given back to the day and the money that it was charged to.
    pub(crate) fn drop_use(&self, seq: u32, rid: &Rid) -> Result<(), Fault> {
        self.drop_use_of(seq, rid.as_bytes().as_slice())
    }

    fn drop_use_of(&self, seq: u32, rid: &[u8]) -> Result<(), Fault> {
        let statement = "DELETE FROM uses WHERE seq = ? AND rid = ? RETURNING day, currency, charge";
        if let Some(row) = first(self.0, statement, &[seq.into(), rid.into()])? {
            let (day, currency, charge) = (row.integer(0), row.text(1)?, row.count(2));
            let statement = "UPDATE totals SET used = used - 1, charged = charged - ?2 WHERE currency = ?1";
            run(self.0, statement, &[(&currency).into(), charge.into()])?;
            run(self.0, "UPDATE days SET used = used - 1 WHERE day = ?", &[day.into()])?;
            self.refund(day, &currency, charge)?;
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

    /// Remembers what a limit that was lowered below it allows: what was taken already. Run in the transaction that
    /// stores the rules.
    pub(crate) fn allow(&self, rules: &Rules) -> Result<(), Fault> {
        let budget = rules.budget.as_ref();
        for meter in [Meter::Total, Meter::Budget] {
            let taken = self.taken(&meter, budget)?;
            self.set_meta(&format!("allowed:{}", meter.name()), &taken.to_string())?;
        }
        Ok(())
    }

    /// The limits of the whole campaign that only this shard keeps, each with what redemptions have of it.
    fn kept_limits(&self, rules: &Rules) -> Result<Vec<LimitFacts>, Fault> {
        let budget = rules.budget.as_ref();
        let mut facts = vec![];
        for meter in [Meter::Total, Meter::Budget] {
            let Some((limit, _)) = meter.limit(rules.total, &rules.windows, budget) else { continue };
            let allowed = self.meta(&format!("allowed:{}", meter.name()))?.and_then(|text| text.parse().ok());
            let limit = limit.max(allowed.unwrap_or_default());
            facts.push(LimitFacts { meter, limit, taken: self.taken(&meter, budget)? });
        }
        Ok(facts)
    }

    /// What is stored here, for `POST /v1/verify`.
    pub(crate) fn facts(&self, rules: Option<&Rules>) -> Result<ShardFacts, Fault> {
        let uses_per_code = rules.and_then(|rules| rules.uses_per_code);
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
        // Each counter against the uses that it counts.
        let miscounted = "SELECT 'day ' || day FROM (
                SELECT day, used AS counted, 0 AS there FROM days UNION ALL SELECT day, 0, 1 FROM uses)
            GROUP BY day HAVING sum(counted) <> sum(there)
            UNION ALL SELECT 'money ' || currency FROM (
                SELECT currency, used AS counted, charged, 0 AS there, 0 AS charge FROM totals
                UNION ALL SELECT currency, 0, 0, 1, charge FROM uses)
            GROUP BY currency HAVING sum(counted) <> sum(there) OR sum(charged) <> sum(charge)
            LIMIT 100";
        let rules_of_one = rules.filter(|rules| rules.shards <= 1);
        let mut portions = vec![];
        for (meter, portion, told) in self.portions(false)? {
            let limited = rules.filter(|rules| limit_of(rules, &meter).is_some());
            // What has no limit now is not counted in portions.
            let taken = match limited {
                Some(rules) => self.taken(&meter, rules.budget.as_ref())?,
                None => portion.taken(),
            };
            portions.push(PortionFacts { meter, portion, told, taken });
        }
        Ok(ShardFacts {
            counted: self.total()?,
            uses: count("SELECT count(*) FROM uses")?,
            uses_per_code,
            limits: rules_of_one.map(|rules| self.kept_limits(rules)).transpose()?.unwrap_or_default(),
            miscounted: query(self.0, miscounted, &[])?.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?,
            portions,
            overused: overused.iter().map(|row| (row.number(0), row.count(1))).collect(),
            pending: count("SELECT count(*) FROM pending")?,
            pending_without_use: count(orphans)?,
            held_without_pending: count(forgotten)?,
            alarm: due::next(self.0)?.is_some(),
        })
    }
}
