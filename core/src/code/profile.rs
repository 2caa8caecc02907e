//! The three profiles: how many symbols a code has, how they are grouped, and how wide each field is.

/// Most symbols in any profile.
pub const SYMBOLS_MAX: usize = 25;
/// Parity symbols at the end of every code.
pub const PARITY_SYMBOLS: usize = 3;

/// A layout of a code. The first symbol of a code names it, so a reader knows length and grouping at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// 20 symbols in fives of four; 40-bit tag. The default.
    S20,
    /// 16 symbols; 28-bit tag, below NIST's 32-bit floor for truncated MACs: low-value promotions only.
    S16,
    /// 25 symbols in fives; 64-bit tag. Stored value.
    S25,
}

impl Profile {
    /// Every profile, by kind number.
    pub const ALL: [Self; 3] = [Self::S20, Self::S16, Self::S25];

    /// `S20`, `S16` or `S25`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::S20 => "S20",
            Self::S16 => "S16",
            Self::S25 => "S25",
        }
    }

    /// The profile of that exact name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Two-bit kind in the header: 0, 1 or 2.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::S20 => 0,
            Self::S16 => 1,
            Self::S25 => 2,
        }
    }

    /// The profile of a header's kind; kind 3 is kept for an extension.
    #[must_use]
    pub const fn from_kind(kind: u8) -> Option<Self> {
        match kind {
            0 => Some(Self::S20),
            1 => Some(Self::S16),
            2 => Some(Self::S25),
            _ => None,
        }
    }

    /// The profile with exactly that many symbols.
    #[must_use]
    pub const fn from_symbols(count: usize) -> Option<Self> {
        match count {
            20 => Some(Self::S20),
            16 => Some(Self::S16),
            25 => Some(Self::S25),
            _ => None,
        }
    }

    /// Symbols of a whole code, parity included.
    #[must_use]
    pub const fn symbols(self) -> usize {
        match self {
            Self::S20 => 20,
            Self::S16 => 16,
            Self::S25 => 25,
        }
    }

    /// Symbols before the parity.
    #[must_use]
    pub const fn data_symbols(self) -> usize {
        self.symbols() - PARITY_SYMBOLS
    }

    /// Symbols that header and campaign decide, wholly or in part.
    #[must_use]
    pub const fn fixed_symbols(self) -> usize {
        (5 + self.reserved_bits() + self.campaign_bits()).div_ceil(5) as usize
    }

    /// Symbols that header and campaign decide wholly: all codes of a campaign in one epoch begin with them.
    #[must_use]
    pub const fn whole_fixed_symbols(self) -> usize {
        (5 + self.reserved_bits() + self.campaign_bits()) as usize / 5
    }

    /// Symbols in each group between hyphens.
    #[must_use]
    pub const fn group(self) -> usize {
        match self {
            Self::S20 | Self::S16 => 4,
            Self::S25 => 5,
        }
    }

    /// Characters of the canonical text: the symbols, and a hyphen between groups.
    #[must_use]
    pub const fn text_length(self) -> usize {
        self.symbols() + self.symbols() / self.group() - 1
    }

    /// Width of the reserved field in bits; the field must be zero.
    #[must_use]
    pub const fn reserved_bits(self) -> u32 {
        match self {
            Self::S20 | Self::S16 => 0,
            Self::S25 => 1,
        }
    }

    /// Width of the campaign field in bits.
    #[must_use]
    pub const fn campaign_bits(self) -> u32 {
        match self {
            Self::S20 | Self::S25 => 16,
            Self::S16 => 12,
        }
    }

    /// Largest campaign number that fits; the smallest is 1.
    #[must_use]
    pub const fn campaign_max(self) -> u16 {
        match self {
            Self::S20 | Self::S25 => 65_535,
            Self::S16 => 4_095,
        }
    }

    /// Width of the serial field in bits.
    #[must_use]
    pub const fn serial_bits(self) -> u32 {
        match self {
            Self::S20 | Self::S25 => 24,
            Self::S16 => 20,
        }
    }

    /// How many serials, and so seqs, a campaign has in its whole life.
    #[must_use]
    pub const fn serial_space(self) -> u32 {
        1 << self.serial_bits()
    }

    /// Width of the tag in bits.
    #[must_use]
    pub const fn tag_bits(self) -> u32 {
        match self {
            Self::S20 => 40,
            Self::S16 => 28,
            Self::S25 => 64,
        }
    }

    /// The mask XORed over the parity symbols p₂p₁p₀, packed as 15 bits.
    pub(crate) const fn parity_mask(self) -> u16 {
        const fn pack(p2: u16, p1: u16, p0: u16) -> u16 {
            p2 << 10 | p1 << 5 | p0
        }
        match self {
            Self::S20 => pack(19, 7, 26),
            Self::S16 => pack(11, 17, 29),
            Self::S25 => pack(28, 14, 21),
        }
    }
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const _: () = {
    let mut at = 0;
    while at < Profile::ALL.len() {
        let profile = Profile::ALL[at];
        let bits = 5 + profile.reserved_bits() + profile.campaign_bits() + profile.serial_bits() + profile.tag_bits();
        assert!(bits as usize == profile.data_symbols() * 5, "fields fill the data symbols exactly");
        assert!(profile.symbols() <= SYMBOLS_MAX);
        assert!(profile.symbols().is_multiple_of(profile.group()));
        at += 1;
    }
};
