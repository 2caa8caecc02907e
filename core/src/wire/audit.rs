//! The audit log and the history of all members, as administrators read them.

use super::Redemption;
use crate::audit::Entry;
use serde::{Deserialize, Serialize};

/// One row of `GET /v1/audit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AuditRow {
    /// The entry.
    #[serde(flatten)]
    pub entry: Entry,
    /// SHA-256 over the entry's canonical form (RFC 8785), in hexadecimal.
    pub hash: String,
}

/// One row of `GET /v1/redemptions?all=1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "typescript", ts(optional_fields))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ListedRedemption {
    /// The redemption.
    #[serde(flatten)]
    pub redemption: Redemption,
    /// Whose, by their random name.
    pub member: String,
    /// Present and true for testers, who are listed on request only.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    #[cfg_attr(feature = "typescript", ts(as = "Option<bool>", optional))]
    pub tester: bool,
}

/// Body of `POST /v1/verify`: exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct VerifyBody {
    /// The member's own id.
    pub member_id: Option<String>,
    /// A campaign's number.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1)))]
    pub campaign: Option<u16>,
    /// A pool.
    pub pool_id: Option<String>,
}

/// Answer of `POST /v1/verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct VerifyAnswer {
    /// Nothing is wrong.
    pub ok: bool,
    /// What is.
    pub violations: Vec<crate::verify::Violation>,
}
