//! `POST /dev/token`: signs for anyone. Compiled in for local development only; a test looks for it in release
//! builds.

use crate::answer::Answer;
use crate::config::Config;
use crate::inbound::{Inbound, Stop, stop_invalid};
use crate::log::Line;
use crate::platform::{Fault, now};
use counterfoil_core::keys::MerchantId;
use counterfoil_core::limits::DAY_MS;
use counterfoil_core::token::{Attributes, Principal, Role, UnverifiedToken, valid_sub};
use counterfoil_core::wire::InvalidRequest;
use serde::Deserialize;
use std::rc::Rc;
use worker::{Request, Response};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    sub: String,
    #[serde(default)]
    role: Role,
    merchant: Option<String>,
    tier: Option<String>,
    persona: Option<String>,
    tags: Option<Vec<String>>,
    via: Option<String>,
}

/// Signs a token for a day.
pub(crate) fn sign(
    request: Request,
    body: Option<Vec<u8>>,
    config: &Config,
    instance: &'static str,
) -> Result<Response, Stop> {
    let nobody = Principal {
        merchant: MerchantId::new("demo").map_err(|e| Fault::new(e.to_string()))?,
        sub: String::new(),
        role: Role::Member,
        expires_at: now().plus_ms(DAY_MS),
        attributes: Attributes::default(),
        via: None,
        scopes: None,
    };
    let line = Rc::new(Line::new(now()));
    let mut inbound = Inbound { request, config, principal: nobody.clone(), instance, query: vec![], body, line };
    let Body { sub, role, merchant, tier, persona, tags, via } = inbound.json()?;
    let mut principal = Principal { sub, role, attributes: Attributes { tier, persona, tags }, via, ..nobody };
    if let Some(merchant) = merchant {
        match MerchantId::new(&merchant) {
            Ok(merchant) => principal.merchant = merchant,
            Err(error) => return stop_invalid(InvalidRequest::one("merchant", error.to_string()), instance),
        }
    }
    if !valid_sub(&principal.sub) {
        let reason = "1 to 255 characters, not blank, no control characters";
        return stop_invalid(InvalidRequest::one("sub", reason), instance);
    }
    let Some(secret) = &config.jwt_secret else {
        return Err(Fault::new("JWT_SECRET is not set: there is nothing to sign with").into());
    };
    let token = config.tokens.sign_hs256(secret, &principal);
    let read = UnverifiedToken::parse(&token).and_then(|token| token.verify_hs256(secret));
    if read.and_then(|token| config.tokens.accept(token, now())).is_err() {
        let reason = "attributes have 1 to 64 characters, lists at most 100 entries";
        return stop_invalid(InvalidRequest::one("body", reason), instance);
    }
    Ok(Answer::json(200, &serde_json::json!({ "token": token }))?.into_response()?)
}
