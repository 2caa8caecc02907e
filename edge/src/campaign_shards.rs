//! A campaign's shards: who has which version of its rules, and what they have counted.

use crate::answer::Answer;
use crate::breaker;
use crate::calls::{Count, ShardOp, VersionAnswer};
use crate::campaign::{Campaign, Stored};
use crate::due;
use crate::objects::Objects;
use crate::platform::{Fault, IanaZone, now, random_u32};
use crate::sql::{first, query, run};
use counterfoil_core::protocol::backoff_ms;
use counterfoil_core::wire::{CampaignResource, NewCampaign};
use futures_util::future::{Either, select};
use futures_util::{StreamExt, stream};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use worker::Delay;

/// Due-item that pushes rules to shards which did not take them.
pub(crate) const PUSH_ITEM: &str = "push";
/// Longest wait for all shards together; who has not answered by then is asked again later.
const SHARDS_WAIT: Duration = Duration::from_secs(8);
/// Shards that are asked at the same time.
const SHARDS_AT_ONCE: usize = 50;

/// Part of the schema.
pub(crate) const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS shards (shard INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT",
    // What a shard has counted, as far as it was heard: it may be out of reach.
    "CREATE TABLE IF NOT EXISTS counts (shard INTEGER PRIMARY KEY, redeemed INTEGER NOT NULL) STRICT",
];

impl Campaign {
    /// Registered shards that work by rules older than this version.
    pub(crate) fn behind(&self, version: u32) -> Result<Vec<u32>, Fault> {
        let rows = query(&self.storage, "SELECT shard FROM shards WHERE version < ?", &[version.into()])?;
        Ok(rows.iter().map(|row| row.number(0)).collect())
    }

    /// Whether every shard works by the present rules.
    pub(crate) fn in_force(&self) -> Result<bool, Fault> {
        let version = self.stored()?.map_or(0, |stored| stored.version);
        Ok(self.behind(version)?.is_empty())
    }

    pub(crate) fn shards(&self) -> Result<Vec<u32>, Fault> {
        let rows = query(&self.storage, "SELECT shard FROM shards", &[])?;
        Ok(rows.iter().map(|row| row.number(0)).collect())
    }

    pub(crate) fn plan_push(&self) -> Result<(), Fault> {
        due::plan(&self.storage, PUSH_ITEM, now().plus_ms(backoff_ms(0, random_u32())))
    }

    /// Pushes the present rules to the shards that work by older ones, many at a time, so that one that is out of reach
    /// keeps nobody waiting. What fails is tried again by the alarm.
    pub(crate) async fn push(&self) -> Result<(), Fault> {
        let Some(stored) = self.stored()? else { return Ok(()) };
        let behind = self.behind(stored.version)?;
        if !behind.is_empty() {
            let op = ShardOp::Rules { rules: self.rules(&stored)? };
            self.ask_shards(behind, &op, |shard, VersionAnswer { version }| {
                let statement = "UPDATE shards SET version = ?2 WHERE shard = ?1 AND version < ?2";
                run(&self.storage, statement, &[shard.into(), version.into()]).map(drop)
            })
            .await?;
        }
        // The rules may have changed meanwhile, and that push may have failed.
        if self.in_force()? { due::done(&self.storage, PUSH_ITEM) } else { self.plan_push() }
    }

    /// Asks shards, many at a time, and hands over what they answer; who does not answer in time is left out.
    pub(crate) async fn ask_shards<T: serde::de::DeserializeOwned>(
        &self,
        shards: Vec<u32>,
        op: &ShardOp,
        take: impl FnMut(u32, T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.ask_each(shards.into_iter().map(|shard| (shard, op)).collect(), take).await
    }

    /// As [`Self::ask_shards`], each something of its own.
    pub(crate) async fn ask_each<T: serde::de::DeserializeOwned>(
        &self,
        asked: Vec<(u32, impl Borrow<ShardOp>)>,
        mut take: impl FnMut(u32, T) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let name = self.name()?;
        let (name, objects) = (name.as_str(), &Objects(&self.env));
        let asking = asked
            .into_iter()
            .map(|(shard, op)| async move { (shard, objects.shard::<T>(name, shard, op.borrow()).await) });
        let mut answers = pin!(stream::iter(asking).buffer_unordered(SHARDS_AT_ONCE));
        let mut over = pin!(Delay::from(SHARDS_WAIT));
        loop {
            match select(answers.next(), over.as_mut()).await {
                Either::Left((Some((shard, Ok(answer))), _)) => take(shard, answer)?,
                Either::Left((Some((_, Err(fault))), _)) => fault.log("shard_unreachable"),
                Either::Left((None, _)) => return Ok(()),
                Either::Right(_) => {
                    Fault::late("a shard did not answer in time").log("shard_unreachable");
                    return Ok(());
                }
            }
        }
    }

    /// The campaign as read, with what its shards have counted. What only the merchant's Recorders know is filled in by
    /// the Worker.
    pub(crate) async fn resource(&self, status: u16, stored: &Stored) -> Result<Answer, Fault> {
        self.ask_shards(self.shards()?, &ShardOp::Count, |shard, Count { redeemed }| {
            let statement = "INSERT INTO counts VALUES (?1, ?2) ON CONFLICT (shard) DO UPDATE SET redeemed = ?2
                WHERE redeemed <> ?2";
            run(&self.storage, statement, &[shard.into(), redeemed.into()]).map(drop)
        })
        .await?;
        let redeemed = first(&self.storage, "SELECT sum(redeemed) FROM counts", &[])?.map_or(0, |row| row.count(0));
        // Looked up after the wait: this is what stands now.
        let stored = self.stored()?.unwrap_or_else(|| stored.clone());
        let resource = CampaignResource {
            definition: resolved(&stored.definition),
            status: stored.status,
            version: stored.edition,
            in_force: self.behind(stored.version)?.is_empty(),
            issued: stored.issued,
            redeemed,
            refused: BTreeMap::new(),
            failed_tags: breaker::failed_tags(&self.storage)?,
            breaker: breaker::resource(&self.storage, stored.definition.profile)?,
        };
        Ok(Answer::json(status, &resource)?.header("ETag", format!("\"{}\"", stored.edition)))
    }
}

/// A definition with its local days as instants.
pub(crate) fn resolved(definition: &NewCampaign) -> NewCampaign {
    let mut definition = definition.clone();
    if let Some(zone) = IanaZone::named(&definition.time_zone) {
        (definition.starts_at, definition.ends_at) = definition.instants(&zone);
    }
    definition
}
