//! Records from files and standard input, plain, gzip or zstd, for the offline commands.
//!
//! Owns opening, decompression and the cut into records. Memory is bounded whatever the file holds: a record
//! that is too long is handed on cut, with one byte more than the limit, so that decoding rejects it as too
//! large. Called by `cli::scan` and `cli::test`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a file is cut into records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Framing {
    /// A record a line; a file that begins with `[`, or with a `{` alone on its line, is one record.
    #[default]
    Auto,
    /// A record a line; lines without anything but white space are none.
    Lines,
    /// The whole file is one record.
    Whole,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {error}", path.display())]
pub struct FileError {
    path: PathBuf,
    error: io::Error,
}

/// The records of one file.
pub struct FileRecords {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    whole: bool,
    bytes_max: usize,
    record: Vec<u8>,
    /// Bytes read from the file itself, before decompression: for progress.
    read: Arc<AtomicU64>,
    done: bool,
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl FileRecords {
    /// Opens a file, or standard input for `-`.
    pub fn open(path: &Path, framing: Framing, bytes_max: usize) -> Result<Self, FileError> {
        let fail = |error| FileError { path: path.to_owned(), error };
        if path == Path::new("-") {
            return Self::new(path, io::stdin(), framing, bytes_max).map_err(fail);
        }
        let file = File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Err(fail(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")));
        }
        Self::new(path, file, framing, bytes_max).map_err(fail)
    }

    fn new(
        path: &Path,
        input: impl Read + Send + 'static,
        framing: Framing,
        bytes_max: usize,
    ) -> io::Result<Self> {
        let read = Arc::new(AtomicU64::new(0));
        let mut raw = BufReader::with_capacity(1 << 17, Counted { inner: input, read: Arc::clone(&read) });
        let magic = raw.fill_buf()?;
        let mut reader: Box<dyn BufRead + Send> = if magic.starts_with(&[0x1f, 0x8b]) {
            Box::new(BufReader::with_capacity(1 << 17, flate2::bufread::MultiGzDecoder::new(raw)))
        } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(BufReader::with_capacity(1 << 17, zstd::Decoder::with_buffer(raw)?))
        } else {
            Box::new(raw)
        };
        let whole = match framing {
            Framing::Whole => true,
            Framing::Lines => false,
            Framing::Auto => {
                let start = reader.fill_buf()?;
                let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
                let first = start.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
                // A list, or an object over several lines, as people write them.
                first.starts_with(b"[") || (first.starts_with(b"{") && first[1..].trim_ascii().is_empty())
            }
        };
        Ok(Self { path: path.to_owned(), reader, whole, bytes_max, record: Vec::new(), read, done: false })
    }

    /// Bytes of the file read so far, for a progress bar.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The next record; `None` at the end.
    pub fn next_record(&mut self) -> Result<Option<&[u8]>, FileError> {
        let read = if self.whole { self.read_whole() } else { self.read_line() };
        match read {
            Ok(true) => Ok(Some(&self.record)),
            Ok(false) => Ok(None),
            Err(error) => Err(FileError { path: self.path.clone(), error }),
        }
    }

    fn read_whole(&mut self) -> io::Result<bool> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(false);
        }
        self.record.clear();
        let limit = self.bytes_max as u64 + 1;
        self.reader.by_ref().take(limit).read_to_end(&mut self.record)?;
        Ok(true)
    }

    fn read_line(&mut self) -> io::Result<bool> {
        loop {
            self.record.clear();
            let mut ended = true;
            loop {
                let chunk = self.reader.fill_buf()?;
                if chunk.is_empty() {
                    break;
                }
                ended = false;
                let (line, used, last) = match chunk.iter().position(|byte| *byte == b'\n') {
                    Some(at) => (&chunk[..at], at + 1, true),
                    None => (chunk, chunk.len(), false),
                };
                let room = (self.bytes_max + 1).saturating_sub(self.record.len());
                self.record.extend_from_slice(&line[..line.len().min(room)]);
                self.reader.consume(used);
                if last {
                    break;
                }
            }
            if ended {
                return Ok(false);
            }
            if !self.record.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn records(bytes: &[u8], framing: Framing) -> Vec<String> {
        let input = io::Cursor::new(bytes.to_vec());
        let mut file = FileRecords::new(Path::new("x"), input, framing, 8).expect("opens");
        let mut all = Vec::new();
        while let Some(record) = file.next_record().expect("reads") {
            all.push(String::from_utf8_lossy(record).into_owned());
        }
        all
    }

    #[test]
    fn lines_and_wholes() {
        for (bytes, framing, expect) in [
            (&b"a\nb\r\n\n  \nc"[..], Framing::Auto, vec!["a", "b\r", "c"]),
            (b"", Framing::Auto, vec![]),
            (b"\n\n", Framing::Lines, vec![]),
            (b" [1,\n2]", Framing::Auto, vec![" [1,\n2]"]),
            (b"[1]\n[2]", Framing::Lines, vec!["[1]", "[2]"]),
            (b"", Framing::Whole, vec![""]),
            (b"0123456789abcdef\nx", Framing::Lines, vec!["012345678", "x"]),
            (b"{\r\n1 }", Framing::Auto, vec!["{\r\n1 }"]),
            (b"{1}\n{2}", Framing::Auto, vec!["{1}", "{2}"]),
            (b"[0123456789", Framing::Auto, vec!["[01234567"]),
        ] {
            assert_eq!(records(bytes, framing), expect, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn compressed_files_are_read_as_what_they_hold() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"a\nb\n").expect("writes");
        let mut two = gzip.finish().expect("ends");
        two.extend(two.clone());
        assert_eq!(records(&two, Framing::Auto), ["a", "b", "a", "b"]);
        let zstd = zstd::encode_all(&b"a\nb\n"[..], 1).expect("encodes");
        assert_eq!(records(&zstd, Framing::Auto), ["a", "b"]);
    }

    #[test]
    fn a_bomb_costs_no_memory() {
        let zeros = vec![b'0'; 64 << 20];
        let bomb = zstd::encode_all(&zeros[..], 3).expect("encodes");
        assert!(bomb.len() < 1 << 16);
        assert_eq!(records(&bomb, Framing::Auto), ["000000000"]);
    }
}
