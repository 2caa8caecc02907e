//! An administrator's calls: reward definitions, campaigns, batches.

use crate::calls::{CampaignOp, Reserved};
use crate::campaign_figures;
use crate::inbound::{Inbound, Stop, stop, stop_invalid};
use crate::merchant_calls::{EnrolledPage, Enrolment, MerchantOp};
use crate::merchant_keys::{KeyOp, Minting};
use crate::mint::{self, Wanted};
use crate::objects::{Objects, campaign_name, read_json};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::token::Role;
use counterfoil_core::wire::{
    CampaignResource, CampaignStatus, NewBatch, NewCampaign, NewRewardDefinition, Page, ProtocolError, parse_patch,
};
use futures_util::future::try_join_all;
use serde_json::Value;
use worker::Response;

/// Campaigns of one page are read together.
const CAMPAIGNS_PER_PAGE_MAX: u32 = 40;

/// `POST /v1/reward-definitions`.
pub(crate) async fn define(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let body = inbound.body()?;
    let new: NewRewardDefinition = inbound.parse(&body)?;
    let once = inbound.once("", &canonical(&body))?;
    let op = MerchantOp::Define { new, by: inbound.principal.actor(), once };
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &op).await?)
}

/// `GET /v1/reward-definitions`.
pub(crate) async fn definitions(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let page = inbound.take_page()?;
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::Definitions(page)).await?)
}

/// `GET /v1/reward-definitions/{reward_id}`.
pub(crate) async fn definition(
    inbound: Inbound<'_>,
    objects: &Objects<'_>,
    reward_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let op = MerchantOp::Definition { reward_id };
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &op).await?)
}

/// `PATCH /v1/reward-definitions/{reward_id}`.
pub(crate) async fn patch_definition(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    reward_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let patch = inbound.patch()?;
    let op =
        MerchantOp::PatchDefinition { reward_id, if_match: inbound.if_match()?, patch, by: inbound.principal.actor() };
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &op).await?)
}

/// `GET /v1/settings`.
pub(crate) async fn settings(inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::Settings).await?)
}

/// `PATCH /v1/settings`.
pub(crate) async fn patch_settings(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let patch = inbound.patch()?;
    let op = MerchantOp::PatchSettings { if_match: inbound.if_match()?, patch, by: inbound.principal.actor() };
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &op).await?)
}

/// `POST /v1/campaigns`: the Merchant checks and numbers it, then its own object keeps it. When the answer is
/// lost in between, the same key creates the same campaign.
pub(crate) async fn create_campaign(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let body = inbound.body()?;
    let definition: NewCampaign = inbound.parse(&body)?;
    let once = inbound.once("", &canonical(&body))?;
    let merchant = inbound.principal.merchant.as_str().to_owned();
    let by = inbound.principal.actor();
    let enrolled = objects.merchant(&merchant, &MerchantOp::Enrol { definition, by: by.clone(), once }).await?;
    if enrolled.status_code() != 200 {
        return Ok(enrolled);
    }
    let Enrolment { definition, reward, alias_seq, revoked_epochs, notify_days, replayed } =
        read_json(enrolled).await?;
    let name = campaign_name(&merchant, definition.campaign.unwrap_or_default());
    let op = CampaignOp::Create { definition, reward, alias_seq, revoked_epochs, notify_days, by };
    let created = campaign_figures::dress(objects.campaign(&name, &op).await?, objects, &merchant).await?;
    if replayed {
        let headers = worker::Headers::new();
        for (name, value) in created.headers().entries() {
            headers.append(&name, &value)?;
        }
        headers.set("Idempotent-Replayed", "true")?;
        return Ok(created.with_headers(headers));
    }
    Ok(created)
}

/// `GET /v1/campaigns`.
pub(crate) async fn campaigns(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let mut page = inbound.take_page()?;
    page.limit = page.limit.min(CAMPAIGNS_PER_PAGE_MAX);
    let merchant = inbound.principal.merchant.as_str();
    let EnrolledPage { campaigns, next_cursor } =
        read_json(objects.merchant(merchant, &MerchantOp::Enrolled(page)).await?).await?;
    let read = campaigns.into_iter().map(|campaign| async move {
        let response = objects.campaign(&campaign_name(merchant, campaign), &CampaignOp::Read).await?;
        // A number whose creation never finished has no campaign yet.
        if response.status_code() == 404 {
            return Ok(None);
        }
        read_json::<CampaignResource>(response).await.map(Some)
    });
    let mut items: Vec<CampaignResource> = try_join_all(read).await?.into_iter().flatten().collect();
    let figures = campaign_figures::of(merchant, objects).await;
    items.iter_mut().for_each(|item| figures.fill(item));
    Ok(crate::answer::Answer::json(200, &Page { items, next_cursor })?.into_response()?)
}

/// `GET /v1/campaigns/{campaign}`.
pub(crate) async fn campaign(inbound: Inbound<'_>, objects: &Objects<'_>, campaign: u16) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let merchant = inbound.principal.merchant.as_str();
    let read = objects.campaign(&campaign_name(merchant, campaign), &CampaignOp::Read).await?;
    Ok(campaign_figures::dress(read, objects, merchant).await?)
}

/// `PATCH /v1/campaigns/{campaign}`.
pub(crate) async fn patch_campaign(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    campaign: u16,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let patch = inbound.patch()?;
    let if_match = inbound.if_match()?;
    let merchant = inbound.principal.merchant.as_str();
    let mut reward = None;
    if let Some(reward_id) = patch.get("reward_id").and_then(Value::as_str) {
        // Bound first: from then on the campaign is told of this reward's changes. A binding too many is harmless.
        let op = MerchantOp::Bind { campaign, reward_id: reward_id.to_owned() };
        let bound = objects.merchant(merchant, &op).await?;
        if bound.status_code() == 200 {
            reward = Some(read_json(bound).await?);
        }
    }
    let op = CampaignOp::Patch { if_match, patch, reward, by: inbound.principal.actor() };
    let patched = objects.campaign(&campaign_name(merchant, campaign), &op).await?;
    Ok(campaign_figures::dress(patched, objects, merchant).await?)
}

/// Body of calls that take none.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// `POST /v1/campaigns/{campaign}/activate`, `/pause`, `/end`.
pub(crate) async fn move_campaign(
    mut inbound: Inbound<'_>,
    objects: &Objects<'_>,
    campaign: u16,
    to: CampaignStatus,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let Nothing {} = inbound.json()?;
    let once = inbound.once(&campaign.to_string(), to.name().as_bytes())?;
    let merchant = inbound.principal.merchant.as_str();
    let op = CampaignOp::Move { to, by: inbound.principal.actor(), once };
    let moved = objects.campaign(&campaign_name(merchant, campaign), &op).await?;
    Ok(campaign_figures::dress(moved, objects, merchant).await?)
}

/// `POST /v1/campaigns/{campaign}/batches`.
pub(crate) async fn batch(mut inbound: Inbound<'_>, objects: &Objects<'_>, campaign: u16) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin, Role::Service])?;
    let new: NewBatch = inbound.json()?;
    let command = serde_json::to_vec(&new)?;
    let once = inbound.once(&campaign.to_string(), &command)?;
    let after_seq = inbound.take_as("after_seq", "a seq of the batch", plain_number)?;
    let (offline, format) = (new.offline, new.format);
    if after_seq.is_some() && once.is_none() {
        return stop(&ProtocolError::IdempotencyKeyRequired, inbound.instance);
    }
    let merchant = inbound.principal.merchant.clone();
    let epoch = minting_epoch(objects, &merchant).await?;
    let name = campaign_name(merchant.as_str(), campaign);
    let op = CampaignOp::Batch { new, epoch, after_seq, by: inbound.principal.actor(), once };
    let response = objects.campaign(&name, &op).await?;
    if response.status_code() != 200 {
        return Ok(response);
    }
    let reserved: Reserved = read_json(response).await?;
    let epoch = reserved.batch.epoch;
    let Some(keys) = inbound.config.campaign_keys(&merchant, reserved.profile, epoch, campaign) else {
        return stop(&ProtocolError::NotFound, inbound.instance);
    };
    Ok(mint::respond(&reserved, keys, &Wanted { offline, format, after_seq }, name, objects.0)?)
}

/// A number in plain digits.
fn plain_number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The epoch that a merchant mints with; none where it was revoked.
pub(crate) async fn minting_epoch(objects: &Objects<'_>, merchant: &MerchantId) -> Result<Option<u8>, Stop> {
    let asked = objects.merchant(merchant.as_str(), &MerchantOp::Keys(KeyOp::Minting)).await?;
    let Minting { epoch } = read_json(asked).await?;
    Ok(epoch)
}

/// `GET /v1/campaigns/{campaign}/batches`.
pub(crate) async fn batches(mut inbound: Inbound<'_>, objects: &Objects<'_>, campaign: u16) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin, Role::Service])?;
    let page = inbound.take_page()?;
    let name = campaign_name(inbound.principal.merchant.as_str(), campaign);
    Ok(objects.campaign(&name, &CampaignOp::Batches(page)).await?)
}

/// `GET /v1/campaigns/{campaign}/batches/{batch_id}`.
pub(crate) async fn read_batch(
    inbound: Inbound<'_>,
    objects: &Objects<'_>,
    campaign: u16,
    batch_id: String,
) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin, Role::Service])?;
    let name = campaign_name(inbound.principal.merchant.as_str(), campaign);
    Ok(objects.campaign(&name, &CampaignOp::ReadBatch { batch_id }).await?)
}

impl Inbound<'_> {
    /// A merge patch.
    pub(crate) fn patch(&mut self) -> Result<Value, Stop> {
        match parse_patch(&self.body()?) {
            Ok(patch) => Ok(patch),
            Err(invalid) => stop_invalid(invalid, self.instance),
        }
    }
}

/// The parsed command in one canonical spelling: keys sorted, white space gone.
pub(crate) fn canonical(body: &[u8]) -> Vec<u8> {
    let value = core::str::from_utf8(body).ok().and_then(|text| counterfoil_core::json::read::<Value>(text).ok());
    value.and_then(|value| serde_json::to_vec(&value).ok()).unwrap_or_default()
}
