//! Organisation → topic, by a template from configuration; no byte of an event takes part (I-4).

use crate::record::OrgId;

/// A topic, or one for each organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    before: String,
    after: Option<String>,
}

/// Why a text is no topic template.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    /// A placeholder other than `{org_id}`, or the same twice.
    #[error("`{0}` is not a topic template: the only placeholder is {{org_id}}, at most once")]
    Placeholder(String),
    /// Kafka would refuse the name.
    #[error("`{0}` cannot be a topic's name: Kafka allows letters, digits, `.`, `_` and `-`, at most 249")]
    Name(String),
}

impl TopicTemplate {
    /// A topic without a placeholder.
    pub fn fixed(topic: &str) -> Self {
        Self { before: topic.to_owned(), after: None }
    }

    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (before, after) = match text.split_once("{org_id}") {
            Some((before, after)) => (before, Some(after)),
            None => (text, None),
        };
        if [Some(before), after].into_iter().flatten().any(|part| part.contains(['{', '}'])) {
            return Err(TemplateError::Placeholder(text.to_owned()));
        }
        let template = Self { before: before.to_owned(), after: after.map(str::to_owned) };
        // The longest id that configuration allows.
        let longest = template.topic(&OrgId::new(&"x".repeat(63)));
        if Self::is_topic(&longest) { Ok(template) } else { Err(TemplateError::Name(text.to_owned())) }
    }

    /// The topic of an organisation.
    pub fn topic(&self, org_id: &OrgId) -> String {
        match &self.after {
            Some(after) => format!("{}{org_id}{after}", self.before),
            None => self.before.clone(),
        }
    }

    /// Whether Kafka allows the name.
    pub fn is_topic(name: &str) -> bool {
        (1..=249).contains(&name.len())
            && !matches!(name, "." | "..")
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let power = OrgId::new("power");
        for (text, expect) in [
            ("alerts", Some("alerts")),
            ("alerts.{org_id}", Some("alerts.power")),
            ("{org_id}-a", Some("power-a")),
            ("alerts.{org}", None),
            ("{org_id}{org_id}", None),
            ("a b", None),
            ("", None),
            (&"x".repeat(200), Some(&*"x".repeat(200))),
            (&format!("{}{{org_id}}", "x".repeat(200)), None),
        ] {
            let topic = TopicTemplate::parse(text).ok().map(|template| template.topic(&power));
            assert_eq!(topic.as_deref(), expect, "{text}");
        }
        assert!(!TopicTemplate::is_topic(".."));
    }
}
