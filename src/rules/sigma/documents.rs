//! What became of each Sigma document.
//!
//! Owns the verdicts, and what is said of many documents at once. Called by `load`; read by `cli` and by
//! `rules::sigma::coverage`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::correlation::{self, SigmaCorrelation};
use super::filter::SigmaFilter;
use super::parse::SigmaRule;
use super::yaml;
use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};
use crate::normalise::schema::log_source::{LogSource, LogSources};
use crate::rules::meta::RuleMeta;

/// How the message begins of what keeps a document from being armed.
pub(super) const NOT_ARMED: &str = "not armed:";

/// What keeps a document from being armed, without saying that it does.
pub(super) fn why_not(diagnostic: &Diagnostic) -> String {
    diagnostic.message.trim_start_matches(NOT_ARMED).trim().to_owned()
}

/// A Sigma document, and what became of it.
#[derive(Debug, Clone)]
pub struct SigmaDocument {
    /// Where it stands.
    pub place: Location,
    /// What it is.
    pub kind: SigmaKind,
    /// Its id; filters may have none.
    pub id: Option<String>,
    /// Its title.
    pub title: String,
    /// What a rule or a correlation says of itself.
    pub meta: Option<RuleMeta>,
    /// Its log source; a correlation has none.
    pub log_source: LogSource,
    /// What became of it.
    pub verdict: Verdict,
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
pub enum Verdict {
    /// It runs, or would if a source fed its tables.
    Armed {
        /// The tables that it reads, one for each route of its log source.
        tables: Vec<String>,
        /// Sigma's fields without a column: they are read by their paths.
        by_path: Vec<String>,
    },
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
        /// So many rules.
        rules: usize,
    },
}

impl SigmaDocument {
    /// A rule.
    pub(super) fn rule(rule: &SigmaRule, verdict: Verdict) -> Self {
        Self {
            place: rule.place.clone(),
            kind: SigmaKind::Rule,
            id: Some(rule.meta.id.clone()),
            title: rule.meta.title.clone(),
            meta: Some(rule.meta.clone()),
            log_source: rule.logsource.clone(),
            verdict,
        }
    }

    /// A filter that is for so many rules.
    pub(super) fn filter(filter: &SigmaFilter, rules: usize) -> Self {
        Self {
            place: filter.place.clone(),
            kind: SigmaKind::Filter,
            id: filter.id.clone(),
            title: filter.title.clone(),
            meta: None,
            log_source: filter.logsource.clone(),
            verdict: Verdict::Applied { rules },
        }
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
        let text = file.text.get(range.clone()).unwrap_or_default();
        let title = text.lines().find_map(|line| line.strip_prefix("title:")).unwrap_or_default();
        SigmaDocument {
            place: diagnostic.location.clone().unwrap_or_else(|| Location::new(file, range)),
            kind: SigmaKind::Rule,
            id: None,
            title: title.trim().to_owned(),
            meta: None,
            log_source: LogSource::default(),
            verdict: Verdict::Faulty(why_not(diagnostic)),
        }
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
        SigmaDocument {
            place: correlation.place.clone(),
            kind: SigmaKind::Correlation,
            id: Some(correlation.meta.id.clone()),
            title: correlation.meta.title.clone(),
            meta: Some(correlation.meta.clone()),
            log_source: LogSource::default(),
            verdict: fault.map_or(Verdict::Waiting, |fault| Verdict::Faulty(why_not(fault))),
        }
    };
    correlations.iter().map(document).collect()
}

/// The log sources that are in no table, with the rules that are about them: they come by the hundred.
pub(super) fn without_table(documents: &[SigmaDocument], declared: &LogSources) -> Vec<Diagnostic> {
    let mut sources: BTreeMap<LogSource, (&Location, usize)> = BTreeMap::new();
    for document in documents.iter().filter(|document| document.verdict == Verdict::NoTable) {
        sources.entry(document.log_source.to_lowercase()).or_insert((&document.place, 0)).1 += 1;
    }
    let told = sources.into_iter().map(|(source, (first, count))| {
        let rules = if count == 1 { "1 rule is".to_owned() } else { format!("{count} rules are") };
        let message = format!("no table holds the log source {source}: {rules} not armed");
        let mut help = "declare it in the pipeline's `schemas`, in sigma/*.toml".to_owned();
        if let Some(suggestion) = declared.suggest(&source) {
            help = format!("{suggestion} Or {help}");
        }
        Diagnostic::new(codes::G017, message).at(first.clone()).help(help).warning()
    });
    told.collect()
}
