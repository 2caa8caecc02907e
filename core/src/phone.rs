//! Telephone numbers: E.164, or as people of one country write them.
//!
//! A small table of calling codes, trunk prefixes and lengths (ITU-T E.164 and the national plans) is enough to bring a
//! number into one form, so that a member is found however staff type it. It does not say whether a number is in
//! service; the lengths are those of whole national numbers, from the shortest fixed line to the longest mobile.

use core::fmt;
use serde::{Deserialize, Serialize};

/// Most characters of a number that is read: fifteen digits with generous punctuation.
const CHARS_MAX: usize = 40;
/// Digits of an international number, calling code included (E.164, 6.1).
const DIGITS_MAX: usize = 15;
/// Fewest digits of an international number whose country the table does not have.
const DIGITS_MIN: usize = 7;

/// A telephone number in E.164: `+`, then 7 to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

/// Why a text is no telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneError {
    /// Blank.
    Empty,
    /// More characters than any number has.
    TooLong,
    /// Something else than digits, a leading `+`, and punctuation between them.
    Character,
    /// A national number, and no country is known: mistyped, or the merchant's settings name none.
    NoCountry,
    /// Too few or too many digits for its country, or for any.
    Length,
}

impl PhoneError {
    /// What was expected, for people.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "a telephone number such as +4930123456",
            Self::TooLong => "at most 40 characters",
            Self::Character => "digits, with a + in front and spaces, hyphens, dots, slashes or brackets between them",
            Self::NoCountry => "an international number such as +4930123456: no country is set for national ones",
            Self::Length => "as many digits as a number of its country has",
        }
    }
}

/// How numbers of one country are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Country {
    /// ISO 3166-1, two capital letters.
    pub iso: &'static str,
    /// Calling code, without the `+`.
    pub calling_code: &'static str,
    /// What is dialled before a national number inside the country; none where a leading 0 belongs to the number.
    trunk: &'static [&'static str],
    /// What is dialled before a calling code.
    international: &'static str,
    /// Digits of a national number, without the trunk prefix: fewest and most.
    digits: (u8, u8),
}

/// A row of the table; `00` is dialled before calling codes nearly everywhere.
const fn row(
    iso: &'static str,
    calling_code: &'static str,
    trunk: &'static [&'static str],
    digits: (u8, u8),
) -> Country {
    Country { iso, calling_code, trunk, international: "00", digits }
}

const fn dialling(international: &'static str, country: Country) -> Country {
    Country { international, ..country }
}

const NONE: &[&str] = &[];
const ZERO: &[&str] = &["0"];
const EIGHT: &[&str] = &["8"];
const ONE: &[&str] = &["1"];

/// Every country of the table, in order of its letters.
pub const COUNTRIES: [Country; 73] = [
    row("AE", "971", ZERO, (8, 9)),
    row("AR", "54", ZERO, (10, 11)),
    row("AT", "43", ZERO, (4, 13)),
    dialling("0011", row("AU", "61", ZERO, (9, 9))),
    row("BD", "880", ZERO, (8, 10)),
    row("BE", "32", ZERO, (8, 9)),
    row("BG", "359", ZERO, (7, 9)),
    row("BR", "55", ZERO, (10, 11)),
    dialling("011", row("CA", "1", ONE, (10, 10))),
    row("CH", "41", ZERO, (9, 9)),
    row("CL", "56", NONE, (9, 9)),
    row("CN", "86", ZERO, (10, 11)),
    row("CO", "57", NONE, (10, 10)),
    row("CY", "357", NONE, (8, 8)),
    row("CZ", "420", NONE, (9, 9)),
    row("DE", "49", ZERO, (5, 13)),
    row("DK", "45", NONE, (8, 8)),
    row("EC", "593", ZERO, (8, 9)),
    row("EE", "372", NONE, (7, 8)),
    row("EG", "20", ZERO, (8, 10)),
    row("ES", "34", NONE, (9, 9)),
    row("FI", "358", ZERO, (5, 12)),
    row("FR", "33", ZERO, (9, 9)),
    row("GB", "44", ZERO, (9, 10)),
    row("GH", "233", ZERO, (9, 9)),
    row("GR", "30", NONE, (10, 10)),
    dialling("001", row("HK", "852", NONE, (8, 8))),
    row("HR", "385", ZERO, (8, 9)),
    row("HU", "36", &["06"], (8, 9)),
    row("ID", "62", ZERO, (7, 12)),
    row("IE", "353", ZERO, (7, 10)),
    row("IL", "972", ZERO, (8, 9)),
    row("IN", "91", ZERO, (10, 10)),
    row("IS", "354", NONE, (7, 9)),
    row("IT", "39", NONE, (6, 11)),
    dialling("010", row("JP", "81", ZERO, (9, 10))),
    row("KE", "254", ZERO, (7, 10)),
    dialling("001", row("KR", "82", ZERO, (8, 10))),
    dialling("810", row("KZ", "7", EIGHT, (10, 10))),
    row("LK", "94", ZERO, (9, 9)),
    row("LT", "370", &["0", "8"], (8, 8)),
    row("LU", "352", NONE, (4, 11)),
    row("LV", "371", NONE, (8, 8)),
    row("MA", "212", ZERO, (9, 9)),
    row("MT", "356", NONE, (8, 8)),
    row("MX", "52", NONE, (10, 10)),
    row("MY", "60", ZERO, (8, 10)),
    row("NG", "234", ZERO, (8, 10)),
    row("NL", "31", ZERO, (9, 9)),
    row("NO", "47", NONE, (8, 8)),
    row("NZ", "64", ZERO, (8, 10)),
    row("PE", "51", ZERO, (8, 9)),
    row("PH", "63", ZERO, (8, 10)),
    row("PK", "92", ZERO, (8, 10)),
    row("PL", "48", NONE, (9, 9)),
    row("PT", "351", NONE, (9, 9)),
    row("RO", "40", ZERO, (9, 9)),
    row("RS", "381", ZERO, (7, 10)),
    dialling("810", row("RU", "7", EIGHT, (10, 10))),
    row("SA", "966", ZERO, (9, 9)),
    row("SE", "46", ZERO, (7, 10)),
    dialling("001", row("SG", "65", NONE, (8, 8))),
    row("SI", "386", ZERO, (8, 8)),
    row("SK", "421", ZERO, (9, 9)),
    dialling("001", row("TH", "66", ZERO, (8, 9))),
    row("TN", "216", NONE, (8, 8)),
    row("TR", "90", ZERO, (10, 10)),
    row("TW", "886", ZERO, (8, 9)),
    row("UA", "380", ZERO, (9, 9)),
    dialling("011", row("US", "1", ONE, (10, 10))),
    row("UY", "598", ZERO, (8, 8)),
    row("VN", "84", ZERO, (9, 10)),
    row("ZA", "27", ZERO, (9, 9)),
];

impl Country {
    /// The country of two capital letters, where the table has it.
    #[must_use]
    pub fn named(iso: &str) -> Option<&'static Self> {
        COUNTRIES.iter().find(|country| country.iso == iso)
    }

    /// The one whose calling code these digits begin with. No calling code begins with another, and countries that
    /// share one have numbers of the same shape.
    fn of(digits: &str) -> Option<&'static Self> {
        COUNTRIES.iter().find(|country| digits.starts_with(country.calling_code))
    }

    fn fits(&self, digits: &str) -> bool {
        let (fewest, most) = self.digits;
        let zero_leads = self.trunk.is_empty();
        (usize::from(fewest)..=usize::from(most)).contains(&digits.len()) && (zero_leads || !digits.starts_with('0'))
    }

    /// A national number without its trunk prefix. One that is whole as it stands keeps what looks like a prefix:
    /// Russian numbers may begin with the digit that is dialled before them.
    fn national<'a>(&self, digits: &'a str) -> Option<&'a str> {
        let stripped = self.trunk.iter().filter_map(|trunk| digits.strip_prefix(trunk));
        core::iter::once(digits).chain(stripped).find(|digits| self.fits(digits))
    }
}

impl Phone {
    /// Reads what somebody typed; national numbers need a country.
    ///
    /// # Errors
    /// See [`PhoneError`].
    pub fn read(text: &str, country: Option<&Country>) -> Result<Self, PhoneError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PhoneError::Empty);
        }
        if text.chars().count() > CHARS_MAX {
            return Err(PhoneError::TooLong);
        }
        let (rest, plus) = text.strip_prefix('+').map_or((text, false), |rest| (rest, true));
        let mut digits = String::with_capacity(DIGITS_MAX);
        for c in rest.chars() {
            match c {
                '0'..='9' => digits.push(c),
                ' ' | '\u{a0}' | '\u{202f}' | '-' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '.' | '/' | '(' | ')' => {}
                _ => return Err(PhoneError::Character),
            }
        }
        if digits.is_empty() {
            return Err(PhoneError::Character);
        }
        if plus {
            return Self::international(&digits);
        }
        let country = country.ok_or(PhoneError::NoCountry)?;
        if let Some(digits) = digits.strip_prefix(country.international) {
            return Self::international(digits);
        }
        let national = country.national(&digits).ok_or(PhoneError::Length)?;
        Ok(Self(format!("+{}{national}", country.calling_code)))
    }

    /// From the digits after the `+`. A trunk prefix after a calling code, as in +44 (0)20 …, does not belong there.
    fn international(digits: &str) -> Result<Self, PhoneError> {
        let known = Country::of(digits);
        let national = known.map(|country| {
            let national = digits.get(country.calling_code.len()..).unwrap_or_default();
            country.national(national).map(|national| format!("+{}{national}", country.calling_code))
        });
        let legal = (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) && !digits.starts_with('0');
        match national {
            Some(Some(number)) => Ok(Self(number)),
            None if legal => Ok(Self(format!("+{digits}"))),
            Some(None) | None => Err(PhoneError::Length),
        }
    }

    /// `+` and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, country: &str, expected: Result<&str, PhoneError>) {
        let read = Phone::read(text, Country::named(country));
        assert_eq!(read.as_ref().map(Phone::as_str).map_err(|error| *error), expected, "{text} in {country}");
    }

    #[test]
    fn the_table_is_sound() {
        assert!(COUNTRIES.windows(2).all(|pair| pair[0].iso < pair[1].iso), "in order, none twice");
        for country in &COUNTRIES {
            let (fewest, most) = country.digits;
            assert!(fewest <= most && country.calling_code.len() + usize::from(most) <= DIGITS_MAX, "{}", country.iso);
            assert!(country.iso.len() == 2 && country.iso.bytes().all(|b| b.is_ascii_uppercase()));
            assert_eq!(Country::named(country.iso), Some(country));
            for other in &COUNTRIES {
                let shared = country.calling_code == other.calling_code;
                assert!(shared || !other.calling_code.starts_with(country.calling_code), "{}", country.iso);
                if shared {
                    assert_eq!((country.digits, country.trunk), (other.digits, other.trunk), "{}", country.iso);
                }
            }
        }
        assert_eq!(Country::named("de"), None);
        assert_eq!(Country::named("ZZ"), None);
    }

    #[test]
    fn every_country_reads_its_own_numbers() {
        for country in &COUNTRIES {
            for digits in [country.digits.0, country.digits.1] {
                let national: String = "2345678923456789".chars().take(usize::from(digits)).collect();
                let expected = format!("+{}{national}", country.calling_code);
                let mut written = vec![
                    expected.clone(),
                    national.clone(),
                    format!("{} {} {national}", country.international, country.calling_code),
                ];
                for trunk in country.trunk {
                    written.push(format!("{trunk}{national}"));
                    written.push(format!("+{} ({trunk}) {national}", country.calling_code));
                }
                for text in written {
                    let read = Phone::read(&text, Some(country)).unwrap();
                    assert_eq!(read.as_str(), expected, "{text} in {}", country.iso);
                }
            }
        }
    }

    #[test]
    fn numbers_as_people_write_them() {
        for (text, country, expected) in [
            ("+49 30 123456", "", "+4930123456"),
            ("030/12 34 56", "DE", "+4930123456"),
            ("0049 (0)30 123456", "DE", "+4930123456"),
            (" (0151) 1234-5678 ", "DE", "+4915112345678"),
            ("020 7946 0958", "GB", "+442079460958"),
            ("+44 (0)20 7946 0958", "", "+442079460958"),
            ("(415) 555-0100", "US", "+14155550100"),
            ("1-415-555-0100", "US", "+14155550100"),
            ("011 49 30 123456", "US", "+4930123456"),
            ("415.555.0100", "CA", "+14155550100"),
            ("06 1 234 5678", "HU", "+3612345678"),
            ("06 20 123 4567", "HU", "+36201234567"),
            ("06 1234 5678", "IT", "+390612345678"),
            ("+39 06 1234 5678", "", "+390612345678"),
            ("333 123 4567", "IT", "+393331234567"),
            ("8 (912) 345-67-89", "RU", "+79123456789"),
            ("8 800 555 35 35", "RU", "+78005553535"),
            ("800 555 35 35", "RU", "+78005553535"),
            ("0011 49 30 123456", "AU", "+4930123456"),
            ("090-1234-5678", "JP", "+819012345678"),
            ("9876543210", "IN", "+919876543210"),
            ("612 34 56 78", "ES", "+34612345678"),
            ("06\u{a0}12\u{a0}34\u{a0}56\u{a0}78", "FR", "+33612345678"),
            ("8 612 34567", "LT", "+37061234567"),
            // A country that the table does not have.
            ("+676 12345", "DE", "+67612345"),
            ("+297 567 8901", "", "+2975678901"),
        ] {
            check(text, country, Ok(expected));
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        use PhoneError::{Character, Empty, Length, NoCountry, TooLong};
        for (text, country, error) in [
            ("", "DE", Empty),
            ("  \t ", "DE", Empty),
            ("+", "DE", Character),
            ("-()", "DE", Character),
            ("++4930123456", "DE", Character),
            ("030 123456 ext 7", "DE", Character),
            ("call me", "DE", Character),
            ("030\u{0}123456", "DE", Character),
            ("\u{0663}0123456", "DE", Character),
            ("4930123456+", "DE", Character),
            ("030 123456", "", NoCountry),
            ("0049 30 123456", "", NoCountry),
            ("030 123456", "ZZ", NoCountry),
            ("+0123456789", "", Length),
            ("+123", "", Length),
            ("+999999", "", Length),
            ("+1 415 555 010", "", Length),
            ("+1 415 555 01000", "", Length),
            ("+9991234567890123", "", Length),
            ("110", "DE", Length),
            ("0", "GB", Length),
            ("00", "GB", Length),
            ("00000000000", "FR", Length),
            ("12345678", "FR", Length),
            (&"1".repeat(41), "DE", TooLong),
        ] {
            check(text, country, Err(error));
        }
    }
}
