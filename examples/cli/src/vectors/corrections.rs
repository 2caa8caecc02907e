//! Every kind of slip that has a repair, and those that are left alone.

use super::crafted::grouped;
use super::keys::{COUNTING, KeyNames};
use super::texts::{SHAPE, UNREADABLE, altered, case, finished, samples};
use super::{Case, VectorFile};
use counterfoil_core::code::{Mode, WellFormedCode, suggest};

pub(super) fn file() -> VectorFile {
    let mut cases = Vec::new();
    for code in samples() {
        let word = code.symbols().to_vec();
        let (name, group) = (code.profile().name(), code.profile().group());
        let mut add =
            |what: String, symbols: &[u8]| cases.push(finished(&format!("{name}, {what}"), &grouped(symbols, group)));
        for place in 0..word.len() {
            add(format!("symbol {place} wrong"), &altered(&word, |typed| typed.xor(place, wrong_by(place))));
        }
        for step in 1..=2 {
            for place in 0..word.len() - step {
                let typed = altered(&word, |typed| typed.0.swap(place, place + step));
                if typed != word {
                    add(format!("symbols {place} and {} swapped", place + step), &typed);
                }
            }
            // Where two equal symbols stand `step` apart, both became another.
            let twins = (0..word.len() - step).filter(|place| word.get(*place) == word.get(place + step));
            for place in twins {
                let typed = altered(&word, |typed| {
                    typed.xor(place, 9);
                    typed.xor(place + step, 9);
                });
                add(format!("equal symbols {place} and {} both wrong alike", place + step), &typed);
            }
        }
        for place in 0..word.len() {
            add(format!("symbol {place} left out"), &altered(&word, |typed| typed.remove(place)));
        }
        for place in 0..=word.len() {
            add(format!("one too many before symbol {place}"), &altered(&word, |typed| typed.0.insert(place, 21)));
        }
        for first in 0..word.len() / group {
            for second in first + 1..word.len() / group {
                let typed = altered(&word, |typed| {
                    (0..group).for_each(|offset| typed.0.swap(first * group + offset, second * group + offset));
                });
                add(format!("groups {first} and {second} swapped"), &typed);
            }
        }
        for (what, places) in [
            ("one unreadable", &[4][..]),
            ("the header unreadable", &[0]),
            ("two unreadable", &[4, 9]),
            ("two unreadable in the parity", &[word.len() - 2, word.len() - 1]),
            ("three unreadable", &[4, 9, 14]),
            ("three unreadable in a row", &[0, 1, 2]),
            ("four unreadable", &[4, 9, 12, 14]),
        ] {
            add(
                what.to_owned(),
                &altered(&word, |typed| places.iter().for_each(|place| typed.set(*place, UNREADABLE))),
            );
        }
        let mixed = altered(&word, |typed| {
            typed.set(4, UNREADABLE);
            typed.xor(11, 5);
        });
        add("one unreadable and one wrong".to_owned(), &mixed);
        let mixed = altered(&mixed, |typed| typed.set(9, UNREADABLE));
        add("two unreadable and one wrong".to_owned(), &mixed);
        let short = altered(&mixed, |typed| typed.0.truncate(word.len() - 1));
        add("unreadable and of wrong length".to_owned(), &short);
        cases.extend(refused_repairs(&code));
        cases.extend(still_typing(&code));
    }
    VectorFile::new("corrections.json", format!("Every kind of typing error, repaired where it can be. {SHAPE}"), cases)
}

/// By how much the symbol at a place is wrong: 1 to 31, another one at each place.
fn wrong_by(place: usize) -> u8 {
    u8::try_from(1 + place * 7 % 31).unwrap_or(1)
}

/// Texts near a code for which no repair may be offered.
fn refused_repairs(code: &WellFormedCode) -> Vec<Case> {
    let (profile, word) = (code.profile(), code.symbols().to_vec());
    let show =
        |name: &str, typed: &[u8]| finished(&format!("{}, {name}", profile.name()), &grouped(typed, profile.group()));
    let unanswered = |typed: &Vec<u8>| suggest(&grouped(typed, profile.group()), Mode::Complete).is_none();
    let first = |mut all: Box<dyn Iterator<Item = Vec<u8>> + '_>| all.find(unanswered);
    let len = word.len();
    let two_wrong = (1..len - 1).map(|place| {
        altered(&word, |typed| {
            typed.xor(place, 3);
            typed.xor((place + 7) % len, 20);
        })
    });
    let no_slip = (1..len - 1).map(|place| {
        altered(&word, |typed| {
            typed.xor(place, 9);
            typed.xor(place + 1, 9);
        })
    });
    let mut found = vec![
        ("two wrong symbols", first(Box::new(two_wrong))),
        ("two neighbours off by the same value, but neither swapped nor twins", first(Box::new(no_slip))),
        ("two too many", Some(altered(&word, |typed| typed.0.extend([1, 2])))),
        ("two left out", Some(altered(&word, |typed| typed.0.truncate(len - 2)))),
    ];
    // Several codes explain some omissions and insertions: then none may be offered.
    let keys = KeyNames::new(COUNTING, "acme", profile, code.epoch(), code.campaign());
    let others = || (0..4_000).filter_map(|seq| Some(keys.mint(seq)?.symbols().to_vec()));
    let omissions = others().flat_map(|word| (0..len).map(move |place| altered(&word, |typed| typed.remove(place))));
    found.push(("an ambiguous omission", first(Box::new(omissions))));
    let insertions = others().flat_map(|word| {
        (0..=len).flat_map(move |place| {
            let word = word.clone();
            (0..32).map(move |extra| altered(&word, |typed| typed.0.insert(place, extra)))
        })
    });
    found.push(("an ambiguous insertion", first(Box::new(insertions.take(200_000)))));
    found.into_iter().filter_map(|(name, typed)| typed.map(|typed| show(name, &typed))).collect()
}

/// While a person is typing and the first symbol asks for more, nothing is suggested.
fn still_typing(code: &WellFormedCode) -> Vec<Case> {
    let (profile, word) = (code.profile(), code.symbols().to_vec());
    let title = |what: &str| format!("{}, {what}", profile.name());
    let show = |typed: &[u8]| grouped(typed, profile.group());
    let short = altered(&word, |typed| typed.0.truncate(word.len() - 1));
    let wrong = altered(&word, |typed| typed.xor(6, 17));
    vec![
        case(&title("the last symbol not typed yet"), &show(&short), Mode::Typing),
        case(&title("all typed, one wrong"), &show(&wrong), Mode::Typing),
        case(&title("all typed"), &show(&word), Mode::Typing),
        case(&title("the first symbol only"), &show(short.get(..1).unwrap_or_default()), Mode::Typing),
    ]
}
