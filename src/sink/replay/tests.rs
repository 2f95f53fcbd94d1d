//! Which rejects go back, and as what.

use super::super::dead_letter::letter::tests::{header, letter, stored};
use super::*;

fn input() -> Input {
    Input { source: "windows".into(), org_id: "power".into(), reject_topic: "dead".into(), partitions: 4 }
}

#[test]
fn each_refusal_has_its_cause() {
    let plain = stored(Vec::new(), b"{", 100);
    let third = stored(vec![header(ATTEMPT, "3")], b"{", 100);
    let cut = stored(Vec::new(), b"abcdef", 3);
    let lost = stored(vec![header("a", &"x".repeat(9_000))], b"{", 100);
    for (what, stored, input, attempts_max, expect) in [
        ("good", &plain, Some(input()), 3, None),
        ("the last attempt but one", &plain, Some(input()), 2, None),
        ("the last", &plain, Some(input()), 1, Some(Refusal::Attempts)),
        ("the third of three", &third, Some(input()), 3, Some(Refusal::Attempts)),
        ("the third of four", &third, Some(input()), 4, None),
        ("cut", &cut, Some(input()), 3, Some(Refusal::Cut)),
        ("without its headers", &lost, Some(input()), 3, Some(Refusal::EnvelopeLost)),
        ("nobody reads its topic", &plain, None, 3, Some(Refusal::NoSource)),
        (
            "another source",
            &plain,
            Some(Input { source: "ids".into(), ..input() }),
            3,
            Some(Refusal::OtherSource),
        ),
        (
            "another organisation",
            &plain,
            Some(Input { org_id: "rail".into(), ..input() }),
            3,
            Some(Refusal::OtherSource),
        ),
        (
            "in another's dead-letter topic",
            &plain,
            Some(Input { reject_topic: "dead.rail".into(), ..input() }),
            3,
            Some(Refusal::OtherSource),
        ),
    ] {
        let decided = decide(stored, &letter(stored), input.as_ref(), attempts_max);
        assert_eq!(decided.err(), expect, "{what}");
    }
}

#[test]
fn what_goes_back_is_the_original_with_its_attempt() {
    let originals = vec![header("a", "1"), header("a", "2"), header("__connect.errors.topic", "in.rail")];
    for (attempt, partitions, expect, partition) in
        [(None, 4, "2", Some(2)), (Some("2"), 4, "3", Some(2)), (Some("7"), 2, "8", None)]
    {
        let said = attempt.map(|attempt| header(ATTEMPT, attempt));
        let stored = stored(said.into_iter().chain(originals.clone()).collect(), b"\xff{", 100);
        let input = Input { partitions, ..input() };
        let [again, mark] = decide(&stored, &letter(&stored), Some(&input), 100).expect("it may go");
        let headers = originals.iter().cloned().chain([header(ATTEMPT, expect)]).collect();
        let (key, value) = (Some(b"k".to_vec()), Some(b"\xff{".to_vec()));
        assert_eq!(again, Placed { topic: "in.power".into(), partition, key, value, headers });
        assert_eq!((mark.topic.as_str(), mark.partition, mark.value), ("dead", Some(0), None));
    }
}
