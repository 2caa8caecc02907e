//! A short run of the simulator: enough seeds to notice a mistake, and every planted defect.

use counterfoil_simulator::{Defect, Plan, run, search, seeds_until_caught, shrink};

const SEEDS: u64 = 200;
const PLANTED_SEEDS_MAX: u64 = 5_000;

#[test]
fn nothing_is_broken() {
    let summary = search(1, SEEDS, &Plan::default(), false).unwrap();
    assert!(summary.found.is_none(), "{:?}", summary.found);
    assert_eq!(summary.runs, SEEDS);
    assert!(summary.granted > SEEDS && summary.refused > SEEDS, "too little happens: {summary:?}");
}

/// The rarer ones are left to the release build: `counterfoil-simulator --planted`.
#[test]
fn planted_defects_are_caught() {
    for defect in [
        Defect::AckBeforeCommit,
        Defect::LimitReadEarly,
        Defect::AlarmNotArmed,
        Defect::FingerprintIgnored,
        Defect::DedupePruned,
        Defect::CountedByCode,
        Defect::DeliveryUnplanned,
        Defect::ReportUnacknowledged,
        Defect::AuditSkipped,
        Defect::AheadForgotten,
    ] {
        let plan = Plan { defect: Some(defect), ..Plan::default() };
        let caught = seeds_until_caught(1, PLANTED_SEEDS_MAX, &plan).unwrap();
        assert!(caught.is_some(), "{} is not caught: {}", defect.name(), defect.what());
    }
}

#[test]
fn a_seed_is_the_whole_run() {
    let plan = Plan { trace: true, ..Plan::default() };
    for seed in 1..=20 {
        let (first, again) = (run(seed, &plan).unwrap(), run(seed, &plan).unwrap());
        assert_eq!(first.trace, again.trace, "seed {seed}");
        assert_eq!(first.struck, again.struck, "seed {seed}");
    }
}

#[test]
fn a_failing_run_shrinks_to_one_that_still_fails() {
    let plan = Plan { defect: Some(Defect::SilenceIsNo), ..Plan::default() };
    let found = search(1, PLANTED_SEEDS_MAX, &plan, false).unwrap().found.unwrap();
    let whole = run(found.seed, &plan).unwrap();
    let short = run(found.seed, &shrink(found.seed, &plan).unwrap()).unwrap();
    assert_eq!(short.violation.map(|violation| violation.invariant), Some(found.violation.invariant));
    assert!(short.struck.len() <= whole.struck.len() && short.actions.len() <= whole.actions.len());
    // Silence does no harm unless something was lost.
    assert!(!short.struck.is_empty());
}
