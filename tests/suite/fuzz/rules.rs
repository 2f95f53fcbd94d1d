//! Rule files: any text is a rule that runs, or is refused with a code and a place.
//!
//! A text without front matter is taken for SQL and gets some. A rule that was accepted runs over rows with the extremes
//! of each type: never an error, and the same answer on a batch as row by row.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use noroshi::detect::{run::object, sample};
use noroshi::diagnostic::{Diagnostic, SourceFile, codes};
use noroshi::normalise::projection::column_path;
use noroshi::normalise::schema::{Catalog, ColumnType, SystemColumn, Table, UTC};
use noroshi::rules::meta::Given;
use noroshi::rules::{Rule, RuleLimits, load_files};

use super::said;

pub static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::stock().expect("the stock tables"));

/// What is told of a planner that panicked, or of tables that it does not take.
fn is_a_failure(diagnostic: &Diagnostic) -> bool {
    let messages = ["the planner failed on this rule", "reading the rules failed unexpectedly"];
    let tables = diagnostic.message.starts_with("the tables cannot be planned");
    diagnostic.code == codes::Q025 && (tables || messages.contains(&diagnostic.message.as_str()))
}

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    load(text);
    if !text.trim_start().starts_with("/*---") {
        load(&format!("/*---\nid: a\ntitle: t\n---*/\n{text}"));
    }
}

fn load(text: &str) {
    let file = SourceFile::new("rule.sql", text);
    let loaded = load_files(&[file], &CATALOG, &RuleLimits::default());
    said::sound(&loaded.diagnostics, true);
    for diagnostic in &loaded.diagnostics {
        assert!(!is_a_failure(diagnostic), "{diagnostic}");
    }
    let refused = loaded.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(loaded.rules.len(), usize::from(!refused), "{:?}", loaded.diagnostics);
    for rule in &loaded.rules {
        run(rule);
    }
}

/// A sound rule, on rows that look for trouble.
pub fn run(rule: &Rule) {
    let batch = batch(&rule.table, rule.columns.iter().map(String::as_str));
    let bound = rule.bind(&batch.schema()).expect("an accepted rule binds");
    let hits = bound.evaluate(&batch).expect("an accepted rule runs");
    let (rows, output) = hits.map(|hits| (hits.rows, hits.output)).unzip();
    let rows: Vec<u32> = rows.unwrap_or_default();
    for row in 0..ROWS {
        let alone = bound.evaluate(&batch.slice(row, 1)).expect("it runs on one row");
        let together = rows.iter().position(|hit| *hit as usize == row);
        assert_eq!(alone.is_some(), together.is_some(), "row {row} hits in one way only");
        if let (Some(alone), Some(output), Some(at)) = (alone, &output, together) {
            assert_eq!(object(&alone.output, 0), object(output, at), "row {row}");
        }
    }
    for test in &rule.meta.tests {
        if let Given::Rows(rows) = &test.given {
            sample::run(rule, rows).expect("rows that were accepted are read");
        }
    }
}

/// Rows of the batch.
const ROWS: usize = 8;

/// Columns of a table, with values that look for trouble. They are shifted from column to column, or all extremes would
/// stand in one row.
pub fn batch<'a>(table: &Table, names: impl Iterator<Item = &'a str>) -> RecordBatch {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = names
        .enumerate()
        .map(|(shift, name)| {
            let declared = table.column(name).map(|at| table.columns[at].kind);
            let system = SystemColumn::named(name).map(|(_, kind)| kind);
            let path = column_path(name).map(|_| ColumnType::String);
            let kind = declared.or(system).or(path).expect("a column of the table");
            (Field::new(name, kind.arrow(), true), column(kind, shift))
        })
        .unzip();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(ROWS));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).expect("a batch")
}

fn column(kind: ColumnType, shift: usize) -> ArrayRef {
    fn shifted<T: Copy>(values: [T; ROWS], shift: usize) -> impl Iterator<Item = T> {
        (0..ROWS).map(move |row| values[(row + shift) % ROWS])
    }
    match kind {
        ColumnType::String => {
            static LONG: LazyLock<String> = LazyLock::new(|| "aB1.\\狼".repeat(100));
            let values = [
                Some(r"C:\Windows\System32\cmd.exe"),
                Some(""),
                Some("狼煙\u{0}\u{200d}\u{301}ßİ"),
                Some(r#"{"a":{"b":[1,"x"]},"":null}"#),
                Some("10.1.2.3"),
                None,
                Some(LONG.as_str()),
                Some("-9223372036854775808"),
            ];
            Arc::new(shifted(values, shift).collect::<StringViewArray>())
        }
        ColumnType::Int => {
            let values = [4, 0, i64::MIN, i64::MAX, -1, 65_535, 4_294_967_296].map(Some);
            let [a, b, c, d, e, f, g] = values;
            Arc::new(shifted([a, b, c, d, e, f, g, None], shift).collect::<Int64Array>())
        }
        ColumnType::Double => {
            let values = [0.5, -0.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 1e-300, 3e9].map(Some);
            let [a, b, c, d, e, f, g] = values;
            Arc::new(shifted([a, b, c, d, e, f, g, None], shift).collect::<Float64Array>())
        }
        ColumnType::Boolean => {
            let (yes, no) = (Some(true), Some(false));
            Arc::new(shifted([yes, no, None, yes, no, None, yes, no], shift).collect::<BooleanArray>())
        }
        ColumnType::Timestamp => {
            // `normalise` keeps times between 1970 and the year 9999.
            let last = Some(253_402_300_799_999_999);
            let (now, leap) = (Some(1_700_000_000_000_001), Some(1_709_164_800_000_000));
            let values = [now, Some(0), last, None, leap, Some(1), Some(999_999), Some(1_000_000_000)];
            let array: TimestampMicrosecondArray = shifted(values, shift).collect();
            Arc::new(array.with_timezone(UTC))
        }
    }
}
