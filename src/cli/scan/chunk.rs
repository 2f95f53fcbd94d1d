//! Records of files, some megabytes together, in their order.
//!
//! Owns the cut: it depends on the files alone, never on who reads how fast, so that whatever is done by chunk gives the
//! same each time. Filled by `cli::scan`, taken by its workers.

use std::path::PathBuf;
use std::sync::Arc;

use indicatif::ProgressBar;

use crate::cli::exit::CliError;
use crate::source::files::{FileError, FileRecords, Framing};

/// Bytes read between two steps of the progress bar.
const SHOWN_EVERY_BYTES: u64 = 1 << 20;

/// Some records, and where they stand.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
    parts: Vec<Part>,
}

/// Records of one file that follow each other.
#[derive(Debug)]
struct Part {
    file: Arc<str>,
    /// The first, counted from the beginning of the file.
    offset: i64,
    records: usize,
}

impl Chunk {
    /// Without records; keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.parts.clear();
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds the next record of a file.
    pub fn push(&mut self, file: &Arc<str>, offset: i64, payload: &[u8]) {
        self.bytes.extend_from_slice(payload);
        self.ends.push(self.bytes.len());
        match self.parts.last_mut().filter(|part| Arc::ptr_eq(&part.file, file)) {
            Some(part) => part.records += 1,
            None => self.parts.push(Part { file: Arc::clone(file), offset, records: 1 }),
        }
    }

    /// The records in order: file, number in it, bytes.
    pub fn records(&self) -> impl Iterator<Item = (&Arc<str>, i64, &[u8])> {
        let places = self.parts.iter().flat_map(|part| {
            let offsets = (part.offset..).take(part.records);
            offsets.map(move |offset| (&part.file, offset))
        });
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let payloads = starts.zip(&self.ends).map(|(from, to)| self.bytes.get(from..*to).unwrap_or_default());
        places.zip(payloads).map(|((file, offset), payload)| (file, offset, payload))
    }
}

/// Reads files one after the other.
pub struct Reader<'a> {
    left: std::slice::Iter<'a, PathBuf>,
    framing: Framing,
    record_bytes_max: usize,
    chunk_bytes: usize,
    bar: &'a ProgressBar,
    open: Option<Open>,
}

struct Open {
    name: Arc<str>,
    records: FileRecords,
    /// Records read.
    offset: i64,
    /// Bytes that the bar knows of.
    shown: u64,
}

impl<'a> Reader<'a> {
    /// Of these files; a chunk is full when its records have so many bytes.
    pub fn new(
        files: &'a [PathBuf],
        framing: Framing,
        record_bytes_max: usize,
        chunk_bytes: usize,
        bar: &'a ProgressBar,
    ) -> Self {
        Self { left: files.iter(), framing, record_bytes_max, chunk_bytes, bar, open: None }
    }

    /// Fills a chunk; false when all is read. Where a file cannot be read any further, the chunk has what came before.
    pub fn fill(&mut self, chunk: &mut Chunk) -> Result<bool, CliError> {
        let plain = |error: FileError| CliError::usage(error.to_string());
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => {
                    let Some(path) = self.left.next() else {
                        self.bar.finish_and_clear();
                        return Ok(false);
                    };
                    let name = Arc::from(path.to_string_lossy().as_ref());
                    let records =
                        FileRecords::open(path, self.framing, self.record_bytes_max).map_err(plain)?;
                    self.open.insert(Open { name, records, offset: 0, shown: 0 })
                }
            };
            while let Some(payload) = open.records.next_record().map_err(plain)? {
                chunk.push(&open.name, open.offset, payload);
                open.offset += 1;
                let read = open.records.bytes_read();
                if read - open.shown > SHOWN_EVERY_BYTES {
                    self.bar.inc(read - open.shown);
                    open.shown = read;
                }
                if chunk.bytes.len() >= self.chunk_bytes {
                    return Ok(true);
                }
            }
            self.bar.inc(open.records.bytes_read() - open.shown);
            self.open = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_all_records_in_order_whatever_their_size() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("writes");
            path
        };
        let files = [file("a", "one\ntwo\n\nthree\n"), file("empty", ""), file("b", "four\nfive")];
        let bar = ProgressBar::hidden();
        for (bytes, chunks) in [(1, 5), (4, 4), (9, 2), (1_000, 1)] {
            let mut reader = Reader::new(&files, Framing::Lines, 100, bytes, &bar);
            let (mut chunk, mut all, mut filled) = (Chunk::default(), Vec::new(), 0);
            let mut more = true;
            while more {
                chunk.clear();
                more = reader.fill(&mut chunk).expect("reads");
                filled += usize::from(!chunk.is_empty());
                for (file, offset, payload) in chunk.records() {
                    let file = file.rsplit('/').next().expect("a name").to_owned();
                    all.push((file, offset, String::from_utf8(payload.to_vec()).expect("text")));
                }
            }
            let all: Vec<(&str, i64, &str)> =
                all.iter().map(|(f, at, p)| (f.as_str(), *at, p.as_str())).collect();
            let expect =
                [("a", 0, "one"), ("a", 1, "two"), ("a", 2, "three"), ("b", 0, "four"), ("b", 1, "five")];
            assert_eq!(all, expect, "chunks of {bytes}");
            assert_eq!(filled, chunks, "chunks of {bytes}");
        }
    }
}
