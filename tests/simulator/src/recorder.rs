//! A Recorder's shell: reports in groups, each (source, n) once; then the participants are told in bulk.

use crate::defect::Defect;
use crate::disk::{Disk, Fault, Storage, Stored};
use crate::due::Due;
use crate::member::place;
use crate::member_run::pool_place;
use crate::message::{Party, Reply, Request};
use crate::step::{Fault as Kind, Step};
use crate::world::World;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::protocol::recorder::row_step;
use counterfoil_core::protocol::report::{Participant, Report, ReportRow};
use counterfoil_core::time::Instant;
use counterfoil_core::wire::RedemptionStatus;
use futures_channel::oneshot;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

const GROUP_WAIT_MS: i64 = 4;

/// What a Recorder stores.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecorderState {
    /// What was taken.
    pub(crate) rows: BTreeMap<(String, u64), Rc<ReportRow>>,
    /// Number of the last entry of each source.
    heads: BTreeMap<String, u64>,
    /// Redemptions as they stand, with the row that said so.
    pub(crate) records: BTreeMap<String, (u64, RedemptionStatus)>,
    /// Figures: how many rows there were.
    pub(crate) counted: u64,
    due: Due,
}

impl Stored for RecorderState {
    fn due(&self) -> &Due {
        &self.due
    }

    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

type Waiting = (Rc<Report>, oneshot::Sender<Result<(), Fault>>);

/// See the module. All of its own fields are volatile.
pub(crate) struct Recorder {
    world: Rc<World>,
    number: usize,
    storage: Storage<RecorderState>,
    waiting: RefCell<Vec<Waiting>>,
    last_group: Cell<Instant>,
    scheduled: Cell<bool>,
}

impl Recorder {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<RecorderState>>) -> Self {
        Self {
            world: Rc::clone(world),
            number,
            storage: Storage::new(disk, world, Party::Recorder(number)),
            waiting: RefCell::default(),
            last_group: Cell::new(Instant(0)),
            scheduled: Cell::new(false),
        }
    }

    fn now(&self) -> Instant {
        self.world.clock(Party::Recorder(self.number))
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        drop(self.storage.read()?);
        match request {
            Request::Report(report) => self.enqueue(report).await.map(|()| Reply::Done),
            Request::Read => Ok(Reply::Done),
            Request::Redeem(_)
            | Request::Inquire { .. }
            | Request::Recognise { .. }
            | Request::Prepare { .. }
            | Request::Settle { .. }
            | Request::Settled { .. }
            | Request::Undo { .. }
            | Request::Rules(_)
            | Request::Keys(_)
            | Request::Revoked(_)
            | Request::Erase
            | Request::Pull { .. }
            | Request::Ask { .. }
            | Request::Returned { .. }
            | Request::HandBack { .. }
            | Request::Administer(_)
            | Request::EndpointFor { .. }
            | Request::EndpointResult { .. }
            | Request::EndpointTested
            | Request::Hurry
            | Request::Webhook(_)
            | Request::Callback { .. }
            | Request::Operate(_)
            | Request::Take { .. }
            | Request::InquirePool { .. }
            | Request::Stock(_)
            | Request::Till(_)
            | Request::Checkout(_)
            | Request::Preview { .. } => Err(Fault("not asked of a recorder")),
        }
    }

    async fn enqueue(self: &Rc<Self>, report: Rc<Report>) -> Result<(), Fault> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push((report, sender));
        let idle = !self.scheduled.get() && self.last_group.get().plus_ms(GROUP_WAIT_MS) <= self.now();
        if idle {
            self.commit_group();
        } else if !self.scheduled.replace(true) {
            let recorder = Rc::clone(self);
            self.world.spawn(Party::Recorder(self.number), async move {
                recorder.world.delay(GROUP_WAIT_MS).await;
                recorder.scheduled.set(false);
                recorder.commit_group();
            });
        }
        receiver.await.unwrap_or(Err(Fault("the group was lost")))
    }

    /// One turn: each waiting report in a transaction of its own.
    fn commit_group(self: &Rc<Self>) {
        self.last_group.set(self.now());
        let group = self.waiting.take();
        let in_company = group.len() > 1;
        let mut settled: BTreeMap<Party, Vec<(Rid, Fingerprint)>> = BTreeMap::new();
        for (report, sender) in group {
            let recorded = self.storage.transaction(Step::Record, |state| {
                // One item of a group fails; the others must not notice.
                if in_company && self.world.strikes(Step::Record, Kind::ItemFails) {
                    return Err(Fault("this item cannot be written"));
                }
                self.record(state, &report);
                Ok(())
            });
            if recorded.is_ok() {
                for settle in report.rows.iter().flat_map(|row| &row.settled) {
                    let participant = match &settle.participant {
                        Participant::Shard { campaign, shard } => {
                            Party::Shard(self.world.shard_at(place(*campaign), *shard))
                        }
                        Participant::Pool { pool_id } => Party::Pool(pool_place(pool_id)),
                    };
                    settled.entry(participant).or_default().push((settle.rid, settle.fp));
                }
            }
            let _ = sender.send(recorded);
        }
        // Best effort: a participant that does not hear asks the Members.
        for (participant, items) in settled {
            let step = if matches!(participant, Party::Pool(_)) { Step::PoolSettled } else { Step::Settled };
            drop(self.world.call(participant, step, Request::Settled { items: Rc::new(items) }));
        }
    }

    fn record(&self, state: &mut RecorderState, report: &Report) {
        let month = self.world.month_of(self.number);
        for row in &report.rows {
            let head = state.heads.get(&report.source).copied().unwrap_or(0);
            let id = row.record.as_ref().map(|record| record.redemption.redemption_id.clone());
            let listed = id.as_ref().and_then(|id| state.records.get(id).map(|(n, _)| *n));
            let step = row_step(row, &month, head, listed);
            if step.entry {
                state.counted += 1;
                state.heads.insert(report.source.clone(), row.n);
                state.rows.insert((report.source.clone(), row.n), Rc::new(row.clone()));
            }
            if let (true, Some(id), Some(record)) = (step.record, id, &row.record) {
                state.records.insert(id, (row.n, record.redemption.status));
            }
        }
        if self.world.has(Defect::DedupePruned) {
            state.heads.clear();
        }
    }
}
