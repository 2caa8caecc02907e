//! The code format: reading, parity, repair, and the text form. Needs no key and no network.
//!
//! Normative source: the code format document; its worked vectors are tests of this crate.
//!
//! The ladder of proofs: raw text → [`WellFormedCode`] (typing errors excluded; a browser can do this)
//! → [`AuthenticCode`](crate::keys::AuthenticCode) (tag verified; needs a key). Rules accept only the last.

mod correct;
mod fields;
mod gf32;
mod parity;
mod profile;
mod read;
mod typing;
mod word;

pub use correct::{Changed, Correction, Mode, Suggestion, suggest};
pub use fields::{CodeSymbols, CodeText, Fields, WellFormedCode};
pub use profile::{PARITY_SYMBOLS, Profile, SYMBOLS_MAX};
pub use read::{CodeError, Reading, SCALARS_MAX};
pub use typing::{Formatted, format};

/// The character of a symbol's value (taken modulo 32).
#[must_use]
pub fn symbol(value: u8) -> u8 {
    fields::letter(value)
}

/// Accepts a text that is a code exactly as it stands (after the lenient reading of case, separators and
/// look-alikes). Anything that would need a correction is an error: correcting is [`suggest`]'s work, and a
/// person's decision.
///
/// # Errors
/// The first stage that fails names what it found and where; see [`CodeError`].
pub fn check(text: &str) -> Result<WellFormedCode, CodeError> {
    WellFormedCode::from_reading(&Reading::of(text)?)
}
