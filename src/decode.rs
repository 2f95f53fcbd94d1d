//! Bytes of a record → events as slots of wanted fields, or a reject.
//!
//! Owns the formats (one file each, listed in [`FORMATS`]), the [`FieldSet`] that tells a decoder which
//! fields anybody needs, and the outcome for a record that is no event. Decoders are total functions:
//! bounded in size and depth, without panics, whatever the bytes. What fields *mean* (tables, types, time)
//! is left to `normalise`. Called by `pipeline::engine`.

mod bounds;
mod foreign;
mod json;
mod suricata_eve;
mod windows_json;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

pub use bounds::DecodeLimits;
pub use foreign::{Hint, Marks};

/// A source format. A new one is a file here, one line in [`FORMATS`] and a fixture folder.
pub trait Format: Sync + Send {
    /// The name that source declarations use.
    fn name(&self) -> &'static str;
    /// One sentence for `--help` and the documentation.
    fn description(&self) -> &'static str;
    /// Where the event's time stands, in order of preference.
    fn time_fields(&self) -> &'static [TimeField];
    /// A field that every event of the format has: one that lacks it may be of another format.
    fn mark(&self) -> &'static str;
    /// False for a path that no event of the format has, when its paths show that.
    fn may_hold(&self, _path: &str) -> bool {
        true
    }
    /// A decoder that fills the slots of `fields`.
    fn decoder(&self, fields: &FieldSet, limits: DecodeLimits) -> Box<dyn Decoder>;
}

/// All formats.
pub const FORMATS: &[&dyn Format] = &[&windows_json::WindowsJson, &suricata_eve::SuricataEve];

/// The format of that name.
pub fn format(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == name)
}

/// A field that may hold the event's time.
#[derive(Debug, Clone, Copy)]
pub struct TimeField {
    /// Path of the field.
    pub path: &'static str,
    /// True when a time without a zone is UTC; else it is in the source's time zone.
    pub utc: bool,
}

/// Turns the bytes of one record into events.
pub trait Decoder: Send {
    /// Calls `emit` once for each event of the record, in order, with one value for each slot; returns how
    /// many there were. Nothing of a record that is rejected may have been emitted before: a record is
    /// taken whole or not at all.
    fn decode(&mut self, payload: &[u8], emit: &mut dyn FnMut(&[Value<'_>])) -> Result<u32, Reject>;

    /// Where the events of a record stand in it, in order; empty when that cannot be told. For evidence: an alert
    /// shows its own event, not its neighbours.
    fn parts(&self, _payload: &[u8]) -> Vec<Range<usize>> {
        Vec::new()
    }
}

/// One field of one event.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value<'a> {
    /// The event does not have the field.
    #[default]
    Missing,
    /// The field is there and null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer that fits 64 bits with sign.
    Int(i64),
    /// Any other number; finite.
    Double(f64),
    /// Text. Objects and lists arrive as their JSON text.
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// True when the event has the field with a value.
    pub fn is_present(&self) -> bool {
        !matches!(self, Value::Missing | Value::Null)
    }
}

/// Why a record could not become events. The code is stable and goes to the dead-letter topic; the detail
/// never holds bytes of the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Reject {
    /// Stable code.
    pub code: RejectCode,
    /// For people: what was wrong and at which byte, without any of the bytes.
    pub detail: String,
}

/// The stable reject codes; `docs/rejects.md` explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectCode {
    /// Empty value (zero bytes, or only white space).
    Empty,
    /// Larger than `limits.record_bytes_max`.
    TooLarge,
    /// Not valid UTF-8.
    NotUtf8,
    /// Not valid in the source's format.
    Syntax,
    /// Nested deeper than `limits.depth_max`.
    TooDeep,
    /// Valid, but not an object (an event), nor a list of objects.
    NotAnEvent,
    /// More events in one record than `limits.events_per_record_max`.
    TooManyEvents,
    /// Its events matched so often that the alerts would exceed `epoch.bytes_max`: the first are published.
    TooManyAlerts,
    /// A stage panicked on this record.
    Panic,
    /// It was read, but the brokers refuse what comes of it for itself: too large, invalid.
    SinkRefused,
}

impl RejectCode {
    /// All codes.
    pub const ALL: &[RejectCode] = &[
        Self::Empty,
        Self::TooLarge,
        Self::NotUtf8,
        Self::Syntax,
        Self::TooDeep,
        Self::NotAnEvent,
        Self::TooManyEvents,
        Self::TooManyAlerts,
        Self::Panic,
        Self::SinkRefused,
    ];

    /// The code as it stands in headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::NotUtf8 => "not_utf8",
            Self::Syntax => "syntax",
            Self::TooDeep => "too_deep",
            Self::NotAnEvent => "not_an_event",
            Self::TooManyEvents => "too_many_events",
            Self::TooManyAlerts => "too_many_alerts",
            Self::Panic => "panic",
            Self::SinkRefused => "sink_refused",
        }
    }
}

impl std::fmt::Display for RejectCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Index of a wanted field in the values that a decoder emits.
pub type Slot = usize;

/// The fields that some rule, key, condition or alert needs, as a trie over path segments.
///
/// `a.b` finds `{"a":{"b":…}}` and also `{"a.b":…}`: some producers flatten their names. `a.0.b` also finds the `b` of
/// the first item of the list `a`.
#[derive(Debug, Clone, Default)]
pub struct FieldSet {
    paths: Vec<String>,
    slots: HashMap<String, Slot>,
    nodes: Vec<FieldNode>,
    whole: Option<Slot>,
}

/// One level of the trie.
#[derive(Debug, Clone, Default)]
pub struct FieldNode {
    /// Key → (slot of the value itself, node for what lies below it).
    pub children: HashMap<String, (Option<Slot>, Option<usize>)>,
    /// So many items of a list may be wanted: one more than the highest index among the keys.
    pub items: usize,
}

impl FieldSet {
    /// The path that stands for the whole event as JSON text.
    pub const WHOLE: &'static str = "$";

    /// An empty set.
    pub fn new() -> Self {
        Self { nodes: vec![FieldNode::default()], ..Self::default() }
    }

    /// The slot of a path, adding it when it is new.
    pub fn add(&mut self, path: &str) -> Slot {
        if let Some(slot) = self.slots.get(path) {
            return *slot;
        }
        let slot = self.paths.len();
        self.paths.push(path.to_owned());
        self.slots.insert(path.to_owned(), slot);
        if path == Self::WHOLE {
            self.whole = Some(slot);
            return slot;
        }
        self.nodes[0].children.entry(path.to_owned()).or_default().0 = Some(slot);
        let mut node = 0;
        let mut segments = path.split('.').peekable();
        while let Some(segment) = segments.next() {
            let fresh = self.nodes.len();
            let items = segment.parse::<usize>().map_or(0, |index| index.saturating_add(1));
            self.nodes[node].items = self.nodes[node].items.max(items);
            let entry = self.nodes[node].children.entry(segment.to_owned()).or_default();
            if segments.peek().is_none() {
                entry.0 = Some(slot);
            } else {
                node = *entry.1.get_or_insert(fresh);
                if node == fresh {
                    self.nodes.push(FieldNode::default());
                }
            }
        }
        slot
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// True when nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The paths, in slot order.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The slot of the whole event's text, when somebody wants it.
    pub fn whole(&self) -> Option<Slot> {
        self.whole
    }

    /// A level of the trie; 0 is the root.
    pub fn node(&self, at: usize) -> &FieldNode {
        &self.nodes[at]
    }
}
