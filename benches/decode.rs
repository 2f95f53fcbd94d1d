//! Decode and engine against the JSON parser alone, on one core, in one run.
//!
//! `cargo bench --bench decode`. Each line is the median of several rounds; rounds alternate, so that a busy
//! machine slows all of them alike. Read the ratios.

mod record;
mod telemetry;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use noroshi::config::Config;
use noroshi::decode::{self, FieldSet};
use noroshi::normalise::layout::{EventContext, Everything, Layout, TableBuilder};
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::Catalog;
use noroshi::normalise::time::ZoneOffset;
use noroshi::pipeline::definition::Pipeline;
use noroshi::pipeline::engine::{Compiled, Engine, EngineLimits};
use noroshi::rules::{self, RuleLimits, RuleSet};

const RECORDS: usize = 60_000;
const ROUNDS: usize = 5;

fn main() {
    // `cargo test` runs benches to see that they build.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (what, records) = telemetry::windows(RECORDS);
    let bytes: usize = records.iter().map(Vec::len).sum();
    let format = decode::format("windows-json").expect("a format");
    let catalog = Arc::new(Catalog::stock().expect("the stock tables"));
    let rules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules/windows");
    let loaded = rules::load(std::slice::from_ref(&rules), &catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let pipeline =
        Pipeline::of_one_source(format, "bench", ZoneOffset::UTC, vec![rules], Arc::clone(&catalog))
            .expect("a pipeline");
    let set = Arc::new(RuleSet::new(loaded.rules));
    let compiled = Arc::new(Compiled::new(Arc::new(pipeline), Arc::clone(&set)).expect("compiles"));
    let full = Projection::full(&catalog);
    println!(
        "{} {what}, {:.1} MB, {} rules, one core\n",
        records.len(),
        bytes as f64 / 1e6,
        set.rules().len()
    );

    let stages: [(&str, &dyn Fn() -> u64); 5] = [
        ("JSON parser alone (simd-json tape)", &|| parse(&records)),
        ("decode, no field wanted", &|| decode_only(&records, &FieldSet::new())),
        ("decode + normalise, the rules' columns", &|| normalise(&records, &compiled.projection)),
        ("decode + normalise, all columns", &|| normalise(&records, &full)),
        ("engine: decode, normalise, all rules, alerts", &|| engine(&records, &compiled)),
    ];
    let mut figures = vec![Vec::new(); stages.len()];
    for _ in 0..ROUNDS {
        for (stage, (_, work)) in stages.iter().enumerate() {
            let began = Instant::now();
            std::hint::black_box(work());
            figures[stage].push(records.len() as f64 / began.elapsed().as_secs_f64());
        }
    }
    let base = telemetry::median(figures[0].clone());
    println!("{:<46} {:>12} {:>8} {:>9}", "stage", "records/s", "MB/s", "of parser");
    for ((name, _), rates) in stages.iter().zip(figures) {
        let rate = telemetry::median(rates);
        let mb = rate * bytes as f64 / records.len() as f64 / 1e6;
        println!("{name:<46} {rate:>12.0} {mb:>8.0} {:>8.0} %", rate / base * 100.0);
    }
}

fn parse(records: &[Vec<u8>]) -> u64 {
    let mut buffers = simd_json::Buffers::default();
    let mut scratch = Vec::new();
    let mut nodes = 0;
    for record in records {
        scratch.clear();
        scratch.extend_from_slice(record);
        let tape = simd_json::to_tape_with_buffers(&mut scratch, &mut buffers).expect("JSON");
        nodes += tape.0.len() as u64;
    }
    nodes
}

fn decode_only(records: &[Vec<u8>], fields: &FieldSet) -> u64 {
    let format = decode::format("windows-json").expect("a format");
    let mut decoder = format.decoder(fields, Config::default().limits.decode());
    let mut events = 0;
    for record in records {
        events += u64::from(decoder.decode(record, &mut |_| {}).expect("an event"));
    }
    events
}

fn normalise(records: &[Vec<u8>], projection: &Projection) -> u64 {
    let format = decode::format("windows-json").expect("a format");
    let mut layout = Layout::new(projection, format);
    let mut decoder = format.decoder(layout.fields(), Config::default().limits.decode());
    let mut tables: Vec<TableBuilder> = projection.tables().iter().map(TableBuilder::new).collect();
    let mut rows = 0;
    for record in records {
        let decoded = decoder.decode(record, &mut |slots| {
            let context = EventContext {
                org_id: "bench",
                source: "bench",
                event_time: layout.event_time(slots, ZoneOffset::UTC).unwrap_or(0),
                ingest_time: None,
                topic: "bench",
                partition: 0,
                offset: 0,
                index: 0,
            };
            rows +=
                u64::from(layout.add(slots, &context, 0, ZoneOffset::UTC, &mut tables, &mut Everything).rows);
        });
        decoded.expect("an event");
        for table in &mut tables {
            if table.len() >= 8_192 {
                std::hint::black_box(table.finish().expect("a batch"));
            }
        }
    }
    rows
}

fn engine(records: &[Vec<u8>], compiled: &Arc<Compiled>) -> u64 {
    let mut engine = Engine::new(Arc::clone(compiled), EngineLimits::from(&Config::default().limits));
    let topic = Arc::from("bench");
    let mut alerts = 0;
    for (offset, payload) in (0i64..).zip(records) {
        engine.push(&record::of(&topic, offset, payload));
        if engine.is_full() {
            alerts += engine.search_all(0).len() as u64;
        }
    }
    alerts + engine.search_all(0).len() as u64
}
