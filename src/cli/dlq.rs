//! `noroshi dlq`: what lies in the dead-letter topics, and sending it in again.
//!
//! Owns what the three commands share: the selection, the walk over the topics, the bar. What a reject says is read by
//! `sink::dead_letter::letter`, whether it may go back is decided by `sink::replay`.

mod bytes;
mod list;
mod replay;
mod show;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::exit::{CliError, Outcome};
use super::output::Terminal;
use super::place::Place;
use crate::config::Config;
use crate::config::kafka::{self, TokenSource};
use crate::decode::RejectCode;
use crate::normalise::time::{self, ZoneOffset};
use crate::pipeline::definition::{Pipeline, parse_duration_ms};
use crate::record::wall_clock;
use crate::sink::dead_letter::letter::{Entry, Letter, Offsets, Selection, Stored, read};
use crate::source::kafka::bounded::{BoundedReader, Bounds, ReadError, Seen};
use crate::source::kafka::preflight::{Preflight, PreflightError};

/// How long the first contact with the broker may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);
/// Ranges of replayed offsets that are kept for one partition: 16 bytes each and the tree around them.
const REPLAYED_RANGES_MAX: usize = 2_000_000;
/// Records between two strokes of the bar.
const BAR_EVERY: u64 = 256;

/// Show rejects, and send them in again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  noroshi dlq list --pipeline pipelines/demo --source ministry-windows --since 2h
  noroshi dlq show --pipeline pipelines/demo dead-letters/0/17
  noroshi dlq replay --pipeline pipelines/demo --code syntax --dry-run")]
pub struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DlqCommand {
    /// List rejects, with totals by source and code.
    List(list::ListArgs),
    /// Show all of one reject, its bytes safely.
    Show(show::ShowArgs),
    /// Send rejects back to the topics that they came from, each once.
    Replay(replay::ReplayArgs),
}

/// Which rejects are meant.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only those of this organisation.
    #[arg(long)]
    org: Option<String>,
    /// Only those of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only those with this code.
    #[arg(long)]
    code: Option<String>,
    /// Only records from this time on: a time such as 2026-10-03T01:00:00Z, or how long ago, such as 2h. The time is the
    /// original record's.
    #[arg(long)]
    since: Option<String>,
    /// Only records before this time.
    #[arg(long)]
    until: Option<String>,
}

impl Filter {
    fn selection(&self, positions: &[String]) -> Result<Selection, CliError> {
        let now_ms = wall_clock() / 1_000;
        let time = |name: &str, text: &Option<String>| {
            match text {
            None => Ok(None),
            Some(text) => moment(text, now_ms).map(Some).ok_or_else(|| {
                CliError::usage(format!(
                    "--{name} `{text}`: write a time such as 2026-10-03T01:00:00Z, or how long ago: 30m, 2h, 1d"
                ))
            }),
        }
        };
        let (since, until) = (time("since", &self.since)?, time("until", &self.until)?);
        let range = since.unwrap_or(i64::MIN)..until.unwrap_or(i64::MAX);
        if range.is_empty() {
            return Err(CliError::usage("--since is not before --until"));
        }
        if let Some(code) =
            self.code.as_deref().filter(|code| RejectCode::ALL.iter().all(|c| c.as_str() != *code))
        {
            let known: Vec<&str> = RejectCode::ALL.iter().map(|code| code.as_str()).collect();
            return Err(CliError::usage(format!(
                "there is no reject code `{code}`; known: {}",
                known.join(", ")
            )));
        }
        for position in positions {
            if place(position).is_none() {
                return Err(CliError::usage(format!(
                    "`{position}` is no position: write TOPIC/PARTITION/OFFSET, as `noroshi dlq list` does"
                )));
            }
        }
        Ok(Selection {
            org_id: self.org.clone(),
            source: self.source.clone(),
            code: self.code.clone(),
            time_ms: (since.is_some() || until.is_some()).then_some(range),
            positions: positions.to_vec(),
        })
    }

    /// Asked when nothing was found: names that the pipeline does not have are taken for mistyped then. Not before, as
    /// rejects keep the names of their time, and those of other pipelines lie beside them.
    fn known(&self, pipeline: &Pipeline) -> Result<(), CliError> {
        let organisations: Vec<&str> = pipeline.organisations.iter().map(|of| of.id.as_str()).collect();
        let sources: Vec<&str> = pipeline.sources.iter().map(|source| &*source.id).collect();
        for (what, wanted, known) in
            [("organisation", &self.org, organisations), ("source", &self.source, sources)]
        {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| !known.contains(wanted)) {
                return Err(CliError::usage(format!(
                    "the pipeline has no {what} `{wanted}`, and no reject of it was found; the pipeline has: {}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }
}

/// Milliseconds since 1970 of a time, or of so long ago.
fn moment(text: &str, now_ms: i64) -> Option<i64> {
    let ago = parse_duration_ms(text).and_then(|ms| i64::try_from(ms).ok());
    let time = || time::parse_text(text, ZoneOffset::UTC).map(|micros| micros.div_euclid(1_000));
    ago.map(|ms| now_ms - ms).or_else(time)
}

/// `topic/partition/offset`
fn place(position: &str) -> Option<(&str, i32, i64)> {
    let (rest, offset) = position.rsplit_once('/')?;
    let (topic, partition) = rest.rsplit_once('/')?;
    let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
    (!topic.is_empty() && partition >= 0 && offset >= 0).then_some((topic, partition, offset))
}

/// Runs one of the three.
pub fn main(args: &DlqArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    match &args.command {
        DlqCommand::List(args) => list::main(args, terminal),
        DlqCommand::Show(args) => show::main(args, terminal),
        DlqCommand::Replay(args) => replay::main(args, terminal),
    }
}

/// A reject as it is met on the walk.
struct Met {
    stored: Stored,
    letter: Box<Letter>,
    /// It was sent in again.
    replayed: bool,
}

/// The dead-letter topics of a pipeline, open for reading.
struct Letters {
    config: Config,
    pipeline: Pipeline,
    reader: BoundedReader,
}

impl Letters {
    /// Reads the configuration and looks at the broker.
    fn open(place: &Place) -> Result<Self, CliError> {
        let config = place.config()?;
        config.reachable()?;
        let pipeline = Pipeline::load(&place.pipeline)?;
        let token = TokenSource::new(&config);
        let unreachable = |error: PreflightError| CliError::kafka(error.to_string());
        Preflight::connect(&kafka::admin(&config)?, token.clone(), CONNECT_PATIENCE).map_err(unreachable)?;
        let consumer = kafka::consumer(&config, &config.kafka.replay_id(&pipeline.name), 0, 1)?;
        let reader = BoundedReader::new(&consumer, token).map_err(unreadable)?;
        Ok(Self { config, pipeline, reader })
    }

    /// Whether a reject is of this pipeline: several may share a dead-letter topic. A source is known by its input topics
    /// also when its id has changed since, and by its id also when it reads other topics now.
    fn is_own(&self, letter: &Letter) -> bool {
        let pipeline = &self.pipeline;
        pipeline.source_of(&letter.topic).is_some()
            || pipeline.sources.iter().enumerate().any(|(at, source)| {
                *source.id == *letter.source && pipeline.organisation_of(at).id.as_str() == letter.org_id
            })
    }

    /// The topics that rejects go to.
    fn topics(&self) -> Vec<String> {
        let organisations = self.pipeline.organisations.iter();
        let mut topics: Vec<String> =
            organisations.map(|organisation| self.pipeline.rejects.topic(&organisation.id)).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// What is in them now. Where positions are asked for, only what they can be in.
    fn bounds(&self, selection: &Selection) -> Result<Vec<Bounds>, CliError> {
        let topics = self.topics();
        let places: Vec<_> = selection.positions.iter().filter_map(|position| place(position)).collect();
        // The id of a reject is a position in an input topic: it may lie anywhere.
        let direct = !places.is_empty() && places.iter().all(|(topic, ..)| topics.iter().any(|t| t == topic));
        let mut bounds = Vec::new();
        let mut missing = Vec::new();
        for topic in &topics {
            match self.reader.bounds(topic) {
                Ok(found) => bounds.extend(found),
                Err(error) if error.is_missing() => missing.push(error),
                Err(error) => return Err(unreadable(error)),
            }
        }
        // One organisation's topic is no reason to show nothing of the others'.
        let mut err = std::io::stderr().lock();
        for error in missing {
            if bounds.is_empty() {
                return Err(unreadable(error));
            }
            let _ = writeln!(err, "noroshi: {error}; the other topics are read");
        }
        drop(err);
        if direct {
            bounds.retain_mut(|bounds| {
                let of_it = places
                    .iter()
                    .filter(|(topic, partition, _)| *topic == bounds.topic && *partition == bounds.partition);
                let Some(first) = of_it.map(|(_, _, offset)| *offset).min() else { return false };
                bounds.offsets.start = bounds.offsets.start.max(first);
                true
            });
        }
        Ok(bounds)
    }

    /// Walks over a partition's rejects that are meant, oldest first. It reads the partition twice: the marks that tell
    /// what was sent in again lie behind the rejects.
    fn walk(
        &self,
        bounds: &Bounds,
        selection: &Selection,
        bar: &ProgressBar,
        take: &mut dyn FnMut(Met) -> ControlFlow<()>,
    ) -> Result<(), CliError> {
        let mut replayed = Offsets::default();
        let mut seen = 0u64;
        let mut stroke = |offsets: i64| {
            seen += 1;
            if seen.is_multiple_of(BAR_EVERY) {
                bar.set_position(u64::try_from(offsets).unwrap_or(0));
            }
        };
        let (start, length) = (bounds.offsets.start, bounds.offsets.end - bounds.offsets.start);
        let began = i64::try_from(bar.position()).unwrap_or(0);
        self.reader
            .read(bounds, &mut |record| {
                stroke(began + record.offset() - start);
                if let Entry::Replayed(offset) = read(&stored(bounds, record, false)) {
                    replayed.insert(offset);
                }
                if replayed.ranges() > REPLAYED_RANGES_MAX {
                    return ControlFlow::Break(());
                }
                ControlFlow::Continue(())
            })
            .map_err(unreadable)?;
        if replayed.ranges() > REPLAYED_RANGES_MAX {
            return Err(CliError::usage(format!(
                "{}/{} has had rejects sent in again here and there, in more than {REPLAYED_RANGES_MAX} places; \
                 name positions behind the oldest ones",
                bounds.topic, bounds.partition
            )));
        }
        self.reader
            .read(bounds, &mut |record| {
                stroke(began + length + record.offset() - start);
                let head = stored(bounds, record, false);
                match read(&head) {
                    Entry::Letter(letter) if selection.takes(&head, &letter) => {
                        let replayed = replayed.contains(head.offset);
                        take(Met { stored: stored(bounds, record, true), letter, replayed })
                    }
                    _ => ControlFlow::Continue(()),
                }
            })
            .map_err(unreadable)?;
        bar.set_position(u64::try_from(began + 2 * length).unwrap_or(0));
        Ok(())
    }
}

/// Copies a record out; `whole` with its value.
fn stored(bounds: &Bounds, record: &Seen<'_>, whole: bool) -> Stored {
    let bytes = |value: &[u8]| if whole { value.to_vec() } else { Vec::new() };
    Stored {
        topic: bounds.topic.clone(),
        partition: bounds.partition,
        offset: record.offset(),
        timestamp_ms: record.timestamp_ms(),
        key: record.key().map(bytes),
        value: record.value().map(bytes),
        headers: record.headers(),
    }
}

fn unreadable(error: ReadError) -> CliError {
    CliError::kafka(error.to_string())
}

/// A bar over all that will be read, twice.
fn bar(terminal: &Terminal, bounds: &[Bounds]) -> ProgressBar {
    let total: i64 = bounds.iter().map(|bounds| (bounds.offsets.end - bounds.offsets.start).max(0) * 2).sum();
    if !terminal.live {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(total).unwrap_or(0));
    let template = "reading {wide_bar} {percent} % {eta}";
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_how_long_ago() {
        for (text, expect) in [
            ("2h", Some(10_000_000_000 - 7_200_000)),
            ("1d", Some(10_000_000_000 - 86_400_000)),
            ("1970-01-01T00:00:01Z", Some(1_000)),
            ("1970-01-01T09:00:01+09:00", Some(1_000)),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(moment(text, 10_000_000_000), expect, "{text}");
        }
    }

    #[test]
    fn positions_have_three_parts() {
        for (text, expect) in [
            ("dead/0/17", Some(("dead", 0, 17))),
            ("a/b/3/4", Some(("a/b", 3, 4))),
            ("dead/0", None),
            ("dead/-1/0", None),
            ("dead/0/-1", None),
            ("/0/1", None),
            ("dead/0/x", None),
        ] {
            assert_eq!(place(text), expect, "{text}");
        }
    }

    #[test]
    fn a_selection_is_refused_when_it_makes_no_sense() {
        let with = |since: Option<&str>, until: Option<&str>| Filter {
            since: since.map(str::to_owned),
            until: until.map(str::to_owned),
            ..Filter::default()
        };
        for (filter, position, ok) in [
            (with(None, None), "dead/0/1", true),
            (with(Some("2h"), Some("1h")), "dead/0/1", true),
            (with(Some("1h"), Some("2h")), "dead/0/1", false),
            (with(Some("soon"), None), "dead/0/1", false),
            (with(None, None), "dead", false),
        ] {
            assert_eq!(filter.selection(&[position.to_owned()]).is_ok(), ok, "{filter:?} {position}");
        }
        for code in RejectCode::ALL {
            let filter = Filter { code: Some(code.as_str().into()), ..Filter::default() };
            assert!(filter.selection(&[]).is_ok(), "{code}");
        }
        let filter = Filter { code: Some("sytax".into()), ..Filter::default() };
        let error = filter.selection(&[]).expect_err("no such code").to_string();
        assert!(error.starts_with("there is no reject code `sytax`; known: empty, too_large, "), "{error}");
    }
}
