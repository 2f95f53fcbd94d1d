//! Takes out of a document what its schema finds fault with, so that the rest can still be looked at.
//!
//! Owns the choice of what is left out. A fault that the schema tells must not hide the faults that only a module
//! can tell; on the other hand, what is left out must not make new ones, so the callers can ask
//! [`Spans::is_lost`]. A mended document is looked at and never run: its faults are errors. Called by `document`.

use serde_json::{Map, Value, json};

use super::{Schema, Spans, pointer_segment};
use jsonschema::error::ValidationErrorKind as Kind;

/// Faults that come to light when others are taken out, round after round, end here.
const ROUNDS_MAX: usize = 32;

/// Leaves out what the schema refuses, and puts something harmless where something must stand. False when nothing
/// is left to look at.
pub(super) fn mend(value: &mut Value, spans: &mut Spans, schema: &Schema) -> bool {
    let Ok(validator) = &schema.validator else { return false };
    for _ in 0..ROUNDS_MAX {
        let mut out: Vec<String> = Vec::new();
        let mut missing: Vec<(String, String)> = Vec::new();
        for error in validator.iter_errors(value) {
            let path = error.instance_path().as_str();
            match error.kind() {
                Kind::AdditionalProperties { unexpected } => {
                    out.extend(unexpected.iter().map(|key| format!("{path}/{}", pointer_segment(key))));
                }
                Kind::Required { property } => {
                    missing.push((path.to_owned(), property.as_str().unwrap_or_default().to_owned()));
                }
                // What we put there ourselves need not please.
                _ if spans.stand_ins.iter().any(|stand_in| stand_in == path) => {}
                _ => out.push(path.to_owned()),
            }
        }
        if out.is_empty() && missing.is_empty() {
            return true;
        }
        for (path, key) in missing {
            let pointer = format!("{path}/{}", pointer_segment(&key));
            spans.lost.push(pointer.clone());
            match stand_in(value, &path, &key, validator) {
                true => spans.stand_ins.push(pointer),
                false => out.push(path),
            }
        }
        // From the back, as the items behind one that is taken out move up.
        out.sort_by(|a, b| order(b).cmp(&order(a)));
        out.dedup();
        for pointer in &out {
            if pointer.is_empty() {
                return false;
            }
            take_out(value, spans, pointer);
        }
    }
    false
}

/// Sorts pointers so that list items come in the order of their numbers.
fn order(pointer: &str) -> Vec<(usize, &str)> {
    pointer.split('/').map(|segment| (segment.parse().unwrap_or(usize::MAX), segment)).collect()
}

/// Puts a value of the right type where one is required; false when none of ours is.
fn stand_in(value: &mut Value, path: &str, key: &str, validator: &jsonschema::Validator) -> bool {
    let pointer = format!("{path}/{}", pointer_segment(key));
    let mut candidates = vec![json!("?"), json!(0), json!(false), json!([]), json!({})];
    while !candidates.is_empty() {
        let candidate = candidates.remove(0);
        let Some(Value::Object(object)) = value.pointer_mut(path) else { return false };
        object.insert(key.to_owned(), candidate);
        let mut fits = true;
        let mut allowed = None;
        for error in validator.iter_errors(value) {
            if error.instance_path().as_str() != pointer {
                continue;
            }
            match error.kind() {
                Kind::Pattern { .. } | Kind::MinLength { .. } | Kind::MinItems { .. } => {}
                Kind::Enum { options } => {
                    fits = false;
                    allowed = options.get(0).cloned();
                }
                Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
                    fits = false;
                    allowed = context.iter().flatten().find_map(|inner| match inner.kind() {
                        Kind::Constant { expected_value } => Some(Value::clone(expected_value)),
                        Kind::Enum { options } => options.get(0).cloned(),
                        _ => None,
                    });
                }
                _ => fits = false,
            }
        }
        if fits {
            return true;
        }
        // Names of which one is wanted: the first will do, and comes with no further names.
        if let Some(allowed) = allowed.filter(Value::is_string) {
            candidates = vec![allowed];
        }
    }
    if let Some(Value::Object(object)) = value.pointer_mut(path) {
        object.remove(key);
    }
    false
}

fn take_out(value: &mut Value, spans: &mut Spans, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match value.pointer_mut(parent) {
        Some(Value::Object(object)) => {
            take_key(object, name);
            spans.lost.push(pointer.to_owned());
        }
        Some(Value::Array(items)) => {
            let Ok(at) = name.parse::<usize>() else { return };
            if at < items.len() {
                items.remove(at);
                spans.lost.push(parent.to_owned());
                spans.move_up(parent, at);
            }
        }
        _ => {}
    }
}

fn take_key(object: &mut Map<String, Value>, segment: &str) {
    object.remove(&segment.replace("~1", "/").replace("~0", "~"));
}
