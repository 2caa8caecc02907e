//! Group commit: items that arrive together become durable together.
//!
//! At once when idle, else up to four milliseconds or 64 of them.

use crate::platform::{Fault, now};
use counterfoil_core::time::Instant;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// How long an item waits for company.
pub(crate) const GROUP_WAIT: Duration = Duration::from_millis(GROUP_WAIT_MS.unsigned_abs());
const GROUP_WAIT_MS: i64 = 4;
/// Most items in one group.
const GROUP_ITEMS_MAX: usize = 64;

/// An item, and who waits for what became of it.
pub(crate) type Waiting<I, O> = (I, oneshot::Sender<Result<O, Fault>>);

/// When the group that an item joined is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// By whoever added this item, at once.
    Now,
    /// By whoever added this item, after [`GROUP_WAIT`].
    Later,
    /// By whoever added the first one.
    WithTheOthers,
}

/// Items of one object that wait to be committed.
pub(crate) struct Group<I, O> {
    waiting: RefCell<Vec<Waiting<I, O>>>,
    last: Cell<Instant>,
    scheduled: Cell<bool>,
}

impl<I, O> Default for Group<I, O> {
    fn default() -> Self {
        Self { waiting: RefCell::new(vec![]), last: Cell::new(Instant(0)), scheduled: Cell::new(false) }
    }
}

impl<I, O> Group<I, O> {
    /// Adds an item; its outcome comes through the channel once the group was committed.
    pub(crate) fn add(&self, item: I) -> (oneshot::Receiver<Result<O, Fault>>, When) {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((item, sender));
        let full = self.waiting.borrow().len() >= GROUP_ITEMS_MAX;
        let idle = !self.scheduled.get() && self.last.get().plus_ms(GROUP_WAIT_MS) <= now();
        let when = match (idle || full, self.scheduled.get()) {
            (true, _) => When::Now,
            (false, false) => When::Later,
            (false, true) => When::WithTheOthers,
        };
        if when == When::Later {
            self.scheduled.set(true);
        }
        (receiver, when)
    }

    /// The wait of [`When::Later`] is over.
    pub(crate) fn wait_is_over(&self) {
        self.scheduled.set(false);
    }

    /// Takes everything that waits, to be committed now.
    pub(crate) fn take(&self) -> Vec<Waiting<I, O>> {
        self.last.set(now());
        self.waiting.take()
    }
}
