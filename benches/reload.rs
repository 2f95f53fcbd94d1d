//! What a change of rules costs: the rebuild beside the lanes, the exchange in the lane, and the stream meanwhile.
//!
//! `cargo bench --bench reload` reads the public Windows rules of `NOROSHI_TEST_DATA`, runs an engine over its 60,000 Windows
//! events without end as a lane does, adds one rule beside it, and counts what the engine reads in each tenth of a second.
//! Without `NOROSHI_TEST_DATA` it takes Noroshi's own rules and synthetic events.

mod public_rules;
mod record;
mod telemetry;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use noroshi::config::Config;
use noroshi::pipeline::engine::{Compiled, Engine, EngineLimits};
use noroshi::pipeline::load;
use noroshi::pipeline::slot::Slot;
use noroshi::rules::{self, RuleLimits};

const RECORDS: usize = 60_000;
/// Rebuilds without anything else.
const ROUNDS: usize = 5;
/// Exchanges while an engine runs.
const EXCHANGES: usize = 3;
/// How long the engine runs before the first rebuild, and after each exchange.
const BESIDE: Duration = Duration::from_secs(4);
/// Records between two looks for a newer set: an epoch is at most that long here.
const LOOK_EVERY: usize = 512;
const PIPELINE: &str = "name = \"bench\"\n[[organisation]]\nid = \"bench\"\nname = \"Bench\"\n[[source]]\nid = \"windows\"\n\
                        organisation = \"bench\"\ntopics = [\"in\"]\nformat = \"windows-json\"\n";

fn main() {
    // `cargo test` runs benches to see that they build.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (what, records) = telemetry::windows(RECORDS);
    let folder = tempfile::tempdir().expect("a folder");
    let rules = public_rules::unpacked(folder.path()).unwrap_or_else(|| {
        println!("no NOROSHI_TEST_DATA: Noroshi's own rules");
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules/windows")
    });
    let path = folder.path().join("pipeline");
    std::fs::create_dir_all(path.join("rules")).expect("a folder");
    std::fs::write(path.join("pipeline.toml"), PIPELINE).expect("writes");
    std::os::unix::fs::symlink(&rules, path.join("rules/public")).expect("links");
    add_rule(&path, 0);
    let first = load(&path);
    println!("{what}, {} queries", first.rules.rules().len());
    rebuilds(&path, &first);
    beside(&path, first, &records);
}

/// How long a rebuild takes by itself, and each of its parts.
fn rebuilds(path: &Path, first: &Arc<Compiled>) {
    let limits = engine_limits();
    let mut parts: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let (whole, rebuilt) = timed(|| load(path));
        let (read, loaded) = timed(|| {
            let pipeline = &first.pipeline;
            rules::load_with(&pipeline.rules, &pipeline.catalog, &RuleLimits::default(), &pipeline.selection)
        });
        assert_eq!(loaded.rules.len(), first.rules.rules().len());
        let (compile, compiled) =
            timed(|| Compiled::new(Arc::clone(&first.pipeline), Arc::clone(&first.rules)).expect("compiles"));
        let (build, engine) = timed(|| Engine::new(Arc::new(compiled), limits.clone()));
        let (tear, ()) = timed(|| drop((engine, rebuilt)));
        for (part, took) in parts.iter_mut().zip([whole, read, compile, build, tear]) {
            part.push(took * 1e3);
        }
    }
    println!("\nby itself, ms, medians of {ROUNDS}");
    let names = [
        "a rebuild: read, check, compile, index",
        "  of it: files to checked rules (on all cores)",
        "  of it: bind and index (one core)",
        "an engine for a lane",
        "tearing two sets and an engine down",
    ];
    for (name, part) in names.iter().zip(parts) {
        println!("{name:<48} {:>10.2}", telemetry::median(part));
    }
}

/// An engine that reads without end, and sets that are rebuilt beside it.
fn beside(path: &Path, first: Arc<Compiled>, records: &[Vec<u8>]) {
    let slot = Slot::new(Arc::clone(&first), "", 0);
    let limits = engine_limits();
    slot.follow(&limits);
    let stop = AtomicBool::new(false);
    let began = Instant::now();
    println!("\nbeside an engine that reads without end, one core for it");
    println!(
        "{:<10} {:>12} {:>12} {:>12} {:>14} {:>12} {:>12}",
        "", "before", "meanwhile", "1 s after", "worst 0.1 s", "rebuild ms", "exchange µs"
    );
    std::thread::scope(|scope| {
        let lane = scope.spawn(|| lane(first, &slot, records, &stop, began));
        let mut rebuilds = Vec::new();
        for round in 1..=EXCHANGES {
            std::thread::sleep(BESIDE);
            let from = began.elapsed();
            add_rule(path, round);
            let compiled = load(path);
            slot.offer(compiled, "", 0);
            rebuilds.push((from, began.elapsed()));
        }
        std::thread::sleep(BESIDE);
        stop.store(true, Ordering::Release);
        let Ran { bins, exchanges } = lane.join().expect("no panic");
        let rate = |from: Duration, to: Duration| {
            let some = bins.get(bin(from)..bin(to)).unwrap_or_default();
            let worst = some.iter().copied().min().unwrap_or(0) as f64 * 10.0;
            (some.iter().sum::<u64>() as f64 / some.len().max(1) as f64 * 10.0, worst)
        };
        for (round, ((from, to), (at, took))) in rebuilds.iter().zip(&exchanges).enumerate() {
            let second = Duration::from_secs(1);
            let before = rate(from.saturating_sub(2 * second), *from);
            // The first whole tenth behind it, so that it counts for what it follows.
            let (meanwhile, after) = (rate(*from, *at), rate(*at, *at + second));
            println!(
                "change {:<3} {:>12.0} {:>12.0} {:>12.0} {:>14.0} {:>12.0} {:>12.0}",
                round + 1,
                before.0,
                meanwhile.0,
                after.0,
                meanwhile.1.min(after.1),
                (*to - *from).as_secs_f64() * 1e3,
                took.as_secs_f64() * 1e6
            );
        }
        assert_eq!(exchanges.len(), EXCHANGES, "each set was taken");
    });
    println!("records/s; the exchange is what happens in the lane between two batches");
}

struct Ran {
    /// Records by tenth of a second.
    bins: Vec<u64>,
    /// When each exchange began, and how long it took.
    exchanges: Vec<(Duration, Duration)>,
}

fn bin(at: Duration) -> usize {
    usize::try_from(at.as_millis() / 100).expect("not that long")
}

fn lane(first: Arc<Compiled>, slot: &Slot, records: &[Vec<u8>], stop: &AtomicBool, began: Instant) -> Ran {
    let limits = engine_limits();
    let mut engine = Engine::new(first, limits.clone());
    let mut ran = Ran { bins: Vec::new(), exchanges: Vec::new() };
    let (topic, mut taken): (Arc<str>, u64) = (Arc::from("bench"), slot.number());
    for (offset, payload) in (0i64..).zip(records.iter().cycle()) {
        engine.push(&record::of(&topic, offset, payload));
        let at = bin(began.elapsed());
        if ran.bins.len() <= at {
            ran.bins.resize(at + 1, 0);
        }
        ran.bins[at] += 1;
        let looks = usize::try_from(offset).is_ok_and(|offset| offset % LOOK_EVERY == LOOK_EVERY - 1);
        if engine.is_full() || looks {
            std::hint::black_box(engine.search_all(0));
        }
        if !looks {
            continue;
        }
        if stop.load(Ordering::Acquire) {
            break;
        }
        if slot.number() > taken {
            let at = began.elapsed();
            let (newest, ready) = slot.take(&limits);
            let next = ready.unwrap_or_else(|| engine.renewed(Arc::clone(&newest.compiled)));
            Slot::retire(std::mem::replace(&mut engine, next));
            taken = newest.number;
            ran.exchanges.push((at, began.elapsed().saturating_sub(at)));
        }
    }
    ran
}

fn engine_limits() -> EngineLimits {
    EngineLimits::from(&Config::default().limits)
}

fn load(path: &Path) -> Arc<Compiled> {
    let sound = load::load(path, &RuleLimits::default()).unwrap_or_else(|found| panic!("{found:?}"));
    Arc::new(sound.compiled)
}

/// One more rule of one's own.
fn add_rule(path: &Path, number: usize) {
    let rule = format!(
        "/*---\nid: added-{number}\ntitle: Added\n---*/\nSELECT Computer FROM windows_security WHERE EventID = {number}\n"
    );
    std::fs::write(path.join(format!("rules/added-{number}.sql")), rule).expect("writes");
}

fn timed<T>(run: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let done = run();
    (began.elapsed().as_secs_f64(), done)
}
