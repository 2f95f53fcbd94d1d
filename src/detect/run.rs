//! The rules of a rule set, bound to the projected tables and run over batches.
//!
//! Owns which rules look at which table, and that a rule's failure stays its own (I-5): an error or a panic on
//! a batch is narrowed down to the rows that cause it, the other rows are still searched. The expressions are
//! `rules`'; alerts are built by `detect::alert`. Called by `pipeline::engine`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

use crate::normalise::projection::Projection;
use crate::rules::{BindError, BoundRule, RuleSet};

/// A row that a rule selects.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Row of the batch.
    pub row: u32,
    /// What the rule's SELECT returned for it.
    pub output: Map<String, Value>,
}

/// A row that a rule could not judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFailure {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Row of the batch.
    pub row: u32,
    /// Why.
    pub why: String,
}

/// The bound rules of each projected table.
pub struct Detector {
    tables: Vec<Vec<(usize, BoundRule)>>,
}

impl Detector {
    /// Binds each enabled rule to its table.
    pub fn new(rules: &RuleSet, projection: &Projection) -> Result<Self, BindError> {
        let mut tables: Vec<Vec<(usize, BoundRule)>> =
            projection.tables().iter().map(|_| Vec::new()).collect();
        for (at, rule) in rules.rules().iter().enumerate() {
            let Some(table) = projection.index(&rule.table.name) else { continue };
            if rule.enabled {
                tables[table].push((at, rule.bind(&projection.tables()[table].schema)?));
            }
        }
        Ok(Self { tables })
    }

    /// Runs the rules of a table over a batch; hits come in the order of rows, then of rules.
    pub fn run(&self, table: usize, batch: &RecordBatch, failures: &mut Vec<RuleFailure>) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (rule, bound) in self.tables.get(table).into_iter().flatten() {
            search(*rule, bound, batch, 0, &mut hits, failures);
        }
        hits.sort_by_key(|hit| (hit.row, hit.rule));
        hits
    }
}

/// Evaluates a rule on a batch that begins at row `from` of the whole; on failure on its halves.
fn search(
    rule: usize,
    bound: &BoundRule,
    batch: &RecordBatch,
    from: u32,
    hits: &mut Vec<Hit>,
    failures: &mut Vec<RuleFailure>,
) {
    // Evaluation leaves nothing behind in the rule, so it is as good as new after a panic.
    let why = match catch_unwind(AssertUnwindSafe(|| bound.evaluate(batch))) {
        Ok(Ok(None)) => return,
        Ok(Ok(Some(found))) => {
            for (at, row) in found.rows.iter().enumerate() {
                hits.push(Hit { rule, row: from + row, output: object(&found.output, at) });
            }
            return;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the rule's evaluation panicked".to_owned(),
    };
    let rows = batch.num_rows();
    if rows <= 1 {
        failures.push(RuleFailure { rule, row: from, why });
        return;
    }
    let half = rows / 2;
    search(rule, bound, &batch.slice(0, half), from, hits, failures);
    let rest = from + u32::try_from(half).unwrap_or(u32::MAX);
    search(rule, bound, &batch.slice(half, rows - half), rest, hits, failures);
}

/// A row of a batch as a JSON object; timestamps are milliseconds UTC, as everywhere in alerts.
pub fn object(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect()
}

fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1_000).into()
        }
        kind => {
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(column, &options)
                .map(|formatter| formatter.value(row).to_string())
                .unwrap_or_default();
            // The text of a number is a number.
            match serde_json::from_str::<serde_json::Number>(&text) {
                Ok(number) if kind.is_numeric() => Value::Number(number),
                _ => Value::String(text),
            }
        }
    }
}
