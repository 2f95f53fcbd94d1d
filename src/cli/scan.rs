//! `noroshi scan`: files or standard input through the engine, without Kafka.
//!
//! Owns the arguments and where the output goes. Files are cut into chunks ([`chunk`]), which are worked on side by side
//! ([`workers`]): [`search`] makes alerts of them, [`rows`] shows how their records were read; [`profile`] says where the time
//! went.

mod chunk;
mod profile;
mod rows;
mod search;
mod workers;

use std::collections::BTreeMap;
use std::io::{BufWriter, Stdout, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chunk::Reader;
use indicatif::{ProgressBar, ProgressStyle};
use search::{Found, Search};
use workers::{Piece, Work};

use super::exit::{CliError, Outcome};
use super::output::{Format, Terminal};
use super::provenance::Provenance;
use crate::config::{Config, LoadOptions};
use crate::decode;
use crate::detect::guard::parks::ParkedRule;
use crate::detect::profile::Stopwatch;
use crate::pipeline::engine::{Compiled, EngineLimits};
use crate::record::wall_clock;
use crate::rules::{self, RuleLimits};
use crate::source::files::Framing;

/// Bytes of records that a worker takes at a time.
const CHUNK_BYTES: usize = 4 << 20;
/// Most threads that may be asked for.
const THREADS_MAX: u16 = 256;

/// Search files or standard input with the same engine, without Kafka.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Files may be plain, gzip or zstd; `-` is standard input. A record is a line (a file that begins with `[` is one
record with many events).

Examples:
  noroshi scan --rules rules/ --source windows-json --org ministry events.ndjson.zst
  zcat eve.json.gz | noroshi scan --rules rules/network --source suricata-eve --org rail -
  noroshi scan --pipeline pipelines/demo --source ministry-windows events.ndjson --output ocsf > alerts.ndjson

  How is a line read? Each row of each table, and what was in no table or rejected; no rules needed:
  head -1 shipped.ndjson | noroshi scan --source windows-json --time-zone +09:00 --output rows - | jq .

Outputs:
  table    aligned lines for people (the default at a terminal)
  matches  one JSON object an alert: rule_id, org_id, file, record (0-based), index (of the event in the record)
  ocsf     the alerts as they would be published, one a line
  rows     no alerts, but how each record was read: one JSON object for each row (file, record, index, table,
           event_time, org_id, columns), event in no table (table is null), reject (reject is its code) and record
           without an event (an empty list)")]
#[command(mut_arg("source", |source| source.required(true)))]
pub struct ScanArgs {
    /// Files; `-` is standard input.
    #[arg(default_value = "-")]
    files: Vec<PathBuf>,
    /// Rules: files and folders. Without --pipeline. `--output rows` reads none.
    #[arg(long, num_args = 1.., conflicts_with = "pipeline")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    provenance: Provenance,
    /// What to print.
    #[arg(long, value_enum)]
    output: Option<Output>,
    /// How files are cut into records.
    #[arg(long, value_enum, default_value_t = Framing::Auto)]
    framing: Framing,
    /// Engines side by side; unless a rule is parked the output is the same for any number. As many as there are cores, when not told.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(THREADS_MAX)))]
    threads: Option<u16>,
    /// A configuration file, for its limits.
    #[arg(long)]
    config: Option<PathBuf>,
    /// One setting, as section.key=value; may be repeated.
    #[arg(long)]
    set: Vec<String>,
    /// Say on standard error where the time went, by stage and by rule; `--profile=json` for machines.
    #[arg(long, value_enum, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "human")]
    profile: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Table,
    Matches,
    Ocsf,
    Rows,
}

/// Scans and prints; alerts are no failure, and a rule that was parked is a problem.
pub fn main(args: &ScanArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let config = Config::load(&LoadOptions::from_process(args.config.clone(), args.set.clone()))?;
    let output = args.output.unwrap_or(if terminal.live_out { Output::Table } else { Output::Matches });
    if output != Output::Rows && args.rules.is_empty() && args.provenance.folder().is_none() {
        return Err(CliError::usage(
            "which rules? Name them with --rules, or a pipeline with --pipeline; --output rows needs neither",
        ));
    }
    let Some(pipeline) = args.provenance.pipeline(&args.rules)? else {
        return Err(CliError::usage(
            "which format? Name it, or with --pipeline one of its sources, with --source",
        ));
    };
    let source = args.provenance.source(&pipeline)?;
    let began = Instant::now();
    if output == Output::Rows {
        // Rows themselves show how it goes; a bar beside them would be in their way.
        let bar = if terminal.live_out { ProgressBar::hidden() } else { progress(args, terminal) };
        let limits = config.limits.decode();
        let make = || rows::Rows::new(&pipeline, source, limits);
        let mut seen = rows::Seen::default();
        let read = files(args, &config, (&bar, false), &make, &mut |more| seen.add(more));
        if !matches!(&read, Err(error) if error.unheard()) {
            seen.report(began);
        }
        return read.map(|_| Outcome::Done);
    }
    let loaded = rules::load_with(
        &pipeline.rules,
        &pipeline.catalog,
        &RuleLimits::from(&config.limits),
        &pipeline.selection,
    );
    let told = loaded.diagnostics.clone();
    let compiled = Arc::new(super::run::compiled(pipeline, loaded)?);
    terminal.warn_some(&told);
    let bar = progress(args, terminal);
    let mut limits = EngineLimits::from(&config.limits);
    // Nobody is flooded by what is printed.
    limits.guard.rows_max = None;
    let began_ms = wall_clock() / 1_000;
    let profiled = args.profile.is_some();
    let make = || Search::new(&compiled, &limits, source, output, began_ms).profiled(profiled);
    let mut found = Found::default();
    let ready = began.elapsed();
    let read = files(args, &config, (&bar, terminal.live_out), &make, &mut |more| found.add(more));
    // Also of a file that is torn somebody wants to know how far it was searched.
    if !matches!(&read, Err(error) if error.unheard()) {
        found.report(terminal, &compiled, began);
    }
    let (reading, printing) = read?;
    if let Some(format) = args.profile {
        let frame = profile::Frame { total: began.elapsed(), ready, reading, printing };
        profile::report(format, &frame, found.profile(), compiled.rules.rules());
    }
    // Something was not searched for.
    Ok(if compiled.parks.count() == 0 { Outcome::Done } else { Outcome::Problems })
}

/// Reads all files and prints what comes of them; `shared` says that output goes where the bar stands. Returns how long
/// reading and printing took, when somebody wants to know.
fn files<W: Work>(
    args: &ScanArgs,
    config: &Config,
    (bar, shared): (&ProgressBar, bool),
    make: &(dyn Fn() -> W + Sync),
    told: &mut dyn FnMut(W::Told),
) -> Result<(Duration, Duration), CliError> {
    let record_bytes_max = config.limits.decode().record_bytes_max;
    let mut reader = Reader::new(&args.files, args.framing, record_bytes_max, CHUNK_BYTES, bar);
    let mut out = BufWriter::new(std::io::stdout());
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.threads.map_or_else(cores, usize::from);
    let profiled = args.profile.is_some();
    let (mut reading, mut printing) = (Duration::ZERO, Duration::ZERO);
    let mut read = |chunk: &mut chunk::Chunk| {
        let watch = Stopwatch::when(profiled);
        let more = reader.fill(chunk);
        reading += watch.read();
        more
    };
    let mut show = |piece| {
        let watch = Stopwatch::when(profiled);
        let shown = match piece {
            Piece::Text(text) if shared => {
                // The bar makes room, so that rows begin at the beginning of a line.
                bar.suspend(|| print(&mut out, &text).and_then(|()| Ok(out.flush()?)))
            }
            Piece::Text(text) => print(&mut out, &text),
            Piece::Told(more) => {
                told(more);
                Ok(())
            }
        };
        printing += watch.read();
        shown
    };
    workers::in_order(threads, make, &mut read, &mut show)?;
    out.flush()?;
    Ok((reading, printing))
}

fn print(out: &mut BufWriter<Stdout>, text: &str) -> Result<(), CliError> {
    Ok(out.write_all(text.as_bytes())?)
}

fn progress(args: &ScanArgs, terminal: &Terminal) -> ProgressBar {
    let total: Option<u64> =
        args.files.iter().map(|path| std::fs::metadata(path).ok().map(|meta| meta.len())).sum();
    let long = total.is_none_or(|bytes| bytes > 4 << 20);
    if !terminal.live || !long {
        return ProgressBar::hidden();
    }
    let template = "{bytes}/{total_bytes} {wide_bar} {bytes_per_sec} {eta}";
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How many records there were, and those of them that held no event.
fn records(count: u64, without_event: u64) -> String {
    match without_event {
        0 => format!("{count} records"),
        without => format!("{count} records ({without} without an event)"),
    }
}

/// What is said of events in no table that do not look like their format.
fn unlike(count: u64, hint: &decode::Hint) -> String {
    format!("{count} in no table: {hint}")
}

/// A line for each rule that was parked, with the rows that it did not judge.
pub fn parked(compiled: &Compiled, rows_unjudged: &BTreeMap<usize, u64>) -> Vec<String> {
    let tell = |parked: ParkedRule| {
        let id = &compiled.rules.rules().get(parked.rule)?.meta.id;
        let rows = rows_unjudged.get(&parked.rule).copied().unwrap_or(0);
        Some(format!("the rule {id} was parked, and did not judge {rows} rows: {}", parked.why))
    };
    compiled.parks.all().into_iter().filter_map(tell).collect()
}
