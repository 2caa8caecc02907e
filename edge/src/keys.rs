//! Key epochs: an administrator's calls.

use crate::administer::canonical;
use crate::inbound::{Inbound, Stop, stop_invalid};
use crate::merchant_calls::MerchantOp;
use crate::merchant_keys::KeyOp;
use crate::objects::Objects;
use counterfoil_core::wire::{RequiredReasonBody, RotateBody, check_reason};
use worker::Response;

/// `GET /v1/keys`.
pub(crate) async fn read(inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::Keys(KeyOp::Read)).await?)
}

/// `POST /v1/keys/rotate`.
pub(crate) async fn rotate(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    let body = inbound.body()?;
    let wanted: RotateBody = inbound.parse(&body)?;
    if let Err(invalid) = wanted.check() {
        return stop_invalid(invalid, inbound.instance);
    }
    let RotateBody { epoch, reason } = wanted;
    let once = inbound.once("", &canonical(&body))?;
    let op = KeyOp::Rotate { epoch, reason, by: inbound.principal.actor(), once };
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::Keys(op)).await?)
}

/// `POST /v1/keys/{epoch}/revoke`.
pub(crate) async fn revoke(mut inbound: Inbound<'_>, objects: &Objects<'_>, epoch: u8) -> Result<Response, Stop> {
    let body = inbound.body()?;
    let RequiredReasonBody { reason } = inbound.parse(&body)?;
    if let Err(invalid) = check_reason(Some(&reason), true) {
        return stop_invalid(invalid, inbound.instance);
    }
    let once = inbound.once(&epoch.to_string(), &canonical(&body))?;
    let op = KeyOp::Revoke { epoch, reason, by: inbound.principal.actor(), once };
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::Keys(op)).await?)
}
