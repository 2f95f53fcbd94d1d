//! The rules of a rule set, bound to the projected tables and run over batches.
//!
//! Owns which rules look at which table, and that a rule's failure stays its own (I-5): an error or a panic on
//! a batch is narrowed down to the rows that cause it, the other rows are still searched. The expressions are
//! `rules`'; alerts are built by `detect::alert`. Called by `pipeline::engine`.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

use crate::normalise::projection::Projection;
use crate::rules::{BindError, BoundRule, EvaluateError, RuleSet};

/// A row that a rule selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Row of the batch.
    pub row: u32,
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

    /// The conditions of a table's rules over a batch: hits in the order of rules, then of rows. What the rules say of
    /// them is left to [`Self::outputs`], as a batch can have many more hits than fit into memory with their outputs.
    pub fn matches(&self, table: usize, batch: &RecordBatch, failures: &mut Vec<RuleFailure>) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (rule, bound) in self.tables.get(table).into_iter().flatten() {
            narrowed(0..batch.num_rows(), &mut |rows| {
                let part = batch.slice(rows.start, rows.len());
                let from = u32::try_from(rows.start).unwrap_or(u32::MAX);
                match attempt(|| bound.matches(&part)) {
                    Ok(found) => {
                        hits.extend(found.into_iter().map(|row| Hit { rule: *rule, row: from + row }));
                        true
                    }
                    Err(why) => {
                        if rows.len() == 1 {
                            failures.push(RuleFailure { rule: *rule, row: from, why });
                        }
                        false
                    }
                }
            });
        }
        hits
    }

    /// What a rule's SELECT returns for these rows of a batch, one for each; nothing for a row it fails on.
    pub fn outputs(
        &self,
        table: usize,
        rule: usize,
        batch: &RecordBatch,
        rows: &[u32],
        failures: &mut Vec<RuleFailure>,
    ) -> Vec<Option<Map<String, Value>>> {
        let mut outputs = Vec::with_capacity(rows.len());
        let rules = self.tables.get(table).map(Vec::as_slice).unwrap_or_default();
        let Ok(bound) = rules.binary_search_by_key(&rule, |(rule, _)| *rule).map(|at| &rules[at].1) else {
            return vec![None; rows.len()];
        };
        narrowed(0..rows.len(), &mut |range| {
            let part = &rows[range];
            match attempt(|| bound.output(batch, part)) {
                Ok(output) => {
                    outputs.extend((0..part.len()).map(|at| Some(object(&output, at))));
                    true
                }
                Err(why) => {
                    if let [row] = part {
                        failures.push(RuleFailure { rule, row: *row, why });
                        outputs.push(None);
                    }
                    false
                }
            }
        });
        outputs
    }
}

/// Evaluation leaves nothing behind in the rule, so it is as good as new after a panic.
fn attempt<T>(run: impl FnOnce() -> Result<T, EvaluateError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("the rule's evaluation panicked".to_owned()),
    }
}

/// Tries a range, and where that fails its halves, in order.
fn narrowed(range: Range<usize>, attempt: &mut impl FnMut(Range<usize>) -> bool) {
    if range.is_empty() || attempt(range.clone()) || range.len() == 1 {
        return;
    }
    let middle = range.start + range.len() / 2;
    narrowed(range.start..middle, attempt);
    narrowed(middle..range.end, attempt);
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
