//! Decisions of a Recorder: what of a report is news, which figures it changes, and when to seal.

use super::report::{Record, ReportRow, Took, month_of};
use crate::limits::DAY_MS;
use crate::time::Instant;
use crate::wire::{RedemptionStatus, RewardState};
use serde_json::Value;
use std::collections::BTreeMap;

/// How often a Recorder seals, where anything was recorded.
pub const SEAL_EVERY_MS: i64 = 60_000;

/// What is done with one row of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowStep {
    /// Its entry and its events are new.
    pub entry: bool,
    /// Its redemption is new here, or newer than what is listed.
    pub record: bool,
}

/// Rows of one source come in order and may come again. `head` is the number of the last entry of that source,
/// `listed` the number by which its redemption was listed. A redemption is listed in the month in which it began.
#[must_use]
pub fn row_step(row: &ReportRow, month: &str, head: u64, listed: Option<u64>) -> RowStep {
    RowStep {
        entry: row.entry.is_some() && row.n > head,
        record: row.record.as_ref().is_some_and(|record| {
            month_of(record.redemption.created_at) == month && listed.is_none_or(|listed| row.n > listed)
        }),
    }
}

/// What a listed redemption counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Where it stands.
    pub status: RedemptionStatus,
    /// Its campaign; 0 for none.
    pub campaign: u16,
    /// Code of its refusal.
    pub refusal: Option<String>,
    /// Kept apart from production figures.
    pub tester: bool,
}

impl From<&Record> for Listed {
    fn from(record: &Record) -> Self {
        let redemption = &record.redemption;
        Self {
            status: redemption.status,
            campaign: redemption.campaign.unwrap_or_default(),
            refusal: redemption.refusal.as_ref().map(|refusal| refusal.code().to_owned()),
            tester: record.tester,
        }
    }
}

/// Which figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    /// Redemptions by status.
    Redemption,
    /// Redemptions by the code of their refusal.
    Refusal,
    /// Rewards by state.
    Reward,
    /// Redemptions of more than one unit by their quantity, once they are redeemed: those of one are all the others.
    Quantity,
    /// Wrong codes and wrong aliases.
    Unrecognised,
    /// Tries to grant a reward that failed.
    GrantFailed,
}

impl Figure {
    /// Every figure.
    pub const ALL: [Self; 6] =
        [Self::Redemption, Self::Refusal, Self::Reward, Self::Quantity, Self::Unrecognised, Self::GrantFailed];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Redemption => "redemption",
            Self::Refusal => "refusal",
            Self::Reward => "reward",
            Self::Quantity => "quantity",
            Self::Unrecognised => "unrecognised",
            Self::GrantFailed => "grant_failed",
        }
    }

    /// Read back.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|figure| figure.name() == name)
    }
}

/// A figure that changes. Figures of one month may fall below zero, where a reward moves in a later month than that
/// in which it was given: their sums over all months do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub figure: Figure,
    /// Campaign; 0 for none.
    pub campaign: u16,
    /// Status, code or state.
    pub key: String,
    /// Kept apart from production figures.
    pub tester: bool,
    /// By how much.
    pub by: i64,
}

/// Whether units of it were given, and not taken back by a cancellation.
#[must_use]
pub const fn is_redeemed(status: RedemptionStatus) -> bool {
    match status {
        RedemptionStatus::Redeemed
        | RedemptionStatus::Granting
        | RedemptionStatus::Granted
        | RedemptionStatus::GrantFailed
        | RedemptionStatus::Reversed => true,
        RedemptionStatus::Redeeming
        | RedemptionStatus::Held
        | RedemptionStatus::RedeemFailed
        | RedemptionStatus::Refused
        | RedemptionStatus::Cancelled => false,
    }
}

/// Figures that a new or newer listing changes. `quantity` is that of the redemption, which never changes once it is
/// redeemed.
#[must_use]
pub fn listing_changes(before: Option<&Listed>, after: &Listed, quantity: u32) -> Vec<Change> {
    if before == Some(after) {
        return vec![];
    }
    let quantity = (quantity > 1).then(|| quantity.to_string());
    let count = |listed: &Listed, by: i64| {
        let change = |figure, key: &str| Change {
            figure,
            campaign: listed.campaign,
            key: key.to_owned(),
            tester: listed.tester,
            by,
        };
        let status = change(Figure::Redemption, listed.status.name());
        let refusal = listed.refusal.as_deref().map(|code| change(Figure::Refusal, code));
        let quantity = quantity.as_deref().filter(|_| is_redeemed(listed.status));
        let quantity = quantity.map(|quantity| Change { campaign: 0, ..change(Figure::Quantity, quantity) });
        std::iter::once(status).chain(refusal).chain(quantity)
    };
    before.into_iter().flat_map(|before| count(before, -1)).chain(count(after, 1)).collect()
}

/// Action of the entry that a wrong code leaves, and where its data say whether it was an alias.
pub const UNRECOGNISED: (&str, &str) = ("code.unrecognised", "kind");

/// Figures that a new entry changes: the moves of rewards that it tells (`data.moves`: `{reward, from?, to}`), and
/// wrong codes.
#[must_use]
pub fn entry_changes(row: &ReportRow) -> Vec<Change> {
    let tester = row.tester;
    let data = row.entry.as_ref().and_then(|entry| entry.data.as_ref());
    let moves = data.and_then(|data| data.get("moves")).and_then(Value::as_array);
    let change = |state: &Value, by: i64| {
        let key = state.as_str()?.to_owned();
        Some(Change { figure: Figure::Reward, campaign: 0, key, tester, by })
    };
    let of_move = |step: &Value| {
        let from = step.get("from").and_then(|from| change(from, -1));
        let to = step.get("to").and_then(|to| change(to, 1));
        let failed = to.as_ref().filter(|to| to.key == RewardState::Failed.name());
        let failed = failed.map(|to| Change { figure: Figure::GrantFailed, key: String::new(), ..to.clone() });
        [from, to, failed]
    };
    let (action, kind) = UNRECOGNISED;
    let unrecognised = row.entry.as_ref().filter(|entry| entry.action == action);
    let unrecognised = unrecognised.and_then(|_| change(data?.get(kind)?, 1));
    let unrecognised = unrecognised.map(|change| Change { figure: Figure::Unrecognised, ..change });
    moves.into_iter().flatten().flat_map(of_move).flatten().chain(unrecognised).collect()
}

/// What many changes come to, each counter once: a reward that is made and granted in one commit passes through
/// states that need not be written.
#[must_use]
pub fn summed(changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
    let mut sums: BTreeMap<(Figure, u16, String, bool), i64> = BTreeMap::new();
    for Change { figure, campaign, key, tester, by } in changes {
        *sums.entry((figure, campaign, key, tester)).or_default() += by;
    }
    let change = |((figure, campaign, key, tester), by)| Change { figure, campaign, key, tester, by };
    sums.into_iter().filter(|(_, by)| *by != 0).map(change).collect()
}

/// Upper bounds of the classes that times are counted in; the last class has none.
pub const BOUNDS_MS: [u64; 12] = [5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 60_000];

/// What a time is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timed {
    /// From the request until a 2xx may name the redemption.
    Acceptance,
    /// From the request until it is decided.
    Processing,
    /// Both, where the decision was the first that was durable.
    Both,
}

impl Timed {
    /// Every sort.
    pub const ALL: [Self; 3] = [Self::Acceptance, Self::Processing, Self::Both];

    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acceptance => "acceptance",
            Self::Processing => "processing",
            Self::Both => "both",
        }
    }

    /// Read back.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|timed| timed.name() == name)
    }
}

/// A time that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// What of.
    pub timed: Timed,
    /// Bound of its class; 0 for the last, which has none.
    pub class: u64,
    /// How long.
    pub ms: u64,
}

/// Times that a new entry brings.
#[must_use]
pub fn timings(row: &ReportRow) -> Vec<Timing> {
    let timing = |timed, ms: u64| {
        let class = BOUNDS_MS.into_iter().find(|bound| ms <= *bound).unwrap_or_default();
        Timing { timed, class, ms }
    };
    match row.took {
        None => vec![],
        Some(Took { accepted_ms: Some(accepted), decided_ms: Some(decided) }) if accepted == decided => {
            vec![timing(Timed::Both, accepted)]
        }
        Some(Took { accepted_ms, decided_ms }) => {
            let accepted = accepted_ms.map(|ms| timing(Timed::Acceptance, ms));
            accepted.into_iter().chain(decided_ms.map(|ms| timing(Timed::Processing, ms))).collect()
        }
    }
}

/// When what is recorded now is sealed: at the end of this minute.
#[must_use]
pub const fn seal_at(now: Instant) -> Instant {
    Instant((now.0.div_euclid(SEAL_EVERY_MS) + 1) * SEAL_EVERY_MS)
}

/// First instant of the next day (UTC).
#[must_use]
pub const fn day_after(at: Instant) -> Instant {
    Instant((at.0.div_euclid(DAY_MS) + 1) * DAY_MS)
}

/// Whether a seal is the first of its day (UTC), which is sent out.
#[must_use]
pub fn is_first_of_day(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| last.0.div_euclid(DAY_MS) < now.0.div_euclid(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Draft, Entry, NOTHING_BEFORE};
    use serde_json::json;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn row(n: u64, moves: Value, created_at: &str) -> ReportRow {
        let draft = Draft::new("system", "redemption.granted").data(json!({ "moves": moves }));
        let redemption = serde_json::from_value(json!({
            "redemption_id": "rd_1", "status": "refused", "kind": "code", "campaign": 7, "quantity": 1, "ledger": [],
            "rewards": [], "refusal": { "code": "campaign_ended" }, "attempts": 1, "attempts_max": 10,
            "created_at": created_at, "updated_at": created_at,
        }))
        .unwrap();
        ReportRow {
            n,
            entry: Some(Entry::chain(NOTHING_BEFORE, "member/a", n, at("2026-11-22T00:00:00Z"), &draft)),
            hash: String::new(),
            tester: true,
            record: Some(Record { redemption, pid: "a".to_owned(), tester: true, seq: None }),
            events: vec![],
            settled: vec![],
            took: None,
            claim: None,
        }
    }

    #[test]
    fn rows_count_once() {
        let (now, earlier) = ("2026-11-22T00:00:00Z", "2026-10-31T23:59:59Z");
        for (created_at, head, listed, entry, record) in [
            (now, 0, None, true, true),
            (now, 4, Some(4), true, true),
            (now, 5, Some(5), false, false),
            (now, 9, Some(4), false, true),
            (earlier, 4, None, true, false),
        ] {
            let step = row_step(&row(5, json!([]), created_at), "2026-11", head, listed);
            assert_eq!((step.entry, step.record), (entry, record), "{created_at} {head} {listed:?}");
        }
        let elsewhere = ReportRow { entry: None, ..row(5, json!([]), earlier) };
        let step = row_step(&elsewhere, "2026-10", 0, None);
        assert_eq!((step.entry, step.record), (false, true));
    }

    #[test]
    fn figures_follow() {
        let told = |changes: Vec<Change>| -> Vec<(Figure, String, bool, i64)> {
            changes.into_iter().map(|change| (change.figure, change.key, change.tester, change.by)).collect()
        };
        let row = row(
            1,
            json!([{ "reward": "rw_1", "to": "unclaimed" }, { "from": "unclaimed", "to": "expired" }]),
            "2026-11-22T00:00:00Z",
        );
        assert_eq!(
            told(entry_changes(&row)),
            [("unclaimed", 1), ("unclaimed", -1), ("expired", 1)].map(|(state, by)| (
                Figure::Reward,
                state.to_owned(),
                true,
                by
            ))
        );
        let refused = Listed::from(row.record.as_ref().unwrap());
        assert_eq!((refused.campaign, refused.refusal.as_deref()), (7, Some("campaign_ended")));
        let refusal = |by| (Figure::Refusal, "campaign_ended".to_owned(), true, by);
        let status = |status: &str, tester, by| (Figure::Redemption, status.to_owned(), tester, by);
        assert_eq!(told(listing_changes(None, &refused, 5)), [status("refused", true, 1), refusal(1)]);
        assert_eq!(told(listing_changes(Some(&refused), &refused, 5)), []);
        let granted = Listed { status: RedemptionStatus::Granted, refusal: None, tester: false, ..refused.clone() };
        assert_eq!(
            told(listing_changes(Some(&refused), &granted, 1)),
            [status("refused", true, -1), refusal(-1), status("granted", false, 1)]
        );
        let quantity = |by| (Figure::Quantity, "5".to_owned(), false, by);
        assert_eq!(told(listing_changes(None, &granted, 5)), [status("granted", false, 1), quantity(1)]);
        let cancelled = Listed { status: RedemptionStatus::Cancelled, ..granted.clone() };
        assert_eq!(
            told(listing_changes(Some(&granted), &cancelled, 5)),
            [status("granted", false, -1), quantity(-1), status("cancelled", false, 1)]
        );
    }

    #[test]
    fn counters_are_written_once_each() {
        let moves = json!([
            { "reward": "rw_1", "to": "pending_activation" },
            { "reward": "rw_1", "from": "pending_activation", "to": "in_progress" },
            { "reward": "rw_1", "from": "in_progress", "to": "failed" },
            { "reward": "rw_1", "from": "failed", "to": "in_progress" },
            { "reward": "rw_1", "from": "in_progress", "to": "failed" },
        ]);
        let summed: Vec<_> = summed(entry_changes(&row(1, moves, "2026-11-22T00:00:00Z")))
            .into_iter()
            .map(|change| (change.figure, change.key, change.by))
            .collect();
        assert_eq!(summed, [(Figure::Reward, "failed".to_owned(), 1), (Figure::GrantFailed, String::new(), 2)]);
    }

    #[test]
    fn wrong_codes_are_counted_by_kind() {
        let mut row = row(1, json!([]), "2026-11-22T00:00:00Z");
        let draft = Draft::new("member:a", UNRECOGNISED.0).data(json!({ "kind": "alias" }));
        row.entry = Some(Entry::chain(NOTHING_BEFORE, "member/a", 1, at("2026-11-22T00:00:00Z"), &draft));
        let changes = entry_changes(&row);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].figure, changes[0].key.as_str(), changes[0].by), (Figure::Unrecognised, "alias", 1));
    }

    #[test]
    fn times_fall_into_classes() {
        let timed = |accepted_ms, decided_ms| {
            let took = Some(Took { accepted_ms, decided_ms });
            let row = ReportRow { took, ..row(1, json!([]), "2026-11-22T00:00:00Z") };
            timings(&row).into_iter().map(|timing| (timing.timed, timing.class, timing.ms)).collect::<Vec<_>>()
        };
        use Timed::{Acceptance, Both, Processing};
        for (accepted, decided, expected) in [
            (Some(3), Some(3), vec![(Both, 5, 3)]),
            (Some(5), None, vec![(Acceptance, 5, 5)]),
            (None, Some(6), vec![(Processing, 10, 6)]),
            (Some(5), Some(60_000), vec![(Acceptance, 5, 5), (Processing, 60_000, 60_000)]),
            (None, Some(60_001), vec![(Processing, 0, 60_001)]),
            (None, None, vec![]),
        ] {
            assert_eq!(timed(accepted, decided), expected, "{accepted:?} {decided:?}");
        }
        assert!(BOUNDS_MS.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(timings(&row(1, json!([]), "2026-11-22T00:00:00Z")), []);
    }

    #[test]
    fn seals_by_the_minute_and_the_first_of_a_day_goes_out() {
        for (now, sealed) in [
            ("2026-11-22T10:00:00.000Z", "2026-11-22T10:01:00.000Z"),
            ("2026-11-22T10:00:59.999Z", "2026-11-22T10:01:00.000Z"),
        ] {
            assert_eq!(seal_at(at(now)).to_string(), sealed);
        }
        let midnight = at("2026-11-22T00:00:00Z");
        for (last, expected) in [
            (None, true),
            (Some(midnight.plus_ms(-1)), true),
            (Some(midnight), false),
            (Some(midnight.plus_ms(86_400_000)), false),
        ] {
            assert_eq!(is_first_of_day(last, midnight.plus_ms(60_000)), expected, "{last:?}");
        }
    }
}
