//! Views on events: which match, and how they fill their columns.

use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::decode;
use crate::diagnostic::SourceFile;
use crate::normalise::schema::Catalog;

const TABLE: &str = r#"
table = "logon"
class_uid = 3002
description = "test"
[columns]
user = { type = "string", category = "identifier", description = "u" }
code = { type = "int", category = "machine", description = "c" }
outcome = { type = "string", category = "machine", description = "o" }
kind = { type = "string", category = "machine", description = "k" }
[[view]]
format = "windows-json"
where = "Channel = 'Security' AND EventID IN (1, 2)"
fill = { user = { join = ["Domain", "Name"], separator = "\\" }, code = ["EventID"], outcome = { first = ["EventID"], map = { 1 = "success" }, otherwise = "failure" }, kind = { value = "logon" } }
[[view]]
format = "windows-json"
where = "Other IS NOT NULL"
fill = { code = "a.b" }
"#;

fn rows(columns: &[&str], records: &[&str]) -> (String, Vec<Added>) {
    let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("table");
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let projection = Projection::new(&catalog, [("logon", columns.as_slice())]);
    let format = decode::format("windows-json").expect("format");
    let mut layout = Layout::new(&projection, format);
    let mut decoder = format.decoder(layout.fields(), decode::DecodeLimits::default());
    let mut tables: Vec<_> = projection.tables().iter().map(TableBuilder::new).collect();
    let mut added = Vec::new();
    for (at, record) in records.iter().enumerate() {
        let at = u32::try_from(at).expect("small");
        decoder
            .decode(record.as_bytes(), &mut |slots| {
                let event_time = layout.event_time(slots, ZoneOffset { minutes: 60 }).unwrap_or(0);
                let context = EventContext {
                    org_id: "power",
                    source: "power-windows",
                    event_time,
                    ingest_time: None,
                    topic: "t",
                    partition: 3,
                    offset: 40 + i64::from(at),
                    index: 0,
                };
                added.push(layout.add(slots, &context, at, ZoneOffset::UTC, &mut tables, &mut Everything));
            })
            .expect("decodes");
    }
    let (batch, origins) = tables[0].finish().expect("batch");
    assert_eq!(batch.num_rows(), origins.len());
    (pretty_format_batches(&[batch]).expect("prints").to_string(), added)
}

#[test]
fn views_fill_their_columns() {
    let (shown, added) = rows(
        &["user", "code", "outcome", "kind", "event_time", "org_id", "record_offset"],
        &[
            r#"{"Channel":"security","EventID":"1","Domain":"P","Name":"x","EventTime":"1970-01-01 01:00:01"}"#,
            r#"{"Channel":"Security","EventID":2,"Name":"y"}"#,
            r#"{"Channel":"System","EventID":1}"#,
            r#"{"Channel":"Security","EventID":1,"Other":true,"a":{"b":"0x10"},"code":"ten"}"#,
            r#"{"Other":1,"a.b":"ten"}"#,
        ],
    );
    let expect = "\
+------+---------------------------+--------+--------+---------+---------------+------+
| code | event_time                | kind   | org_id | outcome | record_offset | user |
+------+---------------------------+--------+--------+---------+---------------+------+
| 1    | 1970-01-01T00:00:01Z      | logon  | power  | success | 40            | P\\x  |
| 2    | 1970-01-01T00:00:00Z      | logon  | power  | failure | 41            | y    |
| 1    | 1970-01-01T00:00:00Z      | logon  | power  | success | 43            |      |
| 16   | 1970-01-01T00:00:00Z      |        | power  |         | 43            |      |
|      | 1970-01-01T00:00:00Z      |        | power  |         | 44            |      |
+------+---------------------------+--------+--------+---------+---------------+------+";
    let squeeze = |text: &str| text.replace([' ', '-'], "");
    assert_eq!(squeeze(&shown), squeeze(expect), "{shown}");
    let rows: Vec<u32> = added.iter().map(|added| added.rows).collect();
    assert_eq!(rows, [1, 1, 0, 2, 1]);
    let unfit: Vec<u32> = added.iter().map(|added| added.unfit).collect();
    assert_eq!(unfit, [0, 0, 0, 0, 1]);
}

#[test]
fn only_wanted_fields_reach_the_decoder() {
    let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("table");
    let columns = ["kind".to_owned()];
    let projection = Projection::new(&catalog, [("logon", columns.as_slice())]);
    let layout = Layout::new(&projection, decode::format("windows-json").expect("format"));
    assert!(!layout.fields().paths().iter().any(|path| path == "Domain" || path == "a.b"));
    assert!(layout.fields().paths().iter().any(|path| path == "Channel"));
}

#[test]
fn evidence_rows_have_every_column_with_its_type() {
    let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("table");
    let mut layout =
        Layout::new(&Projection::full(&catalog), decode::format("windows-json").expect("format"));
    let mut decoder = decode::format("windows-json")
        .expect("format")
        .decoder(layout.fields(), decode::DecodeLimits::default());
    let mut row = Vec::new();
    decoder
        .decode(br#"{"Channel":"Security","EventID":"1","Name":"x"}"#, &mut |slots| {
            row = layout.row(0, slots, ZoneOffset::UTC);
        })
        .expect("decodes");
    assert_eq!(serde_json::Value::from(row), serde_json::json!([1, "logon", "success", "x"]));
}

#[test]
fn columns_of_paths_and_of_all_values_are_filled_from_the_event() {
    let (shown, _) = rows(
        &["code", "field('a.b')", "field('Name')", "event_text"],
        &[
            r#"{"Channel":"Security","EventID":1,"Name":"x","a":{"b":[1,{"c":null}]},"t":true,"d":1.5}"#,
            r#"{"Channel":"Security","EventID":2,"a":{"b":null},"Name":false}"#,
            r#"{"Other":"o","a.b":2}"#,
        ],
    );
    let expect = "\
+------+-----------------------------+------------------+----------------+
| code | event_text                  | field('Name')    | field('a.b')   |
+------+-----------------------------+------------------+----------------+
| 1    | Security                    | x                | [1,{c:null}]   |
|      | 1                           |                  |                |
|      | x                           |                  |                |
|      | 1                           |                  |                |
|      | true                        |                  |                |
|      | 1.5                         |                  |                |
| 2    | Security                    | false            |                |
|      | 2                           |                  |                |
|      | false                       |                  |                |
| 2    | o                           |                  | 2              |
|      | 2                           |                  |                |
+------+-----------------------------+------------------+----------------+";
    let squeeze = |text: &str| text.replace([' ', '-', '"'], "");
    assert_eq!(squeeze(&shown), squeeze(expect), "{shown}");
}

/// A view of several formats: the same rows from events that name their fields differently.
#[test]
fn the_same_view_reads_formats_that_share_their_names() {
    let several = TABLE.replace(
        "format = \"windows-json\"",
        "format = [\"windows-json\", \"windows-event-json\", \"winlogbeat\"]",
    );
    let catalog = Catalog::from_files([SourceFile::new("t.toml", several)]).expect("table");
    let columns = ["user", "code", "outcome", "event_text", "field('Extra')"].map(str::to_owned);
    let projection = Projection::new(&catalog, [("logon", columns.as_slice())]);
    for (format, record) in [
        ("windows-json", r#"{"Channel":"Security","EventID":1,"Domain":"P","Name":"x","Extra":[7]}"#),
        (
            "windows-event-json",
            r##"{"Event":{"System":{"Channel":"Security","EventID":{"#text":1}},"EventData":{"Domain":"P","Name":"x","Extra":[7]}}}"##,
        ),
        (
            "winlogbeat",
            r#"{"winlog":{"channel":"Security","event_id":1,"event_data":{"Domain":"P","Name":"x","Extra":[7]}}}"#,
        ),
    ] {
        let format = decode::format(format).expect("format");
        let mut layout = Layout::new(&projection, format);
        let mut decoder = format.decoder(layout.fields(), decode::DecodeLimits::default());
        let mut found = Vec::new();
        let decoded = decoder.decode(record.as_bytes(), &mut |slots| {
            found.extend(layout.read(slots, ZoneOffset::UTC).into_iter().map(|row| row.values));
        });
        assert_eq!(decoded, Ok(1));
        let expect = serde_json::json!([[1, "Security\n1\nP\nx\n7", "[7]", "success", "P\\x"]]);
        assert_eq!(serde_json::json!(found), expect, "{}", format.name());
    }
}
