//! `noroshi scan`: files and standard input, all framings and outputs, and what becomes of bad records.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use serde_json::Value;

use super::super::process::finish_with;
use super::{Folder, SHELL, finish, hit, miss, program, repository};

const ARGS: &[&str] = &["scan", "--rules", "shell.sql", "--source", "windows-json", "--org", "power"];

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).expect("writes");
    encoder.finish().expect("ends")
}

/// (file, record, index) of each line of `--output matches`.
fn places(out: &str) -> Vec<(String, i64, i64)> {
    let place = |line: &str| {
        let alert: Value = serde_json::from_str(line).expect("a JSON object a line");
        assert_eq!(
            (&alert["rule_id"], &alert["org_id"], &alert["level"]),
            (&"shell".into(), &"power".into(), &"high".into())
        );
        let number = |key: &str| alert[key].as_i64().expect("a number");
        (alert["file"].as_str().expect("a file").to_owned(), number("record"), number("index"))
    };
    out.lines().map(place).collect()
}

/// Four records: a hit, a miss, no JSON, and three events of which two are hits. An empty line is no record.
fn lines() -> String {
    format!("{}\n{}\n\nno JSON\n[{},{},{}]\n", hit(), miss(), hit(), miss(), hit())
}

const SUMMARY: &str = "4 records, 5 events (0 in no table that a rule reads), 1 rejected, 3 alerts";

#[test]
fn every_way_in_gives_the_same_alerts() {
    let folder = Folder::new(&[("shell.sql", SHELL), ("plain.ndjson", &lines())]);
    folder.write("packed.ndjson.gz", &gzip(&lines()));
    folder
        .write("two-members.gz", &[gzip(&format!("{}\n", hit())), gzip(&lines())[..].to_vec()].concat()[..]);
    folder.write("packed.zst", &zstd::encode_all(lines().as_bytes(), 1).expect("packs"));
    folder.write("windows.ndjson", lines().replace('\n', "\r\n").as_bytes());
    folder.write("open-end.ndjson", lines().trim_end().as_bytes());
    folder.write("marked.ndjson", format!("\u{feff}{}", lines()).as_bytes());
    for file in [
        "plain.ndjson",
        "packed.ndjson.gz",
        "packed.zst",
        "windows.ndjson",
        "open-end.ndjson",
        "marked.ndjson",
    ] {
        let done = folder.run(&[ARGS, &[file]].concat());
        assert_eq!(done.code, Some(0), "{file}: {}", done.err);
        let name = file.to_owned();
        assert_eq!(places(&done.out), [(name.clone(), 0, 0), (name.clone(), 3, 0), (name, 3, 2)], "{file}");
        assert!(done.err.starts_with(SUMMARY), "{file}: {}", done.err);
        assert!(done.err.contains(&format!("rejected: {file}: record 2: syntax:")), "{file}: {}", done.err);
    }
    let done = folder.run(&[ARGS, &["two-members.gz"]].concat());
    assert_eq!(places(&done.out).len(), 4, "{}", done.err);
    for args in [&["-"][..], &[]] {
        let mut command = program();
        command.current_dir(folder.path()).args(ARGS).args(args);
        let done = finish_with(&mut command, lines().as_bytes());
        assert_eq!(done.code, Some(0), "{}", done.err);
        assert_eq!(places(&done.out), [("-".into(), 0, 0), ("-".into(), 3, 0), ("-".into(), 3, 2)]);
    }
}

/// A file, what is said of its records, and the numbers of those that alert.
#[test]
fn what_is_no_record_or_holds_no_event_is_told() {
    let table: &[(String, &str, &[i64])] = &[
        (hit(), "1 records, 1 events", &[0]),
        ("[]".into(), "1 records (1 without an event), 0 events", &[]),
        (format!("{}\n[]\n[ ]\n{}\n", hit(), hit()), "4 records (2 without an event), 2 events", &[0, 3]),
        // White space alone is no record, and takes no number.
        (format!(" \n{}\n\t \r\n\n{}\n  ", hit(), hit()), "2 records, 2 events", &[0, 1]),
        (" \n\n".into(), "0 records, 0 events", &[]),
    ];
    for (text, said, alerts) in table {
        let folder = Folder::new(&[("shell.sql", SHELL), ("a", text)]);
        for threads in ["1", "3"] {
            let done = folder.run(&[ARGS, &["--threads", threads, "a"]].concat());
            assert_eq!(done.code, Some(0), "{text:?}: {}", done.err);
            let records: Vec<i64> = places(&done.out).into_iter().map(|(_, record, _)| record).collect();
            assert_eq!(records, *alerts, "{text:?}");
            assert!(done.err.starts_with(said), "{text:?}: {}", done.err);
        }
        let done = folder.run(&["scan", "--source", "windows-json", "--output", "rows", "a"]);
        assert!(done.err.starts_with(said), "{text:?}: {}", done.err);
    }
}

#[test]
fn many_files_are_numbered_each_for_itself() {
    let list = format!(" [\n{},\n{}\n]\n", miss(), hit());
    let folder = Folder::new(&[
        ("shell.sql", SHELL),
        ("a", &lines()),
        ("list.json", &list),
        ("empty", ""),
        ("z", &hit()),
    ]);
    let done = folder.run(&[ARGS, &["a", "list.json", "empty", "z"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    let expect = [("a", 0, 0), ("a", 3, 0), ("a", 3, 2), ("list.json", 0, 1), ("z", 0, 0)];
    assert_eq!(places(&done.out), expect.map(|(file, record, index)| (file.to_owned(), record, index)));
    // Cut into lines it is no list, and only its last event stands alone.
    let done = folder.run(&[ARGS, &["--framing", "lines", "list.json"]].concat());
    assert_eq!(places(&done.out), [("list.json".to_owned(), 2, 0)]);
    assert!(done.err.contains("3 rejected"), "{}", done.err);
}

#[test]
fn outputs_are_for_people_scripts_and_siems() {
    let folder = Folder::new(&[("shell.sql", SHELL), ("a", &hit())]);
    let run = |output: &str| folder.run(&[ARGS, &["--output", output, "a"]].concat()).out;
    let matched: Value = serde_json::from_str(&run("matches")).expect("JSON");
    assert_eq!(
        matched["output"],
        serde_json::json!({"Computer": "ws1", "Image": r"C:\Windows\System32\cmd.exe"})
    );
    let table = run("table");
    assert_eq!(
        table.split_whitespace().collect::<Vec<_>>(),
        ["high", "0", "A", "shell", "was", "started", "Computer=ws1", r"Image=C:\Windows\System32\cmd.exe"]
    );
    let alert: Value = serde_json::from_str(&run("ocsf")).expect("JSON");
    assert_eq!(alert["class_uid"], 2004);
    assert_eq!(alert["metadata"]["uid"], matched["alert_id"]);
    assert_eq!(alert["metadata"]["tenant_uid"], "power");
    assert_eq!(alert["raw_data"], Value::String(hit()));
    assert_eq!(folder.run(&[ARGS, &["a"]].concat()).out, run("matches"), "the default in a pipe");
}

#[test]
fn what_is_too_long_for_its_column_says_so() {
    let value = |chars: usize| hit().replace(r"C:\\", &format!(r"C:\\{}", "x".repeat(chars)));
    for (title, image, shown_title, shown_image) in [
        (
            // A wide character takes two columns.
            "狼".repeat(24),
            value(53),
            "狼".repeat(24),
            format!(r"Image=C:\{}Windows\System32\cmd.exe", "x".repeat(53)),
        ),
        (
            "狼".repeat(25),
            value(54),
            format!("{}…", "狼".repeat(23)),
            format!(r"Image=C:\{}Windows\System32\cmd.e…", "x".repeat(54)),
        ),
    ] {
        let rule = SHELL.replace("A shell was started", &title);
        let folder = Folder::new(&[("shell.sql", &rule), ("a", &image)]);
        let table = folder.run(&[ARGS, &["--output", "table", "a"]].concat()).out;
        let words: Vec<&str> = table.split_whitespace().collect();
        assert_eq!(words, ["high", "0", &shown_title, "Computer=ws1", &shown_image]);
    }
}

#[test]
fn what_an_event_holds_never_reaches_the_terminal_raw() {
    let event = hit().replace("ws1", "\\u001b[2Jws1\\r\\n\\u009b31m");
    let folder = Folder::new(&[("shell.sql", SHELL), ("a", &event)]);
    for output in ["table", "matches", "ocsf"] {
        let done = folder.run(&[ARGS, &["--output", output, "a"]].concat());
        assert_eq!(done.out.lines().count(), 1, "{output}: {:?}", done.out);
        let raw: Vec<char> = done.out.trim_end().chars().filter(|c| c.is_control()).collect();
        assert!(raw.is_empty(), "{output}: {raw:?}");
    }
}

#[test]
fn many_rejects_are_counted_and_a_few_are_shown() {
    let folder = Folder::new(&[("shell.sql", SHELL), ("a", &"no JSON\n".repeat(9))]);
    let done = folder.run(&[ARGS, &["a"]].concat());
    assert_eq!(done.code, Some(0));
    assert!(done.err.contains("9 records, 0 events") && done.err.contains("9 rejected"), "{}", done.err);
    assert_eq!(done.err.matches("rejected: a: record ").count(), 5, "{}", done.err);
    assert!(done.err.contains("… and 4 more"), "{}", done.err);
    let done = folder.run(&[ARGS, &["--set", "limits.record_bytes_max=1024", "-"]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    folder.write("long", format!("{}\n{}\n", hit().replace("ws1", &"w".repeat(2_000)), hit()).as_bytes());
    let done = folder.run(&[ARGS, &["--set", "limits.record_bytes_max=1024", "long"]].concat());
    assert_eq!(places(&done.out), [("long".to_owned(), 1, 0)]);
    assert!(done.err.contains("record 0: too_large"), "{}", done.err);
}

#[test]
fn a_pipeline_gives_source_organisation_and_zone() {
    let records = repository().join("pipelines/demo");
    let event =
        hit().replace(r#""UtcTime":"2026-10-03 01:00:00.123""#, r#""EventTime":"2026-10-03 10:00:00""#);
    let folder = Folder::new(&[
        ("shell.sql", SHELL),
        ("a", &event),
        (
            "pipeline.toml",
            "rules = [\"shell.sql\"]\n[[organisation]]\nid = \"coast\"\nname = \"C\"\n[[source]]\nid = \"one\"\norganisation = \"coast\"\n\
             topics = [\"a\"]\nformat = \"windows-json\"\n[[source]]\nid = \"two\"\norganisation = \"coast\"\ntopics = [\"b\"]\n\
             format = \"windows-json\"\ntime_zone = \"+09:00\"\n",
        ),
    ]);
    let run = |source: &str, output: &str| {
        folder.run(&["scan", "--pipeline", ".", "--source", source, "--output", output, "a"])
    };
    let matched: Value = serde_json::from_str(&run("two", "matches").out).expect("JSON");
    assert_eq!((&matched["source"], &matched["org_id"]), (&"two".into(), &"coast".into()));
    for (source, time) in [("one", "2026-10-03T10:00:00"), ("two", "2026-10-03T01:00:00")] {
        let alert: Value = serde_json::from_str(&run(source, "ocsf").out).expect("JSON");
        let shown = alert["metadata"]["original_time"].as_str().unwrap_or_default();
        assert!(shown.starts_with(time), "{source}: {shown}");
    }
    let unknown = run("three", "matches");
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("`three`") && unknown.err.contains("one, two"), "{}", unknown.err);
    let demo =
        finish(program().args(["scan", "--pipeline"]).arg(records).args(["--source", "power-ids", "-"]));
    assert_eq!((demo.code, demo.out.as_str()), (Some(0), ""), "{}", demo.err);
}

/// The lines of a shipper, with the event as a text in them; one of them was not wrapped.
#[test]
fn a_source_takes_envelopes_off_and_rules_see_what_is_left_of_them() {
    let rule = SHELL.replace("WHERE ", "WHERE field('envelope.host') = 'gw7' AND ");
    assert_ne!(rule, SHELL);
    // Without a time of its own the event has that of the envelope.
    let event = hit().replace(r#""UtcTime":"2026-10-03 01:00:00.123","#, "");
    assert!(!event.contains("UtcTime"), "{event}");
    let wrapped = |host: &str, event: &str| {
        let message = serde_json::to_string(event).expect("JSON");
        format!("{{\"host\":\"{host}\",\"message\":{message},\"timestamp\":\"2026-10-03T05:06:07Z\"}}")
    };
    let lines = [wrapped("gw7", &event), wrapped("gw8", &event), event.clone(), wrapped("gw7", "no JSON")];
    let folder = Folder::new(&[
        ("shell.sql", &rule),
        ("a", &lines.join("\n")),
        (
            "pipeline.toml",
            "rules = [\"shell.sql\"]\n[[organisation]]\nid = \"coast\"\nname = \"C\"\n[[source]]\nid = \"one\"\norganisation = \"coast\"\n\
             topics = [\"a\"]\nformat = \"windows-json\"\nenvelopes = [\"vector\"]\n",
        ),
    ]);
    let done = folder.run(&["scan", "--pipeline", ".", "--source", "one", "--output", "ocsf", "a"]);
    assert_eq!((done.code, done.out.lines().count()), (Some(0), 1), "{}{}", done.out, done.err);
    let alert: Value = serde_json::from_str(&done.out).expect("JSON");
    let time = alert["metadata"]["original_time"].as_str().unwrap_or_default();
    assert!(time.starts_with("2026-10-03T05:06:07"), "{time}");
    assert_eq!(alert["raw_data"].as_str(), Some(lines[0].as_str()), "the record is shown as it came");
    assert!(done.err.contains("4 records, 2 events") && done.err.contains("2 rejected"), "{}", done.err);
    assert!(done.err.contains("envelope vector: there is no text at `message`"), "{}", done.err);
    assert!(done.err.contains("format: no JSON"), "{}", done.err);
}

#[test]
fn what_cannot_be_scanned_is_two_and_says_why() {
    let folder =
        Folder::new(&[("shell.sql", SHELL), ("a", &hit()), ("broken.sql", "SELECT"), ("torn.gz", "")]);
    let torn = gzip(&lines());
    folder.write("torn.gz", &torn[..torn.len() / 2]);
    for (args, expect) in [
        (&["scan", "--rules", "shell.sql", "--source", "syslog", "a"][..], "winlogbeat, suricata-eve"),
        (&["scan", "--rules", "broken.sql", "--source", "windows-json", "a"], "R001"),
        (&["scan", "--rules", "none.sql", "--source", "windows-json", "a"], "none.sql"),
        (&["scan", "--rules", "shell.sql", "--source", "windows-json", "none"], "cannot read none"),
        (&["scan", "--rules", "shell.sql", "--source", "windows-json", "."], "it is a folder"),
        (&["scan", "--rules", "shell.sql", "--source", "windows-json", "torn.gz"], "cannot read torn.gz"),
        (&["scan", "--rules", "shell.sql", "--source", "windows-json", "--org", "Power Co", "a"], "P003"),
        (&["scan", "--rules", "shell.sql", "--source", "windows-json", "--time-zone", "JST", "a"], "+09:00"),
        (
            &["scan", "--rules", "shell.sql", "--source", "windows-json", "--set", "limits.deep=1", "a"],
            "limits.deep",
        ),
        (&["scan", "--pipeline", "none", "--source", "x", "a"], "D001"),
    ] {
        let done = folder.run(args);
        assert_eq!(done.code, Some(2), "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(expect), "{args:?}: {}", done.err);
    }
}

/// Enough for several chunks of records, with records in it that are none; in the end a file that is torn.
#[test]
fn any_number_of_threads_gives_the_same() {
    let folder = Folder::new(&[("shell.sql", SHELL)]);
    let padded = hit().replace("ws1", &"w".repeat(4_000));
    let many: String = (0..1_500u32)
        .map(|at| match at % 100 {
            7 => "no JSON\n".to_owned(),
            8..12 => format!("{padded}\n"),
            _ => format!("{}\n", miss().replace("ws1", &"w".repeat(4_000))),
        })
        .collect();
    folder.write("many", many.as_bytes());
    let packed = gzip(&many);
    folder.write("torn.gz", &packed[..packed.len() - 100]);
    let run = |threads: &str, files: &[&str]| {
        let done = folder.run(&[ARGS, &["--threads", threads], files].concat());
        // Without the seconds.
        let err: Vec<String> = done
            .err
            .lines()
            .map(|line| match line.rsplit_once(", ") {
                Some((counts, seconds)) if seconds.ends_with(" s") => counts.to_owned(),
                _ => line.to_owned(),
            })
            .collect();
        (done.code, done.out, err)
    };
    let whole = run("1", &["many", "many"]);
    assert_eq!((whole.0, whole.1.lines().count()), (Some(0), 120), "{:?}", whole.2);
    assert!(whole.2[0].starts_with("3000 records, 2970 events"), "{:?}", whole.2);
    let torn = run("1", &["torn.gz", "many"]);
    assert_eq!(torn.0, Some(2), "{:?}", torn.2);
    assert!(torn.1.lines().count() > 50, "what came before the end is searched");
    assert!(torn.2.iter().any(|line| line.contains(" records, ")), "how far it was searched: {:?}", torn.2);
    for threads in ["2", "5"] {
        assert_eq!(run(threads, &["many", "many"]), whole, "{threads} threads");
        assert_eq!(run(threads, &["torn.gz", "many"]), torn, "{threads} threads");
    }
}

#[test]
fn a_reader_that_leaves_ends_the_scan_quietly() {
    let folder = Folder::new(&[("shell.sql", SHELL), ("many", &format!("{}\n", hit()).repeat(2_000))]);
    let mut command = program();
    command.current_dir(folder.path()).args(ARGS).arg("many").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    let mut first = String::new();
    let mut out = BufReader::with_capacity(64, child.stdout.take().expect("a pipe"));
    out.read_line(&mut first).expect("a line");
    drop(out);
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("reads");
    assert_eq!((child.wait().expect("ends").code(), err.as_str()), (Some(0), ""));
    assert_eq!(places(&first), [("many".to_owned(), 0, 0)]);
}

#[test]
fn the_rule_on_long_names_sees_suricata_s_lists_of_questions() {
    let done = finish(program().current_dir(repository()).args([
        "scan",
        "--rules",
        "rules/network/dns_long_name.sql",
        "--source",
        "suricata-eve",
        "--output",
        "matches",
        "tests/formats/suricata-eve/dns_activity/input.ndjson",
    ]));
    assert_eq!(done.code, Some(0), "{}", done.err);
    let records: Vec<Value> = done
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["record"].clone())
        .collect();
    assert_eq!(records, [6], "{}", done.out);
}

#[test]
fn every_line_of_a_utf_16_file_is_told_as_such() {
    let folder = Folder::new(&[("shell.sql", SHELL)]);
    let text = format!("\u{feff}{}\r\n{}\r\n{}\r\n", hit(), miss(), hit());
    for (name, bytes) in [
        ("little", text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
        ("big", text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ] {
        folder.write(name, &bytes);
        let done = folder.run(&[ARGS, &[name]].concat());
        assert_eq!(done.err.matches("looks like UTF-16, not like JSON").count(), 3, "{name}: {}", done.err);
        assert!(!done.err.contains("registry"), "{name}: {}", done.err);
    }
}
