//! One record as rows: how it was read, and the batches that a rule is traced on.
//!
//! Owns finding the record in its file. It is decoded twice: with all columns of all tables, to say how it is read, and
//! with what the rule reads, as the engine builds it. Called by the parent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use serde_json::Value as Json;

use crate::cli::exit::CliError;
use crate::decode::{DecodeLimits, Reject};
use crate::normalise::layout::{EventContext, Everything, Layout, TableBuilder};
use crate::normalise::projection::Projection;
use crate::normalise::time;
use crate::pipeline::definition::Pipeline;
use crate::record::{TimeMicros, wall_clock};
use crate::rules::Rule;
use crate::source::files::{FileRecords, Framing};

/// Which record of which file.
pub struct Wanted<'a> {
    /// `-` is standard input.
    pub file: &'a Path,
    /// From 0.
    pub record: u64,
}

/// What became of a record.
pub struct Reading {
    /// The file has more records behind it.
    pub more: bool,
    /// Its events, or why it is none.
    pub events: Result<Vec<ReadEvent>, Reject>,
}

/// An event.
pub struct ReadEvent {
    /// When it happened, in UTC; none when it has no time that can be read.
    pub event_time: Option<String>,
    /// The tables that it is a row of, one for each row.
    pub tables: Vec<String>,
    /// Columns whose value did not fit their type, with their tables.
    pub unfit: Vec<(String, String)>,
    /// Of an event in no table.
    pub in_none: Option<InNone>,
    /// Its rows in the tables of the rules, each a batch of one row.
    pub rows: Vec<(String, RecordBatch)>,
}

/// Why an event is in no table.
pub struct InNone {
    /// It looks like another format.
    pub hint: Option<String>,
    /// The fields that tables are chosen by, with what it has there.
    pub decisive: BTreeMap<String, Json>,
}

/// Reads a record as a source of the pipeline, for these rules.
pub fn read(
    pipeline: &Pipeline,
    source: usize,
    rules: &[Arc<Rule>],
    wanted: &Wanted<'_>,
    limits: DecodeLimits,
) -> Result<Reading, CliError> {
    let (payload, more) = payload(wanted, limits)?;
    let declared = &pipeline.sources[source];
    let full = Projection::full(&pipeline.catalog);
    let mut layout = Layout::new(&full, declared.format);
    let mut decoder = declared.format.decoder(layout.fields(), limits);
    let mut events = Vec::new();
    let decoded = decoder.decode(&payload, &mut |slots| {
        let mut event = ReadEvent {
            event_time: layout.event_time(slots, declared.zone).and_then(time::iso),
            tables: Vec::new(),
            unfit: Vec::new(),
            in_none: None,
            rows: Vec::new(),
        };
        for row in layout.read(slots, declared.zone) {
            let Some(projected) = full.tables().get(row.table) else { continue };
            let table = &projected.table.name;
            let names =
                row.unfit.iter().filter_map(|at| Some(projected.schema.fields().get(*at)?.name().clone()));
            event.unfit.extend(names.map(|name| (table.clone(), name)));
            event.tables.push(table.clone());
        }
        if event.tables.is_empty() {
            let decisive = layout.decisive(slots);
            event.in_none = Some(InNone {
                hint: layout.hint(slots).map(|hint| hint.to_string()),
                decisive: decisive.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            });
        }
        events.push(event);
    });
    if let Err(reject) = decoded {
        return Ok(Reading { more, events: Err(reject) });
    }
    rows(pipeline, source, rules, wanted, &payload, limits, &mut events);
    Ok(Reading { more, events: Ok(events) })
}

/// Adds the rows that the rules see.
fn rows(
    pipeline: &Pipeline,
    source: usize,
    rules: &[Arc<Rule>],
    wanted: &Wanted<'_>,
    payload: &[u8],
    limits: DecodeLimits,
    events: &mut [ReadEvent],
) {
    let declared = &pipeline.sources[source];
    let needs = rules.iter().map(|rule| (rule.table.name.as_str(), rule.columns.as_slice()));
    let projection = Projection::new(&pipeline.catalog, needs);
    let mut layout = Layout::new(&projection, declared.format);
    let mut decoder = declared.format.decoder(layout.fields(), limits);
    let file = wanted.file.to_string_lossy();
    // As in a scan: events without a time have that of the command.
    let now: TimeMicros = wall_clock();
    let mut index = 0u32;
    let _ = decoder.decode(payload, &mut |slots| {
        let mut tables: Vec<TableBuilder> = projection.tables().iter().map(TableBuilder::new).collect();
        let context = EventContext {
            org_id: pipeline.organisation_of(source).id.as_str(),
            source: &declared.id,
            event_time: layout.event_time(slots, declared.zone).unwrap_or(now),
            ingest_time: Some(now),
            topic: &file,
            partition: 0,
            offset: i64::try_from(wanted.record).unwrap_or(i64::MAX),
            index,
        };
        layout.add(slots, &context, 0, declared.zone, &mut tables, &mut Everything);
        if let Some(event) = events.get_mut(index as usize) {
            for (table, projected) in tables.iter_mut().zip(projection.tables()) {
                let Ok((batch, _)) = table.finish() else { continue };
                let each = (0..batch.num_rows()).map(|row| batch.slice(row, 1));
                event.rows.extend(each.map(|row| (projected.table.name.clone(), row)));
            }
        }
        index += 1;
    });
}

/// The bytes of the record, and whether there are more records.
fn payload(wanted: &Wanted<'_>, limits: DecodeLimits) -> Result<(Vec<u8>, bool), CliError> {
    let plain = |error: crate::source::files::FileError| CliError::usage(error.to_string());
    let mut records =
        FileRecords::open(wanted.file, Framing::Auto, limits.record_bytes_max).map_err(plain)?;
    let mut at = 0u64;
    while let Some(payload) = records.next_record().map_err(plain)? {
        if at == wanted.record {
            let payload = payload.to_vec();
            return Ok((payload, records.next_record().map_err(plain)?.is_some()));
        }
        at += 1;
    }
    let file = wanted.file.display();
    if at == 0 {
        return Err(CliError::usage(format!("{file} has no record")));
    }
    Err(CliError::usage(format!(
        "{file} has {at} records, and none with the number {}; the first is 0",
        wanted.record
    )))
}
