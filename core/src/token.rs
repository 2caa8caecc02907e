//! Bearer tokens: JWT (RFC 7519) with HS256. The algorithm is fixed by the deployment's key, never taken from
//! the token.

use crate::keys::{MerchantId, hmac};
use crate::limits::{ATTRIBUTE_CHARS_MAX, KEY_CHARS_MAX, LIST_ENTRIES_MAX};
use crate::time::Instant;
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
}

impl Principal {
    /// As written in moves and ledger rows: `member:<id>` and so on.
    #[must_use]
    pub fn actor(&self) -> String {
        format!("{}:{}", self.role.name(), self.sub)
    }
}

/// Why a token is not accepted. Callers learn only `invalid_token`; the log learns the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Not three base64url parts with JSON inside, or too long.
    Malformed,
    /// Another algorithm than the deployment's.
    Algorithm,
    /// The signature does not fit.
    Signature,
    /// A claim is missing, of the wrong type or out of range.
    Claims,
    /// `exp` is over.
    Expired,
    /// `nbf` is not reached.
    NotYetValid,
    /// `iss` or `aud` is not what this deployment expects.
    Audience,
}

/// How this deployment checks tokens.
#[derive(Clone)]
pub struct TokenPolicy {
    /// Shared secret for HS256.
    pub secret: Vec<u8>,
    /// Expected `iss`.
    pub issuer: Option<String>,
    /// Expected `aud`.
    pub audience: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    merchant: String,
    exp: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<f64>,
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
    /// Verifies a compact JWT.
    ///
    /// # Errors
    /// See [`TokenError`]; the signature is checked before any claim is read.
    pub fn verify(&self, token: &str, now: Instant) -> Result<Principal, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let header: Header = json(header)?;
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::Algorithm);
        }
        let signature = Base64UrlUnpadded::decode_vec(signature).map_err(|_| TokenError::Malformed)?;
        if !bool::from(hmac(&self.secret, &[signed.as_bytes()]).as_slice().ct_eq(&signature)) {
            return Err(TokenError::Signature);
        }
        self.accept(json(payload).map_err(|_| TokenError::Claims)?, now)
    }

    fn accept(&self, claims: Claims, now: Instant) -> Result<Principal, TokenError> {
        let instant = |seconds: f64| millis(seconds).ok_or(TokenError::Claims);
        let expires_at = instant(claims.exp)?;
        if expires_at.plus_ms(LEEWAY_S * 1_000) <= now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.map(instant).transpose()?.is_some_and(|nbf| nbf > now.plus_ms(LEEWAY_S * 1_000)) {
            return Err(TokenError::NotYetValid);
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
        Ok(Principal { merchant, sub, role, expires_at, attributes, via })
    }

    /// Signs a token for a principal.
    #[must_use]
    pub fn sign(&self, principal: &Principal) -> String {
        #[allow(clippy::cast_precision_loss, reason = "whole seconds of this era are exact in a double")]
        let exp = (principal.expires_at.0 / 1_000) as f64;
        let claims = Claims {
            sub: principal.sub.clone(),
            merchant: principal.merchant.as_str().to_owned(),
            exp,
            nbf: None,
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
        let signature = Base64UrlUnpadded::encode_string(&hmac(&self.secret, &[signed.as_bytes()]));
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
mod tests {
    use super::*;

    fn policy() -> TokenPolicy {
        TokenPolicy { secret: b"a secret of thirty-two bytes or so".to_vec(), issuer: None, audience: None }
    }

    fn token(header: &str, payload: &str) -> String {
        let signed = format!(
            "{}.{}",
            Base64UrlUnpadded::encode_string(header.as_bytes()),
            Base64UrlUnpadded::encode_string(payload.as_bytes())
        );
        let signature = Base64UrlUnpadded::encode_string(&hmac(&policy().secret, &[signed.as_bytes()]));
        format!("{signed}.{signature}")
    }

    fn check(header: &str, payload: &str, expected: Result<Role, TokenError>) {
        let now = Instant(1_000_000_000_000);
        let got = policy().verify(&token(header, payload), now).map(|principal| principal.role);
        assert_eq!(got, expected, "{header} {payload}");
    }

    #[test]
    fn secrets_fit_whole_or_not_at_all() {
        for (given, fits) in [("secret", true), ("secreT", false), ("secre", false), ("secret ", false), ("", false)] {
            assert_eq!(same_secret(b"secret", given.as_bytes()), fits, "{given}");
        }
    }

    #[test]
    fn tokens() {
        let hs = r#"{"alg":"HS256"}"#;
        let ok = r#"{"sub":"ann","merchant":"acme","exp":1000000060}"#;
        check(hs, ok, Ok(Role::Member));
        check(hs, r#"{"sub":"a","merchant":"acme","exp":999999941,"role":"admin","other":1}"#, Ok(Role::Admin));
        check(r#"{"alg":"none"}"#, ok, Err(TokenError::Algorithm));
        check(r#"{"alg":"RS256"}"#, ok, Err(TokenError::Algorithm));
        check(r#"{"alg":"HS256","crit":["b64"]}"#, ok, Err(TokenError::Algorithm));
        check("[]", ok, Err(TokenError::Malformed));
        for (bad, error) in [
            (r#"{"sub":"a","merchant":"acme","exp":999999940}"#, TokenError::Expired),
            (r#"{"sub":"a","merchant":"acme","exp":1e10,"nbf":1000000061}"#, TokenError::NotYetValid),
            (r#"{"sub":"a","merchant":"acme"}"#, TokenError::Claims),
            (r#"{"sub":"","merchant":"acme","exp":1e10}"#, TokenError::Claims),
            (r#"{"sub":"a","merchant":"Acme","exp":1e10}"#, TokenError::Claims),
            (r#"{"sub":"a","merchant":"acme","exp":"1e10"}"#, TokenError::Claims),
            (r#"{"sub":"a","merchant":"acme","exp":1e300}"#, TokenError::Claims),
            (r#"{"sub":"a","merchant":"acme","exp":1e10,"role":"root"}"#, TokenError::Claims),
            (r#"{"sub":"a","merchant":"acme","exp":1e10,"tags":"x"}"#, TokenError::Claims),
            (r#"{"sub":"a","merchant":"acme","exp":1e10,"tier":""}"#, TokenError::Claims),
            ("null", TokenError::Claims),
        ] {
            check(hs, bad, Err(error));
        }
    }

    #[test]
    fn signatures_issuers_and_audiences() {
        let now = Instant(1_000_000_000_000);
        let strict =
            TokenPolicy { issuer: Some("shop".to_owned()), audience: Some("counterfoil".to_owned()), ..policy() };
        let principal = Principal {
            merchant: MerchantId::new("acme").unwrap(),
            sub: "ann".to_owned(),
            role: Role::Staff,
            expires_at: Instant(1_000_000_100_000),
            attributes: Attributes { tier: Some("gold".to_owned()), persona: None, tags: Some(vec!["vip".to_owned()]) },
            via: None,
        };
        let good = strict.sign(&principal);
        assert_eq!(strict.verify(&good, now), Ok(principal.clone()));
        assert_eq!(strict.verify(&policy().sign(&principal), now), Err(TokenError::Audience));
        let other = TokenPolicy { secret: vec![1; 32], ..policy() };
        assert_eq!(other.verify(&good, now), Err(TokenError::Signature));
        for bad in ["", "a.b", "a.b.c", "..", &good[..good.len() - 1], &"a".repeat(9_000)] {
            assert!(strict.verify(bad, now).is_err(), "{bad}");
        }
    }
}
