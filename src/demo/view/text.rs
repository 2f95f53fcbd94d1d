//! Text for a terminal: broken into lines, coloured, figures as people read them.
//!
//! What keeps bytes of an event from steering a terminal is `printable`'s. Called by the parent and `summary`.

use std::time::Duration;

use crate::printable::width;
use crate::rules::meta::RuleLevel;

/// Breaks our own text between words into lines of at most `columns`, where words allow it.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Whether and how text is coloured.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// False writes no escape sequence at all.
    pub colour: bool,
}

impl Paint {
    /// Important.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Less important than what stands around it.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// In the colour of a level.
    pub fn level(self, level: RuleLevel, text: &str) -> String {
        let code = match level {
            RuleLevel::Critical => "1;97;41",
            RuleLevel::High => "1;31",
            RuleLevel::Medium => "33",
            RuleLevel::Low => "36",
            RuleLevel::Informational => "2",
        };
        self.with(code, text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The level's name, at most [`LEVEL_COLUMNS`] wide.
pub fn level_name(level: RuleLevel) -> &'static str {
    if level == RuleLevel::Informational { "info" } else { level.as_str() }
}

/// The widest of [`level_name`].
pub const LEVEL_COLUMNS: usize = 8;

/// A number with a comma after each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with the right form of its noun.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A time span as people say it.
pub fn spoken(span: Duration) -> String {
    match span.as_secs() {
        0 if span.as_millis() < 1_000 => format!("{} ms", span.as_millis()),
        seconds @ 0..60 => format!("{seconds}.{} s", span.subsec_millis() / 100),
        seconds @ 60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

/// How many a second; 0 when no time has passed.
pub fn per_second(number: u64, span: Duration) -> u64 {
    let micros = span.as_micros();
    let rate = (u128::from(number) * 1_000_000).checked_div(micros).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// `a, b and c`.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    match names.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
