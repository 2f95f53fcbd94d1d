//! Good rules and what they hit, places of problems, and the comparison with plain DataFusion.

mod extremes;
mod load;
mod property;
mod sigma;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Field, Schema};

use super::sql::tests::{CATALOG, load_sql};
use super::*;
use crate::normalise::projection::column_path;
use crate::normalise::schema::{ColumnType, SystemColumn};

/// A batch of a stock table with some columns filled and the others NULL; columns of paths are those that are filled.
fn batch(table: &str, rows: usize, filled: &[(&str, ArrayRef)]) -> RecordBatch {
    let table = CATALOG.table(table).expect("table");
    let declared = table.columns.iter().map(|column| (column.name.as_str(), column.kind));
    let system = SystemColumn::ALL.iter().map(|(_, name, kind, _)| (*name, *kind));
    let paths = filled.iter().map(|(name, _)| *name).filter(|name| column_path(name).is_some());
    let paths = paths.map(|name| (name, ColumnType::String));
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = declared
        .chain(system)
        .chain(paths)
        .map(|(name, kind): (&str, ColumnType)| {
            let column = filled.iter().find(|(filled, _)| *filled == name);
            let column =
                column.map_or_else(|| new_null_array(&kind.arrow(), rows), |(_, column)| Arc::clone(column));
            (Field::new(name, kind.arrow(), true), column)
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("batch")
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringViewArray>())
}

fn processes() -> RecordBatch {
    batch(
        "process_activity",
        4,
        &[
            (
                "Image",
                texts(&[
                    Some("C:\\Windows\\System32\\cmd.exe"),
                    Some("/usr/bin/curl"),
                    None,
                    Some("C:\\Temp\\狼煙.EXE"),
                ]),
            ),
            (
                "CommandLine",
                texts(&[
                    Some("cmd /c whoami"),
                    Some("curl http://203.0.113.7/x"),
                    Some("{\"a\":{\"b\":[1,\"x\"]}}"),
                    Some("10.1.2.3"),
                ]),
            ),
            ("ProcessId", Arc::new(Int64Array::from(vec![Some(4), Some(0), None, Some(-7)]))),
            ("User", texts(&[Some("SYSTEM"), Some("root"), Some("system"), None])),
            ("event_text", texts(&[Some("a\nwhoami\n4"), None, Some("[7]"), Some("")])),
            ("field('user.roles.0')", texts(&[Some("Admin"), None, Some("7"), Some("{\"a\":[1]}")])),
            ("field('it''s')", texts(&[None, Some("x"), None, None])),
            (
                "event_time",
                Arc::new(
                    TimestampMicrosecondArray::from(vec![
                        Some(1_700_000_000_000_000),
                        Some(0),
                        None,
                        // The last second of 9999.
                        Some(253_402_300_799_000_000),
                    ])
                    .with_timezone("+00:00"),
                ),
            ),
        ],
    )
}

/// A condition on `processes()`, and which rows hit.
#[rustfmt::skip]
const GOOD: &[(&str, &[u32])] = &[
    ("Image = '/usr/bin/curl'", &[1]),
    ("IMAGE = '/usr/bin/curl'", &[1]),
    ("process_activity.image = '/usr/bin/curl'", &[1]),
    ("\"Image\" = '/usr/bin/curl'", &[1]),
    ("`Image` = '/usr/bin/curl'", &[1]),
    ("Image <> '/usr/bin/curl'", &[0, 3]),
    ("NOT (Image = '/usr/bin/curl')", &[0, 3]),
    ("Image IS NULL", &[2]),
    ("Image IS NOT NULL", &[0, 1, 3]),
    ("Image IS DISTINCT FROM '/usr/bin/curl'", &[0, 2, 3]),
    ("(Image = '/usr/bin/curl') IS NOT TRUE", &[0, 2, 3]),
    ("Image LIKE '%\\\\cmd.exe'", &[0]),
    ("Image LIKE '%.exe'", &[0]),
    ("Image ILIKE '%.exe'", &[0, 3]),
    ("Image NOT ILIKE '%.exe'", &[1]),
    ("Image ~ 'cmd|curl'", &[0, 1]),
    ("Image ~* '\\.EXE$'", &[0, 3]),
    ("Image !~* '\\.EXE$'", &[1]),
    ("Image LIKE '%狼煙%'", &[3]),
    ("regexp_like(Image, 'CURL', 'i')", &[1]),
    ("regexp_count(Image, 's') > 1", &[0]),
    ("regexp_replace(User, '^(s)ystem$', '\\1') = 's'", &[2]),
    ("User = 'root'", &[1]),
    ("lower(User) = 'system'", &[0, 2]),
    ("user IN ('root', 'SYSTEM')", &[0, 1]),
    ("User NOT IN ('root', 'SYSTEM')", &[2]),
    ("ProcessId IN (4, 8)", &[0]),
    ("ProcessId = '4'", &[0]),
    ("ProcessId BETWEEN -10 AND 1", &[1, 3]),
    ("ProcessId NOT BETWEEN -10 AND 1", &[0]),
    ("ProcessId % 2 = 0", &[0, 1]),
    ("100 / NULLIF(ProcessId, 0) > 1", &[0]),
    ("ProcessId & 4 = 4", &[0]),
    ("ProcessId > 0.5", &[0]),
    ("0 - ProcessId > 1", &[3]),
    ("CASE WHEN ProcessId = 4 THEN true WHEN ProcessId = 0 THEN User = 'root' ELSE false END", &[0, 1]),
    ("CASE User WHEN 'root' THEN 1 ELSE 2 END = 1", &[1]),
    ("coalesce(User, 'nobody') = 'nobody'", &[3]),
    ("nullif(User, 'root') IS NULL", &[1, 3]),
    ("length(User) = 4", &[1]),
    ("char_length('狼煙') = length(User) - 2", &[1]),
    ("substr(User, 1, 2) = 'ro'", &[1]),
    ("SUBSTRING(User FROM 2 FOR 2) = 'oo'", &[1]),
    ("POSITION('oo' IN User) = 2", &[1]),
    ("TRIM('  root ') = User", &[1]),
    ("TRIM(BOTH 'rt' FROM User) = 'oo'", &[1]),
    ("left(User, 1) || right(User, 1) = 'rt'", &[1]),
    ("concat(User, '-', ProcessId) = 'root-0'", &[1]),
    ("split_part(Image, '/', 3) = 'bin'", &[1]),
    ("starts_with(Image, 'C:')", &[0, 3]),
    ("ends_with(Image, 'curl')", &[1]),
    ("contains(CommandLine, 'whoami')", &[0]),
    ("reverse(User) = 'toor'", &[1]),
    ("translate(User, 'rt', '') = 'oo'", &[1]),
    ("replace(User, 'oo', '0') = 'r0t'", &[1]),
    ("encode(User, 'hex') = '726f6f74'", &[1]),
    ("levenshtein(User, 'rood') = 1", &[1]),
    ("cidr_match(CommandLine, '10.0.0.0/8')", &[3]),
    ("NOT cidr_match(CommandLine, '192.168.0.0/16')", &[3]),
    ("json_get(CommandLine, 'a.b.1') = 'x'", &[2]),
    ("field('user.roles.0') = 'Admin'", &[0]),
    ("FIELD('user.roles.0') ILIKE 'admin' AND Image IS NOT NULL", &[0]),
    ("field('user.roles.0') IS NULL", &[1]),
    ("TRY_CAST(field('user.roles.0') AS BIGINT) > 6", &[2]),
    ("json_get(field('user.roles.0'), 'a.0') = '1'", &[3]),
    ("field('it''s') = 'x' OR field('user.roles.0') ~ '^A(d|x)'", &[0, 1]),
    ("field('user.roles.0') IN ('7', User)", &[2]),
    ("event_text ILIKE '%WHOAMI%'", &[0]),
    ("TRY_CAST(CommandLine AS BIGINT) IS NULL", &[0, 1, 2, 3]),
    ("CAST(ProcessId AS VARCHAR) = '-7'", &[3]),
    ("ProcessId::DOUBLE < -6.5", &[3]),
    ("CAST('4' AS INT) = ProcessId", &[0]),
    ("event_time >= TIMESTAMP '2023-11-14 00:00:00'", &[0, 3]),
    ("event_time >= '2023-11-14T00:00:00Z'", &[0, 3]),
    ("event_time = TIMESTAMP '1970-01-01'", &[1]),
    ("EXTRACT(HOUR FROM event_time) = 22", &[0]),
    ("date_part('year', event_time) = 1970", &[1]),
    ("CAST(event_time AS DATE) = DATE '2023-11-14'", &[0]),
    ("org_id IS NULL AND record_offset IS NULL", &[0, 1, 2, 3]),
    ("greatest(ProcessId, 1) = 1", &[1, 2, 3]),
    ("floor(ProcessId / 2.0) = 2 OR ceil(ProcessId / 2.0) = -3", &[0, 3]),
    ("Image = '/usr/bin/curl' -- a comment; with a semicolon\n", &[1]),
    ("Image = '/usr/bin/curl' /* nested /* comment */ */ ;;", &[1]),
    ("CommandLine = '''' OR User = 'root'", &[1]),
    ("Image = NULL OR User = 'root'", &[1]),
];

fn hits(sql: &str, batch: &RecordBatch) -> Option<Hits> {
    let loaded = load_sql(sql);
    let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    let rule = loaded.rules.first().unwrap_or_else(|| panic!("{sql}: {shown:?}"));
    // Only the columns that the rule says it reads, in another order.
    let mut at: Vec<usize> =
        rule.columns.iter().map(|name| batch.schema().index_of(name).expect("column")).collect();
    at.reverse();
    let batch = batch.project(&at).expect("projected");
    let bound = rule.bind(&batch.schema()).unwrap_or_else(|error| panic!("{sql}: {error}"));
    bound.evaluate(&batch).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

#[test]
fn good_conditions_hit_what_they_say() {
    let batch = processes();
    for (condition, expect) in GOOD {
        let found = hits(&format!("SELECT CommandLine FROM process_activity WHERE {condition}"), &batch);
        let rows = found.map(|hits| hits.rows).unwrap_or_default();
        assert_eq!(rows, *expect, "{condition}");
    }
}

#[test]
fn outputs_are_the_selected_columns_of_the_rows_that_hit() {
    let found = hits(
        "SELECT e.User, upper(e.user) AS \"Who\", 7 AS seven, ProcessId + 1, event_time AS t\n\
         FROM process_activity e WHERE e.ProcessId >= 0",
        &processes(),
    )
    .expect("hits");
    assert_eq!(found.rows, [0, 1]);
    let names: Vec<String> = found.output.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names, ["User", "Who", "seven", "ProcessId + 1", "t"]);
    let shown = arrow::util::pretty::pretty_format_batches(&[found.output]).expect("table").to_string();
    for expect in ["| SYSTEM | SYSTEM | 7     | 5 ", "| root   | ROOT   | 7     | 1 ", "2023-11-14T22:13:20Z"]
    {
        assert!(shown.contains(expect), "{shown}");
    }
}

#[test]
fn a_field_without_a_column_is_read_by_its_path() {
    let sql = "SELECT field('user.roles.0'), field('it''s') AS its, lower(e.User) AS u FROM process_activity e \
               WHERE FIELD('user.roles.0') <> 'a' OR field('it''s') = 'x'";
    let rule = Arc::clone(&load_sql(sql).rules[0]);
    assert_eq!(rule.columns, ["User", "field('it''s')", "field('user.roles.0')"]);
    assert_eq!(rule.outputs, ["field('user.roles.0')", "its", "u"]);
    let found = hits(sql, &processes()).expect("hits");
    assert_eq!(found.rows, [0, 1, 2, 3]);
    let shown = arrow::util::pretty::pretty_format_batches(&[found.output]).expect("table").to_string();
    assert!(shown.contains("| Admin                 |     | system |"), "{shown}");
    // A batch of the engine carries the column, and one without it is told.
    let projection = crate::normalise::projection::Projection::of(&rule.table, &rule.columns);
    assert!(rule.bind(&projection.schema).is_ok());
    let error = rule.bind(&batch("process_activity", 0, &[]).schema()).expect_err("misses the columns");
    assert!(error.to_string().contains("`field('it''s')`"), "{error}");
}

#[test]
fn the_fields_that_one_rule_reads_are_bounded() {
    let load = |count: usize| {
        let terms: Vec<String> = (0..count).map(|n| format!("field('f{n}') = 'x'")).collect();
        load_sql(&format!("SELECT Image FROM process_activity WHERE {}", terms.join(" OR ")))
    };
    assert_eq!(load(256).rules.len(), 1);
    let refused: Vec<&str> = load(300).diagnostics.iter().map(|d| d.code.id).collect();
    assert_eq!(refused, ["Q005"]);
}

#[test]
fn a_star_is_every_declared_column_and_the_organisation_and_time() {
    for sql in [
        "SELECT * FROM process_activity WHERE Image = 'a'",
        "SELECT E.* FROM process_activity e WHERE Image = 'a'",
    ] {
        let loaded = load_sql(sql);
        let rule = loaded.rules.first().expect("rule");
        let table = CATALOG.table("process_activity").expect("table");
        assert_eq!(rule.outputs.len(), table.columns.len() + 2);
        assert_eq!(rule.outputs[..2], ["org_id", "event_time"]);
        assert_eq!(rule.columns.len(), rule.outputs.len());
    }
}

/// Words such as `User` are keywords of the parser; every column must still be usable by its plain name.
#[test]
fn every_column_of_every_table_can_be_named() {
    for table in CATALOG.tables() {
        let names = table.columns.iter().map(|column| column.name.as_str());
        for name in names.chain(SystemColumn::ALL.iter().map(|entry| entry.1)) {
            let sql = format!(
                "SELECT {name} FROM {} AS e WHERE e.{name} IS NULL AND {name} IS NOT NULL",
                table.name
            );
            let loaded = load_sql(&sql);
            let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
            assert_eq!(loaded.rules.len(), 1, "{sql}: {shown:?}");
            assert_eq!(loaded.rules[0].columns, [name]);
        }
    }
}

#[test]
fn a_batch_without_a_column_is_named_at_binding() {
    let loaded = load_sql("SELECT Image FROM process_activity WHERE ProcessId = 1");
    let batch = processes();
    let image = batch.schema().index_of("Image").expect("column");
    let schema = batch.project(&[image]).expect("projected").schema();
    let error = loaded.rules[0].bind(&schema).expect_err("misses a column");
    assert_eq!(
        error.to_string(),
        "rule a reads the column `ProcessId`, which the batches of `process_activity` do not carry"
    );
}

#[test]
fn a_failure_on_the_stream_names_the_rule() {
    // The only kind of failure that is left: time arithmetic outside of the calendar.
    let loaded = load_sql(
        "SELECT Image FROM process_activity WHERE event_time + INTERVAL '1 month' > TIMESTAMP '2024-01-01'",
    );
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX; 4]).with_timezone("+00:00"));
    let batch = batch("process_activity", 4, &[("event_time", time)]);
    let bound = loaded.rules[0].bind(&batch.schema()).expect("binds");
    let error = bound.evaluate(&batch).expect_err("overflows");
    assert!(error.to_string().starts_with("rule a failed on a batch of 4 rows: "), "{error}");
}

#[test]
fn a_condition_without_columns_and_an_output_without_columns_work() {
    let batch = batch("authentication", 3, &[]);
    let found = hits("SELECT 1 AS one FROM authentication WHERE org_id IS NULL", &batch).expect("hits");
    assert_eq!((found.rows.as_slice(), found.output.num_rows()), ([0, 1, 2].as_slice(), 3));
    let never = load_sql("SELECT org_id FROM authentication WHERE org_id = NULL");
    assert_eq!(never.diagnostics[0].code.id, "Q027");
    assert!(!never.has_errors());
    assert!(hits("SELECT org_id FROM authentication WHERE org_id = NULL", &batch).is_none());
}

/// Evaluation runs on ordinary stacks: this thread has one of 2 MiB.
#[test]
fn what_was_let_in_can_be_evaluated_on_an_ordinary_stack() {
    let terms =
        |count: usize, op: &str, term: fn(usize) -> String| (0..count).map(term).collect::<Vec<_>>().join(op);
    let batch = processes();
    for (name, condition) in [
        ("OR", terms(300, " OR ", |n| format!("CommandLine ILIKE '%{n}x%'"))),
        ("AND", terms(300, " AND ", |n| format!("CommandLine NOT ILIKE '%{n}x%'"))),
        ("OR of AND", terms(200, " OR ", |n| format!("(Image = 'a' AND CommandLine ILIKE '%{n}x%')"))),
        ("AND of OR", terms(200, " AND ", |n| format!("(Image = 'a' OR CommandLine ILIKE '%{n}x%')"))),
        ("equalities", terms(300, " OR ", |n| format!("ProcessId = {n} AND User = 'u{n}'"))),
        ("inequalities", terms(300, " AND ", |n| format!("ProcessId <> {n}"))),
        ("NOT", terms(200, " AND ", |n| format!("NOT (Image = 'a{n}' OR User LIKE 'u{n}%')"))),
        ("concatenations", format!("User = {}", terms(60, " || ", |_| "Image".into()))),
        ("sums", format!("ProcessId = {}", terms(60, " + ", |_| "ProcessId".into()))),
        ("CASE", terms(200, " OR ", |n| format!("CASE WHEN ProcessId = {n} THEN User ELSE Image END = 'x'"))),
        ("calls", format!("{}Image{} = 'a'", "lower(trim(".repeat(3), "))".repeat(3))),
    ] {
        let loaded = load_sql(&format!("SELECT Image FROM process_activity WHERE {condition}"));
        let rule = loaded.rules.first().unwrap_or_else(|| panic!("{name}: {}", loaded.diagnostics[0]));
        let bound = rule.bind(&batch.schema()).unwrap_or_else(|error| panic!("{name}: {error}"));
        bound.evaluate(&batch).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
