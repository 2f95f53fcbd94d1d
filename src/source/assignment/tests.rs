//! Where partitions begin, and what the book of positions says of them.

use super::*;

#[test]
fn where_a_partition_begins() {
    let facts = |committed| Facts { committed, low: 10, high: 50, kin: Kin::None, recreated: false };
    for (committed, start, expect) in [
        (Some(20), Start::Error, Begin::At(20)),
        (Some(20), Start::Latest, Begin::At(20)),
        (Some(10), Start::Error, Begin::At(10)),
        (Some(50), Start::Error, Begin::At(50)),
        (Some(9), Start::Earliest, Begin::OutOfRange { committed: 9 }),
        (Some(51), Start::Latest, Begin::OutOfRange { committed: 51 }),
        (None, Start::Earliest, Begin::At(10)),
        (None, Start::Latest, Begin::At(50)),
        (None, Start::Error, Begin::Undeclared),
    ] {
        assert_eq!(begin(facts(committed), start), expect, "{committed:?} {start:?}");
        assert_eq!(begin(Facts { recreated: true, ..facts(committed) }, start), Begin::Recreated);
    }
}

#[test]
fn a_partition_that_was_added_begins_at_its_first_record() {
    let (low, high) = (Begin::At(0), Begin::At(7));
    // What the others were begun with; which partition; where it begins with latest, and with error.
    for (what, others, partition, latest, error) in [
        ("a first start", vec![], 1, high, Begin::Undeclared),
        ("others begin at the same time", vec![Some(4), Some(4)], 3, high, Begin::Undeclared),
        ("from 2 to 4", vec![Some(2), Some(2)], 2, low, low),
        ("from 2 to 4, one of the new is begun", vec![Some(2), Some(4)], 3, low, low),
        ("from 2 to 4 to 6", vec![Some(2), Some(2), Some(4), Some(4)], 4, low, low),
        ("offsets set by hand", vec![None, None], 2, low, Begin::Undeclared),
        ("some set by hand", vec![None, Some(4)], 2, low, Begin::Undeclared),
        ("some set by hand, another way round", vec![Some(4), None], 2, low, Begin::Undeclared),
        ("some set by hand, one tells", vec![None, Some(2)], 2, low, low),
    ] {
        let facts = Facts { committed: None, low: 0, high: 7, kin: kin(partition, others), recreated: false };
        assert_eq!(begin(facts, Start::Earliest), low, "{what}");
        assert_eq!(begin(facts, Start::Latest), latest, "{what}");
        assert_eq!(begin(facts, Start::Error), error, "{what}");
        // What is committed goes before all that.
        assert_eq!(begin(Facts { committed: Some(5), ..facts }, Start::Latest), Begin::At(5), "{what}");
    }
}

#[test]
fn what_is_held_is_not_read_moved_or_believed_and_stays_visible() {
    let mut positions = Positions::default();
    positions.take("a", 0, Some(0), 5, Some(5));
    positions.take("a", 1, Some(0), 7, Some(7));
    positions.hold("a", 1, Hold::Firm);
    assert_eq!((positions.slot("a", 0).is_some(), positions.slot("a", 1)), (true, None));
    assert_eq!((positions.believed("a", 0), positions.believed("a", 1)), (Some(5), None));
    assert_eq!(positions.rewind(|_, _| Some(3)), [(Arc::from("a"), 0, 3)]);
    assert_eq!(positions.owned().len(), 1);
    let held: Vec<(i32, i64, bool)> =
        positions.status().iter().map(|found| (found.partition, found.next, found.held)).collect();
    assert_eq!(held, [(0, 3, false), (1, 7, true)]);
    positions.take("a", 1, Some(0), 9, None);
    assert_eq!(positions.owned().len(), 2, "taken anew, it is read");
}

#[test]
fn what_waits_for_its_topic_is_not_read_and_keeps_its_position() {
    // How it is held; what is believed of it; where a rewind takes it; whether it is read on without being taken anew.
    for (hold, believed, next, read) in
        [(Hold::Waiting, Some(5), 3, true), (Hold::Unbegun, None, 9, false), (Hold::Firm, None, 9, false)]
    {
        let mut positions = Positions::default();
        positions.take("a", 0, Some(0), 5, Some(5));
        let slot = positions.slot("a", 0).expect("owned");
        positions.read(slot, 8);
        positions.hold("a", 0, hold);
        assert_eq!((positions.is_read(slot), positions.slot("a", 0)), (false, None), "{hold:?}");
        assert_eq!(positions.held(hold), [(Arc::from("a"), 0, 9)], "{hold:?}");
        assert_eq!(positions.believed("a", 0), believed, "{hold:?}");
        assert_eq!(positions.standing().len(), usize::from(read), "{hold:?}");
        assert_eq!(positions.rewind(|_, _| Some(3)), [], "{hold:?}: nothing is to be moved now");
        assert_eq!(positions.held(hold), [(Arc::from("a"), 0, next)], "{hold:?}");
        positions.read_on("a", 0);
        assert_eq!(positions.slot("a", 0).is_some(), read, "{hold:?}");
        positions.give("a", 0);
        assert!(positions.held(hold).is_empty() && positions.standing().is_empty(), "{hold:?}");
    }
}

#[test]
fn positions_go_back_to_what_is_committed_or_to_the_beginning() {
    let mut positions = Positions::default();
    positions.take("a", 0, Some(0), 5, Some(5));
    positions.take("a", 1, Some(0), 7, None);
    let (zero, one) = (positions.slot("a", 0).expect("owned"), positions.slot("a", 1).expect("owned"));
    positions.read(zero, 8);
    positions.read(one, 9);
    let back = positions.rewind(|_, partition| (partition == 0).then_some(6));
    let back: Vec<(i32, i64)> = back.into_iter().map(|(_, partition, offset)| (partition, offset)).collect();
    assert_eq!(back, [(0, 6), (1, 7)]);
    let of = |positions: &Positions, source| {
        positions.of(|found| found == source).into_iter().map(|(_, at, next)| (at, next)).collect::<Vec<_>>()
    };
    assert_eq!((of(&positions, 0), of(&positions, 1)), (vec![(0, 6), (1, 7)], vec![]));
    positions.give("a", 0);
    assert_eq!(of(&positions, 0), [(1, 7)]);
    assert_eq!(positions.slot("a", 0), None);
    assert_eq!(positions.owned().len(), 1);
    positions.take("a", 0, Some(0), 20, Some(20));
    assert_eq!(positions.slot("a", 0), Some(zero), "a partition keeps its slot");
}

#[test]
fn partitions_follow_their_sources_and_without_one_are_held_unread() {
    let mut positions = Positions::default();
    for topic in ["a", "b", "c"] {
        positions.take(topic, 0, Some(0), 5, Some(5));
    }
    let source = |positions: &Positions, topic: &str| Some(positions.place(positions.slot(topic, 0)?)?.2);
    let sources = |positions: &Positions| ["a", "b", "c"].map(|topic| source(positions, topic));
    let read = |positions: &Positions| positions.owned().len();
    // `b` goes, `c` has another source.
    let only = |kept: [Option<usize>; 3]| {
        move |topic: &str| kept[["a", "b", "c"].iter().position(|known| *known == topic).expect("known")]
    };
    assert!(positions.declare(only([Some(0), None, Some(1)])).is_empty());
    assert_eq!((sources(&positions), read(&positions)), ([Some(0), None, Some(1)], 2));
    assert_eq!(positions.rewind(|_, _| Some(4)).len(), 2, "what is held is not moved");
    // It comes again before the group has taken it: asked for until it is taken anew.
    for _ in 0..2 {
        let again = positions.declare(only([Some(0), Some(2), Some(1)]));
        assert_eq!(again, [(Arc::from("b"), 0)]);
        assert_eq!(sources(&positions), [Some(0), None, Some(1)]);
    }
    positions.take("b", 0, Some(2), 9, Some(9));
    assert_eq!((sources(&positions), read(&positions)), ([Some(0), Some(2), Some(1)], 3));
    // What the group has taken stays away, also when it was held.
    positions.declare(only([None, None, Some(1)]));
    positions.give("a", 0);
    assert_eq!(positions.declare(only([Some(0), Some(0), Some(0)])), [(Arc::from("b"), 0)]);
    assert_eq!((sources(&positions), read(&positions)), ([None, None, Some(0)], 1));
}

/// What is left to read, by what is committed, read and known of the end.
#[test]
fn lag_is_what_could_be_read_and_is_not() {
    // Committed, the last that was read, whether all that was fetched was handed on.
    for (what, committed, read, drained, expect) in [
        ("nothing was fetched yet", Some(10), None, false, 20),
        ("nothing is committed yet", None, None, false, 20),
        ("nothing is committed yet, and some of it is open", None, Some(14), false, 20),
        ("all of it is open, and nothing committed", None, Some(29), true, 20),
        ("some of it is open", Some(10), Some(14), false, 20),
        ("the rest was aborted, or is a transaction's marker", Some(15), Some(14), true, 0),
        ("likewise, before anything was read", Some(10), None, true, 0),
        ("likewise, and not committed yet", Some(10), Some(14), true, 20),
    ] {
        let mut positions = Positions::default();
        positions.take("in", 0, Some(0), 10, committed);
        assert_eq!(positions.status()[0].lag, None, "{what}: the end is not known");
        if let Some(offset) = read {
            positions.read(0, offset);
        }
        // The first statistics may be older than the position.
        positions.end("in", 0, 30, 0, drained);
        assert_ne!(positions.status()[0].lag, Some(0), "{what}: the position was just taken");
        positions.end("in", 0, 30, 0, drained);
        assert_eq!(positions.status()[0].lag, Some(expect), "{what}");
        positions.end("in", 0, 31, 0, false);
        assert_ne!(positions.status()[0].lag, Some(0), "{what}: something comes");
    }
    let mut positions = Positions::default();
    positions.take("in", 0, Some(0), 10, Some(10));
    (0..2).for_each(|_| positions.end("in", 0, 30, 0, true));
    assert_eq!(positions.status()[0].lag, Some(0));
    positions.rewind(|_, _| Some(10));
    assert_eq!(positions.status()[0].lag, Some(20), "what was open is read again");
    positions.end("in", 0, 30, 0, true);
    assert_eq!(positions.status()[0].lag, Some(20), "these statistics may be older than the rewind");
}

/// What is not fetched, as it belongs to somebody who is parked, has the lag that readers would have.
#[test]
fn what_is_parked_keeps_its_lag() {
    for (what, committed, low, expect) in [
        ("all is there", Some(12), 0, 28),
        ("nothing is committed", None, 0, 30),
        ("some was deleted meanwhile", Some(12), 20, 20),
        ("all of it was", Some(12), 40, 0),
    ] {
        let mut positions = Positions::default();
        positions.take("in", 0, Some(0), 10, committed);
        positions.read(0, 14);
        positions.measure("in", 0, low, 40, false);
        assert_eq!(positions.status()[0].lag, Some(expect), "{what}");
    }
}

/// What is held has its lag too: all that is still there.
#[test]
fn what_is_held_keeps_its_lag() {
    for (what, next, low, end, anew, expect) in [
        ("records were deleted", 10, 12, 40, false, 28),
        ("the position is behind the end", 50, 12, 40, false, 0),
        ("another topic has the name", 10, 0, 7, true, 7),
        ("likewise, beyond its end", 50, 3, 7, true, 4),
    ] {
        let mut positions = Positions::default();
        positions.take("in", 0, Some(0), next, Some(next));
        positions.hold("in", 0, Hold::Firm);
        positions.measure("in", 0, low, end, anew);
        let status = &positions.status()[0];
        assert_eq!((status.next, status.lag), (next, Some(expect)), "{what}");
    }
}
