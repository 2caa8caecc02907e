//! The vectors as wasm, in a browser.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::panic, reason = "a failing test")]

use wasm_bindgen_test::wasm_bindgen_test;

wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen_test]
fn every_published_vector_holds() {
    for (name, text) in counterfoil_vectors::FILES {
        match counterfoil_vectors::run(name, text) {
            Ok(cases) => wasm_bindgen_test::console_log!("{name}: {cases} cases"),
            Err(failures) => panic!("{name}:\n{failures}"),
        }
    }
}
