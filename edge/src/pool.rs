//! Pool: a stock of promo codes, and which redemption has which of them. What administrators ask of it is in
//! [`crate::pool_desk`].
//!
//! Arriving intents commit in groups, each in a transaction of its own within one turn.

use crate::answer::{Answer, finish, finish_alarm};
use crate::audit_log::{self, AuditLog, REPORT_ITEM};
use crate::calls::{MemberCall, MemberOp, Violations};
use crate::config::Config;
use crate::due;
use crate::group::Group;
use crate::objects::{Objects, read_call, within};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::pool_calls::{FiguresAnswer, PoolOp};
use crate::pool_desk::INSTANCE_QUARANTINE;
use crate::pool_store::{Counters, PoolStore};
use crate::sql::Loaded;
use counterfoil_core::audit::Draft;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::{BACKOFF_MAX_MS, INQUIRE_AFTER_MS};
use counterfoil_core::protocol::pool::{
    Alert, PendingStep, PoolAnswer, PoolView, PrepareStep, alert, depletion, prepare, settle, undo,
};
use counterfoil_core::protocol::report::Outgoing;
use counterfoil_core::protocol::{Fate, Intent, backoff_ms};
use counterfoil_core::verify::{self, Report, Violation};
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{NewPool, PoolResource, ProtocolError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

pub(crate) const INSTANCE: &str = "/v1/pools/{pool_id}";
/// Longest wait for a Member's word; it is asked again later.
const MEMBER_WAIT: Duration = Duration::from_secs(8);
/// Due-item that asks what became of pending intents.
pub(crate) const PENDING_ITEM: &str = "pending";

/// See the module.
#[durable_object(alarm)]
pub struct Pool {
    inner: Rc<Inner>,
}

/// The one document of a pool.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) pool: NewPool,
    pub(crate) version: u32,
}

pub(crate) struct Inner {
    state: State,
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    loaded: Loaded,
    pub(crate) healed: due::Healed,
    pub(crate) name: RefCell<Option<String>>,
    pub(crate) stored: RefCell<Option<Rc<Stored>>>,
    group: Group<(Intent, u32), PoolAnswer>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
    /// An event waits to be reported.
    news: Cell<bool>,
    audit: AuditLog,
}

impl DurableObject for Pool {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let inner = Inner {
            state,
            env,
            storage,
            loaded: Loaded::default(),
            healed: due::Healed::default(),
            name: RefCell::new(None),
            stored: RefCell::new(None),
            group: Group::default(),
            settled: RefCell::new(Vec::new()),
            news: Cell::new(false),
            audit: AuditLog::default(),
        };
        if let Err(fault) = inner.ready() {
            fault.log("pool_failed");
        }
        Self { inner: Rc::new(inner) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let answer = match read_call::<PoolOp>(&mut request).await {
            Ok(call) => self.inner.answer(&call.name, call.op).await,
            Err(fault) => Err(fault),
        };
        finish(answer, "pool")
    }

    async fn alarm(&self) -> worker::Result<Response> {
        finish_alarm(self.inner.ring().await)
    }
}

impl Inner {
    pub(crate) fn store(&self) -> PoolStore<'_> {
        PoolStore(&self.storage)
    }

    /// Before anything else, in every call and alarm.
    fn ready(&self) -> Result<(), Fault> {
        self.loaded.ensure(|| self.load())
    }

    fn load(&self) -> Result<(), Fault> {
        self.store().create()?;
        self.recall()
    }

    fn recall(&self) -> Result<(), Fault> {
        *self.name.borrow_mut() = self.store().meta("name")?;
        let stored = self.store().meta("pool")?;
        *self.stored.borrow_mut() = stored.map(|text| counterfoil_core::json::read(&text)).transpose()?.map(Rc::new);
        Ok(())
    }

    pub(crate) fn stored(&self) -> Option<Rc<Stored>> {
        self.stored.borrow().clone()
    }

    /// `merchant/pool_id`.
    pub(crate) fn merchant_and_id(&self) -> Result<(MerchantId, String), Fault> {
        let name = self.name.borrow().clone().ok_or_else(|| Fault::new("a pool without a name"))?;
        let (merchant, pool_id) = name.split_once('/').ok_or_else(|| Fault::new("a pool with a bad name"))?;
        let merchant = MerchantId::new(merchant).map_err(|_| Fault::new("a pool with a bad merchant"))?;
        Ok((merchant, pool_id.to_owned()))
    }

    async fn answer(self: &Rc<Self>, name: &str, op: PoolOp) -> Result<Answer, Fault> {
        self.ready()?;
        due::heal(&self.storage, &self.healed)?;
        match op {
            PoolOp::Prepare { intent, quantity } => Answer::json(200, &self.enqueue(intent, quantity).await?),
            PoolOp::Settle { rid, fp, fate, deadline } => {
                match fate {
                    // The same command may be here again by now: what came too late is asked about.
                    _ if deadline.is_some_and(|deadline| deadline < now()) => {}
                    // The pending row goes with the next group: one commit less for each redemption.
                    Fate::Committed => self.settled.borrow_mut().push((rid, fp)),
                    Fate::Aborted => self.storage.transaction(|| self.close(&rid, &fp, fate))?,
                    Fate::Running | Fate::Held { .. } => {}
                }
                Answer::json(200, &json!({}))
            }
            PoolOp::Settled { items } => {
                // As above: they go with the next group.
                self.settled.borrow_mut().extend(items);
                Answer::json(200, &json!({}))
            }
            PoolOp::Undo { rid } => {
                self.storage.transaction(|| self.undo(&rid))?;
                audit_log::hurry(&self.storage)?;
                Answer::json(200, &json!({}))
            }
            PoolOp::Create { new, by } => self.create(name, new, &by),
            PoolOp::Read => match self.stored() {
                Some(stored) => self.resource_answer(200, &stored),
                None => Answer::error(&ProtocolError::NotFound, INSTANCE),
            },
            PoolOp::Patch { if_match, patch, by } => {
                let answer = self.decide(&by, INSTANCE, |stored| self.patch(stored, if_match, &patch, &by));
                // Whatever became of it: what is remembered is what is stored.
                self.recall()?;
                answer
            }
            PoolOp::Add(slice) => {
                let added = self.storage.transaction(|| self.add(&slice))?;
                audit_log::hurry(&self.storage)?;
                Answer::json(200, &added)
            }
            PoolOp::Quarantine(page) => self.quarantined(&page),
            PoolOp::Release { body, by, once } => {
                self.decide(&by, INSTANCE_QUARANTINE, |stored| self.release(stored, &body, &by, once.as_ref()))
            }
            PoolOp::Figures => Answer::json(200, &FiguresAnswer { figures: self.figures()? }),
            PoolOp::Verify => match self.stored() {
                Some(_) => Answer::json(200, &Violations { violations: self.verify()? }),
                None => Answer::error(&ProtocolError::NotFound, INSTANCE),
            },
        }
    }

    /// Adds to the audit chain. An entry without a subject is about this pool.
    pub(crate) fn note(&self, draft: &Draft, events: Vec<Outgoing>) -> Result<(), Fault> {
        let (_, pool_id) = self.merchant_and_id()?;
        let chain = format!("pool/{pool_id}");
        let draft = Draft { subject: draft.subject.clone().or(Some(pool_id)), ..draft.clone() };
        audit_log::append(&self.storage, (&chain, false), &draft, None, events, vec![], now())
    }

    pub(crate) fn resource(&self, pool: &NewPool, counters: &Counters) -> Result<PoolResource, Fault> {
        let (taken, first) = self.store().taken(now())?;
        Ok(PoolResource::of(pool, counters.stock, depletion(taken, first, counters.stock.free, now())))
    }

    /// Tells, once for each crossing, that few codes are left. Run in the transaction that changed the stock.
    pub(crate) fn watch(&self, stored: &Stored, asked: bool) -> Result<(), Fault> {
        let counters = self.store().counters()?;
        match alert(counters.stock.free, stored.pool.alert_below, counters.told, asked) {
            Alert::Unchanged => Ok(()),
            Alert::Rearm => self.store().set_told(false),
            Alert::Raise => {
                self.store().set_told(true)?;
                let resource = self.resource(&stored.pool, &counters)?;
                let id = format!("pool_low_{}_{}", resource.pool_id, counters.lows + 1);
                let draft = Draft::new("system", "pool.low")
                    .data(json!({ "free": resource.free, "alert_below": resource.alert_below }));
                let data = serde_json::to_value(&resource)?;
                let event = Outgoing { id, kind: "pool.low".to_owned(), at: now(), data, mref: None };
                self.news.set(true);
                self.note(&draft, vec![event])
            }
        }
    }

    /// Joins the group under way, or commits at once when idle.
    async fn enqueue(self: &Rc<Self>, intent: Intent, quantity: u32) -> Result<PoolAnswer, Fault> {
        let inner = Rc::clone(self);
        self.group.join(&self.state, (intent, quantity), move || inner.commit_group()).await
    }

    /// One turn: settles what was decided, then each waiting intent in its own transaction. Everything becomes
    /// durable together, and no answer leaves before.
    fn commit_group(&self) {
        self.close_settled();
        for ((intent, quantity), sender) in self.group.take() {
            let answer = self.storage.transaction(|| self.prepare(&intent, quantity));
            // A receiver that is gone lost nothing: its Member asks again, or this pool asks the Member.
            let _ = sender.send(answer);
        }
        self.group.written(&self.state, &self.storage);
        if self.news.replace(false)
            && let Err(fault) = audit_log::hurry(&self.storage)
        {
            // Its alarm is planned.
            fault.log("pool_failed");
        }
    }

    /// Closes what Members have told. When it fails the rows stay pending, and the alarm asks the Members.
    fn close_settled(&self) {
        let settled = self.settled.take();
        if settled.is_empty() {
            return;
        }
        let closing = self.storage.transaction(|| self.store().commit_all(&settled));
        if let Err(fault) = closing {
            fault.log("pool_failed");
        }
    }

    fn prepare(&self, intent: &Intent, quantity: u32) -> Result<PoolAnswer, Fault> {
        // One whose creation never finished has no codes.
        let Some(stored) = self.stored() else { return Ok(PoolAnswer::Refused { available: 0 }) };
        let store = self.store();
        let look = store.look(&intent.rid)?;
        let (pending, codes) =
            if look.has_codes { (store.pending(&intent.rid)?, store.codes(&intent.rid)?) } else { (vec![], vec![]) };
        let free = look.counters.stock.free;
        let view = PoolView {
            pending: pending.contains(&intent.fp),
            other_pending: pending.iter().any(|fp| *fp != intent.fp),
            buried: look.buried,
            codes,
            free,
        };
        let at = now();
        match prepare(&view, intent.deadline, quantity, at) {
            PrepareStep::Answer(answer) => Ok(answer),
            PrepareStep::Short { available } => {
                store.count_shortage()?;
                self.watch(&stored, true)?;
                Ok(PoolAnswer::Refused { available })
            }
            PrepareStep::Take => {
                let ask_at = at.plus_ms(INQUIRE_AFTER_MS);
                let codes = store.take(intent, quantity, &look, at, ask_at)?;
                // What is planned may be the pause of an older row, which can be a minute.
                if due::at(&self.storage, PENDING_ITEM)?.is_none_or(|planned| planned > ask_at) {
                    due::plan(&self.storage, PENDING_ITEM, ask_at)?;
                }
                if free - u64::from(quantity) < stored.pool.alert_below {
                    self.watch(&stored, true)?;
                }
                Ok(PoolAnswer::Prepared { codes })
            }
        }
    }

    /// Ends a pending row by the Member's word.
    fn close(&self, rid: &Rid, fp: &Fingerprint, fate: Fate) -> Result<(), Fault> {
        let store = self.store();
        let pending = store.pending(rid)?.contains(fp);
        match settle(pending, fate) {
            PendingStep::Commit => store.commit(rid, fp),
            PendingStep::GiveBack => {
                store.give_back(rid, fp)?;
                self.stored().map_or(Ok(()), |stored| self.watch(&stored, false))
            }
            PendingStep::Keep => Ok(()),
        }
    }

    /// A decided redemption is given back. Repeats find nothing and are acknowledged again.
    fn undo(&self, rid: &Rid) -> Result<(), Fault> {
        let store = self.store();
        store.bury(rid, now())?;
        let codes = u64::try_from(store.codes(rid)?.len()).unwrap_or(u64::MAX);
        let step = undo(codes, !store.pending(rid)?.is_empty());
        if step.drop_pending {
            store.drop_pending(rid)?;
        }
        if step.quarantine {
            let moved = store.quarantine(rid, now())?;
            let config = Config::of(&self.env)?;
            let (merchant, _) = self.merchant_and_id()?;
            let names = Names { key: &config.id_key, merchant: &merchant };
            let draft = Draft::new("system", "pool.quarantined").subject(names.redemption(rid));
            self.note(&draft.data(json!({ "codes": moved })), vec![])?;
        }
        Ok(())
    }

    /// Checks this pool's invariants.
    fn verify(&self) -> Result<Vec<Violation>, Fault> {
        let (_, pool_id) = self.merchant_and_id()?;
        let chain = format!("pool/{pool_id}");
        let mut report = Report::of(&chain);
        verify::pool(&self.store().facts()?, &mut report);
        audit_log::verify(&self.storage, &chain, &mut report)?;
        Ok(report.into_violations())
    }

    async fn ring(&self) -> Result<(), Fault> {
        self.ready()?;
        for item in due::take(&self.storage)? {
            due::survive(&self.storage, &item, self.take_up(&item).await);
        }
        due::rearm(&self.storage)
    }

    async fn take_up(&self, item: &str) -> Result<(), Fault> {
        match item {
            PENDING_ITEM => self.inquire().await,
            REPORT_ITEM => {
                let (merchant, pool_id) = self.merchant_and_id()?;
                self.audit.ring(&self.storage, &self.env, merchant.as_str(), &format!("pool/{pool_id}")).await
            }
            _ => due::done(&self.storage, item),
        }
    }

    /// Asks the Members of intents that have waited too long what became of them.
    async fn inquire(&self) -> Result<(), Fault> {
        self.close_settled();
        let (merchant, _) = self.merchant_and_id()?;
        for overdue in self.store().overdue(now())? {
            let member = format!("{}/{}", merchant.as_str(), overdue.intent.rid.mref().to_hex());
            let (rid, fp) = (overdue.intent.rid, overdue.intent.fp);
            let op = MemberOp::InquirePool { intent: overdue.intent };
            let call = MemberCall::without_id("", op);
            let objects = Objects(&self.env);
            // One Member that hangs must not keep the others from being asked.
            let fate = within(MEMBER_WAIT, "the member", objects.inquire(&member, &call)).await;
            let fate = fate.unwrap_or_else(|fault| {
                fault.log("inquiry_failed");
                Fate::Running
            });
            let again = now().plus_ms(backoff_ms(overdue.tries, random_u32()));
            let closed = self.storage.transaction(|| {
                self.close(&rid, &fp, fate)?;
                self.store().ask_again(&rid, &fp, again)
            });
            if let Err(fault) = closed {
                // A row that cannot be closed waits; the others are asked about all the same.
                fault.log("inquiry_failed");
                self.store().ask_again(&rid, &fp, again)?;
            }
        }
        match self.store().next_inquiry()? {
            Some(at) => due::plan(&self.storage, PENDING_ITEM, at.min(now().plus_ms(BACKOFF_MAX_MS))),
            None => due::done(&self.storage, PENDING_ITEM),
        }
    }
}
