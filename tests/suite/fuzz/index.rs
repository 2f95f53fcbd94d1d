//! The index of rules: whatever the events, it finds what DataFusion finds.
//!
//! The rules of `rules/` and of `tests/fuzz/index.rules` look at the events twice: as a whole batch, rule by rule, without
//! the index; and row by row through it, with nothing remembered, little and all. The events are those that an input brings,
//! once and once more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use noroshi::config::Limits;
use noroshi::decode::{self, DecodeLimits};
use noroshi::detect::guard::GuardLimits;
use noroshi::detect::guard::parks::Parks;
use noroshi::detect::guard::turn::Guard;
use noroshi::detect::run::{Detector, Verdict};
use noroshi::normalise::layout::{EventContext, Everything, Layout, RowCells, TableBuilder, Watch};
use noroshi::normalise::projection::Projection;
use noroshi::normalise::time::ZoneOffset;
use noroshi::pipeline::engine::EngineLimits;
use noroshi::rules::{RuleLimits, RuleSet, load};

use super::rules::CATALOG;

/// From the root of the repository, where both the fuzzer and the tests run.
const RULES: [&str; 2] = ["rules/windows", "tests/fuzz/index.rules"];
/// Bytes of memory.
const MEMORIES: [usize; 3] = [0, 4_000, 1 << 24];

struct Bench {
    rules: RuleSet,
    projection: Projection,
    detector: Detector,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let loaded = load(&RULES.map(PathBuf::from), &CATALOG, &RuleLimits::default());
    assert!(
        !loaded.has_errors() && loaded.rules.len() > 60,
        "run it where {RULES:?} are: {:?}",
        loaded.diagnostics
    );
    let rules = RuleSet::new(loaded.rules);
    let needs: Vec<(&str, &[String])> =
        rules.rules().iter().map(|rule| (rule.table.name.as_str(), rule.columns.as_slice())).collect();
    let projection = Projection::new(&CATALOG, needs);
    let detector = Detector::new(&rules, &projection).expect("binds");
    Bench { rules, projection, detector }
});

/// Table, event and rule.
type Hits = BTreeSet<(usize, u32, usize)>;

pub fn check(data: &[u8]) {
    let format = decode::format("windows-json").expect("a format");
    let mut layout = Layout::new(&BENCH.projection, format);
    let mut decoder = format.decoder(layout.fields(), DecodeLimits::default());
    let mut read = |watch: &mut dyn Ask| {
        let mut tables: Vec<TableBuilder> = BENCH.projection.tables().iter().map(TableBuilder::new).collect();
        let mut event = 0u32;
        for _ in 0..2 {
            // A rejected record has no events.
            let _ = decoder.decode(data, &mut |slots| {
                let context = EventContext {
                    org_id: "o",
                    source: "s",
                    event_time: layout.event_time(slots, ZoneOffset::UTC).unwrap_or(0),
                    ingest_time: None,
                    topic: "t",
                    partition: 0,
                    offset: 0,
                    index: event,
                };
                layout.add(slots, &context, event, ZoneOffset::UTC, &mut tables, &mut Asked(watch));
                event += 1;
            });
        }
        tables
    };
    let expect = plain(read(&mut All));
    for bytes_max in MEMORIES {
        let mut judge = Judge { memory: BENCH.detector.memory(bytes_max), verdicts: BTreeMap::new() };
        let tables = read(&mut judge);
        let mut found = Hits::new();
        for (table, mut builder) in tables.into_iter().enumerate() {
            let (batch, origins) = builder.finish().expect("a batch");
            let verdicts = judge.verdicts.remove(&table).unwrap_or_default();
            assert_eq!(verdicts.len(), batch.num_rows(), "a verdict for each row that is built");
            // A fuzzer is slow; only failures are of interest.
            let limits = EngineLimits::from(&Limits::default()).guard;
            let limits = GuardLimits { batch_time_max: Duration::MAX, rows_max: None, ..limits };
            let mut guard = Guard::new(limits, Arc::new(Parks::new(BENCH.rules.rules().len())));
            for hit in BENCH.detector.hits(table, &batch, &verdicts, &mut guard, None) {
                found.insert((table, origins[hit.row as usize].event, hit.rule));
            }
            assert_eq!(guard.take_failures(), [], "on table {table}");
        }
        assert_eq!(found, expect, "with {bytes_max} bytes");
    }
}

/// Each rule on each row.
fn plain(tables: Vec<TableBuilder>) -> Hits {
    let mut hits = Hits::new();
    for (table, mut builder) in tables.into_iter().enumerate() {
        let (batch, origins) = builder.finish().expect("a batch");
        if batch.num_rows() == 0 {
            continue;
        }
        let name = &BENCH.projection.tables()[table].table.name;
        for (at, rule) in BENCH.rules.rules().iter().enumerate().filter(|(_, rule)| rule.table.name == *name)
        {
            let bound = rule.bind(&batch.schema()).expect("binds");
            let rows = bound.matches(&batch).expect("runs");
            hits.extend(rows.into_iter().map(|row| (table, origins[row as usize].event, at)));
        }
    }
    hits
}

/// Whether a row is built.
trait Ask {
    fn ask(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool;
}

struct Asked<'a>(&'a mut dyn Ask);

impl Watch for Asked<'_> {
    fn wants(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool {
        self.0.ask(table, cells)
    }
}

struct All;

impl Ask for All {
    fn ask(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool {
        Everything.wants(table, cells)
    }
}

struct Judge {
    memory: noroshi::detect::run::Memory,
    verdicts: BTreeMap<usize, Vec<Verdict>>,
}

impl Ask for Judge {
    fn ask(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool {
        let verdict = BENCH.detector.judge(table, cells, &mut self.memory);
        let wanted = verdict.is_some();
        self.verdicts.entry(table).or_default().extend(verdict);
        wanted
    }
}
