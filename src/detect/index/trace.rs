//! A rule on one row: which of its atoms hold, and why it selects the row or does not.
//!
//! Owns asking DataFusion for each test by itself, as the index never is the authority, and finding the parts that
//! decide. Called by `noroshi explain`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::{Array, RecordBatch};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::{Between, Expr, Like, Operator, binary_expr};
use serde_json::{Map, Value};

use super::explain::{Atom, Explained, Part};
use super::formula::Test;
use super::literal::escaped;
use crate::detect::run;
use crate::rules::{cidr_match, physical};

/// What can be true or false of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// An atom, by its place.
    Atom(usize),
    /// A residual, by its place.
    Residual(usize),
}

/// A rule on one row.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Of each atom, whether it holds.
    pub atoms: Vec<bool>,
    /// The values of the columns that the rule reads; timestamps in milliseconds.
    pub values: Map<String, Value>,
    /// Of each residual, what DataFusion says; none when that is NULL.
    pub residuals: Vec<Option<bool>>,
    /// Whether the rule selects the row.
    pub fired: bool,
    /// The fewest parts that decide, in the order of the condition: those that are enough for it to fire, or those that
    /// would have to be otherwise.
    pub decisive: Vec<Leaf>,
}

/// The rule, or a part of it, could not be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{what}` could not be evaluated: {why}")]
pub struct TraceError {
    what: String,
    why: String,
}

impl Explained {
    /// What the rule says of the first row of a batch, which has at least the columns that the rule reads.
    pub fn trace(&self, batch: &RecordBatch) -> Result<Trace, TraceError> {
        let row = batch.slice(0, batch.num_rows().min(1));
        let ask = |what: &str, expr: &Expr| {
            said(expr, &row).map_err(|why| TraceError { what: what.to_owned(), why })
        };
        let mut trace = Trace {
            atoms: Vec::with_capacity(self.atoms.len()),
            values: if row.num_rows() == 0 { Map::new() } else { run::object(&row, 0) },
            residuals: Vec::with_capacity(self.residuals.len()),
            fired: false,
            decisive: Vec::new(),
        };
        for atom in &self.atoms {
            trace.atoms.push(ask(&atom.text, &asked(atom))? == Some(true));
        }
        for residual in &self.residuals {
            trace.residuals.push(ask(&residual.text, &residual.expr)?);
        }
        trace.fired = ask(&self.rule.meta.id, self.rule.condition())? == Some(true);
        trace.decisive = trace.deciding(&self.condition);
        Ok(trace)
    }
}

impl Trace {
    /// The value of a column.
    pub fn value(&self, column: &str) -> &Value {
        self.values.get(column).unwrap_or(&Value::Null)
    }

    /// What the index knows of a part: true, false, or left open.
    pub fn known(&self, part: &Part) -> Option<bool> {
        match part {
            Part::Constant(truth) => Some(*truth),
            Part::Atom(at) => Some(self.holds(Leaf::Atom(*at))),
            Part::Residual(_) => None,
            Part::Not(inner) => self.known(inner).map(|truth| !truth),
            Part::All(parts) | Part::Any(parts) => {
                let decides = matches!(part, Part::Any(_));
                let mut known = Some(!decides);
                for part in parts {
                    match self.known(part) {
                        Some(truth) if truth == decides => return Some(decides),
                        Some(_) => {}
                        None => known = None,
                    }
                }
                known
            }
        }
    }

    /// Whether a part is true, with what DataFusion says of the residuals.
    pub fn truth(&self, part: &Part) -> bool {
        match part {
            Part::Constant(truth) => *truth,
            Part::Atom(at) => self.holds(Leaf::Atom(*at)),
            Part::Residual(at) => self.holds(Leaf::Residual(*at)),
            Part::Not(inner) => !self.truth(inner),
            Part::All(parts) => parts.iter().all(|part| self.truth(part)),
            Part::Any(parts) => parts.iter().any(|part| self.truth(part)),
        }
    }

    /// Whether a leaf is true.
    pub fn holds(&self, leaf: Leaf) -> bool {
        match leaf {
            Leaf::Atom(at) => self.atoms.get(at).copied().unwrap_or(false),
            Leaf::Residual(at) => self.residuals.get(at).copied().flatten() == Some(true),
        }
    }

    fn deciding(&self, condition: &Part) -> Vec<Leaf> {
        let truth = self.truth(condition);
        let leaves = if truth { self.support(condition, true) } else { self.change(condition, true) };
        let mut once = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            if !once.contains(&leaf) {
                once.push(leaf);
            }
        }
        once
    }

    /// The fewest leaves that are enough for a part to be `wanted`, which it is.
    fn support(&self, part: &Part, wanted: bool) -> Vec<Leaf> {
        let (parts, each) = match part {
            Part::Constant(_) => return Vec::new(),
            Part::Atom(at) => return vec![Leaf::Atom(*at)],
            Part::Residual(at) => return vec![Leaf::Residual(*at)],
            Part::Not(inner) => return self.support(inner, !wanted),
            Part::All(parts) => (parts, wanted),
            Part::Any(parts) => (parts, !wanted),
        };
        let so =
            parts.iter().filter(|part| self.truth(part) == wanted).map(|part| self.support(part, wanted));
        if each { so.flatten().collect() } else { so.min_by_key(Vec::len).unwrap_or_default() }
    }

    /// The fewest leaves that would have to be otherwise for a part to be `wanted`, which it is not.
    fn change(&self, part: &Part, wanted: bool) -> Vec<Leaf> {
        let (parts, each) = match part {
            Part::Constant(_) => return Vec::new(),
            Part::Atom(at) => return vec![Leaf::Atom(*at)],
            Part::Residual(at) => return vec![Leaf::Residual(*at)],
            Part::Not(inner) => return self.change(inner, !wanted),
            Part::All(parts) => (parts, wanted),
            Part::Any(parts) => (parts, !wanted),
        };
        let so = parts.iter().filter(|part| self.truth(part) != wanted).map(|part| self.change(part, wanted));
        if each { so.flatten().collect() } else { so.min_by_key(Vec::len).unwrap_or_default() }
    }
}

/// What DataFusion says of an expression on the one row of a batch.
fn said(expr: &Expr, row: &RecordBatch) -> Result<Option<bool>, String> {
    let ask = || {
        let answer = physical(expr, &row.schema())?.evaluate(row)?.into_array(row.num_rows())?;
        if answer.is_empty() || answer.is_null(0) {
            return Ok(None);
        }
        Ok(Some(as_boolean_array(&answer)?.value(0)))
    };
    match catch_unwind(AssertUnwindSafe(ask)) {
        Ok(said) => said.map_err(|error: datafusion::common::DataFusionError| error.to_string()),
        Err(_) => Err("it panicked".to_owned()),
    }
}

/// The expression that an atom is.
fn asked(atom: &Atom) -> Expr {
    let column = || Expr::Column(Column::from_name(&atom.column));
    let text = |text: &str| Expr::Literal(ScalarValue::Utf8View(Some(text.to_owned())), None);
    let int = |number: i64| Expr::Literal(ScalarValue::Int64(Some(number)), None);
    let like = |pattern: &str, cased: bool| {
        Expr::Like(Like {
            negated: false,
            expr: Box::new(column()),
            pattern: Box::new(text(pattern)),
            escape_char: None,
            case_insensitive: !cased,
        })
    };
    match &atom.test {
        Test::Present => Expr::IsNotNull(Box::new(column())),
        Test::Equal(value) => binary_expr(column(), Operator::Eq, text(value)),
        Test::EqualFolded(value) => like(&escaped(value), false),
        Test::Like { pattern, cased } => like(pattern, *cased),
        Test::Regex(pattern) => binary_expr(column(), Operator::RegexMatch, text(pattern)),
        Test::Int(number) => binary_expr(column(), Operator::Eq, int(*number)),
        Test::Range(least, most) => Expr::Between(Between {
            expr: Box::new(column()),
            negated: false,
            low: Box::new(int(*least)),
            high: Box::new(int(*most)),
        }),
        Test::Set => column(),
        Test::Address => Expr::IsNotNull(Box::new(cidr_match(column(), text("::/0")))),
        Test::Network(network) => cidr_match(column(), text(&network.to_string())),
        Test::Expression(expr) => expr.as_ref().clone(),
    }
}
