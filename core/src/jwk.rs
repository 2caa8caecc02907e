//! The keys that sign a deployment's tokens: its shared secret, and the public keys of its JWK set (RFC 7517).
//!
//! A set is read whole or not at all. What it may contain besides (keys that encrypt, algorithms that are not spoken
//! here) is passed over, as the RFC asks; what must not be in it (private and shared keys, weak ones, keys that say two
//! things of themselves) refuses it, so that whoever made it notices.

use crate::json;
use crate::limits::{KEY_CHARS_MAX, LIST_ENTRIES_MAX};
use crate::time::Instant;
use crate::token::{Algorithm, TokenError, UnverifiedToken};
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt;
use serde::Deserialize;

/// Most bytes of a set.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;
/// How long a fetched set is used before it is fetched again.
pub const JWKS_KEPT_MS: i64 = 10 * 60_000;
/// Keys that are not known have the set fetched at most so often, whoever names them; and a fetch that failed is repeated
/// after so long.
pub const JWKS_AGAIN_MS: i64 = 30_000;
/// Where nothing is known yet, a failed fetch is repeated after so long.
pub const JWKS_FIRST_AGAIN_MS: i64 = 1_000;
/// Longest wait for a set.
pub const JWKS_WAIT_MS: i64 = 4_000;

const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 8_192;
/// 65537 has three bytes; platforms take no exponent beyond 33 bits.
const RSA_EXPONENT_BYTES_MAX: usize = 4;
const POINT_BYTES: usize = 32;

/// Why a set is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksError {
    /// More than 64 KiB, or more than 100 keys.
    Length,
    /// Not JSON of the form `{"keys": [{"kty": …}]}`.
    Form(String),
    /// One of its keys, counted from 0.
    Key {
        /// Which.
        index: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No key in it can verify a token.
    Empty,
}

impl fmt::Display for JwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a JWK set has at most 64 KiB and {LIST_ENTRIES_MAX} keys"),
            Self::Form(reason) => write!(f, "not a JWK set: {reason}"),
            Self::Key { index, reason } => write!(f, "keys[{index}]: {reason}"),
            Self::Empty => f.write_str("no key of this JWK set can verify RS256, ES256 or EdDSA"),
        }
    }
}

impl core::error::Error for JwksError {}

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// Its name.
    pub kid: Option<String>,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Only what makes the key, as a JWK: nothing in it tells a platform what to do with it.
    pub material: String,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    // What only private keys (d, p, q, dp, dq, qi, oth) and shared ones (k) have.
    d: Option<serde_json::Value>,
    p: Option<serde_json::Value>,
    q: Option<serde_json::Value>,
    dp: Option<serde_json::Value>,
    dq: Option<serde_json::Value>,
    qi: Option<serde_json::Value>,
    oth: Option<serde_json::Value>,
    k: Option<serde_json::Value>,
}

/// Reads a set.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read_set(text: &str) -> Result<Vec<PublicKey>, JwksError> {
    if text.len() > JWKS_BYTES_MAX {
        return Err(JwksError::Length);
    }
    let set: Set = json::read(text).map_err(|error| JwksError::Form(error.to_string()))?;
    if set.keys.len() > LIST_ENTRIES_MAX {
        return Err(JwksError::Length);
    }
    let mut keys: Vec<PublicKey> = vec![];
    for (index, jwk) in set.keys.iter().enumerate() {
        let Some(key) = jwk.read().map_err(|reason| JwksError::Key { index, reason })? else { continue };
        if key.kid.is_some() && keys.iter().any(|earlier| earlier.kid == key.kid) {
            return Err(JwksError::Key { index, reason: "another key has the same kid" });
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(JwksError::Empty) } else { Ok(keys) }
}

impl Jwk {
    /// The key; `None` where it is for something else.
    fn read(&self) -> Result<Option<PublicKey>, &'static str> {
        let Self { d, p, q, dp, dq, qi, oth, k, .. } = self;
        if self.kty == "oct" || k.is_some() {
            return Err("a shared secret: whoever reads the set could sign");
        }
        if [d, p, q, dp, dq, qi, oth].into_iter().any(Option::is_some) {
            return Err("a private key: publish the public part only");
        }
        if self.kid.as_ref().is_some_and(|kid| kid.is_empty() || kid.chars().count() > KEY_CHARS_MAX) {
            return Err("kid has 1 to 255 characters");
        }
        if !self.verifies() {
            return Ok(None);
        }
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            ("EC" | "OKP", None) => return Err("crv is missing"),
            _ => return Ok(None),
        };
        match self.alg.as_deref().map(|alg| (Algorithm::named(alg), alg)) {
            None => {}
            Some((Some(named), _)) if named == algorithm => {}
            Some((Some(_), _)) => return Err("kty, crv and alg say different things"),
            // Another algorithm of the same kind of key, such as RS512.
            Some((None, _)) => return Ok(None),
        }
        let material = match algorithm {
            Algorithm::Rs256 => self.rsa()?,
            Algorithm::Es256 => {
                let (x, y) = (coordinate(self.x.as_deref(), "x")?, coordinate(self.y.as_deref(), "y")?);
                format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)
            }
            Algorithm::EdDsa => {
                let x = coordinate(self.x.as_deref(), "x")?;
                format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
            }
            Algorithm::Hs256 => return Ok(None),
        };
        Ok(Some(PublicKey { kid: self.kid.clone(), algorithm, material }))
    }

    /// Whether it is there to verify, as far as it says.
    fn verifies(&self) -> bool {
        let purpose = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        purpose && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"))
    }

    fn rsa(&self) -> Result<String, &'static str> {
        let (modulus, exponent) = (bytes_of(self.n.as_deref()), bytes_of(self.e.as_deref()));
        let modulus = modulus.ok_or("n is missing, or not base64url without padding")?;
        let exponent = exponent.ok_or("e is missing, or not base64url without padding")?;
        let bits = bits_of(&modulus);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err("an RSA key has 2048 to 8192 bits");
        }
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|byte| byte % 2 == 1);
        if exponent.len() > RSA_EXPONENT_BYTES_MAX || bits_of(&exponent) < 2 || !odd(&exponent) || !odd(&modulus) {
            return Err("n and e are odd, and e is 3 to 2^32");
        }
        let (n, e) = (Base64UrlUnpadded::encode_string(&modulus), Base64UrlUnpadded::encode_string(&exponent));
        Ok(format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#))
    }
}

fn bytes_of(text: Option<&str>) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text?).ok()
}

/// Length of a big-endian number in bits.
fn bits_of(number: &[u8]) -> usize {
    let significant = number.iter().skip_while(|byte| **byte == 0).count();
    let first = number.iter().find(|byte| **byte != 0).map_or(0, |byte| byte.leading_zeros());
    (significant * 8).saturating_sub(usize::try_from(first).unwrap_or_default())
}

/// One coordinate of a point, in the one spelling of its bytes.
fn coordinate(text: Option<&str>, name: &'static str) -> Result<String, &'static str> {
    match bytes_of(text).filter(|bytes| bytes.len() == POINT_BYTES) {
        Some(bytes) => Ok(Base64UrlUnpadded::encode_string(&bytes)),
        None if name == "x" => Err("x is missing, or not 32 bytes in base64url without padding"),
        None => Err("y is missing, or not 32 bytes in base64url without padding"),
    }
}

/// Which key is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen<'k> {
    /// The deployment's shared secret.
    Secret,
    /// This key of the set, by its place.
    Public(usize, &'k PublicKey),
}

/// The key that a token must have been signed with: by its `kid`, or, where it names none, the only one of its
/// algorithm. A name that the set knows stands for that key alone: it is never the shared secret's.
///
/// # Errors
/// [`TokenError::KeyUnknown`]; [`TokenError::Algorithm`] where the key that is named signs otherwise.
pub fn choose<'k>(
    token: &UnverifiedToken<'_>,
    has_secret: bool,
    keys: &'k [PublicKey],
) -> Result<Chosen<'k>, TokenError> {
    if let Some(kid) = token.kid()
        && let Some((place, key)) = keys.iter().enumerate().find(|(_, key)| key.kid.as_deref() == Some(kid))
    {
        return if key.algorithm == token.alg() { Ok(Chosen::Public(place, key)) } else { Err(TokenError::Algorithm) };
    }
    if token.alg() == Algorithm::Hs256 {
        return if has_secret { Ok(Chosen::Secret) } else { Err(TokenError::Algorithm) };
    }
    let mut fitting = keys.iter().enumerate().filter(|(_, key)| token.kid().is_none() && key.algorithm == token.alg());
    match (fitting.next(), fitting.next()) {
        (Some((place, key)), None) => Ok(Chosen::Public(place, key)),
        (None, _) | (Some(_), Some(_)) => Err(TokenError::KeyUnknown),
    }
}

/// What is known of a set that is fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// When the known keys were asked for.
    pub at: Option<Instant>,
    /// When the last try began.
    pub tried_at: Option<Instant>,
    /// Whether it has ended.
    pub tried: bool,
    /// When the last one began that was for a missing key.
    pub missed_at: Option<Instant>,
}

/// What to do before a key is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Use what is known.
    Use,
    /// Fetch the set.
    Fetch,
    /// Somebody else fetches it, and what is known until then is not enough.
    Wait,
    /// Nothing is known, and it is too early to try again.
    GiveUp,
}

impl Fetched {
    /// The next step. `missing`: the known keys have none for this token.
    #[must_use]
    pub fn step(&self, missing: bool, now: Instant) -> Step {
        // A try that began in the future was timed by a clock that has been put back.
        let since = |at: Instant, ms: i64| at <= now && at.plus_ms(ms) > now;
        let within = |at: Option<Instant>, ms| at.is_some_and(|at| since(at, ms));
        match self.at {
            None if !self.tried && within(self.tried_at, JWKS_WAIT_MS) => Step::Wait,
            None if self.tried && within(self.tried_at, JWKS_FIRST_AGAIN_MS) => Step::GiveUp,
            None => Step::Fetch,
            Some(_) if missing && !self.tried && within(self.tried_at, JWKS_WAIT_MS) => Step::Wait,
            // An issuer may rotate its keys as soon as they have been fetched: that fetch was for none that was missed.
            // One that was cut off has asked for nobody: whoever began it may have gone.
            Some(_) if missing && (!self.tried || !within(self.missed_at, JWKS_AGAIN_MS)) => Step::Fetch,
            Some(at) if !since(at, JWKS_KEPT_MS) && !within(self.tried_at, JWKS_AGAIN_MS) => Step::Fetch,
            Some(_) => Step::Use,
        }
    }
}

#[cfg(test)]
#[path = "jwk_tests.rs"]
mod tests;
