//! What a till shows of the member whose telephone number was typed.

use super::till::CatalogueItem;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/till/lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LookupBody {
    /// Telephone number in E.164, or national where the merchant has a country.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
    pub phone: String,
}

/// Answer of `POST /v1/till/lookup`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TillMember {
    /// The merchant's own id of them.
    pub member_id: String,
    /// Shown to staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The balance as it is now.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points: u64,
    /// What it buys, the dearest first; only rewards that are for this member.
    pub rewards: Vec<CatalogueItem>,
    /// The nearest that it does not buy yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_reward: Option<NextReward>,
}

/// The cheapest reward for a member that their points do not buy yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NextReward {
    /// Definition.
    pub reward_id: String,
    /// Shown to people.
    pub name: String,
    /// Points for one unit.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_cost: u64,
    /// How many are missing.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_needed: u64,
}

impl TillMember {
    /// Of a member and everything that points buy for them.
    #[must_use]
    pub fn of(member_id: String, name: Option<String>, points: u64, catalogue: Vec<CatalogueItem>) -> Self {
        let (mut rewards, beyond): (Vec<_>, Vec<_>) =
            catalogue.into_iter().filter(|item| item.eligible).partition(|item| item.affordable);
        rewards.sort_by_key(|item| core::cmp::Reverse(item.points_cost));
        let next = beyond.into_iter().min_by_key(|item| item.points_cost);
        let next_reward = next.map(|item| NextReward {
            reward_id: item.reward_id,
            name: item.name,
            points_cost: item.points_cost,
            points_needed: item.points_cost.saturating_sub(points),
        });
        Self { member_id, name, points, rewards, next_reward }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RewardType, RewardValue};

    #[test]
    fn staff_see_what_can_be_given_and_what_is_nearest() {
        let item = |reward_id: &str, points_cost: u64, eligible: bool| CatalogueItem {
            reward_id: reward_id.to_owned(),
            name: reward_id.to_uppercase(),
            kind: RewardType::External,
            value: RewardValue::Reference { reference: None },
            points_cost,
            affordable: points_cost <= 50,
            points_needed: points_cost.checked_sub(50).filter(|missing| *missing > 0),
            eligible,
            unmet: (!eligible).then(|| vec!["tier".to_owned()]),
        };
        let catalogue = vec![
            item("tea", 20, true),
            item("cake", 50, true),
            item("staff", 10, false),
            item("mug", 80, true),
            item("vip", 60, false),
            item("bag", 90, true),
        ];
        let shown = TillMember::of("ann".to_owned(), None, 50, catalogue);
        let rewards: Vec<_> = shown.rewards.iter().map(|item| item.reward_id.as_str()).collect();
        assert_eq!(rewards, ["cake", "tea"]);
        let next = shown.next_reward.unwrap();
        assert_eq!((next.reward_id.as_str(), next.name.as_str(), next.points_cost), ("mug", "MUG", 80));
        assert_eq!(next.points_needed, 30);
        let nothing = TillMember::of("ann".to_owned(), None, 50, vec![item("staff", 10, false)]);
        assert_eq!((nothing.rewards, nothing.next_reward), (vec![], None));
    }
}
