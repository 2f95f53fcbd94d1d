//! `noroshi dlq replay`: rejects back to the topics that they came from, each once.
//!
//! Owns the batches and what is told of them. The producer is initialised before the first mark is read: from then on no
//! other run can add one, so what has no mark has not been sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{Filter, Letters, Met, bar};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{Format, MESSAGE_COLUMNS_MAX, Terminal};
use crate::cli::place::Place;
use crate::config::kafka::{self, TokenSource};
use crate::printable;
use crate::sink::kafka::ProducerSettings;
use crate::sink::kafka::replay::{ReplayError, Replayer};
use crate::sink::replay::{Input, Placed, Refusal, decide};

/// Bytes of one transaction; the record that goes beyond is in it.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Refusals that are named; all are counted.
const NAMED_MAX: usize = 1_000;

/// Send rejects back to the topics that they came from, each once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A record goes back with its key, its headers and its bytes, and a header `noroshi-attempt`. In the same transaction a mark in
the dead-letter topic says that it has been sent: a replay that is killed can be run again, and sends only the rest. What was
cut, and what was tried --attempts-max times, is not sent, but named. At least one of positions, filters and --all is needed.

Exit code 1: some of what was selected was refused, or a position holds no reject. 4: another replay of the pipeline has taken over.

Examples:
  noroshi dlq replay --pipeline pipelines/demo --source ministry-windows --code syntax --dry-run
  noroshi dlq replay --pipeline pipelines/demo --source ministry-windows --code syntax
  noroshi dlq replay --pipeline pipelines/demo dead-letters/0/17 dead-letters/0/19")]
pub struct ReplayArgs {
    /// Positions in the dead-letter topics, or ids, as TOPIC/PARTITION/OFFSET.
    positions: Vec<String>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// All rejects.
    #[arg(long)]
    all: bool,
    /// Send nothing, only say what would be sent.
    #[arg(long)]
    dry_run: bool,
    /// A record is tried at most so often, the first time included.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    attempts_max: u32,
    /// Send at most this many.
    #[arg(long)]
    limit: Option<u64>,
    /// Rejects in one transaction.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    transaction_records: u32,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// What came of it.
#[derive(Debug, Default, PartialEq)]
struct Report {
    sent: u64,
    before: u64,
    refused: BTreeMap<Refusal, u64>,
    /// Position, id where a reject was found, why.
    named: Vec<(String, Option<String>, Refusal)>,
}

impl Report {
    fn refuse(&mut self, met: &Met, refusal: Refusal) {
        self.name(met.stored.position(), Some(met.letter.id.clone()), refusal);
    }

    fn name(&mut self, position: String, id: Option<String>, refusal: Refusal) {
        *self.refused.entry(refusal).or_default() += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push((position, id, refusal));
        }
    }

    /// Rejects that the selection took.
    fn met(&self) -> u64 {
        self.sent + self.before + self.refused()
    }

    fn refused(&self) -> u64 {
        self.refused.values().sum()
    }
}

struct Replay<'a> {
    letters: &'a Letters,
    args: &'a ReplayArgs,
    replayer: Option<Replayer>,
    inputs: HashMap<String, Option<Input>>,
    batch: Vec<Placed>,
    batch_records: u64,
    batch_bytes: usize,
    /// Positions and ids that were asked for and not met yet.
    missing: BTreeSet<String>,
    report: Report,
}

/// Replays.
pub fn main(args: &ReplayArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let selection = args.filter.selection(&args.positions)?;
    if selection.is_all() && !args.all {
        return Err(CliError::usage(
            "say which rejects: positions, --org, --source, --code, --since, or --all",
        ));
    }
    let letters = Letters::open(&args.place)?;
    let replayer = if args.dry_run { None } else { Some(start(&letters)?) };
    // Only now: see the head of this file.
    let all = letters.bounds(&selection)?;
    // A dry run writes lines where the bar would stand.
    let bar = if args.dry_run { ProgressBar::hidden() } else { bar(terminal, &all) };
    let mut replay = Replay {
        letters: &letters,
        args,
        replayer,
        inputs: HashMap::new(),
        batch: Vec::new(),
        batch_records: 0,
        batch_bytes: 0,
        missing: args.positions.iter().cloned().collect(),
        report: Report::default(),
    };
    let mut failed = None;
    for bounds in &all {
        let walked = letters.walk(bounds, &selection, &bar, &mut |met| match replay.take(&met) {
            Ok(flow) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        });
        if let Some(error) = failed.take().or(walked.err()) {
            bar.finish_and_clear();
            replay.tell()?;
            return Err(error);
        }
        if replay.has_all() {
            break;
        }
    }
    let done = replay.flush();
    bar.finish_and_clear();
    if done.is_ok() {
        if replay.report.met() == 0 {
            args.filter.known(&letters.pipeline)?;
        }
        for position in std::mem::take(&mut replay.missing) {
            replay.report.name(position, None, Refusal::NotFound);
        }
    }
    replay.tell()?;
    done?;
    Ok(if replay.report.refused() > 0 { Outcome::Problems } else { Outcome::Done })
}

fn start(letters: &Letters) -> Result<Replayer, CliError> {
    let config = &letters.config;
    let timeout = Duration::from_millis(config.transaction.timeout_ms);
    let settings = ProducerSettings {
        config: kafka::producer(config, &config.kafka.replay_id(&letters.pipeline.name))?,
        instance: "replay".into(),
        token: TokenSource::new(config),
        try_for: timeout.mul_f64(0.8),
        replace_for: timeout,
    };
    Replayer::start(&settings).map_err(|error| CliError::kafka(error.to_string()))
}

impl Replay<'_> {
    fn take(&mut self, met: &Met) -> Result<ControlFlow<()>, CliError> {
        self.missing.remove(&met.stored.position());
        self.missing.remove(&met.letter.id);
        if met.replayed {
            self.report.before += 1;
            return Ok(ControlFlow::Continue(()));
        }
        if self.is_full() {
            return Ok(if self.has_all() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        let input = self.input(&met.letter.topic)?;
        match decide(&met.stored, &met.letter, input.as_ref(), self.args.attempts_max) {
            Err(refusal) => self.report.refuse(met, refusal),
            Ok(records) => {
                if self.args.dry_run && self.args.format == Format::Human {
                    let line = format!(
                        "{} → {}, attempt {}",
                        met.stored.position(),
                        met.letter.topic,
                        met.letter.attempt + 1
                    );
                    writeln!(std::io::stdout().lock(), "{}", printable::line(&line, MESSAGE_COLUMNS_MAX))?;
                }
                self.batch_bytes += records.iter().map(Placed::bytes).sum::<usize>();
                self.batch_records += 1;
                self.batch.extend(records);
                let full = self.batch_records >= u64::from(self.args.transaction_records)
                    || self.batch_bytes >= BATCH_BYTES_MAX;
                if full {
                    self.flush()?;
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn is_full(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.report.sent + self.batch_records >= limit)
    }

    /// Nothing that is still to be read can change the report: as many are sent as may be, and what was asked for by
    /// position was met.
    fn has_all(&self) -> bool {
        self.is_full() && self.missing.is_empty()
    }

    /// Sends the batch.
    fn flush(&mut self) -> Result<(), CliError> {
        let batch = std::mem::take(&mut self.batch);
        if let Some(replayer) = self.replayer.as_ref().filter(|_| !batch.is_empty()) {
            replayer.send(&batch).map_err(|error| CliError::Plain {
                outcome: match error {
                    ReplayError::Fenced(_) => Outcome::Fenced,
                    ReplayError::NotSent(_) | ReplayError::Unknown(_) => Outcome::Kafka,
                },
                message: error.to_string(),
            })?;
        }
        self.report.sent += std::mem::take(&mut self.batch_records);
        self.batch_bytes = 0;
        Ok(())
    }

    /// The source that reads a topic, by configuration, and how many partitions the topic has.
    fn input(&mut self, topic: &str) -> Result<Option<Input>, CliError> {
        if let Some(known) = self.inputs.get(topic) {
            return Ok(known.clone());
        }
        let pipeline = &self.letters.pipeline;
        let input = match pipeline.source_of(topic) {
            None => None,
            Some(at) => {
                let organisation = &pipeline.organisation_of(at).id;
                let partitions = self.letters.reader.partitions(topic).map_err(super::unreadable)?.len();
                Some(Input {
                    source: pipeline.sources[at].id.to_string(),
                    org_id: organisation.to_string(),
                    reject_topic: pipeline.rejects.topic(organisation),
                    partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
                })
            }
        };
        // A dead-letter topic that others write to may name any number of topics; those that are nobody's need no memory.
        if input.is_some() {
            self.inputs.insert(topic.to_owned(), input.clone());
        }
        Ok(input)
    }

    fn tell(&self) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        match self.args.format {
            Format::Json => {
                let document = document(&self.report, self.args.dry_run);
                writeln!(out, "{}", printable::json(&format!("{document:#}")))?;
            }
            Format::Human => write!(out, "{}", page(&self.report, self.args.dry_run))?,
        }
        Ok(())
    }
}

fn document(report: &Report, dry_run: bool) -> Value {
    let refused: serde_json::Map<String, Value> =
        report.refused.iter().map(|(refusal, count)| (refusal.code().to_owned(), json!(count))).collect();
    let named: Vec<Value> = report
        .named
        .iter()
        .map(|(position, id, refusal)| json!({ "position": position, "id": id, "why": refusal.code() }))
        .collect();
    json!({
        "dry_run": dry_run,
        "sent": report.sent,
        "sent_before": report.before,
        "refused": refused,
        "refusals": named,
    })
}

fn page(report: &Report, dry_run: bool) -> String {
    let mut page = String::new();
    for (position, id, refusal) in &report.named {
        let id = id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
        let line = format!("refused: {position}{id}: {}", refusal.as_str());
        page.push_str(&printable::line(&line, MESSAGE_COLUMNS_MAX));
        page.push('\n');
    }
    let more = report.refused() - report.named.len() as u64;
    if more > 0 {
        page.push_str(&format!("refused: … and {more} more\n"));
    }
    page.push_str(&format!(
        "{} {}, {} refused, {} sent before\n",
        report.sent,
        if dry_run { "would be sent" } else { "sent" },
        report.refused(),
        report.before
    ));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::dead_letter::letter::tests::{letter, stored};

    #[test]
    fn refusals_are_named_and_counted() {
        let stored = stored(Vec::new(), b"abcdef", 3);
        let met = Met { letter: Box::new(letter(&stored)), stored, replayed: false };
        let mut report = Report { sent: 2, before: 1, ..Report::default() };
        for _ in 0..NAMED_MAX + 2 {
            report.refuse(&met, Refusal::Cut);
        }
        report.refuse(&met, Refusal::Attempts);
        assert_eq!(report.met(), 1_006);
        let page = page(&report, false);
        let mut lines = page.lines().rev();
        assert_eq!(lines.next(), Some("2 sent, 1003 refused, 1 sent before"));
        assert_eq!(lines.next(), Some("refused: … and 3 more"));
        let first = page.lines().next().unwrap_or_default();
        assert_eq!(
            first,
            "refused: dead/0/40 (in.power/2/7): cut at limits.reject_bytes_max; the whole may still lie in the input topic"
        );
        let document = document(&report, true);
        assert_eq!(document["refused"], json!({ "cut": 1002, "attempts": 1 }));
        assert_eq!(document["refusals"].as_array().map(Vec::len), Some(NAMED_MAX));
    }

    #[test]
    fn what_was_not_found_is_named_and_counted() {
        let mut report = Report::default();
        report.name("dead/0/77".into(), None, Refusal::NotFound);
        assert_eq!(
            page(&report, false),
            "refused: dead/0/77: there is no such reject, or the filters leave it out\n\
             0 sent, 1 refused, 0 sent before\n"
        );
        let document = document(&report, false);
        assert_eq!(document["refused"], json!({ "not_found": 1 }));
        assert_eq!(
            document["refusals"],
            json!([{ "position": "dead/0/77", "id": null, "why": "not_found" }])
        );
    }
}
