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
use worker::{Delay, State};

/// How long an item waits for company.
const GROUP_WAIT: Duration = Duration::from_millis(GROUP_WAIT_MS.unsigned_abs());
const GROUP_WAIT_MS: i64 = 4;
/// Most items in one group.
const GROUP_ITEMS_MAX: usize = 64;

/// An item, and who waits for what became of it.
pub(crate) type Waiting<I, O> = (I, oneshot::Sender<Result<O, Fault>>);

/// Items of one object that wait to be committed.
pub(crate) struct Group<I, O> {
    waiting: RefCell<Vec<Waiting<I, O>>>,
    pace: Rc<Pace>,
}

/// What is on its way to being durable.
struct Pace {
    /// Somebody waits for company, and commits after it.
    scheduled: Cell<bool>,
    /// Groups that are written and not yet durable.
    writing: Cell<u32>,
    /// When the last one was durable.
    last: Cell<Instant>,
}

impl<I, O> Default for Group<I, O> {
    fn default() -> Self {
        let pace = Pace { scheduled: Cell::new(false), writing: Cell::new(0), last: Cell::new(Instant(0)) };
        Self { waiting: RefCell::new(vec![]), pace: Rc::new(pace) }
    }
}

impl<I, O> Group<I, O> {
    /// Joins the group under way and waits for what became of the item. `commit` commits what [`Group::take`] hands out:
    /// at once when idle or full, else after [`GROUP_WAIT`], by whoever came first.
    pub(crate) async fn join(&self, state: &State, item: I, commit: impl Fn() + 'static) -> Result<O, Fault> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((item, sender));
        let pace = &self.pace;
        let full = self.waiting.borrow().len() >= GROUP_ITEMS_MAX;
        let resting = pace.writing.get() == 0 && pace.last.get().plus_ms(GROUP_WAIT_MS) <= now();
        let scheduled = pace.scheduled.get();
        if full || (resting && !scheduled) {
            commit();
        } else if !scheduled {
            pace.scheduled.set(true);
            let pace = Rc::clone(pace);
            state.wait_until(async move {
                Delay::from(GROUP_WAIT).await;
                pace.scheduled.set(false);
                commit();
            });
        }
        receiver.await.map_err(|_| Fault::new("the group was lost"))?
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
