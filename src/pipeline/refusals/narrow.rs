//! From an epoch that is refused for a record in it to that record.
//!
//! Owns the size of the next epochs and of their batches, and the sentence over the record that is found, as a pure state
//! machine. A refused
//! epoch is read again in halves, until one record is alone; refused alone, it is sentenced: nothing of it is published
//! but a dead letter, and when that is refused too, a bare one. Epochs grow again when all records of the refused one are
//! through. It ends whatever the order in which partitions are read: epochs do not grow while a suspect is left, so that
//! in the end each suspect is alone and is committed or sentenced by itself.
//!
//! A topic that refuses something for its size may mean the batch and no record in it. So batches are halved along with
//! the epochs, and stay so when all suspects get through; when a record is sentenced, it was not the batches. Called by
//! `pipeline::refusals`.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Epochs that must be committed before one that was too slow may be followed by larger ones.
const CALM_EPOCHS: u32 = 32;

/// Batches are halved so often at most: of a megabyte a kilobyte is left, and no two outputs share that.
const HALVINGS_MAX: u32 = 10;

/// A partition.
type Place = (Arc<str>, i32);

/// What is published of a record that the brokers refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Sentence {
    /// Of its dead letter nothing but what it was and where it stands.
    pub(in crate::pipeline) bare: bool,
    /// Why, without any byte of the record.
    pub(in crate::pipeline) detail: String,
}

/// An epoch that was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flown<'e> {
    pub(super) records: u64,
    /// Each of its outputs was sent by itself.
    pub(super) apart: bool,
    /// It, or a batch of it, was too large.
    pub(super) size: bool,
    /// By topic and partition: the offset behind its last record.
    pub(super) offsets: &'e [(Arc<str>, i32, i64)],
}

/// What a refusal leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Smaller epochs.
    Smaller,
    /// The record is known, and sentenced.
    Sentenced,
    /// Epochs cannot be smaller, and the record is not known.
    Nothing,
    /// Not even what is left of a dead letter is taken; `topic/partition/offset` of its record.
    Hopeless(String),
}

#[derive(Debug, Default)]
pub(super) struct Narrow {
    /// Records of an epoch at most; `None` is what the configuration says.
    limit: Option<u64>,
    /// Commits until the limit may grow.
    calm: u32,
    /// By partition: one of the records before this offset was refused.
    suspects: BTreeMap<Place, i64>,
    /// How often batches are halved, …
    batches_halved: u32,
    /// … and how often they were before there were suspects.
    halved_before: u32,
    /// By partition: the record that is sentenced. There is one at most, the first that is not committed.
    sentences: BTreeMap<Place, (i64, Sentence)>,
}

impl Narrow {
    /// Records of an epoch at most; `None` is what the configuration says.
    pub(super) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// How often the batches of the next epoch are halved.
    pub(super) fn batches_halved(&self) -> u32 {
        self.batches_halved
    }

    /// Whether an epoch of so many records is to be sent output by output.
    pub(super) fn apart(&self, records: u64) -> bool {
        self.limit == Some(1) && records == 1
    }

    /// The sentence over a record.
    pub(super) fn sentence(&self, topic: &Arc<str>, partition: i32, offset: i64) -> Option<&Sentence> {
        if self.sentences.is_empty() {
            return None;
        }
        let (at, sentence) = self.sentences.get(&(Arc::clone(topic), partition))?;
        (*at == offset).then_some(sentence)
    }

    /// An epoch was refused for one of its records. `letter` says that it was the topic of dead letters that refused it.
    pub(super) fn refused(&mut self, flown: Flown<'_>, letter: bool, detail: &str) -> Found {
        if let (true, 1, [(topic, partition, next)]) = (flown.apart, flown.records, flown.offsets) {
            return self.pass_sentence((Arc::clone(topic), *partition), *next - 1, letter, detail);
        }
        let place =
            |(topic, partition, next): &(Arc<str>, i32, i64)| ((Arc::clone(topic), *partition), *next);
        self.suspects = flown.offsets.iter().map(place).collect();
        self.calm = 0;
        if flown.size {
            self.batches_halved = (self.batches_halved + 1).min(HALVINGS_MAX);
        }
        self.halve(flown.records)
    }

    /// An epoch was not delivered in its time. Nobody is suspected: if it is the brokers that are slow, no record is at
    /// fault.
    pub(super) fn too_slow(&mut self, records: u64) -> Found {
        self.calm = CALM_EPOCHS;
        self.halve(records)
    }

    fn halve(&mut self, records: u64) -> Found {
        let before = self.limit;
        let most = before.unwrap_or(u64::MAX).min(records);
        self.limit = Some((most / 2).max(1));
        if self.limit == before { Found::Nothing } else { Found::Smaller }
    }

    fn pass_sentence(&mut self, place: Place, offset: i64, letter: bool, detail: &str) -> Found {
        let known = self.sentences.get(&place).filter(|(at, _)| *at == offset).map(|(_, sentence)| sentence);
        if known.is_some_and(|sentence| sentence.bare) {
            return Found::Hopeless(format!("{}/{}/{offset}", place.0, place.1));
        }
        self.batches_halved = self.halved_before;
        let sentence = Sentence { bare: letter || known.is_some(), detail: detail.to_owned() };
        self.suspects = BTreeMap::from([(place.clone(), offset + 1)]);
        self.sentences.insert(place, (offset, sentence));
        Found::Sentenced
    }

    /// An epoch was committed up to these offsets. `records_max` is what the configuration says.
    pub(super) fn committed<'o>(
        &mut self,
        offsets: impl IntoIterator<Item = (&'o Arc<str>, i32, i64)>,
        records_max: u64,
    ) {
        self.through(offsets);
        if self.suspects.is_empty() {
            self.halved_before = self.batches_halved;
        }
        let Some(limit) = self.limit.filter(|_| self.suspects.is_empty()) else { return };
        if self.calm > 0 {
            self.calm -= 1;
            return;
        }
        self.limit = limit.checked_mul(2).filter(|limit| *limit < records_max);
    }

    /// What the brokers say is committed.
    pub(super) fn through<'o>(&mut self, offsets: impl IntoIterator<Item = (&'o Arc<str>, i32, i64)>) {
        if self.suspects.is_empty() && self.sentences.is_empty() {
            return;
        }
        for (topic, partition, next) in offsets {
            let place = (Arc::clone(topic), partition);
            if self.suspects.get(&place).is_some_and(|end| next >= *end) {
                self.suspects.remove(&place);
            }
            if self.sentences.get(&place).is_some_and(|(at, _)| next > *at) {
                self.sentences.remove(&place);
            }
        }
    }

    /// Forgets the partitions that are not read any more.
    pub(super) fn keep(&mut self, kept: impl Fn(&str, i32) -> bool) {
        let before = self.suspects.len();
        self.suspects.retain(|(topic, partition), _| kept(topic, *partition));
        if self.suspects.len() < before {
            // Whether it was the batches is not found out here any more.
            self.batches_halved = self.halved_before;
        }
        self.sentences.retain(|(topic, partition), _| kept(topic, *partition));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDS_MAX: u64 = 1_000;

    fn at(partition: i32, next: i64) -> (Arc<str>, i32, i64) {
        (Arc::from("in"), partition, next)
    }

    fn committed(narrow: &mut Narrow, offsets: &[(Arc<str>, i32, i64)]) -> Option<u64> {
        narrow.committed(
            offsets.iter().map(|(topic, partition, next)| (topic, *partition, *next)),
            RECORDS_MAX,
        );
        narrow.limit()
    }

    fn refused(narrow: &mut Narrow, records: u64, apart: bool, offsets: &[(Arc<str>, i32, i64)]) -> Found {
        narrow.refused(Flown { records, apart, size: true, offsets }, false, "refused")
    }

    #[test]
    fn epochs_shrink_by_half_and_grow_when_the_suspects_are_through() {
        let mut narrow = Narrow::default();
        assert_eq!(committed(&mut narrow, &[at(0, 1)]), None);
        assert_eq!(refused(&mut narrow, 100, false, &[at(0, 101), at(1, 9)]), Found::Smaller);
        assert_eq!(narrow.limit(), Some(50));
        assert_eq!(committed(&mut narrow, &[at(0, 51)]), Some(50), "suspects are left");
        assert_eq!(refused(&mut narrow, 50, false, &[at(0, 80), at(1, 9)]), Found::Smaller);
        assert_eq!(committed(&mut narrow, &[at(0, 80)]), Some(25));
        assert_eq!(committed(&mut narrow, &[at(1, 8), at(2, 70)]), Some(25));
        assert_eq!(committed(&mut narrow, &[at(1, 9)]), Some(50));
        for limit in [Some(100), Some(200), Some(400), Some(800), None, None] {
            assert_eq!(committed(&mut narrow, &[at(1, 10)]), limit);
        }
    }

    #[test]
    fn a_record_that_is_refused_alone_is_sentenced_then_more_harshly_then_given_up() {
        let mut narrow = Narrow { limit: Some(1), ..Narrow::default() };
        let topic: Arc<str> = Arc::from("in");
        assert!(narrow.apart(1) && !narrow.apart(2));
        // Two slipped in, or its outputs were sent together: nobody knows which.
        assert_eq!(refused(&mut narrow, 2, false, &[at(0, 6)]), Found::Nothing);
        assert_eq!(refused(&mut narrow, 1, false, &[at(0, 6)]), Found::Nothing);
        assert_eq!(narrow.sentence(&topic, 0, 5), None);
        for bare in [false, true] {
            assert_eq!(refused(&mut narrow, 1, true, &[at(0, 6)]), Found::Sentenced);
            assert_eq!(narrow.sentence(&topic, 0, 5), Some(&Sentence { bare, detail: "refused".into() }));
        }
        assert_eq!(refused(&mut narrow, 1, true, &[at(0, 6)]), Found::Hopeless("in/0/5".into()));
        assert_eq!((narrow.sentence(&topic, 0, 6), narrow.sentence(&topic, 1, 5)), (None, None));
        assert_eq!(committed(&mut narrow, &[at(0, 6)]), Some(2));
        assert_eq!(narrow.sentence(&topic, 0, 5), None);
        // A dead letter that is refused is bare at once.
        narrow.limit = Some(1);
        let flown = Flown { records: 1, apart: true, size: true, offsets: &[at(0, 9)] };
        assert_eq!(narrow.refused(flown, true, "refused"), Found::Sentenced);
        assert!(narrow.sentence(&topic, 0, 8).is_some_and(|sentence| sentence.bare));
    }

    #[test]
    fn what_is_too_slow_shrinks_and_grows_slowly_and_suspects_nobody() {
        let mut narrow = Narrow::default();
        assert_eq!(narrow.too_slow(4), Found::Smaller);
        assert_eq!(narrow.too_slow(2), Found::Smaller);
        assert_eq!((narrow.too_slow(1), narrow.limit()), (Found::Nothing, Some(1)));
        for _ in 0..CALM_EPOCHS {
            assert_eq!(committed(&mut narrow, &[at(0, 1)]), Some(1));
        }
        assert_eq!(committed(&mut narrow, &[at(0, 1)]), Some(2));
        assert!(narrow.sentences.is_empty());
    }

    #[test]
    fn what_others_read_now_or_have_committed_is_nobody_s_suspect() {
        let mut narrow = Narrow::default();
        refused(&mut narrow, 8, false, &[at(0, 5), at(1, 5)]);
        narrow.keep(|_, partition| partition == 0);
        assert_eq!(committed(&mut narrow, &[at(2, 1)]), Some(4));
        let topic: Arc<str> = Arc::from("in");
        narrow.through([(&topic, 0, 7)]);
        assert_eq!(narrow.limit(), Some(4), "only a commit of ours lets it grow");
        assert_eq!(committed(&mut narrow, &[at(2, 2)]), Some(8));
    }

    /// Records of a kilobyte each, perhaps one that no topic takes, and a topic that takes batches of so many bytes.
    #[test]
    fn batches_are_halved_for_a_topic_and_not_for_a_record() {
        const RECORDS: i64 = 5_000;
        const FAT: i64 = 700;
        for (topic_takes, fat, most, halved) in [
            (1_000_000, false, 0, 0),
            (20_000, false, 6, 6),
            (1_000, false, 10, 10),
            // The search for a record is one of halves.
            (1_000_000, true, 10, 0),
            // Both: first the record is found, then the batches are.
            (20_000, true, 10 + 6, 6),
        ] {
            let (mut narrow, mut done, mut refusals, mut sentenced) = (Narrow::default(), 0, 0, Vec::new());
            while done < RECORDS {
                let records =
                    narrow.limit().unwrap_or(RECORDS_MAX).min(u64::try_from(RECORDS - done).expect("some"));
                let next = done + i64::try_from(records).expect("few");
                let has_fat = fat && (done..next).contains(&FAT);
                let spared = narrow.sentence(&at(0, 0).0, 0, FAT).is_some();
                let batch = (1_000_000 >> narrow.batches_halved()).max(1_000).min(records * 1_000);
                if (has_fat && !spared) || (batch > topic_takes && !narrow.apart(records)) {
                    refusals += 1;
                    let flown =
                        Flown { records, apart: narrow.apart(records), size: true, offsets: &[at(0, next)] };
                    match narrow.refused(flown, false, "refused") {
                        Found::Sentenced => sentenced.push(next - 1),
                        found => assert_eq!(found, Found::Smaller),
                    }
                } else {
                    done = next;
                    committed(&mut narrow, &[at(0, next)]);
                }
            }
            let what = format!("{topic_takes} {fat}");
            assert_eq!(sentenced, if fat { vec![FAT] } else { vec![] }, "{what}");
            assert!(refusals <= most, "{what}: {refusals} refusals");
            assert_eq!((narrow.batches_halved(), narrow.limit()), (halved, None), "{what}");
        }
        // What is no matter of size leaves them alone; and with the partition goes what it may have been.
        let mut narrow = Narrow::default();
        narrow.refused(
            Flown { records: 8, apart: false, size: false, offsets: &[at(0, 8)] },
            false,
            "refused",
        );
        assert_eq!(narrow.batches_halved(), 0);
        refused(&mut narrow, 4, false, &[at(0, 4)]);
        assert_eq!(narrow.batches_halved(), 1);
        narrow.keep(|_, partition| partition != 0);
        assert_eq!(narrow.batches_halved(), 0);
    }

    /// However the partitions take turns, each bad record is found, alone, after as many refusals at most as the number of
    /// records of an epoch has binary digits, and every record gets through.
    #[test]
    fn it_ends_in_any_order_and_sentences_the_bad_ones_alone() {
        const RECORDS: i64 = 40;
        for seed in 0..200_u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut random = |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let bad: Vec<(i32, i64)> = (0..3).flat_map(|p| (0..RECORDS).map(move |at| (p, at))).collect();
            let bad: Vec<(i32, i64)> = bad.into_iter().filter(|_| random(12) == 0).collect();
            let topic: Arc<str> = Arc::from("in");
            let (mut narrow, mut done, mut sentenced) = (Narrow::default(), [0_i64; 3], Vec::new());
            let (mut epochs, mut refusals) = (0, 0);
            while done != [RECORDS; 3] {
                epochs += 1;
                assert!(epochs < 2_000, "seed {seed}: no end");
                let mut next = done;
                let (mut records, mut poisoned) = (0, false);
                let most = narrow.limit().unwrap_or(30).min(30);
                while records < most && next != [RECORDS; 3] {
                    let at = usize::try_from(random(3)).expect("small");
                    if next[at] < RECORDS {
                        let partition = i32::try_from(at).expect("small");
                        let spared = narrow.sentence(&topic, partition, next[at]).is_some();
                        poisoned |= bad.contains(&(partition, next[at])) && !spared;
                        if spared {
                            sentenced.push((partition, next[at]));
                        }
                        next[at] += 1;
                        records += 1;
                    }
                }
                let offsets: Vec<_> = (0..3)
                    .filter(|at| next[*at] > done[*at])
                    .map(|at| (Arc::clone(&topic), i32::try_from(at).expect("small"), next[at]))
                    .collect();
                if poisoned {
                    refusals += 1;
                    let flown =
                        Flown { records, apart: narrow.apart(records), size: true, offsets: &offsets };
                    let found = narrow.refused(flown, false, "refused");
                    assert!(matches!(found, Found::Smaller | Found::Sentenced), "seed {seed}: {found:?}");
                } else {
                    done = next;
                    committed(&mut narrow, &offsets);
                }
            }
            sentenced.sort_unstable();
            sentenced.dedup();
            assert_eq!(sentenced, bad, "seed {seed}");
            let most = bad.len() * 5;
            assert!(refusals <= most, "seed {seed}: {refusals} refusals for {} records", bad.len());
        }
    }
}
