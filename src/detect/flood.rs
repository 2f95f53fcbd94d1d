//! The alert about a partition of a source whose records are mostly rejected.
//!
//! Owns the built-in rule and what its alert shows: counts, and where the flood was noticed; nothing of any record. Each
//! partition is counted by itself, so each has an alert of its own, with an id of its own: readers that drop what has an
//! id that they know drop the same alert, and never another partition's. When
//! rejects are a flood is `pipeline::flood`'s to say. Called by `pipeline::lane`.

use std::sync::LazyLock;

use serde_json::json;

use super::alert::{Alert, partition_alert_id};
use super::own::{self, RULE_VERSION, Told};
use crate::normalise::schema::Table;
use crate::rules::meta::RuleMeta;

/// Id of the built-in rule.
pub const RULE_ID: &str = "noroshi.reject-flood";

static RULE: LazyLock<RuleMeta> = LazyLock::new(|| {
    own::rule(
        RULE_ID,
        "Most records of a source cannot be read",
        "The records of a source are being rejected: its shipper has changed its format or encoding, or somebody \
         sends what is no telemetry. Rules see nothing of these records. They lie in the dead-letter topic: \
         `noroshi dlq list` shows them, and `noroshi dlq replay` sends them in again.",
        &["source", "topic", "partition"],
    )
});
static TABLE: LazyLock<Table> = LazyLock::new(|| own::table("noroshi.rejects"));

/// A flood that begins.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// The window that the alert is for: with source, topic and partition it makes the alert's id, whichever record it was
    /// noticed with. In milliseconds.
    pub window_start_ms: i64,
    /// Length of the window.
    pub window_ms: u64,
    /// Records of the partition in the window.
    pub records: u64,
    /// Rejects among them.
    pub rejects: u64,
}

/// The alert; it is about the partition in which it is told.
pub fn reject_flood(told: &Told<'_>, flood: &Flood) -> Alert {
    let partition = (&*told.position.topic, told.position.partition);
    let says = [
        ("source", json!(told.source)),
        ("topic", json!(partition.0)),
        ("partition", json!(partition.1)),
        ("records", json!(flood.records)),
        ("rejects", json!(flood.rejects)),
        ("window_start", json!(flood.window_start_ms)),
        ("window_ms", json!(flood.window_ms)),
    ];
    let rule = (RULE_ID, RULE_VERSION);
    let id = partition_alert_id(rule, told.org_id, told.source, partition, flood.window_start_ms);
    own::alert(told, &RULE, &TABLE, id, says)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::detect::alert::{AlertLimits, Tlp};
    use crate::record::{OrgId, Position};

    #[test]
    fn the_alert_is_about_a_partition_of_the_source_and_its_window() {
        let made = |org: &str, source: &str, (topic, partition): (&str, i32), window_start_ms, offset| {
            let position = Position { topic: topic.into(), partition, offset, index: 0 };
            let told = Told {
                org_id: &OrgId::new(org),
                org_name: "Power",
                source,
                tlp: Tlp::Amber,
                position: &position,
                ingest_time: Some(1_790_000_000_000_000),
                now: 1_790_000_001_000_000,
                limits: &AlertLimits::default(),
                headers: &[],
            };
            reject_flood(&told, &Flood { window_start_ms, window_ms: 300_000, records: 130, rejects: 100 })
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
