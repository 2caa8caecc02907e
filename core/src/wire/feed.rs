//! The live feed's frames.

use super::redemption::Redemption;
use super::reward::Reward;
use super::wallet::Wallet;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// One numbered message on a member's feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "FeedEvent"))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "FeedEvent"))]
pub struct Event {
    /// From 1, without gaps.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub seq: u64,
    /// When it was decided.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// `redemption.updated`, `reward.updated`, `wallet.updated`, `pool.assigned` or `notice`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The whole resource as it stood then.
    #[cfg_attr(feature = "typescript", ts(type = "unknown"))]
    pub data: serde_json::Value,
}

/// An answer of the long poll.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct EventPage {
    /// At most 500, ascending.
    pub events: Vec<Event>,
    /// Give this as `since` next time.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub next_since: u64,
}

/// Sent instead of events when `since` is older than what is kept, or ahead of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FeedReset {
    /// Always true.
    #[cfg_attr(feature = "typescript", ts(type = "true"))]
    pub reset: bool,
    /// Continue from here.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub since: u64,
    /// As it stands.
    pub wallet: Wallet,
    /// The latest.
    pub rewards: Vec<Reward>,
    /// The latest.
    pub redemptions: Vec<Redemption>,
}
