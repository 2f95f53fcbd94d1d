//! Any number of workers shows the same, however it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Says each record, in two pieces; tells how many there were.
struct Echo;

impl Work for Echo {
    type Told = usize;

    fn work(
        &mut self,
        chunk: &Chunk,
        say: &mut dyn FnMut(String) -> Result<(), Unheard>,
    ) -> Result<usize, Unheard> {
        let mut count = 0;
        for (file, offset, payload) in chunk.records() {
            assert_ne!(payload, b"panic", "told to");
            say(format!("{file}/{offset}"))?;
            say(String::from_utf8_lossy(payload).into_owned())?;
            count += 1;
        }
        Ok(count)
    }
}

/// What was shown, and how it ended.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    shown: Vec<String>,
    told: Vec<usize>,
    end: String,
}

/// Chunks of these records, so many each; reading fails behind the last where `torn`, showing fails at piece `deaf`.
fn run(threads: usize, records: &[&str], each: usize, torn: bool, deaf: Option<usize>) -> Ran {
    let file: Arc<str> = Arc::from("f");
    let (mut shown, mut told) = (Vec::new(), Vec::new());
    let mut next = 0;
    let run = || {
        in_order(
            threads,
            &|| Echo,
            &mut |chunk| {
                assert!(chunk.is_empty());
                for _ in 0..each {
                    let Some(record) = records.get(next) else {
                        return if torn { Err(CliError::usage("torn")) } else { Ok(false) };
                    };
                    chunk.push(&file, i64::try_from(next).expect("few"), record.as_bytes());
                    next += 1;
                }
                Ok(true)
            },
            &mut |piece| {
                match piece {
                    Piece::Text(_) if Some(shown.len()) == deaf => return Err(CliError::BrokenPipe),
                    Piece::Text(text) => shown.push(text),
                    Piece::Told(count) => told.push(count),
                }
                Ok(())
            },
        )
    };
    let end = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => "done".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "panicked".to_owned(),
    };
    Ran { shown, told, end }
}

#[test]
fn any_number_of_workers_shows_the_same() {
    let many: Vec<String> = (0..57).map(|at| format!("record {at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let mut spoilt = many.clone();
    spoilt[23] = "panic";
    let mut at_once = many.clone();
    at_once[0] = "panic";
    for (what, records, torn, deaf, end) in [
        ("all", &many, false, None, "done"),
        ("nothing", &Vec::new(), false, None, "done"),
        ("nothing to be read", &Vec::new(), true, None, "torn"),
        ("a file that ends in the middle", &many, true, None, "torn"),
        ("a reader that leaves", &many, false, Some(41), "broken pipe"),
        ("a reader that leaves at once", &many, true, Some(0), "broken pipe"),
        ("a worker that panics", &spoilt, false, None, "panicked"),
        ("one that panics, and a torn file", &spoilt, true, None, "panicked"),
        ("one that panics at once", &at_once, false, None, "panicked"),
    ] {
        for each in [1, 2, 7, 100] {
            let alone = run(1, records, each, torn, deaf);
            assert_eq!(alone.end, end, "{what}");
            if end == "done" {
                assert_eq!(alone.shown.len(), 2 * records.len(), "{what}");
                assert_eq!(alone.told.iter().sum::<usize>(), records.len(), "{what}");
            }
            for threads in [2, 5, 64] {
                assert_eq!(run(threads, records, each, torn, deaf), alone, "{what}: {threads} threads");
            }
        }
    }
}

/// Counts how many chunks wait or are in work.
struct Held<'a>(&'a AtomicUsize);

impl Work for Held<'_> {
    type Told = ();

    fn work(
        &mut self,
        chunk: &Chunk,
        say: &mut dyn FnMut(String) -> Result<(), Unheard>,
    ) -> Result<(), Unheard> {
        // More pieces than may wait.
        for _ in 0..3 * PIECES_EACH {
            say("x".repeat(chunk.records().count()))?;
        }
        self.0.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn chunks_and_pieces_in_memory_are_bounded() {
    for threads in [2, 3] {
        let held = AtomicUsize::new(0);
        let (mut left, mut shown) = (100, 0);
        let file: Arc<str> = Arc::from("f");
        let done = in_order(
            threads,
            &|| Held(&held),
            &mut |chunk| {
                // That which is read now is one more.
                assert!(held.load(Ordering::SeqCst) <= CHUNKS_EACH * threads);
                chunk.push(&file, 0, b"x");
                held.fetch_add(1, Ordering::SeqCst);
                left -= 1;
                Ok(left > 0)
            },
            &mut |piece| {
                shown += usize::from(matches!(piece, Piece::Text(_)));
                Ok(())
            },
        );
        assert!(done.is_ok());
        assert_eq!(shown, 100 * 3 * PIECES_EACH);
    }
}
