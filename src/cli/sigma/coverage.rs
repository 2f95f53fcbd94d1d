//! `noroshi sigma coverage`: which rules can find anything, and why the others cannot.
//!
//! Owns reading the rules for it and the sums; the verdicts are `rules::sigma::coverage`'s, the page for people is
//! [`page`]'s. The rules' own faults are told by `check`.

mod page;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Scope, World};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{Format, Terminal};
use crate::decode;
use crate::diagnostic::{Diagnostic, codes};
use crate::normalise::schema::Catalog;
use crate::normalise::schema::log_source::LogSource;
use crate::printable;
use crate::rules::sigma::coverage::{Coverage, Fate, Headline, Subject, Verdict, cover};
use crate::rules::tactics::{ENTERPRISE, ICS};
use crate::rules::{self, Loaded, SigmaDocument, SigmaKind};

/// List what is armed and why the rest is not, by rule, log source and ATT&CK technique.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rule is armed when it is compiled and some format can make the rows and fill the fields that it
needs. With --pipeline only the formats of its sources count, and its choice of rules; without, all
formats. Nothing is said of events: a field that can be there may be missing in all of yours.

Examples:
  noroshi sigma coverage sigma/rules
  noroshi sigma coverage --pipeline pipelines/demo --rules
  noroshi sigma coverage sigma/rules --format json | jq '.rules[] | select(.verdict == \"no_field\")'")]
pub struct CoverageArgs {
    /// Sigma rules: files and folders. Default: the pipeline's rules.
    paths: Vec<PathBuf>,
    #[command(flatten)]
    scope: Scope,
    /// List each rule.
    #[arg(long)]
    rules: bool,
    /// List each ATT&CK technique.
    #[arg(long)]
    techniques: bool,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// How many rules there are of something, by verdict.
#[derive(Debug, Default, Clone)]
struct Tally {
    rules: usize,
    armed: usize,
    verdicts: BTreeMap<Verdict, usize>,
}

impl Tally {
    fn add(&mut self, verdict: Verdict) {
        self.rules += 1;
        self.armed += usize::from(verdict.is_armed());
        *self.verdicts.entry(verdict).or_default() += 1;
    }

    fn of(&self, verdict: Verdict) -> usize {
        self.verdicts.get(&verdict).copied().unwrap_or(0)
    }

    fn json(&self) -> Value {
        let verdicts =
            Verdict::ALL.iter().map(|verdict| (verdict.as_str().to_owned(), self.of(*verdict).into()));
        let verdicts: serde_json::Map<String, Value> = verdicts.collect();
        json!({"rules": self.rules, "armed": self.armed, "verdicts": verdicts})
    }
}

/// All that is said.
struct Report {
    formats: Vec<&'static str>,
    rules: Vec<Coverage>,
    filters: usize,
    correlations: usize,
    total: Tally,
    log_sources: Vec<(LogSource, Tally)>,
    tactics: Vec<(&'static str, &'static str, Tally)>,
    techniques: Vec<(String, Tally)>,
}

/// Prints; `Done` whatever is armed: what is wrong with rules is `check`'s to say.
pub fn main(args: &CoverageArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let World { limits, catalog, selection, pipeline } = args.scope.world()?;
    let (own, formats) = match pipeline {
        Some(pipeline) => (pipeline.rules.clone(), pipeline.formats()),
        None => (Vec::new(), decode::FORMATS.iter().map(|format| format.name()).collect()),
    };
    let paths = if args.paths.is_empty() { &own } else { &args.paths };
    if paths.is_empty() {
        return Err(CliError::usage("name files or folders with Sigma rules, or a --pipeline that has some"));
    }
    let loaded = rules::load_with(paths, &catalog, &limits, &selection);
    if loaded.sigma.is_empty() && loaded.has_errors() {
        return Err(loaded.diagnostics.into());
    }
    let report = report(&loaded, &catalog, &formats);
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", printable::json(&format!("{:#}", report.json())))?,
        Format::Human => {
            let shown =
                page::Shown { rules: args.rules, techniques: args.techniques, width: terminal.width() };
            write!(out, "{}", page::page(&report, &shown))?;
        }
    }
    Ok(Outcome::Done)
}

fn report(loaded: &Loaded, catalog: &Catalog, formats: &HashSet<&'static str>) -> Report {
    let fed: Vec<_> =
        decode::FORMATS.iter().copied().filter(|format| formats.contains(format.name())).collect();
    let rules = loaded.sigma.iter().filter(|document| document.kind == SigmaKind::Rule);
    let mut rules: Vec<Coverage> =
        rules.map(|document| cover(subject(document, loaded, catalog), &fed)).collect();
    rules.extend(unread(loaded).into_iter().map(|subject| cover(subject, &fed)));
    let kinds = |kind| loaded.sigma.iter().filter(|document| document.kind == kind).count();
    let report = summed(rules, fed.iter().map(|format| format.name()).collect());
    Report { filters: kinds(SigmaKind::Filter), correlations: kinds(SigmaKind::Correlation), ..report }
}

/// The sums over rules.
fn summed(rules: Vec<Coverage>, formats: Vec<&'static str>) -> Report {
    let mut total = Tally::default();
    let (mut log_sources, mut techniques) = (BTreeMap::<_, Tally>::new(), BTreeMap::<_, Tally>::new());
    let mut tactics: BTreeMap<&str, Tally> = BTreeMap::new();
    for rule in &rules {
        total.add(rule.verdict);
        log_sources.entry(rule.log_source.to_lowercase()).or_default().add(rule.verdict);
        let tags: HashSet<String> =
            rule.headline.tags.iter().map(|tag| tag.to_lowercase().replace('_', "-")).collect();
        for tag in tags.iter().filter_map(|tag| tag.strip_prefix("attack.")) {
            if tag.strip_prefix('t').is_some_and(|id| id.starts_with(|digit: char| digit.is_ascii_digit())) {
                techniques.entry(tag.to_uppercase()).or_default().add(rule.verdict);
            } else if let Some((name, ..)) = ENTERPRISE.iter().chain(ICS).find(|(name, ..)| *name == tag) {
                tactics.entry(name).or_default().add(rule.verdict);
            }
        }
    }
    let mut log_sources: Vec<_> = log_sources.into_iter().collect();
    log_sources.sort_by(|a, b| b.1.rules.cmp(&a.1.rules).then_with(|| a.0.to_string().cmp(&b.0.to_string())));
    // In the order of the matrix.
    let mut named: Vec<(&str, &str, Tally)> = Vec::new();
    for (tag, _, name) in ENTERPRISE.iter().chain(ICS) {
        named.extend(tactics.remove(tag).map(|tally| (*tag, *name, tally)));
    }
    Report {
        formats,
        rules,
        filters: 0,
        correlations: 0,
        total,
        log_sources,
        tactics: named,
        techniques: techniques.into_iter().collect(),
    }
}

/// What loading made of a rule.
fn subject(document: &SigmaDocument, loaded: &Loaded, catalog: &Catalog) -> Subject {
    let id = document.id.clone().unwrap_or_default();
    let fate = match &document.verdict {
        rules::Verdict::Armed { by_path, .. } => {
            let routes = catalog.log_sources().routes(&document.log_source).iter().cloned();
            let compiled = loaded.rules.iter().filter(|rule| rule.meta.id == id).map(Arc::clone);
            Fate::Armed(routes.zip(compiled).collect(), by_path.clone())
        }
        rules::Verdict::Off(why) => Fate::Off(why.clone()),
        rules::Verdict::NoTable => Fate::NoTable,
        rules::Verdict::Faulty(why) => Fate::Faulty(why.clone()),
        rules::Verdict::Waiting => Fate::Faulty("correlations do not run in this version".to_owned()),
        rules::Verdict::Applied { .. } => Fate::Faulty("it is a filter".to_owned()),
    };
    let headline = match &document.meta {
        Some(meta) => Headline::from(meta),
        None => Headline { id: document.id.clone(), title: document.title.clone(), ..Headline::default() },
    };
    let place = Diagnostic::new(codes::D001, "").at(document.place.clone()).place();
    Subject { headline, place, log_source: document.log_source.clone(), fate }
}

/// Files of which no document could be read.
fn unread(loaded: &Loaded) -> Vec<Subject> {
    let mut known: HashSet<PathBuf> =
        loaded.sigma.iter().map(|document| document.place.file.path.clone()).collect();
    let told = loaded.diagnostics.iter().filter_map(|told| Some((told, told.location.as_ref()?)));
    let told = told.filter(|(told, _)| told.code.id.starts_with('G'));
    let mut subjects = Vec::new();
    for (told, location) in told {
        if known.insert(location.file.path.clone()) {
            subjects.push(Subject {
                headline: Headline { title: location.file.path.display().to_string(), ..Headline::default() },
                place: told.place(),
                log_source: LogSource::default(),
                fate: Fate::Faulty(told.message.clone()),
            });
        }
    }
    subjects
}

impl Report {
    /// The document for machines; `docs/sigma.md` describes it.
    fn json(&self) -> Value {
        let source = |source: &LogSource| json!({"product": source.product, "category": source.category, "service": source.service});
        let rules = self.rules.iter().map(|rule| {
            json!({
                "id": rule.headline.id,
                "title": rule.headline.title,
                "level": rule.headline.level,
                "status": rule.headline.status,
                "tags": rule.headline.tags,
                "place": rule.place,
                "log_source": source(&rule.log_source),
                "tables": rule.tables,
                "verdict": rule.verdict.as_str(),
                "armed": rule.verdict.is_armed(),
                "by_path": rule.by_path,
                "missing": rule.missing,
                "why": rule.why,
            })
        });
        let with = |mut tally: Value, more: Value| {
            if let (Value::Object(tally), Value::Object(more)) = (&mut tally, more) {
                tally.extend(more);
            }
            tally
        };
        let log_sources =
            self.log_sources.iter().map(|(of, tally)| with(tally.json(), json!({"log_source": source(of)})));
        let tactics = self
            .tactics
            .iter()
            .map(|(tag, name, tally)| with(tally.json(), json!({"tactic": tag, "name": name})));
        let techniques =
            self.techniques.iter().map(|(id, tally)| with(tally.json(), json!({"technique": id})));
        json!({
            "formats": self.formats,
            "totals": self.total.json(),
            "filters": self.filters,
            "correlations": self.correlations,
            "log_sources": log_sources.collect::<Vec<_>>(),
            "tactics": tactics.collect::<Vec<_>>(),
            "techniques": techniques.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
#[path = "coverage/tests.rs"]
mod tests;
