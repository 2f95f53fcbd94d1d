//! Events on their way to JSON.
//!
//! Owns the text that a reader of another format writes: one JSON object an event, all of a record in one list, so that
//! whatever comes after (paths, whole events, all values, evidence) is the same for all formats. Keys and texts are escaped
//! here; order and names are the reader's. Called by `readers`; read by `json`.

use std::fmt::Write;

/// The events of one record.
#[derive(Debug)]
pub struct Events {
    text: String,
    count: usize,
    bytes_max: usize,
    full: bool,
    /// What each further event has beside what is written to it: a key and a value, as JSON.
    more: String,
}

impl Default for Events {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Events {
    /// Of so many bytes at most: what a record has beside its events can be there once for each of them.
    pub fn new(bytes_max: usize) -> Self {
        Self { text: String::new(), count: 0, bytes_max, full: false, more: String::new() }
    }

    /// True when there were more than fit; those are not among them.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Forgets the events of the record before.
    pub fn clear(&mut self) {
        self.text.clear();
        self.more.clear();
        self.count = 0;
        self.full = false;
    }

    /// From now on each event also has this, which is JSON; without a text no more.
    pub fn with(&mut self, key: &str, json: &str) {
        self.more.clear();
        if !json.is_empty() {
            quoted(&mut self.more, key);
            self.more.push(':');
            self.more.push_str(json);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One more event, of what is written to it.
    pub fn event<R>(&mut self, write: impl FnOnce(&mut Object<'_>) -> R) -> R {
        let before = self.begin();
        let made = object(&mut self.text, write);
        self.complete(before);
        made
    }

    /// One more event that is a JSON object already: its text, which must be that of an object and nothing around it.
    pub fn json(&mut self, object: &str) {
        let before = self.begin();
        self.text.push_str(object);
        self.complete(before);
    }

    /// Makes room for an event, and says how many bytes there were before.
    fn begin(&mut self) -> usize {
        let before = self.text.len();
        self.text.push(if self.count == 0 { '[' } else { ',' });
        before
    }

    /// Ends the event that was written behind so many bytes.
    fn complete(&mut self, before: usize) {
        if self.full || self.text.len() + self.more.len() > self.bytes_max {
            self.text.truncate(before);
            self.full = true;
            return;
        }
        self.count += 1;
        if self.more.is_empty() {
            return;
        }
        self.text.pop();
        if !self.text.trim_ascii_end().ends_with('{') {
            self.text.push(',');
        }
        self.text.push_str(&self.more);
        self.text.push('}');
    }

    /// All of them, as the text of a JSON list; none may follow.
    pub fn list(&mut self) -> &str {
        if self.count == 0 {
            self.text.push('[');
        }
        self.text.push(']');
        &self.text
    }
}

/// A JSON object that is being written.
#[derive(Debug)]
pub struct Object<'a> {
    text: &'a mut String,
    any: bool,
}

impl Object<'_> {
    /// A text.
    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        quoted(self.text, value);
    }

    /// A number as it was written; what JSON does not take for a number is a text.
    pub fn number(&mut self, key: &str, written: &str) {
        self.key(key);
        number(self.text, written);
    }

    /// A whole number.
    pub fn int(&mut self, key: &str, value: i64) {
        self.key(key);
        let _ = write!(self.text, "{value}");
    }

    /// A boolean.
    pub fn bool(&mut self, key: &str, value: bool) {
        self.key(key);
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// No value.
    pub fn null(&mut self, key: &str) {
        self.key(key);
        self.text.push_str("null");
    }

    /// An object.
    pub fn object<R>(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>) -> R) -> R {
        self.key(key);
        object(self.text, write)
    }

    /// A list of texts.
    pub fn texts<'v>(&mut self, key: &str, values: impl IntoIterator<Item = &'v str>) {
        self.list(key, |list| values.into_iter().for_each(|value| list.text(value)));
    }

    /// A list of anything.
    pub fn list<R>(&mut self, key: &str, write: impl FnOnce(&mut List<'_>) -> R) -> R {
        self.key(key);
        self.text.push('[');
        let mut list = List { text: self.text, any: false };
        let made = write(&mut list);
        list.text.push(']');
        made
    }

    fn key(&mut self, key: &str) {
        if self.any {
            self.text.push(',');
        }
        self.any = true;
        quoted(self.text, key);
        self.text.push(':');
    }
}

/// A JSON list that is being written.
#[derive(Debug)]
pub struct List<'a> {
    text: &'a mut String,
    any: bool,
}

impl List<'_> {
    /// A text.
    pub fn text(&mut self, value: &str) {
        self.next();
        quoted(self.text, value);
    }

    /// A number as it was written; what JSON does not take for a number is a text.
    pub fn number(&mut self, written: &str) {
        self.next();
        number(self.text, written);
    }

    /// A boolean.
    pub fn bool(&mut self, value: bool) {
        self.next();
        self.text.push_str(if value { "true" } else { "false" });
    }

    /// No value.
    pub fn null(&mut self) {
        self.next();
        self.text.push_str("null");
    }

    /// An object.
    pub fn object<R>(&mut self, write: impl FnOnce(&mut Object<'_>) -> R) -> R {
        self.next();
        object(self.text, write)
    }

    fn next(&mut self) {
        if self.any {
            self.text.push(',');
        }
        self.any = true;
    }
}

/// Writes an object behind a text.
pub fn object<R>(text: &mut String, write: impl FnOnce(&mut Object<'_>) -> R) -> R {
    text.push('{');
    let mut object = Object { text, any: false };
    let made = write(&mut object);
    object.text.push('}');
    made
}

fn number(text: &mut String, written: &str) {
    if is_number(written) {
        text.push_str(written);
    } else {
        quoted(text, written);
    }
}

fn quoted(text: &mut String, value: &str) {
    text.push('"');
    let mut rest = value;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        let (plain, after) = rest.split_at(at);
        text.push_str(plain);
        let mut characters = after.chars();
        match characters.next() {
            Some('\n') => text.push_str("\\n"),
            Some('\r') => text.push_str("\\r"),
            Some('\t') => text.push_str("\\t"),
            Some(character @ ('"' | '\\')) => {
                text.push('\\');
                text.push(character);
            }
            Some(control) => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            None => {}
        }
        rest = characters.as_str();
    }
    text.push_str(rest);
    text.push('"');
}

/// Whether JSON takes a text for a number.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_json_and_says_the_same() {
        let mut events = Events::default();
        assert_eq!(events.list(), "[]");
        events.clear();
        let odd = "a\"b\\c\nd\re\tf\u{1}g\u{7f}h é 狼煙";
        events.event(|object| {
            object.text(odd, odd);
            object.number("n", "-12.5e+3");
            object.number("no number", "012");
            object.int("i", i64::MIN);
            object.bool("b", true);
            object.null("null");
            object.object("o", |inner| inner.texts("list", ["x", odd]));
            object.object("empty", |_| ());
            object.list("mixed", |list| {
                list.text(odd);
                list.number("7");
                list.number("007");
                list.bool(false);
                list.null();
                list.object(|inner| inner.int("i", 1));
            });
            object.list("nothing", |_| ());
        });
        events.json("{\"raw\":[1]}");
        events.with("more", "{\"a\":1}");
        events.json("{ }");
        events.event(|object| object.int("own", 1));
        events.with("more", "");
        events.event(|_| ());
        assert_eq!(events.len(), 5);
        let read: serde_json::Value = serde_json::from_str(events.list()).expect("JSON");
        let expect = json!([
            {odd: odd, "n": -12500.0, "no number": "012", "i": i64::MIN, "b": true, "null": null,
             "o": {"list": ["x", odd]}, "empty": {},
             "mixed": [odd, 7, "007", false, null, {"i": 1}], "nothing": []},
            {"raw": [1]},
            {"more": {"a": 1}},
            {"own": 1, "more": {"a": 1}},
            {},
        ]);
        assert_eq!(read, expect);
    }

    #[test]
    fn numbers() {
        for yes in ["0", "-0", "7", "10.5", "1e9", "1E-9", "-3.25e+10"] {
            assert!(is_number(yes) && serde_json::from_str::<serde_json::Number>(yes).is_ok(), "{yes}");
        }
        for no in ["", "-", "01", "1.", ".5", "1e", "+1", "0x1", "1 ", "1.2.3", "--1", "1e+", "NaN"] {
            assert!(!is_number(no), "{no}");
        }
    }
}
