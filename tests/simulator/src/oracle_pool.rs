//! The invariants of pools, of what points buy, and of tills.

use crate::due::Item;
use crate::member_state::{MemberState, Record, count};
use crate::message::{Party, TillAnswer, TillCall};
use crate::oracle::{Checked, Oracle, armed, ensure, is_parked};
use crate::pool_state::PoolState;
use crate::shop::UNIT_COST;
use crate::world::World;
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::Wish;
use counterfoil_core::quote::QuoteState;
use counterfoil_core::wire::{LedgerRow, RedemptionStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Whether everything that a redemption gave was taken back.
fn is_back(record: &Record) -> bool {
    matches!(record.doc.status, RedemptionStatus::Reversed | RedemptionStatus::Cancelled)
}

impl Oracle {
    /// I2: every code is in one place, the counters say where, and what somebody may have seen is never free.
    pub(crate) fn pool(&mut self, world: &World, n: usize) -> Checked {
        let Some(now) = world.pools.get(n).map(|disk| disk.safe()) else {
            return Ok(());
        };
        let before = self.pools.insert(n, Rc::clone(&now)).unwrap_or_default();
        let stock: BTreeSet<&String> = now.codes.iter().collect();
        ensure(stock.len() == now.codes.len(), "I2", || format!("S{n} has a promo code twice"))?;
        let fresh = now.codes.len().checked_sub(now.counters.next);
        let free = fresh.map(|fresh| count(fresh + now.returned.len()));
        let counted = (Some(now.counters.free), now.counters.used, now.counters.quarantined);
        let found = (free, count(now.taken.len()), count(now.quarantine.len()));
        ensure(counted == found, "I2", || format!("S{n} counts {counted:?} and has {found:?}"))?;
        let stock = count(now.codes.len());
        let sum = now.counters.free + now.counters.used + now.counters.quarantined;
        ensure(sum == stock, "I2", || format!("S{n} counts {sum} promo codes of {stock}"))?;
        let places = now.taken.keys().chain(now.quarantine.keys()).chain(&now.returned);
        let apart: BTreeSet<&usize> = places.clone().collect();
        ensure(apart.len() == places.count(), "I2", || format!("S{n} has a promo code in two places"))?;
        // An operator's word makes what was seen free again.
        for number in before.quarantine.keys().filter(|number| !now.quarantine.contains_key(number)) {
            if let Some(code) = now.codes.get(*number) {
                self.shown.remove(&(n, code.clone()));
            }
        }
        let free = now.returned.iter().copied().chain(now.counters.next..now.codes.len());
        for code in free.filter_map(|number| now.codes.get(number)) {
            let seen = self.shown.get(&(n, code.clone()));
            ensure(seen.is_none(), "I2", || format!("S{n}: {code} is free, and somebody has seen it"))?;
        }
        ensure(!(before.counters.told && now.counters.lows > before.counters.lows), "alert", || {
            format!("S{n}: that few codes are left is told twice")
        })?;
        let clock = world.clock(Party::Pool(n));
        for ((rid, fp), pending) in &now.pending {
            let name = || format!("{} has promo codes", self.name(rid, fp));
            ensure(now.taken.values().any(|owner| owner == rid), "I2", || format!("{} and has none", name()))?;
            let wanted = match &pending.intent.wish {
                Wish::Points(purchase) => usize::try_from(purchase.quantity).unwrap_or(0),
                Wish::Gift(_) => 1,
                Wish::Code(_) => now.numbers(rid).len(),
            };
            let has = now.numbers(rid).len();
            ensure(has == wanted, "I2", || format!("{}, {has} where {wanted} were asked for", name()))?;
            armed(world, Party::Pool(n), &now.due, Item::Pending, Some(pending.ask_at), name)?;
            let new = !before.pending.contains_key(&(*rid, *fp));
            ensure(!new || pending.intent.deadline >= clock, "deadline", || {
                format!("S{n} takes promo codes for an intent that is past its deadline")
            })?;
        }
        Ok(())
    }

    /// What a Member has just decided for: its promo codes are its own, its price was paid, its offer is spent.
    pub(crate) fn sold(&mut self, world: &World, n: usize, before: &MemberState, now: &MemberState) -> Checked {
        for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.accepted()) {
            if before.redemptions.get(rid).is_some_and(|known| known.decided) {
                continue;
            }
            let name = self.name(rid, &record.fp);
            if let Some(place) = record.pool {
                self.handed_out(world, (rid, record, place), &name)?;
            }
            let (doc, command) = (&record.doc, self.commands.get(&(*rid, record.fp)));
            if let Some(spent) = doc.points_spent {
                let goodwill = doc.goodwill_points.unwrap_or(0);
                let cost = UNIT_COST * u64::from(doc.quantity);
                ensure(spent + goodwill == cost, "price", || {
                    format!("{name}: {spent} points and {goodwill} of goodwill for what costs {cost}")
                })?;
                let allowed = goodwill == 0 || command.is_some_and(|command| command.overridden);
                ensure(allowed, "price", || format!("{name}: goodwill that no manager gave"))?;
            }
            if let Some(quote) = command.and_then(|command| command.quote).filter(|_| record.bought.is_some()) {
                let open = before.quotes.get(&quote).is_some_and(|quote| quote.state == QuoteState::Open);
                ensure(open, "quote", || format!("{name}: an offer is confirmed that was not open"))?;
            }
        }
        self.offers(n, before, now)?;
        let mut returned = BTreeSet::new();
        let mut adjusted = BTreeSet::new();
        for row in &now.ledger {
            let again = row.reverses.as_ref().is_some_and(|id| !returned.insert((&row.kind, id)));
            ensure(!again, "I12", || format!("M{n}: a ledger row is returned twice"))?;
            let twice = row.kind == "adjustment" && !adjusted.insert(&row.reason);
            ensure(!twice, "I5", || format!("M{n}: an adjustment was made twice"))?;
        }
        Ok(())
    }

    fn handed_out(&mut self, world: &World, (rid, record, place): (&Rid, &Record, usize), name: &str) -> Checked {
        let pool = world.pools.get(place).map(|disk| disk.safe()).unwrap_or_default();
        let lines = record.doc.ledger.iter().filter_map(|line| line.promo_code.as_ref());
        ensure(lines.clone().count() == usize::try_from(record.doc.quantity).unwrap_or(0), "I2", || {
            format!("{name}: {} promo codes for {}", lines.clone().count(), record.doc.quantity)
        })?;
        for code in lines {
            let owner = pool.codes.iter().position(|known| known == code).and_then(|number| pool.taken.get(&number));
            ensure(owner == Some(rid), "I2", || format!("{name}: {code} is not its own in the pool"))?;
            let known = self.shown.insert((place, code.clone()), *rid);
            let other = known.is_some_and(|other| other != *rid);
            ensure(!other, "I2", || format!("{name}: {code} belongs to two redemptions"))?;
        }
        Ok(())
    }

    /// An offer is confirmed once, by one redemption, and ends once; one is open for each reward.
    fn offers(&self, n: usize, before: &MemberState, now: &MemberState) -> Checked {
        let mut confirmed: BTreeMap<Rid, u32> = BTreeMap::new();
        for (rid, record) in now.redemptions.iter().filter(|(_, record)| record.accepted()) {
            if let Some(quote) = self.commands.get(&(*rid, record.fp)).and_then(|command| command.quote) {
                // One that an operator ended before it was decided has confirmed nothing.
                *confirmed.entry(quote).or_default() += u32::from(record.bought.is_some());
            }
        }
        let mut open = BTreeSet::new();
        for (rid, quote) in &now.quotes {
            let times = confirmed.get(rid).copied().unwrap_or(0);
            let expected = u32::from(quote.state == QuoteState::Confirmed);
            ensure(times == expected, "quote", || {
                format!("M{n}: an offer is {} and confirmed {times} times", quote.state.name())
            })?;
            let was = before.quotes.get(rid).map_or(QuoteState::Open, |known| known.state);
            ensure(was == QuoteState::Open || was == quote.state, "quote", || format!("M{n}: an offer ended twice"))?;
            let alone = quote.state != QuoteState::Open || open.insert(&quote.reward.reward_id);
            ensure(alone, "quote", || format!("M{n}: two offers of one reward are open"))?;
        }
        Ok(())
    }

    /// A till was told something: it must be durable.
    pub(crate) fn at_till(&self, world: &World, member: usize, call: &TillCall, answer: &TillAnswer) -> Checked {
        let state = world.members.get(member).map(|disk| disk.safe()).unwrap_or_default();
        let kept = match (call, answer) {
            (TillCall::Offer { quote, .. }, TillAnswer::Made) => state.quotes.contains_key(quote),
            (TillCall::CancelOffer { quote }, TillAnswer::Made) => {
                let state = state.quotes.get(quote).map(|quote| quote.state);
                !matches!(state, None | Some(QuoteState::Open | QuoteState::Confirmed))
            }
            (TillCall::Adjust { key, .. }, TillAnswer::Made) => {
                let made = |row: &&Rc<LedgerRow>| row.kind == "adjustment" && row.reason.as_ref() == Some(key);
                state.ledger.iter().filter(made).count() == 1
            }
            (TillCall::Offer { .. } | TillCall::CancelOffer { .. } | TillCall::Adjust { .. }, _) => true,
        };
        // Offers of somebody who was erased are gone.
        let kept = kept || (state.erasures > 0 && !matches!(call, TillCall::Adjust { .. }));
        ensure(kept, "I4", || format!("M{member}: a till was told what is not durable"))
    }

    /// I2, I6, I11, soon after faults have stopped: nothing is pending, and each code is where its redemption says.
    pub(crate) fn check_stock(&self, world: &World) -> Checked {
        for (n, disk) in world.pools.iter().enumerate() {
            let state = disk.safe();
            if is_parked(world, Party::Pool(n), &state.due, Item::Pending) {
                continue;
            }
            self.owners(world, n, &state)?;
        }
        Ok(())
    }

    fn owners(&self, world: &World, n: usize, state: &PoolState) -> Checked {
        let waits = |rid: &Rid| {
            let member = world.member_of(rid).and_then(|m| Some((m, world.members.get(m)?.safe())));
            member.is_some_and(|(m, member)| {
                let parked = |item| is_parked(world, Party::Member(m), &member.due, item);
                parked(Item::Open(*rid)) || parked(Item::Undo(*rid)) || crate::oracle_end::waits(world, &member, rid)
            })
        };
        for ((rid, fp), pending) in &state.pending {
            let left = !waits(rid) && (pending.tries > 0 || pending.ask_at <= world.now());
            ensure(!left, "I6", || format!("S{n}: {} is still pending", self.name(rid, fp)))?;
        }
        for rid in state.taken.values().filter(|rid| !state.is_pending(rid) && !waits(rid)) {
            let member = world.member_of(rid).and_then(|member| world.members.get(member)).map(|disk| disk.safe());
            let record = member.as_ref().and_then(|member| member.redemptions.get(rid));
            let owned = record.is_some_and(|record| record.pool == Some(n) && !is_back(record));
            ensure(owned, "I11", || format!("S{n}: promo codes are taken, and by nothing that was decided for"))?;
        }
        Ok(())
    }
}

/// I7, I10, I11 of what was paid: taken once, as it says, and returned once where it was taken back.
pub(crate) fn payment(n: usize, record: &Record, rows: &[&Rc<LedgerRow>]) -> Checked {
    let doc = &record.doc;
    let Some(spent) = doc.points_spent else {
        return Ok(());
    };
    let line = |row: &&&Rc<LedgerRow>| doc.ledger.iter().any(|line| line.ledger_id == row.ledger_id);
    let paid: Vec<_> = rows.iter().filter(line).collect();
    let sum: i64 = paid.iter().map(|row| row.amount).sum();
    ensure(i64::try_from(spent) == Ok(-sum) && paid.len() == doc.ledger.len(), "I10", || {
        format!("M{n}: {spent} points are said to be spent, the ledger says {}", -sum)
    })?;
    for row in paid {
        let back: Vec<_> = rows.iter().filter(|other| other.reverses.as_ref() == Some(&row.ledger_id)).collect();
        let expected = usize::from(is_back(record));
        ensure(back.len() == expected && back.iter().all(|back| back.amount == -row.amount), "I10", || {
            format!("M{n}: a {} redemption's payment was returned {} times", doc.status.name(), back.len())
        })?;
    }
    Ok(())
}
