//! The test data that is no part of the project: where it is, unpacked once, and read.
//!
//! Owns `NOROSHI_TEST_DATA`, and saying that a test is skipped without it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder; `None`, and a word about `what`, without one.
pub fn folder(what: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("NOROSHI_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        // Not `eprintln!`: the test runner keeps what a passing test prints.
        let _ = writeln!(std::io::stderr(), "skipped: {what} need NOROSHI_TEST_DATA");
    }
    folder
}

/// Unpacks into the build's own scratch folder, once for each archive.
pub fn unpacked(archive: &Path) -> PathBuf {
    let bytes =
        std::fs::metadata(archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display())).len();
    let name = archive.file_name().expect("a name").to_string_lossy();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = scratch.join(format!("{name}-{bytes}"));
    if !folder.is_dir() {
        let fresh = tempfile::tempdir_in(scratch).expect("a folder");
        let status =
            Command::new("tar").arg("xJf").arg(archive).arg("-C").arg(fresh.path()).status().expect("tar");
        assert!(status.success(), "tar could not unpack {}", archive.display());
        let made = std::fs::rename(fresh.path(), &folder);
        assert!(made.is_ok() || folder.is_dir(), "cannot make {}", folder.display());
    }
    folder
}

/// The 60,000 Windows events, one a line; `None` without them.
pub fn windows_events() -> Option<Vec<u8>> {
    let file = folder("the 60,000 events")?.join("windows-events-dev.ndjson.xz");
    let mut child =
        Command::new("xz").args(["-dc"]).arg(&file).stdout(Stdio::piped()).spawn().expect("xz starts");
    let mut events = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut events).expect("reads");
    assert!(child.wait().expect("ends").success(), "xz -dc {}", file.display());
    Some(events)
}
