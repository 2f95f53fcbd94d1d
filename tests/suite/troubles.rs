//! What befalls the topics that are read: partitions added, topics deleted and made anew, records deleted before they were
//! read, foreign transactions that stay open. Each is named, counted and shown, and none is passed over in silence.

mod foreign;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::time::Duration;

use rdkafka::message::Message as _;
use serde_json::Value;

use super::delivery::{identity, repository};
use super::kafka::{Broker, Record, broker, unique};
use super::process::{Running, get};
use super::stopping::{HEARTBEAT, SESSION};

/// The broker then says how often members report.
const CONSUMER_PROTOCOL: &str = "kafka.group_protocol=consumer";
const RULE: &str = "rules/windows/security_log_cleared.sql";

/// A pipeline over topics of its own, each a source; the rule finds every record.
struct Stage<'b> {
    broker: &'b Broker,
    folder: tempfile::TempDir,
    id: String,
}

impl<'b> Stage<'b> {
    /// Input topics `a` and so on, each with so many partitions.
    fn new(broker: &'b Broker, start: &str, inputs: &[(&str, i32)]) -> Self {
        let stage = Self { broker, folder: tempfile::tempdir().expect("a folder"), id: unique("troubles") };
        let rule = repository(RULE).display().to_string();
        let mut text = format!("name = \"{}\"\nrules = [{rule:?}]\n", stage.id);
        for (input, partitions) in inputs {
            broker.create_topic(&stage.topic(input), *partitions);
            let _ = write!(
                text,
                "[[organisation]]\nid = \"{input}\"\nname = \"{input}\"\n[[source]]\nid = \"{input}\"\n\
                 organisation = \"{input}\"\ntopics = [\"{}\"]\nformat = \"windows-json\"\nstart = \"{start}\"\n",
                stage.topic(input)
            );
        }
        let (alerts, dead) = (stage.topic("alerts"), stage.topic("dead"));
        let _ = write!(text, "[alerts]\ntopic = \"{alerts}\"\n[rejects]\ntopic = \"{dead}\"\n");
        broker.create_topic(&alerts, 1);
        broker.create_topic(&dead, 1);
        fs::write(stage.folder.path().join("pipeline.toml"), text).expect("writes the pipeline");
        stage
    }

    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.id)
    }

    fn run(&self, more: &[&str]) -> Running {
        let mut settings = vec![
            format!("kafka.bootstrap_servers={}", self.broker.plaintext),
            "lanes.count=1".to_owned(),
            "http.listen=127.0.0.1:0".to_owned(),
            "input.look_interval_ms=500".to_owned(),
            "kafka.consumer.properties.\"topic.metadata.refresh.interval.ms\"=1000".to_owned(),
        ];
        if !more.contains(&CONSUMER_PROTOCOL) {
            settings.extend([SESSION.to_owned(), HEARTBEAT.to_owned()]);
        }
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        Running::start(self.folder.path(), self.folder.path(), &settings)
    }

    fn produce(&self, input: &str, partition: i32, count: usize) {
        self.broker.produce(&self.topic(input), (0..count).map(|number| record(partition, number)));
    }

    fn committed(&self, input: &str) -> Vec<Option<i64>> {
        self.broker.group_offsets(&format!("noroshi-{}", self.id), &self.topic(input))
    }

    /// Waits until the group has this offset in a partition of an input.
    fn reaches(&self, running: &mut Running, input: &str, partition: usize, offset: i64) {
        running.runs_until(&format!("{input}/{partition} is committed up to {offset}"), || {
            self.committed(input).get(partition).copied().flatten() == Some(offset)
        });
    }

    /// The offsets that have alerts, by input and partition; fails when one has two.
    fn alerted(&self) -> BTreeMap<(String, i64), BTreeSet<i64>> {
        let mut found: BTreeMap<(String, i64), BTreeSet<i64>> = BTreeMap::new();
        for alert in self.broker.committed_now(&self.topic("alerts")) {
            let ((_, topic, partition, offset, _), _) = identity(&alert);
            let input = topic.trim_start_matches(&self.id).trim_start_matches('.').to_owned();
            let fresh = found.entry((input, partition)).or_default().insert(offset);
            assert!(fresh, "{:?} is there twice", alert.payload());
        }
        found
    }

    fn expect_alerts(&self, expected: &[(&str, i64, std::ops::Range<i64>)]) {
        let expected: BTreeMap<(String, i64), BTreeSet<i64>> = expected
            .iter()
            .map(|(input, partition, offsets)| {
                (((*input).to_owned(), *partition), offsets.clone().collect::<BTreeSet<i64>>())
            })
            .collect();
        assert_eq!(self.alerted(), expected);
    }
}

fn record(partition: i32, number: usize) -> Record {
    let text = format!(
        r#"{{"Channel":"Security","EventID":1102,"Hostname":"h{number}","EventTime":"2026-01-02 03:04:05"}}"#
    );
    Record::new(partition, text)
}

fn status(address: &str) -> Value {
    let (code, text) = get(address, "/status");
    assert_eq!(code, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Kinds, topics and partitions of what is wrong, by `/status`.
fn troubles(address: &str) -> Vec<(String, String, Option<i64>)> {
    if TcpStream::connect(address).is_err() {
        // The process has ended; whoever waits for it says so, with its log.
        return Vec::new();
    }
    let status = status(address);
    let troubles = status["troubles"].as_array().expect("troubles").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    troubles
        .map(|trouble| (text(&trouble["kind"]), text(&trouble["topic"]), trouble["partition"].as_i64()))
        .collect()
}

/// A metric's value.
fn metric(address: &str, line: &str) -> Option<i64> {
    let (_, text) = get(address, "/metrics");
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

/// Lines of the log with all of these.
fn lines(running: &Running, parts: &[&str]) -> usize {
    running.log().lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

#[test]
fn a_partition_that_is_added_is_read_from_its_first_record() {
    let Some(broker) = broker() else { return };
    for (start, more) in
        [("latest", &[][..]), ("error", &[]), ("earliest", &[]), ("latest", &[CONSUMER_PROTOCOL])]
    {
        let stage = Stage::new(broker, if start == "error" { "earliest" } else { start }, &[("a", 2)]);
        // What is there before a first start with `latest` is not read.
        stage.produce("a", 0, 3);
        stage.produce("a", 1, 1);
        let mut running = stage.run(more);
        // `latest` commits where it begins, the others what they have read.
        running.runs_until("the group has begun", || stage.committed("a") == [Some(3), Some(1)]);
        if start == "error" {
            // A group that has begun goes on with a source that would not begin.
            let (exit, log) = running.terminate();
            assert_eq!(exit.code(), Some(0), "{log}");
            stage.declare("error");
            running = stage.run(more);
        }
        stage.produce("a", 0, 2);
        stage.reaches(&mut running, "a", 0, 5);
        broker.add_partitions(&stage.topic("a"), 4);
        // Before anybody can have found them.
        stage.produce("a", 2, 7);
        stage.produce("a", 3, 1);
        stage.reaches(&mut running, "a", 2, 7);
        stage.reaches(&mut running, "a", 3, 1);
        // And once more, in another life.
        let (exit, log) = running.terminate();
        assert_eq!(exit.code(), Some(0), "{log}");
        broker.add_partitions(&stage.topic("a"), 5);
        stage.produce("a", 4, 2);
        let mut running = stage.run(more);
        stage.reaches(&mut running, "a", 4, 2);
        let mut expected = vec![("a", 2, 0..7), ("a", 3, 0..1), ("a", 4, 0..2)];
        expected.extend(match start {
            "latest" => vec![("a", 0, 3..5)],
            _ => vec![("a", 0, 0..5), ("a", 1, 0..1)],
        });
        stage.expect_alerts(&expected);
        let (exit, log) = running.terminate();
        assert_eq!(exit.code(), Some(0), "{log}");
    }
}

impl Stage<'_> {
    /// From the next start on, all sources begin so.
    fn declare(&self, start: &str) {
        let path = self.folder.path().join("pipeline.toml");
        let text = fs::read_to_string(&path).expect("the pipeline");
        let text = text.replace("start = \"earliest\"", &format!("start = \"{start}\""));
        fs::write(path, text).expect("writes the pipeline");
    }
}

#[test]
fn a_topic_that_is_deleted_is_told_and_the_others_go_on() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "earliest", &[("a", 1), ("b", 2)]);
    let mut running = stage.run(&[]);
    let address = running.http();
    stage.produce("a", 0, 5);
    stage.produce("b", 1, 5);
    stage.reaches(&mut running, "a", 0, 5);
    stage.reaches(&mut running, "b", 1, 5);
    let a = stage.topic("a");
    broker.delete_topic(&a);
    running
        .runs_until("the deletion is told", || troubles(&address) == [("missing".into(), a.clone(), None)]);
    let (code, text) = get(&address, "/ready");
    assert!(code == 503 && text.contains(&format!("`{a}` is not there")), "{code} {text}");
    assert_eq!(
        metric(&address, &format!("noroshi_troubles_total{{kind=\"missing\",topic=\"{a}\"}}")),
        Some(1)
    );
    stage.produce("b", 1, 5);
    stage.reaches(&mut running, "b", 1, 10);
    // It goes on for a while, and says it once.
    std::thread::sleep(Duration::from_secs(3));
    stage.produce("b", 0, 1);
    stage.reaches(&mut running, "b", 0, 1);
    assert_eq!(lines(&running, &["WARN", "is not there"]), 1, "{}", running.log());
    stage.expect_alerts(&[("a", 0, 0..5), ("b", 0, 0..1), ("b", 1, 0..10)]);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
}

#[test]
fn a_topic_that_is_deleted_while_its_records_are_under_way_costs_no_other_record() {
    let Some(broker) = broker() else { return };
    // The deletion meets open work that the group takes away, or a transaction that cannot commit its offset any more.
    for (epoch, refresh) in [("3000", "1000"), ("1000", "60000")] {
        let stage = Stage::new(broker, "earliest", &[("a", 1), ("b", 1)]);
        let refresh = format!("kafka.consumer.properties.\"topic.metadata.refresh.interval.ms\"={refresh}");
        let mut running = stage.run(&[&format!("epoch.interval_ms={epoch}"), &refresh]);
        let address = running.http();
        stage.produce("a", 0, 5);
        stage.reaches(&mut running, "a", 0, 5);
        stage.produce("a", 0, 5);
        stage.produce("b", 0, 5);
        let a = stage.topic("a");
        broker.delete_topic(&a);
        let missing = ("missing".to_owned(), a.clone(), None);
        running.runs_until("the deletion is told", || troubles(&address).contains(&missing));
        stage.produce("b", 0, 5);
        stage.reaches(&mut running, "b", 0, 10);
        // What was read of the deleted topic and not committed is gone with it.
        let alerted = stage.alerted();
        assert_eq!(alerted.get(&("b".into(), 0)), Some(&(0..10).collect()), "{}", running.log());
        let (exit, log) = running.terminate();
        assert_eq!(exit.code(), Some(0), "{log}");
    }
}

#[test]
fn a_topic_that_is_made_anew_is_not_read_until_somebody_decides() {
    let Some(broker) = broker() else { return };
    // With fewer records than were read, and with more: then no offset tells.
    for (anew, start) in [(2, "earliest"), (20, "earliest"), (20, "latest")] {
        let stage = Stage::new(broker, start, &[("a", 1), ("b", 1)]);
        let mut running = stage.run(&[]);
        let mut address = running.http();
        if start == "latest" {
            running.runs_until("the group has begun", || stage.committed("b") == [Some(0)]);
        }
        stage.produce("a", 0, 10);
        stage.produce("b", 0, 1);
        stage.reaches(&mut running, "a", 0, 10);
        stage.reaches(&mut running, "b", 0, 1);
        let a = stage.topic("a");
        broker.recreate_topic(&a, 1, anew, || record(0, 0));
        let is_told = |address: &str| {
            troubles(address).iter().any(|(kind, topic, _)| kind == "recreated" && *topic == a)
        };
        running.runs_until("it is told", || is_told(&address));
        let (code, text) = get(&address, "/ready");
        assert!(code == 503 && text.contains("made anew"), "{code} {text}");
        let line = format!("noroshi_troubles_total{{kind=\"recreated\",topic=\"{a}\"}}");
        assert_eq!(metric(&address, &line), Some(1));
        assert_eq!(lines(&running, &["WARN", "made anew"]), 1, "{}", running.log());
        // The other topic is read on; of this one nothing is, also what comes now.
        stage.produce("a", 0, 30);
        stage.produce("b", 0, 5);
        stage.reaches(&mut running, "b", 0, 6);
        // Not that of the old topic, which the broker forgets some time later.
        running.runs_until("its offset is pinned", || ![None, Some(10)].contains(&stage.committed("a")[0]));
        let pinned = stage.committed("a");
        // A restart decides nothing, whatever the source says of a first start.
        let (exit, log) = running.terminate();
        assert_eq!(exit.code(), Some(0), "{log}");
        running = stage.run(&[]);
        address = running.http();
        running.runs_until("it is told again", || is_told(&address));
        // All of the new one is unread.
        let all = i64::try_from(anew).expect("few") + 30;
        let lag = format!("noroshi_lag_records{{topic=\"{a}\",partition=\"0\"}}");
        running.runs_until("its lag is shown", || metric(&address, &lag) == Some(all));
        stage.produce("b", 0, 1);
        stage.reaches(&mut running, "b", 0, 7);
        assert_eq!(stage.committed("a"), pinned, "{}", running.log());
        let (exit, log) = running.terminate();
        assert_eq!(exit.code(), Some(0), "{log}");
        // Somebody decides.
        stage.reset("a", &[(0, 0)]);
        running = stage.run(&[]);
        address = running.http();
        stage.reaches(&mut running, "a", 0, all);
        assert!(troubles(&address).is_empty(), "{}", running.log());
        let (exit, log) = running.terminate();
        assert_eq!(exit.code(), Some(0), "{log}");
        // Its first records have the positions, and so the alerts' ids, of those of the old one.
        let read = stage
            .broker
            .committed_now(&stage.topic("alerts"))
            .iter()
            .filter(|alert| identity(alert).0.1 == a)
            .count();
        assert_eq!(i64::try_from(read).expect("few"), 10 + all);
    }
}

/// It is known that the topic is missing, and nobody has taken its partitions away yet, when another one comes under its name
/// that has records at the old position.
#[test]
fn a_topic_that_is_made_anew_after_it_was_missing_is_not_read_on() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "earliest", &[("a", 1), ("b", 1)]);
    // Long between looks, so that what is read between them would be seen.
    let mut running = stage.run(&[
        "input.look_interval_ms=8000",
        "kafka.consumer.properties.\"topic.metadata.refresh.interval.ms\"=60000",
    ]);
    let address = running.http();
    stage.produce("a", 0, 10);
    stage.produce("b", 0, 1);
    stage.reaches(&mut running, "a", 0, 10);
    stage.reaches(&mut running, "b", 0, 1);
    let a = stage.topic("a");
    let is_told =
        |kind: &str| troubles(&address).iter().any(|(found, topic, _)| found == kind && *topic == a);
    broker.delete_topic(&a);
    running.runs_until("it is missing", || is_told("missing"));
    // Its position is there again by the time that it is fetched.
    running.signal("STOP");
    broker.create_topic(&a, 1);
    stage.produce("a", 0, 30);
    running.signal("CONT");
    running.runs_until("it is told", || is_told("recreated"));
    stage.produce("b", 0, 5);
    stage.reaches(&mut running, "b", 0, 6);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    // Nothing of the new one.
    stage.expect_alerts(&[("a", 0, 0..10), ("b", 0, 0..6)]);
    // Somebody decides.
    stage.reset("a", &[(0, 0)]);
    let mut running = stage.run(&[]);
    stage.reaches(&mut running, "a", 0, 30);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    assert!(log.contains(&format!("count=1 partitions=\"{a}/0 at 0\"")), "a start says who did: {log}");
    let alerts = broker.committed_now(&stage.topic("alerts"));
    assert_eq!(alerts.iter().filter(|alert| identity(alert).0.1 == a).count(), 10 + 30);
}

/// For a while the group is without the partitions of the topic that was deleted, and nobody has those of the new one: that
/// it is another one is noted all the same, so a restart just then does not begin behind its records.
#[test]
fn a_topic_that_is_made_anew_is_noted_before_anybody_has_its_partitions() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "latest", &[("a", 1), ("b", 1)]);
    let settings = [
        "kafka.consumer.properties.\"topic.metadata.refresh.interval.ms\"=10000",
        "input.look_interval_ms=1000",
    ];
    let mut running = stage.run(&settings);
    let mut address = running.http();
    running.runs_until("the group has begun", || stage.committed("a") == [Some(0)]);
    stage.produce("a", 0, 10);
    stage.reaches(&mut running, "a", 0, 10);
    let a = stage.topic("a");
    let is_held = |address: &str| {
        let lanes = status(address)["lanes"].as_array().expect("lanes").clone();
        let held: Vec<Value> = lanes
            .iter()
            .flat_map(|lane| lane["partitions"].as_array().expect("partitions").clone())
            .collect();
        held.iter().any(|partition| partition["topic"] == a.as_str())
    };
    running.runs_until("it is held", || is_held(&address));
    broker.delete_topic(&a);
    running.runs_until("the group is without it", || !is_held(&address));
    broker.create_topic(&a, 1);
    stage.produce("a", 0, 20);
    let is_told =
        |address: &str| troubles(address).iter().any(|(kind, topic, _)| kind == "recreated" && *topic == a);
    running.runs_until("it is told", || is_told(&address));
    running.runs_until("it is noted", || stage.committed("a")[0].is_some_and(|offset| offset != 10));
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    running = stage.run(&settings);
    address = running.http();
    running.runs_until("it is told again", || is_told(&address));
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
}

#[test]
fn a_topic_that_is_made_anew_while_nothing_reads_begins_as_its_source_says() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "earliest", &[("a", 1)]);
    let mut running = stage.run(&[]);
    stage.produce("a", 0, 10);
    stage.reaches(&mut running, "a", 0, 10);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    broker.recreate_topic(&stage.topic("a"), 1, 20, || record(0, 0));
    assert_eq!(stage.committed("a"), [None], "brokers forget a group's offsets with the topic");
    running = stage.run(&[]);
    stage.reaches(&mut running, "a", 0, 20);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    // A broker that did not forget, as it was not there: the stamp tells.
    broker.recreate_topic(&stage.topic("a"), 1, 30, || record(0, 0));
    let stamp = "noroshi/2 noroshi-x 1 1 AnotherTopicAltogether 1";
    broker.commit_as(&format!("noroshi-{}", stage.id), &stage.topic("a"), 0, 20, stamp);
    running = stage.run(&[]);
    let address = running.http();
    running.runs_until("it is told", || troubles(&address) == [("recreated".into(), stage.topic("a"), None)]);
    assert_eq!(stage.committed("a"), [Some(20)]);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
}

#[test]
fn records_that_are_deleted_before_they_are_read_are_counted_and_the_partition_waits() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, "earliest", &[("a", 2)]);
    let mut running = stage.run(&["epoch.interval_ms=5"]);
    let mut address = running.http();
    let a = stage.topic("a");
    stage.produce("a", 0, 10);
    stage.produce("a", 1, 1);
    stage.reaches(&mut running, "a", 0, 10);
    stage.reaches(&mut running, "a", 1, 1);
    // A process that stands still while retention passes its position.
    running.signal("STOP");
    stage.produce("a", 0, 20);
    broker.delete_records(&a, 0, 25);
    running.signal("CONT");
    running.runs_until("it is told", || troubles(&address) == [("out_of_range".into(), a.clone(), Some(0))]);
    let lost = format!("noroshi_lost_records_total{{topic=\"{a}\",partition=\"0\"}}");
    assert_eq!(metric(&address, &lost), Some(15));
    let (code, text) = get(&address, "/ready");
    let expect =
        format!("{a}/0 is not read: it holds offsets 25 to 30, and 10 was next; 15 records were deleted");
    assert!(code == 503 && text.contains(&expect), "{code} {text}");
    stage.produce("a", 1, 3);
    stage.reaches(&mut running, "a", 1, 4);
    running.runs_until("it is shown with the partition", || {
        metric(&address, "noroshi_held_partitions{lane=\"0\"}") == Some(1)
            && status(&address)["lanes"][0]["partitions"][0]["trouble"] == "out_of_range"
    });
    // What is left of it is its lag, and grows.
    let shows = |address: &str, lag: i64| {
        let status = status(address);
        let lane = &status["lanes"][0];
        let partition = &lane["partitions"][0];
        let line = format!("noroshi_lag_records{{topic=\"{a}\",partition=\"0\"}}");
        (&partition["next_offset"], &partition["committed_offset"]) == (&10.into(), &10.into())
            && (&partition["lag"], &lane["lag"]) == (&lag.into(), &lag.into())
            && metric(address, &line) == Some(lag)
    };
    running.runs_until("its lag is shown", || shows(&address, 5));
    stage.produce("a", 0, 2);
    running.runs_until("its lag has grown", || shows(&address, 7));
    // The same at a start.
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    running = stage.run(&[]);
    address = running.http();
    running.runs_until("it is told again", || {
        troubles(&address) == [("out_of_range".into(), a.clone(), Some(0))]
    });
    running.runs_until("its lag is shown again", || shows(&address, 7));
    assert_eq!(metric(&address, &lost), Some(15));
    stage.produce("a", 1, 1);
    stage.reaches(&mut running, "a", 1, 5);
    assert_eq!(stage.committed("a"), [Some(10), Some(5)]);
    let (exit, log) = running.terminate();
    assert_eq!(exit.code(), Some(0), "{log}");
    // Somebody decides.
    stage.reset("a", &[(0, 25)]);
    running = stage.run(&[]);
    stage.reaches(&mut running, "a", 0, 32);
    let mut alerted = stage.alerted();
    assert_eq!(alerted.remove(&("a".into(), 0)), Some((0..10).chain(25..32).collect()));
    assert_eq!(alerted.remove(&("a".into(), 1)), Some((0..5).collect()));
}

impl Stage<'_> {
    /// What `kafka-consumer-groups.sh --reset-offsets` does, while no member is there.
    fn reset(&self, input: &str, offsets: &[(i32, i64)]) {
        self.broker.set_group_offsets(&format!("noroshi-{}", self.id), &self.topic(input), offsets);
    }
}
