//! Messages to a Pool, and its answers.

use crate::calls::{Once, PageQuery};
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::protocol::{Fate, Intent};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{NewPool, PoolFigures, ReleaseBody};
use serde::{Deserialize, Serialize};

/// Asked of a Pool.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum PoolOp {
    /// So many codes for this redemption, or none; answered with a
    /// [`PoolAnswer`](counterfoil_core::protocol::pool::PoolAnswer).
    Prepare {
        intent: Intent,
        quantity: u32,
    },
    /// What the Member decided.
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
    /// A decided redemption is given back: its codes go to quarantine.
    Undo {
        rid: Rid,
    },
    /// Makes it; repeated, it changes nothing.
    Create {
        new: NewPool,
        by: String,
    },
    Read,
    Patch {
        if_match: Option<u32>,
        patch: serde_json::Value,
        by: String,
    },
    /// Adds codes, a slice of an upload; answered with [`Added`].
    Add(Slice),
    Quarantine(PageQuery),
    Release {
        body: ReleaseBody,
        by: String,
        once: Option<Once>,
    },
    /// Answered with [`FiguresAnswer`].
    Figures,
    /// Checks this pool's invariants; answered with [`Violations`](crate::calls::Violations).
    Verify,
}

/// A part of an upload that is committed at once, so that redemptions go on between.
#[derive(Serialize, Deserialize)]
pub(crate) struct Slice {
    /// In the order of the upload.
    pub(crate) codes: Vec<String>,
    /// Which part of its upload, from 0.
    pub(crate) index: u32,
    /// Whether it is the last part.
    pub(crate) last: bool,
    pub(crate) by: String,
    /// The upload's idempotency key: each of its parts counts once, whoever repeats it.
    pub(crate) once: Option<Once>,
}

/// How far an upload has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Parts that were committed.
    pub(crate) slices: u32,
    /// Whether these are all.
    pub(crate) finished: bool,
    pub(crate) added: u64,
    pub(crate) duplicates: u64,
    /// Free codes after the last of them.
    pub(crate) free: u64,
}

/// See [`PoolOp::Add`].
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Added {
    /// The upload so far; without an idempotency key, this part alone.
    Progress(Progress),
    /// All of it was uploaded before under this key.
    Replayed(Progress),
    /// The key belongs to another upload.
    KeyReused,
    /// There is no such pool.
    NotFound,
}

/// Absent where there is no such pool.
#[derive(Serialize, Deserialize)]
pub(crate) struct FiguresAnswer {
    pub(crate) figures: Option<PoolFigures>,
}

/// Object name of a pool.
pub(crate) fn pool_name(merchant: &str, pool_id: &str) -> String {
    format!("{merchant}/{pool_id}")
}
