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
[[view]]
format = "windows-json"
where = "a = 1"
[view.fill]
Imag = "x"
count = { value = "many" }
when = { value = "soon" }
"#;
    assert_eq!(
        problems(text),
        [
            "t.toml:5:1 S005",
            "t.toml:6:57 S007",
            "t.toml:7:1 S001",
            "t.toml:11:10 S002",
            "t.toml:15:9 S003",
            "t.toml:20:1 S004",
            "t.toml:21:9 S006",
            "t.toml:22:8 S006",
        ]
    );
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
    assert_eq!(catalog.tables().len(), 12);
    for table in catalog.tables() {
        assert!(!table.views.is_empty() && !table.columns.is_empty(), "{}", table.name);
    }
}
