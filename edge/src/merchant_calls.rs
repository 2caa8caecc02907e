//! Messages to a Merchant, and its answers.

use crate::calls::{Once, PageQuery};
use crate::endpoint_calls::EndpointOp;
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
