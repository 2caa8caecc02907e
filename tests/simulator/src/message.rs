//! What the parties say to each other: the calls of `edge/src/calls.rs` that take part in a redemption.

use crate::disk::Fault;
use crate::step::Step;
use counterfoil_core::adjustment::Adjustment;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::protocol::pool::PoolAnswer;
use counterfoil_core::protocol::portion::{Ask, Meter, Portion};
use counterfoil_core::protocol::report::Report;
use counterfoil_core::protocol::{Checkout, Fate, Intent, PrepareAnswer, Prepared};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::reward::Refused;
use counterfoil_core::rules::{Facts, Rules, SeqRange};
use counterfoil_core::time::Instant;
use counterfoil_core::webhook::Outcome;
use counterfoil_core::wire::{CampaignStatus, Credit, Event, Redemption, RewardDefinition, RewardValue, WindowLimit};
use futures_channel::oneshot;
use std::rc::Rc;

/// A party. The Worker is part of the client: it keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Party {
    Member(usize),
    Shard(usize),
    Campaign(usize),
    Pool(usize),
    /// By month, from the first of the run.
    Recorder(usize),
    Merchant,
    /// Outside, and reached by HTTP.
    Fulfiller,
    /// Whoever stands outside: a member's tab or an administrator, by the number of what they do.
    Outside(usize),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member(n) => write!(f, "M{n}"),
            Self::Shard(n) => write!(f, "P{n}"),
            Self::Campaign(n) => write!(f, "C{n}"),
            Self::Pool(n) => write!(f, "S{n}"),
            Self::Recorder(n) => write!(f, "R{n}"),
            Self::Merchant => write!(f, "E"),
            Self::Fulfiller => write!(f, "F"),
            Self::Outside(n) => write!(f, "W{n}"),
        }
    }
}

/// A code as the Worker has read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadCode {
    pub(crate) campaign: u16,
    pub(crate) seq: u32,
    pub(crate) epoch_revoked: bool,
    pub(crate) epoch: u8,
    /// The shard that the Worker believes to keep its uses.
    pub(crate) shard: u32,
    /// The word that was entered instead.
    pub(crate) alias: Option<&'static str>,
}

impl ReadCode {
    /// A code of the first epoch.
    pub(crate) const fn of(campaign: u16, seq: u32) -> Self {
        Self { campaign, seq, epoch_revoked: false, epoch: 0, shard: 0, alias: None }
    }
}

/// The answer to a shard that needs more of a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Allotted {
    /// So much is given to it by now, in all.
    Given(u64),
    /// Nothing is left, and every shard has said so.
    Exhausted,
    /// A shard that may have something left is out of reach: later, never no.
    Later,
    /// The rules are others by now.
    Changed,
}

/// A member's request as the Worker passes it on.
#[derive(Clone, Debug)]
pub(crate) struct RedeemCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// Absent where the tag does not fit.
    pub(crate) code: Option<ReadCode>,
    /// What was typed, whatever its tag.
    pub(crate) typed: ReadCode,
    pub(crate) order: Option<String>,
    pub(crate) respond_async: bool,
    pub(crate) asked: Asked,
    /// The code is kept for an order.
    pub(crate) checkout: Option<Checkout>,
}

/// What is asked about an order.
#[derive(Clone, Debug)]
pub(crate) enum CheckoutCall {
    /// Once for each key.
    Hold {
        order: &'static str,
        rid: Rid,
        fp: Fingerprint,
        total: Credit,
        wanted: Wanted,
        key: String,
    },
    LetGo {
        order: &'static str,
        rid: Rid,
    },
    Commit {
        order: &'static str,
        total: Option<Credit>,
    },
    Release {
        order: &'static str,
    },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Code(ReadCode),
    Credit(u64),
}

/// How that is answered.
#[derive(Clone, Debug)]
pub(crate) enum CheckoutAnswer {
    Held(Rid),
    Done,
    No(&'static str),
    Redeemed(Answer),
}

/// What a request wants to turn into rewards.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// The code.
    Code,
    /// Points.
    Buy { reward: Rc<RewardDefinition>, quantity: u32 },
    /// The offer of a till.
    Confirm { quote: Rid, by: &'static str, override_reason: Option<&'static str> },
    /// Nothing: somebody gives it, with a pool's promo codes.
    Gift { reward: Rc<RewardDefinition> },
}

/// What an administrator does to a pool.
#[derive(Clone, Debug)]
pub(crate) enum Stocking {
    Add(Rc<Vec<String>>),
    /// Everything in quarantine can be handed out again.
    Release,
}

/// What is asked at a till.
#[derive(Clone, Debug)]
pub(crate) enum TillCall {
    Offer {
        quote: Rid,
        reward: Rc<RewardDefinition>,
        quantity: u32,
        again: bool,
        by: &'static str,
    },
    CancelOffer {
        quote: Rid,
    },
    /// Once for each key.
    Adjust {
        key: String,
        adjustment: Adjustment,
    },
}

/// How a till is answered.
#[derive(Clone, Debug)]
pub(crate) enum TillAnswer {
    Made,
    Refused(Refusal),
    NotFound,
    Illegal,
    Overflow,
}

/// What an administrator wants of a merchant's keys.
#[derive(Clone, Debug)]
pub(crate) enum KeyCall {
    /// The next epoch mints; once for each key.
    Rotate(String),
    Revoke(u8),
    Read,
}

/// A merchant's keys.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    /// None where it was revoked and no other was chosen.
    pub(crate) minting: Option<u8>,
    /// Revoked epochs, and whether every campaign has that in force.
    pub(crate) revoked: Vec<(u8, bool)>,
}

/// What an administrator does to a campaign.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Move(CampaignStatus),
    Total(Option<u64>),
    PerMember(Option<u64>),
    Worth(RewardValue),
    /// Adds a window, or changes one.
    Window(WindowLimit),
    Budget(u64),
    Recall(SeqRange),
    /// Everything minted so far, and the words.
    RecallAll,
    AddAlias(&'static str),
    DropAlias(&'static str),
    /// Mints so many more codes, of an epoch.
    Mint(u32, u8),
    /// Codes of earlier epochs count as recalled from now on.
    MinEpoch(u8),
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "few are on their way at a time")]
pub(crate) enum Request {
    Redeem(Rc<RedeemCall>),
    Inquire {
        intent: Rc<Intent>,
        prepared: Prepared,
    },
    Recognise {
        facts: Facts,
        mref: Mref,
    },
    /// A shard needs more of a limit.
    Ask {
        shard: u32,
        version: u32,
        ask: Ask,
    },
    /// It has returned something.
    Returned {
        shard: u32,
        portions: Rc<Vec<(Meter, Portion)>>,
    },
    /// A Campaign wants everything back that is free.
    HandBack {
        meter: Meter,
        given: u64,
        heard: u64,
        version: u32,
    },
    Prepare {
        intent: Rc<Intent>,
    },
    Settle {
        rid: Rid,
        fp: Fingerprint,
        fate: Fate,
    },
    Rules(Rc<Rules>),
    Pull {
        shard: u32,
    },
    Administer(Change),
    /// Decided and recorded, in bulk.
    Settled {
        items: Rc<Vec<(Rid, Fingerprint)>>,
    },
    /// A decided use is given back.
    Undo {
        rid: Rid,
        seq: u32,
    },
    /// To a Recorder.
    Report(Rc<Report>),
    /// Asked of the Merchant before each try; who asks is woken when a disabled endpoint works again.
    EndpointFor {
        member: usize,
    },
    /// Told to the Merchant after a try.
    EndpointResult {
        member: usize,
        outcome: TryOutcome,
        version: u32,
        waits: bool,
    },
    /// An administrator's test of the endpoint has succeeded.
    EndpointTested,
    /// The endpoint works again.
    Hurry,
    /// An administrator's, to the Merchant.
    Keys(KeyCall),
    /// The Merchant's revoked epochs, all of them, to a Campaign.
    Revoked(Rc<Vec<u8>>),
    /// Who a Member was is to be forgotten.
    Erase,
    /// To the fulfiller.
    Webhook(Rc<Webhook>),
    /// From the fulfiller, signed.
    Callback {
        id: String,
        /// The same on every try.
        webhook_id: String,
        outcome: Outcome,
        signed_at: Instant,
    },
    /// A player's move, or an administrator's command.
    Operate(Rc<Order>),
    /// Step 4 at a pool.
    Take {
        intent: Rc<Intent>,
        quantity: u32,
    },
    /// A pool asks.
    InquirePool {
        intent: Rc<Intent>,
    },
    /// An administrator's upload or release.
    Stock(Stocking),
    Till(Rc<TillCall>),
    Checkout(Rc<CheckoutCall>),
    /// What a shard's rules say of a code now.
    Preview {
        facts: Facts,
        /// Whose member asks.
        rid: Rid,
    },
    /// Any read: it changes nothing, and heals a lost alarm as every event does.
    Read,
}

/// A Member's answer to a member.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 201, or the same again.
    Created(Rc<Redemption>),
    /// 202.
    Accepted,
    Refused(Refusal),
    KeyReused,
    /// 404.
    NotFound,
    /// 400: the balance would exceed what clients keep exactly.
    Overflow,
    /// 500.
    Failed(Fault),
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "few are on their way at a time")]
pub(crate) enum Reply {
    Answer(Answer),
    Fate(Fate),
    Recognised(bool),
    /// Another shard keeps this code's uses.
    Elsewhere(u32),
    Allotted(Allotted),
    HandedBack {
        portion: Portion,
        complete: bool,
    },
    Prepared(PrepareAnswer),
    Taken(PoolAnswer),
    Till(TillAnswer),
    Checkout(CheckoutAnswer),
    /// The first rule that refuses.
    Previewed(Option<Refusal>),
    /// The version that a shard works by.
    Version(u32),
    Pulled(Option<Rc<Rules>>),
    Administered {
        version: u32,
        in_force: bool,
    },
    /// Answered by a Member to a player or an operator: what the order named, or why not.
    Operated(Result<(), Declined>),
    /// A callback's answer: whether it was refused as illegal.
    Heard(bool),
    /// What a try needs.
    Endpoint {
        disabled: bool,
        waiting: bool,
        version: u32,
    },
    /// HTTP from outside.
    Http(Http),
    /// A merchant's keys as they stand.
    Keys(Ring),
    Done,
}

/// How a try at the endpoint ended, as its Merchant is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TryOutcome {
    Ok,
    Failed,
    Gone,
}

/// A message to the fulfiller.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    /// `webhook-id`.
    pub(crate) id: String,
    /// The reward that it is about.
    pub(crate) reward: String,
    /// Whose reward.
    pub(crate) member: usize,
    /// `reward.cancelled`, not `reward.fulfil`.
    pub(crate) cancelled: bool,
    pub(crate) attempt: u32,
}

/// A fulfiller's answer.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<&'static str>,
    pub(crate) body: Option<&'static str>,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Declined {
    NotFound,
    Refused(Refused),
}

/// What somebody wants of a redemption or of one of its rewards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Claim,
    Activate,
    Decline,
    /// An administrator claims for the member.
    ClaimFor,
    ActivateFor,
    Retry,
    RetryReward,
    ResolveGranted,
    ResolveCancelled {
        unknown_outcome: bool,
    },
    Reset {
        tester: bool,
    },
    Delete,
    /// A granted one is taken back.
    Reverse {
        give_back: bool,
        staff: bool,
    },
    /// By hand: a redemption of its own.
    Give,
}

/// See [`Wish`].
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) wish: Wish,
    pub(crate) rid: Rid,
    pub(crate) index: u8,
    /// For a gift.
    pub(crate) definition: Option<Rc<RewardDefinition>>,
}

/// Where the answer to a request goes.
pub(crate) type Slot = oneshot::Sender<Result<Reply, Fault>>;

/// Something that leaves an object at the end of its turn.
pub(crate) enum Out {
    Request {
        to: Party,
        step: Step,
        request: Request,
        slot: Slot,
    },
    Reply {
        step: Step,
        reply: Result<Reply, Fault>,
        slot: Slot,
    },
    /// Frames on a member's live feed.
    Frames {
        member: usize,
        events: Vec<Rc<Event>>,
    },
}
