//! Searching and exporting redemptions.
//!
//! Who is named by id or number is asked themselves: that is exact at once. Everything else is in the Recorders of the
//! months, which lag by seconds. The newest come first, in lists and in exports: what is added while somebody reads
//! stands before the place where they began.

use crate::answer::Answer;
use crate::calls::{MemberCall, MemberOp};
use crate::figures::months;
use crate::history::wanted;
use crate::inbound::{Inbound, Stop, stop_invalid};
use crate::objects::{Objects, read_json};
use crate::platform::Fault;
use crate::recorder_calls::{ListPlace, Listing, RecorderOp, RedemptionsQuery, recorder_name};
use counterfoil_core::ids::Mref;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::protocol::report::month_of;
use counterfoil_core::search::Filter;
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Role, valid_sub};
use counterfoil_core::wire::{InvalidRequest, ListedRedemption, Page, RedemptionStatus, redemption_csv};
use futures_util::stream;
use worker::{Env, Headers, Response};

/// Expected of instants in queries.
const INSTANT: &str = "an instant such as 2026-11-21T09:30:00Z";
/// Redemptions that an export reads at once.
const EXPORTED_AT_ONCE: u32 = 1_000;

/// A format of exports.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Jsonl,
}

/// Which redemptions are looked for, and who knows them.
struct Search {
    merchant: MerchantId,
    filter: Filter,
    source: Source,
}

enum Source {
    /// Nobody: there are none.
    Nobody,
    /// The member that was named.
    Member(Mref),
    /// The Recorders of these months, the newest first.
    Recorders(Vec<String>),
}

impl Inbound<'_> {
    pub(crate) fn take_flag(&mut self, name: &str) -> Result<bool, Stop> {
        let flag = self.take_as(name, "1, or nothing", |text| (text == "1").then_some(true))?;
        Ok(flag.unwrap_or_default())
    }

    pub(crate) fn take_instant(&mut self, name: &str) -> Result<Option<Instant>, Stop> {
        self.take_as(name, INSTANT, Instant::parse)
    }

    /// A text that somebody has given to something.
    fn take_text(&mut self, name: &str) -> Result<Option<String>, Stop> {
        self.take_as(name, "1 to 255 characters, not blank, no control characters", |text| {
            valid_sub(text).then(|| text.to_owned())
        })
    }

    /// What is looked for; each condition may stand alone, and all that are given must hold.
    async fn take_search(&mut self, objects: &Objects<'_>) -> Result<Search, Stop> {
        let status = |text: &str| RedemptionStatus::ALL.into_iter().find(|status| status.name() == text);
        let number = |text: &str| text.parse().ok().filter(|n: &u16| *n > 0 && !text.starts_with(['0', '+']));
        let mut filter = Filter {
            status: self.take_as("status", "a redemption's status", status)?,
            campaign: self.take_as("campaign", "a campaign's number", number)?,
            seq: None,
            batch_id: self.take_text("batch_id")?,
            reference: self.take_text("reference")?,
            order: self.take_text("order")?,
            staff: self.take_text("staff")?,
            from: self.take_instant("from")?,
            to: self.take_instant("to")?,
            since: self.take_instant("since")?,
            testers: self.take_flag("testers")?,
        };
        let (member_id, phone, code) = (self.take_text("member_id")?, self.take("phone")?, self.take("code")?);
        let merchant = self.principal.merchant.clone();
        let (mut nobody, mut member) = (filter.is_empty(), None);
        if let Some(code) = code {
            match self.code_of_query(objects, &code).await? {
                Some((campaign, seq)) if filter.campaign.is_none_or(|wanted| wanted == campaign) => {
                    (filter.campaign, filter.seq) = (Some(campaign), Some(seq));
                }
                Some(_) | None => nobody = true,
            }
        }
        if let Some(member_id) = member_id {
            member = Some(self.config.id_key.mref(&merchant, &member_id));
        }
        if let Some(phone) = phone {
            let holder = self.holder_of(objects, &phone).await?;
            nobody |= holder.is_none() || member.is_some_and(|member| Some(member) != holder);
            member = member.or(holder);
        }
        let source = match member {
            _ if nobody => Source::Nobody,
            Some(mref) => Source::Member(mref),
            None => {
                let known = months(merchant.as_str(), objects).await?;
                Source::Recorders(wanted(known, filter.from, filter.to, None))
            }
        };
        Ok(Search { merchant, filter, source })
    }

    /// The campaign of a code or of a word, and its number there; `None` where it is not known. An administrator's
    /// look-up counts no attempt.
    async fn code_of_query(&self, objects: &Objects<'_>, text: &str) -> Result<Option<(u16, u32)>, Stop> {
        let submitted = self.submitted(text)?;
        let gate = self.gate(objects).await?;
        let nobody = self.config.id_key.mref(&self.principal.merchant, "");
        let read = self.recognise(objects, &submitted, &gate, &nobody).await?;
        Ok(read.map(|read| (read.campaign, read.seq)))
    }

    /// A cursor of a list of redemptions. One that names no redemption of this merchant, or of another member than that
    /// whose are listed, is none of its.
    fn take_place(&mut self, search: &Search) -> Result<Option<ListPlace>, Stop> {
        let (key, merchant) = (&self.config.id_key, self.principal.merchant.clone());
        let place = |text: &str| {
            let (created_at, id) = text.split_once('.')?;
            let rid = key.read_redemption(&merchant, id)?;
            let fits = match &search.source {
                Source::Member(mref) => rid.mref() == *mref,
                Source::Recorders(_) | Source::Nobody => true,
            };
            let created_at = Instant(created_at.parse().ok()?);
            fits.then(|| ListPlace { created_at, redemption_id: id.to_owned() })
        };
        self.take_as("cursor", "a next_cursor of this list", place)
    }
}

impl Search {
    /// The next that pass, and where to go on; there may be fewer than `limit` before that place.
    async fn next(
        &self,
        objects: &Objects<'_>,
        before: Option<&ListPlace>,
        limit: u32,
    ) -> Result<(Vec<ListedRedemption>, Option<ListPlace>), Fault> {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut items = vec![];
        // One more says whether there are more.
        let asked = |found: usize| RedemptionsQuery {
            before: before.cloned(),
            limit: limit + 1 - u32::try_from(found).unwrap_or(limit),
            filter: self.filter.clone(),
        };
        let (months, mref): (&[String], Option<&Mref>) = match &self.source {
            Source::Nobody => (&[], None),
            Source::Member(mref) => (&[], Some(mref)),
            Source::Recorders(months) => (months, None),
        };
        let mut stopped = None;
        if let Some(mref) = mref {
            let Listing { items: found, stopped_at } = self.ask_member(objects, mref, asked(0)).await?;
            (items, stopped) = (found, stopped_at);
        }
        let begin = before.map(|place| month_of(place.created_at));
        for month in months.iter().filter(|month| begin.as_ref().is_none_or(|begin| *month <= begin)) {
            let recorder = recorder_name(self.merchant.as_str(), month);
            let op = RecorderOp::Redemptions(asked(items.len()));
            let Listing { items: found, stopped_at } = objects.recorder(&recorder, &op).await?;
            items.extend(found);
            stopped = stopped_at;
            if stopped.is_some() || items.len() > most {
                break;
            }
        }
        if items.len() > most {
            items.truncate(most);
            stopped = items.last().map(place_of);
        }
        Ok((items, stopped))
    }

    /// Asks the member. Who was erased has none any more, and who has never been here none yet.
    async fn ask_member(&self, objects: &Objects<'_>, mref: &Mref, asked: RedemptionsQuery) -> Result<Listing, Fault> {
        let (instance, op) = (String::new(), MemberOp::Search(asked));
        let call = MemberCall::without_id(instance, op);
        read_json(objects.member(&self.merchant, mref, &call).await?).await
    }
}

fn place_of(item: &ListedRedemption) -> ListPlace {
    ListPlace { created_at: item.redemption.created_at, redemption_id: item.redemption.redemption_id.clone() }
}

/// `GET /v1/redemptions?all=1`: those of all members, the newest first.
pub(crate) async fn list(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    inbound.take_flag("all")?;
    let limit = inbound.take_limit()?;
    let search = inbound.take_search(objects).await?;
    let place = inbound.take_place(&search)?;
    let (items, next) = search.next(objects, place.as_ref(), limit).await?;
    let next_cursor = next.map(|place| format!("{}.{}", place.created_at.0, place.redemption_id));
    Ok(Answer::json(200, &Page { items, next_cursor })?.into_response()?)
}

/// Where the stream of an export stands.
struct Export {
    env: Env,
    search: Search,
    format: Format,
    place: Option<ListPlace>,
    begun: bool,
    done: bool,
}

impl Export {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<worker::Result<Vec<u8>>> {
        if !self.begun {
            self.begun = true;
            if self.format == Format::Csv {
                return Some(Ok(redemption_csv::header().into_bytes()));
            }
        }
        loop {
            if self.done {
                return None;
            }
            match self.piece().await {
                // A stretch without any that pass.
                Ok(text) if text.is_empty() => {}
                Ok(text) => return Some(Ok(text.into_bytes())),
                Err(fault) => {
                    // A broken stream is never taken for a whole file: it ends without its last chunk.
                    self.done = true;
                    fault.log("export_failed");
                    return Some(Err(fault.into()));
                }
            }
        }
    }

    async fn piece(&mut self) -> Result<String, Fault> {
        let (items, place) = self.search.next(&Objects(&self.env), self.place.as_ref(), EXPORTED_AT_ONCE).await?;
        self.done = place.is_none();
        self.place = place;
        let line = |item: &ListedRedemption| match self.format {
            Format::Csv => Ok(redemption_csv::line(item)),
            Format::Jsonl => Ok(serde_json::to_string(item)? + "\n"),
        };
        items.iter().map(line).collect()
    }
}

/// `GET /v1/redemptions/export`: everything that a list with these conditions has, as CSV or one JSON object a line.
pub(crate) async fn export(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    inbound.take_flag("all")?;
    let format = inbound.take_as("format", "csv or jsonl", |text| match text {
        "csv" => Some(Format::Csv),
        "jsonl" => Some(Format::Jsonl),
        _ => None,
    })?;
    for name in ["cursor", "limit"] {
        if inbound.take(name)?.is_some() {
            let invalid = InvalidRequest::one(&format!("query {name}"), "an export is whole; narrow it by from and to");
            return stop_invalid(invalid, inbound.instance);
        }
    }
    let search = inbound.take_search(objects).await?;
    let format = format.unwrap_or(Format::Csv);
    let (kind, ending) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Jsonl => ("application/x-ndjson", "jsonl"),
    };
    let headers = Headers::new();
    headers.set("Content-Type", kind)?;
    let name = format!("attachment; filename=\"{}-redemptions.{ending}\"", search.merchant.as_str());
    headers.set("Content-Disposition", &name)?;
    headers.set("Cache-Control", "no-store")?;
    let export = Export { env: objects.0.clone(), search, format, place: None, begun: false, done: false };
    let pieces = stream::unfold(export, |mut export| async move { export.next().await.map(|piece| (piece, export)) });
    Ok(Response::from_stream(pieces)?.with_headers(headers))
}
