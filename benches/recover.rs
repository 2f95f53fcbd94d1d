//! How long partitions stand still after one of two processes is killed, with the settings that Noroshi has by default.
//!
//! Owns the load, the kills and the watch: a partition goes on once the group has committed a record of it that was
//! written after the kill. The one that was killed is started again only then, so it is the other that takes over.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::{Run, producer, send, telemetry};

const INSTANCES: [&str; 2] = ["a", "b"];
/// So many at once, so often: a thousand records a second.
const BATCH: usize = 20;
const BATCH_EVERY: Duration = Duration::from_millis(20);
/// Between two looks at the group.
const LOOK: Duration = Duration::from_millis(20);
/// The broker's longest answer, and the longest that is waited for anything.
const ANSWER: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(300);

/// One for each lane that two processes have by default.
pub fn partitions() -> i32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    i32::try_from(2 * cores).expect("few")
}

/// Kills and watches so many times; the pipeline by name and folder.
pub fn measured(kills: u64, servers: &str, topic: &str, pipeline: (&str, &Path), records: &[Vec<u8>]) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| feed(servers, topic, records, &over));
        let _over = Over(&over);
        let group = Group::new(servers, &format!("noroshi-{}", pipeline.0), topic);
        let mut times = Vec::new();
        let mut runs = INSTANCES.map(|instance| Run::start(servers, pipeline.1, instance, None, None));
        for kill in 0..kills {
            wait("all lanes to have work", || runs.iter().all(has_work));
            let ends = group.ends();
            wait("all lanes to work", || group.is_behind_none_of(&ends));
            let at = usize::try_from(kill).expect("few") % INSTANCES.len();
            let began = Instant::now();
            runs[at].child.kill().expect("kills");
            let ends = group.ends();
            wait("all partitions to go on", || group.is_behind_none_of(&ends));
            let took = began.elapsed().as_secs_f64();
            println!("{:>3}: {took:.1} s", kill + 1);
            times.push(took);
            runs[at] = Run::start(servers, pipeline.1, INSTANCES[at], None, None);
        }
        let worst = times.iter().copied().fold(0.0, f64::max);
        println!(
            "\n{kills} kills of one of two processes, {} partitions, {:.0} records/s: until all partitions went on \
             median {:.1} s, worst {worst:.1} s",
            partitions(),
            BATCH as f64 / BATCH_EVERY.as_secs_f64(),
            telemetry::median(times)
        );
    });
}

/// Ends the load, also when a wait has failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Writes records until it is over.
fn feed(servers: &str, topic: &str, records: &[Vec<u8>], over: &AtomicBool) {
    let producer = producer(servers);
    let partitions = usize::try_from(partitions()).expect("few");
    let mut sent = 0;
    while !over.load(Ordering::Acquire) {
        for record in records.iter().cycle().skip(sent % records.len()).take(BATCH) {
            send(&producer, topic, sent % partitions, record);
            sent += 1;
        }
        producer.poll(BATCH_EVERY);
    }
}

/// Whether each lane holds partitions.
fn has_work(run: &Run) -> bool {
    let answer = run.get("/status");
    let Some((_, body)) = answer.split_once("\r\n\r\n") else { return false };
    let status: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let lanes = status["lanes"].as_array().map(Vec::as_slice).unwrap_or_default();
    !lanes.is_empty()
        && lanes.iter().all(|lane| lane["partitions"].as_array().is_some_and(|held| !held.is_empty()))
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < until, "waited {WAIT_MAX:?} for {what}");
        std::thread::sleep(LOOK);
    }
}

/// A look at the group from outside.
struct Group {
    reader: BaseConsumer,
    topic: String,
}

impl Group {
    fn new(servers: &str, group: &str, topic: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("group.id", group).set("enable.auto.commit", "false");
        // Else a look would wait for each transaction that is open.
        config.set("isolation.level", "read_uncommitted");
        Self { reader: config.create().expect("a reader"), topic: topic.to_owned() }
    }

    /// Where each partition ends.
    fn ends(&self) -> Vec<i64> {
        let end =
            |partition| self.reader.fetch_watermarks(&self.topic, partition, ANSWER).expect("its end").1;
        (0..partitions()).map(end).collect()
    }

    /// Whether the group has committed more of each partition than this.
    fn is_behind_none_of(&self, ends: &[i64]) -> bool {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, partitions() - 1);
        let Ok(found) = self.reader.committed_offsets(list, ANSWER) else { return false };
        (0..).zip(ends).all(|(partition, end)| {
            let offset = found.find_partition(&self.topic, partition).map(|element| element.offset());
            matches!(offset, Some(Offset::Offset(offset)) if offset > *end)
        })
    }
}
