//! A single-threaded executor whose every choice is the seed's: which of the tasks that could go on, does.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Work of one object or client, unfinished.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks that have been woken and wait for their turn.
#[derive(Default)]
struct Ready(Mutex<Vec<usize>>);

impl Ready {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<usize>> {
        // The list is whole between any two operations, so a poisoned lock is as good as a sound one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    task: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.lock().push(self.task);
        }
    }
}

struct Task<O> {
    owner: O,
    waker: Arc<TaskWaker>,
    /// Absent while it is polled.
    work: Option<Work>,
}

/// See the module. `O` tells whose a task is.
pub(crate) struct Executor<O> {
    ready: Arc<Ready>,
    tasks: Vec<Option<Task<O>>>,
    /// Places of finished tasks.
    free: Vec<usize>,
}

impl<O: Copy + PartialEq> Executor<O> {
    pub(crate) fn new() -> Self {
        Self { ready: Arc::default(), tasks: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn spawn(&mut self, owner: O, work: Work) {
        let task = self.free.pop().unwrap_or(self.tasks.len());
        let waker = Arc::new(TaskWaker { task, queued: AtomicBool::new(true), ready: Arc::clone(&self.ready) });
        let entry = Some(Task { owner, waker, work: Some(work) });
        match self.tasks.get_mut(task) {
            Some(slot) => *slot = entry,
            None => self.tasks.push(entry),
        }
        self.ready.lock().push(task);
    }

    /// Takes one of the tasks that can go on, by `choose(how many there are)`.
    pub(crate) fn take(&mut self, mut choose: impl FnMut(usize) -> usize) -> Option<(usize, O, Work, Waker)> {
        loop {
            let task = {
                let mut ready = self.ready.lock();
                if ready.is_empty() {
                    return None;
                }
                let at = choose(ready.len());
                ready.swap_remove(at)
            };
            // Woken once more after it was lost or finished: nothing to do.
            let Some(entry) = self.tasks.get_mut(task).and_then(Option::as_mut) else {
                continue;
            };
            entry.waker.queued.store(false, Ordering::Relaxed);
            if let Some(work) = entry.work.take() {
                return Some((task, entry.owner, work, Waker::from(Arc::clone(&entry.waker))));
            }
        }
    }

    /// Whether this owner has any task.
    pub(crate) fn has(&self, owner: O) -> bool {
        self.tasks.iter().flatten().any(|task| task.owner == owner)
    }

    /// Whether no task is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.iter().all(Option::is_none)
    }

    /// Polls what was taken.
    pub(crate) fn poll(work: &mut Work, waker: &Waker) -> bool {
        matches!(work.as_mut().poll(&mut Context::from_waker(waker)), Poll::Ready(()))
    }

    /// Puts an unfinished task back; answers the work when its owner has crashed meanwhile.
    pub(crate) fn put_back(&mut self, task: usize, work: Work) -> Option<Work> {
        match self.tasks.get_mut(task).and_then(Option::as_mut) {
            Some(entry) if entry.work.is_none() => {
                entry.work = Some(work);
                None
            }
            Some(_) | None => Some(work),
        }
    }

    /// Forgets a finished task.
    pub(crate) fn finish(&mut self, task: usize) {
        if let Some(slot) = self.tasks.get_mut(task)
            && slot.as_ref().is_some_and(|entry| entry.work.is_none())
        {
            *slot = None;
            // A stale entry in the ready list would wake whoever gets this place: harmless, a task may be
            // polled at any time.
            self.free.push(task);
        }
    }

    /// Takes every task of an owner away: what a crash loses. The caller drops them, because dropping wakes
    /// others.
    pub(crate) fn remove(&mut self, owner: O) -> Vec<Work> {
        let mut lost = Vec::new();
        for (at, slot) in self.tasks.iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|entry| entry.owner == owner)
                && let Some(entry) = slot.take()
            {
                // The place of a task that is being polled is not reused before that poll has ended.
                match entry.work {
                    Some(work) => {
                        lost.push(work);
                        self.free.push(at);
                    }
                    None => self.ready.lock().retain(|ready| *ready != at),
                }
            }
        }
        lost
    }

    /// Everything, at the end of a run.
    pub(crate) fn clear(&mut self) -> Vec<Work> {
        self.tasks.drain(..).flatten().filter_map(|entry| entry.work).collect()
    }
}
