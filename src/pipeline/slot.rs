//! The newest rule set, where lanes find it.
//!
//! Owns the hand-over from the thread that compiles to the threads that run: one writer, many readers, no lock on
//! the way of the data. What takes time is done by neither lane: the engines for a set are built before it is offered,
//! and what a lane has run is torn down beside it. When a lane takes a set is `cycle`'s to say (I-8). Filled by
//! `pipeline::reload`, read by `pipeline::lane`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::engine::{Compiled, Engine, EngineLimits};
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
    newest: Mutex<Newest>,
    /// The lanes that follow, by the bounds of their engines.
    followers: Mutex<Vec<EngineLimits>>,
    /// How often somebody has asked for those who wait to be tried at once.
    retries: AtomicU64,
}

struct Newest {
    generation: Generation,
    /// Engines that run it, which no lane has taken yet.
    ready: Vec<Engine>,
}

impl Slot {
    /// A slot with the first generation in it.
    pub fn new(compiled: Arc<Compiled>, content: &str, loaded: TimeMicros) -> Arc<Self> {
        let first = Generation { number: 1, content: Arc::from(content), loaded, compiled };
        Arc::new(Self {
            number: AtomicU64::new(first.number),
            newest: Mutex::new(Newest { generation: first, ready: Vec::new() }),
            followers: Mutex::new(Vec::new()),
            retries: AtomicU64::new(0),
        })
    }

    /// A lane will take what is offered, and run it with these bounds.
    pub fn follow(&self, limits: &EngineLimits) {
        self.followers.lock().unwrap_or_else(PoisonError::into_inner).push(limits.clone());
    }

    /// Offers a newer rule set to all lanes, which take it as soon as they have finished what they read with the old
    /// one. One that no lane took in time is passed over. Their engines are built here, on the caller's thread.
    pub fn offer(&self, compiled: Arc<Compiled>, content: &str, loaded: TimeMicros) -> Generation {
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let engine = |limits| Engine::new(Arc::clone(&compiled), limits);
        let mut ready: Vec<Engine> = followers.into_iter().map(engine).collect();
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.inherit(&newest.generation.compiled);
        let number = newest.generation.number + 1;
        let mut generation = Generation { number, content: Arc::from(content), loaded, compiled };
        let offered = generation.clone();
        std::mem::swap(&mut newest.generation, &mut generation);
        std::mem::swap(&mut newest.ready, &mut ready);
        // Under the lock: who sees the number finds at least that generation.
        self.number.store(number, Ordering::Release);
        // What was passed over is torn down behind the lock.
        drop(newest);
        drop((generation, ready));
        offered
    }

    /// The newest generation, and an engine that runs it with these bounds, if one is ready.
    pub fn take(&self, limits: &EngineLimits) -> (Generation, Option<Engine>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let at = newest.ready.iter().position(|engine| engine.limits() == limits);
        (newest.generation.clone(), at.map(|at| newest.ready.swap_remove(at)))
    }

    /// Tears down what a lane does not run any more: rules and what is remembered of values take their time.
    pub fn retire(engine: Engine) {
        // Without a thread it is done here, when the closure is dropped.
        let _ = std::thread::Builder::new().name("retire".into()).spawn(move || drop(engine));
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
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).generation.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::demo::tests::without_rules;

    #[test]
    fn the_newest_is_found_and_what_nobody_took_is_passed_over() {
        let sets: Vec<Arc<Compiled>> = (0..3).map(|_| without_rules()).collect();
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

    #[test]
    fn each_lane_finds_an_engine_of_its_own_for_the_newest() {
        let sets: Vec<Arc<Compiled>> = (0..3).map(|_| without_rules()).collect();
        let slot = Slot::new(Arc::clone(&sets[0]), "", 0);
        let limits = EngineLimits::from(&Config::default().limits);
        let other = EngineLimits { batch_rows_max: 7, ..limits.clone() };
        for limits in [&limits, &other, &limits] {
            slot.follow(limits);
        }
        assert!(slot.take(&limits).1.is_none(), "the first is each lane's own");
        for set in &sets[1..] {
            slot.offer(Arc::clone(set), "", 0);
        }
        for (limits, expect) in
            [(&limits, true), (&limits, true), (&limits, false), (&other, true), (&other, false)]
        {
            let (generation, engine) = slot.take(limits);
            assert_eq!((generation.number, engine.is_some()), (3, expect));
            if let Some(engine) = engine {
                assert!(Arc::ptr_eq(engine.compiled(), &sets[2]) && engine.limits() == limits);
            }
        }
        assert_eq!(Arc::strong_count(&sets[1]), 1, "what was passed over is gone");
    }

    /// Lanes look while somebody writes: the number never runs ahead of what is found.
    #[test]
    fn a_number_that_was_seen_can_be_taken() {
        let set = without_rules();
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
