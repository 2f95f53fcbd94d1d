//! CEF, the Common Event Format of ArcSight.
//!
//! Owns header, extension and their escapes. The event has the header's fields by the names of CEF's dictionary, the extension
//! as an object `extension`, and beside it `labels`: what `cs1` is when `cs1Label` says its name. What stands before `CEF:` is
//! the `prefix`; a syslog header there is better read by the envelope. Called by `compose`.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};

use super::pairs::Pairs;
use super::{Fault, Reader, text};
use crate::decode::events::Events;

/// The most fields of an extension.
const MAX_FIELDS: usize = 1024;
/// The longest key of an extension, in bytes.
const MAX_KEY: usize = 255;
/// The most labels of an extension.
const MAX_LABELS: usize = 64;

/// The header's fields behind the version.
const HEADER: [&str; 6] =
    ["deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"];

/// What becomes of a backslash that escapes nothing of its format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Escapes {
    /// It is a fault.
    #[default]
    Strict,
    /// It stays as it is, as products write paths of Windows.
    Keep,
}

/// Reads CEF.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cef {
    escapes: Escapes,
}

impl Cef {
    /// What becomes of broken escapes.
    pub fn new(escapes: Escapes) -> Self {
        Self { escapes }
    }

    /// The extension: `key=value`, where a value goes on until a blank and the next key.
    fn extension<'a>(self, text: &'a str, start: &'a str) -> Result<Pairs<'a>, Fault> {
        let base = text.len() - start.len();
        let mut pairs = Pairs::default();
        let mut open = None;
        let mut from = 0;
        while let Some(assign) = next(start, from) {
            let key = key_before(start, from, assign);
            from = assign + 1;
            let Some(key) = key else { continue };
            let at = base + assign - key.len();
            if key.len() > MAX_KEY {
                return Err(Fault::new(at, format!("a key of more than {MAX_KEY} bytes")));
            }
            if pairs.len() + usize::from(open.is_some()) >= MAX_FIELDS {
                return Err(Fault::new(at, format!("more than {MAX_FIELDS} fields")));
            }
            self.close(start, open, assign - key.len(), base, &mut pairs)?;
            open = Some((key, from));
        }
        self.close(start, open, start.len(), base, &mut pairs)?;
        Ok(pairs)
    }

    /// Ends the value that is open; blanks around a value are padding.
    fn close<'a>(
        self,
        start: &'a str,
        open: Option<(&'a str, usize)>,
        end: usize,
        base: usize,
        pairs: &mut Pairs<'a>,
    ) -> Result<(), Fault> {
        let (key, from) = open.unwrap_or(("", 0));
        let written = start.get(from..end).unwrap_or_default();
        let value = written.trim_ascii_start();
        let at = base + from + written.len() - value.len();
        // A blank that is escaped is none: the backslash before it is broken, and said so.
        let value = value.trim_ascii_end();
        if open.is_some() {
            pairs.push(key, unescaped(value, at, b"\\=nr", self.escapes)?);
        } else if !value.is_empty() {
            return Err(Fault::new(at, "text before the first key of the extension"));
        }
        Ok(())
    }
}

/// The next equals sign from a byte on.
fn next(text: &str, from: usize) -> Option<usize> {
    Some(from + memchr(b'=', text.as_bytes().get(from..)?)?)
}

/// The key that stands before an equals sign, behind a blank or at the beginning.
fn key_before(text: &str, from: usize, assign: usize) -> Option<&str> {
    let part_of =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'[' | b']');
    let before = text.as_bytes().get(from..assign)?;
    let length = before.iter().rev().take_while(|byte| part_of(byte)).count();
    let start = before.len() - length;
    let apart = match start.checked_sub(1) {
        Some(last) => before.get(last).is_some_and(u8::is_ascii_whitespace),
        None => from == 0,
    };
    let key = text.get(from + start..assign)?;
    (apart && key.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')).then_some(key)
}

/// A text without escapes: a backslash and one of `known`, where `n` and `r` are the line's ends.
fn unescaped<'a>(text: &'a str, at: usize, known: &[u8], escapes: Escapes) -> Result<Cow<'a, str>, Fault> {
    let Some(first) = memchr(b'\\', text.as_bytes()) else { return Ok(Cow::Borrowed(text)) };
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    let mut next = Some(first);
    while let Some((plain, escape)) = next.and_then(|next| rest.split_at_checked(next)) {
        made.push_str(plain);
        let mut characters = escape.chars();
        characters.next();
        match characters.next() {
            Some(character) if u8::try_from(character).is_ok_and(|byte| known.contains(&byte)) => {
                made.push(match character {
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                });
                rest = characters.as_str();
            }
            _ if escapes == Escapes::Strict => {
                return Err(Fault::new(
                    at + text.len() - escape.len(),
                    "a backslash that escapes nothing of CEF",
                ));
            }
            _ => {
                made.push('\\');
                rest = escape.strip_prefix('\\').unwrap_or_default();
            }
        }
        next = memchr(b'\\', rest.as_bytes());
    }
    made.push_str(rest);
    Ok(Cow::Owned(made))
}

/// The byte at which `CEF:` and a version begin, and what follows `CEF:`. A relay that took `CEF:` for the tag of syslog
/// leaves the version in the beginning.
fn found(text: &str) -> Option<(usize, &str)> {
    let is_version = |rest: &str| {
        let rest = rest.trim_start_matches(' ');
        let digits = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
        digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(['|', '.']))
    };
    let mut places = memmem::find_iter(text.as_bytes(), b"CEF:");
    let place =
        places.find_map(|at| text.get(at + 4..).filter(|rest| is_version(rest)).map(|rest| (at, rest)));
    place.or_else(|| is_version(text).then_some((0, text)))
}

/// The field of a header that a text begins with, and what follows its pipe.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    loop {
        let end = at + memchr2(b'|', b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes().get(end) == Some(&b'|') {
            return Some((text.get(..end)?, text.get(end + 1..)?));
        }
        at = end + 2;
    }
}

impl Reader for Cef {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let text = text(frame)?.trim_end_matches(['\n', '\r', '\0']);
        let (begin, rest) = found(text).ok_or_else(|| Fault::new(0, "no CEF: with a version"))?;
        let place = |rest: &str| text.len() - rest.len();
        let (version, mut rest) =
            field(rest).ok_or_else(|| Fault::new(place(rest), "no pipe after the version"))?;
        let mut header = [const { Cow::Borrowed("") }; HEADER.len()];
        for (number, (name, value)) in HEADER.iter().zip(&mut header).enumerate() {
            let at = place(rest);
            let (written, after) = match field(rest) {
                Some(field) => field,
                None if number + 1 == HEADER.len() => (rest, ""),
                None => return Err(Fault::new(at, format!("no pipe after {name}"))),
            };
            *value = unescaped(written, at, b"\\|", self.escapes)?;
            rest = after;
        }
        let pairs = self.extension(text, rest)?;
        let mut labels = Pairs::default();
        for (key, name) in pairs.iter() {
            if let (Some(of), Some(name)) = (key.strip_suffix("Label"), name.filter(|name| !name.is_empty()))
            {
                if labels.len() >= MAX_LABELS {
                    return Err(Fault::new(place(rest), format!("more than {MAX_LABELS} labelled fields")));
                }
                for value in pairs.iter().filter_map(|(key, value)| value.filter(|_| key == of)) {
                    labels.push(name, value);
                }
            }
        }
        events.event(|object| {
            let prefix = text.get(..begin).unwrap_or_default().trim_end();
            if !prefix.is_empty() {
                object.text("prefix", prefix);
            }
            object.text("cefVersion", version.trim());
            for (name, value) in HEADER.iter().zip(&header) {
                object.text(name, value);
            }
            object.object("extension", |inner| pairs.write(inner));
            if !labels.is_empty() {
                object.object("labels", |inner| labels.write(inner));
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
