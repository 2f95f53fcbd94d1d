//! JSON records: one object, a list of objects, or several objects one after the other.
//!
//! Owns what a record is (which of the three, how many events, or why it is none) and a value as JSON text. Reading the text
//! is `scan`'s and `tape`'s, picking the wanted fields `walk`'s: nothing else of the document is built. Used by all formats
//! whose records are JSON.

pub(super) mod frame;
mod keys;
mod lines;
mod listed;
pub(super) mod outer;
mod parts;
mod scan;
mod spread;
mod tape;
mod walk;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use keys::Keys;
pub use lines::Lines;
use lines::Written;
pub(super) use tape::unescape;
use tape::{Buffers, Fault, FaultKind, Node, Number};

use walk::Walk;

use super::bounds::{self, DecodeLimits};
use super::{FieldSet, Reject, RejectCode, Value, foreign};

/// Decodes JSON records into the slots of a field set.
pub struct JsonDecoder {
    fields: Arc<FieldSet>,
    limits: DecodeLimits,
    buffers: Buffers,
    nodes: Vec<Node<'static>>,
    keys: Keys,
    spots: Vec<Value<'static>>,
    /// Slots, where they are not the spots.
    slots: Vec<Value<'static>>,
}

impl JsonDecoder {
    /// A decoder for these fields.
    pub fn new(fields: &FieldSet, limits: DecodeLimits) -> Self {
        Self {
            fields: Arc::new(fields.clone()),
            limits,
            buffers: Buffers::default(),
            nodes: Vec::new(),
            keys: Keys::default(),
            spots: Vec::new(),
            slots: Vec::new(),
        }
    }
}

impl super::Decoder for JsonDecoder {
    fn decode(&mut self, payload: &[u8], emit: &mut dyn FnMut(&[Value<'_>])) -> Result<u32, Reject> {
        let decoded =
            if self.fields.is_direct() { self.record(payload, emit) } else { self.picked(payload, emit) };
        decoded.map_err(|reject| foreign::explained(reject, payload))
    }

    fn parts(&self, payload: &[u8]) -> Vec<Range<usize>> {
        parts::parts(payload)
    }
}

impl JsonDecoder {
    /// Of a format that may keep a field in several places.
    fn picked(&mut self, payload: &[u8], emit: &mut dyn FnMut(&[Value<'_>])) -> Result<u32, Reject> {
        let fields = Arc::clone(&self.fields);
        let mut kept = std::mem::take(&mut self.slots);
        let decoded = self.record(payload, &mut |spots| {
            let mut slots = recycle(std::mem::take(&mut kept));
            fields.pick(spots, &mut slots);
            emit(&slots);
            kept = recycle(slots);
        });
        self.slots = kept;
        decoded
    }

    fn record(&mut self, payload: &[u8], emit: &mut dyn FnMut(&[Value<'_>])) -> Result<u32, Reject> {
        let text = bounds::text(payload, &self.limits)?;
        let mut nodes = reused(std::mem::take(&mut self.nodes));
        let result = match tape::read(text, self.limits.depth_max, &mut self.buffers, &mut nodes) {
            Ok(()) => {
                let written = self.written(&nodes, text);
                let mut spots = recycle(std::mem::take(&mut self.spots));
                let walk = Walk { written: &written, fields: &self.fields, keys: &mut self.keys };
                let result = events(walk, &self.limits, text, &mut spots, emit);
                self.spots = recycle(spots);
                result
            }
            Err(fault) if text.contains('\n') => self.lines(text, emit).map_err(|lines| {
                // One object on several lines is as common as several objects: report the likelier one.
                let one = text.starts_with('{') && lines.detail.starts_with("line 1");
                if one { located(fault, text, &self.limits) } else { lines }
            }),
            Err(fault) => Err(located(fault, text, &self.limits)),
        };
        self.nodes = reused(nodes);
        result
    }

    /// A text that has just been read. A list of events is not known as it was written, event by event.
    fn written<'t>(&self, nodes: &'t [Node<'t>], text: &'t str) -> Written<'t> {
        let is_one = matches!(nodes.first(), Some(Node::Object { .. }));
        Written { nodes, raw: Some(text).filter(|_| is_one && !self.buffers.has_code_points()) }
    }

    /// Objects one to a line. Two passes, because a record is taken whole or not at all.
    fn lines(&mut self, text: &str, emit: &mut dyn FnMut(&[Value<'_>])) -> Result<u32, Reject> {
        let mut index = 0;
        for pass in 0..2 {
            index = 0u32;
            for (number, line) in text.lines().enumerate() {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                let at = |mut reject: Reject| {
                    reject.detail = format!("line {}: {}", number + 1, reject.detail);
                    reject
                };
                let mut nodes = reused(std::mem::take(&mut self.nodes));
                tape::read(line, self.limits.depth_max, &mut self.buffers, &mut nodes).map_err(|fault| {
                    let mut reject = rejected(fault, &self.limits);
                    if let Some(error) = syntax_error(&reject, line) {
                        cut_off(&mut reject, &error);
                    }
                    at(reject)
                })?;
                let written = self.written(&nodes, line);
                let mut spots = recycle(std::mem::take(&mut self.spots));
                let result = match pass {
                    // All that could reject a line, before any event is emitted.
                    0 => match nodes.first() {
                        Some(Node::Object { .. }) => Ok(1),
                        other => Err(no_event(other)),
                    },
                    _ => {
                        let walk = Walk { written: &written, fields: &self.fields, keys: &mut self.keys };
                        events(walk, &self.limits, line, &mut spots, emit)
                    }
                };
                self.spots = recycle(spots);
                self.nodes = reused(nodes);
                index += result.map_err(at)?;
            }
            check_count(index as usize, &self.limits)?;
        }
        Ok(index)
    }
}

/// A fault with its line and column: the rare bad record is read once more, by a parser that counts them.
fn located(fault: Fault, text: &str, limits: &DecodeLimits) -> Reject {
    let mut reject = rejected(fault, limits);
    if let Some(error) = syntax_error(&reject, text) {
        let _ = write!(reject.detail, " at line {}, column {}", error.line(), error.column());
        cut_off(&mut reject, &error);
    } else if reject.code == RejectCode::Syntax {
        // That parser takes some numbers and escapes that have no value.
        let before = text.as_bytes().get(..fault.at).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let begin = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let _ = write!(reject.detail, " at line {line}, column {}", fault.at - begin + 1);
    }
    reject
}

fn syntax_error(reject: &Reject, text: &str) -> Option<serde_json::Error> {
    let syntax = reject.code == RejectCode::Syntax;
    syntax.then(|| serde_json::from_str::<serde::de::IgnoredAny>(text).err()).flatten()
}

/// Shippers, syslog relays and full disks cut long lines.
fn cut_off(reject: &mut Reject, error: &serde_json::Error) {
    if error.is_eof() {
        reject.detail.push_str("; the line looks cut off");
    }
}

/// A vector of another lifetime in the same allocation.
fn recycle<'b>(mut slots: Vec<Value<'_>>) -> Vec<Value<'b>> {
    slots.clear();
    slots.into_iter().map(|_| Value::Missing).collect()
}

/// The same for nodes.
fn reused<'b>(mut nodes: Vec<Node<'_>>) -> Vec<Node<'b>> {
    nodes.clear();
    nodes.into_iter().map(|_| Node::Null).collect()
}

fn rejected(fault: Fault, limits: &DecodeLimits) -> Reject {
    // Only the kind: the text beside it can hold what the record does.
    let what = match fault.kind {
        FaultKind::Deep => {
            let detail = format!("nested deeper than {}", limits.depth_max);
            return Reject { code: RejectCode::TooDeep, detail };
        }
        FaultKind::Eof => "the text ends early",
        FaultKind::Number => "bad number",
        FaultKind::Escape => "bad escape",
        FaultKind::Unterminated => "unterminated string",
        FaultKind::Trailing => "data after the value",
        FaultKind::Syntax | FaultKind::Control => "syntax",
    };
    Reject { code: RejectCode::Syntax, detail: format!("invalid JSON: {what}") }
}

fn no_event(node: Option<&Node<'_>>) -> Reject {
    let what = match node {
        Some(Node::Array { .. }) => "a list",
        Some(Node::Text(_)) => "a string",
        Some(Node::Null) => "null",
        Some(Node::Bool(_)) => "a boolean",
        Some(Node::Number(_)) => "a number",
        Some(Node::Object { .. }) => "an object",
        None => "nothing",
    };
    Reject { code: RejectCode::NotAnEvent, detail: format!("expected an object, found {what}") }
}

fn check_count(count: usize, limits: &DecodeLimits) -> Result<(), Reject> {
    if count > limits.events_per_record_max {
        let detail = format!("{count} events, the limit is {}", limits.events_per_record_max);
        return Err(Reject { code: RejectCode::TooManyEvents, detail });
    }
    Ok(())
}

/// Hands on the events that the nodes of a text are.
fn events<'t>(
    mut walk: Walk<'_, 't>,
    limits: &DecodeLimits,
    text: &'t str,
    spots: &mut Vec<Value<'t>>,
    emit: &mut dyn FnMut(&[Value<'_>]),
) -> Result<u32, Reject> {
    let nodes = walk.written.nodes;
    match nodes.first() {
        Some(Node::Object { .. }) => {
            walk.event(0, spots);
            if let Some(whole) = walk.fields.whole() {
                spots[whole] = Value::Text(Cow::Borrowed(text));
            }
            emit(spots);
            Ok(1)
        }
        Some(Node::Array { len, .. }) => {
            check_count(*len, limits)?;
            let mut at = 1;
            for _ in 0..*len {
                if !matches!(nodes.get(at), Some(Node::Object { .. })) {
                    return Err(no_event(nodes.get(at)));
                }
                at += span(nodes, at);
            }
            at = 1;
            for _ in 0..*len {
                walk.event(at, spots);
                if let Some(whole) = walk.fields.whole() {
                    spots[whole] = Value::Text(Cow::Owned(render(nodes, at)));
                }
                emit(spots);
                at += span(nodes, at);
            }
            u32::try_from(*len).map_err(|_| no_event(None))
        }
        other => Err(no_event(other)),
    }
}

/// How many tape nodes a value takes.
fn span(nodes: &[Node<'_>], at: usize) -> usize {
    match nodes.get(at) {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        _ => 1,
    }
}

fn scalar<'t>(nodes: &[Node<'t>], at: usize) -> Value<'t> {
    match nodes.get(at) {
        Some(Node::Text(text)) if text.is_escaped() => Value::Escaped(text.raw),
        Some(Node::Text(text)) => Value::Text(Cow::Borrowed(text.raw)),
        Some(Node::Null) | None => Value::Null,
        Some(Node::Bool(flag)) => Value::Bool(*flag),
        Some(Node::Number(written)) => match tape::number(written) {
            Number::Int(number) => Value::Int(number),
            Number::Large(number) => Value::Text(Cow::Owned(number.to_string())),
            Number::Double(number) => Value::Double(number),
        },
        Some(_) => Value::Text(Cow::Owned(render(nodes, at))),
    }
}

/// A value as compact JSON text.
fn render(nodes: &[Node<'_>], at: usize) -> String {
    let mut out = String::new();
    write_value(nodes, at, &mut out);
    out
}

fn write_value(nodes: &[Node<'_>], at: usize, out: &mut String) {
    match nodes.get(at) {
        None | Some(Node::Null) => out.push_str("null"),
        Some(Node::Bool(flag)) => {
            let _ = write!(out, "{flag}");
        }
        Some(Node::Number(written)) => {
            let _ = match tape::number(written) {
                Number::Int(number) => write!(out, "{number}"),
                Number::Large(number) => write!(out, "{number}"),
                Number::Double(number) => write!(out, "{number:?}"),
            };
        }
        Some(Node::Text(text)) => write_text(&text.get(), out),
        Some(Node::Array { len, .. }) => {
            out.push('[');
            let mut at = at + 1;
            for item in 0..*len {
                if item > 0 {
                    out.push(',');
                }
                write_value(nodes, at, out);
                at += span(nodes, at);
            }
            out.push(']');
        }
        Some(Node::Object { len, .. }) => {
            out.push('{');
            let mut at = at + 1;
            for item in 0..*len {
                if item > 0 {
                    out.push(',');
                }
                write_value(nodes, at, out);
                out.push(':');
                write_value(nodes, at + 1, out);
                at += 1 + span(nodes, at + 1);
            }
            out.push('}');
        }
    }
}

/// A text as it is, anything else as JSON.
fn write_plain(nodes: &[Node<'_>], at: usize, out: &mut String) {
    match nodes.get(at) {
        Some(Node::Text(text)) => out.push_str(&text.get()),
        _ => write_value(nodes, at, out),
    }
}

fn write_text(text: &str, out: &mut String) {
    // A string always serialises.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
#[path = "json/tests.rs"]
mod tests;
