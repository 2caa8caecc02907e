//! The exports, run as WebAssembly in Node: `wasm-pack test --node sdk --test node`.

#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod cases;
