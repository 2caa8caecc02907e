//! Properties over random lives.

use super::*;
use proptest::prelude::*;

/// One thing that may happen to a reward.
#[derive(Clone, Debug)]
enum Happening {
    Player(PlayerMove),
    Begin,
    End(u32, Outcome),
    Callback(Outcome),
    Wake(bool),
    Later(i64),
    Retry,
    Resolve(Resolution, bool),
    Delete,
    Reset,
    Hurry,
    Disabled,
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(granted()),
        Just(no()),
        Just(broken(true)),
        Just(broken(false)),
        Just(Outcome::Later),
        Just(Outcome::Gone)
    ]
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        prop_oneof![Just(PlayerMove::Claim), Just(PlayerMove::Activate), Just(PlayerMove::Decline)]
            .prop_map(Happening::Player),
        Just(Happening::Begin),
        (1u32..4, outcomes()).prop_map(|(attempt, outcome)| Happening::End(attempt, outcome)),
        outcomes().prop_map(Happening::Callback),
        any::<bool>().prop_map(Happening::Wake),
        (1i64..200_000).prop_map(Happening::Later),
        Just(Happening::Retry),
        (prop_oneof![Just(Resolution::Granted), Just(Resolution::Cancelled)], any::<bool>())
            .prop_map(|(resolution, unknown)| Happening::Resolve(resolution, unknown)),
        Just(Happening::Delete),
        Just(Happening::Reset),
        Just(Happening::Hurry),
        Just(Happening::Disabled),
    ]
}

proptest! {
    /// Whatever happens in whatever order: moves stay legal, balances are their ledger, nothing that has ended
    /// comes back, and what the server has to do has a time.
    #[test]
    fn any_life(kind in 0usize..5, tester: bool, life in proptest::collection::vec(happenings(), 1..40)) {
        let definition = match kind {
            0 => json!({ "name": "P", "type": "points", "value": { "amount": 5 }, "player_should_claim": true, "valid_for_s": 100 }),
            1 => json!({ "name": "B", "type": "token_booster", "value": { "multiplier_permille": 2000 }, "duration_s": 60 }),
            2 => { let mut game = webhook("mini_game"); game["valid_for_s"] = json!(200); game }
            3 => json!({ "name": "F", "type": "feature", "value": { "key": "f" }, "duration_s": 50 }),
            _ => webhook("bonus"),
        };
        let mut shelf = Shelf::with(definition, 1);
        for happening in life {
            let ended_before = matches!(
                shelf.state(),
                RewardState::Expired | RewardState::Declined | RewardState::Deleted | RewardState::Bounced
            );
            let before = shelf.state();
            match happening {
                Happening::Player(wanted) => { shelf.player(wanted); }
                Happening::Begin => { shelf.begins(); }
                Happening::End(attempt, outcome) => { shelf.ends(attempt, &outcome); }
                Happening::Callback(outcome) => {
                    shelf.verdict(|view, names, at| callback(view, 0, ("msg", &outcome), 7, names, at));
                }
                Happening::Wake(trying) => {
                    if let Wake::Commit(changes) = shelf.ask(|view, names, at| wake(view, 0, trying, names, at)) {
                        shelf.write(*changes);
                    }
                }
                Happening::Later(ms) => { shelf.later(ms); }
                Happening::Retry => {
                    shelf.verdict(|view, names, at| retry(view, &admin(), None, names, at));
                }
                Happening::Resolve(resolution, unknown) => { shelf.resolves(resolution, unknown); }
                Happening::Delete => {
                    shelf.verdict(|view, names, at| delete(view, 0, &admin(), "r", names, at));
                }
                Happening::Reset => {
                    shelf.verdict(|view, names, at| reset(view, tester, (&admin(), "r"), names, at));
                }
                Happening::Hurry => { shelf.changes(|view, names, at| hurry(view, 0, "ep", names, at)); }
                Happening::Disabled => { shelf.verdict(|view, names, at| disabled(view, 0, names, at)); }
            }
            shelf.check();
            if ended_before {
                prop_assert_eq!(shelf.state(), before);
            }
            let record = &shelf.rewards[0];
            let busy = record.state() == RewardState::InProgress && !record.is_played();
            prop_assert!(!busy || record.due_at().is_some(), "in progress without a time: {:?}", record);
            let redemption = shelf.redemption.as_ref().unwrap();
            if redemption.status == RedemptionStatus::GrantFailed {
                prop_assert_eq!(redemption.next_attempt_at, record.reward.next_attempt_at);
            }
            prop_assert!(shelf.consumed || matches!(redemption.status, RedemptionStatus::Cancelled | RedemptionStatus::Reversed));
        }
    }
}
