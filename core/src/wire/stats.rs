//! Figures for administrators. They come from Recorders and lag by seconds; balances never do.

use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many by name; names that never occurred are left out.
pub type Counts = BTreeMap<String, u64>;

/// Answer of `GET /v1/stats`, over all months.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
pub struct Stats {
    /// When they were put together.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// How long the last recorded change took from its commit to here; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub lag_ms: Option<u64>,
    /// Production: everybody but testers.
    #[serde(flatten)]
    pub production: Figures,
    /// Testers, apart.
    pub testers: Figures,
    /// Events to webhook endpoints by state: `waiting`, `delivered`, `failed`.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub deliveries: Counts,
}

/// Figures of one kind of members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Figures {
    /// Redemptions by status.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub redemptions: Counts,
    /// The same by campaign, in order of their numbers.
    pub campaigns: Vec<CampaignFigures>,
    /// Recorded refusals by code.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub refusals: Counts,
    /// Rewards by state.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub rewards: Counts,
}

/// Figures of one campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct CampaignFigures {
    /// Its number.
    pub campaign: u16,
    /// Its redemptions by status.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub redemptions: Counts,
}
