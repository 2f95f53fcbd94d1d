//! Noroshi: a streaming detection engine.
//!
//! ```text
//!         ┌────────────────────── pipeline: one loop owns the epoch ──────────────────────┐
//! Kafka → source → decode → normalise → detect (DataFusion on the rows of a table) → sink → Kafka
//!                                          ▲
//!                                        rules
//! beside it: config · observe · api · cli
//! ```
//!
//! The modules in reading order; `ARCHITECTURE.md` has the invariants (I-1 …) and where each is tested.

#[cfg(test)]
mod committed;

#[cfg(test)]
mod sim;

// The vocabulary.
pub mod record;

pub mod printable;

pub mod diagnostic;

pub mod document;

// The way of the data.
pub mod source;

pub mod decode;

pub mod normalise;

pub mod rules;

pub mod detect;

pub mod sink;

pub mod pipeline;

// Beside it.
pub mod config;

pub mod observe;

pub mod api;

pub mod cli;

pub mod demo;
