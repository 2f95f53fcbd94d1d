//! From a tree of conditions to a DataFusion expression, never through SQL text.
//!
//! Owns how each test is asked of a column of each type. What comes out is settled (coerced, simplified, verified) by
//! `rules::plan` as the expressions of SQL rules are, and printed by `text`. Called by `load`.
//!
//! A test of a missing value is NULL here, which every AND and OR passes on as "does not hold"; where it would make a
//! difference (`Not`, `AtLeast`) the expression asks for `IS NOT TRUE`.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column as ColumnName, ScalarValue};
use datafusion::logical_expr::expr::{Like, ScalarFunction};
use datafusion::logical_expr::{Case, Expr, Operator, binary_expr, cast, try_cast};

use super::tree::{Column, Comparison, Condition, Part, Pattern, Place, Test, TimePart};
use crate::normalise::projection::{path_column, path_fault};
use crate::rules::SqlLimits;
use crate::rules::functions::{self, Network};
use crate::rules::plan::PlannedTable;

/// The dashes that [`Part::Dash`] stands for, as a class of a regular expression.
const DASHES: &str = "[-/–—―]";
/// Whole numbers up to here are the same as a `double`.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// The column of all values of the event, for keywords.
pub(crate) const TEXT_COLUMN: &str = "event_text";

/// Why a tree has no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::rules) enum Fault {
    /// A column that the table does not have.
    #[error("the table `{table}` has no column `{column}`")]
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// More conditions inside each other than a rule may have.
    #[error("more than {0} conditions stand inside each other")]
    Depth(usize),
    /// More tests than a rule may have.
    #[error("the rule has more than {0} conditions")]
    Many(usize),
    /// A value that is too long.
    #[error("a value of {bytes} bytes, more than {max}")]
    Long {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        max: usize,
    },
    /// A field that cannot be read by its path.
    #[error("the field `{path}` cannot be read: {why}")]
    Path {
        /// The field.
        path: String,
        /// Why.
        why: String,
    },
    /// What should be a network is none.
    #[error("{0}")]
    Network(String),
    /// A function that does not exist here: a fault of ours.
    #[error("there is no function `{0}`")]
    Function(&'static str),
}

/// The expression of a condition on rows of a table.
pub(in crate::rules) fn expression(
    condition: &Condition,
    table: &PlannedTable,
    limits: &SqlLimits,
) -> Result<Expr, Fault> {
    Builder { table, limits, tests: 0 }.condition(condition, 0)
}

/// A column by itself: what an alert shows of it.
pub(in crate::rules) fn column(column: &Column, table: &PlannedTable) -> Result<Expr, Fault> {
    Ok(value(column, table)?.expr)
}

/// AND of these, as a tree of logarithmic depth; true without any.
pub(in crate::rules) fn all(parts: Vec<Expr>) -> Expr {
    balanced(Operator::And, parts).unwrap_or_else(|| truth(true))
}

/// OR of these, in the same way; false without any.
pub(in crate::rules) fn some(parts: Vec<Expr>) -> Expr {
    balanced(Operator::Or, parts).unwrap_or_else(|| truth(false))
}

/// How a value is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// A text, or a JSON list of which one item is enough.
    List,
    Int,
    Double,
    Boolean,
    Time,
}

struct Value {
    expr: Expr,
    kind: Kind,
}

impl Value {
    fn text(self) -> Expr {
        match self.kind {
            Kind::Text | Kind::List => self.expr,
            _ => cast(self.expr, DataType::Utf8View),
        }
    }
}

fn value(column: &Column, table: &PlannedTable) -> Result<Value, Fault> {
    let named = |name: String, kind| Value { expr: Expr::Column(ColumnName::from_name(name)), kind };
    match column {
        Column::Path(path) => match path_fault(path) {
            None => Ok(named(path_column(path), Kind::List)),
            Some(why) => Err(Fault::Path { path: path.clone(), why }),
        },
        Column::Text => Ok(named(TEXT_COLUMN.to_owned(), Kind::Text)),
        Column::Named(name) => {
            let unknown = || Fault::Column { table: table.name().to_owned(), column: name.clone() };
            let name = table.column(name).ok_or_else(unknown)?;
            let field = table.schema.field_with_unqualified_name(name).map_err(|_| unknown())?;
            let kind = match field.data_type() {
                DataType::Boolean => Kind::Boolean,
                DataType::Timestamp(..) => Kind::Time,
                kind if kind.is_integer() => Kind::Int,
                kind if kind.is_floating() => Kind::Double,
                _ if table.is_list(name) => Kind::List,
                _ => Kind::Text,
            };
            Ok(named(name.to_owned(), kind))
        }
    }
}

struct Builder<'a> {
    table: &'a PlannedTable,
    limits: &'a SqlLimits,
    tests: usize,
}

impl Builder<'_> {
    fn condition(&mut self, condition: &Condition, depth: usize) -> Result<Expr, Fault> {
        if depth > self.limits.depth_max {
            return Err(Fault::Depth(self.limits.depth_max));
        }
        match condition {
            Condition::All(_) => self.chain(Operator::And, condition, depth),
            Condition::Any(_) => self.chain(Operator::Or, condition, depth),
            Condition::AtLeast(count, parts) => self.at_least(*count, parts, depth),
            Condition::Not(inner) => match inner.as_ref() {
                Condition::Test(column, Test::Null) => self.test(column, &Test::Present),
                Condition::Test(column, Test::Present) => self.test(column, &Test::Null),
                inner => Ok(Expr::IsNotTrue(Box::new(self.condition(inner, depth + 1)?))),
            },
            Condition::Test(column, test) => self.test(column, test),
        }
    }

    /// All parts of a chain, those of chains of the same kind in it included.
    fn chain(&mut self, op: Operator, chain: &Condition, depth: usize) -> Result<Expr, Fault> {
        let mut operands = Vec::new();
        let mut open = vec![chain];
        while let Some(condition) = open.pop() {
            match (op, condition) {
                (Operator::And, Condition::All(parts)) | (Operator::Or, Condition::Any(parts)) => {
                    open.extend(parts.iter().rev());
                }
                (_, other) => operands.push(self.condition(other, depth + 1)?),
            }
        }
        Ok(balanced(op, operands).unwrap_or_else(|| truth(op == Operator::And)))
    }

    fn at_least(&mut self, count: u64, parts: &[Condition], depth: usize) -> Result<Expr, Fault> {
        let many = parts.len() as u64;
        let mut operands = Vec::with_capacity(parts.len());
        for part in parts {
            operands.push(self.condition(part, depth + 1)?);
        }
        match count {
            0 => Ok(truth(true)),
            _ if count > many => Ok(truth(false)),
            1 => Ok(balanced(Operator::Or, operands).unwrap_or_else(|| truth(false))),
            _ if count == many => Ok(balanced(Operator::And, operands).unwrap_or_else(|| truth(true))),
            _ => {
                let counted = operands.into_iter().map(|holds| {
                    let when = (Box::new(holds), Box::new(whole(1)));
                    Expr::Case(Case {
                        expr: None,
                        when_then_expr: vec![when],
                        else_expr: Some(Box::new(whole(0))),
                    })
                });
                let sum = balanced(Operator::Plus, counted.collect()).unwrap_or_else(|| whole(0));
                Ok(binary_expr(sum, Operator::GtEq, whole(i64::try_from(count).unwrap_or(i64::MAX))))
            }
        }
    }

    fn test(&mut self, column: &Column, test: &Test) -> Result<Expr, Fault> {
        self.tests += 1;
        if self.tests > self.limits.expressions_max {
            return Err(Fault::Many(self.limits.expressions_max));
        }
        let value = value(column, self.table)?;
        match test {
            Test::Null => Ok(Expr::IsNull(Box::new(value.expr))),
            Test::Present => Ok(Expr::IsNotNull(Box::new(value.expr))),
            Test::Like { pattern, cased } => self.like(value, pattern, *cased),
            Test::Regex { pattern } => self.regex(value, pattern),
            Test::Cidr(network) => {
                Network::parse(network).map_err(Fault::Network)?;
                let name = if value.kind == Kind::List { "any_cidr_match" } else { "cidr_match" };
                call(name, vec![value.text(), text(network)])
            }
            Test::Number(comparison, number) => number_test(value, *comparison, *number),
            Test::Flag(flag) => flag_test(value, *flag),
            Test::Same { other, place, cased } => {
                self.same(value, self::value(other, self.table)?, *place, *cased)
            }
            Test::TimePart(part, number) => {
                let name = match part {
                    TimePart::Minute => "minute",
                    TimePart::Hour => "hour",
                    TimePart::Day => "day",
                    TimePart::Week => "week",
                    TimePart::Month => "month",
                    TimePart::Year => "year",
                };
                let name = Expr::Literal(ScalarValue::Utf8(Some(name.to_owned())), None);
                let time = match value.kind {
                    Kind::Time => value.expr,
                    Kind::List => return call("any_date_part", vec![name, value.expr, whole(*number)]),
                    _ => try_cast(value.text(), DataType::Timestamp(TimeUnit::Microsecond, None)),
                };
                Ok(binary_expr(call("date_part", vec![name, time])?, Operator::Eq, whole(*number)))
            }
        }
    }

    fn bounded(&self, literal: &str, max: usize) -> Result<(), Fault> {
        if literal.len() > max {
            return Err(Fault::Long { bytes: literal.len(), max });
        }
        Ok(())
    }

    fn like(&mut self, value: Value, pattern: &Pattern, cased: bool) -> Result<Expr, Fault> {
        let parts = pattern.0.as_slice();
        if !parts.is_empty() && parts.iter().all(|part| *part == Part::Any) {
            return Ok(Expr::IsNotNull(Box::new(value.expr)));
        }
        if parts.contains(&Part::Dash) {
            return self.regex(value, &dashed(parts, cased));
        }
        if let (Kind::Int, [Part::Literal(literal)]) = (value.kind, parts)
            && let Ok(number) = literal.parse::<i64>()
            // The smallest number cannot be written in SQL.
            && number != i64::MIN
            && number.to_string() == *literal
        {
            return Ok(binary_expr(value.expr, Operator::Eq, whole(number)));
        }
        let like = like(parts);
        self.bounded(&like, self.limits.literal_bytes_max)?;
        if value.kind == Kind::List {
            return call(if cased { "any_like" } else { "any_ilike" }, vec![value.expr, text(&like)]);
        }
        match parts {
            [] if cased => Ok(binary_expr(value.text(), Operator::Eq, text(""))),
            [Part::Literal(literal)] if cased => Ok(binary_expr(value.text(), Operator::Eq, text(literal))),
            _ => Ok(Expr::Like(Like {
                negated: false,
                expr: Box::new(value.text()),
                pattern: Box::new(text(&like)),
                escape_char: None,
                case_insensitive: !cased,
            })),
        }
    }

    fn regex(&self, value: Value, pattern: &str) -> Result<Expr, Fault> {
        self.bounded(pattern, self.limits.regex_bytes_max)?;
        if value.kind == Kind::List {
            return call("any_regexp_like", vec![value.expr, text(pattern)]);
        }
        Ok(binary_expr(value.text(), Operator::RegexMatch, text(&unchanged(pattern))))
    }

    fn same(&self, value: Value, other: Value, place: Place, cased: bool) -> Result<Expr, Fault> {
        if place == Place::Whole && value.kind == other.kind && !matches!(value.kind, Kind::Text | Kind::List)
        {
            return Ok(binary_expr(value.expr, Operator::Eq, other.expr));
        }
        let lists = value.kind == Kind::List || other.kind == Kind::List;
        let shown = |value: Value| match cased {
            true => Ok(value.text()),
            false => call("casefold", vec![value.text()]),
        };
        let (value, other) = (shown(value)?, shown(other)?);
        let how = match place {
            Place::Whole => "equals",
            Place::Within => "contains",
            Place::Start => "starts_with",
            Place::End => "ends_with",
        };
        match place {
            _ if lists => call("any_match", vec![value, other, text(how)]),
            Place::Whole => Ok(binary_expr(value, Operator::Eq, other)),
            // The functions have the same names.
            Place::Within | Place::Start | Place::End => call(how, vec![value, other]),
        }
    }
}

/// A number: of a column of numbers the value, of a text what it reads as. A whole number is a text's decimal digits,
/// as events have it (`4625` and `"4625"`); that is what an index can look up.
fn number_test(value: Value, comparison: Comparison, number: f64) -> Result<Expr, Fault> {
    let op = match comparison {
        Comparison::Equal => Operator::Eq,
        Comparison::Less => Operator::Lt,
        Comparison::LessOrEqual => Operator::LtEq,
        Comparison::Greater => Operator::Gt,
        Comparison::GreaterOrEqual => Operator::GtEq,
    };
    #[expect(clippy::cast_possible_truncation, reason = "within the bound it is whole and fits")]
    let integer = (number.fract() == 0.0 && number.abs() <= WHOLE_MAX).then_some(number as i64);
    let double = Expr::Literal(ScalarValue::Float64(Some(number)), None);
    match (value.kind, integer) {
        (Kind::Int, Some(integer)) => Ok(binary_expr(value.expr, op, whole(integer))),
        (Kind::Int | Kind::Boolean, _) => Ok(binary_expr(cast(value.expr, DataType::Float64), op, double)),
        (Kind::Double, _) => Ok(binary_expr(value.expr, op, double)),
        (Kind::Text, Some(integer)) if op == Operator::Eq => {
            Ok(binary_expr(value.expr, op, text(&integer.to_string())))
        }
        (Kind::List, Some(integer)) if op == Operator::Eq => {
            call("any_like", vec![value.expr, text(&integer.to_string())])
        }
        (Kind::List, _) => {
            let how = match comparison {
                Comparison::Equal => "=",
                Comparison::Less => "<",
                Comparison::LessOrEqual => "<=",
                Comparison::Greater => ">",
                Comparison::GreaterOrEqual => ">=",
            };
            call("any_compare", vec![value.expr, text(how), double])
        }
        (Kind::Text | Kind::Time, _) => {
            Ok(binary_expr(try_cast(value.text(), DataType::Float64), op, double))
        }
    }
}

fn flag_test(value: Value, flag: bool) -> Result<Expr, Fault> {
    let word = text(if flag { "true" } else { "false" });
    match value.kind {
        Kind::Boolean => Ok(binary_expr(value.expr, Operator::Eq, truth(flag))),
        Kind::Int => Ok(binary_expr(value.expr, Operator::Eq, whole(i64::from(flag)))),
        Kind::List => call("any_ilike", vec![value.expr, word]),
        Kind::Text | Kind::Double | Kind::Time => Ok(Expr::Like(Like {
            negated: false,
            expr: Box::new(value.text()),
            pattern: Box::new(word),
            escape_char: None,
            case_insensitive: true,
        })),
    }
}

/// A pattern as LIKE writes it: a backslash before what would be a wildcard, and before a backslash.
pub(super) fn like(parts: &[Part]) -> String {
    let mut like = String::new();
    for part in parts {
        match part {
            Part::Literal(literal) => {
                for character in literal.chars() {
                    if matches!(character, '\\' | '%' | '_') {
                        like.push('\\');
                    }
                    like.push(character);
                }
            }
            // Two in a row say no more than one.
            Part::Any if like.ends_with('%') && !like.ends_with("\\%") => {}
            Part::Any => like.push('%'),
            Part::One | Part::Dash => like.push('_'),
        }
    }
    like
}

/// A pattern with dashes, as a regular expression.
fn dashed(parts: &[Part], cased: bool) -> String {
    let mut regex = String::from(if cased { "(?s)" } else { "(?is)" });
    let (first, last) = (parts.first() == Some(&Part::Any), parts.last() == Some(&Part::Any));
    let inner = parts.get(usize::from(first)..parts.len().saturating_sub(usize::from(last))).unwrap_or(parts);
    if !first {
        regex.push('^');
    }
    for part in inner {
        match part {
            Part::Literal(literal) => regex.push_str(&regex::escape(literal)),
            Part::Any => regex.push_str(".*"),
            Part::One => regex.push('.'),
            Part::Dash => regex.push_str(DASHES),
        }
    }
    if !last {
        regex.push('$');
    }
    regex
}

/// A regular expression that planning leaves as it is. DataFusion 55 makes LIKE of one that is a plain text, and loses
/// its backslashes; with an empty group before it, it is no plain text.
fn unchanged(pattern: &str) -> String {
    let written = ["\\\\", "\\x", "\\u", "\\U"];
    if written.iter().any(|backslash| pattern.contains(backslash)) {
        return format!("(){pattern}");
    }
    pattern.to_owned()
}

fn call(name: &'static str, args: Vec<Expr>) -> Result<Expr, Fault> {
    let function = functions::named(name).ok_or(Fault::Function(name))?;
    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function.udf(), args)))
}

fn text(text: &str) -> Expr {
    Expr::Literal(ScalarValue::Utf8View(Some(text.to_owned())), None)
}

fn whole(number: i64) -> Expr {
    Expr::Literal(ScalarValue::Int64(Some(number)), None)
}

fn truth(truth: bool) -> Expr {
    Expr::Literal(ScalarValue::Boolean(Some(truth)), None)
}

/// The same operands as a tree of logarithmic depth: a chain of hundreds must not become a tree hundreds deep.
fn balanced(op: Operator, mut operands: Vec<Expr>) -> Option<Expr> {
    if operands.len() > 1 {
        let right = operands.split_off(operands.len() / 2);
        return Some(binary_expr(balanced(op, operands)?, op, balanced(op, right)?));
    }
    operands.pop()
}

#[cfg(test)]
#[path = "expression/tests.rs"]
pub(super) mod tests;
