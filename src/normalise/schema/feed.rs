//! Whether events of a format can make certain rows of a table, and fill a certain column.
//!
//! Owns what can be said without an event: constants and lists of values in the table's views against a condition on its
//! columns. What cannot be told counts as possible. Called by `rules::sigma::coverage`.

use super::{Fill, Table, View};
pub use crate::decode::{FORMATS, Format};
use crate::normalise::condition::Condition;

/// What a column of a view can hold: anything, or one of these texts in lower case; `None` is no value.
type Values = Option<Vec<Option<String>>>;

/// Whether an event of the view's format can be a row for which the condition (in the SQL of rules) holds.
pub fn can_match(table: &Table, view: &View, condition: Option<&str>) -> bool {
    // Conditions that are no comparisons with literals say nothing here.
    let Some(Ok(condition)) = condition.map(Condition::parse) else { return true };
    holds(&condition, &|column| values(table, view, column)) != Some(false)
}

/// Whether an event of the view's format can have a value in the column, which is one of the table's.
pub fn can_fill(table: &Table, view: &View, column: &str, format: &dyn Format) -> bool {
    let Some(fill) = table.column(column).and_then(|at| view.fills.get(at)) else { return false };
    let any = |paths: &[String]| paths.iter().any(|path| format.may_hold(path));
    match fill {
        Fill::First { paths, otherwise, .. } => otherwise.is_some() || any(paths),
        Fill::Join { paths, .. } | Fill::Sum { paths } => any(paths),
        Fill::Constant(_) => true,
    }
}

/// What a column of a view can hold.
fn values(table: &Table, view: &View, column: &str) -> Values {
    let at = table.columns.iter().position(|known| known.name.eq_ignore_ascii_case(column))?;
    match view.fills.get(at)? {
        Fill::Constant(serde_json::Value::String(text)) => Some(vec![Some(text.to_lowercase())]),
        Fill::Constant(other) => Some(vec![Some(other.to_string().to_lowercase())]),
        Fill::First { paths, otherwise: None, .. } if paths.is_empty() => Some(vec![None]),
        Fill::First { map, otherwise: Some(otherwise), .. } => {
            Some(map.values().chain([otherwise]).map(|text| Some(text.to_lowercase())).collect())
        }
        Fill::First { paths, map, otherwise: None } => {
            let [path] = paths.as_slice() else { return None };
            let mapped = |text: &String| {
                let to = map.iter().find(|(from, _)| from.eq_ignore_ascii_case(text));
                Some(to.map_or_else(|| text.clone(), |(_, to)| to.to_lowercase()))
            };
            Some(listed(&view.condition, path)?.iter().map(mapped).collect())
        }
        Fill::Join { .. } | Fill::Sum { .. } => None,
    }
}

/// The only values that a field can have where the condition holds, when it says so.
fn listed(condition: &Condition, path: &str) -> Option<Vec<String>> {
    match condition {
        Condition::In(field, literals) if field == path => Some(literals.clone()),
        Condition::And(parts) => parts.iter().find_map(|part| listed(part, path)),
        Condition::Or(parts) => {
            let all: Option<Vec<_>> = parts.iter().map(|part| listed(part, path)).collect();
            all.map(|all| all.concat())
        }
        _ => None,
    }
}

/// Whether the condition holds, when that can be told.
fn holds(condition: &Condition, values: &dyn Fn(&str) -> Values) -> Option<bool> {
    let all_or_none = |values: Vec<Option<String>>, passes: &dyn Fn(&Option<String>) -> bool| {
        let passed = values.iter().filter(|value| passes(value)).count();
        if passed == 0 {
            Some(false)
        } else if passed == values.len() {
            Some(true)
        } else {
            None
        }
    };
    match condition {
        Condition::True => Some(true),
        Condition::In(column, literals) => all_or_none(values(column)?, &|value| {
            value.as_ref().is_some_and(|value| literals.contains(value))
        }),
        Condition::Present(column) => all_or_none(values(column)?, &Option::is_some),
        Condition::And(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| holds(part, values)).collect();
            if parts.contains(&Some(false)) {
                Some(false)
            } else {
                parts.iter().all(|part| *part == Some(true)).then_some(true)
            }
        }
        Condition::Or(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| holds(part, values)).collect();
            if parts.contains(&Some(true)) {
                Some(true)
            } else {
                parts.iter().all(|part| *part == Some(false)).then_some(false)
            }
        }
        Condition::Not(inner) => holds(inner, values).map(|holds| !holds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode;
    use crate::diagnostic::SourceFile;
    use crate::normalise::schema::Catalog;

    const TABLE: &str = r#"table = "t"
class_uid = 1
description = "d"
[columns]
EventID = { type = "int", category = "machine", description = "d" }
activity = { type = "string", category = "machine", description = "d" }
outcome = { type = "string", category = "machine", description = "d" }
platform = { type = "string", category = "machine", description = "d" }
Image = { type = "string", category = "machine", description = "d" }
host = { type = "string", category = "machine", description = "d" }
never = { type = "string", category = "machine", description = "d" }
[[view]]
format = "windows-json"
where = "Channel = 'a' AND (EventID = 1 OR EventID IN (5, 25))"
[view.fill]
platform = { value = "Windows" }
activity = { first = ["EventID"], map = { "1" = "launch", "5" = "terminate" } }
outcome = { first = ["Status"], map = { "0x0" = "success" }, otherwise = "failure" }
never = []
[[view]]
format = "suricata-eve"
where = "event_type = 'flow'"
[view.fill]
platform = { value = "network" }
"#;

    #[test]
    fn what_a_view_can_hold_decides() {
        let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("sound");
        let table = &catalog.tables()[0];
        for (condition, windows, suricata) in [
            ("platform = 'windows'", true, false),
            ("platform = 'linux'", false, false),
            ("platform <> 'linux'", true, true),
            ("NOT platform = 'windows'", false, true),
            ("activity = 'launch' AND platform = 'windows'", true, false),
            ("activity = 'tamper' AND platform = 'windows'", false, false),
            ("activity = '25'", true, true),
            ("EventID = 5 AND Image = 'x'", true, true),
            ("EventID IN (2, 3)", false, true),
            ("outcome = 'failure'", true, true),
            ("outcome = 'unknown'", false, true),
            ("never IS NULL", true, true),
            ("never IS NOT NULL OR EventID = 7", false, true),
            // Not for this module to say.
            ("Image LIKE '%x'", true, true),
            ("nobody = 'x'", true, true),
        ] {
            let can: Vec<bool> =
                table.views.iter().map(|view| can_match(table, view, Some(condition))).collect();
            assert_eq!(can, [windows, suricata], "{condition}");
        }
        let filled = |view: usize, column: &str| {
            let view = &table.views[view];
            let format = decode::format(view.format).expect("known");
            can_fill(table, view, column, format)
        };
        for (column, windows, suricata) in [
            ("Image", true, false),
            ("host", true, true),
            ("never", false, true),
            ("outcome", true, true),
            ("platform", true, true),
            ("nobody", false, false),
        ] {
            assert_eq!([filled(0, column), filled(1, column)], [windows, suricata], "{column}");
        }
    }
}
