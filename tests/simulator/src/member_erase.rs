//! Erasing a member, as `edge/src/member_erase.rs` runs it: written down first, then done without a pause, and gone on with
//! by the alarm where it was cut off.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::member::Member;
use crate::member_state::MemberState;
use crate::step::Step;
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::Intent;
use counterfoil_core::protocol::member::Known;
use counterfoil_core::reward::erasure::{ERASED, anonymous, end, forfeit};
use counterfoil_core::reward::{Actor, RewardRecord};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::{Event, HoldState, LedgerRow, Redemption, RedemptionStatus, RewardState};
use std::rc::Rc;

/// When an erasure that was cut off goes on.
const GO_ON_MS: i64 = 30_000;
/// How often it is looked whether what is under way has come to its end, and how long that may take: redemptions that take
/// longer are ended, requests are waited for by the alarm.
const LOOK_MS: i64 = 50;
const RUNS_LOOKS: u32 = 40;
const GUESTS_LOOKS: u32 = 200;
const REASON: &str = "they asked for it";

impl Member {
    pub(crate) async fn erase(self: &Rc<Self>) -> Result<(), Fault> {
        if self.storage.read()?.gone {
            return Ok(());
        }
        let (now, unplanned) = (self.now(), self.world.has(Defect::ErasureUnplanned));
        self.storage.step(Step::Erased, |state| {
            state.erasing = true;
            if !unplanned {
                state.due.plan(Item::Erase, now.plus_ms(GO_ON_MS), now);
            }
        })?;
        self.go_on_erasing().await
    }

    /// Does what is left of an erasure, once nobody is at anything any more.
    pub(crate) async fn go_on_erasing(self: &Rc<Self>) -> Result<(), Fault> {
        for look in 0..GUESTS_LOOKS {
            let runs = look < RUNS_LOOKS && !self.runs.borrow().is_empty();
            if !runs && (self.guests.get() == 0 || self.world.has(Defect::ErasedWhileBusy)) {
                return self.erase_now();
            }
            self.world.delay(LOOK_MS).await;
        }
        Err(Fault("something is under way that does not end"))
    }

    /// Without a pause: nobody comes in between.
    fn erase_now(self: &Rc<Self>) -> Result<(), Fault> {
        if !self.storage.read()?.erasing {
            return self.storage.write(|state| state.due.done(Item::Erase));
        }
        let admin = Actor::named("admin:alice");
        if !self.world.has(Defect::ErasedOpenKept) {
            self.cancel_undecided()?;
        }
        if !self.world.has(Defect::ErasedHoldsKept) {
            self.release_holds(&admin)?;
        }
        let unfinished = self.storage.read()?.unfinished();
        for rid in unfinished {
            self.change(Step::Erased, &rid, |view, names, at| (end(view, (&admin, Some(REASON)), names, at), ()))?;
        }
        self.bury(&admin)?;
        self.world.dismiss(self.number);
        self.start_report();
        Ok(())
    }

    /// Ends what was accepted and is not decided; a run that is still under way finds it decided.
    fn cancel_undecided(self: &Rc<Self>) -> Result<(), Fault> {
        let mut intents: Vec<Rc<Intent>> = {
            let state = self.storage.read()?;
            state.open.values().map(|open| Rc::clone(&open.intent)).collect()
        };
        for run in self.runs.borrow().values() {
            if self.known(&run.intent.rid)? == Known::Absent {
                intents.push(Rc::new(run.intent.clone()));
            }
        }
        intents.iter().try_for_each(|intent| self.cancel_intent(Step::Erased, intent, ERASED))
    }

    fn release_holds(self: &Rc<Self>, actor: &Actor) -> Result<(), Fault> {
        let held: Vec<Rid> = {
            let state = self.storage.read()?;
            state.holds.values().filter(|(_, hold)| hold.state == HoldState::Held).map(|(_, hold)| hold.rid).collect()
        };
        for rid in held {
            let ended =
                self.at_desk(Step::Erased, actor.clone(), |desk| desk.end(&rid, HoldState::Released).map(Ok))?;
            ended.map_err(Fault)?;
        }
        Ok(())
    }

    /// The last commit: forfeits, forgets, and leaves the tombstone.
    fn bury(self: &Rc<Self>, actor: &Actor) -> Result<(), Fault> {
        let (at, defect, pid, member_id) = (self.now(), self.world.defect, self.pid(), self.member_id());
        let mref = self.world.mrefs.get(self.number).copied().ok_or(Fault("a member without an id"))?;
        self.storage.transaction(Step::Erased, |state| {
            let purse = (&state.wallet_at(at, defect), state.next_ledger_row());
            let forfeited = forfeit(purse, mref, (actor, Some(REASON)), &self.world.names(), at);
            let mut changes = forfeited.map_err(|_| Fault("a wallet holds less than it says"))?;
            changes.audit = changes.audit.map(|draft| draft.subject(pid.clone()));
            if defect == Some(Defect::ForfeitUnwritten) {
                changes.ledger.clear();
            }
            state.write_effects(changes, &pid, vec![], at, defect)?;
            state.forget(&member_id, at, defect);
            Ok(())
        })
    }
}

impl MemberState {
    /// Redemptions of which something may still become something.
    fn unfinished(&self) -> Vec<Rid> {
        let of_status = |status| {
            matches!(status, RedemptionStatus::Redeemed | RedemptionStatus::Granting | RedemptionStatus::GrantFailed)
        };
        let unfinished = |rid: &Rid| {
            let mut held = self.rewards.range((*rid, 0)..=(*rid, u8::MAX)).map(|(_, held)| held);
            held.any(|held| is_unfinished(held))
        };
        let decided = self.redemptions.iter().filter(|(_, record)| record.decided);
        decided.filter(|(rid, record)| of_status(record.doc.status) || unfinished(rid)).map(|(rid, _)| *rid).collect()
    }

    /// Takes out who they were, and writes the tombstone.
    fn forget(&mut self, member_id: &str, at: Instant, defect: Option<Defect>) {
        for held in self.rewards.values_mut() {
            *held = Rc::new(anonymous((**held).clone()));
        }
        let by = format!("member:{member_id}");
        for row in self.ledger.iter_mut().filter(|row| row.by == by) {
            *row = Rc::new(LedgerRow { by: format!("member:{ERASED}"), ..(**row).clone() });
        }
        for record in self.redemptions.values_mut() {
            record.doc = Rc::new(Redemption { reason: None, last_error: None, ..(*record.doc).clone() });
        }
        self.quotes_forgotten.extend(std::mem::take(&mut self.quotes).into_keys());
        if defect == Some(Defect::ErasedUsesForgotten) {
            self.campaign_days.clear();
        }
        (self.erasing, self.gone) = (false, true);
        self.due.done(Item::Erase);
        self.seal(at);
    }

    /// Writes the tombstone over everything up to now, and empties the feed.
    pub(crate) fn seal(&mut self, at: Instant) {
        // The feed keeps its numbers, and nothing else.
        let last = self.events.last().map(|last| Event {
            kind: "notice".to_owned(),
            data: serde_json::json!({ "kind": "erased" }),
            ..(**last).clone()
        });
        self.events = last.into_iter().map(Rc::new).collect();
        self.buried = self.redemptions.keys().copied().collect();
        self.erasures += 1;
        self.erased_at = Some(at);
    }
}

/// Whether something may still become of a reward, or is running.
pub(crate) fn is_unfinished(held: &RewardRecord) -> bool {
    match held.state() {
        RewardState::Unclaimed | RewardState::PendingActivation | RewardState::InProgress | RewardState::Failed => true,
        RewardState::Granted => held.reward.runs_until.is_some(),
        RewardState::Complete
        | RewardState::Expired
        | RewardState::Declined
        | RewardState::Deleted
        | RewardState::Bounced => false,
    }
}
