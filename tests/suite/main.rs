//! Tests of the public surface, in one binary: linking DataFusion once is enough.

mod cli;
#[path = "../../src/committed.rs"]
mod committed;
mod delivery;
mod dlq;
mod faults;
mod formats;
mod kafka;
mod limits;
mod ocsf;
mod oracle;
mod process;
mod reload;
mod routing;
mod security;
mod stopping;
#[cfg(target_os = "linux")]
mod terminal;
mod tidy;
