//! A rule that takes too much, on a real broker: it is parked, everybody concerned is told once, and the others go on (I-5).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::delivery::identity;
use super::kafka::{Broker, Record, broker, unique};
use super::process::{Running, finish, get, program};

const ORGANISATIONS: [&str; 2] = ["power", "rail"];
const RECORDS: usize = 60;
const FAILED_ROWS_MAX: u64 = 3;
const PARKED: &str = "noroshi.rule-parked";

/// Joins the message a thousand times: nothing is wrong with it while messages are short.
fn large() -> String {
    let many = vec!["field('Message')"; 1_000].join(", ");
    format!("SELECT concat({many}) AS x FROM windows_security WHERE EventID = 1102\n")
}

fn rule(id: &str, version: u32, sql: &str) -> String {
    format!("/*---\nid: {id}\ntitle: {id}\nversion: '{version}'\n---*/\n{sql}")
}

fn write_rules(folder: &Path) {
    let good = "SELECT Computer FROM windows_security WHERE EventID = 1102\n";
    fs::write(folder.join("good.sql"), rule("good", 1, good)).expect("writes a rule");
    fs::write(folder.join("large.sql"), rule("large", 1, &large())).expect("writes a rule");
}

fn event(bytes: usize) -> String {
    format!(
        r#"{{"Channel":"Security","EventID":1102,"Hostname":"h","EventTime":"2026-01-02 03:04:05","Message":"{}"}}"#,
        "x".repeat(bytes)
    )
}

/// The bounds that the test reaches.
fn bounds() -> [String; 2] {
    [
        "limits.rule_evaluation_bytes_max=1048576".to_owned(),
        format!("limits.rule_failed_rows_max={FAILED_ROWS_MAX}"),
    ]
}

fn write_pipeline(folder: &Path, id: &str, broker: &Broker) {
    let mut text = format!("name = \"{id}\"\nrules = [\"good.sql\", \"large.sql\"]\n");
    for org in ORGANISATIONS {
        broker.create_topic(&format!("{id}.in.{org}"), 2);
        broker.create_topic(&format!("{id}.alerts.{org}"), 1);
        let _ = write!(
            text,
            "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}-windows\"\norganisation = \
             \"{org}\"\ntopics = [\"{id}.in.{org}\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n"
        );
    }
    broker.create_topic(&format!("{id}.dead"), 1);
    let _ = write!(text, "[alerts]\ntopic = \"{id}.alerts.{{org_id}}\"\n[rejects]\ntopic = \"{id}.dead\"\n");
    fs::write(folder.join("pipeline.toml"), text).expect("writes the pipeline");
}

/// The sum of a metric's series that have all of these labels.
fn metric(http: &str, name: &str, labels: &[&str]) -> u64 {
    let (_, text) = get(http, "/metrics");
    let of = |line: &&str| {
        line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label))
    };
    text.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn status(http: &str) -> Value {
    serde_json::from_str(&get(http, "/status").1).expect("JSON")
}

#[test]
fn a_rule_that_takes_too_much_is_parked_told_once_and_runs_again_when_it_has_changed() {
    let Some(broker) = broker() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let id = unique("guards");
    write_rules(folder.path());
    write_pipeline(folder.path(), &id, broker);
    for org in ORGANISATIONS {
        let records = (0..RECORDS).map(|n| Record::new(i32::try_from(n % 2).expect("few"), event(2_000)));
        broker.produce(&format!("{id}.in.{org}"), records);
    }
    let mut settings = vec![
        format!("kafka.bootstrap_servers={}", broker.plaintext),
        "lanes.count=2".to_owned(),
        "http.listen=127.0.0.1:0".to_owned(),
        // Several epochs, of several lanes, while the rule is parked.
        "epoch.records_max=7".to_owned(),
    ];
    settings.extend(bounds());
    let mut run = Running::start(folder.path(), folder.path(), &settings);
    let http = run.http();
    let all = (ORGANISATIONS.len() * RECORDS) as u64;
    run.runs_until("all to be counted", || metric(&http, "noroshi_records_total", &[]) == all);
    run.runs_until("the rule to be shown as parked", || {
        metric(&http, "noroshi_rule_parked", &["rule=\"large\""]) == 1
    });

    assert_eq!(metric(&http, "noroshi_rule_parks_total", &["rule=\"large\"", "reason=\"memory\""]), 1);
    assert_eq!(metric(&http, "noroshi_rule_parks_total", &[]), 1, "no other rule, for no other reason");
    assert_eq!(metric(&http, "noroshi_rules", &["state=\"parked\""]), 1);
    // I-2: each row is one that it failed on, or one that was left.
    let failed = metric(&http, "noroshi_rule_errors_total", &["rule=\"large\""]);
    let left = metric(&http, "noroshi_rule_rows_unjudged_total", &["rule=\"large\""]);
    assert_eq!(failed + left, all, "{failed} failures, {left} rows left");
    // Each lane may have failed on so many before it knew.
    assert!((FAILED_ROWS_MAX + 1..=2 * FAILED_ROWS_MAX + 1).contains(&failed), "{failed} failures");
    let parked = &status(&http)["rule_set"]["parked"];
    assert_eq!((&parked[0]["rule"], &parked[0]["reason"]), (&"large".into(), &"memory".into()), "{parked}");
    run.runs_until("the others to go on", || get(&http, "/ready").0 == 200);
    assert_eq!(metric(&http, "noroshi_alerts_total", &[PARKED]), ORGANISATIONS.len() as u64);
    for org in ORGANISATIONS {
        let alerts = broker.committed_now(&format!("{id}.alerts.{org}"));
        let mut by_rule: BTreeMap<String, usize> = BTreeMap::new();
        for alert in &alerts {
            let ((rule, topic, ..), _) = identity(alert);
            assert_eq!(topic, format!("{id}.in.{org}"), "an alert names a record of its own organisation");
            if rule == PARKED {
                let payload = rdkafka::Message::payload(alert).expect("a value");
                let value: Value = serde_json::from_slice(payload).expect("JSON");
                let output = &value["evidences"][0]["data"]["output"];
                assert_eq!((&output["rule"], &output["reason"]), (&"large".into(), &"memory".into()));
            }
            *by_rule.entry(rule).or_default() += 1;
        }
        let expect = [("good".to_owned(), RECORDS), (PARKED.to_owned(), 1)];
        assert_eq!(by_rule, expect.into(), "{org}");
    }

    // Another rule changes: it stays parked. Then it changes itself.
    let good = "SELECT EventID FROM windows_security WHERE EventID = 1102\n";
    fs::write(folder.path().join("good.sql"), rule("good", 2, good)).expect("writes a rule");
    run.signal("HUP");
    let newest = |http: &str, number: u64| {
        let status = status(http);
        status["rule_set"]["generation"] == number
            && status["lanes"].as_array().is_some_and(|l| l.iter().all(|lane| lane["generation"] == number))
    };
    run.runs_until("the next generation", || newest(&http, 2));
    run.runs_until("it to be shown", || status(&http)["rule_set"]["parked"][0]["rule"] == "large");
    let short = "SELECT Computer AS x FROM windows_security WHERE EventID = 1102\n";
    fs::write(folder.path().join("large.sql"), rule("large", 2, short)).expect("writes a rule");
    run.signal("HUP");
    run.runs_until("the one after it", || newest(&http, 3));
    run.runs_until("it to be shown no more", || {
        metric(&http, "noroshi_rule_parked", &["rule=\"large\""]) == 0
    });
    assert_eq!(status(&http)["rule_set"]["parked"], Value::Array(Vec::new()));
    broker.produce(&format!("{id}.in.power"), [Record::new(0, event(2_000))]);
    run.runs_until("its alert", || metric(&http, "noroshi_alerts_total", &["rule=\"large\""]) == 1);
    let (status, log) = run.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("A rule is parked").count(), 1, "{log}");
}

#[test]
fn scan_and_test_say_that_a_rule_was_parked() {
    let folder = tempfile::tempdir().expect("a folder");
    write_rules(folder.path());
    let given = "tests:\n  - name: all\n    given: events.ndjson\n    format: windows-json\n    expect: 10\n";
    let tested = rule("large", 1, &large()).replace("version: '1'\n", &format!("version: '1'\n{given}"));
    fs::write(folder.path().join("large.sql"), tested).expect("writes a rule");
    for (what, bytes, parked) in [("short messages", 100, false), ("long messages", 2_000, true)] {
        let events = format!("{}\n", event(bytes)).repeat(10);
        fs::write(folder.path().join("events.ndjson"), events).expect("writes events");
        let mut scan = program();
        scan.current_dir(folder.path()).args(["scan", "--rules", "good.sql", "large.sql"]);
        scan.args(["--source", "windows-json", "events.ndjson"]);
        bounds().iter().for_each(|bound| {
            scan.args(["--set", bound]);
        });
        let done = finish(&mut scan);
        let told = "the rule large was parked, and did not judge 6 rows: it would have taken more than 1048576 bytes";
        assert_eq!(done.code, Some(i32::from(parked)), "{what}: {}", done.err);
        assert_eq!(done.err.contains(told), parked, "{what}: {}", done.err);
        assert_eq!(done.out.lines().count(), if parked { 10 } else { 20 }, "{what}: {}", done.err);

        let mut test = program();
        test.current_dir(folder.path()).args(["test", "large.sql"]);
        for (name, value) in [("EVALUATION_BYTES_MAX", "1048576"), ("FAILED_ROWS_MAX", "3")] {
            test.env(format!("NOROSHI__LIMITS__RULE_{name}"), value);
        }
        let done = finish(&mut test);
        assert_eq!(done.code, Some(i32::from(parked)), "{what}: {}\n{}", done.out, done.err);
        assert_eq!(done.out.contains("the rule large was parked"), parked, "{what}: {}", done.out);
    }
}
