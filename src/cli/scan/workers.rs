//! Chunks worked on side by side, and shown in their order.
//!
//! Owns the threads and the order. A chunk belongs to the worker whose turn it is, and the calling thread reads, hands out
//! and shows; so what is shown, and what of it before an error, is the same for any number of workers. Memory is bounded:
//! a worker has at most [`CHUNKS_EACH`] chunks, and waits once [`PIECES_EACH`] pieces of text wait to be shown. What is
//! done with a chunk is the caller's. Called by `cli::scan`.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use super::chunk::Chunk;
use crate::cli::exit::CliError;

/// Chunks that a worker has, that in work among them.
const CHUNKS_EACH: usize = 2;
/// Pieces of text, and ends of chunks, that wait to be shown.
const PIECES_EACH: usize = 2;

/// Nobody wants to hear more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unheard;

/// What is done with chunks; each worker has its own.
pub trait Work {
    /// What is told of a chunk in the end.
    type Told: Send;

    /// Works on a chunk; `say` takes text to be shown.
    fn work(
        &mut self,
        chunk: &Chunk,
        say: &mut dyn FnMut(String) -> Result<(), Unheard>,
    ) -> Result<Self::Told, Unheard>;
}

/// Something to be shown, in the order of the records.
#[derive(Debug)]
pub enum Piece<T> {
    /// Text.
    Text(String),
    /// A chunk is through.
    Told(T),
}

/// From a worker to the calling thread; the chunk comes back to be filled again.
enum Sent<T> {
    Text(String),
    Through(T, Chunk),
}

/// Reads until `read` says that there is no more, and shows all that comes of it in order. `read` fills a chunk, and leaves
/// in it what it had when it fails: that is worked on, then its error is returned. A worker that panics does so for the
/// calling thread, once all before it is shown.
pub fn in_order<W: Work>(
    threads: usize,
    make: &(dyn Fn() -> W + Sync),
    read: &mut dyn FnMut(&mut Chunk) -> Result<bool, CliError>,
    show: &mut dyn FnMut(Piece<W::Told>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut first = Chunk::default();
    let more = read(&mut first);
    // One chunk is one worker's, and needs no thread for it.
    if threads < 2 || !matches!(more, Ok(true)) {
        return alone(make(), first, more, read, show);
    }
    std::thread::scope(|scope| {
        let mut crew =
            Crew { scope, make, workers: Vec::new(), threads, given: 0, shown: 0, spare: Vec::new() };
        crew.give(first)?;
        loop {
            let mut chunk = crew.spare.pop().unwrap_or_default();
            chunk.clear();
            let more = read(&mut chunk);
            if !chunk.is_empty() {
                crew.make_room(show)?;
                crew.give(chunk)?;
            }
            if !matches!(more, Ok(true)) {
                crew.show_all(show)?;
                return more.map(drop);
            }
            crew.show_ready(show)?;
        }
    })
}

/// All on the calling thread.
fn alone<W: Work>(
    mut worker: W,
    mut chunk: Chunk,
    mut more: Result<bool, CliError>,
    read: &mut dyn FnMut(&mut Chunk) -> Result<bool, CliError>,
    show: &mut dyn FnMut(Piece<W::Told>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    loop {
        if !chunk.is_empty() {
            let mut failed = Ok(());
            let told = worker.work(&chunk, &mut |text| {
                failed = show(Piece::Text(text));
                failed.as_ref().map_err(|_| Unheard).copied()
            });
            failed?;
            if let Ok(told) = told {
                show(Piece::Told(told))?;
            }
        }
        if !more? {
            return Ok(());
        }
        chunk.clear();
        more = read(&mut chunk);
    }
}

struct Worker<'scope, T> {
    chunks: SyncSender<Chunk>,
    pieces: Receiver<Sent<T>>,
    thread: ScopedJoinHandle<'scope, ()>,
}

/// The workers, and whose turn it is.
struct Crew<'scope, 'env, W: Work> {
    scope: &'scope Scope<'scope, 'env>,
    make: &'env (dyn Fn() -> W + Sync),
    /// In the order of their turns; they begin when there is something for them.
    workers: Vec<Worker<'scope, W::Told>>,
    threads: usize,
    /// Chunks handed out, and those of them that are shown.
    given: usize,
    shown: usize,
    spare: Vec<Chunk>,
}

impl<'scope, W: Work> Crew<'scope, '_, W>
where
    W::Told: 'scope,
{
    fn give(&mut self, chunk: Chunk) -> Result<(), CliError> {
        let turn = self.given % self.threads;
        if self.workers.len() == turn && self.given == turn {
            let worker = self.begin(turn)?;
            self.workers.push(worker);
        }
        self.given += 1;
        // One that has panicked takes nothing any more; that is met when its turn comes to be shown.
        if let Some(worker) = self.workers.get(turn) {
            let _ = worker.chunks.send(chunk);
        }
        Ok(())
    }

    fn begin(&self, number: usize) -> Result<Worker<'scope, W::Told>, CliError> {
        let (chunks, inbox) = sync_channel::<Chunk>(CHUNKS_EACH);
        let (outbox, pieces) = sync_channel(PIECES_EACH);
        let make = self.make;
        let body = move || {
            let mut worker = make();
            for chunk in inbox {
                let say = &mut |text| outbox.send(Sent::Text(text)).map_err(|_| Unheard);
                let Ok(told) = worker.work(&chunk, say) else { return };
                if outbox.send(Sent::Through(told, chunk)).is_err() {
                    return;
                }
            }
        };
        let thread = Builder::new().name(format!("scan-{number}")).spawn_scoped(self.scope, body);
        let thread = thread.map_err(|error| CliError::usage(format!("cannot start a thread: {error}")))?;
        Ok(Worker { chunks, pieces, thread })
    }

    /// Shows the eldest until one more chunk may be handed out: then its worker has room, and waits for nobody.
    fn make_room(
        &mut self,
        show: &mut dyn FnMut(Piece<W::Told>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        while self.given - self.shown >= CHUNKS_EACH * self.threads {
            self.show_next(true, show)?;
        }
        Ok(())
    }

    fn show_all(
        &mut self,
        show: &mut dyn FnMut(Piece<W::Told>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        while self.shown < self.given {
            self.show_next(true, show)?;
        }
        Ok(())
    }

    /// Shows what need not be waited for.
    fn show_ready(
        &mut self,
        show: &mut dyn FnMut(Piece<W::Told>) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        while self.shown < self.given && self.show_next(false, show)? {}
        Ok(())
    }

    /// Shows the next piece of the eldest chunk; false when there is none yet.
    fn show_next(
        &mut self,
        patient: bool,
        show: &mut dyn FnMut(Piece<W::Told>) -> Result<(), CliError>,
    ) -> Result<bool, CliError> {
        let turn = self.shown % self.threads;
        let Some(worker) = self.workers.get(turn) else { return Ok(false) };
        let sent = if patient {
            worker.pieces.recv().map_err(|_| TryRecvError::Disconnected)
        } else {
            worker.pieces.try_recv()
        };
        match sent {
            Ok(Sent::Text(text)) => show(Piece::Text(text))?,
            Ok(Sent::Through(told, chunk)) => {
                self.shown += 1;
                self.spare.push(chunk);
                show(Piece::Told(told))?;
            }
            Err(TryRecvError::Empty) => return Ok(false),
            Err(TryRecvError::Disconnected) => {
                let worker = self.workers.swap_remove(turn);
                match worker.thread.join() {
                    Err(panic) => resume_unwind(panic),
                    Ok(()) => return Err(CliError::usage("a thread of the scan ended before its work did")),
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
#[path = "workers/tests.rs"]
mod tests;
