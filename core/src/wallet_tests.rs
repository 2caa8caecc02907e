use super::*;
use crate::wire::{Booster, RewardState};

const NOW: Instant = Instant(1_800_000_000_000);

fn reward(kind: RewardType, value: RewardValue, quantity: u32) -> Reward {
    Reward {
        id: "rw_1".to_owned(),
        reward_id: "r".to_owned(),
        name: "R".to_owned(),
        kind,
        value,
        quantity,
        state: RewardState::InProgress,
        redemption_id: None,
        source: None,
        reference: None,
        valid_until: None,
        duration_s: None,
        runs_until: None,
        attempts: 1,
        attempts_max: 10,
        next_attempt_at: None,
        last_error: None,
        fulfilment: None,
        moves: vec![],
    }
}

fn running(kind: RewardType, multiplier_permille: u32, runs_until: Instant) -> Booster {
    let (id, reward_id, name) = ("rw_b".to_owned(), "b".to_owned(), "B".to_owned());
    Booster { id, reward_id, name, kind, multiplier_permille, runs_until }
}

#[test]
fn boosters_multiply_their_own_kind_while_they_run() {
    use RewardType::{LevelBooster, MissionBooster, Points, TokenBooster, Tokens, Xp};
    let later = NOW.plus_ms(1);
    for (kind, boosters, quantity, expected) in [
        (Points, vec![], 1, 7),
        (Points, vec![running(TokenBooster, 2_000, later)], 1, 14),
        (Points, vec![running(TokenBooster, 1_500, later)], 1, 10),
        (Points, vec![running(TokenBooster, 1_500, later)], 3, 31),
        // Over at this very instant.
        (Points, vec![running(TokenBooster, 2_000, NOW)], 1, 7),
        // The highest counts, not the product.
        (Tokens, vec![running(TokenBooster, 2_000, later), running(TokenBooster, 3_000, later)], 1, 21),
        (Xp, vec![running(LevelBooster, 2_000, later), running(TokenBooster, 9_000, later)], 1, 14),
        (Xp, vec![running(MissionBooster, 2_000, later)], 1, 7),
    ] {
        let mut wallet = Wallet { boosters, ..Wallet::default() };
        let entry =
            apply(&mut wallet, &reward(kind, RewardValue::Amount { amount: 7 }, quantity), NOW).unwrap().unwrap();
        assert_eq!(entry.amount, expected, "{kind:?}");
        assert_eq!(entry.balance_after, entry.amount.unsigned_abs());
    }
}

#[test]
fn credit_is_never_multiplied() {
    let boosters = vec![running(RewardType::TokenBooster, 9_000, NOW.plus_ms(1))];
    let mut wallet = Wallet { boosters, ..Wallet::default() };
    let value = RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 };
    let entry = apply(&mut wallet, &reward(RewardType::Credit, value, 2), NOW).unwrap().unwrap();
    assert_eq!((entry.amount, wallet.credit[0].amount_minor), (1_000, 1_000));
}

#[test]
fn what_is_taken_back_is_what_was_given_or_nothing() {
    let mut wallet = Wallet::default();
    let points = reward(RewardType::Points, RewardValue::Amount { amount: 10 }, 1);
    let given = apply(&mut wallet, &points, NOW).unwrap().unwrap();
    let taken = take_back(&mut wallet, &given, false).unwrap();
    assert_eq!((taken.amount, taken.balance_after, wallet.points), (-10, 0, 0));
    wallet.points = 4;
    assert_eq!(take_back(&mut wallet, &given, false), Err(ValueSpent { short_by: 6 }));
    assert_eq!(wallet.points, 4);
}

#[test]
fn a_feature_goes_with_the_last_reward_that_gives_it() {
    let mut wallet = Wallet::default();
    let feature = reward(RewardType::Feature, RewardValue::Feature { key: "vip".to_owned() }, 1);
    let first = apply(&mut wallet, &feature, NOW).unwrap().unwrap();
    let second = apply(&mut wallet, &feature, NOW).unwrap().unwrap();
    assert_eq!((first.amount, second.amount), (1, 0));
    assert_eq!(take_back(&mut wallet, &first, true).unwrap().amount, 0);
    assert_eq!(wallet.features, ["vip"]);
    let gone = take_back(&mut wallet, &second, false).unwrap();
    assert_eq!((gone.amount, gone.balance_after), (-1, 0));
    assert!(wallet.features.is_empty());
}

#[test]
fn balances_stay_within_what_clients_keep_exactly() {
    let mut wallet = Wallet { points: INTEGER_MAX - 5, ..Wallet::default() };
    let six = reward(RewardType::Points, RewardValue::Amount { amount: 6 }, 1);
    assert_eq!(apply(&mut wallet, &six, NOW), Err(BalanceOverflow));
    assert_eq!(wallet.points, INTEGER_MAX - 5);
}
