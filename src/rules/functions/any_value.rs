//! `any_match`, `any_compare` and `any_date_part`: texts that may be JSON lists, compared with another text, a number
//! and a part of a time.
//!
//! Owns the three functions; what counts as an item is `any`'s. One item that passes is enough. Parts, operators and
//! numbers are literals, which `rules::sql` checks at load.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Float64Type};
use chrono::{DateTime, Datelike, Timelike, Utc};
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::any::{any_item, texts};

/// How `any_match` compares.
pub(in crate::rules) const MATCHES: &[&str] = &["equals", "contains", "starts_with", "ends_with"];
/// How `any_compare` compares.
pub(in crate::rules) const COMPARISONS: &[&str] = &["<", "<=", "=", ">=", ">"];
/// The parts of a time that `any_date_part` knows.
pub(in crate::rules) const PARTS: &[&str] = &["minute", "hour", "day", "week", "month", "year"];

/// Bytes that `any_match` compares for one row: two long lists in an event must not cost the product of their lengths.
const COMPARED_BYTES_MAX: usize = 32 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Match,
    Compare,
    DatePart,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AnyValue {
    kind: Kind,
    signature: Signature,
}

/// Whether an item of the one text stands so to one of the other's.
fn matches(text: &str, other: &str, how: &str) -> bool {
    let (mine, others) = (texts(text), texts(other));
    let mut left = COMPARED_BYTES_MAX;
    for other in &others {
        for text in &mine {
            let cost = if how == "contains" { text.len() } else { text.len().min(other.len()) };
            let Some(rest) = left.checked_sub(cost + 1) else { return false };
            left = rest;
            let passes = match how {
                "contains" => text.contains(other.as_ref()),
                "starts_with" => text.starts_with(other.as_ref()),
                "ends_with" => text.ends_with(other.as_ref()),
                _ => text == other,
            };
            if passes {
                return true;
            }
        }
    }
    false
}

/// Whether a text is a number that compares so; `None` when it is none.
fn compares(text: &str, how: &str, wanted: f64) -> Option<bool> {
    // As TRY_CAST reads it.
    let number = Float64Type::parse(text)?;
    Some(match how {
        "<" => number < wanted,
        "<=" => number <= wanted,
        ">=" => number >= wanted,
        ">" => number > wanted,
        #[expect(clippy::float_cmp, reason = "the rule asks for this number")]
        _ => number == wanted,
    })
}

/// Whether a part of a time is this number; `None` when the text is no time.
fn has_part(text: &str, part: &str, wanted: i64) -> Option<bool> {
    // As TRY_CAST reads it.
    let time: DateTime<Utc> = string_to_datetime(&Utc, text).ok()?;
    let number = match part {
        "minute" => i64::from(time.minute()),
        "hour" => i64::from(time.hour()),
        "day" => i64::from(time.day()),
        "week" => i64::from(time.iso_week().week()),
        "month" => i64::from(time.month()),
        _ => i64::from(time.year()),
    };
    Some(number == wanted)
}

/// The answer for each text.
fn each(texts: &ColumnarValue, mut passes: impl FnMut(&str) -> Option<bool>) -> Result<ColumnarValue> {
    match texts {
        ColumnarValue::Scalar(text) => {
            let answer = text.try_as_str().flatten().and_then(passes);
            Ok(ColumnarValue::Scalar(ScalarValue::Boolean(answer)))
        }
        ColumnarValue::Array(texts) => {
            let texts = as_string_view_array(texts)?;
            let answers: BooleanArray = texts.iter().map(|text| text.and_then(&mut passes)).collect();
            Ok(ColumnarValue::Array(Arc::new(answers)))
        }
    }
}

impl AnyValue {
    fn literal<'a>(&self, value: &'a ColumnarValue) -> Result<&'a ScalarValue> {
        match value {
            ColumnarValue::Scalar(value) => Ok(value),
            ColumnarValue::Array(_) => exec_err!("this argument of {} must be a literal", self.name()),
        }
    }

    fn text<'a>(&self, value: &'a ColumnarValue, known: &[&str]) -> Result<&'a str> {
        let text = self.literal(value)?.try_as_str().flatten();
        text.filter(|text| known.contains(text))
            .ok_or_else(|| exec_datafusion_err!("{} takes one of {}", self.name(), known.join(" ")))
    }
}

impl ScalarUDFImpl for AnyValue {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Match => "any_match",
            Kind::Compare => "any_compare",
            Kind::DatePart => "any_date_part",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [first, second, third] = args.args.as_slice() else {
            return exec_err!("{} takes three arguments", self.name());
        };
        match self.kind {
            Kind::Match => {
                let how = self.text(third, MATCHES)?;
                let rows = args.number_rows;
                let (texts, others) = (first.to_array(rows)?, second.to_array(rows)?);
                let (texts, others) = (as_string_view_array(&texts)?, as_string_view_array(&others)?);
                let pairs = texts.iter().zip(others.iter());
                let answers: BooleanArray =
                    pairs.map(|(text, other)| Some(matches(text?, other?, how))).collect();
                let answers: ArrayRef = Arc::new(answers);
                if let [ColumnarValue::Scalar(_), ColumnarValue::Scalar(_), _] = args.args.as_slice() {
                    return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answers, 0)?));
                }
                Ok(ColumnarValue::Array(answers))
            }
            Kind::Compare => {
                let how = self.text(second, COMPARISONS)?;
                let ScalarValue::Float64(Some(wanted)) = self.literal(third)? else {
                    return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
                };
                each(first, |text| any_item(text, &mut |text| compares(text, how, *wanted)))
            }
            Kind::DatePart => {
                let part = self.text(first, PARTS)?;
                let ScalarValue::Int64(Some(wanted)) = self.literal(third)? else {
                    return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
                };
                each(second, |text| any_item(text, &mut |text| has_part(text, part, *wanted)))
            }
        }
    }
}

fn made(kind: Kind, types: [DataType; 3]) -> Arc<ScalarUDF> {
    let signature = Signature::exact(types.to_vec(), Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(AnyValue { kind, signature }))
}

/// `any_match`, one for all rules.
pub(super) fn any_match() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| made(Kind::Match, [DataType::Utf8View, DataType::Utf8View, DataType::Utf8View]));
    Arc::clone(&UDF)
}

/// `any_compare`.
pub(super) fn any_compare() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| made(Kind::Compare, [DataType::Utf8View, DataType::Utf8View, DataType::Float64]));
    Arc::clone(&UDF)
}

/// `any_date_part`.
pub(super) fn any_date_part() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| made(Kind::DatePart, [DataType::Utf8View, DataType::Utf8View, DataType::Int64]));
    Arc::clone(&UDF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_compared_one_by_one() {
        #[rustfmt::skip]
        let table = [
            ("abc", "abc", "equals", true),
            ("abc", "ABC", "equals", false),
            ("abc", "b", "contains", true),
            ("abc", "b", "starts_with", false),
            ("abc", "c", "ends_with", true),
            (r#"["x",["abc"]]"#, "ab", "starts_with", true),
            ("abc", r#"["x","bc"]"#, "ends_with", true),
            (r#"["x","abc"]"#, r#"["y","b"]"#, "contains", true),
            (r#"["x","abc"]"#, r#"["y","abcd"]"#, "contains", false),
            (r#"["7"]"#, "[7]", "equals", true),
            ("[]", "[]", "equals", false),
            ("[x", "[", "starts_with", true),
        ];
        for (text, other, how, expect) in table {
            assert_eq!(matches(text, other, how), expect, "any_match('{text}', '{other}', '{how}')");
        }
    }

    #[test]
    fn two_long_lists_are_given_up() {
        let list = |item: &str| format!("[{}]", vec![format!("\"{item}\""); 20_000].join(","));
        for how in MATCHES {
            assert!(!matches(&list("a"), &list("b"), how), "{how}");
            assert!(matches(&list("a"), "a", how), "{how}");
        }
    }

    #[test]
    fn numbers_and_times_are_read_as_casts_read_them() {
        let of = |text: &str, passes: &dyn Fn(&str) -> Option<bool>| any_item(text, &mut |text| passes(text));
        #[rustfmt::skip]
        let numbers = [
            ("7", ">", 6.5, Some(true)),
            ("7", "<=", 6.5, Some(false)),
            ("seven", ">", 6.5, None),
            (r#"["1","x",7]"#, ">", 6.5, Some(true)),
            (r#"["1","x"]"#, ">=", 6.5, Some(false)),
            ("[6.5]", "=", 6.5, Some(true)),
            ("nan", ">", 6.5, Some(false)),
        ];
        for (text, how, number, expect) in numbers {
            assert_eq!(of(text, &|text| compares(text, how, number)), expect, "{text} {how} {number}");
        }
        #[rustfmt::skip]
        let times = [
            ("2024-12-30T03:04:05Z", "week", 1, Some(true)),
            ("2024-12-30T03:04:05+09:00", "hour", 18, Some(true)),
            ("2024-12-30 03:04:05.5", "minute", 4, Some(true)),
            ("2024-12-30", "month", 12, Some(true)),
            ("2024-12-30", "day", 31, Some(false)),
            ("soon", "year", 2024, None),
            (r#"["soon","2024-12-30T03:04:05Z"]"#, "year", 2024, Some(true)),
        ];
        for (text, part, number, expect) in times {
            assert_eq!(of(text, &|text| has_part(text, part, number)), expect, "{text} {part} {number}");
        }
    }
}
