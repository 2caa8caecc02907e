//! Tables over what a book allows, and properties over random lives of orders.

use super::*;
use crate::calendar::Day;
use crate::ids::{Fingerprint, IdKey, Mref};
use crate::keys::MerchantId;
use crate::protocol::member::{Answers, DecideStep, Known, decide};
use crate::protocol::{CodeWish, PrepareAnswer, Wish};
use crate::reward::{Actor, View};
use crate::rules::Facts;
use crate::wire::{Mechanic, Method, Wallet};
use proptest::prelude::*;

const NOW: Instant = Instant(1_800_000_000_000);

fn rid(n: u8) -> Rid {
    Rid::random(&Mref::from_bytes(&[1; 16]).unwrap(), [n; 10])
}

fn euro(amount_minor: u64) -> Credit {
    Credit { currency: "EUR".to_owned(), amount_minor }
}

fn hold_of(n: u8, worth: Worth) -> Hold {
    let source = Source::Wallet { ledger_id: format!("le_{n}") };
    Hold::new(rid(n), "o1".to_owned(), source, worth, ends_at(NOW))
}

fn book(total: u64, holds: &[Worth]) -> Book {
    let mut book = Book::default();
    for (n, worth) in holds.iter().enumerate() {
        book.place(hold_of(u8::try_from(n).unwrap(), worth.clone()), &euro(total), NOW);
    }
    book
}

#[track_caller]
fn check(total: u64, holds: &[Worth], applied: &[u64], remaining: u64) {
    let book = book(total, holds);
    let found: Vec<u64> = book.holds.iter().map(|hold| hold.applied_minor).collect();
    assert_eq!((found.as_slice(), book.order.unwrap().remaining_minor), (applied, remaining));
}

#[test]
fn the_discount_comes_first_and_credit_pays_the_rest() {
    use Worth::{Credit as Paid, Off, Share};
    check(10_000, &[Share(10)], &[1_000], 9_000);
    check(999, &[Share(10)], &[99], 900);
    check(10_000, &[Off(euro(500))], &[500], 9_500);
    check(300, &[Off(euro(500))], &[300], 0);
    check(10_000, &[Paid(euro(500)), Paid(euro(700))], &[500, 700], 8_800);
    // Held before the discount, credit pays what the discount leaves.
    check(10_000, &[Paid(euro(9_500)), Share(10)], &[9_000, 1_000], 0);
    check(1_000, &[Share(100), Paid(euro(500))], &[1_000, 0], 0);
    check(1_000, &[Paid(euro(800)), Paid(euro(800))], &[800, 200], 0);
    check(0, &[Share(10), Paid(euro(1))], &[0, 0], 0);
    check(INTEGER_MAX, &[Share(99), Paid(euro(INTEGER_MAX))], &[INTEGER_MAX / 100 * 99 + 90, INTEGER_MAX / 100 + 1], 0);
}

#[test]
fn worth_of_rewards() {
    let percent = |percent| RewardValue::Percent { percent };
    let money = |amount_minor| RewardValue::Credit { currency: "EUR".to_owned(), amount_minor };
    let amount = RewardValue::Amount { amount: 1 };
    for (kind, value, quantity, expected) in [
        (RewardType::Discount, percent(15), 1, Some(Worth::Share(15))),
        (RewardType::Discount, percent(15), 3, Some(Worth::Share(45))),
        (RewardType::Discount, percent(15), 100, Some(Worth::Share(100))),
        (RewardType::Discount, money(250), 2, Some(Worth::Off(euro(500)))),
        (RewardType::Credit, money(250), 2, Some(Worth::Credit(euro(500)))),
        (RewardType::Credit, money(INTEGER_MAX), 2, Some(Worth::Credit(euro(INTEGER_MAX)))),
        (RewardType::Points, amount.clone(), 1, None),
        (RewardType::External, RewardValue::Reference { reference: None }, 1, None),
    ] {
        let mut reward = definition(kind, value);
        assert_eq!(Worth::of(&reward, quantity), expected, "{kind:?}");
        reward.mechanic = Mechanic::Webhook { endpoint_id: "e".to_owned() };
        assert_eq!(Worth::of(&reward, quantity), None);
    }
}

fn definition(kind: RewardType, value: RewardValue) -> RewardDefinition {
    RewardDefinition {
        reward_id: "r".to_owned(),
        name: "R".to_owned(),
        kind,
        value,
        player_should_claim: false,
        automatic_activation: false,
        valid_for_s: None,
        duration_s: None,
        attempts_max: 10,
        fulfilment_timeout_s: 86_400,
        mechanic: Mechanic::Wallet {},
        points_cost: None,
        prices: None,
        pool_id: None,
        promo_code: None,
        eligibility: None,
        version: 1,
    }
}

#[test]
fn what_an_order_takes() {
    let (share, paid) = (Worth::Share(10), Worth::Credit(euro(5)));
    let with_both = book(1_000, &[share.clone(), paid.clone()]);
    let full = book(1_000, &vec![paid.clone(); HOLDS_PER_ORDER_MAX]);
    let mut placed = with_both.clone();
    assert!(matches!(placed.commit(None, NOW), CommitStep::Use(used) if used.len() == 2));
    let dollars = Credit { currency: "USD".to_owned(), amount_minor: 1 };
    let later = NOW.plus_ms(HOLD_MS);
    let other = Unfit::OtherCurrency { currency: "EUR".to_owned() };
    for (book, total, worth, moving, now, expected) in [
        (&Book::default(), &euro(1), Some(&share), None, NOW, Ok(())),
        (&with_both, &euro(1), Some(&paid), None, NOW, Ok(())),
        (&with_both, &euro(1), Some(&share), None, NOW, Err(Unfit::SecondDiscount)),
        // Nobody knows yet what the code gives.
        (&with_both, &euro(1), None, None, NOW, Ok(())),
        // The same hold again is no second one.
        (&with_both, &euro(1), Some(&share), Some(rid(0)), NOW, Ok(())),
        (&with_both, &dollars, Some(&paid), None, NOW, Err(other.clone())),
        (&with_both, &dollars, Some(&share), Some(rid(0)), NOW, Err(other)),
        (&book(1, &[Worth::Share(1)]), &dollars, Some(&share), Some(rid(0)), NOW, Ok(())),
        // By the clock, nothing is held any more.
        (&with_both, &dollars, Some(&share), None, later, Ok(())),
        (&full, &euro(1), Some(&share), None, NOW, Err(Unfit::Full)),
        (&full, &euro(1), Some(&paid), Some(rid(0)), NOW, Ok(())),
        (&placed, &euro(1), Some(&paid), None, NOW, Err(Unfit::Committed)),
    ] {
        assert_eq!(book.fits(total, worth, moving.as_ref(), now), expected);
    }
}

#[test]
fn placing_an_order_uses_all_or_nothing() {
    let before = book(1_000, &[Worth::Share(10), Worth::Credit(euro(2_000))]);
    let mut book = before.clone();
    let dollars = Credit { currency: "USD".to_owned(), amount_minor: 1 };
    assert_eq!(book.commit(Some(&dollars), NOW), CommitStep::OtherCurrency { currency: "EUR".to_owned() });
    assert_eq!(book, before);
    // The last moment is still in time; the next is not, and changes nothing.
    let end = ends_at(NOW);
    assert_eq!(book.commit(None, end), CommitStep::Over);
    assert_eq!(book, before);
    let CommitStep::Use(used) = book.commit(Some(&euro(500)), end.plus_ms(-1)) else { panic!("not used") };
    assert_eq!(used.iter().map(|hold| hold.applied_minor).collect::<Vec<_>>(), [50, 450]);
    assert!(used.iter().all(|hold| hold.state == HoldState::Used));
    let after = book.clone();
    assert_eq!(book.commit(Some(&euro(1)), end), CommitStep::Repeat);
    assert_eq!(book, after);
    assert_eq!(book.since(&before).holds, used);
    assert_eq!(Book::default().commit(None, NOW), CommitStep::Nothing);
}

#[test]
fn an_end_by_the_clock_is_not_passed_over() {
    let mut book = book(1_000, &[Worth::Share(10), Worth::Credit(euro(200))]);
    let before = book.clone();
    // The clock takes the discount only.
    book.holds[0].expires_at = NOW;
    assert_eq!(book.commit(None, NOW), CommitStep::Over);
    assert!(book.end(&rid(0), HoldState::Expired, NOW).is_some());
    assert_eq!(book.end(&rid(0), HoldState::Expired, NOW), None);
    assert_eq!(book.holds.iter().map(|hold| hold.applied_minor).collect::<Vec<_>>(), [0, 200]);
    assert_eq!(book.commit(None, NOW), CommitStep::Over, "whoever commits must learn of it");
    assert!(book.holds[0].is_current());
    book.notice();
    assert!(!book.holds[0].is_current());
    assert!(matches!(book.commit(None, NOW), CommitStep::Use(used) if used.len() == 1));
    assert_eq!(book.since(&before).holds.len(), 2);
}

#[test]
fn credit_is_taken_used_and_given_back_to_the_unit() {
    let key = IdKey::new(vec![7; 32]).unwrap();
    let merchant = MerchantId::new("acme").unwrap();
    let names = Names { key: &key, merchant: &merchant };
    let actor = Actor::system();
    let wallet = Wallet { credit: vec![euro(700)], ..Wallet::default() };
    let mref = rid(0).mref();
    let purse = |wallet| Purse { mref, wallet, next_ledger_row: 5, actor: &actor, names, at: NOW };
    assert_eq!(take_credit(&purse(&wallet), "o1", &euro(701)).unwrap_err().short_by, 1);
    let (taken, ledger_id) = take_credit(&purse(&wallet), "o1", &euro(500)).unwrap();
    let held = taken.wallet.unwrap();
    assert_eq!(held.credit, [euro(200)]);
    let row = &taken.ledger[0];
    assert_eq!((row.kind.as_str(), row.amount, row.balance_after), ("hold", -500, 200));
    assert_eq!((row.order.as_deref(), &row.redemption_id, row.quantity), (Some("o1"), &None, None));
    let mut hold = hold_of(0, Worth::Credit(euro(500)));
    hold.applied_minor = 180;
    for (applied, back) in [(180, Some(320)), (500, None), (0, Some(500))] {
        hold.applied_minor = applied;
        let used = use_credit(&purse(&held), &hold, &euro(500), &ledger_id).unwrap();
        assert!(used.audit.is_some());
        let rows: Vec<_> = used.ledger.iter().map(|row| (row.kind.as_str(), row.amount)).collect();
        assert_eq!(rows, back.map(|amount| ("release", amount)).into_iter().collect::<Vec<_>>());
        assert!(used.ledger.iter().all(|row| row.reverses.as_ref() == Some(&ledger_id)));
    }
    let back = let_go_credit(&purse(&held), &hold, &euro(500), &ledger_id).unwrap();
    assert_eq!(back.wallet, Some(wallet));
}

/// A member called ann, with a key to name things.
struct Ann {
    key: IdKey,
    merchant: MerchantId,
    wallet: Wallet,
}

impl Ann {
    fn new() -> Self {
        let wallet = Wallet { credit: vec![euro(100)], ..Wallet::default() };
        Self { key: IdKey::new(vec![7; 32]).unwrap(), merchant: MerchantId::new("acme").unwrap(), wallet }
    }

    fn names(&self) -> Names<'_> {
        Names { key: &self.key, merchant: &self.merchant }
    }

    fn intent(&self, total: u64) -> Intent {
        let checkout =
            Checkout { order: "o1".to_owned(), currency: "EUR".to_owned(), total_minor: total, until: ends_at(NOW) };
        let facts = Facts {
            at: NOW,
            seq: 3,
            epoch: 0,
            profile: crate::code::Profile::S20,
            epoch_revoked: false,
            method: Method::Frontend,
            currency: Some("EUR".to_owned()),
            attributes: crate::token::Attributes::default(),
            roles: vec![],
            member_uses: 0,
            member_days: vec![],
            alias: None,
        };
        Intent {
            v: crate::protocol::MESSAGE_VERSION,
            rid: rid(9),
            fp: Fingerprint::of(&[b"hold"]),
            wish: Wish::Code(CodeWish { campaign: 7, shard: 0, facts, checkout: Some(checkout) }),
            order: Some("o1".to_owned()),
            actor: None,
            arrived: None,
            deadline: NOW,
        }
    }

    fn decide(&self, book: &Book, reward: RewardDefinition, now: Instant) -> Decision {
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
            book: Some(book),
            member_id: "ann",
            pid: "p1",
        };
        let answer = PrepareAnswer::Prepared(promised(reward));
        let answers = Answers { shard: Some(&answer), pool: None };
        let step = decide(&view, &self.intent(1_000), answers, &self.names(), now).unwrap();
        let DecideStep::Commit(decision) = step else { panic!("{step:?}") };
        *decision
    }

    fn with_view<T>(&self, redemption: &Redemption, work: impl FnOnce(&View<'_>) -> T) -> T {
        work(&View {
            redemption,
            rid: rid(9),
            rewards: &[],
            wallet: &self.wallet,
            next_ledger_row: 1,
            paid: &[],
            features_elsewhere: &[],
            consumed: true,
            member_id: "ann",
            pid: "p1",
        })
    }
}

fn credit() -> RewardDefinition {
    definition(RewardType::Credit, RewardValue::Credit { currency: "EUR".to_owned(), amount_minor: 500 })
}

fn tenth_off() -> RewardDefinition {
    definition(RewardType::Discount, RewardValue::Percent { percent: 10 })
}

#[test]
fn a_code_is_held_without_giving_anything() {
    let ann = Ann::new();
    let decision = ann.decide(&Book::default(), tenth_off(), NOW);
    let redemption = decision.changes.redemption.unwrap();
    assert_eq!((redemption.status, redemption.order.as_deref()), (RedemptionStatus::Held, Some("o1")));
    assert!(redemption.rewards.is_empty() && redemption.ledger.is_empty() && decision.changes.ledger.is_empty());
    assert_eq!((decision.consumes, decision.settlement), (Some(Day(0)), Settlement::None));
    assert_eq!(decision.hold.unwrap().expires_at, ends_at(NOW));
}

#[test]
fn an_order_that_does_not_take_a_code_gives_its_use_back() {
    let ann = Ann::new();
    let one = book(1_000, &[Worth::Share(5)]);
    let twin = Book { twin_until: Some(Instant(9)), ..Book::default() };
    let points = definition(RewardType::Points, RewardValue::Amount { amount: 1 });
    let outside = RewardDefinition { mechanic: Mechanic::Webhook { endpoint_id: "e".to_owned() }, ..tenth_off() };
    for (book, reward, now, code) in [
        (&one, tenth_off(), NOW, "already_exists"),
        (&twin, tenth_off(), NOW, "code_held"),
        (&Book::default(), points, NOW, "redemption_method_not_allowed"),
        (&Book::default(), outside, NOW, "redemption_method_not_allowed"),
        // Decided so late that its fifteen minutes are over.
        (&Book::default(), tenth_off(), ends_at(NOW), "hold_expired"),
    ] {
        let decision = ann.decide(book, reward, now);
        assert_eq!(decision.refusal.unwrap().code(), code);
        assert_eq!((decision.settlement, decision.consumes), (Settlement::Abort, None));
        assert!(decision.hold.is_none() && decision.changes.ledger.is_empty() && decision.changes.wallet.is_none());
    }
    // Credit goes beside a discount.
    assert!(ann.decide(&one, credit(), NOW).hold.is_some());
}

#[test]
fn placing_the_order_grants_what_was_held() {
    let ann = Ann::new();
    let actor = Actor::named("service:shop");
    for (reward, applied, rows, balance) in [
        (tenth_off(), 100, vec![("redemption", "reward", 0)], 100),
        (credit(), 500, vec![("redemption", "credit", 500), ("order", "credit", -500)], 100),
        (credit(), 120, vec![("redemption", "credit", 500), ("order", "credit", -120)], 480),
        // The discount pays all of it: the credit is the member's.
        (credit(), 0, vec![("redemption", "credit", 500)], 600),
    ] {
        let decision = ann.decide(&Book::default(), reward.clone(), NOW);
        let held = decision.changes.redemption.unwrap();
        let hold = Hold { applied_minor: applied, ..*decision.hold.unwrap() };
        let used = ann.with_view(&held, |view| use_code(view, &hold, (&reward, 1), &actor, &ann.names(), NOW)).unwrap();
        let redemption = used.redemption.unwrap();
        assert_eq!(redemption.status, RedemptionStatus::Granted);
        assert_eq!((redemption.rewards.len(), redemption.ledger.len()), (1, 1));
        assert_eq!(used.rewards[0].state(), crate::wire::RewardState::Granted);
        let found: Vec<_> = used.ledger.iter().map(|row| (row.kind.as_str(), row.asset.as_str(), row.amount)).collect();
        assert_eq!(found, rows);
        assert!(used.ledger.iter().all(|row| row.order.as_deref() == Some("o1")));
        let after = used.wallet.as_ref().unwrap_or(&ann.wallet);
        assert_eq!(after.credit, [euro(balance)]);
        assert!(!used.give_back);
    }
}

#[test]
fn letting_a_code_go_cancels_its_redemption() {
    let ann = Ann::new();
    let decision = ann.decide(&Book::default(), credit(), NOW);
    let held = decision.changes.redemption.unwrap();
    let hold = Hold { state: HoldState::Expired, ..*decision.hold.unwrap() };
    let gone = ann.with_view(&held, |view| let_go_code(view, &hold, &Actor::system(), &ann.names(), NOW));
    assert_eq!(gone.redemption.unwrap().status, RedemptionStatus::Cancelled);
    assert!(gone.give_back && gone.ledger.is_empty() && gone.rewards.is_empty() && gone.wallet.is_none());
    assert_eq!(gone.audit.unwrap().action, "redemption.cancelled");
}

/// What may happen to an order.
#[derive(Clone, Debug)]
enum Happening {
    Place(u8, Worth, u64),
    End(u8, HoldState),
    Wait(i64),
    Commit(Option<u64>),
}

fn happening() -> impl Strategy<Value = Happening> {
    let worth = prop_oneof![
        (1_u32..=100).prop_map(Worth::Share),
        (1_u64..5_000).prop_map(|amount| Worth::Off(euro(amount))),
        (1_u64..5_000).prop_map(|amount| Worth::Credit(euro(amount))),
    ];
    prop_oneof![
        4 => (0_u8..8, worth, 0_u64..10_000).prop_map(|(n, worth, total)| Happening::Place(n, worth, total)),
        2 => (0_u8..8, 2_usize..4).prop_map(|(n, state)| Happening::End(n, HoldState::ALL[state])),
        1 => (1_i64..HOLD_MS).prop_map(Happening::Wait),
        1 => prop::option::of(0_u64..10_000).prop_map(Happening::Commit),
    ]
}

proptest! {
    #[test]
    fn an_order_is_never_paid_twice(happenings in prop::collection::vec(happening(), 1..60)) {
        let mut book = Book::default();
        let mut now = NOW;
        for happening in happenings {
            let before = book.clone();
            match happening {
                Happening::Place(n, worth, total) => {
                    let mut hold = hold_of(n, worth);
                    hold.expires_at = ends_at(now);
                    let known = book.holds.iter().any(|known| known.rid == hold.rid && known.state != HoldState::Held);
                    if !known && book.fits(&euro(total), Some(&hold.worth), Some(&hold.rid), now).is_ok() {
                        book.place(hold, &euro(total), now);
                    }
                }
                Happening::End(n, state) => drop(book.end(&rid(n), state, now)),
                Happening::Wait(ms) => now = now.plus_ms(ms),
                Happening::Commit(total) => {
                    let total = total.map(euro);
                    match book.commit(total.as_ref(), now) {
                        CommitStep::Use(used) => {
                            prop_assert!(used.iter().all(|hold| hold.expires_at > now));
                            prop_assert!(book.holds.iter().all(|hold| hold.state != HoldState::Held));
                        }
                        CommitStep::Repeat | CommitStep::Nothing | CommitStep::Over | CommitStep::OtherCurrency { .. } => {
                            prop_assert_eq!(&book, &before);
                        }
                    }
                }
            }
            let live: Vec<&Hold> =
                book.holds.iter().filter(|hold| hold.is_live(now) || hold.state == HoldState::Used).collect();
            prop_assert!(live.iter().filter(|hold| hold.worth.is_discount()).count() <= 1);
            for hold in &book.holds {
                let most = match &hold.worth {
                    Worth::Share(_) => u64::MAX,
                    Worth::Off(money) | Worth::Credit(money) => money.amount_minor,
                };
                prop_assert!(hold.applied_minor <= most);
            }
            // What was placed stays as it was placed.
            if before.is_committed() {
                prop_assert_eq!(&book, &before);
            }
            // Nothing but the clock makes a book out of date.
            if let Some(order) = book.order.clone().filter(|_| book.holds.iter().all(|hold| !hold.is_over(now))) {
                let applied: u64 = live.iter().map(|hold| hold.applied_minor).sum();
                prop_assert_eq!(order.total.amount_minor, applied + order.remaining_minor);
            }
        }
    }
}

/// A shard's promise without limits.
fn promised(reward: RewardDefinition) -> Prepared {
    let (per_member, member_windows, day) = (None, vec![], Day(0));
    Prepared { reward, quantity: 1, per_member, member_windows, day, batch_id: None, reference: None }
}
