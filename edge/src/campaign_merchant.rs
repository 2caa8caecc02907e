//! What a campaign and its Merchant tell each other: aliases, where it stands, revoked epochs.

use crate::campaign::{Campaign, Stored};
use crate::due;
use crate::merchant_aliases::{AliasOp, CampaignFacts, Claimed, Standing};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json, within};
use crate::platform::{Fault, now, random_u32};
use counterfoil_core::alias::Alias;
use counterfoil_core::audit::Draft;
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::wire::{CampaignStatus, NewCampaign};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// Due-item that tells the Merchant where this campaign stands.
pub(crate) const TELL_ITEM: &str = "standing";
/// Longest wait for the Merchant.
const MERCHANT_WAIT: Duration = Duration::from_secs(8);
/// Pause before a tale that failed is told again.
const TELL_TRIES: u32 = 3;
/// When claims that came to nothing are looked at again: no patch takes so long.
const UNSETTLED_MS: i64 = 90_000;

/// Answer to what the merchant revoked.
#[derive(Serialize, Deserialize)]
pub(crate) struct InForce {
    pub(crate) in_force: bool,
}

impl Campaign {
    fn facts(&self, stored: &Stored) -> CampaignFacts {
        let Stored { definition, status, version, alias_seq, .. } = stored;
        CampaignFacts {
            campaign: definition.campaign.unwrap_or_default(),
            version: *version,
            kind: definition.kind,
            profile: definition.profile,
            shards: definition.shards(),
            alias_seq: *alias_seq,
            aliases: definition.aliases_read(),
            ended: *status == CampaignStatus::Ended,
        }
    }

    /// Plans to tell the Merchant, where it does not know.
    pub(crate) fn plan_tell(&self, stored: &Stored) -> Result<(), Fault> {
        let told: Option<CampaignFacts> =
            self.meta("told")?.map(|text| counterfoil_core::json::read(&text)).transpose()?;
        let facts = self.facts(stored);
        let known = told.is_some_and(|told| CampaignFacts { version: told.version, ..facts.clone() } == told);
        if known { Ok(()) } else { due::plan(&self.storage, TELL_ITEM, now()) }
    }

    /// Tells the Merchant where this campaign stands, where that is planned, and takes what it answers. What fails is
    /// tried again by the alarm.
    pub(crate) async fn tell(&self) -> Result<(), Fault> {
        if due::at(&self.storage, TELL_ITEM)?.is_none() {
            return Ok(());
        }
        let Some(stored) = self.stored()? else { return due::done(&self.storage, TELL_ITEM) };
        let facts = self.facts(&stored);
        let op = MerchantOp::Aliases(AliasOp::Told(facts.clone()));
        let standing: Standing = match self.ask_merchant(&op).await {
            Ok(standing) => standing,
            Err(fault) => {
                fault.log("merchant_untold");
                return due::plan(&self.storage, TELL_ITEM, now().plus_ms(backoff_ms(TELL_TRIES, random_u32())));
            }
        };
        let revoked = self.storage.transaction(|| {
            self.set_meta("told", &serde_json::to_string(&facts)?)?;
            if standing.unsettled {
                due::plan(&self.storage, TELL_ITEM, now().plus_ms(UNSETTLED_MS))?;
            } else {
                due::done(&self.storage, TELL_ITEM)?;
            }
            // What happened between this campaign's enrolment and its creation.
            self.take_notice(standing.notify_days)?;
            let before = self.stored()?.map_or(0, |stored| stored.version);
            self.take_revoked(&standing.revoked_epochs)?;
            let Some(stored) = self.stored()? else { return Ok(false) };
            // It may have moved on while the Merchant answered.
            self.plan_tell(&stored)?;
            Ok(stored.version != before)
        })?;
        if revoked { self.push().await } else { Ok(()) }
    }

    async fn ask_merchant<T: serde::de::DeserializeOwned>(&self, op: &MerchantOp) -> Result<T, Fault> {
        let (_, merchant) = self.chain()?;
        let objects = Objects(&self.env);
        within(MERCHANT_WAIT, "the merchant", async { read_json(objects.merchant(&merchant, op).await?).await }).await
    }

    /// Asks the Merchant for the words of a definition that this campaign does not have yet; answers one that another
    /// campaign has, as it was written.
    pub(crate) async fn claim(&self, definition: &NewCampaign) -> Result<Option<String>, Fault> {
        let have = self.stored()?.map(|stored| stored.definition.aliases_read()).unwrap_or_default();
        let aliases: Vec<Alias> = definition.aliases_read().into_iter().filter(|alias| !have.contains(alias)).collect();
        if aliases.is_empty() {
            return Ok(None);
        }
        // Should the patch come to nothing, the Merchant learns that these words are not listed.
        due::plan(&self.storage, TELL_ITEM, now().plus_ms(UNSETTLED_MS))?;
        let op = AliasOp::Claim { campaign: definition.campaign.unwrap_or_default(), aliases };
        let Claimed { taken } = self.ask_merchant(&MerchantOp::Aliases(op)).await?;
        Ok(taken.map(|taken| as_written(definition, &taken)))
    }

    /// The merchant has revoked these epochs. Answers whether there is a campaign.
    pub(crate) fn take_revoked(&self, epochs: &[u8]) -> Result<bool, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(false) };
        let mut revoked: Vec<u8> = stored.revoked_epochs.iter().chain(epochs).copied().collect();
        revoked.sort_unstable();
        revoked.dedup();
        if revoked != stored.revoked_epochs {
            stored.revoked_epochs = revoked;
            stored.version += 1;
            self.store(&stored)?;
            let data = json!({ "revoked_epochs": stored.revoked_epochs });
            self.note(&Draft::new("system", "campaign.changed").data(data))?;
        }
        Ok(true)
    }

    /// The merchant wants to know of ends so many days before. Answers whether there is a campaign.
    pub(crate) fn take_notice(&self, days: u32) -> Result<bool, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(false) };
        if stored.notify_days != days {
            // No rule: shards need not know, and the version stays.
            stored.notify_days = days;
            self.store(&stored)?;
        }
        Ok(true)
    }
}

/// How a definition spells an alias.
pub(crate) fn as_written(definition: &NewCampaign, alias: &Alias) -> String {
    let written = definition.aliases.iter().flatten().find(|text| Alias::read(text).as_ref() == Some(alias));
    written.map_or_else(|| alias.as_str().to_owned(), Clone::clone)
}
