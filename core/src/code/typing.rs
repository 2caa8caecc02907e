//! Grouping a code while it is being typed, with the caret kept where the person left it.

use super::profile::Profile;
use super::read::{Read, SCALARS_MAX, read};

/// A text as the input field should show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formatted {
    /// Grouped, upper case; characters that cannot be part of a code stay, so that they can be marked.
    pub text: String,
    /// Where the caret belongs, in UTF-16 units from the start of `text`.
    pub caret: usize,
    /// Symbols typed so far, wrong and unreadable ones included.
    pub symbols: usize,
    /// What the first symbol asks for, where it says.
    pub profile: Option<Profile>,
    /// As many symbols as the profile asks for.
    pub complete: bool,
}

/// Groups what has been typed. `caret` is in UTF-16 units, as browsers count; it may point past the end.
///
/// Separators are put only between symbols, never after the last one, so that deleting backwards works.
#[must_use]
pub fn format(text: &str, caret: usize) -> Formatted {
    if text.chars().nth(SCALARS_MAX).is_some() {
        let end = text.encode_utf16().count();
        return Formatted { text: text.to_owned(), caret: caret.min(end), symbols: 0, profile: None, complete: false };
    }
    let mut shown = Vec::with_capacity(text.len());
    let mut before_caret = 0;
    let mut units = 0;
    for c in text.chars() {
        let symbol = match read(c) {
            Read::Skip => None,
            Read::Symbol(value) => Some((char::from(super::fields::letter(value)), Some(value))),
            Read::Erasure => Some(('?', None)),
            Read::Invalid => Some((c, None)),
        };
        if units < caret && symbol.is_some() {
            before_caret += 1;
        }
        units += c.len_utf16();
        shown.extend(symbol);
    }
    let profile = shown.first().and_then(|(_, value)| *value).and_then(|header| Profile::from_kind(header >> 3));
    let group = profile.map_or(4, Profile::group);
    let mut out = Formatted {
        text: String::with_capacity(shown.len() * 2),
        caret: 0,
        symbols: shown.len(),
        profile,
        complete: profile.is_some_and(|profile| profile.symbols() == shown.len()),
    };
    let mut length = 0;
    for (index, (c, _)) in shown.iter().enumerate() {
        if index > 0 && index.is_multiple_of(group) {
            out.text.push('-');
            length += 1;
        }
        out.text.push(*c);
        length += c.len_utf16();
        if index + 1 == before_caret {
            out.caret = length;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `|` marks the caret on both sides.
    fn check(typed: &str, shown: &str) {
        let caret = typed.find('|').unwrap();
        let formatted = format(&typed.replace('|', ""), caret);
        let mut got = formatted.text.clone();
        got.insert(formatted.caret, '|');
        assert_eq!(got, shown);
    }

    #[test]
    fn grouping_and_caret() {
        for (typed, shown) in [
            ("|", "|"),
            ("0|", "0|"),
            ("0000|", "0000|"),
            ("0000p|", "0000-P|"),
            ("0000|p", "0000|-P"),
            ("0000-|", "0000|"),
            ("00x|00-pmhx", "00X|0-0PMH-X"),
            ("g000bh|", "G000B-H|"),
            ("oil?u|", "011?-?|"),
            ("00*0|0", "00*0|-0"),
            (" 0000 pmhx |", "0000-PMHX|"),
        ] {
            check(typed, shown);
        }
    }

    #[test]
    fn formatting_twice_changes_nothing() {
        for text in ["0000pmhxft5vppxf4fnq", "G000BH8J8VV047380JE3ZQHFD", "800dkm2jwnb5qfat", "zz*?", ""] {
            let once = format(text, 3);
            let twice = format(&once.text, once.caret);
            assert_eq!(once, twice);
        }
    }

    #[test]
    fn complete_means_the_header_has_enough() {
        assert!(format("0000pmhxft5vppxf4fnq", 0).complete);
        assert!(!format("0000pmhxft5vppxf4fn", 0).complete);
        assert!(format("800dkm2jwnb5qfat", 0).complete);
    }

    #[test]
    fn carets_outside_the_text_and_wide_characters() {
        assert_eq!(format("0000p", 99).caret, 6);
        assert_eq!(format("0😀", 3).caret, 3);
        let long = "0".repeat(65);
        assert_eq!(format(&long, 70).caret, 65);
    }
}
