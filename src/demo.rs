//! The demonstration: telemetry of three made-up organisations with an attack hidden in it, and the view that
//! shows what the engine finds.
//!
//! Owns the telemetry, the view, the broker inside the process, and the pipeline built into the program.
//! Nothing of the engine is here: `cli::demo` ties them together, and the path of the data is that of `run`.
//! The view also serves other commands that run for long.

pub mod broker;
mod clock;
pub mod telemetry;
#[cfg(test)]
pub mod tests;
pub mod view;

/// `pipelines/demo/pipeline.toml`.
pub const PIPELINE: &str = include_str!("../pipelines/demo/pipeline.toml");

/// The stock rules and the demo's own: path and text.
pub const RULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/stock_rules.rs"));
