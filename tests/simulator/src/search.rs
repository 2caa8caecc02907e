//! Many seeds, on every core.

use crate::fault::Hits;
use crate::outcome::Violation;
use crate::run::{Plan, run};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A seed that breaks something.
#[derive(Clone, Debug)]
pub struct Found {
    /// Replays it.
    pub seed: u64,
    /// What.
    pub violation: Violation,
}

/// Many runs.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Runs.
    pub runs: u64,
    /// Redemptions that were granted.
    pub granted: u64,
    /// Redemptions that were refused with a record.
    pub refused: u64,
    /// How often each fault struck each step.
    pub hits: Hits,
    /// The lowest seed that failed.
    pub found: Option<Found>,
    /// Every kind of failure: how many seeds show it, and the lowest of them.
    pub kinds: BTreeMap<String, (u64, u64)>,
}

/// Runs seeds `first` to `first + seeds − 1`, up to the first that fails, or all of them.
///
/// # Errors
/// As [`run`].
pub fn search(first: u64, seeds: u64, plan: &Plan, all: bool) -> Result<Summary, &'static str> {
    let next = AtomicU64::new(0);
    // Seeds from here on need not be run: a lower one has failed.
    let end = AtomicU64::new(seeds);
    let total = Mutex::new(Ok(Summary::default()));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut part = Ok(Summary::default());
                while let Ok(summary) = &mut part {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= end.load(Ordering::Relaxed) {
                        break;
                    }
                    let seed = first.wrapping_add(n);
                    match run(seed, plan) {
                        Err(error) => part = Err(error),
                        Ok(outcome) => {
                            summary.runs += 1;
                            summary.granted += outcome.decided.0;
                            summary.refused += outcome.decided.1;
                            summary.hits.add(&outcome.hits);
                            if let Some(violation) = outcome.violation {
                                if !all {
                                    end.fetch_min(n, Ordering::Relaxed);
                                }
                                summary.note(Found { seed, violation }, first);
                            }
                        }
                    }
                }
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                match (&mut *total, part) {
                    (Ok(total), Ok(part)) => total.add(part, first),
                    (Ok(_), Err(error)) => *total = Err(error),
                    (Err(_), _) => {}
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Summary {
    fn add(&mut self, part: Self, first: u64) {
        self.runs += part.runs;
        self.granted += part.granted;
        self.refused += part.refused;
        self.hits.add(&part.hits);
        for (kind, (seeds, lowest)) in part.kinds {
            let known = self.kinds.entry(kind).or_insert((0, lowest));
            *known = (
                known.0 + seeds,
                if lowest.wrapping_sub(first) < known.1.wrapping_sub(first) { lowest } else { known.1 },
            );
        }
        self.keep_lowest(part.found, first);
    }

    fn note(&mut self, found: Found, first: u64) {
        self.kinds.entry(kind(&found.violation)).or_insert((0, found.seed)).0 += 1;
        self.keep_lowest(Some(found), first);
    }

    fn keep_lowest(&mut self, found: Option<Found>, first: u64) {
        let both = [self.found.take(), found];
        self.found = both.into_iter().flatten().min_by_key(|found| found.seed.wrapping_sub(first));
    }
}

/// A violation without the names and numbers of its run.
fn kind(violation: &Violation) -> String {
    let words = violation.what.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '+'));
    format!("{} {}", violation.invariant, words.collect::<Vec<_>>().join(" "))
}

/// How many seeds it takes from `first` until a plan's defect is seen; `None` when `most` do not show it.
///
/// # Errors
/// As [`run`].
pub fn seeds_until_caught(first: u64, most: u64, plan: &Plan) -> Result<Option<(u64, Violation)>, &'static str> {
    let found = search(first, most, plan, false)?.found;
    Ok(found.map(|found| (found.seed.wrapping_sub(first) + 1, found.violation)))
}
