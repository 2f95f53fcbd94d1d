//! Alerts against OCSF's own sources, at 1.8.0 (strictly) and 1.1.0.
//!
//! Needs `NOROSHI_TEST_DATA`: a folder with `ocsf-schema.tar.xz`, or with the folders `1.8.0` and `1.1.0` that it
//! holds. Without it the tests say that they were skipped.

mod schema;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use noroshi::detect::alert::{AlertInput, AlertLimits, Tlp, build};
use noroshi::diagnostic::SourceFile;
use noroshi::normalise::schema::ocsf::{Holds, OBJECTS, holds};
use noroshi::normalise::schema::{Catalog, Column, ColumnType, Observable, Table};
use noroshi::record::{OrgId, Position};
use noroshi::rules::meta::RuleMeta;
use serde_json::{Map, Value, json};

use super::data;

pub use self::schema::validate;

const TABLE: &str = r#"
table = "sample"
class_uid = 1007
description = "Paths into every kind of object."
[columns]
Computer = { type = "string", category = "machine", ocsf = "device.hostname", observable = "hostname", description = "." }
Os = { type = "string", category = "machine", ocsf = "device.os.name", description = "." }
Image = { type = "string", category = "machine", ocsf = "process.file.path", observable = "file_path", description = "." }
Hashes = { type = "string", category = "machine", ocsf = "process.file.hashes", observable = "hash", description = "." }
CommandLine = { type = "string", category = "content", ocsf = "process.cmd_line", observable = "command_line", description = "." }
ProcessId = { type = "int", category = "machine", ocsf = "process.pid", description = "." }
ProcessGuid = { type = "string", category = "machine", ocsf = "process.uid", description = "." }
Started = { type = "timestamp", category = "machine", ocsf = "process.created_time", description = "." }
IntegrityLevel = { type = "string", category = "machine", ocsf = "process.integrity", description = "." }
ParentImage = { type = "string", category = "machine", ocsf = "process.parent_process.file.path", description = "." }
ParentCommandLine = { type = "string", category = "content", ocsf = "process.parent_process.cmd_line", description = "." }
User = { type = "string", category = "identifier", ocsf = "actor.user.name", observable = "user_name", description = "." }
Domain = { type = "string", category = "identifier", ocsf = "actor.user.domain", description = "." }
LogonId = { type = "int", category = "machine", ocsf = "actor.session.uid", description = "." }
SourceImage = { type = "string", category = "machine", ocsf = "actor.process.file.path", description = "." }
Target = { type = "string", category = "identifier", ocsf = "user.name", description = "." }
TargetFilename = { type = "string", category = "machine", ocsf = "file.path", observable = "file_path", description = "." }
Size = { type = "int", category = "machine", ocsf = "file.size", description = "." }
SourceIp = { type = "string", category = "machine", ocsf = "src_endpoint.ip", observable = "ip_address", description = "." }
SourcePort = { type = "int", category = "machine", ocsf = "src_endpoint.port", observable = "port", description = "." }
SourceMac = { type = "string", category = "machine", ocsf = "src_endpoint.mac", description = "." }
DestinationIp = { type = "string", category = "machine", ocsf = "dst_endpoint.ip", observable = "ip_address", description = "." }
DestinationHostname = { type = "string", category = "machine", ocsf = "dst_endpoint.hostname", description = "." }
DestinationPort = { type = "int", category = "machine", ocsf = "dst_endpoint.port", description = "." }
Protocol = { type = "string", category = "machine", ocsf = "connection_info.protocol_name", description = "." }
Direction = { type = "string", category = "machine", ocsf = "connection_info.direction", description = "." }
QueryName = { type = "string", category = "machine", ocsf = "query.hostname", observable = "hostname", description = "." }
QueryType = { type = "string", category = "machine", ocsf = "query.type", description = "." }
Url = { type = "string", category = "machine", ocsf = "url.url_string", observable = "url", description = "." }
UrlHost = { type = "string", category = "machine", ocsf = "url.hostname", description = "." }
Method = { type = "string", category = "machine", ocsf = "http_request.http_method", description = "." }
RequestHost = { type = "string", category = "machine", ocsf = "http_request.url.hostname", description = "." }
Agent = { type = "string", category = "machine", ocsf = "http_request.user_agent", description = "." }
Status = { type = "int", category = "machine", ocsf = "http_response.code", description = "." }
Sni = { type = "string", category = "machine", ocsf = "tls.sni", description = "." }
ScriptBlockText = { type = "string", category = "content", ocsf = "script.script_content.value", description = "." }
ScriptPath = { type = "string", category = "content", ocsf = "script.file.path", description = "." }
TargetObject = { type = "string", category = "machine", ocsf = "reg_value.path", description = "." }
Details = { type = "string", category = "content", ocsf = "reg_value.data", description = "." }
RegistryKey = { type = "string", category = "machine", ocsf = "reg_key.path", description = "." }
ServiceName = { type = "string", category = "machine", ocsf = "win_service.name", description = "." }
ServiceFileName = { type = "string", category = "machine", ocsf = "win_service.cmd_line", description = "." }
TaskName = { type = "string", category = "machine", ocsf = "job.name", description = "." }
Operation = { type = "string", category = "machine", ocsf = "api.operation", description = "." }
Elsewhere = { type = "string", category = "machine", description = "." }
"#;

/// The folders of 1.8.0 and 1.1.0, unpacked once; none when there is no test data.
pub fn versions() -> Option<[PathBuf; 2]> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let data = data::folder("OCSF's sources")?;
        if data.join("1.8.0").is_dir() {
            Some(data)
        } else {
            Some(data::unpacked(&data.join("ocsf-schema.tar.xz")))
        }
    });
    folder.as_ref().map(|folder| [folder.join("1.8.0"), folder.join("1.1.0")])
}

fn sample() -> Arc<Table> {
    let catalog = Catalog::from_files([SourceFile::new("sample.toml", TABLE)]).expect("reads");
    Arc::clone(catalog.table("sample").expect("there"))
}

/// An alert over that row, with a rule of which every part is used.
fn alert(table: &Table, row: &Map<String, Value>) -> Value {
    let rule: RuleMeta = serde_json::from_value(json!({
        "id": "a-rule",
        "title": "Something happened",
        "description": "It should not.",
        "level": "critical",
        "tags": ["attack.credential-access", "attack.discovery", "attack.t1110.003", "attack.ta0107", "cve.2021-44228"],
        "references": ["https://example.org/"],
        "falsepositives": ["None known"],
        "author": "A. N. Other",
        "date": "2026-01-02",
        "entity": ["n"],
    }))
    .expect("reads");
    let values: Vec<Value> =
        table.columns.iter().map(|column| row.get(&column.name).cloned().unwrap_or_default()).collect();
    let output = json!({"n": 7, "list": [1, "two", null], "f": 0.5});
    let built = build(&AlertInput {
        rule: &rule,
        rule_version: "1",
        org_id: &OrgId::new("ministry"),
        org_name: "省",
        source: "ministry-windows",
        tlp: Tlp::Amber,
        table,
        row: &values,
        output: output.as_object().expect("a map"),
        position: &Position { topic: "ministry.windows".into(), partition: 0, offset: 42, index: 1 },
        event_time: 1_767_312_000_123_456,
        time_is_told: true,
        ingest_time: Some(1_767_312_001_000_000),
        now: 1_767_312_002_000_000,
        raw: Value::Object(row.clone()).to_string().as_bytes(),
        raw_from: None,
        limits: &AlertLimits::default(),
        headers: &[],
    });
    serde_json::from_slice(&built.value).expect("JSON")
}

/// A value that fits the column.
fn fitting(column: &Column) -> Value {
    match column.kind {
        ColumnType::Int => json!(443),
        ColumnType::Double => json!(0.5),
        ColumnType::Boolean => json!(true),
        ColumnType::Timestamp => json!(1_767_312_000_123_i64),
        ColumnType::String => match (column.observable, column.ocsf.as_ref().and_then(|path| path.last())) {
            (Some(Observable::IpAddress), _) => json!("203.0.113.7"),
            (Some(Observable::Hash), _) => {
                json!("MD5=D41D8CD98F00B204E9800998ECF8427E,IMPHASH=F34D5F2D4577ED6D9CEEC516C1F5A744")
            }
            (_, Some(name)) if name == "ip" => json!("2001:db8::7"),
            (_, Some(name)) if name == "mac" => json!("00-1B-44-11-3A-B7"),
            (_, Some(name)) if name == "http_method" => json!("GET"),
            (_, Some(name)) if name.ends_with("path") => json!(r"C:\Windows\explorer.exe"),
            _ => json!("host.example"),
        },
    }
}

fn row(fields: Value) -> Map<String, Value> {
    fields.as_object().expect("a map").clone()
}

/// Rows with everything, with nothing, and with each column alone: objects must be complete whatever is missing.
fn rows(table: &Table) -> Vec<Map<String, Value>> {
    let all: Map<String, Value> =
        table.columns.iter().map(|column| (column.name.clone(), fitting(column))).collect();
    let mut rows = vec![all.clone(), Map::new()];
    rows.extend(all.into_iter().map(|field| Map::from_iter([field])));
    rows
}

#[test]
fn alerts_are_valid_in_both_versions() {
    let Some(folders) = versions() else { return };
    let stock = Catalog::stock().expect("the stock tables");
    let mut tables = stock.tables().to_vec();
    tables.push(sample());
    for folder in folders {
        let schema = schema::Schema::load(&folder);
        for table in &tables {
            for row in rows(table) {
                let faults = schema.check(&alert(table, &row));
                assert_eq!(faults, Vec::<String>::new(), "{} {row:?} {}", table.name, folder.display());
            }
        }
    }
}

#[test]
fn hostile_rows_still_give_valid_alerts() {
    let Some(folders) = versions() else { return };
    let long = "x".repeat(100_000);
    let schemas = folders.map(|folder| schema::Schema::load(&folder));
    let table = sample();
    for text in [
        "",
        " ",
        "-",
        "\0",
        "\u{1b}[31m\r\n",
        "../../etc/passwd",
        "\\",
        "/",
        "狼煙\u{202e}",
        "256.1.1.1",
        "::ffff:192.0.2.1",
        "fe80::1%eth0",
        "fe80::1%\n",
        "ABCD:ABCD:ABCD:ABCD:ABCD:ABCD:192.168.158.190%eth0",
        "{",
        &long,
    ] {
        for value in
            [json!(text), json!([text]), json!({ "a": text }), json!(i64::MAX), json!(-1), json!(1e300)]
        {
            let hostile: Map<String, Value> =
                table.columns.iter().map(|column| (column.name.clone(), value.clone())).collect();
            for schema in &schemas {
                let faults = schema.check(&alert(&table, &hostile));
                assert_eq!(faults, Vec::<String>::new(), "{:.60}", value.to_string());
            }
        }
    }
}

/// What a table file may name is what OCSF has, of the type that values are given.
#[test]
fn the_attributes_that_paths_may_name_are_ocsf_s() {
    let Some([new, _]) = versions() else { return };
    let schema = schema::Schema::load(&new);
    for (object, attributes) in OBJECTS {
        for entry in attributes.split_ascii_whitespace() {
            let (name, inner) =
                entry.split_once(':').map_or((entry, None), |(name, object)| (name, Some(object)));
            let inner = inner.map(|inner| if inner.is_empty() { name } else { inner });
            let detail = schema.attribute(object, name).unwrap_or_else(|| panic!("no {object}.{name}"));
            let kind =
                ["object_type", "type"].iter().find_map(|key| detail.get(*key)?.as_str()).expect("a type");
            match inner {
                // A proxy is described as an endpoint is.
                Some(inner) => {
                    assert!(kind == inner || name == "proxy_endpoint", "{object}.{name} is a {kind}")
                }
                None => {
                    let expect = match holds(name) {
                        Holds::Boolean => &["boolean_t"][..],
                        Holds::Integer => &["integer_t", "long_t", "port_t"],
                        Holds::Time => &["timestamp_t"],
                        Holds::Formed if name == "hashes" => &["fingerprint"],
                        Holds::Formed => &["ip_t", "hostname_t", "mac_t", "email_t", "uuid_t", "string_t"],
                        Holds::Text => &[
                            "string_t",
                            "file_name_t",
                            "file_path_t",
                            "json_t",
                            "process_name_t",
                            "reg_key_path_t",
                            "resource_uid_t",
                            "url_t",
                            "username_t",
                        ],
                    };
                    assert!(expect.contains(&kind), "{object}.{name} is a {kind}");
                    let list = detail.get("is_array") == Some(&json!(true));
                    assert_eq!(list, matches!(name, "hashes" | "to"), "{object}.{name}");
                }
            }
        }
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let Some([new, old]) = versions() else { return };
    let good = alert(
        &sample(),
        &row(json!({"ProcessId": 1, "Image": "/bin/sh", "SourceIp": "::1", "SourcePort": 1})),
    );
    for (pointer, name, value, at_new, at_old) in [
        // Missing.
        ("", "severity_id", None, "severity_id: required", "severity_id: required"),
        ("", "time", None, "time: required", "time: required"),
        ("/metadata", "product", None, "metadata.product: required", "metadata.product: required"),
        ("/metadata/product", "vendor_name", None, "", "metadata.product.vendor_name: required"),
        ("/finding_info", "title", None, "", "finding_info.title: required"),
        (
            "/evidences/0/process/file",
            "type_id",
            None,
            "evidences[0].process.file.type_id: required",
            "evidences[0].process.file.type_id: required",
        ),
        ("/observables/0", "name", None, "", "observables[0].name: required"),
        // Of the wrong type.
        ("", "time", Some(json!("now")), "time: expected", "time: expected"),
        ("", "message", Some(json!(1)), "message: expected", "message: expected"),
        ("", "is_alert", Some(json!("yes")), "is_alert: expected", ""),
        ("", "evidences", Some(json!({})), "evidences: expected a list", "evidences: expected a list"),
        ("", "metadata", Some(json!([])), "metadata: expected an object", "metadata: expected an object"),
        (
            "/evidences/0/process",
            "pid",
            Some(json!(1.5)),
            "evidences[0].process.pid: expected",
            "evidences[0].process.pid: expected",
        ),
        (
            "/evidences/0/src_endpoint",
            "port",
            Some(json!(65_536)),
            "evidences[0].src_endpoint.port: outside",
            "evidences[0].src_endpoint.port: outside",
        ),
        (
            "/evidences/0/src_endpoint",
            "ip",
            Some(json!("localhost")),
            "evidences[0].src_endpoint.ip: does not match",
            "evidences[0].src_endpoint.ip: does not match",
        ),
        // Not in the enum.
        ("", "severity_id", Some(json!(7)), "severity_id: 7 is not", "severity_id: 7 is not"),
        ("", "activity_id", Some(json!(9)), "activity_id: 9 is not", "activity_id: 9 is not"),
        ("", "status_id", Some(json!(5)), "", "status_id: 5 is not"),
        ("/observables/0", "type_id", Some(json!(13)), "", "observables[0].type_id: 13 is not"),
        (
            "/observables/0",
            "type_id",
            Some(json!(12_345)),
            "observables[0].type_id: 12345 is not",
            "observables[0].type_id: 12345 is not",
        ),
        // Unknown.
        ("", "nonsense", Some(json!(1)), "nonsense: unknown", ""),
        ("/evidences/0", "nonsense", Some(json!(1)), "evidences[0].nonsense: unknown", ""),
        ("", "assignee", Some(json!({"name": "x"})), "assignee: unknown", ""),
        // Against a constraint.
        (
            "/evidences/0/process",
            "pid",
            None,
            "evidences[0].process: process breaks",
            "evidences[0].process: process breaks",
        ),
        (
            "",
            "evidences",
            Some(json!([{}])),
            "evidences[0]: evidences breaks",
            "evidences[0]: evidences breaks",
        ),
        (
            "/finding_info",
            "attacks",
            Some(json!([{}])),
            "finding_info.attacks[0]: attack breaks",
            "finding_info.attacks[0]: attack breaks",
        ),
        // Another class.
        ("", "class_uid", Some(json!(2001)), "class_uid", "class_uid"),
        ("", "type_uid", Some(json!(200_402)), "type_uid", "type_uid"),
    ] {
        let mut bad = good.clone();
        let object = bad.pointer_mut(pointer).and_then(Value::as_object_mut).expect("there");
        match value {
            Some(value) => object.insert(name.into(), value),
            None => object.remove(name),
        };
        for (folder, expect) in [(&new, at_new), (&old, at_old)] {
            let faults = validate(folder, &bad);
            let place = format!("{pointer}/{name} at {}", folder.display());
            match expect {
                "" => assert_eq!(faults, Vec::<String>::new(), "{place}"),
                _ => assert!(faults.iter().any(|fault| fault.starts_with(expect)), "{place}: {faults:?}"),
            }
        }
    }
}

#[test]
fn profiles_count_only_when_listed() {
    let Some([new, _]) = versions() else { return };
    let mut value = alert(&sample(), &Map::new());
    value["assignee"] = json!({"name": "x"});
    assert_eq!(validate(&new, &value), ["assignee: unknown attribute of class detection_finding"]);
    value["metadata"]["profiles"] = json!(["incident"]);
    assert_eq!(validate(&new, &value), Vec::<String>::new());
}
