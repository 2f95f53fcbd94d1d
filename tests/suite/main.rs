//! Tests of the public surface, in one binary: linking DataFusion once is enough.

mod cli;
#[path = "../../src/committed.rs"]
mod committed;
mod data;
mod delivery;
mod dlq;
mod faults;
mod formats;
mod fuzz;
mod guards;
mod kafka;
mod limits;
mod mock;
mod ocsf;
mod oracle;
mod process;
mod refusals;
mod reload;
mod rights;
mod routing;
mod security;
mod sigma;
mod stopping;
mod surroundings;
#[cfg(target_os = "linux")]
mod terminal;
mod tidy;
mod troubles;
