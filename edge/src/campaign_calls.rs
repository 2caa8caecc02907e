//! An administrator's calls about a campaign's codes: recalls, the print shop's keys.

use crate::administer::{canonical, minting_epoch};
use crate::answer::Answer;
use crate::calls::CampaignOp;
use crate::campaign_keys::Exported;
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::objects::{Objects, campaign_name, read_json};
use counterfoil_core::hex;
use counterfoil_core::keys::RawKeys;
use counterfoil_core::wire::{PrintKey, ProtocolError, RecallBody, RequiredReasonBody, check_reason};
use counterfoil_core::words::LIST_VERSION;
use worker::Response;

/// `POST /v1/campaigns/{campaign}/recalls`.
pub(crate) async fn recall(mut inbound: Inbound<'_>, objects: &Objects<'_>, campaign: u16) -> Result<Response, Stop> {
    let sent = inbound.body()?;
    let body: RecallBody = inbound.parse(&sent)?;
    if let Err(invalid) = body.check() {
        return stop_invalid(invalid, inbound.instance);
    }
    let once = inbound.once(&campaign.to_string(), &canonical(&sent))?;
    let op = CampaignOp::Recall { body, by: inbound.principal.actor(), once };
    let name = campaign_name(inbound.principal.merchant.as_str(), campaign);
    Ok(objects.campaign(&name, &op).await?)
}

/// `GET /v1/campaigns/{campaign}/recalls`.
pub(crate) async fn recalls(mut inbound: Inbound<'_>, objects: &Objects<'_>, campaign: u16) -> Result<Response, Stop> {
    let page = inbound.take_page()?;
    let name = campaign_name(inbound.principal.merchant.as_str(), campaign);
    Ok(objects.campaign(&name, &CampaignOp::Recalls(page)).await?)
}

/// `GET /v1/campaigns/{campaign}/recalls/{recall_id}`.
pub(crate) async fn read_recall(
    inbound: Inbound<'_>,
    objects: &Objects<'_>,
    campaign: u16,
    recall_id: String,
) -> Result<Response, Stop> {
    let name = campaign_name(inbound.principal.merchant.as_str(), campaign);
    Ok(objects.campaign(&name, &CampaignOp::ReadRecall { recall_id }).await?)
}

/// `POST /v1/campaigns/{campaign}/print-key`: the Campaign decides, the keys are derived here and kept nowhere.
pub(crate) async fn print_key(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    campaign: u16,
) -> Result<Response, Stop> {
    let body = inbound.body()?;
    let RequiredReasonBody { reason } = inbound.parse(&body)?;
    if let Err(invalid) = check_reason(Some(&reason), true) {
        return stop_invalid(invalid, inbound.instance);
    }
    let once = inbound.once(&campaign.to_string(), &canonical(&body))?;
    let merchant = inbound.principal.merchant.clone();
    let name = campaign_name(merchant.as_str(), campaign);
    let epoch = minting_epoch(objects, &merchant).await?;
    let op = CampaignOp::PrintKey { epoch, reason, by: inbound.principal.actor(), once };
    let decided = objects.campaign(&name, &op).await?;
    if decided.status_code() != 200 {
        return Ok(decided);
    }
    let Exported { profile, epoch, replayed } = read_json(decided).await?;
    let environment = &inbound.config.environment;
    let root = inbound.config.roots.epoch(epoch);
    let keys = root.and_then(|root| RawKeys::derive(root, environment, &merchant, profile, epoch, campaign).ok());
    let Some(keys) = keys else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    let print_key = PrintKey {
        merchant: merchant.as_str().to_owned(),
        environment: environment.as_str().to_owned(),
        campaign,
        profile,
        epoch,
        tag_key: hex::encode(&keys.tag),
        permute_key: hex::encode(&keys.permute),
        word_list: LIST_VERSION,
    };
    let answer = Answer::json(200, &print_key)?.header("Cache-Control", "no-store");
    let answer = if replayed { answer.header("Idempotent-Replayed", "true") } else { answer };
    Ok(answer.into_response()?)
}
