//! `POST /v1/verify` for one Member: the invariants over everything that is stored here, in pages.

use crate::answer::Answer;
use crate::calls::Violations;
use crate::due;
use crate::hold_store::hold_item;
use crate::member::Inner;
use crate::platform::{Fault, now};
use crate::reward_store::reward_item;
use crate::sql::{first, query};
use counterfoil_core::checkout::{Hold, Source};
use counterfoil_core::reward::RewardRecord;
use counterfoil_core::reward::recovery::follow;
use counterfoil_core::verify::{self, ChainCheck, HoldFacts, LedgerCheck, Report};
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{LedgerRow, Redemption, RedemptionStatus, RewardState};

/// Rows read at a time.
const PAGE: u32 = 200;

impl Inner {
    /// What is wrong here, if anything.
    pub(crate) fn verify(&self) -> Result<Answer, Fault> {
        let who = match self.who() {
            Ok(who) => who,
            // Nobody has ever called for this member: there is nothing to be wrong.
            Err(_) => return Answer::json(200, &Violations { violations: vec![] }),
        };
        let mut report = Report::of(&who.object);
        let alarm = due::next(&self.storage)?.is_some();
        self.verify_ledger(&mut report)?;
        self.verify_chain(&who.object, alarm, &mut report)?;
        self.verify_redemptions(&mut report)?;
        self.verify_rewards(&mut report)?;
        self.verify_holds(&mut report)?;
        let open = self.count("SELECT count(*) FROM open")?;
        report.must(open == 0 || alarm, "I8", || format!("{open} redemptions are undecided, and no alarm drives them"));
        let parked = self.count("SELECT count(*) FROM due WHERE parked = 1")?;
        report.must(parked == 0, "I8", || format!("{parked} items are parked: they failed to run five times"));
        let undo = self.count("SELECT count(*) FROM undo")?;
        report.must(undo == 0 || alarm, "I8", || format!("{undo} uses are to be given back, and no alarm does it"));
        Answer::json(200, &Violations { violations: report.into_violations() })
    }

    fn count(&self, statement: &'static str) -> Result<u64, Fault> {
        Ok(first(&self.storage, statement, &[])?.map_or(0, |row| row.count(0)))
    }

    fn verify_ledger(&self, report: &mut Report) -> Result<(), Fault> {
        let mut check = LedgerCheck::default();
        let mut after = 0;
        loop {
            let statement = "SELECT n, doc FROM ledger WHERE n > ? ORDER BY n LIMIT ?";
            let rows = query(&self.storage, statement, &[after.into(), PAGE.into()])?;
            for row in &rows {
                after = row.count(0);
                check.add(&row.json::<LedgerRow>(1)?);
            }
            if rows.is_empty() {
                break;
            }
        }
        check.finish(&self.store().wallet(now())?, report);
        Ok(())
    }

    fn verify_chain(&self, object: &str, alarm: bool, report: &mut Report) -> Result<(), Fault> {
        let mut check = ChainCheck::of(object);
        let mut after = 0;
        loop {
            let statement = "SELECT n, entry, hash FROM audit WHERE n > ? ORDER BY n LIMIT ?";
            let rows = query(&self.storage, statement, &[after.into(), PAGE.into()])?;
            for row in &rows {
                after = row.count(0);
                check.add(after, &row.text(1)?, &row.text(2)?);
            }
            if rows.is_empty() {
                break;
            }
        }
        check.finish(self.count("SELECT count(*) FROM outbox")?, alarm, report);
        Ok(())
    }

    /// I11, I12 and I3: refused is without effect, decided has an entry, counters count what is consumed.
    fn verify_redemptions(&self, report: &mut Report) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let statement =
                "SELECT n, rid, doc, consumed FROM redemptions WHERE n > ? AND decided = 1 ORDER BY n LIMIT ?";
            let rows = query(&self.storage, statement, &[after.into(), PAGE.into()])?;
            for row in &rows {
                after = row.count(0);
                let redemption: Redemption = row.json(2)?;
                let id = &redemption.redemption_id;
                let Some(rid) = counterfoil_core::ids::Rid::from_bytes(&row.blob(1)) else { continue };
                let held = self.store().held(&rid)?;
                if redemption.status == RedemptionStatus::Refused {
                    let none = held.is_empty() && redemption.ledger.is_empty() && row.integer(3) == 0;
                    report.must(none, "I11", || format!("{id} is refused and has had an effect"));
                }
                let followed = follow(&redemption, &held, redemption.updated_at);
                report.must(followed.status == redemption.status, "I6", || {
                    format!("{id} is {}, its rewards make it {}", redemption.status.name(), followed.status.name())
                });
            }
            if rows.is_empty() {
                break;
            }
        }
        let unaudited = "SELECT count(*) FROM redemptions WHERE decided = 1
            AND json_extract(doc, '$.redemption_id') NOT IN (
                SELECT json_extract(entry, '$.data.redemption') FROM audit
                WHERE json_extract(entry, '$.data.redemption') IS NOT NULL)";
        let unaudited = self.count(unaudited)?;
        report.must(unaudited == 0, "I12", || format!("{unaudited} decisions have no audit entry"));
        let statement = "SELECT campaign, day, sum(counted), sum(there) FROM (
                SELECT campaign, day, uses AS counted, 0 AS there FROM campaign_days
                UNION ALL SELECT campaign, day, 0, 1 FROM redemptions WHERE consumed = 1 AND campaign > 0)
            GROUP BY campaign, day HAVING sum(counted) <> sum(there)";
        for row in query(&self.storage, statement, &[])? {
            let (campaign, day, uses, consumed) = (row.count(0), row.integer(1), row.count(2), row.count(3));
            report.must(false, "I3", || {
                format!("{uses} uses of campaign {campaign} are counted on day {day}, {consumed} redemptions have one")
            });
        }
        Ok(())
    }

    /// I6 and I8: what the server has still to do with a reward has an alarm, no later than it is due.
    fn verify_rewards(&self, report: &mut Report) -> Result<(), Fault> {
        let mut after = 0;
        loop {
            let statement = "SELECT n, doc FROM rewards WHERE n > ? ORDER BY n LIMIT ?";
            let rows = query(&self.storage, statement, &[after.into(), PAGE.into()])?;
            for row in &rows {
                after = row.count(0);
                let record: RewardRecord = row.json(1)?;
                let id = &record.reward.id;
                let planned = due::at(&self.storage, &reward_item(&record.rid, record.index))?;
                report.must(record.due_at().is_none() || planned.is_some(), "I8", || {
                    format!("{id} is {} and no alarm looks after it", record.state().name())
                });
                let given = record.applied.is_some();
                let may = matches!(record.state(), RewardState::Granted | RewardState::Complete);
                report.must(!given || may, "I7", || format!("{id} is {} and applied", record.state().name()));
            }
            if rows.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// What is kept for checkouts ends, and its amounts are in the ledger to the unit.
    fn verify_holds(&self, report: &mut Report) -> Result<(), Fault> {
        let config = self.config()?;
        let merchant = self.merchant()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let mut after = 0;
        loop {
            let statement = "SELECT n, doc FROM holds WHERE n > ? ORDER BY n LIMIT ?";
            let rows = query(&self.storage, statement, &[after.into(), PAGE.into()])?;
            for row in &rows {
                after = row.count(0);
                let hold: Hold = row.json(1)?;
                let redemption = match &hold.source {
                    Source::Code { .. } => self.store().redemption(&hold.rid)?.map(|found| found.status),
                    Source::Wallet { .. } | Source::Reward { .. } => None,
                };
                let (taken, returned) = match hold.wallet_credit() {
                    Some((_, ledger_id)) => self.hold_rows(ledger_id)?,
                    None => (0, 0),
                };
                let planned_at = due::at(&self.storage, &hold_item(&hold.rid))?;
                let id = names.hold(&hold.rid);
                verify::hold(&HoldFacts { id, hold, redemption, taken, returned, planned_at }, report);
            }
            if rows.is_empty() {
                break;
            }
        }
        let mut last = String::new();
        loop {
            let rows = query(
                &self.storage,
                "SELECT name FROM orders WHERE name > ? ORDER BY name LIMIT ?",
                &[(&last).into(), PAGE.into()],
            )?;
            for row in &rows {
                last = row.text(0)?;
                verify::order(&self.store().book(&last)?, now(), report);
            }
            if rows.is_empty() {
                break;
            }
        }
        let orphans = self.count(
            "SELECT count(*) FROM redemptions WHERE status = 'held'
             AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.rid = redemptions.rid AND holds.state = 'held')",
        )?;
        report.must(orphans == 0, "I6", || format!("{orphans} redemptions are held, and nothing ends them"));
        Ok(())
    }

    /// What a hold's row took, and what came back of it.
    fn hold_rows(&self, ledger_id: &str) -> Result<(i64, i64), Fault> {
        let taken = first(
            &self.storage,
            "SELECT json_extract(doc, '$.amount') FROM ledger WHERE id = ? AND json_extract(doc, '$.kind') = 'hold'",
            &[ledger_id.into()],
        )?;
        let returned = first(
            &self.storage,
            "SELECT json_extract(doc, '$.amount') FROM ledger
             WHERE json_extract(doc, '$.reverses') = ? AND json_extract(doc, '$.kind') = 'release'",
            &[ledger_id.into()],
        )?;
        Ok((taken.map_or(0, |row| row.integer(0)), returned.map_or(0, |row| row.integer(0))))
    }
}
