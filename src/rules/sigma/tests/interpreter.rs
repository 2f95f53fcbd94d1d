//! The specification once more, in the simplest words: a rule as JSON against an event as JSON, without trees, routes and
//! patterns.
//!
//! It shares nothing with what it is compared with but the sample table: which fields have a type, and which two are one.

use std::collections::BTreeMap;

use chrono::Datelike;
use serde_json::Value as Json;

/// A character of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sign {
    Is(char),
    Many,
    One,
    Dash,
}

/// A value of a field.
#[derive(Debug, Clone)]
enum Got {
    Texts(Vec<String>),
    Whole(i64),
    Truth(bool),
}

/// A rule's `detection` and an event.
pub struct Case<'a> {
    pub detection: &'a Json,
    pub event: &'a Json,
    pub placeholders: &'a BTreeMap<String, Vec<String>>,
}

impl Case<'_> {
    /// Whether the rule fires.
    pub fn fires(&self) -> bool {
        match &self.detection["condition"] {
            Json::Array(conditions) => conditions.iter().any(|condition| self.condition(condition)),
            condition => self.condition(condition),
        }
    }

    fn condition(&self, condition: &Json) -> bool {
        let spaced = condition.as_str().expect("a text").replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut at = 0;
        let fires = self.or(&words, &mut at);
        assert_eq!(at, words.len(), "{spaced}");
        fires
    }

    fn or(&self, words: &[&str], at: &mut usize) -> bool {
        let mut fires = self.and(words, at);
        while words.get(*at) == Some(&"or") {
            *at += 1;
            fires |= self.and(words, at);
        }
        fires
    }

    fn and(&self, words: &[&str], at: &mut usize) -> bool {
        let mut fires = self.not(words, at);
        while words.get(*at) == Some(&"and") {
            *at += 1;
            fires &= self.not(words, at);
        }
        fires
    }

    fn not(&self, words: &[&str], at: &mut usize) -> bool {
        let word = words[*at];
        *at += 1;
        if word == "not" {
            return !self.not(words, at);
        }
        if word == "(" {
            let fires = self.or(words, at);
            *at += 1;
            return fires;
        }
        if words.get(*at) == Some(&"of") {
            let pattern = words[*at + 1];
            *at += 2;
            let names = self.detection.as_object().expect("a map").keys();
            let fits = |name: &&String| {
                *name != "condition"
                    && !name.starts_with('_')
                    && match pattern.strip_suffix('*') {
                        Some(start) => name.starts_with(start),
                        None => pattern == "them" || pattern == *name,
                    }
            };
            let all: Vec<bool> =
                names.filter(fits).map(|name| self.selection(&self.detection[name])).collect();
            let fire = all.iter().filter(|fires| **fires).count();
            return match word {
                "all" => fire == all.len(),
                "any" => fire > 0,
                count => fire >= count.parse().expect("a number"),
            };
        }
        self.selection(&self.detection[word])
    }

    fn selection(&self, selection: &Json) -> bool {
        match selection {
            Json::Object(items) => items.iter().all(|(key, value)| self.item(key, value)),
            Json::Array(items) => items.iter().any(|item| self.selection(item)),
            keyword => self.item("", keyword),
        }
    }

    fn item(&self, key: &str, value: &Json) -> bool {
        let mut modifiers = key.split('|');
        let field = modifiers.next().unwrap_or_default();
        let modifiers: Vec<&str> = modifiers.collect();
        let has = |name| modifiers.contains(&name);
        let mut values = match value {
            Json::Array(values) => values.clone(),
            value => vec![value.clone()],
        };
        if has("expand") {
            values = values.iter().flat_map(|value| self.expand(value)).collect();
        }
        let different = has("fieldref") && has("neq");
        let results: Vec<bool> = values.iter().map(|value| self.one(field, &modifiers, value)).collect();
        let all = results.iter().all(|result| *result);
        let any = results.iter().any(|result| *result);
        if different {
            return if has("all") { any } else { all };
        }
        (if has("all") { all } else { any }) != has("neq")
    }

    /// Each placeholder by each of its values; only whole values are placeholders in these rules.
    fn expand(&self, value: &Json) -> Vec<Json> {
        let name = value.as_str().and_then(|text| text.strip_prefix('%')?.strip_suffix('%'));
        match name.and_then(|name| self.placeholders.get(name)) {
            Some(values) => values.iter().map(|value| Json::String(value.clone())).collect(),
            None => vec![value.clone()],
        }
    }

    fn one(&self, field: &str, modifiers: &[&str], value: &Json) -> bool {
        if field.is_empty() {
            let text = Got::Texts(vec![leaves(self.event).join("\n")]);
            let mut modifiers = modifiers.to_vec();
            if !modifiers.contains(&"re") && !modifiers.contains(&"contains") {
                modifiers.push("contains");
            }
            return self.test(&modifiers, value, &text);
        }
        let columns: Vec<Option<Got>> = columns(field).iter().map(|column| get(self.event, column)).collect();
        if modifiers.contains(&"exists") {
            return columns.iter().any(Option::is_some) == (value == &Json::Bool(true));
        }
        if value.is_null() {
            return columns.iter().all(Option::is_none);
        }
        if modifiers.contains(&"fieldref") && modifiers.contains(&"neq") {
            let other = get(self.event, value.as_str().expect("a field"));
            let here = columns.iter().any(Option::is_some) && other.is_some();
            return here && !columns.iter().flatten().any(|got| self.test(modifiers, value, got));
        }
        columns.iter().flatten().any(|got| self.test(modifiers, value, got))
    }

    fn test(&self, modifiers: &[&str], value: &Json, got: &Got) -> bool {
        let has = |name| modifiers.contains(&name);
        let texts = match got {
            Got::Texts(texts) => texts.clone(),
            Got::Whole(number) => vec![number.to_string()],
            Got::Truth(flag) => vec![flag.to_string()],
        };
        if has("re") {
            let regex = regex::RegexBuilder::new(value.as_str().expect("a text"))
                .case_insensitive(has("i"))
                .build()
                .expect("a regular expression");
            return texts.iter().any(|text| regex.is_match(text));
        }
        if has("cidr") {
            let first = value.as_str().and_then(|network| network.strip_suffix("/8")).expect("a network");
            let first = first.split('.').next().unwrap_or_default();
            return texts.iter().any(|text| {
                text.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.octets()[0].to_string() == first)
            });
        }
        if let Some(comparison) = ["gt", "gte", "lt", "lte"].into_iter().find(|name| has(name)) {
            let wanted = value.as_f64().expect("a number");
            return !matches!(got, Got::Truth(_))
                && texts.iter().any(|text| match text.parse::<f64>() {
                    Ok(number) => match comparison {
                        "gt" => number > wanted,
                        "gte" => number >= wanted,
                        "lt" => number < wanted,
                        _ => number <= wanted,
                    },
                    Err(_) => false,
                });
        }
        if let Some(part) =
            ["minute", "hour", "day", "week", "month", "year"].into_iter().find(|name| has(name))
        {
            let wanted = value.as_i64().expect("a number");
            return matches!(got, Got::Texts(_))
                && texts.iter().any(|text| time_part(text, part) == Some(wanted));
        }
        if has("fieldref") {
            let Some(Got::Texts(others)) = get(self.event, value.as_str().expect("a field")) else {
                return false;
            };
            let signs: Vec<Vec<Sign>> =
                others.iter().map(|text| text.chars().map(Sign::Is).collect()).collect();
            return signs.iter().any(|signs| {
                let signs = placed(signs.clone(), modifiers);
                texts.iter().any(|text| fits(&signs, &text.chars().collect::<Vec<_>>(), has("cased")))
            });
        }
        let string = ["contains", "startswith", "endswith", "windash", "base64", "base64offset", "cased"];
        if !string.into_iter().any(has) {
            match (value, got) {
                (Json::Bool(flag), Got::Truth(got)) => return flag == got,
                (Json::Bool(flag), Got::Whole(got)) => return i64::from(*flag) == *got,
                (Json::Number(number), Got::Whole(got)) => return number.as_f64() == Some(*got as f64),
                (Json::Number(number), Got::Truth(got)) => {
                    return number.as_f64() == Some(f64::from(u8::from(*got)));
                }
                _ => {}
            }
        }
        let written = match value {
            Json::String(text) => text.clone(),
            other => other.to_string(),
        };
        for encoded in encodings(&written, modifiers) {
            let base64 = has("base64") || has("base64offset");
            let mut signs = if base64 { encoded.chars().map(Sign::Is).collect() } else { signs(&encoded) };
            if has("windash") {
                dashes(&mut signs);
            }
            let signs = placed(signs, modifiers);
            let plain: Option<String> = signs
                .iter()
                .map(|sign| if let Sign::Is(character) = sign { Some(*character) } else { None })
                .collect();
            let fires = match (plain, got) {
                (Some(plain), Got::Whole(number)) => whole(&plain) == Some(*number),
                (Some(plain), Got::Truth(flag)) => truth(&plain) == Some(*flag),
                _ => texts
                    .iter()
                    .any(|text| fits(&signs, &text.chars().collect::<Vec<_>>(), has("cased") || base64)),
            };
            if fires {
                return true;
            }
        }
        false
    }
}

fn columns(field: &str) -> Vec<&str> {
    if field == "Hash" { vec!["md5", "sha1"] } else { vec![field] }
}

fn get(event: &Json, field: &str) -> Option<Got> {
    let value = field.split('.').try_fold(event, |value, name| value.get(name))?;
    match (field, value) {
        (_, Json::Null) => None,
        ("EventID", Json::Number(number)) => number.as_i64().map(Got::Whole),
        ("EventID", Json::String(text)) => whole(text).map(Got::Whole),
        ("EventID", Json::Bool(flag)) => Some(Got::Whole(i64::from(*flag))),
        ("Elevated", Json::Bool(flag)) => Some(Got::Truth(*flag)),
        ("Elevated", Json::String(text)) => truth(text).map(Got::Truth),
        ("Elevated", other) => truth(&other.to_string()).map(Got::Truth),
        (_, Json::String(text)) => Some(Got::Texts(vec![text.clone()])),
        (_, Json::Array(items)) => Some(Got::Texts(items.iter().flat_map(leaves).collect())),
        (_, other) => Some(Got::Texts(vec![other.to_string()])),
    }
}

fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    match text.get(..2) {
        Some("0x" | "0X") => i64::from_str_radix(&text[2..], 16).ok(),
        _ => text.parse().ok(),
    }
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// All values as text.
fn leaves(value: &Json) -> Vec<String> {
    match value {
        Json::Null => vec![],
        Json::String(text) => vec![text.clone()],
        Json::Array(items) => items.iter().flat_map(leaves).collect(),
        Json::Object(items) => items.values().flat_map(leaves).collect(),
        other => vec![other.to_string()],
    }
}

fn signs(text: &str) -> Vec<Sign> {
    let text: Vec<char> = text.chars().collect();
    let mut signs = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let next = text.get(at + 1);
        signs.push(match text[at] {
            '\\' if matches!(next, Some('*' | '?' | '\\')) => {
                at += 1;
                Sign::Is(text[at])
            }
            '*' => Sign::Many,
            '?' => Sign::One,
            other => Sign::Is(other),
        });
        at += 1;
    }
    signs
}

fn placed(signs: Vec<Sign>, modifiers: &[&str]) -> Vec<Sign> {
    let within = modifiers.contains(&"contains");
    let mut placed = Vec::new();
    if within || modifiers.contains(&"endswith") {
        placed.push(Sign::Many);
    }
    placed.extend(signs);
    if within || modifiers.contains(&"startswith") {
        placed.push(Sign::Many);
    }
    placed
}

fn dashes(signs: &mut [Sign]) {
    let regex = regex::Regex::new(r"\B[-/\u{2013}\u{2014}\u{2015}]\b").expect("a regular expression");
    let text: String =
        signs.iter().map(|sign| if let Sign::Is(character) = sign { *character } else { ' ' }).collect();
    for found in regex.find_iter(&text) {
        signs[text[..found.start()].chars().count()] = Sign::Dash;
    }
}

fn fits(signs: &[Sign], text: &[char], cased: bool) -> bool {
    let Some((first, rest)) = signs.split_first() else { return text.is_empty() };
    match first {
        Sign::Many => (0..=text.len()).any(|from| fits(rest, &text[from..], cased)),
        _ => text.split_first().is_some_and(|(character, text)| {
            let same = match first {
                Sign::Is(wanted) if cased => wanted == character,
                Sign::Is(wanted) => is_same_letter(*wanted, *character),
                Sign::Dash => "-/\u{2013}\u{2014}\u{2015}".contains(*character),
                _ => true,
            };
            same && fits(rest, text, cased)
        }),
    }
}

/// Unicode's simple folding: by it, a dotless i is a letter of its own.
fn is_same_letter(a: char, b: char) -> bool {
    if a == 'ı' || b == 'ı' {
        return a == b;
    }
    let lower = |c: char| c.to_lowercase().collect::<String>();
    let upper = |c: char| c.to_uppercase().collect::<String>();
    lower(a) == lower(b) || upper(a) == upper(b)
}

/// Base64 by its meaning: the digits that are the same whatever stands before and behind.
fn encodings(text: &str, modifiers: &[&str]) -> Vec<String> {
    let has = |name| modifiers.contains(&name);
    let bytes: Vec<u8> = if has("wide") {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    } else {
        text.bytes().collect()
    };
    if has("base64") {
        let padding = (3 - bytes.len() % 3) % 3;
        let digits = digits(&[bytes.as_slice(), &vec![0; padding]].concat());
        return vec![digits[..digits.len() - padding].to_owned() + &"=".repeat(padding)];
    }
    if !has("base64offset") {
        return vec![text.to_owned()];
    }
    (0..3)
        .map(|before| {
            let among = |fill: u8| {
                let mut padded = [vec![fill; before], bytes.clone()].concat();
                while padded.len() % 3 != 0 {
                    padded.push(fill);
                }
                digits(&padded)
            };
            let (low, high) = (among(0), among(0xff));
            low.chars().zip(high.chars()).filter(|(low, high)| low == high).map(|(low, _)| low).collect()
        })
        .collect()
}

fn digits(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let digit = |bits: &[u8]| {
        let bits = std::str::from_utf8(bits).expect("digits");
        alphabet[usize::from_str_radix(bits, 2).expect("six bits")]
    };
    bits.as_bytes().chunks(6).map(digit).collect()
}

/// A part of `YYYY-MM-DDTHH:MM:SSZ`.
fn time_part(text: &str, part: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    if text.len() != 20 || !text.ends_with('Z') {
        return None;
    }
    match part {
        "year" => number(0..4),
        "month" => number(5..7),
        "day" => number(8..10),
        "hour" => number(11..13),
        "minute" => number(14..16),
        _ => {
            let day = chrono::NaiveDate::parse_from_str(text.get(..10)?, "%Y-%m-%d").ok()?;
            Some(i64::from(day.iso_week().week()))
        }
    }
}
