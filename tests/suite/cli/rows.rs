//! `noroshi scan --output rows`: what each record became, and why when it became nothing. No rule is read.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::process::finish_with;
use super::{Folder, SHELL, finish, hit, program, repository};

/// A format, a record, and the lines that say how it was read, without the keys that all lines have.
const READ: &[(&str, &str, &str)] = &[
    (
        "windows-json",
        r#"{"EventTime":"2026-11-23 10:00:00","Hostname":"WS-014","Channel":"Security","EventID":4688,"NewProcessName":"C:\\a.exe","NewProcessId":"0x1f4"}"#,
        r#"[{"index":0,"table":"process_activity","event_time":"2026-11-23T01:00:00Z","columns":{
              "Computer":"WS-014","EventID":4688,"Image":"C:\\a.exe","ProcessId":500,"activity":"launch","platform":"windows"}},
            {"index":0,"table":"windows_security","event_time":"2026-11-23T01:00:00Z","columns":{
              "Channel":"Security","Computer":"WS-014","EventID":4688,"NewProcessName":"C:\\a.exe"}}]"#,
    ),
    // What does not fit its column is null, and said.
    (
        "windows-json",
        r#"{"UtcTime":"2026-10-03 01:00:00.123","Channel":"Microsoft-Windows-Sysmon/Operational","EventID":"1","ProcessId":"many"}"#,
        r#"[{"index":0,"table":"process_activity","event_time":"2026-10-03T01:00:00.123Z",
             "columns":{"EventID":1,"activity":"launch","platform":"windows"},"unfit":["ProcessId"]}]"#,
    ),
    (
        "suricata-eve",
        r#"{"timestamp":"2026-10-03T10:00:00.000001+0900","event_type":"dns","dns":{"type":"query","rrname":"a.example"}}"#,
        r#"[{"index":0,"table":"dns_activity","event_time":"2026-10-03T01:00:00.000001Z","columns":{
              "QueryName":"a.example","activity":"query","platform":"network","query":"a.example"}}]"#,
    ),
    // In no table: what decides about tables, and what the event has there.
    (
        "suricata-eve",
        r#"{"timestamp":"never","event_type":"stats"}"#,
        r#"[{"index":0,"table":null,"event_time":null,"time_unread":{"timestamp":"never"},
             "decisive":{"event_type":"stats"},"accepted":{"event_type":["alert","dns","flow","http","netflow"]},
             "reason":"no table takes the event: the fields under `decisive` say which do, with one of the values under `accepted`"}]"#,
    ),
    // A time that cannot be read is another thing than none.
    (
        "windows-json",
        r#"{"EventTime":"03/10/2026 at noon","Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1}"#,
        r#"[{"index":0,"table":"process_activity","event_time":null,"time_unread":{"EventTime":"03/10/2026 at noon"},
             "columns":{"EventID":1,"activity":"launch","platform":"windows"}}]"#,
    ),
    // One record, three events; and one that is taken as a whole or not at all.
    (
        "suricata-eve",
        r#"[{"event_type":"a"},{"event_type":"flow"},{}]"#,
        r#"[{"index":0,"table":null,"event_time":null,"decisive":{"event_type":"a"},
             "accepted":{"event_type":["alert","dns","flow","http","netflow"]},
             "reason":"no table takes the event: the fields under `decisive` say which do, with one of the values under `accepted`"},
            {"index":1,"table":"network_activity","event_time":null,"columns":{"platform":"network"}},
            {"index":2,"table":null,"event_time":null,"decisive":{"event_type":null},
             "reason":"no table takes the event: it has no `event_type`, as events of suricata-eve have"}]"#,
    ),
    // Nothing that could be a row, and no fault either.
    ("windows-json", " [ ] ", r#"[{"table":null,"reason":"the record holds no event: its list is empty"}]"#),
    (
        "suricata-eve",
        r#"[{"event_type":"flow"},7]"#,
        r#"[{"table":null,"reject":"not_an_event","reason":"expected an object, found a number"}]"#,
    ),
    (
        "windows-json",
        "{\"EventID\":1",
        r#"[{"table":null,"reject":"syntax","reason":"invalid JSON: the text ends early at line 1, column 12; the line looks cut off"}]"#,
    ),
];

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

#[test]
fn each_record_says_how_it_was_read() {
    let folder = Folder::new(&[]);
    for (format, record, expect) in READ {
        folder.write("a", record.as_bytes());
        let zone = ["--time-zone", "+09:00", "--org", "power"];
        let done =
            folder.run(&[&["scan", "--source", format, "--output", "rows"], &zone[..], &["a"]].concat());
        assert_eq!(done.code, Some(0), "{record}: {}", done.err);
        let mut expect: Vec<Value> = serde_json::from_str(expect).expect("JSON");
        for line in &mut expect {
            for (key, value) in [
                ("file", json!("a")),
                ("record", json!(0)),
                ("org_id", json!("power")),
                ("source", json!(format)),
            ] {
                line[key] = value;
            }
        }
        let mut found = lines(&done.out);
        for columns in found.iter_mut().filter_map(|line| line.get_mut("columns")?.as_object_mut()) {
            // The whole event, where a table has it.
            let whole = columns.remove("event_data");
            assert!(whole.is_none_or(|whole| whole == *record), "{record}");
        }
        assert_eq!(found, expect, "{record}:\n{}", done.out);
    }
}

#[test]
fn records_come_in_order_and_are_counted() {
    let text = format!("{}\nno JSON\n\n{{}}\n{}\n", hit(), hit());
    let mut command = program();
    command.args(["scan", "--source", "windows-json", "--output", "rows"]);
    let done = finish_with(&mut command, text.as_bytes());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let shown: Vec<(i64, Option<String>)> = lines(&done.out)
        .iter()
        .map(|line| (line["record"].as_i64().expect("a number"), line["table"].as_str().map(str::to_owned)))
        .collect();
    let row = |record| (record, Some("process_activity".to_owned()));
    assert_eq!(shown, [row(0), (1, None), (2, None), row(3)]);
    assert!(
        done.err.starts_with("4 records, 3 events, 2 rows (1 events in no table), 1 rejected"),
        "{}",
        done.err
    );
    assert!(done.err.contains("1 events without a readable time"), "{}", done.err);
}

/// The same rows as in the goldens of formats, which the engine's own path made.
#[test]
fn the_goldens_are_read_the_same_way() {
    let cases = repository().join("tests/formats/windows-json");
    let mut rows = 0;
    for case in ["authentication", "network_activity", "process_activity", "odd_values", "rejects"] {
        let input: PathBuf = cases.join(case).join("input.ndjson");
        let golden = std::fs::read_to_string(cases.join(case).join("rows.json")).expect("rows.json");
        let golden: Value = serde_json::from_str(&golden).expect("JSON");
        let args =
            ["--source", "windows-json", "--time-zone", "+09:00", "--output", "rows", "--framing", "lines"];
        let done = finish(program().arg("scan").args(args).arg(&input));
        assert_eq!(done.code, Some(0), "{case}: {}", done.err);
        let lines = lines(&done.out);
        for (table, expect) in golden["tables"].as_object().expect("tables") {
            let columns = |row: &Value| {
                let mut row = row.as_object().expect("an object").clone();
                row.retain(|name, _| {
                    !["event_time", "record_offset", "event_index"].contains(&name.as_str())
                });
                Value::Object(row)
            };
            let expect: Vec<Value> = expect.as_array().expect("rows").iter().map(columns).collect();
            let found: Vec<Value> = lines
                .iter()
                .filter(|line| line["table"] == **table)
                .map(|line| line["columns"].clone())
                .collect();
            assert_eq!(found, expect, "{case}, {table}");
            rows += found.len();
        }
    }
    assert!(rows > 30, "only {rows} rows compared");
}

/// Also with rules, where only a summary is printed.
#[test]
fn what_is_of_another_format_is_said() {
    let nested = r#"{"winlog":{"channel":"Security","event_id":4625,"event_data":{"LogonType":"3"}}}"#;
    let text = format!("{nested}\n{}\n{nested}\n{{}}\n<13>1 - - - - -\n", hit());
    let folder = Folder::new(&[("shell.sql", SHELL), ("a", &text)]);
    for args in [&["--output", "rows"][..], &["--rules", "shell.sql", "--output", "matches"]] {
        let done = folder.run(&[&["scan", "--source", "windows-json", "a"], args].concat());
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.err);
        for line in [
            "2 in no table: looks like Winlogbeat's nested JSON, not like windows-json",
            "1 in no table: has no `EventID`, as events of windows-json have",
        ] {
            assert!(done.err.contains(line), "{args:?}: {line} is not in {}", done.err);
        }
        let both = format!("{}{}", done.out, done.err);
        assert!(both.contains("line 1, column 1; looks like syslog, not like JSON"), "{args:?}: {both}");
    }
}

#[test]
fn a_pipeline_gives_source_and_tables_and_its_rules_are_not_read() {
    let table = "table = \"door\"\nclass_uid = 3002\ndescription = \"A door.\"\n[columns]\nBadge = { type = \"int\", \
                 category = \"identifier\", description = \"Badge.\" }\n[[view]]\nformat = \"windows-json\"\n\
                 where = \"Door IS NOT NULL\"\n";
    let pipeline = "rules = [\"broken.sql\"]\nschemas = \"own\"\n[[organisation]]\nid = \"coast\"\nname = \"C\"\n\
                    [[source]]\nid = \"doors\"\norganisation = \"coast\"\ntopics = [\"a\"]\nformat = \"windows-json\"\n";
    let folder = Folder::new(&[
        ("broken.sql", "SELECT"),
        ("own/tables/door.toml", table),
        ("pipeline.toml", pipeline),
        ("a", r#"{"Door":"x","Badge":"7","UtcTime":"2026-10-03 01:00:00"}"#),
    ]);
    let expect = json!([{"file": "a", "record": 0, "index": 0, "table": "door", "event_time": "2026-10-03T01:00:00Z",
        "org_id": "coast", "source": "doors", "columns": {"Badge": 7}}]);
    let done = folder.run(&["scan", "--pipeline", ".", "--source", "doors", "--output", "rows", "a"]);
    assert_eq!((done.code, json!(lines(&done.out))), (Some(0), expect), "{}", done.err);
    // Without a pipeline the built-in tables are taken, or those of --schemas; rules may stay on the line.
    let args =
        ["scan", "--source", "windows-json", "--schemas", "own", "--rules", "broken.sql", "--output", "rows"];
    let done = folder.run(&[&args[..], &["a"]].concat());
    assert_eq!((done.code, lines(&done.out)[0]["table"].as_str()), (Some(0), Some("door")), "{}", done.err);
}

#[test]
fn only_rows_need_no_rules() {
    let folder = Folder::new(&[("shell.sql", SHELL), ("a", &hit())]);
    for output in ["table", "matches", "ocsf"] {
        let done = folder.run(&["scan", "--source", "windows-json", "--output", output, "a"]);
        assert_eq!(done.code, Some(2), "{output}: {}", done.out);
        assert!(done.err.contains("--rules") && done.err.contains("--output rows"), "{output}: {}", done.err);
    }
}

#[test]
fn what_an_event_holds_never_reaches_the_terminal_raw() {
    let event = hit().replace("ws1", "\\u001b[2Jws1\\r\\n\\u009b31m");
    let folder = Folder::new(&[("a", &event)]);
    let done = folder.run(&["scan", "--source", "windows-json", "--output", "rows", "a"]);
    assert_eq!(done.out.lines().count(), 1, "{:?}", done.out);
    assert!(!done.out.trim_end().contains(|c: char| c.is_control()), "{:?}", done.out);
    assert_eq!(lines(&done.out)[0]["columns"]["Computer"], "\u{1b}[2Jws1\r\n\u{9b}31m");
}
