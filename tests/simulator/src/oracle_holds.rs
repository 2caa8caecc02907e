//! The invariants of checkouts: what is held ends once, gives back what it took, and is counted while it lasts.

use crate::due::Item;
use crate::member::place;
use crate::member_state::MemberState;
use crate::message::{CheckoutAnswer, CheckoutCall, Party};
use crate::oracle::{Checked, Oracle, armed, ensure};
use crate::shard_state::ShardState;
use crate::world::World;
use counterfoil_core::checkout::{Hold, Source};
use counterfoil_core::wire::{HoldState, RedemptionStatus};

/// After each commit of a Member.
pub(crate) fn holds(world: &World, n: usize, before: &MemberState, now: &MemberState) -> Checked {
    let party = Party::Member(n);
    let clock = world.clock(party);
    for (_, hold) in now.holds.values() {
        let known = before.holds.get(&hold.rid).map(|(_, known)| known);
        let was = known.map_or(HoldState::Held, |known| known.state);
        ensure(was == HoldState::Held || was == hold.state, "holds", || format!("M{n}: an ended hold moved"))?;
        let ends = was == HoldState::Held && hold.state != HoldState::Held;
        // By the Member's own clock in that commit, which may have been set right since.
        let placed_at = now.orders.get(&hold.order).and_then(|order| order.committed_at);
        let told_at = now.chain.last().map(|link| link.entry.at);
        let in_time = match hold.state {
            HoldState::Used => placed_at.is_some_and(|at| hold.expires_at > at),
            HoldState::Expired => told_at.is_some_and(|at| hold.expires_at <= at),
            HoldState::Held | HoldState::Released => true,
        };
        ensure(!ends || in_time, "holds", || format!("M{n}: a hold is {} at the wrong time", hold.state.name()))?;
        if hold.state == HoldState::Held {
            armed(world, party, &now.due, Item::Hold(hold.rid), None, || "something is held".to_owned())?;
        }
        credit(n, now, hold)?;
        if let Some(record) = now.redemptions.get(&hold.rid) {
            let status = record.doc.status;
            let fits = match hold.state {
                HoldState::Held => status == RedemptionStatus::Held,
                HoldState::Used => !matches!(status, RedemptionStatus::Held | RedemptionStatus::Redeeming),
                HoldState::Released | HoldState::Expired => status == RedemptionStatus::Cancelled,
            };
            let back = matches!(hold.state, HoldState::Released | HoldState::Expired);
            ensure(!(back && record.consumed), "holds", || format!("M{n}: a code that was let go keeps its use"))?;
            ensure(fits, "holds", || format!("M{n}: a hold is {} and its code {}", hold.state.name(), status.name()))?;
        }
    }
    for (rid, record) in &now.redemptions {
        let lost = record.doc.status == RedemptionStatus::Held && !now.holds.contains_key(rid);
        ensure(!lost, "holds", || format!("M{n}: a code is held for nothing"))?;
    }
    for order in now.orders.values() {
        let of_order = || now.holds.values().map(|(_, hold)| hold).filter(|hold| hold.order == order.name);
        let known = before.orders.get(&order.name).and_then(|known| known.committed_at);
        let again = known.is_some() && known != order.committed_at;
        ensure(!again, "holds", || format!("M{n}: {} was placed twice", order.name))?;
        let left = order.committed_at.is_some() && of_order().any(|hold| hold.state == HoldState::Held);
        ensure(!left, "holds", || format!("M{n}: {} was placed without all of its holds", order.name))?;
        let discounts = of_order().filter(|hold| hold.is_live(clock) && hold.worth.is_discount()).count();
        ensure(discounts <= 1, "holds", || format!("M{n}: {} has {discounts} discounts", order.name))?;
        let counted = |hold: &&Hold| hold.state == HoldState::Used;
        let applied: u64 = of_order().filter(counted).map(|hold| hold.applied_minor).sum();
        ensure(applied <= order.total.amount_minor, "holds", || format!("M{n}: more than {} costs", order.name))?;
    }
    Ok(())
}

/// I10 of held credit: it was taken once, and what the order did not take came back once.
fn credit(n: usize, now: &MemberState, hold: &Hold) -> Checked {
    let Some((money, ledger_id)) = hold.wallet_credit() else {
        return Ok(());
    };
    let (amount, applied) = (money.amount_minor, hold.applied_minor);
    let taken = now.ledger.iter().filter(|row| row.ledger_id == *ledger_id).map(|row| row.amount.unsigned_abs());
    ensure(taken.sum::<u64>() == amount, "I10", || format!("M{n}: {amount} are held and were not taken"))?;
    let back = now.ledger.iter().filter(|row| row.reverses.as_deref() == Some(ledger_id));
    let back: u64 = back.map(|row| row.amount.unsigned_abs()).sum();
    let expected = match hold.state {
        HoldState::Held => 0,
        HoldState::Used => amount.saturating_sub(applied),
        HoldState::Released | HoldState::Expired => amount,
    };
    ensure(back == expected, "I10", || {
        format!("M{n}: of {amount} held and {} {back} came back, not {expected}", hold.state.name())
    })
}

/// After each commit of a shard: what is held is a use that is pending.
pub(crate) fn kept_uses(world: &World, n: usize, now: &ShardState) -> Checked {
    for (seq, rid) in now.held.keys() {
        let pending = now.uses.contains(&(*seq, *rid)) && now.is_pending_for(*seq, rid);
        ensure(pending, "held", || format!("P{n} holds a use of code {seq} that is not pending"))?;
    }
    for (seq, rid) in &now.uses {
        let member = world.member_of(rid).and_then(|member| world.members.get(member)).map(|disk| disk.safe());
        let held = member.and_then(|member| member.holds.get(rid).map(|(_, hold)| hold.clone()));
        let this = held.filter(|hold| hold.state == HoldState::Held).is_some_and(
            |hold| matches!(hold.source, Source::Code { campaign, seq: of, .. } if place(campaign) == world.home(n).0 && of == *seq),
        );
        ensure(!this || now.held.contains_key(&(*seq, *rid)), "held", || {
            format!("P{n} does not know that code {seq} is only held")
        })?;
    }
    Ok(())
}

impl Oracle {
    /// Somebody was told something about an order: it must be durable.
    pub(crate) fn at_checkout(
        &self,
        world: &World,
        member: usize,
        call: &CheckoutCall,
        answer: &CheckoutAnswer,
    ) -> Checked {
        let state = world.members.get(member).map(|disk| disk.safe()).unwrap_or_default();
        let kept = match (call, answer) {
            (CheckoutCall::Hold { .. }, CheckoutAnswer::Held(rid)) => state.holds.contains_key(rid),
            (CheckoutCall::LetGo { rid, .. }, CheckoutAnswer::Done) => {
                // One that was let go can have been held anew only under another name.
                state.holds.get(rid).is_none_or(|(_, hold)| hold.state != HoldState::Held)
            }
            (CheckoutCall::Commit { order, .. }, CheckoutAnswer::Done) => {
                state.orders.get(*order).is_some_and(|order| order.committed_at.is_some())
            }
            (
                CheckoutCall::Hold { .. }
                | CheckoutCall::LetGo { .. }
                | CheckoutCall::Commit { .. }
                | CheckoutCall::Release { .. },
                _,
            ) => true,
        };
        ensure(kept, "I4", || format!("M{member}: a checkout was told what is not durable"))
    }
}
