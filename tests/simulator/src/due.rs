//! The due-table behind each object's one alarm, as `edge/src/due.rs` keeps it in SQL.

use crate::defect::Defect;
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::time::Instant;
use std::collections::BTreeMap;

const ITEMS_MAX: usize = 50;
const REARM_MS: i64 = 30_000;
/// How long a parked item rests.
const PARKED_MS: i64 = 3_600_000;
/// Failures to run at all before an item is parked.
pub(crate) const CRASHES_MAX: u32 = 5;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// A Member's accepted redemption.
    Open(Rid),
    /// A shard's pending intents.
    Pending,
    /// What a shard has to return of its portions.
    Returns,
    /// A campaign's rules that some shard lacks.
    Push,
    /// A reward that the clock has something to do with.
    Reward(Rid, u8),
    /// A use to be given back.
    Undo(Rid),
    /// What the Recorder has not acknowledged.
    Report,
    /// A hold that ends by the clock.
    Hold(Rid),
    /// Members whose rewards wait for an endpoint that works again.
    Wake,
    /// Campaigns that lack something that the Merchant revoked.
    Campaigns,
    /// A member's erasure that was cut off.
    Erase,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) at: Instant,
    /// When it was, by the object's own clock.
    pub(crate) planned_at: Instant,
    pub(crate) crashes: u32,
    failures: u32,
    pub(crate) parked: bool,
}

/// When an alarm arms itself before it works.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Net {
    WhenDue,
    /// [`Defect::NetForEver`].
    Always,
    /// [`Defect::NetNotArmed`].
    Never,
}

impl Net {
    pub(crate) fn of(defect: Option<Defect>) -> Self {
        match defect {
            Some(Defect::NetForEver) => Self::Always,
            Some(Defect::NetNotArmed) => Self::Never,
            Some(_) | None => Self::WhenDue,
        }
    }
}

/// The table, and what the platform's one alarm is set to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Due {
    pub(crate) items: BTreeMap<Item, Planned>,
    pub(crate) alarm: Option<Instant>,
}

impl Due {
    fn arm(&mut self, at: Instant) {
        self.alarm = Some(at);
    }

    /// Plans an item, or moves it; arms the alarm when it is earlier than what is armed.
    pub(crate) fn plan(&mut self, item: Item, at: Instant, now: Instant) {
        let earlier = self.next();
        self.items.insert(item, Planned { at, planned_at: now, crashes: 0, failures: 0, parked: false });
        // What is due now is armed whatever was planned before: that alarm may be lost.
        if earlier.is_none_or(|earlier| at < earlier) || at <= now {
            self.arm(at);
        }
    }

    pub(crate) fn is_planned(&self, item: Item) -> bool {
        self.items.get(&item).is_some_and(|planned| !planned.parked)
    }

    /// Forgets an item.
    pub(crate) fn done(&mut self, item: Item) {
        self.items.remove(&item);
    }

    /// When the next item is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.items.values().map(|planned| planned.at).min()
    }

    /// First act of an alarm: arms the safety net where something is due, counts a crash against each item that is
    /// taken, parks those that keep crashing, and answers the rest. What has crashed before is taken alone, so that it
    /// takes no other item down with it.
    pub(crate) fn take(&mut self, now: Instant, defect: Option<Defect>) -> Vec<Item> {
        let together = defect == Some(Defect::PoisonSpreads);
        let due = |planned: &&Planned| planned.at <= now;
        let order = |(item, planned): (&Item, &Planned)| (planned.at, *item);
        let suspects = self.items.iter().filter(|(_, planned)| due(planned) && planned.crashes > 0);
        let suspect = suspects.map(order).min().filter(|_| !together);
        let waited = suspect.is_some_and(|(at, _)| at.plus_ms(REARM_MS) <= now);
        let fresh = |planned: &&Planned| due(planned) && (planned.crashes == 0 || together) && !waited;
        let mut taken: Vec<(Instant, Item)> =
            self.items.iter().filter(|(_, planned)| fresh(planned)).map(order).collect();
        taken.sort_unstable();
        taken.truncate(ITEMS_MAX);
        if taken.is_empty() {
            taken.extend(suspect);
        }
        let net = Net::of(defect);
        if net == Net::Always || (net == Net::WhenDue && !taken.is_empty()) {
            self.arm(now.plus_ms(REARM_MS));
        }
        // One that keeps crashing is parked: told, and tried alone every hour, for what was wrong may be mended.
        taken.retain(|(_, item)| {
            self.items.get_mut(item).is_some_and(|planned| {
                planned.crashes += 1;
                planned.parked = planned.crashes > CRASHES_MAX;
                if planned.parked {
                    planned.at = now.plus_ms(PARKED_MS);
                }
                planned.crashes != CRASHES_MAX + 1
            })
        });
        taken.into_iter().map(|(_, item)| item).collect()
    }

    /// An item that failed, but did not crash, stays planned with a growing pause.
    pub(crate) fn survive(&mut self, item: Item, now: Instant, random: u32) {
        if let Some(planned) = self.items.get_mut(&item).filter(|planned| planned.crashes > 0) {
            (planned.at, planned.planned_at) = (now.plus_ms(backoff_ms(planned.failures, random)), now);
            (planned.crashes, planned.parked) = (0, false);
            planned.failures += 1;
        }
    }

    /// Last act of an alarm: arms it for whatever is due next.
    pub(crate) fn rearm(&mut self, now: Instant) {
        if let Some(at) = self.next() {
            self.arm(at.max(now.plus_ms(100)));
        }
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.next().is_some_and(|at| at.plus_ms(REARM_MS) < now)
    }

    /// What was planned later than now: the clock was ahead when it was, and would keep it waiting for as long.
    fn is_ahead(&self, now: Instant) -> bool {
        self.items.values().any(|planned| planned.planned_at > now.plus_ms(REARM_MS))
    }

    pub(crate) fn needs_healing(&self, now: Instant, defect: Option<Defect>) -> bool {
        self.is_overdue(now) || (self.is_ahead(now) && defect != Some(Defect::AheadForgotten))
    }

    /// Every event heals a lost alarm: arms it when something is overdue, or was planned by a clock that was ahead.
    pub(crate) fn heal(&mut self, now: Instant) {
        if self.is_ahead(now) {
            for planned in self.items.values_mut().filter(|planned| planned.planned_at > now) {
                (planned.at, planned.planned_at) = (now, now);
            }
        }
        if self.is_overdue(now) || self.next().is_some_and(|at| at <= now) {
            self.arm(now);
        }
    }
}
