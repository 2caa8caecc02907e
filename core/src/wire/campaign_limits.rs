//! How often, and for how much, a campaign's codes are redeemed.

use super::body::InvalidRequest;
use super::definition::{RewardDefinition, RewardType, RewardValue, valid_currency};
use crate::limits::{INTEGER_MAX, USES_PER_CODE_MAX};
use serde::{Deserialize, Serialize};

/// How often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Uses of each code; default 1 for unique, no limit of its own for shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::USES_PER_CODE_MAX)))]
    pub uses_per_code: Option<u64>,
    /// Redemptions of the whole campaign by one member; default 1 for shared, no limit for unique.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub per_member: Option<u64>,
    /// Redemptions in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub total: Option<u64>,
    /// The same within a day, a week or a month of the campaign's zone; each sort of window once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(min = 1, max = 3)))]
    pub windows: Option<Vec<WindowLimit>>,
    /// How much may be given in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// A sort of window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum WindowKind {
    /// A calendar day.
    Day,
    /// An ISO week, from Monday.
    Week,
    /// A calendar month.
    Month,
}

impl WindowKind {
    /// As written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// A limit within each window of a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct WindowLimit {
    /// Which windows.
    pub per: WindowKind,
    /// Redemptions by one member within one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub per_member: Option<u64>,
    /// Redemptions in all within one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub total: Option<u64>,
}

/// An amount of money that a campaign may give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Budget {
    /// ISO 4217.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Currency"))]
    pub currency: String,
    /// In minor units.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub amount_minor: u64,
}

impl Limits {
    /// Complains about limits out of range and about budgets that count nothing.
    pub(crate) fn check(&self, errors: &mut InvalidRequest, reward: Option<&RewardDefinition>) {
        if self.uses_per_code.is_some_and(|uses| !(1..=USES_PER_CODE_MAX).contains(&uses)) {
            errors.add("limits.uses_per_code", format!("1 to {USES_PER_CODE_MAX}"));
        }
        let mut within = |path: &str, limit: Option<u64>| {
            if limit.is_some_and(|limit| !(1..=INTEGER_MAX).contains(&limit)) {
                errors.add(path, format!("1 to {INTEGER_MAX}"));
            }
        };
        within("limits.per_member", self.per_member);
        within("limits.total", self.total);
        within("limits.budget.amount_minor", self.budget.as_ref().map(|budget| budget.amount_minor));
        let windows = self.windows.as_deref().unwrap_or_default();
        for (index, window) in windows.iter().enumerate() {
            within(&format!("limits.windows[{index}].per_member"), window.per_member);
            within(&format!("limits.windows[{index}].total"), window.total);
        }
        if self.windows.as_ref().is_some_and(Vec::is_empty) {
            errors.add("limits.windows", "at least one; leave it out for none");
        }
        for (index, window) in windows.iter().enumerate() {
            if window.per_member.is_none() && window.total.is_none() {
                errors.add(&format!("limits.windows[{index}]"), "per_member or total");
            }
            if windows.iter().take(index).any(|earlier| earlier.per == window.per) {
                errors.add(&format!("limits.windows[{index}].per"), "each sort of window once");
            }
        }
        let Some(budget) = &self.budget else { return };
        if !valid_currency(&budget.currency) {
            errors.add("limits.budget.currency", "three capital letters (ISO 4217)");
        } else if let Some(reward) = reward {
            match money(reward) {
                None => errors.add("limits.budget", "counts credit and money discounts only"),
                Some((currency, _)) if currency != budget.currency => {
                    errors.add("limits.budget.currency", format!("the reward is in {currency}"));
                }
                Some(_) => {}
            }
        }
    }
}

/// Currency and amount of what a reward is worth, where it is worth money by itself.
#[must_use]
pub fn money(reward: &RewardDefinition) -> Option<(&str, u64)> {
    match (reward.kind, &reward.value) {
        (RewardType::Credit | RewardType::Discount, RewardValue::Credit { currency, amount_minor }) => {
            Some((currency, *amount_minor))
        }
        (_, _) => None,
    }
}
