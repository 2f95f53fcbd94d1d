//! A JSON text as a flat list of nodes, checked, with nothing unescaped and no number converted.
//!
//! Owns the grammar (RFC 8259), of which nothing is forgiven, and what is wrong with a text that does not keep to it. The
//! positions come from `scan`; what is wanted of the nodes is the parent's. Events have many more fields than rules read, so
//! what a value *is* is found out when it is wanted.

use std::borrow::Cow;

use super::scan::{Positions, hex};

/// A value or a key; those inside of an object or a list stand behind it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node<'t> {
    /// So many keys with their values, in `count` nodes.
    Object {
        len: usize,
        count: usize,
    },
    /// So many items, in `count` nodes.
    Array {
        len: usize,
        count: usize,
    },
    /// A string or a key.
    Text(Text<'t>),
    /// As it is written.
    Number(&'t str),
    Bool(bool),
    Null,
}

/// A string between its quotes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Text<'t> {
    pub(super) raw: &'t str,
}

impl<'t> Text<'t> {
    /// Whether there is a backslash in it. Most strings are never wanted, and so never asked.
    pub(super) fn is_escaped(&self) -> bool {
        memchr::memchr(b'\\', self.raw.as_bytes()).is_some()
    }

    /// What it says.
    pub(super) fn get(&self) -> Cow<'t, str> {
        if self.is_escaped() {
            let mut text = String::with_capacity(self.raw.len());
            unescape(self.raw, &mut text);
            Cow::Owned(text)
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// What is wrong with a text, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    Syntax,
    Control,
    Eof,
    Number,
    Escape,
    Unterminated,
    Trailing,
    Deep,
}

/// The memory of a tape, used again for the next text.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    positions: Positions,
    open: Vec<Open>,
}

impl Buffers {
    /// Whether the text that was read last has characters as numbers (`\u0041`).
    pub(super) fn has_code_points(&self) -> bool {
        self.positions.has_code_points
    }
}

/// An object or a list that is not closed yet.
#[derive(Debug)]
struct Open {
    node: usize,
    len: usize,
    is_object: bool,
}

/// Reads a text into nodes, the first of which is the whole; nested at most `depth_max` deep.
pub(super) fn read<'t>(
    text: &'t str,
    depth_max: usize,
    buffers: &mut Buffers,
    nodes: &mut Vec<Node<'t>>,
) -> Result<(), Fault> {
    let Buffers { positions, open } = buffers;
    positions.read(text.as_bytes())?;
    nodes.clear();
    open.clear();
    Reader { text, bytes: text.as_bytes(), left: positions.all(), at: 0 }.document(depth_max, open, nodes)
}

struct Reader<'t, 'p> {
    text: &'t str,
    bytes: &'t [u8],
    /// The positions that have not been read.
    left: &'p [u32],
    /// Where the text goes on behind the last one.
    at: usize,
}

impl<'t> Reader<'t, '_> {
    fn document(
        &mut self,
        depth_max: usize,
        open: &mut Vec<Open>,
        nodes: &mut Vec<Node<'t>>,
    ) -> Result<(), Fault> {
        self.value(depth_max, open, nodes)?;
        while let Some(inner) = open.last_mut() {
            // A value has ended: what comes next is a comma or the end of what it is in.
            let (byte, at) = self.operator()?;
            let is_object = inner.is_object;
            match byte {
                b',' => {
                    inner.len += 1;
                    if is_object {
                        inner.len += self.pairs(nodes);
                        self.key(nodes)?;
                    }
                    self.value(depth_max, open, nodes)?;
                }
                b'}' if is_object => close(open, nodes),
                b']' if !is_object => close(open, nodes),
                _ => return Err(Fault { kind: FaultKind::Syntax, at }),
            }
        }
        self.skip_space();
        if self.at < self.bytes.len() {
            return Err(Fault { kind: FaultKind::Trailing, at: self.at });
        }
        Ok(())
    }

    /// Reads a value; of an object or a list only as far as its first value, where it has one.
    fn value(
        &mut self,
        depth_max: usize,
        open: &mut Vec<Open>,
        nodes: &mut Vec<Node<'t>>,
    ) -> Result<(), Fault> {
        loop {
            self.skip_space();
            let at = self.at;
            match self.bytes.get(at) {
                Some(b'"') => {
                    let text = self.string()?;
                    nodes.push(Node::Text(text));
                    return Ok(());
                }
                Some(b'{') => {
                    self.begin(true, depth_max, open, nodes)?;
                    if self.ends(b'}') {
                        close_empty(open);
                        return Ok(());
                    }
                    self.key(nodes)?;
                }
                Some(b'[') => {
                    self.begin(false, depth_max, open, nodes)?;
                    if self.ends(b']') {
                        close_empty(open);
                        return Ok(());
                    }
                }
                _ => {
                    let scalar = self.scalar()?;
                    nodes.push(scalar);
                    return Ok(());
                }
            }
        }
    }

    fn begin(
        &mut self,
        is_object: bool,
        depth_max: usize,
        open: &mut Vec<Open>,
        nodes: &mut Vec<Node<'t>>,
    ) -> Result<(), Fault> {
        if open.len() >= depth_max {
            return Err(Fault { kind: FaultKind::Deep, at: self.at });
        }
        open.push(Open { node: nodes.len(), len: 1, is_object });
        nodes.push(if is_object {
            Node::Object { len: 0, count: 0 }
        } else {
            Node::Array { len: 0, count: 0 }
        });
        self.take_position();
        Ok(())
    }

    /// Whether the bracket that was just opened is closed at once.
    fn ends(&mut self, bracket: u8) -> bool {
        self.skip_space();
        let ends = self.bytes.get(self.at) == Some(&bracket);
        if ends {
            self.take_position();
        }
        ends
    }

    /// A key and its colon.
    fn key(&mut self, nodes: &mut Vec<Node<'t>>) -> Result<(), Fault> {
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b'"') => {}
            Some(_) => return Err(Fault { kind: FaultKind::Syntax, at: self.at }),
            None => return Err(Fault { kind: FaultKind::Eof, at: self.at }),
        }
        let key = self.string()?;
        nodes.push(Node::Text(key));
        match self.operator()? {
            (b':', _) => Ok(()),
            (_, at) => Err(Fault { kind: FaultKind::Syntax, at }),
        }
    }

    /// Reads keys with strings as their values as long as each is followed by a comma, with no space between: that is what
    /// most of an event is. Whatever else comes is left to the others. Returns how many there were.
    fn pairs(&mut self, nodes: &mut Vec<Node<'t>>) -> usize {
        let mut pairs = 0;
        while let [key, key_end, colon, value, value_end, comma, left @ ..] = self.left {
            let [key, key_end, colon, value, value_end, comma] =
                [*key, *key_end, *colon, *value, *value_end, *comma].map(|position| position as usize);
            let adjoin =
                key == self.at && colon == key_end + 1 && value == colon + 1 && comma == value_end + 1;
            let is = |at: usize, byte: u8| self.bytes.get(at) == Some(&byte);
            // Behind the quote that begins a string the next position is the one that ends it.
            if !(adjoin && is(key, b'"') && is(colon, b':') && is(value, b'"') && is(comma, b',')) {
                break;
            }
            let (Some(name), Some(said)) =
                (self.text.get(key + 1..key_end), self.text.get(value + 1..value_end))
            else {
                break;
            };
            nodes.push(Node::Text(Text { raw: name }));
            nodes.push(Node::Text(Text { raw: said }));
            (self.left, self.at) = (left, comma + 1);
            pairs += 1;
        }
        pairs
    }

    /// The string that begins here; its quotes are the next two positions.
    fn string(&mut self) -> Result<Text<'t>, Fault> {
        let begin = self.at + 1;
        let [_, end, left @ ..] = self.left else {
            return Err(Fault { kind: FaultKind::Unterminated, at: begin });
        };
        let end = *end as usize;
        (self.left, self.at) = (left, end + 1);
        let raw = self.text.get(begin..end).ok_or(Fault { kind: FaultKind::Syntax, at: begin })?;
        Ok(Text { raw })
    }

    /// The next bracket, colon or comma, with nothing but white space before it.
    fn operator(&mut self) -> Result<(u8, usize), Fault> {
        self.skip_space();
        let at = self.at;
        match self.bytes.get(at) {
            Some(byte @ (b',' | b':' | b'}' | b']')) => {
                self.take_position();
                Ok((*byte, at))
            }
            Some(_) => Err(Fault { kind: FaultKind::Syntax, at }),
            None => Err(Fault { kind: FaultKind::Eof, at }),
        }
    }

    /// The byte here is the next position: the text goes on behind it.
    fn take_position(&mut self) {
        self.left = self.left.get(1..).unwrap_or_default();
        self.at += 1;
    }

    #[inline]
    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// A number or a word, which ends where the next bracket or comma, or the text does.
    fn scalar(&mut self) -> Result<Node<'t>, Fault> {
        let begin = self.at;
        let end = self.left.first().map_or(self.bytes.len(), |end| *end as usize);
        let whole = self.text.get(begin..end).ok_or(Fault { kind: FaultKind::Syntax, at: begin })?;
        let written = whole.trim_end_matches([' ', '\n', '\r', '\t']);
        self.at = end;
        match written.as_bytes() {
            b"true" => Ok(Node::Bool(true)),
            b"false" => Ok(Node::Bool(false)),
            b"null" => Ok(Node::Null),
            [] if end == self.bytes.len() => Err(Fault { kind: FaultKind::Eof, at: end }),
            [b'-' | b'0'..=b'9', ..] => match number_fault(written) {
                None => Ok(Node::Number(written)),
                Some(at) => Err(Fault { kind: FaultKind::Number, at: begin + at }),
            },
            _ => Err(Fault { kind: FaultKind::Syntax, at: begin }),
        }
    }
}

/// The innermost bracket is closed: what is in it is known.
fn close(open: &mut Vec<Open>, nodes: &mut [Node<'_>]) {
    let Some(closed) = open.pop() else { return };
    let size = nodes.len() - closed.node - 1;
    if let Some(Node::Object { len, count } | Node::Array { len, count }) = nodes.get_mut(closed.node) {
        (*len, *count) = (closed.len, size);
    }
}

/// The same where nothing is in it, as its node says already.
fn close_empty(open: &mut Vec<Open>) {
    open.pop();
}

/// Where a number is none of JSON's, or too large for a double.
fn number_fault(written: &str) -> Option<usize> {
    let bytes = written.as_bytes();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let digits = |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(at);
    if whole == 0 || (whole > 1 && bytes.get(at) == Some(&b'0')) {
        return Some(at);
    }
    at += whole;
    let is_plain = at == bytes.len() && whole < 300;
    if is_plain {
        return None;
    }
    if bytes.get(at) == Some(&b'.') {
        let part = digits(at + 1);
        if part == 0 {
            return Some(at);
        }
        at += 1 + part;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return Some(at);
        }
        at += 1 + sign + exponent;
    }
    let finite = || written.parse::<f64>().is_ok_and(f64::is_finite);
    if at < bytes.len() || !finite() { Some(at) } else { None }
}

/// A number that has been read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    /// Beyond that.
    Large(u64),
    Double(f64),
}

/// What a number is.
pub(super) fn number(written: &str) -> Number {
    if let Ok(number) = written.parse::<i64>()
        && written != "-0"
    {
        return Number::Int(number);
    }
    match written.parse::<u64>() {
        Ok(number) => Number::Large(number),
        // Checked when it was read.
        Err(_) => Number::Double(written.parse().unwrap_or_default()),
    }
}

/// Appends what a string between its quotes says; its escapes have been checked.
pub(in crate::decode) fn unescape(raw: &str, into: &mut String) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        into.push_str(rest.get(..at).unwrap_or_default());
        let escape = rest.as_bytes().get(at + 1).copied();
        rest = rest.get(at + 2..).unwrap_or_default();
        match escape {
            Some(b'b') => into.push('\u{8}'),
            Some(b'f') => into.push('\u{c}'),
            Some(b'n') => into.push('\n'),
            Some(b'r') => into.push('\r'),
            Some(b't') => into.push('\t'),
            Some(b'u') => {
                let mut number = hex(rest.as_bytes(), 0).unwrap_or_default();
                let mut length = 4;
                if let (0xd800..=0xdbff, Some(low)) = (number, hex(rest.as_bytes(), 6)) {
                    number = 0x1_0000 + ((number - 0xd800) << 10) + (low & 0x3ff);
                    length = 10;
                }
                into.push(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = rest.get(length..).unwrap_or_default();
            }
            // A quote, a backslash or a slash.
            other => into.extend(other.map(char::from)),
        }
    }
    into.push_str(rest);
}

#[cfg(test)]
#[path = "tape/tests.rs"]
mod tests;
