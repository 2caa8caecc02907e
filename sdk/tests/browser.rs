//! The exports, run as WebAssembly in a browser: `wasm-pack test --headless --chrome sdk --test browser`.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod cases;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
