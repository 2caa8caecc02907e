//! Decisions of a Pool: which promo codes a redemption gets, all of them or none.
//!
//! Per (rid, fp): absent → prepared (its codes and a pending row) → committed (its codes) | absent (abort). A prepared
//! code counts as used in every answer. A code that may have been shown goes to quarantine, never back to the free.

use super::Fate;
use crate::limits::DAY_MS;
use crate::time::Instant;
use serde::{Deserialize, Serialize};

/// How far back the figures of depletion look.
pub const DEPLETION_MS: i64 = 7 * DAY_MS;
/// How exact a forecast is.
const FORECAST_STEP_MS: i64 = 600_000;
/// A forecast beyond this is none.
const FORECAST_MAX_MS: i64 = 36_525 * DAY_MS;

/// A Pool's answer to an intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolAnswer {
    /// These codes are kept for this redemption until the Member decides: as many as were asked for.
    Prepared {
        /// In the order in which they are handed out.
        codes: Vec<String>,
    },
    /// There are not so many; nothing was taken.
    Refused {
        /// Free codes.
        available: u64,
    },
    /// The intent was older than its deadline, or its key is pending under another command; nothing was taken.
    Late,
}

/// What a Pool reads before it answers an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Whether this very (rid, fp) is pending.
    pub pending: bool,
    /// Whether this rid is pending under another command.
    pub other_pending: bool,
    /// Whether this rid has given its codes back.
    pub buried: bool,
    /// Codes that this rid has.
    pub codes: Vec<String>,
    /// Free codes.
    pub free: u64,
}

/// What a Pool does with an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareStep {
    /// Answer; nothing changes.
    Answer(PoolAnswer),
    /// Count a shortage, and refuse.
    Short {
        /// Free codes.
        available: u64,
    },
    /// Take that many codes in order, write them and a pending row, count them, arm the alarm; then answer.
    Take,
}

/// Step 4. A known (rid, fp) gets the same answer, however few codes there are by now.
#[must_use]
pub fn prepare(view: &PoolView, deadline: Instant, quantity: u32, now: Instant) -> PrepareStep {
    let same = || PrepareStep::Answer(PoolAnswer::Prepared { codes: view.codes.clone() });
    if view.buried {
        // Decided and given back: this message is an old one.
        return PrepareStep::Answer(PoolAnswer::Late);
    }
    if view.pending {
        return same();
    }
    if view.other_pending {
        // Given back as soon as the Member is asked; nothing can be promised beside it before.
        return PrepareStep::Answer(PoolAnswer::Late);
    }
    if !view.codes.is_empty() {
        // Settled already: a late duplicate of the message. The Member has decided and will not ask again.
        return same();
    }
    if deadline < now {
        return PrepareStep::Answer(PoolAnswer::Late);
    }
    if view.free < u64::from(quantity) { PrepareStep::Short { available: view.free } } else { PrepareStep::Take }
}

/// What happens to a pending row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingStep {
    /// Drop it; its codes stay with the redemption.
    Commit,
    /// Drop it, and its codes are free again: nobody has seen them.
    GiveBack,
    /// Leave it and ask again later.
    Keep,
}

/// What a Pool does with the Member's answer about a pending row. A row that is gone is left alone: settled codes are
/// given back by an explicit undo only, never by a late abort.
#[must_use]
pub const fn settle(pending: bool, fate: Fate) -> PendingStep {
    match (pending, fate) {
        (true, Fate::Committed) => PendingStep::Commit,
        (true, Fate::Aborted) => PendingStep::GiveBack,
        // Codes that are kept for a checkout are asked about until it is over.
        (true, Fate::Held { .. } | Fate::Running) | (false, _) => PendingStep::Keep,
    }
}

/// What a Pool does when a Member gives a decided redemption back: whatever it has goes to quarantine, for somebody may
/// have seen it. Repeats find nothing and are acknowledged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undo {
    /// Move the codes of this redemption to quarantine.
    pub quarantine: bool,
    /// Drop its pending rows, under whatever command: its Member has decided.
    pub drop_pending: bool,
}

/// See [`Undo`].
#[must_use]
pub const fn undo(codes: u64, pending: bool) -> Undo {
    Undo { quarantine: codes > 0, drop_pending: pending }
}

/// What becomes of the alert after a change of the stock or of its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// As it was.
    Unchanged,
    /// Below the threshold for the first time since it was armed: tell it, once.
    Raise,
    /// At or above it again: the next crossing is told.
    Rearm,
}

/// `told`: this crossing was told already. `asked`: codes were asked for, or the threshold changed; filling an empty pool
/// in parts is no crossing.
#[must_use]
pub const fn alert(free: u64, alert_below: u64, told: bool, asked: bool) -> Alert {
    match (free < alert_below, told) {
        (true, false) if asked => Alert::Raise,
        (false, true) => Alert::Rearm,
        (true | false, _) => Alert::Unchanged,
    }
}

/// How fast a pool empties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depletion {
    /// Hundredths of a code in a day.
    pub hundredths_per_day: u64,
    /// When nothing is left at this rate; absent where nothing is taken or left.
    pub runs_out_at: Option<Instant>,
}

/// `taken` codes in the last seven days, the first of them at `first`. A pool that was opened today is judged as if it had
/// been open for a day.
#[must_use]
pub fn depletion(taken: u64, first: Option<Instant>, free: u64, now: Instant) -> Depletion {
    let span_ms = first.map_or(DAY_MS, |first| (now.0 - first.0).clamp(DAY_MS, DEPLETION_MS));
    let (span, day) = (u128::from(span_ms.unsigned_abs()), u128::from(DAY_MS.unsigned_abs()));
    let taken = u128::from(taken);
    let hundredths = (taken * 100 * day + span / 2) / span;
    let left_ms = (taken > 0 && free > 0).then(|| u128::from(free) * span / taken.max(1));
    let left_ms = left_ms.and_then(|ms| i64::try_from(ms).ok()).filter(|ms| *ms <= FORECAST_MAX_MS);
    // To the next ten minutes: it is a forecast, and the same one when it is looked at again.
    let coarse = |at: Instant| Instant(at.0.div_euclid(FORECAST_STEP_MS) * FORECAST_STEP_MS + FORECAST_STEP_MS);
    Depletion {
        hundredths_per_day: u64::try_from(hundredths).unwrap_or(u64::MAX),
        runs_out_at: left_ms.map(|ms| coarse(now.plus_ms(ms - 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const NOW: Instant = Instant(1_800_000_000_000);

    fn view(pending: bool, other_pending: bool, buried: bool, codes: &[&str], free: u64) -> PoolView {
        PoolView { pending, other_pending, buried, codes: codes.iter().map(|code| (*code).to_owned()).collect(), free }
    }

    #[test]
    fn known_intents_get_their_answer_again() {
        let prepared = |codes: &[&str]| {
            let codes = codes.iter().map(|code| (*code).to_owned()).collect();
            PrepareStep::Answer(PoolAnswer::Prepared { codes })
        };
        let late = || PrepareStep::Answer(PoolAnswer::Late);
        let (soon, past) = (NOW.plus_ms(1), NOW.plus_ms(-1));
        for (view, deadline, quantity, expected) in [
            (view(false, false, false, &[], 2), soon, 2, PrepareStep::Take),
            (view(false, false, false, &[], 2), NOW, 1, PrepareStep::Take),
            (view(false, false, false, &[], 2), soon, 3, PrepareStep::Short { available: 2 }),
            (view(false, false, false, &[], 0), soon, 1, PrepareStep::Short { available: 0 }),
            (view(false, false, false, &[], 2), past, 1, late()),
            (view(false, false, false, &[], 0), past, 1, late()),
            // Prepared: the same answer, even late and with nothing left.
            (view(true, false, false, &["A", "B"], 0), past, 2, prepared(&["A", "B"])),
            // Settled: the same answer.
            (view(false, false, false, &["A"], 0), past, 1, prepared(&["A"])),
            // Pending under another command.
            (view(false, true, false, &["A"], 9), soon, 1, late()),
            // Given back: nothing any more.
            (view(false, false, true, &[], 9), soon, 1, late()),
            (view(true, false, true, &["A"], 9), soon, 1, late()),
        ] {
            assert_eq!(prepare(&view, deadline, quantity, NOW), expected, "{view:?} {quantity}");
        }
    }

    #[test]
    fn pending_rows_end_by_the_members_word() {
        for (pending, fate, expected) in [
            (true, Fate::Committed, PendingStep::Commit),
            (true, Fate::Aborted, PendingStep::GiveBack),
            (true, Fate::Running, PendingStep::Keep),
            (true, Fate::Held { until: NOW }, PendingStep::Keep),
            (false, Fate::Committed, PendingStep::Keep),
            (false, Fate::Aborted, PendingStep::Keep),
        ] {
            assert_eq!(settle(pending, fate), expected, "{pending} {fate:?}");
        }
        for (codes, pending, quarantine, drop_pending) in
            [(2, false, true, false), (2, true, true, true), (0, false, false, false)]
        {
            assert_eq!(undo(codes, pending), Undo { quarantine, drop_pending });
        }
    }

    #[test]
    fn each_crossing_is_told_once() {
        for (free, told, asked, expected) in [
            (49, false, true, Alert::Raise),
            (49, true, true, Alert::Unchanged),
            (50, false, true, Alert::Unchanged),
            (50, true, true, Alert::Rearm),
            (50, true, false, Alert::Rearm),
            (0, false, false, Alert::Unchanged),
        ] {
            assert_eq!(alert(free, 50, told, asked), expected, "{free} {told} {asked}");
        }
        assert_eq!(alert(0, 0, false, true), Alert::Unchanged);
    }

    #[test]
    fn forecasts() {
        let day = |days: i64| Some(NOW.plus_ms(days * DAY_MS));
        let ago = |ms: i64| Some(NOW.plus_ms(-ms));
        for (taken, first, free, hundredths_per_day, runs_out_at) in [
            (0, None, 100, 0, None),
            (10, ago(0), 100, 1_000, day(10)),
            (10, ago(DAY_MS / 2), 100, 1_000, day(10)),
            (10, ago(2 * DAY_MS), 100, 500, day(20)),
            (10, ago(3 * DAY_MS), 10, 333, day(3)),
            (7, ago(9 * DAY_MS), 7, 100, day(7)),
            (10, ago(0), 0, 1_000, None),
            (1, ago(7 * DAY_MS), 1_000_000, 14, None),
        ] {
            let expected = Depletion { hundredths_per_day, runs_out_at };
            assert_eq!(depletion(taken, first, free, NOW), expected, "{taken} {first:?} {free}");
        }
    }

    /// A pool in memory, driven by the decisions alone.
    #[derive(Default)]
    struct Model {
        stock: BTreeSet<u32>,
        free: BTreeSet<u32>,
        taken: BTreeMap<u8, Vec<u32>>,
        quarantine: BTreeSet<u32>,
        pending: BTreeSet<(u8, u8)>,
        buried: BTreeSet<u8>,
        promised: BTreeMap<(u8, u8), Vec<String>>,
    }

    #[derive(Clone, Debug)]
    enum Event {
        Upload(u32),
        Prepare { rid: u8, fp: u8, quantity: u32, late: bool },
        Settle { rid: u8, fp: u8, fate: Fate },
        Undo(u8),
        Release,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let fate = prop_oneof![Just(Fate::Committed), Just(Fate::Aborted), Just(Fate::Running)];
        let event = prop_oneof![
            (1_u32..9).prop_map(Event::Upload),
            (0_u8..6, 0_u8..2, 1_u32..5, prop::bool::weighted(0.1))
                .prop_map(|(rid, fp, quantity, late)| Event::Prepare { rid, fp, quantity, late }),
            (0_u8..6, 0_u8..2, fate).prop_map(|(rid, fp, fate)| Event::Settle { rid, fp, fate }),
            (0_u8..6).prop_map(Event::Undo),
            Just(Event::Release),
        ];
        prop::collection::vec(event, 0..60)
    }

    impl Model {
        fn view(&self, rid: u8, fp: u8) -> PoolView {
            PoolView {
                pending: self.pending.contains(&(rid, fp)),
                other_pending: self.pending.iter().any(|(other, under)| *other == rid && *under != fp),
                buried: self.buried.contains(&rid),
                codes: self.taken.get(&rid).into_iter().flatten().map(u32::to_string).collect(),
                free: self.free.len() as u64,
            }
        }

        fn step(&mut self, event: &Event) {
            match *event {
                Event::Upload(count) => {
                    let next = u32::try_from(self.stock.len()).unwrap();
                    self.stock.extend(next..next + count);
                    self.free.extend(next..next + count);
                }
                Event::Prepare { rid, fp, quantity, late } => {
                    let deadline = if late { NOW.plus_ms(-1) } else { NOW };
                    let before = self.free.len();
                    match prepare(&self.view(rid, fp), deadline, quantity, NOW) {
                        PrepareStep::Answer(PoolAnswer::Prepared { codes }) => {
                            // The same answer as the first.
                            let first = self.promised.get(&(rid, fp));
                            assert!(first.is_none_or(|first| *first == codes), "{first:?} {codes:?}");
                        }
                        PrepareStep::Answer(_) => {}
                        PrepareStep::Short { available } => {
                            assert_eq!(available, before as u64);
                            assert!(before < quantity as usize, "refused with enough free");
                        }
                        PrepareStep::Take => {
                            let codes: Vec<u32> = self.free.iter().copied().take(quantity as usize).collect();
                            assert_eq!(codes.len(), quantity as usize, "all or nothing");
                            codes.iter().for_each(|code| assert!(self.free.remove(code)));
                            self.promised.insert((rid, fp), codes.iter().map(u32::to_string).collect());
                            assert!(self.taken.insert(rid, codes).is_none(), "codes were lost");
                            self.pending.insert((rid, fp));
                        }
                    }
                }
                Event::Settle { rid, fp, fate } => match settle(self.pending.contains(&(rid, fp)), fate) {
                    PendingStep::Commit => assert!(self.pending.remove(&(rid, fp))),
                    PendingStep::GiveBack => {
                        self.pending.remove(&(rid, fp));
                        self.promised.remove(&(rid, fp));
                        self.free.extend(self.taken.remove(&rid).into_iter().flatten());
                    }
                    PendingStep::Keep => {}
                },
                Event::Undo(rid) => {
                    let codes = self.taken.get(&rid).map_or(0, Vec::len) as u64;
                    let step = undo(codes, self.pending.iter().any(|(pending, _)| *pending == rid));
                    self.buried.insert(rid);
                    if step.drop_pending {
                        self.pending.retain(|(pending, _)| *pending != rid);
                    }
                    if step.quarantine {
                        self.quarantine.extend(self.taken.remove(&rid).into_iter().flatten());
                    }
                }
                Event::Release => self.free.append(&mut self.quarantine),
            }
        }

        /// I2: every code is in one place, and whatever is pending has its codes.
        fn check(&self) {
            let taken: Vec<u32> = self.taken.values().flatten().copied().collect();
            let mut all: Vec<u32> = self.free.iter().chain(&self.quarantine).copied().chain(taken).collect();
            all.sort_unstable();
            assert_eq!(all, self.stock.iter().copied().collect::<Vec<_>>());
            for (rid, _) in &self.pending {
                assert!(self.taken.get(rid).is_some_and(|codes| !codes.is_empty()));
                assert!(!self.buried.contains(rid));
            }
        }
    }

    proptest! {
        /// Whatever order messages come in, and however often.
        #[test]
        fn no_code_is_lost_or_given_twice(events in events()) {
            let mut model = Model::default();
            for event in &events {
                model.step(event);
                model.check();
            }
        }

        #[test]
        fn forecasts_never_overflow(taken: u64, ago in 0_i64..i64::MAX / 4, free: u64) {
            let found = depletion(taken, Some(NOW.plus_ms(-ago)), free, NOW);
            prop_assert!(found.runs_out_at.is_none_or(|at| at >= NOW));
        }
    }
}
