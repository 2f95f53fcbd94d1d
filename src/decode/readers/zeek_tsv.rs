//! Zeek's logs as its ASCII writer makes them: values between tabs, after lines that say what they are.
//!
//! Owns the header lines, which are the state of the reader (`#separator`, `#set_separator`, `#empty_field`, `#unset_field`,
//! `#path`, `#fields`, `#types`; others say nothing of the events), and values by their types. Events look as Zeek's JSON
//! writer makes them: fields under their names, dots and all, unset ones left out, sets and vectors as lists; `#path` is
//! `_path`. Bytes written as `\xHH` are themselves again where they make UTF-8; other bytes stay `\xHH`.
//!
//! A frame holds a line or several. Lines of another log may only come after that log's header.

use std::borrow::Cow;
use std::collections::HashSet;

use super::pieces::{byte, lines, push_bytes};
use super::{Fault, Reader, text};
use crate::decode::events::{Events, List, Object};

/// Fields of a log.
const FIELDS_MAX: usize = 1_024;
/// Bytes of a header line.
const HEADER_BYTES_MAX: usize = 65_536;

/// How a value is written to JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Bool,
}

#[derive(Debug)]
struct Field {
    name: String,
    kind: Kind,
    list: bool,
}

/// Reads the logs of Zeek's ASCII writer.
#[derive(Debug)]
pub struct ZeekTsv {
    separator: String,
    set_separator: String,
    empty: String,
    unset: String,
    path: Option<String>,
    fields: Vec<Field>,
}

impl Default for ZeekTsv {
    fn default() -> Self {
        Self {
            separator: "\t".to_owned(),
            set_separator: ",".to_owned(),
            empty: "(empty)".to_owned(),
            unset: "-".to_owned(),
            path: None,
            fields: Vec::new(),
        }
    }
}

impl Reader for ZeekTsv {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        for (at, line) in lines(text(frame)?) {
            match line.strip_prefix('#') {
                Some(header) => self.header(header, at)?,
                None if self.fields.is_empty() => {
                    return Err(Fault::new(at, "a line of a log before its #fields"));
                }
                None => events.event(|object| self.line(line, at, object))?,
            }
        }
        Ok(())
    }
}

impl ZeekTsv {
    /// For logs that come without header lines: those lines. Header lines that come take their place.
    pub fn declared(header: &str) -> Result<Self, Fault> {
        let mut reader = Self::default();
        for (at, line) in lines(header) {
            match line.strip_prefix('#') {
                Some(header) => reader.header(header, at)?,
                None => return Err(Fault::new(at, "a header line without `#`")),
            }
        }
        Ok(reader)
    }

    /// Takes a header line, without its `#`.
    fn header(&mut self, header: &str, at: usize) -> Result<(), Fault> {
        if header.len() > HEADER_BYTES_MAX {
            return Err(Fault::new(at, format!("a header line of more than {HEADER_BYTES_MAX} bytes")));
        }
        // The first line of a log, and the only one with a blank: it says what stands between all others.
        if let Some(separator) = header.strip_prefix("separator ") {
            let separator = unescaped(separator, at)?.into_owned();
            if separator.is_empty() {
                return Err(Fault::new(at, "a #separator that is empty"));
            }
            *self = Self { separator, ..Self::default() };
            return Ok(());
        }
        let Some((key, value)) = header.split_once(self.separator.as_str()) else { return Ok(()) };
        match key {
            "set_separator" => {
                self.set_separator = unescaped(value, at)?.into_owned();
                if self.set_separator.is_empty() {
                    return Err(Fault::new(at, "a #set_separator that is empty"));
                }
            }
            "empty_field" => self.empty = value.to_owned(),
            "unset_field" => self.unset = value.to_owned(),
            "path" => self.path = (value != self.unset).then(|| value.to_owned()),
            "fields" => self.fields(value, at)?,
            "types" => self.types(value, at)?,
            _ => {}
        }
        Ok(())
    }

    fn fields(&mut self, names: &str, at: usize) -> Result<(), Fault> {
        self.fields.clear();
        let names: Vec<_> = names.split(self.separator.as_str()).collect();
        let mut seen = HashSet::new();
        if names.len() > FIELDS_MAX {
            return Err(Fault::new(at, format!("more than {FIELDS_MAX} fields")));
        }
        if !names.iter().all(|name| !name.is_empty() && seen.insert(*name)) {
            return Err(Fault::new(at, "a field in #fields without a name, or twice"));
        }
        let field = |name: &str| Field { name: name.to_owned(), kind: Kind::Text, list: false };
        self.fields = names.into_iter().map(field).collect();
        Ok(())
    }

    fn types(&mut self, types: &str, at: usize) -> Result<(), Fault> {
        let types: Vec<_> = types.split(self.separator.as_str()).collect();
        if types.len() != self.fields.len() {
            return Err(Fault::new(at, "not as many #types as #fields"));
        }
        for (field, name) in self.fields.iter_mut().zip(types) {
            let within = name.split_once('[').and_then(|(_, inner)| inner.strip_suffix(']'));
            field.list = within.is_some();
            field.kind = match within.unwrap_or(name) {
                "time" | "interval" | "count" | "int" | "double" | "port" => Kind::Number,
                "bool" => Kind::Bool,
                _ => Kind::Text,
            };
        }
        Ok(())
    }

    fn line(&self, line: &str, mut at: usize, object: &mut Object<'_>) -> Result<(), Fault> {
        if let Some(path) = &self.path
            && !self.fields.iter().any(|field| field.name == "_path")
        {
            object.text("_path", path);
        }
        let end = at + line.len();
        let mut values = line.split(self.separator.as_str());
        for field in &self.fields {
            let Some(value) = values.next() else {
                return Err(Fault::new(end, "fewer values than #fields"));
            };
            self.value(field, value, at, object)?;
            at += value.len() + self.separator.len();
        }
        match values.next() {
            Some(_) => Err(Fault::new(at, "more values than #fields")),
            None => Ok(()),
        }
    }

    /// Writes a value. What stands for no value is compared before escapes are read: a text of that look is escaped.
    fn value(&self, field: &Field, value: &str, at: usize, object: &mut Object<'_>) -> Result<(), Fault> {
        let name = &field.name;
        if value == self.unset {
            return Ok(());
        }
        if field.list {
            return object.list(name, |list| {
                if value == self.empty { Ok(()) } else { self.items(field, value, at, list) }
            });
        }
        match field.kind {
            _ if value == self.empty => object.text(name, ""),
            Kind::Number => object.number(name, value),
            Kind::Bool => object.bool(name, flag(value, at)?),
            Kind::Text => object.text(name, &unescaped(value, at)?),
        }
        Ok(())
    }

    fn items(&self, field: &Field, value: &str, mut at: usize, list: &mut List<'_>) -> Result<(), Fault> {
        for item in value.split(self.set_separator.as_str()) {
            match field.kind {
                _ if item == self.unset => list.null(),
                _ if item == self.empty => list.text(""),
                Kind::Number => list.number(item),
                Kind::Bool => list.bool(flag(item, at)?),
                Kind::Text => list.text(&unescaped(item, at)?),
            }
            at += item.len() + self.set_separator.len();
        }
        Ok(())
    }
}

fn flag(value: &str, at: usize) -> Result<bool, Fault> {
    match value {
        "T" => Ok(true),
        "F" => Ok(false),
        _ => Err(Fault::new(at, "a bool that is neither T nor F")),
    }
}

/// A text without the writer's escapes: `\xHH` and `\\`.
fn unescaped(text: &str, at: usize) -> Result<Cow<'_, str>, Fault> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Ok(Cow::Borrowed(text)) };
    let (plain, mut rest) = text.as_bytes().split_at(first);
    let mut bytes = plain.to_vec();
    while let [next, after @ ..] = rest {
        rest = match (next, after) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                after
            }
            (b'\\', [b'x', high, low, after @ ..]) if byte(&[*high, *low]).is_some() => {
                bytes.extend(byte(&[*high, *low]));
                after
            }
            (b'\\', _) => return Err(Fault::new(at + text.len() - rest.len(), "a broken escape")),
            _ => {
                bytes.push(*next);
                after
            }
        };
    }
    let mut plain = String::with_capacity(bytes.len());
    push_bytes(&mut plain, &bytes);
    Ok(Cow::Owned(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::readers::read;

    const HEADER: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tt\n#open\tx\n\
        #fields\tts\tid.orig_p\ts\tok\ttags\tdelays\n#types\ttime\tport\tstring\tbool\tset[string]\tvector[interval]\n";

    #[test]
    fn lines_of_a_log() {
        for (line, expect) in [
            (
                "1.500000\t80\ta b\tT\tx,y\t0.1,-\n",
                json!({"_path": "t", "ts": 1.5, "id.orig_p": 80, "s": "a b", "ok": true, "tags": ["x", "y"], "delays": [0.1, null]}),
            ),
            ("-\t-\t-\t-\t-\t-", json!({"_path": "t"})),
            (
                "nan\t-\t(empty)\tF\t(empty)\t(empty)",
                json!({"_path": "t", "ts": "nan", "s": "", "ok": false, "tags": [], "delays": []}),
            ),
            (
                "-\t-\t\\x2d\t-\t\\x2c,,\\x28empty)\t-",
                json!({"_path": "t", "s": "-", "tags": [",", "", "(empty)"]}),
            ),
            (
                "-\t-\t\\xc3\\xa9\\xff\\\\xff\\x0a\\x23\t-\t-\t-\r\n",
                json!({"_path": "t", "s": "é\\xff\\xff\n#"}),
            ),
        ] {
            let mut reader = ZeekTsv::default();
            assert_eq!(
                read(&mut reader, format!("{HEADER}{line}").as_bytes()),
                Ok(json!([expect])),
                "{line}"
            );
            // The header is remembered.
            assert_eq!(read(&mut reader, line.as_bytes()), Ok(json!([expect])), "{line}");
        }
    }

    #[test]
    fn headers_may_be_declared() {
        let mut reader = ZeekTsv::declared(HEADER).expect("a header");
        assert_eq!(read(&mut reader, b"-\t80\t-\t-\t-\t-"), Ok(json!([{"_path": "t", "id.orig_p": 80}])));
        let fault = ZeekTsv::declared("#path\tp\na").map(|_| ());
        assert_eq!(fault, Err(Fault::new(8, "a header line without `#`")));
    }

    #[test]
    fn headers() {
        for (frame, expect) in [
            ("#close\tx\n#\n# note", json!([])),
            // All texts without types; names as they are without a path.
            ("#fields\ta\tb\n1\tT", json!([{"a": "1", "b": "T"}])),
            ("#separator ||\n#fields||a||b\n#types||count||string\n1||x|y", json!([{"a": 1, "b": "x|y"}])),
            ("#unset_field\tNA\n#empty_field\tNO\n#fields\ta\tb\nNA\tNO", json!([{"b": ""}])),
            // A new log begins.
            (
                "#path\tp\n#fields\ta\n1\n#separator \\x2c\n#fields,b,c\n2,3",
                json!([{"_path": "p", "a": "1"}, {"b": "2", "c": "3"}]),
            ),
            ("#path\tp\n#fields\t_path\nq", json!([{"_path": "q"}])),
        ] {
            assert_eq!(read(&mut ZeekTsv::default(), frame.as_bytes()), Ok(expect), "{frame}");
        }
    }

    #[test]
    fn faults() {
        let long = format!("#path\t{}", "x".repeat(HEADER_BYTES_MAX));
        let many = format!("#fields{}", (0..=FIELDS_MAX).map(|at| format!("\t{at}")).collect::<String>());
        for (frame, at, what) in [
            ("1\t2", 0, "a line of a log before its #fields"),
            ("#fields\ta\tb\n1", 13, "fewer values than #fields"),
            ("#fields\ta\n1\t2", 12, "more values than #fields"),
            ("#fields\ta\ta", 0, "a field in #fields without a name, or twice"),
            ("#path\tx\n#fields\t", 8, "a field in #fields without a name, or twice"),
            ("#fields\ta\n#types\ta\tb", 10, "not as many #types as #fields"),
            ("#fields\ta\n#types\tbool\nyes", 22, "a bool that is neither T nor F"),
            ("#fields\ta\tb\n1\tab\\x4", 16, "a broken escape"),
            ("#fields\ta\nC:\\t", 12, "a broken escape"),
            ("#separator ", 0, "a #separator that is empty"),
            ("#set_separator\t", 0, "a #set_separator that is empty"),
            (&long, 0, "a header line of more than 65536 bytes"),
            (&many, 0, "more than 1024 fields"),
        ] {
            assert_eq!(read(&mut ZeekTsv::default(), frame.as_bytes()), Err(Fault::new(at, what)), "{frame}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut frame = HEADER.as_bytes().to_vec();
            frame.extend(bytes);
            let _ = read(&mut ZeekTsv::default(), &frame);
        }

        #[test]
        fn a_broken_log_is_events_or_a_fault(at in 0..HEADER.len(), with in "[#\t\n\\\\x,é]{0,3}", line in "[a1\t,T\\\\x-]{0,20}") {
            let frame = [&HEADER[..at], &with, &HEADER[at..], &line].concat();
            let _ = read(&mut ZeekTsv::default(), frame.as_bytes());
        }

        #[test]
        fn bytes_that_are_escaped_are_read(text in "[a\\\\é\u{0}-\u{1f}]{1,9}") {
            let escaped: String = text.bytes().map(|byte| format!("\\x{byte:02x}")).collect();
            let frame = format!("#fields\ta\n{escaped}");
            let found = read(&mut ZeekTsv::default(), frame.as_bytes());
            prop_assert_eq!(found, Ok(Value::Array(vec![json!({"a": text})])));
        }
    }
}
