//! A fault simulator for the redemption protocol.
//!
//! The decisions are core's own functions (`protocol`, `reward`); around them stands the shell
//! as `edge` runs it, on a virtual clock, with disks that lose what was not committed, a network that loses,
//! doubles, delays and reorders, and alarms that come late, twice or never. A seed is a whole run: who does what
//! when, which of the tasks that could go on does, and where something goes wrong.
//!
//! ```text
//! scenario  what people do           member, shard, campaign, recorder, merchant  the shell of each object
//! draw      what it is made of       pool                     a stock of promo codes, the same
//! shop      what is sold             *_state                  tables
//! step      steps, faults, where     fulfiller                somebody else's server
//! fault     which strikes when       outside                  browsers, administrators
//! meddle    the world changes        oracle                   the invariants
//! world     one run's objects        defect                   mistakes planted to be found
//! platform  turns, commits, crashes  run                      one seed; shrinking
//! network   messages on their way    search                   many seeds
//! alarm     each object's alarm      words                    what the trace says
//! scenario_limits  limits, shards    *_portions               limits that several shards share
//! probe     what is left in the end   oracle_limits            their invariants
//! member_erase  somebody goes         merchant_keys           epochs, and who knows which was revoked
//! ```
//!
//! A message that starts a new party is a variant of `Request`, a new place for faults a `Step`; the table of
//! steps and faults then has a row more, and a run that never hits one of its cells fails.

mod alarm;
mod campaign;
mod campaign_portions;
mod campaign_state;
mod defect;
mod disk;
mod draw;
mod due;
mod event;
mod exec;
mod fault;
mod feed;
mod fulfiller;
mod meddle;
mod member;
mod member_erase;
mod member_holds;
mod member_operate;
mod member_report;
mod member_reward;
mod member_run;
mod member_state;
mod member_till;
mod merchant;
mod merchant_keys;
mod message;
mod network;
mod oracle;
mod oracle_end;
mod oracle_erased;
mod oracle_holds;
mod oracle_keys;
mod oracle_limits;
mod oracle_pool;
mod oracle_reward;
mod outcome;
mod outside;
mod platform;
mod pool;
mod pool_state;
mod portion_store;
mod prng;
mod probe;
mod recorder;
mod run;
mod scenario;
mod scenario_limits;
mod search;
mod shard;
mod shard_portions;
mod shard_state;
mod shop;
mod step;
mod turns;
mod words;
mod world;

pub use defect::Defect;
pub use fault::{Hits, Strike};
pub use outcome::{Outcome, Violation};
pub use run::{Plan, run, shrink};
pub use search::{Found, Summary, search, seeds_until_caught};
pub use step::{Fault, Step};
