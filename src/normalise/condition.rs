//! Conditions of views: which events are rows of a table.
//!
//! Owns a small expression over field *values* (not Arrow columns), parsed with the SQL parser that rules
//! use, so that `schemas/` speaks the same language. Comparison is forgiving in the two ways producers
//! differ: text ignores ASCII case, and a number equals its text. Called by `normalise::schema` (parse) and
//! `normalise::layout` (evaluate).

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value as SqlValue};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::decode::{Value, unescaped};

/// Names, operators and parentheses of one condition; the longest of the stock tables has 22. A chain of them makes a tree
/// as deep as it is long.
const PARTS_MAX: usize = 600;
/// Parentheses inside each other.
const PARENTHESES_MAX: usize = 16;
/// NOT and other words that stand before an expression, inside each other: the parser's time doubles with each.
const PREFIXES_MAX: usize = 6;

/// Words that join expressions, or end one: none of them is a prefix.
const JOINTS: &[&str] = &["AND", "FALSE", "IN", "IS", "NULL", "OR", "TRUE"];

/// A condition over fields of type `F`: paths as declared, slots once compiled.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition<F = String> {
    /// Always holds.
    True,
    /// The field equals one of the literals (as lower-case text).
    In(F, Vec<String>),
    /// The field has a value.
    Present(F),
    /// All hold.
    And(Vec<Condition<F>>),
    /// One holds.
    Or(Vec<Condition<F>>),
    /// Does not hold; a comparison with a missing field is false, so its negation is true.
    Not(Box<Condition<F>>),
}

/// Why a condition cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConditionError {
    /// The text is no expression.
    #[error("not a condition: {0}")]
    Syntax(String),
    /// An expression, but not of the kinds that conditions have.
    #[error("`{0}` is not available in a view's condition")]
    Unsupported(String),
}

impl Condition {
    /// Parses the text of a `where`.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        let tokens = Tokenizer::new(&GenericDialect {}, text)
            .tokenize()
            .map_err(|error| ConditionError::Syntax(error.to_string()))?;
        if is_too_deep(&tokens) {
            return Err(ConditionError::Syntax("too long or nested too deeply".into()));
        }
        let mut parser = Parser::new(&GenericDialect {}).with_recursion_limit(32).with_tokens(tokens);
        let expr = parser.parse_expr().map_err(|error| ConditionError::Syntax(error.to_string()))?;
        parser.expect_token(&Token::EOF).map_err(|error| ConditionError::Syntax(error.to_string()))?;
        convert(&expr)
    }
}

impl<F> Condition<F> {
    /// The same condition over other field names; `rename` is called for each mention, in order.
    pub fn map<G>(&self, rename: &mut impl FnMut(&F) -> G) -> Condition<G> {
        match self {
            Self::True => Condition::True,
            Self::In(field, literals) => Condition::In(rename(field), literals.clone()),
            Self::Present(field) => Condition::Present(rename(field)),
            Self::And(parts) => Condition::And(parts.iter().map(|part| part.map(rename)).collect()),
            Self::Or(parts) => Condition::Or(parts.iter().map(|part| part.map(rename)).collect()),
            Self::Not(inner) => Condition::Not(Box::new(inner.map(rename))),
        }
    }

    /// Hands each field with the literals that it may equal to `take`; what it must not equal is left out.
    pub fn wanted<'c>(&'c self, take: &mut impl FnMut(&'c F, &'c [String])) {
        match self {
            Self::In(field, literals) => take(field, literals),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(|part| part.wanted(take)),
            Self::True | Self::Present(_) | Self::Not(_) => {}
        }
    }
}

impl Condition<usize> {
    /// Whether it holds for an event's slots.
    pub fn holds(&self, slots: &[Value<'_>]) -> bool {
        match self {
            Self::True => true,
            Self::Present(slot) => slots[*slot].is_present(),
            Self::In(slot, literals) => {
                with_text(&slots[*slot], |text| literals.iter().any(|l| l.eq_ignore_ascii_case(text)))
                    .unwrap_or(false)
            }
            Self::And(parts) => parts.iter().all(|part| part.holds(slots)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(slots)),
            Self::Not(inner) => !inner.holds(slots),
        }
    }
}

/// Hands the text form of a value to `f`; nothing for a value that is not there.
pub fn with_text<R>(value: &Value<'_>, f: impl FnOnce(&str) -> R) -> Option<R> {
    match value {
        Value::Missing | Value::Null => None,
        Value::Bool(flag) => Some(f(if *flag { "true" } else { "false" })),
        Value::Int(number) => {
            let mut buffer = itoa(*number);
            Some(f(buffer.text()))
        }
        Value::Double(number) => Some(f(&number.to_string())),
        Value::Text(text) => Some(f(text)),
        Value::Escaped(raw) => Some(f(&unescaped(raw))),
        Value::Lines(lines) => Some(f(&lines.text())),
    }
}

/// Decimal text of an integer without an allocation.
struct Digits {
    bytes: [u8; 20],
    from: usize,
}

impl Digits {
    fn text(&mut self) -> &str {
        std::str::from_utf8(&self.bytes[self.from..]).unwrap_or_default()
    }
}

fn itoa(number: i64) -> Digits {
    let mut digits = Digits { bytes: [0; 20], from: 20 };
    let mut rest = number.unsigned_abs();
    loop {
        digits.from -= 1;
        digits.bytes[digits.from] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        digits.from -= 1;
        digits.bytes[digits.from] = b'-';
    }
    digits
}

/// The parser has no bound on time: what would make it slow is refused before.
fn is_too_deep(tokens: &[Token]) -> bool {
    let mut tokens = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).peekable();
    let is = |token: &Token, words: &[&str]| {
        matches!(token, Token::Word(word)
            if word.quote_style.is_none() && words.iter().any(|known| word.value.eq_ignore_ascii_case(known)))
    };
    // The prefixes before each open parenthesis, and those before what comes now.
    let (mut open, mut prefixes, mut parts): (Vec<usize>, usize, usize) = (Vec::new(), 0, 0);
    while let Some(token) = tokens.next() {
        let before = tokens.peek().is_some_and(|next| match next {
            // `a NOT IN`, `IS NOT NULL`: here NOT is no prefix.
            Token::Word(_) => !is(next, JOINTS) && (is(token, &["NOT"]) || !is(next, &["NOT"])),
            _ => true,
        });
        match token {
            Token::LParen => open.push(std::mem::take(&mut prefixes)),
            Token::RParen => {
                open.pop();
                prefixes = 0;
            }
            Token::Word(_) if before && !is(token, JOINTS) => prefixes += 1,
            _ => prefixes = 0,
        }
        let listed = matches!(token, Token::Comma | Token::Number(..) | Token::SingleQuotedString(_));
        parts += usize::from(!listed);
        if parts > PARTS_MAX
            || open.len() > PARENTHESES_MAX
            || prefixes + open.iter().sum::<usize>() > PREFIXES_MAX
        {
            return true;
        }
    }
    false
}

fn convert(expr: &Expr) -> Result<Condition, ConditionError> {
    let unsupported = || ConditionError::Unsupported(expr.to_string());
    match expr {
        Expr::Nested(inner) => convert(inner),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => Ok(Condition::Not(Box::new(convert(expr)?))),
        Expr::IsNull(inner) => Ok(Condition::Not(Box::new(Condition::Present(field(inner)?)))),
        Expr::IsNotNull(inner) => Ok(Condition::Present(field(inner)?)),
        Expr::InList { expr, list, negated } => {
            let literals = list.iter().map(literal).collect::<Result<_, _>>()?;
            let condition = Condition::In(field(expr)?, literals);
            Ok(if *negated { Condition::Not(Box::new(condition)) } else { condition })
        }
        Expr::BinaryOp { left, op, right } => match op {
            BinaryOperator::And => Ok(Condition::And(vec![convert(left)?, convert(right)?])),
            BinaryOperator::Or => Ok(Condition::Or(vec![convert(left)?, convert(right)?])),
            BinaryOperator::Eq => Ok(Condition::In(field(left)?, vec![literal(right)?])),
            BinaryOperator::NotEq => {
                Ok(Condition::Not(Box::new(Condition::In(field(left)?, vec![literal(right)?]))))
            }
            _ => Err(unsupported()),
        },
        Expr::Value(value) if matches!(value.value, SqlValue::Boolean(true)) => Ok(Condition::True),
        _ => Err(unsupported()),
    }
}

fn field(expr: &Expr) -> Result<String, ConditionError> {
    match expr {
        Expr::Identifier(ident) => Ok(ident.value.clone()),
        Expr::CompoundIdentifier(parts) => {
            Ok(parts.iter().map(|part| part.value.as_str()).collect::<Vec<_>>().join("."))
        }
        Expr::Nested(inner) => field(inner),
        _ => Err(ConditionError::Unsupported(expr.to_string())),
    }
}

fn literal(expr: &Expr) -> Result<String, ConditionError> {
    match expr {
        Expr::Value(value) => match &value.value {
            SqlValue::SingleQuotedString(text) => Ok(text.to_ascii_lowercase()),
            SqlValue::Number(text, _) => Ok(text.clone()),
            SqlValue::Boolean(flag) => Ok(flag.to_string()),
            _ => Err(ConditionError::Unsupported(expr.to_string())),
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(format!("-{}", literal(expr)?)),
        _ => Err(ConditionError::Unsupported(expr.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_a_producer_would_expect() {
        let slots = [
            Value::Text("Microsoft-Windows-Sysmon/Operational".into()),
            Value::Int(1),
            Value::Text("4624".into()),
            Value::Missing,
            Value::Bool(true),
        ];
        let names = ["Channel", "EventID", "code", "gone", "flag"];
        for (text, expect) in [
            ("Channel = 'microsoft-windows-sysmon/operational' AND EventID = 1", true),
            ("EventID IN (2, 3)", false),
            ("EventID NOT IN (2, 3)", true),
            ("EventID = '1' OR code = 1", true),
            ("code = 4624", true),
            ("code <> 4624", false),
            ("gone IS NULL AND code IS NOT NULL", true),
            ("gone = 1", false),
            ("NOT (gone = 1)", true),
            ("flag = true", true),
            ("true", true),
        ] {
            let condition = Condition::parse(text).expect(text);
            let compiled = condition
                .map(&mut |name: &String| names.iter().position(|known| known == name).expect("known field"));
            assert_eq!(compiled.holds(&slots), expect, "{text}");
        }
    }

    #[test]
    fn other_expressions_are_refused_by_name() {
        for text in ["a LIKE 'x'", "lower(a) = 'x'", "a = b", "1 = 1", "a >", "a = 1; b = 2", "(SELECT 1)"] {
            assert!(Condition::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_would_take_the_parser_long_is_refused() {
        let long = |part: &str| format!("a = 1{}", part.repeat(PARTS_MAX));
        let deep = "(".repeat(40) + "a = 1" + &")".repeat(40);
        let slow = ["NOT ".repeat(30) + "a = 1 x", "NOT(".repeat(9), "INTERVAL ".repeat(30)];
        for text in slow.into_iter().chain([deep, long(" AND a = 1"), long(" + 1")]) {
            assert!(Condition::parse(&text).is_err(), "{text}");
        }
        let list = format!("a IN (1{})", ", 'x'".repeat(5_000));
        let fits =
            ["NOT (NOT (a IS NOT NULL))".to_owned(), "a = 1 OR NOT b = 2 AND ".repeat(50) + "c NOT IN (1)"];
        for text in fits.into_iter().chain([list, format!("a = 1{}", " OR a = 1".repeat(190))]) {
            assert!(Condition::parse(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn integers_have_their_decimal_text() {
        for number in [0, 7, -1, i64::MAX, i64::MIN] {
            assert_eq!(with_text(&Value::Int(number), str::to_owned), Some(number.to_string()));
        }
    }
}
