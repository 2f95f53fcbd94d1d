//! A rule on rows that somebody wrote by hand: the `given:` rows of its tests.
//!
//! Owns turning JSON rows into a batch of the rule's table. Called by `cli::test`.

use std::borrow::Cow;

use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value as Json};

use super::run;
use crate::decode::Value;
use crate::diagnostic::suggest;
use crate::normalise::columns::{ColumnBuilder, cell};
use crate::normalise::projection::Projection;
use crate::normalise::schema::{ColumnType, SystemColumn};
use crate::normalise::time::ZoneOffset;
use crate::rules::Rule;

/// Why sample rows cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A row names a column that the table does not have.
    #[error("row {row}: the table `{table}` has no column `{column}`; {help}")]
    Column {
        /// 0-based row.
        row: usize,
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Nearest names.
        help: String,
    },
    /// The rule failed.
    #[error("{0}")]
    Rule(String),
}

/// What the rule returns for the rows, in their order.
pub fn run(rule: &Rule, rows: &[Map<String, Json>]) -> Result<Vec<Map<String, Json>>, SampleError> {
    let table = &rule.table;
    let system: Vec<&str> = SystemColumn::ALL.iter().map(|entry| entry.1).collect();
    let known = || table.columns.iter().map(|column| column.name.as_str()).chain(system.iter().copied());
    for (row, values) in rows.iter().enumerate() {
        for column in values.keys() {
            if !known().any(|name| name.eq_ignore_ascii_case(column)) {
                return Err(SampleError::Column {
                    row,
                    table: table.name.clone(),
                    column: column.clone(),
                    help: suggest(column, known().collect::<Vec<_>>()),
                });
            }
        }
    }
    let failed = |error: &dyn std::fmt::Display| SampleError::Rule(error.to_string());
    let projection = Projection::of(table, &rule.columns);
    let columns = projection
        .schema
        .fields()
        .iter()
        .zip(&projection.columns)
        .map(|(field, (_, kind))| column(field.name(), *kind, rows))
        .collect();
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = std::sync::Arc::clone(&projection.schema);
    let batch =
        RecordBatch::try_new_with_options(schema, columns, &options).map_err(|error| failed(&error))?;
    let bound = rule.bind(&projection.schema).map_err(|error| failed(&error))?;
    let Some(hits) = bound.evaluate(&batch).map_err(|error| failed(&error))? else { return Ok(Vec::new()) };
    Ok((0..hits.rows.len()).map(|row| run::object(&hits.output, row)).collect())
}

fn column(name: &str, kind: ColumnType, rows: &[Map<String, Json>]) -> arrow::array::ArrayRef {
    let mut builder = ColumnBuilder::new(kind);
    let mut scratch = String::new();
    for row in rows {
        let given = row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let value = match given {
            None | Some(Json::Null) => Value::Missing,
            Some(Json::Bool(flag)) => Value::Bool(*flag),
            Some(Json::Number(number)) => match number.as_i64() {
                Some(number) => Value::Int(number),
                None => number.as_f64().map_or(Value::Missing, Value::Double),
            },
            Some(Json::String(text)) => Value::Text(Cow::Borrowed(text)),
            Some(other) => Value::Text(Cow::Owned(other.to_string())),
        };
        builder.push(&cell(&value, kind, ZoneOffset::UTC, &mut scratch));
    }
    builder.finish()
}
