//! A shard's portions of its campaign's limits, line by line as `edge/src/shard_portions.rs` runs them: before an intent joins
//! the group it is promised its part of each portion, in the group it is taken.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::message::{Allotted, Party, Reply, Request};
use crate::portion_store::RETURN_AFTER_MS;
use crate::shard::{Attempt, Outcome, Shard};
use crate::step::Step;
use crate::turns::Turns;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::protocol::portion::{Ask, Meter, Need, Portion};
use counterfoil_core::protocol::shard::PrepareStep;
use counterfoil_core::protocol::{Intent, PrepareAnswer};
use counterfoil_core::rules::Rules;
use counterfoil_core::time::{Instant, Utc};
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;

pub(crate) const CAMPAIGN_WAIT_MS: i64 = 5_000;
const COVER_WITHIN_MS: i64 = 6_000;
const PROMISED_LOOK_MS: i64 = 2;
const PROMISED_LOOKS: u32 = 250;

/// What is known of portions in memory only.
#[derive(Default)]
pub(crate) struct Portions {
    asking: Turns<Meter>,
    promised: RefCell<BTreeMap<Meter, u64>>,
    waiting: RefCell<BTreeMap<Meter, u64>>,
    draining: RefCell<BTreeMap<Meter, u32>>,
    said: RefCell<BTreeMap<Meter, Said>>,
    clock: Cell<u64>,
}

#[derive(Clone)]
struct Said {
    asked_at: u64,
    amount: u64,
    verdict: Verdict,
}

#[derive(Clone)]
enum Verdict {
    Exhausted,
    Unreached(Fault),
}

enum Obtained<'a> {
    Promise(Promise<'a>),
    Changed,
    Exhausted,
}

enum Asked<'a> {
    Promise(Promise<'a>),
    Changed,
    Exhausted,
    Later,
}

/// What is promised to an intent, while this lives.
pub(crate) struct Promise<'a>(Share<'a>);

struct Share<'a> {
    sums: &'a RefCell<BTreeMap<Meter, u64>>,
    need: Need,
}

impl<'a> Share<'a> {
    fn of(sums: &'a RefCell<BTreeMap<Meter, u64>>, need: &Need) -> Self {
        *sums.borrow_mut().entry(need.meter).or_default() += need.amount;
        Self { sums, need: *need }
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut sums = self.sums.borrow_mut();
        if let Some(sum) = sums.get_mut(&self.need.meter) {
            *sum = sum.saturating_sub(self.need.amount);
        }
        sums.retain(|_, sum| *sum > 0);
    }
}

struct Drain<'a>(&'a Portions, Meter);

impl Drop for Drain<'_> {
    fn drop(&mut self) {
        let mut draining = self.0.draining.borrow_mut();
        if let Some(count) = draining.get_mut(&self.1) {
            *count -= 1;
        }
        draining.retain(|_, count| *count > 0);
    }
}

impl Portions {
    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    fn promised(&self, meter: &Meter) -> u64 {
        self.promised.borrow().get(meter).copied().unwrap_or_default()
    }

    fn promise(&self, need: &Need, portion: Portion) -> Option<Promise<'_>> {
        self.net(&need.meter, portion).spend(need.amount)?;
        Some(Promise(Share::of(&self.promised, need)))
    }

    fn net(&self, meter: &Meter, portion: Portion) -> Portion {
        Portion { spent: portion.spent + self.promised(meter), ..portion }
    }

    fn is_draining(&self, meter: &Meter) -> bool {
        self.draining.borrow().contains_key(meter)
    }

    fn drain(&self, meter: Meter) -> Drain<'_> {
        *self.draining.borrow_mut().entry(meter).or_default() += 1;
        Drain(self, meter)
    }

    fn said(&self, need: &Need, since: u64) -> Option<Verdict> {
        let said = self.said.borrow();
        let said = said.get(&need.meter).filter(|said| said.asked_at > since && said.amount <= need.amount)?;
        Some(said.verdict.clone())
    }

    /// New rules: what was said by the old ones is no answer any more.
    pub(crate) fn forget_said(&self) {
        self.said.borrow_mut().clear();
    }
}

/// Whether a need decides anything beside limits of which nothing is left: one of a higher precedence does.
pub(crate) fn is_open(need: &Need, exhausted: &[Meter]) -> bool {
    !exhausted.iter().any(|meter| *meter == need.meter || meter.precedence() < need.meter.precedence())
}

impl Shard {
    /// Decides about an intent: at once where this shard is the only one, else with what its portions cover.
    pub(crate) async fn take_in(self: &Rc<Self>, intent: Rc<Intent>) -> Result<PrepareAnswer, Fault> {
        if self.rules().is_none_or(|rules| rules.shards <= 1) {
            return match self.enqueue(Attempt { intent, exhausted: vec![] }).await? {
                Outcome::Answer(answer) => Ok(answer),
                Outcome::Short => Err(Fault("the campaign has several shards by now")),
            };
        }
        let since = if self.world.has(Defect::SaidBelieved) { 0 } else { self.portions.tick() };
        let give_up_at = self.now().plus_ms(COVER_WITHIN_MS);
        let mut exhausted = vec![];
        loop {
            let promises = self.cover(&intent, &mut exhausted, since, give_up_at).await?;
            let attempt = Attempt { intent: Rc::clone(&intent), exhausted: exhausted.clone() };
            match self.enqueue(attempt).await? {
                Outcome::Answer(answer) => return Ok(answer),
                Outcome::Short if self.now() < give_up_at => {
                    exhausted.clear();
                    drop(promises);
                }
                Outcome::Short => return Err(Fault("the rules change too often")),
            }
        }
    }

    async fn cover(
        &self,
        intent: &Intent,
        exhausted: &mut Vec<Meter>,
        since: u64,
        give_up_at: Instant,
    ) -> Result<Vec<Promise<'_>>, Fault> {
        let (mut promises, mut version, mut looked) = (vec![], 0, false);
        while let (Some(rules), Some(code)) = (self.rules().filter(|rules| rules.shards > 1), intent.code()) {
            if rules.version != version {
                (promises, version) = (vec![], rules.version);
            }
            let mut needs = rules.needs(&Calendar::at(code.facts.at, &Utc));
            needs.retain(|need| is_open(need, exhausted));
            let promised =
                |need: &&Need| promises.iter().any(|promise: &Promise<'_>| promise.0.need.meter == need.meter);
            let Some(need) = needs.iter().find(|need| !promised(need)) else { break };
            if let Some(promise) = self.promise(need, &rules)? {
                promises.push(promise);
                continue;
            }
            if self.now() >= give_up_at {
                return Err(Fault("the campaign gives too little at a time"));
            }
            // What is refused anyway, or known already, asks for nothing.
            if !looked && !matches!(self.decide(intent, Some(vec![]))?, PrepareStep::Consume(_)) {
                return Ok(vec![]);
            }
            looked = true;
            match self.obtain(need, &rules, since).await? {
                Obtained::Promise(promise) => promises.push(promise),
                Obtained::Changed => {}
                Obtained::Exhausted => exhausted.push(need.meter),
            }
        }
        // It will be refused: what was promised to it is for others.
        Ok(if exhausted.is_empty() { promises } else { vec![] })
    }

    fn promise(&self, need: &Need, rules: &Rules) -> Result<Option<Promise<'_>>, Fault> {
        if self.portions.is_draining(&need.meter) {
            return Ok(None);
        }
        let now = self.now();
        let portion = self.storage.write(|state| state.portion(&need.meter, rules, now, self.world.defect))?;
        Ok(self.portions.promise(need, portion))
    }

    async fn obtain(&self, need: &Need, rules: &Rules, since: u64) -> Result<Obtained<'_>, Fault> {
        let _waiting = Share::of(&self.portions.waiting, need);
        let _turn = self.portions.asking.take(need.meter).await;
        while self.portions.is_draining(&need.meter) {
            self.world.delay(PROMISED_LOOK_MS).await;
        }
        let changed = || self.rules().is_none_or(|known| known.version != rules.version);
        if changed() {
            return Ok(Obtained::Changed);
        }
        if let Some(promise) = self.promise(need, rules)? {
            return Ok(Obtained::Promise(promise));
        }
        match self.portions.said(need, since) {
            Some(Verdict::Exhausted) => return Ok(Obtained::Exhausted),
            Some(Verdict::Unreached(fault)) => return Err(fault),
            None => {}
        }
        let asked_at = self.portions.tick();
        let verdict = match self.ask_for(need, rules).await {
            Ok(Asked::Promise(promise)) => {
                self.portions.said.borrow_mut().remove(&need.meter);
                return Ok(Obtained::Promise(promise));
            }
            // What was said by other limits is no answer.
            Ok(Asked::Changed) => return Ok(Obtained::Changed),
            _ if changed() => return Ok(Obtained::Changed),
            Ok(Asked::Exhausted) => Verdict::Exhausted,
            Ok(Asked::Later) => Verdict::Unreached(Fault("another shard of the campaign is out of reach")),
            Err(fault) => Verdict::Unreached(fault),
        };
        let said = Said { asked_at, amount: need.amount, verdict: verdict.clone() };
        self.portions.said.borrow_mut().insert(need.meter, said);
        match verdict {
            Verdict::Exhausted => Ok(Obtained::Exhausted),
            Verdict::Unreached(fault) => Err(fault),
        }
    }

    async fn ask_for(&self, need: &Need, rules: &Rules) -> Result<Asked<'_>, Fault> {
        let now = self.now();
        let portion = self.storage.write(|state| state.portion(&need.meter, rules, now, self.world.defect))?;
        let waiting = self.portions.waiting.borrow().get(&need.meter).copied().unwrap_or_default();
        let ask = Ask { need: *need, waiting, portion: self.portions.net(&need.meter, portion) };
        let version = rules.version;
        let request = Request::Ask { shard: self.own, version, ask };
        let Reply::Allotted(allotted) = self.ask_campaign(Step::Ask, request).await? else {
            return Err(Fault("a portion was expected"));
        };
        if let Allotted::Given(given) = allotted {
            let now = self.now();
            let rules = self.rules().ok_or(Fault("a shard without rules"))?;
            let heard = self.storage.transaction(Step::Given, |state| {
                let heard = state.portion(&need.meter, &rules, now, self.world.defect).hear(given);
                state.put_portion(&need.meter, heard, rules.budget.as_ref());
                state.told(&need.meter, portion.returned);
                // Given by an older limit, it may be more than the present one allows.
                let kept = rules.version == version;
                Ok(if kept { heard } else { state.hand_back(&need.meter, heard, 0, &rules, now) })
            })?;
            return Ok(self.portions.promise(need, heard).map_or(Asked::Changed, Asked::Promise));
        }
        self.storage.write(|state| state.told(&need.meter, portion.returned))?;
        Ok(match allotted {
            Allotted::Given(_) | Allotted::Changed => {
                self.pull().await?;
                Asked::Changed
            }
            Allotted::Exhausted => Asked::Exhausted,
            Allotted::Later => Asked::Later,
        })
    }

    async fn ask_campaign(&self, step: Step, request: Request) -> Result<Reply, Fault> {
        let asking = self.world.call(Party::Campaign(self.campaign), step, request);
        match select(asking, pin!(self.world.delay(CAMPAIGN_WAIT_MS))).await {
            Either::Left((answer, _)) => answer.unwrap_or(Err(Fault("the connection broke"))),
            Either::Right(_) => Err(Fault("the campaign did not answer in time")),
        }
    }

    /// The Campaign wants everything back that is free of a meter, for somebody else.
    pub(crate) async fn hand_back(
        &self,
        meter: Meter,
        (given, heard): (u64, u64),
        version: u32,
    ) -> Result<Reply, Fault> {
        if self.rules().is_none_or(|rules| rules.version < version) {
            self.pull().await?;
        }
        let rules = self.rules().filter(|rules| rules.version >= version);
        rules.ok_or(Fault("a shard that cannot get its rules"))?;
        let _drain = self.portions.drain(meter);
        let mut looks = 0;
        while self.portions.promised(&meter) > 0 && looks < PROMISED_LOOKS {
            self.world.delay(PROMISED_LOOK_MS).await;
            looks += 1;
        }
        let (promised, now) = (self.portions.promised(&meter), self.now());
        let rules = self.rules().ok_or(Fault("a shard without rules"))?;
        let unwritten = self.world.has(Defect::HandedBackUnwritten);
        let portion = self.storage.transaction(Step::HandedBack, |state| {
            let given = if self.world.has(Defect::HandedBackUnheard) { 0 } else { given };
            let heard_of = state.portion(&meter, &rules, now, self.world.defect).hear(given);
            if unwritten {
                state.put_portion(&meter, heard_of, rules.budget.as_ref());
                return Ok(heard_of.hand_back(promised));
            }
            state.told(&meter, heard);
            Ok(state.hand_back(&meter, heard_of, promised, &rules, now))
        })?;
        Ok(Reply::HandedBack { portion: self.portions.net(&meter, portion), complete: promised == 0 })
    }

    /// The alarm: returns what came back, and tells the Campaign until it has heard.
    pub(crate) async fn return_surplus(&self) -> Result<(), Fault> {
        let returned: Vec<(Meter, Portion)> = self.storage.transaction(Step::Surplus, |state| {
            for (meter, kept) in &mut state.portions {
                let may = kept.portion.free().saturating_sub(self.portions.promised(meter));
                kept.portion.returned += kept.surplus.min(may);
                kept.surplus = 0;
            }
            let untold = state.portions.iter().filter(|(_, kept)| kept.portion.returned > kept.told);
            Ok(untold.map(|(meter, kept)| (*meter, kept.portion)).collect())
        })?;
        if !returned.is_empty() {
            let request = Request::Returned { shard: self.own, portions: Rc::new(returned.clone()) };
            self.ask_campaign(Step::Returned, request).await?;
        }
        let now = self.now();
        self.storage.write(|state| {
            for (meter, portion) in &returned {
                state.told(meter, portion.returned);
            }
            if state.portions.values().any(|kept| kept.portion.returned > kept.told || kept.surplus > 0) {
                state.due.plan(Item::Returns, now.plus_ms(RETURN_AFTER_MS), now);
            } else {
                state.due.done(Item::Returns);
            }
        })
    }
}
