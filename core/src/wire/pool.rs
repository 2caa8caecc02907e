//! Pools of promo codes.

use super::body::InvalidRequest;
use super::definition::{check_name, valid_promo_code, valid_slug};
use super::reward::check_reason;
use crate::limits::{INTEGER_MAX, RELEASE_CODES_MAX};
use crate::protocol::pool::Depletion;
use crate::time::Instant;
use crate::upload::Reason;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/pools`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewPool {
    /// `[a-z0-9][a-z0-9_-]{0,63}`; assigned when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Slug>"))]
    pub pool_id: Option<String>,
    /// Shown to people.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Name"))]
    pub name: String,
    /// Fewer free codes than this are told, once for each crossing; 0 for never.
    #[serde(default = "alert_below")]
    pub alert_below: u64,
}

const fn alert_below() -> u64 {
    50
}

/// Whether a text can be the id of a pool.
#[must_use]
pub fn valid_pool_id(text: &str) -> bool {
    valid_slug(text)
}

impl NewPool {
    /// Checks it. `fallback_id` is used where none was given.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn checked(self, fallback_id: &str) -> Result<Self, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        let pool_id = self.pool_id.unwrap_or_else(|| fallback_id.to_owned());
        if !valid_slug(&pool_id) {
            errors.add("pool_id", "1 to 64 characters of a-z, 0-9, - and _, the first a letter or digit");
        }
        check_name(&mut errors, &self.name);
        if self.alert_below > INTEGER_MAX {
            errors.add("alert_below", format!("0 to {INTEGER_MAX}"));
        }
        errors.into_result()?;
        Ok(Self { pool_id: Some(pool_id), ..self })
    }
}

/// A pool and its stock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "Pool", optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Pool"))]
pub struct PoolResource {
    /// Unique in the merchant.
    pub pool_id: String,
    /// Shown to people.
    pub name: String,
    /// Codes that can be handed out.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub free: u64,
    /// Codes that belong to a redemption, or are kept for one that is being decided.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub used: u64,
    /// Codes of redemptions that were cancelled or reversed.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub quarantined: u64,
    /// Fewer free codes than this are told.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub alert_below: u64,
    /// Codes handed out in a day, over the last seven, to two digits.
    pub depletion_per_day: f64,
    /// When none is left at this rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub runs_out_at: Option<Instant>,
}

/// Its figure is never NaN.
impl Eq for PoolResource {}

/// What a pool has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// See [`PoolResource::free`].
    pub free: u64,
    /// See [`PoolResource::used`].
    pub used: u64,
    /// See [`PoolResource::quarantined`].
    pub quarantined: u64,
}

impl PoolResource {
    /// Of a pool as it was made or last changed.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "shown to people, and far below 2⁵³")]
    pub fn of(pool: &NewPool, stock: Stock, depletion: Depletion) -> Self {
        let Stock { free, used, quarantined } = stock;
        Self {
            pool_id: pool.pool_id.clone().unwrap_or_default(),
            name: pool.name.clone(),
            free,
            used,
            quarantined,
            alert_below: pool.alert_below,
            depletion_per_day: depletion.hundredths_per_day as f64 / 100.0,
            runs_out_at: depletion.runs_out_at,
        }
    }
}

/// A pool as `GET /v1/stats` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PoolFigures {
    /// The pool.
    #[serde(flatten)]
    pub pool: PoolResource,
    /// Whether fewer codes are free than its threshold.
    pub low: bool,
    /// How often codes were refused because there were too few.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub shortages: u64,
}

/// A line of an upload that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RefusedLine {
    /// Its number, from 1.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub line: u64,
    /// Why.
    pub reason: Reason,
}

/// Answer of `POST /v1/pools/{pool_id}/codes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "PoolUpload"))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "PoolUpload"))]
pub struct UploadAnswer {
    /// Codes that the pool did not have.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub added: u64,
    /// Lines whose code stands in an earlier line, or was uploaded before.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub duplicates: u64,
    /// The first lines that were not taken.
    pub refused: Vec<RefusedLine>,
    /// How many were not taken in all.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub refused_total: u64,
    /// Free codes after it.
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub free: u64,
}

/// Body of `POST /v1/pools/{pool_id}/quarantine/release`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ReleaseBody {
    /// These; or
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<Vec<crate::wire::schema::PromoCode>>", length(min = 1, max = crate::limits::RELEASE_CODES_MAX)))]
    pub codes: Option<Vec<String>>,
    /// all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Why they can be handed out again.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
}

impl ReleaseBody {
    /// Checks it.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn validate(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if let Err(invalid) = check_reason(Some(&self.reason), true) {
            errors.0.extend(invalid.0);
        }
        match (&self.codes, self.all) {
            (Some(codes), None | Some(false)) => {
                if !(1..=RELEASE_CODES_MAX).contains(&codes.len()) {
                    errors.add("codes", format!("1 to {RELEASE_CODES_MAX} codes"));
                }
                for (index, code) in codes.iter().enumerate().take(RELEASE_CODES_MAX) {
                    if !valid_promo_code(code) {
                        errors.add(&format!("codes[{index}]"), "not a promo code of this pool");
                    }
                }
            }
            (None, Some(true)) => {}
            (Some(_), Some(true)) | (None, None | Some(false)) => {
                errors.add("body", "exactly one of codes and all: true");
            }
        }
        errors.into_result()
    }
}

/// One row of `GET /v1/pools/{pool_id}/quarantine`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct QuarantinedCode {
    /// The promo code.
    pub code: String,
    /// The redemption that it belonged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_id: Option<String>,
    /// Since when.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn pools_are_checked() {
        for (body, path) in [
            (r#"{"name":"Cinema"}"#, None),
            (r#"{"name":"Cinema","pool_id":"cinema","alert_below":0}"#, None),
            (r#"{"name":" "}"#, Some("name")),
            (r#"{"name":"Cinema","pool_id":"Cinema!"}"#, Some("pool_id")),
            (r#"{"name":"Cinema","alert_below":9007199254740992}"#, Some("alert_below")),
            (r#"{"name":"Cinema","alert_below":-1}"#, Some("alert_below")),
            (r#"{"name":"Cinema","free":1}"#, Some("free")),
            (r#"{}"#, Some("name")),
        ] {
            let checked = parse::<NewPool>(body.as_bytes()).and_then(|new| new.checked("pool-1"));
            let found = checked.as_ref().err().map(|invalid| invalid.0[0].path.as_str());
            assert_eq!(found, path, "{body}");
        }
        let plain = parse::<NewPool>(br#"{"name":"Cinema"}"#).and_then(|new| new.checked("pool-1")).unwrap();
        assert_eq!((plain.pool_id.as_deref(), plain.alert_below), (Some("pool-1"), 50));
    }

    #[test]
    fn releases_name_codes_or_all() {
        for (body, path) in [
            (r#"{"codes":["A"],"reason":"checked"}"#, None),
            (r#"{"codes":["A"],"all":false,"reason":"checked"}"#, None),
            (r#"{"all":true,"reason":"checked"}"#, None),
            (r#"{"all":false,"reason":"checked"}"#, Some("body")),
            (r#"{"codes":["A"],"all":true,"reason":"checked"}"#, Some("body")),
            (r#"{"reason":"checked"}"#, Some("body")),
            (r#"{"codes":[],"reason":"checked"}"#, Some("codes")),
            (r#"{"codes":["A"," "],"reason":"checked"}"#, Some("codes[1]")),
            (r#"{"all":true}"#, Some("reason")),
            (r#"{"all":true,"reason":" "}"#, Some("reason")),
        ] {
            let checked = parse::<ReleaseBody>(body.as_bytes()).and_then(|release| release.validate());
            let found = checked.as_ref().err().map(|invalid| invalid.0[0].path.as_str());
            assert_eq!(found, path, "{body}");
        }
    }
}
