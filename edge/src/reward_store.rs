//! SQL of a Member's rewards, of the uses it gives back, and of what is written together with them.

use crate::audit_log;
use crate::due;
use crate::member_store::{MemberStore, blob};
use crate::platform::{Fault, random};
use crate::sql::{Row, first, query, run};
use counterfoil_core::hex;
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::report::{Outgoing, Record, Settled, Took};
use counterfoil_core::reward::machine::is_reachable;
use counterfoil_core::reward::{Changes, RewardRecord};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{
    Event, HoldState, LedgerRow, Redemption, Reward, RewardState, RewardType, RewardValue, Settings,
};

/// Prefix of due-items that look after a reward.
pub(crate) const REWARD_ITEM: &str = "reward";
/// Prefix of due-items that give a use back.
pub(crate) const UNDO_ITEM: &str = "undo";

/// Part of a Member's schema.
pub(crate) const SCHEMA: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS rewards (
        n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, rid BLOB NOT NULL, place INTEGER NOT NULL, state TEXT NOT NULL,
        running INTEGER NOT NULL CHECK (running IN (0, 1)), feature TEXT, endpoint TEXT, doc TEXT NOT NULL,
        UNIQUE (rid, place)
    ) STRICT",
    // Few rewards run at a time, and each redemption asks which.
    "CREATE INDEX IF NOT EXISTS rewards_running ON rewards (n) WHERE running = 1",
    "CREATE INDEX IF NOT EXISTS rewards_waiting ON rewards (endpoint) WHERE state = 'failed'",
    // What a participant must still hear: the use of a code is given back, or promo codes go to quarantine.
    "CREATE TABLE IF NOT EXISTS undo (
        rid BLOB NOT NULL, pool TEXT NOT NULL DEFAULT '', campaign INTEGER NOT NULL, seq INTEGER NOT NULL,
        shard INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (rid, pool)
    ) STRICT, WITHOUT ROWID",
];

/// The reward state machine once more, as a constraint: what has ended cannot be brought back, whoever writes it.
/// A commit may make several moves, so what is allowed is whatever the table of moves can reach.
pub(crate) fn moves_trigger() -> String {
    let mut legal = String::new();
    for from in RewardState::ALL {
        for to in RewardState::ALL.iter().filter(|to| is_reachable(from, **to)) {
            let separator = if legal.is_empty() { "" } else { ", " };
            legal.push_str(&format!("{separator}'{}>{}'", from.name(), to.name()));
        }
    }
    format!(
        "CREATE TRIGGER IF NOT EXISTS rewards_moves BEFORE UPDATE OF state ON rewards
         WHEN OLD.state || '>' || NEW.state NOT IN ({legal})
         BEGIN SELECT RAISE(ABORT, 'illegal move of a reward'); END"
    )
}

/// Who and what a commit is about, beside its changes.
pub(crate) struct Told<'a> {
    /// Name of the audit chain.
    pub(crate) object: &'a str,
    pub(crate) pid: &'a str,
    pub(crate) tester: bool,
    /// Number of the code that is accepted or decided about.
    pub(crate) seq: Option<u32>,
    /// What participants have prepared and is settled with it.
    pub(crate) settled: Vec<Settled>,
    /// How long it took, where a request or a decision ends with it.
    pub(crate) took: Option<Took>,
}

/// What is to be given back to a participant.
pub(crate) struct UndoRow {
    /// The pool whose codes go to quarantine; empty for a code's shard.
    pub(crate) pool: String,
    pub(crate) campaign: u16,
    /// The shard that keeps the use, as far as is known.
    pub(crate) shard: u32,
    pub(crate) seq: u32,
    pub(crate) tries: u32,
}

pub(crate) fn reward_item(rid: &Rid, index: u8) -> String {
    format!("{REWARD_ITEM}:{}:{index}", rid.to_hex())
}

fn undo_item(rid: &Rid) -> String {
    format!("{UNDO_ITEM}:{}", rid.to_hex())
}

fn record(row: &Row) -> Result<RewardRecord, Fault> {
    row.json(0)
}

impl MemberStore<'_> {
    /// The rewards of a redemption, by index.
    pub(crate) fn held(&self, rid: &Rid) -> Result<Vec<RewardRecord>, Fault> {
        let statement = "SELECT doc FROM rewards WHERE rid = ? ORDER BY place";
        query(self.0, statement, &[blob(rid)])?.iter().map(record).collect()
    }

    /// Rewards that run for a time.
    pub(crate) fn running(&self) -> Result<Vec<RewardRecord>, Fault> {
        query(self.0, "SELECT doc FROM rewards WHERE running = 1", &[])?.iter().map(record).collect()
    }

    /// Features that applied rewards of other redemptions give.
    pub(crate) fn features_elsewhere(&self, rid: &Rid) -> Result<Vec<String>, Fault> {
        let statement = "SELECT DISTINCT feature FROM rewards WHERE feature IS NOT NULL AND rid <> ?";
        query(self.0, statement, &[blob(rid)])?.iter().map(|row| row.text(0)).collect()
    }

    /// Redemptions with rewards that wait for an endpoint.
    pub(crate) fn waiting_for(&self, endpoint_id: &str) -> Result<Vec<Rid>, Fault> {
        let statement = "SELECT DISTINCT rid FROM rewards WHERE endpoint = ? AND state = 'failed'";
        let rows = query(self.0, statement, &[endpoint_id.into()])?;
        Ok(rows.iter().filter_map(|row| Rid::from_bytes(&row.blob(0))).collect())
    }

    /// The latest rewards before `before`, with their numbers.
    pub(crate) fn rewards(
        &self,
        before: Option<u64>,
        state: Option<&str>,
        limit: u32,
    ) -> Result<Vec<(u64, Reward)>, Fault> {
        let statement = "SELECT n, doc FROM rewards
            WHERE n > coalesce((SELECT json_extract(value, '$.rewards') FROM meta WHERE key = 'erased'), 0)
            AND (?1 IS NULL OR n < ?1) AND (?2 IS NULL OR state = ?2) ORDER BY n DESC LIMIT ?3";
        let rows = query(self.0, statement, &[before.into(), state.into(), limit.into()])?;
        rows.iter().map(|row| Ok((row.count(0), row.json::<RewardRecord>(1)?.reward))).collect()
    }

    /// How long before its end a reward is announced, in milliseconds; 0 for never.
    pub(crate) fn notice_ms(&self) -> Result<i64, Fault> {
        let days = self.meta("notify_days")?.and_then(|days| days.parse().ok());
        Ok(i64::from(days.unwrap_or_else(|| Settings::default().notify_days_before)) * DAY_MS)
    }

    /// Writes a reward, and plans what the clock has to do with it next.
    fn put_reward(&self, record: &RewardRecord) -> Result<(), Fault> {
        let state = record.state();
        let running = state == RewardState::Granted && record.reward.runs_until.is_some();
        let feature = match (&record.reward.value, &record.applied) {
            (RewardValue::Feature { key }, Some(_)) => Some(key.as_str()),
            (_, _) => None,
        };
        let doc = serde_json::to_string(record)?;
        let inserted = run(
            self.0,
            "INSERT INTO rewards (id, rid, place, state, running, feature, endpoint, doc)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING RETURNING n",
            &[
                (&record.reward.id).into(),
                blob(&record.rid),
                u32::from(record.index).into(),
                state.name().into(),
                u32::from(running).into(),
                feature.into(),
                record.mechanic.endpoint().into(),
                (&doc).into(),
            ],
        )?;
        if !inserted {
            run(
                self.0,
                "UPDATE rewards SET state = ?2, running = ?3, feature = ?4, doc = ?5 WHERE id = ?1",
                &[
                    (&record.reward.id).into(),
                    state.name().into(),
                    u32::from(running).into(),
                    feature.into(),
                    (&doc).into(),
                ],
            )?;
        }
        let item = reward_item(&record.rid, record.index);
        // Only what rests until a certain time has an end to be announced.
        let rests = record.announce_at(1).is_some();
        match record.next_at(if rests { self.notice_ms()? } else { 0 }) {
            Some(at) => due::plan(self.0, &item, at),
            None if inserted => Ok(()),
            None => due::done(self.0, &item),
        }
    }

    /// Writes the changes to a decided redemption. Answers the feed's new events.
    pub(crate) fn write(
        &self,
        rid: &Rid,
        changes: &Changes,
        told: Told<'_>,
        now: Instant,
    ) -> Result<Vec<Event>, Fault> {
        if let Some(redemption) = &changes.redemption {
            let doc = serde_json::to_string(redemption)?;
            let statement = "UPDATE redemptions SET status = ?2, doc = ?3 WHERE rid = ?1 AND decided = 1 RETURNING n";
            let values = [blob(rid), redemption.status.name().into(), (&doc).into()];
            if !run(self.0, statement, &values)? {
                return Err(Fault::new("a redemption is missing"));
            }
        }
        if changes.give_back {
            let statement = "UPDATE redemptions SET consumed = 0 WHERE rid = ? AND consumed = 1 RETURNING campaign, seq, shard, day";
            if let Some(row) = first(self.0, statement, &[blob(rid)])? {
                let (campaign, seq, shard) = (row.number(0), row.number(1), row.number(2));
                let counted = "UPDATE campaign_days SET uses = uses - 1 WHERE campaign = ? AND day = ?";
                // A gift came through no code: there is nothing to give back.
                if campaign > 0 {
                    run(self.0, counted, &[campaign.into(), row.integer(3).into()])?;
                    self.add_undo(rid, (campaign, shard), seq, now)?;
                }
            }
        }
        if changes.quarantine
            && let Some(row) =
                first(self.0, "SELECT pool FROM redemptions WHERE rid = ? AND pool IS NOT NULL", &[blob(rid)])?
        {
            self.add_pool_undo(rid, &row.text(0)?, now)?;
        }
        self.write_effects(rid, changes, told, now)
    }

    /// Rewards, ledger, wallet, feed and audit.
    pub(crate) fn write_effects(
        &self,
        rid: &Rid,
        changes: &Changes,
        told: Told<'_>,
        now: Instant,
    ) -> Result<Vec<Event>, Fault> {
        for record in &changes.rewards {
            self.put_reward(record)?;
            // A discount that is gone is kept for no checkout.
            let gone = matches!(record.state(), RewardState::Declined | RewardState::Deleted | RewardState::Expired);
            if gone && record.reward.kind == RewardType::Discount {
                let by_the_clock = record.state() == RewardState::Expired;
                let state = if by_the_clock { HoldState::Expired } else { HoldState::Released };
                self.end_reward_hold(&record.reward.id, state, now)?;
            }
        }
        if let Some(after) = &changes.wallet {
            match &changes.wallet_before {
                Some(before) => self.set_wallet(before, after)?,
                None => self.set_wallet(&self.wallet(now)?, after)?,
            }
        }
        for row in &changes.ledger {
            let doc = serde_json::to_string(row)?;
            let statement = "INSERT INTO ledger (id, doc) VALUES (?, ?)";
            run(self.0, statement, &[(&row.ledger_id).into(), (&doc).into()])?;
        }
        if let Some(draft) = &changes.audit {
            let record = match &changes.redemption {
                Some(redemption) => {
                    let (redemption, pid) = (redemption.clone(), told.pid.to_owned());
                    Some(Record { redemption, pid, tester: told.tester, seq: told.seq })
                }
                None => None,
            };
            let outgoing = |(kind, data): &(String, serde_json::Value)| Outgoing {
                id: format!("ev_{}", hex::encode(&random::<12>())),
                kind: kind.clone(),
                at: now,
                // The record says it already.
                data: if record.is_some() && kind.starts_with("redemption.") {
                    serde_json::Value::Null
                } else {
                    data.clone()
                },
                mref: Some(rid.mref()),
            };
            // Testers are kept apart: what they do is no news for the merchant's systems.
            let events = if told.tester { vec![] } else { changes.outgoing.iter().map(outgoing).collect() };
            let end = (told.settled, told.took);
            audit_log::append_timed(self.0, (told.object, told.tester), draft, record, events, end, now)?;
        }
        self.add_events(&changes.events, now)
    }

    /// Remembers to give a use back until the participant has heard.
    pub(crate) fn add_undo(
        &self,
        rid: &Rid,
        (campaign, shard): (u32, u32),
        seq: u32,
        now: Instant,
    ) -> Result<(), Fault> {
        let statement = "INSERT INTO undo (rid, campaign, shard, seq) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
        run(self.0, statement, &[blob(rid), campaign.into(), shard.into(), seq.into()])?;
        due::plan(self.0, &undo_item(rid), now)
    }

    /// Remembers to send a redemption's promo codes to quarantine until the pool has heard.
    pub(crate) fn add_pool_undo(&self, rid: &Rid, pool_id: &str, now: Instant) -> Result<(), Fault> {
        let statement =
            "INSERT INTO undo (rid, pool, campaign, shard, seq) VALUES (?, ?, 0, 0, 0) ON CONFLICT DO NOTHING";
        run(self.0, statement, &[blob(rid), pool_id.into()])?;
        due::plan(self.0, &undo_item(rid), now)
    }

    pub(crate) fn undo(&self, rid: &Rid) -> Result<Vec<UndoRow>, Fault> {
        let rows = query(self.0, "SELECT pool, campaign, seq, tries, shard FROM undo WHERE rid = ?", &[blob(rid)])?;
        let row = |row: &Row| {
            let campaign = u16::try_from(row.number(1)).unwrap_or_default();
            Ok(UndoRow { pool: row.text(0)?, campaign, shard: row.number(4), seq: row.number(2), tries: row.number(3) })
        };
        rows.iter().map(row).collect()
    }

    /// The participant has heard; the item goes with the last of them.
    pub(crate) fn undone(&self, rid: &Rid, pool: &str) -> Result<(), Fault> {
        run(self.0, "DELETE FROM undo WHERE rid = ? AND pool = ?", &[blob(rid), pool.into()])?;
        let more = run(self.0, "SELECT 1 FROM undo WHERE rid = ? LIMIT 1", &[blob(rid)])?;
        if more { Ok(()) } else { due::done(self.0, &undo_item(rid)) }
    }

    pub(crate) fn undo_again(&self, rid: &Rid, pool: &str, at: Instant) -> Result<(), Fault> {
        let statement = "UPDATE undo SET tries = tries + 1 WHERE rid = ? AND pool = ?";
        run(self.0, statement, &[blob(rid), pool.into()])?;
        due::plan(self.0, &undo_item(rid), at)
    }

    /// The rows by which a redemption was paid for.
    pub(crate) fn paid(&self, redemption: &Redemption) -> Result<Vec<LedgerRow>, Fault> {
        if redemption.points_spent.is_none() {
            return Ok(vec![]);
        }
        let mut rows = vec![];
        for line in &redemption.ledger {
            let row = first(self.0, "SELECT doc FROM ledger WHERE id = ?", &[(&line.ledger_id).into()])?;
            rows.push(row.ok_or_else(|| Fault::new("a ledger row is missing"))?.json(0)?);
        }
        Ok(rows)
    }

    /// Whether the use still belongs to this redemption.
    pub(crate) fn consumed(&self, rid: &Rid) -> Result<bool, Fault> {
        run(self.0, "SELECT 1 FROM redemptions WHERE rid = ? AND consumed = 1", &[blob(rid)])
    }

    /// A redemption that was decided.
    pub(crate) fn decided(&self, rid: &Rid) -> Result<Option<Redemption>, Fault> {
        let row = first(self.0, "SELECT doc FROM redemptions WHERE rid = ? AND decided = 1", &[blob(rid)])?;
        row.map(|row| row.json(0)).transpose()
    }
}
