//! The text, read by a parser that accepts nothing but the format (text exposition format 0.0.4).

use super::*;
use crate::breaker::BreakerState;
use crate::code::Profile;
use crate::time::Instant;
use crate::wire::{CampaignFigures, Figures, PoolResource};
use std::collections::{BTreeMap, BTreeSet};

/// A sample: its labels, and its value.
type Sample = (BTreeMap<String, String>, f64);

/// A metric as it was read.
#[derive(Debug, Default)]
struct Metric {
    kind: String,
    samples: Vec<(String, Sample)>,
}

fn legal_name(name: &str, colon: bool) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(legal)
}

/// Reads `name{label="value",…} value`.
fn sample(line: &str) -> (String, Sample) {
    let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
    assert!(legal_name(name, true), "{line}");
    let mut labels = BTreeMap::new();
    let mut chars = rest.chars();
    loop {
        let label: String = chars.by_ref().take_while(|c| *c != '=').collect();
        assert!(legal_name(&label, false) && !label.starts_with("__"), "{line}");
        assert_eq!(chars.next(), Some('"'), "{line}");
        let mut value = String::new();
        loop {
            match chars.next().unwrap_or_else(|| panic!("open quotes: {line}")) {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('\\') => '\\',
                    Some('"') => '"',
                    Some('n') => '\n',
                    other => panic!("escape {other:?}: {line}"),
                }),
                c => value.push(c),
            }
        }
        assert_eq!(labels.insert(label, value), None, "a label twice: {line}");
        match chars.next() {
            Some(',') => {}
            Some('}') => break,
            other => panic!("{other:?}: {line}"),
        }
    }
    let value = chars.as_str().strip_prefix(' ').unwrap_or_else(|| panic!("no space: {line}"));
    assert!(!value.contains(' '), "neither a second space nor a time: {line}");
    (name.to_owned(), (labels, value.parse().unwrap_or_else(|_| panic!("no number: {line}"))))
}

/// Reads a whole text; anything that the format does not have fails.
fn read(text: &str) -> BTreeMap<String, Metric> {
    assert!(text.ends_with('\n') && !text.contains('\r'), "every line ends with a line feed");
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut present = String::new();
    let mut helped = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped = help.split_once(' ').map(|(name, _)| name.to_owned()).unwrap();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, helped, "help, then type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            let before = metrics.insert(name.to_owned(), Metric { kind: kind.to_owned(), samples: vec![] });
            assert!(before.is_none(), "{name} twice");
            present = name.to_owned();
        } else {
            let (name, (labels, value)) = sample(line);
            let metric = metrics.get_mut(&present).unwrap();
            let suffixes: &[&str] = if metric.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.iter().any(|suffix| name == format!("{present}{suffix}")), "{line} within {present}");
            assert!(value.is_finite() && value >= 0.0, "{line}");
            assert!(seen.insert((name.clone(), labels.clone())), "a series twice: {line}");
            metric.samples.push((name, (labels, value)));
        }
    }
    for (name, metric) in metrics.iter().filter(|(_, metric)| metric.kind == "histogram") {
        check_histogram(name, metric);
    }
    metrics
}

/// Bounds and counts grow, the last bound is infinite and holds all.
fn check_histogram(name: &str, metric: &Metric) {
    let of = |suffix: &str| {
        let name = format!("{name}{suffix}");
        metric.samples.iter().filter(move |(found, _)| *found == name).map(|(_, sample)| sample)
    };
    for (labels, count) in of("_count") {
        let merchant = &labels["merchant"];
        let buckets: Vec<(&str, f64)> = of("_bucket")
            .filter(|(labels, _)| labels["merchant"] == *merchant)
            .map(|(labels, value)| (labels["le"].as_str(), *value))
            .collect();
        assert_eq!(buckets.last(), Some(&("+Inf", *count)), "{name}");
        let bound = |text: &str| if text == "+Inf" { f64::INFINITY } else { text.parse().unwrap() };
        assert!(buckets.windows(2).all(|pair| bound(pair[0].0) < bound(pair[1].0) && pair[0].1 <= pair[1].1), "{name}");
        assert_eq!(of("_sum").filter(|(labels, _)| labels["merchant"] == *merchant).count(), 1, "{name}");
    }
}

/// Value of the one series with these labels.
fn value(metrics: &BTreeMap<String, Metric>, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |found: &BTreeMap<String, String>| {
        labels.len() == found.len() && labels.iter().all(|(name, value)| found.get(*name).is_some_and(|v| v == value))
    };
    let mut found = metrics.values().flat_map(|metric| &metric.samples);
    found.find(|(found, (labels, _))| found == name && fits(labels)).map(|(_, (_, value))| *value)
}

fn counts(list: &[(&str, u64)]) -> Counts {
    list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn a_deployment_without_merchants_has_metrics_without_samples() {
    let metrics = read(&exposition("0.1.0", &[]));
    assert_eq!(value(&metrics, "counterfoil_build_info", &[("version", "0.1.0")]), Some(1.0));
    assert_eq!(metrics.values().map(|metric| metric.samples.len()).sum::<usize>(), 1);
    assert!(metrics.keys().all(|name| name.starts_with("counterfoil_")));
}

#[test]
fn figures_of_several_merchants() {
    let mut acceptance = Histogram::default();
    acceptance.add(10, 2, 15);
    acceptance.add(0, 1, 70_001);
    let mut production = Figures {
        redemptions: counts(&[("granted", 9), ("refused", 2)]),
        campaigns: vec![
            CampaignFigures { campaign: 7, redemptions: counts(&[("granted", 4), ("refused", 2)]) },
            CampaignFigures { campaign: 9, redemptions: counts(&[("granted", 2)]) },
        ],
        refusals: counts(&[("campaign_ended", 1), ("insufficient_codes", 1)]),
        rewards: counts(&[("granted", 9)]),
        quantities: counts(&[("5", 2)]),
        unrecognised: 3,
        grants_failed: 4,
        acceptance_ms: acceptance,
        ..Figures::default()
    };
    production.complete();
    let pool = PoolResource {
        // No pool is named so; whatever a label may ever hold, the text must stay readable.
        pool_id: "a\\b\"c\nd}".to_owned(),
        name: "Cinema".to_owned(),
        free: 3,
        used: 2,
        quarantined: 1,
        alert_below: 50,
        depletion_per_day: 1.25,
        runs_out_at: Some(Instant(1_800_000_000_123)),
    };
    let stats = Stats {
        lag_ms: Some(12),
        production,
        testers: Figures { unrecognised: 99, ..Figures::default() },
        deliveries: counts(&[("waiting", 1)]),
        pools: vec![PoolFigures { pool, low: true, shortages: 6 }],
        breakers: vec![BreakerFigures { campaign: 7, profile: Profile::S20, epoch: 1, state: BreakerState::RefuseNew }],
        ..Stats::default()
    };
    let all = [("acme".to_owned(), stats), ("bare".to_owned(), Stats::default())];
    let metrics = read(&exposition("0.1.0", &all));
    let acme = ("merchant", "acme");
    let in_pool = ("pool", "a\\b\"c\nd}");
    for (name, labels, expected) in [
        ("counterfoil_redemptions", vec![acme, ("campaign", "7"), ("status", "granted")], 4.0),
        ("counterfoil_redemptions", vec![acme, ("campaign", "7"), ("status", "refused")], 2.0),
        ("counterfoil_redemptions", vec![acme, ("campaign", "0"), ("status", "granted")], 3.0),
        ("counterfoil_redeemed_by_quantity", vec![acme, ("quantity", "1")], 7.0),
        ("counterfoil_redeemed_by_quantity", vec![acme, ("quantity", "5")], 2.0),
        ("counterfoil_refusals_total", vec![acme, ("code", "campaign_ended")], 1.0),
        ("counterfoil_shortages_total", vec![acme], 1.0),
        ("counterfoil_breaker", vec![acme, ("campaign", "7"), ("epoch", "1"), ("state", "refuse_new")], 1.0),
        ("counterfoil_unrecognised_total", vec![acme], 3.0),
        ("counterfoil_unrecognised_total", vec![("merchant", "bare")], 0.0),
        ("counterfoil_grants_failed_total", vec![acme], 4.0),
        ("counterfoil_rewards", vec![acme, ("state", "granted")], 9.0),
        ("counterfoil_acceptance_seconds_bucket", vec![acme, ("le", "0.010")], 2.0),
        ("counterfoil_acceptance_seconds_bucket", vec![acme, ("le", "+Inf")], 3.0),
        ("counterfoil_acceptance_seconds_sum", vec![acme], 70.016),
        ("counterfoil_acceptance_seconds_count", vec![acme], 3.0),
        ("counterfoil_processing_seconds_count", vec![("merchant", "bare")], 0.0),
        ("counterfoil_deliveries", vec![acme, ("state", "waiting")], 1.0),
        ("counterfoil_pool_codes", vec![acme, in_pool, ("state", "free")], 3.0),
        ("counterfoil_pool_codes", vec![acme, in_pool, ("state", "quarantined")], 1.0),
        ("counterfoil_pool_low", vec![acme, in_pool], 1.0),
        ("counterfoil_pool_shortages_total", vec![acme, in_pool], 6.0),
        ("counterfoil_pool_depletion_per_day", vec![acme, in_pool], 1.25),
        ("counterfoil_pool_runs_out_timestamp_seconds", vec![acme, in_pool], 1_800_000_000.123),
        ("counterfoil_report_lag_seconds", vec![acme], 0.012),
    ] {
        assert_eq!(value(&metrics, name, &labels), Some(expected), "{name} {labels:?}");
    }
    assert_eq!(value(&metrics, "counterfoil_report_lag_seconds", &[("merchant", "bare")]), None);
    assert_eq!(value(&metrics, "counterfoil_redemptions", &[acme, ("campaign", "0"), ("status", "refused")]), None);
}
