//! The cycle as tables: events with their times, and the actions that must follow.

use super::Action::{Adopt, Assign, Discard, Exit as Leave, Pause, Resume, Rewind, Seal, Unassign};
use super::Event::{
    Added, Assigned, Ended, Lost, Offered, Revoked, SourceFailed, SourceFenced, Stop, StopNow, Tick,
};
use super::*;

fn limits() -> CycleLimits {
    CycleLimits {
        interval_ms: 100,
        records_max: 10,
        bytes_max: 1_000,
        pause_after_ms: 50,
        revoke_deadline_ms: 500,
        stop_deadline_ms: 1_000,
        aborts_max: 2,
    }
}

fn added(records: u64) -> Event {
    Added { records, bytes: records * 10 }
}

fn rewound() -> Event {
    Ended(EpochEnd::Rewound("timeout".into()))
}

/// Plays events at their times and compares the actions of each step.
fn play(name: &str, script: &[(Millis, Event, &[Action])]) {
    let mut cycle = Cycle::new(limits(), 1);
    for (at, (now, event, expect)) in script.iter().enumerate() {
        let actions = cycle.step(*now, event.clone());
        assert_eq!(actions, *expect, "{name}, step {at}: {event:?} at {now}");
    }
}

#[test]
fn epochs() {
    let committed = || Ended(EpochEnd::Committed);
    play("nothing happens without records", &[(0, Tick, &[]), (10_000, Tick, &[])]);
    play(
        "an epoch is sealed at its age, the next one fills meanwhile",
        &[
            (0, added(1), &[]),
            (99, Tick, &[]),
            (100, Tick, &[Seal(1)]),
            (120, added(2), &[]),
            (230, Tick, &[]),
            (240, committed(), &[Seal(2)]),
            (250, committed(), &[]),
        ],
    );
    play(
        "an epoch is sealed when it is full",
        &[(0, added(10), &[Seal(1)]), (1, Added { records: 1, bytes: 1_000 }, &[])],
    );
    play(
        "a full epoch behind a slow sink pauses the source, and resumes it",
        &[
            (0, added(10), &[Seal(1)]),
            (10, added(10), &[]),
            (59, Tick, &[]),
            (60, Tick, &[Pause]),
            (70, Tick, &[]),
            (80, committed(), &[Seal(2), Resume]),
        ],
    );
}

#[test]
fn aborts() {
    play(
        "after an abort the open epoch is discarded too, and the input rewound",
        &[
            (0, added(10), &[Seal(1)]),
            (10, added(3), &[]),
            (20, rewound(), &[Discard(3), Rewind]),
            (30, added(10), &[Seal(2)]),
        ],
    );
    play(
        "aborts in a row end the lane",
        &[
            (0, added(10), &[Seal(1)]),
            (1, rewound(), &[Rewind]),
            (2, added(10), &[Seal(2)]),
            (3, rewound(), &[Rewind]),
            (4, added(10), &[Seal(3)]),
            (
                5,
                rewound(),
                &[Leave(Exit::Failed("3 transactions in a row were aborted; last: timeout".into()))],
            ),
        ],
    );
    play(
        "a commit in between forgives",
        &[
            (0, added(10), &[Seal(1)]),
            (1, rewound(), &[Rewind]),
            (2, added(10), &[Seal(2)]),
            (3, Ended(EpochEnd::Committed), &[]),
            (4, added(10), &[Seal(3)]),
            (5, rewound(), &[Rewind]),
            (6, added(10), &[Seal(4)]),
            (7, rewound(), &[Rewind]),
        ],
    );
    play(
        "fenced and failed lanes leave",
        &[
            (0, added(10), &[Seal(1)]),
            (1, Ended(EpochEnd::Fenced("x".into())), &[Leave(Exit::Fenced("x".into()))]),
            (2, Tick, &[]),
        ],
    );
}

#[test]
fn refusals() {
    use crate::sink::{Cause, Refusal};
    let refused = || {
        let cause = Cause::Record(std::sync::Arc::from("alerts"));
        Ended(EpochEnd::Refused(Refusal { cause, why: "too large".into() }))
    };
    play(
        "a refused epoch is read again like an aborted one, and is not counted",
        &[
            (0, added(10), &[Seal(1)]),
            (1, added(3), &[]),
            (2, refused(), &[Discard(3), Rewind]),
            (3, added(10), &[Seal(2)]),
            (4, refused(), &[Rewind]),
            (5, added(10), &[Seal(3)]),
            (6, refused(), &[Rewind]),
            (7, added(10), &[Seal(4)]),
            (8, rewound(), &[Rewind]),
        ],
    );
    play(
        "it gives partitions back as well",
        &[(0, added(10), &[Seal(1)]), (1, Revoked, &[]), (2, refused(), &[Rewind, Unassign])],
    );
    let mut cycle = Cycle::new(limits(), 1);
    assert_eq!(cycle.room(), 10);
    cycle.narrow(Some(2));
    assert_eq!((cycle.room(), cycle.step(0, added(1))), (2, vec![]));
    assert_eq!((cycle.room(), cycle.step(1, added(1))), (1, vec![Seal(1)]));
    assert_eq!(cycle.step(2, added(2)), []);
    assert!(cycle.room() == 0 && !cycle.wants_records(), "it is full");
    cycle.narrow(Some(50));
    assert_eq!((cycle.room(), cycle.wants_records()), (8, true), "never more than the limits say");
    cycle.narrow(None);
    assert_eq!(cycle.room(), 8);
}

#[test]
fn rebalances() {
    let committed = || Ended(EpochEnd::Committed);
    play("an assignment is taken at once", &[(0, Assigned, &[Assign])]);
    play("with nothing open a revoke is granted at once", &[(0, Revoked, &[Unassign])]);
    play(
        "on revoke the open epoch is committed first",
        &[(0, added(2), &[]), (5, Revoked, &[Seal(1)]), (9, committed(), &[Unassign]), (10, added(1), &[])],
    );
    play(
        "on revoke behind a flight both are committed",
        &[
            (0, added(10), &[Seal(1)]),
            (5, added(2), &[]),
            (6, Revoked, &[]),
            (9, committed(), &[Seal(2)]),
            (12, committed(), &[Unassign]),
        ],
    );
    play(
        "an abort during a revoke discards, then grants",
        &[
            (0, added(10), &[Seal(1)]),
            (5, added(2), &[]),
            (6, Revoked, &[]),
            (9, rewound(), &[Discard(2), Rewind, Unassign]),
        ],
    );
    play(
        "a revoke is granted at its deadline, the open work will be read again",
        &[
            (0, added(10), &[Seal(1)]),
            (5, added(2), &[]),
            (6, Revoked, &[]),
            (506, Tick, &[Discard(2), Unassign]),
            // Partitions that stay are read again, but not before it is known what of them is committed.
            (600, committed(), &[Rewind]),
            (601, added(10), &[Seal(2)]),
        ],
    );
    play(
        "a revoke behind one that was granted at its deadline is granted before the rewind",
        &[
            (0, added(10), &[Seal(1)]),
            (5, added(2), &[]),
            (6, Revoked, &[]),
            (506, Tick, &[Discard(2), Unassign]),
            (510, Revoked, &[]),
            (600, committed(), &[Unassign, Rewind]),
        ],
    );
    play(
        "what did not fit into the epoch that left is committed before the grant",
        &[
            (0, added(2), &[]),
            (6, Revoked, &[Seal(1)]),
            // One was through, the other comes back.
            (6, added(1), &[]),
            (9, committed(), &[Seal(2)]),
            (12, committed(), &[Unassign]),
        ],
    );
    play(
        "lost partitions are never committed",
        &[(0, added(2), &[]), (5, Lost, &[Discard(2), Unassign, Rewind])],
    );
    play(
        "lost partitions are given back once the flight has ended",
        &[(0, added(10), &[Seal(1)]), (5, Lost, &[]), (9, rewound(), &[Rewind, Unassign])],
    );
}

#[test]
fn stops() {
    let committed = || Ended(EpochEnd::Committed);
    play("an idle lane stops at once", &[(0, Stop, &[Leave(Exit::Stopped)])]);
    play(
        "a stop commits what is open",
        &[(0, added(2), &[]), (5, Stop, &[Seal(1)]), (9, committed(), &[Leave(Exit::Stopped)])],
    );
    play(
        "a stop ends at its deadline when the broker is gone",
        &[
            (0, added(2), &[]),
            (5, Stop, &[Seal(1)]),
            (1_004, Tick, &[]),
            (1_005, Tick, &[Leave(Exit::Deadline)]),
        ],
    );
    play(
        "a second signal ends it at once",
        &[(0, added(2), &[]), (5, Stop, &[Seal(1)]), (6, StopNow, &[Leave(Exit::Deadline)])],
    );
    play(
        "a failed source ends it",
        &[(0, SourceFailed("gone".into()), &[Leave(Exit::Failed("gone".into()))])],
    );
    play(
        "so does another process in its place",
        &[(0, SourceFenced("twin".into()), &[Leave(Exit::Fenced("twin".into()))])],
    );
}

#[test]
fn a_newer_rule_set_is_adopted_between_two_epochs() {
    let committed = || Ended(EpochEnd::Committed);
    play("an idle lane adopts it at once", &[(0, Offered, &[Adopt]), (1, Tick, &[])]);
    play(
        "what is open is committed first, and nothing is added to it",
        &[(0, added(2), &[]), (5, Offered, &[Seal(1)]), (9, committed(), &[Adopt]), (10, added(1), &[])],
    );
    play(
        "so is what is in flight, and what has been read since",
        &[
            (0, added(10), &[Seal(1)]),
            (5, added(3), &[]),
            (6, Offered, &[]),
            (7, Offered, &[]),
            (8, committed(), &[Seal(2)]),
            (9, committed(), &[Adopt]),
            (10, Tick, &[]),
        ],
    );
    play(
        "what did not fit into the epoch that left is finished with the rules that read it",
        &[
            (0, added(2), &[]),
            (6, Offered, &[Seal(1)]),
            (6, added(1), &[]),
            (9, committed(), &[Seal(2)]),
            (12, committed(), &[Adopt]),
        ],
    );
    play(
        "after an abort it is adopted with everything rewound",
        &[
            (0, added(10), &[Seal(1)]),
            (5, added(3), &[]),
            (6, Offered, &[]),
            (8, rewound(), &[Discard(3), Rewind, Adopt]),
        ],
    );
    play(
        "a sink that takes long pauses the source meanwhile, so that the group is still served",
        &[
            (0, added(10), &[Seal(1)]),
            (5, Offered, &[]),
            (54, Tick, &[]),
            (55, Tick, &[Pause]),
            (90, committed(), &[Adopt, Resume]),
        ],
    );
    play(
        "partitions are given back first",
        &[
            (0, added(2), &[]),
            (5, Offered, &[Seal(1)]),
            (6, Revoked, &[]),
            (9, committed(), &[Unassign, Adopt]),
        ],
    );
    play(
        "a lane that stops adopts nothing any more",
        &[
            (0, added(2), &[]),
            (5, Offered, &[Seal(1)]),
            (6, Stop, &[]),
            (9, committed(), &[Leave(Exit::Stopped)]),
        ],
    );
    let mut cycle = Cycle::new(limits(), 1);
    cycle.step(0, added(10));
    assert!(cycle.wants_records());
    cycle.step(1, Offered);
    assert!(!cycle.wants_records(), "it waits for the end of what is in flight");
    cycle.step(2, committed());
    assert!(cycle.wants_records());
}

/// What must hold after any sequence of events.
#[derive(Debug, Clone)]
enum Move {
    Add(u64),
    Wait(u64),
    End(u8),
    Group(u8),
    Offer,
    Stop,
}

proptest::proptest! {
    #[test]
    fn any_sequence_keeps_the_promises(moves in proptest::collection::vec(
        proptest::prop_oneof![
            4 => (1u64..12).prop_map(Move::Add),
            4 => (0u64..300).prop_map(Move::Wait),
            3 => (0u8..6).prop_map(Move::End),
            2 => (0u8..3).prop_map(Move::Group),
            1 => proptest::strategy::Just(Move::Offer),
            1 => proptest::strategy::Just(Move::Stop),
        ], 1..60)) {
        use proptest::prelude::*;
        let mut cycle = Cycle::new(limits(), 1);
        let mut now = 0;
        let (mut open, mut flight, mut sealed) = (0u64, None::<u64>, 0u64);
        let (mut left, mut gap) = (false, false);
        for step in moves {
            prop_assert!(!(gap && cycle.wants_records()), "reads on behind a gap");
            let event = match step {
                Move::Add(n) if cycle.wants_records() => { open += n; added(n) }
                Move::Wait(ms) => { now += ms; Tick }
                Move::End(how) if flight.is_some() => {
                    flight = None;
                    match how { 0 => rewound(), _ => Ended(EpochEnd::Committed) }
                }
                Move::Group(0) => Assigned,
                Move::Group(1) => Revoked,
                Move::Group(_) => Lost,
                Move::Offer => Offered,
                Move::Stop => Stop,
                _ => Tick,
            };
            for action in cycle.step(now, event) {
                prop_assert!(!left, "nothing follows an exit");
                match action {
                    Seal(number) => {
                        prop_assert!(flight.is_none(), "two epochs with the sink");
                        prop_assert!(open > 0, "an empty epoch was sealed");
                        prop_assert!(!gap, "an epoch was sealed behind a gap");
                        prop_assert_eq!(number, sealed + 1, "epochs are numbered without gaps");
                        sealed = number;
                        flight = Some(number);
                        open = 0;
                    }
                    Discard(records) => {
                        prop_assert!(records > 0);
                        prop_assert_eq!(records, open);
                        (open, gap) = (0, true);
                    }
                    Unassign => prop_assert_eq!(open, 0, "partitions given back with open work"),
                    Leave(Exit::Stopped) => { prop_assert!(open == 0 && flight.is_none()); left = true; }
                    Leave(_) => left = true,
                    Adopt => prop_assert!(open == 0 && flight.is_none(), "rules changed inside an epoch"),
                    Rewind => {
                        prop_assert_eq!(open, 0, "rewound with open work");
                        prop_assert!(flight.is_none(), "rewound to what may still change");
                        gap = false;
                    }
                    Assign | Pause | Resume => {}
                }
            }
        }
    }
}

use proptest::strategy::Strategy as _;
