//! The same alerts and the same summary, whatever the chunks and however many workers (I-3).

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::*;
use crate::cli::scan::chunk::Reader;
use crate::cli::scan::rows::{Rows, Seen};
use crate::cli::scan::workers::{Piece, in_order};
use crate::config::Config;
use crate::decode;
use crate::demo::telemetry::Telemetry;
use crate::demo::tests::compiled;
use crate::source::files::Framing;

/// The demo's telemetry of one source, some of it damaged, with lines that are none, in two files.
fn files(folder: &Path) -> Vec<PathBuf> {
    let records: Vec<Vec<u8>> = Telemetry::new(3, 1_790_000_000_000_000, 1_200)
        .filter(|record| record.source == "power-windows")
        .map(|record| record.value)
        .collect();
    assert!(records.len() > 100, "{} records", records.len());
    let mut lines: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    for at in [3, 40, 41, 42, 90, 91, 92, 93] {
        lines.insert(at, b"no event");
    }
    lines.insert(70, br#"{"Channel":"Security","EventID":4625}"#);
    let (a, b) = lines.split_at(60);
    let write = |name: &str, lines: &[&[u8]]| {
        let path = folder.join(name);
        std::fs::write(&path, lines.join(&b'\n')).expect("writes");
        path
    };
    vec![write("a", a), write("b", b)]
}

/// All that is shown, and what is told of it.
fn scan<W: Work>(
    files: &[PathBuf],
    threads: usize,
    chunk_bytes: usize,
    make: &(dyn Fn() -> W + Sync),
    told: &mut dyn FnMut(W::Told),
) -> String {
    let bar = ProgressBar::hidden();
    let mut reader = Reader::new(files, Framing::Lines, 1 << 20, chunk_bytes, &bar);
    let mut shown = String::new();
    let done = in_order(threads, make, &mut |chunk| reader.fill(chunk), &mut |piece| {
        match piece {
            Piece::Text(text) => shown.push_str(&text),
            Piece::Told(more) => told(more),
        }
        Ok(())
    });
    assert!(done.is_ok());
    shown
}

/// Without the time at which an alert was made.
fn timeless(shown: &str, output: Output) -> Vec<String> {
    let line = |line: &str| match output {
        Output::Ocsf => {
            let mut alert: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert!(alert["finding_info"]["created_time"].take().is_i64());
            assert!(alert["time"].take().is_i64());
            alert.to_string()
        }
        _ => line.to_owned(),
    };
    shown.lines().map(line).collect()
}

#[test]
fn alerts_and_summary_are_the_same_whatever_the_chunks_and_workers() {
    let compiled = compiled();
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let limits = EngineLimits::from(&Config::default().limits);
    let source = compiled.pipeline.sources.iter().position(|source| &*source.id == "power-windows");
    let source = source.expect("a source");
    for output in [Output::Matches, Output::Table, Output::Ocsf] {
        let run = |threads, chunk_bytes| {
            let mut found = Found::default();
            let make = || Search::new(&compiled, &limits, source, output, 1_790_000_000_000);
            let shown = scan(&files, threads, chunk_bytes, &make, &mut |more| found.add(more));
            (timeless(&shown, output), found)
        };
        let whole = run(1, usize::MAX);
        assert!(whole.0.len() > 5, "{:?}", whole.1);
        assert_eq!((whole.1.rejected, whole.1.rejects.len()), (8, 5), "{:?}", whole.1);
        let all = [(1, 3_000), (2, 3_000), (5, 20_000), (5, 1), (5, usize::MAX)];
        for (threads, chunk_bytes) in all.into_iter().take(if output == Output::Matches { 5 } else { 2 }) {
            assert_eq!(run(threads, chunk_bytes), whole, "{threads} threads, chunks of {chunk_bytes}");
        }
    }
}

#[test]
fn rows_are_the_same_whatever_the_chunks_and_workers() {
    let compiled = compiled();
    let folder = tempfile::tempdir().expect("a folder");
    let files = files(folder.path());
    let source = compiled.pipeline.sources.iter().position(|source| &*source.id == "power-windows");
    let source = source.expect("a source");
    let run = |threads, chunk_bytes| {
        let mut seen = Seen::default();
        let limits = decode::DecodeLimits::default();
        let make = || Rows::new(&compiled.pipeline, source, limits);
        let shown = scan(&files, threads, chunk_bytes, &make, &mut |more| seen.add(more));
        (shown, seen)
    };
    let whole = run(1, usize::MAX);
    assert!(whole.0.lines().count() > 100, "{:?}", whole.1);
    for (threads, chunk_bytes) in [(1, 1), (2, 3_000), (5, 1), (5, 3_000)] {
        assert_eq!(run(threads, chunk_bytes), whole, "{threads} threads, chunks of {chunk_bytes}");
    }
}

#[test]
fn found_is_added_up_in_order() {
    let found = |rejects: &[&str], rejected, why: &str| Found {
        records: 2,
        alerts: 1,
        rejects: rejects.iter().map(|reject| (*reject).to_owned()).collect(),
        rejected,
        failures: BTreeMap::from([(7, (3, why.to_owned()))]),
        ..Found::default()
    };
    let mut sum = Found::default();
    sum.add(found(&["a", "b", "c"], 3, "first"));
    sum.add(found(&["d", "e", "f"], 9, "last"));
    assert_eq!((sum.records, sum.alerts, sum.rejected), (4, 2, 12));
    assert_eq!(sum.rejects, ["a", "b", "c", "d", "e"]);
    assert_eq!(sum.failures, BTreeMap::from([(7, (6, "last".to_owned()))]));
    assert!(sum.counts().starts_with("4 records, 0 events"), "{}", sum.counts());
}
