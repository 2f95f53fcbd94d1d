//! `key=value` after `key=value`, as FortiGate and many others write.
//!
//! Owns separators, quotes and flags. What separates, assigns and quotes is the source's declaration ([`Options`]), for nothing
//! in a line says it. A word without value is true; a line without any value is no event of this format. Called by `compose`.

use std::borrow::Cow;

use memchr::memchr2;

use super::pairs::Pairs;
use super::{Fault, Reader, text};
use crate::decode::events::Events;

/// The most fields of a line.
const MAX_FIELDS: usize = 1024;
/// The longest key, in bytes.
const MAX_KEY: usize = 255;

/// What stands between fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Separator {
    /// Blanks, tabs and ends of lines, one or more.
    #[default]
    Space,
    /// A comma; blanks around fields do not count.
    Comma,
    /// A semicolon; as with the comma.
    Semicolon,
    /// A pipe; as with the comma.
    Pipe,
}

/// What stands between key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Assignment {
    /// `=`
    #[default]
    Equals,
    /// `:`
    Colon,
}

/// What a backslash does within quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backslash {
    /// Before the quote or a backslash it escapes; before anything else it is a character.
    #[default]
    Escapes,
    /// It is a character: the first quote closes. For products that write paths of Windows as they are.
    Literal,
}

/// How a source writes its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Between fields.
    pub separator: Separator,
    /// Between key and value.
    pub assignment: Assignment,
    /// Within quotes.
    pub backslash: Backslash,
    /// Whether `'` opens a quote, too, as `"` always does.
    pub single_quotes: bool,
}

/// Reads keys and values.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyValue {
    options: Options,
}

impl KeyValue {
    /// For a source that writes as declared.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    fn separates(self, byte: u8) -> bool {
        match self.options.separator {
            Separator::Space => byte.is_ascii_whitespace(),
            Separator::Comma => byte == b',',
            Separator::Semicolon => byte == b';',
            Separator::Pipe => byte == b'|',
        }
    }

    fn assigns(self, byte: u8) -> bool {
        byte == match self.options.assignment {
            Assignment::Equals => b'=',
            Assignment::Colon => b':',
        }
    }

    /// Passes blanks, and more than blanks do not separate fields where a sign does.
    fn blanks(self, text: &str) -> &str {
        match self.options.separator {
            Separator::Space => text,
            _ => text.trim_ascii_start(),
        }
    }

    /// The quote that a text begins with.
    fn quote(self, text: &str) -> Option<u8> {
        let first = text.bytes().next()?;
        (first == b'"' || (first == b'\'' && self.options.single_quotes)).then_some(first)
    }

    /// The inside of the quotes that a text begins with, and what follows them.
    fn quoted(self, text: &str, quote: u8) -> Option<(Cow<'_, str>, &str)> {
        let inside = text.get(1..)?;
        let bytes = inside.as_bytes();
        let literal = self.options.backslash == Backslash::Literal;
        let mut made: Option<String> = None;
        let (mut from, mut at) = (0, 0);
        loop {
            let found = at + memchr2(quote, b'\\', bytes.get(at..)?)?;
            if bytes.get(found) == Some(&quote) {
                let last = inside.get(from..found)?;
                let value = match made {
                    Some(made) => Cow::Owned(made + last),
                    None => Cow::Borrowed(last),
                };
                return Some((value, inside.get(found + 1..)?));
            }
            at = found + 1;
            if !literal && bytes.get(at).is_some_and(|next| *next == quote || *next == b'\\') {
                made.get_or_insert_default().push_str(inside.get(from..found)?);
                from = at;
                at += 1;
            }
        }
    }

    /// A value and what follows it.
    fn value(self, start: &str, place: impl Fn(&str) -> usize) -> Result<(Cow<'_, str>, &str), Fault> {
        let start = self.blanks(start);
        if let Some(quote) = self.quote(start) {
            let never = || Fault::new(place(start), "a quote that is never closed");
            let (value, rest) = self.quoted(start, quote).ok_or_else(never)?;
            let rest = self.blanks(rest);
            if rest.bytes().next().is_some_and(|next| !self.separates(next)) {
                return Err(Fault::new(place(rest), "text behind a closing quote"));
            }
            return Ok((value, rest));
        }
        let end = start.bytes().position(|byte| self.separates(byte)).unwrap_or(start.len());
        let (value, rest) = start.split_at_checked(end).unwrap_or((start, ""));
        Ok((Cow::Borrowed(value.trim_ascii_end()), rest))
    }
}

impl Reader for KeyValue {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let this = *self;
        let text = text(frame)?.trim_end_matches(['\n', '\r', '\0']);
        let place = |rest: &str| text.len() - rest.len();
        let mut pairs = Pairs::default();
        let mut values = 0;
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(|first: char| {
                u8::try_from(first).is_ok_and(|byte| this.separates(byte) || byte.is_ascii_whitespace())
            });
            if rest.is_empty() {
                break;
            }
            let at = place(rest);
            if pairs.len() >= MAX_FIELDS {
                return Err(Fault::new(at, format!("more than {MAX_FIELDS} fields")));
            }
            let (key, after) = match this.quote(rest) {
                Some(quote) => {
                    let quoted = this.quoted(rest, quote);
                    let (key, after) =
                        quoted.ok_or_else(|| Fault::new(at, "a quote that is never closed"))?;
                    (key, this.blanks(after))
                }
                None => {
                    let end = rest.bytes().position(|byte| this.separates(byte) || this.assigns(byte));
                    let (key, after) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
                    (Cow::Borrowed(key.trim_ascii_end()), after)
                }
            };
            if key.len() > MAX_KEY {
                return Err(Fault::new(at, format!("a key or a word of more than {MAX_KEY} bytes")));
            }
            match after.bytes().next() {
                Some(next) if this.assigns(next) => {
                    if key.is_empty() {
                        return Err(Fault::new(at, "a value without key"));
                    }
                    let (value, after) = this.value(after.get(1..).unwrap_or_default(), place)?;
                    pairs.push(key, value);
                    values += 1;
                    rest = after;
                }
                Some(next) if !this.separates(next) => {
                    return Err(Fault::new(place(after), "text behind a closing quote"));
                }
                _ => {
                    // A quote within a word: a value that was quoted otherwise than declared.
                    if this.quote(rest).is_none()
                        && let Some(quote) = key.find('"')
                    {
                        return Err(Fault::new(at + quote, "a quote within a word"));
                    }
                    pairs.flag(key);
                    rest = after;
                }
            }
        }
        if values == 0 {
            return Err(Fault::new(0, "no key with a value"));
        }
        events.event(|object| pairs.write(object));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
