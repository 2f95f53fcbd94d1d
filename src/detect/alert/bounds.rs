//! What keeps an alert small: limits, the ladder by which a large one shrinks, and the note of what was cut.
//!
//! Owns cutting; what stands where is left to `alert` and `evidence`, which call it. Nothing is cut silently.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Whatever the limits say, an alert may take this many bytes: what it must say does not fit in less.
pub const ALERT_BYTES_MIN: usize = 65_536;
/// Names from configuration (source, topic, organisation) are cut at this many bytes.
const NAME_BYTES_MAX: usize = 256;
/// Items of a list inside a value that an alert shows.
const LIST_ITEMS_MAX: usize = 256;
/// Items of one of the rule's lists, and bytes of each.
const RULE_ITEMS_MAX: usize = 64;
const RULE_ITEM_BYTES_MAX: usize = 1_024;
/// A value nested deeper than this is left out.
const DEPTH_MAX: usize = 16;
/// The name of a cut place is itself cut here.
const PLACE_BYTES_MAX: usize = 128;
/// So many cut places are named; the note says when there are more.
const CUT_NAMES_MAX: usize = 32;

/// Bounds of one alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AlertLimits {
    /// Bytes of the original record that an alert carries.
    pub raw_bytes_max: usize,
    /// Bytes of the whole alert, at least 65536. Above it the original record, then long texts, then observables
    /// are cut.
    pub alert_bytes_max: usize,
    /// Bytes of one text value.
    pub text_bytes_max: usize,
    /// Observables of one alert.
    pub observables_max: usize,
}

impl Default for AlertLimits {
    fn default() -> Self {
        Self { raw_bytes_max: 16_384, alert_bytes_max: 262_144, text_bytes_max: 8_192, observables_max: 64 }
    }
}

/// How much an alert may show: one rung of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub raw_bytes: usize,
    pub text_bytes: usize,
    pub observables: usize,
    /// The event's columns in `data.row`.
    pub row: bool,
    /// What the rule returned, in `data.output`.
    pub output: bool,
    /// The OCSF objects of the evidence.
    pub evidence: bool,
    /// Lists and long texts of the rule.
    pub rule_texts: bool,
}

impl Allowance {
    /// The rungs in the order in which they are tried, from all to what always fits.
    pub fn ladder(limits: &AlertLimits) -> Vec<Self> {
        let full = Self {
            raw_bytes: limits.raw_bytes_max,
            text_bytes: limits.text_bytes_max,
            observables: limits.observables_max,
            row: true,
            output: true,
            evidence: true,
            rule_texts: true,
        };
        let mut rungs = vec![full];
        let mut step = |change: &dyn Fn(&mut Self)| {
            if let Some(mut next) = rungs.last().copied() {
                change(&mut next);
                if rungs.last() != Some(&next) {
                    rungs.push(next);
                }
            }
        };
        step(&|rung| rung.raw_bytes = rung.raw_bytes.min(4_096));
        step(&|rung| rung.raw_bytes = 0);
        step(&|rung| rung.text_bytes = rung.text_bytes.min(2_048));
        step(&|rung| rung.text_bytes = rung.text_bytes.min(512));
        step(&|rung| rung.observables = 0);
        step(&|rung| rung.text_bytes = rung.text_bytes.min(128));
        step(&|rung| rung.row = false);
        step(&|rung| rung.rule_texts = false);
        step(&|rung| rung.output = false);
        step(&|rung| rung.evidence = false);
        rungs
    }
}

/// Cuts, and remembers what it has cut.
#[derive(Debug)]
pub(crate) struct Cutter {
    text_bytes: usize,
    names: Vec<String>,
    more: bool,
}

impl Cutter {
    pub fn new(text_bytes: usize) -> Self {
        Self { text_bytes, names: Vec::new(), more: false }
    }

    /// Notes that something was cut or left out.
    pub fn note(&mut self, place: &str) {
        let place = prefix(place, PLACE_BYTES_MAX);
        if self.names.iter().any(|name| name == place) {
            return;
        }
        if self.names.len() < CUT_NAMES_MAX {
            self.names.push(place.to_owned());
        } else {
            self.more = true;
        }
    }

    /// A text within the bound for texts.
    pub fn text(&mut self, place: &str, text: &str) -> String {
        self.at(place, text, self.text_bytes)
    }

    /// A name from configuration.
    pub fn name(&mut self, place: &str, text: &str) -> String {
        self.at(place, text, NAME_BYTES_MAX)
    }

    fn at(&mut self, place: &str, text: &str, bytes: usize) -> String {
        let kept = prefix(text, bytes);
        if kept.len() < text.len() {
            self.note(place);
        }
        kept.to_owned()
    }

    /// One of the rule's lists.
    pub fn list(&mut self, place: &str, items: &[String]) -> Value {
        if items.len() > RULE_ITEMS_MAX {
            self.note(place);
        }
        let bytes = self.text_bytes.min(RULE_ITEM_BYTES_MAX);
        items.iter().take(RULE_ITEMS_MAX).map(|item| Value::String(self.at(place, item, bytes))).collect()
    }

    /// The values of a map that are not null.
    pub fn fields<'v>(
        &mut self,
        place: &str,
        fields: impl Iterator<Item = (&'v str, &'v Value)>,
    ) -> Map<String, Value> {
        fields
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), self.value(&format!("{place}.{name}"), value)))
            .collect()
    }

    /// Any value, its texts and lists within bounds.
    pub fn value(&mut self, place: &str, value: &Value) -> Value {
        self.nested(place, value, 0)
    }

    fn nested(&mut self, place: &str, value: &Value, depth: usize) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(place, text)),
            Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => {
                self.note(place);
                Value::Null
            }
            Value::Array(items) => {
                if items.len() > LIST_ITEMS_MAX {
                    self.note(place);
                }
                items.iter().take(LIST_ITEMS_MAX).map(|item| self.nested(place, item, depth + 1)).collect()
            }
            Value::Object(fields) => {
                if fields.len() > LIST_ITEMS_MAX {
                    self.note(place);
                }
                let kept = fields.iter().take(LIST_ITEMS_MAX);
                kept.map(|(name, item)| (name.clone(), self.nested(place, item, depth + 1))).collect()
            }
            other => other.clone(),
        }
    }

    /// The places that were cut, in the order of cutting; empty when the alert is whole.
    pub fn into_names(mut self) -> Vec<String> {
        if self.more {
            self.names.push("(more)".into());
        }
        self.names
    }
}

/// The longest prefix of at most so many bytes that ends between two characters.
pub(crate) fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// Bytes as text of at most so many bytes, and whether anything is missing or was replaced.
pub(crate) fn raw_text(raw: &[u8], bytes: usize) -> (String, bool) {
    let mut text = String::new();
    for chunk in raw.get(..raw.len().min(bytes)).unwrap_or_default().utf8_chunks() {
        text.push_str(chunk.valid());
        // What the cut left of a character is dropped; what was never one shows as U+FFFD.
        let torn = raw.len() > bytes && is_unfinished(chunk.invalid());
        if !chunk.invalid().is_empty() && !torn {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    let kept = prefix(&text, bytes).to_owned();
    let whole = kept.as_bytes() == raw;
    (kept, !whole)
}

fn is_unfinished(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn raw_bytes_are_cut_between_characters() {
        for (raw, bytes, text, cut) in [
            (&b"plain"[..], 16, "plain", false),
            (b"plain", 5, "plain", false),
            (b"plain", 3, "pla", true),
            (b"", 16, "", false),
            (b"x", 0, "", true),
            ("狼煙".as_bytes(), 6, "狼煙", false),
            ("狼煙".as_bytes(), 5, "狼", true),
            ("狼煙".as_bytes(), 3, "狼", true),
            ("狼煙".as_bytes(), 2, "", true),
            (b"a\xffb", 16, "a\u{fffd}b", true),
            (b"\xff\xff\xff\xff", 4, "\u{fffd}", true),
            (b"a\0b", 16, "a\0b", false),
        ] {
            assert_eq!(raw_text(raw, bytes), (text.to_owned(), cut), "{raw:?} at {bytes}");
        }
    }

    #[test]
    fn the_ladder_only_goes_down() {
        let limits = AlertLimits::default();
        let rungs = Allowance::ladder(&limits);
        assert_eq!(rungs.first().map(|rung| rung.raw_bytes), Some(limits.raw_bytes_max));
        for pair in rungs.windows(2) {
            let [above, below] = pair else { unreachable!() };
            assert!(below.raw_bytes <= above.raw_bytes && below.text_bytes <= above.text_bytes);
            assert_ne!(above, below);
        }
        let last = rungs.last().expect("rungs");
        assert!(!last.row && !last.output && !last.evidence && !last.rule_texts);
    }

    #[test]
    fn what_is_cut_is_named() {
        let mut cutter = Cutter::new(4);
        assert_eq!(cutter.value("row.a", &json!("abcdef")), json!("abcd"));
        assert_eq!(cutter.value("row.b", &json!(["abc", {"x": "abcdef"}])), json!(["abc", {"x": "abcd"}]));
        assert_eq!(cutter.value("row.c", &json!(vec![0; 300])).as_array().map(Vec::len), Some(256));
        assert_eq!(cutter.value("row.d", &json!("abcd")), json!("abcd"));
        assert_eq!(cutter.into_names(), ["row.a", "row.b", "row.c"]);

        let mut cutter = Cutter::new(1);
        for at in 0..100 {
            cutter.text(&format!("row.{at}"), "long");
        }
        let names = cutter.into_names();
        assert_eq!((names.len(), names.last().map(String::as_str)), (33, Some("(more)")));
    }

    #[test]
    fn deep_values_end() {
        let mut value = json!("bottom");
        for _ in 0..100 {
            value = json!([value]);
        }
        let mut cutter = Cutter::new(64);
        let text = cutter.value("row.a", &value).to_string();
        assert_eq!(text, format!("{}null{}", "[".repeat(DEPTH_MAX), "]".repeat(DEPTH_MAX)));
        assert_eq!(cutter.into_names(), ["row.a"]);
    }
}
