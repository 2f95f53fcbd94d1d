//! The Kafka headers of an alert: ours, and those that a pipeline adds for its consumers.
//!
//! Owns the templates of added headers and what they may be. Values are printable ASCII, so that a consumer routes
//! without parsing. Templates are read by `pipeline::definition`, filled by `detect::alert`.

use std::borrow::Cow;
use std::sync::Arc;

use super::identity::header;

/// A header: name and value.
pub type AlertHeader = (Cow<'static, str>, String);

/// Added headers in one pipeline.
pub const ADDED_MAX: usize = 8;
/// Longest name of an added header, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest template, and longest value that is made of one, in bytes.
const VALUE_BYTES_MAX: usize = 256;

/// What stands in braces, and the header of ours whose value it is.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("alert_id", "noroshi-alert-id"),
    ("org_id", "noroshi-org-id"),
    ("source", "noroshi-source"),
    ("rule_id", "noroshi-rule-id"),
    ("rule_version", "noroshi-rule-version"),
    ("level", "noroshi-level"),
    ("severity_id", "noroshi-severity-id"),
    ("tlp", "noroshi-tlp"),
];

/// A header that a pipeline adds to each alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTemplate {
    name: Arc<str>,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The value of this header of ours.
    Of(&'static str),
}

/// Why a header cannot be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    /// Its name.
    #[error("`{0}` cannot be the name of a header: use printable ASCII without spaces, at most 64 bytes")]
    Name(String),
    /// Its name is one of ours.
    #[error("the header `{0}` is Noroshi's own")]
    Own(String),
    /// A brace without its other half.
    #[error("a brace without its other half")]
    Brace,
    /// Something else in braces.
    #[error("`{{{0}}}` is no placeholder: there are {placeholders}", placeholders = placeholders())]
    Placeholder(String),
    /// Its text.
    #[error("the value may have at most 256 bytes, all printable ASCII")]
    Value,
}

fn placeholders() -> String {
    let names: Vec<String> = PLACEHOLDERS.iter().map(|(name, _)| format!("{{{name}}}")).collect();
    names.join(", ")
}

impl HeaderTemplate {
    /// Reads a template: text with placeholders in braces.
    pub fn parse(name: &str, text: &str) -> Result<Self, HeaderError> {
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(HeaderError::Name(name.to_owned()));
        }
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("noroshi-") || lower == "content-type" {
            return Err(HeaderError::Own(name.to_owned()));
        }
        if text.len() > VALUE_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
            return Err(HeaderError::Value);
        }
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inner, after)) = after.split_once('}') else {
                return Err(HeaderError::Brace);
            };
            let known = PLACEHOLDERS.iter().find(|(known, _)| *known == inner);
            let Some((_, of)) = known else { return Err(HeaderError::Placeholder(inner.to_owned())) };
            parts.extend([Part::Text(before.to_owned()), Part::Of(of)]);
            rest = after;
        }
        if rest.contains('}') {
            return Err(HeaderError::Brace);
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self { name: Arc::from(name), parts })
    }

    /// The header of the alert that has these headers of ours.
    pub(super) fn fill(&self, ours: &[AlertHeader]) -> AlertHeader {
        let value =
            |of: &str| ours.iter().find(|(name, _)| name == of).map_or("", |(_, value)| value.as_str());
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Of(of) => value(of),
        });
        // Made of printable ASCII, it stays that.
        let mut made: String = parts.collect();
        made.truncate(VALUE_BYTES_MAX);
        (Cow::Owned(self.name.as_ref().to_owned()), made)
    }
}

/// The headers of an alert: those that it has in any case, then those that are added.
pub(super) fn headers(
    ours: impl IntoIterator<Item = (&'static str, String)>,
    added: &[HeaderTemplate],
) -> Vec<AlertHeader> {
    let ours = ours.into_iter().map(|(name, value)| (Cow::Borrowed(name), header(&value)));
    let mut headers: Vec<AlertHeader> = ours.collect();
    let more: Vec<AlertHeader> = added.iter().map(|template| template.fill(&headers)).collect();
    headers.extend(more);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_with_what_the_alert_says_of_itself() {
        let ours = [("noroshi-org-id", "power".to_owned()), ("noroshi-source", "power-ids".to_owned())];
        let long = format!("{{org_id}}{}", "x".repeat(240));
        for (name, text, expect) in [
            ("splunk.header.index", "noroshi_{org_id}", Ok("noroshi_power")),
            ("splunk.header.source", "{source}", Ok("power-ids")),
            ("splunk.header.sourcetype", "noroshi:ocsf", Ok("noroshi:ocsf")),
            ("both", "{org_id}/{source}", Ok("power/power-ids")),
            ("absent", "<{rule_id}>", Ok("<>")),
            ("empty", "", Ok("")),
            ("long", &long, Ok(&*format!("power{}", "x".repeat(240)))),
            ("a b", "x", Err("`a b` cannot be the name")),
            ("", "x", Err("`` cannot be the name")),
            ("Noroshi-Level", "x", Err("is Noroshi's own")),
            ("content-type", "x", Err("is Noroshi's own")),
            ("a", "{org}", Err("`{org}` is no placeholder: there are {alert_id}, {org_id}")),
            ("a", "{org_id", Err("brace")),
            ("a", "x}", Err("brace")),
            ("a", "caf\u{e9}", Err("printable ASCII")),
            ("a", &"x".repeat(257), Err("at most 256 bytes")),
        ] {
            let made = HeaderTemplate::parse(name, text).map(|template| {
                let made = headers(ours.clone(), &[template]);
                made.last().cloned().expect("added")
            });
            match (made, expect) {
                (Ok(made), Ok(expect)) => {
                    assert_eq!(made, (Cow::Borrowed(name), expect.to_owned()), "{text}")
                }
                (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{text}: {error}"),
                (made, _) => panic!("{name} = {text}: {made:?}"),
            }
        }
    }
}
