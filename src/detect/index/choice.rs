//! What is looked at first.
//!
//! Owns the atoms that a rule waits for, as it cannot hit without one of them, and the columns that sort rows into classes,
//! as most rules ask a certain value of them. Both are guesses from the rules alone: they cost time when they are bad, and
//! change no answer. Called by the parent when an index is built.

use std::collections::HashMap;

use super::formula::{Formula, Test, Truth};

/// Columns that make classes, at most.
const CLASS_COLUMNS_MAX: usize = 3;
/// A column makes classes when one rule in so many asks a certain value of it.
const CLASS_SHARE: usize = 8;

/// How many times each atom stands in the formulas, times the share of values that it holds of.
pub(super) fn costs(formulas: &[Formula], atoms: &[(usize, Test)]) -> Vec<f64> {
    let mut uses = vec![0u32; atoms.len()];
    formulas.iter().for_each(|formula| formula.atoms(&mut |atom| uses[atom as usize] += 1));
    atoms.iter().zip(&uses).map(|((_, test), uses)| f64::from(*uses) * share(test)).collect()
}

/// Of how many values a test holds, by a guess that knows no data: the longer a text, the rarer it is.
pub(super) fn share(test: &Test) -> f64 {
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
pub(super) fn needed(formula: &Formula, costs: &[f64]) -> Option<(f64, Vec<u32>)> {
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

/// The columns of which most rules ask a certain value: rows that agree in them have the same rules to fear.
pub(super) fn class_columns(formulas: &[Formula], atoms: &[(usize, Test)]) -> Vec<usize> {
    let column = |atom: u32| atoms.get(atom as usize).map_or(usize::MAX, |(column, _)| *column);
    let is_value = |atom: u32| {
        let test = atoms.get(atom as usize).map(|(_, test)| test);
        matches!(test, Some(Test::Equal(_) | Test::EqualFolded(_) | Test::Int(_)))
    };
    // Of each rule, the columns without a value of which it cannot hit.
    let mut asks: Vec<Vec<usize>> = Vec::with_capacity(formulas.len());
    for formula in formulas {
        let mut columns = Vec::new();
        formula.atoms(&mut |atom| columns.push(column(atom)));
        columns.sort_unstable();
        columns.dedup();
        columns.retain(|wanted| {
            let without = |atom: u32| {
                if column(atom) == *wanted && is_value(atom) { Truth::No } else { Truth::Maybe }
            };
            formula.on(&without) == Truth::No
        });
        asks.push(columns);
    }
    let least = (formulas.len() / CLASS_SHARE).max(2);
    let mut chosen = Vec::new();
    while chosen.len() < CLASS_COLUMNS_MAX {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        // Rules that a chosen column sorts out already say nothing more.
        for columns in asks.iter().filter(|columns| !columns.iter().any(|column| chosen.contains(column))) {
            columns.iter().for_each(|column| *counts.entry(*column).or_default() += 1);
        }
        let best = counts.into_iter().max_by_key(|(column, count)| (*count, usize::MAX - *column));
        match best {
            Some((column, count)) if count >= least => chosen.push(column),
            _ => break,
        }
    }
    chosen
}
