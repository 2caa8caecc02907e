//! Pool: a stock of promo codes, and which redemption has which of them.
//!
//! Arriving intents commit in groups, each in a transaction of its own within one turn.

use crate::answer::{Answer, finish, finish_alarm};
use crate::audit_log::{self, AuditLog, REPORT_ITEM};
use crate::calls::{MemberCall, MemberOp, Objects, Once, PageQuery, Violations, read_call};
use crate::config::Config;
use crate::due;
use crate::group::{GROUP_WAIT, Group, When};
use crate::merchant::cut;
use crate::once::{self, Seen};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::pool_calls::{Added, FiguresAnswer, PoolOp, Progress, Slice};
use crate::pool_store::{Counters, Place, PoolStore};
use crate::sql::Row;
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
use counterfoil_core::wire::{
    InvalidRequest, NewPool, Page, PoolFigures, PoolResource, ProtocolError, QuarantinedCode, ReleaseBody, merge_patch,
    parse,
};
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use worker::{Delay, DurableObject, Env, Request, Response, State, durable_object};

const INSTANCE: &str = "/v1/pools/{pool_id}";
const INSTANCE_QUARANTINE: &str = "/v1/pools/{pool_id}/quarantine";
/// Longest wait for a Member's word; it is asked again later.
const MEMBER_WAIT: Duration = Duration::from_secs(8);
/// Due-item that asks what became of pending intents.
const PENDING_ITEM: &str = "pending";

/// See the module.
#[durable_object(alarm)]
pub struct Pool {
    inner: Rc<Inner>,
}

/// The one document of a pool.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    pool: NewPool,
    version: u32,
}

struct Inner {
    state: State,
    env: Env,
    storage: SyncStorage,
    name: RefCell<Option<String>>,
    stored: RefCell<Option<Rc<Stored>>>,
    group: Group<(Intent, u32), PoolAnswer>,
    settled: RefCell<Vec<(Rid, Fingerprint)>>,
    /// An event waits to be reported.
    news: Cell<bool>,
    audit: AuditLog,
}

/// What a command answers, or why there is no answer; a fault is a failure to decide.
type Decided = Result<Result<Answer, ProtocolError>, Fault>;

impl DurableObject for Pool {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let inner = Inner {
            state,
            env,
            storage,
            name: RefCell::new(None),
            stored: RefCell::new(None),
            group: Group::default(),
            settled: RefCell::new(Vec::new()),
            news: Cell::new(false),
            audit: AuditLog::default(),
        };
        if let Err(fault) = inner.load() {
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
    fn store(&self) -> PoolStore<'_> {
        PoolStore(&self.storage)
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

    fn stored(&self) -> Option<Rc<Stored>> {
        self.stored.borrow().clone()
    }

    /// `merchant/pool_id`.
    fn merchant_and_id(&self) -> Result<(MerchantId, String), Fault> {
        let name = self.name.borrow().clone().ok_or_else(|| Fault::new("a pool without a name"))?;
        let (merchant, pool_id) = name.split_once('/').ok_or_else(|| Fault::new("a pool with a bad name"))?;
        let merchant = MerchantId::new(merchant).map_err(|_| Fault::new("a pool with a bad merchant"))?;
        Ok((merchant, pool_id.to_owned()))
    }

    async fn answer(self: &Rc<Self>, name: &str, op: PoolOp) -> Result<Answer, Fault> {
        due::heal(&self.storage)?;
        match op {
            PoolOp::Prepare { intent, quantity } => Answer::json(200, &self.enqueue(intent, quantity).await?),
            PoolOp::Settle { rid, fp, fate } => {
                match fate {
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

    /// A repeated creation (the first answer was lost) changes nothing.
    fn create(&self, name: &str, new: NewPool, by: &str) -> Result<Answer, Fault> {
        if self.stored().is_none() {
            *self.name.borrow_mut() = Some(name.to_owned());
            let stored = Stored { pool: new, version: 1 };
            self.storage.transaction(|| {
                self.store().set_meta("name", name)?;
                self.store().set_meta("pool", &serde_json::to_string(&stored)?)?;
                self.note(&Draft::new(by, "pool.created").data(serde_json::to_value(&stored.pool)?), vec![])
            })?;
            *self.stored.borrow_mut() = Some(Rc::new(stored));
            audit_log::hurry(&self.storage)?;
        }
        let stored = self.stored().ok_or_else(|| Fault::new("a pool was not stored"))?;
        let pool_id = stored.pool.pool_id.clone().unwrap_or_default();
        Ok(self.resource_answer(201, &stored)?.header("Location", format!("/v1/pools/{pool_id}")))
    }

    /// Runs an administrator's command in one transaction. A refused one leaves an audit entry.
    fn decide(
        &self,
        by: &str,
        instance: &'static str,
        command: impl FnOnce(&Stored) -> Decided,
    ) -> Result<Answer, Fault> {
        let Some(stored) = self.stored() else { return Answer::error(&ProtocolError::NotFound, instance) };
        let answer = self.storage.transaction(|| match command(&stored)? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.note(&audit_log::refused(by, None, instance, &error), vec![])?;
                Answer::error(&error, instance)
            }
        })?;
        audit_log::hurry(&self.storage)?;
        Ok(answer)
    }

    /// Adds to the audit chain. An entry without a subject is about this pool.
    fn note(&self, draft: &Draft, events: Vec<Outgoing>) -> Result<(), Fault> {
        let (_, pool_id) = self.merchant_and_id()?;
        let chain = format!("pool/{pool_id}");
        let draft = Draft { subject: draft.subject.clone().or(Some(pool_id)), ..draft.clone() };
        audit_log::append(&self.storage, (&chain, false), &draft, None, events, vec![], now())
    }

    fn resource(&self, pool: &NewPool, counters: &Counters) -> Result<PoolResource, Fault> {
        let (taken, first) = self.store().taken(now())?;
        Ok(PoolResource::of(pool, counters.stock, depletion(taken, first, counters.stock.free, now())))
    }

    fn resource_answer(&self, status: u16, stored: &Stored) -> Result<Answer, Fault> {
        let resource = self.resource(&stored.pool, &self.store().counters()?)?;
        Ok(Answer::json(status, &resource)?.header("ETag", format!("\"{}\"", stored.version)))
    }

    fn figures(&self) -> Result<Option<PoolFigures>, Fault> {
        let Some(stored) = self.stored() else { return Ok(None) };
        let counters = self.store().counters()?;
        let pool = self.resource(&stored.pool, &counters)?;
        Ok(Some(PoolFigures { low: pool.free < pool.alert_below, pool, shortages: counters.shortages }))
    }

    /// RFC 7396 over name and threshold.
    fn patch(&self, stored: &Stored, if_match: Option<u32>, patch: &serde_json::Value, by: &str) -> Decided {
        let Some(if_match) = if_match else { return Ok(Err(ProtocolError::PreconditionRequired)) };
        if if_match != stored.version {
            return Ok(Err(ProtocolError::VersionMismatch));
        }
        let mut merged = serde_json::to_value(&stored.pool)?;
        merge_patch(&mut merged, patch);
        let pool = match parse::<NewPool>(&serde_json::to_vec(&merged)?).and_then(|pool| pool.checked("")) {
            Ok(pool) if pool.pool_id != stored.pool.pool_id => {
                return Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("pool_id", "never changes"))));
            }
            Ok(pool) => pool,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        let mut stored = stored.clone();
        if pool != stored.pool {
            stored = Stored { pool, version: stored.version + 1 };
            self.store().set_meta("pool", &serde_json::to_string(&stored)?)?;
            let data = json!({ "version": stored.version, "patch": patch });
            self.note(&Draft::new(by, "pool.changed").data(data), vec![])?;
            self.watch(&stored, true)?;
        }
        self.resource_answer(200, &stored).map(Ok)
    }

    /// Tells, once for each crossing, that few codes are left. Run in the transaction that changed the stock.
    fn watch(&self, stored: &Stored, asked: bool) -> Result<(), Fault> {
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
        let (receiver, when) = self.group.add((intent, quantity));
        match when {
            When::Now => self.commit_group(),
            When::Later => {
                let inner = Rc::clone(self);
                self.state.wait_until(async move {
                    Delay::from(GROUP_WAIT).await;
                    inner.group.wait_is_over();
                    inner.commit_group();
                });
            }
            When::WithTheOthers => {}
        }
        receiver.await.map_err(|_| Fault::new("the group was lost"))?
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
        let closing =
            self.storage.transaction(|| settled.iter().try_for_each(|(rid, fp)| self.close(rid, fp, Fate::Committed)));
        if let Err(fault) = closing {
            fault.log("pool_failed");
        }
    }

    fn prepare(&self, intent: &Intent, quantity: u32) -> Result<PoolAnswer, Fault> {
        // One whose creation never finished has no codes.
        let Some(stored) = self.stored() else { return Ok(PoolAnswer::Refused { available: 0 }) };
        let store = self.store();
        let counters = store.counters()?;
        let pending = store.pending(&intent.rid)?;
        let view = PoolView {
            pending: pending.contains(&intent.fp),
            other_pending: pending.iter().any(|fp| *fp != intent.fp),
            buried: store.is_buried(&intent.rid)?,
            codes: store.codes(&intent.rid)?,
            free: counters.stock.free,
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
                let codes = store.take(intent, quantity, &counters, at, ask_at)?;
                // What is planned may be the pause of an older row, which can be a minute.
                if due::next(&self.storage)?.is_none_or(|next| next > ask_at) {
                    due::plan(&self.storage, PENDING_ITEM, ask_at)?;
                }
                if counters.stock.free - u64::from(quantity) < stored.pool.alert_below {
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

    /// Adds a part of an upload, unless it was added before under the same key.
    fn add(&self, slice: &Slice) -> Result<Added, Fault> {
        let Some(stored) = self.stored() else { return Ok(Added::NotFound) };
        let mut progress = match once::seen(&self.storage, slice.once.as_ref(), now())? {
            Seen::Same(text) => counterfoil_core::json::read::<Progress>(&text)?,
            Seen::Other => return Ok(Added::KeyReused),
            Seen::New => Progress::default(),
        };
        if progress.finished {
            return Ok(Added::Replayed(progress));
        }
        if slice.once.is_some() && slice.index < progress.slices {
            return Ok(Added::Progress(progress));
        }
        let given = u64::try_from(slice.codes.len()).unwrap_or(u64::MAX);
        let added = self.store().add(&slice.codes)?;
        progress.slices = slice.index + 1;
        progress.finished = slice.last;
        progress.added += added;
        progress.duplicates += given - added;
        progress.free = self.store().counters()?.stock.free;
        once::keep(&self.storage, slice.once.as_ref(), &serde_json::to_string(&progress)?, now())?;
        if given > 0 {
            let data = json!({ "added": added, "duplicates": given - added, "slice": slice.index });
            self.note(&Draft::new(&slice.by, "pool.uploaded").data(data), vec![])?;
        }
        self.watch(&stored, false)?;
        Ok(Added::Progress(progress))
    }

    fn quarantined(&self, page: &PageQuery) -> Result<Answer, Fault> {
        if self.stored().is_none() {
            return Answer::error(&ProtocolError::NotFound, INSTANCE_QUARANTINE);
        }
        let mut rows = self.store().quarantined(page.before, page.limit + 1)?;
        let next_cursor = cut(&mut rows, page.limit);
        let config = Config::of(&self.env)?;
        let (merchant, _) = self.merchant_and_id()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let item = |row: &Row| {
            Ok(QuarantinedCode {
                code: row.text(1)?,
                redemption_id: Rid::from_bytes(&row.blob(2)).map(|rid| names.redemption(&rid)),
                at: counterfoil_core::time::Instant(row.integer(3)),
            })
        };
        let items = rows.iter().map(item).collect::<Result<Vec<_>, Fault>>()?;
        Answer::json(200, &Page { items, next_cursor })
    }

    /// An operator says that codes of the quarantine can be handed out again. One that is free already stays so.
    fn release(&self, stored: &Stored, body: &ReleaseBody, by: &str, once: Option<&Once>) -> Decided {
        match once::seen(&self.storage, once, now())? {
            Seen::Same(_) => {
                return Ok(Ok(self.resource_answer(200, stored)?.header("Idempotent-Replayed", "true")));
            }
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        let released = match &body.codes {
            None => self.store().release_all()?,
            Some(codes) => {
                let mut errors = InvalidRequest::default();
                let mut wanted = vec![];
                for (index, code) in codes.iter().enumerate() {
                    match self.store().place(code)? {
                        Some(Place::Quarantined(n)) => wanted.push(n),
                        Some(Place::Free) => {}
                        Some(Place::Used) => errors.add(&format!("codes[{index}]"), "belongs to a redemption"),
                        None => errors.add(&format!("codes[{index}]"), "not a promo code of this pool"),
                    }
                }
                if let Err(invalid) = errors.into_result() {
                    return Ok(Err(ProtocolError::InvalidRequest(invalid)));
                }
                // One that is named twice is released once.
                wanted.sort_unstable();
                wanted.dedup();
                wanted.iter().try_for_each(|n| self.store().release(*n))?;
                u64::try_from(wanted.len()).unwrap_or(u64::MAX)
            }
        };
        once::keep(&self.storage, once, "", now())?;
        let draft = Draft::new(by, "pool.released").reason(Some(&body.reason));
        self.note(&draft.data(json!({ "codes": released })), vec![])?;
        self.watch(stored, false)?;
        self.resource_answer(200, stored).map(Ok)
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
            let call = MemberCall { instance: String::new(), member_id: None, refresh: None, arrived: None, op };
            let objects = Objects(&self.env);
            let asking = pin!(objects.inquire(&member, &call));
            // One Member that hangs must not keep the others from being asked.
            let fate = match select(asking, pin!(Delay::from(MEMBER_WAIT))).await {
                Either::Left((fate, _)) => fate,
                Either::Right(_) => Err(Fault::new("the member did not answer in time")),
            };
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
