//! The invariants of limits that several shards share, of windows, and of rules that reach shards by version.

use crate::campaign_state::CampaignState;
use crate::due::Item;
use crate::member_state::{MemberState, Record};
use crate::message::{Change, Party};
use crate::oracle::{Checked, Oracle, armed, ensure};
use crate::outcome::Violation;
use crate::portion_store::{amount_of, limit_of};
use crate::shard_state::{Charge, ShardState};
use crate::world::World;
use counterfoil_core::calendar::Day;
use counterfoil_core::ids::Rid;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::portion::Meter;
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::{Facts, Rules};
use counterfoil_core::time::{Date, Instant};
use counterfoil_core::wire::{CampaignStatus, WindowKind};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

const KINDS: [WindowKind; 3] = [WindowKind::Day, WindowKind::Week, WindowKind::Month];

/// What is remembered of campaigns, by their places.
#[derive(Default)]
pub(crate) struct Limits {
    /// Every version of their rules.
    history: BTreeMap<usize, BTreeMap<u32, Rc<Rules>>>,
    campaigns: BTreeMap<usize, Rc<CampaignState>>,
    /// The latest version that was said to be in force.
    in_force: BTreeMap<usize, u32>,
    /// Those of which everything was recalled, and that was in force.
    recalled: BTreeSet<usize>,
    /// Meters of which nothing is left just now, and when that was last so.
    full: BTreeMap<(usize, Meter), (bool, Instant)>,
}

/// The first day of the window of a sort that a day is in.
fn first_of(kind: WindowKind, day: Day) -> Day {
    let date = Date::from_days(i64::from(day.0));
    match kind {
        WindowKind::Day => day,
        WindowKind::Week => date.plus(-date.weekday()).into(),
        WindowKind::Month => date.month_start().into(),
    }
}

/// What a use of this day counts against.
fn meters(day: Day) -> impl Iterator<Item = Meter> {
    let windows = KINDS.into_iter().map(move |kind| Meter::Window(kind, first_of(kind, day)));
    [Meter::Total, Meter::Budget].into_iter().chain(windows)
}

/// What redemptions have of a meter in all shards, by the rows themselves.
pub(crate) fn taken(world: &World, campaign: usize, meter: &Meter, rules: &Rules) -> u64 {
    let charges = world.shards_of(campaign).map(|(_, shard)| {
        shard.charges.values().map(|charge| amount_of(charge, meter, rules.budget.as_ref())).sum::<u64>()
    });
    charges.sum()
}

impl Limits {
    pub(crate) fn floor(&self, campaign: usize) -> u32 {
        self.in_force.get(&campaign).copied().unwrap_or_default()
    }

    /// Somebody was told that a version is in force.
    pub(crate) fn said_in_force(&mut self, campaign: usize, version: u32, change: &Change) {
        if matches!(change, Change::RecallAll) {
            self.recalled.insert(campaign);
        }
        let known = self.in_force.entry(campaign).or_default();
        *known = version.max(*known);
    }

    fn since(&self, campaign: usize, version: u32) -> impl Iterator<Item = &Rc<Rules>> {
        self.history
            .get(&campaign)
            .into_iter()
            .flat_map(move |versions| versions.range(version..))
            .map(|(_, rules)| rules)
    }

    /// The highest limit of any version from this one on; none where one has none.
    fn allowed(&self, campaign: usize, version: u32, limit: impl Fn(&Rules) -> Option<u64>) -> Option<u64> {
        self.since(campaign, version).map(|rules| limit(rules)).try_fold(0, |most, limit| Some(most.max(limit?)))
    }

    /// Notes which meters are full now.
    fn look(&mut self, world: &World, campaign: usize) {
        let Some(current) = world.campaigns.get(campaign).map(|disk| Rc::clone(&disk.safe().rules)) else { return };
        // Shards may work by older rules.
        let of_shards = world.shards_of(campaign).filter_map(|(_, shard)| shard.rules.clone());
        let rules: Vec<Rc<Rules>> = of_shards.chain([current]).collect();
        if rules.iter().all(|rules| rules.total.is_none() && rules.budget.is_none() && rules.windows.is_empty()) {
            return;
        }
        let now = world.now();
        let known: Vec<(usize, Meter)> = self.full.keys().filter(|(of, _)| *of == campaign).copied().collect();
        for key in &known {
            if let Some((full, at)) = self.full.get_mut(key).filter(|(full, _)| *full) {
                *at = now;
                *full = false;
            }
        }
        let mut days: Vec<Day> =
            world.shards_of(campaign).flat_map(|(_, shard)| shard.days.keys().copied().collect::<Vec<_>>()).collect();
        days.push(Day(i32::try_from(now.0.div_euclid(DAY_MS)).unwrap_or_default()));
        days.dedup();
        for meter in days.into_iter().flat_map(meters) {
            let full = rules.iter().any(|rules| {
                let amount = if meter == Meter::Budget { rules.charge().unwrap_or(u64::MAX) } else { 1 };
                limit_of(rules, &meter)
                    .is_some_and(|(limit, _)| taken(world, campaign, &meter, rules).saturating_add(amount) > limit)
            });
            if full {
                self.full.insert((campaign, meter), (true, now));
            }
        }
    }

    fn was_full(&self, campaign: usize, since: Instant, fits: impl Fn(&Meter) -> bool) -> bool {
        let mut of = self.full.iter().filter(|((known, meter), _)| *known == campaign && fits(meter));
        of.any(|(_, (full, at))| *full || *at >= since)
    }
}

/// Whether rules let somebody redeem this at all.
fn admits(rules: &Rules, facts: &Facts) -> bool {
    let revoked = facts.epoch < rules.min_epoch || rules.revoked_epochs.contains(&facts.epoch);
    let recalled = rules.recalled.iter().any(|range| (range.from..range.to).contains(&facts.seq));
    let known = facts.alias.as_ref().map_or(!revoked, |alias| rules.aliases.contains(alias));
    rules.status == CampaignStatus::Active && !recalled && known
}

/// Where all shards work by the present rules, no more can be taken than the limits allow.
fn covered(world: &World, campaign: usize) -> Checked {
    let Some(current) = world.campaigns.get(campaign).map(|disk| disk.safe()) else { return Ok(()) };
    let shards: Vec<Rc<ShardState>> = world.shards_of(campaign).map(|(_, shard)| shard).collect();
    let present = |shard: &Rc<ShardState>| shard.rules.is_none() || shard.version() == current.rules.version;
    if current.rules.shards <= 1 || !shards.iter().all(present) {
        return Ok(());
    }
    let known: BTreeSet<Meter> = shards.iter().flat_map(|shard| shard.portions.keys().copied()).collect();
    for meter in known {
        let Some((limit, _)) = limit_of(&current.rules, &meter) else { continue };
        let free: u64 =
            shards.iter().filter_map(|shard| shard.portions.get(&meter)).map(|kept| kept.portion.free()).sum();
        let sum = taken(world, campaign, &meter, &current.rules).saturating_add(free);
        ensure(free == 0 || sum <= limit, "portions", || {
            format!("C{campaign}: {sum} of {} can be taken, {limit} are allowed", meter.name())
        })?;
    }
    Ok(())
}

impl Oracle {
    /// After each commit of a campaign.
    pub(crate) fn portions_given(&mut self, world: &World, n: usize, now: &Rc<CampaignState>) -> Checked {
        let limits = &mut self.limits;
        limits.history.entry(n).or_default().insert(now.rules.version, Rc::clone(&now.rules));
        let before = limits.campaigns.insert(n, Rc::clone(now));
        limits.look(world, n);
        let Some(before) = before else { return Ok(()) };
        for ((meter, shard), row) in &now.lots {
            let known = before.lots.get(&(*meter, *shard));
            let (old, version) = known.map(|row| (row.lot, row.version)).unwrap_or_default();
            let grows = old.given <= row.lot.given && old.base <= row.lot.base && old.returned <= row.lot.returned;
            ensure(grows && version <= row.version, "portions", || {
                format!("C{n} knows less than before of {} at shard {shard}", meter.name())
            })?;
            if row.lot.given > old.given && row.by_limit > 0 {
                let (out, limit) = (now.out(meter), limit_of(&now.rules, meter).map(|(limit, _)| limit));
                ensure(limit.is_none_or(|limit| out <= limit), "portions", || {
                    format!("C{n} has {out} of {} out, {limit:?} are allowed", meter.name())
                })?;
            }
        }
        Ok(())
    }

    /// After each commit of a shard.
    pub(crate) fn portions_spent(
        &mut self,
        world: &World,
        n: usize,
        (before, now): (&ShardState, &ShardState),
    ) -> Checked {
        let (campaign, own) = world.home(n);
        self.limits.look(world, campaign);
        let mut counted: (BTreeMap<Day, u64>, BTreeMap<&str, u64>) = Default::default();
        for Charge { day, currency, amount } in now.charges.values() {
            *counted.0.entry(*day).or_default() += 1;
            *counted.1.entry(currency).or_default() += amount;
        }
        let days = now.days.iter().all(|(day, used)| counted.0.get(day).copied().unwrap_or_default() == *used);
        let money = now
            .charged
            .iter()
            .all(|(currency, sum)| counted.1.get(currency.as_str()).copied().unwrap_or_default() == *sum);
        ensure(days && money && now.charges.len() == now.uses.len(), "I3", || {
            format!("P{n} counts other days or sums than its uses have")
        })?;
        let Some(rules) = &now.rules else { return Ok(()) };
        for (meter, kept) in &now.portions {
            let portion = kept.portion;
            let old = before.portions.get(meter).map(|kept| kept.portion);
            if let Some(old) = old {
                let grows = old.base <= portion.base
                    && old.given <= portion.given
                    && old.spent <= portion.spent
                    && old.refunded <= portion.refunded
                    && old.returned <= portion.returned;
                ensure(grows, "portions", || format!("P{n}'s portion of {} shrank", meter.name()))?;
            }
            let used = now.taken(meter, rules.budget.as_ref());
            ensure(limit_of(rules, meter).is_none() || portion.taken() == used, "portions", || {
                format!("P{n} has {} of {} taken, its uses {used}", portion.taken(), meter.name())
            })?;
            let campaign = world.campaigns.get(campaign).map(|disk| disk.safe());
            let given = campaign.and_then(|state| state.lots.get(&(*meter, own)).map(|row| row.lot.given));
            ensure(portion.given <= given.unwrap_or_default(), "portions", || {
                format!("P{n} has {} of {}, {given:?} were given", portion.given, meter.name())
            })?;
            if kept.surplus > 0 || portion.returned > kept.told {
                let party = Party::Shard(n);
                armed(world, party, &now.due, Item::Returns, None, || format!("{} is to be returned", meter.name()))?;
            }
        }
        covered(world, campaign)?;
        for (seq, rid) in now.uses.difference(&before.uses) {
            self.new_use(world, (n, campaign, own), (*seq, rid), now, rules)?;
        }
        Ok(())
    }

    /// I1, I3 over all shards, and nothing by rules older than what was said to be in force.
    fn new_use(
        &self,
        world: &World,
        (n, campaign, own): (usize, usize, u32),
        (seq, rid): (u32, &Rid),
        now: &ShardState,
        rules: &Rules,
    ) -> Checked {
        let limits = &self.limits;
        ensure(rules.shard_of(seq, &rid.mref()) == own, "I1", || {
            format!("P{n} takes a use of {seq} that another keeps")
        })?;
        let used: usize = world.shards_of(campaign).map(|(_, shard)| shard.uses_of(seq).count()).sum();
        let used = u64::try_from(used).unwrap_or(u64::MAX);
        ensure(rules.uses_per_code.is_none_or(|limit| used <= limit), "I1", || {
            format!("C{campaign} has {used} uses of code {seq} in all shards")
        })?;
        let floor = limits.floor(campaign);
        ensure(rules.version >= floor, "rules", || {
            format!("P{n} decides by version {} after {floor} was in force", rules.version)
        })?;
        let pending = now.pending.iter().find(|((known, _), pending)| known == rid && pending.seq == seq);
        if let Some(facts) = pending.and_then(|(_, pending)| pending.intent.code()).map(|code| &code.facts) {
            ensure(!limits.recalled.contains(&campaign) || facts.alias.is_none(), "rules", || {
                format!("P{n} takes a word after everything was recalled")
            })?;
            let dead = facts.alias.is_none() && self.keys.in_force.contains(&facts.epoch);
            ensure(!dead, "rules", || format!("P{n} takes a code of epoch {}, which is revoked", facts.epoch))?;
            let admitted = limits.since(campaign, floor).any(|rules| admits(rules, facts));
            ensure(admitted, "rules", || format!("P{n} takes {seq}, which no rules since version {floor} admit"))?;
        }
        let day = now.charges.get(&(seq, *rid)).map_or(Day::default(), |charge| charge.day);
        for meter in meters(day) {
            let allowed =
                limits.allowed(campaign, rules.version, |rules| limit_of(rules, &meter).map(|(limit, _)| limit));
            let sum = taken(world, campaign, &meter, rules);
            ensure(allowed.is_none_or(|limit| sum <= limit), "I3", || {
                format!("C{campaign} has given {sum} of {}, {allowed:?} are allowed", meter.name())
            })?;
        }
        Ok(())
    }

    /// I3: the member's own windows, and that limits refuse only what they must.
    pub(crate) fn windows(&self, world: &World, n: usize, before: &MemberState, now: &MemberState) -> Checked {
        for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.decided) {
            let known = before.redemptions.get(rid).is_some_and(|known| known.decided);
            let Some(campaign) = record.campaign.map(crate::member::place).filter(|_| !known) else { continue };
            self.reached(campaign, rid, record)?;
            if !record.consumed {
                continue;
            }
            let floor = self.commands.get(&(*rid, record.fp)).map_or(0, |command| command.floor);
            for kind in KINDS {
                let first = first_of(kind, record.day);
                let days = now.campaign_days.iter().filter(|((of, day), _)| {
                    crate::member::place(*of) == campaign && (first..=first.last_of(kind)).contains(day)
                });
                let uses: u64 = days.map(|(_, uses)| uses).sum();
                let allowed = self.limits.allowed(campaign, floor, |rules| {
                    rules.windows.iter().find(|window| window.per == kind).and_then(|window| window.per_member)
                });
                ensure(allowed.is_none_or(|limit| uses <= limit), "I3", || {
                    format!("M{n} has {uses} of campaign {campaign} in a {}, {allowed:?} are allowed", kind.name())
                })?;
            }
            let _ = world;
        }
        Ok(())
    }

    /// "Used up" is said only where nothing was left at some moment of the attempt.
    fn reached(&self, campaign: usize, rid: &Rid, record: &Record) -> Checked {
        let Some(command) = self.commands.get(&(*rid, record.fp)) else { return Ok(()) };
        let ends = |meter: &Meter| meter.last_day().map(|last| Instant((i64::from(last.0) + 1) * DAY_MS));
        let fits: Box<dyn Fn(&Meter) -> bool> = match &record.doc.refusal {
            Some(Refusal::CampaignLimitReached { window_ends_at: Some(at) }) => {
                let at = *at;
                Box::new(move |meter| ends(meter) == Some(at))
            }
            Some(Refusal::CampaignLimitReached { window_ends_at: None }) => Box::new(|meter| *meter == Meter::Total),
            Some(Refusal::BudgetExhausted) => Box::new(|meter| *meter == Meter::Budget),
            Some(_) | None => return Ok(()),
        };
        let since = command.first_asked.unwrap_or(Instant(i64::MAX));
        if self.limits.was_full(campaign, since, fits) {
            return Ok(());
        }
        let what = format!("{}: refused as used up, and something was always left", command.name);
        Err(Violation::new("I3", what))
    }
}
