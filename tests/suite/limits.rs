//! Limits on a real broker: a loud organisation, a burst, a sink that takes nothing, batches that unpack to too much.
//!
//! What is asserted is order, counts and memory, never time.

use std::fmt::Write as _;
use std::fs;

use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use super::delivery::{identity, repository};
use super::faults::proxy::{END_TRANSACTION, Harm, Proxy, turn};
use super::kafka::{Broker, Record, broker, unique};
use super::process::{Running, WAIT_MAX, get};
use super::stopping::{HEARTBEAT, SESSION};

const LOUD: &str = "loud";
const QUIET: &str = "quiet";
const RULE: &str = "rules/windows/security_log_cleared.sql";

/// A pipeline of two organisations with a topic each, all alerts in one partition: their order there is that of
/// the epochs.
struct Stage<'b> {
    broker: &'b Broker,
    folder: tempfile::TempDir,
    id: String,
}

impl<'b> Stage<'b> {
    fn new(broker: &'b Broker, loud_partitions: i32) -> Self {
        let id = unique("limits");
        let stage = Self { broker, folder: tempfile::tempdir().expect("a folder"), id };
        let rule = repository(RULE).display().to_string();
        let mut text = format!("name = \"{}\"\nrules = [{rule:?}]\n", stage.id);
        let appended = [("message.timestamp.type", "LogAppendTime")];
        for (org, partitions) in [(LOUD, loud_partitions), (QUIET, 1)] {
            let topic = stage.topic(org);
            broker.create_topic_with(&topic, partitions, &appended);
            let _ = write!(
                text,
                "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}-windows\"\n\
                 organisation = \"{org}\"\ntopics = [\"{topic}\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n"
            );
        }
        let (alerts, dead) = (stage.topic("alerts"), stage.topic("dead"));
        let _ = write!(text, "[alerts]\ntopic = \"{alerts}\"\n[rejects]\ntopic = \"{dead}\"\n");
        broker.create_topic_with(&alerts, 1, &appended);
        broker.create_topic(&dead, 1);
        fs::write(stage.folder.path().join("pipeline.toml"), text).expect("writes the pipeline");
        stage
    }

    fn topic(&self, what: &str) -> String {
        format!("{}.{what}", self.id)
    }

    fn run(&self, servers: &str, more: &[&str]) -> Running {
        let mut settings = vec![
            format!("kafka.bootstrap_servers={servers}"),
            "lanes.count=1".to_owned(),
            "http.listen=127.0.0.1:0".to_owned(),
        ];
        settings.extend(more.iter().map(|setting| (*setting).to_owned()));
        Running::start(self.folder.path(), self.folder.path(), &settings)
    }

    fn committed(&self, org: &str) -> i64 {
        let group = format!("noroshi-{}", self.id);
        let offsets = self.broker.group_offsets(&group, &self.topic(org));
        offsets.into_iter().map(|offset| offset.unwrap_or(0)).sum()
    }
}

/// A record of so many bytes at least; those of 1102 raise an alert.
fn event(id: u32, host: &str, bytes: usize) -> String {
    let event = format!(
        r#"{{"Channel":"Security","EventID":{id},"Hostname":"{host}","EventTime":"2026-01-02 03:04:05""#
    );
    let padding = bytes.saturating_sub(event.len() + 13);
    format!(r#"{event},"Message":"{}"}}"#, "x".repeat(padding))
}

fn appended_ms(record: &OwnedMessage) -> i64 {
    record.timestamp().to_millis().expect("a time")
}

/// The value of a metric, over all of its series that have this label.
fn metric(http: &str, name: &str, label: &str) -> u64 {
    let (_, text) = get(http, "/metrics");
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// One organisation has a backlog over several partitions, another one sends a record now and then: it never waits
/// for what of the backlog has been fetched already, which is half of it.
#[test]
fn a_quiet_organisation_does_not_wait_for_a_loud_one() {
    /// Records of the loud one, over its partitions, and every how manieth raises an alert.
    const BACKLOG: i64 = 160_000;
    const PARTITIONS: i64 = 4;
    const EVERY: i64 = 20;
    /// Two epochs, of which one commits while the other one is filled, and some for the way to the lane.
    const EPOCH: i64 = 1_000;
    const WAIT_RECORDS_MAX: i64 = 20_000;

    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, 4);
    let loud = stage.topic(LOUD);
    let records = (0..BACKLOG).map(|number| {
        // Each partition has its alerts at the same offsets.
        let id = if (number / PARTITIONS) % EVERY == 0 { 1102 } else { 4624 };
        Record::new(i32::try_from(number % PARTITIONS).expect("few"), event(id, LOUD, 0))
    });
    broker.produce(&loud, records);
    let epoch = format!("epoch.records_max={EPOCH}");
    let mut run = stage.run(&broker.plaintext, &[&epoch]);
    let sent = 5;
    for number in 1..=sent {
        let read = number * BACKLOG / 10;
        run.runs_until("the backlog to be worked on", || stage.committed(LOUD) >= read);
        broker.produce(&stage.topic(QUIET), [Record::new(0, event(1102, QUIET, 0))]);
    }
    run.runs_until("all to be committed", || {
        stage.committed(LOUD) >= BACKLOG && stage.committed(QUIET) == sent
    });
    let (status, log) = run.terminate();
    assert_eq!(status.code(), Some(0), "{log}");

    // Topic, offset and time of each alert, in the order of the epochs.
    let alerts: Vec<(String, i64, i64)> = broker
        .committed_now(&stage.topic("alerts"))
        .iter()
        .map(|alert| {
            let (_, topic, _, offset, _) = identity(alert).0;
            (topic, offset, appended_ms(alert))
        })
        .collect();
    assert_eq!(alerts.len() as i64, BACKLOG / EVERY + sent);
    let quiet = stage.topic(QUIET);
    for record in broker.committed_now(&quiet) {
        let number = record.offset();
        // How many alerts of the loud one there were when the record came, and when its own came.
        let loud = |alerts: &[(String, i64, i64)], until_ms: i64| {
            alerts.iter().filter(|(topic, _, ms)| *topic == loud && *ms <= until_ms).count() as i64 * EVERY
        };
        let came = loud(&alerts, appended_ms(&record));
        let own = alerts.iter().position(|(topic, offset, _)| *topic == quiet && *offset == number);
        let waited = loud(&alerts[..own.expect("its alert is there")], i64::MAX) - came;
        eprintln!("record {number} came after {came} records of the loud one and waited for {waited} more");
        assert!(came < BACKLOG - WAIT_RECORDS_MAX, "the backlog was large when record {number} came");
        assert!(waited <= WAIT_RECORDS_MAX, "record {number} waited for {waited} records of the loud one");
    }
}

/// A burst into one partition, while the broker answers to the ends of transactions slowly, and then for longer than
/// a session lasts not at all.
#[test]
fn a_burst_before_a_slow_sink_takes_bounded_memory_and_the_group_stays_as_it_is() {
    /// 200 MB in one partition, against limits of 8 MiB and a few epochs of 4 MiB.
    const BURST: i64 = 100_000;
    const RECORD_BYTES: usize = 2_000;
    const EVERY: i64 = 100;
    /// Beyond what the process takes at rest: all queues, two epochs as bytes and as rows, and the allocator's waste.
    const GROWTH_KIB_MAX: u64 = 128 * 1_024;

    let Some(broker) = broker() else { return };
    let Some((behind, address)) = &broker.proxy else { return };
    let _turn = turn();
    let proxy = Proxy::start(behind, address);
    let stage = Stage::new(broker, 4);
    let bounds = [
        "limits.fetch_queue_bytes_max=8388608",
        "limits.fetch_partition_bytes_max=1048576",
        "limits.producer_queue_bytes_max=8388608",
        "epoch.bytes_max=4194304",
        SESSION,
        HEARTBEAT,
    ];
    let mut run = stage.run(address, &bounds);
    broker.produce(&stage.topic(QUIET), [Record::new(0, event(1102, QUIET, RECORD_BYTES))]);
    run.runs_until("the first record", || stage.committed(QUIET) == 1);
    let http = run.http();
    let at_rest = run.memory_kib("VmRSS");
    let rebalances = metric(&http, "noroshi_rebalances_total", "");

    let records = (0..BURST).map(|number| {
        let id = if number % EVERY == 0 { 1102 } else { 4624 };
        Record::new(2, event(id, LOUD, RECORD_BYTES))
    });
    broker.produce(&stage.topic(LOUD), records);
    // Longer than a member of the group may be silent.
    proxy.arm(END_TRANSACTION, None, Harm::DelayAnswer(8_000));
    run.runs_until("the source to be paused", || {
        metric(&http, "noroshi_paused_partitions", "lane=\"0\"") > 0
    });
    run.runs_until("the source to be resumed", || {
        metric(&http, "noroshi_paused_partitions", "lane=\"0\"") == 0
    });
    for _ in 0..5 {
        proxy.arm(END_TRANSACTION, None, Harm::DelayAnswer(500));
        run.runs_until("a slow transaction", || !proxy.is_armed() || stage.committed(LOUD) == BURST);
    }
    run.runs_until("all to be committed", || stage.committed(LOUD) == BURST);
    let peak = run.memory_kib("VmHWM");
    eprintln!("{at_rest} KiB at rest, {peak} KiB at the peak");
    assert!(
        peak <= at_rest + GROWTH_KIB_MAX,
        "{at_rest} KiB at rest, {peak} KiB at the peak of a burst of {} KiB",
        BURST as u64 * RECORD_BYTES as u64 / 1_024
    );
    assert_eq!(metric(&http, "noroshi_rebalances_total", ""), rebalances, "the group moved\n{}", run.log());
    let (status, log) = run.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let alerts = broker.read_committed(&stage.topic("alerts"), 1, WAIT_MAX);
    let places: std::collections::BTreeSet<_> = alerts.iter().map(|alert| identity(alert).0).collect();
    assert_eq!((alerts.len() as i64, places.len() as i64), (1 + BURST / EVERY, 1 + BURST / EVERY));
}

/// Writes one batch of one record of so many zeros, compressed.
fn bomb(broker: &Broker, topic: &str, partition: i32, codec: &str, bytes: usize) -> Result<(), String> {
    let producer: BaseProducer = broker
        .config()
        .set("message.max.bytes", "1000000000")
        .set("compression.type", codec)
        .create()
        .expect("a producer");
    let value = vec![b'0'; bytes];
    let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).partition(partition).payload(&value);
    producer.send(record).map_err(|(error, _)| error.to_string())?;
    producer.flush(WAIT_MAX).map_err(|error| error.to_string())
}

/// What one batch unpacks to is more than a consumer may hold: its partition stands still and says so, all others go on,
/// and with a higher bound it goes on where it stood.
#[test]
fn a_batch_that_unpacks_to_too_much_blocks_its_partition_and_nothing_else() {
    let Some(broker) = broker() else { return };
    let stage = Stage::new(broker, 2);
    let loud = stage.topic(LOUD);
    broker.produce(&loud, [Record::new(0, event(1102, LOUD, 0))]);
    bomb(broker, &loud, 0, "zstd", 150_000_000)
        .expect("the broker takes a batch that is small as it is stored");
    broker.produce(&loud, [Record::new(0, event(1102, LOUD, 0)), Record::new(1, event(1102, LOUD, 0))]);
    broker.produce(&stage.topic(QUIET), [Record::new(0, event(1102, QUIET, 0))]);

    let mut run = stage.run(&broker.plaintext, &[]);
    let http = run.http();
    run.runs_until("the partition to be blocked", || {
        metric(&http, "noroshi_blocked_partitions", "lane=\"0\"") == 1
    });
    run.runs_until("the others to go on", || stage.committed(LOUD) == 2 && stage.committed(QUIET) == 1);
    broker.produce(&stage.topic(QUIET), [Record::new(0, event(1102, QUIET, 0))]);
    run.runs_until("what comes later", || stage.committed(QUIET) == 2);
    assert_eq!(metric(&http, "noroshi_unreadable_batches_total", &loud), 1);
    let status: Value = serde_json::from_str(&get(&http, "/status").1).expect("JSON");
    let partitions = status["lanes"][0]["partitions"].as_array().expect("partitions");
    let blocked: Vec<&Value> =
        partitions.iter().filter(|partition| partition["blocked"].is_string()).collect();
    let [blocked] = blocked[..] else { panic!("{status}") };
    assert_eq!(
        (&blocked["topic"], &blocked["partition"], &blocked["next_offset"]),
        (&Value::from(loud.as_str()), &Value::from(0), &Value::from(1))
    );
    let why = blocked["blocked"].as_str().expect("a reason");
    assert!(why.contains("Decompression"), "{why}");
    let (status, log) = run.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("A partition is blocked"), "{log}");
    assert_eq!(stage.committed(LOUD), 2, "nothing was skipped");

    let mut run =
        stage.run(&broker.plaintext, &["kafka.consumer.properties.receive.message.max.bytes=200000000"]);
    run.runs_until("the partition to go on", || stage.committed(LOUD) == 4);
    let (status, log) = run.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let rejects = broker.committed_now(&stage.topic("dead"));
    assert_eq!(rejects.len(), 1, "the large record is rejected");
    assert_eq!(broker.committed_now(&stage.topic("alerts")).len(), 5);
}

/// By hand: what a batch of one megabyte as it is stored costs, with each compression.
/// `scripts/test -- --ignored what_a_bomb_costs --nocapture`
#[test]
#[ignore = "a measurement, for docs/guarantees.md"]
fn what_a_bomb_costs() {
    let Some(broker) = broker() else { return };
    for (codec, mib) in [
        ("none", 0),
        ("snappy", 16),
        ("lz4", 100),
        ("lz4", 230),
        ("zstd", 100),
        ("zstd", 900),
        ("gzip", 100),
        ("gzip", 900),
    ] {
        let stage = Stage::new(broker, 1);
        let loud = stage.topic(LOUD);
        let mut run = stage.run(&broker.plaintext, &[]);
        broker.produce(&loud, [Record::new(0, event(1102, LOUD, 0))]);
        run.runs_until("the first record", || stage.committed(LOUD) == 1);
        let before = run.memory_kib("VmHWM") / 1_024;
        let taken = match mib {
            0 => Ok(()),
            mib => bomb(broker, &loud, 0, codec, mib << 20),
        };
        let expected = if mib == 0 { 1 } else { 2 };
        let http = run.http();
        run.runs_until("an outcome", || {
            stage.committed(LOUD) == expected
                || metric(&http, "noroshi_blocked_partitions", "lane=\"0\"") == 1
        });
        let blocked = metric(&http, "noroshi_blocked_partitions", "lane=\"0\"") == 1;
        let (peak, after) = (run.memory_kib("VmHWM") / 1_024, run.memory_kib("VmRSS") / 1_024);
        eprintln!(
            "{codec} {mib} MiB: {taken:?}, blocked {blocked}, {before} MiB, peak {peak}, after {after}"
        );
    }
}
