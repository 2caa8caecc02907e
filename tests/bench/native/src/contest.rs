//! Contenders that take turns.

use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

/// How long one piece of one contender takes: long against the clock's grain, short against the turns that the system
/// gives to other programs.
const PIECE: Duration = Duration::from_millis(2);

/// One thing to measure: does it `n` times.
pub(crate) struct Contender<'a> {
    name: &'static str,
    work: Box<dyn FnMut(u64) + 'a>,
    /// How often in one piece.
    times: u64,
    ns: Vec<f64>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, work: impl FnMut(u64) + 'a) -> Self {
        Self { name, work: Box::new(work), times: 1, ns: Vec::new() }
    }

    fn piece(&mut self) -> Duration {
        let started = Instant::now();
        (self.work)(self.times);
        started.elapsed()
    }
}

/// Lets all contenders take turns, and answers the nanoseconds that each needs for one, by name.
pub(crate) fn run(rounds: u64, mut contenders: Vec<Contender<'_>>) -> Value {
    for contender in &mut contenders {
        contender.piece();
        while contender.piece() < PIECE {
            contender.times *= 2;
        }
    }
    for _ in 0..rounds {
        for contender in &mut contenders {
            let seconds = contender.piece().as_secs_f64();
            #[allow(clippy::cast_precision_loss, reason = "a count of repetitions, far below 2⁵³")]
            contender.ns.push(seconds * 1e9 / contender.times as f64);
        }
    }
    let by_name = contenders.into_iter().map(|contender| (contender.name.to_owned(), summary(contender.ns)));
    Value::Object(by_name.collect::<Map<_, _>>())
}

fn summary(mut ns: Vec<f64>) -> Value {
    ns.sort_by(f64::total_cmp);
    let median = ns.get(ns.len() / 2).copied();
    json!({ "ns_median": median, "ns_least": ns.first(), "ns_most": ns.last() })
}
