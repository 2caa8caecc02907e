//! A shard's portions as it stores them, as the SQL of `edge/src/shard_portions.rs` has them.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::shard_state::{Charge, ShardState};
use counterfoil_core::calendar::Day;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::portion::{Meter, Need, Portion};
use counterfoil_core::rules::Rules;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::Budget;

/// What comes back is returned this much later, with what else came back.
pub(crate) const RETURN_AFTER_MS: i64 = 200;
/// What the Campaign may have heard already is told again this much later.
const TELL_AGAIN_MS: i64 = 5_000;

/// For [`Defect::PortionForgotten`].
const FORGOTTEN_AFTER_DAYS: i64 = 2;

/// A row of the table.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) portion: Portion,
    /// What the Campaign is known to have heard of.
    pub(crate) told: u64,
    /// What came back since it was last looked at.
    pub(crate) surplus: u64,
    currency: Option<String>,
    /// Whether there is such a limit just now. What is used and given back without one is made up for when it comes again.
    counts: bool,
}

/// The limit that is counted by a meter, and its currency where it has one.
pub(crate) fn limit_of<'a>(rules: &'a Rules, meter: &Meter) -> Option<(u64, &'a str)> {
    meter.limit(rules.total, &rules.windows, rules.budget.as_ref())
}

/// Whether a charge counts against a meter.
pub(crate) fn amount_of(charge: &Charge, meter: &Meter, budget: Option<&Budget>) -> u64 {
    match meter {
        Meter::Total => 1,
        Meter::Window(kind, first) => u64::from((*first..=first.last_of(*kind)).contains(&charge.day)),
        Meter::Budget => {
            let same = budget.is_some_and(|budget| budget.currency == charge.currency);
            if same { charge.amount } else { 0 }
        }
    }
}

impl ShardState {
    /// What redemptions have of a limit, by the counters.
    pub(crate) fn taken(&self, meter: &Meter, budget: Option<&Budget>) -> u64 {
        match meter {
            Meter::Total => self.total,
            Meter::Window(kind, first) => self.days.range(*first..=first.last_of(*kind)).map(|(_, used)| used).sum(),
            Meter::Budget => budget.and_then(|budget| self.charged.get(&budget.currency)).copied().unwrap_or_default(),
        }
    }

    /// This shard's part of a limit; where it has had none, what was used without counts as taken. It is never forgotten: its
    /// Campaign would take it for an answer that was lost, and say it again.
    pub(crate) fn portion(&mut self, meter: &Meter, rules: &Rules, now: Instant, defect: Option<Defect>) -> Portion {
        if let Some(kept) = self.portions.get(meter) {
            return kept.portion;
        }
        let portion = Portion::default().counted(self.taken(meter, rules.budget.as_ref()));
        self.put_portion(meter, portion, rules.budget.as_ref());
        if defect == Some(Defect::PortionForgotten) {
            let today = now.0.div_euclid(DAY_MS);
            self.portions.retain(|known, _| {
                known == meter || known.last_day().is_none_or(|last| i64::from(last.0) + FORGOTTEN_AFTER_DAYS > today)
            });
        }
        portion
    }

    pub(crate) fn put_portion(&mut self, meter: &Meter, portion: Portion, budget: Option<&Budget>) {
        let currency = budget.filter(|_| *meter == Meter::Budget).map(|budget| budget.currency.clone());
        let known = self.portions.get(meter).map(|kept| (kept.told, kept.surplus, kept.counts));
        let (told, surplus, counts) = known.unwrap_or((0, 0, true));
        self.portions.insert(*meter, Kept { portion, told, surplus, currency, counts });
    }

    /// A redemption takes its part.
    pub(crate) fn spend(&mut self, need: &Need) -> Result<(), Fault> {
        let kept = self.portions.get_mut(&need.meter).ok_or(Fault("a portion is missing"))?;
        kept.portion.spent += need.amount;
        let Portion { given, spent, refunded, returned, .. } = kept.portion;
        if given + refunded >= spent + returned { Ok(()) } else { Err(Fault("a portion is overspent")) }
    }

    /// A use is given back, to the portions of what it was charged to.
    pub(crate) fn refund(&mut self, charge: &Charge, now: Instant, defect: Option<Defect>) {
        let mut any = false;
        let times = if defect == Some(Defect::RefundedTwice) { 2 } else { 1 };
        for (meter, kept) in self.portions.iter_mut().filter(|(_, kept)| kept.counts) {
            let amount = match meter {
                Meter::Total => 1,
                Meter::Window(kind, first) if (*first..=first.last_of(*kind)).contains(&charge.day) => 1,
                Meter::Budget if kept.currency.as_ref() == Some(&charge.currency) => charge.amount,
                Meter::Window(..) | Meter::Budget => continue,
            };
            kept.portion.refunded += amount * times;
            // It is never free here: the limit may be another by now.
            if defect == Some(Defect::RefundKept) {
                kept.surplus += amount;
            } else {
                kept.portion.returned += amount * times;
            }
            any = true;
        }
        if any {
            self.due.plan(Item::Returns, now.plus_ms(RETURN_AFTER_MS), now);
        }
    }

    /// Returns everything that is free of a portion, but for so much.
    pub(crate) fn hand_back(
        &mut self,
        meter: &Meter,
        portion: Portion,
        kept: u64,
        rules: &Rules,
        now: Instant,
    ) -> Portion {
        let back = portion.hand_back(kept);
        self.put_portion(meter, back, rules.budget.as_ref());
        if let Some(row) = self.portions.get_mut(meter) {
            row.surplus = 0;
        }
        if back.returned > portion.returned {
            self.plan_return(now.plus_ms(TELL_AGAIN_MS), now);
        }
        back
    }

    pub(crate) fn plan_return(&mut self, at: Instant, now: Instant) {
        if self.due.items.get(&Item::Returns).is_none_or(|planned| planned.at > at) {
            self.due.plan(Item::Returns, at, now);
        }
    }

    /// The Campaign has heard of so much that was returned.
    pub(crate) fn told(&mut self, meter: &Meter, returned: u64) {
        if let Some(kept) = self.portions.get_mut(meter) {
            kept.told = kept.told.max(returned.min(kept.portion.returned));
        }
    }

    /// Brings the portions in line with new rules: what was used while a limit was not counted is taken off it, and of a
    /// limit that is another one now everything free goes back.
    pub(crate) fn adapt_portions(&mut self, old: Option<&Rules>, new: &Rules, now: Instant, defect: Option<Defect>) {
        let known: Vec<(Meter, Portion)> = self.portions.iter().map(|(meter, kept)| (*meter, kept.portion)).collect();
        for (meter, portion) in known {
            let taken = self.taken(&meter, new.budget.as_ref());
            let counted = if defect == Some(Defect::BaseForgotten) { portion } else { portion.counted(taken) };
            self.put_portion(&meter, counted, new.budget.as_ref());
            if let Some(kept) = self.portions.get_mut(&meter) {
                kept.counts = limit_of(new, &meter).is_some();
            }
            let other = old.and_then(|old| limit_of(old, &meter)) != limit_of(new, &meter);
            if other && defect != Some(Defect::LoweredKept) {
                self.hand_back(&meter, counted, 0, new, now);
                self.plan_return(now, now);
            }
        }
    }

    /// Takes a charge off the counters.
    pub(crate) fn uncount(&mut self, charge: &Charge, today: Day, defect: Option<Defect>) -> Result<(), Fault> {
        let negative = Fault("a counter would be negative");
        self.total = self.total.checked_sub(1).ok_or(negative.clone())?;
        let day = if defect == Some(Defect::ShardDayNow) { today } else { charge.day };
        let used = self.days.entry(day).or_default();
        *used = if defect == Some(Defect::ShardDayNow) {
            used.saturating_sub(1)
        } else {
            used.checked_sub(1).ok_or(negative.clone())?
        };
        let charged = self.charged.entry(charge.currency.clone()).or_default();
        *charged = charged.checked_sub(charge.amount).ok_or(negative)?;
        Ok(())
    }
}
