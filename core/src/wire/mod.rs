//! Wire shapes: what goes over HTTP. They are not domain types; TypeScript types are generated from them.

mod api_key;
mod audit;
mod body;
mod campaign;
mod campaign_limits;
mod definition;
mod endpoint;
mod explain;
mod feed;
mod hold;
mod inspect;
mod keys;
mod lookup;
mod member_export;
mod pool;
mod print_key;
mod problem;
mod recall;
mod redemption;
pub mod redemption_csv;
mod reward;
#[cfg(feature = "openapi")]
pub mod schema;
mod settings;
mod stats;
mod till;
mod wallet;

pub use api_key::{ApiKeyResource, NewApiKey, Scope};
pub use audit::{AuditRow, ListedRedemption, VerifyAnswer, VerifyBody};
pub use body::{InvalidRequest, PathReason, merge_patch, parse, parse_nullable, parse_patch};
pub use campaign::{
    BatchFormat, BatchResource, CampaignKind, CampaignResource, CampaignStatus, Eligibility, Method, NewBatch,
    NewCampaign,
};
pub use campaign_limits::{Budget, Limits, WindowKind, WindowLimit, money};
pub use definition::{
    Mechanic, NewRewardDefinition, Price, RewardDefinition, RewardType, RewardValue, valid_promo_code,
};
pub use endpoint::{
    DeliveryResource, DeliveryState, EndpointResource, FulfilmentReport, NewEndpoint, ReportedOutcome, TestResult,
    wants_event,
};
pub use explain::{AssumedAttributes, ExplainBody, ExplainedCampaign, ExplainedMember, Explanation};
pub use feed::{Event, EventPage, FeedReset};
pub use hold::{CommitOrderBody, Hold, HoldBody, HoldState, OrderResource, OrderTotal, ReleaseOrderBody};
pub use inspect::{CodeKind, CodeUse, InspectBody, Inspection};
pub use keys::{EpochResource, EpochState, KeyRing, RotateBody};
pub use lookup::{LookupBody, NextReward, TillMember};
pub use member_export::MemberExport;
pub use pool::{
    NewPool, PoolFigures, PoolResource, QuarantinedCode, RefusedLine, ReleaseBody, Stock, UploadAnswer, valid_pool_id,
};
pub use print_key::PrintKey;
pub use problem::{Problem, ProtocolError};
pub use recall::{RecallBody, RecallResource, Recalled};
pub use redemption::{
    LedgerLine, Page, Preview, PreviewBody, PreviewCampaign, PreviewReward, PreviewRule, RedeemBody, RedeemPathBody,
    Redemption, RedemptionKind, RedemptionStatus, Resolution, ResolveBody, Verdict, Wanted,
};
pub use reward::{
    Fulfilment, FulfilmentBody, GiveBody, MemberResource, PlayerMoveBody, ProfileBody, ReasonBody, RequiredReasonBody,
    Reward, RewardMove, RewardSource, RewardState, check_reason,
};
pub use settings::Settings;
pub use stats::{BreakerFigures, Bucket, CampaignFigures, Counts, Figures, Histogram, Stats};
pub use till::{
    AdjustedAsset, AdjustmentBody, CatalogueItem, ConfirmBody, Goodwill, QuoteBody, QuoteResource, QuoteState,
    ReversalBody, check_quantity,
};
pub use wallet::{Booster, Credit, LedgerRow, Wallet};
