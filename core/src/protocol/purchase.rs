//! What a purchase with points costs, and whether it may be made.

use super::Purchase;
use crate::limits::INTEGER_MAX;
use crate::refusal::Refusal;

/// What is taken for a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Points for one unit.
    pub unit: u64,
    /// Points that are taken.
    pub taken: u64,
    /// Points that a manager lets go.
    pub goodwill: u64,
}

impl Payment {
    /// What each of so many rows takes: the unit's price from the first on, until nothing is left to take.
    pub fn rows(self, count: u32) -> impl Iterator<Item = u64> {
        (0..u64::from(count)).map(move |row| {
            let before = self.unit.saturating_mul(row);
            self.taken.saturating_sub(before).min(self.unit)
        })
    }
}

/// Rules 10, 17 and 18 for a member who has so many points. `quote_id` is shown with a shortage.
///
/// # Errors
/// The first refusal that applies.
pub fn check(purchase: &Purchase, points: u64, quote_id: Option<String>) -> Result<Payment, Refusal> {
    let Purchase { reward, quantity, attributes, roles, unit_cost, quote, .. } = purchase;
    let unmet = reward.eligibility.as_ref().map_or_else(Vec::new, |wanted| wanted.unmet(attributes, roles));
    if !unmet.is_empty() {
        return Err(Refusal::NotEligible { unmet });
    }
    let unit = unit_cost.ok_or(Refusal::RewardNotForSale)?;
    let total = unit.saturating_mul(u64::from(*quantity));
    let missing = total.saturating_sub(points);
    let overridden = quote.as_ref().is_some_and(|quote| quote.override_reason.is_some());
    // Nobody lets more go than clients can keep exactly: such a price is a slip, and no balance will ever cover it.
    if missing > 0 && (!overridden || total > INTEGER_MAX) {
        return Err(Refusal::InsufficientPoints { points_needed: missing.min(INTEGER_MAX), quote_id });
    }
    Ok(Payment { unit, taken: total - missing, goodwill: missing })
}

#[cfg(test)]
#[path = "purchase_tests.rs"]
mod decisions;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Rid;
    use crate::protocol::QuoteTerms;
    use crate::time::Instant;
    use crate::token::Attributes;

    fn purchase(quantity: u32, unit_cost: Option<u64>, overridden: bool) -> Purchase {
        let rid = Rid::random(&crate::ids::Mref::from_bytes(&[1; 16]).unwrap(), [2; 10]);
        Purchase {
            reward: crate::wire::parse::<crate::wire::NewRewardDefinition>(
                br#"{"name":"Mug","type":"external","value":{},"eligibility":{"tiers":["gold"]}}"#,
            )
            .unwrap()
            .define("mug")
            .unwrap(),
            quantity,
            at: Instant(0),
            attributes: Attributes { tier: Some("gold".to_owned()), ..Attributes::default() },
            roles: vec![],
            unit_cost,
            quote: overridden.then(|| QuoteTerms { quote: rid, override_reason: Some("birthday".to_owned()) }),
        }
    }

    #[test]
    fn precedence_and_amounts() {
        let short = |points_needed| Err(Refusal::InsufficientPoints { points_needed, quote_id: None });
        for (quantity, unit, points, overridden, expected) in [
            (1, Some(100), 100, false, Ok(Payment { unit: 100, taken: 100, goodwill: 0 })),
            (1, Some(100), 99, false, short(1)),
            (1, Some(100), 99, true, Ok(Payment { unit: 100, taken: 99, goodwill: 1 })),
            (3, Some(100), 1_000, true, Ok(Payment { unit: 100, taken: 300, goodwill: 0 })),
            (3, Some(100), 0, true, Ok(Payment { unit: 100, taken: 0, goodwill: 300 })),
            (1, Some(0), 0, false, Ok(Payment { unit: 0, taken: 0, goodwill: 0 })),
            (100, Some(crate::limits::INTEGER_MAX), 5, false, short(crate::limits::INTEGER_MAX)),
            (100, Some(crate::limits::INTEGER_MAX), 5, true, short(crate::limits::INTEGER_MAX)),
            (1, None, 1_000, false, Err(Refusal::RewardNotForSale)),
            (1, None, 1_000, true, Err(Refusal::RewardNotForSale)),
        ] {
            assert_eq!(check(&purchase(quantity, unit, overridden), points, None), expected, "{quantity} × {unit:?}");
        }
        let mut silver = purchase(1, None, false);
        silver.attributes.tier = Some("silver".to_owned());
        assert_eq!(check(&silver, 0, None), Err(Refusal::NotEligible { unmet: vec!["tier".to_owned()] }));
    }

    #[test]
    fn rows_add_up_to_what_is_taken() {
        for (unit, taken, count, rows) in [
            (10, 30, 3, vec![10, 10, 10]),
            (10, 25, 3, vec![10, 10, 5]),
            (10, 0, 2, vec![0, 0]),
            (10, 5, 3, vec![5, 0, 0]),
        ] {
            let payment = Payment { unit, taken, goodwill: 0 };
            assert_eq!(payment.rows(count).collect::<Vec<_>>(), rows);
        }
    }
}
