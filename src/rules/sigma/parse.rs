//! Documents: the rules, filters and correlations of a YAML file, checked as far as no table is needed for it.
//!
//! Owns what a document is and its metadata; it and its parts are the only ones that name the Sigma parser. What is wrong
//! is a warning at its place, all of a document at once; the document is left out then, and the others go on. Called by
//! `rules::load`; `lower` carries on.

mod condition;
mod correlation;
mod detection;
mod glimpse;
mod metadata;

use std::ops::Range;
use std::sync::Arc;

use super::ask::Budget;
use super::correlation::SigmaCorrelation;
use super::fault::{Faults, clipped, suggest};
use super::filter::{SigmaFilter, Targets};
use super::yaml::{self, Content, Node};
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes, nearest};
use crate::normalise::schema::log_source::LogSource;
use crate::rules::meta::RuleMeta;
pub(super) use condition::Expression;
pub(super) use detection::{Detection, Item, Values, within};
pub(super) use glimpse::glimpse;

/// Documents of one file.
const DOCUMENTS_MAX: usize = 4_000;
/// Parts of all documents of a file, those of `action: global` counted in each.
const PARTS_MAX: usize = 500_000;

/// A sound document.
#[derive(Debug)]
pub enum Document {
    /// A rule for single events.
    Rule(SigmaRule),
    /// A condition on rules.
    Filter(SigmaFilter),
    /// A rule on the hits of rules.
    Correlation(SigmaCorrelation),
}

/// A rule for single events.
#[derive(Debug)]
pub struct SigmaRule {
    /// What it says of itself; `scope` and `entity` are not Sigma's, `tests` are ours.
    pub meta: RuleMeta,
    /// What correlations and filters may call it.
    pub name: Option<String>,
    /// Which events.
    pub logsource: LogSource,
    /// Where that stands.
    pub(super) logsource_place: Location,
    /// Fields that analysts want to see.
    pub fields: Vec<String>,
    /// Where its title stands.
    pub place: Location,
    /// Where each of its tests stands.
    pub(super) test_places: Vec<Location>,
    /// Its text in the file: all of it where it has one document, or where others are part of it.
    pub(super) text: Range<usize>,
    /// What it looks for.
    pub(super) search: Search,
}

/// What a rule or a filter looks for.
#[derive(Debug)]
pub(super) struct Search {
    /// The selections, in the order of the text; expressions name them by their index.
    pub(super) detections: Vec<Detection>,
    /// One is enough.
    pub(super) conditions: Vec<Expression>,
}

/// Reads the documents of a file. `action: global` is put under all that follow, until `action: reset`;
/// `action: repeat` is put over the document before it.
pub fn documents(file: &Arc<SourceFile>, found: &mut Vec<Diagnostic>) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut budget = Budget::default();
    let mut parts = 0usize;
    let (mut global, mut before): (Option<Node>, Option<Node>) = (None, None);
    let ranges = yaml::ranges(&file.text);
    let is_whole = ranges.len() <= 1 || file.text.lines().any(|line| line.starts_with("action:"));
    for (at, range) in ranges.into_iter().enumerate() {
        let mut faults = Faults::new(file, found);
        if at >= DOCUMENTS_MAX {
            let message = format!("the file has more than {DOCUMENTS_MAX} documents");
            faults.refuse(codes::G012, message, range, "split the file");
            break;
        }
        let text = if is_whole { 0..file.text.len() } else { range.clone() };
        let node = match yaml::read(&file.text, range) {
            Ok(node) => node,
            Err(broken) => {
                let help = "the other documents of the file are not touched by it";
                faults.refuse(codes::G001, broken.message, broken.span, help);
                before = None;
                continue;
            }
        };
        if !matches!(node.content, Content::Map(_)) {
            faults.refuse(codes::G002, "the document is no map", node.span, "a rule begins with `title:`");
            continue;
        }
        let action = node.get("action").map(|action| (action.text().map(str::to_owned), action.span.clone()));
        let node = match action {
            None => node,
            Some((Some(action), span)) => match action.as_str() {
                "global" => {
                    global = Some(node.without("action"));
                    continue;
                }
                "reset" => {
                    global = None;
                    continue;
                }
                "repeat" => match before.take() {
                    Some(before) => node.without("action").over(before),
                    None => {
                        let message = "there is no document before this one to repeat";
                        faults.refuse(codes::G002, message, span, "leave `action` out");
                        continue;
                    }
                },
                other => {
                    let message = format!("the action `{other}` is not known");
                    faults.refuse(codes::G002, message, span, &suggest(other, ["global", "reset", "repeat"]));
                    continue;
                }
            },
            Some((None, span)) => {
                faults.refuse(codes::G002, "`action` has no value", span, "write global, reset or repeat");
                continue;
            }
        };
        let node = match &global {
            Some(global) => node.over(global.clone()),
            None => node,
        };
        parts = parts.saturating_add(node.parts());
        if parts > PARTS_MAX {
            let message = format!("the documents of the file have more than {PARTS_MAX} parts");
            faults.refuse(codes::G012, message, node.span, "split the file");
            break;
        }
        documents.extend(document(&node, text, &mut budget, &mut faults));
        before = Some(node);
    }
    documents
}

fn document(
    node: &Node,
    text: Range<usize>,
    budget: &mut Budget,
    faults: &mut Faults<'_>,
) -> Option<Document> {
    let title = node.get("title").map_or(node.span.start..node.span.start, |title| title.span.clone());
    let place = Location::new(faults.file(), title);
    if let Some(correlation) = node.get("correlation") {
        return correlation::read(node, correlation, place, faults).map(Document::Correlation);
    }
    if let Some((key, filter)) = node.entry("filter") {
        let targets = targets(key, filter, faults);
        let search = detection::search(key, filter, &["rules"], budget, faults);
        let title = metadata::title(node, faults);
        let logsource = match node.get("logsource") {
            Some(node) => logsource(node, faults),
            None => {
                let help = "write the `logsource:` of the rules that it is for";
                faults.refuse(codes::G002, "the filter has no `logsource`", key.span.clone(), help);
                LogSource::default()
            }
        };
        let rules = filter.get("rules").map_or(&filter.span, |rules| &rules.span).clone();
        let rules_place = Location::new(faults.file(), rules);
        let (targets, search, title) = (targets?, search?, title?);
        let id = metadata::text(node, "id", faults);
        let filter = SigmaFilter { title, id, logsource, place, text, rules_place, targets, search };
        return (!faults.any()).then_some(Document::Filter(filter));
    }
    let Some((key, detection)) = node.entry("detection") else {
        let help = "a Sigma document has `detection`, `correlation` or `filter`";
        faults.refuse(codes::G002, "the document has no `detection`", place.span, help);
        return None;
    };
    let search = detection::search(key, detection, &[], budget, faults);
    let logsource = match node.get("logsource") {
        Some(node) => logsource(node, faults),
        None => {
            let help = "write `logsource:` with `category`, `product` or `service`";
            faults.refuse(codes::G002, "the rule has no `logsource`", place.span.clone(), help);
            LogSource::default()
        }
    };
    let meta = metadata::read(node, &logsource, faults);
    let tests = metadata::tests(node, faults);
    let logsource_place =
        Location::new(faults.file(), node.get("logsource").map_or(&place.span, |node| &node.span).clone());
    let (search, mut meta) = (search?, meta?);
    meta.tests = tests.iter().map(|placed| placed.test.clone()).collect();
    let test_places = tests.into_iter().map(|placed| placed.place).collect();
    let name = metadata::text(node, "name", faults);
    let fields = metadata::texts(node, "fields", faults);
    let rule = SigmaRule { meta, name, logsource, logsource_place, fields, place, test_places, text, search };
    (!faults.any()).then_some(Document::Rule(rule))
}

/// What Sigma's log sources are made of.
const LOGSOURCE_KEYS: [&str; 4] = ["category", "product", "service", "definition"];

fn logsource(node: &Node, faults: &mut Faults<'_>) -> LogSource {
    let mut part = |name: &str| metadata::text(node, name, faults).map(|text| text.trim().to_owned());
    let source = LogSource { category: part("category"), product: part("product"), service: part("service") };
    if let Content::Map(entries) = &node.content {
        for (key, _) in entries.iter().filter(|(key, _)| !LOGSOURCE_KEYS.contains(&key.name.as_str())) {
            let message = format!("`{}` says nothing of a log source", clipped(&key.name));
            match nearest(&key.name, LOGSOURCE_KEYS).first() {
                // It would be of more than was meant.
                Some(meant) => {
                    let help = format!("did you mean `{meant}`?");
                    faults.refuse(codes::G002, message, key.span.clone(), &help);
                }
                None => {
                    let help = "nothing looks at it; write `category`, `product` and `service`";
                    faults.warn(codes::G003, message, key.span.clone(), help);
                }
            }
        }
    }
    if source == LogSource::default() {
        let help = "write at least one of `category`, `product` and `service`";
        faults.refuse(codes::G002, "the log source says nothing", node.span.clone(), help);
    }
    source
}

fn targets(key: &yaml::Key, filter: &Node, faults: &mut Faults<'_>) -> Option<Targets> {
    let rules = metadata::texts(filter, "rules", faults);
    match rules.as_slice() {
        [] => {
            let help = "write the ids or names of the rules, or `rules: any`";
            faults.refuse(codes::G002, "the filter names no rules", key.span.clone(), help);
            None
        }
        [any] if any.eq_ignore_ascii_case("any") => Some(Targets::Any),
        _ => Some(Targets::These(rules)),
    }
}
