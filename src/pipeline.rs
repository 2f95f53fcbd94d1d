//! What ties the stages together: the pipeline folder, the engine, the lane with its epoch cycle.
//!
//! Owns the order of things. The stages own what is done to the data; `source` and `sink` own Kafka.

pub mod clock;
pub mod cycle;
pub mod definition;
pub mod engine;
pub mod flood;
pub mod lane;
pub mod load;
mod open;
mod outlets;
pub mod refusals;
pub mod reload;
pub mod service;
pub mod slot;
pub mod watch;
