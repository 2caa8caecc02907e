//! What is planned on the virtual clock.

use crate::disk::Fault;
use crate::message::{Party, Reply, Request, Slot};
use crate::step::Step;
use crate::world::World;
use counterfoil_core::time::Instant;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Something of the scenario's own.
pub(crate) type Job = Box<dyn FnOnce(&Rc<World>)>;

/// Something that will happen.
pub(crate) enum Event {
    Wake(Waker),
    Deliver { to: Party, step: Step, v: u8, request: Request, slot: Option<Slot> },
    Answer { reply: Result<Reply, Fault>, slot: Slot },
    Alarm(Party, Instant),
    RingAgain(Party),
    Rung { party: Party, incarnation: u64, failed: bool },
    Crash(Party, u64),
    Commit(Party, u64),
    Run(Job),
}

/// When it will; what comes at one instant comes in the order in which it was planned.
pub(crate) struct Scheduled {
    pub(crate) at: Instant,
    pub(crate) n: u64,
    pub(crate) event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.n == other.n
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.n).cmp(&(other.at, other.n))
    }
}

/// A pause on the virtual clock.
pub(crate) struct Delay {
    pub(crate) world: Rc<World>,
    pub(crate) until: Instant,
    pub(crate) planned: bool,
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.world.now() >= self.until {
            return Poll::Ready(());
        }
        if !self.planned {
            self.planned = true;
            let ms = self.until.0 - self.world.now().0;
            self.world.schedule(ms, Event::Wake(context.waker().clone()));
        }
        Poll::Pending
    }
}
