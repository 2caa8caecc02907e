//! Redemptions and previews.

use super::body::InvalidRequest;
use crate::limits::QUANTITY_MAX;
use crate::refusal::Refusal;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/redemptions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RedeemBody {
    /// Code as typed or scanned; or a reward that points buy.
    pub code: Option<String>,
    /// What points buy.
    pub reward_id: Option<String>,
    /// Units of it, 1 to 100; 1 where absent.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::QUANTITY_MAX)))]
    pub quantity: Option<u32>,
    /// ISO 4217, where the campaign restricts currencies.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Currency>"))]
    pub currency: Option<String>,
    /// Order this belongs to, shown in history.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub order: Option<String>,
    /// For `service` tokens: whose redemption it is.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub member_id: Option<String>,
}

/// What a body of `POST /v1/redemptions` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// Whatever a code gives.
    Code(&'a str),
    /// What points buy.
    Reward {
        /// Which.
        reward_id: &'a str,
        /// Units, 1 to 100.
        quantity: u32,
    },
}

impl RedeemBody {
    /// A code or a reward, and nothing that goes with the other.
    ///
    /// # Errors
    /// Every field that is out of range or does not fit the others.
    pub fn check(&self) -> Result<Wanted<'_>, InvalidRequest> {
        let mut errors = InvalidRequest::default();
        let quantity = self.quantity.unwrap_or(1);
        if !(1..=QUANTITY_MAX).contains(&quantity) {
            errors.add("quantity", format!("1 to {QUANTITY_MAX}"));
        }
        match (&self.code, &self.reward_id) {
            (Some(code), None) => {
                if self.quantity.is_some() {
                    errors.add("quantity", "goes with reward_id; a code gives what its campaign says");
                }
                errors.into_result().map(|()| Wanted::Code(code))
            }
            (None, Some(reward_id)) => {
                for (path, given) in [("currency", &self.currency), ("order", &self.order)] {
                    if given.is_some() {
                        errors.add(path, "goes with a code");
                    }
                }
                errors.into_result().map(|()| Wanted::Reward { reward_id, quantity })
            }
            (Some(_), Some(_)) => {
                errors.add("reward_id", "give a code or a reward_id, not both");
                Err(errors)
            }
            (None, None) => {
                errors.add("code", "is required, or reward_id");
                Err(errors)
            }
        }
    }
}

/// Body of `POST /v1/codes/{code}/redemptions`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RedeemPathBody {
    /// ISO 4217, where the campaign restricts currencies.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Currency>"))]
    pub currency: Option<String>,
    /// Order this belongs to, shown in history.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub order: Option<String>,
    /// For `service` tokens: whose it is.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub member_id: Option<String>,
}

/// Body of `POST /v1/codes/preview`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PreviewBody {
    /// Code or alias as typed or scanned.
    pub code: String,
    /// ISO 4217, where the campaign restricts currencies.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Currency>"))]
    pub currency: Option<String>,
    /// For `service` tokens: whose it is.
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Text>"))]
    pub member_id: Option<String>,
}

/// Where a redemption stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum RedemptionStatus {
    /// Accepted, not decided yet.
    Redeeming,
    /// A participant could not be reached; tried again by itself.
    RedeemFailed,
    /// Decided against, with a reason.
    Refused,
    /// Kept for a checkout.
    Held,
    /// The use is consumed, durably, once.
    Redeemed,
    /// Rewards are being applied.
    Granting,
    /// A reward could not be applied; tried again by itself, or an operator decides.
    GrantFailed,
    /// Every reward is applied or rests for the player.
    Granted,
    /// Ended without effect; the use was given back.
    Cancelled,
    /// Granted, then taken back.
    Reversed,
}

impl RedemptionStatus {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Redeeming,
        Self::RedeemFailed,
        Self::Refused,
        Self::Held,
        Self::Redeemed,
        Self::Granting,
        Self::GrantFailed,
        Self::Granted,
        Self::Cancelled,
        Self::Reversed,
    ];

    /// snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redeeming => "redeeming",
            Self::RedeemFailed => "redeem_failed",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Redeemed => "redeemed",
            Self::Granting => "granting",
            Self::GrantFailed => "grant_failed",
            Self::Granted => "granted",
            Self::Cancelled => "cancelled",
            Self::Reversed => "reversed",
        }
    }

    /// Whether a decision stands behind it: a client that asked is answered 201.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Redeeming | Self::RedeemFailed)
    }
}

/// What was turned into rewards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum RedemptionKind {
    /// A code.
    Code,
    /// Points.
    Points,
    /// Nothing: it was given by hand or by a service.
    Gift,
}

/// A redemption's ledger row in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(rename = "RedemptionLedgerRow"))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "RedemptionLedgerRow"))]
pub struct LedgerLine {
    /// Opaque.
    pub ledger_id: String,
    /// Short and readable, for receipts.
    pub number: String,
    /// Units.
    pub quantity: u32,
    /// What the holder shows elsewhere, where the reward comes with promo codes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promo_code: Option<String>,
}

/// One member's request to turn a code into rewards: the claim record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Redemption {
    /// Opaque; also the event id.
    pub redemption_id: String,
    /// Where it stands.
    pub status: RedemptionStatus,
    /// What was redeemed.
    pub kind: RedemptionKind,
    /// Campaign number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<u16>,
    /// Reward definition; known once decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward_id: Option<String>,
    /// Units.
    pub quantity: u32,
    /// Points that were taken for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub points_spent: Option<u64>,
    /// Points that a manager let go, with the reason beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "number"))]
    pub goodwill_points: Option<u64>,
    /// Ledger rows it made.
    pub ledger: Vec<LedgerLine>,
    /// Rewards it made.
    pub rewards: Vec<String>,
    /// Why not, when refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Tries so far to reach a decision or a grant.
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
    /// When the request came.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub created_at: Instant,
    /// When it last moved.
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub updated_at: Instant,
    /// Actor, when not the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, where somebody who acted on it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Order given with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Batch of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Whatever that batch is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// What an operator decides about a redemption that the server could not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Resolution {
    /// It was given by other means.
    Granted,
    /// It is not to be given; its use is given back.
    Cancelled,
}

/// Body of `POST /v1/redemptions/{id}/resolve`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ResolveBody {
    /// How.
    #[serde(rename = "as")]
    pub resolution: Resolution,
    /// Why.
    #[cfg_attr(feature = "openapi", schemars(with = "crate::wire::schema::Reason"))]
    pub reason: String,
    /// Cancel although a delivery is under way or nobody knows what became of one.
    #[serde(default)]
    pub unknown_outcome: bool,
}

/// What a redemption would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Verdict {
    /// It would be redeemed.
    Redeem,
    /// It would be refused.
    Refuse,
}

/// One rule of a preview.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PreviewRule {
    /// Code of the refusal that it would give.
    pub rule: String,
    /// Whether it passes.
    pub passed: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The reward that a code would give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PreviewReward {
    /// Shown to people.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: super::RewardType,
    /// Value by type.
    pub value: super::RewardValue,
}

/// The campaign a code belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PreviewCampaign {
    /// Shown to people.
    pub name: String,
    /// First instant after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", ts(type = "string"))]
    pub ends_at: Option<Instant>,
}

/// Answer of `POST /v1/codes/preview`; nothing was consumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Preview {
    /// What redeeming would do now.
    pub would: Verdict,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What it gives.
    pub reward: PreviewReward,
    /// Which campaign.
    pub campaign: PreviewCampaign,
    /// Every rule in order of precedence.
    pub rules: Vec<PreviewRule>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "{T}Page"))]
pub struct Page<T> {
    /// Rows.
    pub items: Vec<T>,
    /// Give this as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}
