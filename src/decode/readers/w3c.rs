//! Extended logs of the W3C: IIS, CloudFront, and proxies and servers that write `#Fields:`.
//!
//! Owns the header lines, which are the state of the reader (`#Fields:` names the values of the lines after it, `#Software:`
//! tells how blanks are written), and the fields' names: a header is written in small letters, `cs(Referer)` as
//! `cs-referer`; `cs(User-Agent)` as `c-useragent`, as Sigma does. Date and time are `timestamp`, as written, with a blank between them (UTC in this format). What the standard calls integers are numbers; `-`
//! is no value.
//!
//! Values stand between blanks or tabs, or between commas where the names in `#Fields:` do (Exchange). Values with blanks
//! stand in quotes, which are written twice within them; IIS has no quotes but writes `+`, which is a blank again in headers
//! and in the user's name (but not in the URI, where `+` is what the client sent). A frame holds a line or several.

use std::borrow::Cow;
use std::collections::HashSet;

use super::pieces::lines;
use super::{Fault, Reader, text};
use crate::decode::events::{Events, Object};

/// Fields of a log.
const FIELDS_MAX: usize = 1_024;
/// Bytes of the line that names them.
const HEADER_BYTES_MAX: usize = 65_536;

/// Fields that are integers.
const NUMBERS: &[&str] = &[
    "c-port",
    "cs-bytes",
    "s-port",
    "sc-bytes",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "time-taken",
];

/// How values with blanks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Blanks {
    /// In quotes.
    #[default]
    Quoted,
    /// As `+`, without quotes: IIS.
    Plus,
}

/// What stands between values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Separator {
    #[default]
    Blanks,
    Comma,
}

#[derive(Debug)]
enum Field {
    Date,
    Time,
    Number(String),
    Text(String),
    /// May have blanks that are written as `+`.
    Phrase(String),
}

/// Reads extended logs of the W3C.
#[derive(Debug, Default)]
pub struct W3c {
    fields: Vec<Field>,
    separator: Separator,
    blanks: Blanks,
}

impl W3c {
    /// For logs that come without header lines: what would stand after `#Fields:`. Header lines that come take its place.
    pub fn declared(fields: &str, blanks: Blanks) -> Result<Self, Fault> {
        let mut reader = Self { blanks, ..Self::default() };
        reader.fields(fields, 0)?;
        Ok(reader)
    }

    /// Takes a header line, without its `#`.
    fn header(&mut self, header: &str, at: usize) -> Result<(), Fault> {
        if let Some(software) = header.strip_prefix("Software:") {
            let iis = software.trim_ascii().starts_with("Microsoft Internet Information Services");
            self.blanks = if iis { Blanks::Plus } else { Blanks::Quoted };
        } else if let Some(fields) = header.strip_prefix("Fields:") {
            self.fields(fields, at)?;
        }
        Ok(())
    }

    fn fields(&mut self, names: &str, at: usize) -> Result<(), Fault> {
        self.fields.clear();
        if names.len() > HEADER_BYTES_MAX {
            return Err(Fault::new(at, format!("a header line of more than {HEADER_BYTES_MAX} bytes")));
        }
        let names = names.trim_ascii();
        self.separator = if names.contains(',') { Separator::Comma } else { Separator::Blanks };
        let split = |c: char| match self.separator {
            Separator::Comma => c == ',',
            Separator::Blanks => c.is_ascii_whitespace(),
        };
        let names: Vec<_> = names.split(split).map(str::trim_ascii).filter(|name| !name.is_empty()).collect();
        if names.is_empty() || names.len() > FIELDS_MAX {
            return Err(Fault::new(at, format!("not 1 to {FIELDS_MAX} names in #Fields")));
        }
        let both = names.contains(&"date") && names.contains(&"time");
        let mut seen = HashSet::new();
        let mut fields = Vec::with_capacity(names.len());
        for name in names {
            let written = known(name);
            if !seen.insert(written.clone()) || (both && written == "timestamp") {
                return Err(Fault::new(at, "a field stands in #Fields twice"));
            }
            fields.push(match name {
                "date" if both => Field::Date,
                "time" if both => Field::Time,
                _ if NUMBERS.contains(&name) => Field::Number(written),
                _ if name.contains('(') || name == "cs-username" => Field::Phrase(written),
                _ => Field::Text(written),
            });
        }
        self.fields = fields;
        Ok(())
    }

    fn line(&self, line: &str, base: usize, object: &mut Object<'_>) -> Result<(), Fault> {
        let mut values = Values { line, at: 0, separator: self.separator, quotes: self.quotes(), more: true };
        let [mut date, mut time] = [None, None];
        for field in &self.fields {
            let from = values.at;
            let (value, quoted) = match values.next() {
                Ok(Some(value)) => value,
                Ok(None) => return Err(Fault::new(base + from, "fewer values than #Fields")),
                Err(fault) => return Err(Fault { at: fault.at + base, ..fault }),
            };
            if (value == "-" && !quoted) || (value.is_empty() && self.separator == Separator::Comma) {
                continue;
            }
            match field {
                Field::Date => date = Some(value),
                Field::Time => time = Some(value),
                Field::Number(name) => object.number(name, &value),
                Field::Phrase(name) if self.blanks == Blanks::Plus => {
                    object.text(name, &value.replace('+', " "))
                }
                Field::Phrase(name) | Field::Text(name) => object.text(name, &value),
            }
        }
        match (date, time) {
            (Some(date), Some(time)) => object.text("timestamp", &format!("{date} {time}")),
            (Some(date), None) => object.text("date", &date),
            (None, Some(time)) => object.text("time", &time),
            (None, None) => {}
        }
        let from = values.at;
        match values.next() {
            Ok(None) => Ok(()),
            _ => Err(Fault::new(base + from, "more values than #Fields")),
        }
    }

    fn quotes(&self) -> bool {
        self.blanks == Blanks::Quoted || self.separator == Separator::Comma
    }
}

impl Reader for W3c {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        for (at, line) in lines(text(frame)?) {
            match line.strip_prefix('#') {
                Some(header) => self.header(header, at)?,
                None if self.fields.is_empty() => {
                    return Err(Fault::new(at, "a line of a log before its #Fields"));
                }
                None => events.event(|object| self.line(line, at, object))?,
            }
        }
        Ok(())
    }
}

/// The name that an event has for a field.
fn known(name: &str) -> String {
    let Some((side, header)) = name.split_once('(') else { return name.to_owned() };
    let header = header.strip_suffix(')').unwrap_or(header).to_ascii_lowercase();
    match (side, header.as_str()) {
        ("cs", "user-agent") => "c-useragent".to_owned(),
        _ => format!("{side}-{header}"),
    }
}

struct Values<'a> {
    line: &'a str,
    at: usize,
    separator: Separator,
    quotes: bool,
    /// Another value follows; after a comma there is one even at the end of the line.
    more: bool,
}

impl<'a> Values<'a> {
    /// The next value, and whether it stood in quotes.
    fn next(&mut self) -> Result<Option<(Cow<'a, str>, bool)>, Fault> {
        let bytes = self.line.as_bytes();
        if self.separator == Separator::Blanks {
            while matches!(bytes.get(self.at), Some(b' ' | b'\t')) {
                self.at += 1;
            }
            self.more = self.at < bytes.len();
        }
        if !self.more {
            return Ok(None);
        }
        if self.quotes && bytes.get(self.at) == Some(&b'"') {
            return self.quoted().map(|value| Some((value, true)));
        }
        let rest = self.line.get(self.at..).unwrap_or_default();
        let end = rest.find(|c| self.separates(c)).unwrap_or(rest.len());
        self.at += end;
        self.pass();
        Ok(Some((Cow::Borrowed(rest.get(..end).unwrap_or_default()), false)))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, Fault> {
        let from = self.at;
        let mut value = Cow::Borrowed("");
        loop {
            let rest = self.line.get(self.at + 1..).unwrap_or_default();
            let Some(end) = rest.find('"') else {
                return Err(Fault::new(from, "a quote that is never closed"));
            };
            let twice = rest.as_bytes().get(end + 1) == Some(&b'"');
            let piece = rest.get(..if twice { end + 1 } else { end }).unwrap_or_default();
            if value.is_empty() {
                value = Cow::Borrowed(piece);
            } else {
                value.to_mut().push_str(piece);
            }
            self.at += end + 2;
            if !twice {
                break;
            }
        }
        match self.line.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(next) if !self.separates(next) => {
                Err(Fault::new(self.at, "text after the closing quote of a value"))
            }
            _ => {
                self.pass();
                Ok(value)
            }
        }
    }

    fn separates(&self, c: char) -> bool {
        match self.separator {
            Separator::Blanks => matches!(c, ' ' | '\t'),
            Separator::Comma => c == ',',
        }
    }

    /// Passes the separator after a value.
    fn pass(&mut self) {
        self.more = self.at < self.line.len();
        if self.more {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::decode::readers::read;

    const IIS: &str = "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n\
        #Fields: date time cs-method cs-uri-stem cs-uri-query s-port cs-username cs(User-Agent) cs(Referer) sc-status time-taken\r\n";
    const PROXY: &str = "#Fields: date time c-ip cs(User-Agent) rs(Content-Type) sc-status x\n";

    #[test]
    fn lines_of_logs() {
        for (frame, expect) in [
            (
                format!("{IIS}2026-01-02 03:04:05 GET /a+b q=1+2 443 - Agent/1+(x;+y) - 200 7\r\n"),
                json!([{"timestamp": "2026-01-02 03:04:05", "cs-method": "GET", "cs-uri-stem": "/a+b", "cs-uri-query": "q=1+2",
                    "s-port": 443, "c-useragent": "Agent/1 (x; y)", "sc-status": 200, "time-taken": 7}]),
            ),
            // IIS has no quotes.
            (
                format!("{IIS}d - GET \"/ - 1 a+b \"x r 200 7"),
                json!([{"date": "d", "cs-method": "GET", "cs-uri-stem": "\"/", "s-port": 1, "cs-username": "a b",
                    "c-useragent": "\"x", "cs-referer": "r", "sc-status": 200, "time-taken": 7}]),
            ),
            (
                format!("{PROXY}d t\t192.0.2.1 \"A+ \"\"1\"\"\" \"\"  404 \"-\""),
                json!([{"timestamp": "d t", "c-ip": "192.0.2.1", "c-useragent": "A+ \"1\"", "rs-content-type": "",
                    "sc-status": 404, "x": "-"}]),
            ),
            (
                "#Fields: a,b,c\nx y,\"p,\"\"q\",\n,-,z".to_owned(),
                json!([{"a": "x y", "b": "p,\"q"}, {"c": "z"}]),
            ),
            (
                "#Date: 2026-01-02\n#Fields: date a\nd x\n#Fields: b\ny".to_owned(),
                json!([{"date": "d", "a": "x"}, {"b": "y"}]),
            ),
        ] {
            assert_eq!(read(&mut W3c::default(), frame.as_bytes()), Ok(expect), "{frame}");
        }
    }

    #[test]
    fn fields_are_remembered_and_may_be_declared() {
        let mut reader = W3c::default();
        assert_eq!(read(&mut reader, IIS.as_bytes()), Ok(json!([])));
        let event = json!([{"timestamp": "d t", "c-useragent": "a b"}]);
        assert_eq!(read(&mut reader, b"d t - - - - - a+b - - -"), Ok(event.clone()));
        let mut reader = W3c::declared("date time cs(User-Agent)", Blanks::Plus).expect("fields");
        assert_eq!(read(&mut reader, b"d t a+b"), Ok(event));
        assert!(W3c::declared("", Blanks::Plus).is_err());
    }

    #[test]
    fn faults() {
        let many = format!("#Fields:{}", (0..=FIELDS_MAX).map(|at| format!(" {at}")).collect::<String>());
        let long = format!("#Fields: {}", "x".repeat(HEADER_BYTES_MAX));
        for (frame, at, what) in [
            ("a b", 0, "a line of a log before its #Fields"),
            ("#Fields: a b\nx", 14, "fewer values than #Fields"),
            ("#Fields: a b\nx y z", 17, "more values than #Fields"),
            ("#Fields: a,b\nx", 14, "fewer values than #Fields"),
            ("#Fields: a,b\nx,y,", 17, "more values than #Fields"),
            ("#Fields: a b\nx \"y", 15, "a quote that is never closed"),
            ("#Fields: a b\n\"x\"y z", 16, "text after the closing quote of a value"),
            ("#Fields: a a", 0, "a field stands in #Fields twice"),
            ("#Fields: c-useragent cs(User-Agent)", 0, "a field stands in #Fields twice"),
            ("#Fields: date time timestamp", 0, "a field stands in #Fields twice"),
            ("#Fields:", 0, "not 1 to 1024 names in #Fields"),
            (&many, 0, "not 1 to 1024 names in #Fields"),
            (&long, 0, "a header line of more than 65536 bytes"),
        ] {
            assert_eq!(read(&mut W3c::default(), frame.as_bytes()), Err(Fault::new(at, what)), "{frame}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut frame = PROXY.as_bytes().to_vec();
            frame.extend(bytes);
            let _ = read(&mut W3c::default(), &frame);
        }

        #[test]
        fn any_lines_are_events_or_a_fault(fields in "[a, \t(é)]{0,9}", line in "[#a, \t\"é+\n-]{0,20}") {
            let _ = read(&mut W3c::default(), format!("#Fields:{fields}\n{line}").as_bytes());
        }
    }
}
