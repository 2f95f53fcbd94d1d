//! Letters as they are written, read back; and what pretends to be one.

use std::sync::Arc;

use super::*;
use crate::decode::{Reject, RejectCode};
use crate::record::OrgId;
use crate::sink::dead_letter::{Room, output};
use crate::source::{Envelope, RecordRef};

pub(crate) struct Original(pub(crate) Vec<Header>);

impl Envelope for Original {
    fn key(&self) -> Option<Vec<u8>> {
        Some(b"k".to_vec())
    }

    fn headers(&self) -> Vec<Header> {
        self.0.clone()
    }
}

/// The dead letter of a record with these headers and this value.
pub(crate) fn stored(headers: Vec<Header>, value: &[u8], bytes_max: usize) -> Stored {
    let topic: Arc<str> = Arc::from("in.power");
    let record = RecordRef {
        source: 0,
        slot: 0,
        topic: &topic,
        partition: 2,
        offset: 7,
        timestamp_ms: Some(5_000),
        payload: Some(value),
        envelope: &Original(headers),
    };
    let reject = Reject { code: RejectCode::Syntax, detail: "at line 1".into() };
    let made =
        output(&Arc::from("dead"), &record, &reject, &OrgId::new("power"), "windows", Room::of(bytes_max))
            .output;
    Stored {
        topic: made.topic.to_string(),
        partition: 0,
        offset: 40,
        timestamp_ms: made.timestamp_ms,
        key: made.key,
        value: made.value,
        headers: made.headers,
    }
}

pub(crate) fn header(name: &str, value: &str) -> Header {
    (name.to_owned(), Some(value.as_bytes().to_vec()))
}

pub(crate) fn letter(stored: &Stored) -> Letter {
    match read(stored) {
        Entry::Letter(letter) => *letter,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_letter_is_read_as_it_was_written() {
    let spoof = vec![
        header("a", "1"),
        header(TOPIC, "in.rail"),
        header(CODE, "empty"),
        header("noroshi-attempt", "2"),
    ];
    let read = letter(&stored(spoof, b"{", 100));
    assert_eq!(
        read,
        Letter {
            id: "in.power/2/7".into(),
            topic: "in.power".into(),
            partition: 2,
            offset: 7,
            org_id: "power".into(),
            source: "windows".into(),
            code: "syntax".into(),
            reason: "at line 1".into(),
            attempt: 2,
            version: env!("CARGO_PKG_VERSION").into(),
            cut: None,
            envelope_lost: None,
            headers: 4,
        }
    );
    let cut = letter(&stored(Vec::new(), b"abcdef", 3));
    assert_eq!(cut.cut.map(|(bytes, _)| bytes).as_deref(), Some("6"));
    let lost = letter(&stored(vec![header("a", &"x".repeat(9_000))], b"{", 100));
    assert_eq!((lost.envelope_lost.as_deref(), lost.headers), (Some("9010"), 0));
}

#[test]
fn a_mark_names_its_letter_and_nothing_else_is_one() {
    let about = stored(Vec::new(), b"{", 100);
    let (key, headers) = mark(&about, &letter(&about));
    assert_eq!(key, b"dead/0/40");
    let good = Stored { offset: 41, value: None, key: Some(key), headers, ..about.clone() };
    assert_eq!(read(&good), Entry::Replayed(40));
    let says = |position: &str| Stored { headers: vec![header(REPLAYED, position)], ..good.clone() };
    for (what, stored, expect) in [
        ("another partition's", says("dead/1/40"), Entry::Foreign),
        ("another topic's", says("dead2/0/40"), Entry::Foreign),
        ("one before it", says("dead/0/0"), Entry::Replayed(0)),
        ("itself", says("dead/0/41"), Entry::Foreign),
        ("no number", says("dead/0/x"), Entry::Foreign),
        ("with a value", Stored { value: Some(b"x".to_vec()), ..good.clone() }, Entry::Foreign),
        ("nothing", Stored { headers: Vec::new(), ..good.clone() }, Entry::Foreign),
        ("only a topic", Stored { headers: vec![header(TOPIC, "in")], ..good.clone() }, Entry::Foreign),
    ] {
        assert_eq!(read(&stored), expect, "{what}");
    }
    // A record whose own headers look like a mark is still the letter that it is.
    let spoof = stored(vec![header(REPLAYED, "dead/0/3")], b"{", 100);
    assert!(matches!(read(&spoof), Entry::Letter(_)));
}

#[test]
fn offsets_are_kept_as_ranges() {
    for (inserted, ranges) in [
        (&[][..], 0),
        (&[5], 1),
        (&[5, 5], 1),
        (&[5, 6, 4], 1),
        (&[1, 3, 2], 1),
        (&[1, 3, 5], 3),
        (&[9, 7, 8, 1, 0], 2),
    ] {
        let mut offsets = Offsets::default();
        inserted.iter().for_each(|offset| offsets.insert(*offset));
        assert_eq!(offsets.ranges(), ranges, "{inserted:?}");
        for offset in -1..12 {
            assert_eq!(offsets.contains(offset), inserted.contains(&offset), "{offset} in {inserted:?}");
        }
    }
}

#[test]
fn a_selection_takes_what_all_its_parts_take() {
    let stored = stored(Vec::new(), b"{", 100);
    let letter = letter(&stored);
    let all = Selection::default();
    let some = |text: &str| Some(text.to_owned());
    for (selection, takes) in [
        (all.clone(), true),
        (Selection { org_id: some("power"), ..all.clone() }, true),
        (Selection { org_id: some("rail"), ..all.clone() }, false),
        (Selection { source: some("windows"), code: some("syntax"), ..all.clone() }, true),
        (Selection { source: some("windows"), code: some("empty"), ..all.clone() }, false),
        (Selection { source: some("ids"), ..all.clone() }, false),
        (Selection { time_ms: Some(5_000..5_001), ..all.clone() }, true),
        (Selection { time_ms: Some(0..5_000), ..all.clone() }, false),
        (Selection { positions: vec!["dead/0/40".into()], ..all.clone() }, true),
        (Selection { positions: vec!["x/0/1".into(), "in.power/2/7".into()], ..all.clone() }, true),
        (Selection { positions: vec!["dead/0/4".into()], ..all.clone() }, false),
    ] {
        assert_eq!(selection.takes(&stored, &letter), takes, "{selection:?}");
        assert_eq!(selection.is_all(), selection == all);
    }
}
