//! Thousands of rules on one table: which of them can hit which rows.
//!
//! Owns the index of a table's rules. Conditions become formulas over atoms, which are shared by all rules; each distinct
//! value of a column is asked once which atoms hold of it, and a rule is looked at only where an atom holds that it cannot
//! do without. What the atoms leave open DataFusion judges, on those rows alone. The answer is DataFusion's, always: what
//! the index does not know it leaves open. Called by `detect::run`.

mod choice;
mod column;
pub mod cost;
pub mod explain;
mod formula;
mod literal;
mod lookup;
mod memory;
pub mod trace;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use datafusion::logical_expr::Expr;

use column::{BuildError, ColumnIndex};
use formula::{Atoms, Formula, Test, Truth};
pub(super) use memory::{Answer, Budget, Memory, make_room};
use memory::{Class, UNKNOWN};

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
        Ok(Self {
            columns,
            formulas,
            column_of: atoms.all.iter().map(|(column, _)| number_of[*column]).collect(),
            waiting,
            always,
            class_columns: class_columns.into_iter().map(|column| number_of[column]).collect(),
        })
    }

    /// An empty memory for rows of this table.
    pub(super) fn memory(&self) -> Memory {
        Memory::new(self.columns.len(), self.waiting.len(), self.formulas.len())
    }

    /// What is known of a row; `None` when no rule can hit it.
    pub(super) fn judge(
        &self,
        cells: &mut impl Cells,
        memory: &mut Memory,
        budget: &mut Budget,
    ) -> Option<Arc<Answer>> {
        let mut class_key = std::mem::take(&mut memory.class_key);
        let mut key = std::mem::take(&mut memory.key);
        class_key.clear();
        key.clear();
        for nth in &self.class_columns {
            class_key.push(self.look_up(*nth, cells, memory, budget));
        }
        let class = match memory.class_numbers.get(class_key.as_slice()) {
            Some(class) => *class,
            None => self.classify(&class_key, memory, budget),
        };
        for at in 0..memory.classes[class].columns.len() {
            let nth = memory.classes[class].columns[at];
            key.push(self.look_up(nth, cells, memory, budget));
        }
        let answer = match memory.classes[class].answer(&key) {
            Some(answer) => answer.clone(),
            None => {
                let answer = self.answer(&class_key, &key, memory);
                memory.classes[class].keep(&key, answer.clone(), budget);
                answer
            }
        };
        (memory.class_key, memory.key) = (class_key, key);
        answer
    }

    fn look_up(&self, nth: u32, cells: &mut impl Cells, memory: &mut Memory, budget: &mut Budget) -> u32 {
        let column = &self.columns[nth as usize];
        let values = &mut memory.columns[nth as usize];
        let (sets, scratch) = (&mut memory.sets, &mut memory.scratch);
        let Some(counts) = &mut memory.profile else {
            return cells
                .cell(column.at, |cell| lookup::set_of(column, nth, cell, values, sets, scratch, budget));
        };
        let (watch, before) = (Stopwatch::when(true), scratch.new);
        let set =
            cells.cell(column.at, |cell| lookup::set_of(column, nth, cell, values, sets, scratch, budget));
        let (counts, new) = (&mut counts[nth as usize], scratch.new - before);
        let time = if new > 0 { watch.read() } else { Duration::ZERO };
        counts.add(LookupProfile { values: 1, new, time });
        set
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

    /// A new class: of the rules that can still hit where this is known, the columns that they depend on.
    fn classify(&self, class_key: &[u32], memory: &mut Memory, budget: &mut Budget) -> usize {
        self.mark(class_key, memory);
        let Memory { held, row, .. } = &*memory;
        let known = |atom: u32| {
            if self.class_columns.contains(&self.column_of[atom as usize]) {
                truth(held[atom as usize], *row)
            } else {
                Truth::Maybe
            }
        };
        let mut wanted = vec![false; self.columns.len()];
        for formula in &self.formulas {
            formula.undecided(&known, &mut |atom| wanted[self.column_of[atom as usize] as usize] = true);
        }
        let wanted = wanted.iter().zip(0u32..).filter(|(wanted, _)| **wanted).map(|(_, nth)| nth);
        let columns = wanted.filter(|nth| !self.class_columns.contains(nth)).collect();
        let number = memory.classes.len();
        memory.classes.push(Class::new(columns, budget));
        memory.class_numbers.insert(class_key.into(), number);
        number
    }

    /// Marks the atoms of these sets as those of a new row.
    fn mark(&self, sets: &[u32], memory: &mut Memory) {
        memory.row += 1;
        self.mark_more(sets, memory);
    }

    fn mark_more(&self, sets: &[u32], memory: &mut Memory) {
        let Memory { sets: known, held, row, .. } = memory;
        for atom in sets.iter().flat_map(|set| known.atoms(*set)) {
            if *atom < UNKNOWN {
                held[*atom as usize] = *row * 2 + 1;
            } else if let Some(column) = self.columns.get((*atom - UNKNOWN) as usize) {
                column.asked().for_each(|atom| held[atom as usize] = *row * 2);
            }
        }
    }

    /// What the rules say of a row of which these sets of atoms hold.
    fn answer(&self, class_sets: &[u32], more: &[u32], memory: &mut Memory) -> Option<Arc<Answer>> {
        self.mark(class_sets, memory);
        self.mark_more(more, memory);
        let Memory { sets, held, seen, row, .. } = memory;
        let mut candidates: Vec<u32> = self.always.clone();
        let mut wake = |atom: u32| {
            for rule in &self.waiting[atom as usize] {
                if seen[*rule as usize] != *row {
                    seen[*rule as usize] = *row;
                    candidates.push(*rule);
                }
            }
        };
        for atom in class_sets.iter().chain(more).flat_map(|set| sets.atoms(*set)) {
            if *atom < UNKNOWN {
                wake(*atom);
            } else if let Some(column) = self.columns.get((*atom - UNKNOWN) as usize) {
                column.asked().for_each(&mut wake);
            }
        }
        let holds = |atom: u32| truth(held[atom as usize], *row);
        let (mut hits, mut open) = (Vec::new(), Vec::new());
        for rule in candidates {
            match self.formulas[rule as usize].on(&holds) {
                Truth::Yes => hits.push(rule),
                Truth::Maybe => open.push(rule),
                Truth::No => {}
            }
        }
        let none = hits.is_empty() && open.is_empty();
        (!none).then(|| Arc::new(Answer { hits: hits.into(), open: open.into() }))
    }
}

/// What a mark says of an atom on this row.
fn truth(mark: u64, row: u64) -> Truth {
    match mark.checked_sub(row * 2) {
        Some(0) => Truth::Maybe,
        Some(1) => Truth::Yes,
        _ => Truth::No,
    }
}

#[cfg(test)]
mod tests;
