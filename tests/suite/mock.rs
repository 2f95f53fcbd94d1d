//! What the real producer does at each answer that a broker can give (librdkafka's "Transactional producer API"), on
//! librdkafka's mock cluster.
//!
//! Each row is played between two epochs that commit: the first before it, the last after it, on the same sink, or on
//! a new one where the row ends the process. An answer that was not asked for fails its row. What the mock does not
//! have (offsets of transactions, readers) is left to the tests on a real broker and to the simulation.

mod cluster;
mod lane;
mod replay;
mod rows;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use noroshi::config::Config;
use noroshi::config::kafka::{self, STATISTICS_INTERVAL_MS, TokenSource};
use noroshi::sink::kafka::{KafkaSink, ProducerSettings};
use noroshi::sink::{Ended, Epoch, EpochEnd, Output, Sink};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaErrorCode as Code};

use self::cluster::{ALERTS, Cluster, INPUT};
use self::rows::ROWS;
use super::process::WAIT_MAX;

const WRITER: &str = "noroshi-mock-a-0";
const GROUP: &str = "noroshi-mock";
/// Rows that are played at a time; each mostly waits.
const ROWS_AT_A_TIME: usize = 16;
/// How long a transaction is tried, and how long a new producer may take.
const TRY_FOR: Duration = Duration::from_secs(6);
/// The client gives up waiting for an answer after this time.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than an answer that is not slow takes, shorter than the client's patience.
const SLOW: Duration = Duration::from_millis(1_200);
/// Longer than the client waits for an answer; it looks once a second.
const LOST: Duration = Duration::from_millis(3_500);
/// Long enough for something to be done before the answer is there.
const PAUSE: Duration = Duration::from_millis(400);
/// The statistics of the last request are there after this time.
const STATISTICS: Duration = Duration::from_millis(3 * STATISTICS_INTERVAL_MS as u64);

/// How the epoch ends that meets a row's answers; the reason names the error.
#[derive(Debug, Clone, Copy)]
enum End {
    Committed,
    Rewound(Code),
    Unknown(Code),
    Fenced,
    /// The brokers do not take a record, or its topic.
    Refused(Code),
    Failed(Code),
    /// The lane goes on: which of its ways is a matter of moments.
    Ends,
}
use End::{Committed, Failed, Fenced, Refused, Rewound, Unknown};

/// When a new producer takes the old one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum New {
    /// Not for this.
    No,
    /// To end the epoch.
    Now,
    /// Before the next epoch: a request may have been sent twice.
    Next,
    /// Perhaps before the next epoch: a request that moves nothing was sent again, which is counted with the others.
    Perhaps,
    /// A matter of moments.
    Whenever,
    /// Does not matter: the process ends.
    Never,
}

fn settings(cluster: &Cluster, try_for: Duration) -> ProducerSettings {
    let mut config = Config::default();
    config.kafka.bootstrap_servers = vec![cluster.servers()];
    config.transaction.timeout_ms = 10_000;
    let mut client = kafka::producer(&config, WRITER).expect("settings");
    for property in ["socket.timeout.ms", "request.timeout.ms"] {
        client.set(property, SOCKET_TIMEOUT.as_millis().to_string());
    }
    ProducerSettings {
        config: client,
        instance: "a".into(),
        token: TokenSource::new(&config),
        try_for,
        replace_for: try_for,
    }
}

/// A cluster and the sink under test.
struct Stage {
    cluster: Cluster,
    sink: KafkaSink,
    group: BaseConsumer,
    epochs: u64,
}

impl Stage {
    /// With one epoch that has committed.
    fn new() -> Self {
        let cluster = Cluster::start(WRITER, GROUP);
        let sink = KafkaSink::start(settings(&cluster, TRY_FOR), "sink").expect("the sink starts");
        Self::with(cluster, sink)
    }

    fn with(cluster: Cluster, sink: KafkaSink) -> Self {
        // It never joins: what is needed is the group's name.
        let group = ClientConfig::new()
            .set("bootstrap.servers", cluster.servers())
            .set("group.id", GROUP)
            .create()
            .expect("a consumer");
        let mut stage = Self { cluster, sink, group, epochs: 0 };
        let first = stage.epoch().expect("the first epoch ends");
        assert_eq!(first.end, EpochEnd::Committed);
        stage
    }

    fn submit(&mut self) {
        self.epochs += 1;
        let output = Output {
            topic: ALERTS.into(),
            key: None,
            value: Some(b"alert".to_vec()),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        let group: Option<ConsumerGroupMetadata> = self.group.group_metadata();
        let offsets = vec![(INPUT.into(), 0, i64::try_from(self.epochs).expect("few"))];
        let number = self.epochs;
        self.sink.submit(Epoch {
            number,
            outputs: vec![output],
            offsets,
            stamps: vec!["stamp".into()],
            group,
            apart: false,
            batches_halved: 0,
        });
    }

    fn ended(&mut self) -> Result<Ended, String> {
        let ended = self.sink.ended(WAIT_MAX).ok_or("the epoch does not end")?;
        assert_eq!(ended.number, self.epochs, "{:?}", ended.end);
        Ok(ended)
    }

    fn epoch(&mut self) -> Result<Ended, String> {
        self.submit();
        self.ended()
    }

    /// The epoch after a row must commit, with a new producer where the row asks for one. After an end of the process
    /// the sink is a new one, as after its restart.
    fn recovers(mut self, new: New) -> Result<(), String> {
        if new == New::Never {
            self.sink.close(TRY_FOR);
            // With so much time it also outlasts what is left of answers that are lost.
            self.sink = KafkaSink::start(settings(&self.cluster, 5 * TRY_FOR), "sink")
                .map_err(|error| format!("a restart fails: {error}"))?;
        } else {
            // What the client has retried by itself shows in its statistics alone.
            assert!(self.sink.ended(STATISTICS).is_none(), "nothing is under way");
        }
        let last = self.epoch()?;
        self.sink.close(TRY_FOR);
        if last.end != EpochEnd::Committed {
            return Err(format!("the next epoch ends with {:?}", last.end));
        }
        match (last.replaced, new) {
            (true, New::Next) | (false, New::No | New::Never) => Ok(()),
            // What befell the new one on its way may have made it doubtful in turn.
            (_, New::Perhaps | New::Whenever | New::Now) => Ok(()),
            (replaced, _) => {
                Err(format!("the next epoch has replaced the producer: {replaced}, not {new:?}"))
            }
        }
    }
}

fn same(end: &EpochEnd, expect: End) -> bool {
    match (end, expect) {
        (EpochEnd::Committed, Committed | End::Ends) => true,
        (EpochEnd::Rewound(_) | EpochEnd::Unknown(_), End::Ends) => true,
        (EpochEnd::Rewound(why), Rewound(code))
        | (EpochEnd::Unknown(why), Unknown(code))
        | (EpochEnd::Failed(why), Failed(code)) => names(why, code),
        (EpochEnd::Refused(refusal), Refused(code)) => names(&refusal.why, code),
        (EpochEnd::Fenced(why), Fenced) => why.contains("another process uses the instance name `a`"),
        _ => false,
    }
}

/// Whether a reason holds librdkafka's description of an error, and what it is about where rights are missing.
fn names(why: &str, code: Code) -> bool {
    let shown = code.to_string();
    let (_, description) = shown.split_once(" (").expect("a name and a description");
    let about = match code {
        Code::TopicAuthorizationFailed => why.contains(ALERTS) || why.contains(INPUT),
        Code::TransactionalIdAuthorizationFailed => why.contains(WRITER),
        // Said by the call, not by a broker.
        Code::OperationTimedOut if why.contains("Timed out") => return true,
        _ => true,
    };
    about && why.contains(description.trim_end_matches(')'))
}

fn check(ended: &Ended, expect: End, new: New) -> Result<(), String> {
    if !same(&ended.end, expect) {
        return Err(format!("ends with {:?}", ended.end));
    }
    match (ended.replaced, new) {
        (_, New::Never | New::Whenever) | (true, New::Now) | (false, New::No | New::Next | New::Perhaps) => {
            Ok(())
        }
        (replaced, _) => Err(format!("has replaced the producer: {replaced}, not {new:?}")),
    }
}

/// Plays rows, some at a time, and tells of all that went wrong.
fn play<R: Sync>(
    rows: &[R],
    name: impl Fn(&R) -> String + Sync,
    row: impl Fn(&R) -> Result<(), String> + Sync,
) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..ROWS_AT_A_TIME {
            scope.spawn(|| {
                while let Some(now) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = row(now) {
                        wrong.lock().expect("no panic").push(format!("{}: {why}", name(now)));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// All scripted answers were given.
fn all_given(cluster: &Cluster, answers: &[(Api, &[Code])]) -> Result<(), String> {
    for (api, _) in answers {
        let left = cluster.unanswered(1, *api);
        if left > 0 {
            return Err(format!("{left} answers to {api:?} were not given"));
        }
    }
    Ok(())
}

/// (answers, what the start says; when it succeeds, whether there is a new producer before the second epoch)
type StartRow = (Api, &'static [Code], Result<New, (bool, &'static str)>);

#[rustfmt::skip]
const STARTS: &[StartRow] = &[
    // Tried again by the client until they pass.
    (Api::FindCoordinator, &[Code::CoordinatorNotAvailable, Code::CoordinatorNotAvailable], Ok(New::Perhaps)),
    (Api::FindCoordinator, &[Code::CoordinatorLoadInProgress], Ok(New::Perhaps)),
    (Api::InitProducerId, &[Code::NotCoordinator, Code::CoordinatorNotAvailable], Ok(New::Perhaps)),
    (Api::InitProducerId, &[Code::CoordinatorLoadInProgress, Code::CoordinatorLoadInProgress], Ok(New::No)),
    (Api::InitProducerId, &[Code::ConcurrentTransactions, Code::ConcurrentTransactions], Ok(New::No)),
    (Api::InitProducerId, &[Code::BrokerTransportFailure], Ok(New::Next)),
    (Api::InitProducerId, &[Code::RequestTimedOut], Ok(New::No)),
    (Api::InitProducerId, &[Code::Unknown], Ok(New::No)),
    // The process ends: somebody else has the name,
    (Api::InitProducerId, &[Code::ProducerFenced], Err((true, "another process uses the instance name `a`"))),
    (Api::InitProducerId, &[Code::InvalidProducerEpoch], Err((true, "another process uses the instance name `a`"))),
    // or has not the rights, or asks for too much.
    (Api::FindCoordinator, &[Code::TransactionalIdAuthorizationFailed], Err((false, "ransactional Id authorization failed"))),
    (Api::InitProducerId, &[Code::TransactionalIdAuthorizationFailed], Err((false, "ransactional Id authorization failed"))),
    (Api::InitProducerId, &[Code::ClusterAuthorizationFailed], Err((false, "luster authorization failed"))),
    (Api::InitProducerId, &[Code::InvalidTransactionTimeout], Err((false, "max.transaction.timeout.ms"))),
];

/// Rows 5, 8 and 16: what a producer is told when it begins its life.
#[test]
fn what_each_answer_to_a_new_producer_leads_to() {
    play(
        STARTS,
        |(api, codes, _)| format!("{api:?} {codes:?}"),
        |(api, codes, expect)| {
            let cluster = Cluster::start(WRITER, GROUP);
            for code in *codes {
                // Any broker may be asked who coordinates.
                let brokers = if *api == Api::FindCoordinator { 1..=cluster::BROKERS } else { 1..=1 };
                brokers.for_each(|broker| cluster.answer(broker, *api, *code, Duration::ZERO));
            }
            let started = KafkaSink::start(settings(&cluster, TRY_FOR), "sink");
            let given = if *api == Api::FindCoordinator {
                (1..=cluster::BROKERS).any(|broker| cluster.unanswered(broker, *api) < codes.len())
            } else {
                cluster.unanswered(1, *api) == 0
            };
            if !given {
                return Err("the answers were not given".into());
            }
            match (started, expect) {
                (Ok(sink), Ok(new)) => Stage::with(cluster, sink).recovers(*new),
                (Err(error), Err((fenced, words)))
                    if error.fenced == *fenced && error.to_string().contains(words) =>
                {
                    Ok(())
                }
                (Ok(_), Err(_)) => Err("it starts".into()),
                (Err(error), _) => Err(format!("{error} (fenced: {})", error.fenced)),
            }
        },
    );
}

/// Rows 5, 8 and 16: each answer to each request of a transaction.
#[test]
fn what_each_answer_within_a_transaction_leads_to() {
    play(
        ROWS,
        |(answers, _, _)| format!("{answers:?}"),
        |(answers, end, new)| {
            let mut stage = Stage::new();
            for (api, codes) in *answers {
                codes.iter().for_each(|code| stage.cluster.answer(1, *api, *code, Duration::ZERO));
            }
            let ended = stage.epoch()?;
            all_given(&stage.cluster, answers)?;
            check(&ended, *end, *new)?;
            stage.recovers(*new)
        },
    );
}

/// (request, how late its answers are, how the epoch ends, whether the producer is replaced)
type LateRow = (Api, &'static [Duration], End, New);

#[rustfmt::skip]
const LATE: &[LateRow] = &[
    // Slow is suspicious where the transaction is moved: the client may have asked twice.
    (Api::Produce, &[SLOW], Committed, New::No),
    (Api::AddPartitionsToTxn, &[SLOW], Committed, New::No),
    (Api::AddOffsetsToTxn, &[SLOW], Committed, New::Next),
    (Api::TxnOffsetCommit, &[SLOW], Committed, New::Next),
    (Api::EndTxn, &[SLOW], Committed, New::Next),
    // An answer that comes too late is lost; the client asks again, and the copy may still be under way.
    (Api::Produce, &[LOST], Committed, New::Next),
    (Api::AddPartitionsToTxn, &[LOST], Committed, New::Next),
    (Api::AddOffsetsToTxn, &[LOST], Committed, New::Next),
    (Api::TxnOffsetCommit, &[LOST], Committed, New::Next),
    (Api::EndTxn, &[LOST], Committed, New::Next),
    // Until the time is over: of offsets nothing is visible, of a commit nothing is known.
    (Api::AddOffsetsToTxn, &[LOST; 4], Rewound(Code::OperationTimedOut), New::Next),
    (Api::EndTxn, &[LOST; 4], Unknown(Code::OperationTimedOut), New::Now),
];

/// Row 6, as far as the mock has it: answers that are late or lost.
#[test]
fn answers_that_are_late_or_lost_cost_the_producer() {
    play(
        LATE,
        |(api, delays, _, _)| format!("{api:?} {delays:?}"),
        |(api, delays, end, new)| {
            let mut stage = Stage::new();
            delays.iter().for_each(|delay| stage.cluster.answer(1, *api, Code::NoError, *delay));
            let ended = stage.epoch()?;
            // How often is asked until the time is over is the client's affair: twice at least.
            let given = delays.len() - stage.cluster.unanswered(1, *api);
            if given < delays.len().min(2) {
                return Err(format!("{given} of {} answers were given", delays.len()));
            }
            check(&ended, *end, *new)?;
            stage.recovers(if delays.len() > 1 { New::Never } else { *new })
        },
    );
}

/// What happens to the cluster while a request is being answered, and what undoes it.
struct Event {
    what: &'static str,
    /// It happens when this has been asked, and before it is answered; `None`: before the epoch.
    during: Option<Api>,
    happens: fn(&Cluster),
    /// Some time later, unless the epoch has ended by then.
    undone: Option<fn(&Cluster)>,
    /// So many requests of a kind show that it was noticed.
    noticed: (Api, usize),
    end: End,
    new: New,
}

fn transaction_to_2(cluster: &Cluster) {
    cluster.coordinate_transaction(WRITER, 2);
}

fn group_to_2(cluster: &Cluster) {
    cluster.coordinate_group(GROUP, 2);
}

fn leader_to_2(cluster: &Cluster) {
    cluster.lead(ALERTS, Some(2));
}

#[rustfmt::skip]
const EVENTS: &[Event] = &[
    // Row 5.
    Event { what: "the transaction's coordinator moves before", during: None, happens: transaction_to_2, undone: None, noticed: (Api::FindCoordinator, 1), end: Committed, new: New::Perhaps },
    Event { what: "… while records are published", during: Some(Api::Produce), happens: transaction_to_2, undone: None, noticed: (Api::FindCoordinator, 1), end: Committed, new: New::Next },
    Event { what: "… while offsets are added", during: Some(Api::TxnOffsetCommit), happens: transaction_to_2, undone: None, noticed: (Api::FindCoordinator, 1), end: Committed, new: New::Next },
    Event { what: "the group's coordinator moves before", during: None, happens: group_to_2, undone: None, noticed: (Api::FindCoordinator, 1), end: Committed, new: New::No },
    Event { what: "… while offsets are added", during: Some(Api::AddOffsetsToTxn), happens: group_to_2, undone: None, noticed: (Api::FindCoordinator, 1), end: Committed, new: New::No },
    Event { what: "the leader of the alerts moves before", during: None, happens: leader_to_2, undone: None, noticed: (Api::Produce, 2), end: Committed, new: New::No },
    Event { what: "… while partitions are added", during: Some(Api::AddPartitionsToTxn), happens: leader_to_2, undone: None, noticed: (Api::Metadata, 1), end: Committed, new: New::No },
    Event { what: "the alerts have a leader that is away for a while", during: None, happens: |cluster| { cluster.down(3); cluster.lead(ALERTS, Some(3)); }, undone: Some(|cluster| cluster.up(3)), noticed: (Api::Metadata, 1), end: Committed, new: New::Perhaps },
    // Row 4. Where the connection breaks while offsets are added, librdkafka may wait for ever: then the sink starts over.
    Event { what: "the broker goes and comes back before", during: None, happens: |cluster| { cluster.down(1); cluster.up(1); }, undone: None, noticed: (Api::ApiVersion, 1), end: End::Ends, new: New::Whenever },
    Event { what: "the broker is away while records are published", during: Some(Api::Produce), happens: |cluster| cluster.down(1), undone: Some(|cluster| cluster.up(1)), noticed: (Api::ApiVersion, 1), end: End::Ends, new: New::Whenever },
    Event { what: "… while offsets are added", during: Some(Api::AddOffsetsToTxn), happens: |cluster| cluster.down(1), undone: Some(|cluster| cluster.up(1)), noticed: (Api::ApiVersion, 1), end: End::Ends, new: New::Whenever },
    Event { what: "… while it commits", during: Some(Api::EndTxn), happens: |cluster| cluster.down(1), undone: Some(|cluster| cluster.up(1)), noticed: (Api::ApiVersion, 1), end: End::Ends, new: New::Whenever },
    Event { what: "all brokers stay away", during: Some(Api::EndTxn), happens: |cluster| cluster.down(-1), undone: None, noticed: (Api::EndTxn, 1), end: Failed(Code::OperationTimedOut), new: New::Never },
    // Row 17.
    Event { what: "the brokers are slow", during: None, happens: |cluster| cluster.slow(-1, Duration::from_millis(300)), undone: None, noticed: (Api::EndTxn, 1), end: Committed, new: New::No },
    // Row 16.
    Event { what: "the alerts' topic may not be seen any more", during: None, happens: |cluster| cluster.refuse_topic(ALERTS, rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), undone: None, noticed: (Api::AddPartitionsToTxn, 1), end: Refused(Code::TopicAuthorizationFailed), new: New::Now },
];

/// Rows 4, 5, 16 and 17: brokers come and go, coordinators and leaders move.
#[test]
fn what_happens_to_the_cluster_costs_no_epoch() {
    play(EVENTS, |event| event.what.to_owned() + &format!(" ({:?})", event.during), happen);
}

fn happen(event: &Event) -> Result<(), String> {
    let mut stage = Stage::new();
    let (api, count) = event.noticed;
    let before = stage.cluster.requests(api);
    if let Some(api) = event.during {
        let before = stage.cluster.requests(api);
        stage.cluster.answer(1, api, Code::NoError, PAUSE);
        stage.submit();
        let deadline = Instant::now() + WAIT_MAX;
        while stage.cluster.requests(api) == before {
            assert!(Instant::now() < deadline, "{}: {api:?} is never asked", event.what);
            std::thread::yield_now();
        }
        (event.happens)(&stage.cluster);
    } else {
        (event.happens)(&stage.cluster);
        stage.submit();
    }
    let early = match event.undone {
        Some(undo) => {
            let early = stage.sink.ended(Duration::from_secs(1));
            undo(&stage.cluster);
            early
        }
        None => None,
    };
    let ended = early.map_or_else(|| stage.ended(), Ok)?;
    if stage.cluster.requests(api) < before + count {
        return Err(format!("it was not noticed: {:?} was not asked {count} times", api));
    }
    check(&ended, event.end, event.new)?;
    // What was not undone is undone now.
    stage.cluster.up(-1);
    stage.cluster.refuse_topic(ALERTS, rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
    stage.recovers(event.new)
}
