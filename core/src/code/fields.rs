//! Fields to symbols and back: packing most significant bit first, with the `base32` crate for the symbols.

use super::parity;
use super::profile::{Profile, SYMBOLS_MAX};
use super::read::{CodeError, Reading};
use core::fmt;

/// Longest canonical text: 25 symbols and four hyphens.
const TEXT_MAX: usize = 29;
/// Data symbols padded to whole bytes (a multiple of eight symbols).
const PADDED_SYMBOLS: usize = 24;
const PADDED_BYTES: usize = 15;
/// Bits of the padded block.
const PADDED_BITS: u32 = 120;

/// What a code says, before anyone knows whether it is authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Layout.
    pub profile: Profile,
    /// Key epoch, 0..=7.
    pub epoch: u8,
    /// Campaign number, from 1.
    pub campaign: u16,
    /// Permuted seq.
    pub serial: u32,
    /// Truncated HMAC, right-aligned: 28, 40 or 64 bits.
    pub tag: u64,
}

/// A code without typing errors: length, header and parity fit. It may still be forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WellFormedCode {
    fields: Fields,
    symbols: [u8; SYMBOLS_MAX],
}

impl WellFormedCode {
    /// Builds the code of these fields, parity added. `None` when a field does not fit its width.
    #[must_use]
    pub fn from_fields(fields: Fields) -> Option<Self> {
        let profile = fields.profile;
        let fits = fields.epoch < 8
            && (1..=profile.campaign_max()).contains(&fields.campaign)
            && fields.serial < profile.serial_space()
            && (profile.tag_bits() == 64 || fields.tag >> profile.tag_bits() == 0);
        if !fits {
            return None;
        }
        let mut bits = u128::from(header(&fields));
        bits <<= profile.reserved_bits();
        bits = bits << profile.campaign_bits() | u128::from(fields.campaign);
        bits = bits << profile.serial_bits() | u128::from(fields.serial);
        bits = bits << profile.tag_bits() | u128::from(fields.tag);
        let symbols = encode(profile, bits)?;
        Some(Self { fields, symbols })
    }

    /// Accepts a reading that is a whole, clean code.
    pub(crate) fn from_reading(reading: &Reading) -> Result<Self, CodeError> {
        if reading.count() == 0 {
            return Err(CodeError::Empty);
        }
        let Some(profile) = Profile::from_symbols(reading.count()) else {
            return Err(CodeError::WrongLength { found: reading.count() });
        };
        if let Some(position) = reading.first_erasure() {
            return Err(CodeError::UnreadableSymbol { position });
        }
        if parity::difference(profile, reading.symbols()) != 0 {
            let position = super::correct::first_wrong(profile, reading);
            return Err(CodeError::ParityMismatch { position });
        }
        Self::from_valid_word(profile, reading.symbols())
    }

    /// Accepts a word whose parity fits; checks header, reserved bit and campaign.
    pub(crate) fn from_valid_word(profile: Profile, word: &[u8]) -> Result<Self, CodeError> {
        let found = word.len();
        let header = word.first().copied().unwrap_or_default();
        let Some(asked) = Profile::from_kind(header >> 3) else {
            return Err(CodeError::UnsupportedKind);
        };
        if asked != profile {
            return Err(CodeError::LengthMismatch { wanted: asked.symbols(), found });
        }
        let mut symbols = [0; SYMBOLS_MAX];
        if let Some(head) = symbols.get_mut(..found) {
            head.copy_from_slice(word);
        }
        let mut bits = decode(profile, &symbols).ok_or(CodeError::WrongLength { found })?;
        let mut take = |width: u32| {
            let value = bits & ((1 << width) - 1);
            bits >>= width;
            // Every field but the tag is narrower than 32 bits; the tag is at most 64 wide.
            u64::try_from(value).unwrap_or_default()
        };
        let tag = take(profile.tag_bits());
        let serial = u32::try_from(take(profile.serial_bits())).unwrap_or_default();
        let campaign = u16::try_from(take(profile.campaign_bits())).unwrap_or_default();
        if take(profile.reserved_bits()) != 0 {
            return Err(CodeError::ReservedBitSet);
        }
        if campaign == 0 {
            return Err(CodeError::CampaignZero);
        }
        Ok(Self { fields: Fields { profile, epoch: header & 7, campaign, serial, tag }, symbols })
    }

    /// The decoded fields.
    #[must_use]
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Layout.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.fields.profile
    }

    /// Key epoch, 0..=7.
    #[must_use]
    pub const fn epoch(&self) -> u8 {
        self.fields.epoch
    }

    /// Campaign number, from 1.
    #[must_use]
    pub const fn campaign(&self) -> u16 {
        self.fields.campaign
    }

    /// Permuted seq, as printed in the code.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.fields.serial
    }

    /// Tag bits as printed, right-aligned.
    #[must_use]
    pub const fn tag(&self) -> u64 {
        self.fields.tag
    }

    /// The whole 5-bit header symbol.
    #[must_use]
    pub const fn header(&self) -> u8 {
        header(&self.fields)
    }

    /// All symbols' values, parity included.
    #[must_use]
    pub fn symbols(&self) -> &[u8] {
        self.symbols.get(..self.fields.profile.symbols()).unwrap_or_default()
    }

    /// Canonical text: upper case, groups joined by hyphens.
    #[must_use]
    pub fn canonical(&self) -> CodeText {
        let mut text = CodeText { bytes: [0; TEXT_MAX], length: 0 };
        for (index, symbol) in self.symbols().iter().enumerate() {
            if index > 0 && index.is_multiple_of(self.fields.profile.group()) {
                text.push(b'-');
            }
            text.push(letter(*symbol));
        }
        text
    }
}

/// The header symbol of these fields: two bits of kind, three of epoch.
const fn header(fields: &Fields) -> u8 {
    fields.profile.kind() << 3 | fields.epoch
}

#[allow(clippy::indexing_slicing, reason = "masked to the alphabet's 32 entries")]
pub(crate) fn letter(symbol: u8) -> u8 {
    base32::CROCKFORD.alphabet()[usize::from(symbol & 31)]
}

/// Data bits, right-aligned, to a whole word of symbol values.
fn encode(profile: Profile, bits: u128) -> Option<[u8; SYMBOLS_MAX]> {
    let spare = PADDED_BITS as usize - profile.data_symbols() * 5;
    let bytes = (bits << spare).to_be_bytes();
    let mut text = [0; PADDED_SYMBOLS];
    base32::CROCKFORD.encode_buf(bytes.get(1..)?, &mut text).ok()?;
    let mut symbols = [0; SYMBOLS_MAX];
    for (symbol, c) in symbols.iter_mut().zip(text.iter().take(profile.data_symbols())) {
        let super::read::Read::Symbol(value) = super::read::read(char::from(*c)) else {
            return None;
        };
        *symbol = value;
    }
    let parity = parity::parity_symbols(profile, symbols.get(..profile.data_symbols())?);
    symbols.get_mut(profile.data_symbols()..profile.symbols())?.copy_from_slice(&parity);
    Some(symbols)
}

/// Data symbols to right-aligned bits: padded with `0` to whole bytes, decoded, and encoded again to compare,
/// because the crate's decoder ignores spare bits.
fn decode(profile: Profile, symbols: &[u8; SYMBOLS_MAX]) -> Option<u128> {
    let mut text = [b'0'; PADDED_SYMBOLS];
    for (c, symbol) in text.iter_mut().zip(symbols.iter().take(profile.data_symbols())) {
        *c = letter(*symbol);
    }
    let mut bytes = [0; PADDED_BYTES];
    let readable = core::str::from_utf8(&text).ok()?;
    base32::CROCKFORD.decode_buf(readable, &mut bytes).ok()?;
    let mut again = [0; PADDED_SYMBOLS];
    base32::CROCKFORD.encode_buf(&bytes, &mut again).ok()?;
    if again != text {
        return None;
    }
    let bits = bytes.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte));
    Some(bits >> (PADDED_BITS as usize - profile.data_symbols() * 5))
}

/// A canonical text on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CodeText {
    bytes: [u8; TEXT_MAX],
    length: usize,
}

impl CodeText {
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for CodeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CodeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
