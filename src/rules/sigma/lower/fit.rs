//! What a written value means for a column of a type.
//!
//! Owns reading it as that type; `None` where no value of the type can be it. Called by the parent.

use super::super::tree::{Comparison, Pattern, Test};
use crate::normalise::schema::ColumnType;

/// Beyond 2^53 a double does not tell neighbouring integers apart.
pub(super) const SAFE_INTEGER: u64 = 1 << 53;

/// A text itself.
pub(super) fn literal(text: &str) -> Test {
    Test::Like { pattern: Pattern::literal(text), cased: false }
}

/// A text with wildcards against a column of a type.
pub(super) fn text(pattern: &Pattern, cased: bool, kind: ColumnType) -> Option<Test> {
    if pattern.is_any() {
        return Some(Test::Present);
    }
    let like = Test::Like { pattern: pattern.clone(), cased };
    let Some(literal) = pattern.as_literal() else {
        if kind != ColumnType::Boolean {
            return Some(like);
        }
        let matches = |flag: bool| pattern.matches(&flag.to_string(), cased);
        return match (matches(true), matches(false)) {
            (true, true) => Some(Test::Present),
            (false, false) => None,
            (flag, _) => Some(Test::Flag(flag)),
        };
    };
    if matches!(kind, ColumnType::String | ColumnType::Timestamp) {
        return Some(like);
    }
    let literal = literal.trim();
    match kind {
        ColumnType::Int => whole(literal).map(integer),
        ColumnType::Double => {
            let number = literal.parse::<f64>().ok().filter(|number| number.is_finite())?;
            Some(Test::Number(Comparison::Equal, number))
        }
        ColumnType::Boolean if literal == "1" || literal.eq_ignore_ascii_case("true") => {
            Some(Test::Flag(true))
        }
        ColumnType::Boolean if literal == "0" || literal.eq_ignore_ascii_case("false") => {
            Some(Test::Flag(false))
        }
        ColumnType::String | ColumnType::Timestamp | ColumnType::Boolean => None,
    }
}

/// A number against a column of a type.
pub(super) fn equal(written: &str, number: f64, kind: ColumnType) -> Option<Test> {
    match kind {
        ColumnType::String | ColumnType::Timestamp => Some(literal(written)),
        // As the column itself would read it; a fraction is equal to none.
        ColumnType::Int => {
            text(&Pattern::literal(written), false, kind).or(Some(Test::Number(Comparison::Equal, number)))
        }
        ColumnType::Double => Some(Test::Number(Comparison::Equal, number)),
        ColumnType::Boolean if number == 0.0 => Some(Test::Flag(false)),
        ColumnType::Boolean if number == 1.0 => Some(Test::Flag(true)),
        ColumnType::Boolean => None,
    }
}

/// An integer as columns read it: hexadecimal beyond 63 bits wraps.
fn whole(text: &str) -> Option<i64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) if !hex.starts_with(['+', '-']) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        _ => text.parse().ok(),
    }
}

/// A number against a column of integers; one that a double cannot hold is compared as text.
fn integer(number: i64) -> Test {
    if number.unsigned_abs() > SAFE_INTEGER {
        return literal(&number.to_string());
    }
    #[expect(clippy::cast_precision_loss, reason = "a double holds it")]
    Test::Number(Comparison::Equal, number as f64)
}
