//! A pipeline folder: `pipelines/<name>/pipeline.toml` with organisations, sources, rules and sinks.
//!
//! Owns the file format, its checks, and which topic belongs to which source. Rules are `rules`' to read,
//! tables `normalise::schema`'s; the process-wide configuration (brokers, limits) is `config`'s. Called by
//! `cli`.

mod file;
mod headers;
mod select;
mod topics;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regex::Regex;

use crate::config::mask;
use crate::decode::steps::{self, Steps};
use crate::decode::{self, Format, envelope};
use crate::detect::alert::Tlp;
use crate::detect::alert::headers::HeaderTemplate;
use crate::diagnostic::{Diagnostic, SourceFile, codes, suggest};
use crate::document::{self, Document};
use crate::normalise::schema::Catalog;
use crate::normalise::time::ZoneOffset;
use crate::record::OrgId;
use crate::rules::Selection;
use crate::sink::route::TopicTemplate;
use crate::source::pattern;
use topics::{Claim, Written};

pub use file::{OrganisationFile, PipelineFile, RejectsFile, SelectFile, SinkFile, SourceFileEntry, Start};

/// A pipeline file larger than this is refused.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// An organisation, checked.
#[derive(Debug, Clone)]
pub struct Organisation {
    /// Identity.
    pub id: OrgId,
    /// Name.
    pub name: String,
    /// Traffic Light Protocol of its alerts.
    pub tlp: Tlp,
}

/// A source, checked.
#[derive(Clone)]
pub struct Source {
    /// Identity.
    pub id: Arc<str>,
    /// Index of its organisation.
    pub organisation: usize,
    /// Topics by name.
    pub topics: Vec<String>,
    /// Topics by pattern, anchored at both ends.
    pub pattern: Option<Regex>,
    /// The same in the form that Kafka's client takes.
    pub client_pattern: Option<String>,
    /// Its format.
    pub format: &'static dyn Format,
    /// Zone of times without one.
    pub zone: ZoneOffset,
    /// How late events may come, in milliseconds.
    pub allowed_lateness_ms: u64,
    /// Where to begin.
    pub start: Start,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("id", &self.id)
            .field("format", &self.format.name())
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Whether the topic is this source's.
    pub fn reads(&self, topic: &str) -> bool {
        topics::reads(&self.topics, self.pattern.as_ref(), topic)
    }
}

/// A pipeline, checked; its rules are still to be read.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Name.
    pub name: String,
    /// The organisations.
    pub organisations: Vec<Organisation>,
    /// The sources.
    pub sources: Vec<Source>,
    /// Topic of alerts.
    pub alerts: TopicTemplate,
    /// Headers that alerts get beside Noroshi's own.
    pub alert_headers: Vec<HeaderTemplate>,
    /// Topic of rejects.
    pub rejects: TopicTemplate,
    /// Files and folders with rules.
    pub rules: Vec<PathBuf>,
    /// Which of them run.
    pub selection: Selection,
    /// Folder with test cases.
    pub cases: PathBuf,
    /// The tables.
    pub catalog: Arc<Catalog>,
}

impl Pipeline {
    /// Reads `folder/pipeline.toml` (or the file itself) and the tables; all problems at once.
    pub fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        sound(Self::look_at(path, &mut found), found)
    }

    /// The file of a pipeline folder; a file is its own.
    pub fn file_of(path: &Path) -> PathBuf {
        if path.is_dir() { path.join("pipeline.toml") } else { path.to_owned() }
    }

    /// The same as far as it can be read, to look at its rules with: nothing may run when there are errors.
    pub fn look_at(path: &Path, found: &mut Vec<Diagnostic>) -> Option<Self> {
        let path = Self::file_of(path);
        let file =
            SourceFile::read(&path, FILE_BYTES_MAX).map_err(|diagnostic| found.push(diagnostic)).ok()?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let pipeline = document::look_at_toml::<PipelineFile>(&file, found)
            .map(|document| from_document(&document, &folder, found));
        mask::mask_named(found, &file);
        pipeline
    }

    /// A pipeline that is built into the program: its rules are given otherwise, so their paths are not looked at.
    pub fn from_text(file: &Arc<SourceFile>) -> Result<Self, Vec<Diagnostic>> {
        let mut document = document::read_toml::<PipelineFile>(file)?;
        document.value.rules.clear();
        let mut found = Vec::new();
        sound(Some(from_document(&document, Path::new(""), &mut found)), found)
    }

    /// Checks a file whose relative paths start at `folder`.
    pub fn from_file(file: &Arc<SourceFile>, folder: &Path) -> Result<Self, Vec<Diagnostic>> {
        let mut found = Vec::new();
        let document = document::look_at_toml::<PipelineFile>(file, &mut found);
        sound(document.map(|document| from_document(&document, folder, &mut found)), found)
    }

    /// A pipeline of one source, for `scan` without a pipeline folder.
    pub fn of_one_source(
        format: &'static dyn Format,
        org_id: &str,
        zone: ZoneOffset,
        rules: Vec<PathBuf>,
        catalog: Arc<Catalog>,
    ) -> Result<Self, Diagnostic> {
        let valid = Regex::new(r"^[a-z0-9][a-z0-9._-]{0,62}$").is_ok_and(|valid| valid.is_match(org_id));
        if !valid {
            return Err(Diagnostic::new(codes::P003, format!("`{org_id}` cannot be an organisation's id"))
                .help("use lower-case letters, digits, `.`, `_` and `-`, at most 63"));
        }
        let organisation =
            Organisation { id: OrgId::new(org_id), name: org_id.to_owned(), tlp: Tlp::default() };
        let source = Source {
            id: Arc::from(format.name()),
            organisation: 0,
            topics: Vec::new(),
            pattern: None,
            client_pattern: None,
            format,
            zone,
            allowed_lateness_ms: 0,
            start: Start::Earliest,
        };
        Ok(Self {
            name: "scan".into(),
            organisations: vec![organisation],
            sources: vec![source],
            alerts: TopicTemplate::fixed("alerts"),
            alert_headers: Vec::new(),
            rejects: TopicTemplate::fixed("dead-letters"),
            rules,
            selection: Selection { formats: Some([format.name()].into()), ..Selection::default() },
            cases: PathBuf::new(),
            catalog,
        })
    }

    /// The source that a topic belongs to; the first when several patterns match.
    pub fn source_of(&self, topic: &str) -> Option<usize> {
        self.sources.iter().position(|source| source.reads(topic))
    }

    /// The organisation of a source.
    pub fn organisation_of(&self, source: usize) -> &Organisation {
        &self.organisations[self.sources[source].organisation]
    }

    /// The formats that feed it.
    pub fn formats(&self) -> HashSet<&'static str> {
        self.sources.iter().map(|source| source.format.name()).collect()
    }

    /// Every topic that alerts and rejects can go to.
    pub fn output_topics(&self) -> Vec<String> {
        let mut topics: Vec<String> = self
            .organisations
            .iter()
            .flat_map(|organisation| {
                [self.alerts.topic(&organisation.id), self.rejects.topic(&organisation.id)]
            })
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }
}

fn sound(pipeline: Option<Pipeline>, found: Vec<Diagnostic>) -> Result<Pipeline, Vec<Diagnostic>> {
    pipeline.filter(|_| !found.iter().any(Diagnostic::is_error)).ok_or(found)
}

fn from_document(document: &Document<PipelineFile>, folder: &Path, found: &mut Vec<Diagnostic>) -> Pipeline {
    let catalog = match &document.value.schemas {
        None => Catalog::stock().unwrap_or_else(|more| {
            found.extend(more);
            Catalog::default()
        }),
        Some(schemas) => Catalog::look_at(&folder.join(schemas), found),
    };
    check(document, folder, catalog, found)
}

fn check(
    document: &Document<PipelineFile>,
    folder: &Path,
    catalog: Catalog,
    found: &mut Vec<Diagnostic>,
) -> Pipeline {
    let file = &document.value;
    let spans = &document.spans;
    let mut organisations: Vec<Organisation> = Vec::new();
    for (at, entry) in file.organisation.iter().enumerate() {
        if spans.is_lost(&format!("/organisation/{at}/id")) {
            continue;
        }
        let id = OrgId::new(&entry.id);
        if organisations.iter().any(|known| known.id == id) {
            found.push(
                Diagnostic::new(codes::P002, format!("the organisation `{id}` is declared twice"))
                    .at(spans.value(&format!("/organisation/{at}/id"))),
            );
        }
        organisations.push(Organisation { id, name: entry.name.clone(), tlp: entry.tlp });
    }
    let mut sources: Vec<Source> = Vec::new();
    // What a faulty source claims is claimed all the same.
    let mut claims: Vec<Claim> = Vec::new();
    for (at, entry) in file.source.iter().enumerate() {
        let (made, claim) = source(document, at, entry, &organisations, &claims, found);
        sources.extend(made);
        claims.push(claim);
    }
    if file.source.is_empty() && !spans.is_lost("/source") {
        found.push(
            Diagnostic::new(codes::P006, "the pipeline has no [[source]]")
                .at(spans.value(""))
                .help("declare an [[organisation]] and a [[source]] that belongs to it"),
        );
    }
    let mut template = |text: &str, pointer: &str| match TopicTemplate::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            found.push(Diagnostic::new(codes::P004, error.to_string()).at(spans.value(pointer)));
            None
        }
    };
    let alerts = template(&file.alerts.topic, "/alerts/topic");
    let rejects = template(&file.rejects.topic, "/rejects/topic");
    let written = Written { alerts: alerts.as_ref(), rejects: rejects.as_ref() };
    topics::check(&written, &organisations, &claims, spans, found);
    for (at, path) in file.rules.iter().enumerate() {
        if !folder.join(path).exists() {
            found.push(
                Diagnostic::new(codes::P001, format!("{} does not exist", folder.join(path).display()))
                    .at(spans.value(&format!("/rules/{at}"))),
            );
        }
    }
    let named = file.name.clone().or_else(|| {
        let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        folder.file_name().map(|name| name.to_string_lossy().into_owned())
    });
    let name = named.unwrap_or_else(|| "pipeline".into());
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) || name.len() > 100
    {
        found.push(
            Diagnostic::new(codes::P003, format!("`{name}` cannot be a pipeline's name"))
                .at(spans.value("/name"))
                .help("use letters, digits, `.`, `_` and `-`, at most 100"),
        );
    }
    let mut selection = select::selection(document, folder, found);
    // Without a source that is sound nothing is known of them.
    let formats: BTreeSet<&'static str> = sources.iter().map(|source| source.format.name()).collect();
    selection.formats = Some(formats).filter(|formats| !formats.is_empty());
    Pipeline {
        name,
        organisations,
        sources,
        alerts: alerts.unwrap_or_else(|| TopicTemplate::fixed("invalid")),
        alert_headers: headers::alert_headers(document, found),
        rejects: rejects.unwrap_or_else(|| TopicTemplate::fixed("invalid")),
        // A path that is not there has been told above.
        rules: file.rules.iter().map(|path| folder.join(path)).filter(|path| path.exists()).collect(),
        selection,
        cases: folder.join(&file.cases),
        catalog: Arc::new(catalog),
    }
}

/// A source as far as it is sound, and what it claims in any case.
fn source(
    document: &Document<PipelineFile>,
    at: usize,
    entry: &SourceFileEntry,
    organisations: &[Organisation],
    others: &[Claim],
    found: &mut Vec<Diagnostic>,
) -> (Option<Source>, Claim) {
    let spans = &document.spans;
    let pointer = |key: &str| format!("/source/{at}/{key}");
    let lost = |key: &str| spans.is_lost(&pointer(key));
    let before = found.len();
    if !lost("id") && others.iter().any(|other| other.id.as_ref() == Some(&entry.id)) {
        found.push(
            Diagnostic::new(codes::P002, format!("the source `{}` is declared twice", entry.id))
                .at(spans.value(&pointer("id"))),
        );
    }
    let organisation = organisations.iter().position(|known| known.id.as_str() == entry.organisation);
    // An organisation whose declaration is faulty may be the one that is meant.
    if organisation.is_none() && !lost("organisation") && !spans.is_lost("/organisation") {
        let known = organisations.iter().map(|organisation| organisation.id.as_str());
        found.push(
            Diagnostic::new(codes::P001, format!("there is no organisation `{}`", entry.organisation))
                .at(spans.value(&pointer("organisation")))
                .help(suggest(&entry.organisation, known)),
        );
    }
    let format = decode::format(&entry.format);
    if format.is_none() && !lost("format") {
        let known = decode::FORMATS.iter().map(|format| format.name());
        found.push(
            Diagnostic::new(codes::P001, format!("there is no format `{}`", entry.format))
                .at(spans.value(&pointer("format")))
                .help(suggest(&entry.format, known)),
        );
    }
    let mut envelopes = Vec::with_capacity(entry.envelopes.len());
    for (nth, name) in entry.envelopes.iter().enumerate() {
        match envelope::envelope(name) {
            Some(envelope) => envelopes.push(envelope),
            None => found.push(
                Diagnostic::new(codes::P001, format!("there is no envelope `{name}`"))
                    .at(spans.value(&format!("/source/{at}/envelopes/{nth}")))
                    .help(suggest(name, envelope::ENVELOPES.iter().map(|envelope| envelope.name))),
            ),
        }
    }
    if entry.envelopes.len() > steps::ENVELOPES_MAX {
        found.push(
            Diagnostic::new(
                codes::D006,
                format!("more than {} envelopes around an event", steps::ENVELOPES_MAX),
            )
            .at(spans.value(&pointer("envelopes"))),
        );
    }
    let steps = Steps { packing: entry.packing, framing: entry.framing, envelopes };
    let format = format.map(|format| steps::with_steps(format, steps));
    let topics_lost = lost("topics") || lost("topic_pattern");
    if entry.topics.is_empty() && entry.topic_pattern.is_none() && !topics_lost {
        found.push(
            Diagnostic::new(codes::D004, format!("the source `{}` names no topic", entry.id))
                .at(spans.key(&format!("/source/{at}")))
                .help("give `topics` or `topic_pattern`"),
        );
    }
    for (nth, topic) in entry.topics.iter().enumerate() {
        let place = || spans.value(&format!("/source/{at}/topics/{nth}"));
        if !TopicTemplate::is_topic(topic) {
            found.push(
                Diagnostic::new(codes::P003, format!("`{topic}` cannot be a topic's name"))
                    .at(place())
                    .help("Kafka allows letters, digits, `.`, `_` and `-`, at most 249"),
            );
        }
        if let Some(other) = others.iter().find(|other| other.reads(topic)) {
            found.push(
                Diagnostic::new(codes::P005, format!("`{topic}` is already read by {}", other.shown()))
                    .at(place()),
            );
        }
    }
    let pattern = entry.topic_pattern.as_ref().and_then(|text| match Regex::new(&format!("^(?:{text})$")) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let message = error.to_string().lines().last().unwrap_or("invalid").to_owned();
            found.push(
                Diagnostic::new(codes::D006, format!("not a regular expression: {message}"))
                    .at(spans.value(&pointer("topic_pattern"))),
            );
            None
        }
    });
    let translated = entry.topic_pattern.as_deref().filter(|_| pattern.is_some()).map(pattern::posix);
    let client_pattern = match translated.transpose() {
        Ok(pattern) => pattern,
        Err(reason) => {
            found.push(Diagnostic::new(codes::D006, reason).at(spans.value(&pointer("topic_pattern"))).help(
                "brokers' clients know literals, `.`, classes, groups, `|` and repetitions; escape a dot as `\\.`",
            ));
            None
        }
    };
    if let Some(pattern) = &pattern
        && let Some(other) =
            others.iter().find(|other| other.topics.iter().any(|topic| pattern.is_match(topic)))
    {
        found.push(
            Diagnostic::new(codes::P005, format!("the pattern also matches a topic of {}", other.shown()))
                .at(spans.value(&pointer("topic_pattern"))),
        );
    }
    let zone = entry.time_zone.as_deref().map_or(Some(ZoneOffset::UTC), ZoneOffset::parse);
    if zone.is_none() {
        found.push(
            Diagnostic::new(codes::D006, "not a time zone")
                .at(spans.value(&pointer("time_zone")))
                .help("write UTC or an offset such as +09:00"),
        );
    }
    let lateness = parse_duration_ms(&entry.allowed_lateness);
    if lateness.is_none() {
        found.push(
            Diagnostic::new(codes::D006, format!("`{}` is not a duration", entry.allowed_lateness))
                .at(spans.value(&pointer("allowed_lateness")))
                .help("write a number and a unit: 500ms, 30s, 10m, 2h, 1d"),
        );
    }
    let claim = Claim {
        id: (!lost("id")).then(|| entry.id.clone()),
        topics: entry.topics.clone(),
        pattern: pattern.clone(),
        pointer: format!("/source/{at}"),
    };
    let sound = || {
        Some(Source {
            id: Arc::from(entry.id.as_str()),
            organisation: organisation?,
            topics: entry.topics.clone(),
            pattern,
            client_pattern,
            format: format?,
            zone: zone?,
            allowed_lateness_ms: lateness?,
            start: entry.start,
        })
    };
    (if found.len() > before { None } else { sound() }, claim)
}

/// `500ms`, `30s`, `10m`, `2h`, `1d` in milliseconds.
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let unit = match text.get(digits..)?.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
#[path = "definition/tests.rs"]
mod tests;
