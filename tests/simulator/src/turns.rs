//! Turns: one at a time for each key, in the order of asking, as `edge/src/turns.rs` has them.

use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

/// See the module.
pub(crate) struct Turns<K: Ord + Copy>(RefCell<BTreeMap<K, VecDeque<oneshot::Sender<()>>>>);

impl<K: Ord + Copy> Default for Turns<K> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

/// A turn, while this lives.
pub(crate) struct Turn<'a, K: Ord + Copy> {
    turns: &'a Turns<K>,
    key: K,
}

impl<K: Ord + Copy> Turns<K> {
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
                    queues.insert(key, VecDeque::new());
                    None
                }
            }
        };
        if let Some(turn) = waiting {
            let _ = turn.await;
        }
        Turn { turns: self, key }
    }
}

impl<K: Ord + Copy> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut queues = self.turns.0.borrow_mut();
        loop {
            match queues.get_mut(&self.key).and_then(VecDeque::pop_front) {
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
