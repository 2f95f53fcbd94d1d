//! Everything that can be wrong with a table file, and that the stock ones are sound.

use super::*;

fn problems(text: &str) -> Vec<String> {
    let mut found = Catalog::from_files([SourceFile::new("t.toml", text)]).expect_err("problems");
    crate::diagnostic::sort(&mut found);
    found.iter().map(|diagnostic| format!("{} {}", diagnostic.place(), diagnostic.code.id)).collect()
}

#[test]
fn all_problems_of_a_table_come_at_once_each_at_its_place() {
    let text = r#"table = "t"
class_uid = 1
description = "d"
[columns]
org_id = { type = "string", category = "machine", description = "d" }
Image = { type = "string", category = "machine", ocsf = "process.file", description = "d" }
image = { type = "string", category = "machine", ocsf = "process.file.path", description = "d" }
count = { type = "int", category = "machine", description = "d" }
when = { type = "timestamp", category = "machine", description = "d" }
[[view]]
format = "windows-jsn"
where = "a = 1"
[[view]]
format = "windows-json"
where = "a LIKE 'x'"
[view.fill]
Imag = "x"
[[view]]
format = "windows-json"
where = "a = 1"
[view.fill]
Imag = "x"
count = { value = "many" }
when = { value = "soon" }
[[view]]
format = "windows-jsn"
where = "a ="
[view.fill]
Imag = "x"
count = { first = ["a"], map = { "x" = "1", "y" = "one", "z" = "0x1f" }, otherwise = "none" }
when = { first = ["a"], map = { "x" = "2026-01-02T03:04:05Z", "y" = "-" }, otherwise = "soon" }
"#;
    assert_eq!(
        problems(text),
        [
            "t.toml:5:1 S005",
            "t.toml:6:57 S007",
            "t.toml:7:1 S001",
            "t.toml:11:10 S002",
            "t.toml:15:9 S003",
            "t.toml:17:1 S004",
            "t.toml:22:1 S004",
            "t.toml:23:19 S006",
            "t.toml:24:18 S006",
            "t.toml:26:10 S002",
            "t.toml:27:9 S003",
            "t.toml:29:1 S004",
            "t.toml:30:51 S006",
            "t.toml:30:86 S006",
            "t.toml:31:88 S006",
        ]
    );
}

#[test]
fn a_view_is_of_one_format_or_of_several_each_once() {
    let view = |format: &str| {
        let head = "table = \"t\"\nclass_uid = 1\ndescription = \"d\"\n[columns]\n";
        format!("{head}[[view]]\nformat = {format}\nwhere = \"a = 1\"\n")
    };
    for (format, expect) in [
        ("[\"windows-json\", \"winlogbeet\", \"winlogbeat\"]", vec!["t.toml:6:27 S002"]),
        ("[\"windows-json\", \"windows-json\"]", vec!["t.toml:6:27 S002"]),
        ("[]", vec!["t.toml:6:10 S002"]),
        ("5", vec!["t.toml:6:10 D005"]),
    ] {
        assert_eq!(problems(&view(format)), expect, "{format}");
    }
    let several = view("[\"winlogbeat\", \"windows-json\"]");
    let catalog = Catalog::from_files([SourceFile::new("t.toml", several)]).expect("sound");
    let table = catalog.table("t").expect("there");
    let formats: Vec<&str> = table.views.iter().map(|view| view.format).collect();
    assert_eq!(formats, ["winlogbeat", "windows-json"]);
    assert!(table.is_fed_by("windows-json") && !table.is_fed_by("windows-event-json"));
}

#[test]
fn no_column_is_called_as_one_of_a_path_is() {
    let text = "table = \"t\"\nclass_uid = 1\ndescription = \"d\"\n[columns]\n\
                \"field('a.b')\" = { type = \"string\", category = \"machine\", description = \"d\" }\n";
    assert_eq!(problems(text), ["t.toml:5:1 S005"]);
}

#[test]
fn paths_and_observables_fit_ocsf_and_the_column() {
    let column = |rest: &str| {
        let head = "table = \"t\"\nclass_uid = 1\ndescription = \"d\"\n[columns]\n";
        format!("{head}c = {{ category = \"machine\", description = \"d\", {rest} }}\n")
    };
    for (rest, expect) in [
        ("type = \"string\", ocsf = \"bogus.name\"", vec!["S007"]),
        ("type = \"string\", ocsf = \"process.file\"", vec!["S007"]),
        ("type = \"string\", ocsf = \"proces.pid\", observable = \"port\"", vec!["S007", "S008"]),
        ("type = \"double\", ocsf = \"process.pid\"", vec!["S007"]),
        ("type = \"string\", observable = \"port\"", vec!["S008"]),
        ("type = \"int\", observable = \"ip_address\"", vec!["S008"]),
        ("type = \"int\", list = true", vec!["S006"]),
        // What the type is, is not known.
        ("type = \"txt\", ocsf = \"process.pid\", observable = \"port\"", vec!["D006"]),
    ] {
        let found = problems(&column(rest));
        let codes: Vec<&str> = found.iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(codes, expect, "{rest}");
    }
    for rest in [
        "type = \"int\", ocsf = \"src_endpoint.port\", observable = \"port\"",
        "type = \"string\", ocsf = \"process.pid\"",
        "type = \"string\", ocsf = \"file.hashes\", observable = \"hash\"",
        "type = \"timestamp\", ocsf = \"file.created_time\"",
    ] {
        let sound = Catalog::from_files([SourceFile::new("t.toml", column(rest))]);
        assert!(sound.is_ok(), "{rest}: {:?}", sound.err());
    }
}

#[test]
fn a_column_of_one_name_has_one_type_in_all_stock_tables() {
    let catalog = Catalog::stock().expect("the stock tables");
    let mut types: BTreeMap<String, (ColumnType, String)> = BTreeMap::new();
    for table in catalog.tables() {
        for column in &table.columns {
            let first = (column.kind, table.name.clone());
            let (kind, other) = types.entry(column.name.to_lowercase()).or_insert(first);
            assert_eq!(*kind, column.kind, "{} in {} and in {other}", column.name, table.name);
        }
    }
}

#[test]
fn a_table_is_declared_once() {
    let text = "table = \"t\"\nclass_uid = 1\ndescription = \"d\"\n[columns]\n";
    let files = ["a.toml", "b.toml"].map(|name| SourceFile::new(name, text));
    let found = Catalog::from_files(files).expect_err("twice");
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].code.id, found[0].place().as_str()), ("S001", "b.toml:1:9"));
}

#[test]
fn the_stock_tables_are_sound() {
    let catalog = Catalog::stock().expect("the stock tables");
    assert_eq!(catalog.tables().len(), 17);
    // Formats for these are still to come; Sigma's rules for them are checked all the same.
    let unfed = ["cloud_api_activity", "linux_audit", "raw_log", "sensor_event"];
    for table in catalog.tables() {
        assert_eq!(table.views.is_empty(), unfed.contains(&&*table.name), "{}", table.name);
        assert!(!table.columns.is_empty(), "{}", table.name);
    }
    let lists = catalog.tables().iter().flat_map(|table| &table.columns).filter(|column| column.list);
    assert!(lists.count() > 0);
}
