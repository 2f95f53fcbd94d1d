//! Trees on events as JSON: what `expression` does on columns, in the simplest words.

use std::cell::RefCell;
use std::collections::HashMap;

use chrono::{DateTime, Datelike, Timelike, Utc};
use regex::Regex;
use serde_json::Value as Json;

use crate::rules::functions::Network;
use crate::rules::sigma::tree::{Column, Comparison, Condition, Part, Pattern, Place, Test, TimePart};

/// Whether a condition holds.
pub fn holds(condition: &Condition, event: &Json) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| holds(part, event)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, event)),
        Condition::AtLeast(count, parts) => {
            parts.iter().filter(|part| holds(part, event)).count() as u64 >= *count
        }
        Condition::Not(part) => !holds(part, event),
        Condition::Test(column, test) => passes(&cells(column, event), test, event),
    }
}

/// The items of a value as text, in the form of the column's type; none when there is no value.
fn cells(column: &Column, event: &Json) -> Option<Vec<String>> {
    let (Column::Named(path) | Column::Path(path)) = column else {
        let mut lines = Vec::new();
        scalars(event, &mut lines);
        return Some(vec![lines.join("\n")]);
    };
    let value = event.pointer(&format!("/{}", path.replace('.', "/"))).filter(|value| !value.is_null())?;
    let mut texts = Vec::new();
    scalars(value, &mut texts);
    let first = texts.first().map_or("", |text| text.trim());
    match path.as_str() {
        "EventID" => {
            let number = match value {
                Json::Bool(flag) => Some(i64::from(*flag)),
                _ => match first.strip_prefix("0x").or(first.strip_prefix("0X")) {
                    Some(hex) => i64::from_str_radix(hex, 16).ok(),
                    None => first.parse().ok(),
                },
            };
            Some(vec![number?.to_string()])
        }
        "Elevated" => {
            let flag = if first == "1" || first.eq_ignore_ascii_case("true") {
                true
            } else if first == "0" || first.eq_ignore_ascii_case("false") {
                false
            } else {
                return None;
            };
            Some(vec![flag.to_string()])
        }
        _ => Some(texts),
    }
}

fn scalars(value: &Json, lines: &mut Vec<String>) {
    match value {
        Json::Null => {}
        Json::String(text) => lines.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| scalars(item, lines)),
        Json::Object(items) => items.values().for_each(|item| scalars(item, lines)),
        other => lines.push(other.to_string()),
    }
}

fn passes(cells: &Option<Vec<String>>, test: &Test, event: &Json) -> bool {
    let Some(texts) = cells else { return *test == Test::Null };
    let any = |passes: &dyn Fn(&str) -> bool| texts.iter().any(|text| passes(text));
    match test {
        Test::Null => false,
        Test::Present => true,
        Test::Like { pattern, cased } => {
            let regex = regex_of(pattern, *cased);
            any(&|text| regex.is_match(text))
        }
        Test::Regex { pattern } => {
            let regex = compiled(pattern);
            any(&|text| regex.is_match(text))
        }
        Test::Cidr(network) => {
            assert!(Network::parse(network).is_ok());
            let (first, _) = network.split_once('.').expect("IPv4");
            any(&|text| text.parse::<std::net::Ipv4Addr>().is_ok() && text.split('.').next() == Some(first))
        }
        Test::Number(comparison, wanted) => any(&|text| match (text.parse::<f64>(), comparison) {
            (Ok(number), Comparison::Equal) => number == *wanted,
            (Ok(number), Comparison::Less) => number < *wanted,
            (Ok(number), Comparison::LessOrEqual) => number <= *wanted,
            (Ok(number), Comparison::Greater) => number > *wanted,
            (Ok(number), Comparison::GreaterOrEqual) => number >= *wanted,
            (Err(_), _) => false,
        }),
        Test::Flag(flag) => any(&|text| text == flag.to_string()),
        Test::Same { other, place, cased } => {
            let others = cells_of(other, event);
            others.iter().any(|other| {
                let mut parts = vec![Part::Literal(other.clone())];
                if matches!(place, Place::Within | Place::End) {
                    parts.insert(0, Part::Any);
                }
                if matches!(place, Place::Within | Place::Start) {
                    parts.push(Part::Any);
                }
                let regex = regex_of(&Pattern(parts), *cased);
                any(&|text| regex.is_match(text))
            })
        }
        Test::TimePart(part, wanted) => any(&|text| {
            let Ok(time) = DateTime::parse_from_rfc3339(text) else { return false };
            let time = time.with_timezone(&Utc);
            let number = match part {
                TimePart::Minute => i64::from(time.minute()),
                TimePart::Hour => i64::from(time.hour()),
                TimePart::Day => i64::from(time.day()),
                TimePart::Week => i64::from(time.iso_week().week()),
                TimePart::Month => i64::from(time.month()),
                TimePart::Year => i64::from(time.year()),
            };
            number == *wanted
        }),
    }
}

fn cells_of(column: &Column, event: &Json) -> Vec<String> {
    cells(column, event).unwrap_or_default()
}

fn regex_of(pattern: &Pattern, cased: bool) -> Regex {
    let parts = pattern.0.iter().map(|part| match part {
        Part::Literal(text) => regex::escape(text),
        Part::Any => ".*".to_owned(),
        Part::One => ".".to_owned(),
        Part::Dash => "[-/\u{2013}\u{2014}\u{2015}]".to_owned(),
    });
    let flags = if cased { "(?s)" } else { "(?is)" };
    compiled(&format!("{flags}\\A{}\\z", parts.collect::<String>()))
}

/// Compiled once: rules are looked at with several events.
fn compiled(pattern: &str) -> Regex {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    COMPILED.with_borrow_mut(|compiled| {
        let made = || Regex::new(pattern).expect("compiles");
        compiled.entry(pattern.to_owned()).or_insert_with(made).clone()
    })
}
