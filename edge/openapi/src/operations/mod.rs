//! The operations, by whom they are for.

mod administration;
mod campaigns;
mod member;
mod operators;
mod staff;

use crate::call::Api;
use counterfoil_core::wire::RedemptionStatus;
use serde_json::{Value, json};

/// What may become of a code.
pub(crate) const CODE: &[&str] = &[
    "malformed_code",
    "too_many_attempts",
    "challenge_required",
    "code_not_recognised",
    "code_recalled",
    "campaign_not_active",
    "campaign_not_started",
    "campaign_ended",
    "code_expired",
    "redemption_method_not_allowed",
    "currency_not_allowed",
    "not_eligible",
    "already_redeemed_by_you",
    "already_redeemed",
    "code_held",
    "member_limit_reached",
    "campaign_limit_reached",
    "budget_exhausted",
];

/// What may become of points.
pub(crate) const POINTS: &[&str] =
    &["reward_not_for_sale", "insufficient_points", "insufficient_codes", "not_eligible"];

pub(crate) const LOCATION: &[&str] = &["Location", "Idempotent-Replayed"];
pub(crate) const VERSIONED: &[&str] = &["ETag", "Idempotent-Replayed"];
pub(crate) const REPLAYED: &[&str] = &["Idempotent-Replayed"];

/// Every operation.
pub(crate) fn all(api: &mut Api) {
    member::all(api);
    staff::all(api);
    campaigns::all(api);
    administration::all(api);
    operators::all(api);
}

pub(crate) fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(crate) fn campaign_number() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX })
}

pub(crate) fn redemption_status() -> Value {
    json!({ "type": "string", "enum": RedemptionStatus::ALL.map(RedemptionStatus::name) })
}

pub(crate) fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// Text in which nothing is found where there is no such thing.
pub(crate) fn any_text() -> Value {
    json!({ "type": "string" })
}

/// A parameter that is there or not.
pub(crate) fn flag() -> Value {
    json!({ "type": "string", "enum": ["1"] })
}
