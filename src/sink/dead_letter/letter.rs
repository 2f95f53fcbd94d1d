//! What lies in a dead-letter topic, read back: a reject, the mark that one was sent in again, or something foreign.
//!
//! Owns telling them apart, and the selection of some. The parent writes what is read here. Called by `sink::replay` and
//! `cli::dlq`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{
    CODE, ENVELOPE_BYTES, ID, MESSAGE, OFFSET, ORG_ID, PARTITION, REJECT_ATTEMPT, SOURCE, TOPIC, VALUE_BYTES,
    VALUE_SHA256, VERSION,
};
use crate::sink::Header;

/// The header of the mark that a reject was sent in again: the reject's position in the dead-letter topic.
const REPLAYED: &str = "noroshi-replayed";

/// A record of a dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Timestamp in milliseconds: the original's.
    pub timestamp_ms: Option<i64>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<Header>,
}

impl Stored {
    /// `topic/partition/offset`.
    pub fn position(&self) -> String {
        format!("{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// What a reject says of itself, from the headers that were added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// `topic/partition/offset` of the record that was rejected.
    pub id: String,
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Whose it is.
    pub org_id: String,
    /// The source.
    pub source: String,
    /// Why it was rejected.
    pub code: String,
    /// The same for people.
    pub reason: String,
    /// Which attempt that was.
    pub attempt: u32,
    /// Version of the program that rejected it.
    pub version: String,
    /// When the value was cut: the length of the whole, and its SHA-256.
    pub cut: Option<(String, String)>,
    /// When key or headers were left out: their size in bytes, or `unknown`.
    pub envelope_lost: Option<String>,
    /// How many headers are the original's; the others were added.
    pub headers: usize,
}

/// A record of a dead-letter topic, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A reject.
    Letter(Box<Letter>),
    /// The reject at this offset of the same partition was sent in again.
    Replayed(i64),
    /// Something that we have not written.
    Foreign,
}

/// Reads a record. What an original header says is never believed: those that were added stand behind all others.
pub fn read(stored: &Stored) -> Entry {
    let added = stored.headers.iter().rposition(|(name, _)| name == TOPIC);
    let Some(at) = added else { return replayed(stored).map_or(Entry::Foreign, Entry::Replayed) };
    let added = stored.headers.get(at..).unwrap_or_default();
    let find = |wanted: &str| {
        let found = added.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.as_deref());
        found.map(|value| String::from_utf8_lossy(value).into_owned())
    };
    let text = |wanted: &str| find(wanted).unwrap_or_default();
    let place = || Some((find(PARTITION)?.parse().ok()?, find(OFFSET)?.parse().ok()?));
    let (Some((partition, offset)), Some(code), Some(id)) = (place(), find(CODE), find(ID)) else {
        return Entry::Foreign;
    };
    Entry::Letter(Box::new(Letter {
        id,
        topic: text(TOPIC),
        partition,
        offset,
        org_id: text(ORG_ID),
        source: text(SOURCE),
        code,
        reason: text(MESSAGE),
        attempt: find(REJECT_ATTEMPT).and_then(|said| said.parse().ok()).unwrap_or(1).max(1),
        version: text(VERSION),
        cut: find(VALUE_BYTES).map(|bytes| (bytes, text(VALUE_SHA256))),
        envelope_lost: find(ENVELOPE_BYTES),
        headers: at,
    }))
}

/// The mark's headers and key. It lies in the partition of the reject that it is about, behind it: so retention takes it
/// later than the reject.
pub fn mark(stored: &Stored, letter: &Letter) -> (Vec<u8>, Vec<Header>) {
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    let position = stored.position();
    let headers = vec![
        header(REPLAYED, &position),
        header(ORG_ID, &letter.org_id),
        header(SOURCE, &letter.source),
        header(VERSION, env!("CARGO_PKG_VERSION")),
    ];
    (position.into_bytes(), headers)
}

fn replayed(stored: &Stored) -> Option<i64> {
    let (_, value) = stored.headers.iter().find(|(name, _)| name == REPLAYED)?;
    let position = std::str::from_utf8(value.as_deref()?).ok()?;
    let offset = position.strip_prefix(&format!("{}/{}/", stored.topic, stored.partition))?;
    offset.parse().ok().filter(|offset| stored.value.is_none() && *offset < stored.offset)
}

/// Offsets of one partition, kept as ranges: a replay of a whole topic is one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offsets(BTreeMap<i64, i64>);

impl Offsets {
    /// Adds one.
    pub fn insert(&mut self, offset: i64) {
        if self.contains(offset) {
            return;
        }
        let end = self.0.remove(&(offset + 1)).unwrap_or(offset + 1);
        let before = self.0.range(..=offset).next_back().map(|(start, end)| (*start, *end));
        let start = before.filter(|(_, before)| *before == offset).map_or(offset, |(start, _)| start);
        self.0.insert(start, end);
    }

    /// Whether it is there.
    pub fn contains(&self, offset: i64) -> bool {
        self.0.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
    }

    /// Ranges that it takes, which is what it costs.
    pub fn ranges(&self) -> usize {
        self.0.len()
    }
}

/// Which rejects are meant. What is not given does not choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Whose.
    pub org_id: Option<String>,
    /// Of which source.
    pub source: Option<String>,
    /// With which code.
    pub code: Option<String>,
    /// With a timestamp in this range, in milliseconds.
    pub time_ms: Option<Range<i64>>,
    /// At these positions in the dead-letter topic, or with these ids.
    pub positions: Vec<String>,
}

impl Selection {
    /// Whether a reject is meant.
    pub fn takes(&self, stored: &Stored, letter: &Letter) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let position = stored.position();
        is(&self.org_id, &letter.org_id)
            && is(&self.source, &letter.source)
            && is(&self.code, &letter.code)
            && self
                .time_ms
                .as_ref()
                .is_none_or(|range| stored.timestamp_ms.is_some_and(|time| range.contains(&time)))
            && (self.positions.is_empty()
                || self.positions.iter().any(|wanted| *wanted == position || *wanted == letter.id))
    }

    /// True when it chooses nothing, so that all are meant.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
#[path = "letter/tests.rs"]
pub(crate) mod tests;
