//! What is explained is what the engine does.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;
use crate::decode;
use crate::normalise::schema::Catalog;
use crate::normalise::time::ZoneOffset;
use crate::pipeline::engine::{Compiled, Engine, EngineLimits};
use crate::rules::{self, RuleSet};
use crate::source::files::{FileRecords, Framing};
use crate::source::{NoEnvelope, RecordRef};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Records of one file that are compared: each is decoded anew for each rule set.
const RECORDS_MAX: i64 = 6;

/// What fires on the first records of files of sources, by the engine and by explanations; how many pairs of rule and event
/// fired, and how many were looked at.
fn compared(pipeline: &Pipeline, files: &[(usize, PathBuf)]) -> (usize, usize) {
    let limits = EngineLimits::from(&Config::default().limits);
    let selection = &pipeline.selection;
    let loaded = rules::load_with(&pipeline.rules, &pipeline.catalog, &RuleLimits::default(), selection);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let set = loaded.rules;
    let shares = Shares::new(&set);
    let compiled =
        Compiled::new(Arc::new(pipeline.clone()), Arc::new(RuleSet::new(set.clone()))).expect("compiles");
    let mut engine = Engine::new(Arc::new(compiled), limits.clone());
    let explained: Vec<Explained> = set.iter().map(|rule| Explained::new(rule, &shares)).collect();
    let (mut fired, mut pairs) = (0, 0);
    for (source, file) in files {
        let mut records =
            FileRecords::open(file, Framing::Auto, limits.decode.record_bytes_max).expect("opens");
        let topic: Arc<str> = Arc::from("t");
        let mut count = 0;
        while let Some(payload) = records.next_record().expect("reads").filter(|_| count < RECORDS_MAX) {
            let record = RecordRef {
                source: *source,
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
        let expect: BTreeSet<(usize, i64, u32)> = found
            .iter()
            .map(|finding| (finding.rule, finding.position.offset, finding.position.index))
            .collect();
        let mut got = BTreeSet::new();
        for record in 0..count {
            let wanted = Wanted { file, record: record.unsigned_abs() };
            let read = event::read(pipeline, *source, &set, &wanted, limits.decode).expect("reads");
            for (index, event) in (0u32..).zip(read.events.unwrap_or_default()) {
                for (rule, explained) in explained.iter().enumerate() {
                    let of_it = event.rows.iter().filter(|(table, _)| *table == explained.rule.table.name);
                    for (_, row) in of_it {
                        let trace = explained.trace(row).expect("runs");
                        assert_eq!(
                            trace.fired,
                            trace.truth(&explained.condition),
                            "{}",
                            explained.rule.meta.id
                        );
                        pairs += 1;
                        if trace.fired {
                            got.insert((rule, record, index));
                        }
                    }
                }
            }
        }
        assert_eq!(got, expect, "{}", file.display());
        fired += got.len();
    }
    (fired, pairs)
}

#[test]
fn explanations_of_the_demo_s_case_say_what_the_engine_finds() {
    let pipeline = Pipeline::load(&root().join("pipelines/demo")).expect("a pipeline");
    let folder = root().join("pipelines/demo/cases/attack");
    let files = pipeline.sources.iter().enumerate();
    let files: Vec<(usize, PathBuf)> =
        files.map(|(at, source)| (at, folder.join(format!("{}.ndjson", source.id)))).collect();
    let (fired, pairs) = compared(&pipeline, &files);
    assert!(fired > 10 && pairs > 150, "{fired} of {pairs}");
}

#[test]
fn explanations_of_all_formats_say_what_the_engine_finds() {
    let catalog = Arc::new(Catalog::stock().expect("tables"));
    let (mut count, mut fired) = (0, 0);
    for format in decode::FORMATS {
        let folder = root().join("tests/formats").join(format.name());
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let files = entries.map(|entry| entry.expect("an entry").path().join("input.ndjson"));
        let files: Vec<(usize, PathBuf)> =
            files.filter(|input| input.is_file()).map(|input| (0, input)).collect();
        let rules = vec![root().join("rules")];
        let pipeline =
            Pipeline::of_one_source(*format, "local", ZoneOffset::UTC, rules, Arc::clone(&catalog));
        fired += compared(&pipeline.expect("a pipeline"), &files).0;
        count += files.len();
    }
    assert!(count > 10 && fired > 5, "{fired} in {count} files");
}
