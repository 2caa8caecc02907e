//! What the parties say to each other: the calls of `edge/src/calls.rs` that take part in a redemption.

use crate::disk::Fault;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::protocol::{Fate, Intent, PrepareAnswer, Prepared};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::{Facts, Rules};
use counterfoil_core::wire::{CampaignStatus, Event, Redemption, RewardValue};
use futures_channel::oneshot;
use std::rc::Rc;

/// A party. The Worker is part of the client: it keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Party {
    Member(usize),
    Shard(usize),
    Campaign(usize),
    /// Whoever stands outside: a member's tab or an administrator, by the number of what they do.
    Outside(usize),
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Member(n) => write!(f, "M{n}"),
            Self::Shard(n) => write!(f, "P{n}"),
            Self::Campaign(n) => write!(f, "C{n}"),
            Self::Outside(n) => write!(f, "W{n}"),
        }
    }
}

/// A member's request as the Worker passes it on.
#[derive(Clone, Debug)]
pub(crate) struct RedeemCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// Campaign and seq; absent where the tag does not fit.
    pub(crate) code: Option<(u16, u32)>,
    pub(crate) order: Option<String>,
    pub(crate) respond_async: bool,
}

/// What an administrator does to a campaign.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Move(CampaignStatus),
    Total(Option<u64>),
    PerMember(Option<u64>),
    Worth(RewardValue),
    /// Mints so many more codes.
    Mint(u32),
}

#[derive(Clone, Debug)]
pub(crate) enum Request {
    Redeem(Rc<RedeemCall>),
    Inquire {
        intent: Rc<Intent>,
        prepared: Prepared,
    },
    Recognise {
        facts: Facts,
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
    /// 400: the balance would exceed what clients keep exactly.
    Overflow,
    /// 500.
    Failed(Fault),
}

#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Answer(Answer),
    Fate(Fate),
    Recognised(bool),
    Prepared(PrepareAnswer),
    /// The version that a shard works by.
    Version(u32),
    Pulled(Option<Rc<Rules>>),
    Administered {
        version: u32,
        in_force: bool,
    },
    Done,
}

/// Where the answer to a request goes.
pub(crate) type Slot = oneshot::Sender<Result<Reply, Fault>>;

/// Something that leaves an object at the end of its turn.
pub(crate) enum Out {
    Request {
        to: Party,
        step: crate::fault::Step,
        request: Request,
        slot: Slot,
    },
    Reply {
        step: crate::fault::Step,
        reply: Result<Reply, Fault>,
        slot: Slot,
    },
    /// Frames on a member's live feed.
    Frames {
        member: usize,
        events: Vec<Rc<Event>>,
    },
}
