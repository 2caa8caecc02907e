//! The invariants of domain.md, checked over what live objects have stored (`POST /v1/verify`).
//!
//! Plain functions over what an object has read; the numbers are those of the list of invariants.

use crate::audit::{Entry, NOTHING_BEFORE, hash_of};
use crate::checkout::{Book, Hold};
use crate::limits::BACKOFF_MAX_MS;
use crate::protocol::portion::{Meter, Portion};
use crate::time::Instant;
use crate::wire::{HoldState, LedgerRow, RedemptionStatus, Wallet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Violation {
    /// Its number: `I1` … `I13`.
    pub invariant: String,
    /// Where: `member/<pid>`, `campaign/<number>`, `campaign/<number>/shard/<k>`, `pool/<pool_id>`.
    pub object: String,
    /// What is wrong.
    pub what: String,
}

/// Violations of one object.
#[derive(Clone, Debug)]
pub struct Report {
    object: String,
    violations: Vec<Violation>,
}

impl Report {
    /// Nothing found yet.
    #[must_use]
    pub fn of(object: &str) -> Self {
        Self { object: object.to_owned(), violations: vec![] }
    }

    /// Adds one unless it holds.
    pub fn must(&mut self, holds: bool, invariant: &str, what: impl FnOnce() -> String) {
        if !holds {
            let (invariant, object) = (invariant.to_owned(), self.object.clone());
            self.violations.push(Violation { invariant, object, what: what() });
        }
    }

    /// Everything found.
    #[must_use]
    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }
}

/// A limit of a campaign that one shard keeps.
#[derive(Clone, Debug)]
pub struct LimitFacts {
    /// Which.
    pub meter: Meter,
    /// The limit; or what was taken already when it was set, where that was more.
    pub limit: u64,
    /// What redemptions have of it.
    pub taken: u64,
}

/// A shard's part of a limit.
#[derive(Clone, Debug)]
pub struct PortionFacts {
    /// Of which.
    pub meter: Meter,
    /// As the shard keeps it.
    pub portion: Portion,
    /// What the Campaign is known to have heard of being returned.
    pub told: u64,
    /// What redemptions have of it, by the shard's counters.
    pub taken: u64,
}

/// What a shard has stored.
#[derive(Clone, Debug, Default)]
pub struct ShardFacts {
    /// Its counter of uses.
    pub counted: u64,
    /// Its use rows.
    pub uses: u64,
    /// The campaign's limit for each code.
    pub uses_per_code: Option<u64>,
    /// The campaign's limits in all, where no other shard shares them.
    pub limits: Vec<LimitFacts>,
    /// Days and currencies whose counters are not those of the use rows.
    pub miscounted: Vec<String>,
    /// Its portions of the campaign's limits, where others share them.
    pub portions: Vec<PortionFacts>,
    /// Codes with more uses than their limit, and how many they have.
    pub overused: Vec<(u32, u64)>,
    /// Intents that wait for the Member's word.
    pub pending: u64,
    /// Those of them without a use row.
    pub pending_without_use: u64,
    /// Uses held for a checkout that no Member will be asked about.
    pub held_without_pending: u64,
    /// Whether an alarm will ask about them.
    pub alarm: bool,
}

/// I1, I3 and I8 of a shard.
pub fn shard(facts: &ShardFacts, report: &mut Report) {
    let ShardFacts { counted, uses, pending, pending_without_use, .. } = facts;
    report.must(counted == uses, "I3", || format!("{counted} uses are counted, {uses} are there"));
    for (seq, uses) in &facts.overused {
        let limit = facts.uses_per_code.unwrap_or_default();
        report.must(false, "I1", || format!("the code of seq {seq} has {uses} uses, its limit is {limit}"));
    }
    for LimitFacts { meter, limit, taken } in &facts.limits {
        report.must(taken <= limit, "I3", || format!("{taken} are taken of the campaign's {}: {limit}", meter.name()));
    }
    for what in &facts.miscounted {
        report.must(false, "I3", || format!("the uses of {what} are not those that are counted"));
    }
    for PortionFacts { meter, portion, told, taken } in &facts.portions {
        let name = meter.name();
        report.must(portion.taken() == *taken, "I3", || {
            format!("{taken} are taken of {name}, its portion says {}", portion.taken())
        });
        let had = portion.given + portion.refunded;
        let gone = portion.spent + portion.returned;
        report.must(gone <= had, "I3", || format!("{gone} of {name} are gone, there were {had}"));
        report.must(*told == portion.returned || facts.alarm, "I8", || {
            format!("{} of {name} are returned, and no alarm tells it", portion.returned - told.min(&portion.returned))
        });
    }
    report.must(*pending_without_use == 0, "I8", || {
        format!("{pending_without_use} of {pending} pending intents have no use row")
    });
    report.must(facts.held_without_pending == 0, "I8", || {
        format!("{} uses are held for a checkout, and nobody asks when that is over", facts.held_without_pending)
    });
    report.must(*pending == 0 || facts.alarm, "I8", || {
        format!("{pending} pending intents, and no alarm asks about them")
    });
}

/// What a campaign has stored.
#[derive(Clone, Debug, Default)]
pub struct CampaignFacts {
    /// The next seq that a mint would get.
    pub next_seq: u32,
    /// Codes issued, by its counter.
    pub issued: u64,
    /// Its batches: from, to (exclusive), count; by from.
    pub batches: Vec<(u32, u32, u32)>,
    /// Shards that work by older rules.
    pub behind: u64,
    /// Whether an alarm will push the rules to them.
    pub alarm: bool,
    /// What was given out to shards of each limit, by its name: the highest limit by which any of it was given, and what
    /// of it was not returned.
    pub given: Vec<(String, u64, u64)>,
}

/// Ranges of seqs never overlap, no more is given out than there is (I3), and rules that are not in force everywhere are
/// on their way (I8).
pub fn campaign(facts: &CampaignFacts, report: &mut Report) {
    let mut free_from = 0;
    let mut count = 0_u64;
    for (from, to, codes) in &facts.batches {
        report.must(*from >= free_from && to > from, "I1", || {
            format!("the batch of seqs {from} to {to} overlaps the one before it")
        });
        report.must(u64::from(*codes) <= u64::from(to.saturating_sub(*from)), "I1", || {
            format!("the batch of seqs {from} to {to} cannot hold {codes} codes")
        });
        free_from = *to;
        count += u64::from(*codes);
    }
    report.must(facts.next_seq >= free_from, "I1", || {
        format!("seq {} would be issued again: batches reach to {free_from}", facts.next_seq)
    });
    report.must(facts.issued == count, "I1", || {
        format!("{} codes are counted as issued, batches have {count}", facts.issued)
    });
    for (name, limit, given) in &facts.given {
        report
            .must(given <= limit, "I3", || format!("{given} of {name} are given out to shards, the limit is {limit}"));
    }
    report.must(facts.behind == 0 || facts.alarm, "I8", || {
        format!("{} shards work by older rules, and no alarm tells them", facts.behind)
    });
}

/// What a pool has stored.
#[derive(Clone, Debug, Default)]
pub struct PoolFacts {
    /// Codes ever uploaded.
    pub codes: u64,
    /// Its counters: free, used (prepared ones among them), quarantined.
    pub counted: (u64, u64, u64),
    /// Codes that nobody has.
    pub free: u64,
    /// Codes that a redemption has.
    pub used: u64,
    /// Codes in quarantine.
    pub quarantined: u64,
    /// Codes in two places, or in one that cannot be.
    pub misplaced: u64,
    /// Intents that wait for the Member's word.
    pub pending: u64,
    /// Those of them without a code.
    pub pending_without_codes: u64,
    /// Whether an alarm will ask about them.
    pub alarm: bool,
}

/// I2 and I8 of a pool.
pub fn pool(facts: &PoolFacts, report: &mut Report) {
    let PoolFacts { codes, free, used, quarantined, misplaced, pending, .. } = facts;
    let (counted_free, counted_used, counted_quarantined) = facts.counted;
    for (name, counted, there) in
        [("free", counted_free, free), ("used", counted_used, used), ("quarantined", counted_quarantined, quarantined)]
    {
        report.must(counted == *there, "I2", || format!("{counted} codes are counted as {name}, {there} are"));
    }
    report.must(free + used + quarantined == *codes, "I2", || {
        format!("{free} free, {used} used and {quarantined} quarantined codes are not the {codes} of the pool")
    });
    report.must(*misplaced == 0, "I2", || format!("{misplaced} codes are in two places at once"));
    report.must(facts.pending_without_codes == 0, "I8", || {
        format!("{} of {pending} pending intents have no codes", facts.pending_without_codes)
    });
    report.must(*pending == 0 || facts.alarm, "I8", || {
        format!("{pending} pending intents, and no alarm asks about them")
    });
}

/// A wallet against its ledger: I10 and I12.
#[derive(Clone, Debug, Default)]
pub struct LedgerCheck {
    sums: BTreeMap<String, i128>,
    broken: Vec<String>,
}

impl LedgerCheck {
    /// Takes the next row, the oldest first.
    pub fn add(&mut self, row: &LedgerRow) {
        // Features, and rewards that no balance shows, have rows too.
        if !matches!(row.asset.as_str(), "points" | "xp" | "tokens" | "credit") {
            return;
        }
        let asset = asset_of(&row.asset, row.currency.as_deref());
        let sum = self.sums.entry(asset.clone()).or_default();
        *sum += i128::from(row.amount);
        if i128::from(row.balance_after) != *sum {
            self.broken.push(format!(
                "row {} says {} {asset} after it, the rows so far give {sum}",
                row.number, row.balance_after
            ));
        }
        if *sum < 0 {
            self.broken.push(format!("{asset} is below zero after row {}", row.number));
        }
    }

    /// Compares with the balances.
    pub fn finish(self, wallet: &Wallet, report: &mut Report) {
        for what in self.broken {
            report.must(false, "I12", || what);
        }
        let mut balances = BTreeMap::new();
        for credit in &wallet.credit {
            balances.insert(asset_of("credit", Some(&credit.currency)), credit.amount_minor);
        }
        for (asset, amount) in [("points", wallet.points), ("xp", wallet.xp), ("tokens", wallet.tokens)] {
            balances.insert(asset.to_owned(), amount);
        }
        for (asset, amount) in &balances {
            let sum = self.sums.get(asset).copied().unwrap_or_default();
            report.must(i128::from(*amount) == sum, "I10", || {
                format!("the balance is {amount} {asset}, its ledger gives {sum}")
            });
        }
        for (asset, sum) in self.sums.iter().filter(|(asset, _)| asset.starts_with("credit ")) {
            report.must(*sum == 0 || balances.contains_key(asset), "I10", || {
                format!("there is no balance of {asset}, its ledger gives {sum}")
            });
        }
    }
}

fn asset_of(asset: &str, currency: Option<&str>) -> String {
    currency.map_or_else(|| asset.to_owned(), |currency| format!("{asset} {currency}"))
}

/// A hold as its Member has stored it, with what else it says.
#[derive(Clone, Debug)]
pub struct HoldFacts {
    /// Its public id.
    pub id: String,
    /// The hold itself.
    pub hold: Hold,
    /// Its redemption's status, where it holds a code.
    pub redemption: Option<RedemptionStatus>,
    /// What the ledger says it took out of the wallet …
    pub taken: i64,
    /// … and gave back.
    pub returned: i64,
    /// When the alarm will end it.
    pub planned_at: Option<Instant>,
}

/// I3, I8 and I10 of what is kept for a checkout: it ends, its redemption stands where it stands, and held credit is in
/// the wallet, on the order, or kept, to the unit.
pub fn hold(facts: &HoldFacts, report: &mut Report) {
    let HoldFacts { id, hold, redemption, taken, returned, planned_at } = facts;
    let state = hold.state.name();
    let kept = hold.state == HoldState::Held;
    let planned = planned_at.is_some_and(|at| at <= hold.expires_at.plus_ms(BACKOFF_MAX_MS));
    report.must(!kept || planned, "I8", || format!("{id} is held, and no alarm ends it in time"));
    if let Some(status) = redemption {
        let fits = match (hold.state, status) {
            (HoldState::Held, RedemptionStatus::Held)
            | (
                HoldState::Used,
                RedemptionStatus::Redeemed
                | RedemptionStatus::Granting
                | RedemptionStatus::GrantFailed
                | RedemptionStatus::Granted
                | RedemptionStatus::Cancelled
                | RedemptionStatus::Reversed,
            )
            | (HoldState::Released | HoldState::Expired, RedemptionStatus::Cancelled) => true,
            (_, _) => false,
        };
        report.must(fits, "I3", || format!("{id} is {state}, its redemption is {}", status.name()));
    }
    if let Some((money, _)) = hold.wallet_credit() {
        let back = match hold.state {
            HoldState::Held => 0,
            HoldState::Used => money.amount_minor.saturating_sub(hold.applied_minor),
            HoldState::Released | HoldState::Expired => money.amount_minor,
        };
        let fits = i128::from(*taken) == -i128::from(money.amount_minor) && i128::from(*returned) == i128::from(back);
        report.must(fits, "I10", || {
            format!("{id} is {state} with {}: its rows take {taken} and give back {returned}", money.amount_minor)
        });
    }
}

/// An order's total is what is held for it and what it still costs; it has one discount at most.
pub fn order(book: &Book, now: Instant, report: &mut Report) {
    let Some(order) = &book.order else { return };
    // What is over by the clock is counted out by whoever comes by next.
    if book.holds.iter().any(|hold| hold.is_over(now)) {
        return;
    }
    let applied: u128 = book.holds.iter().map(|hold| u128::from(hold.applied_minor)).sum();
    let (total, remaining) = (order.total.amount_minor, order.remaining_minor);
    report.must(applied + u128::from(remaining) == u128::from(total), "I10", || {
        format!("an order of {total} has {applied} held for it and still costs {remaining}")
    });
    let kept = |hold: &&Hold| matches!(hold.state, HoldState::Held | HoldState::Used) && hold.worth.is_discount();
    let discounts = book.holds.iter().filter(kept).count();
    report.must(discounts <= 1, "I3", || format!("an order has {discounts} discounts"));
}

/// An object's audit chain: I12.
#[derive(Clone, Debug)]
pub struct ChainCheck {
    object: String,
    n: u64,
    head: String,
    broken: Option<String>,
}

impl ChainCheck {
    /// The chain of that object, from its first entry.
    #[must_use]
    pub fn of(object: &str) -> Self {
        Self { object: object.to_owned(), n: 0, head: NOTHING_BEFORE.to_owned(), broken: None }
    }

    /// Takes the next entry as it is stored.
    pub fn add(&mut self, n: u64, entry: &str, hash: &str) {
        let fits = crate::json::read::<Entry>(entry)
            .is_ok_and(|read| (read.n, read.object, read.prev) == (n, self.object.clone(), self.head.clone()));
        if self.broken.is_none() && !(n == self.n + 1 && fits && hash_of(entry) == hash) {
            self.broken = Some(format!("the audit chain is broken at entry {n}"));
        }
        self.n = n;
        hash.clone_into(&mut self.head);
    }

    /// `waiting` rows of the outbox are not acknowledged yet; `alarm` says whether one will report them (I8).
    pub fn finish(self, waiting: u64, alarm: bool, report: &mut Report) {
        if let Some(what) = self.broken {
            report.must(false, "I12", || what);
        }
        report.must(waiting == 0 || alarm, "I8", || {
            format!("{waiting} rows wait in the outbox, and no alarm reports them")
        });
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
