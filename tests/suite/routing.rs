//! A topic for each organisation: made by `topics --create`, and each alert and reject only in its own (I-4).

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use rdkafka::message::Message as _;
use serde_json::Value;

use super::delivery::{identity, repository};
use super::kafka::{Record, broker, unique};
use super::process::{Running, WAIT_MAX, finish, program};

const ORGANISATIONS: [&str; 2] = ["power", "rail"];
const PARTITIONS: usize = 2;
/// Alerts that each organisation's events give.
const ALERTS: usize = 40;

#[test]
fn alerts_and_rejects_go_to_their_organisation_s_topics_only() {
    let Some(broker) = broker() else { return };
    let id = unique("routing");
    let folder = tempfile::tempdir().expect("a folder");
    let rule = repository("rules/windows/security_log_cleared.sql");
    let mut text = format!("name = \"{id}\"\nrules = [{:?}]\n", rule.display().to_string());
    for org in ORGANISATIONS {
        let _ = write!(
            text,
            "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}-windows\"\n\
             organisation = \"{org}\"\ntopics = [\"{id}.in.{org}\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n"
        );
    }
    let _ = write!(
        text,
        "[alerts]\ntopic = \"{id}.alerts.{{org_id}}\"\n[rejects]\ntopic = \"{id}.dead.{{org_id}}\"\n"
    );
    fs::write(folder.path().join("pipeline.toml"), text).expect("writes the pipeline");

    let servers = format!("kafka.bootstrap_servers={}", broker.plaintext);
    let mut create = program();
    create.args(["topics", "--create", "--partitions", "2", "--replication-factor", "1", "--set", &servers]);
    let created = finish(create.arg("--pipeline").arg(folder.path()));
    assert_eq!(created.code, Some(0), "{}{}", created.out, created.err);
    assert_eq!(created.out.matches("2 partitions").count(), 6, "{}", created.out);
    let setting = |topic: &str, key: &str| broker.topic_setting(topic, key).expect("a setting");
    for org in ORGANISATIONS {
        // What decodes fits, and what is published fits: the defaults of limits.record_bytes_max and message_bytes_max.
        for (topic, bytes) in
            [("in", 4_000_000 + 65_536), ("alerts", 1_000_000 + 65_536), ("dead", 1_000_000 + 65_536)]
        {
            let topic = format!("{id}.{topic}.{org}");
            assert_eq!(broker.end_offsets(&topic), [0; PARTITIONS], "{topic}");
            assert_eq!(setting(&topic, "max.message.bytes"), bytes.to_string(), "{topic}");
        }
        assert_eq!(setting(&format!("{id}.in.{org}"), "message.timestamp.type"), "LogAppendTime");
    }

    for org in ORGANISATIONS {
        let records = (0..ALERTS).map(|number| {
            // The event says that it is the other's; only configuration is believed.
            let text = format!(
                r#"{{"Channel":"Security","EventID":1102,"Hostname":"{org}-{number}","org_id":"ministry","tenant_uid":"ministry","EventTime":"2026-01-02 03:04:05"}}"#
            );
            Record::new(i32::try_from(number % PARTITIONS).expect("few"), text)
        });
        let bad = Record::new(0, format!("no JSON of {org}"));
        broker.produce(&format!("{id}.in.{org}"), records.chain([bad]));
    }
    let settings = [servers, "lanes.count=2".to_owned(), "http.listen=127.0.0.1:0".to_owned()];
    let mut running = Running::start(folder.path(), folder.path(), &settings);
    let group = format!("noroshi-{id}");
    running.runs_until("all input is committed", || {
        ORGANISATIONS.iter().all(|org| {
            let topic = format!("{id}.in.{org}");
            let committed = broker.group_offsets(&group, &topic);
            committed == broker.end_offsets(&topic).into_iter().map(Some).collect::<Vec<_>>()
        })
    });

    let mut ids = BTreeSet::new();
    for org in ORGANISATIONS {
        let alerts = broker.read_committed(&format!("{id}.alerts.{org}"), ALERTS, WAIT_MAX);
        let mut hosts = BTreeSet::new();
        for alert in &alerts {
            let ((_, topic, _, _, _), uid) = identity(alert);
            assert_eq!(topic, format!("{id}.in.{org}"));
            assert!(ids.insert(uid), "an id is there twice");
            let value: Value = serde_json::from_slice(alert.payload().expect("a value")).expect("JSON");
            assert_eq!(value["metadata"]["tenant_uid"], org);
            let raw: Value =
                serde_json::from_str(value["raw_data"].as_str().expect("the event")).expect("JSON");
            hosts.insert(raw["Hostname"].as_str().expect("a host").to_owned());
        }
        let expected: BTreeSet<String> = (0..ALERTS).map(|number| format!("{org}-{number}")).collect();
        assert_eq!((alerts.len(), hosts), (ALERTS, expected), "{org}: each once");
        let rejects = broker.read_committed(&format!("{id}.dead.{org}"), 1, WAIT_MAX);
        let values: Vec<_> = rejects.iter().map(|reject| reject.payload()).collect();
        assert_eq!(values, [Some(format!("no JSON of {org}").as_bytes())], "{org}");
    }
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}
