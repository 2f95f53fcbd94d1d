//! Stopping, dying, sharing and outages: through all of them each record alerts exactly once (I-1, I-3).
//!
//! A rule finds every record, so the alerts' positions are the records that were read.

use std::collections::BTreeSet;
use std::fs;

use rdkafka::message::Message as _;
use serde_json::Value;

use super::delivery::{PARTITIONS, Setup, identity, repository};
use super::kafka::own::OwnBroker;
use super::kafka::{Broker, Record, broker};
use super::process::{Running, WAIT_MAX, get, program, until};

const ORGANISATION: &str = "power";
/// A member that has died is noticed at the speed of a test; less than this no broker takes.
pub const SESSION: &str = "kafka.consumer.properties.session.timeout.ms=6000";
pub const HEARTBEAT: &str = "kafka.consumer.properties.heartbeat.interval.ms=500";

/// Topics, what was put into them, and what must come out.
pub struct Stage<'b> {
    broker: &'b Broker,
    /// The pipeline.
    pub setup: Setup,
    /// Records of each topic and partition so far.
    produced: Vec<(String, usize)>,
}

impl<'b> Stage<'b> {
    /// Nothing in them.
    pub fn new(broker: &'b Broker) -> Self {
        let setup = Setup::new(broker, &repository("rules/windows/security_log_cleared.sql"), "earliest");
        Self { broker, setup, produced: Vec::new() }
    }

    /// The input topic.
    pub fn topic(&self) -> String {
        self.setup.topic(ORGANISATION)
    }

    /// Puts so many records into each partition of a topic.
    pub fn produce(&mut self, topic: &str, each: usize) {
        let records = (0..each * PARTITIONS).map(|number| {
            let text = format!(
                r#"{{"Channel":"Security","EventID":1102,"Hostname":"h{number}","EventTime":"2026-01-02 03:04:05"}}"#
            );
            Record::new(i32::try_from(number % PARTITIONS).expect("few"), text)
        });
        self.broker.produce(topic, records);
        match self.produced.iter_mut().find(|(known, _)| known == topic) {
            Some((_, count)) => *count += each,
            None => self.produced.push((topic.to_owned(), each)),
        }
    }

    fn run(&self, instance: &str, lanes: u32, more: &[&str]) -> Running {
        let folder = self.setup.folder.path();
        let mut command = program();
        command.args(["run", "--instance", instance, "--pipeline"]).arg(folder);
        let all = [
            format!("kafka.bootstrap_servers={}", self.broker.plaintext),
            format!("lanes.count={lanes}"),
            "http.listen=127.0.0.1:0".to_owned(),
            SESSION.to_owned(),
            HEARTBEAT.to_owned(),
        ];
        for setting in all.iter().map(String::as_str).chain(more.iter().copied()) {
            command.args(["--set", setting]);
        }
        Running::spawn(folder, &mut command)
    }

    fn committed(&self) -> usize {
        let group = format!("noroshi-{}", self.setup.id);
        let offsets = self.produced.iter().flat_map(|(topic, _)| self.broker.group_offsets(&group, topic));
        offsets.map(|offset| usize::try_from(offset.unwrap_or(0)).expect("not negative")).sum()
    }

    fn total(&self) -> usize {
        self.produced.iter().map(|(_, each)| each * PARTITIONS).sum()
    }

    /// Waits until a process has committed all that was produced.
    pub fn finish(&self, running: &mut Running) {
        running.runs_until("all input is committed", || self.committed() == self.total());
    }

    /// Waits until a process has committed some of what is new, and returns how much is committed.
    fn begun(&self, running: &mut Running, before: usize) -> usize {
        running.runs_until("some input is committed", || self.committed() > before);
        self.committed()
    }

    /// Where alerts point to; fails when two are the same.
    fn alerts(&self, expected: usize) -> BTreeSet<(String, i64, i64)> {
        let alerts = self.broker.read_committed(&self.setup.alerts, expected, WAIT_MAX);
        let mut places = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for alert in &alerts {
            let ((_, topic, partition, offset, _), id) = identity(alert);
            assert!(places.insert((topic, partition, offset)), "{:?} is there twice", alert.payload());
            assert!(ids.insert(id), "an id is there twice");
        }
        places
    }

    /// Every record has one alert, and there are no others.
    pub fn assert_exactly_once(&self) {
        let places = self.alerts(self.total());
        let mut expected = BTreeSet::new();
        for (topic, each) in &self.produced {
            for partition in 0..PARTITIONS {
                let partition = i64::try_from(partition).expect("few");
                let offsets = 0..i64::try_from(*each).expect("few");
                expected.extend(offsets.map(|offset| (topic.clone(), partition, offset)));
            }
        }
        let missing: Vec<_> = expected.difference(&places).take(5).collect();
        let extra: Vec<_> = places.difference(&expected).take(5).collect();
        assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:?}, not expected: {extra:?}");
        assert!(self.broker.committed_now(&self.setup.rejects).is_empty());
    }
}

fn status(address: &str) -> Value {
    let (code, text) = get(address, "/status");
    assert_eq!(code, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Topics and partitions that the lanes hold, by `/status`.
fn held(status: &Value) -> BTreeSet<(String, i64)> {
    let lanes = status["lanes"].as_array().expect("lanes");
    let partitions = lanes.iter().flat_map(|lane| lane["partitions"].as_array().expect("partitions"));
    partitions
        .map(|held| {
            (held["topic"].as_str().expect("topic").to_owned(), held["partition"].as_i64().expect("number"))
        })
        .collect()
}

#[test]
fn a_process_that_is_asked_to_stop_leaves_nothing_half_done() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let topic = stage.topic();
    stage.produce(&topic, 4_000);
    let mut first = stage.run("a", 2, &["epoch.interval_ms=20", "epoch.records_max=200"]);
    stage.begun(&mut first, 0);
    let (status, log) = first.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    let committed = stage.committed();
    assert!(committed < stage.total(), "it was stopped in the middle, not after {committed}");
    // What is committed has its alerts, and nothing else has.
    let offsets = broker.group_offsets(&format!("noroshi-{}", stage.setup.id), &topic);
    let places = stage.alerts(committed);
    for (partition, offset) in (0_i64..).zip(offsets) {
        let end = offset.unwrap_or(0);
        let found: Vec<i64> =
            places.iter().filter(|place| place.1 == partition).map(|place| place.2).collect();
        assert_eq!(found, (0..end).collect::<Vec<_>>(), "partition {partition}");
    }
    let mut second = stage.run("a", 2, &[]);
    stage.finish(&mut second);
    stage.assert_exactly_once();
}

#[test]
fn the_endpoint_tells_what_the_lanes_do() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let topic = stage.topic();
    stage.produce(&topic, 50);
    let mut running = stage.run("a", 3, &[]);
    let address = running.http();
    let (code, text) = get(&address, "/live");
    assert_eq!(code, 200, "{text}");
    // Not ready, with reasons, until all lanes have joined.
    running.runs_until("it is ready", || {
        let (code, text) = get(&address, "/ready");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(answer["ready"], Value::from(code == 200), "{text}");
        assert_eq!(answer["reasons"].is_array(), code == 503, "{text}");
        code == 200
    });
    stage.finish(&mut running);
    running.runs_until("the lag is 0 and known everywhere", || {
        let status = status(&address);
        let lanes = status["lanes"].as_array().expect("lanes");
        let partitions: Vec<&Value> =
            lanes.iter().flat_map(|lane| lane["partitions"].as_array().expect("partitions")).collect();
        partitions.len() == 12 && partitions.iter().all(|partition| partition["lag"] == 0)
    });
    let status = status(&address);
    assert_eq!(status["pipeline"], stage.setup.id.as_str());
    assert_eq!(status["rule_set"]["rules"], 1);
    assert_eq!(status["lanes"].as_array().map(Vec::len), Some(3));
    assert_eq!((&status["ready"], &status["live"]), (&Value::from(true), &Value::from(true)));
    assert_eq!(status["errors_total"], 0, "{status:#}");
    let (code, metrics) = get(&address, "/metrics");
    assert_eq!(code, 200);
    let line = "noroshi_records_total{source=\"power-windows\"} 200";
    assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    for partition in 0..PARTITIONS {
        let place = format!("topic=\"{topic}\",partition=\"{partition}\"");
        let shown = metrics.lines().any(|line| line.contains(&place) && line.ends_with(" 0"));
        assert!(shown, "no lag of {place} in\n{metrics}");
    }
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

#[test]
fn processes_share_take_over_and_come_back() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let topic = stage.topic();
    let slow = ["epoch.interval_ms=20", "epoch.records_max=100", "transaction.timeout_ms=10000"];
    stage.produce(&topic, 2_000);
    let mut first = stage.run("a", 2, &slow);
    stage.begun(&mut first, 0);
    let mut second = stage.run("b", 2, &slow);
    let address = second.http();
    second.runs_until("the second process holds partitions", || !held(&status(&address)).is_empty());
    stage.produce(&topic, 1_000);
    let (ended, log) = first.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    stage.produce(&topic, 1_000);
    let before = stage.committed();
    stage.begun(&mut second, before);
    second.kill();
    let before = stage.committed();
    assert!(before < stage.total(), "it was killed in the middle, not after {before}");
    let mut third = stage.run("b", 2, &[]);
    stage.finish(&mut third);
    let (ended, log) = third.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

/// A process that stands still loses its partitions; when it goes on, what it had begun must not be seen.
#[test]
fn a_process_that_stood_still_finds_its_way_back() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let topic = stage.topic();
    let slow = ["epoch.interval_ms=20", "epoch.records_max=100"];
    stage.produce(&topic, 2_000);
    let mut still = stage.run("still", 1, &slow);
    stage.begun(&mut still, 0);
    let address = still.http();
    still.signal("STOP");
    let mut other = stage.run("other", 1, &slow);
    let other_address = other.http();
    // Three topics of four partitions: all of them, once the broker has given up on the first process.
    other.runs_until("the other process has everything", || held(&status(&other_address)).len() == 12);
    still.signal("CONT");
    stage.produce(&topic, 500);
    stage.finish(&mut other);
    still.runs_until("it shares again", || !held(&status(&address)).is_empty());
    stage.produce(&topic, 500);
    stage.finish(&mut still);
    for running in [still, other] {
        let (ended, log) = running.terminate();
        assert_eq!(ended.code(), Some(0), "{log}");
    }
    stage.assert_exactly_once();
}

/// Standing still for longer than a transaction lasts: the broker has aborted it and fenced the producer. Where that
/// is noticed at the commit it cannot be told from another process with the same name, and the process ends; while
/// it still publishes, it makes a new producer and goes on.
#[test]
fn a_process_that_outslept_its_transaction_loses_and_doubles_nothing() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let topic = stage.topic();
    let slow = ["epoch.interval_ms=20", "epoch.records_max=100", "transaction.timeout_ms=1000"];
    stage.produce(&topic, 3_000);
    let mut running = stage.run("a", 1, &slow);
    stage.begun(&mut running, 0);
    // A fast machine is between two transactions most of the time.
    let mut refills = 20;
    loop {
        running.signal("STOP");
        // Several looks: a commit that is under way closes it in a moment.
        if (0..5).all(|_| broker.is_transaction_open(&stage.setup.alerts)) {
            break;
        }
        running.signal("CONT");
        // On a busy machine the looks alone outlast the transaction.
        if !running.runs() {
            break;
        }
        if stage.committed() == stage.total() {
            assert!(refills > 0, "the process was never caught in a transaction");
            refills -= 1;
            stage.produce(&topic, 3_000);
        }
    }
    until(
        "the broker to abort the transaction",
        || (!broker.is_transaction_open(&stage.setup.alerts)).then_some(()),
        || running.log(),
    );
    if running.runs() {
        running.signal("CONT");
    }
    let goes_on = until(
        "it goes on or ends",
        || (!running.runs() || stage.committed() == stage.total()).then(|| running.runs()),
        String::new,
    );
    if !goes_on {
        let ended = running.wait();
        assert_eq!(ended.code(), Some(4), "{}", running.log());
        assert!(running.log().contains("stood still"), "{}", running.log());
        running = stage.run("a", 1, &slow);
        stage.finish(&mut running);
    }
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

#[test]
fn the_older_of_two_processes_with_one_name_ends() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let topic = stage.topic();
    stage.produce(&topic, 10);
    let mut older = stage.run("same", 1, &[]);
    stage.finish(&mut older);
    let mut newer = stage.run("same", 1, &[]);
    let address = newer.http();
    newer.runs_until("the newer process is ready", || get(&address, "/ready").0 == 200);
    stage.produce(&topic, 100);
    let ended = older.wait();
    assert_eq!(ended.code(), Some(4), "{}", older.log());
    for part in
        ["another process uses the instance name `same`", &format!("noroshi-{}-same-0", stage.setup.id)]
    {
        assert!(older.log().contains(part), "{part:?} is not in {}", older.log());
    }
    assert_eq!(status(&address)["instance"], "same");
    stage.finish(&mut newer);
    let (ended, log) = newer.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

/// Static members notice each other without any work: the broker lets only one of them be in the group.
#[test]
fn of_two_idle_processes_with_one_group_instance_id_one_ends() {
    let Some(broker) = broker() else { return };
    // The classic protocol lets the newer in, the other keeps the older.
    for (protocol, which, code, said) in
        [("classic", 0, 4, "another process is the group's member"), ("consumer", 1, 3, "still has a member")]
    {
        let stage = Stage::new(broker);
        let folder = stage.setup.folder.path();
        let start = |instance: &str| {
            let mut command = program();
            command.args(["run", "--instance", instance, "--pipeline"]).arg(folder);
            for setting in [
                &format!("kafka.bootstrap_servers={}", broker.plaintext),
                "lanes.count=1",
                "http.listen=127.0.0.1:0",
                "kafka.group_instance_id=twin",
                &format!("kafka.group_protocol={protocol}"),
            ] {
                command.args(["--set", setting]);
            }
            Running::spawn(folder, &mut command)
        };
        let mut older = start("a");
        let address = older.http();
        older.runs_until("the older process is ready", || get(&address, "/ready").0 == 200);
        let mut both = [older, start("b")];
        let at = until("one of them to end", || both.iter_mut().position(|one| !one.runs()), String::new);
        let (ended, log) = (both[at].wait(), both[at].log());
        assert_eq!((at, ended.code()), (which, Some(code)), "{protocol}: {log}");
        assert!(log.contains(said) && log.contains("member `twin-0`"), "{protocol}: {log}");
        assert!(both[1 - at].runs(), "{protocol}: {}", both[1 - at].log());
    }
}

#[test]
fn topics_that_match_a_pattern_are_read_also_those_that_come_later() {
    let Some(broker) = broker() else { return };
    let mut stage = Stage::new(broker);
    let file = stage.setup.folder.path().join("pipeline.toml");
    let text = fs::read_to_string(&file).expect("the pipeline");
    let named = format!("topics = [\"{}\"]", stage.topic());
    assert!(text.contains(&named), "{text}");
    let pattern = format!("topic_pattern = '{}[.](?:new|late)\\.\\d{{1,3}}'", stage.setup.id);
    fs::write(&file, text.replace(&named, &pattern)).expect("writes the pipeline");
    let name = |what: &str| format!("{}.{what}", stage.setup.id);
    let (first, later, other) = (name("new.1"), name("late.22"), name("new.x"));
    broker.create_topic(&first, i32::try_from(PARTITIONS).expect("few"));
    broker.create_topic(&other, i32::try_from(PARTITIONS).expect("few"));
    stage.produce(&first, 25);
    let refresh = "kafka.consumer.properties.\"topic.metadata.refresh.interval.ms\"=200";
    let mut running = stage.run("a", 3, &[refresh]);
    let address = running.http();
    stage.finish(&mut running);
    broker.create_topic(&later, i32::try_from(PARTITIONS).expect("few"));
    stage.produce(&later, 25);
    stage.finish(&mut running);
    let topics: BTreeSet<String> = held(&status(&address)).into_iter().map(|(topic, _)| topic).collect();
    assert!(topics.contains(&later) && !topics.contains(&other), "{topics:?}");
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}

/// The broker dies and comes back: the process goes on by itself. It dies and stays away: the process can still
/// be stopped, by its deadline or at once.
#[test]
fn a_broker_that_dies_loses_and_doubles_nothing() {
    if broker().is_none() {
        return;
    }
    let own = OwnBroker::start();
    let mut stage = Stage::new(&own.broker);
    let topic = stage.topic();
    let slow = ["epoch.interval_ms=20", "epoch.records_max=100"];
    stage.produce(&topic, 2_000);
    let mut running = stage.run("a", 1, &[&slow[..], &["shutdown.deadline_ms=2000"]].concat());
    let address = running.http();
    let before = stage.begun(&mut running, 0);
    assert!(before < stage.total());
    own.kill();
    running.runs_until("it is not ready without a broker", || get(&address, "/ready").0 == 503);
    own.restart();
    stage.finish(&mut running);
    running.runs_until("it is ready again", || get(&address, "/ready").0 == 200);
    let status = status(&address);
    assert!(status["errors_total"].as_i64() > Some(0), "{status:#}");
    assert!(status["errors"][0]["message"].is_string(), "{status:#}");
    assert_eq!(get(&address, "/live").0, 200);

    // Away for good, in the middle of an epoch.
    stage.produce(&topic, 2_000);
    let before = stage.committed();
    stage.begun(&mut running, before);
    own.kill();
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(5), "{}", running.log());
    assert!(running.log().contains("the deadline for stopping passed"), "{}", running.log());

    own.restart();
    let before = stage.committed();
    assert!(before < stage.total());
    let mut running = stage.run("a", 1, &[&slow[..], &["shutdown.deadline_ms=600000"]].concat());
    stage.begun(&mut running, before);
    own.freeze();
    running.signal("TERM");
    let log = || running.log();
    until("it says that it stops", || log().contains("A second signal stops at once").then_some(()), log);
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.code(), Some(5), "{}", running.log());

    own.thaw();
    let mut running = stage.run("a", 1, &[]);
    stage.finish(&mut running);
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{log}");
    stage.assert_exactly_once();
}
