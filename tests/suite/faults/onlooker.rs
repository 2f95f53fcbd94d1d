//! Who looks on from outside: a reader of committed records, and the group's offsets.
//!
//! Owns clients that live as long as a round, also while the broker is away; what must be seen is the round's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::delivery::PARTITIONS;
use crate::kafka::Broker;
use crate::process::until;

/// A record as a reader sees it.
type Seen = (String, i32, i64, Vec<u8>);

fn seen(message: &OwnedMessage) -> Seen {
    let value = message.payload().unwrap_or_default().to_vec();
    (message.topic().to_owned(), message.partition(), message.offset(), value)
}

/// A reader of committed records that looks on while faults happen.
pub struct Onlooker {
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Onlooker {
    /// Reads these topics, each with so many partitions, from their beginning.
    pub fn start(broker: &Broker, topics: &[(&str, i32)]) -> Self {
        let mut config = broker.config();
        config.set("group.id", format!("{}.onlooker", topics[0].0)).set("enable.auto.commit", "false");
        let reader: BaseConsumer =
            config.set("isolation.level", "read_committed").create().expect("a reader");
        let mut list = TopicPartitionList::new();
        for (topic, partitions) in topics {
            for partition in 0..*partitions {
                list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
            }
        }
        reader.assign(&list).expect("assigns");
        let all = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&all), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Acquire) {
                // Errors are outages that pass.
                let Some(Ok(message)) = reader.poll(Duration::from_millis(50)) else { continue };
                into.lock().unwrap_or_else(PoisonError::into_inner).push(seen(&message.detach()));
            }
        });
        Self { seen: all, stop, thread: Some(thread) }
    }

    /// Fails unless it has seen, record for record, what a reader at the end sees; of topics that were deleted meanwhile
    /// nobody can say.
    pub fn agrees(&self, what: &str, deleted: &BTreeSet<String>, at_the_end: &[OwnedMessage]) {
        let lasting = || {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
            seen.retain(|(topic, ..)| !deleted.contains(topic));
            seen
        };
        let count = || lasting().len();
        let as_many = || (count() >= at_the_end.len()).then_some(());
        until(&format!("{what}: the reader on the way to see {} records", at_the_end.len()), as_many, || {
            format!("it has seen {}", count())
        });
        let mut on_the_way = lasting();
        let mut at_the_end: Vec<Seen> = at_the_end.iter().map(seen).collect();
        on_the_way.sort();
        at_the_end.sort();
        let differs = on_the_way.iter().zip(&at_the_end).position(|(a, b)| a != b);
        let place = |list: &[Seen], at: usize| list.get(at).map(|(t, p, o, _)| format!("{t}/{p}/{o}"));
        let at = differs.unwrap_or(at_the_end.len());
        assert!(
            differs.is_none() && on_the_way.len() == at_the_end.len(),
            "{what}: the reader on the way saw {:?} where one at the end sees {:?}",
            place(&on_the_way, at),
            place(&at_the_end, at)
        );
    }
}

impl Drop for Onlooker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The group's offsets, asked without being a member.
pub struct Ledger {
    reader: BaseConsumer,
    wanted: TopicPartitionList,
}

impl Ledger {
    /// Of these topics.
    pub fn new(broker: &Broker, group: &str, topics: &[String]) -> Self {
        let mut config = broker.config();
        // Else it would wait for transactions that are open.
        config.set("isolation.level", "read_uncommitted");
        config.set("group.id", group).set("enable.auto.commit", "false");
        let mut wanted = TopicPartitionList::new();
        for topic in topics {
            for partition in 0..PARTITIONS {
                wanted.add_partition(topic, i32::try_from(partition).expect("few"));
            }
        }
        Self { reader: config.create().expect("a reader"), wanted }
    }

    /// What is committed; `None` while the broker does not say.
    pub fn committed(&self) -> Option<BTreeMap<(String, i64), i64>> {
        let found = self.reader.committed_offsets(self.wanted.clone(), Duration::from_secs(5)).ok()?;
        let mut committed = BTreeMap::new();
        for element in found.elements() {
            element.error().ok()?;
            if let Offset::Offset(offset) = element.offset() {
                committed.insert((element.topic().to_owned(), i64::from(element.partition())), offset);
            }
        }
        Some(committed)
    }
}
