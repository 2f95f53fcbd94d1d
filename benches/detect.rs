//! Decode and match against an independent engine for Sigma, `rsigma-eval`, on one core, in one run.
//!
//! `cargo bench --bench detect` takes the public Windows rules and 60,000 Windows events of `NOROSHI_TEST_DATA`. With `-- mix`
//! it looks at the events as they are, with `-- unique` at process creation whose command lines are all different, with
//! `-- hostile` at events whose values are all different, with `-- rules` at what more rules cost; without any at all four. A number beside them, as in `-- mix 5000`, takes so many events.
//! Each figure is the median of several rounds; rounds alternate, so that a busy machine slows all alike. Read the ratios.
//! That both engines find the same pairs of a rule and an event is checked on each workload, and the exit code is 1 when
//! they do not.
//!
//! Without `NOROSHI_TEST_DATA` only Noroshi is measured, with its own rules on synthetic events.

mod peer;
mod public_rules;
mod record;
#[path = "../tests/suite/sigma/routes.rs"]
mod routes;
#[path = "../tests/suite/sigma/seen.rs"]
mod seen;
mod telemetry;
mod workload;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use noroshi::config::Config;
use noroshi::decode;
use noroshi::normalise::schema::Catalog;
use noroshi::normalise::time::ZoneOffset;
use noroshi::pipeline::definition::Pipeline;
use noroshi::pipeline::engine::{Compiled, Engine, EngineLimits, Pushed};
use noroshi::rules::{self, RuleLimits, RuleSet};

use peer::{Fed, Peer, Rules};

const RECORDS: usize = 60_000;
/// Records of the workloads that are made of others.
const MADE: usize = 30_000;
const ROUNDS: usize = 5;
/// How many of the rules, besides all.
const COUNTS: [usize; 3] = [24, 100, 600];
/// Pairs that only one side finds, shown of many.
const SHOWN: usize = 5;

/// One of those who run, over all records: how long it took and how many hits it had.
type Run<'a> = (String, Box<dyn Fn() -> (Duration, u64) + 'a>);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test` runs benches to see that they build.
    if arguments.iter().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    let asked = arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with("--"));
    let (numbers, asked): (Vec<&str>, Vec<&str>) =
        asked.partition(|argument| argument.parse::<usize>().is_ok());
    let count = numbers.first().and_then(|number| number.parse().ok()).unwrap_or(RECORDS);
    if let Some(unknown) = asked.iter().find(|asked| !["mix", "unique", "hostile", "rules"].contains(*asked))
    {
        eprintln!("`{unknown}`: say mix, unique, hostile or rules, or nothing for all");
        return ExitCode::from(2);
    }
    let wants = |name: &str| asked.is_empty() || asked.contains(&name);
    let (what, records) = telemetry::windows(count);
    let scratch = tempfile::tempdir().expect("a folder");
    let public = public_rules::unpacked(scratch.path());
    let with_peer = public.is_some();
    let folder = public.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules/windows"));
    if !with_peer {
        println!(
            "no NOROSHI_TEST_DATA: Noroshi's own rules on synthetic events, and no peer to compare with"
        );
    }
    let (files, _) = rules::files(std::slice::from_ref(&folder), &RuleLimits::default());
    println!("{what}, {} files of rules, one core, medians of {ROUNDS} rounds", files.len());
    let mut same = true;
    if wants("mix") {
        same &= one("mix: the events as they are", &files, &records, with_peer);
    }
    if wants("unique") {
        let records = workload::unique(&records, MADE.min(count));
        same &= one("unique: process creation, every command line different", &files, &records, with_peer);
    }
    if wants("hostile") {
        let records = workload::hostile(&records, MADE.min(count));
        same &= one("hostile: every value of every field different", &files, &records, with_peer);
    }
    if wants("rules") {
        same &= growth(&files, &records, with_peer);
    }
    println!("\npeak memory of the process, telemetry and peer among it: {} MiB", peak_mib());
    if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Everybody on one workload with all rules; whether they find the same.
fn one(title: &str, files: &[PathBuf], records: &[Vec<u8>], with_peer: bool) -> bool {
    let bytes: usize = records.iter().map(Vec::len).sum();
    println!("\n── {title} ──\n{} events, {:.1} MB", records.len(), bytes as f64 / 1e6);
    let compiled = compile(files);
    let peers = with_peer.then(|| {
        let rules = Rules::read(files);
        let seen = Fed::as_seen(&rules, records);
        let raw = Fed::as_they_are(&rules, records);
        let one = Fed::for_one_engine(&rules, records);
        (
            Peer::fastest(&rules, &seen),
            seen,
            Peer::fastest(&rules, &raw),
            raw,
            Peer::fastest(&rules, &one),
            one,
        )
    });
    let mut runs: Vec<Run<'_>> = vec![
        ("JSON parser alone (simd-json tape)".into(), Box::new(|| parse(records))),
        ("Noroshi: decode + match".into(), Box::new(|| matches(records, &compiled))),
        ("Noroshi: decode + match + alerts".into(), Box::new(|| alerts(records, &compiled))),
    ];
    let mut same = true;
    if let Some((peer, seen, plain, raw, whole, one)) = &peers {
        println!(
            "{:.3} objects an event for it, with the fields that rules ask for",
            seen.len() as f64 / records.len() as f64
        );
        same = check(&compiled, records, &peer.pairs(seen));
        runs.push(("rsigma: parse + match, fields as rules ask".into(), Box::new(|| peer.run(seen))));
        runs.push(("rsigma: parse + match, records as they are".into(), Box::new(|| plain.run(raw))));
        runs.push(("rsigma: match alone, parsed before".into(), Box::new(|| peer.run_parsed(seen))));
        runs.push(("rsigma: one engine for all, as it is run".into(), Box::new(|| whole.run(one))));
    }
    let taken = rounds(&runs);
    println!(
        "{:<46} {:>10} {:>23} {:>7} {:>9} {:>7}",
        "", "events/s", "least and most", "MB/s", "µs/event", "hits"
    );
    for ((name, _), (rates, hits)) in runs.iter().zip(&taken) {
        let rate = telemetry::median(rates.iter().map(|took| records.len() as f64 / took).collect());
        let of = |took: f64| records.len() as f64 / took;
        let (most, least) =
            (rates.iter().copied().fold(f64::MAX, f64::min), rates.iter().copied().fold(0.0, f64::max));
        println!(
            "{name:<46} {rate:>10.0} {:>23} {:>7.0} {:>9.2} {hits:>7}",
            format!("{:.0} … {:.0}", of(least), of(most)),
            rate * bytes as f64 / records.len() as f64 / 1e6,
            1e6 / rate,
        );
    }
    let middle = |at: usize| taken.get(at).map(|(took, _)| telemetry::median(took.clone()));
    if let (Some(ours), Some(seen), Some(raw), Some(parsed), Some(one)) =
        (middle(1), middle(3), middle(4), middle(5), middle(6))
    {
        println!(
            "decode + match is {:.1} × the peer as it is run; with events sorted for it beforehand {:.1} × on the same fields, \
             {:.1} × on records as they are, {:.1} × its match alone",
            one / ours,
            seen / ours,
            raw / ours,
            parsed / ours
        );
    }
    if let (Some(parser), Some(ours), Some(alerts)) = (middle(0), middle(1), middle(2)) {
        println!(
            "decode + match takes {:.1} × the parser's time; alerts add {:.0} %",
            ours / parser,
            (alerts / ours - 1.0) * 100.0
        );
    }
    same
}

/// What more rules cost; whether both find the same with each count.
fn growth(files: &[PathBuf], records: &[Vec<u8>], with_peer: bool) -> bool {
    println!("\n── rules: the events as they are, with more and more rules ──");
    let counts = COUNTS.into_iter().filter(|count| *count < files.len()).chain([files.len()]);
    let mut same = true;
    let sets: Vec<_> = counts
        .map(|count| {
            let some = spread(files, count);
            let compiled = compile(&some);
            let peer = with_peer.then(|| {
                let rules = Rules::read(&some);
                let fed = Fed::as_seen(&rules, records);
                (Peer::fastest(&rules, &fed), fed)
            });
            if let Some((peer, fed)) = &peer {
                same &= check(&compiled, records, &peer.pairs(fed));
            }
            (count, compiled, peer)
        })
        .collect();
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (count, compiled, _) in &sets {
        runs.push((
            format!("Noroshi: decode + match, {count} rules"),
            Box::new(|| matches(records, compiled)),
        ));
        runs.push((format!("Noroshi: … + alerts, {count} rules"), Box::new(|| alerts(records, compiled))));
    }
    for (count, _, peer) in &sets {
        if let Some((peer, fed)) = peer {
            runs.push((format!("rsigma: parse + match, {count} rules"), Box::new(|| peer.run(fed))));
        }
    }
    let taken = rounds(&runs);
    let middle = |at: usize| taken.get(at).map(|(took, _)| telemetry::median(took.clone()));
    println!("{:<46} {:>10} {:>9} {:>12} {:>7}", "", "events/s", "µs/event", "of fewest", "hits");
    for (at, ((name, _), (_, hits))) in runs.iter().zip(&taken).enumerate() {
        let fewest = if at < 2 * sets.len() { at % 2 } else { 2 * sets.len() };
        let (Some(took), Some(base)) = (middle(at), middle(fewest)) else { continue };
        let rate = records.len() as f64 / took;
        println!("{name:<46} {rate:>10.0} {:>9.2} {:>10.2} × {hits:>7}", 1e6 / rate, took / base);
    }
    for (at, (count, ..)) in sets.iter().enumerate() {
        if let (Some(ours), Some(theirs)) = (middle(2 * at), middle(2 * sets.len() + at)) {
            println!("{count} rules: decode + match is {:.1} × the peer", theirs / ours);
        }
    }
    same
}

/// So many, evenly from all.
fn spread(files: &[PathBuf], count: usize) -> Vec<PathBuf> {
    files.iter().step_by((files.len() / count).max(1)).take(count).cloned().collect()
}

/// Seconds of each round and hits of the last, of each who runs.
fn rounds(runs: &[Run<'_>]) -> Vec<(Vec<f64>, u64)> {
    let mut taken = vec![(Vec::new(), 0); runs.len()];
    for _ in 0..ROUNDS {
        for ((_, run), (seconds, hits)) in runs.iter().zip(&mut taken) {
            let (took, found) = run();
            seconds.push(took.as_secs_f64());
            *hits = found;
        }
    }
    taken
}

fn compile(files: &[PathBuf]) -> Arc<Compiled> {
    let format = decode::format("windows-json").expect("a format");
    let catalog = Arc::new(Catalog::stock().expect("the stock tables"));
    let began = Instant::now();
    let loaded = rules::load(files, &catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let pipeline = Pipeline::of_one_source(format, "bench", ZoneOffset::UTC, files.to_vec(), catalog);
    let set = Arc::new(RuleSet::new(loaded.rules));
    let compiled =
        Compiled::new(Arc::new(pipeline.expect("a pipeline")), Arc::clone(&set)).expect("compiles");
    let took = began.elapsed().as_secs_f64();
    println!("{} files are {} queries, loaded and compiled in {took:.2} s", files.len(), set.rules().len());
    Arc::new(compiled)
}

fn parse(records: &[Vec<u8>]) -> (Duration, u64) {
    let mut buffers = simd_json::Buffers::default();
    let mut scratch = Vec::new();
    let mut nodes = 0;
    let began = Instant::now();
    for record in records {
        scratch.clear();
        scratch.extend_from_slice(record);
        nodes += simd_json::to_tape_with_buffers(&mut scratch, &mut buffers).expect("JSON").0.len();
    }
    std::hint::black_box(nodes);
    (began.elapsed(), 0)
}

/// Decode and match, with an engine that knows no value yet.
fn matches(records: &[Vec<u8>], compiled: &Arc<Compiled>) -> (Duration, u64) {
    engine(records, compiled, |engine| engine.matches_only())
}

/// The same with alerts.
fn alerts(records: &[Vec<u8>], compiled: &Arc<Compiled>) -> (Duration, u64) {
    engine(records, compiled, |engine| engine.search_all(0).len())
}

fn engine(
    records: &[Vec<u8>],
    compiled: &Arc<Compiled>,
    mut search: impl FnMut(&mut Engine) -> usize,
) -> (Duration, u64) {
    let mut engine = Engine::new(Arc::clone(compiled), EngineLimits::from(&Config::default().limits));
    let topic: Arc<str> = Arc::from("bench");
    let mut hits = 0;
    let began = Instant::now();
    for (offset, payload) in (0i64..).zip(records) {
        let pushed = engine.push(&record::of(&topic, offset, payload));
        assert!(matches!(pushed, Pushed::Events(1)), "{pushed:?}");
        if engine.is_full() {
            hits += search(&mut engine);
        }
    }
    hits += search(&mut engine);
    (began.elapsed(), hits as u64)
}

/// Whether we find what the peer finds, and as many pairs without alerts as with them.
fn check(compiled: &Arc<Compiled>, records: &[Vec<u8>], theirs: &BTreeSet<(String, usize)>) -> bool {
    let mut engine = Engine::new(Arc::clone(compiled), EngineLimits::from(&Config::default().limits));
    let topic: Arc<str> = Arc::from("bench");
    let mut ours = BTreeSet::new();
    let mut search = |engine: &mut Engine| {
        for finding in engine.search_all(0) {
            let at = usize::try_from(finding.position.offset).expect("not negative");
            ours.insert((compiled.rules.rules()[finding.rule].meta.id.clone(), at));
        }
    };
    for (offset, payload) in (0i64..).zip(records) {
        engine.push(&record::of(&topic, offset, payload));
        if engine.is_full() {
            search(&mut engine);
        }
    }
    search(&mut engine);
    let tally = engine.take_tally();
    println!(
        "memory of values: {:.1} MB in the end, some of it forgotten {} times; rows that a rule could not judge: {}",
        tally.match_memory_bytes as f64 / 1e6,
        tally.match_memory_forgotten,
        tally.rule_failures.values().map(|(rows, _)| rows).sum::<u64>()
    );
    let (_, without) = matches(records, compiled);
    let same = ours == *theirs && without == ours.len() as u64;
    println!(
        "pairs of a rule and an event: {} here ({without} without alerts), {} there: {}",
        ours.len(),
        theirs.len(),
        if same { "the same" } else { "NOT THE SAME" }
    );
    for (side, pair) in ours
        .difference(theirs)
        .take(SHOWN)
        .map(|pair| ("here", pair))
        .chain(theirs.difference(&ours).take(SHOWN).map(|pair| ("there", pair)))
    {
        println!("  only {side}: {} on event {}", pair.0, pair.1);
    }
    same
}

/// The most memory that this process has held, MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap_or_default() / 1_024
}
