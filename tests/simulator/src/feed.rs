//! A member's live feed as a subscriber sees it: frames in order, and a resume by the last number after a cut.

use crate::outcome::Violation;
use crate::step::{Fault, Step};
use crate::world::World;
use counterfoil_core::wire::Event;
use std::rc::Rc;

/// One socket that is always opened again.
#[derive(Debug)]
pub(crate) struct Subscriber {
    connected: bool,
    last: u64,
    /// Comes back as somebody new, who wants nothing of before.
    anew: bool,
}

impl Default for Subscriber {
    fn default() -> Self {
        Self { connected: true, last: 0, anew: false }
    }
}

impl World {
    /// Frames leave, on a connection that may be gone.
    pub(crate) fn frames(self: &Rc<Self>, member: usize, events: &[Rc<Event>]) {
        if self.strikes(Step::Feed, Fault::RequestLost) {
            self.drop_socket(member);
        }
        let connected = self.subscribers.borrow().get(member).is_some_and(|subscriber| subscriber.connected);
        if connected {
            self.receive(member, events);
        }
    }

    fn receive(&self, member: usize, events: &[Rc<Event>]) {
        for event in events {
            let mut subscribers = self.subscribers.borrow_mut();
            let Some(subscriber) = subscribers.get_mut(member) else {
                return;
            };
            let expected = subscriber.last + 1;
            subscriber.last = event.seq;
            drop(subscribers);
            if event.seq != expected {
                let what = format!("M{member}'s feed jumps to {} where {expected} was next", event.seq);
                return self.violated(Violation::new("I9", what));
            }
        }
    }

    /// The connection is cut; the subscriber comes back and resumes.
    pub(crate) fn drop_socket(self: &Rc<Self>, member: usize) {
        let mut subscribers = self.subscribers.borrow_mut();
        let Some(subscriber) = subscribers.get_mut(member).filter(|subscriber| subscriber.connected) else {
            return;
        };
        subscriber.connected = false;
        drop(subscribers);
        let pause_ms = i64::from(self.random_u32() % 3_000) + 50;
        self.later(pause_ms, move |world| world.resume(member));
    }

    /// The member was erased: their sockets are closed.
    pub(crate) fn dismiss(self: &Rc<Self>, member: usize) {
        if let Some(subscriber) = self.subscribers.borrow_mut().get_mut(member) {
            subscriber.anew = true;
        }
        self.drop_socket(member);
    }

    fn resume(&self, member: usize) {
        let Some(disk) = self.members.get(member) else {
            return;
        };
        let last = self.subscribers.borrow_mut().get_mut(member).map_or(0, |subscriber| {
            subscriber.connected = true;
            if std::mem::take(&mut subscriber.anew) {
                subscriber.last = disk.safe().events.last().map_or(0, |event| event.seq);
            }
            subscriber.last
        });
        let missed: Vec<Rc<Event>> = disk.safe().events.iter().filter(|event| event.seq > last).cloned().collect();
        self.receive(member, &missed);
    }

    /// At the end a connected subscriber has seen everything.
    pub(crate) fn check_feeds(&self) {
        for (member, disk) in self.members.iter().enumerate() {
            let last = disk.safe().events.last().map_or(0, |event| event.seq);
            let behind = self.subscribers.borrow().get(member).is_some_and(|seen| seen.connected && seen.last != last);
            if behind {
                self.violated(Violation::new("I9", format!("M{member}'s feed ends before event {last}")));
            }
        }
    }
}
