//! Kinds of telemetry, made of the same records: as they are, with every command line unique, with every value unique.
//!
//! Owns the change of bytes, so that records stay what shippers write, in the order of their fields.

/// Records of process creation, each with a command line of its own, so many.
pub fn unique(records: &[Vec<u8>], count: usize) -> Vec<Vec<u8>> {
    let of_kind: Vec<&Vec<u8>> = records.iter().filter(|record| is_process_creation(record)).collect();
    assert!(!of_kind.is_empty(), "no process creation among the events");
    let each = of_kind.into_iter().cycle().take(count).enumerate();
    each.map(|(at, record)| changed(record, at, &|key| key == b"CommandLine")).collect()
}

/// Records in which every value is unique, but those that say what the event is and when it was.
pub fn hostile(records: &[Vec<u8>], count: usize) -> Vec<Vec<u8>> {
    const KEPT: [&[u8]; 13] = [
        b"Channel",
        b"EventID",
        b"EventTime",
        b"EventReceivedTime",
        b"Provider",
        b"ProviderName",
        b"Provider_Name",
        b"SourceName",
        b"TimeCreated",
        b"UtcTime",
        b"@timestamp",
        b"Hostname",
        b"Version",
    ];
    let step = (records.len() / count).max(1);
    let some = records.iter().step_by(step).take(count).enumerate();
    some.map(|(at, record)| changed(record, at, &|key| !KEPT.contains(&key))).collect()
}

fn is_process_creation(record: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(record) else { return false };
    let text = |key: &str| event.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let id = event.get("EventID").and_then(serde_json::Value::as_i64);
    let by_channel = match id {
        Some(1) => text("Channel").contains("Sysmon"),
        Some(4_688) => text("Channel").eq_ignore_ascii_case("Security"),
        _ => false,
    };
    by_channel && !text("CommandLine").is_empty()
}

/// The record with something added to each value whose key is chosen, that no other record's values end with.
fn changed(record: &[u8], at: usize, chosen: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.len() + 256);
    let mut key: &[u8] = &[];
    let mut rest = record;
    while let Some(first) = rest.first() {
        if *first == b'"' {
            let end = 1 + text_end(&rest[1..]);
            let (text, after) = rest.split_at(end + 1);
            let is_key = after.trim_ascii_start().starts_with(b":");
            out.extend_from_slice(&text[..end]);
            if is_key {
                key = &text[1..end];
            } else if chosen(key) {
                out.extend_from_slice(format!(" {at:x}").as_bytes());
            }
            out.push(b'"');
            rest = after;
        } else if first.is_ascii_digit() || *first == b'-' {
            let end = rest.iter().position(|byte| !b"+-.eE0123456789".contains(byte)).unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            // Larger ones would not fit any more, and none begins with a zero.
            let is_small = number.iter().all(u8::is_ascii_digit) && number.len() <= 9;
            if chosen(key) && is_small {
                let number = number.strip_prefix(b"0").unwrap_or(number);
                out.extend_from_slice(number);
                out.extend_from_slice(format!("1{at:07}").as_bytes());
            } else {
                out.extend_from_slice(number);
            }
            rest = after;
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

/// Where the quote stands that ends a text.
fn text_end(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() && text[at] != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    at
}
