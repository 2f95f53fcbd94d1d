//! Lists of values with or without names, as event XML becomes in JSON.
//!
//! Owns the shapes: one value or a list of them, each plain, or an object with its text under `#text` (one or a list) and
//! perhaps its name under `#attributes.Name` or `@Name`. Called by the parent, for formats that have such lists.

use std::borrow::Cow;

use super::tape::Node;
use super::{scalar, span};
use crate::decode::Value;
use crate::decode::fields::Listed;

/// Takes what is wanted of the value at a node.
pub(super) fn take<'t>(nodes: &[Node<'t>], at: usize, wanted: &Listed, spots: &mut [Value<'t>]) {
    let mut nameless = Vec::new();
    each(nodes, at, &mut |item| match nodes.get(item) {
        Some(Node::Object { .. }) => {
            let (name, text) = parts(nodes, item);
            match (name, text) {
                (Some(name), text) => {
                    if let Some(spot) = wanted.named.get(&*name) {
                        spots[*spot] = text.map_or(Value::Null, |text| scalar(nodes, text));
                    }
                }
                (None, Some(text)) => each(nodes, text, &mut |item| nameless.push(item)),
                (None, None) => {}
            }
        }
        _ => nameless.push(item),
    });
    for (index, spot) in &wanted.nameless {
        if let Some(item) = nameless.get(*index) {
            spots[*spot] = scalar(nodes, *item);
        }
    }
    if let Some(spot) = wanted.all {
        spots[spot] = all(nodes, &nameless);
    }
}

/// Hands on each item of a list, or what is none.
fn each(nodes: &[Node<'_>], at: usize, take: &mut dyn FnMut(usize)) {
    let Some(Node::Array { len, .. }) = nodes.get(at) else { return take(at) };
    let mut at = at + 1;
    for _ in 0..*len {
        take(at);
        at += span(nodes, at);
    }
}

/// The name of a value, and the node of its text.
fn parts<'t>(nodes: &[Node<'t>], at: usize) -> (Option<Cow<'t, str>>, Option<usize>) {
    let attributes =
        member(nodes, at, "#attributes").and_then(|attributes| member(nodes, attributes, "Name"));
    let name = attributes.or_else(|| member(nodes, at, "@Name"));
    let name = name.and_then(|at| match nodes.get(at) {
        Some(Node::Text(name)) => Some(name.get()),
        _ => None,
    });
    (name, member(nodes, at, "#text"))
}

/// The node of a key's value; of a key given twice, the last one.
fn member(nodes: &[Node<'_>], at: usize, wanted: &str) -> Option<usize> {
    let Some(Node::Object { len, .. }) = nodes.get(at) else { return None };
    let (mut at, mut found) = (at + 1, None);
    for _ in 0..*len {
        if matches!(nodes.get(at), Some(Node::Text(key)) if key.get() == wanted) {
            found = Some(at + 1);
        }
        at += 1 + span(nodes, at + 1);
    }
    found
}

fn all<'t>(nodes: &[Node<'t>], items: &[usize]) -> Value<'t> {
    if let [item] = items {
        return scalar(nodes, *item);
    }
    let mut lines = String::new();
    for item in items {
        if matches!(scalar(nodes, *item), Value::Null) {
            continue;
        }
        if !lines.is_empty() {
            lines.push('\n');
        }
        super::write_plain(nodes, *item, &mut lines);
    }
    if lines.is_empty() { Value::Missing } else { Value::Text(Cow::Owned(lines)) }
}
