//! Recorder: what all objects of a merchant report in one month. History for search and export, figures, minute seals
//! over all audit chains, events to webhook endpoints; it settles pending intents in bulk.
//!
//! Reports commit in groups and may come again: each (source, n) counts once.

use crate::answer::{Answer, finish, finish_alarm};
use crate::calls::ShardOp;
use crate::due;
use crate::group::Group;
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, campaign_name, read_call, within};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::pool_calls::{PoolOp, pool_name};
use crate::recorder_calls::{RecorderOp, recorder_name};
use crate::recorder_claims::{self, CLAIMS_ITEM};
use crate::recorder_deliver::{DELIVER_ITEM, Deliverer};
use crate::recorder_store::RecorderStore;
use crate::sql::{Loaded, run};
use counterfoil_core::audit::Seal;
use counterfoil_core::ids::{Fingerprint, Rid};
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::protocol::recorder::{
    Listed, day_after, entry_changes, is_first_of_day, listing_changes, row_step, seal_at, summed, timings,
};
use counterfoil_core::protocol::report::{Outgoing, Participant, Report, ReportRow, Settled};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// Due-item that seals.
const SEAL_ITEM: &str = "seal";
/// Due-item that sends a day's last seal out, so that nothing stays without an anchor elsewhere.
const ANCHOR_ITEM: &str = "anchor";
/// Due-item that tells the Merchant of this Recorder.
const BORN_ITEM: &str = "born";
/// Longest wait for a shard or the Merchant.
const OTHERS_WAIT: Duration = Duration::from_secs(8);
/// Failures to tell the Merchant that count; it is told again after the longest pause from then on.
const BORN_TRIES: u32 = 4;

/// See the module.
#[durable_object(alarm)]
pub struct Recorder {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    loaded: Loaded,
    healed: due::Healed,
    name: RefCell<Option<String>>,
    group: Group<Report, ()>,
    pub(crate) deliverer: Deliverer,
}

impl DurableObject for Recorder {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let (name, group, deliverer) = (RefCell::new(None), Group::default(), Deliverer::default());
        let inner = Inner {
            state,
            env,
            storage,
            loaded: Loaded::default(),
            healed: due::Healed::default(),
            name,
            group,
            deliverer,
        };
        if let Err(fault) = inner.ready() {
            fault.log("recorder_failed");
        }
        Self { inner: Rc::new(inner) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        finish(self.answer(&mut request).await, "recorder")
    }

    async fn alarm(&self) -> worker::Result<Response> {
        finish_alarm(self.inner.ring().await)
    }
}

impl Recorder {
    async fn answer(&self, request: &mut Request) -> Result<Answer, Fault> {
        let call = read_call::<RecorderOp>(request).await?;
        let inner = &self.inner;
        inner.ready()?;
        due::heal(&inner.storage, &inner.healed)?;
        let store = inner.store();
        match call.op {
            RecorderOp::Report(report) => {
                inner.remember_name(&call.name)?;
                inner.enqueue(report).await?;
                Answer::json(200, &serde_json::json!({}))
            }
            RecorderOp::Redemptions(asked) => Answer::json(200, &store.redemptions(&asked)?),
            RecorderOp::Entries(asked) => Answer::json(200, &store.entries(&asked)?),
            RecorderOp::ExportBounds => Answer::json(200, &store.export_bounds()?),
            RecorderOp::Export { after, bounds } => Answer::json(200, &store.export(after, bounds)?),
            RecorderOp::Figures => Answer::json(200, &store.figures()?),
            RecorderOp::Claims { campaign } => {
                Answer::json(200, &recorder_claims::of_campaign(&inner.storage, campaign)?)
            }
            RecorderOp::Hurry { endpoint_id } => {
                inner.hurry(&endpoint_id)?;
                Answer::json(200, &serde_json::json!({}))
            }
            RecorderOp::Resend { endpoint_id, delivery_id } => {
                inner.resend(&endpoint_id, &delivery_id)?;
                Answer::json(200, &serde_json::json!({}))
            }
            RecorderOp::Subscribed => {
                inner.deliverer.forget();
                Answer::json(200, &serde_json::json!({}))
            }
        }
    }
}

impl Inner {
    pub(crate) fn store(&self) -> RecorderStore<'_> {
        RecorderStore(&self.storage)
    }

    /// Before anything else, in every call and alarm.
    fn ready(&self) -> Result<(), Fault> {
        self.loaded.ensure(|| self.load())
    }

    fn load(&self) -> Result<(), Fault> {
        self.store().create()?;
        Deliverer::create(&self.storage)?;
        recorder_claims::SCHEMA.iter().try_for_each(|statement| run(&self.storage, statement, &[]).map(drop))?;
        *self.name.borrow_mut() = self.store().meta("name")?;
        Ok(())
    }

    /// The first report makes a Recorder. Lists go back to it once its Merchant knows, so that is kept until done.
    fn remember_name(&self, name: &str) -> Result<(), Fault> {
        if self.name.borrow().is_none() {
            self.storage.transaction(|| {
                self.store().set_meta("name", name)?;
                due::plan(&self.storage, BORN_ITEM, now())
            })?;
            *self.name.borrow_mut() = Some(name.to_owned());
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> Result<String, Fault> {
        self.name.borrow().clone().ok_or_else(|| Fault::new("a recorder without a name"))
    }

    /// Whose, and of which month: `merchant/month/0`.
    pub(crate) fn merchant_and_month(&self) -> Result<(String, String), Fault> {
        let name = self.name()?;
        let mut parts = name.split('/');
        match (parts.next(), parts.next()) {
            (Some(merchant), Some(month)) if recorder_name(merchant, month) == name => {
                Ok((merchant.to_owned(), month.to_owned()))
            }
            (_, _) => Err(Fault::new("a recorder with a bad name")),
        }
    }

    /// Joins the group under way, or commits at once when idle.
    async fn enqueue(self: &Rc<Self>, report: Report) -> Result<(), Fault> {
        let inner = Rc::clone(self);
        self.group.join(&self.state, report, move || inner.commit_group()).await
    }

    /// One turn: each report in its own transaction. Everything becomes durable together, and no acknowledgement
    /// leaves before. Then the participants are told, and endpoints.
    fn commit_group(self: &Rc<Self>) {
        let mut settled = vec![];
        for (report, sender) in self.group.take() {
            let taken = self.storage.transaction(|| self.take(&report));
            if taken.is_ok() {
                settled.extend(report.rows.into_iter().flat_map(|row| row.settled));
            }
            // A receiver that is gone reports again.
            let _ = sender.send(taken);
        }
        self.group.written(&self.state, &self.storage);
        if !settled.is_empty() {
            let inner = Rc::clone(self);
            self.state.wait_until(async move { inner.settle(settled).await });
        }
        self.start_delivering();
    }

    /// Writes a report. Run inside a transaction.
    fn take(&self, report: &Report) -> Result<(), Fault> {
        let store = self.store();
        let (_, month) = self.merchant_and_month()?;
        let known = store.head(&report.source)?;
        let mut head = (known, "");
        let (mut changes, mut claims) = (vec![], vec![]);
        for row in &report.rows {
            let listed = match &row.record {
                Some(record) => store.listed(record)?,
                None => None,
            };
            let step = row_step(row, &month, head.0, listed.as_ref().map(|(n, _)| *n));
            if step.entry {
                self.take_entry(report, row)?;
                changes.extend(entry_changes(row));
                claims.extend(row.claim);
                head = (row.n, &row.hash);
            }
            if let Some(record) = row.record.as_ref().filter(|_| step.record) {
                let after = Listed::from(record);
                let before = listed.as_ref().map(|(_, before)| before);
                changes.extend(listing_changes(before, &after, record.redemption.quantity));
                store.list(row, record, &after)?;
            }
        }
        store.count(&summed(changes))?;
        recorder_claims::count(&self.storage, &claims)?;
        if head.0 == known {
            return Ok(());
        }
        store.set_head(&report.source, head.0, head.1)?;
        // One seal for everything of this minute.
        if run(&self.storage, "SELECT 1 FROM due WHERE id = ? AND parked = 0", &[SEAL_ITEM.into()])? {
            return Ok(());
        }
        due::plan(&self.storage, SEAL_ITEM, seal_at(now()))
    }

    fn take_entry(&self, report: &Report, row: &ReportRow) -> Result<(), Fault> {
        let Some(entry) = &row.entry else { return Ok(()) };
        if entry.object != report.source || entry.n != row.n {
            return Err(Fault::new("an entry of another chain was reported"));
        }
        self.store().add_entry(entry, &row.hash, now())?;
        self.store().count_times(&timings(row), row.tester)?;
        self.deliverer.tell(&self.storage, &row.events, row.record.as_ref())
    }

    /// Tells participants that their promises were kept. Best effort: one asks the Member about what it is not told.
    async fn settle(&self, settled: Vec<Settled>) {
        let Ok((merchant, _)) = self.merchant_and_month() else { return };
        let mut participants: BTreeMap<Participant, Vec<(Rid, Fingerprint)>> = BTreeMap::new();
        for Settled { participant, rid, fp } in settled {
            participants.entry(participant).or_default().push((rid, fp));
        }
        for (participant, items) in participants {
            let telling = self.tell_settled(&merchant, participant, items);
            if let Err(fault) = within(OTHERS_WAIT, "a participant", telling).await {
                fault.log("settle_failed");
            }
        }
    }

    async fn tell_settled(
        &self,
        merchant: &str,
        participant: Participant,
        items: Vec<(Rid, Fingerprint)>,
    ) -> Result<(), Fault> {
        let objects = Objects(&self.env);
        let told = match participant {
            Participant::Shard { campaign, shard } => {
                let op = ShardOp::Settled { items };
                objects.shard::<serde_json::Value>(&campaign_name(merchant, campaign), shard, &op).await
            }
            Participant::Pool { pool_id } => {
                objects.pool::<serde_json::Value>(&pool_name(merchant, &pool_id), &PoolOp::Settled { items }).await
            }
        };
        told.map(drop)
    }

    /// The alarm: seals, tells the Merchant, delivers.
    async fn ring(self: &Rc<Self>) -> Result<(), Fault> {
        self.ready()?;
        for item in due::take(&self.storage)? {
            due::survive(&self.storage, &item, self.take_up(&item).await);
        }
        self.start_delivering();
        due::rearm(&self.storage)
    }

    async fn take_up(self: &Rc<Self>, item: &str) -> Result<(), Fault> {
        match item {
            SEAL_ITEM => self.storage.transaction(|| self.seal()),
            ANCHOR_ITEM => self.storage.transaction(|| self.anchor()),
            BORN_ITEM => self.tell_merchant().await,
            CLAIMS_ITEM => self.tell_claims().await,
            DELIVER_ITEM => self.deliver_again(),
            _ => due::done(&self.storage, item),
        }
    }

    /// Seals every chain as it stands, where anything was recorded. The first seal of a day goes out, so that there
    /// is an anchor elsewhere.
    fn seal(&self) -> Result<(), Fault> {
        if let Some((seal, hash, before)) = self.store().seal(&self.name()?, now())? {
            if is_first_of_day(before, seal.at) {
                self.send_out(&seal, hash)?;
            } else {
                due::plan(&self.storage, ANCHOR_ITEM, day_after(seal.at))?;
            }
        }
        due::done(&self.storage, SEAL_ITEM)
    }

    /// The day is over: its last seal goes out too.
    fn anchor(&self) -> Result<(), Fault> {
        if let Some((seal, hash)) = self.store().last_seal()? {
            self.send_out(&seal, hash)?;
        }
        due::done(&self.storage, ANCHOR_ITEM)
    }

    fn send_out(&self, seal: &Seal, hash: String) -> Result<(), Fault> {
        let (_, month) = self.merchant_and_month()?;
        let id = format!("seal_{month}_{}", seal.n);
        let mut data = serde_json::to_value(seal)?;
        if let Some(fields) = data.as_object_mut() {
            fields.insert("hash".to_owned(), hash.into());
        }
        let event = Outgoing { id, kind: "audit.seal".to_owned(), at: seal.at, data, mref: None };
        self.deliverer.tell(&self.storage, &[event], None)
    }

    async fn tell_merchant(&self) -> Result<(), Fault> {
        let (merchant, month) = self.merchant_and_month()?;
        let (objects, op) = (Objects(&self.env), MerchantOp::RecorderBorn { month });
        let answer = within(OTHERS_WAIT, "the merchant", objects.merchant(&merchant, &op)).await;
        if answer.is_ok_and(|answer| answer.status_code() == 204) {
            due::done(&self.storage, BORN_ITEM)
        } else {
            due::plan(&self.storage, BORN_ITEM, now().plus_ms(backoff_ms(BORN_TRIES, random_u32())))
        }
    }
}
