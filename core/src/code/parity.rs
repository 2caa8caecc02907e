//! The public parity: three Reed–Solomon symbols over GF(32) that catch and repair typing errors.
//!
//! Anyone can compute it; it proves nothing (the tag does). The roots start at α¹: with α⁰ among them,
//! swaps would collide.

use super::gf32::{alpha, mul};
use super::profile::Profile;

/// Coefficients of g(x) = (x−α)(x−α²)(x−α³) below x³, packed as 15 bits, highest degree first.
const GENERATOR: u16 = {
    let (a, b, c) = (alpha(1), alpha(2), alpha(3));
    let g2 = a ^ b ^ c;
    let g1 = mul(a, b) ^ mul(a, c) ^ mul(b, c);
    let g0 = mul(mul(a, b), c);
    (g2 as u16) << 10 | (g1 as u16) << 5 | g0 as u16
};

/// `FEEDBACK[s]` = s·g(x) without its x³ term, packed: one division step by table.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const FEEDBACK: [u16; 32] = {
    let mut table = [0; 32];
    let mut symbol: u8 = 0;
    while symbol < 32 {
        let g2 = (GENERATOR >> 10 & 31) as u8;
        let g1 = (GENERATOR >> 5 & 31) as u8;
        let g0 = (GENERATOR & 31) as u8;
        table[symbol as usize] =
            (mul(symbol, g2) as u16) << 10 | (mul(symbol, g1) as u16) << 5 | mul(symbol, g0) as u16;
        symbol += 1;
    }
    table
};

/// Remainder of data·x³ modulo g(x), packed as 15 bits (p₂ highest), before the mask.
#[allow(clippy::indexing_slicing, reason = "the index is masked to the table's 32 entries")]
fn remainder(data: &[u8]) -> u16 {
    data.iter()
        .fold(0, |state, symbol| (state << 5 & 0x7fff) ^ FEEDBACK[usize::from((state >> 10 ^ u16::from(*symbol)) & 31)])
}

/// The three parity symbols of a code's data symbols, mask applied.
pub(crate) fn parity_symbols(profile: Profile, data: &[u8]) -> [u8; 3] {
    let [high, low] = (remainder(data) ^ profile.parity_mask()).to_be_bytes();
    [high >> 2, (high & 3) << 3 | low >> 5, low & 31]
}

/// How the received parity differs from the one the data asks for: zero for a valid code, else the
/// received polynomial modulo g(x), which carries every syndrome.
pub(crate) fn difference(profile: Profile, symbols: &[u8]) -> u16 {
    let Some((data, parity)) = symbols.split_at_checked(profile.data_symbols()) else {
        return u16::MAX;
    };
    let received = parity.iter().fold(0u16, |packed, symbol| packed << 5 | u16::from(*symbol));
    remainder(data) ^ profile.parity_mask() ^ received
}

/// The syndromes S₁, S₂, S₃: the difference evaluated at α, α², α³.
pub(crate) fn syndromes(difference: u16) -> [u8; 3] {
    let [high, low] = difference.to_be_bytes();
    let (d2, d1, d0) = (high >> 2 & 31, (high & 3) << 3 | low >> 5, low & 31);
    [1, 2, 3].map(|j| mul(d2, alpha(2 * j)) ^ mul(d1, alpha(j)) ^ d0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every error pattern of the contract has a syndrome of its own (code-format.md counts them).
    #[test]
    fn patterns_have_distinct_syndromes() {
        for (profile, count) in [(Profile::S20, 1_767), (Profile::S16, 1_395), (Profile::S25, 2_232)] {
            let mut seen = std::collections::HashSet::new();
            let n = profile.symbols();
            for step in 0..3usize {
                for at in 0..n - step {
                    for delta in 1..32u8 {
                        let mut word = vec![0u8; n];
                        let parity = parity_symbols(profile, &word[..n - 3]);
                        word[n - 3..].copy_from_slice(&parity);
                        word[at] ^= delta;
                        if step > 0 {
                            word[at + step] ^= delta;
                        }
                        let found = difference(profile, &word);
                        assert_ne!(found, 0);
                        assert!(seen.insert(syndromes(found)), "{profile:?} {step} {at} {delta}");
                    }
                }
            }
            assert_eq!(seen.len(), count);
        }
    }

    #[test]
    fn all_zero_and_shifted_words_are_invalid() {
        for profile in Profile::ALL {
            let zero = vec![0; profile.symbols()];
            assert_ne!(difference(profile, &zero), 0);
        }
    }
}
