//! The wanted fields of an event, picked from its nodes.
//!
//! Owns the walk along the trie of wanted paths, level by level. A key given twice: the last one counts, as in most parsers.
//! Called by the parent for each event of a record.

use super::keys::Keys;
use super::lines::{Lines, Written};
use super::tape::Node;
use super::{listed, scalar, span, spread};
use crate::decode::fields::Listed;
use crate::decode::{FieldSet, Value};

/// A walk over the events of one text.
pub(super) struct Walk<'w, 't> {
    pub(super) written: &'t Written<'t>,
    pub(super) fields: &'w FieldSet,
    pub(super) keys: &'w mut Keys,
}

impl<'t> Walk<'_, 't> {
    /// Fills the spots from the event at a node.
    pub(super) fn event(&mut self, at: usize, spots: &mut Vec<Value<'t>>) {
        spots.clear();
        spots.resize_with(self.fields.spots(), || Value::Missing);
        self.object(at, 0, spots);
        if let Some(text) = self.fields.text() {
            spots[text] = Value::Lines(Lines::new(self.written, at));
        }
    }

    /// Takes what is wanted of an object or a list. Recursion is bounded twice: by the trie's depth and by that of the text.
    fn object(&mut self, at: usize, level: usize, spots: &mut [Value<'t>]) {
        let (nodes, fields) = (self.written.nodes, self.fields);
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
                let mut cursor = self.keys.begin(level);
                for _ in 0..*len {
                    let Some(Node::Text(key)) = nodes.get(at) else { return };
                    if let Some((spot, below)) = self.keys.next(level, &mut cursor, key, wanted) {
                        if let Some(spot) = spot {
                            spots[spot] = scalar(nodes, at + 1);
                        }
                        if let Some(below) = below {
                            let bit = 1 << (below % 64);
                            if met & bit != 0 && is_repeated(nodes, first, at, &key.get()) {
                                forget(fields, below, spots);
                            }
                            met |= bit;
                            self.object(at + 1, below, spots);
                        }
                    }
                    if let Some(any) = wanted.any {
                        self.object(at + 1, any, spots);
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
                            self.object(at, *below, spots);
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
}

/// True when a key of an object, whose first stands at `first`, occurs before `end`.
fn is_repeated(nodes: &[Node<'_>], first: usize, end: usize, key: &str) -> bool {
    let mut at = first;
    while at < end {
        if matches!(nodes.get(at), Some(Node::Text(other)) if other.get() == key) {
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
