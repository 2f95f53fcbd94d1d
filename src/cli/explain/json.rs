//! Explanations for machines.
//!
//! Owns the keys, which docs/explain.md lists. Called by the parent.

use serde_json::{Map, Value, json};

use super::{Told, TracedEvent, TracedRecord, why};
use crate::detect::explain::{Explained, Part};
use crate::detect::trace::Trace;

/// The whole document.
pub(super) fn document(told: &[Told], set: usize) -> Value {
    json!({ "set_rules": set, "rules": told.iter().map(one).collect::<Vec<_>>() })
}

fn one(told: &Told) -> Value {
    let rule = told.tables.first().map(|table| &table.rule);
    let headline = told.sigma.as_ref().map(|sigma| &sigma.headline);
    let file = rule.map(|rule| rule.file.path.display().to_string());
    let id =
        rule.map(|rule| rule.meta.id.clone()).or_else(|| headline.and_then(|headline| headline.id.clone()));
    let title = rule
        .map(|rule| rule.meta.title.clone())
        .or_else(|| headline.and_then(|headline| headline.title.clone()));
    let mut document = json!({
        "id": id,
        "title": title,
        "file": file.or_else(|| told.sigma.as_ref().map(|sigma| sigma.place.clone())),
        "runs": rule.is_some_and(|rule| rule.enabled),
        "tables": told.tables.iter().map(table).collect::<Vec<_>>(),
    });
    if let Some(off) = told.off() {
        document["why_not"] = off.into();
    }
    if let Some(sigma) = &told.sigma {
        document["filters"] = sigma.filters.clone().into();
    }
    if let Some(record) = &told.events {
        document["event"] = record_of(record, &told.tables);
    }
    document
}

fn table(explained: &Explained) -> Value {
    let atoms = explained.atoms.iter().map(|atom| {
        json!({
            "column": atom.column,
            "test": atom.text,
            "lookup": atom.lookup.as_str(),
            "literals": atom.lookup.literals(),
            "shared_with_rules": atom.shared,
            "needed": atom.needed,
        })
    });
    let because =
        explained.because.iter().map(|because| json!({"what": because.what, "instead": because.instead}));
    json!({
        "table": explained.rule.table.name,
        "condition": part(&explained.condition, None),
        "atoms": atoms.collect::<Vec<_>>(),
        "residuals": explained.residuals.iter().map(|residual| residual.text.as_str()).collect::<Vec<_>>(),
        "cost": { "class": explained.class.as_str(), "because": because.collect::<Vec<_>>() },
    })
}

/// A part; with a trace also what is known of it, and whether it is true.
fn part(condition: &Part, trace: Option<&Trace>) -> Value {
    let each = |parts: &[Part]| parts.iter().map(|inner| part(inner, trace)).collect::<Vec<_>>();
    let mut shown = match condition {
        Part::Constant(truth) => json!({ "constant": truth }),
        Part::Atom(at) => json!({ "atom": at }),
        Part::Residual(at) => json!({ "residual": at }),
        Part::Not(inner) => json!({ "not": part(inner, trace) }),
        Part::All(parts) => json!({ "all": each(parts) }),
        Part::Any(parts) => json!({ "any": each(parts) }),
    };
    if let Some(trace) = trace {
        let known = match trace.known(condition) {
            Some(true) => "true",
            Some(false) => "false",
            None => "open",
        };
        shown["index"] = known.into();
        shown["holds"] = trace.truth(condition).into();
    }
    shown
}

fn record_of(record: &TracedRecord, tables: &[Explained]) -> Value {
    let mut document = json!({ "file": record.file, "record": record.record, "more_records": record.more });
    match &record.events {
        Ok(events) => {
            document["events_in_record"] = record.count.into();
            document["events"] = events.iter().map(|traced| event(traced, tables)).collect();
        }
        Err(reject) => {
            document["reject"] = reject.code.as_str().into();
            document["reason"] = reject.detail.clone().into();
        }
    }
    document
}

fn event(event: &TracedEvent, tables: &[Explained]) -> Value {
    let rows = event.rows.iter().filter_map(|(at, trace)| Some(row(tables.get(*at)?, trace.as_ref())));
    let unfit: Vec<Value> =
        event.read.unfit.iter().map(|(table, column)| json!({"table": table, "column": column})).collect();
    let mut document = json!({
        "index": event.index,
        "event_time": event.read.event_time,
        "tables": event.read.tables,
        "unfit": unfit,
        "fires": event.fired(),
        "why": why::sentence(event, tables),
        "rows": rows.collect::<Vec<_>>(),
    });
    if let Some(none) = &event.read.in_none {
        document["decisive"] = none.decisive.clone().into_iter().collect::<Map<_, _>>().into();
    }
    document
}

fn row(explained: &Explained, trace: Result<&Trace, &crate::detect::trace::TraceError>) -> Value {
    let table = &explained.rule.table.name;
    let trace = match trace {
        Ok(trace) => trace,
        Err(error) => return json!({ "table": table, "error": error.to_string() }),
    };
    let atoms = explained.atoms.iter().zip(&trace.atoms);
    let atoms = atoms.map(|(atom, holds)| json!({"holds": holds, "value": trace.value(&atom.column)}));
    json!({
        "table": table,
        "fires": trace.fired,
        "atoms": atoms.collect::<Vec<_>>(),
        "residuals": trace.residuals,
        "condition": part(&explained.condition, Some(trace)),
    })
}
