//! The platform: a virtual clock, the network between objects, alarms, crashes, and the loop that drives it all.

use crate::campaign::Campaign;
use crate::campaign_state::CampaignState;
use crate::defect::Defect;
use crate::disk::{Disk, Fault, Volume};
use crate::exec::{Executor, Work};
use crate::fault::{Choice, Fault as Kind, Faults, Step};
use crate::feed::Subscriber;
use crate::member::Member;
use crate::member_state::MemberState;
use crate::message::{Out, Party, Reply, Request, Slot};
use crate::oracle::Oracle;
use crate::outcome::Violation;
use crate::prng::Prng;
use crate::shard::Shard;
use crate::shard_state::ShardState;
use counterfoil_core::ids::{IdKey, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The platform gives an alarm up after this many failures.
const ALARM_FAILURES_MAX: u32 = 6;
/// First pause before the platform tries a failed alarm again.
const ALARM_RETRY_MS: i64 = 2_000;
/// Longest time that the platform lets an alarm run.
const ALARM_RUN_MAX_MS: i64 = 900_000;
/// More turns than any run needs: something goes round in circles.
const TURNS_MAX: u32 = 400_000;

/// The running instance of an object; a crash replaces it.
#[derive(Clone)]
pub(crate) enum Actor {
    Member(Rc<Member>),
    Shard(Rc<Shard>),
    Campaign(Rc<Campaign>),
}

/// An object's place: its disk survives, its instance does not.
struct Host {
    actor: Actor,
    volume: Rc<dyn Volume>,
    incarnation: u64,
    /// Since when its alarm runs.
    ringing: Option<Instant>,
    alarm_failures: u32,
    /// An alarm was lost by a fault: until the next event nothing can be expected of it.
    alarm_lost: bool,
}

enum Event {
    Wake(Waker),
    Deliver { to: Party, step: Step, request: Request, slot: Option<Slot> },
    Answer { reply: Result<Reply, Fault>, slot: Slot },
    Alarm(Party, Instant),
    RingAgain(Party),
    Rung { party: Party, incarnation: u64, failed: bool },
    Crash(Party, u64),
    Commit(Party, u64),
    Run(Box<dyn FnOnce(&Rc<World>)>),
}

struct Scheduled {
    at: Instant,
    n: u64,
    event: Event,
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

/// See the module.
pub(crate) struct World {
    now: Cell<Instant>,
    /// Faults stop here.
    pub(crate) quiet_at: Instant,
    end_at: Instant,
    tasks: RefCell<Executor<Party>>,
    events: RefCell<BinaryHeap<Reverse<Scheduled>>>,
    scheduled: Cell<u64>,
    outbox: RefCell<Vec<Out>>,
    hosts: RefCell<BTreeMap<Party, Host>>,
    pub(crate) members: Vec<Rc<Disk<MemberState>>>,
    pub(crate) shards: Vec<Rc<Disk<ShardState>>>,
    pub(crate) campaigns: Vec<Rc<Disk<CampaignState>>>,
    pub(crate) subscribers: RefCell<Vec<Subscriber>>,
    pub(crate) faults: RefCell<Faults>,
    order: RefCell<Prng>,
    network: RefCell<Prng>,
    jitter: RefCell<Prng>,
    pub(crate) defect: Option<Defect>,
    pub(crate) oracle: RefCell<Oracle>,
    violation: RefCell<Option<Violation>>,
    trace: Option<RefCell<Vec<String>>>,
    started_at: Instant,
    id_key: IdKey,
    merchant: MerchantId,
    mrefs: Vec<Mref>,
    finished: Cell<bool>,
    /// Answers that never come: whoever waits for them must give up by itself.
    silence: RefCell<Vec<Slot>>,
    in_flight: Cell<u32>,
}

/// What a world is made of.
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) choice: Choice,
    pub(crate) defect: Option<Defect>,
    pub(crate) trace: bool,
    pub(crate) started_at: Instant,
    pub(crate) quiet_at: Instant,
    pub(crate) end_at: Instant,
    pub(crate) mrefs: Vec<Mref>,
    pub(crate) campaigns: Vec<CampaignState>,
    pub(crate) id_key: IdKey,
    pub(crate) merchant: MerchantId,
    pub(crate) oracle: Oracle,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        let Settings { seed, choice, defect, trace, started_at, quiet_at, end_at, .. } = settings;
        let campaigns: Vec<_> = settings.campaigns.into_iter().map(|state| Rc::new(Disk::new(state))).collect();
        let world = Rc::new(Self {
            now: Cell::new(started_at),
            quiet_at,
            end_at,
            tasks: RefCell::new(Executor::new()),
            events: RefCell::default(),
            scheduled: Cell::new(0),
            outbox: RefCell::default(),
            hosts: RefCell::default(),
            members: settings.mrefs.iter().map(|_| Rc::new(Disk::new(MemberState::default()))).collect(),
            shards: campaigns.iter().map(|_| Rc::new(Disk::new(ShardState::default()))).collect(),
            campaigns,
            subscribers: RefCell::new(settings.mrefs.iter().map(|_| Subscriber::default()).collect()),
            faults: RefCell::new(Faults::new(seed, choice)),
            order: RefCell::new(Prng::new(seed, 1)),
            network: RefCell::new(Prng::new(seed, 2)),
            jitter: RefCell::new(Prng::new(seed, 3)),
            defect,
            oracle: RefCell::new(settings.oracle),
            violation: RefCell::default(),
            trace: trace.then(RefCell::default),
            started_at,
            id_key: settings.id_key,
            merchant: settings.merchant,
            mrefs: settings.mrefs,
            finished: Cell::new(false),
            silence: RefCell::default(),
            in_flight: Cell::new(0),
        });
        let disks = world.members.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = disks.map(|(n, disk)| (Party::Member(n), disk));
        let disks = world.shards.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = places.chain(disks.map(|(n, disk)| (Party::Shard(n), disk)));
        let disks = world.campaigns.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        for (party, volume) in places.chain(disks.map(|(n, disk)| (Party::Campaign(n), disk))) {
            if let Some(actor) = world.instance(party) {
                let host =
                    Host { actor, volume, incarnation: 0, ringing: None, alarm_failures: 0, alarm_lost: false };
                world.hosts.borrow_mut().insert(party, host);
            }
        }
        world
    }

    fn instance(self: &Rc<Self>, party: Party) -> Option<Actor> {
        Some(match party {
            Party::Member(n) => Actor::Member(Rc::new(Member::new(self, n, self.members.get(n)?))),
            Party::Shard(n) => Actor::Shard(Rc::new(Shard::new(self, n, self.shards.get(n)?))),
            Party::Campaign(n) => Actor::Campaign(Rc::new(Campaign::new(self, n, self.campaigns.get(n)?))),
            Party::Outside(_) => return None,
        })
    }

    // What the objects and those outside use.

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(crate) fn names(&self) -> Names<'_> {
        Names { key: &self.id_key, merchant: &self.merchant }
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    pub(crate) fn random_u32(&self) -> u32 {
        u32::try_from(self.jitter.borrow_mut().next() >> 32).unwrap_or_default()
    }

    pub(crate) fn strikes(&self, step: Step, fault: Kind) -> bool {
        let struck = self.faults.borrow_mut().strikes(step, fault);
        if struck {
            self.tell(|| format!("        fault: {} at \"{}\"", fault.name(), step.name()));
        }
        struck
    }

    fn strikes_how(&self, step: Step, fault: Kind) -> Option<u64> {
        let struck = self.faults.borrow_mut().strikes_how(step, fault);
        if struck.is_some() {
            self.tell(|| format!("        fault: {} at \"{}\"", fault.name(), step.name()));
        }
        struck
    }

    /// Adds a line to the trace, where there is one.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let since = self.now().0 - self.started_at.0;
            trace.borrow_mut().push(format!("{:>4}.{:03} {}", since / 1_000, since % 1_000, line()));
        }
    }

    /// The first violation ends the run.
    pub(crate) fn violated(&self, violation: Violation) {
        self.tell(|| format!("VIOLATION {}: {}", violation.invariant, violation.what));
        self.violation.borrow_mut().get_or_insert(violation);
    }

    pub(crate) fn is_violated(&self) -> bool {
        self.violation.borrow().is_some()
    }

    pub(crate) fn spawn(&self, owner: Party, work: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().spawn(owner, Box::pin(work));
    }

    pub(crate) fn delay(self: &Rc<Self>, ms: i64) -> Delay {
        Delay { world: Rc::clone(self), until: self.now().plus_ms(ms), planned: false }
    }

    /// Asks another party. The request leaves at the end of this turn.
    pub(crate) fn call(&self, to: Party, step: Step, request: Request) -> oneshot::Receiver<Result<Reply, Fault>> {
        let (slot, answer) = oneshot::channel();
        self.outbox.borrow_mut().push(Out::Request { to, step, request, slot });
        answer
    }

    pub(crate) fn send(&self, out: Out) {
        self.outbox.borrow_mut().push(out);
    }

    pub(crate) fn later(&self, ms: i64, work: impl FnOnce(&Rc<Self>) + 'static) {
        self.schedule(ms, Event::Run(Box::new(work)));
    }

    fn schedule(&self, ms: i64, event: Event) {
        let n = self.scheduled.get();
        self.scheduled.set(n + 1);
        self.events.borrow_mut().push(Reverse(Scheduled { at: self.now().plus_ms(ms.max(0)), n, event }));
    }

    /// A fault's duration, cut so that nothing of it is left when faults stop.
    fn held_ms(&self, how: u64, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low).unwrap_or(0).max(1);
        let wanted = low + i64::try_from(how % span).unwrap_or(0);
        wanted.min((self.quiet_at.0 - self.now().0).max(1))
    }

    /// Whether an object's alarm cannot be expected to be set.
    pub(crate) fn excused(&self, party: Party) -> bool {
        self.hosts.borrow().get(&party).is_some_and(|host| host.alarm_lost || host.ringing.is_some())
    }

    /// The Member of a redemption: a redemption's id begins with its member's.
    pub(crate) fn member_of(&self, rid: &Rid) -> Option<usize> {
        self.mrefs.iter().position(|mref| *mref == rid.mref())
    }

    /// Ends the run early when nothing is under way and nothing is due.
    pub(crate) fn finish_when_at_rest(&self) {
        let ringing = self.hosts.borrow().values().any(|host| host.ringing.is_some());
        if self.in_flight.get() == 0 && !ringing && self.tasks.borrow().is_empty() {
            self.finished.set(true);
        }
    }

    // The loop.

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

    fn turn(self: &Rc<Self>, task: usize, owner: Party, mut work: Work, waker: &Waker) {
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
    fn end_turn(self: &Rc<Self>, owner: Party) {
        let volume = self.hosts.borrow().get(&owner).map(|host| (Rc::clone(&host.volume), host.incarnation));
        if let Some((volume, incarnation)) = volume
            && let Some(steps) = volume.take_dirty()
        {
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
        }
        let outbox = self.outbox.take();
        for out in outbox {
            self.release(owner, out);
        }
    }

    fn commit(&self, owner: Party, volume: &Rc<dyn Volume>) {
        let alarm = volume.alarm();
        volume.commit();
        self.oracle.borrow_mut().committed(self, owner);
        if let Some(at) = volume.alarm().filter(|at| Some(*at) != alarm) {
            if let Some(host) = self.hosts.borrow_mut().get_mut(&owner) {
                host.alarm_lost = false;
                host.alarm_failures = 0;
            }
            self.schedule(at.0 - self.now().0, Event::Alarm(owner, at));
        }
    }

    /// Everything volatile is lost: tasks, queues, waiters, buffers. Whoever waits for an answer learns it.
    fn crash(self: &Rc<Self>, party: Party) {
        self.tell(|| format!("        {party} crashes"));
        let mut dropped: Vec<Out> = self.outbox.take();
        let lost = self.tasks.borrow_mut().remove(party);
        drop(lost);
        dropped.clear();
        if let Party::Outside(_) = party {
            return;
        }
        let Some(actor) = self.instance(party) else { return };
        let mut retry = None;
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party) {
            host.volume.revert();
            host.incarnation += 1;
            let before = std::mem::replace(&mut host.actor, actor);
            drop(before);
            // An alarm that dies without having armed itself again is the platform's to repeat.
            if host.ringing.take().is_some() && host.volume.alarm().is_none() {
                host.alarm_failures += 1;
                if host.alarm_failures < ALARM_FAILURES_MAX {
                    let at = self.now().plus_ms(ALARM_RETRY_MS);
                    host.volume.set_alarm(Some(at));
                    retry = Some(at);
                } else {
                    host.alarm_lost = true;
                }
            }
        }
        let armed = self.hosts.borrow().get(&party).and_then(|host| host.volume.alarm());
        if let Some(at) = retry.or(armed) {
            // What came due while it was ringing waits for this.
            self.schedule(at.0 - self.now().0, Event::Alarm(party, at));
        }
        if let Party::Member(member) = party {
            self.drop_socket(member);
        }
    }

    /// A message leaves, if it does.
    fn release(self: &Rc<Self>, from: Party, out: Out) {
        let latency = self.network.borrow_mut().between(1, 20);
        match out {
            Out::Request { to, step, request, slot } => {
                if !matches!(request, Request::Read) {
                    self.tell(|| format!("{from} > {to} {}", self.oracle.borrow().describe(&request)));
                }
                if let Some(how) = self.strikes_how(step, Kind::CallerCrash) {
                    let at = self.held_ms(how, 0, 60);
                    let incarnation = self.hosts.borrow().get(&from).map_or(0, |host| host.incarnation);
                    self.schedule(at, Event::Crash(from, incarnation));
                }
                if let Some(how) = self.strikes_how(step, Kind::RequestLost) {
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
                if let Some(how) = self.strikes_how(step, Kind::Duplicated) {
                    let again = delay + self.held_ms(how >> 1, 1, if how % 2 == 0 { 60 } else { 15_000 });
                    self.oracle.borrow_mut().duplicated(&request);
                    let request = request.clone();
                    self.in_flight.set(self.in_flight.get() + 1);
                    self.schedule(again, Event::Deliver { to, step, request, slot: None });
                }
                self.in_flight.set(self.in_flight.get() + 1);
                self.schedule(delay, Event::Deliver { to, step, request, slot: Some(slot) });
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

    fn landed(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }

    fn happen(self: &Rc<Self>, event: Event) {
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
            Event::Deliver { to, step, request, slot } => {
                self.landed();
                if self.strikes(step, Kind::ReceiverCrash) {
                    return self.crash(to);
                }
                self.deliver(to, step, request, slot);
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

    fn deliver(self: &Rc<Self>, to: Party, step: Step, request: Request, slot: Option<Slot>) {
        let actor = self.hosts.borrow().get(&to).map(|host| host.actor.clone());
        let Some(actor) = actor else { return };
        let world = Rc::clone(self);
        self.spawn(to, async move {
            let reply = match actor {
                Actor::Member(member) => member.answer(request).await,
                Actor::Shard(shard) => shard.answer(request).await,
                Actor::Campaign(campaign) => campaign.answer(request).await,
            };
            if let Some(slot) = slot {
                world.send(Out::Reply { step, reply, slot });
            }
        });
    }

    const fn alarm_step(party: Party) -> Step {
        match party {
            Party::Member(_) | Party::Outside(_) => Step::MemberAlarm,
            Party::Shard(_) => Step::ShardAlarm,
            Party::Campaign(_) => Step::CampaignAlarm,
        }
    }

    /// The platform's alarm has come due.
    fn alarm(self: &Rc<Self>, party: Party, at: Instant) {
        let step = Self::alarm_step(party);
        {
            let mut hosts = self.hosts.borrow_mut();
            let Some(host) = hosts.get_mut(&party) else { return };
            if host.volume.alarm() != Some(at) || at > self.now() {
                return;
            }
            if let Some(since) = host.ringing {
                // One alarm at a time. One that never ends is stopped.
                let stop_at = since.plus_ms(ALARM_RUN_MAX_MS);
                let incarnation = host.incarnation;
                drop(hosts);
                if self.now() >= stop_at {
                    return self.schedule(0, Event::Crash(party, incarnation));
                }
                return self.schedule(1_000, Event::Alarm(party, at));
            }
        }
        if let Some(how) = self.strikes_how(step, Kind::AlarmLate) {
            let late = self.held_ms(how, 500, 120_000);
            return self.schedule(late, Event::Alarm(party, at));
        }
        let dropped = self.strikes(step, Kind::AlarmDropped);
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party) {
            host.volume.set_alarm(None);
            host.alarm_lost = dropped;
        }
        if dropped {
            return;
        }
        if self.strikes(step, Kind::AlarmTwice) {
            self.schedule(1, Event::RingAgain(party));
        }
        self.ring(party);
    }

    fn ring(self: &Rc<Self>, party: Party) {
        let now = self.now();
        let (actor, incarnation) = {
            let mut hosts = self.hosts.borrow_mut();
            let Some(host) = hosts.get_mut(&party) else { return };
            host.ringing = Some(now);
            (host.actor.clone(), host.incarnation)
        };
        self.tell(|| format!("{party} alarm"));
        let world = Rc::clone(self);
        self.spawn(party, async move {
            let rung = match actor {
                Actor::Member(member) => member.ring(),
                Actor::Shard(shard) => shard.ring().await,
                Actor::Campaign(campaign) => campaign.ring().await,
            };
            // It has run only once its last turn is committed.
            world.schedule(0, Event::Rung { party, incarnation, failed: rung.is_err() });
        });
    }

    fn rung(&self, party: Party, incarnation: u64, failed: bool) {
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party).filter(|host| host.incarnation == incarnation) {
            host.ringing = None;
            // Its failure is only logged, so the platform does not repeat it: the next event must heal it.
            host.alarm_lost |= failed && host.volume.alarm().is_none();
        }
        self.oracle.borrow_mut().committed(self, party);
    }

    /// Ends a run: breaks the circles between world and tasks.
    pub(crate) fn close(&self) -> (Option<Violation>, Vec<String>) {
        let work = self.tasks.borrow_mut().clear();
        drop(work);
        let events = self.events.take();
        drop(events);
        drop(self.outbox.take());
        drop(self.silence.take());
        let hosts = self.hosts.take();
        drop(hosts);
        let trace = self.trace.as_ref().map(RefCell::take).unwrap_or_default();
        (self.violation.take(), trace)
    }
}

/// A pause on the virtual clock.
pub(crate) struct Delay {
    world: Rc<World>,
    until: Instant,
    planned: bool,
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
