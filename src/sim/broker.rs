//! The broker: input logs, output logs with transactions, the transaction coordinator.
//!
//! Owns what Kafka promises and what it does not: producer epochs fence, an aborted record is never visible, readers
//! stop at the last stable offset; but a request that arrives late is taken for what it says, so the end of one
//! transaction can end a later one of the same producer epoch. Requests in, answers out; no time of its own, no
//! chance. Which request arrives when is `world`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::Millis;
use super::group::{Group, GroupId, Refusal, Tp};
use super::plan::Refused;
use super::workload::is_fat;
use crate::sink::Output;

/// A producer's identity.
pub(super) type Holder = (u64, u32);

/// A record of an input topic.
#[derive(Debug, Clone)]
pub(super) struct InputRecord {
    pub(super) offset: i64,
    pub(super) value: Option<Rc<[u8]>>,
}

/// A partition of an input topic. Offsets have gaps, as control records make them.
#[derive(Debug, Default)]
pub(super) struct InputLog {
    pub(super) records: Vec<InputRecord>,
    pub(super) end: i64,
}

#[derive(Debug)]
enum Entry {
    Data { producer: u64, output: Rc<Output> },
    Marker { producer: u64, commit: bool },
}

#[derive(Debug, Default)]
struct Appending {
    epoch: u32,
    next: u64,
    open_since: Option<usize>,
}

/// An output topic of one partition.
#[derive(Debug, Default)]
pub(super) struct OutputLog {
    entries: Vec<Entry>,
    producers: BTreeMap<u64, Appending>,
}

impl OutputLog {
    /// The last stable offset: nothing from here on is decided.
    pub(super) fn stable(&self) -> usize {
        self.producers.values().filter_map(|p| p.open_since).min().unwrap_or(self.entries.len())
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What a read-committed reader sees from `from` on.
    pub(super) fn visible(&self, from: usize) -> Vec<Rc<Output>> {
        let stable = self.stable();
        let mut decided: BTreeMap<u64, bool> = BTreeMap::new();
        let mut seen = Vec::new();
        for (at, entry) in self.entries.iter().enumerate().rev() {
            match entry {
                Entry::Marker { producer, commit } => {
                    decided.insert(*producer, *commit);
                }
                Entry::Data { producer, output } => {
                    if (from..stable).contains(&at) && decided.get(producer) == Some(&true) {
                        seen.push(Rc::clone(output));
                    }
                }
            }
        }
        seen.reverse();
        seen
    }
}

/// Where a marker goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    Topic(Arc<str>),
    Offsets,
}

/// The end of a transaction, on its way to a partition.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) id: String,
    pub(super) target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TxnState {
    Empty,
    Ongoing { since: Millis },
    Ending { commit: bool },
    Ended { commit: bool },
}

#[derive(Debug)]
struct Txn {
    producer: u64,
    epoch: u32,
    state: TxnState,
    targets: BTreeSet<Target>,
}

/// A request of a producer, or a consumer's commit.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Init { id: String, holder: Option<Holder> },
    AddTopic { id: String, holder: Holder, topic: Arc<str> },
    AddOffsets { id: String, holder: Holder },
    Produce { id: String, holder: Holder, topic: Arc<str>, from: u64, outputs: Rc<Vec<Rc<Output>>> },
    TxnOffsets { id: String, holder: Holder, who: GroupId, offsets: Vec<(Tp, i64)>, stamp: String },
    End { id: String, holder: Holder, commit: bool },
    Offsets { who: GroupId, offsets: Vec<(Tp, i64)>, stamp: String },
}

/// What the broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Holder(Holder),
    /// The transaction before is still being ended.
    Concurrent,
    Fenced,
    InvalidState,
    OutOfOrder,
    Refused(Refusal),
    /// No rights to the topic.
    Denied(Arc<str>),
    /// The topic does not take these records.
    TooLarge(Arc<str>),
}

impl Refused {
    fn refuses(self, topic: &str, outputs: &[Rc<Output>]) -> bool {
        let bytes = |output: &Rc<Output>| output.value.as_ref().map_or(0, Vec::len);
        let fat = || outputs.iter().any(|output| output.value.as_deref().is_some_and(is_fat));
        match self {
            Self::Nothing => false,
            Self::FatAlerts => topic.starts_with("alerts.") && fat(),
            Self::Fat => fat(),
            Self::Batches(most) => outputs.iter().map(bytes).sum::<usize>() > most,
        }
    }
}

/// The broker.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) inputs: BTreeMap<Tp, InputLog>,
    pub(super) outputs: BTreeMap<Arc<str>, OutputLog>,
    pub(super) group: Group,
    txns: BTreeMap<String, Txn>,
    txn_timeout_ms: Millis,
    next_producer: u64,
    /// Markers that are still to be written.
    markers: Vec<Marker>,
    pub(super) refused: Refused,
    /// The topic that may not be written to.
    pub(super) denied: Option<Arc<str>>,
}

impl Broker {
    pub(super) fn new(group: Group, inputs: impl IntoIterator<Item = Tp>, txn_timeout_ms: Millis) -> Self {
        Self {
            inputs: inputs.into_iter().map(|tp| (tp, InputLog::default())).collect(),
            outputs: BTreeMap::new(),
            group,
            txns: BTreeMap::new(),
            txn_timeout_ms,
            next_producer: 1,
            markers: Vec::new(),
            refused: Refused::Nothing,
            denied: None,
        }
    }

    /// Takes a request.
    pub(super) fn take(&mut self, request: &Request, now: Millis) -> Answer {
        match request {
            Request::Init { id, holder } => self.init(id, *holder),
            Request::AddTopic { topic, .. } if self.denied.as_ref() == Some(topic) => {
                Answer::Denied(Arc::clone(topic))
            }
            Request::AddTopic { id, holder, topic } => {
                self.add(id, *holder, Target::Topic(Arc::clone(topic)), now)
            }
            Request::AddOffsets { id, holder } => self.add(id, *holder, Target::Offsets, now),
            Request::Produce { topic, outputs, .. } if self.refused.refuses(topic, outputs) => {
                Answer::TooLarge(Arc::clone(topic))
            }
            Request::Produce { id, holder, topic, from, outputs } => {
                self.produce(id, *holder, topic, *from, outputs)
            }
            Request::TxnOffsets { id, holder, who, offsets, stamp } => {
                match self.ongoing(id, *holder, &Target::Offsets) {
                    Answer::Done => {}
                    refused => return refused,
                }
                if let Err(refusal) = self.group.may_commit(who, true) {
                    return Answer::Refused(refusal);
                }
                let pending = self.group.pending.entry(holder.0).or_default();
                pending.extend(offsets.iter().map(|(tp, offset)| (tp.clone(), (*offset, stamp.clone()))));
                Answer::Done
            }
            Request::End { id, holder, commit } => self.end(id, *holder, *commit),
            Request::Offsets { who, offsets, stamp } => {
                if let Err(refusal) = self.group.may_commit(who, false) {
                    return Answer::Refused(refusal);
                }
                let offsets = offsets.iter().map(|(tp, offset)| (tp.clone(), (*offset, stamp.clone())));
                self.group.offsets.extend(offsets);
                Answer::Done
            }
        }
    }

    fn init(&mut self, id: &str, holder: Option<Holder>) -> Answer {
        if !self.txns.contains_key(id) {
            let producer = self.next_producer;
            self.next_producer += 1;
            let txn = Txn {
                producer,
                epoch: 0,
                state: TxnState::Ended { commit: false },
                targets: BTreeSet::new(),
            };
            self.txns.insert(id.to_owned(), txn);
        }
        let Some(txn) = self.txns.get_mut(id) else { return Answer::Fenced };
        if holder.is_some_and(|holder| holder != (txn.producer, txn.epoch)) {
            return Answer::Fenced;
        }
        match txn.state {
            TxnState::Ending { .. } => Answer::Concurrent,
            TxnState::Ongoing { .. } => {
                // Fences whoever began it; the new one gets an epoch of its own once this is over.
                if holder.is_none() {
                    txn.epoch += 1;
                }
                self.begin_end(id, false);
                Answer::Concurrent
            }
            TxnState::Empty | TxnState::Ended { .. } => {
                txn.epoch += 1;
                txn.state = TxnState::Empty;
                Answer::Holder((txn.producer, txn.epoch))
            }
        }
    }

    fn add(&mut self, id: &str, holder: Holder, target: Target, now: Millis) -> Answer {
        let Some(txn) = self.txns.get_mut(id) else { return Answer::Fenced };
        if holder != (txn.producer, txn.epoch) {
            return Answer::Fenced;
        }
        match txn.state {
            TxnState::Ending { .. } => return Answer::Concurrent,
            TxnState::Ongoing { .. } => {}
            TxnState::Empty | TxnState::Ended { .. } => txn.state = TxnState::Ongoing { since: now },
        }
        txn.targets.insert(target);
        Answer::Done
    }

    /// Whether a transaction is open and has this target, as brokers since 3.6 check it.
    fn ongoing(&self, id: &str, holder: Holder, target: &Target) -> Answer {
        match self.txns.get(id) {
            Some(txn) if holder != (txn.producer, txn.epoch) => Answer::Fenced,
            Some(Txn { state: TxnState::Ongoing { .. }, targets, .. }) if targets.contains(target) => {
                Answer::Done
            }
            Some(_) => Answer::InvalidState,
            None => Answer::Fenced,
        }
    }

    fn produce(
        &mut self,
        id: &str,
        holder: Holder,
        topic: &Arc<str>,
        from: u64,
        outputs: &[Rc<Output>],
    ) -> Answer {
        match self.ongoing(id, holder, &Target::Topic(Arc::clone(topic))) {
            Answer::Done => {}
            refused => return refused,
        }
        let log = self.outputs.entry(Arc::clone(topic)).or_default();
        let appending = log.producers.entry(holder.0).or_default();
        if appending.epoch < holder.1 {
            *appending = Appending { epoch: holder.1, next: 0, open_since: appending.open_since };
        }
        if from < appending.next {
            // Sent twice: it is there already.
            return Answer::Done;
        }
        if from > appending.next {
            return Answer::OutOfOrder;
        }
        appending.next += outputs.len() as u64;
        appending.open_since.get_or_insert(log.entries.len());
        let entry = |output: &Rc<Output>| Entry::Data { producer: holder.0, output: Rc::clone(output) };
        log.entries.extend(outputs.iter().map(entry));
        Answer::Done
    }

    fn end(&mut self, id: &str, holder: Holder, commit: bool) -> Answer {
        let Some(txn) = self.txns.get(id) else { return Answer::Fenced };
        if holder != (txn.producer, txn.epoch) {
            return Answer::Fenced;
        }
        match txn.state {
            TxnState::Ongoing { .. } => {
                self.begin_end(id, commit);
                Answer::Done
            }
            TxnState::Ending { commit: ending } if ending == commit => Answer::Concurrent,
            TxnState::Ended { commit: ended } if ended == commit => Answer::Done,
            TxnState::Ending { .. } | TxnState::Ended { .. } | TxnState::Empty => Answer::InvalidState,
        }
    }

    fn begin_end(&mut self, id: &str, commit: bool) {
        let Some(txn) = self.txns.get_mut(id) else { return };
        txn.state = TxnState::Ending { commit };
        let marker = |target: &Target| Marker { id: id.to_owned(), target: target.clone() };
        self.markers.extend(txn.targets.iter().map(marker));
        if txn.targets.is_empty() {
            txn.state = TxnState::Ended { commit };
        }
    }

    /// Markers that are to be written from now on, each in its own time.
    pub(super) fn markers(&mut self) -> Vec<Marker> {
        std::mem::take(&mut self.markers)
    }

    /// A marker has arrived.
    pub(super) fn mark(&mut self, marker: &Marker) {
        let Some(txn) = self.txns.get_mut(&marker.id) else { return };
        let TxnState::Ending { commit } = txn.state else { return };
        match &marker.target {
            Target::Topic(topic) => {
                let log = self.outputs.entry(Arc::clone(topic)).or_default();
                log.entries.push(Entry::Marker { producer: txn.producer, commit });
                if let Some(appending) = log.producers.get_mut(&txn.producer) {
                    appending.open_since = None;
                }
            }
            Target::Offsets => {
                let pending = self.group.pending.remove(&txn.producer).unwrap_or_default();
                if commit {
                    self.group.offsets.extend(pending);
                }
            }
        }
        txn.targets.remove(&marker.target);
        if txn.targets.is_empty() {
            txn.state = TxnState::Ended { commit };
        }
    }

    /// Aborts transactions that are open for too long, and fences their producers. Says how many.
    pub(super) fn expire(&mut self, now: Millis) -> u64 {
        let timeout = self.txn_timeout_ms;
        let late: Vec<String> = self
            .txns
            .iter()
            .filter(|(_, txn)| matches!(txn.state, TxnState::Ongoing { since } if now >= since + timeout))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &late {
            if let Some(txn) = self.txns.get_mut(id) {
                txn.epoch += 1;
            }
            self.begin_end(id, false);
        }
        late.len() as u64
    }

    /// Whether no transaction is open or being ended.
    pub(super) fn at_rest(&self) -> bool {
        self.txns.values().all(|txn| matches!(txn.state, TxnState::Empty | TxnState::Ended { .. }))
    }
}
