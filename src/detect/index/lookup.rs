//! A cell → the number of the set of atoms that hold of it.
//!
//! Owns the order of things: what is remembered, then what the column's lookups say, then, later and for many values
//! together, what DataFusion says of them. Until then its atoms are not known of a value, and rules that need them are
//! left open. Of long texts the lines are remembered: much telemetry has the same ones in texts that are all different.
//! Called by the parent for each cell that a rule may depend on.

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

/// Texts as long as this are looked at line by line,
const LONG_TEXT_BYTES: usize = 512;
/// of which those that are shorter than this are quicker searched than remembered.
const SHORT_LINE_BYTES: usize = 24;

/// The lookups of a column, and the parts of a memory that they need.
pub(super) struct Lookups<'m> {
    pub(super) column: &'m ColumnIndex,
    /// Its number in the index.
    pub(super) nth: u32,
    pub(super) values: &'m mut Values,
    pub(super) lines: &'m mut Values,
    pub(super) sets: &'m mut Sets,
    pub(super) scratch: &'m mut Scratch,
    pub(super) budget: &'m mut Budget,
}

impl Lookups<'_> {
    /// The number of the set of atoms that hold of a cell.
    pub(super) fn set_of(&mut self, cell: &Cell<'_>) -> u32 {
        match cell {
            Cell::Null | Cell::Unfit => self.missing(),
            Cell::Text(text) => self.text(text, false),
            Cell::Escaped(raw) => self.text(raw, true),
            Cell::Lines(lines) => {
                // It is as long as the event, and comes once: nothing is remembered.
                self.scratch.new += 1;
                if lines.raw().is_some_and(|raw| self.column.screens_out(raw, self.scratch)) {
                    self.number(|this, atoms| this.column.any(atoms))
                } else {
                    let text = lines.text();
                    self.number(|this, atoms| {
                        this.scratch.found.clear();
                        this.column.find(&text, this.scratch);
                        this.column.text(&text, this.scratch, atoms);
                    })
                }
            }
            Cell::Int(whole) => self.other(whole.cast_unsigned()),
            Cell::Time(micros) => self.other(micros.cast_unsigned()),
            Cell::Bool(flag) => self.other(u64::from(*flag)),
            Cell::Double(double) => self.other(double.to_bits()),
        }
    }

    /// Asks DataFusion of the values that wait for company.
    pub(super) fn complete(&mut self) {
        let (texts, numbers) = self.values.take_fresh();
        if !texts.is_empty() {
            let read: Vec<Cow<'_, str>> = texts
                .iter()
                .map(|(text, escaped)| if *escaped { unescaped(text).into() } else { text.as_ref().into() })
                .collect();
            let array: ArrayRef = Arc::new(read.iter().map(Some).collect::<StringViewArray>());
            self.said(&array, |this, said, at| {
                let set = this.numbered(said, at, |this, atoms| this.text_atoms(&read[at], atoms));
                let (key, escaped) = &texts[at];
                this.values.complete_text(key, *escaped, set);
            });
        }
        if !numbers.is_empty() {
            self.said(&array(self.column.kind(), &numbers), |this, said, at| {
                let set = this.numbered(said, at, |this, atoms| this.other_atoms(numbers[at], atoms));
                this.values.complete_number(numbers[at], set);
            });
        }
    }

    fn text(&mut self, written: &str, escaped: bool) -> u32 {
        if let Some(set) = self.values.text(written, escaped, self.budget) {
            return set;
        }
        self.scratch.new += 1;
        let text: Cow<'_, str> = if escaped { unescaped(written).into() } else { written.into() };
        let set = self.number(|this, atoms| this.text_atoms(&text, atoms));
        if self.values.keep_text(written, escaped, set, self.budget)
            && self.column.asks_datafusion()
            && self.values.ask_of_text(written, escaped)
        {
            self.complete();
        }
        set
    }

    fn text_atoms(&mut self, text: &str, atoms: &mut Vec<u32>) {
        self.scratch.found.clear();
        // One long line is no more than the value, which has just been found to be new.
        if text.len() >= LONG_TEXT_BYTES && self.column.looks_at_lines() && text.contains('\n') {
            text.split('\n').for_each(|line| self.line(line));
        } else {
            self.column.find(text, self.scratch);
        }
        self.column.text(text, self.scratch, atoms);
    }

    /// The literals that stand in a line.
    fn line(&mut self, line: &str) {
        if line.len() < SHORT_LINE_BYTES {
            self.column.find(line, self.scratch);
            return;
        }
        if let Some(set) = self.lines.text(line, false, self.budget) {
            self.scratch.found.extend(self.sets.atoms(set));
            return;
        }
        let before = std::mem::take(&mut self.scratch.found);
        self.column.find(line, self.scratch);
        let found = &mut self.scratch.found;
        found.sort_unstable();
        found.dedup();
        let set = self.sets.number(found, self.budget);
        found.extend(before);
        self.lines.keep_line(line, set, self.budget);
    }

    fn other(&mut self, bits: u64) -> u32 {
        if let Some(set) = self.values.number(bits, self.budget) {
            return set;
        }
        self.scratch.new += 1;
        let set = self.number(|this, atoms| this.other_atoms(bits, atoms));
        if self.values.keep_number(bits, set, self.budget)
            && self.column.asks_datafusion()
            && self.values.ask_of_number(bits)
        {
            self.complete();
        }
        set
    }

    fn other_atoms(&self, bits: u64, atoms: &mut Vec<u32>) {
        match self.column.kind() {
            DataType::Int64 => self.column.int(bits.cast_signed(), atoms),
            DataType::Boolean => self.column.flag(bits == 1, atoms),
            _ => self.column.any(atoms),
        }
    }

    /// A missing value is one value: it is looked at at once.
    fn missing(&mut self) -> u32 {
        if let Some(set) = self.values.missing {
            return set;
        }
        let nothing = arrow::array::new_null_array(self.column.kind(), 1);
        let said = self.column.asks_datafusion().then(|| said(self.column, &nothing));
        let set = match &said {
            Some(Some(said)) => self.numbered(said, 0, |_, _| {}),
            Some(None) => self.sets.number(&[UNKNOWN | self.nth], self.budget),
            None => self.sets.number(&[], self.budget),
        };
        self.values.missing = Some(set);
        set
    }

    /// The number of a set of atoms, with the mark that those of DataFusion are not known.
    fn number(&mut self, atoms: impl FnOnce(&mut Self, &mut Vec<u32>)) -> u32 {
        let unknown = self.column.asks_datafusion().then_some(UNKNOWN | self.nth);
        self.set(unknown, atoms)
    }

    /// The same once it has said where they hold.
    fn numbered(
        &mut self,
        said: &[(u32, BooleanArray)],
        at: usize,
        atoms: impl FnOnce(&mut Self, &mut Vec<u32>),
    ) -> u32 {
        let theirs = said.iter().filter(|(_, holds)| holds.is_valid(at) && holds.value(at));
        self.set(theirs.map(|(atom, _)| *atom), atoms)
    }

    fn set(
        &mut self,
        more: impl IntoIterator<Item = u32>,
        atoms: impl FnOnce(&mut Self, &mut Vec<u32>),
    ) -> u32 {
        let mut all = std::mem::take(&mut self.scratch.atoms);
        all.clear();
        atoms(self, &mut all);
        all.extend(more);
        all.sort_unstable();
        all.dedup();
        let set = self.sets.number(&all, self.budget);
        self.scratch.atoms = all;
        set
    }

    /// What DataFusion says of each of these values. Where it fails they stay unknown: on the rows it shows which rule's
    /// failure it is.
    fn said(&mut self, values: &ArrayRef, mut each: impl FnMut(&mut Self, &[(u32, BooleanArray)], usize)) {
        if let Some(said) = said(self.column, values) {
            (0..values.len()).for_each(|at| each(self, &said, at));
        }
    }
}

/// The atoms of a column that are DataFusion's, and where each holds; `None` where it fails.
fn said(column: &ColumnIndex, values: &ArrayRef) -> Option<Vec<(u32, BooleanArray)>> {
    caught(|| column.expressions(values)).ok()?.ok()
}

/// Values that are no texts, as their column has them.
fn array(kind: &DataType, bits: &[u64]) -> ArrayRef {
    let whole = bits.iter().map(|bits| bits.cast_signed());
    match kind {
        DataType::Boolean => Arc::new(bits.iter().map(|bits| Some(*bits == 1)).collect::<BooleanArray>()),
        DataType::Float64 => {
            Arc::new(bits.iter().map(|bits| Some(f64::from_bits(*bits))).collect::<Float64Array>())
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            Arc::new(whole.map(Some).collect::<TimestampMicrosecondArray>().with_timezone_opt(zone.clone()))
        }
        _ => Arc::new(whole.map(Some).collect::<Int64Array>()),
    }
}
