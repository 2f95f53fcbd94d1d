//! Dead letters: whatever a record's own headers say, its letter says where it came from; and a letter that somebody
//! else wrote is read without harm.
//!
//! An input is lines `name: value` (headers), an empty line, and the value.

use std::sync::Arc;

use noroshi::decode::{Reject, RejectCode};
use noroshi::record::OrgId;
use noroshi::sink::dead_letter::letter::{Entry, Offsets, Stored, read};
use noroshi::sink::dead_letter::{ATTEMPT, ATTEMPTS_COUNTED_MAX, Room, output};
use noroshi::sink::replay::{Input, decide};
use noroshi::sink::{Header, Output};
use noroshi::source::{Envelope, RecordRef};

/// Larger values are cut.
const VALUE_BYTES_MAX: usize = 256;

struct Original {
    key: Option<Vec<u8>>,
    headers: Vec<Header>,
}

impl Envelope for Original {
    fn key(&self) -> Option<Vec<u8>> {
        self.key.clone()
    }

    fn headers(&self) -> Vec<Header> {
        self.headers.clone()
    }
}

pub fn check(data: &[u8]) {
    let end = data.windows(2).position(|part| part == b"\n\n");
    let (head, value) = end.map_or((data, None), |at| (&data[..at], Some(&data[at + 2..])));
    let headers: Vec<Header> = head.split(|byte| *byte == b'\n').map(header).collect();
    foreign(&headers, value);
    ours(headers, value);
    offsets(data);
}

fn header(line: &[u8]) -> Header {
    let split = line.windows(2).position(|part| part == b": ");
    let (name, value) = split.map_or((line, None), |at| (&line[..at], Some(line[at + 2..].to_vec())));
    (String::from_utf8_lossy(name).into_owned(), value)
}

fn input() -> Input {
    Input { source: "windows".into(), org_id: "power".into(), reject_topic: "dead".into(), partitions: 3 }
}

/// A record that lies in a dead-letter topic, whoever wrote it.
fn foreign(headers: &[Header], value: Option<&[u8]>) {
    let stored = Stored {
        topic: "dead".into(),
        partition: 0,
        offset: 40,
        timestamp_ms: None,
        key: None,
        value: value.map(<[u8]>::to_vec),
        headers: headers.to_vec(),
    };
    match read(&stored) {
        Entry::Letter(letter) => {
            assert!(letter.headers < headers.len() && letter.attempt >= 1, "{letter:?}");
            assert!(decide(&stored, &letter, None, u32::MAX).is_err(), "sent to a topic that nobody reads");
            if let Ok([again, mark]) = decide(&stored, &letter, Some(&input()), u32::MAX) {
                assert_eq!((letter.source.as_str(), letter.org_id.as_str()), ("windows", "power"));
                assert!(again.partition.is_none_or(|partition| (0..3).contains(&partition)), "{again:?}");
                assert_eq!((mark.topic.as_str(), mark.partition, mark.value), ("dead", Some(0), None));
            }
        }
        Entry::Replayed(offset) => {
            assert!(offset < 40 && value.is_none(), "a mark of what is not before it: {offset}")
        }
        Entry::Foreign => {}
    }
}

/// A record with these headers that is rejected, read back, sent in again, and rejected again.
fn ours(headers: Vec<Header>, value: Option<&[u8]>) {
    let mut original = Original { key: value.map(|value| value.iter().rev().copied().collect()), headers };
    let mut attempt = None;
    for _ in 0..2 {
        let made = rejected(&original, value);
        let stored = Stored {
            topic: made.topic.to_string(),
            partition: 0,
            offset: 40,
            timestamp_ms: made.timestamp_ms,
            key: made.key,
            value: made.value,
            headers: made.headers,
        };
        let Entry::Letter(letter) = read(&stored) else { panic!("our own letter is not known: {stored:?}") };
        let place = (letter.topic.as_str(), letter.partition, letter.offset, letter.id.as_str());
        assert_eq!(place, ("in.power", 2, 7, "in.power/2/7"), "a header of the record was believed");
        assert_eq!((letter.org_id.as_str(), letter.source.as_str()), ("power", "windows"));
        assert_eq!((letter.code.as_str(), letter.reason.as_str()), ("syntax", "at line 1"));
        assert!((1..=ATTEMPTS_COUNTED_MAX).contains(&letter.attempt));
        assert!(
            attempt.is_none_or(|before| letter.attempt == before + 1),
            "{attempt:?}, then {}",
            letter.attempt
        );
        assert_eq!(letter.cut.is_some(), value.is_some_and(|value| value.len() > VALUE_BYTES_MAX));
        let Ok([again, _]) = decide(&stored, &letter, Some(&input()), ATTEMPTS_COUNTED_MAX) else { return };
        assert_eq!(
            (again.topic.as_str(), again.partition, again.value.as_deref()),
            ("in.power", Some(2), value)
        );
        assert_eq!(again.key, original.key);
        let own = |headers: &[Header]| -> Vec<Header> {
            headers.iter().filter(|(name, _)| name != ATTEMPT).cloned().collect()
        };
        assert_eq!(own(&again.headers), own(&original.headers));
        original.headers = again.headers;
        attempt = Some(letter.attempt);
    }
}

fn rejected(original: &Original, value: Option<&[u8]>) -> Output {
    let topic: Arc<str> = Arc::from("in.power");
    let record = RecordRef {
        source: 0,
        slot: 0,
        topic: &topic,
        partition: 2,
        offset: 7,
        timestamp_ms: Some(5_000),
        payload: value,
        envelope: original,
    };
    let reject = Reject { code: RejectCode::Syntax, detail: "at line 1".into() };
    output(&Arc::from("dead"), &record, &reject, &OrgId::new("power"), "windows", Room::of(VALUE_BYTES_MAX))
        .output
}

/// Ranges of offsets are a set, whatever the order.
fn offsets(data: &[u8]) {
    let (mut ranges, mut set) = (Offsets::default(), std::collections::BTreeSet::new());
    for byte in data.iter().take(100) {
        ranges.insert(i64::from(*byte % 32));
        set.insert(i64::from(*byte % 32));
    }
    assert!((-1..33).all(|offset| ranges.contains(offset) == set.contains(&offset)));
    let gaps = set.iter().filter(|offset| !set.contains(&(**offset - 1))).count();
    assert_eq!(ranges.ranges(), gaps, "neighbours are one range");
}
