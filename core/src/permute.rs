//! The seq → serial permutation: a ten-round balanced Feistel network, so that codes show neither volume nor
//! order. Forgery resistance rests on the tag alone. Source: code-format.md "Serial and seq".

use crate::short_mac::ShortMac;

const ROUNDS: u8 = 10;

/// A keyed permutation of 0..2^bits, computed round by round.
#[derive(Clone)]
pub struct Permutation {
    key: ShortMac,
    half_bits: u32,
}

impl Permutation {
    /// `bits` is even and at most 24.
    pub(crate) fn new(key: &[u8; 32], bits: u32) -> Self {
        Self { key: ShortMac::new(key), half_bits: bits / 2 }
    }

    const fn mask(&self) -> u32 {
        (1 << self.half_bits) - 1
    }

    /// The sixteen round values that one HMAC gives, for x >> 4 = `block`; each word holds two, the first high.
    fn block(&self, round: u8, block: u16) -> [u32; 8] {
        let [high, low] = block.to_be_bytes();
        self.key.compute(&[round, high, low])
    }

    fn round(&self, round: u8, x: u32) -> u32 {
        let block = u16::try_from(x >> 4).unwrap_or_default();
        let index = usize::try_from(x >> 1 & 7).unwrap_or_default();
        let pair = self.block(round, block).get(index).copied().unwrap_or_default();
        (if x & 1 == 0 { pair >> 16 } else { pair }) & self.mask()
    }

    /// Forward; the input's bits above the width are ignored.
    #[must_use]
    pub fn permute(&self, seq: u32) -> u32 {
        let (mut left, mut right) = (seq >> self.half_bits & self.mask(), seq & self.mask());
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        left << self.half_bits | right
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
        let mask = permutation.mask();
        let narrow = |value: u32| u16::try_from(value & mask).unwrap_or_default();
        let mut values = Vec::with_capacity(usize::from(ROUNDS) << half_bits);
        for round in 0..ROUNDS {
            for block in 0..blocks {
                let pairs = permutation.block(round, block);
                values.extend(pairs.into_iter().flat_map(|pair| [narrow(pair >> 16), narrow(pair)]));
            }
        }
        Self { half_bits, values }
    }

    /// Forward.
    #[must_use]
    pub fn permute(&self, seq: u32) -> u32 {
        let mut one = [seq];
        self.permute_all(&mut one);
        let [serial] = one;
        serial
    }

    /// Forward, many at once: round by round over all of them, so that no look-up waits for the one before.
    pub fn permute_all(&self, seqs: &mut [u32]) {
        let mask = (1 << self.half_bits) - 1;
        for values in self.values.chunks_exact(1 << self.half_bits) {
            for word in &mut *seqs {
                let (left, right) = (*word >> self.half_bits & mask, *word & mask);
                let f = usize::try_from(right).ok().and_then(|right| values.get(right)).copied().map_or(0, u32::from);
                *word = right << self.half_bits | left ^ f;
            }
        }
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
            let mut serials: Vec<u32> = (0..1 << bits).collect();
            table.permute_all(&mut serials);
            for seq in (0..1u32 << bits).step_by(4_093) {
                let serial = serials[seq as usize];
                assert_eq!(permutation.permute(seq), serial);
                assert_eq!(permutation.invert(serial), seq);
                assert_eq!(table.permute(seq), serial);
            }
            let mut seen = vec![false; 1 << bits];
            serials.iter().for_each(|serial| seen[*serial as usize] = true);
            assert!(seen.iter().all(|seen| *seen));
        }
    }
}
