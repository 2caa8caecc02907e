//! Reaching objects: one JSON string in, one out, versioned. What is asked is in [`crate::calls`].

use crate::calls::{CampaignOp, FateAnswer, MemberCall, ShardOp};
use crate::directory::{DirectoryOp, HasPhone};
use crate::merchant_calls::MerchantOp;
use crate::platform::{Fault, RawObject};
use crate::pool_calls::PoolOp;
use crate::recorder_calls::RecorderOp;
use crate::throttle::ThrottleOp;
use counterfoil_core::ids::Mref;
use counterfoil_core::json;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::protocol::{Fate, MESSAGE_VERSION};
use futures_util::future::{Either, LocalBoxFuture, select};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use wasm_bindgen::JsValue;
use worker::{Delay, Env, Headers, Request, RequestInit, Response};

/// Carries a Member's call beside a WebSocket upgrade, which has no body.
pub(crate) const CALL_HEADER: &str = "counterfoil-internal-call";

/// Every message: its version, the object's own name (an alarm may wake an object that is not told it), and
/// what is asked.
#[derive(Serialize, Deserialize)]
pub(crate) struct Call<T> {
    pub(crate) v: u8,
    pub(crate) name: String,
    pub(crate) op: T,
}

/// Names an object and reaches it.
pub(crate) struct Objects<'a>(pub(crate) &'a Env);

impl Objects<'_> {
    /// A Member.
    pub(crate) fn member(&self, merchant: &MerchantId, mref: &Mref, call: &MemberCall) -> Asking<'_, Response> {
        self.send(message("MEMBER", &format!("{}/{}", merchant.as_str(), mref.to_hex()), call))
    }

    /// A Member, with a WebSocket upgrade.
    pub(crate) async fn member_socket(
        &self,
        merchant: &MerchantId,
        mref: &Mref,
        call: &MemberCall,
    ) -> Result<Response, Fault> {
        let name = format!("{}/{}", merchant.as_str(), mref.to_hex());
        let headers = Headers::new();
        headers.set("Upgrade", "websocket")?;
        let message = Call { v: MESSAGE_VERSION, name: name.clone(), op: call };
        // Header values are bytes below 256; JSON with escapes is plain ASCII.
        headers.set(CALL_HEADER, &ascii_json(&serde_json::to_string(&message)?))?;
        let mut init = RequestInit::new();
        init.with_headers(headers);
        let request = Request::new_with_init("http://object/", &init)?;
        let object = self.0.durable_object("MEMBER")?.get_by_name(&name)?;
        object.fetch_with_request(request).await.map_err(|error| Fault::unreachable(&error))
    }

    /// A CodeShard.
    pub(crate) async fn shard<T: DeserializeOwned>(
        &self,
        campaign: &str,
        shard: u32,
        op: &ShardOp,
    ) -> Result<T, Fault> {
        self.ask("CODE_SHARD", &format!("{campaign}/{shard}"), op).await
    }

    /// A Pool, by its object's name ([`pool_name`](crate::pool_calls::pool_name)).
    pub(crate) async fn pool<T: DeserializeOwned>(&self, name: &str, op: &PoolOp) -> Result<T, Fault> {
        self.ask("POOL", name, op).await
    }

    /// A Pool, whose answer goes to the caller as it is.
    pub(crate) fn pool_answer(&self, name: &str, op: &PoolOp) -> Asking<'_, Response> {
        self.send(message("POOL", name, op))
    }

    /// A Campaign, by its object's name.
    pub(crate) fn campaign(&self, name: &str, op: &CampaignOp) -> Asking<'_, Response> {
        self.send(message("CAMPAIGN", name, op))
    }

    /// A Merchant.
    pub(crate) fn merchant(&self, name: &str, op: &MerchantOp) -> Asking<'_, Response> {
        self.send(message("MERCHANT", name, op))
    }

    /// A Recorder, by its object's name.
    pub(crate) async fn recorder<T: DeserializeOwned>(&self, name: &str, op: &RecorderOp) -> Result<T, Fault> {
        self.ask("RECORDER", name, op).await
    }

    /// A Throttle, by its object's name.
    pub(crate) async fn throttle<T: DeserializeOwned>(&self, name: &str, op: &ThrottleOp) -> Result<T, Fault> {
        self.ask("THROTTLE", name, op).await
    }

    /// Reports to a Recorder: `rows` are [`ReportRow`](counterfoil_core::protocol::report::ReportRow)s as they were
    /// stored, with commas between, so that nothing is parsed only to be written again.
    pub(crate) async fn report(&self, name: &str, source: &str, rows: &str) -> Result<(), Fault> {
        let (name_text, source) = (serde_json::to_string(name)?, serde_json::to_string(source)?);
        let op = format!("{{\"report\":{{\"source\":{source},\"rows\":[{rows}]}}}}");
        let body = format!("{{\"v\":{MESSAGE_VERSION},\"name\":{name_text},\"op\":{op}}}");
        self.send_for_text(Ok(Message { binding: "RECORDER", name: name.to_owned(), body })).await.map(drop)
    }

    /// A Member's own name is `merchant/mref`: asked by a shard's alarm.
    pub(crate) async fn inquire(&self, member: &str, call: &MemberCall) -> Result<Fate, Fault> {
        let answer: FateAnswer = self.ask("MEMBER", member, call).await?;
        Ok(answer.fate)
    }

    /// Asks a Member whether it has a telephone number.
    pub(crate) async fn has_phone(&self, merchant: &MerchantId, mref: &Mref, call: &MemberCall) -> Result<bool, Fault> {
        let answer: HasPhone = read_json(self.member(merchant, mref, call).await?).await?;
        Ok(answer.has)
    }

    /// A Directory, by its object's name.
    pub(crate) async fn directory<T: DeserializeOwned>(&self, name: &str, op: &DirectoryOp) -> Result<T, Fault> {
        self.ask("DIRECTORY", name, op).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        binding: &'static str,
        name: &str,
        op: &impl Serialize,
    ) -> Result<T, Fault> {
        Ok(json::read(&self.send_for_text(message(binding, name, op)).await?)?)
    }

    /// One future for all calls, boxed: within that of every caller, it would be compiled once for each.
    #[inline(never)]
    fn send(&self, message: Result<Message, Fault>) -> Asking<'_, Response> {
        Box::pin(async move {
            let Message { binding, name, body } = message?;
            let object = self.0.durable_object(binding)?.get_by_name(&name)?;
            object.fetch_with_request(post(&body)?).await.map_err(|error| Fault::unreachable(&error))
        })
    }

    #[inline(never)]
    fn send_for_text(&self, message: Result<Message, Fault>) -> Asking<'_, String> {
        Box::pin(async move {
            let Message { binding, name, body } = message?;
            let object: RawObject = self.0.durable_object(binding)?.get_by_name(&name)?.into_rpc();
            let (status, text) = object.post(&body).await.map_err(|error| Fault::unreachable(&error))?;
            if status == 200 { Ok(text) } else { Err(refused(status, &text)) }
        })
    }
}

/// Waits so long at most; `who` is named where there is no answer by then.
pub(crate) async fn within<T>(
    wait: Duration,
    who: &str,
    asking: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    match select(pin!(asking), pin!(Delay::from(wait))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(Fault::late(format!("{who} did not answer in time"))),
    }
}

/// A call under way.
pub(crate) type Asking<'a, T> = LocalBoxFuture<'a, Result<T, Fault>>;

/// A call as it is sent.
struct Message {
    binding: &'static str,
    /// The object's.
    name: String,
    body: String,
}

/// Object name of a campaign.
pub(crate) fn campaign_name(merchant: &str, campaign: u16) -> String {
    format!("{merchant}/{campaign}")
}

fn message<T: Serialize>(binding: &'static str, name: &str, op: &T) -> Result<Message, Fault> {
    let body = serde_json::to_string(&Call { v: MESSAGE_VERSION, name: name.to_owned(), op })?;
    Ok(Message { binding, name: name.to_owned(), body })
}

fn post(body: &str) -> Result<Request, Fault> {
    let mut init = RequestInit::new();
    init.with_method(worker::Method::Post).with_body(Some(JsValue::from_str(body)));
    Ok(Request::new_with_init("http://object/", &init)?)
}

/// A 200's JSON; anything else is a fault.
pub(crate) async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, Fault> {
    Ok(json::read(&read_text(response).await?)?)
}

#[inline(never)]
fn read_text(mut response: Response) -> Asking<'static, String> {
    Box::pin(async move {
        let status = response.status_code();
        let text = response.text().await?;
        if status == 200 { Ok(text) } else { Err(refused(status, &text)) }
    })
}

/// An object that says 503 was itself kept waiting by another: as passing as that one's fault.
fn refused(status: u16, text: &str) -> Fault {
    let message = format!("an object answered {status}: {text}");
    if status == 503 { Fault::late(message) } else { Fault::new(message) }
}

/// Reads the message of a request.
pub(crate) async fn read_call<T: DeserializeOwned>(request: &mut Request) -> Result<Call<T>, Fault> {
    let call: Call<T> = json::read(&call_text(request).await?)?;
    if call.v != MESSAGE_VERSION {
        return Err(Fault::new(format!("message version {} is not spoken here", call.v)));
    }
    Ok(call)
}

#[inline(never)]
fn call_text(request: &mut Request) -> Asking<'_, String> {
    Box::pin(async move {
        match request.headers().get(CALL_HEADER)? {
            Some(text) => Ok(text),
            None => Ok(request.text().await?),
        }
    })
}

/// JSON with everything beyond ASCII escaped.
fn ascii_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_ascii_and_say_the_same() {
        let json = serde_json::to_string("Zoë 😀 \"x\"").unwrap_or_default();
        let ascii = ascii_json(&json);
        assert!(ascii.is_ascii());
        assert_eq!(serde_json::from_str::<String>(&ascii).ok(), serde_json::from_str(&json).ok());
    }
}
