//! Words that no minted code may spell. Consulted when minting, never when verifying.
//!
//! Codes hold no I, L, O or U and people read digits as letters, so both sides are folded into classes of
//! look-alikes before they are compared. The list is short on purpose: each entry costs a share of the seqs
//! (together under 2.5 %, and a mint reserves 4 % and 64 more). Sources: the common core of published
//! block lists for English, German, French, Spanish and Dutch, four letters and up but for a few.

use crate::code::{Fields, Profile, WellFormedCode};

/// Version of the list, stored with every batch.
pub const LIST_VERSION: u32 = 1;

const WORDS: &[&str] = &[
    "FUCK", "FUK", "FCK", "SHIT", "CUNT", "DICK", "COCK", "TWAT", "WANK", "PISS", "ARSE", "SLUT", "WHORE", "BITCH",
    "NAZI", "NIGG", "NEGR", "KIKE", "SPIC", "GOOK", "CHINK", "COON", "FAGS", "FAGG", "DYKE", "HOMO", "TRANN", "RAPE",
    "RAPIST", "PEDO", "PAEDO", "KKK", "HITLER", "HEIL", "ISIS", "JIHAD", "KILL", "DEAD", "DEATH", "PORN", "PENIS",
    "PUSSY", "VAGIN", "TITS", "BOOB", "ANAL", "ANUS", "CLIT", "SEXY", "SEMEN", "SPERM", "JIZZ", "CRAP", "DAMN", "HELL",
    "TURD", "POOP", "PRICK", "BASTARD", "RETARD", "IDIOT", "MORON", "STUPID", "HURE", "FOTZE", "FICK", "ARSCH",
    "NUTTE", "SCHLAMPE", "WICHS", "KACKE", "PUTE", "PUTA", "PUTO", "MERDE", "SALOPE", "CONNARD", "MIERDA", "JODER",
    "CABRON", "LULL", "HOER", "KANKER", "TERING",
];

const LENGTH_MAX: usize = 8;

/// Look-alikes share a class; `0` is no class.
const fn class(c: u8) -> u8 {
    match c {
        b'0' | b'O' | b'Q' => b'O',
        b'1' | b'I' | b'L' => b'I',
        b'2' | b'Z' => b'Z',
        b'3' | b'E' => b'E',
        b'4' | b'A' => b'A',
        b'5' | b'S' => b'S',
        b'6' | b'G' | b'9' => b'G',
        b'7' | b'T' => b'T',
        b'8' | b'B' => b'B',
        b'U' | b'V' => b'V',
        other => other,
    }
}

/// A word's classes, padded with 0.
#[derive(Clone, Copy)]
struct Folded {
    classes: [u8; LENGTH_MAX],
    length: usize,
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const fn fold(word: &str) -> Folded {
    let bytes = word.as_bytes();
    let mut folded = Folded { classes: [0; LENGTH_MAX], length: bytes.len() };
    let mut at = 0;
    while at < bytes.len() {
        folded.classes[at] = class(bytes[at]);
        at += 1;
    }
    folded
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const FOLDED: [Folded; WORDS.len()] = {
    let mut all = [Folded { classes: [0; LENGTH_MAX], length: 0 }; WORDS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = fold(WORDS[at]);
        at += 1;
    }
    all
};

/// The classes of the 32 symbols.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const SYMBOL_CLASS: [u8; 32] = {
    let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut classes = [0; 32];
    let mut at = 0;
    while at < 32 {
        classes[at] = class(alphabet[at]);
        at += 1;
    }
    classes
};

/// Where a word may begin: for two or three symbols in a row, the words whose first letters they can be.
struct Beginnings {
    /// `triples[a][b]` has bit c set where some word may begin with the symbols a, b, c. One triple in fifty does.
    triples: [[u32; 32]; 32],
    /// `firsts[a]` has bit w set where word w may begin with the symbol a.
    firsts: [u128; 32],
    /// The same for a word's second letter.
    seconds: [u128; 32],
}

#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
static BEGINNINGS: Beginnings = {
    assert!(WORDS.len() <= 128);
    let mut all = Beginnings { triples: [[0; 32]; 32], firsts: [0; 32], seconds: [0; 32] };
    let mut word = 0;
    while word < FOLDED.len() {
        assert!(FOLDED[word].length >= 3 && FOLDED[word].length <= LENGTH_MAX);
        let [first, second, third, ..] = FOLDED[word].classes;
        let mut a = 0;
        while a < 32 {
            all.firsts[a] |= ((SYMBOL_CLASS[a] == first) as u128) << word;
            all.seconds[a] |= ((SYMBOL_CLASS[a] == second) as u128) << word;
            let mut b = 0;
            while b < 32 {
                if SYMBOL_CLASS[a] == first && SYMBOL_CLASS[b] == second {
                    all.triples[a][b] |= members(third);
                }
                b += 1;
            }
            a += 1;
        }
        word += 1;
    }
    all
};

/// The symbols of a class, a bit for each.
#[allow(clippy::indexing_slicing, reason = "evaluated at compile time: out of bounds does not compile")]
const fn members(class: u8) -> u32 {
    let mut set = 0;
    let mut symbol = 0;
    while symbol < 32 {
        set |= ((SYMBOL_CLASS[symbol] == class) as u32) << symbol;
        symbol += 1;
    }
    set
}

#[allow(clippy::indexing_slicing, reason = "masked to the tables' 32 entries")]
impl Beginnings {
    fn possible(&self, a: u8, b: u8, c: u8) -> bool {
        self.triples[usize::from(a & 31)][usize::from(b & 31)] >> (c & 31) & 1 == 1
    }

    /// The words that may begin with two symbols, a bit for each.
    fn words(&self, a: u8, b: u8) -> u128 {
        self.firsts[usize::from(a & 31)] & self.seconds[usize::from(b & 31)]
    }
}

#[allow(clippy::indexing_slicing, reason = "masked to the table's 32 entries")]
const fn class_of(symbol: u8) -> u8 {
    SYMBOL_CLASS[(symbol & 31) as usize]
}

/// Whether these symbol values spell a word of the list, across group boundaries, with the usual
/// digit-for-letter readings.
#[must_use]
pub fn contains_offensive(symbols: &[u8]) -> bool {
    spells(symbols, |_, _| true)
}

/// Whether a minted code must be skipped for what it spells.
///
/// All codes of a campaign in one epoch begin alike. Where that beginning spells a word but for one letter, the
/// letter would cost far more seqs than the 4 % that a mint reserves (S16 campaign 1 begins `800`, and every fourth
/// code would be skipped for `8008` and `800B`). So a word counts when it has two letters in symbols that differ
/// from code to code; or none, but then it counts in every code: see [`beginning_offends`].
#[must_use]
pub fn is_skipped(code: &WellFormedCode) -> bool {
    let (whole, fixed) = (code.profile().whole_fixed_symbols(), code.profile().fixed_symbols());
    spells(&code.symbols(), |at, length| at + length <= whole || at.max(fixed) + 2 <= at + length)
}

/// Whether the symbols that header and campaign decide spell a word: no code of the campaign can then be minted in
/// that epoch. Fewer than two campaign numbers in a thousand are lost to it.
#[must_use]
pub fn beginning_offends(profile: Profile, epoch: u8, campaign: u16) -> bool {
    let any = Fields { profile, epoch, campaign, serial: 0, tag: 0 };
    WellFormedCode::from_fields(any)
        .and_then(|code| code.symbols().get(..profile.whole_fixed_symbols()).map(contains_offensive))
        .unwrap_or(false)
}

/// Whether a word stands somewhere that `counts` by its place and length.
fn spells(symbols: &[u8], counts: impl Fn(usize, usize) -> bool) -> bool {
    // The places are gathered without a branch, and are few: most of minting's time would go here otherwise.
    let triples = symbols.array_windows().enumerate();
    let mut places =
        triples.fold(0u64, |places, (at, [a, b, c])| places | u64::from(BEGINNINGS.possible(*a, *b, *c)) << (at & 63));
    while places != 0 {
        let at = places.trailing_zeros() as usize;
        places &= places - 1;
        if symbols.get(at..).is_some_and(|rest| begins_with_word(rest, |length| counts(at, length))) {
            return true;
        }
    }
    false
}

fn begins_with_word(symbols: &[u8], counts: impl Fn(usize) -> bool) -> bool {
    let [a, b, ..] = symbols else { return false };
    let mut candidates = BEGINNINGS.words(*a, *b);
    while candidates != 0 {
        let word = FOLDED.get(candidates.trailing_zeros() as usize);
        candidates &= candidates - 1;
        let Some(word) = word.filter(|word| counts(word.length)) else { continue };
        let Some(here) = symbols.get(..word.length) else { continue };
        if here.iter().zip(&word.classes).all(|(symbol, class)| class_of(*symbol) == *class) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{Reading, check};

    fn offends(text: &str) -> bool {
        contains_offensive(Reading::of(text).unwrap().symbols())
    }

    #[test]
    fn words_are_found_in_any_spelling_and_place() {
        for text in ["FVCK", "0000-FVCK-0000", "00FV-CK00", "5H1T", "SH17", "N4Z1", "K1KE", "0000-0000-0000-0KKK"] {
            assert!(offends(text), "{text}");
        }
        for text in ["", "F", "0000-PMHX-FT5V-PPXF-4FNQ", "FVC-K0".get(..3).unwrap()] {
            assert!(!offends(text), "{text}");
        }
    }

    #[test]
    fn worked_vectors_are_clean() {
        for text in [
            "0000-PMHX-FT5V-PPXF-4FNQ",
            "0000-X2SV-W170-PE2M-HAHD",
            "7ZZZ-WEHF-JAHY-P1B9-AS6P",
            "0000-JC5K-V4KB-6SYK-8HBT",
            "800D-KM2J-WNB5-QFAT",
            "BZZY-XZBP-PHSF-AWRC",
            "G000B-H8J8V-V0473-80JE3-ZQHFD",
            "H0409-VDF1N-GEMV5-9EV3M-V9QKV",
            "2080-J4A3-5EBX-9W9T-VTHF",
        ] {
            assert!(!contains_offensive(&check(text).unwrap().symbols()), "{text}");
        }
    }

    /// A mint reserves 4 % more than it is asked for. Whatever the campaign's number, the list must cost less: the
    /// sum over all words and places of the odds that the free symbols complete the word is above the true share.
    #[test]
    fn the_list_costs_less_than_the_reserve_in_every_campaign() {
        let mut worst = 0.0_f64;
        for profile in Profile::ALL {
            let fixed = profile.fixed_symbols();
            // Odds that free symbols fit the rest of a word, by how many of its letters are fixed.
            let rests: Vec<Vec<f64>> = FOLDED
                .iter()
                .map(|word| {
                    let odds = |class: &u8| f64::from(members(*class).count_ones()) / 32.0;
                    (0..=word.length).map(|from| word.classes[from..word.length].iter().map(odds).product()).collect()
                })
                .collect();
            let places = (profile.symbols() - fixed) as f64;
            let anywhere: f64 = rests.iter().map(|rest| rest[0] * places).sum();
            // The worst beginnings are those that spell the first letters of a word.
            for (word, start) in FOLDED.iter().flat_map(|word| (0..fixed).map(move |start| (word, start))) {
                let mut prefix = vec![0; fixed];
                for (symbol, class) in prefix.iter_mut().skip(start).zip(&word.classes[..word.length]) {
                    *symbol = u8::try_from(members(*class).trailing_zeros()).unwrap() & 31;
                }
                let mut share = anywhere;
                for start in 0..fixed {
                    let head = &prefix[start..];
                    for (word, rest) in FOLDED.iter().zip(&rests) {
                        let fits = head.iter().zip(&word.classes).all(|(symbol, class)| class_of(*symbol) == *class);
                        if fits && word.length >= head.len() + 2 {
                            share += rest[head.len()];
                        }
                    }
                }
                worst = worst.max(share);
            }
        }
        assert!(worst < 0.035, "{worst}");
    }

    #[test]
    fn what_a_beginning_spells_counts_wholly_or_not_at_all() {
        let code = |profile, campaign, serial| {
            WellFormedCode::from_fields(Fields { profile, epoch: 0, campaign, serial, tag: 0 }).unwrap()
        };
        // 8008 is no reason to skip a quarter of S16 campaign 1; the same letters further on are.
        let shared = code(Profile::S16, 1, 0);
        assert!(shared.canonical().as_str().starts_with("8008"));
        assert!(contains_offensive(&shared.symbols()) && !is_skipped(&shared));
        assert!(!beginning_offends(Profile::S16, 0, 1));
        let later = code(Profile::S16, 1, 0b1110_1000_0000_0000_0001);
        assert!(later.canonical().as_str().starts_with("800F-8008"), "{}", later.canonical());
        assert!(is_skipped(&later));
        // 0KKK in every code: nothing can be minted.
        assert!(beginning_offends(Profile::S20, 0, 40_166));
        assert!(is_skipped(&code(Profile::S20, 40_166, 12_345)));
    }

    #[test]
    fn few_campaign_numbers_are_lost() {
        for profile in Profile::ALL {
            for epoch in 0..8 {
                let lost = (1..=profile.campaign_max()).filter(|number| beginning_offends(profile, epoch, *number));
                assert!(lost.count() * 500 < usize::from(profile.campaign_max()), "{profile:?} {epoch}");
            }
        }
    }
}
