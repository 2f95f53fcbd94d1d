//! What readers of lines share: the lines of a frame, hexadecimal digits, bytes that need not be text.

use std::fmt::Write;

/// The lines of a text that are not blank, each with the byte where it starts; without line ends, and without a byte-order
/// mark before the first.
pub fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let from = at;
        at += line.len();
        let (from, line) = match line.strip_prefix('\u{feff}') {
            Some(rest) if from == 0 => ('\u{feff}'.len_utf8(), rest),
            _ => (from, line),
        };
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        (!line.trim_ascii().is_empty()).then_some((from, line))
    })
}

/// The byte that two hexadecimal digits stand for.
pub fn byte(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// Appends bytes as text; those that are no UTF-8 as `\xHH`, so that nothing is lost.
pub fn push_bytes(text: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_know_where_they_start() {
        let found: Vec<_> = lines("\u{feff}a\r\n\n \t\nb\u{feff}\n\u{feff}c").collect();
        assert_eq!(found, [(3, "a"), (10, "b\u{feff}"), (15, "\u{feff}c")]);
    }

    #[test]
    fn digits() {
        for (digits, expect) in
            [("0a", Some(10)), ("Ff", Some(255)), ("g0", None), ("+1", None), ("1", None), ("", None)]
        {
            assert_eq!(byte(digits.as_bytes()), expect, "{digits}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown() {
        let mut text = String::from("<");
        push_bytes(&mut text, b"a\xff\xc3\xa9\xc3");
        assert_eq!(text, "<a\\xffé\\xc3");
    }
}
