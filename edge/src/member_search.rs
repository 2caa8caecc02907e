//! A member's redemptions as lists of all members show them: exact, and not a second behind.

use crate::member::Inner;
use crate::platform::Fault;
use crate::recorder_calls::{ListPlace, Listing, RedemptionsQuery};
use crate::sql::{first, query};
use counterfoil_core::wire::{ListedRedemption, Redemption, RedemptionStatus};

/// Rows that one request looks at.
const SCANNED_MAX: u32 = 1_000;

impl Inner {
    /// The redemptions that pass a filter, the newest first.
    pub(crate) fn search(&self, asked: &RedemptionsQuery) -> Result<Listing, Fault> {
        let RedemptionsQuery { before, limit, filter } = asked;
        // Nobody knows them yet.
        let Ok(who) = self.who() else { return Ok(Listing::default()) };
        let before = match before {
            Some(place) => match self.number_of(&place.redemption_id)? {
                Some(n) => Some(n),
                None => return Ok(Listing::default()),
            },
            None => None,
        };
        let rows = query(
            &self.storage,
            "SELECT seq, doc FROM redemptions
             WHERE n > coalesce((SELECT json_extract(value, '$.redemptions') FROM meta WHERE key = 'erased'), 0)
             AND (?1 IS NULL OR n < ?1) AND (?2 IS NULL OR status = ?2)
             AND (?3 IS NULL OR campaign = ?3) AND (?4 IS NULL OR created_at >= ?4) AND (?5 IS NULL OR created_at < ?5)
             ORDER BY n DESC LIMIT ?6",
            &[
                before.into(),
                filter.status.map(RedemptionStatus::name).into(),
                filter.campaign.map(u32::from).into(),
                filter.from.map(|at| at.0).into(),
                filter.to.map(|at| at.0).into(),
                SCANNED_MAX.into(),
            ],
        )?;
        let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
        let (mut items, mut last) = (vec![], None);
        for row in &rows {
            let redemption: Redemption = row.json(1)?;
            last =
                Some(ListPlace { created_at: redemption.created_at, redemption_id: redemption.redemption_id.clone() });
            let seq = redemption.campaign.map(|_| row.number(0));
            if filter.admits(&redemption, seq, who.tester) {
                items.push(ListedRedemption { redemption, member: who.pid.clone(), tester: who.tester });
            }
            if items.len() >= limit {
                break;
            }
        }
        let more = items.len() < limit && u32::try_from(rows.len()).is_ok_and(|scanned| scanned == SCANNED_MAX);
        Ok(Listing { items, stopped_at: last.filter(|_| more) })
    }

    /// The number of a redemption of this member; `None` where it is not one.
    fn number_of(&self, redemption_id: &str) -> Result<Option<u64>, Fault> {
        let Some(rid) = self.config()?.id_key.read_redemption(&self.merchant()?, redemption_id) else {
            return Ok(None);
        };
        let row = first(&self.storage, "SELECT n FROM redemptions WHERE rid = ?", &[rid.as_bytes().as_slice().into()])?;
        Ok(row.map(|row| row.count(0)))
    }
}
