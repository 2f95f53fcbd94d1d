//! Sending rejects in again: which may go, and as what.
//!
//! Owns the decision, as a pure function, and the two records that follow from it: the original for its input topic, and
//! the mark in the dead-letter topic that it has been sent. Both go out in one transaction, so whoever reads the marks
//! knows what was sent, also after a crash in the middle. The marks lie in the topic itself because a group's offsets
//! cannot say "these, but not those", and are forgotten when a group rests for a week. `sink::kafka::replay` makes the
//! transaction, `cli::dlq` asks.

use super::Header;
use super::dead_letter::letter::{Letter, Stored, mark};
use super::dead_letter::{ATTEMPT, ATTEMPTS_COUNTED_MAX};

/// A record to publish, to a partition or where its key says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Topic.
    pub topic: String,
    /// Partition; `None` leaves it to the key.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<Header>,
}

impl Placed {
    /// Bytes of key, value and headers.
    pub fn bytes(&self) -> usize {
        let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + of(value)).sum();
        of(&self.key) + of(&self.value) + headers
    }
}

/// Why a reject is not sent in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The value was cut: these are not the bytes that were sent.
    Cut,
    /// Key or headers were left out.
    EnvelopeLost,
    /// It has been tried often enough.
    Attempts,
    /// No source of the pipeline reads the topic that it came from.
    NoSource,
    /// A source of the pipeline reads the topic, but another than the reject says: it was written by somebody else, or the
    /// pipeline has changed.
    OtherSource,
    /// Asked for by a position at which, or an id with which, no reject lies: said by whoever looked for it.
    NotFound,
}

impl Refusal {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cut => "cut at limits.reject_bytes_max; the whole may still lie in the input topic",
            Self::EnvelopeLost => {
                "its key or headers were left out; the whole may still lie in the input topic"
            }
            Self::Attempts => "tried often enough (--attempts-max)",
            Self::NoSource => "no source of the pipeline reads its input topic",
            Self::OtherSource => "its input topic belongs to another source than it says",
            Self::NotFound => "there is no such reject, or the filters leave it out",
        }
    }

    /// For machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::EnvelopeLost => "envelope_lost",
            Self::Attempts => "attempts",
            Self::NoSource => "no_source",
            Self::OtherSource => "other_source",
            Self::NotFound => "not_found",
        }
    }
}

/// What the pipeline says of an input topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The source that reads it.
    pub source: String,
    /// Whose it is.
    pub org_id: String,
    /// Where its rejects go.
    pub reject_topic: String,
    /// Partitions it has now.
    pub partitions: i32,
}

/// Whether a reject may go back to where it came from.
///
/// The topic comes from a header, and so is believed only when configuration agrees with all that the reject says: its
/// source, its organisation, and the dead-letter topic that it lies in (I-4).
pub fn decide(
    stored: &Stored,
    letter: &Letter,
    input: Option<&Input>,
    attempts_max: u32,
) -> Result<[Placed; 2], Refusal> {
    let input = input.ok_or(Refusal::NoSource)?;
    if (input.source != letter.source) || input.org_id != letter.org_id || input.reject_topic != stored.topic
    {
        return Err(Refusal::OtherSource);
    }
    if letter.cut.is_some() {
        return Err(Refusal::Cut);
    }
    if letter.envelope_lost.is_some() {
        return Err(Refusal::EnvelopeLost);
    }
    if letter.attempt >= attempts_max.min(ATTEMPTS_COUNTED_MAX) {
        return Err(Refusal::Attempts);
    }
    let originals = stored.headers.iter().take(letter.headers);
    let mut headers: Vec<Header> = originals.filter(|(name, _)| name != ATTEMPT).cloned().collect();
    headers.push((ATTEMPT.to_owned(), Some((letter.attempt + 1).to_string().into_bytes())));
    let again = Placed {
        topic: letter.topic.clone(),
        // The same partition keeps the order among what was rejected together.
        partition: (0..input.partitions).contains(&letter.partition).then_some(letter.partition),
        key: stored.key.clone(),
        value: stored.value.clone(),
        headers,
    };
    let (key, headers) = mark(stored, letter);
    let mark = Placed {
        topic: stored.topic.clone(),
        partition: Some(stored.partition),
        key: Some(key),
        value: None,
        headers,
    };
    Ok([again, mark])
}

#[cfg(test)]
#[path = "replay/tests.rs"]
mod tests;
