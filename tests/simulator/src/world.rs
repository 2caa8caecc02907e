//! The world of one run: objects and their disks, the virtual clock, and what those inside it may use.

use crate::campaign::Campaign;
use crate::campaign_state::CampaignState;
use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage, Stored, Volume};
use crate::due::{CRASHES_MAX, Item};
use crate::event::{Delay, Event, Scheduled};
use crate::exec::Executor;
use crate::fault::{Bias, Choice, Faults};
use crate::feed::Subscriber;
use crate::fulfiller::Fulfiller;
use crate::member::Member;
use crate::member_state::MemberState;
use crate::merchant::{Merchant, MerchantState};
use crate::message::{Out, Party, Reply, Request, Slot};
use crate::oracle::Oracle;
use crate::outcome::Violation;
use crate::pool::Pool;
use crate::pool_state::PoolState;
use crate::prng::Prng;
use crate::recorder::{Recorder, RecorderState};
use crate::shard::Shard;
use crate::shard_state::ShardState;
use crate::step::{Fault as Kind, Step};
use counterfoil_core::ids::{IdKey, Mref, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::protocol::Intent;
use counterfoil_core::protocol::report::month_of;
use counterfoil_core::rules::Rules;
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::future::Future;
use std::rc::Rc;

/// Recorders: months that a run can touch.
const RECORDERS: usize = 3;

/// The running instance of an object; a crash replaces it.
#[derive(Clone)]
pub(crate) enum Actor {
    Member(Rc<Member>),
    Shard(Rc<Shard>),
    Campaign(Rc<Campaign>),
    Pool(Rc<Pool>),
    Recorder(Rc<Recorder>),
    Merchant(Rc<Merchant>),
}

/// An object's place: its disk survives, its instance does not.
pub(crate) struct Host {
    pub(crate) actor: Actor,
    pub(crate) volume: Rc<dyn Volume>,
    pub(crate) incarnation: u64,
    /// Since when its alarm runs.
    pub(crate) ringing: Option<Instant>,
    pub(crate) alarm_failures: u32,
    /// Crashes, and alarms that failed.
    pub(crate) troubles: u32,
    /// An alarm was lost by a fault: until the next event nothing can be expected of it.
    pub(crate) alarm_lost: bool,
    /// How far its clock is ahead.
    pub(crate) ahead_ms: i64,
}

/// See the module.
pub(crate) struct World {
    pub(crate) now: Cell<Instant>,
    /// Faults stop here.
    pub(crate) quiet_at: Instant,
    pub(crate) end_at: Instant,
    pub(crate) tasks: RefCell<Executor<Party>>,
    pub(crate) events: RefCell<BinaryHeap<Reverse<Scheduled>>>,
    pub(crate) scheduled: Cell<u64>,
    pub(crate) outbox: RefCell<Vec<Out>>,
    pub(crate) hosts: RefCell<BTreeMap<Party, Host>>,
    pub(crate) members: Vec<Rc<Disk<MemberState>>>,
    pub(crate) shards: Vec<Rc<Disk<ShardState>>>,
    /// The campaign of each, by its place, and which of its shards it is.
    pub(crate) homes: Vec<(usize, u32)>,
    pub(crate) campaigns: Vec<Rc<Disk<CampaignState>>>,
    pub(crate) pools: Vec<Rc<Disk<PoolState>>>,
    pub(crate) recorders: Vec<Rc<Disk<RecorderState>>>,
    pub(crate) endpoint: Rc<Disk<MerchantState>>,
    pub(crate) fulfiller: RefCell<Fulfiller>,
    /// Rewards of which some message to the fulfiller was doubled or late.
    pub(crate) stray: RefCell<BTreeSet<String>>,
    pub(crate) seed: u64,
    /// Those that a run can touch, clocks that are a day behind included.
    months: Vec<String>,
    failures: RefCell<BTreeMap<(Party, Item), u32>>,
    pub(crate) subscribers: RefCell<Vec<Subscriber>>,
    pub(crate) faults: RefCell<Faults>,
    pub(crate) order: RefCell<Prng>,
    pub(crate) network: RefCell<Prng>,
    pub(crate) jitter: RefCell<Prng>,
    pub(crate) defect: Option<Defect>,
    pub(crate) oracle: RefCell<Oracle>,
    pub(crate) violation: RefCell<Option<Violation>>,
    pub(crate) trace: Option<RefCell<Vec<String>>>,
    pub(crate) started_at: Instant,
    pub(crate) id_key: IdKey,
    pub(crate) merchant: MerchantId,
    pub(crate) mrefs: Vec<Mref>,
    pub(crate) finished: Cell<bool>,
    /// Answers that never come: whoever waits for them must give up by itself.
    pub(crate) silence: RefCell<Vec<Slot>>,
    pub(crate) in_flight: Cell<u32>,
    /// Whether the deployment has revoked the epoch of the first codes.
    pub(crate) epoch_revoked: Cell<bool>,
    /// Somebody is still to find out what is left of limits.
    pub(crate) probing: Cell<bool>,
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
    pub(crate) bias: Bias,
    pub(crate) mrefs: Vec<Mref>,
    pub(crate) campaigns: Vec<CampaignState>,
    pub(crate) pools: usize,
    pub(crate) id_key: IdKey,
    pub(crate) merchant: MerchantId,
    pub(crate) oracle: Oracle,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        let Settings { seed, choice, defect, trace, started_at, quiet_at, end_at, .. } = settings;
        let homes = homes(&settings.campaigns.iter().map(|state| state.rules.shards).collect::<Vec<_>>());
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
            shards: homes.iter().map(|_| Rc::new(Disk::new(ShardState::default()))).collect(),
            homes,
            campaigns,
            pools: (0..settings.pools).map(|_| Rc::new(Disk::new(PoolState::default()))).collect(),
            recorders: (0..RECORDERS).map(|_| Rc::new(Disk::new(RecorderState::default()))).collect(),
            endpoint: Rc::new(Disk::new(MerchantState::new())),
            fulfiller: RefCell::default(),
            stray: RefCell::default(),
            seed,
            months: months(started_at),
            failures: RefCell::default(),
            subscribers: RefCell::new(settings.mrefs.iter().map(|_| Subscriber::default()).collect()),
            faults: RefCell::new(Faults::new(seed, choice, settings.bias, quiet_at.0 - started_at.0)),
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
            epoch_revoked: Cell::new(false),
            probing: Cell::new(false),
        });
        let disks = world.members.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = disks.map(|(n, disk)| (Party::Member(n), disk));
        let disks = world.shards.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = places.chain(disks.map(|(n, disk)| (Party::Shard(n), disk)));
        let disks = world.campaigns.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = places.chain(disks.map(|(n, disk)| (Party::Campaign(n), disk)));
        let disks = world.pools.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = places.chain(disks.map(|(n, disk)| (Party::Pool(n), disk)));
        let disks = world.recorders.iter().map(|disk| Rc::clone(disk) as Rc<dyn Volume>).enumerate();
        let places = places.chain(disks.map(|(n, disk)| (Party::Recorder(n), disk)));
        let merchant = (Party::Merchant, Rc::clone(&world.endpoint) as Rc<dyn Volume>);
        for (party, volume) in places.chain([merchant]) {
            if let Some(actor) = world.instance(party) {
                let host = Host {
                    actor,
                    volume,
                    incarnation: 0,
                    ringing: None,
                    alarm_failures: 0,
                    troubles: 0,
                    alarm_lost: false,
                    ahead_ms: 0,
                };
                world.hosts.borrow_mut().insert(party, host);
            }
        }
        world
    }

    pub(crate) fn instance(self: &Rc<Self>, party: Party) -> Option<Actor> {
        Some(match party {
            Party::Member(n) => Actor::Member(Rc::new(Member::new(self, n, self.members.get(n)?))),
            Party::Shard(n) => Actor::Shard(Rc::new(Shard::new(self, n, self.shards.get(n)?))),
            Party::Campaign(n) => Actor::Campaign(Rc::new(Campaign::new(self, n, self.campaigns.get(n)?))),
            Party::Pool(n) => Actor::Pool(Rc::new(Pool::new(self, n, self.pools.get(n)?))),
            Party::Recorder(n) => Actor::Recorder(Rc::new(Recorder::new(self, n, self.recorders.get(n)?))),
            Party::Merchant => Actor::Merchant(Rc::new(Merchant::new(self, &self.endpoint))),
            Party::Fulfiller | Party::Outside(_) => return None,
        })
    }

    // What the objects and those outside use.

    /// The true time, which nobody inside knows.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// The time as a party has it.
    pub(crate) fn clock(&self, party: Party) -> Instant {
        self.now().plus_ms(self.hosts.borrow().get(&party).map_or(0, |host| host.ahead_ms))
    }

    /// The campaign of a shard, by its place, and which of its shards it is.
    pub(crate) fn home(&self, shard: usize) -> (usize, u32) {
        self.homes.get(shard).copied().unwrap_or_default()
    }

    /// Where a shard of a campaign is; nowhere, where there is no such shard.
    pub(crate) fn shard_at(&self, campaign: usize, shard: u32) -> usize {
        self.homes.iter().position(|home| *home == (campaign, shard)).unwrap_or(usize::MAX)
    }

    /// The shards of a campaign, with their places.
    pub(crate) fn shards_of(&self, campaign: usize) -> impl Iterator<Item = (usize, Rc<ShardState>)> + '_ {
        let of = self.homes.iter().zip(&self.shards).enumerate();
        of.filter(move |(_, (home, _))| home.0 == campaign).map(|(n, (_, disk))| (n, disk.safe()))
    }

    /// For [`Defect::AliasKept`] and [`Defect::RevocationIgnored`]: the rules as a shard that does not heed them reads them.
    pub(crate) fn believed(&self, rules: Option<&Rules>, intent: &Intent) -> Option<Rules> {
        let mut rules = rules?.clone();
        match self.defect {
            Some(Defect::AliasKept) => rules.aliases.extend(intent.code()?.facts.alias.clone()),
            Some(Defect::RevocationIgnored) => rules.revoked_epochs.clear(),
            Some(_) | None => return None,
        }
        Some(rules)
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

    pub(crate) fn schedule(&self, ms: i64, event: Event) {
        let n = self.scheduled.get();
        self.scheduled.set(n + 1);
        self.events.borrow_mut().push(Reverse(Scheduled { at: self.now().plus_ms(ms.max(0)), n, event }));
    }

    /// Something went wrong with an object that can have been counted against what it was at.
    pub(crate) fn trouble(&self, party: Party) {
        if let Some(host) = self.hosts.borrow_mut().get_mut(&party) {
            host.troubles += 1;
        }
    }

    /// An item's own work failed in the alarm: the others are not its business.
    pub(crate) fn survive<S: Stored>(&self, party: Party, storage: &Storage<S>, item: Item, done: Result<(), Fault>) {
        if done.is_ok() {
            return;
        }
        *self.failures.borrow_mut().entry((party, item)).or_default() += 1;
        let (now, random) = (self.clock(party), self.random_u32());
        // Where even this fails the safety net is armed.
        let _ = storage.write(|state| state.due_mut().survive(item, now, random));
    }

    /// Whether an item may be parked: its object crashed, or it failed by itself, as often as that takes.
    pub(crate) fn may_be_parked(&self, party: Party, item: Item) -> bool {
        let own = self.failures.borrow().get(&(party, item)).copied().unwrap_or(0);
        self.hosts.borrow().get(&party).is_some_and(|host| host.troubles + own >= CRASHES_MAX)
    }

    /// Whether an object's alarm cannot be expected to be set.
    pub(crate) fn excused(&self, party: Party) -> bool {
        self.hosts.borrow().get(&party).is_some_and(|host| host.alarm_lost || host.ringing.is_some())
    }

    /// The Recorder of a month, by its place in the run.
    pub(crate) fn recorder_of(&self, month: &str) -> usize {
        self.months.iter().position(|known| known == month).unwrap_or(RECORDERS - 1)
    }

    pub(crate) fn month_of(&self, recorder: usize) -> String {
        self.months.get(recorder).cloned().unwrap_or_default()
    }

    /// The Member of a redemption: a redemption's id begins with its member's.
    pub(crate) fn member_of(&self, rid: &Rid) -> Option<usize> {
        self.mrefs.iter().position(|mref| *mref == rid.mref())
    }

    /// Ends the run early when nothing is under way and nothing is due.
    pub(crate) fn finish_when_at_rest(&self) {
        let ringing = self.hosts.borrow().values().any(|host| host.ringing.is_some());
        if !self.probing.get() && self.in_flight.get() == 0 && !ringing && self.tasks.borrow().is_empty() {
            self.finished.set(true);
        }
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

/// The first shard of every campaign, then the others.
pub(crate) fn homes(shards: &[u32]) -> Vec<(usize, u32)> {
    let first = (0..shards.len()).map(|campaign| (campaign, 0));
    let others = shards.iter().enumerate().flat_map(|(campaign, shards)| (1..*shards).map(move |n| (campaign, n)));
    first.chain(others).collect()
}

fn months(started_at: Instant) -> Vec<String> {
    let mut months: Vec<String> = (-2..60).map(|day| month_of(started_at.plus_ms(day * DAY_MS))).collect();
    months.dedup();
    months
}
