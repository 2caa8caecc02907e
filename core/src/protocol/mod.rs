//! One redemption between its participants: participants prepare, the Member decides.
//!
//! ```text
//! W worker, M Member, P participant (CodeShard). Every message carries {v, rid, fp}.
//! 1 W reads the code, verifies the tag, finds seq           → M
//! 2 M `receive`: replay, reused key, attempts, wrong tag, or go on
//! 3 M → P  intent
//! 4 P `prepare`: rules in precedence order; use row + pending row, one commit
//! 5 M `decide`: redemption, rewards, wallet, ledger, events, one commit; then the answer, then the sockets
//! 6 M → R  report; R commits in groups and tells P what is settled. M → P abort where it was refused after all
//! 7 P's alarm asks what became of a pending intent: M `inquire`
//!   A reward that pays with promo codes: M → Pool after the shard, all or nothing, before M decides
//! 8 M's alarm drives what was accepted before it was decided, deliveries, ends, reports, and uses given back
//! ```
//!
//! Everything here is plain: state in, decision out. `edge` and the simulator run these same functions. What becomes
//! of a redemption's rewards after the decision is in [`crate::reward`].

mod grant;
pub mod member;
pub mod pool;
pub mod portion;
pub mod purchase;
pub mod recorder;
pub mod report;
pub mod shard;

use crate::calendar::Day;
use crate::ids::{Fingerprint, Rid};
use crate::refusal::Refusal;
use crate::rules::{Facts, MemberWindow};
use crate::time::Instant;
use crate::token::Attributes;
use crate::wire::{RewardDefinition, RewardSource};
use serde::{Deserialize, Serialize};

/// Version of the messages between objects; mixed versions meet during a roll-out.
pub const MESSAGE_VERSION: u8 = 4;

/// What a member asked for, with everything that decides frozen in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Message version.
    pub v: u8,
    /// Redemption.
    pub rid: Rid,
    /// Command.
    pub fp: Fingerprint,
    /// What is turned into rewards.
    pub wish: Wish,
    /// Order given with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Who acts, such as `service:shop`; absent where it is the member, whose own id no other object keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// When the request came in, for figures; absent where nobody knows any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Instant>,
    /// Until when a participant may take this as new.
    pub deadline: Instant,
}

/// What a redemption turns into rewards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one for each redemption under way")]
pub enum Wish {
    /// A code.
    Code(CodeWish),
    /// Points.
    Points(Purchase),
    /// Nothing: it is given by hand or by a service. Only gifts that a pool has a say in are intents.
    Gift(GiftWish),
}

/// See [`Wish::Code`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeWish {
    /// Campaign number.
    pub campaign: u16,
    /// The shard that keeps its uses, as far as the Member knows.
    #[serde(default)]
    pub shard: u32,
    /// What the rules read.
    pub facts: Facts,
    /// Kept for a checkout instead of given at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<Checkout>,
}

/// The checkout that a code is kept for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The shop's order.
    pub order: String,
    /// Currency of its total.
    pub currency: String,
    /// What the order costs, in minor units.
    pub total_minor: u64,
    /// When it ends by itself.
    pub until: Instant,
}

/// See [`Wish::Points`]: everything that decides, frozen when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// What is bought, in the version that counts.
    pub reward: RewardDefinition,
    /// Units, 1 to 100.
    pub quantity: u32,
    /// When it was asked for.
    pub at: Instant,
    /// Attributes stored on the Member then.
    pub attributes: Attributes,
    /// Roles stored on the Member then.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Points for one unit; absent where it is not for sale to this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit_cost: Option<u64>,
    /// The till's offer that is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<QuoteTerms>,
}

/// The till's offer that a purchase confirms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteTerms {
    /// Which.
    pub quote: Rid,
    /// A manager lets the missing points go, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
}

/// See [`Wish::Gift`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiftWish {
    /// What is given, in the version that counts.
    pub reward: RewardDefinition,
    /// Where it comes from.
    pub source: RewardSource,
    /// The giver's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Why.
    pub reason: String,
}

impl Intent {
    /// The code that is redeemed, where it is one.
    #[must_use]
    pub const fn code(&self) -> Option<&CodeWish> {
        match &self.wish {
            Wish::Code(code) => Some(code),
            Wish::Points(_) | Wish::Gift(_) => None,
        }
    }

    /// The campaign whose code it is; 0 where it is none.
    #[must_use]
    pub fn campaign(&self) -> u16 {
        self.code().map_or(0, |code| code.campaign)
    }

    /// Whether a word was entered instead of the code.
    #[must_use]
    pub fn is_by_alias(&self) -> bool {
        self.code().is_some_and(|code| code.facts.alias.is_some())
    }

    /// Whether a code is kept for a checkout.
    #[must_use]
    pub fn checkout(&self) -> Option<&Checkout> {
        self.code().and_then(|code| code.checkout.as_ref())
    }
}

/// What a participant promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The reward in the version that counts for this redemption.
    pub reward: RewardDefinition,
    /// Units.
    pub quantity: u32,
    /// The campaign's limit for one member, checked again by the Member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_member: Option<u64>,
    /// Its limits for one member within windows, checked again by the Member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub member_windows: Vec<MemberWindow>,
    /// The campaign's local day that the use is charged to.
    pub day: Day,
    /// The batch that the code was minted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_id: Option<String>,
    /// Whatever that batch is found by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A participant's answer to an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "one for each question to a shard")]
pub enum PrepareAnswer {
    /// The use is kept for this redemption until the Member decides.
    Prepared(Prepared),
    /// A rule refuses.
    Refused {
        /// Which.
        refusal: Refusal,
        /// What the code would have given, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reward_id: Option<String>,
        /// The batch that the code was minted with, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch_id: Option<String>,
        /// Whatever that batch is found by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    },
    /// The intent was older than its deadline; nothing was kept.
    Late,
    /// Another shard keeps this code's uses.
    Elsewhere {
        /// Which.
        shard: u32,
    },
}

/// A Member's answer to a participant that asks what became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Decided for it: the use stays.
    Committed,
    /// Decided against it, or for another command: give the use back.
    Aborted,
    /// Not decided yet: ask later.
    Running,
    /// Kept for a checkout: the use stays held, ask again when that is over.
    Held {
        /// When the hold ends by itself.
        until: Instant,
    },
}

/// Pause before the next try: doubling from a second up to the longest, with full jitter over its upper half.
/// `random` is any number.
#[must_use]
pub fn backoff_ms(tries: u32, random: u32) -> i64 {
    let longest = (1_000i64 << tries.min(6)).min(crate::limits::BACKOFF_MAX_MS);
    longest / 2 + i64::from(random) % (longest / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_a_minute() {
        for (tries, low, high) in [(0, 500, 1_000), (3, 4_000, 8_000), (6, 30_000, 60_000), (99, 30_000, 60_000)] {
            for random in [0, 1, 77_777, u32::MAX] {
                assert!((low..=high).contains(&backoff_ms(tries, random)));
            }
        }
    }
}
