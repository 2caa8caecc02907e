//! A fault simulator for the redemption protocol.
//!
//! The decisions are core's own functions, `protocol::member` and `protocol::shard`; around them stands the shell
//! as `edge` runs it, on a virtual clock, with disks that lose what was not committed, a network that loses,
//! doubles, delays and reorders, and alarms that come late, twice or never. A seed is a whole run: who does what
//! when, which of the tasks that could go on does, and where something goes wrong.
//!
//! ```text
//! scenario  what people do          member, shard, campaign  the shell of each object
//! fault     what goes wrong, where  *_state                  its tables
//! world     one run's objects       oracle                   the invariants
//! platform  turns, commits, crashes defect                   mistakes planted to be found
//! network   messages on their way   run                      one seed; shrinking
//! alarm     each object's alarm     search                   many seeds
//! ```
//!
//! A message that starts a new party is a variant of `Request`, a new place for faults a `Step`; the table of
//! steps and faults then has a row more, and a run that never hits one of its cells fails.

mod alarm;
mod campaign;
mod campaign_state;
mod defect;
mod disk;
mod due;
mod event;
mod exec;
mod fault;
mod feed;
mod member;
mod member_run;
mod member_state;
mod message;
mod network;
mod oracle;
mod outcome;
mod outside;
mod platform;
mod prng;
mod run;
mod scenario;
mod search;
mod shard;
mod shard_state;
mod world;

pub use defect::Defect;
pub use fault::{Fault, Hits, Step, Strike};
pub use outcome::{Outcome, Violation};
pub use run::{Plan, run, shrink};
pub use search::{Found, Summary, search, seeds_until_caught};
