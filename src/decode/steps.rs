//! What lies around a format: how a value is packed, how it is cut into frames, what envelopes are around each.
//!
//! Owns the steps that a source may declare before its format, their names, and a format with steps before it, which is a
//! format like any other. Carrying them out is `compose`'s. Called by `pipeline::definition`.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compose::Composed;
use super::envelope::{ENVELOPES, Envelope, KEY};
use super::readers::Reader;
use super::{DecodeLimits, Decoder, FieldSet, Format, Places, TimeField};

/// Envelopes around one another, at most.
pub const ENVELOPES_MAX: usize = 4;

/// How the value of a record is packed. Kafka's own compression is none of it: that of the client goes unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 8878, one frame or several.
    Zstd,
}

/// How a value is cut into frames, each of which has what the envelope or the format reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// It is one frame. A format of JSON takes one event, a list, or one event a line.
    #[default]
    Record,
    /// Each line is a frame; lines of white space are none.
    Lines,
}

/// What a source declares before its format.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Steps {
    /// How values are packed.
    pub packing: Packing,
    /// How they are cut.
    pub framing: Framing,
    /// The envelopes around each frame, from the outside in; indices in [`ENVELOPES`].
    pub envelopes: Vec<usize>,
}

impl Steps {
    /// True when nothing lies around the format.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those envelopes.
    pub fn envelopes(&self) -> impl Iterator<Item = &'static Envelope> {
        self.envelopes.iter().filter_map(|at| ENVELOPES.get(*at))
    }
}

/// The format with these steps before it. Each is made once and kept: as many as there are different declarations.
pub fn with_steps(format: &'static dyn Format, steps: Steps) -> &'static dyn Format {
    type Made = HashMap<(&'static str, Steps), &'static dyn Format>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    if steps.is_empty() {
        return format;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    *made.entry((format.name(), steps)).or_insert_with_key(|(_, steps)| {
        // The event's own times are better than those of who carried it, and the nearest carrier's than those of others.
        let mut times = format.time_fields().to_vec();
        let mut prefix = String::new();
        for envelope in steps.envelopes().collect::<Vec<_>>().into_iter().rev() {
            prefix = format!("{prefix}{KEY}.");
            times.extend(
                envelope
                    .times
                    .iter()
                    .map(|time| TimeField { path: format!("{prefix}{}", time.path).leak(), utc: time.utc }),
            );
        }
        Box::leak(Box::new(Stepped { format, steps: steps.clone(), times: times.leak() }))
    })
}

/// A format with steps before it.
struct Stepped {
    format: &'static dyn Format,
    steps: Steps,
    times: &'static [TimeField],
}

impl Format for Stepped {
    fn name(&self) -> &'static str {
        self.format.name()
    }

    fn description(&self) -> &'static str {
        self.format.description()
    }

    fn time_fields(&self) -> &'static [TimeField] {
        self.times
    }

    fn mark(&self) -> &'static str {
        self.format.mark()
    }

    fn places(&self) -> Option<Places> {
        self.format.places()
    }

    fn may_hold(&self, path: &str) -> bool {
        let (first, _) = path.split_once('.').unwrap_or((path, ""));
        first == KEY || self.format.may_hold(path)
    }

    fn reader(&self) -> Option<Box<dyn Reader>> {
        self.format.reader()
    }

    fn decoder(&self, fields: &FieldSet, limits: DecodeLimits) -> Box<dyn Decoder> {
        Box::new(Composed::new(&self.steps, self.format.reader(), fields, limits))
    }
}
