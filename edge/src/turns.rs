//! One at a time for each key, in the order of arrival. In memory only: whoever is lost loses nothing but its place.

use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Those who wait, by what they wait for. A key that is there has somebody at it.
pub(crate) struct Turns<K>(RefCell<HashMap<K, VecDeque<oneshot::Sender<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Clone + Eq + Hash> Turns<K> {
    /// Waits for the turn, which ends when it is dropped.
    pub(crate) async fn take(&self, key: K) -> Turn<'_, K> {
        let waiting = {
            let mut queues = self.0.borrow_mut();
            match queues.get_mut(&key) {
                Some(queue) => {
                    let (sender, receiver) = oneshot::channel();
                    queue.push_back(sender);
                    Some(receiver)
                }
                None => {
                    queues.insert(key.clone(), VecDeque::new());
                    None
                }
            }
        };
        let waited = waiting.is_some();
        if let Some(turn) = waiting {
            // The sender goes only when its turn is handed over.
            let _ = turn.await;
        }
        Turn { turns: self, key, waited }
    }
}

/// See [`Turns::take`].
pub(crate) struct Turn<'a, K: Clone + Eq + Hash> {
    turns: &'a Turns<K>,
    key: K,
    /// Others went before: what was read before it may be old.
    pub(crate) waited: bool,
}

impl<K: Clone + Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut queues = self.turns.0.borrow_mut();
        loop {
            match queues.get_mut(&self.key).and_then(VecDeque::pop_front) {
                // One that has gone away passes the turn on.
                Some(next) => {
                    if next.send(()).is_ok() {
                        return;
                    }
                }
                None => {
                    queues.remove(&self.key);
                    return;
                }
            }
        }
    }
}
