//! Key epochs: which one mints, and which have been revoked.

use super::body::InvalidRequest;
use super::reward::check_reason;
use crate::keys::EPOCH_MAX;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// Where an epoch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum EpochState {
    /// New codes are made with it.
    Minting,
    /// Its codes are redeemed.
    Active,
    /// Revoked, and not yet in force everywhere.
    Revoking,
    /// None of its codes is redeemed any more.
    Revoked,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct EpochResource {
    /// Its number.
    pub epoch: u8,
    /// Where it stands.
    pub state: EpochState,
    /// What tells its root from any other, in hexadecimal.
    pub check_value: String,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Instant>,
    /// Campaigns that have to be told of its revocation …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaigns: Option<u32>,
    /// … and those that have it in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaigns_done: Option<u32>,
}

/// Answer of `GET /v1/keys`, `POST /v1/keys/rotate` and `POST /v1/keys/{epoch}/revoke`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct KeyRing {
    /// Absent where every epoch is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minting_epoch: Option<u8>,
    /// Every epoch with a root, ascending.
    pub epochs: Vec<EpochResource>,
}

/// Body of `POST /v1/keys/rotate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RotateBody {
    /// The epoch to mint with; the next that has a root and is not revoked where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(max = crate::keys::EPOCH_MAX)))]
    pub epoch: Option<u8>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(with = "Option<crate::wire::schema::Reason>"))]
    pub reason: Option<String>,
}

impl RotateBody {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Every field that is out of range.
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let mut errors = InvalidRequest::default();
        if self.epoch.is_some_and(|epoch| epoch > EPOCH_MAX) {
            errors.add("epoch", format!("0 to {EPOCH_MAX}"));
        }
        if let Err(invalid) = check_reason(self.reason.as_deref(), false) {
            errors.0.extend(invalid.0);
        }
        errors.into_result()
    }
}
