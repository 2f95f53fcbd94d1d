//! What a record looks like that is not of its source's format.
//!
//! Owns the shapes that are known by name, of bytes and of events, and the words about them. It is asked only about
//! records that were rejected and events that no table takes. Called by the decoders, and by `normalise::layout`.

use std::fmt;

use super::{FieldSet, Format, Reject, RejectCode, Slot, Value, unescaped};

/// A shape of JSON events.
struct Shape {
    name: &'static str,
    /// The format that reads it, if there is one.
    format: Option<&'static str>,
    /// What to do.
    advice: &'static str,
    /// Any of these lists tells it, when the event has all fields of the list.
    marks: &'static [&'static [&'static str]],
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "Winlogbeat's nested JSON",
        format: Some("winlogbeat"),
        advice: "should the source's format be `winlogbeat`?",
        marks: &[&["winlog.event_id"], &["winlog.channel"], &["winlog.event_data"]],
    },
    Shape {
        name: "Windows event XML turned into JSON",
        format: Some("windows-event-json"),
        advice: "should the source's format be `windows-event-json`?",
        marks: &[&["Event.System"], &["Event.EventData"]],
    },
    Shape {
        name: "Wazuh's JSON",
        format: None,
        advice: "flatten it to windows-json (docs/getting-started.md)",
        marks: &[&["data.win.system"], &["data.win.eventdata"], &["win.system"], &["win.eventdata"]],
    },
    Shape {
        name: "Suricata EVE",
        format: Some("suricata-eve"),
        advice: "should the source's format be `suricata-eve`?",
        marks: &[&["event_type", "flow_id"], &["event_type", "src_ip"]],
    },
    Shape {
        name: "flat Windows event JSON",
        format: Some("windows-json"),
        advice: "should the source's format be `windows-json`?",
        marks: &[&["EventID"]],
    },
    Shape { name: "Zeek's JSON", format: None, advice: "no format reads it yet", marks: &[&["id.orig_h"]] },
];

/// The field in which shippers put a line that they did not parse.
const TEXT_FIELD: &str = "message";

/// What can be said about an event that its format's tables do not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint {
    declared: &'static str,
    looks: Looks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Looks {
    /// Index in [`SHAPES`].
    Like(usize),
    /// JSON as a text in [`TEXT_FIELD`].
    Wrapped,
    /// Nothing that is known; it has not the field that all events of the format have.
    Without(&'static str),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let declared = self.declared;
        match self.looks {
            Looks::Like(shape) => match SHAPES.get(shape) {
                Some(Shape { name, advice, .. }) => {
                    write!(f, "looks like {name}, not like {declared}: {advice}")
                }
                None => Ok(()),
            },
            Looks::Wrapped => write!(
                f,
                "looks like JSON as a text in `{TEXT_FIELD}`, not like {declared}: let the shipper put it at the top level"
            ),
            Looks::Without(field) => write!(f, "has no `{field}`, as events of {declared} have"),
        }
    }
}

/// The fields that tell shapes, as slots.
#[derive(Debug)]
pub struct Marks {
    declared: &'static str,
    own: (&'static str, Slot),
    text: Slot,
    shapes: Vec<(usize, Vec<Slot>)>,
}

impl Marks {
    /// Adds the fields to those that the decoder fills. Only events of a wrong shape have most of them, so they
    /// cost nothing on others.
    pub fn new(format: &dyn Format, fields: &mut FieldSet) -> Self {
        // Formats with the same mark have the same shape.
        let is_other = |shape: &Shape| {
            shape.format.and_then(super::format).is_none_or(|other| other.mark() != format.mark())
        };
        let others = SHAPES.iter().enumerate().filter(|(_, shape)| is_other(shape));
        let shapes = others.flat_map(|(at, shape)| shape.marks.iter().map(move |marks| (at, *marks)));
        Self {
            declared: format.name(),
            own: (format.mark(), fields.add_exact(format.mark())),
            text: fields.add_exact(TEXT_FIELD),
            shapes: shapes
                .map(|(at, marks)| (at, marks.iter().map(|path| fields.add_exact(path)).collect()))
                .collect(),
        }
    }

    /// What an event that is in no table looks like; none when it has the mark of its own format.
    pub fn hint(&self, slots: &[Value<'_>]) -> Option<Hint> {
        let present = |slot: &Slot| slots.get(*slot).is_some_and(Value::is_present);
        if present(&self.own.1) {
            return None;
        }
        let like = self.shapes.iter().find(|(_, marks)| marks.iter().all(present));
        // JSON in a text has quotes, and so escapes.
        let wrapped = match slots.get(self.text) {
            Some(Value::Text(text)) => text.trim_start().starts_with('{'),
            Some(Value::Escaped(raw)) => unescaped(raw).trim_start().starts_with('{'),
            _ => false,
        };
        let looks = match like {
            Some((shape, _)) => Looks::Like(*shape),
            None if wrapped => Looks::Wrapped,
            None => Looks::Without(self.own.0),
        };
        Some(Hint { declared: self.declared, looks })
    }
}

/// Adds to the reason of a reject what the bytes look like, when that is plain; never any of the bytes.
pub(super) fn explained(mut reject: Reject, payload: &[u8]) -> Reject {
    let unreadable = matches!(reject.code, RejectCode::Syntax | RejectCode::NotUtf8 | RejectCode::NotAnEvent);
    if let Some(encoding) = unreadable.then(|| encoding(payload)).flatten() {
        reject.detail.push_str(&format!("; looks like {encoding}, not like JSON"));
    }
    reject
}

/// The encoding that the first bytes tell.
fn encoding(payload: &[u8]) -> Option<&'static str> {
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload).trim_ascii_start();
    let begins = |start: &[u8]| text.starts_with(start);
    match payload {
        [0x1f, 0x8b, ..] => return Some("gzip: the value itself is compressed (`packing` of the source)"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            return Some("zstd: the value itself is compressed (`packing` of the source)");
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{' | b'<', 0, ..] => return Some("UTF-16"),
        // A later line of such a text: cut in the middle of its newline. No registry has ids that high.
        [0, 0x09..=0x7e, 0, ..] => return Some("UTF-16"),
        [0, _, _, _, _, ..] => return Some("a schema registry's framing (Avro, Protobuf, JSON Schema)"),
        [0x80..=0x8f | 0xde | 0xdf, ..] => return Some("MessagePack"),
        _ => {}
    }
    if begins(b"<Event") {
        return Some("Windows event XML (`format = \"windows-event-xml\"`)");
    }
    if begins(b"<?xml") {
        return Some("XML");
    }
    if begins(b"CEF:") {
        return Some("CEF");
    }
    if begins(b"LEEF:") {
        return Some("LEEF");
    }
    let digits = text.strip_prefix(b"<")?;
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    ((1..=3).contains(&count) && digits.get(count) == Some(&b'>')).then_some("syslog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_encoding() {
        for (payload, expect) in [
            (&b"<Event xmlns='x'>"[..], Some("Windows event XML (`format = \"windows-event-xml\"`)")),
            (b"\xef\xbb\xbf <Event>", Some("Windows event XML (`format = \"windows-event-xml\"`)")),
            (b"<?xml version='1.0'?>", Some("XML")),
            (b"<13>1 2026-10-03T01:02:03Z host app - - - hello", Some("syslog")),
            (b"<1234>x", None),
            (b"<>x", None),
            (b"<13", None),
            (b"CEF:0|vendor|product", Some("CEF")),
            (b"LEEF:2.0|vendor", Some("LEEF")),
            (b"\x1f\x8b\x08", Some("gzip: the value itself is compressed (`packing` of the source)")),
            (b"\x28\xb5\x2f\xfd", Some("zstd: the value itself is compressed (`packing` of the source)")),
            (b"\xff\xfe{\0", Some("UTF-16")),
            (b"{\0\"\0", Some("UTF-16")),
            (b"\0{\0\"\0a\0", Some("UTF-16")),
            (b"\0\r\0", Some("UTF-16")),
            (b"\0\0\0\0\x07rest", Some("a schema registry's framing (Avro, Protobuf, JSON Schema)")),
            (b"\0", None),
            (b"\x82\xa1a\x01", Some("MessagePack")),
            (b"{'a':1}", None),
            (b"plain words", None),
            (b"", None),
        ] {
            assert_eq!(encoding(payload), expect, "{}", payload.escape_ascii());
        }
    }
}
