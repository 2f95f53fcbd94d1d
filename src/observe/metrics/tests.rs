//! Metrics: names, labels, bounds, and the reference page.

use super::*;
use crate::committed::assert_committed;

const NOW: TimeMicros = 1_700_000_000_000_000;

fn metrics(series_max: u32) -> Metrics {
    Metrics::new(&["rail", "power"], &["process_activity"], series_max, NOW)
}

/// The value of a sample, by its exact name and labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

fn touch_all(metrics: &Metrics) {
    metrics.records(0, 3, 300);
    metrics.tombstones(0, 1);
    metrics.events(1, 7);
    metrics.unmatched_events(0, 2);
    metrics.conversion_failures(0, 4);
    metrics.time_fallbacks(0, 5);
    metrics.rows(0, 6);
    metrics.rejects(1, "not_json", 2);
    metrics.flooded_partitions(0, 1, 3);
    metrics.parked("rail", 1, true);
    metrics.alerts("r1", Some(0), "rail-co", 9);
    metrics.alerts("r2", None, "", 1);
    metrics.rule_errors("r1", 1);
    metrics.cut(Cut::Alert, 1);
    metrics.cut(Cut::Reject, 2);
    metrics.cut(Cut::Raw, 3);
    metrics.rule_set("v1", 10, 1);
    metrics.rule_set("v2", 11, 0);
    metrics.rules_parked(1);
    metrics.rule_parked("r1", true);
    metrics.rule_parks("r1", "time");
    metrics.rule_rows_unjudged("r1", 12);
    metrics.rule_set_loaded(NOW);
    metrics.rule_index(65_536);
    metrics.reload(Reload::Loaded);
    metrics.reload(Reload::Refused);
    metrics.lag("logs", 4, 1_000);
    metrics.held_back("logs", 4, 12);
    metrics.trouble("missing", "logs");
    metrics.held_partitions(1, 3);
    metrics.lost("logs", 4, 9);
    metrics.rebalance(Rebalance::Assigned);
    metrics.rebalance(Rebalance::Revoked);
    metrics.rebalance(Rebalance::Lost);
    metrics.paused_partitions(0, 2);
    metrics.blocked_partitions(1, 1);
    metrics.unreadable_batch("logs", 3);
    metrics.open_epoch_bytes(1, 4_096);
    metrics.match_memory(0, 2_048, 3);
    metrics.epoch(Outcome::Committed, Duration::from_millis(150));
    metrics.commit(Duration::from_millis(7));
    metrics.transactions_retried(2);
    metrics.producer_replaced();
}

#[test]
fn every_count_appears_under_its_name_and_labels() {
    let metrics = metrics(100);
    touch_all(&metrics);
    let text = metrics.encode();
    for (name, expect) in [
        (r#"noroshi_records_total{source="rail"}"#, 3.0),
        (r#"noroshi_records_total{source="power"}"#, 0.0),
        (r#"noroshi_record_bytes_total{source="rail"}"#, 300.0),
        (r#"noroshi_tombstones_total{source="rail"}"#, 1.0),
        (r#"noroshi_events_total{source="power"}"#, 7.0),
        (r#"noroshi_unmatched_events_total{source="rail"}"#, 2.0),
        (r#"noroshi_conversion_failures_total{source="rail"}"#, 4.0),
        (r#"noroshi_time_fallbacks_total{source="rail"}"#, 5.0),
        (r#"noroshi_flooded_partitions{source="rail",lane="1"}"#, 3.0),
        (r#"noroshi_parked{organisation="rail",lane="1"}"#, 1.0),
        (r#"noroshi_rows_total{table="process_activity"}"#, 6.0),
        (r#"noroshi_rejects_total{source="power",code="not_json"}"#, 2.0),
        (r#"noroshi_alerts_total{rule="r1",source="rail",organisation="rail-co"}"#, 9.0),
        (r#"noroshi_alerts_total{rule="r2",source="",organisation=""}"#, 1.0),
        (r#"noroshi_rule_errors_total{rule="r1"}"#, 1.0),
        (r#"noroshi_rule_parked{rule="r1"}"#, 1.0),
        (r#"noroshi_rule_parks_total{rule="r1",reason="time"}"#, 1.0),
        (r#"noroshi_rule_rows_unjudged_total{rule="r1"}"#, 12.0),
        (r#"noroshi_cuts_total{what="reject"}"#, 2.0),
        (r#"noroshi_rules{state="active"}"#, 11.0),
        (r#"noroshi_rule_set_info{version="v2"}"#, 1.0),
        (r#"noroshi_rule_set_loaded_seconds"#, 1_700_000_000.0),
        (r#"noroshi_reloads_total{outcome="loaded"}"#, 1.0),
        (r#"noroshi_reloads_total{outcome="refused"}"#, 1.0),
        (r#"noroshi_reloads_total{outcome="unchanged"}"#, 0.0),
        (r#"noroshi_reload_refused"#, 1.0),
        (r#"noroshi_lag_records{topic="logs",partition="4"}"#, 1_000.0),
        (r#"noroshi_held_back_records{topic="logs",partition="4"}"#, 12.0),
        (r#"noroshi_troubles_total{kind="missing",topic="logs"}"#, 1.0),
        (r#"noroshi_held_partitions{lane="1"}"#, 3.0),
        (r#"noroshi_lost_records_total{topic="logs",partition="4"}"#, 9.0),
        (r#"noroshi_rebalances_total{kind="lost"}"#, 1.0),
        (r#"noroshi_paused_partitions{lane="0"}"#, 2.0),
        (r#"noroshi_open_epoch_bytes{lane="1"}"#, 4_096.0),
        (r#"noroshi_match_memory_bytes{lane="0"}"#, 2_048.0),
        ("noroshi_rule_index_bytes", 65_536.0),
        (r#"noroshi_match_memory_forgotten_total{lane="0"}"#, 3.0),
        (r#"noroshi_epochs_total{outcome="committed"}"#, 1.0),
        (r#"noroshi_epochs_total{outcome="unknown"}"#, 0.0),
        (r#"noroshi_epoch_duration_seconds_bucket{le="0.2"}"#, 1.0),
        (r#"noroshi_epoch_duration_seconds_bucket{le="0.1"}"#, 0.0),
        ("noroshi_commit_duration_seconds_count", 1.0),
        ("noroshi_transactions_retried_total", 2.0),
        ("noroshi_producers_replaced_total", 1.0),
        ("noroshi_series_overflow_total", 0.0),
        ("noroshi_start_time_seconds", 1_700_000_000.0),
    ] {
        assert_eq!(sample(&text, name), Some(expect), "{name}\n{text}");
    }
    assert!(!text.contains(r#"version="v1""#), "the previous rule set is gone");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_declared_is_what_is_scraped() {
    let metrics = metrics(100);
    touch_all(&metrics);
    let text = metrics.encode();
    for declared in DECLARED {
        if declared.name == "resident_memory" && memory::resident_bytes().is_none() {
            continue;
        }
        let name = declared.exposed();
        let found = text.lines().find(|line| line.starts_with(&name) && !line.starts_with('#'));
        let line = found.unwrap_or_else(|| panic!("{name} is never counted\n{text}"));
        for label in declared.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line} lacks {label}");
        }
        let family = name.trim_end_matches("_total");
        assert!(text.contains(&format!("# TYPE {family} {}\n", declared.kind)), "{family}");
    }
}

#[test]
fn series_are_bounded_and_what_is_beyond_is_counted() {
    let metrics = metrics(3);
    for rule in ["r1", "r2", "r3", "r4", "r5", "r1"] {
        metrics.alerts(rule, Some(0), "rail-co", 1);
    }
    metrics.rule_errors("r1", 1);
    let text = metrics.encode();
    assert_eq!(
        sample(&text, r#"noroshi_alerts_total{rule="r1",source="rail",organisation="rail-co"}"#),
        Some(2.0)
    );
    assert_eq!(
        sample(&text, r#"noroshi_alerts_total{rule="other",source="other",organisation="other"}"#),
        Some(2.0)
    );
    assert_eq!(sample(&text, r#"noroshi_rule_errors_total{rule="other"}"#), Some(1.0));
    assert_eq!(sample(&text, "noroshi_series_overflow_total"), Some(3.0));
    assert!(!text.contains("r4"));
}

#[test]
fn a_partition_that_goes_frees_its_series() {
    let metrics = metrics(1);
    for partition in 0..20 {
        metrics.lag("logs", partition, 1);
        metrics.partition_gone("logs", partition);
        metrics.partition_gone("logs", partition);
    }
    metrics.lag("logs", 20, 5);
    let text = metrics.encode();
    assert_eq!(sample(&text, r#"noroshi_lag_records{topic="logs",partition="20"}"#), Some(5.0));
    assert_eq!(sample(&text, "noroshi_series_overflow_total"), Some(0.0));
    assert!(!text.contains(r#"partition="19""#));
}

#[test]
fn foreseen_series_begin_at_zero_and_leave_room_for_others() {
    let metrics = metrics(16);
    metrics.foresee_rejects(["syntax", "empty"]);
    for rule in ["r1", "r2", "r3"] {
        metrics.foresee_rule(rule, [(0, "rail-co"), (1, "power-co")]);
    }
    let text = metrics.encode();
    for (name, expect) in [
        (r#"noroshi_rejects_total{source="rail",code="syntax"}"#, Some(0.0)),
        (r#"noroshi_rejects_total{source="power",code="empty"}"#, Some(0.0)),
        (r#"noroshi_alerts_total{rule="r1",source="rail",organisation="rail-co"}"#, Some(0.0)),
        (r#"noroshi_alerts_total{rule="r1",source="power",organisation="power-co"}"#, Some(0.0)),
        (r#"noroshi_rule_errors_total{rule="r2"}"#, Some(0.0)),
        // Eight are half of the bound.
        (r#"noroshi_alerts_total{rule="r2",source="rail",organisation="rail-co"}"#, None),
        (r#"noroshi_rule_errors_total{rule="r3"}"#, None),
        (r#"noroshi_cuts_total{what="raw"}"#, Some(0.0)),
        (r#"noroshi_rebalances_total{kind="lost"}"#, Some(0.0)),
        ("noroshi_series_overflow_total", Some(0.0)),
    ] {
        assert_eq!(sample(&text, name), expect, "{name}");
    }
    metrics.rejects(0, "syntax", 2);
    metrics.alerts("r3", Some(1), "power-co", 1);
    let text = metrics.encode();
    assert_eq!(sample(&text, r#"noroshi_rejects_total{source="rail",code="syntax"}"#), Some(2.0));
    let alerts = r#"noroshi_alerts_total{rule="r3",source="power",organisation="power-co"}"#;
    assert_eq!(sample(&text, alerts), Some(1.0));
}

#[test]
fn threads_that_race_for_one_series_count_it_once() {
    let metrics = metrics(1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    metrics.rule_errors("r1", 1);
                }
            });
        }
    });
    let text = metrics.encode();
    assert_eq!(sample(&text, r#"noroshi_rule_errors_total{rule="r1"}"#), Some(400.0));
    assert_eq!(sample(&text, "noroshi_series_overflow_total"), Some(0.0));
}

#[test]
fn the_reference_page_is_current() {
    assert_committed("docs/metrics.md", &page());
}

#[test]
fn other_names_stand_behind_the_indexes_of_another_rule_set_and_are_bounded() {
    let metrics = metrics(8);
    metrics.records(0, 1, 10);
    // `power` is the first now, and `rail` is gone; `sea` is new, with seven series and a table of one.
    let renamed = metrics.renamed(&["power", "sea"], &["dns_activity"]);
    renamed.records(0, 2, 20);
    renamed.records(1, 4, 40);
    renamed.rows(0, 5);
    metrics.records(0, 8, 80);
    // No room for another.
    let full = renamed.renamed(&["air", "rail"], &["process_activity"]);
    full.records(0, 16, 160);
    full.records(1, 32, 320);
    let text = metrics.encode();
    for (name, expect) in [
        (r#"noroshi_records_total{source="rail"}"#, 41.0),
        (r#"noroshi_records_total{source="power"}"#, 2.0),
        (r#"noroshi_records_total{source="sea"}"#, 4.0),
        (r#"noroshi_rows_total{table="dns_activity"}"#, 5.0),
        (r#"noroshi_records_total{source="other"}"#, 16.0),
    ] {
        assert_eq!(sample(&text, name), Some(expect), "{name}\n{text}");
    }
}
