//! What a Merchant knows of each campaign, and its aliases: words that stand for a campaign's code.
//!
//! A word is claimed before its campaign lists it, and settled when the campaign has told that it does. What a campaign
//! no longer lists is anybody's, and so is what an ended one has.

use crate::answer::Answer;
use crate::gate::Spread;
use crate::merchant_campaigns::{mask_of, revoked_mask};
use crate::merchant_keys;
use crate::merchant_settings;
use crate::platform::{Fault, SyncStorage, now};
use crate::sql::{Row, first, query, run};
use counterfoil_core::alias::Alias;
use counterfoil_core::code::Profile;
use counterfoil_core::wire::CampaignKind;
use serde::{Deserialize, Serialize};

/// How long a claim that was not settled keeps others out: longer than any request that makes one.
const CLAIM_MS: i64 = 60_000;

/// Part of the schema. `revoked` has a bit for each revoked epoch that the campaign has in force.
pub(crate) const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS campaign_facts (
        campaign INTEGER PRIMARY KEY, version INTEGER NOT NULL, kind TEXT NOT NULL, profile TEXT NOT NULL,
        shards INTEGER NOT NULL, alias_seq INTEGER NOT NULL, ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
        revoked INTEGER NOT NULL, notify_days INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS aliases (
        alias TEXT PRIMARY KEY, campaign INTEGER NOT NULL, settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
        claimed_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID",
    // Few campaigns are spread, and every Worker asks which, each second.
    "CREATE INDEX IF NOT EXISTS campaigns_spread ON campaign_facts (campaign) WHERE shards > 1 AND NOT ended",
];

/// Asked of a Merchant by a campaign.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AliasOp {
    /// It is about to list these too; answered with [`Claimed`].
    Claim { campaign: u16, aliases: Vec<Alias> },
    /// Where it stands; answered with [`Standing`].
    Told(CampaignFacts),
}

/// What a Merchant knows of a campaign.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CampaignFacts {
    pub(crate) campaign: u16,
    pub(crate) version: u32,
    pub(crate) kind: CampaignKind,
    pub(crate) profile: Profile,
    pub(crate) shards: u32,
    /// The code that its aliases stand for.
    pub(crate) alias_seq: u32,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) ended: bool,
}

/// A word that another campaign has, or none.
#[derive(Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) taken: Option<Alias>,
}

/// What every campaign of the merchant must know.
#[derive(Serialize, Deserialize)]
pub(crate) struct Standing {
    pub(crate) revoked_epochs: Vec<u8>,
    pub(crate) notify_days: u32,
    /// Words that it claimed and does not list wait to be let go: it is to tell again later.
    pub(crate) unsettled: bool,
}

/// What a word stands for; absent where it stands for nothing.
#[derive(Serialize, Deserialize)]
pub(crate) struct AliasOf {
    pub(crate) target: Option<AliasTarget>,
}

/// See [`AliasOf`].
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AliasTarget {
    pub(crate) campaign: u16,
    pub(crate) profile: Profile,
    /// The campaign's one code.
    pub(crate) seq: u32,
}

/// Answers a campaign, in one transaction.
pub(crate) fn answer(storage: &SyncStorage, op: AliasOp) -> Result<Answer, Fault> {
    storage.transaction(|| match op {
        AliasOp::Claim { campaign, aliases } => {
            Answer::json(200, &Claimed { taken: claim(storage, campaign, &aliases)? })
        }
        AliasOp::Told(facts) => {
            let unsettled = take(storage, &facts)?;
            let revoked_epochs = merchant_keys::revoked(storage)?;
            let notify_days = merchant_settings::current(storage)?.notify_days_before;
            Answer::json(200, &Standing { revoked_epochs, notify_days, unsettled })
        }
    })
}

/// What a word stands for.
pub(crate) fn target(storage: &SyncStorage, alias: &Alias) -> Result<AliasOf, Fault> {
    let statement = "SELECT f.campaign, f.profile, f.alias_seq FROM aliases a JOIN campaign_facts f
        ON f.campaign = a.campaign WHERE a.alias = ?";
    let row = first(storage, statement, &[alias.as_str().into()])?;
    let read = |row: Row| {
        let campaign = u16::try_from(row.number(0)).unwrap_or_default();
        let profile = Profile::from_name(&row.text(1)?).ok_or_else(|| Fault::new("a campaign of no known profile"))?;
        Ok::<_, Fault>(AliasTarget { campaign, profile, seq: row.number(2) })
    };
    Ok(AliasOf { target: row.map(read).transpose()? })
}

/// Campaigns with more than one shard.
pub(crate) fn spread(storage: &SyncStorage) -> Result<Vec<Spread>, Fault> {
    let rows = query(storage, "SELECT campaign, kind, shards FROM campaign_facts WHERE shards > 1 AND NOT ended", &[])?;
    let spread = |row: &Row| {
        let campaign = u16::try_from(row.number(0)).unwrap_or_default();
        Ok(Spread { campaign, kind: kind_named(&row.text(1)?), shards: row.number(2) })
    };
    rows.iter().map(spread).collect()
}

/// Whether a campaign whose codes have short tags gives a reward.
pub(crate) fn is_given_by_s16(storage: &SyncStorage, reward_id: &str) -> Result<bool, Fault> {
    let statement = "SELECT 1 FROM bindings b JOIN campaign_facts f ON f.campaign = b.campaign
        WHERE b.reward_id = ? AND f.profile = 'S16' AND NOT f.ended LIMIT 1";
    run(storage, statement, &[reward_id.into()])
}

const fn kind_name(kind: CampaignKind) -> &'static str {
    match kind {
        CampaignKind::Unique => "unique",
        CampaignKind::Shared => "shared",
    }
}

fn kind_named(name: &str) -> CampaignKind {
    if name == kind_name(CampaignKind::Shared) { CampaignKind::Shared } else { CampaignKind::Unique }
}

/// The first of these words that another campaign has.
pub(crate) fn taken(storage: &SyncStorage, campaign: Option<u16>, aliases: &[Alias]) -> Result<Option<Alias>, Fault> {
    let number = u32::from(campaign.unwrap_or_default());
    let oldest = now().plus_ms(-CLAIM_MS);
    let statement = "SELECT 1 FROM aliases a LEFT JOIN campaign_facts f ON f.campaign = a.campaign
        WHERE a.alias = ?1 AND a.campaign <> ?2 AND NOT coalesce(f.ended, 0) AND (a.settled OR a.claimed_at > ?3)";
    for alias in aliases {
        if run(storage, statement, &[alias.as_str().into(), number.into(), oldest.0.into()])? {
            return Ok(Some(alias.clone()));
        }
    }
    Ok(None)
}

/// Claims words for a campaign, all or none; answers the first that another one has.
pub(crate) fn claim(storage: &SyncStorage, campaign: u16, aliases: &[Alias]) -> Result<Option<Alias>, Fault> {
    if let Some(alias) = taken(storage, Some(campaign), aliases)? {
        return Ok(Some(alias));
    }
    let number = u32::from(campaign);
    for alias in aliases {
        let statement = "INSERT INTO aliases VALUES (?1, ?2, 0, ?3)
            ON CONFLICT (alias) DO UPDATE SET campaign = ?2, settled = 0, claimed_at = ?3";
        run(storage, statement, &[alias.as_str().into(), number.into(), now().0.into()])?;
    }
    Ok(None)
}

/// Takes what a campaign has told; answers whether words wait to be let go. What is older than what is known changes
/// nothing.
fn take(storage: &SyncStorage, facts: &CampaignFacts) -> Result<bool, Fault> {
    let number = u32::from(facts.campaign);
    let statement = "INSERT INTO campaign_facts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0)
        ON CONFLICT (campaign) DO UPDATE SET version = ?2, kind = ?3, profile = ?4, shards = ?5, alias_seq = ?6, ended = ?7
        WHERE version <= ?2 RETURNING campaign";
    let values = [
        number.into(),
        facts.version.into(),
        kind_name(facts.kind).into(),
        facts.profile.name().into(),
        facts.shards.into(),
        facts.alias_seq.into(),
        u32::from(facts.ended).into(),
    ];
    if !run(storage, statement, &values)? {
        return Ok(false);
    }
    let listed = serde_json::to_string(&facts.aliases)?;
    let settle = "INSERT INTO aliases SELECT value, ?2, 1, ?3 FROM json_each(?1) WHERE true
        ON CONFLICT (alias) DO UPDATE SET settled = 1 WHERE campaign = ?2";
    run(storage, settle, &[(&listed).into(), number.into(), now().0.into()])?;
    let release = "DELETE FROM aliases WHERE campaign = ?2 AND alias NOT IN (SELECT value FROM json_each(?1))
        AND (settled OR claimed_at <= ?3)";
    let oldest = now().plus_ms(-CLAIM_MS);
    run(storage, release, &[(&listed).into(), number.into(), oldest.0.into()])?;
    run(storage, "SELECT 1 FROM aliases WHERE campaign = ? AND NOT settled LIMIT 1", &[number.into()])
}

/// A campaign gets its number: what it will be created with.
pub(crate) fn enlist(storage: &SyncStorage, facts: &CampaignFacts, notify_days: u32) -> Result<(), Fault> {
    let statement = "INSERT INTO campaign_facts VALUES (?, 0, ?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING";
    let values = [
        u32::from(facts.campaign).into(),
        kind_name(facts.kind).into(),
        facts.profile.name().into(),
        facts.shards.into(),
        facts.alias_seq.into(),
        mask_of(&merchant_keys::revoked(storage)?).into(),
        notify_days.into(),
    ];
    run(storage, statement, &values).map(drop)
}

/// A campaign has these revoked epochs in force.
pub(crate) fn has_revoked(storage: &SyncStorage, campaign: u16, epochs: &[u8]) -> Result<(), Fault> {
    let statement = "UPDATE campaign_facts SET revoked = revoked | ?2 WHERE campaign = ?1";
    run(storage, statement, &[u32::from(campaign).into(), mask_of(epochs).into()]).map(drop)
}

/// A campaign announces its end so many days before.
pub(crate) fn has_notice(storage: &SyncStorage, campaign: u16, days: u32) -> Result<(), Fault> {
    let statement = "UPDATE campaign_facts SET notify_days = ?2 WHERE campaign = ?1";
    run(storage, statement, &[u32::from(campaign).into(), days.into()]).map(drop)
}

/// Campaigns that have not everything that is revoked in force, or announce their ends at another time, after this one.
pub(crate) fn behind(
    storage: &SyncStorage,
    notify_days: u32,
    after: u32,
    limit: u32,
) -> Result<Vec<(u16, u32, u32)>, Fault> {
    let statement = "SELECT campaign, revoked, notify_days FROM campaign_facts
        WHERE campaign > ?1 AND (?2 & ~revoked <> 0 OR notify_days <> ?3) ORDER BY campaign LIMIT ?4";
    let values = [after.into(), revoked_mask(storage)?.into(), notify_days.into(), limit.into()];
    let rows = query(storage, statement, &values)?;
    Ok(rows
        .iter()
        .map(|row| (u16::try_from(row.number(0)).unwrap_or_default(), row.number(1), row.number(2)))
        .collect())
}
