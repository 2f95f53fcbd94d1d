//! Where records come from: the port, its Kafka adapter, and files for the offline commands.
//!
//! Owns fetching, group membership and positions. What a record means is `decode`'s; when partitions are
//! given back is `pipeline::cycle`'s. Called by `pipeline::lane` and `cli`.

pub mod assignment;
pub mod audit;
pub mod fair;
pub mod files;
pub mod kafka;
pub mod pattern;
pub mod troubles;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use self::audit::Birth;
use self::troubles::TroubleNote;
use crate::pipeline::definition::Pipeline;

/// Index of a partition in the lane's list of partitions; stable while the lane lives.
pub type PartitionSlot = usize;

/// A record as the source hands it on: borrowed, valid during the call.
pub struct RecordRef<'a> {
    /// Index of the source declaration that the topic belongs to.
    pub source: usize,
    /// The partition it came from.
    pub slot: PartitionSlot,
    /// Topic, or file.
    pub topic: &'a Arc<str>,
    /// Partition; 0 for a file.
    pub partition: i32,
    /// Offset; in a file the index of the record.
    pub offset: i64,
    /// Kafka's timestamp of the record, milliseconds.
    pub timestamp_ms: Option<i64>,
    /// The value; `None` is a tombstone.
    pub payload: Option<&'a [u8]>,
    /// Key and headers, copied only when the record is rejected.
    pub envelope: &'a dyn Envelope,
}

/// The parts of a record that only a reject needs.
pub trait Envelope {
    /// The key.
    fn key(&self) -> Option<Vec<u8>>;
    /// The headers in order, with repeated names.
    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)>;
    /// Whether these are still those of the record.
    fn is_whole(&self) -> bool {
        true
    }
}

/// A record without key and headers.
pub struct NoEnvelope;

impl Envelope for NoEnvelope {
    fn key(&self) -> Option<Vec<u8>> {
        None
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        Vec::new()
    }
}

/// Key and headers that are not at hand any more.
pub struct LostEnvelope;

impl Envelope for LostEnvelope {
    fn key(&self) -> Option<Vec<u8>> {
        None
    }

    fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        Vec::new()
    }

    fn is_whole(&self) -> bool {
        false
    }
}

/// What the group, or the connection, tells the lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Partitions are to be taken; `Source::assign` does it.
    Assigned,
    /// Partitions are to be given back after their work is committed.
    Revoked,
    /// Partitions are gone already.
    Lost,
    /// The source cannot go on; the reason is for the operator.
    Failed(String),
    /// Another process has this one's place in the group; the reason names it.
    Fenced(String),
    /// Something is wrong, and may pass by itself.
    Trouble(String),
    /// Whether any broker answers has changed.
    Answering(bool),
    /// What is wrong with topics and partitions has changed: all of it.
    Troubles(Vec<TroubleNote>),
}

/// Where a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Next offset to read.
    pub next: i64,
    /// What the group has committed, as far as this lane knows.
    pub committed: Option<i64>,
    /// End of what read-committed readers see, when known.
    pub end: Option<i64>,
    /// Records behind that end, kept from readers by a transaction that is open.
    pub held_back: u64,
    /// Offsets between what is committed (or read, before the first commit) and that end, when something among them may
    /// still be read; 0 when nothing is.
    pub lag: Option<u64>,
    /// Whether it is not read, as something is wrong with it.
    pub held: bool,
    /// Why nothing can be read from `next` on.
    pub blocked: Option<Arc<str>>,
}

/// Why a source could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// A topic has no committed offset, and its source does not say where to begin.
    #[error(
        "the group `{group}` has no committed offset for {topic}/{partition}, and the source `{source_id}` does not say where to begin; set `start = \"earliest\"` or `\"latest\"` in its [[source]]"
    )]
    NoStart {
        /// Consumer group.
        group: String,
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Source.
        source_id: String,
    },
    /// What the lane believes is committed and what the broker says cannot both be right.
    #[error(
        "{topic}/{partition}: {what}; the lane stops, as going on could lose or double alerts: see docs/guarantees.md"
    )]
    Contradiction {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// The difference.
        what: String,
    },
    /// Kafka refused or did not answer.
    #[error("{what}: {why}")]
    Kafka {
        /// What was asked.
        what: &'static str,
        /// The answer.
        why: String,
    },
}

/// A source of records that can go back.
///
/// All calls come from one thread, the lane's. `assign` and `unassign` carry out what the last notice of that
/// kind was about. `rewind` moves every partition to what the group has committed, or to where the lane began.
pub trait Source {
    /// What the sink needs to commit this group's offsets.
    type Group: Send + 'static;

    /// Waits up to `timeout` for the first record, then hands on what is there, at most `records_max` and until
    /// `take` breaks; returns early with notices.
    fn poll(
        &mut self,
        timeout: Duration,
        records_max: usize,
        take: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Vec<Notice>;
    /// The partitions that the last `Assigned`, `Revoked` or `Lost` is about, until that is carried out.
    fn moving(&self) -> Vec<(Arc<str>, i32)> {
        Vec::new()
    }
    /// Takes the partitions of the last `Assigned`.
    fn assign(&mut self) -> Result<(), SourceError>;
    /// Gives back the partitions of the last `Revoked` or `Lost`.
    fn unassign(&mut self) -> Result<(), SourceError>;
    /// Goes back to what is committed. `epoch` is the one that the sink had last; with `unknown`, nobody knows whether
    /// it was committed, and what the broker says of it is believed.
    fn rewind(&mut self, epoch: u64, unknown: bool) -> Result<(), SourceError>;
    /// Compares what the lane believes is committed, up to this epoch, with what the broker says.
    fn audit(&mut self, epoch: u64) -> Result<(), SourceError>;
    /// Stops fetching without leaving the group.
    fn pause(&mut self) -> Result<(), SourceError>;
    /// Fetches again.
    fn resume(&mut self) -> Result<(), SourceError>;
    /// From here on the records of these sources, and of no others, are not read; where their partitions stand is kept.
    fn hold(&mut self, sources: &BTreeSet<usize>) -> Result<(), SourceError>;
    /// Whether a topic that is written to is certainly not there. No answer is none.
    fn lacks(&mut self, _topic: &str) -> bool {
        false
    }
    /// From here on records belong to the sources of this pipeline; topics that it reads in addition are subscribed to,
    /// those that it no longer reads are given up. Called while nothing is open and nothing in flight.
    fn declare(&mut self, _pipeline: &Arc<Pipeline>) -> Result<(), SourceError> {
        Ok(())
    }
    /// Before the source is dropped for good: waits, at most this long, until the group is at rest. A member that
    /// leaves in the middle of a rebalance stays behind as a dead one, and the others wait for it.
    fn settle(&mut self, _patience: Duration) {}
    /// The group's identity right now, for the fence.
    fn group(&self) -> Option<Self::Group>;
    /// With what the group began on a partition, for the stamp of its offsets.
    fn birth(&self, _topic: &str, _partition: i32) -> Option<Birth> {
        None
    }
    /// Notes that the sink has committed these offsets.
    fn committed(&mut self, offsets: &[(Arc<str>, i32, i64)]);
    /// Where the partitions stand, those that are held among them.
    fn status(&self) -> Vec<PartitionStatus>;
}
