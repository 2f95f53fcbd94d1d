//! Topic patterns in the form that Kafka's client understands.
//!
//! Owns the translation of the regular expressions that people write (those of the `regex` crate) into POSIX
//! extended ones: librdkafka matches with the C library, which knows neither `(?:…)` nor `\d`. What a pattern
//! matches must not depend on who looks, so what cannot be translated is refused. Called by
//! `pipeline::definition` and `source::kafka`.

use regex::Regex;

/// Every character that Kafka permits in a topic's name.
const TOPIC_CHARACTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/// The pattern as librdkafka takes it: anchored at both ends. `text` is a valid pattern of the `regex` crate. The
/// error names what cannot be translated.
pub fn posix(text: &str) -> Result<String, String> {
    let mut out = String::from("^(");
    let mut rest = text;
    // After `*`, `+`, `?` and `{…}` a `?` asks for the shortest match, which changes nothing for whole names.
    let mut after_repetition = false;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        let mut repetition = false;
        match c {
            '(' if rest.starts_with("(?:") => {
                out.push('(');
                taken = 3;
            }
            '(' if rest.starts_with("(?") => {
                return Err("`(?` other than `(?:` is not supported in a topic pattern".into());
            }
            '[' => {
                taken = class_length(rest);
                out.push_str(&class(rest.get(..taken).unwrap_or(rest))?);
            }
            '\\' => {
                taken = escape_length(rest);
                out.push_str(&class(rest.get(..taken).unwrap_or(rest))?);
            }
            '?' if after_repetition => {}
            '*' | '+' | '?' => {
                out.push(c);
                repetition = true;
            }
            '{' => {
                taken = rest.find('}').map_or(rest.len(), |end| end + 1);
                out.push_str(rest.get(..taken).unwrap_or(rest));
                repetition = true;
            }
            c if TOPIC_CHARACTERS.contains(c) || matches!(c, '(' | ')' | '|' | '^' | '$') => out.push(c),
            other => return Err(format!("`{}` is never part of a topic's name", other.escape_default())),
        }
        after_repetition = repetition;
        rest = rest.get(taken..).unwrap_or_default();
    }
    out.push_str(")$");
    Ok(out)
}

/// A class or an escape as a list of the topic characters that it matches; exact, because topic names have no
/// others.
fn class(text: &str) -> Result<String, String> {
    let refused = || format!("`{text}` is not supported in a topic pattern");
    // An anchor such as `\b` matches between characters: it would match two of them as well as one.
    let one = Regex::new(&format!("^(?:{text})$")).map_err(|_| refused())?;
    let matched: Vec<char> = TOPIC_CHARACTERS.chars().filter(|c| one.is_match(&c.to_string())).collect();
    match matched.as_slice() {
        [] => Err(format!("`{text}` matches no character of a topic's name")),
        ['.'] => Ok("\\.".into()),
        [single] => Ok(single.to_string()),
        // The hyphen is the last topic character, and at the end of a list it stands for itself.
        several => Ok(format!("[{}]", several.iter().collect::<String>())),
    }
}

/// Bytes of the class that the text begins with: classes nest, and `]` directly after the opening is itself.
fn class_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut escaped = false;
    let mut first = false;
    for (at, c) in text.char_indices() {
        let opening = std::mem::take(&mut first);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => {
                depth += 1;
                first = true;
            }
            '^' if opening => first = true,
            ']' if !opening => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Bytes of the escape that the text begins with: `\d`, `\.`, `\x2E`, `\x{2e}`, `\pL`, `\p{Greek}`.
fn escape_length(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    let Some((at, kind)) = characters.next() else { return text.len() };
    let after = at + kind.len_utf8();
    match (kind, characters.next()) {
        ('x' | 'u' | 'U' | 'p' | 'P', Some((_, '{'))) => text.find('}').map_or(text.len(), |end| end + 1),
        ('p' | 'P', Some((at, class))) => at + class.len_utf8(),
        ('x', _) => after + 2,
        ('u', _) => after + 4,
        ('U', _) => after + 8,
        _ => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_posix_ones() {
        for (text, expect) in [
            ("in\\.power\\..*", "^(in\\.power\\..*)$"),
            ("a|b", "^(a|b)$"),
            ("(?:a|b)+?-x{2,3}?", "^((a|b)+-x{2,3})$"),
            ("x\\d\\-\\_", "^(x[0123456789]-_)$"),
            ("[a-c._-]*", "^([abc._-]*)$"),
            ("[^a-zA-Z0-9]", "^([._-])$"),
            ("[]a]\\x2Eb", "^(a\\.b)$"),
            ("[[:digit:]--[0-7]]", "^([89])$"),
            ("\\p{Nd}\\pN", "^([0123456789][0123456789])$"),
            ("^a$", "^(^a$)$"),
            ("", "^()$"),
        ] {
            assert!(Regex::new(text).is_ok(), "{text}");
            assert_eq!(posix(text).as_deref(), Ok(expect), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_said_in_posix_is_refused() {
        for (text, expect) in [
            ("(?i)power", "`(?` other than"),
            ("(?P<org>a)", "`(?` other than"),
            ("a\\b", "`\\b` matches no character"),
            ("\\s", "`\\s` matches no character"),
            ("a b", "` ` is never part"),
            ("狼", "is never part"),
        ] {
            let error = posix(text).expect_err(text);
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
