//! Text from outside, made safe to show: on a terminal, in a status message, in a problem's rendering.
//!
//! Owns which characters may be shown, how many columns they take and where a text is cut. Each function is for one
//! kind of place: [`line()`] and [`fit`] for a line of bounded width, [`lines`] for a text of our own files, [`json`]
//! for JSON whose value must stay the same. Colours are the callers'. Called by `diagnostic`, `observe`, `cli` and
//! the demo's view.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Stands for a character that must not be shown.
const REPLACEMENT: char = '\u{fffd}';
/// Stands for what was cut off.
const ELLIPSIS: char = '…';

/// The text as one line without characters that steer, cut to `columns_max`: a line that was cut ends with `…`,
/// which counts. `usize::MAX` cuts nothing.
pub fn line(text: &str, columns_max: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for character in text.chars() {
        let character = if steers(character) { REPLACEMENT } else { character };
        let columns = columns_of(character);
        if used + columns > columns_max {
            // Room for the mark; a wide character leaves more than it needs.
            while used + 1 > columns_max
                && let Some(last) = out.pop()
            {
                used -= columns_of(last);
            }
            if columns_max > 0 {
                out.push(ELLIPSIS);
            }
            break;
        }
        used += columns;
        out.push(character);
    }
    out
}

/// [`line()`], filled up with spaces to exactly `columns`.
pub fn fit(text: &str, columns: usize) -> String {
    let mut out = line(text, columns);
    let used = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    out
}

/// The whole text without characters that steer; line feeds and tabs stay, and a carriage return before a line feed
/// is left out.
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' if characters.peek() == Some(&'\n') => {}
            _ => out.push(if steers(character) { REPLACEMENT } else { character }),
        }
    }
    out
}

/// JSON whose every character that steers is written as an escape, so that its value stays the same: JSON itself
/// demands that of the control characters below U+0020 only. Line feeds and tabs between values stay.
pub fn json(text: &str) -> Cow<'_, str> {
    let acts = |c: char| steers(c) && !matches!(c, '\n' | '\t');
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if acts(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// How many columns a text that has passed [`line()`] takes.
pub fn width(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// True for what could move the cursor, change colours, break a line, reorder what stands around it, or hide:
/// control characters (escape sequences begin with one), changes of direction, and characters without a width.
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
        0x1100..=0x115f | 0x231a..=0x231b | 0x23e9..=0x23ec | 0x23f0 | 0x23f3 | 0x25fd..=0x25fe
        | 0x2614..=0x2615 | 0x2648..=0x2653 | 0x267f | 0x2693 | 0x26a1 | 0x26aa..=0x26ab | 0x26bd..=0x26be
        | 0x26c4..=0x26c5 | 0x26ce | 0x26d4 | 0x26ea | 0x26f2..=0x26f3 | 0x26f5 | 0x26fa | 0x26fd | 0x2705
        | 0x270a..=0x270b | 0x2728 | 0x274c | 0x274e | 0x2753..=0x2755 | 0x2757 | 0x2795..=0x2797 | 0x27b0
        | 0x27bf | 0x2b1b..=0x2b1c | 0x2b50 | 0x2b55 | 0x2e80..=0xa4cf | 0xa960..=0xa97f | 0xac00..=0xd7a3
        | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x16fe0..=0x18cff
        | 0x1b000..=0x1b2ff | 0x1f000..=0x1faff | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each function makes of what an attacker may write.
    #[test]
    fn text_of_events_cannot_steer_a_terminal() {
        for (what, text, one_line, several, escaped) in [
            ("plain", "plain", "plain", "plain", "plain"),
            ("nothing", "", "", "", ""),
            ("a colour", "\x1b[31mred", "\u{fffd}[31mred", "\u{fffd}[31mred", r"\u001b[31mred"),
            (
                "a title",
                "\x1b]0;t\x07x",
                "\u{fffd}]0;t\u{fffd}x",
                "\u{fffd}]0;t\u{fffd}x",
                r"\u001b]0;t\u0007x",
            ),
            (
                "one-byte sequences",
                "\u{9b}2J\u{90}",
                "\u{fffd}2J\u{fffd}",
                "\u{fffd}2J\u{fffd}",
                r"\u009b2J\u0090",
            ),
            ("a new line", "a\r\nb", "a\u{fffd}\u{fffd}b", "a\nb", "a\\u000d\nb"),
            ("a tab", "a\tb", "a\u{fffd}b", "a\tb", "a\tb"),
            (
                "NUL, backspace, delete",
                "\0\x08\x7f",
                "\u{fffd}\u{fffd}\u{fffd}",
                "\u{fffd}\u{fffd}\u{fffd}",
                r"\u0000\u0008\u007f",
            ),
            (
                "other line ends",
                "a\u{85}b\u{2028}c",
                "a\u{fffd}b\u{fffd}c",
                "a\u{fffd}b\u{fffd}c",
                r"a\u0085b\u2028c",
            ),
            ("an override", "fdp\u{202e}exe.", "fdp\u{fffd}exe.", "fdp\u{fffd}exe.", r"fdp\u202eexe."),
            (
                "isolates and marks",
                "\u{2066}\u{2069}\u{200f}\u{61c}",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
                r"\u2066\u2069\u200f\u061c",
            ),
            (
                "nothing to see",
                "a\u{200b}\u{feff}\u{ad}b",
                "a\u{fffd}\u{fffd}\u{fffd}b",
                "a\u{fffd}\u{fffd}\u{fffd}b",
                r"a\u200b\ufeff\u00adb",
            ),
            ("a tag beyond the BMP", "\u{e0041}", "\u{fffd}", "\u{fffd}", r"\udb40\udc41"),
            (
                "text of the world",
                "Überfall 会議 шлюз",
                "Überfall 会議 шлюз",
                "Überfall 会議 шлюз",
                "Überfall 会議 шлюз",
            ),
        ] {
            assert_eq!(line(text, usize::MAX), one_line, "{what}");
            assert_eq!(lines(text), several, "{what}");
            assert_eq!(json(text), escaped, "{what}");
            // Nothing is left to do.
            assert_eq!(line(one_line, usize::MAX), one_line, "{what}");
            assert_eq!(lines(several), several, "{what}");
            assert_eq!(json(escaped), escaped, "{what}");
        }
    }

    #[test]
    fn no_control_character_of_any_kind_passes() {
        let all: String = ('\0'..=char::MAX).filter(|c| c.is_control()).collect();
        assert_eq!(all.chars().count(), 65);
        assert_eq!(line(&all, usize::MAX), "\u{fffd}".repeat(65));
        assert_eq!(lines(&all).chars().filter(|c| c.is_control()).collect::<String>(), "\t\n");
        assert_eq!(json(&all).chars().filter(|c| c.is_control()).collect::<String>(), "\t\n");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{202e}\u{e0041}\x1b\n", "会議", 1.5] });
        for text in [value.to_string(), format!("{value:#}")] {
            let shown = json(&text);
            assert!(!shown.contains(|c| steers(c) && c != '\n'), "{shown:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), value);
        }
    }

    #[test]
    fn lines_are_cut_to_columns() {
        for (text, columns, shown) in [
            ("too long for it", 8, "too lon…"),
            ("exactly!", 8, "exactly!"),
            ("会議資料", 8, "会議資料"),
            ("会議資料", 7, "会議資…"),
            ("会議資料", 6, "会議…"),
            ("会", 1, "…"),
            ("⚡✅🔥", 6, "⚡✅🔥"),
            ("⚡✅🔥", 5, "⚡✅…"),
            ("e\u{301}e\u{301}e\u{301}", 4, "e\u{301}e…"),
            ("\x1b[31mred", 5, "\u{fffd}[31…"),
            ("anything", 0, ""),
            ("", 3, ""),
        ] {
            assert_eq!(line(text, columns), shown, "{text:?} in {columns}");
            assert!(width(&line(text, columns)) <= columns);
            assert_eq!(width(&fit(text, columns)), columns, "{text:?} in {columns}");
        }
        assert_eq!(fit("ab", 4), "ab  ");
    }

    #[test]
    fn very_long_texts_stay_bounded() {
        for part in ["x", "会", "\x1b[2J", "e\u{301}\u{302}", "\u{202e}"] {
            let shown = line(&part.repeat(1_000_000), 400);
            assert!(width(&shown) <= 400 && shown.len() <= 1_600, "{part:?}: {} bytes", shown.len());
            assert!(shown.ends_with(ELLIPSIS), "{part:?}");
        }
    }
}
