//! Dead letters on a real broker: listed, shown, sent in again exactly once, and what a flood of them does.

use std::collections::BTreeMap;

use rdkafka::message::{Headers, Message, OwnedMessage};
use serde_json::{Value, json};

use super::delivery::{Setup, identity, repository};
use super::kafka::{Broker, Record, broker};
use super::process::{Finished, Running, WAIT_MAX, finish, get, program};

/// What the rule finds.
const GOOD: &[u8] =
    br#"{"Channel":"Security","EventID":1102,"Hostname":"h","EventTime":"2026-01-02 03:04:05"}"#;
/// The same, nested too deeply for a limit of four.
const DEEP: &[u8] =
    br#"{"Channel":"Security","EventID":1102,"Hostname":"h","EventTime":"2026-01-02 03:04:05","a":{"a":{"a":{"a":{}}}}}"#;
/// An event that no rule finds.
const QUIET: &[u8] = br#"{"Channel":"Security","EventID":4624,"EventTime":"2026-01-02 03:04:05"}"#;
const RULE: &str = "rules/windows/security_log_cleared.sql";

fn dlq(setup: &Setup, broker: &Broker, words: &[&str]) -> Finished {
    let mut command = program();
    command.arg("dlq").args(words).arg("--pipeline").arg(setup.folder.path());
    finish(command.args(["--set", &format!("kafka.bootstrap_servers={}", broker.plaintext)]))
}

fn document(done: &Finished) -> Value {
    serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {}{}", done.out, done.err))
}

fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let found = message.headers()?.iter().filter(|header| header.key == name).last()?;
    found.value.map(|value| String::from_utf8_lossy(value).into_owned())
}

/// Runs the pipeline until so many records are in its dead-letter topic, and as many alerts in theirs; then stops it.
fn run_until(setup: &Setup, broker: &Broker, settings: &[&str], letters: usize, alerts: usize) {
    let mut running = setup.run(broker, 1, settings);
    running.runs_until("the epochs to end", || {
        broker.committed_now(&setup.rejects).len() >= letters
            && broker.committed_now(&setup.alerts).len() >= alerts
    });
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(broker.committed_now(&setup.rejects).len(), letters, "{log}");
    assert_eq!(broker.committed_now(&setup.alerts).len(), alerts, "{log}");
}

#[test]
fn rejects_are_listed_shown_and_sent_in_again_until_the_limit() {
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let topic = setup.topic("power");
    let steering = b"no JSON \x1b[2J\xff";
    let keyed = Record {
        key: Some(b"the key".to_vec()),
        headers: vec![("kept".into(), b"1".to_vec()), ("kept".into(), b"2".to_vec())],
        ..Record::new(1, steering)
    };
    let large = vec![b'x'; 5_000];
    let records = [Record::new(0, GOOD), keyed, Record::new(2, DEEP), Record::new(2, large.clone())];
    broker.produce(&topic, records);
    broker.produce(&setup.topic("rail"), [Record::new(3, "")]);
    run_until(&setup, broker, &["limits.depth_max=4", "limits.reject_bytes_max=2000"], 4, 1);

    // List.
    let all = document(&dlq(&setup, broker, &["list", "--format", "json"]));
    let code = |code: &str| {
        let rows = all["rejects"].as_array().expect("rows");
        rows.iter().find(|row| row["code"] == code).unwrap_or_else(|| panic!("{code}: {all:#}")).clone()
    };
    let totals = all["totals"].as_array().expect("totals");
    assert_eq!((all["rejects"].as_array().map(Vec::len), totals.len()), (Some(4), 4), "{all:#}");
    let deep = code("too_deep");
    assert_eq!(
        (&deep["id"], &deep["org_id"], &deep["source"], &deep["attempt"], &deep["bytes"]),
        (
            &json!(format!("{topic}/2/0")),
            &json!("power"),
            &json!("power-windows"),
            &json!(1),
            &json!(DEEP.len())
        )
    );
    for (words, count) in [
        (&["--org", "rail"][..], 1),
        (&["--source", "power-windows"], 3),
        (&["--code", "syntax"], 1),
        (&["--org", "rail", "--code", "syntax"], 0),
        (&["--since", "1h"], 4),
        (&["--until", "1h"], 0),
        (&["--limit", "1"], 1),
    ] {
        let words = [&["list", "--format", "json"], words].concat();
        let listed = document(&dlq(&setup, broker, &words));
        assert_eq!(listed["rejects"].as_array().map(Vec::len), Some(count), "{words:?}: {listed:#}");
    }
    for (words, said) in [
        (
            ["--org", "nope"],
            "has no organisation `nope`, and no reject of it was found; the pipeline has: ministry, power, rail",
        ),
        (
            ["--source", "nope"],
            "has no source `nope`, and no reject of it was found; the pipeline has: ministry-windows, ",
        ),
        (["--code", "nope"], "there is no reject code `nope`; known: empty, "),
    ] {
        for command in ["list", "replay"] {
            let refused = dlq(&setup, broker, &[&[command], &words[..]].concat());
            assert!(
                refused.code == Some(2) && refused.err.contains(said),
                "{command} {words:?}: {}",
                refused.err
            );
            assert_eq!(refused.out, "");
        }
    }
    let listed = dlq(&setup, broker, &["list"]);
    assert!(listed.code == Some(0) && listed.err.is_empty(), "{}", listed.err);
    assert!(listed.out.contains("4 rejects, 0 of them sent in again"), "{}", listed.out);

    // Another pipeline has the same dead-letter topic, and of the sources only one.
    let other = tempfile::tempdir().expect("a folder");
    let text = format!(
        "[[organisation]]\nid = 'rail'\nname = 'r'\n[[source]]\nid = 'r'\norganisation = 'rail'\ntopics = ['{}']\n\
         format = 'windows-json'\n[rejects]\ntopic = '{}'\n",
        setup.topic("rail"),
        setup.rejects
    );
    std::fs::write(other.path().join("pipeline.toml"), text).expect("writes the pipeline");
    std::fs::create_dir(other.path().join("rules")).expect("a folder");
    for (words, rejects, foreign) in [(&[][..], 1, 3), (&["--foreign"], 4, 0), (&["--org", "power"], 0, 3)] {
        let mut list = program();
        list.args(["dlq", "list", "--format", "json"]).args(words).arg("--pipeline").arg(other.path());
        list.args(["--set", &format!("kafka.bootstrap_servers={}", broker.plaintext)]);
        let listed = document(&finish(&mut list));
        let found = (listed["rejects"].as_array().map(Vec::len), &listed["foreign"]);
        assert_eq!(found, (Some(rejects), &json!(foreign)), "{words:?}: {listed:#}");
    }

    // Show, by position and by id.
    let of_key = format!("{topic}/1/0");
    let rows = all["rejects"].as_array().expect("rows");
    let keyed = rows.iter().find(|row| row["id"] == of_key.as_str()).expect("the record with a key");
    let position = keyed["position"].as_str().expect("a position").to_owned();
    for name in [&position, &of_key] {
        let shown = dlq(&setup, broker, &["show", name]);
        assert_eq!(shown.code, Some(0), "{}", shown.err);
        for part in
            ["no JSON \\u001b[2J\\xff", "key           the key", "header        kept: 2", "sent in again no"]
        {
            assert!(shown.out.contains(part), "{part} is not in\n{}", shown.out);
        }
        assert!(!shown.out.contains('\x1b'));
    }
    let mut raw = program();
    raw.args(["dlq", "show", &position, "--raw", "--pipeline"]).arg(setup.folder.path());
    raw.args(["--set", &format!("kafka.bootstrap_servers={}", broker.plaintext)]);
    assert_eq!(raw.output().expect("runs").stdout, steering);
    let nothing = dlq(&setup, broker, &["show", &format!("{}/0/9999", setup.rejects)]);
    assert!(nothing.code == Some(1) && nothing.err.contains("there is no reject"), "{}", nothing.err);

    // What is not there cannot be sent.
    let (absent, elsewhere) = (format!("{}/0/9999", setup.rejects), "nowhere/0/77");
    for dry in [&[][..], &["--dry-run"]] {
        let done = dlq(&setup, broker, &[&["replay", &absent, elsewhere, "--format", "json"], dry].concat());
        assert_eq!(done.code, Some(1), "{}", done.err);
        let report = document(&done);
        assert_eq!(
            (&report["sent"], &report["refused"]),
            (&json!(0), &json!({ "not_found": 2 })),
            "{report:#}"
        );
        assert_eq!(report["refusals"][0]["position"], absent.as_str().min(elsewhere));
    }
    let found = dlq(&setup, broker, &["replay", &position, &absent, &of_key, "--dry-run", "--limit", "1"]);
    assert_eq!(found.code, Some(1), "{}", found.err);
    assert!(
        found.out.ends_with(&format!(
            "refused: {absent}: there is no such reject, or the filters leave it out\n\
         1 would be sent, 1 refused, 0 sent before\n"
        )),
        "{}",
        found.out
    );

    // A dry run sends nothing.
    let ends = broker.end_offsets(&topic);
    let dry = dlq(&setup, broker, &["replay", "--org", "power", "--dry-run"]);
    assert!(
        dry.code == Some(1) && dry.out.contains("2 would be sent, 1 refused, 0 sent before"),
        "{}",
        dry.out
    );
    assert_eq!((broker.end_offsets(&topic), broker.committed_now(&setup.rejects).len()), (ends, 4));

    // Two of the organisation's three go, the one that was cut is named. The second time there is nothing left.
    for (sent, before) in [(2, 0), (0, 2)] {
        let done = dlq(&setup, broker, &["replay", "--org", "power", "--format", "json"]);
        assert_eq!(done.code, Some(1), "{}", done.err);
        let report = document(&done);
        assert_eq!((&report["sent"], &report["sent_before"]), (&json!(sent), &json!(before)), "{report:#}");
        assert_eq!(report["refused"], json!({ "cut": 1 }));
        assert_eq!(report["refusals"][0]["id"], format!("{topic}/2/1"));
    }
    assert_eq!(broker.committed_now(&topic).len(), 6, "four and two");
    let listed = dlq(&setup, broker, &["list"]);
    assert!(listed.out.contains("4 rejects, 2 of them sent in again"), "{}", listed.out);

    // The deep one is good now and alerts once; the other comes back as it was, as the second attempt, and the third.
    for (attempt, letters) in [("2", 7), ("3", 9)] {
        run_until(&setup, broker, &[], letters, 2);
        let again: Vec<OwnedMessage> = broker
            .committed_now(&setup.rejects)
            .into_iter()
            .filter(|letter| header(letter, "noroshi-reject-attempt").as_deref() == Some(attempt))
            .collect();
        assert_eq!(again.len(), 1, "attempt {attempt}");
        let again = &again[0];
        assert_eq!((again.key(), again.payload()), (Some(&b"the key"[..]), Some(&steering[..])));
        assert_eq!(header(again, "noroshi-attempt").as_deref(), Some(attempt));
        let names: Vec<&str> = again.headers().expect("headers").iter().map(|header| header.key).collect();
        assert_eq!(names[..4], ["kept", "kept", "noroshi-attempt", "__connect.errors.topic"]);
        assert_eq!(
            header(again, "__connect.errors.partition").as_deref(),
            Some("1"),
            "its partition is kept"
        );
        let done = dlq(&setup, broker, &["replay", "--code", "not_utf8", "--format", "json"]);
        let report = document(&done);
        let refused = if attempt == "3" { json!({ "attempts": 1 }) } else { json!({}) };
        let sent = if attempt == "3" { 0 } else { 1 };
        assert_eq!((&report["refused"], &report["sent"]), (&refused, &json!(sent)), "{report:#}");
    }
    let ids: Vec<String> =
        broker.committed_now(&setup.alerts).iter().map(|alert| identity(alert).1).collect();
    assert_ne!(ids[0], ids[1], "the record has a new position, its alert a new id");
}

#[test]
fn a_replay_that_is_killed_again_and_again_sends_each_record_once() {
    const RECORDS: usize = 600;
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let topic = setup.topic("power");
    let value = |number: usize| format!("no JSON {number}");
    let partition = |number: usize| i32::try_from(number % 4).expect("few");
    broker.produce(&topic, (0..RECORDS).map(|number| Record::new(partition(number), value(number))));
    // So many rejects would raise an alert.
    run_until(&setup, broker, &["rejects.flood_rejects_min=100000"], RECORDS, 0);

    let in_topic = || broker.committed_now(&topic).len();
    let mut kills = 0;
    while kills < 4 {
        let before = in_topic();
        let mut command = program();
        command.args(["dlq", "replay", "--all", "--transaction-records", "3", "--pipeline"]);
        command.arg(setup.folder.path());
        command.args(["--set", &format!("kafka.bootstrap_servers={}", broker.plaintext)]);
        let mut replay = Running::spawn(setup.folder.path(), &mut command);
        // Somewhere after its first transactions, and in the middle of another.
        while replay.runs() && in_topic() < before + 6 {}
        if !replay.runs() {
            break;
        }
        replay.kill();
        kills += 1;
    }
    assert!(kills >= 2 && in_topic() < 2 * RECORDS, "killed {kills} times, in the middle");
    let done = dlq(&setup, broker, &["replay", "--all"]);
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(!broker.is_transaction_open(&topic), "what the killed ones left open is aborted");

    let mut seen: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for record in broker.committed_now(&topic) {
        let text = String::from_utf8_lossy(record.payload().expect("a value")).into_owned();
        seen.entry(text).or_default().push(header(&record, "noroshi-attempt"));
    }
    for number in 0..RECORDS {
        let times = seen.remove(&value(number));
        assert_eq!(times, Some(vec![None, Some("2".to_owned())]), "record {number}");
    }
    assert!(seen.is_empty(), "{seen:?}");
    let report = dlq(&setup, broker, &["replay", "--all"]).out;
    assert_eq!(report, format!("0 sent, 0 refused, {RECORDS} sent before\n"));
}

#[test]
fn a_flood_of_rejects_is_told_once_and_ends_by_itself() {
    const FLOOD: [&str; 1] = ["rejects.flood_rejects_min=50"];
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let topic = setup.topic("power");
    broker.produce(&topic, (0..60).map(|number| Record::new(0, format!("no JSON {number}"))));
    let mut running = setup.run(broker, 1, &FLOOD);
    let address = running.http();
    running.runs_until("it is not ready for the flood", || {
        let (status, body) = get(&address, "/ready");
        status == 503
            && body.contains(&format!("most records of the source power-windows are rejected, in {topic}/0"))
    });
    let alerts = broker.read_committed(&setup.alerts, 1, WAIT_MAX);
    let (_, metrics) = get(&address, "/metrics");
    for line in [
        "noroshi_flooded_partitions{source=\"power-windows\",lane=\"0\"} 1".to_owned(),
        "noroshi_alerts_total{rule=\"noroshi.reject-flood\",source=\"power-windows\",organisation=\"power\"} 1".into(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    let ((rule, _, partition, offset, _), id) = identity(&alerts[0]);
    // With the fiftieth reject, however the records came in.
    assert_eq!((rule.as_str(), partition, offset), ("noroshi.reject-flood", 0, 49));
    if std::env::var_os("NOROSHI_TEST_DATA").is_some() {
        super::delivery::assert_valid(&alerts);
    }

    // Good records again, and it is over.
    broker.produce(&topic, (0..300).map(|_| Record::new(0, QUIET)));
    running.runs_until("it is ready again", || get(&address, "/ready").0 == 200);
    let (_, metrics) = get(&address, "/metrics");
    assert!(
        metrics.contains("noroshi_flooded_partitions{source=\"power-windows\",lane=\"0\"} 0"),
        "{metrics}"
    );
    // Another partition's is another alert.
    broker.produce(&topic, (0..60).map(|number| Record::new(1, format!("no JSON {number}"))));
    running.runs_until("the other alert", || broker.committed_now(&setup.alerts).len() == 2);
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");

    // Another group over the same records, in smaller epochs: the same alerts (I-3).
    let mut again = setup.run(broker, 2, &[FLOOD[0], "kafka.id_prefix=again-", "epoch.records_max=7"]);
    again.runs_until("the alerts again", || broker.committed_now(&setup.alerts).len() == 4);
    let (status, log) = again.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for alert in broker.committed_now(&setup.alerts) {
        let ((_, _, partition, ..), id) = identity(&alert);
        ids.entry(id).or_default().push(partition);
    }
    assert_eq!(ids.remove(&id), Some(vec![0, 0]));
    assert_eq!(ids.into_values().collect::<Vec<_>>(), [[1, 1]]);
}
