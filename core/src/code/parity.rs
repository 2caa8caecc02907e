//! The public parity: three Reed–Solomon symbols over GF(32) that catch and repair typing errors.
//!
//! Anyone can compute it; it proves nothing (the tag does). The roots start at α¹: with α⁰ among them,
//! swaps would collide.

use super::gf32::{alpha, mul};
use super::profile::{PARITY_SYMBOLS, Profile};

/// Coefficients of g(x) = (x−α)(x−α²)(x−α³) below x³, highest degree first.
const GENERATOR: [u8; 3] = {
    let (a, b, c) = (alpha(1), alpha(2), alpha(3));
    [a ^ b ^ c, mul(a, b) ^ mul(a, c) ^ mul(b, c), mul(mul(a, b), c)]
};

/// `TIMES_X3[k][s]` = s·x^(3+k) modulo g(x), packed: division takes three symbols in a step, so that a whole code
/// is at most nine steps of three table look-ups.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const TIMES_X3: [[u16; 32]; 3] = {
    let mut tables = [[0; 32]; 3];
    let mut symbol: u16 = 0;
    while symbol < 32 {
        // s·x² is reduced already; each step multiplies by x once.
        let mut state = symbol << 10;
        let mut k = 0;
        while k < 3 {
            state = times_x(state);
            tables[k][symbol as usize] = state;
            k += 1;
        }
        symbol += 1;
    }
    tables
};

/// One division step: the symbol that overflows comes back as its multiple of g(x) without the x³ term.
const fn times_x(state: u16) -> u16 {
    let [high, _] = state.to_be_bytes();
    let lead = high >> 2;
    let [g2, g1, g0] = GENERATOR;
    (state << 5 & 0x7fff) ^ ((mul(lead, g2) as u16) << 10 | (mul(lead, g1) as u16) << 5 | mul(lead, g0) as u16)
}

/// `state`·x³ modulo g(x).
#[allow(clippy::indexing_slicing, reason = "the indices are masked to the tables' 32 entries")]
fn times_x3(state: u16) -> u16 {
    let [by_x3, by_x4, by_x5] = &TIMES_X3;
    let symbol = |shift: u32| usize::from(state >> shift & 31);
    by_x5[symbol(10)] ^ by_x4[symbol(5)] ^ by_x3[symbol(0)]
}

/// Remainder of a word modulo g(x), packed as 15 bits (x² highest). The word's last symbol is in the lowest bits.
#[allow(clippy::cast_possible_truncation, reason = "masked to 15 bits")]
#[inline]
fn remainder(profile: Profile, word: u128) -> u16 {
    // Nine symbols fit a machine word.
    let parts = profile.symbols().div_ceil(9);
    (0..parts).rev().fold(0, |state, part| {
        let bits = (word >> (45 * part)) as u64;
        [30, 15, 0].into_iter().fold(state, |state, shift| times_x3(state) ^ (bits >> shift) as u16 & 0x7fff)
    })
}

/// A whole word from its data symbols' bits: parity added, mask applied.
#[inline]
pub(super) fn with_parity(profile: Profile, data: u128) -> u128 {
    let shifted = data << (5 * PARITY_SYMBOLS);
    shifted | u128::from(remainder(profile, shifted) ^ profile.parity_mask())
}

/// How the received parity differs from the one the data asks for: zero for a valid code, else the
/// received polynomial modulo g(x), which carries every syndrome.
#[inline]
pub(super) fn difference(profile: Profile, word: u128) -> u16 {
    remainder(profile, word ^ u128::from(profile.parity_mask()))
}

/// The syndromes S₁, S₂, S₃: the difference evaluated at α, α², α³.
pub(super) fn syndromes(difference: u16) -> [u8; 3] {
    let [high, low] = difference.to_be_bytes();
    let (d2, d1, d0) = (high >> 2 & 31, (high & 3) << 3 | low >> 5, low & 31);
    [1, 2, 3].map(|j| mul(d2, alpha(2 * j)) ^ mul(d1, alpha(j)) ^ d0)
}

#[cfg(test)]
mod tests {
    use super::super::profile::SYMBOLS_MAX;
    use super::*;

    /// Every error pattern of the contract has a syndrome of its own (code-format.md counts them).
    #[test]
    fn patterns_have_distinct_syndromes() {
        for (profile, count) in [(Profile::S20, 1_767), (Profile::S16, 1_395), (Profile::S25, 2_232)] {
            let mut seen = std::collections::HashSet::new();
            let right = with_parity(profile, 0);
            assert_eq!(difference(profile, right), 0);
            for step in 0..3usize {
                for degree in step..profile.symbols() {
                    for delta in 1..32u128 {
                        let pattern = delta << (5 * degree) | delta << (5 * (degree - step));
                        let found = difference(profile, right ^ pattern);
                        assert_ne!(found, 0);
                        assert!(seen.insert(syndromes(found)), "{profile:?} {step} {degree} {delta}");
                    }
                }
            }
            assert_eq!(seen.len(), count);
        }
    }

    #[test]
    fn three_steps_at_once_are_three_steps() {
        let word = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321_u128 >> 3;
        let symbols = (0..SYMBOLS_MAX).rev().map(|degree| (word >> (5 * degree) & 31) as u16);
        assert_eq!(remainder(Profile::S25, word), symbols.fold(0, |state, symbol| times_x(state) ^ symbol));
    }

    #[test]
    fn all_zero_and_shifted_words_are_invalid() {
        for profile in Profile::ALL {
            assert_ne!(difference(profile, 0), 0);
            let word = with_parity(profile, 0x1234_5678_9abc);
            assert_ne!(difference(profile, word << 5 & ((1 << (5 * profile.symbols())) - 1)), 0);
        }
    }
}
