//! The loop: one turn of one task at a time, its commit, then its messages; and crashes, which lose the rest.

use crate::defect::Defect;
use crate::disk::{Fault, Volume};
use crate::event::Event;
use crate::exec::{Executor, Work};
use crate::message::{Out, Party, Reply, Request, Slot};
use crate::outcome::Violation;
use crate::step::{Fault as Kind, Step};
use crate::world::{Actor, World};
use counterfoil_core::protocol::MESSAGE_VERSION;
use std::cmp::Reverse;
use std::rc::Rc;
use std::task::Waker;

/// The platform gives an alarm up after this many failures.
const ALARM_FAILURES_MAX: u32 = 6;
/// First pause before the platform tries a failed alarm again.
const ALARM_RETRY_MS: i64 = 2_000;
/// More turns than any run needs: something goes round in circles.
const TURNS_MAX: u32 = 400_000;

impl World {
    /// Runs to the end or to the first violation.
    pub(crate) fn run(self: &Rc<Self>) {
        for _ in 0..TURNS_MAX {
            if self.finished.get() || self.violation.borrow().is_some() {
                return;
            }
            let taken = self.tasks.borrow_mut().take(|ready| self.order.borrow_mut().index(ready));
            if let Some((task, owner, work, waker)) = taken {
                self.turn(task, owner, work, &waker);
                continue;
            }
            let next = self.events.borrow_mut().pop();
            let Some(Reverse(next)) = next else { return };
            if next.at > self.end_at {
                return;
            }
            self.now.set(next.at);
            if next.at >= self.quiet_at {
                self.faults.borrow_mut().on = false;
            }
            self.happen(next.event);
        }
        self.violated(Violation::new("I6", "the run does not come to an end".to_owned()));
    }

    pub(crate) fn turn(self: &Rc<Self>, task: usize, owner: Party, mut work: Work, waker: &Waker) {
        let finished = Executor::<Party>::poll(&mut work, waker);
        self.end_turn(owner);
        if finished {
            drop(work);
            self.tasks.borrow_mut().finish(task);
        } else {
            let lost = self.tasks.borrow_mut().put_back(task, work);
            drop(lost);
        }
    }

    /// Commits what the turn wrote, then lets its messages out; a crash can come before either.
    pub(crate) fn end_turn(self: &Rc<Self>, owner: Party) {
        let volume = self.hosts.borrow().get(&owner).map(|host| (Rc::clone(&host.volume), host.incarnation));
        if let Some((volume, incarnation)) = volume
            && let Some(steps) = volume.take_dirty()
        {
            for step in &steps {
                self.meddle(*step);
            }
            let crash = steps.iter().find_map(|step| {
                let kinds = [Kind::CrashBefore, Kind::CrashAfter];
                kinds.into_iter().find(|kind| self.strikes(*step, *kind))
            });
            match crash {
                Some(Kind::CrashBefore) => return self.crash(owner),
                Some(_) => {
                    self.commit(owner, &volume);
                    return self.crash(owner);
                }
                None if self.has(Defect::AckBeforeCommit) && steps.contains(&Step::Decide) => {
                    self.schedule(4, Event::Commit(owner, incarnation));
                }
                None => self.commit(owner, &volume),
            }
            for step in steps {
                self.jump(owner, step);
            }
        }
        let outbox = self.outbox.take();
        for out in outbox {
            self.release(owner, out);
        }
    }

    pub(crate) fn commit(&self, owner: Party, volume: &Rc<dyn Volume>) {
        let alarm = volume.alarm();
        volume.commit();
        self.oracle.borrow_mut().committed(self, owner);
        if let Some(at) = volume.alarm().filter(|at| Some(*at) != alarm) {
            if let Some(host) = self.hosts.borrow_mut().get_mut(&owner) {
                host.alarm_lost = false;
                host.alarm_failures = 0;
            }
            self.schedule(at.0 - self.clock(owner).0, Event::Alarm(owner, at));
        }
    }

    /// Everything volatile is lost: tasks, queues, waiters, buffers. Whoever waits for an answer learns it.
    pub(crate) fn crash(self: &Rc<Self>, party: Party) {
        self.tell(|| format!("        {party} crashes"));
        let mut dropped: Vec<Out> = self.outbox.take();
        let lost = self.tasks.borrow_mut().remove(party);
        drop(lost);
        dropped.clear();
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party) {
            host.volume.revert();
        }
        self.renew(party);
    }

    /// A new instance takes an object over, with nothing but what is stored. Answers the one before it.
    fn renew(self: &Rc<Self>, party: Party) -> Option<Actor> {
        let volume = self.hosts.borrow().get(&party).map(|host| Rc::clone(&host.volume));
        volume?.hand_over();
        let actor = self.instance(party)?;
        let before = {
            let mut hosts = self.hosts.borrow_mut();
            let host = hosts.get_mut(&party)?;
            host.incarnation += 1;
            host.troubles += 1;
            std::mem::replace(&mut host.actor, actor)
        };
        let ringing = self.hosts.borrow_mut().get_mut(&party).and_then(|host| host.ringing.take());
        if ringing.is_some() {
            self.alarm_failed(party);
        }
        // What came due while it was ringing waits for this.
        self.arm(party);
        if let Party::Member(member) = party {
            self.drop_socket(member);
        }
        Some(before)
    }

    /// An alarm that fails without having armed itself again is the platform's to repeat, a few times.
    pub(crate) fn alarm_failed(&self, party: Party) {
        let at = self.clock(party).plus_ms(ALARM_RETRY_MS);
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party).filter(|host| host.volume.alarm().is_none()) {
            host.alarm_failures += 1;
            if host.alarm_failures < ALARM_FAILURES_MAX {
                host.volume.set_alarm(Some(at));
            } else {
                host.alarm_lost = true;
            }
        }
    }

    /// The platform fires an object's alarm when the object's clock says so.
    pub(crate) fn arm(&self, party: Party) {
        let at = self.hosts.borrow().get(&party).and_then(|host| host.volume.alarm());
        if let Some(at) = at {
            self.schedule(at.0 - self.clock(party).0, Event::Alarm(party, at));
        }
    }

    pub(crate) fn happen(self: &Rc<Self>, event: Event) {
        match event {
            Event::Wake(waker) => waker.wake(),
            Event::Run(work) => {
                work(self);
                self.end_turn(Party::Outside(usize::MAX));
            }
            Event::Answer { reply, slot } => {
                self.landed();
                // Whoever asked may have given up.
                let _ = slot.send(reply);
            }
            Event::Deliver { to, step, v, request, slot } => {
                self.landed();
                self.arrive(to, step, v, request, slot);
            }
            Event::Crash(party, incarnation) => {
                let same = self.hosts.borrow().get(&party).is_none_or(|host| host.incarnation == incarnation);
                if same {
                    self.crash(party);
                }
            }
            Event::Commit(party, incarnation) => {
                let host = self.hosts.borrow();
                let volume = host.get(&party).filter(|host| host.incarnation == incarnation);
                let volume = volume.map(|host| Rc::clone(&host.volume));
                drop(host);
                if let Some(volume) = volume {
                    self.commit(party, &volume);
                }
            }
            Event::Alarm(party, at) => self.alarm(party, at),
            Event::Rung { party, incarnation, failed } => self.rung(party, incarnation, failed),
            Event::RingAgain(party) => {
                let free = self.hosts.borrow().get(&party).is_some_and(|host| host.ringing.is_none());
                if free {
                    self.ring(party);
                }
            }
        }
    }

    /// A message reaches its object, or what stands for it.
    fn arrive(self: &Rc<Self>, to: Party, step: Step, v: u8, request: Request, slot: Option<Slot>) {
        self.jump(to, step);
        if self.strikes(step, Kind::Overloaded) {
            return self.reply(step, Err(Fault("the object is overloaded")), slot);
        }
        if self.strikes(step, Kind::ReceiverCrash) {
            return self.crash(to);
        }
        let idle = !self.tasks.borrow().has(to);
        if idle && self.strikes(step, Kind::Evicted) {
            self.renew(to);
        }
        if let (Party::Fulfiller, Request::Webhook(webhook)) = (to, &request) {
            let (world, webhook) = (Rc::clone(self), Rc::clone(webhook));
            return self.spawn(to, async move {
                let reply = Rc::clone(&world).fulfil(webhook).await;
                if let Some(slot) = slot {
                    world.send(Out::Reply { step, reply: Ok(reply), slot });
                }
            });
        }
        let actor = self.hosts.borrow().get(&to).map(|host| host.actor.clone());
        // The old instance has this message, and whatever it was doing; the next message goes to the new one.
        let stale = if self.strikes(step, Kind::Stale) { self.renew(to) } else { None };
        if let Some(actor) = stale.or(actor) {
            self.deliver(actor, to, step, v, request, slot);
        }
    }

    fn reply(self: &Rc<Self>, step: Step, reply: Result<Reply, Fault>, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.send(Out::Reply { step, reply, slot });
            self.end_turn(Party::Outside(usize::MAX));
        }
    }

    fn deliver(self: &Rc<Self>, actor: Actor, to: Party, step: Step, v: u8, request: Request, slot: Option<Slot>) {
        let world = Rc::clone(self);
        self.spawn(to, async move {
            let reply = match actor {
                _ if v != MESSAGE_VERSION => Err(Fault("this message version is not spoken here")),
                Actor::Member(member) => member.answer(request).await,
                Actor::Shard(shard) => shard.answer(request).await,
                Actor::Campaign(campaign) => campaign.answer(request).await,
                Actor::Pool(pool) => pool.answer(request).await,
                Actor::Recorder(recorder) => recorder.answer(request).await,
                Actor::Merchant(merchant) => merchant.answer(&request),
            };
            if let Some(slot) = slot {
                world.send(Out::Reply { step, reply, slot });
            }
        });
    }
}
