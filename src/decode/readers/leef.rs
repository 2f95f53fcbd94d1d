//! LEEF, the Log Event Extended Format of QRadar: 1.0 and 2.0.
//!
//! Owns header, delimiter and attributes. The event has the header's fields and the attributes as an object `attributes`. The
//! format has no escapes: a backslash is a character. What stands before `LEEF:` is the `prefix`; a syslog header there is
//! better read by the envelope. Called by `compose`.

use memchr::memmem;

use super::pairs::Pairs;
use super::{Fault, Reader, text};
use crate::decode::events::Events;

/// The most attributes.
const MAX_FIELDS: usize = 1024;
/// The longest key of an attribute, in bytes.
const MAX_KEY: usize = 255;
/// The most hexadecimal digits of a delimiter.
const HEX_DIGITS: usize = 4;

/// The header's fields behind the version.
const HEADER: [&str; 4] = ["vendor", "product", "version", "eventId"];

/// Reads LEEF.
#[derive(Debug, Clone, Copy, Default)]
pub struct Leef {
    delimiter: Option<char>,
}

impl Leef {
    /// The delimiter of a source whose headers name none and that does not write tabs.
    pub fn with_delimiter(delimiter: char) -> Self {
        Self { delimiter: Some(delimiter) }
    }
}

/// The version and what follows its pipe, at the byte at which `LEEF:` begins. A relay that took `LEEF:` for the tag of syslog
/// leaves the version in the beginning.
fn found(text: &str) -> Option<(usize, &str, &str)> {
    let versioned = |rest: &str| {
        let (version, _) = rest.split_once('|').filter(|(version, _)| version.len() <= 8)?;
        matches!(version.trim(), "1" | "1.0" | "2" | "2.0").then_some(version.len())
    };
    let split = |at: usize, rest: &'_ str| versioned(rest).map(|length| (at, length));
    let mut places = memmem::find_iter(text.as_bytes(), b"LEEF:");
    let place = places.find_map(|at| split(at, text.get(at + 5..)?).map(|(at, length)| (at, at + 5, length)));
    let (begin, start, length) = place.or_else(|| split(0, text).map(|(at, length)| (at, at, length)))?;
    let (version, rest) = text.get(start..)?.split_at_checked(length)?;
    Some((begin, version.trim(), rest.strip_prefix('|')?))
}

/// The delimiter that a field of LEEF 2.0 names: a character, or its number after `x` or `0x`; nothing for an empty field.
fn delimiter(field: &str) -> Option<Option<char>> {
    let mut characters = field.chars();
    match (characters.next(), characters.next()) {
        (None, _) => return Some(None),
        (Some(one), None) => return Some(Some(one)),
        _ => {}
    }
    let field = field.strip_prefix('0').unwrap_or(field);
    let digits = field.strip_prefix(['x', 'X'])?;
    if digits.is_empty() || digits.len() > HEX_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return None;
    }
    u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).map(Some)
}

/// Whether a value looks as if another attribute stood in it, behind a blank or a sign that others delimit with.
fn holds_another(value: &str) -> bool {
    let part_of = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    value.match_indices('=').any(|(assign, _)| {
        let before = value.as_bytes().get(..assign).unwrap_or_default();
        let key = before.iter().rev().take(MAX_KEY).take_while(|byte| part_of(byte)).count();
        key > 0 && before.iter().rev().nth(key).is_some_and(|byte| b" |,;^".contains(byte))
    })
}

impl Reader for Leef {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let text = text(frame)?.trim_end_matches(['\n', '\r', '\0']);
        let place = |rest: &str| text.len() - rest.len();
        let (begin, leef, mut rest) =
            found(text).ok_or_else(|| Fault::new(0, "no LEEF: with the version 1.0 or 2.0"))?;
        let mut header = [""; HEADER.len()];
        for (number, (name, value)) in HEADER.iter().zip(&mut header).enumerate() {
            (*value, rest) = match rest.split_once('|') {
                Some(split) => split,
                None if number + 1 == HEADER.len() => (rest, ""),
                None => return Err(Fault::new(place(rest), format!("no pipe after {name}"))),
            };
        }
        let mut named = None;
        if leef.starts_with('2')
            && let Some((field, after)) = rest.split_once('|')
            // The field may be absent: then what stands before the pipe is an attribute.
            && !field.get(1..).is_some_and(|field| field.contains('='))
        {
            named = delimiter(field).ok_or_else(|| {
                Fault::new(place(rest), "no delimiter: not one character, nor x and its number")
            })?;
            rest = after;
        }
        let declared = named.or(self.delimiter);
        let between = declared.unwrap_or('\t');
        let mut attributes = Pairs::default();
        let mut at = place(rest);
        for written in rest.split(between) {
            if !written.trim().is_empty() {
                let Some((key, value)) = written.split_once('=') else {
                    return Err(Fault::new(at, "an attribute without ="));
                };
                let key = key.trim();
                if key.is_empty() || key.len() > MAX_KEY {
                    return Err(Fault::new(
                        at,
                        format!("a key that is empty or has more than {MAX_KEY} bytes"),
                    ));
                }
                if attributes.len() >= MAX_FIELDS {
                    return Err(Fault::new(at, format!("more than {MAX_FIELDS} attributes")));
                }
                if declared.is_none() && written.len() == rest.len() && holds_another(value) {
                    let what =
                        "more than one attribute and no tab between them: declare the source's delimiter";
                    return Err(Fault::new(at, what));
                }
                attributes.push(key, value);
            }
            at += written.len() + between.len_utf8();
        }
        events.event(|object| {
            let prefix = text.get(..begin).unwrap_or_default().trim_end();
            if !prefix.is_empty() {
                object.text("prefix", prefix);
            }
            object.text("leefVersion", leef);
            for (name, value) in HEADER.iter().zip(header) {
                object.text(name, value);
            }
            if let Some(named) = named {
                object.text("delimiter", named.encode_utf8(&mut [0; 4]));
            }
            object.object("attributes", |inner| attributes.write(inner));
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
