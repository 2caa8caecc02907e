//! A till's offer: one reward for so many points, waiting two minutes for its confirmation.
//!
//! It holds no points and pins the price. The redemption that confirms it is decided like any purchase; the deciding
//! transaction asks [`confirm_check`] and marks the offer, so that it is confirmed once, whatever the keys.

use crate::ids::Rid;
use crate::limits::{INTEGER_MAX, JUST_REDEEMED_MS, QUOTE_MS};
use crate::price::unit_cost;
use crate::refusal::Refusal;
use crate::time::Instant;
use crate::token::Attributes;
use crate::wallet::Names;
use crate::wire::{QuoteResource, RewardDefinition};
use serde::{Deserialize, Serialize};

pub use crate::wire::QuoteState;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Its name.
    pub rid: Rid,
    /// What is offered, in the version that counts.
    pub reward: RewardDefinition,
    /// Units.
    pub quantity: u32,
    /// Points for one unit.
    pub unit_cost: u64,
    /// Who offered it, such as `staff:bea`.
    pub by: String,
    /// The same reward once more, a moment after the first, is meant.
    pub again: bool,
    /// First instant at which it is too late.
    pub expires_at: Instant,
    /// Where it stands.
    pub state: QuoteState,
}

/// What a till asks for, and what the Member knows then.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Name of the offer: random.
    pub rid: Rid,
    /// What is wanted.
    pub reward: &'a RewardDefinition,
    /// Units, 1 to 100.
    pub quantity: u32,
    /// Who asks.
    pub by: &'a str,
    /// See [`Quote::again`].
    pub again: bool,
    /// The member's.
    pub attributes: &'a Attributes,
    /// The member's.
    pub roles: &'a [String],
    /// The member's balance.
    pub points: u64,
    /// When points last bought this member this reward.
    pub last_bought_at: Option<Instant>,
}

/// Makes an offer. Where the balance does not cover it, it comes with how many points are missing: it can be
/// confirmed once they are there, or by a manager who lets them go.
///
/// # Errors
/// The first rule that refuses, in order of precedence.
pub fn open(asked: &Asked<'_>, now: Instant) -> Result<(Quote, Option<u64>), Refusal> {
    let Asked { rid, reward, quantity, by, again, attributes, roles, points, last_bought_at } = *asked;
    let unmet = reward.eligibility.as_ref().map(|eligibility| eligibility.unmet(attributes, roles)).unwrap_or_default();
    if !unmet.is_empty() {
        return Err(Refusal::NotEligible { unmet });
    }
    let unit_cost = unit_cost(reward, attributes).ok_or(Refusal::RewardNotForSale)?;
    if !again && is_just(last_bought_at, now) {
        return Err(Refusal::JustRedeemed);
    }
    let quote = Quote {
        rid,
        reward: reward.clone(),
        quantity,
        unit_cost,
        by: by.to_owned(),
        again,
        expires_at: now.plus_ms(QUOTE_MS),
        state: QuoteState::Open,
    };
    let missing = quote.points_cost().saturating_sub(points);
    // Beyond what clients keep exactly, the figure says no more than "far too many".
    Ok((quote, (missing > 0).then_some(missing.min(INTEGER_MAX))))
}

/// Whether a purchase is so recent that another of the same reward for the same member looks like a slip. What a clock
/// that was ahead has written does not.
fn is_just(bought_at: Option<Instant>, now: Instant) -> bool {
    bought_at.is_some_and(|at| at <= now && now < at.plus_ms(JUST_REDEEMED_MS))
}

/// Whether a till's offer may be confirmed: open, asked for in time, and no slip. `asked_at` is when the confirmation
/// arrived: a participant that is out of reach does not make it too late. `last_bought_at` is when points last bought
/// this member this reward.
///
/// # Errors
/// [`Refusal::QuoteExpired`] with the reason, or [`Refusal::JustRedeemed`].
pub fn confirm_check(
    quote: Option<&Quote>,
    last_bought_at: Option<Instant>,
    asked_at: Instant,
    now: Instant,
) -> Result<(), Refusal> {
    let over = |reason: &str| Err(Refusal::QuoteExpired { reason: reason.to_owned() });
    // What is not kept any more was over long ago.
    let Some(quote) = quote else { return over("time") };
    match quote.state {
        QuoteState::Confirmed => return over("confirmed"),
        QuoteState::Cancelled => return over("cancelled"),
        QuoteState::Replaced => return over("replaced"),
        QuoteState::Expired => return over("time"),
        QuoteState::Open => {}
    }
    if quote.expires_at <= asked_at {
        return over("time");
    }
    if !quote.again && is_just(last_bought_at, now) { Err(Refusal::JustRedeemed) } else { Ok(()) }
}

/// What becomes of an open offer of the same reward when a newer one is made.
#[must_use]
pub fn displaced(quote: &Quote, now: Instant) -> QuoteState {
    if quote.expires_at <= now { QuoteState::Expired } else { QuoteState::Replaced }
}

impl Quote {
    /// Points for all units. Prices are below 2⁵³ and quantities at most 100, so this never wraps.
    #[must_use]
    pub fn points_cost(&self) -> u64 {
        self.unit_cost.saturating_mul(u64::from(self.quantity))
    }

    /// Whether it can be cancelled, or was before: what is over stays as it is, and only what was given cannot be.
    #[must_use]
    pub const fn may_cancel(&self) -> bool {
        !matches!(self.state, QuoteState::Confirmed)
    }

    /// As the till sees it.
    #[must_use]
    pub fn resource(&self, points: u64, names: &Names<'_>, now: Instant) -> QuoteResource {
        let over = self.state == QuoteState::Open && self.expires_at <= now;
        QuoteResource {
            quote_id: names.quote(&self.rid),
            reward_id: self.reward.reward_id.clone(),
            reward_name: self.reward.name.clone(),
            quantity: self.quantity,
            points_cost: self.points_cost().min(INTEGER_MAX),
            points_after: points.saturating_sub(self.points_cost()),
            expires_at: self.expires_at,
            state: if over { QuoteState::Expired } else { self.state },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::IdKey;
    use crate::keys::MerchantId;
    use crate::wire::NewRewardDefinition;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: Instant = Instant(1_800_000_000_000);

    fn definition(more: serde_json::Value) -> RewardDefinition {
        let mut body = json!({ "name": "Coffee", "type": "external", "value": {}, "mechanic": { "kind": "wallet" } });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        serde_json::from_value::<NewRewardDefinition>(body).unwrap().define("coffee").unwrap()
    }

    fn rid() -> Rid {
        let key = IdKey::new(vec![7; 32]).unwrap();
        Rid::random(&key.mref(&MerchantId::new("acme").unwrap(), "ann"), [1; 10])
    }

    fn ask(reward: &RewardDefinition, quantity: u32, points: u64, just_redeemed: bool, again: bool) -> String {
        let asked = Asked {
            rid: rid(),
            reward,
            quantity,
            by: "staff:bea",
            again,
            attributes: &Attributes { tier: Some("gold".to_owned()), ..Attributes::default() },
            roles: &[],
            points,
            last_bought_at: just_redeemed.then_some(NOW),
        };
        match open(&asked, NOW) {
            Ok((quote, missing)) => {
                assert_eq!(quote.expires_at, NOW.plus_ms(QUOTE_MS));
                assert_eq!(quote.state, QuoteState::Open);
                format!("{} missing {}", quote.points_cost(), missing.unwrap_or(0))
            }
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn offers_in_order_of_precedence() {
        let plain = definition(json!({ "points_cost": 30 }));
        let gold = definition(json!({ "points_cost": 30, "prices": [{ "tier": "gold", "points_cost": 20 }] }));
        let none = definition(json!({}));
        let silver = definition(json!({ "eligibility": { "tiers": ["silver"] } }));
        let free = definition(json!({ "points_cost": 0 }));
        let dear = definition(json!({ "points_cost": INTEGER_MAX }));
        for (reward, quantity, points, just, again, expected) in [
            (&plain, 1, 30, false, false, "30 missing 0"),
            (&plain, 1, 29, false, false, "30 missing 1"),
            (&plain, 4, 100, false, false, "120 missing 20"),
            (&gold, 2, 40, false, false, "40 missing 0"),
            (&none, 1, 1_000, false, false, "reward_not_for_sale"),
            (&silver, 1, 1_000, false, false, "not_eligible"),
            (&free, 100, 0, false, false, "0 missing 0"),
            (&dear, 1, INTEGER_MAX, false, false, "9007199254740991 missing 0"),
            (&dear, 100, INTEGER_MAX, false, false, "900719925474099100 missing 9007199254740991"),
            (&plain, 1, 30, true, false, "just_redeemed"),
            (&plain, 1, 30, true, true, "30 missing 0"),
            (&plain, 1, 0, true, false, "just_redeemed"),
            (&none, 1, 0, true, false, "reward_not_for_sale"),
            (&silver, 1, 0, true, false, "not_eligible"),
        ] {
            assert_eq!(ask(reward, quantity, points, just, again), expected, "{quantity} for {points}, just: {just}");
        }
    }

    #[test]
    fn a_moment_is_ten_seconds() {
        for (ago_ms, just) in [(0, true), (9_999, true), (10_000, false), (-1, false)] {
            assert_eq!(is_just(Some(NOW.plus_ms(-ago_ms)), NOW), just, "{ago_ms} ms ago");
        }
    }

    fn quote(state: QuoteState, again: bool) -> Quote {
        let reward = definition(json!({ "points_cost": 30 }));
        let (by, expires_at) = ("staff:bea".to_owned(), NOW.plus_ms(QUOTE_MS));
        Quote { rid: rid(), reward, quantity: 1, unit_cost: 30, by, again, expires_at, state }
    }

    fn confirm(quote: Option<&Quote>, just_redeemed: bool, asked_ms: i64) -> String {
        // A pool was out of reach for a minute: whoever confirmed in time did so all the same.
        let now = NOW.plus_ms(asked_ms + 60_000);
        match confirm_check(quote, just_redeemed.then_some(now), NOW.plus_ms(asked_ms), now) {
            Ok(()) => "ok".to_owned(),
            Err(Refusal::QuoteExpired { reason }) => reason,
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    #[test]
    fn only_an_open_offer_is_confirmed_and_only_in_time() {
        use QuoteState::{Cancelled, Confirmed, Expired, Open, Replaced};
        for (state, again, just, asked_ms, expected) in [
            (Open, false, false, 0, "ok"),
            (Open, false, false, QUOTE_MS - 1, "ok"),
            (Open, false, false, QUOTE_MS, "time"),
            (Replaced, false, false, 0, "replaced"),
            (Expired, false, false, 0, "time"),
            (Confirmed, false, false, 0, "confirmed"),
            (Confirmed, true, true, QUOTE_MS, "confirmed"),
            (Cancelled, false, false, 0, "cancelled"),
            (Open, false, true, 0, "just_redeemed"),
            (Open, true, true, 0, "ok"),
            (Open, false, true, QUOTE_MS, "time"),
        ] {
            assert_eq!(confirm(Some(&quote(state, again)), just, asked_ms), expected, "{state:?}, just: {just}");
        }
        assert_eq!(confirm(None, false, 0), "time");
    }

    #[test]
    fn a_newer_offer_displaces_an_open_one() {
        let open = quote(QuoteState::Open, false);
        assert_eq!(displaced(&open, NOW), QuoteState::Replaced);
        assert_eq!(displaced(&open, open.expires_at), QuoteState::Expired);
        for state in QuoteState::ALL {
            assert_eq!(quote(state, false).may_cancel(), state != QuoteState::Confirmed);
        }
    }

    proptest! {
        /// Whatever the price and the balance: what is missing and what would be left fit together, and neither is
        /// negative or beyond what clients keep exactly.
        #[test]
        fn costs_and_balances_fit(unit in 0..=INTEGER_MAX, quantity in 1u32..=100, points in 0..=INTEGER_MAX) {
            let reward = definition(json!({ "points_cost": unit }));
            let none = Attributes::default();
            let asked = Asked {
                rid: rid(), reward: &reward, quantity, by: "staff:bea", again: false, attributes: &none, roles: &[],
                points, last_bought_at: None,
            };
            let (quote, missing) = open(&asked, NOW).unwrap();
            let cost = quote.points_cost();
            prop_assert_eq!(missing.is_some(), points < cost);
            prop_assert_eq!(missing.unwrap_or(0), cost.saturating_sub(points).min(INTEGER_MAX));
            let key = IdKey::new(vec![7; 32]).unwrap();
            let merchant = MerchantId::new("acme").unwrap();
            let shown = quote.resource(points, &Names { key: &key, merchant: &merchant }, NOW);
            prop_assert_eq!(shown.points_after, points.saturating_sub(cost));
            prop_assert!(shown.points_cost <= INTEGER_MAX);
        }
    }
}
