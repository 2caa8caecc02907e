//! The life of rewards as tables, and properties over random lives.

use super::delivery::{begin, callback, disabled, ended, hurry, noticed, silent, unsent};
use super::life::{Gift, PlayerMove, Verdict, Wake, clock, player_move, wake};
use super::machine::{By, MOVES, is_legal, is_reachable};
use super::record::{Actor, RewardRecord};
use super::recovery::{delete, reset, resolve, retry};
use super::work::{Changes, Refused, View};
use crate::ids::{IdKey, Rid};
use crate::keys::MerchantId;
use crate::protocol::member::{Known, MemberView, gift};
use crate::time::Instant;
use crate::wallet::Names;
use crate::webhook::Outcome;
use crate::wire::{
    LedgerRow, NewRewardDefinition, Redemption, RedemptionStatus, Resolution, RewardDefinition, RewardState, Wallet,
};
use serde_json::json;

const START: Instant = Instant(1_800_000_000_000);
const HOUR_MS: i64 = 3_600_000;

/// A member with one redemption, as its Member would store it.
struct Shelf {
    key: IdKey,
    merchant: MerchantId,
    rid: Rid,
    redemption: Option<Redemption>,
    rewards: Vec<RewardRecord>,
    wallet: Wallet,
    ledger: Vec<LedgerRow>,
    consumed: bool,
    quarantined: bool,
    at: Instant,
    calls: u32,
}

impl Shelf {
    fn new() -> Self {
        let key = IdKey::new(vec![7; 32]).unwrap();
        let merchant = MerchantId::new("acme").unwrap();
        let rid = Rid::derive(&key.mref(&merchant, "ann"), "admin", "al", "r", "k");
        let wallet = Wallet::default();
        Self {
            key,
            merchant,
            rid,
            redemption: None,
            rewards: vec![],
            wallet,
            ledger: vec![],
            consumed: true,
            quarantined: false,
            at: START,
            calls: 0,
        }
    }

    /// Gives `quantity` of a definition.
    fn with(definition: serde_json::Value, quantity: u32) -> Self {
        let mut shelf = Self::new();
        let new: NewRewardDefinition = serde_json::from_value(definition).unwrap();
        let definition: RewardDefinition = new.define("r").unwrap();
        let names = Names { key: &shelf.key, merchant: &shelf.merchant };
        let view = MemberView {
            known: Known::Absent,
            consumed: false,
            member_uses: 0,
            member_days: &[],
            wallet: &shelf.wallet,
            next_ledger_row: 1,
            opened_at: None,
            quote: None,
            last_bought_at: None,
            book: None,
            member_id: "ann",
            pid: "p1",
        };
        let what = Gift { definition: &definition, quantity, source: None, reference: None };
        let given = gift(&view, shelf.rid, &what, (&admin(), "test"), &names, START).unwrap();
        shelf.write(given);
        shelf
    }

    fn write(&mut self, changes: Changes) {
        let Changes { redemption, rewards, ledger, wallet, give_back, quarantine, audit, .. } = changes;
        assert!(audit.is_some(), "each commit has an audit entry");
        self.redemption = redemption.or(self.redemption.take());
        for record in rewards {
            match self.rewards.iter_mut().find(|known| known.index == record.index) {
                Some(known) => *known = record,
                None => self.rewards.push(record),
            }
        }
        self.ledger.extend(ledger);
        self.wallet = wallet.unwrap_or_else(|| self.wallet.clone());
        self.consumed &= !give_back;
        self.quarantined |= quarantine;
    }

    fn ask<T>(&self, decide: impl FnOnce(&View<'_>, &Names<'_>, Instant) -> T) -> T {
        let names = Names { key: &self.key, merchant: &self.merchant };
        let redemption = self.redemption.as_ref().unwrap();
        let paid: Vec<LedgerRow> = redemption
            .points_spent
            .filter(|points| *points > 0)
            .map(|_| redemption.ledger.iter().map(|line| self.row(&line.ledger_id).clone()).collect())
            .unwrap_or_default();
        let view = View {
            redemption,
            rid: self.rid,
            rewards: &self.rewards,
            wallet: &self.wallet,
            next_ledger_row: u64::try_from(self.ledger.len()).unwrap() + 1,
            paid: &paid,
            features_elsewhere: &[],
            consumed: self.consumed,
            member_id: "ann",
            pid: "p1",
        };
        decide(&view, &names, self.at)
    }

    fn row(&self, ledger_id: &str) -> &LedgerRow {
        self.ledger.iter().find(|row| row.ledger_id == ledger_id).unwrap()
    }

    fn verdict(&mut self, decide: impl FnOnce(&View<'_>, &Names<'_>, Instant) -> Verdict) -> Option<Refused> {
        let Verdict { changes, refused } = self.ask(decide);
        if let Some(changes) = changes {
            self.write(changes);
        }
        refused
    }

    fn changes(&mut self, decide: impl FnOnce(&View<'_>, &Names<'_>, Instant) -> Option<Changes>) -> bool {
        let changes = self.ask(decide);
        let some = changes.is_some();
        if let Some(changes) = changes {
            self.write(changes);
        }
        some
    }

    fn player(&mut self, wanted: PlayerMove) -> Option<Refused> {
        let ann = Actor::member("ann", "p1");
        self.verdict(|view, names, at| player_move(view, 0, wanted, (By::Member, &ann), None, names, at))
    }

    fn ends(&mut self, attempt: u32, outcome: &Outcome) -> Option<Refused> {
        self.verdict(|view, names, at| ended(view, 0, attempt, outcome, 0, names, at))
    }

    fn begins(&mut self) -> bool {
        self.changes(|view, names, at| begin(view, 0, names, at))
    }

    fn resolves(&mut self, resolution: Resolution, unknown_outcome: bool) -> Option<Refused> {
        self.verdict(|view, names, at| resolve(view, resolution, unknown_outcome, (&admin(), "support"), names, at))
    }

    fn later(&mut self, ms: i64) -> &mut Self {
        self.at = self.at.plus_ms(ms);
        self
    }

    fn state(&self) -> RewardState {
        self.rewards[0].state()
    }

    fn status(&self) -> RedemptionStatus {
        self.redemption.as_ref().unwrap().status
    }

    /// Balances are the sum of their rows, and each move is legal by somebody.
    fn check(&self) {
        let points: i64 = self.ledger.iter().filter(|row| row.asset == "points").map(|row| row.amount).sum();
        assert_eq!(i64::try_from(self.wallet.points).unwrap(), points, "I10");
        let everybody = [By::System, By::Clock, By::Member, By::Administrator, By::Operator, By::Mechanic];
        for record in &self.rewards {
            let mut stands = None;
            for step in &record.reward.moves {
                assert_eq!(step.from, stands, "{:?}", record.reward.moves);
                assert!(everybody.iter().any(|by| is_legal(step.from, step.to, *by)), "{step:?}");
                stands = Some(step.to);
            }
            assert_eq!(stands, Some(record.state()));
            let may = matches!(record.state(), RewardState::Granted | RewardState::Complete);
            assert!(record.applied.is_none() || may, "I7");
        }
    }
}

fn admin() -> Actor {
    Actor::named("admin:al")
}

fn webhook(kind: &str) -> serde_json::Value {
    json!({ "name": "W", "type": kind, "value": {}, "mechanic": { "kind": "webhook", "endpoint_id": "ep" } })
}

fn granted() -> Outcome {
    Outcome::Granted { data: None }
}

fn no() -> Outcome {
    Outcome::Failed { error: "no".to_owned(), data: None }
}

fn broken(unknown: bool) -> Outcome {
    Outcome::Retry { error: "HTTP 500".to_owned(), unknown, retry_after_s: None }
}

fn illegal(state: &str, legal: &[&str]) -> Option<Refused> {
    let legal_moves = legal.iter().map(|name| (*name).to_owned()).collect();
    Some(Refused::IllegalMove { state: state.to_owned(), legal_moves, unknown_outcome: false })
}

#[test]
fn the_table_is_the_contracts() {
    use RewardState as S;
    let written: Vec<(Option<S>, S)> = MOVES.iter().map(|step| (step.from, step.to)).collect();
    let contract = [
        (None, S::Unclaimed),
        (None, S::PendingActivation),
        (Some(S::Unclaimed), S::PendingActivation),
        (Some(S::Unclaimed), S::Declined),
        (Some(S::PendingActivation), S::Declined),
        (Some(S::Unclaimed), S::Expired),
        (Some(S::PendingActivation), S::Expired),
        (Some(S::PendingActivation), S::InProgress),
        (Some(S::InProgress), S::Granted),
        (Some(S::InProgress), S::Failed),
        (Some(S::InProgress), S::Bounced),
        (Some(S::Failed), S::InProgress),
        (Some(S::Failed), S::Granted),
        (Some(S::Granted), S::Complete),
        (Some(S::Unclaimed), S::Deleted),
        (Some(S::PendingActivation), S::Deleted),
        (Some(S::Failed), S::Deleted),
        (Some(S::Granted), S::Deleted),
        (Some(S::Complete), S::Deleted),
    ];
    assert_eq!(written, contract);
}

#[test]
fn what_has_ended_leads_nowhere() {
    for from in RewardState::ALL {
        let reachable = RewardState::ALL.iter().filter(|to| is_reachable(from, **to)).count();
        let ended = [RewardState::Expired, RewardState::Declined, RewardState::Deleted, RewardState::Bounced];
        assert_eq!(reachable == 1, ended.contains(&from), "{from:?}");
    }
    assert!(is_reachable(RewardState::Unclaimed, RewardState::Granted));
    assert!(!is_reachable(RewardState::Granted, RewardState::InProgress));
}

#[test]
fn first_states_follow_type_and_flags() {
    use RewardState::{Granted, InProgress, PendingActivation, Unclaimed};
    let points = |more: serde_json::Value| {
        let mut definition = json!({ "name": "P", "type": "points", "value": { "amount": 5 } });
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        definition
    };
    let booster =
        json!({ "name": "B", "type": "token_booster", "value": { "multiplier_permille": 2000 }, "duration_s": 60 });
    for (definition, state, status) in [
        (points(json!({})), Granted, RedemptionStatus::Granted),
        (points(json!({ "player_should_claim": true })), Unclaimed, RedemptionStatus::Granted),
        (points(json!({ "automatic_activation": false })), PendingActivation, RedemptionStatus::Granted),
        (booster, Unclaimed, RedemptionStatus::Granted),
        (
            json!({ "name": "D", "type": "discount", "value": { "percent": 5 } }),
            PendingActivation,
            RedemptionStatus::Granted,
        ),
        (json!({ "name": "M", "type": "manual", "value": {} }), PendingActivation, RedemptionStatus::Granted),
        (json!({ "name": "X", "type": "external", "value": { "reference": "a" } }), Granted, RedemptionStatus::Granted),
        (webhook("bonus"), InProgress, RedemptionStatus::Granting),
        (webhook("mini_game"), Unclaimed, RedemptionStatus::Granted),
    ] {
        let shelf = Shelf::with(definition.clone(), 1);
        assert_eq!((shelf.state(), shelf.status()), (state, status), "{definition}");
        assert_eq!(shelf.ledger.len(), 1, "one row for each redemption: {definition}");
        shelf.check();
    }
}

#[test]
fn quantity_is_one_reward_or_one_for_each_unit() {
    let shelf = Shelf::with(json!({ "name": "P", "type": "points", "value": { "amount": 5 } }), 7);
    assert_eq!((shelf.rewards.len(), shelf.rewards[0].reward.quantity, shelf.wallet.points), (1, 7, 35));
    let booster =
        json!({ "name": "B", "type": "level_booster", "value": { "multiplier_permille": 2000 }, "duration_s": 60 });
    let shelf = Shelf::with(booster, 3);
    assert_eq!(shelf.rewards.iter().map(|record| record.reward.quantity).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!((shelf.ledger.len(), shelf.ledger[0].quantity), (1, Some(3)));
}

#[test]
fn claim_activate_run_end() {
    let booster =
        json!({ "name": "B", "type": "token_booster", "value": { "multiplier_permille": 2000 }, "duration_s": 60 });
    let mut shelf = Shelf::with(booster, 1);
    assert_eq!(shelf.player(PlayerMove::Activate), illegal("unclaimed", &["pending_activation", "declined"]));
    assert_eq!(shelf.player(PlayerMove::Claim), None);
    assert_eq!(shelf.player(PlayerMove::Claim), None, "a repeat moves nothing");
    assert_eq!(shelf.rewards[0].reward.moves.len(), 2);
    assert_eq!(shelf.later(1).player(PlayerMove::Activate), None);
    assert_eq!(shelf.state(), RewardState::Granted);
    assert_eq!(shelf.wallet.boosters.len(), 1);
    assert_eq!(shelf.rewards[0].due_at(), Some(START.plus_ms(60_001)));
    assert!(!shelf.later(59_999).changes(|view, names, at| clock(view, 0, names, at)));
    assert_eq!(shelf.player(PlayerMove::Activate), None);
    // The Member reads the wallet without what has ended; its feed is told all the same.
    shelf.later(1).wallet.boosters.clear();
    let ended = shelf.ask(|view, names, at| clock(view, 0, names, at)).unwrap();
    assert!(ended.events.iter().any(|(kind, _)| *kind == "wallet.updated"));
    shelf.write(ended);
    assert_eq!((shelf.state(), shelf.wallet.boosters.len()), (RewardState::Complete, 0));
    assert_eq!(shelf.player(PlayerMove::Decline), illegal("complete", &[]));
    shelf.check();
}

#[test]
fn some_kinds_are_never_activated_by_their_player() {
    let manual = json!({ "name": "M", "type": "manual", "value": {} });
    let discount = json!({ "name": "D", "type": "discount", "value": { "percent": 5 } });
    for (definition, by_administrator) in [(manual, true), (discount, false)] {
        let mut shelf = Shelf::with(definition, 1);
        assert_eq!(shelf.player(PlayerMove::Activate), illegal("pending_activation", &["declined"]));
        let refused = shelf.verdict(|view, names, at| {
            player_move(view, 0, PlayerMove::Activate, (By::Administrator, &admin()), None, names, at)
        });
        assert_eq!(refused.is_none(), by_administrator);
    }
}

#[test]
fn time_counts_whether_or_not_the_alarm_came() {
    let claimable = json!({ "name": "P", "type": "points", "value": { "amount": 5 }, "player_should_claim": true, "valid_for_s": 10 });
    let mut shelf = Shelf::with(claimable, 1);
    assert_eq!(shelf.rewards[0].due_at(), Some(START.plus_ms(10_000)));
    shelf.later(10_000);
    assert_eq!(shelf.player(PlayerMove::Claim), illegal("expired", &[]));
    assert_eq!((shelf.state(), shelf.wallet.points), (RewardState::Expired, 0));
    shelf.check();
}

#[test]
fn a_game_left_unplayed_bounces() {
    let mut game = webhook("mini_game");
    game["valid_for_s"] = json!(100);
    let mut shelf = Shelf::with(game, 1);
    shelf.player(PlayerMove::Claim);
    shelf.player(PlayerMove::Activate);
    assert_eq!((shelf.state(), shelf.status()), (RewardState::InProgress, RedemptionStatus::Granted));
    assert!(shelf.begins());
    shelf.ends(1, &Outcome::Later);
    assert!(shelf.later(100_000).changes(|view, names, at| clock(view, 0, names, at)));
    assert_eq!(shelf.state(), RewardState::Bounced);
    assert_eq!(shelf.ends(1, &granted()), illegal("bounced", &[]));
    assert_eq!(shelf.state(), RewardState::Bounced, "a late success is a conflict, never applied");
    shelf.check();
}

#[test]
fn a_delivery_that_fails_is_tried_again_on_the_schedule() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Try));
    let schedule = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (done, pause_s) in (1..).zip(schedule) {
        assert!(shelf.begins());
        assert!(!shelf.begins(), "one try at a time");
        assert_eq!((shelf.rewards[0].reward.attempts, shelf.status()), (done, RedemptionStatus::Granting));
        shelf.ends(done, &broken(true));
        let next = shelf.rewards[0].reward.next_attempt_at.unwrap();
        let redemption = shelf.redemption.clone().unwrap();
        assert_eq!((redemption.status, redemption.next_attempt_at), (RedemptionStatus::GrantFailed, Some(next)));
        let pause_ms = next.0 - shelf.at.0;
        assert!(pause_ms <= pause_s * 1_000 && pause_ms >= pause_s * 900, "try {done}: {pause_ms}");
        assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Nothing));
        shelf.at = next;
        assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Try));
    }
    shelf.begins();
    shelf.ends(10, &broken(true));
    assert_eq!((shelf.rewards[0].reward.next_attempt_at, shelf.rewards[0].due_at()), (None, None));
    assert_eq!(shelf.verdict(|view, names, at| retry(view, &admin(), Some("again"), names, at)), None);
    assert_eq!(shelf.status(), RedemptionStatus::Granting);
    shelf.begins();
    shelf.ends(11, &granted());
    assert_eq!((shelf.state(), shelf.status()), (RewardState::Granted, RedemptionStatus::Granted));
    shelf.check();
}

#[test]
fn late_news() {
    // (how the first try ended, then late news of it, state after)
    let late = |first: &Outcome, news: &Outcome| {
        let mut shelf = Shelf::with(webhook("bonus"), 1);
        shelf.begins();
        shelf.ends(1, first);
        shelf.ends(1, news);
        shelf.check();
        shelf.state()
    };
    assert_eq!(late(&broken(true), &granted()), RewardState::Granted, "two moves, one commit");
    assert_eq!(late(&granted(), &no()), RewardState::Granted);
    assert_eq!(late(&granted(), &granted()), RewardState::Granted);
    assert_eq!(late(&no(), &broken(true)), RewardState::Failed);
}

#[test]
fn callbacks() {
    let accepted = || {
        let mut shelf = Shelf::with(webhook("bonus"), 1);
        shelf.begins();
        shelf.ends(1, &Outcome::Later);
        shelf
    };
    let call = |shelf: &mut Shelf, outcome: &Outcome| {
        shelf.calls += 1;
        let id = format!("msg_{}", shelf.calls);
        shelf.verdict(|view, names, at| callback(view, 0, (&id, outcome), 0, names, at))
    };
    let mut shelf = accepted();
    assert_eq!(shelf.rewards[0].due_at(), Some(START.plus_ms(86_400_000)));
    assert_eq!((call(&mut shelf, &granted()), shelf.state()), (None, RewardState::Granted));
    assert_eq!((call(&mut shelf, &granted()), shelf.state()), (None, RewardState::Granted));
    assert_eq!(call(&mut shelf, &no()), illegal("granted", &[]));
    let mut shelf = accepted();
    assert_eq!((call(&mut shelf, &no()), shelf.state()), (None, RewardState::Failed));
    assert_eq!((call(&mut shelf, &no()), shelf.rewards[0].reward.moves.len()), (None, 3));
    // The next try is another matter: what was said of the one before, said again, moves nothing.
    shelf.later(6_000).begins();
    let again = format!("msg_{}", shelf.calls);
    shelf.verdict(|view, names, at| callback(view, 0, (&again, &no()), 0, names, at));
    assert_eq!((shelf.state(), shelf.rewards[0].outcome_unknown()), (RewardState::InProgress, true));
    assert_eq!(
        (call(&mut shelf, &no()), shelf.rewards[0].outcome_unknown()),
        (None, true),
        "the try may still succeed"
    );
    let mut shelf = accepted();
    assert!(shelf.later(86_400_000).changes(|view, names, at| silent(view, 0, 0, names, at)));
    assert_eq!((shelf.state(), shelf.rewards[0].outcome_unknown()), (RewardState::Failed, true));
    assert!(shelf.rewards[0].reward.next_attempt_at.is_some());
    assert_eq!((call(&mut shelf, &no()), shelf.state()), (None, RewardState::Failed));
    assert_eq!(
        (shelf.rewards[0].outcome_unknown(), shelf.rewards[0].reward.last_error.as_deref()),
        (false, Some("no"))
    );
    shelf.check();
}

#[test]
fn a_try_that_nobody_heard_the_end_of_is_taken_for_lost() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    shelf.begins();
    let woken = |shelf: &Shelf, trying| shelf.ask(|view, names, at| wake(view, 0, trying, names, at));
    shelf.later(29_999);
    assert!(matches!(woken(&shelf, false), Wake::Nothing));
    shelf.later(1);
    assert!(matches!(woken(&shelf, true), Wake::Nothing), "it is under way here");
    let Wake::Commit(changes) = woken(&shelf, false) else { panic!("it is lost") };
    shelf.write(*changes);
    assert_eq!((shelf.state(), shelf.rewards[0].outcome_unknown()), (RewardState::Failed, true));
    shelf.check();
}

#[test]
fn a_game_whose_service_is_out_of_reach_bounces_in_time() {
    let mut game = webhook("mini_game");
    game["valid_for_s"] = json!(100);
    let mut shelf = Shelf::with(game, 1);
    shelf.player(PlayerMove::Claim);
    shelf.player(PlayerMove::Activate);
    shelf.begins();
    shelf.ends(1, &broken(true));
    assert_eq!(shelf.state(), RewardState::Failed);
    shelf.later(100_000);
    assert!(shelf.rewards[0].due_at().is_some_and(|at| at <= shelf.at));
    let Wake::Commit(changes) = shelf.ask(|view, names, at| wake(view, 0, false, names, at)) else {
        panic!("nothing is sent for a game that is over")
    };
    shelf.write(*changes);
    assert_eq!(shelf.state(), RewardState::Bounced);
    shelf.check();
}

#[test]
fn an_endpoint_that_cannot_be_looked_up_costs_no_try() {
    let mut once = webhook("bonus");
    once["attempts_max"] = json!(1);
    let mut shelf = Shelf::with(once, 1);
    shelf.begins();
    shelf.verdict(|view, names, at| unsent(view, 0, 0, names, at));
    let reward = &shelf.rewards[0].reward;
    assert_eq!((reward.attempts, reward.next_attempt_at), (0, Some(START.plus_ms(16_000))));
    assert!(!shelf.rewards[0].outcome_unknown());
}

#[test]
fn what_leaves_the_member_does_not_name_them() {
    let claimable = json!({ "name": "P", "type": "points", "value": { "amount": 5 }, "player_should_claim": true });
    let shelf = Shelf::with(claimable, 1);
    let ann = Actor::member("ann", "p1");
    let moved = shelf.ask(|view, names, at| {
        player_move(view, 0, PlayerMove::Claim, (By::Member, &ann), None, names, at).changes.unwrap()
    });
    let told = serde_json::to_string(&(&moved.outgoing, &moved.audit)).unwrap();
    assert!(!told.contains("ann") && told.contains("\"member\""), "{told}");
    assert_eq!(moved.outgoing.len(), 1, "only what moved is told");
    assert_eq!(moved.rewards[0].reward.moves[1].actor, "member:ann");
}

#[test]
fn taking_back_what_could_not_be_given_ends_the_redemption() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    shelf.begins();
    shelf.ends(1, &no());
    shelf.verdict(|view, names, at| delete(view, 0, &admin(), "wrong", names, at));
    assert_eq!(
        (shelf.state(), shelf.status(), shelf.consumed),
        (RewardState::Deleted, RedemptionStatus::Reversed, true)
    );
    shelf.verdict(|view, names, at| reset(view, false, (&admin(), "let them"), names, at));
    assert!(!shelf.consumed, "an operator frees the use");
}

#[test]
fn a_clock_that_was_ahead_keeps_nothing_waiting() {
    let day = 24 * HOUR_MS;
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    shelf.later(day).begins();
    shelf.later(-day);
    assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Commit(_)), "it is lost");
    shelf.later(day).ends(1, &broken(true));
    shelf.later(-day);
    assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Try));
}

#[test]
fn a_disabled_endpoint_is_no_try() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    shelf.begins();
    shelf.verdict(|view, names, at| disabled(view, 0, names, at));
    let reward = &shelf.rewards[0].reward;
    assert_eq!((reward.state, reward.attempts, reward.next_attempt_at), (RewardState::Failed, 0, None));
    assert!(!shelf.changes(|view, names, at| hurry(view, 0, "other", names, at)));
    assert!(shelf.changes(|view, names, at| hurry(view, 0, "ep", names, at)));
    assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Try));
    shelf.begins();
    shelf.ends(1, &Outcome::Gone);
    assert_eq!(shelf.redemption.as_ref().unwrap().next_attempt_at, None);
    assert!(shelf.rewards[0].delivery.parked);
    assert!(shelf.rewards[0].due_at().is_some_and(|at| at > shelf.at), "it looks for itself in time");
    shelf.check();
}

#[test]
fn cancelling_needs_a_known_outcome_or_the_operators_word() {
    // (outcome of the first try, whether it is enough to cancel without saying more)
    for (outcome, safe) in [
        (None, false),
        (Some(broken(true)), false),
        (Some(Outcome::Later), false),
        (Some(broken(false)), true),
        (Some(no()), true),
    ] {
        let mut shelf = Shelf::with(webhook("bonus"), 1);
        shelf.begins();
        if let Some(outcome) = &outcome {
            shelf.ends(1, outcome);
        }
        let refused = shelf.resolves(Resolution::Cancelled, false);
        assert_eq!(refused.is_none(), safe, "{outcome:?}");
        if let Some(Refused::IllegalMove { unknown_outcome, legal_moves, .. }) = refused {
            assert!(unknown_outcome && legal_moves.contains(&"granted".to_owned()));
            assert_eq!(shelf.resolves(Resolution::Cancelled, true), None);
        }
        assert_eq!(
            (shelf.state(), shelf.status(), shelf.consumed),
            (RewardState::Deleted, RedemptionStatus::Cancelled, false)
        );
        assert!(shelf.rewards[0].delivery.notice.is_some(), "the fulfiller is told");
        assert_eq!(shelf.ends(1, &granted()), illegal("deleted", &[]), "a conflict");
        assert_eq!((shelf.state(), shelf.status()), (RewardState::Deleted, RedemptionStatus::Cancelled));
        assert_eq!(shelf.verdict(|view, names, at| reset(view, false, (&admin(), "again"), names, at)), None);
        shelf.check();
    }
}

#[test]
fn an_unknown_outcome_stays_unknown_until_the_fulfiller_says() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    for (attempt, outcome, unknown) in
        [(1, broken(true), true), (2, broken(false), true), (3, no(), false), (4, broken(false), false)]
    {
        shelf.later(48 * HOUR_MS).begins();
        shelf.ends(attempt, &outcome);
        assert_eq!(shelf.rewards[0].outcome_unknown(), unknown, "try {attempt}");
    }
}

#[test]
fn resolved_as_granted_by_hand() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    shelf.begins();
    shelf.ends(1, &broken(true));
    assert_eq!(shelf.resolves(Resolution::Granted, false), None);
    assert_eq!(
        (shelf.state(), shelf.status(), shelf.consumed),
        (RewardState::Granted, RedemptionStatus::Granted, true)
    );
    assert_eq!(shelf.redemption.as_ref().unwrap().reason.as_deref(), Some("support"));
    assert!(matches!(shelf.resolves(Resolution::Cancelled, true), Some(Refused::IllegalMove { .. })));
    shelf.check();
}

#[test]
fn deleting_takes_back_what_is_left_or_refuses() {
    let points = json!({ "name": "P", "type": "points", "value": { "amount": 5 } });
    let mut shelf = Shelf::with(points, 2);
    let deleted = |shelf: &mut Shelf| shelf.verdict(|view, names, at| delete(view, 0, &admin(), "wrong", names, at));
    shelf.wallet.points = 3;
    assert_eq!(deleted(&mut shelf), Some(Refused::ValueSpent { short_by: 7 }));
    shelf.wallet.points = 10;
    assert_eq!(deleted(&mut shelf), None);
    let row = shelf.ledger.last().unwrap();
    assert_eq!((row.amount, row.balance_after, row.kind.as_str()), (-10, 0, "reversal"));
    assert_eq!(row.reverses.as_deref(), Some(shelf.ledger[0].ledger_id.as_str()));
    assert_eq!(deleted(&mut shelf), None, "again is no change");
    assert_eq!(shelf.ledger.len(), 2);
    shelf.check();
}

#[test]
fn testers_start_over_from_anywhere() {
    let points = json!({ "name": "P", "type": "points", "value": { "amount": 5 } });
    let mut shelf = Shelf::with(points, 1);
    let resets = |shelf: &mut Shelf, tester| {
        shelf.verdict(|view, names, at| reset(view, tester, (&admin(), "test run"), names, at))
    };
    assert_eq!(resets(&mut shelf, false), illegal("granted", &["reversed"]));
    assert_eq!(resets(&mut shelf, true), None);
    assert_eq!((shelf.status(), shelf.wallet.points, shelf.consumed), (RedemptionStatus::Reversed, 0, false));
    assert_eq!(resets(&mut shelf, true), None, "from reversed for everybody");
    shelf.check();
}

#[test]
fn a_cancellation_is_told_until_heard() {
    let mut shelf = Shelf::with(webhook("bonus"), 1);
    shelf.begins();
    shelf.ends(1, &no());
    shelf.resolves(Resolution::Cancelled, false);
    assert!(matches!(shelf.ask(|view, names, at| wake(view, 0, false, names, at)), Wake::Notice));
    assert!(shelf.changes(|view, names, at| noticed(view, 0, false, 0, names, at)));
    assert!(shelf.rewards[0].due_at().is_some_and(|at| at > shelf.at));
    assert!(shelf.changes(|view, names, at| noticed(view, 0, true, 0, names, at)));
    assert_eq!(shelf.rewards[0].due_at(), None);
}

#[path = "tests_random.rs"]
mod random;
#[path = "tests_reversal.rs"]
mod reversal;
