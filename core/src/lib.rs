//! What is true without a browser or a Worker: the code format, keys, rules and redemption decisions.
//!
//! No I/O, no clock, no randomness, no async: time, randomness and keys are arguments. Start at
//! `core/ARCHITECTURE.md`; the code format begins in [`code`], a redemption in [`protocol`].

pub mod code;
pub mod hex;
pub mod keys;
pub mod permute;
pub mod words;
