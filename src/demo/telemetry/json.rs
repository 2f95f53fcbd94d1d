//! JSON written field by field into one reused buffer.
//!
//! Owns commas and escapes. Keys are our own constants and are written as they stand. Called by the writers
//! of Windows events and of Suricata's log.

use std::fmt::{self, Display, Write};

/// The text of one object in the making.
#[derive(Debug, Default)]
pub struct Json {
    out: String,
}

impl Json {
    /// Forgets the previous object and begins a new one.
    pub fn begin(&mut self) {
        self.out.clear();
        self.out.push('{');
    }

    /// A field with text.
    pub fn text(&mut self, key: &str, value: impl Display) {
        self.key(key);
        self.out.push('"');
        // Writing to a String does not fail; a Display that fails would only shorten the text.
        let _ = write!(Escaped(&mut self.out), "{value}");
        self.out.push('"');
    }

    /// A field with a number, a boolean, or other text that is JSON already.
    pub fn raw(&mut self, key: &str, value: impl Display) {
        self.key(key);
        let _ = write!(self.out, "{value}");
    }

    /// Begins an object below the present one.
    pub fn open(&mut self, key: &str) {
        self.key(key);
        self.out.push('{');
    }

    /// Ends an object that [`Self::open`] began.
    pub fn close(&mut self) {
        self.out.push('}');
    }

    /// Ends the object and gives its bytes.
    pub fn finish(&mut self) -> Vec<u8> {
        self.out.push('}');
        self.out.as_bytes().to_vec()
    }

    fn key(&mut self, key: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }
}

/// Escapes what is written through it.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut written = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            // What needs an escape is ASCII, so `at` is a boundary of characters.
            self.0.push_str(&text[written..at]);
            written = at + 1;
            match byte {
                b'"' => self.0.push_str("\\\""),
                b'\\' => self.0.push_str("\\\\"),
                b'\r' => self.0.push_str("\\r"),
                b'\n' => self.0.push_str("\\n"),
                b'\t' => self.0.push_str("\\t"),
                _ => write!(self.0, "\\u{byte:04x}")?,
            }
        }
        self.0.push_str(&text[written..]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_comes_back_from_a_parser() {
        let texts = ["", "C:\\Windows\\x", "a\"b", "line\r\n\tnext", "\u{1}\u{7f}", "会議資料", "\\", "{"];
        for text in texts {
            let mut json = Json::default();
            json.begin();
            json.open("inner");
            json.text("text", text);
            json.raw("number", -3);
            json.close();
            json.text("last", text);
            let value: serde_json::Value = serde_json::from_slice(&json.finish()).unwrap();
            assert_eq!(value, serde_json::json!({"inner": {"text": text, "number": -3}, "last": text}));
        }
    }
}
