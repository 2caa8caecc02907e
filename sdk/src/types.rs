//! What crosses into JavaScript. The `.d.ts` in `generated/` is derived from these.

use counterfoil_core::code::{self, CodeError, Profile, WellFormedCode};
use serde::Serialize;
use tsify::Tsify;

/// A text as the input field should show it.
#[derive(Debug, Serialize, Tsify)]
pub struct FormattedCode {
    /// Grouped, upper case; characters that cannot be part of a code stay, so that they can be marked.
    pub text: String,
    /// Where the caret belongs in `text`, in UTF-16 units.
    pub caret: u32,
    /// Symbols typed so far, wrong and unreadable ones included.
    pub symbols: u32,
    /// As many symbols as the profile asks for.
    pub complete: bool,
    /// What the first symbol asks for, where it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[tsify(type = "\"S20\" | \"S16\" | \"S25\"")]
    pub profile: Option<&'static str>,
}

/// What a check found: the fields of a code, or where the text stops being one.
#[derive(Debug, Serialize, Tsify)]
#[serde(untagged)]
pub enum CheckedCode {
    /// A code, well formed; whether it is genuine only the edge can tell.
    WellFormed {
        /// Always true; the union's tag.
        #[tsify(type = "true")]
        ok: bool,
        /// Profile of the code.
        #[tsify(type = "\"S20\" | \"S16\" | \"S25\"")]
        profile: &'static str,
        /// Key epoch, 0–7.
        epoch: u8,
        /// Campaign number.
        campaign: u16,
        /// Serial; hides the order of minting.
        serial: u32,
        /// The text in its canonical form.
        canonical: String,
    },
    /// Not a code as it stands.
    Malformed {
        /// Always false; the union's tag.
        #[tsify(type = "false")]
        ok: bool,
        /// Stable snake_case name of what is wrong.
        reason: &'static str,
        /// Symbol (from 0, separators not counted) where it stands, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        position: Option<u32>,
    },
}

/// A code the person may have meant.
#[derive(Debug, Serialize, Tsify)]
pub struct Suggestion {
    /// Its canonical text.
    pub code: String,
    /// The slip it assumes.
    pub correction: &'static str,
    /// Symbols of it (from 0, separators not counted) that differ from what was typed.
    pub changed: Vec<u32>,
    /// No parity was left to confirm it: it may well be wrong.
    pub unverified: bool,
}

impl From<code::Formatted> for FormattedCode {
    fn from(formatted: code::Formatted) -> Self {
        let code::Formatted { text, caret, symbols, profile, complete } = formatted;
        Self { text, caret: small(caret), symbols: small(symbols), complete, profile: profile.map(Profile::name) }
    }
}

impl From<Result<WellFormedCode, CodeError>> for CheckedCode {
    fn from(checked: Result<WellFormedCode, CodeError>) -> Self {
        match checked {
            Ok(code) => Self::WellFormed {
                ok: true,
                profile: code.profile().name(),
                epoch: code.epoch(),
                campaign: code.campaign(),
                serial: code.serial(),
                canonical: code.canonical().as_str().to_owned(),
            },
            Err(error) => Self::Malformed { ok: false, reason: error.reason(), position: error.position().map(small) },
        }
    }
}

impl From<code::Suggestion> for Suggestion {
    fn from(suggestion: code::Suggestion) -> Self {
        Self {
            code: suggestion.code().canonical().as_str().to_owned(),
            correction: suggestion.correction().name(),
            changed: suggestion.changed().iter().map(small).collect(),
            unverified: suggestion.unverified(),
        }
    }
}

/// Positions and counts; texts are far shorter than what would not fit.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
