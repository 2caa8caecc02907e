//! The due-table behind each object's one alarm, as `edge/src/due.rs` keeps it in SQL.

use crate::defect::Defect;
use counterfoil_core::ids::Rid;
use counterfoil_core::time::Instant;
use std::collections::BTreeMap;

const ITEMS_MAX: usize = 50;
const REARM_MS: i64 = 30_000;
/// Failures to run at all before an item is parked.
pub(crate) const CRASHES_MAX: u32 = 5;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    /// A Member's accepted redemption.
    Open(Rid),
    /// A shard's pending intents.
    Pending,
    /// A campaign's rules that some shard lacks.
    Push,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) at: Instant,
    pub(crate) crashes: u32,
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
    pub(crate) fn plan(&mut self, item: Item, at: Instant) {
        let earlier = self.next();
        self.items.insert(item, Planned { at, crashes: 0, parked: false });
        if earlier.is_none_or(|earlier| at < earlier) {
            self.arm(at);
        }
    }

    /// Forgets an item.
    pub(crate) fn done(&mut self, item: Item) {
        self.items.remove(&item);
    }

    /// When the next item is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.items.values().filter(|planned| !planned.parked).map(|planned| planned.at).min()
    }

    /// First act of an alarm: arms the safety net where something is due, counts a crash against each due item,
    /// parks those that keep crashing, and answers the rest.
    pub(crate) fn take(&mut self, now: Instant, net: Net) -> Vec<Item> {
        let something = self.next().is_some_and(|next| next <= now);
        if net == Net::Always || (net == Net::WhenDue && something) {
            self.arm(now.plus_ms(REARM_MS));
        }
        let mut due: Vec<(Instant, Item)> = self
            .items
            .iter()
            .filter(|(_, planned)| !planned.parked && planned.at <= now)
            .map(|(item, planned)| (planned.at, *item))
            .collect();
        due.sort_unstable();
        due.truncate(ITEMS_MAX);
        due.retain(|(_, item)| {
            self.items.get_mut(item).is_some_and(|planned| {
                planned.crashes += 1;
                planned.parked = planned.crashes > CRASHES_MAX;
                !planned.parked
            })
        });
        due.into_iter().map(|(_, item)| item).collect()
    }

    /// Last act of an alarm: arms it for whatever is due next.
    pub(crate) fn rearm(&mut self, now: Instant) {
        if let Some(at) = self.next() {
            self.arm(at.max(now.plus_ms(100)));
        }
    }

    /// Every event heals a lost alarm: arms it when something is overdue. Answers whether it did.
    pub(crate) fn heal(&mut self, now: Instant) -> bool {
        let overdue = self.next().is_some_and(|at| at.plus_ms(REARM_MS) < now);
        if overdue {
            self.arm(now);
        }
        overdue
    }
}
