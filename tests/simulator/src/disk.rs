//! An object's durable state. Writes of one turn become durable together at its end, or not at all: the platform
//! coalesces them, and lets no message out before (the output gate).

use crate::due::Due;
use crate::message::Party;
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::time::Instant;
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

/// A failure to answer, with its cause for the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) &'static str);

/// What an object stores.
pub(crate) trait Stored: Clone {
    fn due(&self) -> &Due;
    fn due_mut(&mut self) -> &mut Due;
}

/// See the module.
pub(crate) struct Disk<S> {
    /// As the running object sees it.
    live: RefCell<Rc<S>>,
    /// As a crash leaves it.
    safe: RefCell<Rc<S>>,
    dirty: Cell<bool>,
    steps: RefCell<Vec<Step>>,
    /// Which instance of the object owns it.
    owner: Cell<u64>,
    full: Cell<bool>,
}

impl<S: Stored> Disk<S> {
    pub(crate) fn new(state: S) -> Self {
        let state = Rc::new(state);
        Self {
            live: RefCell::new(Rc::clone(&state)),
            safe: RefCell::new(state),
            dirty: Cell::new(false),
            steps: RefCell::default(),
            owner: Cell::new(0),
            full: Cell::new(false),
        }
    }

    pub(crate) fn read(&self) -> Ref<'_, S> {
        Ref::map(self.live.borrow(), |live| &**live)
    }

    /// What has been committed.
    pub(crate) fn safe(&self) -> Rc<S> {
        Rc::clone(&self.safe.borrow())
    }
}

/// A disk as one instance of its object has it: once there is a newer instance, every access fails.
pub(crate) struct Storage<S> {
    disk: Rc<Disk<S>>,
    world: Rc<World>,
    party: Party,
    instance: u64,
}

impl<S: Stored> Storage<S> {
    pub(crate) fn new(disk: &Rc<Disk<S>>, world: &Rc<World>, party: Party) -> Self {
        Self { disk: Rc::clone(disk), world: Rc::clone(world), party, instance: disk.owner.get() }
    }

    fn owned(&self) -> Result<(), Fault> {
        if self.disk.owner.get() == self.instance { Ok(()) } else { Err(Fault("there is a newer instance")) }
    }

    fn writable(&self) -> Result<(), Fault> {
        self.owned()?;
        if self.disk.full.get() { Err(Fault("the storage is full")) } else { Ok(()) }
    }

    pub(crate) fn read(&self) -> Result<Ref<'_, S>, Fault> {
        self.owned()?;
        Ok(self.disk.read())
    }

    /// Writes without a transaction: the end of the turn commits it.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut S) -> T) -> Result<T, Fault> {
        self.writable()?;
        self.disk.dirty.set(true);
        Ok(work(Rc::make_mut(&mut self.disk.live.borrow_mut())))
    }

    /// As [`Storage::write`], as a step at which things go wrong.
    pub(crate) fn step<T>(&self, step: Step, work: impl FnOnce(&mut S) -> T) -> Result<T, Fault> {
        self.transaction(step, |state| Ok(work(state)))
    }

    /// All of `work` is written, or, when it fails, nothing.
    pub(crate) fn transaction<T>(&self, step: Step, work: impl FnOnce(&mut S) -> Result<T, Fault>) -> Result<T, Fault> {
        self.writable()?;
        let before = Rc::clone(&self.disk.live.borrow());
        let mut result = work(Rc::make_mut(&mut self.disk.live.borrow_mut()));
        if result.is_ok() && self.world.strikes(step, Kind::WriteFails) {
            result = Err(Fault("the storage failed"));
        }
        if result.is_ok()
            && let Some(how) = self.world.strikes_how(step, Kind::StorageFull)
        {
            self.fill(how);
            result = Err(Fault("the storage is full"));
        }
        match &result {
            Ok(_) => {
                self.disk.steps.borrow_mut().push(step);
                self.disk.dirty.set(true);
            }
            Err(_) => *self.disk.live.borrow_mut() = before,
        }
        result
    }

    /// Nothing can be written for a while.
    fn fill(&self, how: u64) {
        self.disk.full.set(true);
        self.world.trouble(self.party);
        let party = self.party;
        self.world.later(self.world.held_ms(how, 500, 60_000), move |world| {
            let volume = world.hosts.borrow().get(&party).map(|host| Rc::clone(&host.volume));
            if let Some(volume) = volume {
                volume.empty();
            }
        });
    }
}

/// What the platform does with any disk.
pub(crate) trait Volume {
    /// The steps written since the last commit; `None` when nothing was.
    fn take_dirty(&self) -> Option<Vec<Step>>;
    /// Makes the turn's writes durable.
    fn commit(&self);
    /// A crash: back to what was durable.
    fn revert(&self);
    /// From now on it belongs to the next instance of its object.
    fn hand_over(&self);
    /// There is room again.
    fn empty(&self);
    /// The durable alarm.
    fn alarm(&self) -> Option<Instant>;
    /// The platform clears an alarm that it fires, and sets one again to try again.
    fn set_alarm(&self, at: Option<Instant>);
}

impl<S: Stored> Volume for Disk<S> {
    fn take_dirty(&self) -> Option<Vec<Step>> {
        self.dirty.replace(false).then(|| self.steps.take())
    }

    fn commit(&self) {
        *self.safe.borrow_mut() = Rc::clone(&self.live.borrow());
    }

    fn revert(&self) {
        self.dirty.set(false);
        self.steps.borrow_mut().clear();
        *self.live.borrow_mut() = Rc::clone(&self.safe.borrow());
    }

    fn hand_over(&self) {
        self.owner.set(self.owner.get() + 1);
    }

    fn empty(&self) {
        self.full.set(false);
    }

    fn alarm(&self) -> Option<Instant> {
        self.safe.borrow().due().alarm
    }

    fn set_alarm(&self, at: Option<Instant>) {
        Rc::make_mut(&mut self.safe.borrow_mut()).due_mut().alarm = at;
        Rc::make_mut(&mut self.live.borrow_mut()).due_mut().alarm = at;
    }
}
