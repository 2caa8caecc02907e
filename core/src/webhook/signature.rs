//! Signatures: base64 of HMAC-SHA256 over `id.timestamp.body`, version `v1`.

use crate::keys::{hmac, hmac_key};
use crate::limits::{KEY_CHARS_MAX, WEBHOOK_TOLERANCE_S};
use crate::time::Instant;
use base64ct::{Base64, Encoding};
use core::fmt;
use hmac::Mac;
use serde::{Deserialize, Serialize};

/// Bytes of a secret made here.
pub const SECRET_BYTES: usize = 32;
/// Fewest and most bytes of any secret, by the specification.
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;
const SECRET_PREFIX: &str = "whsec_";
const VERSION_PREFIX: &str = "v1,";
/// Signatures looked at in one header; more than any rotation needs.
const SIGNATURES_MAX: usize = 16;
const DIGEST_BYTES: usize = 32;

/// A secret shared with an endpoint. Written as text only where it is handed over.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(secret)")
    }
}

/// Why a text or its bytes are no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It does not begin with `whsec_`.
    Prefix,
    /// What follows is not base64 with padding.
    Base64,
    /// Not 24 to 64 bytes.
    Length {
        /// Bytes given.
        found: usize,
    },
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => write!(f, "a webhook secret begins with {SECRET_PREFIX}"),
            Self::Base64 => write!(f, "what follows {SECRET_PREFIX} is base64 with padding"),
            Self::Length { found } => {
                write!(f, "a webhook secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, found {found}")
            }
        }
    }
}

impl core::error::Error for SecretError {}

impl Secret {
    /// From its bytes.
    ///
    /// # Errors
    /// [`SecretError::Length`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, SecretError> {
        if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(SecretError::Length { found: bytes.len() })
        }
    }

    /// From `whsec_` and base64.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(SecretError::Prefix)?;
        Self::new(Base64::decode_vec(encoded).map_err(|_| SecretError::Base64)?)
    }

    /// As `whsec_` and base64: for its owner and for storage, never for a log.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{SECRET_PREFIX}{}", Base64::encode_string(&self.0))
    }
}

/// The three headers of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
}

/// Signs a message with each of an endpoint's secrets: during a rotation the receiver may know either.
/// `id` has no full stop in it, or another message could be read out of the same bytes.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, now: Instant, body: &str) -> Signed {
    let timestamp = now.0.div_euclid(1_000).to_string();
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| {
            let digest = hmac(&secret.0, &parts(id, &timestamp, body));
            format!("{VERSION_PREFIX}{}", Base64::encode_string(&digest))
        })
        .collect();
    Signed { id: id.to_owned(), timestamp, signature: signatures.join(" ") }
}

const fn parts<'a>(id: &'a str, timestamp: &'a str, body: &'a str) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body.as_bytes()]
}

/// Why a message is not accepted. The sender is told none of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// A header is missing or empty.
    Missing,
    /// The id is too long, or has other characters than visible ASCII without the full stop.
    Id,
    /// The timestamp is not a count of seconds.
    Timestamp,
    /// Signed more than five minutes ago: kept and sent again by somebody, or a clock that is slow.
    Stale,
    /// Signed more than five minutes from now: a clock that is fast.
    Early,
    /// None of the signatures is one of a known secret over this message.
    Signature,
}

impl SignatureError {
    /// Stable name, for the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "headers_missing",
            Self::Id => "webhook_id_malformed",
            Self::Timestamp => "timestamp_malformed",
            Self::Stale => "timestamp_too_old",
            Self::Early => "timestamp_too_new",
            Self::Signature => "signature_wrong",
        }
    }
}

/// Verifies a message by any of several secrets. Signatures of versions that are not known are passed over.
///
/// # Errors
/// The first check that fails.
pub fn verify(secrets: &[Secret], signed: &Signed, body: &str, now: Instant) -> Result<(), SignatureError> {
    let Signed { id, timestamp, signature } = signed;
    if id.is_empty() || timestamp.is_empty() || signature.is_empty() {
        return Err(SignatureError::Missing);
    }
    if id.len() > KEY_CHARS_MAX || !id.bytes().all(|b| b.is_ascii_graphic() && b != b'.') {
        return Err(SignatureError::Id);
    }
    // Parsing alone would take a sign, too.
    if !timestamp.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SignatureError::Timestamp);
    }
    let signed_s: i64 = timestamp.parse().map_err(|_| SignatureError::Timestamp)?;
    let now_s = now.0.div_euclid(1_000);
    if now_s.saturating_sub(signed_s) > WEBHOOK_TOLERANCE_S {
        return Err(SignatureError::Stale);
    }
    if signed_s.saturating_sub(now_s) > WEBHOOK_TOLERANCE_S {
        return Err(SignatureError::Early);
    }
    // HMAC takes any prefix of a digest as its truncated form, so the length is fixed first.
    let digests: Vec<[u8; DIGEST_BYTES]> = signature
        .split(' ')
        .take(SIGNATURES_MAX)
        .filter_map(|versioned| Base64::decode_vec(versioned.strip_prefix(VERSION_PREFIX)?).ok()?.try_into().ok())
        .collect();
    let genuine = secrets.iter().any(|secret| {
        let mut mac = hmac_key(&secret.0);
        for part in parts(id, timestamp, body) {
            mac.update(part);
        }
        digests.iter().any(|digest| mac.clone().verify_slice(digest).is_ok())
    });
    if genuine { Ok(()) } else { Err(SignatureError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // The vector of the specification's own reference libraries (libraries/{javascript,go,python …}, "sign").
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: Instant = Instant(1_614_265_330_000);
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    /// Well-formed and wrong; from the same test suites.
    const WRONG: &str = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";

    fn secret() -> Secret {
        Secret::parse(SECRET).unwrap()
    }

    fn other() -> Secret {
        Secret::new(vec![7; SECRET_BYTES]).unwrap()
    }

    fn check(signature: &str, expected: Result<(), SignatureError>) {
        let signed = Signed { signature: signature.to_owned(), ..sign(&[], ID, AT, BODY) };
        assert_eq!(verify(&[secret()], &signed, BODY, AT), expected, "{signature}");
    }

    #[test]
    fn the_published_vector() {
        let signed = sign(&[secret()], ID, AT, BODY);
        assert_eq!((signed.timestamp.as_str(), signed.signature.as_str()), ("1614265330", SIGNATURE));
        assert_eq!(verify(&[secret()], &signed, BODY, AT), Ok(()));
    }

    #[test]
    fn the_published_cases_of_several_and_broken_signatures() {
        check(SIGNATURE, Ok(()));
        let v2 = WRONG.replace("v1,", "v2,");
        check(&format!("{WRONG} {v2} {SIGNATURE} {WRONG}"), Ok(()));
        for wrong in [
            WRONG,
            "v1,dawfeoifkpqwoekfpqoekf",
            "v1,",
            "v1",
            &SIGNATURE[..8],
            // A correct start of the digest, as the truncated form would have it.
            "v1,g0hM9SsE+OTPJTGt/tmIKg==",
            &SIGNATURE.replace("v1,", "v2,"),
            &SIGNATURE.replace("v1,", "V1,"),
            &SIGNATURE.replace("v1,", "v1a,"),
            &SIGNATURE[3..],
            " ",
            ",",
        ] {
            check(wrong, Err(SignatureError::Signature));
        }
        check("", Err(SignatureError::Missing));
    }

    #[test]
    fn times_ids_and_bodies() {
        let verify_at =
            |signed: &Signed, offset_s: i64| verify(&[secret()], signed, BODY, AT.plus_ms(offset_s * 1_000));
        let signed = sign(&[secret()], ID, AT, BODY);
        assert_eq!(verify_at(&signed, 300), Ok(()));
        assert_eq!(verify_at(&signed, -300), Ok(()));
        assert_eq!(verify_at(&signed, 301), Err(SignatureError::Stale));
        assert_eq!(verify_at(&signed, -301), Err(SignatureError::Early));
        for (timestamp, expected) in [
            ("", SignatureError::Missing),
            ("hello", SignatureError::Timestamp),
            ("+1614265330", SignatureError::Timestamp),
            ("1614265330.0", SignatureError::Timestamp),
            ("99999999999999999999", SignatureError::Timestamp),
            ("9999999999999999999", SignatureError::Timestamp),
            ("01614265330", SignatureError::Signature),
            ("0", SignatureError::Stale),
            ("9223372036854775807", SignatureError::Early),
        ] {
            let bent = Signed { timestamp: timestamp.to_owned(), ..signed.clone() };
            assert_eq!(verify_at(&bent, 0), Err(expected), "{timestamp}");
        }
        let long = "m".repeat(KEY_CHARS_MAX + 1);
        for (id, expected) in [
            ("", SignatureError::Missing),
            ("msg_other", SignatureError::Signature),
            ("msg.1", SignatureError::Id),
            ("msg 1", SignatureError::Id),
            ("m\u{e9}", SignatureError::Id),
            (&long, SignatureError::Id),
        ] {
            let bent = Signed { id: id.to_owned(), ..signed.clone() };
            assert_eq!(verify_at(&bent, 0), Err(expected), "{id}");
        }
        assert_eq!(verify(&[secret()], &signed, r#"{"test": 2432232315}"#, AT), Err(SignatureError::Signature));
        assert_eq!(verify(&[], &signed, BODY, AT), Err(SignatureError::Signature));
    }

    #[test]
    fn either_secret_of_a_rotation_verifies() {
        let both = sign(&[other(), secret()], ID, AT, BODY);
        assert_eq!(both.signature.split(' ').nth(1), Some(SIGNATURE));
        for secrets in [vec![secret()], vec![other()], vec![other(), secret()]] {
            assert_eq!(verify(&secrets, &both, BODY, AT), Ok(()));
        }
        let third = Secret::new(vec![9; SECRET_BYTES]).unwrap();
        assert_eq!(verify(&[third], &both, BODY, AT), Err(SignatureError::Signature));
    }

    #[test]
    fn secrets() {
        assert_eq!(secret().reveal(), SECRET);
        assert!(!format!("{:?}", secret()).contains("Mf"));
        let of = |bytes: usize| format!("whsec_{}", Base64::encode_string(&vec![1; bytes]));
        for (text, expected) in [
            (of(24), Ok(())),
            (of(64), Ok(())),
            (of(23), Err(SecretError::Length { found: 23 })),
            (of(65), Err(SecretError::Length { found: 65 })),
            ("whsec_".to_owned(), Err(SecretError::Length { found: 0 })),
            (SECRET.replace("whsec_", ""), Err(SecretError::Prefix)),
            (format!("{SECRET}="), Err(SecretError::Base64)),
            (format!(" {SECRET}"), Err(SecretError::Prefix)),
        ] {
            assert_eq!(Secret::parse(&text).map(drop), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else(
            id in "[A-Za-z0-9_-]{1,64}",
            at in 0i64..4_000_000_000_000,
            body in ".{0,200}",
            flipped in 0usize..32,
            bit in 0u8..8,
        ) {
            let signed = sign(&[secret()], &id, Instant(at), &body);
            prop_assert_eq!(verify(&[other(), secret()], &signed, &body, Instant(at)), Ok(()));
            prop_assert_eq!(verify(&[other()], &signed, &body, Instant(at)), Err(SignatureError::Signature));
            let mut digest = Base64::decode_vec(&signed.signature[3..]).unwrap();
            digest[flipped] ^= 1 << bit;
            let bent = Signed { signature: format!("v1,{}", Base64::encode_string(&digest)), ..signed };
            prop_assert_eq!(verify(&[secret()], &bent, &body, Instant(at)), Err(SignatureError::Signature));
        }
    }
}
