//! Rows of tables → alerts.
//!
//! Owns what happens between a batch of rows and the sink: which rules could match, running their plans, and
//! the alert that a result becomes. Reading and refusing rules is `rules`', transactions are `sink`'s. Called
//! by `pipeline::engine` and the offline commands.

pub mod alert;
pub mod attack;
mod evidence;
pub mod flood;
pub mod guard;
mod index;
pub mod own;
pub mod parked;
pub mod profile;
pub mod run;
pub mod sample;

pub use index::{cost, explain, trace};
