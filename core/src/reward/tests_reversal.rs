//! What is taken back of a purchase with points, by reversal, cancellation and reset: as tables, and over random lives.

use super::*;
use crate::adjustment::{AdjustView, Adjustment, adjust};
use crate::ids::Fingerprint;
use crate::protocol::member::{Answers, DecideStep, decide};
use crate::protocol::pool::PoolAnswer;
use crate::protocol::{Intent, MESSAGE_VERSION, Purchase, QuoteTerms, Wish};
use crate::quote::{Quote, QuoteState};
use crate::reward::recovery::reverse;
use crate::token::Attributes;
use crate::wire::AdjustedAsset;
use proptest::prelude::*;

const PRICE: u64 = 100;
const WINDOW_S: u32 = 900;

impl Shelf {
    fn adjust(&mut self, asset: AdjustedAsset, amount: i64) -> bool {
        let currency = (asset == AdjustedAsset::Credit).then(|| "EUR".to_owned());
        let adjustment = Adjustment { asset, currency, amount, reason: "test".to_owned(), order: None };
        let names = Names { key: &self.key, merchant: &self.merchant };
        let next_ledger_row = u64::try_from(self.ledger.len()).unwrap() + 1;
        let view = AdjustView { mref: self.rid.mref(), wallet: &self.wallet, next_ledger_row };
        let Ok((changes, _)) = adjust(&view, &adjustment, &admin(), &names, self.at) else { return false };
        self.write(changes);
        true
    }

    /// A member with so many points for whom staff confirm `quantity` of a reward; with less than it costs, a manager
    /// lets the rest go.
    fn bought(mut definition: serde_json::Value, quantity: u32, points: u64) -> Self {
        definition["points_cost"] = PRICE.into();
        let mut shelf = Self::new();
        assert!(points == 0 || shelf.adjust(AdjustedAsset::Points, i64::try_from(points).unwrap()));
        let reward: RewardDefinition =
            serde_json::from_value::<NewRewardDefinition>(definition).unwrap().define("r").unwrap();
        let quote = Rid::random(&shelf.rid.mref(), [3; 10]);
        let offer = Quote {
            rid: quote,
            reward: reward.clone(),
            quantity,
            unit_cost: PRICE,
            by: "staff:bea".to_owned(),
            again: false,
            expires_at: START.plus_ms(1),
            state: QuoteState::Open,
        };
        let intent = Intent {
            v: MESSAGE_VERSION,
            rid: shelf.rid,
            fp: Fingerprint::of(&[b"buy"]),
            wish: Wish::Points(Purchase {
                reward: reward.clone(),
                quantity,
                at: START,
                attributes: Attributes::default(),
                roles: vec![],
                unit_cost: Some(PRICE),
                quote: Some(QuoteTerms { quote, override_reason: Some("goodwill".to_owned()) }),
            }),
            order: None,
            actor: Some("staff:bea".to_owned()),
            deadline: START,
            arrived: None,
        };
        let view = MemberView {
            known: Known::Absent,
            consumed: false,
            member_uses: 0,
            member_days: &[],
            wallet: &shelf.wallet,
            next_ledger_row: u64::try_from(shelf.ledger.len()).unwrap() + 1,
            opened_at: None,
            quote: Some(&offer),
            last_bought_at: None,
            book: None,
            member_id: "ann",
            pid: "p1",
        };
        let codes = PoolAnswer::Prepared { codes: (0..quantity).map(|n| format!("CODE-{n}")).collect() };
        let answers = Answers { shard: None, pool: reward.pool_id.is_some().then_some(&codes) };
        let names = Names { key: &shelf.key, merchant: &shelf.merchant };
        let Ok(DecideStep::Commit(decision)) = decide(&view, &intent, answers, &names, START) else {
            panic!("not bought");
        };
        assert_eq!((decision.quote_confirmed, decision.refusal), (Some(quote), None));
        shelf.write(decision.changes);
        shelf.check();
        shelf
    }

    fn reverses(&mut self, by: &str, give_back: bool) -> Option<Refused> {
        let staff_window_s = by.starts_with("staff:").then_some(WINDOW_S);
        let actor = Actor::named(by);
        self.verdict(|view, names, at| reverse(view, give_back, staff_window_s, (&actor, "a slip"), names, at))
    }

    /// Amounts of the ledger's rows of a kind, in order.
    fn amounts(&self, kind: &str) -> Vec<(&str, i64)> {
        let rows = self.ledger.iter().filter(|row| row.kind == kind);
        rows.map(|row| (row.asset.as_str(), row.amount)).collect()
    }

    /// What was taken for it is returned once and wholly where it is over, and not at all before.
    fn check_refund(&self) {
        self.check();
        let redemption = self.redemption.as_ref().unwrap();
        let mut taken_back: Vec<&str> = self.ledger.iter().filter_map(|row| row.reverses.as_deref()).collect();
        let rows = taken_back.len();
        taken_back.sort_unstable();
        taken_back.dedup();
        assert_eq!(taken_back.len(), rows, "no row is taken back twice");
        let over = matches!(redemption.status, RedemptionStatus::Cancelled | RedemptionStatus::Reversed);
        for line in redemption.ledger.iter().filter(|_| redemption.points_spent.is_some_and(|points| points > 0)) {
            let refund = self.ledger.iter().find(|row| row.reverses.as_ref() == Some(&line.ledger_id));
            assert_eq!(refund.is_some(), over, "{:?}: {redemption:?}", self.ledger);
            let Some(refund) = refund else { continue };
            assert_eq!((refund.kind.as_str(), refund.amount), ("reversal", -self.row(&line.ledger_id).amount));
        }
        assert_eq!(self.quarantined, over);
    }
}

fn external() -> serde_json::Value {
    json!({ "name": "Coffee", "type": "external", "value": {} })
}

#[test]
fn a_reversal_returns_what_was_paid_row_by_row() {
    for (definition, quantity, points, paid) in [
        (external(), 1, 250, vec![-100]),
        (external(), 7, 1_000, vec![-700]),
        (json!({ "name": "V", "type": "external", "value": {}, "pool_id": "p" }), 3, 1_000, vec![-100, -100, -100]),
        // A manager let the rest go: only what was paid comes back.
        (json!({ "name": "V", "type": "external", "value": {}, "pool_id": "p" }), 3, 150, vec![-100, -50, 0]),
        (external(), 1, 30, vec![-30]),
        (external(), 1, 0, vec![0]),
    ] {
        let mut shelf = Shelf::bought(definition, quantity, points);
        let taken: Vec<_> = paid.iter().map(|amount| ("points", *amount)).collect();
        assert_eq!(shelf.amounts("redemption"), taken);
        assert_eq!(shelf.reverses("manager:mo", false), None);
        assert_eq!((shelf.status(), shelf.state()), (RedemptionStatus::Reversed, RewardState::Deleted));
        assert_eq!(shelf.wallet.points, points);
        shelf.check_refund();
        let redemption = shelf.redemption.as_ref().unwrap();
        assert_eq!((redemption.by.as_deref(), redemption.reason.as_deref()), (Some("staff:bea"), Some("a slip")));
        assert_eq!(shelf.reverses("manager:mo", true), Some(Refused::AlreadyReversed));
        shelf.check_refund();
    }
}

#[test]
fn the_use_is_given_back_only_where_that_is_said() {
    for give_back in [true, false] {
        let mut shelf = Shelf::bought(external(), 1, 100);
        assert_eq!(shelf.reverses("manager:mo", give_back), None);
        assert_eq!((shelf.consumed, shelf.quarantined), (!give_back, true));
    }
}

#[test]
fn staff_reverse_their_own_within_the_window() {
    let window_ms = i64::from(WINDOW_S) * 1_000;
    for (by, after_ms, refused) in [
        ("staff:bea", 0, None),
        ("staff:bea", window_ms - 1, None),
        ("staff:bea", window_ms, Some(Refused::ReversalWindowOver)),
        ("staff:al", 0, Some(Refused::NotOwn)),
        ("staff:al", window_ms, Some(Refused::NotOwn)),
        ("manager:mo", window_ms * 100, None),
        ("admin:al", window_ms, None),
    ] {
        let mut shelf = Shelf::bought(external(), 1, 100);
        let answer = shelf.later(after_ms).reverses(by, false);
        assert_eq!(answer, refused, "{by} after {after_ms} ms");
        let status = if refused.is_none() { RedemptionStatus::Reversed } else { RedemptionStatus::Granted };
        assert_eq!((shelf.status(), shelf.wallet.points), (status, if refused.is_none() { 100 } else { 0 }));
        shelf.check_refund();
    }
}

#[test]
fn value_that_is_spent_stops_a_reversal_whole() {
    let credit = json!({ "name": "C", "type": "credit", "value": { "currency": "EUR", "amount_minor": 500 } });
    let mut shelf = Shelf::bought(credit, 1, 250);
    assert!(shelf.adjust(AdjustedAsset::Credit, -200));
    let before = (shelf.wallet.clone(), shelf.ledger.len());
    assert_eq!(shelf.reverses("manager:mo", false), Some(Refused::ValueSpent { short_by: 200 }));
    assert_eq!((shelf.wallet.clone(), shelf.ledger.len()), before);
    assert_eq!(shelf.status(), RedemptionStatus::Granted);
    assert!(shelf.adjust(AdjustedAsset::Credit, 200));
    assert_eq!(shelf.reverses("manager:mo", false), None);
    assert_eq!((shelf.wallet.points, shelf.wallet.credit[0].amount_minor), (250, 0));
    // Whoever bought points with points gets the price back before the points go.
    let points = json!({ "name": "P", "type": "points", "value": { "amount": 400 } });
    for (spent, refused) in [(-100, None), (-101, Some(Refused::ValueSpent { short_by: 1 }))] {
        let mut shelf = Shelf::bought(points.clone(), 1, 100);
        assert!(shelf.adjust(AdjustedAsset::Points, spent));
        assert_eq!(shelf.reverses("manager:mo", false), refused);
        shelf.check_refund();
    }
}

#[test]
fn only_what_is_granted_is_reversed() {
    let mut shelf = Shelf::bought(webhook("bonus"), 1, 100);
    assert_eq!(shelf.status(), RedemptionStatus::Granting);
    for by in ["staff:bea", "manager:mo"] {
        assert_eq!(shelf.reverses(by, false), illegal("granting", &["granted", "cancelled"]));
    }
    assert_eq!(shelf.resolves(Resolution::Cancelled, false), None);
    assert_eq!((shelf.status(), shelf.wallet.points), (RedemptionStatus::Cancelled, 100));
    shelf.check_refund();
    assert_eq!(shelf.reverses("manager:mo", false), illegal("cancelled", &["reset"]));
    shelf.check_refund();
}

#[test]
fn a_purchase_whose_last_reward_is_deleted_unfinished_is_paid_back() {
    let mut shelf = Shelf::bought(webhook("bonus"), 1, 100);
    assert!(shelf.begins());
    assert_eq!(shelf.ends(1, &no()), None);
    assert_eq!(shelf.verdict(|view, names, at| delete(view, 0, &admin(), "gone", names, at)), None);
    assert_eq!((shelf.status(), shelf.wallet.points), (RedemptionStatus::Reversed, 100));
    shelf.check_refund();
    // One that was granted stays so; a reversal returns the price.
    let mut shelf = Shelf::bought(external(), 1, 100);
    assert_eq!(shelf.verdict(|view, names, at| delete(view, 0, &admin(), "gone", names, at)), None);
    assert_eq!((shelf.status(), shelf.wallet.points), (RedemptionStatus::Granted, 0));
    shelf.check_refund();
    assert_eq!(shelf.reverses("manager:mo", false), None);
    assert_eq!(shelf.wallet.points, 100);
    shelf.check_refund();
}

/// One thing that may happen to a purchase.
#[derive(Clone, Debug)]
enum Happening {
    Begin,
    End(u32, Outcome),
    Callback(Outcome),
    Player(PlayerMove),
    Later(i64),
    Spend(i64),
    Retry,
    Resolve(Resolution, bool),
    Delete(usize),
    Reset(bool),
    Reverse(&'static str, bool),
}

fn happenings() -> impl Strategy<Value = Happening> {
    let outcomes = || prop_oneof![Just(granted()), Just(no()), Just(broken(true)), Just(Outcome::Later)];
    prop_oneof![
        Just(Happening::Begin),
        (1u32..4, outcomes()).prop_map(|(attempt, outcome)| Happening::End(attempt, outcome)),
        outcomes().prop_map(Happening::Callback),
        prop_oneof![Just(PlayerMove::Claim), Just(PlayerMove::Activate), Just(PlayerMove::Decline)]
            .prop_map(Happening::Player),
        (1i64..400_000).prop_map(Happening::Later),
        (-500i64..500).prop_map(Happening::Spend),
        Just(Happening::Retry),
        (prop_oneof![Just(Resolution::Granted), Just(Resolution::Cancelled)], any::<bool>())
            .prop_map(|(resolution, unknown)| Happening::Resolve(resolution, unknown)),
        (0usize..3).prop_map(Happening::Delete),
        any::<bool>().prop_map(Happening::Reset),
        (prop_oneof![Just("staff:bea"), Just("staff:al"), Just("manager:mo")], any::<bool>())
            .prop_map(|(by, give_back)| Happening::Reverse(by, give_back)),
    ]
}

proptest! {
    /// Whatever happens to a purchase in whatever order: what was paid comes back once where it is over and never
    /// otherwise, balances are their ledger and never negative, and what is over stays so.
    #[test]
    fn any_purchase(
        kind in 0usize..6, quantity in 1u32..4, points in 0u64..400,
        life in proptest::collection::vec(happenings(), 1..30),
    ) {
        let definition = match kind {
            0 => external(),
            1 => json!({ "name": "P", "type": "points", "value": { "amount": 70 } }),
            2 => json!({ "name": "V", "type": "external", "value": {}, "pool_id": "p" }),
            3 => json!({ "name": "B", "type": "token_booster", "value": { "multiplier_permille": 2000 }, "duration_s": 60 }),
            4 => json!({ "name": "X", "type": "credit", "value": { "currency": "EUR", "amount_minor": 5 }, "player_should_claim": true }),
            _ => webhook("bonus"),
        };
        let mut shelf = Shelf::bought(definition, quantity, points);
        shelf.check_refund();
        for happening in life {
            let over = matches!(shelf.status(), RedemptionStatus::Cancelled | RedemptionStatus::Reversed);
            let before = shelf.status();
            match happening {
                Happening::Begin => { shelf.begins(); }
                Happening::End(attempt, outcome) => { shelf.ends(attempt, &outcome); }
                Happening::Callback(outcome) => {
                    shelf.verdict(|view, names, at| callback(view, 0, ("msg", &outcome), 7, names, at));
                }
                Happening::Player(wanted) => { shelf.player(wanted); }
                Happening::Later(ms) => { shelf.later(ms); }
                Happening::Spend(amount) => { let _ = amount != 0 && shelf.adjust(AdjustedAsset::Points, amount); }
                Happening::Retry => {
                    shelf.verdict(|view, names, at| retry(view, &admin(), None, names, at));
                }
                Happening::Resolve(resolution, unknown) => { shelf.resolves(resolution, unknown); }
                Happening::Delete(index) => {
                    shelf.verdict(|view, names, at| delete(view, index, &admin(), "r", names, at));
                }
                Happening::Reset(tester) => {
                    shelf.verdict(|view, names, at| reset(view, tester, (&admin(), "r"), names, at));
                }
                Happening::Reverse(by, give_back) => { shelf.reverses(by, give_back); }
            }
            shelf.check_refund();
            prop_assert!(!over || shelf.status() == before, "{:?} became {:?}", before, shelf.status());
        }
    }
}
