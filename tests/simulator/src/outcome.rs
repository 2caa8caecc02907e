//! What a run comes to.

use crate::fault::{Hits, Strike};

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the design.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
}

impl Violation {
    pub(crate) const fn new(invariant: &'static str, what: String) -> Self {
        Self { invariant, what }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// Every fault that struck, in order.
    pub struck: Vec<Strike>,
    /// How often each fault struck each step.
    pub hits: Hits,
    /// Numbers of the actions that were carried out.
    pub actions: Vec<usize>,
    /// Redemptions that were granted, and those that were refused with a record.
    pub decided: (u64, u64),
    /// What happened, where it was asked for.
    pub trace: Vec<String>,
}
