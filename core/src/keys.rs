//! Roots, campaign keys and the secret tag: what makes a well-formed code authentic.
//!
//! HKDF-SHA256 (RFC 5869) derives two keys per campaign from an epoch's root; the tag is a truncated
//! HMAC-SHA256 (RFC 2104). Keys never reach a browser. Source: code-format.md "Keys", "Tag".

use crate::code::{Fields, Profile, WellFormedCode};
use crate::permute::{Permutation, PermutationTable};
use crate::short_mac::ShortMac;
use crate::words::{beginning_offends, is_skipped};
use core::fmt;
use core::ops::Deref;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// HMAC-SHA256 with its key schedule done.
pub type HmacSha256 = Hmac<Sha256>;

/// HMAC-SHA256 of the parts, one after the other.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = hmac_key(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC takes keys of any length; the fallback is never reached and still is a keyed MAC of the empty key.
pub(crate) fn hmac_key(key: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&Default::default()))
}

/// Format number in every derivation and tag.
const FORMAT: u8 = 0;
/// Fewest bytes in a root secret.
pub const ROOT_BYTES_MIN: usize = 32;
/// Highest key epoch.
pub const EPOCH_MAX: u8 = 7;

/// Why a name or secret was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not an even number of hexadecimal digits.
    NotHex,
    /// Fewer than [`ROOT_BYTES_MIN`] bytes.
    RootTooShort {
        /// Bytes given.
        found: usize,
    },
    /// An environment is 1–16 of `a-z0-9-`.
    Environment,
    /// A merchant is 1–32 of `a-z0-9-`, the first not `-`.
    Merchant,
    /// Epochs are 0..=7.
    Epoch {
        /// Number given.
        found: u8,
    },
    /// Campaigns are 1..=65535, or 1..=4095 for S16.
    Campaign {
        /// Number given.
        found: u16,
        /// Highest for the profile.
        max: u16,
    },
    /// Two epochs have the same root.
    EqualRoots {
        /// The later epoch of the two.
        epoch: u8,
    },
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHex => f.write_str("a root is written as hexadecimal digits, two for each byte"),
            Self::RootTooShort { found } => write!(f, "a root needs at least {ROOT_BYTES_MIN} bytes, found {found}"),
            Self::Environment => f.write_str("an environment is 1 to 16 characters of a-z, 0-9 and -"),
            Self::Merchant => f.write_str("a merchant is 1 to 32 characters of a-z, 0-9 and -, the first not -"),
            Self::Epoch { found } => write!(f, "an epoch is 0 to {EPOCH_MAX}, found {found}"),
            Self::Campaign { found, max } => {
                write!(f, "a campaign is 1 to {max} here, found {found}")
            }
            Self::EqualRoots { epoch } => write!(f, "the root of epoch {epoch} equals that of an earlier epoch"),
        }
    }
}

impl core::error::Error for KeyError {}

/// A deployment environment's name, such as `live`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Environment(String);

/// A tenant's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MerchantId(String);

fn plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Environment {
    /// # Errors
    /// [`KeyError::Environment`].
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let legal = (1..=16).contains(&name.len()) && plain(name);
        legal.then(|| Self(name.to_owned())).ok_or(KeyError::Environment)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl MerchantId {
    /// # Errors
    /// [`KeyError::Merchant`].
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let legal = (1..=32).contains(&name.len()) && plain(name) && !name.starts_with('-');
        legal.then(|| Self(name.to_owned())).ok_or(KeyError::Merchant)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A root secret of one epoch.
#[derive(Clone)]
pub struct Root(Vec<u8>);

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Root(secret)")
    }
}

impl Root {
    /// # Errors
    /// [`KeyError::RootTooShort`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < ROOT_BYTES_MIN {
            return Err(KeyError::RootTooShort { found: bytes.len() });
        }
        Ok(Self(bytes.to_vec()))
    }

    /// Reads hexadecimal digits; white space around them is ignored.
    ///
    /// # Errors
    /// [`KeyError::NotHex`] and [`KeyError::RootTooShort`].
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        Self::new(&crate::hex::decode(text.trim()).ok_or(KeyError::NotHex)?)
    }

    /// First eight bytes of HMAC-SHA256(root, "kcv"): compared with the value stored at first use, so that a
    /// wrong secret stops an environment instead of turning every customer into an attacker.
    #[must_use]
    pub fn check_value(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = hmac(&self.0, &[b"kcv"]);
        [a, b, c, d, e, f, g, h]
    }
}

/// An environment's roots by epoch.
#[derive(Clone, Debug, Default)]
pub struct Roots([Option<Root>; 8]);

impl Roots {
    /// Adds an epoch's root.
    ///
    /// # Errors
    /// [`KeyError::Epoch`]; [`KeyError::EqualRoots`] when another epoch has the same root.
    pub fn insert(&mut self, epoch: u8, root: Root) -> Result<(), KeyError> {
        if self.0.iter().flatten().any(|known| bool::from(known.0.ct_eq(&root.0))) {
            return Err(KeyError::EqualRoots { epoch });
        }
        let slot = self.0.get_mut(usize::from(epoch)).ok_or(KeyError::Epoch { found: epoch })?;
        *slot = Some(root);
        Ok(())
    }

    /// The root of an epoch, if this environment has it.
    #[must_use]
    pub fn epoch(&self, epoch: u8) -> Option<&Root> {
        self.0.get(usize::from(epoch)).and_then(Option::as_ref)
    }

    /// The epochs that have a root, ascending.
    pub fn epochs(&self) -> impl Iterator<Item = (u8, &Root)> {
        (0u8..).zip(&self.0).filter_map(|(epoch, root)| root.as_ref().map(|root| (epoch, root)))
    }
}

/// The tag did not fit: the code was not minted with these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongTag;

/// A code whose tag was verified: proof that the bearer holds a code minted with the campaign's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthenticCode {
    code: WellFormedCode,
    seq: u32,
}

impl AuthenticCode {
    /// The code as read.
    #[must_use]
    pub const fn code(&self) -> &WellFormedCode {
        &self.code
    }

    /// Its number in minting order. Everything stored is keyed by it.
    #[must_use]
    pub const fn seq(&self) -> u32 {
        self.seq
    }
}

/// A minted code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Minted {
    /// Minting order, from 0.
    pub seq: u32,
    /// The code.
    pub code: WellFormedCode,
}

/// One campaign's two keys in one epoch: whoever holds them can mint that campaign in that epoch, nothing else.
#[derive(Clone)]
pub struct CampaignKeys {
    profile: Profile,
    epoch: u8,
    campaign: u16,
    tag: ShortMac,
    permutation: Permutation,
}

/// The same two keys in bytes: what a print shop is given, and nobody else.
pub struct RawKeys {
    /// Key of the tags.
    pub tag: [u8; 32],
    /// Key of the permutation of seqs.
    pub permute: [u8; 32],
}

impl fmt::Debug for RawKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawKeys(secret)")
    }
}

fn check_numbers(profile: Profile, epoch: u8, campaign: u16) -> Result<(), KeyError> {
    if epoch > EPOCH_MAX {
        return Err(KeyError::Epoch { found: epoch });
    }
    if campaign == 0 || campaign > profile.campaign_max() {
        return Err(KeyError::Campaign { found: campaign, max: profile.campaign_max() });
    }
    Ok(())
}

impl RawKeys {
    /// Derives a campaign's keys from an epoch's root.
    ///
    /// # Errors
    /// [`KeyError::Epoch`] and [`KeyError::Campaign`].
    pub fn derive(
        root: &Root,
        environment: &Environment,
        merchant: &MerchantId,
        profile: Profile,
        epoch: u8,
        campaign: u16,
    ) -> Result<Self, KeyError> {
        check_numbers(profile, epoch, campaign)?;
        let salt = [b"counterfoil/0/", environment.0.as_bytes()].concat();
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), &root.0);
        let key = |purpose: &[u8]| {
            let numbers = [0, FORMAT, profile.kind(), epoch];
            let info = [purpose, &[0], merchant.0.as_bytes(), &numbers, &campaign.to_be_bytes()].concat();
            let mut key = [0; 32];
            // 32 bytes is one HKDF block: the length cannot be too large.
            let _ = hkdf.expand(&info, &mut key);
            key
        };
        Ok(Self { tag: key(b"tag"), permute: key(b"permute") })
    }
}

impl fmt::Debug for CampaignKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CampaignKeys({} epoch {} campaign {}, secret)", self.profile.name(), self.epoch, self.campaign)
    }
}

impl CampaignKeys {
    /// Derives a campaign's keys from an epoch's root.
    ///
    /// # Errors
    /// [`KeyError::Epoch`] and [`KeyError::Campaign`].
    pub fn derive(
        root: &Root,
        environment: &Environment,
        merchant: &MerchantId,
        profile: Profile,
        epoch: u8,
        campaign: u16,
    ) -> Result<Self, KeyError> {
        Self::of(profile, epoch, campaign, &RawKeys::derive(root, environment, merchant, profile, epoch, campaign)?)
    }

    /// The keys of a campaign in an epoch, as a print shop has them.
    ///
    /// # Errors
    /// [`KeyError::Epoch`] and [`KeyError::Campaign`].
    pub fn of(profile: Profile, epoch: u8, campaign: u16, raw: &RawKeys) -> Result<Self, KeyError> {
        check_numbers(profile, epoch, campaign)?;
        let permutation = Permutation::new(&raw.permute, profile.serial_bits());
        Ok(Self { profile, epoch, campaign, tag: ShortMac::new(&raw.tag), permutation })
    }

    /// The profile these keys are for.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Leftmost t bits of HMAC(K_tag, 00 ‖ header ‖ campaign ‖ serial), right-aligned.
    #[inline]
    fn tag_of(&self, header: u8, serial: u32) -> u64 {
        let [c0, c1] = self.campaign.to_be_bytes();
        let [s0, s1, s2, s3] = serial.to_be_bytes();
        let [first, second, ..] = self.tag.compute(&[FORMAT, header, c0, c1, s0, s1, s2, s3]);
        (u64::from(first) << 32 | u64::from(second)) >> (64 - self.profile.tag_bits())
    }

    /// Verifies the tag alone, in constant time over its whole fixed width. Profile, epoch and campaign must be
    /// those of the keys: a code of another kind is as good as forged.
    #[must_use]
    pub fn tag_fits(&self, code: &WellFormedCode) -> bool {
        let named = code.profile() == self.profile && code.epoch() == self.epoch && code.campaign() == self.campaign;
        named & bool::from(self.tag_of(code.header(), code.serial()).ct_eq(&code.tag()))
    }

    /// Verifies a code and finds its seq.
    ///
    /// # Errors
    /// [`WrongTag`].
    pub fn verify(&self, code: &WellFormedCode) -> Result<AuthenticCode, WrongTag> {
        if !self.tag_fits(code) {
            return Err(WrongTag);
        }
        let seq = self.permutation.invert(code.serial());
        Ok(AuthenticCode { code: *code, seq })
    }

    /// The code of a seq; `None` past the serial space.
    #[must_use]
    pub fn mint(&self, seq: u32) -> Option<WellFormedCode> {
        (seq < self.profile.serial_space()).then(|| self.code_of(self.permutation.permute(seq))).flatten()
    }

    #[inline]
    fn code_of(&self, serial: u32) -> Option<WellFormedCode> {
        let header = self.profile.kind() << 3 | self.epoch;
        let tag = self.tag_of(header, serial);
        let (profile, epoch, campaign) = (self.profile, self.epoch, self.campaign);
        WellFormedCode::from_fields(Fields { profile, epoch, campaign, serial, tag })
    }

    /// Mints `count` codes from seq `from` on, skipping those whose text holds an offensive word. Ends early
    /// only at the end of the serial space, and at once where [`beginning_offends`]. The permutation is tabulated once, so each code costs one HMAC.
    #[must_use]
    pub fn mint_codes(&self, from: u32, count: u32) -> MintCodes<&Self> {
        MintCodes::new(self, from, count)
    }

    /// The first seq that is not skipped: the code that a campaign's aliases stand for. `None` where none can be minted.
    #[must_use]
    pub fn first_seq(&self) -> Option<u32> {
        let mut seqs = 0..self.profile.serial_space();
        (!beginning_offends(self.profile, self.epoch, self.campaign))
            .then(|| seqs.find(|seq| self.mint(*seq).is_some_and(|code| !is_skipped(&code))))
            .flatten()
    }

    /// The code of a serial, unless its text holds an offensive word.
    #[inline]
    fn clean_code_of(&self, serial: u32) -> Option<WellFormedCode> {
        let code = self.code_of(serial)?;
        (!is_skipped(&code)).then_some(code)
    }

    /// The serial of a seq, within the serial space.
    #[must_use]
    pub fn serial_of(&self, seq: u32) -> Option<u32> {
        (seq < self.profile.serial_space()).then(|| self.permutation.permute(seq))
    }
}

/// Serials that are looked up together when minting in bulk.
const SERIALS_AT_ONCE: usize = 64;

/// The codes of [`CampaignKeys::mint_codes`], made one by one as they are asked for. `K` points to the keys.
pub struct MintCodes<K> {
    keys: K,
    table: PermutationTable,
    /// The next seq.
    next: u32,
    /// Codes still to make.
    left: u32,
    /// Serials of the seqs around `next`; those before `used` are done, those from `filled` on are no serials.
    serials: [u32; SERIALS_AT_ONCE],
    filled: usize,
    used: usize,
}

impl<K: Deref<Target = CampaignKeys>> MintCodes<K> {
    /// See [`CampaignKeys::mint_codes`].
    #[must_use]
    pub fn new(keys: K, from: u32, count: u32) -> Self {
        let table = PermutationTable::new(&keys.permutation);
        let left = if beginning_offends(keys.profile, keys.epoch, keys.campaign) { 0 } else { count };
        Self { keys, table, next: from, left, serials: [0; SERIALS_AT_ONCE], filled: 0, used: 0 }
    }

    /// Looks the next serials up; `None` at the end of the serial space.
    fn refill(&mut self) -> Option<()> {
        let seqs = self.next..self.keys.profile.serial_space();
        self.filled = seqs.len().min(SERIALS_AT_ONCE);
        let serials = self.serials.get_mut(..self.filled).filter(|serials| !serials.is_empty())?;
        for (serial, seq) in serials.iter_mut().zip(seqs) {
            *serial = seq;
        }
        self.table.permute_all(serials);
        self.used = 0;
        Some(())
    }
}

impl<K: Deref<Target = CampaignKeys>> Iterator for MintCodes<K> {
    type Item = Minted;

    #[inline]
    fn next(&mut self) -> Option<Minted> {
        while self.left > 0 {
            if self.used == self.filled {
                self.refill()?;
            }
            let serial = self.serials.get(self.used).copied()?;
            let seq = self.next;
            self.used += 1;
            self.next += 1;
            if let Some(code) = self.keys.clean_code_of(serial) {
                self.left -= 1;
                return Some(Minted { seq, code });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::check;

    fn keys(root: &Root, environment: &str, merchant: &str, code: &WellFormedCode) -> CampaignKeys {
        let environment = Environment::new(environment).unwrap();
        let merchant = MerchantId::new(merchant).unwrap();
        CampaignKeys::derive(root, &environment, &merchant, code.profile(), code.epoch(), code.campaign()).unwrap()
    }

    #[test]
    fn a_print_shop_mints_the_same_codes() {
        let root = Root::new(&[0xa5; 32]).unwrap();
        let (environment, merchant) = (Environment::new("live").unwrap(), MerchantId::new("m-1").unwrap());
        for (profile, epoch, campaign) in [(Profile::S20, 2, 513), (Profile::S16, 0, 1), (Profile::S25, 7, 65_535)] {
            let derived = CampaignKeys::derive(&root, &environment, &merchant, profile, epoch, campaign).unwrap();
            let raw = RawKeys::derive(&root, &environment, &merchant, profile, epoch, campaign).unwrap();
            let printed = std::rc::Rc::new(CampaignKeys::of(profile, epoch, campaign, &raw).unwrap());
            let codes: Vec<Minted> = MintCodes::new(printed, 7, 100).collect();
            assert_eq!(codes, derived.mint_codes(7, 100).collect::<Vec<_>>());
            assert_eq!(format!("{raw:?}"), "RawKeys(secret)");
            assert_eq!(derived.first_seq(), derived.mint_codes(0, 1).next().map(|minted| minted.seq));
        }
        let raw = RawKeys::derive(&root, &environment, &merchant, Profile::S16, 0, 1).unwrap();
        assert!(matches!(CampaignKeys::of(Profile::S16, 0, 4_096, &raw), Err(KeyError::Campaign { .. })));
        assert!(matches!(CampaignKeys::of(Profile::S16, 8, 1, &raw), Err(KeyError::Epoch { found: 8 })));
    }

    #[test]
    fn worked_vectors() {
        let counting = Root::new(&(0..32).collect::<Vec<u8>>()).unwrap();
        let a5 = Root::from_hex(&"a5".repeat(32)).unwrap();
        for (root, environment, merchant, seq, serial, tag, text) in [
            (&counting, "live", "acme", 0, 6_965_167, 0xd1_776b_75e4, "0000-PMHX-FT5V-PPXF-4FNQ"),
            (&counting, "live", "acme", 1, 13_723_516, 0x09_c167_0a91, "0000-X2SV-W170-PE2M-HAHD"),
            (&counting, "live", "acme", 16_777_215, 13_059_570, 0x54_7d60_ad2a, "7ZZZ-WEHF-JAHY-P1B9-AS6P"),
            (&counting, "test", "acme", 0, 2_496_123, 0x24_d66c_fa68, "0000-JC5K-V4KB-6SYK-8HBT"),
            (&counting, "live", "acme", 0, 735_754, 0x5ca_acb7, "800D-KM2J-WNB5-QFAT"),
            (&counting, "live", "acme", 1_048_575, 909_230, 0xd68_e5ea, "BZZY-XZBP-PHSF-AWRC"),
            (&counting, "live", "acme", 0, 7_423_121, 0xbd80_871a_0127_0ff7, "G000B-H8J8V-V0473-80JE3-ZQHFD"),
            (&counting, "live", "acme", 123_456, 3_894_211, 0x583a_9b2a_5db1_d369, "H0409-VDF1N-GEMV5-9EV3M-V9QKV"),
            (&a5, "live", "m-1", 99, 2_238_565, 0x72_fa9e_275b, "2080-J4A3-5EBX-9W9T-VTHF"),
        ] {
            let code = check(text).unwrap();
            assert_eq!((code.serial(), code.tag()), (serial, tag), "{text}");
            let keys = keys(root, environment, merchant, &code);
            assert_eq!(keys.mint(seq).unwrap().canonical().as_str(), text);
            assert_eq!(keys.verify(&code).unwrap().seq(), seq);
            assert_eq!(keys.mint_codes(seq, 1).next().unwrap().code, code);
        }
    }

    #[test]
    fn a_tag_wrong_in_any_bit_is_refused() {
        let root = Root::from_hex(&"a5".repeat(32)).unwrap();
        for profile in Profile::ALL {
            let environment = Environment::new("live").unwrap();
            let merchant = MerchantId::new("m-1").unwrap();
            let keys = CampaignKeys::derive(&root, &environment, &merchant, profile, 2, 513).unwrap();
            let fields = *keys.mint(7).unwrap().fields();
            for bit in 0..profile.tag_bits() {
                let forged = WellFormedCode::from_fields(Fields { tag: fields.tag ^ 1 << bit, ..fields }).unwrap();
                assert_eq!(keys.verify(&forged), Err(WrongTag));
            }
            let elsewhere = WellFormedCode::from_fields(Fields { campaign: 514, ..fields }).unwrap();
            assert_eq!(keys.verify(&elsewhere), Err(WrongTag));
            let later = WellFormedCode::from_fields(Fields { epoch: 3, ..fields }).unwrap();
            assert_eq!(keys.verify(&later), Err(WrongTag));
        }
    }

    #[test]
    fn names_and_roots_are_bounded() {
        for bad in ["", "Live", "a_b", "seventeen-letters"] {
            assert_eq!(Environment::new(bad), Err(KeyError::Environment));
        }
        for bad in ["", "-a", "A", "a.b", "a/b", &"a".repeat(33)] {
            assert_eq!(MerchantId::new(bad), Err(KeyError::Merchant));
        }
        assert_eq!(Root::from_hex("00").map(|_| ()), Err(KeyError::RootTooShort { found: 1 }));
        assert_eq!(Root::from_hex("0g").map(|_| ()), Err(KeyError::NotHex));
        let mut roots = Roots::default();
        roots.insert(0, Root::new(&[1; 32]).unwrap()).unwrap();
        assert_eq!(roots.insert(1, Root::new(&[1; 32]).unwrap()), Err(KeyError::EqualRoots { epoch: 1 }));
        assert_eq!(roots.insert(8, Root::new(&[2; 32]).unwrap()), Err(KeyError::Epoch { found: 8 }));
    }
}
