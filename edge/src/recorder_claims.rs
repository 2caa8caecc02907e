//! A Recorder counts wrong tags by the campaign key that they name, and tells the campaigns.
//!
//! Only campaigns that exist are counted for long: a claim is believed by nobody, and the Merchant is asked about those
//! that are new. A campaign that is being guessed hears of it once a second, whatever the attack.

use crate::breaker::BreakerOp;
use crate::calls::CampaignOp;
use crate::due;
use crate::gate::Existing;
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, campaign_name, read_json, within};
use crate::platform::{Fault, SyncStorage, now, random_u32};
use crate::recorder::Inner;
use crate::sql::{Row, first, query, run};
use counterfoil_core::breaker::Claim;
use counterfoil_core::code::Profile;
use counterfoil_core::protocol::backoff_ms;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Due-item that tells campaigns.
pub(crate) const CLAIMS_ITEM: &str = "claims";
/// How often they are told.
const TELL_EVERY_MS: i64 = 1_000;
/// Campaigns that are told at once; the others have their turn a second later.
const CAMPAIGNS_AT_ONCE: usize = 32;
/// Campaigns that nobody has asked the Merchant about yet.
const UNKNOWN_MAX: u64 = 1_000;
/// Failures that count for the pause before the next try.
const TELL_TRIES: u32 = 3;
/// Longest wait for the Merchant or a campaign.
const OTHERS_WAIT: Duration = Duration::from_secs(8);

/// Part of a Recorder's schema: wrong tags by key, whether the campaign exists, and how many it was told of.
pub(crate) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS claims (
        campaign INTEGER NOT NULL, profile TEXT NOT NULL, epoch INTEGER NOT NULL, count INTEGER NOT NULL,
        told INTEGER NOT NULL DEFAULT 0, known INTEGER NOT NULL CHECK (known IN (0, 1)),
        PRIMARY KEY (campaign, profile, epoch)
    ) STRICT, WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS claims_untold ON claims (campaign) WHERE count > told",
];

/// Wrong tags of a campaign's keys in this month.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) counts: Vec<(Claim, u64)>,
}

/// Counts a report's claims. Run inside a transaction.
pub(crate) fn count(storage: &SyncStorage, claims: &[Claim]) -> Result<(), Fault> {
    let mut counts: BTreeMap<Claim, u64> = BTreeMap::new();
    for claim in claims {
        *counts.entry(*claim).or_default() += 1;
    }
    for (claim, count) in &counts {
        let campaign = u32::from(claim.campaign);
        let statement = "SELECT (SELECT max(known) FROM claims WHERE campaign = ?1),
            (SELECT count(*) FROM (SELECT 1 FROM claims WHERE known = 0 AND count > told LIMIT ?2))";
        let row = first(storage, statement, &[campaign.into(), UNKNOWN_MAX.into()])?;
        let row = row.ok_or_else(|| Fault::new("nothing was read"))?;
        let known = row.integer(0) == 1;
        if !known && row.count(1) >= UNKNOWN_MAX {
            continue;
        }
        let statement = "INSERT INTO claims (campaign, profile, epoch, count, known) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (campaign, profile, epoch) DO UPDATE SET count = count + excluded.count";
        let (profile, epoch) = (claim.profile.name(), u32::from(claim.epoch));
        let values = [campaign.into(), profile.into(), epoch.into(), (*count).into(), u32::from(known).into()];
        run(storage, statement, &values)?;
    }
    if counts.is_empty() || due::at(storage, CLAIMS_ITEM)?.is_some() {
        return Ok(());
    }
    due::plan(storage, CLAIMS_ITEM, now().plus_ms(TELL_EVERY_MS))
}

/// Wrong tags of a campaign's keys.
pub(crate) fn of_campaign(storage: &SyncStorage, campaign: u16) -> Result<Claimed, Fault> {
    let statement = "SELECT campaign, profile, epoch, count FROM claims WHERE campaign = ?";
    let rows = query(storage, statement, &[u32::from(campaign).into()])?;
    Ok(Claimed { counts: rows.iter().map(counted).collect::<Result<_, _>>()? })
}

fn counted(row: &Row) -> Result<(Claim, u64), Fault> {
    let profile = Profile::from_name(&row.text(1)?).ok_or_else(|| Fault::new("a stored profile is not known"))?;
    let campaign = u16::try_from(row.number(0)).unwrap_or_default();
    let epoch = u8::try_from(row.number(2)).unwrap_or_default();
    Ok((Claim { profile, epoch, campaign }, row.count(3)))
}

impl Inner {
    /// The alarm's turn: learns which campaigns there are, tells them, and looks again in a second while there is more.
    pub(crate) async fn tell_claims(&self) -> Result<(), Fault> {
        let told = match self.learn_campaigns().await {
            Ok(()) => self.tell_campaigns().await,
            Err(fault) => Err(fault),
        };
        let pause = match told {
            Ok(()) => TELL_EVERY_MS,
            Err(fault) => {
                fault.log("claims_untold");
                backoff_ms(TELL_TRIES, random_u32())
            }
        };
        self.storage.transaction(|| {
            if run(&self.storage, "SELECT 1 FROM claims WHERE count > told LIMIT 1", &[])? {
                due::plan(&self.storage, CLAIMS_ITEM, now().plus_ms(pause))
            } else {
                due::done(&self.storage, CLAIMS_ITEM)
            }
        })
    }

    /// Asks the Merchant about campaigns that are new here, and forgets those that are none.
    async fn learn_campaigns(&self) -> Result<(), Fault> {
        let rows = query(&self.storage, "SELECT DISTINCT campaign FROM claims WHERE known = 0", &[])?;
        let campaigns: Vec<u16> = rows.iter().filter_map(|row| u16::try_from(row.number(0)).ok()).collect();
        if campaigns.is_empty() {
            return Ok(());
        }
        let (merchant, _) = self.merchant_and_month()?;
        let objects = Objects(&self.env);
        let asked = serde_json::to_string(&campaigns)?;
        let op = MerchantOp::Existing { campaigns };
        let asking = async { read_json::<Existing>(objects.merchant(&merchant, &op).await?).await };
        let Existing { campaigns } = within(OTHERS_WAIT, "the merchant", asking).await?;
        let existing = serde_json::to_string(&campaigns)?;
        self.storage.transaction(|| {
            let statement = "UPDATE claims SET known = 1 WHERE campaign IN (SELECT value FROM json_each(?))";
            run(&self.storage, statement, &[(&existing).into()])?;
            let statement = "DELETE FROM claims
                WHERE known = 0 AND campaign IN (SELECT value FROM json_each(?))";
            run(&self.storage, statement, &[(&asked).into()]).map(drop)
        })
    }

    /// Tells the campaigns that have not heard how much was counted, those with most of it first.
    async fn tell_campaigns(&self) -> Result<(), Fault> {
        let statement = "SELECT c.campaign, c.profile, c.epoch, c.count FROM claims c JOIN (
                SELECT campaign, sum(count - told) AS untold FROM claims WHERE count > told AND known = 1
                GROUP BY campaign ORDER BY untold DESC LIMIT ?) USING (campaign)";
        let at_once = u64::try_from(CAMPAIGNS_AT_ONCE).unwrap_or_default();
        let mut campaigns: BTreeMap<u16, Vec<(Claim, u64)>> = BTreeMap::new();
        for row in query(&self.storage, statement, &[at_once.into()])? {
            let (claim, count) = counted(&row)?;
            campaigns.entry(claim.campaign).or_default().push((claim, count));
        }
        let (merchant, month) = self.merchant_and_month()?;
        let told = campaigns.into_iter().map(|(campaign, counts)| {
            let name = campaign_name(&merchant, campaign);
            let month = month.clone();
            async move {
                let op = CampaignOp::Breaker(BreakerOp::Failed { month, counts: counts.clone() });
                let objects = Objects(&self.env);
                let answer = within(OTHERS_WAIT, "a campaign", objects.campaign(&name, &op)).await?;
                let status = answer.status_code();
                // One whose creation never finished has nobody to be told.
                if status != 200 && status != 404 {
                    return Err(Fault::new(format!("a campaign answered {status}")));
                }
                for (Claim { profile, epoch, campaign }, count) in counts {
                    let statement = "UPDATE claims SET told = max(told, ?4)
                        WHERE campaign = ?1 AND profile = ?2 AND epoch = ?3";
                    let values =
                        [u32::from(campaign).into(), profile.name().into(), u32::from(epoch).into(), count.into()];
                    run(&self.storage, statement, &values)?;
                }
                Ok(())
            }
        });
        join_all(told).await.into_iter().collect()
    }
}
