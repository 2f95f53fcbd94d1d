//! A JSON object around another text.
//!
//! Owns finding the texts and objects at a path, and writing what is left of the object without them. Called by
//! `decode::envelope`.

use super::tape::{self, Buffers, Node};
use super::{render, reused, span, write_value};
use crate::decode::envelope::{Take, nested};
use crate::decode::readers::Fault;

/// Takes objects apart, with memory that is used again.
pub struct Outer {
    depth_max: usize,
    buffers: Buffers,
    nodes: Vec<Node<'static>>,
}

/// Why nothing was found.
#[derive(Debug)]
pub enum OuterFault {
    /// It is no JSON object.
    Json {
        /// At which byte.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// It has nothing at any of the paths.
    Nothing,
    /// What was found was refused.
    Inner(Fault),
}

impl Outer {
    /// JSON nested at most so deep.
    pub fn new(depth_max: usize) -> Self {
        Self { depth_max, buffers: Buffers::default(), nodes: Vec::new() }
    }

    /// Hands on the text, or the object as JSON, at the first of the paths that leads to one, with the rest of the object. A
    /// list stands for its items; `list.*.key` is what each item has there, and the rest of the item goes with it.
    pub fn open(&mut self, text: &str, paths: &[&str], each: &mut Take<'_>) -> Result<(), OuterFault> {
        let mut nodes = reused(std::mem::take(&mut self.nodes));
        let read = tape::read(text.trim_ascii(), self.depth_max, &mut self.buffers, &mut nodes);
        let result = match read {
            Err(fault) => Err(OuterFault::Json { at: fault.at, what: "no JSON" }),
            Ok(()) if !matches!(nodes.first(), Some(Node::Object { .. })) => {
                Err(OuterFault::Json { at: 0, what: "no JSON object" })
            }
            Ok(()) => opened(&nodes, paths, each),
        };
        self.nodes = reused(nodes);
        result
    }
}

fn opened(nodes: &[Node<'_>], paths: &[&str], each: &mut Take<'_>) -> Result<(), OuterFault> {
    for path in paths {
        let (path, below) = match path.split_once(".*") {
            Some((path, below)) => (path, Some(below.trim_start_matches('.'))),
            None => (*path, None),
        };
        let Some(value) = member(nodes, 0, path) else { continue };
        let mut left = String::new();
        without(nodes, 0, value, &mut left);
        let mut hand_on = |at: usize, left: &str| match nodes.get(at) {
            Some(Node::Text(text)) => each(text.get().as_bytes(), left).map_err(OuterFault::Inner),
            _ => each(render(nodes, at).as_bytes(), left).map_err(OuterFault::Inner),
        };
        if below.is_none() && is_inner(nodes, value) {
            return hand_on(value, &left);
        }
        let Some(Node::Array { len, .. }) = nodes.get(value) else { continue };
        let mut item = value + 1;
        for _ in 0..*len {
            match below {
                None | Some("") if is_inner(nodes, item) => hand_on(item, &left)?,
                Some(below) if !below.is_empty() => {
                    let inner = member(nodes, item, below).filter(|inner| is_inner(nodes, *inner));
                    let inner = inner.ok_or(OuterFault::Nothing)?;
                    let mut around = String::new();
                    without(nodes, item, inner, &mut around);
                    hand_on(inner, &nested(&left, &around))?;
                }
                _ => return Err(OuterFault::Nothing),
            }
            item += span(nodes, item);
        }
        return Ok(());
    }
    Err(OuterFault::Nothing)
}

/// Whether a value can be what is inside: an object, or a text that is not blank.
fn is_inner(nodes: &[Node<'_>], at: usize) -> bool {
    match nodes.get(at) {
        Some(Node::Text(text)) => !text.get().trim_ascii().is_empty(),
        Some(Node::Object { .. }) => true,
        _ => false,
    }
}

/// The value at a path below an object. Some write the dots of a path into a key.
fn member(nodes: &[Node<'_>], at: usize, path: &str) -> Option<usize> {
    let Some(Node::Object { len, .. }) = nodes.get(at) else { return None };
    let mut key = at + 1;
    for _ in 0..*len {
        if let Some(Node::Text(name)) = nodes.get(key) {
            let name = name.get();
            if name == path {
                return Some(key + 1);
            }
            let below = path.strip_prefix(name.as_ref()).and_then(|rest| rest.strip_prefix('.'));
            if let Some(found) = below.and_then(|below| member(nodes, key + 1, below)) {
                return Some(found);
            }
        }
        key += 1 + span(nodes, key + 1);
    }
    None
}

/// A value as JSON, without one of the members in it.
fn without(nodes: &[Node<'_>], at: usize, cut: usize, out: &mut String) {
    let Some(Node::Object { len, .. }) = nodes.get(at) else {
        write_value(nodes, at, out);
        return;
    };
    out.push('{');
    let mut any = false;
    let mut member = at + 1;
    for _ in 0..*len {
        let value = member + 1;
        if value != cut {
            if any {
                out.push(',');
            }
            any = true;
            write_value(nodes, member, out);
            out.push(':');
            // The cut may be further inside.
            if (value..value + span(nodes, value)).contains(&cut) {
                without(nodes, value, cut, out);
            } else {
                write_value(nodes, value, out);
            }
        }
        member += 1 + span(nodes, value);
    }
    out.push('}');
}
