//! Which fields of an event anybody needs, and where a format keeps them.
//!
//! Owns the set of wanted fields, the trie over path segments that a decoder walks, and the choice where a format may
//! keep one field in several places. `normalise::layout` fills it; the decoders read it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{Format, Value};

/// Index of a wanted field in the values that a decoder emits.
pub type Slot = usize;
/// Index of a value that the walk over an event collects. Where a format keeps each field in one place only, it is the
/// field's slot.
pub type Spot = usize;

/// Where a format may keep a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// At this path.
    At(String),
    /// In some object directly below this path, under this key: `Event.UserData`, `Reason` finds
    /// `{"Event":{"UserData":{"Anything":{"Reason":…}}}}`.
    Below(String, String),
    /// Of the list of named values at this path, the one of this name: `{"#attributes":{"Name":…},"#text":…}`.
    Named(String, String),
    /// Of the values without a name at this path, the one with this index, from 0.
    Nameless(String, usize),
    /// All values without a name at this path, each on a line.
    AllNameless(String),
    /// What is found at these paths, each behind its prefix, with the separator between.
    Join(Vec<(&'static str, String)>, &'static str),
}

impl Place {
    /// At a path.
    pub fn at(path: impl Into<String>) -> Self {
        Self::At(path.into())
    }
}

/// Where the fields of a format are, by their names, in order of preference.
pub type Places = fn(&str) -> Vec<Place>;

/// The fields that some rule, key, condition or alert needs, as a trie over path segments.
///
/// `a.b` finds `{"a":{"b":…}}` and also `{"a.b":…}`: some producers flatten their names. `a.0.b` also finds the `b` of
/// the first item of the list `a`, and `a.b` those of all items, as a list.
#[derive(Debug, Clone, Default)]
pub struct FieldSet {
    places: Option<Places>,
    paths: Vec<String>,
    slots: HashMap<String, Slot>,
    /// How each slot is filled, when the format has places.
    picks: Vec<Vec<Source>>,
    spots: HashMap<Place, Spot>,
    nodes: Vec<FieldNode>,
    whole: Option<Spot>,
    text: Option<Spot>,
}

/// What may fill a slot.
#[derive(Debug, Clone)]
enum Source {
    Spot(Spot),
    Join(Vec<(&'static str, Spot)>, &'static str),
}

/// One level of the trie.
#[derive(Debug, Clone, Default)]
pub struct FieldNode {
    /// Key → (spot of the value itself, node for what lies below it).
    pub children: HashMap<String, (Option<Spot>, Option<usize>), foldhash::fast::RandomState>,
    /// So many items of a list may be wanted: one more than the highest index among the keys.
    pub items: usize,
    /// Whether a key is none of those: of a list of objects, what each of them has there is wanted.
    pub names: bool,
    /// Node for what lies below any key.
    pub any: Option<usize>,
    /// What is wanted of a list of values with or without names.
    pub listed: Option<Listed>,
}

/// What is wanted of a list of values with or without names.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Values by their names.
    pub named: HashMap<String, Spot>,
    /// Values without a name, by their index.
    pub nameless: Vec<(usize, Spot)>,
    /// All values without a name.
    pub all: Option<Spot>,
}

impl Listed {
    /// All spots of it.
    pub fn spots(&self) -> impl Iterator<Item = Spot> {
        self.named.values().copied().chain(self.nameless.iter().map(|(_, spot)| *spot)).chain(self.all)
    }
}

impl FieldSet {
    /// The path that stands for the whole event as JSON text.
    pub const WHOLE: &'static str = "$";
    /// The path that stands for all values of the event, each on a line.
    pub const TEXT: &'static str = "$text";

    /// An empty set, of a format that keeps each field at its own path.
    pub fn new() -> Self {
        Self { nodes: vec![FieldNode::default()], ..Self::default() }
    }

    /// An empty set of fields of a format.
    pub fn of(format: &dyn Format) -> Self {
        Self { places: format.places(), ..Self::new() }
    }

    /// The slot of a field, adding it when it is new.
    pub fn add(&mut self, path: &str) -> Slot {
        if let Some(slot) = self.slots.get(path) {
            return *slot;
        }
        let slot = self.push(path, |places| places(path));
        self.slots.insert(path.to_owned(), slot);
        slot
    }

    /// The slot of what stands at a path itself, wherever the format keeps a field of that name.
    pub fn add_exact(&mut self, path: &str) -> Slot {
        match self.places {
            None => self.add(path),
            Some(_) => self.push(path, |_| vec![Place::at(path)]),
        }
    }

    fn push(&mut self, path: &str, places: impl FnOnce(Places) -> Vec<Place>) -> Slot {
        let slot = self.paths.len();
        self.paths.push(path.to_owned());
        match self.places {
            None => {
                self.spot(Place::at(path));
            }
            Some(of) => {
                let sources = places(of).into_iter().map(|place| self.source(place)).collect();
                self.picks.push(sources);
            }
        }
        slot
    }

    fn source(&mut self, place: Place) -> Source {
        match place {
            Place::Join(parts, separator) => {
                let parts = parts.into_iter().map(|(prefix, path)| (prefix, self.spot(Place::At(path))));
                Source::Join(parts.collect(), separator)
            }
            place => Source::Spot(self.spot(place)),
        }
    }

    fn spot(&mut self, place: Place) -> Spot {
        if let Some(spot) = self.spots.get(&place) {
            return *spot;
        }
        let spot = self.spots.len();
        match &place {
            Place::At(path) if path == Self::WHOLE => self.whole = Some(spot),
            Place::At(path) if path == Self::TEXT => self.text = Some(spot),
            Place::At(path) => {
                self.nodes[0].children.entry(path.clone()).or_default().0 = Some(spot);
                self.descend(0, path, Some(spot));
            }
            Place::Below(path, key) => {
                let object = self.descend(0, path, None);
                let fresh = self.nodes.len();
                let any = *self.nodes[object].any.get_or_insert(fresh);
                if any == fresh {
                    self.nodes.push(FieldNode::default());
                }
                self.nodes[any].children.entry(key.clone()).or_default().0 = Some(spot);
            }
            Place::Named(path, name) => {
                self.listed(path).named.insert(name.clone(), spot);
            }
            Place::Nameless(path, index) => self.listed(path).nameless.push((*index, spot)),
            Place::AllNameless(path) => self.listed(path).all = Some(spot),
            // Its parts have spots.
            Place::Join(..) => {}
        }
        self.spots.insert(place, spot);
        spot
    }

    fn listed(&mut self, path: &str) -> &mut Listed {
        let node = self.descend(0, path, None);
        self.nodes[node].listed.get_or_insert_default()
    }

    /// Adds a path below a node. The value at its end gets the spot; without one, the node for what lies below it is
    /// made and returned.
    fn descend(&mut self, mut node: usize, path: &str, spot: Option<Spot>) -> usize {
        let mut segments = path.split('.').peekable();
        while let Some(segment) = segments.next() {
            let fresh = self.nodes.len();
            match segment.parse::<usize>() {
                Ok(index) => {
                    let items = index.saturating_add(1);
                    self.nodes[node].items = self.nodes[node].items.max(items);
                }
                Err(_) => self.nodes[node].names = true,
            }
            let entry = self.nodes[node].children.entry(segment.to_owned()).or_default();
            if spot.is_some() && segments.peek().is_none() {
                entry.0 = spot;
            } else {
                node = *entry.1.get_or_insert(fresh);
                if node == fresh {
                    self.nodes.push(FieldNode::default());
                }
            }
        }
        node
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// True when nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The fields, in slot order.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// How many spots the walk fills.
    pub fn spots(&self) -> usize {
        self.spots.len()
    }

    /// True when spots are slots.
    pub fn is_direct(&self) -> bool {
        self.places.is_none()
    }

    /// The spot of the whole event's text, when somebody wants it.
    pub fn whole(&self) -> Option<Spot> {
        self.whole
    }

    /// The spot of all values' text, when somebody wants it.
    pub fn text(&self) -> Option<Spot> {
        self.text
    }

    /// A level of the trie; 0 is the root.
    pub fn node(&self, at: usize) -> &FieldNode {
        &self.nodes[at]
    }

    /// Fills the slots from the spots of an event: each with the first of its places that has a value.
    pub fn pick<'s>(&self, spots: &'s [Value<'_>], slots: &mut Vec<Value<'s>>) {
        slots.clear();
        slots.extend(self.picks.iter().map(|sources| {
            let mut picked = Value::Missing;
            for source in sources {
                let found = match source {
                    Source::Spot(spot) => spots.get(*spot).map_or(Value::Missing, borrowed),
                    Source::Join(parts, separator) => join(parts, separator, spots),
                };
                if found.is_present() {
                    return found;
                }
                if picked == Value::Missing {
                    picked = found;
                }
            }
            picked
        }));
    }
}

fn borrowed<'s>(value: &'s Value<'_>) -> Value<'s> {
    match value {
        Value::Missing => Value::Missing,
        Value::Null => Value::Null,
        Value::Bool(flag) => Value::Bool(*flag),
        Value::Int(number) => Value::Int(*number),
        Value::Double(number) => Value::Double(*number),
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        Value::Escaped(raw) => Value::Escaped(raw),
        Value::Lines(lines) => Value::Lines(*lines),
    }
}

fn join<'s>(parts: &[(&str, Spot)], separator: &str, spots: &[Value<'_>]) -> Value<'s> {
    let mut joined = String::new();
    for (prefix, spot) in parts {
        let text = match spots.get(*spot) {
            Some(Value::Text(text)) => Cow::Borrowed(text.as_ref()),
            Some(Value::Escaped(raw)) => Cow::Owned(super::unescaped(raw)),
            _ => continue,
        };
        {
            if !joined.is_empty() {
                joined.push_str(separator);
            }
            joined.push_str(prefix);
            joined.push_str(&text);
        }
    }
    if joined.is_empty() { Value::Missing } else { Value::Text(Cow::Owned(joined)) }
}
