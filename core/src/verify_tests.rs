use super::*;
use crate::audit::Draft;
use crate::checkout::{Source, Worth};
use crate::wire::Credit;
use serde_json::json;

#[track_caller]
fn check(expected: &[&str], find: impl FnOnce(&mut Report)) {
    let mut report = Report::of("x");
    find(&mut report);
    let found: Vec<String> =
        report.into_violations().into_iter().map(|found| format!("{}: {}", found.invariant, found.what)).collect();
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.starts_with(b));
    assert!(fits, "expected {expected:?}, found {found:#?}");
}

#[test]
fn shards() {
    let sound = ShardFacts {
        counted: 3,
        uses: 3,
        uses_per_code: Some(1),
        limits: vec![LimitFacts { meter: Meter::Total, limit: 3, taken: 3 }],
        portions: vec![PortionFacts {
            meter: Meter::Total,
            portion: Portion { given: 5, spent: 3, returned: 1, ..Portion::default() },
            told: 0,
            taken: 3,
        }],
        pending: 1,
        alarm: true,
        ..ShardFacts::default()
    };
    check(&[], |report| shard(&sound, report));
    let with_portion = |change: fn(&mut PortionFacts)| {
        let mut facts = sound.clone();
        facts.portions.iter_mut().for_each(change);
        facts
    };
    for (facts, expected) in [
        (ShardFacts { counted: 2, ..sound.clone() }, "I3: 2 uses are counted, 3 are there"),
        (
            ShardFacts { limits: vec![LimitFacts { meter: Meter::Budget, limit: 2, taken: 3 }], ..sound.clone() },
            "I3: 3 are taken of the campaign's budget: 2",
        ),
        (ShardFacts { miscounted: vec!["day 7".to_owned()], ..sound.clone() }, "I3: the uses of day 7 are not those"),
        (with_portion(|portion| portion.taken = 2), "I3: 2 are taken of total, its portion says 3"),
        (with_portion(|portion| portion.portion.returned = 3), "I3: 6 of total are gone, there were 5"),
        (ShardFacts { overused: vec![(7, 2)], ..sound.clone() }, "I1: the code of seq 7 has 2 uses, its limit is 1"),
        (ShardFacts { pending_without_use: 1, ..sound.clone() }, "I8: 1 of 1 pending intents have no use row"),
        (ShardFacts { held_without_pending: 2, ..sound.clone() }, "I8: 2 uses are held for a checkout, and nobody"),
        (ShardFacts { portions: vec![], alarm: false, ..sound.clone() }, "I8: 1 pending intents, and no alarm"),
    ] {
        check(&[expected], |report| shard(&facts, report));
    }
    let quiet = ShardFacts { pending: 0, alarm: false, ..sound };
    check(&["I8: 1 of total are returned, and no alarm"], |report| shard(&quiet, report));
    check(&[], |report| shard(&ShardFacts { portions: vec![], ..quiet.clone() }, report));
}

#[test]
fn pools() {
    let sound = PoolFacts {
        codes: 10,
        counted: (5, 3, 2),
        free: 5,
        used: 3,
        quarantined: 2,
        pending: 1,
        alarm: true,
        ..PoolFacts::default()
    };
    check(&[], |report| pool(&sound, report));
    for (facts, expected) in [
        (PoolFacts { counted: (6, 3, 2), ..sound.clone() }, "I2: 6 codes are counted as free, 5 are"),
        (PoolFacts { counted: (5, 2, 2), ..sound.clone() }, "I2: 2 codes are counted as used, 3 are"),
        (PoolFacts { counted: (5, 3, 0), ..sound.clone() }, "I2: 0 codes are counted as quarantined, 2 are"),
        (PoolFacts { codes: 11, ..sound.clone() }, "I2: 5 free, 3 used and 2 quarantined codes are not the 11"),
        (PoolFacts { misplaced: 1, ..sound.clone() }, "I2: 1 codes are in two places"),
        (PoolFacts { pending_without_codes: 1, ..sound.clone() }, "I8: 1 of 1 pending intents have no codes"),
        (PoolFacts { alarm: false, ..sound.clone() }, "I8: 1 pending intents, and no alarm"),
    ] {
        check(&[expected], |report| pool(&facts, report));
    }
    check(&[], |report| pool(&PoolFacts { pending: 0, alarm: false, ..sound }, report));
}

#[test]
fn campaigns() {
    let sound = CampaignFacts {
        next_seq: 300,
        issued: 150,
        batches: vec![(0, 100, 50), (120, 300, 100)],
        behind: 1,
        alarm: true,
        given: vec![("total".to_owned(), 10, 10)],
    };
    check(&[], |report| campaign(&sound, report));
    for (facts, expected) in [
        (CampaignFacts { next_seq: 299, ..sound.clone() }, "I1: seq 299 would be issued again"),
        (CampaignFacts { issued: 151, ..sound.clone() }, "I1: 151 codes are counted as issued, batches have 150"),
        (
            CampaignFacts { batches: vec![(0, 100, 50), (99, 300, 100)], ..sound.clone() },
            "I1: the batch of seqs 99 to 300 overlaps",
        ),
        (
            CampaignFacts { batches: vec![(0, 49, 50), (120, 300, 100)], ..sound.clone() },
            "I1: the batch of seqs 0 to 49 cannot hold 50 codes",
        ),
        (CampaignFacts { alarm: false, ..sound.clone() }, "I8: 1 shards work by older rules"),
        (
            CampaignFacts { given: vec![("budget".to_owned(), 10, 11)], ..sound.clone() },
            "I3: 11 of budget are given out to shards, the limit is 10",
        ),
    ] {
        check(&[expected], |report| campaign(&facts, report));
    }
}

#[test]
fn holds() {
    let now = Instant(1_800_000_000_000);
    let euro = |amount_minor| Credit { currency: "EUR".to_owned(), amount_minor };
    let rid = crate::ids::Rid::random(&crate::ids::Mref::from_bytes(&[1; 16]).unwrap(), [1; 10]);
    let source = Source::Wallet { ledger_id: "le_1".to_owned() };
    let worth = Worth::Credit(euro(500));
    let kept = Hold { applied_minor: 300, ..Hold::new(rid, "o1".to_owned(), source, worth, now.plus_ms(9)) };
    let sound = HoldFacts {
        id: "ho_1".to_owned(),
        hold: kept.clone(),
        redemption: None,
        taken: -500,
        returned: 0,
        planned_at: Some(now.plus_ms(9)),
    };
    let ended = |state| Hold { state, ..kept.clone() };
    let used = HoldFacts { hold: ended(HoldState::Used), returned: 200, planned_at: None, ..sound.clone() };
    let expired = HoldFacts { hold: ended(HoldState::Expired), returned: 500, ..used.clone() };
    for (facts, expected) in [
        (sound.clone(), None),
        (used.clone(), None),
        (expired.clone(), None),
        (HoldFacts { planned_at: None, ..sound.clone() }, Some("I8: ho_1 is held, and no alarm")),
        (HoldFacts { returned: 200, ..sound.clone() }, Some("I10: ho_1 is held with 500")),
        (HoldFacts { returned: 201, ..used.clone() }, Some("I10: ho_1 is used with 500")),
        (HoldFacts { returned: 200, ..expired.clone() }, Some("I10: ho_1 is expired with 500")),
        (HoldFacts { taken: -400, ..sound.clone() }, Some("I10: ho_1 is held with 500")),
        (HoldFacts { redemption: Some(RedemptionStatus::Held), ..sound }, None),
        (HoldFacts { redemption: Some(RedemptionStatus::Held), ..used.clone() }, Some("I3: ho_1 is used")),
        (HoldFacts { redemption: Some(RedemptionStatus::Granted), ..used }, None),
        (HoldFacts { redemption: Some(RedemptionStatus::Granted), ..expired }, Some("I3: ho_1 is expired")),
    ] {
        check(expected.as_slice(), |report| hold(&facts, report));
    }
    let mut book = Book::default();
    book.place(kept, &euro(1_000), now);
    check(&[], |report| order(&book, now, report));
    book.holds[0].applied_minor = 499;
    check(&["I10: an order of 1000 has 499 held"], |report| order(&book, now, report));
}

fn row(number: &str, asset: &str, currency: Option<&str>, amount: i64, balance_after: u64) -> LedgerRow {
    let mut row = json!({
        "ledger_id": number, "number": number, "at": "2026-11-22T00:00:00Z", "asset": asset, "amount": amount,
        "balance_after": balance_after, "kind": "redemption", "quantity": 1, "by": "system",
    });
    if let Some(currency) = currency {
        row["currency"] = currency.into();
    }
    serde_json::from_value(row).unwrap()
}

#[test]
fn ledgers() {
    let rows = [
        row("1", "credit", Some("EUR"), 500, 500),
        row("2", "points", None, 10, 10),
        row("3", "reward", None, 0, 0),
        row("4", "credit", Some("EUR"), -500, 0),
    ];
    let wallet = |points: u64, credit: u64| -> Wallet {
        serde_json::from_value(json!({
            "points": points, "xp": 0, "tokens": 0, "features": [], "boosters": [],
            "credit": [{ "currency": "EUR", "amount_minor": credit }],
        }))
        .unwrap()
    };
    let verify = |rows: &[LedgerRow], wallet: &Wallet, report: &mut Report| {
        let mut ledger = LedgerCheck::default();
        rows.iter().for_each(|row| ledger.add(row));
        ledger.finish(wallet, report);
    };
    check(&[], |report| verify(&rows, &wallet(10, 0), report));
    check(&["I10: the balance is 11 points, its ledger gives 10"], |report| verify(&rows, &wallet(11, 0), report));
    check(
        &[
            "I12: row 4 says 0 credit EUR after it, the rows so far give -500",
            "I12: credit EUR is below zero",
            "I10: the balance is 0 credit EUR",
        ],
        |report| {
            verify(&rows[1..], &wallet(10, 0), report);
        },
    );
    check(&["I10: there is no balance of credit EUR"], |report| {
        verify(&rows[..2], &Wallet { points: 10, ..Wallet::default() }, report);
    });
}

#[test]
fn chains() {
    let first = Entry::chain(NOTHING_BEFORE, "merchant", 1, Instant(0), &Draft::new("system", "a"));
    let second = Entry::chain(&first.hash(), "merchant", 2, Instant(0), &Draft::new("system", "b"));
    let verify = |entries: &[(u64, String, String)], waiting, alarm, report: &mut Report| {
        let mut chain = ChainCheck::of("merchant");
        entries.iter().for_each(|(n, entry, hash)| chain.add(*n, entry, hash));
        chain.finish(waiting, alarm, report);
    };
    let sound = [(1, first.canonical(), first.hash()), (2, second.canonical(), second.hash())];
    check(&[], |report| verify(&sound, 2, true, report));
    check(&["I8: 2 rows wait in the outbox"], |report| verify(&sound, 2, false, report));
    check(&["I12: the audit chain is broken at entry 2"], |report| verify(&sound[1..], 0, false, report));
    let mut bent = sound.clone();
    bent[0].1 = bent[0].1.replace("\"a\"", "\"c\"");
    check(&["I12: the audit chain is broken at entry 1"], |report| verify(&bent, 0, false, report));
    let other = [sound[0].clone(), sound[0].clone()];
    check(&["I12: the audit chain is broken at entry 1"], |report| verify(&other, 0, false, report));
}
