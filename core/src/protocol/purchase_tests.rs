//! Table tests: what a purchase, a code that pays with promo codes, and a gift of them write.

use super::*;
use crate::ids::{Fingerprint, IdKey, Rid};
use crate::keys::MerchantId;
use crate::protocol::member::{Answers, DecideStep, Decision, Known, MemberView, Settlement, decide, pool_needed};
use crate::protocol::pool::PoolAnswer;
use crate::protocol::{GiftWish, Intent, MESSAGE_VERSION, Wish};
use crate::time::Instant;
use crate::token::Attributes;
use crate::wallet::Names;
use crate::wire::{NewRewardDefinition, RedemptionKind, RedemptionStatus, RewardDefinition, RewardSource, Wallet};

const NOW: Instant = Instant(1_800_000_000_000);

struct Bench {
    key: IdKey,
    merchant: MerchantId,
    wallet: Wallet,
}

impl Bench {
    fn with(points: u64) -> Self {
        let (key, merchant) = (IdKey::new(vec![7; 32]).unwrap(), MerchantId::new("acme").unwrap());
        Self { key, merchant, wallet: Wallet { points, ..Wallet::default() } }
    }

    fn intent(&self, wish: Wish) -> Intent {
        let rid = Rid::derive(&self.key.mref(&self.merchant, "ann"), "member", "ann", "POST /v1/redemptions", "k");
        let fp = Fingerprint::of(&[b"command"]);
        Intent { v: MESSAGE_VERSION, rid, fp, wish, order: None, actor: None, arrived: None, deadline: NOW }
    }

    fn ask<T>(&self, ask: impl FnOnce(&MemberView<'_>, &Names<'_>) -> T) -> T {
        let view = MemberView {
            known: Known::Absent,
            consumed: false,
            member_uses: 0,
            member_days: &[],
            wallet: &self.wallet,
            next_ledger_row: 1,
            opened_at: None,
            quote: None,
            last_bought_at: None,
            book: None,
            member_id: "ann",
            pid: "p1",
        };
        ask(&view, &Names { key: &self.key, merchant: &self.merchant })
    }

    fn decide(&self, wish: Wish, pool: Option<&PoolAnswer>) -> DecideStep {
        let intent = self.intent(wish);
        self.ask(|view, names| decide(view, &intent, Answers { shard: None, pool }, names, NOW).unwrap())
    }

    fn commit(&self, wish: Wish, pool: Option<&PoolAnswer>) -> Decision {
        match self.decide(wish, pool) {
            DecideStep::Commit(decision) => *decision,
            step @ (DecideStep::Replay | DecideStep::Abort | DecideStep::Retry) => panic!("{step:?}"),
        }
    }
}

fn reward(more: &str) -> RewardDefinition {
    let text = format!(r#"{{"name":"Mug","type":"external","value":{{}}{more}}}"#);
    crate::wire::parse::<NewRewardDefinition>(text.as_bytes()).unwrap().define("mug").unwrap()
}

fn points(reward: RewardDefinition, quantity: u32) -> Wish {
    let unit_cost = crate::price::unit_cost(&reward, &Attributes::default());
    Wish::Points(Purchase {
        reward,
        quantity,
        at: NOW,
        attributes: Attributes::default(),
        roles: vec![],
        unit_cost,
        quote: None,
    })
}

fn codes(count: usize) -> PoolAnswer {
    PoolAnswer::Prepared { codes: (0..count).map(|n| format!("CODE-{n}")).collect() }
}

/// Asset, amount, balance after, quantity, promo code and kind of a ledger row.
type Row = (String, i64, u64, Option<u32>, Option<String>, String);

fn rows(decision: &Decision) -> Vec<Row> {
    let row = |row: &crate::wire::LedgerRow| {
        let promo_code = row.promo_code.clone();
        (row.asset.clone(), row.amount, row.balance_after, row.quantity, promo_code, row.kind.clone())
    };
    decision.changes.ledger.iter().map(row).collect()
}

fn expected(asset: &str, amount: i64, after: u64, quantity: u32, promo_code: Option<&str>, kind: &str) -> Row {
    (asset.to_owned(), amount, after, Some(quantity), promo_code.map(str::to_owned), kind.to_owned())
}

#[test]
fn without_a_pool_one_row_of_the_whole_quantity() {
    let bench = Bench::with(1_000);
    for (more, promo_code) in
        [(r#","points_cost":300"#, None), (r#","points_cost":300,"promo_code":"SUMMER""#, Some("SUMMER"))]
    {
        let decision = bench.commit(points(reward(more), 3), None);
        assert_eq!(rows(&decision), [expected("points", -900, 100, 3, promo_code, "redemption")]);
        let redemption = decision.changes.redemption.unwrap();
        assert_eq!((redemption.kind, redemption.status), (RedemptionKind::Points, RedemptionStatus::Granted));
        assert_eq!((redemption.points_spent, redemption.goodwill_points, redemption.quantity), (Some(900), None, 3));
        assert_eq!((redemption.ledger.len(), redemption.ledger[0].quantity), (1, 3));
        assert_eq!(redemption.ledger[0].promo_code.as_deref(), promo_code);
        assert_eq!(decision.changes.rewards.len(), 1);
        assert_eq!(decision.changes.rewards[0].reward.quantity, 3);
        assert_eq!(decision.changes.wallet.unwrap().points, 100);
    }
}

#[test]
fn with_a_pool_one_row_and_one_event_for_each_code() {
    let bench = Bench::with(1_000);
    let pooled = || points(reward(r#","points_cost":300,"pool_id":"p""#), 3);
    let decision = bench.commit(pooled(), Some(&codes(3)));
    let row = |n: i64, after| expected("points", -300, after, 1, Some(&format!("CODE-{n}")), "redemption");
    assert_eq!(rows(&decision), [row(0, 700), row(1, 400), row(2, 100)]);
    let told: Vec<&str> = decision.changes.events.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(told.iter().filter(|kind| **kind == "pool.assigned").count(), 3);
    let redemption = decision.changes.redemption.unwrap();
    assert_eq!((redemption.ledger.len(), redemption.points_spent), (3, Some(900)));
    let assigned = decision.changes.events.iter().find(|(kind, _)| *kind == "pool.assigned").unwrap();
    assert_eq!(assigned.1["promo_code"], "CODE-0");
    assert_eq!(assigned.1["ledger_id"], redemption.ledger[0].ledger_id);
    assert_eq!(decision.settlement, Settlement::Settle);
}

#[test]
fn what_the_wallet_gives_is_a_row_beside_the_receipt() {
    let bench = Bench::with(500);
    let text = r#"{"name":"5 €","type":"credit","value":{"currency":"EUR","amount_minor":500},"points_cost":200}"#;
    let credit = crate::wire::parse::<NewRewardDefinition>(text.as_bytes()).unwrap().define("credit").unwrap();
    let decision = bench.commit(points(credit, 2), None);
    let (paid, given) =
        (expected("points", -400, 100, 2, None, "redemption"), expected("credit", 1_000, 1_000, 2, None, "reward"));
    assert_eq!(rows(&decision), [paid, given]);
    assert_eq!(decision.changes.redemption.unwrap().ledger.len(), 1);
}

#[test]
fn nothing_is_taken_where_codes_are_short_or_the_pool_has_not_answered() {
    let bench = Bench::with(1_000);
    let pooled = || points(reward(r#","points_cost":10,"pool_id":"p""#), 10);
    let decision = bench.commit(pooled(), Some(&PoolAnswer::Refused { available: 7 }));
    let refusal = decision.refusal.clone().unwrap();
    assert_eq!(refusal, Refusal::InsufficientCodes { available: 7, requested: 10 });
    assert_eq!((decision.changes.wallet.is_none(), decision.changes.ledger.len()), (true, 0));
    assert_eq!(decision.changes.redemption.unwrap().status, RedemptionStatus::Refused);
    for pool in [None, Some(PoolAnswer::Late), Some(codes(9)), Some(codes(11))] {
        assert_eq!(bench.decide(pooled(), pool.as_ref()), DecideStep::Retry, "{pool:?}");
    }
}

#[test]
fn a_balance_that_went_meanwhile_aborts_what_the_pool_keeps() {
    let bench = Bench::with(9);
    let decision = bench.commit(points(reward(r#","points_cost":10,"pool_id":"p""#), 1), Some(&codes(1)));
    assert_eq!(decision.refusal, Some(Refusal::InsufficientPoints { points_needed: 1, quote_id: None }));
    assert_eq!(decision.settlement, Settlement::Abort);
}

#[test]
fn the_pool_is_asked_last() {
    let pooled = reward(r#","points_cost":10,"pool_id":"p""#);
    for (points_had, wish, needed) in [
        (10, points(pooled.clone(), 1), Some(("p".to_owned(), 1))),
        (100, points(pooled.clone(), 7), Some(("p".to_owned(), 7))),
        (9, points(pooled.clone(), 1), None),
        (10, points(reward(r#","points_cost":10"#), 1), None),
        (10, points(reward(r#","pool_id":"p""#), 1), None),
        (0, gift(pooled), Some(("p".to_owned(), 1))),
    ] {
        let bench = Bench::with(points_had);
        let intent = bench.intent(wish);
        let found = bench.ask(|view, _| pool_needed(view, &intent, None, NOW).map(|(id, n)| (id.to_owned(), n)));
        assert_eq!(found, needed, "{points_had} points");
    }
}

fn gift(reward: RewardDefinition) -> Wish {
    Wish::Gift(GiftWish { reward, source: RewardSource::Mission, reference: None, reason: "won".to_owned() })
}

#[test]
fn a_gift_of_promo_codes_costs_nothing() {
    let bench = Bench::with(5);
    let decision = bench.commit(gift(reward(r#","pool_id":"p""#)), Some(&codes(1)));
    assert_eq!(rows(&decision), [expected("reward", 0, 0, 1, Some("CODE-0"), "redemption")]);
    let redemption = decision.changes.redemption.unwrap();
    assert_eq!((redemption.kind, redemption.points_spent), (RedemptionKind::Gift, None));
    assert_eq!(redemption.reason.as_deref(), Some("won"));
}
