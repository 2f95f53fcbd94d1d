//! Brokers whose answer the client does not get done with: no partition of theirs is read meanwhile.
//!
//! Owns how that shows in librdkafka's statistics. One thread of the client takes apart all answers of a broker; a batch
//! that unpacks to gigabytes keeps it busy for as long as that takes, and one of gzip that unpacks to more than 4 GiB for
//! ever (librdkafka counts the bytes in 32 bits). Called by the consumer's context at each statistics.

use rdkafka::Statistics;

/// A client that fetches sends something ten times a second; one that has sent nothing for so long does not fetch.
/// In microseconds.
const SILENT_US: i64 = 30_000_000;

/// What is said of partitions behind such an answer.
pub(super) const WHY: &str = "the client has been busy with one answer of this partition's broker for more than 30 s: \
                              most likely a compressed batch, in one of the partitions that stand still, unpacks to \
                              gigabytes";

/// The partitions that are fetched from such brokers: topic and partition. Those of a broker that is not answering are not
/// among them, nor is a broker of which something fetched still waits to be read. Partitions that are paused look the
/// same; which ones are is the caller's to know.
pub(super) fn stuck(statistics: &Statistics) -> Vec<(String, i32)> {
    let silent = statistics.brokers.values().filter(|broker| {
        let waits = broker.waitresp_cnt > 0 || broker.outbuf_cnt > 0;
        broker.nodeid >= 0 && broker.state == "UP" && !waits && broker.txidle.min(broker.rxidle) > SILENT_US
    });
    let mut stuck = Vec::new();
    for broker in silent {
        let of_it = statistics.topics.iter().flat_map(|(topic, found)| {
            let active = found.partitions.values();
            let active =
                active.filter(|found| found.broker == broker.nodeid && found.fetch_state == "active");
            active.map(move |found| (topic, found))
        });
        let of_it: Vec<_> = of_it.collect();
        if of_it.iter().all(|(_, found)| found.fetchq_cnt == 0) {
            stuck.extend(of_it.into_iter().map(|(topic, found)| (topic.clone(), found.partition)));
        }
    }
    stuck.sort();
    stuck
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, Partition, Topic};

    use super::*;

    #[test]
    fn a_broker_is_stuck_when_it_is_up_and_nothing_is_asked_of_it_any_more() {
        let up = || Broker {
            nodeid: 1,
            state: "UP".into(),
            txidle: SILENT_US + 1,
            rxidle: SILENT_US + 2,
            ..Broker::default()
        };
        let partition = |waiting| Partition {
            partition: 3,
            broker: 1,
            fetch_state: "active".into(),
            fetchq_cnt: waiting,
            ..Partition::default()
        };
        for (what, broker, partition, expect) in [
            ("stuck", up(), partition(0), true),
            ("it has sent something", Broker { txidle: SILENT_US, ..up() }, partition(0), false),
            ("it has got something", Broker { rxidle: 5, ..up() }, partition(0), false),
            ("it waits for the broker", Broker { waitresp_cnt: 1, ..up() }, partition(0), false),
            ("the broker is gone", Broker { state: "DOWN".into(), ..up() }, partition(0), false),
            ("the coordinator's own connection", Broker { nodeid: -1, ..up() }, partition(0), false),
            ("the lane is slow", up(), partition(7), false),
            ("another broker's", up(), Partition { broker: 2, ..partition(0) }, false),
            ("not ours", up(), Partition { fetch_state: "none".into(), ..partition(0) }, false),
        ] {
            let mut statistics = Statistics::default();
            statistics.brokers.insert("b".into(), broker);
            let mut topic = Topic::default();
            topic.partitions.insert(3, partition);
            statistics.topics.insert("in".into(), topic);
            let found = stuck(&statistics);
            assert_eq!(found, if expect { vec![("in".to_owned(), 3)] } else { vec![] }, "{what}");
        }
    }
}
