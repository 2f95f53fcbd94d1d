//! `noroshi test`: the tests inside rules, and the case folders of pipelines.

use std::collections::BTreeMap;
use std::fs;

use noroshi::demo::telemetry::{ATTACK, SOURCES, Telemetry};

use super::super::committed::assert_committed;
use super::{Folder, SHELL, finish, hit, miss, program, repository};

/// The shell rule with tests.
fn tested(tests: &str) -> String {
    SHELL.replace("---*/", &format!("tests:\n{tests}---*/"))
}

const ROWS: &str = "given: [{Image: 'C:\\cmd.exe', Computer: ws1}, {Image: 'C:\\a.exe'}]";

#[test]
fn the_tests_of_rules_pass_or_say_what_differs() {
    let folder = Folder::new(&[("records.ndjson", &format!("{}\n{}\nno JSON\n{}\n", hit(), miss(), hit()))]);
    for (test, code, parts) in [
        (format!("  - {{name: n, {ROWS}, expect: 1}}\n"), 0, &["1 passed, 0 failed\n"][..]),
        (format!("  - {{name: n, {ROWS}, expect: [{{Computer: ws1}}]}}\n"), 0, &["1 passed, 0 failed\n"]),
        (
            format!("  - {{name: n, {ROWS}, expect: [{{Computer: ws2, Image: 'C:\\cmd.exe'}}]}}\n"),
            1,
            &[
                "FAIL  shell.sql: n\n",
                "alert 0, Computer: expected \"ws2\", got \"ws1\"",
                "0 passed, 1 failed",
            ],
        ),
        (
            format!("  - {{name: n, {ROWS}, expect: []}}\n  - {{name: m, {ROWS}, expect: 1}}\n"),
            1,
            &["alert 0 was not expected: {", "\"Computer\":\"ws1\"", "1 passed, 1 failed"],
        ),
        (
            format!("  - {{name: n, {ROWS}, expect: [{{Computer: ws1}}, {{Computer: ws3}}]}}\n"),
            1,
            &["alert 1 is missing: {\"Computer\":\"ws3\"}"],
        ),
        (format!("  - {{name: n, {ROWS}, expect: 3}}\n"), 1, &["expected 3 alerts, got 1:"]),
        (
            "  - {name: n, given: [{Imagee: x}], expect: 0}\n".into(),
            2,
            &["T003", "the table `process_activity` has no column `Imagee`", "did you mean `Image`?"],
        ),
        (
            "  - {name: n, given: [{Image: x, ProcessId: four}, {event_time: soon}], expect: 0}\n".into(),
            2,
            &["\"four\" is no value of the column `ProcessId`", "\"soon\" is no value", "of type timestamp"],
        ),
        ("  - {name: n, given: records.ndjson, format: windows-json, expect: 2}\n".into(), 0, &["1 passed"]),
        ("  - {name: n, given: records.ndjson, expect: 2}\n".into(), 2, &["T001", "needs `format:`"]),
        (
            "  - {name: n, given: records.ndjson, format: syslog, expect: 2}\n".into(),
            2,
            &["T001", "no format `syslog`"],
        ),
        (
            "  - {name: n, given: none.ndjson, format: windows-json, expect: 2}\n".into(),
            2,
            &["T001", "none.ndjson"],
        ),
        (String::new(), 2, &["D005"]),
    ] {
        folder.write("shell.sql", tested(&test).as_bytes());
        let done = folder.run(&["test", "shell.sql"]);
        let all = format!("{}{}", done.out, done.err);
        assert_eq!(done.code, Some(code), "{test}: {all}");
        for part in parts {
            assert!(all.contains(part), "{test}: {part:?} is not in\n{all}");
        }
    }
    folder.write("shell.sql", SHELL.as_bytes());
    let done = folder.run(&["test", "--verbose", "shell.sql"]);
    assert_eq!((done.code, done.out.as_str()), (Some(0), "0 passed, 0 failed (1 rule has no test)\n"));
}

#[test]
fn wrong_use_is_two() {
    let folder = Folder::new(&[("broken.sql", "SELECT"), ("empty/a.txt", "")]);
    for (args, expect) in [
        (&["test"][..], "name rules to test"),
        (&["test", "broken.sql"], "R001"),
        (&["test", "none.sql"], "none.sql"),
        (&["test", "--pipeline", "none"], "D001"),
        (&["test", "empty"], "no rule is in empty"),
    ] {
        let done = folder.run(args);
        assert_eq!(done.code, Some(2), "{args:?}: {}{}", done.out, done.err);
        assert!(done.err.contains(expect), "{args:?}: {}", done.err);
    }
}

#[test]
fn a_case_is_blessed_then_holds() {
    let pipeline = "rules = [\"shell.sql\"]\n[[organisation]]\nid = \"power\"\nname = \"P\"\n[[source]]\nid = \"win\"\n\
                    organisation = \"power\"\ntopics = [\"a\"]\nformat = \"windows-json\"\n";
    let folder = Folder::new(&[("p/pipeline.toml", pipeline), ("p/shell.sql", SHELL)]);
    folder.write("p/cases/one/win.ndjson", format!("{}\n{}\nno JSON\n", miss(), hit()).as_bytes());
    folder.write("p/cases/two/other.ndjson", hit().as_bytes());
    let run = |args: &[&str]| folder.run(&[&["test", "--pipeline", "p"], args].concat());

    let done = run(&[]);
    assert_eq!(done.code, Some(1));
    for part in [
        "p/cases/one",
        "expect.json",
        "--bless writes it",
        "no source has the input `other.ndjson`",
        "a case holds some of: win.ndjson",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    let done = folder.run(&["check", "--pipeline", "p"]);
    assert_eq!((done.code, done.out.matches("error[T004]").count()), (Some(1), 2), "{}", done.out);
    fs::remove_dir_all(folder.path().join("p/cases/two")).expect("removes");
    assert_eq!(run(&["--bless"]).code, Some(0));
    let expect = fs::read_to_string(folder.path().join("p/cases/one/expect.json")).expect("was written");
    let expect: serde_json::Value = serde_json::from_str(&expect).expect("JSON");
    assert_eq!(
        expect,
        serde_json::json!({
            "alerts": [{"rule_id": "shell", "title": "A shell was started", "source": "win", "record": 1, "index": 0}],
            "rejects": [{"source": "win", "record": 2, "code": "syntax"}],
        })
    );
    let done = run(&["-v"]);
    assert_eq!((done.code, done.out.contains("ok    p/cases/one\n")), (Some(0), true), "{}", done.out);

    folder.write("p/cases/one/win.ndjson", format!("{}\n{}\n", hit(), miss()).as_bytes());
    let done = run(&[]);
    assert_eq!(done.code, Some(1));
    for part in [
        "missing:      alert {",
        "\"record\":1",
        "not expected: alert {",
        "\"record\":0",
        "missing:      reject {",
    ] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
}

#[test]
fn the_repository_s_own_tests_pass() {
    let done =
        finish(program().current_dir(repository()).args(["test", "rules", "--pipeline", "pipelines/demo"]));
    assert_eq!(done.code, Some(0), "{}{}", done.out, done.err);
    assert!(done.out.contains(" 0 failed"), "{}", done.out);
}

/// The demo's case is its attack, with some ordinary records around it and a torn one at the end.
#[test]
fn the_demo_s_case_is_the_attack_of_its_telemetry() {
    // 2026-10-03T01:00:00Z.
    let telemetry = Telemetry::new(1, 1_790_989_200_000_000, 600);
    let mut inputs: BTreeMap<&str, String> = BTreeMap::new();
    let mut steps = 0;
    for (at, record) in telemetry.enumerate() {
        if record.step.is_none() && at % 30 != 0 {
            continue;
        }
        steps += usize::from(record.step.is_some());
        let line = String::from_utf8_lossy(&record.value);
        let input = inputs.entry(record.source).or_default();
        input.push_str(line.trim_end());
        input.push('\n');
    }
    assert_eq!(steps, ATTACK.len());
    assert_eq!(inputs.keys().copied().collect::<Vec<_>>(), {
        let mut sources: Vec<&str> = SOURCES.iter().map(|source| source.0).collect();
        sources.sort_unstable();
        sources
    });
    // The telemetry damages a record only in longer streams.
    inputs.entry("rail-windows").or_default().push_str("{\"Channel\":\"Security\",\"EventID\":46\n");
    for (source, input) in inputs {
        assert_committed(&format!("pipelines/demo/cases/attack/{source}.ndjson"), &input);
    }
}
