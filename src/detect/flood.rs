//! The alert about a partition of a source whose records are mostly rejected.
//!
//! Owns the built-in rule and what its alert shows: counts, and where the flood was noticed; nothing of any record. Each
//! partition is counted by itself, so each has an alert of its own, with an id of its own: readers that drop what has an
//! id that they know drop the same alert, and never another partition's. When
//! rejects are a flood is `pipeline::flood`'s to say. Called by `pipeline::lane`.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::alert::headers::HeaderTemplate;
use super::alert::{Alert, AlertInput, AlertLimits, Tlp, build_as, partition_alert_id};
use crate::normalise::schema::Table;
use crate::record::{OrgId, Position, TimeMicros};
use crate::rules::meta::{RuleLevel, RuleMeta, RuleScope, RuleStatus};

/// Id of the built-in rule.
pub const RULE_ID: &str = "noroshi.reject-flood";
/// Its version: part of its alerts' ids.
const RULE_VERSION: &str = "1";

static RULE: LazyLock<RuleMeta> = LazyLock::new(|| {
    RuleMeta {
    id: RULE_ID.into(),
    title: "Most records of a source cannot be read".into(),
    description: Some(
        "The records of a source are being rejected: its shipper has changed its format or encoding, or somebody \
         sends what is no telemetry. Rules see nothing of these records. They lie in the dead-letter topic: \
         `noroshi dlq list` shows them, and `noroshi dlq replay` sends them in again."
            .into(),
    ),
    status: RuleStatus::Stable,
    level: RuleLevel::High,
    tags: Vec::new(),
    references: Vec::new(),
    falsepositives: Vec::new(),
    author: None,
    date: None,
    modified: None,
    license: None,
    version: Some(RULE_VERSION.into()),
    scope: RuleScope::PerOrg,
    entity: vec!["source".into(), "topic".into(), "partition".into()],
    suppress: None,
    tests: Vec::new(),
}
});

/// What stands for a table: the alert is about none.
static TABLE: LazyLock<Table> = LazyLock::new(|| Table {
    name: "noroshi.rejects".into(),
    class_uid: 0,
    description: String::new(),
    columns: Vec::new(),
    views: Vec::new(),
    incomplete: false,
});

/// A flood that begins.
#[derive(Debug, Clone, Copy)]
pub struct FloodInput<'a> {
    /// Whose source it is.
    pub org_id: &'a OrgId,
    /// The organisation's name.
    pub org_name: &'a str,
    /// The source's id.
    pub source: &'a str,
    /// Who may see the alert.
    pub tlp: Tlp,
    /// The record with which it was noticed.
    pub position: &'a Position,
    /// When Kafka received that record.
    pub ingest_time: Option<TimeMicros>,
    /// The alert's own time.
    pub now: TimeMicros,
    /// The window that the alert is for: with source, topic and partition it makes the alert's id, whichever record it was
    /// noticed with. In milliseconds.
    pub window_start_ms: i64,
    /// Length of the window.
    pub window_ms: u64,
    /// Records of the partition in the window.
    pub records: u64,
    /// Rejects among them.
    pub rejects: u64,
    /// Bounds.
    pub limits: &'a AlertLimits,
    /// Headers that the pipeline adds.
    pub headers: &'a [HeaderTemplate],
}

/// The alert.
pub fn reject_flood(input: &FloodInput<'_>) -> Alert {
    let mut output = Map::new();
    for (name, value) in [
        ("source", json!(input.source)),
        ("topic", json!(&*input.position.topic)),
        ("partition", json!(input.position.partition)),
        ("records", json!(input.records)),
        ("rejects", json!(input.rejects)),
        ("window_start", json!(input.window_start_ms)),
        ("window_ms", json!(input.window_ms)),
    ] as [(&str, Value); 7]
    {
        output.insert(name.to_owned(), value);
    }
    let partition = (&*input.position.topic, input.position.partition);
    let rule = (RULE_ID, RULE_VERSION);
    let id = partition_alert_id(rule, input.org_id, input.source, partition, input.window_start_ms);
    let alert = AlertInput {
        rule: &RULE,
        rule_version: RULE_VERSION,
        org_id: input.org_id,
        org_name: input.org_name,
        source: input.source,
        tlp: input.tlp,
        table: &TABLE,
        row: &[],
        output: &output,
        position: input.position,
        event_time: input.ingest_time.unwrap_or(input.now),
        time_is_told: true,
        ingest_time: input.ingest_time,
        now: input.now,
        raw: &[],
        raw_from: None,
        limits: input.limits,
        headers: input.headers,
    };
    build_as(&alert, id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_is_about_a_partition_of_the_source_and_its_window() {
        let made = |org: &str, source: &str, (topic, partition): (&str, i32), window_start_ms, offset| {
            let position = Position { topic: topic.into(), partition, offset, index: 0 };
            reject_flood(&FloodInput {
                org_id: &OrgId::new(org),
                org_name: "Power",
                source,
                tlp: Tlp::Amber,
                position: &position,
                ingest_time: Some(1_790_000_000_000_000),
                now: 1_790_000_001_000_000,
                window_start_ms,
                window_ms: 300_000,
                records: 130,
                rejects: 100,
                limits: &AlertLimits::default(),
                headers: &[],
            })
        };
        let alert = made("power", "windows", ("in.power", 2), 1_789_999_800_000, 7);
        let value: Value = serde_json::from_slice(&alert.value).expect("JSON");
        assert_eq!(alert.key, b"power|windows|in.power|2");
        for (pointer, expect) in [
            ("/class_uid", json!(2004)),
            ("/severity", json!("High")),
            (
                "/message",
                json!(
                    "Most records of a source cannot be read (source=windows, topic=in.power, partition=2)"
                ),
            ),
            ("/metadata/tenant_uid", json!("power")),
            ("/finding_info/uid", json!(alert.id.to_string())),
            ("/finding_info/analytic/uid", json!(RULE_ID)),
            ("/evidences/0/data/output/rejects", json!(100)),
            ("/evidences/0/data/output/records", json!(130)),
            ("/raw_data", Value::Null),
            ("/unmapped/noroshi/positions/0/offset", json!(7)),
        ] {
            assert_eq!(value.pointer(pointer).unwrap_or(&Value::Null), &expect, "{pointer}");
        }
        let schema: Value = serde_json::from_str(super::super::alert::SCHEMA).expect("JSON");
        let schema = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        for (org, source, place, window, offset, same) in [
            // The same partition's, noticed with another record: one that began anew has counted from there.
            ("power", "windows", ("in.power", 2), 1_789_999_800_000, 9_999, true),
            ("power", "windows", ("in.power", 2), 1_790_000_100_000, 7, false),
            ("power", "windows", ("in.power", 3), 1_789_999_800_000, 7, false),
            ("power", "windows", ("in.power.b", 2), 1_789_999_800_000, 7, false),
            ("power", "ids", ("in.power", 2), 1_789_999_800_000, 7, false),
            ("rail", "windows", ("in.power", 2), 1_789_999_800_000, 7, false),
        ] {
            let is_same = made(org, source, place, window, offset).id == alert.id;
            assert_eq!(is_same, same, "{org} {source} {place:?} {window}");
        }
    }
}
