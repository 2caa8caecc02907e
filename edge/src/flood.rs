//! The flood guard: the platform's own counters in front of everything, where the deployment binds them. They are counted
//! in each of its locations, cheaply and roughly; exact limits are kept elsewhere.
//!
//! An address has its share before anybody is authenticated. A shop's server speaks for many members from one address: one
//! that proves to be a service goes on.

use crate::answer::Answer;
use crate::config::Config;
use crate::platform::Fault;
use counterfoil_core::rate_limit::{Policy, RateLimit};
use counterfoil_core::throttle::Network;
use counterfoil_core::token::{Principal, Role};
use js_sys::{Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use worker::Env;

/// The binding.
const BINDING: &str = "FLOOD_GUARD";

#[wasm_bindgen]
extern "C" {
    /// The platform's rate limiter. Past `worker`'s wrapper, which takes only what bears a certain class name.
    type RawLimiter;
    #[wasm_bindgen(method, catch)]
    fn limit(this: &RawLimiter, asked: &Object) -> Result<Promise, JsValue>;
}

/// Whether there is room for one more of this key. Without the binding, or when it fails, there is.
async fn has_room(env: &Env, key: &str) -> bool {
    let limiter = Reflect::get(env, &BINDING.into()).unwrap_or_default();
    if limiter.is_undefined() {
        return true;
    }
    let limiter: RawLimiter = limiter.unchecked_into();
    ask(&limiter, key).await.unwrap_or_else(|fault| {
        fault.log("flood_guard_failed");
        true
    })
}

async fn ask(limiter: &RawLimiter, key: &str) -> Result<bool, Fault> {
    let asked = Object::new();
    Reflect::set(&asked, &"key".into(), &key.into())?;
    let outcome = JsFuture::from(limiter.limit(&asked)?).await?;
    Ok(Reflect::get(&outcome, &"success".into())?.is_truthy())
}

/// Whether an address has its share.
pub(crate) async fn admits_address(env: &Env, network: Option<&Network>) -> bool {
    match network {
        Some(network) => has_room(env, &format!("address {network}")).await,
        None => true,
    }
}

/// Whether a caller who redeems has their share.
pub(crate) async fn admits_caller(env: &Env, principal: &Principal) -> bool {
    let Principal { merchant, role, sub, .. } = principal;
    *role == Role::Service || has_room(env, &format!("caller {} {} {sub}", merchant.as_str(), role.name())).await
}

/// The answer to who is not let in.
pub(crate) fn refused(config: &Config, instance: &str) -> Result<Answer, Fault> {
    let (quota, window_s) = config.flood;
    Answer::rate_limited(&RateLimit { policy: Policy::Flood, quota, window_s }, window_s, instance)
}
