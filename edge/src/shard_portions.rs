//! A shard's portions of its campaign's limits, where several shards share them (`core::protocol::portion`).
//!
//! Before an intent joins the group it is promised its part of each portion, and whatever is lacking is asked of the
//! Campaign; in the group it is taken. What is promised is handed back to nobody, so that each unit that is given for an
//! intent is used by one. Promises are made in the order of the rules' needs, everywhere the same: whoever waits for one
//! waits only for those who wait for a later one.

use crate::calls::CampaignOp;
use crate::campaign_portions::{Allotted, PortionOf, PortionOp};
use crate::due;
use crate::objects::{Objects, read_json, within};
use crate::platform::{Fault, now};
use crate::shard::{Attempt, Inner, Outcome};
use crate::shard_store::ShardStore;
use crate::sql::{Row, first, query, run};
use crate::turns::Turns;
use counterfoil_core::calendar::Calendar;
use counterfoil_core::protocol::portion::{Ask, Meter, Need, Portion};
use counterfoil_core::protocol::shard::PrepareStep;
use counterfoil_core::protocol::{Intent, PrepareAnswer};
use counterfoil_core::rules::Rules;
use counterfoil_core::time::Instant;
use counterfoil_core::wire::Budget;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;
use worker::Delay;

/// Due-item that tells the Campaign what was returned.
pub(crate) const RETURN_ITEM: &str = "returns";
/// Longest wait for the Campaign, which may have to ask every other shard.
const CAMPAIGN_WAIT: Duration = Duration::from_secs(5);
/// How long an intent goes on asking; less than its Member waits.
const COVER_WITHIN_MS: i64 = 6_000;
/// The Campaign is told of what came back this much later, together with what else came back.
const RETURN_AFTER_MS: i64 = 200;
/// What the Campaign may have heard already is told again this much later.
const TELL_AGAIN_MS: i64 = 5_000;
/// How often what is promised is looked at by one who waits for it, and how many times.
const PROMISED_LOOK: Duration = Duration::from_millis(2);
const PROMISED_LOOKS: u32 = 250;

/// Part of a shard's schema.
pub(crate) const PORTIONS_SCHEMA: &str = "CREATE TABLE IF NOT EXISTS portions (
    meter TEXT PRIMARY KEY, first_day INTEGER, last_day INTEGER, currency TEXT, base INTEGER NOT NULL, given INTEGER NOT NULL,
    spent INTEGER NOT NULL, refunded INTEGER NOT NULL, returned INTEGER NOT NULL,
    -- What the Campaign is known to have heard of.
    told INTEGER NOT NULL DEFAULT 0,
    -- Whether there is such a limit just now. What is used and given back without one is made up for when it comes again.
    counts INTEGER NOT NULL DEFAULT 1 CHECK (counts IN (0, 1)),
    CHECK (given + refunded >= spent + returned AND told <= returned)
) STRICT, WITHOUT ROWID";

/// What is known of portions in memory only.
#[derive(Default)]
pub(crate) struct Portions {
    /// One request at a time for each meter, shared by all who wait for it.
    asking: Turns<Meter>,
    /// Told off to intents that are on their way into the group.
    promised: RefCell<HashMap<Meter, u64>>,
    /// What those need who wait.
    waiting: RefCell<HashMap<Meter, u64>>,
    /// Meters that are being handed back: nothing of them is promised meanwhile.
    draining: RefCell<HashMap<Meter, u32>>,
    /// What the Campaign last said of a meter that it gave nothing of.
    said: RefCell<HashMap<Meter, Said>>,
    /// Counts events, so that a word said of one is believed by those only who were there before it was asked for.
    clock: Cell<u64>,
}

#[derive(Clone)]
struct Said {
    /// When it was asked for, by [`Portions::clock`].
    asked_at: u64,
    /// For how much.
    amount: u64,
    verdict: Verdict,
}

#[derive(Clone)]
enum Verdict {
    Exhausted,
    Unreached(Fault),
}

/// How a request for a portion ended.
enum Obtained<'a> {
    /// With so much as was needed.
    Promise(Promise<'a>),
    /// Look again.
    Changed,
    /// Nothing is left anywhere.
    Exhausted,
}

/// See [`Inner::ask_for`].
enum Asked<'a> {
    Promise(Promise<'a>),
    /// The rules are others by now, or what was given was not enough any more.
    Changed,
    Exhausted,
    /// A shard that may have something left is out of reach.
    Later,
}

/// What is promised to an intent, while this lives.
pub(crate) struct Promise<'a>(Share<'a>);

/// An intent's share in a sum over intents, while this lives.
struct Share<'a> {
    sums: &'a RefCell<HashMap<Meter, u64>>,
    need: Need,
}

impl<'a> Share<'a> {
    fn of(sums: &'a RefCell<HashMap<Meter, u64>>, need: &Need) -> Self {
        let mut all = sums.borrow_mut();
        let sum = all.entry(need.meter).or_default();
        *sum = sum.saturating_add(need.amount);
        drop(all);
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

/// A meter that is being handed back, while this lives.
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

    /// Promises what is needed, where so much is free that is promised to nobody else.
    fn promise(&self, need: &Need, portion: Portion) -> Option<Promise<'_>> {
        self.net(&need.meter, portion).spend(need.amount)?;
        Some(Promise(Share::of(&self.promised, need)))
    }

    /// A portion as if what is promised were spent.
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

    /// What was last said of a meter, where it was asked for later than `since` and for no more.
    fn said(&self, need: &Need, since: u64) -> Option<Verdict> {
        let said = self.said.borrow();
        let said = said.get(&need.meter).filter(|said| said.asked_at > since && said.amount <= need.amount)?;
        Some(said.verdict.clone())
    }
}

impl ShardStore<'_> {
    /// This shard's part of a limit; where it has had none, what was used without counts as taken. It is kept when its window is
    /// long over: to its Campaign a shard that has forgotten it would be one that has not heard of it, and is told again.
    pub(crate) fn portion(&self, meter: &Meter, rules: &Rules) -> Result<Portion, Fault> {
        if let Some(portion) = self.known_portion(meter)? {
            return Ok(portion);
        }
        let portion = Portion::default().counted(self.taken(meter, rules.budget.as_ref())?);
        self.put_portion(meter, &portion, rules.budget.as_ref())?;
        Ok(portion)
    }

    /// This shard's part of a limit, where it has had one.
    fn known_portion(&self, meter: &Meter) -> Result<Option<Portion>, Fault> {
        let statement = "SELECT base, given, spent, refunded, returned FROM portions WHERE meter = ?";
        Ok(first(self.0, statement, &[(&meter.name()).into()])?.as_ref().map(portion))
    }

    fn put_portion(&self, meter: &Meter, portion: &Portion, budget: Option<&Budget>) -> Result<(), Fault> {
        let days = match meter {
            Meter::Window(kind, first) => Some((i64::from(first.0), i64::from(first.last_of(*kind).0))),
            Meter::Total | Meter::Budget => None,
        };
        let currency = budget.filter(|_| *meter == Meter::Budget).map(|budget| budget.currency.as_str());
        run(
            self.0,
            "INSERT INTO portions (meter, first_day, last_day, currency, base, given, spent, refunded, returned)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (meter) DO UPDATE SET currency = excluded.currency, base = excluded.base, given = excluded.given,
             spent = excluded.spent, refunded = excluded.refunded, returned = excluded.returned",
            &[
                (&meter.name()).into(),
                days.map(|(first, _)| first).into(),
                days.map(|(_, last)| last).into(),
                currency.into(),
                portion.base.into(),
                portion.given.into(),
                portion.spent.into(),
                portion.refunded.into(),
                portion.returned.into(),
            ],
        )
        .map(drop)
    }

    /// A redemption takes its part. Run inside the transaction that takes the use.
    pub(crate) fn spend(&self, need: &Need) -> Result<(), Fault> {
        let statement = "UPDATE portions SET spent = spent + ? WHERE meter = ? RETURNING meter";
        if run(self.0, statement, &[need.amount.into(), (&need.meter.name()).into()])? {
            Ok(())
        } else {
            Err(Fault::new("a portion is missing"))
        }
    }

    /// A use is given back, to the portions of what it was charged to, and returned at once: it may be more than a limit that
    /// was lowered since allows, so only the Campaign says who may have it.
    pub(crate) fn refund(&self, day: i64, currency: &str, charge: u64) -> Result<(), Fault> {
        let statement = "UPDATE portions SET refunded = refunded + CASE WHEN meter = 'budget' THEN ?3 ELSE 1 END,
            returned = returned + CASE WHEN meter = 'budget' THEN ?3 ELSE 1 END
            WHERE counts = 1 AND (meter = 'total' OR ?1 BETWEEN first_day AND last_day OR currency = ?2) RETURNING meter";
        if run(self.0, statement, &[day.into(), currency.into(), charge.into()])? {
            due::plan(self.0, RETURN_ITEM, now().plus_ms(RETURN_AFTER_MS))?;
        }
        Ok(())
    }

    /// Returns everything that is free of a portion, but for so much. Run inside a transaction.
    fn hand_back(&self, meter: &Meter, portion: Portion, kept: u64, rules: &Rules) -> Result<Portion, Fault> {
        let back = portion.hand_back(kept);
        self.put_portion(meter, &back, rules.budget.as_ref())?;
        if back.returned > portion.returned {
            self.plan_return(now().plus_ms(TELL_AGAIN_MS))?;
        }
        Ok(back)
    }

    fn plan_return(&self, at: Instant) -> Result<(), Fault> {
        match due::at(self.0, RETURN_ITEM)? {
            Some(planned) if planned <= at => Ok(()),
            Some(_) | None => due::plan(self.0, RETURN_ITEM, at),
        }
    }

    /// The Campaign has heard of so much that was returned.
    fn told(&self, meter: &Meter, returned: u64) -> Result<(), Fault> {
        let statement = "UPDATE portions SET told = min(?2, returned) WHERE meter = ?1 AND told < ?2";
        run(self.0, statement, &[(&meter.name()).into(), returned.into()]).map(drop)
    }

    /// Brings the portions in line with new rules: what was used while a limit was not counted is taken off it, and of a
    /// limit that is another one now everything free goes back. Run in the transaction that stores the rules.
    pub(crate) fn adapt_portions(&self, old: Option<&Rules>, new: &Rules) -> Result<(), Fault> {
        for row in query(self.0, "SELECT base, given, spent, refunded, returned, meter, counts FROM portions", &[])? {
            let Some(meter) = Meter::named(&row.text(5)?) else { continue };
            let known = portion(&row);
            let counted = known.counted(self.taken(&meter, new.budget.as_ref())?);
            // Most are of windows that are long over.
            if counted != known || meter == Meter::Budget {
                self.put_portion(&meter, &counted, new.budget.as_ref())?;
            }
            let counts = u32::from(limit_of(new, &meter).is_some());
            if counts != row.number(6) {
                let statement = "UPDATE portions SET counts = ?2 WHERE meter = ?1";
                run(self.0, statement, &[(&meter.name()).into(), counts.into()])?;
            }
            if old.and_then(|old| limit_of(old, &meter)) != limit_of(new, &meter) {
                self.hand_back(&meter, counted, 0, new)?;
                self.plan_return(now())?;
            }
        }
        Ok(())
    }

    /// Portions as they are stored, with what the Campaign is known to have heard of; all of them, or those with news for it.
    pub(crate) fn portions(&self, news: bool) -> Result<Vec<(Meter, Portion, u64)>, Fault> {
        let statement = "SELECT base, given, spent, refunded, returned, meter, told FROM portions
            WHERE ?1 = 0 OR returned > told";
        let rows = query(self.0, statement, &[u32::from(news).into()])?;
        let read = |row: &Row| Some((Meter::named(&row.text(5).ok()?)?, portion(row), row.count(6)));
        Ok(rows.iter().filter_map(read).collect())
    }
}

/// Whether a need decides anything beside limits of which nothing is left: one of a higher precedence does.
pub(crate) fn is_open(need: &Need, exhausted: &[Meter]) -> bool {
    !exhausted.iter().any(|meter| *meter == need.meter || meter.precedence() < need.meter.precedence())
}

/// By its first five columns.
fn portion(row: &Row) -> Portion {
    Portion {
        base: row.count(0),
        given: row.count(1),
        spent: row.count(2),
        refunded: row.count(3),
        returned: row.count(4),
    }
}

/// The limit that is counted by a meter, and its currency where it has one.
pub(crate) fn limit_of<'a>(rules: &'a Rules, meter: &Meter) -> Option<(u64, &'a str)> {
    meter.limit(rules.total, &rules.windows, rules.budget.as_ref())
}

/// A shard has handed back what was free of a meter.
#[derive(Serialize, Deserialize)]
pub(crate) struct HandedBack {
    /// Its portion after that, as if what is promised to intents were spent.
    pub(crate) portion: Portion,
    /// Whether nothing is promised to intents, who may yet leave it.
    pub(crate) complete: bool,
}

/// What redemptions have of meters at a shard, in the order asked.
#[derive(Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) taken: Vec<u64>,
}

impl Inner {
    /// Decides about an intent: at once where this shard is the only one, else with what its portions cover.
    pub(crate) async fn take_in(self: &Rc<Self>, intent: Intent) -> Result<PrepareAnswer, Fault> {
        if self.rules().is_none_or(|rules| rules.shards <= 1) {
            return match self.enqueue(Attempt { intent, exhausted: vec![] }).await? {
                Outcome::Answer(answer) => Ok(answer),
                Outcome::Short => Err(Fault::late("the campaign has several shards by now")),
            };
        }
        let since = self.portions.tick();
        let give_up_at = now().plus_ms(COVER_WITHIN_MS);
        let mut exhausted = vec![];
        loop {
            let promises = self.cover(&intent, &mut exhausted, since, give_up_at).await?;
            let attempt = Attempt { intent: intent.clone(), exhausted: exhausted.clone() };
            match self.enqueue(attempt).await? {
                Outcome::Answer(answer) => return Ok(answer),
                Outcome::Short if now() < give_up_at => {
                    // Something has come back, or the rules are others: what was said is said again.
                    exhausted.clear();
                    drop(promises);
                }
                Outcome::Short => return Err(Fault::late("the rules change too often")),
            }
        }
    }

    /// Makes sure that this shard's portions cover an intent, as far as the campaign has anything left.
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
            let mut needs = rules.needs(&self.calendar(&rules, code.facts.at));
            needs.retain(|need| is_open(need, exhausted));
            let promised =
                |need: &&Need| promises.iter().any(|promise: &Promise<'_>| promise.0.need.meter == need.meter);
            let Some(need) = needs.iter().find(|need| !promised(need)) else { break };
            if let Some(promise) = self.promise(need, &rules)? {
                promises.push(promise);
                continue;
            }
            if now() >= give_up_at {
                return Err(Fault::late("the campaign gives too little at a time"));
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
        let portion = self.storage.transaction(|| self.store().portion(&need.meter, rules))?;
        Ok(self.portions.promise(need, portion))
    }

    /// Asks the Campaign for what is lacking, unless somebody else has just done so.
    async fn obtain(&self, need: &Need, rules: &Rules, since: u64) -> Result<Obtained<'_>, Fault> {
        let _waiting = Share::of(&self.portions.waiting, need);
        let _turn = self.portions.asking.take(need.meter).await;
        // Meanwhile this shard may have nothing; right after it has what nobody was promised.
        while self.portions.is_draining(&need.meter) {
            Delay::from(PROMISED_LOOK).await;
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
            Ok(Asked::Later) => Verdict::Unreached(Fault::late("another shard of the campaign is out of reach")),
            Err(fault) => Verdict::Unreached(fault),
        };
        let said = Said { asked_at, amount: need.amount, verdict: verdict.clone() };
        self.portions.said.borrow_mut().insert(need.meter, said);
        match verdict {
            Verdict::Exhausted => Ok(Obtained::Exhausted),
            Verdict::Unreached(fault) => Err(fault),
        }
    }

    /// One request, and what it brings.
    async fn ask_for(&self, need: &Need, rules: &Rules) -> Result<Asked<'_>, Fault> {
        let (campaign, shard) = self.campaign()?;
        let portion = self.storage.transaction(|| self.store().portion(&need.meter, rules))?;
        let waiting = self.portions.waiting.borrow().get(&need.meter).copied().unwrap_or_default();
        let ask = Ask { need: *need, waiting, portion: self.portions.net(&need.meter, portion) };
        let version = rules.version;
        let op = CampaignOp::Portion(PortionOp::Ask { shard, version, ask });
        let allotted: Allotted = self.ask_campaign(&campaign, &op).await?;
        if let Allotted::Given(given) = allotted {
            let heard = self.storage.transaction(|| {
                let store = self.store();
                let rules = self.rules().ok_or_else(|| Fault::new("a shard without rules"))?;
                let heard = store.portion(&need.meter, &rules)?.hear(given);
                store.put_portion(&need.meter, &heard, rules.budget.as_ref())?;
                store.told(&need.meter, portion.returned)?;
                // Given by an older limit, it may be more than the present one allows.
                if rules.version == version { Ok(heard) } else { store.hand_back(&need.meter, heard, 0, &rules) }
            })?;
            return Ok(self.portions.promise(need, heard).map_or(Asked::Changed, Asked::Promise));
        }
        self.storage.transaction(|| self.store().told(&need.meter, portion.returned))?;
        Ok(match allotted {
            Allotted::Given(_) | Allotted::Changed => {
                self.pull().await?;
                Asked::Changed
            }
            Allotted::Exhausted => Asked::Exhausted,
            Allotted::Later => Asked::Later,
        })
    }

    /// New rules: what was said by the old ones is no answer any more.
    pub(crate) fn forget_said(&self) {
        self.portions.said.borrow_mut().clear();
    }

    async fn ask_campaign<T: serde::de::DeserializeOwned>(&self, name: &str, op: &CampaignOp) -> Result<T, Fault> {
        let objects = Objects(&self.env);
        within(CAMPAIGN_WAIT, "the campaign", async { read_json(objects.campaign(name, op).await?).await }).await
    }

    /// The Campaign wants everything back that is free of a meter, for somebody else; `given` is what it has given, of
    /// which this shard may not have heard, `heard` what it has heard of being returned.
    pub(crate) async fn hand_back(
        &self,
        meter: Meter,
        (given, heard): (u64, u64),
        version: u32,
    ) -> Result<HandedBack, Fault> {
        if self.rules().is_none_or(|rules| rules.version < version) {
            self.pull().await?;
        }
        let rules = self.rules().filter(|rules| rules.version >= version);
        rules.ok_or_else(|| Fault::new("a shard that cannot get its rules"))?;
        let _drain = self.portions.drain(meter);
        let mut looks = 0;
        // Each of those who were promised something of it is about to take it, or to leave it.
        while self.portions.promised(&meter) > 0 && looks < PROMISED_LOOKS {
            Delay::from(PROMISED_LOOK).await;
            looks += 1;
        }
        let promised = self.portions.promised(&meter);
        let portion = self.storage.transaction(|| {
            let store = self.store();
            let rules = self.rules().ok_or_else(|| Fault::new("a shard without rules"))?;
            let heard_of = store.portion(&meter, &rules)?.hear(given);
            store.told(&meter, heard)?;
            store.hand_back(&meter, heard_of, promised, &rules)
        })?;
        Ok(HandedBack { portion: self.portions.net(&meter, portion), complete: promised == 0 })
    }

    /// The alarm: tells the Campaign what was returned until it has heard.
    pub(crate) async fn tell_returned(&self) -> Result<(), Fault> {
        let returned = self.store().portions(true)?;
        if !returned.is_empty() {
            let (campaign, shard) = self.campaign()?;
            let portions = returned.iter().map(|(meter, portion, _)| PortionOf { meter: *meter, portion: *portion });
            let op = CampaignOp::Portion(PortionOp::Returned { shard, portions: portions.collect() });
            self.ask_campaign::<serde_json::Value>(&campaign, &op).await?;
        }
        self.storage.transaction(|| {
            let store = self.store();
            for (meter, portion, _) in &returned {
                store.told(meter, portion.returned)?;
            }
            let waits = "SELECT 1 FROM portions WHERE returned > told LIMIT 1";
            if run(&self.storage, waits, &[])? {
                due::plan(&self.storage, RETURN_ITEM, now().plus_ms(RETURN_AFTER_MS))
            } else {
                due::done(&self.storage, RETURN_ITEM)
            }
        })
    }

    /// What is left of the campaign's limits, for one who only looks: by the counters here where this is the only shard,
    /// else by those of all shards, of which the Campaign is asked. What cannot be told is left out.
    pub(crate) async fn left(&self, rules: &Rules, calendar: &Calendar) -> Result<Vec<(Meter, u64)>, Fault> {
        let mut needs = rules.needs(calendar);
        if rules.shards <= 1 {
            let left = |need: &Need| {
                let taken = self.store().taken(&need.meter, rules.budget.as_ref())?;
                Ok((need.meter, need.limit.saturating_sub(taken)))
            };
            return needs.iter().map(left).collect();
        }
        let covered = |need: &Need| {
            let known = self.store().known_portion(&need.meter)?;
            Ok::<_, Fault>(known.is_some_and(|portion| portion.free() >= need.amount))
        };
        let mut open = vec![];
        for need in needs.drain(..) {
            if !covered(&need)? {
                open.push(need);
            }
        }
        if open.is_empty() {
            return Ok(vec![]);
        }
        let (campaign, _) = self.campaign()?;
        match self.ask_campaign(&campaign, &CampaignOp::Portion(PortionOp::Left { needs: open })).await {
            Ok(left) => Ok(left),
            Err(fault) => {
                fault.log("left_unknown");
                Ok(vec![])
            }
        }
    }

    /// What redemptions have here of meters.
    pub(crate) fn taken(&self, meters: &[Meter]) -> Result<Taken, Fault> {
        let rules = self.rules();
        let budget = rules.as_ref().and_then(|rules| rules.budget.as_ref());
        let taken = meters.iter().map(|meter| self.store().taken(meter, budget)).collect::<Result<_, _>>()?;
        Ok(Taken { taken })
    }
}
