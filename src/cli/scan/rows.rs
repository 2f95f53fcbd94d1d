//! `noroshi scan --output rows`: how each record was read, without any rule.
//!
//! Owns the lines and their summary; each worker has its own [`Rows`]. Records go through the decoder of their format and the layout of all columns of
//! all tables, as evidence does; what comes out is shown instead of searched. Called by `cli::scan`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use super::chunk::Chunk;
use super::workers::{Unheard, Work};
use super::{records, unlike};
use crate::decode::{DecodeLimits, Decoder, Hint};
use crate::normalise::layout::Layout;
use crate::normalise::projection::Projection;
use crate::normalise::time::{self, ZoneOffset};
use crate::pipeline::definition::Pipeline;
use crate::printable;

/// Bytes of lines that are shown together.
const LINES_TOGETHER_BYTES: usize = 1 << 20;

/// Why a line has no table.
const IN_NO_TABLE: &str = "no table takes the event: the fields under `decisive` say which do, with one of the values under `accepted`";

/// Why a line has no event.
const WITHOUT_EVENT: &str = "the record holds no event: its list is empty";

/// One line; `table` is null for what became no row.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    record: i64,
    /// Of the event in its record; a reject has none, nor has a record without an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    org_id: &'a str,
    source: &'a str,
    table: Option<&'a str>,
    #[serde(flatten)]
    what: What<'a>,
}

/// What is the same for all lines of a record.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    record: i64,
    org_id: &'a str,
    source: &'a str,
}

impl<'a> Place<'a> {
    fn line(self, index: Option<u32>, table: Option<&'a str>, what: What<'a>) -> Line<'a> {
        let Self { file, record, org_id, source } = self;
        Line { file, record, index, org_id, source, table, what }
    }
}

/// When an event happened.
#[derive(Serialize)]
struct When<'a> {
    event_time: &'a Option<String>,
    /// Fields that should hold the time, and hold something else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    time_unread: &'a BTreeMap<&'a str, Value>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What<'a> {
    Row {
        #[serde(flatten)]
        when: When<'a>,
        columns: BTreeMap<&'a str, Value>,
        /// Columns whose value did not fit their type.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        unfit: Vec<&'a str>,
    },
    NoTable {
        #[serde(flatten)]
        when: When<'a>,
        reason: String,
        decisive: BTreeMap<&'a str, Value>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        accepted: BTreeMap<&'a str, Vec<&'a str>>,
    },
    WithoutEvent {
        reason: &'a str,
    },
    Rejected {
        reject: &'a str,
        reason: &'a str,
    },
}

/// Shows how the records of one source are read.
pub struct Rows {
    org_id: String,
    source: String,
    zone: ZoneOffset,
    projection: Projection,
    decoder: Box<dyn Decoder>,
    layout: Layout,
    out: String,
}

/// What was seen, of a chunk or of all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    records: u64,
    without_event: u64,
    events: u64,
    rows: u64,
    in_no_table: u64,
    unlike_format: BTreeMap<Hint, u64>,
    without_time: u64,
    rejected: u64,
}

impl Rows {
    /// For the records of a pipeline's source.
    pub fn new(pipeline: &Pipeline, source: usize, limits: DecodeLimits) -> Self {
        let declared = &pipeline.sources[source];
        let projection = Projection::full(&pipeline.catalog);
        let layout = Layout::new(&projection, declared.format);
        Self {
            org_id: pipeline.organisation_of(source).id.as_str().to_owned(),
            source: declared.id.to_string(),
            zone: declared.zone,
            decoder: declared.format.decoder(layout.fields(), limits),
            projection,
            layout,
            out: String::new(),
        }
    }
}

impl Seen {
    /// Adds what was seen in the chunk that follows.
    pub fn add(&mut self, next: Self) {
        let Self { records, without_event, events, rows, in_no_table, unlike_format, without_time, rejected } =
            next;
        self.records += records;
        self.without_event += without_event;
        self.events += events;
        self.rows += rows;
        self.in_no_table += in_no_table;
        for (hint, count) in unlike_format {
            *self.unlike_format.entry(hint).or_default() += count;
        }
        self.without_time += without_time;
        self.rejected += rejected;
    }

    /// Says, on standard error, how much there was.
    pub fn report(&self, began: Instant) {
        let Self { events, rows, in_no_table, unlike_format, without_time, rejected, .. } = self;
        let records = records(self.records, self.without_event);
        let seconds = began.elapsed().as_secs_f64();
        let mut err = std::io::stderr().lock();
        let _ = writeln!(
            err,
            "{records}, {events} events, {rows} rows ({in_no_table} events in no table), {rejected} rejected, \
             {seconds:.1} s"
        );
        for (hint, count) in unlike_format {
            let _ = writeln!(err, "{}", unlike(*count, hint));
        }
        if *without_time > 0 {
            let _ = writeln!(
                err,
                "{without_time} events without a readable time: from Kafka they take the time of their record"
            );
        }
    }
}

impl Work for Rows {
    type Told = Seen;

    fn work(
        &mut self,
        chunk: &Chunk,
        say: &mut dyn FnMut(String) -> Result<(), Unheard>,
    ) -> Result<Seen, Unheard> {
        let mut seen = Seen::default();
        for (file, offset, payload) in chunk.records() {
            self.read(file, offset, payload, &mut seen);
            if self.out.len() >= LINES_TOGETHER_BYTES {
                say(std::mem::take(&mut self.out))?;
            }
        }
        say(std::mem::take(&mut self.out))?;
        Ok(seen)
    }
}

impl Rows {
    fn read(&mut self, file: &str, offset: i64, payload: &[u8], seen: &mut Seen) {
        let Self { org_id, source, zone, projection, decoder, layout, out } = self;
        let place = Place { file, record: offset, org_id, source };
        let mut index = 0u32;
        seen.records += 1;
        let decoded = decoder.decode(payload, &mut |slots| {
            let event_time = layout.event_time(slots, *zone).and_then(time::iso);
            seen.events += 1;
            seen.without_time += u64::from(event_time.is_none());
            let rows = layout.read(slots, *zone);
            let time_unread = if event_time.is_none() { layout.times(slots) } else { BTreeMap::new() };
            let when = || When { event_time: &event_time, time_unread: &time_unread };
            let mut lines = Vec::with_capacity(rows.len().max(1));
            for row in rows {
                let Some(projected) = projection.tables().get(row.table) else { continue };
                let names: Vec<&str> =
                    projected.schema.fields().iter().map(|field| field.name().as_str()).collect();
                let columns = names.iter().copied().zip(row.values).filter(|(_, value)| !value.is_null());
                let unfit = row.unfit.iter().filter_map(|at| names.get(*at).copied()).collect();
                let what = What::Row { when: when(), columns: columns.collect(), unfit };
                lines.push(place.line(Some(index), Some(projected.table.name.as_str()), what));
            }
            seen.rows += lines.len() as u64;
            if lines.is_empty() {
                seen.in_no_table += 1;
                let decisive = layout.decisive(slots);
                let (reason, accepted) = match layout.hint(slots) {
                    Some(hint) => {
                        *seen.unlike_format.entry(hint).or_default() += 1;
                        (format!("no table takes the event: it {hint}"), BTreeMap::new())
                    }
                    None => (IN_NO_TABLE.to_owned(), layout.accepted()),
                };
                let what = What::NoTable { when: when(), reason, decisive, accepted };
                lines.push(place.line(Some(index), None, what));
            }
            for line in &lines {
                write(out, line);
            }
            index += 1;
        });
        match decoded {
            Ok(0) => {
                seen.without_event += 1;
                write(out, &place.line(None, None, What::WithoutEvent { reason: WITHOUT_EVENT }));
            }
            Ok(_) => {}
            Err(reject) => {
                seen.rejected += 1;
                let what = What::Rejected { reject: reject.code.as_str(), reason: &reject.detail };
                write(out, &place.line(None, None, what));
            }
        }
    }
}

fn write(out: &mut String, line: &Line<'_>) {
    // Strings, numbers and maps with string keys always serialise.
    let text = serde_json::to_string(line).unwrap_or_default();
    let _ = writeln!(out, "{}", printable::json(&text));
}
