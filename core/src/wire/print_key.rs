//! The two keys of a campaign that a print shop mints with.

use crate::code::Profile;
use serde::{Deserialize, Serialize};

/// Answer of `POST /v1/campaigns/{campaign}/print-key`, once; `counterfoil campaign export-key` writes the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PrintKey {
    /// Tenant.
    pub merchant: String,
    /// Environment of the deployment: part of every key.
    pub environment: String,
    /// Campaign's number.
    pub campaign: u16,
    /// Layout of its codes.
    pub profile: Profile,
    /// Epoch of the keys.
    pub epoch: u8,
    /// Key of the tags, in hexadecimal.
    pub tag_key: String,
    /// Key of the permutation of places, in hexadecimal.
    pub permute_key: String,
    /// Version of the list of words that codes avoid.
    pub word_list: u32,
}
