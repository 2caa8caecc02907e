//! `POST /v1/fulfilments/{id}`: a fulfiller's late answer. It has no token; its signature, by the secret of the
//! endpoint that the reward was sent to, says who it is.

use crate::calls::{EndpointOf, MemberCall, MemberOp, Place};
use crate::config::Config;
use crate::endpoint_calls::{CallbackCheck, EndpointOp};
use crate::inbound::{Stop, stop, stop_invalid};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::platform::Fault;
use counterfoil_core::webhook::{ID_HEADER, Outcome, SIGNATURE_HEADER, Signed, TIMESTAMP_HEADER};
use counterfoil_core::wire::{FulfilmentReport, InvalidRequest, ProtocolError, parse};
use worker::{Request, Response};

/// Takes the answer for the reward with this id. What is wrong with a signature is for the audit log, not for the
/// caller.
pub(crate) async fn take(
    request: &Request,
    body: Option<Vec<u8>>,
    objects: &Objects<'_>,
    config: &Config,
    instance: &'static str,
    id: &str,
) -> Result<Response, Stop> {
    let Some((merchant, rid, index)) = config.id_key.read_reward(id) else {
        return stop(&ProtocolError::NotFound, instance);
    };
    let Some(body) = body else { return stop(&ProtocolError::TooLarge, instance) };
    let Ok(body) = String::from_utf8(body) else {
        return stop_invalid(InvalidRequest::one("body", "not JSON: not UTF-8"), instance);
    };
    let at = Place { rid, index };
    let ask = |op| MemberCall::without_id(instance.to_owned(), op);
    let named = objects.member(&merchant, &rid.mref(), &ask(MemberOp::EndpointOf { at })).await?;
    if named.status_code() == 404 {
        return stop(&ProtocolError::NotFound, instance);
    }
    // A reward that no fulfiller applies has nobody who could report on it.
    let EndpointOf { endpoint_id: Some(endpoint_id) } = read_json(named).await? else {
        return stop(&ProtocolError::NotFound, instance);
    };
    let signed = signed(request)?;
    let webhook_id = signed.id.clone();
    let op = EndpointOp::VerifyCallback { endpoint_id, target: id.to_owned(), signed, body: body.clone() };
    let checked = objects.merchant(merchant.as_str(), &MerchantOp::Endpoint(op)).await?;
    let CallbackCheck { refused } = read_json(checked).await?;
    if refused.is_some() {
        return stop(&ProtocolError::InvalidToken, instance);
    }
    let report = parse::<FulfilmentReport>(body.as_bytes());
    let outcome = match report.and_then(|report| report.validate().map(|()| Outcome::from(report))) {
        Ok(outcome) => outcome,
        Err(invalid) => return stop_invalid(invalid, instance),
    };
    Ok(objects.member(&merchant, &rid.mref(), &ask(MemberOp::Callback { at, webhook_id, outcome })).await?)
}

/// The three headers; empty where one is missing.
fn signed(request: &Request) -> Result<Signed, Fault> {
    let headers = request.headers();
    let header = |name: &str| Ok::<_, Fault>(headers.get(name)?.unwrap_or_default());
    Ok(Signed { id: header(ID_HEADER)?, timestamp: header(TIMESTAMP_HEADER)?, signature: header(SIGNATURE_HEADER)? })
}
