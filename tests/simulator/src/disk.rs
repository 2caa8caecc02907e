//! An object's durable state. Writes of one turn become durable together at its end, or not at all: the platform
//! coalesces them, and lets no message out before (the output gate).

use crate::due::Due;
use crate::fault::{Fault as Kind, Step};
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
}

impl<S: Stored> Disk<S> {
    pub(crate) fn new(state: S) -> Self {
        let state = Rc::new(state);
        Self {
            live: RefCell::new(Rc::clone(&state)),
            safe: RefCell::new(state),
            dirty: Cell::new(false),
            steps: RefCell::default(),
        }
    }

    pub(crate) fn read(&self) -> Ref<'_, S> {
        Ref::map(self.live.borrow(), |live| &**live)
    }

    /// What has been committed.
    pub(crate) fn safe(&self) -> Rc<S> {
        Rc::clone(&self.safe.borrow())
    }

    /// Writes without a transaction: the end of the turn commits it.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut S) -> T) -> T {
        self.dirty.set(true);
        work(Rc::make_mut(&mut self.live.borrow_mut()))
    }

    /// As [`Disk::write`], as a step at which things go wrong.
    pub(crate) fn step<T>(&self, step: Step, work: impl FnOnce(&mut S) -> T) -> T {
        self.steps.borrow_mut().push(step);
        self.write(work)
    }

    /// All of `work` is written, or, when it fails, nothing.
    pub(crate) fn transaction<T>(
        &self,
        world: &World,
        step: Step,
        work: impl FnOnce(&mut S) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let before = Rc::clone(&self.live.borrow());
        let mut result = work(Rc::make_mut(&mut self.live.borrow_mut()));
        if result.is_ok() && world.strikes(step, Kind::WriteFails) {
            result = Err(Fault("the storage failed"));
        }
        match &result {
            Ok(_) => {
                self.steps.borrow_mut().push(step);
                self.dirty.set(true);
            }
            Err(_) => *self.live.borrow_mut() = before,
        }
        result
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

    fn alarm(&self) -> Option<Instant> {
        self.safe.borrow().due().alarm
    }

    fn set_alarm(&self, at: Option<Instant>) {
        Rc::make_mut(&mut self.safe.borrow_mut()).due_mut().alarm = at;
        Rc::make_mut(&mut self.live.borrow_mut()).due_mut().alarm = at;
    }
}
