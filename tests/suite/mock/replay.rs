//! Replaying on the mock cluster: what is said of a batch whose transaction fails while it is still being handed on.

use noroshi::sink::kafka::replay::{ReplayError, Replayer};
use noroshi::sink::replay::Placed;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaErrorCode as Code};

use super::cluster::{ALERTS, Cluster, REJECTS};
use super::{GROUP, TRY_FOR, WRITER, all_given, play, settings};

/// Far more than the client takes at a time, so that the answer comes in the middle.
const RECORDS: usize = 1_000;
const QUEUE: &str = "20";

fn batch() -> Vec<Placed> {
    let placed = |topic: &str| Placed {
        topic: topic.to_owned(),
        partition: Some(0),
        key: None,
        value: Some(b"again".to_vec()),
        headers: Vec::new(),
    };
    (0..RECORDS).map(|number| placed(if number % 2 == 0 { ALERTS } else { REJECTS })).collect()
}

/// (answer of the broker while the batch is sent, whether that is another replay's doing, what is said)
type Row = (Api, Code, bool, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    (Api::AddPartitionsToTxn, Code::TopicAuthorizationFailed, false, "the right Write on this topic is missing"),
    (Api::AddPartitionsToTxn, Code::TransactionalIdAuthorizationFailed, false, "Transactional Id authorization failed"),
    (Api::AddPartitionsToTxn, Code::InvalidProducerEpoch, true, "fenced by a newer instance"),
    (Api::Produce, Code::MessageSizeTooLarge, false, "max.message.bytes of the topic"),
    (Api::Produce, Code::TopicAuthorizationFailed, false, "the right Write on this topic is missing"),
];

#[test]
fn a_replay_that_fails_while_it_sends_names_the_cause() {
    play(
        ROWS,
        |(api, code, ..)| format!("{api:?} {code:?}"),
        |(api, code, fenced, words)| {
            let cluster = Cluster::start(WRITER, GROUP);
            let mut settings = settings(&cluster, TRY_FOR);
            settings.config.set("queue.buffering.max.messages", QUEUE);
            let start = || Replayer::start(&settings).map_err(|error| error.to_string());
            let replayer = start()?;
            cluster.answer(1, *api, *code, std::time::Duration::ZERO);
            let told = match (replayer.send(&batch()), fenced) {
                (Err(ReplayError::NotSent(told)), false) | (Err(ReplayError::Fenced(told)), true) => told,
                other => return Err(format!("{other:?}")),
            };
            if !told.contains(words) {
                return Err(told);
            }
            all_given(&cluster, &[(*api, &[*code])])?;
            drop(replayer);
            // The next run sends all of it.
            start()?.send(&batch()).map_err(|error| error.to_string())
        },
    );
}
