//! Which fault strikes when.
//!
//! Whether a fault strikes is a pure function of the seed, the step, the fault, and how often that step has been
//! passed: leaving one fault out changes no other, which is what lets a failing run be shrunk.

use crate::prng::{Prng, scramble};
use crate::step::{Fault, Step};
use std::collections::BTreeSet;

const STEPS: usize = Step::ALL.len();
const FAULTS: usize = Fault::ALL.len();

/// How often each fault struck each step.
#[derive(Clone, Debug)]
pub struct Hits([[u64; FAULTS]; STEPS]);

impl Default for Hits {
    fn default() -> Self {
        Self([[0; FAULTS]; STEPS])
    }
}

impl Hits {
    fn cell(&mut self, step: Step, fault: Fault) -> Option<&mut u64> {
        self.0.get_mut(step.number()).and_then(|row| row.get_mut(fault.number()))
    }

    /// How often.
    #[must_use]
    pub fn of(&self, step: Step, fault: Fault) -> u64 {
        self.0.get(step.number()).and_then(|row| row.get(fault.number())).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *mine += theirs;
        }
    }

    /// Pairs that can happen and never did.
    pub fn empty(&self) -> impl Iterator<Item = (Step, Fault)> + '_ {
        possible().filter(|(step, fault)| self.of(*step, *fault) == 0)
    }
}

/// Every pair that can happen.
fn possible() -> impl Iterator<Item = (Step, Fault)> {
    let pairs = Step::ALL.iter().flat_map(|step| Fault::ALL.iter().map(|fault| (*step, *fault)));
    pairs.filter(|(step, fault)| step.can(*fault))
}

/// Strikes in 65,536 at most, outside an outage.
const OFTEN: u64 = 16_000;
/// Strikes in 65,536 during an outage.
const OUTAGE: u64 = 56_000;

/// One fault of one run: the n-th time this step was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Strike {
    /// Where.
    pub step: Step,
    /// What.
    pub fault: Fault,
    /// Which time, from 0.
    pub n: u32,
}

/// Which faults may strike.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// As the seed says.
    Seeded,
    /// These and no others.
    Only(BTreeSet<Strike>),
}

/// For some time nothing passes between two objects.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    pub(crate) member: usize,
    pub(crate) shard: usize,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
}

/// What a scenario is about, where it is about one thing; the seed decides the rest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bias {
    pub(crate) focus: Option<Step>,
    pub(crate) outage: Option<(Step, Fault)>,
    pub(crate) cut: Option<Cut>,
    /// The objects are close together, so that messages that leave together arrive together.
    pub(crate) near: bool,
}

/// Decides at each step of one run whether something goes wrong.
pub(crate) struct Faults {
    seed: u64,
    choice: Choice,
    /// Strikes in 65,536 steps.
    density: u64,
    /// One step that is struck more often.
    focus: Option<usize>,
    /// One fault that one step hardly ever escapes.
    outage: Option<(Step, Fault)>,
    cut: Option<Cut>,
    pub(crate) near: bool,
    passed: [[u32; FAULTS]; STEPS],
    pub(crate) on: bool,
    pub(crate) struck: Vec<Strike>,
}

impl Faults {
    /// `until_ms` is when faults stop.
    pub(crate) fn new(seed: u64, choice: Choice, bias: Bias, until_ms: i64) -> Self {
        let mut draw = Prng::new(seed, 0xfa17);
        // Quiet runs show that the schedule alone breaks nothing, and keep long successes in the mixture.
        let density = match draw.below(8) {
            0 => 0,
            1 | 2 => 400,
            3..=5 => 1_500,
            _ => 4_000,
        };
        let density = if bias.focus.is_some() { density.max(1_500) } else { density };
        let focus = bias.focus.map(Step::number).or_else(|| draw.once_in(2).then(|| draw.index(STEPS)));
        let pairs: Vec<(Step, Fault)> = possible().collect();
        let outage = pairs.get(draw.index(pairs.len())).copied().filter(|_| density > 0 && draw.once_in(3));
        let outage = bias.outage.or(outage);
        let from_ms = draw.between(0, until_ms);
        let cut =
            Cut { member: draw.index(3), shard: draw.index(2), from_ms, to_ms: from_ms + draw.between(2_000, 120_000) };
        let cut = bias.cut.or(Some(cut).filter(|_| density > 0 && draw.once_in(4)));
        let near = bias.near;
        Self {
            seed,
            choice,
            density,
            focus,
            outage,
            cut,
            near,
            passed: [[0; FAULTS]; STEPS],
            on: true,
            struck: Vec::new(),
        }
    }

    /// Whether this fault strikes now. Each call counts as passing the step.
    pub(crate) fn strikes(&mut self, step: Step, fault: Fault) -> bool {
        self.strikes_or(step, fault, false)
    }

    /// Whether a message between these two is lost because nothing passes between them now.
    pub(crate) fn cuts(&self, member: usize, shard: usize, since_ms: i64) -> bool {
        self.cut.as_ref().is_some_and(|cut| {
            (cut.member, cut.shard) == (member, shard) && (cut.from_ms..cut.to_ms).contains(&since_ms)
        })
    }

    /// As [`Faults::strikes`], and without fail where `certain`.
    pub(crate) fn strikes_or(&mut self, step: Step, fault: Fault, certain: bool) -> bool {
        let Some(passed) = self.passed.get_mut(step.number()).and_then(|row| row.get_mut(fault.number())) else {
            return false;
        };
        let strike = Strike { step, fault, n: *passed };
        *passed += 1;
        if !self.on || !step.can(fault) {
            return false;
        }
        let strikes = match &self.choice {
            Choice::Only(these) => these.contains(&strike),
            Choice::Seeded => {
                let focused = self.focus == Some(step.number()) && self.density > 0;
                let usual = if focused { self.density * 3 + 6_000 } else { self.density * step.weight() };
                let threshold = if certain {
                    0x1_0000
                } else if self.outage == Some((step, fault)) {
                    OUTAGE
                } else {
                    // No fault may strike so often that it hides those after it.
                    (usual * fault.share() / 16).min(OFTEN)
                };
                self.roll(&strike) & 0xffff < threshold
            }
        };
        if strikes {
            self.struck.push(strike);
        }
        strikes
    }

    /// A number that belongs to this strike alone: how long, how many, which variant.
    pub(crate) fn roll(&self, strike: &Strike) -> u64 {
        let place = (strike.step as u64) << 40 | (strike.fault as u64) << 32 | u64::from(strike.n);
        scramble(self.seed.wrapping_add(scramble(place)))
    }

    /// As [`Faults::strikes`], with a number for how it strikes.
    pub(crate) fn strikes_how(&mut self, step: Step, fault: Fault, certain: bool) -> Option<u64> {
        self.strikes_or(step, fault, certain).then(|| self.struck.last().map_or(0, |strike| self.roll(strike) >> 16))
    }

    pub(crate) fn hits(&self) -> Hits {
        let mut hits = Hits::default();
        for strike in &self.struck {
            if let Some(cell) = hits.cell(strike.step, strike.fault) {
                *cell += 1;
            }
        }
        hits
    }
}
