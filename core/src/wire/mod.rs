//! Wire shapes: what goes over HTTP. They are not domain types; TypeScript types are generated from them.

mod audit;
mod body;
mod campaign;
mod definition;
mod endpoint;
mod feed;
mod problem;
mod redemption;
mod reward;
mod stats;
mod wallet;

pub use audit::{AuditRow, ListedRedemption, VerifyAnswer, VerifyBody};
pub use body::{InvalidRequest, PathReason, merge_patch, parse, parse_patch};
pub use campaign::{
    BatchFormat, BatchResource, CampaignKind, CampaignResource, CampaignStatus, Eligibility, Limits, Method, NewBatch,
    NewCampaign,
};
pub use definition::{Mechanic, NewRewardDefinition, RewardDefinition, RewardType, RewardValue};
pub use endpoint::{
    DeliveryResource, DeliveryState, EndpointResource, FulfilmentReport, NewEndpoint, ReportedOutcome, TestResult,
    wants_event,
};
pub use feed::{Event, EventPage, FeedReset};
pub use problem::{Problem, ProtocolError};
pub use redemption::{
    LedgerLine, Page, Preview, PreviewCampaign, PreviewReward, PreviewRule, RedeemBody, RedeemPathBody, Redemption,
    RedemptionKind, RedemptionStatus, Resolution, ResolveBody, Verdict,
};
pub use reward::{
    Fulfilment, FulfilmentBody, GiveBody, MemberResource, ProfileBody, ReasonBody, Reward, RewardMove, RewardSource,
    RewardState, check_reason,
};
pub use stats::{CampaignFigures, Counts, Figures, Stats};
pub use wallet::{Booster, Credit, LedgerRow, Wallet};
