//! Tests of the public surface, in one binary: linking DataFusion once is enough.

mod delivery;
mod kafka;
mod ocsf;
mod oracle;
mod process;
mod security;
mod stopping;
