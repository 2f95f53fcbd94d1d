//! What a rule costs, by what of its condition can be looked up.
//!
//! Owns how each kind of test is looked up, and the classes of cost: a pure function of a formula and its atoms. The words
//! for people are `explain`'s. `column` builds the lookups as they are told here.

use super::formula::{Formula, Test};
use super::literal::{Glob, required};
use crate::rules::like_regex;

/// How an atom is looked up, for each new value of its column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// There is a value, or there is none.
    Presence,
    /// A map, which answers for all equalities of the column at once.
    Map,
    /// The ends of a range, or what the value is by itself: compared once for each new value.
    Compared,
    /// An automaton finds this literal, for all patterns of the column at once; nothing else is asked.
    Literal(String),
    /// The automaton finds one of these literals; only then the pattern is tried.
    Behind(Vec<String>),
    /// The pattern is tried on each new value.
    Pattern,
    /// DataFusion evaluates the expression on each new value.
    DataFusion,
}

impl Lookup {
    pub(super) fn of(test: &Test) -> Self {
        let behind = |literals: Option<Vec<String>>| literals.map_or(Self::Pattern, Self::Behind);
        match test {
            Test::Present => Self::Presence,
            Test::Equal(_) | Test::EqualFolded(_) | Test::Int(_) => Self::Map,
            Test::Range(..) | Test::Set | Test::Address | Test::Network(_) => Self::Compared,
            Test::Like { pattern, cased } => match Glob::read(pattern) {
                Some(glob) => {
                    let literal = glob.longest().map(crate::rules::casefold);
                    let whole = !cased && !glob.begins && !glob.ends && glob.parts.len() == 1;
                    match literal {
                        Some(literal) if whole => Self::Literal(literal),
                        literal => behind(literal.map(|literal| vec![literal])),
                    }
                }
                None => behind(required(&like_regex(pattern))),
            },
            Test::Regex(pattern) => behind(required(pattern)),
            Test::Expression(_) => Self::DataFusion,
        }
    }

    /// For machines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Map => "map",
            Self::Compared => "compared",
            Self::Literal(_) => "literal",
            Self::Behind(_) => "behind_literal",
            Self::Pattern => "pattern",
            Self::DataFusion => "datafusion",
        }
    }

    /// The literals that a value must have one of; they have no case.
    pub fn literals(&self) -> &[String] {
        match self {
            Self::Literal(literal) => std::slice::from_ref(literal),
            Self::Behind(literals) => literals,
            Self::Presence | Self::Map | Self::Compared | Self::Pattern | Self::DataFusion => &[],
        }
    }

    /// Work of its own on each new value, whatever the value.
    pub fn scans(&self) -> bool {
        matches!(self, Self::Pattern | Self::DataFusion)
    }
}

/// What a rule costs, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostClass {
    /// Lookups that all rules share rule it out.
    Indexed,
    /// A pattern without a literal, or an expression, is tried on each new value of its column.
    Scanned,
    /// DataFusion judges the rows that lookups leave.
    Residual,
    /// Nothing that it needs can be looked up: it is looked at on each row of its table.
    EveryRow,
}

impl CostClass {
    /// All, the cheapest first.
    pub const ALL: &[Self] = &[Self::Indexed, Self::Scanned, Self::Residual, Self::EveryRow];

    /// For machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Indexed => "indexed",
            Self::Scanned => "scanned",
            Self::Residual => "residual",
            Self::EveryRow => "every_row",
        }
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Indexed => "lookups that all rules share rule it out",
            Self::Scanned => "something of it is tried on each new value of a column",
            Self::Residual => "DataFusion judges the rows that lookups leave",
            Self::EveryRow => {
                "nothing that it needs can be looked up, so it is looked at on each row of its table"
            }
        }
    }
}

/// The class of a condition.
pub(super) fn class(formula: &Formula, tests: &[&Test]) -> CostClass {
    if !rules_out(formula, tests) {
        CostClass::EveryRow
    } else if has_rest(formula) {
        CostClass::Residual
    } else if tests.iter().any(|test| Lookup::of(test).scans()) {
        CostClass::Scanned
    } else {
        CostClass::Indexed
    }
}

/// Whether the formula holds only where one of some atoms does, of which each says more than that there is a value.
pub(super) fn rules_out(formula: &Formula, tests: &[&Test]) -> bool {
    match formula {
        Formula::Atom(atom) => {
            !matches!(tests.get(*atom as usize), None | Some(Test::Present | Test::Address))
        }
        Formula::All(parts) => parts.iter().any(|part| rules_out(part, tests)),
        Formula::Any(parts) => parts.iter().all(|part| rules_out(part, tests)),
        Formula::Constant(truth) => !truth,
        Formula::Not(_) | Formula::Rest => false,
    }
}

pub(super) fn has_rest(formula: &Formula) -> bool {
    match formula {
        Formula::Rest => true,
        Formula::Not(inner) => has_rest(inner),
        Formula::All(parts) | Formula::Any(parts) => parts.iter().any(has_rest),
        Formula::Constant(_) | Formula::Atom(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_looked_up_decides_the_class() {
        let like = |pattern: &str, cased| Test::Like { pattern: pattern.to_owned(), cased };
        let equal = Test::Equal("x".to_owned());
        let tests = [&Test::Present, &equal, &like("%cmd%", false), &Test::Regex("[0-9]+".to_owned())]
            .map(Clone::clone);
        let tests: Vec<&Test> = tests.iter().collect();
        let atom = Formula::Atom;
        let not = |inner| Formula::Not(Box::new(inner));
        let all = |parts: Vec<Formula>| Formula::All(parts.into());
        let any = |parts: Vec<Formula>| Formula::Any(parts.into());
        // The atoms that a formula is given, which are all that its rule has.
        #[rustfmt::skip]
        let table: Vec<(Formula, usize, CostClass)> = vec![
            (atom(1), 3, CostClass::Indexed),
            (atom(1), 4, CostClass::Scanned),
            (all(vec![atom(0), not(atom(1))]), 3, CostClass::EveryRow),
            (all(vec![atom(1), not(atom(2))]), 3, CostClass::Indexed),
            (any(vec![atom(1), atom(2)]), 3, CostClass::Indexed),
            (any(vec![atom(1), not(atom(2))]), 3, CostClass::EveryRow),
            (any(vec![atom(1), all(vec![atom(2), Formula::Rest])]), 3, CostClass::Residual),
            (any(vec![atom(1), Formula::Rest]), 3, CostClass::EveryRow),
            (all(vec![atom(1), Formula::Rest]), 4, CostClass::Residual),
            (Formula::Rest, 0, CostClass::EveryRow),
            (atom(0), 1, CostClass::EveryRow),
            (Formula::Constant(false), 0, CostClass::Indexed),
            (Formula::Constant(true), 0, CostClass::EveryRow),
        ];
        for (formula, atoms, expect) in table {
            assert_eq!(class(&formula, &tests[..atoms]), expect, "{formula:?} of {atoms} atoms");
        }
    }

    #[test]
    fn lookups() {
        let like = |pattern: &str, cased| Test::Like { pattern: pattern.to_owned(), cased };
        let behind = |literals: &[&str]| Lookup::Behind(literals.iter().map(ToString::to_string).collect());
        #[rustfmt::skip]
        let table = [
            (Test::Present, Lookup::Presence),
            (Test::Int(7), Lookup::Map),
            (Test::Range(7, i64::MAX), Lookup::Compared),
            (Test::Set, Lookup::Compared),
            (Test::Address, Lookup::Compared),
            (Test::EqualFolded("a".to_owned()), Lookup::Map),
            (like("%\\\\cmd.exe%", false), Lookup::Literal("\\cmd.exe".to_owned())),
            (like("%\\\\cmd.exe", false), behind(&["\\cmd.exe"])),
            (like("%Cmd%", true), behind(&["cmd"])),
            (like("a_cd%", false), behind(&["cd"])),
            (like("%", false), Lookup::Pattern),
            (like("_", true), Lookup::Pattern),
            (Test::Regex("(?i)(whoami|net1)\\s".to_owned()), behind(&["net1", "whoami"])),
            (Test::Regex("^[a-z]{4}$".to_owned()), Lookup::Pattern),
        ];
        for (test, expect) in table {
            assert_eq!(Lookup::of(&test), expect, "{test:?}");
        }
    }
}
