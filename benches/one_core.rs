//! `noroshi run` on one core, the broker on another, against a bare consumer on the same core.
//!
//! Owns `--one-core`: for records that the producer has compressed and for others, in turn, a consumer that counts what it
//! gets, and the process with all the public Windows rules, exactly once. Called by the parent.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{
    PARTITIONS, Run, bare, create_input, create_topics, fill_as, public_rules, telemetry, write_pipeline,
};

/// The cores, as `taskset` numbers them.
pub const BROKER_CORE: &str = "0";
pub const OUR_CORE: &str = "1";
/// What tells this program that it is the bare consumer.
pub const BARE: &str = "--bare-consumer";
const RECORDS: usize = 600_000;
const ROUNDS: usize = 3;

/// Compares, codec by codec.
pub fn compared(servers: &str, folder: &Path, id: &str, records: &[Vec<u8>]) {
    let public = public_rules::unpacked(folder);
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/windows");
    let rules = public.as_deref().unwrap_or(&own);
    let bytes: usize = records.iter().map(Vec::len).sum();
    let size = bytes as f64 / records.len() as f64;
    println!("rules of {}, the broker on core {BROKER_CORE}, all else on core {OUR_CORE}\n", rules.display());
    println!(
        "{:<8} {:>12} {:>8} {:>12} {:>8} {:>8} {:>14} {:>9}",
        "records", "bare/s", "MB/s", "run/s", "MB/s", "ratio", "CPU µs/record", "peak MiB"
    );
    for codec in ["lz4", "none"] {
        let topic = format!("{id}.{codec}");
        create_input(&topic, servers, PARTITIONS, None);
        fill_as(servers, &topic, PARTITIONS, records, RECORDS, codec);
        let (mut bare, mut ours, mut cpu, mut peak) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for round in 0..ROUNDS {
            bare.push(bare_rate(servers, &topic));
            let pipeline = write_pipeline(folder, &format!("{id}-{codec}-{round}"), &topic, rules);
            create_topics(&pipeline, servers);
            let run = Run::start(servers, &pipeline, "bench", Some(1), Some(OUR_CORE));
            let (rate, cpu_s) = run.rate(RECORDS);
            ours.push(rate);
            cpu.push(cpu_s / RECORDS as f64 * 1e6);
            peak = peak.max(run.peak_kib() / 1024);
        }
        let (bare, ours) = (telemetry::median(bare), telemetry::median(ours));
        println!(
            "{codec:<8} {bare:>12.0} {:>8.0} {ours:>12.0} {:>8.0} {:>6.0} % {:>14.1} {peak:>9}",
            bare * size / 1e6,
            ours * size / 1e6,
            ours / bare * 100.0,
            telemetry::median(cpu)
        );
    }
}

/// Records a second of the bare consumer, in a process of its own on the core.
fn bare_rate(servers: &str, topic: &str) -> f64 {
    let program = std::env::current_exe().expect("this program");
    let output = Command::new("taskset")
        .args(["-c", OUR_CORE])
        .arg(program)
        .args([BARE, servers, topic])
        .output()
        .expect("taskset starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.trim()
        .parse()
        .unwrap_or_else(|_| panic!("no rate: {text}, {}", String::from_utf8_lossy(&output.stderr)))
}

/// Reads the whole topic and prints the records a second, from the first record on.
pub fn bare(servers: &str, topic: &str) {
    let consumer = bare::consumer(servers, topic, 0..PARTITIONS);
    let mut began = None;
    for _ in 0..RECORDS {
        let message = consumer.poll(Duration::from_secs(20)).expect("a record in time").expect("a record");
        std::hint::black_box(message);
        began.get_or_insert_with(Instant::now);
    }
    println!("{}", RECORDS as f64 / began.expect("records").elapsed().as_secs_f64());
}
