//! What can be wrong with the topics and partitions that a lane reads, and what it knows of them: pure.
//!
//! Owns the names of these troubles, what operators read of them, and when one begins and ends. What the broker says
//! is the Kafka adapter's to ask, and holding a partition its to carry out; `pipeline::watch` counts and shows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::audit::TopicId;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such topic (any more).
    Missing,
    /// Another topic has the name now. Its partitions are not read: where to begin is somebody's decision.
    Recreated,
    /// The offset to read next is outside of what the partition holds. It is not read.
    OutOfRange {
        /// What was to be read next.
        next: i64,
        /// Oldest offset there is.
        low: i64,
        /// End.
        high: i64,
    },
    /// A transaction that stays open keeps what is behind it from readers of committed records.
    HeldBack {
        /// Where readers have to wait.
        at: i64,
    },
}

impl Trouble {
    /// All names, for metrics.
    pub const KINDS: [&'static str; 4] = ["missing", "recreated", "out_of_range", "held_back"];

    /// Its name in metrics and `/status`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Recreated => "recreated",
            Self::OutOfRange { .. } => "out_of_range",
            Self::HeldBack { .. } => "held_back",
        }
    }

    /// Records that were deleted before they were read, as far as offsets tell.
    pub fn lost(&self) -> u64 {
        match self {
            Self::OutOfRange { next, low, .. } => u64::try_from(low.saturating_sub(*next)).unwrap_or(0),
            _ => 0,
        }
    }
}

/// A trouble and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TroubleNote {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition; `None` for the whole topic.
    pub partition: Option<i32>,
    /// What is wrong.
    pub trouble: Trouble,
}

impl fmt::Display for TroubleNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topic = &self.topic;
        match (&self.trouble, self.partition) {
            (Trouble::Missing, None) => {
                write!(f, "the topic `{topic}` is not there (any more): nothing of it is read")
            }
            (Trouble::Missing, Some(partition)) => {
                write!(
                    f,
                    "{topic}/{partition} is not read: its topic was deleted, and the group's offset with it"
                )
            }
            (Trouble::Recreated, _) => write!(
                f,
                "the topic `{topic}` was deleted and made anew: nothing of it is read until the group's offsets are reset"
            ),
            (Trouble::OutOfRange { next, low, high }, partition) => {
                let partition = partition.unwrap_or_default();
                write!(
                    f,
                    "{topic}/{partition} is not read: it holds offsets {low} to {high}, and {next} was next"
                )?;
                match self.trouble.lost() {
                    0 => f.write_str("; the topic was cut short or made anew")?,
                    lost => write!(f, "; {lost} records were deleted before they were read")?,
                }
                f.write_str("; reset the group's offset to go on")
            }
            (Trouble::HeldBack { at }, partition) => {
                let partition = partition.unwrap_or_default();
                write!(
                    f,
                    "a transaction of another producer holds back {topic}/{partition} at offset {at}: what is behind it is not read until it ends"
                )
            }
        }
    }
}

/// What the broker says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is there.
    Present {
        /// Its id; `None` when the broker gives none (before Kafka 2.8).
        id: Option<TopicId>,
        /// How many partitions it has.
        partitions: i32,
    },
    /// It is not there.
    Missing,
    /// It did not say: no rights, or no answer for this topic.
    Unknown,
}

/// What a look at a topic means for one of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// It is of the topic that it was begun in: it is read.
    Read,
    /// Its topic is not there. What comes under the name next may be another one, so nothing of it is read.
    Wait,
    /// It is of another topic now: it is held.
    Hold,
    /// Nobody says: it stays as it is.
    Nothing,
}

#[derive(Debug, Clone, Default)]
struct Topic {
    /// The id of the first that was seen under this name, as long as the lane lives; the inner one is `None` for a
    /// broker that gives no ids.
    first: Option<Option<TopicId>>,
    /// How many partitions it had when it was last seen.
    partitions: i32,
    trouble: Option<Trouble>,
}

/// Where an open transaction may stand in the way.
#[derive(Debug, Clone, Copy)]
struct Wait {
    at: i64,
    since: Instant,
    told: bool,
}

/// What a lane knows of its topics, and what is wrong.
#[derive(Debug, Clone)]
pub struct Troubles {
    held_back_after: Duration,
    topics: BTreeMap<Arc<str>, Topic>,
    partitions: BTreeMap<(Arc<str>, i32), Trouble>,
    waits: BTreeMap<(Arc<str>, i32), Wait>,
}

impl Troubles {
    /// None yet. A transaction that holds back records for longer than `held_back_after` is one.
    pub fn new(held_back_after: Duration) -> Self {
        Self { held_back_after, topics: BTreeMap::new(), partitions: BTreeMap::new(), waits: BTreeMap::new() }
    }

    /// Takes in what the broker says of a topic; the answer is what is wrong with it. One that was made anew stays so:
    /// what was read before under this name is gone, whatever comes now.
    pub fn look(&mut self, topic: &str, found: &Found) -> Option<&Trouble> {
        let known = self.topics.entry(Arc::from(topic)).or_default();
        if let Found::Present { partitions, .. } = found {
            known.partitions = *partitions;
        }
        known.trouble = match (found, known.trouble.take()) {
            (_, Some(Trouble::Recreated)) => Some(Trouble::Recreated),
            (Found::Unknown, trouble) => trouble,
            (Found::Missing, _) => Some(Trouble::Missing),
            (Found::Present { id, .. }, _) => {
                let first = &*known.first.get_or_insert_with(|| id.clone());
                first.as_ref().zip(id.as_ref()).filter(|(first, id)| first != id).map(|_| Trouble::Recreated)
            }
        };
        known.trouble.as_ref()
    }

    /// What a look means for a partition that the group began to read under this id.
    pub fn means(&mut self, topic: &str, began: Option<&TopicId>, found: &Found) -> Means {
        match found {
            Found::Missing => Means::Wait,
            Found::Unknown => Means::Nothing,
            Found::Present { .. } if self.recreated(topic, began, found) => Means::Hold,
            Found::Present { .. } => Means::Read,
        }
    }

    /// Whether a partition that the group began to read under this id is of another topic than the one of now. Where
    /// nothing says with what it began, it is what this lane saw first.
    pub fn recreated(&mut self, topic: &str, began: Option<&TopicId>, found: &Found) -> bool {
        let Found::Present { id: Some(id), .. } = found else { return false };
        let known = self.topics.entry(Arc::from(topic)).or_default();
        let began = began.or(known.first.as_ref().and_then(Option::as_ref));
        let recreated = began.is_some_and(|began| began != id);
        if recreated {
            known.trouble = Some(Trouble::Recreated);
        }
        recreated
    }

    /// The trouble of a topic.
    pub fn of_topic(&self, topic: &str) -> Option<&Trouble> {
        self.topics.get(topic)?.trouble.as_ref()
    }

    /// The id that was first seen under this name.
    pub fn first(&self, topic: &str) -> Option<&TopicId> {
        self.topics.get(topic)?.first.as_ref()?.as_ref()
    }

    /// The partitions of topics that were made anew, whoever holds them.
    pub fn of_recreated(&self) -> impl Iterator<Item = (&Arc<str>, i32)> {
        let recreated = self.topics.iter().filter(|(_, known)| known.trouble == Some(Trouble::Recreated));
        recreated.flat_map(|(topic, known)| (0..known.partitions).map(move |partition| (topic, partition)))
    }

    /// A topic that no source names is nobody's trouble.
    pub fn keep_topics(&mut self, named: impl Fn(&str) -> bool) {
        self.topics.retain(|topic, _| named(topic));
    }

    /// A partition is held for this. That a topic was made anew is told once, of the topic.
    pub fn hold(&mut self, topic: &str, partition: i32, trouble: Trouble) {
        if trouble != Trouble::Recreated {
            self.partitions.insert((Arc::from(topic), partition), trouble);
        }
    }

    /// A partition is taken, or given back: what is wrong with it is looked at anew, here or elsewhere.
    pub fn forget(&mut self, topic: &str, partition: i32) {
        let key = (Arc::from(topic), partition);
        self.partitions.remove(&key);
        self.waits.remove(&key);
    }

    /// Where a partition ends: for readers of committed records (`stable`), and for others. Other producers' short
    /// transactions are nothing: the stable end moves on.
    pub fn ends(&mut self, now: Instant, topic: &str, partition: i32, stable: i64, high: i64) {
        let key = (Arc::from(topic), partition);
        if high <= stable {
            self.waits.remove(&key);
            return;
        }
        let wait = self.waits.entry(key).or_insert(Wait { at: stable, since: now, told: false });
        if wait.at != stable {
            *wait = Wait { at: stable, since: now, told: false };
        }
        wait.told = now.duration_since(wait.since) >= self.held_back_after;
    }

    /// All that is wrong now, by topic and partition.
    pub fn notes(&self) -> Vec<TroubleNote> {
        let note = |topic: &Arc<str>, partition: Option<i32>, trouble: &Trouble| TroubleNote {
            topic: Arc::clone(topic),
            partition,
            trouble: trouble.clone(),
        };
        let topics = self.topics.iter();
        let topics = topics.filter_map(|(topic, known)| Some(note(topic, None, known.trouble.as_ref()?)));
        let partitions = self.partitions.iter();
        let partitions =
            partitions.map(|((topic, partition), trouble)| note(topic, Some(*partition), trouble));
        let waits = self.waits.iter().filter(|(_, wait)| wait.told).map(|((topic, partition), wait)| {
            note(topic, Some(*partition), &Trouble::HeldBack { at: wait.at })
        });
        let mut notes: Vec<TroubleNote> = topics.chain(partitions).chain(waits).collect();
        notes.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        notes
    }
}

#[cfg(test)]
mod tests;
