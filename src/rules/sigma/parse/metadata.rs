//! What a document says of itself: title, id, level and the like.
//!
//! Owns what is taken of it, and what stands in for what is missing: of metadata only a missing title keeps a rule from
//! being armed. Called by `parse`.

use chrono::NaiveDate;
use uuid::Uuid;

use super::super::fault::{Faults, suggest};
use super::super::yaml::{Content, Node};
use crate::diagnostic::{Location, codes};
use crate::normalise::schema::log_source::LogSource;
use crate::rules::meta::{RuleLevel, RuleMeta, RuleScope, RuleStatus, RuleTest};

/// Characters of a title.
pub(super) const TITLE_CHARS_MAX: usize = 256;
/// Characters of a description or another text.
const TEXT_CHARS_MAX: usize = 8_192;
/// Items of a list such as `references`.
const ITEMS_MAX: usize = 1_000;
/// Bytes of an id that is no UUID.
const ID_BYTES_MAX: usize = 128;

pub(super) const LEVELS: [RuleLevel; 5] =
    [RuleLevel::Informational, RuleLevel::Low, RuleLevel::Medium, RuleLevel::High, RuleLevel::Critical];
pub(super) const STATUSES: [RuleStatus; 5] = [
    RuleStatus::Stable,
    RuleStatus::Test,
    RuleStatus::Experimental,
    RuleStatus::Deprecated,
    RuleStatus::Unsupported,
];

/// Reads the metadata; `None` without a title.
pub(super) fn read(node: &Node, logsource: &LogSource, faults: &mut Faults<'_>) -> Option<RuleMeta> {
    let title = title(node, faults)?;
    let id = id(node, &title, logsource, faults);
    let level = one_of(node, "level", &LEVELS, RuleLevel::as_str, faults).unwrap_or_default();
    let status = one_of(node, "status", &STATUSES, RuleStatus::as_str, faults).unwrap_or_default();
    Some(RuleMeta {
        id,
        title,
        description: text(node, "description", faults),
        status,
        level,
        tags: texts(node, "tags", faults),
        references: texts(node, "references", faults),
        falsepositives: texts(node, "falsepositives", faults),
        author: author(node, faults),
        date: date(node, "date", faults),
        modified: date(node, "modified", faults),
        license: text(node, "license", faults),
        version: None,
        scope: RuleScope::PerOrg,
        entity: Vec::new(),
        suppress: None,
        tests: Vec::new(),
    })
}

/// The title, in one line.
pub(super) fn title(node: &Node, faults: &mut Faults<'_>) -> Option<String> {
    let title = text(node, "title", faults).unwrap_or_default();
    let line = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        let place = node.get("title").map_or(node.span.start..node.span.start, |title| title.span.clone());
        faults.refuse(
            codes::G002,
            "the document has no title",
            place,
            "write `title:` with what is detected",
        );
        return None;
    }
    Some(line.chars().take(TITLE_CHARS_MAX).collect())
}

/// The id, or one that lasts as long as what the rule is about does.
fn id(node: &Node, title: &str, logsource: &LogSource, faults: &mut Faults<'_>) -> String {
    let written = text(node, "id", faults).map(|id| id.trim().to_owned());
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match written {
        Some(id)
            if id.len() <= ID_BYTES_MAX
                && id.bytes().all(is_part)
                && id.starts_with(|c: char| c.is_ascii_alphanumeric()) =>
        {
            id
        }
        written => {
            let source = [&logsource.category, &logsource.product, &logsource.service];
            let source = source.map(|part| part.as_deref().unwrap_or_default()).join("/");
            let name = written.clone().unwrap_or_else(|| format!("{source}/{title}"));
            let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("sigma:{name}").as_bytes()).to_string();
            let (place, message) = match (node.get("id"), written) {
                (Some(node), Some(_)) => {
                    (node.span.clone(), format!("the id is no UUID; {id} stands in for it"))
                }
                _ => {
                    let place = node.get("title").map_or(node.span.clone(), |title| title.span.clone());
                    (
                        place,
                        format!(
                            "the rule has no id; {id}, made of its title and log source, stands in for it"
                        ),
                    )
                }
            };
            faults.warn(codes::G003, message, place, "write `id:` with a new UUID");
            id
        }
    }
}

/// The rule's own tests, in the form that SQL rules have them: a key that is not Sigma's, for rules of one's own.
pub(super) fn tests(node: &Node, faults: &mut Faults<'_>) -> Vec<PlacedTest> {
    const HELP: &str = "write a list of tests as SQL rules have them, each with `name`, `given` and `expect`";
    let Some((key, value)) = node.entry("tests") else { return Vec::new() };
    let Content::List(items) = &value.content else {
        faults.warn(codes::G022, "`tests` is no list", key.span.clone(), HELP);
        return Vec::new();
    };
    let mut tests = Vec::new();
    for item in items {
        match serde_json::from_value(item.json()) {
            Ok(test) => {
                let place = Location::new(faults.file(), item.span.clone());
                tests.push(PlacedTest { test, place });
            }
            Err(error) => {
                let message = format!("the test cannot be read: {error}");
                faults.warn(codes::G022, message, item.span.clone(), HELP);
            }
        }
    }
    tests
}

/// A test, and where it stands.
#[derive(Debug, Clone)]
pub(in crate::rules::sigma) struct PlacedTest {
    pub(in crate::rules::sigma) test: RuleTest,
    pub(in crate::rules::sigma) place: Location,
}

/// Some rules have a list of authors.
fn author(node: &Node, faults: &mut Faults<'_>) -> Option<String> {
    let authors = texts(node, "author", faults).join(", ");
    (!authors.is_empty()).then_some(authors)
}

/// A text of the document.
pub(super) fn text(node: &Node, name: &str, faults: &mut Faults<'_>) -> Option<String> {
    let value = node.get(name)?;
    if !matches!(value.content, Content::Scalar(..)) {
        faults.warn(codes::G003, format!("`{name}` is no text"), value.span.clone(), "write a text");
        return None;
    }
    value.text().map(|text| text.trim_end().chars().take(TEXT_CHARS_MAX).collect())
}

/// A list of texts, or a single one.
pub(super) fn texts(node: &Node, name: &str, faults: &mut Faults<'_>) -> Vec<String> {
    let Some(value) = node.get(name) else { return Vec::new() };
    let Content::List(items) = &value.content else {
        return text(node, name, faults).into_iter().filter(|text| !text.is_empty()).collect();
    };
    let mut texts = Vec::new();
    for item in items.iter().take(ITEMS_MAX) {
        match (&item.content, item.text()) {
            (Content::Scalar(..), Some(text)) => texts.push(text.chars().take(TEXT_CHARS_MAX).collect()),
            (Content::Scalar(..), None) => {}
            _ => faults.warn(
                codes::G003,
                format!("an item of `{name}` is no text"),
                item.span.clone(),
                "write a text",
            ),
        }
    }
    texts
}

fn one_of<T: Copy>(
    node: &Node,
    name: &str,
    known: &[T],
    as_str: fn(T) -> &'static str,
    faults: &mut Faults<'_>,
) -> Option<T> {
    let written = text(node, name, faults)?;
    let found = known.iter().find(|known| as_str(**known).eq_ignore_ascii_case(written.trim()));
    if found.is_none() {
        let place = node.get(name).map_or(node.span.clone(), |node| node.span.clone());
        let help = suggest(&written, known.iter().map(|known| as_str(*known)));
        faults.warn(codes::G003, format!("`{written}` is no {name}"), place, &help);
    }
    found.copied()
}

/// A day; rules of old have slashes in it.
fn date(node: &Node, name: &str, faults: &mut Faults<'_>) -> Option<String> {
    let written = text(node, name, faults)?;
    let date = written.trim().replace('/', "-");
    match NaiveDate::parse_from_str(&date, "%Y-%m-%d") {
        Ok(date) => Some(date.to_string()),
        Err(_) => {
            let place = node.get(name).map_or(node.span.clone(), |node| node.span.clone());
            faults.warn(codes::G003, format!("`{written}` is not a day"), place, "write YYYY-MM-DD");
            None
        }
    }
}
