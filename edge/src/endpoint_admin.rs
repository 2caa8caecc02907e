//! An administrator's calls about webhook endpoints.

use crate::administer::{Nothing, canonical};
use crate::answer::Answer;
use crate::calls::{MerchantOp, Objects};
use crate::endpoint_calls::EndpointOp;
use crate::inbound::{Inbound, Stop, stop};
use crate::platform::{now, random};
use crate::webhooks::send;
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
    let merchant = inbound.principal.merchant.as_str();
    let Some(endpoint) = objects.endpoint_for(merchant, &endpoint_id, None).await? else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let body = json!({ "type": "webhook.test", "timestamp": now(), "data": {} }).to_string();
    let id = format!("test_{}", hex::encode(&random::<12>()));
    let sent = send(inbound.config, &endpoint.url, &endpoint.secrets(), &id, &body).await;
    if sent.delivered() {
        let by = inbound.principal.actor();
        let told = ask(&inbound, objects, EndpointOp::Tested { endpoint_id, by }).await?;
        if told.status_code() != 204 {
            // Deleted while the test was under way.
            return Ok(told);
        }
    }
    let result = TestResult { delivered: sent.delivered(), status: sent.status(), error: sent.error() };
    Ok(Answer::json(200, &result)?.into_response()?)
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

/// `POST /v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend`.
pub(crate) async fn resend(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    endpoint_id: String,
    delivery_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Nothing {} = inbound.json()?;
    inbound.key()?;
    let by = inbound.principal.actor();
    ask(&inbound, objects, EndpointOp::Resend { endpoint_id, delivery_id, by }).await
}
