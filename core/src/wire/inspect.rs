//! Everything that is known of one code.

use super::redemption::RedemptionStatus;
use crate::code::Profile;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/codes/inspect`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InspectBody {
    /// Code or alias as typed or scanned.
    pub code: String,
}

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum CodeKind {
    /// A code, by its length and parity.
    Code,
    /// A memorable word.
    Alias,
}

/// Answer of `POST /v1/codes/inspect`. Of a code that is not authentic, nothing is told of the campaign that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Inspection {
    /// In its canonical form.
    pub code: String,
    /// What it is.
    pub kind: CodeKind,
    /// Layout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Epoch of its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u8>,
    /// Campaign's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<u16>,
    /// The tag fits the campaign's key, or a campaign lists the alias.
    pub authentic: bool,
    /// The campaign has minted it, or its alias stands for a code.
    pub issued: bool,
    /// Its place in the campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u32>,
    /// What stands in the code for its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    /// The batch that it was minted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// Present where it was issued: whether its issuer has withdrawn it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled: Option<bool>,
    /// Redemptions that use it, the latest first: 100 at most, where many share it.
    pub uses: Vec<CodeUse>,
    /// Kept for a checkout until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Instant>,
}

/// One use of a code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CodeUse {
    /// The redemption that has it.
    pub redemption_id: String,
    /// Where that stands.
    pub status: RedemptionStatus,
    /// When its request came.
    pub created_at: Instant,
}
