//! Which expressions a rule may consist of.
//!
//! Owns the walk over one expression: kinds, operators, literals, casts, column names, depth and count. It
//! hands back the expression as it is planned: names resolved, parentheses gone, and AND/OR chains balanced,
//! because a chain of two thousand conditions must not become a tree two thousand deep.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, Ident, Interval,
    Spanned, TimezoneInfo, TypedString, UnaryOperator, Value, ValueWithSpan,
};

use super::Checker;
use super::arguments::TIME_PARTS;
use crate::diagnostic::{codes, suggest};
use crate::rules::PROBLEMS_MAX;

impl Checker<'_> {
    /// Checks an expression and gives it back for the planner; NULL where it was refused.
    pub(super) fn expression(&mut self, expr: Expr, depth: usize) -> Expr {
        self.expressions += 1;
        self.planned = self.planned.saturating_add(self.copies);
        let (deep, many) = (self.limits.depth_max, self.limits.expressions_max);
        let excess = if depth > deep || self.expressions > many {
            let message = format!("the expression has more than {deep} levels or {many} parts");
            Some((message, "split the rule, or use IN with a list"))
        } else if self.planned > self.limits.planned_max {
            let message = format!(
                "the planner would make more than {} parts of this: CASE, BETWEEN and coalesce repeat what is in them",
                self.limits.planned_max
            );
            Some((message, "write CASE x WHEN 'value' THEN …, or nest less"))
        } else {
            None
        };
        if let Some((message, help)) = excess {
            // Once is enough: everything below would say the same.
            if self.expressions < usize::MAX / 2 {
                self.expressions = usize::MAX / 2;
                let at = self.within.clone();
                self.refuse(codes::Q005, message, at, help);
            }
            return null();
        }
        let below = |checker: &mut Self, expr: Box<Expr>| Box::new(checker.expression(*expr, depth + 1));
        match expr {
            Expr::Identifier(ident) => self.column(&ident, &ident),
            Expr::CompoundIdentifier(parts) => self.compound(&parts),
            Expr::Nested(inner) => self.expression(*inner, depth + 1),
            Expr::Value(value) => self.value(value),
            Expr::IsTrue(e) => Expr::IsTrue(below(self, e)),
            Expr::IsNotTrue(e) => Expr::IsNotTrue(below(self, e)),
            Expr::IsFalse(e) => Expr::IsFalse(below(self, e)),
            Expr::IsNotFalse(e) => Expr::IsNotFalse(below(self, e)),
            Expr::IsNull(e) => Expr::IsNull(below(self, e)),
            Expr::IsNotNull(e) => Expr::IsNotNull(below(self, e)),
            Expr::IsUnknown(e) => Expr::IsUnknown(below(self, e)),
            Expr::IsNotUnknown(e) => Expr::IsNotUnknown(below(self, e)),
            Expr::IsDistinctFrom(a, b) => {
                self.ends_here(&b);
                Expr::IsDistinctFrom(below(self, a), below(self, b))
            }
            Expr::IsNotDistinctFrom(a, b) => {
                self.ends_here(&b);
                Expr::IsNotDistinctFrom(below(self, a), below(self, b))
            }
            Expr::InList { expr, list, negated } => Expr::InList {
                expr: below(self, expr),
                list: list.into_iter().map(|item| self.expression(item, depth + 1)).collect(),
                negated,
            },
            Expr::Between { expr, negated, low, high } => Expr::Between {
                expr: Box::new(self.copied(2, *expr, depth + 1)),
                negated,
                low: below(self, low),
                high: below(self, high),
            },
            Expr::BinaryOp { left, op: op @ (BinaryOperator::And | BinaryOperator::Or), right } => {
                let operands = chain(&op, *left, *right);
                let operands = operands.into_iter().map(|e| self.expression(e, depth + 1)).collect();
                balance(&op, operands)
            }
            Expr::BinaryOp { left, op, right } => {
                self.operator(&op, &left, &right);
                Expr::BinaryOp { left: below(self, left), op, right: below(self, right) }
            }
            Expr::UnaryOp { op, expr } => {
                if !matches!(op, UnaryOperator::Not | UnaryOperator::Minus | UnaryOperator::Plus) {
                    let at = self.bytes(expr.span());
                    let message = format!("the operator {op} is not available");
                    self.refuse(codes::Q011, message, at, "use NOT, + or -");
                }
                Expr::UnaryOp { op, expr: below(self, expr) }
            }
            Expr::Like { negated, any, expr, pattern, escape_char } => {
                self.like(any, &pattern, escape_char.as_ref());
                let (expr, pattern) = (below(self, expr), below(self, pattern));
                Expr::Like { negated, any: false, expr, pattern, escape_char: None }
            }
            Expr::ILike { negated, any, expr, pattern, escape_char } => {
                self.like(any, &pattern, escape_char.as_ref());
                let (expr, pattern) = (below(self, expr), below(self, pattern));
                Expr::ILike { negated, any: false, expr, pattern, escape_char: None }
            }
            case @ Expr::Case { .. } => self.case(case, depth),
            Expr::Cast { kind, expr, data_type, array, format } => {
                let name = data_type.to_string();
                let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                let at = self.place(&[&name.to_ascii_uppercase()], expr.span());
                if array || format.is_some() {
                    let message = "CAST with ARRAY or FORMAT is not available";
                    self.refuse(codes::Q011, message, at.clone(), "cast to a plain type");
                }
                let data_type = self.data_type(data_type, at);
                let kind = if kind == CastKind::SafeCast { CastKind::TryCast } else { kind };
                Expr::Cast { kind, expr: below(self, expr), data_type, array: false, format: None }
            }
            Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: _ }) => {
                let at = self.bytes(value.span);
                self.literal_length(&value);
                let data_type = self.data_type(data_type, at);
                Expr::TypedString(TypedString { data_type, value, uses_odbc_syntax: false })
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::Extract { field, syntax, expr } => {
                let name = field.to_string();
                if !TIME_PARTS.contains(&name.to_ascii_lowercase().as_str()) {
                    let at = self.place(&[&name.to_ascii_uppercase()], expr.span());
                    let help = "use YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, DOW, DOY, WEEK or EPOCH";
                    self.refuse(codes::Q011, format!("EXTRACT knows no `{field}`"), at, help);
                }
                Expr::Extract { field, syntax, expr: below(self, expr) }
            }
            Expr::Ceil { expr, field: field @ CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                Expr::Ceil { expr: below(self, expr), field }
            }
            Expr::Floor { expr, field: field @ CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                Expr::Floor { expr: below(self, expr), field }
            }
            Expr::Position { expr, r#in } => {
                Expr::Position { expr: below(self, expr), r#in: below(self, r#in) }
            }
            Expr::Substring { expr, substring_from, substring_for, special, shorthand } => {
                if let Some(start) = &substring_from {
                    self.start(start);
                }
                if let Some(count) = &substring_for {
                    self.count(count);
                }
                Expr::Substring {
                    expr: below(self, expr),
                    substring_from: substring_from.map(|e| below(self, e)),
                    substring_for: substring_for.map(|e| below(self, e)),
                    special,
                    shorthand,
                }
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                trim_what.iter().for_each(|what| self.trimmed(what));
                trim_characters.iter().flatten().for_each(|what| self.trimmed(what));
                Expr::Trim {
                    trim_where,
                    trim_what: trim_what.map(|e| below(self, e)),
                    expr: below(self, expr),
                    trim_characters: trim_characters
                        .map(|list| list.into_iter().map(|e| self.expression(e, depth + 1)).collect()),
                }
            }
            Expr::Function(function) => self.function(function, depth),
            other => {
                self.refuse_kind(&other);
                null()
            }
        }
    }

    /// The same for a part that the planner repeats.
    pub(super) fn copied(&mut self, times: usize, expr: Expr, depth: usize) -> Expr {
        let outside = self.copies;
        self.copies = outside.saturating_mul(times);
        let expr = self.expression(expr, depth);
        self.copies = outside;
        expr
    }

    /// DataFusion makes ANDs and ORs of a CASE that yields truth values: each condition, and then what it excludes for
    /// each one behind it.
    fn case(&mut self, expr: Expr, depth: usize) -> Expr {
        let Expr::Case { case_token, end_token, operand, conditions, else_result } = expr else {
            return null();
        };
        let plain = |result: &Expr| match result {
            Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_) | Value::Number(..)),
            other => matches!(other, Expr::Identifier(_)),
        };
        let shown = depth == 0 && conditions.iter().all(|when| plain(&when.result));
        let repeated = operand.is_none() && !shown;
        let count = conditions.len();
        Expr::Case {
            case_token,
            end_token,
            operand: operand.map(|e| Box::new(self.expression(*e, depth + 1))),
            conditions: conditions
                .into_iter()
                .enumerate()
                .map(|(at, CaseWhen { condition, result })| CaseWhen {
                    condition: self.copied(if repeated { count - at + 1 } else { 1 }, condition, depth + 1),
                    result: self.expression(result, depth + 1),
                })
                .collect(),
            else_result: else_result.map(|e| Box::new(self.expression(*e, depth + 1))),
        }
    }

    fn refuse_kind(&mut self, expr: &Expr) {
        let words: &[&str] = match expr {
            Expr::Exists { .. } => &["EXISTS"],
            Expr::RLike { regexp: false, .. } => &["RLIKE"],
            Expr::RLike { regexp: true, .. } => &["REGEXP"],
            Expr::MatchAgainst { .. } => &["MATCH"],
            Expr::Struct { .. } | Expr::Named { .. } => &["STRUCT"],
            Expr::Map(_) => &["MAP"],
            Expr::Dictionary(_) => &["{"],
            Expr::Array(_) => &["ARRAY", "["],
            Expr::Overlay { .. } => &["OVERLAY"],
            Expr::Convert { .. } => &["CONVERT", "TRY_CONVERT"],
            Expr::Ceil { .. } => &["CEIL", "CEILING"],
            Expr::Floor { .. } => &["FLOOR"],
            _ => &[],
        };
        let at = self.place(words, expr.span());
        let (code, what, help) = match expr {
            Expr::Exists { .. } | Expr::Subquery(_) | Expr::InSubquery { .. } => {
                (codes::Q019, "a subquery", "write the values into the rule, with IN ('…', '…')")
            }
            Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } if matches!(**right, Expr::Subquery(_)) => {
                (codes::Q019, "a subquery", "write the values into the rule, with IN ('…', '…')")
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => (codes::Q011, "ANY or ALL", "use IN, or OR"),
            Expr::InUnnest { .. } => (codes::Q018, "UNNEST", "use IN with a list"),
            Expr::AtTimeZone { .. } => (
                codes::Q011,
                "AT TIME ZONE",
                "times are in UTC; add an INTERVAL, such as + INTERVAL '9 hours'",
            ),
            Expr::SimilarTo { .. } => (codes::Q011, "SIMILAR TO", "use ~ with a regular expression, or LIKE"),
            Expr::RLike { .. } => (codes::Q011, "RLIKE (or REGEXP)", "use ~ (or ~* to ignore case)"),
            Expr::MatchAgainst { .. } => (codes::Q011, "MATCH", "use ILIKE, or ~ with a regular expression"),
            Expr::Ceil { .. } | Expr::Floor { .. } => {
                (codes::Q011, "rounding a time", "use date_part for a part of a time")
            }
            Expr::Collate { .. } => (codes::Q011, "COLLATE", "use ILIKE or lower() to ignore case"),
            Expr::Array(_) | Expr::CompoundFieldAccess { .. } => {
                (codes::Q011, "an array", "columns are plain; use json_get for a value inside a JSON text")
            }
            Expr::JsonAccess { .. } => (codes::Q011, "a path with `:`", "use json_get(text, 'a.b')"),
            Expr::Struct { .. } | Expr::Named { .. } | Expr::Dictionary(_) | Expr::Map(_) => {
                (codes::Q011, "a struct or map", "use plain values; json_get reads a JSON text")
            }
            Expr::Tuple(_) => (codes::Q011, "a row of values", "compare the columns one by one, with AND"),
            Expr::Lambda(_) => (codes::Q011, "a lambda", "rules have no function that takes one"),
            Expr::Overlay { .. } => (codes::Q011, "OVERLAY", "use concat and substr"),
            Expr::Convert { .. } => (codes::Q011, "CONVERT", "use CAST or TRY_CAST"),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                (codes::Q011, "*", "* stands for columns only after SELECT")
            }
            _ => (codes::Q011, "this kind of expression", "use comparisons, LIKE, IN, CASE and functions"),
        };
        self.refuse(code, format!("{what} is not available in rules"), at, help);
    }

    /// The parser takes all that follows IS DISTINCT FROM as its right side, AND and OR included: never
    /// what was meant.
    fn ends_here(&mut self, right: &Expr) {
        if matches!(right, Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. }) {
            let at = self.bytes(right.span());
            let help = "write (a IS DISTINCT FROM b) AND …";
            self.refuse(codes::Q011, "IS DISTINCT FROM needs parentheses around it here", at, help);
        }
    }

    pub(super) fn compound(&mut self, parts: &[Ident]) -> Expr {
        match parts {
            [qualifier, column]
                if self.table.is_none() || qualifier.value.eq_ignore_ascii_case(&self.qualifier) =>
            {
                self.column(column, qualifier)
            }
            [first, .., last] => {
                let at = self.bytes(first.span.union(&last.span));
                let help = match self.qualifier.as_str() {
                    "" => "write the column's name alone".to_owned(),
                    name => format!("the query's table is called {name} here; columns are plain"),
                };
                let written: Vec<String> = parts.iter().map(ToString::to_string).collect();
                self.refuse(codes::Q008, format!("{} is not a column", written.join(".")), at, help);
                null()
            }
            _ => null(),
        }
    }

    /// Resolves a column to the name that the table declares.
    pub(super) fn column(&mut self, ident: &Ident, from: &Ident) -> Expr {
        let Some(table) = self.table else { return null() };
        let span = from.span.union(&ident.span);
        let name = table.column(&ident.value).map(str::to_owned);
        match name {
            Some(name) => {
                self.columns.insert(name.clone());
                let mut resolved = Ident::with_quote('"', name);
                resolved.span = span;
                Expr::Identifier(resolved)
            }
            None => {
                if !table.table.incomplete && self.unknown.insert(ident.value.to_lowercase()) {
                    let mut help = match self.unknown.len() {
                        // A suggestion takes time, and so many are not shown.
                        many if many > PROBLEMS_MAX => String::new(),
                        _ => suggest(&ident.value, table.column_names()),
                    };
                    if ident.quote_style == Some('"') {
                        help.push_str("; a text stands in single quotes");
                    }
                    let message = format!("the table `{}` has no column `{}`", table.name(), ident.value);
                    let at = self.bytes(span);
                    self.refuse(codes::Q008, message, at, help);
                }
                null()
            }
        }
    }

    pub(super) fn literal_length(&mut self, value: &ValueWithSpan) {
        let (length, max) = match &value.value {
            Value::Number(text, _) => (text.len(), self.limits.digits_max),
            Value::SingleQuotedString(text) => (text.len(), self.limits.literal_bytes_max),
            _ => return,
        };
        if length > max {
            let at = self.bytes(value.span);
            let message = format!("a literal of {length} bytes, more than {max}");
            self.refuse(codes::Q026, message, at, "shorten it");
        }
    }

    fn value(&mut self, value: ValueWithSpan) -> Expr {
        self.literal_length(&value);
        let help = match &value.value {
            Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => None,
            Value::Number(text, long) => {
                let finite = text.parse::<f64>().is_ok_and(f64::is_finite);
                (*long || !finite).then_some("write a plain number")
            }
            Value::Placeholder(_) => Some("a rule has no parameters; write the value"),
            Value::HexStringLiteral(_) => Some("write the number in decimal, or the text in single quotes"),
            _ => Some("write the text in single quotes, and a single quote in it twice"),
        };
        if let Some(help) = help {
            let at = self.bytes(value.span);
            let message = format!("the literal {} is not read", shortened(&value.to_string()));
            self.refuse(codes::Q011, message, at, help);
            return null();
        }
        Expr::Value(value)
    }

    fn interval(&mut self, interval: Interval) -> Expr {
        let Interval { value, leading_field, leading_precision, last_field, fractional_seconds_precision } =
            interval;
        let at = self.bytes(value.span());
        let literal = match value.as_ref() {
            Expr::Value(literal) if matches!(literal.value, Value::SingleQuotedString(_)) => {
                self.literal_length(literal);
                true
            }
            _ => false,
        };
        if !literal
            || leading_precision.is_some()
            || last_field.is_some()
            || fractional_seconds_precision.is_some()
        {
            let help = "write INTERVAL '5 minutes'";
            self.refuse(codes::Q011, "this form of INTERVAL is not available", at, help);
            return null();
        }
        Expr::Interval(Interval {
            value,
            leading_field,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        })
    }

    fn data_type(&mut self, data_type: DataType, at: std::ops::Range<usize>) -> DataType {
        match data_type {
            DataType::Varchar(None)
            | DataType::Text
            | DataType::String(None)
            | DataType::BigInt(None)
            | DataType::Int8(None)
            | DataType::Int64
            | DataType::DoublePrecision
            | DataType::Float8
            | DataType::Float64
            | DataType::Boolean
            | DataType::Bool
            | DataType::Date => data_type,
            // Whole numbers are 64 bits wide everywhere in a rule.
            DataType::Int(None) | DataType::Integer(None) => DataType::BigInt(None),
            DataType::Double(_) => DataType::DoublePrecision,
            // Columns hold microseconds: a finer literal would make the planner convert the column.
            DataType::Timestamp(None, zone @ (TimezoneInfo::None | TimezoneInfo::WithTimeZone)) => {
                DataType::Timestamp(Some(6), zone)
            }
            other => {
                let message = format!("the type {} is not available", shortened(&other.to_string()));
                let help = "use VARCHAR, BIGINT, DOUBLE, BOOLEAN, TIMESTAMP or DATE";
                self.refuse(codes::Q011, message, at, help);
                DataType::Varchar(None)
            }
        }
    }

    fn operator(&mut self, op: &BinaryOperator, left: &Expr, right: &Expr) {
        use BinaryOperator as Op;
        match op {
            Op::Plus | Op::Minus | Op::Multiply | Op::Divide | Op::Modulo | Op::StringConcat => {}
            Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq => {}
            Op::BitwiseAnd | Op::BitwiseOr | Op::BitwiseXor => {}
            Op::PGRegexMatch | Op::PGRegexIMatch | Op::PGRegexNotMatch | Op::PGRegexNotIMatch => {
                self.regex(right, None);
            }
            other => {
                let at = self.bytes(left.span().union(&right.span()));
                let help = match other {
                    Op::Arrow | Op::LongArrow | Op::HashArrow | Op::HashLongArrow => {
                        "use json_get(text, 'a.b')"
                    }
                    _ => "use = <> < <= > >= + - * / % || & | ~ ~* LIKE and ILIKE",
                };
                self.refuse(codes::Q011, format!("the operator {other} is not available"), at, help);
            }
        }
    }
}

/// What stands in for a refused part; nothing is planned when anything was refused.
pub(super) fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// A text for a message.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    let mut short: String = text.chars().take(SHOWN_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The operands of a chain of ANDs (or of ORs), left to right. A loop, as the chain may be long.
fn chain(op: &BinaryOperator, left: Expr, right: Expr) -> Vec<Expr> {
    let mut operands = Vec::new();
    let mut open = vec![left, right];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryOp { left, op: inner, right } if inner == *op => {
                open.push(*left);
                open.push(*right);
            }
            other => operands.push(other),
        }
    }
    operands.reverse();
    operands
}

/// The same operands as a tree of logarithmic depth.
fn balance(op: &BinaryOperator, mut operands: Vec<Expr>) -> Expr {
    if operands.len() > 1 {
        let right = operands.split_off(operands.len() / 2);
        return Expr::BinaryOp {
            left: Box::new(balance(op, operands)),
            op: op.clone(),
            right: Box::new(balance(op, right)),
        };
    }
    operands.pop().unwrap_or_else(null)
}
