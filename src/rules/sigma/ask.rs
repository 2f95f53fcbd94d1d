//! What a value of a rule asks of a field, once its modifiers are carried out; which column that is, is not known yet.
//!
//! Owns values and what modifiers make of them, placeholders left aside until their values are known. Tests of columns are
//! made of it by `lower`. Called by `parse::detection` and `lower`.

use super::fault::Fault;
use super::modifiers::{Base64, Chain, Flags, Kind};
use super::tree::{Comparison, Pattern, Place, TimePart};
use super::yaml::{self, Scalar};
use crate::diagnostic::codes;
use crate::printable;
use crate::rules::SqlLimits;
use crate::rules::functions::Network;

/// Bytes of one text of a pattern.
pub(super) const TEXT_BYTES_MAX: usize = 16 << 10;
/// Columns of a value in a message.
const VALUE_COLUMNS_MAX: usize = 60;
/// Bytes that the first trial at compiling a regular expression may take; each one after it has twice as many.
const TRIAL_BYTES: usize = 8 << 10;

/// A value as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) scalar: Scalar,
}

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ask {
    Null,
    Exists(bool),
    Text {
        pattern: Pattern,
        cased: bool,
    },
    /// A number, as it is written and what it is.
    Number(String, f64),
    Flag(bool),
    Regex(String),
    Cidr(String),
    Compare(Comparison, f64),
    FieldRef {
        field: String,
        place: Place,
        cased: bool,
    },
    TimePart(TimePart, i64),
}

/// What the regular expressions of a file may take together.
#[derive(Debug, Default)]
pub(super) struct Budget {
    limits: SqlLimits,
    regex_bytes: usize,
}

/// What a value asks for; one of these is enough.
pub(super) fn asks(chain: &Chain, value: &Value, budget: &mut Budget) -> Result<Vec<Ask>, Fault> {
    if value.text.len() > TEXT_BYTES_MAX {
        let message = format!("the value has more than {TEXT_BYTES_MAX} bytes");
        return Err(Fault::new(codes::G012, message, "look for a part of it"));
    }
    match chain.kind {
        Kind::Value => plain(chain, value),
        Kind::Regex(flags) => Ok(vec![Ask::Regex(regex(value, flags, chain.place, budget)?)]),
        Kind::Cidr => {
            let network = no_null(value, "a network")?.trim();
            Network::parse(network).map_err(|reason| {
                Fault::new(codes::G010, reason, "write a network such as 10.0.0.0/8 or fe80::/10")
            })?;
            Ok(vec![Ask::Cidr(network.to_owned())])
        }
        Kind::FieldRef => {
            let field = no_null(value, "the name of a field")?;
            if field.is_empty() || field.contains(['*', '?']) {
                let help = "write the name of one field";
                return Err(Fault::new(codes::G008, format!("`{field}` is no name of a field"), help));
            }
            Ok(vec![Ask::FieldRef { field: field.to_owned(), place: chain.place, cased: chain.cased }])
        }
        Kind::Exists => match value.scalar {
            Scalar::Bool(exists) => Ok(vec![Ask::Exists(exists)]),
            _ => {
                Err(Fault::new(codes::G008, "the value of `exists` is no truth value", "write true or false"))
            }
        },
        Kind::Compare(comparison) => Ok(vec![Ask::Compare(comparison, number(value)?)]),
        Kind::TimePart(part, comparison) => time_part(part, comparison, value),
    }
}

/// What a text asks for that placeholders were put into.
pub(super) fn expanded(chain: &Chain, pattern: Pattern, text: &str) -> Result<Vec<Ask>, Fault> {
    if chain.kind == Kind::Cidr {
        let value = Value { text: text.to_owned(), scalar: Scalar::Text };
        return asks(chain, &value, &mut Budget::default());
    }
    text_asks(chain, pattern)
}

fn plain(chain: &Chain, value: &Value) -> Result<Vec<Ask>, Fault> {
    let as_text = chain.place != Place::Whole || chain.windash || chain.encoding.is_some() || chain.cased;
    match value.scalar {
        Scalar::Null if as_text => {
            let help =
                "leave the modifiers out to ask for a field that is missing, or write '' for an empty text";
            Err(Fault::new(codes::G008, "the value is null, which has no text", help))
        }
        Scalar::Null => Ok(vec![Ask::Null]),
        Scalar::Bool(flag) if !as_text => Ok(vec![Ask::Flag(flag)]),
        Scalar::Number(number) if !as_text => Ok(vec![Ask::Number(value.text.clone(), number)]),
        Scalar::Bool(_) | Scalar::Number(_) => text_asks(chain, Pattern::literal(&value.text)),
        Scalar::Text => text_asks(chain, Pattern::read(&value.text)),
    }
}

fn text_asks(chain: &Chain, pattern: Pattern) -> Result<Vec<Ask>, Fault> {
    let pattern = if chain.windash { pattern.windash() } else { pattern };
    let Some(encoding) = chain.encoding else {
        return Ok(vec![Ask::Text { pattern: pattern.at(chain.place), cased: chain.cased }]);
    };
    let encoded = pattern
        .encoded(encoding)
        .map_err(|help| Fault::new(codes::G008, "the value cannot be encoded", help))?;
    // Base64 knows case, and a part of one is never the whole.
    let cased = chain.cased || encoding.base64.is_some();
    let inside = encoding.base64 == Some(Base64::Offset) && chain.place == Place::Whole;
    let place = if inside { Place::Within } else { chain.place };
    Ok(encoded.into_iter().map(|pattern| Ask::Text { pattern: pattern.at(place), cased }).collect())
}

fn no_null<'v>(value: &'v Value, wanted: &str) -> Result<&'v str, Fault> {
    if value.scalar == Scalar::Null {
        return Err(Fault::new(
            codes::G008,
            format!("the value is null where {wanted} must stand"),
            format!("write {wanted}"),
        ));
    }
    Ok(&value.text)
}

fn number(value: &Value) -> Result<f64, Fault> {
    match value.scalar {
        Scalar::Number(number) => Some(number),
        Scalar::Text => yaml::number(value.text.trim()),
        _ => None,
    }
    .ok_or_else(|| Fault::new(codes::G008, format!("`{}` is no number", value.text), "write a number"))
}

/// A part of a time by a comparison: all the numbers that it may be.
fn time_part(part: TimePart, comparison: Comparison, value: &Value) -> Result<Vec<Ask>, Fault> {
    let (least, most) = match part {
        TimePart::Minute => (0, 59),
        TimePart::Hour => (0, 23),
        TimePart::Day => (1, 31),
        TimePart::Week => (1, 53),
        TimePart::Month => (1, 12),
        TimePart::Year => (1970, 2100),
    };
    let wanted = number(value)?;
    let name = format!("{part:?}").to_lowercase();
    let range = format!("write a whole number from {least} to {most}");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let fits = wanted.fract() == 0.0 && (least as f64..=most as f64).contains(&wanted);
    if !fits {
        return Err(Fault::new(codes::G008, format!("`{}` is no {name} of a time", value.text), range));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    let wanted = wanted as i64;
    let numbers: Vec<Ask> = (least..=most)
        .filter(|number| match comparison {
            Comparison::Equal => *number == wanted,
            Comparison::Less => *number < wanted,
            Comparison::LessOrEqual => *number <= wanted,
            Comparison::Greater => *number > wanted,
            Comparison::GreaterOrEqual => *number >= wanted,
        })
        .map(|number| Ask::TimePart(part, number))
        .collect();
    if numbers.is_empty() {
        return Err(Fault::new(codes::G008, format!("there is no such {name}"), range));
    }
    Ok(numbers)
}

fn regex(value: &Value, flags: Flags, place: Place, budget: &mut Budget) -> Result<String, Fault> {
    let text = no_null(value, "a regular expression")?;
    let limits = &budget.limits;
    let refused = |message: String, help: &str| Fault::new(codes::G009, message, help);
    if text.len() > limits.regex_bytes_max {
        let message = format!("the regular expression has more than {} bytes", limits.regex_bytes_max);
        return Err(refused(message, "write a list of values with `contains`"));
    }
    if budget.regex_bytes > limits.regex_total_bytes_max {
        let mebibytes = limits.regex_total_bytes_max >> 20;
        let message =
            format!("the regular expressions of the file take more than {mebibytes} MiB when compiled");
        return Err(refused(message, "use smaller repetitions, or split the file"));
    }
    let text = &of_ascii(text);
    let mut bytes = TRIAL_BYTES;
    let compiled = loop {
        bytes = bytes.min(limits.regex_compiled_bytes_max);
        let compiled =
            regex::RegexBuilder::new(text).size_limit(bytes).nest_limit(limits.regex_nesting_max).build();
        match compiled {
            Err(regex::Error::CompiledTooBig(_)) if bytes < limits.regex_compiled_bytes_max => bytes *= 2,
            compiled => break compiled,
        }
    };
    budget.regex_bytes = budget.regex_bytes.saturating_add(bytes);
    match compiled {
        Ok(_) => {}
        Err(regex::Error::CompiledTooBig(_)) => {
            let message = "the regular expression is too large when compiled".to_owned();
            return Err(refused(message, "use smaller repetitions"));
        }
        Err(error) => {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
            let help = "this engine has neither look-around nor back-references, as its time must be bounded";
            return Err(refused(format!("the regular expression is invalid: {reason}"), help));
        }
    }
    let mut pattern = String::new();
    let flags = [(flags.ignore_case, 'i'), (flags.multi_line, 'm'), (flags.dot_all, 's')];
    if flags.iter().any(|(set, _)| *set) {
        pattern.push_str("(?");
        pattern.extend(flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag));
        pattern.push(')');
    }
    // It matches anywhere as it is.
    match place {
        Place::Whole | Place::Within => pattern.push_str(text),
        Place::Start => pattern.push_str(&format!(r"\A(?:{text})")),
        Place::End => pattern.push_str(&format!(r"(?:{text})\z")),
    }
    Ok(pattern)
}

/// Classes of characters as PCRE has them: of ASCII. Those of all letters there are make large and slow programs.
fn of_ascii(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text.chars();
    let mut sets = 0usize;
    while let Some(character) = rest.next() {
        match character {
            '[' => sets += 1,
            ']' => sets = sets.saturating_sub(1),
            _ => {}
        }
        if character != '\\' {
            written.push(character);
            continue;
        }
        let Some(escaped) = rest.next() else {
            written.push(character);
            break;
        };
        match escaped {
            'w' => written.push_str("[0-9A-Za-z_]"),
            'W' => written.push_str("[^0-9A-Za-z_]"),
            'd' => written.push_str("[0-9]"),
            'D' => written.push_str("[^0-9]"),
            's' => written.push_str(r"[\t\n\v\f\r\x20]"),
            'S' => written.push_str(r"[^\t\n\v\f\r\x20]"),
            'b' if sets == 0 => written.push_str(r"(?-u:\b)"),
            other => written.extend([character, other]),
        }
    }
    written
}

/// A value with placeholders.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(pub(super) Vec<Piece>);

/// A part of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// As it is written, escapes of wildcards included.
    Text(String),
    /// `%name%`
    Placeholder(String),
}

impl Template {
    /// A fault of what its placeholders stand for: it is the file of values that is to be mended, and not the rule.
    pub(super) fn blamed(&self, fault: Fault, text: &str) -> Fault {
        let names = self.0.iter().filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        });
        let files: Vec<String> = names.map(|name| format!("{name}.txt")).collect();
        let files = files.join(", ");
        let message = format!(
            "{}; `{}` is made of the values in {files}",
            fault.message,
            printable::line(text, VALUE_COLUMNS_MAX)
        );
        Fault::new(fault.code, message, format!("mend {files} in the folder of values"))
    }

    /// Reads `%name%`; `\%` is the character itself.
    pub(super) fn read(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut written = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let behind = &rest[character.len_utf8()..];
            rest = match character {
                '\\' => match behind.chars().next() {
                    Some('%') => {
                        written.push('%');
                        &behind[1..]
                    }
                    Some('\\') => {
                        written.push_str("\\\\");
                        &behind[1..]
                    }
                    _ => {
                        written.push('\\');
                        behind
                    }
                },
                '%' => match behind.split_once('%').filter(|(name, _)| is_name(name)) {
                    Some((name, behind)) => {
                        pieces.push(Piece::Text(std::mem::take(&mut written)));
                        pieces.push(Piece::Placeholder(name.to_owned()));
                        behind
                    }
                    None => {
                        written.push('%');
                        behind
                    }
                },
                other => {
                    written.push(other);
                    behind
                }
            };
        }
        pieces.push(Piece::Text(written));
        pieces.retain(|piece| *piece != Piece::Text(String::new()));
        Self(pieces)
    }
}

/// True for the name of a placeholder.
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    !name.is_empty() && name.len() <= 128 && name.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_between_percent_signs() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let name = |name: &str| Piece::Placeholder(name.to_owned());
        for (written, expect) in [
            ("%name%", vec![name("name")]),
            (r"\%plain%name%", vec![text("%plain"), name("name")]),
            ("a%b%c%d%", vec![text("a"), name("b"), text("c"), name("d")]),
            (r"C:\\%dir%\*", vec![text(r"C:\\"), name("dir"), text(r"\*")]),
            ("100% of %", vec![text("100% of %")]),
            ("%%", vec![text("%%")]),
            ("", vec![]),
        ] {
            assert_eq!(Template::read(written), Template(expect), "{written}");
        }
    }

    #[test]
    fn classes_of_characters_are_of_ascii() {
        for (text, expect) in [
            (r"\w+\\w", r"[0-9A-Za-z_]+\\w"),
            (r"[\d.-]\D", r"[[0-9].-][^0-9]"),
            (r"\bcmd\b[\b]", r"(?-u:\b)cmd(?-u:\b)[\b]"),
            (r"[^\s]\.é\", r"[^[\t\n\v\f\r\x20]]\.é\"),
        ] {
            assert_eq!(of_ascii(text), expect);
        }
        let matches = |pattern: &str, text: &str| {
            regex::Regex::new(&of_ascii(pattern)).expect("compiles").is_match(text)
        };
        for (pattern, text, expect) in [
            (r"^\w$", "_", true),
            (r"^\w$", "é", false),
            (r"^[^\w-]$", "é", true),
            (r"^[^\w-]$", "-", false),
            (r"^[\s\S]$", "\u{a0}", true),
            (r"^\s$", "\u{a0}", false),
            (r"\ba\b", "éaé", true),
            (r"^.$", "é", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
    }

    #[test]
    fn regular_expressions_are_bounded_together() {
        let value = |text: &str| Value { text: text.to_owned(), scalar: Scalar::Text };
        let mut budget = Budget::default();
        let mut read = |text: &str| regex(&value(text), Flags::default(), Place::Whole, &mut budget);
        assert!(read(r"(?=a)").expect_err("refused").message.contains("look-around"));
        assert!(read(r"(a)\1").expect_err("refused").message.contains("backreferences"));
        assert!(read(r"\pL{5000}").expect_err("refused").message.contains("too large"));
        assert!(read(&"a".repeat(5_000)).expect_err("refused").message.contains("more than 4096 bytes"));
        let mut refused = None;
        for _ in 0..200 {
            refused = read(r"\pL{30}").err().or(refused);
        }
        assert!(refused.expect("refused in the end").message.contains("more than 32 MiB"));
    }
}
