//! One run of one seed, and the search for the shortest run that still fails.

use crate::campaign_state::CampaignState;
use crate::defect::Defect;
use crate::due::Due;
use crate::fault::{Choice, Strike};
use crate::message::{Order, Party, Request, Wish};
use crate::oracle::Oracle;
use crate::oracle_end::tally;
use crate::outcome::Outcome;
use crate::scenario::Scenario;
use crate::step::Step;
use crate::world::{Settings, World};
use counterfoil_core::ids::IdKey;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::time::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// 2027-01-15T08:00:00Z.
const STARTED_AT: Instant = Instant(1_800_000_000_000);
/// Everything must have been decided this long after faults stop.
const SETTLE_MS: i64 = 120_000;
/// And everything else this long after that: the whole schedule of a fulfiller that says no, and late answers.
const END_MS: i64 = 10 * DAY_MS;
/// How often each object hears something in that time.
const LOOK_MS: i64 = 6 * 3_600_000;
/// How often each object hears something after faults have stopped: a lost alarm is healed by the next event.
const POKE_MS: i64 = 10_000;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Only these faults; as the seed says when absent.
    pub faults: Option<BTreeSet<Strike>>,
    /// Only these actions; all when absent.
    pub actions: Option<BTreeSet<usize>>,
    /// A planted defect.
    pub defect: Option<Defect>,
    /// Whether to tell what happens.
    pub trace: bool,
}

/// Runs a seed.
///
/// # Errors
/// Only when the constants of this file do not name a key and a merchant.
pub fn run(seed: u64, plan: &Plan) -> Result<Outcome, &'static str> {
    let id_key = IdKey::new(vec![7; 32]).ok_or("the id key is too short")?;
    let merchant = MerchantId::new("acme").map_err(|_| "the merchant's name is not legal")?;
    let scenario = Scenario::of(seed, &id_key, &merchant);
    let quiet_at = STARTED_AT.plus_ms(scenario.quiet_after_ms);
    let campaigns = scenario.campaigns.iter().map(|rules| CampaignState {
        rules: Rc::new(rules.clone()),
        shards: BTreeMap::new(),
        lots: BTreeMap::new(),
        due: Due::default(),
    });
    let world = World::new(Settings {
        seed,
        choice: plan.faults.clone().map_or(Choice::Seeded, Choice::Only),
        defect: plan.defect,
        trace: plan.trace,
        started_at: STARTED_AT,
        quiet_at,
        end_at: quiet_at.plus_ms(SETTLE_MS + END_MS),
        bias: scenario.bias.clone(),
        campaigns: campaigns.collect(),
        pools: scenario.pools,
        id_key,
        merchant,
        oracle: Oracle::new(&scenario),
        mrefs: scenario.mrefs,
    });
    let mut actions = Vec::new();
    for (number, action) in scenario.actions.into_iter().enumerate() {
        if plan.actions.as_ref().is_none_or(|these| these.contains(&number)) {
            actions.push(number);
            world.later(action.at_ms, move |world| world.act(number, action));
        }
    }
    for poke in 0..SETTLE_MS / POKE_MS {
        world.later(scenario.quiet_after_ms + poke * POKE_MS, move |world| {
            if poke > 0 && world.nothing_due() && world.nothing_armed() {
                world.finish_when_at_rest();
            }
            world.poke();
        });
    }
    // An administrator puts the endpoint right.
    world.later(scenario.quiet_after_ms + 1, |world| {
        drop(world.call(Party::Merchant, Step::Test, Request::EndpointTested));
    });
    let probes = scenario.probes;
    world.probing.set(!probes.is_empty());
    world.later(scenario.quiet_after_ms + SETTLE_MS, move |world| {
        let checked = world.oracle.borrow().check_settled(world);
        if let Err(violation) = checked {
            world.violated(violation);
        }
        world.probe(probes);
    });
    for look in 0..END_MS / LOOK_MS {
        world.later(scenario.quiet_after_ms + SETTLE_MS + 1 + look * LOOK_MS, |world| {
            world.cancel_open();
            // One late word that it is gone may have disabled it once more.
            drop(world.call(Party::Merchant, Step::Test, Request::EndpointTested));
            if world.nothing_due() && world.nothing_armed() {
                world.finish_when_at_rest();
            }
            world.poke();
        });
    }
    world.run();
    if !world.is_violated() {
        world.check_feeds();
        let checked = {
            let oracle = world.oracle.borrow();
            oracle.check_settled(&world).and_then(|()| oracle.check_end(&world))
        };
        if let Err(violation) = checked {
            world.violated(violation);
        }
    }
    let decided = tally(&world);
    let (violation, trace) = world.close();
    let faults = world.faults.borrow();
    Ok(Outcome { violation, struck: faults.struck.clone(), hits: faults.hits(), actions, decided, trace })
}

impl World {
    /// Whether no alarm will wake anybody soon. One that was armed by a clock that was ahead does no harm.
    pub(crate) fn nothing_armed(&self) -> bool {
        let soon = self.now().plus_ms(3_600_000);
        let armed = |alarm: Option<Instant>| alarm.is_some_and(|at| at < soon);
        !self.members.iter().any(|disk| armed(disk.read().due.alarm))
            && !self.shards.iter().any(|disk| armed(disk.read().due.alarm))
            && !self.campaigns.iter().any(|disk| armed(disk.read().due.alarm))
            && !self.pools.iter().any(|disk| armed(disk.read().due.alarm))
            && !armed(self.endpoint.read().due.alarm)
    }

    pub(crate) fn nothing_due(&self) -> bool {
        self.members.iter().all(|disk| disk.read().due.items.is_empty())
            && self.shards.iter().all(|disk| disk.read().due.items.is_empty())
            && self.campaigns.iter().all(|disk| disk.read().due.items.is_empty())
            && self.pools.iter().all(|disk| disk.read().due.items.is_empty())
            && self.endpoint.read().due.items.is_empty()
            && !self.endpoint.read().disabled
    }

    /// An operator ends what waits for a balance that nobody spends.
    fn cancel_open(&self) {
        for (member, disk) in self.members.iter().enumerate() {
            for rid in disk.safe().open.keys() {
                let wish = Wish::ResolveCancelled { unknown_outcome: false };
                let order = Order { wish, rid: *rid, index: 0, definition: None };
                drop(self.call(Party::Member(member), Step::Operate, Request::Operate(Rc::new(order))));
            }
        }
    }

    /// Something reads from every object.
    fn poke(&self) {
        let members = (0..self.members.len()).map(Party::Member);
        let shards = (0..self.shards.len()).map(Party::Shard);
        let campaigns = (0..self.campaigns.len()).map(Party::Campaign);
        let pools = (0..self.pools.len()).map(Party::Pool);
        for party in members.chain(shards).chain(campaigns).chain(pools).chain([Party::Merchant]) {
            drop(self.call(party, Step::Administer, Request::Read));
        }
    }
}

/// Takes faults and actions away as long as the same invariant still breaks.
///
/// # Errors
/// As [`run`].
pub fn shrink(seed: u64, plan: &Plan) -> Result<Plan, &'static str> {
    let first = run(seed, plan)?;
    let Some(violation) = first.violation else {
        return Ok(plan.clone());
    };
    let fails = |plan: &Plan| -> Result<bool, &'static str> {
        let found = run(seed, plan)?.violation;
        Ok(found.is_some_and(|found| found.invariant == violation.invariant))
    };
    let mut best = Plan {
        faults: Some(first.struck.into_iter().collect()),
        actions: Some(first.actions.into_iter().collect()),
        ..plan.clone()
    };
    loop {
        let before = (best.faults.clone(), best.actions.clone());
        for strike in best.faults.clone().unwrap_or_default() {
            let mut fewer = best.clone();
            fewer.faults = fewer.faults.map(|faults| faults.into_iter().filter(|kept| *kept != strike).collect());
            if fails(&fewer)? {
                best = fewer;
            }
        }
        for action in best.actions.clone().unwrap_or_default() {
            let mut fewer = best.clone();
            fewer.actions = fewer.actions.map(|actions| actions.into_iter().filter(|kept| *kept != action).collect());
            if fails(&fewer)? {
                best = fewer;
            }
        }
        if before == (best.faults.clone(), best.actions.clone()) {
            return Ok(best);
        }
    }
}
