//! Merchant: reward definitions and the list of campaigns. One object under a reserved name keeps the
//! environment's root check values.

use crate::answer::{Answer, finish, finish_alarm};
use crate::audit_log::{self, AuditLog, REPORT_ITEM};
use crate::calls::{Once, PageQuery};
use crate::due;
use crate::endpoint_calls::EndpointOp;
use crate::endpoints::{self, Endpoints};
use crate::endpoints_store::{self, Store, WAKE_ITEM};
use crate::gate;
use crate::merchant_aliases;
use crate::merchant_api_keys;
use crate::merchant_calls::{MerchantOp, Months, PoolEnrolment, PoolsPage, RootsAnswer};
use crate::merchant_campaigns::{CAMPAIGNS_ITEM, PUSH_ITEM};
use crate::merchant_keys;
use crate::merchant_settings::{self, LISTED_ITEM};
use crate::objects::{Objects, read_call, within};
use crate::once::{self, Seen};
use crate::platform::{Fault, SyncStorage, now, random};
use crate::recorder_calls::{RecorderOp, recorder_name};
use crate::sql::{Loaded, first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::protocol::report::month_of;
use counterfoil_core::wire::{
    InvalidRequest, NewPool, NewRewardDefinition, Page, ProtocolError, RewardDefinition, merge_patch, parse,
};
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::time::Duration;
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// Name of the object that keeps the root check values; no merchant can have it.
pub(crate) const ENVIRONMENT_OBJECT: &str = "@environment";
const INSTANCE_DEFINITIONS: &str = "/v1/reward-definitions";
const INSTANCE_DEFINITION: &str = "/v1/reward-definitions/{reward_id}";
const DEFINITIONS: &str = "SELECT n, doc FROM definitions WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
const FOR_SALE: &str = "SELECT n, doc FROM definitions WHERE (?1 IS NULL OR n < ?1)
    AND (json_extract(doc, '$.points_cost') IS NOT NULL OR json_extract(doc, '$.prices') IS NOT NULL)
    ORDER BY n DESC LIMIT ?2";
/// Most rewards that a till looks through for a member.
const FOR_SALE_MAX: u32 = 1_000;
/// Longest wait for a Recorder, which would find out by itself within seconds.
const RECORDER_WAIT: Duration = Duration::from_secs(2);
/// Name of this object's audit chain.
pub(crate) const CHAIN: &str = "merchant";
const INSTANCE_CAMPAIGNS: &str = "/v1/campaigns";
const INSTANCE_POOLS: &str = "/v1/pools";

/// An answer, or why there is none; a fault is a failure to decide.
pub(crate) type Decided = Result<Result<Answer, ProtocolError>, Fault>;

/// See the module.
#[durable_object(alarm)]
pub struct Merchant {
    pub(crate) env: Env,
    pub(crate) storage: SyncStorage,
    loaded: Loaded,
    healed: due::Healed,
    name: RefCell<Option<String>>,
    endpoints: Endpoints,
    audit: AuditLog,
    /// The environment's object knows of this merchant, or is about to be told.
    listed: Cell<bool>,
}

impl DurableObject for Merchant {
    fn new(state: State, env: Env) -> Self {
        let storage = SyncStorage::of(&state);
        let (endpoints, audit) = (Endpoints::default(), AuditLog::default());
        let (name, listed) = (RefCell::new(None), Cell::new(false));
        let merchant = Self {
            env,
            storage,
            loaded: Loaded::default(),
            healed: due::Healed::default(),
            name,
            endpoints,
            audit,
            listed,
        };
        if let Err(fault) = merchant.ready() {
            fault.log("merchant_failed");
        }
        merchant
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let answer = match read_call::<MerchantOp>(&mut request).await {
            Ok(call) => self.answer(&call.name, call.op).await,
            Err(fault) => Err(fault),
        };
        finish(answer, "merchant")
    }

    async fn alarm(&self) -> worker::Result<Response> {
        finish_alarm(self.ring().await)
    }
}

impl Merchant {
    /// Before anything else, in every call and alarm.
    fn ready(&self) -> Result<(), Fault> {
        self.loaded.ensure(|| self.create())
    }

    fn create(&self) -> Result<(), Fault> {
        for statement in [
            due::SCHEMA,
            once::SCHEMA[0],
            once::SCHEMA[1],
            "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS roots (epoch INTEGER PRIMARY KEY, kcv TEXT NOT NULL) STRICT",
            "CREATE TABLE IF NOT EXISTS definitions (
                n INTEGER PRIMARY KEY, reward_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, doc TEXT NOT NULL
            ) STRICT",
            "CREATE TABLE IF NOT EXISTS campaigns (
                n INTEGER PRIMARY KEY, campaign INTEGER NOT NULL UNIQUE CHECK (campaign BETWEEN 1 AND 65535)
            ) STRICT",
            // Which campaigns are told of which reward's changes, and up to which version they were.
            "CREATE TABLE IF NOT EXISTS bindings (
                reward_id TEXT NOT NULL, campaign INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (reward_id, campaign)
            ) STRICT, WITHOUT ROWID",
            "CREATE TABLE IF NOT EXISTS pools (n INTEGER PRIMARY KEY, pool_id TEXT NOT NULL UNIQUE) STRICT",
            // Months that have a Recorder.
            "CREATE TABLE IF NOT EXISTS months (month TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
        ] {
            run(&self.storage, statement, &[])?;
        }
        for statement in endpoints_store::SCHEMA
            .into_iter()
            .chain(audit_log::SCHEMA)
            .chain(merchant_settings::SCHEMA)
            .chain(merchant_api_keys::SCHEMA)
            .chain(merchant_aliases::SCHEMA)
            .chain(merchant_keys::SCHEMA)
            .chain(gate::SCHEMA)
        {
            run(&self.storage, statement, &[])?;
        }
        let name = first(&self.storage, "SELECT value FROM meta WHERE key = 'name'", &[])?;
        *self.name.borrow_mut() = name.map(|row| row.text(0)).transpose()?;
        Ok(())
    }

    async fn answer(&self, name: &str, op: MerchantOp) -> Result<Answer, Fault> {
        self.ready()?;
        if self.name.borrow().is_none() {
            run(&self.storage, "INSERT INTO meta VALUES ('name', ?) ON CONFLICT DO NOTHING", &[name.into()])?;
            *self.name.borrow_mut() = Some(name.to_owned());
        }
        due::heal(&self.storage, &self.healed)?;
        if name != ENVIRONMENT_OBJECT && !self.listed.get() {
            merchant_settings::enlist(&self.storage)?;
            self.listed.set(true);
        }
        let answer = self.act(op).await;
        audit_log::hurry(&self.storage)?;
        answer
    }

    pub(crate) fn name(&self) -> Result<String, Fault> {
        self.name.borrow().clone().ok_or_else(|| Fault::new("a merchant without a name"))
    }

    async fn act(&self, op: MerchantOp) -> Result<Answer, Fault> {
        match op {
            MerchantOp::CheckRoots { values } => self.storage.transaction(|| self.check_roots(&values)),
            MerchantOp::Define { new, by, once } => {
                let reward_id = new.reward_id.clone();
                self.decide(&by, reward_id, INSTANCE_DEFINITIONS, || self.define(new, &by, once.as_ref()))
            }
            MerchantOp::Definition { reward_id } => match self.definition(&reward_id)? {
                Some(definition) => Ok(Answer::json(200, &definition)?.header("ETag", etag(&definition))),
                None => Answer::error(&ProtocolError::NotFound, INSTANCE_DEFINITION),
            },
            MerchantOp::PatchDefinition { reward_id, if_match, patch, by } => {
                let answer = self.decide(&by, Some(reward_id.clone()), INSTANCE_DEFINITION, || {
                    self.patch_definition(&reward_id, if_match, &patch, &by)
                })?;
                self.push().await?;
                Ok(answer)
            }
            MerchantOp::Bind { campaign, reward_id } => self.storage.transaction(|| {
                let Some(definition) = self.definition(&reward_id)? else {
                    return Answer::error(&ProtocolError::NotFound, INSTANCE_CAMPAIGNS);
                };
                self.bind(campaign, &definition)?;
                Answer::json(200, &definition)
            }),
            MerchantOp::Definitions(page) => self.definitions(DEFINITIONS, &page),
            MerchantOp::ForSale => {
                let page = PageQuery { before: None, limit: FOR_SALE_MAX };
                Answer::json(200, &self.definitions_page(FOR_SALE, &page)?.items)
            }
            MerchantOp::ForSalePage(page) => self.definitions(FOR_SALE, &page),
            MerchantOp::Enrol { definition, by, once } => {
                let campaign = definition.campaign.map(|number| number.to_string());
                self.decide(&by, campaign, INSTANCE_CAMPAIGNS, || self.enrol(definition, once.as_ref()))
            }
            MerchantOp::Gate => gate::answer(&self.storage),
            MerchantOp::Tripped { campaign, version, keys } => gate::tripped(&self.storage, campaign, version, &keys),
            MerchantOp::Existing { campaigns } => gate::existing(&self.storage, &campaigns),
            MerchantOp::Alias { alias } => Answer::json(200, &merchant_aliases::target(&self.storage, &alias)?),
            MerchantOp::Aliases(op) => merchant_aliases::answer(&self.storage, op),
            MerchantOp::Keys(op) => self.keys(op),
            MerchantOp::Enrolled(page) => self.enrolled(&page),
            MerchantOp::EnrolPool { new, by, once } => {
                let pool_id = new.pool_id.clone();
                self.decide(&by, pool_id, INSTANCE_POOLS, || self.enrol_pool(new, once.as_ref()))
            }
            MerchantOp::Pools(page) => self.pools(&page),
            MerchantOp::Endpoint(op) => {
                let subscriptions = matches!(op, EndpointOp::Create { .. } | EndpointOp::Delete { .. });
                let answer = self.endpoints.answer(&self.storage, op)?;
                if subscriptions {
                    self.tell_recorder().await?;
                }
                Ok(answer)
            }
            MerchantOp::RecorderBorn { month } => {
                run(&self.storage, "INSERT INTO months VALUES (?) ON CONFLICT DO NOTHING", &[(&month).into()])?;
                Ok(Answer::empty(204))
            }
            MerchantOp::ApiKey(op) => merchant_api_keys::answer(&self.storage, op),
            MerchantOp::Settings => merchant_settings::read(&self.storage),
            MerchantOp::PatchSettings { if_match, patch, by } => {
                let subject = Some("settings".to_owned());
                let answer = self.decide(&by, subject, merchant_settings::INSTANCE, || {
                    merchant_settings::patch(&self.storage, if_match, &patch, &by)
                })?;
                self.plan_campaigns()?;
                Ok(answer)
            }
            MerchantOp::MerchantBorn { merchant } => merchant_settings::born(&self.storage, &merchant),
            MerchantOp::Merchants { after, limit } => merchant_settings::merchants(&self.storage, &after, limit),
            MerchantOp::Months => {
                let rows = query(&self.storage, "SELECT month FROM months ORDER BY month DESC", &[])?;
                let months = rows.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?;
                Answer::json(200, &Months { months })
            }
        }
    }

    /// Runs an administrator's command in one transaction. A refused one leaves an audit entry, unless it was about
    /// nothing that there is.
    pub(crate) fn decide(
        &self,
        by: &str,
        subject: Option<String>,
        instance: &'static str,
        command: impl FnOnce() -> Decided,
    ) -> Result<Answer, Fault> {
        self.storage.transaction(|| match command()? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error != ProtocolError::NotFound {
                    self.note(&audit_log::refused(by, subject, instance, &error))?;
                }
                Answer::error(&error, instance)
            }
        })
    }

    pub(crate) fn note(&self, draft: &Draft) -> Result<(), Fault> {
        audit_log::append(&self.storage, (CHAIN, false), draft, None, vec![], vec![], now())
    }

    /// Who subscribes to what has changed: an event that is reported from now on must find its endpoint.
    async fn tell_recorder(&self) -> Result<(), Fault> {
        let (objects, name) = (Objects(&self.env), recorder_name(&self.name()?, &month_of(now())));
        let telling = objects.recorder::<serde_json::Value>(&name, &RecorderOp::Subscribed);
        if let Err(fault) = within(RECORDER_WAIT, "the recorder", telling).await {
            // It asks again within seconds.
            fault.log("recorder_untold");
        }
        Ok(())
    }

    /// First use stores a root's check value; later uses must show the same.
    fn check_roots(&self, values: &[(u8, String)]) -> Result<Answer, Fault> {
        let mut mismatched = vec![];
        for (epoch, kcv) in values {
            let row = first(&self.storage, "SELECT kcv FROM roots WHERE epoch = ?", &[u32::from(*epoch).into()])?;
            match row.map(|row| row.text(0)).transpose()? {
                Some(stored) if stored != *kcv => mismatched.push(*epoch),
                Some(_) => {}
                None => {
                    run(&self.storage, "INSERT INTO roots VALUES (?, ?)", &[u32::from(*epoch).into(), kcv.into()])?;
                }
            }
        }
        Answer::json(200, &RootsAnswer { mismatched })
    }

    pub(crate) fn definition(&self, reward_id: &str) -> Result<Option<RewardDefinition>, Fault> {
        let row = first(&self.storage, "SELECT doc FROM definitions WHERE reward_id = ?", &[reward_id.into()])?;
        row.map(|row| row.json(0)).transpose()
    }

    fn define(&self, new: NewRewardDefinition, by: &str, once: Option<&Once>) -> Decided {
        match once::seen(&self.storage, once, now())? {
            Seen::Same(reward_id) => {
                let definition = self.definition(&reward_id)?.ok_or_else(|| Fault::new("a definition is missing"))?;
                return Ok(Ok(Self::defined(&definition)?.header("Idempotent-Replayed", "true")));
            }
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        let definition = match new.define(&format!("reward-{}", hex::encode(&random::<6>()))) {
            Ok(definition) => definition,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        if let Some(invalid) = self.unknown_part(&definition)? {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        let doc = serde_json::to_string(&definition)?;
        let inserted = run(
            &self.storage,
            "INSERT INTO definitions (reward_id, version, doc) VALUES (?, 1, ?) ON CONFLICT DO NOTHING RETURNING n",
            &[(&definition.reward_id).into(), (&doc).into()],
        )?;
        if !inserted {
            let what = format!("A reward definition {}", definition.reward_id);
            return Ok(Err(ProtocolError::AlreadyExists { what }));
        }
        once::keep(&self.storage, once, &definition.reward_id, now())?;
        let draft = Draft::new(by, "definition.created").subject(&definition.reward_id);
        self.note(&draft.data(serde_json::to_value(&definition)?))?;
        Self::defined(&definition).map(Ok)
    }

    /// A definition may name only an endpoint and a pool that there are: rewards of it could never be given.
    fn unknown_part(&self, definition: &RewardDefinition) -> Result<Option<InvalidRequest>, Fault> {
        if let Some(endpoint_id) = definition.mechanic.endpoint()
            && Store(&self.storage).endpoint(endpoint_id)?.is_none()
        {
            return Ok(Some(InvalidRequest::one("mechanic.endpoint_id", "no such webhook endpoint")));
        }
        let Some(pool_id) = &definition.pool_id else { return Ok(None) };
        let known = run(&self.storage, "SELECT 1 FROM pools WHERE pool_id = ?", &[pool_id.into()])?;
        Ok((!known).then(|| InvalidRequest::one("pool_id", "no such pool")))
    }

    fn defined(definition: &RewardDefinition) -> Result<Answer, Fault> {
        Ok(Answer::json(201, definition)?
            .header("Location", format!("{INSTANCE_DEFINITIONS}/{}", definition.reward_id)))
    }

    /// A new version counts for every redemption after the campaigns that give it have been told.
    fn patch_definition(&self, reward_id: &str, if_match: Option<u32>, patch: &serde_json::Value, by: &str) -> Decided {
        let Some(definition) = self.definition(reward_id)? else { return Ok(Err(ProtocolError::NotFound)) };
        let Some(if_match) = if_match else { return Ok(Err(ProtocolError::PreconditionRequired)) };
        if if_match != definition.version {
            return Ok(Err(ProtocolError::VersionMismatch));
        }
        let mut merged = serde_json::to_value(definition.editable())?;
        merge_patch(&mut merged, patch);
        let revised = parse(&serde_json::to_vec(&merged)?).and_then(|body| definition.revise(body));
        let mut revised = match revised {
            Ok(revised) => revised,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        if let Some(invalid) = self.unknown_part(&revised)? {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        if revised.pool_id.is_some() && merchant_aliases::is_given_by_s16(&self.storage, reward_id)? {
            let reason = "a campaign of S16 codes gives it, whose tags are too short for promo codes";
            return Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("pool_id", reason))));
        }
        revised.version = definition.version;
        if revised != definition {
            revised.version += 1;
            let doc = serde_json::to_string(&revised)?;
            let statement = "UPDATE definitions SET version = ?2, doc = ?3 WHERE reward_id = ?1";
            run(&self.storage, statement, &[reward_id.into(), revised.version.into(), (&doc).into()])?;
            due::plan(&self.storage, PUSH_ITEM, now())?;
            let data = json!({ "version": revised.version, "patch": patch });
            self.note(&Draft::new(by, "definition.changed").subject(reward_id).data(data))?;
        }
        Ok(Ok(Answer::json(200, &revised)?.header("ETag", etag(&revised))))
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
            CAMPAIGNS_ITEM => self.tell_campaigns().await,
            WAKE_ITEM => endpoints::wake(&self.storage, &self.env, &self.name()?).await,
            LISTED_ITEM => merchant_settings::tell_environment(&self.storage, &self.env, &self.name()?).await,
            REPORT_ITEM => self.audit.ring(&self.storage, &self.env, &self.name()?, CHAIN).await,
            _ => due::done(&self.storage, item),
        }
    }

    fn definitions(&self, statement: &'static str, page: &PageQuery) -> Result<Answer, Fault> {
        Answer::json(200, &self.definitions_page(statement, page)?)
    }

    fn definitions_page(&self, statement: &'static str, page: &PageQuery) -> Result<Page<RewardDefinition>, Fault> {
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let items = rows.iter().map(|row| row.json(1)).collect::<Result<_, _>>()?;
        Ok(Page { items, next_cursor })
    }

    /// Gives a pool its id: the given one, or a random one. Its own object keeps the rest.
    fn enrol_pool(&self, new: NewPool, once: Option<&Once>) -> Decided {
        let (fallback, replayed) = match once::seen(&self.storage, once, now())? {
            Seen::Same(pool_id) => (pool_id, true),
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => (format!("pool-{}", hex::encode(&random::<6>())), false),
        };
        let new = match new.checked(&fallback) {
            Ok(new) => new,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        let pool_id = new.pool_id.clone().unwrap_or_default();
        if !replayed {
            let statement = "INSERT INTO pools (pool_id) VALUES (?) ON CONFLICT DO NOTHING RETURNING n";
            if !run(&self.storage, statement, &[(&pool_id).into()])? {
                return Ok(Err(ProtocolError::AlreadyExists { what: format!("A pool {pool_id}") }));
            }
            once::keep(&self.storage, once, &pool_id, now())?;
        }
        Answer::json(200, &PoolEnrolment { new, replayed }).map(Ok)
    }

    fn pools(&self, page: &PageQuery) -> Result<Answer, Fault> {
        let statement = "SELECT n, pool_id FROM pools WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let pools = rows.iter().map(|row| row.text(1)).collect::<Result<_, _>>()?;
        Answer::json(200, &PoolsPage { pools, next_cursor })
    }
}

fn etag(definition: &RewardDefinition) -> String {
    format!("\"{}\"", definition.version)
}

/// Cuts rows that were read one too far; answers the cursor of the next page. Column 0 is the row's number.
pub(crate) fn cut(rows: &mut Vec<crate::sql::Row>, limit: u32) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(|row| row.count(0).to_string())
}
