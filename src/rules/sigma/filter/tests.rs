//! Filters that are for nothing are told of, where they name it.

use super::super::parse::{Document, documents};
use super::*;
use crate::diagnostic::SourceFile;

const RULES: &str = "title: One
id: 929a690e-bef0-4204-a928-ef5e620d6fcc
name: the_first
logsource: {product: windows, category: process_creation}
detection: {s: {a: 1}, condition: s}
---
title: Two
id: two
logsource: {product: linux}
detection: {s: {a: 1}, condition: s}
---
";

/// What is told of a filter with these targets: in line 16, from column 12.
fn told(rules: &str, logsource: &str) -> Vec<String> {
    let filter = format!(
        "title: F\nlogsource: {{{logsource}}}\nfilter:\n    s: {{b: 1}}\n    rules: {rules}\n    condition: not s\n"
    );
    let (mut rules, mut filters, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for document in documents(&SourceFile::new("r.yml", format!("{RULES}{filter}")), &mut found) {
        match document {
            Document::Rule(rule) => rules.push(rule),
            Document::Filter(filter) => filters.push(filter),
            Document::Correlation(_) => {}
        }
    }
    assert_eq!((rules.len(), filters.len(), found.len()), (2, 1, 0), "{found:?}");
    let sql = "in-sql".to_owned();
    let others = Others::new([&sql].into_iter(), ["Broken"].into_iter());
    check(&filters, &rules, &others, &mut found);
    assert!(found.iter().all(|told| !told.is_error() && told.code == codes::G020), "{found:?}");
    let line = |told: &Diagnostic| {
        let help = told.help.as_deref().unwrap_or_default();
        format!("{} {}; {help}", told.place(), told.message)
    };
    found.iter().map(line).collect()
}

#[test]
fn a_filter_for_nothing_is_told_where_it_names_it() {
    for (rules, logsource, expect) in [
        ("any", "product: windows", &[][..]),
        (
            "[929A690E-bef0-4204-a928-ef5e620d6fcc, two]",
            "definition: x, product: windows",
            &[
                "r.yml:16:51 the filter is for the log source windows, and `two` is about linux: it is not filtered; write",
            ][..],
        ),
        ("the_first", "product: windows", &[]),
        ("broken", "product: windows", &[]),
        (
            "any",
            "product: macos",
            &["r.yml:16:12 no rule is about the log source macos: the filter is for none; "],
        ),
        (
            "[two, 929a690e-bef0-4204-a928-ef5e620d6fcd]",
            "product: linux",
            &[
                "r.yml:16:18 there is no Sigma rule with the id or name `929a690e-bef0-4204-a928-ef5e620d6fcd`; \
             did you mean `929a690e-bef0-4204-a928-ef5e620d6fcc`?",
            ],
        ),
        (
            "the_frist",
            "product: windows",
            &[
                "r.yml:16:12 there is no Sigma rule with the id or name `the_frist`; did you mean `the_first`?",
            ],
        ),
        (
            "nothing_of_all",
            "product: windows",
            &["r.yml:16:12 there is no Sigma rule with the id or name `nothing_of_all`; load"],
        ),
        (
            "IN-SQL",
            "product: windows",
            &["r.yml:16:12 `IN-SQL` is a rule in SQL, and filters are for Sigma's"],
        ),
    ] {
        let found = told(rules, logsource);
        assert_eq!(found.len(), expect.len(), "{rules} {logsource}: {found:?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.starts_with(expect), "{found} {expect}");
        }
    }
}
