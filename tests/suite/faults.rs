//! Faults in operation, on a real broker, in an order that a seed decides: through all of them each record is
//! processed or rejected once, and each alert is there once (I-1, I-2, I-3).
//!
//! `NOROSHI_FAULT_ROUNDS=200 scripts/test faults` plays more rounds than the few of every test run;
//! `NOROSHI_FAULT_SEED=17 NOROSHI_FAULT_ROUNDS=1` plays one again. The oracle is the generator: it knows of each
//! record what must become of it.

pub mod proxy;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use self::proxy::{Harm, Proxy};
use super::delivery::{PARTITIONS, Setup, identity, repository};
use super::kafka::{Broker, Record, broker};
use super::process::{Running, WAIT_MAX, program, until};
use super::stopping::SESSION;

/// Rounds of every test run.
const ROUNDS: u64 = 8;
/// Faults of a round.
const FAULTS: usize = 4;
/// Records that come before each fault, into each partition.
const RECORDS_EACH: usize = 60;
const ORGANISATIONS: [&str; 2] = ["power", "rail"];

/// What must become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Alert,
    Nothing,
    Reject,
}

type Place = (String, i64, i64);

/// Small and seeded; the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % below
    }
}

struct Process {
    instance: String,
    running: Running,
}

/// One round: its own topics and group, its processes, and what it expects.
struct Round<'b> {
    broker: &'b Broker,
    setup: Setup,
    servers: String,
    settings: Vec<String>,
    processes: Vec<Process>,
    expected: BTreeMap<Place, Fate>,
    ends: BTreeMap<(String, i64), i64>,
    sequence: usize,
    started: usize,
}

impl<'b> Round<'b> {
    fn new(broker: &'b Broker, servers: &str, protocol: &str) -> Self {
        let setup = Setup::new(broker, &repository("rules/windows/security_log_cleared.sql"), "earliest");
        let mut settings: Vec<String> = [
            "http.listen=127.0.0.1:0",
            "epoch.interval_ms=20",
            "epoch.records_max=40",
            "transaction.timeout_ms=10000",
        ]
        .map(str::to_owned)
        .into();
        match protocol {
            "classic" => {
                settings.push(SESSION.to_owned());
                settings.push("kafka.consumer.properties.heartbeat.interval.ms=500".to_owned());
            }
            protocol => settings.push(format!("kafka.group_protocol={protocol}")),
        }
        Self {
            broker,
            setup,
            servers: servers.to_owned(),
            settings,
            processes: Vec::new(),
            expected: BTreeMap::new(),
            ends: BTreeMap::new(),
            sequence: 0,
            started: 0,
        }
    }

    fn spawn(&mut self, instance: &str, crash: Option<&str>) -> Running {
        self.started += 1;
        let folder = self.setup.folder.path();
        let mut command = program();
        command.args(["run", "--instance", instance, "--pipeline"]).arg(folder);
        command.args(["--set", &format!("kafka.bootstrap_servers={}", self.servers)]);
        command.args(["--set", &format!("lanes.count={}", 1 + self.started % 2)]);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        if let Some(place) = crash {
            command.env("NOROSHI_TEST_CRASH", place);
        }
        Running::spawn(folder, &mut command)
    }

    fn start(&mut self, crash: Option<&str>) {
        let instance = format!("p{}", self.started);
        let running = self.spawn(&instance, crash);
        self.processes.push(Process { instance, running });
    }

    /// The same process again, in its place.
    fn restart(&mut self, at: usize, crash: Option<&str>) {
        let instance = self.processes[at].instance.clone();
        self.processes[at].running = self.spawn(&instance, crash);
    }

    fn produce(&mut self) {
        for org in ORGANISATIONS {
            let topic = self.setup.topic(org);
            let mut records = Vec::new();
            for number in 0..RECORDS_EACH * PARTITIONS {
                let partition = number % PARTITIONS;
                self.sequence += 1;
                let sequence = self.sequence;
                let event = |id: u32| {
                    format!(
                        r#"{{"Channel":"Security","EventID":{id},"Hostname":"{org}-{sequence}","EventTime":"2026-01-02 03:04:05"}}"#
                    )
                };
                let (fate, value) = match sequence % 10 {
                    0 => (Fate::Reject, format!("{{\"broken\": {sequence}")),
                    1..=4 => (Fate::Alert, event(1102)),
                    _ => (Fate::Nothing, event(4624)),
                };
                records.push(Record::new(i32::try_from(partition).expect("few"), value));
                let partition = i64::try_from(partition).expect("few");
                let end = self.ends.entry((topic.clone(), partition)).or_default();
                self.expected.insert((topic.clone(), partition, *end), fate);
                *end += 1;
            }
            self.broker.produce(&topic, records);
        }
    }

    fn total(&self) -> i64 {
        self.ends.values().sum()
    }

    fn committed(&self) -> i64 {
        self.setup.committed(self.broker)
    }

    /// Waits until everything is committed; a process that was fenced is started again, as a supervisor would.
    fn finish(&mut self, what: &str) {
        let deadline = Instant::now() + WAIT_MAX;
        while self.committed() < self.total() {
            self.revive(what);
            assert!(
                Instant::now() < deadline,
                "{what}: {} of {} committed after {WAIT_MAX:?}\n{}",
                self.committed(),
                self.total(),
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// SIGKILL, unless it is dead already.
    fn put_down(&mut self, at: usize) {
        let running = &mut self.processes[at].running;
        if running.runs() {
            running.signal("KILL");
        }
        running.wait();
    }

    fn revive(&mut self, what: &str) {
        for at in 0..self.processes.len() {
            if self.processes[at].running.runs() {
                continue;
            }
            let status = self.processes[at].running.wait();
            let log = self.processes[at].running.log();
            assert_eq!(status.code(), Some(4), "{what}: only a fenced process ends by itself\n{log}");
            self.restart(at, None);
        }
    }

    fn logs(&self) -> String {
        let logs = self.processes.iter().map(|process| process.running.log());
        logs.map(|log| log.lines().rev().take(15).collect::<Vec<_>>().join("\n"))
            .collect::<Vec<_>>()
            .join("\n---\n")
    }

    fn rejects(&self) -> Vec<Place> {
        let rejects = self.broker.committed_now(&self.setup.rejects);
        let header = |message: &rdkafka::message::OwnedMessage, key: &str| {
            use rdkafka::message::Headers as _;
            let found = message.headers()?.iter().find(|header| header.key == key)?;
            Some(String::from_utf8_lossy(found.value?).into_owned())
        };
        rejects
            .iter()
            .map(|message| {
                let text =
                    |key: &str| header(message, &format!("__connect.errors.{key}")).expect("a position");
                let number = |key: &str| text(key).parse::<i64>().expect("a number");
                (text("topic"), number("partition"), number("offset"))
            })
            .collect()
    }

    /// Everything once: alerts, rejects, offsets; nothing open.
    fn check(&mut self, what: &str, seen: &BTreeSet<String>) {
        let of = |fate: Fate| -> BTreeSet<Place> {
            self.expected.iter().filter(|(_, is)| **is == fate).map(|(place, _)| place.clone()).collect()
        };
        let expected = of(Fate::Alert);
        let alerts = self.broker.read_committed(&self.setup.alerts, expected.len(), WAIT_MAX);
        let (mut places, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for alert in &alerts {
            let ((_, topic, partition, offset, _), id) = identity(alert);
            assert!(
                places.insert((topic.clone(), partition, offset)),
                "{what}: {topic}/{partition}/{offset} alerts twice"
            );
            ids.insert(id);
        }
        assert_same(&format!("{what}: alerts"), &expected, &places);
        assert!(
            seen.is_subset(&ids),
            "{what}: a reader on the way saw an alert that is not there at the end"
        );
        let rejects = self.rejects();
        let rejected: BTreeSet<Place> = rejects.iter().cloned().collect();
        assert_eq!(rejects.len(), rejected.len(), "{what}: a record is rejected twice");
        assert_same(&format!("{what}: rejects"), &of(Fate::Reject), &rejected);
        for topic in [&self.setup.alerts, &self.setup.rejects] {
            let open = || (!self.broker.is_transaction_open(topic)).then_some(());
            until(&format!("{what}: no transaction to be open"), open, || self.logs());
        }
    }
}

fn assert_same(what: &str, expected: &BTreeSet<Place>, found: &BTreeSet<Place>) {
    let missing: Vec<_> = expected.difference(found).take(5).collect();
    let extra: Vec<_> = found.difference(expected).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{what}: missing {missing:?}, not expected {extra:?}");
}

/// A reader of committed alerts that looks on while faults happen.
struct Onlooker {
    seen: Arc<Mutex<BTreeSet<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Onlooker {
    fn start(broker: &Broker, topic: &str) -> Self {
        let mut config = broker.config();
        config.set("group.id", format!("{topic}.onlooker")).set("enable.auto.commit", "false");
        let reader: BaseConsumer =
            config.set("isolation.level", "read_committed").create().expect("a reader");
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        }
        reader.assign(&list).expect("assigns");
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Acquire) {
                let Some(Ok(alert)) = reader.poll(Duration::from_millis(50)) else { continue };
                let (_, id) = identity(&alert.detach());
                let fresh = into.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
                assert!(fresh, "the alert {id} was seen twice on the way");
            }
        });
        Self { seen, stop, thread: Some(thread) }
    }

    fn end(mut self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().expect("it runs").join().expect("it saw nothing twice");
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

/// The places in a transaction where a process can die.
const CRASHES: [&str; 8] = [
    "before:Begin",
    "after:Begin",
    "before:Produce",
    "after:Produce",
    "before:SendOffsets",
    "after:SendOffsets",
    "before:Commit",
    "after:Commit",
];

fn fault(round: &mut Round<'_>, random: &mut Random, proxy: Option<&Proxy>, log: &mut Vec<String>) {
    round.revive(&log.join("; "));
    let at = random.next(round.processes.len());
    let name = round.processes[at].instance.clone();
    match random.next(6) {
        0 => {
            log.push(format!("kill {name}"));
            round.put_down(at);
            round.restart(at, None);
        }
        1 => {
            let place = format!("{}:{}", CRASHES[random.next(CRASHES.len())], 1 + random.next(3));
            log.push(format!("{name} dies {place}"));
            round.put_down(at);
            round.restart(at, Some(&place));
            round.produce();
            // It dies when it gets work; when the others leave it none, it need not.
            let deadline = Instant::now() + WAIT_MAX;
            while round.processes[at].running.runs() && round.committed() < round.total() {
                assert!(Instant::now() < deadline, "{log:?}: neither dead nor done\n{}", round.logs());
                std::thread::sleep(Duration::from_millis(20));
            }
            round.put_down(at);
            round.restart(at, None);
        }
        2 => {
            log.push(format!("{name} stands still"));
            round.processes[at].running.signal("STOP");
            // Longer than its session; the others take over, if there are any.
            std::thread::sleep(Duration::from_millis(7_000));
            round.processes[at].running.signal("CONT");
        }
        3 => {
            log.push(format!("{name} stops"));
            round.processes[at].running.signal("TERM");
            let status = round.processes[at].running.wait();
            let text = round.processes[at].running.log();
            assert!(matches!(status.code(), Some(0 | 4)), "{log:?}: {status}\n{text}");
            round.restart(at, None);
        }
        4 if round.processes.len() < 3 => {
            log.push("one joins".into());
            round.start(None);
        }
        _ => match proxy {
            Some(proxy) => {
                let harms =
                    [Harm::LoseRequest, Harm::LoseAnswer, Harm::DelayAnswer(1_500), Harm::LateRequest(1_000)];
                let harm = harms[random.next(harms.len())];
                log.push(format!("{harm:?}"));
                proxy.arm(harm);
            }
            None => log.push("calm".into()),
        },
    }
}

fn play(broker: &Broker, proxy: &Proxy, seed: u64) -> String {
    let began = Instant::now();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let protocol = if random.next(3) == 0 { "consumer" } else { "classic" };
    let proxied = random.next(2) == 0;
    let servers = if proxied { proxy.address.clone() } else { broker.plaintext.clone() };
    let mut round = Round::new(broker, &servers, protocol);
    let mut log =
        vec![format!("seed {seed}, protocol {protocol}{}", if proxied { ", behind the proxy" } else { "" })];
    let onlooker = Onlooker::start(broker, &round.setup.alerts);
    for _ in 0..1 + random.next(2) {
        round.start(None);
    }
    for _ in 0..FAULTS {
        round.produce();
        if random.next(2) == 0 {
            // In the middle of work, not only at the beginning.
            let before = round.committed();
            let deadline = Instant::now() + WAIT_MAX;
            while round.committed() == before && before < round.total() && Instant::now() < deadline {
                round.revive(&log.join("; "));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        log.push(format!("{:.0} s", began.elapsed().as_secs_f64()));
        fault(&mut round, &mut random, proxied.then_some(proxy), &mut log);
    }
    log.push(format!("{:.0} s", began.elapsed().as_secs_f64()));
    let what = format!("{}; again with NOROSHI_FAULT_SEED={seed} NOROSHI_FAULT_ROUNDS=1", log.join("; "));
    round.finish(&what);
    // A fresh record passes afterwards.
    round.produce();
    round.finish(&what);
    let seen = onlooker.end();
    round.check(&what, &seen);
    for process in std::mem::take(&mut round.processes) {
        let (status, text) = process.running.terminate();
        assert!(matches!(status.code(), Some(0 | 4)), "{what}: {status}\n{text}");
        if std::env::var_os("NOROSHI_FAULT_LOGS").is_some() {
            eprintln!("--- {}\n{text}", process.instance);
        }
    }
    what
}

#[test]
fn faults_in_any_order_lose_and_double_nothing() {
    let Some(broker) = broker() else { return };
    let Some((behind, address)) = &broker.proxy else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("NOROSHI_FAULT_SEED").unwrap_or(1);
    let rounds = number("NOROSHI_FAULT_ROUNDS").unwrap_or(ROUNDS);
    let _turn = proxy::turn();
    let proxy = Proxy::start(behind, address);
    for seed in first..first + rounds {
        let began = Instant::now();
        let log = play(broker, &proxy, seed);
        eprintln!("{:.1} s: {log}", began.elapsed().as_secs_f64());
    }
    eprintln!("ends of transactions harmed: {}", proxy.done().len());
}
