//! Squid's own access log: `time elapsed client code/status bytes method URL user hierarchy/peer type`.
//!
//! Owns the places of those fields, under the names that W3C and proxies use; `timestamp` is the time as written (seconds
//! since 1970), `time-taken` milliseconds. What follows the type is kept in the list `extra`. `-` is no value.
//!
//! A frame holds a line or several.

use super::pieces::lines;
use super::request::{number, put};
use super::{Fault, Reader, request, text};
use crate::decode::events::{Events, Object};

/// Words after the known ones: headers, when Squid is told to log them.
const EXTRA_MAX: usize = 1_024;

/// Reads Squid's access log.
#[derive(Debug, Default)]
pub struct Squid;

impl Reader for Squid {
    fn read(&mut self, frame: &[u8], events: &mut Events) -> Result<(), Fault> {
        for (at, line) in lines(text(frame)?) {
            events.event(|object| write(line, at, object))?;
        }
        Ok(())
    }
}

fn write(line: &str, at: usize, object: &mut Object<'_>) -> Result<(), Fault> {
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    let known: [Option<&str>; 10] = std::array::from_fn(|_| words.next());
    let [
        Some(time),
        Some(elapsed),
        Some(client),
        Some(result),
        Some(bytes),
        Some(method),
        Some(url),
        rest @ ..,
    ] = known
    else {
        return Err(Fault::new(at + line.len(), "fewer than seven words"));
    };
    let start = |word: &str| at + (word.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !time.split('.').all(digits) {
        return Err(Fault::new(start(time), "no time in seconds at the start"));
    }
    let Some((action, status)) = result.split_once('/') else {
        return Err(Fault::new(start(result), "no `/` between result and status"));
    };
    object.number("timestamp", time);
    number(object, "time-taken", elapsed);
    put(object, "c-ip", client);
    put(object, "s-action", action);
    match status.parse::<u16>() {
        // Squid writes 000 for none that was sent.
        Ok(status) => object.int("sc-status", status.into()),
        Err(_) => put(object, "sc-status", status),
    }
    number(object, "sc-bytes", bytes);
    put(object, "cs-method", method);
    if url != "-" {
        request::uri(object, url);
    }
    let [user, hierarchy, kind] = rest.map(|word| word.unwrap_or("-"));
    put(object, "cs-username", user);
    match hierarchy.split_once('/') {
        Some((code, peer)) => {
            put(object, "s-hierarchy", code);
            put(object, "s-supplier-name", peer);
        }
        None => put(object, "s-hierarchy", hierarchy),
    }
    put(object, "rs-content-type", kind);
    let extra: Vec<_> = words.take(EXTRA_MAX + 1).collect();
    if extra.len() > EXTRA_MAX {
        return Err(Fault::new(at + line.len(), format!("more than {EXTRA_MAX} words after the known ones")));
    }
    if !extra.is_empty() {
        object.texts("extra", extra);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::decode::readers::read;

    const LINE: &str = "1700000000.123    45 192.0.2.7 TCP_MISS/200 512 GET http://a.example/b?c ada HIER_DIRECT/198.51.100.1 text/html";

    #[test]
    fn lines_of_the_log() {
        for (frame, expect) in [
            (
                LINE,
                json!({"timestamp": 1_700_000_000.123, "time-taken": 45, "c-ip": "192.0.2.7", "s-action": "TCP_MISS",
                    "sc-status": 200, "sc-bytes": 512, "cs-method": "GET", "cs-uri": "http://a.example/b?c",
                    "cs-uri-stem": "http://a.example/b", "cs-uri-query": "c", "cs-username": "ada",
                    "s-hierarchy": "HIER_DIRECT", "s-supplier-name": "198.51.100.1", "rs-content-type": "text/html"}),
            ),
            (
                "1700000000 0 h TCP_DENIED/000 0 CONNECT h:443 - HIER_NONE/- - [a: b]",
                json!({"timestamp": 1_700_000_000, "time-taken": 0, "c-ip": "h", "s-action": "TCP_DENIED", "sc-status": 0,
                    "sc-bytes": 0, "cs-method": "CONNECT", "cs-uri": "h:443", "cs-uri-stem": "h:443",
                    "s-hierarchy": "HIER_NONE", "extra": ["[a:", "b]"]}),
            ),
            ("1.5 - - NONE/- - - -\n", json!({"timestamp": 1.5, "s-action": "NONE"})),
        ] {
            assert_eq!(read(&mut Squid, frame.as_bytes()), Ok(json!([expect])), "{frame}");
        }
    }

    #[test]
    fn faults() {
        let many = format!("{LINE}{}", " x".repeat(EXTRA_MAX + 1));
        for (frame, at, what) in [
            ("1 2 3 4/5 6 7", 13, "fewer than seven words"),
            ("\nx 2 3 4/5 6 7 8", 1, "no time in seconds at the start"),
            ("1. 2 3 4/5 6 7 8", 0, "no time in seconds at the start"),
            ("1 2 3 45 6 7 8", 6, "no `/` between result and status"),
            (&many, LINE.len() + 2 * (EXTRA_MAX + 1), "more than 1024 words after the known ones"),
        ] {
            assert_eq!(read(&mut Squid, frame.as_bytes()), Err(Fault::new(at, what)), "{frame}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_events_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&mut Squid, &bytes);
        }

        #[test]
        fn a_broken_line_is_an_event_or_a_fault(at in 0..LINE.len(), with in "[ /.\n\té0-]{0,3}") {
            let frame = [&LINE[..at], &with, &LINE[at..]].concat();
            let _ = read(&mut Squid, frame.as_bytes());
        }
    }
}
