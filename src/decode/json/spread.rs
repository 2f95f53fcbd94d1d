//! Paths through lists of objects: `a.b` where `a` is a list.
//!
//! Owns finding what each of the objects has there. What is found is a list, as JSON text; the order is that of the text.
//! Called by the parent, where a list stands on the way to a wanted field.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::tape::Node;
use super::{span, write_value};
use crate::decode::fields::Spot;
use crate::decode::{FieldSet, Value};

/// Takes what is wanted of the objects in a list, as lists of what they have there, without nulls.
pub(super) fn of_all_items<'t>(
    nodes: &[Node<'t>],
    at: usize,
    fields: &FieldSet,
    level: usize,
    spots: &mut [Value<'t>],
) {
    let mut found: BTreeMap<Spot, Vec<usize>> = BTreeMap::new();
    gather(nodes, at, fields, level, &mut found);
    for (spot, values) in found {
        let is_null = |at: &usize| matches!(nodes.get(*at), None | Some(Node::Null));
        let mut list = String::from("[");
        for at in values.iter().filter(|at| !is_null(at)) {
            if list.len() > 1 {
                list.push(',');
            }
            write_value(nodes, *at, &mut list);
        }
        if list.len() > 1 {
            list.push(']');
            spots[spot] = Value::Text(Cow::Owned(list));
        }
    }
}

/// Where what is wanted stands, in the order of the text. Recursion is bounded by the text's depth.
fn gather(
    nodes: &[Node<'_>],
    at: usize,
    fields: &FieldSet,
    level: usize,
    found: &mut BTreeMap<Spot, Vec<usize>>,
) {
    match nodes.get(at) {
        Some(Node::Array { len, .. }) => {
            let mut at = at + 1;
            for _ in 0..*len {
                gather(nodes, at, fields, level, found);
                at += span(nodes, at);
            }
        }
        Some(Node::Object { len, .. }) => {
            let wanted = fields.node(level);
            let mut at = at + 1;
            for _ in 0..*len {
                let Some(Node::Text(key)) = nodes.get(at) else { return };
                let key = key.get();
                let is_index = || key.parse::<usize>().is_ok();
                if let Some((spot, below)) = wanted.children.get(&*key).filter(|_| !is_index()) {
                    if let Some(spot) = spot {
                        found.entry(*spot).or_default().push(at + 1);
                    }
                    if let Some(below) = below {
                        gather(nodes, at + 1, fields, *below, found);
                    }
                }
                at += 1 + span(nodes, at + 1);
            }
        }
        _ => {}
    }
}
