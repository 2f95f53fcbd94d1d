//! Values between separators, under the names of declared columns: CSV, TSV and their like.
//!
//! Owns rows, quotes and names of columns. A frame holds one row or several; blank lines are none. A value that starts with
//! the quote ends with it, and may hold separators, line ends and the quote itself, written twice; a quote further on is
//! part of the value. All values are texts. A row with more values than columns has the others as `column_N`, counted from 1;
//! one with fewer lacks those fields.

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::{memchr, memchr2};

use super::{Fault, Reader, text};
use crate::decode::events::{Events, Object};

/// Columns that may be declared, and values of a row.
const COLUMNS_MAX: usize = 1_024;
/// Bytes of a column's name.
const NAME_BYTES_MAX: usize = 256;

/// Why columns cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelimitedError {
    /// None, or too many.
    #[error("{0} columns are declared: name 1 to {COLUMNS_MAX}")]
    Count(usize),
    /// Empty or too long.
    #[error("the name of column {0} is empty or longer than {NAME_BYTES_MAX} bytes")]
    Name(usize),
    /// Two columns would have one name.
    #[error("the name of column {0} is that of another, or `column_N` for another place: rename it")]
    Twice(usize),
    /// Bytes that cannot separate or quote.
    #[error("separator and quote must be two ASCII characters, neither of them a line end")]
    Bytes,
}

/// Reads rows.
#[derive(Debug)]
pub struct Delimited {
    columns: Vec<String>,
    separator: u8,
    quote: Option<u8>,
}

/// What follows a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Value,
    Row,
}

impl Delimited {
    /// Rows with those columns, in order; without a quote, quotes are part of the values.
    pub fn new(columns: Vec<String>, separator: u8, quote: Option<u8>) -> Result<Self, DelimitedError> {
        if columns.is_empty() || columns.len() > COLUMNS_MAX {
            return Err(DelimitedError::Count(columns.len()));
        }
        let usable = |byte: u8| byte.is_ascii() && !matches!(byte, b'\n' | b'\r');
        if !usable(separator) || quote.is_some_and(|quote| !usable(quote) || quote == separator) {
            return Err(DelimitedError::Bytes);
        }
        let mut seen = HashSet::new();
        for (at, column) in (1..).zip(&columns) {
            if column.is_empty() || column.len() > NAME_BYTES_MAX {
                return Err(DelimitedError::Name(at));
            }
            let place = column.strip_prefix("column_").and_then(|number| number.parse::<usize>().ok());
            if !seen.insert(column) || place.is_some_and(|place| place > columns.len()) {
                return Err(DelimitedError::Twice(at));
            }
        }
        Ok(Self { columns, separator, quote })
    }

    /// Writes the row that starts at a byte; returns where the next starts.
    fn row(&self, text: &str, mut at: usize, object: &mut Object<'_>) -> Result<usize, Fault> {
        for number in 1..=COLUMNS_MAX {
            let (value, next, after) = self.value(text, at)?;
            match self.columns.get(number - 1) {
                Some(column) => object.text(column, &value),
                None => object.text(&format!("column_{number}"), &value),
            }
            at = next;
            if after == After::Row {
                return Ok(at);
            }
        }
        Err(Fault::new(at, format!("more than {COLUMNS_MAX} values in a row")))
    }

    /// The value at a byte, where what follows it starts, and what that is.
    fn value<'a>(&self, text: &'a str, at: usize) -> Result<(Cow<'a, str>, usize, After), Fault> {
        let rest = text.get(at..).unwrap_or_default();
        match self.quote {
            Some(quote) if rest.as_bytes().first() == Some(&quote) => self.quoted(rest, at, quote),
            _ => {
                let end = memchr2(self.separator, b'\n', rest.as_bytes()).unwrap_or(rest.len());
                let value = rest.get(..end).unwrap_or_default();
                if rest.as_bytes().get(end) == Some(&self.separator) {
                    return Ok((Cow::Borrowed(value), at + end + 1, After::Value));
                }
                let value = value.strip_suffix('\r').unwrap_or(value);
                Ok((Cow::Borrowed(value), (at + end + 1).min(text.len()), After::Row))
            }
        }
    }

    fn quoted<'a>(&self, rest: &'a str, at: usize, quote: u8) -> Result<(Cow<'a, str>, usize, After), Fault> {
        let bytes = rest.as_bytes();
        let mut value = Cow::Borrowed("");
        let mut from = 1;
        loop {
            let Some(end) = bytes.get(from..).and_then(|left| memchr(quote, left)).map(|end| from + end)
            else {
                return Err(Fault::new(at, "a quote that is never closed"));
            };
            let twice = bytes.get(end + 1) == Some(&quote);
            // Of two quotes, the first is part of the value.
            let piece = rest.get(from..if twice { end + 1 } else { end }).unwrap_or_default();
            if value.is_empty() {
                value = Cow::Borrowed(piece);
            } else {
                value.to_mut().push_str(piece);
            }
            if twice {
                from = end + 2;
                continue;
            }
            let after = bytes.get(end + 1..).unwrap_or_default();
            return match after {
                [] => Ok((value, at + end + 1, After::Row)),
                [b'\n', ..] => Ok((value, at + end + 2, After::Row)),
                [b'\r', b'\n', ..] => Ok((value, at + end + 3, After::Row)),
                [b'\r'] => Ok((value, at + end + 2, After::Row)),
                [byte, ..] if *byte == self.separator => Ok((value, at + end + 2, After::Value)),
                _ => Err(Fault::new(at + end + 1, "text after the closing quote of a value")),
            };
        }
    }
}

impl Reader for Delimited {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let text = text(frame)?;
        let mut at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(blank) = [("\n", 1), ("\r\n", 2)].iter().find(|(end, _)| rest.starts_with(end)) {
                at += blank.1;
            } else {
                at = events.event(|object| self.row(text, at, object))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::RejectCode;
    use crate::decode::readers::read;

    fn abc(separator: u8, quote: Option<u8>) -> Delimited {
        Delimited::new(["a", "b", "c"].map(str::to_owned).to_vec(), separator, quote).expect("columns")
    }

    #[test]
    fn rows() {
        for (frame, expect) in [
            ("1,2,3", json!([{"a": "1", "b": "2", "c": "3"}])),
            ("1,2,3\r\n", json!([{"a": "1", "b": "2", "c": "3"}])),
            ("\u{feff}1,,", json!([{"a": "1", "b": "", "c": ""}])),
            ("1,2", json!([{"a": "1", "b": "2"}])),
            ("1,2,3,4,", json!([{"a": "1", "b": "2", "c": "3", "column_4": "4", "column_5": ""}])),
            ("\n\r\n1\n\n2\n", json!([{"a": "1"}, {"a": "2"}])),
            ("\"1,\n\"\"x\"\"\",\"\",\"é\"\n4", json!([{"a": "1,\n\"x\"", "b": "", "c": "é"}, {"a": "4"}])),
            ("1\"2\", \"3\",4\"", json!([{"a": "1\"2\"", "b": " \"3\"", "c": "4\""}])),
            ("\"1\"\r", json!([{"a": "1"}])),
            ("\"\"\"\"\"\"\r\n", json!([{"a": "\"\""}])),
        ] {
            assert_eq!(read(&mut abc(b',', Some(b'"')), frame.as_bytes()), Ok(expect), "{frame:?}");
        }
        assert_eq!(
            read(&mut abc(b'\t', None), b"\"1\t2 3\t\""),
            Ok(json!([{"a": "\"1", "b": "2 3", "c": "\""}]))
        );
    }

    #[test]
    fn faults() {
        let wide = ",".repeat(COLUMNS_MAX);
        for (frame, at, what) in [
            ("1,\"2", 2, "a quote that is never closed"),
            ("\"", 0, "a quote that is never closed"),
            ("1\n\"2\"\"\n", 2, "a quote that is never closed"),
            ("\"1\"2,3", 3, "text after the closing quote of a value"),
            (&wide, COLUMNS_MAX, "more than 1024 values in a row"),
        ] {
            let fault = read(&mut abc(b',', Some(b'"')), frame.as_bytes());
            assert_eq!(fault, Err(Fault::new(at, what)), "{frame:?}");
        }
        assert_eq!(
            read(&mut abc(b',', None), b"a\xff"),
            Err(Fault::new(1, "no UTF-8").code(RejectCode::NotUtf8))
        );
    }

    #[test]
    fn declarations_that_cannot_be() {
        for (columns, separator, quote, expect) in [
            ("", b',', None, DelimitedError::Name(1)),
            ("a a", b',', None, DelimitedError::Twice(2)),
            ("a column_3", b',', None, DelimitedError::Twice(2)),
            ("a", b'\n', None, DelimitedError::Bytes),
            ("a", 200, None, DelimitedError::Bytes),
            ("a", b',', Some(b','), DelimitedError::Bytes),
        ] {
            let columns = columns.split(' ').map(str::to_owned).collect();
            assert_eq!(Delimited::new(columns, separator, quote).map(|_| ()), Err(expect));
        }
        assert_eq!(Delimited::new(Vec::new(), b',', None).map(|_| ()), Err(DelimitedError::Count(0)));
        assert!(Delimited::new(vec!["a".into(), "column_2".into()], b',', None).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&mut abc(b',', Some(b'"')), &bytes);
        }

        #[test]
        fn any_text_is_events_or_a_fault(text in "[a,\"\r\né]{0,30}") {
            let _ = read(&mut abc(b',', Some(b'"')), text.as_bytes());
        }

        #[test]
        fn what_another_program_writes_is_read(rows in proptest::collection::vec(["[a, \"\r\né]{0,9}", "[a,\"\n]{0,9}", "[ab]{1,3}"], 1..4)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).expect("writes");
            }
            let written = writer.into_inner().expect("all");
            let expect: Vec<_> = rows.iter().map(|[a, b, c]| json!({"a": a, "b": b, "c": c})).collect();
            prop_assert_eq!(read(&mut abc(b',', Some(b'"')), &written), Ok(Value::Array(expect)));
        }
    }
}
