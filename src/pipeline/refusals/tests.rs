//! What each cause is for the cycle, and what the lane is told to do.

use std::time::Duration;

use super::*;
use crate::diagnostic::SourceFile;

fn pipeline(alerts: &str) -> Arc<Pipeline> {
    of(&["power", "rail"], alerts)
}

fn of(organisations: &[&str], alerts: &str) -> Arc<Pipeline> {
    let of = |org: &str| {
        format!(
            "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}\"\norganisation = \"{org}\"\n\
             topics = [\"in.{org}\"]\nformat = \"windows-json\"\n"
        )
    };
    let outputs = format!("[alerts]\ntopic = \"{alerts}\"\n[rejects]\ntopic = \"dead\"\n");
    let organisations: String = organisations.iter().map(|org| of(org)).collect();
    let text = format!("name = \"p\"\nrules = []\n{organisations}{outputs}");
    Arc::new(Pipeline::from_text(&SourceFile::new("pipeline.toml", text)).expect("a pipeline"))
}

fn ended(end: EpochEnd, next: i64) -> Ended {
    Ended {
        number: 1,
        end,
        offsets: vec![(Arc::from("in.rail"), 0, next)],
        took: Duration::ZERO,
        retries: 0,
        replaced: false,
        doubtful: false,
    }
}

fn refused(cause: Cause) -> EpochEnd {
    EpochEnd::Refused(Refusal { cause, why: "why".into() })
}

#[test]
fn one_organisation_s_topic_parks_it_and_a_shared_one_stops_the_lane() {
    let limits = ParkLimits { retry_ms: 100, retry_max_ms: 1_000 };
    let denied = |topic: &str| ended(refused(Cause::Topic(Arc::from(topic))), 5);
    for topic in ["dead", "alerts.mill"] {
        let mut refusals = Refusals::new(&pipeline("alerts.{org_id}"), 100, limits);
        let end = refusals.judge(&denied(topic), &Left::default(), 0);
        assert_eq!((end, refusals.held().len()), (EpochEnd::Failed("why".into()), 0), "{topic}");
    }
    let mut shared = Refusals::new(&pipeline("alerts"), 100, limits);
    assert_eq!(shared.judge(&denied("alerts"), &Left::default(), 0), EpochEnd::Failed("why".into()));

    let mut refusals = Refusals::new(&pipeline("alerts.{org_id}"), 100, limits);
    // Its suspects do not keep the others' epochs small.
    refusals.judge(&ended(refused(Cause::Record(Arc::from("alerts.rail"))), 5), &left(&refusals, 8, &[]), 0);
    assert_eq!(refusals.limit(), Some(4));
    let end = refusals.judge(&denied("alerts.rail"), &Left::default(), 10);
    assert_eq!(
        (end, refusals.held()),
        (refused(Cause::Topic(Arc::from("alerts.rail"))), BTreeSet::from([1]))
    );
    let elsewhere = Ended { offsets: vec![(Arc::from("in.power"), 0, 1)], ..ended(EpochEnd::Committed, 0) };
    refusals.judge(&elsewhere, &Left::default(), 11);
    assert_eq!(refusals.limit(), Some(8));
    let note =
        ParkNote { organisation: 1, topic: Arc::from("alerts.rail"), why: "why".into(), retry_ms: Some(90) };
    assert_eq!(refusals.notes(20), [note]);
    assert_eq!(
        refusals.judge(&denied("alerts.rail"), &Left::default(), 20),
        EpochEnd::Rewound("why".into()),
        "it is counted as an abort"
    );
    assert_eq!(
        refusals.judge(&denied("alerts.power"), &Left::default(), 20),
        EpochEnd::Failed("why".into()),
        "nobody would be left"
    );
    // It is tried again, and parked no more once something has arrived.
    assert!(!refusals.release(109, |_| false) && refusals.release(110, |_| false));
    assert!(refusals.held().is_empty());
    let output = |topic: &str| Output {
        topic: Arc::from(topic),
        key: None,
        value: None,
        headers: Vec::new(),
        timestamp_ms: None,
    };
    refusals.judge(&ended(EpochEnd::Committed, 9), &left(&refusals, 1, &[output("alerts.power")]), 120);
    assert_eq!(refusals.parks.tried().count(), 1);
    refusals.judge(&ended(EpochEnd::Committed, 9), &left(&refusals, 1, &[output("alerts.rail")]), 120);
    assert_eq!(refusals.parks.tried().count(), 0);
}

/// Who still waits when the pipeline has changed, and until when.
#[test]
fn a_changed_pipeline_frees_those_only_who_publish_elsewhere() {
    let limits = ParkLimits { retry_ms: 100, retry_max_ms: 1_000 };
    let mut refusals = Refusals::new(&pipeline("alerts.{org_id}"), 100, limits);
    refusals.park(1, &Arc::from("alerts.rail"), "why", 0);
    for (what, changed, expect) in [
        ("other rules", of(&["power", "rail"], "alerts.{org_id}"), Some(1)),
        ("it stands elsewhere", of(&["mill", "power", "rail"], "alerts.{org_id}"), Some(2)),
        ("it publishes elsewhere", of(&["power", "rail"], "found.{org_id}"), None),
        ("its topic is everybody's now", of(&["power", "rail"], "alerts.rail"), None),
        ("it is gone", of(&["power", "mill"], "alerts.{org_id}"), None),
        ("nobody else is left", of(&["rail"], "alerts.{org_id}"), None),
    ] {
        let renewed = refusals.renewed(&changed);
        let notes = renewed.notes(40);
        let found = notes.first().map(|note| (note.organisation, note.retry_ms));
        assert_eq!(found, expect.map(|at| (at, Some(60))), "{what}");
        assert_eq!(renewed.held(), expect.into_iter().collect(), "{what}");
    }
    // One that is tried again is no less tried for it, and is parked for longer when it is in vain.
    refusals.release(100, |_| false);
    let mut renewed = refusals.renewed(&of(&["power", "rail"], "alerts.{org_id}"));
    assert!(renewed.held().is_empty());
    renewed.park(1, &Arc::from("alerts.rail"), "why", 100);
    assert_eq!(renewed.notes(100).first().and_then(|note| note.retry_ms), Some(200));
}

fn left(refusals: &Refusals, records: u64, outputs: &[Output]) -> Left {
    refusals.leaves(records, outputs)
}

#[test]
fn a_record_is_looked_for_and_the_brokers_are_not_blamed_on_one() {
    let mut refusals = Refusals::new(&pipeline("alerts"), 100, ParkLimits::default());
    let record = |topic: &str| refused(Cause::Record(Arc::from(topic)));
    let rail: Arc<str> = Arc::from("in.rail");
    for (records, topic, end, limit, bare) in [
        (4, "alerts", record("alerts"), 2, None),
        (2, "alerts", record("alerts"), 1, None),
        // Alone: nothing of it but a dead letter, and then a bare one.
        (1, "alerts", record("alerts"), 1, Some(false)),
        (1, "dead", record("dead"), 1, Some(true)),
    ] {
        let left = left(&refusals, records, &[]);
        assert_eq!(refusals.judge(&ended(record(topic), 5), &left, 0), end, "{records} {topic}");
        assert_eq!(refusals.limit(), Some(limit));
        assert_eq!(refusals.sentence(&rail, 0, 4).map(|sentence| sentence.bare), bare);
    }
    let alone = left(&refusals, 1, &[]);
    let EpochEnd::Failed(why) = refusals.judge(&ended(record("dead"), 5), &alone, 0) else {
        panic!("the lane goes on")
    };
    assert!(why.contains("in.rail/0/4") && why.contains("why"), "{why}");

    // A dead letter that is refused is bare at once.
    let mut refusals = Refusals::new(&pipeline("alerts"), 1, ParkLimits::default());
    for _ in 0..2 {
        let left = left(&refusals, 1, &[]);
        refusals.judge(&ended(record("dead"), 5), &left, 0);
    }
    assert!(refusals.sentence(&rail, 0, 4).is_some_and(|sentence| sentence.bare));

    // What is not delivered in time is no record's fault, however small the epoch.
    let mut refusals = Refusals::new(&pipeline("alerts"), 100, ParkLimits::default());
    for (records, end) in [
        (2, refused(Cause::TooSlow)),
        (1, EpochEnd::Rewound("why".into())),
        (1, EpochEnd::Rewound("why".into())),
    ] {
        let left = left(&refusals, records, &[]);
        assert_eq!(refusals.judge(&ended(refused(Cause::TooSlow), 5), &left, 0), end);
        assert_eq!((refusals.limit(), refusals.sentence(&rail, 0, 4)), (Some(1), None));
    }
    // Others read the partition now, and have committed it.
    refusals.keep(&[]);
    refusals.through(&[]);
}
