//! What a lane remembers of the values and rows that it has seen.
//!
//! Owns what it costs in bytes; the parent empties it when there is no room. Without any memory the answers are the same.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::column::Scratch;

/// Values longer than this are looked up each time: they seldom come again.
const VALUE_BYTES_MAX: usize = 4 << 10;
/// What an entry of a map costs beside its key.
const ENTRY_BYTES: usize = 48;

/// What the rules of a table say of a row with these atoms.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Rules that hit, by their number in the table.
    pub(super) hits: Box<[u32]>,
    /// Rules that DataFusion has to judge.
    pub(super) open: Box<[u32]>,
}

/// Of a column: which set of atoms holds of a value.
#[derive(Default)]
pub(super) struct Values {
    texts: HashMap<Box<str>, u32, RandomState>,
    numbers: HashMap<u64, u32, RandomState>,
    pub(super) missing: Option<u32>,
}

/// What is remembered for one table.
#[derive(Default)]
pub(super) struct TableMemory {
    pub(super) columns: Vec<Values>,
    numbers: HashMap<Box<[u32]>, u32, RandomState>,
    pub(super) sets: Vec<Box<[u32]>>,
    pub(super) answers: HashMap<Box<[u32]>, Arc<Answer>, RandomState>,
    bytes: usize,
    pub(super) scratch: Scratch,
}

impl TableMemory {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns: (0..columns).map(|_| Values::default()).collect(), ..Self::default() }
    }

    /// Forgets everything. Numbers of sets change: not amid a chunk of rows.
    pub(super) fn empty(&mut self) {
        *self = Self { scratch: std::mem::take(&mut self.scratch), ..Self::new(self.columns.len()) };
    }

    /// The number of a set of atoms, which is sorted.
    pub(super) fn set(&mut self, atoms: &[u32]) -> u32 {
        if let Some(number) = self.numbers.get(atoms) {
            return *number;
        }
        let number = u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.numbers.insert(atoms.into(), number);
        self.sets.push(atoms.into());
        self.bytes += 2 * (size_of_val(atoms) + ENTRY_BYTES);
        number
    }

    pub(super) fn text(&self, column: usize, text: &str) -> Option<u32> {
        self.columns.get(column)?.texts.get(text).copied()
    }

    pub(super) fn number(&self, column: usize, bits: u64) -> Option<u32> {
        self.columns.get(column)?.numbers.get(&bits).copied()
    }

    pub(super) fn keep_text(&mut self, column: usize, text: &str, set: u32) {
        if text.len() <= VALUE_BYTES_MAX {
            self.columns[column].texts.insert(text.into(), set);
            self.bytes += text.len() + ENTRY_BYTES;
        }
    }

    pub(super) fn keep_number(&mut self, column: usize, bits: u64, set: u32) {
        self.columns[column].numbers.insert(bits, set);
        self.bytes += ENTRY_BYTES;
    }

    pub(super) fn keep_answer(&mut self, key: &[u32], answer: &Arc<Answer>) {
        self.answers.insert(key.into(), Arc::clone(answer));
        let rules = answer.hits.len() + answer.open.len();
        self.bytes += size_of_val(key) + rules * size_of::<u32>() + 2 * ENTRY_BYTES;
    }

    /// Bytes remembered, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
