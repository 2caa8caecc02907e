//! Recalled codes of a campaign.

use crate::answer::Answer;
use crate::calls::{Once, PageQuery};
use crate::campaign::{Campaign, Stored};
use crate::campaign_batches::RULES_BYTES_MAX;
use crate::merchant::cut;
use crate::once::{self, Seen};
use crate::platform::{Fault, now, random};
use crate::sql::{Row, first, query, run};
use counterfoil_core::audit::Draft;
use counterfoil_core::hex;
use counterfoil_core::ranges;
use counterfoil_core::rules::SeqRange;
use counterfoil_core::wire::{InvalidRequest, Page, ProtocolError, RecallBody, RecallResource, Recalled};
use serde_json::json;

const INSTANCE_RECALLS: &str = "/v1/campaigns/{campaign}/recalls";
const INSTANCE_RECALL: &str = "/v1/campaigns/{campaign}/recalls/{recall_id}";

/// Part of the schema. A recall is in force once every shard has the version of the rules that brought it.
pub(crate) const SCHEMA: [&str; 1] = ["CREATE TABLE IF NOT EXISTS recalls (
        n INTEGER PRIMARY KEY, recall_id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, doc TEXT NOT NULL
    ) STRICT"];

impl Campaign {
    /// Recalls codes; answers the recall's id, and whether it was made before.
    pub(crate) fn recall_codes(
        &self,
        body: &RecallBody,
        by: &str,
        once: Option<&Once>,
    ) -> Result<Result<(String, bool), ProtocolError>, Fault> {
        let Some(mut stored) = self.stored()? else { return Ok(Err(ProtocolError::NotFound)) };
        match once::seen(&self.storage, once, now())? {
            Seen::Same(recall_id) => return Ok(Ok((recall_id, true))),
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        let wanted = match body.check() {
            Ok(wanted) => wanted,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        let range = match self.recalled_range(&mut stored, &wanted)? {
            Ok(range) => range,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        stored.recalled = ranges::with(&stored.recalled, range);
        if serde_json::to_vec(&self.rules(&stored)?)?.len() > RULES_BYTES_MAX {
            let reason = "the campaign has as many separate recalls as its shards can know: name larger ranges";
            return Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("from_seq", reason))));
        }
        stored.version += 1;
        let recall = RecallResource {
            recall_id: format!("rc_{}", hex::encode(&random::<12>())),
            from_seq: range.from,
            to_seq: range.to,
            batch_id: body.batch_id.clone(),
            all: matches!(wanted, Recalled::All).then_some(true),
            reason: body.reason.clone(),
            at: now(),
            by: by.to_owned(),
            in_force: false,
        };
        let doc = serde_json::to_string(&recall)?;
        let values = [(&recall.recall_id).into(), stored.version.into(), (&doc).into()];
        run(&self.storage, "INSERT INTO recalls (recall_id, version, doc) VALUES (?, ?, ?)", &values)?;
        self.store(&stored)?;
        once::keep(&self.storage, once, &recall.recall_id, now())?;
        let data = json!({
            "recall_id": recall.recall_id, "from_seq": range.from, "to_seq": range.to,
        });
        self.note(&Draft::new(by, "campaign.recalled").reason(Some(&body.reason)).data(data))?;
        Ok(Ok((recall.recall_id, false)))
    }

    /// The seqs that a recall names. Everything includes the code that aliases stand for, minted or not: what is minted
    /// later begins behind it.
    fn recalled_range(
        &self,
        stored: &mut Stored,
        wanted: &Recalled<'_>,
    ) -> Result<Result<SeqRange, InvalidRequest>, Fault> {
        Ok(match *wanted {
            Recalled::Range { from, to } if to <= stored.next_seq => Ok(SeqRange { from, to }),
            Recalled::Range { .. } => {
                let reason = format!("past what was minted: at most {}", stored.next_seq);
                Err(InvalidRequest::one("to_seq", reason))
            }
            Recalled::Batch(batch_id) => {
                let statement = "SELECT from_seq, to_seq FROM batches WHERE batch_id = ?";
                match first(&self.storage, statement, &[batch_id.into()])? {
                    Some(row) => Ok(SeqRange { from: row.number(0), to: row.number(1) }),
                    None => Err(InvalidRequest::one("batch_id", "no such batch of this campaign")),
                }
            }
            Recalled::All => {
                if stored.aliased {
                    stored.next_seq = stored.next_seq.max(stored.alias_seq + 1);
                }
                if stored.next_seq == 0 {
                    Err(InvalidRequest::one("all", "nothing was minted"))
                } else {
                    Ok(SeqRange { from: 0, to: stored.next_seq })
                }
            }
        })
    }

    fn shown_recall(&self, row: &Row) -> Result<RecallResource, Fault> {
        let recall: RecallResource = row.json(1)?;
        Ok(RecallResource { in_force: self.behind(row.number(2))?.is_empty(), ..recall })
    }

    pub(crate) fn recalls(&self, page: &PageQuery) -> Result<Answer, Fault> {
        if self.stored()?.is_none() {
            return Answer::error(&ProtocolError::NotFound, INSTANCE_RECALLS);
        }
        let statement = "SELECT n, doc, version FROM recalls WHERE (?1 IS NULL OR n < ?1) ORDER BY n DESC LIMIT ?2";
        let mut rows = query(&self.storage, statement, &[page.before.into(), (page.limit + 1).into()])?;
        let next_cursor = cut(&mut rows, page.limit);
        let items = rows.iter().map(|row| self.shown_recall(row)).collect::<Result<Vec<_>, Fault>>()?;
        Answer::json(200, &Page { items, next_cursor })
    }

    pub(crate) fn recall_answer(&self, status: u16, recall_id: &str) -> Result<Answer, Fault> {
        let statement = "SELECT n, doc, version FROM recalls WHERE recall_id = ?";
        let Some(row) = first(&self.storage, statement, &[recall_id.into()])? else {
            return Answer::error(&ProtocolError::NotFound, INSTANCE_RECALL);
        };
        let answer = Answer::json(status, &self.shown_recall(&row)?)?;
        if status != 201 {
            return Ok(answer);
        }
        let campaign = self.stored()?.and_then(|stored| stored.definition.campaign).unwrap_or_default();
        Ok(answer.header("Location", format!("/v1/campaigns/{campaign}/recalls/{recall_id}")))
    }
}
