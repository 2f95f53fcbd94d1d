//! Whole lanes (source, engine, sink) on the mock cluster: the group's coordinator moves, and the group refuses.
//!
//! The mock keeps no offsets of transactions, so a lane that lost its partitions reads them again from their beginning;
//! what is asserted here is whether it goes on, or ends with which words.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use noroshi::config::Config;
use noroshi::config::broker::Property;
use noroshi::diagnostic::SourceFile;
use noroshi::pipeline::cycle::Exit;
use noroshi::pipeline::definition::Pipeline;
use noroshi::pipeline::engine::{Compiled, Tally};
use noroshi::pipeline::lane::{FindingNote, LaneEvents, Stop};
use noroshi::pipeline::service::{LaneEnd, Service};
use noroshi::pipeline::slot::Slot;
use noroshi::rules::{self, RuleLimits, RuleSet};
use noroshi::sink::{Ended, EpochEnd};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaErrorCode as Code};

use super::cluster::{ALERTS, Cluster, INPUT, REJECTS};
use super::{GROUP, PAUSE, WRITER, play};
use crate::process::WAIT_MAX;

const EVENT: &[u8] = br#"{"Channel":"Security","EventID":1102,"Hostname":"h"}"#;
const RECORDS: u64 = 50;
/// A group waits for a member that was refused, at the speed of a test.
const PROPERTIES: &[(&str, i64)] = &[("session.timeout.ms", 6_000), ("heartbeat.interval.ms", 500)];

fn compiled() -> Arc<Compiled> {
    let text = format!(
        "name = \"mock\"\n[[organisation]]\nid = \"power\"\nname = \"power\"\n[[source]]\nid = \"power-windows\"\n\
         organisation = \"power\"\ntopics = [\"{INPUT}\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n\
         [alerts]\ntopic = \"{ALERTS}\"\n[rejects]\ntopic = \"{REJECTS}\"\n"
    );
    let pipeline = Pipeline::from_text(&SourceFile::new("pipeline.toml", text)).expect("a pipeline");
    let rule =
        "/*---\nid: every\ntitle: Every\n---*/\nSELECT Computer FROM windows_security WHERE EventID = 1102\n";
    let loaded =
        rules::load_files(&[SourceFile::new("every.sql", rule)], &pipeline.catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    Arc::new(
        Compiled::new(Arc::new(pipeline), Arc::new(RuleSet::new(loaded.rules))).expect("the rule compiles"),
    )
}

/// What a lane tells.
#[derive(Debug)]
enum Note {
    Ended(EpochEnd, u64),
    Left(Vec<LaneEnd>),
}

struct Listening(Sender<Note>);

impl LaneEvents for Listening {
    fn ended(&mut self, ended: &Ended, tally: &Tally, _findings: &[FindingNote], _age: Duration) {
        let records = tally.sources.iter().map(|source| source.records).sum();
        let _ = self.0.send(Note::Ended(ended.end.clone(), records));
    }
}

/// A process with one lane.
struct Process {
    cluster: Cluster,
    stop: Stop,
    notes: Receiver<Note>,
    producer: BaseProducer,
}

impl Process {
    fn start(cluster: Cluster) -> Self {
        let mut config = Config::default();
        config.kafka.bootstrap_servers = vec![cluster.servers()];
        config.lanes.count = 1;
        config.transaction.timeout_ms = 10_000;
        // The mock does not describe topics.
        config.input.look_interval_ms = 0;
        for (name, value) in PROPERTIES {
            config.kafka.consumer.properties.insert((*name).to_owned(), Property::Integer(*value));
        }
        let slot = Slot::new(compiled(), "", 0);
        let service = Service::new(Arc::new(config), slot, "a");
        let (stop, (sender, notes)) = (Stop::default(), channel());
        let asked = stop.clone();
        std::thread::spawn(move || {
            let listening = sender.clone();
            let ends = service.run(&asked, |_, _| Listening(listening.clone())).expect("the service starts");
            let _ = sender.send(Note::Left(ends));
        });
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.servers())
            .set("linger.ms", "0")
            .create()
            .expect("a producer");
        Self { cluster, stop, notes, producer }
    }

    fn produce(&self) {
        for _ in 0..RECORDS {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(INPUT).payload(EVENT);
            self.producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        self.producer.flush(WAIT_MAX).expect("the mock takes it");
    }

    /// What comes until so many records are committed, or the process ends.
    fn until(&self, records: u64) -> Result<(), String> {
        let (mut committed, deadline) = (0, Instant::now() + WAIT_MAX);
        while committed < records {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notes.recv_timeout(left) {
                Ok(Note::Ended(EpochEnd::Committed, count)) => committed += count,
                Ok(Note::Ended(end, _)) => return Err(format!("an epoch ends with {end:?}")),
                Ok(Note::Left(ends)) => return Err(format!("it ends: {ends:?}")),
                Err(error) => return Err(format!("{committed} of {records} records: {error}")),
            }
        }
        if committed == records { Ok(()) } else { Err(format!("{committed} records, not {records}")) }
    }

    fn exit(&self) -> Result<Exit, String> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            match self.notes.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Note::Left(ends)) => {
                    return ends.into_iter().next().map(|end| end.exit).ok_or("no lane".into());
                }
                Ok(Note::Ended(..)) => {}
                Err(error) => return Err(format!("it does not end: {error}")),
            }
        }
    }
}

/// What happens to a cluster, and its name.
type Move = (&'static str, fn(&Cluster));

/// Not those of the transaction: they put the producer in doubt, and then the lane asks for offsets that the mock does
/// not keep.
const MOVES: &[Move] = &[
    ("nothing", |_| {}),
    ("the group's coordinator", |cluster| cluster.coordinate_group(GROUP, 2)),
    ("the leader of the input", |cluster| cluster.lead(INPUT, Some(2))),
    ("the group's coordinator again", |cluster| cluster.coordinate_group(GROUP, 3)),
];
/// On a machine that is so busy that a call takes a second, the producer is in doubt as well.
const BUSY: &str = "nothing is committed now";
const ATTEMPTS: usize = 5;

/// Row 5 with the real consumer: whatever moves, each record is committed once, and nothing is read twice.
#[test]
fn a_lane_follows_its_group_and_its_input() {
    for attempt in 1.. {
        match follow() {
            Err(why) if why.contains(BUSY) && attempt < ATTEMPTS => {}
            done => return done.expect("it follows"),
        }
    }
}

fn follow() -> Result<(), String> {
    let process = Process::start(Cluster::start(WRITER, GROUP));
    let cluster = &process.cluster;
    for (what, moves) in MOVES {
        let asked = cluster.requests(Api::FindCoordinator);
        moves(cluster);
        process.produce();
        process.until(RECORDS).map_err(|why| format!("{what}: {why}"))?;
        // A broker that does not lead gives no records, so those of the input's new leader prove themselves.
        let noticed = cluster.requests(Api::FindCoordinator) > asked;
        assert!(noticed || !what.contains("coordinator"), "{what}: nobody has asked for it");
    }
    process.stop.ask();
    match process.exit()? {
        Exit::Stopped => Ok(()),
        other => Err(format!("it ends with {other:?}")),
    }
}

/// (answers of the brokers while a lane starts, the words it ends with; `None`: it goes on)
type JoinRow = (Api, &'static [Code], Option<&'static str>);

#[rustfmt::skip]
const JOINS: &[JoinRow] = &[
    (Api::JoinGroup, &[Code::NotCoordinator, Code::CoordinatorNotAvailable], None),
    (Api::SyncGroup, &[Code::RebalanceInProgress], None),
    (Api::OffsetFetch, &[Code::UnstableOffsetCommit, Code::CoordinatorLoadInProgress], None),
    (Api::ListOffsets, &[Code::NotLeaderForPartition], None),
    (Api::Fetch, &[Code::NotLeaderForPartition, Code::BrokerTransportFailure], None),
    (Api::JoinGroup, &[Code::GroupAuthorizationFailed], Some("want of rights (GroupAuthorizationFailed")),
    (Api::OffsetFetch, &[Code::GroupAuthorizationFailed; 8], Some("GroupAuthorizationFailed")),
    (Api::Fetch, &[Code::TopicAuthorizationFailed], Some("want of rights (TopicAuthorizationFailed")),
];

/// Rows 5 and 16 with the real consumer: what passes is waited for, missing rights end the process.
#[test]
fn what_each_answer_to_a_lane_that_joins_leads_to() {
    play(
        JOINS,
        |(api, codes, _)| format!("{api:?} {codes:?}"),
        |(api, codes, expect)| {
            let cluster = Cluster::start(WRITER, GROUP);
            // Late, so that the answer to the next request comes with it: librdkafka then takes a partition for empty.
            let delay = if *api == Api::ListOffsets { PAUSE } else { Duration::ZERO };
            codes.iter().for_each(|code| cluster.answer(1, *api, *code, delay));
            let process = Process::start(cluster);
            process.produce();
            let given = || {
                // A lane that ends asks no more than it has to.
                let left = process.cluster.unanswered(1, *api);
                if left == 0 || expect.is_some() && left < codes.len() {
                    return Ok(());
                }
                Err(format!("{left} answers were not given"))
            };
            match expect {
                None => {
                    process.until(RECORDS)?;
                    given()?;
                    process.stop.ask();
                    let exit = process.exit()?;
                    if exit == Exit::Stopped { Ok(()) } else { Err(format!("it ends with {exit:?}")) }
                }
                Some(words) => {
                    let exit = process.exit()?;
                    given()?;
                    match &exit {
                        Exit::Failed(why) if why.contains(words) => Ok(()),
                        _ => Err(format!("it ends with {exit:?}")),
                    }
                }
            }
        },
    );
}
