//! The life of a reward: which moves are legal, and what each of them does.
//!
//! ```text
//! machine   the table of legal moves, and nothing else
//! record    a reward as its Member keeps it, and its delivery
//! work      the changes of one commit, collected
//! life      given, claimed, activated, declined, deleted, ended by the clock
//! delivery  a try at the external fulfiller: begun, ended, answered late
//! recovery  what operators do: retry, resolve, reset, and what follows for the redemption
//! erasure   what becomes of it all when the member is erased
//! ```
//!
//! Everything is plain: what the Member has read in, what one commit writes out.

pub mod delivery;
pub mod erasure;
pub mod life;
pub mod machine;
pub mod record;
pub mod recovery;
pub mod work;

#[cfg(test)]
mod tests;

pub use machine::{By, MOVES, Move};
pub use record::{Actor, Delivery, RewardRecord};
pub use work::{Changes, Refused, View};
