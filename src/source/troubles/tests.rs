//! When troubles begin and end, and what is said of them.

use super::*;

fn id(text: &str) -> TopicId {
    TopicId(Arc::from(text))
}

fn present(text: &str) -> Found {
    Found::Present { id: (text != "-").then(|| id(text)), partitions: 2 }
}

fn troubles() -> Troubles {
    Troubles::new(Duration::from_secs(60))
}

/// Kinds and places.
fn told(troubles: &Troubles) -> Vec<String> {
    let notes = troubles.notes();
    notes.iter().map(|note| format!("{} {:?} {}", note.topic, note.partition, note.trouble.kind())).collect()
}

#[test]
fn a_topic_is_what_was_first_seen_under_its_name() {
    use Found::{Missing, Unknown};
    for (what, looks, expect) in [
        ("always the same", vec![present("a"), present("a")], vec!["", ""]),
        ("never there, then made", vec![Missing, present("a")], vec!["missing", ""]),
        ("away, and the same again", vec![present("a"), Missing, present("a")], vec!["", "missing", ""]),
        (
            "deleted, then made anew",
            vec![present("a"), Missing, Unknown, present("b"), present("b")],
            vec!["", "missing", "missing", "recreated", "recreated"],
        ),
        ("made anew between two looks", vec![present("a"), present("b")], vec!["", "recreated"]),
        (
            "made anew, then deleted: what was read is gone all the same",
            vec![present("a"), present("b"), Missing, present("a")],
            vec!["", "recreated", "recreated", "recreated"],
        ),
        ("nobody says", vec![Unknown, present("a"), Unknown], vec!["", "", ""]),
        ("a broker without ids", vec![present("-"), Missing, present("-")], vec!["", "missing", ""]),
    ] {
        let mut troubles = troubles();
        let seen: Vec<&str> =
            looks.iter().map(|look| troubles.look("t", look).map_or("", Trouble::kind)).collect();
        assert_eq!(seen, expect, "{what}");
    }
}

#[test]
fn offsets_belong_to_the_topic_that_they_were_committed_in() {
    for (what, first, began, now, expect) in [
        ("as it began", None, Some("a"), present("a"), false),
        ("another one since the commit", None, Some("a"), present("b"), true),
        ("the stamp knows better than the lane", Some("a"), Some("b"), present("b"), false),
        ("no stamp, and seen before", Some("a"), None, present("b"), true),
        ("no stamp, the same", Some("a"), None, present("a"), false),
        ("no stamp, first seen now", None, None, present("a"), false),
        ("not there", Some("a"), Some("a"), Found::Missing, false),
        ("a broker without ids", Some("-"), Some("a"), present("-"), false),
    ] {
        let mut troubles = troubles();
        if let Some(first) = first {
            troubles.look("t", &present(first));
        }
        assert_eq!(troubles.recreated("t", began.map(id).as_ref(), &now), expect, "{what}");
        let noted = troubles.of_topic("t") == Some(&Trouble::Recreated);
        assert_eq!(noted, expect, "{what}: it is told");
        if expect {
            troubles.look("t", &now);
            assert_eq!(troubles.of_topic("t"), Some(&Trouble::Recreated), "{what}: it stays so");
        }
    }
}

#[test]
fn a_partition_waits_while_its_topic_is_missing_and_is_read_when_the_same_is_back() {
    use Found::{Missing, Unknown};
    use Means::{Hold, Nothing, Read, Wait};
    for (what, began, looks, expect) in [
        ("always there", Some("a"), vec![present("a"), present("a")], vec![Read, Read]),
        (
            "a broker that was wrong for a moment",
            Some("a"),
            vec![present("a"), Missing, Missing, present("a")],
            vec![Read, Wait, Wait, Read],
        ),
        ("made anew", Some("a"), vec![present("a"), Missing, present("b")], vec![Read, Wait, Hold]),
        ("and not stamped", None, vec![present("a"), Missing, present("b")], vec![Read, Wait, Hold]),
        (
            "made anew, and gone again",
            Some("a"),
            vec![present("a"), present("b"), Missing, present("b")],
            vec![Read, Hold, Wait, Hold],
        ),
        (
            "nobody says",
            Some("a"),
            vec![Unknown, Missing, Unknown, present("a")],
            vec![Nothing, Wait, Nothing, Read],
        ),
        ("never seen before", None, vec![Missing, present("a")], vec![Wait, Read]),
        ("never seen before, the stamp knows", Some("a"), vec![Missing, present("b")], vec![Wait, Hold]),
        (
            "a broker without ids",
            Some("-"),
            vec![present("-"), Missing, present("-")],
            vec![Read, Wait, Read],
        ),
    ] {
        let mut troubles = troubles();
        let began = began.filter(|began| *began != "-").map(id);
        let seen: Vec<Means> = looks
            .iter()
            .map(|look| {
                troubles.look("t", look);
                troubles.means("t", began.as_ref(), look)
            })
            .collect();
        assert_eq!(seen, expect, "{what}");
    }
}

#[test]
fn a_transaction_holds_back_when_the_stable_end_stands_still_for_long() {
    let start = Instant::now();
    let mut troubles = troubles();
    for (what, at, stable, high, expect) in [
        ("nothing open", 0, 10, 10, vec![]),
        ("one is open", 1, 10, 12, vec![]),
        ("for a while", 60, 10, 20, vec![]),
        ("for too long", 61, 10, 30, vec!["t Some(3) held_back"]),
        ("and on", 200, 10, 99, vec!["t Some(3) held_back"]),
        ("the next one", 201, 50, 99, vec![]),
        ("is short", 259, 98, 99, vec![]),
        ("and again", 300, 100, 101, vec![]),
        ("all is through", 301, 101, 101, vec![]),
        ("another one", 500, 101, 102, vec![]),
        ("too long again", 560, 101, 102, vec!["t Some(3) held_back"]),
    ] {
        troubles.ends(start + Duration::from_secs(at), "t", 3, stable, high);
        assert_eq!(told(&troubles), expect, "{what}");
    }
    troubles.forget("t", 3);
    assert!(troubles.notes().is_empty(), "whoever has the partition now tells of it");
}

#[test]
fn each_trouble_is_named_with_its_place_and_what_to_do() {
    let mut troubles = troubles();
    let gone = Trouble::OutOfRange { next: 5, low: 12, high: 40 };
    let beyond = Trouble::OutOfRange { next: 50, low: 0, high: 40 };
    assert_eq!((gone.lost(), beyond.lost()), (7, 0));
    troubles.hold("in.b", 1, gone);
    troubles.hold("in.b", 2, beyond);
    troubles.hold("in.a", 4, Trouble::Missing);
    troubles.hold("in.c", 0, Trouble::Recreated);
    troubles.look("in.a", &Found::Missing);
    troubles.look("in.c", &present("a"));
    troubles.look("in.c", &present("b"));
    let told: Vec<String> = troubles.notes().iter().map(TroubleNote::to_string).collect();
    assert_eq!(
        told,
        [
            "the topic `in.a` is not there (any more): nothing of it is read",
            "in.a/4 is not read: its topic was deleted, and the group's offset with it",
            "in.b/1 is not read: it holds offsets 12 to 40, and 5 was next; 7 records were deleted before they were \
             read; reset the group's offset to go on",
            "in.b/2 is not read: it holds offsets 0 to 40, and 50 was next; the topic was cut short or made anew; \
             reset the group's offset to go on",
            "the topic `in.c` was deleted and made anew: nothing of it is read until the group's offsets are reset",
        ]
    );
    troubles.forget("in.b", 1);
    troubles.forget("in.a", 4);
    troubles.keep_topics(|topic| topic != "in.a");
    let kinds: Vec<&str> = troubles.notes().iter().map(|note| note.trouble.kind()).collect();
    assert_eq!(kinds, ["out_of_range", "recreated"]);
    assert!(kinds.iter().all(|kind| Trouble::KINDS.contains(kind)));
}
