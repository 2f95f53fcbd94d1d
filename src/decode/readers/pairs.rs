//! Pairs of key and value on their way into an object.
//!
//! Owns what becomes of a key that stands more than once: a list of its values, in their order, in the place of the first, so
//! that nothing is lost and no object says a key twice. Called by the readers of formats that allow it.

use std::borrow::Cow;

use crate::decode::events::Object;

/// How many bits tell keys apart before they are compared.
const MASK_BITS: usize = 4096;
const WORD_BITS: usize = 64;
/// How many pairs there is room for from the beginning.
const ROOM: usize = 32;

/// The pairs of one object, in their order.
#[derive(Debug)]
pub struct Pairs<'a> {
    pairs: Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>,
    mask: [u64; MASK_BITS / WORD_BITS],
    /// False as long as no key can have come twice.
    maybe_repeated: bool,
}

impl Default for Pairs<'_> {
    fn default() -> Self {
        Self { pairs: Vec::with_capacity(ROOM), mask: [0; MASK_BITS / WORD_BITS], maybe_repeated: false }
    }
}

impl<'a> Pairs<'a> {
    /// A key with its value.
    pub fn push(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        self.add(key.into(), Some(value.into()));
    }

    /// A key that stands alone.
    pub fn flag(&mut self, key: impl Into<Cow<'a, str>>) {
        self.add(key.into(), None);
    }

    /// How many there are, flags included.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pairs; a flag has no value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.pairs.iter().map(|(key, value)| (key.as_ref(), value.as_deref()))
    }

    fn add(&mut self, key: Cow<'a, str>, value: Option<Cow<'a, str>>) {
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let bit = usize::try_from(hash >> 32).unwrap_or(0) % MASK_BITS;
        if let Some(word) = self.mask.get_mut(bit / WORD_BITS) {
            let bit = 1 << (bit % WORD_BITS);
            self.maybe_repeated |= *word & bit != 0;
            *word |= bit;
        }
        self.pairs.push((key, value));
    }

    /// Writes them; a flag as true, or as the text `true` among values of the same key.
    pub fn write(&self, object: &mut Object<'_>) {
        if !self.maybe_repeated {
            for (key, value) in self.iter() {
                match value {
                    Some(value) => object.text(key, value),
                    None => object.bool(key, true),
                }
            }
            return;
        }
        // Sorted by key, then place: those of one key stand together, the first of them first.
        let mut order: Vec<_> = self.iter().enumerate().map(|(at, (key, value))| (key, at, value)).collect();
        order.sort_unstable_by_key(|(key, at, _)| (*key, *at));
        let mut groups: Vec<_> = order.chunk_by(|one, other| one.0 == other.0).collect();
        groups.sort_unstable_by_key(|group| group.first().map(|(_, at, _)| *at));
        for group in groups {
            match group {
                [(key, _, Some(value))] => object.text(key, value),
                [(key, ..), ..] if group.iter().all(|(.., value)| value.is_none()) => object.bool(key, true),
                [(key, ..), ..] => object.texts(key, group.iter().map(|(.., value)| value.unwrap_or("true"))),
                [] => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decode::events::Events;

    #[test]
    fn keys_that_repeat_give_lists() {
        let mut pairs = Pairs::default();
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("a", "1"), ("", "5")] {
            pairs.push(key, value);
        }
        for key in ["f", "f", "b"] {
            pairs.flag(key);
        }
        let mut events = Events::default();
        events.event(|object| pairs.write(object));
        let text = r#"[{"a":["1","3","1"],"b":["2","true"],"c":"4","":"5","f":true}]"#;
        assert_eq!(events.list(), text);
    }

    #[test]
    fn many_keys_are_written_once_each_and_in_their_order() {
        let names: Vec<_> = (0..1000).map(|number| format!("key{number}")).collect();
        let mut pairs = Pairs::default();
        for name in &names {
            pairs.push(name.as_str(), name.as_str());
        }
        assert!(pairs.maybe_repeated, "of a thousand keys some share a bit");
        let mut events = Events::default();
        events.event(|object| pairs.write(object));
        let expect: Vec<_> = names.iter().map(|name| format!("{}:{}", json!(name), json!(name))).collect();
        assert_eq!(events.list(), format!("[{{{}}}]", expect.join(",")));
    }
}
