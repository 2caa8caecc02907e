//! Aliases: memorable words that stand for a shared campaign's code. Read by the rules of codes, looked up, never signed.

use crate::code::Reading;
use serde::{Deserialize, Deserializer, Serialize};

/// Symbols that an alias may have: fewer than any code.
const SYMBOLS: core::ops::RangeInclusive<usize> = 3..=14;

/// An alias as it is read: one spelling for every way of typing it. A `U`, which no code has, reads as `?`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Alias(String);

impl Alias {
    /// Reads a text; `None` where it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let reading = Reading::of(text).ok()?;
        // A question mark is a symbol that could not be read, and no letter.
        let legal = SYMBOLS.contains(&reading.count()) && !text.contains(['?', '\u{ff1f}']);
        legal.then(|| Self(reading.to_string()))
    }

    /// Its symbols.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Alias {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As it was written: what was read once is not read again, for its question marks would not be taken.
        String::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_codes_are() {
        for (text, read) in [
            ("WELCOME10", Some("WE1C0ME10")),
            ("welcome-10", Some("WE1C0ME10")),
            (" We lcoMe 1o ", Some("WE1C0ME10")),
            ("SUMMER", Some("S?MMER")),
            ("S?MMER", None),
            ("AB", None),
            ("ABC", Some("ABC")),
            ("ABCDEFGHJKMNPQ", Some("ABCDEFGHJKMNPQ")),
            ("ABCDEFGHJKMNPQR", None),
            ("ÄBC", None),
            ("   ", None),
            ("", None),
            ("ＡＢＣ", Some("ABC")),
        ] {
            assert_eq!(Alias::read(text).as_ref().map(Alias::as_str), read, "{text}");
        }
    }
}
