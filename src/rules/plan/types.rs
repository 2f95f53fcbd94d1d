//! Types: which conversions no value can fail, and what a person calls a type.
//!
//! Times lie between the years 1 and 9999, as `normalise` keeps them; all of them have a text and a date.

use arrow::datatypes::DataType;

/// True when no value of the first type fails to become one of the second.
pub(super) fn cast_never_fails(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Boolean, Date32, Float32, Float64, Int8, Int16, Int32, Int64, LargeUtf8, Null, Timestamp, UInt8,
        UInt16, UInt32, Utf8, Utf8View,
    };
    let binary =
        |to: &DataType| matches!(to, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    match (from, to) {
        (from, to) if from == to => true,
        (Utf8 | LargeUtf8 | Utf8View, to) if binary(to) => true,
        (Null, _) | (_, Utf8 | LargeUtf8 | Utf8View) => true,
        (from, Float32 | Float64) if from.is_numeric() => true,
        (Boolean, to) if to.is_numeric() => true,
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64) => true,
        (Int8 | Int16, Int32) => true,
        (Timestamp(..), Date32) => true,
        (Timestamp(from, _), Timestamp(to, _)) => from == to,
        _ => false,
    }
}

/// True for what an alert can show.
pub(super) fn is_plain(kind: &DataType) -> bool {
    kind.is_numeric() && !matches!(kind, DataType::Decimal128(..) | DataType::Decimal256(..))
        || matches!(
            kind,
            DataType::Utf8
                | DataType::Utf8View
                | DataType::LargeUtf8
                | DataType::Boolean
                | DataType::Timestamp(..)
                | DataType::Date32
        )
}

/// What a person calls the type.
pub(super) fn type_name(kind: &DataType) -> &'static str {
    match kind {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "a text",
        DataType::Boolean => "a truth value",
        DataType::Float32 | DataType::Float64 => "a decimal number",
        DataType::Timestamp(..) => "a time",
        DataType::Date32 => "a date",
        DataType::Interval(_) | DataType::Duration(_) => "an interval",
        kind if kind.is_integer() => "a whole number",
        _ => "a value of another type",
    }
}
