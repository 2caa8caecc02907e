//! A merchant's settings.

use super::body::{InvalidRequest, merge_patch, parse};
use crate::limits::{ALIAS_ATTEMPTS_PER_DAY, ATTEMPTS_PER_DAY, ATTEMPTS_PER_DAY_MAX, LIFETIME_MAX_S, NOTIFY_DAYS_MAX};
use crate::phone::Country;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long staff may reverse what they redeemed, where the merchant does not say.
const REVERSAL_WINDOW_S: u32 = 900;
/// How long before its end a campaign's or a reward's end is announced, where the merchant does not say.
const NOTIFY_DAYS_BEFORE: u32 = 7;

/// `GET /v1/settings`; what a PATCH leaves must be of this shape too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Settings {
    /// Country of national telephone numbers (ISO 3166-1, two capital letters); without it they are not understood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::CountryCode>"))]
    pub country: Option<String>,
    /// How long after a redemption staff may reverse it, in seconds; a manager may always.
    #[serde(default = "reversal_window_s")]
    #[cfg_attr(feature = "openapi", schemars(range(max = crate::limits::LIFETIME_MAX_S)))]
    pub reversal_window_s: u32,
    /// Wrong codes that an account without an earlier grant may enter in a day.
    #[serde(default = "attempts_per_day")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = 1_000)))]
    pub attempts_per_day: u32,
    /// Unknown aliases that it may.
    #[serde(default = "alias_attempts_per_day")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = 1_000)))]
    pub alias_attempts_per_day: u32,
    /// How many days before the end of a campaign or a reward it is announced; 0 for never.
    #[serde(default = "notify_days_before")]
    #[cfg_attr(feature = "openapi", schemars(range(max = 365)))]
    pub notify_days_before: u32,
}

const fn reversal_window_s() -> u32 {
    REVERSAL_WINDOW_S
}

const fn attempts_per_day() -> u32 {
    ATTEMPTS_PER_DAY
}

const fn alias_attempts_per_day() -> u32 {
    ALIAS_ATTEMPTS_PER_DAY
}

const fn notify_days_before() -> u32 {
    NOTIFY_DAYS_BEFORE
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            country: None,
            reversal_window_s: REVERSAL_WINDOW_S,
            attempts_per_day: ATTEMPTS_PER_DAY,
            alias_attempts_per_day: ALIAS_ATTEMPTS_PER_DAY,
            notify_days_before: NOTIFY_DAYS_BEFORE,
        }
    }
}

impl Settings {
    /// These settings with a merge patch applied; null puts a setting back to its default.
    ///
    /// # Errors
    /// Every field that is unknown or out of range.
    pub fn patched(&self, patch: &Value) -> Result<Self, InvalidRequest> {
        let mut merged = serde_json::to_value(self).unwrap_or_default();
        merge_patch(&mut merged, patch);
        let patched: Self = parse(merged.to_string().as_bytes())?;
        patched.check()?;
        Ok(patched)
    }

    /// The country of national telephone numbers.
    #[must_use]
    pub fn country(&self) -> Option<&'static Country> {
        self.country.as_deref().and_then(Country::named)
    }

    fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if self.country.is_some() && self.country().is_none() {
            errors.add("country", "two capital letters (ISO 3166-1) of a country whose telephone numbers are known");
        }
        if self.reversal_window_s > LIFETIME_MAX_S {
            errors.add("reversal_window_s", format!("0 to {LIFETIME_MAX_S}"));
        }
        for (path, value) in
            [("attempts_per_day", self.attempts_per_day), ("alias_attempts_per_day", self.alias_attempts_per_day)]
        {
            if !(1..=ATTEMPTS_PER_DAY_MAX).contains(&value) {
                errors.add(path, format!("1 to {ATTEMPTS_PER_DAY_MAX}"));
            }
        }
        if self.notify_days_before > NOTIFY_DAYS_MAX {
            errors.add("notify_days_before", format!("0 to {NOTIFY_DAYS_MAX}"));
        }
        errors.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patches_are_checked() {
        let german = Settings { country: Some("DE".to_owned()), ..Settings::default() };
        for (patch, expected) in [
            (json!({}), Ok(german.clone())),
            (json!({ "country": "GB" }), Ok(Settings { country: Some("GB".to_owned()), ..german.clone() })),
            (json!({ "country": null }), Ok(Settings::default())),
            (json!({ "reversal_window_s": 0 }), Ok(Settings { reversal_window_s: 0, ..german.clone() })),
            (json!({ "reversal_window_s": null }), Ok(german.clone())),
            (json!({ "country": "de" }), Err("country")),
            (json!({ "country": "Germany" }), Err("country")),
            (json!({ "country": "ZZ" }), Err("country")),
            (json!({ "country": 49 }), Err("country")),
            (json!({ "reversal_window_s": -1 }), Err("reversal_window_s")),
            (json!({ "reversal_window_s": 1.5 }), Err("reversal_window_s")),
            (json!({ "reversal_window_s": 315_360_001 }), Err("reversal_window_s")),
            (json!({ "attempts_per_day": 3 }), Ok(Settings { attempts_per_day: 3, ..german.clone() })),
            (json!({ "attempts_per_day": 0 }), Err("attempts_per_day")),
            (json!({ "attempts_per_day": 1_001 }), Err("attempts_per_day")),
            (json!({ "alias_attempts_per_day": 0 }), Err("alias_attempts_per_day")),
            (json!({ "notify_days_before": 0 }), Ok(Settings { notify_days_before: 0, ..german.clone() })),
            (json!({ "notify_days_before": 366 }), Err("notify_days_before")),
            (json!({ "attempts": 3 }), Err("attempts")),
        ] {
            let patched = german.patched(&patch).map_err(|invalid| invalid.0[0].path.clone());
            assert_eq!(patched, expected.map_err(str::to_owned), "{patch}");
        }
    }
}
