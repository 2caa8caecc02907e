//! A campaign's batches, the rules that follow from them, and the check of both.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::{Objects, Once, PageQuery, Reserved, ShardOp, Violations};
use crate::campaign::{Campaign, INSTANCE, PUSH_ITEM, Stored, illegal};
use crate::merchant::cut;
use crate::once::{self, Seen};
use crate::platform::{Fault, IanaZone, now, random};
use crate::sql::{Row, first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::limits::{MINT_SPARE, MINT_SPARE_DIVISOR};
use counterfoil_core::rules::{IssuedRange, Rules};
use counterfoil_core::verify;
use counterfoil_core::wire::{
    BatchResource, CampaignKind, CampaignStatus, InvalidRequest, NewBatch, Page, ProtocolError,
};
use counterfoil_core::words::LIST_VERSION;
use serde::{Deserialize, Serialize};
use serde_json::json;

const INSTANCE_BATCHES: &str = "/v1/campaigns/{campaign}/batches";

/// A batch, with what only support needs.
#[derive(Serialize, Deserialize)]
struct StoredBatch {
    resource: BatchResource,
    /// Version of the offensive-word list it was minted with.
    word_list: u32,
    /// Made by the CLI.
    offline: bool,
}

impl Campaign {
    /// Reserves a range of seqs. The same key gives the same range, and so the same codes.
    pub(crate) fn reserve(
        &self,
        new: NewBatch,
        epoch: u8,
        by: &str,
        once: Option<&Once>,
    ) -> Result<Result<Reserved, ProtocolError>, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        let space = stored.definition.profile.serial_space();
        let reserved = |batch: BatchResource, stored: &Stored, replayed: bool| Reserved {
            batch,
            profile: stored.definition.profile,
            campaign: stored.definition.campaign.unwrap_or_default(),
            remaining: space - stored.next_seq,
            issued: stored.issued,
            replayed,
        };
        match once::seen(&self.storage, once, now())? {
            Seen::Same(answer) => return Ok(Ok(reserved(counterfoil_core::json::read(&answer)?, &stored, true))),
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        if stored.status == CampaignStatus::Ended {
            return Ok(Err(illegal(stored.status)));
        }
        if let Err(invalid) = new.validate() {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        let wanted = u64::from(new.count) + u64::from(new.count) / MINT_SPARE_DIVISOR + MINT_SPARE;
        let remaining = u64::from(space - stored.next_seq);
        if wanted > remaining {
            let most = remaining.saturating_sub(MINT_SPARE) * MINT_SPARE_DIVISOR / (MINT_SPARE_DIVISOR + 1);
            let reason = format!("past the campaign's serial space: at most {most} more codes");
            return Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("count", reason))));
        }
        let zone = IanaZone::named(&stored.definition.time_zone);
        let expires_on = zone.zip(new.expires_on).map(|(zone, day)| day.next().start_in(&zone));
        let number = first(&self.storage, "SELECT count(*) + 1 FROM batches", &[])?.map_or(1, |row| row.count(0));
        let batch = BatchResource {
            batch_id: format!("ba_{}", hex::encode(&random::<12>())),
            label: new.label.unwrap_or_else(|| format!("Batch {number}")),
            from_seq: stored.next_seq,
            to_seq: stored.next_seq + u32::try_from(wanted).unwrap_or(u32::MAX),
            count: new.count,
            epoch,
            expires_at: new.expires_at.or(expires_on),
            reference: new.reference,
            created_at: now(),
            by: by.to_owned(),
            recalled: false,
        };
        let stored_batch = StoredBatch { resource: batch.clone(), word_list: LIST_VERSION, offline: new.offline };
        let doc = serde_json::to_string(&stored_batch)?;
        run(
            &self.storage,
            "INSERT INTO batches (batch_id, from_seq, to_seq, doc) VALUES (?, ?, ?, ?)",
            &[(&batch.batch_id).into(), batch.from_seq.into(), batch.to_seq.into(), (&doc).into()],
        )?;
        stored.next_seq = batch.to_seq;
        stored.issued += u64::from(new.count);
        stored.version += 1;
        self.store(&stored)?;
        once::keep(&self.storage, once, &serde_json::to_string(&batch)?, now())?;
        let data = json!({
            "batch_id": batch.batch_id, "from_seq": batch.from_seq, "to_seq": batch.to_seq, "count": batch.count,
            "epoch": epoch, "offline": stored_batch.offline, "version": stored.version,
        });
        self.note(&Draft::new(by, "campaign.minted").data(data))?;
        Ok(Ok(reserved(batch, &stored, false)))
    }

    pub(crate) fn batches(&self, page: &PageQuery) -> Result<Answer, Fault> {
        if self.stored()?.is_none() {
            return Answer::error(&ProtocolError::NotFound, INSTANCE_BATCHES);
        }
        let statement = "SELECT n, doc FROM batches WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let items =
            rows.iter().map(|row| Ok(row.json::<StoredBatch>(1)?.resource)).collect::<Result<Vec<_>, Fault>>()?;
        Answer::json(200, &Page { items, next_cursor })
    }

    pub(crate) fn batch(&self, batch_id: &str) -> Result<Answer, Fault> {
        match first(&self.storage, "SELECT doc FROM batches WHERE batch_id = ?", &[batch_id.into()])? {
            Some(row) => Answer::json(200, &row.json::<StoredBatch>(0)?.resource),
            None => Answer::error(&ProtocolError::NotFound, INSTANCE_BATCHES),
        }
    }

    /// The rules as shards copy them.
    pub(crate) fn rules(&self, stored: &Stored) -> Result<Rules, Fault> {
        let Stored { definition, reward, status, version, .. } = stored;
        let zone = IanaZone::named(&definition.time_zone);
        let (starts_at, ends_at) = zone.map_or((None, None), |zone| definition.instants(&zone));
        let rows = query(&self.storage, "SELECT doc FROM batches ORDER BY from_seq", &[])?;
        let issued = rows
            .iter()
            .map(|row| {
                let batch = row.json::<StoredBatch>(0)?.resource;
                Ok(IssuedRange {
                    from: batch.from_seq,
                    to: batch.to_seq,
                    epoch: batch.epoch,
                    expires_at: batch.expires_at,
                    recalled: batch.recalled,
                })
            })
            .collect::<Result<_, Fault>>()?;
        let shared_default = (definition.kind == CampaignKind::Shared).then_some(1);
        let unique_default = (definition.kind == CampaignKind::Unique).then_some(1);
        Ok(Rules {
            version: *version,
            campaign: definition.campaign.unwrap_or_default(),
            name: definition.name.clone(),
            status: *status,
            profile: definition.profile,
            kind: definition.kind,
            reward: reward.clone(),
            quantity: definition.quantity,
            starts_at,
            ends_at,
            uses_per_code: definition.limits.uses_per_code.or(unique_default),
            per_member: definition.limits.per_member.or(shared_default),
            total: definition.limits.total,
            eligibility: definition.eligibility.clone().unwrap_or_default(),
            currencies: definition.currencies.clone(),
            methods: definition.methods.clone(),
            min_epoch: definition.min_epoch.unwrap_or_default(),
            issued,
        })
    }

    /// Checks this campaign's invariants, and has its shards check theirs.
    pub(crate) async fn verify(&self) -> Result<Answer, Fault> {
        let Some(stored) = self.stored()? else { return Answer::error(&ProtocolError::NotFound, INSTANCE) };
        let (chain, _) = self.chain()?;
        let planned = |item: &str| run(&self.storage, "SELECT 1 FROM due WHERE id = ? AND parked = 0", &[item.into()]);
        let mut report = verify::Report::of(&chain);
        let batches = query(&self.storage, "SELECT doc FROM batches ORDER BY from_seq", &[])?;
        let range = |row: &Row| {
            let batch = row.json::<StoredBatch>(0)?.resource;
            Ok((batch.from_seq, batch.to_seq, batch.count))
        };
        let facts = verify::CampaignFacts {
            next_seq: stored.next_seq,
            issued: stored.issued,
            batches: batches.iter().map(range).collect::<Result<_, Fault>>()?,
            behind: u64::try_from(self.behind(stored.version)?.len()).unwrap_or(u64::MAX),
            alarm: planned(PUSH_ITEM)?,
        };
        verify::campaign(&facts, &mut report);
        audit_log::verify(&self.storage, &chain, &mut report)?;
        let mut violations = report.into_violations();
        let name = self.name()?;
        for row in query(&self.storage, "SELECT shard FROM shards", &[])? {
            let found: Violations = Objects(&self.env).shard(&name, row.number(0), &ShardOp::Verify).await?;
            violations.extend(found.violations);
        }
        Answer::json(200, &Violations { violations })
    }
}
