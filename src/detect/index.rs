//! Thousands of rules on one table: which of them can hit which rows.
//!
//! Owns the index of a table's rules. Conditions become formulas over atoms, which are shared by all rules; each distinct
//! value of a column is asked once which atoms hold of it, and a rule is looked at only where an atom holds that it cannot
//! do without. What the atoms leave open DataFusion judges, on those rows alone. The answer is DataFusion's, always: what
//! the index does not know it leaves open. Called by `detect::run`.

mod column;
pub mod cost;
pub mod explain;
mod formula;
mod literal;
mod memory;
pub mod trace;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type, Schema};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::Expr;

use column::{BuildError, ColumnIndex};
use formula::{Atoms, Formula, Test, Truth};
use memory::{Answer, TableMemory};

/// Rows that are looked at together: what they need stays in the processor's caches.
const CHUNK_ROWS: usize = 512;

/// The index of a table's rules.
pub(super) struct TableIndex {
    columns: Vec<ColumnIndex>,
    formulas: Vec<Formula>,
    /// Of each atom, the rules that cannot hit without one of their atoms, of which this is one.
    waiting: Vec<Vec<u32>>,
    /// Rules that no atom rules out.
    always: Vec<u32>,
    atoms: usize,
}

/// What the index knows of a batch; rules are numbered as they were given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Rule and row, in no order.
    pub(super) hits: Vec<(u32, u32)>,
    /// Rule and row that DataFusion has to judge, in no order.
    pub(super) open: Vec<(u32, u32)>,
}

/// What one lane remembers for a table.
pub(super) struct Memory {
    table: TableMemory,
    /// Of each atom, the number of the row for which it held last.
    held: Vec<u64>,
    /// The same of rules that were looked at.
    seen: Vec<u64>,
    row: u64,
}

impl Memory {
    /// Bytes remembered, about.
    pub(super) fn bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Forgets everything.
    pub(super) fn empty(&mut self) {
        self.table.empty();
    }
}

impl TableIndex {
    /// The index of these conditions on batches of a schema.
    pub(super) fn new(conditions: &[&Expr], schema: &Schema) -> Result<Self, BuildError> {
        let mut atoms = Atoms::default();
        let formulas: Vec<Formula> =
            conditions.iter().map(|condition| atoms.formula(condition, schema)).collect();
        let mut by_column: Vec<Vec<(u32, &Test)>> = schema.fields().iter().map(|_| Vec::new()).collect();
        for ((column, test), atom) in atoms.all.iter().zip(0u32..) {
            by_column[*column].push((atom, test));
        }
        let mut columns = Vec::new();
        for (at, tests) in by_column.iter().enumerate().filter(|(_, tests)| !tests.is_empty()) {
            columns.push(ColumnIndex::new(at, schema, tests)?);
        }
        let mut uses = vec![0u32; atoms.all.len()];
        formulas.iter().for_each(|formula| count(formula, &mut uses));
        let costs: Vec<f64> =
            atoms.all.iter().zip(&uses).map(|((_, test), uses)| f64::from(*uses) * share(test)).collect();
        let mut waiting: Vec<Vec<u32>> = vec![Vec::new(); atoms.all.len()];
        let mut always = Vec::new();
        for (formula, rule) in formulas.iter().zip(0u32..) {
            match needed(formula, &costs) {
                Some((_, mut needed)) => {
                    needed.sort_unstable();
                    needed.dedup();
                    needed.into_iter().for_each(|atom| waiting[atom as usize].push(rule));
                }
                None => always.push(rule),
            }
        }
        Ok(Self { columns, formulas, waiting, always, atoms: atoms.all.len() })
    }

    /// An empty memory for batches of this table.
    pub(super) fn memory(&self) -> Memory {
        Memory {
            table: TableMemory::new(self.columns.len()),
            held: vec![0; self.atoms],
            seen: vec![0; self.formulas.len()],
            row: 0,
        }
    }

    /// What is known of the rows of a batch. `bytes_max` bounds the memory, looked at between chunks of rows; `emptied`
    /// counts how often there was no room.
    pub(super) fn search(
        &self,
        batch: &RecordBatch,
        memory: &mut Memory,
        bytes_max: usize,
        emptied: &mut u64,
    ) -> Result<Found, DataFusionError> {
        let mut found = Found::default();
        let mut sets: Vec<Vec<u32>> = vec![Vec::new(); self.columns.len()];
        let mut key = Vec::with_capacity(self.columns.len());
        for from in (0..batch.num_rows()).step_by(CHUNK_ROWS) {
            let rows = CHUNK_ROWS.min(batch.num_rows() - from);
            if memory.table.bytes() > bytes_max {
                memory.table.empty();
                *emptied += 1;
            }
            for (nth, column) in self.columns.iter().enumerate() {
                let values = batch.column(column.at).slice(from, rows);
                sets[nth].clear();
                look_up(column, nth, &values, &mut memory.table, &mut sets[nth])?;
            }
            for row in 0..rows {
                key.clear();
                key.extend(sets.iter().map(|sets| sets[row]));
                let answer = match memory.table.answers.get(key.as_slice()) {
                    Some(answer) => Arc::clone(answer),
                    None => {
                        let answer = Arc::new(self.answer(&key, memory));
                        memory.table.keep_answer(&key, &answer);
                        answer
                    }
                };
                let row = u32::try_from(from + row).unwrap_or(u32::MAX);
                found.hits.extend(answer.hits.iter().map(|rule| (*rule, row)));
                found.open.extend(answer.open.iter().map(|rule| (*rule, row)));
            }
        }
        Ok(found)
    }

    /// What the rules say of a row of which these sets of atoms hold.
    fn answer(&self, sets: &[u32], memory: &mut Memory) -> Answer {
        let Memory { table, held, seen, row } = memory;
        *row += 1;
        let mut candidates: Vec<u32> = self.always.clone();
        for atom in sets.iter().flat_map(|set| table.sets[*set as usize].iter()) {
            held[*atom as usize] = *row;
            for rule in &self.waiting[*atom as usize] {
                if seen[*rule as usize] != *row {
                    seen[*rule as usize] = *row;
                    candidates.push(*rule);
                }
            }
        }
        let holds = |atom: u32| held[atom as usize] == *row;
        let (mut hits, mut open) = (Vec::new(), Vec::new());
        for rule in candidates {
            match self.formulas[rule as usize].on(&holds) {
                Truth::Yes => hits.push(rule),
                Truth::Maybe => open.push(rule),
                Truth::No => {}
            }
        }
        Answer { hits: hits.into(), open: open.into() }
    }
}

/// The set of atoms of each value of a column.
fn look_up(
    column: &ColumnIndex,
    nth: usize,
    values: &ArrayRef,
    memory: &mut TableMemory,
    into: &mut Vec<u32>,
) -> Result<(), DataFusionError> {
    const UNKNOWN: u32 = u32::MAX;
    // What is not known yet.
    let mut fresh: Vec<u32> = Vec::new();
    let bits = if column.is_text { None } else { numbers(values)? };
    for row in 0..values.len() {
        let known = if values.is_null(row) {
            memory.columns[nth].missing
        } else if column.is_text {
            memory.text(nth, values.as_string_view().value(row))
        } else {
            bits.as_ref().and_then(|bits| memory.number(nth, bits[row]))
        };
        if known.is_none() {
            fresh.push(u32::try_from(row).unwrap_or(UNKNOWN));
        }
        into.push(known.unwrap_or(UNKNOWN));
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let answers = if column.asks_datafusion() {
        let rows = UInt32Array::from(fresh.clone());
        column.expressions(&take(values, &rows, None)?)?
    } else {
        Vec::new()
    };
    let mut atoms = Vec::new();
    let mut scratch = std::mem::take(&mut memory.scratch);
    for (at, row) in fresh.into_iter().enumerate() {
        let row = row as usize;
        if column.is_text
            && values.is_valid(row)
            && let Some(set) = memory.text(nth, values.as_string_view().value(row))
        {
            // It has come up a few rows before.
            into[row] = set;
            continue;
        }
        atoms.clear();
        if values.is_valid(row) {
            match (column.is_text, values.data_type()) {
                (true, _) => column.text(values.as_string_view().value(row), &mut scratch, &mut atoms),
                (false, DataType::Int64) => {
                    column.int(values.as_primitive::<Int64Type>().value(row), &mut atoms);
                }
                _ => column.any(&mut atoms),
            }
        }
        let said = answers.iter().filter(|(_, answer)| answer.is_valid(at) && answer.value(at));
        atoms.extend(said.map(|(atom, _)| *atom));
        atoms.sort_unstable();
        atoms.dedup();
        let set = memory.set(&atoms);
        if values.is_null(row) {
            memory.columns[nth].missing = Some(set);
        } else if column.is_text {
            memory.keep_text(nth, values.as_string_view().value(row), set);
        } else if let Some(bits) = &bits {
            memory.keep_number(nth, bits[row], set);
        }
        into[row] = set;
    }
    memory.scratch = scratch;
    Ok(())
}

/// Values that are no texts, as keys; `None` for types without one.
fn numbers(values: &ArrayRef) -> Result<Option<Vec<u64>>, DataFusionError> {
    let as_int = |values: &ArrayRef| -> Vec<u64> {
        values.as_primitive::<Int64Type>().values().iter().map(|value| value.cast_unsigned()).collect()
    };
    Ok(match values.data_type() {
        DataType::Int64 => Some(as_int(values)),
        DataType::Timestamp(..) => Some(as_int(&cast(values, &DataType::Int64)?)),
        DataType::Boolean => {
            Some(values.as_boolean().iter().map(|value| u64::from(value == Some(true))).collect())
        }
        DataType::Float64 => {
            let values = values.as_primitive::<arrow::datatypes::Float64Type>();
            Some(values.values().iter().map(|value| value.to_bits()).collect())
        }
        _ => None,
    })
}

fn count(formula: &Formula, uses: &mut [u32]) {
    match formula {
        Formula::Atom(atom) => uses[*atom as usize] += 1,
        Formula::Not(inner) => count(inner, uses),
        Formula::All(parts) | Formula::Any(parts) => parts.iter().for_each(|part| count(part, uses)),
        Formula::Constant(_) | Formula::Rest => {}
    }
}

/// Of how many values a test holds, by a guess that knows no data: the longer a text, the rarer it is.
fn share(test: &Test) -> f64 {
    let by_length = |chars: usize| 0.7f64.powi(i32::try_from(chars.min(40)).unwrap_or(40));
    match test {
        Test::Present | Test::Expression(_) => 1.0,
        Test::Equal(text) | Test::EqualFolded(text) => 0.5 * by_length(text.len()),
        Test::Like { pattern, .. } => by_length(pattern.len()),
        Test::Regex(pattern) => 2.0 * by_length(pattern.len().min(8)),
        Test::Int(_) => 0.1,
    }
}

/// Atoms of which one must hold for the formula to hold, and what looking at them costs; `None` when it can hold without.
fn needed(formula: &Formula, costs: &[f64]) -> Option<(f64, Vec<u32>)> {
    match formula {
        Formula::Atom(atom) => Some((costs.get(*atom as usize).copied().unwrap_or(1.0), vec![*atom])),
        Formula::All(parts) => {
            let parts = parts.iter().filter_map(|part| needed(part, costs));
            parts.min_by(|a, b| a.0.total_cmp(&b.0))
        }
        Formula::Any(parts) => {
            let mut all = (0.0, Vec::new());
            for part in parts {
                let (cost, atoms) = needed(part, costs)?;
                all.0 += cost;
                all.1.extend(atoms);
            }
            Some(all)
        }
        Formula::Constant(false) => Some((0.0, Vec::new())),
        Formula::Constant(true) | Formula::Not(_) | Formula::Rest => None,
    }
}

#[cfg(test)]
mod tests;
