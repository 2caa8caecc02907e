//! Holds: what is kept for one checkout, until the shop's server says how that ended.

use super::body::InvalidRequest;
use super::wallet::Credit;
use crate::limits::INTEGER_MAX;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Where a hold stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum HoldState {
    /// Kept for its order.
    Held,
    /// The order was placed with it.
    Used,
    /// Given back by the shop or the member.
    Released,
    /// Given back by the clock.
    Expired,
}

impl HoldState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Held, Self::Used, Self::Released, Self::Expired];

    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Used => "used",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

/// A discount or credit kept for one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Hold {
    /// Opaque.
    pub hold_id: String,
    /// The shop's order.
    pub order: String,
    /// The redemption of its code, or the one that gave its discount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_id: Option<String>,
    /// The resting discount that it holds, where it was none of a code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<String>,
    /// What it takes off the order, in minor units of the order's currency.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub applied_minor: u64,
    /// What the order still costs after all that is held for it.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub remaining_minor: u64,
    /// When it ends by itself.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub expires_at: Instant,
    /// Where it stands.
    pub state: HoldState,
}

/// An order with what is, or was, held for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "OrderHolds", optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "OrderHolds"))]
pub struct OrderResource {
    /// The shop's order.
    pub order: String,
    /// In the order in which they were made.
    pub holds: Vec<Hold>,
    /// What it costs without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Credit>,
    /// What they take off it together.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub applied_minor: u64,
    /// What it still costs.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub remaining_minor: u64,
}

/// What an order costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrderTotal {
    /// ISO 4217.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Currency"))]
    pub currency: String,
    /// Minor units.
    pub amount_minor: u64,
}

impl OrderTotal {
    fn check(&self, errors: &mut InvalidRequest) {
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            errors.add("total.currency", "three capital letters (ISO 4217)");
        }
        if self.amount_minor > INTEGER_MAX {
            errors.add("total.amount_minor", format!("at most {INTEGER_MAX}"));
        }
    }
}

impl From<OrderTotal> for Credit {
    fn from(total: OrderTotal) -> Self {
        Self { currency: total.currency, amount_minor: total.amount_minor }
    }
}

/// Body of `POST /v1/orders/{order}/holds`: exactly one of `code`, `credit_minor` and `reward`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct HoldBody {
    /// Code as typed or scanned.
    pub code: Option<String>,
    /// Credit out of the wallet, in minor units of the total's currency.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub credit_minor: Option<u64>,
    /// Id of a discount that rests.
    pub reward: Option<String>,
    /// What the order costs; the last one given counts.
    pub total: OrderTotal,
    /// For `service` tokens: whose it is.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub member_id: Option<String>,
}

impl HoldBody {
    /// Checks everything that needs no code.
    ///
    /// # Errors
    /// What is wrong, with its path.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        self.total.check(&mut errors);
        let given = [self.code.is_some(), self.credit_minor.is_some(), self.reward.is_some()];
        if given.into_iter().filter(|given| *given).count() != 1 {
            errors.add("body", "exactly one of code, credit_minor and reward");
        }
        if self.credit_minor.is_some_and(|amount| !(1..=INTEGER_MAX).contains(&amount)) {
            errors.add("credit_minor", format!("1 to {INTEGER_MAX}"));
        }
        errors.into_result()
    }
}

/// Body of `POST /v1/orders/{order}/commit`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CommitOrderBody {
    /// Whose order it is.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Text"))]
    pub member_id: String,
    /// What it costs in the end; the last one given counts.
    pub total: Option<OrderTotal>,
}

impl CommitOrderBody {
    /// Checks the total.
    ///
    /// # Errors
    /// What is wrong, with its path.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if let Some(total) = &self.total {
            total.check(&mut errors);
        }
        errors.into_result()
    }
}

/// Body of `POST /v1/orders/{order}/release`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ReleaseOrderBody {
    /// Whose order it is.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Text"))]
    pub member_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        let paths: Vec<String> = match super::super::parse::<HoldBody>(body.as_bytes()).and_then(|body| body.check()) {
            Ok(()) => vec![],
            Err(invalid) => invalid.0.into_iter().map(|error| error.path).collect(),
        };
        assert_eq!(paths, expected, "{body}");
    }

    #[test]
    fn bodies() {
        let total = r#""total":{"currency":"EUR","amount_minor":1000}"#;
        check(&format!(r#"{{"code":"x",{total}}}"#), &[]);
        check(&format!(r#"{{"credit_minor":1,{total}}}"#), &[]);
        check(&format!(r#"{{"reward":"rw_x",{total}}}"#), &[]);
        check(&format!("{{{total}}}"), &["body"]);
        check(&format!(r#"{{"code":"x","credit_minor":1,{total}}}"#), &["body"]);
        check(&format!(r#"{{"credit_minor":0,{total}}}"#), &["credit_minor"]);
        check(&format!(r#"{{"credit_minor":1.5,{total}}}"#), &["credit_minor"]);
        check(&format!(r#"{{"credit_minor":-1,{total}}}"#), &["credit_minor"]);
        check(&format!(r#"{{"credit_minor":9007199254740992,{total}}}"#), &["credit_minor"]);
        check(r#"{"code":"x"}"#, &["total"]);
        check(r#"{"code":"x","total":{"currency":"eur","amount_minor":1}}"#, &["total.currency"]);
        check(r#"{"code":"x","total":{"currency":"EUR","amount_minor":-1}}"#, &["total.amount_minor"]);
        check(r#"{"code":"x","total":{"currency":"EUR","amount_minor":1,"x":1}}"#, &["total.x"]);
        check(r#"{"code":"x","total":{"currency":"EUR"}}"#, &["total.amount_minor"]);
    }
}
