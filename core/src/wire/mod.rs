//! Wire shapes: what goes over HTTP. They are not domain types; TypeScript types are generated from them.

mod audit;
mod body;
mod campaign;
mod definition;
mod endpoint;
mod feed;
mod hold;
mod lookup;
mod pool;
mod problem;
mod redemption;
mod reward;
mod settings;
mod stats;
mod till;
mod wallet;

pub use audit::{AuditRow, ListedRedemption, VerifyAnswer, VerifyBody};
pub use body::{InvalidRequest, PathReason, merge_patch, parse, parse_nullable, parse_patch};
pub use campaign::{
    BatchFormat, BatchResource, CampaignKind, CampaignResource, CampaignStatus, Eligibility, Limits, Method, NewBatch,
    NewCampaign,
};
pub use definition::{
    Mechanic, NewRewardDefinition, Price, RewardDefinition, RewardType, RewardValue, valid_promo_code,
};
pub use endpoint::{
    DeliveryResource, DeliveryState, EndpointResource, FulfilmentReport, NewEndpoint, ReportedOutcome, TestResult,
    wants_event,
};
pub use feed::{Event, EventPage, FeedReset};
pub use hold::{CommitOrderBody, Hold, HoldBody, HoldState, OrderResource, OrderTotal, ReleaseOrderBody};
pub use lookup::{NextReward, TillMember};
pub use pool::{
    NewPool, PoolFigures, PoolResource, QuarantinedCode, RefusedLine, ReleaseBody, Stock, UploadAnswer, valid_pool_id,
};
pub use problem::{Problem, ProtocolError};
pub use redemption::{
    LedgerLine, Page, Preview, PreviewCampaign, PreviewReward, PreviewRule, RedeemBody, RedeemPathBody, Redemption,
    RedemptionKind, RedemptionStatus, Resolution, ResolveBody, Verdict, Wanted,
};
pub use reward::{
    Fulfilment, FulfilmentBody, GiveBody, MemberResource, ProfileBody, ReasonBody, Reward, RewardMove, RewardSource,
    RewardState, check_reason,
};
pub use settings::Settings;
pub use stats::{Bucket, CampaignFigures, Counts, Figures, Histogram, Stats};
pub use till::{
    AdjustedAsset, AdjustmentBody, CatalogueItem, ConfirmBody, Goodwill, QuoteBody, QuoteResource, QuoteState,
    ReversalBody, check_quantity,
};
pub use wallet::{Booster, Credit, LedgerRow, Wallet};
