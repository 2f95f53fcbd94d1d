//! Rules, tables and pipelines that change while the process runs: each record is judged by one version, and none is
//! lost or judged twice (I-1, I-8).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rdkafka::message::Message as _;
use serde_json::Value;
use sha2::Digest as _;

use super::delivery::{PARTITIONS, Setup, identity};
use super::kafka::{Broker, Record, broker, unique};
use super::process::{Running, get, program, until};
use super::stopping::{HEARTBEAT, SESSION};

/// Topic, partition, offset.
type Place = (String, i64, i64);

/// A rule that finds every record; its text, and so its version, is another one for each `note`.
fn rule(id: &str, note: &str) -> String {
    format!(
        "/*---\nid: {id}\ntitle: {id}\ndescription: {note}\n---*/\n\
         SELECT Computer FROM windows_security WHERE EventID = 1102\n"
    )
}

/// The version that a rule without one of its own has: the beginning of its file's SHA-256.
fn version(text: &str) -> String {
    let mut digest = noroshi::record::hex(&sha2::Sha256::digest(text));
    digest.truncate(16);
    digest
}

/// So many records for each partition.
fn events(each: usize) -> impl Iterator<Item = Record> {
    let event = r#"{"Channel":"Security","EventID":1102,"Hostname":"h","EventTime":"2026-01-02 03:04:05"}"#;
    (0..each * PARTITIONS).map(move |n| Record::new(i32::try_from(n % PARTITIONS).expect("few"), event))
}

fn status(address: &str) -> Value {
    serde_json::from_str(&get(address, "/status").1).expect("JSON")
}

/// Waits until every lane runs this generation, and returns the status.
fn runs_generation(running: &mut Running, address: &str, number: u64) -> Value {
    running.runs_until(&format!("every lane runs generation {number}"), || {
        let status = status(address);
        status["rule_set"]["generation"] == number
            && status["lanes"].as_array().is_some_and(|l| l.iter().all(|lane| lane["generation"] == number))
    });
    status(address)
}

fn is_refused(running: &mut Running, address: &str, code: &str) {
    running.runs_until(&format!("the set is refused with {code}"), || {
        let status = status(address);
        let reload = &status["reload"];
        reload["outcome"] == "refused" && reload["problems"][0]["code"] == code
    });
    assert_eq!(get(address, "/ready").0, 200, "a refused set does not end the readiness");
}

/// By place: the version of each rule that alerted on it; fails when one alerted twice.
fn judgements(broker: &Broker, alerts: &str) -> BTreeMap<Place, BTreeMap<String, String>> {
    let mut found: BTreeMap<Place, BTreeMap<String, String>> = BTreeMap::new();
    for alert in broker.committed_now(alerts) {
        let ((rule, topic, partition, offset, _), _) = identity(&alert);
        let value: Value = serde_json::from_slice(alert.payload().expect("a value")).expect("JSON");
        let version = value["finding_info"]["analytic"]["version"].as_str().expect("a version").to_owned();
        let place = (topic, partition, offset);
        let twice = found.entry(place.clone()).or_default().insert(rule.clone(), version);
        assert_eq!(twice, None, "{rule} has judged {place:?} twice");
    }
    found
}

/// A rule set as it is put in place: the texts of `every.sql` and, perhaps, `other.sql`.
struct Set {
    every: String,
    other: Option<String>,
}

impl Set {
    fn new(every: &str, other: Option<&str>) -> Self {
        Self { every: rule("every", every), other: other.map(|note| rule("other", note)) }
    }

    /// Puts the files in place, each in one step.
    fn put(&self, folder: &Path) {
        let place = |name: &str, text: &str| {
            fs::write(folder.join("new"), text).expect("writes");
            fs::rename(folder.join("new"), folder.join(name)).expect("renames");
        };
        place("every.sql", &self.every);
        match &self.other {
            Some(text) => place("other.sql", text),
            None => drop(fs::remove_file(folder.join("other.sql"))),
        }
    }

    /// What alerts on each record: rule and version.
    fn judges(&self) -> BTreeMap<String, String> {
        let other = self.other.iter().map(|text| ("other".to_owned(), version(text)));
        other.chain([("every".to_owned(), version(&self.every))]).collect()
    }
}

/// Under load: a rule is changed, one is added, changed, taken away; a faulty set comes between; the process is killed
/// while it takes a set over. Every record is judged by exactly one of the sets, as a whole.
#[test]
fn each_record_is_judged_by_one_rule_set_through_exchanges_and_a_kill() {
    let Some(broker) = broker() else { return };
    let rules = tempfile::tempdir().expect("a folder");
    let sets = [
        Set::new("one", None),
        Set::new("two", Some("added")),
        Set::new("two", Some("changed")),
        Set::new("three", None),
        Set::new("four", Some("again")),
    ];
    sets[0].put(rules.path());
    let setup = Setup::new(broker, rules.path(), "earliest");
    let topic = setup.topic("power");
    // One lane: then each transaction's alerts lie together.
    let start = || {
        let settings = ["reload.interval_ms=100", "epoch.interval_ms=20", "epoch.records_max=200", SESSION];
        setup.run(broker, 1, &settings)
    };
    let (produced, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Ends the load also when something below fails.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        let ends = Ends(&done);
        let load = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                broker.produce(&topic, events(10));
                produced.fetch_add(10 * PARTITIONS, Ordering::AcqRel);
            }
        });
        // What is produced from now on is committed: some of it by the set that runs now.
        let progress = |running: &mut Running| {
            let now = i64::try_from(produced.load(Ordering::Acquire)).expect("few");
            running.runs_until("the load goes on", || setup.committed(broker) > now);
        };
        let mut running = start();
        let address = running.http();
        progress(&mut running);
        sets[1].put(rules.path());
        let shown = runs_generation(&mut running, &address, 2);
        assert_eq!((&shown["reload"]["outcome"], &shown["rule_set"]["rules"]), (&"loaded".into(), &2.into()));
        progress(&mut running);

        // A faulty set: the rule that is sound in it does not run either.
        Set::new("never", Some("changed")).put(rules.path());
        fs::write(rules.path().join("bad.sql"), "SELECT").expect("writes");
        is_refused(&mut running, &address, "R001");
        progress(&mut running);
        assert_eq!(status(&address)["rule_set"], shown["rule_set"]);
        let metrics = get(&address, "/metrics").1;
        assert!(metrics.contains("noroshi_reload_refused 1"), "{metrics}");
        fs::remove_file(rules.path().join("bad.sql")).expect("removes");
        sets[2].put(rules.path());
        runs_generation(&mut running, &address, 3);
        progress(&mut running);

        // Killed somewhere in the exchange.
        sets[3].put(rules.path());
        running.runs_until("the new set is offered", || {
            get(&address, "/metrics").1.contains("noroshi_reloads_total{outcome=\"loaded\"} 3")
        });
        let log = running.kill();
        assert!(log.contains("what ran before goes on") && log.contains("R001"), "{log}");
        let mut running = start();
        let address = running.http();
        progress(&mut running);
        sets[4].put(rules.path());
        runs_generation(&mut running, &address, 2);
        progress(&mut running);
        drop(ends);
        load.join().expect("the load");
        running.runs_until("all input is committed", || {
            usize::try_from(setup.committed(broker)).ok() == Some(produced.load(Ordering::Acquire))
        });
        let (ended, log) = running.terminate();
        assert_eq!(ended.code(), Some(0), "{log}");
    });

    let total = produced.load(Ordering::Acquire);
    let found = judgements(broker, &setup.alerts);
    assert_eq!(found.len(), total, "every record is judged");
    assert!(broker.committed_now(&setup.rejects).is_empty());
    let judges: Vec<BTreeMap<String, String>> = sets.iter().map(Set::judges).collect();
    for partition in 0..i64::try_from(PARTITIONS).expect("few") {
        let mut at = 0;
        let mut used = BTreeSet::new();
        for ((_, _, offset), by) in found.iter().filter(|((_, of, _), _)| *of == partition) {
            let set = judges.iter().position(|judges| judges == by);
            let set =
                set.unwrap_or_else(|| panic!("{partition}/{offset} was judged by {by:?}, which is no set"));
            assert!(set >= at, "{partition}/{offset}: set {set} after {at}");
            at = set;
            used.insert(set);
        }
        assert_eq!(at, 4, "the last set runs in the end");
        // The fourth may have been killed before its first epoch.
        assert!(used.is_superset(&[0, 1, 2, 4].into()), "partition {partition} saw only {used:?}");
    }
    assert_no_transaction_has_two(broker, &setup.alerts, &judges);
}

/// A transaction ends with a marker that takes an offset of its own. So where a partition's alerts of two sets are
/// neighbours, one transaction has both.
fn assert_no_transaction_has_two(broker: &Broker, alerts: &str, sets: &[BTreeMap<String, String>]) {
    let mut last: BTreeMap<i32, (i64, BTreeSet<usize>)> = BTreeMap::new();
    let mut neighbours = 0;
    for alert in broker.committed_now(alerts) {
        let value: Value = serde_json::from_slice(alert.payload().expect("a value")).expect("JSON");
        let analytic = &value["finding_info"]["analytic"];
        let (rule, version) = (analytic["uid"].as_str(), analytic["version"].as_str());
        // Some sets have a rule in common; what matters is that one of them has made all.
        let mut of: BTreeSet<usize> = (0..sets.len())
            .filter(|set| rule.and_then(|rule| sets[*set].get(rule)).map(String::as_str) == version)
            .collect();
        if let Some((offset, before)) = last.get(&alert.partition())
            && alert.offset() == offset + 1
        {
            of = of.intersection(before).copied().collect();
            neighbours += 1;
            assert!(!of.is_empty(), "two sets in one transaction at {}/{offset}", alert.partition());
        }
        last.insert(alert.partition(), (alert.offset(), of));
    }
    assert!(neighbours > 0, "no transaction has two alerts");
}

/// A pipeline whose organisations come and go.
struct Harbour<'b> {
    broker: &'b Broker,
    id: String,
    folder: tempfile::TempDir,
    /// Records of each topic and partition.
    produced: BTreeMap<String, usize>,
}

impl<'b> Harbour<'b> {
    fn new(broker: &'b Broker) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("rules")).expect("a folder");
        fs::write(folder.path().join("rules/every.sql"), rule("every", "")).expect("writes");
        let id = unique("reload");
        broker.create_topic(&format!("{id}.dead"), 1);
        Self { broker, id, folder, produced: BTreeMap::new() }
    }

    fn topic(&self, org: &str) -> String {
        format!("{}.in.{org}", self.id)
    }

    fn alerts(&self, org: &str) -> String {
        format!("{}.alerts.{org}", self.id)
    }

    fn create(&self, org: &str) {
        self.broker.create_topic(&self.topic(org), i32::try_from(PARTITIONS).expect("few"));
        self.broker.create_topic(&self.alerts(org), 1);
    }

    fn produce(&mut self, org: &str, each: usize) {
        let topic = self.topic(org);
        self.broker.produce(&topic, events(each));
        *self.produced.entry(org.to_owned()).or_default() += each;
    }

    /// The pipeline with these organisations, in this order.
    fn put(&self, name: &str, orgs: &[&str], start: &str) {
        let mut text = format!("name = \"{name}\"\n");
        for org in orgs {
            let topic = self.topic(org);
            let _ = write!(
                text,
                "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}-windows\"\n\
                 organisation = \"{org}\"\ntopics = [\"{topic}\"]\nformat = \"windows-json\"\n{start}"
            );
        }
        let _ = write!(
            text,
            "[alerts]\ntopic = \"{0}.alerts.{{org_id}}\"\n[rejects]\ntopic = \"{0}.dead\"\n",
            self.id
        );
        fs::write(self.folder.path().join("new"), text).expect("writes");
        let file = self.folder.path().join("pipeline.toml");
        fs::rename(self.folder.path().join("new"), file).expect("renames");
    }

    fn committed(&self, org: &str) -> usize {
        let offsets = self.broker.group_offsets(&format!("noroshi-{}", self.id), &self.topic(org));
        offsets.into_iter().map(|offset| usize::try_from(offset.unwrap_or(0)).expect("not negative")).sum()
    }

    fn total(&self, org: &str) -> usize {
        self.produced[org] * PARTITIONS
    }

    fn finish(&self, running: &mut Running, org: &str) {
        running.runs_until(&format!("all of {org} is committed"), || self.committed(org) == self.total(org));
    }

    fn assert_exactly_once(&self, org: &str) {
        let found = judgements(self.broker, &self.alerts(org));
        let places: BTreeSet<Place> = found.into_keys().collect();
        let mut expected = BTreeSet::new();
        for partition in 0..i64::try_from(PARTITIONS).expect("few") {
            let offsets = 0..i64::try_from(self.produced[org]).expect("few");
            expected.extend(offsets.map(|offset| (self.topic(org), partition, offset)));
        }
        assert!(places == expected, "{org}: {} of {} records", places.len(), expected.len());
    }
}

#[test]
fn organisations_come_and_go_without_a_restart() {
    if let Some(broker) = broker() {
        come_and_go(broker, "classic");
    }
}

#[test]
fn organisations_come_and_go_with_the_newer_group_protocol() {
    if let Some(broker) = broker() {
        come_and_go(broker, "consumer");
    }
}

/// Organisations and their topics come, go and come again, asked for by SIGHUP alone; what the broker lacks, or what
/// would need a restart, is refused and the process goes on.
fn come_and_go(broker: &Broker, protocol: &str) {
    let mut harbour = Harbour::new(broker);
    let earliest = "start = \"earliest\"\n";
    let id = harbour.id.clone();
    for org in ["power", "rail"] {
        harbour.create(org);
        harbour.produce(org, 20);
    }
    harbour.put(&id, &["power"], earliest);
    let mut command = program();
    command.args(["run", "--instance", "a", "--pipeline"]).arg(harbour.folder.path());
    for setting in [
        &format!("kafka.bootstrap_servers={}", broker.plaintext),
        "lanes.count=2",
        "http.listen=127.0.0.1:0",
        "reload.interval_ms=0",
        &format!("kafka.group_protocol={protocol}"),
    ] {
        command.args(["--set", setting]);
    }
    if protocol == "classic" {
        // The broker's business with the newer protocol.
        command.args(["--set", HEARTBEAT]);
    }
    let mut running = Running::spawn(harbour.folder.path(), &mut command);
    let address = running.http();
    harbour.finish(&mut running, "power");
    running.signal("HUP");
    running.runs_until("it says that nothing has changed", || {
        status(&address)["reload"]["outcome"] == "unchanged"
    });

    // Before the others, so that each source has another index.
    harbour.put(&id, &["rail", "power"], earliest);
    running.signal("HUP");
    runs_generation(&mut running, &address, 2);
    harbour.produce("power", 10);
    harbour.finish(&mut running, "rail");
    harbour.finish(&mut running, "power");

    for (what, name, orgs, start, code) in [
        ("a topic that is not there", id.as_str(), &["rail", "power", "sea"][..], earliest, "P009"),
        ("another name", "other", &["rail", "power"], earliest, "P008"),
    ] {
        harbour.put(name, orgs, start);
        running.signal("HUP");
        is_refused(&mut running, &address, code);
        assert!(running.runs(), "{what}");
    }
    // Who asks again is answered again, although nothing has changed.
    let told = |running: &Running| running.log().matches("The changed files are refused").count();
    let before = told(&running);
    running.signal("HUP");
    until("the refusal is told again", || (told(&running) > before).then_some(()), || running.log());
    // The topic is there now, but nobody says where to begin on it.
    harbour.create("sea");
    harbour.produce("sea", 10);
    harbour.put(&id, &["rail", "power", "sea"], "");
    running.signal("HUP");
    running.runs_until("it is refused for want of a beginning", || {
        let message = &status(&address)["reload"]["problems"][0]["message"];
        message.as_str().is_some_and(|text| text.contains("does not say where to begin"))
    });
    harbour.put(&id, &["rail", "power", "sea"], earliest);
    running.signal("HUP");
    runs_generation(&mut running, &address, 3);
    harbour.finish(&mut running, "sea");

    // Taken away: its partitions are given up, and what comes is not read.
    harbour.put(&id, &["power", "sea"], earliest);
    running.signal("HUP");
    runs_generation(&mut running, &address, 4);
    let before = harbour.committed("rail");
    harbour.produce("rail", 10);
    harbour.produce("power", 10);
    harbour.finish(&mut running, "power");
    assert_eq!(harbour.committed("rail"), before, "{protocol}");
    let lanes = status(&address)["lanes"].to_string();
    assert!(!lanes.contains(&harbour.topic("rail")), "{lanes}");

    // And again, taken away at once, and again, as fast as it goes: whatever the group has made of it meanwhile.
    let mut generation = 4;
    for orgs in [&["power", "rail", "sea"][..], &["power", "sea"], &["power", "rail", "sea"]] {
        generation += 1;
        harbour.put(&id, orgs, earliest);
        running.signal("HUP");
        runs_generation(&mut running, &address, generation);
        harbour.produce("rail", 10);
    }
    harbour.produce("sea", 10);
    for org in ["power", "rail", "sea"] {
        harbour.finish(&mut running, org);
    }
    let (ended, log) = running.terminate();
    assert_eq!(ended.code(), Some(0), "{protocol}: {log}");
    for org in ["power", "rail", "sea"] {
        harbour.assert_exactly_once(org);
    }
}
