//! A second reading of JSON records, with serde_json and without cleverness.

use noroshi::decode::{DecodeLimits, RejectCode, Value as Slot};
use serde_json::Value;

/// What a record must become.
#[derive(Debug)]
pub enum Reading {
    /// These events, each with its text when it has one of its own.
    Events(Vec<(Value, Option<String>)>),
    /// Refused with one of these codes.
    Refused(&'static [RejectCode]),
}

const MALFORMED: &[RejectCode] = &[RejectCode::Syntax, RejectCode::TooDeep, RejectCode::NotAnEvent];

/// Reads a record.
pub fn read(payload: &[u8], limits: &DecodeLimits) -> Reading {
    if payload.len() > limits.record_bytes_max {
        return Reading::Refused(&[RejectCode::TooLarge]);
    }
    let bytes = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii();
    if bytes.is_empty() {
        return Reading::Refused(&[RejectCode::Empty]);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return Reading::Refused(&[RejectCode::NotUtf8]) };
    match serde_json::from_str::<Value>(text) {
        Ok(value) if depth(&value) > limits.depth_max => Reading::Refused(&[RejectCode::TooDeep]),
        Ok(Value::Array(items)) if items.len() > limits.events_per_record_max => {
            Reading::Refused(&[RejectCode::TooManyEvents, RejectCode::NotAnEvent])
        }
        Ok(Value::Array(items)) if items.iter().all(Value::is_object) => {
            Reading::Events(items.into_iter().map(|item| (item, None)).collect())
        }
        Ok(value) if value.is_object() => Reading::Events(vec![(value, Some(text.to_owned()))]),
        Ok(_) => Reading::Refused(&[RejectCode::NotAnEvent]),
        // Deeper than serde_json goes is deeper than the limit, unless it is malformed as well.
        Err(_) if text.contains('\n') => lines(text, limits),
        Err(_) => Reading::Refused(MALFORMED),
    }
}

fn lines(text: &str, limits: &DecodeLimits) -> Reading {
    let mut events = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match serde_json::from_str::<Value>(line) {
            Ok(value) if value.is_object() && depth(&value) <= limits.depth_max => {
                events.push((value, Some(line.to_owned())));
            }
            _ => return Reading::Refused(MALFORMED),
        }
    }
    if events.len() > limits.events_per_record_max {
        return Reading::Refused(&[RejectCode::TooManyEvents]);
    }
    Reading::Events(events)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What may stand in the slot of a path: the value under the whole path as one name, or under its parts.
pub fn found<'v>(event: &'v Value, path: &str) -> [Option<&'v Value>; 2] {
    let below = |value: &'v Value, name: &str| match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => name.parse().ok().and_then(|at: usize| items.get(at)),
        _ => None,
    };
    let nested = path.split('.').try_fold(event, below);
    [event.get(path), nested]
}

/// True when a decoded slot says the same as serde_json.
pub fn agrees(slot: &Slot<'_>, value: Option<&Value>) -> bool {
    match (slot, value) {
        (Slot::Missing, None) | (Slot::Null, Some(Value::Null)) => true,
        (Slot::Bool(flag), Some(Value::Bool(expect))) => flag == expect,
        (Slot::Int(number), Some(Value::Number(expect))) => {
            // Minus zero is a float to serde_json.
            expect
                .as_i64()
                .map_or_else(|| *number == 0 && expect.as_f64() == Some(0.0), |expect| *number == expect)
        }
        (Slot::Double(number), Some(Value::Number(expect))) => {
            !expect.is_i64() && expect.as_f64().is_some_and(|expect| near(*number, expect))
        }
        (Slot::Text(text), Some(Value::Number(expect))) => {
            expect.as_i64().is_none() && expect.as_u64().is_some() && **text == expect.to_string()
        }
        (Slot::Text(text), Some(Value::String(expect))) => text == expect,
        (Slot::Text(text), Some(expect @ (Value::Array(_) | Value::Object(_)))) => same_text(text, expect),
        _ => false,
    }
}

/// True when a text is JSON of that value.
pub fn same_text(text: &str, expect: &Value) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| same(&value, expect))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| near(a, b))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// serde_json's floats may be off in the last bit.
fn near(a: f64, b: f64) -> bool {
    a == b || (a.is_sign_negative() == b.is_sign_negative() && a.to_bits().abs_diff(b.to_bits()) <= 2)
}
