//! Sigma documents: any text is loaded, and what is wrong with it is told at its place.
//!
//! A text without a title is taken for selections and a condition, and gets the rest of a rule. A text that is loaded
//! twice is the same twice. A rule that is armed runs over rows with the extremes of each type, and its SQL is a rule that
//! hits the same rows. The placeholders of `tests/fuzz/sigma.values` have values.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use noroshi::diagnostic::{Diagnostic, SourceFile, codes};
use noroshi::rules::{
    Loaded, Rule, RuleLimits, Selection, SigmaKind, load_files, load_files_with, sigma_sql_files,
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
    said::sound(&printed.diagnostics, true);
    let texts: Vec<Arc<Rule>> = printed.texts.iter().map(|text| loaded(&text.sql)).collect();
    let of_table = |rules: &[Arc<Rule>], table: &str| {
        rules.iter().filter(|rule| rule.table.name == table).cloned().collect::<Vec<_>>()
    };
    let tables: BTreeSet<&str> = first.rules.iter().map(|rule| rule.table.name.as_str()).collect();
    for table in tables {
        let (of_sigma, of_sql) = (of_table(&first.rules, table), of_table(&texts, table));
        let columns: BTreeSet<&str> =
            of_sigma.iter().chain(&of_sql).flat_map(|rule| &rule.columns).map(String::as_str).collect();
        let Some(any) = of_sigma.first() else { continue };
        let batch = rules::batch(&any.table, columns.into_iter());
        let (expect, found) = (hits(&of_sigma, &batch), hits(&of_sql, &batch));
        let same = if printed.complete { found == expect } else { found.is_subset(&expect) };
        assert!(same, "on {table} the SQL hits {found:?}, and not {expect:?}");
        of_sigma.iter().for_each(|rule| rules::run(rule));
    }
}

/// The rule that a SQL text is.
fn loaded(sql: &str) -> Arc<Rule> {
    let loaded = load_files(&[SourceFile::new("rule.sql", sql)], &rules::CATALOG, &RuleLimits::default());
    let [rule] = loaded.rules.as_slice() else {
        panic!("the SQL is refused: {:?}\n{sql}", told(&loaded.diagnostics));
    };
    Arc::clone(rule)
}

/// The rows that some of these rules hit.
fn hits(rules: &[Arc<Rule>], batch: &RecordBatch) -> BTreeSet<u32> {
    let of = |rule: &Arc<Rule>| rule.bind(&batch.schema()).expect("binds").matches(batch).expect("runs");
    rules.iter().flat_map(of).collect()
}

/// What is wrong has a place, and refuses nobody's pipeline; each rule is one of its documents.
fn sound(loaded: &Loaded) {
    said::sound(&loaded.diagnostics, true);
    for diagnostic in &loaded.diagnostics {
        assert!(!diagnostic.is_error(), "an error: {diagnostic}");
        let failed =
            diagnostic.code == codes::Q025 && diagnostic.message.contains("the planner failed on this");
        assert!(!failed, "{diagnostic}");
    }
    let mut documents = 0;
    for document in &loaded.sigma {
        let place = &document.place;
        let is_inside = place.span.start <= place.span.end && place.span.end <= place.file.text.len();
        assert!(is_inside, "{:?} is outside", place.span);
        documents += usize::from(document.kind == SigmaKind::Rule);
    }
    let ids: BTreeSet<&str> = loaded.rules.iter().map(|rule| rule.meta.id.as_str()).collect();
    assert!(ids.len() <= documents, "{} rules of {documents} documents", ids.len());
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
    (rules.collect(), told(&loaded.diagnostics), format!("{:?}", loaded.sigma))
}
