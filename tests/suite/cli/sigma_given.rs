//! What Sigma rules are given beside their text: values for placeholders, the licence that lies beside them, what their
//! alerts are about, and tests.

use serde_json::{Value, json};

use super::{Folder, hit, miss};

const ID: &str = "00000000-0000-4000-8000-0000000000aa";

/// A rule with these selections; `more` is more of the document.
fn rule(more: &str, detection: &str) -> String {
    format!(
        "title: The rule\nid: {ID}\nstatus: test\nlevel: high\nauthor: Somebody\n{more}\
         logsource:\n    category: process_creation\n    product: windows\ndetection:\n{detection}\n"
    )
}

const SHELL: &str = "    s:\n        Image|endswith: '\\cmd.exe'\n    condition: s";

fn folder(rule: &str) -> Folder {
    let events = format!("{}\n{}\n", hit(), miss());
    Folder::new(&[("sigma/rules/windows/a.yml", rule), ("events.ndjson", &events)])
}

/// The alerts that a scan of the events makes.
fn alerts(folder: &Folder, more: &[&str]) -> Vec<Value> {
    let mut args = vec!["scan", "--rules", "sigma/rules", "--source", "windows-json", "--org", "power"];
    args.extend(["--output", "ocsf"].iter().chain(more));
    args.push("events.ndjson");
    let done = folder.run(&args);
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn every_command_that_loads_rules_takes_values() {
    let folder = folder(&rule("", "    s:\n        Image|endswith|expand: '%shells%'\n    condition: s"));
    folder.write("values/shells.txt", b"# ours\n\\cmd.exe\r\n\\sh\n");
    assert_eq!(alerts(&folder, &[]).len(), 0, "without values");
    assert_eq!(alerts(&folder, &["--values", "values"]).len(), 1);
    for (args, without, with) in [
        (&["check", "sigma"][..], "G011", "1 Sigma document (1 armed)"),
        (&["sigma", "coverage", "sigma", "--format", "json"], "\"armed\": false", "\"armed\": true"),
        (&["sigma", "sql", "sigma"], "G011", "ILIKE '%\\\\cmd.exe'"),
        (&["test", "sigma"], "G011", "0 passed, 0 failed"),
    ] {
        let said = |more: &[&str]| {
            let done = folder.run(&[args, more].concat());
            (done.code, done.out + &done.err)
        };
        let (_, plain) = said(&[]);
        assert!(plain.contains(without), "{args:?}: {plain}");
        let (code, valued) = said(&["--values", "values"]);
        assert!(valued.contains(with) && !valued.contains("G011"), "{args:?}: {valued}");
        assert_eq!(code, Some(0), "{args:?}: {valued}");
        let (code, missing) = said(&["--values", "vallues"]);
        assert!(missing.contains("G016") && missing.contains("vallues is no folder"), "{args:?}: {missing}");
        assert!(matches!(code, Some(1 | 2)), "{args:?}: {code:?}");
    }
}

#[test]
fn values_go_before_those_of_a_pipeline() {
    let folder = folder(&rule("", "    s:\n        Image|endswith|expand: '%shells%'\n    condition: s"));
    folder.write("theirs/shells.txt", b"\\nothing\n");
    folder.write("ours/shells.txt", b"\\cmd.exe\n");
    let pipeline = "rules = [\"sigma/rules\"]\nvalues = \"theirs\"\n\n[[organisation]]\nid = \"power\"\nname = \"P\"\n\n\
                    [[source]]\nid = \"win\"\norganisation = \"power\"\nformat = \"windows-json\"\ntopics = [\"t\"]\n";
    folder.write("pipeline.toml", pipeline.as_bytes());
    for (more, expect) in [(&[][..], 0), (&["--values", "ours"], 1)] {
        let args = ["scan", "--pipeline", ".", "--source", "win", "--output", "matches", "events.ndjson"];
        let done = folder.run(&[&args, more].concat());
        assert_eq!(done.out.lines().count(), expect, "{more:?}: {}", done.err);
    }
}

#[test]
fn the_licence_beside_the_rules_travels_in_alerts() {
    let drl = "Rules are released under the [Detection Rule License (DRL) 1.1](https://example.org)\n";
    for (file, more, expect) in [
        (Some(("sigma/LICENSE", drl)), "", json!("DRL-1.1")),
        (Some(("sigma/LICENSE", drl)), "license: MIT\n", json!("MIT")),
        (Some(("sigma/rules/LICENSE", "Apache License")), "", Value::Null),
        (None, "", Value::Null),
    ] {
        let folder = folder(&rule(more, SHELL));
        if let Some((name, text)) = file {
            folder.write(name, text.as_bytes());
        }
        let alerts = alerts(&folder, &[]);
        let shown = &alerts[0]["unmapped"]["noroshi"]["rule"];
        assert_eq!((&shown["license"], &shown["author"]), (&expect, &json!("Somebody")), "{file:?} {more}");
    }
}

#[test]
fn an_alert_is_about_the_host_that_the_log_source_names_first() {
    let folder = folder(&rule("", SHELL));
    let alerts = alerts(&folder, &[]);
    assert_eq!(alerts[0]["unmapped"]["noroshi"]["entity"], json!({"Computer": "ws1"}));
    assert_eq!(alerts[0]["message"], "The rule (Computer=ws1)");
    // The SQL of the rule says so as well.
    let done = folder.run(&["sigma", "sql", "sigma/rules"]);
    assert!(done.out.contains("entity:\n  - Computer\n"), "{}", done.out);
}

#[test]
fn a_rule_of_ones_own_has_tests() {
    let rows = "tests:\n  - name: a shell\n    given:\n      - { Image: 'C:\\cmd.exe', activity: launch, platform: windows }\n      \
                - { Image: 'C:\\x.exe', activity: launch, platform: windows }\n    expect:\n      - { Image: 'C:\\cmd.exe' }\n";
    let file =
        "tests:\n  - { name: in a file, given: ../../../events.ndjson, format: windows-json, expect: 1 }\n";
    for (tests, code, expect) in [
        (rows.to_owned(), 0, "1 passed, 0 failed"),
        (file.to_owned(), 0, "1 passed, 0 failed"),
        (file.replace("expect: 1", "expect: 2"), 1, "expected 2 alerts, got 1"),
        ("tests: some\n".to_owned(), 2, "`tests` is no list"),
        ("tests: [{name: n, given: [], expects: 1}]\n".to_owned(), 2, "unknown field `expects`"),
    ] {
        let folder = folder(&rule(&tests, SHELL));
        let done = folder.run(&["test", "sigma/rules"]);
        let said = done.out + &done.err;
        assert!(said.contains(expect), "{tests}: {said}");
        assert_eq!(done.code, Some(code), "{tests}: {said}");
    }
    // Where a log source is in several tables, the events decide in which of them they are rows.
    let several = rule(file, SHELL).replace("category: process_creation", "service: sysmon");
    let done = folder(&several).run(&["test", "sigma/rules"]);
    assert!(done.out.contains("1 passed, 0 failed"), "{}{}", done.out, done.err);
    let done = folder(&several.replace(file, rows)).run(&["test", "sigma/rules"]);
    assert!(done.out.contains("give a file of records"), "{}{}", done.out, done.err);
}
