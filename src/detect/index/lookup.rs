//! A cell → the number of the set of atoms that hold of it.
//!
//! Owns the order of things: what is remembered, then what the column's lookups say, then, later and for many values
//! together, what DataFusion says of them. Until then its atoms are not known of a value, and rules that need them are
//! left open. Called by the parent for each cell that a rule may depend on.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};

use super::column::{ColumnIndex, Scratch};
use super::memory::{Budget, Sets, UNKNOWN, Values};
use crate::decode::unescaped;
use crate::normalise::columns::Cell;
use crate::observe::panics::caught;

/// Values of a column that DataFusion is asked of together.
const TOGETHER: usize = 256;

/// The number of the set of atoms of a column that hold of this cell.
pub(super) fn set_of(
    column: &ColumnIndex,
    nth: u32,
    cell: &Cell<'_>,
    values: &mut Values,
    sets: &mut Sets,
    scratch: &mut Scratch,
    budget: &mut Budget,
) -> u32 {
    match cell {
        Cell::Null | Cell::Unfit => missing(column, nth, values, sets, scratch, budget),
        Cell::Text(text) => match values.text(text, false, budget) {
            Some(set) => set,
            None => new_text(column, nth, text, None, values, sets, scratch, budget),
        },
        Cell::Escaped(raw) => match values.text(raw, true, budget) {
            Some(set) => set,
            None => new_text(column, nth, &unescaped(raw), Some(raw), values, sets, scratch, budget),
        },
        Cell::Lines(lines) => {
            // It is as long as the event, and comes once: nothing is remembered.
            scratch.new += 1;
            if lines.raw().is_some_and(|raw| column.screens_out(raw, scratch)) {
                scratch.atoms.clear();
                column.any(&mut scratch.atoms);
                return sets.number(&scratch.atoms, budget);
            }
            let mut atoms = std::mem::take(&mut scratch.atoms);
            atoms.clear();
            column.text(&lines.text(), scratch, &mut atoms);
            let set = number(column, nth, &mut atoms, sets, budget);
            scratch.atoms = atoms;
            set
        }
        Cell::Int(whole) => other(column, nth, whole.cast_unsigned(), values, sets, scratch, budget),
        Cell::Time(micros) => other(column, nth, micros.cast_unsigned(), values, sets, scratch, budget),
        Cell::Bool(flag) => other(column, nth, u64::from(*flag), values, sets, scratch, budget),
        Cell::Double(double) => other(column, nth, double.to_bits(), values, sets, scratch, budget),
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a memory, which are borrowed each for itself")]
fn new_text(
    column: &ColumnIndex,
    nth: u32,
    text: &str,
    raw: Option<&str>,
    values: &mut Values,
    sets: &mut Sets,
    scratch: &mut Scratch,
    budget: &mut Budget,
) -> u32 {
    scratch.new += 1;
    let mut atoms = std::mem::take(&mut scratch.atoms);
    atoms.clear();
    column.text(text, scratch, &mut atoms);
    let set = number(column, nth, &mut atoms, sets, budget);
    scratch.atoms = atoms;
    let (key, escaped) = (raw.unwrap_or(text), raw.is_some());
    if values.keep_text(key, escaped, set, budget) && column.asks_datafusion() {
        values.fresh_texts.push((key.into(), escaped));
        if values.fresh_texts.len() >= TOGETHER {
            complete_texts(column, values, sets, scratch, budget);
        }
    }
    set
}

/// The set of a sorted list of atoms, with the mark that those of DataFusion are not among them.
fn number(column: &ColumnIndex, nth: u32, atoms: &mut Vec<u32>, sets: &mut Sets, budget: &mut Budget) -> u32 {
    atoms.sort_unstable();
    atoms.dedup();
    if column.asks_datafusion() {
        atoms.push(UNKNOWN | nth);
    }
    sets.number(atoms, budget)
}

fn other(
    column: &ColumnIndex,
    nth: u32,
    bits: u64,
    values: &mut Values,
    sets: &mut Sets,
    scratch: &mut Scratch,
    budget: &mut Budget,
) -> u32 {
    if let Some(set) = values.number(bits, budget) {
        return set;
    }
    scratch.new += 1;
    let mut atoms = own_atoms(column, bits);
    let set = number(column, nth, &mut atoms, sets, budget);
    if values.keep_number(bits, set, budget) && column.asks_datafusion() {
        values.fresh_numbers.push(bits);
        if values.fresh_numbers.len() >= TOGETHER {
            complete_numbers(column, values, sets, scratch, budget);
        }
    }
    set
}

fn own_atoms(column: &ColumnIndex, bits: u64) -> Vec<u32> {
    let mut atoms = Vec::new();
    match column.kind() {
        DataType::Int64 => column.int(bits.cast_signed(), &mut atoms),
        _ => column.any(&mut atoms),
    }
    atoms
}

/// A missing value is one value: it is looked at at once.
fn missing(
    column: &ColumnIndex,
    nth: u32,
    values: &mut Values,
    sets: &mut Sets,
    scratch: &mut Scratch,
    budget: &mut Budget,
) -> u32 {
    if let Some(set) = values.missing {
        return set;
    }
    scratch.atoms.clear();
    if column.asks_datafusion() {
        let nothing = arrow::array::new_null_array(column.kind(), 1);
        match said(column, &nothing) {
            Some(said) => scratch.atoms.extend(of_row(&said, 0)),
            None => scratch.atoms.push(UNKNOWN | nth),
        }
        scratch.atoms.sort_unstable();
    }
    let set = sets.number(&scratch.atoms, budget);
    values.missing = Some(set);
    set
}

fn complete_texts(
    column: &ColumnIndex,
    values: &mut Values,
    sets: &mut Sets,
    scratch: &mut Scratch,
    budget: &mut Budget,
) {
    let fresh = std::mem::take(&mut values.fresh_texts);
    let texts: Vec<Cow<'_, str>> = fresh
        .iter()
        .map(|(text, escaped)| if *escaped { unescaped(text).into() } else { text.as_ref().into() })
        .collect();
    let array: ArrayRef = Arc::new(texts.iter().map(Some).collect::<StringViewArray>());
    // Where it fails they stay unknown: on the rows it shows which rule's failure it is.
    let Some(said) = said(column, &array) else { return };
    let mut atoms = Vec::new();
    for (at, ((key, escaped), text)) in fresh.iter().zip(&texts).enumerate() {
        atoms.clear();
        column.text(text, scratch, &mut atoms);
        atoms.extend(of_row(&said, at));
        atoms.sort_unstable();
        atoms.dedup();
        values.complete_text(key, *escaped, sets.number(&atoms, budget));
    }
}

fn complete_numbers(
    column: &ColumnIndex,
    values: &mut Values,
    sets: &mut Sets,
    _scratch: &mut Scratch,
    budget: &mut Budget,
) {
    let fresh = std::mem::take(&mut values.fresh_numbers);
    let Some(said) = said(column, &array(column.kind(), &fresh)) else { return };
    for (at, bits) in fresh.iter().enumerate() {
        let mut atoms = own_atoms(column, *bits);
        atoms.extend(of_row(&said, at));
        atoms.sort_unstable();
        atoms.dedup();
        values.complete_number(*bits, sets.number(&atoms, budget));
    }
}

/// The atoms of a column that are DataFusion's, and where each holds; `None` where it fails.
fn said(column: &ColumnIndex, values: &ArrayRef) -> Option<Vec<(u32, BooleanArray)>> {
    caught(|| column.expressions(values)).ok()?.ok()
}

fn of_row(said: &[(u32, BooleanArray)], row: usize) -> impl Iterator<Item = u32> {
    said.iter().filter(move |(_, holds)| holds.is_valid(row) && holds.value(row)).map(|(atom, _)| *atom)
}

/// Values that are no texts, as their column has them.
fn array(kind: &DataType, bits: &[u64]) -> ArrayRef {
    let whole = bits.iter().map(|bits| bits.cast_signed());
    match kind {
        DataType::Boolean => Arc::new(bits.iter().map(|bits| Some(*bits == 1)).collect::<BooleanArray>()),
        DataType::Float64 => Arc::new(
            bits.iter()
                .map(|bits| f64::from_bits(*bits))
                .collect::<Vec<_>>()
                .into_iter()
                .map(Some)
                .collect::<Float64Array>(),
        ),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Arc::new(whole.map(Some).collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone()))
        }
        _ => Arc::new(whole.map(Some).collect::<Int64Array>()),
    }
}
