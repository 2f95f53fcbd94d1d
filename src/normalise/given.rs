//! Rows that somebody wrote by hand: the `given:` rows of a rule's tests.
//!
//! Owns what they may hold: columns of the rule's table, and values that fit them; and which formats a file of records
//! may have. A stray value of an event becomes NULL, but one in a test is a slip of its author. Called by
//! `rules::metadata` to refuse such tests, and by `detect::sample`, which makes a batch of sound rows.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::columns::{Cell, cell};
use super::projection::column_path;
use super::schema::{ColumnType, SystemColumn, Table};
use super::time::ZoneOffset;
use crate::decode::{self, Value};
use crate::diagnostic::suggest;

/// What is wrong with one value of one row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {row}: {message}; {help}")]
pub struct Fault {
    /// 0-based row.
    pub row: usize,
    /// The column as it was written.
    pub column: String,
    /// True when the value is wrong, false when there is no such column.
    pub unfit: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}

/// All that is wrong with rows of a table.
pub fn faults(table: &Table, rows: &[Map<String, Json>]) -> Vec<Fault> {
    let mut found = Vec::new();
    for (row, values) in rows.iter().enumerate() {
        for (name, json) in values {
            let column = name.clone();
            let Some(kind) = kind(table, name) else {
                let system = SystemColumn::ALL.iter().map(|entry| entry.1);
                let known = table.columns.iter().map(|column| column.name.as_str()).chain(system);
                let message = format!("the table `{}` has no column `{name}`", table.name);
                let help = suggest(name, known.collect::<Vec<_>>());
                found.push(Fault { row, column, unfit: false, message, help });
                continue;
            };
            if cell(&value(Some(json)), kind, ZoneOffset::UTC, &mut String::new()) == Cell::Unfit {
                let message = format!("{json} is no value of the column `{name}`");
                let help = format!("it is of type {}", kind.name());
                found.push(Fault { row, column, unfit: true, message, help });
            }
        }
    }
    found
}

/// Why records of a test's file cannot be read as that format: what is wrong, and what to do.
pub fn format_fault(name: Option<&str>) -> Option<(String, String)> {
    let known = decode::FORMATS.iter().map(|format| format.name());
    match name {
        None => {
            let known = known.collect::<Vec<_>>().join(", ");
            Some(("a test on a file needs `format:`".to_owned(), format!("known formats: {known}")))
        }
        Some(name) if decode::format(name).is_none() => {
            Some((format!("there is no format `{name}`"), suggest(name, known)))
        }
        Some(_) => None,
    }
}

/// The type of a column: declared, of the system, or a field by its path. SQL does not tell cases of names apart.
fn kind(table: &Table, name: &str) -> Option<ColumnType> {
    let declared = table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let system = || SystemColumn::ALL.iter().find(|entry| entry.1.eq_ignore_ascii_case(name));
    let path = || column_path(name).map(|_| ColumnType::String);
    declared.map(|column| column.kind).or_else(|| system().map(|entry| entry.2)).or_else(path)
}

/// A value as a decoder would have brought it.
pub fn value(json: Option<&Json>) -> Value<'_> {
    match json {
        None | Some(Json::Null) => Value::Missing,
        Some(Json::Bool(flag)) => Value::Bool(*flag),
        Some(Json::Number(number)) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => number.as_f64().map_or(Value::Missing, Value::Double),
        },
        Some(Json::String(text)) => Value::Text(Cow::Borrowed(text)),
        Some(other) => Value::Text(Cow::Owned(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::schema::Catalog;
    use serde_json::json;

    #[test]
    fn values_fit_the_columns_of_the_table() {
        let catalog = Catalog::stock().expect("the stock tables");
        let table = catalog.table("process_activity").expect("there");
        for (row, expect) in [
            (json!({"Image": "a", "processid": 4, "event_time": "2026-01-02T03:04:05Z"}), vec![]),
            (json!({"ProcessId": "0x1f", "Image": 7, "User": null}), vec![]),
            (json!({"Imag": "a"}), vec![("Imag", false)]),
            (json!({"ProcessId": "four"}), vec![("ProcessId", true)]),
            (json!({"ProcessId": 1.5}), vec![("ProcessId", true)]),
            (json!({"event_time": "soon"}), vec![("event_time", true)]),
            (json!({"record_offset": [1]}), vec![("record_offset", true)]),
            (json!({"ProcessId": "x", "Nothing": 1}), vec![("Nothing", false), ("ProcessId", true)]),
            (json!({"field('a.b')": "x", "field('c')": [1], "event_text": "x"}), vec![]),
            (json!({"field('')": "x", "field(a)": 1}), vec![("field('')", false), ("field(a)", false)]),
        ] {
            let rows = [Map::new(), row.as_object().expect("an object").clone()];
            let found = faults(table, &rows);
            let shown: Vec<(&str, bool)> = found.iter().map(|f| (f.column.as_str(), f.unfit)).collect();
            assert_eq!(shown, expect, "{row}");
            assert!(found.iter().all(|fault| fault.row == 1 && !fault.help.is_empty()), "{row}");
        }
    }
}
