//! A deterministic simulation of everything between the input and the output topics: many processes with their lanes
//! on a broker in memory, in virtual time, under faults that a seed decides.
//!
//! The code under test is the real one: `pipeline::lane` with its cycle and open epoch, the engine with a rule,
//! `sink::carry` with `sink::transaction`, `source::assignment`, `source::audit`. What is simulated mirrors the two
//! Kafka adapters and the client library under them. Compiled for tests only.
//!
//! `NOROSHI_SIM_SEEDS=10000 cargo test --lib sim::seeds` runs more seeds, `NOROSHI_SIM_SEED=42 cargo test --lib
//! sim::one_seed -- --nocapture` runs one and prints its trace.

mod broker;
mod client;
mod group;
mod oracle;
mod plan;
mod producer;
mod rng;
mod state;
mod tests;
mod workload;
mod world;

use std::time::Duration;

/// Virtual milliseconds.
type Millis = u64;
/// Index of a lane's life.
type LaneId = usize;

fn millis(duration: Duration) -> Millis {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
