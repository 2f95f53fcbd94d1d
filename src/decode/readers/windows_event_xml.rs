//! Windows event XML, as wevtutil, event forwarding, NXLog, Winlogbeat (`event.original`) and Splunk write it.
//!
//! Owns the way from `<Event>` to the nested JSON that `windows_event_json` knows the places of: attributes below
//! `#attributes`, text beside them in `#text`, elements by their local name, `Data` always as a list, other elements that
//! stand there more than once as a list too. `UserData`, `RenderingInfo` and whatever else an event has are kept the same
//! way. Numbers are those that the schema of events has in `System`; all else is text as it stands, line ends too.
//!
//! A frame holds one `<Event>`, several one after the other, or `<Events>` of them. There are no document types, and no
//! entities but the five of XML and numbers of characters; `&` without a `;` after it is text.

use std::borrow::Cow;

use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::attributes::{AttrError, Attributes};
use quick_xml::events::{BytesRef, Event};

use super::{Fault, Reader, text};
use crate::decode::events::{Events, List, Object};

/// Elements within each other, `Event` included.
const DEPTH_MAX: usize = 32;
/// Elements of one event.
const ELEMENTS_MAX: usize = 10_000;
/// Attributes of one element.
const ATTRIBUTES_MAX: usize = 64;

/// Elements of `System` that are numbers.
const NUMBERS: &[&str] = &["EventID", "EventRecordID", "Level", "Opcode", "Task", "Version"];
/// Attributes in `System` that are numbers.
const NUMBER_ATTRIBUTES: &[&str] = &[
    "KernelTime",
    "ProcessID",
    "ProcessorID",
    "ProcessorTime",
    "Qualifiers",
    "SessionID",
    "ThreadID",
    "UserTime",
];

/// Reads Windows event XML.
#[derive(Debug, Default)]
pub struct WindowsEventXml;

impl Reader for WindowsEventXml {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        let text = text(frame)?;
        let base = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let text = text.get(base..).unwrap_or_default();
        let before = events.len();
        read(text, events).map_err(|fault| Fault { at: fault.at + base, ..fault })?;
        if events.len() == before {
            return Err(Fault::new(frame.len(), "no <Event> element"));
        }
        Ok(())
    }
}

/// An element with what it holds.
#[derive(Debug, Default)]
struct Element<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, Cow<'a, str>)>,
    /// Its own text, without that of its elements.
    text: Cow<'a, str>,
    children: Vec<Element<'a>>,
}

/// The elements that are open, from `Event` on.
#[derive(Debug, Default)]
struct Open<'a> {
    stack: Vec<Element<'a>>,
    /// Elements of the event so far.
    elements: usize,
    /// Within `<Events>`.
    listed: bool,
}

fn read(text: &str, events: &mut Events) -> Result<(), Fault> {
    let mut reader = quick_xml::Reader::from_str(text);
    // Without a `;` it can only be itself, and Sysmon for Linux writes `&lt` so.
    reader.config_mut().allow_dangling_amp = true;
    let mut open = Open::default();
    loop {
        let from = place(reader.buffer_position());
        let event =
            reader.read_event().map_err(|error| Fault::new(place(reader.error_position()), said(&error)))?;
        let to = place(reader.buffer_position());
        match event {
            Event::Start(_) => open.start(tag(text, from, to), from)?,
            Event::Empty(_) => {
                open.start(tag(text, from, to), from)?;
                open.end(events);
            }
            Event::End(_) => open.end(events),
            Event::Text(piece) => open.text(piece.into_inner(), from)?,
            Event::CData(piece) => open.text(piece.into_inner(), from)?,
            Event::GeneralRef(reference) => open.text(resolved(&reference, from)?, from)?,
            Event::DocType(_) => return Err(Fault::new(from, "a document type, which no event needs")),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if open.stack.is_empty() && !open.listed => return Ok(()),
            Event::Eof => return Err(Fault::new(text.len(), "an element is not closed")),
        }
    }
}

fn place(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// What stands between `<` and `>`, or `/>`.
fn tag(text: &str, from: usize, to: usize) -> &str {
    let tag = text.get(from..to).unwrap_or_default();
    let tag = tag.strip_prefix('<').unwrap_or(tag);
    let tag = tag.strip_suffix('>').unwrap_or(tag);
    tag.strip_suffix('/').unwrap_or(tag)
}

/// The character that a reference stands for.
fn resolved(reference: &BytesRef<'_>, at: usize) -> Result<Cow<'static, str>, Fault> {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => Ok(Cow::Owned(character.to_string())),
        Ok(None) => match resolve_xml_entity(reference) {
            Some(character) => Ok(Cow::Borrowed(character)),
            None => Err(Fault::new(at, "an entity that is none of the five of XML")),
        },
        Err(_) => Err(Fault::new(at, "a reference to no character")),
    }
}

impl<'a> Open<'a> {
    fn start(&mut self, tag: &'a str, at: usize) -> Result<(), Fault> {
        let end = tag.find(|character: char| character.is_ascii_whitespace()).unwrap_or(tag.len());
        let qualified = tag.get(..end).unwrap_or_default();
        if !is_name(qualified) {
            return Err(Fault::new(at, "an element without a valid name"));
        }
        let name = qualified.rsplit_once(':').map_or(qualified, |(_, local)| local);
        if self.stack.is_empty() {
            match name {
                "Events" if !self.listed => {
                    self.listed = true;
                    return Ok(());
                }
                "Event" => self.elements = 0,
                _ => return Err(Fault::new(at, "neither <Event> nor <Events>")),
            }
        }
        if self.stack.len() == DEPTH_MAX {
            return Err(Fault::new(at, format!("more than {DEPTH_MAX} elements within each other")));
        }
        self.elements += 1;
        if self.elements > ELEMENTS_MAX {
            return Err(Fault::new(at, format!("more than {ELEMENTS_MAX} elements in one event")));
        }
        let attributes = attributes(tag, end, at)?;
        self.stack.push(Element { name, attributes, ..Element::default() });
        Ok(())
    }

    /// Closes the innermost element, which the parser has seen to be the one that is named.
    fn end(&mut self, events: &mut Events) {
        let Some(element) = self.stack.pop() else {
            self.listed = false;
            return;
        };
        match self.stack.last_mut() {
            Some(parent) => parent.children.push(element),
            None => events.event(|object| object.object("Event", |event| element.write(event, false))),
        }
    }

    fn text(&mut self, piece: Cow<'a, str>, at: usize) -> Result<(), Fault> {
        match self.stack.last_mut() {
            Some(element) if element.text.is_empty() => element.text = piece,
            Some(element) => element.text.to_mut().push_str(&piece),
            None if piece.trim_ascii().is_empty() => {}
            None => return Err(Fault::new(at, "text outside of <Event>")),
        }
        Ok(())
    }
}

fn attributes<'a>(tag: &'a str, name: usize, at: usize) -> Result<Vec<(&'a str, Cow<'a, str>)>, Fault> {
    let mut found = Vec::new();
    // The byte after `<`.
    let base = at + 1;
    for attribute in Attributes::new(tag, name) {
        let attribute = attribute.map_err(|error| attribute_fault(&error, base))?;
        if found.len() == ATTRIBUTES_MAX {
            return Err(Fault::new(at, format!("more than {ATTRIBUTES_MAX} attributes of one element")));
        }
        if !is_name(attribute.key.0) {
            return Err(Fault::new(at, "an attribute without a valid name"));
        }
        let value = match attribute.value {
            Cow::Borrowed(raw) => unescape(raw),
            Cow::Owned(_) => return Err(Fault::new(at, "an attribute that cannot be read")),
        };
        let value =
            value.map_err(|_| Fault::new(at, "an attribute with a broken reference to a character"))?;
        found.push((attribute.key.0, value));
    }
    Ok(found)
}

fn attribute_fault(error: &AttrError, base: usize) -> Fault {
    match error {
        AttrError::ExpectedEq(at) => Fault::new(base + at, "an attribute without `=`"),
        AttrError::ExpectedValue(at) => Fault::new(base + at, "an attribute without a value"),
        AttrError::UnquotedValue(at) => Fault::new(base + at, "the value of an attribute without quotes"),
        AttrError::ExpectedQuote(at, _) => Fault::new(base + at, "the quotes of an attribute are not closed"),
        AttrError::Duplicated(at, _) => Fault::new(base + at, "an attribute stands there twice"),
    }
}

/// A name of XML: as far as needed so that none can be taken for one of ours (`#text`).
fn is_name(name: &str) -> bool {
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    name.split(':').all(|part| part.starts_with(starts))
        && name.chars().all(|c| starts(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | ':'))
}

impl Element<'_> {
    fn is_plain(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty()
    }

    /// Writes what it holds; `system` when that is part of `System`.
    fn write(&self, object: &mut Object<'_>, system: bool) {
        if !self.attributes.is_empty() {
            object.object("#attributes", |attributes| {
                for (name, value) in &self.attributes {
                    if system && NUMBER_ATTRIBUTES.contains(name) {
                        attributes.number(name, value);
                    } else {
                        attributes.text(name, value);
                    }
                }
            });
        }
        let within = system || self.name == "System";
        for run in self.runs() {
            match run.as_slice() {
                [] => {}
                [(_, one)] if one.name != "Data" => one.write_as(object, within),
                [(_, first), ..] => object.list(first.name, |list| {
                    for (_, element) in &run {
                        element.write_in(list, within);
                    }
                }),
            }
        }
        // Between elements there are only line ends and indentation, most of the time.
        let wanted = match self.children.as_slice() {
            [] => self.name == "Data" || !self.text.is_empty(),
            _ => !self.text.trim_ascii().is_empty(),
        };
        if wanted && system && NUMBERS.contains(&self.name) {
            object.number("#text", &self.text);
        } else if wanted {
            object.text("#text", &self.text);
        }
    }

    /// Writes it under its name.
    fn write_as(&self, object: &mut Object<'_>, system: bool) {
        if !self.is_plain() {
            object.object(self.name, |inner| self.write(inner, system));
        } else if self.text.is_empty() {
            object.null(self.name);
        } else if system && NUMBERS.contains(&self.name) {
            object.number(self.name, &self.text);
        } else {
            object.text(self.name, &self.text);
        }
    }

    /// Writes it as one of a list.
    fn write_in(&self, list: &mut List<'_>, system: bool) {
        if !self.is_plain() {
            list.object(|inner| self.write(inner, system));
        } else if self.text.is_empty() && self.name != "Data" {
            list.null();
        } else {
            list.text(&self.text);
        }
    }

    /// Its elements by name, in the order in which the names come; those of one name in their order.
    fn runs(&self) -> Vec<Vec<(usize, &Self)>> {
        let mut children: Vec<_> = self.children.iter().enumerate().collect();
        children.sort_by_key(|(_, child)| child.name);
        let mut runs: Vec<_> =
            children.chunk_by(|(_, one), (_, other)| one.name == other.name).map(<[_]>::to_vec).collect();
        runs.sort_by_key(|run| run.first().map(|(at, _)| *at));
        runs
    }
}

/// What the parser found wrong, without bytes of the frame.
fn said(error: &Error) -> &'static str {
    match error {
        Error::Syntax(SyntaxError::UnclosedTag) => "a tag is not closed",
        Error::Syntax(SyntaxError::UnclosedCData) => "a CDATA section is not closed",
        Error::Syntax(SyntaxError::UnclosedComment) => "a comment is not closed",
        Error::Syntax(_) => "markup is not closed",
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. }) => "an end tag of another element",
        Error::IllFormed(IllFormedError::UnmatchedEndTag(_)) => "an end tag without an element",
        _ => "no XML",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::decode::RejectCode;
    use crate::decode::readers::read;
    use crate::decode::{DecodeLimits, FieldSet, format};

    const LOGON: &str = "<Event xmlns='urn:e'><System><Provider Name='P' Guid='{1}'/><EventID Qualifiers='3'>4624</EventID>\
        <Version>2</Version><Keywords>0x80</Keywords><TimeCreated SystemTime='2026-01-02T03:04:05.678Z'/><Correlation/>\
        <Execution ProcessID='4' ThreadID='50'/><Computer>c.example</Computer></System>\
        <EventData><Data Name='User'>a&amp;b &#x41;<![CDATA[<&>]]></Data><Data Name='None'></Data><Data>x</Data><Data/>\
        </EventData></Event>";

    fn logon() -> Value {
        json!({"Event": {
            "#attributes": {"xmlns": "urn:e"},
            "System": {
                "Provider": {"#attributes": {"Name": "P", "Guid": "{1}"}},
                "EventID": {"#attributes": {"Qualifiers": 3}, "#text": 4624},
                "Version": 2,
                "Keywords": "0x80",
                "TimeCreated": {"#attributes": {"SystemTime": "2026-01-02T03:04:05.678Z"}},
                "Correlation": null,
                "Execution": {"#attributes": {"ProcessID": 4, "ThreadID": 50}},
                "Computer": "c.example",
            },
            "EventData": {"Data": [
                {"#attributes": {"Name": "User"}, "#text": "a&b A<&>"},
                {"#attributes": {"Name": "None"}, "#text": ""},
                "x",
                "",
            ]},
        }})
    }

    #[test]
    fn events() {
        let declared = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-16\"?>\r\n<!-- c --><Events>\n{LOGON}\n{LOGON}</Events>\n"
        );
        for (frame, expect) in [
            (LOGON, json!([logon()])),
            (&format!("{LOGON}\n{LOGON}"), json!([logon(), logon()])),
            (&declared, json!([logon(), logon()])),
            ("<Event/>", json!([{"Event": {}}])),
            (
                "<Event><UserData><a:Cleared xmlns:a='urn:u'><a:Who>me</a:Who><X>1</X><a:Who> you </a:Who></a:Cleared></UserData></Event>",
                json!([{"Event": {"UserData": {"Cleared":
                    {"#attributes": {"xmlns:a": "urn:u"}, "Who": ["me", " you "], "X": "1"}}}}]),
            ),
            (
                "<Event>\n <EventData Name='E'>\n  <Data Name='A'>\r\n1\t</Data>\n  <Binary>00ff</Binary>\n </EventData>\n</Event>",
                json!([{"Event": {"EventData": {"#attributes": {"Name": "E"},
                    "Data": [{"#attributes": {"Name": "A"}, "#text": "\r\n1\t"}], "Binary": "00ff"}}}]),
            ),
            (
                "<Event><RenderingInfo Culture='en-US'><Message>m &lt;1&gt;</Message><Keywords><Keyword>k</Keyword><Keyword/></Keywords></RenderingInfo></Event>",
                json!([{"Event": {"RenderingInfo": {"#attributes": {"Culture": "en-US"}, "Message": "m <1>",
                    "Keywords": {"Keyword": ["k", null]}}}}]),
            ),
            // What is no reference is text.
            (
                "<Event><Image>&lt a && b &amp; c</Image></Event>",
                json!([{"Event": {"Image": "&lt a && b & c"}}]),
            ),
            // Text beside elements, and numbers that are none.
            (
                "<Event>a<System><EventID>no</EventID><Level>007</Level></System>b</Event>",
                json!([{"Event": {"System": {"EventID": "no", "Level": "007"}, "#text": "ab"}}]),
            ),
        ] {
            assert_eq!(read(&mut WindowsEventXml, frame.as_bytes()), Ok(expect), "{frame}");
        }
    }

    #[test]
    fn faults() {
        let deep = format!("<Event>{}", "<a>".repeat(DEPTH_MAX));
        let many = format!("<Event>{}</Event>", "<a/>".repeat(ELEMENTS_MAX));
        let wide = (0..=ATTRIBUTES_MAX).map(|at| format!(" a{at}='1'")).collect::<String>();
        let wide = format!("<Event{wide}/>");
        for (frame, at, what) in [
            ("", 0, "no <Event> element"),
            ("<Events></Events>", 17, "no <Event> element"),
            ("<Evnt/>", 0, "neither <Event> nor <Events>"),
            ("<Events><Events/></Events>", 8, "neither <Event> nor <Events>"),
            ("<Event>", 7, "an element is not closed"),
            ("<Events><Event/>", 16, "an element is not closed"),
            ("<Event><A></B></Event>", 10, "an end tag of another element"),
            ("<Event/></Event>", 8, "an end tag without an element"),
            ("\u{feff}<Event/>x", 11, "text outside of <Event>"),
            ("<Event><A", 7, "a tag is not closed"),
            ("<Event><![CDATA[", 7, "a CDATA section is not closed"),
            ("<!DOCTYPE x [<!ENTITY a 'b'>]><Event>&a;</Event>", 0, "a document type, which no event needs"),
            ("<Event>&nbsp;</Event>", 7, "an entity that is none of the five of XML"),
            ("<Event>&#0;</Event>", 7, "a reference to no character"),
            ("<Event>&#xD800;</Event>", 7, "a reference to no character"),
            ("<Event><A b=c/></Event>", 12, "the value of an attribute without quotes"),
            ("<Event><A b='1' b='2'/></Event>", 16, "an attribute stands there twice"),
            ("<Event><A b='&x;'/></Event>", 7, "an attribute with a broken reference to a character"),
            ("<Event><#text/></Event>", 7, "an element without a valid name"),
            ("<Event><A #text='1'/></Event>", 7, "an attribute without a valid name"),
            (&deep, 7 + 3 * (DEPTH_MAX - 1), "more than 32 elements within each other"),
            (&many, 7 + 4 * (ELEMENTS_MAX - 1), "more than 10000 elements in one event"),
            (&wide, 0, "more than 64 attributes of one element"),
        ] {
            assert_eq!(read(&mut WindowsEventXml, frame.as_bytes()), Err(Fault::new(at, what)), "{frame}");
        }
        assert_eq!(
            read(&mut WindowsEventXml, b"<Event>\xff</Event>"),
            Err(Fault::new(7, "no UTF-8").code(RejectCode::NotUtf8))
        );
    }

    #[test]
    fn its_events_have_their_fields_at_the_places_of_nested_json() {
        let nested = format("windows-event-json").expect("a format");
        let mut fields = FieldSet::of(nested);
        let names =
            ["EventID", "Provider_Name", "ExecutionProcessID", "TimeCreated", "User", "None", "param1"];
        let slots = names.map(|name| fields.add(name));
        let mut events = Events::default();
        WindowsEventXml.read(LOGON.as_bytes(), &mut events).expect("an event");
        let mut found = Vec::new();
        let mut decoder = nested.decoder(&fields, DecodeLimits::default());
        let decoded = decoder.decode(events.list().as_bytes(), &mut |values| {
            found = slots.map(|slot| format!("{:?}", values[slot].clone().plain())).to_vec();
        });
        assert_eq!(decoded, Ok(1));
        let text = |text: &str| format!("Text({text:?})");
        let time = text("2026-01-02T03:04:05.678Z");
        let expect =
            ["Int(4624)".into(), text("P"), "Int(4)".into(), time, text("a&b A<&>"), text(""), text("x")];
        assert_eq!(found, expect);
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&mut WindowsEventXml, &bytes);
        }

        #[test]
        fn a_broken_event_is_events_or_a_fault(at in 0..LOGON.len(), to in 0..LOGON.len(), with in "[<>&;'/!a:#= ]{0,3}") {
            let mut bytes = LOGON.as_bytes().to_vec();
            bytes.splice(at.min(to)..at.max(to).min(at.min(to) + 5), with.bytes());
            let _ = read(&mut WindowsEventXml, &bytes);
        }
    }
}
