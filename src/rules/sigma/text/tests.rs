//! The text says what runs: read as a SQL rule, it hits the rows that the tree hits.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::diagnostic::SourceFile;
use crate::rules::sigma::expression::tests::{CATALOG, PATH, TABLES, batch, condition, hits, planned, rows};
use crate::rules::sigma::expression::{column, expression};
use crate::rules::sigma::tree::{Column, Comparison, Condition, Part, Pattern, Test};
use crate::rules::{Loaded, RuleLimits, SqlLimits, load_files};

fn meta() -> RuleMeta {
    serde_json::from_value(serde_json::json!({
        "id": "8f3c1b7a-0000-4000-8000-000000000001",
        "title": "A title: with 'quotes' and */ a comment's end",
        "description": "First line\nsecond: line # no comment\n\n- third",
        "author": "狼煙",
        "status": "test",
        "level": "high",
        "date": "2026-11-23",
        "tags": ["attack.execution", "attack.t1059.001"],
        "falsepositives": ["Unknown", "true", "* everything"],
        "references": ["https://example.com/a#b"],
    }))
    .expect("metadata")
}

fn printed(condition: &Condition, source: Option<&str>) -> String {
    let table = TABLES.find("t").expect("table");
    let named = |name: &str| Column::Named(name.to_owned());
    let outputs = [("s", named("s")), ("User", named("User")), (PATH, Column::Path(PATH.to_owned()))];
    let outputs = outputs.map(|(name, of)| (name.to_owned(), column(&of, table).expect("a column")));
    let condition = expression(condition, table, &SqlLimits::default()).expect("an expression");
    let meta = meta();
    file(&Printed { meta: &meta, note: None, table: "t", outputs: &outputs, source, condition: &condition })
}

fn load(text: &str) -> Loaded {
    load_files(&[SourceFile::new("a.sql", text)], &CATALOG, &RuleLimits::default())
}

#[test]
fn the_text_is_readable() {
    let test = |name: &str, test: Test| Condition::Test(Column::Named(name.to_owned()), test);
    let like = |parts: &[Part]| Test::Like { pattern: Pattern(parts.to_vec()), cased: false };
    let literal = |text: &str| Part::Literal(text.to_owned());
    let tree = Condition::All(vec![
        test("n", Test::Number(Comparison::Equal, 4688.0)),
        Condition::Any(vec![
            test("s", like(&[Part::Any, literal("\\cmd.exe")])),
            Condition::All(vec![
                test("User", like(&[literal("100%"), Part::Any])),
                test("d", Test::Number(Comparison::Less, 0.5)),
            ]),
        ]),
        Condition::Not(Box::new(test("s", Test::Regex { pattern: "it's\\\\$".to_owned() }))),
        Condition::Test(Column::Path(PATH.to_owned()), like(&[literal("x")])),
    ]);
    let text = printed(&tree, Some("b = true OR n > 3"));
    let (_, sql) = text.split_once("---*/\n").expect("metadata");
    let expect = r#"SELECT s, "User", field('a.b''c') AS "a.b'c"
FROM t
WHERE
    (b = true OR n > 3)
    AND n = 4688
    AND (
        s ILIKE '%\\cmd.exe'
        OR (
            "User" ILIKE '100\%%'
            AND d < 0.5
        )
    )
    AND (s ~ '()it''s\\$') IS NOT TRUE
    AND any_ilike(field('a.b''c'), 'x')
"#;
    assert_eq!(sql, expect);
}

#[test]
fn the_metadata_says_what_the_rule_s_did() {
    let tree = Condition::Test(Column::Named("s".to_owned()), Test::Null);
    let text = printed(&tree, None);
    let loaded = load(&text);
    assert!(loaded.diagnostics.is_empty(), "{:?}\n{text}", loaded.diagnostics);
    let rule = loaded.rules.first().expect("a rule");
    let shown = |meta: &RuleMeta| serde_json::to_value(meta).expect("JSON");
    assert_eq!(shown(&rule.meta), shown(&meta()), "{text}");
    // Another parser of SQL sees one comment and one statement.
    assert_eq!(text.matches("*/").count(), 1, "{text}");
}

#[test]
fn the_text_hits_the_rows_that_the_tree_hits() {
    let compared = std::cell::Cell::new((0usize, 0usize));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(condition(), rows()), |(condition, rows)| {
        let Ok(planned) = planned(&condition) else { return Ok(()) };
        let text = printed(&condition, None);
        let loaded = load(&text);
        let Some(rule) = loaded.rules.first() else {
            return Err(TestCaseError::fail(format!("{:?}\n{text}", loaded.diagnostics)));
        };
        prop_assert!(loaded.diagnostics.is_empty(), "{:?}\n{}", loaded.diagnostics, text);
        let batch = batch(&rows);
        let found = rule.bind(&batch.schema()).map(|bound| bound.matches(&batch).expect("runs"));
        let expect = hits(&planned, &batch);
        let (ran, hit) = compared.get();
        compared.set((ran + 1, hit + usize::from(!expect.is_empty())));
        prop_assert_eq!(found.expect("binds"), expect, "{}", text);
        Ok(())
    });
    outcome.expect("equal");
    let (ran, hit) = compared.get();
    assert!(ran >= 100 && hit * 4 > ran, "only {hit} of {ran} conditions hit anything");
}
