//! A rule on rows that somebody wrote by hand: the `given:` rows of its tests.
//!
//! Owns turning JSON rows into a batch of the rule's table. Called by `cli::test`.

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use serde_json::{Map, Value as Json};

use super::run;
use crate::normalise::columns::{ColumnBuilder, cell};
use crate::normalise::given::{self, Fault};
use crate::normalise::projection::{Projection, column_path};
use crate::normalise::schema::ColumnType;
use crate::normalise::time::ZoneOffset;
use crate::observe::panics::caught;
use crate::rules::Rule;

/// Why sample rows cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// A row does not fit the rule's table.
    #[error(transparent)]
    Row(#[from] Fault),
    /// The rule failed.
    #[error("{0}")]
    Rule(String),
}

/// What the rule returns for the rows, in their order.
pub fn run(rule: &Rule, rows: &[Map<String, Json>]) -> Result<Vec<Map<String, Json>>, SampleError> {
    if let Some(fault) = given::faults(&rule.table, rows).into_iter().next() {
        return Err(fault.into());
    }
    let failed = |error: &dyn std::fmt::Display| SampleError::Rule(error.to_string());
    let batch = batch(rule, rows).map_err(|error| failed(&error))?;
    let bound = rule.bind(batch.schema_ref()).map_err(|error| failed(&error))?;
    let hits = caught(|| bound.evaluate(&batch)).map_err(|panicked| failed(&panicked))?;
    let Some(hits) = hits.map_err(|error| failed(&error))? else { return Ok(Vec::new()) };
    Ok((0..hits.rows.len()).map(|row| run::object(&hits.output, row)).collect())
}

/// The rows as a batch of what the rule reads.
pub(super) fn batch(rule: &Rule, rows: &[Map<String, Json>]) -> Result<RecordBatch, ArrowError> {
    let projection = Projection::of(&rule.table, &rule.columns);
    let columns = projection
        .schema
        .fields()
        .iter()
        .zip(&projection.columns)
        .map(|(field, (_, kind))| column(field.name(), *kind, rows))
        .collect();
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let schema = std::sync::Arc::clone(&projection.schema);
    RecordBatch::try_new_with_options(schema, columns, &options)
}

fn column(name: &str, kind: ColumnType, rows: &[Map<String, Json>]) -> arrow::array::ArrayRef {
    let mut builder = ColumnBuilder::new(kind);
    let mut scratch = String::new();
    // Paths are keys of an event, where cases differ.
    let is_path = column_path(name).is_some();
    let same = |key: &str| key == name || (!is_path && key.eq_ignore_ascii_case(name));
    for row in rows {
        let given = row.iter().find(|(key, _)| same(key)).map(|(_, value)| value);
        let value = given::value(given);
        builder.push(&cell(&value, kind, ZoneOffset::UTC, &mut scratch));
    }
    builder.finish()
}
