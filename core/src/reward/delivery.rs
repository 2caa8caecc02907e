//! A try at the external fulfiller: begun in a commit of its own, then sent, then its end committed. What a late
//! answer or callback means depends on where the reward stands by then.

use super::life::{Verdict, conclude, conclude_as};
use super::machine::By;
use super::record::{Actor, Notice};
use super::work::{Changes, Refused, View, Work};
use crate::audit::Draft;
use crate::protocol::backoff_ms;
use crate::time::Instant;
use crate::wallet::Names;
use crate::webhook::Outcome;
use crate::webhook::schedule::delay_ms;
use crate::wire::{Fulfilment, Reward, RewardState};
use serde_json::{Value, json};

impl Outcome {
    /// The instance that tried is gone, or never heard the answer.
    #[must_use]
    pub fn broken_off() -> Self {
        Self::Retry { error: "the try was broken off".to_owned(), unknown: true, retry_after_s: None }
    }

    /// The endpoint could not be looked up: nothing was sent.
    #[must_use]
    pub fn not_sent(error: &str) -> Self {
        Self::Retry { error: error.to_owned(), unknown: false, retry_after_s: None }
    }
}

/// Begins a try: counted before anything is sent. `None` where none is due.
#[must_use]
pub fn begin(view: &View<'_>, index: usize, names: &Names<'_>, at: Instant) -> Option<Changes> {
    let record = view.rewards.get(index)?;
    record.mechanic.endpoint()?;
    let mut work = Work::on(view, *names, at);
    let system = Actor::system();
    match record.state() {
        RewardState::Failed => work.go(index, RewardState::InProgress, By::System, &system, None).ok()?,
        RewardState::InProgress if record.delivery.begun_at.is_none() && record.delivery.answer_by.is_none() => {}
        RewardState::InProgress
        | RewardState::Unclaimed
        | RewardState::PendingActivation
        | RewardState::Granted
        | RewardState::Complete
        | RewardState::Expired
        | RewardState::Declined
        | RewardState::Deleted
        | RewardState::Bounced => return None,
    }
    let record = work.touch(index)?;
    record.reward.attempts = record.reward.attempts.saturating_add(1);
    record.reward.next_attempt_at = None;
    record.delivery.begun_at = Some(at);
    record.delivery.sent = true;
    record.delivery.parked = false;
    Some(conclude_as("fulfilment.begun", view, work, index, &system, None))
}

/// What is sent to the fulfiller: the same id on every try, so that a repeated delivery is recognised.
#[must_use]
pub fn fulfil_body(reward: &Reward, member_id: &str, at: Instant) -> Value {
    let mut data = json!({
        "id": reward.id,
        "reward_id": reward.reward_id,
        "type": reward.kind,
        "value": reward.value,
        "quantity": reward.quantity,
        "member_id": member_id,
        "attempt": reward.attempts,
    });
    if let (Some(data), Some(id)) = (data.as_object_mut(), &reward.redemption_id) {
        data.insert("redemption_id".to_owned(), id.clone().into());
    }
    json!({ "type": "reward.fulfil", "timestamp": at, "data": data })
}

/// Tells the fulfiller that a reward it was asked for is not to be given.
#[must_use]
pub fn cancelled_body(reward: &Reward, member_id: &str, at: Instant) -> Value {
    let mut body = fulfil_body(reward, member_id, at);
    if let Some(body) = body.as_object_mut() {
        body.insert("type".to_owned(), "reward.cancelled".into());
    }
    body
}

/// Webhook id of [`cancelled_body`].
#[must_use]
pub fn cancelled_id(reward: &Reward) -> String {
    format!("{}_cancelled", reward.id)
}

/// The end of the try with number `attempt`. The end of an older one is late news: a success counts, a failure not.
#[must_use]
pub fn ended(
    view: &View<'_>,
    index: usize,
    attempt: u32,
    outcome: &Outcome,
    random: u32,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let Some(record) = view.rewards.get(index) else { return Verdict::nothing() };
    let current = record.reward.attempts == attempt
        && record.delivery.begun_at.is_some()
        && record.state() == RewardState::InProgress;
    match outcome {
        Outcome::Granted { data } => granted(view, index, data.as_ref(), names, at),
        Outcome::Failed { error, data } if current => {
            let failure = Failure { answer: Some(data.as_ref()), ..Failure::of(error) };
            failed(view, index, &failure, random, names, at)
        }
        Outcome::Retry { error, unknown, retry_after_s } if current => {
            let failure = Failure { unknown: *unknown, retry_after_s: *retry_after_s, ..Failure::of(error) };
            failed(view, index, &failure, random, names, at)
        }
        Outcome::Later if current => {
            let mut work = Work::on(view, *names, at);
            if let Some(record) = work.touch(index) {
                record.delivery.begun_at = None;
                record.delivery.answer_by = Some(at.plus_ms(i64::from(record.fulfilment_timeout_s) * 1_000));
                record.delivery.unknown = true;
            }
            let changes = conclude_as("fulfilment.accepted", view, work, index, &Actor::system(), None);
            Verdict { changes: Some(changes), refused: None }
        }
        Outcome::Gone if current => {
            let failure = Failure { parked: true, ..Failure::of("the endpoint answered 410 and is disabled") };
            failed(view, index, &failure, random, names, at)
        }
        Outcome::Failed { .. } | Outcome::Retry { .. } | Outcome::Later | Outcome::Gone => Verdict::nothing(),
    }
}

/// The endpoint is disabled: nothing was sent, so this was no try, and nothing will be until it is enabled.
#[must_use]
pub fn disabled(view: &View<'_>, index: usize, names: &Names<'_>, at: Instant) -> Verdict {
    let begun = view.rewards.get(index).is_some_and(|record| record.delivery.begun_at.is_some());
    if !begun {
        return Verdict::nothing();
    }
    let failure = Failure { parked: true, not_a_try: true, ..Failure::of("the endpoint is disabled") };
    failed(view, index, &failure, 0, names, at)
}

/// The endpoint could not be looked up: nothing was sent, so this was no try, and it is looked up again soon.
#[must_use]
pub fn unsent(view: &View<'_>, index: usize, random: u32, names: &Names<'_>, at: Instant) -> Verdict {
    let begun = view.rewards.get(index).is_some_and(|record| record.delivery.begun_at.is_some());
    if !begun {
        return Verdict::nothing();
    }
    let failure = Failure { not_a_try: true, ..Failure::of("the endpoint could not be looked up") };
    failed(view, index, &failure, random, names, at)
}

/// No answer came in the time that a 202 asked for.
#[must_use]
pub fn silent(view: &View<'_>, index: usize, random: u32, names: &Names<'_>, at: Instant) -> Option<Changes> {
    let failure = Failure { unknown: true, ..Failure::of("the fulfiller accepted it and did not answer in time") };
    failed(view, index, &failure, random, names, at).changes
}

/// Why a try failed, and what is known.
struct Failure<'a> {
    error: &'a str,
    /// The data of an explicit answer: it says what became of every try, because the id was the same.
    answer: Option<Option<&'a serde_json::Map<String, Value>>>,
    retry_after_s: Option<u32>,
    unknown: bool,
    parked: bool,
    not_a_try: bool,
}

impl<'a> Failure<'a> {
    const fn of(error: &'a str) -> Self {
        Self { error, answer: None, retry_after_s: None, unknown: false, parked: false, not_a_try: false }
    }
}

fn failed(
    view: &View<'_>,
    index: usize,
    failure: &Failure<'_>,
    random: u32,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let mut work = Work::on(view, *names, at);
    let actor = fulfiller(view, index);
    let error = failure.error;
    if let Err(refused) = work.go(index, RewardState::Failed, By::Mechanic, &Actor::system(), Some(error)) {
        return Verdict { changes: None, refused: Some(refused) };
    }
    if let Some(record) = work.touch(index) {
        let reward = &mut record.reward;
        if failure.not_a_try {
            reward.attempts = reward.attempts.saturating_sub(1);
        }
        let goes_on = reward.attempts < reward.attempts_max && !failure.parked;
        let pause = if failure.not_a_try {
            backoff_ms(LOOK_UP_PAUSE, random)
        } else {
            delay_ms(reward.attempts, failure.retry_after_s, random)
        };
        reward.next_attempt_at = goes_on.then(|| at.plus_ms(pause));
        reward.last_error = Some(error.to_owned());
        if let Some(data) = failure.answer {
            answered(reward, data, at);
        }
        record.delivery.begun_at = None;
        record.delivery.answer_by = None;
        record.delivery.parked = failure.parked;
        record.delivery.unknown = failure.unknown || (record.delivery.unknown && failure.answer.is_none());
    }
    // The fulfiller's own words stay with the reward: entries of the audit log are never erased.
    Verdict { changes: Some(conclude(view, work, index, &actor, None)), refused: None }
}

fn answered(reward: &mut Reward, data: Option<&serde_json::Map<String, Value>>, at: Instant) {
    let fulfilment = reward.fulfilment.get_or_insert_with(Fulfilment::default);
    fulfilment.answered_at = Some(at);
    if let Some(data) = data {
        fulfilment.data = Some(data.clone());
    }
}

fn fulfiller(view: &View<'_>, index: usize) -> Actor {
    let endpoint = view.rewards.get(index).and_then(|record| record.mechanic.endpoint());
    Actor::named(&endpoint.map_or_else(|| "system".to_owned(), |endpoint| format!("fulfiller:{endpoint}")))
}

fn granted(
    view: &View<'_>,
    index: usize,
    data: Option<&serde_json::Map<String, Value>>,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let Some(record) = view.rewards.get(index) else { return Verdict::nothing() };
    let actor = fulfiller(view, index);
    let mut work = Work::on(view, *names, at);
    let moved = match record.state() {
        RewardState::Granted | RewardState::Complete => return Verdict::nothing(),
        RewardState::InProgress => work.go(index, RewardState::Granted, By::Mechanic, &actor, None),
        // A late success is two moves in one commit.
        RewardState::Failed => work
            .go(index, RewardState::InProgress, By::Mechanic, &actor, Some("answered late"))
            .and_then(|()| work.go(index, RewardState::Granted, By::Mechanic, &actor, None)),
        RewardState::Unclaimed
        | RewardState::PendingActivation
        | RewardState::Expired
        | RewardState::Declined
        | RewardState::Deleted
        | RewardState::Bounced => return conflict(view, work, index, &actor),
    };
    if let Err(refused) = moved {
        return Verdict { changes: None, refused: Some(refused) };
    }
    if work.apply(index, &actor).is_err() {
        return Verdict { changes: None, refused: Some(Refused::Overflow) };
    }
    if let Some(record) = work.touch(index) {
        answered(&mut record.reward, data, at);
        record.succeed();
    }
    Verdict { changes: Some(conclude(view, work, index, &actor, None)), refused: None }
}

/// The fulfiller says that it gave what was cancelled: recorded for operators, never applied.
fn conflict(view: &View<'_>, mut work: Work<'_>, index: usize, actor: &Actor) -> Verdict {
    let Some(record) = view.rewards.get(index) else { return Verdict::nothing() };
    let refused = Refused::illegal(record.state(), By::Mechanic);
    let news = "the fulfiller reports that it was granted, after it was taken back here";
    if record.reward.last_error.as_deref() == Some(news) {
        return Verdict { changes: None, refused: Some(refused) };
    }
    if let Some(record) = work.touch(index) {
        record.reward.last_error = Some(news.to_owned());
    }
    let mut draft = Draft::new(actor.audited.clone(), "fulfilment.conflict").subject(record.reward.id.clone());
    draft.reason = Some(news.to_owned());
    let changes = work.finish(Some(view.redemption), view.redemption.clone(), draft);
    Verdict { changes: Some(changes), refused: Some(refused) }
}

/// A signed callback with its webhook id. An answer given before is answered again and moves nothing.
#[must_use]
pub fn callback(
    view: &View<'_>,
    index: usize,
    (webhook_id, outcome): (&str, &Outcome),
    random: u32,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let Some(record) = view.rewards.get(index) else { return Verdict::nothing() };
    if record.delivery.callback.as_deref() == Some(webhook_id) {
        return Verdict::nothing();
    }
    let mut verdict = match outcome {
        Outcome::Granted { data } => granted(view, index, data.as_ref(), names, at),
        Outcome::Failed { error, data } => match record.state() {
            RewardState::InProgress => {
                // It may be about an earlier try, and says nothing then about those since.
                let unknown = record.reward.attempts > 1 && record.outcome_unknown();
                let failure = Failure { answer: Some(data.as_ref()), unknown, ..Failure::of(error) };
                failed(view, index, &failure, random, names, at)
            }
            RewardState::Failed => settled(view, index, error, data.as_ref(), names, at),
            RewardState::Deleted | RewardState::Bounced | RewardState::Expired => Verdict::nothing(),
            RewardState::Unclaimed
            | RewardState::PendingActivation
            | RewardState::Granted
            | RewardState::Complete
            | RewardState::Declined => {
                Verdict { changes: None, refused: Some(Refused::illegal(record.state(), By::Mechanic)) }
            }
        },
        Outcome::Later | Outcome::Retry { .. } | Outcome::Gone => Verdict::nothing(),
    };
    for changed in verdict.changes.iter_mut().flat_map(|changes| &mut changes.rewards) {
        if changed.index == record.index {
            changed.delivery.callback = Some(webhook_id.to_owned());
        }
    }
    verdict
}

/// A failure that the fulfiller explains after it was known: nothing moves, but nobody has to guess any more.
fn settled(
    view: &View<'_>,
    index: usize,
    error: &str,
    data: Option<&serde_json::Map<String, Value>>,
    names: &Names<'_>,
    at: Instant,
) -> Verdict {
    let mut work = Work::on(view, *names, at);
    let actor = fulfiller(view, index);
    if let Some(record) = work.touch(index) {
        // Of a later try than the first it may say nothing.
        record.delivery.unknown &= record.reward.attempts > 1;
        record.reward.last_error = Some(error.to_owned());
        answered(&mut record.reward, data, at);
    }
    let changes = conclude_as("fulfilment.explained", view, work, index, &actor, None);
    Verdict { changes: Some(changes), refused: None }
}

/// The endpoint works again: what waits for it is pulled forward.
#[must_use]
pub fn hurry(view: &View<'_>, index: usize, endpoint_id: &str, names: &Names<'_>, at: Instant) -> Option<Changes> {
    let record = view.rewards.get(index)?;
    let waits = record.state() == RewardState::Failed
        && record.mechanic.endpoint() == Some(endpoint_id)
        && (record.reward.next_attempt_at.is_some_and(|next| next > at) || record.delivery.parked);
    if !waits {
        return None;
    }
    let mut work = Work::on(view, *names, at);
    let record = work.touch(index)?;
    // Since it failed, so that a clock that is ahead does not put it off once more.
    record.reward.next_attempt_at = Some(record.reward.moves.last().map_or(at, |failed| failed.at.min(at)));
    record.delivery.parked = false;
    Some(conclude_as("fulfilment.pulled_forward", view, work, index, &Actor::system(), None))
}

/// How the news of a cancellation went: acknowledged, or to be tried again.
#[must_use]
pub fn noticed(
    view: &View<'_>,
    index: usize,
    heard: bool,
    random: u32,
    names: &Names<'_>,
    at: Instant,
) -> Option<Changes> {
    let mut work = Work::on(view, *names, at);
    let record = work.touch(index)?;
    let notice = record.delivery.notice?;
    let tries = notice.tries.saturating_add(1);
    // As many tries as the published schedule has; then the audit log is where operators find it.
    let over = heard || tries >= NOTICE_TRIES_MAX;
    record.delivery.notice = (!over).then(|| Notice { tries, next_at: at.plus_ms(delay_ms(tries, None, random)) });
    let id = record.reward.id.clone();
    let action = match (heard, over) {
        (true, _) => "fulfilment.cancellation_heard",
        (false, true) => "fulfilment.cancellation_unheard",
        (false, false) => "fulfilment.cancellation_failed",
    };
    let draft = Draft::new("system", action).subject(id);
    Some(work.finish(Some(view.redemption), view.redemption.clone(), draft))
}

/// Pause after an endpoint could not be looked up, as [`backoff_ms`] counts: 16 to 32 seconds.
const LOOK_UP_PAUSE: u32 = 5;
/// Tries of the news of a cancellation.
const NOTICE_TRIES_MAX: u32 = 10;
