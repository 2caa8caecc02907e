//! Limits of a campaign over several shards, without expiry and without clocks.
//!
//! The Campaign keeps what it has given to each shard; a shard keeps what it has spent, what came back to it, and what
//! it has returned. All of them only grow, so that messages may repeat, overtake each other and get lost: the larger
//! figure is the newer one. A shard spends from what it has; "used up" is said only when the Campaign has nothing and
//! every shard has returned what it had and said so.
//!
//! A limit may be set when much is used already. What a shard used without it is its `base`; nothing is given before
//! every shard that works for the campaign has told its own.

use crate::calendar::Day;
use crate::limits::PORTION_MAX;
use crate::wire::{Budget, WindowKind, WindowLimit};
use serde::{Deserialize, Serialize};

/// A limit of the whole campaign that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// Redemptions in all.
    Total,
    /// Redemptions within a window, named by its first day.
    Window(WindowKind, Day),
    /// Money.
    Budget,
}

impl Meter {
    /// As stored: `total`, `budget`, `day:20779`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Total => "total".to_owned(),
            Self::Budget => "budget".to_owned(),
            Self::Window(kind, first) => format!("{}:{}", kind.name(), first.0),
        }
    }

    /// Which limit refuses before another: the redemptions in all, then those of windows, then the money.
    #[must_use]
    pub const fn precedence(&self) -> u8 {
        match self {
            Self::Total => 0,
            Self::Window(..) => 1,
            Self::Budget => 2,
        }
    }

    /// The last day of its window, where it is one's.
    #[must_use]
    pub fn last_day(&self) -> Option<Day> {
        match self {
            Self::Window(kind, first) => Some(first.last_of(*kind)),
            Self::Total | Self::Budget => None,
        }
    }

    /// The first day that it counts, where it is a window's. What is older than a window by a week is over for it, whatever
    /// the clock says: an intent that was accepted long ago is charged to its own days.
    #[must_use]
    pub const fn first_day(&self) -> Option<Day> {
        match self {
            Self::Window(_, first) => Some(*first),
            Self::Total | Self::Budget => None,
        }
    }

    /// The limit that is counted by it, where there is one, with its currency where it is money.
    #[must_use]
    pub fn limit<'a>(
        &self,
        total: Option<u64>,
        windows: &[WindowLimit],
        budget: Option<&'a Budget>,
    ) -> Option<(u64, &'a str)> {
        match self {
            Self::Total => total.map(|total| (total, "")),
            Self::Window(kind, _) => {
                let window = windows.iter().find(|window| window.per == *kind)?;
                window.total.map(|total| (total, ""))
            }
            Self::Budget => budget.map(|budget| (budget.amount_minor, budget.currency.as_str())),
        }
    }

    /// Read back.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None if name == "total" => Some(Self::Total),
            None if name == "budget" => Some(Self::Budget),
            None => None,
            Some((kind, first)) => {
                let kinds = [WindowKind::Day, WindowKind::Week, WindowKind::Month];
                let kind = kinds.into_iter().find(|known| known.name() == kind)?;
                Some(Self::Window(kind, Day(first.parse().ok()?)))
            }
        }
    }
}

/// What a redemption takes of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which.
    pub meter: Meter,
    /// The limit.
    pub limit: u64,
    /// How much of it.
    pub amount: u64,
}

/// A shard's part of a limit. Each figure only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// Taken while the limit was not counted here.
    pub base: u64,
    /// Given by the Campaign, as far as the shard has heard.
    pub given: u64,
    /// Taken by redemptions.
    pub spent: u64,
    /// Given back by redemptions that came to nothing.
    pub refunded: u64,
    /// Returned to the Campaign.
    pub returned: u64,
}

impl Portion {
    /// What may still be taken here.
    #[must_use]
    pub const fn free(&self) -> u64 {
        (self.given + self.refunded).saturating_sub(self.spent + self.returned)
    }

    /// After a redemption took its part; `None` where there is not enough.
    #[must_use]
    pub fn spend(self, amount: u64) -> Option<Self> {
        (amount <= self.free()).then(|| Self { spent: self.spent.saturating_add(amount), ..self })
    }

    /// What redemptions have of it.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        (self.base + self.spent).saturating_sub(self.refunded)
    }

    /// Brought in line with what redemptions have by the shard's own count: what was not taken from a portion is base.
    #[must_use]
    pub const fn counted(self, taken: u64) -> Self {
        Self {
            base: self.base + taken.saturating_sub(self.taken()),
            refunded: self.refunded + self.taken().saturating_sub(taken),
            ..self
        }
    }

    /// After a redemption gave its part back.
    #[must_use]
    pub const fn refund(self, amount: u64) -> Self {
        Self { refunded: self.refunded.saturating_add(amount), ..self }
    }

    /// After a message of the Campaign, which may be an old one.
    #[must_use]
    pub fn hear(self, given: u64) -> Self {
        Self { given: self.given.max(given), ..self }
    }

    /// After everything that is free was returned, but for so much.
    #[must_use]
    pub const fn hand_back(self, kept: u64) -> Self {
        Self { returned: self.returned + self.free().saturating_sub(kept), ..self }
    }
}

/// What the Campaign knows of one shard's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Given to it.
    pub given: u64,
    /// Taken there while the limit was not counted.
    pub base: u64,
    /// Returned by it, as far as the Campaign has heard.
    pub returned: u64,
}

impl Lot {
    /// What the shard may have taken or may still take.
    #[must_use]
    pub const fn out(&self) -> u64 {
        (self.given + self.base).saturating_sub(self.returned)
    }

    /// After a message of the shard, which may be an old one.
    #[must_use]
    pub fn hear(self, portion: &Portion) -> Self {
        Self {
            given: self.given.max(portion.given),
            base: self.base.max(portion.base),
            returned: self.returned.max(portion.returned),
        }
    }
}

/// A shard's request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What it needs, with the limit that it works by.
    pub need: Need,
    /// How much all those need who wait for this answer, this one among them.
    pub waiting: u64,
    /// Its part as it stands.
    pub portion: Portion,
}

/// What the Campaign does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allotment {
    /// So much is given to this shard by now, in all.
    Given(u64),
    /// Not enough is left: the other shards must return what they have first.
    Recall,
}

/// Answers a request. `limit` is the limit now, `mine` the asking shard's lot (which has heard the request), `out` what all
/// shards together may have taken or may still take.
///
/// Never gives more than the limit; near its end, just what is needed, or a fair part of what many wait for.
#[must_use]
pub fn allot(limit: u64, mine: Lot, out: u64, shards: u32, ask: &Ask) -> Allotment {
    // What an earlier answer gave that was lost. A limit that was lowered since gives it up: it is recalled with the rest.
    let missed = mine.given.saturating_sub(ask.portion.given);
    let wanted = ask.need.amount.saturating_sub(ask.portion.free() + missed);
    let Some(free) = limit.checked_sub(out).filter(|free| *free >= wanted) else { return Allotment::Recall };
    if wanted == 0 {
        return Allotment::Given(mine.given);
    }
    let shards = u64::from(shards.max(1));
    let share = (free / (2 * shards)).clamp(1, PORTION_MAX).max(ask.waiting.min(free / shards));
    Allotment::Given(mine.given + wanted.max(share))
}

#[cfg(test)]
#[path = "portion_tests.rs"]
mod tests;
