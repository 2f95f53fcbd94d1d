//! The engine: findings and tallies, whatever the batching.

mod guard;
mod routes;

use super::*;
use crate::config::Config;
use crate::decode::{Decoder, RejectCode};
use crate::demo::telemetry::{ATTACK, Telemetry};
use crate::demo::tests::{compiled, pipeline, with_its_rules};
use crate::diagnostic::SourceFile;
use crate::normalise::layout::Layout;
use crate::rules::{self, RuleLimits};
use crate::source::NoEnvelope;

/// Enough for the whole attack, few enough for batches of one record in a debug build.
const RECORDS: u64 = 600;

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
    Run { findings, tally: taken(&mut engine), rejected }
}

/// What is remembered of values depends on the batches, and nothing else does.
fn taken(engine: &mut Engine) -> Tally {
    Tally { match_memory_bytes: 0, ..engine.take_tally() }
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
        assert_eq!(taken(&mut engine), whole.tally, "room {room}");
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
    push(&mut engine, source, claim);
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

/// A format that panics where the record says so: before, between and after its events, or once they are decoded again
/// as evidence of an alert.
struct Panicking {
    /// How many fields evidence has; rules have fewer.
    evidence_fields: usize,
}

struct PanickingDecoder {
    /// Whether it has panicked: then it must not be used again.
    broken: bool,
    again: bool,
    slots: Vec<String>,
}

impl crate::decode::Format for Panicking {
    fn name(&self) -> &'static str {
        "windows-json"
    }

    fn description(&self) -> &'static str {
        "panics"
    }

    fn time_fields(&self) -> &'static [crate::decode::TimeField] {
        &[]
    }

    fn mark(&self) -> &'static str {
        "EventID"
    }

    fn decoder(&self, fields: &crate::decode::FieldSet, _: DecodeLimits) -> Box<dyn Decoder> {
        let again = fields.len() == self.evidence_fields;
        Box::new(PanickingDecoder { broken: false, again, slots: fields.paths().to_vec() })
    }
}

impl Decoder for PanickingDecoder {
    fn decode(
        &mut self,
        payload: &[u8],
        emit: &mut dyn FnMut(&[crate::decode::Value<'_>]),
    ) -> Result<u32, Reject> {
        use crate::decode::Value;
        assert!(!self.broken, "a decoder that has panicked is used again");
        let mut count = 0;
        for event in payload.split(|byte| *byte == b' ') {
            self.broken = event == b"panic" || (event == b"late" && self.again);
            assert!(!self.broken, "{payload:?}");
            let slot = |path: &String| match path.as_str() {
                "Channel" => Value::Text("Security".into()),
                "EventID" => Value::Int(1102),
                _ => Value::Missing,
            };
            emit(&self.slots.iter().map(slot).collect::<Vec<_>>());
            count += 1;
        }
        Ok(count)
    }
}

/// A record that panics a stage is rejected whole, and its neighbours alert as if it were not there.
#[test]
fn a_record_that_panics_a_stage_is_rejected_and_leaves_nothing_behind() {
    let mut pipeline = pipeline();
    let plain = compiled();
    let fields = |projection| Layout::new(projection, &Panicking { evidence_fields: 0 }).fields().len();
    let evidence_fields = fields(&plain.evidence);
    assert_ne!(evidence_fields, fields(&plain.projection));
    pipeline.sources[0].format = Box::leak(Box::new(Panicking { evidence_fields }));
    let compiled = with_its_rules(pipeline);
    for (records, rejected, late, alerting) in [
        (&["good", "panic", "good"][..], &[1][..], &[][..], &[0, 2][..]),
        (&["panic", "good good", "good panic", "good"], &[0, 2], &[], &[1, 1, 3]),
        (&["good good panic good", "panic"], &[0, 1], &[], &[]),
        (&["good", "late", "good"], &[], &[1], &[0, 2]),
        // Its first event alerts, until the second turns out to panic.
        (&["good", "good late good", "panic", "good"], &[2], &[1], &[0, 3]),
    ] {
        let mut engine = Engine::new(Arc::clone(&compiled), EngineLimits::from(&Config::default().limits));
        let mut found = Vec::new();
        for (offset, record) in (0i64..).zip(records) {
            let pushed = engine.push(&RecordRef {
                source: 0,
                slot: 0,
                topic: &Arc::from("in"),
                partition: 0,
                offset,
                timestamp_ms: Some(5),
                payload: Some(record.as_bytes()),
                envelope: &NoEnvelope,
            });
            if let Pushed::Rejected(reject) = pushed {
                assert_eq!(reject.code, RejectCode::Panic);
                assert!(reject.detail.contains("src/pipeline/engine/tests.rs:"), "{}", reject.detail);
                found.push(offset);
            }
        }
        assert_eq!(found, rejected, "{records:?}");
        let searched = engine.search(7, usize::MAX);
        let spoilt: Vec<i64> = searched.spoilt.iter().map(|spoilt| spoilt.offset).collect();
        assert_eq!(spoilt, late, "{records:?}");
        for spoilt in &searched.spoilt {
            let offset = usize::try_from(spoilt.offset).expect("small");
            assert_eq!((spoilt.at, &*spoilt.payload), (offset, records[offset].as_bytes()));
            assert_eq!((spoilt.timestamp_ms, spoilt.reject.code), (Some(5), RejectCode::Panic));
        }
        let mut offsets: Vec<i64> = searched.findings.iter().map(|finding| finding.position.offset).collect();
        let rules = offsets.len() / alerting.len().max(1);
        offsets.dedup_by_key(|offset| *offset);
        let mut expected = alerting.to_vec();
        expected.dedup();
        assert_eq!(offsets, expected, "{records:?}");
        assert_eq!(searched.findings.len(), alerting.len() * rules, "{records:?}");
        assert_eq!(searched.records, records.len());
        let bytes: usize = searched.findings.iter().map(|finding| finding.alert.value.len()).sum();
        assert_eq!(searched.bytes, bytes);
        let tally = engine.take_tally();
        let rejects = tally.sources[0].rejects.get(&RejectCode::Panic).copied().unwrap_or(0);
        assert_eq!(rejects as usize, rejected.len() + late.len(), "{records:?}");
        assert_eq!(tally.alerts.values().sum::<u64>() as usize, searched.findings.len());
        assert!(tally.rule_failures.is_empty(), "{:?}", tally.rule_failures);
        assert!(engine.is_drained());
    }
}

/// A record of many events: each alert shows its own, the record is decoded once for all of them, and one that would
/// alert without end is stopped and kept.
#[test]
fn alerts_of_a_record_of_many_events_show_their_own_and_are_bounded() {
    let compiled = compiled();
    let source = compiled.pipeline.sources.iter().position(|source| &*source.id == "rail-windows");
    let source = source.expect("rail");
    let event = |number: usize| {
        format!(r#"{{"Channel":"Security","EventID":{},"Hostname":"h{number}"}}"#, 1_100 + number % 3)
    };
    let events: Vec<String> = (0..300).map(event).collect();
    let whole = EngineLimits::from(&Config::default().limits);
    for (what, record) in [("a list", format!("[{}]", events.join(", "))), ("lines", events.join("\n"))] {
        let mut engine = Engine::new(Arc::clone(&compiled), whole.clone());
        push(&mut engine, source, record.as_bytes());
        let searched = engine.search(0, usize::MAX);
        assert_eq!(searched.findings.len(), 100, "{what}");
        for finding in &searched.findings {
            let value: serde_json::Value = serde_json::from_slice(&finding.alert.value).expect("JSON");
            let own = &events[finding.position.index as usize];
            assert_eq!(value["raw_data"], own.as_str(), "{what}");
            let range = &value["unmapped"]["noroshi"]["raw_data_range"];
            let at = |end: usize| usize::try_from(range[end].as_u64().expect("a place")).expect("small");
            assert_eq!(&record[at(0)..at(1)], own, "{what}");
        }
        assert!(searched.spoilt.is_empty(), "{what}");

        let first = searched.findings[0].alert.value.len();
        let bounded = EngineLimits { record_alert_bytes_max: first * 10, ..whole.clone() };
        let mut engine = Engine::new(Arc::clone(&compiled), bounded);
        push(&mut engine, source, record.as_bytes());
        push(&mut engine, source, events[2].as_bytes());
        let searched = engine.search(0, usize::MAX);
        let rejects: Vec<_> = searched.spoilt.iter().map(|spoilt| (spoilt.at, spoilt.reject.code)).collect();
        assert_eq!(rejects, [(0, RejectCode::TooManyAlerts)], "{what}");
        assert_eq!(searched.spoilt[0].payload, record.as_bytes(), "{what}");
        assert!((10..13).contains(&searched.findings.len()), "{what}: {}", searched.findings.len());
        assert_eq!(
            searched.findings.last().map(|finding| finding.position.index),
            Some(0),
            "{what}: the next record"
        );
        assert_eq!(searched.records, 2, "{what}");
        let tally = engine.take_tally();
        assert_eq!(tally.sources[source].rejects[&RejectCode::TooManyAlerts], 1, "{what}");
        assert_eq!(tally.alerts.values().sum::<u64>(), searched.findings.len() as u64, "{what}");
    }
}

fn push(engine: &mut Engine, source: usize, payload: &[u8]) {
    let record = RecordRef {
        source,
        slot: 0,
        topic: &Arc::from("in.rail.windows"),
        partition: 0,
        offset: 0,
        timestamp_ms: None,
        payload: Some(payload),
        envelope: &NoEnvelope,
    };
    assert!(matches!(engine.push(&record), Pushed::Events(_)));
}

#[test]
fn the_first_event_that_is_read_otherwise_than_meant_is_told_with_its_place() {
    let compiled = compiled();
    let mut engine = Engine::new(Arc::clone(&compiled), EngineLimits::from(&Config::default().limits));
    let source = compiled.pipeline.sources.iter().position(|source| source.id.ends_with("-windows"));
    let source = source.expect("a source of Windows events");
    let topic = Arc::from("t");
    let told = br#"{"Channel":"Security","EventID":1102,"EventTime":"2026-01-02 03:04:05"}"#.as_slice();
    let timeless = br#"{"Channel":"Security","EventID":1102,"EventTime":"yesterday"}"#.as_slice();
    let foreign = br#"{"winlog":{"channel":"Security","event_id":1102},"@timestamp":"2026-01-02T03:04:05Z"}"#
        .as_slice();
    for (offset, payload) in (0i64..).zip([told, timeless, timeless, foreign, foreign]) {
        engine.push(&RecordRef {
            source,
            slot: 0,
            topic: &topic,
            partition: 3,
            offset,
            timestamp_ms: Some(1_790_000_000_000),
            payload: Some(payload),
            envelope: &NoEnvelope,
        });
    }
    let tally = engine.take_tally().sources.swap_remove(source);
    assert_eq!(tally.timeless_at, Some((Arc::clone(&topic), 3, 1)));
    let unlike: Vec<_> = tally.unlike.into_values().collect();
    assert_eq!(unlike, [Unlike { count: 2, first: (topic, 3, 3) }]);
}
