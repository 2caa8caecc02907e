//! Explanations: what a redemption would come to, rule by rule, at any instant. Nothing is changed by asking.

use super::body::InvalidRequest;
use super::campaign::Method;
use super::definition::valid_currency;
use super::redemption::{PreviewReward, PreviewRule, Verdict, Wanted};
use super::till::check_quantity;
use crate::limits::LIST_ENTRIES_MAX;
use crate::refusal::Refusal;
use crate::time::Instant;
use crate::token::{valid_attribute, valid_sub};
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/explain`: exactly one of `code` and `reward_id`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExplainBody {
    /// Code or alias as typed or scanned.
    pub code: Option<String>,
    /// What points buy.
    pub reward_id: Option<String>,
    /// Units of what points buy, 1 to 100; 1 where absent.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::QUANTITY_MAX)))]
    pub quantity: Option<u32>,
    /// Whose redemption it would be.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Text"))]
    pub member_id: String,
    /// ISO 4217, where the campaign restricts currencies.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Currency>"))]
    pub currency: Option<String>,
    /// How it would come; `frontend` where absent.
    pub method: Option<Method>,
    /// When; now where absent.
    pub at: Option<Instant>,
    /// As if the member had these attributes.
    #[serde(rename = "as")]
    pub assumed: Option<AssumedAttributes>,
}

/// Attributes that stand in for the member's own; what is absent stays as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AssumedAttributes {
    /// Loyalty tier.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub tier: Option<String>,
    /// Marketing persona.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub persona: Option<String>,
    /// Free tags.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attributes>"))]
    pub tags: Option<Vec<String>>,
    /// Stored roles.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attributes>"))]
    pub roles: Option<Vec<String>>,
}

impl ExplainBody {
    /// A code or a reward, and nothing that goes with the other.
    ///
    /// # Errors
    /// Every field that is out of range or does not fit the others.
    pub fn check(&self) -> Result<Wanted<'_>, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if !valid_sub(&self.member_id) {
            errors.add("member_id", "1 to 255 characters, not blank, no control characters");
        }
        check_quantity(&mut errors, self.quantity);
        if self.currency.as_ref().is_some_and(|currency| !valid_currency(currency)) {
            errors.add("currency", "three capital letters (ISO 4217)");
        }
        if let Some(assumed) = &self.assumed {
            assumed.check(&mut errors);
        }
        let wanted = match (&self.code, &self.reward_id) {
            (Some(code), None) => {
                if self.quantity.is_some() {
                    errors.add("quantity", "goes with reward_id; a code gives what its campaign says");
                }
                Some(Wanted::Code(code))
            }
            (None, Some(reward_id)) => {
                for (path, given) in [("currency", self.currency.is_some()), ("method", self.method.is_some())] {
                    if given {
                        errors.add(path, "goes with a code");
                    }
                }
                Some(Wanted::Reward { reward_id, quantity: self.quantity.unwrap_or(1) })
            }
            (Some(_), Some(_)) => {
                errors.add("reward_id", "give a code or a reward_id, not both");
                None
            }
            (None, None) => {
                errors.add("code", "is required, or reward_id");
                None
            }
        };
        match wanted {
            Some(wanted) if errors.0.is_empty() => Ok(wanted),
            Some(_) | None => Err(errors),
        }
    }
}

impl AssumedAttributes {
    fn check(&self, errors: &mut InvalidRequest) {
        for (path, value) in [("as.tier", &self.tier), ("as.persona", &self.persona)] {
            if value.as_ref().is_some_and(|text| !valid_attribute(text)) {
                errors.add(path, "1 to 64 characters");
            }
        }
        for (path, list) in [("as.tags", &self.tags), ("as.roles", &self.roles)] {
            let legal =
                |list: &Vec<String>| list.len() <= LIST_ENTRIES_MAX && list.iter().all(|entry| valid_attribute(entry));
            if list.as_ref().is_some_and(|list| !legal(list)) {
                errors.add(path, format!("at most {LIST_ENTRIES_MAX} entries of 1 to 64 characters"));
            }
        }
    }
}

/// Answer of `POST /v1/explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The instant that the rules were asked for.
    pub at: Instant,
    /// What redeeming would come to.
    pub would: Verdict,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The code's campaign, where the code is genuine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<ExplainedCampaign>,
    /// What would be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<PreviewReward>,
    /// What the rules read of the member.
    pub member: ExplainedMember,
    /// Every rule in order of precedence.
    pub rules: Vec<PreviewRule>,
}

/// The campaign of a code that was explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExplainedCampaign {
    /// Its number.
    pub campaign: u16,
    /// Shown to people.
    pub name: String,
}

/// What the rules read of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ExplainedMember {
    /// The merchant's own id of them.
    pub member_id: String,
    /// Loyalty tier, stored or assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Marketing persona, stored or assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// Free tags, stored or assumed.
    pub tags: Vec<String>,
    /// Roles, stored or assumed.
    pub roles: Vec<String>,
    /// Their redemptions of this campaign so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<u64>,
    /// Their points, where points were asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::parse;

    #[test]
    fn a_code_or_a_reward_is_explained() {
        for (body, expected) in [
            (r#"{"code":"c","member_id":"ann"}"#, "ok"),
            (r#"{"reward_id":"r","quantity":100,"member_id":"ann"}"#, "ok"),
            (r#"{"code":"c","member_id":"ann","at":"2026-11-22T09:00:00Z","method":"email","currency":"EUR"}"#, "ok"),
            (r#"{"code":"c","member_id":"ann","as":{"tier":"gold","tags":[],"roles":["vip"]}}"#, "ok"),
            (r#"{"member_id":"ann"}"#, "code"),
            (r#"{"code":"c"}"#, "member_id"),
            (r#"{"code":"c","member_id":" "}"#, "member_id"),
            (r#"{"code":"c","reward_id":"r","member_id":"ann"}"#, "reward_id"),
            (r#"{"code":"c","quantity":1,"member_id":"ann"}"#, "quantity"),
            (r#"{"reward_id":"r","quantity":101,"member_id":"ann"}"#, "quantity"),
            (r#"{"reward_id":"r","currency":"EUR","member_id":"ann"}"#, "currency"),
            (r#"{"reward_id":"r","method":"api","member_id":"ann"}"#, "method"),
            (r#"{"code":"c","currency":"eur","member_id":"ann"}"#, "currency"),
            (r#"{"code":"c","at":"today","member_id":"ann"}"#, "at"),
            (r#"{"code":"c","as":{"tier":""},"member_id":"ann"}"#, "as.tier"),
            (r#"{"code":"c","as":{"tags":[""]},"member_id":"ann"}"#, "as.tags"),
            (r#"{"code":"c","as":{"name":"x"},"member_id":"ann"}"#, "as.name"),
        ] {
            let checked = parse::<ExplainBody>(body.as_bytes()).and_then(|body| body.check().map(|_| ()));
            let path = checked.map_or_else(|invalid| invalid.0[0].path.clone(), |()| "ok".to_owned());
            assert_eq!(path, expected, "{body}");
        }
    }
}
