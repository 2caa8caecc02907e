//! What points buy, and for how many: prices by a member's attributes.

use crate::limits::INTEGER_MAX;
use crate::token::Attributes;
use crate::wire::{CatalogueItem, Price, RewardDefinition};

/// Points for one unit of a reward for a member with these attributes; `None` where points do not buy it.
///
/// Of the price rules all of whose attributes match, the one that names the most wins; on a tie the lowest. Without
/// one it costs what everybody pays.
#[must_use]
pub fn unit_cost(definition: &RewardDefinition, attributes: &Attributes) -> Option<u64> {
    let rules = definition.prices.as_deref().unwrap_or_default();
    let matching = rules.iter().filter(|price| matches(price, attributes));
    let best = matching.min_by_key(|price| (core::cmp::Reverse(fields(price)), price.points_cost));
    best.map(|price| price.points_cost).or(definition.points_cost)
}

/// What so many units cost; `None` beyond the integers that clients keep exactly.
#[must_use]
pub fn total_cost(unit_cost: u64, quantity: u32) -> Option<u64> {
    unit_cost.checked_mul(u64::from(quantity)).filter(|total| *total <= INTEGER_MAX)
}

fn fields(price: &Price) -> usize {
    let Price { tier, persona, tag, .. } = price;
    [tier, persona, tag].into_iter().filter(|field| field.is_some()).count()
}

fn matches(price: &Price, attributes: &Attributes) -> bool {
    let Price { tier, persona, tag, .. } = price;
    let tags = attributes.tags.as_deref().unwrap_or_default();
    (tier.is_none() || *tier == attributes.tier)
        && (persona.is_none() || *persona == attributes.persona)
        && tag.as_ref().is_none_or(|tag| tags.contains(tag))
}

/// What a member with so many points sees of these rewards, in the same order. What has no price for them is left out;
/// what is not for them is shown with the reason.
#[must_use]
pub fn catalogue(
    definitions: &[RewardDefinition],
    attributes: &Attributes,
    roles: &[String],
    points: u64,
) -> Vec<CatalogueItem> {
    definitions.iter().filter_map(|definition| item(definition, attributes, roles, points)).collect()
}

fn item(
    definition: &RewardDefinition,
    attributes: &Attributes,
    roles: &[String],
    points: u64,
) -> Option<CatalogueItem> {
    let points_cost = unit_cost(definition, attributes)?;
    let unmet = definition.eligibility.as_ref().map(|wanted| wanted.unmet(attributes, roles)).unwrap_or_default();
    let missing = points_cost.saturating_sub(points);
    Some(CatalogueItem {
        reward_id: definition.reward_id.clone(),
        name: definition.name.clone(),
        kind: definition.kind,
        value: definition.value.clone(),
        points_cost,
        affordable: missing == 0,
        points_needed: (missing > 0).then_some(missing),
        eligible: unmet.is_empty(),
        unmet: (!unmet.is_empty()).then_some(unmet),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::NewRewardDefinition;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn definition(id: &str, more: &Value) -> RewardDefinition {
        let mut body = json!({ "name": id, "type": "external", "value": {} });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        serde_json::from_value::<NewRewardDefinition>(body).unwrap().define(id).unwrap()
    }

    fn member(tier: &str, persona: &str, tags: &[&str]) -> Attributes {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Attributes { tier: some(tier), persona: some(persona), tags: (!tags.is_empty()).then_some(tags) }
    }

    fn check(prices: &Value, base: Option<u64>, who: &Attributes, expected: Option<u64>) {
        let mut more = json!({});
        if let Some(base) = base {
            more["points_cost"] = base.into();
        }
        if prices.as_array().is_some_and(|prices| !prices.is_empty()) {
            more["prices"] = prices.clone();
        }
        assert_eq!(unit_cost(&definition("r", &more), who), expected, "{prices} for {who:?}");
    }

    #[test]
    fn most_fields_win_and_the_lowest_on_a_tie() {
        let nobody = member("", "", &[]);
        let (gold, gold_vip) = (member("gold", "", &[]), member("gold", "", &["vip", "early"]));
        let all = member("gold", "runner", &["vip"]);
        let prices = json!([
            { "tier": "gold", "points_cost": 80 },
            { "tag": "vip", "points_cost": 70 },
            { "tier": "gold", "tag": "vip", "points_cost": 75 },
            { "tier": "gold", "persona": "runner", "points_cost": 74 },
            { "tier": "silver", "points_cost": 1 },
        ]);
        for (who, expected) in [
            (&nobody, 100),
            (&gold, 80),
            // Two fields win against one, even where one would be cheaper.
            (&gold_vip, 75),
            (&all, 74),
            (&member("", "", &["vip"]), 70),
            (&member("silver", "runner", &[]), 1),
            (&member("Gold", "", &[]), 100),
        ] {
            check(&prices, Some(100), who, Some(expected));
        }
        check(&json!([]), None, &gold, None);
        check(&json!([]), Some(0), &gold, Some(0));
        // Without a price for everybody it is for sale only to those whom some price matches.
        let for_gold = json!([{ "tier": "gold", "points_cost": 80 }]);
        check(&for_gold, None, &gold, Some(80));
        check(&for_gold, None, &nobody, None);
        // A rule may be dearer than what everybody pays.
        check(&json!([{ "tier": "gold", "points_cost": 200 }]), Some(100), &gold, Some(200));
        let three = json!([
            { "tier": "gold", "persona": "runner", "tag": "vip", "points_cost": 90 },
            { "tier": "gold", "persona": "runner", "points_cost": 10 },
        ]);
        check(&three, Some(100), &all, Some(90));
    }

    #[test]
    fn the_catalogue_says_what_is_missing() {
        let definitions = [
            definition("mug", &json!({ "points_cost": 50 })),
            definition("bike", &json!({ "points_cost": 5_000 })),
            definition("gift", &json!({})),
            definition("club", &json!({ "points_cost": 10, "eligibility": { "roles": ["staff"], "tiers": ["gold"] } })),
            definition("free", &json!({ "points_cost": 0 })),
        ];
        let items = catalogue(&definitions, &member("silver", "", &[]), &["staff".to_owned()], 50);
        let seen: Vec<_> = items
            .iter()
            .map(|item| (item.reward_id.as_str(), item.affordable, item.points_needed, item.eligible))
            .collect();
        let expected = [
            ("mug", true, None, true),
            ("bike", false, Some(4_950), true),
            ("club", true, None, false),
            ("free", true, None, true),
        ];
        assert_eq!(seen, expected);
        assert_eq!(items[2].unmet.as_deref(), Some(&["tier".to_owned()][..]));
        assert_eq!(items[0].unmet, None);
    }

    proptest! {
        /// The price is always one that is written down, and the order of the rules does not matter.
        #[test]
        fn prices_are_found_whatever_their_order(
            rules in proptest::collection::vec((0usize..3, 0usize..3, 0usize..3, 0u64..50), 0..8),
            base in proptest::option::of(0u64..50),
            who in (0usize..3, 0usize..3, 0usize..3),
        ) {
            let names = ["", "a", "b"];
            let price = |(tier, persona, tag, points_cost): &(usize, usize, usize, u64)| {
                let some = |index: usize| (index > 0).then(|| names[index].to_owned());
                Price { tier: some(*tier), persona: some(*persona), tag: some(*tag), points_cost: *points_cost }
            };
            let mut prices: Vec<Price> = rules.iter().map(price).filter(|price| fields(price) > 0).collect();
            let attributes = member(names[who.0], names[who.1], &[names[who.2]]);
            let mut reward = definition("r", &json!({}));
            (reward.points_cost, reward.prices) = (base, Some(prices.clone()));
            let cost = unit_cost(&reward, &attributes);
            let written: Vec<u64> = prices.iter().map(|price| price.points_cost).chain(base).collect();
            prop_assert!(cost.is_none_or(|cost| written.contains(&cost)));
            prop_assert!(cost.is_some() || base.is_none());
            prices.reverse();
            reward.prices = Some(prices);
            prop_assert_eq!(unit_cost(&reward, &attributes), cost);
        }
    }
}
