//! How one column of a view is filled, compiled: slots instead of paths.
//!
//! Owns the cell that an event's values make. Which views an event matches, and where cells go, is the parent's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::EventContext;
use crate::decode::{FieldSet, Slot, Value};
use crate::normalise::columns::{Cell, cell};
use crate::normalise::condition::with_text;
use crate::normalise::schema::{ColumnType, Fill, SystemColumn};
use crate::normalise::time::ZoneOffset;

#[derive(Debug)]
pub(super) enum CompiledFill {
    System(SystemColumn),
    /// The one field, as it is.
    Field(Slot),
    First {
        slots: Vec<Slot>,
        map: BTreeMap<String, String>,
        otherwise: Option<Value<'static>>,
    },
    Join {
        slots: Vec<Slot>,
        separator: String,
    },
    Sum {
        slots: Vec<Slot>,
    },
    Constant(Value<'static>),
}

impl CompiledFill {
    /// Of one field.
    pub(super) fn field(path: &str, fields: &mut FieldSet) -> Self {
        Self::Field(fields.add(path))
    }
}

pub(super) fn compile(fill: &Fill, fields: &mut FieldSet) -> CompiledFill {
    match fill {
        Fill::First { paths, map, otherwise: None } if map.is_empty() && paths.len() == 1 => {
            CompiledFill::Field(fields.add(&paths[0]))
        }
        Fill::First { paths, map, otherwise } => CompiledFill::First {
            slots: paths.iter().map(|path| fields.add(path)).collect(),
            map: map.clone(),
            otherwise: otherwise.clone().map(|text| Value::Text(Cow::Owned(text))),
        },
        Fill::Join { paths, separator } => CompiledFill::Join {
            slots: paths.iter().map(|path| fields.add(path)).collect(),
            separator: separator.clone(),
        },
        Fill::Sum { paths } => {
            CompiledFill::Sum { slots: paths.iter().map(|path| fields.add(path)).collect() }
        }
        Fill::Constant(value) => CompiledFill::Constant(match value {
            serde_json::Value::Bool(flag) => Value::Bool(*flag),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(number) => Value::Int(number),
                None => number.as_f64().map_or(Value::Null, Value::Double),
            },
            serde_json::Value::String(text) => Value::Text(Cow::Owned(text.clone())),
            _ => Value::Null,
        }),
    }
}

/// Makes the cell of one column and hands it to `take`: the cell may borrow from the event or the scratch.
pub(super) fn fill_cell<R>(
    fill: &CompiledFill,
    kind: ColumnType,
    slots: &[Value<'_>],
    context: Option<&EventContext<'_>>,
    zone: ZoneOffset,
    scratch: &mut String,
    take: impl FnOnce(&Cell<'_>) -> R,
) -> R {
    match fill {
        CompiledFill::System(system) => take(&context.map_or(Cell::Null, |c| system_cell(*system, c))),
        CompiledFill::Field(slot) => take(&cell(&slots[*slot], kind, zone, scratch)),
        CompiledFill::Constant(value) => take(&cell(value, kind, zone, scratch)),
        CompiledFill::First { slots: from, map, otherwise } => {
            let first = from.iter().map(|slot| &slots[*slot]).find(|value| value.is_present());
            if map.is_empty() {
                let value = first.or(otherwise.as_ref()).unwrap_or(&Value::Missing);
                return take(&cell(value, kind, zone, scratch));
            }
            let mapped = first.and_then(|value| with_text(value, |text| map.get(text))).flatten();
            match mapped {
                Some(text) => {
                    let value = Value::Text(Cow::Borrowed(text.as_str()));
                    take(&cell(&value, kind, zone, scratch))
                }
                None => {
                    let value = otherwise.as_ref().or(first).unwrap_or(&Value::Missing);
                    take(&cell(value, kind, zone, scratch))
                }
            }
        }
        CompiledFill::Join { slots: from, separator } => {
            let mut joined = String::new();
            for slot in from {
                with_text(&slots[*slot], |text| {
                    if !joined.is_empty() {
                        joined.push_str(separator);
                    }
                    joined.push_str(text);
                });
            }
            let value = if joined.is_empty() { Value::Missing } else { Value::Text(Cow::Owned(joined)) };
            take(&cell(&value, kind, zone, scratch))
        }
        CompiledFill::Sum { slots: from } => match sum(from, slots, zone, scratch) {
            Ok(total) => {
                let value = total.map_or(Value::Missing, Value::Int);
                take(&cell(&value, kind, zone, scratch))
            }
            Err(()) => take(&Cell::Unfit),
        },
    }
}

/// The sum of those that are there; one that is no whole number, or a sum beyond 64 bits, spoils it.
fn sum(
    from: &[Slot],
    slots: &[Value<'_>],
    zone: ZoneOffset,
    scratch: &mut String,
) -> Result<Option<i64>, ()> {
    let mut total: Option<i64> = None;
    for slot in from {
        match cell(&slots[*slot], ColumnType::Int, zone, scratch) {
            Cell::Int(number) => total = Some(total.unwrap_or(0).checked_add(number).ok_or(())?),
            Cell::Null => {}
            _ => return Err(()),
        }
    }
    Ok(total)
}

fn system_cell<'a>(system: SystemColumn, context: &EventContext<'a>) -> Cell<'a> {
    match system {
        SystemColumn::OrgId => Cell::Text(context.org_id),
        SystemColumn::Source => Cell::Text(context.source),
        SystemColumn::EventTime => Cell::Time(context.event_time),
        SystemColumn::IngestTime => context.ingest_time.map_or(Cell::Null, Cell::Time),
        SystemColumn::Topic => Cell::Text(context.topic),
        SystemColumn::Partition => Cell::Int(i64::from(context.partition)),
        SystemColumn::Offset => Cell::Int(context.offset),
        SystemColumn::EventIndex => Cell::Int(i64::from(context.index)),
        // Filled from the event.
        SystemColumn::EventText => Cell::Null,
    }
}
