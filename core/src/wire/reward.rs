//! Rewards: one given thing, where it stands in its life, and how it came there.

use super::body::{InvalidRequest, nullable};
use super::definition::{RewardType, RewardValue};
use crate::limits::{FULFILMENT_DATA_BYTES_MAX, LIST_ENTRIES_MAX, NOTE_CHARS_MAX};
use crate::phone::Phone;
use crate::time::Instant;
use crate::webhook::outcome::storable;
use serde::{Deserialize, Serialize};

/// Where a reward stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum RewardState {
    /// Rests until the player claims it.
    Unclaimed,
    /// Rests until it is activated.
    PendingActivation,
    /// Being applied, or played.
    InProgress,
    /// Applied.
    Granted,
    /// Its time is over.
    Complete,
    /// Nobody claimed or activated it in time.
    Expired,
    /// Could not be applied; tried again by itself, or an operator decides.
    Failed,
    /// The player did not want it.
    Declined,
    /// Taken back.
    Deleted,
    /// A game that was not played in time.
    Bounced,
}

impl RewardState {
    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Unclaimed,
        Self::PendingActivation,
        Self::InProgress,
        Self::Granted,
        Self::Complete,
        Self::Expired,
        Self::Failed,
        Self::Declined,
        Self::Deleted,
        Self::Bounced,
    ];

    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unclaimed => "unclaimed",
            Self::PendingActivation => "pending_activation",
            Self::InProgress => "in_progress",
            Self::Granted => "granted",
            Self::Complete => "complete",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Declined => "declined",
            Self::Deleted => "deleted",
            Self::Bounced => "bounced",
        }
    }
}

/// Where a reward comes from that no code gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum RewardSource {
    /// A mission was done.
    Mission,
    /// A tournament was won.
    Tournament,
    /// A campaign without codes.
    Campaign,
    /// Bought.
    Shop,
    /// An administrator gave it.
    Admin,
}

/// One move of a reward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RewardMove {
    /// Absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<RewardState>,
    /// Where to.
    pub to: RewardState,
    /// When.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub at: Instant,
    /// Who.
    pub actor: String,
    /// Why, where somebody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the fulfiller said, and what support wrote to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Fulfilment {
    /// The fulfiller's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "Record<string, unknown>"))]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
    /// A note of support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it answered last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub answered_at: Option<Instant>,
}

/// One given thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Reward {
    /// Opaque.
    pub id: String,
    /// Definition.
    pub reward_id: String,
    /// Shown to people.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: RewardType,
    /// Value by type.
    pub value: RewardValue,
    /// Units.
    pub quantity: u32,
    /// Where it stands.
    pub state: RewardState,
    /// The redemption that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redemption_id: Option<String>,
    /// Where it comes from, where no code gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RewardSource>,
    /// The giver's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// First instant at which it is too late to claim, activate or play it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub valid_until: Option<Instant>,
    /// How long it runs once granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_s: Option<u32>,
    /// First instant at which it runs no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub runs_until: Option<Instant>,
    /// Tries so far to apply it.
    pub attempts: u32,
    /// Most tries.
    pub attempts_max: u32,
    /// When the server tries again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub next_attempt_at: Option<Instant>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The fulfiller's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilment: Option<Fulfilment>,
    /// Its life so far.
    pub moves: Vec<RewardMove>,
}

/// Body of `POST /v1/members/{id}/rewards`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct GiveBody {
    /// Definition.
    pub reward_id: String,
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
    /// Where it comes from; `admin` where absent.
    pub source: Option<RewardSource>,
    /// The giver's own reference.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub reference: Option<String>,
}

/// Body of calls that may say why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ReasonBody {
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Reason>"))]
    pub reason: Option<String>,
}

/// Body of calls that must say why.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RequiredReasonBody {
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
}

/// Body of a player's own moves of a reward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PlayerMoveBody {
    /// For `service` tokens: whose reward it is.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub member_id: Option<String>,
}

/// Body of `PUT /v1/members/{id}`: what it names is set, the rest stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProfileBody {
    /// How staff find them, as somebody wrote it; null takes it away. Kept apart from the rest.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::PhoneOrNull>"))]
    pub phone: Option<Option<String>>,
    /// Shown to staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Name>"))]
    pub name: Option<String>,
    /// Redemptions may be reset freely, and are kept apart from production figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tester: Option<bool>,
    /// Loyalty tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub tier: Option<String>,
    /// Marketing persona.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attribute>"))]
    pub persona: Option<String>,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attributes>"))]
    pub tags: Option<Vec<String>>,
    /// Stored roles, which eligibility rules read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Attributes>"))]
    pub roles: Option<Vec<String>>,
}

impl ProfileBody {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        let attribute = |text: &String| crate::token::valid_attribute(text);
        if let Some(name) = &self.name {
            super::definition::check_name(&mut errors, name);
        }
        for (path, value) in [("tier", &self.tier), ("persona", &self.persona)] {
            if value.as_ref().is_some_and(|text| !attribute(text)) {
                errors.add(path, format!("1 to {} characters", crate::limits::ATTRIBUTE_CHARS_MAX));
            }
        }
        for (path, list) in [("tags", &self.tags), ("roles", &self.roles)] {
            let legal = |list: &Vec<String>| list.len() <= LIST_ENTRIES_MAX && list.iter().all(attribute);
            if list.as_ref().is_some_and(|list| !legal(list)) {
                let (entries, chars) = (LIST_ENTRIES_MAX, crate::limits::ATTRIBUTE_CHARS_MAX);
                errors.add(path, format!("at most {entries} entries of 1 to {chars} characters"));
            }
        }
        errors.into_result()
    }
}

/// A member as administrators see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct MemberResource {
    /// The merchant's own id of them.
    pub member_id: String,
    /// Their random name in audit and reports.
    pub member: String,
    /// Shown to staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How staff find them, in E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// Kept apart from production figures.
    pub tester: bool,
    /// Loyalty tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Marketing persona.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Stored roles.
    pub roles: Vec<String>,
}

/// Body of `PATCH /v1/members/{id}/rewards/{rid}/fulfilment`, after the merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FulfilmentBody {
    /// The fulfiller's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Map<String, serde_json::Value>>,
    /// A note of support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(length(max = crate::limits::NOTE_CHARS_MAX)))]
    pub note: Option<String>,
}

impl FulfilmentBody {
    /// Checks the bounds.
    ///
    /// # Errors
    /// What is too large.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if self.data.as_ref().is_some_and(|data| !storable(data)) {
            errors.add("data", format!("at most {FULFILMENT_DATA_BYTES_MAX} bytes, integers below 2^53"));
        }
        if self.note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
            errors.add("note", format!("at most {NOTE_CHARS_MAX} characters"));
        }
        errors.into_result()
    }
}

/// Checks a reason: 1 to 500 characters, not blank, no control characters but line ends.
///
/// # Errors
/// The path is `reason`.
pub fn check_reason(reason: Option<&str>, required: bool) -> Result<(), InvalidRequest> {
    match reason {
        None if required => Err(InvalidRequest::one("reason", "is required")),
        None => Ok(()),
        Some(text) => {
            let legal = !text.trim().is_empty()
                && text.chars().count() <= NOTE_CHARS_MAX
                && !text.chars().any(|c| c.is_control() && c != '\n');
            let expected = format!("1 to {NOTE_CHARS_MAX} characters, not blank, no control characters");
            if legal { Ok(()) } else { Err(InvalidRequest::one("reason", expected)) }
        }
    }
}
