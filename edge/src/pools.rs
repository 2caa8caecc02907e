//! An administrator's calls about pools of promo codes.

use crate::administer::canonical;
use crate::answer::Answer;
use crate::calls::PageQuery;
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::merchant_calls::{MerchantOp, PoolEnrolment, PoolsPage};
use crate::objects::{Objects, read_json};
use crate::platform::Fault;
use crate::pool_calls::{Added, FiguresAnswer, PoolOp, Progress, Slice, pool_name};
use counterfoil_core::ids::Fingerprint;
use counterfoil_core::limits::{PAGE_ROWS_MAX, UPLOAD_REFUSED_SHOWN, UPLOAD_SLICE_BYTES, UPLOAD_SLICE_CODES};
use counterfoil_core::token::Role;
use counterfoil_core::upload::{Format, Lines, text};
use counterfoil_core::wire::{
    InvalidRequest, NewPool, Page, PoolFigures, PoolResource, ProtocolError, RefusedLine, ReleaseBody, UploadAnswer,
    valid_pool_id,
};
use futures_util::future::try_join_all;
use std::time::Duration;
use worker::{Delay, Headers, Response};

/// Between two slices of an upload.
const SLICE_PAUSE: Duration = Duration::from_millis(10);
/// Pools of one page are read together.
const POOLS_PER_PAGE_MAX: u32 = 40;

/// `POST /v1/pools`: the Merchant gives it its id, then its own object keeps it. When the answer is lost in between,
/// the same key makes the same pool.
pub(crate) async fn create(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let body = inbound.body()?;
    let new: NewPool = inbound.parse(&body)?;
    let once = inbound.once("", &canonical(&body))?;
    let merchant = inbound.principal.merchant.as_str();
    let by = inbound.principal.actor();
    let op = MerchantOp::EnrolPool { new: new.clone(), by: by.clone(), once };
    let enrolled = objects.merchant(merchant, &op).await?;
    let PoolEnrolment { new, replayed } = match (enrolled.status_code(), &new.pool_id) {
        (200, _) => read_json(enrolled).await?,
        // An id whose creation never finished has no pool yet: it is made now.
        (409, Some(pool_id)) => {
            let read = objects.pool_answer(&pool_name(merchant, pool_id), &PoolOp::Read).await?;
            if read.status_code() != 404 {
                return Ok(enrolled);
            }
            PoolEnrolment { new, replayed: false }
        }
        (_, _) => return Ok(enrolled),
    };
    let name = pool_name(merchant, new.pool_id.as_deref().unwrap_or_default());
    let created = objects.pool_answer(&name, &PoolOp::Create { new, by }).await?;
    if !replayed {
        return Ok(created);
    }
    let headers = Headers::new();
    for (name, value) in created.headers().entries() {
        headers.append(&name, &value)?;
    }
    headers.set("Idempotent-Replayed", "true")?;
    Ok(created.with_headers(headers))
}

/// `GET /v1/pools`.
pub(crate) async fn list(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let mut page = inbound.take_page()?;
    page.limit = page.limit.min(POOLS_PER_PAGE_MAX);
    let merchant = inbound.principal.merchant.as_str();
    let PoolsPage { pools, next_cursor } =
        read_json(objects.merchant(merchant, &MerchantOp::Pools(page)).await?).await?;
    let read = pools.iter().map(|pool_id| async move {
        let response = objects.pool_answer(&pool_name(merchant, pool_id), &PoolOp::Read).await?;
        // An id whose creation never finished has no pool yet.
        if response.status_code() == 404 {
            return Ok(None);
        }
        read_json::<PoolResource>(response).await.map(Some)
    });
    let items: Vec<PoolResource> = try_join_all(read).await?.into_iter().flatten().collect();
    Ok(Answer::json(200, &Page { items, next_cursor })?.into_response()?)
}

impl Inbound<'_> {
    /// Object name of a pool of this merchant. No object is named after what cannot be an id.
    fn pool(&self, pool_id: &str) -> Result<String, Stop> {
        self.need(&[Role::Admin])?;
        if !valid_pool_id(pool_id) {
            return stop(&ProtocolError::NotFound, self.instance);
        }
        Ok(pool_name(self.principal.merchant.as_str(), pool_id))
    }
}

/// `GET /v1/pools/{pool_id}`.
pub(crate) async fn read(inbound: Inbound<'_>, objects: &Objects<'_>, pool_id: String) -> Result<Response, Stop> {
    let name = inbound.pool(&pool_id)?;
    Ok(objects.pool_answer(&name, &PoolOp::Read).await?)
}

/// `PATCH /v1/pools/{pool_id}`.
pub(crate) async fn patch(mut inbound: Inbound<'_>, objects: &Objects<'_>, pool_id: String) -> Result<Response, Stop> {
    let name = inbound.pool(&pool_id)?;
    let patch = inbound.patch()?;
    let op = PoolOp::Patch { if_match: inbound.if_match()?, patch, by: inbound.principal.actor() };
    Ok(objects.pool_answer(&name, &op).await?)
}

/// `GET /v1/pools/{pool_id}/quarantine`.
pub(crate) async fn quarantine(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    pool_id: String,
) -> Result<Response, Stop> {
    let name = inbound.pool(&pool_id)?;
    let page = inbound.take_page()?;
    Ok(objects.pool_answer(&name, &PoolOp::Quarantine(page)).await?)
}

/// `POST /v1/pools/{pool_id}/quarantine/release`.
pub(crate) async fn release(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    pool_id: String,
) -> Result<Response, Stop> {
    let name = inbound.pool(&pool_id)?;
    let bytes = inbound.body()?;
    let body: ReleaseBody = inbound.parse(&bytes)?;
    if let Err(invalid) = body.validate() {
        return stop_invalid(invalid, inbound.instance);
    }
    let once = inbound.once(&pool_id, &canonical(&bytes))?;
    let op = PoolOp::Release { body, by: inbound.principal.actor(), once };
    Ok(objects.pool_answer(&name, &op).await?)
}

/// `POST /v1/pools/{pool_id}/codes`: read wholly and judged line by line, then committed in slices, so that redemptions
/// go on meanwhile. Broken off in between and repeated, codes that are there already are duplicates; with a key, the
/// upload goes on where it ended, and its counts are those of a single one.
pub(crate) async fn upload(mut inbound: Inbound<'_>, objects: &Objects<'_>, pool_id: String) -> Result<Response, Stop> {
    let name = inbound.pool(&pool_id)?;
    let Some(body) = inbound.body.take() else { return stop(&ProtocolError::TooLarge, inbound.instance) };
    let content_type = inbound.request.headers().get("Content-Type")?.unwrap_or_default();
    let Some(format) = Format::of(&content_type) else {
        return stop(&ProtocolError::UnsupportedMediaType, inbound.instance);
    };
    let text = match text(&body) {
        Ok(text) => text,
        Err(error) => return stop_invalid(InvalidRequest::one("body", error.to_string()), inbound.instance),
    };
    let mut once = inbound.once(&pool_id, b"")?;
    if let Some(once) = &mut once {
        once.fp = Fingerprint::of(&[format.name().as_bytes(), &body]);
    }
    let by = inbound.principal.actor();
    let mut lines = Lines::of(text, format).peekable();
    let (mut refused, mut refused_total) = (vec![], 0);
    let (mut sum, mut replayed) = (Progress::default(), false);
    let mut index = 0;
    loop {
        let (mut codes, mut bytes) = (vec![], 0);
        while codes.len() < UPLOAD_SLICE_CODES && bytes < UPLOAD_SLICE_BYTES {
            let Some(line) = lines.next() else { break };
            match line.code {
                Ok(code) => {
                    bytes += code.len();
                    codes.push(code.into_owned());
                }
                Err(reason) => {
                    refused_total += 1;
                    if refused.len() < UPLOAD_REFUSED_SHOWN {
                        refused.push(RefusedLine { line: line.number, reason });
                    }
                }
            }
        }
        let last = lines.peek().is_none();
        // Uploaded before, what is refused is counted all the same.
        if !replayed {
            let slice = Slice { codes, index, last, by: by.clone(), once: once.clone() };
            match objects.pool(&name, &PoolOp::Add(slice)).await? {
                Added::Progress(progress) if once.is_some() => sum = progress,
                Added::Progress(Progress { added, duplicates, free, .. }) => {
                    sum.added += added;
                    sum.duplicates += duplicates;
                    sum.free = free;
                }
                Added::Replayed(progress) => (sum, replayed) = (progress, true),
                Added::KeyReused => return stop(&ProtocolError::IdempotencyKeyReused, inbound.instance),
                Added::NotFound => return stop(&ProtocolError::NotFound, inbound.instance),
            }
        }
        if last {
            break;
        }
        index += 1;
        if !replayed {
            // Where Worker and objects share a thread, what has come in meanwhile has its turn.
            Delay::from(SLICE_PAUSE).await;
        }
    }
    let Progress { added, duplicates, free, .. } = sum;
    let answer = Answer::json(200, &UploadAnswer { added, duplicates, refused, refused_total, free })?;
    Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer }.into_response()?)
}

/// Every pool of a merchant, for its figures.
pub(crate) async fn figures(objects: &Objects<'_>, merchant: &str) -> Result<Vec<PoolFigures>, Fault> {
    let mut all = vec![];
    let mut before = None;
    loop {
        let page = PageQuery { before, limit: PAGE_ROWS_MAX };
        let PoolsPage { pools, next_cursor } =
            read_json(objects.merchant(merchant, &MerchantOp::Pools(page)).await?).await?;
        let asked = pools.iter().map(|pool_id| async move {
            let answer: FiguresAnswer = objects.pool(&pool_name(merchant, pool_id), &PoolOp::Figures).await?;
            Ok::<_, Fault>(answer.figures)
        });
        all.extend(try_join_all(asked).await?.into_iter().flatten());
        before = next_cursor.and_then(|cursor| cursor.parse().ok());
        if before.is_none() {
            return Ok(all);
        }
    }
}
