//! Messages to a Member about quotes, adjustments and what points can buy.

use crate::calls::Once;
use counterfoil_core::adjustment::Adjustment;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::wire::RewardDefinition;
use serde::{Deserialize, Serialize};

/// Asked of a Member.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum TillOp {
    Quote(QuoteCall),
    ReadQuote(QuoteRef),
    CancelQuote(QuoteRef),
    Confirm(ConfirmCall),
    Adjust(AdjustCall),
    /// What points can buy of a page of definitions.
    Catalogue {
        rewards: Vec<RewardDefinition>,
        next_cursor: Option<String>,
    },
}

/// A till asks for an offer.
#[derive(Serialize, Deserialize)]
pub(crate) struct QuoteCall {
    /// Its name: random.
    pub(crate) rid: Rid,
    /// In the version that counts now.
    pub(crate) reward: RewardDefinition,
    pub(crate) quantity: u32,
    pub(crate) again: bool,
    /// Who, such as `staff:bea`.
    pub(crate) actor: String,
    pub(crate) once: Option<Once>,
}

/// An offer, as somebody at a till names it.
#[derive(Serialize, Deserialize)]
pub(crate) struct QuoteRef {
    pub(crate) quote: Rid,
    /// Whose offers the caller may see; absent where all.
    pub(crate) own: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ConfirmCall {
    /// The redemption.
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    pub(crate) quote: QuoteRef,
    pub(crate) actor: String,
    /// Why the missing points are let go.
    pub(crate) override_reason: Option<String>,
    pub(crate) respond_async: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct AdjustCall {
    pub(crate) adjustment: Adjustment,
    pub(crate) actor: String,
    pub(crate) once: Once,
}
