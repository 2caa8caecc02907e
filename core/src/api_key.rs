//! API keys: what a merchant's own server sends instead of a token.
//!
//! A key says whose it is and which, and carries a MAC with the deployment's id key over all of it: one that was made
//! up or bent dies in the Worker, and no object is ever named after it. Only a hash of its secret is stored.

use crate::hex;
use crate::ids::IdKey;
use crate::keys::MerchantId;
use crate::time::Instant;
use crate::token::{Attributes, Principal, Role};
use crate::wire::Scope;
use base64ct::{Base64UrlUnpadded, Encoding};
use core::fmt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How every key begins.
pub const KEY_PREFIX: &str = "cfk_";
/// Bytes of a key's id.
pub const KEY_ID_BYTES: usize = 12;
/// Bytes of a key's secret.
pub const KEY_SECRET_BYTES: usize = 32;
const ID_PREFIX: &str = "key_";
const MAC_BYTES: usize = 16;
/// How long what was allowed with a key is taken for granted: a live feed that was opened with it ends then, with 4401,
/// and a key that was revoked meanwhile opens no other.
const GRANTED_MS: i64 = 15 * 60_000;

/// A key that this deployment made. Whether it is still good, its merchant knows.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is.
    pub merchant: MerchantId,
    id: [u8; KEY_ID_BYTES],
    secret: [u8; KEY_SECRET_BYTES],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, secret)", self.key_id())
    }
}

/// Whether a bearer's text claims to be a key, rather than a token.
#[must_use]
pub fn is_api_key(bearer: &str) -> bool {
    bearer.starts_with(KEY_PREFIX)
}

impl ApiKey {
    /// A new key from random bytes.
    #[must_use]
    pub const fn new(merchant: MerchantId, id: [u8; KEY_ID_BYTES], secret: [u8; KEY_SECRET_BYTES]) -> Self {
        Self { merchant, id, secret }
    }

    /// Its name, which is no secret.
    #[must_use]
    pub fn key_id(&self) -> String {
        format!("{ID_PREFIX}{}", hex::encode(&self.id))
    }

    /// What is stored of it. The secret is random and long, so a plain hash keeps it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether it is the key whose hash is stored.
    #[must_use]
    pub fn fits(&self, stored: &[u8]) -> bool {
        bool::from(self.hash().as_slice().ct_eq(stored))
    }

    fn mac(&self, key: &IdKey) -> [u8; MAC_BYTES] {
        let full = key.api_key(&self.merchant, &[self.id.as_slice(), &self.secret].concat());
        let mut mac = [0; MAC_BYTES];
        for (slot, byte) in mac.iter_mut().zip(full) {
            *slot = byte;
        }
        mac
    }

    /// The text that its owner is shown once: `cfk_` and base64url of id, secret, MAC and merchant.
    #[must_use]
    pub fn reveal(&self, key: &IdKey) -> String {
        let bytes = [self.id.as_slice(), &self.secret, &self.mac(key), self.merchant.as_str().as_bytes()].concat();
        format!("{KEY_PREFIX}{}", Base64UrlUnpadded::encode_string(&bytes))
    }

    /// Reads a key; `None` for anything that this deployment did not make.
    #[must_use]
    pub fn read(key: &IdKey, text: &str) -> Option<Self> {
        let bytes = Base64UrlUnpadded::decode_vec(text.strip_prefix(KEY_PREFIX)?).ok()?;
        let (id, rest) = bytes.split_first_chunk()?;
        let (secret, rest) = rest.split_first_chunk()?;
        let (mac, merchant) = rest.split_first_chunk::<MAC_BYTES>()?;
        let merchant = MerchantId::new(core::str::from_utf8(merchant).ok()?).ok()?;
        let read = Self { merchant, id: *id, secret: *secret };
        bool::from(read.mac(key).ct_eq(mac)).then_some(read)
    }

    /// Who calls with it.
    #[must_use]
    pub fn principal(&self, scopes: Vec<Scope>, expires_at: Option<Instant>, now: Instant) -> Principal {
        let granted_until = now.plus_ms(GRANTED_MS);
        Principal {
            merchant: self.merchant.clone(),
            sub: self.key_id(),
            role: Role::Service,
            expires_at: expires_at.map_or(granted_until, |at| at.min(granted_until)),
            attributes: Attributes::default(),
            via: None,
            scopes: Some(scopes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> ApiKey {
        ApiKey::new(MerchantId::new("acme").unwrap(), [3; KEY_ID_BYTES], [9; KEY_SECRET_BYTES])
    }

    fn id_key(byte: u8) -> IdKey {
        IdKey::new(vec![byte; 32]).unwrap()
    }

    #[test]
    fn keys_read_back_in_their_deployment_only() {
        let text = made().reveal(&id_key(7));
        assert!(is_api_key(&text) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)), "{text}");
        assert_eq!(ApiKey::read(&id_key(7), &text), Some(made()));
        assert_eq!(ApiKey::read(&id_key(8), &text), None);
        assert_eq!(made().key_id(), "key_030303030303030303030303");
        assert!(!format!("{:?}", made()).contains("09"), "a secret is not printed");
    }

    /// No bit of it can be changed, the merchant's name included.
    #[test]
    fn bent_keys_are_nobodys() {
        let text = made().reveal(&id_key(7));
        let bytes = Base64UrlUnpadded::decode_vec(&text[KEY_PREFIX.len()..]).unwrap();
        for place in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[place] ^= 1;
            let bent = format!("{KEY_PREFIX}{}", Base64UrlUnpadded::encode_string(&bent));
            assert_eq!(ApiKey::read(&id_key(7), &bent), None, "{place}");
        }
        for length in 0..bytes.len() {
            let cut = format!("{KEY_PREFIX}{}", Base64UrlUnpadded::encode_string(&bytes[..length]));
            assert_eq!(ApiKey::read(&id_key(7), &cut), None, "{length}");
        }
        for bad in ["", "cfk_", "CFK_", &text[1..], &format!("{text}A"), &format!("{text}="), &text.to_uppercase()] {
            assert_eq!(ApiKey::read(&id_key(7), bad), None, "{bad}");
        }
    }

    #[test]
    fn only_the_hash_is_stored() {
        let (key, other) = (made(), ApiKey { secret: [8; KEY_SECRET_BYTES], ..made() });
        assert!(key.fits(&key.hash()));
        for wrong in [other.hash().as_slice(), &key.hash()[..31], &[]] {
            assert!(!key.fits(wrong));
        }
    }

    #[test]
    fn what_it_opened_ends_with_it() {
        let now = Instant(1_000);
        let ends = |expires_at| made().principal(vec![Scope::Read], expires_at, now).expires_at.0;
        assert_eq!(ends(None), 901_000);
        assert_eq!(ends(Some(Instant(5_000))), 5_000);
        assert_eq!(ends(Some(Instant(5_000_000))), 901_000);
        assert_eq!(made().principal(vec![], None, now).actor(), "service:key_030303030303030303030303");
    }
}
