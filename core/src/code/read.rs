//! Reading: from any text a person may type or paste to a row of symbols, by the exact table of the format.

use super::profile::Profile;

/// Most Unicode scalar values in a text; longer ones are refused unread.
pub const SCALARS_MAX: usize = 64;
/// Stands in a [`Reading`] for a symbol that could not be read.
pub(crate) const ERASURE: u8 = 32;

/// Why a text is not a code as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// More than [`SCALARS_MAX`] scalar values: something else was pasted.
    TooLong,
    /// A character outside the alphabet and its aliases, at this symbol position.
    InvalidSymbol {
        /// Symbols read before it.
        position: usize,
        /// What stood there.
        found: char,
    },
    /// Nothing but separators and white space.
    Empty,
    /// The number of symbols belongs to no profile: something was left out or added.
    WrongLength {
        /// Symbols read.
        found: usize,
    },
    /// `?` or `U` stands for a symbol that could not be read.
    UnreadableSymbol {
        /// Position of the first one.
        position: usize,
    },
    /// The parity does not fit: a typing error. `position` is that of the wrong symbol where it is sure.
    ParityMismatch {
        /// First symbol that the correction would change.
        position: Option<usize>,
    },
    /// Header kind 3, which is kept for an extension.
    UnsupportedKind,
    /// The header asks for another number of symbols than there are.
    LengthMismatch {
        /// Symbols the header asks for.
        wanted: usize,
        /// Symbols read.
        found: usize,
    },
    /// The reserved bit of an S25 code is set.
    ReservedBitSet,
    /// Campaign number 0, which is never issued.
    CampaignZero,
}

impl CodeError {
    /// Stable snake_case name.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::InvalidSymbol { .. } => "invalid_symbol",
            Self::Empty => "empty",
            Self::WrongLength { .. } => "wrong_length",
            Self::UnreadableSymbol { .. } => "unreadable_symbol",
            Self::ParityMismatch { .. } => "parity_mismatch",
            Self::UnsupportedKind => "unsupported_kind",
            Self::LengthMismatch { .. } => "length_mismatch",
            Self::ReservedBitSet => "reserved_bit_set",
            Self::CampaignZero => "campaign_zero",
        }
    }

    /// Symbol position (from 0, separators not counted) where the error stands, where there is one.
    #[must_use]
    pub const fn position(&self) -> Option<usize> {
        match self {
            Self::InvalidSymbol { position, .. } | Self::UnreadableSymbol { position } => Some(*position),
            Self::ParityMismatch { position } => *position,
            Self::UnsupportedKind | Self::LengthMismatch { .. } | Self::ReservedBitSet => Some(0),
            Self::CampaignZero => Some(1),
            Self::TooLong | Self::Empty | Self::WrongLength { .. } => None,
        }
    }
}

/// One character as the reading table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A symbol's value, 0..=31.
    Symbol(u8),
    /// `?` or `U`: there is a symbol, unreadable.
    Erasure,
    /// White space or a separator.
    Skip,
    /// Not in the table.
    Invalid,
}

/// Dash punctuation (general category Pd, Unicode 16) outside the full-width block, which is folded first.
const fn is_dash(c: char) -> bool {
    matches!(
        c,
        '-' | '\u{58a}' | '\u{5be}' | '\u{1400}' | '\u{1806}' | '\u{2010}'
            ..='\u{2015}'
                | '\u{2e17}'
                | '\u{2e1a}'
                | '\u{2e3a}'
                | '\u{2e3b}'
                | '\u{2e40}'
                | '\u{2e5d}'
                | '\u{301c}'
                | '\u{3030}'
                | '\u{30a0}'
                | '\u{fe31}'
                | '\u{fe32}'
                | '\u{fe58}'
                | '\u{fe63}'
                | '\u{10d6e}'
                | '\u{10ead}'
    )
}

/// The Unicode property White_Space beyond ASCII; spelled out so that the wasm carries no table for it.
const fn is_wide_space(c: char) -> bool {
    matches!(
        c,
        '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Reads one character by the format's table, in the table's order.
#[allow(clippy::cast_possible_truncation, reason = "the arms bound the values below 128")]
pub(crate) const fn read(c: char) -> Read {
    // U+FF01–U+FF5E minus U+FEE0 is plain ASCII.
    let c = match c {
        '\u{ff01}'..='\u{ff5e}' => (c as u32 - 0xfee0) as u8 as char,
        _ => c,
    };
    match c {
        '0'..='9' => Read::Symbol(c as u8 - b'0'),
        'a'..='z' => letter(c as u8 - b'a'),
        'A'..='Z' => letter(c as u8 - b'A'),
        '?' => Read::Erasure,
        '\t'..='\r' | ' ' | '.' | '_' => Read::Skip,
        '\u{2212}' | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => Read::Skip,
        _ if is_dash(c) || is_wide_space(c) => Read::Skip,
        _ => Read::Invalid,
    }
}

/// Letters by their place in the alphabet: O is 0, I and L are 1, U is unreadable.
#[allow(clippy::indexing_slicing, reason = "reduced below the table's 26 entries")]
const fn letter(index: u8) -> Read {
    const VALUES: [u8; 26] =
        [10, 11, 12, 13, 14, 15, 16, 17, 1, 18, 19, 1, 20, 21, 0, 22, 23, 24, 25, 26, ERASURE, 27, 28, 29, 30, 31];
    match VALUES[index as usize % 26] {
        ERASURE => Read::Erasure,
        value => Read::Symbol(value),
    }
}

/// In [`BYTES`], a separator: skipped.
const SKIP: u8 = 64;
/// In [`BYTES`], a character that no code has, or part of one beyond ASCII.
const INVALID: u8 = 128;

/// [`read`] for every byte of a text: a symbol's value, [`ERASURE`], [`SKIP`] or [`INVALID`].
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const BYTES: [u8; 256] = {
    let mut table = [INVALID; 256];
    let mut c: u8 = 0;
    while c < 128 {
        table[c as usize] = flat(read(c as char));
        c += 1;
    }
    table
};

const fn flat(read: Read) -> u8 {
    match read {
        Read::Symbol(value) => value,
        Read::Erasure => ERASURE,
        Read::Skip => SKIP,
        Read::Invalid => INVALID,
    }
}

/// A text's symbols, separators gone. Values 0..=31, or an erasure.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    symbols: [u8; SCALARS_MAX],
    count: usize,
    /// All symbols ORed: says at once whether any is unreadable.
    seen: u8,
}

impl Reading {
    /// Reads a text.
    ///
    /// # Errors
    /// [`CodeError::TooLong`] and [`CodeError::InvalidSymbol`].
    pub fn of(text: &str) -> Result<Self, CodeError> {
        Self::of_ascii(text.as_bytes()).map_or_else(|| Self::of_chars(text.chars()), Ok)
    }

    /// Reads a text that comes character by character.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_chars(text: impl Iterator<Item = char>) -> Result<Self, CodeError> {
        let mut reading = Self { symbols: [0; SCALARS_MAX], count: 0, seen: 0 };
        let mut invalid = None;
        for (index, found) in text.enumerate() {
            if index == SCALARS_MAX {
                return Err(CodeError::TooLong);
            }
            let value = flat(read(found));
            if value == INVALID && invalid.is_none() {
                invalid = Some(CodeError::InvalidSymbol { position: reading.count, found });
            }
            if value < SKIP
                && let Some(slot) = reading.symbols.get_mut(reading.count)
            {
                *slot = value;
                reading.count += 1;
                reading.seen |= value;
            }
        }
        invalid.map_or(Ok(reading), Err)
    }

    /// Almost every text: ASCII only, nothing wrong, not too long. `None` for all others. The loop takes no
    /// decision, which is most of what makes it fast: what to keep is counted, what is wrong is gathered.
    #[allow(clippy::indexing_slicing, reason = "a byte is below 256, the count below 64")]
    fn of_ascii(text: &[u8]) -> Option<Self> {
        if text.len() > SCALARS_MAX {
            return None;
        }
        let mut symbols = [0; SCALARS_MAX];
        let (mut count, mut seen) = (0, 0);
        for byte in text {
            let value = BYTES[usize::from(*byte)];
            symbols[count % SCALARS_MAX] = value;
            count += usize::from(value < SKIP);
            seen |= value;
        }
        (seen & INVALID == 0).then_some(Self { symbols, count, seen })
    }

    /// The symbols read.
    pub(crate) fn symbols(&self) -> &[u8] {
        self.symbols.get(..self.count).unwrap_or_default()
    }

    /// How many symbols were read, unreadable ones included.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Position of the first unreadable symbol.
    #[must_use]
    pub fn first_erasure(&self) -> Option<usize> {
        if self.seen & ERASURE == 0 {
            return None;
        }
        self.symbols().iter().position(|symbol| *symbol == ERASURE)
    }

    /// The profile that the first symbol asks for, where it can be read and is one.
    #[must_use]
    pub fn header_profile(&self) -> Option<Profile> {
        self.symbols().first().filter(|symbol| **symbol < 32).and_then(|symbol| Profile::from_kind(symbol >> 3))
    }
}

impl core::fmt::Display for Reading {
    /// The symbols without separators, `?` for unreadable ones: one spelling for every way of typing it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.symbols().iter().try_for_each(|symbol| {
            let c = if *symbol == ERASURE { '?' } else { char::from(super::symbol(*symbol)) };
            core::fmt::Write::write_char(f, c)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(c: char, expected: Read) {
        assert_eq!(read(c), expected, "{c:?}");
    }

    #[test]
    fn every_character_of_the_table() {
        for (value, c) in (0u8..).zip("0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars()) {
            check(c, Read::Symbol(value));
            check(c.to_ascii_lowercase(), Read::Symbol(value));
            let wide = char::from_u32(c as u32 + 0xfee0).unwrap();
            check(wide, Read::Symbol(value));
        }
        for (c, value) in [('o', 0), ('O', 0), ('i', 1), ('I', 1), ('l', 1), ('L', 1), ('\u{ff2f}', 0)] {
            check(c, Read::Symbol(value));
        }
        for c in ['?', 'U', 'u', '\u{ff1f}', '\u{ff35}'] {
            check(c, Read::Erasure);
        }
        for c in
            "- ._\t\r\n\u{2212}\u{ad}\u{200b}\u{200d}\u{2060}\u{feff}\u{ff0d}\u{ff0e}\u{ff3f}\u{2014}\u{3000}".chars()
        {
            check(c, Read::Skip);
        }
        for c in ['\u{212a}', '*', '+', 'ß', 'é', '\u{0}', '\u{660}', '\u{ff01}', '/', '\u{200e}', '\u{10ffff}'] {
            check(c, Read::Invalid);
        }
    }

    #[test]
    fn white_space_is_the_unicode_property() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_whitespace()) {
            check(c, Read::Skip);
        }
    }

    #[test]
    fn sixty_four_scalars_are_read_and_sixty_five_are_not() {
        assert!(Reading::of(&"-".repeat(64)).is_ok());
        assert!(matches!(Reading::of(&"-".repeat(65)), Err(CodeError::TooLong)));
        assert!(matches!(Reading::of(&"\u{3000}".repeat(64)), Ok(reading) if reading.count() == 0));
    }
}
