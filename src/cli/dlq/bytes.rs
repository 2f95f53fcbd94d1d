//! Bytes that somebody sent, as a person may see them.
//!
//! Owns the two forms: text with escapes, and a hex dump. Neither can steer a terminal.

use std::fmt::Write as _;

use crate::printable;
use crate::record::hex;

/// Bytes in a line of a dump.
const LINE: usize = 16;

/// As text: what is no UTF-8 as `\xNN`, what steers a terminal as `\uNNNN`. Line feeds and tabs stay.
pub fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&printable::json(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Offset, 16 bytes in hexadecimal, the same as ASCII.
pub fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (at, line) in bytes.chunks(LINE).enumerate() {
        let _ = write!(out, "{:08x} ", at * LINE);
        for (nth, byte) in line.iter().enumerate() {
            let _ = write!(out, "{}{}", if nth == LINE / 2 { "  " } else { " " }, hex(&[*byte]));
        }
        let used = line.len() * 3 + usize::from(line.len() > LINE / 2);
        let ascii: String = line
            .iter()
            .map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' })
            .collect();
        let _ = writeln!(out, "{:fill$}  |{ascii}|", "", fill = LINE * 3 + 1 - used);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_without_steering_a_terminal() {
        for (bytes, expect) in [
            (&b"{\"a\":1}"[..], r#"{"a":1}"#),
            (b"two\n\tlines", "two\n\tlines"),
            (b"\x1b[31mred\x07", r"\u001b[31mred\u0007"),
            (b"\xff\xfe{\x00", r"\xff\xfe{\u0000"),
            ("\u{202e}evil 省".as_bytes(), r"\u202eevil 省"),
            (b"cut \xe7\x9c", r"cut \xe7\x9c"),
            (b"", ""),
        ] {
            assert_eq!(text(bytes), expect);
        }
    }

    #[test]
    fn a_dump_has_offset_hex_and_ascii() {
        let bytes: Vec<u8> = (0x1a..0x1a + 20).collect();
        assert_eq!(
            dump(&bytes),
            "00000000  1a 1b 1c 1d 1e 1f 20 21  22 23 24 25 26 27 28 29  |...... !\"#$%&'()|\n\
             00000010  2a 2b 2c 2d                                       |*+,-|\n"
        );
        assert_eq!(dump(&bytes[..9]).len(), dump(&bytes[..8]).len() + 1, "columns stay aligned");
        assert_eq!(dump(b""), "");
    }
}
