//! The public rules and the specification's own examples, when they are there.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::*;

/// A folder with what is in an archive of the test data; none when there is no such data.
fn unpacked(archive: &str) -> Option<tempfile::TempDir> {
    let Some(data) = std::env::var_os("NOROSHI_TEST_DATA").map(PathBuf::from) else {
        // Not `eprintln!`: the test runner keeps what a passing test prints.
        let _ = writeln!(std::io::stderr(), "skipped: {archive} needs NOROSHI_TEST_DATA");
        return None;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let archive = data.join(archive);
    let status =
        Command::new("tar").arg("xJf").arg(&archive).arg("-C").arg(folder.path()).status().expect("tar");
    assert!(status.success(), "tar could not unpack {}", archive.display());
    Some(folder)
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            found.push(path);
        }
    }
}

/// A route on which every field is read by its path.
fn by_path() -> Route {
    Route { fields: BTreeMap::new(), ..route() }
}

#[test]
fn the_public_rules_are_armed_but_for_placeholders() {
    let Some(folder) = unpacked("sigma-rules.tar.xz") else { return };
    let mut paths = Vec::new();
    files(folder.path(), &mut paths);
    let (mut found, mut armed, mut open) = (Vec::new(), 0, 0);
    for path in &paths {
        let file = SourceFile::new(path, std::fs::read_to_string(path).expect("reads"));
        for document in documents(&file, &mut found) {
            let Document::Rule(rule) = document else { panic!("{} is no rule", path.display()) };
            match lower(&rule, &by_path(), &[], &Placeholders::default(), &mut found) {
                Some(lowered) => {
                    armed += 1;
                    assert!(!lowered.columns.is_empty(), "{}", path.display());
                }
                None => open += 1,
            }
        }
    }
    let others: Vec<String> =
        found.iter().filter(|found| found.code.id != "G011").map(ToString::to_string).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(armed + open, paths.len(), "each file is a rule");
    assert!(open <= 30 && armed >= 3_700, "{armed} armed, {open} without values");
}

#[test]
fn the_examples_of_the_specification_are_read() {
    let Some(folder) = unpacked("sigma-specification.tar.xz") else { return };
    let mut paths = Vec::new();
    files(&folder.path().join("sigma-specification/tests"), &mut paths);
    assert!(paths.len() > 8, "{paths:?}");
    let mut found = Vec::new();
    for path in &paths {
        let file = SourceFile::new(path, std::fs::read_to_string(path).expect("reads"));
        assert_eq!(documents(&file, &mut found).len(), 1, "{}: {found:?}", path.display());
    }
    assert!(found.iter().all(|found| found.message.contains("no id")), "{found:?}");
}

/// The fields of a Windows event, by Sigma's names.
fn fields_of(event: &Json) -> Json {
    // The names of fields have no blanks in Sigma, whatever the event has.
    let data = event["Event"]["EventData"].as_object().cloned().unwrap_or_default();
    let mut fields: serde_json::Map<String, Json> =
        data.into_iter().map(|(name, value)| (name.replace(' ', ""), value)).collect();
    let system = &event["Event"]["System"];
    for name in ["EventID", "Channel", "Computer"] {
        fields.insert(name.to_owned(), system[name].clone());
    }
    fields.insert("Provider_Name".to_owned(), system["Provider"]["#attributes"]["Name"].clone());
    Json::Object(fields)
}

#[test]
fn the_public_rules_hold_on_their_own_events() {
    let (Some(events), Some(rules)) =
        (unpacked("sigma-regression-dev.tar.xz"), unpacked("sigma-rules.tar.xz"))
    else {
        return;
    };
    let index = std::fs::read_to_string(events.path().join("index.json")).expect("an index");
    let index: Vec<Json> = serde_json::from_str(&index).expect("JSON");
    let mut paths = Vec::new();
    files(rules.path(), &mut paths);
    let mut texts = BTreeMap::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).expect("reads");
        let id = text.lines().find_map(|line| line.strip_prefix("id: ")).map(|id| id.trim().to_owned());
        texts.insert(id.unwrap_or_default(), text);
    }
    let mut silent = Vec::new();
    for entry in &index {
        let id = entry["rule_id"].as_str().expect("an id");
        let (documents, mut found) = read(&texts[id]);
        let [Document::Rule(rule)] = documents.as_slice() else { panic!("{id}: {found:?}") };
        let lowered = lower(rule, &by_path(), &[], &placeholders(), &mut found).expect("lowers");
        let file = std::fs::read_to_string(events.path().join(entry["event"].as_str().expect("a path")));
        let file = file.expect("reads");
        let events = serde_json::Deserializer::from_str(&file).into_iter::<Json>();
        let fires = |event: Json| evaluator::holds(&lowered.condition, &fields_of(&event));
        if !events.into_iter().any(|event| fires(event.expect("JSON"))) {
            silent.push(format!("{id} {}: {}", entry["title"], show(&lowered.condition)));
        }
    }
    assert!(index.len() > 100 && silent.is_empty(), "{} silent: {silent:#?}", silent.len());
}
