//! `noroshi explain`: what a rule looks for, what that costs, and why it fires on an event or does not.
//!
//! Owns the arguments, and putting together what is said; the words on conditions are `detect::explain`'s, the page for
//! people is [`page`]'s, the document for machines [`json`]'s.

mod event;
mod find;
mod json;
mod page;
mod why;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::exit::{CliError, Outcome};
use super::output::{Format, Terminal, plural};
use super::provenance::Provenance;
use crate::config::{Config, LoadOptions};
use crate::decode::{DecodeLimits, Reject};
use crate::detect::explain::{Explained, Shares};
use crate::detect::trace::{Trace, TraceError};
use crate::pipeline::definition::Pipeline;
use crate::printable;
use crate::rules::sigma::coverage::Coverage;
use crate::rules::{Rule, RuleLimits};
use event::{ReadEvent, Wanted};

/// Events of one record that are explained; `--index` picks one of more.
const EVENTS_MAX: usize = 10;

/// Say what a rule looks for and what it costs; with an event, why it fires or does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The rule is explained among others, as what it shares with them costs nothing: those of --rules or
--pipeline, else the rules in ./rules, or a file alone. With --event a record is read as `scan`
reads it, and each test of the rule is shown with what it looked at. docs/explain.md explains the
words. The exit code is 1 when the rule cannot be used, whatever it finds.

Examples:
  noroshi explain rules/windows/access_lsass_memory.sql
  noroshi explain b2ac3f40-5ee3-4a4c-a4d9-6ee1a0d8f2b4 --rules rules/ sigma/rules
  noroshi explain rule.sql --event event.json --source windows-json
  tail -1 events.ndjson | noroshi explain rule.yml --pipeline pipelines/demo --source power-windows --event -")]
pub struct ExplainArgs {
    /// The rule: its id or its file, SQL or Sigma.
    rule: String,
    /// The rules that it is explained among: files and folders. Without --pipeline.
    #[arg(long, num_args = 1.., conflicts_with = "pipeline")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    provenance: Provenance,
    /// A file with a record; `-` is standard input.
    #[arg(long, value_name = "FILE", requires = "source")]
    event: Option<PathBuf>,
    /// Which record of the file, from 0, as `scan` numbers them.
    #[arg(long, default_value_t = 0, requires = "event")]
    record: u64,
    /// Which event of the record, from 0. Default: each, at most 10.
    #[arg(long, requires = "event")]
    index: Option<u32>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// A configuration file, for its limits.
    #[arg(long)]
    config: Option<PathBuf>,
}

/// What is said of one rule.
struct Told {
    /// On each of its tables; empty when it cannot be used.
    tables: Vec<Explained>,
    /// What became of a Sigma rule.
    sigma: Option<Coverage>,
    events: Option<TracedRecord>,
}

/// The record, and the rule on each of its events.
struct TracedRecord {
    file: String,
    record: u64,
    /// The file has others behind it.
    more: bool,
    /// How many events it has.
    count: usize,
    events: Result<Vec<TracedEvent>, Reject>,
}

impl TracedRecord {
    /// Whether the rule saw a row of one of its tables.
    fn looks_at(&self, table: usize) -> bool {
        let of_it = |event: &TracedEvent| event.rows.iter().any(|(at, trace)| *at == table && trace.is_ok());
        self.events.as_ref().is_ok_and(|events| events.iter().any(of_it))
    }
}

struct TracedEvent {
    index: usize,
    read: ReadEvent,
    /// Of each row that the rule looks at: which of its tables, and what it says.
    rows: Vec<(usize, Result<Trace, TraceError>)>,
}

impl TracedEvent {
    fn fired(&self) -> bool {
        self.rows.iter().any(|(_, trace)| trace.as_ref().is_ok_and(|trace| trace.fired))
    }
}

impl Told {
    /// Why it does not run.
    fn off(&self) -> Option<String> {
        let rule = self.tables.first().map(|table| &table.rule);
        if rule.is_some_and(|rule| rule.enabled) {
            return None;
        }
        let sigma = self.sigma.as_ref().map(|sigma| match (&sigma.why, sigma.missing.as_slice()) {
            (Some(why), _) => format!("{}: {why}", sigma.verdict.title()),
            (None, []) => sigma.verdict.title().to_owned(),
            (None, missing) => {
                format!("{}: no event of the fed formats has {}", sigma.verdict.title(), missing.join(", "))
            }
        });
        sigma.or_else(|| rule.and_then(|rule| rule.off.clone()))
    }
}

/// Explains and prints; `Problems` when a rule cannot be used.
pub fn main(args: &ExplainArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let config = Config::load(&LoadOptions::from_process(args.config.clone(), Vec::new()))?;
    let limits = RuleLimits::from(&config.limits);
    let pipeline = args.provenance.pipeline(&args.rules)?;
    let (catalog, selection) = match &pipeline {
        Some(pipeline) => (Arc::clone(&pipeline.catalog), pipeline.selection.clone()),
        None => (args.provenance.catalog()?, args.provenance.selection()?),
    };
    let paths = pipeline.as_ref().map_or_else(|| args.rules.clone(), |pipeline| pipeline.rules.clone());
    let search = find::find(&args.rule, paths, &catalog, &limits, &selection)?;
    if search.faulty > 0 {
        let mut err = std::io::stderr().lock();
        let _ =
            writeln!(err, "{} in other rules; `noroshi check` names them", plural(search.faulty, "error"));
    }
    let shares = Shares::new(&search.set);
    let mut told = Vec::with_capacity(search.found.len());
    for found in search.found {
        let tables: Vec<Explained> = found.rules.iter().map(|rule| Explained::new(rule, &shares)).collect();
        let events = match (&args.event, &pipeline) {
            (Some(file), Some(pipeline)) if !tables.is_empty() => {
                Some(traced(args, file, pipeline, &found.rules, &tables, config.limits.decode())?)
            }
            _ => None,
        };
        told.push(Told { tables, sigma: found.sigma, events });
    }
    let text = match args.format {
        Format::Json => {
            printable::json(&format!("{:#}\n", json::document(&told, shares.rules()))).into_owned()
        }
        Format::Human => page::page(&told, shares.rules(), terminal),
    };
    let unusable = told.iter().any(|told| told.tables.is_empty());
    let outcome = if unusable { Outcome::Problems } else { Outcome::Done };
    super::read_or_not(std::io::stdout().lock().write_all(text.as_bytes()).map_err(CliError::from), outcome)
}

/// The rule on the record.
fn traced(
    args: &ExplainArgs,
    file: &Path,
    pipeline: &Pipeline,
    rules: &[Arc<Rule>],
    tables: &[Explained],
    limits: DecodeLimits,
) -> Result<TracedRecord, CliError> {
    let source = args.provenance.source(pipeline)?;
    let wanted = Wanted { file, record: args.record };
    let reading = event::read(pipeline, source, rules, &wanted, limits)?;
    let count = reading.events.as_ref().map_or(0, Vec::len);
    if let Some(index) = args.index.filter(|index| reading.events.is_ok() && *index as usize >= count) {
        return Err(CliError::usage(format!(
            "the record has {}, and none with the number {index}",
            plural(count, "event")
        )));
    }
    let shown = |index: usize| args.index.is_none_or(|wanted| wanted as usize == index);
    let events = reading.events.map(|events| {
        let events = events.into_iter().enumerate().filter(|(index, _)| shown(*index)).take(EVENTS_MAX);
        events.map(|(index, read)| on_event(index, read, tables)).collect()
    });
    let file = file.to_string_lossy().into_owned();
    Ok(TracedRecord { file, record: args.record, more: reading.more, count, events })
}

fn on_event(index: usize, read: ReadEvent, tables: &[Explained]) -> TracedEvent {
    let mut rows = Vec::new();
    for (at, explained) in tables.iter().enumerate() {
        let of_it = read.rows.iter().filter(|(table, _)| *table == explained.rule.table.name);
        rows.extend(of_it.map(|(_, row)| (at, explained.trace(row))));
    }
    TracedEvent { index, read, rows }
}

#[cfg(test)]
mod tests;
