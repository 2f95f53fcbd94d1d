//! What the process tells of itself: metrics, logs, health.
//!
//! Owns the registry of metrics, the set-up of logs, and the state behind `/live`, `/ready` and `/status`. Serving
//! them is left to `api`; the pipeline's threads write them.

pub mod health;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod panics;

pub use health::Health;
pub use metrics::Metrics;
