//! Health: what `/live`, `/ready` and `/status` say in each state.

use super::*;

const START: TimeMicros = 1_700_000_000_000_000;

/// A health with two lanes and a clock that the test turns.
fn health() -> (Arc<Health>, Arc<AtomicI64>) {
    let time = Arc::new(AtomicI64::new(START));
    let clock = Arc::clone(&time);
    let settings = HealthSettings {
        pipeline: "main".into(),
        instance: "main-0".into(),
        lanes: 2,
        heartbeat_age_max: Duration::from_secs(30),
        errors_max: 3,
    };
    (Health::new(settings, Arc::new(move || clock.load(Ordering::Relaxed))), time)
}

fn rules() -> RuleSetStatus {
    RuleSetStatus {
        generation: 2,
        version: "v1".into(),
        content: "c2".into(),
        loaded_ms: 7,
        rules: 5,
        parked: Vec::new(),
    }
}

#[test]
fn it_is_ready_when_all_lanes_have_joined_and_the_broker_answers() {
    let (health, _) = health();
    let all = [
        "no broker has answered yet",
        "no rule set is active yet",
        "lane 0 is starting",
        "lane 1 is starting",
    ];
    assert_eq!(health.ready(), Err(all.map(String::from).to_vec()));
    health.broker_answers();
    health.rule_set(rules());
    health.lane_state(0, LaneState::Running);
    health.lane_state(1, LaneState::Joining);
    assert_eq!(health.ready(), Err(vec!["lane 1 has not joined its group yet; a group first waits for members that were killed, up to 45 s"
            .into()]));
    health.update_lane(1, LaneStatus { state: LaneState::Running, ..LaneStatus::default() });
    assert_eq!(health.ready(), Ok(()));
    health.broker_silent("all brokers\nare down");
    assert_eq!(health.ready(), Err(vec!["all brokers\u{fffd}are down".into()]));
    health.broker_answers();
    for (state, expect) in [
        (LaneState::Draining, "lane 0 is draining"),
        (LaneState::Stopped, "lane 0 has stopped"),
        (LaneState::Failed, "lane 0 has failed"),
    ] {
        health.lane_state(0, state);
        assert_eq!(health.ready(), Err(vec![expect.into()]));
    }
}

#[test]
fn a_lane_that_gives_no_sign_is_not_live() {
    let (health, time) = health();
    let after = |seconds: i64| time.store(START + seconds * 1_000_000, Ordering::Relaxed);
    after(30);
    assert_eq!(health.live(), Ok(()), "a lane may take its time to start");
    health.heartbeat(0);
    after(31);
    assert_eq!(health.live(), Err(vec!["lane 1 has given no sign for 31 s (the limit is 30 s)".into()]));
    health.heartbeat(1);
    after(60);
    assert_eq!(health.live(), Ok(()));
    after(0);
    assert_eq!(health.live(), Ok(()), "a clock that is set back accuses nobody");
    health.lane_state(1, LaneState::Stopped);
    health.lane_state(0, LaneState::Stopped);
    after(900);
    assert_eq!(health.live(), Ok(()), "a lane that has left gives no signs");
    health.lane_state(0, LaneState::Failed);
    assert_eq!(health.live(), Err(vec!["lane 0 has failed".into()]));
    health.heartbeat(7);
    health.lane_state(7, LaneState::Failed);
}

#[test]
fn the_status_has_lanes_rules_and_the_last_errors() {
    let (health, time) = health();
    health.rule_set(rules());
    let partition = |committed, end: Option<i64>, lag| PartitionStatus {
        topic: "logs".into(),
        partition: 3,
        next_offset: 120,
        committed_offset: committed,
        last_stable_offset: end,
        high_watermark: end.map(|end| end + 3),
        held_back: 3,
        lag,
        paused: false,
        trouble: None,
        blocked: None,
    };
    let partitions = vec![
        partition(Some(100), Some(150), Some(50)),
        partition(None, Some(150), Some(30)),
        partition(Some(9), None, None),
    ];
    health.update_lane(0, LaneStatus { state: LaneState::Running, epochs: 4, generation: 2, partitions });
    for number in 0..5 {
        health.error("K001", &format!("error\t{number}{}", "x".repeat(600)));
    }
    time.store(START + 5_500_000, Ordering::Relaxed);
    let status = health.status();
    for (pointer, expect) in [
        ("/pipeline", serde_json::json!("main")),
        ("/version", env!("CARGO_PKG_VERSION").into()),
        ("/uptime_s", 5.into()),
        ("/ready", false.into()),
        ("/live", true.into()),
        (
            "/rule_set",
            serde_json::json!({
                "generation": 2, "version": "v1", "content": "c2", "loaded_ms": 7, "rules": 5, "parked": [],
            }),
        ),
        ("/lanes/0/state", "running".into()),
        ("/lanes/0/epochs", 4.into()),
        ("/lanes/0/heartbeat_age_ms", 5_500.into()),
        // One of its partitions has no known end: it is the sum of the others.
        ("/lanes/0/lag", 80.into()),
        // Nothing is known.
        ("/lanes/1/lag", serde_json::Value::Null),
        (
            "/lanes/0/partitions/0",
            serde_json::json!({"topic": "logs", "partition": 3, "next_offset": 120, "committed_offset": 100,
                "last_stable_offset": 150, "high_watermark": 153, "held_back": 3, "paused": false, "lag": 50}),
        ),
        ("/lanes/0/partitions/1/lag", 30.into()),
        ("/lanes/1/state", "starting".into()),
        ("/errors_total", 5.into()),
        ("/errors/0/time_ms", (START / 1_000).into()),
    ] {
        assert_eq!(status.pointer(pointer), Some(&expect), "{pointer}");
    }
    assert_eq!(status.pointer("/lanes/0/partitions/2/lag"), None);
    let errors = status["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 3);
    let newest = errors[0]["message"].as_str().expect("message");
    assert!(newest.starts_with("error\u{fffd}4") && newest.chars().count() == 500);
}

#[test]
fn the_newest_rule_set_is_shown_whichever_lane_comes_last() {
    let (health, _) = health();
    let of = |generation: u64| RuleSetStatus { generation, ..rules() };
    for (generation, newer, shown) in [(2, true, 2), (2, false, 2), (4, true, 4), (3, false, 4)] {
        assert_eq!(health.rule_set(of(generation)), newer, "{generation}");
        assert_eq!(health.status()["rule_set"]["generation"], shown, "{generation}");
    }
}

#[test]
fn a_refused_reload_is_shown_with_its_problems_and_the_process_stays_ready() {
    let (health, _) = health();
    health.broker_answers();
    health.rule_set(rules());
    health.lane_state(0, LaneState::Running);
    health.lane_state(1, LaneState::Running);
    assert_eq!(health.status()["reload"], serde_json::Value::Null);
    health.reload(ReloadStatus {
        time_ms: 9,
        outcome: "refused",
        content: "c3".into(),
        problems_total: 30,
        problems: vec![serde_json::json!({"code": "Q007", "message": "no table `\u{202e}x`", "line": 3})],
    });
    let expect = serde_json::json!({
        "time_ms": 9, "outcome": "refused", "content": "c3", "problems_total": 30,
        "problems": [{"code": "Q007", "message": "no table `\u{fffd}x`", "line": 3}],
    });
    let status = health.status();
    assert_eq!((&status["reload"], &status["ready"]), (&expect, &true.into()));
}

#[test]
fn parked_organisations_are_shown_and_only_all_of_them_make_it_unready() {
    let (health, _) = health();
    health.broker_answers();
    health.rule_set(rules());
    health.lane_state(0, LaneState::Running);
    health.lane_state(1, LaneState::Running);
    assert_eq!(health.status()["parked"], serde_json::json!([]));
    let parked = |organisation: &str, retry_at_ms| ParkedStatus {
        organisation: organisation.into(),
        topic: format!("alerts.{organisation}"),
        why: "no\u{202e}rights".into(),
        since_ms: 5,
        retry_at_ms,
    };
    for (what, zero, one, ready) in [
        ("one of two", vec![parked("rail", 9)], vec![], true),
        ("the same by both lanes", vec![parked("rail", 9)], vec![parked("rail", 8)], true),
        ("each by a lane", vec![parked("rail", 9)], vec![parked("power", 9)], false),
        ("one is tried again", vec![parked("rail", 9)], vec![], true),
    ] {
        let count = zero.len() + one.len();
        health.parked(0, zero, 2);
        health.parked(1, one, 2);
        assert_eq!(health.ready().is_ok(), ready, "{what}");
        assert_eq!(health.status()["parked"].as_array().map(Vec::len), Some(count), "{what}");
    }
    let expect = serde_json::json!([
        {"lane": 0, "organisation": "rail", "topic": "alerts.rail", "why": "no\u{fffd}rights", "since_ms": 5,
            "retry_at_ms": 9},
    ]);
    assert_eq!(health.status()["parked"], expect);
}

#[test]
fn parked_rules_are_those_of_the_active_generation() {
    let (health, _) = health();
    health.rule_set(rules());
    let parked = |rule: &str| ParkedRuleStatus {
        rule: rule.into(),
        version: "1".into(),
        table: "t".into(),
        reason: "time",
        why: "slow".into(),
        since_ms: 3,
    };
    for (what, generation, parked, expect) in [
        ("one", 2, vec![parked("a")], serde_json::json!(["a"])),
        ("two", 2, vec![parked("a"), parked("b")], serde_json::json!(["a", "b"])),
        ("a lane that still runs the former one", 1, vec![parked("c")], serde_json::json!(["a", "b"])),
        ("none", 2, vec![], serde_json::json!([])),
    ] {
        health.rules_parked(generation, parked);
        let status = health.status();
        let shown = status["rule_set"]["parked"].as_array().expect("a list");
        let ids: serde_json::Value = shown.iter().map(|rule| rule["rule"].clone()).collect();
        assert_eq!(ids, expect, "{what}");
    }
    health.rules_parked(2, vec![parked("a")]);
    let expect = serde_json::json!([{"rule": "a", "version": "1", "table": "t", "reason": "time", "why": "slow", "since_ms": 3}]);
    assert_eq!(health.status()["rule_set"]["parked"], expect);
    assert_eq!(
        health.ready().map_err(|reasons| reasons.iter().any(|reason| reason.contains("rule"))),
        Err(false)
    );
}
