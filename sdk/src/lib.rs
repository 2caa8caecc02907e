//! The code format of Counterfoil in the browser: format while typing, check, suggest.
//!
//! Thin on purpose: convert, call [`counterfoil_core::code`], convert back. No keys, no network, no state.
//! The TypeScript in `ts/` makes the npm package of it; the types there are those derived here.

mod types;

use counterfoil_core::code::{self, Mode};
use tsify::Ts;
use wasm_bindgen::prelude::*;

/// Small and simple instead of fast: a call makes a handful of short strings.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: lol_alloc::LockedAllocator<lol_alloc::FreeListAllocator> =
    lol_alloc::LockedAllocator::new(lol_alloc::FreeListAllocator::new());

pub use types::{CheckedCode, FormattedCode, Suggestion};

/// Groups what has been typed so far. `caret` is in UTF-16 units, as inputs count, and comes back where the
/// person left it.
///
/// # Errors
/// Only when the answer cannot be made into a JavaScript value: an `Error` with `name` and `code`.
#[wasm_bindgen]
pub fn format_code(text: &str, caret: usize) -> Result<Ts<FormattedCode>, JsValue> {
    cross(&FormattedCode::from(code::format(text, caret)))
}

/// Checks whether a text is a code exactly as it stands, apart from case, separators and look-alikes.
///
/// # Errors
/// As [`format_code`]. A text that is no code is an answer (`ok: false`), not an error.
#[wasm_bindgen]
pub fn check_code(text: &str) -> Result<Ts<CheckedCode>, JsValue> {
    cross(&CheckedCode::from(code::check(text)))
}

/// The code that was probably meant, when a typing error explains the text. With `typing`, a text that is
/// only too short so far gets none.
///
/// # Errors
/// As [`format_code`].
#[wasm_bindgen]
pub fn suggest_code(text: &str, typing: bool) -> Result<Option<Ts<Suggestion>>, JsValue> {
    let mode = if typing { Mode::Typing } else { Mode::Complete };
    code::suggest(text, mode).map(|suggestion| cross(&Suggestion::from(suggestion))).transpose()
}

fn cross<T: tsify::Tsify + serde::Serialize>(value: &T) -> Result<Ts<T>, JsValue> {
    serde_wasm_bindgen::to_value(value).map(Ts::new_unchecked).map_err(|_| not_crossed())
}

/// An `Error` with the `name` and a `code` of the package's own errors. No shape of this crate leads here.
fn not_crossed() -> JsValue {
    let error = js_sys::Error::new("The answer could not be made into a JavaScript value.");
    error.set_name("CounterfoilError");
    // Setting a property of a fresh error cannot fail.
    let _ = js_sys::Reflect::set(&error, &"code".into(), &"unexpected_answer".into());
    error.into()
}
