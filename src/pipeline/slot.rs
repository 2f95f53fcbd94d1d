//! The newest rule set, where lanes find it.
//!
//! Owns the hand-over from the thread that compiles to the threads that run: one writer, many readers, no lock on
//! the way of the data. When a lane takes it is `cycle`'s to say (I-8). Filled by `pipeline::reload`, read by
//! `pipeline::lane`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::engine::Compiled;
use crate::record::TimeMicros;

/// A compiled rule set, its pipeline and tables among it, and which one it is.
#[derive(Clone)]
pub struct Generation {
    /// Counted from 1 in each process.
    pub number: u64,
    /// First 16 hexadecimal digits of a SHA-256 over the files that it was made of; empty when it was not read from
    /// files.
    pub content: Arc<str>,
    /// When it was read.
    pub loaded: TimeMicros,
    /// What runs.
    pub compiled: Arc<Compiled>,
}

/// Holds the newest generation; shared by `Arc`.
pub struct Slot {
    /// Number of the newest: lanes look at this in each turn.
    number: AtomicU64,
    newest: Mutex<Generation>,
    /// How often somebody has asked for those who wait to be tried at once.
    retries: AtomicU64,
}

impl Slot {
    /// A slot with the first generation in it.
    pub fn new(compiled: Arc<Compiled>, content: &str, loaded: TimeMicros) -> Arc<Self> {
        let first = Generation { number: 1, content: Arc::from(content), loaded, compiled };
        Arc::new(Self {
            number: AtomicU64::new(first.number),
            newest: Mutex::new(first),
            retries: AtomicU64::new(0),
        })
    }

    /// Offers a newer rule set to all lanes, which take it as soon as they have finished what they read with the old
    /// one. One that no lane took in time is passed over.
    pub fn offer(&self, compiled: Arc<Compiled>, content: &str, loaded: TimeMicros) -> Generation {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.inherit(&newest.compiled);
        let number = newest.number + 1;
        *newest = Generation { number, content: Arc::from(content), loaded, compiled };
        // Under the lock: who sees the number finds at least that generation.
        self.number.store(number, Ordering::Release);
        newest.clone()
    }

    /// The number of the newest generation.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Asks all lanes to try those at once who are parked.
    pub fn retry(&self) {
        self.retries.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was asked.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Acquire)
    }

    /// The newest generation.
    pub fn newest(&self) -> Generation {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::PIPELINE;
    use crate::diagnostic::SourceFile;
    use crate::pipeline::definition::Pipeline;
    use crate::rules::RuleSet;

    fn compiled() -> Arc<Compiled> {
        let file = SourceFile::new("pipelines/demo/pipeline.toml", PIPELINE);
        let pipeline = Pipeline::from_text(&file).expect("the demo's pipeline");
        let compiled = Compiled::new(Arc::new(pipeline), Arc::new(RuleSet::new(Vec::new())));
        Arc::new(compiled.expect("compiles"))
    }

    #[test]
    fn the_newest_is_found_and_what_nobody_took_is_passed_over() {
        let sets: Vec<Arc<Compiled>> = (0..3).map(|_| compiled()).collect();
        let slot = Slot::new(Arc::clone(&sets[0]), "a", 5);
        let found = |number, set: usize, content: &str, loaded| {
            let newest = slot.newest();
            assert_eq!((slot.number(), newest.number), (number, number));
            assert!(Arc::ptr_eq(&newest.compiled, &sets[set]), "generation {number}");
            assert_eq!((&*newest.content, newest.loaded), (content, loaded));
        };
        found(1, 0, "a", 5);
        slot.offer(Arc::clone(&sets[1]), "b", 6);
        let last = slot.offer(Arc::clone(&sets[2]), "c", 7);
        assert_eq!(last.number, 3);
        found(3, 2, "c", 7);
    }

    /// Lanes look while somebody writes: the number never runs ahead of what is found.
    #[test]
    fn a_number_that_was_seen_can_be_taken() {
        let set = compiled();
        let slot = Slot::new(Arc::clone(&set), "", 0);
        std::thread::scope(|scope| {
            let looks = || {
                let mut seen = 0;
                while seen < 500 {
                    let number = slot.number();
                    assert!(number >= seen);
                    let newest = slot.newest().number;
                    assert!(newest >= number, "{newest} was found after {number} was seen");
                    seen = newest;
                }
            };
            scope.spawn(looks);
            scope.spawn(looks);
            for _ in 1..500 {
                slot.offer(Arc::clone(&set), "", 0);
            }
        });
    }
}
