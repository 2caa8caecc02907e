//! Figures of a whole deployment as Prometheus reads them (text exposition format 0.0.4).
//!
//! Only production: testers are in `GET /v1/stats`. What can fall again is a gauge: a redemption counts where it stands
//! now. Times are in seconds, as is usual there.

use crate::wire::{BreakerFigures, Counts, Histogram, PoolFigures, Stats};
use core::fmt::Write;

/// Content type of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The text so far. All samples of a metric follow its head.
struct Text(String);

/// Names and values of labels.
type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.name()));
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl core::fmt::Display) {
        let mut list = String::new();
        for (name, value) in labels {
            list.push_str(if list.is_empty() { "" } else { "," });
            list.push_str(name);
            list.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => list.push_str("\\\\"),
                    '"' => list.push_str("\\\""),
                    '\n' => list.push_str("\\n"),
                    c => list.push(c),
                }
            }
            list.push('"');
        }
        self.line(format_args!("{name}{{{list}}} {value}"));
    }

    fn line(&mut self, line: core::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

/// Milliseconds as seconds.
struct Seconds(u64);

impl core::fmt::Display for Seconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

/// Hundredths of something.
struct Hundredths(u64);

impl core::fmt::Display for Hundredths {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Text {
    /// Counters by name, one metric for all merchants.
    fn counts(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        label: &str,
        all: &[(String, Stats)],
        of: impl Fn(&Stats) -> &Counts,
    ) {
        self.head(name, kind, help);
        for (merchant, stats) in all {
            for (key, count) in of(stats) {
                self.sample(name, &[("merchant", merchant), (label, key)], count);
            }
        }
    }

    fn count(&mut self, (name, help): (&str, &str), all: &[(String, Stats)], of: impl Fn(&Stats) -> u64) {
        self.head(name, Kind::Counter, help);
        for (merchant, stats) in all {
            self.sample(name, &[("merchant", merchant)], of(stats));
        }
    }

    fn histogram(&mut self, (name, help): (&str, &str), all: &[(String, Stats)], of: impl Fn(&Stats) -> &Histogram) {
        self.head(name, Kind::Histogram, help);
        for (merchant, stats) in all {
            let Histogram { buckets, count, sum_ms } = of(stats);
            let merchant = ("merchant", merchant.as_str());
            for bucket in buckets {
                let le = Seconds(bucket.le).to_string();
                self.sample(&format!("{name}_bucket"), &[merchant, ("le", &le)], bucket.count);
            }
            self.sample(&format!("{name}_bucket"), &[merchant, ("le", "+Inf")], count);
            self.sample(&format!("{name}_sum"), &[merchant], Seconds(*sum_ms));
            self.sample(&format!("{name}_count"), &[merchant], count);
        }
    }

    /// One value of each pool, where it has one.
    fn pools<V: core::fmt::Display>(
        &mut self,
        (name, kind, help): (&str, Kind, &str),
        all: &[(String, Stats)],
        of: impl Fn(&PoolFigures) -> Option<V>,
    ) {
        self.head(name, kind, help);
        for (merchant, stats) in all {
            for pool in &stats.pools {
                if let Some(value) = of(pool) {
                    self.sample(name, &[("merchant", merchant), ("pool", &pool.pool.pool_id)], value);
                }
            }
        }
    }

    fn breakers(&mut self, all: &[(String, Stats)]) {
        let name = "counterfoil_breaker";
        self.head(
            name,
            Kind::Gauge,
            "1 for each campaign key that is guessed so often that new accounts are kept out.",
        );
        for (merchant, stats) in all {
            for BreakerFigures { campaign, epoch, state, .. } in &stats.breakers {
                let (campaign, epoch) = (campaign.to_string(), epoch.to_string());
                let key = [("merchant", merchant.as_str()), ("campaign", &campaign), ("epoch", &epoch)];
                self.sample(name, &[key.as_slice(), &[("state", state.name())]].concat(), 1);
            }
        }
    }

    fn stock(&mut self, all: &[(String, Stats)]) {
        let name = "counterfoil_pool_codes";
        self.head(name, Kind::Gauge, "Promo codes of a pool by where they stand.");
        for (merchant, stats) in all {
            for PoolFigures { pool, .. } in &stats.pools {
                for (state, count) in [("free", pool.free), ("used", pool.used), ("quarantined", pool.quarantined)] {
                    self.sample(name, &[("merchant", merchant), ("pool", &pool.pool_id), ("state", state)], count);
                }
            }
        }
    }

    fn redemptions(&mut self, all: &[(String, Stats)]) {
        let name = "counterfoil_redemptions";
        self.head(name, Kind::Gauge, "Redemptions by campaign and where they stand; campaign 0: without a code.");
        for (merchant, stats) in all {
            // What the campaigns do not have came without a code.
            let mut rest = stats.production.redemptions.clone();
            for figures in &stats.production.campaigns {
                let campaign = figures.campaign.to_string();
                for (status, count) in &figures.redemptions {
                    let labels = [("merchant", merchant.as_str()), ("campaign", &campaign), ("status", status)];
                    self.sample(name, &labels, count);
                    if let Some(rest) = rest.get_mut(status) {
                        *rest = rest.saturating_sub(*count);
                    }
                }
            }
            for (status, count) in rest.iter().filter(|(_, count)| **count > 0) {
                self.sample(name, &[("merchant", merchant), ("campaign", "0"), ("status", status)], count);
            }
        }
    }
}

/// The figures of these merchants, each named once.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, to two digits, never below 0")]
pub fn exposition(version: &str, all: &[(String, Stats)]) -> String {
    use Kind::{Counter, Gauge};
    let mut text = Text(String::new());
    text.head("counterfoil_build_info", Gauge, "Version of the edge.");
    text.sample("counterfoil_build_info", &[("version", version)], 1);
    text.redemptions(all);
    let quantities = ("counterfoil_redeemed_by_quantity", Gauge, "Redemptions that gave something, by quantity.");
    text.counts(quantities, "quantity", all, |stats| &stats.production.quantities);
    let refusals = ("counterfoil_refusals_total", Counter, "Recorded refusals by code.");
    text.counts(refusals, "code", all, |stats| &stats.production.refusals);
    let shortages = ("counterfoil_shortages_total", "Redemptions refused because a pool had too few codes.");
    text.count(shortages, all, |stats| stats.production.shortages);
    let unrecognised = ("counterfoil_unrecognised_total", "Wrong codes and wrong aliases.");
    text.count(unrecognised, all, |stats| stats.production.unrecognised);
    text.breakers(all);
    let rewards = ("counterfoil_rewards", Gauge, "Rewards by where they stand.");
    text.counts(rewards, "state", all, |stats| &stats.production.rewards);
    let failed = ("counterfoil_grants_failed_total", "Tries to grant a reward that failed.");
    text.count(failed, all, |stats| stats.production.grants_failed);
    let acceptance = ("counterfoil_acceptance_seconds", "From a request until a 2xx may name its redemption.");
    text.histogram(acceptance, all, |stats| &stats.production.acceptance_ms);
    let processing = ("counterfoil_processing_seconds", "From a request until its redemption is decided.");
    text.histogram(processing, all, |stats| &stats.production.processing_ms);
    let deliveries = ("counterfoil_deliveries", Gauge, "Events to webhook endpoints by where they stand.");
    text.counts(deliveries, "state", all, |stats| &stats.deliveries);
    text.stock(all);
    let low = ("counterfoil_pool_low", Gauge, "1 where a pool has fewer free codes than its threshold.");
    text.pools(low, all, |pool| Some(u8::from(pool.low)));
    let shortages = ("counterfoil_pool_shortages_total", Counter, "Requests that a pool had too few codes for.");
    text.pools(shortages, all, |pool| Some(pool.shortages));
    let depletion = ("counterfoil_pool_depletion_per_day", Gauge, "Codes handed out in a day, over the last seven.");
    text.pools(depletion, all, |pool| Some(Hundredths((pool.pool.depletion_per_day * 100.0).round() as u64)));
    let runs_out = ("counterfoil_pool_runs_out_timestamp_seconds", Gauge, "When no code is left at this rate.");
    text.pools(runs_out, all, |pool| pool.pool.runs_out_at.and_then(|at| u64::try_from(at.0).ok()).map(Seconds));
    let lag = "counterfoil_report_lag_seconds";
    text.head(lag, Gauge, "From the commit of the change that was recorded last to its record.");
    for (merchant, stats) in all {
        if let Some(lag_ms) = stats.lag_ms {
            text.sample(lag, &[("merchant", merchant)], Seconds(lag_ms));
        }
    }
    text.0
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
