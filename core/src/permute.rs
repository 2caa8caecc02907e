//! The seq → serial permutation: a ten-round balanced Feistel network, so that codes show neither volume nor
//! order. Forgery resistance rests on the tag alone. Source: code-format.md "Serial and seq".

use crate::keys::{HmacSha256, hmac_key};
use hmac::Mac;

const ROUNDS: u8 = 10;

/// A keyed permutation of 0..2^bits, computed round by round.
#[derive(Clone)]
pub struct Permutation {
    key: HmacSha256,
    half_bits: u32,
}

impl Permutation {
    /// `bits` is even and at most 24.
    pub(crate) fn new(key: &[u8; 32], bits: u32) -> Self {
        Self { key: hmac_key(key), half_bits: bits / 2 }
    }

    const fn mask(&self) -> u32 {
        (1 << self.half_bits) - 1
    }

    /// The sixteen round values that one HMAC gives, for x >> 4 = `block`.
    fn block(&self, round: u8, block: u16) -> [u8; 32] {
        let [high, low] = block.to_be_bytes();
        let mut mac = self.key.clone();
        mac.update(&[round, high, low]);
        mac.finalize().into_bytes().into()
    }

    fn round(&self, round: u8, x: u32) -> u32 {
        let block = u16::try_from(x >> 4).unwrap_or_default();
        let index = usize::try_from(x & 15).unwrap_or_default();
        let bytes = self.block(round, block);
        bytes.as_chunks::<2>().0.get(index).map_or(0, |pair| u32::from(u16::from_be_bytes(*pair)) & self.mask())
    }

    /// Forward; the input's bits above the width are ignored.
    #[must_use]
    pub fn permute(&self, seq: u32) -> u32 {
        feistel(self.half_bits, seq, |round, x| self.round(round, x))
    }

    /// Backward.
    #[must_use]
    pub fn invert(&self, serial: u32) -> u32 {
        let (mut left, mut right) = (serial >> self.half_bits & self.mask(), serial & self.mask());
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        left << self.half_bits | right
    }
}

fn feistel(half_bits: u32, input: u32, f: impl Fn(u8, u32) -> u32) -> u32 {
    let mask = (1u32 << half_bits) - 1;
    let (mut left, mut right) = (input >> half_bits & mask, input & mask);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ f(round, right));
    }
    left << half_bits | right
}

/// The same permutation with every round function tabulated (80 KiB for 24 bits): for minting in bulk.
pub struct PermutationTable {
    half_bits: u32,
    values: Vec<u16>,
}

impl PermutationTable {
    /// Fills the table: 10 · 2^(bits/2) / 16 HMACs.
    #[must_use]
    pub fn new(permutation: &Permutation) -> Self {
        let half_bits = permutation.half_bits;
        let blocks = 1u16 << (half_bits - 4);
        let mask = u16::try_from(permutation.mask()).unwrap_or(u16::MAX);
        let mut values = Vec::with_capacity(usize::from(ROUNDS) << half_bits);
        for round in 0..ROUNDS {
            for block in 0..blocks {
                let bytes = permutation.block(round, block);
                values.extend(bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair) & mask));
            }
        }
        Self { half_bits, values }
    }

    /// Forward.
    #[must_use]
    pub fn permute(&self, seq: u32) -> u32 {
        feistel(self.half_bits, seq, |round, x| {
            let index = usize::from(round) << self.half_bits | usize::try_from(x).unwrap_or_default();
            self.values.get(index).copied().map_or(0, u32::from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_permutation_and_the_table_agrees() {
        for bits in [20, 24] {
            let permutation = Permutation::new(&[7; 32], bits);
            let table = PermutationTable::new(&permutation);
            let mut seen = vec![false; 1 << bits];
            for seq in 0..1u32 << bits {
                let serial = table.permute(seq);
                assert!(!std::mem::replace(&mut seen[serial as usize], true));
                if seq % 4_093 == 0 {
                    assert_eq!(permutation.permute(seq), serial);
                    assert_eq!(permutation.invert(serial), seq);
                }
            }
        }
    }
}
