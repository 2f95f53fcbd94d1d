//! Text for a terminal: made printable, cut to a width, coloured.
//!
//! Owns everything that keeps bytes of an event from steering a terminal. Called by the parent and `summary`.

use std::time::Duration;

use crate::rules::meta::RuleLevel;

/// Stands for a character that must not reach a terminal.
const REPLACEMENT: char = '\u{fffd}';
/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// The text without control and formatting characters (escape sequences, line breaks, changes of direction,
/// invisible characters), cut to `columns`.
pub fn printable(text: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let character = if steers(character) { REPLACEMENT } else { character };
        let width = columns_of(character);
        if used + width > columns {
            while used + 1 > columns
                && let Some(last) = out.pop()
            {
                used -= columns_of(last);
            }
            if columns > 0 {
                out.push(ELLIPSIS);
            }
            break;
        }
        used += width;
        out.push(character);
    }
    out
}

/// [`printable`], filled up with spaces to exactly `columns`.
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = printable(text, columns);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// How many columns a printable text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

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

/// True for what could move the cursor, change colours or reorder what stands around it.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Columns that terminals give a character: two for East Asian wide ones and pictures, else one. Combining
/// marks count as one, so a line is never longer than it is thought to be.
fn columns_of(character: char) -> usize {
    let wide = matches!(u32::from(character),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
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
