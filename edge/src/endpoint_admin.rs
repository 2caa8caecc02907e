//! An administrator's calls about webhook endpoints.

use crate::administer::{Nothing, canonical};
use crate::answer::Answer;
use crate::endpoint_calls::{EndpointOp, Keeper};
use crate::endpoints::TEST_TYPE;
use crate::inbound::{Inbound, Stop, stop};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::platform::{now, random};
use crate::webhooks::{Sent, send};
use counterfoil_core::hex;
use counterfoil_core::token::Role;
use counterfoil_core::wire::{NewEndpoint, ProtocolError, TestResult};
use serde_json::json;
use worker::Response;

async fn ask(inbound: &Inbound<'_>, objects: &Objects<'_>, op: EndpointOp) -> Result<Response, Stop> {
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::Endpoint(op)).await?)
}

/// `POST /v1/webhooks`.
pub(crate) async fn create(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let body = inbound.body()?;
    let new: NewEndpoint = inbound.parse(&body)?;
    let once = inbound.once("", &canonical(&body))?;
    let (allow_private, by) = (inbound.config.allow_private_targets, inbound.principal.actor());
    ask(&inbound, objects, EndpointOp::Create { new, allow_private, by, once }).await
}

/// `GET /v1/webhooks`.
pub(crate) async fn list(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let page = inbound.take_page()?;
    ask(&inbound, objects, EndpointOp::List(page)).await
}

/// `GET /v1/webhooks/{endpoint_id}`.
pub(crate) async fn read(inbound: Inbound<'_>, objects: &Objects<'_>, endpoint_id: String) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    ask(&inbound, objects, EndpointOp::Read { endpoint_id }).await
}

/// `DELETE /v1/webhooks/{endpoint_id}`.
pub(crate) async fn delete(inbound: Inbound<'_>, objects: &Objects<'_>, endpoint_id: String) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let by = inbound.principal.actor();
    ask(&inbound, objects, EndpointOp::Delete { endpoint_id, by }).await
}

/// `POST /v1/webhooks/{endpoint_id}/rotate`.
pub(crate) async fn rotate(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    endpoint_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Nothing {} = inbound.json()?;
    let once = inbound.once(&endpoint_id, b"rotate")?;
    let by = inbound.principal.actor();
    ask(&inbound, objects, EndpointOp::Rotate { endpoint_id, by, once }).await
}

/// `POST /v1/webhooks/{endpoint_id}/test`: one message, to a disabled endpoint as well. A success enables it and
/// pulls forward what waits. Each call is a test of its own, so a key says nothing here.
pub(crate) async fn test(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    endpoint_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Nothing {} = inbound.json()?;
    inbound.key()?;
    let message = json!({ "type": TEST_TYPE, "timestamp": now(), "data": {} }).to_string();
    let id = format!("test_{}", hex::encode(&random::<12>()));
    let (sent, kept) = send_test(&inbound, objects, endpoint_id, id, message).await?;
    if kept.status_code() != 200 {
        // Deleted while the test was under way.
        return Ok(kept);
    }
    let result = TestResult { delivered: sent.delivered(), status: sent.status(), error: sent.error() };
    Ok(Answer::json(200, &result)?.into_response()?)
}

/// Sends a test and has it kept; the second answer is the delivery.
async fn send_test(
    inbound: &Inbound<'_>,
    objects: &Objects<'_>,
    endpoint_id: String,
    delivery_id: String,
    message: String,
) -> Result<(Sent, Response), Stop> {
    let merchant = inbound.principal.merchant.as_str();
    let Some(endpoint) = objects.endpoint_for(merchant, &endpoint_id, None).await? else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let sent = send(inbound.config, &endpoint.url, &endpoint.secrets(), &delivery_id, &message).await;
    let (error, by) = (sent.error(), inbound.principal.actor());
    let kept = ask(inbound, objects, EndpointOp::Tested { endpoint_id, delivery_id, message, error, by }).await?;
    Ok((sent, kept))
}

/// `GET /v1/webhooks/{endpoint_id}/deliveries`.
pub(crate) async fn deliveries(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    endpoint_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let page = inbound.take_page()?;
    ask(&inbound, objects, EndpointOp::Deliveries { endpoint_id, page }).await
}

/// `POST /v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend`: under the id it has. A test is sent here and
/// now; everything else by whoever keeps it.
pub(crate) async fn resend(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    endpoint_id: String,
    delivery_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Nothing {} = inbound.json()?;
    inbound.key()?;
    let op = EndpointOp::Keeper { endpoint_id: endpoint_id.clone(), delivery_id: delivery_id.clone() };
    let Keeper { test, recorder } = read_json(ask(&inbound, objects, op).await?).await?;
    if let Some(message) = test {
        return send_test(&inbound, objects, endpoint_id, delivery_id, message).await.map(|(_, kept)| kept);
    }
    let by = inbound.principal.actor();
    let op = EndpointOp::Resend { endpoint_id: endpoint_id.clone(), delivery_id: delivery_id.clone(), by };
    let answer = ask(&inbound, objects, op).await?;
    if let Some(recorder) = recorder.filter(|_| answer.status_code() == 200) {
        objects.resend_event(&recorder, endpoint_id, delivery_id).await?;
    }
    Ok(answer)
}
