//! The seeds, what they must have met, and what they must find when something is switched off.

use std::collections::BTreeMap;

use super::state::Mutation;
use super::world::World;

/// Seeds in the test command.
const SEEDS: u64 = 300;
/// Lines of a failed run's trace that are printed.
const TRACE_LINES: usize = 60;

/// What must have happened somewhere in the fixed seeds, or they prove nothing.
const SOMETIMES: &[&str] = &[
    // On the wire.
    "request lost",
    "request delayed",
    "request doubled",
    "answer lost",
    "hidden retry",
    "doubt handed on",
    "an unasked end arrived",
    "beginning not committed",
    "outage",
    // To processes.
    "killed",
    "killed before a call",
    "killed between request and answer",
    "killed after a call",
    "stood still",
    "doubled",
    "asked to stop",
    "told to stop",
    // In the group.
    "assigned",
    "revoked",
    "lost",
    "stale member fenced",
    "unstable offsets waited for",
    // In transactions.
    "committed",
    "aborted",
    "unknown outcome",
    "epoch fenced",
    "transaction timed out",
    "concurrent transactions",
    "doubtful epoch",
    "refused for a record",
    "refused for a topic",
    "refused for its time",
    "refused while others are enqueued",
    "sent beside what is refused",
    "refused without a name",
    "tainted producer replaced",
    "batches halved",
    "batches as large as before",
    // In lanes.
    "partial seal",
    "source paused",
    "open work discarded",
    "rewound",
    "audited",
    "bare dead letter",
    "organisation parked",
    "organisation tried again",
    "the audit saw a moved partition",
    "exit: stopped",
    "exit: deadline",
    "exit: fenced",
];

struct Ran {
    violations: Vec<String>,
    covered: BTreeMap<&'static str, u64>,
    trace: Vec<String>,
}

fn run(seed: u64, mutation: Option<Mutation>, traced: bool) -> Ran {
    let world = World::new(seed, mutation, traced);
    world.run();
    let mut state = world.state.borrow_mut();
    Ran {
        violations: std::mem::take(&mut state.oracle.violations),
        covered: std::mem::take(&mut state.covered),
        trace: state.trace.take().unwrap_or_default(),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// `NOROSHI_SIM_SEEDS` is how many, `NOROSHI_SIM_FIRST` the first.
#[test]
fn seeds() {
    let first = number("NOROSHI_SIM_FIRST").unwrap_or(0);
    let count = number("NOROSHI_SIM_SEEDS").unwrap_or(SEEDS);
    let began = std::time::Instant::now();
    let mut covered: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in first..first + count {
        let ran = run(seed, None, false);
        for (what, times) in ran.covered {
            *covered.entry(what).or_default() += times;
        }
        if !ran.violations.is_empty() {
            println!("seed {seed}: {}", ran.violations.join("; "));
            failed.push(seed);
        }
    }
    println!("{count} seeds in {:?}: {covered:#?}", began.elapsed());
    if let Some(seed) = failed.first() {
        let trace = run(*seed, None, true).trace;
        for line in trace.iter().skip(trace.len().saturating_sub(TRACE_LINES)) {
            println!("{}", line.chars().take(300).collect::<String>());
        }
        panic!(
            "{} seeds failed; the first with all its trace: NOROSHI_SIM_SEED={seed} cargo test --lib \
             sim::tests::one_seed -- --nocapture",
            failed.len()
        );
    }
    if count >= SEEDS {
        let missing: Vec<_> = SOMETIMES.iter().filter(|what| !covered.contains_key(**what)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

/// `NOROSHI_SIM_SEED` is the seed; without it there is nothing to repeat.
#[test]
fn one_seed() {
    let Some(seed) = number("NOROSHI_SIM_SEED") else { return };
    let ran = run(seed, None, true);
    for line in &ran.trace {
        println!("{line}");
    }
    assert!(ran.violations.is_empty(), "{:?}", ran.violations);
}

/// A run that cannot be repeated is of no use.
#[test]
fn a_seed_gives_the_same_run() {
    for seed in [3, 42] {
        let (one, other) = (run(seed, None, true), run(seed, None, true));
        assert!(one.trace.len() > 50, "seed {seed}: {} lines", one.trace.len());
        assert_eq!(one.trace, other.trace, "seed {seed}");
    }
}

/// The tests of the test: what the fixed seeds must find, and what of it must be seen without the audit's help.
#[test]
fn what_is_switched_off_is_found() {
    for (mutation, finds) in [
        (Mutation::NoTaint, ""),
        (Mutation::OffsetsOutside, ""),
        (Mutation::OffsetsOutsideNoAudit, "2 times, not 1"),
        (Mutation::NoRewind, ""),
        (Mutation::NoRewindNoAudit, "0 times, not 1"),
    ] {
        let mut seeds = (0..SEEDS).map(|seed| (seed, run(seed, Some(mutation), false).violations));
        let found = seeds.find(|(_, violations)| violations.iter().any(|what| what.contains(finds)));
        let Some((seed, violations)) = found else { panic!("{mutation:?} is not found in {SEEDS} seeds") };
        println!("{mutation:?} is found by seed {seed}: {}", violations.join("; "));
    }
}
