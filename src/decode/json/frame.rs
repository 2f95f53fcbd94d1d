//! Frames of JSON on their way into one list.
//!
//! Owns that what goes into the list is an object and nothing else: text that came out of an envelope is not trusted to be
//! balanced. Called by `decode::compose`.

use super::tape::{self, Buffers, FaultKind, Node};
use super::{parts, reused};
use crate::decode::RejectCode;
use crate::decode::events::Events;
use crate::decode::readers::{Fault, text};

/// Takes frames of JSON: an object, a list of objects, or objects one to a line.
pub struct JsonFrames {
    depth_max: usize,
    buffers: Buffers,
    nodes: Vec<Node<'static>>,
}

impl JsonFrames {
    /// JSON nested at most so deep.
    pub fn new(depth_max: usize) -> Self {
        Self { depth_max, buffers: Buffers::default(), nodes: Vec::new() }
    }

    /// Appends the events of a frame.
    pub fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let whole = text(frame)?.trim_ascii();
        let mut nodes = reused(std::mem::take(&mut self.nodes));
        let read = self.one(whole, &mut nodes, events).or_else(|fault| {
            // Several, one to a line.
            if !whole.contains('\n') {
                return Err(fault);
            }
            let mut lines = whole.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.try_for_each(|line| {
                self.one(line, &mut reused(Vec::new()), events).map_err(|_| fault.clone())
            })
        });
        self.nodes = reused(nodes);
        read
    }

    fn one<'t>(
        &mut self,
        text: &'t str,
        nodes: &mut Vec<Node<'t>>,
        events: &mut Events,
    ) -> Result<(), Fault> {
        tape::read(text, self.depth_max, &mut self.buffers, nodes).map_err(|fault| {
            let what = match fault.kind {
                FaultKind::Deep => "format: JSON nested too deep",
                FaultKind::Eof | FaultKind::Unterminated => "format: the JSON ends early",
                _ => "format: no JSON",
            };
            let deep = fault.kind == FaultKind::Deep;
            Fault::new(fault.at, what).code(if deep { RejectCode::TooDeep } else { RejectCode::Syntax })
        })?;
        match nodes.first() {
            Some(Node::Object { .. }) => events.json(text),
            Some(Node::Array { len, .. }) => {
                let mut at = 1;
                for _ in 0..*len {
                    if !matches!(nodes.get(at), Some(Node::Object { .. })) {
                        return Err(Fault::new(0, "format: a list of something else than objects"));
                    }
                    at += super::span(nodes, at);
                }
                parts::parts(text.as_bytes()).into_iter().for_each(|part| events.json(&text[part]));
            }
            _ => return Err(Fault::new(0, "format: no JSON object")),
        }
        Ok(())
    }
}
