//! Wallets and ledger rows.

use super::definition::RewardType;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Credit in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "Money"))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Money"))]
pub struct Credit {
    /// ISO 4217.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Currency"))]
    pub currency: String,
    /// Minor units.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub amount_minor: u64,
}

/// A running booster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Booster {
    /// The reward's id.
    pub id: String,
    /// Its definition.
    pub reward_id: String,
    /// Shown to people.
    pub name: String,
    /// What it multiplies.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Thousandths.
    pub multiplier_permille: u32,
    /// First instant at which it runs no more.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub runs_until: Instant,
}

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Wallet {
    /// Points.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points: u64,
    /// Experience.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub xp: u64,
    /// Tokens.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub tokens: u64,
    /// One entry per currency.
    pub credit: Vec<Credit>,
    /// Keys of unlocked features, ascending.
    pub features: Vec<String>,
    /// Running boosters, the first to end first.
    pub boosters: Vec<Booster>,
    /// Credit that orders hold, by currency: it has left the balance and may come back, so that what is added is checked
    /// against both. Not shown; the holds themselves are.
    #[serde(skip)]
    pub held: Vec<Credit>,
}

impl Wallet {
    /// Puts boosters in their order.
    pub fn order_boosters(&mut self) {
        self.boosters.sort_by_key(|booster| booster.runs_until);
    }
}

/// An append-only ledger row; a balance is their sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LedgerRow {
    /// Opaque.
    pub ledger_id: String,
    /// Short and readable, for receipts.
    pub number: String,
    /// When.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// `points`, `xp`, `tokens`, `credit`, `feature`, or `reward` for what no balance shows.
    pub asset: String,
    /// Of credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Key of a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature: Option<String>,
    /// Change, in minor units for credit; negative where something is taken.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub amount: i64,
    /// Balance after it.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub balance_after: u64,
    /// Why it was written: `redemption`, `reward` (applied later), `reversal`, `end` (its time is over), `adjustment`,
    /// `hold` (kept for an order), `release` (given back from one), `order` (used for one).
    pub kind: String,
    /// The redemption that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_id: Option<String>,
    /// Units, where it counts any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u32>,
    /// What the holder shows elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promo_code: Option<String>,
    /// The shop's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Actor.
    pub by: String,
    /// Why, where somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The row that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<String>,
}
