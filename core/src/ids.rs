//! Names and ids: how a member is named inside, and ids that find their Member without a look-up table.

use crate::keys::{MerchantId, hmac};
use crate::phone::Phone;
use crate::throttle::Network;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const MREF_BYTES: usize = 16;
const RID_BYTES: usize = 26;
const MAC_BYTES: usize = 8;
const CODE_REF_BYTES: usize = 8;

/// A member inside the edge: no object name or stored row elsewhere carries a raw user id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Mref([u8; MREF_BYTES]);

/// A redemption inside the edge: mref ‖ 80 bits of the idempotency scope's hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Rid([u8; RID_BYTES]);

/// SHA-256 of a canonical parsed command: two bodies under one key are told apart by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Fingerprint([u8; 32]);

macro_rules! bytes_as_hex {
    ($name:ident, $length:expr) => {
        impl $name {
            /// From exactly its bytes.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }

            /// Lower-case hexadecimal.
            #[must_use]
            pub fn to_hex(&self) -> String {
                crate::hex::encode(&self.0)
            }

            /// From hexadecimal.
            #[must_use]
            pub fn from_hex(text: &str) -> Option<Self> {
                crate::hex::decode(text).and_then(|bytes| Self::from_bytes(&bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_hex())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("expected hexadecimal"))
            }
        }
    };
}

bytes_as_hex!(Mref, MREF_BYTES);
bytes_as_hex!(Rid, RID_BYTES);
bytes_as_hex!(Fingerprint, 32);

/// SHA-256 over parts with their lengths, so that no two lists of parts collide.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(length(part));
        hash.update(part);
    }
    hash.finalize().into()
}

fn length(part: &[u8]) -> [u8; 8] {
    u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()
}

impl Fingerprint {
    /// Of a canonical command.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        Self(digest(parts))
    }
}

impl Rid {
    /// The redemption of one idempotency key in its scope: merchant and member (in mref), role, `sub`, route
    /// with target, key.
    #[must_use]
    pub fn derive(mref: &Mref, role: &str, sub: &str, route: &str, key: &str) -> Self {
        let hash = digest(&[role.as_bytes(), sub.as_bytes(), route.as_bytes(), key.as_bytes()]);
        let mut bytes = [0; RID_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(mref.0.iter().chain(&hash)) {
            *slot = *byte;
        }
        Self(bytes)
    }

    /// Stands for a member's n-th ledger row, so that its id says whose it is.
    #[must_use]
    pub fn of_row(mref: &Mref, row: u64) -> Self {
        let mut bytes = [0; RID_BYTES];
        let number = row.to_be_bytes();
        for (slot, byte) in bytes.iter_mut().zip(mref.0.iter().chain(&[0, 0]).chain(&number)) {
            *slot = *byte;
        }
        Self(bytes)
    }

    /// A name of its own for something of this member, from random bytes.
    #[must_use]
    pub fn random(mref: &Mref, random: [u8; 10]) -> Self {
        let mut bytes = [0; RID_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(mref.0.iter().chain(&random)) {
            *slot = *byte;
        }
        Self(bytes)
    }

    /// Whose it is.
    #[must_use]
    pub fn mref(&self) -> Mref {
        let mut bytes = [0; MREF_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(&self.0) {
            *slot = *byte;
        }
        Mref(bytes)
    }
}

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `rd_…`
    Redemption,
    /// `rw_…`, the n-th of its redemption.
    Reward(u8),
    /// `le_…`, a row of its member's ledger.
    Ledger,
    /// `qu_…`, a till's offer.
    Quote,
    /// `ho_…`, what is kept for an order.
    Hold,
}

impl IdKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Redemption => "rd_",
            Self::Reward(_) => "rw_",
            Self::Ledger => "le_",
            Self::Quote => "qu_",
            Self::Hold => "ho_",
        }
    }

    const fn index(self) -> u8 {
        match self {
            Self::Redemption | Self::Ledger | Self::Quote | Self::Hold => 0,
            Self::Reward(index) => index,
        }
    }
}

/// Makes and reads ids. Its key is a secret of the deployment.
#[derive(Clone)]
pub struct IdKey(Vec<u8>);

impl core::fmt::Debug for IdKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("IdKey(secret)")
    }
}

impl IdKey {
    /// A key of at least 32 bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= 32).then_some(Self(bytes))
    }

    /// First 16 bytes of HMAC(K_id, len‖merchant‖len‖sub).
    #[must_use]
    pub fn mref(&self, merchant: &MerchantId, sub: &str) -> Mref {
        let merchant = merchant.as_str().as_bytes();
        let sub = sub.as_bytes();
        let full = hmac(&self.0, &[&length(merchant), merchant, &length(sub), sub]);
        let mut bytes = [0; MREF_BYTES];
        for (slot, byte) in bytes.iter_mut().zip(full) {
            *slot = byte;
        }
        Mref(bytes)
    }

    /// What the directory keeps of a telephone number: the same for everybody who has it at this merchant, and nothing
    /// to whoever lacks the key.
    #[must_use]
    pub fn phone(&self, merchant: &MerchantId, phone: &Phone) -> [u8; 32] {
        self.named("phone", merchant, phone.as_str())
    }

    /// Proves that a list of this deployment gave a cursor: `place` says which list, by which filters, and where in it.
    #[must_use]
    pub fn cursor(&self, merchant: &MerchantId, place: &str) -> String {
        let full = self.named("cursor", merchant, place);
        crate::hex::encode(full.get(..MAC_BYTES).unwrap_or_default())
    }

    /// What the log shows of a code beside its first group: two lines about one code can be told from two codes.
    #[must_use]
    pub fn code_ref(&self, merchant: &MerchantId, canonical: &str) -> String {
        let full = self.named("code", merchant, canonical);
        crate::hex::encode(full.get(..CODE_REF_BYTES).unwrap_or_default())
    }

    /// What counts wrong codes from an address is named by this: nobody reads the address back.
    #[must_use]
    pub fn network(&self, merchant: &MerchantId, network: &Network) -> String {
        let full = self.named("network", merchant, &network.to_string());
        crate::hex::encode(full.get(..MREF_BYTES).unwrap_or_default())
    }

    /// What an API key carries of its merchant, id and secret, so that nobody else makes one.
    pub(crate) fn api_key(&self, merchant: &MerchantId, bytes: &[u8]) -> [u8; 32] {
        self.named("api-key", merchant, &crate::hex::encode(bytes))
    }

    /// HMAC of a text of one sort, with lengths, so that nothing else under this key collides with it.
    fn named(&self, sort: &str, merchant: &MerchantId, text: &str) -> [u8; 32] {
        let (sort, merchant, text) = (sort.as_bytes(), merchant.as_str().as_bytes(), text.as_bytes());
        hmac(&self.0, &[sort, &length(merchant), merchant, &length(text), text])
    }

    fn mac(&self, kind: IdKind, merchant: &MerchantId, rid: &Rid) -> [u8; MAC_BYTES] {
        let full = hmac(&self.0, &[kind.prefix().as_bytes(), &[kind.index()], &rid.0, merchant.as_str().as_bytes()]);
        let mut mac = [0; MAC_BYTES];
        for (slot, byte) in mac.iter_mut().zip(full) {
            *slot = byte;
        }
        mac
    }

    /// The public id of a redemption or of something it made. It carries the merchant, so that a fulfiller's
    /// callback, which has no token, finds its way.
    #[must_use]
    pub fn id(&self, kind: IdKind, merchant: &MerchantId, rid: &Rid) -> String {
        let mut bytes = vec![kind.index()];
        bytes.extend(rid.0);
        bytes.extend(self.mac(kind, merchant, rid));
        bytes.extend(merchant.as_str().as_bytes());
        format!("{}{}", kind.prefix(), Base64UrlUnpadded::encode_string(&bytes))
    }

    /// Reads a public id of the same sort as `kind`; `None` for anything that this deployment did not make.
    fn read(&self, kind: impl Fn(u8) -> IdKind, id: &str) -> Option<(MerchantId, Rid, u8)> {
        let bytes = Base64UrlUnpadded::decode_vec(id.strip_prefix(kind(0).prefix())?).ok()?;
        let (index, rest) = bytes.split_first()?;
        let (rid, rest) = rest.split_at_checked(RID_BYTES)?;
        let (mac, merchant) = rest.split_at_checked(MAC_BYTES)?;
        let merchant = MerchantId::new(core::str::from_utf8(merchant).ok()?).ok()?;
        let rid = Rid::from_bytes(rid)?;
        let kind = kind(*index);
        let genuine = kind.index() == *index && bool::from(self.mac(kind, &merchant, &rid).ct_eq(mac));
        genuine.then_some((merchant, rid, *index))
    }

    /// Reads a redemption's public id; `None` for anything that this merchant was not given.
    #[must_use]
    pub fn read_redemption(&self, merchant: &MerchantId, id: &str) -> Option<Rid> {
        let (owner, rid, _) = self.read(|_| IdKind::Redemption, id)?;
        (owner == *merchant).then_some(rid)
    }

    /// Reads a quote's public id; `None` for anything that this merchant was not given.
    #[must_use]
    pub fn read_quote(&self, merchant: &MerchantId, id: &str) -> Option<Rid> {
        let (owner, rid, _) = self.read(|_| IdKind::Quote, id)?;
        (owner == *merchant).then_some(rid)
    }

    /// Reads a hold's public id; `None` for anything that this merchant was not given.
    #[must_use]
    pub fn read_hold(&self, merchant: &MerchantId, id: &str) -> Option<Rid> {
        let (owner, rid, _) = self.read(|_| IdKind::Hold, id)?;
        (owner == *merchant).then_some(rid)
    }

    /// Reads a reward's public id: whose it is, its redemption, and which of its rewards.
    #[must_use]
    pub fn read_reward(&self, id: &str) -> Option<(MerchantId, Rid, u8)> {
        self.read(IdKind::Reward, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_for_their_merchant_only() {
        let key = IdKey::new(vec![7; 32]).unwrap();
        let (a, b) = (MerchantId::new("a").unwrap(), MerchantId::new("b").unwrap());
        let rid = Rid::derive(&key.mref(&a, "ann"), "member", "ann", "POST /v1/redemptions", "k");
        let id = key.id(IdKind::Redemption, &a, &rid);
        assert_eq!(key.read_redemption(&a, &id), Some(rid));
        assert_eq!(key.read_redemption(&b, &id), None);
        assert_eq!(key.read_redemption(&a, &key.id(IdKind::Reward(0), &a, &rid)), None);
        let mut bent = id.clone();
        bent.replace_range(5..6, if &id[5..6] == "A" { "B" } else { "A" });
        let reward = key.id(IdKind::Reward(3), &b, &rid);
        assert_eq!(key.read_reward(&reward), Some((b.clone(), rid, 3)));
        assert_eq!(key.read_reward(&id), None);
        for bad in ["", "rd_", "rd_AAAA", "nonsense", &id[..id.len() - 1], &bent] {
            assert_eq!(key.read_redemption(&a, bad), None, "{bad}");
        }
    }

    #[test]
    fn scopes_do_not_collide() {
        let key = IdKey::new(vec![7; 32]).unwrap();
        let a = MerchantId::new("a").unwrap();
        assert_ne!(key.mref(&a, "bc"), key.mref(&MerchantId::new("ab").unwrap(), "c"));
        let mref = key.mref(&a, "ann");
        let one = Rid::derive(&mref, "member", "ann", "r", "k1");
        for (role, sub, route, k) in
            [("membe", "rann", "r", "k1"), ("member", "ann", "rk", "1"), ("member", "ann", "r", "k2")]
        {
            assert_ne!(one, Rid::derive(&mref, role, sub, route, k));
        }
        assert_eq!(one.mref(), mref);
    }

    #[test]
    fn numbers_and_codes_are_kept_as_hashes_of_their_merchant() {
        let (key, other) = (IdKey::new(vec![7; 32]).unwrap(), IdKey::new(vec![8; 32]).unwrap());
        let (a, b) = (MerchantId::new("a").unwrap(), MerchantId::new("b").unwrap());
        let phone = |text| Phone::read(text, None).unwrap();
        let hash = key.phone(&a, &phone("+4930123456"));
        assert_eq!(hash, key.phone(&a, &phone("+49 (0)30 12 34 56")));
        for different in [
            key.phone(&a, &phone("+4930123457")),
            key.phone(&b, &phone("+4930123456")),
            other.phone(&a, &phone("+4930123456")),
        ] {
            assert_ne!(hash, different);
        }
        assert_eq!(key.code_ref(&a, "0000").len(), 16);
        assert_ne!(key.code_ref(&a, "0000"), key.code_ref(&b, "0000"));
        assert_ne!(key.code_ref(&a, "+4930123456"), crate::hex::encode(&hash[..8]));
    }
}
