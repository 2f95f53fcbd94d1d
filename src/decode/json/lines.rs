//! All values of an event as one text, for rules that look for words wherever they stand.
//!
//! Owns that text, which is made only when somebody reads it, and the event as it was written, in which it can be seen at
//! less cost that a word stands nowhere. Used by the parent; read by `detect::index`.

use super::tape::Node;
use super::{span, write_plain};

/// All strings, numbers and booleans of an event, each on a line, in the order of the document.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    // Behind a reference, as every value is as large as the largest kind of them.
    of: &'a Written<'a>,
    at: u32,
}

/// The nodes of a text, and the text itself where it is one event without characters as numbers.
#[derive(Debug)]
pub(super) struct Written<'a> {
    pub(super) nodes: &'a [Node<'a>],
    pub(super) raw: Option<&'a str>,
}

impl PartialEq for Lines<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl<'a> Lines<'a> {
    /// Those of the event at a node.
    pub(super) fn new(of: &'a Written<'a>, at: usize) -> Self {
        Self { of, at: u32::try_from(at).unwrap_or(u32::MAX) }
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut lines = String::new();
        write_values(self.of.nodes, self.at as usize, &mut lines);
        lines.pop();
        lines
    }

    /// The event as it was written, where it has no character as a number: so each part of a line that has neither quotes,
    /// slashes, backslashes nor control characters stands in it, as long as it is not part of a number.
    pub fn raw(&self) -> Option<&'a str> {
        self.of.raw
    }
}

/// All strings, numbers and booleans of a value, each on a line, in the order of the document. The text's depth
/// bounds the recursion.
fn write_values(nodes: &[Node<'_>], at: usize, out: &mut String) {
    match nodes.get(at) {
        None | Some(Node::Null) => {}
        Some(Node::Text(_) | Node::Number(_) | Node::Bool(_)) => {
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
