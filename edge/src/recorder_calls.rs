//! Messages to a Recorder, and its answers.

use crate::objects::Objects;
use crate::platform::Fault;
use counterfoil_core::protocol::report::Report;
use counterfoil_core::search::Filter;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{AuditRow, ListedRedemption};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Asked of a Recorder.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RecorderOp {
    /// Takes what an object has to tell; acknowledged once it is durable. Written by [`Objects::report`].
    Report(Report),
    /// Redemptions that began in this month, the newest first; answered with [`Listing`].
    Redemptions(RedemptionsQuery),
    /// Audit entries, the newest first; answered with [`Entries`].
    Entries(EntriesQuery),
    /// Where an export that begins now will end; answered with [`ExportBounds`].
    ExportBounds,
    /// The next lines of an export; answered with [`ExportPage`].
    Export { after: ExportPlace, bounds: ExportBounds },
    /// Answered with [`MonthFigures`].
    Figures,
    /// Wrong tags of a campaign's keys; answered with [`Claimed`](crate::recorder_claims::Claimed).
    Claims { campaign: u16 },
    /// An endpoint answers again: what waits for it is sent now.
    Hurry { endpoint_id: String },
    /// An event is sent to an endpoint once more, whatever became of it before.
    Resend { endpoint_id: String, delivery_id: String },
    /// Endpoints were made, changed or deleted: what is remembered of them no longer counts.
    Subscribed,
}

/// See [`RecorderOp::Redemptions`]; of a Member, [`MemberOp::Search`](crate::calls::MemberOp::Search).
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct RedemptionsQuery {
    pub(crate) before: Option<ListPlace>,
    pub(crate) limit: u32,
    pub(crate) filter: Filter,
}

/// Where a list of redemptions goes on.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ListPlace {
    pub(crate) created_at: Instant,
    pub(crate) redemption_id: String,
}

/// Redemptions, the newest first.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) items: Vec<ListedRedemption>,
    /// As far as was looked, where that was not to the end: there may be more.
    pub(crate) stopped_at: Option<ListPlace>,
}

/// See [`RecorderOp::Entries`].
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct EntriesQuery {
    /// Entries recorded before this one.
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
    pub(crate) object: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) from: Option<Instant>,
    pub(crate) to: Option<Instant>,
}

/// Entries with their places in the order of recording.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entries {
    pub(crate) items: Vec<(u64, AuditRow)>,
}

/// Entries and seals that an export holds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ExportBounds {
    pub(crate) entries: u64,
    pub(crate) seals: u64,
}

/// The last entry and the last seal that were written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExportPlace {
    pub(crate) entry: u64,
    pub(crate) seal: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ExportPage {
    /// Whole lines.
    pub(crate) text: String,
    pub(crate) place: ExportPlace,
    pub(crate) done: bool,
}

/// What a Recorder has counted.
#[derive(Serialize, Deserialize)]
pub(crate) struct MonthFigures {
    pub(crate) counted: Vec<Counted>,
    pub(crate) times: Vec<CountedTime>,
    /// Deliveries by state.
    pub(crate) deliveries: BTreeMap<String, u64>,
    /// When the last entry was recorded, and how long it took from its commit.
    pub(crate) last: Option<(Instant, u64)>,
}

/// One counter.
#[derive(Serialize, Deserialize)]
pub(crate) struct Counted {
    pub(crate) figure: String,
    pub(crate) campaign: u16,
    pub(crate) key: String,
    pub(crate) tester: bool,
    pub(crate) count: i64,
}

/// Times of one class.
#[derive(Serialize, Deserialize)]
pub(crate) struct CountedTime {
    pub(crate) timed: String,
    /// Its bound; 0 for the class that has none.
    pub(crate) class: u64,
    pub(crate) tester: bool,
    pub(crate) count: u64,
    pub(crate) sum_ms: u64,
}

/// Object name of a merchant's Recorder of a month.
pub(crate) fn recorder_name(merchant: &str, month: &str) -> String {
    format!("{merchant}/{month}/0")
}

impl Objects<'_> {
    /// Tells a Recorder that an endpoint answers again; its status.
    pub(crate) async fn hurry_recorder(&self, name: &str, endpoint_id: String) -> Result<u16, Fault> {
        let op = RecorderOp::Hurry { endpoint_id };
        self.recorder::<serde_json::Value>(name, &op).await.map(|_| 200)
    }

    /// Has an event sent once more.
    pub(crate) async fn resend_event(&self, name: &str, endpoint_id: String, delivery_id: String) -> Result<(), Fault> {
        let op = RecorderOp::Resend { endpoint_id, delivery_id };
        self.recorder::<serde_json::Value>(name, &op).await.map(drop)
    }
}
