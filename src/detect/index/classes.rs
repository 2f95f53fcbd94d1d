//! Which columns of a row are looked at.
//!
//! Owns the classes: rows that have the same sets of atoms in the columns that `choice` names, and the other columns on which
//! rules still depend there; and what the rules say of a row of a class. Classes cost time when they are bad, and change no
//! answer. Called for each row; part of the parent.

use std::sync::Arc;

use super::TableIndex;
use super::formula::Truth;
use super::memory::{Answer, Budget, ENTRY_BYTES, Map, Memory};
use crate::normalise::columns::Cells;

/// Rows that have the same values in the columns that decide most.
#[derive(Default)]
pub(super) struct Class {
    /// Their sets in those columns.
    key: Box<[u32]>,
    /// The other columns that some rule still depends on.
    columns: Box<[u32]>,
    /// What the rules say of a row, by its sets in the other columns; nothing where no rule can hit.
    answers: Map<Box<[u32]>, Option<Arc<Answer>>>,
}

impl TableIndex {
    /// What is known of a row; `None` when no rule can hit it.
    pub(in crate::detect) fn judge(
        &self,
        cells: &mut impl Cells,
        memory: &mut Memory,
        budget: &mut Budget,
    ) -> Option<Arc<Answer>> {
        let mut sets = std::mem::take(&mut memory.key);
        sets.clear();
        for nth in &self.class_columns {
            sets.push(self.look_up(*nth, cells, memory, budget));
        }
        let class = match memory.class_numbers.get(sets.as_slice()) {
            Some(class) => *class,
            None => self.classify(&sets, memory, budget),
        };
        sets.clear();
        for at in 0..memory.classes[class].columns.len() {
            let nth = memory.classes[class].columns[at];
            sets.push(self.look_up(nth, cells, memory, budget));
        }
        let answer = match memory.classes[class].answers.get(sets.as_slice()) {
            Some(answer) => answer.clone(),
            None => {
                let answer = self.answer(class, &sets, memory);
                let rules = answer.as_ref().map_or(0, |answer| answer.hits.len() + answer.open.len());
                budget.rest += size_of_val(&sets[..]) + rules * size_of::<u32>() + ENTRY_BYTES;
                memory.classes[class].answers.insert(sets.as_slice().into(), answer.clone());
                answer
            }
        };
        memory.key = sets;
        answer
    }

    /// A new class: of the rules that can still hit where this is known, the columns that they depend on.
    fn classify(&self, key: &[u32], memory: &mut Memory, budget: &mut Budget) -> usize {
        self.mark(key.iter().copied(), memory);
        let known = |atom: u32| {
            if self.class_columns.contains(&self.column_of[atom as usize]) {
                memory.truth(atom)
            } else {
                Truth::Maybe
            }
        };
        let mut wanted = vec![false; self.columns.len()];
        for formula in &self.formulas {
            formula.undecided(&known, &mut |atom| wanted[self.column_of[atom as usize] as usize] = true);
        }
        let wanted = wanted.iter().zip(0u32..).filter(|(wanted, _)| **wanted).map(|(_, nth)| nth);
        let columns: Box<[u32]> = wanted.filter(|nth| !self.class_columns.contains(nth)).collect();
        budget.rest += size_of_val(&columns[..]) + 2 * (size_of_val(key) + ENTRY_BYTES);
        let number = memory.classes.len();
        memory.classes.push(Class { key: key.into(), columns, answers: Map::default() });
        memory.class_numbers.insert(key.into(), number);
        number
    }

    /// What the rules say of a row of a class of which these sets of atoms hold in its columns.
    fn answer(&self, class: usize, sets: &[u32], memory: &mut Memory) -> Option<Arc<Answer>> {
        let key = memory.classes[class].key.clone();
        let sets = || key.iter().chain(sets).copied();
        self.mark(sets(), memory);
        let mut candidates: Vec<u32> = self.always.clone();
        let Memory { sets: atoms, seen, row, .. } = memory;
        self.each_atom(sets(), atoms, |atom, _| {
            for rule in &self.waiting[atom as usize] {
                if seen[*rule as usize] != *row {
                    seen[*rule as usize] = *row;
                    candidates.push(*rule);
                }
            }
        });
        let (mut hits, mut open) = (Vec::new(), Vec::new());
        for rule in candidates {
            match self.formulas[rule as usize].on(&|atom| memory.truth(atom)) {
                Truth::Yes => hits.push(rule),
                Truth::Maybe => open.push(rule),
                Truth::No => {}
            }
        }
        let none = hits.is_empty() && open.is_empty();
        (!none).then(|| Arc::new(Answer { hits: hits.into(), open: open.into() }))
    }
}
