//! What the topics of a pipeline are to each other: read by which source, written for whom, in each other's way.
//!
//! Owns what a source claims, P007, P011 and P012. Called by `pipeline::definition`.

use std::collections::{HashMap, HashSet};

use regex::Regex;

use super::Organisation;
use crate::diagnostic::{Diagnostic, Location, codes};
use crate::document::Spans;
use crate::sink::route::TopicTemplate;

/// What one source's entry takes, which no other may take as well.
pub struct Claim {
    /// The source's id, unless it is faulty.
    pub id: Option<String>,
    /// Topics by name.
    pub topics: Vec<String>,
    /// Topics by pattern.
    pub pattern: Option<Regex>,
    /// Where the entry stands.
    pub pointer: String,
}

impl Claim {
    /// Whether the topic is this source's.
    pub fn reads(&self, topic: &str) -> bool {
        reads(&self.topics, self.pattern.as_ref(), topic)
    }

    /// For messages.
    pub fn shown(&self) -> String {
        self.id.as_ref().map_or_else(|| "another source".to_owned(), |id| format!("the source `{id}`"))
    }

    /// Where it takes this topic.
    fn place(&self, topic: &str, spans: &Spans) -> Location {
        let key = match self.topics.iter().position(|name| name == topic) {
            Some(nth) => format!("topics/{nth}"),
            None => "topic_pattern".to_owned(),
        };
        spans.value(&format!("{}/{key}", self.pointer))
    }
}

/// Whether topics by name and by pattern hold this one.
pub fn reads(topics: &[String], pattern: Option<&Regex>, topic: &str) -> bool {
    topics.iter().any(|name| name == topic) || pattern.is_some_and(|pattern| pattern.is_match(topic))
}

/// The topics that are written, as far as they are sound.
pub struct Written<'t> {
    /// `alerts.topic`.
    pub alerts: Option<&'t TopicTemplate>,
    /// `rejects.topic`.
    pub rejects: Option<&'t TopicTemplate>,
}

const ALERTS: &str = "/alerts/topic";
const REJECTS: &str = "/rejects/topic";

impl Written<'_> {
    /// Every topic with the pointer of its template.
    fn all<'o>(&'o self, organisations: &'o [Organisation]) -> impl Iterator<Item = (String, &'static str)> {
        let templates = [(self.alerts, ALERTS), (self.rejects, REJECTS)];
        templates.into_iter().filter_map(|(template, pointer)| Some((template?, pointer))).flat_map(
            |(template, pointer)| {
                organisations.iter().map(move |organisation| (template.topic(&organisation.id), pointer))
            },
        )
    }
}

/// All that is wrong with topics that are each sound.
pub fn check(
    written: &Written<'_>,
    organisations: &[Organisation],
    claims: &[Claim],
    spans: &Spans,
    found: &mut Vec<Diagnostic>,
) {
    loops(written, organisations, claims, spans, found);
    mixed(written, organisations, spans, found);
    alike(written, organisations, claims, spans, found);
}

/// P007, once for each template.
fn loops(
    written: &Written<'_>,
    organisations: &[Organisation],
    claims: &[Claim],
    spans: &Spans,
    found: &mut Vec<Diagnostic>,
) {
    let mut told = HashSet::new();
    for (topic, pointer) in written.all(organisations) {
        let Some(claim) = claims.iter().find(|claim| claim.reads(&topic)) else { continue };
        if told.insert(pointer) {
            // A default stands nowhere: then it is the source that has to give way.
            let written = spans.is_written(pointer);
            let place = if written { spans.value(pointer) } else { claim.place(&topic, spans) };
            let message = format!("`{topic}` is also read by {}", claim.shown());
            let help = "a pipeline that reads what it writes never ends";
            found.push(Diagnostic::new(codes::P007, message).at(place).help(help));
        }
    }
}

/// P011.
fn mixed(written: &Written<'_>, organisations: &[Organisation], spans: &Spans, found: &mut Vec<Diagnostic>) {
    let all: Vec<_> = written.all(organisations).collect();
    let alerts: HashSet<&str> =
        all.iter().filter(|(_, pointer)| *pointer == ALERTS).map(|(topic, _)| topic.as_str()).collect();
    let both = all.iter().find(|(topic, pointer)| *pointer == REJECTS && alerts.contains(topic.as_str()));
    if let Some((topic, _)) = both {
        let place = if spans.is_written(REJECTS) { REJECTS } else { ALERTS };
        found.push(
            Diagnostic::new(codes::P011, format!("alerts and rejects both go to `{topic}`"))
                .at(spans.value(place))
                .help("whoever reads alerts would get rejected records: give `rejects.topic` another name"),
        );
    }
}

/// P012, once for each name.
fn alike(
    written: &Written<'_>,
    organisations: &[Organisation],
    claims: &[Claim],
    spans: &Spans,
    found: &mut Vec<Diagnostic>,
) {
    let read = claims.iter().flat_map(|claim| claim.topics.iter().map(move |topic| (topic, claim)));
    let read = read.map(|(topic, claim)| (topic.clone(), claim.place(topic, spans)));
    let written = written.all(organisations).map(|(topic, pointer)| (topic, spans.value(pointer)));
    let mut known: HashMap<String, String> = HashMap::new();
    let mut told = HashSet::new();
    for (topic, place) in read.chain(written) {
        let first = known.entry(topic.replace('.', "_")).or_insert_with(|| topic.clone());
        if *first != topic && told.insert(topic.clone()) {
            let message = format!("the topics `{first}` and `{topic}` differ only in `.` and `_`");
            let help =
                "Kafka's metrics have one name for both, so brokers refuse to create the second: use another";
            found.push(Diagnostic::new(codes::P012, message).at(place).help(help).warning());
        }
    }
}
