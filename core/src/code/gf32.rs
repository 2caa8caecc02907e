//! Arithmetic in GF(32), primitive polynomial x⁵ + x² + 1, generator α = 2.
//!
//! Source: code-format.md "Parity"; tables as in any text on Reed–Solomon codes.

/// x⁵ + x² + 1 without its leading term, as the bits that come back on overflow.
const REDUCTION: u8 = 0b0_0101;
/// Order of the multiplicative group.
pub(crate) const ORDER: usize = 31;

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const EXP: [u8; ORDER] = {
    let mut table = [0; ORDER];
    let mut value: u8 = 1;
    let mut power = 0;
    while power < ORDER {
        table[power] = value;
        value = if value & 0x10 == 0 { value << 1 } else { ((value & 0x0f) << 1) ^ REDUCTION };
        power += 1;
    }
    table
};

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const LOG: [u8; 32] = {
    let mut table = [0; 32];
    let mut power: u8 = 0;
    while power < 31 {
        table[EXP[power as usize] as usize] = power;
        power += 1;
    }
    table
};

/// α to the `power` (taken modulo 31).
#[allow(clippy::indexing_slicing, reason = "the index is reduced below the table's 31 entries")]
pub(crate) const fn alpha(power: usize) -> u8 {
    EXP[power % ORDER]
}

#[allow(clippy::indexing_slicing, reason = "masked to the table's 32 entries")]
const fn log(value: u8) -> usize {
    LOG[(value & 31) as usize] as usize
}

/// Product of two elements.
pub(crate) const fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 { 0 } else { alpha(log(a) + log(b)) }
}

/// Quotient; `None` for division by zero.
pub(crate) const fn div(a: u8, b: u8) -> Option<u8> {
    if b == 0 {
        None
    } else if a == 0 {
        Some(0)
    } else {
        Some(alpha(log(a) + ORDER - log(b)))
    }
}

/// Discrete logarithm to base α; `None` for zero.
pub(crate) const fn log_alpha(value: u8) -> Option<usize> {
    if value == 0 { None } else { Some(log(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_divides_back() {
        for a in 0..32 {
            for b in 1..32 {
                assert_eq!(div(mul(a, b), b), Some(a));
            }
            assert_eq!(div(a, 0), None);
        }
    }

    #[test]
    fn alpha_generates_every_non_zero_element() {
        let mut seen = [false; 32];
        for power in 0..ORDER {
            seen[alpha(power) as usize] = true;
            assert_eq!(log_alpha(alpha(power)), Some(power));
        }
        assert_eq!(seen.iter().filter(|s| **s).count(), 31);
    }
}
