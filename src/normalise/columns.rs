//! Arrow column builders with the coercions of our column types.
//!
//! Owns how a decoded value becomes a string, integer, double, boolean or timestamp. A value that does not
//! fit becomes NULL and is counted: missing is not an error, and a strange field must not cost the event.
//! Called by `normalise::layout`.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringViewBuilder, TimestampMicrosecondBuilder,
};

use super::schema::ColumnType;
use super::time::{self, ZoneOffset};
use crate::decode::{Lines, Value, unescaped};

/// Builds one column of a batch.
#[derive(Debug)]
pub enum ColumnBuilder {
    /// Utf8View
    Text(StringViewBuilder),
    /// Int64
    Int(Int64Builder),
    /// Float64
    Double(Float64Builder),
    /// Boolean
    Bool(BooleanBuilder),
    /// Timestamp(Microsecond, UTC)
    Time(TimestampMicrosecondBuilder),
}

/// A value as its column holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// For a string column.
    Text(&'a str),
    /// For a string column, with the escapes of JSON.
    Escaped(&'a str),
    /// For a string column: all values of the event.
    Lines(Lines<'a>),
    /// For an int column.
    Int(i64),
    /// For a double column.
    Double(f64),
    /// For a boolean column.
    Bool(bool),
    /// For a timestamp column: microseconds UTC.
    Time(i64),
    /// The event has a value that does not fit the type; NULL in the column.
    Unfit,
}

/// The cells of one row, made when they are asked for.
pub trait Cells {
    /// Hands a column's cell to `take`.
    fn cell<R>(&mut self, column: usize, take: impl FnOnce(&Cell<'_>) -> R) -> R;
}

impl ColumnBuilder {
    /// A builder for a column type.
    pub fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::String => Self::Text(StringViewBuilder::new()),
            ColumnType::Int => Self::Int(Int64Builder::new()),
            ColumnType::Double => Self::Double(Float64Builder::new()),
            ColumnType::Boolean => Self::Bool(BooleanBuilder::new()),
            ColumnType::Timestamp => {
                Self::Time(TimestampMicrosecondBuilder::new().with_timezone(super::schema::UTC))
            }
        }
    }

    /// Appends a cell that was made for this column's type; anything else is NULL.
    pub fn push(&mut self, cell: &Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Escaped(raw)) => builder.append_value(unescaped(raw)),
            (Self::Text(builder), Cell::Lines(lines)) => builder.append_value(lines.text()),
            (Self::Int(builder), Cell::Int(number)) => builder.append_value(*number),
            (Self::Double(builder), Cell::Double(number)) => builder.append_value(*number),
            (Self::Bool(builder), Cell::Bool(flag)) => builder.append_value(*flag),
            (Self::Time(builder), Cell::Time(micros)) => builder.append_value(*micros),
            (Self::Text(builder), _) => builder.append_null(),
            (Self::Int(builder), _) => builder.append_null(),
            (Self::Double(builder), _) => builder.append_null(),
            (Self::Bool(builder), _) => builder.append_null(),
            (Self::Time(builder), _) => builder.append_null(),
        }
    }

    /// Keeps the first so many cells.
    pub fn truncate(&mut self, cells: usize) {
        macro_rules! keep {
            ($builder:expr) => {{
                let column = $builder.finish();
                column.iter().take(cells).for_each(|cell| $builder.append_option(cell));
            }};
        }
        match self {
            Self::Text(builder) => keep!(builder),
            Self::Int(builder) => keep!(builder),
            Self::Double(builder) => keep!(builder),
            Self::Bool(builder) => keep!(builder),
            Self::Time(builder) => keep!(builder),
        }
    }

    /// The column; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Double(builder) => Arc::new(builder.finish()),
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish().with_timezone(super::schema::UTC)),
        }
    }
}

/// Turns a decoded value into a cell of the column's type. `scratch` holds the text of numbers.
pub fn cell<'a>(
    value: &'a Value<'_>,
    kind: ColumnType,
    zone: ZoneOffset,
    scratch: &'a mut String,
) -> Cell<'a> {
    match (kind, value) {
        (_, Value::Missing | Value::Null) => Cell::Null,
        (ColumnType::String, Value::Text(text)) => Cell::Text(text),
        (ColumnType::String, Value::Escaped(raw)) => Cell::Escaped(raw),
        (_, Value::Escaped(raw)) => typed(&unescaped(raw), kind, zone),
        (ColumnType::String, Value::Lines(lines)) => Cell::Lines(*lines),
        (_, Value::Lines(lines)) => typed(&lines.text(), kind, zone),
        (ColumnType::String, Value::Int(number)) => written(scratch, number),
        (ColumnType::String, Value::Double(number)) => written(scratch, number),
        (ColumnType::String, Value::Bool(flag)) => written(scratch, flag),
        (ColumnType::Int, Value::Int(number)) => Cell::Int(*number),
        (ColumnType::Int, Value::Bool(flag)) => Cell::Int(i64::from(*flag)),
        (ColumnType::Int, Value::Double(number)) => whole(*number).map_or(Cell::Unfit, Cell::Int),
        (ColumnType::Int, Value::Text(text)) => integer(text),
        #[expect(clippy::cast_precision_loss, reason = "a double column holds doubles")]
        (ColumnType::Double, Value::Int(number)) => Cell::Double(*number as f64),
        (ColumnType::Double, Value::Double(number)) => Cell::Double(*number),
        (ColumnType::Double, Value::Text(text)) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => Cell::Double(number),
            _ => unfit(text),
        },
        (ColumnType::Double, Value::Bool(_)) => Cell::Unfit,
        (ColumnType::Boolean, Value::Bool(flag)) => Cell::Bool(*flag),
        (ColumnType::Boolean, Value::Int(0)) => Cell::Bool(false),
        (ColumnType::Boolean, Value::Int(1)) => Cell::Bool(true),
        (ColumnType::Boolean, Value::Text(text)) => match text.trim() {
            "1" => Cell::Bool(true),
            "0" => Cell::Bool(false),
            text if text.eq_ignore_ascii_case("true") => Cell::Bool(true),
            text if text.eq_ignore_ascii_case("false") => Cell::Bool(false),
            text => unfit(text),
        },
        (ColumnType::Boolean, _) => Cell::Unfit,
        (ColumnType::Timestamp, value) => match time::parse(value, zone) {
            Some(micros) => Cell::Time(micros),
            None => match value {
                Value::Text(text) => unfit(text),
                _ => Cell::Unfit,
            },
        },
    }
}

/// A text in a column of another type: nothing of it stays in the cell.
fn typed(text: &str, kind: ColumnType, zone: ZoneOffset) -> Cell<'static> {
    match cell(&Value::Text(text.into()), kind, zone, &mut String::new()) {
        Cell::Int(number) => Cell::Int(number),
        Cell::Double(number) => Cell::Double(number),
        Cell::Bool(flag) => Cell::Bool(flag),
        Cell::Time(micros) => Cell::Time(micros),
        Cell::Unfit => Cell::Unfit,
        Cell::Null | Cell::Text(_) | Cell::Escaped(_) | Cell::Lines(_) => Cell::Null,
    }
}

fn written<'a>(scratch: &'a mut String, value: &impl std::fmt::Display) -> Cell<'a> {
    scratch.clear();
    let _ = write!(scratch, "{value}");
    Cell::Text(scratch)
}

/// Windows writes `-` and the empty string for "no value".
fn unfit(text: &str) -> Cell<'static> {
    if matches!(text.trim(), "" | "-") { Cell::Null } else { Cell::Unfit }
}

fn whole(number: f64) -> Option<i64> {
    // 2^53: beyond it a double does not tell neighbouring integers apart.
    let safe = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    safe.then_some(number as i64)
}

fn integer(text: &str) -> Cell<'static> {
    let text = text.trim();
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // Handles and ids beyond 63 bits wrap: they are bit patterns, not amounts.
        Some(hex) if !hex.starts_with(['+', '-']) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        _ => text.parse::<i64>().ok(),
    };
    parsed.map_or_else(|| unfit(text), Cell::Int)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_their_columns_or_are_null() {
        use ColumnType::{Boolean, Double, Int, String as Text, Timestamp};
        let text = |text: &'static str| Value::Text(text.into());
        for (value, kind, expect) in [
            (text("a"), Text, Cell::Text("a")),
            (Value::Int(-4), Text, Cell::Text("-4")),
            (Value::Double(1.5), Text, Cell::Text("1.5")),
            (Value::Bool(true), Text, Cell::Text("true")),
            (text(""), Text, Cell::Text("")),
            (text(" 4624 "), Int, Cell::Int(4624)),
            (text("0x1F4"), Int, Cell::Int(500)),
            (text("0xffffffffffffffff"), Int, Cell::Int(-1)),
            (text("0x+1"), Int, Cell::Unfit),
            (text("-"), Int, Cell::Null),
            (text("many"), Int, Cell::Unfit),
            (Value::Double(7.0), Int, Cell::Int(7)),
            (Value::Double(7.5), Int, Cell::Unfit),
            (Value::Double(1e300), Int, Cell::Unfit),
            (Value::Bool(true), Int, Cell::Int(1)),
            (Value::Int(3), Double, Cell::Double(3.0)),
            (text("2.5"), Double, Cell::Double(2.5)),
            (text("NaN"), Double, Cell::Unfit),
            (Value::Bool(false), Double, Cell::Unfit),
            (text("TRUE"), Boolean, Cell::Bool(true)),
            (text("0"), Boolean, Cell::Bool(false)),
            (text("yes"), Boolean, Cell::Unfit),
            (Value::Int(2), Boolean, Cell::Unfit),
            (text("2026-10-03T01:02:03Z"), Timestamp, Cell::Time(1_790_989_323_000_000)),
            (text("-"), Timestamp, Cell::Null),
            (text("soon"), Timestamp, Cell::Unfit),
            (Value::Null, Int, Cell::Null),
            (Value::Missing, Text, Cell::Null),
        ] {
            let mut scratch = String::new();
            assert_eq!(cell(&value, kind, ZoneOffset::UTC, &mut scratch), expect, "{value:?} as {kind:?}");
        }
    }

    #[test]
    fn every_builder_takes_what_fits_and_nulls_the_rest() {
        for kind in [
            ColumnType::String,
            ColumnType::Int,
            ColumnType::Double,
            ColumnType::Boolean,
            ColumnType::Timestamp,
        ] {
            let mut builder = ColumnBuilder::new(kind);
            for cell in [
                Cell::Null,
                Cell::Text("x"),
                Cell::Int(1),
                Cell::Double(1.0),
                Cell::Bool(true),
                Cell::Time(1),
                Cell::Unfit,
            ] {
                builder.push(&cell);
            }
            let column = builder.finish();
            assert_eq!((column.len(), column.null_count()), (7, 6), "{kind:?}");
            assert_eq!(column.data_type(), &kind.arrow(), "{kind:?}");
        }
    }
}
