//! Who calls: a token by the deployment's keys, or an API key by its merchant; and whether they may.

use crate::api_keys;
use crate::config::Config;
use crate::inbound::{Stop, stop};
use crate::objects::Objects;
use crate::platform::{Fault, now};
use counterfoil_core::access::Operation;
use counterfoil_core::api_key::is_api_key;
use counterfoil_core::token::{Principal, TokenError, UnverifiedToken};
use counterfoil_core::wire::ProtocolError;
use worker::Request;

/// The token of `Authorization: Bearer`, or of the subprotocol `bearer.<jwt>` of a WebSocket.
pub(crate) fn bearer(request: &Request) -> Result<Option<String>, Fault> {
    if let Some(header) = request.headers().get("Authorization")? {
        let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return Ok(token.map(|(_, token)| token.trim().to_owned()));
    }
    let protocols = request.headers().get("Sec-WebSocket-Protocol")?.unwrap_or_default();
    Ok(protocols.split(',').find_map(|protocol| protocol.trim().strip_prefix("bearer.")).map(str::to_owned))
}

/// Who calls. The log learns why a token is not accepted; the caller does not.
pub(crate) async fn authenticate(
    request: &Request,
    objects: &Objects<'_>,
    config: &Config,
    instance: &str,
) -> Result<Principal, Stop> {
    let Some(bearer) = bearer(request)? else { return stop(&ProtocolError::InvalidToken, instance) };
    let reason = if is_api_key(&bearer) {
        match api_keys::principal(objects, config, &bearer).await? {
            Ok(principal) => return Ok(principal),
            Err(reason) => reason.to_owned(),
        }
    } else {
        match principal_of_token(config, &bearer).await? {
            Ok(principal) => return Ok(principal),
            Err(error) => format!("{error:?}"),
        }
    };
    let line = serde_json::json!({ "event": "invalid_token", "route": instance, "reason": reason });
    worker::console_log!("{line}");
    stop(&ProtocolError::InvalidToken, instance)
}

/// Stops unless the caller may call this.
pub(crate) fn permit(principal: &Principal, operation: &Operation, instance: &str) -> Result<(), Stop> {
    if operation.access.allows(principal.role, principal.scopes.as_deref()) {
        Ok(())
    } else {
        stop(&ProtocolError::Forbidden, instance)
    }
}

async fn principal_of_token(config: &Config, token: &str) -> Result<Result<Principal, TokenError>, Fault> {
    let unverified = match UnverifiedToken::parse(token) {
        Ok(unverified) => unverified,
        Err(error) => return Ok(Err(error)),
    };
    let secret = config.jwt_secret.as_deref();
    let verified = match (&config.jwks, secret) {
        (Some(jwks), _) => jwks.verify(&unverified, secret).await?,
        (None, Some(secret)) => unverified.verify_hs256(secret),
        // Settings without either are refused.
        (None, None) => Err(TokenError::KeyUnknown),
    };
    Ok(verified.and_then(|verified| config.tokens.accept(verified, now())))
}
