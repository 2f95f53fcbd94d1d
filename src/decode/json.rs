//! JSON records: one object, a list of objects, or several objects one after the other.
//!
//! Owns parsing with simd-json's tape and the walk that picks the wanted fields; nothing else of the
//! document is built. A key given twice: the last one counts, as in most parsers. Used by all formats
//! whose records are JSON.

mod listed;
mod parts;
mod spread;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use simd_json::{Buffers, Node, StaticNode, Tape};

use super::bounds::{self, DecodeLimits};
use super::fields::Listed;
use super::{FieldSet, Reject, RejectCode, Value, foreign};

/// Decodes JSON records into the slots of a field set.
pub struct JsonDecoder {
    fields: Arc<FieldSet>,
    limits: DecodeLimits,
    buffers: Buffers,
    scratch: Vec<u8>,
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
            scratch: Vec::new(),
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
        self.scratch.clear();
        self.scratch.extend_from_slice(text.as_bytes());
        // Parsing unescapes strings in place, so it works on a copy; the original stays evidence.
        match parse(&mut self.scratch, &mut self.buffers) {
            Ok(tape) => {
                let mut spots = recycle(std::mem::take(&mut self.spots));
                let result = events(&tape, &self.fields, &self.limits, text, &mut spots, emit);
                self.spots = recycle(spots);
                result
            }
            Err(error) if text.contains('\n') => self.lines(text, emit).map_err(|lines| {
                // One object on several lines is as common as several objects: report the likelier one.
                let one = text.starts_with('{') && lines.detail.starts_with("line 1");
                if one { located(error, text) } else { lines }
            }),
            Err(error) => Err(located(error, text)),
        }
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
                self.scratch.clear();
                self.scratch.extend_from_slice(line.as_bytes());
                let tape = parse(&mut self.scratch, &mut self.buffers).map_err(|mut reject| {
                    if let Some(error) = syntax_error(&reject, line) {
                        cut_off(&mut reject, &error);
                    }
                    at(reject)
                })?;
                let mut spots = recycle(std::mem::take(&mut self.spots));
                let result = match pass {
                    // All that could reject a line, before any event is emitted.
                    0 => check_depth(&tape.0, self.limits.depth_max).and_then(|()| match tape.0.first() {
                        Some(Node::Object { .. }) => Ok(1),
                        other => Err(no_event(other)),
                    }),
                    _ => events(&tape, &self.fields, &self.limits, line, &mut spots, emit),
                };
                self.spots = recycle(spots);
                index += result.map_err(at)?;
            }
            check_count(index as usize, &self.limits)?;
        }
        Ok(index)
    }
}

/// Adds where the syntax is wrong. The fast parser does not say, so the rare bad record is read once more.
fn located(mut reject: Reject, text: &str) -> Reject {
    if let Some(error) = syntax_error(&reject, text) {
        let _ = write!(reject.detail, " at line {}, column {}", error.line(), error.column());
        cut_off(&mut reject, &error);
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

fn parse<'t>(scratch: &'t mut [u8], buffers: &mut Buffers) -> Result<Tape<'t>, Reject> {
    simd_json::to_tape_with_buffers(scratch, buffers).map_err(|error| {
        // The parser has a bound of its own, far above any that configuration allows.
        if matches!(error.error(), simd_json::ErrorType::DepthLimitExceeded) {
            return Reject { code: RejectCode::TooDeep, detail: "nested too deeply to be parsed".into() };
        }
        // Only the kind: the error's own text can hold a character of the record.
        Reject { code: RejectCode::Syntax, detail: format!("invalid JSON: {}", kind(&error)) }
    })
}

fn kind(error: &simd_json::Error) -> &'static str {
    use simd_json::ErrorType as E;
    match error.error() {
        E::Eof => "the text ends early",
        E::InvalidNumber | E::Overflow | E::ExpectedFloat | E::ExpectedInteger => "bad number",
        E::InvalidEscape | E::InvalidUnicodeCodepoint | E::InvalidUnicodeEscape => "bad escape",
        E::UnterminatedString => "unterminated string",
        E::InvalidUtf8 => "not UTF-8",
        E::TrailingData => "data after the value",
        _ => "syntax",
    }
}

fn no_event(node: Option<&Node<'_>>) -> Reject {
    let what = match node {
        Some(Node::Array { .. }) => "a list",
        Some(Node::String(_)) => "a string",
        Some(Node::Static(StaticNode::Null)) => "null",
        Some(Node::Static(StaticNode::Bool(_))) => "a boolean",
        Some(Node::Static(_)) => "a number",
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

fn events<'t>(
    tape: &Tape<'t>,
    fields: &FieldSet,
    limits: &DecodeLimits,
    text: &str,
    spots: &mut Vec<Value<'t>>,
    emit: &mut dyn FnMut(&[Value<'_>]),
) -> Result<u32, Reject> {
    let nodes = &tape.0;
    check_depth(nodes, limits.depth_max)?;
    match nodes.first() {
        Some(Node::Object { .. }) => {
            event(nodes, 0, fields, spots);
            if let Some(whole) = fields.whole() {
                spots[whole] = Value::Text(Cow::Owned(text.to_owned()));
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
                event(nodes, at, fields, spots);
                if let Some(whole) = fields.whole() {
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

fn check_depth(nodes: &[Node<'_>], depth_max: usize) -> Result<(), Reject> {
    let mut ends: Vec<usize> = Vec::with_capacity(8);
    for (at, node) in nodes.iter().enumerate() {
        while ends.last().is_some_and(|end| *end <= at) {
            ends.pop();
        }
        if let Node::Object { count, .. } | Node::Array { count, .. } = node {
            ends.push(at + count + 1);
            if ends.len() > depth_max {
                let detail = format!("nested deeper than {depth_max}");
                return Err(Reject { code: RejectCode::TooDeep, detail });
            }
        }
    }
    Ok(())
}

fn event<'t>(nodes: &[Node<'t>], at: usize, fields: &FieldSet, spots: &mut Vec<Value<'t>>) {
    spots.clear();
    spots.resize(fields.spots(), Value::Missing);
    object(nodes, at, fields, 0, spots);
    if let Some(text) = fields.text() {
        let mut lines = String::new();
        write_values(nodes, at, &mut lines);
        lines.pop();
        spots[text] = Value::Text(Cow::Owned(lines));
    }
}

/// Takes what is wanted of an object or a list. Recursion is bounded twice: by the trie's depth and by `check_depth`.
fn object<'t>(nodes: &[Node<'t>], at: usize, fields: &FieldSet, level: usize, spots: &mut [Value<'t>]) {
    let wanted = fields.node(level);
    if let Some(listed) = &wanted.listed {
        listed::take(nodes, at, listed, spots);
    }
    match nodes.get(at) {
        Some(Node::Object { len, .. }) => {
            let first = at + 1;
            let mut at = first;
            // Which of the wanted tables have been met: a bit may stand for several.
            let mut met = 0u64;
            for _ in 0..*len {
                let Some(Node::String(key)) = nodes.get(at) else { return };
                if let Some((spot, below)) = wanted.children.get(*key) {
                    if let Some(spot) = spot {
                        spots[*spot] = scalar(nodes, at + 1);
                    }
                    if let Some(below) = below {
                        let bit = 1 << (below % 64);
                        if met & bit != 0 && is_repeated(nodes, first, at, key) {
                            forget(fields, *below, spots);
                        }
                        met |= bit;
                        object(nodes, at + 1, fields, *below, spots);
                    }
                }
                if let Some(any) = wanted.any {
                    object(nodes, at + 1, fields, any, spots);
                }
                at += 1 + span(nodes, at + 1);
            }
        }
        Some(Node::Array { len, .. }) => {
            let list = at;
            let mut at = at + 1;
            for item in 0..wanted.items.min(*len) {
                if let Some((spot, below)) = wanted.children.get(&item.to_string()) {
                    if let Some(spot) = spot {
                        spots[*spot] = scalar(nodes, at);
                    }
                    if let Some(below) = below {
                        object(nodes, at, fields, *below, spots);
                    }
                }
                at += span(nodes, at);
            }
            if wanted.names {
                spread::of_all_items(nodes, list, fields, level, spots);
            }
        }
        _ => {}
    }
}

/// True when a key of an object, whose first stands at `first`, occurs before `end`.
fn is_repeated(nodes: &[Node<'_>], first: usize, end: usize, key: &str) -> bool {
    let mut at = first;
    while at < end {
        if matches!(nodes.get(at), Some(Node::String(other)) if *other == key) {
            return true;
        }
        at += 1 + span(nodes, at + 1);
    }
    false
}

/// Empties the spots below a level: what an earlier value of the same key left there does not count.
fn forget(fields: &FieldSet, level: usize, spots: &mut [Value<'_>]) {
    let node = fields.node(level);
    for (spot, below) in node.children.values() {
        if let Some(spot) = spot {
            spots[*spot] = Value::Missing;
        }
        if let Some(below) = below {
            forget(fields, *below, spots);
        }
    }
    if let Some(any) = node.any {
        forget(fields, any, spots);
    }
    for spot in node.listed.iter().flat_map(Listed::spots) {
        spots[spot] = Value::Missing;
    }
}

fn scalar<'t>(nodes: &[Node<'t>], at: usize) -> Value<'t> {
    match nodes.get(at) {
        Some(Node::String(text)) => Value::Text(Cow::Borrowed(text)),
        Some(Node::Static(StaticNode::Null)) | None => Value::Null,
        Some(Node::Static(StaticNode::Bool(flag))) => Value::Bool(*flag),
        Some(Node::Static(StaticNode::I64(number))) => Value::Int(*number),
        Some(Node::Static(StaticNode::U64(number))) => match i64::try_from(*number) {
            Ok(number) => Value::Int(number),
            Err(_) => Value::Text(Cow::Owned(number.to_string())),
        },
        Some(Node::Static(StaticNode::F64(number))) => Value::Double(*number),
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
        None | Some(Node::Static(StaticNode::Null)) => out.push_str("null"),
        Some(Node::Static(StaticNode::Bool(flag))) => {
            let _ = write!(out, "{flag}");
        }
        Some(Node::Static(StaticNode::I64(number))) => {
            let _ = write!(out, "{number}");
        }
        Some(Node::Static(StaticNode::U64(number))) => {
            let _ = write!(out, "{number}");
        }
        Some(Node::Static(StaticNode::F64(number))) => {
            let _ = write!(out, "{number:?}");
        }
        Some(Node::String(text)) => write_text(text, out),
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

/// All strings, numbers and booleans of a value, each on a line, in the order of the document. `check_depth` bounds the
/// recursion.
fn write_values(nodes: &[Node<'_>], at: usize, out: &mut String) {
    match nodes.get(at) {
        None | Some(Node::Static(StaticNode::Null)) => {}
        Some(Node::String(_) | Node::Static(_)) => {
            write_plain(nodes, at, out);
            out.push('\n');
        }
        Some(Node::Array { len, .. }) => {
            let mut at = at + 1;
            for _ in 0..*len {
                write_values(nodes, at, out);
                at += span(nodes, at);
            }
        }
        Some(Node::Object { len, .. }) => {
            let mut at = at + 1;
            for _ in 0..*len {
                write_values(nodes, at + 1, out);
                at += 1 + span(nodes, at + 1);
            }
        }
    }
}

/// A text as it is, anything else as JSON.
fn write_plain(nodes: &[Node<'_>], at: usize, out: &mut String) {
    match nodes.get(at) {
        Some(Node::String(text)) => out.push_str(text),
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
