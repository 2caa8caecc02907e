//! Every correction, exhaustively where the contract counts the patterns.

use super::*;
use crate::code::check;

const S20: &str = "0000-PMHX-FT5V-PPXF-4FNQ";
const S16: &str = "BZZY-XZBP-PHSF-AWRC";
const S25: &str = "H0409-VDF1N-GEMV5-9EV3M-V9QKV";

fn symbols_of(text: &str) -> Vec<u8> {
    check(text).unwrap().symbols().to_vec()
}

fn text_of(symbols: &[u8]) -> String {
    symbols
        .iter()
        .map(|symbol| if *symbol == ERASURE { '?' } else { char::from(super::super::fields::letter(*symbol)) })
        .collect()
}

fn expect(typed: &[u8], meant: &str, correction: Correction) {
    let suggestion =
        suggest(&text_of(typed), Mode::Complete).unwrap_or_else(|| panic!("nothing for {}", text_of(typed)));
    assert_eq!(suggestion.code().canonical().as_str(), meant);
    assert_eq!(suggestion.correction(), correction);
    assert!(!suggestion.unverified());
}

#[test]
fn every_single_error_is_repaired() {
    for text in [S20, S16, S25] {
        let word = symbols_of(text);
        for at in 0..word.len() {
            for delta in 1..32 {
                let mut typed = word.clone();
                typed[at] ^= delta;
                expect(&typed, text, Correction::Single);
                let found = suggest(&text_of(&typed), Mode::Complete).unwrap();
                assert_eq!(found.changed().iter().collect::<Vec<_>>(), [at]);
                let error = check(&text_of(&typed)).unwrap_err();
                assert_eq!((error.reason(), error.position()), ("parity_mismatch", Some(at)));
            }
        }
    }
}

#[test]
fn every_swap_and_twin_is_repaired() {
    for text in [S20, S16, S25] {
        let word = symbols_of(text);
        for step in 1..=2 {
            for at in 0..word.len() - step {
                let mut typed = word.clone();
                typed.swap(at, at + step);
                if typed != word {
                    expect(&typed, text, Correction::Pair);
                } else {
                    for twin in (0..32).filter(|twin| *twin != word[at]) {
                        let mut typed = word.clone();
                        typed[at] = twin;
                        typed[at + step] = twin;
                        expect(&typed, text, Correction::Pair);
                    }
                }
            }
        }
    }
}

#[test]
fn a_pair_pattern_that_is_no_slip_is_not_suggested() {
    let word = symbols_of(S20);
    let (at, delta) = (5, 9);
    let mut typed = word.clone();
    typed[at] ^= delta;
    typed[at + 1] ^= delta;
    assert!(typed[at] ^ typed[at + 1] != delta && typed[at] != typed[at + 1]);
    let found = suggest(&text_of(&typed), Mode::Complete);
    assert!(found.is_none_or(|found| found.correction() != Correction::Pair));
}

#[test]
fn omissions_and_insertions_are_repaired_or_refused_as_ambiguous() {
    let (mut tried, mut repaired) = (0, 0);
    for text in [S20, S16, S25] {
        let word = symbols_of(text);
        for at in 0..word.len() {
            let mut typed = word.clone();
            typed.remove(at);
            tried += 1;
            if let Some(found) = suggest(&text_of(&typed), Mode::Complete) {
                assert_eq!(found.correction(), Correction::Omission);
                assert_eq!(found.code().canonical().as_str(), text);
                repaired += 1;
            }
            for extra in [0, 7, 31] {
                let mut typed = word.clone();
                typed.insert(at, extra);
                expect(&typed, text, Correction::Insertion);
            }
        }
    }
    assert!(repaired * 100 > tried * 95, "{repaired} of {tried}");
}

#[test]
fn swapped_groups_are_repaired() {
    for text in [S20, S16, S25] {
        let groups: Vec<&str> = text.split('-').collect();
        for first in 0..groups.len() {
            for second in first + 1..groups.len() {
                let mut typed = groups.clone();
                typed.swap(first, second);
                // A swap that puts a foreign header first is still repaired: length says the profile.
                let found = suggest(&typed.join("-"), Mode::Complete).unwrap();
                assert_eq!(found.code().canonical().as_str(), text);
                assert_eq!(found.correction(), Correction::GroupSwap);
            }
        }
    }
}

#[test]
fn erasures_are_filled_in() {
    for text in [S20, S16, S25] {
        let word = symbols_of(text);
        for first in 0..word.len() {
            for second in first..word.len() {
                let mut typed = word.clone();
                typed[first] = ERASURE;
                typed[second] = ERASURE;
                expect(&typed, text, Correction::Erasures);
                let third = (second + 5) % word.len();
                typed[third] = ERASURE;
                let found = suggest(&text_of(&typed), Mode::Complete).unwrap();
                assert_eq!(found.code().canonical().as_str(), text);
                assert_eq!(found.unverified(), typed.iter().filter(|s| **s == ERASURE).count() == 3);
            }
        }
    }
}

#[test]
fn an_erasure_with_a_wrong_symbol_is_suggested_unverified() {
    let word = symbols_of(S20);
    for erased in 0..word.len() {
        for wrong in (0..word.len()).filter(|wrong| *wrong != erased) {
            let mut typed = word.clone();
            typed[erased] = ERASURE;
            typed[wrong] ^= 11;
            let found = suggest(&text_of(&typed), Mode::Complete).unwrap();
            assert_eq!(found.code().canonical().as_str(), S20);
            assert_eq!(found.correction(), Correction::ErasureAndSingle);
            assert!(found.unverified());
        }
    }
}

#[test]
fn four_erasures_have_no_suggestion() {
    let mut typed = symbols_of(S20);
    for place in [1, 5, 9, 13] {
        typed[place] = ERASURE;
    }
    assert!(suggest(&text_of(&typed), Mode::Complete).is_none());
}

#[test]
fn nothing_is_suggested_while_the_header_asks_for_more() {
    let typed = &S20[..S20.len() - 1];
    assert!(suggest(typed, Mode::Typing).is_none());
    assert_eq!(suggest(typed, Mode::Complete).unwrap().code().canonical().as_str(), S20);
    // Sixteen symbols under a header for twenty: not yet a mistake.
    assert!(suggest("0000-PMHX-FT5V-PPXF", Mode::Typing).is_none());
}

#[test]
fn a_clean_code_needs_no_suggestion() {
    for text in [S20, S16, S25] {
        assert!(suggest(text, Mode::Complete).is_none());
    }
}
