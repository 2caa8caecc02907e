//! Reports of an object to its merchant's Recorders: step 6 of the protocol.
//!
//! An object appends to its audit chain in the deciding commit and keeps what it has to tell in an outbox until the
//! Recorder has it. Messages repeat safely: a Recorder takes each (source, n) once.

use crate::audit::Entry;
use crate::breaker::Claim;
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
    /// Number of its code in minting order, told with its acceptance and its decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
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
    /// The whole resource as it stood then; null for the redemption that the same row tells. Without the member's own
    /// id: that is put in when it is sent.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// Whose, so that the member can be asked for their id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mref: Option<Mref>,
}

/// Who keeps a prepared use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Participant {
    /// A CodeShard: the use of a code.
    Shard {
        /// Campaign number.
        campaign: u16,
        /// Number of the shard.
        shard: u32,
    },
    /// A Pool: promo codes.
    Pool {
        /// Which, of the same merchant.
        pool_id: String,
    },
}

/// A prepared use whose pending row can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Who is told.
    pub participant: Participant,
    /// Redemption.
    pub rid: Rid,
    /// Command.
    pub fp: Fingerprint,
}

/// How long a redemption took, from its request to a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// In the row of the first commit that a 2xx could name it after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_ms: Option<u64>,
    /// In the row of its decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_ms: Option<u64>,
}

impl Took {
    /// Of the commit that makes an undecided redemption durable. `arrived` is when its request came in.
    #[must_use]
    pub fn accepting(arrived: Option<Instant>, now: Instant) -> Option<Self> {
        Some(Self { accepted_ms: Some(since(arrived?, now)), decided_ms: None })
    }

    /// Of the commit that decides: the first that was durable, unless the redemption was opened before.
    #[must_use]
    pub fn deciding(arrived: Option<Instant>, opened_at: Option<Instant>, now: Instant) -> Option<Self> {
        let decided = since(arrived.or(opened_at)?, now);
        Some(Self { accepted_ms: opened_at.is_none().then_some(decided), decided_ms: Some(decided) })
    }
}

/// No time is negative, whatever the clock did.
fn since(from: Instant, now: Instant) -> u64 {
    u64::try_from(now.0 - from.0).unwrap_or_default()
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
    /// What participants are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settled: Vec<Settled>,
    /// How long it took, where that came to an end with this entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Took>,
    /// The campaign key that a code names whose tag does not fit. Beside the entry, never in it: what is claimed is no
    /// fact, and only the breaker counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
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
    fn times_are_told_once_each() {
        let took = |accepted_ms, decided_ms| Some(Took { accepted_ms, decided_ms });
        let (arrived, opened, now) = (Some(Instant(100)), Some(Instant(130)), Instant(175));
        assert_eq!(Took::accepting(arrived, Instant(130)), took(Some(30), None));
        assert_eq!(Took::accepting(None, now), None);
        for (arrived, opened, expected) in [
            (arrived, None, took(Some(75), Some(75))),
            (arrived, opened, took(None, Some(75))),
            (None, opened, took(None, Some(45))),
            (None, None, None),
            (Some(Instant(180)), None, took(Some(0), Some(0))),
        ] {
            assert_eq!(Took::deciding(arrived, opened, now), expected);
        }
    }

    #[test]
    fn months() {
        for (at, month) in [("2026-11-30T23:59:59Z", "2026-11"), ("2026-12-01T00:00:00Z", "2026-12")] {
            assert_eq!(month_of(Instant::parse(at).unwrap()), month);
        }
    }
}
