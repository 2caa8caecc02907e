//! What administrators read of everything that happened: the audit log and its export, figures, and the invariants over
//! live objects. Redemptions are in `search.rs`.
//!
//! Lists go back month by month, each of which has its Recorder. They lag by seconds; balances never come from here.

use crate::answer::Answer;
use crate::calls::{CampaignOp, MemberCall, MemberOp, Violations};
use crate::figures::{self, months};
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::objects::{Objects, campaign_name, read_json};
use crate::platform::{Fault, now};
use crate::pool_calls::{PoolOp, pool_name};
use crate::recorder_calls::{Entries, EntriesQuery, ExportBounds, ExportPage, ExportPlace, RecorderOp, recorder_name};
use counterfoil_core::audit::Header;
use counterfoil_core::protocol::report::month_of;
use counterfoil_core::time::{Date, Instant};
use counterfoil_core::token::{Role, valid_sub};
use counterfoil_core::wire::{InvalidRequest, Page, ProtocolError, VerifyAnswer, VerifyBody, valid_pool_id};
use futures_util::stream;
use worker::{Env, Headers, Response};

/// Whether `GET /v1/redemptions` asks for those of all members.
pub(crate) fn asks_for_all(query: &[(String, String)]) -> bool {
    query.iter().any(|(name, _)| name == "all")
}

/// Of these months those that can hold something between two instants, from where a list goes on.
pub(crate) fn wanted(
    months: Vec<String>,
    from: Option<Instant>,
    to: Option<Instant>,
    begin: Option<&str>,
) -> Vec<String> {
    let (first, last) = (from.map(month_of), to.map(month_of));
    let fits = |month: &String| {
        first.as_ref().is_none_or(|first| month >= first)
            && last.as_ref().is_none_or(|last| month <= last)
            && begin.is_none_or(|begin| month.as_str() <= begin)
    };
    months.into_iter().filter(fits).collect()
}

impl Inbound<'_> {
    async fn ask_recorder<T: serde::de::DeserializeOwned>(
        &self,
        objects: &Objects<'_>,
        month: &str,
        op: &RecorderOp,
    ) -> Result<T, Fault> {
        objects.recorder(&recorder_name(self.principal.merchant.as_str(), month), op).await
    }
}

/// `GET /v1/audit`: entries of all objects, the newest first.
pub(crate) async fn audit(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let place = |text: &str| {
        let (month, id) = text.split_once('.')?;
        Some((month_known(month)?, id.parse().ok().filter(|id: &u64| *id > 0)?))
    };
    let limit = inbound.take_limit()?;
    let cursor = inbound.take_as("cursor", "a next_cursor of this list", place)?;
    let mut asked = EntriesQuery {
        before: None,
        limit: limit + 1,
        object: inbound.take("object")?,
        action: inbound.take("action")?,
        subject: inbound.take("subject")?,
        from: inbound.take_instant("from")?,
        to: inbound.take_instant("to")?,
    };
    let begin = cursor.as_ref().map(|(month, _)| month.as_str());
    let mut items = vec![];
    for month in wanted(months(inbound.principal.merchant.as_str(), objects).await?, asked.from, asked.to, begin) {
        asked.before = cursor.as_ref().filter(|(begin, _)| *begin == month).map(|(_, id)| *id);
        let Entries { items: more } =
            inbound.ask_recorder(objects, &month, &RecorderOp::Entries(asked.clone())).await?;
        asked.limit -= u32::try_from(more.len()).unwrap_or(asked.limit).min(asked.limit);
        items.extend(more.into_iter().map(|(id, row)| (month.clone(), id, row)));
        if asked.limit == 0 {
            break;
        }
    }
    let more = asked.limit == 0;
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = items.last().filter(|_| more).map(|(month, id, _)| format!("{month}.{id}"));
    let items: Vec<_> = items.into_iter().map(|(_, _, row)| row).collect();
    Ok(Answer::json(200, &Page { items, next_cursor })?.into_response()?)
}

/// A month that exists, such as `2026-11`.
fn month_known(text: &str) -> Option<String> {
    Date::parse(&format!("{text}-01")).map(|_| text.to_owned())
}

/// Where the stream of an export stands.
struct Export {
    env: Env,
    recorder: String,
    /// The first line, until it is written.
    header: Option<Header>,
    bounds: ExportBounds,
    place: ExportPlace,
    done: bool,
}

impl Export {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<worker::Result<Vec<u8>>> {
        if let Some(header) = self.header.take() {
            return Some(Ok((header.line() + "\n").into_bytes()));
        }
        if self.done {
            return None;
        }
        let op = RecorderOp::Export { after: self.place, bounds: self.bounds };
        match Objects(&self.env).recorder::<ExportPage>(&self.recorder, &op).await {
            Ok(ExportPage { text, place, done }) => {
                // A page that brings nothing forward would be asked for again and again.
                self.done = done || place == self.place;
                self.place = place;
                Some(Ok(text.into_bytes()))
            }
            Err(fault) => {
                // A broken stream is never taken for a whole file.
                self.done = true;
                fault.log("export_failed");
                Some(Err(fault.into()))
            }
        }
    }
}

/// `GET /v1/audit/export`: a month's entries and seals in the order of recording, one JSON object a line.
pub(crate) async fn export(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let month = inbound.take_as("month", "a month such as 2026-11", month_known)?.unwrap_or_else(|| month_of(now()));
    if !months(inbound.principal.merchant.as_str(), objects).await?.contains(&month) {
        return stop(&ProtocolError::NotFound, inbound.instance);
    }
    let merchant = inbound.principal.merchant.as_str();
    let recorder = recorder_name(merchant, &month);
    let bounds: ExportBounds = objects.recorder(&recorder, &RecorderOp::ExportBounds).await?;
    let header = Header { recorder: recorder.clone(), at: now(), entries: bounds.entries, seals: bounds.seals };
    let place = ExportPlace::default();
    let done = bounds.entries == 0;
    let export = Export { env: objects.0.clone(), recorder, header: Some(header), bounds, place, done };
    let pieces = stream::unfold(export, |mut export| async move { export.next().await.map(|piece| (piece, export)) });
    let headers = Headers::new();
    headers.set("Content-Type", "application/x-ndjson")?;
    headers.set("Content-Disposition", &format!("attachment; filename=\"{merchant}-{month}.jsonl\""))?;
    Ok(Response::from_stream(pieces)?.with_headers(headers))
}

/// `GET /v1/stats`.
pub(crate) async fn stats(inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let stats = figures::of_merchant(inbound.principal.merchant.as_str(), objects).await?;
    Ok(Answer::json(200, &stats)?.into_response()?)
}

/// `POST /v1/verify`: the invariants over live objects.
pub(crate) async fn verify(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let VerifyBody { member_id, campaign, pool_id } = inbound.json()?;
    let merchant = &inbound.principal.merchant;
    let response = match (member_id, campaign, pool_id) {
        (Some(member_id), None, None) => {
            if !valid_sub(&member_id) {
                let reason = "1 to 255 characters, not blank, no control characters";
                return stop_invalid(InvalidRequest::one("member_id", reason), inbound.instance);
            }
            let mref = inbound.config.id_key.mref(merchant, &member_id);
            let (instance, op) = (inbound.instance.to_owned(), MemberOp::Verify);
            // The id is not handed over: checking a member must not be what makes them known.
            let call = MemberCall::without_id(instance, op);
            objects.member(merchant, &mref, &call).await?
        }
        (None, Some(0), None) => {
            let invalid = InvalidRequest::one("campaign", "a campaign's number, from 1");
            return stop_invalid(invalid, inbound.instance);
        }
        (None, Some(campaign), None) => {
            objects.campaign(&campaign_name(merchant.as_str(), campaign), &CampaignOp::Verify).await?
        }
        (None, None, Some(pool_id)) if valid_pool_id(&pool_id) => {
            objects.pool_answer(&pool_name(merchant.as_str(), &pool_id), &PoolOp::Verify).await?
        }
        (None, None, Some(_)) => {
            return stop_invalid(InvalidRequest::one("pool_id", "a pool's id"), inbound.instance);
        }
        (_, _, _) => {
            let invalid = InvalidRequest::one("body", "exactly one of member_id, campaign and pool_id");
            return stop_invalid(invalid, inbound.instance);
        }
    };
    if response.status_code() == 404 {
        return stop(&ProtocolError::NotFound, inbound.instance);
    }
    let Violations { violations } = read_json(response).await?;
    Ok(Answer::json(200, &VerifyAnswer { ok: violations.is_empty(), violations })?.into_response()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_ask_only_months_that_can_hold_something() {
        let all = ["2026-11", "2026-10", "2026-08", "2025-12"];
        let at = |text: Option<&str>| text.and_then(Instant::parse);
        for (from, to, begin, expected) in [
            (None, None, None, &all[..]),
            (Some("2026-10-31T23:59:59Z"), None, None, &all[..2]),
            (None, Some("2026-10-01T00:00:00Z"), None, &all[1..]),
            (Some("2026-09-01T00:00:00Z"), Some("2026-09-30T00:00:00Z"), None, &[]),
            (None, None, Some("2026-10"), &all[1..]),
            (Some("2026-08-01T00:00:00Z"), None, Some("2026-10"), &all[1..3]),
        ] {
            let months = all.map(str::to_owned).to_vec();
            assert_eq!(wanted(months, at(from), at(to), begin), expected, "{from:?} {to:?} {begin:?}");
        }
    }
}
