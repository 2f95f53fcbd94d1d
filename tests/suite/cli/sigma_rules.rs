//! Sigma rules beside SQL rules: the same alerts, the SQL of a rule, and what is said of a broken one.

use serde_json::Value;

use super::{Folder, started};

/// A Sigma rule on process creations, and the SQL that says the same.
const PAIRS: &[(&str, &str, &str)] = &[
    (
        "00000000-0000-4000-8000-000000000001",
        "
    selection:
        Image|endswith: '\\cmd.exe'
    condition: selection",
        "Image ILIKE '%\\\\cmd.exe'",
    ),
    (
        "00000000-0000-4000-8000-000000000002",
        "
    selection:
        Image|contains|all:
            - 'c:\\'
            - powershell
    filter:
        CommandLine|contains|windash: ' -help'
    condition: selection and not filter",
        "Image ILIKE '%c:\\\\%' AND Image ILIKE '%powershell%' AND (CommandLine ~ '(?i) [-/–—―]help') IS NOT TRUE",
    ),
    (
        "00000000-0000-4000-8000-000000000003",
        "
    selection_a:
        Image|re: '\\\\cmd\\.exe$'
    selection_b:
        ParentImage: null
    selection_c:
        ProcessId|gt: 100
    condition: 2 of selection_*",
        "(Image LIKE '%\\\\cmd.exe' AND ParentImage IS NULL) OR (ProcessId > 100 AND (ParentImage IS NULL OR \
         Image LIKE '%\\\\cmd.exe'))",
    ),
];

fn yaml(id: &str, detection: &str) -> String {
    format!(
        "title: The rule {id}\nid: {id}\nstatus: test\nlevel: high\nauthor: Somebody\nlicense: DRL-1.1\n\
         logsource:\n    category: process_creation\n    product: windows\ndetection:{detection}\n"
    )
}

fn sql(id: &str, condition: &str) -> String {
    format!(
        "/*---\nid: {id}\ntitle: The rule {id}\nstatus: test\nlevel: high\n---*/\n\
         SELECT Image FROM process_activity WHERE {condition}\n"
    )
}

fn events() -> String {
    let with =
        |image: &str, more: &str| started(image).replace("\"EventID\":1,", &format!("\"EventID\":1,{more}"));
    let events = [
        with(r"C:\Windows\System32\cmd.exe", ""),
        with(r"C:\Windows\System32\CMD.EXE", r#""ProcessId":101,"ParentImage":"C:\\x.exe","#),
        with(r"C:\Windows\System32\cmd.exe", r#""ProcessId":101,"ParentImage":"C:\\x.exe","#),
        with(r"C:\PowerShell.exe", r#""CommandLine":"powershell /HELP","#),
        with(r"C:\PowerShell.exe", r#""CommandLine":"powershell -enc","#),
        with(r"C:\PowerShell.exe", ""),
        with(r"C:\Windows\explorer.exe", r#""ProcessId":"500","#),
    ];
    events.join("\n") + "\n"
}

/// Rule and record of each alert.
fn hits(folder: &Folder, rules: &str) -> Vec<(String, i64)> {
    let done =
        folder.run(&["scan", "--rules", rules, "--source", "windows-json", "--org", "power", "events"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let mut hits: Vec<(String, i64)> = done
        .out
        .lines()
        .map(|line| {
            let alert: Value = serde_json::from_str(line).expect("JSON");
            let id = alert["rule_id"].as_str().expect("an id").to_owned();
            (id, alert["record"].as_i64().expect("a record"))
        })
        .collect();
    hits.sort();
    hits
}

fn folder() -> Folder {
    let folder = Folder::new(&[("events", &events())]);
    for (id, detection, condition) in PAIRS {
        folder.write(&format!("sigma/deep/{id}.yml"), yaml(id, detection).as_bytes());
        folder.write(&format!("sql/{id}.sql"), sql(id, condition).as_bytes());
    }
    folder
}

#[test]
fn a_sigma_folder_gives_the_alerts_of_the_same_rules_in_sql() {
    let folder = folder();
    let expect = hits(&folder, "sql");
    for (id, ..) in PAIRS {
        let of_it = expect.iter().filter(|(rule, _)| rule == id).count();
        assert!(of_it > 0 && of_it < 7, "{id} tells nothing apart: {expect:?}");
    }
    assert_eq!(hits(&folder, "sigma"), expect);
}

#[test]
fn the_sql_of_a_rule_is_a_rule() {
    let folder = folder();
    let expect = hits(&folder, "sigma");
    for (id, ..) in PAIRS {
        let done = folder.run(&["sigma", "sql", &format!("sigma/deep/{id}.yml")]);
        assert_eq!(done.code, Some(0), "{}", done.err);
        folder.write(&format!("made/{id}.sql"), done.out.as_bytes());
    }
    let done = folder.run(&["check", "made"]);
    assert_eq!(done.code, Some(0), "{}", done.out);
    assert!(done.out.contains("3 rules"), "{}", done.out);
    assert_eq!(hits(&folder, "made"), expect);
}

#[test]
fn the_sql_of_a_rule_on_several_tables_is_a_file_of_each() {
    let folder = Folder::new(&[("events", &format!("{}{}", events(), script()))]);
    let on_windows = "title: Anything\nid: 00000000-0000-4000-8000-00000000000a\nstatus: test\nlevel: high\n\
                      logsource:\n    product: windows\ndetection:\n    keywords:\n        - powershell\n    \
                      condition: keywords\n";
    folder.write("sigma/any.yml", on_windows.as_bytes());
    let (id, detection, _) = PAIRS.first().expect("one");
    folder.write("sigma/one.yml", yaml(id, detection).as_bytes());
    let records = |rules: &str| -> Vec<i64> { hits(&folder, rules).into_iter().map(|(_, at)| at).collect() };
    let mut expect = records("sigma");
    expect.sort_unstable();
    assert!(expect.contains(&7), "the event of another table: {expect:?}");

    // Printed, each has a head that says what to call it, and what no rule file begins with.
    let done = folder.run(&["sigma", "sql", "sigma"]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let heads: Vec<&str> = done.out.lines().filter(|line| line.starts_with("-- ")).collect();
    assert!(heads.contains(&"-- one.sql") && heads.contains(&"-- any.process_activity.sql"), "{heads:?}");
    assert!(done.err.contains("--write"), "{}", done.err);
    folder.write("all.sql", done.out.as_bytes());
    let checked = folder.run(&["check", "all.sql"]);
    assert!(checked.code == Some(1) && checked.out.contains("R001"), "{}", checked.out);

    let written = folder.run(&["sigma", "sql", "sigma", "--write", "made"]);
    assert_eq!((written.code, written.out.as_str()), (Some(0), ""), "{}", written.err);
    assert!(written.err.contains(&format!("{} files written to made", heads.len())), "{}", written.err);
    let read = |name: &str| std::fs::read_to_string(folder.path().join("made").join(name)).expect("a file");
    for head in &heads {
        assert!(done.out.contains(&read(head.trim_start_matches("-- "))), "{head}");
    }
    let checked = folder.run(&["check", "made"]);
    assert_eq!(checked.code, Some(0), "{}", checked.out);
    let mut found = records("made");
    found.sort_unstable();
    assert_eq!(found, expect);

    // Nobody's work is lost.
    folder.write("made/one.sql", b"mine");
    std::fs::remove_file(folder.path().join("made/any.process_activity.sql")).expect("removes");
    let again = folder.run(&["sigma", "sql", "sigma", "--write", "made"]);
    assert_eq!(again.code, Some(2), "{}", again.err);
    assert!(again.err.contains("there already") && again.err.contains("--overwrite"), "{}", again.err);
    assert!(read("one.sql") == "mine" && !folder.path().join("made/any.process_activity.sql").exists());
    let again = folder.run(&["sigma", "sql", "sigma", "--write", "made", "--overwrite"]);
    assert_eq!(again.code, Some(0), "{}", again.err);
    assert!(read("one.sql").contains(id) && read("any.process_activity.sql").contains("process_activity"));
}

/// An event that is a row of another table than those of [`events`].
fn script() -> String {
    let event = serde_json::json!({
        "@timestamp": "2026-11-20T02:03:04Z",
        "Channel": "Microsoft-Windows-PowerShell/Operational",
        "EventID": 4104,
        "Computer": "pc-1",
        "ScriptBlockText": "powershell -enc",
    });
    format!("{event}\n")
}

#[test]
fn alerts_say_who_wrote_the_rule_and_under_which_licence() {
    let folder = folder();
    let args = [
        "scan",
        "--rules",
        "sigma",
        "--source",
        "windows-json",
        "--org",
        "power",
        "--output",
        "ocsf",
        "events",
    ];
    let done = folder.run(&args);
    let alert: Value = serde_json::from_str(done.out.lines().next().expect("an alert")).expect("JSON");
    let rule = &alert["unmapped"]["noroshi"]["rule"];
    assert_eq!((&rule["author"], &rule["license"]), (&"Somebody".into(), &"DRL-1.1".into()), "{rule}");
    assert_eq!((&rule["level"], &rule["status"]), (&"high".into(), &"test".into()), "{rule}");
}

#[test]
fn a_broken_document_is_told_and_the_others_run() {
    let folder = folder();
    let expect = hits(&folder, "sigma");
    let bad = |modifier: &str| {
        yaml("00000000-0000-4000-8000-00000000000f", "\n    s:\n        Image|x: a\n    condition: s")
            .replace("|x", modifier)
    };
    folder.write("sigma/a.yml", b"title: [\nid: x\n");
    folder.write("sigma/b.yml", bad("|endwith").as_bytes());
    folder.write(
        "sigma/c.yml",
        PAIRS.first().map(|(id, detection, _)| yaml(id, detection)).expect("one").as_bytes(),
    );
    let done = folder.run(&["check", "sigma"]);
    assert_eq!(done.code, Some(0), "{}", done.out);
    for part in ["sigma/a.yml:", "sigma/b.yml:12:", "endswith", "R002"] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    assert!(!done.out.contains("error"), "{}", done.out);
    // The copy of the first rule comes before it.
    assert_eq!(hits(&folder, "sigma"), expect);
}

/// A rule that needs a field that Suricata's events cannot have; an event that it would find if it were armed.
const FIELDLESS: (&str, &str) = (
    "title: F\nid: 00000000-0000-4000-8000-00000000000e\nstatus: test\nlevel: high\nlogsource:\n    product: zeek\n    \
     service: http\ndetection:\n    s:\n        Unknown: a\n    condition: not s\n",
    r#"{"timestamp":"2026-10-03T01:02:03.456789+0000","event_type":"http","src_ip":"192.0.2.1","http":{"hostname":"a"}}"#,
);

#[test]
fn a_rule_without_its_fields_is_not_armed_and_every_command_says_so() {
    let (rule, event) = FIELDLESS;
    let folder = Folder::new(&[("sigma/f.yml", rule), ("events", event)]);
    let found = rule.replace("Unknown: a", "hostname: b");
    folder.write("other/f.yml", found.as_bytes());
    let scan = |rules: &str| folder.run(&["scan", "--rules", rules, "--source", "suricata-eve", "events"]);
    assert_eq!(scan("other").out.lines().count(), 1, "the event is one that the rule's table has");
    let done = scan("sigma");
    assert_eq!((done.code, done.out.as_str()), (Some(0), ""), "{}", done.err);
    let told = "warning[G018]: not armed: no event of the fed formats has a field `Unknown`";
    assert!(done.err.contains(told) && done.err.contains("f.yml:10:9"), "{}", done.err);
    let done = folder.run(&["check", "sigma"]);
    assert!(done.out.contains(told) && done.out.contains("1 without its fields"), "{}", done.out);
    let done = folder.run(&["sigma", "coverage", "sigma", "--format", "json"]);
    let coverage: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(coverage["rules"][0]["verdict"], "no_field", "{coverage:#}");
}

#[test]
fn a_scan_tells_of_some_that_are_left_out_and_counts_the_others() {
    let folder = folder();
    for number in 0..30 {
        let text =
            yaml(&format!("00000000-0000-4000-8000-0000000001{number:02}"), "\n    s: 1\n    condition: t");
        folder.write(&format!("sigma/bad/{number:02}.yml"), text.as_bytes());
    }
    let done = folder.run(&["scan", "--rules", "sigma", "--source", "windows-json", "events"]);
    assert_eq!(done.err.matches("warning[G005]").count(), 20, "{}", done.err);
    assert!(done.err.contains("… and 10 more; `noroshi check` names them"), "{}", done.err);
}

#[test]
fn a_faulty_rule_cannot_be_tested() {
    let folder = folder();
    assert_eq!(folder.run(&["test", "sigma"]).code, Some(0));
    folder.write("sigma/a.yml", b"title: [\nid: x\n");
    folder.write("sigma/s.sql", super::SHELL.as_bytes());
    let done = folder.run(&["test", "sigma"]);
    assert_eq!(done.code, Some(2), "{}{}", done.out, done.err);
    for part in ["0 passed, 0 failed (1 rule has no test)", "1 Sigma document cannot be used"] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    assert!(done.err.contains("sigma/a.yml:"), "{}", done.err);
}

#[test]
fn filters_are_shown_with_their_rules_and_notes_are_no_warnings() {
    let folder = folder();
    let filter = |target: &str| {
        format!(
            "title: Ours\nlogsource:\n    product: windows\nfilter:\n    rules:\n        - {target}\n    s:\n        \
             User: a\n    condition: not s\n"
        )
    };
    let (id, ..) = PAIRS[0];
    folder.write("sigma/f.yml", filter(id).as_bytes());
    let done = folder.run(&["sigma", "coverage", "sigma", "--rules"]);
    for part in ["with the filters: Ours", "filter of 1 rule"] {
        assert!(done.out.contains(part), "{part}: {}", done.out);
    }
    let done = folder.run(&["sigma", "coverage", "sigma", "--format", "json"]);
    let coverage: Value = serde_json::from_str(&done.out).expect("JSON");
    let filters = (&coverage["filters"], &coverage["filter_documents"][0]["rules"]);
    assert_eq!(filters, (&1.into(), &1.into()), "{coverage:#}");
    folder.write("sigma/f.yml", filter(&id.replace("0001", "0009")).as_bytes());
    let done = folder.run(&["check", "sigma"]);
    assert!(done.out.contains("warning[G020]") && done.out.contains("did you mean"), "{}", done.out);
    let linux = yaml("00000000-0000-4000-8000-0000000000aa", "\n    s:\n        Image: a\n    condition: s");
    folder.write("sigma/linux.yml", linux.replace("product: windows", "product: linux").as_bytes());
    let done = folder.run(&["check", "sigma"]);
    assert!(done.out.trim_end().ends_with("1 warning, 1 note"), "{}", done.out);
}
