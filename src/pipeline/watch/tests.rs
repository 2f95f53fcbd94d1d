//! What a lane's events become: metrics, states and lines.

use super::*;
use crate::demo::tests::{compiled, without_rules};
use crate::detect::guard::Reason;
use crate::detect::guard::parks::ParkedRule;
use crate::pipeline::engine::{Engine, EngineLimits, Pushed};
use crate::pipeline::slot::Slot;
use crate::rules::RuleSet;
use crate::source::{NoEnvelope, RecordRef};

pub(super) fn watch() -> Watch {
    let first = Slot::new(without_rules(), "", 0).newest();
    Watch::new(0, Observed::new(&Config::default(), &first, "a"), &first)
}

fn ended(end: EpochEnd) -> Ended {
    Ended {
        number: 1,
        end,
        offsets: Vec::new(),
        took: Duration::ZERO,
        retries: 0,
        replaced: false,
        doubtful: false,
    }
}

#[test]
fn what_was_cut_is_exported_when_it_is_committed() {
    let mut watch = watch();
    let tally = Tally { alerts_cut: 1, alerts_raw_cut: 2, rejects_cut: 3, ..Tally::default() };
    watch.ended(&ended(EpochEnd::Rewound("again".into())), &tally, &[], Duration::ZERO);
    watch.ended(&ended(EpochEnd::Committed), &tally, &[], Duration::ZERO);
    let text = watch.observed.metrics.encode();
    for (what, count) in [("alert", 1), ("raw", 2), ("reject", 3)] {
        let line = format!("noroshi_cuts_total{{what=\"{what}\"}} {count}");
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_parked_organisation_is_told_counted_and_its_partitions_are_paused() {
    let mut watch = watch();
    let topic = watch.compiled.pipeline.sources[0].topics[0].clone();
    let id = watch.compiled.pipeline.organisation_of(0).id.to_string();
    let partition = PartitionStatus {
        topic: Arc::from(topic),
        partition: 0,
        next: 1,
        committed: None,
        end: None,
        held_back: 0,
        lag: None,
        held: false,
        blocked: None,
    };
    let organisation = watch.compiled.pipeline.sources[0].organisation;
    let note = |retry_ms| ParkNote { organisation, topic: Arc::from("alerts"), why: "why".into(), retry_ms };
    // What `/status` lists, what the gauge says, and what is not read are the same organisations at all times.
    for (notes, over, gauge, paused) in [
        (vec![note(Some(1))], Over::Published, 1, true),
        (vec![note(Some(1))], Over::Changed, 1, true),
        (vec![note(None)], Over::Published, 0, false),
        (vec![note(Some(1))], Over::Published, 1, true),
        (vec![], Over::Changed, 0, false),
    ] {
        let listed = gauge;
        watch.parked(&notes, over);
        watch.show(vec![partition.clone()], 0);
        let status = watch.observed.health.status();
        assert_eq!(status["lanes"][0]["partitions"][0]["paused"], paused);
        assert_eq!(status["parked"].as_array().map(Vec::len), Some(listed));
        let text = watch.observed.metrics.encode();
        let line = format!("noroshi_parked{{organisation=\"{id}\",lane=\"0\"}} {gauge}");
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_source_of_another_format_is_told_once() {
    let mut watch = watch();
    let mut engine = Engine::new(Arc::clone(&watch.compiled), EngineLimits::from(&Config::default().limits));
    for payload in [&b"{}"[..], b"{}", b"{\"event_type\":\"flow\",\"flow_id\":1}", b"{\"EventID\":1}"] {
        let record = RecordRef {
            source: 0,
            slot: 0,
            topic: &Arc::from("in"),
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            payload: Some(payload),
            envelope: &NoEnvelope,
        };
        assert_eq!(engine.push(&record), Pushed::Events(1));
    }
    let tally = engine.take_tally();
    watch.ended(&ended(EpochEnd::Committed), &tally, &[], Duration::ZERO);
    watch.ended(&ended(EpochEnd::Committed), &tally, &[], Duration::ZERO);
    let status = serde_json::to_value(watch.observed.health.status()).expect("JSON");
    let told: Vec<&str> =
        status["errors"].as_array().into_iter().flatten().filter_map(|e| e["message"].as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for part in ["has no `EventID`", "looks like Suricata EVE, not like windows-json"] {
        assert!(told.iter().any(|told| told.contains(part)), "{told:?}");
    }
}

#[test]
fn partitions_that_move_are_named_and_bounded() {
    let partitions = |count| (0..count).map(|number| (Arc::from("in"), number)).collect::<Vec<_>>();
    for (count, expect) in [
        (0, ""),
        (1, "in/0"),
        (8, "in/0, in/1, in/2, in/3, in/4, in/5, in/6, in/7"),
        (10, "in/0, in/1, in/2, in/3, in/4, in/5, in/6, in/7 and 2 more"),
    ] {
        assert_eq!(listed(&partitions(count)), expect);
    }
}

#[test]
fn a_parked_rule_is_counted_once_by_all_lanes_and_shown_until_it_runs_again() {
    let slot = Slot::new(compiled(), "", 0);
    let first = slot.newest();
    let observed = Observed::new(&Config::default(), &first, "a");
    let mut lanes = [0, 1].map(|lane| Watch::new(lane, observed.clone(), &first));
    let id = first.compiled.rules.rules()[1].meta.id.clone();
    let shown = |what: &str, gauge: u64, listed: usize| {
        let text = observed.metrics.encode();
        for line in [
            format!("noroshi_rule_parked{{rule=\"{id}\"}} {gauge}"),
            format!("noroshi_rule_parks_total{{rule=\"{id}\",reason=\"memory\"}} 1"),
            format!("noroshi_rules{{state=\"parked\"}} {listed}"),
        ] {
            assert!(text.lines().any(|found| found == line), "{what}: {line} is not in\n{text}");
        }
        let status = observed.health.status();
        let parked = status["rule_set"]["parked"].as_array().expect("a list");
        assert_eq!(parked.len(), listed, "{what}");
        assert!(parked.iter().all(|parked| parked["rule"] == id.as_str()), "{what}: {parked:?}");
        assert_eq!(status["errors_total"], 1, "{what}");
    };
    let parked = ParkedRule { rule: 1, reason: Reason::Memory, why: "too large".into(), since: 7 };
    first.compiled.parks.park(parked);
    for _ in 0..2 {
        lanes.iter_mut().for_each(|lane| lane.show(Vec::new(), 0));
        shown("parked", 1, 1);
    }
    // A set in which it is the same, and one in which it is not.
    let same = slot.offer(compiled(), "", 0);
    lanes.iter_mut().for_each(|lane| lane.adopted(&same));
    lanes.iter_mut().for_each(|lane| lane.show(Vec::new(), 0));
    shown("in the next set", 1, 1);
    let pipeline = Arc::clone(&same.compiled.pipeline);
    let empty = Compiled::new(pipeline, Arc::new(RuleSet::new(Vec::new()))).expect("compiles");
    let changed = slot.offer(Arc::new(empty), "", 0);
    lanes.iter_mut().for_each(|lane| lane.adopted(&changed));
    lanes.iter_mut().for_each(|lane| lane.show(Vec::new(), 0));
    shown("it has gone", 0, 0);

    let tally = Tally { rows_unjudged: [(1, 5)].into(), parked_told: [(0, 1)].into(), ..Tally::default() };
    let mut lane = Watch::new(0, observed.clone(), &same);
    lane.ended(&ended(EpochEnd::Rewound("again".into())), &tally, &[], Duration::ZERO);
    lane.ended(&ended(EpochEnd::Committed), &tally, &[], Duration::ZERO);
    let text = observed.metrics.encode();
    let unjudged = format!("noroshi_rule_rows_unjudged_total{{rule=\"{id}\"}} 5");
    assert!(text.lines().any(|found| found == unjudged), "{text}");
    let told = |line: &&str| line.starts_with("noroshi_alerts_total{rule=\"noroshi.rule-parked\"");
    assert!(text.lines().filter(told).all(|line| line.ends_with(" 1")), "{text}");
    assert_eq!(text.lines().filter(told).count(), 1, "{text}");
}
