//! What a Member is asked about orders and what is held for them.

use crate::calls::{Guard, Once, PageQuery, Place, ReadCode};
use counterfoil_core::breaker::Claim;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::wire::{Credit, Method};
use serde::{Deserialize, Serialize};

/// About one order of this member.
#[derive(Serialize, Deserialize)]
pub(crate) struct OrderCall {
    /// The shop's name of it.
    pub(crate) order: String,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
    pub(crate) op: OrderOp,
}

/// See [`OrderCall`].
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum OrderOp {
    /// Holds something for it; what this member holds elsewhere is moved.
    Hold(HoldCall),
    /// Everything that is or was held for it.
    Holds(PageQuery),
    /// One of those.
    Held { rid: Rid },
    /// Lets one go.
    LetGo { rid: Rid },
    /// The shop has placed it.
    Commit { total: Option<Credit>, once: Option<Once> },
    /// The shop has given it up.
    Release { once: Option<Once> },
}

/// Something to be held.
#[derive(Serialize, Deserialize)]
pub(crate) struct HoldCall {
    /// The redemption, where it is a code.
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// What the order costs.
    pub(crate) total: Credit,
    pub(crate) wanted: Wanted,
    pub(crate) once: Option<Once>,
}

/// What is to be held.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    Code {
        /// Absent where the tag does not fit or the alias is not known.
        code: Option<ReadCode>,
        /// As in [`RedeemCall`](crate::calls::RedeemCall).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<Claim>,
        guard: Guard,
        alias: bool,
        method: Method,
    },
    /// Credit out of the wallet, in the total's currency.
    Credit { amount_minor: u64 },
    /// A discount that rests.
    Reward { at: Place },
}
