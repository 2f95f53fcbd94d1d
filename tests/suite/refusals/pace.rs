//! What a topic or a slow broker does not take at once is published in smaller pieces, and nobody is rejected for it.

use super::super::delivery::{Setup, repository};
use super::super::faults::proxy::{Harm, PRODUCE, Proxy, turn};
use super::super::kafka::{Record, broker};
use super::super::process::{WAIT_MAX, get};
use super::{RULE, alerted, event, header, outputs};

/// Epochs that were aborted; those that were refused are among them.
fn aborted(address: &str) -> u64 {
    let metrics = get(address, "/metrics").1;
    let line = metrics.lines().find(|line| line.starts_with("noroshi_epochs_total{outcome=\"aborted\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("a number")
}

/// A backlog of small records for a topic that takes no batches as large as theirs. Batches are made smaller, nobody is
/// rejected, and a record that is too large by itself is still found among the others.
#[test]
fn a_topic_that_takes_small_batches_only_rejects_nobody_and_is_refused_seldom() {
    const RECORDS: usize = 5_000;
    let Some(broker) = broker() else { return };
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let alerts = format!("{}.small", setup.id);
    broker.create_topic_with(&alerts, 3, &[("max.message.bytes", "20000")]);
    outputs(&setup, &alerts, &setup.rejects.clone());
    let topic = setup.topic("power");
    let mut running = setup.run(broker, 1, &[]);
    let address = running.http();
    let refused = || aborted(&address);
    let total = |records: usize| i64::try_from(records).expect("few");
    let record = |number: usize| Record::new(0, event(number, 1_000));
    broker.produce(&topic, (0..RECORDS).map(record));
    running.runs_until("the backlog is committed", || setup.committed(broker) == total(RECORDS));
    let at_first = refused();
    // 1,000,000 bytes are halved six times.
    assert!((1..=6).contains(&at_first), "{at_first} refusals\n{}", running.log());

    // From now on it is as if the topic were any other.
    broker.produce(&topic, (RECORDS..2 * RECORDS).map(record));
    running.runs_until("the next is committed", || setup.committed(broker) == total(2 * RECORDS));
    assert_eq!(refused(), at_first, "{}", running.log());
    assert!(broker.committed_now(&setup.rejects).is_empty());

    let fat = Record::new(0, event(2 * RECORDS, 48_000));
    broker.produce(&topic, [fat].into_iter().chain((1..100).map(|number| record(2 * RECORDS + number))));
    running.runs_until("all is committed", || setup.committed(broker) == total(2 * RECORDS + 100));
    let found = broker.read_committed(&alerts, 2 * RECORDS + 99, WAIT_MAX);
    let place = (topic.clone(), 0, total(2 * RECORDS));
    let places = alerted(&found);
    assert_eq!((places.len(), places.contains(&place)), (2 * RECORDS + 99, false));
    let rejected = broker.committed_now(&setup.rejects);
    let ids: Vec<_> = rejected.iter().map(|reject| header(reject, "noroshi-reject-id")).collect();
    assert_eq!(ids, [Some(format!("{topic}/0/{}", 2 * RECORDS))]);
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// A broker that is so slow that an epoch's records are not delivered in the time that a transaction has: smaller epochs
/// are, and nobody is rejected.
#[test]
fn what_is_not_delivered_in_time_is_published_in_smaller_epochs() {
    const RECORDS: usize = 24;
    /// Of 8 s, for each request: twelve of them fit, and twenty-four do not.
    const ANSWER_MS: u64 = 400;
    let Some(broker) = broker() else { return };
    let Some((behind, address)) = &broker.proxy else { return };
    let _turn = turn();
    let proxy = Proxy::start(behind, address);
    let setup = Setup::new(broker, &repository(RULE), "earliest");
    let alerts = format!("{}.one", setup.id);
    broker.create_topic(&alerts, 1);
    outputs(&setup, &alerts, &setup.rejects.clone());
    let topic = setup.topic("power");
    broker.produce(&topic, (0..RECORDS).map(|number| Record::new(0, event(number, 2_000))));
    // More than the search can take.
    (0..2_000).for_each(|_| proxy.arm(PRODUCE, None, Harm::DelayAnswer(ANSWER_MS)));
    let settings = [
        &format!("kafka.bootstrap_servers={address}"),
        "transaction.timeout_ms=10000",
        "epoch.interval_ms=2000",
        // One alert in a request.
        "kafka.producer.properties.\"batch.size\"=1000",
    ];
    let mut running = setup.run(broker, 1, &settings);
    let http = running.http();
    let total = i64::try_from(RECORDS).expect("few");
    running.runs_until("all input is committed", || setup.committed(broker) == total);
    assert!(proxy.is_armed(), "it has not become faster");
    let aborted = aborted(&http);
    assert!((1..=3).contains(&aborted), "{aborted} epochs were aborted\n{}", running.log());
    assert!(running.log().contains("records were not delivered in time"), "{}", running.log());
    let found = broker.read_committed(&alerts, RECORDS, WAIT_MAX);
    assert_eq!((found.len(), alerted(&found).len()), (RECORDS, RECORDS));
    assert!(broker.committed_now(&setup.rejects).is_empty());
    proxy.release();
    let (status, log) = running.terminate();
    assert_eq!(status.code(), Some(0), "{log}");
}
