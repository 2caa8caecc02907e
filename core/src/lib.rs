//! What is true without a browser or a Worker: the code format, keys, rules and redemption decisions.
//!
//! No I/O, no clock, no randomness, no async: time, randomness and keys are arguments. Start at
//! `core/ARCHITECTURE.md`; the code format begins in [`code`], a redemption in [`protocol`].

pub mod access;
pub mod adjustment;
pub mod alias;
pub mod api_key;
pub mod audit;
pub mod breaker;
pub mod calendar;
pub mod checkout;
pub mod code;
pub mod explain;
pub mod exposition;
pub mod hex;
pub mod ids;
pub mod json;
pub mod jwk;
pub mod keys;
pub mod limits;
pub mod permute;
pub mod phone;
pub mod price;
pub mod protocol;
pub mod quote;
pub mod ranges;
pub mod rate_limit;
pub mod refusal;
pub mod reward;
pub mod rules;
pub mod search;
mod short_mac;
pub mod throttle;
pub mod time;
pub mod token;
pub mod upload;
pub mod verify;
pub mod wallet;
pub mod webhook;
pub mod wire;
pub mod words;
