//! Campaign: its definition in versions. Its shards, batches, recalls and notices are in the files beside this one.

use crate::answer::{Answer, finish, finish_alarm};
use crate::audit_log::{self, AuditLog, REPORT_ITEM};
use crate::breaker;
use crate::calls::{CampaignOp, Once, Pulled};
use crate::campaign_merchant::{InForce, TELL_ITEM};
use crate::campaign_portions::{self, Portions};
use crate::campaign_recalls;
use crate::campaign_shards::{self, PUSH_ITEM};
use crate::campaign_watch::{Told, WATCH_ITEM};
use crate::due;
use crate::objects::read_call;
use crate::once::{self, Seen};
use crate::platform::{Fault, IanaZone, SyncStorage, now};
use crate::sql::{self, Loaded, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::protocol::report::Outgoing;
use counterfoil_core::rules::SeqRange;
use counterfoil_core::wire::merge_patch;
use counterfoil_core::wire::{CampaignStatus, InvalidRequest, NewCampaign, ProtocolError, RewardDefinition};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::RefCell;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

pub(crate) const INSTANCE: &str = "/v1/campaigns/{campaign}";

/// See the module.
#[durable_object(alarm)]
pub struct Campaign {
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    loaded: Loaded,
    healed: due::Healed,
    name: RefCell<Option<String>>,
    audit: AuditLog,
    pub(crate) portions: Portions,
}

/// The one document of a campaign.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Stored {
    pub(crate) definition: NewCampaign,
    pub(crate) reward: RewardDefinition,
    pub(crate) status: CampaignStatus,
    /// Of the rules as shards have them: raised by mints and recalls too.
    pub(crate) version: u32,
    /// What administrators see as the version: raised by their changes of rules and status only, so that a shop which
    /// mints all day keeps nobody from making one.
    #[serde(default)]
    pub(crate) edition: u32,
    /// The version that set its limits as they are: a portion that was told by it counts, whatever changed since.
    #[serde(default)]
    pub(crate) limits_version: u32,
    pub(crate) next_seq: u32,
    pub(crate) issued: u64,
    /// The code that its aliases stand for.
    #[serde(default)]
    pub(crate) alias_seq: u32,
    /// It has had an alias.
    #[serde(default)]
    pub(crate) aliased: bool,
    /// It was active once.
    #[serde(default)]
    pub(crate) activated: bool,
    /// Epochs that the merchant revoked, ascending.
    #[serde(default)]
    pub(crate) revoked_epochs: Vec<u8>,
    /// Epochs whose keys a print shop has.
    #[serde(default)]
    pub(crate) exported_epochs: Vec<u8>,
    /// What was recalled, as a set.
    #[serde(default)]
    pub(crate) recalled: Vec<SeqRange>,
    /// How many days before its end it is announced; 0 for never.
    #[serde(default)]
    pub(crate) notify_days: u32,
    /// Which ends were announced and told.
    #[serde(default)]
    pub(crate) told: Told,
}

impl DurableObject for Campaign {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let (audit, portions) = (AuditLog::default(), Portions::default());
        let campaign = Self {
            env,
            storage,
            loaded: Loaded::default(),
            healed: due::Healed::default(),
            name: RefCell::new(None),
            audit,
            portions,
        };
        if let Err(fault) = campaign.ready() {
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
    /// Before anything else, in every call and alarm.
    fn ready(&self) -> Result<(), Fault> {
        self.loaded.ensure(|| self.create_tables())
    }

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
        ]
        .into_iter()
        .chain(audit_log::SCHEMA)
        .chain(campaign_shards::SCHEMA)
        .chain(campaign_recalls::SCHEMA)
        .chain(campaign_portions::SCHEMA)
        .chain(breaker::SCHEMA)
        {
            run(&self.storage, statement, &[])?;
        }
        *self.name.borrow_mut() = self.meta("name")?;
        Ok(())
    }

    async fn answer(&self, name: &str, op: CampaignOp) -> Result<Answer, Fault> {
        self.ready()?;
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
            CampaignOp::Create { definition, reward, alias_seq, revoked_epochs, notify_days, by } => {
                self.storage.transaction(|| {
                    let aliased = definition.aliases.is_some();
                    let status = CampaignStatus::Draft;
                    let stored = Stored {
                        definition,
                        reward,
                        status,
                        version: 1,
                        edition: 1,
                        limits_version: 1,
                        next_seq: 0,
                        issued: 0,
                        alias_seq,
                        aliased,
                        activated: false,
                        revoked_epochs,
                        exported_epochs: vec![],
                        recalled: vec![],
                        notify_days,
                        told: Told::default(),
                    };
                    self.create(&stored, &by)
                })?;
                self.tell().await?;
                let stored = self.stored()?.ok_or_else(|| Fault::new("a campaign was not stored"))?;
                let location = format!("/v1/campaigns/{}", stored.definition.campaign.unwrap_or_default());
                Ok(self.resource(201, &stored).await?.header("Location", location))
            }
            CampaignOp::Read => match self.stored()? {
                Some(stored) => self.resource(200, &stored).await,
                None => Answer::error(&ProtocolError::NotFound, INSTANCE),
            },
            CampaignOp::Patch { if_match, patch, reward, by } => {
                // Words are asked for before they are listed: what shards believe belongs to this campaign.
                let taken = match self.revised(if_match, &patch, reward.clone())? {
                    Ok(revised) => self.claim(&revised.definition).await?,
                    Err(_) => None,
                };
                let patched = self.decide(&by, "patch", || match taken {
                    Some(alias) => Ok(Err(ProtocolError::AlreadyExists { what: format!("The alias {alias}") })),
                    None => self.patch(if_match, &patch, reward, &by),
                })?;
                match patched {
                    Ok(()) => self.changed().await,
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Reward { reward } => {
                if !self.storage.transaction(|| self.take_reward(reward))? {
                    return Answer::error(&ProtocolError::NotFound, INSTANCE);
                }
                self.push().await?;
                Answer::json(200, &json!({}))
            }
            CampaignOp::Revoked { epochs } => {
                if !self.storage.transaction(|| self.take_revoked(&epochs))? {
                    return Answer::error(&ProtocolError::NotFound, INSTANCE);
                }
                self.push().await?;
                Answer::json(200, &InForce { in_force: self.in_force()? })
            }
            CampaignOp::Notice { days } => {
                if self.storage.transaction(|| self.take_notice(days))? {
                    Answer::json(200, &json!({}))
                } else {
                    Answer::error(&ProtocolError::NotFound, INSTANCE)
                }
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
            CampaignOp::Batch { new, epoch, after_seq, by, once } => {
                let batch = self.decide(&by, "mint", || self.reserve(new, epoch, after_seq, &by, once.as_ref()))?;
                match batch {
                    Ok(reserved) => {
                        if !reserved.replayed {
                            self.push().await?;
                        }
                        Answer::json(200, &reserved)
                    }
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Batches(page) => self.batches(&page),
            CampaignOp::Delivered { batch_id, count, seq } => {
                self.storage.transaction(|| self.delivered(&batch_id, count, seq))?;
                Answer::json(200, &json!({}))
            }
            CampaignOp::Recall { body, by, once } => {
                match self.decide(&by, "recall", || self.recall_codes(&body, &by, once.as_ref()))? {
                    Ok((recall_id, replayed)) => {
                        self.push().await?;
                        let answer = self.recall_answer(201, &recall_id)?;
                        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
                    }
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Recalls(page) => self.recalls(&page),
            CampaignOp::ReadRecall { recall_id } => self.recall_answer(200, &recall_id),
            CampaignOp::PrintKey { epoch, reason, by, once } => {
                match self.decide(&by, "print-key", || self.export_key(epoch, &reason, &by, once.as_ref()))? {
                    Ok(exported) => Answer::json(200, &exported),
                    Err(answer) => Ok(answer),
                }
            }
            CampaignOp::Portion(op) => self.portion(op).await,
            CampaignOp::Breaker(op) => breaker::answer(self, op).await,
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
    pub(crate) fn decide<T>(
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
        self.note_events(draft, vec![])
    }

    /// The same, with what webhook endpoints are told.
    pub(crate) fn note_events(&self, draft: &Draft, events: Vec<Outgoing>) -> Result<(), Fault> {
        let (chain, _) = self.chain()?;
        let subject = draft.subject.clone().or_else(|| chain.strip_prefix("campaign/").map(str::to_owned));
        let draft = Draft { subject, ..draft.clone() };
        audit_log::append(&self.storage, (&chain, false), &draft, None, events, vec![], now())
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, Fault> {
        sql::meta(&self.storage, key)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), Fault> {
        sql::set_meta(&self.storage, key, value)
    }

    pub(crate) fn stored(&self) -> Result<Option<Stored>, Fault> {
        Ok(self.meta("campaign")?.map(|text| counterfoil_core::json::read(&text)).transpose()?)
    }

    /// Writes a change together with the plans that follow from it: a crash before its shards and its merchant are told
    /// must not lose it.
    pub(crate) fn store(&self, stored: &Stored) -> Result<(), Fault> {
        self.set_meta("campaign", &serde_json::to_string(stored)?)?;
        self.watch(stored)?;
        self.plan_tell(stored)?;
        if self.behind(stored.version)?.is_empty() { Ok(()) } else { self.plan_push() }
    }

    /// A repeated creation (the first answer was lost) changes nothing.
    fn create(&self, stored: &Stored, by: &str) -> Result<(), Fault> {
        if self.stored()?.is_some() {
            return Ok(());
        }
        self.store(stored)?;
        self.note(&Draft::new(by, "campaign.created").data(serde_json::to_value(&stored.definition)?))
    }

    /// What a patch makes of the campaign: RFC 7396 over the definition, then every check of a new one. Layout, kind and
    /// reward freeze with the first mint: codes are out.
    fn revised(
        &self,
        if_match: Option<u32>,
        patch: &serde_json::Value,
        reward: Option<RewardDefinition>,
    ) -> Result<Result<Stored, ProtocolError>, Fault> {
        let Some(stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        let Some(if_match) = if_match else { return Ok(Err(ProtocolError::PreconditionRequired)) };
        if if_match != stored.edition {
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
        let minted = stored.issued > 0;
        for (path, changed, frozen) in [
            // Part of the keys that a print shop has.
            ("profile", definition.profile != old.profile, minted || !stored.exported_epochs.is_empty()),
            ("kind", definition.kind != old.kind, minted || stored.activated && stored.aliased),
            ("reward_id", definition.reward_id != old.reward_id, minted),
        ] {
            if changed && frozen {
                errors.add(path, "is fixed since codes were minted");
            }
        }
        if definition.expected_rate != old.expected_rate && (minted || stored.activated) {
            errors.add("expected_rate", "is fixed since codes were minted or the campaign was activated");
        }
        let zone = IanaZone::named(&definition.time_zone);
        let reward = if definition.reward_id == old.reward_id { Some(stored.reward.clone()) } else { reward };
        let reward = reward.filter(|reward| reward.reward_id == definition.reward_id);
        if let Err(more) = definition.validate(reward.as_ref(), zone.as_ref()) {
            errors.0.extend(more.0);
        }
        if let Err(invalid) = errors.into_result() {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        let aliased = stored.aliased || definition.aliases.is_some();
        let reward = reward.unwrap_or_else(|| stored.reward.clone());
        Ok(Ok(Stored { definition, reward, aliased, ..stored }))
    }

    fn patch(
        &self,
        if_match: Option<u32>,
        patch: &serde_json::Value,
        reward: Option<RewardDefinition>,
        by: &str,
    ) -> Result<Result<(), ProtocolError>, Fault> {
        let mut revised = match self.revised(if_match, patch, reward)? {
            Ok(revised) => revised,
            Err(error) => return Ok(Err(error)),
        };
        if self.stored()?.is_some_and(|stored| stored.definition != revised.definition) {
            revised.version += 1;
            revised.edition += 1;
            if self.stored()?.is_some_and(|stored| stored.definition.limits != revised.definition.limits) {
                revised.limits_version = revised.version;
            }
            self.store(&revised)?;
            let data = json!({ "version": revised.edition, "patch": patch });
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
            let data = json!({ "reward": reward });
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
            stored.activated |= to == CampaignStatus::Active;
            stored.version += 1;
            stored.edition += 1;
            let action = match to {
                CampaignStatus::Active => "campaign.activated",
                CampaignStatus::Paused => "campaign.paused",
                CampaignStatus::Ended | CampaignStatus::Draft => "campaign.ended",
            };
            let events = if to == CampaignStatus::Ended { self.ended_by_hand(&mut stored)? } else { vec![] };
            self.store(&stored)?;
            self.note_events(&Draft::new(by, action).data(json!({ "version": stored.edition })), events)?;
        }
        once::keep(&self.storage, once, to.name(), now())?;
        Ok(Ok(false))
    }

    /// After a change: tells every shard and the merchant, and answers whether it is in force everywhere.
    async fn changed(&self) -> Result<Answer, Fault> {
        self.push().await?;
        self.tell().await?;
        let stored = self.stored()?.ok_or_else(|| Fault::new("a campaign is missing"))?;
        let status = if self.in_force()? { 200 } else { 202 };
        self.resource(status, &stored).await
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
            PUSH_ITEM => self.push().await,
            TELL_ITEM => self.tell().await,
            breaker::TELL_ITEM => breaker::tell(self).await,
            WATCH_ITEM => {
                self.storage.transaction(|| self.announce())?;
                audit_log::hurry(&self.storage)
            }
            REPORT_ITEM => {
                let (chain, merchant) = self.chain()?;
                self.audit.ring(&self.storage, &self.env, &merchant, &chain).await
            }
            _ => due::done(&self.storage, item),
        }
    }
}

pub(crate) fn illegal(status: CampaignStatus) -> ProtocolError {
    let legal_moves = status.legal_moves().iter().map(|(call, _)| (*call).to_owned()).collect();
    ProtocolError::IllegalMove { state: status.name().to_owned(), legal_moves, unknown_outcome: false }
}

/// A move that the campaign's status is not the obstacle of.
pub(crate) fn illegal_state(state: &str) -> ProtocolError {
    ProtocolError::IllegalMove { state: state.to_owned(), legal_moves: vec![], unknown_outcome: false }
}
