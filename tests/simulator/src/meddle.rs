//! Faults that are nobody's failure: the world changes in the middle of a redemption.

use crate::event::Event;
use crate::message::{Change, Party, Request};
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::MESSAGE_VERSION;
use counterfoil_core::wire::CampaignStatus;
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
        if self.strikes(step, Kind::EpochRevoked) {
            self.epoch_revoked.set(true);
        }
    }

    fn change(self: &Rc<Self>, how: u64, change: Change) {
        let campaigns = u64::try_from(self.campaigns.len()).unwrap_or(1).max(1);
        let to = Party::Campaign(usize::try_from(how % campaigns).unwrap_or(0));
        let request = Request::Administer(change);
        self.in_flight.set(self.in_flight.get() + 1);
        self.schedule(0, Event::Deliver { to, step: Step::Administer, v: MESSAGE_VERSION, request, slot: None });
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
