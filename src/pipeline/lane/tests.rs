//! Rule sets that are exchanged while records come: no epoch has two, nothing is lost, nothing is double (I-1, I-8).

#[path = "tests/beside.rs"]
mod beside;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::*;
use crate::config::Config;
use crate::diagnostic::SourceFile;
use crate::pipeline::clock::SystemClock;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::{Compiled, EngineLimits};
use crate::pipeline::slot::Generation;
use crate::rules::{self, RuleLimits, RuleSet};
use crate::sink::{Ended, Output};
use crate::source::{NoEnvelope, PartitionStatus, RecordRef};

const RECORDS: i64 = 400;
const TOPICS: [&str; 2] = ["in.power", "in.rail"];
const EVENT: &[u8] = br#"{"Channel":"Security","EventID":1102,"Hostname":"h"}"#;

/// The pipeline and the rule of a set that says in all it does which one it is: in its alerts' version, in its topics, and
/// in the order of its sources.
fn texts(generation: u64) -> (String, String) {
    let mut orgs = ["power", "rail"];
    if generation.is_multiple_of(2) {
        orgs.reverse();
    }
    let of = |org: &str| {
        format!(
            "[[organisation]]\nid = \"{org}\"\nname = \"{org}\"\n[[source]]\nid = \"{org}-windows\"\norganisation = \
             \"{org}\"\ntopics = [\"in.{org}\"]\nformat = \"windows-json\"\n"
        )
    };
    let outputs = format!(
        "[alerts]\ntopic = \"alerts.{generation}.{{org_id}}\"\n[rejects]\ntopic = \"rejects.{generation}.{{org_id}}\"\n"
    );
    let text = format!("name = \"p\"\n{}{}{outputs}", of(orgs[0]), of(orgs[1]));
    let rule = format!(
        "/*---\nid: every\ntitle: Every\nversion: '{generation}'\n---*/\nSELECT Computer FROM windows_security WHERE EventID = 1102\n"
    );
    (text, rule)
}

fn compiled(generation: u64) -> Arc<Compiled> {
    let (text, rule) = texts(generation);
    let pipeline = Pipeline::from_text(&SourceFile::new("pipeline.toml", text)).expect("a pipeline");
    let loaded =
        rules::load_files(&[SourceFile::new("every.sql", rule)], &pipeline.catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let rules = Arc::new(RuleSet::new(loaded.rules));
    Arc::new(Compiled::new(Arc::new(pipeline), rules).expect("compiles"))
}

/// What a test does while the lane runs.
struct Script {
    slot: Arc<Slot>,
    sets: Vec<Arc<Compiled>>,
    /// A newer set is offered when so many records have been read, however often.
    offers: BTreeSet<u64>,
    /// These epochs are not committed.
    aborts: BTreeSet<u64>,
}

/// Two partitions with an event in each record; each seventh is none.
struct Records {
    script: Arc<Mutex<Script>>,
    topics: [Arc<str>; 2],
    next: [i64; 2],
    committed: [i64; 2],
    /// Index of the source that a topic belongs to.
    sources: [usize; 2],
    read: u64,
}

impl Source for Records {
    type Group = ();

    fn poll(
        &mut self,
        _: Duration,
        records_max: usize,
        take: &mut dyn FnMut(&RecordRef<'_>) -> ControlFlow<()>,
    ) -> Vec<Notice> {
        for _ in 0..records_max.min(20) {
            let at = usize::from(self.next[1] < self.next[0]);
            if self.next[at] >= RECORDS {
                break;
            }
            let offset = self.next[at];
            self.next[at] += 1;
            self.read += 1;
            let mut script = self.script.lock().expect("a lock");
            if script.offers.remove(&self.read) {
                let next = usize::try_from(script.slot.number()).expect("small");
                let set = Arc::clone(&script.sets[next]);
                script.slot.offer(set, "", 0);
            }
            drop(script);
            let payload: &[u8] = if offset % 7 == 6 { b"no event" } else { EVENT };
            let flow = take(&RecordRef {
                source: self.sources[at],
                slot: at,
                topic: &self.topics[at],
                partition: 0,
                offset,
                timestamp_ms: None,
                payload: Some(payload),
                envelope: &NoEnvelope,
            });
            if flow.is_break() {
                break;
            }
        }
        Vec::new()
    }

    fn assign(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn unassign(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn rewind(&mut self, _: u64, _: bool) -> Result<(), SourceError> {
        self.next = self.committed;
        Ok(())
    }

    fn audit(&mut self, _: u64) -> Result<(), SourceError> {
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn hold(&mut self, sources: &BTreeSet<usize>) -> Result<(), SourceError> {
        assert!(sources.is_empty());
        Ok(())
    }

    fn declare(&mut self, pipeline: &Arc<Pipeline>) -> Result<(), SourceError> {
        self.sources = TOPICS.map(|topic| pipeline.source_of(topic).expect("a source"));
        Ok(())
    }

    fn group(&self) -> Option<()> {
        Some(())
    }

    fn committed(&mut self, offsets: &[(Arc<str>, i32, i64)]) {
        for (topic, _, offset) in offsets {
            let at = TOPICS.iter().position(|known| *known == &**topic).expect("a topic");
            self.committed[at] = *offset;
        }
    }

    fn status(&self) -> Vec<PartitionStatus> {
        Vec::new()
    }
}

type Committed = Arc<Mutex<Vec<Vec<Output>>>>;

/// Commits what it is not told to abort.
struct Log {
    script: Arc<Mutex<Script>>,
    flight: Option<Epoch<()>>,
    /// An epoch stays in flight for so many looks.
    looks: u32,
    committed: Committed,
}

impl Sink<()> for Log {
    fn submit(&mut self, epoch: Epoch<()>) {
        assert!(self.flight.is_none());
        self.flight = Some(epoch);
        self.looks = 3;
    }

    fn ended(&mut self, _: Duration) -> Option<Ended> {
        self.looks = self.looks.saturating_sub(1);
        if self.looks > 0 {
            return None;
        }
        let Epoch { number, outputs, offsets, .. } = self.flight.take()?;
        let abort = self.script.lock().expect("a lock").aborts.contains(&number);
        let end = if abort {
            EpochEnd::Rewound("told to".into())
        } else {
            self.committed.lock().expect("a lock").push(outputs);
            EpochEnd::Committed
        };
        Some(Ended {
            number,
            end,
            offsets,
            took: Duration::ZERO,
            retries: 0,
            replaced: false,
            doubtful: false,
        })
    }
}

/// What was told of the epochs: the generation at that time, and where its alerts came from by that generation.
struct Told {
    generation: u64,
    compiled: Arc<Compiled>,
    records: u64,
    /// By generation and organisation: alerts.
    alerts: Arc<Mutex<BTreeMap<(u64, String), u64>>>,
    stop: Stop,
}

impl LaneEvents for Told {
    fn ended(&mut self, ended: &Ended, tally: &Tally, notes: &[FindingNote], _: Duration) {
        if ended.end != EpochEnd::Committed {
            return;
        }
        self.records += tally.sources.iter().map(|source| source.records).sum::<u64>();
        for ((_, source), count) in &tally.alerts {
            let org = self.compiled.pipeline.organisation_of(*source).id.to_string();
            let mut alerts = self.alerts.lock().expect("a lock");
            *alerts.entry((self.generation, org)).or_default() += count;
        }
        assert_eq!(notes.len() as u64, tally.alerts.values().sum::<u64>());
    }

    fn beat(&mut self, _: &dyn Fn() -> Vec<PartitionStatus>, _: u64) {
        // A second time would leave at once; what waits behind a full epoch is still to come.
        if self.records == 2 * RECORDS.unsigned_abs() && self.stop.asked() == 0 {
            self.stop.ask();
        }
    }

    fn adopted(&mut self, generation: &Generation) {
        assert!(generation.number > self.generation);
        self.generation = generation.number;
        self.compiled = Arc::clone(&generation.compiled);
    }
}

struct Ran {
    /// Of each epoch: the topic and position of each output.
    epochs: Vec<Vec<(String, String, i64)>>,
    /// The version that each epoch's alerts name, if it has any.
    versions: Vec<BTreeSet<String>>,
    alerts: BTreeMap<(u64, String), u64>,
}

fn lane_limits(bytes_max: u64) -> LaneLimits {
    LaneLimits {
        cycle: CycleLimits {
            interval_ms: 1,
            records_max: 50,
            bytes_max,
            pause_after_ms: 1_000,
            revoke_deadline_ms: 1_000,
            stop_deadline_ms: 60_000,
            aborts_max: 5,
        },
        poll_records_max: 20,
        reject_bytes_max: 1_000,
        notes_max: 10_000,
        flood: FloodLimits::default(),
        park: ParkLimits::default(),
    }
}

fn run(offers: &[u64], aborts: &[u64], bytes_max: u64) -> Ran {
    let sets: Vec<Arc<Compiled>> = (1..=offers.len() as u64 + 1).map(compiled).collect();
    let slot = Slot::new(Arc::clone(&sets[0]), "", 0);
    let script = Arc::new(Mutex::new(Script {
        slot: Arc::clone(&slot),
        sets: sets.clone(),
        offers: offers.iter().copied().collect(),
        aborts: aborts.iter().copied().collect(),
    }));
    let topics = TOPICS.map(Arc::from);
    let source = Records {
        script: Arc::clone(&script),
        topics,
        next: [0; 2],
        committed: [0; 2],
        sources: [0, 1],
        read: 0,
    };
    let committed = Committed::default();
    let sink = Log { script, flight: None, looks: 0, committed: Arc::clone(&committed) };
    let (stop, alerts) = (Stop::default(), Arc::default());
    let told = Told {
        generation: 1,
        compiled: Arc::clone(&sets[0]),
        records: 0,
        alerts: Arc::clone(&alerts),
        stop: stop.clone(),
    };
    let engine = Engine::new(Arc::clone(&sets[0]), EngineLimits::from(&Config::default().limits));
    let limits = lane_limits(bytes_max);
    let me = Stamp { writer: "me".into(), life: 1, epoch: 0, birth: None };
    let (exit, ..) = Lane::new((source, sink), engine, told, limits, me, SystemClock::default())
        .following(slot, 1)
        .run(&stop);
    assert_eq!(exit, Exit::Stopped);
    let (mut epochs, mut versions) = (Vec::new(), Vec::new());
    for outputs in committed.lock().expect("a lock").iter() {
        let (mut epoch, mut named) = (Vec::new(), BTreeSet::new());
        for output in outputs {
            let topic = output.topic.to_string();
            if topic.starts_with("alerts") {
                let value = output.value.as_deref().expect("a value");
                let alert: serde_json::Value = serde_json::from_slice(value).expect("JSON");
                let place = &alert["unmapped"]["noroshi"]["positions"][0];
                let from = place["topic"].as_str().expect("a topic").to_owned();
                named.insert(alert["finding_info"]["analytic"]["version"].as_str().expect("one").to_owned());
                epoch.push((topic, from, place["offset"].as_i64().expect("an offset")));
            } else {
                let header = |name: &str| {
                    let value =
                        output.headers.iter().find(|(key, _)| key == name).and_then(|(_, v)| v.clone());
                    String::from_utf8(value.expect("a value")).expect("text")
                };
                let offset = header("__connect.errors.offset").parse().expect("an offset");
                epoch.push((topic, header("__connect.errors.topic"), offset));
            }
        }
        epochs.push(epoch);
        versions.push(named);
    }
    let alerts = alerts.lock().expect("a lock").clone();
    Ran { epochs, versions, alerts }
}

#[test]
fn no_epoch_has_two_rule_sets_and_no_record_is_judged_twice_or_not_at_all() {
    let large = 64 << 20;
    for (what, offers, aborts, bytes_max, generations) in [
        ("never", &[][..], &[][..], large, 1),
        ("once, in the middle of an epoch", &[77], &[], large, 2),
        ("again and again", &[1, 60, 61, 200, 333, 500, 770], &[], large, 8),
        ("with epochs that are aborted around it", &[77, 300], &[2, 3, 7], large, 3),
        // Records wait for room in the epoch after the next: the rules that read them judge them.
        ("with epochs that have room for a few alerts", &[77, 300, 301, 555], &[], 10_000, 5),
        ("with both", &[30, 77, 300, 555], &[3, 9, 20, 40], 10_000, 5),
    ] {
        let ran = run(offers, aborts, bytes_max);
        let mut places: BTreeMap<(String, i64), u64> = BTreeMap::new();
        let mut last = 1;
        let mut used = BTreeSet::new();
        for (epoch, named) in ran.epochs.iter().zip(&ran.versions) {
            let of = |topic: &str| topic.split('.').nth(1).and_then(|n| n.parse::<u64>().ok()).expect("one");
            let sets: BTreeSet<u64> = epoch.iter().map(|(topic, ..)| of(topic)).collect();
            assert!(sets.len() <= 1, "{what}: {sets:?} in one epoch");
            let Some(set) = sets.first().copied() else { continue };
            assert!(set >= last, "{what}: {set} after {last}");
            last = set;
            used.insert(set);
            assert!(named.iter().all(|version| *version == set.to_string()), "{what}: {named:?} in {set}");
            for (topic, from, offset) in epoch {
                assert_eq!(
                    topic.rsplit('.').next(),
                    from.rsplit('.').next(),
                    "{what}: another organisation's"
                );
                assert_eq!(
                    places.insert((from.clone(), *offset), set),
                    None,
                    "{what}: {from}/{offset} twice"
                );
            }
        }
        assert_eq!(places.len(), 2 * usize::try_from(RECORDS).expect("small"), "{what}: a record is missing");
        for topic in TOPICS {
            let sets: Vec<u64> =
                places.iter().filter(|((from, _), _)| from == topic).map(|(_, set)| *set).collect();
            assert!(sets.is_sorted(), "{what}: {sets:?}");
        }
        assert_eq!(last, generations, "{what}: the newest runs in the end");
        // What was told of the epochs was told of the set that made them.
        let mut expected: BTreeMap<(u64, String), u64> = BTreeMap::new();
        for ((from, offset), set) in &places {
            if offset % 7 != 6 {
                let org = from.rsplit('.').next().expect("an organisation").to_owned();
                *expected.entry((*set, org)).or_default() += 1;
            }
        }
        assert_eq!(ran.alerts, expected, "{what}");
        assert!(
            used.len() as u64 <= generations && (offers.is_empty() || used.len() > 1),
            "{what}: {used:?}"
        );
    }
}
