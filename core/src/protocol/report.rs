//! Reports of an object to its merchant's Recorders: step 6 of the protocol.
//!
//! An object appends to its audit chain in the deciding commit and keeps what it has to tell in an outbox until the
//! Recorder has it. Messages repeat safely: a Recorder takes each (source, n) once.

use crate::audit::Entry;
use crate::ids::{Fingerprint, Mref, Rid};
use crate::time::Instant;
use crate::wire::Redemption;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A redemption as lists and figures show it. It names its member by a random `pid` only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// As it stands after this entry.
    pub redemption: Redemption,
    /// Whose.
    pub pid: String,
    /// Kept apart from production figures.
    #[serde(default)]
    pub tester: bool,
}

/// An event for the merchant's webhook endpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The webhook's id, the same on every try.
    pub id: String,
    /// `redemption.<status>`, `reward.<state>` …
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was decided.
    pub at: Instant,
    /// The whole resource as it stood then. Without the member's own id: that is put in when it is sent.
    pub data: Value,
    /// Whose, so that the member can be asked for their id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mref: Option<Mref>,
}

/// A prepared use whose pending row can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Campaign number.
    pub campaign: u16,
    /// Number of the shard.
    pub shard: u32,
    /// Redemption.
    pub rid: Rid,
    /// Command.
    pub fp: Fingerprint,
}

/// One row of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Place in the source's audit chain.
    pub n: u64,
    /// The audit entry; absent where only a record goes to the month in which its redemption began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// Hash of the entry.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// Kept apart from production figures.
    #[serde(default)]
    pub tester: bool,
    /// The redemption that it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// What endpoints are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Outgoing>,
    /// What the participant is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the source's audit chain.
    pub source: String,
    /// In order.
    pub rows: Vec<ReportRow>,
}

/// The month of an instant, as Recorders are named: `2026-11`.
#[must_use]
pub fn month_of(at: Instant) -> String {
    at.to_string().get(..7).unwrap_or("1970-01").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months() {
        for (at, month) in [("2026-11-30T23:59:59Z", "2026-11"), ("2026-12-01T00:00:00Z", "2026-12")] {
            assert_eq!(month_of(Instant::parse(at).unwrap()), month);
        }
    }
}
