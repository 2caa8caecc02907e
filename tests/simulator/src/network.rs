//! Messages on their way, and what becomes of them.

use crate::event::Event;
use crate::message::{Out, Party, Reply, Request};
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::protocol::MESSAGE_VERSION;
use std::rc::Rc;

impl World {
    /// A fault's duration, cut so that nothing of it is left when faults stop.
    pub(crate) fn held_ms(&self, how: u64, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap_or(0).max(1);
        let wanted = low + i64::try_from(how % span).unwrap_or(0);
        wanted.min((self.quiet_at.0 - self.now().0).max(1))
    }

    pub(crate) fn strikes_how(&self, step: Step, fault: Kind) -> Option<u64> {
        self.strikes_how_or(step, fault, false)
    }

    pub(crate) fn strikes_how_or(&self, step: Step, fault: Kind, certain: bool) -> Option<u64> {
        let struck = self.faults.borrow_mut().strikes_how(step, fault, certain);
        if struck.is_some() {
            self.tell(|| format!("        fault: {} at \"{}\"", fault.name(), step.name()));
        }
        struck
    }

    /// A message leaves, if it does.
    pub(crate) fn release(self: &Rc<Self>, from: Party, out: Out) {
        let longest_ms = if self.faults.borrow().near { 2 } else { 20 };
        let latency = self.network.borrow_mut().between(1, longest_ms);
        match out {
            Out::Request { to, step, request, slot } => {
                if !matches!(request, Request::Read) {
                    self.tell(|| format!("{from} > {to} {}", self.oracle.borrow().describe(&request)));
                }
                self.meddle(step);
                let other = self.strikes(step, Kind::OtherVersion);
                let v = if other { MESSAGE_VERSION + 1 } else { MESSAGE_VERSION };
                if let Some(how) = self.strikes_how(step, Kind::CallerCrash) {
                    let at = self.held_ms(how, 0, 60);
                    let incarnation = self.hosts.borrow().get(&from).map_or(0, |host| host.incarnation);
                    self.schedule(at, Event::Crash(from, incarnation));
                }
                if let Some(how) = self.strikes_how_or(step, Kind::RequestLost, self.is_cut(from, to)) {
                    // Half of what is lost breaks the connection; the rest is silence.
                    if how % 2 == 0 {
                        self.silence.borrow_mut().push(slot);
                    }
                    return;
                }
                let mut delay = latency;
                if let Some(how) = self.strikes_how(step, Kind::Reordered) {
                    delay += self.held_ms(how, 20, 400);
                }
                if let Some(how) = self.strikes_how(step, Kind::Delayed) {
                    delay += self.held_ms(how, 1_000, 180_000);
                }
                if let Some(how) = self.strikes_how(step, Kind::DelayedHours) {
                    delay += self.held_ms(how, 600_000, 4 * 3_600_000);
                }
                if let Some(how) = self.strikes_how(step, Kind::Duplicated) {
                    let again = delay + self.held_ms(how >> 1, 1, if how % 2 == 0 { 60 } else { 15_000 });
                    self.oracle.borrow_mut().duplicated(&request);
                    if let Request::Webhook(webhook) = &request {
                        self.stray.borrow_mut().insert(webhook.reward.clone());
                    }
                    let request = request.clone();
                    self.in_flight.set(self.in_flight.get() + 1);
                    self.schedule(again, Event::Deliver { to, step, v, request, slot: None });
                }
                if let (Request::Webhook(webhook), true) = (&request, delay > latency) {
                    self.stray.borrow_mut().insert(webhook.reward.clone());
                }
                self.in_flight.set(self.in_flight.get() + 1);
                self.schedule(delay, Event::Deliver { to, step, v, request, slot: Some(slot) });
            }
            Out::Reply { step, reply, slot } => {
                if !matches!(reply, Ok(Reply::Done)) {
                    self.tell(|| format!("{from} < {}", self.oracle.borrow().describe_reply(&reply)));
                }
                if let Some(how) = self.strikes_how(step, Kind::ReplyLost) {
                    if how % 2 == 0 {
                        self.silence.borrow_mut().push(slot);
                    }
                    return;
                }
                self.in_flight.set(self.in_flight.get() + 1);
                self.schedule(latency, Event::Answer { reply, slot });
            }
            Out::Frames { member, events } => self.frames(member, &events),
        }
    }

    pub(crate) fn is_cut(&self, from: Party, to: Party) -> bool {
        let since_ms = self.now().0 - self.started_at.0;
        match (from, to) {
            (Party::Member(member), Party::Shard(shard)) | (Party::Shard(shard), Party::Member(member)) => {
                self.faults.borrow().cuts(member, shard, since_ms)
            }
            (_, _) => false,
        }
    }

    pub(crate) fn landed(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
}
