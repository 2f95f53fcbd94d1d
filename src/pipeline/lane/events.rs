//! What a lane tells whoever watches it.
//!
//! Owns the port and the notes that go through it; what is made of them is `pipeline::watch`'s. Called by the parent.

use std::sync::Arc;
use std::time::Duration;

use crate::pipeline::cycle::{Exit, Millis};
use crate::pipeline::engine::Tally;
use crate::pipeline::slot::Generation;
use crate::record::TimeMicros;
use crate::sink::Ended;
use crate::source::PartitionStatus;
use crate::source::troubles::TroubleNote;

/// What a lane tells whoever watches: metrics, health, the demo's view. Called on the lane's thread; must not
/// block.
pub trait LaneEvents {
    /// The loop turns.
    fn beat(&mut self, _partitions: &dyn Fn() -> Vec<PartitionStatus>, _open_bytes: u64) {}
    /// An epoch ended; with what was in it.
    fn ended(&mut self, _ended: &Ended, _tally: &Tally, _findings: &[FindingNote], _age: Duration) {}
    /// Open work was thrown away; its records will be read again.
    fn discarded(&mut self, _records: u64) {}
    /// The group moves these partitions: `assigned`, `revoked` or `lost`.
    fn rebalanced(&mut self, _kind: &'static str, _moved: &[(Arc<str>, i32)]) {}
    /// The source was paused or resumed.
    fn paused(&mut self, _paused: bool) {}
    /// Something went wrong; the lane goes on.
    fn trouble(&mut self, _what: &str) {}
    /// Whether any broker answers has changed.
    fn answering(&mut self, _answering: bool) {}
    /// The partitions in which rejects flood are others now.
    fn flooded(&mut self, _flooded: &[FloodNote]) {}
    /// What is wrong with topics and partitions has changed; all of it.
    fn troubled(&mut self, _troubles: &[TroubleNote]) {}
    /// Something has changed about the organisations that wait for a right or a topic; these are all. Of those that are
    /// none of them any more, `over` says why.
    fn parked(&mut self, _parked: &[ParkNote], _over: Over) {}
    /// From here on the lane runs another rule set: what ended before was of the former one.
    fn adopted(&mut self, _generation: &Generation) {}
    /// It was asked to stop.
    fn stopping(&mut self) {}
    /// It has ended.
    fn left(&mut self, _exit: &Exit) {}
}

/// What watchers learn of a finding.
#[derive(Debug, Clone)]
pub struct FindingNote {
    /// Index of the rule.
    pub rule: usize,
    /// Index of the source.
    pub source: usize,
    /// When the event happened.
    pub event_time: TimeMicros,
    /// The rule's output.
    pub output: serde_json::Map<String, serde_json::Value>,
}

/// What watchers learn of a partition in which rejects flood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloodNote {
    /// Index of the source.
    pub source: usize,
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
}

/// Why an organisation is not parked any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// It was tried again, and something of it has been published.
    Published,
    /// The changed pipeline does not write to the topic that it waited for.
    Changed,
}

/// What watchers learn of an organisation that is parked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkNote {
    /// Index of the organisation.
    pub organisation: usize,
    /// The topic that may not be written to.
    pub topic: Arc<str>,
    /// Why, and what to do.
    pub why: String,
    /// It is tried again in so many milliseconds; `None` while it is, until something of it has been published.
    pub retry_ms: Option<Millis>,
}
