//! RFC 3164 after the priority, and what is written in its place.
//!
//! Owns which words are host and tag, and the habits of Cisco's devices. Everything is read at its beginning; where a part is
//! not there, the message begins. A first word that could be the name of a host is one: nothing in a message without host
//! says otherwise, unless it is a tag. Called by `syslog`.

use std::net::Ipv6Addr;

use super::{Cisco, FACILITIES, Header, SEVERITIES, digits, time};

/// The longest tag, process and host, in bytes.
const MAX_WORD: usize = 255;
/// The most digits of a Cisco device's sequence number.
const SEQUENCE_DIGITS: usize = 10;

/// Reads what follows the priority.
pub fn read<'a>(text: &'a str, header: &mut Header<'a>) {
    header.message = text;
    let start = blanks(text);
    let Some((timestamp, rest)) = time::split(start) else { return untimed(start, header) };
    header.timestamp = Some(timestamp);
    if let Some(rest) = rest.strip_prefix(':') {
        // A device that names no host.
        header.message = blanks(rest);
        device(header);
        return;
    }
    let mut rest = blanks(rest);
    if header.facility.is_none()
        && let Some((facility, severity, after)) = named_priority(rest)
    {
        header.facility = Some(facility);
        header.severity = Some(severity);
        rest = blanks(after);
    }
    header.message = rest;
    if device(header) {
        return;
    }
    if let Some((name, procid, after)) = tag(rest) {
        header.message = blanks(after);
        let of_device = procid.is_none() && is_hostname(name) && device(header);
        if of_device || (procid.is_none() && is_address(name)) {
            header.hostname = Some(name);
        } else {
            header.app_name = Some(name);
            header.procid = procid;
            device(header);
        }
        return;
    }
    let Some((host, after)) = rest.split_once(' ') else { return };
    if !is_hostname(host) {
        return;
    }
    header.hostname = Some(host);
    let after = blanks(after);
    header.message = after.strip_prefix(": ").map_or(after, blanks);
    if device(header) {
        return;
    }
    if let Some((name, procid, after)) = tag(header.message) {
        header.app_name = Some(name);
        header.procid = procid;
        header.message = blanks(after);
        device(header);
    }
}

/// Without a time in its place: a Cisco device's message, or a tag with process behind a priority.
fn untimed<'a>(start: &'a str, header: &mut Header<'a>) {
    let whole = header.message;
    header.message = start.strip_prefix(':').map_or(start, blanks);
    if device(header) {
        // No relay stood before it.
        header.timestamp = header.device_timestamp.take();
        return;
    }
    header.message = whole;
    if header.facility.is_some()
        && let Some((name, Some(procid), after)) = tag(start)
    {
        header.app_name = Some(name);
        header.procid = Some(procid);
        header.message = blanks(after);
    }
}

/// Takes what a Cisco device writes from the message, when it is all there:
/// `sequence: host: *time: %FACILITY-SEVERITY-MNEMONIC: `, of which only the last is always written.
fn device(header: &mut Header<'_>) -> bool {
    let mut rest = header.message;
    if !rest.starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '%' | '*' | '.')) {
        return false;
    }
    let number = digits(rest, SEQUENCE_DIGITS);
    let mut sequence = None;
    let mut host = None;
    if (1..=SEQUENCE_DIGITS).contains(&number)
        && let Some((written, after)) = rest.split_at_checked(number)
        && let Some(after) = after.strip_prefix(": ")
    {
        sequence = Some(written);
        rest = blanks(after);
    }
    let mut stamp = clock(rest);
    if stamp.is_none()
        && header.hostname.is_none()
        && let Some((name, None, after)) = tag(rest)
        && is_hostname(name)
    {
        // A second number may stand behind the host.
        let number = after.trim_start_matches(|byte: char| byte == ' ' || byte.is_ascii_digit());
        stamp = clock(blanks(after)).or_else(|| clock(blanks(number.strip_prefix(':')?)));
        host = stamp.is_some().then_some(name);
    }
    let (mark, time, rest) = match stamp {
        Some((mark, time, after)) => (mark, Some(time), after),
        None => (None, None, rest),
    };
    let Some((msgid, cisco, message)) = mnemonic(rest) else { return false };
    header.sequence = sequence;
    header.hostname = header.hostname.or(host);
    header.clock_mark = mark;
    header.device_timestamp = time;
    header.msgid = Some(msgid);
    header.cisco = Some(cisco);
    header.message = message;
    true
}

/// A Cisco device's time: its mark, the time, what follows the colon behind it.
fn clock(text: &str) -> Option<(Option<&str>, &str, &str)> {
    let unmarked = text.strip_prefix(['*', '.']).unwrap_or(text);
    let mark = text.get(..text.len() - unmarked.len()).filter(|mark| !mark.is_empty());
    let (time, rest) = time::split(unmarked).or_else(|| uptime(unmarked))?;
    Some((mark, time, blanks(rest.strip_prefix(':')?)))
}

/// How long a device without a clock runs: `00:01:46`, `1d22h`, `2y10w`.
fn uptime(text: &str) -> Option<(&str, &str)> {
    let of_clock = |byte: &u8| byte.is_ascii_digit() || *byte == b':';
    let of_units = |byte: &u8| byte.is_ascii_digit() || b"ywdhm".contains(byte);
    let clock = text.bytes().take(MAX_WORD).take_while(of_clock).count();
    let units = text.bytes().take(MAX_WORD).take_while(of_units).count();
    // Behind both a colon stands, which the first counts.
    let (time, rest) = text.split_at_checked(units.max(clock.saturating_sub(1)))?;
    (time.len() >= 4 && rest.starts_with(": ") && !time.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some((time, rest))
}

/// `%FACILITY-SEVERITY-MNEMONIC:`, without percent sign and colon; its parts; what follows.
fn mnemonic(text: &str) -> Option<(&str, Cisco<'_>, &str)> {
    let text = text.strip_prefix('%')?;
    let part_of = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let end = text.bytes().take(MAX_WORD + 1).take_while(part_of).count();
    let (written, rest) = text.split_at_checked(end)?;
    let rest = rest.trim_start_matches(' ').strip_prefix(':')?;
    let mut parts = written.rsplitn(3, '-');
    let mnemonic = parts.next().filter(|part| !part.is_empty())?;
    let severity =
        parts.next().filter(|part| part.len() == 1)?.parse().ok().filter(|severity| *severity < 8)?;
    let facility = parts.next().filter(|part| !part.is_empty())?;
    Some((written, Cisco { facility, severity, mnemonic }, blanks(rest)))
}

/// `name[process]:` or `name:` before a blank or the end: name, process, what follows.
fn tag(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let part_of = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || *byte >= 0x80
            || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'(' | b')' | b'@' | b'+' | b'~')
    };
    let end = text.bytes().take(MAX_WORD + 1).take_while(part_of).count();
    let (name, rest) = text.split_at_checked(end)?;
    if name.is_empty() || name.len() > MAX_WORD {
        return None;
    }
    if let Some(rest) = rest.strip_prefix('[') {
        let inside = |byte: &u8| byte.is_ascii_graphic() && *byte != b']';
        let end = rest.bytes().take(MAX_WORD + 1).take_while(inside).count();
        let (procid, after) = rest.split_at_checked(end)?;
        return Some((name, Some(procid), after.strip_prefix("]:")?));
    }
    let after = rest.strip_prefix(':')?;
    let named = !name.bytes().all(|byte| byte.is_ascii_digit());
    (named && (after.is_empty() || after.starts_with(' '))).then_some((name, None, after))
}

/// `<facility.severity>` in words, as some write it behind the time.
fn named_priority(text: &str) -> Option<(u8, u8, &str)> {
    let (words, rest) = text.strip_prefix('<')?.split_once('>')?;
    let (facility, severity) = words.split_once('.')?;
    let place = |names: &[&str], word| names.iter().position(|name| *name == word);
    let facility = place(&FACILITIES, facility).and_then(|at| u8::try_from(at).ok())?;
    let severity = place(&SEVERITIES, severity).and_then(|at| u8::try_from(at).ok())?;
    Some((facility, severity, rest))
}

/// Whether a word may be the name or the address of a host; also as relays chain them, with `@` or `/`.
pub fn is_hostname(word: &str) -> bool {
    let part_of = |byte: u8| {
        byte.is_ascii_alphanumeric() || byte >= 0x80 || matches!(byte, b'.' | b'-' | b'_' | b'@' | b'/')
    };
    let first = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'_';
    let named = word.bytes().next().is_some_and(first) && word.bytes().all(part_of);
    word.len() <= MAX_WORD && (named || word.parse::<Ipv6Addr>().is_ok())
}

fn is_address(word: &str) -> bool {
    word.parse::<std::net::IpAddr>().is_ok()
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches(' ')
}
