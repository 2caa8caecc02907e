//! A Member's shell, line by line as `edge/src/member_drive.rs` runs it: the decisions are core's own.

use crate::defect::Defect;
use crate::disk::{Disk, Fault};
use crate::fault::Step;
use crate::member_state::MemberState;
use crate::message::{Answer, RedeemCall, Reply, Request};
use crate::world::World;
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::limits::{DECISION_WAIT_MS, INTENT_DEADLINE_MS};
use counterfoil_core::protocol::member::{Known, Receipt, receive};
use counterfoil_core::protocol::{Intent, MESSAGE_VERSION};
use counterfoil_core::refusal::Refusal;
use counterfoil_core::rules::Facts;
use counterfoil_core::token::Attributes;
use counterfoil_core::wire::Method;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;

/// How a run ended, for those who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Ended {
    Recorded,
    Refused(Refusal),
    Kept,
    Overflow,
    Failed(Fault),
}

pub(crate) struct Run {
    pub(crate) intent: Intent,
    pub(crate) waiters: Vec<oneshot::Sender<Ended>>,
}

/// See the module. All of its own fields are volatile.
pub(crate) struct Member {
    pub(crate) world: Rc<World>,
    pub(crate) number: usize,
    pub(crate) disk: Rc<Disk<MemberState>>,
    pub(crate) runs: RefCell<BTreeMap<Rid, Run>>,
    pub(crate) queues: RefCell<BTreeMap<u16, VecDeque<oneshot::Sender<()>>>>,
    /// For [`Defect::FeedFromMemory`].
    pub(crate) last_event: Cell<Option<u64>>,
}

impl Member {
    pub(crate) fn new(world: &Rc<World>, number: usize, disk: &Rc<Disk<MemberState>>) -> Self {
        Self {
            world: Rc::clone(world),
            number,
            disk: Rc::clone(disk),
            runs: RefCell::default(),
            queues: RefCell::default(),
            last_event: Cell::new(None),
        }
    }

    pub(crate) fn now(&self) -> counterfoil_core::time::Instant {
        self.world.now()
    }

    pub(crate) fn known(&self, rid: &Rid) -> Known {
        self.disk.read().known(rid)
    }

    pub(crate) fn is_running(&self, rid: &Rid) -> bool {
        self.runs.borrow().contains_key(rid)
    }

    pub(crate) async fn answer(self: Rc<Self>, request: Request) -> Result<Reply, Fault> {
        let now = self.now();
        if self.disk.read().due.clone().heal(now) {
            self.disk.write(|state| state.due.heal(now));
        }
        match request {
            Request::Redeem(call) => Ok(Reply::Answer(self.redeem(&call).await.unwrap_or_else(Answer::Failed))),
            Request::Inquire { intent, prepared } => self.fate(&intent, &prepared).map(Reply::Fate),
            Request::Read => Ok(Reply::Done),
            Request::Recognise { .. }
            | Request::Prepare { .. }
            | Request::Settle { .. }
            | Request::Rules(_)
            | Request::Pull { .. }
            | Request::Administer(_) => Err(Fault("not asked of a member")),
        }
    }

    /// Step 2: a request arrives.
    async fn redeem(self: &Rc<Self>, call: &RedeemCall) -> Result<Answer, Fault> {
        let now = self.now();
        let attempts = self.disk.read().attempts(now);
        let mut known = self.known(&call.rid);
        if self.world.has(Defect::FingerprintIgnored) {
            known = match known {
                Known::Absent => Known::Absent,
                Known::Open(_) => Known::Open(call.fp),
                Known::Decided(_) => Known::Decided(call.fp),
            };
        }
        match receive(known, &call.fp, &attempts, call.code.is_some(), now) {
            Receipt::Replay => return self.replay(call).await,
            Receipt::KeyReused => return Ok(Answer::KeyReused),
            Receipt::TooManyAttempts { retry_after_s } => {
                return Ok(Answer::Refused(Refusal::TooManyAttempts { retry_after_s }));
            }
            Receipt::Unrecognised => {
                self.add_attempt()?;
                return Ok(Answer::Refused(Refusal::CodeNotRecognised));
            }
            Receipt::Proceed => {}
        }
        let running: Option<Fingerprint> = self.runs.borrow().get(&call.rid).map(|run| run.intent.fp);
        match running {
            Some(fp) if fp != call.fp => return Ok(Answer::KeyReused),
            Some(_) => {
                let waiter = self.join(&call.rid);
                return self.await_end(&call.rid, waiter).await;
            }
            None => {}
        }
        let Some(intent) = self.intent(call) else { return Ok(Answer::Refused(Refusal::CodeNotRecognised)) };
        if call.respond_async {
            return self.accept(intent).await;
        }
        let rid = intent.rid;
        let waiter = self.start(intent);
        self.await_end(&rid, waiter).await
    }

    fn add_attempt(&self) -> Result<(), Fault> {
        let now = self.now();
        self.disk.transaction(&self.world, Step::Attempt, |state| {
            state.add_attempt(now);
            Ok(())
        })
    }

    fn intent(&self, call: &RedeemCall) -> Option<Intent> {
        let (campaign, seq) = call.code?;
        let now = self.now();
        Some(Intent {
            v: MESSAGE_VERSION,
            rid: call.rid,
            fp: call.fp,
            campaign,
            facts: Facts {
                at: now,
                seq,
                epoch: 0,
                profile: Profile::S20,
                epoch_revoked: false,
                method: Method::Frontend,
                currency: None,
                attributes: Attributes::default(),
                roles: vec![],
                member_uses: self.disk.read().uses(campaign),
            },
            order: call.order.clone(),
            actor: "member".to_owned(),
            own: true,
            deadline: now.plus_ms(INTENT_DEADLINE_MS),
        })
    }

    /// `Prefer: respond-async`.
    async fn accept(self: &Rc<Self>, intent: Intent) -> Result<Answer, Fault> {
        let request = Request::Recognise { facts: intent.facts.clone() };
        let asked = self.ask_shard(intent.campaign, Step::Recognise, request).await;
        if matches!(asked, Ok(Reply::Recognised(false))) {
            self.add_attempt()?;
            return Ok(Answer::Refused(Refusal::CodeNotRecognised));
        }
        let rid = intent.rid;
        // Another request with this key may have come in while the shard was asked.
        let blind = self.world.has(Defect::AcceptBlind);
        let known = self.known(&rid);
        let running = self.runs.borrow().get(&rid).map(|run| run.intent.fp);
        let taken = match known {
            Known::Absent => running,
            Known::Open(fp) | Known::Decided(fp) => Some(fp),
        };
        if !blind && taken.is_some_and(|fp| fp != intent.fp) {
            return Ok(Answer::KeyReused);
        }
        if known == Known::Absent {
            if self.world.has(Defect::AcceptUnwritten) {
                drop(self.start(intent));
                return Ok(Answer::Accepted);
            }
            self.keep(&intent, 0, None)?;
        }
        let answer = self.current(&rid)?;
        if running.is_none() && (blind || !matches!(known, Known::Decided(_))) {
            drop(self.start(intent));
        }
        Ok(answer)
    }

    /// The same key again.
    async fn replay(self: &Rc<Self>, call: &RedeemCall) -> Result<Answer, Fault> {
        let undecided = matches!(self.known(&call.rid), Known::Open(_));
        if undecided && !call.respond_async {
            if !self.is_running(&call.rid) {
                self.drive_again(&call.rid)?;
            }
            let waiter = self.join(&call.rid);
            return self.await_end(&call.rid, waiter).await;
        }
        self.current(&call.rid)
    }

    /// Waits for a run's end, at most two seconds; then the redemption is kept and a 202 names it.
    async fn await_end(self: &Rc<Self>, rid: &Rid, waiter: oneshot::Receiver<Ended>) -> Result<Answer, Fault> {
        let ended = match select(waiter, pin!(self.world.delay(DECISION_WAIT_MS))).await {
            Either::Left((ended, _)) => ended.unwrap_or(Ended::Kept),
            Either::Right(_) => Ended::Kept,
        };
        match ended {
            Ended::Recorded | Ended::Kept => {
                if self.known(rid) == Known::Absent {
                    let intent = self.runs.borrow().get(rid).map(|run| run.intent.clone());
                    self.keep(&intent.ok_or(Fault("a run ended without a record"))?, 0, None)?;
                }
                self.current(rid)
            }
            Ended::Refused(refusal) => Ok(Answer::Refused(refusal)),
            Ended::Overflow => Ok(Answer::Overflow),
            Ended::Failed(fault) => Ok(Answer::Failed(fault)),
        }
    }

    /// The redemption as it stands.
    fn current(&self, rid: &Rid) -> Result<Answer, Fault> {
        let redemption = self.disk.read().redemption(rid).ok_or(Fault("a redemption is missing"))?;
        Ok(match (&redemption.refusal, redemption.status) {
            (Some(refusal), _) => Answer::Refused(refusal.clone()),
            (None, status) if !status.is_decided() => Answer::Accepted,
            (None, _) => Answer::Created(redemption),
        })
    }

    fn join(&self, rid: &Rid) -> oneshot::Receiver<Ended> {
        let (sender, receiver) = oneshot::channel();
        if let Some(run) = self.runs.borrow_mut().get_mut(rid) {
            run.waiters.push(sender);
        }
        receiver
    }
}

/// A campaign's number is its place in the world, from 1.
pub(crate) fn place(campaign: u16) -> usize {
    usize::from(campaign).saturating_sub(1)
}
