//! What leaves with which epoch, step by step.

use super::*;
use crate::detect::alert::Alert;
use crate::record::Position;
use crate::source::NoEnvelope;

const MAX: u64 = 100;

enum Step {
    /// A record of this slot and offset is read; rejected with so many bytes.
    Take(usize, i64, Option<usize>),
    /// The engine found alerts of these sizes; so many records are through.
    Add(&'static [usize], usize),
    /// So much room is left for alerts.
    Room(usize),
    /// So many outputs leave, these offsets by slot, and so many records wait.
    Leave(usize, &'static [(i32, i64)], u64),
}
use Step::{Add, Leave, Room, Take};

fn record(open: &mut Open, slot: usize, offset: i64, reject: Option<usize>) {
    let topic = Arc::from("in");
    let partition = i32::try_from(slot).expect("small");
    let output = |bytes: usize| Output {
        topic: Arc::from("rejects"),
        key: None,
        value: Some(vec![0; bytes]),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    let reject = reject.map(|bytes| DeadLetter { output: output(bytes), cut: false });
    let record = RecordRef {
        source: 0,
        slot,
        topic: &topic,
        partition,
        offset,
        timestamp_ms: None,
        payload: None,
        envelope: &NoEnvelope,
    };
    open.take(&record, reject, 3);
}

fn finding(bytes: usize) -> Finding {
    let id = uuid::Uuid::nil();
    let alert =
        Alert { id, key: Vec::new(), value: vec![0; bytes], headers: Vec::new(), raw_cut: false, cut: false };
    let position = Position { topic: Arc::from("in"), partition: 0, offset: 0, index: 0 };
    Finding { rule: 0, source: 0, position, event_time: 0, output: serde_json::Map::new(), alert }
}

#[test]
fn offsets_leave_with_all_that_came_of_the_records_before_them() {
    for (what, steps) in [
        (
            "all is through",
            vec![
                Take(0, 5, None),
                Take(1, 9, None),
                Take(0, 6, None),
                Add(&[10], 3),
                Leave(1, &[(0, 7), (1, 10)], 0),
            ],
        ),
        (
            "an epoch ends behind the last record that is through",
            vec![
                Take(0, 5, None),
                Take(0, 6, None),
                Take(0, 7, None),
                Room(100),
                Add(&[60, 60], 1),
                Room(0),
                Leave(2, &[(0, 6)], 2),
                Room(100),
                Add(&[30], 2),
                Leave(1, &[(0, 8)], 0),
            ],
        ),
        (
            "a reject waits for its turn, and takes room meanwhile",
            vec![
                Take(0, 1, None),
                Take(0, 2, Some(30)),
                Room(70),
                Add(&[50], 1),
                Room(20),
                Leave(1, &[(0, 2)], 1),
                Room(70),
                Add(&[], 1),
                Leave(1, &[(0, 3)], 0),
            ],
        ),
        (
            "there is always room for one record",
            vec![
                Take(0, 1, Some(500)),
                Take(0, 2, None),
                Room(1),
                Add(&[999], 2),
                Leave(2, &[(0, 3)], 0),
                Room(100),
            ],
        ),
        ("nothing is through, nothing leaves", vec![Take(0, 1, None), Add(&[], 0), Leave(0, &[], 1)]),
    ] {
        let mut open = Open::default();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Take(slot, offset, reject) => record(&mut open, slot, offset, reject),
                Add(alerts, records) => {
                    let findings = alerts.iter().map(|bytes| finding(*bytes)).collect();
                    open.add(
                        Searched { findings, records, ..Searched::default() },
                        &[Arc::from("alerts")],
                        1,
                        0,
                    );
                }
                Room(bytes) => assert_eq!(open.room(MAX), bytes, "{what}: step {at}"),
                Leave(outputs, offsets, waiting) => {
                    let leaving = open.leave();
                    assert_eq!(leaving.outputs.len(), outputs, "{what}: step {at}");
                    let left: Vec<(i32, i64)> = leaving.offsets.iter().map(|(_, p, o)| (*p, *o)).collect();
                    assert_eq!(left, offsets, "{what}: step {at}");
                    assert_eq!(open.waiting(), waiting, "{what}: step {at}");
                    assert!(leaving.since.is_some());
                }
            }
        }
    }
}

/// A flood is noticed in the epoch that the record leaves with which makes it one, and not again (I-1, I-3).
#[test]
fn a_flood_is_noticed_where_its_record_leaves() {
    let limits = FloodLimits { percent: 50, rejects_min: 3, window_ms: 1_000 };
    let mut open = Open::new(limits);
    let add = |open: &mut Open, records| {
        let noticed = open.add(Searched { records, ..Searched::default() }, &[], 0, 0);
        noticed.iter().map(|noticed| noticed.position.offset).collect::<Vec<_>>()
    };
    for offset in 10..14 {
        record(&mut open, 4, offset, Some(1));
    }
    assert_eq!(add(&mut open, 2), [0; 0], "two are through");
    assert_eq!(add(&mut open, 1), [12]);
    open.leave();
    assert_eq!(open.flooded(0).len(), 1);
    // The epoch is aborted; everything comes again.
    open.discard();
    open.rewind();
    assert_eq!(open.flooded(0), []);
    for offset in 10..14 {
        record(&mut open, 4, offset, Some(1));
    }
    assert_eq!(add(&mut open, 4), [12], "the same record, however many are through at once");
    open.leave();
    open.committed();
    record(&mut open, 4, 14, Some(1));
    assert_eq!(add(&mut open, 1), [0; 0]);
    let note = FloodNote { source: 0, topic: Arc::from("in"), partition: 4 };
    assert_eq!(open.flooded(0), [note]);
    open.keep(&[]);
    assert_eq!(open.flooded(0), []);
}

#[test]
fn a_record_that_is_spoilt_late_leaves_as_a_reject_in_its_place() {
    let mut open = Open::default();
    for offset in 0..3 {
        record(&mut open, 0, offset, (offset == 0).then_some(1));
    }
    let output = Output {
        topic: Arc::from("rejects"),
        key: None,
        value: Some(vec![0; 50]),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    open.spoil(1, DeadLetter { output, cut: true });
    open.add(Searched { records: 3, ..Searched::default() }, &[], 0, 0);
    let left = open.leave();
    let bytes: Vec<usize> =
        left.outputs.iter().map(|output| output.value.as_ref().map_or(0, Vec::len)).collect();
    assert_eq!((bytes, left.rejects_cut), (vec![1, 50], 1));
}
