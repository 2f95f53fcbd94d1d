//! The vocabulary that every stage shares: organisation, source, position.
//!
//! Owns no behaviour beyond naming, display and the machine's clock. Nothing here comes from the bytes of an event (I-4):
//! organisations and sources are configuration, positions are Kafka's (or a file's).

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01T00:00:00Z: the unit of every time inside the engine.
pub type TimeMicros = i64;

/// The machine's clock. Nothing that reaches an alert's identity is decided by it.
pub fn wall_clock() -> TimeMicros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeMicros::try_from(since.as_micros()).unwrap_or(TimeMicros::MAX)
}

/// An organisation that telemetry belongs to. Always from configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrgId(Arc<str>);

impl OrgId {
    /// Wraps an identifier that configuration has validated.
    pub fn new(id: &str) -> Self {
        Self(Arc::from(id))
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrgId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an event stands in the input: Kafka's topic, partition and offset, and the event's index inside
/// that record. In `scan` the topic is the file and the offset the record's index in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// Topic, or file.
    pub topic: Arc<str>,
    /// Partition; 0 for a file.
    pub partition: i32,
    /// Offset; in a file the 0-based index of the record.
    pub offset: i64,
    /// 0-based index of the event within the record.
    pub index: u32,
}

impl fmt::Display for Position {
    /// `topic/partition/offset/index`: the form that alert ids are computed from, so it never changes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.topic, self.partition, self.offset, self.index)
    }
}

/// Lower-case hexadecimal digits: how versions, ids and hashes are written everywhere.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| DIGITS.get(usize::from(nibble)))
        .collect()
}
