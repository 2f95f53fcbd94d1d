//! Where alerts and rejects go: one Kafka transaction an epoch.
//!
//! Owns the transactional producer, the outcome of its calls, routing and the dead-letter record. What is in
//! an alert is `detect`'s, when an epoch ends is `pipeline::cycle`'s.

pub mod transaction;
