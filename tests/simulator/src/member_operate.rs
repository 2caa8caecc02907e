//! What players, administrators and operators ask of a Member. The decisions are core's own.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::member::Member;
use crate::message::{Declined, Order, Wish};
use crate::step::Step;
use counterfoil_core::ids::Fingerprint;
use counterfoil_core::protocol::Intent;
use counterfoil_core::protocol::member::{Known, MemberView, cancel_open, gift};
use counterfoil_core::reward::erasure::over;
use counterfoil_core::reward::life::{Gift, PlayerMove, Verdict, player_move};
use counterfoil_core::reward::recovery::{delete, reset, resolve, retry, retry_reward, reverse};
use counterfoil_core::reward::{Actor, By, Refused, View};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{RedemptionStatus, Resolution, RewardSource};
use std::rc::Rc;

const REASON: &str = "support case 7";
/// Somebody at a till.
pub(crate) const STAFF: &str = "staff:bea";
const REVERSAL_WINDOW_S: u32 = 900;

impl Member {
    /// Carries an order out, or says why not. A repeat of what was done answers as it did.
    pub(crate) fn operate(self: &Rc<Self>, order: &Order) -> Result<Result<(), Declined>, Fault> {
        match order.wish {
            Wish::Give => return self.give(order),
            Wish::Retry | Wish::ResolveGranted | Wish::ResolveCancelled { .. }
                if matches!(self.known(&order.rid)?, Known::Open(_)) =>
            {
                return self.operate_open(order);
            }
            Wish::Claim
            | Wish::Activate
            | Wish::Decline
            | Wish::ClaimFor
            | Wish::ActivateFor
            | Wish::Retry
            | Wish::RetryReward
            | Wish::ResolveGranted
            | Wish::ResolveCancelled { .. }
            | Wish::Reset { .. }
            | Wish::Reverse { .. }
            | Wish::Delete => {}
        }
        if self.storage.read()?.buried.contains(&order.rid) && !self.world.has(Defect::BuriedChanged) {
            return Ok(Err(Declined::Refused(over())));
        }
        if !matches!(self.known(&order.rid)?, Known::Decided(_)) {
            return Ok(Err(Declined::NotFound));
        }
        let about_reward = matches!(
            order.wish,
            Wish::Claim
                | Wish::Activate
                | Wish::Decline
                | Wish::ClaimFor
                | Wish::ActivateFor
                | Wish::RetryReward
                | Wish::Delete
        );
        if about_reward && !self.storage.read()?.rewards.contains_key(&(order.rid, order.index)) {
            return Ok(Err(Declined::NotFound));
        }
        let mut refused = None;
        self.change(Step::Operated, &order.rid, |view, names, at| {
            let verdict = self.decide_order(order, view, names, at);
            refused = verdict.refused;
            (verdict.changes, ())
        })?;
        Ok(refused.map_or(Ok(()), |refused| Err(Declined::Refused(refused))))
    }

    fn decide_order(
        &self,
        order: &Order,
        view: &View<'_>,
        names: &counterfoil_core::wallet::Names<'_>,
        at: Instant,
    ) -> Verdict {
        let index = usize::from(order.index);
        let member = Actor::member(&self.member_id(), &self.pid());
        let admin = Actor::named("admin:alice");
        // The clock counts at each move; a shell that passes an older time misses it.
        let at_move = if self.world.has(Defect::ExpiryUnchecked) { at.plus_ms(-86_400_000) } else { at };
        let player = |wanted| player_move(view, index, wanted, (By::Member, &member), None, names, at_move);
        let administrator =
            |wanted| player_move(view, index, wanted, (By::Administrator, &admin), Some(REASON), names, at_move);
        match order.wish {
            Wish::Claim => player(PlayerMove::Claim),
            Wish::Activate => player(PlayerMove::Activate),
            Wish::Decline => player(PlayerMove::Decline),
            Wish::ClaimFor => administrator(PlayerMove::Claim),
            Wish::ActivateFor => administrator(PlayerMove::Activate),
            Wish::Retry => retry(view, &admin, Some(REASON), names, at),
            Wish::RetryReward => retry_reward(view, index, &admin, Some(REASON), names, at),
            Wish::ResolveGranted => resolve(view, Resolution::Granted, false, (&admin, REASON), names, at),
            Wish::ResolveCancelled { unknown_outcome } => {
                let unguarded = unknown_outcome || self.world.has(Defect::CancelUnguarded);
                resolve(view, Resolution::Cancelled, unguarded, (&admin, REASON), names, at)
            }
            Wish::Reset { tester } => reset(view, tester, (&admin, REASON), names, at),
            Wish::Delete => delete(view, index, &admin, REASON, names, at),
            Wish::Reverse { give_back, staff } => {
                let bea = Actor::named(STAFF);
                let (window_s, actor) = if staff { (Some(REVERSAL_WINDOW_S), &bea) } else { (None, &admin) };
                let mut again = view.redemption.clone();
                if self.world.has(Defect::ReturnedTwice) && again.status == RedemptionStatus::Reversed {
                    again.status = RedemptionStatus::Granted;
                }
                let view = &View { redemption: &again, ..view.clone() };
                reverse(view, give_back, window_s, (actor, REASON), names, at)
            }
            Wish::Give => Verdict::nothing(),
        }
    }

    /// A redemption that is accepted and not decided: it is tried now, or ended.
    fn operate_open(self: &Rc<Self>, order: &Order) -> Result<Result<(), Declined>, Fault> {
        match order.wish {
            Wish::Retry => self.drive_again(&order.rid).map(Ok),
            Wish::ResolveCancelled { .. } => self.cancel(order).map(Ok),
            Wish::ResolveGranted
            | Wish::Claim
            | Wish::Activate
            | Wish::Decline
            | Wish::ClaimFor
            | Wish::ActivateFor
            | Wish::RetryReward
            | Wish::Reset { .. }
            | Wish::Reverse { .. }
            | Wish::Delete
            | Wish::Give => {
                let refused = Refused::illegal_status(RedemptionStatus::Redeeming, &["retry", "cancelled"]);
                Ok(Err(Declined::Refused(refused)))
            }
        }
    }

    fn cancel(self: &Rc<Self>, order: &Order) -> Result<(), Fault> {
        let open = self.storage.read()?.open.get(&order.rid).cloned();
        open.map_or(Ok(()), |open| self.cancel_intent(Step::Operated, &open.intent, REASON))
    }

    /// Ends what is not decided, with a record of it.
    pub(crate) fn cancel_intent(self: &Rc<Self>, step: Step, intent: &Intent, reason: &str) -> Result<(), Fault> {
        let at = self.now();
        let admin = Actor::named("admin:alice");
        let (pid, member_id) = (self.pid(), self.member_id());
        let events = self.storage.transaction(step, |state| {
            let wallet = state.wallet_at(at, self.world.defect);
            let view = MemberView {
                known: state.known(&intent.rid),
                consumed: false,
                member_uses: state.uses(intent.campaign()),
                member_days: &[],
                wallet: &wallet,
                next_ledger_row: state.next_ledger_row(),
                opened_at: state.open.get(&intent.rid).map(|open| open.opened_at),
                quote: None,
                last_bought_at: None,
                book: None,
                member_id: &member_id,
                pid: &pid,
            };
            let decision = cancel_open(&view, intent, (&admin, reason), &self.world.names(), at);
            self.remember_feed(state);
            let events = state.apply(intent, decision, (None, vec![]), &pid, at, self.world.defect)?;
            self.last_event.set(state.remembered);
            state.open.remove(&intent.rid);
            state.due.done(Item::Open(intent.rid));
            Ok(events)
        })?;
        self.publish(events);
        self.start_report();
        Ok(())
    }

    /// By hand, or by a service: a redemption of its own.
    fn give(self: &Rc<Self>, order: &Order) -> Result<Result<(), Declined>, Fault> {
        let Some(definition) = &order.definition else {
            return Ok(Err(Declined::NotFound));
        };
        if self.known(&order.rid)? != Known::Absent {
            // The same key again: answered as it stands.
            return Ok(Ok(()));
        }
        let at = self.now();
        let admin = Actor::named("admin:alice");
        let given = Gift { definition, quantity: 1, source: Some(RewardSource::Admin), reference: None };
        let (pid, member_id) = (self.pid(), self.member_id());
        let written = self.storage.transaction(Step::Operated, |state| {
            let wallet = state.wallet_at(at, self.world.defect);
            let view = MemberView {
                known: Known::Absent,
                consumed: false,
                member_uses: 0,
                member_days: &[],
                wallet: &wallet,
                next_ledger_row: state.next_ledger_row(),
                opened_at: None,
                quote: None,
                last_bought_at: None,
                book: None,
                member_id: &member_id,
                pid: &pid,
            };
            let Ok(changes) = gift(&view, order.rid, &given, (&admin, REASON), &self.world.names(), at) else {
                return Ok(None);
            };
            self.remember_feed(state);
            let events = state.give(&order.rid, Fingerprint::of(&[b"gift"]), changes, &pid, at)?;
            self.last_event.set(state.remembered);
            Ok(Some(events))
        })?;
        let Some(events) = written else {
            return Ok(Err(Declined::Refused(Refused::Overflow)));
        };
        self.publish(events);
        self.start_tries(&order.rid);
        self.start_report();
        Ok(Ok(()))
    }
}
