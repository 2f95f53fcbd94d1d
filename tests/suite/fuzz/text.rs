//! Small readers of text: what they read they also write, what they show steers nothing, and no place is lost.
//!
//! Dead letters are read from the same inputs.

use noroshi::diagnostic::SourceFile;
use noroshi::normalise::condition::Condition;
use noroshi::normalise::time::{ZoneOffset, iso, parse_text};
use noroshi::pipeline::definition::parse_duration_ms;
use noroshi::printable;
use noroshi::source::{audit::Stamp, pattern};

use super::letters;

pub fn check(data: &[u8]) {
    letters::check(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    stamp(text);
    shown(text);
    places(text);
    times(text);
    for line in text.lines() {
        stamp(line);
        times(line);
        // Neither may panic, whatever stands there; a pattern is one of the `regex` crate before it is translated.
        let _ = (
            pattern::posix(line),
            parse_duration_ms(line),
            Condition::parse(line).map(|condition| format!("{condition:?}")),
        );
    }
}

fn stamp(text: &str) {
    if let Some(stamp) = Stamp::parse(text) {
        assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
    }
}

fn shown(text: &str) {
    let steers = |c: char| {
        c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let whole = printable::line(text, usize::MAX);
    assert!(!whole.contains(steers), "{whole:?}");
    assert_eq!(printable::line(&whole, usize::MAX), whole, "nothing is left to do");
    for columns in [0, 1, 2, 7, 40] {
        let line = printable::line(text, columns);
        assert!(printable::width(&line) <= columns, "{line:?} in {columns}");
        assert!(whole.starts_with(line.trim_end_matches('…')), "{line:?} of {whole:?}");
        assert_eq!(printable::width(&printable::fit(text, columns)), columns, "{text:?} in {columns}");
    }
    let lines = printable::lines(text);
    assert!(!lines.contains(|c| steers(c) && c != '\n' && c != '\t'), "{lines:?}");
    assert_eq!(lines.matches('\n').count(), text.matches('\n').count(), "{lines:?}");
    let json = serde_json::to_string(text).expect("a text is JSON");
    let escaped = printable::json(&json);
    assert!(!escaped.contains(steers), "{escaped:?}");
    assert_eq!(serde_json::from_str::<String>(&escaped).ok().as_deref(), Some(text));
}

fn places(text: &str) {
    let file = SourceFile::new("a", text);
    for (at, _) in text.char_indices().take(200).chain([(text.len(), ' ')]) {
        let (line, column) = file.line_column(at);
        assert_eq!(file.offset(line, column), at, "{line}:{column}");
    }
    for (line, column) in [(0, 0), (1, 0), (2, 9), (usize::MAX, 1), (1, usize::MAX)] {
        assert!(text.is_char_boundary(file.offset(line, column)), "{line}:{column}");
    }
}

fn times(text: &str) {
    let Some(zone) = ZoneOffset::parse("-05:30") else { panic!("a zone") };
    for zone in [zone, ZoneOffset::UTC] {
        let Some(time) = parse_text(text, zone) else { continue };
        let written = iso(time).unwrap_or_else(|| panic!("{time} is beyond the calendar"));
        assert_eq!(parse_text(&written, zone), Some(time), "{text:?} is {written}");
    }
    let _ = ZoneOffset::parse(text).map(|zone| assert!(zone.minutes.abs() < 24 * 60 * 2, "{zone:?}"));
}
