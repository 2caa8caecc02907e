//! The code checker alone: what checking a code in a browser weighs without a client, bindings or an allocator.
//!
//! The page writes a string's UTF-16 units at [`text`], calls [`check`] with their number and reads the answer. It is
//! the measure of P5 and at the same time an example of the smallest possible embedding.
#![allow(unsafe_code, reason = "exported names and a buffer that the page writes into")]

use core::cell::UnsafeCell;
use counterfoil_core::code::{Reading, SCALARS_MAX, WellFormedCode};

/// Two units for every scalar value, and one more that proves the text too long.
const UNITS_MAX: usize = SCALARS_MAX * 2 + 1;

/// The text to check, written by the page.
struct Text(UnsafeCell<[u16; UNITS_MAX]>);

// SAFETY: wasm without threads has one caller at a time.
unsafe impl Sync for Text {}

static TEXT: Text = Text(UnsafeCell::new([0; UNITS_MAX]));

/// Where the page writes the text: up to 129 UTF-16 units; whatever is longer is no code.
#[unsafe(no_mangle)]
pub extern "C" fn text() -> *mut u16 {
    TEXT.0.get().cast()
}

/// Checks the first `length` units of the text: 0 for a clean code; else 1 and, in the higher bits, 1 + the position
/// of the symbol in question where there is one.
#[unsafe(no_mangle)]
pub extern "C" fn check(length: usize) -> u32 {
    // SAFETY: the page writes between calls, never during one.
    let units = unsafe { &*TEXT.0.get() };
    let chars =
        char::decode_utf16(units.iter().copied().take(length)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    match Reading::of_chars(chars).and_then(|reading| WellFormedCode::from_reading(&reading)) {
        Ok(_) => 0,
        Err(error) => {
            let position = error.position().and_then(|position| u32::try_from(position + 1).ok());
            1 | position.unwrap_or(0) << 1
        }
    }
}
