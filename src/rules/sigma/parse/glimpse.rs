//! What can be seen of a document that cannot be used: so that who is told of it knows which one it is.
//!
//! Owns guessing at the lines of broken YAML. Nothing is checked or told here. Called by `documents`.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::documents::{Headline, SigmaKind};
use super::super::yaml::{self, Content, Node};
use super::metadata::{LEVELS, STATUSES, TITLE_CHARS_MAX};
use crate::normalise::schema::log_source::LogSource;
use crate::rules::meta::{RuleLevel, RuleStatus};

/// Tags that are looked at.
const TAGS_MAX: usize = 1_000;

/// What can be seen.
#[derive(Debug)]
pub(in super::super) struct Glimpse {
    pub(in super::super) kind: SigmaKind,
    pub(in super::super) headline: Headline,
    pub(in super::super) log_source: LogSource,
}

/// What can be seen of the document that stands here.
pub(in super::super) fn glimpse(text: &str, range: Range<usize>) -> Glimpse {
    let written = match yaml::read(text, range.clone()) {
        Ok(node) => of_node(&node),
        Err(_) => of_lines(text.get(range).unwrap_or_default()),
    };
    let one = |key: &str| {
        let line = written.values.get(key)?.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().take(TITLE_CHARS_MAX).collect();
        Some(line).filter(|line| !line.is_empty())
    };
    let named = |key: &str, name: &str| one(key).is_some_and(|written| written.eq_ignore_ascii_case(name));
    let level = LEVELS.iter().copied().find(|level| named("level", RuleLevel::as_str(*level)));
    let status = STATUSES.iter().copied().find(|status| named("status", RuleStatus::as_str(*status)));
    Glimpse {
        kind: written.kind,
        headline: Headline { id: one("id"), title: one("title"), level, status, tags: written.tags },
        log_source: LogSource { category: one("category"), product: one("product"), service: one("service") },
    }
}

struct Written {
    kind: SigmaKind,
    /// By key; those of the log source among them.
    values: BTreeMap<String, String>,
    tags: Vec<String>,
}

fn of_node(node: &Node) -> Written {
    let kind = match (node.get("correlation"), node.get("filter")) {
        (Some(_), _) => SigmaKind::Correlation,
        (None, Some(_)) => SigmaKind::Filter,
        (None, None) => SigmaKind::Rule,
    };
    let source = node.get("logsource");
    let value = |key: &str| match key {
        "category" | "product" | "service" => source?.get(key)?.text(),
        key => node.get(key)?.text(),
    };
    let values = KEYS.iter().filter_map(|key| Some(((*key).to_owned(), value(key)?.to_owned())));
    let tags = match node.get("tags").map(|tags| &tags.content) {
        Some(Content::List(tags)) => {
            tags.iter().take(TAGS_MAX).filter_map(Node::text).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    Written { kind, values: values.collect(), tags }
}

const KEYS: [&str; 7] = ["title", "id", "level", "status", "category", "product", "service"];

/// The keys at the beginning of lines, and those of the log source below it.
fn of_lines(text: &str) -> Written {
    let mut written = Written { kind: SigmaKind::Rule, values: BTreeMap::new(), tags: Vec::new() };
    let mut above = "";
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let inner = key.starts_with([' ', '\t']);
        let key = key.trim();
        if !inner {
            above = key;
            match key {
                "filter" => written.kind = SigmaKind::Filter,
                "correlation" => written.kind = SigmaKind::Correlation,
                _ => {}
            }
        }
        let of_source = matches!(key, "category" | "product" | "service");
        if KEYS.contains(&key) && inner == of_source && (!inner || above == "logsource") {
            let value = value.trim().trim_matches(['\'', '"']);
            written.values.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_document_is_known_by_what_can_be_seen() {
        let sound = "title: 'A  title'\nid: a-1\nlevel: High\nstatus: test\nlogsource:\n    category: c\n    product: p\n";
        let seen = |text: &str| {
            let Glimpse { kind, headline, log_source } = glimpse(text, 0..text.len());
            let level = headline.level.map_or("-", RuleLevel::as_str);
            let text = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            format!("{kind:?} {} {} {level} {log_source}", text(headline.id), text(headline.title))
        };
        for (more, expect) in [
            ("detection: 1\n", "Rule a-1 A title high p / c"),
            ("detection: [\n  title: no\n", "Rule a-1 A title high p / c"),
            ("filter: [\n", "Filter a-1 A title high p / c"),
            ("filter: x\n", "Filter a-1 A title high p / c"),
            ("correlation: {}\n", "Correlation a-1 A title high p / c"),
        ] {
            assert_eq!(seen(&format!("{sound}{more}")), expect, "{more}");
        }
        assert_eq!(seen("title: [\nlevel: hihg\ndetection:\n    product: x\n"), "Rule - [ - ");
        assert_eq!(seen("\u{0}"), "Rule - - - ");
    }
}
