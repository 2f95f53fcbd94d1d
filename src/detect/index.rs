//! Thousands of rules on one table: which of them can hit which rows.
//!
//! Owns the index of a table's rules. Conditions become formulas over atoms, which are shared by all rules; each distinct
//! value of a column is asked once which atoms hold of it, and a rule is looked at only where an atom holds that it cannot
//! do without. What the atoms leave open DataFusion judges, on those rows alone. The answer is DataFusion's, always: what
//! the index does not know it leaves open. Called by `detect::run`.

mod choice;
mod classes;
mod column;
pub mod cost;
pub mod explain;
mod formula;
mod literal;
mod literals;
mod lookup;
mod memory;
pub mod trace;

use std::time::Duration;

use arrow::datatypes::Schema;
use datafusion::logical_expr::Expr;

use column::{BuildError, ColumnIndex};
use formula::{Atoms, Formula, Test, Truth};
use lookup::Lookups;
pub(super) use memory::{Answer, Budget, Memory, make_room};
use memory::{Sets, UNKNOWN};

use super::profile::{LookupProfile, Stopwatch};
use crate::normalise::columns::Cells;

/// The index of a table's rules.
pub(super) struct TableIndex {
    columns: Vec<ColumnIndex>,
    formulas: Vec<Formula>,
    /// Of each atom, its column's number in `columns`.
    column_of: Vec<u32>,
    /// Of each atom, the rules that cannot hit without one of their atoms, of which this is one.
    waiting: Vec<Vec<u32>>,
    /// Rules that no atom rules out.
    always: Vec<u32>,
    /// Numbers of the columns that sort rows into classes.
    class_columns: Vec<u32>,
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
        let mut number_of = vec![0u32; by_column.len()];
        for (at, tests) in by_column.iter().enumerate().filter(|(_, tests)| !tests.is_empty()) {
            number_of[at] = u32::try_from(columns.len()).unwrap_or(u32::MAX);
            columns.push(ColumnIndex::new(at, schema, tests)?);
        }
        let costs = choice::costs(&formulas, &atoms.all);
        let mut waiting: Vec<Vec<u32>> = vec![Vec::new(); atoms.all.len()];
        let mut always = Vec::new();
        for (formula, rule) in formulas.iter().zip(0u32..) {
            match choice::needed(formula, &costs) {
                Some((_, mut needed)) => {
                    needed.sort_unstable();
                    needed.dedup();
                    needed.into_iter().for_each(|atom| waiting[atom as usize].push(rule));
                }
                None => always.push(rule),
            }
        }
        let class_columns = choice::class_columns(&formulas, &atoms.all);
        let column_of: Vec<u32> = atoms.all.iter().map(|(column, _)| number_of[*column]).collect();
        Ok(Self {
            columns,
            formulas,
            column_of,
            waiting,
            always,
            class_columns: class_columns.into_iter().map(|column| number_of[column]).collect(),
        })
    }

    /// Bytes of it in memory, about.
    pub(super) fn bytes(&self) -> usize {
        let waiting: usize =
            self.waiting.iter().map(|rules| size_of_val(&rules[..]) + size_of::<Vec<u32>>()).sum();
        let columns: usize = self.columns.iter().map(ColumnIndex::bytes).sum();
        columns + waiting + size_of_val(&self.formulas[..]) + size_of_val(&self.column_of[..])
    }

    /// An empty memory for rows of this table.
    pub(super) fn memory(&self) -> Memory {
        Memory::new(self.columns.len(), self.waiting.len(), self.formulas.len())
    }

    fn look_up(&self, nth: u32, cells: &mut impl Cells, memory: &mut Memory, budget: &mut Budget) -> u32 {
        let at = self.columns[nth as usize].at;
        if memory.profile.is_none() {
            return cells.cell(at, |cell| self.lookups(nth, memory, budget).set_of(cell));
        }
        let (watch, before) = (Stopwatch::when(true), memory.scratch.new);
        let set = cells.cell(at, |cell| self.lookups(nth, memory, budget).set_of(cell));
        let new = memory.scratch.new - before;
        let time = if new > 0 { watch.read() } else { Duration::ZERO };
        if let Some(counts) = memory.profile.as_mut().and_then(|counts| counts.get_mut(nth as usize)) {
            counts.add(LookupProfile { values: 1, new, time });
        }
        set
    }

    fn lookups<'m>(&'m self, nth: u32, memory: &'m mut Memory, budget: &'m mut Budget) -> Lookups<'m> {
        let Memory { columns, lines, sets, scratch, .. } = memory;
        let (values, lines) = (&mut columns[nth as usize], &mut lines[nth as usize]);
        Lookups { column: &self.columns[nth as usize], nth, values, lines, sets, scratch, budget }
    }

    /// Asks DataFusion of remembered values whose tests are its own and still wait to be many: until then the rows that
    /// have them are left open.
    pub(super) fn settle(&self, memory: &mut Memory, budget: &mut Budget) {
        for nth in 0..self.columns.len() as u32 {
            self.lookups(nth, memory, budget).complete();
        }
    }

    /// From now on the memory counts what is looked up.
    pub(super) fn begin_profile(&self, memory: &mut Memory) {
        memory.profile.get_or_insert_with(|| vec![LookupProfile::default(); self.columns.len()]);
    }

    /// What was looked up since this was last asked, by column of the batch.
    pub(super) fn take_profile(&self, memory: &mut Memory) -> Vec<(usize, LookupProfile)> {
        let counts = memory.profile.iter_mut().flatten();
        self.columns.iter().zip(counts).map(|(column, counts)| (column.at, std::mem::take(counts))).collect()
    }

    /// Marks the atoms of these sets as those of a new row.
    fn mark(&self, sets: impl Iterator<Item = u32>, memory: &mut Memory) {
        memory.row += 1;
        let Memory { sets: known, held, row, .. } = memory;
        self.each_atom(sets, known, |atom, truth| {
            held[atom as usize] = *row * 2 + u64::from(truth == Truth::Yes)
        });
    }

    /// Hands on the atoms of these sets: those that hold, and those of which DataFusion has to be asked.
    fn each_atom(&self, sets: impl Iterator<Item = u32>, known: &Sets, mut take: impl FnMut(u32, Truth)) {
        for set in sets {
            for atom in known.atoms(set) {
                if *atom < UNKNOWN {
                    take(*atom, Truth::Yes);
                } else if let Some(column) = self.columns.get((*atom - UNKNOWN) as usize) {
                    column.asked().for_each(|atom| take(atom, Truth::Maybe));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
