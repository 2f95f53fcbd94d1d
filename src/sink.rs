//! Where alerts and rejects go: one Kafka transaction an epoch.
//!
//! Owns the transactional producer, the outcome of its calls, routing and the dead-letter record. What is in
//! an alert is `detect`'s, when an epoch ends is `pipeline::cycle`'s.

pub mod carry;
pub mod dead_letter;
pub mod kafka;
pub mod replay;
pub mod route;
pub mod transaction;

use std::sync::Arc;
use std::time::Duration;

/// A header: name, value.
pub type Header = (String, Option<Vec<u8>>);

/// One record to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Topic.
    pub topic: Arc<str>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value; `None` stays a null value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<Header>,
    /// Timestamp in milliseconds; `None` is now.
    pub timestamp_ms: Option<i64>,
}

/// What one transaction holds: alerts, rejects, offsets (and, once there is state, its changes).
#[derive(Debug)]
pub struct Epoch<G> {
    /// Number, from 1 in each life of a lane.
    pub number: u64,
    /// Alerts and rejects, in the order of their records.
    pub outputs: Vec<Output>,
    /// Next offset to read of each partition that records came from.
    pub offsets: Vec<(Arc<str>, i32, i64)>,
    /// What stands beside each of these offsets: who committed it, and in which epoch.
    pub stamps: Vec<String>,
    /// The group's identity at the time of sealing.
    pub group: Option<G>,
    /// Each output is sent by itself, so that none is refused for what it shares a batch with.
    pub apart: bool,
    /// So many times half as large as the configuration says are the batches that the outputs are sent in.
    pub batches_halved: u32,
}

/// What the brokers refuse an epoch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An output to this topic, for itself: it is invalid.
    Record(Arc<str>),
    /// An output to this topic, or the batch that it was sent in: it is too large.
    Size(Arc<str>),
    /// This topic: no right to write to it, or it is not there.
    Topic(Arc<str>),
    /// Its outputs were not delivered in the time that a transaction has.
    TooSlow,
}

/// Why an epoch was refused: the same again would end the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it was refused for.
    pub cause: Cause,
    /// For the operator: what happened, and what to do.
    pub why: String,
}

/// How an epoch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EpochEnd {
    /// All of it is visible.
    Committed,
    /// None of it is visible, for a reason that may pass.
    Rewound(String),
    /// None of it is visible, for what is in it or where it goes.
    Refused(Refusal),
    /// It was not known, and the producer has been replaced: what the group has committed is the truth.
    Unknown(String),
    /// Another process has taken over this lane's identity.
    Fenced(String),
    /// It cannot go on; the reason is for the operator.
    Failed(String),
}

/// The outcome of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which epoch.
    pub number: u64,
    /// How it ended.
    pub end: EpochEnd,
    /// What was committed, when it was.
    pub offsets: Vec<(Arc<str>, i32, i64)>,
    /// How long the transaction took.
    pub took: Duration,
    /// Calls that were made again.
    pub retries: u32,
    /// Whether the producer was replaced.
    pub replaced: bool,
    /// Whether anything about the producer was in doubt: what is believed is to be compared with the broker.
    pub doubtful: bool,
}

/// A sink that publishes epochs one after the other, each whole or not at all.
pub trait Sink<G> {
    /// Hands over an epoch; at most one is under way.
    fn submit(&mut self, epoch: Epoch<G>);
    /// Waits up to `timeout` for the outcome of the epoch under way.
    fn ended(&mut self, timeout: Duration) -> Option<Ended>;
}
