//! What administrators ask of a Pool: its resource, uploads, the quarantine.

use crate::answer::Answer;
use crate::audit_log;
use crate::calls::{Once, PageQuery};
use crate::config::Config;
use crate::merchant::cut;
use crate::once::{self, Seen};
use crate::platform::{Fault, now};
use crate::pool::{Inner, Stored};
use crate::pool_calls::{Added, Progress, Slice};
use crate::pool_store::Place;
use crate::sql::Row;
use counterfoil_core::audit::Draft;
use counterfoil_core::ids::Rid;
use counterfoil_core::time::Instant;
use counterfoil_core::wallet::Names;
use counterfoil_core::wire::{
    InvalidRequest, NewPool, Page, PoolFigures, ProtocolError, QuarantinedCode, ReleaseBody, merge_patch, parse,
};
use serde_json::json;
use std::rc::Rc;

pub(crate) const INSTANCE_QUARANTINE: &str = "/v1/pools/{pool_id}/quarantine";

/// What a command answers, or why there is no answer; a fault is a failure to decide.
type Decided = Result<Result<Answer, ProtocolError>, Fault>;

impl Inner {
    /// A repeated creation (the first answer was lost) changes nothing.
    pub(crate) fn create(&self, name: &str, new: NewPool, by: &str) -> Result<Answer, Fault> {
        if self.stored().is_none() {
            *self.name.borrow_mut() = Some(name.to_owned());
            let stored = Stored { pool: new, version: 1 };
            self.storage.transaction(|| {
                self.store().set_meta("name", name)?;
                self.store().set_meta("pool", &serde_json::to_string(&stored)?)?;
                self.note(&Draft::new(by, "pool.created").data(serde_json::to_value(&stored.pool)?), vec![])
            })?;
            *self.stored.borrow_mut() = Some(Rc::new(stored));
            audit_log::hurry(&self.storage)?;
        }
        let stored = self.stored().ok_or_else(|| Fault::new("a pool was not stored"))?;
        let pool_id = stored.pool.pool_id.clone().unwrap_or_default();
        Ok(self.resource_answer(201, &stored)?.header("Location", format!("/v1/pools/{pool_id}")))
    }

    /// Runs an administrator's command in one transaction. A refused one leaves an audit entry.
    pub(crate) fn decide(
        &self,
        by: &str,
        instance: &'static str,
        command: impl FnOnce(&Stored) -> Decided,
    ) -> Result<Answer, Fault> {
        let Some(stored) = self.stored() else { return Answer::error(&ProtocolError::NotFound, instance) };
        let answer = self.storage.transaction(|| match command(&stored)? {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.note(&audit_log::refused(by, None, instance, &error), vec![])?;
                Answer::error(&error, instance)
            }
        })?;
        audit_log::hurry(&self.storage)?;
        Ok(answer)
    }

    pub(crate) fn resource_answer(&self, status: u16, stored: &Stored) -> Result<Answer, Fault> {
        let resource = self.resource(&stored.pool, &self.store().counters()?)?;
        Ok(Answer::json(status, &resource)?.header("ETag", format!("\"{}\"", stored.version)))
    }

    pub(crate) fn figures(&self) -> Result<Option<PoolFigures>, Fault> {
        let Some(stored) = self.stored() else { return Ok(None) };
        let counters = self.store().counters()?;
        let pool = self.resource(&stored.pool, &counters)?;
        Ok(Some(PoolFigures { low: pool.free < pool.alert_below, pool, shortages: counters.shortages }))
    }

    /// RFC 7396 over name and threshold.
    pub(crate) fn patch(&self, stored: &Stored, if_match: Option<u32>, patch: &serde_json::Value, by: &str) -> Decided {
        let Some(if_match) = if_match else { return Ok(Err(ProtocolError::PreconditionRequired)) };
        if if_match != stored.version {
            return Ok(Err(ProtocolError::VersionMismatch));
        }
        let mut merged = serde_json::to_value(&stored.pool)?;
        merge_patch(&mut merged, patch);
        let pool = match parse::<NewPool>(&serde_json::to_vec(&merged)?).and_then(|pool| pool.checked("")) {
            Ok(pool) if pool.pool_id != stored.pool.pool_id => {
                return Ok(Err(ProtocolError::InvalidRequest(InvalidRequest::one("pool_id", "never changes"))));
            }
            Ok(pool) => pool,
            Err(invalid) => return Ok(Err(ProtocolError::InvalidRequest(invalid))),
        };
        let mut stored = stored.clone();
        if pool != stored.pool {
            stored = Stored { pool, version: stored.version + 1 };
            self.store().set_meta("pool", &serde_json::to_string(&stored)?)?;
            let data = json!({ "version": stored.version, "patch": patch });
            self.note(&Draft::new(by, "pool.changed").data(data), vec![])?;
            self.watch(&stored, true)?;
        }
        self.resource_answer(200, &stored).map(Ok)
    }

    /// Adds a part of an upload, unless it was added before under the same key.
    pub(crate) fn add(&self, slice: &Slice) -> Result<Added, Fault> {
        let Some(stored) = self.stored() else { return Ok(Added::NotFound) };
        let mut progress = match once::seen(&self.storage, slice.once.as_ref(), now())? {
            Seen::Same(text) => counterfoil_core::json::read::<Progress>(&text)?,
            Seen::Other => return Ok(Added::KeyReused),
            Seen::New => Progress::default(),
        };
        if progress.finished {
            return Ok(Added::Replayed(progress));
        }
        if slice.once.is_some() && slice.index < progress.slices {
            return Ok(Added::Progress(progress));
        }
        let given = u64::try_from(slice.codes.len()).unwrap_or(u64::MAX);
        let added = self.store().add(&slice.codes)?;
        progress.slices = slice.index + 1;
        progress.finished = slice.last;
        progress.added += added;
        progress.duplicates += given - added;
        progress.free = self.store().counters()?.stock.free;
        once::keep(&self.storage, slice.once.as_ref(), &serde_json::to_string(&progress)?, now())?;
        if given > 0 {
            let data = json!({ "added": added, "duplicates": given - added, "slice": slice.index });
            self.note(&Draft::new(&slice.by, "pool.uploaded").data(data), vec![])?;
        }
        self.watch(&stored, false)?;
        Ok(Added::Progress(progress))
    }

    pub(crate) fn quarantined(&self, page: &PageQuery) -> Result<Answer, Fault> {
        if self.stored().is_none() {
            return Answer::error(&ProtocolError::NotFound, INSTANCE_QUARANTINE);
        }
        let mut rows = self.store().quarantined(page.before, page.limit + 1)?;
        let next_cursor = cut(&mut rows, page.limit);
        let config = Config::of(&self.env)?;
        let (merchant, _) = self.merchant_and_id()?;
        let names = Names { key: &config.id_key, merchant: &merchant };
        let item = |row: &Row| {
            Ok(QuarantinedCode {
                code: row.text(1)?,
                redemption_id: Rid::from_bytes(&row.blob(2)).map(|rid| names.redemption(&rid)),
                at: Instant(row.integer(3)),
            })
        };
        let items = rows.iter().map(item).collect::<Result<Vec<_>, Fault>>()?;
        Answer::json(200, &Page { items, next_cursor })
    }

    /// An operator says that codes of the quarantine can be handed out again. One that is free already stays so.
    pub(crate) fn release(&self, stored: &Stored, body: &ReleaseBody, by: &str, once: Option<&Once>) -> Decided {
        match once::seen(&self.storage, once, now())? {
            Seen::Same(_) => {
                return Ok(Ok(self.resource_answer(200, stored)?.header("Idempotent-Replayed", "true")));
            }
            Seen::Other => return Ok(Err(ProtocolError::IdempotencyKeyReused)),
            Seen::New => {}
        }
        let released = match &body.codes {
            None => self.store().release_all()?,
            Some(codes) => {
                let mut errors = InvalidRequest::default();
                let mut wanted = vec![];
                for (index, code) in codes.iter().enumerate() {
                    match self.store().place(code)? {
                        Some(Place::Quarantined(n)) => wanted.push(n),
                        Some(Place::Free) => {}
                        Some(Place::Used) => errors.add(&format!("codes[{index}]"), "belongs to a redemption"),
                        None => errors.add(&format!("codes[{index}]"), "not a promo code of this pool"),
                    }
                }
                if let Err(invalid) = errors.into_result() {
                    return Ok(Err(ProtocolError::InvalidRequest(invalid)));
                }
                // One that is named twice is released once.
                wanted.sort_unstable();
                wanted.dedup();
                wanted.iter().try_for_each(|n| self.store().release(*n))?;
                u64::try_from(wanted.len()).unwrap_or(u64::MAX)
            }
        };
        once::keep(&self.storage, once, "", now())?;
        let draft = Draft::new(by, "pool.released").reason(Some(&body.reason));
        self.note(&draft.data(json!({ "codes": released })), vec![])?;
        self.watch(stored, false)?;
        self.resource_answer(200, stored).map(Ok)
    }
}
