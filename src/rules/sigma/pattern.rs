//! Patterns: texts of rules with wildcards, and what modifiers make of them.
//!
//! Owns the escapes, `windash`, the encodings, and where in a value a pattern must stand. Which modifiers may be together
//! is `modifiers`'. Called by `ask`.

use super::modifiers::{Base64, Encoding, Wide};
use super::tree::{Part, Pattern, Place};

/// Texts that one value may become by `windash` before it is encoded: each dash makes five of one.
const ENCODED_MAX: usize = 125;

/// All that [`Part::Dash`] may be.
pub(super) const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

impl Pattern {
    /// Reads a value of a rule. `*` and `?` are wildcards; `\*`, `\?` and `\\` are the characters themselves; any other
    /// backslash is one.
    pub(super) fn read(text: &str) -> Self {
        let mut pattern = Self::default();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\\' => {
                    let escaped = rest.next_if(|next| matches!(next, '*' | '?' | '\\'));
                    pattern.push_character(escaped.unwrap_or('\\'));
                }
                '*' => pattern.push(Part::Any),
                '?' => pattern.push(Part::One),
                other => pattern.push_character(other),
            }
        }
        pattern
    }

    /// This text, without wildcards.
    pub(super) fn literal(text: &str) -> Self {
        let mut pattern = Self::default();
        pattern.push(Part::Literal(text.to_owned()));
        pattern
    }

    /// Adds a part behind the others: texts become one, and so does `*` behind `*`.
    pub(super) fn push(&mut self, part: Part) {
        match (self.0.last_mut(), part) {
            (_, Part::Literal(text)) if text.is_empty() => {}
            (Some(Part::Literal(last)), Part::Literal(text)) => last.push_str(&text),
            (Some(Part::Any), Part::Any) => {}
            (_, part) => self.0.push(part),
        }
    }

    /// Adds the parts of another.
    pub(super) fn extend(&mut self, other: Pattern) {
        other.0.into_iter().for_each(|part| self.push(part));
    }

    fn push_character(&mut self, character: char) {
        match self.0.last_mut() {
            Some(Part::Literal(last)) => last.push(character),
            _ => self.0.push(Part::Literal(character.to_string())),
        }
    }

    /// The text, when there is no wildcard in it.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// True for `*`: any value at all.
    pub(super) fn is_any(&self) -> bool {
        self.0 == [Part::Any]
    }

    /// Bytes of its texts.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|part| if let Part::Literal(text) = part { text.len() } else { 1 }).sum()
    }

    /// The same standing there in a value.
    pub(super) fn at(self, place: Place) -> Self {
        let mut pattern = Self::default();
        if matches!(place, Place::Within | Place::End) {
            pattern.push(Part::Any);
        }
        pattern.extend(self);
        if matches!(place, Place::Within | Place::Start) {
            pattern.push(Part::Any);
        }
        pattern
    }

    /// `windash`: each dash that begins an option may be any dash. It does when no letter, digit or `_` stands before
    /// it, and one stands behind it.
    pub(super) fn windash(self) -> Self {
        let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
        let mut pattern = Self::default();
        for part in self.0 {
            let Part::Literal(text) = part else {
                pattern.push(part);
                continue;
            };
            let mut before = None;
            let mut rest = text.chars().peekable();
            while let Some(character) = rest.next() {
                let begins = DASHES.contains(&character)
                    && !before.as_ref().is_some_and(is_word)
                    && rest.peek().is_some_and(is_word);
                if begins {
                    pattern.push(Part::Dash);
                } else {
                    pattern.push_character(character);
                }
                before = Some(character);
            }
        }
        pattern
    }

    /// The texts that it may be; none when it has wildcards, or when there are too many.
    fn texts(&self) -> Result<Vec<String>, &'static str> {
        let mut texts = vec![String::new()];
        for part in &self.0 {
            match part {
                Part::Literal(more) => texts.iter_mut().for_each(|text| text.push_str(more)),
                Part::Dash => {
                    if texts.len() * DASHES.len() > ENCODED_MAX {
                        return Err("it has more dashes than can be encoded with `windash`: at most three");
                    }
                    let longer = |text: &String| DASHES.map(|dash| format!("{text}{dash}"));
                    texts = texts.iter().flat_map(longer).collect();
                }
                Part::Any | Part::One => {
                    return Err("a wildcard cannot be encoded: write `\\*` for the character itself");
                }
            }
        }
        Ok(texts)
    }

    /// The same encoded, in all variants; for people, why it cannot be.
    pub(super) fn encoded(&self, encoding: Encoding) -> Result<Vec<Self>, &'static str> {
        let mut encoded = Vec::new();
        for text in self.texts()? {
            let bytes =
                encoding.wide.map_or_else(|| text.as_bytes().to_vec(), |wide| wide_bytes(&text, wide));
            match encoding.base64 {
                None => {
                    let text = String::from_utf8(bytes)
                        .map_err(|_| "encoded so it is no text: add `base64` or `base64offset`")?;
                    encoded.push(Self::literal(&text));
                }
                Some(Base64::Whole) => encoded.push(Self::literal(&base64(&bytes))),
                Some(Base64::Offset) => {
                    if bytes.len() < 2 {
                        return Err("at least two bytes are needed for `base64offset`");
                    }
                    encoded.extend(base64_offsets(&bytes).iter().map(|text| Self::literal(text)));
                }
            }
        }
        Ok(encoded)
    }

    /// Whether a text matches.
    pub(super) fn matches(&self, text: &str, cased: bool) -> bool {
        let same = |(a, b): (char, char)| a == b || !cased && is_same_letter(a, b);
        let text: Vec<char> = text.chars().collect();
        // The places in the text that the parts so far may end at.
        let mut ends = vec![false; text.len() + 1];
        ends[0] = true;
        for part in &self.0 {
            let mut next = vec![false; text.len() + 1];
            for from in (0..=text.len()).filter(|from| ends[*from]) {
                match part {
                    Part::Literal(literal) => {
                        let length = literal.chars().count();
                        let rest = &text[from..];
                        if rest.len() >= length && rest.iter().copied().zip(literal.chars()).all(same) {
                            next[from + length] = true;
                        }
                    }
                    Part::Any => next[from..].fill(true),
                    Part::One => next.iter_mut().skip(from + 1).take(1).for_each(|end| *end = true),
                    Part::Dash => {
                        let is_dash = text.get(from).is_some_and(|character| DASHES.contains(character));
                        next.iter_mut().skip(from + 1).take(1).for_each(|end| *end |= is_dash);
                    }
                }
                if *part == Part::Any {
                    break;
                }
            }
            ends = next;
        }
        ends.last().copied().unwrap_or_default()
    }
}

fn wide_bytes(text: &str, wide: Wide) -> Vec<u8> {
    let units = text.encode_utf16();
    match wide {
        Wide::Little => units.flat_map(u16::to_le_bytes).collect(),
        Wide::Big => units.flat_map(u16::to_be_bytes).collect(),
        Wide::Marked => [0xff, 0xfe].into_iter().chain(units.flat_map(u16::to_le_bytes)).collect(),
    }
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4u32 {
            let digits = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or_default();
            let written = digit as usize <= chunk.len();
            text.push(if written { DIGITS.get(digits).map_or('=', |digit| char::from(*digit)) } else { '=' });
        }
    }
    text
}

/// What does not change in the text of bytes that stand somewhere in others, for each of the three places that they may
/// begin at.
fn base64_offsets(bytes: &[u8]) -> [String; 3] {
    [0usize, 1, 2].map(|before| {
        let padded: Vec<u8> = std::iter::repeat_n(b' ', before).chain(bytes.iter().copied()).collect();
        let text = base64(&padded);
        // The digits that hold bits of what stands before, and of what stands behind.
        let start = [0, 2, 3][before];
        let end = [0, 3, 2][padded.len() % 3];
        text.get(start..text.len().saturating_sub(end)).unwrap_or_default().to_owned()
    })
}

/// Two letters that differ in case at most, by the folding that ILIKE has.
fn is_same_letter(a: char, b: char) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(&b);
    }
    let letter = regex::RegexBuilder::new(&regex::escape(&a.to_string())).case_insensitive(true).build();
    letter.is_ok_and(|letter| letter.is_match(&b.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &Pattern) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => format!("[{text}]"),
            Part::Any => "*".to_owned(),
            Part::One => "?".to_owned(),
            Part::Dash => "~".to_owned(),
        };
        pattern.0.iter().map(part).collect()
    }

    #[test]
    fn wildcards_have_five_forms_of_escapes() {
        for (text, expect) in [
            (r"C:\Windows\cmd.exe", r"[C:\Windows\cmd.exe]"),
            (r"C:\\Windows", r"[C:\Windows]"),
            (r"a\*b\?", r"[a*b?]"),
            (r"C:\Temp\\*", r"[C:\Temp\]*"),
            (r"C:\Temp\\\*x", r"[C:\Temp\*x]"),
            (r"\\\\srv\\\share", r"[\\srv\\share]"),
            (r"\\?\pipe", r"[\]?[\pipe]"),
            (r"\", r"[\]"),
            ("*a?*?", "*[a]?*?"),
            ("**", "*"),
            ("", ""),
            ("100%_", "[100%_]"),
        ] {
            assert_eq!(shown(&Pattern::read(text)), expect, "{text}");
        }
    }

    #[test]
    fn a_dash_is_one_that_begins_an_option() {
        for (text, expect) in [
            (" -enc ", "[ ]~[enc ]"),
            ("-f", "~[f]"),
            ("/c foo/bar -x", "~[c foo/bar ]~[x]"),
            ("--help", "[-]~[help]"),
            ("a-b", "[a-b]"),
            ("- x", "[- x]"),
            ("x -", "[x -]"),
            ("*-p", "*~[p]"),
            ("\u{2013}e /\u{2015}e", "~[e /]~[e]"),
            (" -ä -_", "[ ]~[ä ]~[_]"),
        ] {
            assert_eq!(shown(&Pattern::read(text).windash()), expect, "{text}");
        }
    }

    #[test]
    fn places_add_wildcards_that_are_not_there() {
        for (text, place, expect) in [
            ("a", Place::Whole, "[a]"),
            ("a", Place::Within, "*[a]*"),
            ("a", Place::Start, "[a]*"),
            ("a", Place::End, "*[a]"),
            ("*a", Place::Within, "*[a]*"),
            ("", Place::Within, "*"),
        ] {
            assert_eq!(shown(&Pattern::read(text).at(place)), expect, "{text} {place:?}");
        }
    }

    #[test]
    fn encodings_are_those_of_the_tools() {
        // `printf foo | base64`, `printf foo | iconv -t UTF-16LE | base64` and so on.
        let whole = |wide| Encoding { wide, base64: Some(Base64::Whole) };
        let offset = |wide| Encoding { wide, base64: Some(Base64::Offset) };
        for (text, encoding, expect) in [
            ("foo", whole(None), vec!["Zm9v"]),
            ("fo", whole(None), vec!["Zm8="]),
            ("f", whole(None), vec!["Zg=="]),
            ("foo", whole(Some(Wide::Little)), vec!["ZgBvAG8A"]),
            ("foo", whole(Some(Wide::Big)), vec!["AGYAbwBv"]),
            ("foo", whole(Some(Wide::Marked)), vec!["//5mAG8AbwA="]),
            ("foobar", offset(None), vec!["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]),
            ("http://", offset(None), vec!["aHR0cDovL", "h0dHA6Ly", "odHRwOi8v"]),
            ("ab", offset(None), vec!["YW", "Fi", "hY"]),
            ("\u{e9}", whole(None), vec!["w6k="]),
        ] {
            let encoded = Pattern::read(text).encoded(encoding).expect(text);
            let encoded: Vec<_> = encoded.iter().map(|pattern| pattern.as_literal().unwrap_or("?")).collect();
            assert_eq!(encoded, expect, "{text} {encoding:?}");
        }
        for (text, encoding, expect) in [
            ("a*", whole(None), "a wildcard cannot be encoded"),
            ("a", offset(None), "at least two bytes"),
            ("é", Encoding { wide: Some(Wide::Little), base64: None }, "it is no text"),
        ] {
            let refused = Pattern::read(text).encoded(encoding).expect_err(text);
            assert!(refused.contains(expect), "{refused}");
        }
        let dashes = Pattern::read(" -a").windash().encoded(whole(None)).expect("five");
        assert_eq!(dashes.len(), DASHES.len());
        assert!(Pattern::read(" -a -b -c -d").windash().encoded(whole(None)).is_err());
    }

    #[test]
    fn matching_is_of_the_whole_text() {
        for (pattern, text, expect) in [
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("?", "", false),
            ("?", "é", true),
            ("*", "", true),
            ("*a*a", "a", false),
            ("*tru*", "true", true),
        ] {
            assert_eq!(Pattern::read(pattern).matches(text, true), expect, "{pattern} {text}");
        }
        assert!(Pattern::read("-x").windash().matches("\u{2014}x", true));
        for (pattern, text, expect) in
            [("*FAL*", "false", true), ("*\u{17f}*", "false", true), ("*x*", "false", false)]
        {
            assert_eq!(Pattern::read(pattern).matches(text, false), expect, "{pattern} {text}");
            assert!(!Pattern::read(pattern).matches(text, true), "{pattern} {text}");
        }
    }
}
