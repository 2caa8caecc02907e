//! `counterfoil-simulator`: see the library.

use clap::Parser;
use counterfoil_simulator::{Defect, Fault, Found, Hits, Plan, Step, run, search, seeds_until_caught, shrink};
use std::process::ExitCode;
use std::time::Instant;

/// Runs the redemption protocol under faults, from seeds, and checks its invariants after every step.
///
/// A run that breaks one prints its seed and the shortest trace that still breaks it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "N", default_value_t = 1)]
    first: u64,
    /// Go on after a failure, and count the kinds of failure.
    #[arg(long)]
    all: bool,
    /// One seed alone; its table is not expected to be full.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "first", "planted"])]
    seed: Option<u64>,
    /// With --seed: tell everything that happens, even when nothing breaks.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Run with one planted defect, by name.
    #[arg(long, value_name = "NAME", value_parser = defect)]
    defect: Option<Defect>,
    /// Run each planted defect until it is caught; fails when 20,000 seeds do not show one.
    #[arg(long)]
    planted: bool,
    /// With --planted: searches for each, from places far apart, of which the median is told.
    #[arg(long, value_name = "N", default_value_t = 9, requires = "planted")]
    searches: u64,
}

const PLANTED_SEEDS_MAX: u64 = 20_000;

fn defect(name: &str) -> Result<Defect, String> {
    let names = || Defect::ALL.iter().map(|defect| defect.name()).collect::<Vec<_>>().join(", ");
    Defect::from_name(name).ok_or_else(|| format!("known are {}", names()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None if arguments.planted => planted(arguments.searches),
        None => many(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("counterfoil-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn many(arguments: &Arguments) -> Result<bool, &'static str> {
    let plan = Plan { defect: arguments.defect, ..Plan::default() };
    let started = Instant::now();
    let summary = search(arguments.first, arguments.seeds, &plan, arguments.all)?;
    let took = started.elapsed();
    print!("{}", table(&summary.hits));
    let rate = u128::from(summary.runs) * 1_000 / took.as_millis().max(1);
    println!(
        "{} seeds from {}, {} granted, {} refused with a record, {:.1} s, {rate} seeds/s",
        summary.runs,
        arguments.first,
        summary.granted,
        summary.refused,
        took.as_secs_f64(),
    );
    if arguments.all {
        for (kind, (seeds, lowest)) in &summary.kinds {
            println!("{seeds:>7} seeds, the first {lowest}: {kind}");
        }
    }
    if let Some(found) = summary.found {
        tell(&found, &plan)?;
        return Ok(false);
    }
    let empty: Vec<String> =
        summary.hits.empty().map(|(step, fault)| format!("{} × {}", step.name(), fault.name())).collect();
    if !empty.is_empty() {
        println!("never hit: {}", empty.join("; "));
        return Ok(false);
    }
    println!("no invariant was broken");
    Ok(true)
}

fn one(seed: u64, arguments: &Arguments) -> Result<bool, &'static str> {
    let plan = Plan { defect: arguments.defect, ..Plan::default() };
    let outcome = run(seed, &Plan { trace: arguments.trace, ..plan.clone() })?;
    for line in &outcome.trace {
        println!("{line}");
    }
    match outcome.violation {
        None => {
            println!("seed {seed}: no invariant was broken; {} faults struck", outcome.struck.len());
            Ok(true)
        }
        Some(violation) => tell(&Found { seed, violation }, &plan).map(|()| false),
    }
}

/// The seed, and the shortest run that still fails.
fn tell(found: &Found, plan: &Plan) -> Result<(), &'static str> {
    let Found { seed, violation } = found;
    println!("\nseed {seed} breaks {}: {}", violation.invariant, violation.what);
    let shortest = shrink(*seed, plan)?;
    let outcome = run(*seed, &Plan { trace: true, ..shortest })?;
    println!("shortest run, {} actions and {} faults:", outcome.actions.len(), outcome.struck.len());
    for line in &outcome.trace {
        println!("  {line}");
    }
    let defect = plan.defect.map_or_else(String::new, |defect| format!(" --defect {}", defect.name()));
    println!("replay: cargo run --release -p counterfoil-simulator -- --seed {seed} --trace{defect}");
    Ok(())
}

fn planted(searches: u64) -> Result<bool, &'static str> {
    let mut all_caught = true;
    println!("{:24} {:>6} {:>6}  {:9} what is wrong", "planted defect", "median", "most", "breaks");
    for defect in Defect::ALL {
        let plan = Plan { defect: Some(*defect), ..Plan::default() };
        let mut took = Vec::new();
        let mut breaks = Vec::new();
        for n in 0..searches {
            let caught = seeds_until_caught(1 + n * 1_000_000, PLANTED_SEEDS_MAX, &plan)?;
            let (seeds, by) = caught.map_or((u64::MAX, "-"), |(seeds, violation)| (seeds, violation.invariant));
            took.push(seeds);
            if !breaks.contains(&by) {
                breaks.push(by);
            }
        }
        took.sort_unstable();
        let shown = |seeds: Option<&u64>| match seeds {
            Some(&u64::MAX) | None => "never".to_owned(),
            Some(seeds) => seeds.to_string(),
        };
        let (median, most) = (took.get(took.len() / 2), took.last());
        all_caught &= most.is_some_and(|most| *most != u64::MAX);
        let (name, what) = (defect.name(), defect.what());
        println!("{name:24} {:>6} {:>6}  {:9} {what}", shown(median), shown(most), breaks.join(" "));
    }
    Ok(all_caught)
}

/// Faults of one block of the table.
const COLUMNS: usize = 10;

/// Steps down, faults across, in blocks that fit a page; `·` where a fault cannot strike a step, and no row where
/// none of the block can.
fn table(hits: &Hits) -> String {
    let mut text = String::new();
    for faults in Fault::ALL.chunks(COLUMNS) {
        text.push_str(&format!("{:24}", "step × fault"));
        for word in 0..2 {
            if word > 0 {
                text.push_str(&format!("\n{:24}", ""));
            }
            for fault in faults {
                text.push_str(&format!(" {:>10}", fault.name().split(' ').nth(word).unwrap_or_default()));
            }
        }
        for step in Step::ALL.iter().filter(|step| faults.iter().any(|fault| step.can(*fault))) {
            text.push_str(&format!("\n{:24}", step.name()));
            for fault in faults {
                let cell = if step.can(*fault) { hits.of(*step, *fault).to_string() } else { "·".to_owned() };
                text.push_str(&format!(" {cell:>10}"));
            }
        }
        text.push_str("\n\n");
    }
    text
}
