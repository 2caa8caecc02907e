//! A merchant's campaigns: their numbers, and what all of them are told.

use crate::answer::Answer;
use crate::calls::{CampaignOp, Once, PageQuery};
use crate::campaign_merchant::{InForce, as_written};
use crate::config::Config;
use crate::due;
use crate::merchant::{Decided, Merchant, cut};
use crate::merchant_aliases::{self, CampaignFacts};
use crate::merchant_calls::{EnrolledPage, Enrolment};
use crate::merchant_keys;
use crate::merchant_settings;
use crate::objects::{Objects, campaign_name, read_json, within};
use crate::once::{self, Seen};
use crate::platform::{Fault, IanaZone, SyncStorage, now, random_u32};
use crate::sql::{first, meta, query, run, set_meta};
use counterfoil_core::code::Profile;
use counterfoil_core::keys::{EPOCH_MAX, MerchantId};
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::wire::{InvalidRequest, NewCampaign, ProtocolError, RewardDefinition};
use counterfoil_core::words::beginning_offends;
use futures_util::{StreamExt, stream};
use std::time::Duration;

/// Random campaign numbers tried before the next free one is searched.
const NUMBERS_TRIED: u32 = 32;
/// Due-item that tells campaigns of changed definitions.
pub(crate) const PUSH_ITEM: &str = "push";
/// Due-item that tells campaigns of revoked epochs, and of when ends are announced.
pub(crate) const CAMPAIGNS_ITEM: &str = "campaigns";
/// A campaign that does not take a change is told again after the longest pause: its creation may never finish.
const PUSH_TRIES: u32 = 6;
/// Pause before campaigns are told again.
const TELL_TRIES: u32 = 2;
/// Longest wait for a campaign.
const CAMPAIGN_WAIT: Duration = Duration::from_secs(8);
/// Campaigns that are told in one turn of the alarm …
const CAMPAIGNS_PER_TURN: u32 = 50;
/// … and at the same time.
const CAMPAIGNS_AT_ONCE: usize = 10;

/// Epochs as bits.
pub(crate) fn mask_of(epochs: &[u8]) -> u32 {
    epochs.iter().fold(0, |mask, epoch| mask | 1 << (epoch & EPOCH_MAX))
}

/// Revoked epochs as bits.
pub(crate) fn revoked_mask(storage: &SyncStorage) -> Result<u32, Fault> {
    Ok(mask_of(&merchant_keys::revoked(storage)?))
}

impl Merchant {
    pub(crate) fn bind(&self, campaign: u16, definition: &RewardDefinition) -> Result<(), Fault> {
        let statement = "INSERT INTO bindings VALUES (?1, ?2, ?3)
            ON CONFLICT (reward_id, campaign) DO UPDATE SET version = max(version, ?3)";
        let values = [(&definition.reward_id).into(), u32::from(campaign).into(), definition.version.into()];
        run(&self.storage, statement, &values).map(drop)
    }

    /// Tells campaigns of definitions that have changed since they were told. What fails is tried again.
    pub(crate) async fn push(&self) -> Result<(), Fault> {
        let behind = "SELECT b.campaign, d.doc FROM bindings b JOIN definitions d ON d.reward_id = b.reward_id
            WHERE b.version < d.version LIMIT 100";
        let mut failed = false;
        for row in query(&self.storage, behind, &[])? {
            let campaign = u16::try_from(row.number(0)).unwrap_or_default();
            let reward: RewardDefinition = row.json(1)?;
            let op = CampaignOp::Reward { reward: reward.clone() };
            match self.ask_campaign::<serde_json::Value>(campaign, &op).await {
                Ok(Some(_)) => self.bind(campaign, &reward)?,
                // Not created yet, out of reach, or silent: told again later.
                Ok(None) | Err(_) => failed = true,
            }
        }
        if failed || run(&self.storage, behind, &[])? {
            due::plan(&self.storage, PUSH_ITEM, now().plus_ms(backoff_ms(PUSH_TRIES, random_u32())))
        } else {
            due::done(&self.storage, PUSH_ITEM)
        }
    }

    /// Plans to tell campaigns what they do not know yet.
    pub(crate) fn plan_campaigns(&self) -> Result<(), Fault> {
        let days = merchant_settings::current(&self.storage)?.notify_days_before;
        if merchant_aliases::behind(&self.storage, days, 0, 1)?.is_empty() {
            return Ok(());
        }
        due::plan(&self.storage, CAMPAIGNS_ITEM, now())
    }

    /// The alarm's turn: tells some campaigns of revoked epochs and of when ends are announced, and goes on from there in
    /// the next turn, so that none that is out of reach keeps the others waiting.
    pub(crate) async fn tell_campaigns(&self) -> Result<(), Fault> {
        let days = merchant_settings::current(&self.storage)?.notify_days_before;
        let after = meta(&self.storage, "campaigns_told")?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let behind = merchant_aliases::behind(&self.storage, days, after, CAMPAIGNS_PER_TURN)?;
        let last = behind.last().map(|(campaign, ..)| *campaign);
        let whole = u32::try_from(behind.len()).is_ok_and(|count| count < CAMPAIGNS_PER_TURN);
        let epochs = &merchant_keys::revoked(&self.storage)?;
        let telling = behind.into_iter().map(|(campaign, revoked, notify_days)| async move {
            if notify_days != days {
                self.tell_notice(campaign, days).await?;
            }
            if mask_of(epochs) & !revoked != 0 { self.tell_revoked(campaign, epochs).await } else { Ok(()) }
        });
        let mut told = stream::iter(telling).buffer_unordered(CAMPAIGNS_AT_ONCE);
        while let Some(told) = told.next().await {
            if let Err(fault) = told {
                fault.log("campaign_untold");
            }
        }
        self.storage.transaction(|| {
            let place = if whole { 0 } else { last.unwrap_or_default() };
            set_meta(&self.storage, "campaigns_told", &place.to_string())?;
            let days = merchant_settings::current(&self.storage)?.notify_days_before;
            if !whole {
                due::plan(&self.storage, CAMPAIGNS_ITEM, now())
            } else if merchant_aliases::behind(&self.storage, days, 0, 1)?.is_empty() {
                due::done(&self.storage, CAMPAIGNS_ITEM)
            } else {
                due::plan(&self.storage, CAMPAIGNS_ITEM, now().plus_ms(backoff_ms(TELL_TRIES, random_u32())))
            }
        })
    }

    /// Asks a campaign, within bounds; `None` where it was never created.
    async fn ask_campaign<T: serde::de::DeserializeOwned>(
        &self,
        campaign: u16,
        op: &CampaignOp,
    ) -> Result<Option<T>, Fault> {
        let (objects, name) = (Objects(&self.env), campaign_name(&self.name()?, campaign));
        let asking = async {
            let response = objects.campaign(&name, op).await?;
            if response.status_code() == 404 { Ok(None) } else { read_json(response).await.map(Some) }
        };
        within(CAMPAIGN_WAIT, "the campaign", asking).await
    }

    async fn tell_revoked(&self, campaign: u16, epochs: &[u8]) -> Result<(), Fault> {
        let op = CampaignOp::Revoked { epochs: epochs.to_vec() };
        // One that was never created has no codes, and learns it when it is.
        let answer: Option<InForce> = self.ask_campaign(campaign, &op).await?;
        if answer.is_none_or(|answer| answer.in_force) {
            merchant_aliases::has_revoked(&self.storage, campaign, epochs)?;
        }
        Ok(())
    }

    async fn tell_notice(&self, campaign: u16, days: u32) -> Result<(), Fault> {
        let _: Option<serde_json::Value> = self.ask_campaign(campaign, &CampaignOp::Notice { days }).await?;
        merchant_aliases::has_notice(&self.storage, campaign, days)
    }

    /// Checks a campaign and gives it its number: the given one, or a random free one.
    pub(crate) fn enrol(&self, mut definition: NewCampaign, once: Option<&Once>) -> Decided {
        let reward = self.definition(&definition.reward_id)?;
        let replayed = match once::seen(&self.storage, once, now())? {
            Seen::Same(campaign) => {
                definition.campaign = campaign.parse().ok();
                // What stands is not judged anew: its own object answers for it.
                if let (Some(reward), Some(alias_seq)) = (&reward, self.standing_of(definition.campaign)?) {
                    let (reward, replayed) = (reward.clone(), true);
                    let (revoked_epochs, notify_days) = (merchant_keys::revoked(&self.storage)?, 0);
                    let enrolment = Enrolment { definition, reward, alias_seq, revoked_epochs, notify_days, replayed };
                    return Answer::json(200, &enrolment).map(Ok);
                }
                true
            }
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => false,
        };
        let zone = IanaZone::named(&definition.time_zone);
        if let Err(invalid) = definition.validate(reward.as_ref(), zone.as_ref()) {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        let Some(reward) = reward else {
            let invalid = InvalidRequest::one("reward_id", "no such reward definition");
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        };
        let config = Config::of(&self.env)?;
        let epoch =
            merchant_keys::minting(&self.storage, &config)?.or_else(|| config.minting_epoch()).unwrap_or_default();
        if definition.campaign.is_some_and(|number| beginning_offends(definition.profile, epoch, number)) {
            let reason = "every code of this number would spell an offensive word; choose another";
            return Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("campaign", reason))));
        }
        // Looked at first: what is refused has claimed neither number nor words.
        if let Some(alias) = merchant_aliases::taken(&self.storage, definition.campaign, &definition.aliases_read())? {
            let what = format!("The alias {}", as_written(&definition, &alias));
            return Ok(Err(ProtocolError::AlreadyExists { what }));
        }
        if !replayed {
            let number = match definition.campaign {
                Some(number) => self.claim(number)?.then_some(number),
                None => self.claim_any(definition.profile)?,
            };
            let Some(number) = number else {
                let what = definition.campaign.map_or_else(
                    || "Every campaign number of this profile".to_owned(),
                    |number| format!("A campaign {number}"),
                );
                return Ok(Err(ProtocolError::AlreadyExists { what }));
            };
            definition.campaign = Some(number);
            self.bind(number, &reward)?;
            once::keep(&self.storage, once, &number.to_string(), now())?;
        }
        let number = definition.campaign.unwrap_or_default();
        let merchant = MerchantId::new(&self.name()?).map_err(|_| Fault::new("a merchant with a bad name"))?;
        let keys = config.campaign_keys(&merchant, definition.profile, epoch, number);
        let alias_seq = keys.and_then(|keys| keys.first_seq()).unwrap_or_default();
        let revoked_epochs = merchant_keys::revoked(&self.storage)?;
        let notify_days = merchant_settings::current(&self.storage)?.notify_days_before;
        let facts = CampaignFacts {
            campaign: number,
            version: 0,
            kind: definition.kind,
            profile: definition.profile,
            shards: definition.shards(),
            alias_seq,
            aliases: definition.aliases_read(),
            ended: false,
        };
        merchant_aliases::enlist(&self.storage, &facts, notify_days)?;
        merchant_aliases::claim(&self.storage, number, &facts.aliases)?;
        Answer::json(200, &Enrolment { definition, reward, alias_seq, revoked_epochs, notify_days, replayed }).map(Ok)
    }

    /// The code that the aliases of a campaign stand for which has told where it stands.
    fn standing_of(&self, campaign: Option<u16>) -> Result<Option<u32>, Fault> {
        let statement = "SELECT alias_seq FROM campaign_facts WHERE campaign = ? AND version > 0";
        Ok(first(&self.storage, statement, &[campaign.map(u32::from).into()])?.map(|row| row.number(0)))
    }

    fn claim(&self, campaign: u16) -> Result<bool, Fault> {
        let statement = "INSERT INTO campaigns (campaign) VALUES (?) ON CONFLICT DO NOTHING RETURNING n";
        run(&self.storage, statement, &[u32::from(campaign).into()])
    }

    /// A random number, so that numbers tell nothing; when the space is nearly full, the lowest free one.
    fn claim_any(&self, profile: Profile) -> Result<Option<u16>, Fault> {
        let max = profile.campaign_max();
        let clean = |number: u16| (0..=EPOCH_MAX).all(|epoch| !beginning_offends(profile, epoch, number));
        for _ in 0..NUMBERS_TRIED {
            let number = u16::try_from(random_u32() % u32::from(max)).unwrap_or_default() + 1;
            if clean(number) && self.claim(number)? {
                return Ok(Some(number));
            }
        }
        let taken = query(&self.storage, "SELECT campaign FROM campaigns ORDER BY campaign", &[])?;
        let taken: std::collections::HashSet<u32> = taken.iter().map(|row| row.number(0)).collect();
        match (1..=max).find(|number| !taken.contains(&u32::from(*number)) && clean(*number)) {
            Some(number) => Ok(self.claim(number)?.then_some(number)),
            None => Ok(None),
        }
    }

    pub(crate) fn enrolled(&self, page: &PageQuery) -> Result<Answer, Fault> {
        let statement = "SELECT n, campaign FROM campaigns WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let campaigns = rows.iter().filter_map(|row| u16::try_from(row.number(1)).ok()).collect();
        Answer::json(200, &EnrolledPage { campaigns, next_cursor })
    }
}
