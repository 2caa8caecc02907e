//! Merchant: reward definitions and the list of campaigns. One object under a reserved name keeps the
//! environment's root check values.

use crate::answer::Answer;
use crate::calls::{EnrolledPage, Enrolment, MerchantOp, Once, PageQuery, RootsAnswer, read_call};
use crate::once::{self, Seen};
use crate::platform::{Fault, IanaZone, SyncStorage, now, random, random_u32};
use crate::sql::{first, query, run};
use counterfoil_core::hex;
use counterfoil_core::wire::{InvalidRequest, NewCampaign, NewRewardDefinition, Page, ProtocolError, RewardDefinition};
use worker::{DurableObject, Env, Request, Response, State, durable_object};

/// Name of the object that keeps the root check values; no merchant can have it.
pub(crate) const ENVIRONMENT_OBJECT: &str = "@environment";
/// Random campaign numbers tried before the next free one is searched.
const NUMBERS_TRIED: u32 = 32;
const INSTANCE_DEFINITIONS: &str = "/v1/reward-definitions";
const INSTANCE_CAMPAIGNS: &str = "/v1/campaigns";

/// See the module.
#[durable_object]
pub struct Merchant {
    storage: SyncStorage,
}

impl DurableObject for Merchant {
    fn new(state: State, _env: Env) -> Self {
        let merchant = Self { storage: SyncStorage::of(&state) };
        if let Err(fault) = merchant.create() {
            worker::console_error!("{}", fault.0);
        }
        merchant
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let answer = match read_call::<MerchantOp>(&mut request).await {
            Ok(call) => self.answer(call.op),
            Err(fault) => Err(fault),
        };
        let answer = answer.unwrap_or_else(|fault| Answer::fault(&fault, "merchant"));
        answer.into_response().map_err(|fault| worker::Error::RustError(fault.0))
    }
}

impl Merchant {
    fn create(&self) -> Result<(), Fault> {
        for statement in [
            once::SCHEMA,
            "CREATE TABLE IF NOT EXISTS roots (epoch INTEGER PRIMARY KEY, kcv TEXT NOT NULL) STRICT",
            "CREATE TABLE IF NOT EXISTS definitions (
                n INTEGER PRIMARY KEY, reward_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, doc TEXT NOT NULL
            ) STRICT",
            "CREATE TABLE IF NOT EXISTS campaigns (
                n INTEGER PRIMARY KEY, campaign INTEGER NOT NULL UNIQUE CHECK (campaign BETWEEN 1 AND 65535),
                reward_id TEXT NOT NULL
            ) STRICT",
        ] {
            run(&self.storage, statement, &[])?;
        }
        Ok(())
    }

    fn answer(&self, op: MerchantOp) -> Result<Answer, Fault> {
        match op {
            MerchantOp::CheckRoots { values } => self.storage.transaction(|| self.check_roots(&values)),
            MerchantOp::Define { new, once } => self.storage.transaction(|| self.define(new, once.as_ref())),
            MerchantOp::Definition { reward_id } => match self.definition(&reward_id)? {
                Some(definition) => Answer::json(200, &definition),
                None => Answer::error(&ProtocolError::NotFound, "/v1/reward-definitions/{reward_id}"),
            },
            MerchantOp::Definitions(page) => self.definitions(&page),
            MerchantOp::Enrol { definition, once } => {
                self.storage.transaction(|| self.enrol(definition, once.as_ref()))
            }
            MerchantOp::Enrolled(page) => self.enrolled(&page),
        }
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

    fn definition(&self, reward_id: &str) -> Result<Option<RewardDefinition>, Fault> {
        let row = first(&self.storage, "SELECT doc FROM definitions WHERE reward_id = ?", &[reward_id.into()])?;
        row.map(|row| row.json(0)).transpose()
    }

    fn define(&self, new: NewRewardDefinition, once: Option<&Once>) -> Result<Answer, Fault> {
        match once::seen(&self.storage, once, now())? {
            Seen::Same(reward_id) => {
                let definition = self.definition(&reward_id)?.ok_or_else(|| Fault::new("a definition is missing"))?;
                return Ok(Self::defined(&definition)?.header("Idempotent-Replayed", "true"));
            }
            Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, INSTANCE_DEFINITIONS),
            Seen::New => {}
        }
        let definition = match new.define(&format!("reward-{}", hex::encode(&random::<6>()))) {
            Ok(definition) => definition,
            Err(invalid) => return Answer::invalid(invalid, INSTANCE_DEFINITIONS),
        };
        let doc = serde_json::to_string(&definition)?;
        let inserted = run(
            &self.storage,
            "INSERT INTO definitions (reward_id, version, doc) VALUES (?, 1, ?) ON CONFLICT DO NOTHING RETURNING n",
            &[(&definition.reward_id).into(), (&doc).into()],
        )?;
        if !inserted {
            let what = format!("A reward definition {}", definition.reward_id);
            return Answer::error(&ProtocolError::AlreadyExists { what }, INSTANCE_DEFINITIONS);
        }
        once::keep(&self.storage, once, &definition.reward_id, now())?;
        Self::defined(&definition)
    }

    fn defined(definition: &RewardDefinition) -> Result<Answer, Fault> {
        Ok(Answer::json(201, definition)?
            .header("Location", format!("{INSTANCE_DEFINITIONS}/{}", definition.reward_id)))
    }

    fn definitions(&self, page: &PageQuery) -> Result<Answer, Fault> {
        let statement = "SELECT n, doc FROM definitions WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let items = rows.iter().map(|row| row.json(1)).collect::<Result<Vec<RewardDefinition>, _>>()?;
        Answer::json(200, &Page { items, next_cursor })
    }

    /// Checks a campaign and gives it its number: the given one, or a random free one.
    fn enrol(&self, mut definition: NewCampaign, once: Option<&Once>) -> Result<Answer, Fault> {
        let reward = self.definition(&definition.reward_id)?;
        let replayed = match once::seen(&self.storage, once, now())? {
            Seen::Same(campaign) => {
                definition.campaign = campaign.parse().ok();
                true
            }
            Seen::Other => return Answer::error(&ProtocolError::IdempotencyKeyReused, INSTANCE_CAMPAIGNS),
            Seen::New => false,
        };
        let zone = IanaZone::named(&definition.time_zone);
        if let Err(invalid) = definition.validate(reward.as_ref().map(|reward| reward.kind), zone.as_ref()) {
            return Answer::invalid(invalid, INSTANCE_CAMPAIGNS);
        }
        let Some(reward) = reward else {
            let invalid = InvalidRequest::one("reward_id", "no such reward definition");
            return Answer::invalid(invalid, INSTANCE_CAMPAIGNS);
        };
        if !replayed {
            let number = match definition.campaign {
                Some(number) => self.claim(number, &definition.reward_id)?.then_some(number),
                None => self.claim_any(definition.profile.campaign_max(), &definition.reward_id)?,
            };
            let Some(number) = number else {
                let what = definition.campaign.map_or_else(
                    || "Every campaign number of this profile".to_owned(),
                    |number| format!("A campaign {number}"),
                );
                return Answer::error(&ProtocolError::AlreadyExists { what }, INSTANCE_CAMPAIGNS);
            };
            definition.campaign = Some(number);
            once::keep(&self.storage, once, &number.to_string(), now())?;
        }
        Answer::json(200, &Enrolment { definition, reward, replayed })
    }

    fn claim(&self, campaign: u16, reward_id: &str) -> Result<bool, Fault> {
        let statement = "INSERT INTO campaigns (campaign, reward_id) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING n";
        run(&self.storage, statement, &[u32::from(campaign).into(), reward_id.into()])
    }

    /// A random number, so that numbers tell nothing; when the space is nearly full, the lowest free one.
    fn claim_any(&self, max: u16, reward_id: &str) -> Result<Option<u16>, Fault> {
        for _ in 0..NUMBERS_TRIED {
            let number = u16::try_from(random_u32() % u32::from(max)).unwrap_or_default() + 1;
            if self.claim(number, reward_id)? {
                return Ok(Some(number));
            }
        }
        let taken = query(&self.storage, "SELECT campaign FROM campaigns ORDER BY campaign", &[])?;
        let taken: std::collections::HashSet<u32> = taken.iter().map(|row| row.number(0)).collect();
        match (1..=max).find(|number| !taken.contains(&u32::from(*number))) {
            Some(number) => Ok(self.claim(number, reward_id)?.then_some(number)),
            None => Ok(None),
        }
    }

    fn enrolled(&self, page: &PageQuery) -> Result<Answer, Fault> {
        let statement = "SELECT n, campaign FROM campaigns WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let campaigns = rows.iter().filter_map(|row| u16::try_from(row.number(1)).ok()).collect();
        Answer::json(200, &EnrolledPage { campaigns, next_cursor })
    }
}

/// Cuts rows that were read one too far; answers the cursor of the next page. Column 0 is the row's number.
pub(crate) fn cut(rows: &mut Vec<crate::sql::Row>, limit: u32) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(|row| row.count(0).to_string())
}
