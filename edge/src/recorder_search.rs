//! SQL of a Recorder's lists: redemptions of one month that pass a filter, the newest first.
//!
//! A request looks at so many rows at most. Where few of them pass, the answer says how far it has come, and the list
//! goes on from there. What people look for one by one (a code, an order, a reference, what is unfinished) has an index.

use crate::platform::Fault;
use crate::recorder_calls::{ListPlace, Listing, RedemptionsQuery};
use crate::recorder_store::RecorderStore;
use crate::sql::{Row, first, query};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{ListedRedemption, RedemptionStatus};

/// Rows that one request looks at.
const SCANNED_MAX: u32 = 10_000;

/// Redemptions that still need something, for the index of lists by state; the texts of index and query must be
/// the same.
macro_rules! unfinished {
    () => {
        "status IN ('redeeming', 'redeem_failed', 'redeemed', 'granting', 'grant_failed')"
    };
}

/// Indexes of what is looked for among very many.
pub(crate) const INDEXES: [&str; 4] = [
    concat!("CREATE INDEX IF NOT EXISTS unfinished ON history (status, created_at, id) WHERE ", unfinished!()),
    "CREATE INDEX IF NOT EXISTS history_code ON history (campaign, seq) WHERE seq IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS history_order ON history (shop_order) WHERE shop_order IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS history_reference ON history (reference) WHERE reference IS NOT NULL",
];

/// The rows that are looked at, by what has an index.
macro_rules! scanned {
    ($columns:literal, $($indexed:tt)*) => {
        concat!(
            "SELECT ", $columns, " FROM history WHERE (created_at, id) < (?1, ?2) AND created_at >= ?3 AND created_at < ?4 AND ",
            $($indexed)*,
            " ORDER BY created_at DESC, id DESC LIMIT ?5"
        )
    };
}

/// Those of them that pass, in the order in which they are looked at.
macro_rules! listing {
    ($($indexed:tt)*) => {
        concat!(
            "SELECT doc FROM (",
            scanned!("status, campaign, seq, tester, updated_at, shop_order, reference, doc", $($indexed)*),
            ") WHERE (?6 IS NULL OR status = ?6) AND (?7 IS NULL OR campaign = ?7) AND (?8 IS NULL OR seq = ?8)
             AND (?9 IS NULL OR shop_order = ?9) AND (?10 IS NULL OR reference = ?10)
             AND (?11 IS NULL OR doc ->> '$.batch_id' = ?11)
             AND (?12 IS NULL OR doc ->> '$.by' = ?12 OR substr(doc ->> '$.by', instr(doc ->> '$.by', ':') + 1) = ?12)
             AND updated_at >= ?13 AND tester <= ?14 LIMIT ?15"
        )
    };
}

/// Where looking stopped: the last row, where there were as many as are looked at.
macro_rules! last_scanned {
    ($($indexed:tt)*) => {
        concat!(
            "SELECT created_at, id FROM (",
            scanned!("created_at, id", $($indexed)*),
            ") LIMIT 1 OFFSET ?5 - 1"
        )
    };
}

/// How a list is read: what passes, where looking stopped, and the parameters of the latter.
type Statements = (&'static str, &'static str, usize);

const BY_CODE: Statements = (listing!("campaign = ?7 AND seq = ?8"), last_scanned!("campaign = ?7 AND seq = ?8"), 8);
const BY_ORDER: Statements = (listing!("shop_order = ?9"), last_scanned!("shop_order = ?9"), 9);
const BY_REFERENCE: Statements = (listing!("reference = ?10"), last_scanned!("reference = ?10"), 10);
const UNFINISHED: Statements =
    (listing!("status = ?6 AND ", unfinished!()), last_scanned!("status = ?6 AND ", unfinished!()), 6);
const ALL: Statements = (listing!("true"), last_scanned!("true"), 5);

/// Later than every instant, as text that sorts last.
const END_OF_TIME: i64 = 9_007_199_254_740_991;
const LAST_TEXT: &str = "\u{10ffff}";
/// Earlier than every instant.
const BEGIN_OF_TIME: i64 = -END_OF_TIME;

impl RecorderStore<'_> {
    pub(crate) fn redemptions(&self, asked: &RedemptionsQuery) -> Result<Listing, Fault> {
        let RedemptionsQuery { before, limit, filter } = asked;
        let (passing, stopping, parameters) = if filter.seq.is_some() {
            BY_CODE
        } else if filter.order.is_some() {
            BY_ORDER
        } else if filter.reference.is_some() {
            BY_REFERENCE
        } else if filter.status.is_some_and(is_unfinished) {
            UNFINISHED
        } else {
            ALL
        };
        let (before_at, before_id) = before
            .as_ref()
            .map_or((END_OF_TIME, LAST_TEXT), |place| (place.created_at.0, place.redemption_id.as_str()));
        let values = [
            before_at.into(),
            before_id.into(),
            filter.from.map_or(BEGIN_OF_TIME, |at| at.0).into(),
            filter.to.map_or(END_OF_TIME, |at| at.0).into(),
            SCANNED_MAX.into(),
            filter.status.map(RedemptionStatus::name).into(),
            filter.campaign.map(u32::from).into(),
            filter.seq.into(),
            filter.order.as_deref().into(),
            filter.reference.as_deref().into(),
            filter.batch_id.as_deref().into(),
            filter.staff.as_deref().into(),
            filter.since.map_or(BEGIN_OF_TIME, |at| at.0).into(),
            u32::from(filter.testers).into(),
            (*limit).into(),
        ];
        let rows = query(self.0, passing, &values)?;
        let items: Vec<ListedRedemption> = rows.iter().map(|row| row.json(0)).collect::<Result<_, _>>()?;
        let full = u32::try_from(items.len()).is_ok_and(|found| found >= *limit);
        let scanned = values.get(..parameters).unwrap_or_default();
        let last = if full { None } else { first(self.0, stopping, scanned)? };
        let place =
            |row: Row| Ok::<_, Fault>(ListPlace { created_at: Instant(row.integer(0)), redemption_id: row.text(1)? });
        Ok(Listing { items, stopped_at: last.map(place).transpose()? })
    }
}

/// Whether the index of what is unfinished has this status.
const fn is_unfinished(status: RedemptionStatus) -> bool {
    match status {
        RedemptionStatus::Redeeming
        | RedemptionStatus::RedeemFailed
        | RedemptionStatus::Redeemed
        | RedemptionStatus::Granting
        | RedemptionStatus::GrantFailed => true,
        RedemptionStatus::Refused
        | RedemptionStatus::Held
        | RedemptionStatus::Granted
        | RedemptionStatus::Cancelled
        | RedemptionStatus::Reversed => false,
    }
}
