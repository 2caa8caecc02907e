//! API keys: an administrator's calls, and who calls with one.
//!
//! A key's merchant is asked whether it is still good. What it says is remembered for a second, here in this isolate, so
//! that a busy shop does not ask one object thousands of times; deleting a key forgets it at once.

use crate::administer::canonical;
use crate::config::Config;
use crate::inbound::{Inbound, Stop, stop_invalid};
use crate::merchant_api_keys::{ApiKeyOp, Standing};
use crate::merchant_calls::MerchantOp;
use crate::objects::{Objects, read_json};
use crate::platform::{Fault, now, random};
use counterfoil_core::api_key::ApiKey;
use counterfoil_core::hex;
use counterfoil_core::time::Instant;
use counterfoil_core::token::{Principal, Role};
use counterfoil_core::wire::NewApiKey;
use std::cell::{Cell, RefCell};
use worker::Response;

/// How long an answer is remembered.
const REMEMBERED_MS: i64 = 1_000;
/// Most keys that are remembered.
const REMEMBERED_MAX: usize = 256;

struct Remembered {
    key: ApiKey,
    standing: Option<Standing>,
    until: Instant,
}

thread_local! {
    static REMEMBERED: RefCell<Vec<Remembered>> = const { RefCell::new(Vec::new()) };
    /// Grows with each key that is deleted here: an answer that was under way then is not remembered.
    static DELETED: Cell<u32> = const { Cell::new(0) };
}

/// Who calls with a key, or why nobody does.
pub(crate) async fn principal(
    objects: &Objects<'_>,
    config: &Config,
    bearer: &str,
) -> Result<Result<Principal, &'static str>, Fault> {
    let Some(key) = ApiKey::read(&config.id_key, bearer) else { return Ok(Err("not a key of this deployment")) };
    let Some(Standing { scopes, expires_at }) = standing(objects, &key).await? else {
        return Ok(Err("a key that is deleted"));
    };
    let now = now();
    if expires_at.is_some_and(|at| at <= now) {
        return Ok(Err("a key that has ended"));
    }
    Ok(Ok(key.principal(scopes, expires_at, now)))
}

/// What a key's merchant knows of it.
async fn standing(objects: &Objects<'_>, key: &ApiKey) -> Result<Option<Standing>, Fault> {
    let asked = now();
    let known = REMEMBERED.with_borrow(|all| {
        let known = all.iter().find(|known| known.until > asked && known.key == *key);
        known.map(|known| known.standing.clone())
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let deleted = DELETED.get();
    let op = MerchantOp::ApiKey(ApiKeyOp::Standing { key_id: key.key_id(), hash: hex::encode(&key.hash()) });
    let standing: Option<Standing> = read_json(objects.merchant(key.merchant.as_str(), &op).await?).await?;
    if DELETED.get() == deleted {
        REMEMBERED.with_borrow_mut(|all| {
            all.retain(|known| known.until > asked && known.key != *key);
            if all.len() >= REMEMBERED_MAX {
                all.remove(0);
            }
            all.push(Remembered { key: key.clone(), standing: standing.clone(), until: asked.plus_ms(REMEMBERED_MS) });
        });
    }
    Ok(standing)
}

async fn ask(inbound: &Inbound<'_>, objects: &Objects<'_>, op: ApiKeyOp) -> Result<Response, Stop> {
    Ok(objects.merchant(inbound.principal.merchant.as_str(), &MerchantOp::ApiKey(op)).await?)
}

/// `POST /v1/api-keys`. A repetition under the same idempotency key answers without the key: it is shown once, and
/// whoever has missed it makes another.
pub(crate) async fn create(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let body = inbound.body()?;
    let new: NewApiKey = inbound.parse(&body)?;
    if let Err(invalid) = new.check(now()) {
        return stop_invalid(invalid, inbound.instance);
    }
    let once = inbound.once("", &canonical(&body))?;
    let key = ApiKey::new(inbound.principal.merchant.clone(), random(), random());
    let op = ApiKeyOp::Create {
        new,
        key_id: key.key_id(),
        hash: hex::encode(&key.hash()),
        key: key.reveal(&inbound.config.id_key),
        by: inbound.principal.actor(),
        once,
    };
    ask(&inbound, objects, op).await
}

/// `GET /v1/api-keys`.
pub(crate) async fn list(mut inbound: Inbound<'_>, objects: &Objects<'_>) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let page = inbound.take_page()?;
    ask(&inbound, objects, ApiKeyOp::List(page)).await
}

/// `GET /v1/api-keys/{key_id}`.
pub(crate) async fn read(inbound: Inbound<'_>, objects: &Objects<'_>, key_id: String) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    ask(&inbound, objects, ApiKeyOp::Read { key_id }).await
}

/// `DELETE /v1/api-keys/{key_id}`: counts at once here, and everywhere within a second.
pub(crate) async fn delete(inbound: Inbound<'_>, objects: &Objects<'_>, key_id: String) -> Result<Response, Stop> {
    inbound.need(&[Role::Admin])?;
    let by = inbound.principal.actor();
    let answer = ask(&inbound, objects, ApiKeyOp::Delete { key_id: key_id.clone(), by }).await?;
    DELETED.set(DELETED.get().wrapping_add(1));
    let merchant = &inbound.principal.merchant;
    REMEMBERED
        .with_borrow_mut(|all| all.retain(|known| known.key.merchant != *merchant || known.key.key_id() != key_id));
    Ok(answer)
}
