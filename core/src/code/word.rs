//! A code's symbols as one number, five bits each, the last symbol lowest: reading and repairing a code are then
//! shifts and XORs.

use super::gf32::{alpha, log_alpha};
use super::parity;
use super::profile::{PARITY_SYMBOLS, Profile, SYMBOLS_MAX};

/// Symbols of a [`Word`], one a byte; those past the profile's number are 0.
pub(super) type Symbols = [u8; SYMBOLS_MAX];

/// As many symbols as a profile asks for, right or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    profile: Profile,
    bits: u128,
}

impl Word {
    /// Packs the symbols: exactly as many as the profile asks for. An unreadable one counts as 0.
    #[inline]
    pub(super) fn new(profile: Profile, symbols: &[u8]) -> Self {
        // Taken anew so that the length is a constant where the profile is one.
        let symbols = symbols.get(..profile.symbols()).unwrap_or_default();
        let (blocks, rest) = symbols.as_chunks::<8>();
        let bits = blocks.iter().fold(0, |bits, block| bits << 40 | u128::from(pack(*block)));
        let tail = rest.iter().fold(0u64, |tail, symbol| tail << 5 | u64::from(symbol & 31));
        Self { profile, bits: bits << (5 * rest.len()) | u128::from(tail) }
    }

    /// The word of these data bits, parity added.
    #[inline]
    pub(super) fn from_data(profile: Profile, data: u128) -> Self {
        Self { profile, bits: parity::with_parity(profile, data) }
    }

    pub(super) const fn profile(self) -> Profile {
        self.profile
    }

    /// The bits before the parity: header, reserved, campaign, serial, tag.
    pub(super) const fn data(self) -> u128 {
        self.bits >> (5 * PARITY_SYMBOLS)
    }

    #[inline]
    pub(super) fn symbols(self) -> Symbols {
        let mut symbols = [0; SYMBOLS_MAX];
        let left_aligned = self.bits << (5 * (SYMBOLS_MAX - self.profile.symbols()));
        let (blocks, rest) = symbols.as_chunks_mut::<8>();
        for (block, shift) in blocks.iter_mut().zip([85, 45, 5]) {
            *block = unpack(low_bits(left_aligned >> shift));
        }
        for last in rest {
            *last = symbol(left_aligned);
        }
        symbols
    }

    /// Zero where the parity fits; see [`parity::difference`].
    pub(super) fn difference(self) -> u16 {
        parity::difference(self.profile, self.bits)
    }

    /// The degree of a position: how many symbols follow it.
    const fn degree(self, position: usize) -> usize {
        self.profile.symbols().saturating_sub(position + 1)
    }

    /// α to the degree of this position: the locator of an error there.
    pub(super) const fn locator(self, position: usize) -> u8 {
        alpha(self.degree(position))
    }

    /// The position whose locator is `locator`.
    pub(super) fn position(self, locator: u8) -> Option<usize> {
        log_alpha(locator).and_then(|degree| (self.profile.symbols() - 1).checked_sub(degree))
    }

    /// The symbol at a position.
    pub(super) fn at(self, position: usize) -> u8 {
        symbol(self.bits >> (5 * self.degree(position)))
    }

    /// The word with `value` added (XOR) to the symbol at a position.
    #[must_use]
    pub(super) fn plus(self, position: usize, value: u8) -> Self {
        Self { bits: self.bits ^ u128::from(value) << (5 * self.degree(position)), ..self }
    }
}

/// The lowest symbol.
#[allow(clippy::cast_possible_truncation, reason = "masked to five bits")]
const fn symbol(bits: u128) -> u8 {
    bits as u8 & 31
}

#[allow(clippy::cast_possible_truncation, reason = "the caller wants the low 40 bits")]
const fn low_bits(bits: u128) -> u64 {
    bits as u64 & 0xff_ffff_ffff
}

/// Eight symbols to 40 bits, first symbol highest: neighbours are joined to pairs, pairs to fours, fours to all.
const fn pack(block: [u8; 8]) -> u64 {
    let ones = u64::from_be_bytes(block);
    let pairs = ones >> 3 & 0x03e0_03e0_03e0_03e0 | ones & 0x001f_001f_001f_001f;
    let fours = pairs >> 6 & 0x000f_fc00_000f_fc00 | pairs & 0x0000_03ff_0000_03ff;
    fours >> 12 & 0xff_fff0_0000 | fours & 0x000f_ffff
}

/// The opposite of [`pack`].
const fn unpack(bits: u64) -> [u8; 8] {
    let fours = bits << 12 & 0x000f_ffff_0000_0000 | bits & 0x000f_ffff;
    let pairs = fours << 6 & 0x03ff_0000_03ff_0000 | fours & 0x0000_03ff_0000_03ff;
    (pairs << 3 & 0x1f00_1f00_1f00_1f00 | pairs & 0x001f_001f_001f_001f).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::symbol as letter;
    use proptest::prelude::*;

    proptest! {
        /// The `base32` crate takes whole bytes: padded with `0` to a multiple of eight symbols, decoded, encoded.
        #[test]
        fn packing_is_base32(symbols in proptest::collection::vec(0..32u8, 25), kind in 0..3u8) {
            let profile = Profile::from_kind(kind).unwrap();
            let symbols = &symbols[..profile.symbols()];
            let word = Word::new(profile, symbols);
            prop_assert_eq!(&word.symbols()[..symbols.len()], symbols);
            prop_assert!(word.symbols()[symbols.len()..].iter().all(|symbol| *symbol == 0));

            let mut text: Vec<u8> = symbols.iter().map(|symbol| letter(*symbol)).collect();
            text.resize(32, b'0');
            let mut bytes = [0; 20];
            base32::CROCKFORD.decode_buf(std::str::from_utf8(&text).unwrap(), &mut bytes).unwrap();
            let mut again = [0; 32];
            base32::CROCKFORD.encode_buf(&bytes, &mut again).unwrap();
            prop_assert_eq!(&again[..], &text[..]);
            let head = u128::from_be_bytes(bytes[..16].try_into().unwrap());
            let expected = head >> 3 >> (5 * (25 - profile.symbols()));
            prop_assert_eq!(word.bits, expected);
        }

        #[test]
        fn positions_count_from_the_left(symbols in proptest::collection::vec(0..32u8, 25), kind in 0..3u8, add in 0..32u8) {
            let profile = Profile::from_kind(kind).unwrap();
            let symbols = &symbols[..profile.symbols()];
            let word = Word::new(profile, symbols);
            for (position, symbol) in symbols.iter().enumerate() {
                prop_assert_eq!(word.at(position), *symbol);
                prop_assert_eq!(word.plus(position, add).at(position), symbol ^ add);
                prop_assert_eq!(word.plus(position, add).plus(position, add), word);
                prop_assert_eq!(word.position(word.locator(position)), Some(position));
            }
        }
    }
}
