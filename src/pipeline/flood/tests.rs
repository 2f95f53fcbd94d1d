//! Floods, record by record.

use super::*;

const LIMITS: FloodLimits = FloodLimits { percent: 50, rejects_min: 4, window_ms: 1_000 };

/// What happens, and what must follow.
enum Step {
    /// So many good and then bad records at this time; the window of the alert that one of them raises.
    Put(u64, u64, i64, Option<i64>),
    /// The same without a timestamp.
    Timeless(u64, u64, Option<i64>),
    /// Whether the partition is in flood, so many milliseconds after the last record.
    Is(bool, Millis),
    Seal,
    Committed,
    Discard,
    Rewind,
}
use Step::{Committed, Discard, Is, Put, Rewind, Seal, Timeless};

fn put(floods: &mut Floods, good: u64, bad: u64, time: Option<i64>) -> Option<i64> {
    let mut began = (0..good + bad).filter_map(|at| floods.count(0, 0, time, at >= good, 0));
    let first = began.next().map(|began| began.window_start_ms);
    assert_eq!(began.next(), None, "one alert a flood");
    first
}

#[test]
fn floods_begin_are_told_once_and_end() {
    for (what, steps) in [
        ("few rejects are no flood", vec![Put(0, 3, 0, None), Is(false, 0)]),
        ("a small share is none", vec![Put(10, 9, 0, None), Is(false, 0)]),
        ("enough of both is", vec![Put(4, 4, 0, Some(0)), Is(true, 0)]),
        ("it is told once", vec![Put(0, 4, 0, Some(0)), Put(0, 90, 10, None), Is(true, 0)]),
        (
            "the window slides: what is older does not count",
            vec![Put(0, 3, 0, None), Put(0, 3, 999, Some(0)), Put(0, 1, 1_100, None)],
        ),
        ("it slides past", vec![Put(0, 3, 0, None), Put(0, 3, 1_000, None), Is(false, 0)]),
        (
            "alerts' windows lie on a grid",
            vec![Put(0, 2, 4_600, None), Put(0, 2, 5_100, Some(5_000)), Is(true, 0)],
        ),
        (
            "it ends only well below of where it began",
            // 25 % is half of 50 %.
            vec![Put(0, 4, 0, Some(0)), Put(12, 0, 0, None), Is(true, 0), Put(1, 0, 0, None), Is(false, 0)],
        ),
        (
            "it ends when rejects become few",
            vec![Put(0, 4, 0, Some(0)), Put(1, 0, 1_000, None), Is(false, 0)],
        ),
        (
            "the next flood in another window is told again",
            vec![Put(0, 4, 0, Some(0)), Put(20, 0, 0, None), Is(false, 0), Put(0, 4, 2_000, Some(2_000))],
        ),
        (
            "in the same window it is not",
            vec![Put(0, 4, 0, Some(0)), Put(20, 0, 0, None), Is(false, 0), Put(0, 90, 0, None), Is(true, 0)],
        ),
        (
            "silence ends it for those who look",
            vec![Put(0, 4, 0, Some(0)), Is(true, 999), Is(false, 1_000), Is(true, 0)],
        ),
        ("records without a time count as of now", vec![Put(0, 3, 900, None), Timeless(0, 1, Some(0))]),
        ("no timestamps at all", vec![Timeless(0, 4, Some(0)), Is(true, 0)]),
        ("late ones count as of now", vec![Put(0, 2, 2_500, None), Put(0, 2, 1_700, Some(2_000))]),
        (
            "a wrong clock moves nothing",
            vec![Put(0, 3, 0, None), Put(1, 0, 9_999_999, None), Put(0, 1, 100, Some(0))],
        ),
        (
            "two that agree do, onwards",
            vec![
                Put(0, 3, 0, None),
                Put(2, 0, 9_000, None),
                Put(0, 3, 9_000, None),
                Put(0, 1, 9_000, Some(9_000)),
            ],
        ),
        ("and back", vec![Put(0, 3, 90_000, None), Put(2, 0, 500, None), Put(0, 4, 500, Some(0))]),
        (
            "a clock that is little behind moves nothing back",
            vec![Put(0, 3, 9_500, None), Put(0, 1, 7_000, Some(9_000))],
        ),
        ("before 1970", vec![Put(0, 4, -1, Some(-1_000))]),
        (
            "the ends of time",
            vec![Put(1, 0, i64::MIN, None), Put(2, 0, i64::MAX, None), Put(2, 4, 0, Some(0))],
        ),
        // Epochs: what is not committed is counted again.
        (
            "an aborted epoch is told again, with the same window",
            vec![
                Put(0, 4, 0, Some(0)),
                Seal,
                Rewind,
                Is(false, 0),
                Put(0, 4, 0, Some(0)),
                Seal,
                Committed,
                Is(true, 0),
            ],
        ),
        (
            "a committed one is not",
            vec![
                Put(0, 4, 0, Some(0)),
                Seal,
                Committed,
                Put(0, 1, 0, None),
                Rewind,
                Is(true, 0),
                Put(0, 9, 0, None),
            ],
        ),
        (
            "what is open goes, what is in flight stays",
            vec![
                Put(0, 3, 0, None),
                Seal,
                Put(0, 1, 0, Some(0)),
                Discard,
                Is(false, 0),
                Put(0, 1, 0, Some(0)),
                Committed,
                Is(true, 0),
            ],
        ),
        (
            "an abort takes both",
            vec![Put(0, 3, 0, None), Seal, Put(0, 1, 0, Some(0)), Rewind, Put(0, 3, 0, None), Is(false, 0)],
        ),
    ] {
        let mut floods = Floods::new(LIMITS);
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Put(good, bad, time, told) => {
                    assert_eq!(put(&mut floods, good, bad, Some(time)), told, "{what}, step {at}");
                }
                Timeless(good, bad, told) => {
                    assert_eq!(put(&mut floods, good, bad, None), told, "{what}, step {at}");
                }
                Is(flooded, later) => {
                    assert_eq!(!floods.flooded(later).is_empty(), flooded, "{what}, step {at}");
                }
                Seal => floods.seal(),
                Committed => floods.committed(),
                Discard => floods.discard(),
                Rewind => floods.rewind(),
            }
        }
    }
}

#[test]
fn partitions_are_counted_apart_and_forgotten_when_they_go() {
    let mut floods = Floods::new(LIMITS);
    for slot in [7, 2, 7, 2, 7, 2] {
        assert_eq!(floods.count(slot, slot * 10, Some(0), true, 0), None);
    }
    let counts = Counts { records: 4, rejects: 4 };
    assert_eq!(floods.count(7, 70, Some(0), true, 0), Some(Began { window_start_ms: 0, counts }));
    assert_eq!(floods.flooded(0), [Flooded { slot: 7, source: 70, counts }]);
    floods.seal();
    floods.committed();
    floods.keep(|slot| slot == 2);
    floods.rewind();
    assert_eq!(floods.flooded(0), []);
    assert!(floods.count(2, 20, Some(0), true, 0).is_some(), "what is kept goes on where it was");
}

proptest::proptest! {
    /// I-3: how records are cut into epochs, and which epochs abort, changes no window that is told.
    #[test]
    fn epochs_and_aborts_change_nothing(
        records in proptest::collection::vec((proptest::bool::weighted(0.6), 0..400i64), 1..200),
        cuts in proptest::collection::vec((1..20usize, proptest::bool::ANY), 1..60),
    ) {
        let mut time = 0;
        let records: Vec<(bool, i64)> =
            records.into_iter().map(|(bad, step)| { time += step; (bad, time) }).collect();
        let mut whole = Floods::new(LIMITS);
        let told = |floods: &mut Floods, part: &[(bool, i64)]| -> Vec<i64> {
            let began = part.iter().filter_map(|(bad, time)| floods.count(0, 0, Some(*time), *bad, 0));
            began.map(|began| began.window_start_ms).collect()
        };
        let expect = told(&mut whole, &records);
        let (mut cut, mut got, mut at) = (Floods::new(LIMITS), Vec::new(), 0);
        for (length, commits) in cuts.iter().cycle().take(2_000) {
            let part = &records[at..(at + length).min(records.len())];
            let windows = told(&mut cut, part);
            cut.seal();
            if *commits {
                cut.committed();
                got.extend(windows);
                at += part.len();
            } else {
                cut.rewind();
            }
        }
        if at == records.len() {
            proptest::prop_assert_eq!(got, expect);
        }
    }
}
