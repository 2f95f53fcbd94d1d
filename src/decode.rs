//! Bytes of a record → events as slots of wanted fields, or a reject.
//!
//! Owns the formats (one file each, listed in [`FORMATS`]), the [`FieldSet`] that tells a decoder which
//! fields anybody needs and where they are, and the outcome for a record that is no event. Decoders are total functions:
//! bounded in size and depth, without panics, whatever the bytes. What fields *mean* (tables, types, time)
//! is left to `normalise`. Called by `pipeline::engine`.

mod bounds;
mod compose;
pub mod envelope;
pub mod events;
mod fields;
mod foreign;
mod json;
pub mod readers;
pub mod steps;
mod suricata_eve;
mod windows_event_json;
mod windows_event_xml;
mod windows_json;
mod winlogbeat;

use std::borrow::Cow;
use std::ops::Range;

pub use bounds::DecodeLimits;
use compose::Composed;
pub use fields::{FieldSet, Place, Places, Slot};
pub use foreign::{Hint, Marks};
use json::JsonDecoder;
pub use json::Lines;
pub use readers::Reader;
use steps::Steps;

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
    /// Where it keeps fields, when that is not for each at the path of its own name. Formats of the same events share the
    /// names, and so the tables' views.
    fn places(&self) -> Option<Places> {
        None
    }
    /// False for a path that no event of the format has, when its paths show that.
    fn may_hold(&self, _path: &str) -> bool {
        true
    }
    /// What reads a frame of it; nothing where it is JSON.
    fn reader(&self) -> Option<Box<dyn Reader>> {
        None
    }
    /// A decoder that fills the slots of `fields`.
    fn decoder(&self, fields: &FieldSet, limits: DecodeLimits) -> Box<dyn Decoder> {
        match self.reader() {
            None => Box::new(JsonDecoder::new(fields, limits)),
            reader => Box::new(Composed::new(&Steps::default(), reader, fields, limits)),
        }
    }
}

/// All formats.
pub const FORMATS: &[&dyn Format] = &[
    &windows_json::WindowsJson,
    &windows_event_json::WindowsEventJson,
    &windows_event_xml::WindowsEventXml,
    &winlogbeat::Winlogbeat,
    &suricata_eve::SuricataEve,
];

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
    /// Text with escapes, as it stands between the quotes of a JSON string. Most of them are known as they are, so they are
    /// only [`unescaped`] for somebody who has to.
    Escaped(&'a str),
    /// All values of the event, each on a line: made for somebody who has to read it.
    Lines(Lines<'a>),
}

/// What a text with the escapes of JSON says.
pub fn unescaped(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    json::unescape(raw, &mut text);
    text
}

impl<'a> Value<'a> {
    /// The same without escapes.
    pub fn plain(self) -> Value<'a> {
        match self {
            Self::Escaped(raw) => Self::Text(Cow::Owned(unescaped(raw))),
            Self::Lines(lines) => Self::Text(Cow::Owned(lines.text())),
            other => other,
        }
    }

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
