//! The engine: findings and tallies, whatever the batching.

use std::path::Path;

use super::*;
use crate::config::Config;
use crate::demo::telemetry::{ATTACK, Telemetry};
use crate::demo::{PIPELINE, RULES};
use crate::diagnostic::SourceFile;
use crate::rules::{self, RuleLimits};
use crate::source::NoEnvelope;

/// Enough for the whole attack, few enough for batches of one record in a debug build.
const RECORDS: u64 = 600;

fn compiled() -> Arc<Compiled> {
    let file = SourceFile::new("pipelines/demo/pipeline.toml", PIPELINE);
    let pipeline = Pipeline::from_text(&file).expect("the demo's pipeline");
    let files: Vec<_> = RULES.iter().map(|(path, text)| SourceFile::new(Path::new(path), *text)).collect();
    let loaded = rules::load_files(&files, &pipeline.catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let rules = Arc::new(RuleSet::new(loaded.rules));
    Arc::new(Compiled::new(Arc::new(pipeline), rules).expect("compiles"))
}

struct Run {
    findings: Vec<Finding>,
    tally: Tally,
    rejected: u64,
}

/// Runs the demo's telemetry; the batch is searched every `every` records.
fn run(compiled: &Arc<Compiled>, records: u64, every: usize, now: TimeMicros) -> Run {
    run_within(compiled, EngineLimits::from(&Config::default().limits), records, every, now)
}

fn run_within(
    compiled: &Arc<Compiled>,
    limits: EngineLimits,
    records: u64,
    every: usize,
    now: TimeMicros,
) -> Run {
    let mut engine = Engine::new(Arc::clone(compiled), limits);
    let sources = &compiled.pipeline.sources;
    let mut findings = Vec::new();
    let mut rejected = 0;
    for (offset, record) in (0i64..).zip(Telemetry::new(3, 1_790_000_000_000_000, records)) {
        let source = sources.iter().position(|source| *source.id == *record.source).expect("a source");
        let topic = Arc::from(record.source);
        let pushed = engine.push(&RecordRef {
            source,
            slot: source,
            topic: &topic,
            partition: 0,
            offset,
            timestamp_ms: Some(1_790_000_000_000),
            payload: Some(&record.value),
            envelope: &NoEnvelope,
        });
        rejected += u64::from(matches!(pushed, Pushed::Rejected(_)));
        if usize::try_from(offset).expect("positive") % every == every - 1 || engine.is_full() {
            findings.extend(engine.search_all(now));
        }
    }
    findings.extend(engine.search_all(now));
    Run { findings, tally: engine.take_tally(), rejected }
}

/// I-3: the same input and rules give the same alerts, byte for byte, whatever the batching.
#[test]
fn any_batching_gives_the_same_alerts_in_the_same_order() {
    let compiled = compiled();
    let whole = run(&compiled, RECORDS, usize::MAX, 7);
    assert!(whole.findings.len() >= ATTACK.len(), "{} findings", whole.findings.len());
    for every in [1, 7, 256] {
        let cut = run(&compiled, RECORDS, every, 7);
        let alerts = |run: &Run| run.findings.iter().map(|finding| finding.alert.clone()).collect::<Vec<_>>();
        assert_eq!(alerts(&whole), alerts(&cut), "batches of {every}");
        assert_eq!(whole.tally, cut.tally, "batches of {every}");
    }
    let later = run(&compiled, RECORDS, 100, 8);
    let ids = |run: &Run| run.findings.iter().map(|finding| finding.alert.id).collect::<Vec<_>>();
    assert_eq!(ids(&whole), ids(&later), "the time of detection is no part of an alert's id");
}

/// I-1, I-3: an epoch that is full ends behind a whole record, and what follows is the same as in one go.
#[test]
fn a_search_with_little_room_ends_behind_a_record_and_goes_on_there() {
    let compiled = compiled();
    let whole = run(&compiled, RECORDS, usize::MAX, 7);
    let ids = |findings: &[Finding]| findings.iter().map(|finding| finding.alert.id).collect::<Vec<_>>();
    for room in [1, 5_000, 40_000] {
        let mut engine = Engine::new(Arc::clone(&compiled), EngineLimits::from(&Config::default().limits));
        let (mut findings, mut through, mut rounds) = (Vec::new(), 0, 0);
        let telemetry = Telemetry::new(3, 1_790_000_000_000_000, RECORDS);
        for (offset, record) in (0i64..).zip(telemetry) {
            let source = compiled.pipeline.sources.iter().position(|source| *source.id == *record.source);
            let source = source.expect("a source");
            engine.push(&RecordRef {
                source,
                slot: source,
                topic: &Arc::from(record.source),
                partition: 0,
                offset,
                timestamp_ms: Some(1_790_000_000_000),
                payload: Some(&record.value),
                envelope: &NoEnvelope,
            });
            // One record is pushed while others wait: it takes its turn.
            if offset == 400 {
                let first = engine.search(7, room);
                assert!(!engine.is_drained(), "room {room}");
                through += first.records;
                findings.extend(first.findings);
            }
        }
        loop {
            assert_eq!(engine.search(7, 0).findings.len(), 0, "no room, no alerts");
            let searched = engine.search(7, room);
            through += searched.records;
            let most = searched.findings.iter().map(|finding| finding.alert.value.len()).max().unwrap_or(0);
            assert!(searched.bytes < room + compiled.rules.rules().len() * most.max(1), "room {room}");
            let last = searched.findings.last().map_or(0, |finding| finding.position.offset);
            assert!(
                i64::try_from(through).expect("small") > last,
                "an alert is out before its record is through"
            );
            findings.extend(searched.findings);
            rounds += 1;
            if engine.is_drained() {
                break;
            }
        }
        assert_eq!(through as u64, RECORDS, "room {room}");
        assert_eq!(ids(&findings), ids(&whole.findings), "room {room}");
        assert!(rounds > 2, "room {room}: {rounds}");
        assert_eq!(engine.take_tally(), whole.tally, "room {room}");
    }
}

/// I-2: every record is events, a reject or a tombstone, and the tally says so.
#[test]
fn every_record_is_accounted_for() {
    let compiled = compiled();
    let run = run(&compiled, 5_000, 512, 0);
    let sum = |pick: fn(&SourceTally) -> u64| run.tally.sources.iter().map(pick).sum::<u64>();
    assert_eq!(sum(|source| source.records), 5_000);
    let rejects: u64 = run.tally.sources.iter().flat_map(|source| source.rejects.values()).sum();
    assert!(rejects > 0);
    assert_eq!(rejects, run.rejected);
    assert_eq!(sum(|source| source.events) + rejects, 5_000);
    let alerts: u64 = run.tally.alerts.values().sum();
    assert_eq!(alerts, run.findings.len() as u64);
    assert!(run.tally.rule_failures.is_empty(), "{:?}", run.tally.rule_failures);
}

/// I-4: an event that claims another organisation stays with its source's.
#[test]
fn the_organisation_comes_from_the_source_alone() {
    let compiled = compiled();
    let mut engine = Engine::new(Arc::clone(&compiled), EngineLimits::from(&Config::default().limits));
    let source =
        compiled.pipeline.sources.iter().position(|source| &*source.id == "rail-windows").expect("rail");
    let claim = br#"{"Channel":"Security","EventID":1102,"org_id":"power","source":"power-windows","organisation":"power","record_topic":"x"}"#;
    engine.push(&RecordRef {
        source,
        slot: 0,
        topic: &Arc::from("in.rail.windows"),
        partition: 0,
        offset: 0,
        timestamp_ms: None,
        payload: Some(claim),
        envelope: &NoEnvelope,
    });
    let findings = engine.search_all(0);
    assert!(!findings.is_empty());
    for finding in findings {
        assert_eq!(finding.source, source);
        assert!(finding.alert.key.starts_with(b"rail"), "{:?}", finding.alert.key);
        let value: serde_json::Value = serde_json::from_slice(&finding.alert.value).expect("JSON");
        assert_eq!(value["metadata"]["tenant_uid"], "rail");
        let header = finding.alert.headers.iter().find(|(name, _)| *name == "noroshi-org-id");
        assert_eq!(header.map(|(_, value)| value.as_str()), Some("rail"));
    }
}

/// After a discard nothing of the open batch is left.
#[test]
fn a_discarded_batch_leaves_nothing_behind() {
    let compiled = compiled();
    let mut engine = Engine::new(Arc::clone(&compiled), EngineLimits::from(&Config::default().limits));
    let push = |engine: &mut Engine, record: &[u8]| {
        engine.push(&RecordRef {
            source: 0,
            slot: 0,
            topic: &Arc::from("in"),
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            payload: Some(record),
            envelope: &NoEnvelope,
        })
    };
    let event = br#"{"Channel":"Security","EventID":1102}"#;
    assert_eq!(push(&mut engine, event), Pushed::Events(1));
    engine.discard();
    assert!(engine.search_all(0).is_empty());
    assert_eq!(push(&mut engine, event), Pushed::Events(1));
    assert_eq!(engine.search_all(0).len(), 1);
}

/// I-2: alerts that do not show all are counted, the cut record apart from the rest.
#[test]
fn what_an_alert_does_not_show_is_counted() {
    let compiled = compiled();
    let whole = EngineLimits::from(&Config::default().limits);
    let bare =
        EngineLimits { alert: AlertLimits { raw_bytes_max: 10, ..whole.alert.clone() }, ..whole.clone() };
    let short =
        EngineLimits { alert: AlertLimits { text_bytes_max: 8, ..whole.alert.clone() }, ..whole.clone() };
    for (limits, raw, rest) in [(whole, false, false), (bare, true, false), (short, false, true)] {
        let run = run_within(&compiled, limits, RECORDS, 100, 7);
        let all = run.findings.len() as u64;
        let count = |cut: bool| if cut { all } else { 0 };
        assert_eq!((run.tally.alerts_raw_cut, run.tally.alerts_cut), (count(raw), count(rest)));
        assert!(run.findings.iter().all(|finding| (finding.alert.raw_cut, finding.alert.cut) == (raw, rest)));
    }
}
