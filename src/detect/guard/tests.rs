//! The decision, as a table: what is seen when, and at which of these the rule is parked.

use super::Seen::{Batch, Failed, Found, Panicked, Ran, TooLarge};
use super::*;

const LIMITS: GuardLimits = GuardLimits {
    batch_time_max: Duration::from_secs(3),
    bytes_max: 100,
    rows_max: Some(10),
    failed_rows_max: 4,
    panics_max: 2,
    stretch: 60,
};

const fn ran(seconds: u64) -> Seen {
    Ran(Duration::from_secs(seconds))
}

#[test]
fn a_rule_is_parked_beyond_its_bounds_and_not_before() {
    let none = None;
    for (what, seen, expect) in [
        ("nothing", vec![], none),
        ("what is at the bound is right", vec![(0, Found(10)), (0, ran(1)), (0, ran(1)), (0, Failed)], none),
        ("rows", vec![(0, Found(4)), (1, Found(6)), (2, Found(1))], Some((2, Reason::Rows))),
        ("rows in two stretches", vec![(0, Found(10)), (60, Found(10)), (119, Found(0))], none),
        (
            "rows of a stretch that begins with the first",
            vec![(50, Found(6)), (109, Found(5))],
            Some((1, Reason::Rows)),
        ),
        ("a clock that is set back", vec![(500, Found(10)), (100, Found(10))], none),
        ("one bad row", vec![(0, Failed)], none),
        ("bad rows", vec![(0, Failed); 5], Some((4, Reason::Errors))),
        ("bad rows, seldom", (0..50).map(|n| (n * 15, Failed)).collect(), none),
        ("panics are fewer", vec![(0, Panicked); 3], Some((2, Reason::Panics))),
        (
            "panics among failures",
            vec![(0, Failed), (0, Failed), (0, Failed), (0, Panicked), (0, Panicked)],
            Some((4, Reason::Panics)),
        ),
        ("rows that are too large", vec![(0, TooLarge); 5], Some((4, Reason::Memory))),
        (
            "too large after failures",
            vec![(0, Failed), (0, Failed), (0, Failed), (0, Failed), (0, TooLarge)],
            Some((4, Reason::Memory)),
        ),
        ("time", vec![(0, ran(1)), (0, ran(1)), (0, ran(1)), (0, ran(1))], Some((3, Reason::Time))),
        (
            "time of several batches",
            vec![(0, ran(1)), (0, ran(1)), (0, ran(1)), (0, Batch), (0, ran(1)), (0, ran(1))],
            none,
        ),
        (
            "time does not end with the stretch",
            vec![(58, ran(1)), (59, ran(1)), (200, ran(1)), (300, ran(1))],
            Some((3, Reason::Time)),
        ),
        ("a machine that was asleep, twice", vec![(0, ran(3_600)), (0, ran(3_600))], none),
        ("a rule that really takes so long", vec![(0, ran(3_600)); 3], Some((2, Reason::Time))),
        (
            "a batch forgets the time alone",
            vec![(0, Failed), (0, Failed), (0, Batch), (0, Failed), (0, Failed), (0, Failed)],
            Some((5, Reason::Errors)),
        ),
    ] {
        let mut state = State::default();
        let mut parked = None;
        for (at, (now, seen)) in seen.into_iter().enumerate() {
            let reason;
            (state, reason) = judge(&LIMITS, state, seen, now);
            parked = parked.or(reason.map(|reason| (at, reason)));
        }
        assert_eq!(parked, expect, "{what}");
    }
}

#[test]
fn what_nobody_is_flooded_by_is_not_counted() {
    let limits = GuardLimits { rows_max: None, ..LIMITS };
    let (_, reason) = judge(&limits, State::default(), Found(u64::MAX), 0);
    assert_eq!(reason, None);
}

#[test]
fn a_reason_is_told_in_numbers() {
    for (seen, reason, expect) in [
        (vec![Found(12)], Reason::Rows, "it found 12 rows within 0 s; 10 is the most"),
        (vec![Panicked; 3], Reason::Panics, "its evaluation panicked on 3 rows within 0 s; 2 is the most"),
        (
            vec![Failed, TooLarge],
            Reason::Memory,
            "it would have taken more than 100 bytes of memory for 1 of 2 rows that it could not judge within 0 s; 4 is the most",
        ),
        (vec![], Reason::Time, "its evaluation took more than 3000 ms for one batch"),
    ] {
        let state = seen.into_iter().fold(State::default(), |state, seen| judge(&LIMITS, state, seen, 0).0);
        assert_eq!(state.tell(reason, &LIMITS), expect);
    }
}
