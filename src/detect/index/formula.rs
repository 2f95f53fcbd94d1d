//! From a rule's condition to a formula over atoms.
//!
//! Owns what an atom is, that equal atoms of all rules are one, and the reading of SQL's three truth values as two: a
//! formula says where a condition is *true*. What is neither a test of one column nor joined from such tests is `Rest`,
//! which DataFusion judges on the rows that are left. Called by the parent; what holds of a value is `column`'s.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Like, Operator};

use super::literal::{Glob, escaped, is_large, required};
use crate::rules::{Network, TEXT_COLUMN, casefold, is_heavy};

/// A condition over atoms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Formula {
    /// Whatever the row.
    Constant(bool),
    /// The atom holds.
    Atom(u32),
    /// It does not hold.
    Not(Box<Formula>),
    /// All of them.
    All(Box<[Formula]>),
    /// One of them.
    Any(Box<[Formula]>),
    /// Not known without DataFusion.
    Rest,
}

/// What is known of a formula on a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    /// It does not hold.
    No,
    /// DataFusion must say.
    Maybe,
    /// It holds.
    Yes,
}

impl Formula {
    /// What is known where this is known of the atoms.
    pub(super) fn on(&self, holds: &impl Fn(u32) -> Truth) -> Truth {
        match self {
            Self::Constant(truth) => {
                if *truth {
                    Truth::Yes
                } else {
                    Truth::No
                }
            }
            Self::Atom(atom) => holds(*atom),
            Self::Not(inner) => match inner.on(holds) {
                Truth::No => Truth::Yes,
                Truth::Maybe => Truth::Maybe,
                Truth::Yes => Truth::No,
            },
            Self::All(parts) => {
                let mut least = Truth::Yes;
                for part in parts {
                    least = least.min(part.on(holds));
                    if least == Truth::No {
                        break;
                    }
                }
                least
            }
            Self::Any(parts) => {
                let mut most = Truth::No;
                for part in parts {
                    most = most.max(part.on(holds));
                    if most == Truth::Yes {
                        break;
                    }
                }
                most
            }
            Self::Rest => Truth::Maybe,
        }
    }

    /// Hands on each atom, as often as it stands there.
    pub(super) fn atoms(&self, take: &mut impl FnMut(u32)) {
        match self {
            Self::Atom(atom) => take(*atom),
            Self::Not(inner) => inner.atoms(take),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.atoms(take)),
            Self::Constant(_) | Self::Rest => {}
        }
    }

    /// Hands on the atoms that still matter where this is known of some.
    pub(super) fn undecided(&self, known: &impl Fn(u32) -> Truth, take: &mut impl FnMut(u32)) {
        if self.on(known) != Truth::Maybe {
            return;
        }
        match self {
            Self::Atom(atom) => take(*atom),
            Self::Not(inner) => inner.undecided(known, take),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.undecided(known, take)),
            Self::Constant(_) | Self::Rest => {}
        }
    }

    fn not(self) -> Self {
        match self {
            Self::Constant(truth) => Self::Constant(!truth),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Constant(true) => {}
                Self::Constant(false) => return Self::Constant(false),
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Constant(true),
            1 => flat.swap_remove(0),
            _ => Self::All(flat.into()),
        }
    }

    fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Constant(false) => {}
                Self::Constant(true) => return Self::Constant(true),
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Self::Constant(false),
            1 => flat.swap_remove(0),
            _ => Self::Any(flat.into()),
        }
    }
}

/// A test of the value of one column; false where the value is missing, but for `Expression`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Test {
    /// There is a value.
    Present,
    /// The text is this one.
    Equal(String),
    /// The text without case is this one, which is folded.
    EqualFolded(String),
    /// The text matches a pattern of LIKE; without case the pattern is folded.
    Like {
        /// The pattern.
        pattern: String,
        /// With regard to case.
        cased: bool,
    },
    /// A part of the text matches a regular expression.
    Regex(String),
    /// The number is this one.
    Int(i64),
    /// The number is one of these, both ends among them.
    Range(i64, i64),
    /// The flag is set.
    Set,
    /// The text is an IP address.
    Address,
    /// The text is an IP address in this network.
    Network(Network),
    /// Any expression over the column, true where it is true; it may be so without a value.
    Expression(Box<Expr>),
}

/// The atoms of all rules of a table.
#[derive(Debug, Default)]
pub(super) struct Atoms {
    numbers: HashMap<(usize, Test), u32>,
    /// Column and test of each.
    pub(super) all: Vec<(usize, Test)>,
}

impl Atoms {
    fn atom(&mut self, column: usize, test: Test) -> Formula {
        let next = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let all = &mut self.all;
        let number = *self.numbers.entry((column, test)).or_insert_with_key(|key| {
            all.push(key.clone());
            next
        });
        Formula::Atom(number)
    }

    /// Where a condition over columns of this schema is true.
    pub(super) fn formula(&mut self, condition: &Expr, schema: &Schema) -> Formula {
        self.truth(condition, true, schema)
    }

    /// Where the expression is true, or where it is false; it may be neither.
    fn truth(&mut self, expr: &Expr, wanted: bool, schema: &Schema) -> Formula {
        match expr {
            Expr::Literal(ScalarValue::Boolean(Some(value)), _) => Formula::Constant(*value == wanted),
            Expr::Literal(value, _) if value.is_null() => Formula::Constant(false),
            Expr::Alias(alias) => self.truth(&alias.expr, wanted, schema),
            Expr::Not(inner) => self.truth(inner, !wanted, schema),
            Expr::BinaryExpr(binary) if matches!(binary.op, Operator::And | Operator::Or) => {
                let parts = split_binary(expr, binary.op)
                    .into_iter()
                    .map(|part| self.truth(part, wanted, schema))
                    .collect();
                if (binary.op == Operator::And) == wanted { Formula::all(parts) } else { Formula::any(parts) }
            }
            Expr::IsTrue(inner) => self.sided(inner, true, wanted, schema),
            Expr::IsNotTrue(inner) => self.sided(inner, true, !wanted, schema),
            Expr::IsFalse(inner) => self.sided(inner, false, wanted, schema),
            Expr::IsNotFalse(inner) => self.sided(inner, false, !wanted, schema),
            Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => {
                let known = vec![self.truth(inner, true, schema), self.truth(inner, false, schema)];
                let known = Formula::any(known);
                if matches!(expr, Expr::IsNotUnknown(_)) == wanted { known } else { known.not() }
            }
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                let present = matches!(expr, Expr::IsNotNull(_)) == wanted;
                match column(inner, schema) {
                    Some((at, _)) if present => self.atom(at, Test::Present),
                    Some((at, _)) => self.atom(at, Test::Present).not(),
                    None => self.expression(expr, wanted, schema),
                }
            }
            _ => self.leaf(expr, wanted, schema),
        }
    }

    /// Where it is known that the expression is `side`, or where that is not known.
    fn sided(&mut self, expr: &Expr, side: bool, wanted: bool, schema: &Schema) -> Formula {
        let formula = self.truth(expr, side, schema);
        if wanted { formula } else { formula.not() }
    }

    fn leaf(&mut self, expr: &Expr, wanted: bool, schema: &Schema) -> Formula {
        let Some(Tests { at, tests, negated, known }) = tests(expr, schema) else {
            return self.expression(expr, wanted, schema);
        };
        if let [Test::Regex(pattern)] = tests.as_slice()
            && is_large(pattern)
        {
            return self.large(at, pattern, wanted != negated);
        }
        let holds = Formula::any(tests.into_iter().map(|test| self.atom(at, test)).collect());
        if wanted != negated {
            return holds;
        }
        let known = self.atom(at, known);
        Formula::all(vec![known, holds.not()])
    }

    /// Where a regular expression matches, or does not, that can take long by itself: its rule alone answers for it, under its
    /// guard, on values that have one of its literals.
    fn large(&mut self, at: usize, pattern: &str, wanted: bool) -> Formula {
        let like = |literal: &String| Test::Like { pattern: format!("%{}%", escaped(literal)), cased: false };
        let literals = required(pattern).map(|literals| {
            Formula::any(literals.iter().map(|literal| self.atom(at, like(literal))).collect())
        });
        match (literals, wanted) {
            (None, true) => Formula::Rest,
            (Some(literals), true) => Formula::all(vec![literals, Formula::Rest]),
            (literals, false) => {
                let present = self.atom(at, Test::Present);
                let without = literals.map(|literals| Formula::any(vec![literals.not(), Formula::Rest]));
                Formula::all(vec![present, without.unwrap_or(Formula::Rest)])
            }
        }
    }

    /// What has no form of its own: an atom when it looks at one column.
    fn expression(&mut self, expr: &Expr, wanted: bool, schema: &Schema) -> Formula {
        // What a rule alone must answer for is evaluated for it alone, under its guard.
        if is_heavy(expr) {
            return Formula::Rest;
        }
        let columns = expr.column_refs();
        let mut columns = columns.iter();
        let (Some(only), None) = (columns.next(), columns.next()) else { return Formula::Rest };
        let Ok(at) = schema.index_of(&only.name) else { return Formula::Rest };
        // All values of an event come once: what is said of them would never be used again.
        if only.name == TEXT_COLUMN {
            return Formula::Rest;
        }
        let expr = if wanted { expr.clone() } else { Expr::Not(Box::new(expr.clone())) };
        self.atom(at, Test::Expression(Box::new(expr)))
    }
}

fn column<'s>(expr: &Expr, schema: &'s Schema) -> Option<(usize, &'s DataType)> {
    let Expr::Column(column) = expr else { return None };
    let (at, field) = schema.column_with_name(&column.name)?;
    Some((at, field.data_type()))
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// What an expression says of one column.
struct Tests {
    at: usize,
    /// One of them must hold.
    tests: Vec<Test>,
    /// The expression is the contrary.
    negated: bool,
    /// Where this does not hold it is neither true nor false.
    known: Test,
}

/// The tests that an expression is; `None` where it is not of that kind.
fn tests(expr: &Expr, schema: &Schema) -> Option<Tests> {
    let of = |at, tests, negated| Some(Tests { at, tests, negated, known: Test::Present });
    match expr {
        Expr::Column(_) => {
            let (at, kind) = column(expr, schema)?;
            (*kind == DataType::Boolean).then_some(())?;
            of(at, vec![Test::Set], false)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (side, other) =
                if matches!(left.as_ref(), Expr::Column(_)) { (left, right) } else { (right, left) };
            let (at, kind) = column(side, schema)?;
            match op {
                Operator::Eq | Operator::NotEq => of(at, vec![equal(kind, other)?], *op == Operator::NotEq),
                Operator::RegexMatch
                | Operator::RegexNotMatch
                | Operator::RegexIMatch
                | Operator::RegexNotIMatch
                    if std::ptr::eq(side, left) =>
                {
                    let pattern = text(other).filter(|_| *kind == DataType::Utf8View)?;
                    // As DataFusion says it to the same crate.
                    let flag = match op {
                        Operator::RegexIMatch | Operator::RegexNotIMatch => "(?i)",
                        _ => "",
                    };
                    let negated = matches!(op, Operator::RegexNotMatch | Operator::RegexNotIMatch);
                    of(at, vec![Test::Regex(format!("{flag}{pattern}"))], negated)
                }
                _ => {
                    let op = if std::ptr::eq(side, left) { *op } else { op.swap()? };
                    of(at, vec![range(kind, op, other)?], false)
                }
            }
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let (at, kind) = column(expr, schema)?;
            match (range(kind, Operator::GtEq, low)?, range(kind, Operator::LtEq, high)?) {
                (Test::Range(least, _), Test::Range(_, most)) => {
                    of(at, vec![Test::Range(least, most)], *negated)
                }
                _ => None,
            }
        }
        Expr::InList(InList { expr, list, negated }) => {
            let (at, kind) = column(expr, schema)?;
            let tests: Option<Vec<Test>> = list.iter().map(|item| equal(kind, item)).collect();
            of(at, tests?, *negated)
        }
        Expr::Like(Like { negated, expr, pattern, escape_char: None, case_insensitive }) => {
            let (at, kind) = column(expr, schema)?;
            let pattern = text(pattern).filter(|_| *kind == DataType::Utf8View)?;
            // Without wildcards, but for escaped ones, it is an equality.
            let plain = Glob::read(pattern).filter(|glob| glob.begins && glob.ends && glob.parts.len() < 2);
            let test = match (case_insensitive, plain.map(|glob| glob.parts.concat())) {
                (true, Some(text)) => Test::EqualFolded(casefold(&text)),
                (true, None) => Test::Like { pattern: casefold(pattern), cased: false },
                (false, Some(text)) => Test::Equal(text),
                (false, None) => Test::Like { pattern: pattern.to_owned(), cased: true },
            };
            of(at, vec![test], *negated)
        }
        Expr::ScalarFunction(call) if call.func.name() == "cidr_match" => {
            let [address, network] = call.args.as_slice() else { return None };
            let (at, kind) = column(address, schema)?;
            let network = text(network).filter(|_| *kind == DataType::Utf8View)?;
            let tests = vec![Test::Network(Network::parse(network).ok()?)];
            Some(Tests { at, tests, negated: false, known: Test::Address })
        }
        _ => None,
    }
}

/// The numbers that a comparison with a literal leaves.
fn range(kind: &DataType, op: Operator, literal: &Expr) -> Option<Test> {
    let (DataType::Int64, Expr::Literal(ScalarValue::Int64(Some(number)), _)) = (kind, literal) else {
        return None;
    };
    // The range without numbers, where there is no smaller or larger one.
    let none = Test::Range(i64::MAX, i64::MIN);
    Some(match op {
        Operator::Lt => number.checked_sub(1).map_or(none, |most| Test::Range(i64::MIN, most)),
        Operator::LtEq => Test::Range(i64::MIN, *number),
        Operator::Gt => number.checked_add(1).map_or(none, |least| Test::Range(least, i64::MAX)),
        Operator::GtEq => Test::Range(*number, i64::MAX),
        _ => return None,
    })
}

/// Equality with a literal; `None` for NULL, with which nothing is equal or different.
fn equal(kind: &DataType, literal: &Expr) -> Option<Test> {
    match (kind, literal) {
        (DataType::Utf8View, literal) => Some(Test::Equal(text(literal)?.to_owned())),
        (DataType::Int64, Expr::Literal(ScalarValue::Int64(Some(number)), _)) => Some(Test::Int(*number)),
        _ => None,
    }
}
