//! The invariants of erasure: nothing is left of what a member had, nothing becomes theirs while they are gone, and an
//! erasure that was cut off goes on.

use crate::due::Item;
use crate::member_erase::is_unfinished;
use crate::member_state::MemberState;
use crate::message::Party;
use crate::oracle::{Checked, armed, ensure, is_parked};
use crate::world::World;
use counterfoil_core::wire::HoldState;

/// After each commit of a Member.
pub(crate) fn erased(world: &World, n: usize, now: &MemberState) -> Checked {
    if now.erasing {
        armed(world, Party::Member(n), &now.due, Item::Erase, None, || "a member is being erased".to_owned())?;
    }
    if !now.gone {
        return Ok(());
    }
    let wallet = &now.wallet;
    let credit: u64 = wallet.credit.iter().map(|credit| credit.amount_minor).sum();
    let nothing = wallet.points + wallet.xp + wallet.tokens + credit == 0 && wallet.features.is_empty();
    ensure(nothing, "erased", || format!("M{n} was erased, and has {wallet:?}"))?;
    let held = now.holds.values().any(|(_, hold)| hold.state == HoldState::Held);
    ensure(!held && now.open.is_empty() && now.quotes.is_empty(), "erased", || {
        format!("M{n} was erased, and something of theirs is under way")
    })?;
    let left = now.rewards.values().find(|held| is_unfinished(held));
    ensure(left.is_none(), "erased", || {
        format!("M{n} was erased, and a reward is {}", left.map_or("gone", |held| held.state().name()))
    })?;
    let named = format!("member:member-{n}");
    let told = now.ledger.iter().any(|row| row.by == named)
        || now.rewards.values().any(|held| held.reward.moves.iter().any(|step| step.actor == named));
    ensure(!told, "erased", || format!("M{n} was erased, and rows say who they were"))
}

/// Soon after faults have stopped, no erasure is left half done.
pub(crate) fn all_erased(world: &World, n: usize, state: &MemberState) -> Checked {
    let parked = is_parked(world, Party::Member(n), &state.due, Item::Erase);
    ensure(!state.erasing || parked, "I6", || format!("M{n} is still being erased"))
}
