//! Records as an engine takes them, where no source hands them on.

use std::sync::Arc;

use noroshi::source::{NoEnvelope, RecordRef};

/// A record of the only source.
pub fn of<'a>(topic: &'a Arc<str>, offset: i64, payload: &'a [u8]) -> RecordRef<'a> {
    RecordRef {
        source: 0,
        slot: 0,
        topic,
        partition: 0,
        offset,
        timestamp_ms: None,
        payload: Some(payload),
        envelope: &NoEnvelope,
    }
}
