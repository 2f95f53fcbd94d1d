//! RFC 5424 after the version.
//!
//! Owns the parts up to the message and the structured data. Names longer than the RFC allows are taken up to [`MAX_PART`], a
//! time's zone may be absent, and a backslash that escapes nothing is left as it is. Called by `syslog`.

use std::borrow::Cow;

use memchr::memchr2;

use super::{Header, Rfc5424, rfc3164, time};
use crate::decode::events::Object;
use crate::decode::readers::Fault;
use crate::decode::readers::pairs::Pairs;

/// The longest part of a header, and the longest name in structured data, in bytes.
const MAX_PART: usize = 255;
/// The most elements of structured data in a message.
const MAX_ELEMENTS: usize = 256;

/// Reads what follows the version; `after` is the end of `text`.
pub fn read<'a>(text: &'a str, after: &'a str, header: &mut Header<'a>, how: Rfc5424) -> Result<(), Fault> {
    let read = parts(text, after).and_then(|(parts, rest)| match ending(text, rest) {
        Ok((data, message)) => Ok((parts, data, message)),
        Err(_) if how == Rfc5424::Loose && rest.starts_with('[') => Ok((parts, None, rest)),
        Err(fault) => Err(fault),
    });
    match read {
        Ok(([timestamp, hostname, app_name, procid, msgid], structured_data, message)) => {
            *header =
                Header { timestamp, hostname, app_name, procid, msgid, structured_data, message, ..*header };
        }
        Err(_) if how == Rfc5424::Loose => loose(after, header),
        Err(fault) => return Err(fault),
    }
    Ok(())
}

/// Timestamp, hostname, app-name, procid and msgid, and what follows them.
fn parts<'a>(text: &'a str, after: &'a str) -> Result<([Option<&'a str>; 5], &'a str), Fault> {
    let names = ["timestamp", "hostname", "app-name", "procid", "msgid"];
    let mut parts = [None; 5];
    let mut rest = after;
    for (name, part) in names.into_iter().zip(&mut parts) {
        let at = text.len() - rest.len();
        let end = rest.bytes().take(MAX_PART + 1).position(|byte| byte == b' ');
        let Some((written, after)) = end.and_then(|end| rest.split_at_checked(end)) else {
            return Err(Fault::new(at, format!("no space after the {name} of RFC 5424")));
        };
        let refused = match name {
            "timestamp" => written != "-" && time::iso(written) != Some(written.len()),
            _ => written.is_empty() || written.bytes().any(|byte| byte.is_ascii_control()),
        };
        if refused {
            return Err(Fault::new(at, format!("no {name} of RFC 5424")));
        }
        *part = Some(written).filter(|written| *written != "-");
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    Ok((parts, rest))
}

/// Structured data and message.
fn ending<'a>(text: &'a str, start: &'a str) -> Result<(Option<&'a str>, &'a str), Fault> {
    let at = |rest: &str| text.len() - rest.len();
    let (data, rest) = match start.strip_prefix('-') {
        Some(rest) => (None, rest),
        None => {
            let mut rest = start;
            let mut count = 0;
            while rest.starts_with('[') || count == 0 {
                count += 1;
                if count > MAX_ELEMENTS {
                    let what = format!("more than {MAX_ELEMENTS} elements of structured data");
                    return Err(Fault::new(at(rest), what));
                }
                rest = element(rest, |_, _| ()).map_err(|(what, rest)| Fault::new(at(rest), what))?.1;
            }
            (start.get(..start.len() - rest.len()), rest)
        }
    };
    match rest.strip_prefix(' ') {
        Some(message) => Ok((data, message)),
        None if rest.is_empty() => Ok((data, rest)),
        None => Err(Fault::new(at(rest), "no space after the structured data")),
    }
}

/// What is wrong with an element, and the text from there on.
type Broken<'a> = (&'static str, &'a str);

/// One element at the beginning of a text: its id, and what follows it; each parameter is handed over as it is written.
fn element<'a>(
    text: &'a str,
    mut parameter: impl FnMut(&'a str, &'a str),
) -> Result<(&'a str, &'a str), Broken<'a>> {
    let rest = text.strip_prefix('[').ok_or(("no structured data of RFC 5424", text))?;
    let (id, mut rest) = name(rest).ok_or(("no id of structured data", rest))?;
    loop {
        if let Some(after) = rest.strip_prefix(']') {
            return Ok((id, after));
        }
        let start =
            rest.strip_prefix(' ').ok_or(("an element of structured data is not closed here", rest))?;
        let start = start.trim_start_matches(' ');
        if start.starts_with(']') {
            rest = start;
            continue;
        }
        let (key, after) = name(start).ok_or(("no name of a parameter of structured data", start))?;
        let value = after.strip_prefix("=\"").ok_or(("no =\" after a parameter's name", after))?;
        let end = closing(value).ok_or(("a quote that is never closed", after))?;
        let (value, after) = value.split_at_checked(end).ok_or(("a quote that is never closed", after))?;
        parameter(key, value);
        rest = after.strip_prefix('"').unwrap_or(after);
    }
}

/// The byte of the quote that closes a value.
fn closing(value: &str) -> Option<usize> {
    let bytes = value.as_bytes();
    let mut at = 0;
    loop {
        let found = at + memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(found) == Some(&b'"') {
            return Some(found);
        }
        at = found + 2;
    }
}

/// A name at the beginning of a text, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let part_of = |byte: u8| byte > b' ' && byte != 0x7f && !matches!(byte, b'=' | b']' | b'"');
    let end = text.bytes().take(MAX_PART + 1).take_while(|byte| part_of(*byte)).count();
    if end == 0 || end > MAX_PART {
        return None;
    }
    text.split_at_checked(end)
}

/// Writes structured data: an object for each element, a list where a name repeats.
pub fn write(data: &str, object: &mut Object<'_>) {
    let mut rest = data;
    while rest.starts_with('[') {
        let mut pairs = Pairs::default();
        let Ok((id, after)) = element(rest, |name, value| pairs.push(name, unescaped(value))) else { return };
        object.object(id, |inner| pairs.write(inner));
        rest = after;
    }
}

/// A value without the escapes of `"`, `\` and `]`.
fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = if character == '\\' {
            characters.next_if(|next| matches!(next, '"' | '\\' | ']'))
        } else {
            None
        };
        text.push(escaped.unwrap_or(character));
    }
    Cow::Owned(text)
}

/// Time and host as far as they are there, the rest is the message.
fn loose<'a>(after: &'a str, header: &mut Header<'a>) {
    header.message = after;
    let Some((written, rest)) = after.split_once(' ') else { return };
    if time::iso(written) != Some(written.len()) && !time::is_epoch(written) && written != "-" {
        return;
    }
    header.timestamp = Some(written).filter(|written| *written != "-");
    header.message = rest;
    if let Some((host, rest)) = rest.split_once(' ')
        && (rfc3164::is_hostname(host) || host == "-")
    {
        header.hostname = Some(host).filter(|host| *host != "-");
        header.message = rest;
    }
}
