//! Wire shapes: what goes over HTTP. They are not domain types; TypeScript types are generated from them.

mod body;
mod campaign;
mod feed;
mod problem;
mod redemption;
mod reward;

pub use body::{InvalidRequest, PathReason, merge_patch, parse, parse_patch};
pub use campaign::{
    BatchFormat, BatchResource, CampaignKind, CampaignResource, CampaignStatus, Eligibility, Limits, Method, NewBatch,
    NewCampaign,
};
pub use feed::{Event, EventPage, FeedReset};
pub use problem::{Problem, ProtocolError};
pub use redemption::{
    LedgerLine, Page, Preview, PreviewCampaign, PreviewReward, PreviewRule, RedeemBody, RedeemPathBody, Redemption,
    RedemptionKind, RedemptionStatus, Verdict,
};
pub use reward::{
    Boosters, Credit, LedgerRow, Mechanic, NewRewardDefinition, Reward, RewardDefinition, RewardMove, RewardState,
    RewardType, RewardValue, Wallet,
};
