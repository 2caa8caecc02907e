//! Words with right parity that no honest mint makes: a wrong kind, a set reserved bit, campaign 0.
//!
//! Written from the format's description with shifts instead of tables, so that a wrong table in the product
//! would show as a vector that the product itself refuses.

use counterfoil_core::code::{PARITY_SYMBOLS, Profile};

const ALPHABET: [char; 32] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'J', 'K', 'M', 'N', 'P',
    'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Y', 'Z',
];

/// Everything that stands before the parity, with nothing checked.
#[derive(Clone, Copy)]
pub(super) struct Crafted {
    /// Decides length, grouping, field widths and mask.
    pub(super) layout: Profile,
    pub(super) kind: u8,
    pub(super) epoch: u8,
    pub(super) reserved: u8,
    pub(super) campaign: u16,
    pub(super) serial: u32,
    pub(super) tag: u64,
}

impl Crafted {
    /// The word's symbols, parity right.
    pub(super) fn symbols(self) -> Vec<u8> {
        let layout = self.layout;
        let mut bits = u128::from(self.kind << 3 | self.epoch);
        for (value, width) in [
            (u128::from(self.reserved), layout.reserved_bits()),
            (u128::from(self.campaign), layout.campaign_bits()),
            (u128::from(self.serial), layout.serial_bits()),
            (u128::from(self.tag), layout.tag_bits()),
        ] {
            bits = bits << width | value;
        }
        let data = layout.data_symbols();
        let mut symbols: Vec<u8> = (0..data)
            .rev()
            .map(|place| {
                let [symbol, ..] = (bits >> (place * 5) & 31).to_le_bytes();
                symbol
            })
            .collect();
        symbols.extend(parity(&symbols, mask(layout)));
        symbols
    }

    /// Canonical text.
    pub(super) fn text(self) -> String {
        grouped(&self.symbols(), self.layout.group())
    }
}

/// Symbols as text, in groups joined by hyphens.
pub(super) fn grouped(symbols: &[u8], group: usize) -> String {
    let groups: Vec<String> = symbols
        .chunks(group)
        .map(|chunk| chunk.iter().map(|symbol| ALPHABET.get(usize::from(*symbol)).copied().unwrap_or('?')).collect())
        .collect();
    groups.join("-")
}

const fn mask(layout: Profile) -> [u8; PARITY_SYMBOLS] {
    match layout {
        Profile::S20 => [19, 7, 26],
        Profile::S16 => [11, 17, 29],
        Profile::S25 => [28, 14, 21],
    }
}

/// data·x³ modulo (x−α)(x−α²)(x−α³), by long division, then the mask.
fn parity(data: &[u8], mask: [u8; PARITY_SYMBOLS]) -> [u8; PARITY_SYMBOLS] {
    let (a, b, c) = (2, 4, 8);
    let [g2, g1, g0] = [a ^ b ^ c, times(a, b) ^ times(a, c) ^ times(b, c), times(times(a, b), c)];
    let [mut r2, mut r1, mut r0] = [0; PARITY_SYMBOLS];
    for symbol in data {
        let lead = r2 ^ symbol;
        (r2, r1, r0) = (r1 ^ times(lead, g2), r0 ^ times(lead, g1), times(lead, g0));
    }
    let [m2, m1, m0] = mask;
    [r2 ^ m2, r1 ^ m1, r0 ^ m0]
}

/// Product in GF(32) with x⁵ + x² + 1, shift and add.
fn times(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        a <<= 1;
        if a & 0b10_0000 != 0 {
            a ^= 0b10_0101;
        }
        b >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use counterfoil_core::code::check;

    #[test]
    fn what_an_honest_mint_could_make_is_accepted() {
        for text in ["0000-PMHX-FT5V-PPXF-4FNQ", "BZZY-XZBP-PHSF-AWRC", "H0409-VDF1N-GEMV5-9EV3M-V9QKV"] {
            let code = check(text).unwrap();
            let crafted = Crafted {
                layout: code.profile(),
                kind: code.profile().kind(),
                epoch: code.epoch(),
                reserved: 0,
                campaign: code.campaign(),
                serial: code.serial(),
                tag: code.tag(),
            };
            assert_eq!(crafted.text(), text);
        }
    }
}
