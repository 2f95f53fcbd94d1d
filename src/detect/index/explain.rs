//! A rule's condition in words: its atoms, its formula, what the index shares, and what it costs.
//!
//! Owns the words, and the formula as it is shown: the same as `formula`'s, but it knows what DataFusion has to judge. What
//! holds on a row is [`trace`](super::trace)'s. Called by `noroshi explain` and `noroshi check`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{Expr, Operator};
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::Dialect;

use super::choice;
use super::cost::{self, CostClass, Lookup};
use super::formula::{Atoms, Formula, Test};
use super::literal::Glob;
use crate::normalise::projection::{Projection, column_path};
use crate::rules::Rule;

/// A test of one column, as a rule has it.
#[derive(Debug, Clone)]
pub struct Atom {
    /// The column.
    pub column: String,
    /// The whole test: `Image ends with '\cmd.exe', without case`.
    pub text: String,
    /// How it is looked up.
    pub lookup: Lookup,
    /// So many other rules of the set ask the same.
    pub shared: usize,
    /// A row must have this or another one that is needed, or the rule is not looked at.
    pub needed: bool,
    pub(super) test: Test,
}

/// What DataFusion judges on the rows that the atoms leave open.
#[derive(Debug, Clone)]
pub struct Residual {
    /// The expression as SQL.
    pub text: String,
    /// The columns that it looks at, in the order of their names.
    pub columns: Vec<String>,
    pub(super) expr: Expr,
}

impl Residual {
    fn new(expr: &Expr) -> Self {
        let mut columns: Vec<String> = expr.column_refs().iter().map(|column| column.name.clone()).collect();
        columns.sort_unstable();
        Self { text: sql(expr), columns, expr: expr.clone() }
    }
}

/// A condition over atoms and residuals, by their places in the lists of [`Explained`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Whatever the row.
    Constant(bool),
    /// The atom holds.
    Atom(usize),
    /// The residual is true.
    Residual(usize),
    /// It does not hold.
    Not(Box<Part>),
    /// All of them.
    All(Vec<Part>),
    /// One of them.
    Any(Vec<Part>),
}

/// Why a rule costs what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Because {
    /// What costs, without a full stop.
    pub what: String,
    /// What to write instead.
    pub instead: &'static str,
}

/// A rule on one table.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Its tests of single columns.
    pub atoms: Vec<Atom>,
    /// What DataFusion has to judge.
    pub residuals: Vec<Residual>,
    /// The condition.
    pub condition: Part,
    /// What it costs.
    pub class: CostClass,
    /// Why; nothing for the cheapest.
    pub because: Vec<Because>,
}

/// Which atoms the rules of a set ask, and how often.
#[derive(Debug, Default)]
pub struct Shares {
    asked: HashMap<(String, String, Test), Asked>,
    rules: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    rules: usize,
    times: u32,
}

impl Shares {
    /// Of all rules that run.
    pub fn new(rules: &[Arc<Rule>]) -> Self {
        let mut shares = Self::default();
        for rule in rules.iter().filter(|rule| rule.enabled) {
            shares.rules += 1;
            let schema = Projection::of(&rule.table, &rule.columns).schema;
            let mut atoms = Atoms::default();
            let formula = atoms.formula(rule.condition(), &schema);
            let mut times = vec![0u32; atoms.all.len()];
            formula.atoms(&mut |atom| times[atom as usize] += 1);
            for ((column, test), times) in atoms.all.into_iter().zip(times) {
                let key = (rule.table.name.clone(), schema.field(column).name().clone(), test);
                let asked = shares.asked.entry(key).or_default();
                asked.rules += 1;
                asked.times += times;
            }
        }
        shares
    }

    /// How many rules there are.
    pub fn rules(&self) -> usize {
        self.rules
    }

    fn of(&self, table: &str, column: &str, test: &Test) -> Asked {
        let key = (table.to_owned(), column.to_owned(), test.clone());
        self.asked.get(&key).copied().unwrap_or_default()
    }
}

impl Explained {
    /// A rule among others.
    pub fn new(rule: &Arc<Rule>, shares: &Shares) -> Self {
        let schema = Projection::of(&rule.table, &rule.columns).schema;
        let read = Reader::read(rule.condition(), &schema);
        let formula = read.part.formula();
        let tests: Vec<&Test> = read.atoms.all.iter().map(|(_, test)| test).collect();
        let column = |at: usize| schema.field(at).name();
        let asked: Vec<Asked> =
            read.atoms.all.iter().map(|(at, test)| shares.of(&rule.table.name, column(*at), test)).collect();
        let costs: Vec<f64> = asked
            .iter()
            .zip(&tests)
            .map(|(asked, test)| f64::from(asked.times.max(1)) * choice::share(test))
            .collect();
        let needed = choice::needed(&formula, &costs).map(|(_, atoms)| atoms).unwrap_or_default();
        let own = usize::from(rule.enabled);
        let atoms: Vec<Atom> = (0u32..)
            .zip(&read.atoms.all)
            .zip(&asked)
            .map(|((number, (at, test)), asked)| Atom {
                column: column(*at).clone(),
                text: words(column(*at), test),
                lookup: Lookup::of(test),
                shared: asked.rules.saturating_sub(own),
                needed: needed.contains(&number),
                test: test.clone(),
            })
            .collect();
        let class = cost::class(&formula, &tests);
        let mut explained = Self {
            rule: Arc::clone(rule),
            atoms,
            residuals: read.residuals,
            condition: read.part,
            class,
            because: Vec::new(),
        };
        explained.because = explained.reasons(&tests);
        explained
    }

    /// Why it is not of the cheapest class, the gravest reason first.
    fn reasons(&self, tests: &[&Test]) -> Vec<Because> {
        let mut because = Vec::new();
        let mut open = Vec::new();
        unruled(&self.condition, tests, &mut open);
        for part in open.iter().filter(|_| self.class == CostClass::EveryRow) {
            let whole = **part == self.condition;
            let subject =
                if whole { "it".to_owned() } else { format!("the alternative `{}`", self.line(part)) };
            let judged = cost::has_rest(&part.formula());
            let what = if judged {
                format!(
                    "{subject} needs nothing that can be looked up: DataFusion judges each row of the table"
                )
            } else {
                format!("{subject} only says what a row must not have, or that it has some value")
            };
            let instead = if whole {
                "add a condition on one column that must hold: =, IN, LIKE, ILIKE or ~ with a literal"
            } else {
                "each alternative of an OR needs a condition of its own that must hold: =, IN, LIKE, ILIKE or ~ with a literal"
            };
            because.push(Because { what, instead });
        }
        for residual in &self.residuals {
            let why = match residual.expr.column_refs().len() {
                0 | 1 => "can take long, or is about a text that comes once",
                _ => "looks at several columns at once",
            };
            because.push(Because {
                what: format!("`{}` {why}: DataFusion judges it", residual.text),
                instead: "leave it where it stands beside conditions that are rarely true; else compare with literals",
            });
        }
        for atom in &self.atoms {
            match atom.lookup {
                Lookup::Pattern => because.push(Because {
                    what: format!(
                        "`{}` has no literal that can be looked up: it is tried on each new value",
                        atom.text
                    ),
                    instead: "give the pattern two or more characters in a row that each match must have",
                }),
                Lookup::DataFusion => because.push(Because {
                    what: format!(
                        "`{}` is evaluated by DataFusion on each new value, and on rows until that is done",
                        atom.text
                    ),
                    instead: "where =, IN, LIKE, ILIKE or ~ on the column itself say the same, write that",
                }),
                Lookup::Presence
                | Lookup::Map
                | Lookup::Compared
                | Lookup::Literal(_)
                | Lookup::Behind(_) => {}
            }
        }
        // How many values such a test holds for, nobody knows before.
        let open = self.atoms.iter().filter(|atom| {
            atom.needed && (atom.lookup.scans() || matches!(atom.test, Test::Range(..) | Test::Set))
        });
        let named: Vec<String> = open.map(|atom| format!("`{}`", atom.text)).collect();
        if !named.is_empty() {
            because.push(Because {
                what: format!(
                    "nothing else keeps rows out: it is looked at on each row where {} holds, be those few or all",
                    named.join(" or ")
                ),
                instead: "where that holds for most rows, add a condition that is rarely true: =, IN, LIKE, ILIKE or ~ with a literal",
            });
        }
        because
    }

    /// A part on one line.
    pub fn line(&self, part: &Part) -> String {
        self.written(part, false)
    }

    fn written(&self, part: &Part, inside: bool) -> String {
        let joined = |parts: &[Part], word: &str| {
            let parts: Vec<String> = parts.iter().map(|part| self.written(part, true)).collect();
            let text = parts.join(word);
            if inside { format!("({text})") } else { text }
        };
        match part {
            Part::Constant(truth) => truth.to_string(),
            Part::Atom(at) => self.atoms.get(*at).map(|atom| atom.text.clone()).unwrap_or_default(),
            Part::Residual(at) => self.residuals.get(*at).map(|rest| rest.text.clone()).unwrap_or_default(),
            Part::Not(inner) => format!("not {}", self.written(inner, true)),
            Part::All(parts) => joined(parts, " and "),
            Part::Any(parts) => joined(parts, " or "),
        }
    }
}

/// The parts that keep a condition from being ruled out.
fn unruled<'p>(part: &'p Part, tests: &[&Test], into: &mut Vec<&'p Part>) {
    match part {
        Part::Any(parts) => {
            let open = |part: &&Part| !cost::rules_out(&part.formula(), tests);
            parts.iter().filter(open).for_each(|part| unruled(part, tests, into));
        }
        part => into.push(part),
    }
}

impl Part {
    /// The same for the index.
    pub(super) fn formula(&self) -> Formula {
        let each = |parts: &[Self]| parts.iter().map(Self::formula).collect::<Vec<_>>().into();
        match self {
            Self::Constant(truth) => Formula::Constant(*truth),
            Self::Atom(at) => Formula::Atom(u32::try_from(*at).unwrap_or(u32::MAX)),
            Self::Residual(_) => Formula::Rest,
            Self::Not(inner) => Formula::Not(Box::new(inner.formula())),
            Self::All(parts) => Formula::All(each(parts)),
            Self::Any(parts) => Formula::Any(each(parts)),
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Constant(truth) => Self::Constant(!truth),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// All of them when `all`, else one of them.
    fn joined(parts: Vec<Self>, all: bool) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Constant(truth) if truth == all => {}
                Self::Constant(truth) => return Self::Constant(truth),
                Self::All(inner) if all => flat.extend(inner),
                Self::Any(inner) if !all => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Constant(all),
            1 => flat.swap_remove(0),
            _ if all => Self::All(flat),
            _ => Self::Any(flat),
        }
    }
}

/// Reads a condition as `formula` does, and keeps what that leaves to DataFusion.
struct Reader<'s> {
    atoms: Atoms,
    residuals: Vec<Residual>,
    schema: &'s Schema,
}

struct Read {
    atoms: Atoms,
    residuals: Vec<Residual>,
    part: Part,
}

impl<'s> Reader<'s> {
    fn read(condition: &Expr, schema: &'s Schema) -> Read {
        let mut reader = Self { atoms: Atoms::default(), residuals: Vec::new(), schema };
        let part = reader.part(condition, true);
        Read { atoms: reader.atoms, residuals: reader.residuals, part }
    }

    /// Where the expression is true, or where it is false.
    fn part(&mut self, expr: &Expr, wanted: bool) -> Part {
        match expr {
            Expr::Alias(alias) => self.part(&alias.expr, wanted),
            Expr::Not(inner) => self.part(inner, !wanted),
            Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => {
                let parts = split_binary(expr, binary.op);
                let parts = parts.into_iter().map(|part| self.part(part, wanted)).collect();
                Part::joined(parts, (binary.op == Operator::And) == wanted)
            }
            Expr::IsTrue(inner) => self.sided(inner, true, wanted),
            Expr::IsNotTrue(inner) => self.sided(inner, true, !wanted),
            Expr::IsFalse(inner) => self.sided(inner, false, wanted),
            Expr::IsNotFalse(inner) => self.sided(inner, false, !wanted),
            Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => {
                let known = vec![self.part(inner, true), self.part(inner, false)];
                let known = Part::joined(known, false);
                if matches!(expr, Expr::IsNotUnknown(_)) == wanted { known } else { known.not() }
            }
            leaf => {
                let asked = if wanted { leaf.clone() } else { Expr::Not(Box::new(leaf.clone())) };
                let formula = self.atoms.formula(&asked, self.schema);
                self.shown(&formula, &asked)
            }
        }
    }

    fn sided(&mut self, expr: &Expr, side: bool, wanted: bool) -> Part {
        let part = self.part(expr, side);
        if wanted { part } else { part.not() }
    }

    /// The formula of a leaf.
    fn shown(&mut self, formula: &Formula, leaf: &Expr) -> Part {
        match formula {
            Formula::Constant(truth) => Part::Constant(*truth),
            Formula::Atom(atom) => Part::Atom(*atom as usize),
            Formula::Not(inner) => Part::Not(Box::new(self.shown(inner, leaf))),
            Formula::All(parts) => Part::All(parts.iter().map(|part| self.shown(part, leaf)).collect()),
            Formula::Any(parts) => Part::Any(parts.iter().map(|part| self.shown(part, leaf)).collect()),
            Formula::Rest => {
                let at = self.residuals.iter().position(|residual| residual.expr == *leaf);
                let at = at.unwrap_or_else(|| {
                    self.residuals.push(Residual::new(leaf));
                    self.residuals.len() - 1
                });
                Part::Residual(at)
            }
        }
    }
}

/// A test in words.
fn words(column: &str, test: &Test) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match test {
        Test::Present => format!("{column} has a value"),
        Test::Equal(text) => format!("{column} = {}", quoted(text)),
        Test::EqualFolded(text) => format!("{column} = {}, without case", quoted(text)),
        Test::Int(number) => format!("{column} = {number}"),
        Test::Range(least, most) if least > most => format!("{column} is beyond all numbers"),
        Test::Range(i64::MIN, most) => format!("{column} <= {most}"),
        Test::Range(least, i64::MAX) => format!("{column} >= {least}"),
        Test::Range(least, most) => format!("{column} is from {least} to {most}"),
        Test::Set => format!("{column} is true"),
        Test::Address => format!("{column} is an address"),
        Test::Network(network) => format!("{column} is in {network}"),
        Test::Regex(pattern) => match pattern.strip_prefix("(?i)") {
            Some(pattern) => format!("{column} ~* {}", quoted(pattern)),
            None => format!("{column} ~ {}", quoted(pattern)),
        },
        Test::Expression(expr) => sql(expr),
        Test::Like { pattern, cased } => {
            let case = if *cased { "" } else { ", without case" };
            let glob = Glob::read(pattern);
            let said = glob.as_ref().and_then(|glob| match (glob.begins, glob.ends, glob.parts.as_slice()) {
                (false, false, [part]) => Some(format!("contains {}", quoted(part))),
                (true, false, [part]) => Some(format!("begins with {}", quoted(part))),
                (false, true, [part]) => Some(format!("ends with {}", quoted(part))),
                (true, true, [first, last]) => {
                    Some(format!("begins with {} and ends with {}", quoted(first), quoted(last)))
                }
                _ => None,
            });
            match said {
                Some(said) => format!("{column} {said}{case}"),
                None => format!("{column} is like {}{case}", quoted(pattern)),
            }
        }
    }
}

/// An expression as somebody could write it.
fn sql(expr: &Expr) -> String {
    let written = Unparser::new(&AsWritten).with_pretty(true).expr_to_sql(expr);
    written.map_or_else(|_| expr.human_display().to_string(), |sql| sql.to_string())
}

/// SQL as rules have it: names are quoted where they must be.
struct AsWritten;

impl Dialect for AsWritten {
    fn identifier_quote_style(&self, name: &str) -> Option<char> {
        let plain =
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || column_path(name).is_some();
        (!plain).then_some('"')
    }
}

#[cfg(test)]
#[path = "explain/tests.rs"]
mod tests;
