//! What became of each Sigma document.
//!
//! Owns what can become of them, and what is said of many documents at once. Called by `load`; read by `cli` and by
//! `rules::sigma::coverage`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::correlation::{self, SigmaCorrelation};
use super::filter::SigmaFilter;
use super::parse::{SigmaRule, glimpse};
use super::yaml;
use crate::diagnostic::{Diagnostic, Location, Severity, SourceFile, codes};
use crate::normalise::schema::log_source::{LogSource, LogSources};
use crate::rules::meta::{RuleLevel, RuleMeta, RuleStatus};

/// How the message begins of what keeps a document from being armed.
pub(super) const NOT_ARMED: &str = "not armed:";

/// What keeps a document from being armed, without saying that it does.
pub(super) fn why_not(diagnostic: &Diagnostic) -> String {
    diagnostic.message.trim_start_matches(NOT_ARMED).trim().to_owned()
}

/// What a document says of itself, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headline {
    /// Its id; filters may have none.
    pub id: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Its level.
    pub level: Option<RuleLevel>,
    /// Its status.
    pub status: Option<RuleStatus>,
    /// Its tags.
    pub tags: Vec<String>,
}

impl From<&RuleMeta> for Headline {
    fn from(meta: &RuleMeta) -> Self {
        Self {
            id: Some(meta.id.clone()),
            title: Some(meta.title.clone()),
            level: Some(meta.level),
            status: Some(meta.status),
            tags: meta.tags.clone(),
        }
    }
}

/// A Sigma document, and what became of it.
#[derive(Debug, Clone)]
pub struct SigmaDocument {
    /// Where it stands.
    pub place: Location,
    /// What it is.
    pub kind: SigmaKind,
    /// What it says of itself.
    pub headline: Headline,
    /// Its log source; a correlation has none.
    pub log_source: LogSource,
    /// Where a rule's stands.
    pub(super) log_source_place: Option<Location>,
    /// What became of it.
    pub fate: Fate,
    /// The tables that a rule reads, one for each route of its log source.
    pub tables: Vec<String>,
    /// Sigma's fields without a column: they are read by their paths.
    pub by_path: Vec<String>,
    /// Fields that no event of the fed formats has.
    pub missing: Vec<String>,
    /// The filters that are part of a rule: ids, or titles of those without.
    pub filters: Vec<String>,
}

/// Sigma's kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigmaKind {
    /// A rule on single events.
    Rule,
    /// A filter: what rules are not to alert on.
    Filter,
    /// A correlation of rules.
    Correlation,
}

/// What became of a Sigma document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Armed,
    /// It is left out: it needs fields that no event of the fed formats has.
    NoField,
    /// It is left out: no format that is fed makes the rows that this names.
    NoSource(String),
    /// It could run, and is left out on purpose: its status, its level, or by its id.
    Off(String),
    /// Its log source is that of no table.
    NoTable,
    /// It cannot run; a diagnostic says why and where.
    Faulty(String),
    /// A sound correlation: correlations do not run in this version.
    Waiting,
    /// A filter, in effect.
    Applied {
        /// Part of so many rules.
        rules: usize,
    },
}

impl SigmaDocument {
    fn new(place: Location, kind: SigmaKind, fate: Fate) -> Self {
        Self {
            place,
            kind,
            headline: Headline::default(),
            log_source: LogSource::default(),
            log_source_place: None,
            fate,
            tables: Vec::new(),
            by_path: Vec::new(),
            missing: Vec::new(),
            filters: Vec::new(),
        }
    }

    /// A rule.
    pub(super) fn rule(rule: &SigmaRule, fate: Fate) -> Self {
        let (headline, log_source) = (Headline::from(&rule.meta), rule.logsource.clone());
        let log_source_place = Some(rule.logsource_place.clone());
        Self {
            headline,
            log_source,
            log_source_place,
            ..Self::new(rule.place.clone(), SigmaKind::Rule, fate)
        }
    }

    /// A filter that is part of so many rules.
    pub(super) fn filter(filter: &SigmaFilter, rules: usize) -> Self {
        let (id, title) = (filter.id.clone(), Some(filter.title.clone()));
        let headline = Headline { id, title, ..Headline::default() };
        let document = Self::new(filter.place.clone(), SigmaKind::Filter, Fate::Applied { rules });
        Self { headline, log_source: filter.logsource.clone(), ..document }
    }

    /// A file that cannot be read at all.
    pub(in crate::rules) fn unreadable(path: &Path, told: &Diagnostic) -> Self {
        let place = Location::new(&SourceFile::new(path, ""), 0..0);
        Self::new(place, SigmaKind::Rule, Fate::Faulty(told.message.clone()))
    }
}

/// The documents of a file that cannot be read, by what was said of them.
pub(super) fn unread(file: &Arc<SourceFile>, found: &[Diagnostic]) -> Vec<SigmaDocument> {
    let ranges = if found.is_empty() { Vec::new() } else { yaml::ranges(&file.text) };
    let mut faulty: BTreeMap<usize, &Diagnostic> = BTreeMap::new();
    for diagnostic in found.iter().filter(|diagnostic| diagnostic.message.starts_with(NOT_ARMED)) {
        let at = diagnostic.location.as_ref().map_or(0, |place| place.span.start);
        let nth = ranges.iter().rposition(|range| range.start <= at).unwrap_or(0);
        faulty.entry(nth).or_insert(diagnostic);
    }
    let document = |(nth, diagnostic): (usize, &Diagnostic)| {
        let range = ranges.get(nth).cloned().unwrap_or(0..0);
        let place = diagnostic.location.clone().unwrap_or_else(|| Location::new(file, range.clone()));
        let glimpse = glimpse(&file.text, range);
        let document = SigmaDocument::new(place, glimpse.kind, Fate::Faulty(why_not(diagnostic)));
        SigmaDocument { headline: glimpse.headline, log_source: glimpse.log_source, ..document }
    };
    faulty.into_iter().map(document).collect()
}

/// The correlations, checked against all rules; they do not run.
pub(super) fn correlated(
    correlations: &[SigmaCorrelation],
    rules: &[SigmaRule],
    found: &mut Vec<Diagnostic>,
) -> Vec<SigmaDocument> {
    let before = found.len();
    correlation::check(&correlations.iter().collect::<Vec<_>>(), &rules.iter().collect::<Vec<_>>(), found);
    let told = found.get(before..).unwrap_or_default();
    let document = |correlation: &SigmaCorrelation| {
        let own = &correlation.rules_place;
        let fault = told.iter().find(|diagnostic| {
            diagnostic.code == codes::G015
                && diagnostic.location.as_ref().is_some_and(|place| {
                    Arc::ptr_eq(&place.file, &own.file)
                        && own.span.start <= place.span.start
                        && place.span.end <= own.span.end
                })
        });
        let fate = fault.map_or(Fate::Waiting, |fault| Fate::Faulty(why_not(fault)));
        let document = SigmaDocument::new(correlation.place.clone(), SigmaKind::Correlation, fate);
        SigmaDocument { headline: Headline::from(&correlation.meta), ..document }
    };
    correlations.iter().map(document).collect()
}

/// The log sources that are in no table, with the rules that are about them: they come by the hundred.
pub(super) fn without_table(documents: &[SigmaDocument], declared: &LogSources) -> Vec<Diagnostic> {
    let mut sources: BTreeMap<LogSource, (&Location, usize)> = BTreeMap::new();
    for document in documents.iter().filter(|document| document.fate == Fate::NoTable) {
        let place = document.log_source_place.as_ref().unwrap_or(&document.place);
        sources.entry(document.log_source.to_lowercase()).or_insert((place, 0)).1 += 1;
    }
    let told = sources.into_iter().map(|(source, (first, count))| {
        let rules = if count == 1 { "1 rule is".to_owned() } else { format!("{count} rules are") };
        let message = format!("no table holds the log source {}: {rules} not armed", source.described());
        let help = to_declare(&source, declared);
        Diagnostic::new(codes::G017, message).at(first.clone()).help(help).warning()
    });
    told.collect()
}

/// What to do about a log source that is in no table.
pub fn to_declare(source: &LogSource, declared: &LogSources) -> String {
    let declare = "declare it in the pipeline's `schemas`, in sigma/*.toml";
    match declared.suggest(source) {
        Some(suggestion) => format!("{suggestion} Or {declare}"),
        None => declare.to_owned(),
    }
}

/// The rules whose log sources nothing feeds, in one sum: sets of rules are for all sorts of machines, and this is no fault.
pub(super) fn without_source(documents: &[SigmaDocument]) -> Option<Diagnostic> {
    let mut unfed = documents.iter().filter(|document| matches!(document.fate, Fate::NoSource(_)));
    let (first, more) = (unfed.next()?, unfed.count());
    let rules = if more == 0 { "a Sigma rule".to_owned() } else { format!("{} Sigma rules", more + 1) };
    let message = format!("no format that is fed makes the rows that {rules} would look at: not armed");
    let told = Diagnostic::new(codes::G019, message).help("`noroshi sigma coverage --rules` lists them");
    let told = Diagnostic { severity: Severity::Note, ..told };
    Some(if more == 0 { told.at(first.place.clone()) } else { told })
}
