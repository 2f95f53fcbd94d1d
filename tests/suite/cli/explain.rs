//! `noroshi explain`, the costs that `check` tells, and `scan --profile`.

use serde_json::{Value, json};

use super::{Folder, SHELL, hit, miss, rule};

/// Two files with one rule each, an event that the first finds, and one that it does not.
fn folder() -> Folder {
    let residual =
        "SELECT Image FROM process_activity WHERE Image ILIKE '%\\\\cmd.exe' AND ParentImage = Image";
    let every_row = "SELECT Image FROM process_activity WHERE Image = 'x' OR ParentImage = Image";
    let shared = "SELECT Image FROM process_activity WHERE Image ILIKE '%\\\\CMD.EXE' AND User = 'root'";
    let sigma = "title: Sigma\nid: 3c4c1d8e-0d4f-4f3c-9d8e-2f6f3a1b5c77\nstatus: test\nlevel: low\nlogsource:\n    \
                 category: process_creation\n    product: windows\ndetection:\n    sel:\n        \
                 Image|endswith: '\\cmd.exe'\n    condition: sel\n";
    let lacking = "SELECT Image FROM process_activity WHERE Image ILIKE '%\\\\cmd.exe' AND NOT CommandLine = 'c' \
                   AND NOT CommandLine = 'd' AND NOT ProcessId = 4 AND Image <> 'x'";
    let unknown = sigma.replace("process_creation", "proces_creation").replace("5c77", "5c79");
    let off = sigma.replace("status: test", "status: deprecated").replace("5c77", "5c78");
    Folder::new(&[
        ("rules/shell.sql", SHELL),
        ("rules/residual.sql", &rule("residual", residual)),
        ("rules/shared.sql", &rule("shared", shared)),
        ("rules/sigma.yml", sigma),
        ("rules/off.yml", &off),
        ("every_row.sql", &rule("every_row", every_row)),
        ("lacking.sql", &rule("lacking", lacking)),
        ("compared.sql", &rule("compared", "SELECT Image FROM process_activity WHERE EventID >= 0")),
        ("unknown.yml", &unknown),
        ("empty.sql", ""),
        ("empty.yml", "\n"),
        ("faulty/faulty.sql", &rule("faulty", "SELECT Image FROM process_activity WHERE Imag = 'x'")),
        ("events", &format!("{}\n{}\n", hit(), miss())),
        ("twice", &format!("[{},{}]", miss(), hit())),
        ("broken", "{"),
        ("nothing", "[]"),
        ("blank", "\n"),
        ("elsewhere", r#"{"Channel":"Security","EventID":4624,"Hostname":"ws1"}"#),
        ("nowhere", r#"{"event_type":"dns"}"#),
    ])
}

fn explained(folder: &Folder, args: &[&str]) -> Value {
    let done = folder.run(&[&["explain"], args, &["--format", "json"]].concat());
    assert_eq!(done.code, Some(0), "{args:?}: {}{}", done.out, done.err);
    let document: Value = serde_json::from_str(&done.out).expect("JSON");
    document["rules"][0].clone()
}

const ON: [&str; 4] = ["--source", "windows-json", "--event", "events"];

#[test]
fn a_rule_is_told_with_its_atoms_what_they_share_and_what_it_costs() {
    let folder = folder();
    let told = explained(&folder, &["shell", "--rules", "rules"]);
    let table = &told["tables"][0];
    assert_eq!(
        table["atoms"],
        json!([{
            "column": "Image",
            "test": "Image ends with '\\cmd.exe', without case",
            "lookup": "behind_literal",
            "literals": ["\\cmd.exe"],
            "shared_with_rules": 3,
            "needed": true,
        }])
    );
    assert_eq!((&table["table"], &table["cost"]["class"]), (&json!("process_activity"), &json!("indexed")));
    assert_eq!((&told["runs"], &told["id"]), (&json!(true), &json!("shell")));
    // A file alone shares nothing; the folder's rules are what an id is looked for in.
    assert_eq!(explained(&folder, &["rules/shell.sql"])["tables"][0]["atoms"][0]["shared_with_rules"], 0);
    assert_eq!(explained(&folder, &["SHELL"])["tables"][0]["atoms"][0]["shared_with_rules"], 3);
    let told = explained(&folder, &["residual"]);
    let table = &told["tables"][0];
    assert_eq!(table["residuals"], json!(["ParentImage = Image"]));
    assert_eq!(table["condition"], json!({"all": [{"atom": 0}, {"residual": 0}]}));
    assert_eq!(table["cost"]["class"], "residual");
    let people = folder.run(&["explain", "residual", "--rules", "rules"]);
    for part in
        ["cost: residual", "3 other rules ask it", "left to DataFusion: ParentImage = Image", "among 4 rules"]
    {
        assert!(people.out.contains(part), "{part} is not in\n{}", people.out);
    }
    assert!(!people.out.contains('\x1b'), "{}", people.out);
}

#[test]
fn with_an_event_it_is_told_why_a_rule_fires_or_does_not() {
    let folder = folder();
    #[rustfmt::skip]
    let table: &[(&str, &[&str], bool, &str)] = &[
        ("shell", &ON, true,
         r"it fires: `Image ends with '\cmd.exe', without case` holds (Image is 'C:\Windows\System32\cmd.exe')"),
        ("shell", &["--source", "windows-json", "--event", "events", "--record", "1"], false,
         r"it does not fire: `Image ends with '\cmd.exe', without case` does not hold (Image is 'C:\Windows\explorer.exe')"),
        ("shared", &ON, false, "it does not fire: `User = 'root'` does not hold (User has no value)"),
        ("residual", &ON, false, r"it does not fire: `ParentImage = Image` does not hold (Image is 'C:\Windows\System32\cmd.exe', ParentImage has no value, it is NULL)"),
        ("shell", &["--source", "windows-json", "--event", "twice", "--index", "1"], true, "it fires:"),
        ("shell", &["--source", "windows-json", "--event", "elsewhere"], false, "and the rule looks at `process_activity`"),
        ("shell", &["--source", "windows-json", "--event", "nowhere"], false, "the event is in no table: it has no `EventID`"),
        ("3c4c1d8e-0d4f-4f3c-9d8e-2f6f3a1b5c77", &ON, true, "it fires:"),
    ];
    for (rule, args, fires, why) in table {
        let args = [&[*rule, "--rules", "rules"], *args].concat();
        let told = explained(&folder, &args);
        let event = &told["event"]["events"][0];
        let said = event["why"].as_str().unwrap_or_default();
        assert_eq!(event["fires"], *fires, "{args:?}: {told:#}");
        assert!(said.contains(why), "{args:?}: {said}");
        let people = folder.run(&[&["explain"], args.as_slice()].concat());
        let (verdict, reason) = said.split_once(": ").expect("a reason");
        assert!(people.out.contains(&format!("{verdict}: {reason}\n")), "{args:?}: {}", people.out);
    }
    let told = explained(&folder, &[&["residual", "--rules", "rules"][..], &ON].concat());
    let row = &told["event"]["events"][0]["rows"][0];
    assert_eq!(row["atoms"], json!([{"holds": true, "value": "C:\\Windows\\System32\\cmd.exe"}]));
    assert_eq!(row["residuals"], json!([null]));
    assert_eq!((&row["condition"]["index"], &row["condition"]["holds"]), (&json!("open"), &json!(false)));
    let broken =
        explained(&folder, &["shell", "--source", "windows-json", "--event", "broken", "--rules", "rules"]);
    assert_eq!(broken["event"]["reject"], "syntax", "{broken:#}");
}

#[test]
fn what_cannot_be_explained_says_why() {
    let folder = folder();
    for (args, code, expect) in [
        (&["none", "--rules", "rules"][..], 2, "there is no rule `none`"),
        (&["shel", "--rules", "rules"], 2, "did you mean `shell`"),
        (&["sh", "--rules", "rules"], 2, "it is the beginning of 2 ids: `shared`, `shell`"),
        (
            &["3C4C1D8E", "--rules", "rules"],
            2,
            "it is the beginning of 2 ids: `3c4c1d8e-0d4f-4f3c-9d8e-2f6f3a1b5c77`, ",
        ),
        (&["rules"], 2, "`rules` is a folder: name one rule"),
        (&["faulty", "--rules", "rules"], 2, "`faulty` is a folder"),
        (&["empty.sql"], 2, "there is no rule in `empty.sql`"),
        (&["empty.yml", "--rules", "rules"], 2, "there is no rule in `empty.yml`"),
        (
            &["unknown.yml"],
            1,
            "It does not run: not armed: no table: none is declared for the log source category `proces_creation`, product `windows`; did you mean",
        ),
        (&["shell", "--source", "windows-json", "--event", "blank"], 2, "blank has no record"),
        (
            &["shell", "--source", "windows-json", "--event", "nothing"],
            0,
            "On record 0 of nothing\nIt holds no event: its list is empty\n",
        ),
        (&["shell", "--source", "windows-json", "--event", "nothing", "--index", "0"], 2, "has 0 events"),
        (&["faulty", "--rules", "faulty"], 2, "Q008"),
        (&["faulty/faulty.sql"], 2, "Q008"),
        (&["shell", "--rules", "rules", "faulty"], 0, "1 error in other rules"),
        (&["3c4c1d8e-0d4f-4f3c-9d8e-2f6f3a1b5c78"], 0, "It does not run: off: its status is deprecated"),
        (&["shell", "--event", "events"], 2, "--source"),
        (&["shell", "--source", "windows-json", "--event", "events", "--record", "2"], 2, "has 2 records"),
        (&["shell", "--source", "windows-json", "--event", "twice", "--index", "2"], 2, "has 2 events"),
        (&["shell", "--source", "syslog", "--event", "events"], 2, "known: windows-json"),
    ] {
        let done = folder.run(&[&["explain"], args].concat());
        let all = format!("{}{}", done.out, done.err);
        assert_eq!(done.code, Some(code), "{args:?}: {all}");
        assert!(all.contains(expect), "{args:?}: {all}");
    }
}

/// With an event, what is said of the columns that must have a value; each once, however many tests ask for it.
#[test]
fn columns_that_must_have_a_value_are_told_together() {
    let folder = folder();
    let event = |more: &str| hit().replacen('{', &format!("{{{more}"), 1);
    folder.write("all", event(r#""CommandLine":"l","ProcessId":7,"#).as_bytes());
    folder.write("some", event(r#""CommandLine":"l","#).as_bytes());
    let image = r"'C:\Windows\System32\cmd.exe'";
    let all = format!("  yes    2, 5, 7  CommandLine, ProcessId, Image have a value <- 'l', 7, {image}");
    let some = format!("  yes    2, 7  CommandLine, Image have a value <- 'l', {image}");
    for (event, lines, why) in [
        (None, &["    2, 5, 7  CommandLine, ProcessId, Image have a value"][..], ""),
        (Some("all"), &[all.as_str()], "it fires: "),
        (
            Some("some"),
            &[some.as_str(), "  no      5  ProcessId has a value <- no value"],
            "it does not fire: `ProcessId has a value` does not hold (ProcessId has no value)\n",
        ),
        (
            Some("events"),
            &[
                "  yes     7  Image has a value <- 'C:\\Windows\\System32\\cmd.exe'",
                "  no     2, 5  CommandLine, ProcessId have a value",
            ],
            "it does not fire: CommandLine, ProcessId have no value\n",
        ),
    ] {
        let mut args = vec!["explain", "lacking.sql"];
        args.extend(event.iter().flat_map(|event| ["--source", "windows-json", "--event", event]));
        let done = folder.run(&args);
        let is_said =
            |line: &&str| line.starts_with("  ") && line.contains(" a value") && !line.contains("there is");
        let told: Vec<&str> = done.out.lines().filter(is_said).collect();
        assert_eq!(told, lines, "{event:?}:\n{}", done.out);
        assert!(done.out.contains(why), "{event:?}:\n{}", done.out);
    }
}

/// A comparison may hold for each row: `explain` says what that costs.
#[test]
fn a_comparison_alone_says_what_it_costs() {
    let folder = folder();
    let told = folder.run(&["explain", "compared.sql"]).out;
    assert!(
        told.contains("it is looked at on each row where `EventID >= 0` holds, be those few or all\n"),
        "{told}"
    );
    let checked = folder.run(&["check", "compared.sql"]).out;
    assert!(checked.contains("cost: 1 indexed\n") && !checked.contains("note["), "{checked}");
}

#[test]
fn check_tells_what_rules_cost_and_which_are_expensive() {
    let folder = folder();
    let done = folder.run(&["check", "rules", "every_row.sql"]);
    assert_eq!(done.code, Some(0), "{}", done.out);
    for part in [
        "cost: 3 indexed, 1 residual, 1 every_row; `noroshi explain RULE` says why\n",
        "note[Q031]",
        "every_row.sql:1:1",
        "the alternative `ParentImage = Image` needs nothing that can be looked up",
    ] {
        assert!(done.out.contains(part), "{part} is not in\n{}", done.out);
    }
    let done = folder.run(&["check", "rules", "every_row.sql", "--format", "json"]);
    let document: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(document["costs"], json!({"indexed": 3, "scanned": 0, "residual": 1, "every_row": 1}));
    let classes: Vec<(&str, &str)> = document["rule_costs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|rule| {
            (rule["rule_id"].as_str().unwrap_or_default(), rule["class"].as_str().unwrap_or_default())
        })
        .filter(|(_, class)| *class != "indexed")
        .collect();
    assert_eq!(classes, [("every_row", "every_row"), ("residual", "residual")]);
}

#[test]
fn a_profile_names_the_rules_that_cost_time_and_changes_nothing() {
    let folder = folder();
    folder.write("many", format!("{}\n{}\n", hit(), miss()).repeat(50).as_bytes());
    let scan = ["scan", "--rules", "rules", "--source", "windows-json", "--output", "matches", "many"];
    let plain = folder.run(&scan);
    let machine = folder.run(&[&scan[..], &["--profile=json"]].concat());
    assert_eq!((machine.code, &machine.out), (Some(0), &plain.out), "{}", machine.err);
    let line = machine.err.lines().find(|line| line.starts_with("{\"profile\"")).expect("a document");
    let document: Value = serde_json::from_str(line).expect("JSON");
    let profile = &document["profile"];
    for stage in
        ["compile", "read", "decode", "normalise", "look_up", "judge", "outputs", "alerts", "print", "rest"]
    {
        assert!(profile["stages"][stage].is_number(), "{stage}: {profile:#}");
    }
    let mut rules: Vec<(&str, u64, u64)> = profile["rules"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|rule| {
            let number = |key: &str| rule[key].as_u64().unwrap_or(u64::MAX);
            (rule["rule_id"].as_str().unwrap_or_default(), number("rows_left_open"), number("hits"))
        })
        .collect();
    rules.sort_unstable();
    // What has no parent is left open all the same; a rule without a row that is open or hit is not listed.
    assert_eq!(
        rules,
        [("3c4c1d8e-0d4f-4f3c-9d8e-2f6f3a1b5c77", 0, 50), ("residual", 50, 0), ("shell", 0, 50)]
    );
    let columns = profile["columns"].as_array().expect("a list");
    let image = columns.iter().find(|column| column["column"] == "Image").expect("the column");
    assert_eq!(
        (&image["table"], &image["values"], &image["new"]),
        (&json!("process_activity"), &json!(100), &json!(2))
    );
    let people = folder.run(&[&scan[..], &["--profile"]].concat());
    for part in [
        "process_activity.Image",
        "where the time went:",
        "looking up which rules can hit",
        "rows left open",
        "residual The rule residual",
    ] {
        assert!(people.err.contains(part), "{part} is not in\n{}", people.err);
    }
    assert!(!plain.err.contains("where the time went"), "{}", plain.err);
}
