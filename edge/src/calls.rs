//! What the Worker and the objects ask of each other. How it travels is in [`crate::objects`].

use crate::breaker::BreakerOp;
use crate::campaign_portions::PortionOp;
use crate::explain::ExplainCall;
use crate::order_calls::OrderCall;
use crate::recorder_calls::RedemptionsQuery;
use crate::till_calls::TillOp;
use counterfoil_core::alias::Alias;
use counterfoil_core::breaker::Claim;
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::limits::{ALIAS_ATTEMPTS_PER_DAY, ATTEMPTS_PER_DAY};
use counterfoil_core::phone::Phone;
use counterfoil_core::protocol::member::Bar;
use counterfoil_core::protocol::portion::Meter;
use counterfoil_core::protocol::{Checkout, Fate, Intent, PrepareAnswer, Prepared};
use counterfoil_core::rate_limit::{Policy, RateLimit};
use counterfoil_core::reward::life::PlayerMove;
use counterfoil_core::rules::{Facts, Rules};
use counterfoil_core::time::Instant;
use counterfoil_core::token::Attributes;
use counterfoil_core::verify::Violation;
use counterfoil_core::webhook::Outcome;
use counterfoil_core::wire::{
    BatchResource, CampaignStatus, Method, NewBatch, NewCampaign, Preview, ProfileBody, RecallBody, Resolution,
    RewardDefinition, RewardSource,
};
use serde::{Deserialize, Serialize};

/// Asked of a Member.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum MemberOp {
    Redeem(RedeemCall),
    Buy(BuyCall),
    Preview(PreviewCall),
    Redemption {
        rid: Rid,
    },
    Redemptions(HistoryQuery),
    /// Redemptions as lists of all members show them; answered with [`Listing`](crate::recorder_calls::Listing).
    Search(RedemptionsQuery),
    Wallet,
    Ledger(PageQuery),
    Events {
        since: Option<u64>,
        wait_s: u32,
        expires_at: Instant,
        socket: bool,
        select: bool,
    },
    Inquire {
        intent: Intent,
        prepared: Prepared,
    },
    InquirePool {
        intent: Intent,
    },
    Rewards(RewardsQuery),
    Reward {
        at: Place,
    },
    /// A player's move, by themselves or by an administrator.
    Move {
        at: Place,
        wanted: PlayerMove,
        actor: Option<String>,
        reason: Option<String>,
    },
    Give(GiveCall),
    /// Quotes, adjustments, and what points can buy.
    Till(TillOp),
    Order(OrderCall),
    /// Administrators' and operators' commands; each leaves an audit entry, refused ones too.
    Operate(OperateCall),
    PutProfile {
        profile: ProfileBody,
        phone: Option<PhoneChange>,
        actor: String,
    },
    /// Whether this member has a telephone number; answered with [`HasPhone`](crate::directory::HasPhone).
    HasPhone {
        hash: String,
    },
    /// The member as administrators see them, where they have this number.
    Found {
        hash: String,
    },
    /// What a till shows of the member, where they have this number; `rewards` are those for sale.
    Lookup {
        hash: String,
        rewards: Vec<RewardDefinition>,
    },
    /// The fulfiller's late answer, its signature verified.
    Callback {
        at: Place,
        webhook_id: String,
        outcome: Outcome,
    },
    /// Which endpoint a reward's callback must be signed by.
    EndpointOf {
        at: Place,
    },
    /// An endpoint works again: what waits for it is tried now.
    Hurry {
        endpoint_id: String,
    },
    /// The member's own id, for an event of that time that is being sent.
    Identity {
        at: Instant,
    },
    /// A dry run; answered with an explanation.
    Explain(ExplainCall),
    /// Everything stored about the member.
    Export,
    /// Erases the member.
    Erase {
        reason: Option<String>,
        actor: String,
    },
    /// Checks the invariants over everything stored here.
    Verify,
}

impl MemberOp {
    /// Whether it makes a member known again who was erased: somebody acts for them, and does not only look.
    pub(crate) const fn makes_known(&self) -> bool {
        matches!(
            self,
            Self::Redeem(_)
                | Self::Buy(_)
                | Self::Give(_)
                | Self::Order(_)
                | Self::PutProfile { .. }
                | Self::Till(TillOp::Adjust(_) | TillOp::Quote(_))
        )
    }
}

/// What becomes of a member's telephone number.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhoneChange {
    Set(Phone),
    Remove,
}

/// A reward of this Member.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) rid: Rid,
    pub(crate) index: u8,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RewardsQuery {
    pub(crate) page: PageQuery,
    pub(crate) state: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GiveCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    pub(crate) definition: RewardDefinition,
    pub(crate) source: RewardSource,
    pub(crate) reference: Option<String>,
    pub(crate) reason: String,
    pub(crate) actor: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct OperateCall {
    pub(crate) command: Command,
    /// Who, such as `admin:alice`.
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) once: Option<Once>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    Retry {
        rid: Rid,
    },
    Resolve {
        rid: Rid,
        resolution: Resolution,
        unknown_outcome: bool,
    },
    Reset {
        rid: Rid,
    },
    /// `staff_window_s`: the caller is staff, who reverse their own for so long.
    Reverse {
        rid: Rid,
        give_back: bool,
        staff_window_s: Option<u32>,
    },
    RetryReward {
        at: Place,
    },
    DeleteReward {
        at: Place,
    },
    PatchFulfilment {
        at: Place,
        patch: serde_json::Value,
        if_match: Option<u32>,
    },
}

/// A member's id as its Member knows it; absent once it was erased.
#[derive(Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) member_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EndpointOf {
    pub(crate) endpoint_id: Option<String>,
}

/// A member's call, with what its token says about the member.
#[derive(Serialize, Deserialize)]
pub(crate) struct MemberCall {
    /// Route without parameters, for problem documents.
    pub(crate) instance: String,
    /// The member's own id, where the caller knows it: only the Member itself keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member_id: Option<String>,
    /// Attributes of a member's own token.
    pub(crate) refresh: Option<Attributes>,
    /// When the request came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) arrived: Option<Instant>,
    /// How many days before its end a reward is announced, where the Worker knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) notify_days: Option<u32>,
    pub(crate) op: MemberOp,
}

impl MemberCall {
    /// A call about a member whose own id is not handed over: it does not make them known.
    pub(crate) fn without_id(instance: impl Into<String>, op: MemberOp) -> Self {
        Self { instance: instance.into(), member_id: None, refresh: None, arrived: None, notify_days: None, op }
    }
}

/// A code as the Worker has read it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ReadCode {
    pub(crate) campaign: u16,
    pub(crate) seq: u32,
    pub(crate) epoch: u8,
    pub(crate) profile: Profile,
    pub(crate) epoch_revoked: bool,
    /// The shard that keeps its uses, as far as the Worker knows.
    #[serde(default)]
    pub(crate) shard: u32,
    /// The word that was entered instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) alias: Option<Alias>,
}

/// What the Worker knows of a merchant and its caller that a Member's decision about wrong codes reads.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Guard {
    /// Wrong codes and unknown aliases that a day may have.
    pub(crate) attempts_per_day: u32,
    pub(crate) alias_attempts_per_day: u32,
    /// What keeps accounts without an earlier grant out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bar: Option<Bar>,
    /// The limit behind it, where they must wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<RateLimit>,
}

impl Guard {
    /// Where the merchant has said nothing.
    pub(crate) const fn usual() -> Self {
        Self {
            attempts_per_day: ATTEMPTS_PER_DAY,
            alias_attempts_per_day: ALIAS_ATTEMPTS_PER_DAY,
            bar: None,
            limit: None,
        }
    }

    /// Kind of the wrong codes that a request would add to, and the limit of those that a day may have.
    pub(crate) const fn attempts(&self, alias: bool) -> (&'static str, RateLimit) {
        if alias {
            ("alias", RateLimit::daily(Policy::AliasAttempts, self.alias_attempts_per_day))
        } else {
            ("code", RateLimit::daily(Policy::Attempts, self.attempts_per_day))
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RedeemCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// Absent where the tag does not fit or the alias is not known.
    pub(crate) code: Option<ReadCode>,
    /// The campaign key that a code names whose tag does not fit: the breaker counts it, and nobody believes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<Claim>,
    pub(crate) guard: Guard,
    pub(crate) alias: bool,
    pub(crate) method: Method,
    pub(crate) currency: Option<String>,
    pub(crate) order: Option<String>,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
    pub(crate) respond_async: bool,
    /// Kept for a checkout instead of given at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkout: Option<Checkout>,
}

/// A purchase with points.
#[derive(Serialize, Deserialize)]
pub(crate) struct BuyCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// In the version that counts now.
    pub(crate) reward: RewardDefinition,
    pub(crate) quantity: u32,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
    pub(crate) respond_async: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PreviewCall {
    pub(crate) code: Option<ReadCode>,
    /// As in [`RedeemCall`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<Claim>,
    pub(crate) guard: Guard,
    pub(crate) alias: bool,
    pub(crate) method: Method,
    pub(crate) currency: Option<String>,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PageQuery {
    /// Rows before this number.
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct HistoryQuery {
    pub(crate) page: PageQuery,
    pub(crate) status: Option<String>,
    pub(crate) campaign: Option<u16>,
    pub(crate) from: Option<Instant>,
    pub(crate) to: Option<Instant>,
}

/// Asked of a CodeShard.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShardOp {
    Prepare {
        intent: Intent,
    },
    /// Is this code known at all? Asked before a 202 leaves; answered with [`Kept`] [`Recognised`].
    Recognise {
        facts: Facts,
        mref: Mref,
    },
    /// Answered with [`Kept`] [`PreviewAnswer`].
    Preview {
        facts: Facts,
        mref: Mref,
    },
    /// Every rule, for administrators; answered with [`Kept`] [`LookAnswer`](crate::shard_look::LookAnswer).
    Look {
        facts: Facts,
        mref: Mref,
    },
    Settle {
        rid: Rid,
        fp: Fingerprint,
        fate: Fate,
        /// Heard later, it is too late: the alarm asks instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Instant>,
    },
    /// Decided and recorded, in bulk: their pending rows can go.
    Settled {
        items: Vec<(Rid, Fingerprint)>,
    },
    /// A decided use is given back; answered with [`Kept`] nothing.
    Undo {
        rid: Rid,
        seq: u32,
    },
    Rules {
        rules: Rules,
    },
    Count,
    /// Returns everything that is free of a meter; answered with [`HandedBack`](crate::shard_portions::HandedBack).
    HandBack {
        meter: Meter,
        /// What this shard was given in all.
        given: u64,
        /// What the Campaign has heard of being returned.
        heard: u64,
        /// The version of the rules whose limit it is.
        version: u32,
    },
    /// What redemptions have of meters here; answered with [`Taken`](crate::shard_portions::Taken).
    Taken {
        meters: Vec<Meter>,
    },
    /// Whose uses a code has; answered with [`Uses`].
    Uses {
        seq: u32,
    },
    /// Checks this shard's invariants; answered with [`Violations`].
    Verify,
}

/// What an object found when it checked its invariants.
#[derive(Serialize, Deserialize)]
pub(crate) struct Violations {
    pub(crate) violations: Vec<Violation>,
}

/// An answer about one code, by the shard that keeps its uses.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kept<T> {
    /// This one.
    Here(T),
    /// Another one.
    Elsewhere { shard: u32 },
}

/// The use that was given back is not there, or not any more.
#[derive(Serialize, Deserialize)]
pub(crate) struct Undone {}

#[derive(Serialize, Deserialize)]
pub(crate) struct Recognised {
    pub(crate) recognised: bool,
}

/// A preview, unless the code is not recognised.
#[derive(Serialize, Deserialize)]
pub(crate) struct PreviewAnswer {
    pub(crate) preview: Option<Preview>,
}

/// Redemptions that use a code, and until when the first of them is only held.
#[derive(Serialize, Deserialize)]
pub(crate) struct Uses {
    pub(crate) rids: Vec<Rid>,
    pub(crate) held_until: Option<Instant>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) redeemed: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FateAnswer {
    pub(crate) fate: Fate,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct VersionAnswer {
    pub(crate) version: u32,
}

pub(crate) type PrepareReply = PrepareAnswer;

/// An administrator's idempotency key in its scope, with the command's fingerprint.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Once {
    pub(crate) scope: String,
    pub(crate) fp: Fingerprint,
}

/// Asked of a Campaign.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum CampaignOp {
    Create {
        definition: NewCampaign,
        reward: RewardDefinition,
        /// The code that its aliases stand for.
        alias_seq: u32,
        revoked_epochs: Vec<u8>,
        notify_days: u32,
        by: String,
    },
    Read,
    /// `reward` is the definition that the patch names, where it names one that exists.
    Patch {
        if_match: Option<u32>,
        patch: serde_json::Value,
        reward: Option<RewardDefinition>,
        by: String,
    },
    Recall {
        body: RecallBody,
        by: String,
        once: Option<Once>,
    },
    Recalls(PageQuery),
    ReadRecall {
        recall_id: String,
    },
    /// Exports the keys of an epoch for a print shop: whether it may, decided and audited here; the Worker derives them.
    /// `epoch` is the one that mints, where there is one.
    PrintKey {
        epoch: Option<u8>,
        reason: String,
        by: String,
        once: Option<Once>,
    },
    /// So many codes of a batch were streamed, the last with this seq.
    Delivered {
        batch_id: String,
        count: u32,
        seq: u32,
    },
    /// Portions of its limits.
    Portion(PortionOp),
    /// Wrong tags that named it, and the reset of what they led to.
    Breaker(BreakerOp),
    /// The merchant's revoked epochs, all of them.
    Revoked {
        epochs: Vec<u8>,
    },
    /// How many days before its end it is announced.
    Notice {
        days: u32,
    },
    /// Its reward's definition has changed. Ignored where the campaign has another reward by now.
    Reward {
        reward: RewardDefinition,
    },
    Move {
        to: CampaignStatus,
        by: String,
        once: Option<Once>,
    },
    /// `epoch` is the one that mints, where there is one; `after_seq` goes on with a stream that broke off.
    Batch {
        new: NewBatch,
        epoch: Option<u8>,
        after_seq: Option<u32>,
        by: String,
        once: Option<Once>,
    },
    Batches(PageQuery),
    ReadBatch {
        batch_id: String,
    },
    /// A shard pulls the rules, and is registered for changes in the same commit.
    Pull {
        shard: u32,
    },
    /// Checks this campaign's invariants and those of its shards; answered with [`Violations`].
    Verify,
}

/// A reserved batch, with what the Worker needs to mint it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) batch: BatchResource,
    pub(crate) profile: Profile,
    pub(crate) campaign: u16,
    pub(crate) remaining: u32,
    pub(crate) issued: u64,
    pub(crate) replayed: bool,
    /// A seq of a stream that goes on, and how many codes it had come to with it.
    pub(crate) place: Option<(u32, u32)>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Pulled {
    pub(crate) rules: Option<Rules>,
}
