//! Messages to a Merchant, and its answers.

use crate::calls::{Once, PageQuery};
use crate::endpoint_calls::EndpointOp;
use crate::merchant_aliases::AliasOp;
use crate::merchant_api_keys::ApiKeyOp;
use crate::merchant_keys::KeyOp;
use counterfoil_core::alias::Alias;
use counterfoil_core::breaker::{BreakerState, Claim};
use counterfoil_core::wire::{NewCampaign, NewPool, NewRewardDefinition, RewardDefinition};
use serde::{Deserialize, Serialize};

/// Asked of a Merchant.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum MerchantOp {
    /// Compares root check values with those of first use.
    CheckRoots {
        values: Vec<(u8, String)>,
    },
    Define {
        new: NewRewardDefinition,
        by: String,
        once: Option<Once>,
    },
    Definition {
        reward_id: String,
    },
    PatchDefinition {
        reward_id: String,
        if_match: Option<u32>,
        patch: serde_json::Value,
        by: String,
    },
    /// A campaign is about to give this reward: it will be told of the reward's changes.
    Bind {
        campaign: u16,
        reward_id: String,
    },
    Definitions(PageQuery),
    /// Rewards that points can buy; answered with their definitions, the newest first.
    ForSale,
    /// The same in pages.
    ForSalePage(PageQuery),
    /// Checks a campaign's definition and gives it its number.
    Enrol {
        definition: NewCampaign,
        by: String,
        once: Option<Once>,
    },
    Enrolled(PageQuery),
    /// Gives a pool its id; answered with [`PoolEnrolment`].
    EnrolPool {
        new: NewPool,
        by: String,
        once: Option<Once>,
    },
    /// Answered with [`PoolsPage`].
    Pools(PageQuery),
    /// A Recorder of this month exists; lists go back to it.
    RecorderBorn {
        month: String,
    },
    /// Every month that has a Recorder; answered with [`Months`].
    Months,
    /// Webhook endpoints.
    Endpoint(EndpointOp),
    /// What Workers have to know before they let a code through; answered with [`Gate`](crate::gate::Gate).
    Gate,
    /// A campaign says which of its keys are being guessed; the latest word, by `version`, counts.
    Tripped {
        campaign: u16,
        version: u32,
        keys: Vec<(Claim, BreakerState)>,
    },
    /// Which of these campaigns there are; answered with [`Existing`](crate::gate::Existing).
    Existing {
        campaigns: Vec<u16>,
    },
    /// A word's campaign; answered with [`AliasOf`](crate::merchant_aliases::AliasOf).
    Alias {
        alias: Alias,
    },
    /// Aliases of a campaign.
    Aliases(AliasOp),
    /// Key epochs.
    Keys(KeyOp),
    /// API keys.
    ApiKey(ApiKeyOp),
    Settings,
    PatchSettings {
        if_match: Option<u32>,
        patch: serde_json::Value,
        by: String,
    },
    /// Told to the environment's object: this merchant exists.
    MerchantBorn {
        merchant: String,
    },
    /// Asked of the environment's object: merchants by name; answered with [`MerchantNames`].
    Merchants {
        after: String,
        limit: u32,
    },
}

/// Merchants in order of their names.
#[derive(Serialize, Deserialize)]
pub(crate) struct MerchantNames {
    pub(crate) merchants: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Enrolment {
    pub(crate) definition: NewCampaign,
    pub(crate) reward: RewardDefinition,
    /// The code that its aliases stand for.
    pub(crate) alias_seq: u32,
    pub(crate) revoked_epochs: Vec<u8>,
    pub(crate) notify_days: u32,
    pub(crate) replayed: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PoolEnrolment {
    pub(crate) new: NewPool,
    pub(crate) replayed: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PoolsPage {
    pub(crate) pools: Vec<String>,
    pub(crate) next_cursor: Option<String>,
}

/// The newest first.
#[derive(Serialize, Deserialize)]
pub(crate) struct Months {
    pub(crate) months: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EnrolledPage {
    pub(crate) campaigns: Vec<u16>,
    pub(crate) next_cursor: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RootsAnswer {
    /// Epochs whose secret is not the one of first use.
    pub(crate) mismatched: Vec<u8>,
}
