//! Group commit: items that arrive together become durable together.
//!
//! At once when idle, else up to four milliseconds or 64 of them. Idle is who has had nothing to commit for that long,
//! counted from when the last group was durable: a slow sync holds up the whole runtime, and what queued behind it
//! must become one group, not find a commit that is long past and commit one by one.

use crate::platform::{Fault, SyncStorage, now};
use counterfoil_core::time::Instant;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use wasm_bindgen_futures::JsFuture;
use worker::State;

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
    pace: Rc<Pace>,
    scheduled: Cell<bool>,
}

/// What is on its way to being durable.
struct Pace {
    /// Groups that are written and not yet durable.
    writing: Cell<u32>,
    /// When the last one was durable.
    last: Cell<Instant>,
}

impl<I, O> Default for Group<I, O> {
    fn default() -> Self {
        let pace = Rc::new(Pace { writing: Cell::new(0), last: Cell::new(Instant(0)) });
        Self { waiting: RefCell::new(vec![]), pace, scheduled: Cell::new(false) }
    }
}

impl<I, O> Group<I, O> {
    /// Adds an item; its outcome comes through the channel once the group was committed.
    pub(crate) fn add(&self, item: I) -> (oneshot::Receiver<Result<O, Fault>>, When) {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((item, sender));
        let full = self.waiting.borrow().len() >= GROUP_ITEMS_MAX;
        let resting = self.pace.writing.get() == 0 && self.pace.last.get().plus_ms(GROUP_WAIT_MS) <= now();
        let idle = resting && !self.scheduled.get();
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
        self.waiting.take()
    }

    /// What was taken is written: the group is under way until it is durable.
    pub(crate) fn written(&self, state: &State, storage: &SyncStorage) {
        let pace = Rc::clone(&self.pace);
        pace.last.set(now());
        let Ok(durable) = storage.sync() else { return };
        pace.writing.set(pace.writing.get() + 1);
        state.wait_until(async move {
            // An object whose write failed is started anew; nothing waits for this.
            let _ = JsFuture::from(durable).await;
            pace.writing.set(pace.writing.get().saturating_sub(1));
            pace.last.set(now());
        });
    }
}
