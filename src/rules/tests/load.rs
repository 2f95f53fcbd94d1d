//! Loading: several files, several problems, and where each is.

use std::path::Path;

use super::*;

fn loaded(files: &[(&str, &str)]) -> Loaded {
    let files: Vec<_> = files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
    load_files(&files, &CATALOG, &RuleLimits::default())
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|d| format!("{} {}", d.place(), d.code.id)).collect()
}

#[test]
fn all_problems_of_all_files_come_at_once_each_at_its_place() {
    let good = "/*---\nid: same\ntitle: t\n---*/\nSELECT Image FROM process_activity WHERE Image = 'a'\n";
    let bad = "/*---\nid: same\ntitle: 狼煙\nscope: cross_org\nsuppress: 1h\ntags: [attack.t1, attack.t1003.001]\n\
               entity: [Image, Host]\n---*/\n\
               SELECT Image,\n       '狼煙' || imagee AS x,\n       now() AS t\n\
               FROM process_activity AS e\nWHERE e.Imag = 'a'\n  AND (SELECT 1) = 1 AND e.imag = 'b'\n  AND ProcessId = 'x'\nLIMIT 3\n";
    let types = "/*---\nid: types\ntitle: t\nentity: [image, Image]\n---*/ SELECT Image,\n  User = 4 AS x\n\
                 FROM process_activity\nWHERE Image = 'a'\n  AND ProcessId = 'four' AND\n  User = ProcessId\n";
    let types = loaded(&[("t.sql", types)]);
    assert_eq!(
        lines(&types),
        ["t.sql:4:10 R004", "t.sql:6:3 Q022", "t.sql:9:7 Q022", "t.sql:10:3 Q022"].map(String::from)
    );
    let all = loaded(&[
        ("a.sql", good),
        ("b.sql", bad),
        ("c.sql", "SELECT 1"),
        ("d.sql", "/*---\nid: d\n"),
        ("e.sql", "/*---\nid: -e\ntitel: t\n---*/\nSELECT"),
        ("f.sql", "/*---\nid: f\ntitle: t\n---*/\n"),
        (
            "g.sql",
            "/*---\r\nid: g\r\ntitle: t\r\n---*/\r\nSELECT Imag\r\nFROM process_activity\r\nWHERE Image = 'a'",
        ),
    ]);
    assert_eq!(
        lines(&all),
        [
            "b.sql:2:5 R002",
            "b.sql:4:8 R005",
            "b.sql:5:11 R005",
            "b.sql:6:8 R006",
            "b.sql:10:16 Q008",
            "b.sql:11:8 Q010",
            "b.sql:13:7 Q008",
            "b.sql:14:8 Q019",
            "b.sql:16:1 Q016",
            "c.sql:1:1 R001",
            "c.sql:1:1 Q006",
            "c.sql:1:8 Q023",
            "d.sql:1:1 R001",
            "e.sql:2:1 D004",
            "e.sql:2:5 D006",
            "e.sql:3:1 D003",
            "e.sql:5:1 Q001",
            "f.sql:5:1 R003",
            "g.sql:5:8 Q008",
        ]
    );
    assert_eq!(all.rules.len(), 1);
    let twice = &all.diagnostics[0];
    assert!(twice.message.contains("a.sql:2"), "{twice}");
    let unknown = all.diagnostics.iter().find(|d| d.message.contains("Imag`")).expect("unknown column");
    assert_eq!(unknown.help.as_deref().map(|help| help.contains("`Image`")), Some(true), "{unknown}");
}

#[test]
fn entities_are_checked_against_the_outputs() {
    let text = "/*---\nid: a\ntitle: t\nentity: [Imag, Image]\n---*/\nSELECT image FROM process_activity WHERE Image = 'a'";
    let loaded = loaded(&[("a.sql", text)]);
    assert_eq!(lines(&loaded), ["a.sql:4:10 R004"]);
    assert!(loaded.diagnostics[0].to_string().contains("did you mean `Image`?"));
}

#[test]
fn deprecated_rules_are_checked_and_not_enabled() {
    for (status, enabled) in
        [("stable", true), ("experimental", true), ("deprecated", false), ("unsupported", false)]
    {
        let text = format!(
            "\u{feff}\n/*---\nid: a\ntitle: t\nstatus: {status}\n---*/SELECT Image FROM process_activity WHERE Image = 'a'"
        );
        let loaded = loaded(&[("a.sql", &text)]);
        assert_eq!(loaded.rules.len(), 1, "{:?}", lines(&loaded));
        assert_eq!(loaded.rules[0].enabled, enabled, "{status}");
    }
}

fn write(path: &Path, id: &str) {
    std::fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    let text =
        format!("/*---\nid: {id}\ntitle: t\n---*/\nSELECT Image FROM process_activity WHERE Image = 'a'");
    std::fs::write(path, text).expect("writes");
}

#[test]
fn folders_are_read_in_order_and_loops_end() {
    let folder = tempfile::tempdir().expect("folder");
    let root = folder.path();
    write(&root.join("b/2.sql"), "two");
    write(&root.join("b/1.sql"), "one");
    write(&root.join("a.sql"), "zero");
    write(&root.join("b/readme.md"), "none");
    #[cfg(unix)]
    std::os::unix::fs::symlink(root, root.join("b/loop")).expect("link");
    let paths = [root.to_path_buf(), root.join("b/1.sql")];
    let loaded = load(&paths, &CATALOG, &RuleLimits::default());
    let ids: Vec<&str> = loaded.rules.iter().map(|rule| rule.meta.id.as_str()).collect();
    assert_eq!(ids, ["zero", "one", "two"], "{:?}", lines(&loaded));

    let limits = RuleLimits { files_max: 2, ..RuleLimits::default() };
    let loaded = load(&paths, &CATALOG, &limits);
    assert_eq!((loaded.rules.len(), lines(&loaded)), (2, vec![" D001".to_owned()]));

    let limits = RuleLimits { file_bytes_max: 10, folder_depth_max: 0, ..RuleLimits::default() };
    let loaded = load(&[root.to_path_buf(), root.join("nothing")], &CATALOG, &limits);
    assert_eq!((loaded.rules.len(), lines(&loaded)), (0, vec![" D001".to_owned(); 3]));
}

#[test]
fn a_test_that_can_never_pass_is_a_problem_of_the_rule() {
    let text = "/*---\nid: t\ntitle: t\ntests:\n  - name: a\n    given: nowhere.ndjson\n    format: windows-json\n    expect:\n      - {image: x}\n      - {Imag: x}\n---*/\nSELECT Image FROM process_activity WHERE Image = 'a'\n";
    assert_eq!(lines(&loaded(&[("t.sql", text)])), ["t.sql:6:12 T001", "t.sql:10:10 T002"].map(String::from));
}

#[test]
fn tests_tags_and_dates_are_told_at_their_places() {
    let text = "/*---\nid: t\ntitle: t\ntags: [attack.bogus, attak.t1059, attack.t1059, cve.2024-1]\ndate: 2026-02-30\n\
                modified: 2026-02-28\ntests:\n  - name: a\n    given:\n      - {Imag: x, ProcessId: four}\n    expect: 0\n  \
                - {name: b, given: Cargo.toml, expect: 0}\n  - {name: c, given: Cargo.toml, format: syslog, expect: 0}\n\
                ---*/\nSELECT Image FROM process_activity WHERE Image = 'a'\n";
    let loaded = loaded(&[("t.sql", text)]);
    let expect = [
        "t.sql:4:8 R006",
        "t.sql:4:22 R006",
        "t.sql:5:7 R009",
        "t.sql:10:10 T003",
        "t.sql:10:30 T003",
        "t.sql:12:22 T001",
        "t.sql:13:42 T001",
    ];
    assert_eq!(lines(&loaded), expect.map(String::from));
    assert_eq!(loaded.diagnostics.iter().filter(|d| !d.is_error()).count(), 3);
}

#[test]
fn faults_of_the_metadata_do_not_hide_those_of_the_query() {
    for (metadata, faults) in [
        ("titel: t\nid: a\ntags: [attack.t1]", vec!["D004", "D003", "R006"]),
        ("id: 7\ntitle: t", vec!["D005"]),
        ("id: a\ntitle: t\nlevel: hihg\ntags: [attack.t1]", vec!["D006", "R006"]),
        ("id: a\ntitle: [", vec!["D002"]),
        ("- a", vec!["D005"]),
        ("id: a\ntitle: t\ntests: [{name: n, givn: x, expect: [{Host: a}]}]", vec!["D003", "D004"]),
    ] {
        let text = format!("/*---\n{metadata}\n---*/\nSELECT Image FROM process_activity WHERE Imag = 'a'\n");
        let loaded = loaded(&[("a.sql", &text)]);
        let mut codes: Vec<&str> = loaded.diagnostics.iter().map(|d| d.code.id).collect();
        let mut expect = faults.clone();
        expect.push("Q008");
        codes.sort_unstable();
        expect.sort_unstable();
        assert_eq!(codes, expect, "{metadata}");
        assert!(loaded.rules.is_empty(), "{metadata}");
    }
}

#[test]
fn a_faulty_table_is_told_once_and_not_by_every_rule_that_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let tables = folder.path().join("tables");
    std::fs::create_dir(&tables).expect("tables");
    let column = "= { type = \"string\", category = \"machine\", description = \"d\" }";
    for (name, text) in [
        ("whole", format!("table = \"whole\"\nclass_uid = 1\ndescription = \"d\"\n[columns]\na {column}\n")),
        (
            "part",
            format!("table = \"part\"\nclass_uid = 1\n[columns]\na {column}\nb = {{ type = \"txt\" }}\n"),
        ),
        ("none", "table = \"none".to_owned()),
    ] {
        std::fs::write(tables.join(format!("{name}.toml")), text).expect("a table");
    }
    let mut found = Vec::new();
    let catalog = Catalog::look_at(folder.path(), &mut found);
    let mut codes: Vec<&str> = found.iter().map(|d| d.code.id).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["D002", "D004", "D004", "D004", "D006"]);
    for (query, expect) in [
        ("SELECT a FROM whole WHERE a = 'x'", vec![]),
        ("SELECT a FROM whole WHERE b = 'x'", vec!["Q008"]),
        ("SELECT a FROM part WHERE b = 4 AND c > 3", vec![]),
        ("SELECT a FROM part WHERE b = 4 AND now() > 3", vec!["Q010"]),
        ("SELECT a FROM none WHERE b = 'x'", vec![]),
        ("SELECT a FROM nowhere WHERE b = 'x'", vec!["Q007"]),
    ] {
        let text = format!("/*---\nid: a\ntitle: t\n---*/\n{query}\n");
        let loaded = load_files(&[SourceFile::new("a.sql", text)], &catalog, &RuleLimits::default());
        let codes: Vec<&str> = loaded.diagnostics.iter().map(|d| d.code.id).collect();
        assert_eq!(codes, expect, "{query}");
        assert_eq!(loaded.rules.len(), usize::from(query.contains("FROM whole WHERE a")), "{query}");
    }
}
