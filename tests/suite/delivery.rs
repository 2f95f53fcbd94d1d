//! The main job on a real broker: telemetry in, alerts out, each exactly once (I-1, I-2, I-3).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rdkafka::message::{Headers, Message, OwnedMessage};
use serde_json::Value;
use sha2::Digest as _;

use super::data::windows_events;
use super::kafka::{Broker, Record, broker, unique};
use super::oracle::{self, Input, Pair};
use super::process::{Running, WAIT_MAX, finish, program, until};

/// Whose input it is.
pub const ORGANISATIONS: [&str; 3] = ["ministry", "power", "rail"];
/// Partitions of each input topic.
pub const PARTITIONS: usize = 4;

/// An event that the rule below finds.
const GOOD: &[u8] =
    br#"{"Channel":"Security","EventID":1102,"Hostname":"h","EventTime":"2026-01-02 03:04:05"}"#;
const RULE: &str = "rules/windows/security_log_cleared.sql";

/// A pipeline folder over its own topics.
pub struct Setup {
    /// Everything of this test.
    pub folder: tempfile::TempDir,
    /// Part of every name.
    pub id: String,
    /// Where alerts go.
    pub alerts: String,
    /// Where rejects go.
    pub rejects: String,
}

impl Setup {
    /// Three organisations, one source each, topics of four partitions.
    pub fn new(broker: &Broker, rules: &Path, start: &str) -> Self {
        Self::with(broker, rules, start, &[], &[])
    }

    /// The same, with settings for the input topics and that of the alerts.
    pub fn with(
        broker: &Broker,
        rules: &Path,
        start: &str,
        input: &[(&str, &str)],
        alerts: &[(&str, &str)],
    ) -> Self {
        let id = unique("delivery");
        let setup = Self {
            folder: tempfile::tempdir().expect("a folder"),
            alerts: format!("{id}.alerts"),
            rejects: format!("{id}.dead"),
            id,
        };
        let mut text = format!("name = \"{}\"\nrules = [{:?}]\n", setup.id, rules.display().to_string());
        for org in ORGANISATIONS {
            let topic = setup.topic(org);
            broker.create_topic_with(&topic, i32::try_from(PARTITIONS).expect("few"), input);
            let _ = write!(
                text,
                "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}-windows\"\n\
                 organisation = \"{org}\"\ntopics = [\"{topic}\"]\nformat = \"windows-json\"\nstart = \"{start}\"\n"
            );
        }
        let _ = write!(
            text,
            "[alerts]\ntopic = \"{}\"\n[rejects]\ntopic = \"{}\"\n",
            setup.alerts, setup.rejects
        );
        broker.create_topic_with(&setup.alerts, 3, alerts);
        broker.create_topic(&setup.rejects, 1);
        fs::write(setup.folder.path().join("pipeline.toml"), text).expect("writes the pipeline");
        setup
    }

    /// An organisation's input topic.
    pub fn topic(&self, org: &str) -> String {
        format!("{}.in.{org}", self.id)
    }

    /// Starts the process with some lanes.
    pub fn run(&self, broker: &Broker, lanes: u32, more: &[&str]) -> Running {
        let mut settings = vec![
            format!("kafka.bootstrap_servers={}", broker.plaintext),
            format!("lanes.count={lanes}"),
            "http.listen=127.0.0.1:0".to_owned(),
        ];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        Running::start(self.folder.path(), self.folder.path(), &settings)
    }

    /// Records committed by the group, over all topics.
    pub fn committed(&self, broker: &Broker) -> i64 {
        let group = format!("noroshi-{}", self.id);
        ORGANISATIONS
            .iter()
            .flat_map(|org| broker.group_offsets(&group, &self.topic(org)))
            .map(|offset| offset.unwrap_or(0))
            .sum()
    }
}

/// (rule id, topic, partition, offset, index) of an alert, and its id.
pub fn identity(alert: &OwnedMessage) -> (Pair, String) {
    let value: Value = serde_json::from_slice(alert.payload().expect("a value")).expect("JSON");
    let position = &value["unmapped"]["noroshi"]["positions"][0];
    let pair = (
        value["finding_info"]["analytic"]["uid"].as_str().expect("rule id").to_owned(),
        position["topic"].as_str().expect("topic").to_owned(),
        position["partition"].as_i64().expect("partition"),
        position["offset"].as_i64().expect("offset"),
        position["index"].as_i64().expect("index"),
    );
    (pair, value["metadata"]["uid"].as_str().expect("uid").to_owned())
}

/// A path of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn real_telemetry_gives_the_alerts_of_plain_datafusion_and_of_scan_also_through_a_kill() {
    let Some(broker) = broker() else { return };
    let Some(events) = windows_events() else { return };
    let lines: Vec<&[u8]> = events.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 60_000);
    let rules = repository("rules/windows");
    let setup = Setup::new(broker, &rules, "earliest");

    // Line n goes to organisation n mod 3, there round robin over the partitions.
    let of = |org: usize| lines.iter().skip(org).step_by(ORGANISATIONS.len());
    for (org, name) in ORGANISATIONS.iter().enumerate() {
        let records = of(org)
            .enumerate()
            .map(|(at, line)| Record::new(i32::try_from(at % PARTITIONS).expect("few"), line.to_vec()));
        broker.produce(&setup.topic(name), records);
    }

    let first = setup.run(broker, 2, &["epoch.interval_ms=50"]);
    until(
        "a quarter of the input to be committed",
        || Some(()).filter(|()| setup.committed(broker) >= 15_000),
        || first.log(),
    );
    first.kill();
    let before = setup.committed(broker);
    assert!(before < 60_000, "the process was killed in the middle");
    let second = setup.run(broker, 2, &[]);
    until(
        "all input to be committed",
        || Some(()).filter(|()| setup.committed(broker) == 60_000),
        || second.log(),
    );
    let (status, log) = second.terminate();
    assert_eq!(status.code(), Some(0), "{log}");

    let topics: Vec<String> = ORGANISATIONS.iter().map(|org| setup.topic(org)).collect();
    let input = (0..ORGANISATIONS.len()).flat_map(|org| {
        let topic = &topics[org];
        of(org).enumerate().map(move |(at, line)| Input {
            org_id: ORGANISATIONS[org],
            topic,
            partition: i32::try_from(at % PARTITIONS).expect("few"),
            offset: i64::try_from(at / PARTITIONS).expect("few"),
            payload: line,
        })
    });
    let expected = oracle::pairs(&rules, "windows-json", input);
    assert!(expected.len() > 500, "the rules find {} things", expected.len());

    let alerts = broker.read_committed(&setup.alerts, expected.len(), WAIT_MAX);
    let identities: Vec<(Pair, String)> = alerts.iter().map(identity).collect();
    let ids: BTreeSet<&String> = identities.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), identities.len(), "each alert is seen once");
    let pairs: BTreeSet<Pair> = identities.iter().map(|(pair, _)| pair.clone()).collect();
    assert_same(&expected, &pairs, "plain DataFusion", "run");
    assert!(broker.committed_now(&setup.rejects).is_empty());
    assert_valid(&alerts);

    let mut scanned = BTreeSet::new();
    for (org, name) in ORGANISATIONS.iter().enumerate() {
        let file = setup.folder.path().join(format!("{name}.ndjson"));
        let mut text = Vec::new();
        for line in of(org) {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        fs::write(&file, text).expect("writes");
        let done = finish(
            program()
                .args(["scan", "--output", "matches", "--source", "windows-json", "--org", name, "--rules"])
                .arg(&rules)
                .arg("--")
                .arg(&file),
        );
        assert_eq!(done.code, Some(0), "{}", done.err);
        for line in done.out.lines() {
            let found: Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(found["org_id"], *name);
            let record = found["record"].as_i64().expect("a record");
            let partitions = i64::try_from(PARTITIONS).expect("few");
            scanned.insert((
                found["rule_id"].as_str().expect("a rule").to_owned(),
                topics[org].clone(),
                record % partitions,
                record / partitions,
                found["index"].as_i64().expect("an index"),
            ));
        }
    }
    assert_same(&expected, &scanned, "plain DataFusion", "scan");
}

/// What was published is valid by our own JSON Schema and by both versions of OCSF.
pub fn assert_valid(alerts: &[OwnedMessage]) {
    let schema: Value = serde_json::from_str(noroshi::detect::alert::SCHEMA).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let versions = super::ocsf::versions().expect("the test data holds OCSF");
    for alert in alerts {
        let value: Value = serde_json::from_slice(alert.payload().expect("a value")).expect("JSON");
        let found: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(found.is_empty(), "{found:#?}\n{value:#}");
        for version in &versions {
            let found = super::ocsf::validate(version, &value);
            assert!(found.is_empty(), "{}: {found:#?}\n{value:#}", version.display());
        }
    }
}

fn assert_same(expected: &BTreeSet<Pair>, found: &BTreeSet<Pair>, a: &str, b: &str) {
    let missing: Vec<_> = expected.difference(found).take(5).collect();
    let extra: Vec<_> = found.difference(expected).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "only in {a}: {missing:#?}\nonly in {b}: {extra:#?}");
}

/// The first header of that name, as text.
fn header(message: &OwnedMessage, key: &str) -> Option<String> {
    let headers = message.headers()?;
    let value = headers.iter().find(|header| header.key == key)?.value?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// What a bad record is, its value, and the code that it is rejected with, if it is.
type Bad<'a> = (&'a str, Option<Vec<u8>>, Option<&'a str>);

/// Bad records between good ones: each becomes a reject, byte for byte, and the stream goes on (I-2).
#[test]
fn bad_records_are_rejected_in_the_same_transaction_and_the_stream_goes_on() {
    let Some(broker) = broker() else { return };
    let room = (4 << 20).to_string();
    let setup = Setup::with(broker, &repository(RULE), "earliest", &[("max.message.bytes", &room)], &[]);
    let good = GOOD;
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)).into_bytes();
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(900_000)).into_bytes();
    let bad: Vec<Bad<'_>> = vec![
        ("null", None, None),
        ("empty", Some(Vec::new()), Some("empty")),
        ("truncated", Some(good[..40].to_vec()), Some("syntax")),
        ("not UTF-8", Some(b"{\"Channel\":\"\xff\xfe\"}".to_vec()), Some("not_utf8")),
        ("raw NUL", Some(b"{\"Channel\":\"\0\"}".to_vec()), Some("syntax")),
        ("NaN", Some(b"{\"EventID\":NaN}".to_vec()), Some("syntax")),
        ("1e400", Some(b"{\"EventID\":1e400}".to_vec()), Some("syntax")),
        ("10,000 levels", Some(deep), Some("too_deep")),
        ("a list", Some(b"[1,2]".to_vec()), Some("not_an_event")),
        ("large", Some(huge), Some("too_large")),
        ("duplicate keys", Some(b"{\"EventID\":1,\"EventID\":2}".to_vec()), None),
        ("unknown channel", Some(b"{\"Channel\":\"Nothing\",\"EventID\":1102}".to_vec()), None),
        ("wrong types", Some(b"{\"Channel\":7,\"EventID\":{\"a\":[]},\"Image\":false}".to_vec()), None),
        ("BOM", Some([b"\xef\xbb\xbf".as_slice(), good].concat()), None),
    ];
    let topic = setup.topic("power");
    let mut records = Vec::new();
    for (name, value, _) in &bad {
        records.push(Record {
            partition: Some(0),
            key: Some(name.as_bytes().to_vec()),
            value: value.clone(),
            headers: vec![("kept".into(), b"1".to_vec()), ("kept".into(), b"2".to_vec())],
        });
        records.push(Record::new(0, good.to_vec()));
    }
    // What a message has no room for beside its value is left out: large headers, and a large key.
    let large = [(b"k".to_vec(), 1_400_000), (vec![b'k'; 1_400_000], 1)];
    for (key, length) in &large {
        let headers = vec![("large".to_owned(), vec![b'v'; *length])];
        let value = Some(b"no JSON".to_vec());
        records.push(Record { partition: Some(0), key: Some(key.clone()), value, headers });
        records.push(Record::new(0, good.to_vec()));
    }
    let total = i64::try_from(records.len()).expect("few");
    broker.produce(&topic, records);
    let mut running =
        setup.run(broker, 1, &["limits.record_bytes_max=500000", "limits.reject_bytes_max=100000"]);
    running.runs_until("all input is committed", || setup.committed(broker) == total);

    let rejected: Vec<&Bad<'_>> = bad.iter().filter(|(_, _, code)| code.is_some()).collect();
    let rejects = broker.read_committed(&setup.rejects, rejected.len() + large.len(), WAIT_MAX);
    assert_eq!(rejects.len(), rejected.len() + large.len());
    for (reject, (key, length)) in rejects[rejected.len()..].iter().zip(&large) {
        let envelope = key.len() + "large".len() + length + 8;
        assert_eq!(header(reject, "noroshi-reject-envelope-bytes"), Some(envelope.to_string()));
        assert_eq!(reject.key(), Some(key.as_slice()).filter(|key| key.len() == 1));
        assert_eq!((reject.payload(), header(reject, "large")), (Some(&b"no JSON"[..]), None));
    }
    for (reject, (name, value, code)) in rejects.iter().zip(&rejected) {
        let header = |key: &str| header(reject, key);
        assert_eq!(header("noroshi-reject-code").as_deref(), *code, "{name}");
        assert_eq!(header("__connect.errors.topic").as_deref(), Some(topic.as_str()), "{name}");
        assert_eq!(header("noroshi-org-id").as_deref(), Some("power"), "{name}");
        assert_eq!(reject.key(), Some(name.as_bytes()), "{name}");
        let kept = reject.headers().expect("headers").iter().filter(|header| header.key == "kept").count();
        assert_eq!(kept, 2, "{name}: repeated headers are kept");
        let bytes = value.as_deref().expect("rejected records have a value");
        if bytes.len() > 100_000 {
            assert_eq!(reject.payload().map(<[u8]>::len), Some(100_000), "{name}");
            assert_eq!(header("noroshi-reject-bytes"), Some(bytes.len().to_string()), "{name}");
            assert_eq!(header("noroshi-reject-sha256").map(|text| text.len()), Some(64), "{name}");
        } else {
            assert_eq!(reject.payload(), Some(bytes), "{name}");
        }
    }
    // Each good record, and the one with the byte-order mark.
    let good = bad.len() + large.len() + 1;
    let alerts = broker.read_committed(&setup.alerts, good, WAIT_MAX);
    assert_eq!(alerts.len(), good);

    let (status, metrics) = super::process::get(&running.http(), "/metrics");
    assert_eq!(status, 200);
    for line in [
        "noroshi_tombstones_total{source=\"power-windows\"} 1".to_owned(),
        format!("noroshi_records_total{{source=\"power-windows\"}} {total}"),
        "noroshi_rejects_total{source=\"power-windows\",code=\"too_deep\"} 1".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} is not in\n{metrics}");
    }
    assert!(running.runs());
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// A record far beyond every default limit, in one piece on the wire: cut in the dead-letter topic, which takes less
/// than it, and identified there. Its neighbours and the partition go on (I-2).
#[test]
fn a_record_of_ten_megabytes_is_cut_and_its_neighbours_alert() {
    let Some(broker) = broker() else { return };
    let room = (16 << 20).to_string();
    let setup = Setup::with(broker, &repository(RULE), "earliest", &[("max.message.bytes", &room)], &[]);
    let topic = setup.topic("power");
    let huge = format!("{{\"a\":\"{}\"}}", "0123456789".repeat(1_000_000)).into_bytes();
    let records = [GOOD, &huge, GOOD].map(|value| Record::new(0, value));
    broker.produce(&topic, records);

    let mut running = setup.run(broker, 1, &[]);
    running.runs_until("all input is committed", || setup.committed(broker) == 3);
    let end = broker.end_offsets(&topic)[0];
    assert_eq!(broker.group_offsets(&format!("noroshi-{}", setup.id), &topic)[0], Some(end));

    let rejects = broker.read_committed(&setup.rejects, 1, WAIT_MAX);
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0].payload(), huge.get(..900_000), "the default of limits.reject_bytes_max");
    let digest = noroshi::record::hex(&sha2::Sha256::digest(&huge));
    for (key, value) in [
        ("noroshi-reject-code", "too_large"),
        ("noroshi-reject-bytes", &huge.len().to_string()),
        ("noroshi-reject-sha256", &digest),
        ("noroshi-reject-id", &format!("{topic}/0/1")),
    ] {
        assert_eq!(header(&rejects[0], key).as_deref(), Some(value), "{key}");
    }
    let alerts = broker.read_committed(&setup.alerts, 2, WAIT_MAX);
    let offsets: Vec<i64> = alerts.iter().map(|alert| identity(alert).0.3).collect();
    assert_eq!(offsets, [0, 2]);

    let metrics = super::process::get(&running.http(), "/metrics").1;
    let line = "noroshi_cuts_total{what=\"reject\"} 1";
    assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Rules that match everything make many more alerts than an epoch may hold: it ends behind a whole record, memory stays
/// bounded, and no alert is lost or double, also when the process is killed in the middle (I-1, I-8).
#[test]
fn an_epoch_holds_only_so_many_alerts_and_the_rest_follows() {
    const RECORDS: i64 = 2_000;
    const RULES: usize = 5;
    const EPOCH_BYTES: usize = 256 << 10;
    let Some(broker) = broker() else { return };
    let rules = tempfile::tempdir().expect("a folder");
    for rule in 0..RULES {
        let text = format!(
            "/*---\nid: every-{rule}\ntitle: Everything, {rule}\n---*/\n\
             SELECT Image, CommandLine FROM process_activity WHERE Image IS NOT NULL\n"
        );
        fs::write(rules.path().join(format!("{rule}.sql")), text).expect("a rule");
    }
    let setup = Setup::new(broker, rules.path(), "earliest");
    let event = br#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\a.exe","CommandLine":"a -b"}"#;
    broker.produce(&setup.topic("power"), (0..RECORDS).map(|_| Record::new(0, event.to_vec())));

    let small = format!("epoch.bytes_max={EPOCH_BYTES}");
    let total = usize::try_from(RECORDS).expect("few") * RULES;
    let mut running = setup.run(broker, 1, &[&small, super::stopping::SESSION]);
    running.runs_until("some alerts are out", || setup.committed(broker) > 0);
    running.kill();
    assert!(setup.committed(broker) < RECORDS, "killed in the middle");
    let mut running = setup.run(broker, 1, &[&small, super::stopping::SESSION]);
    running.runs_until("all input is committed", || setup.committed(broker) == RECORDS);

    let alerts = broker.read_committed(&setup.alerts, total, WAIT_MAX);
    let pairs: BTreeSet<Pair> = alerts.iter().map(|alert| identity(alert).0).collect();
    assert_eq!((alerts.len(), pairs.len()), (total, total));
    let bytes: usize = alerts.iter().map(|alert| alert.payload().map_or(0, <[u8]>::len)).sum();
    let metrics = super::process::get(&running.http(), "/metrics").1;
    let second = metrics
        .lines()
        .filter_map(|line| {
            line.strip_prefix("noroshi_epochs_total{outcome=\"committed\"} ")?.parse::<usize>().ok()
        })
        .sum::<usize>();
    assert!(second > 1 && second >= bytes / EPOCH_BYTES / 4, "{second} epochs for {bytes} bytes\n{metrics}");
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}
