//! The till: quotes, their confirmation, reversals; adjustments of a member's balances; the catalogue.

use super::body::InvalidRequest;
use super::definition::{RewardType, RewardValue, valid_currency};
use super::reward::check_reason;
use crate::limits::{INTEGER_MAX, QUANTITY_MAX};
use crate::time::Instant;
use crate::token::valid_sub;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/till/quotes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct QuoteBody {
    /// Who stands at the till.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Text"))]
    pub member_id: String,
    /// What they want.
    pub reward_id: String,
    /// Units of it, 1 to 100; 1 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::QUANTITY_MAX)))]
    pub quantity: Option<u32>,
    /// They do want the same once more, a moment after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<bool>,
}

impl QuoteBody {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if !valid_sub(&self.member_id) {
            errors.add("member_id", "1 to 255 characters, not blank, no control characters");
        }
        check_quantity(&mut errors, self.quantity);
        errors.into_result()
    }
}

/// Complains about a quantity that is none.
pub fn check_quantity(errors: &mut InvalidRequest, quantity: Option<u32>) {
    if quantity.is_some_and(|quantity| !(1..=QUANTITY_MAX).contains(&quantity)) {
        errors.add("quantity", format!("1 to {QUANTITY_MAX}"));
    }
}

/// Body of `POST /v1/till/quotes/{id}/confirm`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConfirmBody {
    /// A manager lets the missing points go.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub goodwill: Option<Goodwill>,
}

/// A manager lets missing points go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Goodwill {
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
}

impl ConfirmBody {
    /// Checks the bounds.
    ///
    /// # Errors
    /// A reason that is none.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let Some(Goodwill { reason }) = &self.goodwill else { return Ok(()) };
        check_reason(Some(reason), true).map_err(|InvalidRequest(mut errors)| {
            for error in &mut errors {
                error.path = format!("override.{}", error.path);
            }
            InvalidRequest(errors)
        })
    }
}

/// Where a till's offer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum QuoteState {
    /// Waits for its confirmation.
    Open,
    /// A newer one of the same reward for the same member took its place.
    Replaced,
    /// It was not confirmed in time.
    Expired,
    /// The reward was given.
    Confirmed,
    /// It is not wanted any more.
    Cancelled,
}

impl QuoteState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::Open, Self::Replaced, Self::Expired, Self::Confirmed, Self::Cancelled];

    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A till's offer. It holds no points, but keeps its price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "Quote"))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Quote"))]
pub struct QuoteResource {
    /// Opaque.
    pub quote_id: String,
    /// Definition.
    pub reward_id: String,
    /// Shown to people.
    pub reward_name: String,
    /// Units.
    pub quantity: u32,
    /// Points for all of them.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_cost: u64,
    /// Points that would be left, as the balance stands now.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_after: u64,
    /// First instant at which it is too late.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub expires_at: Instant,
    /// Where it stands.
    pub state: QuoteState,
}

/// Body of `POST /v1/redemptions/{id}/reversal`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ReversalBody {
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
    /// The code may be redeemed again.
    #[serde(default)]
    pub give_back: bool,
}

/// What an adjustment changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum AdjustedAsset {
    /// Loyalty points.
    Points,
    /// Experience.
    Xp,
    /// Tokens.
    Tokens,
    /// Prepaid money in a currency.
    Credit,
}

impl AdjustedAsset {
    /// As in ledger rows.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Points => "points",
            Self::Xp => "xp",
            Self::Tokens => "tokens",
            Self::Credit => "credit",
        }
    }
}

/// Body of `POST /v1/members/{id}/adjustments`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AdjustmentBody {
    /// What.
    pub asset: AdjustedAsset,
    /// By how much; negative takes. Of points, xp and tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = -9_007_199_254_740_991_i64, max = crate::limits::INTEGER_MAX)))]
    pub amount: Option<i64>,
    /// By how many minor units; negative takes. Of credit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = -9_007_199_254_740_991_i64, max = crate::limits::INTEGER_MAX)))]
    pub amount_minor: Option<i64>,
    /// Of credit: ISO 4217.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Currency>"))]
    pub currency: Option<String>,
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
    /// The shop's order that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub order: Option<String>,
}

impl AdjustmentBody {
    /// The amount, with everything checked.
    ///
    /// # Errors
    /// Every field that is out of range, missing, or not of this asset.
    pub fn check(&self) -> Result<i64, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        let credit = self.asset == AdjustedAsset::Credit;
        let (path, given, foreign, foreign_path) = if credit {
            ("amount_minor", self.amount_minor, self.amount, "amount")
        } else {
            ("amount", self.amount, self.amount_minor, "amount_minor")
        };
        if foreign.is_some() {
            errors.add(foreign_path, format!("{} is changed by {path}", self.asset.name()));
        }
        match given {
            None => errors.add(path, "is required"),
            Some(0) => errors.add(path, "not 0: nothing would change"),
            Some(amount) if amount.unsigned_abs() > INTEGER_MAX => {
                errors.add(path, format!("-{INTEGER_MAX} to {INTEGER_MAX}"));
            }
            Some(_) => {}
        }
        match &self.currency {
            None if credit => errors.add("currency", "is required for credit"),
            Some(_) if !credit => errors.add("currency", format!("{} has no currency", self.asset.name())),
            Some(currency) if !valid_currency(currency) => errors.add("currency", "three capital letters (ISO 4217)"),
            None | Some(_) => {}
        }
        if let Err(InvalidRequest(wrong)) = check_reason(Some(&self.reason), true) {
            errors.0.extend(wrong);
        }
        if self.order.as_ref().is_some_and(|order| !valid_sub(order)) {
            errors.add("order", "1 to 255 characters, not blank, no control characters");
        }
        errors.into_result()?;
        Ok(given.unwrap_or_default())
    }
}

/// A reward that points can buy, as one member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CatalogueItem {
    /// Definition.
    pub reward_id: String,
    /// Shown to people.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Value by type.
    pub value: RewardValue,
    /// Points for one unit, for this member.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_cost: u64,
    /// Whether the balance covers one unit.
    pub affordable: bool,
    /// What is missing for one unit, where it is not affordable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_needed: Option<u64>,
    /// Whether the reward is for this member.
    pub eligible: bool,
    /// Which of role, tier, persona, tag do not fit, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    /// Path of the first complaint, or the amount.
    fn adjustment(body: &str) -> String {
        let checked = parse::<AdjustmentBody>(body.as_bytes()).and_then(|body| body.check());
        checked.map_or_else(|invalid| invalid.0[0].path.clone(), |amount| amount.to_string())
    }

    #[test]
    fn adjustments_name_what_they_change() {
        for (body, expected) in [
            (r#"{"asset":"points","amount":5,"reason":"r"}"#, "5"),
            (r#"{"asset":"tokens","amount":-5,"reason":"r","order":"o-1"}"#, "-5"),
            (r#"{"asset":"credit","amount_minor":-5,"currency":"EUR","reason":"r"}"#, "-5"),
            (r#"{"asset":"points","amount":9007199254740991,"reason":"r"}"#, "9007199254740991"),
            (r#"{"asset":"points","amount":9007199254740992,"reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount":-9007199254740992,"reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount":0,"reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount":1.5,"reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount":"5","reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount":null,"reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount_minor":5,"reason":"r"}"#, "amount_minor"),
            (r#"{"asset":"points","reason":"r"}"#, "amount"),
            (r#"{"asset":"points","amount":5,"currency":"EUR","reason":"r"}"#, "currency"),
            (r#"{"asset":"credit","amount_minor":5,"reason":"r"}"#, "currency"),
            (r#"{"asset":"credit","amount_minor":5,"currency":"eur","reason":"r"}"#, "currency"),
            (r#"{"asset":"credit","amount":5,"currency":"EUR","reason":"r"}"#, "amount"),
            (r#"{"asset":"feature","amount":5,"reason":"r"}"#, "asset"),
            (r#"{"asset":"points","amount":5}"#, "reason"),
            (r#"{"asset":"points","amount":5,"reason":" "}"#, "reason"),
            (r#"{"asset":"points","amount":5,"reason":"r","order":" "}"#, "order"),
            (r#"{"asset":"points","amount":5,"reason":"r","more":1}"#, "more"),
        ] {
            assert_eq!(adjustment(body), expected, "{body}");
        }
    }

    fn quote(body: &str) -> String {
        let checked = parse::<QuoteBody>(body.as_bytes()).and_then(|body| body.check());
        checked.map_or_else(|invalid| invalid.0[0].path.clone(), |()| "ok".to_owned())
    }

    #[test]
    fn quotes_are_of_1_to_100_units() {
        for (quantity, expected) in [
            ("1", "ok"),
            ("100", "ok"),
            ("0", "quantity"),
            ("101", "quantity"),
            ("1.5", "quantity"),
            ("-1", "quantity"),
            ("\"5\"", "quantity"),
            ("null", "quantity"),
            ("99999999999999999999", "quantity"),
        ] {
            let body = format!(r#"{{"member_id":"ann","reward_id":"r","quantity":{quantity}}}"#);
            assert_eq!(quote(&body), expected, "{body}");
        }
        assert_eq!(quote(r#"{"member_id":" ","reward_id":"r"}"#), "member_id");
        assert_eq!(quote(r#"{"member_id":"ann","reward_id":"r","again":true}"#), "ok");
        assert_eq!(quote(r#"{"member_id":"ann","reward_id":"r","again":"yes"}"#), "again");
    }

    #[test]
    fn goodwill_has_a_reason() {
        for (body, expected) in [
            ("", "ok"),
            ("{}", "ok"),
            (r#"{"override":{"reason":"a regular"}}"#, "ok"),
            (r#"{"override":{"reason":" "}}"#, "override.reason"),
            (r#"{"override":{}}"#, "override.reason"),
            (r#"{"override":true}"#, "override"),
            (r#"{"override":["a"]}"#, "override"),
            (r#"{"override":null}"#, "override"),
        ] {
            let checked = parse::<ConfirmBody>(body.as_bytes()).and_then(|body| body.check());
            let path = checked.map_or_else(|invalid| invalid.0[0].path.clone(), |()| "ok".to_owned());
            assert_eq!(path, expected, "{body}");
        }
    }
}
