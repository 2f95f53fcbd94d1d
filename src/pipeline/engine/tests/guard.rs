//! Rules that fail, and rules that take too much: they are parked, and the others find what they find without them (I-5).

use super::*;
use crate::detect::guard::parks::ParkedRule;
use crate::detect::guard::{GuardLimits, Reason};
use crate::normalise::schema::Catalog;
use crate::rules::functions::stumble::SLOW;

/// What the others find: by the index, by DataFusion, by an expression of one column.
const OTHERS: [(&str, &str); 3] = [
    ("index", "SELECT Name FROM t WHERE Name LIKE '%1%'"),
    ("rest", "SELECT Name, Other FROM t WHERE Name = Other"),
    ("expression", "SELECT Other FROM t WHERE length(Name) > 4"),
];
/// The same mishap in each place where a rule is evaluated.
const PLACES: [(&str, &str); 3] = [
    ("a condition on two columns", "SELECT Name FROM t WHERE test_stumble(concat(Name, Other)) <> ''"),
    ("a condition on one column", "SELECT Name FROM t WHERE test_stumble(Name) <> ''"),
    ("an output", "SELECT test_stumble(Name) AS x FROM t WHERE Name <> ''"),
];

fn limits() -> GuardLimits {
    GuardLimits {
        batch_time_max: SLOW,
        bytes_max: 1 << 20,
        rows_max: None,
        failed_rows_max: 10,
        panics_max: 5,
        stretch: 1_000,
    }
}

fn set(rules: &[(&str, &str)]) -> Arc<Compiled> {
    let text = "table = 't'\nclass_uid = 0\ndescription = 'T.'\n[columns]\n\
                Name = { type = 'string', description = 'n', category = 'machine' }\n\
                Other = { type = 'string', description = 'o', category = 'machine' }\n\
                [[view]]\nformat = 'windows-json'\nwhere = \"Channel = 'c'\"\n";
    let catalog = Catalog::from_files([SourceFile::new("t.toml", text)]).expect("a table");
    let files = rules.iter().map(|(id, sql)| {
        SourceFile::new(format!("{id}.sql"), format!("/*---\nid: {id}\ntitle: T\n---*/\n{sql}\n"))
    });
    let files: Vec<_> = files.collect();
    let loaded = rules::load_files(&files, &catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let format = crate::decode::format("windows-json").expect("a format");
    let zone = crate::normalise::time::ZoneOffset::UTC;
    let pipeline = Pipeline::of_one_source(format, "o", zone, Vec::new(), Arc::new(catalog));
    let rules = Arc::new(RuleSet::new(loaded.rules));
    Arc::new(Compiled::new(Arc::new(pipeline.expect("a pipeline")), rules).expect("compiles"))
}

fn engine(compiled: &Arc<Compiled>, guard: GuardLimits) -> Engine {
    Engine::new(Arc::clone(compiled), EngineLimits { guard, ..EngineLimits::from(&Config::default().limits) })
}

/// Offset and rule of what is found in records with these names; each search is `step` later.
fn found(engine: &mut Engine, names: &[String], every: usize, step: TimeMicros) -> Vec<(i64, String)> {
    let topic: Arc<str> = Arc::from("in");
    let rules = Arc::clone(&engine.compiled().rules);
    let mut found = Vec::new();
    for (batch, names) in (0i64..).zip(names.chunks(every)) {
        for (at, name) in (0i64..).zip(names) {
            let other = if at % 3 == 0 { name.as_str() } else { "other" };
            let payload = format!(r#"{{"Channel":"c","EventID":1,"Name":"{name}","Other":"{other}"}}"#);
            engine.push(&RecordRef {
                source: 0,
                slot: 0,
                topic: &topic,
                partition: 0,
                offset: batch * i64::try_from(every).expect("small") + at,
                timestamp_ms: Some(5),
                payload: Some(payload.as_bytes()),
                envelope: &NoEnvelope,
            });
        }
        let findings = engine.search_all(1 + batch * step);
        let of = |finding: &Finding| rules.rules()[finding.rule].meta.id.clone();
        found.extend(findings.iter().map(|finding| (finding.position.offset, of(finding))));
    }
    found
}

/// `count` names; each `nth` from `from` on is a mishap.
fn names(count: usize, mishap: &str, from: usize, nth: usize) -> Vec<String> {
    let name = |at: usize| {
        if at >= from && at.is_multiple_of(nth) { format!("{mishap}{at}") } else { format!("n{at}") }
    };
    (0..count).map(name).collect()
}

fn with(bad: &str) -> Arc<Compiled> {
    let [first, second, third] = OTHERS;
    // Between the others: those before it and behind it go on.
    set(&[first, ("bad", bad), second, third])
}

fn parked(compiled: &Compiled) -> Vec<(usize, Reason)> {
    compiled.parks.all().into_iter().map(|ParkedRule { rule, reason, .. }| (rule, reason)).collect()
}

#[test]
fn a_rule_that_fails_again_and_again_is_parked_and_the_others_find_the_same() {
    for (place, bad) in PLACES {
        for (mishap, reason, bound) in [("panic", Reason::Panics, 5), ("fail", Reason::Errors, 10)] {
            for every in [7, 400] {
                let what = format!("{place}: {mishap}, batches of {every}");
                let names = names(400, mishap, 40, 2);
                let expect = found(&mut engine(&set(&OTHERS), limits()), &names, every, 0);
                let compiled = with(bad);
                let mut engine = engine(&compiled, limits());
                let got = found(&mut engine, &names, every, 0);
                let (own, others): (Vec<_>, Vec<_>) = got.into_iter().partition(|(_, rule)| rule == "bad");
                assert_eq!(others, expect, "{what}");
                assert_eq!(parked(&compiled), [(1, reason)], "{what}");
                let tally = engine.take_tally();
                let failed = tally.rule_failures[&1].0;
                assert_eq!(failed, bound + 1, "{what}");
                // What is found and is no alert yet when the rule is parked is left as well.
                assert!(own.len() >= 35 || every > 40, "{what}: it finds what comes before: {}", own.len());
                // I-2: each row was found, failed on, or is counted as left.
                assert_eq!(own.len() as u64 + failed + tally.rows_unjudged[&1], 400, "{what}");
                assert!(tally.rule_failures.keys().eq(&[1]), "{what}");
            }
        }
    }
}

#[test]
fn a_bad_row_now_and_then_parks_no_rule() {
    for (place, bad) in PLACES {
        for mishap in ["panic", "fail"] {
            let names = names(300, mishap, 0, 60);
            let compiled = with(bad);
            let mut seldom = engine(&compiled, limits());
            found(&mut seldom, &names, 20, 300);
            assert_eq!(parked(&compiled), [], "{place}: {mishap}");
            let tally = seldom.take_tally();
            assert_eq!((tally.rule_failures[&1].0, tally.rows_unjudged.len()), (5, 0), "{place}: {mishap}");
        }
    }
}

#[test]
fn a_rule_that_takes_too_long_is_parked() {
    for (place, bad) in PLACES {
        let names = names(400, "slow", 100, 1);
        let expect = found(&mut engine(&set(&OTHERS), limits()), &names, 200, 0);
        let compiled = with(bad);
        let mut engine = engine(&compiled, limits());
        let mut got = found(&mut engine, &names, 200, 0);
        got.retain(|(_, rule)| rule != "bad");
        assert_eq!(got, expect, "{place}");
        // What many rules share is measured for none of them.
        if place != "a condition on one column" {
            assert_eq!(parked(&compiled), [(1, Reason::Time)], "{place}");
            let left = engine.take_tally().rows_unjudged[&1];
            assert!((200..300).contains(&left), "{place}: it is found while a batch is searched: {left}");
        }
    }
}

/// Real SQL: what is joined is a thousand times as long as the event.
#[test]
fn a_rule_that_would_take_too_much_memory_fails_on_large_rows_and_is_parked_for_many() {
    let many = |function: &str| format!("{function}({})", vec!["Name"; 1_000].join(", "));
    for (place, bad) in [
        ("an output", format!("SELECT {} AS x FROM t WHERE Name <> ''", many("concat"))),
        ("a condition", format!("SELECT Name FROM t WHERE {} <> Other", many("concat"))),
        ("a condition on one column", format!("SELECT Name FROM t WHERE {} <> ''", many("concat"))),
    ] {
        for (large, expect) in [(5, vec![]), (11, vec![(1, Reason::Memory)])] {
            let what = format!("{place}, {large} large rows");
            let mut names = names(200, "", 200, 1);
            for name in names.iter_mut().skip(100).take(large) {
                *name = "x".repeat(2_000);
            }
            let others = found(&mut engine(&set(&OTHERS), limits()), &names, 50, 0);
            let compiled = with(&bad);
            let mut engine = engine(&compiled, limits());
            let mut got = found(&mut engine, &names, 50, 0);
            let all = got.len();
            got.retain(|(_, rule)| rule != "bad");
            assert_eq!(got, others, "{what}");
            assert_eq!(parked(&compiled), expect, "{what}");
            let tally = engine.take_tally();
            let left = tally.rows_unjudged.get(&1).copied().unwrap_or(0);
            assert_eq!(tally.rule_failures[&1].0, large as u64, "{what}");
            assert_eq!((all - others.len()) as u64 + large as u64 + left, 200, "{what}");
        }
    }
}

/// Outputs are held only as many as fit, both while alerts are made of them and in what is handed on.
#[test]
fn long_outputs_are_not_made_all_together() {
    let many = vec!["Name"; 1_000].join(", ");
    let compiled = set(&[("long", &format!("SELECT concat({many}) AS x FROM t WHERE Name <> ''"))]);
    let mut engine = engine(&compiled, limits());
    let topic: Arc<str> = Arc::from("in");
    for offset in 0..30 {
        let payload = format!(r#"{{"Channel":"c","EventID":1,"Name":"{}"}}"#, "x".repeat(400));
        engine.push(&RecordRef {
            source: 0,
            slot: 0,
            topic: &topic,
            partition: 0,
            offset,
            timestamp_ms: Some(5),
            payload: Some(payload.as_bytes()),
            envelope: &NoEnvelope,
        });
    }
    let mut found = Vec::new();
    loop {
        let searched = engine.search(1, 1_000_000);
        assert!((1..=3).contains(&searched.findings.len()), "{} findings", searched.findings.len());
        for finding in searched.findings {
            assert_eq!(finding.output["x"].as_str().map(str::len), Some(400_000));
            found.push(finding.position.offset);
        }
        if engine.is_drained() {
            break;
        }
    }
    assert_eq!(found, (0..30).collect::<Vec<i64>>());
    assert_eq!(engine.take_tally().rule_failures.len(), 0);
}

#[test]
fn a_rule_that_finds_too_many_rows_is_parked() {
    let bad = "SELECT Name FROM t WHERE Name <> ''";
    let names = names(400, "", 400, 1);
    let bounded = GuardLimits { rows_max: Some(300), ..limits() };
    let expect = found(&mut engine(&set(&OTHERS), limits()), &names, 50, 0);
    // In one stretch, and in one after the other.
    for (step, found_own, reason) in [(0, 300, Some((1, Reason::Rows))), (500, 400, None)] {
        let compiled = with(bad);
        let mut engine = engine(&compiled, bounded);
        let mut got = found(&mut engine, &names, 50, step);
        let own = got.iter().filter(|(_, rule)| rule == "bad").count();
        got.retain(|(_, rule)| rule != "bad");
        assert_eq!(got, expect, "{step}");
        assert_eq!(own, found_own, "{step}");
        assert_eq!(parked(&compiled).first().copied(), reason, "{step}");
        let left = engine.take_tally().rows_unjudged.get(&1).copied().unwrap_or(0);
        assert_eq!(own as u64 + left, 400, "{step}");
    }
}

/// What one lane cannot afford no other lane tries.
#[test]
fn all_lanes_of_a_set_park_a_rule_at_once() {
    let compiled = with(PLACES[0].1);
    let (mut one, mut two) = (engine(&compiled, limits()), engine(&compiled, limits()));
    found(&mut one, &names(50, "panic", 0, 1), 50, 0);
    assert_eq!(parked(&compiled), [(1, Reason::Panics)]);
    let got = found(&mut two, &names(10, "", 10, 1), 10, 0);
    assert!(got.iter().all(|(_, rule)| rule != "bad"), "{got:?}");
    let tally = two.take_tally();
    assert_eq!((tally.rows_unjudged.get(&1), tally.rule_failures.len()), (Some(&10), 0));
}

#[test]
fn a_parked_rule_is_tried_again_when_it_has_changed_and_not_before() {
    let good = ("good", "SELECT Name FROM t WHERE Name <> ''");
    let old = set(&[("bad", PLACES[0].1), good]);
    found(&mut engine(&old, limits()), &names(50, "panic", 0, 1), 50, 0);
    assert_eq!(parked(&old), [(0, Reason::Panics)]);
    for (what, rules, expect) in [
        (
            "only others have changed",
            vec![("new", OTHERS[0].1), ("bad", PLACES[0].1)],
            vec![(1, Reason::Panics)],
        ),
        ("it has changed", vec![("bad", PLACES[2].1), good], vec![]),
        ("it has gone", vec![good], vec![]),
    ] {
        let new = set(&rules);
        new.inherit(&old);
        assert_eq!(parked(&new), expect, "{what}");
    }
}
