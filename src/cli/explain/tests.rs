//! What is explained is what the engine does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;
use crate::pipeline::engine::{Compiled, Engine, EngineLimits};
use crate::rules::{self, RuleSet};
use crate::source::files::{FileRecords, Framing};
use crate::source::{NoEnvelope, RecordRef};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Rule and event that fire, as the engine says and as explanations say; and how many pairs were looked at.
fn compared(pipeline: Pipeline, source: usize, file: &Path) -> (BTreeSet<(usize, i64, u32)>, usize) {
    let limits = EngineLimits::from(&Config::default().limits);
    let loaded =
        rules::load_with(&pipeline.rules, &pipeline.catalog, &RuleLimits::default(), &pipeline.selection);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let set = loaded.rules;
    let shares = Shares::new(&set);
    let compiled =
        Compiled::new(Arc::new(pipeline.clone()), Arc::new(RuleSet::new(set.clone()))).expect("compiles");
    let mut engine = Engine::new(Arc::new(compiled), limits.clone());
    let mut records = FileRecords::open(file, Framing::Auto, limits.decode.record_bytes_max).expect("opens");
    let topic: Arc<str> = Arc::from("t");
    let mut count = 0;
    while let Some(payload) = records.next_record().expect("reads") {
        let record = RecordRef {
            source,
            slot: 0,
            topic: &topic,
            partition: 0,
            offset: count,
            timestamp_ms: Some(0),
            payload: Some(payload),
            envelope: &NoEnvelope,
        };
        engine.push(&record);
        count += 1;
    }
    let found = engine.search_all(0);
    let expect: BTreeSet<(usize, i64, u32)> =
        found.iter().map(|finding| (finding.rule, finding.position.offset, finding.position.index)).collect();
    let explained: Vec<Explained> = set.iter().map(|rule| Explained::new(rule, &shares)).collect();
    let (mut got, mut pairs) = (BTreeSet::new(), 0);
    for record in 0..count {
        let wanted = Wanted { file, record: record.unsigned_abs() };
        let read = event::read(&pipeline, source, &set, &wanted, limits.decode).expect("reads");
        for (index, event) in read.events.unwrap_or_default().iter().enumerate() {
            for (rule, explained) in explained.iter().enumerate() {
                let of_it = event.rows.iter().filter(|(table, _)| *table == explained.rule.table.name);
                for (_, row) in of_it {
                    let trace = explained.trace(row).expect("runs");
                    assert_eq!(trace.fired, trace.truth(&explained.condition), "{}", explained.rule.meta.id);
                    pairs += 1;
                    if trace.fired {
                        got.insert((rule, record, index as u32));
                    }
                }
            }
        }
    }
    assert_eq!(got, expect, "{}", file.display());
    (got, pairs)
}

#[test]
fn explanations_of_the_demo_s_case_say_what_the_engine_finds() {
    let pipeline = Pipeline::load(&root().join("pipelines/demo")).expect("a pipeline");
    let (mut fired, mut pairs) = (0, 0);
    for (at, source) in pipeline.sources.iter().enumerate() {
        let file = root().join("pipelines/demo/cases/attack").join(format!("{}.ndjson", source.id));
        let (found, looked) = compared(pipeline.clone(), at, &file);
        fired += found.len();
        pairs += looked;
    }
    assert!(fired > 10 && pairs > 250, "{fired} of {pairs}");
}

#[test]
fn explanations_of_all_formats_say_what_the_engine_finds() {
    let catalog = Arc::new(Catalog::stock().expect("tables"));
    let (mut files, mut fired) = (0, 0);
    for format in decode::FORMATS {
        let folder = root().join("tests/formats").join(format.name());
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for folder in entries.map(|entry| entry.expect("an entry").path()) {
            let input = folder.join("input.ndjson");
            if !input.is_file() {
                continue;
            }
            let rules = vec![root().join("rules")];
            let pipeline =
                Pipeline::of_one_source(*format, "local", ZoneOffset::UTC, rules, Arc::clone(&catalog));
            fired += compared(pipeline.expect("a pipeline"), 0, &input).0.len();
            files += 1;
        }
    }
    assert!(files > 10 && fired > 5, "{fired} in {files} files");
}
