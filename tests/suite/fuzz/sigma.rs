//! Sigma documents: any text is loaded, and what is wrong with it is told at its place.
//!
//! A text without a title is taken for selections and a condition, and gets the rest of a rule. A text that is loaded
//! twice is the same twice. A rule that is armed runs over rows with the extremes of each type, and its SQL is a rule that
//! hits the same rows. The placeholders of `tests/fuzz/sigma.values` have values.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use noroshi::diagnostic::{Diagnostic, SourceFile, codes};
use noroshi::normalise::schema::Table;
use noroshi::rules::{
    Loaded, Rule, RuleLimits, Selection, SigmaKind, Verdict, load_files, load_files_with, sigma_sql_files,
};

use super::{rules, said};

/// From the root of the repository, where both the fuzzer and the tests run.
const VALUES: &str = "tests/fuzz/sigma.values";

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(Path::new(VALUES).is_dir(), "run it where {VALUES} is");
    if text.contains("title:") {
        load(text);
    } else {
        let lines: String = text.lines().map(|line| format!("    {line}\n")).collect();
        let source = "logsource:\n    category: process_creation\n    product: windows\n";
        load(&format!("title: T\nid: t\n{source}detection:\n{lines}"));
    }
}

fn load(text: &str) {
    let files = [SourceFile::new("rule.yml", text)];
    let selection = Selection { values: Some(PathBuf::from(VALUES)), ..Selection::default() };
    let limits = RuleLimits::default();
    let first = load_files_with(&files, &rules::CATALOG, &limits, &selection);
    let second = load_files_with(&files, &rules::CATALOG, &limits, &selection);
    assert_eq!(shown(&first), shown(&second), "the same text, twice");
    sound(&first);
    let printed = sigma_sql_files(&files, &rules::CATALOG, &limits, &selection);
    assert_eq!(told(&printed.diagnostics), told(&first.diagnostics), "in SQL other things are wrong");
    for rule in &first.rules {
        let of_rule = |id: &str, table: &str| id == rule.meta.id && table == rule.table.name;
        let texts: Vec<&str> = printed
            .texts
            .iter()
            .filter(|text| of_rule(&text.id, &text.table))
            .map(|text| text.sql.as_str())
            .collect();
        assert!(!texts.is_empty(), "{} on {} has no SQL", rule.meta.id, rule.table.name);
        // A log source may mean two kinds of rows of one table.
        let same: Vec<bool> = texts.iter().map(|sql| is_same(rule, sql)).collect();
        assert!(same.contains(&true), "none of these hits the same rows:\n{}", texts.join("\n"));
    }
}

/// Each document has a verdict and each that is armed its rules; what is wrong has a place, and refuses nobody's pipeline.
fn sound(loaded: &Loaded) {
    said::sound(&loaded.diagnostics, true);
    for diagnostic in &loaded.diagnostics {
        assert!(!diagnostic.is_error(), "an error: {diagnostic}");
        let failed =
            diagnostic.code == codes::Q025 && diagnostic.message.contains("the planner failed on this");
        assert!(!failed, "{diagnostic}");
    }
    let (mut expected, mut running) = (0, 0);
    for document in &loaded.sigma {
        let place = &document.place;
        assert!(place.span.end <= place.file.text.len(), "{:?} is outside", place.span);
        match &document.verdict {
            Verdict::Armed { tables, .. } => {
                assert_eq!(document.kind, SigmaKind::Rule, "{document:?}");
                running += tables.len();
            }
            Verdict::Faulty(why) => assert!(!why.is_empty(), "{document:?}"),
            Verdict::Off(_) => expected += 1,
            Verdict::NoTable | Verdict::Waiting | Verdict::Applied { .. } => {}
        }
    }
    let enabled = loaded.rules.iter().filter(|rule| rule.enabled).count();
    assert_eq!(enabled, running, "armed documents and rules: {:?}", loaded.sigma);
    let ids: BTreeSet<&str> =
        loaded.rules.iter().filter(|rule| !rule.enabled).map(|rule| rule.meta.id.as_str()).collect();
    assert_eq!(ids.len(), expected, "documents and rules that are off: {:?}", loaded.sigma);
}

fn told(found: &[Diagnostic]) -> Vec<String> {
    found.iter().map(|found| found.render(false)).collect()
}

/// All that is said of a text.
fn shown(loaded: &Loaded) -> (Vec<String>, Vec<String>, String) {
    let rules = loaded.rules.iter();
    let rules = rules.map(|rule| {
        let (table, outputs) = (&rule.table.name, &rule.outputs);
        format!("{:?} {} {table} {outputs:?} {} {:?}", rule.meta, rule.version, rule.condition(), rule.off)
    });
    let verdicts: Vec<_> = loaded.sigma.iter().map(|document| (&document.id, &document.verdict)).collect();
    (rules.collect(), told(&loaded.diagnostics), format!("{verdicts:?}"))
}

/// Whether the SQL, which must be a sound rule, hits the rows that the rule hits.
fn is_same(rule: &Arc<Rule>, sql: &str) -> bool {
    let loaded = load_files(&[SourceFile::new("rule.sql", sql)], &rules::CATALOG, &RuleLimits::default());
    let [printed] = loaded.rules.as_slice() else {
        panic!("the SQL is refused: {:?}\n{sql}", told(&loaded.diagnostics));
    };
    let columns: BTreeSet<&str> = rule.columns.iter().chain(&printed.columns).map(String::as_str).collect();
    let table: &Table = &rule.table;
    let batch = rules::batch(table, columns.into_iter());
    let hits = |rule: &Rule| rule.bind(&batch.schema()).expect("binds").matches(&batch).expect("runs");
    let found = hits(rule);
    rules::run(rule);
    found == hits(printed)
}
