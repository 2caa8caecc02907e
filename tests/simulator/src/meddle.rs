//! Faults that are nobody's failure: the world changes in the middle of a redemption.

use crate::event::Event;
use crate::message::{Change, Order, Party, Request, Stocking, Wish};
use crate::scenario::What;
use crate::shop::adjust;
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::limits::{DAY_MS, HOLD_MS};
use counterfoil_core::protocol::MESSAGE_VERSION;
use counterfoil_core::wire::{AdjustedAsset, CampaignStatus};
use std::rc::Rc;

impl World {
    /// Somebody changes the campaign, or the deployment's epochs, just as this step is passed.
    pub(crate) fn meddle(self: &Rc<Self>, step: Step) {
        if let Some(how) = self.strikes_how(step, Kind::CampaignPaused) {
            self.change(how, Change::Move(CampaignStatus::Paused));
            let world = Rc::clone(self);
            let pause_ms = self.held_ms(how >> 8, 10, 30_000);
            self.later(pause_ms, move |_| world.change(how, Change::Move(CampaignStatus::Active)));
        }
        if let Some(how) = self.strikes_how(step, Kind::CampaignEnded) {
            self.change(how, Change::Move(CampaignStatus::Ended));
        }
        if let Some(how) = self.strikes_how(step, Kind::EpochRotated) {
            self.change(how, Change::MinEpoch(1));
        }
        if let Some(how) = self.strikes_how(step, Kind::Refilled).filter(|_| !self.pools.is_empty()) {
            let (pool, from) = (usize::try_from(how).unwrap_or(0) % self.pools.len(), (how >> 8) % 8);
            let codes = (from..from + 3).map(|n| format!("c{n}")).collect();
            self.happens(Party::Pool(pool), Step::Stock, Request::Stock(Stocking::Add(Rc::new(codes))));
        }
        if let Some(how) = self.strikes_how(step, Kind::Spent) {
            let member = usize::try_from(how).unwrap_or(0) % self.members.len().max(1);
            let (key, amount) = (format!("spent-{how}"), -10 - i64::try_from((how >> 8) % 20).unwrap_or(0));
            if let What::Till { call, .. } = adjust(member, key, AdjustedAsset::Points, amount) {
                self.happens(Party::Member(member), Step::Till, Request::Till(call));
            }
        }
        if let Some(how) = self.strikes_how(step, Kind::HoldEnds) {
            let member = Party::Member(usize::try_from(how).unwrap_or(0) % self.members.len().max(1));
            // A clock that is off already is somebody else's to set right.
            if self.clock(member) == self.now() {
                self.set_clock(member, HOLD_MS);
                self.later(self.held_ms(how >> 8, 2, 2_000), move |world| world.set_clock(member, 0));
            }
        }
        if let Some(how) = self.strikes_how(step, Kind::Reversal) {
            let member = usize::try_from(how).unwrap_or(0) % self.members.len().max(1);
            let decided = self.members.get(member).map(|disk| disk.safe());
            let rids = decided.map(|state| state.redemptions.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
            if let Some(rid) =
                usize::try_from(how >> 8).unwrap_or(0).checked_rem(rids.len()).and_then(|at| rids.get(at))
            {
                let wish = if how % 3 == 0 {
                    Wish::ResolveCancelled { unknown_outcome: false }
                } else {
                    Wish::Reverse { give_back: how % 2 == 0, staff: false }
                };
                let order = Rc::new(Order { wish, rid: *rid, index: 0, definition: None });
                self.happens(Party::Member(member), Step::Operate, Request::Operate(order));
            }
        }
        if self.strikes(step, Kind::EpochRevoked) {
            self.epoch_revoked.set(true);
        }
    }

    fn change(self: &Rc<Self>, how: u64, change: Change) {
        let campaigns = u64::try_from(self.campaigns.len()).unwrap_or(1).max(1);
        let to = Party::Campaign(usize::try_from(how % campaigns).unwrap_or(0));
        self.happens(to, Step::Administer, Request::Administer(change));
    }

    /// Somebody asks for it just now, and does not wait for the answer.
    fn happens(self: &Rc<Self>, to: Party, step: Step, request: Request) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.schedule(0, Event::Deliver { to, step, v: MESSAGE_VERSION, request, slot: None });
    }

    /// A machine's clock is a day off, until somebody sets it right.
    pub(crate) fn jump(self: &Rc<Self>, party: Party, step: Step) {
        if let Some(how) = self.strikes_how(step, Kind::ClockJump) {
            self.set_clock(party, if how % 2 == 0 { DAY_MS } else { -DAY_MS });
            let off_ms = self.held_ms(how >> 1, 5, 90_000);
            self.later(off_ms, move |world| world.set_clock(party, 0));
        }
    }

    fn set_clock(&self, party: Party, ahead_ms: i64) {
        self.tell(|| format!("        {party}'s clock is {} h ahead", ahead_ms / 3_600_000));
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party) {
            // What a clock that was ahead has armed comes a day late: the next event must heal it.
            host.alarm_lost |= ahead_ms < host.ahead_ms && host.volume.alarm().is_some();
            host.ahead_ms = ahead_ms;
        }
        self.arm(party);
    }
}
