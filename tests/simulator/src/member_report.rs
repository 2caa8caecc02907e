//! What a Member repeats until it is heard: reports to its Recorder, and uses that it gives back.

use crate::defect::Defect;
use crate::disk::Fault;
use crate::due::Item;
use crate::member::Member;
use crate::message::{Party, Reply, Request};
use crate::step::Step;
use counterfoil_core::ids::Rid;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::protocol::report::Report;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::rc::Rc;

const RECORDER_WAIT_MS: i64 = 8_000;
/// A report that has not come back for so long was dropped together with its request.
const LOST_AFTER_MS: i64 = 20_000;
const ROWS_MAX: usize = 64;

impl Member {
    pub(crate) fn start_report(self: &Rc<Self>) {
        let member = Rc::clone(self);
        self.world.spawn(Party::Member(self.number), async move { member.report().await });
    }

    /// Sends what the outbox holds until it is empty or a Recorder does not answer.
    pub(crate) async fn report(self: &Rc<Self>) {
        let now = self.now();
        if self.busy_since.get().is_some_and(|since| since.plus_ms(LOST_AFTER_MS) > now) {
            return;
        }
        let sent = self.send_all().await;
        self.busy_since.set(None);
        match sent {
            Ok(()) => self.report_failures.set(0),
            Err(_) => {
                self.report_failures.set(self.report_failures.get() + 1);
                let (now, pause) = (self.now(), backoff_ms(self.report_failures.get(), self.world.random_u32()));
                // Where even this fails the alarm's own net is armed.
                let _ = self.storage.write(|state| state.due.plan(Item::Report, now.plus_ms(pause), now));
            }
        }
    }

    /// The alarm's turn: reports, and forgets the item once nothing waits.
    pub(crate) async fn ring_report(self: Rc<Self>) -> Result<(), Fault> {
        if self.busy_since.get().is_some() {
            let now = self.now();
            // Looked at again, should the report under way have been lost.
            self.storage.write(|state| state.due.plan(Item::Report, now.plus_ms(LOST_AFTER_MS), now))?;
        }
        self.report().await;
        if self.storage.read()?.outbox.is_empty() {
            self.storage.write(|state| state.due.done(Item::Report))?;
        }
        Ok(())
    }

    async fn send_all(self: &Rc<Self>) -> Result<(), Fault> {
        let mut failed = None;
        let mut after = String::new();
        loop {
            let month = {
                let state = self.storage.read()?;
                state.outbox.keys().map(|(month, _)| month).find(|month| **month > after).cloned()
            };
            let Some(month) = month else { break };
            if let Err(fault) = self.send_month(&month).await {
                failed = Some(fault);
                after = month;
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// One message, with the oldest rows of a month.
    async fn send_month(self: &Rc<Self>, month: &str) -> Result<(), Fault> {
        let keys = {
            let state = self.storage.read()?;
            let rows = state.outbox.iter().filter(|((of, _), _)| of == month).take(ROWS_MAX);
            rows.map(|(key, row)| (key.clone(), Rc::clone(row))).collect::<Vec<_>>()
        };
        let rows = keys.iter().map(|(_, row)| (**row).clone()).collect();
        let report = Report { source: format!("member/{}", self.pid()), rows };
        self.busy_since.set(Some(self.now()));
        let recorder = Party::Recorder(self.world.recorder_of(month));
        let asking = self.world.call(recorder, Step::Report, Request::Report(Rc::new(report)));
        if self.world.has(Defect::ReportUnacknowledged) {
            self.storage
                .step(Step::Reported, |state| keys.iter().for_each(|(key, _)| drop(state.outbox.remove(key))))?;
        }
        match select(asking, pin!(self.world.delay(RECORDER_WAIT_MS))).await {
            Either::Left((Ok(Ok(Reply::Done)), _)) => {}
            Either::Left((_, _)) => return Err(Fault("the recorder failed")),
            Either::Right(_) => return Err(Fault("the recorder did not answer in time")),
        }
        self.storage.step(Step::Reported, |state| keys.iter().for_each(|(key, _)| drop(state.outbox.remove(key))))
    }

    /// Gives a use back, or has promo codes go to quarantine; repeated until each participant has heard.
    pub(crate) async fn give_back(self: Rc<Self>, rid: Rid) -> Result<(), Fault> {
        let waiting = self.storage.read()?.undos(&rid);
        if waiting.is_empty() {
            return self.storage.write(|state| state.due.done(Item::Undo(rid)));
        }
        for (pool, undo) in waiting {
            let request = Request::Undo { rid, seq: undo.seq };
            let told = match pool {
                None => self.ask_keeper((undo.campaign, undo.shard), Step::Undo, request).await,
                Some(pool) => self.ask(Party::Pool(pool), Step::PoolUndo, request).await,
            };
            let heard = matches!(told, Ok(Reply::Done));
            let once = match pool {
                None => self.world.has(Defect::UndoOnce),
                Some(_) => self.world.has(Defect::PoolUndoOnce),
            };
            let first_only = self.world.has(Defect::UndoFirstOnly);
            let now = self.now();
            let again = now.plus_ms(backoff_ms(undo.tries, self.world.random_u32()));
            self.storage.step(Step::Undone, |state| {
                if heard || once {
                    state.undo.remove(&(rid, pool));
                    if first_only {
                        state.undo.retain(|(known, _), _| *known != rid);
                    }
                    if state.undos(&rid).is_empty() {
                        state.due.done(Item::Undo(rid));
                    }
                } else {
                    if let Some(undo) = state.undo.get_mut(&(rid, pool)) {
                        undo.tries += 1;
                    }
                    state.due.plan(Item::Undo(rid), again, now);
                }
            })?;
        }
        Ok(())
    }
}
