//! The route table: which path and method does what, and who may.

use crate::administer;
use crate::answer::{Answer, COUNTED, HOLD_HEADER};
use crate::api_keys;
use crate::auth::{authenticate, permit};
use crate::breaker;
use crate::callback;
use crate::campaign_calls;
use crate::config::Config;
use crate::cursor::Cursors;
use crate::endpoint_admin;
use crate::explain;
use crate::flood;
use crate::gate;
use crate::history;
use crate::inbound::{Inbound, Stop, query_of, read_body};
use crate::inspect;
use crate::keys;
use crate::log::Line;
use crate::lookup;
use crate::member_erase;
use crate::merchant::ENVIRONMENT_OBJECT;
use crate::merchant_calls::{MerchantOp, RootsAnswer};
use crate::metrics;
use crate::objects::{Objects, read_json};
use crate::orders::{self, OrderPart};
use crate::platform::Fault;
use crate::pools;
use crate::redeem;
use crate::rewards::{self, MemberPart, Recovery, RewardCommand};
use crate::search;
use crate::throttle::{self, Source};
use crate::till;
use counterfoil_core::access::{self, Operation};
use counterfoil_core::hex;
use counterfoil_core::keys::EPOCH_MAX;
use counterfoil_core::limits::{BODY_BYTES_MAX, UPLOAD_BYTES_MAX};
use counterfoil_core::reward::life::PlayerMove;
use counterfoil_core::time::Instant;
use counterfoil_core::token::Role;
use counterfoil_core::wire::{CampaignStatus, ProtocolError};
use futures_util::future::LocalBoxFuture;
use percent_encoding::percent_decode_str;
use std::cell::Cell;
use std::rc::Rc;
use worker::{Context, Env, Method, Request, Response};

/// Signs for anybody: local development only, and so not one of [`access::OPERATIONS`].
#[cfg(feature = "dev")]
const DEV_TOKEN: Operation = Operation { method: "POST", path: "/dev/token", access: access::Access::Anyone };

/// A known path, with what its parameters say.
enum Route {
    Redemptions,
    Redemption(String),
    CodeRedemptions(String),
    Preview,
    Wallet,
    Ledger,
    Events,
    RewardDefinitions,
    RewardDefinition(String),
    Campaigns,
    Campaign(u16),
    CampaignMove(u16, CampaignStatus),
    Batches(u16),
    Batch(u16, String),
    Recalls(u16),
    Recall(u16, String),
    PrintKey(u16),
    BreakerReset(u16),
    Keys,
    KeysRotate,
    KeyRevoke(u8),
    Inspect,
    Explain,
    RedemptionsExport,
    ApiKeys,
    ApiKey(String),
    Recovery(String, Recovery),
    Rewards,
    Reward(String),
    RewardMove(String, PlayerMove),
    Members,
    Member(String, MemberPart),
    MemberReward(String, String, RewardCommand),
    Fulfilment(String),
    Pools,
    Pool(String),
    PoolCodes(String),
    PoolQuarantine(String),
    PoolRelease(String),
    Webhooks,
    Webhook(String),
    WebhookRotate(String),
    WebhookTest(String),
    WebhookDeliveries(String),
    WebhookResend(String, String),
    Audit,
    AuditExport,
    Stats,
    Settings,
    TillLookup,
    Order(String, OrderPart),
    Quotes,
    Quote(String),
    QuoteConfirm(String),
    Reversal(String),
    Adjustments(String),
    Catalogue,
    Verify,
    Metrics,
    Health,
    #[cfg(feature = "dev")]
    DevToken,
}

impl Route {
    /// The route of a path; `None` where there is none.
    fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        if segments.contains(&"") {
            return None;
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let campaign = |text: &str| {
            let canonical = !text.starts_with(['0', '+']);
            text.parse::<u16>().ok().filter(|_| canonical)
        };
        Some(match segments.as_slice() {
            ["v1", "redemptions"] => Self::Redemptions,
            ["v1", "redemptions", "export"] => Self::RedemptionsExport,
            ["v1", "redemptions", id] => Self::Redemption((*id).to_owned()),
            ["v1", "redemptions", id, "retry"] => Self::Recovery((*id).to_owned(), Recovery::Retry),
            ["v1", "redemptions", id, "resolve"] => Self::Recovery((*id).to_owned(), Recovery::Resolve),
            ["v1", "redemptions", id, "reset"] => Self::Recovery((*id).to_owned(), Recovery::Reset),
            ["v1", "rewards"] => Self::Rewards,
            ["v1", "rewards", id] => Self::Reward((*id).to_owned()),
            ["v1", "rewards", id, "claim"] => Self::RewardMove((*id).to_owned(), PlayerMove::Claim),
            ["v1", "rewards", id, "activate"] => Self::RewardMove((*id).to_owned(), PlayerMove::Activate),
            ["v1", "rewards", id, "decline"] => Self::RewardMove((*id).to_owned(), PlayerMove::Decline),
            ["v1", "members"] => Self::Members,
            ["v1", "members", id] => Self::Member(decoded(id), MemberPart::Whole),
            ["v1", "members", id, "export"] => Self::Member(decoded(id), MemberPart::Export),
            ["v1", "members", id, "wallet"] => Self::Member(decoded(id), MemberPart::Wallet),
            ["v1", "members", id, "ledger"] => Self::Member(decoded(id), MemberPart::Ledger),
            ["v1", "members", id, "redemptions"] => Self::Member(decoded(id), MemberPart::Redemptions),
            ["v1", "members", id, "rewards"] => Self::Member(decoded(id), MemberPart::Rewards),
            ["v1", "members", id, "rewards", rid] => {
                Self::MemberReward(decoded(id), (*rid).to_owned(), RewardCommand::Delete)
            }
            ["v1", "members", id, "rewards", rid, "claim"] => {
                Self::MemberReward(decoded(id), (*rid).to_owned(), RewardCommand::Claim)
            }
            ["v1", "members", id, "rewards", rid, "activate"] => {
                Self::MemberReward(decoded(id), (*rid).to_owned(), RewardCommand::Activate)
            }
            ["v1", "members", id, "rewards", rid, "retry"] => {
                Self::MemberReward(decoded(id), (*rid).to_owned(), RewardCommand::Retry)
            }
            ["v1", "members", id, "rewards", rid, "fulfilment"] => {
                Self::MemberReward(decoded(id), (*rid).to_owned(), RewardCommand::Fulfilment)
            }
            ["v1", "codes", "preview"] => Self::Preview,
            ["v1", "codes", "inspect"] => Self::Inspect,
            ["v1", "explain"] => Self::Explain,
            ["v1", "keys"] => Self::Keys,
            ["v1", "keys", "rotate"] => Self::KeysRotate,
            ["v1", "keys", epoch, "revoke"] => Self::KeyRevoke(epoch_of(epoch)?),
            ["v1", "api-keys"] => Self::ApiKeys,
            ["v1", "api-keys", id] => Self::ApiKey((*id).to_owned()),
            ["v1", "codes", code, "redemptions"] => {
                // What is no UTF-8 becomes characters that no code has, and so a malformed code.
                Self::CodeRedemptions(decoded(code))
            }
            ["v1", "wallet"] => Self::Wallet,
            ["v1", "ledger"] => Self::Ledger,
            ["v1", "events"] => Self::Events,
            ["v1", "reward-definitions"] => Self::RewardDefinitions,
            ["v1", "reward-definitions", id] => Self::RewardDefinition((*id).to_owned()),
            ["v1", "campaigns"] => Self::Campaigns,
            ["v1", "campaigns", id] => Self::Campaign(campaign(id)?),
            ["v1", "campaigns", id, "activate"] => Self::CampaignMove(campaign(id)?, CampaignStatus::Active),
            ["v1", "campaigns", id, "pause"] => Self::CampaignMove(campaign(id)?, CampaignStatus::Paused),
            ["v1", "campaigns", id, "end"] => Self::CampaignMove(campaign(id)?, CampaignStatus::Ended),
            ["v1", "campaigns", id, "recalls"] => Self::Recalls(campaign(id)?),
            ["v1", "campaigns", id, "recalls", recall] => Self::Recall(campaign(id)?, (*recall).to_owned()),
            ["v1", "campaigns", id, "print-key"] => Self::PrintKey(campaign(id)?),
            ["v1", "campaigns", id, "breaker", "reset"] => Self::BreakerReset(campaign(id)?),
            ["v1", "campaigns", id, "batches", batch] => Self::Batch(campaign(id)?, (*batch).to_owned()),
            ["v1", "campaigns", id, "batches"] => Self::Batches(campaign(id)?),
            ["v1", "fulfilments", id] => Self::Fulfilment((*id).to_owned()),
            ["v1", "pools"] => Self::Pools,
            ["v1", "pools", id] => Self::Pool((*id).to_owned()),
            ["v1", "pools", id, "codes"] => Self::PoolCodes((*id).to_owned()),
            ["v1", "pools", id, "quarantine"] => Self::PoolQuarantine((*id).to_owned()),
            ["v1", "pools", id, "quarantine", "release"] => Self::PoolRelease((*id).to_owned()),
            ["v1", "webhooks"] => Self::Webhooks,
            ["v1", "webhooks", id] => Self::Webhook((*id).to_owned()),
            ["v1", "webhooks", id, "rotate"] => Self::WebhookRotate((*id).to_owned()),
            ["v1", "webhooks", id, "test"] => Self::WebhookTest((*id).to_owned()),
            ["v1", "webhooks", id, "deliveries"] => Self::WebhookDeliveries((*id).to_owned()),
            ["v1", "webhooks", id, "deliveries", delivery, "resend"] => {
                Self::WebhookResend((*id).to_owned(), (*delivery).to_owned())
            }
            ["v1", "audit"] => Self::Audit,
            ["v1", "audit", "export"] => Self::AuditExport,
            ["v1", "stats"] => Self::Stats,
            ["v1", "settings"] => Self::Settings,
            ["v1", "orders", order, "holds"] => Self::Order(decoded(order), OrderPart::Holds),
            ["v1", "orders", order, "holds", id] => Self::Order(decoded(order), OrderPart::Hold((*id).to_owned())),
            ["v1", "orders", order, "commit"] => Self::Order(decoded(order), OrderPart::Commit),
            ["v1", "orders", order, "release"] => Self::Order(decoded(order), OrderPart::Release),
            ["v1", "till", "lookup"] => Self::TillLookup,
            ["v1", "till", "quotes"] => Self::Quotes,
            ["v1", "till", "quotes", id] => Self::Quote((*id).to_owned()),
            ["v1", "till", "quotes", id, "confirm"] => Self::QuoteConfirm((*id).to_owned()),
            ["v1", "redemptions", id, "reversal"] => Self::Reversal((*id).to_owned()),
            ["v1", "members", id, "adjustments"] => Self::Adjustments(decoded(id)),
            ["v1", "catalogue"] => Self::Catalogue,
            ["v1", "verify"] => Self::Verify,
            ["metrics"] => Self::Metrics,
            ["healthz"] => Self::Health,
            #[cfg(feature = "dev")]
            ["dev", "token"] => Self::DevToken,
            _ => return None,
        })
    }

    /// Whether it is read in pages.
    const fn lists(&self) -> bool {
        matches!(
            self,
            Self::Redemptions
                | Self::Ledger
                | Self::Rewards
                | Self::RewardDefinitions
                | Self::Campaigns
                | Self::Batches(_)
                | Self::Recalls(_)
                | Self::Member(_, MemberPart::Ledger | MemberPart::Redemptions | MemberPart::Rewards)
                | Self::Order(_, OrderPart::Holds)
                | Self::Pools
                | Self::PoolQuarantine(_)
                | Self::Webhooks
                | Self::WebhookDeliveries(_)
                | Self::ApiKeys
                | Self::Audit
                | Self::Catalogue
        )
    }

    /// Whether this is a request for a redemption.
    const fn redeems(&self, post: bool) -> bool {
        post && matches!(
            self,
            Self::Redemptions | Self::CodeRedemptions(_) | Self::QuoteConfirm(_) | Self::Order(_, OrderPart::Holds)
        )
    }

    /// The path without its parameters, as [`access::OPERATIONS`] has it.
    const fn path(&self) -> &'static str {
        match self {
            Self::Redemptions => "/v1/redemptions",
            Self::Redemption(_) => "/v1/redemptions/{id}",
            Self::CodeRedemptions(_) => "/v1/codes/{code}/redemptions",
            Self::Preview => "/v1/codes/preview",
            Self::Wallet => "/v1/wallet",
            Self::Ledger => "/v1/ledger",
            Self::Events => "/v1/events",
            Self::RewardDefinitions => "/v1/reward-definitions",
            Self::RewardDefinition(_) => "/v1/reward-definitions/{reward_id}",
            Self::Campaigns => "/v1/campaigns",
            Self::Campaign(_) => "/v1/campaigns/{campaign}",
            Self::CampaignMove(_, CampaignStatus::Active) => "/v1/campaigns/{campaign}/activate",
            Self::CampaignMove(_, CampaignStatus::Paused) => "/v1/campaigns/{campaign}/pause",
            Self::CampaignMove(..) => "/v1/campaigns/{campaign}/end",
            Self::Batches(_) => "/v1/campaigns/{campaign}/batches",
            Self::Batch(..) => "/v1/campaigns/{campaign}/batches/{batch_id}",
            Self::Recalls(_) => "/v1/campaigns/{campaign}/recalls",
            Self::Recall(..) => "/v1/campaigns/{campaign}/recalls/{recall_id}",
            Self::PrintKey(_) => "/v1/campaigns/{campaign}/print-key",
            Self::BreakerReset(_) => "/v1/campaigns/{campaign}/breaker/reset",
            Self::Keys => "/v1/keys",
            Self::KeysRotate => "/v1/keys/rotate",
            Self::KeyRevoke(_) => "/v1/keys/{epoch}/revoke",
            Self::Inspect => "/v1/codes/inspect",
            Self::Explain => "/v1/explain",
            Self::RedemptionsExport => "/v1/redemptions/export",
            Self::ApiKeys => "/v1/api-keys",
            Self::ApiKey(_) => "/v1/api-keys/{key_id}",
            Self::Recovery(_, Recovery::Retry) => "/v1/redemptions/{id}/retry",
            Self::Recovery(_, Recovery::Resolve) => "/v1/redemptions/{id}/resolve",
            Self::Recovery(_, Recovery::Reset) => "/v1/redemptions/{id}/reset",
            Self::Rewards => "/v1/rewards",
            Self::Reward(_) => "/v1/rewards/{id}",
            Self::RewardMove(_, PlayerMove::Claim) => "/v1/rewards/{id}/claim",
            Self::RewardMove(_, PlayerMove::Activate) => "/v1/rewards/{id}/activate",
            Self::RewardMove(_, PlayerMove::Decline) => "/v1/rewards/{id}/decline",
            Self::Members => "/v1/members",
            Self::Member(_, MemberPart::Whole) => "/v1/members/{id}",
            Self::Member(_, MemberPart::Export) => "/v1/members/{id}/export",
            Self::Member(_, MemberPart::Wallet) => "/v1/members/{id}/wallet",
            Self::Member(_, MemberPart::Ledger) => "/v1/members/{id}/ledger",
            Self::Member(_, MemberPart::Redemptions) => "/v1/members/{id}/redemptions",
            Self::Member(_, MemberPart::Rewards) => "/v1/members/{id}/rewards",
            Self::MemberReward(_, _, RewardCommand::Delete) => "/v1/members/{id}/rewards/{rid}",
            Self::MemberReward(_, _, RewardCommand::Claim) => "/v1/members/{id}/rewards/{rid}/claim",
            Self::MemberReward(_, _, RewardCommand::Activate) => "/v1/members/{id}/rewards/{rid}/activate",
            Self::MemberReward(_, _, RewardCommand::Retry) => "/v1/members/{id}/rewards/{rid}/retry",
            Self::MemberReward(_, _, RewardCommand::Fulfilment) => "/v1/members/{id}/rewards/{rid}/fulfilment",
            Self::Fulfilment(_) => "/v1/fulfilments/{id}",
            Self::Pools => "/v1/pools",
            Self::Pool(_) => "/v1/pools/{pool_id}",
            Self::PoolCodes(_) => "/v1/pools/{pool_id}/codes",
            Self::PoolQuarantine(_) => "/v1/pools/{pool_id}/quarantine",
            Self::PoolRelease(_) => "/v1/pools/{pool_id}/quarantine/release",
            Self::Webhooks => "/v1/webhooks",
            Self::Webhook(_) => "/v1/webhooks/{endpoint_id}",
            Self::WebhookRotate(_) => "/v1/webhooks/{endpoint_id}/rotate",
            Self::WebhookTest(_) => "/v1/webhooks/{endpoint_id}/test",
            Self::WebhookDeliveries(_) => "/v1/webhooks/{endpoint_id}/deliveries",
            Self::WebhookResend(..) => "/v1/webhooks/{endpoint_id}/deliveries/{delivery_id}/resend",
            Self::Audit => "/v1/audit",
            Self::AuditExport => "/v1/audit/export",
            Self::Stats => "/v1/stats",
            Self::Settings => "/v1/settings",
            Self::Order(_, OrderPart::Holds) => "/v1/orders/{order}/holds",
            Self::Order(_, OrderPart::Hold(_)) => "/v1/orders/{order}/holds/{id}",
            Self::Order(_, OrderPart::Commit) => "/v1/orders/{order}/commit",
            Self::Order(_, OrderPart::Release) => "/v1/orders/{order}/release",
            Self::TillLookup => "/v1/till/lookup",
            Self::Quotes => "/v1/till/quotes",
            Self::Quote(_) => "/v1/till/quotes/{id}",
            Self::QuoteConfirm(_) => "/v1/till/quotes/{id}/confirm",
            Self::Reversal(_) => "/v1/redemptions/{id}/reversal",
            Self::Adjustments(_) => "/v1/members/{id}/adjustments",
            Self::Catalogue => "/v1/catalogue",
            Self::Verify => "/v1/verify",
            Self::Metrics => "/metrics",
            Self::Health => "/healthz",
            #[cfg(feature = "dev")]
            Self::DevToken => "/dev/token",
        }
    }

    /// What a method does here; `None` where it does nothing.
    fn operation(&self, method: &str) -> Option<&'static Operation> {
        #[cfg(feature = "dev")]
        if let Self::DevToken = self {
            return (method == DEV_TOKEN.method).then_some(&DEV_TOKEN);
        }
        access::operation(method, self.path())
    }

    /// Its methods, as the header `Allow` lists them.
    fn methods(&self) -> String {
        #[cfg(feature = "dev")]
        if let Self::DevToken = self {
            return format!("{}, OPTIONS", DEV_TOKEN.method);
        }
        access::methods(self.path())
    }
}

/// The number of a key epoch.
fn epoch_of(text: &str) -> Option<u8> {
    text.parse().ok().filter(|epoch| *epoch <= EPOCH_MAX && text.len() == 1)
}

/// Answers a request.
pub(crate) async fn route(
    mut request: Request,
    arrived: Instant,
    (env, context): (&Env, &Context),
    config: &Config,
) -> Result<Response, Fault> {
    let route = Route::of(&request.path());
    let instance = route.as_ref().map_or("/", Route::path);
    let admitted = flood::admits_address(env, throttle::network(&request)?.as_ref()).await
        || authenticate(&request, &Objects(env), config, instance)
            .await
            .is_ok_and(|caller| caller.role == Role::Service);
    // Only whoever may upload is read at such length.
    let uploads = admitted
        && matches!(route, Some(Route::PoolCodes(_)))
        && authenticate(&request, &Objects(env), config, "/v1/pools/{pool_id}/codes")
            .await
            .is_ok_and(|caller| caller.role == Role::Admin);
    let body = read_body(&mut request, if uploads { UPLOAD_BYTES_MAX } else { BODY_BYTES_MAX }).await?;
    if !admitted {
        return flood::refused(config, instance)?.into_response();
    }
    let Some(route) = route else {
        return Answer::error(&ProtocolError::NotFound, instance)?.into_response();
    };
    // As it was sent: the platform's binding takes any method that it does not know for GET.
    let Some(operation) = route.operation(&request.inner().method()) else {
        let answer = Answer::error(&ProtocolError::HttpMethodNotAllowed, instance)?;
        return answer.header("Allow", route.methods()).into_response();
    };
    check_roots(env, config).await?;
    match dispatch((route, operation), (request, arrived), body, (env, context), config).await {
        Ok(response) => Ok(response),
        Err(Stop::Answer(answer)) => answer.into_response(),
        Err(Stop::Fault(fault)) => Answer::fault(&fault, instance).into_response(),
    }
}

async fn dispatch(
    (route, operation): (Route, &'static Operation),
    (request, arrived): (Request, Instant),
    body: Option<Vec<u8>>,
    (env, context): (&Env, &Context),
    config: &Config,
) -> Result<Response, Stop> {
    let (method, instance) = (request.method(), operation.path);
    if let Route::Health = route {
        return Ok(health(config)?.into_response()?);
    }
    #[cfg(feature = "dev")]
    if let Route::DevToken = route {
        return crate::dev_token::sign(request, body, config, instance);
    }
    let objects = &Objects(env);
    if let Route::Metrics = route {
        return metrics::page(&request, objects, config, instance).await;
    }
    if let Route::Fulfilment(id) = &route {
        return Box::pin(callback::take(&request, body, objects, config, instance, id)).await;
    }
    let principal = authenticate(&request, objects, config, instance).await?;
    permit(&principal, operation, instance)?;
    let mut query = query_of(&request);
    let listed = method == Method::Get && route.lists();
    let cursors = listed.then(|| Cursors::of(config, &principal, &request.path(), &mut query, instance)).transpose()?;
    let line = Rc::new(Line::new(arrived));
    let post = method == Method::Post;
    let tries_codes = route.redeems(post) || matches!(route, Route::Preview);
    if tries_codes && !flood::admits_caller(env, &principal).await {
        return Err(Stop::Answer(Box::new(flood::refused(config, instance)?)));
    }
    let source = Source::of(&request, config, &principal)?;
    // What an administrator changes counts for the very next request.
    let changed = (principal.role == Role::Admin && method != Method::Get).then(|| principal.merchant.clone());
    let settings = matches!(route, Route::Settings);
    let inbound = Inbound { request, config, principal, instance, query, body, line: Rc::clone(&line) };
    // Calls that redeem leave a line in the log.
    let logged = route.redeems(post).then(|| inbound.principal.merchant.clone());
    // Boxed: the future of every handler is compiled on its own, instead of all within one.
    let handling: LocalBoxFuture<'_, Result<Response, Stop>> = match route {
        Route::Redemptions if post => Box::pin(redeem::redeem(inbound, objects, None)),
        Route::CodeRedemptions(code) => Box::pin(redeem::redeem(inbound, objects, Some(code))),
        Route::Redemptions if history::asks_for_all(&inbound.query) => Box::pin(search::list(inbound, objects)),
        Route::Redemptions => Box::pin(redeem::history(inbound, objects)),
        Route::Redemption(id) => Box::pin(async move { redeem::read(inbound, objects, &id).await }),
        Route::Preview => Box::pin(redeem::preview(inbound, objects)),
        Route::Wallet => Box::pin(redeem::wallet(inbound, objects)),
        Route::Ledger => Box::pin(redeem::ledger(inbound, objects)),
        Route::Events => Box::pin(redeem::events(inbound, objects)),
        Route::RewardDefinitions if post => Box::pin(administer::define(inbound, objects)),
        Route::RewardDefinitions => Box::pin(administer::definitions(inbound, objects)),
        Route::RewardDefinition(id) if method == Method::Patch => {
            Box::pin(administer::patch_definition(inbound, objects, id))
        }
        Route::RewardDefinition(id) => Box::pin(administer::definition(inbound, objects, id)),
        Route::Campaigns if post => Box::pin(administer::create_campaign(inbound, objects)),
        Route::Campaigns => Box::pin(administer::campaigns(inbound, objects)),
        Route::Campaign(campaign) if method == Method::Patch => {
            Box::pin(administer::patch_campaign(inbound, objects, campaign))
        }
        Route::Campaign(campaign) => Box::pin(administer::campaign(inbound, objects, campaign)),
        Route::CampaignMove(campaign, to) => Box::pin(administer::move_campaign(inbound, objects, campaign, to)),
        Route::Batches(campaign) if post => Box::pin(administer::batch(inbound, objects, campaign)),
        Route::Batches(campaign) => Box::pin(administer::batches(inbound, objects, campaign)),
        Route::Batch(campaign, batch) => Box::pin(administer::read_batch(inbound, objects, campaign, batch)),
        Route::Recalls(campaign) if post => Box::pin(campaign_calls::recall(inbound, objects, campaign)),
        Route::Recalls(campaign) => Box::pin(campaign_calls::recalls(inbound, objects, campaign)),
        Route::Recall(campaign, id) => Box::pin(campaign_calls::read_recall(inbound, objects, campaign, id)),
        Route::PrintKey(campaign) => Box::pin(campaign_calls::print_key(inbound, objects, campaign)),
        Route::BreakerReset(campaign) => Box::pin(breaker::reset(inbound, objects, campaign)),
        Route::Keys => Box::pin(keys::read(inbound, objects)),
        Route::KeysRotate => Box::pin(keys::rotate(inbound, objects)),
        Route::KeyRevoke(epoch) => Box::pin(keys::revoke(inbound, objects, epoch)),
        Route::Inspect => Box::pin(inspect::inspect(inbound, objects)),
        Route::Explain => Box::pin(explain::explain(inbound, objects)),
        Route::RedemptionsExport => Box::pin(search::export(inbound, objects)),
        Route::ApiKeys if post => Box::pin(api_keys::create(inbound, objects)),
        Route::ApiKeys => Box::pin(api_keys::list(inbound, objects)),
        Route::ApiKey(id) if method == Method::Delete => Box::pin(api_keys::delete(inbound, objects, id)),
        Route::ApiKey(id) => Box::pin(api_keys::read(inbound, objects, id)),
        Route::Recovery(id, wanted) => Box::pin(async move { rewards::recover(inbound, objects, &id, wanted).await }),
        Route::Rewards => Box::pin(rewards::list(inbound, objects)),
        Route::Reward(id) => Box::pin(async move { rewards::read(inbound, objects, &id).await }),
        Route::RewardMove(id, wanted) => {
            Box::pin(async move { rewards::player_move(inbound, objects, &id, wanted).await })
        }
        Route::Members => Box::pin(lookup::members(inbound, objects)),
        Route::Member(id, MemberPart::Rewards) if post => {
            Box::pin(async move { rewards::give(inbound, objects, &id).await })
        }
        Route::Member(id, MemberPart::Whole) if method == Method::Delete => {
            Box::pin(async move { member_erase::erase(inbound, objects, &id).await })
        }
        Route::Member(id, part) => Box::pin(async move { rewards::member(inbound, objects, &id, part).await }),
        Route::MemberReward(id, rid, wanted) => {
            Box::pin(async move { rewards::command(inbound, objects, (&id, &rid), wanted).await })
        }
        Route::Pools if post => Box::pin(pools::create(inbound, objects)),
        Route::Pools => Box::pin(pools::list(inbound, objects)),
        Route::Pool(id) if method == Method::Patch => Box::pin(pools::patch(inbound, objects, id)),
        Route::Pool(id) => Box::pin(pools::read(inbound, objects, id)),
        Route::PoolCodes(id) => Box::pin(pools::upload(inbound, objects, id)),
        Route::PoolQuarantine(id) => Box::pin(pools::quarantine(inbound, objects, id)),
        Route::PoolRelease(id) => Box::pin(pools::release(inbound, objects, id)),
        Route::Webhooks if post => Box::pin(endpoint_admin::create(inbound, objects)),
        Route::Webhooks => Box::pin(endpoint_admin::list(inbound, objects)),
        Route::Webhook(id) if method == Method::Delete => Box::pin(endpoint_admin::delete(inbound, objects, id)),
        Route::Webhook(id) => Box::pin(endpoint_admin::read(inbound, objects, id)),
        Route::WebhookRotate(id) => Box::pin(endpoint_admin::rotate(inbound, objects, id)),
        Route::WebhookTest(id) => Box::pin(endpoint_admin::test(inbound, objects, id)),
        Route::WebhookDeliveries(id) => Box::pin(endpoint_admin::deliveries(inbound, objects, id)),
        Route::WebhookResend(id, delivery) => Box::pin(endpoint_admin::resend(inbound, objects, id, delivery)),
        // Answered above, without a token.
        Route::Fulfilment(_) | Route::Metrics => {
            return Ok(Answer::error(&ProtocolError::NotFound, instance)?.into_response()?);
        }
        Route::Audit => Box::pin(history::audit(inbound, objects)),
        Route::AuditExport => Box::pin(history::export(inbound, objects)),
        Route::Stats => Box::pin(history::stats(inbound, objects)),
        Route::Settings if method == Method::Patch => Box::pin(administer::patch_settings(inbound, objects)),
        Route::Settings => Box::pin(administer::settings(inbound, objects)),
        Route::Order(order, part) => Box::pin(orders::handle(inbound, objects, order, part)),
        Route::TillLookup => Box::pin(lookup::till(inbound, objects)),
        Route::Quotes => Box::pin(till::quote(inbound, objects)),
        Route::Quote(id) => Box::pin(async move { till::one_quote(inbound, objects, &id).await }),
        Route::QuoteConfirm(id) => Box::pin(async move { till::confirm(inbound, objects, &id).await }),
        Route::Reversal(id) => Box::pin(async move { till::reverse(inbound, objects, &id).await }),
        Route::Adjustments(id) => Box::pin(async move { till::adjust(inbound, objects, &id).await }),
        Route::Catalogue => Box::pin(till::catalogue(inbound, objects)),
        Route::Verify => Box::pin(history::verify(inbound, objects)),
        Route::Health => return Ok(health(config)?.into_response()?),
        #[cfg(feature = "dev")]
        Route::DevToken => return Ok(Answer::error(&ProtocolError::NotFound, instance)?.into_response()?),
    };
    let answered = handling.await;
    if let Some(merchant) = changed {
        gate::forget(&merchant);
        if settings {
            throttle::forget(&merchant);
        }
    }
    if let (Some(source), Ok(response)) = (source, &answered)
        && response.headers().get(HOLD_HEADER)?.as_deref() == Some(COUNTED)
    {
        context.wait_until(source.tell(env.clone()));
    }
    if let Some(merchant) = logged {
        line.write(&merchant, instance, &answered);
    }
    match cursors {
        Some(cursors) => Ok(cursors.seal(config, answered?).await?),
        None => answered,
    }
}

fn health(config: &Config) -> Result<Answer, Fault> {
    let epochs: Vec<u8> = config.roots.epochs().map(|(epoch, _)| epoch).collect();
    let version = env!("CARGO_PKG_VERSION");
    Answer::json(
        200,
        &serde_json::json!({ "ok": true, "version": version, "environment": config.environment.as_str(), "epochs": epochs }),
    )
}

thread_local! {
    static ROOTS_CHECKED: Cell<bool> = const { Cell::new(false) };
}

/// Once per isolate, before anything is served: the roots must be those of first use. A wrong secret must not
/// turn every honest customer into an attacker.
async fn check_roots(env: &Env, config: &Config) -> Result<(), Fault> {
    if ROOTS_CHECKED.get() {
        return Ok(());
    }
    let values = config.roots.epochs().map(|(epoch, root)| (epoch, hex::encode(&root.check_value()))).collect();
    let response = Objects(env).merchant(ENVIRONMENT_OBJECT, &MerchantOp::CheckRoots { values }).await?;
    let RootsAnswer { mismatched } = read_json(response).await?;
    if !mismatched.is_empty() {
        let epochs: Vec<String> = mismatched.iter().map(|epoch| format!("ROOT_{epoch}")).collect();
        return Err(Fault::new(format!("not the secret of first use: {}; refusing to serve", epochs.join(", "))));
    }
    ROOTS_CHECKED.set(true);
    Ok(())
}
