//! A table file → the table, and all that its values have wrong.
//!
//! Owns what the file's shape cannot tell: names that clash, paths and views that mean nothing, values that do not fit
//! their column. Faulty parts stay in the table where they can, so that rules on it are looked at. Called by
//! `normalise::schema`.

use std::collections::BTreeMap;

use super::file::{ColumnFile, FillFile, FormatsFile, TableFile, ViewFile};
use super::{Column, ColumnType, Fill, SystemColumn, Table, View, ocsf};
use crate::decode::{self, Value};
use crate::diagnostic::{Diagnostic, codes, suggest};
use crate::document::{Document, Spans, pointer_segment};
use crate::normalise::columns::{Cell, cell};
use crate::normalise::condition::Condition;
use crate::normalise::projection::column_path;
use crate::normalise::time::{ZoneOffset, parse_text};

/// The table, as far as it can be read.
pub(super) fn build(document: &Document<TableFile>, found: &mut Vec<Diagnostic>) -> Table {
    let (file, spans) = (&document.value, &document.spans);
    let mut columns = Vec::new();
    for (name, column) in &file.columns {
        columns.push(self::column(name, column, &columns, spans, found));
    }
    clashes(&columns, spans, found);
    let views = file.view.iter().enumerate();
    let views = views.flat_map(|(at, entry)| view(at, entry, file, &columns, spans, found)).collect();
    Table {
        name: file.table.clone(),
        class_uid: file.class_uid,
        description: file.description.clone(),
        columns,
        views,
        incomplete: false,
    }
}

fn column(
    name: &str,
    column: &ColumnFile,
    others: &[Column],
    spans: &Spans,
    found: &mut Vec<Diagnostic>,
) -> Column {
    let pointer = format!("/columns/{}", pointer_segment(name));
    if SystemColumn::named(name).is_some() {
        found.push(
            Diagnostic::new(codes::S005, format!("`{name}` is a column that every table has"))
                .at(spans.key(&pointer)),
        );
    }
    if column_path(name).is_some() {
        let message = format!("`{name}` is how rules read a field of the event by its path");
        found.push(Diagnostic::new(codes::S005, message).at(spans.key(&pointer)));
    }
    if let Some(twin) = others.iter().find(|other| other.name.eq_ignore_ascii_case(name)) {
        let message =
            format!("`{name}` and `{}` differ only in case; SQL does not tell them apart", twin.name);
        found.push(Diagnostic::new(codes::S001, message).at(spans.key(&pointer)));
    }
    let lost = |key: &str| spans.is_lost(&format!("{pointer}/{key}"));
    let path = column.ocsf.as_ref();
    let path: Option<Vec<String>> = path.map(|path| path.split('.').map(str::to_owned).collect());
    if !lost("type") {
        if let Some((message, help)) = path.as_ref().and_then(|path| ocsf::fault(path, column.r#type)) {
            let place = spans.value(&format!("{pointer}/ocsf"));
            found.push(Diagnostic::new(codes::S007, message).at(place).help(help));
        }
        let observable = column.observable;
        if column.list && column.r#type != ColumnType::String {
            let message = format!("`{name}` cannot hold lists: they are text");
            let help = format!("make it of type {}", ColumnType::String.name());
            let place = spans.value(&format!("{pointer}/list"));
            found.push(Diagnostic::new(codes::S006, message).at(place).help(help));
        }
        if let Some((message, help)) = observable.and_then(|o| ocsf::misfit_observable(o, column.r#type)) {
            let place = spans.value(&format!("{pointer}/observable"));
            found.push(Diagnostic::new(codes::S008, message).at(place).help(help));
        }
    }
    Column {
        name: name.to_owned(),
        kind: column.r#type,
        description: column.description.clone(),
        category: column.category,
        ocsf: path,
        observable: column.observable,
        list: column.list,
    }
}

/// Paths that are the beginning of another's.
fn clashes(columns: &[Column], spans: &Spans, found: &mut Vec<Diagnostic>) {
    for column in columns {
        let Some(path) = &column.ocsf else { continue };
        let pointer = format!("/columns/{}/ocsf", pointer_segment(&column.name));
        let place = spans.value(&pointer);
        // One that ends at an object has been told, and clashes for that reason.
        let told = found.iter().any(|diagnostic| {
            diagnostic.location.as_ref().is_some_and(|location| location.span == place.span)
        });
        let clash = columns.iter().any(|other| {
            other.name != column.name
                && other.ocsf.as_ref().is_some_and(|o| o.len() > path.len() && o.starts_with(path))
        });
        if clash && !told {
            let message = format!("`{}` is also the parent of another column's path", path.join("."));
            found.push(Diagnostic::new(codes::S007, message).at(place));
        }
    }
}

/// One view for each of its formats.
fn view(
    at: usize,
    view: &ViewFile,
    file: &TableFile,
    columns: &[Column],
    spans: &Spans,
    found: &mut Vec<Diagnostic>,
) -> Vec<View> {
    let pointer = |key: &str| format!("/view/{at}/{key}");
    let lost = |key: &str| spans.is_lost(&pointer(key));
    let formats = formats(&view.format, &pointer("format"), spans, found);
    let condition = match Condition::parse(&view.r#where) {
        Ok(condition) => Some(condition),
        Err(_) if lost("where") => None,
        Err(error) => {
            found.push(
                Diagnostic::new(codes::S003, error.to_string())
                    .at(spans.value(&pointer("where")))
                    .help("use =, <>, IN, IS [NOT] NULL, AND, OR, NOT over field names and literals"),
            );
            None
        }
    };
    let column_lost = |name: &str| spans.is_lost(&format!("/columns/{}", pointer_segment(name)));
    for name in view.fill.keys().filter(|name| !file.columns.contains_key(*name) && !column_lost(name)) {
        found.push(
            Diagnostic::new(codes::S004, format!("the table has no column `{name}`"))
                .at(spans.key(&pointer(&format!("fill/{}", pointer_segment(name)))))
                .help(suggest(name, file.columns.keys().map(String::as_str))),
        );
    }
    for column in columns.iter().filter(|column| !column_lost(&column.name)) {
        let Some(fill) = view.fill.get(&column.name) else { continue };
        let pointer = pointer(&format!("fill/{}", pointer_segment(&column.name)));
        found.extend(misfits(fill, column, &pointer, spans));
    }
    let filled = |column: &Column| view.fill.get(&column.name).map_or_else(|| own_name(&column.name), fill);
    let fills: Vec<Fill> = columns.iter().map(filled).collect();
    let Some(condition) = condition else { return Vec::new() };
    let view = |format| View { format, condition: condition.clone(), fills: fills.clone() };
    formats.into_iter().map(view).collect()
}

/// The formats that a view names, each once.
fn formats(
    file: &FormatsFile,
    pointer: &str,
    spans: &Spans,
    found: &mut Vec<Diagnostic>,
) -> Vec<&'static str> {
    let named: Vec<(&str, String)> = match file {
        FormatsFile::One(name) => vec![(name, pointer.to_owned())],
        FormatsFile::Several(names) => {
            names.iter().enumerate().map(|(at, name)| (name.as_str(), format!("{pointer}/{at}"))).collect()
        }
    };
    if named.is_empty() {
        let message = "the view is of no format";
        found.push(Diagnostic::new(codes::S002, message).at(spans.value(pointer)).help("name at least one"));
    }
    let mut formats = Vec::new();
    for (name, pointer) in named {
        let refused = match decode::format(name) {
            Some(format) if formats.contains(&format.name()) => {
                let message = format!("the format `{name}` is named twice");
                Diagnostic::new(codes::S002, message).help("each event would make two rows")
            }
            Some(format) => {
                formats.push(format.name());
                continue;
            }
            // What cannot be read as text was told.
            None if spans.is_lost(&pointer) => continue,
            None => {
                let known = decode::FORMATS.iter().map(|format| format.name());
                let message = format!("the format `{name}` is not known");
                Diagnostic::new(codes::S002, message).help(suggest(name, known))
            }
        };
        found.push(refused.at(spans.value(&pointer)));
    }
    formats
}

/// The values that are written down for a column and do not fit it.
fn misfits(fill: &FillFile, column: &Column, pointer: &str, spans: &Spans) -> Vec<Diagnostic> {
    let FillFile::Made(made) = fill else { return Vec::new() };
    let unfit = |value: &dyn std::fmt::Display, pointer: String| {
        let message = format!("{value} is no value of the column `{}`", column.name);
        let help = format!("it is of type {}", column.kind.name());
        Diagnostic::new(codes::S006, message).at(spans.value(&pointer)).help(help)
    };
    let mut found = Vec::new();
    if let Some(value) = made.value.as_ref().filter(|value| !holds(column.kind, value)) {
        found.push(unfit(value, format!("{pointer}/value")));
    }
    let mapped = made.map.iter().map(|(from, to)| (to, format!("{pointer}/map/{}", pointer_segment(from))));
    let otherwise = made.otherwise.iter().map(|to| (to, format!("{pointer}/otherwise")));
    for (text, pointer) in mapped.chain(otherwise) {
        let value = Value::Text(text.as_str().into());
        if cell(&value, column.kind, ZoneOffset::UTC, &mut String::new()) == Cell::Unfit {
            found.push(unfit(&format!("`{text}`"), pointer));
        }
    }
    found
}

/// Whether a constant fits a column of that type.
fn holds(kind: ColumnType, value: &serde_json::Value) -> bool {
    match kind {
        ColumnType::String => value.is_string() || value.is_number() || value.is_boolean(),
        ColumnType::Int => value.is_i64(),
        ColumnType::Double => value.is_number(),
        ColumnType::Boolean => value.is_boolean(),
        ColumnType::Timestamp => {
            value.as_str().is_some_and(|text| parse_text(text, ZoneOffset::UTC).is_some())
        }
    }
}

fn own_name(name: &str) -> Fill {
    Fill::First { paths: vec![name.to_owned()], map: BTreeMap::new(), otherwise: None }
}

fn fill(file: &FillFile) -> Fill {
    match file {
        FillFile::Field(path) => own_name(path),
        FillFile::First(paths) => Fill::First { paths: paths.clone(), map: BTreeMap::new(), otherwise: None },
        FillFile::Made(made) => match &made.value {
            Some(value) => Fill::Constant(value.clone()),
            None if !made.join.is_empty() => {
                Fill::Join { paths: made.join.clone(), separator: made.separator.clone() }
            }
            None if !made.sum.is_empty() => Fill::Sum { paths: made.sum.clone() },
            None => Fill::First {
                paths: made.first.clone(),
                map: made.map.clone(),
                otherwise: made.otherwise.clone(),
            },
        },
    }
}
