//! The demonstration: telemetry of three made-up organisations with an attack hidden in it, and the view that
//! shows what the engine finds.
//!
//! Owns the telemetry, the view and nothing of the engine: `cli` ties them to the pipeline. The view also
//! serves other commands that run for long.

mod clock;
pub mod telemetry;
pub mod view;
