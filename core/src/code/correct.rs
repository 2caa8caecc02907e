//! Repair of typing errors, as a suggestion only.
//!
//! The order is the format's: single; pair; one omitted; one inserted; two groups swapped; up to three
//! erasures; one erasure and one wrong symbol. The first that applies is the answer. Every decoder works on
//! the three syndromes with the logarithm tables of GF(32), so the cost is bounded and small.

use super::fields::WellFormedCode;
use super::gf32::{ORDER, alpha, div, mul};
use super::parity::syndromes;
use super::profile::{Profile, SYMBOLS_MAX};
use super::read::{ERASURE, Reading};
use super::word::Word;

/// Whether the person is still typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Still typing: while the header asks for more symbols there is no suggestion.
    Typing,
    /// The text is all there is (pasted, submitted, or the field was left).
    Complete,
}

/// The kind of slip that explains the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Correction {
    /// One symbol is wrong.
    Single,
    /// Two neighbours, or two with one between, are swapped or doubled wrongly.
    Pair,
    /// One symbol was left out.
    Omission,
    /// One symbol too many.
    Insertion,
    /// Two groups stand in each other's place.
    GroupSwap,
    /// Up to three unreadable symbols.
    Erasures,
    /// One unreadable symbol and a wrong one.
    ErasureAndSingle,
}

impl Correction {
    /// Stable snake_case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Pair => "pair",
            Self::Omission => "omission",
            Self::Insertion => "insertion",
            Self::GroupSwap => "group_swap",
            Self::Erasures => "erasures",
            Self::ErasureAndSingle => "erasure_and_single",
        }
    }
}

/// Positions in the suggested code that differ from what was typed, as a bit set over its symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed(u32);

impl Changed {
    /// Whether the symbol at `position` differs from what was typed.
    #[must_use]
    pub const fn contains(self, position: usize) -> bool {
        position < 32 && self.0 >> position & 1 == 1
    }

    /// The changed positions, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..SYMBOLS_MAX).filter(move |position| self.contains(*position))
    }
}

/// A code the person may have meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suggestion {
    code: WellFormedCode,
    correction: Correction,
    changed: Changed,
    unverified: bool,
}

impl Suggestion {
    /// The suggested code.
    #[must_use]
    pub const fn code(&self) -> &WellFormedCode {
        &self.code
    }

    /// What slip it assumes.
    #[must_use]
    pub const fn correction(&self) -> Correction {
        self.correction
    }

    /// Symbols of the suggested code that differ from the text. For an insertion nothing of the code itself
    /// changes but the place where the extra symbol stood: the symbol after it (or the last) is marked.
    #[must_use]
    pub const fn changed(&self) -> Changed {
        self.changed
    }

    /// No parity was left to confirm it: such a suggestion always "solves" and may well be wrong.
    #[must_use]
    pub const fn unverified(&self) -> bool {
        self.unverified
    }
}

/// Suggests the code that was probably meant, or `None` when the text is a code already, nothing explains it,
/// or the person has not finished.
#[must_use]
pub fn suggest(text: &str, mode: Mode) -> Option<Suggestion> {
    let reading = Reading::of(text).ok()?;
    let symbols = reading.symbols();
    if mode == Mode::Typing && reading.header_profile().is_some_and(|profile| symbols.len() < profile.symbols()) {
        return None;
    }
    let erasures = symbols.iter().filter(|symbol| **symbol == ERASURE).count();
    if let Some(profile) = Profile::from_symbols(symbols.len()) {
        if erasures > 0 {
            return correct_erasures(profile, symbols, erasures);
        }
        return correct_same_length(Word::new(profile, symbols));
    }
    if erasures > 0 {
        return None;
    }
    let shorter = symbols.len().checked_sub(1).and_then(Profile::from_symbols);
    Profile::from_symbols(symbols.len() + 1)
        .and_then(|profile| correct_omission(profile, symbols))
        .or_else(|| shorter.and_then(|profile| correct_insertion(profile, symbols)))
}

/// Position of the first wrong symbol of a text of right length, where a correction says so.
pub(super) fn first_wrong(word: Word) -> Option<usize> {
    correct_same_length(word).and_then(|suggestion| suggestion.changed.iter().next())
}

/// The syndromes of a word.
fn syndromes_of(word: Word) -> [u8; 3] {
    syndromes(word.difference())
}

/// The code that a word is, if parity, header and reserved bit are legal.
fn code_of(word: Word) -> Option<WellFormedCode> {
    if word.difference() != 0 {
        return None;
    }
    WellFormedCode::from_valid_word(word).ok()
}

/// A suggestion for the repaired word, with what differs from the symbols as typed marked.
fn suggestion(fixed: Word, typed: &[u8], correction: Correction, unverified: bool) -> Option<Suggestion> {
    let code = code_of(fixed)?;
    let symbols = code.symbols();
    let differing = symbols.iter().zip(typed).enumerate().filter(|(_, (a, b))| a != b);
    let changed = Changed(differing.fold(0, |set, (position, _)| set | 1 << position));
    Some(Suggestion { code, correction, changed, unverified })
}

/// Solves Sⱼ = e·Xʲ for one error value and locator.
fn one_location(s: [u8; 3]) -> Option<(u8, u8)> {
    let [s1, s2, s3] = s;
    let locator = div(s2, s1).filter(|locator| *locator != 0)?;
    (mul(s2, locator) == s3).then(|| div(s1, locator).map(|value| (value, locator))).flatten()
}

fn correct_same_length(word: Word) -> Option<Suggestion> {
    let s = syndromes_of(word);
    if s == [0; 3] {
        return None;
    }
    let typed = word.symbols();
    single(word, s)
        .and_then(|fixed| suggestion(fixed, &typed, Correction::Single, false))
        .or_else(|| pair(word, s, 1).and_then(|fixed| suggestion(fixed, &typed, Correction::Pair, false)))
        .or_else(|| pair(word, s, 2).and_then(|fixed| suggestion(fixed, &typed, Correction::Pair, false)))
        .or_else(|| correct_group_swap(word))
}

fn single(word: Word, s: [u8; 3]) -> Option<Word> {
    let (value, locator) = one_location(s)?;
    Some(word.plus(word.position(locator)?, value))
}

/// Two equal errors δ at positions i and i+step: Sⱼ = δ·αʲᵈ·(1 + αʲˢᵗᵉᵖ) with d the lower degree, so dividing
/// by the bracket leaves the one-location problem.
fn pair(word: Word, s: [u8; 3], step: usize) -> Option<Word> {
    let [s1, s2, s3] = s;
    let bracket = |j: usize| 1 ^ alpha(j * step % ORDER);
    let reduced = [div(s1, bracket(1))?, div(s2, bracket(2))?, div(s3, bracket(3))?];
    let (delta, locator) = one_location(reduced)?;
    let later = word.position(locator)?;
    let earlier = later.checked_sub(step)?;
    // Only a real swap (the typed symbols differ by δ) or a real twin (they are equal) is accepted.
    let typed = word.at(earlier) ^ word.at(later);
    if typed != delta && typed != 0 {
        return None;
    }
    Some(word.plus(earlier, delta).plus(later, delta))
}

/// Keeps a solution only while it is the only one.
struct Only(Option<Option<Suggestion>>);

impl Only {
    const fn new() -> Self {
        Self(None)
    }

    fn offer(&mut self, found: Option<Suggestion>) {
        let Some(found) = found else { return };
        self.0 = match self.0 {
            None => Some(Some(found)),
            Some(Some(known)) if known.code == found.code => Some(Some(known)),
            Some(_) => Some(None),
        };
    }

    fn take(self) -> Option<Suggestion> {
        self.0.flatten()
    }
}

fn correct_omission(profile: Profile, symbols: &[u8]) -> Option<Suggestion> {
    let mut only = Only::new();
    let mut widened = [0; SYMBOLS_MAX];
    let widened = widened.get_mut(..profile.symbols())?;
    // The gap moves from the front to the back: with each step one symbol comes before it.
    widened.get_mut(1..)?.copy_from_slice(symbols);
    for gap in 0..profile.symbols() {
        if gap > 0 {
            widened.swap(gap - 1, gap);
        }
        let word = Word::new(profile, widened);
        let s = syndromes_of(word);
        // The missing symbol may itself be 0; otherwise the one error must stand exactly in the gap.
        let fixed = match one_location(s) {
            _ if s == [0; 3] => word,
            Some((value, locator)) if locator == word.locator(gap) => word.plus(gap, value),
            _ => continue,
        };
        only.offer(code_of(fixed).map(|code| Suggestion {
            code,
            correction: Correction::Omission,
            changed: Changed(1 << gap),
            unverified: false,
        }));
    }
    only.take()
}

fn correct_insertion(profile: Profile, symbols: &[u8]) -> Option<Suggestion> {
    let mut only = Only::new();
    let mut narrowed = [0; SYMBOLS_MAX];
    let narrowed = narrowed.get_mut(..profile.symbols())?;
    // The symbol left out moves from the front to the back: with each step one more is kept before it.
    narrowed.copy_from_slice(symbols.get(1..)?);
    for (extra, kept) in symbols.iter().enumerate() {
        let word = Word::new(profile, narrowed);
        if let Some(slot) = narrowed.get_mut(extra) {
            *slot = *kept;
        }
        only.offer(code_of(word).map(|code| Suggestion {
            code,
            correction: Correction::Insertion,
            changed: Changed(1 << extra.min(profile.symbols() - 1)),
            unverified: false,
        }));
    }
    only.take()
}

fn correct_group_swap(word: Word) -> Option<Suggestion> {
    let group = word.profile().group();
    let groups = word.profile().symbols() / group;
    let typed = word.symbols();
    let mut only = Only::new();
    for first in 0..groups {
        for second in first + 1..groups {
            let swapped = (0..group).fold(word, |swapped, offset| {
                let (one, other) = (first * group + offset, second * group + offset);
                let difference = word.at(one) ^ word.at(other);
                swapped.plus(one, difference).plus(other, difference)
            });
            only.offer(suggestion(swapped, &typed, Correction::GroupSwap, false));
        }
    }
    only.take()
}

fn correct_erasures(profile: Profile, symbols: &[u8], erasures: usize) -> Option<Suggestion> {
    let word = Word::new(profile, symbols);
    let mut places = [0; 3];
    let unreadable = symbols.iter().enumerate().filter(|(_, symbol)| **symbol == ERASURE);
    for (place, (position, _)) in places.iter_mut().zip(unreadable) {
        *place = position;
    }
    if erasures > places.len() {
        return None;
    }
    solve_erasures(word, places.get(..erasures)?)
        .and_then(|fixed| suggestion(fixed, symbols, Correction::Erasures, erasures == 3))
        .or_else(|| {
            let [place, ..] = places;
            let fixed = if erasures == 1 { erasure_and_single(word, place) } else { None }?;
            suggestion(fixed, symbols, Correction::ErasureAndSingle, true)
        })
}

/// Finds the values at known places by eliminating one locator after the other (Newton's divided form of the
/// Vandermonde system); the equations left over must agree.
fn solve_erasures(word: Word, places: &[usize]) -> Option<Word> {
    let mut fixed = word;
    for (index, place) in places.iter().enumerate() {
        // T = S with every other unknown place eliminated: T₁ = e·X·∏(X + Xₖ).
        let mut t = syndromes_of(word);
        let mut live = t.len();
        let locator = word.locator(*place);
        let mut factor = locator;
        for (other_index, other) in places.iter().enumerate() {
            if other_index == index {
                continue;
            }
            let other = word.locator(*other);
            let [t1, t2, t3] = t;
            t = [t2 ^ mul(other, t1), t3 ^ mul(other, t2), 0];
            live -= 1;
            factor = mul(factor, locator ^ other);
        }
        let [t1, ..] = t;
        let value = div(t1, factor)?;
        if index == 0 {
            // What is left over: Tⱼ₊₁ = Tⱼ·X.
            let consistent = t.iter().zip(t.iter().skip(1)).take(live - 1).all(|(a, b)| mul(*a, locator) == *b);
            if !consistent {
                return None;
            }
        }
        fixed = fixed.plus(*place, value);
    }
    Some(fixed)
}

/// One erasure at `place` and one wrong symbol elsewhere: eliminating the erasure leaves one location.
fn erasure_and_single(word: Word, place: usize) -> Option<Word> {
    let [s1, s2, s3] = syndromes_of(word);
    let erased = word.locator(place);
    let (t1, t2) = (s2 ^ mul(erased, s1), s3 ^ mul(erased, s2));
    let locator = div(t2, t1).filter(|locator| *locator != 0 && *locator != erased)?;
    let value = div(t1, mul(locator, locator ^ erased))?;
    let fixed = word.plus(word.position(locator)?, value);
    Some(fixed.plus(place, div(s1 ^ mul(value, locator), erased)?))
}

#[cfg(test)]
#[path = "correct_tests.rs"]
mod tests;
