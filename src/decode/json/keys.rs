//! Which keys of an object are wanted, found without asking each time.
//!
//! Owns what a decoder has learned of the keys of each level: events of a kind have the same keys in the same order, so behind
//! one key mostly stands the one that stood behind it last time. What the guess does not know the level's map does. Used by
//! the parent.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::tape::Text;
use crate::decode::fields::{FieldNode, Spot};

/// Keys of a level that are learned; those of a producer that makes up new ones are looked up each time.
const KEYS_MAX: usize = 1_024;
/// Longer keys are not learned.
const KEY_BYTES_MAX: usize = 128;

/// Where the value of a key goes, and the level of what is in it.
pub(super) type Wanted = (Option<Spot>, Option<usize>);

/// What has been learned, by level.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Level>);

#[derive(Debug, Default)]
struct Level {
    keys: Vec<Key>,
    by_name: HashMap<Box<str>, u32, RandomState>,
    first: u32,
}

#[derive(Debug)]
struct Key {
    raw: Box<str>,
    wanted: Option<Wanted>,
    /// The key that stood behind it last.
    next: u32,
}

/// The place among a level's keys, while an object is walked over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    last: Option<u32>,
    guess: u32,
}

impl Keys {
    /// The beginning of an object.
    pub(super) fn begin(&mut self, level: usize) -> Cursor {
        if self.0.len() <= level {
            self.0.resize_with(level + 1, Level::default);
        }
        Cursor { last: None, guess: self.0.get(level).map_or(0, |level| level.first) }
    }

    /// What is wanted of the object's next key.
    pub(super) fn next(
        &mut self,
        level: usize,
        cursor: &mut Cursor,
        key: &Text<'_>,
        node: &FieldNode,
    ) -> Option<Wanted> {
        let level = self.0.get_mut(level)?;
        if let Some(known) = level.keys.get(cursor.guess as usize).filter(|known| *known.raw == *key.raw) {
            *cursor = Cursor { last: Some(cursor.guess), guess: known.next };
            return known.wanted;
        }
        let at = match level.by_name.get(key.raw) {
            Some(at) => *at,
            None => {
                let wanted = node.children.get(&*key.get()).copied();
                if level.keys.len() >= KEYS_MAX || key.raw.len() > KEY_BYTES_MAX {
                    return wanted;
                }
                #[expect(clippy::cast_possible_truncation, reason = "it is below the bound")]
                let at = level.keys.len() as u32;
                level.keys.push(Key { raw: key.raw.into(), wanted, next: 0 });
                level.by_name.insert(key.raw.into(), at);
                at
            }
        };
        match cursor.last.and_then(|last| level.keys.get_mut(last as usize)) {
            Some(last) => last.next = at,
            None => level.first = at,
        }
        let known = level.keys.get(at as usize)?;
        *cursor = Cursor { last: Some(at), guess: known.next };
        known.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::FieldSet;

    #[test]
    fn keys_are_found_in_any_order_known_or_not() {
        let mut fields = FieldSet::new();
        let (a, b) = (fields.add("a"), fields.add("b"));
        let node = fields.node(0);
        let mut keys = Keys::default();
        let many: Vec<String> = (0..2 * KEYS_MAX).map(|at| format!("k{at}")).collect();
        let long = "x".repeat(2 * KEY_BYTES_MAX);
        let mut objects: Vec<Vec<&str>> = vec![
            vec!["a", "x", "b"],
            vec!["a", "x", "b"],
            vec!["b", "a"],
            vec!["x", "a", "a", "y", "b", "\\u0061"],
            vec![&long, "b", &long],
        ];
        objects.push(many.iter().map(String::as_str).collect());
        objects.push(vec!["k5", "b", "k2047", "a", "k2047"]);
        for object in objects {
            let mut cursor = keys.begin(0);
            for raw in object {
                let key = Text { raw };
                let expect = match raw {
                    "a" | "\\u0061" => Some((Some(a), None)),
                    "b" => Some((Some(b), None)),
                    _ => None,
                };
                assert_eq!(keys.next(0, &mut cursor, &key, node), expect, "{raw}");
            }
        }
        assert_eq!(keys.0[0].keys.len(), KEYS_MAX);
    }
}
