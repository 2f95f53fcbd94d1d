//! Records of the Linux audit system, as auditd and the kernel write them: `type=SYSCALL msg=audit(SECONDS:NUMBER): …`.
//!
//! Owns the head of a record (`node=`, type, time, number), its `key=value` pairs with those of a nested `msg='…'`, values
//! that auditd writes in hexadecimal since they may hold anything, and records that are one event. All values are texts, as
//! written; `timestamp` (seconds since 1970) and `sequence` are numbers. Words that are no pair are joined in `message`.
//! What enriched records have after byte 0x1d is kept under its names in capitals. A key that stands there twice has a list;
//! one of the body that is called as a part of the head has an underscore in front.
//!
//! A frame holds a line or several, a line a record or several. A record alone is an event with its `type` and its fields
//! beside each other; records of one event (same node, time and number) are one event, with a list of records under each type.

use std::borrow::Cow;
use std::collections::HashMap;

use super::pieces::{byte, lines, push_bytes};
use super::{Fault, Reader, text};
use crate::decode::events::{Events, Object};

/// Pairs and words of one record.
const FIELDS_MAX: usize = 8_192;

/// Keys whose values are written in hexadecimal when they stand without quotes: what users name, and (in capitals) names of
/// users and groups in enriched records; besides them the arguments of `EXECVE`.
const ENCODED: &[&str] = &[
    "AUID",
    "EGID",
    "EUID",
    "FSGID",
    "FSUID",
    "GID",
    "OGID",
    "OUID",
    "SGID",
    "SUID",
    "UID",
    "acct",
    "cgroup",
    "cmd",
    "comm",
    "cwd",
    "data",
    "device",
    "dir",
    "exe",
    "file",
    "grp",
    "key",
    "name",
    "new-chardev",
    "new-disk",
    "new-fs",
    "new-net",
    "new_group",
    "ocomm",
    "old-chardev",
    "old-disk",
    "old-fs",
    "old-net",
    "path",
    "proctitle",
    "root_dir",
    "sw",
    "vm",
    "watch",
];

/// Keys of the head, and what they are called in a body.
const HEAD: &[(&str, &str)] = &[
    ("message", "_message"),
    ("node", "_node"),
    ("sequence", "_sequence"),
    ("timestamp", "_timestamp"),
    ("type", "_type"),
    ("uptime", "_uptime"),
];

/// Reads records of the Linux audit system.
#[derive(Debug, Default)]
pub struct Auditd;

impl Reader for Auditd {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let mut records = Vec::new();
        for (at, line) in lines(text(frame)?) {
            Cursor { line, at: 0 }
                .records(&mut records)
                .map_err(|fault| Fault { at: fault.at + at, ..fault })?;
        }
        for event in joined(&records) {
            match event.as_slice() {
                [] => {}
                [record] => events.event(|object| {
                    record.head.write(object);
                    object.text("type", record.head.kind);
                    record.write(object);
                }),
                [first, ..] => events.event(|object| {
                    first.head.write(object);
                    types(&event, object);
                }),
            }
        }
        Ok(())
    }
}

/// The records of each event, in the order in which the events come.
fn joined<'r, 'a>(records: &'r [Record<'a>]) -> Vec<Vec<&'r Record<'a>>> {
    let mut events: Vec<Vec<&Record<'a>>> = Vec::new();
    let mut places = HashMap::new();
    for record in records {
        let fresh = events.len();
        let place =
            *places.entry((record.head.node, record.head.time, record.head.sequence)).or_insert(fresh);
        match events.get_mut(place) {
            Some(event) => event.push(record),
            None => events.push(vec![record]),
        }
    }
    events
}

/// Writes the records of an event by type, in the order in which the types come.
fn types(event: &[&Record<'_>], object: &mut Object<'_>) {
    let mut types: Vec<(&str, Vec<&Record<'_>>)> = Vec::new();
    let mut places = HashMap::new();
    for record in event {
        let fresh = types.len();
        let place = *places.entry(record.head.kind).or_insert(fresh);
        match types.get_mut(place) {
            Some((_, records)) => records.push(record),
            None => types.push((record.head.kind, vec![record])),
        }
    }
    for (kind, records) in types {
        object
            .list(kind, |list| records.iter().for_each(|record| list.object(|object| record.write(object))));
    }
}

#[derive(Debug, Clone, Copy)]
struct Head<'a> {
    /// Seconds since the machine started, when the kernel wrote the line itself.
    uptime: Option<&'a str>,
    node: Option<&'a str>,
    kind: &'a str,
    time: &'a str,
    sequence: &'a str,
}

impl Head<'_> {
    fn write(&self, object: &mut Object<'_>) {
        object.number("timestamp", self.time);
        object.number("sequence", self.sequence);
        if let Some(node) = self.node {
            object.text("node", node);
        }
        if let Some(uptime) = self.uptime {
            object.number("uptime", uptime);
        }
    }
}

#[derive(Debug)]
struct Field<'a> {
    key: &'a str,
    value: Cow<'a, str>,
    /// The values that the key has further on.
    more: Vec<Cow<'a, str>>,
}

#[derive(Debug)]
struct Record<'a> {
    head: Head<'a>,
    fields: Vec<Field<'a>>,
    words: Vec<&'a str>,
}

impl Record<'_> {
    fn write(&self, object: &mut Object<'_>) {
        if !self.words.is_empty() {
            object.text("message", &self.words.join(" "));
        }
        for Field { key, value, more } in &self.fields {
            // Several keys of rules stand in one value.
            if more.is_empty() && (*key != "key" || !value.contains('\u{1}')) {
                object.text(key, value);
            } else {
                let values = std::iter::once(value).chain(more).flat_map(|value| value.split('\u{1}'));
                object.texts(key, values);
            }
        }
    }
}

/// A place in a line.
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn records(&mut self, records: &mut Vec<Record<'a>>) -> Result<(), Fault> {
        let uptime = self.uptime();
        self.take("audit: ");
        let node = self.take("node=").then(|| self.word());
        self.blanks();
        loop {
            let head = self.head(uptime, node)?;
            let (record, more) = self.body(head)?;
            records.push(record);
            if !more {
                return Ok(());
            }
        }
    }

    /// Takes what the kernel writes in front of its own lines: `[ 12.345] `.
    fn uptime(&mut self) -> Option<&'a str> {
        let (uptime, _) = self.rest().strip_prefix('[')?.split_once("] ")?;
        self.at += uptime.len() + "[] ".len();
        Some(uptime.trim_ascii())
    }

    /// Takes `type=… msg=audit(…:…):`; the `:` may be missing.
    fn head(&mut self, uptime: Option<&'a str>, node: Option<&'a str>) -> Result<Head<'a>, Fault> {
        if !self.take("type=") {
            return Err(Fault::new(self.at, "no `type=`"));
        }
        let from = self.at;
        let kind = self.word();
        let valid = |byte: u8| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'[' | b']')
        };
        if kind.is_empty() || !kind.bytes().all(valid) {
            return Err(Fault::new(from, "no type of a record"));
        }
        self.blanks();
        self.take("msg=");
        let from = self.at;
        let identity = self.rest().strip_prefix("audit(").and_then(|rest| rest.split_once(')'));
        let identity = identity.and_then(|(identity, _)| identity.split_once(':'));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match identity {
            Some((time, sequence)) if time.split('.').all(digits) && digits(sequence) => {
                self.at += "audit(:)".len() + time.len() + sequence.len();
                self.take(":");
                Ok(Head { uptime, node, kind, time, sequence })
            }
            _ => Err(Fault::new(from, "no `audit(` with time and number")),
        }
    }

    /// Takes the pairs and words of a record, up to the end of the line or (true) the next record's head.
    fn body(&mut self, head: Head<'a>) -> Result<(Record<'a>, bool), Fault> {
        let mut record = Record { head, fields: Vec::new(), words: Vec::new() };
        let mut places = HashMap::new();
        // Where a nested `msg='` opened.
        let mut nested = None;
        loop {
            self.blanks();
            if nested.is_some() && self.closes() {
                nested = None;
                self.at += 1;
                continue;
            }
            let from = self.at;
            let word = self.key();
            if record.fields.len() + record.words.len() == FIELDS_MAX {
                return Err(Fault::new(from, format!("more than {FIELDS_MAX} fields in a record")));
            }
            if !self.take("=") {
                match (word, nested) {
                    ("", None) => return Ok((record, false)),
                    ("", Some(open)) => return Err(Fault::new(open, "a quote that is never closed")),
                    (word, _) => record.words.push(word),
                }
                continue;
            }
            if word == "type" && nested.is_none() && self.is_head() {
                self.at = from;
                return Ok((record, true));
            }
            if word == "msg" && nested.is_none() && self.rest().starts_with('\'') {
                nested = Some(self.at);
                self.at += 1;
                continue;
            }
            let value = self.value(nested.is_some(), |value| decoded(head.kind, word, value))?;
            let key = HEAD.iter().find(|(key, _)| *key == word).map_or(word, |(_, other)| other);
            let fresh = record.fields.len();
            let place = *places.entry(key).or_insert(fresh);
            match record.fields.get_mut(place) {
                Some(field) => field.more.push(value),
                None => record.fields.push(Field { key, value, more: Vec::new() }),
            }
        }
    }

    /// Takes a value: in quotes, in braces, or up to the next blank.
    fn value(
        &mut self,
        nested: bool,
        bare: impl FnOnce(&'a str) -> Cow<'a, str>,
    ) -> Result<Cow<'a, str>, Fault> {
        let from = self.at;
        let rest = self.rest();
        let close = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => Some((quote, "a quote that is never closed")),
            Some('{') => Some(('}', "a brace that is never closed")),
            _ => None,
        };
        // A single quote in a nested message closes it.
        let close = close.filter(|(close, _)| !(nested && *close == '\''));
        if let Some((close, unclosed)) = close {
            let inner = rest.get(1..).unwrap_or_default();
            let Some((value, _)) = inner.split_once(close) else { return Err(Fault::new(from, unclosed)) };
            self.at += value.len() + 2;
            return Ok(Cow::Borrowed(if close == '}' { value.trim_ascii() } else { value }));
        }
        let mut value = self.word();
        if nested && let Some(inner) = value.strip_suffix('\'') {
            // The quote that closes the message is not part of its last value.
            self.at -= 1;
            value = inner;
        }
        Ok(bare(value))
    }

    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Passes blanks, and the byte before the enriched part.
    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
    }

    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = rest.split(is_blank).next().unwrap_or_default();
        self.at += word.len();
        word
    }

    /// Takes a word up to `=`; one that is no key is whole.
    fn key(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| is_blank(c) || c == '=').unwrap_or(rest.len());
        let key = rest.get(..end).unwrap_or_default();
        if key.is_empty() || key.contains(['"', '\'']) {
            return self.word();
        }
        self.at += end;
        key
    }

    /// Whether a single quote stands here with nothing behind it.
    fn closes(&self) -> bool {
        let mut rest = self.rest().chars();
        rest.next() == Some('\'') && rest.next().is_none_or(is_blank)
    }

    /// Whether the head of a record goes on after `type=`.
    fn is_head(&self) -> bool {
        let Some((_, after)) = self.rest().split_once(' ') else { return false };
        after.starts_with("msg=audit(") || after.starts_with("audit(")
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{1d}')
}

/// A value that stood without quotes: what it says in hexadecimal, where auditd writes it so. Odd and other digits stay.
fn decoded<'a>(kind: &str, key: &str, value: &'a str) -> Cow<'a, str> {
    let encoded = ENCODED.contains(&key) || (matches!(kind, "EXECVE" | "1309") && is_argument(key));
    if !encoded || value.is_empty() {
        return Cow::Borrowed(value);
    }
    let digit = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'A'..=b'F');
    let pairs = value.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| byte(pair).filter(|_| pair.iter().all(digit))).collect::<Option<Vec<u8>>>();
    let Some(mut bytes) = bytes else { return Cow::Borrowed(value) };
    if key == "proctitle" {
        // Its arguments end with NUL each.
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b' ');
    }
    let mut text = String::with_capacity(bytes.len());
    push_bytes(&mut text, &bytes);
    Cow::Owned(text)
}

/// `a0`, or the part of a long one, `a0[1]`; not `a0_len`.
fn is_argument(key: &str) -> bool {
    let Some(number) = key.strip_prefix('a') else { return false };
    let number = number.split_once('[').map_or(number, |(number, _)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
