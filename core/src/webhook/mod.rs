//! Webhooks by Standard Webhooks 1.0.0: signing and verifying, where they may go, when they are tried again, and
//! what a fulfiller's answer means. Plain functions: the shell sends, and passes the clock and the randomness.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

pub mod outcome;
pub mod schedule;
mod signature;
pub mod target;

pub use outcome::Outcome;
pub use signature::{SECRET_BYTES, Secret, SecretError, SignatureError, Signed, sign, verify};

/// Name of the header that carries the message's id, the same on every try.
pub const ID_HEADER: &str = "webhook-id";
/// Name of the header that carries the seconds since 1970 at which this try was signed.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Name of the header that carries the signatures, with spaces between them.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
