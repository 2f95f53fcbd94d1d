//! Rule files load, under ids that are their own and last, and a rule that is too long finds the same in parts.

use arrow::array::RecordBatch;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::normalise::schema::Catalog;
use crate::rules::plan::{self, Tables};
use crate::rules::sigma::expression::tests::{TABLES as TYPES, batch, condition, hits, planned, rows};
use crate::rules::sigma::load::load;
use crate::rules::{Loaded, RuleLimits, SqlLimits, load_files};

const TABLES: &str = "[columns]\nName = { type = 'string', description = 'n', category = 'machine' }\n\
    [[view]]\nformat = 'windows-json'\nwhere = \"Channel = 'c'\"\n";

const SOURCES: &str = "
[[logsource]]
category = 'one'
[[logsource.route]]
table = 'a'
[[logsource]]
category = 'several'
route = [{ table = 'a', where = \"Name = 'x'\" }, { table = 'b' }, { table = 'a', where = \"Name = 'y'\" }]
";

fn catalog() -> Catalog {
    let table = |name: &str| {
        let text = format!("table = '{name}'\nclass_uid = 0\ndescription = 'A table.'\n{TABLES}");
        SourceFile::new(format!("{name}.toml"), text)
    };
    let catalog = Catalog::from_files([table("a"), table("b")]).expect("tables");
    catalog.with_log_sources(&[SourceFile::new("s.toml", SOURCES)]).expect("log sources")
}

/// The files of a rule with so many values, and what is told.
fn made(category: &str, values: usize, limits: &RuleLimits) -> (Vec<SigmaText>, Vec<String>) {
    let values: String = (0..values).map(|n| format!("            - value-{n}\n")).collect();
    let yaml = format!(
        "title: Long\nid: r-1\nlogsource:\n    category: {category}\ndetection:\n    a:\n        Name|contains:\n{values}    \
         b:\n        Name|startswith: v\n    condition: a and b\n"
    );
    let tables = Tables::new(&catalog()).expect("tables");
    let input = Input { tables: &tables, limits, selection: &Selection::default(), texts: true };
    let outcome = load(&[SourceFile::new("long.yml", yaml)], &input, &mut Default::default());
    (outcome.texts, outcome.found.iter().map(ToString::to_string).collect())
}

fn loaded(texts: &[SigmaText], limits: &RuleLimits) -> Loaded {
    let files: Vec<_> =
        (0..).zip(texts).map(|(n, text)| SourceFile::new(format!("{n}.sql"), &*text.sql)).collect();
    load_files(&files, &catalog(), limits)
}

fn limits(bytes_max: usize) -> RuleLimits {
    RuleLimits { sql: SqlLimits { bytes_max, ..SqlLimits::default() }, ..RuleLimits::default() }
}

// `uuid.uuid5(uuid.NAMESPACE_OID, "sigma:r-1:a:1:1")` of Python, and so on: rule, table, which of the table's routes, part.
#[test]
fn each_table_and_each_part_is_a_rule_with_an_id_that_lasts() {
    let rule = "r-1";
    for (category, values, bytes_max, expect) in [
        ("one", 1, 10_000, &[("a", "r-1")][..]),
        (
            "several",
            1,
            10_000,
            &[
                ("a", "15d5ed8a-ef96-53d4-9b23-76290578b864"),
                ("b", "d400b077-67cb-5209-9811-cb15db1367a2"),
                ("a", "2bf41222-e5a1-5be2-ac0c-ed0a9037490c"),
            ],
        ),
        (
            "one",
            20,
            500,
            &[("a", "15d5ed8a-ef96-53d4-9b23-76290578b864"), ("a", "01def689-e844-5234-b9bf-e8823da4f882")],
        ),
    ] {
        let limits = limits(bytes_max);
        let (texts, told) = made(category, values, &limits);
        assert_eq!(told, Vec::<String>::new());
        let shown: Vec<_> = texts.iter().map(|text| (text.table.as_str(), text.id.as_str())).collect();
        assert_eq!(shown, expect, "{category}, {values} values");
        let loaded = loaded(&texts, &limits);
        assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
        let ids: Vec<_> =
            loaded.rules.iter().map(|rule| (rule.table.name.as_str(), rule.meta.id.as_str())).collect();
        assert_eq!(ids, expect);
        assert!(
            texts
                .iter()
                .all(|text| text.rule == rule && (text.id == rule || text.sql.contains("rule r-1 on")))
        );
    }
}

#[test]
fn what_cannot_be_told_within_the_bounds_is_told() {
    for (values, bytes_max) in [(1, 60), (3, 100)] {
        let (texts, told) = made("one", values, &limits(bytes_max));
        assert!(texts.is_empty(), "{texts:?}");
        assert!(
            matches!(told.as_slice(), [one] if one.starts_with("long.yml:1:8: its SQL is none") && one.ends_with("[Q004]")),
            "{told:?}"
        );
    }
}

#[test]
fn the_parts_hit_the_rows_that_the_whole_hits() {
    let compared = std::cell::Cell::new(0usize);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(condition(), rows(), 2usize..4), |(condition, rows, parts)| {
        let Ok(whole) = planned(&condition) else { return Ok(()) };
        let table = TYPES.find("t").expect("table");
        let expr = expression::expression(&condition, table, &SqlLimits::default()).expect("an expression");
        let Some(divided) = divided(&expr, parts) else { return Ok(()) };
        prop_assert!(divided.len() > 1 && divided.len() <= parts, "{}", divided.len());
        let batch: RecordBatch = batch(&rows);
        let mut found = Vec::new();
        for part in divided {
            let layout =
                table.layout(part.column_refs().iter().map(|column| column.name())).expect("a layout");
            // A part may be a constant, of which planning makes no rule.
            let Ok(planned) = plan::built(part, Vec::new(), &layout) else { return Ok(()) };
            found.extend(hits(&planned, &batch));
        }
        found.sort_unstable();
        found.dedup();
        prop_assert_eq!(found, hits(&whole, &batch));
        compared.set(compared.get() + 1);
        Ok(())
    });
    outcome.expect("equal");
    assert!(compared.get() >= 5, "only {} conditions were divided", compared.get());
}
