//! A reward as its Member keeps it: what the API shows, and what only the server needs.

use crate::ids::Rid;
use crate::time::Instant;
use crate::wallet::Entry;
use crate::wire::{Mechanic, Reward, RewardState, RewardType};
use serde::{Deserialize, Serialize};

/// Who acts: as the member and the merchant read it, and as the audit log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `member:ann`, `admin:alice`, `system` …
    pub shown: String,
    /// The same, but a member by their random `pid`.
    pub audited: String,
}

impl Actor {
    /// The server itself.
    #[must_use]
    pub fn system() -> Self {
        Self::named("system")
    }

    /// Anybody but a member.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { shown: name.to_owned(), audited: name.to_owned() }
    }

    /// The member.
    #[must_use]
    pub fn member(member_id: &str, pid: &str) -> Self {
        Self { shown: format!("member:{member_id}"), audited: format!("member:{pid}") }
    }

    /// `None` stands for the member.
    #[must_use]
    pub fn of(name: Option<&str>, member_id: &str, pid: &str) -> Self {
        name.map_or_else(|| Self::member(member_id, pid), Self::named)
    }
}

/// Where the delivery to an external fulfiller stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// A try is under way since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Instant>,
    /// Accepted for later: until when the answer must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_by: Option<Instant>,
    /// Some try may have been applied without anybody knowing.
    #[serde(default)]
    pub unknown: bool,
    /// Something has left for the fulfiller.
    #[serde(default)]
    pub sent: bool,
    /// The endpoint is disabled: no next try until it is enabled, or an operator says so.
    #[serde(default)]
    pub parked: bool,
    /// Webhook id of the last callback: its repeats move nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<String>,
    /// The fulfiller is owed the news that the reward was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// How long an alarm leaves a new try to whoever made it due.
const UNTRIED_MS: i64 = 1_000;

/// How long a reward waits for its disabled endpoint before it looks again.
pub(crate) const PARKED_MS: i64 = 6 * 3_600_000;

/// `reward.cancelled`, not yet acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Tries so far.
    pub tries: u32,
    /// When it is tried next.
    pub next_at: Instant,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardRecord {
    /// As the API shows it.
    pub reward: Reward,
    /// The redemption that made it.
    pub rid: Rid,
    /// Which of its rewards.
    pub index: u8,
    /// Who applies it.
    pub mechanic: Mechanic,
    /// Applied without the player's activation.
    pub automatic: bool,
    /// Longest wait for a fulfiller's late answer.
    pub fulfilment_timeout_s: u32,
    /// What the wallet gave for it, and the row that says so: what is taken back when it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The external fulfiller's side.
    #[serde(default)]
    pub delivery: Delivery,
    /// Its coming end was announced.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub announced: bool,
}

/// See [`RewardRecord::applied`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Id of the ledger row.
    pub ledger_id: String,
    /// What it said.
    pub entry: Entry,
}

impl RewardRecord {
    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> RewardState {
        self.reward.state
    }

    /// A game that is being played.
    #[must_use]
    pub fn is_played(&self) -> bool {
        self.reward.kind == RewardType::MiniGame && self.state() == RewardState::InProgress
    }

    /// No try is under way, awaited or planned any more.
    pub(crate) const fn rest(&mut self) {
        self.reward.next_attempt_at = None;
        self.delivery.begun_at = None;
        self.delivery.answer_by = None;
        self.delivery.parked = false;
    }

    /// As [`RewardRecord::rest`], and everybody knows how it ended.
    pub(crate) fn succeed(&mut self) {
        self.rest();
        self.reward.last_error = None;
        self.delivery.unknown = false;
    }

    /// Whether nobody can say that the fulfiller has not applied it.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        let Delivery { begun_at, answer_by, unknown, .. } = self.delivery;
        begun_at.is_some() || answer_by.is_some() || unknown
    }

    /// When its coming end is announced, so long before it; `None` where there is nothing to announce any more.
    #[must_use]
    pub fn announce_at(&self, notice_ms: i64) -> Option<Instant> {
        let rests = matches!(self.state(), RewardState::Unclaimed | RewardState::PendingActivation);
        let until = self.reward.valid_until.filter(|_| rests && !self.announced && notice_ms > 0)?;
        Some(until.plus_ms(-notice_ms))
    }

    /// When the clock has something to do with it next, or its end is to be announced.
    #[must_use]
    pub fn next_at(&self, notice_ms: i64) -> Option<Instant> {
        self.due_at().into_iter().chain(self.announce_at(notice_ms)).min()
    }

    /// When the clock has something to do with it next; the Member's alarm holds one item for each reward.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let reward = &self.reward;
        let own = match reward.state {
            RewardState::Unclaimed | RewardState::PendingActivation => reward.valid_until,
            RewardState::InProgress => {
                let Delivery { begun_at, answer_by, .. } = self.delivery;
                let lost = begun_at.map(|at| at.plus_ms(crate::limits::DELIVERY_LOST_MS));
                // Neither begun nor accepted: whoever moved it here tries at once, and the alarm if they could not.
                let next = lost.or(answer_by).or_else(|| Some(reward.moves.last()?.at.plus_ms(UNTRIED_MS)));
                match (self.is_played(), reward.valid_until) {
                    (true, Some(end)) => Some(next.map_or(end, |next| next.min(end))),
                    (_, _) => next,
                }
            }
            RewardState::Failed => {
                // Whoever enables the endpoint wakes it; should that be lost, it looks for itself.
                let parked = self.delivery.parked.then(|| Some(reward.moves.last()?.at.plus_ms(PARKED_MS))).flatten();
                let next = reward.next_attempt_at.or(parked);
                let game = reward.valid_until.filter(|_| reward.kind == RewardType::MiniGame);
                match (next, game) {
                    (Some(next), Some(end)) => Some(next.min(end)),
                    (next, end) => next.or(end),
                }
            }
            RewardState::Granted => reward.runs_until,
            RewardState::Complete
            | RewardState::Expired
            | RewardState::Declined
            | RewardState::Deleted
            | RewardState::Bounced => None,
        };
        let notice = self.delivery.notice.map(|notice| notice.next_at);
        match (own, notice) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
