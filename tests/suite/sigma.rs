//! The public set of Sigma rules on real telemetry: it loads, it fires where it must, and it finds what an independent
//! reader of Sigma finds.
//!
//! Needs `NOROSHI_TEST_DATA` with `sigma-rules.tar.xz`, `sigma-regression-dev.tar.xz` and `windows-events-dev.ndjson.xz`.
//! `NOROSHI_SIGMA_EVENTS=60000` compares all events instead of every twentieth.

mod peer;
mod routes;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use noroshi::config::Limits;
use noroshi::normalise::schema::Catalog;
use noroshi::rules::{self, Fate, Loaded, RuleLimits, Selection, SigmaDocument};
use serde_json::Value;

use super::data;
use super::process::{finish, program};

/// Folders of the public set with rules.
const FOLDERS: [&str; 6] = [
    "rules",
    "rules-compliance",
    "rules-dfir",
    "rules-emerging-threats",
    "rules-placeholder",
    "rules-threat-hunting",
];

/// Events that are compared in every test run.
const EVENTS: usize = 3_000;

/// Rule id and number of the record.
pub type Hit = (String, usize);

/// An archive of the public data, unpacked; `None` without it.
fn public(archive: &str) -> Option<PathBuf> {
    Some(data::unpacked(&data::folder("the public Sigma rules")?.join(archive)))
}

fn public_rules() -> Option<Vec<PathBuf>> {
    let folder = public("sigma-rules.tar.xz")?;
    Some(FOLDERS.iter().map(|name| folder.join(name)).filter(|path| path.is_dir()).collect())
}

/// What `noroshi scan` finds in a file with an event a line.
fn scan(rules: &[PathBuf], format: &str, file: &Path) -> BTreeSet<Hit> {
    let mut command = program();
    command.arg("scan");
    for path in rules {
        command.arg("--rules").arg(path);
    }
    let finished = finish(command.args(["--source", format, "--output", "ocsf"]).arg(file));
    assert_eq!(finished.code, Some(0), "{}", finished.err);
    finished
        .out
        .lines()
        .map(|line| {
            let alert: Value = serde_json::from_str(line).expect("JSON");
            let rule = alert["finding_info"]["analytic"]["uid"].as_str().expect("rule id").to_owned();
            let position = &alert["unmapped"]["noroshi"]["positions"][0]["offset"];
            (rule, usize::try_from(position.as_i64().expect("offset")).expect("not negative"))
        })
        .collect()
}

/// About so many lines, evenly from all of them.
fn evenly(text: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let step = (lines.len() / count).max(1);
    lines.into_iter().step_by(step).map(str::to_owned).collect()
}

fn write_lines(folder: &Path, lines: &[String]) -> PathBuf {
    let path = folder.join("events.ndjson");
    let mut text = lines.join("\n");
    text.push('\n');
    fs::write(&path, text).expect("writes");
    path
}

#[test]
fn the_public_rules_compile_once_their_placeholders_have_values() {
    let Some(public) = public_rules() else { return };
    let values = tempfile::tempdir().expect("a folder");
    let catalog = Catalog::stock().expect("the stock tables");
    let mut selection = Selection::default();
    let mut load = || {
        let loaded = rules::load_with(&public, &catalog, &RuleLimits::default(), &selection);
        assert!(!loaded.has_errors(), "a public rule refuses nobody's pipeline: {:?}", loaded.diagnostics);
        selection.values = Some(values.path().to_owned());
        loaded
    };
    let loaded = load();
    let total = loaded.sigma.len();
    assert!(total > 3_700, "{total} rules");
    let armed = |loaded: &Loaded| {
        // What no format of this version feeds is compiled as well.
        let is_armed = |document: &&SigmaDocument| matches!(document.fate, Fate::Armed | Fate::NoSource(_));
        loaded.sigma.iter().filter(is_armed).count()
    };
    let faulty: Vec<&SigmaDocument> =
        loaded.sigma.iter().filter(|document| matches!(document.fate, Fate::Faulty(_))).collect();
    assert_eq!(armed(&loaded) + faulty.len(), total, "each rule has a table, and is either");
    // They have placeholders without values, and nothing else is wrong with any of them.
    let without = |document: &&&SigmaDocument| matches!(&document.fate, Fate::Faulty(why) if why.contains("placeholder"));
    assert_eq!(faulty.iter().filter(without).count(), faulty.len(), "{faulty:?}");
    assert!(faulty.len() * 100 <= total, "{} of {total} are faulty", faulty.len());

    // Whoever runs them says what these mean.
    give_values(&faulty, values.path());
    let loaded = load();
    let still: Vec<_> =
        loaded.sigma.iter().filter(|document| matches!(document.fate, Fate::Faulty(_))).collect();
    assert_eq!(armed(&loaded), total, "{still:?}");
}

/// A file of values for each placeholder of these.
fn give_values(documents: &[&SigmaDocument], folder: &Path) {
    for document in documents {
        let text = &document.place.file.text;
        for name in text.split('%').skip(1).step_by(2).filter(|name| !name.contains(char::is_whitespace)) {
            fs::write(folder.join(format!("{name}.txt")), "192.0.2.1\n").expect("writes");
        }
    }
}

#[test]
fn the_public_rules_are_sql_rules_that_load_and_find_the_same() {
    let (Some(public), Some(events)) = (public_rules(), data::windows_events()) else { return };
    let (values, written) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let catalog = Catalog::stock().expect("the stock tables");
    // The bounds that the commands have without a configuration.
    let limits = RuleLimits::from(&Limits::default());
    let mut selection = Selection::default();
    let loaded = rules::load_with(&public, &catalog, &limits, &selection);
    let faulty: Vec<&SigmaDocument> =
        loaded.sigma.iter().filter(|document| matches!(document.fate, Fate::Faulty(_))).collect();
    give_values(&faulty, values.path());
    selection.values = Some(values.path().to_owned());
    let made = rules::sigma_sql(&public, &catalog, &limits, &selection);
    assert!(made.complete, "{:?}", made.diagnostics);
    let whose: BTreeMap<&str, &str> =
        made.texts.iter().map(|text| (text.id.as_str(), text.rule.as_str())).collect();
    assert_eq!(whose.len(), made.texts.len(), "each has an id of its own");
    assert_eq!(whose.values().collect::<BTreeSet<_>>().len(), loaded.sigma.len(), "no rule is left out");
    for text in &made.texts {
        fs::write(written.path().join(format!("{}.sql", text.id)), &text.sql).expect("writes");
    }

    // One that is not accepted ends the scan.
    let lines = evenly(&events, EVENTS);
    let folder = tempfile::tempdir().expect("a folder");
    let events = write_lines(folder.path(), &lines);
    let sigma = scan(&public, "windows-json", &events);
    let given: BTreeSet<&str> =
        faulty.iter().filter_map(|document| document.headline.id.as_deref()).collect();
    let sql: BTreeSet<Hit> = scan(&[written.path().to_owned()], "windows-json", &events)
        .into_iter()
        .map(|(id, at)| (whose[id.as_str()].to_owned(), at))
        .filter(|(rule, _)| !given.contains(rule.as_str()))
        .collect();
    assert!(sigma.len() > lines.len() / 200, "{} hits", sigma.len());
    let differ: Vec<&Hit> = sigma.symmetric_difference(&sql).collect();
    assert!(differ.is_empty(), "{differ:?}");
}

#[test]
fn each_regression_event_fires_its_rule() {
    let (Some(rules), Some(regression)) = (public_rules(), public("sigma-regression-dev.tar.xz")) else {
        return;
    };
    let index = fs::read_to_string(regression.join("index.json")).expect("the index");
    let index: Vec<Value> = serde_json::from_str(&index).expect("JSON");
    assert!(index.len() > 100, "{} regression events", index.len());
    let mut lines = Vec::new();
    let mut expected: Vec<(String, String, std::ops::Range<usize>)> = Vec::new();
    for entry in &index {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let events = fs::read_to_string(regression.join(text("event"))).expect("an event");
        let from = lines.len();
        let events = serde_json::Deserializer::from_str(&events).into_iter::<Value>();
        lines.extend(events.map(|event| event.expect("JSON").to_string()));
        expected.push((text("rule_id"), text("title"), from..lines.len()));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let found = scan(&rules, "windows-event-json", &write_lines(folder.path(), &lines));
    let mut missing = String::new();
    for (rule, title, at) in &expected {
        if !at.clone().any(|at| found.contains(&(rule.clone(), at))) {
            let _ = writeln!(missing, "{rule} {title}: {}", lines[at.start]);
        }
    }
    assert!(missing.is_empty(), "rules that do not fire on their event:\n{missing}");
}

#[test]
fn the_public_rules_find_what_an_independent_reader_finds() {
    let (Some(rules), Some(events)) = (public_rules(), data::windows_events()) else { return };
    let count = std::env::var("NOROSHI_SIGMA_EVENTS").ok().and_then(|text| text.parse().ok());
    let lines = evenly(&events, count.unwrap_or(EVENTS));
    let folder = tempfile::tempdir().expect("a folder");
    let ours = scan(&rules, "windows-json", &write_lines(folder.path(), &lines));
    let theirs = peer::hits(&rules, &lines);
    assert!(theirs.len() > lines.len() / 200, "the peer finds {} things", theirs.len());

    let mut shown: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let here = ours.difference(&theirs).map(|hit| ("only here", hit));
    let there = theirs.difference(&ours).map(|hit| ("only the peer", hit));
    for (side, (rule, at)) in here.chain(there) {
        let entry = shown.entry((side, rule.as_str())).or_insert((0, *at));
        entry.0 += 1;
    }
    let mut text = String::new();
    for ((side, rule), (times, at)) in shown {
        let _ = writeln!(text, "{side}: {rule}, {times} times, such as {}", lines[at]);
    }
    assert!(text.is_empty(), "of {} and {} hits:\n{text}", ours.len(), theirs.len());
}
