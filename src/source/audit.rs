//! What a lane believes is committed, against what the broker says: a pure comparison.
//!
//! Owns the stamp that stands beside each committed offset, and what a difference means. Two parts of the system that
//! must agree are compared while they run, not only in tests: a lost, a torn or somebody else's transaction shows
//! here, whatever its cause. The Kafka adapter asks the broker; `pipeline::lane` stops when there is a contradiction.

use std::fmt;
use std::sync::Arc;

use super::SourceError;

/// Who committed an offset, and when in its own count. It travels as the offset's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The transactional id.
    pub writer: String,
    /// Which life of it: the time at which the lane began, in milliseconds.
    pub life: u64,
    /// The epoch, from 1 in each life.
    pub epoch: u64,
    /// With what the group began on the partition; `None` when that is not known.
    pub birth: Option<Birth>,
}

/// The topic that a group began to read. It is handed on from stamp to stamp, so that it stays what it was at the
/// beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// The topic's id: another one under the same name is another topic. `None` when the broker gives none.
    pub id: Option<TopicId>,
    /// How many partitions it had, when that is known: not for offsets that somebody else committed first.
    pub partitions: Option<i32>,
}

/// A topic's id, as Kafka's tools write it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicId(pub Arc<str>);

/// What each stamp begins with: the form's version, without and with the birth.
const FORM: &str = "noroshi/1";
const FORM_BORN: &str = "noroshi/2";
/// Stands for what is not known.
const UNKNOWN: &str = "-";

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writer, life, epoch, birth } = self;
        match birth {
            None => write!(f, "{FORM} {writer} {life} {epoch}"),
            Some(Birth { id, partitions }) => {
                let id = id.as_ref().map_or(UNKNOWN, |id| &id.0);
                let partitions = partitions.map_or_else(|| UNKNOWN.to_owned(), |count| count.to_string());
                write!(f, "{FORM_BORN} {writer} {life} {epoch} {id} {partitions}")
            }
        }
    }
}

impl Stamp {
    /// Reads a stamp; `None` for metadata that is not ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        let (form, writer, life, epoch) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let birth = match form {
            FORM => None,
            FORM_BORN => {
                let id = Some(parts.next()?).filter(|id| *id != UNKNOWN);
                let partitions = Some(parts.next()?).filter(|count| *count != UNKNOWN);
                let partitions = partitions.map(str::parse).transpose().ok()?;
                Some(Birth { id: id.map(|id| TopicId(Arc::from(id))), partitions })
            }
            _ => return None,
        };
        if parts.next().is_some() {
            return None;
        }
        let (life, epoch) = (life.parse().ok()?, epoch.parse().ok()?);
        Some(Self { writer: writer.to_owned(), life, epoch, birth })
    }
}

/// A committed offset with its stamp, if it has one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The offset.
    pub offset: i64,
    /// Who committed it.
    pub stamp: Option<Stamp>,
}

/// What the comparison says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audit {
    /// The broker has what the lane believes.
    Agrees,
    /// Another lane has gone on from here: the group has moved the partition, and will tell.
    Moved,
    /// The two cannot both be right.
    Contradiction(String),
}

/// Compares a partition. `me` is this lane's stamp, with the epoch last handed to the sink; while the outcome of that
/// one is unknown (`open`), the broker may have it or not.
pub fn audit(me: &Stamp, believed: Option<i64>, found: Option<&Committed>, open: bool) -> Audit {
    let Some(believed) = believed else { return Audit::Agrees };
    let Some(found) = found else {
        return Audit::Contradiction(format!(
            "offset {believed} was committed, and nothing is committed now"
        ));
    };
    if found.offset == believed {
        return Audit::Agrees;
    }
    let who = match &found.stamp {
        None => "something that is not Noroshi".to_owned(),
        Some(stamp) if stamp.writer != me.writer && found.offset > believed => return Audit::Moved,
        Some(stamp) if stamp.writer == me.writer && stamp.life == me.life => {
            if open && stamp.epoch == me.epoch && found.offset > believed {
                return Audit::Agrees;
            }
            format!("this lane, in epoch {}", stamp.epoch)
        }
        Some(stamp) if stamp.writer == me.writer => {
            format!("another process with the same identity `{}`", stamp.writer)
        }
        Some(stamp) => format!("the lane `{}`", stamp.writer),
    };
    Audit::Contradiction(format!(
        "offset {believed} was committed in epoch {} at the latest, but the group has {}, committed by {who}",
        me.epoch, found.offset
    ))
}

/// Compares partitions (topic, number, what the broker says), one after the other. The first contradiction is the error.
pub fn compare<'a>(
    me: &Stamp,
    open: bool,
    found: impl IntoIterator<Item = (&'a str, i32, Option<Committed>)>,
    believed: impl Fn(&str, i32) -> Option<i64>,
) -> Result<(), SourceError> {
    for (topic, partition, found) in found {
        let believed = believed(topic, partition);
        if let Audit::Contradiction(what) = audit(me, believed, found.as_ref(), open) {
            return Err(SourceError::Contradiction { topic: topic.to_owned(), partition, what });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(writer: &str, life: u64, epoch: u64) -> Stamp {
        Stamp { writer: writer.into(), life, epoch, birth: None }
    }

    #[test]
    fn stamps_come_back_as_they_were_written() {
        let made = stamp("noroshi-demo-a-0", 1_790_000_000_000, 42);
        assert_eq!(made.to_string(), "noroshi/1 noroshi-demo-a-0 1790000000000 42");
        assert_eq!(Stamp::parse(&made.to_string()), Some(made.clone()));
        for (id, partitions, text) in [
            (Some("Wq_-1"), Some(12), "noroshi/2 a 1 2 Wq_-1 12"),
            (Some("Wq_-1"), None, "noroshi/2 a 1 2 Wq_-1 -"),
            (None, Some(12), "noroshi/2 a 1 2 - 12"),
        ] {
            let birth = Some(Birth { id: id.map(|id| TopicId(id.into())), partitions });
            let born = Stamp { birth, ..stamp("a", 1, 2) };
            assert_eq!((born.to_string().as_str(), Stamp::parse(text)), (text, Some(born)));
        }
        for text in [
            "",
            "x",
            "noroshi/3 a 1 2",
            "noroshi/1 a 1",
            "noroshi/1 a 1 2 3",
            "noroshi/1 a x 2",
            "noroshi/2 a 1 2",
            "noroshi/2 a 1 2 id",
            "noroshi/2 a 1 2 id x",
            "noroshi/2 a 1 2 id 1 1",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_difference_means() {
        let me = stamp("a", 7, 5);
        for (what, believed, found, open, expect) in [
            ("nothing believed", None, Some((9, Some(stamp("b", 1, 1)))), false, "agrees"),
            ("the same", Some(9), Some((9, Some(stamp("a", 7, 4)))), false, "agrees"),
            ("the same, by whomever", Some(9), Some((9, None)), false, "agrees"),
            ("gone", Some(9), None, false, "nothing is committed"),
            ("the open epoch went through", Some(9), Some((12, Some(stamp("a", 7, 5)))), true, "agrees"),
            ("the open epoch did not", Some(9), Some((9, Some(stamp("a", 7, 4)))), true, "agrees"),
            ("an epoch that was not open", Some(9), Some((12, Some(stamp("a", 7, 5)))), false, "epoch 5"),
            ("an older epoch came back", Some(9), Some((6, Some(stamp("a", 7, 3)))), true, "epoch 3"),
            (
                "a later life of the same name",
                Some(9),
                Some((12, Some(stamp("a", 8, 1)))),
                true,
                "same identity",
            ),
            ("another lane went on", Some(9), Some((12, Some(stamp("b", 1, 1)))), false, "moved"),
            ("another lane went back", Some(9), Some((3, Some(stamp("b", 1, 1)))), false, "the lane `b`"),
            ("somebody moved it by hand", Some(9), Some((3, None)), false, "not Noroshi"),
        ] {
            let found = found.map(|(offset, stamp)| Committed { offset, stamp });
            let audit = audit(&me, believed, found.as_ref(), open);
            match (&audit, expect) {
                (Audit::Agrees, "agrees") | (Audit::Moved, "moved") => {}
                (Audit::Contradiction(why), part) if why.contains(part) => {}
                _ => panic!("{what}: {audit:?}, not {expect}"),
            }
        }
    }
}
