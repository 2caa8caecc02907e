//! Figures for administrators. They come from Recorders and lag by seconds; balances never do.

use super::pool::PoolFigures;
use super::redemption::RedemptionStatus;
use crate::breaker::BreakerState;
use crate::code::Profile;
use crate::protocol::recorder::{BOUNDS_MS, is_redeemed};
use crate::time::Instant;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many by name; names that never occurred are left out.
pub type Counts = BTreeMap<String, u64>;

/// Answer of `GET /v1/stats`, over all months.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    /// Pools with their stock as it is now.
    pub pools: Vec<PoolFigures>,
    /// Campaign keys whose tags are being guessed so often that new accounts are kept out.
    pub breakers: Vec<BreakerFigures>,
}

/// The breaker of one campaign key, from a challenge on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BreakerFigures {
    /// The campaign.
    pub campaign: u16,
    /// Layout of its codes.
    #[cfg_attr(feature = "typescript", ts(type = "'S16' | 'S20' | 'S25'"))]
    pub profile: Profile,
    /// Epoch of the key.
    pub epoch: u8,
    /// How far guessing has gone.
    pub state: BreakerState,
}

/// Figures of one kind of members.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
    /// Redemptions that gave something, and were not cancelled, by their quantity.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub quantities: Counts,
    /// Share of those that were of one unit, from 0 to 1 and to four digits; 0 where there are none.
    pub share_of_one: f64,
    /// Share of those of more.
    pub share_of_more: f64,
    /// Redemptions that were refused because a pool had too few codes.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub shortages: u64,
    /// Wrong codes and wrong aliases.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub unrecognised: u64,
    /// Tries to grant a reward that failed.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub grants_failed: u64,
    /// From a request until a 2xx may name its redemption.
    pub acceptance_ms: Histogram,
    /// From a request until its redemption is decided.
    pub processing_ms: Histogram,
}

impl Figures {
    /// Puts in what follows from the rest.
    pub fn complete(&mut self) {
        self.shortages = self.refusals.get("insufficient_codes").copied().unwrap_or_default();
        let more: u64 = self.quantities.values().sum();
        let of = |name: &str| self.redemptions.get(name).copied().unwrap_or_default();
        let redeemed: u64 =
            RedemptionStatus::ALL.into_iter().filter(|status| is_redeemed(*status)).map(|s| of(s.name())).sum();
        let one = redeemed.saturating_sub(more);
        if one > 0 {
            self.quantities.insert("1".to_owned(), one);
        }
        (self.share_of_one, self.share_of_more) = (share(one, one + more), share(more, one + more));
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown to people, and far below 2⁵³")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0 }
}

/// How long something took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Histogram {
    /// How many took no longer than each bound; what took longer than all is in the count alone.
    pub buckets: Vec<Bucket>,
    /// How many.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub count: u64,
    /// Together.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub sum_ms: u64,
}

/// One bound of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Bucket {
    /// Milliseconds.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub le: u64,
    /// How many took no longer.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: BOUNDS_MS.into_iter().map(|le| Bucket { le, count: 0 }).collect(), count: 0, sum_ms: 0 }
    }
}

impl Histogram {
    /// Adds times of one class: its bound, 0 for the class without one.
    pub fn add(&mut self, class: u64, count: u64, sum_ms: u64) {
        for bucket in self.buckets.iter_mut().filter(|bucket| class > 0 && bucket.le >= class) {
            bucket.count += count;
        }
        self.count += count;
        self.sum_ms += sum_ms;
    }
}

/// Figures of one campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CampaignFigures {
    /// Its number.
    pub campaign: u16,
    /// Its redemptions by status.
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, number>"))]
    pub redemptions: Counts,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, u64)]) -> Counts {
        list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_not_of_more_is_of_one() {
        for (redemptions, quantities, expected, shares) in [
            (vec![], vec![], vec![], (0.0, 0.0)),
            (vec![("refused", 7), ("redeeming", 1), ("held", 1), ("cancelled", 2)], vec![], vec![], (0.0, 0.0)),
            (vec![("granted", 2), ("reversed", 1)], vec![], vec![("1", 3)], (1.0, 0.0)),
            (vec![("granted", 2), ("grant_failed", 1)], vec![("5", 1)], vec![("1", 2), ("5", 1)], (0.6667, 0.3333)),
            (vec![("granted", 2)], vec![("5", 1), ("100", 1)], vec![("100", 1), ("5", 1)], (0.0, 1.0)),
        ] {
            let (redemptions, quantities) = (counts(&redemptions), counts(&quantities));
            let mut figures = Figures { redemptions, quantities, ..Figures::default() };
            figures.complete();
            assert_eq!(figures.quantities, counts(&expected));
            assert_eq!((figures.share_of_one, figures.share_of_more), shares);
        }
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut histogram = Histogram::default();
        histogram.add(10, 2, 15);
        histogram.add(60_000, 1, 20_000);
        histogram.add(0, 1, 70_000);
        let at = |le| histogram.buckets.iter().find(|bucket| bucket.le == le).map(|bucket| bucket.count);
        assert_eq!([at(5), at(10), at(10_000), at(60_000)], [Some(0), Some(2), Some(2), Some(3)]);
        assert_eq!((histogram.count, histogram.sum_ms), (4, 90_015));
    }
}
