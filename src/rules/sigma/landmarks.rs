//! Where in the text of a rule what it asks for stands: trees of conditions have no places.
//!
//! Owns what is remembered of them while a rule is lowered, for what is told of it later. Called by `lower` and `load`.

use std::collections::HashMap;

use super::expression::Fault;
use super::tree::Column;
use crate::diagnostic::Location;
use crate::normalise::schema::ColumnType;
use crate::printable;

/// Values that fit no column, of one rule: nobody reads more.
const UNFIT_MAX: usize = 50;
/// Columns of a value in a message.
const VALUE_COLUMNS_MAX: usize = 60;

/// A value that no column of its field can have.
#[derive(Debug, Clone)]
pub(super) struct Unfit {
    /// What is wrong, without saying what follows from it.
    pub(super) message: String,
    /// Where the value stands.
    pub(super) place: Location,
}

/// What stands where; of a rule and the filters that are part of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Landmarks {
    /// Where a column's field is named first.
    fields: HashMap<Column, Location>,
    /// The field with the most tests, and how many.
    largest: Option<(usize, Location)>,
    /// The value with the longest texts, and how many bytes.
    longest: Option<(usize, Location)>,
    unfit: Vec<Unfit>,
}

impl Landmarks {
    /// A field is named here.
    pub(super) fn field(&mut self, column: &Column, place: &Location) {
        if !self.fields.contains_key(column) {
            self.fields.insert(column.clone(), place.clone());
        }
    }

    /// The values of a field made so many tests.
    pub(super) fn item(&mut self, tests: usize, place: &Location) {
        most(&mut self.largest, tests, place);
    }

    /// A value made texts of so many bytes.
    pub(super) fn value(&mut self, bytes: usize, place: &Location) {
        most(&mut self.longest, bytes, place);
    }

    /// A value can be in none of its field's columns, which are of these types.
    pub(super) fn unfit(&mut self, field: &str, kinds: impl Iterator<Item = ColumnType>, place: &Location) {
        if self.unfit.len() >= UNFIT_MAX {
            return;
        }
        let mut names: Vec<&str> = kinds.map(values_of).collect();
        names.dedup();
        let written = place.file.text.get(place.span.clone()).unwrap_or_default();
        let written = printable::line(written.trim_matches(['\'', '"']), VALUE_COLUMNS_MAX);
        let written = if written.is_empty() { "an empty text".to_owned() } else { format!("`{written}`") };
        let field = printable::line(field, VALUE_COLUMNS_MAX);
        let message = format!("{written} never fits `{field}`, whose values are {}", names.join(" or "));
        self.unfit.push(Unfit { message, place: place.clone() });
    }

    /// Those of another, which is put beside this.
    pub(super) fn extend(&mut self, other: Self) {
        for (column, place) in &other.fields {
            self.field(column, place);
        }
        if let Some((count, place)) = &other.largest {
            most(&mut self.largest, *count, place);
        }
        if let Some((bytes, place)) = &other.longest {
            most(&mut self.longest, *bytes, place);
        }
        self.unfit.extend(other.unfit);
    }

    /// Where the field with the most tests is named.
    pub(super) fn largest(&self) -> Option<&Location> {
        self.largest.as_ref().map(|(_, place)| place)
    }

    /// Values that fit no column.
    pub(super) fn unfits(&self) -> &[Unfit] {
        &self.unfit
    }

    /// Where a field is named that has this column, or this path.
    pub(super) fn of_column(&self, name: &str) -> Option<&Location> {
        let is_it = |column: &Column| match column {
            Column::Named(named) => named.eq_ignore_ascii_case(name),
            Column::Path(path) => path == name,
            Column::Text => false,
        };
        let places = self.fields.iter().filter(|(column, _)| is_it(column)).map(|(_, place)| place);
        places.min_by_key(|place| place.span.start)
    }

    /// Where what has no expression stands.
    pub(super) fn of_fault(&self, fault: &Fault) -> Option<&Location> {
        match fault {
            Fault::Many(_) => self.largest(),
            Fault::Long { .. } => self.longest.as_ref().map(|(_, place)| place),
            Fault::Column { column, .. } => self.of_column(column),
            Fault::Path { path, .. } => self.of_column(path),
            Fault::Depth(_) | Fault::Network(_) | Fault::Function(_) => None,
        }
    }
}

fn most(known: &mut Option<(usize, Location)>, count: usize, place: &Location) {
    if known.as_ref().is_none_or(|(most, _)| *most < count) {
        *known = Some((count, place.clone()));
    }
}

/// What the values of a column of a type are.
fn values_of(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::String => "texts",
        ColumnType::Int => "whole numbers",
        ColumnType::Double => "numbers",
        ColumnType::Boolean => "true and false",
        ColumnType::Timestamp => "times",
    }
}
