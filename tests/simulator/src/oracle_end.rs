//! What must hold once faults have stopped.

use crate::due::Item;
use crate::member::place;
use crate::member_run::OVERFLOW;
use crate::member_state::{MemberState, count};
use crate::message::Party;
use crate::oracle::{Checked, Command, NET_MS, Oracle, ensure, is_parked};
use crate::oracle_erased::all_erased;
use crate::oracle_reward::{finished, unfinished};
use crate::outcome::Violation;
use crate::shard_state::{Pending, ShardState};
use crate::world::World;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::BACKOFF_MAX_MS;
use std::rc::Rc;

impl Oracle {
    /// I6, I11: soon after faults have stopped, nothing is left undecided.
    pub(crate) fn check_settled(&self, world: &World) -> Checked {
        for (n, disk) in world.members.iter().enumerate() {
            let state = disk.safe();
            let rests = |rid: &Rid| {
                let at = state.open.get(rid).map_or(0, |open| place(open.intent.campaign()));
                let kept = |n: usize| {
                    world
                        .shards
                        .get(n)
                        .is_some_and(|shard| is_parked(world, Party::Shard(n), &shard.safe().due, Item::Pending))
                };
                // A shard that has a use of theirs too many asks first: it hears of it when that item is tried again.
                let undo =
                    state.undo.keys().any(|(rid, _)| is_parked(world, Party::Member(n), &state.due, Item::Undo(*rid)));
                is_parked(world, Party::Member(n), &state.due, Item::Open(*rid))
                    || undo
                    || world.shards_of(at).any(|(n, _)| kept(n))
                    || (world.pools.iter().enumerate())
                        .any(|(n, pool)| is_parked(world, Party::Pool(n), &pool.safe().due, Item::Pending))
                    || waits(world, &state, rid)
            };
            if let Some(rid) = state.open.keys().find(|rid| !rests(rid)) {
                let fp = state.redemptions.get(rid).map(|record| record.fp);
                let name = fp.map_or_else(|| "?".to_owned(), |fp| self.name(rid, &fp));
                return Err(Violation::new("I6", format!("M{n}: {name} is still open")));
            }
            for (rid, record) in state.redemptions.iter().filter(|(_, record)| record.consumed) {
                self.check_use(world, rid, record)?;
                let command = self.commands.get(&(*rid, record.fp));
                let asked = |command: &Command| command.told_no < command.asked;
                // A gift that no participant has a say in is an order.
                let wanted = command.map_or(record.campaign.is_none(), asked);
                ensure(wanted, "I11", || {
                    format!("{}: granted, though every request for it was refused", self.name(rid, &record.fp))
                })?;
            }
            unfinished(world, n, &state)?;
            all_erased(world, n, &state)?;
        }
        self.check_stock(world)?;
        for (n, disk) in world.shards.iter().enumerate() {
            let state = disk.safe();
            if is_parked(world, Party::Shard(n), &state.due, Item::Pending) {
                continue;
            }
            let member_state = |rid: &Rid| {
                let member = world.member_of(rid).and_then(|member| world.members.get(member));
                member.map(|member| member.safe())
            };
            let for_balance = |rid: &Rid| member_state(rid).is_some_and(|member| waits(world, &member, rid));
            // One that was only just taken, at an operator's word, will be asked about.
            let left = |(rid, _): &(Rid, Fingerprint), pending: &Pending| {
                // What is kept for a checkout is asked about when that is over.
                let held = state.held.contains_key(&(pending.seq, *rid));
                !held && !for_balance(rid) && (pending.tries > 0 || pending.ask_at <= world.now())
            };
            if let Some(((rid, fp), _)) = state.pending.iter().find(|(key, pending)| left(key, pending)) {
                return Err(Violation::new("I6", format!("P{n}: {} is still pending", self.name(rid, fp))));
            }
            for (_, rid) in &state.uses {
                let member = member_state(rid);
                let owned = member.as_ref().is_some_and(|member| {
                    let parked = world
                        .member_of(rid)
                        .is_some_and(|n| is_parked(world, Party::Member(n), &member.due, Item::Undo(*rid)));
                    parked || member.redemptions.get(rid).is_some_and(|record| record.consumed)
                });
                let held = state.pending.keys().any(|(known, _)| known == rid);
                ensure(owned || held, "I11", || format!("P{n} has a use without a redemption"))?;
            }
        }
        Ok(())
    }

    /// When all schedules have run out: everything has come to its end, and everybody knows.
    pub(crate) fn check_end(&self, world: &World) -> Checked {
        self.keys_known(world)?;
        for (n, disk) in world.members.iter().enumerate() {
            finished(world, n, &disk.safe())?;
        }
        let resting = self.last_planned.is_some_and(|at| at.plus_ms(2 * NET_MS + 5_000) < world.now());
        ensure(!resting || world.nothing_armed(), "rest", || {
            "nothing is due, and an object's alarm still wakes it".to_owned()
        })?;
        for (n, disk) in world.shards.iter().enumerate() {
            let shard: Rc<ShardState> = disk.safe();
            let at = world.home(n).0;
            let Some(campaign) = world.campaigns.get(at).map(|disk| disk.safe()) else { continue };
            if is_parked(world, Party::Campaign(at), &campaign.due, Item::Push) {
                continue;
            }
            let parked = is_parked(world, Party::Shard(n), &shard.due, Item::Pending);
            ensure(shard.held.is_empty() || parked, "held", || format!("P{n} holds a use for ever"))?;
            let works_by = shard.rules.as_ref().map(|rules| rules.version);
            ensure(works_by.is_none_or(|version| version == campaign.rules.version), "rules", || {
                format!("C{at} has version {}, its shard works by {works_by:?}", campaign.rules.version)
            })?;
        }
        Ok(())
    }
}

/// An accepted redemption that overflows is tried again until some of the balance is spent, by the schedule.
pub(crate) fn waits(world: &World, state: &MemberState, rid: &Rid) -> bool {
    // Several of one member are in each other's way, and what one of them is told last may be that.
    let overflows = |rid: &Rid| state.redemption(rid).is_some_and(|doc| doc.last_error.as_deref() == Some(OVERFLOW));
    let next = state.redemption(rid).and_then(|doc| doc.next_attempt_at);
    next.is_some_and(|next| next <= world.now().plus_ms(BACKOFF_MAX_MS)) && state.open.keys().any(overflows)
}

/// How many were granted, and how many refused with a record.
pub(crate) fn tally(world: &World) -> (u64, u64) {
    let states = world.members.iter().map(|disk| disk.safe());
    states.fold((0, 0), |(granted, refused), state| {
        let of = |accepted| count(state.redemptions.values().filter(|r| r.decided && r.accepted() == accepted).count());
        (granted + of(true), refused + of(false))
    })
}
