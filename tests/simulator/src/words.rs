//! Words for the trace.

use crate::disk::Fault;
use crate::message::{Answer, CheckoutAnswer, Reply, Request, TillAnswer, TillCall};
use crate::oracle::Oracle;
use counterfoil_core::protocol::PrepareAnswer;

impl Oracle {
    pub(crate) fn describe(&self, request: &Request) -> String {
        match request {
            Request::Redeem(call) => {
                let how = if call.respond_async { ", respond-async" } else { "" };
                format!("redeem {}{how}", self.name(&call.rid, &call.fp))
            }
            Request::Inquire { intent, .. } => {
                format!("what became of {}", self.name(&intent.rid, &intent.fp))
            }
            Request::Recognise { facts, .. } => format!("is #{} known", facts.seq),
            Request::Prepare { intent } => {
                format!("prepare {}", self.name(&intent.rid, &intent.fp))
            }
            Request::Settle { rid, fp, fate } => format!("settle {} {fate:?}", self.name(rid, fp)),
            Request::Settled { items } => format!("settled {}", items.len()),
            Request::Undo { .. } => "undo".to_owned(),
            Request::Report(report) => format!("report {} rows", report.rows.len()),
            Request::EndpointFor { .. } => "which endpoint".to_owned(),
            Request::EndpointResult { outcome, version, waits, .. } => {
                format!("tried: {outcome:?}, version {version}, waits: {waits}")
            }
            Request::EndpointTested => "the endpoint works".to_owned(),
            Request::Hurry => "hurry".to_owned(),
            Request::Keys(call) => format!("{call:?}"),
            Request::Revoked(epochs) => format!("revoked: {epochs:?}"),
            Request::Erase => "erase".to_owned(),
            Request::Webhook(webhook) => {
                let what = if webhook.cancelled { "cancelled" } else { "fulfil" };
                format!("{what} {} try {}", short(&webhook.id), webhook.attempt)
            }
            Request::Callback { id, outcome, .. } => format!("callback {} {outcome:?}", short(id)),
            Request::Take { intent, quantity } => {
                format!("take {quantity} promo codes for {}", self.name(&intent.rid, &intent.fp))
            }
            Request::InquirePool { intent } => format!("what became of {}", self.name(&intent.rid, &intent.fp)),
            Request::Stock(stocking) => format!("{stocking:?}"),
            Request::Till(call) => match &**call {
                TillCall::Offer { reward, quantity, by, .. } => format!("{by} offers {quantity} {}", reward.reward_id),
                TillCall::CancelOffer { .. } => "cancel the offer".to_owned(),
                TillCall::Adjust { key, adjustment } => format!("adjust {key} by {}", adjustment.amount),
            },
            Request::Checkout(call) => format!("{call:?}"),
            Request::Preview { facts, .. } => format!("what of #{}", facts.seq),
            Request::Operate(order) => format!("{:?}", order.wish),
            Request::Rules(rules) => format!("rules version {}", rules.version),
            Request::Pull { .. } => "pull the rules".to_owned(),
            Request::Administer(change) => format!("{change:?}"),
            Request::Ask { version, ask, .. } => format!("asks for {:?} by version {version}", ask.need),
            Request::Returned { portions, .. } => format!("returned of {} limits", portions.len()),
            Request::HandBack { meter, given, version, .. } => {
                format!("hand back {}, {given} given, version {version}", meter.name())
            }
            Request::Read => "read".to_owned(),
        }
    }

    pub(crate) fn describe_reply(&self, reply: &Result<Reply, Fault>) -> String {
        match reply {
            Err(fault) => format!("500 {}", fault.0),
            Ok(Reply::Answer(answer)) => match answer {
                Answer::Created(_) => "201".to_owned(),
                Answer::Accepted => "202".to_owned(),
                Answer::Refused(refusal) => format!("refused: {}", refusal.code()),
                Answer::NotFound => "404".to_owned(),
                Answer::KeyReused => "422 key reused".to_owned(),
                Answer::Overflow => "400 the balance would overflow".to_owned(),
                Answer::Failed(fault) => format!("500 {}", fault.0),
            },
            Ok(Reply::Fate(fate)) => format!("{fate:?}"),
            Ok(Reply::Elsewhere(shard)) => format!("shard {shard} keeps it"),
            Ok(Reply::Allotted(allotted)) => format!("{allotted:?}"),
            Ok(Reply::HandedBack { portion, complete }) => format!("{portion:?}, complete: {complete}"),
            Ok(Reply::Recognised(known)) => format!("recognised: {known}"),
            Ok(Reply::Prepared(answer)) => match answer {
                PrepareAnswer::Prepared(_) => "prepared".to_owned(),
                PrepareAnswer::Refused { refusal, .. } => {
                    format!("no: {}", refusal.code())
                }
                PrepareAnswer::Late => "late".to_owned(),
                PrepareAnswer::Elsewhere { shard } => format!("shard {shard} keeps it"),
            },
            Ok(Reply::Taken(answer)) => format!("{answer:?}"),
            Ok(Reply::Checkout(answer)) => match answer {
                CheckoutAnswer::Held(_) => "held".to_owned(),
                CheckoutAnswer::Done => "done".to_owned(),
                CheckoutAnswer::No(why) => format!("no: {why}"),
                CheckoutAnswer::Redeemed(answer) => self.describe_reply(&Ok(Reply::Answer(answer.clone()))),
            },
            Ok(Reply::Previewed(refusal)) => {
                format!("would be refused: {}", refusal.as_ref().map_or("no", |no| no.code()))
            }
            Ok(Reply::Till(answer)) => match answer {
                TillAnswer::Refused(refusal) => format!("refused: {}", refusal.code()),
                TillAnswer::Made | TillAnswer::NotFound | TillAnswer::Illegal | TillAnswer::Overflow => {
                    format!("{answer:?}")
                }
            },
            Ok(Reply::Version(version)) => format!("works by version {version}"),
            Ok(Reply::Pulled(rules)) => format!("rules version {:?}", rules.as_ref().map(|rules| rules.version)),
            Ok(Reply::Administered { version, in_force }) => {
                format!("version {version}, in force: {in_force}")
            }
            Ok(Reply::Operated(Ok(()))) => "carried out".to_owned(),
            Ok(Reply::Operated(Err(declined))) => format!("{declined:?}"),
            Ok(Reply::Heard(refused)) => if *refused { "409" } else { "200" }.to_owned(),
            Ok(Reply::Endpoint { disabled, waiting, version }) => {
                format!("endpoint version {version}, disabled: {disabled}, waiting: {waiting}")
            }
            Ok(Reply::Http(http)) => {
                format!("HTTP {} {}", http.status, http.body.unwrap_or_default())
            }
            Ok(Reply::Keys(ring)) => format!("{ring:?}"),
            Ok(Reply::Done) => "done".to_owned(),
        }
    }
}

/// An id without what all have in common.
fn short(id: &str) -> &str {
    id.get(..3).zip(id.get(26..)).map_or(id, |(_, rest)| rest)
}
