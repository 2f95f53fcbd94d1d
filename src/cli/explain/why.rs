//! Why a rule fires on an event or does not, in one sentence.
//!
//! Owns the sentence; which parts decide is `detect::trace`'s. Called by `page` and `json`.

use serde_json::Value;

use super::TracedEvent;
use crate::detect::cost::Lookup;
use crate::detect::explain::Explained;
use crate::detect::trace::{Leaf, Trace};
use crate::printable;

/// Parts that a sentence names.
const PARTS_NAMED_MAX: usize = 4;
/// Columns of one value.
const VALUE_COLUMNS_MAX: usize = 80;

/// The sentence, without a full stop.
pub(super) fn sentence(event: &TracedEvent, tables: &[Explained]) -> String {
    let mut failed = None;
    let mut best: Option<(&Explained, &Trace)> = None;
    for (table, trace) in &event.rows {
        let Some(explained) = tables.get(*table) else { continue };
        match trace {
            Ok(trace) => {
                let key = |trace: &Trace| (!trace.fired, trace.decisive.len());
                if best.is_none_or(|(_, best)| key(trace) < key(best)) {
                    best = Some((explained, trace));
                }
            }
            Err(error) => failed = Some(error),
        }
    }
    match (best, failed) {
        (Some((explained, trace)), _) if trace.fired => format!("it fires: {}", parts(explained, trace)),
        (_, Some(error)) => format!("it does not fire: {error}"),
        (Some((explained, trace)), None) => format!("it does not fire: {}", parts(explained, trace)),
        (None, None) => format!("it does not fire: {}", elsewhere(event, tables)),
    }
}

fn elsewhere(event: &TracedEvent, tables: &[Explained]) -> String {
    let quoted =
        |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
    let own: Vec<&str> = tables.iter().map(|explained| explained.rule.table.name.as_str()).collect();
    if let Some(none) = &event.read.in_none {
        let hint = none.hint.as_ref().map(|hint| format!(": it {hint}")).unwrap_or_default();
        return format!("the event is in no table{hint}");
    }
    let its: Vec<&str> = event.read.tables.iter().map(String::as_str).collect();
    format!("the event is a row of {}, and the rule looks at {}", quoted(&its), quoted(&own))
}

fn parts(explained: &Explained, trace: &Trace) -> String {
    // That there is a value says nothing beside what is said of it.
    let column = |leaf: &Leaf| match leaf {
        Leaf::Atom(at) => {
            explained.atoms.get(*at).map(|atom| (&atom.column, atom.lookup == Lookup::Presence))
        }
        Leaf::Residual(_) => None,
    };
    let told = |leaf: &&Leaf| match column(leaf) {
        Some((name, true)) if trace.holds(**leaf) => {
            !trace.decisive.iter().any(|other| column(other) == Some((name, false)))
        }
        _ => true,
    };
    let mut decisive: Vec<&Leaf> = trace.decisive.iter().filter(told).collect();
    // Columns that lack a value are one reason, however many they are.
    let is_lacking = |leaf: &Leaf| column(leaf).is_some_and(|(_, presence)| presence) && !trace.holds(*leaf);
    let lacking: Vec<&str> = decisive
        .iter()
        .filter(|leaf| is_lacking(leaf))
        .filter_map(|leaf| column(leaf).map(|(name, _)| name.as_str()))
        .collect();
    let mut named = Vec::new();
    if lacking.len() > 1 {
        decisive.retain(|leaf| !is_lacking(leaf));
        named.push(format!("{} have no value", lacking.join(", ")));
    }
    let room = PARTS_NAMED_MAX - named.len();
    named.extend(decisive.iter().take(room).map(|leaf| part(explained, trace, **leaf)));
    let more = decisive.len().saturating_sub(room);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

fn part(explained: &Explained, trace: &Trace, leaf: Leaf) -> String {
    let holds = trace.holds(leaf);
    // A true part that keeps a rule from firing must not be true.
    let verb = match (holds, trace.fired) {
        (true, true) => "holds",
        (true, false) => "holds, and must not",
        (false, _) => "does not hold",
    };
    match leaf {
        Leaf::Atom(at) => {
            let Some(atom) = explained.atoms.get(at) else { return String::new() };
            format!("`{}` {verb} ({})", atom.text, is(trace, &atom.column))
        }
        Leaf::Residual(at) => {
            let Some(residual) = explained.residuals.get(at) else { return String::new() };
            let null = trace.residuals.get(at).is_some_and(Option::is_none);
            let mut notes: Vec<String> = residual.columns.iter().map(|column| is(trace, column)).collect();
            notes.extend(null.then(|| "it is NULL".to_owned()));
            format!("`{}` {verb} ({})", residual.text, notes.join(", "))
        }
    }
}

fn is(trace: &Trace, column: &str) -> String {
    match trace.value(column) {
        Value::Null => format!("{column} has no value"),
        value => format!("{column} is {}", shown(value)),
    }
}

/// A value on one line.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "no value".to_owned(),
        Value::String(text) => format!("'{}'", printable::line(text, VALUE_COLUMNS_MAX)),
        value => printable::line(&value.to_string(), VALUE_COLUMNS_MAX),
    }
}
