//! The seeds, what they must have met, and what they must find when something is switched off.

use std::collections::BTreeMap;

use super::world::{Mutation, World};

/// Seeds in the test command.
const SEEDS: u64 = 300;

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

#[test]
fn seeds() {
    let count = number("NOROSHI_SIM_SEEDS").unwrap_or(SEEDS);
    let began = std::time::Instant::now();
    let mut covered: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in 0..count {
        let ran = run(seed, None, false);
        for (what, times) in ran.covered {
            *covered.entry(what).or_default() += times;
        }
        if !ran.violations.is_empty() {
            failed.push((seed, ran.violations));
        }
    }
    for (seed, violations) in failed.iter().take(10) {
        println!("seed {seed}: {violations:?}");
    }
    println!("{count} seeds, {} failed, in {:?}: {covered:#?}", failed.len(), began.elapsed());
    assert!(failed.is_empty());
}

/// The first of the fixed seeds that finds what is switched off.
fn found(mutation: Mutation) -> (u64, Vec<String>) {
    let mut seeds = (0..SEEDS).map(|seed| (seed, run(seed, Some(mutation), false).violations));
    let found = seeds.find(|(_, violations)| !violations.is_empty());
    found.unwrap_or_else(|| panic!("{mutation:?} is not found in {SEEDS} seeds"))
}

#[test]
fn what_is_switched_off_is_found() {
    for mutation in [
        Mutation::NoTaint,
        Mutation::OffsetsOutside,
        Mutation::OffsetsOutsideNoAudit,
        Mutation::NoRewind,
        Mutation::NoRewindNoAudit,
    ] {
        let (seed, violations) = found(mutation);
        println!("{mutation:?}: seed {seed}: {violations:?}");
    }
}

#[test]
fn one_seed() {
    let Some(seed) = number("NOROSHI_SIM_SEED") else { return };
    let ran = run(seed, None, true);
    for line in &ran.trace {
        println!("{line}");
    }
    assert!(ran.violations.is_empty(), "{:?}", ran.violations);
}
