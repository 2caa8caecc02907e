//! Bearer tokens: JWT (RFC 7519), signed with HS256, RS256, ES256 or EdDSA.
//!
//! Three steps, each with a type of its own: text → [`UnverifiedToken`] → [`VerifiedToken`] → [`Principal`]. The
//! algorithm belongs to the deployment's key ([`crate::jwk`] chooses it), never to the token: what the token's header
//! names is only ever compared with it. HS256 is verified here; the others by the platform, which has to be asked.

use crate::keys::{MerchantId, hmac};
use crate::limits::{ATTRIBUTE_CHARS_MAX, KEY_CHARS_MAX, LIST_ENTRIES_MAX};
use crate::time::Instant;
use crate::wire::Scope;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Clock difference that is forgiven, in seconds.
pub const LEEWAY_S: i64 = 60;

/// What a caller may do; each may what those before it may, where the API says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A merchant's customer.
    #[default]
    Member,
    /// Works at a till.
    Staff,
    /// Staff who may override.
    Manager,
    /// Administers the merchant.
    Admin,
    /// A merchant's own server.
    Service,
}

impl Role {
    /// As written in tokens and actors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Staff => "staff",
            Self::Manager => "manager",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }
}

/// Attributes that eligibility rules read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Loyalty tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Marketing persona.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persona: Option<String>,
    /// Free tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// Who calls, as the token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// Tenant.
    pub merchant: MerchantId,
    /// Subject: for members their user id at the merchant.
    pub sub: String,
    /// What they may do.
    pub role: Role,
    /// When the token ends.
    pub expires_at: Instant,
    /// Attributes the token carries.
    pub attributes: Attributes,
    /// The channel the token was sent through, such as `email`.
    pub via: Option<String>,
    /// What an API key is limited to; absent for a token, which may whatever its role may.
    pub scopes: Option<Vec<Scope>>,
}

impl Principal {
    /// As written in moves and ledger rows: `member:<id>` and so on.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}:{}", self.role.name(), self.sub)
    }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: the shared secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// By its name in headers and keys; `None` for any that is not spoken here, `none` among them.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "RS256" => Some(Self::Rs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Whether a signature can have so many bytes. One of RSA is as long as its key: the platform compares them.
    const fn signs_with(self, bytes: usize) -> bool {
        match self {
            Self::Hs256 => bytes == 32,
            Self::Es256 | Self::EdDsa => bytes == 64,
            Self::Rs256 => bytes >= 256,
        }
    }
}

/// Why a token is not accepted. Callers learn only `invalid_token`; the log learns the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three base64url parts with JSON inside, or too long.
    Malformed,
    /// Another algorithm than the key's, or none that is spoken here.
    Algorithm,
    /// None of the deployment's keys is meant.
    KeyUnknown,
    /// The signature does not fit.
    Signature,
    /// A claim is missing, of the wrong type or out of range.
    Claims,
    /// `exp` is over.
    Expired,
    /// `nbf` is not reached, or `iat` is in the future.
    NotYetValid,
    /// `iss` or `aud` is not what this deployment expects.
    Audience,
}

/// What a deployment asks of every token, whatever signed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenPolicy {
    /// Expected `iss`.
    pub issuer: Option<String>,
    /// Expected `aud`.
    pub audience: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

/// A token of the right form that nobody has vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedToken<'a> {
    alg: Algorithm,
    kid: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: Vec<u8>,
}

/// A token whose signature fits one of the deployment's keys; its claims have not been read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedToken<'a>(&'a str);

impl<'a> UnverifiedToken<'a> {
    /// Takes a compact JWT apart.
    ///
    /// # Errors
    /// [`TokenError::Malformed`]; [`TokenError::Algorithm`] where none is named that is spoken here, or the header has
    /// critical extensions; [`TokenError::Signature`] where no signature of that algorithm is so long.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let Header { alg, kid, crit } = json(header)?;
        let alg = Algorithm::named(&alg).filter(|_| crit.is_none()).ok_or(TokenError::Algorithm)?;
        if kid.as_ref().is_some_and(|kid| kid.chars().count() > KEY_CHARS_MAX) {
            return Err(TokenError::Malformed);
        }
        let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| TokenError::Malformed)?;
        if alg.signs_with(signature.len()) {
            Ok(Self { alg, kid, signed, payload, signature })
        } else {
            Err(TokenError::Signature)
        }
    }

    /// What the header claims of the key. To be compared with the key's own algorithm, never to be followed.
    #[must_use]
    pub const fn alg(&self) -> Algorithm {
        self.alg
    }

    /// Which key the header names.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The bytes that are signed.
    #[must_use]
    pub const fn signed(&self) -> &[u8] {
        self.signed.as_bytes()
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Verifies with the shared secret.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`], [`TokenError::Signature`].
    pub fn verify_hs256(&self, secret: &[u8]) -> Result<VerifiedToken<'a>, TokenError> {
        let fits = hmac(secret, &[self.signed()]).as_slice().ct_eq(&self.signature);
        self.judged(Algorithm::Hs256, bool::from(fits))
    }

    /// What the platform found of [`Self::signed`] and [`Self::signature`] with a key of `algorithm`.
    ///
    /// # Errors
    /// [`TokenError::Algorithm`] where the header names another, [`TokenError::Signature`] where it does not fit.
    pub fn judged(&self, algorithm: Algorithm, fits: bool) -> Result<VerifiedToken<'a>, TokenError> {
        match (self.alg == algorithm, fits) {
            (true, true) => Ok(VerifiedToken(self.payload)),
            (true, false) => Err(TokenError::Signature),
            (false, _) => Err(TokenError::Algorithm),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    merchant: String,
    exp: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<Audience>,
    #[serde(default)]
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    persona: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    via: Option<String>,
}

impl Claims {
    /// Whether every text is within its bounds.
    fn sound(&self) -> bool {
        let Self { tier, persona, tags, .. } = self;
        valid_sub(&self.sub)
            && tags.as_ref().is_none_or(|tags| tags.len() <= LIST_ENTRIES_MAX)
            && [tier, persona, &self.via].into_iter().flatten().chain(tags.iter().flatten()).all(|t| valid_attribute(t))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Whether a secret was given, in a time that does not tell how much of it fits.
#[must_use]
pub fn same_secret(expected: &[u8], given: &[u8]) -> bool {
    bool::from(expected.ct_eq(given))
}

impl TokenPolicy {
    /// Reads the claims of a verified token.
    ///
    /// # Errors
    /// [`TokenError::Claims`], [`TokenError::Expired`], [`TokenError::NotYetValid`], [`TokenError::Audience`].
    pub fn accept(&self, token: VerifiedToken<'_>, now: Instant) -> Result<Principal, TokenError> {
        let claims: Claims = json(token.0).map_err(|_| TokenError::Claims)?;
        let instant = |seconds: f64| millis(seconds).ok_or(TokenError::Claims);
        let expires_at = instant(claims.exp)?;
        if expires_at.plus_ms(LEEWAY_S * 1_000) <= now {
            return Err(TokenError::Expired);
        }
        for begins in [claims.nbf, claims.iat] {
            if begins.map(instant).transpose()?.is_some_and(|begins| begins > now.plus_ms(LEEWAY_S * 1_000)) {
                return Err(TokenError::NotYetValid);
            }
        }
        let named = match (&self.audience, &claims.aud) {
            (None, _) => true,
            (Some(expected), Some(Audience::One(found))) => expected == found,
            (Some(expected), Some(Audience::Many(found))) => found.contains(expected),
            (Some(_), None) => false,
        };
        if !named || self.issuer.as_ref().is_some_and(|issuer| claims.iss.as_ref() != Some(issuer)) {
            return Err(TokenError::Audience);
        }
        let merchant = MerchantId::new(&claims.merchant).map_err(|_| TokenError::Claims)?;
        if !claims.sound() {
            return Err(TokenError::Claims);
        }
        let Claims { sub, role, tier, persona, tags, via, .. } = claims;
        let attributes = Attributes { tier, persona, tags };
        Ok(Principal { merchant, sub, role, expires_at, attributes, via, scopes: None })
    }

    /// Signs a token for a principal with the shared secret.
    #[must_use]
    pub fn sign_hs256(&self, secret: &[u8], principal: &Principal) -> String {
        #[allow(clippy::cast_precision_loss, reason = "whole seconds of this era are exact in a double")]
        let exp = (principal.expires_at.0 / 1_000) as f64;
        let claims = Claims {
            sub: principal.sub.clone(),
            merchant: principal.merchant.as_str().to_owned(),
            exp,
            nbf: None,
            iat: None,
            iss: self.issuer.clone(),
            aud: self.audience.clone().map(Audience::One),
            role: principal.role,
            tier: principal.attributes.tier.clone(),
            persona: principal.attributes.persona.clone(),
            tags: principal.attributes.tags.clone(),
            via: principal.via.clone(),
        };
        let payload = serde_json::to_vec(&claims).unwrap_or_default();
        let header = Base64UrlUnpadded::encode_string(br#"{"alg":"HS256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", Base64UrlUnpadded::encode_string(&payload));
        let signature = Base64UrlUnpadded::encode_string(&hmac(secret, &[signed.as_bytes()]));
        format!("{signed}.{signature}")
    }
}

/// A user id: 1 to 255 characters, none of them a control character.
#[must_use]
pub fn valid_sub(sub: &str) -> bool {
    !sub.trim().is_empty() && sub.chars().count() <= KEY_CHARS_MAX && !sub.chars().any(char::is_control)
}

/// One attribute: 1 to 64 characters, none of them a control character.
#[must_use]
pub fn valid_attribute(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= ATTRIBUTE_CHARS_MAX && !text.chars().any(char::is_control)
}

fn json<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let bytes = Base64UrlUnpadded::decode_vec(part).map_err(|_| TokenError::Malformed)?;
    let text = core::str::from_utf8(&bytes).map_err(|_| TokenError::Malformed)?;
    crate::json::read(text).map_err(|_| TokenError::Malformed)
}

/// Seconds of a NumericDate in milliseconds, where it is a time RFC 3339 can write.
#[allow(clippy::cast_possible_truncation, reason = "the range is checked first")]
fn millis(seconds: f64) -> Option<Instant> {
    (0.0..253_402_300_800.0).contains(&seconds).then_some(Instant((seconds * 1_000.0) as i64))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
