//! `noroshi sigma coverage`: which rules can find anything, and why the others cannot.
//!
//! Owns reading the rules for it and the sums; the verdicts are `rules::sigma::coverage`'s, the page for people is
//! [`page`]'s. The rules' own faults are told by `check`.

mod page;

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Scope, World};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{Format, Terminal};
use crate::normalise::schema::log_source::LogSource;
use crate::printable;
use crate::rules::sigma::coverage::{Coverage, Verdict, cover};
use crate::rules::tactics::{ENTERPRISE, ICS};
use crate::rules::{self, Fate, Loaded, SigmaKind};

/// List what is armed and why the rest is not, by rule, log source and ATT&CK technique.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rule is armed when it is compiled and some format can make the rows and fill the fields that it
needs. With --pipeline only the formats of its sources count, and its choice of rules; without, all
formats. Nothing is said of events: a field that can be there may be missing in all of yours.

Examples:
  noroshi sigma coverage sigma/rules
  noroshi sigma coverage sigma/rules --pipeline pipelines/demo --rules
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

/// A filter, and how many rules it is part of.
struct Filter {
    coverage: Coverage,
    rules: usize,
}

/// All that is said.
struct Report {
    formats: Vec<&'static str>,
    rules: Vec<Coverage>,
    filters: Vec<Filter>,
    correlations: usize,
    total: Tally,
    log_sources: Vec<(LogSource, Tally)>,
    tactics: Vec<(&'static str, &'static str, Tally)>,
    techniques: Vec<(String, Tally)>,
}

/// Prints; `Done` whatever is armed: what is wrong with rules is `check`'s to say.
pub fn main(args: &CoverageArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let World { limits, catalog, selection, pipeline } = args.scope.world()?;
    let own = pipeline.map(|pipeline| pipeline.rules).unwrap_or_default();
    let paths = if args.paths.is_empty() { &own } else { &args.paths };
    if paths.is_empty() {
        return Err(CliError::usage("name files or folders with Sigma rules, or a --pipeline that has some"));
    }
    let loaded = rules::load_with(paths, &catalog, &limits, &selection);
    if loaded.sigma.is_empty() && loaded.has_errors() {
        return Err(loaded.diagnostics.into());
    }
    if loaded.sigma.is_empty() {
        return Err(super::no_rule());
    }
    let report = report(&loaded, selection.fed().iter().map(|format| format.name()).collect());
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

fn report(loaded: &Loaded, formats: Vec<&'static str>) -> Report {
    let of = |kind| loaded.sigma.iter().filter(move |document| document.kind == kind);
    let report = summed(of(SigmaKind::Rule).map(cover).collect(), formats);
    let filters = of(SigmaKind::Filter).map(|document| match document.fate {
        Fate::Applied { rules } => Filter { coverage: Coverage { why: None, ..cover(document) }, rules },
        _ => Filter { coverage: cover(document), rules: 0 },
    });
    Report { filters: filters.collect(), correlations: of(SigmaKind::Correlation).count(), ..report }
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
        filters: Vec::new(),
        correlations: 0,
        total,
        log_sources,
        tactics: named,
        techniques: techniques.into_iter().collect(),
    }
}

impl Report {
    /// The document for machines; `docs/sigma.md` describes it.
    fn json(&self) -> Value {
        let source = |source: &LogSource| json!({"product": source.product, "category": source.category, "service": source.service});
        let rules = self.rules.iter().map(|rule| {
            json!({
                "id": rule.headline.id,
                "title": title(rule),
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
                "filters": rule.filters,
                "why": rule.why,
            })
        });
        let filters = self.filters.iter().map(|Filter { coverage, rules }| {
            json!({
                "id": coverage.headline.id,
                "title": title(coverage),
                "place": coverage.place,
                "log_source": source(&coverage.log_source),
                "rules": rules,
                "why": coverage.why,
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
            "filters": self.filters.len(),
            "correlations": self.correlations,
            "log_sources": log_sources.collect::<Vec<_>>(),
            "tactics": tactics.collect::<Vec<_>>(),
            "techniques": techniques.collect::<Vec<_>>(),
            "filter_documents": filters.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}

/// The title; of a document without one that can be read its path.
fn title(coverage: &Coverage) -> &str {
    let path = || coverage.place.rsplitn(3, ':').last().unwrap_or_default();
    coverage.headline.title.as_deref().unwrap_or_else(path)
}

#[cfg(test)]
#[path = "coverage/tests.rs"]
mod tests;
