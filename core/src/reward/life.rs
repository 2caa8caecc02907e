//! The player's and the clock's side of a reward's life.

use super::machine::By;
use super::record::{Actor, Delivery, RewardRecord};
use super::recovery::follow;
use super::work::{Changes, Refused, View, Work, without_member_ids};
use crate::audit::Draft;
use crate::limits::DELIVERY_LOST_MS;
use crate::time::Instant;
use crate::wallet::{BalanceOverflow, Entry, Names, Note};
use crate::wire::{Reward, RewardDefinition, RewardSource, RewardState, RewardType};
use serde_json::json;

/// What is given, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Gift<'a> {
    /// The definition in the version that counts.
    pub definition: &'a RewardDefinition,
    /// Units.
    pub quantity: u32,
    /// Where it comes from, where no code gave it.
    pub source: Option<RewardSource>,
    /// The giver's own reference.
    pub reference: Option<&'a str>,
}

/// Makes the rewards of a redemption in its deciding commit, with the one ledger row of its quantity.
///
/// # Errors
/// [`BalanceOverflow`]: nothing is given.
pub fn give(work: &mut Work<'_>, gift: &Gift<'_>, actor: &Actor) -> Result<(), BalanceOverflow> {
    let Gift { definition, quantity, .. } = *gift;
    let system = Actor::system();
    let (count, each) = if definition.kind.is_counted_singly() { (quantity, 1) } else { (1, quantity) };
    for number in 0..u8::try_from(count).unwrap_or(u8::MAX) {
        let index = work.push(record(work, gift, number, each));
        let first =
            if definition.player_should_claim { RewardState::Unclaimed } else { RewardState::PendingActivation };
        let made = work.go(index, first, By::System, &system, None);
        if made.is_ok() && !definition.player_should_claim && definition.automatic_activation {
            start(work, index, By::System, &system, actor, None).map_err(|_| BalanceOverflow)?;
        }
    }
    if work.ledger.is_empty() {
        // Whatever is applied later, the redemption itself has its receipt.
        let note = Note { quantity: Some(quantity), ..Note::default() };
        work.row(Entry::without_balance(), "redemption", actor, note);
    }
    Ok(())
}

fn record(work: &Work<'_>, gift: &Gift<'_>, index: u8, quantity: u32) -> RewardRecord {
    let Gift { definition, source, reference, .. } = *gift;
    let valid_until = definition.valid_for_s.map(|seconds| work.at.plus_ms(i64::from(seconds) * 1_000));
    RewardRecord {
        reward: Reward {
            id: work.names.reward(&work.rid, index),
            reward_id: definition.reward_id.clone(),
            name: definition.name.clone(),
            kind: definition.kind,
            value: definition.value.clone(),
            quantity,
            state: RewardState::PendingActivation,
            redemption_id: Some(work.names.redemption(&work.rid)),
            source,
            reference: reference.map(str::to_owned),
            valid_until,
            duration_s: definition.duration_s,
            runs_until: None,
            attempts: 0,
            attempts_max: definition.attempts_max,
            next_attempt_at: None,
            last_error: None,
            fulfilment: None,
            moves: vec![],
        },
        rid: work.rid,
        index,
        mechanic: definition.mechanic.clone(),
        automatic: definition.automatic_activation,
        fulfilment_timeout_s: definition.fulfilment_timeout_s,
        applied: None,
        delivery: Delivery::default(),
        announced: false,
    }
}

/// Activates: what the wallet applies is granted at once, what a fulfiller applies is on its way.
fn start(
    work: &mut Work<'_>,
    index: usize,
    by: By,
    actor: &Actor,
    ledger_actor: &Actor,
    reason: Option<&str>,
) -> Result<(), Refused> {
    work.go(index, RewardState::InProgress, by, actor, reason)?;
    let internal = work.rewards.get(index).is_some_and(|record| record.mechanic.endpoint().is_none());
    if internal {
        work.apply(index, ledger_actor)?;
        work.go(index, RewardState::Granted, By::Mechanic, &Actor::system(), None)?;
        if let Some(record) = work.touch(index) {
            record.reward.attempts = 1;
        }
    }
    Ok(())
}

/// What a call does to one reward, and how it is answered. Where it is refused, only the clock may have moved it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is written, where anything is.
    pub changes: Option<Changes>,
    /// Why not.
    pub refused: Option<Refused>,
}

impl Verdict {
    /// Nothing to do.
    #[must_use]
    pub const fn nothing() -> Self {
        Self { changes: None, refused: None }
    }

    pub(crate) fn of(result: Result<Changes, Refused>) -> Self {
        match result {
            Ok(changes) => Self { changes: Some(changes), refused: None },
            Err(refused) => Self { changes: None, refused: Some(refused) },
        }
    }
}

/// The player's moves, which an administrator may make for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayerMove {
    /// Takes it.
    Claim,
    /// Lets it be applied.
    Activate,
    /// Does not want it.
    Decline,
}

impl PlayerMove {
    /// As in the API's paths.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Activate => "activate",
            Self::Decline => "decline",
        }
    }
}

/// Whether this very move was made before, so that it is answered again and moves nothing.
fn repeated(record: &RewardRecord, wanted: PlayerMove) -> bool {
    let alive = matches!(
        record.state(),
        RewardState::PendingActivation
            | RewardState::InProgress
            | RewardState::Granted
            | RewardState::Complete
            | RewardState::Failed
    );
    let made = |from, to| {
        record.reward.moves.iter().any(|step| step.from == Some(from) && step.to == to && step.actor != "system")
    };
    match wanted {
        PlayerMove::Claim => alive && made(RewardState::Unclaimed, RewardState::PendingActivation),
        PlayerMove::Activate => alive && made(RewardState::PendingActivation, RewardState::InProgress),
        PlayerMove::Decline => record.state() == RewardState::Declined,
    }
}

/// A discount rests until a checkout holds it; what is given by hand is activated by hand.
const fn may_activate(kind: RewardType, by: By) -> bool {
    match kind {
        RewardType::Discount => false,
        RewardType::Manual => matches!(by, By::Administrator),
        RewardType::Xp
        | RewardType::Tokens
        | RewardType::Points
        | RewardType::Credit
        | RewardType::Feature
        | RewardType::Bonus
        | RewardType::External
        | RewardType::MissionBooster
        | RewardType::TokenBooster
        | RewardType::LevelBooster
        | RewardType::MiniGame => true,
    }
}

/// Claims, activates or declines.
#[must_use]
pub fn player_move(
    view: &View<'_>,
    index: usize,
    wanted: PlayerMove,
    (by, actor): (By, &Actor),
    reason: Option<&str>,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let Some(record) = view.rewards.get(index) else { return Verdict::nothing() };
    if repeated(record, wanted) {
        return Verdict::nothing();
    }
    if is_overdue(record, at) {
        // The alarm has not come by yet: the clock counts all the same.
        let expired = clock(view, index, names, at);
        let state = if record.is_played() { RewardState::Bounced } else { RewardState::Expired };
        return Verdict { changes: expired, refused: Some(Refused::illegal(state, by)) };
    }
    let mut work = Work::on(view, *names, at);
    let moved = match wanted {
        PlayerMove::Claim => claim(&mut work, index, by, actor, reason),
        PlayerMove::Activate if !may_activate(record.reward.kind, by) => {
            Err(Refused::illegal(record.state(), by).without(RewardState::InProgress))
        }
        PlayerMove::Activate => start(&mut work, index, by, actor, actor, reason),
        PlayerMove::Decline => work.go(index, RewardState::Declined, by, actor, reason),
    };
    Verdict::of(moved.map(|()| conclude(view, work, index, actor, reason)))
}

fn claim(work: &mut Work<'_>, index: usize, by: By, actor: &Actor, reason: Option<&str>) -> Result<(), Refused> {
    work.go(index, RewardState::PendingActivation, by, actor, reason)?;
    if work.rewards.get(index).is_some_and(|record| record.automatic) {
        start(work, index, By::System, &Actor::system(), actor, None)?;
    }
    Ok(())
}

/// Finishes a commit about one reward: its redemption follows, the audit entry is named after where it went.
pub(crate) fn conclude(view: &View<'_>, work: Work<'_>, index: usize, actor: &Actor, reason: Option<&str>) -> Changes {
    let state = work.rewards.get(index).map_or("changed", |record| record.state().name());
    let action = format!("reward.{state}");
    conclude_as(&action, view, work, index, actor, reason)
}

/// As [`conclude`], where the audit entry has a name of its own.
pub(crate) fn conclude_as(
    action: &str,
    view: &View<'_>,
    work: Work<'_>,
    index: usize,
    actor: &Actor,
    reason: Option<&str>,
) -> Changes {
    let redemption = follow(view.redemption, &work.rewards, work.at);
    let subject = work.rewards.get(index).map_or_else(String::new, |record| record.reward.id.clone());
    let mut draft = Draft::new(actor.audited.clone(), action).subject(subject);
    draft.reason = reason.map(str::to_owned);
    work.finish(Some(view.redemption), redemption, draft)
}

fn is_overdue(record: &RewardRecord, at: Instant) -> bool {
    let over = record.reward.valid_until.is_some_and(|until| until <= at);
    let rests = matches!(record.state(), RewardState::Unclaimed | RewardState::PendingActivation);
    over && (rests || record.is_played() || is_unplayed(record))
}

/// A game whose service could not be reached: nobody plays it, and its time runs all the same.
fn is_unplayed(record: &RewardRecord) -> bool {
    record.reward.kind == RewardType::MiniGame && record.state() == RewardState::Failed
}

/// What the clock does to a reward now; `None` where it is not time yet.
#[must_use]
pub fn clock(view: &View<'_>, index: usize, names: &Names<'_>, at: Instant) -> Option<Changes> {
    let record = view.rewards.get(index)?;
    let system = Actor::system();
    let mut work = Work::on(view, *names, at);
    if is_overdue(record, at) {
        let unplayed = is_unplayed(record);
        if unplayed {
            work.go(index, RewardState::InProgress, By::System, &system, None).ok()?;
        }
        let bounces = unplayed || record.is_played();
        let to = if bounces { RewardState::Bounced } else { RewardState::Expired };
        work.go(index, to, By::Clock, &system, None).ok()?;
        if let Some(record) = work.touch(index) {
            record.rest();
        }
        return Some(conclude(view, work, index, &system, None));
    }
    let ended = record.state() == RewardState::Granted && record.reward.runs_until.is_some_and(|until| until <= at);
    if ended {
        work.go(index, RewardState::Complete, By::Clock, &system, None).ok()?;
        // A feature for a time goes with its time; boosters have multiplied what they have multiplied.
        work.unapply(index, "end", &system, None).ok()?;
        return Some(conclude(view, work, index, &system, None));
    }
    None
}

/// Announces the coming end of a reward that rests, once; `None` where it is not time.
#[must_use]
pub fn announce(view: &View<'_>, index: usize, notice_ms: i64, names: &Names<'_>, at: Instant) -> Option<Changes> {
    let record = view.rewards.get(index)?;
    if is_overdue(record, at) || record.announce_at(notice_ms).is_none_or(|announce_at| announce_at > at) {
        return None;
    }
    let told = without_member_ids(&record.reward);
    let (reward_id, valid_until) = (record.reward.id.clone(), record.reward.valid_until);
    let mut work = Work::on(view, *names, at);
    work.touch(index)?.announced = true;
    work.tell("notice", json!({ "kind": EXPIRING, "reward": reward_id, "valid_until": valid_until }));
    let draft = Draft::new(Actor::system().audited, EXPIRING).subject(reward_id);
    let mut changes = work.finish(Some(view.redemption), view.redemption.clone(), draft);
    changes.outgoing.extend(serde_json::to_value(&told).ok().map(|data| (EXPIRING.to_owned(), data)));
    Some(changes)
}

/// The event that announces a reward's end.
const EXPIRING: &str = "reward.expiring";

/// What an alarm finds to do for a reward.
#[derive(Clone, Debug, PartialEq)]
pub enum Wake {
    /// Nothing yet: look again when it is due.
    Nothing,
    /// Write this.
    Commit(Box<Changes>),
    /// Begin a try at the fulfiller.
    Try,
    /// Tell the fulfiller that it was cancelled.
    Notice,
}

/// What is due for a reward. `trying`: a try is under way in this very instance.
#[must_use]
pub fn wake(view: &View<'_>, index: usize, trying: bool, names: &Names<'_>, at: Instant) -> Wake {
    let Some(record) = view.rewards.get(index) else { return Wake::Nothing };
    if let Some(changes) = clock(view, index, names, at) {
        return Wake::Commit(Box::new(changes));
    }
    let Delivery { begun_at, answer_by, notice, .. } = record.delivery;
    // What was written by a clock that was ahead would wait for as long.
    let ahead = |written: Instant| written > at.plus_ms(DELIVERY_LOST_MS);
    let failed_ahead = record.reward.moves.last().is_some_and(|step| ahead(step.at));
    match record.state() {
        RewardState::InProgress if record.mechanic.endpoint().is_some() => match (begun_at, answer_by) {
            (None, None) => Wake::Try,
            (Some(begun), _) if !trying && (begun.plus_ms(DELIVERY_LOST_MS) <= at || ahead(begun)) => {
                // The instance that tried is gone; nobody knows how it ended.
                let broken = crate::webhook::Outcome::broken_off();
                super::delivery::ended(view, index, record.reward.attempts, &broken, 0, names, at)
                    .changes
                    .map_or(Wake::Nothing, |changes| Wake::Commit(Box::new(changes)))
            }
            (None, Some(answer_by))
                if answer_by <= at || ahead(answer_by.plus_ms(-i64::from(record.fulfilment_timeout_s) * 1_000)) =>
            {
                super::delivery::silent(view, index, 0, names, at).map_or(Wake::Nothing, |c| Wake::Commit(Box::new(c)))
            }
            (_, _) => Wake::Nothing,
        },
        RewardState::Failed if record.due_at().is_some_and(|next| next <= at || failed_ahead) && notice.is_none() => {
            Wake::Try
        }
        RewardState::Unclaimed
        | RewardState::PendingActivation
        | RewardState::InProgress
        | RewardState::Granted
        | RewardState::Complete
        | RewardState::Expired
        | RewardState::Failed
        | RewardState::Declined
        | RewardState::Deleted
        | RewardState::Bounced => {
            if notice.is_some_and(|notice| notice.next_at <= at) {
                Wake::Notice
            } else {
                Wake::Nothing
            }
        }
    }
}
