//! Access logs of Apache and nginx: the common and the combined format, and what stands around them in practice.
//!
//! Owns the parts of such a line: `[host] [forwarded addresses] client ident user [time] "request" status bytes ["referer"
//! "agent"] …`. Fields have the names that W3C and Sigma use; `timestamp` is the time as written. What follows the known
//! fields, or stands between the time and the request, is kept in the list `extra`. `-` is no value. Escapes that both
//! servers write within quotes are read (`\"`, `\\`, `\n` and its like, `\xHH`); bytes that make no UTF-8 stay `\xHH`, and a
//! backslash before anything else stays, since neither server escapes that.
//!
//! A frame holds a line or several.

use std::borrow::Cow;

use super::pieces::{byte, lines, push_bytes};
use super::request::{number, put};
use super::{Fault, Reader, request, text};
use crate::decode::events::{Events, Object};

/// Words before the time: of addresses that a request was forwarded for, and of a user's name.
const BEFORE_MAX: usize = 64;
/// Words beyond the known ones.
const EXTRA_MAX: usize = 256;

/// Reads access logs of web servers.
#[derive(Debug, Default)]
pub struct AccessLog;

impl Reader for AccessLog {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        for (at, line) in lines(text(frame)?) {
            events
                .event(|object| write(line, object))
                .map_err(|fault| Fault { at: fault.at + at, ..fault })?;
        }
        Ok(())
    }
}

/// A word of a line, or what stands between quotes.
#[derive(Debug, Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    quoted: bool,
    /// Where it starts and ends in the line, with its quotes.
    from: usize,
    to: usize,
}

impl<'a> Word<'a> {
    fn is_none(&self) -> bool {
        self.text == "-"
    }

    /// Three digits, or none.
    fn is_status(&self) -> bool {
        !self.quoted && (self.is_none() || (self.text.len() == 3 && self.is_number()))
    }

    fn is_number(&self) -> bool {
        !self.quoted && !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Without escapes, which only stand between quotes.
    fn plain(&self) -> Cow<'a, str> {
        if self.quoted { unescaped(self.text) } else { Cow::Borrowed(self.text) }
    }
}

#[derive(Debug, Clone, Copy)]
struct Words<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    fn skip_blanks(&mut self) {
        while matches!(self.line.as_bytes().get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Result<Option<Word<'a>>, Fault> {
        self.skip_blanks();
        let from = self.at;
        let bytes = self.line.as_bytes();
        match bytes.get(from) {
            None => Ok(None),
            Some(b'"') => {
                let end = self.quote_end(from)?;
                self.at = end + 1;
                if !matches!(bytes.get(self.at), None | Some(b' ' | b'\t')) {
                    return Err(Fault::new(self.at, "no blank after a closing quote"));
                }
                let text = self.line.get(from + 1..end).unwrap_or_default();
                Ok(Some(Word { text, quoted: true, from, to: self.at }))
            }
            Some(_) => {
                while let Some(byte) = bytes.get(self.at).filter(|byte| !matches!(byte, b' ' | b'\t')) {
                    // A value in quotes: `name="with blanks"`.
                    let value = *byte == b'=' && bytes.get(self.at + 1) == Some(&b'"');
                    self.at = if value { self.quote_end(self.at + 1)? + 1 } else { self.at + 1 };
                }
                let text = self.line.get(from..self.at).unwrap_or_default();
                Ok(Some(Word { text, quoted: false, from, to: self.at }))
            }
        }
    }

    /// Where the quote closes that opens at a byte.
    fn quote_end(&self, from: usize) -> Result<usize, Fault> {
        let mut at = from + 1;
        loop {
            let rest = self.line.as_bytes().get(at..).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(Fault::new(from, "a quote that is never closed"));
            };
            at += found;
            if rest.get(found) == Some(&b'"') {
                return Ok(at);
            }
            at += 2;
        }
    }
}

fn write(line: &str, object: &mut Object<'_>) -> Result<(), Fault> {
    let mut words = Words { line, at: 0 };
    let mut before = Vec::new();
    let time = loop {
        words.skip_blanks();
        let at = words.at;
        // Before there are three words, a bracket is that of an address.
        if before.len() >= 3 && line.as_bytes().get(at) == Some(&b'[') {
            let rest = line.get(at + 1..).unwrap_or_default();
            let Some(end) = rest.find(']') else {
                return Err(Fault::new(at, "the time has no closing bracket"));
            };
            words.at = at + end + 2;
            break rest.get(..end).unwrap_or_default();
        }
        match words.next()? {
            None => return Err(Fault::new(line.len(), "no time in brackets after client, ident and user")),
            Some(_) if before.len() == BEFORE_MAX => {
                return Err(Fault::new(at, format!("more than {BEFORE_MAX} words before the time")));
            }
            Some(word) => before.push(word),
        }
    };
    client(line, &before, object);
    object.text("timestamp", time);
    rest(words, object)
}

/// Writes what stands before the time. The last three words are client, ident and user; but when there are more, the ident
/// is the first `-` that may be one, so that a user's name may have blanks.
fn client(line: &str, before: &[Word<'_>], object: &mut Object<'_>) {
    let last = before.len().saturating_sub(3);
    let ident = before.iter().skip(1).take(last + 1).position(|word| !word.quoted && word.is_none());
    let at = if last == 0 { 0 } else { ident.unwrap_or(last) };
    let (around, rest) = before.split_at(at.min(before.len()));
    let forwarded = match around {
        [host, forwarded @ ..] if !host.quoted && !host.text.ends_with(',') => {
            put(object, "cs-host", host.text);
            forwarded
        }
        forwarded => forwarded,
    };
    if !forwarded.is_empty() {
        put(object, "x-forwarded-for", span(line, forwarded).trim_end_matches(','));
    }
    if let [client, ident, user @ ..] = rest {
        put(object, "c-ip", client.text);
        put(object, "ident", ident.text);
        put(object, "cs-username", span(line, user));
    }
}

/// The words as they stand in the line, or what stands in the quotes of one.
fn span<'a>(line: &'a str, words: &[Word<'a>]) -> &'a str {
    match words {
        [] => "",
        [one] => one.text,
        [first, .., last] => line.get(first.from..last.to).unwrap_or_default(),
    }
}

/// Writes what stands after the time.
fn rest(mut words: Words<'_>, object: &mut Object<'_>) -> Result<(), Fault> {
    let mut extra = Vec::new();
    let end = words.line.len();
    let status = loop {
        let from = words.at;
        match (words.next()?, words.clone().next()?) {
            (Some(line), Some(status)) if line.quoted && status.is_status() => {
                words.next()?;
                if !line.is_none() {
                    request::line(object, &line.plain());
                }
                break status;
            }
            (Some(word), Some(_)) if word.quoted && extra.len() < EXTRA_MAX => extra.push(word),
            (Some(_), Some(_)) => return Err(Fault::new(from, "no request in quotes after the time")),
            _ => return Err(Fault::new(end, "no request in quotes with a status after it")),
        }
    };
    number(object, "sc-status", status.text);
    let mut ahead = words;
    if let Some(bytes) = ahead.next()?.filter(|word| word.is_number() || (!word.quoted && word.is_none())) {
        number(object, "sc-bytes", bytes.text);
        words = ahead;
        if let (Some(referer), Some(agent)) = (ahead.next()?, ahead.next()?)
            && (referer.quoted || referer.is_none())
            && (agent.quoted || agent.is_none())
        {
            put(object, "cs-referer", &referer.plain());
            put(object, "c-useragent", &agent.plain());
            words = ahead;
        }
    }
    while let Some(word) = words.next()? {
        if extra.len() == EXTRA_MAX {
            return Err(Fault::new(word.from, format!("more than {EXTRA_MAX} words beyond the known ones")));
        }
        extra.push(word);
    }
    if !extra.is_empty() {
        object.list("extra", |list| extra.iter().for_each(|word| list.text(&word.plain())));
    }
    Ok(())
}

fn unescaped(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', text.as_bytes()) else { return Cow::Borrowed(text) };
    let (plain, mut rest) = text.as_bytes().split_at(first);
    let mut bytes = plain.to_vec();
    while let [next, after @ ..] = rest {
        rest = match (next, after) {
            (b'\\', [b'x', high, low, after @ ..]) if byte(&[*high, *low]).is_some() => {
                bytes.extend(byte(&[*high, *low]));
                after
            }
            (b'\\', [letter, after @ ..]) if escape(*letter).is_some() => {
                bytes.extend(escape(*letter));
                after
            }
            _ => {
                bytes.push(*next);
                after
            }
        };
    }
    let mut plain = String::with_capacity(bytes.len());
    push_bytes(&mut plain, &bytes);
    Cow::Owned(plain)
}

fn escape(letter: u8) -> Option<u8> {
    match letter {
        b'"' | b'\\' => Some(letter),
        b'n' => Some(b'\n'),
        b'r' => Some(b'\r'),
        b't' => Some(b'\t'),
        b'b' => Some(0x08),
        b'v' => Some(0x0b),
        b'f' => Some(0x0c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::decode::readers::read;

    const COMBINED: &str = r#"192.0.2.1 - ada [02/Jan/2026:03:04:05 +0000] "GET /a%20b?q=1?2 HTTP/1.1" 200 12 "http://r.example/" "Agent \"1\" \x41""#;

    #[test]
    fn lines_of_servers() {
        let get = json!({"c-ip": "192.0.2.1", "timestamp": "t", "cs-method": "GET", "cs-uri": "/", "cs-uri-stem": "/",
            "cs-version": "HTTP/1.1", "sc-status": 200});
        let with = |more: serde_json::Value| {
            let mut event = get.clone();
            let more = more.as_object().expect("an object").clone();
            event.as_object_mut().expect("an object").extend(more);
            event
        };
        let request = r#"[t] "GET / HTTP/1.1" 200"#;
        for (frame, expect) in [
            (
                COMBINED.to_owned(),
                json!({"c-ip": "192.0.2.1", "cs-username": "ada", "timestamp": "02/Jan/2026:03:04:05 +0000",
                    "cs-method": "GET", "cs-uri": "/a%20b?q=1?2", "cs-uri-stem": "/a%20b", "cs-uri-query": "q=1?2",
                    "cs-version": "HTTP/1.1", "sc-status": 200, "sc-bytes": 12, "cs-referer": "http://r.example/",
                    "c-useragent": "Agent \"1\" A"}),
            ),
            (format!("192.0.2.1 - - {request} 45\r\n"), with(json!({"sc-bytes": 45}))),
            (format!("192.0.2.1 - - {request} -"), get.clone()),
            (format!("192.0.2.1 - - {request}"), get.clone()),
            (format!("192.0.2.1 id ada {request} -"), with(json!({"ident": "id", "cs-username": "ada"}))),
            (format!("192.0.2.1 - ada love lace {request} -"), with(json!({"cs-username": "ada love lace"}))),
            (format!("192.0.2.1 - \"\" {request} -"), with(json!({"cs-username": ""}))),
            (format!("v.example:80 192.0.2.1 - - {request} -"), with(json!({"cs-host": "v.example:80"}))),
            (
                format!("v.example 192.0.2.1 id ada {request} -"),
                with(json!({"cs-host": "v.example", "ident": "id", "cs-username": "ada"})),
            ),
            (format!(" - 192.0.2.1 - - {request} -"), get.clone()),
            (format!("[::1] - - {request} -"), with(json!({"c-ip": "[::1]"}))),
            (format!("\"x, y\" 192.0.2.1 - - {request} -"), with(json!({"x-forwarded-for": "x, y"}))),
            (format!("x, y, 192.0.2.1 - - {request} -"), with(json!({"x-forwarded-for": "x, y"}))),
            (
                format!("h x, y 192.0.2.1 - - {request} -"),
                with(json!({"cs-host": "h", "x-forwarded-for": "x, y"})),
            ),
            (format!("192.0.2.1 - - {request} - - -"), get.clone()),
            (format!("192.0.2.1 - - {request} - \"-\" \"a\""), with(json!({"c-useragent": "a"}))),
            (
                format!("192.0.2.1 - - {request} 1 \"r\" \"\" X=\"a b\" 9 [x] \"y z\""),
                with(
                    json!({"sc-bytes": 1, "cs-referer": "r", "c-useragent": "", "extra": ["X=\"a b\"", "9", "[x]", "y z"]}),
                ),
            ),
            (
                format!("192.0.2.1 - - {request} 1 0.5 \"r\" \"a\""),
                with(json!({"sc-bytes": 1, "extra": ["0.5", "r", "a"]})),
            ),
            (
                r#"192.0.2.1 - - [t] "-" "GET / HTTP/1.1" 200 1"#.to_owned(),
                with(json!({"sc-bytes": 1, "extra": ["-"]})),
            ),
        ] {
            assert_eq!(read(&mut AccessLog, frame.as_bytes()), Ok(json!([expect])), "{frame}");
        }
    }

    #[test]
    fn requests() {
        for (request, expect) in [
            ("GET /x", json!({"cs-method": "GET", "cs-uri": "/x", "cs-uri-stem": "/x"})),
            (
                "GET /a b HTTP/1.0",
                json!({"cs-method": "GET", "cs-uri": "/a b", "cs-uri-stem": "/a b", "cs-version": "HTTP/1.0"}),
            ),
            (
                "CONNECT h:443 HTTP/1.1",
                json!({"cs-method": "CONNECT", "cs-uri": "h:443", "cs-uri-stem": "h:443", "cs-version": "HTTP/1.1"}),
            ),
            ("", json!({"request": ""})),
            ("-", json!({})),
            ("hello", json!({"request": "hello"})),
            ("<b> / HTTP/1.1", json!({"request": "<b> / HTTP/1.1"})),
            (r"\x16\x03\xff\n\q\\", json!({"request": "\u{16}\u{3}\\xff\n\\q\\"})),
        ] {
            let frame = format!("h - - [t] \"{request}\" - -");
            let mut expect = expect;
            let event = expect.as_object_mut().expect("an object");
            event.insert("c-ip".into(), "h".into());
            event.insert("timestamp".into(), "t".into());
            assert_eq!(read(&mut AccessLog, frame.as_bytes()), Ok(json!([expect])), "{frame}");
        }
    }

    #[test]
    fn faults() {
        let many = "x ".repeat(BEFORE_MAX + 1);
        let extra = format!("h - - [t] \"\" 200 1{}", " x".repeat(EXTRA_MAX + 1));
        for (frame, at, what) in [
            ("hello world", 11, "no time in brackets after client, ident and user"),
            ("[t] \"GET / HTTP/1.1\" 200 1", 26, "no time in brackets after client, ident and user"),
            ("h - - [t", 6, "the time has no closing bracket"),
            ("h - - [t]", 9, "no request in quotes with a status after it"),
            ("h - - [t] \"GET /\"", 17, "no request in quotes with a status after it"),
            ("h - - [t] GET / 200", 9, "no request in quotes after the time"),
            ("h - - [t] \"GET / 200 1", 10, "a quote that is never closed"),
            ("h - - [t] \"\" 200 1 \"r\" \"a\\\"", 23, "a quote that is never closed"),
            ("h - - [t] \"\" 200 1 a=\"", 21, "a quote that is never closed"),
            ("\n h - - [t] \"a\"b\" 200", 15, "no blank after a closing quote"),
            (&many, 2 * BEFORE_MAX, "more than 64 words before the time"),
            (&extra, 18 + 1 + 2 * EXTRA_MAX, "more than 256 words beyond the known ones"),
        ] {
            assert_eq!(read(&mut AccessLog, frame.as_bytes()), Err(Fault::new(at, what)), "{frame}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&mut AccessLog, &bytes);
        }

        #[test]
        fn a_broken_line_is_an_event_or_a_fault(at in 0..COMBINED.len(), to in 0..COMBINED.len(), with in "[\"\\\\\\[\\] \n=é-]{0,3}") {
            let mut bytes = COMBINED.as_bytes().to_vec();
            bytes.splice(at.min(to)..at.max(to).min(at.min(to) + 5), with.bytes());
            let _ = read(&mut AccessLog, &bytes);
        }
    }
}
