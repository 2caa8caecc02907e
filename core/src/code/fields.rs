//! Fields to symbols and back, packed most significant bit first, and the canonical text.

use super::profile::Profile;
use super::read::{CodeError, Reading};
use super::word::{Symbols, Word};
use core::fmt;
use core::ops::Deref;

/// Longest canonical text: 25 symbols and four hyphens, with room for the one after the last group.
const TEXT_MAX: usize = 30;

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
    word: Word,
}

/// The values of a code's symbols, parity included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeSymbols {
    values: Symbols,
    count: usize,
}

impl Deref for CodeSymbols {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.values.get(..self.count).unwrap_or_default()
    }
}

impl WellFormedCode {
    /// Builds the code of these fields, parity added. `None` when a field does not fit its width.
    #[must_use]
    pub fn from_fields(fields: Fields) -> Option<Self> {
        // As in `from_reading`, the widths are constants in each arm.
        match fields.profile {
            Profile::S20 => Self::from_fields_of(Profile::S20, fields),
            Profile::S16 => Self::from_fields_of(Profile::S16, fields),
            Profile::S25 => Self::from_fields_of(Profile::S25, fields),
        }
    }

    #[cfg_attr(not(feature = "small"), inline(always))]
    fn from_fields_of(profile: Profile, fields: Fields) -> Option<Self> {
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
        Some(Self { fields, word: Word::from_data(profile, bits) })
    }

    /// Accepts a reading that is a whole, clean code.
    ///
    /// # Errors
    /// As [`check`](super::check), but for what a [`Reading`] excludes.
    pub fn from_reading(reading: &Reading) -> Result<Self, CodeError> {
        if reading.count() == 0 {
            return Err(CodeError::Empty);
        }
        // The widths are constants in each arm (but not with the feature `small`): a third faster.
        match Profile::from_symbols(reading.count()) {
            Some(Profile::S20) => Self::from_symbols(Profile::S20, reading),
            Some(Profile::S16) => Self::from_symbols(Profile::S16, reading),
            Some(Profile::S25) => Self::from_symbols(Profile::S25, reading),
            None => Err(CodeError::WrongLength { found: reading.count() }),
        }
    }

    #[cfg_attr(not(feature = "small"), inline(always))]
    fn from_symbols(profile: Profile, reading: &Reading) -> Result<Self, CodeError> {
        if let Some(position) = reading.first_erasure() {
            return Err(CodeError::UnreadableSymbol { position });
        }
        let word = Word::new(profile, reading.symbols());
        if word.difference() != 0 {
            let position = super::correct::first_wrong(word);
            return Err(CodeError::ParityMismatch { position });
        }
        Self::from_valid_word(word)
    }

    /// Accepts a word whose parity fits; checks header, reserved bit and campaign.
    #[cfg_attr(not(feature = "small"), inline(always))]
    pub(super) fn from_valid_word(word: Word) -> Result<Self, CodeError> {
        let profile = word.profile();
        let header = word.at(0);
        let Some(asked) = Profile::from_kind(header >> 3) else {
            return Err(CodeError::UnsupportedKind);
        };
        if asked != profile {
            return Err(CodeError::LengthMismatch { wanted: asked.symbols(), found: profile.symbols() });
        }
        let mut bits = word.data();
        let tag = take(&mut bits, profile.tag_bits());
        let serial = u32::try_from(take(&mut bits, profile.serial_bits())).unwrap_or_default();
        let campaign = u16::try_from(take(&mut bits, profile.campaign_bits())).unwrap_or_default();
        if take(&mut bits, profile.reserved_bits()) != 0 {
            return Err(CodeError::ReservedBitSet);
        }
        if campaign == 0 {
            return Err(CodeError::CampaignZero);
        }
        Ok(Self { fields: Fields { profile, epoch: header & 7, campaign, serial, tag }, word })
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
    #[inline]
    pub fn symbols(&self) -> CodeSymbols {
        CodeSymbols { values: self.word.symbols(), count: self.fields.profile.symbols() }
    }

    /// Canonical text: upper case, groups joined by hyphens.
    #[must_use]
    #[inline]
    pub fn canonical(&self) -> CodeText {
        let profile = self.fields.profile;
        let mut text = CodeText { bytes: [b'-'; TEXT_MAX], length: profile.text_length() };
        match profile {
            Profile::S20 | Profile::S16 => write_groups::<4, 5>(&self.symbols(), &mut text.bytes),
            Profile::S25 => write_groups::<5, 6>(&self.symbols(), &mut text.bytes),
        }
        text
    }
}

/// Writes groups of `GROUP` letters, each with a place (`SPACED` = `GROUP` + 1) for a hyphen after it.
fn write_groups<const GROUP: usize, const SPACED: usize>(symbols: &[u8], text: &mut [u8; TEXT_MAX]) {
    let spaced = text.as_chunks_mut::<SPACED>().0.iter_mut();
    for (letters, group) in spaced.zip(symbols.as_chunks::<GROUP>().0) {
        for (c, symbol) in letters.iter_mut().zip(group) {
            *c = letter(*symbol);
        }
    }
}

/// Takes the lowest `width` bits away. No field is wider than 64.
#[allow(clippy::cast_possible_truncation, reason = "masked to at most 64 bits")]
#[inline]
const fn take(bits: &mut u128, width: u32) -> u64 {
    let value = *bits & ((1 << width) - 1);
    *bits >>= width;
    value as u64
}

/// The header symbol of these fields: two bits of kind, three of epoch.
const fn header(fields: &Fields) -> u8 {
    fields.profile.kind() << 3 | fields.epoch
}

#[allow(clippy::indexing_slicing, reason = "masked to the alphabet's 32 entries")]
pub(crate) fn letter(symbol: u8) -> u8 {
    base32::CROCKFORD.alphabet()[usize::from(symbol & 31)]
}

/// A canonical text on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CodeText {
    bytes: [u8; TEXT_MAX],
    length: usize,
}

impl CodeText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text's bytes, all ASCII.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
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
