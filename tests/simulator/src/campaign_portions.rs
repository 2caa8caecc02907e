//! Portions of a campaign's limits, given out to its shards, as `edge/src/campaign_portions.rs` gives them.

use crate::campaign::Campaign;
use crate::campaign_state::CampaignState;
use crate::defect::Defect;
use crate::disk::Fault;
use crate::message::{Allotted, Reply, Request};
use crate::portion_store::limit_of;
use crate::step::Step;
use crate::turns::Turns;
use counterfoil_core::protocol::portion::{Allotment, Ask, Lot, Meter, Portion, allot};
use counterfoil_core::time::Instant;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const PAUSE_MS: i64 = 1;
const PAUSE_MS_MIN: i64 = 20;
/// Rounds for one request, while others are given something.
const ROUNDS_MAX: u32 = 3;

/// What is known of portions in memory only.
#[derive(Default)]
pub(crate) struct Portions {
    turns: Turns<Meter>,
    rounds: RefCell<BTreeMap<Meter, Round>>,
    clock: Cell<u64>,
    /// When something of a meter was last given.
    given_at: RefCell<BTreeMap<Meter, u64>>,
}

/// A round of recalls: every shard was asked to return what is free of a meter.
#[derive(Clone, Copy)]
struct Round {
    begun: u64,
    ended_at: Instant,
    asked: i64,
    dry: bool,
}

impl Portions {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn round(&self, meter: &Meter) -> Option<Round> {
        self.rounds.borrow().get(meter).copied()
    }
}

impl CampaignState {
    /// What shards may have taken or may still take of a meter.
    pub(crate) fn out(&self, meter: &Meter) -> u64 {
        self.lots.iter().filter(|((known, _), _)| known == meter).map(|(_, row)| row.lot.out()).sum()
    }

    fn lot(&self, meter: &Meter, shard: u32) -> Lot {
        self.lots.get(&(*meter, shard)).map(|row| row.lot).unwrap_or_default()
    }

    fn has_told(&self, meter: &Meter, shard: u32, version: u32) -> bool {
        self.lots.get(&(*meter, shard)).is_some_and(|row| row.version >= version)
    }

    fn all_told(&self, meter: &Meter, version: u32) -> bool {
        self.shards.keys().all(|shard| self.has_told(meter, *shard, version))
    }

    fn limit(&self, meter: &Meter, version: u32) -> Option<(u64, u32)> {
        let rules = Some(&self.rules).filter(|rules| rules.version == version)?;
        limit_of(rules, meter).map(|(limit, _)| (limit, rules.shards))
    }

    /// A shard has told its part of a meter, by the rules of this version at least.
    fn hear(&mut self, meter: &Meter, shard: u32, portion: &Portion, version: u32) {
        let row = self.lots.entry((*meter, shard)).or_default();
        row.lot = row.lot.hear(portion);
        row.version = row.version.max(version);
    }
}

impl Campaign {
    pub(crate) async fn allotted(&self, shard: u32, version: u32, mut ask: Ask) -> Result<Reply, Fault> {
        let meter = ask.need.meter;
        let arrived = self.portions.tick();
        if self.storage.read()?.limit(&meter, version).is_none() {
            return Ok(Reply::Allotted(Allotted::Changed));
        }
        self.storage.transaction(Step::Told, |state| {
            state.hear(&meter, shard, &ask.portion, version);
            Ok(())
        })?;
        if let Some(allotted) = self.give(shard, version, &ask)? {
            return Ok(Reply::Allotted(allotted));
        }
        let _turn = self.portions.turns.take(meter).await;
        // Others may have been asked for somebody else while this one waited.
        if let Some(allotted) = self.give(shard, version, &ask)? {
            return Ok(Reply::Allotted(allotted));
        }
        let arrived = if self.world.has(Defect::DryForEver) { 0 } else { arrived };
        if self.portions.round(&meter).is_some_and(|round| round.dry && round.begun > arrived) {
            return Ok(Reply::Allotted(Allotted::Exhausted));
        }
        for _ in 0..ROUNDS_MAX {
            self.pause(&meter).await;
            let complete = self.call_in(&meter, version, (shard, &mut ask)).await?;
            if let Some(allotted) = self.give(shard, version, &ask)? {
                return Ok(Reply::Allotted(allotted));
            }
            let all = complete && self.storage.read()?.all_told(&meter, version);
            if !all && !self.world.has(Defect::SilenceIsDry) {
                return Ok(Reply::Allotted(Allotted::Later));
            }
            // What was given since a shard has answered may be left yet.
            let given_at = self.portions.given_at.borrow().get(&meter).copied().unwrap_or_default();
            let begun = self.portions.round(&meter).map_or(0, |round| round.begun);
            if given_at <= begun || self.world.has(Defect::GivenMeanwhile) {
                if let Some(round) = self.portions.rounds.borrow_mut().get_mut(&meter) {
                    round.dry = true;
                }
                return Ok(Reply::Allotted(Allotted::Exhausted));
            }
        }
        Ok(Reply::Allotted(Allotted::Later))
    }

    async fn pause(&self, meter: &Meter) {
        if let Some(last) = self.portions.round(meter) {
            let pause = PAUSE_MS_MIN.max(last.asked * PAUSE_MS);
            let rest = pause - (self.now().0 - last.ended_at.0);
            if (1..=pause).contains(&rest) {
                self.world.delay(rest).await;
            }
        }
    }

    pub(crate) fn returned(&self, shard: u32, portions: &[(Meter, Portion)]) -> Result<Reply, Fault> {
        self.storage.transaction(Step::Told, |state| {
            for (meter, portion) in portions {
                state.hear(meter, shard, portion, 0);
            }
            Ok(Reply::Done)
        })
    }

    /// Gives what a shard asks for, where so much is free and every shard has told its part.
    fn give(&self, shard: u32, version: u32, ask: &Ask) -> Result<Option<Allotted>, Fault> {
        let meter = ask.need.meter;
        let (limit, shards) = match self.storage.read()?.limit(&meter, version) {
            Some(limit) => limit,
            None => return Ok(Some(Allotted::Changed)),
        };
        let blind = self.world.has(Defect::BaseUnasked);
        if !self.storage.read()?.all_told(&meter, version) && !blind {
            return Ok(None);
        }
        let (mine, out) = (self.storage.read()?.lot(&meter, shard), self.storage.read()?.out(&meter));
        let out = if self.world.has(Defect::OthersUncounted) { mine.out() } else { out };
        let Allotment::Given(given) = allot(limit, mine, out, shards, ask) else {
            return Ok(None);
        };
        self.storage.transaction(Step::Allotted, |state| {
            let row = state.lots.get_mut(&(meter, shard)).ok_or(Fault("a lot is missing"))?;
            if !self.world.has(Defect::GivenUncounted) {
                row.lot.given = given;
            }
            row.by_limit = limit;
            Ok(())
        })?;
        if let Some(round) = self.portions.rounds.borrow_mut().get_mut(&meter) {
            round.dry = false;
        }
        let tick = self.portions.tick();
        self.portions.given_at.borrow_mut().insert(meter, tick);
        Ok(Some(Allotted::Given(given)))
    }

    /// Asks every shard that has something of a meter, or has not told its part of it, to return what is free. Answers
    /// whether all have; `asking` learns what its own shard has left.
    async fn call_in(&self, meter: &Meter, version: u32, asking: (u32, &mut Ask)) -> Result<bool, Fault> {
        let begun = self.portions.tick();
        let (asker, ask) = asking;
        let mut asked = vec![];
        {
            let state = self.storage.read()?;
            for shard in state.shards.keys() {
                let lot = state.lot(meter, *shard);
                if lot.out() > 0 || !state.has_told(meter, *shard, version) {
                    let (given, heard) = (lot.given, lot.returned);
                    asked.push((*shard, Request::HandBack { meter: *meter, given, heard, version }));
                }
            }
        }
        let count = asked.len();
        let mut waiting = count;
        self.ask_each(Step::HandBack, asked, |shard, reply| {
            let Reply::HandedBack { portion, complete } = reply else { return Ok(()) };
            waiting -= usize::from(complete);
            if shard == asker {
                ask.portion = portion;
            }
            self.storage.transaction(Step::Told, |state| {
                state.hear(meter, shard, &portion, version);
                Ok(())
            })
        })
        .await?;
        let asked = i64::try_from(count).unwrap_or_default();
        self.portions.rounds.borrow_mut().insert(*meter, Round { begun, ended_at: self.now(), asked, dry: false });
        Ok(waiting == 0)
    }
}
