//! Messages between the Worker and the objects: one JSON string in, one out, versioned.

use crate::directory::{DirectoryOp, HasPhone};
use crate::merchant_calls::MerchantOp;
use crate::order_calls::OrderCall;
use crate::platform::{Fault, RawObject};
use crate::pool_calls::PoolOp;
use crate::recorder_calls::RecorderOp;
use crate::till_calls::TillOp;
use counterfoil_core::code::Profile;
use counterfoil_core::ids::{Fingerprint, Mref, Rid};
use counterfoil_core::json;
use counterfoil_core::keys::MerchantId;
use counterfoil_core::phone::Phone;
use counterfoil_core::protocol::{Checkout, Fate, Intent, MESSAGE_VERSION, PrepareAnswer, Prepared};
use counterfoil_core::reward::life::PlayerMove;
use counterfoil_core::rules::{Facts, Rules};
use counterfoil_core::time::Instant;
use counterfoil_core::token::Attributes;
use counterfoil_core::verify::Violation;
use counterfoil_core::webhook::Outcome;
use counterfoil_core::wire::{
    BatchResource, CampaignStatus, Method, NewBatch, NewCampaign, Preview, ProfileBody, Resolution, RewardDefinition,
    RewardSource,
};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use worker::{Env, Headers, Request, RequestInit, Response};

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

/// Asked of a Member.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum MemberOp {
    Redeem(RedeemCall),
    Buy(BuyCall),
    Preview(PreviewCall),
    Redemption {
        rid: Rid,
    },
    Redemptions(HistoryQuery),
    Wallet,
    Ledger(PageQuery),
    Events {
        since: Option<u64>,
        wait_s: u32,
        expires_at: Instant,
        socket: bool,
        select: bool,
    },
    Inquire {
        intent: Intent,
        prepared: Prepared,
    },
    InquirePool {
        intent: Intent,
    },
    Rewards(RewardsQuery),
    Reward {
        at: Place,
    },
    /// A player's move, by themselves or by an administrator.
    Move {
        at: Place,
        wanted: PlayerMove,
        actor: Option<String>,
        reason: Option<String>,
    },
    Give(GiveCall),
    /// Quotes, adjustments, and what points can buy.
    Till(TillOp),
    Order(OrderCall),
    /// Administrators' and operators' commands; each leaves an audit entry, refused ones too.
    Operate(OperateCall),
    PutProfile {
        profile: ProfileBody,
        phone: Option<PhoneChange>,
        actor: String,
    },
    /// Whether this member has a telephone number; answered with [`HasPhone`](crate::directory::HasPhone).
    HasPhone {
        hash: String,
    },
    /// The member as administrators see them, where they have this number.
    Found {
        hash: String,
    },
    /// What a till shows of the member, where they have this number; `rewards` are those for sale.
    Lookup {
        hash: String,
        rewards: Vec<RewardDefinition>,
    },
    /// The fulfiller's late answer, its signature verified.
    Callback {
        at: Place,
        webhook_id: String,
        outcome: Outcome,
    },
    /// Which endpoint a reward's callback must be signed by.
    EndpointOf {
        at: Place,
    },
    /// An endpoint works again: what waits for it is tried now.
    Hurry {
        endpoint_id: String,
    },
    /// The member's own id, for an event that is being sent.
    Identity,
    /// Checks the invariants over everything stored here.
    Verify,
}

/// What becomes of a member's telephone number.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhoneChange {
    Set(Phone),
    Remove,
}

/// A reward of this Member.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) rid: Rid,
    pub(crate) index: u8,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RewardsQuery {
    pub(crate) page: PageQuery,
    pub(crate) state: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct GiveCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    pub(crate) definition: RewardDefinition,
    pub(crate) source: RewardSource,
    pub(crate) reference: Option<String>,
    pub(crate) reason: String,
    pub(crate) actor: String,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct OperateCall {
    pub(crate) command: Command,
    /// Who, such as `admin:alice`.
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
    pub(crate) once: Option<Once>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    Retry {
        rid: Rid,
    },
    Resolve {
        rid: Rid,
        resolution: Resolution,
        unknown_outcome: bool,
    },
    Reset {
        rid: Rid,
    },
    /// `staff_window_s`: the caller is staff, who reverse their own for so long.
    Reverse {
        rid: Rid,
        give_back: bool,
        staff_window_s: Option<u32>,
    },
    RetryReward {
        at: Place,
    },
    DeleteReward {
        at: Place,
    },
    PatchFulfilment {
        at: Place,
        patch: serde_json::Value,
        if_match: Option<u32>,
    },
}

/// A member's id as its Member knows it; absent once it was erased.
#[derive(Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) member_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EndpointOf {
    pub(crate) endpoint_id: Option<String>,
}

/// A member's call, with what its token says about the member.
#[derive(Serialize, Deserialize)]
pub(crate) struct MemberCall {
    /// Route without parameters, for problem documents.
    pub(crate) instance: String,
    /// The member's own id, where the caller knows it: only the Member itself keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) member_id: Option<String>,
    /// Attributes of a member's own token.
    pub(crate) refresh: Option<Attributes>,
    /// When the request came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) arrived: Option<Instant>,
    pub(crate) op: MemberOp,
}

/// A code as the Worker has read it.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReadCode {
    pub(crate) campaign: u16,
    pub(crate) seq: u32,
    pub(crate) epoch: u8,
    pub(crate) profile: Profile,
    pub(crate) epoch_revoked: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct RedeemCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// Absent where the tag does not fit or the alias is not known.
    pub(crate) code: Option<ReadCode>,
    pub(crate) alias: bool,
    pub(crate) method: Method,
    pub(crate) currency: Option<String>,
    pub(crate) order: Option<String>,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
    pub(crate) respond_async: bool,
    /// Kept for a checkout instead of given at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checkout: Option<Checkout>,
}

/// A purchase with points.
#[derive(Serialize, Deserialize)]
pub(crate) struct BuyCall {
    pub(crate) rid: Rid,
    pub(crate) fp: Fingerprint,
    /// In the version that counts now.
    pub(crate) reward: RewardDefinition,
    pub(crate) quantity: u32,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
    pub(crate) respond_async: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PreviewCall {
    pub(crate) code: Option<ReadCode>,
    pub(crate) alias: bool,
    pub(crate) method: Method,
    pub(crate) currency: Option<String>,
    /// Absent where it is the member.
    pub(crate) actor: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PageQuery {
    /// Rows before this number.
    pub(crate) before: Option<u64>,
    pub(crate) limit: u32,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct HistoryQuery {
    pub(crate) page: PageQuery,
    pub(crate) status: Option<String>,
    pub(crate) campaign: Option<u16>,
    pub(crate) from: Option<Instant>,
    pub(crate) to: Option<Instant>,
}

/// Asked of a CodeShard.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShardOp {
    Prepare {
        intent: Intent,
    },
    /// Is this code known at all? Asked before a 202 leaves.
    Recognise {
        facts: Facts,
    },
    Preview {
        facts: Facts,
        mref: Mref,
    },
    Settle {
        rid: Rid,
        fp: Fingerprint,
        fate: Fate,
        /// Heard later, it is too late: the alarm asks instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Instant>,
    },
    /// Decided and recorded, in bulk: their pending rows can go.
    Settled {
        items: Vec<(Rid, Fingerprint)>,
    },
    /// A decided use is given back.
    Undo {
        rid: Rid,
        seq: u32,
    },
    Rules {
        rules: Rules,
    },
    Count,
    /// Checks this shard's invariants; answered with [`Violations`].
    Verify,
}

/// What an object found when it checked its invariants.
#[derive(Serialize, Deserialize)]
pub(crate) struct Violations {
    pub(crate) violations: Vec<Violation>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Recognised {
    pub(crate) recognised: bool,
}

/// A preview, unless the code is not recognised.
#[derive(Serialize, Deserialize)]
pub(crate) struct PreviewAnswer {
    pub(crate) preview: Option<Preview>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) redeemed: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct FateAnswer {
    pub(crate) fate: Fate,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct VersionAnswer {
    pub(crate) version: u32,
}

pub(crate) type PrepareReply = PrepareAnswer;

/// An administrator's idempotency key in its scope, with the command's fingerprint.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Once {
    pub(crate) scope: String,
    pub(crate) fp: Fingerprint,
}

/// Asked of a Campaign.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "made once for a message, and written as JSON at once")]
pub(crate) enum CampaignOp {
    Create {
        definition: NewCampaign,
        reward: RewardDefinition,
        by: String,
    },
    Read,
    /// `reward` is the definition that the patch names, where it names one that exists.
    Patch {
        if_match: Option<u32>,
        patch: serde_json::Value,
        reward: Option<RewardDefinition>,
        by: String,
    },
    /// Its reward's definition has changed. Ignored where the campaign has another reward by now.
    Reward {
        reward: RewardDefinition,
    },
    Move {
        to: CampaignStatus,
        by: String,
        once: Option<Once>,
    },
    Batch {
        new: NewBatch,
        epoch: u8,
        by: String,
        once: Option<Once>,
    },
    Batches(PageQuery),
    ReadBatch {
        batch_id: String,
    },
    /// A shard pulls the rules, and is registered for changes in the same commit.
    Pull {
        shard: u32,
    },
    /// Checks this campaign's invariants and those of its shards; answered with [`Violations`].
    Verify,
}

/// A reserved batch, with what the Worker needs to mint it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Reserved {
    pub(crate) batch: BatchResource,
    pub(crate) profile: Profile,
    pub(crate) campaign: u16,
    pub(crate) remaining: u32,
    pub(crate) issued: u64,
    pub(crate) replayed: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Pulled {
    pub(crate) rules: Option<Rules>,
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
            if status == 200 { Ok(text) } else { Err(Fault::new(format!("an object answered {status}: {text}"))) }
        })
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
        if status == 200 { Ok(text) } else { Err(Fault::new(format!("an object answered {status}: {text}"))) }
    })
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
