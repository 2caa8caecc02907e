use super::*;
use proptest::prelude::*;

#[test]
fn meters_are_named() {
    for meter in [
        Meter::Total,
        Meter::Budget,
        Meter::Window(WindowKind::Week, Day(20_779)),
        Meter::Window(WindowKind::Day, Day(-3)),
    ] {
        assert_eq!(Meter::named(&meter.name()), Some(meter));
    }
    for name in ["", "tota", "total:1", "year:3", "day:", "day:x"] {
        assert_eq!(Meter::named(name), None, "{name}");
    }
}

const fn ask(amount: u64, portion: Portion) -> Ask {
    Ask { need: Need { meter: Meter::Total, limit: 0, amount }, waiting: amount, portion }
}

#[test]
fn portions_shrink_towards_the_end() {
    let fresh = Portion::default();
    for (limit, out, shards, amount, expected) in [
        (1_000, 0, 5, 1, Allotment::Given(100)),
        (1_000, 995, 5, 1, Allotment::Given(1)),
        (1_000, 999, 5, 1, Allotment::Given(1)),
        (1_000, 1_000, 5, 1, Allotment::Recall),
        (1, 0, 5, 1, Allotment::Given(1)),
        (1_000, 0, 5, 700, Allotment::Given(700)),
        (1_000, 400, 5, 700, Allotment::Recall),
        (10, 20, 5, 1, Allotment::Recall),
        (u64::MAX, 0, 1, 1, Allotment::Given(PORTION_MAX)),
    ] {
        assert_eq!(allot(limit, Lot::default(), out, shards, &ask(amount, fresh)), expected, "{limit} {out}");
    }
}

#[test]
fn who_wait_for_one_shard_get_a_fair_part_together() {
    for (limit, waiting, expected) in [(1_000, 500, 200), (1_000, 150, 150), (1_000, 3, 100), (40, 30, 8), (4, 30, 1)] {
        let asked = Ask { waiting, ..ask(1, Portion::default()) };
        assert_eq!(allot(limit, Lot::default(), 0, 5, &asked), Allotment::Given(expected), "{limit} {waiting}");
    }
}

#[test]
fn a_lost_answer_is_said_again() {
    let mine = Lot { given: 40, ..Lot::default() };
    assert_eq!(allot(100, mine, 100, 2, &ask(1, Portion::default())), Allotment::Given(40));
    // Unless the limit was lowered meanwhile.
    assert_eq!(allot(90, mine, 100, 2, &ask(1, Portion::default())), Allotment::Recall);
}

/// A shard and the messages that are on their way between it and its Campaign.
#[derive(Clone, Default)]
struct Shard {
    portion: Portion,
    to_campaign: Vec<Portion>,
    to_shard: Vec<u64>,
}

proptest! {
    /// Whatever is lost, doubled or late, no more is taken than the limit allows, or was taken before it was set; and when
    /// everything has come home, what is left can be taken to the last unit.
    #[test]
    fn never_more_than_the_limit(limit in 0u64..60, bases in prop::array::uniform3(0u64..15), steps in prop::collection::vec((0usize..3, 0u8..6, 1u64..4, any::<prop::sample::Index>()), 0..200)) {
        let mut shards = bases.map(|base| Shard { portion: Portion::default().counted(base), ..Shard::default() });
        let mut lots = [Lot::default(); 3];
        let mut told = [false; 3];
        let most = limit.max(bases.iter().sum());
        for (at, step, amount, pick) in steps {
            let out: u64 = lots.iter().map(Lot::out).sum();
            let shard = &mut shards[at];
            match step {
                0 => {
                    lots[at] = lots[at].hear(&shard.portion);
                    told[at] = true;
                    let out: u64 = lots.iter().map(Lot::out).sum();
                    let allotted = allot(limit, lots[at], out, 3, &ask(amount, shard.portion));
                    if let (Allotment::Given(given), [true, true, true]) = (allotted, told) {
                        lots[at].given = given;
                        shard.to_shard.push(given);
                    }
                }
                1 => if let Some(spent) = shard.portion.spend(amount) { shard.portion = spent },
                2 => {
                    shard.portion = shard.portion.refund(amount.min(shard.portion.taken()));
                }
                3 => {
                    shard.portion = shard.portion.hand_back(0);
                    shard.to_campaign.push(shard.portion);
                }
                4 if !shard.to_shard.is_empty() => shard.portion = shard.portion.hear(*pick.get(&shard.to_shard)),
                5 if !shard.to_campaign.is_empty() => {
                    lots[at] = lots[at].hear(pick.get(&shard.to_campaign));
                    told[at] = true;
                }
                _ => {}
            }
            let taken: u64 = shards.iter().map(|shard| shard.portion.taken()).sum();
            prop_assert!(taken <= most, "{taken} of {most}");
            prop_assert!(out <= most);
        }
        for (shard, lot) in shards.iter_mut().zip(&mut lots) {
            shard.portion = shard.portion.hear(lot.given).hand_back(0);
            *lot = lot.hear(&shard.portion);
        }
        let taken: u64 = shards.iter().map(|shard| shard.portion.taken()).sum();
        for left in (1..=limit.saturating_sub(taken)).rev() {
            let out: u64 = lots.iter().map(Lot::out).sum();
            let portion = shards[0].portion;
            let given = allot(limit, lots[0], out, 3, &ask(1, portion));
            if portion.free() == 0 {
                let Allotment::Given(given) = given else { panic!("{left} are left, and none is given") };
                lots[0].given = given;
                shards[0].portion = portion.hear(given);
            }
            shards[0].portion = shards[0].portion.spend(1).unwrap();
        }
        let out: u64 = lots.iter().map(Lot::out).sum();
        prop_assert_eq!(allot(limit, lots[0], out, 3, &ask(1, shards[0].portion)), Allotment::Recall);
    }
}

#[test]
fn a_limit_that_is_set_later_counts_what_was_before() {
    let before = Portion::default().counted(7);
    assert_eq!((before.base, before.taken(), before.free()), (7, 7, 0));
    let lot = Lot::default().hear(&before);
    assert_eq!(lot.out(), 7);
    let more = before.hear(3).spend(2).unwrap();
    assert_eq!(more.counted(9), more);
    // A use from before is given back: another may have it.
    let back = more.refund(1);
    assert_eq!((back.taken(), back.free(), back.counted(8)), (8, 2, back));
    assert_eq!(Lot { given: 3, ..lot }.hear(&back.hand_back(0)).out(), 8);
}
