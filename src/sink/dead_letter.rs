//! The dead-letter record: the bytes that were no event, untouched, and headers that say why.
//!
//! Owns the headers (Kafka Connect's names, so that existing tools work, and our own) and the cut of what is
//! too large. When a record is rejected is `decode`'s to say; the transaction is `sink::kafka`'s.

pub mod letter;

use sha2::{Digest, Sha256};

use super::{Header, Output};
use crate::decode::Reject;
use crate::record::{OrgId, hex};
use crate::source::RecordRef;

/// The header of a record that was sent in again: which attempt it is, from 2.
pub const ATTEMPT: &str = "noroshi-attempt";
/// More attempts than this are not counted, whatever a record says of itself.
pub const ATTEMPTS_COUNTED_MAX: u32 = 1_000;

// Headers of a dead letter. The first of them is always the first that is added, so that what stands before is the
// original's, whatever names it uses.
const TOPIC: &str = "__connect.errors.topic";
const PARTITION: &str = "__connect.errors.partition";
const OFFSET: &str = "__connect.errors.offset";
const MESSAGE: &str = "__connect.errors.exception.message";
const CODE: &str = "noroshi-reject-code";
const ID: &str = "noroshi-reject-id";
const ORG_ID: &str = "noroshi-org-id";
const SOURCE: &str = "noroshi-source";
const VERSION: &str = "noroshi-version";
const REJECT_ATTEMPT: &str = "noroshi-reject-attempt";
const VALUE_BYTES: &str = "noroshi-reject-bytes";
const VALUE_SHA256: &str = "noroshi-reject-sha256";
const ENVELOPE_BYTES: &str = "noroshi-reject-envelope-bytes";

/// Stage names in `__connect.errors.stage`.
const STAGE: &str = "VALUE_CONVERTER";
/// Longest text in a header.
const HEADER_BYTES_MAX: usize = 512;
/// Original key and headers that are kept, in bytes: with our own headers, which take less, they stay below what the
/// configuration leaves for them beside a message's value.
const ENVELOPE_BYTES_MAX: usize = 8 * 1024;
/// What a header costs beside its name and value, in bytes, generously.
const HEADER_COST_BYTES: usize = 8;

/// How much of the original a dead letter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of its value.
    value: usize,
    /// Bytes of its key and headers.
    envelope: usize,
    /// Its timestamp too.
    timestamp: bool,
}

impl Room {
    /// Nothing of it: what a topic takes that refuses the rest.
    pub const NONE: Self = Self { value: 0, envelope: 0, timestamp: false };

    /// So many bytes of its value, and a usual envelope.
    pub fn of(value: usize) -> Self {
        Self { value, envelope: ENVELOPE_BYTES_MAX, timestamp: true }
    }
}

/// A rejected record on its way out.
#[derive(Debug)]
pub struct DeadLetter {
    /// What is published.
    pub output: Output,
    /// Whether its value was cut, or key and headers were left out.
    pub cut: bool,
}

/// Makes the dead-letter record of a rejected record. A value for which there is no `room` is cut; its length and SHA-256
/// say what it was. Original headers that are too large together with the key are left out, and so is a key that is
/// too large alone: the message must fit, or one record would stop its lane for ever (I-2).
pub fn output(
    topic: &std::sync::Arc<str>,
    record: &RecordRef<'_>,
    reject: &Reject,
    org_id: &OrgId,
    source: &str,
    room: Room,
) -> DeadLetter {
    let (mut key, mut headers) = (record.envelope.key(), record.envelope.headers());
    let envelope = envelope_bytes(key.as_deref(), &headers);
    let attempt = attempt_of(&headers);
    let mut cut = envelope > room.envelope || !record.envelope.is_whole();
    if cut {
        headers.clear();
        key = key.filter(|key| key.len() <= room.envelope);
    }
    let position = format!("{}/{}/{}", record.topic, record.partition, record.offset);
    let mut add = |name: &str, value: &str| headers.push(header(name, value));
    add(TOPIC, record.topic);
    add(PARTITION, &record.partition.to_string());
    add(OFFSET, &record.offset.to_string());
    add("__connect.errors.connector.name", "noroshi");
    add("__connect.errors.stage", STAGE);
    add("__connect.errors.exception.class.name", reject.code.as_str());
    add(MESSAGE, &reject.detail);
    add(CODE, reject.code.as_str());
    add(ID, &position);
    add(ORG_ID, org_id.as_str());
    add(SOURCE, source);
    add(VERSION, env!("CARGO_PKG_VERSION"));
    add(REJECT_ATTEMPT, &attempt.to_string());
    if cut {
        let lost = if record.envelope.is_whole() { envelope.to_string() } else { "unknown".to_owned() };
        add(ENVELOPE_BYTES, &lost);
    }
    let mut value = record.payload;
    if let Some((whole, kept)) = value.and_then(|whole| Some((whole, whole.get(..room.value)?)))
        && kept.len() < whole.len()
    {
        add(VALUE_BYTES, &whole.len().to_string());
        add(VALUE_SHA256, &hex(&Sha256::digest(whole)));
        value = Some(kept);
        cut = true;
    }
    // Copied after the cut: the copy stays until the epoch is published, and only its length is counted.
    let value = value.map(<[u8]>::to_vec);
    let timestamp_ms = record.timestamp_ms.filter(|_| room.timestamp);
    let output = Output { topic: topic.clone(), key, value, headers, timestamp_ms };
    DeadLetter { output, cut }
}

/// Which attempt a record is: what a replay says, 1 without one. It is only ever a number: it decides whether a replay
/// is refused, nothing else.
fn attempt_of(headers: &[Header]) -> u32 {
    let said = headers.iter().rev().find(|(name, _)| name == ATTEMPT).and_then(|(_, value)| value.as_deref());
    let number = said.and_then(|said| std::str::from_utf8(said).ok()?.parse::<u32>().ok());
    number.filter(|number| (1..=ATTEMPTS_COUNTED_MAX).contains(number)).unwrap_or(1)
}

/// What a key and headers take in a message, in bytes.
fn envelope_bytes(key: Option<&[u8]>, headers: &[Header]) -> usize {
    let each = |(name, value): &Header| name.len() + value.as_ref().map_or(0, Vec::len) + HEADER_COST_BYTES;
    key.map_or(0, <[u8]>::len) + headers.iter().map(each).sum::<usize>()
}

fn header(name: &str, value: &str) -> Header {
    let mut end = value.len().min(HEADER_BYTES_MAX);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    (name.to_owned(), Some(value.as_bytes()[..end].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::RejectCode;
    use crate::source::Envelope;
    use std::sync::Arc;

    struct Original(Vec<u8>, Vec<Header>);

    impl Envelope for Original {
        fn key(&self) -> Option<Vec<u8>> {
            Some(self.0.clone())
        }

        fn headers(&self) -> Vec<Header> {
            self.1.clone()
        }
    }

    fn reject_of(payload: Option<&[u8]>, bytes_max: usize) -> DeadLetter {
        let headers = vec![("a".into(), Some(b"1".to_vec())), ("a".into(), None)];
        reject_in(&Original(b"k".to_vec(), headers), payload, bytes_max)
    }

    fn reject_in(envelope: &Original, payload: Option<&[u8]>, bytes_max: usize) -> DeadLetter {
        let topic: Arc<str> = Arc::from("in");
        let record = RecordRef {
            source: 0,
            slot: 0,
            topic: &topic,
            partition: 2,
            offset: 7,
            timestamp_ms: Some(5),
            payload,
            envelope,
        };
        let reject = Reject { code: RejectCode::Syntax, detail: "x".repeat(2_000) };
        let room = if bytes_max == 0 { Room::NONE } else { Room::of(bytes_max) };
        output(&Arc::from("dead"), &record, &reject, &OrgId::new("power"), "power-windows", room)
    }

    fn named<'a>(output: &'a Output, name: &str) -> Vec<&'a [u8]> {
        output.headers.iter().filter(|h| h.0 == name).filter_map(|h| h.1.as_deref()).collect()
    }

    #[test]
    fn the_original_is_kept_and_the_reason_added() {
        let DeadLetter { output, cut } = reject_of(Some(b"\xff{"), 10);
        assert!(!cut);
        assert_eq!(output.value.as_deref(), Some(&b"\xff{"[..]));
        assert_eq!((output.key.as_deref(), output.timestamp_ms), (Some(&b"k"[..]), Some(5)));
        assert_eq!(output.headers[..2], [("a".into(), Some(b"1".to_vec())), ("a".into(), None)]);
        assert_eq!(named(&output, "noroshi-reject-id"), [b"in/2/7"]);
        assert_eq!(named(&output, "noroshi-reject-code"), [b"syntax"]);
        assert_eq!(named(&output, "__connect.errors.exception.message")[0].len(), 512);
        assert!(named(&output, "noroshi-reject-sha256").is_empty());
    }

    #[test]
    fn the_attempt_is_what_a_replay_says_and_only_ever_a_number() {
        let said = |value: &[u8]| (ATTEMPT.to_owned(), Some(value.to_vec()));
        for (headers, attempt) in [
            (vec![], "1"),
            (vec![said(b"2")], "2"),
            (vec![said(b"2"), said(b"3")], "3"),
            (vec![said(b"1000")], "1000"),
            (vec![said(b"1001")], "1"),
            (vec![said(b"0")], "1"),
            (vec![said(b"-1")], "1"),
            (vec![said(b"2; DROP")], "1"),
            (vec![said(b"\xff")], "1"),
            (vec![(ATTEMPT.to_owned(), None)], "1"),
            // Headers that are left out are read before.
            (vec![said(b"4"), ("a".to_owned(), Some(vec![0; 9_000]))], "4"),
        ] {
            let made = reject_in(&Original(Vec::new(), headers.clone()), Some(b"{"), 10).output;
            assert_eq!(named(&made, REJECT_ATTEMPT), [attempt.as_bytes()], "{headers:?}");
        }
    }

    #[test]
    fn large_keys_and_headers_are_left_out() {
        let header = |length: usize| ("a".to_owned(), Some(vec![b'v'; length]));
        // Key's length, headers, whether the key stays, how many headers stay, what the record says of their size.
        for (key, headers, key_stays, stay, said) in [
            (8_000, vec![header(100)], true, 1, None),
            (8_192, vec![], true, 0, None),
            (8_192, vec![header(1)], true, 0, Some("8202")),
            (8_193, vec![], false, 0, Some("8193")),
            (1, vec![header(50); 200], true, 0, Some("11801")),
            // Many small ones are large as well.
            (1, vec![header(0); 1_000], true, 0, Some("9001")),
            (2_000_000, vec![header(2_000_000)], false, 0, Some("4000009")),
        ] {
            let original = Original(vec![b'k'; key], headers);
            let DeadLetter { output, cut } = reject_in(&original, Some(b"{"), 10);
            assert_eq!((output.key.is_some(), cut), (key_stays, said.is_some()), "{key}");
            assert_eq!(named(&output, "a").len(), stay, "{key}");
            let bytes: Vec<&[u8]> = said.iter().map(|said| said.as_bytes()).collect();
            assert_eq!(named(&output, "noroshi-reject-envelope-bytes"), bytes, "{key}");
            // The configuration's limits leave 16 KiB beside the value.
            let room = envelope_bytes(output.key.as_deref(), &output.headers);
            assert!(room < 16 * 1024, "{key}: {room}");
        }
    }

    #[test]
    fn a_bare_one_says_what_it_was_and_nothing_else() {
        let DeadLetter { output, cut } = reject_of(Some(b"abcdef"), 0);
        assert!(cut);
        assert_eq!((output.value.as_deref(), output.key, output.timestamp_ms), (Some(&b""[..]), None, None));
        assert_eq!(output.headers[0].0, TOPIC, "none of the original's");
        for (name, value) in [(VALUE_BYTES, "6"), (ENVELOPE_BYTES, "20"), (ID, "in/2/7")] {
            assert_eq!(
                output.headers.iter().find(|header| header.0 == name).and_then(|header| header.1.as_deref()),
                Some(value.as_bytes())
            );
        }
    }

    #[test]
    fn what_is_too_large_is_cut_and_identified() {
        let DeadLetter { output, cut } = reject_of(Some(b"abcdef"), 3);
        assert!(cut);
        assert_eq!(output.value.as_deref(), Some(&b"abc"[..]));
        assert_eq!(named(&output, "noroshi-reject-bytes"), [b"6"]);
        assert!(
            output.value.as_ref().is_some_and(|value| value.capacity() < 6),
            "what was cut off is not held"
        );
        // SHA-256 of "abcdef".
        let digest = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
        assert_eq!(named(&output, "noroshi-reject-sha256"), [digest.as_bytes()]);
        assert_eq!(reject_of(None, 3).output.value, None);
        assert!(!reject_of(Some(b"abc"), 3).cut);
    }
}
