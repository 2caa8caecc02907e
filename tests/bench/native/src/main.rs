//! The native half of `npm run bench`: figures as one JSON value on the standard output.
//!
//! Contenders of one figure take turns (A B C A B C …) in short pieces, so that whatever else the machine does
//! falls on all of them, and the median piece counts.
//!
//! Arguments: `--rounds N` (pieces of each contender), `--trials N` (typing errors, see [`slips`]), `--seed N`.

mod contest;
mod slips;
mod subjects;

use serde_json::json;

fn main() {
    let rounds = argument("--rounds").unwrap_or(101);
    let trials = argument("--trials").unwrap_or(1_000_000);
    let seed = argument("--seed").unwrap_or(1);
    let report = json!({
        "checking": subjects::checking(rounds),
        "minting": subjects::minting(rounds),
        "key_press": subjects::key_press(rounds),
        "slips": slips::report(trials, seed),
    });
    println!("{report:#}");
}

/// The number after a flag.
fn argument(flag: &str) -> Option<u64> {
    let mut arguments = std::env::args().skip_while(|argument| argument != flag).skip(1);
    arguments.next().and_then(|value| value.parse().ok())
}
