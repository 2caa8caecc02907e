//! A campaign's batches, the rules that follow from them, and the check of both.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::{Once, PageQuery, Reserved, ShardOp, Violations};
use crate::campaign::{Campaign, INSTANCE, Stored, illegal, illegal_state};
use crate::campaign_shards::{PUSH_ITEM, resolved};
use crate::merchant::cut;
use crate::objects::Objects;
use crate::once::{self, Seen};
use crate::platform::{Fault, IanaZone, now, random};
use crate::sql::{Row, first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::limits::{MINT_SPARE, MINT_SPARE_DIVISOR};
use counterfoil_core::ranges;
use counterfoil_core::rules::{IssuedRange, Rules, SeqRange};
use counterfoil_core::verify;
use counterfoil_core::wire::{
    BatchResource, CampaignKind, CampaignStatus, InvalidRequest, NewBatch, Page, ProtocolError,
};
use counterfoil_core::words::{LIST_VERSION, beginning_offends};
use serde::{Deserialize, Serialize};
use serde_json::json;

const INSTANCE_BATCHES: &str = "/v1/campaigns/{campaign}/batches";
const INSTANCE_BATCH: &str = "/v1/campaigns/{campaign}/batches/{batch_id}";

/// Most bytes of a campaign's rules, which name every batch: a shard keeps them in one row.
pub(crate) const RULES_BYTES_MAX: usize = 1_500_000;
/// Bytes that a batch adds to them, beside its reference.
const RULES_BYTES_BATCH: usize = 256;
/// Codes between two places of a stream that are remembered: where one that broke off goes on counting.
const PLACE_CODES: u32 = 250_000;

/// A batch, with what only support needs.
#[derive(Serialize, Deserialize)]
struct StoredBatch {
    resource: BatchResource,
    /// Version of the offensive-word list it was minted with.
    word_list: u32,
    /// Made by the CLI.
    offline: bool,
    /// Seqs of the stream, and how many codes it had come to with each.
    #[serde(default)]
    places: Vec<(u32, u32)>,
}

impl Campaign {
    /// Reserves a range of seqs. The same key gives the same range, and so the same codes; those up to `after_seq` are left
    /// out.
    pub(crate) fn reserve(
        &self,
        new: NewBatch,
        epoch: Option<u8>,
        after_seq: Option<u32>,
        by: &str,
        once: Option<&Once>,
    ) -> Result<Result<Reserved, ProtocolError>, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        let profile = stored.definition.profile;
        let campaign = stored.definition.campaign.unwrap_or_default();
        let space = profile.serial_space();
        let reserved = |batch: BatchResource, stored: &Stored, replayed: bool| Reserved {
            batch,
            profile,
            campaign,
            remaining: space - stored.next_seq,
            issued: stored.issued,
            replayed,
            place: None,
        };
        let invalid =
            |path: &str, reason: String| Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one(path, reason))));
        match once::seen(&self.storage, once, now())? {
            Seen::Same(answer) => {
                let batch: BatchResource = counterfoil_core::json::read(&answer)?;
                let Some(StoredBatch { resource, places, .. }) = self.stored_batch(&batch.batch_id)? else {
                    return Err(Fault::new("a batch is missing"));
                };
                let mut again = reserved(self.shown(resource, &stored), &stored, true);
                if let Some(after) = after_seq {
                    if again.batch.delivered.is_none() {
                        return invalid("query after_seq", "a batch that is minted elsewhere has no stream".to_owned());
                    }
                    let seqs = again.batch.from_seq..again.batch.to_seq;
                    if !seqs.contains(&after) {
                        return invalid("query after_seq", format!("{} to {}", seqs.start, seqs.end - 1));
                    }
                    again.place = places.into_iter().rfind(|(seq, _)| *seq <= after);
                }
                return Ok(Ok(again));
            }
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        if after_seq.is_some() {
            return invalid("query after_seq", "nothing was minted under this key".to_owned());
        }
        if stored.status == CampaignStatus::Ended {
            return Ok(Err(illegal(stored.status)));
        }
        if let Err(invalid) = new.validate() {
            return Ok(Err(ProtocolError::InvalidRequest(invalid)));
        }
        let Some(epoch) = epoch else { return Ok(Err(illegal_state("no_minting_epoch"))) };
        if !new.offline && stored.exported_epochs.contains(&epoch) {
            // A print shop can make every code of this epoch: none of them is to be handed out as unseen.
            return Ok(Err(illegal_state("print_key_exported")));
        }
        if beginning_offends(profile, epoch, campaign) {
            let reason = format!("every code of this campaign would spell an offensive word in epoch {epoch}");
            return invalid("count", reason);
        }
        let grown = serde_json::to_vec(&self.rules(&stored)?)?.len() + RULES_BYTES_BATCH;
        if grown + new.reference.as_ref().map_or(0, String::len) > RULES_BYTES_MAX {
            return invalid("count", "the campaign has as many batches as its shards can know".to_owned());
        }
        let wanted = u64::from(new.count) + u64::from(new.count) / MINT_SPARE_DIVISOR + MINT_SPARE;
        let remaining = u64::from(space - stored.next_seq);
        if wanted > remaining {
            let most = remaining.saturating_sub(MINT_SPARE) * MINT_SPARE_DIVISOR / (MINT_SPARE_DIVISOR + 1);
            return invalid("count", format!("past the campaign's serial space: at most {most} more codes"));
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
            delivered: (!new.offline).then_some(0),
        };
        let (resource, offline) = (batch.clone(), new.offline);
        let stored_batch = StoredBatch { resource, word_list: LIST_VERSION, offline, places: vec![] };
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
            "epoch": epoch, "offline": stored_batch.offline,
        });
        self.note(&Draft::new(by, "campaign.minted").data(data))?;
        Ok(Ok(reserved(batch, &stored, false)))
    }

    pub(crate) fn batches(&self, page: &PageQuery) -> Result<Answer, Fault> {
        let Some(stored) = self.stored()? else {
            return Answer::error(&ProtocolError::NotFound, INSTANCE_BATCHES);
        };
        let statement = "SELECT n, doc FROM batches WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let shown = |row: &Row| Ok(self.shown(row.json::<StoredBatch>(1)?.resource, &stored));
        let items = rows.iter().map(shown).collect::<Result<Vec<_>, Fault>>()?;
        Answer::json(200, &Page { items, next_cursor })
    }

    pub(crate) fn batch(&self, batch_id: &str) -> Result<Answer, Fault> {
        match (self.stored()?, self.stored_batch(batch_id)?) {
            (Some(stored), Some(batch)) => Answer::json(200, &self.shown(batch.resource, &stored)),
            (_, _) => Answer::error(&ProtocolError::NotFound, INSTANCE_BATCH),
        }
    }

    fn stored_batch(&self, batch_id: &str) -> Result<Option<StoredBatch>, Fault> {
        let row = first(&self.storage, "SELECT doc FROM batches WHERE batch_id = ?", &[batch_id.into()])?;
        row.map(|row| row.json(0)).transpose()
    }

    /// A batch as read.
    fn shown(&self, batch: BatchResource, stored: &Stored) -> BatchResource {
        let range = SeqRange { from: batch.from_seq, to: batch.to_seq };
        BatchResource { recalled: ranges::covers(&stored.recalled, range), ..batch }
    }

    /// A stream has come to this seq, with so many codes of its batch. Messages may overtake each other.
    pub(crate) fn delivered(&self, batch_id: &str, count: u32, seq: u32) -> Result<(), Fault> {
        let Some(mut batch) = self.stored_batch(batch_id)? else { return Ok(()) };
        if batch.resource.delivered.is_none_or(|delivered| delivered >= count) {
            return Ok(());
        }
        batch.resource.delivered = Some(count);
        if count >= batch.places.last().map_or(0, |(_, count)| *count) + PLACE_CODES {
            batch.places.push((seq, count));
        }
        let doc = serde_json::to_string(&batch)?;
        run(&self.storage, "UPDATE batches SET doc = ?2 WHERE batch_id = ?1", &[batch_id.into(), (&doc).into()])
            .map(drop)
    }

    /// Whether codes of an epoch were streamed.
    pub(crate) fn has_delivered(&self, epoch: u8) -> Result<bool, Fault> {
        let statement = "SELECT 1 FROM batches WHERE json_extract(doc, '$.resource.epoch') = ?
            AND NOT json_extract(doc, '$.offline') LIMIT 1";
        run(&self.storage, statement, &[u32::from(epoch).into()])
    }

    /// The rules as shards copy them.
    pub(crate) fn rules(&self, stored: &Stored) -> Result<Rules, Fault> {
        let Stored { reward, status, version, .. } = stored;
        let definition = resolved(&stored.definition);
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
                    batch_id: batch.batch_id,
                    reference: batch.reference,
                })
            })
            .collect::<Result<_, Fault>>()?;
        let shared_default = (definition.kind == CampaignKind::Shared).then_some(1);
        let unique_default = (definition.kind == CampaignKind::Unique).then_some(1);
        Ok(Rules {
            version: *version,
            campaign: definition.campaign.unwrap_or_default(),
            shards: definition.shards(),
            aliases: definition.aliases_read(),
            alias_seq: Some(stored.alias_seq),
            name: definition.name,
            status: *status,
            profile: definition.profile,
            kind: definition.kind,
            reward: reward.clone(),
            quantity: definition.quantity,
            time_zone: definition.time_zone,
            starts_at: definition.starts_at,
            ends_at: definition.ends_at,
            uses_per_code: definition.limits.uses_per_code.or(unique_default),
            per_member: definition.limits.per_member.or(shared_default),
            total: definition.limits.total,
            windows: definition.limits.windows.unwrap_or_default(),
            budget: definition.limits.budget,
            eligibility: definition.eligibility.unwrap_or_default(),
            currencies: definition.currencies,
            methods: definition.methods,
            min_epoch: definition.min_epoch.unwrap_or_default(),
            revoked_epochs: stored.revoked_epochs.clone(),
            issued,
            recalled: stored.recalled.clone(),
            alias_public: definition.alias_public,
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
            given: self.given_out()?,
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
