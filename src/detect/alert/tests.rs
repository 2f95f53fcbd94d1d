//! Alerts as tables of cases, the committed schema, and the golden alert.

use super::*;
use crate::diagnostic::SourceFile;
use crate::normalise::schema::Catalog;
use std::sync::{Arc, LazyLock};

const TABLE: &str = r#"
table = "sample"
class_uid = 1007
description = "All kinds of columns."
[columns]
Image = { type = "string", category = "machine", ocsf = "process.file.path", observable = "file_path", description = "." }
CommandLine = { type = "string", category = "content", ocsf = "process.cmd_line", observable = "command_line", description = "." }
ProcessId = { type = "int", category = "machine", ocsf = "process.pid", description = "." }
Hashes = { type = "string", category = "machine", ocsf = "process.file.hashes", observable = "hash", description = "." }
User = { type = "string", category = "identifier", ocsf = "actor.user.name", observable = "user_name", description = "." }
SourceIp = { type = "string", category = "machine", ocsf = "src_endpoint.ip", observable = "ip_address", description = "." }
SourcePort = { type = "int", category = "machine", ocsf = "src_endpoint.port", observable = "port", description = "." }
QueryName = { type = "string", category = "machine", ocsf = "query.hostname", observable = "hostname", description = "." }
QueryType = { type = "string", category = "machine", ocsf = "query.type", description = "." }
TargetObject = { type = "string", category = "machine", ocsf = "reg_value.path", description = "." }
Computer = { type = "string", category = "machine", ocsf = "device.hostname", observable = "hostname", description = "." }
outcome = { type = "string", category = "machine", description = "." }
Junk = { type = "string", category = "machine", description = "." }
"#;

const RULE: &str = r#"{
    "id": "5c1b2a60-7f7e-4f0e-9d3e-0a4d0c1b7f11",
    "title": "Encoded PowerShell",
    "description": "A command line hides what it runs.",
    "status": "test",
    "level": "high",
    "tags": ["attack.execution", "attack.t1059.001"],
    "references": ["internal note 7", "https://example.org/encoded"],
    "falsepositives": ["Software deployment"],
    "author": "Noroshi",
    "date": "2026-01-02",
    "license": "Apache-2.0",
    "entity": ["User"]
}"#;

fn table() -> Arc<Table> {
    let catalog = Catalog::from_files([SourceFile::new("sample.toml", TABLE)]).expect("reads");
    Arc::clone(catalog.table("sample").expect("there"))
}

fn rule() -> RuleMeta {
    serde_json::from_str(RULE).expect("reads")
}

/// All that a case can vary; the rest is fixed.
struct Case {
    rule: RuleMeta,
    table: Arc<Table>,
    row: Value,
    output: Value,
    raw: Vec<u8>,
    limits: AlertLimits,
    time_is_told: bool,
}

impl Case {
    fn new(row: Value) -> Self {
        let raw = row.to_string().into_bytes();
        let (rule, table, output, limits) = (rule(), table(), json!({}), AlertLimits::default());
        Self { rule, table, row, output, raw, limits, time_is_told: true }
    }

    fn alert(&self) -> Alert {
        let row: Vec<Value> = self
            .table
            .columns
            .iter()
            .map(|column| self.row.get(&column.name).cloned().unwrap_or_default())
            .collect();
        let position = Position { topic: "power.windows".into(), partition: 3, offset: 1_234, index: 0 };
        let alert = build(&AlertInput {
            rule: &self.rule,
            rule_version: "7",
            org_id: &OrgId::new("power"),
            org_name: "東京電力サンプル",
            source: "power-windows",
            tlp: Tlp::AmberStrict,
            table: &self.table,
            row: &row,
            output: self.output.as_object().expect("a map"),
            position: &position,
            event_time: 1_767_312_000_123_456,
            time_is_told: self.time_is_told,
            ingest_time: Some(1_767_312_001_000_000),
            now: 1_767_312_002_000_000,
            raw: &self.raw,
            raw_from: None,
            limits: &self.limits,
            headers: &[],
        });
        assert_eq!(schema_errors(&parse(&alert)), Vec::<String>::new());
        assert!(!alert.value.contains(&b'\n'));
        alert
    }

    fn value(&self) -> Value {
        parse(&self.alert())
    }
}

fn parse(alert: &Alert) -> Value {
    serde_json::from_slice(&alert.value).expect("JSON")
}

fn schema_errors(value: &Value) -> Vec<String> {
    static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let schema = serde_json::from_str(SCHEMA).expect("JSON");
        jsonschema::draft202012::new(&schema).expect("a schema")
    });
    VALIDATOR.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn full_row() -> Value {
    json!({
        "Image": r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "CommandLine": "powershell -enc SQBFAFgA",
        "ProcessId": 4_242,
        "Hashes": "SHA256=9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08,IMPHASH=F34D5F2D4577ED6D9CEEC516C1F5A744",
        "User": r"POWER\operator",
        "SourceIp": "203.0.113.7",
        "SourcePort": 50_123,
        "QueryName": "_ldap._tcp.example.org",
        "TargetObject": r"HKLM\SOFTWARE\Run\updater",
        "Computer": "ws-07.power.example",
        "outcome": "success",
    })
}

#[test]
fn golden() {
    let mut case = Case::new(full_row());
    case.output =
        json!({"User": r"POWER\operator", "CommandLine": "powershell -enc SQBFAFgA", "nothing": null});
    let alert = case.alert();
    let headers: Map<String, Value> =
        alert.headers.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let key = String::from_utf8(alert.key.clone()).expect("ASCII");
    let made = json!({"key": key, "headers": headers, "value": parse(&alert)});
    crate::committed::assert_committed("tests/goldens/alert.json", &format!("{made:#}\n"));
}

#[test]
fn columns_go_to_their_ocsf_attributes() {
    for (row, pointer, expect) in [
        (full_row(), "/process/pid", json!(4_242)),
        (full_row(), "/process/file/name", json!("powershell.exe")),
        (full_row(), "/process/file/type_id", json!(1)),
        (full_row(), "/process/file/hashes/0/algorithm_id", json!(3)),
        (full_row(), "/process/file/hashes/1/algorithm_id", json!(99)),
        (full_row(), "/actor/user/name", json!(r"POWER\operator")),
        (full_row(), "/reg_value/name", json!("updater")),
        (full_row(), "/device/type_id", json!(0)),
        (full_row(), "/data/table", json!("sample")),
        (full_row(), "/data/row/outcome", json!("success")),
        (full_row(), "/nonsense", Value::Null),
        // Both separators, a trailing one, an empty path.
        (json!({"Image": "/usr/bin/curl"}), "/process/file/name", json!("curl")),
        (json!({"Image": "C:\\tmp/x.exe"}), "/process/file/name", json!("x.exe")),
        (json!({"Image": "/tmp/"}), "/process/file/name", json!("/tmp/")),
        (json!({"Image": ""}), "/process", Value::Null),
        // A process needs a pid or an id.
        (json!({"CommandLine": "x"}), "/process/uid", json!("power.windows/3/1234/0#process")),
        (json!({"CommandLine": "x", "ProcessId": 1}), "/process/uid", Value::Null),
        (json!({"CommandLine": "x", "ProcessId": "none"}), "/process/pid", Value::Null),
        // What does not fit stays in the row.
        (json!({"SourceIp": "-", "SourcePort": 1}), "/src_endpoint", Value::Null),
        (json!({"SourceIp": "-", "SourcePort": 1}), "/data/row/SourceIp", json!("-")),
        (json!({"SourceIp": "::1", "SourcePort": 70_000}), "/src_endpoint", json!({"ip": "::1"})),
        (json!({"SourceIp": "fe80::1%eth0"}), "/src_endpoint/ip", json!("fe80::1%eth0")),
        (json!({"QueryType": "A"}), "/query", Value::Null),
        (json!({"QueryName": "a.example", "QueryType": 28}), "/query/type", json!("28")),
        (json!({"Junk": "x"}), "/data/row/Junk", json!("x")),
    ] {
        let value = Case::new(row.clone()).value();
        let found = value.pointer(&format!("/evidences/0{pointer}")).cloned().unwrap_or_default();
        assert_eq!(found, expect, "{pointer} of {row}");
    }
}

#[test]
fn observables_point_at_what_is_there() {
    for (row, expect) in [
        (
            json!({"Image": "/bin/sh", "CommandLine": "sh -c id", "ProcessId": 1}),
            json!([
                ["evidences[].process.cmd_line", 99, "Command Line", "sh -c id"],
                ["evidences[].process.file.path", 99, "File Path", "/bin/sh"],
            ]),
        ),
        (
            json!({"SourceIp": "203.0.113.7", "Computer": "a", "QueryName": "a"}),
            json!([
                ["evidences[].device.hostname", 1, "Hostname", "a"],
                ["evidences[].src_endpoint.ip", 2, "IP Address", "203.0.113.7"],
            ]),
        ),
        (json!({"SourcePort": 22}), json!([["evidences[].data.row.SourcePort", 99, "Port", "22"]])),
        (
            json!({"Hashes": "MD5=d41d8cd98f00b204e9800998ecf8427e,SHA1=0000000000000000000000000000000000000000,IMPHASH=x"}),
            json!([["evidences[].process.file.hashes", 8, "Hash", "d41d8cd98f00b204e9800998ecf8427e"]]),
        ),
        (json!({"SourceIp": "LOCAL", "User": "-", "Image": " "}), Value::Null),
    ] {
        let value = Case::new(row.clone()).value();
        let found = value.get("observables").and_then(Value::as_array).map(|observables| {
            let of = |observable: &Value| json!(["name", "type_id", "type", "value"].map(|n| &observable[n]));
            observables.iter().map(of).collect::<Value>()
        });
        assert_eq!(found.unwrap_or_default(), expect, "{row}");
    }
}

#[test]
fn the_rule_shows_in_the_finding() {
    use crate::rules::meta::{RuleLevel, RuleStatus};
    for (level, status, severity, state) in [
        (RuleLevel::Informational, RuleStatus::Stable, 1, json!(1)),
        (RuleLevel::Low, RuleStatus::Test, 2, json!(1)),
        (RuleLevel::Medium, RuleStatus::Experimental, 3, json!(3)),
        (RuleLevel::High, RuleStatus::Deprecated, 4, Value::Null),
        (RuleLevel::Critical, RuleStatus::Unsupported, 5, Value::Null),
    ] {
        let mut case = Case::new(full_row());
        case.rule.level = level;
        case.rule.status = status;
        let value = case.value();
        assert_eq!(value["severity_id"], json!(severity));
        assert_eq!(value["finding_info"]["analytic"]["state_id"], state);
        assert_eq!(value["unmapped"]["noroshi"]["rule"]["status"], json!(status.as_str()));
    }
    let value = Case::new(full_row()).value();
    assert_eq!(value["finding_info"]["src_url"], json!("https://example.org/encoded"));
    assert_eq!(value["metadata"]["original_time"], json!("2026-01-02T00:00:00.123456Z"));
    assert_eq!(value["unmapped"]["noroshi"]["time_source"], Value::Null);
    // Of an event without a time nothing is said that it does not say itself.
    let value = Case { time_is_told: false, ..Case::new(full_row()) }.value();
    assert_eq!(value["metadata"]["original_time"], Value::Null);
    assert_eq!(value["unmapped"]["noroshi"]["time_source"], "record");
    assert_eq!(value["message"], json!(r"Encoded PowerShell (User=POWER\operator)"));
}

#[test]
fn the_entity_comes_from_the_output_then_from_the_row() {
    for (entity, output, key) in [
        (&[][..], json!({}), "power"),
        (&["User"], json!({}), r"power|POWER\operator"),
        (&["User"], json!({"User": "other"}), "power|other"),
        (&["User"], json!({"User": null}), "power|"),
        (&["n", "User"], json!({"n": 7, "User": "a|b"}), "power|7|a%7Cb"),
        (&["unknown"], json!({}), "power|"),
    ] {
        let mut case = Case::new(full_row());
        case.rule.entity = entity.iter().map(|name| (*name).to_owned()).collect();
        case.output = output;
        assert_eq!(case.alert().key, key.as_bytes(), "{entity:?}");
    }
}

#[test]
fn a_large_alert_shrinks_in_a_fixed_order() {
    let kilobyte = "k".repeat(1_024);
    let wide = |size: usize| {
        let mut row = full_row();
        row["outcome"] = json!(vec![kilobyte.as_str(); size]);
        row
    };
    let small = AlertLimits { alert_bytes_max: ALERT_BYTES_MIN, ..AlertLimits::default() };
    let raw_only = AlertLimits { raw_bytes_max: 70_000, ..small.clone() };
    for (row, raw, limits, cut) in [
        (full_row(), 100, AlertLimits::default(), &[][..]),
        (full_row(), 16_384, AlertLimits::default(), &[]),
        (full_row(), 16_385, AlertLimits::default(), &["raw_data"]),
        (full_row(), 69_000, raw_only, &["raw_data"]),
        (wide(50), 20_000, small.clone(), &["raw_data"]),
        (wide(100), 100, small.clone(), &["raw_data", "row.outcome"]),
        (json!({"CommandLine": "x".repeat(9_000)}), 100, small.clone(), &["row.CommandLine"]),
    ] {
        let mut case = Case::new(row);
        case.raw = vec![b'r'; raw];
        case.limits = limits;
        let alert = case.alert();
        let value = parse(&alert);
        assert!(alert.value.len() <= case.limits.alert_bytes_max, "{}", alert.value.len());
        let noroshi = &value["unmapped"]["noroshi"];
        let found: Vec<&str> =
            noroshi["cut"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(found, cut, "raw {raw}");
        assert_eq!(value["metadata"]["is_truncated"] == json!(true), !cut.is_empty());
        assert_eq!(noroshi["raw_data_bytes"], json!(raw));
        assert_eq!(noroshi["raw_data_cut"], json!(cut.contains(&"raw_data")));
        assert_eq!(alert.raw_cut, cut.contains(&"raw_data"));
        assert_eq!(alert.cut, cut.iter().any(|name| *name != "raw_data"));
        assert_eq!(value["raw_data_hash"]["value"], json!(hex(&Sha256::digest(&case.raw))));
    }
}

#[test]
fn whatever_the_event_the_alert_fits() {
    let nul = "\0".repeat(300_000);
    let hostile: Map<String, Value> =
        table().columns.iter().map(|column| (column.name.clone(), json!(nul))).collect();
    let mut case = Case::new(Value::Object(hostile));
    case.raw = nul.clone().into_bytes();
    case.rule.entity = vec!["User".into(); 100];
    case.rule.description = Some(nul.clone());
    case.rule.tags = (1000..9000).map(|id| format!("attack.t{id}.001")).collect();
    case.rule.references = vec![nul.clone(); 300];
    case.output = json!({"deep": [[[[[nul]]]]], "User": nul});
    for alert_bytes_max in [0, 262_144] {
        case.limits.alert_bytes_max = alert_bytes_max;
        let alert = case.alert();
        assert!(alert.value.len() <= alert_bytes_max.max(ALERT_BYTES_MIN), "{}", alert.value.len());
        assert!(alert.key.len() <= 512);
    }
}

#[test]
fn the_schema_refuses_what_is_no_alert() {
    let good = Case::new(full_row()).value();
    for (pointer, name, value) in [
        ("", "extra", json!(1)),
        ("/metadata", "uid", json!("not-a-uuid")),
        ("/unmapped/noroshi", "tlp", json!("white")),
        ("/evidences/0", "nonsense", json!({})),
        ("/evidences/0/data", "extra", json!(1)),
        ("", "time", json!("now")),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).and_then(Value::as_object_mut).expect("there").insert(name.into(), value);
        assert_eq!(schema_errors(&bad).len(), 1, "{pointer}/{name}");
    }
}

#[test]
fn tlp_reads_as_it_is_written() {
    for tlp in [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red] {
        assert_eq!(serde_json::to_value(tlp).expect("JSON"), json!(tlp.as_str()));
    }
}
