//! Campaign: its definition in versions, and the shards that work by its rules. Batches are in [`crate::campaign_batches`].

use crate::answer::{Answer, finish, finish_alarm};
use crate::audit_log::{self, AuditLog, REPORT_ITEM};
use crate::calls::{CampaignOp, Count, Objects, Once, Pulled, ShardOp, VersionAnswer, read_call};
use crate::due;
use crate::once::{self, Seen};
use crate::platform::{Fault, IanaZone, SyncStorage, now, random_u32};
use crate::sql::{first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::wire::merge_patch;
use counterfoil_core::wire::{
    CampaignResource, CampaignStatus, InvalidRequest, NewCampaign, ProtocolError, RewardDefinition,
};
use futures_util::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;
use worker::{Delay, DurableObject, Env, Request, Response, State, durable_object};

pub(crate) const INSTANCE: &str = "/v1/campaigns/{campaign}";
/// Due-item that pushes rules to shards which did not take them.
pub(crate) const PUSH_ITEM: &str = "push";
/// Longest wait for a shard; it is pushed to again later.
const SHARD_WAIT: Duration = Duration::from_secs(8);

/// See the module.
#[durable_object(alarm)]
pub struct Campaign {
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    healed: due::Healed,
    name: RefCell<Option<String>>,
    audit: AuditLog,
}

/// The one document of a campaign.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) definition: NewCampaign,
    pub(crate) reward: RewardDefinition,
    pub(crate) status: CampaignStatus,
    pub(crate) version: u32,
    pub(crate) next_seq: u32,
    pub(crate) issued: u64,
}

impl DurableObject for Campaign {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let campaign =
            Self { env, storage, healed: due::Healed::default(), name: RefCell::new(None), audit: AuditLog::default() };
        if let Err(fault) = campaign.create_tables() {
            fault.log("campaign_failed");
        }
        campaign
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let answer = match read_call::<CampaignOp>(&mut request).await {
            Ok(call) => self.answer(&call.name, call.op).await,
            Err(fault) => Err(fault),
        };
        finish(answer, "campaign")
    }

    async fn alarm(&self) -> worker::Result<Response> {
        finish_alarm(self.ring().await)
    }
}

impl Campaign {
    fn create_tables(&self) -> Result<(), Fault> {
        for statement in [
            due::SCHEMA,
            once::SCHEMA[0],
            once::SCHEMA[1],
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS batches (
                n INTEGER PRIMARY KEY, batch_id TEXT NOT NULL UNIQUE, from_seq INTEGER NOT NULL UNIQUE,
                to_seq INTEGER NOT NULL CHECK (to_seq > from_seq), doc TEXT NOT NULL
            ) STRICT",
            "CREATE TABLE IF NOT EXISTS shards (shard INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT",
        ]
        .into_iter()
        .chain(audit_log::SCHEMA)
        {
            run(&self.storage, statement, &[])?;
        }
        *self.name.borrow_mut() = self.meta("name")?;
        Ok(())
    }

    async fn answer(&self, name: &str, op: CampaignOp) -> Result<Answer, Fault> {
        if self.name.borrow().is_none() && matches!(op, CampaignOp::Create { .. }) {
            self.set_meta("name", name)?;
            *self.name.borrow_mut() = Some(name.to_owned());
        }
        due::heal(&self.storage, &self.healed)?;
        let answer = self.act(op).await;
        audit_log::hurry(&self.storage)?;
        answer
    }

    async fn act(&self, op: CampaignOp) -> Result<Answer, Fault> {
        match op {
            CampaignOp::Create { definition, reward, by } => {
                self.storage.transaction(|| self.create(definition, reward, &by))?;
                let stored = self.stored()?.ok_or_else(|| Fault::new("a campaign was not stored"))?;
                let location = format!("/v1/campaigns/{}", stored.definition.campaign.unwrap_or_default());
                Ok(self.resource(201, &stored).await?.header("Location", location))
            }
            CampaignOp::Read => match self.stored()? {
                Some(stored) => self.resource(200, &stored).await,
                None => Answer::error(&ProtocolError::NotFound, INSTANCE),
            },
            CampaignOp::Patch { if_match, patch, reward, by } => {
                match self.decide(&by, "patch", || self.patch(if_match, &patch, reward, &by))? {
                    Ok(()) => self.changed().await,
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Reward { reward } => {
                if !self.storage.transaction(|| self.take_reward(reward))? {
                    return Answer::error(&ProtocolError::NotFound, INSTANCE);
                }
                self.push().await?;
                Answer::json(200, &serde_json::json!({}))
            }
            CampaignOp::ReadBatch { batch_id } => self.batch(&batch_id),
            CampaignOp::Move { to, by, once } => {
                match self.decide(&by, to.name(), || self.move_to(to, &by, once.as_ref()))? {
                    Ok(replayed) => {
                        let answer = self.changed().await?;
                        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
                    }
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Batch { new, epoch, by, once } => {
                let batch = self.decide(&by, "mint", || self.reserve(new, epoch, &by, once.as_ref()))?;
                match batch {
                    Ok(reserved) => {
                        self.push().await?;
                        Answer::json(200, &reserved)
                    }
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Batches(page) => self.batches(&page),
            CampaignOp::Pull { shard } => {
                let rules = self.storage.transaction(|| {
                    let Some(stored) = self.stored()? else { return Ok(None) };
                    // One that works by older rules has these only once it says so: the answer can be lost.
                    let statement = "INSERT INTO shards VALUES (?1, ?2) ON CONFLICT (shard) DO NOTHING";
                    run(&self.storage, statement, &[shard.into(), stored.version.into()])?;
                    self.rules(&stored).map(Some)
                })?;
                Answer::json(200, &Pulled { rules })
            }
            CampaignOp::Verify => self.verify().await,
        }
    }

    /// Runs a command in one transaction. A refused one leaves an audit entry, unless there is no such campaign.
    fn decide<T>(
        &self,
        by: &str,
        call: &str,
        command: impl FnOnce() -> Result<Result<T, ProtocolError>, Fault>,
    ) -> Result<Result<T, Answer>, Fault> {
        self.storage.transaction(|| match command()? {
            Ok(done) => Ok(Ok(done)),
            Err(error) => {
                if error != ProtocolError::NotFound {
                    self.note(&audit_log::refused(by, None, call, &error))?;
                }
                Answer::error(&error, INSTANCE).map(Err)
            }
        })
    }

    pub(crate) fn name(&self) -> Result<String, Fault> {
        self.name.borrow().clone().ok_or_else(|| Fault::new("a campaign without a name"))
    }

    /// Name of this object's audit chain, and its merchant.
    pub(crate) fn chain(&self) -> Result<(String, String), Fault> {
        let name = self.name()?;
        let (merchant, number) = name.split_once('/').ok_or_else(|| Fault::new("a campaign with a bad name"))?;
        Ok((format!("campaign/{number}"), merchant.to_owned()))
    }

    /// Adds to the audit chain. An entry without a subject is about this campaign.
    pub(crate) fn note(&self, draft: &Draft) -> Result<(), Fault> {
        let (chain, _) = self.chain()?;
        let subject = draft.subject.clone().or_else(|| chain.strip_prefix("campaign/").map(str::to_owned));
        let draft = Draft { subject, ..draft.clone() };
        audit_log::append(&self.storage, (&chain, false), &draft, None, vec![], vec![], now())
    }

    fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        first(&self.storage, "SELECT value FROM meta WHERE key = ?", &[key.into()])?.map(|row| row.text(0)).transpose()
    }

    fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        let statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
        run(&self.storage, statement, &[key.into(), value.into()]).map(drop)
    }

    pub(crate) fn stored(&self) -> Result<Option<Stored>, Fault> {
        Ok(self.meta("campaign")?.map(|text| counterfoil_core::json::read(&text)).transpose()?)
    }

    /// Writes a change together with the plan to push it: a crash before the push must not lose it.
    pub(crate) fn store(&self, stored: &Stored) -> Result<(), Fault> {
        self.set_meta("campaign", &serde_json::to_string(stored)?)?;
        if self.behind(stored.version)?.is_empty() { Ok(()) } else { plan_push(&self.storage) }
    }

    /// A repeated creation (the first answer was lost) changes nothing.
    fn create(&self, definition: NewCampaign, reward: RewardDefinition, by: &str) -> Result<(), Fault> {
        if self.stored()?.is_some() {
            return Ok(());
        }
        let stored = Stored { definition, reward, status: CampaignStatus::Draft, version: 1, next_seq: 0, issued: 0 };
        self.store(&stored)?;
        self.note(&Draft::new(by, "campaign.created").data(serde_json::to_value(&stored.definition)?))
    }

    /// RFC 7396 over the definition, then every check of a new one. Layout, kind and reward freeze with the
    /// first mint: codes are out.
    fn patch(
        &self,
        if_match: Option<u32>,
        patch: &serde_json::Value,
        reward: Option<RewardDefinition>,
        by: &str,
    ) -> Result<Result<(), ProtocolError>, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        let Some(if_match) = if_match else { return Ok(Err(ProtocolError::PreconditionRequired)) };
        if if_match != stored.version {
            return Ok(Err(ProtocolError::VersionMismatch));
        }
        if stored.status == CampaignStatus::Ended {
            return Ok(Err(illegal(stored.status)));
        }
        let mut merged = serde_json::to_value(&stored.definition)?;
        merge_patch(&mut merged, patch);
        let definition: NewCampaign = match counterfoil_core::wire::parse(&serde_json::to_vec(&merged)?) {
            Ok(definition) => definition,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        let old = &stored.definition;
        let mut errors = InvalidRequest::default();
        if definition.campaign != old.campaign {
            errors.add("campaign", "the number of a campaign never changes");
        }
        for (path, changed) in [
            ("profile", definition.profile != old.profile),
            ("kind", definition.kind != old.kind),
            ("reward_id", definition.reward_id != old.reward_id),
        ] {
            if changed && stored.issued > 0 {
                errors.add(path, "is fixed since codes were minted");
            }
        }
        let zone = IanaZone::named(&definition.time_zone);
        let reward = if definition.reward_id == old.reward_id { Some(stored.reward.clone()) } else { reward };
        let reward = reward.filter(|reward| reward.reward_id == definition.reward_id);
        let checked = definition.validate(reward.as_ref().map(|reward| reward.kind), zone.as_ref());
        if let Err(more) = checked {
            errors.0.extend(more.0);
        }
        if let Err(invalid) = errors.into_result() {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        if definition != stored.definition {
            stored.definition = definition;
            stored.reward = reward.unwrap_or(stored.reward);
            stored.version += 1;
            self.store(&stored)?;
            let data = json!({ "version": stored.version, "patch": patch });
            self.note(&Draft::new(by, "campaign.changed").data(data))?;
        }
        Ok(Ok(()))
    }

    /// The reward's definition has changed: from now on it is worth that. Never back to an older version. Answers
    /// whether there is a campaign: one that is still being created must be told again, for it may be created
    /// with the older definition.
    fn take_reward(&self, reward: RewardDefinition) -> Result<bool, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(false) };
        if reward.reward_id == stored.reward.reward_id && reward.version > stored.reward.version {
            stored.reward = reward;
            stored.version += 1;
            self.store(&stored)?;
            let reward = json!({ "reward_id": stored.reward.reward_id, "version": stored.reward.version });
            let data = json!({ "version": stored.version, "reward": reward });
            self.note(&Draft::new("system", "campaign.changed").data(data))?;
        }
        Ok(true)
    }

    /// Activate, pause, end. A move already made answers 200 and changes nothing. `Ok(true)` for a replay.
    fn move_to(&self, to: CampaignStatus, by: &str, once: Option<&Once>) -> Result<Result<bool, ProtocolError>, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        match once::seen(&self.storage, once, now())? {
            Seen::Same(_) => return Ok(Ok(true)),
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        if stored.status != to {
            if !stored.status.legal_moves().iter().any(|(_, reached)| *reached == to) {
                return Ok(Err(illegal(stored.status)));
            }
            stored.status = to;
            stored.version += 1;
            self.store(&stored)?;
            let action = match to {
                CampaignStatus::Active => "campaign.activated",
                CampaignStatus::Paused => "campaign.paused",
                CampaignStatus::Ended | CampaignStatus::Draft => "campaign.ended",
            };
            self.note(&Draft::new(by, action).data(json!({ "version": stored.version })))?;
        }
        once::keep(&self.storage, once, to.name(), now())?;
        Ok(Ok(false))
    }

    /// After a change: pushes it to every shard, and answers whether it is in force everywhere.
    async fn changed(&self) -> Result<Answer, Fault> {
        self.push().await?;
        let stored = self.stored()?.ok_or_else(|| Fault::new("a campaign is missing"))?;
        let status = if self.behind(stored.version)?.is_empty() { 200 } else { 202 };
        self.resource(status, &stored).await
    }

    pub(crate) fn behind(&self, version: u32) -> Result<Vec<u32>, Fault> {
        let rows = query(&self.storage, "SELECT shard FROM shards WHERE version < ?", &[version.into()])?;
        Ok(rows.iter().map(|row| row.number(0)).collect())
    }

    /// Pushes the present rules to the shards that work by older ones. What fails is tried again by the alarm.
    async fn push(&self) -> Result<(), Fault> {
        let Some(stored) = self.stored()? else { return Ok(()) };
        let rules = self.rules(&stored)?;
        let name = self.name()?;
        for shard in self.behind(stored.version)? {
            let op = ShardOp::Rules { rules: rules.clone() };
            let objects = Objects(&self.env);
            let asking = pin!(objects.shard(&name, shard, &op));
            let taken: Result<VersionAnswer, Fault> = match select(asking, pin!(Delay::from(SHARD_WAIT))).await {
                Either::Left((taken, _)) => taken,
                Either::Right(_) => Err(Fault::new("the shard did not answer in time")),
            };
            match taken {
                Ok(VersionAnswer { version }) => {
                    let statement = "UPDATE shards SET version = ?2 WHERE shard = ?1 AND version < ?2";
                    run(&self.storage, statement, &[shard.into(), version.into()])?;
                }
                Err(fault) => fault.log("push_failed"),
            }
        }
        // The rules may have changed meanwhile, and that push may have failed.
        let version = self.stored()?.map_or(stored.version, |stored| stored.version);
        if self.behind(version)?.is_empty() { due::done(&self.storage, PUSH_ITEM) } else { plan_push(&self.storage) }
    }

    async fn ring(&self) -> Result<(), Fault> {
        for item in due::take(&self.storage)? {
            due::survive(&self.storage, &item, self.take_up(&item).await);
        }
        due::rearm(&self.storage)
    }

    async fn take_up(&self, item: &str) -> Result<(), Fault> {
        match item {
            PUSH_ITEM => self.push().await.map(drop),
            REPORT_ITEM => {
                let (chain, merchant) = self.chain()?;
                self.audit.ring(&self.storage, &self.env, &merchant, &chain).await
            }
            _ => due::done(&self.storage, item),
        }
    }

    /// The campaign as read, with what its shards have counted.
    async fn resource(&self, status: u16, stored: &Stored) -> Result<Answer, Fault> {
        let name = self.name()?;
        let mut redeemed = 0;
        for row in query(&self.storage, "SELECT shard FROM shards", &[])? {
            let count: Count = Objects(&self.env).shard(&name, row.number(0), &ShardOp::Count).await?;
            redeemed += count.redeemed;
        }
        let mut definition = stored.definition.clone();
        if let Some(zone) = IanaZone::named(&definition.time_zone) {
            (definition.starts_at, definition.ends_at) = definition.instants(&zone);
        }
        let resource = CampaignResource {
            definition,
            status: stored.status,
            version: stored.version,
            in_force: self.behind(stored.version)?.is_empty(),
            issued: stored.issued,
            redeemed,
        };
        Ok(Answer::json(status, &resource)?.header("ETag", format!("\"{}\"", stored.version)))
    }
}

fn plan_push(storage: &SyncStorage) -> Result<(), Fault> {
    due::plan(storage, PUSH_ITEM, now().plus_ms(backoff_ms(0, random_u32())))
}

pub(crate) fn illegal(status: CampaignStatus) -> ProtocolError {
    let legal_moves = status.legal_moves().iter().map(|(call, _)| (*call).to_owned()).collect();
    ProtocolError::IllegalMove { state: status.name().to_owned(), legal_moves, unknown_outcome: false }
}
