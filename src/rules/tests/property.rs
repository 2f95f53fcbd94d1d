//! The rows that a rule hits are those that plain DataFusion selects, whatever the condition.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

fn text_literal() -> impl Strategy<Value = String> {
    prop_oneof!["[aAb%_.]{0,3}", Just("10.0.0.1".to_owned()), Just("7".to_owned())]
        .prop_map(|text| format!("'{text}'"))
}

fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => prop::sample::select(vec!["Image", "CommandLine", "USER", "field('x.y')"]).prop_map(str::to_owned),
        1 => text_literal(),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (prop::sample::select(vec!["lower", "upper", "reverse", "trim", "initcap"]), inner.clone())
                .prop_map(|(function, text)| format!("{function}({text})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} || {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("coalesce({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("nullif({a}, {b})")),
            (inner.clone(), 0..4i64).prop_map(|(a, n)| format!("substr({a}, {n})")),
            inner.prop_map(|a| format!("replace({a}, 'aa', 'b')")),
        ]
    })
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => prop::sample::select(vec!["ProcessId", "event_index"]).prop_map(str::to_owned),
        1 => (-3..4i64).prop_map(|n| n.to_string()),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec!["+", "-", "*"]), inner.clone())
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner, prop::sample::select(vec!["/", "%"]), 1..4i64)
                .prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            text().prop_map(|text| format!("length({text})")),
            text().prop_map(|text| format!("TRY_CAST({text} AS BIGINT)")),
        ]
    })
}

fn condition() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let not = prop::sample::select(vec!["", "NOT "]);
    let leaf = prop_oneof![
        (text(), compare.clone(), text()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (number(), compare, number()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
        (text(), not.clone(), prop::sample::select(vec!["LIKE", "ILIKE"]), text_literal())
            .prop_map(|(a, not, like, b)| format!("{a} {not}{like} {b}")),
        (text(), prop::sample::select(vec!["~", "~*", "!~", "!~*"]), "[aAb.]{1,3}")
            .prop_map(|(a, op, b)| format!("{a} {op} '{b}'")),
        (text(), not.clone(), prop::collection::vec(text_literal(), 1..5))
            .prop_map(|(a, not, list)| format!("{a} {not}IN ({})", list.join(", "))),
        (number(), not.clone(), -3..4i64, -3..4i64)
            .prop_map(|(a, not, b, c)| format!("{a} {not}BETWEEN {b} AND {c}")),
        (text(), not.clone()).prop_map(|(a, not)| format!("{a} IS {not}NULL")),
        (text(), not.clone(), text()).prop_map(|(a, not, b)| format!("({a} IS {not}DISTINCT FROM {b})")),
        text().prop_map(|a| format!("cidr_match({a}, '10.0.0.0/8')")),
        text().prop_map(|a| format!("json_get({a}, '0') = '7'")),
        (text(), text_literal()).prop_map(|(a, b)| format!("starts_with({a}, {b})")),
    ];
    leaf.prop_recursive(4, 16, 4, move |inner| {
        let many = prop::collection::vec(inner.clone(), 2..5);
        prop_oneof![
            many.clone().prop_map(|all| format!("({})", all.join(" AND "))),
            many.prop_map(|all| format!("({})", all.join(" OR "))),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (
                inner.clone(),
                prop::sample::select(vec![
                    "TRUE",
                    "NOT TRUE",
                    "FALSE",
                    "NOT FALSE",
                    "UNKNOWN",
                    "NOT UNKNOWN"
                ])
            )
                .prop_map(|(a, what)| format!("({a}) IS {what}")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
        ]
    })
}

type Row = (Option<String>, Option<String>, Option<String>, Option<i64>, Option<i64>, Option<String>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = || {
        prop::option::weighted(
            0.8,
            prop_oneof![3 => "[aAb. ]{0,3}", 1 => Just("10.0.0.1".to_owned()), 1 => Just("[7]".to_owned())],
        )
    };
    let number = || prop::option::weighted(0.8, prop_oneof![4 => -3..4i64, 1 => any::<i64>()]);
    prop::collection::vec((text(), text(), text(), number(), number(), text()), 0..20)
}

fn to_batch(rows: &[Row]) -> RecordBatch {
    let text = |get: fn(&Row) -> Option<&str>| texts(&rows.iter().map(get).collect::<Vec<_>>());
    let number =
        |get: fn(&Row) -> Option<i64>| -> ArrayRef { Arc::new(rows.iter().map(get).collect::<Int64Array>()) };
    batch(
        "process_activity",
        rows.len(),
        &[
            ("Image", text(|row| row.0.as_deref())),
            ("CommandLine", text(|row| row.1.as_deref())),
            ("User", text(|row| row.2.as_deref())),
            ("ProcessId", number(|row| row.3)),
            ("event_index", number(|row| row.4)),
            ("field('x.y')", text(|row| row.5.as_deref())),
            // The row's number rides along in a column that no condition reads.
            ("record_offset", Arc::new((0..rows.len() as i64).collect::<Int64Array>())),
        ],
    )
}

/// Plain DataFusion over the same rows; `None` when it refuses or fails.
async fn plain(sql: &str, batch: &RecordBatch) -> Option<Vec<u32>> {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", false);
    let context = SessionContext::new_with_config(config);
    for name in ["cidr_match", "json_get"] {
        context.register_udf(functions::named(name)?.udf().as_ref().clone());
    }
    let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]]).ok()?;
    context.register_table("process_activity", Arc::new(table)).ok()?;
    let batches = context.sql(sql).await.ok()?.collect().await.ok()?;
    let mut rows: Vec<u32> = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .map(|row| row as u32)
        .collect();
    rows.sort_unstable();
    Some(rows)
}

#[test]
fn rules_hit_the_rows_that_plain_datafusion_selects() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    let compared = std::cell::Cell::new((0usize, 0usize, 0usize));
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(condition(), rows()), |(condition, rows)| {
        let batch = to_batch(&rows);
        let loaded = load_sql(&format!("SELECT Image FROM process_activity WHERE {condition}"));
        let (seen, ran, hit) = compared.get();
        compared.set((seen + 1, ran, hit));
        let Some(rule) = loaded.rules.first() else {
            // Only what is constant may be refused: everything else in this grammar is sound.
            let ours: Vec<&str> = loaded.diagnostics.iter().map(|d| d.code.id).collect();
            prop_assert!(ours.iter().all(|code| *code == "Q027"), "{condition}: {:?}", loaded.diagnostics);
            return Ok(());
        };
        let plain_sql = format!(
            "SELECT record_offset FROM process_activity WHERE {}",
            condition.replace("USER", "\"User\"").replace("field('x.y')", "\"field('x.y')\"")
        );
        let expect = runtime.block_on(plain(&plain_sql, &batch));
        let Some(expect) = expect else { return Ok(()) };
        let bound = rule.bind(&batch.schema()).expect("binds");
        let found = bound.evaluate(&batch).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let found = found.map(|hits| hits.rows).unwrap_or_default();
        compared.set((seen + 1, ran + 1, hit + usize::from(!found.is_empty())));
        prop_assert_eq!(found, expect, "{}", condition);
        Ok(())
    });
    outcome.expect("equal");
    let (seen, ran, hit) = compared.get();
    assert!(ran * 2 > seen, "only {ran} of {seen} conditions ran in both");
    assert!(hit * 4 > ran, "only {hit} of {ran} conditions hit anything");
}
