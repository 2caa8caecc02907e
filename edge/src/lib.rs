//! Counterfoil's Worker and its Durable Objects: read, ask core, write in one commit, answer.
//!
//! The Worker (this file, [`routes`], [`redeem`], [`administer`]) holds no state. Each object serialises one
//! kind of thing; see `core/ARCHITECTURE.md`.

#![allow(unsafe_code, missing_docs, reason = "generated glue of wasm-bindgen and workers-rs")]

mod administer;
mod answer;
mod api_keys;
mod audit_log;
mod auth;
mod breaker;
mod callback;
mod calls;
mod campaign;
mod campaign_batches;
mod campaign_calls;
mod campaign_figures;
mod campaign_keys;
mod campaign_merchant;
mod campaign_portions;
mod campaign_recalls;
mod campaign_shards;
mod campaign_watch;
mod challenge;
mod config;
mod cursor;
#[cfg(feature = "dev")]
mod dev_token;
mod directory;
mod due;
mod endpoint_admin;
mod endpoint_calls;
mod endpoints;
mod endpoints_store;
mod explain;
mod figures;
mod flood;
mod gate;
mod group;
mod history;
mod hold_codes;
mod hold_desk;
mod hold_store;
mod inbound;
mod inspect;
mod jwks;
mod keys;
mod log;
mod lookup;
mod member;
mod member_deliver;
mod member_drive;
mod member_erase;
mod member_explain;
mod member_export;
mod member_feed;
mod member_holds;
mod member_participants;
mod member_phone;
mod member_rewards;
mod member_search;
mod member_store;
mod member_till;
mod member_verify;
mod merchant;
mod merchant_aliases;
mod merchant_api_keys;
mod merchant_calls;
mod merchant_campaigns;
mod merchant_keys;
mod merchant_settings;
mod metrics;
mod mint;
mod objects;
mod once;
mod order_calls;
mod orders;
mod platform;
mod pool;
mod pool_calls;
mod pool_desk;
mod pool_store;
mod pools;
mod recorder;
mod recorder_calls;
mod recorder_claims;
mod recorder_deliver;
mod recorder_search;
mod recorder_store;
mod redeem;
mod reward_store;
mod rewards;
mod routes;
mod search;
mod shard;
mod shard_calendar;
mod shard_look;
mod shard_portions;
mod shard_store;
mod sql;
mod submitted;
mod throttle;
mod till;
mod till_calls;
mod turns;
mod webhooks;

pub use campaign::Campaign;
pub use directory::Directory;
pub use member::Member;
pub use merchant::Merchant;
pub use pool::Pool;
pub use recorder::Recorder;
pub use shard::CodeShard;
pub use throttle::Throttle;

use answer::{Answer, HOLD_HEADER, OUTCOME_HEADER};
use config::Config;
use counterfoil_core::time::Instant;
use platform::{Fault, copy_headers, now};
use std::time::Duration;
use worker::{Context, Delay, Env, Request, Response, event};

/// Unrecognised codes are answered no sooner than this after arrival …
const HOLD_MS: i64 = 60;
/// … or on the next of these steps, so that the time says nothing about the reason.
const HOLD_STEP_MS: i64 = 20;
/// Headers that a browser page may read.
const EXPOSED: &str = "Date, Location, ETag, Retry-After, RateLimit, RateLimit-Policy, Idempotent-Replayed, \
     Preference-Applied, Counterfoil-Batch, Counterfoil-Count, Counterfoil-Remaining, Counterfoil-Odds";
/// Headers that a browser page may send.
const ALLOWED: &str = "Authorization, Content-Type, Counterfoil-Challenge, Idempotency-Key, If-Match, Prefer";

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let arrived = now();
    let origin = request.headers().get("Origin").ok().flatten();
    let upgrade = request.headers().get("Upgrade").ok().flatten().is_some();
    let config = match Config::of(&env) {
        Ok(config) => config,
        Err(fault) => {
            let response = Answer::fault(&fault, "configuration").into_response()?;
            return finish(seal(response, None, arrived).await);
        }
    };
    let origin = origin.filter(|origin| config.allows_origin(origin));
    if request.method() == worker::Method::Options {
        return finish(preflight(origin.as_deref()));
    }
    let response = match routes::route(request, arrived, (&env, &context), &config).await {
        Ok(response) => Ok(response),
        Err(fault) => Answer::fault(&fault, "worker").into_response(),
    };
    if upgrade && response.as_ref().is_ok_and(|response| response.status_code() == 101) {
        return finish(response);
    }
    finish(match response {
        Ok(response) => seal(response, origin.as_deref(), arrived).await,
        Err(fault) => Err(fault),
    })
}

fn finish(response: Result<Response, Fault>) -> worker::Result<Response> {
    response.map_err(worker::Error::from)
}

/// Common headers, and the hold of unrecognised codes.
async fn seal(response: Response, origin: Option<&str>, arrived: Instant) -> Result<Response, Fault> {
    let headers = copy_headers(response.headers())?;
    headers.delete(OUTCOME_HEADER)?;
    if headers.has(HOLD_HEADER)? {
        headers.delete(HOLD_HEADER)?;
        let spent = now().0 - arrived.0;
        let until = HOLD_MS.max((spent + HOLD_STEP_MS - 1) / HOLD_STEP_MS * HOLD_STEP_MS);
        Delay::from(Duration::from_millis(u64::try_from(until - spent).unwrap_or_default())).await;
    }
    headers.set("X-Content-Type-Options", "nosniff")?;
    headers.set("Referrer-Policy", "no-referrer")?;
    if headers.get("Cache-Control")?.is_none() {
        headers.set("Cache-Control", "no-store")?;
    }
    // Pages count down by this clock, not by their device's; the runtime alone would not send it everywhere.
    headers.set("Date", &String::from(js_sys::Date::new_0().to_utc_string()))?;
    headers.append("Vary", "Origin")?;
    if let Some(origin) = origin {
        headers.set("Access-Control-Allow-Origin", origin)?;
        headers.set("Access-Control-Expose-Headers", EXPOSED)?;
    }
    Ok(response.with_headers(headers))
}

fn preflight(origin: Option<&str>) -> Result<Response, Fault> {
    let mut answer = Answer::empty(204).header("Vary", "Origin");
    if let Some(origin) = origin {
        answer = answer
            .header("Access-Control-Allow-Origin", origin)
            .header("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE, OPTIONS")
            .header("Access-Control-Allow-Headers", ALLOWED)
            .header("Access-Control-Max-Age", "86400");
    }
    answer.into_response()
}
