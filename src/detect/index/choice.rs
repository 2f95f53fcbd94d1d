//! What is looked at first.
//!
//! Owns the atoms that a rule waits for, as it cannot hit without one of them, and the columns that sort rows into classes,
//! as most rules ask a certain value of them. Both are guesses from the rules alone: they cost time when they are bad, and
//! change no answer. Called by the parent when an index is built.

use std::collections::{BTreeMap, BTreeSet};

use super::formula::{Formula, Test, Truth};

/// Columns that make classes, at most.
const CLASS_COLUMNS_MAX: usize = 3;
/// A column makes classes when a value of it rules out one rule in so many.
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
        Test::Present | Test::Address | Test::Expression(_) => 1.0,
        Test::Range(..) | Test::Set => 0.5,
        Test::Network(_) => 0.2,
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

/// The columns that tell most rules apart by the values that they ask: rows that agree in them have the same rules to fear.
pub(super) fn class_columns(formulas: &[Formula], atoms: &[(usize, Test)]) -> Vec<usize> {
    let column = |atom: u32| atoms.get(atom as usize).map_or(usize::MAX, |(column, _)| *column);
    let is_value = |atom: u32| {
        let test = atoms.get(atom as usize).map(|(_, test)| test);
        matches!(test, Some(Test::Equal(_) | Test::EqualFolded(_) | Test::Int(_)))
    };
    let mut asked: BTreeMap<usize, Asked> = BTreeMap::new();
    for formula in formulas {
        let mut of_rule = Vec::new();
        formula.atoms(&mut |atom| of_rule.push(atom));
        of_rule.sort_unstable();
        of_rule.dedup();
        let columns: BTreeSet<usize> = of_rule.iter().map(|atom| column(*atom)).collect();
        for wanted in columns {
            let without = |atom: u32| {
                if column(atom) == wanted && is_value(atom) { Truth::No } else { Truth::Maybe }
            };
            // Without a value of that column it cannot hit.
            if formula.on(&without) == Truth::No {
                let values = of_rule.iter().filter(|atom| column(**atom) == wanted && is_value(**atom));
                let asked = asked.entry(wanted).or_default();
                asked.rules += 1;
                values.for_each(|atom| *asked.by_value.entry(*atom).or_default() += 1);
            }
        }
    }
    let least = (formulas.len() / CLASS_SHARE).max(2);
    let mut ranked: Vec<(usize, usize)> =
        asked.iter().map(|(column, asked)| (asked.ruled_out(), *column)).collect();
    ranked.retain(|(ruled_out, _)| *ruled_out >= least);
    ranked.sort_unstable_by_key(|(ruled_out, column)| (std::cmp::Reverse(*ruled_out), *column));
    ranked.truncate(CLASS_COLUMNS_MAX);
    ranked.into_iter().map(|(_, column)| column).collect()
}

/// What rules ask of a column.
#[derive(Default)]
struct Asked {
    /// Rules that cannot hit without one of the values.
    rules: usize,
    /// Those that name it, by the atom of the value.
    by_value: BTreeMap<u32, usize>,
}

impl Asked {
    /// Of the rules, how many a value rules out on average.
    fn ruled_out(&self) -> usize {
        let named: usize = self.by_value.values().sum();
        self.rules.saturating_sub(named.div_ceil(self.by_value.len().max(1)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::common::{Column, ScalarValue};
    use datafusion::logical_expr::{Expr, Operator, binary_expr};

    use super::super::formula::Atoms;
    use super::*;

    #[test]
    fn classes_are_made_by_what_tells_rules_apart() {
        let schema = Schema::new(
            ["platform", "id", "name"].map(|name| Field::new(name, DataType::Utf8View, true)).to_vec(),
        );
        let is = |name: &str, value: &str| {
            let text = Expr::Literal(ScalarValue::Utf8View(Some(value.to_owned())), None);
            binary_expr(Expr::Column(Column::from_name(name)), Operator::Eq, text)
        };
        let and = |a: Expr, b: Expr| binary_expr(a, Operator::And, b);
        let mut rules = Vec::new();
        for id in 0..12 {
            // All of one platform, each of another id; some names, which a rule can do without.
            let id = and(is("platform", "x"), is("id", &id.to_string()));
            let named = binary_expr(is("name", "n"), Operator::Or, is("id", "7"));
            rules.push(and(id, named));
        }
        let mut atoms = Atoms::default();
        let formulas: Vec<Formula> = rules.iter().map(|rule| atoms.formula(rule, &schema)).collect();
        assert_eq!(class_columns(&formulas, &atoms.all), [1]);
        assert_eq!(class_columns(&formulas[..1], &atoms.all), Vec::<usize>::new());
    }
}
